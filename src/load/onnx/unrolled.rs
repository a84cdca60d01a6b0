//! Sequences written out step by step: PyTorch's cells in a Python loop, `nn.RNN` by its dynamo
//! exporter, Keras' `unroll=True` and `TimeDistributed`.
//!
//! Values that are one for each step of a sequence are recognised as a sequence: the steps of one, or
//! what the same node makes of each step of others, or the states of one cell, which are a layer.
//! Where that is not proven, the graph stays what it is.

use std::collections::{HashMap, HashSet, VecDeque};

use super::Reason;
use super::call::Call;
use super::cells::{Found, Step, is_zero};
use super::reader::Reader;
use super::view::{Atom, Form, View};
use crate::model::{Activation, Direction, Extent, Node, Op, Port, Select, Shape, Value};

/// Nodes between a sequence and the values for its steps, layers counted as one.
const DEEPEST: usize = 24;
/// So many values are looked at in search of the old state of a step.
const WIDEST: usize = 48;

/// What was recognised of a graph.
#[derive(Debug, Default)]
pub(super) struct Unrolled {
    /// States that are steps of layers.
    steps: HashMap<Value, (Value, usize)>,
    /// What stands in the place of values.
    replaced: HashMap<Value, Value>,
    /// States of cells that are no layer.
    tried: HashSet<Value>,
    /// Values that were looked at.
    seen: usize,
}

/// The steps of one cell, in the order in which they are taken.
struct Chain {
    found: Found,
    states: Vec<Value>,
    inputs: Vec<Value>,
    /// Where it starts: h, and c of an LSTM; none where these are zero.
    start: Vec<Value>,
}

/// The joined values as a sequence, if they are recognised as one.
pub(super) fn joined<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
    views: &[View],
    axis: usize,
) -> Result<Option<View>, Reason> {
    let plain = |view: &View| {
        view.form == Form::Vector && view.axes[axis].is_empty() && !view.index && !view.reversed
    };
    if views.len() < 2 || !views.iter().all(plain) {
        return Ok(None);
    }
    let views: Vec<View> =
        views.iter().map(|view| reader.settled(view)).collect::<Result<_, _>>()?;
    if views.iter().any(|view| view.axes != views[0].axes) {
        return Ok(None);
    }
    let values: Vec<Value> = views.iter().map(|view| view.value).collect();
    let backwards: Vec<Value> = values.iter().rev().copied().collect();
    let found = match reader.lifted(call.name(), &values, 0) {
        Some(value) => Some((value, false)),
        // A layer can hand out its steps in the order in which it takes them.
        None => reader.layer_of(&backwards, 0).map(|value| (value, true)),
    };
    let Some((value, reversed)) = found else { return Ok(None) };
    let mut axes = views[0].axes.clone();
    axes[axis] = vec![Atom::Axis(reader.axes.steps(call.name(), values.len()))];
    let view = View::new(value, Form::Sequence, views[0].features, axes);
    Ok(Some(View { sole: false, reversed, ..view }))
}

/// Recognises the layers of which only last states are used, and puts all in an order in which it can
/// run. What the outputs show is looked up after this.
pub(super) fn collapse(reader: &mut Reader<'_, '_>) {
    for node in (0..reader.nodes.len()).rev() {
        let value = Value::Node { node, port: Port::Main };
        let may_be = matches!(reader.nodes[node].op, Op::Activation(_) | Op::Add | Op::Multiply);
        let known = reader.unrolled.steps.contains_key(&value);
        if may_be && !known && !reader.unrolled.tried.contains(&value) {
            reader.layer_to(value);
        }
    }
    let replaced = std::mem::take(&mut reader.unrolled.replaced);
    for value in reader.nodes.iter_mut().flat_map(|node| &mut node.inputs) {
        *value = replaced.get(value).copied().unwrap_or(*value);
    }
}

impl Reader<'_, '_> {
    /// One value for each step as a sequence of these.
    fn lifted(&mut self, name: &str, values: &[Value], depth: usize) -> Option<Value> {
        self.unrolled.seen += values.len();
        if depth > DEEPEST || self.unrolled.seen > self.most_seen() {
            return None;
        }
        if let Some(sequence) = self.sequence_of(values) {
            return Some(sequence);
        }
        if values.iter().all(|value| *value == values[0]) && self.is_vector(values[0]) {
            return Some(self.emit(name, Op::Repeat { steps: values.len() }, &values[..1]));
        }
        self.layer_of(values, depth).or_else(|| self.alike(values, depth))
    }

    /// So many values are looked at in a graph.
    fn most_seen(&self) -> usize {
        4096 + 64 * self.graph.nodes.len()
    }

