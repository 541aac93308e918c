//! The receiving half: from the socket to the caller's memory, one step at a time. Never waits for longer than the socket's own slice.
//!
//! What is buffered is drained first; then one system call receives the rest of the frame straight into the caller's memory, with
//! the next header behind it. Out of scope: waiting (see `driver`), and frames (see [`Decoder`]).

mod at_rest;
mod inflated;
mod look_after;
mod unposted;

use std::io;

use super::buffers::{Buffer, Use, buffer_of};
use super::message::Assembly;
use super::{Connection, Counted};
use crate::error::{Error, Phase, Result, Status};
use crate::options::Options;
use crate::protocol::{CloseFrame, Decoder, Item, Limits, Piece, Role, Violation};
use crate::transport::Patience;
pub use at_rest::Rested;
use inflated::Inflated;
pub use look_after::Ahead;
use unposted::Listening;
pub use unposted::{Heard, NextWhole};

/// From this much on a frame's rest is received with only the next header behind it, so that the next payload can go straight to the caller
/// too instead of being copied.
const LARGE_REST: u64 = 4096;

/// The longest header a server sends, and a little more; a client's has 4 bytes of key besides.
const NEXT_HEADER: usize = 16;

/// What is read at a time on a quiet connection.
const SMALL: usize = 160;

/// The largest message that is delivered from the buffer without taking the receive half.
const MOST_BUFFERED: usize = 4 << 10;

/// What a receive delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// A piece of a message.
    Piece(Piece),
    /// The peer's close frame.
    Close,
}

/// What a step came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Something for the program.
    Received(Received),
    /// Something was received, and nothing of it is for the program.
    Nothing,
    /// The socket has nothing; `interrupted` by a signal handler.
    Blocked {
        /// A signal handler ran meanwhile.
        interrupted: bool,
    },
}

/// The state of the receiving side. Held by one thread at a time.
#[derive(Debug)]
pub struct ReceiveHalf {
    decoder: Decoder,
    /// Bytes received and not delivered; absent while there are none.
    buffer: Option<Buffer>,
    buffer_size: u32,
    /// The first bytes behind a large frame.
    behind: [u8; NEXT_HEADER],
    behind_length: u8,
    /// Something was received since somebody last looked at the clock.
    saw_life: bool,
    bytes: u64,
    /// Whole messages are put together here.
    pub(super) assembly: Option<Box<Assembly>>,
    /// Compressed messages are inflated here, if that was agreed on.
    inflated: Option<Box<Inflated>>,
    /// A compressed message is not delivered to its end.
    is_inflating: bool,
    /// The message under way was begun as a whole one.
    expects_whole: bool,
    /// Little came with the last read: the next goes into the stack.
    is_quiet: bool,
    /// When the buffer is used up, the next receive tells of the end: of `deferred`, or of the close frame that the caretaker saw.
    is_ending: bool,
    /// The last read took all that it had room for: more may be there.
    was_filled: bool,
    /// What is held is the beginning of a message of which the rest has not come: nothing can be done with it.
    is_cut: bool,
    /// Pings and pongs for a program that wants to hear of them.
    listening: Option<Box<Listening>>,
    /// What the socket said while a piece was already in the caller's memory.
    deferred: Option<Error>,
}

impl ReceiveHalf {
    /// The receiving side right after the upgrade; `early` came behind the head and belongs to the WebSocket.
    pub(super) fn new(role: Role, options: &Options, early: &[u8]) -> Result<ReceiveHalf> {
        let mut half = ReceiveHalf::blank(role, options);
        if !early.is_empty() {
            half.buffer = Some(buffer_of(early)?);
        }
        half.listen(options.ping_events);
        Ok(half)
    }

    fn blank(role: Role, options: &Options) -> ReceiveHalf {
        ReceiveHalf {
            decoder: Decoder::new(role.other(), limits(options)),
            buffer: None,
            buffer_size: options.receive_buffer_size,
            behind: [0; NEXT_HEADER],
            behind_length: 0,
            saw_life: false,
            bytes: 0,
            assembly: None,
            inflated: None,
            is_inflating: false,
            expects_whole: false,
            is_quiet: true,
            is_ending: false,
            was_filled: false,
            is_cut: false,
            listening: None,
            deferred: None,
        }
    }

    pub(super) fn set_limits(&mut self, options: &Options) {
        self.decoder.set_limits(limits(options));
        self.set_inflated_limit(limits(options).max_message);
        self.listen(options.ping_events);
    }

    /// What was received so far.
    pub(super) fn counted(&self) -> Counted {
        let (frames, messages) = self.decoder.counted();
        Counted { bytes: self.bytes, frames, messages }
    }

    /// Whether something was received since this was last asked.
    pub fn take_life(&mut self) -> bool {
        std::mem::take(&mut self.saw_life)
    }

