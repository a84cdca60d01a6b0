//! `ritornello verify`: fixtures pass, and what does not fit is found and placed.

#[path = "../../tests/golden_files/mod.rs"]
mod golden_files;
mod support;

use ritornello::Array;
use support::{Room, array, chain, fixture, two_inputs};

/// Fixtures without a model of their own.
const NOT_VERIFIED: [&str; 6] =
    ["cells", "dtln", "keras-files", "onnx-refused", "silero", "torch-files"];

#[test]
fn every_fixture_passes() {
    let room = Room::new("verify-fixtures");
    let mut count = 0;
    for entry in std::fs::read_dir(fixture("")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        if !folder.is_dir() || NOT_VERIFIED.contains(&name.as_str()) {
            continue;
        }
        let path = |file: &str| folder.join(file).to_str().unwrap().to_owned();
        let mut line = vec!["verify".to_owned(), "--json".to_owned()];
        let model = golden_files::model_in(&folder).unwrap_or_else(|| panic!("no model in {name}"));
        line.push(model.to_str().unwrap().to_owned());
        if folder.join("spec.json").exists() {
            line.extend(["--spec".to_owned(), path("spec.json")]);
        }
        line.push(path("case.npz"));
        let said = room.run(line);
        assert_eq!(said.code, 0, "{name}: {said:#?}");
        assert_eq!(said.json()["passed"], true, "{name}");
        count += 1;
    }
    assert!(count > 35, "only {count} fixtures");
}

/// A room with the model `m` and its own answer to `x`.
fn room(name: &str) -> (Room, Array, Array) {
    let room = Room::new(name);
    room.model("m.safetensors", &chain());
    let x = array(&[2, 9, 5], 7);
    room.npy("x.npy", &x);
    room.say("run m.safetensors x.npy -o y.npy").expect(0, &[]);
    let y = room.array("y.npy");
    (room, x, y)
}

#[test]
fn the_same_bits_differ_by_nothing() {
    let (room, x, y) = room("verify-same");
    room.npz("case.npz", &[("input.x", x), ("output.y", y)]);
    let json = room.say("verify m.safetensors case.npz --json --tolerance 0").expect(0, &[]).json();
    assert_eq!(json["outputs"][0]["max"], 0.0);
    let said = room.say("verify m.safetensors case.npz").expect(0, &[]);
    assert!(said.stdout.contains("same"), "{said:?}");
}

#[test]
fn without_a_case_the_self_test_in_the_file_is_run() {
    let room = Room::new("verify-self-test");
    room.model("m.safetensors", &chain());
    room.say("verify m.safetensors").expect(2, &["m.safetensors", "no self-test", "CASE.npz"]);
    let said = room.say("convert m.safetensors -o t.safetensors --self-test").expect(0, &[]);
    assert!(said.stdout.contains("with a self-test"), "{said:?}");
    let json = room.say("verify t.safetensors --json --tolerance 0").expect(0, &[]).json();
    assert_eq!((&json["passed"], &json["outputs"][0]["max"]), (&true.into(), &0.0.into()));
    let said = room.say("inspect t.safetensors").expect(0, &[]);
    assert!(said.stdout.contains("self-test"), "{said:?}");
    assert_eq!(room.say("inspect t.safetensors --json").json()["self_test"], true);
    // Not asked for, it is not written.
    room.say("convert t.safetensors -o u.safetensors").expect(0, &[]);
    room.say("verify u.safetensors").expect(2, &["no self-test"]);
    // A weight changed behind its back shows.
    let mut bytes = std::fs::read(room.file("t.safetensors")).unwrap();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&9.0_f32.to_le_bytes());
    std::fs::write(room.file("t.safetensors"), bytes).unwrap();
    room.say("verify t.safetensors").expect(1, &["beyond the tolerance"]);
}

