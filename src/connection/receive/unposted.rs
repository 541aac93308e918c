//! Receiving where nobody waits: what was received before, whole messages where they lie, and pings for those who want to hear of them.
//!
//! Out of scope: which of these a connection gets, and when (`driver::event_loop`).

use std::collections::VecDeque;

use super::super::buffers::buffer_of;
use super::{Connection, Error, Item, ReadError, ReceiveHalf, Received, Result, ended, is_nothing, lost};
use crate::error::Status;
use crate::protocol::{MessageKind, Piece};
use crate::transport::Patience;

/// A frame that is cut by the end of a read is waited for where reads go, up to this size; the rest of a larger one is put where it stays.
const MOST_HELD: u64 = 48 << 10;

/// The most pings and pongs that wait to be heard: a peer that sends nothing else must not fill our memory.
const MOST_HEARD: usize = 64;

/// A ping or pong of the peer's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heard {
    /// A ping, else a pong.
    pub is_ping: bool,
    /// Its payload.
    pub payload: Box<[u8]>,
}

/// Pings and pongs that the program has not heard of yet.
#[derive(Debug, Default)]
pub(super) struct Listening(VecDeque<Heard>);

/// What lies next in bytes that were read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NextWhole {
    /// A message; it is at the end of the bytes that were used.
    Message(MessageKind, usize),
    /// The peer's close frame.
    Close,
    /// Nothing for the program.
    Nothing,
    /// Not all of the next message; the bytes are kept.
    Cut,
}

impl ReceiveHalf {
    /// What was received before, without a look at the socket.
    pub fn take_held(&mut self, connection: &Connection, room: &mut [u8]) -> Result<Option<Received>> {
        while self.has_input() {
            let found = match self.buffer.take() {
                Some(buffer) => self.drain_buffer(connection, buffer, room)?,
                None => self.drain_behind(connection, room)?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        if self.is_ending {
            return match self.end()? {
                super::Step::Received(received) => Ok(Some(received)),
                _ => Ok(None),
            };
        }
        Ok(None)
    }

    /// Whether something may come without the socket becoming readable again: the last read left something, or something was read and is here.
    pub fn may_have_more(&self) -> bool {
        self.was_filled || self.has_held()
    }

    /// The socket has become readable: until a read shows something else, there is something.
    pub fn expect_more(&mut self) {
        self.was_filled = true;
    }

    /// Whether the next byte begins a message, apart from what is held of it.
    pub fn is_between_messages(&self) -> bool {
        self.decoder.is_between_messages() && self.assembly.is_none() && !self.is_ending && self.behind_length == 0
    }

    /// Reads into memory of the loop, behind what is held of the next message; `None` if nothing is there. How much of `room` is filled.
    pub fn read_whole(&mut self, connection: &Connection, room: &mut [u8]) -> Result<Option<usize>> {
        let mut held = 0;
        if let Some(mut buffer) = self.buffer.take() {
            held = buffer.filled().len().min(room.len());
            room[..held].copy_from_slice(&buffer.filled()[..held]);
            buffer.consume(held);
            if !buffer.is_empty() {
                self.buffer = Some(buffer);
            }
            if !self.is_cut || held == room.len() {
                return Ok(Some(held));
            }
        }
        let received = connection.stream.receive(&mut room[held..], &mut [], Patience::None);
        match self.count(connection, received, room.len() - held) {
            Ok(count) => {
                self.is_cut = false;
                Ok(Some(held + count))
            }
            Err(error) => {
                self.hold(&room[..held])?;
                match error {
                    ReadError::Socket(error) if is_nothing(&error) => Ok(None),
                    ReadError::Socket(error) => Err(lost(&error)),
                    ReadError::Other(error) => Err(error),
                    ReadError::Violation(_) => Err(ended()),
                }
            }
        }
    }

    /// Keeps bytes that [`ReceiveHalf::read_whole`] has read and nobody has taken; they come first with the next read.
    pub fn hold(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.buffer = Some(match self.buffer.take() {
            None => buffer_of(bytes)?,
            Some(behind) => {
                let mut all = Vec::new();
                all.try_reserve_exact(bytes.len() + behind.filled().len())
                    .map_err(|_| Error::new(Status::NotEnoughMemory, format!("there is no memory for {} bytes", bytes.len())))?;
                all.extend_from_slice(bytes);
                all.extend_from_slice(behind.filled());
                buffer_of(&all)?
            }
        });
        Ok(())
    }

    /// Whether something was received and not delivered.
    pub fn has_held(&self) -> bool {
        self.has_input() && !self.is_cut || self.is_ending
    }

    /// Whether a whole message must not begin here: 4317 in the middle of one that is received in pieces.
    pub fn check_whole(&self) -> Result<()> {
        if self.is_inside_message() && !self.expects_whole() {
            return Err(Error::new(Status::InvalidOperation, "the message was begun in pieces and must be received to its end in pieces"));
        }
        Ok(())
    }

    /// Whether the last read took all that it had room for.
    pub fn was_filled(&self) -> bool {
        self.was_filled
    }

    /// The next whole message among bytes that [`ReceiveHalf::read_whole`] has read, and how many of them were used.
    #[inline]
    pub fn next_whole(&mut self, connection: &Connection, bytes: &mut [u8]) -> Result<(usize, NextWhole)> {
        match self.decoder.whole_message_in_place(bytes) {
            Some(Ok((used, Piece { kind, length, .. }))) => Ok((used, NextWhole::Message(kind, length))),
            Some(Err(violation)) => Err(connection.fail_with(violation)),
            None => self.next_unusual(connection, bytes),
        }
    }

    #[cold]
    fn next_unusual(&mut self, connection: &Connection, bytes: &[u8]) -> Result<(usize, NextWhole)> {
        match self.decoder.feed_controls(bytes).map_err(|violation| connection.fail_with(violation))? {
            (used, Some(item)) => {
                let is_close = self.see_to(connection, item)?;
                Ok((used, if is_close { NextWhole::Close } else { NextWhole::Nothing }))
            }
            (_, None) => {
                self.hold(bytes)?;
                self.is_cut = true;
                // A frame of which all is here, and which is still not usual, is a fragment or a violation: step by step.
                let is_held = self.decoder.frame_size(bytes).is_none_or(|size| size > bytes.len() as u64 && size <= MOST_HELD);
                if !is_held || self.decoder.starts_unusual(bytes) {
                    self.is_cut = false;
                    self.begin_assembly();
                }
                Ok((bytes.len(), NextWhole::Cut))
            }
        }
    }

    /// From now on the program hears of pings and pongs, or no longer.
    pub(super) fn listen(&mut self, listens: bool) {
        if listens {
            self.listening.get_or_insert_default();
        } else {
            self.listening = None;
        }
    }

    pub(super) fn hear(&mut self, item: Item) {
        let is_ping = match item {
            Item::Ping => true,
            Item::Pong => false,
            _ => return,
        };
        let payload = self.decoder.control_payload().into();
        if let Some(Listening(heard)) = self.listening.as_deref_mut() {
            if heard.len() == MOST_HEARD {
                heard.pop_front();
            }
            heard.push_back(Heard { is_ping, payload });
        }
    }

    /// The next ping or pong that the program has not heard of.
    #[inline]
    pub fn take_heard(&mut self) -> Option<Heard> {
        self.listening.as_mut()?.0.pop_front()
    }

    /// Why nothing more is received, if that is known already.
    pub fn take_end(&mut self) -> Option<Error> {
        if self.has_input() { None } else { self.deferred.take() }
    }
}
