//! Every kind of mistake has its exit code, and a message that says what to mend.

mod support;

use std::process::{Command, Stdio};

use ritornello::Array;
use support::{Room, array, chain, fixture, two_inputs};

/// A room with a model `m`, one with two inputs `two`, and data that fits the first.
fn room(name: &str) -> Room {
    let room = Room::new(name);
    room.model("m.safetensors", &chain());
    room.model("two.safetensors", &two_inputs());
    room.npy("x.npy", &array(&[2, 3, 5], 7));
    room.npz("x.npz", &[("x", array(&[2, 3, 5], 7))]);
    room
}

#[test]
fn usage_is_2() {
    let room = room("mistakes-usage");
    room.say("").expect(2, &["Usage"]);
    room.say("fly").expect(2, &["fly"]);
    room.say("run m.safetensors").expect(2, &["<INPUT>"]);
    room.say("run m.safetensors x.npy --isa avx2").expect(2, &["--isa"]);
    room.say("run m.safetensors x.txt").expect(2, &["x.txt", "'txt'", "npy or npz"]);
    room.say("run m.safetensors x.npy -o y.csv").expect(2, &["y.csv", "'csv'", "npy or npz"]);
    room.npz("two.npz", &[("x", array(&[2, 3, 5], 7)), ("h0", array(&[2, 4], 8))]);
    room.say("run two.safetensors two.npz -o y.npy").expect(2, &["2 outputs", "y, last", ".npz"]);
    room.say("run m.safetensors x.npy --threads 0").expect(2, &["--threads is 0"]);
    room.say("run m.safetensors x.npy --threads many").expect(2, &["many"]);
    room.say("run m.safetensors x.npy --precision f16").expect(2, &["f16", "f32-split"]);
    room.say("run m.safetensors x.npy --tune speed").expect(2, &["speed", "latency, throughput"]);
    for lengths in ["2,x", "2,-1", "lengths.txt", "2;1"] {
        let line = format!("run m.safetensors x.npy --lengths {lengths}");
        room.say(&line).expect(2, &["--lengths", lengths, "LENGTHS.npy", "5,3,0"]);
    }
    let line = "run m.safetensors x.npy --lengths 3,2 --mask mask.npy";
    room.say(line).expect(2, &["--mask", "--lengths"]);
    room.say("convert m.safetensors -o m.keras").expect(2, &["'keras'", "safetensors"]);
    room.say("convert m.safetensors -o ./m.safetensors").expect(2, &["the model itself"]);
    room.say("verify m.safetensors x.npy").expect(2, &[".npz"]);
    room.say("verify m.safetensors x.npz --tolerance -1").expect(2, &[]);
    room.say("verify m.safetensors x.npz --tolerance NaN").expect(2, &["--tolerance"]);
}

#[test]
fn layers_to_time_are_checked() {
    let room = Room::new("mistakes-layer");
    let layers = [
        ("cnn:1:2", "there is no cell 'cnn'"),
        ("lstm", "sizes are missing"),
        ("lstm:4", "sizes are missing"),
        ("lstm:0:8", "input size"),
        ("lstm:4:-8", "hidden size"),
        ("lstm:4:8:layers=0", "layers"),
        ("lstm:4:8:sideways", "'sideways'"),
    ];
    for (layer, word) in layers {
        room.say(&format!("bench --layer {layer}")).expect(2, &[layer, word]);
    }
    room.say("bench").expect(2, &["MODEL"]);
    room.say("bench m.safetensors --layer lstm:4:8").expect(2, &["--layer"]);
    room.say("bench --layer lstm:4:8 --batch 0").expect(2, &["--batch is 0"]);
    room.say("bench --layer lstm:4:8 --time 0").expect(2, &["--time is 0"]);
}

#[test]
fn the_environment_is_usage_too() {
    let room = room("mistakes-environment");
    let run = || "run m.safetensors x.npy".split(' ');
    room.run_with(&[("RITORNELLO_ISA", "mmx")], run()).expect(2, &["mmx"]);
    room.run_with(&[("RITORNELLO_THREADS", "0")], run()).expect(2, &["RITORNELLO_THREADS"]);
    let said = room.run_with(&[("RITORNELLO_THREADS", "few")], run());
    said.expect(2, &["RITORNELLO_THREADS", "few"]);
}

#[test]
fn the_model_file_is_3() {
    let room = room("mistakes-model");
    std::fs::write(room.file("bad.keras"), b"PK\x03\x04 no zip").unwrap();
    std::fs::write(room.file("bad.safetensors"), b"short").unwrap();
    std::fs::write(room.file("model.onnx"), b"").unwrap();
    std::fs::write(room.file("spec.json"), b"{\"ritornello\": 1}").unwrap();
    std::fs::write(room.file("no.json"), b"{").unwrap();
    room.say("run bad.keras x.npy").expect(3, &["bad.keras"]);
    room.say("inspect bad.safetensors").expect(3, &["bad.safetensors"]);
    room.say("inspect model.onnx").expect(3, &["ONNX"]);
    room.say("inspect m.safetensors --spec spec.json").expect(3, &["spec"]);
    room.say("inspect m.safetensors --spec no.json").expect(3, &["no.json"]);
    let weights = fixture("torch-bigru-3-layers").join("model.safetensors");
    let weights = weights.to_str().unwrap();
    room.run(["run", weights, "x.npy"]).expect(3, &["weights only", "--spec"]);
    room.npz("arrays.npz", &[("arr_0", array(&[2, 2], 1))]);
    room.say("inspect arrays.npz --spec").expect(3, &["no spec can be drafted", "arr_0"]);
    room.say("inspect bad.safetensors --spec")
        .expect(3, &["no spec can be drafted", "bad.safetensors"]);
}

