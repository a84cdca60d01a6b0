//! Which tensors a node of a specification takes, by convention.

use super::grammar::{ConstantKind, Convention, Recurrence, RecurrentSpec, WeightsSpec};
use super::json::wrong;
use crate::Error;
use crate::load::convention::{keras, pytorch};
use crate::load::tensors::{Axis, TensorView, Tensors};
use crate::model::{
    Activation, Cell, CellWeights, Constant, Coupling, Dense, Direction, Embedding, Gru, GruReset,
    Matrix, RecurrentWeights, ScaleShift,
};

/// The weights of each direction of one layer.
pub(super) fn cells(
    tensors: &Tensors,
    weights: &WeightsSpec,
    spec: &RecurrentSpec,
    layer: usize,
    node: &str,
) -> Result<Vec<CellWeights>, Error> {
    let convention = weights.convention;
    let refuse = |problem: String| Err(wrong(node, problem));
    if spec.layers > 1 && convention != Convention::PyTorch {
        return refuse(format!(
            "the convention '{}' has one layer in a node; write {} nodes",
            convention.name(),
            spec.layers
        ));
    }
    let linear = convention == Convention::Linear;
    let identity = spec.recurrence == Recurrence::Identity;
    if identity != linear && (linear || convention != Convention::Ritornello) {
        return refuse(
            "\"recurrent\": \"identity\" and the convention \"linear\" go together: \
             h' = activation(weight x + bias + h)"
                .into(),
        );
    }
    if let Some(key) = own_only(spec).filter(|_| convention != Convention::Ritornello) {
        return refuse(format!(
            "the convention '{}' has no layout for \"{key}\"; 'ritornello' has one",
            convention.name()
        ));
    }
    if spec.proj_size.is_some() && matches!(convention, Convention::Keras | Convention::Linear) {
        return refuse(format!("the convention '{}' has no \"proj_size\"", convention.name()));
    }
    let named = Named { tensors, prefix: &weights.prefix, node };
    match convention {
        Convention::PyTorch => {
            (0..spec.direction.count()).map(|side| named.pytorch_cell(spec, layer, side)).collect()
        }
        Convention::Linear => {
            if spec.direction == Direction::Bidirectional {
                return refuse("the convention 'linear' has weights for one direction".into());
            }
            Ok(vec![named.linear_cell(spec.bias)?])
        }
        Convention::Keras => match spec.direction {
            Direction::Bidirectional => ["forward.", "backward."]
                .into_iter()
                .map(|side| named.keras_cell(spec, side))
                .collect(),
            _ => Ok(vec![named.keras_cell(spec, "")?]),
        },
        Convention::Ritornello => {
            let sides = ["", ".backward"].into_iter().take(spec.direction.count());
            let cells =
                sides.map(|side| named.own_cell(spec, side)).collect::<Result<Vec<_>, _>>()?;
            let unbiased = |c: &CellWeights| c.bias.is_none() && c.recurrent_bias.is_none();
            if spec.bias && cells.iter().all(unbiased) {
                named.get("bias")?;
            }
            Ok(cells)
        }
    }
}

/// A key of a layer that only this library's own layout of weights knows.
fn own_only(spec: &RecurrentSpec) -> Option<&'static str> {
    let coupled = matches!(spec.cell, Cell::Lstm(lstm) if lstm.coupling != Coupling::None);
    let keys = [
        ("coupling", coupled),
        ("peepholes", spec.peepholes),
        ("recurrent", spec.recurrence == Recurrence::Diagonal),
    ];
    keys.into_iter().find(|(_, said)| *said).map(|(key, _)| key)
}

/// A dense layer.
pub(super) fn dense(
    tensors: &Tensors,
    weights: &WeightsSpec,
    bias: bool,
    activation: Activation,
    node: &str,
) -> Result<Dense, Error> {
    let named = Named { tensors, prefix: &weights.prefix, node };
    let bias = if bias { Some(named.get("bias")?) } else { None };
    match weights.convention {
        Convention::PyTorch | Convention::Linear => {
            pytorch::linear_layer(named.get("weight")?, bias, activation)
        }
        Convention::Keras => keras::dense_layer(named.get("kernel")?, bias, None, activation),
        Convention::Ritornello => pytorch::linear_layer(named.get("weights")?, bias, activation),
    }
}

