//! `.keras` files that Keras wrote, and arrays as `get_weights()` gives them.

#![cfg(all(feature = "keras", feature = "safetensors", feature = "npz"))]

mod load_fixtures;

use load_fixtures::{assert_fits_case, assert_round_trip, fixture, folders_with};
use ritornello::load::keras;
use ritornello::model::{
    Activation, Cell, Direction, Element, Gate, Gru, GruReset, MaskRule, Merge, Model, Op,
    OutputOrder, PadOutput, Recurrent, StateScope, Value,
};
use ritornello::{Array, Error};

fn load(name: &str) -> Model {
    ritornello::load(fixture(name, "model.keras")).unwrap_or_else(|e| panic!("{e}"))
}

fn recurrent<'a>(model: &'a Model, name: &str) -> &'a Recurrent {
    let node = model.nodes().iter().find(|node| node.name == name);
    match &node.unwrap_or_else(|| panic!("no node {name}")).op {
        Op::Recurrent(layer) => layer,
        other => panic!("{name} is {}", other.name()),
    }
}

#[test]
fn every_fixture_loads_fits_its_cases_and_round_trips() {
    for folder in folders_with("model.keras") {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let model = load(name);
        for case in ["case.npz", "case-2.npz"] {
            let case = folder.join(case);
            if case.is_file() {
                assert_fits_case(&model, &case);
            }
        }
        assert_round_trip(&model, name);
    }
}

#[test]
fn parameters_are_as_many_as_keras_counts() {
    for (name, parameters) in [
        ("simple-rnn-relu-dense", (16 + 32 + 1) * 32 + (32 + 1) * 16),
        ("lstm-sequence", 4 * 32 * (16 + 32 + 1)),
        ("simple-rnn-stack-unrolled", 64 * (100 + 64 + 1) + 64 * (64 + 64 + 1)),
        ("gru-reset-after", 3 * 13 * (11 + 13 + 2)),
        ("gru-reset-before", 3 * 13 * (11 + 13 + 1)),
        ("gru-no-bias", 2 * 3 * 6 * (4 + 6)),
        ("bilstm-3-layers", 2 * 48 * (9 + 12 + 1) + 2 * 2 * 48 * (24 + 12 + 1)),
        ("stacked-cells", 24 * (5 + 6 + 1) + 15 * (6 + 5 + 2) + 4 * (5 + 4 + 1)),
    ] {
        assert_eq!(load(name).parameters(), parameters, "{name}");
    }
}

#[test]
fn attributes_are_honoured() {
    let relu = load("simple-rnn-relu-dense");
    assert_eq!(recurrent(&relu, "rnn").cell(), Cell::simple_rnn(Activation::Relu));
    let variants = load("lstm-variants");
    assert_eq!(
        recurrent(&variants, "lstm").cell(),
        Cell::lstm(Activation::Relu, Activation::HARD_SIGMOID)
    );
    let reset = |name| match recurrent(&variants, name).cell() {
        Cell::Gru(Gru { reset, activation: Activation::Softsign, .. }) => reset,
        other => panic!("{other:?}"),
    };
    assert_eq!(reset("gru_after"), GruReset::AfterMatmul);
    assert_eq!(reset("gru_before"), GruReset::BeforeMatmul);

    let backwards = load("go-backwards");
    for name in ["gru", "rnn"] {
        let layer = recurrent(&backwards, name);
        assert_eq!((layer.direction(), layer.order), (Direction::Reverse, OutputOrder::Processing));
    }
    let several = load("masking-backwards-cells");
    for (name, order) in [("stack.0", OutputOrder::Time), ("stack", OutputOrder::Processing)] {
        let layer = recurrent(&several, name);
        assert_eq!((layer.direction(), layer.order), (Direction::Reverse, order), "{name}");
    }
    // One cell in both directions is one layer, however it is said; others are one layer each.
    let cells = load("bidirectional-cells");
    assert_eq!(recurrent(&cells, "one").direction(), Direction::Bidirectional);
    let unlike = load("bidirectional-unlike");
    for name in ["concat", "none", "sizes", "gates"] {
        for (side, direction) in [("forward", Direction::Forward), ("backward", Direction::Reverse)]
        {
            let layer = recurrent(&unlike, &format!("{name}.{side}"));
            assert_eq!((layer.direction(), layer.order), (direction, OutputOrder::Time), "{name}");
        }
    }
    let stateful = load("stateful");
    assert_eq!(recurrent(&stateful, "lstm").state_scope, StateScope::Session);

    let merges = load("bidirectional-merges");
    for (name, merge) in [
        ("concat", Merge::Concat),
        ("sum", Merge::Sum),
        ("mul", Merge::Mul),
        ("ave", Merge::Average),
        ("none", Merge::Concat),
    ] {
        let layer = recurrent(&merges, name);
        assert_eq!((layer.direction(), layer.merge), (Direction::Bidirectional, merge), "{name}");
    }
    let names: Vec<&str> = merges.outputs().iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["concat", "sum", "mul", "ave", "none_0", "none_1"]);

    let ids = load("embedding-pool");
    assert_eq!(ids.inputs()[0].element, Element::Index);
}

