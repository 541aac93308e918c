//! From the network's bytes to pieces of messages and control frames (RFC 6455 §5).
//!
//! The decoder owns no buffer. It has two doors to one state machine: [`Decoder::feed`] for bytes that lie in a buffer, and
//! [`Decoder::direct_room`] with [`Decoder::accept_direct`] for payload that the transport put into the caller's memory itself.
//!
//! Out of scope: answering control frames, and what comes after a close frame (see [`Lifecycle`](super::Lifecycle)).

use std::ops::Range;

use super::frame::{MAX_CONTROL_PAYLOAD, MAX_FRAME_HEADER};
use super::{FrameHeader, MaskingKey, MessageKind, Opcode, Piece, Role, Violation};
use crate::bytes::mask;
use crate::bytes::utf8::Utf8;

/// What one message may cost. Checked when a frame's header is read, before any memory is taken for it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes in a message.
    pub max_message: u64,
    /// Frames in a message.
    pub max_fragments: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_message: u64::MAX, max_fragments: u32::MAX }
    }
}

/// What [`Decoder::feed`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item {
    /// Nothing is complete; all of the input was used.
    NeedBytes,
    /// Payload for the program, at the beginning of the room.
    Piece(Piece),
    /// A ping; its payload is [`Decoder::control_payload`].
    Ping,
    /// A pong; its payload is [`Decoder::control_payload`].
    Pong,
    /// A close frame; its payload is [`Decoder::control_payload`].
    Close,
}

/// The state between two reads: some 80 bytes, and 125 more once a control frame had a payload.
#[derive(Debug)]
pub struct Decoder {
    /// Where the bytes come from.
    sender: Role,
    /// Messages may be compressed (RFC 7692).
    may_compress: bool,
    limits: Limits,
    /// A header cut by the network.
    header: [u8; MAX_FRAME_HEADER],
    header_length: u8,
    /// Whether `frame` is under way. Beside it and not an `Option`, so that no bytes are ever undefined: memory checkers follow them.
    in_frame: bool,
    frame: Frame,
    /// Whether `message` is open; beside it for the same reason.
    in_message: bool,
    /// The payload of `message` is passed on as it is: what it will be is not known here, neither its size nor its text.
    is_compressed: bool,
    message: Message,
    control: Option<Box<[u8; MAX_CONTROL_PAYLOAD]>>,
    control_length: u8,
    frames: u64,
    messages: u64,
}

/// The frame whose payload is under way.
#[derive(Clone, Copy, Debug)]
struct Frame {
    remaining: u64,
    /// All zero for an unmasked frame, which is the same.
    key: MaskingKey,
    /// How far the key is turned.
    turned: u8,
    is_masked: bool,
    fin: bool,
    opcode: Opcode,
}

impl Frame {
    const NONE: Frame = Frame { remaining: 0, key: [0; 4], turned: 0, is_masked: false, fin: true, opcode: Opcode::Continuation };
}

/// The message that is open.
#[derive(Clone, Copy, Debug)]
struct Message {
    kind: MessageKind,
    size: u64,
    fragments: u32,
    utf8: Utf8,
}

/// The beginning of a message that is one frame, as most are.
struct Usual {
    kind: MessageKind,
    length: usize,
    /// Where the masking key is, or, without one, the payload.
    head: usize,
    is_masked: bool,
}

impl Usual {
    /// `None`: it is something else, or longer than `most`, or wrong; [`Decoder::feed`] knows what.
    #[inline(always)]
    fn read(sender: Role, most: u64, input: &[u8]) -> Option<Usual> {
        let &[first, second, ..] = input else { return None };
        let kind = match first {
            0x81 => MessageKind::Text,
            0x82 => MessageKind::Binary,
            _ => return None,
        };
        let is_masked = sender == Role::Client;
        // The length without the mask bit, which is where it must be: else this is above all lengths. A longer form than necessary is a violation.
        let (length, head) = match second ^ if is_masked { 0x80 } else { 0 } {
            short @ 0..126 => (short.into(), 2),
            126 => (u64::from(u16::from_be_bytes(*input.get(2..)?.first_chunk::<2>()?)), 4),
            127 => (u64::from_be_bytes(*input.get(2..)?.first_chunk::<8>()?), 10),
            _ => return None,
        };
        if head == 4 && length < 126 || head == 10 && length < 65_536 || length > most {
            return None;
        }
        Some(Usual { kind, length: usize::try_from(length).ok()?, head, is_masked })
    }
}