/// An embedding.
pub(super) fn embedding(
    tensors: &Tensors,
    weights: &WeightsSpec,
    node: &str,
) -> Result<Embedding, Error> {
    let named = Named { tensors, prefix: &weights.prefix, node };
    let table = named.get(match weights.convention {
        Convention::PyTorch | Convention::Linear => "weight",
        Convention::Keras => "embeddings",
        Convention::Ritornello => "table",
    })?;
    Ok(Embedding::new(table.matrix(&Axis::any("indices"), &Axis::any("features"))?))
}

/// Scale and shift, or batch normalisation folded into them.
pub(super) fn scale_shift(
    tensors: &Tensors,
    weights: &WeightsSpec,
    eps: Option<f64>,
    node: &str,
) -> Result<ScaleShift, Error> {
    let named = Named { tensors, prefix: &weights.prefix, node };
    let features = Axis::any("features");
    let vector = |name: &str| named.get(name)?.vector(&features);
    let vector_if = |name: &str| named.find(name)?.map(|view| view.vector(&features)).transpose();
    let fold = |[gamma, beta, mean, variance]: [&str; 4], default: f64| {
        let (gamma, beta) = (vector_if(gamma)?, vector_if(beta)?);
        let (mean, variance) = (vector(mean)?, vector(variance)?);
        let eps = eps.unwrap_or(default);
        ScaleShift::from_batch_norm(gamma.as_deref(), beta.as_deref(), &mean, &variance, eps)
    };
    match weights.convention {
        Convention::PyTorch => {
            let counter = format!("{}num_batches_tracked", weights.prefix);
            tensors.pass_over(|name| name == counter);
            fold(["weight", "bias", "running_mean", "running_var"], 1e-5)
        }
        Convention::Keras => fold(["gamma", "beta", "moving_mean", "moving_variance"], 1e-3),
        Convention::Ritornello if eps.is_some() => {
            Err(wrong(node, "eps belongs to batch normalisation; scale and shift have none"))
        }
        Convention::Ritornello => ScaleShift::new(vector("scale")?, vector("shift")?),
        Convention::Linear => Err(wrong(node, "the convention 'linear' has no scale and shift")),
    }
}

/// An array of the model. It may have the axis of a batch, of length 1, where its value has one.
pub(super) fn constant(
    tensors: &Tensors,
    kind: ConstantKind,
    tensor: &str,
    node: &str,
) -> Result<Constant, Error> {
    let view = tensors.get(tensor, node)?;
    let rows = |rows: usize, features: usize| Matrix::new(rows, features, view.numbers());
    match (kind, view.shape()) {
        (ConstantKind::Vector, [_] | [1, _]) => Ok(Constant::vector(view.numbers())),
        (ConstantKind::States, &[count, features] | &[count, 1, features]) => {
            Ok(Constant::states(rows(count, features)?))
        }
        (
            ConstantKind::Sequence,
            &[time, features] | &[1, time, features] | &[time, 1, features],
        ) => Ok(Constant::sequence(rows(time, features)?)),
        _ => Err(view.misfit(match kind {
            ConstantKind::Vector => "[features] or [batch=1, features]",
            ConstantKind::States => "[states, features] or [states, batch=1, features]",
            ConstantKind::Sequence => "[time, features], with batch=1 in it or not",
        })),
    }
}

/// The tensors behind one prefix.
struct Named<'a> {
    tensors: &'a Tensors,
    prefix: &'a str,
    node: &'a str,
}