    /// Whether a message has begun and not ended.
    pub(super) fn is_inside_message(&self) -> bool {
        self.decoder.is_inside_message() || self.is_inflating
    }

    /// Whether the message that is open was begun as a whole one.
    pub(super) fn expects_whole(&self) -> bool {
        self.expects_whole
    }

    pub(super) fn set_expects_whole(&mut self, expects_whole: bool) {
        self.expects_whole = expects_whole;
    }

    /// What the headers of the open message add up to.
    pub(super) fn message_size(&self) -> u64 {
        self.decoder.message_size()
    }

    /// What is left of the frame under way.
    pub(super) fn direct_room(&self) -> u64 {
        self.decoder.direct_room()
    }

    /// A whole small message that was received before: the usual case of a stream of them, in a few instructions.
    #[inline]
    pub(super) fn take_buffered(&mut self, room: &mut [u8]) -> Option<Piece> {
        let buffer = self.buffer.as_mut()?;
        if self.assembly.is_some() || self.is_inflating {
            return None;
        }
        // What is copied here is copied under a lock.
        let most = room.len().min(MOST_BUFFERED);
        let (used, piece) = self.decoder.whole_message(buffer.filled(), &mut room[..most])?;
        buffer.consume(used);
        if buffer.is_empty() {
            self.give_buffer_back();
        }
        Some(piece)
    }

    /// Delivers what is buffered, else receives once. `room` must not be empty.
    ///
    /// A peer that sends nothing but pings, or a byte at a time, is not received from for ever: `Nothing` lets the caller look at the time.
    #[inline]
    pub fn step(&mut self, connection: &Connection, room: &mut [u8], patience: Patience) -> Result<Step> {
        if self.inflated.is_some() {
            return self.step_inflated(connection, room, patience);
        }
        self.step_plain(connection, room, patience)
    }

    #[inline(always)]
    fn step_plain(&mut self, connection: &Connection, room: &mut [u8], patience: Patience) -> Result<Step> {
        if self.has_input()
            && let Some(received) = self.drain(connection, room)?
        {
            return Ok(Step::Received(received));
        }
        if self.is_ending {
            return self.end();
        }
        let read = match (self.decoder.direct_room(), self.is_quiet) {
            (0, true) => self.read_small(connection, room, patience),
            (0, false) => self.read_much(connection, room, patience),
            (rest, _) => self.read_direct(connection, rest, room, patience),
        };
        match read {
            Ok(Some(received)) => Ok(Step::Received(received)),
            Ok(None) => Ok(Step::Nothing),
            Err(error) => error.into_step(connection),
        }
    }

    #[inline]
    fn has_input(&self) -> bool {
        self.buffer.is_some() || self.behind_length > 0
    }

    /// What was received before: something for the program, or nothing after it was used up.
    fn drain(&mut self, connection: &Connection, room: &mut [u8]) -> Result<Option<Received>> {
        let found = match self.buffer.take() {
            Some(buffer) => self.drain_buffer(connection, buffer, room)?,
            None => self.drain_behind(connection, room)?,
        };
        match found {
            Some(Received::Piece(piece)) if !self.has_input() => self.top_up(connection, room, piece).map(Some),
            other => Ok(other),
        }
    }

    fn drain_buffer(&mut self, connection: &Connection, mut buffer: Buffer, room: &mut [u8]) -> Result<Option<Received>> {
        self.is_cut = false;
        let digested = self.digest(connection, buffer.filled(), room);
        if let Ok((used, _)) = &digested {
            buffer.consume(*used);
        }
        if buffer.is_empty() || digested.is_err() {
            buffer.give_back(Use::Receive);
        } else {
            self.buffer = Some(buffer);
        }
        digested.map(|(_, found)| found)
    }

    fn drain_behind(&mut self, connection: &Connection, room: &mut [u8]) -> Result<Option<Received>> {
        let (behind, length) = (self.behind, usize::from(std::mem::take(&mut self.behind_length)));
        let (used, found) = self.digest(connection, &behind[..length], room)?;
        self.put_behind(&behind[used..length]);
        Ok(found)
    }

    /// Keeps the few bytes that came behind a large frame.
    fn put_behind(&mut self, bytes: &[u8]) {
        self.behind[..bytes.len()].copy_from_slice(bytes);
        self.behind_length = bytes.len() as u8;
    }

    /// Uses bytes until there is something for the program; control frames are seen to on the way.
    #[inline]
    fn digest(&mut self, connection: &Connection, input: &[u8], room: &mut [u8]) -> Result<(usize, Option<Received>)> {
        let mut used = 0;
        loop {
            let (taken, item) = match self.decoder.feed(&input[used..], room) {
                Ok(found) => found,
                Err(violation) => return Err(connection.fail_with(violation)),
            };
            used += taken;
            match item {
                Item::Piece(piece) => return Ok((used, Some(Received::Piece(piece)))),
                Item::NeedBytes => return Ok((used, None)),
                control => {
                    if self.see_to(connection, control)? {
                        return Ok((used, Some(Received::Close)));
                    }
                }
            }
        }
    }

