//! Specifications: what they say, what they refuse, and that every model has one.

#![cfg(all(feature = "safetensors", feature = "npz"))]

mod load_fixtures;

use load_fixtures::{assert_round_trip, scratch};
use proptest::prelude::*;
use ritornello::load::{Spec, load_with_spec, npz};
use ritornello::model::{
    Activation, Cell, CellWeights, Coupling, Dense, Direction, Element, Embedding, Extent, Gru,
    GruReset, Lstm, MaskRule, Matrix, Merge, Model, Op, OutputOrder, PadOutput, Recurrent,
    RecurrentWeights, ScaleShift, Select, SequenceAxes, Shape, SimpleRnn, StateScope,
};
use ritornello::{Array, Error};

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

const WHOLE: &str = r#"{"ritornello": 1,
  "inputs": [{"name": "x", "axes": ["batch", "time", 3]}],
  "nodes": [{"name": "rnn", "op": "lstm", "inputs": ["x"], "hidden_size": 2,
             "weights": {"convention": "keras", "prefix": "lstm."}}],
  "outputs": ["rnn.last"]}"#;

/// A file of arrays for an LSTM of 3 inputs and 2 units, one direction or two.
fn arrays(name: &str) -> std::path::PathBuf {
    let mut all = Vec::new();
    for side in ["", "forward.", "backward."] {
        for (part, shape) in
            [("kernel", &[3, 8][..]), ("recurrent_kernel", &[2, 8]), ("bias", &[8])]
        {
            let count: usize = shape.iter().product();
            let array = Array::new(shape, values(count, side.len())).unwrap();
            if side.is_empty() == (name == "one") {
                all.push((format!("lstm.{side}{part}"), array));
            }
        }
    }
    let path = scratch(&format!("{name}.npz"));
    npz::write(&path, &all).unwrap();
    path
}

fn changed(from: &str, to: &str) -> String {
    let text = WHOLE.replace(from, to);
    assert_ne!(text, WHOLE, "there is no {from}");
    text
}

#[test]
fn what_a_spec_may_not_say_is_refused_with_its_place() {
    for (from, to, parts) in [
        ("hidden_size", "hiden_size", &["nodes[0].hiden_size", "hidden_size"][..]),
        ("\"outputs\"", "\"output\"", &["output", "outputs"]),
        ("\"prefix\"", "\"prefx\"", &["nodes[0].weights.prefx"]),
        ("\"axes\"", "\"axis\"", &["inputs[0].axis"]),
        ("\"lstm\",", "\"lsmt\",", &["nodes[0].op", "lsmt", "gru"]),
        ("keras", "torch", &["nodes[0].weights.convention", "torch", "pytorch"]),
        ("\"ritornello\": 1", "\"ritornello\": 2", &["version 2"]),
        ("\"hidden_size\": 2", "\"hidden_size\": -2", &["nodes[0].hidden_size", "-2", "a count"]),
        ("\"hidden_size\": 2", "\"merge\": \"sum\"", &["nodes[0].merge"]),
        ("\"hidden_size\": 2", "\"layers\": 0", &["nodes[0].layers"]),
        ("\"hidden_size\": 2", "\"initial_h\": \"x\"", &["initial_c"]),
        ("\"hidden_size\": 2", "\"mask\": 3", &["nodes[0].mask", "a text"]),
        (
            "\"hidden_size\": 2",
            "\"pad_output\": \"keep\"",
            &["nodes[0].pad_output", "keep", "zero, hold, hold_state"],
        ),
        ("\"hidden_size\": 2", "\"reset\": \"before\"", &["nodes[0].reset"]),
        ("\"hidden_size\": 2", "\"activation\": \"tan\"", &["nodes[0].activation", "tan", "tanh"]),
        ("[\"batch\", \"time\", 3]", "[\"batch\", \"time\"]", &["inputs[0].axes", "int32"]),
        ("[\"batch\", \"time\", 3]", "[\"time\", 3]", &["inputs[0].axes"]),
        ("[\"batch\", \"time\", 3]", "[\"batch\", \"tim\", 3]", &["inputs[0].axes", "'tim'"]),
        (
            "}],\n  \"nodes\"",
            "}, {\"name\": \"y\", \"axes\": [\"time\", \"batch\", 1]}],\n  \"nodes\"",
            &["inputs[1].axes", "other way round"],
        ),
        ("\"rnn.last\"]", "3]", &["outputs[0]"]),
        ("]}", "]", &["JSON"]),
    ] {
        let error = Spec::from_json(&changed(from, to)).expect_err(to).to_string();
        for part in parts {
            assert!(error.contains(part), "{to}: no {part} in: {error}");
        }
    }
}