    /// The sequence of which the values are all steps in order.
    fn sequence_of(&mut self, values: &[Value]) -> Option<Value> {
        let place = |value: Value| match self.unrolled.steps.get(&value) {
            Some(&(sequence, step)) => Some((sequence, isize::try_from(step).ok()?)),
            None => match self.node_of(value)? {
                Node { op: Op::Select(Select::Step(step)), inputs, .. } => Some((inputs[0], *step)),
                // Entries of an input in time, as it may turn out.
                Node { op: Op::Select(Select::State(state)), inputs, .. } => {
                    Some((inputs[0], isize::try_from(*state).ok()?))
                }
                _ => None,
            },
        };
        let (sequence, _) = place(values[0])?;
        let last = values.len() - 1;
        for (step, &value) in values.iter().enumerate() {
            let (other, found) = place(value)?;
            let here = isize::try_from(step) == Ok(found) || (step == last && found == -1);
            if other != sequence || !here {
                return None;
            }
        }
        if let Value::Input(input) = sequence
            && let Shape::States { count, .. } = self.inputs[input].shape
            && count == values.len()
        {
            self.axes.suppose_time(&self.inputs[input].name);
        }
        (self.steps_of(sequence) == Some(values.len())).then_some(sequence)
    }

    /// The number of steps of a sequence, if it is fixed.
    fn steps_of(&self, mut value: Value) -> Option<usize> {
        while let Value::Node { node, port: Port::Main } = value {
            let Node { op, inputs, .. } = &self.nodes[node];
            match op {
                Op::Repeat { steps } | Op::Unroll { steps } => return Some(*steps),
                Op::Recurrent(_) | Op::Embedding(_) => value = inputs[0],
                op if is_pointwise(op) => value = inputs[0],
                _ => return None,
            }
        }
        match value {
            Value::Input(input) => match self.inputs[input].shape {
                Shape::Sequence { time: Extent::Fixed(steps), .. } => Some(steps),
                _ => None,
            },
            Value::Node { .. } => None,
        }
    }

    /// Whether a value is known to be a row for each of the batch, and no states.
    fn is_vector(&self, mut value: Value) -> bool {
        loop {
            let (node, port) = match value {
                Value::Input(input) => {
                    return matches!(self.inputs[input].shape, Shape::Vector { .. });
                }
                Value::Node { node, port } => (node, port),
            };
            let Node { op, inputs, .. } = &self.nodes[node];
            match op {
                _ if port == Port::Last => return true,
                Op::Select(Select::Step(_) | Select::State(_)) => return true,
                Op::Constant(constant) => {
                    return matches!(constant.shape(), Shape::Vector { .. });
                }
                op if port == Port::Main && is_pointwise(op) => value = inputs[0],
                _ => return false,
            }
        }
    }

    /// What one node makes of each step.
    fn alike(&mut self, values: &[Value], depth: usize) -> Option<Value> {
        let first = self.node_of(values[0])?;
        let count = first.inputs.len();
        let same = |value: &Value| {
            self.node_of(*value)
                .is_some_and(|node| node.op == first.op && node.inputs.len() == count)
        };
        if !is_pointwise(&first.op) || !values.iter().all(same) {
            return None;
        }
        let (name, op) = (first.name.clone(), first.op.clone());
        let mut inputs = Vec::with_capacity(count);
        for input in 0..count {
            let each = values.iter().map(|&value| self.node_of(value).map(|n| n.inputs[input]));
            let each: Vec<Value> = each.collect::<Option<_>>()?;
            inputs.push(self.lifted(&name, &each, depth + 1)?);
        }
        Some(self.emit(&name, op, &inputs))
    }

    /// The layer whose states the values are.
    fn layer_of(&mut self, values: &[Value], depth: usize) -> Option<Value> {
        let (&first, &last) = (values.first()?, values.last()?);
        for (direction, end) in [(Direction::Forward, last), (Direction::Reverse, first)] {
            let Some(chain) = self.chain(end, values.len()) else { continue };
            let mut states = chain.states.clone();
            if direction == Direction::Reverse {
                states.reverse();
            }
            if states == values {
                return self.layer(&chain, direction, depth);
            }
        }
        None
    }

    /// Recognises the layer whose last state a value is.
    fn layer_to(&mut self, value: Value) {
        let Some(chain) = self.chain(value, usize::MAX) else { return };
        let forward = self.layer(&chain, Direction::Forward, 0);
        if forward.is_none() && self.layer(&chain, Direction::Reverse, 0).is_none() {
            // Nor is what ends before the last of them.
            self.unrolled.tried.extend(chain.states);
        }
    }

