//! `.pt` files as `torch.save` writes them: state dicts in every form, and what is none.

#![cfg(all(feature = "pytorch", feature = "npz"))]

mod load_fixtures;
mod models;
mod refusal;

use load_fixtures::{fixture, scratch};
use refusal::refused;
use ritornello::load::{Spec, load_with_spec};
use ritornello::model::Model;
use ritornello::{Error, load};

fn spec() -> Spec {
    Spec::read(fixture("torch-files", "spec.json")).unwrap()
}

fn read(file: &str) -> Result<Model, Error> {
    load_with_spec(fixture("torch-files", file), &spec())
}

#[test]
fn every_form_of_a_state_dict_is_the_same_model() {
    let model = read("model.safetensors").unwrap();
    for file in [
        "zip.pt",
        "protocol-4.pt",
        "legacy.pt",
        "parameters.pt",
        "views.pt",
        "float16.pt",
        "bfloat16.pt",
        "float64.pt",
        "checkpoint.ckpt",
    ] {
        let other = read(file).unwrap_or_else(|error| panic!("{error}"));
        assert!(other == model, "{file} is another model");
    }
}

#[test]
fn several_state_dicts_have_their_keys_before_their_names() {
    refused(read("two.pth"), &["rnn.bias_ih_l0' is missing", "ema.rnn.", "net.rnn."]);
    let text = std::fs::read_to_string(fixture("torch-files", "spec.json")).unwrap();
    let spec = text.replace("\"rnn.\"", "\"net.rnn.\"").replace("\"norm.\"", "\"net.norm.\"");
    let left = ["no layer uses", "ema.rnn.weight_hh_l0"];
    refused(
        load_with_spec(fixture("torch-files", "two.pth"), &Spec::from_json(&spec).unwrap()),
        &left,
    );
}

#[test]
fn what_is_no_state_dict_has_the_lines_that_mend_it() {
    let mend = "torch.save(m.state_dict(), \"weights.pt\")";
    for (file, words) in [
        (
            "module.pt",
            &["imports 'torch_files.Net'", "torch.load(\"model.pt\", weights_only=False)", mend][..],
        ),
        ("script.pt", &["TorchScript", "torch.jit.load", mend]),
        ("exported.pt2", &["torch.export", "torch.export.load", "m.state_dict"]),
        ("sparse.pt", &["imports 'torch._utils._rebuild_sparse_tensor'", mend]),
        (
            "training.pt",
            &["without a state dict", "epoch, loss, device, optimizer", "module.state_dict()"],
        ),
        ("big-endian.pt", &["big-endian", "save it again"]),
    ] {
        refused(read(file), &[&[file], words].concat());
        refused(load(fixture("torch-files", file)), words);
    }
}

#[test]
fn without_a_spec_it_asks_for_one() {
    for file in ["zip.pt", "legacy.pt", "checkpoint.ckpt"] {
        refused(load(fixture("torch-files", file)), &[file, "weights only", "--spec SPEC.json"]);
    }
    // A file in memory is known by what is in it.
    for file in ["zip.pt", "legacy.pt"] {
        let bytes = std::fs::read(fixture("torch-files", file)).unwrap();
        refused(load::from_bytes(&bytes), &["weights only", "--spec SPEC.json"]);
    }
}

#[test]
fn weights_are_no_integers() {
    let text = std::fs::read_to_string(fixture("torch-files", "spec.json")).unwrap();
    // The counter of a normalisation is passed over; taken for a weight it is refused.
    let path = scratch("counter.json");
    let changed = text.replace("\"scale_shift\"", "\"embedding\"");
    std::fs::write(&path, &changed).unwrap();
    let spec = Spec::read(&path).unwrap();
    refused(load_with_spec(fixture("torch-files", "zip.pt"), &spec), &["norm.weight", "[4]"]);
}
