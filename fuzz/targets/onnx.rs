#![no_main]

#[allow(dead_code, reason = "each target is one of them")]
#[path = "../readers.rs"]
mod readers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| readers::onnx(data));
