//! Lengths of axes that may be known only when the model runs.

/// A length: a number times the lengths of axes that the file leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dim {
    factor: i64,
    /// Open axes, sorted.
    open: Vec<usize>,
}

impl Dim {
    pub(super) const fn number(factor: i64) -> Self {
        Self { factor, open: Vec::new() }
    }

    /// A length in memory.
    pub(super) fn of(length: usize) -> Self {
        Self::number(i64::try_from(length).unwrap_or(i64::MAX))
    }

    pub(super) fn open(axis: usize) -> Self {
        Self { factor: 1, open: vec![axis] }
    }

    /// The number that it is, if it does not depend on open axes.
    pub(super) fn as_number(&self) -> Option<i64> {
        self.open.is_empty().then_some(self.factor)
    }

    /// The product, unless that is too large.
    pub(super) fn times(&self, other: &Self) -> Option<Self> {
        let mut open = [&self.open[..], &other.open].concat();
        // More axes than any tensor has.
        if open.len() > 16 {
            return None;
        }
        open.sort_unstable();
        Some(Self { factor: self.factor.checked_mul(other.factor)?, open })
    }

    /// The quotient, if it is whole.
    pub(super) fn divided_by(&self, other: &Self) -> Option<Self> {
        let mut open = self.open.clone();
        for axis in &other.open {
            open.remove(open.iter().position(|found| found == axis)?);
        }
        let whole = self.factor.checked_rem(other.factor)? == 0;
        whole.then(|| Self { factor: self.factor / other.factor, open })
    }

    /// The product of several.
    pub(super) fn product<'a>(dims: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        dims.into_iter().try_fold(Self::number(1), |product, dim| product.times(dim))
    }
}

impl std::fmt::Display for Dim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.factor, self.open.len()) {
            (factor, 0) => write!(f, "{factor}"),
            (1, _) => f.write_str("open"),
            (factor, _) => write!(f, "{factor}×open"),
        }
    }
}

/// A shape for messages.
pub(super) fn shape(dims: &[Dim]) -> String {
    let dims: Vec<String> = dims.iter().map(ToString::to_string).collect();
    format!("[{}]", dims.join(", "))
}
