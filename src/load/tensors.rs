//! Named tensors with a record of which were used, so that nothing in a file is ignored.

use std::cell::Cell;
use std::collections::BTreeMap;
#[cfg(feature = "safetensors")]
use std::{ops::Range, sync::Arc};

#[cfg(feature = "safetensors")]
use super::container::Float;
use crate::model::Matrix;
use crate::{Array, Error, Values};

/// The tensors of a file.
#[derive(Debug, Default)]
pub(crate) struct Tensors {
    entries: BTreeMap<String, Entry>,
    /// Whether those who wrote them chose their order.
    #[cfg_attr(
        not(any(feature = "safetensors", feature = "audio")),
        allow(dead_code, reason = "for drafts")
    )]
    ordered: bool,
    /// The tensors of some groups, in an order that the file gives.
    #[cfg(any(feature = "safetensors", feature = "audio"))]
    lists: BTreeMap<String, Vec<String>>,
}

#[derive(Debug)]
struct Entry {
    shape: Vec<usize>,
    data: Data,
    used: Cell<bool>,
    /// How many were added before.
    #[cfg_attr(
        not(any(feature = "safetensors", feature = "audio")),
        allow(dead_code, reason = "for drafts")
    )]
    place: usize,
}

/// What a tensor holds.
#[derive(Debug)]
pub(crate) enum Data {
    /// Numbers, by now f32.
    F32(Vec<f32>),
    /// Floats as they lie in the file, a part of its bytes. They are copied once, to where they are
    /// used.
    #[cfg(feature = "safetensors")]
    Bytes(Arc<Vec<u8>>, Range<usize>, Float),
    /// Indices, which no weight can be.
    #[cfg(feature = "safetensors")]
    Index(Vec<i32>),
    /// Something of this type, which no weight can be: a counter, say. It can only be passed over.
    Other(String),
}

/// One tensor, or an array a caller gave, under the name that messages use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TensorView<'a> {
    name: &'a str,
    shape: &'a [usize],
    values: Source<'a>,
}

/// The numbers of a tensor.
#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    F32(&'a [f32]),
    #[cfg(feature = "safetensors")]
    Bytes(&'a [u8], Float),
}

impl Source<'_> {
    /// The numbers in memory of their own.
    fn to_vec(self) -> Vec<f32> {
        match self {
            Self::F32(values) => values.to_vec(),
            #[cfg(feature = "safetensors")]
            Self::Bytes(bytes, float) => float.read(bytes),
        }
    }
}

impl Tensors {
    /// Takes arrays that a caller has in memory.
    #[cfg(any(feature = "safetensors", feature = "keras", feature = "audio"))]
    pub(crate) fn of_arrays(arrays: Vec<(String, Array)>) -> Result<Self, Error> {
        let mut tensors = Self { ordered: true, ..Self::default() };
        for (name, array) in arrays {
            let (shape, values) = array.into_parts();
            let data = match values {
                Values::F32(values) => Data::F32(values),
                Values::Index(_) => Data::Other("integer".into()),
            };
            tensors.insert(name, shape, data)?;
        }
        Ok(tensors)
    }

    /// Adds a tensor. Names are unique in every container.
    pub(crate) fn insert(
        &mut self,
        name: String,
        shape: Vec<usize>,
        data: Data,
    ) -> Result<(), Error> {
        if self.entries.contains_key(&name) {
            return Err(Error::DuplicateName { what: "tensor", name });
        }
        let place = self.entries.len();
        self.entries.insert(name, Entry { shape, data, used: Cell::new(false), place });
        Ok(())
    }

    /// Adds those of another file.
    #[cfg(all(feature = "keras", any(feature = "safetensors", feature = "audio")))]
    pub(crate) fn append(&mut self, other: Self) -> Result<(), Error> {
        let insert = |(name, entry): (String, Entry)| self.insert(name, entry.shape, entry.data);
        other.entries.into_iter().try_for_each(insert)
    }

    /// Whether the places of tensors are the order in which somebody wrote them down.
    #[cfg(any(feature = "safetensors", feature = "audio"))]
    pub(crate) fn are_ordered(&self) -> bool {
        self.ordered
    }

