//! What the pickles of PyTorch import, as far as weights need it: storages, and tensors that are
//! views of them.

use super::half;
use super::pickle::{Heap, Id, Made, Maker, Object};
use super::torch::SAVE;
use crate::Error;
use crate::load::tensors::Data;

/// The type of a storage's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    F16,
    Bf16,
    F32,
    F64,
    /// Numbers that are no weights: their name, and the bytes of one.
    Other(&'static str, usize),
}

/// The storages by their names in Python.
const STORAGES: [(&str, Kind); 11] = [
    ("torch.HalfStorage", Kind::F16),
    ("torch.BFloat16Storage", Kind::Bf16),
    ("torch.FloatStorage", Kind::F32),
    ("torch.DoubleStorage", Kind::F64),
    ("torch.LongStorage", Kind::Other("int64", 8)),
    ("torch.IntStorage", Kind::Other("int32", 4)),
    ("torch.ShortStorage", Kind::Other("int16", 2)),
    ("torch.CharStorage", Kind::Other("int8", 1)),
    ("torch.ByteStorage", Kind::Other("uint8", 1)),
    ("torch.BoolStorage", Kind::Other("bool", 1)),
    ("torch.ComplexFloatStorage", Kind::Other("complex64", 8)),
];

const REBUILD_TENSOR: &str = "torch._utils._rebuild_tensor_v2";
const REBUILD_PARAMETER: &str = "torch._utils._rebuild_parameter";

/// Calls whose result has no tensors that a model needs.
const PASSED_OVER: [&str; 3] = ["torch.device", "torch.Size", "collections.Counter"];

/// Types as values.
const TYPES: [&str; 6] = [
    "torch.float32",
    "torch.float64",
    "torch.float16",
    "torch.bfloat16",
    "torch.int64",
    "torch.bool",
];

impl Kind {
    /// The bytes of one number.
    pub(super) fn size(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Other(_, size) => size,
        }
    }
}

/// What a call in a pickle of PyTorch makes.
#[derive(Debug)]
pub(super) enum Part {
    Storage(Storage),
    Tensor(Tensor),
    /// A parameter: the tensor at this place.
    Parameter(Id),
    /// What is passed over.
    Nothing,
}

/// Numbers behind each other, which stand outside the pickle.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    pub(super) kind: Kind,
    pub(super) key: String,
    /// How many numbers it has.
    pub(super) count: usize,
}

/// A view of a storage.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) storage: Storage,
    offset: usize,
    pub(super) shape: Vec<usize>,
    strides: Vec<usize>,
}

/// Makes them, and remembers the storages.
#[derive(Default)]
pub(super) struct Torch {
    pub(super) storages: Vec<Storage>,
}

fn broken(problem: impl Into<String>) -> Error {
    Error::Format { container: "PyTorch pickle".into(), problem: problem.into() }
}

impl Maker for Torch {
    type Made = Part;

    fn import(&mut self, name: &str) -> Result<(), Error> {
        let known = [REBUILD_TENSOR, REBUILD_PARAMETER, "collections.OrderedDict"];
        let storages = STORAGES.map(|(name, _)| name);
        let mut all = known.iter().chain(&storages).chain(&PASSED_OVER).chain(&TYPES);
        if all.any(|other| *other == name) {
            return Ok(());
        }
        Err(Error::Unsupported {
            what: format!("a pickle that imports '{name}', of which nothing is executed here,"),
            advice: SAVE.into(),
        })
    }

    fn call(&mut self, name: &str, args: &[Id], heap: &Heap<Part>) -> Made<Part> {
        match (name, args) {
            ("collections.OrderedDict", []) => Ok(Object::Dict(Vec::new())),
            ("collections.OrderedDict", &[pairs]) => ordered(pairs, heap),
            (REBUILD_TENSOR, &[storage, offset, shape, strides, ..]) => {
                tensor(storage, offset, [shape, strides], heap)
                    .map(|tensor| made(Part::Tensor(tensor)))
                    .ok_or_else(|| broken("the arguments of a tensor are not what they should be"))
            }
            (REBUILD_PARAMETER, &[data, ..]) => match heap.get(data) {
                Object::Made(part) if matches!(**part, Part::Tensor(_)) => {
                    Ok(made(Part::Parameter(data)))
                }
                _ => Err(broken("a parameter is made of no tensor")),
            },
            _ if PASSED_OVER.contains(&name) => Ok(made(Part::Nothing)),
            _ => Err(broken(format!("'{name}' is called with {} arguments", args.len()))),
        }
    }

