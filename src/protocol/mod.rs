//! The WebSocket protocol (RFC 6455), pure: it decides, and waits for nothing.
//!
//! In scope: the upgrade over header lists, frames, messages, masking, UTF-8, the closing handshake, keep-alive.
//! Out of scope: sockets, clocks, randomness, threads. Bytes, the time and masking keys are arguments; what is to be sent is a result.
//!
//! A reader starts at [`Endpoint`], which puts all the pieces together; the sockets use the same pieces, each half by itself.

mod close;
pub mod component;
mod control;
mod decoder;
pub mod deflate;
mod encoder;
mod endpoint;
mod frame;
pub mod handshake;
mod keepalive;
mod lifecycle;
pub mod url;
mod violation;

pub use close::{CloseFrame, CloseStatus, MAX_REASON};
pub use control::{ControlFrame, Controls};
pub use decoder::{Decoder, Item, Limits, whole_message_at_rest};
pub use encoder::{Encoder, SendError};
pub use endpoint::{Endpoint, Event, Settings};
pub use frame::{FrameHeader, HeaderBytes, MAX_CONTROL_PAYLOAD, MAX_FRAME_HEADER, Opcode};
pub use keepalive::{Keepalive, KeepaliveStep};
pub use lifecycle::{Lifecycle, Reply};
pub use url::{Url, UrlError, origin_form, path_of};
pub use violation::Violation;

/// Which side of the connection this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Masks what it sends and refuses masked frames.
    Client,
    /// Refuses unmasked frames.
    Server,
}

impl Role {
    /// The peer's.
    pub fn other(self) -> Role {
        match self {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        }
    }
}

/// Text or binary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageKind {
    /// UTF-8, checked.
    Text,
    /// Any bytes.
    Binary,
}

/// A piece of a message as receive delivers it: at most one frame's payload, possibly less.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Of the whole message, also in its continuation frames.
    pub kind: MessageKind,
    /// Bytes of payload.
    pub length: usize,
    /// Whether these bytes end the message.
    pub ends_message: bool,
}

/// Four bytes that nobody can predict, fresh for every frame of a client (RFC 6455 §5.3).
pub type MaskingKey = [u8; 4];