    /// Name, shape and place of all tensors, sorted by name.
    #[cfg(any(feature = "safetensors", feature = "audio"))]
    pub(crate) fn shapes(&self) -> impl Iterator<Item = (&str, &[usize], usize)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), &entry.shape[..], entry.place))
    }

    /// The names of all tensors.
    #[cfg(feature = "keras")]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Adds the order of a group's tensors.
    #[cfg(all(feature = "keras", any(feature = "safetensors", feature = "audio")))]
    pub(crate) fn list(&mut self, group: String, names: Vec<String>) {
        self.lists.insert(group, names);
    }

    /// The tensors of a group in the order that the file gives, if it gives one.
    #[cfg(any(feature = "safetensors", feature = "audio"))]
    pub(crate) fn listed(&self, group: &str) -> Option<&[String]> {
        self.lists.get(group).map(Vec::as_slice)
    }

    /// Whether there is such a tensor.
    #[cfg(any(feature = "safetensors", feature = "audio"))]
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The tensor `name`, which counts as used from now on.
    pub(crate) fn get(&self, name: &str, needed_by: &str) -> Result<TensorView<'_>, Error> {
        let Some((name, entry)) = self.entries.get_key_value(name) else {
            return Err(Error::MissingTensor {
                name: name.into(),
                needed_by: needed_by.into(),
                present: listed(self.entries.keys()),
            });
        };
        entry.used.set(true);
        let kind = match &entry.data {
            Data::F32(values) => {
                let values = Source::F32(values);
                return Ok(TensorView { name, shape: &entry.shape, values });
            }
            #[cfg(feature = "safetensors")]
            Data::Bytes(file, range, float) => {
                let values = Source::Bytes(&file[range.clone()], *float);
                return Ok(TensorView { name, shape: &entry.shape, values });
            }
            #[cfg(feature = "safetensors")]
            Data::Index(_) => "I32",
            Data::Other(kind) => kind,
        };
        Err(Error::Unsupported {
            what: format!("{needed_by}: tensor '{name}' of type {kind}"),
            advice: "weights are float32, float64, float16 or bfloat16".into(),
        })
    }

    /// The tensors whose names begin with `prefix`, by the rest of their names; they count as used
    /// from now on.
    #[cfg(feature = "safetensors")]
    pub(crate) fn take_arrays(&self, prefix: &str) -> Result<Vec<(String, Array)>, Error> {
        let named = self.entries.iter().filter_map(|(name, entry)| {
            let rest = name.strip_prefix(prefix)?;
            entry.used.set(true);
            Some((name, rest.to_owned(), entry))
        });
        let arrays = named.map(|(name, rest, entry)| {
            let array = match &entry.data {
                Data::F32(values) => Array::new(&entry.shape, values.clone()),
                Data::Bytes(file, range, float) => {
                    Array::new(&entry.shape, float.read(&file[range.clone()]))
                }
                Data::Index(values) => Array::from_indices(&entry.shape, values.clone()),
                Data::Other(kind) => Err(Error::Unsupported {
                    what: format!("tensor '{name}' of type {kind}"),
                    advice: "a self-test has float32, and int32 for indices".into(),
                }),
            };
            Ok((rest, array?))
        });
        arrays.collect()
    }

    /// The tensor `name` if there is one; it counts as used from now on.
    #[cfg(any(feature = "safetensors", feature = "audio"))]
    pub(crate) fn find(
        &self,
        name: &str,
        needed_by: &str,
    ) -> Result<Option<TensorView<'_>>, Error> {
        if self.contains(name) { self.get(name, needed_by).map(Some) } else { Ok(None) }
    }

    /// Counts every tensor for which `known` holds as used, those known to be no weights: whether
    /// there are any.
    pub(crate) fn pass_over(&self, known: impl Fn(&str) -> bool) -> bool {
        let mut any = false;
        for (_, entry) in self.entries.iter().filter(|(name, _)| known(name)) {
            entry.used.set(true);
            any = true;
        }
        any
    }

    /// Fails if a tensor was not used.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        let unused: Vec<&String> =
            self.entries.iter().filter(|(_, e)| !e.used.get()).map(|(name, _)| name).collect();
        if unused.is_empty() {
            return Ok(());
        }
        Err(Error::UnusedTensors { names: listed(unused) })
    }
}

/// The first names of a list, and how many more there are.
fn listed<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    const SHOWN: usize = 40;
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    match names.len() {
        0 => "no tensors".into(),
        1..=SHOWN => names.join(", "),
        more => format!("{}, and {} more", names[..SHOWN].join(", "), more - SHOWN),
    }
}

