//! The graph as it is read: what is known of each value, and the nodes of the model so far.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::axes::{Axes, Role};
use super::call::Call;
use super::dims::Dim;
use super::known::{Known, MOST_SIZES};
use super::refusal::Refused;
use super::tensor::Tensor;
use super::unrolled::Unrolled;
use super::view::{Atom, Form, View, row};
use super::{Reason, ops};
use crate::Error;
use crate::load::container::onnx::{Graph, ValueInfo, element};
use crate::model::{Element, Extent, Input, Node, Op, Port, Select, Shape, Value};

/// Tensors of more axes than this are refused.
const MOST_AXES: usize = 16;

/// One passage through the graph.
pub(super) struct Reader<'g, 'a> {
    pub(super) graph: &'g Graph<'a>,
    pub(super) opset: i64,
    pub(super) axes: Axes<'a>,
    known: HashMap<&'a str, Known>,
    /// How many nodes and outputs use a value.
    uses: HashMap<&'a str, usize>,
    pub(super) inputs: Vec<Input>,
    pub(super) nodes: Vec<Node>,
    names: HashSet<String>,
    /// Selections that were made.
    selected: HashMap<Value, Vec<(Select, Value)>>,
    /// Numbers that constants may still be copied into.
    budget: usize,
    /// The sequence that the loop goes through whose body is being read, and its step.
    pub(super) step: Option<(Value, Known)>,
    /// Constants that are data, by their bits and the batch.
    pub(super) constants: HashMap<(Vec<u32>, usize), Value>,
    pub(super) unrolled: Unrolled,
    /// Whether a recurrent node takes all steps where the input of lengths is known.
    pub(super) unlike_lengths: bool,
    pub(super) refused: Vec<Refused>,
}

/// The inputs of a graph that a caller gives: those without an initial value.
pub(super) fn given<'g, 'a>(graph: &'g Graph<'a>) -> Vec<&'g ValueInfo<'a>> {
    let stored: HashSet<&str> = graph.initializers.iter().map(|tensor| tensor.name).collect();
    graph.inputs.iter().filter(|info| !stored.contains(info.name)).collect()
}

impl<'g, 'a> Reader<'g, 'a> {
    /// Goes through the graph once with what is known of its axes.
    pub(super) fn read(
        graph: &'g Graph<'a>,
        constants: &HashMap<&'a str, Rc<Tensor>>,
        opset: i64,
        axes: Axes<'a>,
        budget: usize,
    ) -> Result<Self, Error> {
        let mut uses: HashMap<&str, usize> = HashMap::new();
        count_uses(graph, &mut uses);
        for output in &graph.outputs {
            *uses.entry(output.name).or_default() += 1;
        }
        let known = constants
            .iter()
            .map(|(&name, tensor)| (name, Known::Constant(tensor.clone())))
            .collect();
        let mut reader = Self {
            graph,
            opset,
            axes,
            known,
            uses,
            inputs: Vec::new(),
            nodes: Vec::new(),
            names: HashSet::new(),
            selected: HashMap::new(),
            budget,
            step: None,
            constants: HashMap::new(),
            unrolled: Unrolled::default(),
            unlike_lengths: false,
            refused: Vec::new(),
        };
        for info in given(graph) {
            let known = match reader.input(info) {
                Ok(view) => Known::Data(view),
                Err(error) => {
                    reader.refused.push(Refused::input(info.name, &error));
                    Known::Refused
                }
            };
            reader.known.insert(info.name, known);
        }
        for node in &graph.nodes {
            reader.node(node)?;
        }
        Ok(reader)
    }

