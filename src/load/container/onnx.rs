//! `.onnx`: a protocol buffer with a graph of nodes and its tensors.
//!
//! What is read here borrows from the file. Graphs inside of nodes are read to a fixed depth.

use std::borrow::Cow;

use super::external::Entries;
use super::half;
use super::protobuf::{Field, Message};
use crate::Error;

/// Graphs inside of graphs, of loops and branches, are read this deep.
const DEEPEST: usize = 8;

/// A file taken apart.
#[derive(Debug)]
pub(crate) struct File<'a> {
    /// Domains of operators and their versions.
    pub(crate) opsets: Vec<(&'a str, i64)>,
    pub(crate) graph: Graph<'a>,
}

/// A graph of nodes.
#[derive(Debug, Default)]
pub(crate) struct Graph<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    pub(crate) initializers: Vec<Tensor<'a>>,
    pub(crate) inputs: Vec<ValueInfo<'a>>,
    pub(crate) outputs: Vec<ValueInfo<'a>>,
}

/// One operator and the names of what goes in and comes out; an empty name is nothing.
#[derive(Debug, Default)]
pub(crate) struct Node<'a> {
    pub(crate) name: &'a str,
    pub(crate) op: &'a str,
    pub(crate) domain: &'a str,
    pub(crate) inputs: Vec<&'a str>,
    pub(crate) outputs: Vec<&'a str>,
    pub(crate) attributes: Vec<Attribute<'a>>,
}

/// An attribute of a node.
#[derive(Debug)]
pub(crate) struct Attribute<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: Content<'a>,
}

/// What an attribute holds.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    Float(f32),
    Int(i64),
    Text(&'a str),
    Tensor(Tensor<'a>),
    Graph(Graph<'a>),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Texts(Vec<&'a str>),
    /// Something else, which no node that is read has.
    Other,
}

/// A tensor as it stands in the file.
#[derive(Debug, Default)]
pub(crate) struct Tensor<'a> {
    pub(crate) name: &'a str,
    pub(crate) dims: Vec<i64>,
    element: i64,
    pub(super) raw: Option<Cow<'a, [u8]>>,
    floats: Vec<f32>,
    doubles: Vec<f64>,
    ints: Vec<i64>,
    /// Where its numbers are, if that is in another file.
    pub(super) external: Option<Entries<'a>>,
}

/// The numbers of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbers {
    /// Real numbers, by now f32.
    F32(Vec<f32>),
    /// Integers and truth values.
    I64(Vec<i64>),
}

/// The name, type and shape of a value.
#[derive(Debug, Default)]
pub(crate) struct ValueInfo<'a> {
    pub(crate) name: &'a str,
    /// What its numbers are, as ONNX numbers types; 0 if it is not said, or no tensor.
    pub(crate) element: i64,
    /// Its axes, if they are said.
    pub(crate) axes: Option<Vec<Extent<'a>>>,
}

/// How long an axis is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Extent<'a> {
    #[default]
    Free,
    Named(&'a str),
    Fixed(i64),
}

/// The ONNX number of an element type.
pub(crate) mod element {
    pub(crate) const FLOAT: i64 = 1;
    pub(crate) const INT32: i64 = 6;
    pub(crate) const INT64: i64 = 7;
    pub(crate) const BOOL: i64 = 9;
    pub(crate) const FLOAT16: i64 = 10;
    pub(crate) const DOUBLE: i64 = 11;
    pub(crate) const BFLOAT16: i64 = 16;

    /// Its word.
    pub(crate) fn name(number: i64) -> &'static str {
        const NAMES: [&str; 17] = [
            "no type",
            "float32",
            "uint8",
            "int8",
            "uint16",
            "int16",
            "int32",
            "int64",
            "string",
            "bool",
            "float16",
            "float64",
            "uint32",
            "uint64",
            "complex64",
            "complex128",
            "bfloat16",
        ];
        let name = usize::try_from(number).ok().and_then(|number| NAMES.get(number));
        name.copied().unwrap_or("a type of its own")
    }
}