#[test]
fn the_golden_inside_an_aida_file_and_what_it_says_stay_with_it() {
    let room = Room::new("verify-aida");
    let file = fixture("audio-aida").join("model.json");
    let file = file.to_str().unwrap();
    room.run(["verify", file]).expect(0, &[]);
    let out = room.file("a.safetensors");
    let out = out.to_str().unwrap();
    room.run(["convert", file, "-o", out, "--self-test"]).expect(0, &[]);
    room.run(["verify", out]).expect(0, &[]);
    let said = room.run(["inspect", out]).expect(0, &[]);
    assert!(said.stdout.contains("said: samplerate: 48000"), "{said:?}");
}

#[test]
fn the_worst_step_is_named() {
    let (room, x, y) = room("verify-worst");
    let mut values = y.as_f32().unwrap().to_vec();
    // Batch row 1, step 6, feature 2.
    values[(9 + 6) * 3 + 2] += 0.25;
    let y = Array::new(&[2, 9, 3], values).unwrap();
    room.npz("case.npz", &[("input.x", x), ("output.y", y)]);
    let said = room.say("verify m.safetensors case.npz").expect(1, &["beyond", "y"]);
    assert!(said.stdout.contains("batch 1, time 6, features 2"), "{said:?}");
    assert!(said.stdout.contains("DIFFERS"), "{said:?}");
    let json = room.say("verify m.safetensors case.npz --json").expect(1, &[]).json();
    assert_eq!(json["passed"], false);
    assert_eq!(json["outputs"][0]["worst"]["time"], 6);
    assert_eq!(json["outputs"][0]["worst"]["batch"], 1);
    room.say("verify m.safetensors case.npz --tolerance 0.3").expect(0, &[]);
}

#[test]
fn not_a_number_is_a_difference() {
    let (room, x, y) = room("verify-nan");
    for bad in [f32::NAN, f32::INFINITY] {
        let mut values = y.as_f32().unwrap().to_vec();
        values[4] = bad;
        let y = Array::new(&[2, 9, 3], values).unwrap();
        room.npz("case.npz", &[("input.x", x.clone()), ("output.y", y)]);
        let said = room.say("verify m.safetensors case.npz --tolerance 1e30").expect(1, &[]);
        assert!(said.stdout.contains("time 1, features 1"), "{said:?}");
    }
}

#[test]
fn arrays_must_fit() {
    let (room, x, y) = room("verify-fit");
    room.npz("case.npz", &[("input.x", x.clone()), ("output.z", y.clone())]);
    room.say("verify m.safetensors case.npz").expect(4, &["output.z", "output.y"]);
    room.npz("case.npz", &[("x", x.clone()), ("output.y", y.clone())]);
    room.say("verify m.safetensors case.npz").expect(4, &["'x'", "input.x"]);
    room.npz("case.npz", &[("input.x", x.clone())]);
    room.say("verify m.safetensors case.npz").expect(4, &["nothing to compare"]);
    room.npz("case.npz", &[("output.y", y)]);
    room.say("verify m.safetensors case.npz").expect(4, &["x"]);
    room.npz("case.npz", &[("input.x", x), ("output.y", array(&[2, 9, 4], 1))]);
    room.say("verify m.safetensors case.npz").expect(4, &["features=4", "features=3"]);
}

#[test]
fn an_output_left_out_is_said() {
    let room = Room::new("verify-part");
    room.model("two.safetensors", &two_inputs());
    let (x, h0) = (array(&[2, 3, 5], 7), array(&[2, 4], 8));
    room.npz("in.npz", &[("x", x.clone()), ("h0", h0.clone())]);
    room.say("run two.safetensors in.npz -o out.npz").expect(0, &[]);
    let last = support::arrays_of(&room.file("out.npz"), "last").remove(0).1;
    room.npz("case.npz", &[("input.x", x), ("input.h0", h0), ("output.last", last)]);
    room.say("verify two.safetensors case.npz").expect(0, &["output 'y' is not in the case"]);
}