    /// `('storage', type, key, location, count)`, in older files with a view of a part behind it.
    fn outside(&mut self, identity: Id, heap: &Heap<Part>) -> Made<Part> {
        let storage = storage(identity, heap)
            .ok_or_else(|| broken("a persistent identity is not that of a whole storage"))?;
        self.storages.push(storage.clone());
        Ok(made(Part::Storage(storage)))
    }
}

fn made(part: Part) -> Object<Part> {
    Object::Made(Box::new(part))
}

fn ordered(pairs: Id, heap: &Heap<Part>) -> Made<Part> {
    let pair = |&id: &Id| match heap.get(id) {
        Object::Tuple(pair) | Object::List(pair) => match pair[..] {
            [key, value] => Some((key, value)),
            _ => None,
        },
        _ => None,
    };
    match heap.get(pairs) {
        Object::List(pairs) | Object::Tuple(pairs) => pairs.iter().map(pair).collect(),
        _ => None,
    }
    .map(Object::Dict)
    .ok_or_else(|| broken("an OrderedDict is made of no pairs"))
}

fn storage(identity: Id, heap: &Heap<Part>) -> Option<Storage> {
    let Object::Tuple(parts) = heap.get(identity) else { return None };
    let (&[word, kind, key, _, count], rest) = parts.split_first_chunk()?;
    let whole = match rest {
        [] => true,
        [view] => matches!(heap.get(*view), Object::None),
        _ => false,
    };
    let Object::Global(kind) = heap.get(kind) else { return None };
    let (_, kind) = STORAGES.iter().find(|(name, _)| name == kind)?;
    (whole && heap.text(word)? == "storage").then_some(Storage {
        kind: *kind,
        key: heap.text(key)?.into(),
        count: heap.count(count)?,
    })
}

fn tensor(storage: Id, offset: Id, [shape, strides]: [Id; 2], heap: &Heap<Part>) -> Option<Tensor> {
    let Object::Made(part) = heap.get(storage) else { return None };
    let Part::Storage(storage) = &**part else { return None };
    let (shape, strides) = (heap.counts(shape)?, heap.counts(strides)?);
    (shape.len() == strides.len()).then_some(Tensor {
        storage: storage.clone(),
        offset: heap.count(offset)?,
        shape,
        strides,
    })
}

impl Tensor {
    /// How many numbers it has, if it lies inside its storage.
    pub(super) fn count(&self) -> Option<usize> {
        let count = self.shape.iter().try_fold(1_usize, |count, &axis| count.checked_mul(axis))?;
        if count == 0 {
            return Some(0);
        }
        let axes = self.shape.iter().zip(&self.strides);
        let last = axes.into_iter().try_fold(self.offset, |last, (&axis, &stride)| {
            last.checked_add((axis - 1).checked_mul(stride)?)
        })?;
        (last < self.storage.count).then_some(count)
    }

    /// Its numbers in row-major order, out of the bytes of its storage; `None` if it is not inside.
    pub(super) fn data(&self, bytes: &[u8]) -> Option<Data> {
        let count = self.count()?;
        let size = self.storage.kind.size();
        if bytes.len() != self.storage.count.checked_mul(size)? {
            return None;
        }
        Some(match self.storage.kind {
            Kind::F16 => self.walk(bytes, count, |b| half::from_f16(u16::from_le_bytes(b))),
            Kind::Bf16 => self.walk(bytes, count, |b| half::from_bf16(u16::from_le_bytes(b))),
            Kind::F32 => self.walk(bytes, count, f32::from_le_bytes),
            Kind::F64 => self.walk(bytes, count, |b| half::from_f64(f64::from_le_bytes(b))),
            Kind::Other(name, _) => Data::Other(name.into()),
        })
    }

    fn walk<const N: usize>(
        &self,
        bytes: &[u8],
        count: usize,
        value: impl Fn([u8; N]) -> f32,
    ) -> Data {
        let numbers = bytes.as_chunks::<N>().0;
        let mut place = vec![0; self.shape.len()];
        let mut at = self.offset;
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(value(numbers[at]));
            // The next place: the last axis goes first. An axis of one place may have any stride.
            for axis in (0..place.len()).rev() {
                place[axis] += 1;
                if place[axis] < self.shape[axis] {
                    at += self.strides[axis];
                    break;
                }
                place[axis] = 0;
                at -= self.strides[axis] * (self.shape[axis] - 1);
            }
        }
        Data::F32(values)
    }
}
