//! Hostile JSON: each text gives an error or a model, never a panic, in memory that grows with the text.

#![cfg(feature = "audio")]

mod allocator;
mod load_fixtures;
mod random;

use std::panic::{AssertUnwindSafe, catch_unwind};

use allocator::measured;
use load_fixtures::fixture;
use random::Random;
use ritornello::load::open_bytes;

/// Bytes of memory for each byte of text: `0,` is a value of JSON, in a list that grows by doubling.
const EACH: usize = 128;
/// Beside that: messages, a stack of what is read.
const BESIDE: usize = 256 << 10;

/// Reads `text`, which was made as `how` says; whether it makes a model.
fn survive(text: &[u8], how: &str) -> bool {
    let (result, _, peak) =
        measured(|| catch_unwind(AssertUnwindSafe(|| open_bytes(text).is_ok())));
    let most = EACH * text.len() + BESIDE;
    assert!(peak <= most.cast_signed(), "{how}: {peak} bytes for {} of text", text.len());
    result.unwrap_or_else(|_| panic!("{how}: the reader panicked"))
}

/// Changes a few bytes to anything.
fn damage(bytes: &mut [u8], random: &mut Random) -> String {
    let mut how = String::new();
    for _ in 0..1 + random.below(3) {
        let place = random.below(bytes.len());
        bytes[place] = random.next().to_le_bytes()[0];
        how += &format!("byte {place}; ");
    }
    how
}

#[test]
fn hostile_json() {
    let mut random = Random(5);
    for (name, file) in [
        ("audio-rtneural", "model.json"),
        ("audio-aida", "model.json"),
        ("audio-guitarml", "model.json"),
        ("audio-nam", "model.nam"),
    ] {
        let whole = std::fs::read(fixture(name, file)).unwrap();
        for end in (0..whole.len() - 1).step_by(31) {
            let how = format!("{name} cut to {end} bytes");
            assert!(!survive(&whole[..end], &how), "{how}: it loads");
        }
        for _ in 0..400 {
            let mut bytes = whole.clone();
            let how = damage(&mut bytes, &mut random);
            survive(&bytes, &format!("{name}, {how}"));
        }
        // A number for another, and a list for a number.
        let text = String::from_utf8(whole).unwrap();
        let digits: Vec<usize> =
            text.match_indices(|c: char| c.is_ascii_digit()).map(|(at, _)| at).collect();
        for round in 0..400 {
            let at = digits[random.below(digits.len())];
            let other = ["9223372036854775808", "-1", "1e308", "[]", "null", "{}", "0"][round % 7];
            let bytes = [&text[..at], other, &text[at + 1..]].concat().into_bytes();
            survive(&bytes, &format!("{name}, {other} at byte {at}"));
        }
    }
    let nam = |config: &str, weights: &str| {
        format!(
            "{{\"version\":\"0.5.4\",\"architecture\":\"LSTM\",\"config\":{config},\
             \"weights\":{weights}}}"
        )
    };
    let sizes = |layers: u64, hidden: u64| {
        format!("{{\"num_layers\":{layers},\"input_size\":1,\"hidden_size\":{hidden}}}")
    };
    for (how, text) in [
        ("lists in lists", "[".repeat(1 << 20)),
        ("objects in objects", "{\"a\":".repeat(1 << 18)),
        ("deep weights", nam(&sizes(1, 1), &format!("{}{}", "[".repeat(100), "]".repeat(100)))),
        ("2^63 layers", nam(&sizes(1 << 63, 1), "[1]")),
        ("2^64 - 1 layers without units", nam(&sizes(u64::MAX, 0), "[1]")),
        ("2^32 units", nam(&sizes(1, 1 << 32), "[1]")),
        ("sizes whose product wraps", nam(&sizes(1 << 62, 1 << 62), "[]")),
        ("a state_dict of empty lists", "{\"a.weight\":[[],[]],\"a.bias\":[]}".into()),
        ("weights of no units", "{\"weight_ih_l0\":[],\"weight_hh_l0\":[]}".into()),
        ("no last axis", "{\"in_shape\":[null],\"layers\":[{}]}".into()),
        (
            "2^63 features",
            "{\"in_shape\":[9223372036854775808],\"layers\":[{\"type\":\"activation\",\
             \"activation\":\"tanh\",\"shape\":[9223372036854775808],\"weights\":[]}]}"
                .into(),
        ),
        (
            "2^40 slopes of one number",
            "{\"in_shape\":[1099511627776],\"layers\":[{\"type\":\"prelu\",\
             \"shape\":[1099511627776],\"weights\":[[[0.5]]]}]}"
                .into(),
        ),
        (
            "a gain on 2^40 features",
            "{\"in_shape\":[1099511627776],\"in_gain\":3,\"layers\":[{\"type\":\"activation\",\
             \"shape\":[1099511627776],\"weights\":[]}]}"
                .into(),
        ),
    ] {
        assert!(!survive(text.as_bytes(), how), "{how}: it loads");
    }
}