    /// Puts a layer in the place of its steps.
    fn layer(&mut self, chain: &Chain, direction: Direction, depth: usize) -> Option<Value> {
        let (mut states, mut steps) = (chain.states.clone(), chain.inputs.clone());
        if direction == Direction::Reverse {
            states.reverse();
            steps.reverse();
        }
        let layer = chain.found.layer(direction).ok()?;
        let name = self.node_of(states[0])?.name.clone();
        let mut sequence = self.lifted(&name, &steps, depth + 1)?;
        if chain.found.input().1 {
            let Node { op: Op::Dense(_), inputs, .. } = self.node_of(sequence)? else {
                return None;
            };
            sequence = inputs[0];
        }
        let inputs = [&[sequence][..], &chain.start].concat();
        let value = self.emit(&name, Op::Recurrent(layer), &inputs);
        let Value::Node { node, .. } = value else { return None };
        for (step, &old) in states.iter().enumerate() {
            let new = match Some(&old) == chain.states.last() {
                true => Value::Node { node, port: Port::Last },
                false => self.select(value, Select::Step(isize::try_from(step).ok()?)),
            };
            self.unrolled.steps.insert(old, (value, step));
            self.unrolled.steps.insert(new, (value, step));
            self.put(old, new);
        }
        if let Some(old) = chain.found.new_cell {
            let last = Value::Node { node, port: Port::FinalCell };
            let new = self.select(last, Select::State(0));
            self.put(old, new);
        }
        Some(value)
    }

    /// Puts one value in the place of another, in what was read and in what will be.
    fn put(&mut self, old: Value, new: Value) {
        self.unrolled.replaced.insert(old, new);
        self.replace(old, new);
    }

    /// The steps of one cell, from two to `most`, of which a value is the last state.
    fn chain(&mut self, last: Value, most: usize) -> Option<Chain> {
        for state in operands(&self.nodes, last) {
            self.unrolled.seen += 1;
            let step = Step { nodes: &self.nodes, input: None, state: Some(state) };
            let Some(found) = step.cell(last) else { continue };
            if let Some(chain) = self.chain_of(last, state, found, most) {
                return Some(chain);
            }
        }
        None
    }

    /// The same where the state before the last is known.
    fn chain_of(&mut self, last: Value, before: Value, found: Found, most: usize) -> Option<Chain> {
        let (mut states, mut inputs) = (vec![last], vec![found.input().0]);
        let (mut state, mut cell) = (before, found.old_cell);
        let start = loop {
            self.unrolled.seen += 1;
            if self.unrolled.seen > self.most_seen() || states.len() > most {
                return None;
            }
            if let Some((step, older)) = self.step_before(&found, state, cell) {
                states.push(state);
                inputs.push(step.input().0);
                let Some(older) = older else { break Vec::new() };
                (state, cell) = (older, step.old_cell);
                continue;
            }
            let lstm = found.new_cell.is_some();
            let zero = |value: Option<Value>| value.is_none_or(|value| is_zero(&self.nodes, value));
            match cell {
                _ if zero(Some(state)) && zero(cell) => break Vec::new(),
                Some(cell) if lstm => break vec![state, cell],
                None if !lstm => break vec![state],
                _ => return None,
            }
        };
        if states.len() < 2 {
            return None;
        }
        states.reverse();
        inputs.reverse();
        Some(Chain { found, states, inputs, start })
    }

    /// The step of the same cell that gives a state, and the state before it; none if that is zero and
    /// left out.
    fn step_before(
        &self,
        found: &Found,
        state: Value,
        cell: Option<Value>,
    ) -> Option<(Found, Option<Value>)> {
        let fits = |step: &Found| step.new_cell == cell && step.input().1 == found.input().1;
        for older in operands(&self.nodes, state) {
            let step = Step { nodes: &self.nodes, input: None, state: Some(older) };
            let step = step.cell(state).filter(|step| fits(step) && step.is_same(found));
            if let Some(step) = step {
                return Some((step, Some(older)));
            }
        }
        let first = Step { nodes: &self.nodes, input: None, state: None }.cell(state)?;
        let zero = first.old_cell.is_none_or(|cell| is_zero(&self.nodes, cell));
        (fits(&first) && zero && first.is_first_of(found)).then_some((first, None))
    }

    fn node_of(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Node { node, port: Port::Main } => self.nodes.get(node),
            _ => None,
        }
    }
}

/// Whether a node makes the same of every step.
fn is_pointwise(op: &Op) -> bool {
    matches!(
        op,
        Op::Dense(_)
            | Op::Activation(_)
            | Op::ScaleShift(_)
            | Op::Concat
            | Op::Add
            | Op::Multiply
            | Op::Select(Select::Features { .. })
    )
}

/// Values near a new state that are multiplied by weights: its old state is one of the first.
fn operands(nodes: &[Node], new: Value) -> Vec<Value> {
    const MOST: usize = 4;
    let (mut found, mut queue, mut seen) = (Vec::new(), VecDeque::from([new]), 0);
    while let Some(value) = queue.pop_front() {
        let Value::Node { node, port: Port::Main } = value else { continue };
        let Node { op, inputs, .. } = &nodes[node];
        match op {
            Op::Dense(dense)
                if dense.activation() == Activation::Linear && !found.contains(&inputs[0]) =>
            {
                found.push(inputs[0]);
            }
            Op::Activation(_) | Op::Add | Op::Multiply | Op::ScaleShift(_) => {
                queue.extend(inputs);
            }
            Op::Select(Select::Features { .. }) => queue.extend(inputs),
            _ => {}
        }
        seen += 1;
        if seen > WIDEST || found.len() == MOST {
            break;
        }
    }
    found
}
