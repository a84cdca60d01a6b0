//! Drafts of specs: unchanged they load where nothing is ambiguous, and they say what is.

#![cfg(all(feature = "safetensors", feature = "npz"))]

mod load_fixtures;

use load_fixtures::{fixture, scratch};
use ritornello::Array;
use ritornello::load::{Draft, NoteKind, Spec, draft_spec, load_with_spec, npz};
use ritornello::model::{Model, Op};

fn drafted(name: &str) -> (Draft, Model) {
    let file = fixture(name, "model.safetensors");
    let draft = draft_spec(&file).unwrap();
    // What the draft says as a text is what it is.
    let spec = Spec::from_json(&draft.spec.to_json()).unwrap();
    assert_eq!(spec, draft.spec, "{name}");
    let model = load_with_spec(&file, &spec).unwrap_or_else(|error| panic!("{name}: {error}"));
    (draft, model)
}

fn written(name: &str) -> Model {
    let spec = Spec::read(fixture(name, "spec.json")).unwrap();
    load_with_spec(fixture(name, "model.safetensors"), &spec).unwrap()
}

/// The nodes that have weights.
fn layers(model: &Model) -> Vec<&Op> {
    let all = model.nodes().iter().map(|node| &node.op);
    all.filter(|op| op.parameters() > 0).collect()
}

fn note(draft: &Draft, words: &[&str]) -> NoteKind {
    let mut notes = draft.notes.iter();
    let found = notes.find(|note| words.iter().all(|word| note.text.contains(word)));
    found.unwrap_or_else(|| panic!("no note says {words:?}: {:#?}", draft.notes)).kind
}

#[test]
fn drafts_of_chains_have_the_layers_of_the_written_specs() {
    for name in [
        "torch-bilstm-3-layers",
        "torch-bigru-3-layers",
        "torch-birnn-batch-first",
        "torch-birnn-time-major",
        "torch-birnn-many-to-many",
        "torch-one-to-many",
        "torch-rnn-h0",
        "torch-lstm-h0-c0",
        "torch-lstm-proj",
        "torch-embedding-batchnorm",
        "torch-encoder-decoder",
    ] {
        let (draft, model) = drafted(name);
        assert!(layers(&model) == layers(&written(name)), "{name}: {}", draft.spec.to_json());
        assert!(draft.notes.iter().all(|note| note.kind != NoteKind::Left), "{name}");
        assert_eq!(note(&draft, &["batch_first"]), NoteKind::Default);
    }
    // The one thing that its weights do not tell is a note.
    let (draft, model) = drafted("torch-rnn-relu-2-layers");
    assert_eq!(note(&draft, &["'rnn'", "tanh", "\"relu\""]), NoteKind::Default);
    let json =
        draft.spec.to_json().replace("\"op\":\"rnn\"", "\"op\":\"rnn\",\"activation\":\"relu\"");
    let file = fixture("torch-rnn-relu-2-layers", "model.safetensors");
    let relu = load_with_spec(file, &Spec::from_json(&json).unwrap()).unwrap();
    assert!(layers(&relu) == layers(&written("torch-rnn-relu-2-layers")));
    assert!(layers(&model) != layers(&relu));
}

#[test]
fn what_is_no_chain_is_a_guess_and_what_is_in_no_node_is_named() {
    let file = fixture("torch-learned-states", "model.safetensors");
    let draft = draft_spec(&file).unwrap();
    assert_eq!(note(&draft, &["in no node", "start.h0", "start.gain", "constant"]), NoteKind::Left);
    assert_eq!(note(&draft, &["no order"]), NoteKind::Guess);
    let error = load_with_spec(&file, &draft.spec).unwrap_err().to_string();
    assert!(error.contains("start.h0"), "{error}");

    let (draft, model) = drafted("torch-identity-loop");
    assert_eq!(layers(&model).len(), 2, "{}", draft.spec.to_json());
    let (draft, _) = drafted("torch-embedding-batchnorm");
    assert_eq!(note(&draft, &["'embedding'", "by its name"]), NoteKind::Guess);
    assert_eq!(note(&draft, &["'norm'", "eps", "1e-5"]), NoteKind::Default);
    assert_eq!(note(&draft, &["'norm'", "rnn.last"]), NoteKind::Default);
}