    /// A control frame: true for the peer's close frame.
    fn see_to(&mut self, connection: &Connection, item: Item) -> Result<bool> {
        if self.listening.is_some() {
            self.hear(item);
        }
        match item {
            Item::Ping => connection.answer_ping(self.decoder.control_payload()),
            Item::Pong => connection.take_pong(self.decoder.control_payload()),
            Item::Close => match CloseFrame::decode(self.decoder.control_payload()) {
                Ok(frame) => {
                    connection.receive_close(frame);
                    return Ok(true);
                }
                Err(violation) => return Err(connection.fail_with(violation)),
            },
            Item::NeedBytes | Item::Piece(_) => {}
        }
        Ok(false)
    }

    /// A piece came from the buffer, which is empty now, and its frame goes on: takes what the socket already has, if there is room.
    ///
    /// Without this, a stream of large frames would be delivered in crumbs: the few bytes that came with the header, then the rest.
    #[inline]
    fn top_up(&mut self, connection: &Connection, room: &mut [u8], piece: Piece) -> Result<Received> {
        let rest = self.decoder.direct_room();
        if rest == 0 || piece.length == room.len() {
            return Ok(Received::Piece(piece));
        }
        match self.read_direct(connection, rest, &mut room[piece.length..], Patience::None) {
            Ok(Some(Received::Piece(more))) => return Ok(Received::Piece(Piece { length: piece.length + more.length, ..more })),
            Ok(_) => {}
            Err(ReadError::Violation(violation)) => return Err(connection.fail_with(violation)),
            Err(ReadError::Socket(error)) if is_nothing(&error) => {}
            // The piece is the program's already; a reset is told only once by the system, so it is kept.
            Err(ReadError::Socket(error)) => self.defer(lost(&error)),
            Err(ReadError::Other(error)) => self.defer(error),
        }
        Ok(Received::Piece(piece))
    }

    /// Between frames, on a connection where little comes at a time: into the stack, so that no buffer is taken at all.
    #[inline(always)]
    fn read_small(&mut self, connection: &Connection, room: &mut [u8], patience: Patience) -> Result<Option<Received>, ReadError> {
        let mut small = [0; SMALL];
        let count = self.count(connection, connection.stream.receive(&mut small, &mut [], patience), SMALL)?;
        self.is_quiet = count < SMALL;
        let (used, found) = match self.decoder.whole_message(&small[..count], room) {
            Some((used, piece)) if used == count => return Ok(Some(Received::Piece(piece))),
            Some((used, piece)) => (used, Some(Received::Piece(piece))),
            None => self.digest(connection, &small[..count], room).map_err(ReadError::Other)?,
        };
        if used < count {
            self.keep(connection, &small[used..count])?;
            return Ok(found);
        }
        self.end_read(connection, room, found)
    }

    /// The connection is of no use without bytes that were received and cannot be kept.
    #[cold]
    fn keep(&mut self, connection: &Connection, bytes: &[u8]) -> Result<(), ReadError> {
        let mut buffer = Buffer::take(Use::Receive, self.buffer_size as usize).map_err(|error| {
            connection.fail(&error);
            ReadError::Other(error)
        })?;
        buffer.room()[..bytes.len()].copy_from_slice(bytes);
        buffer.add(bytes.len());
        self.buffer = Some(buffer);
        Ok(())
    }

    /// Between frames, on a connection where much comes: as much as the buffer takes.
    fn read_much(&mut self, connection: &Connection, room: &mut [u8], patience: Patience) -> Result<Option<Received>, ReadError> {
        let mut buffer = Buffer::take(Use::Receive, self.buffer_size as usize).map_err(ReadError::Other)?;
        let capacity = buffer.room().len();
        match self.count(connection, connection.stream.receive(buffer.room(), &mut [], patience), capacity) {
            Ok(count) => {
                self.is_quiet = count < SMALL;
                buffer.add(count);
                let found = self.drain_buffer(connection, buffer, room).map_err(ReadError::Other)?;
                self.end_read(connection, room, found)
            }
            Err(error) => {
                buffer.give_back(Use::Receive);
                Err(error)
            }
        }
    }

    #[inline]
    fn end_read(&mut self, connection: &Connection, room: &mut [u8], found: Option<Received>) -> Result<Option<Received>, ReadError> {
        match found {
            Some(Received::Piece(piece)) if !self.has_input() => self.top_up(connection, room, piece).map(Some).map_err(ReadError::Other),
            other => Ok(other),
        }
    }

