//! The frame header on the wire (RFC 6455 §5.2), in both directions.
//!
//! Out of scope: whether a frame may come now (that is the decoder's), and payloads.

use super::{MaskingKey, Role, Violation};

/// The longest header: two bytes, a 64-bit length, a masking key.
pub const MAX_FRAME_HEADER: usize = 14;

/// RFC 6455 §5.5: the longest payload of a control frame.
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// RFC 7692 §6: the bit of the first byte that says that a message is compressed.
const RSV1: u8 = 0x40;

/// What a frame is (RFC 6455 §5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message that is open.
    Continuation = 0x0,
    /// Begins a text message.
    Text = 0x1,
    /// Begins a binary message.
    Binary = 0x2,
    /// Begins or answers the closing handshake.
    Close = 0x8,
    /// Asks for a pong.
    Ping = 0x9,
    /// Answers a ping, or comes unasked.
    Pong = 0xA,
}

impl Opcode {
    /// Control frames may come between the fragments of a message.
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// A frame header, decoded. RSV2 and RSV3 are not here: without an extension they are violations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// The last frame of its message.
    pub fin: bool,
    /// What it is.
    pub opcode: Opcode,
    /// RFC 7692 §6: it begins a compressed message. RSV1 on the wire.
    pub is_compressed: bool,
    /// The key its payload is masked with.
    pub masking_key: Option<MaskingKey>,
    /// Bytes of payload that follow.
    pub length: u64,
}

impl FrameHeader {
    /// Reads a header from the first bytes of a frame: `None` while there are too few of them.
    ///
    /// `sender` is the side the bytes came from. A violation is found as soon as the
    /// field that shows it is complete.
    #[inline]
    pub fn decode(bytes: &[u8], sender: Role) -> Result<Option<(FrameHeader, usize)>, Violation> {
        FrameHeader::decode_extended(bytes, sender, false)
    }

    /// The same, where messages may be compressed, or not.
    #[inline]
    pub fn decode_extended(bytes: &[u8], sender: Role, may_compress: bool) -> Result<Option<(FrameHeader, usize)>, Violation> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let (fin, opcode, is_compressed) = match decode_first(first) {
            Ok((fin, opcode)) => (fin, opcode, false),
            Err(_) if may_compress && first & RSV1 != 0 => decode_compressed(first)?,
            Err(violation) => return Err(violation),
        };
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        let masked = second & 0x80 != 0;
        match (sender, masked) {
            (Role::Client, false) => return Err(Violation::UnmaskedFrame),
            (Role::Server, true) => return Err(Violation::MaskedFrame),
            _ => {}
        }
        let short = second & 0x7F;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL_PAYLOAD {
            return Err(Violation::LongControlFrame(opcode));
        }
        let (length, used) = match short {
            126 => {
                let Some(extended) = bytes.get(2..4) else { return Ok(None) };
                (u64::from(u16::from_be_bytes([extended[0], extended[1]])), 4)
            }
            127 => {
                let Some(extended) = bytes.get(2..10) else { return Ok(None) };
                let mut length = [0; 8];
                length.copy_from_slice(extended);
                (u64::from_be_bytes(length), 10)
            }
            _ => (u64::from(short), 2),
        };
        check_length(short, length)?;
        if !masked {
            return Ok(Some((FrameHeader { fin, opcode, is_compressed, masking_key: None, length }, used)));
        }
        let Some(key) = bytes.get(used..used + 4) else { return Ok(None) };
        let masking_key = Some([key[0], key[1], key[2], key[3]]);
        Ok(Some((FrameHeader { fin, opcode, is_compressed, masking_key, length }, used + 4)))
    }

    /// Writes the header, with the shortest form of the length.
    #[inline]
    pub fn encode(&self) -> HeaderBytes {
        let mut bytes = [0; MAX_FRAME_HEADER];
        bytes[0] = (u8::from(self.fin) << 7) | if self.is_compressed { RSV1 } else { 0 } | self.opcode as u8;
        let mut used = match self.length {
            0..=125 => {
                bytes[1] = self.length as u8;
                2
            }
            126..=0xFFFF => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(self.length as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&self.length.to_be_bytes());
                10
            }
        };
        if let Some(key) = self.masking_key {
            bytes[1] |= 0x80;
            bytes[used..used + 4].copy_from_slice(&key);
            used += 4;
        }
        HeaderBytes { bytes, used: used as u8 }
    }
}

/// Every first byte a frame can have, and why it is not one.
#[inline]
fn decode_first(first: u8) -> Result<(bool, Opcode), Violation> {
    if first & 0x70 != 0 {
        return Err(Violation::ReservedBit(if first & 0x40 != 0 {
            1
        } else if first & 0x20 != 0 {
            2
        } else {
            3
        }));
    }
    let opcode = match first & 0x0F {
        0x0 => Opcode::Continuation,
        0x1 => Opcode::Text,
        0x2 => Opcode::Binary,
        0x8 => Opcode::Close,
        0x9 => Opcode::Ping,
        0xA => Opcode::Pong,
        reserved => return Err(Violation::ReservedOpcode(reserved)),
    };
    let fin = first & 0x80 != 0;
    if opcode.is_control() && !fin {
        return Err(Violation::FragmentedControlFrame(opcode));
    }
    Ok((fin, opcode))
}

/// A first byte with RSV1, where messages may be compressed.
#[cold]
fn decode_compressed(first: u8) -> Result<(bool, Opcode, bool), Violation> {
    let (fin, opcode) = decode_first(first & !RSV1)?;
    match opcode {
        Opcode::Text | Opcode::Binary => Ok((fin, opcode, true)),
        other => Err(Violation::CompressedFrame(other)),
    }
}