/// Writes arrays that count up from 0 by name as `.npz`, and drafts.
fn draft_of(test: &str, arrays: &[(&str, &[usize])]) -> Result<(Draft, Model), String> {
    let arrays: Vec<(String, Array)> = arrays
        .iter()
        .map(|(name, shape)| {
            let count: usize = shape.iter().product();
            let values = (0..count).map(|at| at as f32 / count as f32).collect();
            ((*name).to_owned(), Array::new(shape, values).unwrap())
        })
        .collect();
    let path = scratch(&format!("draft-{test}.npz"));
    npz::write(&path, &arrays).unwrap();
    let draft = draft_spec(&path);
    let loaded = draft.and_then(|draft| Ok((load_with_spec(&path, &draft.spec)?, draft)));
    std::fs::remove_file(&path).unwrap();
    loaded.map(|(model, draft)| (draft, model)).map_err(|error| error.to_string())
}

#[test]
fn keras_names_tell_cells_directions_and_where_a_gru_resets() {
    let (draft, model) = draft_of(
        "keras",
        &[
            ("gru.kernel", &[2, 9]),
            ("gru.recurrent_kernel", &[3, 9]),
            ("gru.bias", &[9]),
            ("both.forward.kernel", &[3, 20]),
            ("both.forward.recurrent_kernel", &[5, 20]),
            ("both.backward.kernel", &[3, 20]),
            ("both.backward.recurrent_kernel", &[5, 20]),
            ("norm.gamma", &[10]),
            ("norm.beta", &[10]),
            ("norm.moving_mean", &[10]),
            ("norm.moving_variance", &[10]),
            ("head.kernel", &[10, 1]),
        ],
    )
    .unwrap();
    let json = draft.spec.to_json();
    for word in ["\"reset\":\"before\"", "bidirectional", "\"bias\":false", "scale_shift"] {
        assert!(json.contains(word), "no {word} in {json}");
    }
    assert_eq!(model.nodes().len(), 4);
    assert_eq!(note(&draft, &["'both'", "concatenation"]), NoteKind::Default);
    assert_eq!(note(&draft, &["'gru'", "tanh and sigmoid"]), NoteKind::Default);
    assert!(draft.notes.iter().all(|note| note.kind == NoteKind::Default), "{:#?}", draft.notes);

    let after: [(&str, &[usize]); 3] =
        [("kernel", &[2, 9]), ("recurrent_kernel", &[3, 9]), ("bias", &[2, 9])];
    let (draft, _) = draft_of("after", &after).unwrap();
    assert!(!draft.spec.to_json().contains("before"));
    let (draft, _) = draft_of("none", &after[..2]).unwrap();
    assert_eq!(note(&draft, &["resets after", "without a bias"]), NoteKind::Default);
}

#[test]
fn cells_of_pytorch_have_names_without_a_layer() {
    let arrays: [(&str, &[usize]); 4] = [
        ("cell.weight_ih", &[12, 2]),
        ("cell.weight_hh", &[12, 3]),
        ("cell.bias_ih", &[12]),
        ("cell.bias_hh", &[12]),
    ];
    let (draft, model) = draft_of("cell", &arrays).unwrap();
    assert_eq!(model.nodes()[0].op.name(), "lstm");
    assert_eq!(model.nodes()[0].name, "cell");
    assert!(!draft.spec.to_json().contains("\"bias\":false"));
}

#[test]
fn files_without_a_layer_are_refused_with_their_names() {
    for arrays in [
        &[("conv.weight", &[3, 2, 5][..])][..],
        &[("arr_0", &[4, 4]), ("arr_1", &[4])],
        &[("weight_ih_l0", &[5, 2]), ("weight_hh_l0", &[5, 3])],
        // A layer that lacks its second direction's bias.
        &[("weight_ih_l0", &[3, 2]), ("weight_hh_l0", &[3, 3]), ("weight_ih_l0_reverse", &[3, 2])],
        &[("kernel", &[2, 0]), ("recurrent_kernel", &[0, 0])],
        &[("gamma", &[2]), ("beta", &[2])],
    ] {
        let error = draft_of("no-layer", arrays).unwrap_err();
        assert!(error.contains(arrays[0].0) && error.contains("by hand"), "{error}");
    }
}