/// Which layers get a mask, what it is of, and what they show where it leaves steps out.
#[test]
fn masks_go_where_keras_hands_them_on() {
    let (differs, index) = (MaskRule::AnyDiffers, MaskRule::IndexDiffers(0));
    let (zero, hold) = (PadOutput::Zero, PadOutput::Hold);
    let merged = ["gru_joined", "gru_mixed", "gru_half"].map(|name| (name, hold));
    for (fixture, rule, masked, unmasked) in [
        ("masking-lstm", differs(-0.5), &[("lstm", hold)][..], &[][..]),
        ("masking-stack", differs(0.0), &[("lstm", hold), ("gru", hold)], &[]),
        ("embedding-mask-bigru", index, &[("both", zero), ("last", hold)], &[]),
        ("embedding-mask-sequential", index, &[("both", zero), ("rnn", hold)], &[]),
        ("masking-zero-output", differs(0.0), &[("lstm", zero), ("gru", zero), ("rnn", zero)], &[]),
        (
            "masking-go-backwards",
            differs(0.0),
            &[("gru", hold), ("lstm", hold), ("rnn", hold)],
            &[],
        ),
        (
            "masking-initial-state",
            differs(0.0),
            &[("given", hold), ("after_without", hold), ("after_given", hold)],
            &["without"],
        ),
        // What the cells below show, nobody sees.
        ("masking-stacked-cells", differs(0.0), &[("stack.0", zero), ("stack", hold)], &[]),
        ("masking-backwards-cells", differs(0.0), &[("stack.0", zero), ("stack", hold)], &[]),
        (
            "bidirectional-cells",
            differs(0.0),
            &[("gaps.forward.0", zero), ("gaps.backward", zero), ("ends.backward", hold)],
            &["one", "several.forward"],
        ),
        ("masking-merges", differs(0.0), &merged[..1], &["gru_mixed", "gru_half"]),
        ("embedding-pool", index, &[], &["both"]),
    ] {
        let model = load(fixture);
        let node = |name: &str| {
            let found = model.nodes().iter().find(|node| node.name == name);
            found.unwrap_or_else(|| panic!("{fixture}: no node {name}"))
        };
        let rules: Vec<MaskRule> = model
            .nodes()
            .iter()
            .filter_map(|node| match node.op {
                Op::Mask(rule) => Some(rule),
                _ => None,
            })
            .collect();
        assert_eq!(rules, if masked.is_empty() { vec![] } else { vec![rule] }, "{fixture}");
        let has_mask = |name: &str| {
            let is_mask = |&value: &Value| match value {
                Value::Node { node, .. } => matches!(model.nodes()[node].op, Op::Mask(_)),
                Value::Input(_) => false,
            };
            node(name).inputs.last().is_some_and(is_mask)
        };
        for (name, pad) in masked {
            assert!(has_mask(name), "{fixture}: {name}");
            assert_eq!(recurrent(&model, name).pad_output, *pad, "{fixture}: {name}");
        }
        for name in unmasked {
            assert!(!has_mask(name), "{fixture}: {name}");
            assert_eq!(recurrent(&model, name).pad_output, PadOutput::Zero, "{fixture}: {name}");
        }
    }
}

#[test]
fn activation_names_mean_what_keras_means() {
    let model = load("activations");
    for (name, activation) in [
        ("linear", Activation::Linear),
        ("leaky_relu", Activation::LeakyRelu { alpha: 0.2 }),
        ("elu", Activation::Elu { alpha: 1.0 }),
        ("hard_sigmoid", Activation::HARD_SIGMOID),
        ("gelu", Activation::Gelu),
        ("silu", Activation::Silu),
        ("log_softmax", Activation::LogSoftmax),
    ] {
        let node = model.nodes().iter().find(|node| node.name == name).unwrap();
        assert_eq!(node.op, Op::Activation(activation), "{name}");
    }
    let head = load("flatten-head");
    let layer = head.nodes().iter().find(|node| node.name == "leaky_relu").unwrap();
    assert_eq!(layer.op, Op::Activation(Activation::LeakyRelu { alpha: 0.3 }));
}

