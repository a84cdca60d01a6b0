//! `.onnx` files: what is made of them, and what is refused. Their numbers are held against ONNX
//! Runtime's in `goldens.rs`.

#![cfg(all(feature = "onnx", feature = "safetensors", feature = "npz"))]

mod load_fixtures;
mod onnx_writer;

use load_fixtures::{assert_round_trip, fixture, folders_with};
use onnx_writer::{File, Node, attribute_int, attribute_ints, attribute_text};
use ritornello::load::from_bytes;
use ritornello::model::{
    Cell, Direction, Element, Gru, GruReset, Model, Op, Recurrent, SequenceAxes, ShownAxis,
};
use ritornello::{Array, PlanOptions};

fn load(name: &str) -> Model {
    ritornello::load(fixture(name, "model.onnx")).unwrap_or_else(|e| panic!("{e}"))
}

/// The words for the nodes of a model.
fn ops(model: &Model) -> Vec<&'static str> {
    model.nodes().iter().map(|node| node.op.name()).collect()
}

fn layers(model: &Model) -> Vec<&Recurrent> {
    let layers = model.nodes().iter().filter_map(|node| match &node.op {
        Op::Recurrent(layer) => Some(layer),
        _ => None,
    });
    layers.collect()
}

#[test]
fn what_stands_between_layers_makes_no_nodes() {
    for (name, expected) in [
        ("onnx-torch-lstm", &["lstm", "lstm", "stack", "stack", "dense"][..]),
        ("onnx-dynamo-lstm", &["lstm", "lstm", "stack", "stack", "dense"]),
        ("onnx-torch-gru", &["gru", "gru", "gru", "stack", "dense"]),
        ("onnx-dynamo-gru", &["gru", "gru", "gru", "stack", "dense"]),
        ("onnx-keras-lstm", &["lstm", "dense", "activation"]),
        ("onnx-keras-rnn", &["rnn", "rnn", "dense"]),
        ("onnx-keras-gru-before", &["gru"]),
        ("onnx-dynamo-rnn-unrolled", &["rnn", "rnn", "stack", "dense"]),
        ("onnx-node-lstm-all", &["lstm"]),
        ("onnx-node-lstm-batch-first", &["lstm"]),
    ] {
        let model = load(name);
        let mut found = ops(&model);
        // Final states of a layer by itself are selected.
        found.retain(|op| *op != "select");
        found.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{name}: {:?}", ops(&model));
    }
}

#[test]
fn loops_of_keras_are_layers() {
    let model = load("onnx-keras-bigru");
    let found: Vec<(Cell, Direction)> =
        layers(&model).iter().map(|layer| (layer.cell(), layer.direction())).collect();
    let gru = Cell::Gru(Gru::new(GruReset::AfterMatmul));
    assert_eq!(found, [(gru, Direction::Forward), (gru, Direction::Reverse)]);
    let before = load("onnx-keras-gru-before");
    assert_eq!(layers(&before)[0].cell(), Cell::Gru(Gru::new(GruReset::BeforeMatmul)));
    assert!(load("onnx-keras-rnn-last").is_causal());
}

#[test]
fn names_and_axes_are_those_of_the_file() {
    use ShownAxis::{Batch, Length, Time};
    let model = load("onnx-torch-lstm-given");
    let names: Vec<&str> = model.inputs().iter().map(|input| input.name.as_str()).collect();
    assert_eq!((names, model.axes()), (vec!["x", "h_0", "c_0"], SequenceAxes::TimeBatch));
    let names: Vec<&str> = model.outputs().iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["y", "h_n", "c_n"]);
    assert_eq!(load("onnx-torch-lstm").axes(), SequenceAxes::BatchTime);
    assert_eq!(load("onnx-torch-classifier").inputs()[0].element, Element::Index);

    let node = load("onnx-node-lstm");
    assert_eq!(node.input_axes(0), [Time, Batch, Length(5)]);
    assert_eq!(node.output_axes(0), [Time, Length(1), Batch, Length(4)]);
    assert_eq!(node.output_axes(1), [Length(1), Batch, Length(4)]);
    let batch_first = load("onnx-node-rnn-batch-first");
    assert_eq!(batch_first.input_axes(1), [Batch, Length(2), Length(4)]);
    assert_eq!(batch_first.output_axes(0), [Batch, Time, Length(2), Length(4)]);
    // The lengths of rows go with a run.
    let lengths = load("onnx-node-lstm-lengths");
    assert_eq!(lengths.inputs().len(), 1);
}

