//! Every golden fixture through the C interface: the bits of the Rust interface, from memory that is
//! exactly as long as was asked for.

#[path = "../../../tests/golden_files/mod.rs"]
mod golden_files;

use std::ffi::{CStr, CString, c_void};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};

use ritornello::load::npz;
use ritornello::model::{Extent, Shape, ShownAxis};
use ritornello::{Array, Numbers, PlanOptions, Threads};
use ritornello_c::*;

/// The folders under `tests/fixtures` that hold a model and a case.
fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|folder| folder.join("case.npz").is_file())
        .filter(|folder| golden_files::model_in(folder).is_some())
        .collect();
    folders.sort();
    folders
}

fn message() -> String {
    // SAFETY: it is never null, and ends with a zero.
    unsafe { CStr::from_ptr(rit_last_error()) }.to_string_lossy().into_owned()
}

fn assert_ok(status: Status) {
    assert_eq!(status, Status::RitOk, "{}", message());
}

fn file(folder: &Path) -> PathBuf {
    golden_files::model_in(folder).unwrap()
}

/// The model of a folder, from a file, and from memory if it is all in one.
fn load(folder: &Path) -> Vec<*mut Model> {
    let spec = std::fs::read_to_string(folder.join("spec.json"));
    let spec = spec.ok().map(|text| CString::new(text).unwrap());
    let file = file(folder);
    let path = CString::new(file.to_str().unwrap()).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let (start, length) = (bytes.as_ptr().cast::<c_void>(), bytes.len());
    let in_parts = file.ends_with("model.weights.json");
    let (mut first, mut second) = (null_mut(), null_mut());
    // SAFETY: all pointers are to what the header asks for.
    unsafe {
        let loaded = match &spec {
            Some(spec) => {
                assert_ok(rit_model_load_with_spec(path.as_ptr(), spec.as_ptr(), &raw mut first));
                rit_model_load_memory_with_spec(start, length, spec.as_ptr(), &raw mut second)
            }
            None => {
                assert_ok(rit_model_load(path.as_ptr(), &raw mut first));
                rit_model_load_memory(start, length, &raw mut second)
            }
        };
        if in_parts {
            assert_ne!(loaded, Status::RitOk, "{}: from one part of it", file.display());
            return vec![first];
        }
        assert_ok(loaded);
    }
    vec![first, second]
}

/// The same by the Rust interface.
fn expected(folder: &Path, case: &[(String, Array)]) -> (ritornello::Plan, Vec<(String, Array)>) {
    let spec = ritornello::load::Spec::read(folder.join("spec.json"));
    let model = match spec {
        Ok(spec) => ritornello::load::load_with_spec(file(folder), &spec),
        Err(_) => ritornello::load(file(folder)),
    };
    let plan = model.unwrap().plan(PlanOptions::default().threads(Threads::one())).unwrap();
    let named: Vec<_> = case.iter().map(|(name, array)| (name.as_str(), array)).collect();
    let outputs = plan.run(&named).unwrap();
    (plan, outputs)
}

/// The numbers of an output in the order of its shape: `Y` of a node of ONNX shows the directions
/// between time and batch.
fn in_order(axes: &[ShownAxis], array: &Array) -> Vec<f32> {
    let numbers = array.as_f32().unwrap();
    let (
        [ShownAxis::Time, ShownAxis::Length(parts), ShownAxis::Batch, _],
        &[_, _, batch, features],
    ) = (axes, array.shape())
    else {
        return numbers.to_vec();
    };
    let rows = numbers.chunks(batch * features * parts).flat_map(|step| {
        (0..batch * parts).map(move |place| {
            let (row, part) = (place / parts, place % parts);
            &step[(part * batch + row) * features..][..features]
        })
    });
    rows.flatten().copied().collect()
}

/// The length of an axis of an input, if it has it.
fn length_of(
    plan: &ritornello::Plan,
    input: usize,
    axis: ShownAxis,
    array: &Array,
) -> Option<usize> {
    let place = plan.input_axes(input).iter().position(|other| *other == axis)?;
    Some(array.shape()[place])
}

