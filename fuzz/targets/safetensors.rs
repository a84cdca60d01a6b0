//! `.safetensors` files, those with a specification among them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if data.get(8) == Some(&b'{') {
        let _ = ritornello::load::from_bytes(data);
    }
});
