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

use super::Role;
use crate::options::Compression;

pub use deflation::{Class, Deflation, deflate_whole};
pub use inflation::{Inflation, WholeError};
pub use parameters::{InvalidAnswer, Parameters, Preferences, accept, judge, offer};

/// The name of the extension.
pub const NAME: &str = "permessage-deflate";

/// Whether this build has it.
pub const IS_BUILT: bool = cfg!(feature = "deflate");

/// Compression on a connection: what was agreed on, and this side's own choices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Agreed {
    /// What was agreed on.
    pub parameters: Parameters,
    /// Which side this is.
    pub role: Role,
    /// From 1, fast, to 9, small.
    pub level: u8,
    /// Smaller messages are not compressed.
    pub threshold: u32,
}

impl Agreed {
    /// The parameters, with what the options say of this side alone.
    pub fn new(parameters: Parameters, role: Role, options: &Compression) -> Agreed {
        let threshold = options.threshold(parameters.takes_over(role));
        Agreed { parameters, role, level: options.level, threshold }
    }

    /// For what the peer sends.
    pub fn inflation(&self) -> Inflation {
        Inflation::new(self.parameters.takes_over(self.role.other()))
    }

    /// For what this side sends.
    pub fn deflation(&self) -> Deflation {
        let window_bits = self.parameters.max_window_bits(self.role);
        Deflation::new(Class { window_bits, level: self.level }, self.parameters.takes_over(self.role))
    }

    /// Whether a frame of this length that begins a message is worth compressing: how long a fragmented message gets nobody knows.
    pub fn is_worth_it(&self, length: usize, ends_message: bool) -> bool {
        !ends_message || length as u64 >= self.threshold.into()
    }
}

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
