//! Sending compressed messages (RFC 7692 §7.2.1).
//!
//! In scope: which frames are compressed, in which order, and taking back what has not left. Out of scope: compression itself
//! (`protocol::deflate`).
//!
//! Messages are compressed in the order in which they leave: by the holder of the writer turn, who takes the state out of its slot; or, where
//! nobody waits, under the lock of the slot, which is held until the frame is accepted.

use std::cell::Cell;
use std::sync::Arc;

use super::{Accepted, Beginning, Manner, Outgoing, Turn};
use crate::connection::Connection;
use crate::connection::deflate_pool::DeflatePool;
use crate::error::Result;
use crate::protocol::deflate::{Agreed, Class, Deflation, NoMemory};
use crate::protocol::{Encoder, MessageKind};
use crate::sync::Mutex;

/// What a thread keeps of the memory for a compressed frame.
const KEPT: usize = 128 << 10;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Where the state of a connection's compressor is while nobody uses it.
#[derive(Debug)]
pub(in crate::connection) struct DeflateSlot(Box<Mutex<Option<Box<Deflating>>>>);

impl DeflateSlot {
    pub(in crate::connection) fn new(agreed: Agreed, pool: Arc<DeflatePool>) -> DeflateSlot {
        let deflating = Deflating { agreed, deflation: agreed.deflation(), pool };
        DeflateSlot(Box::new(Mutex::new(Some(Box::new(deflating)))))
    }

    /// Bytes of memory; without the state while somebody uses it.
    pub(in crate::connection) fn memory(&self) -> usize {
        let fixed = size_of::<Mutex<Option<Box<Deflating>>>>() + size_of::<Deflating>();
        fixed + self.0.lock().as_ref().map_or(0, |deflating| deflating.deflation.memory())
    }
}

/// How a connection compresses what it sends.
#[derive(Debug)]
pub(super) struct Deflating {
    agreed: Agreed,
    deflation: Deflation,
    pool: Arc<DeflatePool>,
}

impl Deflating {
    /// The payload of a frame, compressed; `None` if it is to go as it is. `encoder` is the sender's state before it.
    fn deflate(&mut self, encoder: &Encoder, message: &Outgoing<'_>) -> Result<Option<Deflated>> {
        let length: usize = message.parts.iter().map(|part| part.len()).sum();
        // RFC 7692 §6.1: all of a message is compressed, or nothing.
        let is_continued = encoder.is_inside_message();
        let is_wanted = match is_continued {
            true => encoder.is_inside_compressed_message(),
            false => !message.uncompressed && self.agreed.is_worth_it(length, message.ends_message),
        };
        if !is_wanted {
            return Ok(None);
        }
        let mut out = Deflated(SPARE.try_with(Cell::take).unwrap_or_default());
        out.0.try_reserve((length / 2).min(KEPT)).map_err(|_| NoMemory)?;
        let deflated = self.deflation.deflate(message.parts, message.ends_message, &mut out.0, |class| self.pool.take_deflater(class));
        if let Some(state) = self.deflation.take_idle_state() {
            self.pool.put_deflater(state);
        }
        // What does not get smaller is not worth inflating either, if nothing else depends on it.
        let is_larger = out.0.len() >= length && !is_continued && message.ends_message && self.deflation.class().is_some();
        if deflated.is_err() || is_larger {
            self.deflation.roll_back();
        }
        deflated?;
        Ok((!is_larger).then_some(out))
    }

    /// The last frame has left, or will; or never will, and then no later one refers to it.
    fn settle(&mut self, is_sent: bool) {
        if is_sent {
            self.deflation.commit();
        } else {
            self.deflation.roll_back();
        }
    }
}

/// The compressed payload of a frame. Its memory goes back to the thread.
#[derive(Debug)]
pub struct Deflated(Vec<u8>);

impl Deflated {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Deflated {
    fn drop(&mut self) {
        if self.0.capacity() <= KEPT {
            self.0.clear();
            let bytes = std::mem::take(&mut self.0);
            // A thread that is ending keeps nothing.
            let _ = SPARE.try_with(|spare| spare.set(bytes));
        }
    }
}

impl Turn<'_> {
    /// Compresses the payload of a frame that may be sent, as [`Turn::begin`] has found; `None` if it goes as it is. 8 if there is no memory.
    ///
    /// If the frame is not sent after all, the turn sees to it that no later one refers to it.
    pub fn deflate(&mut self, message: &Outgoing<'_>) -> Result<Option<Deflated>> {
        let Some(slot) = &self.connection.deflating else { return Ok(None) };
        if self.deflating.is_none() {
            self.deflating = slot.0.lock().take();
        }
        let Some(deflating) = &mut self.deflating else { return Ok(None) };
        deflating.deflate(&self.encoder, message)
    }

