//! Dense layers and batch normalisation.

use super::Reason;
use super::call::Call;
use super::known::Known;
use super::reader::Reader;
use super::tensor::Tensor;
use super::view::{View, row};
use crate::model::{Activation, Dense, Matrix, Op, ScaleShift};

/// Puts a dense layer on the rows of a view.
fn dense<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
    weights: Matrix,
    bias: Option<Vec<f32>>,
) -> Result<Vec<Known>, Reason> {
    let view = reader.data_or_rows(call, 0)?;
    let view = reader.rows(&view)?;
    if view.index {
        return Err(Reason("it multiplies indices".into()));
    }
    let last = view.rank() - 1;
    let found = view.shape(&reader.axes)?[last].as_number();
    if found != i64::try_from(weights.columns()).ok() {
        return Err(Reason(format!(
            "its input has {} features, its weights are [{}, {}]",
            view.shape(&reader.axes)?[last],
            weights.columns(),
            weights.rows()
        )));
    }
    let outputs = weights.rows();
    let op = Op::Dense(Dense::new(weights, bias, Activation::Linear)?);
    let value = reader.emit(call.name(), op, &[view.value]);
    let mut axes = view.axes;
    axes[last] = row(outputs, 1);
    Ok(vec![Known::Data(View::new(value, view.form, outputs, axes))])
}

/// A matrix `[rows, columns]` of a constant, the other way round if it is stored so.
fn matrix(tensor: &Tensor, transposed: bool) -> Result<Matrix, Reason> {
    let [first, second] = tensor.dims[..] else {
        return Err(Reason(format!("its weights have the shape {:?}, not two axes", tensor.dims)));
    };
    let values = tensor.reals()?;
    Ok(if transposed {
        Matrix::from_transposed(second, first, values)?
    } else {
        Matrix::new(first, second, values.to_vec())?
    })
}

pub(super) fn matmul<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
) -> Result<Vec<Known>, Reason> {
    call.at_most(2)?;
    let weights = call.constant(1)?;
    reader.spend(weights.dims.iter().product())?;
    let weights = matrix(&weights, true)?;
    dense(reader, call, weights, None)
}

pub(super) fn gemm<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
) -> Result<Vec<Known>, Reason> {
    call.at_most(3)?;
    let alpha = call.float("alpha")?.unwrap_or(1.0);
    let beta = call.float("beta")?.unwrap_or(1.0);
    if call.int("transA")?.unwrap_or(0) != 0 {
        return Err(Reason("transA: it multiplies along the batch".into()));
    }
    let transposed = call.int("transB")?.unwrap_or(0) == 0;
    let weights = call.constant(1)?;
    reader.spend(weights.dims.iter().product())?;
    let mut weights = matrix(&weights, transposed)?;
    if alpha != 1.0 {
        let scaled = weights.values().iter().map(|weight| alpha * weight).collect();
        weights = Matrix::new(weights.rows(), weights.columns(), scaled)?;
    }
    let bias = match call.optional(2) {
        None => None,
        Some(_) => {
            let bias = vector(&*call.constant(2)?, weights.rows())?;
            Some(bias.into_iter().map(|bias| beta * bias).collect())
        }
    };
    dense(reader, call, weights, bias)
}

/// One number for each of `count` features, from a constant that is broadcast to rows of them.
pub(super) fn vector(tensor: &Tensor, count: usize) -> Result<Vec<f32>, Reason> {
    let values = tensor.reals()?;
    let (last, others) = match tensor.dims.split_last() {
        None => (1, &[][..]),
        Some((&last, others)) => (last, others),
    };
    match (others.iter().all(|&length| length == 1), last) {
        (true, 1) => Ok(vec![values[0]; count]),
        (true, last) if last == count => Ok(values.to_vec()),
        _ => {
            Err(Reason(format!("a constant of shape {:?} goes with {count} features", tensor.dims)))
        }
    }
}

pub(super) fn batch_normalization(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
) -> Result<Vec<Known>, Reason> {
    call.at_most(5)?;
    let epsilon = call.float("epsilon")?.unwrap_or(1e-5);
    call.float("momentum")?;
    if call.int("training_mode")?.unwrap_or(0) != 0 || call.int("spatial")?.unwrap_or(1) != 1 {
        return Err(Reason(
            "it normalises over the batch itself (training_mode, or spatial)".into(),
        ));
    }
    if (1..call.results()).any(|index| call.has_result(index)) {
        return Err(Reason("its statistics are used".into()));
    }
    let view = call.data(0)?.clone();
    // The second axis has the channels, whatever stands behind it.
    if view.rank() < 2 {
        return Err(Reason("its input has no second axis".into()));
    }
    let order: Vec<usize> = (0..view.rank()).filter(|&axis| axis != 1).chain([1]).collect();
    let view = reader.rows(&view.transposed(&order))?;
    let [gamma, beta, mean, variance] = [1, 2, 3, 4].map(|index| call.constant(index));
    let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
    reader.spend(4 * view.features)?;
    let affine = ScaleShift::from_batch_norm(
        Some(gamma.reals()?),
        Some(beta.reals()?),
        mean.reals()?,
        variance.reals()?,
        f64::from(epsilon),
    )?;
    if affine.scale().len() != view.features {
        return Err(Reason(format!(
            "it has {} channels, its input {} features",
            affine.scale().len(),
            view.features
        )));
    }
    let value = reader.emit(call.name(), Op::ScaleShift(affine), &[view.value]);
    let last = view.rank() - 1;
    let back: Vec<usize> = [0, last].into_iter().chain(1..last).collect();
    let result = View { value, sole: true, ..view }.transposed(&back);
    Ok(vec![Known::Data(result), Known::Refused, Known::Refused, Known::Refused, Known::Refused])
}