    /// An input as far as its axes are known.
    fn input(&mut self, info: &ValueInfo<'a>) -> Result<View, Error> {
        let index = match info.element {
            element::FLOAT | element::DOUBLE | element::FLOAT16 | element::BFLOAT16 => false,
            element::INT32 | element::INT64 => true,
            other => {
                return Err(Error::Unsupported {
                    what: format!("input '{}' of type {}", info.name, element::name(other)),
                    advice: "inputs are float32, or int32 and int64 for indices".into(),
                });
            }
        };
        let all: Vec<usize> = self.axes.of(info.name).collect();
        let value = Value::Input(self.inputs.len());
        if self.axes.lengths == Some(info.name) {
            let axes = all.iter().map(|&axis| vec![Atom::Axis(axis)]).collect();
            return Ok(View { index, ..View::new(value, Form::Open, 1, axes) });
        }
        let (mut time, mut states, mut form) = (None, None, Form::Vector);
        let mut features = 1_usize;
        let mut axes = Vec::new();
        for &axis in all.iter().rev() {
            let size = self.axes.size(axis);
            let needed = |what: &str| {
                size.ok_or_else(|| Error::Unsupported {
                    what: format!("{}, {what} of open number", self.axes.describe(axis)),
                    advice: "export with that axis fixed; only batch and time may be open".into(),
                })
            };
            axes.push(match self.axes.role(axis) {
                None => {
                    form = Form::Open;
                    vec![Atom::Axis(axis)]
                }
                Some(Role::Batch) => vec![Atom::Axis(axis)],
                Some(Role::Time) => {
                    time = Some(size.map_or(Extent::Input(self.inputs.len()), Extent::Fixed));
                    vec![Atom::Axis(axis)]
                }
                Some(Role::States) => {
                    let count = needed("states")?;
                    states = Some(count);
                    if count == 1 { Vec::new() } else { vec![Atom::States(count)] }
                }
                Some(Role::Features) => {
                    let len = needed("features")?;
                    let stride = features;
                    features = features.saturating_mul(len);
                    if features > i32::MAX as usize {
                        return Err(Error::Unsupported {
                            what: format!("an input of {features} features"),
                            advice: format!("there may be {}", i32::MAX),
                        });
                    }
                    row(len, stride)
                }
            });
        }
        axes.reverse();
        let shape = match (time, states) {
            (Some(time), _) => Shape::Sequence { time, features },
            (None, Some(count)) => Shape::States { count, features },
            (None, None) => Shape::Vector { features },
        };
        if form != Form::Open {
            form = match shape {
                Shape::Sequence { .. } => Form::Sequence,
                Shape::States { count, .. } => Form::States(count),
                Shape::Vector { .. } => Form::Vector,
            };
        }
        let element = if index { Element::Index } else { Element::F32 };
        self.inputs.push(Input { name: info.name.into(), shape, element });
        Ok(View { index, ..View::new(value, form, features, axes) })
    }

    /// Reads one node, and notes it if it cannot be.
    fn node(&mut self, node: &'g crate::load::container::onnx::Node<'a>) -> Result<(), Error> {
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for &name in &node.inputs {
            if name.is_empty() {
                inputs.push(None);
                continue;
            }
            let Some(known) = self.known.get(name) else {
                return Err(Error::Format {
                    container: "ONNX".into(),
                    problem: format!(
                        "node '{}' ({}) uses '{name}', which no node before it makes",
                        node.name, node.op
                    ),
                });
            };
            let mut known = known.clone();
            if let Known::Data(view) = &mut known {
                view.sole &= self.uses.get(name).copied().unwrap_or(0) <= 1;
            }
            inputs.push(Some(known));
        }
        let call = Call::new(node, inputs, self.opset);
        let results = match ops::read(self, &call) {
            Ok(results) => results,
            Err(reason) => {
                // What follows from a refused node is no reason of its own.
                let follows = call.inputs.iter().flatten().any(|k| matches!(k, Known::Refused));
                if !(follows && ops::is_read(node)) {
                    self.refused.push(Refused::new(&call, reason));
                }
                vec![Known::Refused; node.outputs.len()]
            }
        };
        let mut results = results.into_iter();
        for &name in &node.outputs {
            let result = results.next().unwrap_or(Known::Refused);
            if !name.is_empty() && self.known.insert(name, result).is_some() {
                return Err(Error::DuplicateName { what: "value", name: name.into() });
            }
        }
        Ok(())
    }

    /// Reads the body of a loop: `scope` is what is known of its inputs, `step` the sequence that it
    /// goes through with what stands for one step of it.
    pub(super) fn body(
        &mut self,
        body: &'g Graph<'a>,
        scope: Vec<Known>,
        step: (&View, Known),
    ) -> Result<Vec<Known>, Reason> {
        let mut names: Vec<&str> = Vec::new();
        for stored in &body.initializers {
            let (dims, numbers) = stored.read()?;
            let constant = self.constant(Tensor { dims, numbers })?;
            self.name(stored.name, constant, &mut names)?;
        }
        for (info, known) in body.inputs.iter().zip(scope) {
            self.name(info.name, known, &mut names)?;
        }
        let refused = self.refused.len();
        let outer = self.step.replace((step.0.value, step.1));
        for node in &body.nodes {
            self.node(node)?;
            names.extend(node.outputs.iter().filter(|name| !name.is_empty()));
        }
        self.step = outer;
        let results = body.outputs.iter().map(|info| self.known.get(info.name).cloned());
        let results: Option<Vec<Known>> = results.collect();
        for name in names {
            self.known.remove(name);
        }
        if let Some(first) = self.refused.get(refused) {
            let reason = format!("in its body, {first}");
            self.refused.truncate(refused);
            return Err(Reason(reason));
        }
        results.ok_or_else(|| Reason("its body does not make all of its outputs".into()))
    }

