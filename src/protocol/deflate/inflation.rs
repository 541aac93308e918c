//! The receiving direction: compressed payload to messages, piece by piece (RFC 7692 §7.2.2).
//!
//! In scope: where a message ends, the limit on what it becomes, UTF-8, and when the state is needed. Out of scope: frames, and where the state
//! comes from. One state is asked for with a message and can be had back after it, unless the sender takes its window over.
//!
//! Whether a full room ended a message is only known from one byte more: it is kept for the next piece.

use super::coder::{Inflater, Invalid, Run};
use super::{NoMemory, TAIL};
use crate::bytes::utf8::Utf8;
use crate::protocol::{MessageKind, Piece, Violation};

/// A last block without content. After it a state has to be at its end, or the message was cut off.
const LAST_BLOCK: [u8; 5] = [0x01, 0x00, 0x00, 0xFF, 0xFF];

/// What [`Inflation::inflate_whole`] grows by at most: what the peer promises never sizes an allocation.
const LEAST_GROWTH: usize = 4 << 10;
const MOST_GROWTH: usize = 1 << 20;

/// Inflates the messages of one direction of a connection.
#[derive(Debug)]
pub struct Inflation {
    inflater: Option<Box<Inflater>>,
    /// The sender's compressor remembers earlier messages.
    keeps_window: bool,
    message: Option<Message>,
}

/// The message under way.
#[derive(Debug)]
struct Message {
    kind: MessageKind,
    utf8: Utf8,
    limit: u64,
    /// Bytes that were made, the one that is held among them.
    made: u64,
    /// The byte that told that a full room was not the end.
    held: Option<u8>,
    /// Compressed bytes have come.
    has_input: bool,
    /// The last of them ended a last block.
    is_final: bool,
}

/// Why a whole message was not inflated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WholeError {
    /// The peer's fault.
    Violation(Violation),
    /// There is no memory for it.
    NoMemory,
}

impl Inflation {
    /// For a sender that takes its window over from message to message, or not.
    pub fn new(keeps_window: bool) -> Inflation {
        Inflation { inflater: None, keeps_window, message: None }
    }

    /// Whether a message has begun and is not delivered to its end.
    pub fn is_inside_message(&self) -> bool {
        self.message.is_some()
    }

    /// Bytes of memory of the state, if it is here.
    pub fn memory(&self) -> usize {
        self.inflater.as_ref().map_or(0, |_| super::coder::INFLATER_BYTES)
    }

    /// A compressed message of at most `limit` bytes begins; `state` is asked for a state if none is kept from the last one.
    pub fn begin(
        &mut self,
        kind: MessageKind,
        limit: u64,
        state: impl FnOnce() -> Result<Box<Inflater>, NoMemory>,
    ) -> Result<(), NoMemory> {
        debug_assert!(self.message.is_none(), "one message after the other");
        if self.inflater.is_none() {
            self.inflater = Some(state()?);
        }
        self.message = Some(Message { kind, utf8: Utf8::default(), limit, made: 0, held: None, has_input: false, is_final: false });
        Ok(())
    }

    /// The limit of the message under way is this from here on.
    pub fn set_limit(&mut self, limit: u64) {
        if let Some(message) = &mut self.message {
            message.limit = limit;
        }
    }

    /// The state, for another connection: between messages, if the next one does not need it.
    pub fn take_idle_state(&mut self) -> Option<Box<Inflater>> {
        if self.keeps_window || self.message.is_some() { None } else { self.inflater.take() }
    }

    /// Forgets the message under way, and everything else.
    pub fn abandon(&mut self) {
        (self.inflater, self.message) = (None, None);
    }

    /// Inflates into `room`, which must not be empty. Returns how much of the input was used, and a piece: some bytes, or the end of the message.
    /// `None`: the input is used up, and nothing came of it.
    ///
    /// `ends`: the message has no payload behind this input. As long as a piece does not end the message the rest of the input, perhaps
    /// nothing, is to be brought again; the same `ends` goes with it.
    pub fn inflate(&mut self, input: &[u8], ends: bool, room: &mut [u8]) -> Result<(usize, Option<Piece>), Violation> {
        let found = self.inflate_some(input, ends, room);
        match &found {
            Ok((_, Some(piece))) if piece.ends_message => self.message = None,
            // The state is in the middle of nowhere.
            Err(_) => self.abandon(),
            Ok(_) => {}
        }
        found
    }

