//! The sending half: frames onto the wire, by whoever holds the writer turn. Never waits.
//!
//! A server's payload goes to the kernel from the caller's memory; a client's is masked while it is copied, in pieces that stay in the
//! cache. Out of scope: waiting for the turn or for room (see `driver`).

mod at_once;
mod deflated;
mod gathered;
mod queued;

use std::io;

use super::buffers::{Buffer, SEND_CHUNK, Use};
use super::outbox::{Outbox, Work};
use super::queue::Segment;
use super::{Connection, Counted};
use crate::bytes::mask;
use crate::error::{Error, Phase, Result, Status};
use crate::protocol::{Encoder, HeaderBytes, MAX_FRAME_HEADER, MaskingKey, MessageKind, Role, SendError};
use crate::sync::MutexGuard;
use crate::transport::{Patience, Stream};
pub(super) use at_once::AT_ONCE;
pub use at_once::AtOnce;
pub(super) use deflated::DeflateSlot;
pub use deflated::Deflated;
use deflated::Deflating;
pub use gathered::Gathered;
pub use queued::{Accepted, Manner, Prepared};

/// The right to write. Given back by [`Turn::settle`], which first writes what others have left in the outbox.
#[derive(Debug)]
pub struct Turn<'c> {
    connection: &'c Connection,
    encoder: Encoder,
    /// Here from the first frame on that is compressed in this turn.
    deflating: Option<Box<Deflating>>,
    /// A data frame was written with this turn: `encoder` becomes the connection's.
    has_sent: bool,
    is_held: bool,
}

impl Connection {
    /// How much a client masks at a time: what the program asks for, and not less than what is best.
    pub fn chunk_size(&self) -> usize {
        SEND_CHUNK.max(self.options().send_buffer_size as usize)
    }
}

/// Whether a step has done all it could.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Everything is written.
    Done,
    /// The socket takes no more for now.
    Blocked,
    /// The same, and a signal handler ran.
    Interrupted,
}