/// Reads the bytes of a file.
pub(crate) fn parse(bytes: &[u8]) -> Result<File<'_>, Error> {
    const WHAT: &str = "ONNX";
    let mut message = Message::new(bytes, WHAT);
    let mut opsets = Vec::new();
    let mut graph_found = None;
    while let Some((number, field)) = message.next()? {
        match number {
            7 => {
                let graph = graph(field.bytes(WHAT)?, 0)?;
                if graph_found.replace(graph).is_some() {
                    return Err(broken("it holds two graphs"));
                }
            }
            8 => opsets.push(opset(field.bytes(WHAT)?)?),
            20 => return Err(unsupported("an ONNX file with a part for training")),
            25 => return Err(unsupported("an ONNX file with functions of its own")),
            _ => {}
        }
    }
    let graph = graph_found.ok_or_else(|| broken("it holds no graph"))?;
    Ok(File { opsets, graph })
}

fn opset(bytes: &[u8]) -> Result<(&str, i64), Error> {
    const WHAT: &str = "ONNX: an opset";
    let (mut domain, mut version) = ("", 0);
    let mut message = Message::new(bytes, WHAT);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => domain = field.text(WHAT)?,
            2 => version = field.integer(WHAT)?,
            _ => {}
        }
    }
    Ok((domain, version))
}

fn graph(bytes: &[u8], depth: usize) -> Result<Graph<'_>, Error> {
    const WHAT: &str = "ONNX: a graph";
    if depth > DEEPEST {
        return Err(broken(&format!("graphs inside of graphs, more than {DEEPEST} deep")));
    }
    let mut graph = Graph::default();
    let mut message = Message::new(bytes, WHAT);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => graph.nodes.push(node(field.bytes(WHAT)?, depth)?),
            5 => graph.initializers.push(tensor(field.bytes(WHAT)?)?),
            11 => graph.inputs.push(value_info(field.bytes(WHAT)?)?),
            12 => graph.outputs.push(value_info(field.bytes(WHAT)?)?),
            14 => return Err(unsupported("an ONNX graph with quantisation annotations")),
            15 => return Err(unsupported("an ONNX graph with sparse tensors")),
            _ => {}
        }
    }
    Ok(graph)
}

fn node(bytes: &[u8], depth: usize) -> Result<Node<'_>, Error> {
    const WHAT: &str = "ONNX: a node";
    let mut node = Node::default();
    let mut message = Message::new(bytes, WHAT);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => node.inputs.push(field.text(WHAT)?),
            2 => node.outputs.push(field.text(WHAT)?),
            3 => node.name = field.text(WHAT)?,
            4 => node.op = field.text(WHAT)?,
            5 => node.attributes.push(attribute(field.bytes(WHAT)?, depth)?),
            7 => node.domain = field.text(WHAT)?,
            _ => {}
        }
    }
    Ok(node)
}

fn attribute(bytes: &[u8], depth: usize) -> Result<Attribute<'_>, Error> {
    const WHAT: &str = "ONNX: an attribute";
    let (mut name, mut kind) = ("", 0);
    let (mut float, mut int, mut text, mut one_tensor, mut one_graph) = (0.0, 0, "", None, None);
    let (mut floats, mut ints, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = 0;
    let mut message = Message::new(bytes, WHAT);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => name = field.text(WHAT)?,
            2 => float = field.float(WHAT)?,
            3 => int = field.integer(WHAT)?,
            4 => text = field.text(WHAT)?,
            5 => one_tensor = Some(tensor(field.bytes(WHAT)?)?),
            6 => one_graph = Some(graph(field.bytes(WHAT)?, depth + 1)?),
            7 => field.floats(&mut floats, WHAT)?,
            8 => field.integers(&mut ints, WHAT)?,
            9 => texts.push(field.text(WHAT)?),
            20 => kind = field.integer(WHAT)?,
            _ => {}
        }
        if (2..=9).contains(&number) {
            last = number;
        }
    }
    // The type tells the field; in files that do not say it, what is there does.
    let kind = if kind == 0 { last.cast_signed() - 1 } else { kind };
    let value = match (kind, one_tensor, one_graph) {
        (1, ..) => Content::Float(float),
        (2, ..) => Content::Int(int),
        (3, ..) => Content::Text(text),
        (4, Some(tensor), _) => Content::Tensor(tensor),
        (5, _, Some(graph)) => Content::Graph(graph),
        (6, ..) => Content::Floats(floats),
        (7, ..) => Content::Ints(ints),
        (8, ..) => Content::Texts(texts),
        _ => Content::Other,
    };
    Ok(Attribute { name, value })
}

