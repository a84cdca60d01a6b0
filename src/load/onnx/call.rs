//! One node with what is known of its inputs, and an account of its attributes.

use std::cell::RefCell;
use std::rc::Rc;

use super::Reason;
use super::known::Known;
use super::tensor::Tensor;
use super::view::View;
use crate::load::container::onnx::{Attribute, Content, Node, Tensor as Stored};

/// A node that is being read.
pub(super) struct Call<'n, 'a> {
    pub(super) node: &'n Node<'a>,
    /// What is known of each input; `None` where one is left out.
    pub(super) inputs: Vec<Option<Known>>,
    pub(super) opset: i64,
    used: RefCell<Vec<bool>>,
}

impl<'n, 'a> Call<'n, 'a> {
    pub(super) fn new(node: &'n Node<'a>, inputs: Vec<Option<Known>>, opset: i64) -> Self {
        Self { node, inputs, opset, used: RefCell::new(vec![false; node.attributes.len()]) }
    }

    /// A name for the node: its own, or that of its first output.
    pub(super) fn name(&self) -> &'a str {
        let own = Some(self.node.name).filter(|name| !name.is_empty());
        let outputs = self.node.outputs.iter().copied().find(|name| !name.is_empty());
        own.or(outputs).unwrap_or(self.node.op)
    }

    /// How many results it has.
    pub(super) fn results(&self) -> usize {
        self.node.outputs.len()
    }

    /// Whether a result has a name, so that something may use it.
    pub(super) fn has_result(&self, index: usize) -> bool {
        self.node.outputs.get(index).is_some_and(|name| !name.is_empty())
    }

    /// An input that may be left out.
    pub(super) fn optional(&self, index: usize) -> Option<&Known> {
        self.inputs.get(index)?.as_ref()
    }

    /// An input.
    pub(super) fn input(&self, index: usize) -> Result<&Known, Reason> {
        self.optional(index).ok_or_else(|| Reason(format!("its input {index} is missing")))
    }

    /// Fails if there are more inputs than these.
    pub(super) fn at_most(&self, count: usize) -> Result<(), Reason> {
        if self.inputs.len() <= count {
            return Ok(());
        }
        Err(Reason(format!("it has {} inputs where {count} are known", self.inputs.len())))
    }

    /// An input that is data.
    pub(super) fn data(&self, index: usize) -> Result<&View, Reason> {
        match self.input(index)? {
            Known::Data(view) => Ok(view),
            other => Err(Reason(format!("its input {index} is {}, not data", other.name()))),
        }
    }

    /// An input that must be a constant.
    pub(super) fn constant(&self, index: usize) -> Result<Rc<Tensor>, Reason> {
        match self.input(index)? {
            Known::Constant(tensor) => Ok(tensor.clone()),
            other => Err(Reason(format!(
                "its input {index} ('{}') is {}, and no constant of the file",
                self.node.inputs[index],
                other.name()
            ))),
        }
    }

    /// Integers that are an attribute in older opsets and an input in newer ones.
    pub(super) fn axes(&self, attribute: &str, index: usize) -> Result<Option<Vec<i64>>, Reason> {
        if let Some(axes) = self.ints(attribute)? {
            return Ok(Some(axes));
        }
        match self.optional(index) {
            None => Ok(None),
            Some(known) => match known.integers() {
                Some(axes) => Ok(Some(axes)),
                None => Err(Reason(format!("its {attribute} are not constant"))),
            },
        }
    }

    fn attribute(&self, name: &str) -> Option<&'n Attribute<'a>> {
        let place = self.node.attributes.iter().position(|attribute| attribute.name == name)?;
        self.used.borrow_mut()[place] = true;
        Some(&self.node.attributes[place])
    }

    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, Reason> {
        self.attribute(name)
            .map(|attribute| match attribute.value {
                Content::Int(value) => Ok(value),
                _ => Err(wrong(name, "an integer")),
            })
            .transpose()
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, Reason> {
        self.attribute(name)
            .map(|attribute| match &attribute.value {
                Content::Ints(values) => Ok(values.clone()),
                _ => Err(wrong(name, "integers")),
            })
            .transpose()
    }

    pub(super) fn float(&self, name: &str) -> Result<Option<f32>, Reason> {
        self.attribute(name)
            .map(|attribute| match attribute.value {
                Content::Float(value) => Ok(value),
                _ => Err(wrong(name, "a float")),
            })
            .transpose()
    }

    pub(super) fn floats(&self, name: &str) -> Result<Option<&'n [f32]>, Reason> {
        self.attribute(name)
            .map(|attribute| match &attribute.value {
                Content::Floats(values) => Ok(&values[..]),
                _ => Err(wrong(name, "floats")),
            })
            .transpose()
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Reason> {
        self.attribute(name)
            .map(|attribute| match attribute.value {
                Content::Text(value) => Ok(value),
                _ => Err(wrong(name, "a text")),
            })
            .transpose()
    }

    pub(super) fn texts(&self, name: &str) -> Result<Option<&'n [&'a str]>, Reason> {
        self.attribute(name)
            .map(|attribute| match &attribute.value {
                Content::Texts(values) => Ok(&values[..]),
                _ => Err(wrong(name, "texts")),
            })
            .transpose()
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<&'n Stored<'a>>, Reason> {
        self.attribute(name)
            .map(|attribute| match &attribute.value {
                Content::Tensor(tensor) => Ok(tensor),
                _ => Err(wrong(name, "a tensor")),
            })
            .transpose()
    }

    pub(super) fn graph(
        &self,
        name: &str,
    ) -> Result<&'n crate::load::container::onnx::Graph<'a>, Reason> {
        match self.attribute(name).map(|attribute| &attribute.value) {
            Some(Content::Graph(graph)) => Ok(graph),
            _ => Err(wrong(name, "a graph")),
        }
    }

    /// Fails if an attribute was not asked for.
    pub(super) fn finish(&self) -> Result<(), Reason> {
        let used = self.used.borrow();
        let unused = self.node.attributes.iter().zip(used.iter()).find(|(_, used)| !**used);
        match unused {
            None => Ok(()),
            Some((attribute, _)) => {
                Err(Reason(format!("its attribute '{}' is not known here", attribute.name)))
            }
        }
    }
}

/// An axis among `rank` that counts from the end if it is negative.
pub(super) fn place(axis: i64, rank: usize) -> Result<usize, Reason> {
    let length = i64::try_from(rank).unwrap_or(i64::MAX);
    let counted = if axis < 0 { axis.saturating_add(length) } else { axis };
    match usize::try_from(counted) {
        Ok(place) if place < rank => Ok(place),
        _ => Err(Reason(format!("there is no axis {axis} among {rank}"))),
    }
}

fn wrong(name: &str, expected: &str) -> Reason {
    Reason(format!("its attribute '{name}' is not {expected}"))
}