/// An array whose values are their own places.
fn counted(shape: &[usize]) -> Array {
    let count: usize = shape.iter().product();
    Array::new(shape, (0..count).map(|i| i as f32).collect()).unwrap()
}

#[test]
fn gate_columns_become_gate_rows() {
    // Two inputs, one unit: column g of the kernel is gate g of i f c o.
    let lstm = keras::lstm(&[counted(&[2, 4]), counted(&[1, 4]), counted(&[4])]).unwrap();
    for (column, gate) in
        [Gate::Input, Gate::Forget, Gate::Candidate, Gate::Output].into_iter().enumerate()
    {
        let column = column as f32;
        assert_eq!(lstm.input_gate(0, gate).unwrap().values(), [column, 4.0 + column], "{gate:?}");
        assert_eq!(lstm.recurrent_gate(0, gate).unwrap().values(), [column], "{gate:?}");
    }
    let gru = keras::gru(&[counted(&[2, 6]), counted(&[2, 6]), counted(&[2, 6])]).unwrap();
    for (block, gate) in [Gate::Update, Gate::Reset, Gate::Candidate].into_iter().enumerate() {
        let first = 2.0 * block as f32;
        let rows = [first, 6.0 + first, first + 1.0, 7.0 + first];
        assert_eq!(gru.input_gate(0, gate).unwrap().values(), rows, "{gate:?}");
    }
    let weights = &gru.weights()[0];
    assert_eq!(weights.bias.as_deref().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(weights.recurrent_bias.as_deref().unwrap(), [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
    let before = keras::gru(&[counted(&[2, 6]), counted(&[2, 6]), counted(&[6])]).unwrap();
    assert!(matches!(before.cell(), Cell::Gru(Gru { reset: GruReset::BeforeMatmul, .. })));
}

#[test]
fn arrays_that_do_not_fit_are_named() {
    let message = |result: Result<Recurrent, Error>| result.unwrap_err().to_string();
    let error = message(keras::lstm(&[counted(&[3, 16]), counted(&[4, 12]), counted(&[16])]));
    for part in ["recurrent_kernel", "4×hidden", "[4, 12]"] {
        assert!(error.contains(part), "{error}");
    }
    let error = message(keras::lstm(&[counted(&[3, 12]), counted(&[4, 16]), counted(&[16])]));
    assert!(error.contains("'kernel'") && error.contains("4×hidden=16"), "{error}");
    let error = message(keras::simple_rnn(&[counted(&[3, 4])]));
    assert!(error.contains("kernel, recurrent_kernel, bias"), "{error}");
    let error = message(keras::gru(&[counted(&[3, 6]), counted(&[2, 6]), counted(&[3, 6])]));
    assert!(error.contains("bias") && error.contains("[3, 6]"), "{error}");
    let indices = Array::from_indices(&[3, 4], vec![0; 12]).unwrap();
    let error = message(keras::simple_rnn(&[indices, counted(&[4, 4])]));
    assert!(error.contains("indices"), "{error}");
}

#[test]
fn both_directions_come_from_one_list() {
    let one = [counted(&[3, 8]), counted(&[2, 8]), counted(&[8])];
    let weights: Vec<Array> = one.iter().chain(&one).cloned().collect();
    let layer = keras::bidirectional(Cell::LSTM, &weights, Merge::Sum).unwrap();
    assert_eq!(layer.weights()[0], layer.weights()[1]);
    assert_eq!((layer.merge, layer.output_size()), (Merge::Sum, 2));
    assert!(keras::bidirectional(Cell::LSTM, &weights[..5], Merge::Sum).is_err());
}

#[test]
fn cells_called_by_hand_come_from_an_npz() {
    let arrays = ritornello::load::npz::read(fixture("cells", "weights.npz")).unwrap();
    let cell = |name: &str| -> Vec<Array> {
        ["kernel", "recurrent_kernel", "bias"]
            .map(|part| {
                let key = format!("{name}.{part}");
                arrays.iter().find(|(name, _)| *name == key).unwrap().1.array.clone()
            })
            .into()
    };
    assert_eq!(keras::simple_rnn(&cell("rnn3")).unwrap().hidden_size(), 3);
    assert_eq!(keras::lstm(&cell("lstm7")).unwrap().hidden_size(), 7);
    let after = keras::gru(&cell("gru6_after")).unwrap();
    let before = keras::gru(&cell("gru6_before")).unwrap();
    assert_eq!(after.cell(), Cell::gru(GruReset::AfterMatmul));
    assert_eq!(before.cell(), Cell::gru(GruReset::BeforeMatmul));
}