fn tensor(bytes: &[u8]) -> Result<Tensor<'_>, Error> {
    const WHAT: &str = "ONNX: a tensor";
    let mut tensor = Tensor::default();
    let mut message = Message::new(bytes, WHAT);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => field.integers(&mut tensor.dims, WHAT)?,
            2 => tensor.element = field.integer(WHAT)?,
            3 => return Err(unsupported("an ONNX tensor in segments")),
            4 => field.floats(&mut tensor.floats, WHAT)?,
            5 | 7 => field.integers(&mut tensor.ints, WHAT)?,
            8 => tensor.name = field.text(WHAT)?,
            9 => tensor.raw = Some(Cow::Borrowed(field.bytes(WHAT)?)),
            10 => field.doubles(&mut tensor.doubles, WHAT)?,
            13 => tensor.external.get_or_insert_default().push(entry(field.bytes(WHAT)?)?),
            14 if !matches!(field, Field::Varint(0)) => {
                tensor.external.get_or_insert_default();
            }
            _ => {}
        }
    }
    Ok(tensor)
}

/// A key and its value.
fn entry(bytes: &[u8]) -> Result<(&str, &str), Error> {
    const WHAT: &str = "ONNX: where a tensor is";
    let (mut key, mut value) = ("", "");
    let mut message = Message::new(bytes, WHAT);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => key = field.text(WHAT)?,
            2 => value = field.text(WHAT)?,
            _ => {}
        }
    }
    Ok((key, value))
}

impl Tensor<'_> {
    /// Whether any numbers of it are in this file.
    pub(super) fn has_numbers(&self) -> bool {
        let listed = self.floats.len() + self.doubles.len() + self.ints.len();
        listed > 0 || self.raw.as_ref().is_some_and(|raw| !raw.is_empty())
    }

    /// Its shape and numbers: narrower floats are widened exactly, f64 is rounded once.
    pub(crate) fn read(&self) -> Result<(Vec<usize>, Numbers), Error> {
        if self.external.is_some() {
            return Err(Error::Unsupported {
                what: format!("tensor '{}', whose numbers are in another file", self.name),
                advice:
                    "load it by its path, with that file beside it; or save the model with all \
                         tensors inside: \
                         onnx.save(onnx.load(\"model.onnx\"), \"one-file.onnx\"), or \
                         torch.onnx.export(..., external_data=False)"
                        .into(),
            });
        }
        let dims: Option<Vec<usize>> =
            self.dims.iter().map(|&length| usize::try_from(length).ok()).collect();
        let count = dims.as_ref().and_then(|dims| {
            // No product of any of its lengths is too large, empty ones aside.
            dims.iter().try_fold(1_usize, |count, &length| count.checked_mul(length.max(1)))?;
            Some(dims.iter().product::<usize>())
        });
        let (Some(dims), Some(count)) = (dims, count) else {
            return Err(self.broken(&format!("no tensor has the shape {:?}", self.dims)));
        };
        let numbers = self.numbers()?;
        let found = match &numbers {
            Numbers::F32(numbers) => numbers.len(),
            Numbers::I64(numbers) => numbers.len(),
        };
        if found != count {
            return Err(self.broken(&format!("{found} numbers for the shape {dims:?}")));
        }
        Ok((dims, numbers))
    }

    fn numbers(&self) -> Result<Numbers, Error> {
        let bits =
            |&number: &i64| u16::from_le_bytes([number.to_le_bytes()[0], number.to_le_bytes()[1]]);
        Ok(match (self.element, self.raw.as_deref()) {
            (element::FLOAT, Some(raw)) => Numbers::F32(self.each(raw, f32::from_le_bytes)?),
            (element::FLOAT, None) => Numbers::F32(self.floats.clone()),
            (element::DOUBLE, Some(raw)) => {
                Numbers::F32(self.each(raw, |b| half::from_f64(f64::from_le_bytes(b)))?)
            }
            (element::DOUBLE, None) => {
                Numbers::F32(self.doubles.iter().map(|&number| half::from_f64(number)).collect())
            }
            (element::FLOAT16, Some(raw)) => {
                Numbers::F32(self.each(raw, |b| half::from_f16(u16::from_le_bytes(b)))?)
            }
            (element::FLOAT16, None) => {
                Numbers::F32(self.ints.iter().map(|n| half::from_f16(bits(n))).collect())
            }
            (element::BFLOAT16, Some(raw)) => {
                Numbers::F32(self.each(raw, |b| half::from_bf16(u16::from_le_bytes(b)))?)
            }
            (element::BFLOAT16, None) => {
                Numbers::F32(self.ints.iter().map(|n| half::from_bf16(bits(n))).collect())
            }
            (element::INT64, Some(raw)) => Numbers::I64(self.each(raw, i64::from_le_bytes)?),
            (element::INT32, Some(raw)) => {
                Numbers::I64(self.each(raw, |b| i64::from(i32::from_le_bytes(b)))?)
            }
            (element::BOOL, Some(raw)) => {
                Numbers::I64(self.each(raw, |[byte]| i64::from(byte != 0))?)
            }
            (element::INT64 | element::INT32 | element::BOOL, None) => {
                Numbers::I64(self.ints.clone())
            }
            (other, _) => {
                return Err(Error::Unsupported {
                    what: format!("tensor '{}' of type {}", self.name, element::name(other)),
                    advice: "weights are float32, float64, float16 or bfloat16, sizes int64".into(),
                });
            }
        })
    }

    fn each<T, const N: usize>(
        &self,
        raw: &[u8],
        value: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, Error> {
        let (chunks, rest) = raw.as_chunks::<N>();
        if rest.is_empty() {
            return Ok(chunks.iter().map(|&chunk| value(chunk)).collect());
        }
        Err(self.broken(&format!("{} bytes of numbers of {N} bytes each", raw.len())))
    }

    fn broken(&self, problem: &str) -> Error {
        Error::Format {
            container: format!("ONNX: tensor '{}'", self.name),
            problem: problem.into(),
        }
    }
}