#[test]
fn the_data_is_4() {
    let room = room("mistakes-data");
    std::fs::write(room.file("bad.npy"), b"no array").unwrap();
    room.say("run m.safetensors bad.npy").expect(4, &["bad.npy"]);
    std::fs::write(room.file("bad.npz"), b"no zip").unwrap();
    room.say("run m.safetensors bad.npz").expect(4, &["bad.npz"]);
    room.npy("wide.npy", &array(&[2, 3, 6], 7));
    room.say("run m.safetensors wide.npy").expect(4, &["x", "features", "5", "6"]);
    room.npy("flat.npy", &array(&[2, 5], 7));
    room.say("run m.safetensors flat.npy").expect(4, &["x", "batch", "time"]);
    room.npz("other.npz", &[("u", array(&[2, 3, 5], 7))]);
    room.say("run m.safetensors other.npz").expect(4, &["u", "x"]);
    room.npz("more.npz", &[("x", array(&[2, 3, 5], 7)), ("u", array(&[2, 3, 5], 7))]);
    room.say("run m.safetensors more.npz").expect(4, &["u"]);
    room.say("run two.safetensors x.npy").expect(4, &["2 inputs", "x, h0", ".npz"]);
    room.say("run two.safetensors x.npz").expect(4, &["h0"]);
    room.npz("batches.npz", &[("x", array(&[2, 3, 5], 7)), ("h0", array(&[3, 4], 8))]);
    room.say("run two.safetensors batches.npz").expect(4, &["batch", "2", "3"]);
    let x = "run m.safetensors x.npy";
    let integers = |shape: &[usize], values: &[i32]| {
        room.npy("steps.npy", &Array::from_indices(shape, values.to_vec()).unwrap());
    };
    room.say(&format!("{x} --lengths 3,2,1")).expect(4, &["lengths", "3", "2, one for each row"]);
    room.say(&format!("{x} --lengths 3,4")).expect(4, &["row 1 is 4", "at most 3"]);
    integers(&[2], &[3, -1]);
    room.say(&format!("{x} --lengths steps.npy")).expect(4, &["steps.npy", "row 1 is -1"]);
    integers(&[2, 1], &[3, 1]);
    room.say(&format!("{x} --lengths steps.npy")).expect(4, &["integers [2, 1]", "[batch]"]);
    room.say(&format!("{x} --lengths x.npy")).expect(4, &["x.npy", "real numbers", "integers"]);
    room.say(&format!("{x} --lengths bad.npy")).expect(4, &["bad.npy"]);
    room.say(&format!("{x} --mask steps.npy")).expect(4, &["it holds 3", "0 and 1"]);
    integers(&[3, 2], &[1; 6]);
    room.say(&format!("{x} --mask steps.npy")).expect(4, &["[3, 2]", "[batch=2, time=3]"]);
    room.say(&format!("{x} --mask x.npy")).expect(4, &["x.npy", "real numbers [2, 3, 5]", "bool"]);
    room.npy("scalar.npy", &Array::new(&[], vec![1.0]).unwrap());
    room.say("run m.safetensors scalar.npy").expect(4, &["x"]);
}

#[test]
fn input_and_output_are_5() {
    let room = room("mistakes-io");
    room.say("run none.keras x.npy").expect(5, &["none.keras"]);
    room.say("inspect none.safetensors").expect(5, &["none.safetensors"]);
    room.say("run m.safetensors none.npy").expect(5, &["none.npy"]);
    room.say("run m.safetensors none.npz").expect(5, &["none.npz"]);
    room.say("run m.safetensors x.npy --lengths none.npy").expect(5, &["none.npy"]);
    room.say("run m.safetensors x.npy --mask none.npy").expect(5, &["none.npy"]);
    room.say("verify m.safetensors none.npz").expect(5, &["none.npz"]);
    room.say("inspect m.safetensors --spec none.json").expect(5, &["none.json"]);
    room.say("run m.safetensors x.npy -o none/y.npy").expect(5, &["none/y.npy"]);
    room.say("convert m.safetensors -o none/n.safetensors").expect(5, &["none/n.safetensors"]);
}

#[test]
fn failures_leave_standard_output_alone() {
    let room = room("mistakes-silent");
    for line in ["run none.keras x.npy --json", "run m.safetensors none.npy --json", "fly --json"] {
        assert_eq!(room.say(line).stdout, "", "{line}");
    }
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    for line in ["doctor", "--help", "demo"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ritornello"))
            .args(line.split(' '))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}: {output:?}");
        assert!(output.stderr.is_empty(), "{line}: {output:?}");
    }
}
