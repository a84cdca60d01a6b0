//! Models and arrays that lie in memory: what bindings use.

use ritornello::load::{self, KerasMask, Spec};
use ritornello::model::Activation;
use ritornello::{Array, ArrayView, Error, Mask, Model, Plan, PlanOptions, Steps, keras};

/// Numbers that differ from each other.
fn numbers(count: usize, step: f32) -> Vec<f32> {
    (0..count).map(|k| ((k as f32) * step).sin() * 0.6).collect()
}

fn array(shape: &[usize], step: f32) -> Array {
    Array::new(shape, numbers(shape.iter().product(), step)).unwrap()
}

/// The weights of a Keras `GRU(4)` on 3 features and a `Dense(2)`, by path.
fn weights() -> Vec<(String, Array)> {
    [
        ("layers/gru/cell/vars/0", array(&[3, 12], 0.37)),
        ("layers/gru/cell/vars/1", array(&[4, 12], 0.71)),
        ("layers/gru/cell/vars/2", array(&[2, 12], 0.13)),
        ("layers/dense/vars/0", array(&[4, 2], 0.53)),
        ("layers/dense/vars/1", array(&[2], 0.91)),
    ]
    .map(|(path, array)| (path.to_owned(), array))
    .into()
}

const CONFIG: &str = r#"{"class_name": "Sequential", "config": {"name": "s", "layers": [
    {"class_name": "InputLayer", "module": "keras.layers",
     "config": {"name": "x", "batch_shape": [null, null, 3], "dtype": "float32"}},
    {"class_name": "GRU", "module": "keras.layers",
     "config": {"name": "gru_7", "units": 4, "return_sequences": true, "activation": "tanh",
                "recurrent_activation": "sigmoid", "use_bias": true, "reset_after": true}},
    {"class_name": "Dense", "module": "keras.layers",
     "config": {"name": "head", "units": 2, "activation": "linear", "use_bias": true}}]}}"#;

fn plan(model: &Model) -> Plan {
    model.plan(PlanOptions::default()).unwrap()
}

fn run(model: &Model, x: &Array) -> Array {
    let name = model.inputs()[0].name.clone();
    plan(model).run(&[(&name, x)]).unwrap().remove(0).1
}

/// The same by the library's own constructors.
fn by_hand() -> Model {
    let arrays: Vec<Array> = weights().into_iter().map(|(_, array)| array).collect();
    let (gru, dense) = (&arrays[..3], &arrays[3..]);
    let chain = Model::chain(3).recurrent(keras::gru(gru).unwrap());
    chain.dense(keras::dense(dense, Activation::Linear).unwrap()).build().unwrap()
}

#[test]
fn a_live_keras_model_is_that_of_its_weights() {
    let model = load::from_keras(CONFIG, "3.15.1", weights(), KerasMask::None).unwrap();
    let x = array(&[2, 5, 3], 0.83);
    assert_eq!(run(&model, &x), run(&by_hand(), &x));
}

#[test]
fn a_mask_beside_the_input_leaves_steps_out() {
    let model = load::from_keras(CONFIG, "3.15.1", weights(), KerasMask::InLastFeature).unwrap();
    let x = array(&[1, 5, 3], 0.83);
    let counts = [true, false, true, true, false];
    let mut both = Vec::new();
    for (step, counts) in x.as_f32().unwrap().chunks(3).zip(counts) {
        both.extend_from_slice(step);
        both.push(f32::from(u8::from(counts)));
    }
    let masked = run(&model, &Array::new(&[1, 5, 4], both).unwrap());
    let kept: Vec<f32> = x
        .as_f32()
        .unwrap()
        .chunks(3)
        .zip(counts)
        .filter(|(_, c)| *c)
        .flat_map(|(s, _)| s.to_vec())
        .collect();
    let alone = run(&by_hand(), &Array::new(&[1, 3, 3], kept).unwrap());
    let (masked, alone) = (masked.as_f32().unwrap(), alone.as_f32().unwrap());
    // Keras holds the last output at masked steps, and the dense layer sees that.
    for (step, row) in [0, 0, 1, 2, 2].into_iter().zip(masked.chunks(2)) {
        assert_eq!(row, &alone[2 * step..][..2]);
    }
}

