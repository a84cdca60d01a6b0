//! Random models with their data, through the public API only, and a judge that knows the truth.
//!
//! A [`Recipe`] (in `recipe.rs`) is what proptest draws and shrinks; it grows (in `growth.rs`) into a
//! [`Case`]: a model, and arrays to run it on. The judge (`judge/`) holds every node of the model
//! against f64.

#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod counted;
mod growth;
mod judge;
mod recipe;
mod variants;

#[allow(unused_imports, reason = "each test file uses a part")]
pub(crate) use growth::{layer, layer_with};
#[allow(unused_imports, reason = "each test file uses a part")]
pub(crate) use judge::judge;
#[allow(unused_imports, reason = "each test file uses a part")]
pub(crate) use recipe::{Extras, Kind, cells, layers, recipes};
#[allow(unused_imports, reason = "each test file uses a part")]
pub(crate) use variants::{Variant, all_layers, variants};

use proptest::prelude::*;
use ritornello::model::{
    Element, Extent, Input, Op, PadOutput, Recurrent, SequenceAxes, Shape, StateScope,
};
use ritornello::{Array, Isa, Model, Plan, PlanOptions, Session, Threads};

/// Numbers in [-1, 1) from a seed: xorshift64*.
pub(crate) fn noise(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let high = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        high as f32 / 8_388_608.0 - 1.0
    }
}

/// Named arrays, as runs take and give them.
pub(crate) type Arrays = Vec<(String, Array)>;

/// A model and what it is run on.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) model: Model,
    pub(crate) inputs: Arrays,
    /// Steps of every sequence of free length.
    pub(crate) time: usize,
    pub(crate) batch: usize,
}

impl Case {
    /// A plan for one thread.
    pub(crate) fn plan(&self, isa: Isa) -> Plan {
        plan(&self.model, isa)
    }

    /// Everything at once, from fresh states.
    pub(crate) fn run(&self, isa: Isa) -> Arrays {
        self.plan(isa).run(&named(&self.inputs)).expect("the inputs fit")
    }

    /// Steps `start..end` of every input of free length; the other inputs whole.
    pub(crate) fn steps(&self, start: usize, end: usize) -> Arrays {
        self.map_inputs(|input, array| match input.shape {
            Shape::Sequence { time: Extent::Input(_), .. } => {
                cut(array, time_axis(self.model.axes()), start, end)
            }
            _ => array.clone(),
        })
    }

    /// The rows of the batch that `rows` names, in its order.
    pub(crate) fn rows(&self, rows: &[usize]) -> Self {
        let inputs = self.map_inputs(|input, array| {
            pick(array, batch_axis(input.shape, self.model.axes()), rows)
        });
        Self { inputs, batch: rows.len(), ..self.clone() }
    }

    fn map_inputs(&self, map: impl Fn(&Input, &Array) -> Array) -> Arrays {
        let inputs = self.model.inputs().iter().zip(&self.inputs);
        inputs.map(|(input, (name, array))| (name.clone(), map(input, array))).collect()
    }

    /// The only input of a stream as a slice.
    pub(crate) fn stream(&self) -> &[f32] {
        self.inputs[0].1.as_f32().expect("a stream is of real numbers")
    }
}

/// A plan for one thread.
pub(crate) fn plan(model: &Model, isa: Isa) -> Plan {
    let options = PlanOptions::default().isa(isa).threads(Threads::one());
    model.plan(options).expect("the level is available")
}

pub(crate) fn named(arrays: &[(String, Array)]) -> Vec<(&str, &Array)> {
    arrays.iter().map(|(name, array)| (name.as_str(), array)).collect()
}

pub(crate) fn get<'a>(arrays: &'a [(String, Array)], name: &str) -> &'a Array {
    let found = arrays.iter().find(|(known, _)| known == name);
    &found.unwrap_or_else(|| panic!("no array {name}")).1
}

/// Runs arrays in a session.
pub(crate) fn run(session: &mut Session, inputs: &[(String, Array)]) -> Arrays {
    session.run_arrays(&named(inputs)).expect("the inputs fit")
}

/// Names, shapes and bits: for comparisons in which -0 differs from 0, and NaN, of whatever bits,
/// equals NaN.
pub(crate) fn bits(arrays: &[(String, Array)]) -> Vec<(String, Vec<usize>, Vec<u32>)> {
    let each = arrays.iter().map(|(name, array)| {
        let numbers = array.as_f32().expect("outputs are real");
        (name.clone(), array.shape().to_vec(), bits_of(numbers))
    });
    each.collect()
}

/// Likewise of numbers alone.
pub(crate) fn bits_of(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
}

