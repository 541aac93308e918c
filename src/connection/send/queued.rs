//! Sending for those who never wait: a frame leaves now, or waits in the outbox as a copy.
//!
//! Once a frame is accepted it is going to leave, so the sender's state is changed in the outbox itself, before the first byte has left. Out of
//! scope: who writes what waits when the socket takes more (`driver::event_loop`).

use std::io;

use super::deflated::Images;
use super::{Beginning, Frame, Outgoing, Turn, send_error};
use crate::bytes::mask;
use crate::connection::outbox::Outbox;
use crate::connection::queue::{SEGMENT, Segment};
use crate::connection::{Connection, Counted};
use crate::error::{Error, Result, Status};
use crate::protocol::{Encoder, HeaderBytes, MaskingKey, MessageKind, Role, SendError};
use crate::sync::MutexGuard;
use crate::sync::atomic::Ordering;
use crate::transport::Patience;

/// What became of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accepted {
    /// The kernel has it.
    Written,
    /// It waits in the outbox.
    Queued,
    /// The same, and so much was gathered that it should be written now.
    Full,
}

/// How a frame is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// The most bytes that may wait.
    pub limit: u64,
    /// Whether somebody is going to write what waits soon: a small frame is gathered with others until then.
    pub is_corked: bool,
    /// Told when the last byte has left.
    pub told: Option<usize>,
}

/// A whole message with its frame, made once for many connections.
#[derive(Debug)]
pub struct Prepared {
    kind: MessageKind,
    /// As a server sends it: header and payload.
    frame: Vec<u8>,
    header_length: usize,
    images: Images,
}

impl Prepared {
    /// Makes the frame; 87 if it is a text that is no UTF-8, 8 if there is no memory.
    pub fn new(kind: MessageKind, payload: &[u8]) -> Result<Prepared> {
        let mut encoder = Encoder::default();
        let header = encoder.data(kind, true, payload.len() as u64, None)?;
        if kind == MessageKind::Text {
            encoder.check_text(payload, true)?;
        }
        let mut frame = Vec::new();
        frame
            .try_reserve_exact(header.as_slice().len() + payload.len())
            .map_err(|_| Error::new(Status::NotEnoughMemory, format!("there is no memory for a message of {} bytes", payload.len())))?;
        frame.extend_from_slice(header.as_slice());
        frame.extend_from_slice(payload);
        Ok(Prepared { kind, frame, header_length: header.as_slice().len(), images: Images::default() })
    }

    /// Text or binary.
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// The message.
    pub fn payload(&self) -> &[u8] {
        &self.frame[self.header_length..]
    }
}

impl Connection {
    /// Sends a frame without waiting. 13000 if more than the limit would wait, and nothing is taken; an empty queue takes any one frame.
    #[inline]
    pub fn send_or_queue(&self, message: &Outgoing<'_>, manner: Manner) -> Result<Accepted> {
        match &self.deflating {
            None => self.accept(message, None, manner),
            Some(slot) => self.send_or_queue_deflated(slot, message, manner),
        }
    }

    /// `deflated` is the payload as it is to go, if it was compressed.
    #[inline]
    pub(super) fn accept(&self, message: &Outgoing<'_>, deflated: Option<&[u8]>, manner: Manner) -> Result<Accepted> {
        let length = message.parts.iter().map(|part| part.len()).sum::<usize>();
        let mut outbox = self.outbox();
        outbox.check_may_send()?;
        let mut encoder = outbox.encoder;
        if message.must_be_whole && encoder.is_inside_message() {
            return Err(SendError::NotWhole.into());
        }
        let key = (self.role() == Role::Client).then(self.sources.masking_key);
        let header = encoder.data(message.kind, message.ends_message, length as u64, key)?;
        if message.kind == MessageKind::Text && self.hot.checks_sent_text() {
            for part in message.parts {
                encoder.check_text(part, false)?;
            }
            encoder.check_text(&[], message.ends_message)?;
        }
        let mut beginning = Beginning { header, key, encoder, length };
        let payload;
        let parts = match deflated {
            None => message.parts,
            Some(deflated) => {
                beginning = beginning.compressed(deflated);
                payload = [deflated];
                &payload[..]
            }
        };
        let Beginning { header, encoder, length, .. } = beginning;
        let wire_length = beginning.wire_length();
        outbox.check_room(wire_length, manner.limit)?;
        let is_free = outbox.is_turn_free();
        let is_gathered = manner.is_corked && wire_length <= SEGMENT;
        if !is_free || is_gathered || outbox.has_work() && !manner.is_corked {
            append(&mut outbox, &header, key, parts, length, manner.told)?;
            self.accepted(&mut outbox, encoder, wire_length, message.ends_message);
            return Ok(gathered(&mut outbox, manner));
        }
        let before = if outbox.has_work() { outbox.take_only_segment() } else { None };
        if before.is_none() && outbox.has_work() {
            append(&mut outbox, &header, key, parts, length, manner.told)?;
            self.accepted(&mut outbox, encoder, wire_length, message.ends_message);
            return Ok(Accepted::Queued);
        }
        self.accepted(&mut outbox, encoder, wire_length, message.ends_message);
        let turn = Turn::take(self, &mut outbox).expect("the turn is free: looked at under this lock");
        drop(outbox);
        turn.write_accepted(before, &beginning, parts, manner.told)
    }

