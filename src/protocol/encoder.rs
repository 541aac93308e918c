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
    /// The message that is open was begun as a compressed one.
    is_compressed: bool,
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
            self.is_compressed = false;
        }
        self.open = if ends_message { None } else { Some(kind) };
        Ok(FrameHeader { fin: ends_message, opcode, is_compressed: false, masking_key, length }.encode())
    }

    /// The frame of this header, the last one that was asked for, is a compressed one with so much payload. RFC 7692 §6.1: all of a message is
    /// compressed or nothing, and its first frame says so.
    pub fn compress(&mut self, header: HeaderBytes, length: u64) -> HeaderBytes {
        self.is_compressed = true;
        header.compressed(length)
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

    /// Whether the message that is open was begun as a compressed one, as the rest of it must be then.
    pub fn is_inside_compressed_message(&self) -> bool {
        self.open.is_some() && self.is_compressed
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
    fn only_the_first_frame_of_a_message_says_that_it_is_compressed() {
        let mut encoder = Encoder::default();
        let mut expect = |ends, key: Option<MaskingKey>, expected: &[u8]| {
            let header = encoder.data(MessageKind::Text, ends, 1000, key).unwrap();
            assert_eq!(encoder.compress(header, 200).as_slice(), expected);
            assert_eq!(encoder.is_inside_compressed_message(), !ends);
        };
        expect(false, None, &[0x41, 126, 0, 200]);
        expect(false, None, &[0x00, 126, 0, 200]);
        expect(true, Some([1, 2, 3, 4]), &[0x80, 0x80 | 126, 0, 200, 1, 2, 3, 4]);
        expect(true, None, &[0xC1, 126, 0, 200]);
        assert_eq!(first_byte(&mut encoder, MessageKind::Text, false), Ok(0x01));
        assert!(!encoder.is_inside_compressed_message());
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
