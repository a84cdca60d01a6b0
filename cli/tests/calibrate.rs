//! `ritornello calibrate`, and `verify` with another precision: how far layers are from f32.

mod support;

use support::{Room, array, chain};

/// A room with the model `m` and an input.
fn room(name: &str) -> Room {
    let room = Room::new(name);
    room.model("m.safetensors", &chain());
    room.npy("x.npy", &array(&[2, 9, 5], 7));
    room
}

#[test]
fn every_layer_is_compared() {
    let room = room("calibrate-layers");
    for precision in ["bf16", "int8"] {
        let line = format!("calibrate m.safetensors x.npy --precision {precision} --json");
        let object = room.say(&line).expect(0, &[]).json();
        assert_eq!(object["precision"], precision);
        let layers = object["layers"].as_array().unwrap();
        assert!(layers.len() > 1, "{object}");
        for layer in layers {
            let number = |key: &str| layer[key].as_f64().unwrap();
            // Both have 8 bits: a part in 256 of a weight, and less of a sum of many.
            assert!(number("max") > 1e-6 && number("max") < 0.02, "{layer}");
            assert!(number("mean") > 0.0 && number("mean") < number("max"), "{layer}");
            assert!(number("relative") > 1e-5 && number("relative") < 0.02, "{layer}");
            assert!(number("scale") > 0.0, "{layer}");
        }
    }
    let text = room.say("calibrate m.safetensors x.npy --precision bf16").expect(0, &[]).stdout;
    assert!(text.starts_with("layer") && text.contains("relative"), "{text}");
}

#[test]
fn a_layer_of_any_size_can_be_tried() {
    let room = Room::new("calibrate-layer");
    let line = "calibrate --layer lstm:16:32:layers=2 --batch 2 --time 20 --precision bf16 --json";
    let object = room.say(line).expect(0, &[]).json();
    assert_eq!(object["layers"].as_array().unwrap().len(), 2, "{object}");
}

/// Steps that do not count differ by nothing.
#[test]
fn only_steps_that_count_are_compared() {
    let room = room("calibrate-lengths");
    let mean = |line: &str| {
        let object = room.say(line).expect(0, &[]).json();
        object["layers"][0]["mean"].as_f64().unwrap()
    };
    let all = mean("calibrate m.safetensors x.npy --precision bf16 --json");
    let some = mean("calibrate m.safetensors x.npy --precision bf16 --json --lengths 2,1");
    assert!(some < all / 2.0, "{some} and {all}");
}

#[test]
fn what_there_is_nothing_to_compare_with_is_said() {
    let room = room("calibrate-mistakes");
    let alone = "calibrate m.safetensors x.npy";
    room.say(alone)
        .expect(2, &["calibrate compares a precision with f32", "--precision f32-split or bf16"]);
    room.say("calibrate m.safetensors --precision bf16").expect(2, &["INPUT"]);
    room.say("calibrate --precision bf16").expect(2, &["MODEL"]);
    let line = "calibrate m.safetensors x.npy --batch 3 --precision bf16";
    room.say(line).expect(2, &["--batch", "MODEL"]);
}

#[test]
fn verify_shows_both_distances() {
    let room = room("calibrate-verify");
    room.say("run m.safetensors x.npy -o y.npy").expect(0, &[]);
    let (x, y) = (room.array("x.npy"), room.array("y.npy"));
    room.npz("case.npz", &[("input.x", x), ("output.y", y)]);
    room.say("verify m.safetensors case.npz").expect(0, &[]);
    let beyond = room.say("verify m.safetensors case.npz --precision bf16");
    let beyond = beyond.expect(1, &["beyond the tolerance: y"]);
    assert!(beyond.stdout.contains("beside f32:"), "{beyond:#?}");
    let line = "verify m.safetensors case.npz --precision bf16 --tolerance 0.02 --json";
    let object = room.say(line).expect(0, &[]).json();
    assert!(object["layers"].as_array().unwrap().len() > 1, "{object}");
}