    #[inline]
    fn accepted(&self, outbox: &mut Outbox, encoder: Encoder, wire_length: usize, ends_message: bool) {
        outbox.encoder = encoder;
        outbox.counted.add(Counted::frame(wire_length, ends_message));
    }

    /// Sends a prepared message without waiting; otherwise as [`Connection::send_or_queue`], with 4317 in the middle of a fragmented message.
    pub fn send_prepared_or_queue(&self, message: &Prepared, manner: Manner) -> Result<Accepted> {
        let parts = [message.payload()];
        let outgoing = Outgoing { kind: message.kind, ends_message: true, must_be_whole: true, uncompressed: false, parts: &parts };
        let image = match self.deflate_class(message.payload().len()) {
            Some((class, pool)) => Some(message.images.of(class, &pool, message.kind, message.payload())?),
            // It depends on what went before.
            None if self.deflating.is_some() => return self.send_or_queue(&outgoing, manner),
            None => None,
        };
        let frame = image.as_ref().map_or(&message.frame, |image| &image.frame);
        if self.role() == Role::Client || frame.len() > SEGMENT {
            return self.accept(&outgoing, image.as_ref().and_then(|image| image.deflated()), manner);
        }
        let mut outbox = self.outbox();
        outbox.check_may_send()?;
        if outbox.encoder.is_inside_message() {
            return Err(SendError::NotWhole.into());
        }
        outbox.check_room(frame.len(), manner.limit)?;
        outbox.counted.add(Counted::frame(frame.len(), true));
        if !outbox.is_turn_free() || outbox.has_work() || manner.is_corked {
            outbox.queue().make_room(frame.len())?.bytes().extend_from_slice(frame);
            outbox.note_high_water();
            return Ok(gathered(&mut outbox, manner));
        }
        let turn = Turn::take(self, &mut outbox).expect("the turn is free: looked at under this lock");
        drop(outbox);
        match self.stream.send(frame, &[], Patience::None) {
            Ok(sent) if sent == frame.len() => turn.finish_accepted(Vec::new()),
            Ok(sent) => turn.leave(Segment::from(frame[sent..].to_vec())),
            Err(error) if is_nothing(&error) => turn.leave(Segment::from(frame.clone())),
            Err(error) => Err(turn.lose(&error)),
        }
    }

    /// Sends what comes before the first frame: the head that makes the connection a WebSocket.
    pub fn send_head(&self, head: Vec<u8>) -> Result<()> {
        let mut outbox = self.outbox();
        let Some(turn) = Turn::take(self, &mut outbox) else {
            return Err(Error::new(Status::Internal, "a frame was sent before the head"));
        };
        drop(outbox);
        turn.leave(Segment::from(head))?;
        self.flush();
        self.check_sending()
    }

    /// Whether somebody waits to be told that there is room again, and there is: asked once.
    pub fn take_room(&self, limit: u64) -> bool {
        let mut outbox = self.outbox();
        outbox.wants_room && outbox.queued() as u64 <= limit / 2 && std::mem::take(&mut outbox.wants_room)
    }

    /// Whether something of that kind may have to be told after a write.
    pub fn take_told(&self) -> Vec<usize> {
        self.outbox().take_told()
    }

    /// Those whose bytes will never leave.
    pub fn take_lost(&self) -> Vec<usize> {
        self.outbox().take_lost()
    }

    /// Nothing that waits is sent any more.
    pub fn abandon_sends(&self) {
        self.outbox().abandon_work();
    }

    /// Whether a write may have been what somebody waits for.
    pub fn wants_news(&self) -> bool {
        let outbox = self.outbox();
        outbox.wants_room || outbox.has_told()
    }

    /// The most bytes that may wait to be sent.
    #[inline]
    pub fn queue_limit(&self) -> u64 {
        let limit = self.hot.send_queue_limit.load(Ordering::Relaxed);
        if limit == u32::MAX { self.options().send_queue_limit } else { u64::from(limit) }
    }

    /// Bytes that wait to be sent, control frames apart.
    pub fn queued(&self) -> u64 {
        self.outbox().queued() as u64
    }
}

/// Something was gathered: whether it is enough for a write of its own.
#[inline]
fn gathered(outbox: &mut Outbox, manner: Manner) -> Accepted {
    if manner.is_corked && !outbox.queue().is_single() { Accepted::Full } else { Accepted::Queued }
}

/// A copy of the frame waits behind what waits already.
#[inline]
fn append(
    outbox: &mut MutexGuard<'_, Outbox>,
    header: &HeaderBytes,
    key: Option<MaskingKey>,
    parts: &[&[u8]],
    length: usize,
    told: Option<usize>,
) -> Result<()> {
    let header = header.as_slice();
    let segment = outbox.queue().make_room(header.len() + length)?;
    let bytes = segment.bytes();
    bytes.extend_from_slice(header);
    let start = bytes.len();
    for part in parts {
        bytes.extend_from_slice(part);
    }
    if let Some(key) = key {
        mask::apply(&mut bytes[start..], key, 0);
    }
    if let Some(context) = told {
        segment.tell(context);
    }
    outbox.note_high_water();
    Ok(())
}

