//! The only call of `matrixmultiply`.

/// `sums[batch, rows] += vectors[batch, columns] × matrix[columns, rows]`
pub(super) fn product(vectors: &[f32], matrix: &[f32], sums: &mut [f32], rows: usize) {
    let columns = matrix.len() / rows;
    let batch = vectors.len() / columns;
    assert_eq!(matrix.len(), columns * rows, "a matrix [columns, rows]");
    assert_eq!(vectors.len(), batch * columns, "vectors [batch, columns]");
    assert_eq!(sums.len(), batch * rows, "sums [batch, rows]");
    let stride = |length: usize| isize::try_from(length).expect("a length of a slice");
    // SAFETY: the assertions above say that the three slices are row-major matrices of these
    // sizes; `sums` is borrowed exclusively and so overlaps neither operand.
    unsafe {
        matrixmultiply::sgemm(
            batch,
            columns,
            rows,
            1.0,
            vectors.as_ptr(),
            stride(columns),
            1,
            matrix.as_ptr(),
            stride(rows),
            1,
            1.0,
            sums.as_mut_ptr(),
            stride(rows),
            1,
        );
    }
}