    /// The same turn, with which nothing more is compressed.
    #[cold]
    #[inline(never)]
    pub(super) fn without_state(mut self) -> Self {
        self.put_state_back();
        self
    }

    /// Nothing more is compressed with this turn.
    pub(super) fn put_state_back(&mut self) {
        if let (Some(mut deflating), Some(slot)) = (self.deflating.take(), &self.connection.deflating) {
            deflating.settle(self.has_sent);
            *slot.0.lock() = Some(deflating);
        }
    }
}

impl Beginning {
    /// The same frame with its payload compressed to this.
    pub fn compressed(mut self, payload: &[u8]) -> Beginning {
        self.header = self.encoder.compress(self.header, payload.len() as u64);
        self.length = payload.len();
        self
    }
}

impl Connection {
    /// [`Connection::send_or_queue`] on a connection with compression. Who sends meanwhile waits for the slot, and for nothing else.
    pub(super) fn send_or_queue_deflated(&self, slot: &DeflateSlot, message: &Outgoing<'_>, manner: Manner) -> Result<Accepted> {
        let mut state = slot.0.lock();
        let Some(deflating) = state.as_mut() else { return self.accept(message, None, manner) };
        let encoder = {
            let mut outbox = self.outbox();
            outbox.check_may_send()?;
            outbox.check_room(1, manner.limit)?;
            outbox.encoder
        };
        let deflated = deflating.deflate(&encoder, message)?;
        let accepted = self.accept(message, deflated.as_ref().map(Deflated::as_slice), manner);
        deflating.settle(accepted.is_ok());
        accepted
    }

    /// The class for which a message of this size can be compressed once and sent to many, and who does it. `None`: it goes out as it is here, or
    /// depends on what went before.
    pub(super) fn deflate_class(&self, length: usize) -> Option<(Class, Arc<DeflatePool>)> {
        let (agreed, pool) = self.agreed.compression.as_ref()?;
        let class = agreed.deflation().class()?;
        agreed.is_worth_it(length, true).then(|| (class, Arc::clone(pool)))
    }
}

/// A message that is prepared for many connections, compressed once for each class.
#[derive(Debug, Default)]
pub(super) struct Images(Mutex<Vec<(Class, Arc<Image>)>>);

/// What goes to connections of one class.
#[derive(Debug)]
pub(super) struct Image {
    /// As a server sends it: header and payload.
    pub(super) frame: Vec<u8>,
    header_length: usize,
    is_compressed: bool,
}

impl Image {
    /// The payload, if it is compressed: what got larger goes as it is.
    pub(super) fn deflated(&self) -> Option<&[u8]> {
        self.is_compressed.then(|| &self.frame[self.header_length..])
    }
}

impl Images {
    /// The image for a class, made with the first connection of it.
    pub(super) fn of(&self, class: Class, pool: &DeflatePool, kind: MessageKind, payload: &[u8]) -> Result<Arc<Image>> {
        if let Some((_, image)) = self.0.lock().iter().find(|(known, _)| *known == class) {
            return Ok(Arc::clone(image));
        }
        // Outside the lock: two threads may make the same one, and the first is kept.
        let deflated = pool.deflate_whole(class, &[payload])?;
        let is_compressed = deflated.len() < payload.len();
        let mut encoder = Encoder::default();
        let plain = encoder.data(kind, true, payload.len() as u64, None)?;
        let (header, body) = if is_compressed { (encoder.compress(plain, deflated.len() as u64), &deflated[..]) } else { (plain, payload) };
        let mut frame = Vec::new();
        frame.try_reserve_exact(header.as_slice().len() + body.len()).map_err(|_| NoMemory)?;
        frame.extend_from_slice(header.as_slice());
        frame.extend_from_slice(body);
        let image = Arc::new(Image { frame, header_length: header.as_slice().len(), is_compressed });
        let mut images = self.0.lock();
        if !images.iter().any(|(known, _)| *known == class) {
            images.push((class, Arc::clone(&image)));
        }
        Ok(image)
    }
}