impl Turn<'_> {
    /// Writes an accepted frame, behind what was gathered before it; what the socket does not take waits.
    fn write_accepted(self, gathered: Option<Segment>, beginning: &Beginning, parts: &[&[u8]], told: Option<usize>) -> Result<Accepted> {
        let mut told: Vec<usize> = told.into_iter().collect();
        let mut sent = 0;
        if let Some(segment) = gathered {
            let (rest, of_frame) = match self.write_gathered(segment, beginning, parts) {
                Ok(written) => written,
                Err(error) => return Err(self.lose(&error)),
            };
            match rest {
                Ok(gathered_told) => told.splice(..0, gathered_told),
                Err(mut segment) => {
                    // Not even the gathered frames have left: this one waits behind them.
                    let header = beginning.header;
                    let room = header.as_slice().len() + beginning.length;
                    segment.append(&header, beginning.key, parts, room)?;
                    told.into_iter().for_each(|context| segment.tell(context));
                    return self.leave(segment);
                }
            };
            sent = of_frame;
        }
        let Ok(mut frame) = Frame::new(beginning, parts, sent, self.connection.chunk_size()) else { return Err(self.no_memory()) };
        while frame.left > 0 {
            match frame.write(&self.connection.stream, Patience::None) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let Some(rest) = frame.into_rest(u64::MAX) else { return Err(self.no_memory()) };
                    let mut segment = Segment::from(rest);
                    told.into_iter().for_each(|context| segment.tell(context));
                    return self.leave(segment);
                }
                Err(error) => return Err(self.lose(&error)),
            }
        }
        drop(frame);
        self.finish_accepted(told)
    }

    /// Writes what was gathered and the frame behind it with one system call: how much of the frame has left, or the segment if not all of it has.
    fn write_gathered(
        &self,
        mut segment: Segment,
        beginning: &Beginning,
        parts: &[&[u8]],
    ) -> io::Result<(Result<Vec<usize>, Segment>, usize)> {
        let header = beginning.header;
        let empty: &[&[u8]] = &[];
        let stream = &self.connection.stream;
        let sent = match beginning.key {
            // What a client sends is masked on its way out, so it cannot go along.
            Some(_) => stream.send(segment.as_slice(), &[], Patience::None),
            None => stream.send_parts(segment.as_slice(), header.as_slice(), if parts.is_empty() { empty } else { parts }, Patience::None),
        };
        let sent = match sent {
            Ok(sent) => sent,
            Err(error) if is_nothing(&error) => 0,
            Err(error) => return Err(error),
        };
        let gathered = segment.length();
        if sent < gathered {
            segment.consume(sent);
            return Ok((Err(segment), 0));
        }
        Ok((Ok(segment.end()), sent - gathered))
    }

    /// Everything was written: the turn goes back, after what others have left meanwhile.
    fn finish_accepted(mut self, told: Vec<usize>) -> Result<Accepted> {
        let mut outbox = self.connection.outbox();
        if !told.is_empty() {
            outbox.told().extend(told);
        }
        if outbox.has_work() || outbox.ends_when_empty || self.connection.stream.wants_write() {
            drop(outbox);
            self.settle();
        } else {
            self.put_back(&mut outbox);
        }
        Ok(Accepted::Written)
    }

    /// The socket takes no more: the rest waits, before everything else.
    pub(super) fn leave(mut self, rest: Segment) -> Result<Accepted> {
        let mut outbox = self.connection.outbox();
        outbox.put_tail(rest);
        self.put_back(&mut outbox);
        Ok(Accepted::Queued)
    }

    /// The peer takes no more bytes.
    pub(super) fn lose(mut self, error: &io::Error) -> Error {
        self.abandon_outbox(error);
        send_error(error)
    }

    /// A frame has begun and its rest cannot be kept: nothing may follow it.
    #[cold]
    fn no_memory(mut self) -> Error {
        let error = Error::new(Status::NotEnoughMemory, "there is no memory for the rest of a frame");
        self.connection.fail(&error);
        let mut outbox = self.connection.outbox();
        outbox.abandon_work();
        self.put_back(&mut outbox);
        drop(outbox);
        self.connection.stream.shut_down();
        error
    }
}

impl Segment {
    /// A frame behind what is here.
    fn append(&mut self, header: &HeaderBytes, key: Option<MaskingKey>, parts: &[&[u8]], length: usize) -> Result<()> {
        let bytes = self.bytes();
        bytes
            .try_reserve(length)
            .map_err(|_| Error::new(Status::NotEnoughMemory, format!("there is no memory to queue {length} bytes")))?;
        bytes.extend_from_slice(header.as_slice());
        let start = bytes.len();
        for part in parts {
            bytes.extend_from_slice(part);
        }
        if let Some(key) = key {
            mask::apply(&mut bytes[start..], key, 0);
        }
        Ok(())
    }
}

pub(super) fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