impl<'c> Turn<'c> {
    /// Takes the turn out of a locked outbox, if it is free.
    pub(super) fn take(connection: &'c Connection, outbox: &mut MutexGuard<'_, Outbox>) -> Option<Turn<'c>> {
        outbox.take_turn().map(|encoder| Turn { connection, encoder, deflating: None, has_sent: false, is_held: true })
    }

    /// The turn that this thread took without a guard, outside of a fragmented message.
    fn taken(connection: &'c Connection) -> Turn<'c> {
        Turn { connection, encoder: Encoder::default(), deflating: None, has_sent: false, is_held: true }
    }

    /// Checks what is to be sent, and makes the header. Nothing is changed until a byte of it has left.
    #[inline]
    pub fn begin(&self, message: &Outgoing<'_>) -> Result<Beginning> {
        let mut encoder = self.encoder;
        if message.must_be_whole && encoder.is_inside_message() {
            return Err(SendError::NotWhole.into());
        }
        let length: usize = message.parts.iter().map(|part| part.len()).sum();
        let key = (self.connection.role() == Role::Client).then(self.connection.sources.masking_key);
        let header = encoder.data(message.kind, message.ends_message, length as u64, key)?;
        if message.kind == MessageKind::Text && self.connection.hot.checks_sent_text() {
            for part in message.parts {
                encoder.check_text(part, false)?;
            }
            encoder.check_text(&[], message.ends_message)?;
        }
        Ok(Beginning { header, key, encoder, length })
    }

    /// Writes as much of the frame as the socket takes.
    #[inline]
    pub fn step(&mut self, frame: &mut Frame<'_>, patience: Patience) -> Result<Progress> {
        while frame.left > 0 {
            match frame.write(&self.connection.stream, patience) {
                Ok(()) => (self.encoder, self.has_sent) = (frame.encoder, true),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(Progress::Blocked),
                    io::ErrorKind::Interrupted => return Ok(Progress::Interrupted),
                    _ => return Err(self.connection.sending_failed(&error)),
                },
            }
        }
        Ok(Progress::Done)
    }

    /// The wait for room in the socket has ended with `reason`. A frame of which nothing has left is forgotten; the rest of any other goes to
    /// the queue, or, if that has no room, the connection fails.
    pub fn give_up(self, frame: Frame<'_>, reason: Error, queue_limit: u64) -> Result<()> {
        if !frame.has_begun() {
            self.settle();
            return Err(reason);
        }
        let (length, ends_message) = (frame.wire_length(), frame.ends_message());
        match frame.into_rest(queue_limit) {
            Some(rest) => {
                let mut outbox = self.connection.outbox();
                outbox.put_tail(rest.into());
                outbox.counted.add(Counted::frame(length, ends_message));
                drop(outbox);
                self.settle();
                Ok(())
            }
            None => {
                self.connection.fail(&reason);
                self.connection.stream.shut_down();
                Err(reason)
            }
        }
    }

    /// The beginning of a whole message of which a part has left with this key.
    #[cold]
    fn begin_whole(&self, kind: MessageKind, length: usize, key: Option<MaskingKey>) -> Result<Beginning> {
        let mut encoder = self.encoder;
        let header = encoder.data(kind, true, length as u64, key)?;
        Ok(Beginning { header, key, encoder, length })
    }

    /// A data frame has left: the turn goes back, unless others have left something meanwhile.
    #[inline(always)]
    pub fn end(mut self, wire_length: usize, ends_message: bool) {
        // By value: a turn whose address goes elsewhere is no longer kept in registers, and most have no state.
        if self.deflating.is_some() {
            self = self.without_state();
        }
        let mut outbox = self.connection.outbox();
        outbox.counted.add(Counted::frame(wire_length, ends_message));
        if outbox.has_work() || outbox.ends_when_empty || self.connection.stream.wants_write() {
            drop(outbox);
            self.settle();
        } else {
            self.put_back(&mut outbox);
        }
    }

    /// Writes what waits in the outbox, without waiting, and gives the turn back in the same moment in which it finds nothing more.
    pub fn settle(mut self) -> Progress {
        self.settle_now()
    }

    fn settle_now(&mut self) -> Progress {
        self.put_state_back();
        let (role, key) = (self.connection.role(), self.connection.sources.masking_key);
        loop {
            let mut outbox = self.connection.outbox();
            if outbox.send_failure().is_some() {
                // A frame may have been cut off: nothing may follow it.
                outbox.abandon_work();
            }
            let work = match outbox.take_work(|| (role == Role::Client).then(key)) {
                Some(work) => work,
                None if std::mem::take(&mut outbox.ends_when_empty) => {
                    drop(outbox);
                    self.connection.stream.end_sending();
                    continue;
                }
                None if self.connection.stream.wants_write() => {
                    drop(outbox);
                    match self.flush_encryption() {
                        None => continue,
                        Some(progress) => return progress,
                    }
                }
                None => {
                    self.put_back(&mut outbox);
                    return Progress::Done;
                }
            };
            if let Work::Control(frame) = &work {
                outbox.counted.add(Counted::frame(frame.as_slice().len(), false));
            }
            drop(outbox);
            let (sent, error) = write_all(&self.connection.stream, work.as_slice());
            if let Some(error) = error.filter(|error| error.kind() != io::ErrorKind::WouldBlock) {
                // The peer reads no more. What it has sent before may still be received, so this is not the receiver's error.
                if let Work::Tail(segment) = work {
                    self.connection.outbox().lose(segment);
                }
                self.abandon_outbox(&error);
                return Progress::Done;
            }
            let is_whole = sent == work.as_slice().len();
            match work {
                Work::Tail(segment) if is_whole => self.tell(segment),
                Work::Control(_) if is_whole => {}
                rest => {
                    let mut outbox = self.connection.outbox();
                    outbox.put_tail(rest.into_rest(sent));
                    self.put_back(&mut outbox);
                    return Progress::Blocked;
                }
            }
        }
    }

    /// Writes what the encryption has to say by itself. `Some`: that did not leave, and the turn is given back.
    fn flush_encryption(&mut self) -> Option<Progress> {
        match self.connection.stream.flush(Patience::None) {
            Ok(()) => None,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut outbox = self.connection.outbox();
                self.put_back(&mut outbox);
                Some(Progress::Blocked)
            }
            Err(error) => {
                self.abandon_outbox(&error);
                Some(Progress::Done)
            }
        }
    }

    /// All of it has left.
    fn tell(&self, segment: Segment) {
        let told = segment.end();
        if !told.is_empty() {
            self.connection.outbox().told().extend(told);
        }
    }

    fn abandon_outbox(&mut self, error: &io::Error) {
        let mut outbox = self.connection.outbox();
        outbox.abandon_work();
        outbox.sending_failed(send_error(error));
        self.put_back(&mut outbox);
    }

    fn put_back(&mut self, outbox: &mut Outbox) {
        outbox.put_turn(self.has_sent.then_some(self.encoder));
        self.is_held = false;
        if outbox.waiting > 0 {
            self.connection.turn_free.notify_all();
        }
    }
}

