//! What every floor does to plain bytes: masking, UTF-8, percent-encoding, short copies.

pub mod mask;
pub mod percent;
pub mod short;
pub mod utf8;