/// Whether arrays are the same by [`bits`]; `Err` says where they differ first.
pub(crate) fn alike(found: &[(String, Array)], expected: &[(String, Array)]) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{} arrays, expected {}", found.len(), expected.len()));
    }
    for ((name, array), (other_name, other)) in found.iter().zip(expected) {
        let (shape, other_shape) = (array.shape(), other.shape());
        if name != other_name || shape != other_shape {
            return Err(format!("{name} {shape:?}, expected {other_name} {other_shape:?}"));
        }
        let [numbers, others] = [array, other].map(|array| array.as_f32().expect("real"));
        let differs = |(x, y): (&u32, &u32)| x != y;
        let Some(at) = bits_of(numbers).iter().zip(&bits_of(others)).position(differs) else {
            continue;
        };
        let (x, y) = (numbers[at], others[at]);
        return Err(format!(
            "{name} {shape:?} differs first in number {at}: {x:?}, expected {y:?}"
        ));
    }
    Ok(())
}

/// Fails where arrays differ first, and does not print the others.
#[track_caller]
pub(crate) fn assert_alike(found: &[(String, Array)], expected: &[(String, Array)], what: &str) {
    if let Err(difference) = alike(found, expected) {
        panic!("{what}: {difference}");
    }
}

pub(crate) fn time_axis(axes: SequenceAxes) -> usize {
    usize::from(axes == SequenceAxes::BatchTime)
}

/// Where the batch is in the caller's array of a value.
pub(crate) fn batch_axis(shape: Shape, axes: SequenceAxes) -> usize {
    match shape {
        Shape::Sequence { .. } => 1 - time_axis(axes),
        Shape::Vector { .. } => 0,
        Shape::States { .. } => 1,
    }
}

/// Places `start..end` of an axis.
pub(crate) fn cut(array: &Array, axis: usize, start: usize, end: usize) -> Array {
    pick(array, axis, &(start..end).collect::<Vec<_>>())
}

/// The places of an axis that `places` names, in its order.
pub(crate) fn pick(array: &Array, axis: usize, places: &[usize]) -> Array {
    let mut shape = array.shape().to_vec();
    let (length, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
    let outer: usize = shape[..axis].iter().product();
    shape[axis] = places.len();
    let starts = (0..outer)
        .flat_map(|o| places.iter().map(move |&place| (o * length + place) * inner))
        .collect::<Vec<_>>();
    let gathered = match (array.as_f32(), array.as_indices()) {
        (Some(x), _) => {
            Array::new(&shape, starts.iter().flat_map(|&s| x[s..s + inner].to_vec()).collect())
        }
        (_, Some(x)) => Array::from_indices(
            &shape,
            starts.iter().flat_map(|&s| x[s..s + inner].to_vec()).collect(),
        ),
        _ => unreachable!("an array is of one kind"),
    };
    gathered.expect("as many numbers as places")
}

/// Arrays behind each other along an axis.
pub(crate) fn join(parts: &[&Array], axis: usize) -> Array {
    let mut shape = parts[0].shape().to_vec();
    let outer: usize = shape[..axis].iter().product();
    shape[axis] = parts.iter().map(|part| part.shape()[axis]).sum();
    let mut values = Vec::new();
    for o in 0..outer {
        for part in parts {
            let block: usize = part.shape()[axis..].iter().product();
            values.extend_from_slice(&part.as_f32().expect("real")[o * block..][..block]);
        }
    }
    Array::new(&shape, values).expect("the parts fit")
}

/// A result for `proptest` of a check that says what is wrong.
pub(crate) fn passed(check: Result<(), String>) -> Result<(), TestCaseError> {
    check.map_err(TestCaseError::fail)
}

/// How many cases a property is tried on, or as many as `PROPTEST_CASES` asks for if those are more;
/// failures are printed, not written to disk.
pub(crate) fn cases(least: u32) -> ProptestConfig {
    let usual = ProptestConfig::default();
    let asked = if std::env::var_os("PROPTEST_CASES").is_some() { usual.cases } else { 0 };
    let cases = least.max(asked);
    let max_global_rejects = usual.max_global_rejects.max(10 * cases);
    ProptestConfig { cases, max_global_rejects, failure_persistence: None, ..usual }
}

/// Multiplications of one step of one row in one direction of a layer.
pub(crate) fn step_work(layer: &Recurrent) -> usize {
    layer.cell().gates().len() * layer.hidden_size() * (layer.input_size() + layer.state_size())
}

/// Whether a layer of the model keeps its state from run to run.
pub(crate) fn is_stateful(model: &Model) -> bool {
    let session = |layer: &Recurrent| layer.state_scope == StateScope::Session;
    model.nodes().iter().any(|node| matches!(&node.op, Op::Recurrent(layer) if session(layer)))
}

pub(crate) fn is_index(input: &Input) -> bool {
    input.element == Element::Index
}

/// Whether a layer shows its last output at steps that do not count.
pub(crate) fn holds(model: &Model) -> bool {
    model
        .nodes()
        .iter()
        .any(|node| matches!(&node.op, Op::Recurrent(layer) if layer.pad_output != PadOutput::Zero))
}