/// A whole message in one frame at the beginning of `input`, where no frame and no message is under way: its kind, and where its payload lies,
/// unmasked. What it ends with was used. `None`: it is something else, or not all of it is here, and nothing has changed.
///
/// After a violation the connection is of no use any more.
#[inline(always)]
pub fn whole_message_at_rest(sender: Role, max_message: u64, input: &mut [u8]) -> Option<Result<(MessageKind, Range<usize>), Violation>> {
    // What a server receives most. A length that is not masked, or takes more than a byte, is too large here.
    if let Some((head, rest)) = input.split_first_chunk_mut::<6>() {
        let (first, length) = (head[0], head[1] ^ 0x80);
        if matches!(first, 0x81 | 0x82)
            && length < 126
            && u64::from(length) <= max_message
            && sender == Role::Client
            && let Some(payload) = rest.get_mut(..length.into())
        {
            mask::apply_short(payload, [head[2], head[3], head[4], head[5]]);
            let kind = if first == 0x81 { MessageKind::Text } else { MessageKind::Binary };
            return Some(checked(kind, payload).map(|()| (kind, 6..6 + usize::from(length))));
        }
    }
    let Usual { kind, length, head, is_masked } = Usual::read(sender, max_message.min(input.len() as u64), input)?;
    let (start, payload) = if is_masked {
        let (key, payload) = input.get_mut(head..head + 4 + length)?.split_first_chunk_mut::<4>()?;
        mask::apply(payload, *key, 0);
        (head + 4, payload)
    } else {
        (head, input.get_mut(head..head + length)?)
    };
    Some(checked(kind, payload).map(|()| (kind, start..start + length)))
}

/// The text of a whole message is UTF-8 (RFC 6455 §8.1).
#[inline(always)]
fn checked(kind: MessageKind, payload: &[u8]) -> Result<(), Violation> {
    if kind == MessageKind::Text {
        let mut utf8 = Utf8::default();
        if utf8.check(payload).is_err() || utf8.finish().is_err() {
            return Err(Violation::InvalidText);
        }
    }
    Ok(())
}

impl Decoder {
    /// A decoder for the bytes that `sender` sends.
    pub fn new(sender: Role, limits: Limits) -> Decoder {
        Decoder {
            sender,
            may_compress: false,
            limits,
            header: [0; MAX_FRAME_HEADER],
            header_length: 0,
            in_frame: false,
            frame: Frame::NONE,
            in_message: false,
            is_compressed: false,
            message: Message { kind: MessageKind::Binary, size: 0, fragments: 0, utf8: Utf8::default() },
            control: None,
            control_length: 0,
            frames: 0,
            messages: 0,
        }
    }

    /// Messages may be compressed from here on. Pieces of those are compressed payload: their size and their text are not looked at.
    pub fn allow_compression(&mut self) {
        self.may_compress = true;
    }

    /// Whether the piece that was just delivered is compressed payload; `ends_message` is then where that ends.
    #[inline]
    pub fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// The same decoder after so many frames and messages.
    pub fn having_counted(self, frames: u64, messages: u64) -> Decoder {
        Decoder { frames, messages, ..self }
    }

    /// Changes what later frames are held to.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Uses bytes of `input` until there is something to tell, and returns how many it used.
    ///
    /// Payload is unmasked on its way into `room`, which must not be empty. At most one frame's payload is delivered at a time.
    #[inline]
    pub fn feed(&mut self, input: &[u8], room: &mut [u8]) -> Result<(usize, Item), Violation> {
        let mut used = 0;
        if !self.in_frame {
            let (taken, header) = self.read_header(input)?;
            used = taken;
            match header {
                Some(header) => self.begin(header)?,
                None => return Ok((used, Item::NeedBytes)),
            }
        }
        let rest = &input[used..];
        if self.frame.opcode.is_control() {
            let taken = self.take_control(rest);
            return Ok((used + taken, self.end_control()));
        }
        if rest.is_empty() && self.frame.remaining > 0 {
            return Ok((used, Item::NeedBytes));
        }
        let length = shorter(self.frame.remaining, rest.len().min(room.len()));
        let (source, target) = (&rest[..length], &mut room[..length]);
        if self.frame.is_masked {
            mask::copy(source, target, self.frame.key, usize::from(self.frame.turned));
        } else {
            target.copy_from_slice(source);
        }
        let piece = self.deliver(target)?;
        Ok((used + length, Item::Piece(piece)))
    }