fn value_info(bytes: &[u8]) -> Result<ValueInfo<'_>, Error> {
    const WHAT: &str = "ONNX: a value's type";
    let mut info = ValueInfo::default();
    let mut message = Message::new(bytes, WHAT);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => info.name = field.text(WHAT)?,
            2 => {
                let mut kind = Message::new(field.bytes(WHAT)?, WHAT);
                while let Some((number, field)) = kind.next()? {
                    if number == 1 {
                        tensor_type(field.bytes(WHAT)?, &mut info)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(info)
}

fn tensor_type<'a>(bytes: &'a [u8], info: &mut ValueInfo<'a>) -> Result<(), Error> {
    const WHAT: &str = "ONNX: a tensor's type";
    let mut message = Message::new(bytes, WHAT);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => info.element = field.integer(WHAT)?,
            2 => {
                let axes = info.axes.get_or_insert_default();
                let mut shape = Message::new(field.bytes(WHAT)?, WHAT);
                while let Some((number, field)) = shape.next()? {
                    if number == 1 {
                        axes.push(extent(field.bytes(WHAT)?)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn extent(bytes: &[u8]) -> Result<Extent<'_>, Error> {
    const WHAT: &str = "ONNX: an axis";
    let mut extent = Extent::Free;
    let mut message = Message::new(bytes, WHAT);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => extent = Extent::Fixed(field.integer(WHAT)?),
            2 => {
                let name = field.text(WHAT)?;
                extent = if name.is_empty() { Extent::Free } else { Extent::Named(name) };
            }
            _ => {}
        }
    }
    Ok(extent)
}

fn broken(problem: &str) -> Error {
    Error::Format { container: "ONNX".into(), problem: problem.into() }
}

fn unsupported(what: &str) -> Error {
    Error::Unsupported {
        what: what.into(),
        advice: "export for inference only, in float32, with every function inlined".into(),
    }
}
