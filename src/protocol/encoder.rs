//! From messages to frame headers (RFC 6455 §5): what may be sent now, and how its frame begins.
//!
//! In scope: the opcode of each fragment, and UTF-8 of outgoing text. Out of scope: payload bytes (whoever writes them masks them
//! on the way), and the closing handshake (see [`Lifecycle`](super::Lifecycle)).
//!
//! The encoder is a value: a caller changes a copy and keeps it only once a byte of the frame is on its way, so a send that was
//! given up leaves no trace.

use thiserror::Error;

use super::{FrameHeader, HeaderBytes, MaskingKey, MessageKind, Opcode};
use crate::bytes::utf8::Utf8;
use crate::error::{Error as StatusError, Status};

/// Why a frame cannot be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SendError {
    /// The other kind in the middle of a fragmented message (87, as WinHTTP).
    #[error("a {0:?} frame in the middle of a fragmented {1:?} message")]
    OtherKind(MessageKind, MessageKind),
    /// A message that must be whole, while another is open (4317).
    #[error("a whole message in the middle of a fragmented one")]
    NotWhole,
    /// The text is not UTF-8 (87).
    #[error("the text to be sent is not valid UTF-8")]
    InvalidText,
}

impl From<SendError> for StatusError {
    fn from(error: SendError) -> StatusError {
        let status = match error {
            SendError::OtherKind(..) | SendError::InvalidText => Status::InvalidParameter,
            SendError::NotWhole => Status::InvalidOperation,
        };
        StatusError::new(status, error.to_string())
    }
}

/// What was sent of the message that is open.
#[derive(Clone, Copy, Default, Debug)]
pub struct Encoder {
    open: Option<MessageKind>,
    utf8: Utf8,
}

impl Encoder {
    /// The header of a data frame with `length` bytes of payload.
    ///
    /// `ends_message` is false for every frame of a message but its last.
    #[inline]
    pub fn data(
        &mut self,
        kind: MessageKind,
        ends_message: bool,
        length: u64,
        masking_key: Option<MaskingKey>,
    ) -> Result<HeaderBytes, SendError> {
        let opcode = match (self.open, kind) {
            (Some(open), _) if open != kind => return Err(SendError::OtherKind(kind, open)),
            (Some(_), _) => Opcode::Continuation,
            (None, MessageKind::Text) => Opcode::Text,
            (None, MessageKind::Binary) => Opcode::Binary,
        };
        if opcode != Opcode::Continuation {
            self.utf8 = Utf8::default();
        }
        self.open = if ends_message { None } else { Some(kind) };
        Ok(FrameHeader { fin: ends_message, opcode, masking_key, length }.encode())
    }

    /// Checks a part of an outgoing text; `ends_message` with its last part.
    #[inline]
    pub fn check_text(&mut self, part: &[u8], ends_message: bool) -> Result<(), SendError> {
        self.utf8.check(part).map_err(|_| SendError::InvalidText)?;
        if ends_message {
            self.utf8.finish().map_err(|_| SendError::InvalidText)?;
        }
        Ok(())
    }

    /// Whether a fragmented message is open.
    pub fn is_inside_message(&self) -> bool {
        self.open.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_byte(encoder: &mut Encoder, kind: MessageKind, ends_message: bool) -> Result<u8, SendError> {
        Ok(encoder.data(kind, ends_message, 0, None)?.as_slice()[0])
    }

    #[test]
    fn the_first_fragment_names_the_kind_and_the_rest_continue_it() {
        let mut encoder = Encoder::default();
        assert_eq!(first_byte(&mut encoder, MessageKind::Text, false), Ok(0x01));
        assert_eq!(first_byte(&mut encoder, MessageKind::Text, false), Ok(0x00));
        assert_eq!(first_byte(&mut encoder, MessageKind::Text, true), Ok(0x80));
        assert_eq!(first_byte(&mut encoder, MessageKind::Binary, true), Ok(0x82));
        assert!(!encoder.is_inside_message());
    }

    #[test]
    fn the_other_kind_inside_a_message_is_refused() {
        let mut encoder = Encoder::default();
        first_byte(&mut encoder, MessageKind::Binary, false).unwrap();
        let refused = Err(SendError::OtherKind(MessageKind::Text, MessageKind::Binary));
        assert_eq!(first_byte(&mut encoder.clone(), MessageKind::Text, false), refused);
        assert_eq!(first_byte(&mut encoder.clone(), MessageKind::Text, true), refused);
        assert_eq!(StatusError::from(SendError::OtherKind(MessageKind::Text, MessageKind::Binary)).status(), Status::InvalidParameter);
    }

    #[test]
    fn text_is_checked_across_fragments() {
        let mut encoder = Encoder::default();
        encoder.check_text(b"\xE2\x82", false).unwrap();
        assert_eq!(encoder.clone().check_text(b"", true), Err(SendError::InvalidText));
        encoder.check_text(b"\xAC", true).unwrap();
        assert_eq!(encoder.check_text(b"\xC0", false), Err(SendError::InvalidText));
    }
}