    /// The usual case in a few instructions: a message of one frame, all of which lies at the beginning of `input` and fits into `room`. Uses it
    /// and returns how many bytes that were, or changes nothing; [`Decoder::feed`] says the same of it, and what is wrong if something is.
    #[inline(always)]
    pub fn whole_message(&mut self, input: &[u8], room: &mut [u8]) -> Option<(usize, Piece)> {
        if self.in_frame || self.in_message || self.header_length > 0 || self.limits.max_fragments == 0 {
            return None;
        }
        let Usual { kind, length, head, is_masked } = Usual::read(self.sender, self.limits.max_message.min(room.len() as u64), input)?;
        let target = room.get_mut(..length)?;
        let used = if is_masked {
            let (key, payload) = input.get(head..head + 4 + length)?.split_first_chunk::<4>()?;
            mask::copy(payload, target, *key, 0);
            head + 4 + length
        } else {
            target.copy_from_slice(input.get(head..head + length)?);
            head + length
        };
        if kind == MessageKind::Text {
            let mut utf8 = Utf8::default();
            utf8.check(target).ok()?;
            utf8.finish().ok()?;
        }
        self.is_compressed = false;
        self.frames += 1;
        self.messages += 1;
        Some((used, Piece { kind, length, ends_message: true }))
    }

    /// The same for a message that is unmasked where it lies: how many bytes were used, the last of which are the message.
    ///
    /// What is wrong is found before anything is changed, except the text of an invalid one, which [`Decoder::feed`] must then not see: the
    /// inner error is told instead.
    #[inline(always)]
    pub fn whole_message_in_place(&mut self, input: &mut [u8]) -> Option<Result<(usize, Piece), Violation>> {
        if self.in_frame || self.in_message || self.header_length > 0 || self.limits.max_fragments == 0 {
            return None;
        }
        let found = whole_message_at_rest(self.sender, self.limits.max_message, input)?;
        self.frames += 1;
        self.messages += u64::from(found.is_ok());
        Some(found.map(|(kind, payload)| (payload.end, Piece { kind, length: payload.len(), ends_message: true })))
    }

    /// How many bytes the frame has that begins here, its header included; `None` if too little of it is here to say, or it is none.
    pub fn frame_size(&self, input: &[u8]) -> Option<u64> {
        let (header, used) = FrameHeader::decode_extended(input, self.sender, self.may_compress).ok()??;
        Some(header.length.saturating_add(used as u64))
    }

    /// Whether what begins here is no single frame of a message: a fragment, or nothing that may come.
    pub fn starts_unusual(&self, input: &[u8]) -> bool {
        input.first().is_some_and(|first| !matches!(first, 0x81 | 0x82)) || FrameHeader::decode(input, self.sender).is_err()
    }

    /// Whether no frame is under way, and no message is open.
    pub fn is_between_messages(&self) -> bool {
        !self.in_frame && !self.in_message && self.header_length == 0
    }

    /// Uses control frames alone, and stops before anything of a data frame: for whoever looks after a connection whose messages are somebody
    /// else's. `None`: a data frame is next.
    pub fn feed_controls(&mut self, input: &[u8]) -> Result<(usize, Option<Item>), Violation> {
        let first = if self.header_length > 0 { self.header.first() } else { input.first() };
        let is_data = match first {
            _ if self.in_frame => !self.frame.opcode.is_control(),
            Some(first) => first & 0x0F <= Opcode::Binary as u8,
            None => return Ok((0, Some(Item::NeedBytes))),
        };
        if is_data {
            return Ok((0, None));
        }
        self.feed(input, &mut []).map(|(used, item)| (used, Some(item)))
    }

    /// How many bytes of payload may be received straight into the caller's memory; 0 when a header or a control frame comes next.
    #[inline]
    pub fn direct_room(&self) -> u64 {
        if self.in_frame && !self.frame.opcode.is_control() { self.frame.remaining } else { 0 }
    }

    /// Takes payload that was received straight into the caller's memory and unmasks it there; at most [`Decoder::direct_room`] bytes.
    pub fn accept_direct(&mut self, payload: &mut [u8]) -> Result<Piece, Violation> {
        debug_assert!(payload.len() as u64 <= self.direct_room());
        if self.frame.is_masked {
            mask::apply(payload, self.frame.key, usize::from(self.frame.turned));
        }
        self.deliver(payload)
    }

    /// The payload of the control frame that [`Decoder::feed`] just told of.
    pub fn control_payload(&self) -> &[u8] {
        match &self.control {
            Some(payload) => &payload[..usize::from(self.control_length)],
            None => &[],
        }
    }

    /// Frames that have begun, control frames among them, and messages that have ended.
    pub fn counted(&self) -> (u64, u64) {
        (self.frames, self.messages)
    }

    /// Bytes of the message that is open, by the headers of its frames so far; 0 if it is compressed.
    pub fn message_size(&self) -> u64 {
        if self.in_message && !self.is_compressed { self.message.size } else { 0 }
    }

    /// Whether a message has begun and not ended.
    pub fn is_inside_message(&self) -> bool {
        self.in_message
    }

    /// Reads a header, possibly in several goes.
    #[inline]
    fn read_header(&mut self, input: &[u8]) -> Result<(usize, Option<FrameHeader>), Violation> {
        if self.header_length == 0
            && let Some((header, used)) = FrameHeader::decode_extended(input, self.sender, self.may_compress)?
        {
            return Ok((used, Some(header)));
        }
        self.read_cut_header(input)
    }

