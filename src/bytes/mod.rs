//! What every floor does to plain bytes: masking, UTF-8, percent-encoding.

pub mod mask;
pub mod percent;
pub mod utf8;