#[test]
fn what_does_not_fit_is_told() {
    let from = |config: &str, version: &str, weights| {
        load::from_keras(config, version, weights, KerasMask::None).unwrap_err().to_string()
    };
    assert!(from(CONFIG, "three", weights()).contains("'three' is no version"));
    assert!(from("{", "3.15.1", weights()).contains("the configuration"));
    assert!(from(CONFIG, "3.15.1", weights()[1..].to_vec()).contains("layers/gru/cell/vars/0"));
    let mut more = weights();
    more.push(("layers/other/vars/0".into(), array(&[1], 1.0)));
    assert!(from(CONFIG, "3.15.1", more).contains("layers/other/vars/0"));
    let twice = [weights(), weights()].concat();
    assert!(from(CONFIG, "3.15.1", twice).contains("two tensors are named"));
}

#[test]
fn a_spec_and_tensors_are_a_model_and_so_are_its_bytes() {
    let spec = Spec::from_json(
        r#"{"ritornello": 1, "inputs": [{"name": "x", "axes": ["batch", "time", 3]}],
            "nodes": [{"name": "rnn", "op": "gru", "inputs": ["x"],
                       "weights": {"convention": "keras", "prefix": "layers/gru/cell/vars/"}},
                      {"name": "head", "op": "dense", "inputs": ["rnn"],
                       "weights": {"convention": "keras", "prefix": "layers/dense/vars/"}}],
            "outputs": ["head"]}"#,
    )
    .unwrap();
    let names = ["kernel", "recurrent_kernel", "bias", "kernel", "bias"];
    let renamed = weights()
        .into_iter()
        .zip(names)
        .map(|((path, array), name)| (path[..path.len() - 1].to_owned() + name, array));
    let renamed: Vec<(String, Array)> = renamed.collect();
    let model = load::from_tensors(&spec, renamed.clone()).unwrap();
    let x = array(&[2, 5, 3], 0.83);
    assert_eq!(run(&model, &x), run(&by_hand(), &x));
    let again = load::from_bytes(&load::to_bytes(&model).unwrap()).unwrap();
    assert_eq!(run(&again, &x), run(&model, &x));
    assert!(matches!(
        load::from_tensors(&spec, renamed[1..].to_vec()),
        Err(Error::MissingTensor { .. })
    ));
}

#[test]
fn arrays_are_run_where_they_are() {
    let model = by_hand();
    let plan = plan(&model);
    let name = model.inputs()[0].name.as_str();
    let (x, shape) = (numbers(30, 0.83), [2, 5, 3]);
    let owned = Array::new(&shape, x.clone()).unwrap();
    let view = ArrayView::new(&shape, &x).unwrap();
    assert_eq!(view.shape(), shape);
    let mask = Mask::new([2, 5], (0..10).map(|k| k % 3 != 1).collect()).unwrap();
    let cases = [
        (Steps::All, plan.run(&[(name, &owned)]).unwrap()),
        (Steps::Lengths(&[5, 2]), plan.run_lengths(&[(name, &owned)], &[5, 2]).unwrap()),
        (Steps::Mask(&mask), plan.run_masked(&[(name, &owned)], &mask).unwrap()),
    ];
    for (steps, expected) in cases {
        let mut session = plan.session(2, 5).unwrap();
        assert_eq!(session.run_views(&[(name, view)], steps).unwrap(), expected);
        session.reset();
        let mut y = vec![f32::NAN; 20];
        session.run_views_into(&[(name, view)], steps, &mut [&mut y]).unwrap();
        assert_eq!(Some(&y[..]), expected[0].1.as_f32());
        let (shape, _) = expected[0].1.clone().into_parts();
        assert_eq!(shape, [2, 5, 2]);
    }
}

#[test]
fn memory_that_does_not_fit_is_told() {
    let model = by_hand();
    let mut session = plan(&model).session(2, 5).unwrap();
    let name = model.inputs()[0].name.as_str();
    let (x, shape) = (numbers(30, 0.83), [2, 5, 3]);
    assert!(ArrayView::new(&[2, 5, 4], &x).is_err());
    assert!(ArrayView::from_indices(&[2], &[1, 2, 3]).is_err());
    let view = ArrayView::new(&shape, &x).unwrap();
    let mut short = vec![0.0; 19];
    let mut run = |outputs: &mut [&mut [f32]]| {
        session.run_views_into(&[(name, view)], Steps::All, outputs).unwrap_err().to_string()
    };
    let text = run(&mut [&mut short]);
    assert!(text.contains("[2, 5, 2]") && text.contains("20 numbers"), "{text}");
    assert!(run(&mut []).contains("the number of outputs"));
    let wrong = [2, 3, 5];
    let view = ArrayView::new(&wrong, &x).unwrap();
    assert!(session.run_views(&[(name, view)], Steps::All).is_err());
}
