//! The order of layers, as far as their sizes tell it.

/// What a layer takes, nothing if it takes indices, and what it gives.
pub(super) type Sizes = (Option<usize>, usize);

/// An order.
pub(super) struct Order {
    pub(super) places: Vec<usize>,
    pub(super) fits: Fits,
}

/// How many orders there are in which each layer takes what the one before it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fits {
    None,
    One,
    /// Several, and that in which they were written among them.
    Written,
    Several,
}

/// Places looked at before the search is given up.
const PATIENCE: usize = 20_000;

/// The order that fits: where several do, the one given if that is how it was `written`, else the
/// first; where none does, the one given.
pub(super) fn order(sizes: &[Sizes], written: bool) -> Order {
    let mut search = Search { sizes, found: Vec::new(), left: PATIENCE };
    search.extend(&mut Vec::new());
    let fits = match search.found.len() {
        0 => Fits::None,
        1 if search.left > 0 => Fits::One,
        _ => Fits::Several,
    };
    let chain = sizes.windows(2).all(|pair| pair[1].0 == Some(pair[0].1));
    if written && chain && fits == Fits::Several {
        return Order { places: (0..sizes.len()).collect(), fits: Fits::Written };
    }
    let places = search.found.into_iter().next().unwrap_or_else(|| (0..sizes.len()).collect());
    Order { places, fits }
}

struct Search<'a> {
    sizes: &'a [Sizes],
    /// The first two.
    found: Vec<Vec<usize>>,
    left: usize,
}

impl Search<'_> {
    fn extend(&mut self, places: &mut Vec<usize>) {
        if places.len() == self.sizes.len() {
            self.found.push(places.clone());
            return;
        }
        for next in 0..self.sizes.len() {
            if self.found.len() == 2 || self.left == 0 {
                return;
            }
            let follows = match places.last() {
                None => true,
                Some(&last) => self.sizes[next].0 == Some(self.sizes[last].1),
            };
            if !follows || places.contains(&next) {
                continue;
            }
            self.left -= 1;
            places.push(next);
            self.extend(places);
            places.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_tell_the_order_if_one_fits() {
        let found = order(&[(Some(8), 8), (Some(2), 8), (Some(8), 1)], true);
        assert_eq!((found.places, found.fits), (vec![1, 0, 2], Fits::One));
        let found = order(&[(Some(8), 8), (Some(8), 8)], false);
        assert_eq!((found.places, found.fits), (vec![0, 1], Fits::Several));
        // Round and round: what was written down first is where it begins.
        let round = [(Some(8), 8), (Some(8), 1), (Some(1), 8)];
        assert_eq!(order(&round, true).fits, Fits::Written);
        assert_eq!(order(&round, true).places, [0, 1, 2]);
        assert_eq!(order(&round, false).fits, Fits::Several);
        let found = order(&[(Some(8), 4), (Some(5), 4)], true);
        assert_eq!((found.places, found.fits), (vec![0, 1], Fits::None));
        let found = order(&[(Some(3), 4), (None, 3)], true);
        assert_eq!((found.places, found.fits), (vec![1, 0], Fits::One));
    }

    #[test]
    fn a_search_without_end_is_given_up() {
        let mut sizes = vec![(Some(2), 2); 40];
        sizes.push((Some(3), 3));
        assert_eq!(order(&sizes, true).fits, Fits::None);
        sizes.pop();
        assert_eq!(order(&sizes, false).fits, Fits::Several);
    }
}
