//! The sums of one tile: a chain for each, or several that are added at the end, of panels in one piece
//! or in two parts.
//!
//! ```text
//! for each chain c of p
//!     part[c] = (start if c = 0 else 0) + row[c] panel[c] + row[c + p] panel[c + p] + ...
//! sum = (part[0] + part[1]) + (part[2] + part[3])
//! ```
//!
//! 1. All sums of a tile are registers: where there are more, chains go one after the other, and those that
//!    wait are in memory.
//! 2. Chains of a small tile run side by side, so that they hide each other's latency.

use crate::gemm::tile::{Ahead, Sums, accumulate, accumulate_chain, accumulate_one};
use crate::gemm::weights::{Panels, Written};
use crate::simd::Simd;
use crate::tuning::SUMS_AT_ONCE;

/// Panels in one piece.
type Whole<F, const BLOCKS: usize, const VECTORS: usize> = Panels<F, BLOCKS, VECTORS, VECTORS>;

/// What the sums of a tile are made of, beside its rows and panels.
#[derive(Clone, Copy)]
pub(super) struct Terms<F> {
    /// How the weights are written down.
    pub(super) written: F,
    pub(super) depth: usize,
    /// Those that are summed, all of them if there are several chains.
    pub(super) steps: [usize; 2],
    pub(super) chains: usize,
}

impl<F: Written> Terms<F> {
    /// Where some panels begin that lie one behind the other.
    #[inline(always)]
    pub(super) fn panels<S: Simd, const BLOCKS: usize, const VECTORS: usize>(
        self,
        first: *const f32,
    ) -> [*const f32; BLOCKS] {
        let mut panels = [first; BLOCKS];
        for block in 1..BLOCKS {
            panels[block] = first.wrapping_add(block * VECTORS * S::LANES * F::words(self.depth));
        }
        panels
    }
}

/// The sums of some rows and some panels of `VECTORS` vectors, which lie in parts of `PART`.
///
/// # Safety
///
/// Each of `rows` is valid for reading as many numbers as the product is deep; so are the panels, which
/// are packed for `S`, have so many vectors, and lie in such parts.
#[inline(always)]
pub(super) unsafe fn sums<
    S: Simd,
    F: Written,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
    const PART: usize,
>(
    s: S,
    mut start: Sums<S::V, ROWS, BLOCKS, VECTORS>,
    rows: [*const f32; ROWS],
    panels: [*const f32; BLOCKS],
    Terms { written, depth, steps, chains }: Terms<F>,
    ahead: Ahead,
) -> Sums<S::V, ROWS, BLOCKS, VECTORS> {
    debug_assert!(!F::BYTES || steps == [0, depth], "bytes are summed at once");
    // SAFETY: passed on.
    unsafe {
        if const { PART == VECTORS } {
            let panels = Whole::new(written, panels, depth);
            if const { F::BYTES } || chains == 1 {
                accumulate(s, &mut start, rows, panels, steps, ahead);
                start
            } else {
                debug_assert_eq!(steps, [0, depth], "chains are whole");
                in_chains(s, start, rows, panels, [depth, chains])
            }
        } else {
            debug_assert!(chains == 1, "the chains of a panel in parts");
            let panels = Panels::<F, BLOCKS, VECTORS, PART>::new(written, panels, depth);
            accumulate(s, &mut start, rows, panels, steps, ahead);
            start
        }
    }
}

/// The sums of some panels, each in one piece, in several chains.
///
/// # Safety
///
/// Each of `rows` is valid for reading `depth` numbers, and there are as many weights.
#[inline(always)]
unsafe fn in_chains<
    S: Simd,
    F: Written,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
>(
    s: S,
    start: Sums<S::V, ROWS, BLOCKS, VECTORS>,
    rows: [*const f32; ROWS],
    panels: Whole<F, BLOCKS, VECTORS>,
    [depth, chains]: [usize; 2],
) -> Sums<S::V, ROWS, BLOCKS, VECTORS> {
    // SAFETY: passed on.
    unsafe {
        match chains {
            2 if const { ROWS * BLOCKS * VECTORS * 2 <= sums_together::<S>(ROWS) } => {
                let [a, b] =
                    together::<S, F, ROWS, BLOCKS, VECTORS, 2>(s, start, rows, panels, depth);
                add(s, a, b)
            }
            4 if const { ROWS * BLOCKS * VECTORS * 4 <= sums_together::<S>(ROWS) } => {
                let [a, b, c, d] =
                    together::<S, F, ROWS, BLOCKS, VECTORS, 4>(s, start, rows, panels, depth);
                add(s, add(s, a, b), add(s, c, d))
            }
            2 => in_turn::<S, F, ROWS, BLOCKS, VECTORS, 2>(s, start, rows, panels, depth),
            4 => in_turn::<S, F, ROWS, BLOCKS, VECTORS, 4>(s, start, rows, panels, depth),
            other => unreachable!("sums are 1, 2 or 4 chains, not {other}"),
        }
    }
}

/// Sums of all chains that a tile may have in [`together`]: a row alone all that there is room for,
/// rows together no more than hide each other's latency.
const fn sums_together<S: Simd>(rows: usize) -> usize {
    if rows == 1 { S::ACCUMULATORS } else { SUMS_AT_ONCE }
}

/// The partial sums of all chains in one loop, so that they overlap: for tiles so small that the
/// registers hold them all. Chain 0 starts from `start`, the others from zero.
///
/// # Safety
///
/// Each of `rows` is valid for reading `depth` numbers, and there are as many weights.
#[inline(always)]
unsafe fn together<
    S: Simd,
    F: Written,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
    const CHAINS: usize,
