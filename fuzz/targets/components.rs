//! libFuzzer's way into [`ws101_fuzz::components`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ws101_fuzz::components::run(bytes));
