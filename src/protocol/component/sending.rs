//! The sending side of a component: sends that wait, and the bytes that are offered to the network.
//!
//! In scope: the order of frames, compression, masking, and which send is done when so many bytes were written. What a server sends goes out of the program's
//! memory, as with the sockets; small payloads, headers, control frames and all that a client masks are **staged** in the component, several
//! frames together. Out of scope: whether something may be sent (see [`Lifecycle`](crate::protocol::Lifecycle)).

use std::collections::VecDeque;

use super::memory::{Lent, Place};
use super::{Outgoing, Surroundings};
use crate::bytes::mask;
use crate::error::{Error, Result, Status};
use crate::protocol::deflate::{Agreed, Class, Deflation};
use crate::protocol::{CloseFrame, Controls, Encoder, HeaderBytes, MaskingKey, MessageKind, Opcode, Role, SendError};

/// Payload of a server up to here is copied behind its header, so that many small messages leave in one write.
const SMALL: usize = 1 << 10;

/// What is kept of the staging memory while nothing waits.
const KEPT: usize = 4 << 10;

#[derive(Debug)]
pub(super) struct Sending {
    role: Role,
    encoder: Encoder,
    /// How messages are compressed, if that was agreed on.
    compression: Option<Box<(Agreed, Deflation)>>,
    controls: Controls,
    /// Goes after all that waits.
    close: Option<CloseFrame>,
    queue: VecDeque<Message>,
    /// The message whose header is staged and whose payload is not, or not all of it.
    current: Option<Message>,
    staged: Vec<u8>,
    /// How much of it was written.
    written: usize,
    /// What is done when so many of the staged bytes were written.
    ends: VecDeque<(usize, End)>,
    /// Sends that have ended, to be told.
    done: VecDeque<(usize, Result<()>)>,
    /// How many bytes the action under way offers.
    offered: usize,
    frames: u64,
    messages: u64,
    bytes: u64,
}

#[derive(Debug)]
enum End {
    Message(usize),
    Ping,
}

/// One frame that the program has queued.
#[derive(Debug)]
struct Message {
    header: HeaderBytes,
    key: MaskingKey,
    first: Lent,
    /// Most have none.
    more: Vec<Lent>,
    /// What goes instead of the program's bytes, which are compressed here.
    deflated: Option<Vec<u8>>,
    context: usize,
    /// Bytes of payload that are staged or were written, of all parts.
    used: usize,
    left: usize,
    ends_message: bool,
}

impl Message {
    /// What is left, as far as it lies in one place, and where the next one is.
    fn rest(&self) -> [Option<Lent>; 2] {
        let mut skip = self.used;
        let mut found = [None; 2];
        for part in std::iter::once(&self.first).chain(&self.more) {
            let skipped = skip.min(part.length);
            skip -= skipped;
            if part.length > skipped {
                let slot = if found[0].is_none() { 0 } else { 1 };
                found[slot] = Some(part.part(skipped, part.length - skipped));
                if slot == 1 {
                    break;
                }
            }
        }
        found
    }

    fn advance(&mut self, count: usize) {
        self.used += count;
        self.left -= count;
    }
}

impl Sending {
    pub fn new(role: Role) -> Sending {
        Sending {
            role,
            encoder: Encoder::default(),
            compression: None,
            controls: Controls::default(),
            close: None,
            queue: VecDeque::new(),
            current: None,
            staged: Vec::new(),
            written: 0,
            ends: VecDeque::new(),
            done: VecDeque::new(),
            offered: 0,
            frames: 0,
            messages: 0,
            bytes: 0,
        }
    }

    /// Messages may be compressed from here on.
    pub fn allow_compression(&mut self, agreed: Agreed) {
        self.compression = Some(Box::new((agreed, agreed.deflation())));
    }

