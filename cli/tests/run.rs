//! `ritornello run`: files in, files out, the same bits however it is asked.

mod support;

use ritornello::{Array, Isa};
use support::{Room, array, arrays_of, chain, fixture, indices, two_inputs};

fn close(found: &Array, expected: &Array, tolerance: f32) {
    assert_eq!(found.shape(), expected.shape());
    for (found, expected) in found.as_f32().unwrap().iter().zip(expected.as_f32().unwrap()) {
        assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0));
    }
}

/// Runs a Keras fixture through files and compares with what Keras gave.
fn reproduces(name: &str) {
    let room = Room::new(&format!("run-{name}"));
    let folder = fixture(name);
    let inputs = arrays_of(&folder.join("case.npz"), "input.");
    let inputs: Vec<(&str, Array)> =
        inputs.iter().map(|(name, array)| (name.as_str(), array.clone())).collect();
    room.npz("x.npz", &inputs);
    let model = folder.join("model.keras");
    let model = model.to_str().unwrap();
    room.run(["run", model, "x.npz", "-o", "y.npz"]).expect(0, &["wrote y.npz"]);
    let outputs = arrays_of(&room.file("y.npz"), "");
    let expected = arrays_of(&folder.join("case.npz"), "output.");
    assert_eq!(outputs.len(), expected.len());
    for (name, expected) in &expected {
        let found = &outputs.iter().find(|(other, _)| other == name).unwrap().1;
        close(found, expected, 1e-5);
    }
}

#[test]
fn keras_models_give_what_keras_gave() {
    let names = ["lstm-sequence", "simple-rnn-relu-dense", "bigru-3-layers", "return-state"];
    for name in names.into_iter().chain(["embedding-pool", "encoder-decoder"]) {
        reproduces(name);
    }
}

#[test]
fn a_summary_says_what_came_out() {
    let room = Room::new("run-summary");
    room.model("m.safetensors", &chain());
    room.npy("x.npy", &array(&[2, 3, 5], 7));
    let said = room.say("run m.safetensors x.npy").expect(0, &[]);
    assert!(said.stdout.contains("y [batch=2, time=3, features=3]"), "{said:?}");
    assert!(said.stdout.contains("min") && said.stdout.contains("first"), "{said:?}");
    assert_eq!(said.stderr, "");
    let json = room.say("run m.safetensors x.npy --json").expect(0, &[]).json();
    assert_eq!(json["outputs"][0]["shape"], serde_json::json!([2, 3, 3]));
    assert_eq!(json["outputs"][0]["first"].as_array().unwrap().len(), 6);
    assert!(json["written"].is_null());
}

#[test]
fn one_array_goes_to_npy_and_several_to_npz() {
    let room = Room::new("run-outputs");
    room.model("m.safetensors", &chain());
    room.npy("x.npy", &array(&[2, 3, 5], 7));
    room.npz("x.npz", &[("x", array(&[2, 3, 5], 7))]);
    room.say("run m.safetensors x.npy -o y.npy").expect(0, &["wrote y.npy"]);
    room.say("run m.safetensors x.npz -o again.npy --quiet").expect(0, &[]);
    assert_eq!(room.bytes("y.npy"), room.bytes("again.npy"));
    room.say("run m.safetensors x.npy -o y.npz").expect(0, &[]);
    assert_eq!(arrays_of(&room.file("y.npz"), ""), [("y".to_owned(), room.array("y.npy"))]);

    room.model("two.safetensors", &two_inputs());
    room.npz("two.npz", &[("x", array(&[2, 3, 5], 7)), ("h0", array(&[2, 4], 8))]);
    room.say("run two.safetensors two.npz -o out.npz").expect(0, &[]);
    let names: Vec<String> =
        arrays_of(&room.file("out.npz"), "").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["y", "last"]);
}

