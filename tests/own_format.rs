//! Our own files: version 1 is read for ever, later ones are refused as such, and a self-test in a file
//! holds the model against it.

#![cfg(all(feature = "safetensors", feature = "npz", feature = "audio"))]

mod load_fixtures;

use load_fixtures::{fixture, scratch};
use ritornello::load::{self, ModelFile, SelfTest};
use ritornello::model::{Embedding, Matrix, Model};
use ritornello::{Array, Error, PlanOptions};

const VERSION_1: &str = "own-format-v1";

fn golden() -> Vec<u8> {
    std::fs::read(fixture(VERSION_1, "model.safetensors")).unwrap()
}

/// A file with another text of the same length in its header.
fn with(from: &str, to: &str) -> Result<ModelFile, Error> {
    assert_eq!(from.len(), to.len());
    let mut bytes = golden();
    let places = bytes.windows(from.len()).position(|window| window == from.as_bytes());
    let place = places.unwrap_or_else(|| panic!("no {from} in the file"));
    bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    load::open_bytes(&bytes)
}

/// Every operation with weights is in it; that its numbers are right is checked with the goldens.
#[test]
fn a_file_of_version_1_is_read() {
    let file = load::open(fixture(VERSION_1, "model.safetensors")).unwrap();
    let ops: Vec<&str> = file.model.nodes().iter().map(|node| node.op.name()).collect();
    for op in ["embedding", "constant", "lstm", "gru", "scale_shift", "dense"] {
        assert!(ops.contains(&op), "{op} is not in {ops:?}");
    }
    assert_eq!(file.about, [("licence".to_owned(), "none".to_owned())]);
    file.into_checked_plan(PlanOptions::default()).unwrap();
}

#[test]
fn a_later_version_is_refused_as_such() {
    let error = with("\\\"ritornello\\\": 1,", "\\\"ritornello\\\": 7,").unwrap_err().to_string();
    for word in ["version 7", "reads version 1", "a later one"] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_model_that_gives_something_else_fails_its_self_test() {
    let mut bytes = golden();
    // The first number behind the header is an answer.
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let first = 8 + usize::try_from(header).unwrap();
    bytes[first..first + 4].copy_from_slice(&0.123_f32.to_le_bytes());
    let changed = load::open_bytes(&bytes).unwrap();
    let error = changed.into_checked_plan(PlanOptions::default()).unwrap_err();
    assert!(matches!(&error, Error::SelfTest { found, allowed, .. } if found > allowed), "{error}");
    assert!(error.to_string().contains("self-test: output"), "{error}");
}

#[test]
fn self_tests_that_do_not_fit_are_refused() {
    let name = |from: &str, to: &str| {
        with(from, to).and_then(|file| file.into_checked_plan(PlanOptions::default()))
    };
    let error = name("@input.ids", "@input.xyz").unwrap_err().to_string();
    assert!(error.contains("xyz") && error.contains("ids"), "{error}");
    let error = name("@output.head", "@output.tail").unwrap_err().to_string();
    assert!(error.contains("tail") && error.contains("head"), "{error}");
    // A tensor of another name is in no node, and no part of a self-test.
    let error = name("@output.head", "_output.head").unwrap_err().to_string();
    assert!(error.contains("_output.head"), "{error}");
    let file = load::open(fixture("audio-nam", "model.nam")).unwrap();
    let error = file.into_checked_plan(PlanOptions::default()).unwrap_err().to_string();
    assert!(error.contains("without a self-test") && error.contains("--self-test"), "{error}");
}

#[test]
fn the_self_test_of_an_aida_file_passes() {
    let file = load::open(fixture("audio-aida", "model.json")).unwrap();
    file.clone().into_checked_plan(PlanOptions::default()).unwrap();
    let mut wrong = file;
    let test = wrong.self_test.as_mut().unwrap();
    let mut numbers = test.outputs[0].1.as_f32().unwrap().to_vec();
    numbers[7] += 1e-3;
    test.outputs[0].1 = Array::new(&[1, 16, 1], numbers).unwrap();
    assert!(wrong.into_checked_plan(PlanOptions::default()).is_err());
}

fn embedded() -> Model {
    let mut graph = Model::graph();
    let ids = graph.indices("ids");
    let table = Matrix::new(5, 2, (0..10_u8).map(f32::from).collect()).unwrap();
    let y = graph.embedding("table", Embedding::new(table), ids);
    graph.output("y", y);
    graph.build().unwrap()
}

#[test]
fn what_is_saved_beside_a_model_is_read_back() {
    let plan = embedded().plan(PlanOptions::default()).unwrap();
    let ids = Array::from_indices(&[1, 3], vec![4, 0, 2]).unwrap();
    let mut file = ModelFile::new(embedded());
    file.about = vec![("author".into(), "nobody".into()), ("name".into(), "a \"name\"".into())];
    file.self_test = Some(SelfTest::record(&plan, vec![("ids".into(), ids)]).unwrap());
    let path = scratch("beside.safetensors");
    load::save_file(&file, &path).unwrap();
    let back = load::open(&path).unwrap();
    assert!(back.model == file.model);
    assert_eq!(
        (back.about.clone(), back.self_test.clone()),
        (file.about.clone(), file.self_test.clone())
    );
    back.into_checked_plan(PlanOptions::default()).unwrap();
    // Without either, the file is that of `save`.
    load::save_file(&ModelFile::new(embedded()), &path).unwrap();
    assert!(std::fs::read(&path).unwrap() == load::to_bytes(&embedded()).unwrap());
    std::fs::remove_file(&path).unwrap();

    file.about.push(("name".into(), "another".into()));
    let error = load::save_file(&file, &path).unwrap_err();
    assert!(error.to_string().contains("two keys are named 'name'"), "{error}");
    file.about = vec![("ritornello".into(), "1".into())];
    assert!(load::save_file(&file, &path).unwrap_err().to_string().contains("'ritornello'"));
}
