//! A noise suppressor that people use: weights of an old Keras in `.h5`, of which a spec takes the
//! first of two networks. It runs where `RITORNELLO_MODELS` names a folder with `dtln/model.h5`;
//! elsewhere it says so and passes.

#![cfg(all(feature = "keras", feature = "safetensors", feature = "npz"))]

#[cfg(feature = "onnx")]
mod exact_lstm;

use std::path::{Path, PathBuf};

use ritornello::load::{Spec, load, load_with_spec, npz};
#[cfg(feature = "onnx")]
use ritornello::model::Op;
use ritornello::{Array, Isa, Model, PlanOptions};
#[cfg(feature = "onnx")]
use ritornello_reference::{Activation, State as Exact, dense as dense_of, widen};

const SPEC: &str = r#"{"ritornello": 1,
  "inputs": [{"name": "x", "axes": ["batch", "time", 257]}],
  "nodes": [{"name": "first", "op": "lstm", "inputs": ["x"],
             "weights": {"convention": "keras", "prefix": "lstm/"}},
            {"name": "second", "op": "lstm", "inputs": ["first"],
             "weights": {"convention": "keras", "prefix": "lstm_1/"}},
            {"name": "mask", "op": "dense", "inputs": ["second"], "activation": "sigmoid",
             "weights": {"convention": "keras", "prefix": "dense/"}}],
  "outputs": ["mask"],
  "unused": ["conv1d", "dense_1/", "layer_normalization/", "lstm_2/", "lstm_3/"]}"#;

fn file() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("RITORNELLO_MODELS") else {
        eprintln!("skipped: RITORNELLO_MODELS is not set");
        return None;
    };
    Some(Path::new(&folder).join("dtln/model.h5"))
}

fn model(file: &Path) -> Model {
    load_with_spec(file, &Spec::from_json(SPEC).unwrap()).unwrap()
}

fn array(file: &str, name: &str) -> Array {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dtln").join(file);
    npz::read(path).unwrap().into_iter().find(|(known, _)| known == name).unwrap().1.array
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

#[test]
fn its_first_network_gives_what_onnx_runtime_gives_and_streams() {
    let Some(file) = file() else { return };
    let model = model(&file);
    let (x, theirs) = (array("case.npz", "input.x"), array("case.npz", "output.mask"));
    let exact = array("exact.npz", "mask");
    let [x, theirs, exact] = [&x, &theirs, &exact].map(|array| array.as_f32().unwrap());
    let line = 5e-7_f32.max(2.0 * distance(theirs, exact));
    for isa in Isa::available() {
        let plan = model.plan(PlanOptions::default().isa(isa)).unwrap();
        let mut session = plan.session(1, 8).unwrap();
        let whole = session.run(x).unwrap();
        for other in [theirs, exact] {
            let error = distance(&whole, other);
            assert!(error <= line, "{isa}: {error:e} is more than {line:e}");
        }
        session.reset();
        let steps: Vec<f32> = x.chunks(257).flat_map(|x| session.run(x).unwrap()).collect();
        let bits = |values: &[f32]| values.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&whole), bits(&steps), "{isa}: a stream has other bits");
    }
}

/// The same network in an ONNX file that takes and gives its states: step by step the same bits.
#[cfg(feature = "onnx")]
#[test]
fn its_onnx_file_has_the_bits_of_its_weights_in_h5() {
    let Some(file) = file() else { return };
    let (weights, onnx) = (model(&file), load(file.with_file_name("model_1.onnx")).unwrap());
    let x = array("case.npz", "input.x");
    for isa in Isa::available() {
        let options = || PlanOptions::default().isa(isa);
        let plan = onnx.plan(options()).unwrap();
        let mut session = weights.plan(options()).unwrap().session(1, 1).unwrap();
        let mut state = Array::new(&[1, 2, 128, 2], vec![0.0; 512]).unwrap();
        for (t, x) in x.as_f32().unwrap().chunks(257).enumerate() {
            let expected = session.run(x).unwrap();
            let x = Array::new(&[1, 1, 257], x.to_vec()).unwrap();
            let found = plan.run(&[("input_2", &x), ("input_3", &state)]).unwrap();
            let get = |name| &found.iter().find(|(known, _)| known == name).unwrap().1;
            let found = get("activation_2").as_f32().unwrap();
            let bits = |values: &[f32]| values.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(found), bits(&expected), "{isa}, step {t}");
            state = get("tf_op_layer_stack_2").clone();
        }
    }
}

/// One step of that file from states that are not zero, in f64: h and c of both layers, and the mask.
#[cfg(feature = "onnx")]
fn exact_step(model: &Model, x: &[f32], state: &[f32]) -> [Vec<f64>; 2] {
    let before = |layer: usize, part: usize| -> Vec<f32> {
        (0..128).map(|unit| state[(layer * 128 + unit) * 2 + part]).collect()
    };
    let (mut h, mut after) = (widen(x), Vec::new());
    for (layer, truth) in exact_lstm::layers(model).iter().enumerate() {
        let start = Exact::from_f32(&before(layer, 0), &before(layer, 1));
        let step = truth.step(&h, &start);
        h.clone_from(&step.state.hidden);
        after.extend(h.iter().zip(&step.state.cell).flat_map(|(&h, &c)| [h, c]));
    }
    let head = model.nodes().iter().find(|node| node.name == "dense_2").expect("the head");
    let Op::Dense(dense) = &head.op else { panic!("{:?}", head.op.name()) };
    let bias = widen(dense.bias().expect("its bias"));
    let mask = dense_of(&widen(dense.weights().values()), &h, &bias, Activation::Sigmoid);
    [mask, after]
}

/// The same step by ONNX Runtime 1.31.1 from random numbers, and in f64.
#[cfg(feature = "onnx")]
#[test]
fn its_onnx_file_gives_what_onnx_runtime_gives() {
    let Some(file) = file() else { return };
    let model = load(file.with_file_name("model_1.onnx")).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dtln.npz");
    let case = npz::read(path).unwrap();
    let get = |name: &str| &case.iter().find(|(known, _)| known == name).unwrap().1.array;
    let (x, state) = (get("input.input_2"), get("input.input_3"));
    let exact = exact_step(&model, x.as_f32().unwrap(), state.as_f32().unwrap());
    for isa in Isa::available() {
        let plan = model.plan(PlanOptions::default().isa(isa)).unwrap();
        let found = plan.run(&[("input_2", x), ("input_3", state)]).unwrap();
        for (name, exact) in ["activation_2", "tf_op_layer_stack_2"].iter().zip(&exact) {
            let found = &found.iter().find(|(known, _)| known == name).unwrap().1;
            let theirs = get(&format!("output.{name}"));
            assert_eq!(found.shape(), theirs.shape());
            let theirs = theirs.as_f32().unwrap();
            let line = exact_lstm::line(theirs, exact);
            for other in [exact, &widen(theirs)] {
                let error = exact_lstm::distance(found.as_f32().unwrap(), other);
                assert!(error <= line, "{isa}: {name} is off by {error:e}, more than {line:e}");
            }
        }
    }
}

#[test]
fn nothing_of_it_is_left_out_unsaid() {
    let Some(file) = file() else { return };
    let error = load(&file).unwrap_err().to_string();
    assert!(error.contains("weights only") && error.contains("--spec"), "{error}");
    let spec = SPEC.replace("\"lstm_2/\", ", "");
    let error = load_with_spec(&file, &Spec::from_json(&spec).unwrap()).unwrap_err().to_string();
    assert!(error.contains("lstm_2/lstm_2/kernel:0") && !error.contains("lstm_3"), "{error}");
}