/// RFC 6455 §5.2: the shortest form, and the top bit of a 64-bit length is zero.
#[inline]
fn check_length(short: u8, length: u64) -> Result<(), Violation> {
    match short {
        126 if length < 126 => Err(Violation::LengthNotShortest(length)),
        127 if length < 0x1_0000 => Err(Violation::LengthNotShortest(length)),
        127 if length >> 63 != 0 => Err(Violation::LengthTopBit(length)),
        _ => Ok(()),
    }
}

/// A header as it goes on the wire.
#[derive(Clone, Copy, Debug)]
pub struct HeaderBytes {
    bytes: [u8; MAX_FRAME_HEADER],
    used: u8,
}

impl HeaderBytes {
    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.used)]
    }

    /// The header of the same data frame when it is compressed to `length` bytes.
    pub(super) fn compressed(&self, length: u64) -> HeaderBytes {
        let sender = if self.bytes[1] & 0x80 != 0 { Role::Client } else { Role::Server };
        match FrameHeader::decode(self.as_slice(), sender) {
            Ok(Some((header, _))) => FrameHeader { is_compressed: header.opcode != Opcode::Continuation, length, ..header }.encode(),
            _ => unreachable!("it was encoded here"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(fin: bool, opcode: Opcode, length: u64, masking_key: Option<MaskingKey>) -> FrameHeader {
        FrameHeader { fin, opcode, is_compressed: false, masking_key, length }
    }

    #[test]
    fn lengths_take_the_shortest_form_and_come_back_split_at_every_byte() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, u64::from(u32::MAX), i64::MAX as u64] {
            for (key, sender) in [(None, Role::Server), (Some([1, 2, 3, 4]), Role::Client)] {
                let header = header(true, Opcode::Binary, length, key);
                let bytes = header.encode();
                let expected = match length {
                    0..=125 => 2,
                    126..=65_535 => 4,
                    _ => 10,
                } + if key.is_some() { 4 } else { 0 };
                assert_eq!(bytes.as_slice().len(), expected);
                for cut in 0..expected {
                    assert_eq!(FrameHeader::decode(&bytes.as_slice()[..cut], sender), Ok(None));
                }
                assert_eq!(FrameHeader::decode(bytes.as_slice(), sender), Ok(Some((header, expected))));
            }
        }
    }

    #[test]
    fn every_first_byte_is_a_frame_or_a_named_violation() {
        for first in 0..=u8::MAX {
            let decoded = FrameHeader::decode(&[first, 0], Role::Server);
            let legal = first & 0x70 == 0 && matches!((first >> 7, first & 0xF), (_, 0..=2) | (1, 8..=10));
            assert_eq!(decoded.is_ok(), legal, "{first:#x}: {decoded:?}");
            // The first byte alone is enough to refuse it.
            assert_eq!(FrameHeader::decode(&[first], Role::Server).is_ok(), legal);
        }
    }

    #[test]
    fn a_compressed_frame_begins_a_message_where_that_was_agreed_on() {
        let decode = |first| FrameHeader::decode_extended(&[first, 0], Role::Server, true).map(|found| found.map(|(header, _)| header));
        for first in 0..=u8::MAX {
            match (first & 0x70, first & 0xF) {
                (0x40, 1 | 2) => {
                    let header = decode(first).unwrap().unwrap();
                    assert!(header.is_compressed);
                    assert_eq!(header.encode().as_slice(), [first, 0]);
                    assert_eq!(FrameHeader::decode(&[first], Role::Server), Err(Violation::ReservedBit(1)));
                }
                (0x40, 0) => assert_eq!(decode(first), Err(Violation::CompressedFrame(Opcode::Continuation))),
                (0x40, 9) if first & 0x80 != 0 => assert_eq!(decode(first), Err(Violation::CompressedFrame(Opcode::Ping))),
                (0, _) => {
                    assert_eq!(decode(first), FrameHeader::decode(&[first, 0], Role::Server).map(|found| found.map(|(header, _)| header)))
                }
                _ => assert!(decode(first).is_err(), "{first:#x}"),
            }
        }
    }

    #[test]
    fn lengths_that_are_not_the_shortest_are_refused() {
        assert_eq!(FrameHeader::decode(&[0x82, 126, 0, 125], Role::Server), Err(Violation::LengthNotShortest(125)));
        assert!(FrameHeader::decode(&[0x82, 126, 0, 126], Role::Server).is_ok());
        let mut long = [0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF];
        assert_eq!(FrameHeader::decode(&long, Role::Server), Err(Violation::LengthNotShortest(65_535)));
        long[2] = 0x80;
        assert!(matches!(FrameHeader::decode(&long, Role::Server), Err(Violation::LengthTopBit(_))));
    }

    #[test]
    fn the_masking_bit_must_fit_the_sender() {
        assert_eq!(FrameHeader::decode(&[0x81, 0x80], Role::Server), Err(Violation::MaskedFrame));
        assert_eq!(FrameHeader::decode(&[0x81, 0x00], Role::Client), Err(Violation::UnmaskedFrame));
    }

    #[test]
    fn control_frames_are_short_and_whole() {
        assert_eq!(FrameHeader::decode(&[0x89, 126], Role::Server), Err(Violation::LongControlFrame(Opcode::Ping)));
        assert_eq!(FrameHeader::decode(&[0x88, 127], Role::Server), Err(Violation::LongControlFrame(Opcode::Close)));
        assert_eq!(FrameHeader::decode(&[0x0A], Role::Server), Err(Violation::FragmentedControlFrame(Opcode::Pong)));
        assert!(FrameHeader::decode(&[0x8A, 125], Role::Server).is_ok());
    }
}