    fn inflate_some(&mut self, input: &[u8], ends: bool, room: &mut [u8]) -> Result<(usize, Option<Piece>), Violation> {
        let (Some(message), Some(inflater)) = (&mut self.message, &mut self.inflater) else { return Ok((input.len(), None)) };
        let mut length = 0;
        if let Some(held) = message.held.take() {
            room[0] = held;
            length = 1;
        }
        let rest = &mut room[length..];
        let allowed = u64::min(rest.len() as u64, message.limit.saturating_sub(message.made)) as usize;
        let mut used = 0;
        if allowed > 0 {
            let run = message.run(inflater, input, &mut rest[..allowed])?;
            (used, length) = (run.used, length + run.made);
        }
        let mut ends_message = false;
        let mut next = [0];
        let ahead = message.run(inflater, &input[used..], &mut next)?;
        used += ahead.used;
        if ahead.made > 0 {
            if message.made > message.limit {
                return Err(Violation::MessageTooBig { limit: message.limit });
            }
            message.held = Some(next[0]);
        } else if ends {
            message.end(inflater, self.keeps_window)?;
            ends_message = true;
        }
        message.check_text(&room[..length], ends_message)?;
        let piece = Piece { kind: message.kind, length, ends_message };
        Ok((used, (length > 0 || ends_message).then_some(piece)))
    }

    /// Inflates a whole message that lies in several places, as one: behind what is in `out`. [`Inflation::begin`] comes before it, with the limit.
    pub fn inflate_whole(&mut self, parts: &[&[u8]], out: &mut Vec<u8>) -> Result<(), WholeError> {
        let start = out.len();
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let mut length = start;
        let mut growth = total.saturating_mul(2).clamp(LEAST_GROWTH, MOST_GROWTH);
        let (last, others) = parts.split_last().map_or((&[][..], &[][..]), |(last, others)| (*last, others));
        let mut ended = false;
        for (mut part, ends) in others.iter().map(|part| (*part, false)).chain([(last, true)]) {
            loop {
                if length == out.len() {
                    let limit = self.message.as_ref().map_or(0, |message| message.limit);
                    let most = usize::try_from(limit.saturating_sub((length - start) as u64)).unwrap_or(usize::MAX).max(1);
                    let more = growth.min(most);
                    out.try_reserve(more).map_err(|_| WholeError::NoMemory)?;
                    out.resize(length + more, 0);
                    growth = (out.len() - start).clamp(growth, MOST_GROWTH.max(growth));
                }
                let (used, piece) = self.inflate(part, ends, &mut out[length..]).map_err(WholeError::Violation)?;
                part = &part[used..];
                let Some(piece) = piece else { break };
                length += piece.length;
                ended = piece.ends_message;
                if ended {
                    break;
                }
            }
        }
        debug_assert!(ended);
        out.truncate(length);
        Ok(())
    }
}

impl Message {
    fn run(&mut self, inflater: &mut Inflater, input: &[u8], room: &mut [u8]) -> Result<Run, Violation> {
        let run = inflater.run(input, room).map_err(|Invalid| Violation::InvalidCompression)?;
        self.made += run.made as u64;
        self.has_input |= run.used > 0;
        self.is_final = run.is_final;
        Ok(run)
    }

    /// All payload is in and nothing is left inside: brings what RFC 7692 §7.2.2 appends, of which nothing more may come.
    fn end(&mut self, inflater: &mut Inflater, keeps_window: bool) -> Result<(), Violation> {
        // A sender whose last block says that it is one, and one that has sent nothing at all, have left no end open.
        let is_open = self.has_input && !self.is_final;
        if is_open {
            self.bring(inflater, &TAIL)?;
        }
        if keeps_window {
            return Ok(());
        }
        if is_open && !self.bring(inflater, &LAST_BLOCK)?.is_final {
            return Err(Violation::InvalidCompression);
        }
        inflater.reset();
        Ok(())
    }

    /// Of what the receiver appends itself nothing may be made: it would be the end of a block that was cut off.
    fn bring(&mut self, inflater: &mut Inflater, bytes: &[u8]) -> Result<Run, Violation> {
        let run = self.run(inflater, bytes, &mut [0])?;
        if run.made == 0 && run.used == bytes.len() { Ok(run) } else { Err(Violation::InvalidCompression) }
    }

    fn check_text(&mut self, bytes: &[u8], ends_message: bool) -> Result<(), Violation> {
        if self.kind == MessageKind::Text {
            self.utf8.check(bytes).map_err(|_| Violation::InvalidText)?;
            if ends_message {
                self.utf8.finish().map_err(|_| Violation::InvalidText)?;
            }
        }
        Ok(())
    }
}