#[test]
fn quiet_says_nothing() {
    let room = Room::new("run-quiet");
    room.model("m.safetensors", &chain());
    room.npy("x.npy", &array(&[1, 2, 5], 7));
    let said = room.say("run m.safetensors x.npy -o y.npy --quiet").expect(0, &[]);
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""));
}

#[test]
fn float64_is_rounded_once_and_said() {
    let room = Room::new("run-f64");
    room.model("m.safetensors", &chain());
    let x = array(&[1, 2, 5], 7);
    room.npy("x.npy", &x);
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2, 5), }";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(x.as_f32().unwrap().iter().flat_map(|&value| f64::from(value).to_le_bytes()));
    std::fs::write(room.file("x64.npy"), bytes).unwrap();
    room.say("run m.safetensors x64.npy -o y64.npy").expect(0, &["x: float64 was rounded"]);
    room.say("run m.safetensors x.npy -o y.npy").expect(0, &[]);
    assert_eq!(room.bytes("y64.npy"), room.bytes("y.npy"));
}

#[test]
fn indices_are_integers() {
    let room = Room::new("run-indices");
    room.model("m.safetensors", &indices());
    room.npy("ids.npy", &Array::from_indices(&[2, 3], vec![0, 5, 2, 1, 1, 4]).unwrap());
    room.say("run m.safetensors ids.npy -o y.npy").expect(0, &[]);
    assert_eq!(room.array("y.npy").shape(), [2, 4]);
    room.npy("beyond.npy", &Array::from_indices(&[1, 2], vec![0, 6]).unwrap());
    room.say("run m.safetensors beyond.npy").expect(4, &["6"]);
    room.npy("below.npy", &Array::from_indices(&[1, 2], vec![0, -1]).unwrap());
    room.say("run m.safetensors below.npy").expect(4, &["-1"]);
    room.npy("reals.npy", &array(&[1, 2], 1));
    room.say("run m.safetensors reals.npy").expect(4, &["ids"]);
    room.model("chain.safetensors", &chain());
    room.npy("whole.npy", &Array::from_indices(&[1, 1, 5], vec![1; 5]).unwrap());
    room.say("run chain.safetensors whole.npy").expect(4, &["x"]);
}

#[test]
fn every_level_with_fused_multiply_add_gives_the_same_bytes() {
    let room = Room::new("run-levels");
    room.model("m.safetensors", &chain());
    room.npy("x.npy", &array(&[3, 20, 5], 7));
    println!("levels this CPU lacks, so not compared: {:?}", Isa::missing());
    for precision in ["int8", "bf16", "f32"] {
        let run = format!("run m.safetensors x.npy --precision {precision} --json");
        room.say(&format!("{run} -o default.npy")).expect(0, &[]);
        for isa in Isa::available().into_iter().filter(|&isa| isa != Isa::Portable) {
            let line = format!("{run} -o level.npy");
            let said = room.run_with(&[("RITORNELLO_ISA", isa.name())], line.split(' '));
            assert_eq!(said.expect(0, &[]).json()["isa"], isa.name());
            if std::env::var(Isa::VARIABLE).as_deref() != Ok("portable") {
                let same = room.bytes("level.npy") == room.bytes("default.npy");
                assert!(same, "{precision} on {isa}");
            }
        }
    }
    let line = "run m.safetensors x.npy -o portable.npy";
    room.run_with(&[("RITORNELLO_ISA", "portable")], line.split(' ')).expect(0, &[]);
    close(&room.array("portable.npy"), &room.array("default.npy"), 1e-6);
}

#[test]
fn a_batch_is_its_rows_to_the_bit() {
    let room = Room::new("run-batch");
    room.model("m.safetensors", &chain());
    let x = array(&[8, 11, 5], 7);
    room.npy("x.npy", &x);
    room.say("run m.safetensors x.npy -o y.npy").expect(0, &[]);
    let mut rows = Vec::new();
    for row in x.as_f32().unwrap().chunks_exact(11 * 5) {
        room.npy("row.npy", &Array::new(&[1, 11, 5], row.to_vec()).unwrap());
        room.say("run m.safetensors row.npy -o one.npy").expect(0, &[]);
        rows.extend_from_slice(room.array("one.npy").as_f32().unwrap());
    }
    room.npy("rows.npy", &Array::new(&[8, 11, 3], rows).unwrap());
    assert_eq!(room.bytes("rows.npy"), room.bytes("y.npy"));
}

