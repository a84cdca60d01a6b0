//! Damaged and lying `.pt` files: each gives an error or a model, never a panic, and never more
//! memory than a small multiple of the file.

#![cfg(all(feature = "pytorch", feature = "npz"))]

mod allocator;
mod load_fixtures;
mod random;

use std::io::{Cursor, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use load_fixtures::{fixture, scratch};
use random::Random;
use ritornello::load::{Spec, load_with_spec};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// What a file of one byte may need; and how many times its own length a longer one.
const BASE: usize = 256 << 10;
const TIMES: usize = 128;

fn spec() -> Spec {
    Spec::read(fixture("torch-files", "spec.json")).unwrap()
}

/// Reads `bytes` as a `.pt` file: the error, if it is one.
fn survive(bytes: &[u8], spec: &Spec, how: &str) -> Result<(), String> {
    let thread = format!("{:?}", std::thread::current().id());
    let path = scratch(&format!("hostile-{}.pt", thread.replace(['(', ')'], "")));
    std::fs::write(&path, bytes).unwrap();
    let work = || catch_unwind(AssertUnwindSafe(|| load_with_spec(&path, spec)));
    let (result, _, peak) = allocator::measured(work);
    let result = result.unwrap_or_else(|_| panic!("{how}: the reader panicked"));
    let most = BASE + TIMES * bytes.len();
    assert!(peak.unsigned_abs() < most, "{how}: {peak} bytes for a file of {}", bytes.len());
    result.map(drop).map_err(|error| error.to_string())
}

#[track_caller]
fn refused(bytes: &[u8], words: &[&str]) {
    let error = survive(bytes, &spec(), "a file by hand").expect_err("it loads");
    for word in words {
        assert!(error.contains(word), "no '{word}' in: {error}");
    }
}

/// A file of a pickle and of storages `0`, `1`, ...
fn zipped(pickle: &[u8], storages: &[&[u8]], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    let mut add = |name: String, bytes: &[u8]| {
        writer.start_file(name, options).unwrap();
        writer.write_all(bytes).unwrap();
    };
    add("m/data.pkl".into(), pickle);
    for (key, storage) in storages.iter().enumerate() {
        add(format!("m/data/{key}"), storage);
    }
    writer.finish().unwrap().into_inner()
}

fn stored(pickle: &[u8], storages: &[&[u8]]) -> Vec<u8> {
    zipped(pickle, storages, CompressionMethod::Stored)
}

/// The storage `0` of `count` floats.
fn storage(count: &[u8]) -> Vec<u8> {
    let pieces: [&[u8]; 5] =
        [b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpu", count, b"tQ", b"", b""];
    pieces.concat()
}

/// A state dict of one tensor `w`, of these pickled counts.
fn one(count: &[u8], offset: &[u8], shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let tensor = [
        b"}U\x01wctorch._utils\n_rebuild_tensor_v2\n(".as_slice(),
        &storage(count),
        offset,
        b"(",
        shape,
        b"t(",
        strides,
        b"t\x89NtRs.",
    ];
    tensor.concat()
}

const HUGE: &[u8] = b"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40"; // 2^62

#[test]
fn the_file_by_hand_is_one() {
    let floats = [0_u8; 24];
    refused(
        &stored(&one(b"K\x06", b"K\x00", b"K\x02K\x03", b"K\x03K\x01"), &[&floats]),
        &["holds: w"],
    );
}

#[test]
fn views_outside_their_storage() {
    let floats = [0_u8; 24];
    let six = b"K\x06";
    let outside = ["tensor 'w'", "not inside its storage '0' of 6"];
    for (offset, shape, strides) in [
        (&b"K\x01"[..], &b"K\x02K\x03"[..], &b"K\x03K\x01"[..]),
        (b"K\x00", b"K\x07", b"K\x01"),
        (b"K\x00", b"K\x03", b"K\x03"),
        (b"K\x06", b"", b""),
        (HUGE, b"K\x02", b"K\x01"),
        (b"K\x00", b"K\x02", HUGE),
        (b"K\x00", &[b"K\x02", HUGE].concat(), b"K\x01K\x01"),
        (HUGE, b"K\x02K\x02", &[HUGE, HUGE].concat()),
    ] {
        refused(&stored(&one(six, offset, shape, strides), &[&floats]), &outside);
    }
    // Nothing of it is multiplied out.
    let shape = [HUGE, HUGE, b"K\x00"].concat();
    let empty = one(six, b"K\x00", &shape, b"K\x01K\x01K\x01");
    assert!(survive(&stored(&empty, &[&floats]), &spec(), "an empty tensor").is_err());
    for counts in [(&b"J\xff\xff\xff\xff"[..], &b"K\x01"[..]), (b"K\x01", b"J\xff\xff\xff\xff")] {
        let negative = one(six, b"K\x00", counts.0, counts.1);
        refused(&stored(&negative, &[&floats]), &["arguments of a tensor"]);
    }
}

#[test]
fn storages_that_are_not_what_is_claimed() {
    let whole = one(b"K\x06", b"K\x00", b"K\x02K\x03", b"K\x03K\x01");
    refused(&stored(&whole, &[&[0; 20]]), &["tensor 'w'", "not whole"]);
    refused(&stored(&whole, &[]), &["m/data/0"]);
    let lies = one(HUGE, b"K\x00", HUGE, b"K\x01");
    refused(&stored(&lies, &[&[0; 20]]), &["more numbers than the file has bytes"]);
    // An expanded tensor: one number, as often as it likes.
    let expanded = one(b"K\x01", b"K\x00", b"J\x00\x00\x00\x7f", b"K\x00");
    refused(&stored(&expanded, &[&[0; 4]]), &["'w'", "more numbers than the file has bytes"]);
}

#[test]
fn opcodes_and_names_outside_the_list() {
    let advice = "weights_only=False";
    for (program, words) in [
        (&b"cos\nsystem\nU\x04true\x85R."[..], &["imports 'os.system'", advice][..]),
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93.", &["imports 'posix.system'", advice]),
        (b"cbuiltins\neval\n.", &["imports 'builtins.eval'", advice]),
        // INST, OBJ, NEWOBJ, REDUCE by extension, persistent identity as text.
        (b"(ios\nsystem\n.", &["opcode 0x69 at byte 1", advice]),
        (b"(o.", &["opcode 0x6f", advice]),
        (b")\x81.", &["opcode 0x81", advice]),
        (b"\x82\x01.", &["opcode 0x82", advice]),
        (b"Pid\n.", &["opcode 0x50", advice]),
        (b"h\x05.", &["remembered as number 5"]),
        (b"j\xff\xff\xff\xff.", &["remembered as number 4294967295"]),
        (b"}q\xffr\xff\xff\xff\xff.", &["without a state dict"]),
        (b".", &["the stack is empty"]),
        (b"t.", &["no mark"]),
        (b"Ns.", &["stack is empty"]),
        (b"(0.", &["stack is empty"]),
        (b"N(Ku.", &["no dict"]),
        (b"NNa.", &["no list"]),
        (b"NNR.", &["no imported name"]),
        (b"ccollections\nOrderedDict\n(NtR.", &["no pairs"]),
        (b"}}(U\x03eggNub.", &["attributes egg"]),
        (b"\x8a\xff", &["an integer of 255 bytes"]),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f", &["bytes more"]),
        (b"X\xff\xff\xff\xff", &["4294967295 bytes more"]),
        (b"U\x02\xff\xff.", &["not UTF-8"]),
        (b"NQ.", &["persistent identity"]),
        (b"N.", &["without a state dict", "torch.save(module.state_dict()"]),
    ] {
        refused(&stored(program, &[]), words);
    }
}

#[test]
fn deep_and_cyclic_objects() {
    let deep = [b"]".repeat(200_000), b"a".repeat(199_999), b".".to_vec()].concat();
    refused(&stored(&deep, &[]), &["without a state dict"]);
    let tuples = [b")".to_vec(), b"\x85".repeat(200_000), b".".to_vec()].concat();
    refused(&stored(&tuples, &[]), &["without a state dict"]);
    refused(&stored(b"}q\x00U\x01ah\x00s.", &[]), &["without a state dict"]);
    // A list of two of a list of two of ...
    let twice = b"]q\x00h\x01h\x01\x86q\x01".repeat(1000);
    assert!(survive(&stored(&twice, &[]), &spec(), "lists of lists").is_err());
    // A dict of a thousand tensors, a thousand times.
    let tensor = one(b"K\x06", b"K\x00", b"", b"");
    let [dict, tensor] = [&tensor[..1], &tensor[4..tensor.len() - 2]];
    let mut many = [dict, b"q\x00("].concat();
    for index in 0..1000_u16 {
        many.extend([b"U\x02", &index.to_be_bytes().map(|byte| byte & 0x7f)[..]].concat());
        many.extend(if index == 0 { [tensor, b"q\x01"].concat() } else { b"h\x01".to_vec() });
    }
    many.extend(b"u0}(");
    for index in 0..1000_u16 {
        many.extend(
            [b"U\x02", &index.to_be_bytes().map(|byte| byte & 0x7f)[..], b"h\x00"].concat(),
        );
    }
    many.extend(b"u.");
    refused(&stored(&many, &[&[0; 24]]), &["two keys of its dict hold one dict"]);
}

#[test]
fn bombs() {
    let pickle = one(b"J\x00\x00\x80\x00", b"K\x00", b"J\x00\x00\x80\x00", b"K\x01");
    let zeros = vec![0; 4 << 23];
    let bomb = zipped(&pickle, &[&zeros], CompressionMethod::Deflated);
    drop(zeros);
    assert!(bomb.len() < 1 << 20);
    refused(&bomb, &["more numbers than the file has bytes"]);
    // One is no bomb, but several are.
    let many = vec![0; 30 << 16];
    let tensors: Vec<Vec<u8>> = (0..9)
        .map(|key| {
            let whole = one(b"J\x00\x80\x07\x00", b"K\x00", b"K\x01", b"K\x01");
            let place = whole.windows(3).position(|w| w == b"U\x010").unwrap();
            let mut item = whole[1..whole.len() - 2].to_vec();
            (item[2], item[place + 1]) = (b'a' + key, b'0' + key);
            item.push(b's');
            item
        })
        .collect();
    let pickle = [b"}".to_vec(), tensors.concat(), b".".to_vec()].concat();
    let mut random = Random(3);
    let noise: Vec<u8> = (0..1 << 17).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
    let mut storages = vec![&many[..]; 9];
    storages.push(&noise);
    refused(
        &zipped(&pickle, &storages, CompressionMethod::Deflated),
        &["'m/data/4'", "many times"],
    );
    let long = [b"N".repeat(1 << 23), b".".to_vec()].concat();
    refused(&zipped(&long, &[], CompressionMethod::Deflated), &["m/data.pkl", "many times"]);
}

#[test]
fn truncated_at_every_byte_and_damaged_at_any() {
    let spec = spec();
    let mut random = Random(7);
    for name in ["zip.pt", "legacy.pt"] {
        let whole = std::fs::read(fixture("torch-files", name)).unwrap();
        for end in 0..whole.len() {
            let how = format!("{name} cut to {end} bytes");
            assert!(survive(&whole[..end], &spec, &how).is_err(), "{how}: it loads");
        }
        for _ in 0..1000 {
            let mut bytes = whole.clone();
            let place = random.below(bytes.len());
            bytes[place] = u8::try_from(random.below(256)).unwrap();
            let _ = survive(&bytes, &spec, &format!("{name}, byte {place} is {}", bytes[place]));
        }
    }
    // The checksum of the zip does not help here: it fits the damaged pickle.
    let whole = std::fs::read(fixture("torch-files", "zip.pt")).unwrap();
    let mut archive = ZipArchive::new(Cursor::new(whole)).unwrap();
    let mut member = |name: &str| {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let pickle = member("zip/data.pkl");
    let storages: Vec<Vec<u8>> = (0..9).map(|key| member(&format!("zip/data/{key}"))).collect();
    let storages: Vec<&[u8]> = storages.iter().map(Vec::as_slice).collect();
    assert!(survive(&stored(&pickle, &storages), &spec, "whole").is_ok());
    for end in 0..pickle.len() {
        let how = format!("data.pkl cut to {end} bytes");
        assert!(
            survive(&stored(&pickle[..end], &storages), &spec, &how).is_err(),
            "{how}: it loads"
        );
    }
    for _ in 0..2000 {
        let mut bytes = pickle.clone();
        let place = random.below(bytes.len());
        bytes[place] = u8::try_from(random.below(256)).unwrap();
        let how = format!("data.pkl, byte {place} is {}", bytes[place]);
        let _ = survive(&stored(&bytes, &storages), &spec, &how);
    }
}
