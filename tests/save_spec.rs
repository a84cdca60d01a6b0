//! From a model to its specification and back: every model has one, but for a few that it names.

#![cfg(all(feature = "safetensors", feature = "npz"))]

mod load_fixtures;

use load_fixtures::assert_round_trip;
use proptest::prelude::*;
use ritornello::Error;
use ritornello::load::Spec;
use ritornello::model::{
    Activation, Cell, CellWeights, Constant, Coupling, Dense, Direction, Element, Embedding,
    Extent, Gru, GruReset, Lstm, MaskRule, Matrix, Merge, Model, Op, OutputOrder, PadOutput,
    Recurrent, RecurrentWeights, ScaleShift, Select, SequenceAxes, Shape, SimpleRnn, StateScope,
};

/// Values that no two places share.
fn values(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i + seed) * 37 % 251) as f32 / 251.0 - 0.5).collect()
}

fn matrix(rows: usize, columns: usize, seed: usize) -> Matrix {
    Matrix::new(rows, columns, values(rows * columns, seed)).unwrap()
}

/// What is beside W and biases: `recurrence` 1 is a diagonal, 2 the identity.
#[derive(Clone, Copy, Debug)]
struct Extras {
    recurrence: usize,
    peepholes: bool,
    projection: Option<usize>,
}

fn layer(
    cell: Cell,
    direction: Direction,
    [input, hidden]: [usize; 2],
    biases: [bool; 4],
    extras: Extras,
) -> Recurrent {
    let rows = cell.gates().len() * hidden;
    let state = extras.projection.unwrap_or(hidden);
    let weights = (0..direction.count()).map(|side| CellWeights {
        input: matrix(rows, input, side),
        recurrent: match extras.recurrence {
            0 => RecurrentWeights::Matrix(matrix(rows, state, side + 7)),
            1 => RecurrentWeights::Diagonal(values(rows, side + 9)),
            _ => RecurrentWeights::Identity,
        },
        bias: biases[2 * side].then(|| values(rows, side + 3)),
        recurrent_bias: biases[2 * side + 1].then(|| values(rows, side + 5)),
        peepholes: match cell {
            Cell::Lstm(lstm) if extras.peepholes => {
                Some(values(lstm.peephole_gates().len() * hidden, side + 11))
            }
            _ => None,
        },
        projection: extras.projection.map(|state| matrix(state, hidden, side + 13)),
    });
    Recurrent::new(cell, direction, weights.collect()).unwrap()
}

fn any_activation() -> impl Strategy<Value = Activation> {
    (0..Activation::ALL.len(), any::<f32>()).prop_map(|(index, parameter)| {
        let parameter = if parameter.is_nan() { 0.1 } else { parameter };
        match Activation::ALL[index] {
            Activation::LeakyRelu { .. } => Activation::LeakyRelu { alpha: parameter },
            Activation::Elu { .. } => Activation::Elu { alpha: parameter },
            other => other,
        }
    })
}

fn any_clip() -> impl Strategy<Value = Option<f32>> {
    prop::option::of(any::<f32>().prop_map(|clip| clip.abs()))
        .prop_map(|clip| clip.filter(|&clip| clip > 0.0 && clip.is_finite()))
}

fn any_layer() -> impl Strategy<Value = (Cell, Extras)> {
    let inside = || any_activation().prop_filter("rows", |a| !a.works_on_rows());
    let activations = (inside(), inside(), inside());
    let couplings = prop_oneof![
        Just(Coupling::None),
        Just(Coupling::ForgetFromInput),
        Just(Coupling::InputFromForget)
    ];
    let clips = (any_clip(), any_clip(), any_clip());
    let extras = (0_usize..3, any::<bool>(), prop::option::of(1_usize..4));
    (0..3, activations, any::<bool>(), couplings, clips, extras).prop_map(
        |(kind, activations, after, coupling, clips, (recurrence, peepholes, projection))| {
            let (activation, recurrent_activation, output_activation) = activations;
            let reset = if after { GruReset::AfterMatmul } else { GruReset::BeforeMatmul };
            let (clip, cell_clip, projection_clip) = clips;
            let projection = projection.filter(|_| recurrence == 0 && kind == 1);
            let cell = match kind {
                0 => Cell::SimpleRnn(SimpleRnn { activation, clip }),
                1 => Cell::Lstm(Lstm {
                    activation,
                    recurrent_activation,
                    output_activation,
                    coupling,
                    clip,
                    cell_clip,
                    projection_clip: projection_clip.filter(|_| projection.is_some()),
                }),
                _ => Cell::Gru(Gru { reset, activation, recurrent_activation, clip }),
            };
            (cell, Extras { recurrence, peepholes, projection })
        },
    )
}

