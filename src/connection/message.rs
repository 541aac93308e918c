//! Whole messages: pieces put together in memory of the library.
//!
//! In scope: the memory, its limit, and what happens when a receive ends in the middle of a message (nothing is lost: the next one goes on).
//! Out of scope: how pieces are received.

use std::cell::Cell;

use super::Connection;
use super::receive::{ReceiveHalf, Received, Step};
use crate::error::{Error, Result, Status};
use crate::options::Options;
use crate::protocol::{MessageKind, Piece, Violation};
use crate::transport::Patience;

/// What is kept while nothing comes; larger memory goes back as soon as a receive waits, so that messages which follow one another share it.
const KEPT: usize = 64 << 10;

/// Larger memory is kept neither for the next message nor for the next connection.
const MOST_SPARE: usize = 4 << 20;

/// The room that a message begins with, and the most by which it grows at a time: a length in a header never sizes an allocation.
const FIRST: usize = 4 << 10;
const MOST_GROWTH: usize = 1 << 20;

/// A message under way, or the last one that was delivered.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// All of it is room; the message is at its beginning.
    bytes: Vec<u8>,
    length: usize,
    is_delivered: bool,
}

/// What a step towards a whole message came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageStep {
    /// A message; [`ReceiveHalf::message`] has it.
    Message(MessageKind),
    /// The peer's close frame.
    Close,
    /// Something was received, and the message is not whole yet.
    Nothing,
    /// The socket has nothing more for now.
    Blocked {
        /// A signal handler ran meanwhile.
        interrupted: bool,
    },
}

impl Assembly {
    /// Nothing is in it; its memory stays.
    fn begin_again(&mut self) {
        self.length = 0;
        self.is_delivered = false;
    }

    /// The last message is no longer the program's: large memory goes back.
    fn begin(&mut self) {
        if self.bytes.len() > KEPT {
            self.bytes = Vec::new();
        }
        self.length = 0;
        self.is_delivered = false;
    }

    /// Room for `expected` more bytes, within what one step may take.
    fn make_room(&mut self, expected: u64) -> Result<()> {
        if self.length < self.bytes.len() {
            return Ok(());
        }
        let wanted = usize::try_from(expected).unwrap_or(MOST_GROWTH).clamp(FIRST, MOST_GROWTH);
        let growth = wanted.max(self.bytes.len().min(MOST_GROWTH));
        self.bytes
            .try_reserve_exact(growth)
            .map_err(|_| Error::new(Status::NotEnoughMemory, format!("there is no memory for a message of {} bytes", self.length)))?;
        self.bytes.resize(self.bytes.len() + growth, 0);
        Ok(())
    }
}

thread_local! {
    /// The memory of the last message that was handed over, for the next.
    static SPARE: Cell<Option<Box<Assembly>>> = const { Cell::new(None) };
}

/// A message that was handed over with its memory.
#[derive(Debug)]
pub struct OwnMessage(Box<Assembly>);

impl OwnMessage {
    /// The message.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes[..self.0.length]
    }

    /// The memory is of use for another message.
    pub fn give_back(mut self) {
        if self.0.bytes.len() <= MOST_SPARE {
            self.0.begin_again();
            // A thread that is ending keeps nothing.
            let _ = SPARE.try_with(|spare| {
                let kept = spare.take().filter(|kept| kept.bytes.len() > self.0.bytes.len());
                spare.set(Some(kept.unwrap_or(self.0)));
            });
        }
    }
}

/// For those who receive whole messages and nothing else.
impl ReceiveHalf {
    /// The next message is put together piece by piece, in memory that was used before.
    pub fn begin_assembly(&mut self) {
        self.assembly.get_or_insert_with(|| SPARE.try_with(Cell::take).ok().flatten().unwrap_or_default());
    }

    /// The message that was just told of, with its memory.
    pub fn take_message(&mut self) -> Option<OwnMessage> {
        self.assembly.take().map(OwnMessage)
    }
}

impl ReceiveHalf {
    /// One step towards a whole message; 13002 for one that is larger than the limit, 4317 in the middle of a message
    /// that was received in pieces.
    pub fn step_message(&mut self, connection: &Connection, patience: Patience) -> Result<MessageStep> {
        let mut assembly = self.assembly.take().unwrap_or_default();
        let result = self.fill(&mut assembly, connection, patience);
        self.assembly = Some(assembly);
        result
    }

    /// The message that was just told of.
    pub fn message(&self) -> &[u8] {
        self.assembly.as_ref().map_or(&[], |assembly| &assembly.bytes[..assembly.length])
    }

    /// Bytes of memory for whole messages.
    pub(super) fn message_memory(&self) -> usize {
        self.assembly.as_ref().map_or(0, |assembly| size_of::<Assembly>() + assembly.bytes.len())
    }

    /// A piece is to be received: 4317 if the message that is open was begun as a whole one. The last message is no longer the program's.
    #[inline]
    pub fn begin_piece(&mut self) -> Result<()> {
        if self.assembly.is_none() {
            return Ok(());
        }
        if self.expects_whole() {
            return Err(Error::new(
                Status::InvalidOperation,
                "the message was begun as a whole one and must be received to its end as one",
            ));
        }
        if let Some(assembly) = &mut self.assembly {
            assembly.begin();
        }
        Ok(())
    }

    fn fill(&mut self, assembly: &mut Assembly, connection: &Connection, patience: Patience) -> Result<MessageStep> {
        if assembly.is_delivered || assembly.length == 0 {
            self.check_whole()?;
            if assembly.is_delivered && assembly.bytes.len() > MOST_SPARE {
                assembly.begin();
            } else if assembly.is_delivered {
                assembly.begin_again();
            }
        }
        let limit = connection.receive.lock().options.max_message.unwrap_or(Options::DEFAULT_MAX_MESSAGE);
        assembly.make_room(self.direct_room())?;
        // One byte more than there may be says that there are too many: a message is never inflated further than that.
        let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1).max(assembly.length + 1).min(assembly.bytes.len());
        match self.step(connection, &mut assembly.bytes[assembly.length..most], patience)? {
            Step::Received(Received::Close) => Ok(MessageStep::Close),
            Step::Nothing => {
                // A header, or compressed bytes of which nothing came yet, begin a message too.
                self.set_expects_whole(self.is_inside_message());
                Ok(MessageStep::Nothing)
            }
            Step::Blocked { interrupted } => {
                if assembly.length == 0 && !self.is_inside_message() {
                    assembly.begin();
                }
                Ok(MessageStep::Blocked { interrupted })
            }
            Step::Received(Received::Piece(Piece { kind, length, ends_message })) => {
                assembly.length += length;
                // The headers so far tell how large it will at least be.
                if self.message_size().max(assembly.length as u64) > limit {
                    return Err(connection.fail_with(Violation::MessageTooBig { limit }));
                }
                self.set_expects_whole(!ends_message);
                assembly.is_delivered = ends_message;
                Ok(if ends_message { MessageStep::Message(kind) } else { MessageStep::Nothing })
            }
        }
    }
}
