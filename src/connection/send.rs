//! The sending half: frames onto the wire, by whoever holds the writer turn. Never waits.
//!
//! A server's payload goes to the kernel from the caller's memory; a client's is masked while it is copied, in pieces that stay in the
//! cache. Out of scope: waiting for the turn or for room (see `driver`).

use std::io;
use std::sync::MutexGuard;

use super::Connection;
use super::buffers::{Buffer, SEND_CHUNK, Use};
use super::outbox::Outbox;
use crate::bytes::mask;
use crate::error::{Error, Phase, Result, Status};
use crate::protocol::{Encoder, HeaderBytes, MAX_FRAME_HEADER, MaskingKey, MessageKind, Role};
use crate::transport::{Patience, Stream};

/// The right to write. Given back by [`Turn::settle`], which first writes what others have left in the outbox.
#[derive(Debug)]
pub struct Turn<'c> {
    connection: &'c Connection,
    encoder: Encoder,
    is_held: bool,
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
        outbox.take_turn().map(|encoder| Turn { connection, encoder, is_held: true })
    }

    /// Begins a data frame. Nothing is changed until a byte of it has left.
    pub fn begin<'p>(&self, kind: MessageKind, ends_message: bool, payload: &'p [u8]) -> Result<Frame<'p>> {
        let mut encoder = self.encoder;
        let key = (self.connection.role == Role::Client).then(self.connection.keys);
        let header = encoder.data(kind, ends_message, payload.len() as u64, key)?;
        if kind == MessageKind::Text && self.connection.checks_sent_text() {
            encoder.check_text(payload, ends_message)?;
        }
        let mut frame = Frame { header, payload, key, taken: 0, sent: 0, chunk: None, encoder };
        if let Some(key) = key {
            frame.chunk = Some(frame.first_chunk(key)?);
        }
        Ok(frame)
    }

    /// Writes as much of the frame as the socket takes.
    #[inline]
    pub fn step(&mut self, frame: &mut Frame<'_>, patience: Patience) -> Result<Progress> {
        while !frame.is_done() {
            match frame.write(&self.connection.stream, patience) {
                Ok(_) => self.encoder = frame.encoder,
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
        if frame.sent == 0 {
            self.settle();
            return Err(reason);
        }
        match frame.into_rest(queue_limit) {
            Some(rest) => {
                self.connection.outbox().pending().tail = rest;
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

    /// Writes what waits in the outbox, without waiting, and gives the turn back in the same moment in which it finds nothing more.
    pub fn settle(mut self) -> Progress {
        self.settle_now()
    }

    fn settle_now(&mut self) -> Progress {
        let (role, keys) = (self.connection.role, self.connection.keys);
        loop {
            let mut outbox = self.connection.outbox();
            let work = match outbox.take_work(|| (role == Role::Client).then(keys)) {
                Some(work) => work,
                None => {
                    self.put_back(&mut outbox);
                    let ends = std::mem::take(&mut outbox.ends_when_empty);
                    drop(outbox);
                    if ends {
                        self.connection.stream.end_sending();
                    }
                    return Progress::Done;
                }
            };
            drop(outbox);
            let (sent, error) = write_all(&self.connection.stream, work.as_slice());
            if let Some(error) = error.filter(|error| error.kind() != io::ErrorKind::WouldBlock) {
                // The peer reads no more. What it has sent before may still be received, so this is not the receiver's error.
                self.abandon_outbox(&error);
                return Progress::Done;
            }
            if sent < work.as_slice().len() {
                let mut outbox = self.connection.outbox();
                outbox.pending().tail = work.as_slice()[sent..].to_vec();
                self.put_back(&mut outbox);
                return Progress::Blocked;
            }
        }
    }

    fn abandon_outbox(&mut self, error: &io::Error) {
        let mut outbox = self.connection.outbox();
        outbox.abandon_work();
        outbox.sending_failed(send_error(error));
        self.put_back(&mut outbox);
    }

    fn put_back(&mut self, outbox: &mut Outbox) {
        outbox.put_turn(self.encoder);
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

/// A data frame on its way out.
#[derive(Debug)]
pub struct Frame<'p> {
    header: HeaderBytes,
    payload: &'p [u8],
    key: Option<MaskingKey>,
    /// Bytes of the payload that were masked into the chunk so far.
    taken: usize,
    /// Bytes of header and payload that the kernel has.
    sent: usize,
    /// A client's masked bytes, the header in front of the first.
    chunk: Option<Buffer>,
    /// What the sender's state is once a byte of this frame has left.
    encoder: Encoder,
}

impl Frame<'_> {
    fn is_done(&self) -> bool {
        self.sent == self.header.as_slice().len() + self.payload.len()
    }

    #[inline]
    fn write(&mut self, stream: &Stream, patience: Patience) -> io::Result<()> {
        let count = match &self.chunk {
            Some(chunk) => stream.send(chunk.filled(), &[], patience)?,
            None => {
                let header = self.header.as_slice();
                match header.get(self.sent..) {
                    Some(header) if !header.is_empty() => stream.send(header, self.payload, patience)?,
                    _ => stream.send(&self.payload[self.sent - header.len()..], &[], patience)?,
                }
            }
        };
        self.sent += count;
        if let Some(chunk) = &mut self.chunk {
            chunk.consume(count);
            self.refill();
        }
        Ok(())
    }

    /// A client's header and the beginning of its payload.
    #[inline]
    fn first_chunk(&mut self, key: MaskingKey) -> Result<Buffer> {
        let header = self.header.as_slice();
        let mut chunk = Buffer::take(Use::Send, SEND_CHUNK + MAX_FRAME_HEADER)?;
        self.taken = self.payload.len().min(SEND_CHUNK);
        let room = &mut chunk.room()[..header.len() + self.taken];
        let (head, body) = room.split_at_mut(header.len());
        head.copy_from_slice(header);
        mask::copy(&self.payload[..self.taken], body, key, 0);
        chunk.add(header.len() + self.taken);
        Ok(chunk)
    }

    /// Masks the next piece of the payload into the chunk once it is empty.
    #[inline]
    fn refill(&mut self) {
        let (Some(chunk), Some(key)) = (&mut self.chunk, self.key) else { return };
        if chunk.is_empty() && self.taken < self.payload.len() {
            let length = (self.payload.len() - self.taken).min(chunk.room().len());
            mask::copy(&self.payload[self.taken..self.taken + length], &mut chunk.room()[..length], key, self.taken);
            chunk.add(length);
            self.taken += length;
        }
    }

    /// What has not left yet; `None` if it is more than `limit` or there is no memory for it.
    fn into_rest(mut self, limit: u64) -> Option<Vec<u8>> {
        let header = self.header.as_slice();
        let length = header.len() + self.payload.len() - self.sent;
        let mut rest = Vec::new();
        if length as u64 > limit || rest.try_reserve_exact(length).is_err() {
            return None;
        }
        match (self.chunk.take(), self.key) {
            (Some(chunk), Some(key)) => {
                rest.extend_from_slice(chunk.filled());
                let start = rest.len();
                rest.extend_from_slice(&self.payload[self.taken..]);
                mask::apply(&mut rest[start..], key, self.taken);
                chunk.give_back(Use::Send);
            }
            _ => {
                rest.extend_from_slice(header.get(self.sent..).unwrap_or_default());
                rest.extend_from_slice(&self.payload[self.sent.saturating_sub(header.len())..]);
            }
        }
        Some(rest)
    }
}

impl Drop for Frame<'_> {
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