impl Drop for Turn<'_> {
    /// The turn is never lost, nor what others have left meanwhile.
    fn drop(&mut self) {
        if self.is_held {
            self.settle_now();
        }
    }
}

fn write_all(stream: &Stream, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.send(&bytes[sent..], &[], Patience::None) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (sent, Some(error)),
        }
    }
    (sent, None)
}

/// What a program wants to send as one frame.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'p> {
    /// Text or binary.
    pub kind: MessageKind,
    /// Whether the frame ends its message.
    pub ends_message: bool,
    /// Whether the frame must not join a message that is open (4317).
    pub must_be_whole: bool,
    /// Whether the message it begins is not to be compressed.
    pub uncompressed: bool,
    /// The payload, in pieces that follow each other.
    pub parts: &'p [&'p [u8]],
}

/// A data frame that may be sent: its header, and the state after it.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    header: HeaderBytes,
    key: Option<MaskingKey>,
    encoder: Encoder,
    length: usize,
}

impl Beginning {
    /// Whether the frame ends its message.
    pub fn ends_message(&self) -> bool {
        !self.encoder.is_inside_message()
    }

    /// Bytes of header and payload.
    #[inline]
    pub fn wire_length(&self) -> usize {
        self.header.as_slice().len() + self.length
    }
}

/// A data frame that one write did not take.
#[derive(Debug)]
pub struct Frame<'p> {
    header: HeaderBytes,
    /// How much of the header the kernel has. A client's header is in the chunk.
    header_sent: u8,
    key: Option<MaskingKey>,
    /// What was not taken yet: by the kernel, or, of a client, into the chunk.
    parts: &'p [&'p [u8]],
    /// How much of the first of `parts` was taken.
    offset: usize,
    /// Bytes of payload that were taken.
    taken: usize,
    /// Bytes of header and payload that the kernel does not have.
    left: usize,
    length: usize,
    /// A client's masked bytes, the header in front of the first.
    chunk: Option<Buffer>,
    /// What the sender's state is once a byte of this frame has left.
    encoder: Encoder,
}