#[test]
fn a_mask_has_one_rule() {
    let node = |keys: &str| {
        format!(
            r#"{{"ritornello": 1, "inputs": [{{"name": "x", "axes": ["batch", "time", 3]}}],
            "nodes": [{{"name": "m", "op": "mask", "inputs": ["x"]{keys}}}], "outputs": ["m"]}}"#
        )
    };
    assert!(Spec::from_json(&node(r#", "value": -1"#)).is_ok());
    for (keys, parts) in [
        ("", ["nodes[0].mask", "value", "index"]),
        (r#", "value": 1, "index": 1"#, ["nodes[0].mask", "value", "index"]),
        (r#", "value": "x""#, ["nodes[0].value", "x", "a number"]),
        (r#", "value": 1e39"#, ["nodes[0].value", "e+39", "a number"]),
        (r#", "index": 0.5"#, ["nodes[0].index", "0.5", "an index"]),
        (r#", "index": 3000000000"#, ["nodes[0].index", "3000000000", "an index"]),
    ] {
        let error = Spec::from_json(&node(keys)).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{keys}: no {part} in: {error}");
        }
    }
    let mut graph = Model::graph();
    let x = graph.sequence("x", 3);
    let mask = graph.mask("m", MaskRule::AnyDiffers(f32::INFINITY), x);
    graph.output("y", mask);
    let error = Spec::from_model(&graph.build().unwrap()).unwrap_err().to_string();
    assert!(error.contains('m') && error.contains("inf"), "{error}");
}

#[test]
fn what_contradicts_the_weights_is_refused_with_both_numbers() {
    let path = arrays("one");
    assert!(load_with_spec(&path, &Spec::from_json(WHOLE).unwrap()).is_ok());
    for (from, to, parts) in [
        ("\"hidden_size\": 2", "\"hidden_size\": 5", &["rnn", "hidden=5", "[2, 8]"][..]),
        ("\"time\", 3]", "\"time\", 4]", &["rnn", "4]", "3]"]),
        ("\"hidden_size\": 2", "\"bias\": false", &["lstm.bias"]),
        ("\"lstm\",", "\"gru\",", &["rnn", "3×hidden", "[2, 8]"]),
        (
            "\"hidden_size\": 2",
            "\"direction\": \"bidirectional\"",
            &["lstm.forward.", "lstm.kernel"],
        ),
        ("\"hidden_size\": 2", "\"layers\": 2", &["rnn", "2 nodes"]),
        ("\"inputs\": [\"x\"]", "\"inputs\": [\"z\"]", &["'z'", "x"]),
        ("\"rnn.last\"", "\"rnn.first\"", &["rnn.first", "rnn.last"]),
    ] {
        let spec = Spec::from_json(&changed(from, to)).unwrap_or_else(|e| panic!("{to}: {e}"));
        let error = load_with_spec(&path, &spec).expect_err(to).to_string();
        for part in parts {
            assert!(error.contains(part), "{to}: no {part} in: {error}");
        }
    }
}

#[test]
fn the_merge_none_offers_both_directions() {
    let text =
        changed("\"hidden_size\": 2", "\"direction\": \"bidirectional\", \"merge\": \"none\"")
            .replace(
                "[\"rnn.last\"]",
                "[\"rnn.forward\", {\"name\": \"end\", \"value\": \"rnn.backward.last\"}]",
            );
    let model = load_with_spec(arrays("two"), &Spec::from_json(&text).unwrap()).unwrap();
    let shapes: Vec<Shape> =
        model.outputs().iter().map(|o| model.shape(o.value).unwrap()).collect();
    let time = Extent::Input(0);
    assert_eq!(shapes, [Shape::Sequence { time, features: 2 }, Shape::Vector { features: 2 }]);
    let names: Vec<&str> = model.nodes().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["rnn", "rnn.forward", "rnn.backward.last"], "only what is used is made");
    let Op::Select(Select::Features { start, end }) = model.nodes()[2].op else { panic!() };
    assert_eq!((start, end), (2, 4));
    assert_round_trip(&model, "none");
}

#[test]
fn initial_states_of_a_stack_are_counted() {
    let fixture = load_fixtures::fixture("torch-lstm-h0-c0", "model.safetensors");
    let text = std::fs::read_to_string(fixture.with_file_name("spec.json")).unwrap();
    let too_many = text.replace("[2, \"batch\", 8]", "[3, \"batch\", 8]");
    assert_ne!(text, too_many);
    let error =
        load_with_spec(&fixture, &Spec::from_json(&too_many).unwrap()).unwrap_err().to_string();
    assert!(error.contains("initial_h") && error.contains("=2") && error.contains("=3"), "{error}");
}

/// Lengths whose products do not fit in memory are refused, not computed with.
#[test]
fn sizes_beyond_all_measure_are_refused() {
    let spec = |axes: &str, nodes: &str, output: &str| {
        let text = format!(
            r#"{{"ritornello": 1, "inputs": [{{"name": "n0", "axes": {axes}}}],
                "nodes": [{nodes}], "outputs": ["{output}"]}}"#
        );
        let path = scratch("empty.npz");
        npz::write(&path, &[]).unwrap();
        load_with_spec(&path, &Spec::from_json(&text).unwrap())
    };
    let doubled: Vec<String> = (1..70)
        .map(|i| {
            format!(r#"{{"name": "n{i}", "op": "concat", "inputs": ["n{0}", "n{0}"]}}"#, i - 1)
        })
        .collect();
    assert!(spec("[\"batch\", 1]", &doubled[..20].join(","), "n20").is_ok());
    assert!(spec("[\"batch\", 1]", &doubled.join(","), "n69").is_err());
    let stacked = doubled.join(",").replace("concat", "stack");
    assert!(spec("[\"batch\", 1]", &stacked, "n69").is_err());
    let step = |step: &str| {
        format!(r#"{{"name": "s", "op": "select", "inputs": ["n0"], "step": {step}}}"#)
    };
    for time in ["9223372036854775808", "18446744073709551615", "0"] {
        let axes = format!("[\"batch\", {time}, 2]");
        for at in ["-9223372036854775808", "9223372036854775807", "0", "-1"] {
            assert!(spec(&axes, &step(at), "s").is_err(), "{time} {at}");
        }
    }
    for (at, fits) in [("4", true), ("-5", true), ("5", false), ("-6", false), ("0", true)] {
        assert_eq!(spec("[\"batch\", 5, 2]", &step(at), "s").is_ok(), fits, "{at}");
    }
    let flat = r#"{"name": "f", "op": "flatten", "inputs": ["n0"]}"#;
    assert!(spec("[\"batch\", 2147483647, 2147483647]", flat, "f").is_err());
}
