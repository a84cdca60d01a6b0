//! Models that real Keras and real PyTorch wrote give the numbers that Keras and PyTorch gave.
//!
//! Each folder of `tests/fixtures` holds a model, inputs with the framework's own f32 outputs, and
//! the same evaluated by the framework in f64. The pass line is 5e-7 × max(1, max|y|), or twice the
//! framework's own distance from f64 where that is more.

mod golden_files;

use std::path::{Path, PathBuf};

use ritornello::load::{self, Spec, npz};
use ritornello::{Array, Isa, Model, Plan, PlanOptions, Values};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn model(name: &str) -> Model {
    let folder = folder(name);
    let file = golden_files::model_in(&folder).unwrap_or_else(|| panic!("no model in {name}"));
    let spec = folder.join("spec.json");
    if spec.exists() {
        return load::load_with_spec(file, &Spec::read(spec).unwrap()).unwrap();
    }
    load::load(file).unwrap_or_else(|error| panic!("{error}"))
}

/// The arrays of a case whose names begin with `prefix`, without it.
fn arrays(path: &Path, prefix: &str) -> Vec<(String, Array)> {
    let all = npz::read(path).unwrap().into_iter();
    all.filter_map(|(name, read)| Some((name.strip_prefix(prefix)?.to_owned(), read.array)))
        .collect()
}

fn named(arrays: &[(String, Array)]) -> Vec<(&str, &Array)> {
    arrays.iter().map(|(name, array)| (name.as_str(), array)).collect()
}

fn get<'a>(arrays: &'a [(String, Array)], name: &str) -> &'a Array {
    let found = arrays.iter().find(|(known, _)| known == name);
    &found.unwrap_or_else(|| panic!("no array {name}")).1
}

fn distance(a: &Array, b: &Array) -> f32 {
    let (a, b) = (a.as_f32().unwrap(), b.as_f32().unwrap());
    // A NaN anywhere is an infinite distance.
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |most, d| {
        if d <= most {
            most
        } else if d.is_nan() {
            f32::INFINITY
        } else {
            d
        }
    })
}

/// Compares outputs with what the framework gave, in f32 and in f64.
fn check(name: &str, found: &[(String, Array)], case: &Path, exact: &Path) {
    let expected = arrays(case, "output.");
    let exact = arrays(exact, "");
    assert_eq!(found.len(), expected.len(), "{name}: the number of outputs");
    for (output, array) in found {
        let (expected, exact) = (get(&expected, output), get(&exact, output));
        assert_eq!(array.shape(), expected.shape(), "{name}: shape of {output}");
        let largest = exact.as_f32().unwrap().iter().fold(1.0_f32, |most, y| most.max(y.abs()));
        let line = (5e-7 * largest).max(2.0 * distance(expected, exact));
        for (what, other) in [("f32", expected), ("f64", exact)] {
            let error = distance(array, other);
            assert!(
                error <= line,
                "{name}: {output} is {error:e} from the framework's {what}, allowed {line:e}"
            );
        }
    }
}

fn check_fixture(name: &str) {
    let model = model(name);
    let folder = folder(name);
    for isa in Isa::available() {
        let plan = model.plan(PlanOptions::default().isa(isa)).unwrap();
        let case = folder.join("case.npz");
        let inputs = arrays(&case, "input.");
        let found = run(&plan, inputs);
        check(&format!("{name} on {isa}"), &found, &case, &folder.join("exact.npz"));
    }
}

/// Runs a model; an input of lengths goes with the run.
fn run(plan: &Plan, mut inputs: Vec<(String, Array)>) -> Vec<(String, Array)> {
    let lengths = inputs.iter().position(|(name, _)| name == "lengths");
    let Some(lengths) = lengths.map(|place| inputs.remove(place).1) else {
        return plan.run(&named(&inputs)).unwrap();
    };
    let Values::Index(lengths) = lengths.values() else { panic!("lengths are integers") };
    let lengths: Vec<usize> = lengths.iter().map(|&n| usize::try_from(n).unwrap()).collect();
    plan.run_lengths(&named(&inputs), &lengths).unwrap()
}