    #[cold]
    fn read_cut_header(&mut self, input: &[u8]) -> Result<(usize, Option<FrameHeader>), Violation> {
        // Bytes that were refused stay refused; else each further call would add to them, until they did not fit.
        self.decode_cut_header()?;
        for (taken, &byte) in input.iter().enumerate() {
            self.header[usize::from(self.header_length)] = byte;
            self.header_length += 1;
            if let Some((header, _)) = self.decode_cut_header()? {
                self.header_length = 0;
                return Ok((taken + 1, Some(header)));
            }
        }
        Ok((input.len(), None))
    }

    fn decode_cut_header(&self) -> Result<Option<(FrameHeader, usize)>, Violation> {
        FrameHeader::decode_extended(&self.header[..usize::from(self.header_length)], self.sender, self.may_compress)
    }

    /// A frame begins: may it, and does it fit the limits?
    #[inline]
    fn begin(&mut self, header: FrameHeader) -> Result<(), Violation> {
        if header.opcode.is_control() {
            self.control_length = 0;
        } else {
            match (header.opcode, self.in_message) {
                (Opcode::Continuation, true) => {}
                (Opcode::Continuation, false) => return Err(Violation::ContinuationWithoutStart),
                (opcode, true) => return Err(Violation::MessageInsideMessage(kind_of(opcode))),
                (opcode, false) => {
                    self.is_compressed = header.is_compressed;
                    self.message = Message { kind: kind_of(opcode), size: 0, fragments: 0, utf8: Utf8::default() };
                }
            }
            let message = &mut self.message;
            message.fragments += 1;
            if message.fragments > self.limits.max_fragments {
                return Err(Violation::TooManyFragments { limit: self.limits.max_fragments });
            }
            // A length field never sizes an allocation, and a message that will be too big is refused at its header.
            message.size = message.size.saturating_add(header.length);
            if message.size > self.limits.max_message && !self.is_compressed {
                return Err(Violation::MessageTooBig { limit: self.limits.max_message });
            }
            self.in_message = true;
        }
        self.frame = Frame {
            remaining: header.length,
            key: header.masking_key.unwrap_or_default(),
            turned: 0,
            is_masked: header.masking_key.is_some(),
            fin: header.fin,
            opcode: header.opcode,
        };
        self.in_frame = true;
        self.frames += 1;
        Ok(())
    }

    /// Payload has arrived at `payload`, unmasked: checks it and moves on.
    #[inline]
    fn deliver(&mut self, payload: &[u8]) -> Result<Piece, Violation> {
        let (frame, message) = (&mut self.frame, &mut self.message);
        let kind = message.kind;
        frame.remaining -= payload.len() as u64;
        frame.turned = ((usize::from(frame.turned) + payload.len()) & 3) as u8;
        let ends_frame = frame.remaining == 0;
        let ends_message = ends_frame && frame.fin;
        if kind == MessageKind::Text && !self.is_compressed {
            message.utf8.check(payload).map_err(|_| Violation::InvalidText)?;
            if ends_message {
                message.utf8.finish().map_err(|_| Violation::InvalidText)?;
            }
        }
        if ends_message {
            self.in_message = false;
            self.messages += 1;
        }
        self.in_frame = !ends_frame;
        Ok(Piece { kind, length: payload.len(), ends_message })
    }

    /// Gathers a control frame's payload, which the network may have cut.
    fn take_control(&mut self, input: &[u8]) -> usize {
        let frame = &mut self.frame;
        let length = shorter(frame.remaining, input.len());
        if length > 0 {
            let payload = self.control.get_or_insert_with(|| Box::new([0; MAX_CONTROL_PAYLOAD]));
            let start = usize::from(self.control_length);
            mask::copy(&input[..length], &mut payload[start..start + length], frame.key, usize::from(frame.turned));
            self.control_length += length as u8;
            frame.turned = ((usize::from(frame.turned) + length) & 3) as u8;
            frame.remaining -= length as u64;
        }
        length
    }

    fn end_control(&mut self) -> Item {
        if self.frame.remaining > 0 {
            return Item::NeedBytes;
        }
        self.in_frame = false;
        match self.frame.opcode {
            Opcode::Ping => Item::Ping,
            Opcode::Pong => Item::Pong,
            _ => Item::Close,
        }
    }
}

/// The opcode of a frame that begins a message.
fn kind_of(opcode: Opcode) -> MessageKind {
    if opcode == Opcode::Text { MessageKind::Text } else { MessageKind::Binary }
}

/// The smaller of a length on the wire and a length in memory.
#[inline]
fn shorter(wire: u64, memory: usize) -> usize {
    wire.min(memory as u64) as usize
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