    /// Inside a frame of which `rest` is missing: into the caller's memory as far as the frame goes, and into a buffer behind it.
    #[inline]
    fn read_direct(
        &mut self,
        connection: &Connection,
        rest: u64,
        room: &mut [u8],
        patience: Patience,
    ) -> Result<Option<Received>, ReadError> {
        let direct = rest.min(room.len() as u64) as usize;
        let room = &mut room[..direct];
        let count = if rest > direct as u64 {
            self.count(connection, connection.stream.receive(room, &mut [], patience), direct)?
        } else if rest > LARGE_REST {
            let mut behind = [0; NEXT_HEADER];
            let count = self.count(connection, connection.stream.receive(room, &mut behind, patience), direct + NEXT_HEADER)?;
            self.put_behind(&behind[..count.saturating_sub(direct)]);
            count
        } else {
            self.read_with_buffer(connection, room, patience)?
        };
        let into_room = &mut room[..count.min(direct)];
        self.decoder.accept_direct(into_room).map(|piece| Some(Received::Piece(piece))).map_err(ReadError::Violation)
    }

    /// The rest of a small frame, and a whole buffer behind it.
    fn read_with_buffer(&mut self, connection: &Connection, room: &mut [u8], patience: Patience) -> Result<usize, ReadError> {
        let mut buffer = Buffer::take(Use::Receive, self.buffer_size as usize).map_err(ReadError::Other)?;
        let capacity = room.len() + buffer.room().len();
        let count = self.count(connection, connection.stream.receive(room, buffer.room(), patience), capacity);
        match &count {
            Ok(count) if *count > room.len() => {
                buffer.add(count - room.len());
                self.buffer = Some(buffer);
            }
            _ => buffer.give_back(Use::Receive),
        }
        count
    }

    /// What a system call came to.
    #[inline(always)]
    fn count(&mut self, connection: &Connection, received: io::Result<usize>, capacity: usize) -> Result<usize, ReadError> {
        if connection.stream.wants_write() {
            flush_alert(connection);
        }
        match received {
            Ok(0) => Err(ReadError::Other(ended())),
            Ok(count) => {
                self.saw_life = true;
                self.was_filled = connection.stream.may_have_more(count == capacity);
                self.bytes += count as u64;
                Ok(count)
            }
            Err(error) => {
                self.was_filled &= error.kind() == io::ErrorKind::Interrupted;
                Err(ReadError::Socket(error))
            }
        }
    }

    /// Something went wrong while there was still something to deliver: the next receive tells of it.
    fn defer(&mut self, error: Error) {
        self.is_ending = true;
        self.deferred = Some(error);
    }

    /// What was put off: the close frame that the caretaker saw, or an error.
    #[cold]
    fn end(&mut self) -> Result<Step> {
        self.is_ending = false;
        match self.deferred.take() {
            Some(error) => Err(error),
            None => Ok(Step::Received(Received::Close)),
        }
    }

    /// Receives and throws away; 0 = the end. Only when no more messages are to be delivered.
    pub fn discard(&mut self, connection: &Connection, patience: Patience) -> io::Result<usize> {
        self.give_buffer_back();
        self.behind_length = 0;
        let mut waste = [0; 4096];
        connection.stream.receive(&mut waste, &mut [], patience)
    }

    fn give_buffer_back(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            buffer.give_back(Use::Receive);
        }
    }
}

enum ReadError {
    Violation(Violation),
    Socket(io::Error),
    Other(Error),
}

impl ReadError {
    #[cold]
    fn into_step(self, connection: &Connection) -> Result<Step> {
        match self {
            ReadError::Violation(violation) => Err(connection.fail_with(violation)),
            ReadError::Socket(error) => match error.kind() {
                io::ErrorKind::WouldBlock => Ok(Step::Blocked { interrupted: false }),
                io::ErrorKind::Interrupted => Ok(Step::Blocked { interrupted: true }),
                _ => Err(lost(&error)),
            },
            ReadError::Other(error) => Err(error),
        }
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Pieces are bounded only if the program asks for it; fragments always are.
fn limits(options: &Options) -> Limits {
    Limits { max_message: options.max_message.unwrap_or(u64::MAX), max_fragments: options.max_fragments }
}

/// An alert of the encryption: it leaves by the writer turn, like every byte.
#[cold]
#[inline(never)]
fn flush_alert(connection: &Connection) {
    connection.flush();
}

fn lost(error: &io::Error) -> Error {
    Error::from_io(Status::Connection, "the connection was lost", error).in_phase(Phase::WebSocket).with_close_status(1006)
}

fn ended() -> Error {
    Error::new(Status::Connection, "the peer ended the connection without a close frame").in_phase(Phase::WebSocket).with_close_status(1006)
}
