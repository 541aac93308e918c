//! permessage-deflate (RFC 7692): what is agreed on, and messages to and from compressed bytes.
//!
//! In scope: the negotiation over header values, and the two directions as values that take bytes and give bytes. Both count what they make and
//! stop at limits inside the coder, not behind it. Out of scope: frames (the decoder and encoder beside this), and where states and buffers are
//! kept (`connection`).
//!
//! The coder is flate2 over zlib-rs. Without the Cargo feature `deflate` everything here is compiled over [`coder`]s that cannot be made, so that
//! nobody else needs to know of the feature.

#[cfg_attr(not(feature = "deflate"), path = "coder_absent.rs")]
pub mod coder;
mod deflation;
mod inflation;
mod parameters;
mod syntax;

#[cfg(all(test, feature = "deflate"))]
mod reference;
#[cfg(all(test, feature = "deflate"))]
mod tests;

pub use deflation::{Class, Deflation, deflate_whole};
pub use inflation::{Inflation, WholeError};
pub use parameters::{InvalidAnswer, Parameters, Preferences, accept, judge, offer};

/// The name of the extension.
pub const NAME: &str = "permessage-deflate";

/// Whether this build has it.
pub const IS_BUILT: bool = cfg!(feature = "deflate");

/// RFC 7692 §7.2.1: what every compressed message ends with, and what is left out on the wire.
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// There is no memory for a state or for what it makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoMemory;

impl From<NoMemory> for crate::error::Error {
    fn from(_: NoMemory) -> crate::error::Error {
        crate::error::Error::new(crate::error::Status::NotEnoughMemory, "there is no memory for compression")
    }
}