#[test]
fn an_array_must_have_the_axes_that_are_shown() {
    let plan = load("onnx-node-rnn-batch-first").into_plan(PlanOptions::default()).unwrap();
    let x = Array::new(&[3, 6, 5], vec![0.5; 90]).unwrap();
    let flat = Array::new(&[3, 8], vec![0.5; 24]).unwrap();
    let error = plan.run(&[("X", &x), ("initial_h", &flat)]).unwrap_err().to_string();
    assert!(error.contains("initial_h") && error.contains("[batch, 2, 4]"), "{error}");
    let parted = Array::new(&[3, 2, 4], vec![0.5; 24]).unwrap();
    let outputs = plan.run(&[("X", &x), ("initial_h", &parted)]).unwrap();
    assert_eq!(outputs[0].1.shape(), [3, 6, 2, 4]);
}

#[test]
fn models_with_the_axes_of_their_shapes_are_saved() {
    let mut saved = 0;
    for folder in folders_with("model.onnx") {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let model = load(name);
        if model.has_own_axes() {
            assert_round_trip(&model, name);
            saved += 1;
        } else {
            let error = ritornello::load::to_bytes(&model).unwrap_err().to_string();
            assert!(error.contains("axes"), "{name}: {error}");
        }
    }
    assert!(saved > 20, "{saved}");
}

/// An LSTM over `x`, time first, with 3 features and 2 units, as a part of other graphs.
fn lstm() -> File {
    let mut file = File::new(14);
    file.input("x", &["t", "b", "3"]);
    file.tensor("W", &[1, 8, 3], &[0.1; 24]);
    file.tensor("R", &[1, 8, 2], &[0.2; 16]);
    file.node(Node::new("LSTM", &["x", "W", "R"], &["y", "h", "c"]));
    file.output("h");
    file
}

fn refusal(file: &File) -> String {
    match from_bytes(&file.bytes()) {
        Ok(_) => panic!("it loads"),
        Err(error) => error.to_string(),
    }
}

fn assert_says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "no '{part}' in: {error}");
    }
}

#[test]
fn the_graph_by_hand_loads() {
    let model = from_bytes(&lstm().bytes()).unwrap();
    assert_eq!(ops(&model), ["lstm"]);
}

#[test]
fn every_node_that_is_not_understood_is_named() {
    let mut file = lstm();
    file.node(Node::new("Conv", &["y", "W"], &["a"]).named("first"));
    file.node(Node::new("Cos", &["h"], &["b"]).named("second"));
    file.node(Node::new("Relu", &["b"], &["d"]).named("follows"));
    let error = refusal(&file);
    assert_says(&error, &["2 nodes", "Conv 'first'", "Cos 'second'", "dynamo=False"]);
    assert!(!error.contains("follows"), "{error}");
}

#[test]
fn attributes_and_domains_are_honoured_or_refused() {
    for (attribute, parts) in [
        (attribute_int("layout", 2), &["LSTM", "layout is 2"][..]),
        (attribute_text("direction", "sideways"), &["direction is 'sideways'"]),
        (attribute_int("unheard_of", 1), &["attribute 'unheard_of'"]),
        (attribute_int("hidden_size", 3), &["hidden_size", "proj_size"]),
        (attribute_ints("clip", &[1]), &["attribute 'clip' is not a float"]),
    ] {
        let mut file = lstm();
        file.nodes_mut()[0] = Node::new("LSTM", &["x", "W", "R"], &["y", "h", "c"]).with(attribute);
        assert_says(&refusal(&file), parts);
    }
    let mut file = lstm();
    file.node(Node::new("Relu", &["h"], &["z"]).domain("com.example"));
    assert_says(&refusal(&file), &["domain 'com.example'"]);
    for opset in [6, 23] {
        let mut file = lstm();
        file.set_opset(opset);
        assert_says(&refusal(&file), &[&format!("opset {opset}"), "7 to 22"]);
    }
}