    /// Queues one frame. Everything about it is decided here, so that a refusal leaves no trace.
    pub fn put(&mut self, message: &Outgoing<'_>, context: usize, around: &mut Surroundings<'_>) -> Result<()> {
        if message.must_be_whole && self.encoder.is_inside_message() {
            return Err(SendError::NotWhole.into());
        }
        let mut encoder = self.encoder;
        let length: usize = message.parts.iter().map(|part| part.length).sum();
        let key = (self.role == Role::Client).then(&mut *around.keys);
        let mut header = encoder.data(message.kind, message.ends_message, length as u64, key)?;
        if message.kind == MessageKind::Text && around.options.check_sent_text {
            for part in message.parts {
                encoder.check_text(around.memory.bytes(*part), false)?;
            }
            encoder.check_text(&[], message.ends_message)?;
        }
        let (first, rest) = message.parts.split_first().map_or((Lent { address: 0, length: 0 }, &[][..]), |(first, rest)| (*first, rest));
        let mut more = Vec::new();
        more.try_reserve_exact(rest.len()).map_err(|_| no_memory(rest.len()))?;
        more.extend_from_slice(rest);
        self.queue.try_reserve(1).map_err(|_| no_memory(1))?;
        // Last of all, because the compressor does not forget what it has seen.
        let deflated = self.deflate(message, length, around)?;
        if let Some(deflated) = &deflated {
            header = encoder.compress(header, deflated.len() as u64);
        }
        let left = deflated.as_ref().map_or(length, Vec::len);
        let (key, ends_message) = (key.unwrap_or_default(), message.ends_message);
        self.queue.push_back(Message { header, key, first, more, deflated, context, used: 0, left, ends_message });
        self.encoder = encoder;
        Ok(())
    }

    /// The payload of a frame that is going to be sent, compressed, if it is to be.
    fn deflate(&mut self, message: &Outgoing<'_>, length: usize, around: &Surroundings<'_>) -> Result<Option<Vec<u8>>> {
        let Some((agreed, deflation)) = self.compression.as_deref_mut() else { return Ok(None) };
        let is_wanted = match self.encoder.is_inside_message() {
            true => self.encoder.is_inside_compressed_message(),
            false => message.may_compress && agreed.is_worth_it(length, message.ends_message),
        };
        if !is_wanted {
            return Ok(None);
        }
        let parts: Vec<&[u8]> = message.parts.iter().map(|part| around.memory.bytes(*part)).collect();
        let mut out = Vec::new();
        let deflated = deflation.deflate(&parts, message.ends_message, &mut out, Class::make);
        if deflated.is_err() {
            deflation.roll_back();
        }
        deflated?;
        deflation.commit();
        Ok(Some(out))
    }

    /// Bytes of the handshake. They go before every frame, because there are none yet.
    pub fn put_head(&mut self, head: &[u8]) -> Result<()> {
        self.staged.try_reserve(head.len()).map_err(|_| no_memory(head.len()))?;
        self.staged.extend_from_slice(head);
        Ok(())
    }

    pub fn put_pong(&mut self, payload: &[u8]) {
        self.controls.put_pong(payload);
    }

    pub fn put_ping(&mut self, payload: &[u8]) {
        self.controls.put_ping(payload);
    }

    pub fn put_close(&mut self, frame: CloseFrame) {
        self.close = Some(frame);
    }

    /// Whether everything has been written.
    pub fn is_empty(&self) -> bool {
        self.written == self.staged.len()
            && self.current.is_none()
            && self.queue.is_empty()
            && self.controls.is_empty()
            && self.close.is_none()
    }

    /// Frames, messages and bytes that were made or written so far.
    pub fn counted(&self) -> (u64, u64, u64) {
        (self.frames, self.messages, self.bytes)
    }

    /// What is to be written next; nothing if there is nothing. Stays where it is until [`Sending::wrote`].
    pub fn offer(&mut self, around: &mut Surroundings<'_>) -> Result<Option<[Place; 2]>> {
        if self.written == self.staged.len() {
            self.stage(around)?;
        }
        let staged = self.staged.len() - self.written;
        let direct = match &self.current {
            Some(message) if self.role == Role::Server && message.deflated.is_none() => {
                message.rest().map(|lent| lent.map_or(Place::Nowhere, Place::Lent))
            }
            _ => [Place::Nowhere; 2],
        };
        let parts = if staged > 0 { [Place::Staged { start: self.written, length: staged }, direct[0]] } else { direct };
        self.offered = parts[0].length() + parts[1].length();
        Ok((self.offered > 0).then_some(parts))
    }

    /// How many bytes the action under way offers.
    pub fn offered(&self) -> usize {
        self.offered
    }

    /// So many of the offered bytes are on their way; true if a ping was among them.
    pub fn wrote(&mut self, count: usize) -> bool {
        self.bytes += count as u64;
        let staged = count.min(self.staged.len() - self.written);
        self.written += staged;
        let mut has_pinged = false;
        while self.ends.front().is_some_and(|(end, _)| *end <= self.written) {
            match self.ends.pop_front() {
                Some((_, End::Message(context))) => self.done.push_back((context, Ok(()))),
                _ => has_pinged = true,
            }
        }
        let direct = count - staged;
        if let Some(message) = &mut self.current
            && direct > 0
        {
            message.advance(direct);
            if message.left == 0 {
                self.done.push_back((message.context, Ok(())));
                self.current = None;
            }
        }
        if self.written == self.staged.len() && self.staged.capacity() > KEPT && self.is_empty() {
            (self.staged, self.written) = (Vec::new(), 0);
        }
        has_pinged
    }

