//! The protocol, pure.

pub mod handshake;
pub mod url;

/// Text or binary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageKind {
    Text,
    Binary,
}

/// A piece of a message as receive delivers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    pub kind: MessageKind,
    pub length: usize,
    pub ends_message: bool,
}