    /// Enters a value of a body.
    fn name(
        &mut self,
        name: &'a str,
        known: Known,
        names: &mut Vec<&'a str>,
    ) -> Result<(), Reason> {
        names.push(name);
        match self.known.insert(name, known) {
            None => Ok(()),
            Some(_) => Err(Reason(format!("two values are named '{name}'"))),
        }
    }

    /// Puts one value of the model in the place of another, which has the same numbers.
    pub(super) fn replace(&mut self, old: Value, new: Value) {
        for known in self.known.values_mut() {
            if let Known::Data(view) = known
                && view.value == old
            {
                (view.value, view.sole) = (new, false);
            }
        }
    }

    /// What is known of a value that is there, by its name: for outputs, and for graphs in nodes.
    pub(super) fn known(&self, name: &str) -> Option<&Known> {
        self.known.get(name)
    }

    /// Counts numbers that are about to be copied.
    pub(super) fn spend(&mut self, count: usize) -> Result<(), Reason> {
        match self.budget.checked_sub(count) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => Err(Reason("constants grow far beyond the file's size".into())),
        }
    }

    /// A constant, counted.
    pub(super) fn constant(&mut self, tensor: Tensor) -> Result<Known, Reason> {
        let count: usize = tensor.dims.iter().product();
        self.spend(count)?;
        if tensor.dims.len() > MOST_AXES {
            return Err(Reason(format!("it makes more than {MOST_AXES} axes")));
        }
        Ok(Known::Constant(Rc::new(tensor)))
    }

    /// Data, if it does not have too many axes.
    pub(super) fn data(&self, view: View) -> Result<Known, Reason> {
        if view.features > i32::MAX as usize {
            return Err(Reason("it makes rows of too many features".into()));
        }
        if view.rank() > MOST_AXES {
            return Err(Reason(format!("it makes more than {MOST_AXES} axes")));
        }
        Ok(Known::Data(view))
    }

    /// A filled shape, if it does not have too many axes.
    pub(super) fn filled(&self, number: f32, dims: Vec<Dim>) -> Result<Known, Reason> {
        if dims.len() > MOST_AXES.min(MOST_SIZES) {
            return Err(Reason(format!("it makes more than {MOST_AXES} axes")));
        }
        Ok(Known::Filled(number, dims))
    }

    /// Adds a node to the model.
    pub(super) fn emit(&mut self, name: &str, op: Op, inputs: &[Value]) -> Value {
        let mut unique = name.to_owned();
        let mut count = 1;
        while !self.names.insert(unique.clone()) {
            count += 1;
            unique = format!("{name}.{count}");
        }
        self.nodes.push(Node { name: unique, op, inputs: inputs.to_vec() });
        Value::Node { node: self.nodes.len() - 1, port: Port::Main }
    }

    /// Adds a selection, unless it is there.
    pub(super) fn select(&mut self, value: Value, select: Select) -> Value {
        let made = self.selected.get(&value).into_iter().flatten();
        if let Some((_, found)) = made.clone().find(|(known, _)| *known == select) {
            return *found;
        }
        let part = match select {
            Select::Step(step) => format!("step {step}"),
            Select::Features { start, end } => format!("features {start}..{end}"),
            Select::State(state) => format!("state {state}"),
            Select::States { start, end } => format!("states {start}..{end}"),
        };
        let name = format!("{}.{part}", self.value_name(value));
        let result = self.emit(&name, Op::Select(select), &[value]);
        self.selected.entry(value).or_default().push((select, result));
        result
    }

    /// The name of a value of the model.
    pub(super) fn value_name(&self, value: Value) -> String {
        match value {
            Value::Input(input) => {
                self.inputs.get(input).map_or_else(String::new, |input| input.name.clone())
            }
            Value::Node { node, port } => format!("{}{}", self.nodes[node].name, port.suffix()),
        }
    }
}

/// Counts how often each value is used, in graphs inside of nodes too.
fn count_uses<'a>(graph: &Graph<'a>, uses: &mut HashMap<&'a str, usize>) {
    use crate::load::container::onnx::Content;
    for node in &graph.nodes {
        for &name in &node.inputs {
            *uses.entry(name).or_default() += 1;
        }
        for attribute in &node.attributes {
            if let Content::Graph(inner) = &attribute.value {
                count_uses(inner, uses);
            }
        }
    }
}