>(
    s: S,
    start: Sums<S::V, ROWS, BLOCKS, VECTORS>,
    rows: [*const f32; ROWS],
    panels: Whole<F, BLOCKS, VECTORS>,
    depth: usize,
) -> [Sums<S::V, ROWS, BLOCKS, VECTORS>; CHAINS] {
    let mut parts = [[[[s.splat(0.0); VECTORS]; BLOCKS]; ROWS]; CHAINS];
    parts[0] = start;
    let mut k = 0;
    // The word of k.
    let mut word = 0;
    while k + CHAINS <= depth {
        for chain in 0..CHAINS {
            // SAFETY: k + chain < depth, for which the caller vouches.
            unsafe { one_of_chain(s, &mut parts[chain], rows, panels, [word, chain]) };
        }
        k += CHAINS;
        word += CHAINS / F::IN_A_WORD;
    }
    for chain in 0..CHAINS - 1 {
        if k + chain < depth {
            // SAFETY: k + chain < depth, for which the caller vouches.
            unsafe { one_of_chain(s, &mut parts[chain], rows, panels, [word, chain]) };
        }
    }
    parts
}

/// Adds the products of one k to the sums of its chain; `word` is that of the first chain's.
///
/// # Safety
///
/// As [`accumulate_one`].
#[inline(always)]
unsafe fn one_of_chain<
    S: Simd,
    F: Written,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
>(
    s: S,
    sums: &mut Sums<S::V, ROWS, BLOCKS, VECTORS>,
    rows: [*const f32; ROWS],
    panels: Whole<F, BLOCKS, VECTORS>,
    [word, chain]: [usize; 2],
) {
    let word = word + chain / F::IN_A_WORD;
    // SAFETY: passed on.
    unsafe {
        if chain.is_multiple_of(2) {
            accumulate_one::<S, F, ROWS, BLOCKS, VECTORS, VECTORS, false>(
                s, sums, rows, panels, word,
            );
        } else {
            accumulate_one::<S, F, ROWS, BLOCKS, VECTORS, VECTORS, true>(
                s, sums, rows, panels, word,
            );
        }
    }
}

/// The sum of 2 or 4 chains, one after the other: for tiles whose own sums overlap already. The
/// same bits as [`together`].
///
/// # Safety
///
/// As [`together`].
#[inline(always)]
unsafe fn in_turn<
    S: Simd,
    F: Written,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
    const CHAINS: usize,
>(
    s: S,
    start: Sums<S::V, ROWS, BLOCKS, VECTORS>,
    rows: [*const f32; ROWS],
    panels: Whole<F, BLOCKS, VECTORS>,
    depth: usize,
) -> Sums<S::V, ROWS, BLOCKS, VECTORS> {
    let steps = [0, depth, CHAINS];
    // SAFETY: passed on.
    let total = unsafe { two_in_turn(s, start, rows, panels, steps) };
    if const { CHAINS == 2 } {
        return total;
    }
    let total = parked(s, total);
    let zero = [[[s.splat(0.0); VECTORS]; BLOCKS]; ROWS];
    // SAFETY: passed on.
    add(s, total, unsafe { two_in_turn(s, zero, rows, panels, [2, depth, CHAINS]) })
}

/// The sum of an even chain from `start` on, and of the one after it.
///
/// # Safety
///
/// As [`together`].
#[inline(always)]
unsafe fn two_in_turn<
    S: Simd,
    F: Written,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
>(
    s: S,
    start: Sums<S::V, ROWS, BLOCKS, VECTORS>,
    rows: [*const f32; ROWS],
    panels: Whole<F, BLOCKS, VECTORS>,
    [chain, depth, chains]: [usize; 3],
) -> Sums<S::V, ROWS, BLOCKS, VECTORS> {
    let (mut even, mut odd) = (start, [[[s.splat(0.0); VECTORS]; BLOCKS]; ROWS]);
    // SAFETY: passed on.
    unsafe {
        let steps = [chain, depth, chains];
        accumulate_chain::<S, F, ROWS, BLOCKS, VECTORS, VECTORS, false>(
            s, &mut even, rows, panels, steps,
        );
        let even = parked(s, even);
        let steps = [chain + 1, depth, chains];
        accumulate_chain::<S, F, ROWS, BLOCKS, VECTORS, VECTORS, true>(
            s, &mut odd, rows, panels, steps,
        );
        add(s, even, odd)
    }
}

/// The sums as they are, in memory: while they wait for others they take no registers.
#[inline(always)]
fn parked<S: Simd, const ROWS: usize, const BLOCKS: usize, const VECTORS: usize>(
    s: S,
    mut sums: Sums<S::V, ROWS, BLOCKS, VECTORS>,
) -> Sums<S::V, ROWS, BLOCKS, VECTORS> {
    for row in 0..ROWS {
        for block in 0..BLOCKS {
            for vector in 0..VECTORS {
                s.parked(&mut sums[row][block][vector]);
            }
        }
    }
    sums
}

#[inline(always)]
fn add<S: Simd, const ROWS: usize, const BLOCKS: usize, const VECTORS: usize>(
    s: S,
    mut a: Sums<S::V, ROWS, BLOCKS, VECTORS>,
    b: Sums<S::V, ROWS, BLOCKS, VECTORS>,
) -> Sums<S::V, ROWS, BLOCKS, VECTORS> {
    for row in 0..ROWS {
        for block in 0..BLOCKS {
            for vector in 0..VECTORS {
                a[row][block][vector] = s.add(a[row][block][vector], b[row][block][vector]);
            }
        }
    }
    a
}