impl<'a> Named<'a> {
    fn get(&self, name: &str) -> Result<TensorView<'a>, Error> {
        self.tensors.get(&format!("{}{name}", self.prefix), self.node)
    }

    fn find(&self, name: &str) -> Result<Option<TensorView<'a>>, Error> {
        self.tensors.find(&format!("{}{name}", self.prefix), self.node)
    }

    /// `weight_ih_l0_reverse` and its like; a cell has the same names without `_l0`.
    fn pytorch_cell(
        &self,
        spec: &RecurrentSpec,
        layer: usize,
        side: usize,
    ) -> Result<CellWeights, Error> {
        if matches!(spec.cell, Cell::Gru(Gru { reset: GruReset::BeforeMatmul, .. })) {
            let problem =
                "a GRU of PyTorch resets after the product; \"reset\": \"before\" is not its";
            return Err(wrong(self.node, problem));
        }
        let mut suffix = format!("_l{layer}");
        if side == 1 {
            suffix.push_str("_reverse");
        }
        let with_layer = format!("{}weight_ih{suffix}", self.prefix);
        let without = format!("{}weight_ih", self.prefix);
        let one = spec.layers == 1 && spec.direction.count() == 1;
        if one && !self.tensors.contains(&with_layer) && self.tensors.contains(&without) {
            suffix.clear();
        }
        let get = |name: &str| self.get(&format!("{name}{suffix}"));
        let biases = if spec.bias { Some((get("bias_ih")?, get("bias_hh")?)) } else { None };
        let projection = self.find(&format!("weight_hr{suffix}"))?;
        if projection.is_none() && spec.proj_size.is_some() {
            get("weight_hr")?;
        }
        let tensors = pytorch::CellTensors {
            weight_ih: get("weight_ih")?,
            weight_hh: get("weight_hh")?,
            biases,
            weight_hr: projection,
        };
        pytorch::cell_weights(spec.cell, tensors, spec.hidden_size)
    }

    /// A linear layer in front of a state that is added as it is.
    fn linear_cell(&self, bias: bool) -> Result<CellWeights, Error> {
        let bias = if bias { Some(self.get("bias")?) } else { None };
        let linear = pytorch::linear_layer(self.get("weight")?, bias, Activation::Linear)?;
        Ok(CellWeights {
            bias: linear.bias().map(<[f32]>::to_vec),
            ..CellWeights::new(linear.weights().clone(), RecurrentWeights::Identity)
        })
    }

    fn keras_cell(&self, spec: &RecurrentSpec, side: &str) -> Result<CellWeights, Error> {
        let get = |name: &str| self.get(&format!("{side}{name}"));
        let bias = if spec.bias { Some(get("bias")?) } else { None };
        let (kernel, recurrent) = (get("kernel")?, get("recurrent_kernel")?);
        keras::cell_weights(spec.cell, kernel, recurrent, bias, spec.hidden_size)
    }

    /// The layout of the model itself.
    fn own_cell(&self, spec: &RecurrentSpec, side: &str) -> Result<CellWeights, Error> {
        let gates = spec.cell.gates().len();
        let rows = Axis::gates(gates, spec.hidden_size);
        let get = |name: &str| self.get(&format!("{name}{side}"));
        let vector = |name: &str| -> Result<_, Error> {
            match self.find(&format!("{name}{side}"))? {
                Some(view) if spec.bias => Ok(Some(view.vector(&rows)?)),
                Some(view) => {
                    let problem = format!("\"bias\" is false, but there is '{}'", view.name());
                    Err(wrong(self.node, problem))
                }
                None => Ok(None),
            }
        };
        let hidden = Axis::hidden(spec.hidden_size);
        let projection = match spec.proj_size {
            Some(size) => Some(get("projection")?.matrix(&Axis::of("state", size), &hidden)?),
            None => None,
        };
        let recurrent = match spec.recurrence {
            Recurrence::Identity => RecurrentWeights::Identity,
            Recurrence::Diagonal => {
                RecurrentWeights::Diagonal(get("recurrent_weights")?.vector(&rows)?)
            }
            Recurrence::Matrix => {
                let state = spec.proj_size.map_or(hidden, |size| Axis::of("state", size));
                RecurrentWeights::Matrix(get("recurrent_weights")?.matrix(&rows, &state)?)
            }
        };
        let peepholes = match spec.cell {
            Cell::Lstm(lstm) if spec.peepholes => {
                let axis = Axis::gates(lstm.peephole_gates().len(), spec.hidden_size);
                Some(get("peepholes")?.vector(&axis)?)
            }
            _ => None,
        };
        let input = get("input_weights")?.matrix(&rows, &Axis::any("input"))?;
        let (bias, recurrent_bias) = (vector("bias")?, vector("recurrent_bias")?);
        Ok(CellWeights { input, recurrent, bias, recurrent_bias, peepholes, projection })
    }
}
