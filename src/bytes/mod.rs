//! What every floor does to plain bytes: masking and UTF-8.

pub mod mask;
pub mod utf8;
