//! Whole models and weights in HDF5.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if data.starts_with(b"\x89HDF\r\n") {
        let _ = ritornello::load::from_bytes(data);
    }
});
