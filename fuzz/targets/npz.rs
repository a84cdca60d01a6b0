//! `.npy` and `.npz` files.
#![no_main]

use ritornello::load::{npy, npz};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = npy::parse(data);
    let _ = npz::parse(data);
});
