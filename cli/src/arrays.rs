//! Arrays and files: what is read for a model, what its axes are called, what is written.

use std::path::{Path, PathBuf};

use ritornello::load::{npy, npz};
use ritornello::model::{Element, Extent, Model, SequenceAxes, Shape, ShownAxis};
use ritornello::plan::PlannedOutput;
use ritornello::{Array, Plan};

use crate::failure::{Blame, Failure};
use crate::output::Console;

/// Arrays with their names.
pub(crate) type Named = Vec<(String, Array)>;

/// The two kinds of files that hold arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One array without a name.
    Npy,
    /// Arrays with names.
    Npz,
}

impl Kind {
    /// The kind that a file's extension says.
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        let extension = path.extension().and_then(|text| text.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "npy" => Ok(Self::Npy),
            "npz" => Ok(Self::Npz),
            _ => Err(Failure::usage(format!(
                "{}: the extension is '{extension}', expected npy or npz",
                path.display()
            ))),
        }
    }
}

/// Where outputs go.
#[derive(Debug)]
pub(crate) struct Destination {
    path: PathBuf,
    kind: Kind,
}

impl Destination {
    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        Ok(Self { path: path.to_owned(), kind: Kind::of(path)? })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that a model's outputs can go there.
    pub(crate) fn check(&self, model: &Model) -> Result<(), Failure> {
        let names: Vec<&str> = model.outputs().iter().map(|output| output.name.as_str()).collect();
        if self.kind == Kind::Npz || names.len() == 1 {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "{}: an .npy file holds one array, and the model has {} outputs ({}); write an .npz",
            self.path.display(),
            names.len(),
            names.join(", ")
        )))
    }

    pub(crate) fn write(&self, outputs: &Named) -> Result<(), Failure> {
        let written = match self.kind {
            Kind::Npy => npy::write(&self.path, &outputs[0].1),
            Kind::Npz => npz::write(&self.path, outputs),
        };
        written.blame_output()
    }
}

/// Reads the inputs of a model: an `.npy` for its only one, or an `.npz` with names.
pub(crate) fn read_inputs(path: &Path, model: &Model, console: Console) -> Result<Named, Failure> {
    if Kind::of(path)? == Kind::Npz {
        return read_npz(path, console);
    }
    let [input] = model.inputs() else {
        let names: Vec<&str> = model.inputs().iter().map(|input| input.name.as_str()).collect();
        return Err(Failure::data(format!(
            "{}: an .npy file holds one array, and the model has {} inputs ({}); give an .npz with \
             an array for each",
            path.display(),
            names.len(),
            names.join(", ")
        )));
    };
    let read = npy::read(path).blame_data()?;
    say_cast(&input.name, &read, console);
    Ok(vec![(input.name.clone(), read.array)])
}

/// Reads an `.npz` file.
pub(crate) fn read_npz(path: &Path, console: Console) -> Result<Named, Failure> {
    let arrays = npz::read(path).blame_data()?;
    let named = arrays.into_iter().map(|(name, read)| {
        say_cast(&name, &read, console);
        (name, read.array)
    });
    Ok(named.collect())
}

fn say_cast(name: &str, read: &npy::NpyArray, console: Console) {
    if read.cast_from.as_deref() == Some("float64") {
        console.note(&format!("{name}: float64 was rounded to float32"));
    }
}

/// The same arrays as the library takes them.
pub(crate) fn by_name(arrays: &Named) -> Vec<(&str, &Array)> {
    arrays.iter().map(|(name, array)| (name.as_str(), array)).collect()
}

/// What an axis of a model's array counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Batch,
    /// None: as long as the sequence that is given.
    Time(Option<usize>),
    States(usize),
    Features(usize),
}

impl Axis {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Time(_) => "time",
            Self::States(_) => "states",
            Self::Features(_) => "features",
        }
    }
}

/// The axes of the array for an input or an output.
pub(crate) fn axes(shape: Shape, element: Element, order: SequenceAxes) -> Vec<Axis> {
    match shape {
        Shape::Sequence { time, features } => {
            let time = Axis::Time(match time {
                Extent::Fixed(steps) => Some(steps),
                Extent::Input(_) => None,
            });
            let mut axes = match order {
                SequenceAxes::BatchTime => vec![Axis::Batch, time],
                SequenceAxes::TimeBatch => vec![time, Axis::Batch],
            };
            if element == Element::F32 {
                axes.push(Axis::Features(features));
            }
            axes
        }
        Shape::Vector { features } => vec![Axis::Batch, Axis::Features(features)],
        Shape::States { count, features } => {
            vec![Axis::States(count), Axis::Batch, Axis::Features(features)]
        }
    }
}

/// The axes of a plan's output.
pub(crate) fn output_axes(plan: &Plan, output: &PlannedOutput) -> Vec<Axis> {
    named(output.shape, Element::F32, plan.axes(), &output.axes)
}

/// The axes of a plan's input.
pub(crate) fn input_axes(plan: &Plan, index: usize) -> Vec<Axis> {
    let input = &plan.inputs()[index];
    named(input.shape, input.element, plan.axes(), plan.input_axes(index))
}

/// The axes by name: those of the shape, unless the model shows others.
fn named(shape: Shape, element: Element, order: SequenceAxes, shown: &[ShownAxis]) -> Vec<Axis> {
    if shown == shape.shown(element, order) {
        return axes(shape, element, order);
    }
    let named = |axis: &ShownAxis| match *axis {
        ShownAxis::Batch => Axis::Batch,
        ShownAxis::Time => Axis::Time(None),
        ShownAxis::Length(length) => Axis::Features(length),
    };
    shown.iter().map(named).collect()
}

/// `[batch, time, 16]`.
pub(crate) fn axes_text(axes: &[Axis]) -> String {
    let words = axes.iter().map(|axis| match *axis {
        Axis::Batch | Axis::Time(None) => axis.name().to_owned(),
        Axis::Time(Some(steps)) => format!("time={steps}"),
        Axis::States(count) => format!("states={count}"),
        Axis::Features(features) => features.to_string(),
    });
    format!("[{}]", words.collect::<Vec<_>>().join(", "))
}

/// The name of an axis, or its length if the model fixes it: as in a spec.
pub(crate) fn axis_object(axis: Axis) -> serde_json::Value {
    match axis {
        Axis::Batch | Axis::Time(None) => axis.name().into(),
        Axis::Time(Some(length)) | Axis::States(length) | Axis::Features(length) => length.into(),
    }
}

/// `[batch=2, time=100, features=16]`.
pub(crate) fn shape_text(axes: &[Axis], shape: &[usize]) -> String {
    let words = axes.iter().zip(shape).map(|(axis, length)| format!("{}={length}", axis.name()));
    format!("[{}]", words.collect::<Vec<_>>().join(", "))
}