proptest! {
    #[test]
    fn every_model_has_a_spec(
        (cell, extras) in any_layer(),
        direction in prop_oneof![Just(Direction::Forward), Just(Direction::Reverse), Just(Direction::Bidirectional)],
        merge in prop_oneof![Just(Merge::Concat), Just(Merge::Sum), Just(Merge::Mul), Just(Merge::Average)],
        activation in any_activation(),
        (hidden, features) in (1_usize..5, 1_usize..5),
        biases in any::<[bool; 4]>(),
        (processing, stateful, initial, time_major, fixed, dense_bias) in any::<(bool, bool, bool, bool, bool, bool)>(),
    ) {
        let mut recurrent = layer(cell, direction, [features, hidden], biases, extras);
        let sizes = [recurrent.state_size(), hidden];
        if direction == Direction::Bidirectional {
            recurrent.merge = merge;
        }
        if processing && direction == Direction::Reverse {
            recurrent.order = OutputOrder::Processing;
        }
        if stateful {
            recurrent.state_scope = StateScope::Session;
        }
        let outputs = recurrent.output_size();
        let mut graph = Model::graph();
        if time_major {
            graph.axes(SequenceAxes::TimeBatch);
        }
        let time = if fixed { Extent::Fixed(6) } else { Extent::Input(0) };
        let x = graph.input("x", Shape::Sequence { time, features }, Element::F32);
        let states = if cell.has_cell_state() { &["h", "c"][..] } else { &["h"] };
        let states: Vec<_> = states
            .iter()
            .zip(sizes)
            .map(|(name, size)| graph.states(name, direction.count(), size))
            .collect();
        let rnn = graph.recurrent_from("rnn", recurrent, x, if initial { &states } else { &[] });
        let bias = dense_bias.then(|| values(3, 1));
        let dense = graph.dense("head", Dense::new(matrix(3, outputs, 9), bias, activation).unwrap(), rnn.sequence);
        graph.output("head", dense);
        graph.output("end", rnn.last);
        graph.output("h", rnn.h_n);
        if cell.has_cell_state() {
            graph.output("c", rnn.c_n);
        }
        let model = graph.build().unwrap();
        let spec = Spec::from_model(&model).unwrap();
        prop_assert_eq!(&Spec::from_json(&spec.to_json()).unwrap(), &spec);
        assert_round_trip(&model, "any");
    }
}

#[test]
fn every_operation_round_trips() {
    let mut graph = Model::graph();
    graph.axes(SequenceAxes::TimeBatch);
    let ids = graph.indices("ids");
    let one = graph.input("one", Shape::Vector { features: 1 }, Element::Index);
    let fixed =
        graph.input("fixed", Shape::Sequence { time: Extent::Fixed(5), features: 2 }, Element::F32);
    let v = graph.vector("v", 3);
    let s = graph.states("s", 4, 3);
    let table = |seed| Embedding::new(matrix(11, 3, seed));
    let a = graph.embedding("a", table(0), ids);
    let row = graph.embedding("row", table(1), one);
    let scaled = ScaleShift::new(values(3, 2), values(3, 4)).unwrap();
    let b = graph.node("b", Op::ScaleShift(scaled), &[a]);
    let c = graph.activation("c", Activation::LeakyRelu { alpha: 0.123_456_79 }, b);
    let add = graph.node("add", Op::Add, &[a, b, c]);
    let multiply = graph.node("multiply", Op::Multiply, &[add, b]);
    let concat = graph.node("concat", Op::Concat, &[multiply, add]);
    let step = graph.select("step", Select::Step(-2), concat);
    let features = graph.select("features", Select::Features { start: 1, end: 4 }, step);
    let state = graph.select("state", Select::State(3), s);
    let states = graph.select("states", Select::States { start: 1, end: 3 }, s);
    let stack = graph.node("stack", Op::Stack, &[states, features, state, v, row]);
    let unroll = graph.node("unroll", Op::Unroll { steps: 4 }, &[v]);
    let repeat = graph.node("repeat", Op::Repeat { steps: 4 }, &[state]);
    let mean = graph.node("mean", Op::MeanOverTime, &[unroll]);
    let largest = graph.node("largest", Op::MaxOverTime, &[repeat]);
    let flat = graph.node("flat", Op::Flatten, &[fixed]);
    let known = graph.mask("known", MaskRule::IndexDiffers(-7), ids);
    let there = graph.mask("there", MaskRule::AnyDiffers(0.123_456_79), concat);
    let masked = graph.node("masked", Op::Masked, &[concat, there]);
    let counted = graph.node("counted", Op::MeanOverTime, &[masked, known]);
    let usual = Extras { recurrence: 0, peepholes: false, projection: None };
    let mut last = layer(Cell::SIMPLE_RNN, Direction::Forward, [3, 2], [true; 4], usual);
    for (name, pad) in [("hold", PadOutput::Hold), ("hold_state", PadOutput::HoldState)] {
        last.pad_output = pad;
        let rnn = graph.recurrent_masked(name, last.clone(), a, known);
        graph.output(name, rnn.last);
    }
    let start = graph.constant("start", Constant::states(matrix(1, 2, 3)));
    let gain = graph.constant("gain", Constant::vector(values(3, 8)));
    let steps = graph.constant("steps", Constant::sequence(matrix(4, 3, 5)));
    let gained = graph.node("gained", Op::Multiply, &[features, gain]);
    let moved = graph.node("moved", Op::Add, &[repeat, steps]);
    graph.output("gained", gained);
    graph.output("moved", moved);
    let learned = graph.recurrent_from("learned", last.clone(), a, &[start]);
    graph.output("learned", learned.h_n);
    let h = graph.vector("h", 2);
    let from = graph.recurrent_from("from", last, a, &[h, known]);
    for (name, value) in [
        ("stack", stack),
        ("m", mean),
        ("l", largest),
        ("flat", flat),
        ("ids again", concat),
        ("counted", counted),
        ("from", from.sequence),
    ] {
        graph.output(name, value);
    }
    assert_round_trip(&graph.build().unwrap(), "operations");

    let weights = CellWeights {
        input: matrix(2, 3, 0),
        recurrent: RecurrentWeights::Identity,
        bias: Some(values(2, 1)),
        recurrent_bias: None,
        peepholes: None,
        projection: None,
    };
    let mut graph = Model::graph();
    graph.axes(SequenceAxes::TimeBatch); // No sequence among the inputs says so.
    let v = graph.vector("v", 3);
    let sequence = graph.node("repeat", Op::Repeat { steps: 3 }, &[v]);
    let identity = Recurrent::new(Cell::SIMPLE_RNN, Direction::Forward, vec![weights]).unwrap();
    let rnn = graph.recurrent("rnn", identity, sequence);
    graph.output("y", rnn.sequence);
    assert_round_trip(&graph.build().unwrap(), "identity");
}

