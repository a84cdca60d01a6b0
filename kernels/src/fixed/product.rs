//! The products of one step, in blocks of units.
//!
//! ```text
//! for each unit and gate
//!     sum = start + numbers · weights of the unit's gate
//! ```
//!
//! 1. Sums of all gates of a block of units are arrays of constant length: registers.
//! 2. The chains of a sum (see `docs/numerics.md`) are made two at a time, so that they overlap and
//!    still fit the registers.
//! 3. The last block ends with the last unit and may overlap the one before it: its sums come out a
//!    second time, the same. No lane is left over, and none is padded.

use super::scalars::Scalars;
use crate::arithmetic::Arithmetic;
use crate::contract::chains;

/// Weights `[k][gate][unit]`: of each number of a product, of all gates, those of units side by side.
pub(super) type Matrix<const K: usize, const GATES: usize, const U: usize> = [[[f32; U]; GATES]; K];

/// Sums that hide each other's latency: 8 vectors of 8 lanes.
const SUMS_AT_ONCE: usize = 64;

/// Sums of the gates of a block of units.
pub(super) type Sums<const N: usize, const GATES: usize> = [[f32; N]; GATES];

/// What becomes of `N` units from `first` on.
pub(super) trait Blocks {
    /// Does them. `#[inline(always)]`.
    fn block<const N: usize>(&mut self, first: usize);
}

/// Does all of `U` units, `WIDEST` at once while so many are left.
#[inline(always)]
pub(super) fn in_blocks<const U: usize, const WIDEST: usize>(blocks: &mut impl Blocks) {
    let mut first = 0;
    while first + WIDEST <= U {
        blocks.block::<WIDEST>(first);
        first += WIDEST;
    }
    match U % WIDEST {
        0 => {}
        1 => blocks.block::<1>(U - 1),
        2 => blocks.block::<2>(U - 2),
        3..=4 => last::<U, 4, 2>(blocks),
        5..=8 => last::<U, 8, 4>(blocks),
        9..=16 => last::<U, 16, 8>(blocks),
        _ => last::<U, 32, 16>(blocks),
    }
}

/// The last `N` units; if there are not so many, all of them in two halves.
#[inline(always)]
fn last<const U: usize, const N: usize, const HALF: usize>(blocks: &mut impl Blocks) {
    if N <= U {
        blocks.block::<N>(U - N);
    } else {
        blocks.block::<HALF>(0);
        blocks.block::<HALF>(U - HALF);
    }
}

/// `N` numbers from `first` on.
#[inline(always)]
pub(super) fn block_of<const N: usize>(numbers: &[f32], first: usize) -> [f32; N] {
    let mut block = [0.0; N];
    block.copy_from_slice(&numbers[first..first + N]);
    block
}

/// The blocks of some rows.
#[inline(always)]
pub(super) fn blocks_of<const N: usize, const U: usize, const ROWS: usize>(
    rows: &[[f32; U]; ROWS],
    first: usize,
) -> Sums<N, ROWS> {
    let mut blocks = [[0.0; N]; ROWS];
    for row in 0..ROWS {
        blocks[row] = block_of(&rows[row], first);
    }
    blocks
}

/// Where the sums of a block are in a matrix.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The first of the gates.
    pub(super) gate: usize,
    /// The first of the units.
    pub(super) unit: usize,
}

/// A projection: one chain that starts from `start`.
#[inline(always)]
pub(super) fn projected<
    const N: usize,
    const GATES: usize,
    const K: usize,
    const ALL: usize,
    const U: usize,
>(
    start: Sums<N, GATES>,
    numbers: &[f32; K],
    weights: &Matrix<K, ALL, U>,
    place: Place,
) -> Sums<N, GATES> {
    let [sums] = accumulated([start], numbers, weights, place, [0, 1]);
    sums
}

/// A recurrent product: as many chains as the contract says, the first from `start`.
#[inline(always)]
pub(super) fn recurrent<
    const N: usize,
    const GATES: usize,
    const K: usize,
    const ALL: usize,
    const U: usize,
>(
    start: Sums<N, GATES>,
    numbers: &[f32; K],
    weights: &Matrix<K, ALL, U>,
    place: Place,
) -> Sums<N, GATES> {
    let chains = const { chains(K) };
    if chains == 1 {
        return projected(start, numbers, weights, place);
    }
    let sums = two_chains(start, numbers, weights, place, [0, chains]);
    if chains == 2 {
        return sums;
    }
    let zero = [[0.0; N]; GATES];
    added(sums, two_chains(zero, numbers, weights, place, [2, chains]))
}

/// The sum of two neighbouring chains, the first from `start`.
#[inline(always)]
fn two_chains<
    const N: usize,
    const GATES: usize,
    const K: usize,
    const ALL: usize,
    const U: usize,
>(
    start: Sums<N, GATES>,
    numbers: &[f32; K],
    weights: &Matrix<K, ALL, U>,
    place: Place,
    [chain, chains]: [usize; 2],
) -> Sums<N, GATES> {
    let zero = [[0.0; N]; GATES];
    if const { GATES * N >= SUMS_AT_ONCE } {
        let [a] = accumulated([start], numbers, weights, place, [chain, chains]);
        let [b] = accumulated([zero], numbers, weights, place, [chain + 1, chains]);
        return added(a, b);
    }
    let [a, b] = accumulated([start, zero], numbers, weights, place, [chain, chains]);
    added(a, b)
}

/// Chains `chain`, `chain + 1`, ... of `chains`, each from where it stands.
#[inline(always)]
fn accumulated<
    const N: usize,
    const GATES: usize,
    const TOGETHER: usize,
    const K: usize,
    const ALL: usize,
    const U: usize,
>(
    mut parts: [Sums<N, GATES>; TOGETHER],
    numbers: &[f32; K],
    weights: &Matrix<K, ALL, U>,
    place: Place,
    [chain, chains]: [usize; 2],
) -> [Sums<N, GATES>; TOGETHER] {
    let mut k = chain;
    while k + TOGETHER <= K {
        for part in 0..TOGETHER {
            let at = k + part;
            parts[part] = accumulated_one(parts[part], numbers[at], &weights[at], place);
        }
        k += chains;
    }
    for part in 0..TOGETHER {
        let at = k + part;
        if at < K {
            parts[part] = accumulated_one(parts[part], numbers[at], &weights[at], place);
        }
    }
    parts
}

/// The sums and the products of one number.
#[inline(always)]
fn accumulated_one<const N: usize, const GATES: usize, const ALL: usize, const U: usize>(
    mut sums: Sums<N, GATES>,
    number: f32,
    weights: &[[f32; U]; ALL],
    place: Place,
) -> Sums<N, GATES> {
    for gate in 0..GATES {
        let weight = block_of(&weights[place.gate + gate], place.unit);
        sums[gate] = Scalars::<N>.fma([number; N], weight, sums[gate]);
    }
    sums
}

#[inline(always)]
fn added<const N: usize, const GATES: usize>(
    mut a: Sums<N, GATES>,
    b: Sums<N, GATES>,
) -> Sums<N, GATES> {
    for gate in 0..GATES {
        a[gate] = Scalars::<N>.add(a[gate], b[gate]);
    }
    a
}