#[test]
fn names_must_be_made_once_and_before() {
    let mut file = lstm();
    file.node(Node::new("Relu", &["later"], &["z"]).named("early"));
    file.node(Node::new("Relu", &["h"], &["later"]));
    assert_says(&refusal(&file), &["'early'", "'later'", "no node before"]);
    let mut file = lstm();
    file.node(Node::new("Relu", &["again"], &["again"]).named("cycle"));
    assert_says(&refusal(&file), &["'cycle'", "'again'"]);
    let mut file = lstm();
    file.node(Node::new("Relu", &["h"], &["y"]));
    assert_says(&refusal(&file), &["two values", "'y'"]);
    let mut file = lstm();
    file.output("nothing");
    assert_says(&refusal(&file), &["no node makes", "'nothing'"]);
    let mut file = lstm();
    file.tensor("unused", &[1], &[1.0]);
    assert_says(&refusal(&file), &["no layer uses", "unused"]);
}

#[test]
fn shapes_that_lie_are_refused() {
    for (name, dims, count, parts) in [
        ("W", &[1, 8, 3][..], 23, &["'W'", "23 numbers", "[1, 8, 3]"][..]),
        ("W", &[1, 7, 3], 21, &["W has the shape [1, 7, 3]", "[1, 8, 3]"]),
        ("W", &[1, 8, 4], 32, &["X has 3 features, W is for 4"]),
        ("R", &[8, 2], 16, &["R has the shape [8, 2]"]),
        ("W", &[1 << 40, 1 << 40], 1, &["'W'", "no tensor has the shape"]),
        ("W", &[-1, 8, 3], 24, &["'W'", "no tensor has the shape"]),
        ("W", &[0, i64::MAX, 3], 0, &["'W'", "no tensor has the shape"]),
    ] {
        let mut file = lstm();
        file.replace_tensor(name, dims, &vec![0.5; count]);
        assert_says(&refusal(&file), parts);
    }
    let mut file = lstm();
    file.make_external("W");
    assert_says(&refusal(&file), &["'W'", "another file", "external_data=False"]);
}

/// An LSTM of 2 units over 3 features both ways; `y` is `[t, 2, b, 2]`, or `[b, t, 2, 2]` if the batch
/// comes first.
fn both_ways(outer: &[&str; 2]) -> File {
    let mut file = File::new(14);
    file.input("x", &[outer[0], outer[1], "3"]);
    let numbers = |count: u8| (0..count).map(|k| f32::from(k) / 50.0 - 0.4).collect::<Vec<_>>();
    file.tensor("W", &[2, 8, 3], &numbers(48));
    file.tensor("R", &[2, 8, 2], &numbers(32));
    let node = Node::new("LSTM", &["x", "W", "R"], &["y", "h"])
        .with(attribute_int("layout", i64::from(outer[0] == "b")));
    file.node(node.with(attribute_text("direction", "bidirectional")));
    file
}

#[test]
fn directions_stand_apart_in_arrays_and_behind_each_other_in_bare_slices() {
    use ShownAxis::{Batch, Length, Time};
    const LENGTHS: [usize; 3] = [5, 2, 0];
    for (outer, inner) in [((Time, 5), (Batch, 3)), ((Batch, 3), (Time, 5))] {
        let mut file = both_ways(&[["t", "b"], ["b", "t"]][usize::from(outer.0 == Batch)]);
        let moved = Node::new("Transpose", &["y"], &["parts"]);
        let perm = [[0, 1, 2, 3], [0, 2, 1, 3]][usize::from(outer.0 == Batch)];
        file.node(moved.with(attribute_ints("perm", &perm)));
        file.output("parts");
        let model = from_bytes(&file.bytes()).unwrap();
        assert_eq!(model.output_axes(0), [outer.0, Length(2), inner.0, Length(2)]);
        let x: Vec<f32> = (0..45_u8).map(|k| f32::from(k % 7) / 7.0 - 0.5).collect();
        let array = Array::new(&[outer.1, inner.1, 3], x.clone()).unwrap();
        let plan = model.plan(PlanOptions::default()).unwrap();
        let found = plan.run_lengths(&[("x", &array)], &LENGTHS).unwrap();
        assert_eq!(found[0].1.shape(), [outer.1, 2, inner.1, 2]);
        let bare = plan.session(3, 9).unwrap().run_lengths(&x, &LENGTHS).unwrap();
        let mut padding = 0;
        for (index, number) in found[0].1.as_f32().unwrap().iter().enumerate() {
            let (unit, side) = (index % 2, index / (2 * inner.1) % 2);
            let (within, without) = (index / 2 % inner.1, index / (4 * inner.1));
            let other = bare[((without * inner.1 + within) * 2 + side) * 2 + unit];
            assert_eq!(number.to_bits(), other.to_bits());
            let (step, row) = if outer.0 == Time { (without, within) } else { (within, without) };
            assert_eq!(*number != 0.0, step < LENGTHS[row], "step {step} of row {row}");
            padding += usize::from(*number == 0.0);
        }
        assert_eq!(padding, (15 - 5 - 2) * 4);
    }
}

