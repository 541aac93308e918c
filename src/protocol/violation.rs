//! Every way a peer can break the protocol, each as a sentence, with the close status that RFC 6455 gives it.

use thiserror::Error;

use super::{MessageKind, Opcode};
use crate::error::{Error, Phase, Status};

/// What the peer did wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Violation {
    /// RFC 6455 §5.2.
    #[error("reserved bit {0} set without an extension")]
    ReservedBit(u8),
    /// RFC 6455 §5.2.
    #[error("reserved opcode {0:#x}")]
    ReservedOpcode(u8),
    /// RFC 6455 §5.5.
    #[error("a fragmented {0:?} frame")]
    FragmentedControlFrame(Opcode),
    /// RFC 6455 §5.5.
    #[error("a {0:?} frame of more than 125 bytes")]
    LongControlFrame(Opcode),
    /// RFC 6455 §5.1.
    #[error("an unmasked frame from a client")]
    UnmaskedFrame,
    /// RFC 6455 §5.1.
    #[error("a masked frame from a server")]
    MaskedFrame,
    /// RFC 6455 §5.2.
    #[error("the length {0} is not in its shortest form")]
    LengthNotShortest(u64),
    /// RFC 6455 §5.2.
    #[error("the length {0:#x} has its top bit set")]
    LengthTopBit(u64),
    /// RFC 6455 §5.4.
    #[error("a continuation frame without a message to continue")]
    ContinuationWithoutStart,
    /// RFC 6455 §5.4.
    #[error("a new {0:?} frame inside a fragmented message")]
    MessageInsideMessage(MessageKind),
    /// RFC 6455 §5.5.1.
    #[error("a close frame with a payload of one byte")]
    CloseOfOneByte,
    /// RFC 6455 §7.4.
    #[error("the close status {0} must not be sent")]
    CloseStatus(u16),
    /// RFC 6455 §8.1.
    #[error("a text message that is not valid UTF-8")]
    InvalidText,
    /// RFC 7692 §6.1: only the first frame of a message says that it is compressed, and no control frame does.
    #[error("reserved bit 1 set on a {0:?} frame")]
    CompressedFrame(Opcode),
    /// RFC 7692 §7.2.2.
    #[error("a compressed message that is not valid DEFLATE data")]
    InvalidCompression,
    /// RFC 6455 §5.5.1.
    #[error("a close reason that is not valid UTF-8")]
    InvalidReason,
    /// Our limit.
    #[error("a message of more than {limit} bytes")]
    MessageTooBig {
        /// The largest that is accepted.
        limit: u64,
    },
    /// Our limit.
    #[error("a message of more than {limit} fragments")]
    TooManyFragments {
        /// The most that are accepted.
        limit: u32,
    },
}

impl Violation {
    /// The close status that tells the peer (RFC 6455 §7.4.1).
    pub const fn close_status(self) -> u16 {
        match self {
            Violation::InvalidText | Violation::InvalidReason | Violation::InvalidCompression => 1007,
            Violation::MessageTooBig { .. } | Violation::TooManyFragments { .. } => 1009,
            _ => 1002,
        }
    }

    /// The status that tells the program.
    pub const fn status(self) -> Status {
        match self {
            Violation::InvalidText | Violation::InvalidReason | Violation::InvalidCompression => Status::InvalidPayload,
            Violation::MessageTooBig { .. } | Violation::TooManyFragments { .. } => Status::MessageTooBig,
            _ => Status::ProtocolViolation,
        }
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Error {
        Error::new(violation.status(), format!("the peer sent {violation}"))
            .in_phase(Phase::WebSocket)
            .with_close_status(violation.close_status())
    }
}