/// Layers of unlike cells, and of unlike sizes where these may be.
#[test]
fn two_layers_both_ways_round_trip() {
    let extras = Extras { recurrence: 0, peepholes: true, projection: Some(2) };
    let usual = Extras { peepholes: false, projection: None, ..extras };
    let lstm = layer(Cell::LSTM, Direction::Forward, [3, 4], [true; 4], extras);
    let gru = Cell::gru(GruReset::BeforeMatmul);
    for (merge, hidden) in
        [(Merge::Concat, 5), (Merge::Sum, 2), (Merge::Mul, 2), (Merge::Average, 2)]
    {
        let mut graph = Model::graph();
        let x = graph.sequence("x", 3);
        let backward = layer(gru, Direction::Reverse, [3, hidden], [true; 4], usual);
        let both = graph.both_ways("rnn", [lstm.clone(), backward], merge, x).unwrap();
        for (name, value) in [
            ("y", both.sequence),
            ("last", both.last),
            ("c", both.forward.c_n),
            ("h", both.backward.h_n),
        ] {
            graph.output(name, value);
        }
        assert_round_trip(&graph.build().unwrap(), &format!("both-ways-{merge:?}"));
    }
}

/// A spec has one word for both directions of a layer: two nodes have two.
#[test]
fn directions_of_unlike_weights_have_no_spec() {
    let usual = Extras { recurrence: 0, peepholes: false, projection: None };
    for other in [
        Extras { recurrence: 1, ..usual },
        Extras { recurrence: 2, ..usual },
        Extras { peepholes: true, ..usual },
    ] {
        let [first, second] = [usual, other].map(|extras| {
            let one = layer(Cell::LSTM, Direction::Forward, [3, 2], [true; 4], extras);
            one.weights()[0].clone()
        });
        let both = Recurrent::new(Cell::LSTM, Direction::Bidirectional, vec![first, second]);
        let model = Model::chain(3).recurrent(both.unwrap()).build().unwrap();
        let error = Spec::from_model(&model).unwrap_err().to_string();
        assert!(error.contains("lstm_0") && error.contains("one direction"), "{error}");
    }
}

#[test]
fn names_that_would_be_ambiguous_are_refused() {
    let mut graph = Model::graph();
    let x = graph.sequence("x", 2);
    let usual = Extras { recurrence: 0, peepholes: false, projection: None };
    let recurrent = layer(Cell::SIMPLE_RNN, Direction::Forward, [2, 2], [true; 4], usual);
    let rnn = graph.recurrent("rnn", recurrent, x);
    let other = graph.activation("rnn.last", Activation::Relu, rnn.sequence);
    graph.output("y", other);
    let error = Spec::from_model(&graph.build().unwrap()).unwrap_err();
    assert!(matches!(&error, Error::DuplicateName { name, .. } if name == "rnn.last"), "{error}");
}
