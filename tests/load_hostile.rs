//! Damaged and lying files: each gives an error or a model, never a panic, and no allocation by a
//! length that a file merely claims.

#![cfg(all(feature = "keras", feature = "safetensors", feature = "npz"))]

mod load_fixtures;
#[cfg(feature = "onnx")]
mod load_hostile_onnx;
#[cfg(feature = "onnx")]
mod onnx_writer;
mod random;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Cursor, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use load_fixtures::{fixture, scratch};
use random::Random;
use ritornello::load::{Spec, load_with_spec, npz};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// The system's allocator, which remembers the largest request.
struct Watched;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(size: usize) {
    // A thread that ends has no counter any more.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

// SAFETY: every method hands its arguments on to `System`, whose contract is the same.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// What no reader asks for at once while it reads the small files of these tests: 16 MiB.
const MOST: usize = 16 << 20;

/// Reads `bytes` as a file of this extension; `Ok` if they make a model.
fn read(bytes: &[u8], extension: &str, spec: Option<&Spec>) -> Result<(), String> {
    let thread = format!("{:?}", std::thread::current().id());
    let path = scratch(&format!("hostile-{}.{extension}", thread.replace(['(', ')'], "")));
    std::fs::write(&path, bytes).unwrap();
    match (extension, spec) {
        ("npz", _) => npz::read(&path).map(drop),
        (_, Some(spec)) => load_with_spec(&path, spec).map(drop),
        _ => ritornello::load(&path).map(drop),
    }
    .map_err(|error| error.to_string())
}

/// Reads `bytes`, which were made as `how` says, and fails if that panics or allocates too much.
fn survive(bytes: &[u8], extension: &str, spec: Option<&Spec>, how: &str) -> bool {
    LARGEST.set(0);
    let result = catch_unwind(AssertUnwindSafe(|| read(bytes, extension, spec)));
    let largest = LARGEST.get();
    assert!(largest < MOST, "{how}: {largest} bytes were asked for at once");
    result.unwrap_or_else(|_| panic!("{how}: the reader panicked")).is_ok()
}

/// Changes a few bytes: to anything, to a bit flipped, or eight of them to a huge number.
fn damage(bytes: &mut [u8], random: &mut Random) -> String {
    let mut how = String::new();
    for _ in 0..1 + random.below(3) {
        let place = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[place] = random.next().to_le_bytes()[0],
            1 => bytes[place] ^= 1 << random.below(8),
            2 => bytes[place] = 0xff,
            _ => {
                let huge = (u64::MAX >> random.below(40)).to_le_bytes();
                let count = 8.min(bytes.len() - place);
                bytes[place..place + count].copy_from_slice(&huge[..count]);
            }
        }
        how += &format!("byte {place}; ");
    }
    how
}

fn members(path: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = ZipArchive::new(Cursor::new(std::fs::read(path).unwrap())).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut member = archive.by_index(index).unwrap();
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).unwrap();
            (member.name().unwrap().into_owned(), bytes)
        })
        .collect()
}