    /// A send that has ended.
    pub fn take_done(&mut self) -> Option<(usize, Result<()>)> {
        self.done.pop_front()
    }

    /// Whether there are sends that have ended and were not told.
    pub fn has_done(&self) -> bool {
        !self.done.is_empty()
    }

    /// Sends of which nothing has left end like this. A frame that has begun goes on: half a frame would hide the close frame behind it.
    pub fn give_up_waiting(&mut self, reason: &Error) {
        self.done.extend(self.queue.drain(..).map(|message| (message.context, Err(reason.clone()))));
    }

    /// Nothing more will be written.
    pub fn give_up_all(&mut self, reason: &Error) {
        let staged = self.ends.drain(..).filter_map(|(_, end)| if let End::Message(context) = end { Some(context) } else { None });
        let contexts = staged.chain(self.current.take().map(|message| message.context));
        self.done.extend(contexts.map(|context| (context, Err(reason.clone()))));
        self.give_up_waiting(reason);
        // The memory stays: an action under way may name it.
        self.written = self.staged.len();
        self.controls = Controls::default();
        self.close = None;
    }

    /// Puts what goes next into the staging memory, which is used up.
    fn stage(&mut self, around: &mut Surroundings<'_>) -> Result<()> {
        self.staged.clear();
        self.written = 0;
        let most = around.options.send_buffer_size as usize;
        while self.staged.len() < most {
            let has_more = if self.current.is_some() { self.stage_payload(around, most)? } else { self.stage_header(around)? };
            if !has_more {
                break;
            }
        }
        Ok(())
    }

    /// The next frame's header, or a control frame: pongs and pings between any two frames, the close frame after all of them.
    fn stage_header(&mut self, around: &mut Surroundings<'_>) -> Result<bool> {
        if self.queue.is_empty()
            && let Some(close) = self.close.take()
        {
            self.controls.put_close(close);
        }
        let is_client = self.role == Role::Client;
        if let Some(frame) = self.controls.take(|| is_client.then(&mut *around.keys)) {
            self.put_head(frame.as_slice())?;
            self.frames += 1;
            if frame.opcode() == Opcode::Ping {
                self.ends.push_back((self.staged.len(), End::Ping));
            }
            return Ok(true);
        }
        let Some(message) = self.queue.pop_front() else { return Ok(false) };
        self.put_head(message.header.as_slice())?;
        self.frames += 1;
        self.messages += u64::from(message.ends_message);
        if message.left == 0 {
            // Now, because the staging memory may be full, and then there would be nothing to write that could end it.
            self.ends.push_back((self.staged.len(), End::Message(message.context)));
        } else {
            self.current = Some(message);
        }
        Ok(true)
    }

    /// Payload of the frame under way: a client's masked, a server's if it is small. False if the rest goes out of the program's memory.
    fn stage_payload(&mut self, around: &mut Surroundings<'_>, most: usize) -> Result<bool> {
        let Some(message) = &mut self.current else { return Ok(true) };
        if self.role == Role::Server && message.deflated.is_none() && message.left > SMALL {
            return Ok(false);
        }
        let room = message.left.min(most.max(SMALL));
        self.staged.try_reserve(room).map_err(|_| no_memory(room))?;
        let end = self.staged.len() + room;
        while self.staged.len() < end {
            let start = self.staged.len();
            let source = match (&message.deflated, message.rest()) {
                (Some(deflated), _) => deflated.get(message.used..message.used + (end - start)).unwrap_or_default(),
                (None, [Some(rest), _]) => around.memory.bytes(rest.part(0, rest.length.min(end - start))),
                (None, _) => break,
            };
            self.staged.extend_from_slice(source);
            mask::apply(&mut self.staged[start..], message.key, message.used);
            let count = source.len();
            message.advance(count);
        }
        if message.left == 0 {
            self.ends.push_back((self.staged.len(), End::Message(message.context)));
            self.current = None;
        }
        Ok(true)
    }

    /// The bytes at a place of this side.
    pub fn staged(&self, start: usize, length: usize) -> &[u8] {
        self.staged.get(start..start + length).unwrap_or_default()
    }
}

#[cold]
fn no_memory(count: usize) -> Error {
    Error::new(Status::NotEnoughMemory, format!("there is no memory to send {count} more"))
}
