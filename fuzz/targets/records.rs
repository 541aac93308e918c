//! libFuzzer's way into [`ws101_fuzz::records`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ws101_fuzz::records::run(bytes));