#[test]
fn a_sequence_keeps_its_batch_and_time() {
    // Time and batch are joined in what the graph gives.
    let mut file = lstm();
    file.integers("shape", &[-1, 2]);
    file.node(Node::new("Reshape", &["y", "shape"], &["rows"]));
    file.output("rows");
    assert_says(&refusal(&file), &["'rows'", "joined"]);
    // Directions before time, of free and of fixed length.
    for time in ["t", "2"] {
        let mut file = both_ways(&[time, "b"]);
        let moved = Node::new("Transpose", &["y"], &["moved"]);
        file.node(moved.with(attribute_ints("perm", &[1, 0, 2, 3])));
        file.output("moved");
        assert_says(&refusal(&file), &["'moved'", "features in front of"]);
    }
    // Units before time and directions, which are before the batch.
    let mut file = both_ways(&["t", "b"]);
    let moved = Node::new("Transpose", &["y"], &["moved"]);
    file.node(moved.with(attribute_ints("perm", &[0, 1, 3, 2])));
    file.output("moved");
    assert_says(&refusal(&file), &["'moved'", "[time, 2, 2, batch]"]);
    // One input cannot be the batch first here and time first there.
    let mut file = lstm();
    file.node(
        Node::new("LSTM", &["x", "W", "R"], &["z"]).named("other").with(attribute_int("layout", 1)),
    );
    assert_says(&refusal(&file), &["'other'", "axis 0 of input 'x'"]);
}

#[test]
fn lengths_hold_for_all_of_a_model() {
    let mut file = lstm();
    file.nodes_mut()[0] = Node::new("LSTM", &["x", "W", "R", "", "lens"], &["y", "h", "c"]);
    file.indices("lens", &["b"]);
    assert!(from_bytes(&file.bytes()).is_ok());
    let mut padded = file.clone();
    padded.tensor("gain", &[1], &[2.0]);
    padded.node(Node::new("Mul", &["y", "gain"], &["scaled"]));
    padded.node(Node::new("Squeeze", &["scaled", "one"], &["shown"]));
    padded.integers("one", &[1]);
    padded.output("shown");
    assert_says(&refusal(&padded), &["'lens'", "'shown'", "run_lengths"]);
    let mut unlike = file.clone();
    unlike.node(Node::new("LSTM", &["x", "W", "R"], &["", "all"]));
    unlike.output("all");
    assert_says(&refusal(&unlike), &["'lens'", "all steps"]);
}

/// Models of Keras by tf2onnx: what is said of each names what helps.
#[test]
fn masks_and_loops_of_keras_are_refused_with_what_helps() {
    let masks = ["Equal '", "masks do", "Masking and mask_zero", "`.keras` file", "run_lengths"];
    for (name, parts) in [
        ("masking", &masks[..]),
        ("mask-zero", &masks),
        (
            "time-distributed",
            &["time_distributed", "TimeDistributed", "fixed time", "`.keras` file"],
        ),
    ] {
        let file = fixture("onnx-refused", &format!("{name}.onnx"));
        let error = ritornello::load(file).unwrap_err().to_string();
        assert_says(&error, parts);
    }
}

/// The folder of real models that are not part of the repository.
fn real(path: &str) -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("RITORNELLO_MODELS")?;
    Some(std::path::Path::new(&folder).join(path))
}

#[test]
fn silero_vad_is_refused_by_the_names_of_its_nodes() {
    let Some(path) = real("silero-vad/silero_vad_16k_op15.onnx") else {
        eprintln!("RITORNELLO_MODELS is not set: nothing is tested");
        return;
    };
    let error = ritornello::load(path).unwrap_err().to_string();
    assert_says(&error, &["Conv", "nodes", "recurrent"]);
}