#[test]
fn threads_change_no_bit() {
    let room = Room::new("run-threads");
    room.model("m.safetensors", &chain());
    room.npy("x.npy", &array(&[7, 40, 5], 7));
    room.say("run m.safetensors x.npy -o one.npy --threads 1").expect(0, &[]);
    room.say("run m.safetensors x.npy -o two.npy --threads 2").expect(0, &[]);
    assert_eq!(room.bytes("one.npy"), room.bytes("two.npy"));
    let line = "run m.safetensors x.npy --json";
    let said = room.run_with(&[("RITORNELLO_THREADS", "2")], line.split(' ')).expect(0, &[]);
    assert_eq!(said.json()["threads"], 2);
    let line = "run m.safetensors x.npy --json --threads 1";
    let said = room.run_with(&[("RITORNELLO_THREADS", "2")], line.split(' ')).expect(0, &[]);
    assert_eq!(said.json()["threads"], 1);
}

#[test]
fn nothing_in_nothing_out() {
    let room = Room::new("run-empty");
    room.model("m.safetensors", &chain());
    for shape in [[2, 0, 5], [0, 4, 5], [0, 0, 5]] {
        room.npy("x.npy", &array(&shape, 7));
        room.say("run m.safetensors x.npy -o y.npy").expect(0, &[]);
        assert_eq!(room.array("y.npy").shape(), [shape[0], shape[1], 3]);
        let said = room.say("run m.safetensors x.npy").expect(0, &[]);
        assert!(said.stdout.contains("no finite values"), "{said:?}");
    }
}

/// Lengths as a list and in files, and the mask that says the same, as bool and as integers.
#[test]
fn rows_have_lengths_and_masks() {
    let room = Room::new("run-lengths");
    room.model("m.safetensors", &chain());
    let x = array(&[3, 4, 5], 7);
    room.npy("x.npy", &x);
    room.say("run m.safetensors x.npy -o list.npy --lengths 4,0,2").expect(0, &["wrote list.npy"]);
    let list = room.array("list.npy");
    let y = list.as_f32().unwrap();
    for (row, length) in [4, 0, 2].into_iter().enumerate() {
        let (x, y) = (&x.as_f32().unwrap()[row * 20..], &y[row * 12..][..12]);
        room.npy("row.npy", &Array::new(&[1, length, 5], x[..length * 5].to_vec()).unwrap());
        room.say("run m.safetensors row.npy -o one.npy").expect(0, &[]);
        assert_eq!(room.array("one.npy").as_f32().unwrap(), &y[..length * 3]);
        assert!(y[length * 3..].iter().all(|&y| y == 0.0));
    }
    let npy = |name: &str, descr: &str, shape: &str, values: Vec<u8>| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(values);
        std::fs::write(room.file(name), bytes).unwrap();
    };
    npy("i4.npy", "<i4", "(3,)", [4_i32, 0, 2].map(i32::to_le_bytes).concat());
    npy("i8.npy", "<i8", "(3,)", [4_i64, 0, 2].map(i64::to_le_bytes).concat());
    let mask = [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0];
    npy("b1.npy", "|b1", "(3, 4)", mask.to_vec());
    npy("u1.npy", "|u1", "(3, 4)", mask.to_vec());
    for flag in ["--lengths i4.npy", "--lengths i8.npy", "--mask b1.npy", "--mask u1.npy"] {
        room.say(&format!("run m.safetensors x.npy -o y.npy {flag}")).expect(0, &[]);
        assert_eq!(room.bytes("y.npy"), room.bytes("list.npy"), "{flag}");
    }
}