/// An axis a tensor should have: what it is, and its length where that is known.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    label: String,
    size: Option<usize>,
}

impl Axis {
    /// An axis of known length.
    pub(crate) fn of(label: impl Into<String>, size: usize) -> Self {
        Self { label: label.into(), size: Some(size) }
    }

    /// An axis of any length.
    pub(crate) fn any(label: impl Into<String>) -> Self {
        Self { label: label.into(), size: None }
    }

    /// The axis of all gates: `4×hidden=32`.
    pub(crate) fn gates(gates: usize, hidden_size: Option<usize>) -> Self {
        let label = if gates == 1 { "hidden".into() } else { format!("{gates}×hidden") };
        Self { label, size: hidden_size.map(|hidden| gates.saturating_mul(hidden)) }
    }

    /// The axis of one gate.
    pub(crate) fn hidden(hidden_size: Option<usize>) -> Self {
        Self::gates(1, hidden_size)
    }
}

impl std::fmt::Display for Axis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.size {
            Some(size) => write!(f, "{}={size}", self.label),
            None => f.write_str(&self.label),
        }
    }
}

impl<'a> TensorView<'a> {
    /// Views an array of numbers a caller gave.
    pub(crate) fn of_array(name: &'a str, array: &'a Array) -> Result<Self, Error> {
        match array.values() {
            Values::F32(values) => {
                Ok(Self { name, shape: array.shape(), values: Source::F32(values) })
            }
            Values::Index(_) => Err(Error::Shape {
                what: name.into(),
                expected: "real numbers".into(),
                found: "indices".into(),
            }),
        }
    }

    /// Its name.
    #[cfg(any(feature = "safetensors", feature = "audio"))]
    pub(crate) fn name(&self) -> &'a str {
        self.name
    }

    /// All numbers, the last axis fastest.
    #[cfg(any(feature = "safetensors", feature = "keras", feature = "audio"))]
    pub(crate) fn numbers(&self) -> Vec<f32> {
        self.values.to_vec()
    }

    /// The length of each axis.
    pub(crate) fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// Fails unless the axes are these.
    pub(crate) fn expect(&self, axes: &[Axis]) -> Result<(), Error> {
        let fits = self.shape.len() == axes.len()
            && self.shape.iter().zip(axes).all(|(&n, axis)| axis.size.is_none_or(|m| m == n));
        if fits {
            return Ok(());
        }
        let axes: Vec<String> = axes.iter().map(ToString::to_string).collect();
        Err(self.misfit(&format!("[{}]", axes.join(", "))))
    }

    /// The error that this tensor has another shape than `expected`.
    pub(crate) fn misfit(&self, expected: &str) -> Error {
        Error::Shape {
            what: format!("tensor '{}'", self.name),
            expected: expected.into(),
            found: format!("{:?}", self.shape),
        }
    }

    /// The values as the matrix `[rows, columns]` that they are.
    pub(crate) fn matrix(&self, rows: &Axis, columns: &Axis) -> Result<Matrix, Error> {
        self.expect(&[rows.clone(), columns.clone()])?;
        Matrix::new(self.shape[0], self.shape[1], self.values.to_vec())
    }

    /// The values, which are stored `[columns, rows]`, as the matrix `[rows, columns]`.
    pub(crate) fn transposed(&self, columns: &Axis, rows: &Axis) -> Result<Matrix, Error> {
        self.expect(&[columns.clone(), rows.clone()])?;
        Ok(Matrix::new(self.shape[0], self.shape[1], self.values.to_vec())?.transposed())
    }

    /// The values of the vector `[axis]`.
    pub(crate) fn vector(&self, axis: &Axis) -> Result<Vec<f32>, Error> {
        self.expect(std::slice::from_ref(axis))?;
        Ok(self.values.to_vec())
    }

    /// The two rows of the matrix `[2, axis]`.
    pub(crate) fn two_rows(&self, axis: &Axis) -> Result<[Vec<f32>; 2], Error> {
        self.expect(&[Axis::of("input and recurrent", 2), axis.clone()])?;
        let mut first = self.values.to_vec();
        let second = first.split_off(self.shape[1]);
        Ok([first, second])
    }
}
