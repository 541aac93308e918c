//! What the fuzz targets do with bytes, whoever makes them: libFuzzer, or `tests/fuzz_smoke.rs` under plain `cargo test`.
//!
//! Every body asserts properties; "no panic" is only the least of them. Out of scope: making the bytes.

pub mod frames;
pub mod heads;
mod input;
mod model;
#[cfg(feature = "tls")]
pub mod records;
pub mod sessions;
