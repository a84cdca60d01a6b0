//! `.keras` and `.pt` files as zips.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if data.starts_with(b"PK\x03\x04") {
        let _ = ritornello::load::from_bytes(data);
    }
});
