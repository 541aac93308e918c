//! Who waits.

pub mod blocking;
