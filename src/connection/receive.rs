//! The receiving half: from the socket to the caller's memory, one step at a time. Never waits for longer than the socket's own slice.
//!
//! What is buffered is drained first; then one system call receives the rest of the frame straight into the caller's memory, with
//! the next header behind it. Out of scope: waiting (see `driver`), and frames (see [`Decoder`]).

use std::io;

use super::{Connection, Counted};
use super::buffers::{Buffer, Use, buffer_of};
use crate::error::{Error, Phase, Result, Status};
use crate::options::Options;
use crate::protocol::{CloseFrame, Decoder, Item, Limits, Piece, Role, Violation};
use crate::transport::Patience;

/// From this much on a frame's rest is received with only the next header behind it, so that the next payload can go straight to the caller
/// too instead of being copied.
const LARGE_REST: u64 = 4096;

/// The longest header a server sends, and a little more; a client's has 4 bytes of key besides.
const NEXT_HEADER: usize = 16;

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
    buffer_size: usize,
    /// Something was received since somebody last looked at the clock.
    saw_life: bool,
    bytes: u64,
    /// What the socket said while a piece was already in the caller's memory.
    deferred: Option<Error>,
}

impl ReceiveHalf {
    /// The receiving side right after the upgrade; `early` came behind the head and belongs to the WebSocket.
    pub(super) fn new(role: Role, options: &Options, early: &[u8]) -> Result<ReceiveHalf> {
        let sender = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        Ok(ReceiveHalf {
            decoder: Decoder::new(sender, limits(options)),
            buffer: if early.is_empty() { None } else { Some(buffer_of(early)?) },
            buffer_size: options.receive_buffer_size as usize,
            saw_life: false,
            bytes: 0,
            deferred: None,
        })
    }

    pub(super) fn set_limits(&mut self, options: &Options) {
        self.decoder.set_limits(limits(options));
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

    /// Goes on until there is something for the program, or nothing on the socket. `room` must not be empty.
    #[inline]
    pub fn step(&mut self, connection: &Connection, room: &mut [u8], patience: Patience) -> Result<Step> {
        loop {
            if let Some(received) = self.drain(connection, room)? {
                return Ok(Step::Received(received));
            }
            if let Some(error) = self.deferred.take() {
                return Err(error);
            }
            match self.read(connection, room, patience) {
                Ok(Some(piece)) => return Ok(Step::Received(Received::Piece(piece))),
                Ok(None) => {}
                Err(ReadError::Violation(violation)) => return Err(connection.fail_with(violation)),
                Err(ReadError::Socket(error)) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(Step::Blocked { interrupted: false }),
                    io::ErrorKind::Interrupted => return Ok(Step::Blocked { interrupted: true }),
                    _ => return Err(lost(&error)),
                },
                Err(ReadError::Other(error)) => return Err(error),
            }
        }
    }

    /// What the buffer has: something for the program, or nothing after it was used up.
    #[inline]
    fn drain(&mut self, connection: &Connection, room: &mut [u8]) -> Result<Option<Received>> {
        while let Some(buffer) = &mut self.buffer {
            let (used, item) = match self.decoder.feed(buffer.filled(), room) {
                Ok(found) => found,
                Err(violation) => return Err(connection.fail_with(violation)),
            };
            buffer.consume(used);
            if buffer.is_empty() {
                self.give_buffer_back();
            }
            match item {
                Item::NeedBytes => {}
                Item::Piece(piece) => return self.top_up(connection, room, piece).map(Some),
                Item::Ping => connection.answer_ping(self.decoder.control_payload()),
                Item::Pong => {}
                Item::Close => {
                    let frame = match CloseFrame::decode(self.decoder.control_payload()) {
                        Ok(frame) => frame,
                        Err(violation) => return Err(connection.fail_with(violation)),
                    };
                    connection.receive_close(frame);
                    return Ok(Some(Received::Close));
                }
            }
        }
        Ok(None)
    }

    /// A piece came from the buffer, which is empty now, and its frame goes on: takes what the socket already has, if there is room.
    ///
    /// Without this, a stream of large frames would be delivered in crumbs: the few bytes that came with the header, then the rest.
    #[inline]
    fn top_up(&mut self, connection: &Connection, room: &mut [u8], piece: Piece) -> Result<Received> {
        if self.buffer.is_some() || self.decoder.direct_room() == 0 || piece.length == room.len() {
            return Ok(Received::Piece(piece));
        }
        match self.read(connection, &mut room[piece.length..], Patience::None) {
            Ok(Some(more)) => {
                let length = piece.length + more.length;
                return Ok(Received::Piece(Piece { length, ..more }));
            }
            Ok(None) => {}
            Err(ReadError::Violation(violation)) => return Err(connection.fail_with(violation)),
            Err(ReadError::Socket(error)) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                // The piece is the program's already; a reset is told only once by the system, so it is kept.
                _ => self.deferred = Some(lost(&error)),
            },
            Err(ReadError::Other(error)) => self.deferred = Some(error),
        }
        Ok(Received::Piece(piece))
    }

    /// One system call: into the caller's memory as far as the frame goes, and into a buffer behind it.
    #[inline]
    fn read(&mut self, connection: &Connection, room: &mut [u8], patience: Patience) -> Result<Option<Piece>, ReadError> {
        let rest = self.decoder.direct_room();
        let direct = rest.min(room.len() as u64) as usize;
        let mut buffer = Buffer::take(Use::Receive, self.buffer_size).map_err(ReadError::Other)?;
        let behind = match (rest > direct as u64, rest > LARGE_REST) {
            (true, _) => 0,
            (false, true) => NEXT_HEADER.min(buffer.room().len()),
            (false, false) => buffer.room().len(),
        };
        let received = if direct == 0 {
            connection.stream.receive(buffer.room(), &mut [], patience)
        } else {
            connection.stream.receive(&mut room[..direct], &mut buffer.room()[..behind], patience)
        };
        let received = match received {
            Ok(0) => Err(ReadError::Other(ended())),
            Ok(count) => Ok(count),
            Err(error) => Err(ReadError::Socket(error)),
        };
        let into_room = *received.as_ref().unwrap_or(&0).min(&direct);
        buffer.add(received.as_ref().unwrap_or(&0) - into_room);
        if buffer.is_empty() {
            buffer.give_back(Use::Receive);
        } else {
            self.buffer = Some(buffer);
        }
        self.bytes += received? as u64;
        self.saw_life = true;
        if into_room == 0 {
            return Ok(None);
        }
        self.decoder.accept_direct(&mut room[..into_room]).map(Some).map_err(ReadError::Violation)
    }

    /// Receives and throws away; 0 = the end. Only when no more messages are to be delivered.
    pub fn discard(&mut self, connection: &Connection, patience: Patience) -> io::Result<usize> {
        self.give_buffer_back();
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

/// Pieces are bounded only if the program asks for it; fragments always are.
fn limits(options: &Options) -> Limits {
    Limits { max_message: options.max_message.unwrap_or(u64::MAX), max_fragments: options.max_fragments }
}

fn lost(error: &io::Error) -> Error {
    Error::from_io(Status::Connection, "the connection was lost", error).in_phase(Phase::WebSocket).with_close_status(1006)
}

fn ended() -> Error {
    Error::new(Status::Connection, "the peer ended the connection without a close frame").in_phase(Phase::WebSocket).with_close_status(1006)
}
