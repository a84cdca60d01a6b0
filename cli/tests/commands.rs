//! The other commands: demo, inspect, convert, bench, doctor.

mod support;

use ritornello::Isa;
use ritornello::model::{Cell, Direction};
use ritornello::{Model, load};
use support::{Room, chain, fixture, layer, two_inputs};

#[test]
fn demo_holds() {
    let room = Room::new("demo");
    let said = room.say("demo").expect(0, &[]);
    for word in ["projection", "recurrence", "head", "total:", "per second", "inspect"] {
        assert!(said.stdout.contains(word), "'{word}': {}", said.stdout);
    }
    assert!(!said.stdout.contains("FAILED"), "{}", said.stdout);
    let json = room.say("demo --json").expect(0, &[]).json();
    assert_eq!(json["passed"], true);
    assert!(json["checks"].as_array().unwrap().len() >= 4);
    for speed in json["speed"].as_array().unwrap() {
        assert!(speed["ns_per_step"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn demo_holds_on_every_level() {
    let room = Room::new("demo-levels");
    for isa in Isa::available() {
        let said = room.run_with(&[("RITORNELLO_ISA", isa.name())], ["demo", "--json"]);
        let json = said.expect(0, &[]).json();
        assert_eq!(json["isa"], isa.name());
    }
}

#[test]
fn no_output_is_coloured() {
    let room = Room::new("colour");
    for line in ["demo", "doctor", "--help", "fly"] {
        let said = room.say(line);
        assert!(!said.stdout.contains('\x1b') && !said.stderr.contains('\x1b'), "{line}");
    }
}

#[test]
fn inspect_shows_layers_and_totals() {
    let room = Room::new("inspect");
    room.model("m.safetensors", &chain());
    let said = room.say("inspect m.safetensors").expect(0, &[]);
    let parameters = chain().parameters();
    for word in ["x [batch, time, 5]", "y [batch, time, 3]", "lstm_0", "dense_1"] {
        assert!(said.stdout.contains(word), "'{word}': {}", said.stdout);
    }
    assert!(said.stdout.contains(&format!("total: {parameters} parameters")), "{}", said.stdout);
    let json = room.say("inspect m.safetensors --json").expect(0, &[]).json();
    assert_eq!(json["parameters"], parameters);
    assert_eq!(json["inputs"][0]["axes"], serde_json::json!(["batch", "time", 5]));
    assert_eq!(json["not_finite"].as_array().unwrap().len(), 0);
    assert_eq!(json["causal"], true);
}

#[test]
fn inspect_names_axes_in_the_models_order() {
    let room = Room::new("inspect-axes");
    let folder = fixture("torch-birnn-time-major");
    let [model, spec] = ["model.safetensors", "spec.json"].map(|file| folder.join(file));
    let line = ["inspect", model.to_str().unwrap(), "--spec", spec.to_str().unwrap()];
    let said = room.run(line).expect(0, &[]);
    assert!(said.stdout.contains("x [time, batch, 300]"), "{}", said.stdout);
    assert!(said.stdout.contains("rnn.h_n [states=2, batch, 16]"), "{}", said.stdout);
}

#[test]
fn inspect_counts_weights_that_are_not_finite() {
    let room = Room::new("inspect-nan");
    let plain = layer(Cell::SIMPLE_RNN, 5, 4, Direction::Forward);
    let mut weights = plain.weights().to_vec();
    weights[0].bias = Some(vec![0.0, f32::NAN, f32::INFINITY, f32::NAN]);
    let rnn = ritornello::model::Recurrent::new(plain.cell(), plain.direction(), weights).unwrap();
    room.model("m.safetensors", &Model::chain(5).recurrent(rnn).build().unwrap());
    let said = room.say("inspect m.safetensors").expect(0, &[]);
    assert!(said.stdout.contains("rnn_0.bias: 2 NaN, 1 infinite"), "{}", said.stdout);
    room.say("convert m.safetensors -o again.safetensors").expect(0, &[]);
    assert_eq!(room.bytes("m.safetensors"), room.bytes("again.safetensors"));
}

#[test]
fn inspect_prints_the_spec() {
    let room = Room::new("inspect-spec");
    room.model("m.safetensors", &chain());
    let said = room.say("inspect m.safetensors --spec").expect(0, &[]);
    assert_eq!(said.json()["ritornello"], 1);
    load::Spec::from_json(&said.stdout).unwrap();
    assert_eq!(room.say("inspect m.safetensors --spec --json").json(), said.json());
}

#[test]
fn inspect_drafts_a_spec_that_loads() {
    let room = Room::new("inspect-draft");
    let weights = fixture("torch-bigru-3-layers").join("model.safetensors");
    let weights = weights.to_str().unwrap();
    let said = room.run(["inspect", weights, "--spec"]).expect(0, &["default: ", "batch_first"]);
    std::fs::write(room.file("spec.json"), &said.stdout).unwrap();
    let spec = room.file("spec.json");
    room.run(["inspect", weights, "--spec", spec.to_str().unwrap()]).expect(0, &[]);
    let quiet = room.run(["inspect", weights, "--spec", "--json", "--quiet"]).expect(0, &[]);
    assert_eq!(quiet.json(), said.json());
    assert!(quiet.stderr.is_empty(), "{quiet:?}");
}

#[test]
fn convert_writes_an_equal_model() {
    let room = Room::new("convert");
    room.model("m.safetensors", &two_inputs());
    let json = room.say("convert m.safetensors -o n.safetensors --json").expect(0, &[]).json();
    assert_eq!(json["equal"], true);
    assert_eq!(load(room.file("n.safetensors")).unwrap(), two_inputs());

    let folder = fixture("torch-bilstm-3-layers");
    let path = |file: &str| folder.join(file).to_str().unwrap().to_owned();
    let line = ["convert", &path("model.safetensors"), "--spec", &path("spec.json")];
    room.run(line.into_iter().chain(["-o", "torch.safetensors"])).expect(0, &[]);
    room.run(["verify", "torch.safetensors", &path("case.npz")]).expect(0, &[]);

    let folder = fixture("embedding-pool");
    let path = |file: &str| folder.join(file).to_str().unwrap().to_owned();
    room.run(["convert", &path("model.keras"), "-o", "keras.safetensors"]).expect(0, &[]);
    room.run(["verify", "keras.safetensors", &path("case.npz")]).expect(0, &[]);
}

#[test]
fn bench_times_layers_and_models() {
    let room = Room::new("bench");
    for layer in ["rnn:3:5", "rnn-relu:3:5", "lstm:3:5:layers=2:bidirectional", "gru:3:5"] {
        let line = format!("bench --layer {layer} --batch 2 --time 3 --json");
        let json = room.say(&line).expect(0, &[]).json();
        let [best, median] = ["best_us", "median_us"].map(|key| json[key].as_f64().unwrap());
        assert!(0.0 < best && best <= median, "{json}");
        assert!(json["gflops"].as_f64().unwrap() > 0.0);
        assert_eq!(
            (&json["batch"], &json["time"], &json["threads"]),
            (&2.into(), &3.into(), &1.into())
        );
        for key in ["floor_us", "percent_of_floor", "gbps"] {
            assert!(json[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {json}");
        }
        for key in ["limit", "kernel", "isa", "precision"] {
            assert!(json[key].is_string(), "{key}: {json}");
        }
    }
    room.model("two.safetensors", &two_inputs());
    let said = room.say("bench two.safetensors --threads 2").expect(0, &[]);
    for word in ["best", "2 threads", "floor", "set by"] {
        assert!(said.stdout.contains(word), "'{word}': {}", said.stdout);
    }
    let ids = fixture("embedding-pool").join("model.keras");
    room.run(["bench", ids.to_str().unwrap()]).expect(0, &[]);
    room.say("bench --help").expect(0, &[]);
}

#[test]
fn doctor_names_levels_and_threads() {
    let room = Room::new("doctor");
    let said = room.run_with(&[("RITORNELLO_ISA", "portable")], ["doctor"]).expect(0, &[]);
    assert!(said.stdout.contains("portable, as RITORNELLO_ISA says"), "{}", said.stdout);
    let json = room.say("doctor --json --threads 2").expect(0, &[]).json();
    let available: Vec<String> = Isa::available().iter().map(ToString::to_string).collect();
    assert_eq!(json["levels"], serde_json::json!(available));
    assert_eq!(json["threads"], 2);
    let measured = &json["measured"];
    let is_measure = |value: &serde_json::Value| value.as_f64().is_some_and(|value| value > 0.0);
    for key in ["peak_gflops", "fma_latency_ns", "division_latency_ns", "store_to_load_ns"] {
        assert!(is_measure(&measured[key]), "{key}: {json}");
    }
    let reads = measured["reads"].as_array().unwrap();
    assert!(reads.len() == 4 && reads.iter().all(|read| is_measure(&read["gbps"])), "{json}");
}

#[test]
fn help_lists_exit_codes() {
    let room = Room::new("help");
    let said = room.say("--help").expect(0, &[]);
    assert!(said.stdout.contains("Exit codes") && said.stdout.contains("RITORNELLO_ISA"));
    for command in ["demo", "run", "inspect", "verify", "convert", "bench", "doctor"] {
        assert!(said.stdout.contains(command));
        room.say(&format!("{command} --help")).expect(0, &[]);
    }
}