impl<'p> Frame<'p> {
    /// A frame of which `sent` bytes, header included, have left already.
    pub fn new(beginning: &Beginning, parts: &'p [&'p [u8]], sent: usize, chunk_size: usize) -> Result<Frame<'p>> {
        let Beginning { header, key, encoder, length } = *beginning;
        let left = header.as_slice().len() + length;
        let mut frame = Frame { header, header_sent: 0, key, parts, offset: 0, taken: 0, left, length, chunk: None, encoder };
        if key.is_some() {
            let mut chunk = Buffer::take(Use::Send, chunk_size + MAX_FRAME_HEADER)?;
            let header = frame.header.as_slice();
            chunk.room()[..header.len()].copy_from_slice(header);
            chunk.add(header.len());
            frame.chunk = Some(chunk);
            frame.fill();
        }
        frame.skip(sent);
        Ok(frame)
    }

    fn has_begun(&self) -> bool {
        self.left < self.wire_length()
    }

    fn wire_length(&self) -> usize {
        self.header.as_slice().len() + self.length
    }

    fn ends_message(&self) -> bool {
        !self.encoder.is_inside_message()
    }

    /// The kernel has `count` more bytes of it.
    #[inline]
    fn skip(&mut self, count: usize) {
        self.left -= count;
        if let Some(chunk) = &mut self.chunk {
            chunk.consume(count);
            if chunk.is_empty() {
                self.fill();
            }
            return;
        }
        let of_header = count.min(self.header.as_slice().len() - usize::from(self.header_sent));
        self.header_sent += of_header as u8;
        self.take(count - of_header);
    }

    /// Hands the kernel as much as it takes at once.
    #[inline]
    fn write(&mut self, stream: &Stream, patience: Patience) -> io::Result<()> {
        let count = match &self.chunk {
            Some(chunk) => stream.send(chunk.filled(), &[], patience)?,
            None => self.write_unmasked(stream, patience)?,
        };
        self.skip(count);
        Ok(())
    }

    /// A server's frame: from the caller's memory, the header before it.
    fn write_unmasked(&self, stream: &Stream, patience: Patience) -> io::Result<usize> {
        let header = &self.header.as_slice()[usize::from(self.header_sent)..];
        match self.parts {
            [] => stream.send(header, &[], patience),
            [part] => stream.send(header, &part[self.offset..], patience),
            [first, rest @ ..] => stream.send_parts(header, &first[self.offset..], rest, patience),
        }
    }

    /// Masks the next pieces of the payload into the chunk.
    #[inline]
    fn fill(&mut self) {
        let (Some(mut chunk), Some(key)) = (self.chunk.take(), self.key) else { return };
        while let Some(part) = self.parts.first() {
            let rest = &part[self.offset..];
            let length = rest.len().min(chunk.room().len());
            mask::copy(&rest[..length], &mut chunk.room()[..length], key, self.taken);
            chunk.add(length);
            self.take(length);
            if chunk.room().is_empty() {
                break;
            }
        }
        self.chunk = Some(chunk);
    }

    /// The next `count` bytes of the payload were taken.
    #[inline]
    fn take(&mut self, count: usize) {
        self.taken += count;
        self.offset += count;
        while let Some(part) = self.parts.first()
            && self.offset >= part.len()
        {
            self.offset -= part.len();
            self.parts = &self.parts[1..];
        }
    }

    /// What has not left yet; `None` if it is more than `limit` or there is no memory for it.
    fn into_rest(mut self, limit: u64) -> Option<Vec<u8>> {
        let mut rest = Vec::new();
        if self.left as u64 > limit || rest.try_reserve_exact(self.left).is_err() {
            return None;
        }
        match self.chunk.take() {
            Some(chunk) => {
                rest.extend_from_slice(chunk.filled());
                chunk.give_back(Use::Send);
            }
            None => rest.extend_from_slice(&self.header.as_slice()[usize::from(self.header_sent)..]),
        }
        let start = rest.len();
        for (index, part) in self.parts.iter().enumerate() {
            rest.extend_from_slice(&part[if index == 0 { self.offset } else { 0 }..]);
        }
        mask::apply(&mut rest[start..], self.key.unwrap_or_default(), self.taken);
        Some(rest)
    }
}

impl Drop for Frame<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(chunk) = self.chunk.take() {
            chunk.give_back(Use::Send);
        }
    }
}

/// What a failed write means: the peer is gone.
pub fn send_error(error: &io::Error) -> Error {
    Error::from_io(Status::Connection, "the connection was lost while sending", error).in_phase(Phase::WebSocket)
}