/// Every folder `onnx-*`.
#[test]
fn onnx_files() {
    let mut failed = Vec::new();
    for folder in std::fs::read_dir(folder("")).unwrap().map(|entry| entry.unwrap().path()) {
        if folder.join("model.onnx").is_file() {
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            if std::panic::catch_unwind(|| check_fixture(&name)).is_err() {
                failed.push(name);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

macro_rules! fixtures {
    ($($test:ident: $name:literal,)*) => {
        $(
            #[test]
            fn $test() {
                check_fixture($name);
            }
        )*

        /// Folders with a model of their own that [`check_fixture`] can run.
        const CHECKED: &[&str] = &[$($name),*];
    };
}

fixtures! {
    activations: "activations",
    add_multiply: "add-multiply",
    audio_aida: "audio-aida",
    audio_guitarml: "audio-guitarml",
    audio_nam: "audio-nam",
    audio_rtneural: "audio-rtneural",
    bidirectional_cells: "bidirectional-cells",
    bidirectional_merges: "bidirectional-merges",
    bidirectional_merges_last: "bidirectional-merges-last",
    bidirectional_states: "bidirectional-states",
    bidirectional_unlike: "bidirectional-unlike",
    bigru_3_layers: "bigru-3-layers",
    bilstm_3_layers: "bilstm-3-layers",
    embedding_mask_bigru: "embedding-mask-bigru",
    embedding_mask_sequential: "embedding-mask-sequential",
    embedding_pool: "embedding-pool",
    encoder_decoder: "encoder-decoder",
    flatten_head: "flatten-head",
    go_backwards: "go-backwards",
    gru_no_bias: "gru-no-bias",
    gru_reset_after: "gru-reset-after",
    gru_reset_before: "gru-reset-before",
    initial_state: "initial-state",
    keras_1_h5: "keras-1-h5",
    keras_2_12: "keras-2-12",
    keras_2_cudnn: "keras-2-cudnn",
    keras_2_h5: "keras-2-h5",
    keras_2_keras: "keras-2-keras",
    keras_2_masking: "keras-2-masking",
    keras_2_sequential: "keras-2-sequential",
    keras_2_states: "keras-2-states",
    keras_2_weights: "keras-2-weights",
    keras_3_h5: "keras-3-h5",
    keras_3_h5_masks: "keras-3-h5-masks",
    keras_3_shards: "keras-3-shards",
    keras_3_weights: "keras-3-weights",
    lstm_sequence: "lstm-sequence",
    lstm_variants: "lstm-variants",
    masking_backwards_cells: "masking-backwards-cells",
    masking_go_backwards: "masking-go-backwards",
    masking_initial_state: "masking-initial-state",
    masking_lstm: "masking-lstm",
    masking_merges: "masking-merges",
    masking_stack: "masking-stack",
    masking_stacked_cells: "masking-stacked-cells",
    masking_zero_output: "masking-zero-output",
    mono_lstm: "mono-lstm",
    operations: "operations",
    own_format_v1: "own-format-v1",
    nested: "nested",
    nested_masking: "nested-masking",
    return_state: "return-state",
    shapes_odd: "shapes-odd",
    shapes_t1_b1: "shapes-t1-b1",
    simple_rnn_dense_functional: "simple-rnn-dense-functional",
    simple_rnn_relu_dense: "simple-rnn-relu-dense",
    simple_rnn_stack_unrolled: "simple-rnn-stack-unrolled",
    stacked_cells: "stacked-cells",
    stateful: "stateful",
    text_head: "text-head",
    time_distributed: "time-distributed",
    torch_bigru_3_layers: "torch-bigru-3-layers",
    torch_bilstm_3_layers: "torch-bilstm-3-layers",
    torch_bilstm_packed: "torch-bilstm-packed",
    torch_birnn_batch_first: "torch-birnn-batch-first",
    torch_birnn_final_states: "torch-birnn-final-states",
    torch_birnn_many_to_many: "torch-birnn-many-to-many",
    torch_birnn_time_major: "torch-birnn-time-major",
    torch_embedding_batchnorm: "torch-embedding-batchnorm",
    torch_encoder_decoder: "torch-encoder-decoder",
    torch_identity_loop: "torch-identity-loop",
    torch_learned_states: "torch-learned-states",
    torch_lstm_h0_c0: "torch-lstm-h0-c0",
    torch_lstm_proj: "torch-lstm-proj",
    torch_lstm_proj_pt: "torch-lstm-proj-pt",
    torch_one_to_many: "torch-one-to-many",
    torch_rnn_h0: "torch-rnn-h0",
    torch_rnn_relu_2_layers: "torch-rnn-relu-2-layers",
}

/// Every folder is checked here, or in a test of its own.
#[test]
fn no_fixture_is_left_out() {
    // Cells by hand; models that are elsewhere; files that are read alike, or refused.
    const ELSEWHERE: [&str; 6] =
        ["cells", "dtln", "keras-files", "onnx-refused", "silero", "torch-files"];
    let fixtures = folder("");
    for entry in std::fs::read_dir(fixtures).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            let name = entry.file_name().into_string().unwrap();
            assert!(
                CHECKED.contains(&name.as_str())
                    || entry.path().join("model.onnx").is_file()
                    || ELSEWHERE.contains(&name.as_str()),
                "no test runs {name}"
            );
        }
    }
}

/// Keras `stateful=True`: the second call goes on where the first ended.
#[test]
fn a_stateful_layer_goes_on_in_the_next_call() {
    let plan = model("stateful").plan(PlanOptions::default()).unwrap();
    let mut session = plan.session(3, 6).unwrap();
    for (case, exact) in [("case.npz", "exact.npz"), ("case-2.npz", "exact-2.npz")] {
        let (case, exact) = (folder("stateful").join(case), folder("stateful").join(exact));
        let found = session.run_arrays(&named(&arrays(&case, "input."))).unwrap();
        check("stateful", &found, &case, &exact);
    }
}

/// PyTorch's `PackedSequence`: each row ends at its own length.
#[test]
fn packed_sequences_are_lengths() {
    let folder = folder("torch-bilstm-packed");
    let model = model("torch-bilstm-packed");
    for isa in Isa::available() {
        let plan = model.plan(PlanOptions::default().isa(isa)).unwrap();
        let case = folder.join("case-2.npz");
        let inputs = arrays(&case, "input.");
        let found = plan.run_lengths(&named(&inputs), &[7, 4, 1, 6, 2]).unwrap();
        check(&format!("packed on {isa}"), &found, &case, &folder.join("exact-2.npz"));
    }
}

/// The same model with a single step, from states that it is given.
#[test]
fn states_that_are_inputs_are_taken_anew_with_each_call() {
    let folder = folder("torch-lstm-h0-c0");
    let plan = model("torch-lstm-h0-c0").plan(PlanOptions::default()).unwrap();
    let case = folder.join("case-2.npz");
    let found = plan.run(&named(&arrays(&case, "input."))).unwrap();
    check("torch-lstm-h0-c0, one step", &found, &case, &folder.join("exact-2.npz"));
}
