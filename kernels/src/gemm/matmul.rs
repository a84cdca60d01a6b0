//! `matrixmultiply` behind the projection's interface: the portable level's large products.
//!
//! It detects vector instructions itself, packs both operands on every call, and sums each K-block
//! from zero; an element's sum does not depend on how many rows share the call.

use super::ProjectArgs;
use crate::tuning::ROWS_OF_A_CALL;

/// Multiplies every row by weights that are laid out as one matrix `[depth, width]`.
///
/// # Panics
///
/// If the output does not have all columns.
pub(crate) fn project_by_matrixmultiply(args: &mut ProjectArgs<'_>) {
    let width = args.weights.layout.width();
    assert_eq!(args.output.features(), width, "columns of a projection's output");
    let (time, batch) = (args.input.time(), args.input.batch());
    for t in 0..time {
        for b in 0..batch {
            args.output.row_mut(t, b).copy_from_slice(&args.weights.bias);
        }
    }
    if time == 0 || batch == 0 {
        return;
    }
    if !args.input.is_even() {
        scattered(args);
        return;
    }
    // One call for all rows of a step, or for all steps of a row, whichever makes fewer calls.
    let steps_outside = time <= batch;
    let (calls, rows) = if steps_outside { (time, batch) } else { (batch, time) };
    let second = usize::from(rows > 1);
    for call in 0..calls {
        let place = |row: usize| if steps_outside { (call, row) } else { (row, call) };
        let (first, next) = (place(0), place(second));
        let a = args.input.row_start(first.0, first.1);
        let a_next = args.input.row_start(next.0, next.1);
        let c = args.output.row_start(first.0, first.1);
        let c_next = args.output.row_start(next.0, next.1);
        // SAFETY: row 0 and row 1 lie in the same views, and all rows are as far apart as these two;
        // a row of the input has `depth` numbers, one of the output `width`.
        unsafe {
            let (a_stride, c_stride) = (a_next.offset_from(a), c_next.offset_from(c));
            multiply(args, rows, (a, a_stride), (c, c_stride));
        }
    }
}

/// Rows at no even distance are brought together, some at a time: the weights are packed on every call.
fn scattered(args: &mut ProjectArgs<'_>) {
    let depth = args.weights.depth;
    let mut gathered = vec![0.0_f32; ROWS_OF_A_CALL.min(args.input.batch()) * depth];
    for t in 0..args.input.time() {
        for first in (0..args.input.batch()).step_by(ROWS_OF_A_CALL) {
            let rows = ROWS_OF_A_CALL.min(args.input.batch() - first);
            for (b, row) in gathered.chunks_exact_mut(depth).take(rows).enumerate() {
                row.copy_from_slice(args.input.row(t, first + b));
            }
            let c = args.output.row_start(t, first);
            let c_next = args.output.row_start(t, first + usize::from(rows > 1));
            // SAFETY: `rows` rows of `depth` numbers are gathered one behind the other; all rows of a
            // step of the output are as far apart as these two, and have `width` numbers.
            unsafe {
                let c_stride = c_next.offset_from(c);
                multiply(args, rows, (gathered.as_ptr(), depth.cast_signed()), (c, c_stride));
            }
        }
    }
}

/// Adds the products of rows `a` to rows `c`, each with the distance of its rows.
///
/// # Safety
///
/// There are `rows` rows of `a` of `depth` numbers and as many of `c` of `width`, which nobody else
/// uses.
unsafe fn multiply(
    args: &ProjectArgs<'_>,
    rows: usize,
    (a, a_stride): (*const f32, isize),
    (c, c_stride): (*mut f32, isize),
) {
    let (depth, width) = (args.weights.depth, args.weights.layout.width());
    let (b, b_stride) = (args.weights.weights.as_ptr(), width.cast_signed());
    // SAFETY: passed on; the weights are `[depth, width]`.
    unsafe {
        matrixmultiply::sgemm(
            rows, depth, width, 1.0, a, a_stride, 1, b, b_stride, 1, 1.0, c, c_stride, 1,
        );
    }
}
