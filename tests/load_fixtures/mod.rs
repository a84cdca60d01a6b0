//! What the tests of loading share: the fixtures, and the comparison of a model with its cases.

#![allow(dead_code, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};

use ritornello::load::npz;
use ritornello::model::{Element, Extent, Model, SequenceAxes, Shape};

/// The folders under `tests/fixtures` that hold `file`, sorted.
pub(crate) fn folders_with(file: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&root)
        .expect("tests/fixtures can be read")
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|folder| folder.join(file).is_file())
        .collect();
    folders.sort();
    assert!(!folders.is_empty(), "no fixture under {} holds {file}", root.display());
    folders
}

/// One fixture's file.
pub(crate) fn fixture(name: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).join(file)
}

/// A path for a file that this test writes.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    folder.join(format!("{}-{name}", std::process::id()))
}

/// Saves the model and loads it again: the same, with the same bits.
pub(crate) fn assert_round_trip(model: &Model, name: &str) {
    let path = scratch(&format!("{name}.safetensors"));
    ritornello::load::save(model, &path).unwrap_or_else(|e| panic!("{name} is saved: {e}"));
    let again = ritornello::load(&path).unwrap_or_else(|e| panic!("{name} is read back: {e}"));
    std::fs::remove_file(&path).unwrap();
    assert!(*model == again, "{name} read back is another model");
}

/// The shape an array has with this batch and this number of steps.
fn sizes(
    shape: Shape,
    element: Element,
    axes: SequenceAxes,
    batch: usize,
    time: usize,
) -> Vec<usize> {
    let mut sizes = match shape {
        Shape::Sequence { time: extent, .. } => {
            let time = if let Extent::Fixed(steps) = extent { steps } else { time };
            if axes == SequenceAxes::BatchTime { vec![batch, time] } else { vec![time, batch] }
        }
        Shape::Vector { .. } => vec![batch],
        Shape::States { count, .. } => vec![count, batch],
    };
    if element == Element::F32 {
        sizes.push(shape.features());
    }
    sizes
}

/// Holds names and shapes of a model's inputs and outputs against those in a case.
///
/// `states` lets an output `[1, batch, features]` be `[batch, features]` in the case, as in Keras.
pub(crate) fn assert_fits_case(model: &Model, case: &Path) {
    let arrays = npz::read(case).unwrap();
    let shape_of = |key: &str| {
        let found = arrays.iter().find(|(name, _)| name == key);
        found.unwrap_or_else(|| panic!("{}: no {key}", case.display())).1.array.shape().to_vec()
    };
    assert_eq!(arrays.len(), model.inputs().len() + model.outputs().len(), "{}", case.display());
    let time_axis = usize::from(model.axes() == SequenceAxes::BatchTime);
    let mut batch = None;
    let mut times = Vec::new();
    for input in model.inputs() {
        let found = shape_of(&format!("input.{}", input.name));
        let (batch_axis, time) = match input.shape {
            Shape::Sequence { .. } => (1 - time_axis, found[time_axis]),
            Shape::Vector { .. } => (0, 0),
            Shape::States { .. } => (1, 0),
        };
        let rows = *batch.get_or_insert(found[batch_axis]);
        times.push(time);
        let expected = sizes(input.shape, input.element, model.axes(), rows, time);
        assert_eq!(found, expected, "{}: input {}", case.display(), input.name);
    }
    for output in model.outputs() {
        let shape = model.shape(output.value).unwrap();
        let time = match shape {
            Shape::Sequence { time: Extent::Input(input), .. } => times[input],
            _ => 0,
        };
        let expected = sizes(shape, Element::F32, model.axes(), batch.unwrap(), time);
        let found = shape_of(&format!("output.{}", output.name));
        assert_eq!(found, expected, "{}: output {}", case.display(), output.name);
    }
}
