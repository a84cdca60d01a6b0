//! Configurations of Keras models, of all versions, without weights.
#![no_main]

use ritornello::load::{KerasMask, from_keras};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(config) = std::str::from_utf8(data) {
        for version in ["1.2.2", "2.2.4", "2.15.0", "3.15.1"] {
            let _ = from_keras(config, version, Vec::new(), KerasMask::None);
        }
    }
});
