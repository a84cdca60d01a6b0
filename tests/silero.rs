//! The recurrent part of a voice activity detector that people use: silero-vad, 16 kHz. Each chunk of
//! 512 samples goes through a short-time Fourier transform and four convolutions, then as 128 features,
//! none below zero, through one step of an LSTM of 128 units, whose h a convolution of width 1 makes a
//! probability. The LSTM is the part that is here; the convolutions are not, so that the graph is
//! refused, and a spec takes the LSTM's tensors out of the file.
//!
//! It runs where `RITORNELLO_MODELS` names a folder with `silero-vad`; elsewhere it says so and passes.

#![cfg(all(feature = "onnx", feature = "safetensors", feature = "npz"))]

mod exact_lstm;

use std::path::{Path, PathBuf};

use exact_lstm::{layers, rounding};
use ritornello::load::{Spec, load, load_with_spec, npz};
use ritornello::{Array, Isa, Model, PlanOptions, State};
use ritornello_reference::{State as Exact, widen};

const SPEC: &str = r#"{"ritornello": 1,
  "inputs": [{"name": "x", "axes": ["batch", "time", 128]}],
  "nodes": [{"name": "rnn", "op": "lstm", "inputs": ["x"], "hidden_size": 128,
             "weights": {"convention": "pytorch", "prefix": "model.decoder.rnn."}}],
  "outputs": ["rnn"],
  "unused": ["model.stft.", "model.encoder.", "model.decoder.decoder."]}"#;

fn file() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("RITORNELLO_MODELS") else {
        eprintln!("skipped: RITORNELLO_MODELS is not set");
        return None;
    };
    Some(Path::new(&folder).join("silero-vad/silero_vad_16k_op15.onnx"))
}

fn model(file: &Path) -> Model {
    load_with_spec(file, &Spec::from_json(SPEC).unwrap()).unwrap_or_else(|e| panic!("{e}"))
}

fn array(file: &str, name: &str) -> Array {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/silero").join(file);
    npz::read(path).unwrap().into_iter().find(|(known, _)| known == name).unwrap().1.array
}

/// The numbers of an array of a fixture.
fn numbers(file: &str, name: &str) -> Vec<f32> {
    array(file, name).as_f32().unwrap().to_vec()
}

#[test]
fn two_streams_are_right_step_by_step_and_begin_as_pytorch_does() {
    let Some(file) = file() else { return };
    let model = model(&file);
    let truth = layers(&model).remove(0);
    let x = numbers("case.npz", "input.x");
    let theirs = numbers("case.npz", "output.y");
    let starts = [numbers("case.npz", "input.h_0"), numbers("case.npz", "input.c_0")];
    for isa in Isa::available() {
        let plan = model.plan(PlanOptions::default().isa(isa)).unwrap();
        let mut session = plan.session(2, 1).unwrap();
        let names: Vec<String> =
            session.state().unwrap().arrays().iter().map(|(name, _)| name.clone()).collect();
        let states = |h: &[f32], c: &[f32]| {
            let arrays = [h, c].map(|s| Array::new(&[1, 2, 128], s.to_vec()).unwrap());
            State::from_arrays(names.iter().cloned().zip(arrays).collect())
        };
        session.set_state(&states(&starts[0], &starts[1])).unwrap();
        let mut before = starts.clone();
        for (t, x) in x.chunks(2 * 128).enumerate() {
            let mut y = vec![0.0; 2 * 128];
            session.step(x, &mut y).unwrap();
            let state = session.state().unwrap();
            let after = [0, 1].map(|k| state.arrays()[k].1.as_f32().unwrap().to_vec());
            assert_eq!(y, after[0], "{isa}: the output is h");
            // Each step by itself, from our own state, within the bound of its rounding errors.
            for row in 0..2 {
                let of = |numbers: &[f32]| numbers[row * 128..][..128].to_vec();
                let start = Exact::from_f32(&of(&before[0]), &of(&before[1]));
                let step = truth.step(&widen(&of(x)), &start);
                let bound = truth.tolerance(&start, &step, rounding(isa));
                let mut all = vec![
                    (of(&after[0]), &step.state.hidden, &bound.hidden),
                    (of(&after[1]), &step.state.cell, &bound.cell),
                ];
                // The first step starts from the states that PyTorch started from.
                if t == 0 {
                    all.push((of(&theirs), &step.state.hidden, &bound.hidden));
                }
                for (found, exact, bound) in all {
                    for (unit, found) in found.iter().enumerate() {
                        let error = (f64::from(*found) - exact[unit]).abs();
                        assert!(error <= bound[unit], "{isa}, unit {unit}: {error:e}");
                    }
                }
            }
            before = after;
        }
    }
}

#[test]
fn the_graph_is_refused_and_no_tensor_is_left_out_unsaid() {
    let Some(file) = file() else { return };
    let error = load(&file).unwrap_err().to_string();
    assert!(error.contains("Conv"), "{error}");
    let spec = SPEC.replace("\"model.stft.\", ", "");
    let error = load_with_spec(&file, &Spec::from_json(&spec).unwrap()).unwrap_err().to_string();
    assert!(error.contains("model.stft.forward_basis_buffer"), "{error}");
}
