//! How a recipe becomes a model: each move grows the graph by a node, with weights drawn for it.

use ritornello::model::{
    Activation, Cell, CellWeights, Constant, Dense, Direction, Embedding, Extent, GraphBuilder,
    MaskRule, Matrix, Merge, Op, OutputOrder, Port, Recurrent, RecurrentWeights, ScaleShift,
    Select, SequenceAxes, Shape, Value,
};
use ritornello::{Array, Model};

use super::recipe::{Extras, Initial, Kind, Move, Recipe, Recurrence, Way};
use super::{Arrays, Case, noise};

/// A layer with weights as frameworks draw them, U(±1/√hidden), each gate with a scale of its own,
/// so that gates that change places show.
pub(crate) fn layer(
    cell: Cell,
    direction: Direction,
    [input_size, hidden_size]: [usize; 2],
    seed: u64,
) -> Recurrent {
    layer_with((cell, Extras::NONE), direction, [input_size, hidden_size], seed)
}

/// The same with what is beside W and biases.
pub(crate) fn layer_with(
    (cell, extras): (Cell, Extras),
    direction: Direction,
    sizes: [usize; 2],
    seed: u64,
) -> Recurrent {
    draw_layer(cell, extras, Way::plain(direction), sizes, &mut noise(seed))
}

fn draw_layer(
    cell: Cell,
    extras: Extras,
    way: Way,
    [input_size, hidden_size]: [usize; 2],
    next: &mut dyn FnMut() -> f32,
) -> Recurrent {
    let rows = cell.gates().len() * hidden_size;
    let bound = 1.0 / (hidden_size as f32).sqrt();
    let mut numbers = |columns: usize| -> Vec<f32> {
        let scale = |row: usize| bound * [1.0, 0.8, 1.2, 0.9][row / hidden_size];
        (0..rows * columns).map(|at| scale(at / columns) * next()).collect()
    };
    let state_size = extras.projection.unwrap_or(hidden_size);
    let mut side = |side: usize| CellWeights {
        input: Matrix::new(rows, input_size, numbers(input_size)).expect("as drawn"),
        recurrent: match extras.recurrence[side] {
            Recurrence::Identity => RecurrentWeights::Identity,
            Recurrence::Diagonal => RecurrentWeights::Diagonal(numbers(1)),
            Recurrence::Matrix => {
                let matrix = Matrix::new(rows, state_size, numbers(state_size));
                RecurrentWeights::Matrix(matrix.expect("as drawn"))
            }
        },
        bias: way.biases[side][0].then(|| numbers(1)),
        recurrent_bias: way.biases[side][1].then(|| numbers(1)),
        peepholes: match cell {
            Cell::Lstm(lstm) if extras.peepholes[side] => {
                let mut all = numbers(1);
                all.truncate(lstm.peephole_gates().len() * hidden_size);
                Some(all)
            }
            _ => None,
        },
        projection: extras.projection.map(|size| {
            let numbers = (0..size).flat_map(|_| {
                let mut row = numbers(1);
                row.truncate(hidden_size);
                row
            });
            Matrix::new(size, hidden_size, numbers.collect()).expect("as drawn")
        }),
    };
    let weights = (0..way.direction.count()).map(&mut side).collect();
    let mut layer = Recurrent::new(cell, way.direction, weights).expect("as drawn");
    (layer.merge, layer.order, layer.pad_output) = (way.merge, way.order, way.pad);
    layer.state_scope = way.scope;
    layer
}

impl Recipe {
    /// The model with its data.
    pub(crate) fn case(&self) -> Case {
        let needs_a_step = |m: &Move| matches!(m, Move::Step { .. } | Move::OverTime { .. });
        let least = usize::from(self.moves.iter().any(needs_a_step));
        let mut growth = Growth {
            graph: Model::graph(),
            pool: Vec::new(),
            masks: Vec::new(),
            inputs: Vec::new(),
            next: Box::new(noise(self.seed)),
            nodes: 0,
            axes: self.axes,
            time: self.time.max(least),
            batch: self.batch,
        };
        growth.graph.axes(self.axes);
        growth.sequence(self.features);
        for one in &self.moves {
            growth.grow(one);
        }
        growth.finish(self.kind, &self.outputs)
    }
}