fn zipped(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in members {
        writer.start_file(name, stored).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

const KERAS: [&str; 4] = ["shapes-t1-b1", "embedding-pool", "encoder-decoder", "stacked-cells"];

#[test]
fn truncated_files() {
    for name in KERAS {
        let path = fixture(name, "model.keras");
        let whole = std::fs::read(&path).unwrap();
        for end in (0..whole.len()).step_by(97) {
            let how = format!("{name}.keras cut to {end} bytes");
            assert!(!survive(&whole[..end], "keras", None, &how), "{how}: it loads");
        }
        let mut parts = members(&path);
        for index in 0..parts.len() {
            let part = parts[index].1.clone();
            for end in (0..part.len()).step_by(97) {
                parts[index].1.truncate(end);
                let how = format!("{name}.keras, {} cut to {end} bytes", parts[index].0);
                survive(&zipped(&parts), "keras", None, &how);
                parts[index].1 = part.clone();
            }
        }
    }
    let spec = Spec::read(fixture("torch-bigru-3-layers", "spec.json")).unwrap();
    let whole = std::fs::read(fixture("torch-bigru-3-layers", "model.safetensors")).unwrap();
    for end in (0..whole.len()).step_by(97) {
        let how = format!("safetensors cut to {end} bytes");
        assert!(!survive(&whole[..end], "safetensors", Some(&spec), &how), "{how}: it loads");
    }
    for (name, file) in [("encoder-decoder", "case.npz"), ("cells", "weights.npz")] {
        let whole = std::fs::read(fixture(name, file)).unwrap();
        for end in (0..whole.len()).step_by(97) {
            let how = format!("{name}/{file} cut to {end} bytes");
            assert!(!survive(&whole[..end], "npz", None, &how), "{how}: it reads");
        }
    }
}

#[test]
fn damaged_archives() {
    let mut random = Random(1);
    for name in KERAS {
        let whole = std::fs::read(fixture(name, "model.keras")).unwrap();
        for _ in 0..500 {
            let mut bytes = whole.clone();
            let how = damage(&mut bytes, &mut random);
            survive(&bytes, "keras", None, &format!("{name}.keras, {how}"));
        }
    }
    for (name, file) in [("encoder-decoder", "case.npz"), ("cells", "weights.npz")] {
        let whole = std::fs::read(fixture(name, file)).unwrap();
        for _ in 0..500 {
            let mut bytes = whole.clone();
            let how = damage(&mut bytes, &mut random);
            survive(&bytes, "npz", None, &format!("{name}/{file}, {how}"));
        }
    }
}

/// The checksums of the zip do not help here: they fit the damaged member.
#[test]
fn damaged_members() {
    let mut random = Random(2);
    for name in KERAS {
        let parts = members(&fixture(name, "model.keras"));
        for index in 0..parts.len() {
            let rounds = if parts[index].0.ends_with("h5") { 1500 } else { 300 };
            for _ in 0..rounds {
                let mut parts = parts.clone();
                let how = damage(&mut parts[index].1, &mut random);
                let how = format!("{name}.keras, {}, {how}", parts[index].0);
                survive(&zipped(&parts), "keras", None, &how);
            }
        }
    }
    let parts = members(&fixture("encoder-decoder", "case.npz"));
    for index in 0..parts.len() {
        for _ in 0..500 {
            let mut parts = parts.clone();
            // Headers, not values.
            let how = damage(&mut parts[index].1[..128], &mut random);
            survive(&zipped(&parts), "npz", None, &format!("{}, {how}", parts[index].0));
        }
    }
}

/// Where the values of a `.safetensors` file begin.
fn header_end(file: &[u8]) -> usize {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap());
    8 + usize::try_from(length).unwrap()
}

#[test]
fn damaged_safetensors() {
    let mut random = Random(3);
    let spec = Spec::read(fixture("torch-bigru-3-layers", "spec.json")).unwrap();
    let whole = std::fs::read(fixture("torch-bigru-3-layers", "model.safetensors")).unwrap();
    let header = header_end(&whole);
    for _ in 0..3000 {
        let mut bytes = whole.clone();
        let how = damage(&mut bytes[..header], &mut random);
        survive(&bytes, "safetensors", Some(&spec), &how);
    }
    // Our own file, whose header holds a specification.
    let model =
        load_with_spec(fixture("torch-bigru-3-layers", "model.safetensors"), &spec).unwrap();
    let path = scratch("hostile-own.safetensors");
    ritornello::load::save(&model, &path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let header = header_end(&whole);
    for _ in 0..3000 {
        let mut bytes = whole.clone();
        let how = damage(&mut bytes[..header], &mut random);
        survive(&bytes, "safetensors", None, &format!("own file, {how}"));
    }
}

/// Replaces a text in a model's configuration.
fn with_config(name: &str, from: &str, to: &str) -> Result<(), String> {
    let mut parts = members(&fixture(name, "model.keras"));
    let config = &mut parts.iter_mut().find(|(name, _)| name == "config.json").unwrap().1;
    let text = String::from_utf8(config.clone()).unwrap();
    let changed = text.replace(from, to);
    assert_ne!(text, changed, "{name} has no {from}");
    *config = changed.into_bytes();
    read(&zipped(&parts), "keras", None)
}

#[test]
fn what_contradicts_the_weights_is_named() {
    for (name, from, to, parts) in [
        ("shapes-odd", "\"units\": 37", "\"units\": 36", &["'lstm'", "hidden=36", "[37, 148]"][..]),
        (
            "gru-reset-after",
            "\"reset_after\": true",
            "\"reset_after\": false",
            &["'gru'", "[2, 39]"],
        ),
        ("shapes-odd", "\"use_bias\": true", "\"use_bias\": false", &["layers/lstm/cell/vars/2"]),
        ("gru-no-bias", "\"use_bias\": false", "\"use_bias\": true", &["layers/gru/cell/vars/2"]),
        ("shapes-odd", "\"name\": \"lstm\"", "\"name\": \"lost\"", &["'lstm'", "'lost'"]),
        ("shapes-odd", "[null, null, 65]", "[null, null, 64]", &["lstm", "64", "65"]),
        (
            "masking-stack",
            "\"class_name\": \"NotEqual\"",
            "\"class_name\": \"Equal\"",
            &["'not_equal'", "Equal", "Masking"],
        ),
        (
            "masking-stack",
            "\"class_name\": \"Any\"",
            "\"class_name\": \"All\"",
            &["'any'", "All", "Masking"],
        ),
        (
            "masking-lstm",
            "\"stateful\": false",
            "\"stateful\": true",
            &["'lstm'", "stateful=True and a mask", "zero_output_for_mask"],
        ),
        (
            "embedding-mask-sequential",
            "\"class_name\": \"Activation\"",
            "\"class_name\": \"Softmax\"",
            &["'relu'", "Softmax", "with a mask"],
        ),
        (
            "masking-merges",
            "\"class_name\": \"Add\"",
            "\"class_name\": \"Multiply\"",
            &["'total'", "Multiply", "with a mask"],
        ),
        (
            "bidirectional-unlike",
            "\"go_backwards\": true",
            "\"go_backwards\": false",
            &["'concat'", "backward layer runs forwards", "go_backwards=True"],
        ),
        (
            "bidirectional-unlike",
            "\"return_sequences\": true, \"return_state\": false, \"go_backwards\": true",
            "\"return_sequences\": false, \"return_state\": false, \"go_backwards\": true",
            &["'concat'", "differ in return_sequences", "the same"],
        ),
        (
            "bidirectional-unlike",
            "\"go_backwards\": false",
            "\"go_backwards\": true",
            &["'concat'", "forward layer has go_backwards=True"],
        ),
        (
            "masking-zero-output",
            "\"zero_output_for_mask\": true",
            "\"zero_output_for_mask\": 1",
            &["'lstm'", "zero_output_for_mask", "true or false"],
        ),
        ("embedding-pool", "\"input_dim\": 50", "\"input_dim\": 51", &["input_dim=51", "[50, 8]"]),
        ("shapes-odd", "\"unroll\": false", "\"unrolled\": false", &["'lstm'", "unrolled"]),
        (
            "shapes-odd",
            "\"class_name\": \"LSTM\"",
            "\"class_name\": \"LSTMX\"",
            &["'lstm'", "LSTMX"],
        ),
        ("lstm-variants", "\"softsign\"", "\"mish\"", &["gru_after", "mish"]),
        ("encoder-decoder", "[\"target\", 0, 0]", "[\"tarpit\", 0, 0]", &["tarpit"]),
    ] {
        let error = with_config(name, from, to).expect_err(&format!("{name} with {to} loads"));
        for part in parts {
            assert!(error.contains(part), "{name} with {to}: no {part} in: {error}");
        }
    }
}

#[test]
fn keras_2_had_another_hard_sigmoid() {
    let mut parts = members(&fixture("lstm-variants", "model.keras"));
    let metadata = &mut parts.iter_mut().find(|(name, _)| name == "metadata.json").unwrap().1;
    *metadata = br#"{"keras_version": "2.15.0"}"#.to_vec();
    let path = scratch("keras-2.keras");
    std::fs::write(&path, zipped(&parts)).unwrap();
    let model = ritornello::load(&path).unwrap();
    let fifth = ritornello::model::Activation::HARD_SIGMOID_FIFTH;
    let ritornello::model::Op::Recurrent(layer) = &model.nodes()[0].op else { panic!() };
    let ritornello::model::Cell::Lstm(lstm) = layer.cell() else { panic!() };
    assert_eq!(lstm.recurrent_activation, fifth);
}

/// Lying headers, each of a few bytes.
#[test]
fn safetensors_that_lie_about_their_tensors() {
    let file = |header: &str, values: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + values, 0);
        bytes
    };
    let entry = |name: &str, shape: &str, [start, end]: [u64; 2]| {
        format!(
            "\"{name}\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[{start},{end}]}}"
        )
    };
    let two = |first: [u64; 2], second: [u64; 2]| {
        file(&format!("{{{},{}}}", entry("a", "[2]", first), entry("b", "[2]", second)), 16)
    };
    let one = |shape: &str, at: [u64; 2]| file(&format!("{{{}}}", entry("a", shape, at)), 8);
    let spec = Spec::read(fixture("torch-bigru-3-layers", "spec.json")).unwrap();
    for (how, bytes) in [
        ("overlapping tensors", two([0, 8], [4, 12])),
        ("the same bytes twice", two([0, 8], [0, 8])),
        ("a hole between tensors", two([0, 8], [12, 20])),
        ("tensors from the end to the start", two([8, 0], [8, 16])),
        ("an end beyond the file", one("[2]", [0, 1 << 40])),
        ("2^63 numbers", one("[9223372036854775808]", [0, 8])),
        ("2^63 bytes", one("[2305843009213693952]", [0, 1 << 63])),
        ("a product that wraps to 2", one("[4294967296,4294967296,2]", [0, 8])),
        ("a negative axis", one("[-2]", [0, 8])),
        ("more numbers than bytes", one("[3]", [0, 8])),
        ("a name twice", file(&format!("{{{0},{0}}}", entry("a", "[2]", [0, 8])), 8)),
        ("a header of 2^63 bytes", [&(1_u64 << 63).to_le_bytes()[..], b"{}"].concat()),
        ("a header of 2^64 - 1 bytes", [&u64::MAX.to_le_bytes()[..], b"{}"].concat()),
        ("a list for a header", file("[]", 0)),
        ("a deep header", file(&"[".repeat(100_000), 0)),
        ("bytes of no tensor", file("{}", 8)),
    ] {
        assert!(!survive(&bytes, "safetensors", Some(&spec), how), "{how}: it loads");
        assert!(!survive(&bytes, "safetensors", None, how), "{how}: it loads");
        let path = scratch("hostile-draft.safetensors");
        std::fs::write(&path, &bytes).unwrap();
        let drafted = catch_unwind(|| ritornello::load::draft_spec(&path).is_ok());
        assert!(!drafted.unwrap_or_else(|_| panic!("{how}: the draft panicked")), "{how}");
    }
}

#[test]
fn other_kinds_of_file_are_refused_with_advice() {
    for (name, part) in [
        ("a.h5", "HDF5"),
        ("a.pt", "state_dict"),
        ("a.onnx", "ONNX"),
        ("a.pb", "SavedModel"),
        ("a.npz", "spec"),
        ("a.unknown", ".keras"),
    ] {
        let path = scratch(name);
        std::fs::write(&path, b"nothing").unwrap();
        let error = ritornello::load(&path).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains(name), "{error}");
    }
    let error = ritornello::load("/nowhere/at all").unwrap_err().to_string();
    assert!(error.contains("/nowhere/at all"), "{error}");
}
