//! `matrixmultiply` behind the projection's interface: the portable level's large products.
//!
//! It detects vector instructions itself, packs both operands on every call, and sums each K-block
//! from zero; an element's sum does not depend on how many rows share the call.

use super::ProjectArgs;

/// Multiplies every row by weights that are laid out as one matrix `[depth, width]`.
///
/// # Panics
///
/// If the output does not have all columns.
pub(crate) fn project_by_matrixmultiply(args: &mut ProjectArgs<'_>) {
    let (depth, width) = (args.weights.depth, args.weights.layout.width());
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
    // One call for all rows of a step, or for all steps of a row, whichever makes fewer calls; rows at
    // no even distance go one by one.
    let steps_outside = time <= batch && args.input.is_even();
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
        // a row of the input has `depth` numbers, one of the output `width`, the weights both.
        unsafe {
            let (a_stride, c_stride) = (a_next.offset_from(a), c_next.offset_from(c));
            let b = args.weights.weights.as_ptr();
            let b_stride = width.cast_signed();
            matrixmultiply::sgemm(
                rows, depth, width, 1.0, a, a_stride, 1, b, b_stride, 1, 1.0, c, c_stride, 1,
            );
        }
    }
}
