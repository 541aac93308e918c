//! RFC 6455 §5 once more, in the plainest way: the whole wire at once, one `Vec` for everything, no state between calls.
//!
//! Shares nothing with the library but the names of violations, so that the two can be held against each other.

use ws101::protocol::{Limits, MessageKind, Opcode, Role, Violation};

/// What a wire says, with the pieces of a message between two control frames put together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// Kind, bytes, and whether they end the message.
    Data(MessageKind, Vec<u8>, bool),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Vec<u8>),
}

/// All that a wire says, until a violation, if there is one.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Transcript {
    pub entries: Vec<Entry>,
    pub violation: Option<Violation>,
    /// The wire ends inside a frame.
    pub is_cut: bool,
}

impl Transcript {
    pub fn push_data(&mut self, kind: MessageKind, bytes: &[u8], ends_message: bool) {
        match self.entries.last_mut() {
            Some(Entry::Data(before_kind, before, ended @ false)) => {
                assert_eq!(*before_kind, kind, "a message changed its kind");
                before.extend_from_slice(bytes);
                *ended = ends_message;
            }
            _ => self.entries.push(Entry::Data(kind, bytes.to_vec(), ends_message)),
        }
    }

    /// The entries that do not depend on how the wire was cut: not the beginning of a text that then went wrong.
    pub fn settled(&self) -> &[Entry] {
        match self.entries.as_slice() {
            [before @ .., Entry::Data(_, _, false)] if self.violation == Some(Violation::InvalidText) => before,
            all => all,
        }
    }
}

struct Header {
    first: u8,
    key: [u8; 4],
    length: u64,
}

/// Bytes of a wire, and how far they are read.
struct Wire<'a> {
    bytes: &'a [u8],
    sender: Role,
}

impl<'a> Wire<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    fn number(&mut self, length: usize) -> Option<u64> {
        Some(self.take(length)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// `None`: the wire ends before the header does.
    fn header(&mut self) -> Option<Result<Header, Violation>> {
        let first = self.take(1)?[0];
        if let Some(bit) = (1..=3).find(|bit| first & (0x80 >> bit) != 0) {
            return Some(Err(Violation::ReservedBit(bit)));
        }
        let opcode = match first & 0xF {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            reserved => return Some(Err(Violation::ReservedOpcode(reserved))),
        };
        let is_control = first & 0xF >= 8;
        if is_control && first < 0x80 {
            return Some(Err(Violation::FragmentedControlFrame(opcode)));
        }
        let second = self.take(1)?[0];
        match (self.sender, second >= 0x80) {
            (Role::Client, false) => return Some(Err(Violation::UnmaskedFrame)),
            (Role::Server, true) => return Some(Err(Violation::MaskedFrame)),
            _ => {}
        }
        let (length, least) = match second & 0x7F {
            126 | 127 if is_control => return Some(Err(Violation::LongControlFrame(opcode))),
            126 => (self.number(2)?, 126),
            127 => (self.number(8)?, 65_536),
            short => (u64::from(short), 0),
        };
        if length < least {
            return Some(Err(Violation::LengthNotShortest(length)));
        }
        if length > i64::MAX as u64 {
            return Some(Err(Violation::LengthTopBit(length)));
        }
        let key = if self.sender == Role::Client { self.take(4)?.try_into().expect("four bytes") } else { [0; 4] };
        Some(Ok(Header { first, key, length }))
    }

    /// As much of the payload as there is, and whether that is all.
    fn payload(&mut self, header: &Header) -> (Vec<u8>, bool) {
        let length = header.length.min(self.bytes.len() as u64) as usize;
        let masked = self.take(length).expect("no more than there is");
        (masked.iter().enumerate().map(|(index, byte)| byte ^ header.key[index % 4]).collect(), length as u64 == header.length)
    }
}

/// The message that is open.
struct Message {
    kind: MessageKind,
    bytes: Vec<u8>,
    size: u128,
    fragments: u64,
}

/// Reads all of what `sender` sent.
pub fn read(sender: Role, limits: Limits, bytes: &[u8]) -> Transcript {
    let mut transcript = Transcript::default();
    if let Err(violation) = read_frames(&mut Wire { bytes, sender }, limits, &mut transcript) {
        transcript.violation = Some(violation);
    }
    transcript
}

fn read_frames(wire: &mut Wire, limits: Limits, transcript: &mut Transcript) -> Result<(), Violation> {
    let mut open: Option<Message> = None;
    while !wire.bytes.is_empty() {
        let Some(header) = wire.header() else {
            transcript.is_cut = true;
            return Ok(());
        };
        let header = header?;
        if header.first & 8 != 0 {
            let (payload, is_whole) = wire.payload(&header);
            if !is_whole {
                transcript.is_cut = true;
                return Ok(());
            }
            transcript.entries.push(match header.first & 0xF {
                8 => Entry::Close(payload),
                9 => Entry::Ping(payload),
                _ => Entry::Pong(payload),
            });
            continue;
        }
        let mut message = begin(&header, open.take(), limits)?;
        let (payload, is_whole) = wire.payload(&header);
        let ends_message = is_whole && header.first >= 0x80;
        message.bytes.extend_from_slice(&payload);
        if message.kind == MessageKind::Text
            && let Err(error) = std::str::from_utf8(&message.bytes)
            && (error.error_len().is_some() || ends_message)
        {
            return Err(Violation::InvalidText);
        }
        if is_whole || !payload.is_empty() {
            transcript.push_data(message.kind, &payload, ends_message);
        }
        if !is_whole {
            transcript.is_cut = true;
            return Ok(());
        }
        open = (!ends_message).then_some(message);
    }
    Ok(())
}

/// The message that a data frame begins or goes on with.
fn begin(header: &Header, open: Option<Message>, limits: Limits) -> Result<Message, Violation> {
    let kind = if header.first & 0xF == 1 { MessageKind::Text } else { MessageKind::Binary };
    let mut message = match (header.first & 0xF, open) {
        (0, None) => return Err(Violation::ContinuationWithoutStart),
        (0, Some(open)) => open,
        (_, Some(_)) => return Err(Violation::MessageInsideMessage(kind)),
        (_, None) => Message { kind, bytes: Vec::new(), size: 0, fragments: 0 },
    };
    message.fragments += 1;
    message.size += u128::from(header.length);
    if message.fragments > u64::from(limits.max_fragments) {
        return Err(Violation::TooManyFragments { limit: limits.max_fragments });
    }
    if message.size > u128::from(limits.max_message) {
        return Err(Violation::MessageTooBig { limit: limits.max_message });
    }
    Ok(message)
}