struct Growth {
    graph: GraphBuilder,
    /// Every value so far, the youngest last.
    pool: Vec<(Value, Shape)>,
    masks: Vec<(Value, Shape)>,
    inputs: Arrays,
    next: Box<dyn FnMut() -> f32>,
    nodes: usize,
    axes: SequenceAxes,
    time: usize,
    batch: usize,
}

impl Growth {
    fn draw(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| scale * (self.next)()).collect()
    }

    fn below(&mut self, count: usize) -> usize {
        let half = f64::from((self.next)()) * 0.5 + 0.5;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below count")]
        let index = (half * count as f64) as usize;
        index.min(count - 1)
    }

    fn name(&mut self, what: &str) -> String {
        self.nodes += 1;
        format!("{what}_{}", self.nodes)
    }

    fn sequence_shape(&self, features: &[usize]) -> Vec<usize> {
        let mut shape = match self.axes {
            SequenceAxes::BatchTime => vec![self.batch, self.time],
            SequenceAxes::TimeBatch => vec![self.time, self.batch],
        };
        shape.extend_from_slice(features);
        shape
    }

    fn sequence(&mut self, features: usize) {
        let name = format!("x{}", self.inputs.len());
        let value = self.graph.sequence(&name, features);
        let time = Extent::Input(self.inputs.len());
        self.pool.push((value, Shape::Sequence { time, features }));
        let shape = self.sequence_shape(&[features]);
        let numbers = self.draw(self.time * self.batch * features, 1.5);
        self.inputs.push((name, Array::new(&shape, numbers).expect("as drawn")));
    }

    /// The value that `of` counts back to among those that fit.
    fn find(&self, of: usize, fits: impl Fn(Shape) -> bool) -> Option<(Value, Shape)> {
        let fitting: Vec<_> = self.pool.iter().rev().filter(|(_, shape)| fits(*shape)).collect();
        (!fitting.is_empty()).then(|| *fitting[of % fitting.len()])
    }

    /// The mask of sequences of this shape that `which` counts back to, if there is one.
    fn find_mask(&self, which: Option<usize>, shape: Shape) -> Option<Value> {
        let fits = |(_, of): &&(Value, Shape)| *of == shape.with_features(1);
        let fitting: Vec<_> = self.masks.iter().rev().filter(fits).collect();
        which.filter(|_| !fitting.is_empty()).map(|which| fitting[which % fitting.len()].0)
    }

    fn node(&mut self, op: Op, inputs: &[Value], shape: Shape) {
        let name = self.name(op.name());
        let value = self.graph.node(&name, op, inputs);
        self.pool.push((value, shape));
    }

    /// `None` where nothing fits.
    fn grow(&mut self, one: &Move) -> Option<()> {
        let any = |_: Shape| true;
        let sequence = |shape: Shape| matches!(shape, Shape::Sequence { .. });
        match one {
            Move::Recurrent { cell, extras, way, hidden, of, initial, mask } => {
                let (input, shape) = self.find(*of, sequence)?;
                let mask = self.find_mask(*mask, shape);
                let inputs = (input, shape, mask);
                self.recurrent((*cell, *extras), *way, *hidden, inputs, *initial);
            }
            Move::BothWays { sides, ways, hidden, of } => {
                let (input, shape) = self.find(*of, sequence)?;
                self.both_ways(*sides, *ways, *hidden, (input, shape));
            }
            Move::Dense { activation, outputs, bias, of } => {
                let (input, shape) = self.find(*of, any)?;
                let (input, shape) = self.tamed(*activation, input, shape);
                let columns = shape.features();
                let scale = 1.0 / (columns as f32).sqrt();
                let weights = self.draw(outputs * columns, scale);
                let bias = bias.then(|| self.draw(*outputs, scale));
                let weights = Matrix::new(*outputs, columns, weights).expect("as drawn");
                let dense = Dense::new(weights, bias, *activation).expect("as drawn");
                self.node(Op::Dense(dense), &[input], shape.with_features(*outputs));
            }
            Move::Activation { activation, of } => {
                let (input, shape) = self.find(*of, any)?;
                let (input, shape) = self.tamed(*activation, input, shape);
                self.node(Op::Activation(*activation), &[input], shape);
            }
            Move::ScaleShift { of } => {
                let (input, shape) = self.find(*of, any)?;
                let scale = self.draw(shape.features(), 1.5);
                let shift = self.draw(shape.features(), 0.5);
                let affine = ScaleShift::new(scale, shift).expect("as drawn");
                self.node(Op::ScaleShift(affine), &[input], shape);
            }
            Move::Combine { op, of, with } => self.combine(op, *of, *with)?,
            Move::Step { of, step } => {
                let (input, shape) = self.find(*of, sequence)?;
                let time = match shape {
                    Shape::Sequence { time: Extent::Fixed(time), .. } => time,
                    _ => self.time,
                };
                // Step 0 is the last: the only one that a causal model may take.
                let from_the_end = -1 - (step % time).cast_signed();
                let counted =
                    from_the_end + if step / time % 2 == 1 { time.cast_signed() } else { 0 };
                let vector = Shape::Vector { features: shape.features() };
                self.node(Op::Select(Select::Step(counted)), &[input], vector);
            }
            Move::Features { of, start, count } => {
                let (input, shape) = self.find(*of, any)?;
                let start = start % shape.features();
                let end = start + 1 + count % (shape.features() - start);
                let op = Op::Select(Select::Features { start, end });
                self.node(op, &[input], shape.with_features(end - start));
            }
            Move::State { of, index } => {
                let (input, shape) = self.find(*of, |s| matches!(s, Shape::States { .. }))?;
                let Shape::States { count, features } = shape else { return None };
                let op = Op::Select(Select::State(index % count));
                self.node(op, &[input], Shape::Vector { features });
            }
            Move::States { of, start, count: wanted } => {
                let (input, shape) = self.find(*of, |s| matches!(s, Shape::States { .. }))?;
                let Shape::States { count, features } = shape else { return None };
                let start = start % count;
                let end = start + 1 + wanted % (count - start);
                let op = Op::Select(Select::States { start, end });
                self.node(op, &[input], Shape::States { count: end - start, features });
            }
            Move::Spread { op, of } => {
                let (input, shape) = self.find(*of, |s| matches!(s, Shape::Vector { .. }))?;
                let steps = match op {
                    Op::Repeat { steps } | Op::Unroll { steps } => *steps,
                    _ => return None,
                };
                let time = Extent::Fixed(steps);
                let shape = Shape::Sequence { time, features: shape.features() };
                self.node(op.clone(), &[input], shape);
            }
            Move::OverTime { op, of, mask } => {
                let (input, shape) = self.find(*of, sequence)?;
                let mask = mask.filter(|_| *op == Op::MeanOverTime);
                let vector = Shape::Vector { features: shape.features() };
                let inputs: Vec<Value> =
                    std::iter::once(input).chain(self.find_mask(mask, shape)).collect();
                self.node(op.clone(), &inputs, vector);
            }
            Move::Mask { of } => {
                // Half the numbers of a noisy feature are below zero.
                let (input, shape) = self.find(*of, sequence)?;
                let first = Op::Select(Select::Features { start: 0, end: 1 });
                let shape = shape.with_features(1);
                self.node(first, &[input], shape);
                let (input, _) = self.pool[self.pool.len() - 1];
                self.node(Op::Activation(Activation::Relu), &[input], shape);
                let (input, _) = self.pool[self.pool.len() - 1];
                self.node(Op::Mask(MaskRule::AnyDiffers(0.0)), &[input], shape);
                self.masks.push(self.pool[self.pool.len() - 1]);
                // What is made next shall not be of this mask most of the time.
                self.pool.rotate_right(3);
            }
            Move::Masked { of, mask } => {
                let (input, shape) = self.find(*of, sequence)?;
                let mask = self.find_mask(Some(*mask), shape)?;
                self.node(Op::Masked, &[input, mask], shape);
            }
            Move::Flatten { of } => {
                let fixed = |shape| matches!(shape, Shape::Sequence { time: Extent::Fixed(_), .. });
                let (input, shape) = self.find(*of, fixed)?;
                let Shape::Sequence { time: Extent::Fixed(time), features } = shape else {
                    return None;
                };
                self.node(Op::Flatten, &[input], Shape::Vector { features: time * features });
            }
            Move::Embedding { rows, features } => self.embedding(*rows, *features),
            Move::Constant { rows, features } => {
                let constant = match *rows {
                    None => Constant::vector(self.draw(*features, 1.5)),
                    Some((count, steps)) => {
                        let numbers = self.draw(count * features, 1.5);
                        let rows = Matrix::new(count, *features, numbers).expect("as drawn");
                        if steps { Constant::sequence(rows) } else { Constant::states(rows) }
                    }
                };
                let shape = constant.shape();
                self.node(Op::Constant(constant), &[], shape);
            }
        }
        Some(())
    }

    /// Before an exponential, whose results would soon overflow, a bounded activation.
    fn tamed(&mut self, activation: Activation, input: Value, shape: Shape) -> (Value, Shape) {
        if activation != Activation::Exponential {
            return (input, shape);
        }
        self.node(Op::Activation(Activation::HardTanh), &[input], shape);
        self.pool[self.pool.len() - 1]
    }

    fn combine(&mut self, op: &Op, of: usize, with: usize) -> Option<()> {
        let state = |shape: Shape| matches!(shape, Shape::Vector { .. } | Shape::States { .. });
        let stack = *op == Op::Stack;
        let (first, shape) = self.find(of, |shape| !stack || state(shape))?;
        let features = shape.features();
        let (second, other) = self.find(with, |other| match op {
            Op::Concat => other.with_features(features) == shape,
            Op::Stack => state(other) && other.features() == features,
            _ => other == shape,
        })?;
        let count = |shape: Shape| match shape {
            Shape::States { count, .. } => count,
            _ => 1,
        };
        let result = match op {
            Op::Concat => shape.with_features(features + other.features()),
            Op::Stack => Shape::States { count: count(shape) + count(other), features },
            _ => shape,
        };
        self.node(op.clone(), &[first, second], result);
        Some(())
    }

    fn recurrent(
        &mut self,
        (cell, extras): (Cell, Extras),
        way: Way,
        hidden: usize,
        (input, shape, mask): (Value, Shape, Option<Value>),
        initial: Initial,
    ) {
        let layer = draw_layer(cell, extras, way, [shape.features(), hidden], &mut self.next);
        let directions = way.direction.count();
        let sizes = [layer.state_size(), hidden];
        let sizes = &sizes[..1 + usize::from(cell.has_cell_state())];
        let fits = |shape: Shape, size: usize| match shape {
            Shape::States { count, features } => count == directions && features == size,
            Shape::Vector { features } => directions == 1 && features == size,
            Shape::Sequence { .. } => false,
        };
        let initial: Vec<Value> = match initial {
            Initial::Zero => Vec::new(),
            Initial::Input { vectors } => {
                let vectors = vectors && directions == 1;
                sizes.iter().map(|&size| self.state_input(directions, size, vectors)).collect()
            }
            Initial::Learned { vectors, activated } => {
                let vectors = vectors && directions == 1;
                let sizes = sizes.to_vec();
                let each = sizes.into_iter();
                each.map(|size| self.learned([directions, size], vectors, activated)).collect()
            }
            Initial::Found => {
                let found = sizes.iter().enumerate().map(|(back, &size)| {
                    self.find(back, |shape| fits(shape, size)).map(|(value, _)| value)
                });
                found.collect::<Option<_>>().unwrap_or_default()
            }
        };
        let features = layer.output_size();
        let name = self.name(cell.name());
        let others: Vec<Value> = initial.into_iter().chain(mask).collect();
        let values = self.graph.recurrent_from(&name, layer, input, &others);
        let states = |features| Shape::States { count: directions, features };
        if cell.has_cell_state() {
            self.pool.push((values.c_n, states(hidden)));
        }
        self.pool.push((values.h_n, states(sizes[0])));
        self.pool.push((values.last, Shape::Vector { features }));
        self.pool.push((values.sequence, shape.with_features(features)));
    }

    /// Two layers of one direction each; the first one's merge, or where sizes differ a concatenation.
    fn both_ways(
        &mut self,
        sides: [(Cell, Extras); 2],
        ways: [Way; 2],
        hidden: [usize; 2],
        (input, shape): (Value, Shape),
    ) {
        let directions = [Direction::Forward, Direction::Reverse];
        let pair = [0, 1].map(|side| {
            let way = Way { direction: directions[side], order: OutputOrder::Time, ..ways[side] };
            let ((cell, extras), sizes) = (sides[side], [shape.features(), hidden[side]]);
            draw_layer(cell, extras, way, sizes, &mut self.next)
        });
        let sizes = [pair[0].output_size(), pair[1].output_size()];
        let merge = if sizes[0] == sizes[1] { ways[0].merge } else { Merge::Concat };
        let features = if merge == Merge::Concat { sizes[0] + sizes[1] } else { sizes[0] };
        let cells = [sides[0].0, sides[1].0];
        let name = self.name("both");
        let both = self.graph.both_ways(&name, pair, merge, input).expect("as drawn");
        for (side, values) in [both.forward, both.backward].into_iter().enumerate() {
            let states = |features| Shape::States { count: 1, features };
            if cells[side].has_cell_state() {
                self.pool.push((values.c_n, states(hidden[side])));
            }
            self.pool.push((values.h_n, states(sizes[side])));
        }
        self.pool.push((both.last, Shape::Vector { features }));
        self.pool.push((both.sequence, shape.with_features(features)));
    }

    fn state_input(&mut self, count: usize, features: usize, vector: bool) -> Value {
        let name = format!("s{}", self.inputs.len());
        let numbers = self.draw(count * self.batch * features, 1.0);
        let (value, shape) = if vector {
            (self.graph.vector(&name, features), vec![self.batch, features])
        } else {
            (self.graph.states(&name, count, features), vec![count, self.batch, features])
        };
        self.inputs.push((name, Array::new(&shape, numbers).expect("as drawn")));
        value
    }

    /// A state of the model's own, which no other move finds.
    fn learned(&mut self, [count, features]: [usize; 2], vector: bool, activated: bool) -> Value {
        let numbers = self.draw(count * features, 1.0);
        let constant = if vector {
            Constant::vector(numbers)
        } else {
            Constant::states(Matrix::new(count, features, numbers).expect("as drawn"))
        };
        let name = self.name("constant");
        let value = self.graph.constant(&name, constant);
        if !activated {
            return value;
        }
        let name = self.name("start");
        self.graph.activation(&name, Activation::Tanh, value)
    }

    fn embedding(&mut self, rows: usize, features: usize) {
        let name = format!("i{}", self.inputs.len());
        let value = self.graph.indices(&name);
        let time = Extent::Input(self.inputs.len());
        let shape = self.sequence_shape(&[]);
        let indices = (0..self.time * self.batch)
            .map(|_| i32::try_from(self.below(rows)).expect("few rows"))
            .collect();
        self.inputs.push((name, Array::from_indices(&shape, indices).expect("as drawn")));
        let table = self.draw(rows * features, 1.5);
        let table = Matrix::new(rows, features, table).expect("as drawn");
        let op = Op::Embedding(Embedding::new(table));
        self.node(op, &[value], Shape::Sequence { time, features });
    }

    fn finish(mut self, kind: Kind, outputs: &[usize]) -> Case {
        let youngest = self.pool.len() - 1;
        self.graph.output("y0", self.pool[youngest].0);
        for (index, back) in outputs.iter().enumerate() {
            let value = self.pool[youngest - back % self.pool.len()].0;
            self.graph.output(&format!("y{}", index + 1), value);
        }
        let model = self.graph.build().expect("moves make models");
        if kind != Kind::Any {
            assert!(model.is_causal(), "moves of a stream make streams");
        }
        Case { model, inputs: self.inputs, time: self.time, batch: self.batch }
    }
}

/// The ports that a node has.
pub(super) fn ports(op: &Op) -> &'static [Port] {
    match op {
        Op::Recurrent(layer) if layer.cell().has_cell_state() => &Port::ALL,
        Op::Recurrent(_) => &Port::ALL[..3],
        _ => &Port::ALL[..1],
    }
}