fn batch_and_time(plan: &ritornello::Plan, inputs: &[&Array]) -> [usize; 2] {
    [ShownAxis::Batch, ShownAxis::Time].map(|axis| {
        let lengths = inputs.iter().enumerate();
        lengths.filter_map(|(input, array)| length_of(plan, input, axis, array)).max().unwrap_or(0)
    })
}

fn check(folder: &Path, model: *mut Model) {
    let name = folder.display();
    let case = npz::read(folder.join("case.npz")).unwrap().into_iter();
    let mut case: Vec<(String, Array)> = case
        .filter_map(|(name, read)| Some((name.strip_prefix("input.")?.to_owned(), read.array)))
        .collect();
    // Lengths go with a run, where there are any: here all steps count.
    case.retain(|(name, _)| name != "lengths");
    let (rust, expected) = expected(folder, &case);
    let arrays: Vec<&Array> = rust
        .inputs()
        .iter()
        .map(|input| &case.iter().find(|(known, _)| *known == input.name).unwrap().1)
        .collect();
    let [batch, time] = batch_and_time(&rust, &arrays);
    let options = Options {
        size: size_of::<Options>(),
        threads: 1,
        isa: null(),
        precision: null(),
        tune: null(),
    };
    let (mut plan, mut session) = (null_mut(), null_mut());
    // SAFETY: all pointers are to what the header asks for.
    unsafe {
        assert_ok(rit_plan_new(model, &raw const options, &raw mut plan));
        rit_model_free(model);
        assert_ok(rit_session_new(plan, batch, time, &raw mut session));
        let mut info: PlanInfo = std::mem::zeroed();
        info.size = size_of::<PlanInfo>();
        assert_ok(rit_plan_describe(plan, &raw mut info));
        assert_eq!([info.inputs, info.outputs], [arrays.len(), expected.len()], "{name}");
        assert_eq!(info.causal, usize::from(rust.is_causal()), "{name}");
        rit_plan_free(plan);
    }
    let inputs: Vec<RunInput> = arrays
        .iter()
        .map(|array| match array.as_view().numbers() {
            Numbers::F32(numbers) => {
                RunInput { data: numbers.as_ptr().cast(), length: numbers.len() }
            }
            Numbers::Index(numbers) => {
                RunInput { data: numbers.as_ptr().cast(), length: numbers.len() }
            }
        })
        .collect();
    let mut memory: Vec<Vec<f32>> = Vec::new();
    for (index, (_, array)) in expected.iter().enumerate() {
        let mut length = 0;
        // The steps of the input that it follows.
        let time = match rust.outputs()[index].shape {
            Shape::Sequence { time: Extent::Input(input), .. } => {
                length_of(&rust, input, ShownAxis::Time, arrays[input]).unwrap()
            }
            _ => usize::MAX,
        };
        // SAFETY: the session lives, the length is written.
        assert_ok(unsafe { rit_session_output_length(session, index, time, &raw mut length) });
        assert_eq!(length, array.as_f32().unwrap().len(), "{name}: length of output {index}");
        memory.push(vec![f32::NAN; length]);
    }
    let outputs: Vec<RunOutput> = memory
        .iter_mut()
        .map(|numbers| RunOutput { data: numbers.as_mut_ptr(), length: numbers.len() })
        .collect();
    // SAFETY: each input and output is as long as it says.
    unsafe {
        let (inputs, outputs) =
            ((inputs.as_ptr(), inputs.len()), (outputs.as_ptr(), outputs.len()));
        assert_ok(rit_run(session, inputs.0, inputs.1, outputs.0, outputs.1));
        rit_session_free(session);
    }
    for (((output, array), planned), numbers) in expected.iter().zip(rust.outputs()).zip(&memory) {
        let bits = |numbers: &[f32]| numbers.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
        let expected = in_order(&planned.axes, array);
        assert_eq!(bits(numbers), bits(&expected), "{name}: {output}");
    }
}

#[test]
fn every_fixture_gives_the_bits_of_the_rust_interface() {
    let folders = folders();
    assert!(folders.len() > 40, "only {} fixtures were found", folders.len());
    for folder in folders {
        for model in load(&folder) {
            check(&folder, model);
        }
    }
}
