//! Sending compressed messages (RFC 7692 §7.2.1).
//!
//! In scope: which frames are compressed, and taking back what has not left. Out of scope: compression itself (`protocol::deflate`).
//!
//! The state belongs to the holder of the writer turn, so messages are compressed in the order in which they leave. It lies in the outbox while
//! nobody compresses.

use std::cell::Cell;
use std::sync::Arc;

use super::{Beginning, Outgoing, Turn};
use crate::connection::Connection;
use crate::connection::deflate_pool::DeflatePool;
use crate::error::Result;
use crate::protocol::deflate::{Agreed, Class, Deflation};

/// What a thread keeps of the memory for a compressed frame.
const KEPT: usize = 64 << 10;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// How a connection compresses what it sends.
#[derive(Debug)]
pub(in crate::connection) struct Deflating {
    agreed: Agreed,
    deflation: Deflation,
    pool: Arc<DeflatePool>,
}

impl Deflating {
    pub(in crate::connection) fn new(agreed: Agreed, pool: Arc<DeflatePool>) -> Deflating {
        Deflating { agreed, deflation: agreed.deflation(), pool }
    }

    /// What messages are compressed for here, if that is the same for other connections too.
    pub(in crate::connection) fn class(&self) -> Option<Class> {
        self.deflation.class()
    }

    pub(in crate::connection) fn memory(&self) -> usize {
        size_of::<Deflating>() + self.deflation.memory()
    }

    /// Something of the frame is on its way.
    pub(super) fn commit(&mut self) {
        self.deflation.commit();
    }

    /// The turn is given back: what has not left by now will not be referred to.
    pub(super) fn settle(&mut self) {
        self.deflation.roll_back();
    }

    fn deflate(&mut self, message: &Outgoing<'_>) -> Result<Option<Deflated>> {
        let mut out = Deflated(SPARE.try_with(Cell::take).unwrap_or_default());
        let length: usize = message.parts.iter().map(|part| part.len()).sum();
        out.0.try_reserve((length / 2).min(KEPT)).map_err(|_| crate::protocol::deflate::NoMemory)?;
        let deflated = self.deflation.deflate(message.parts, message.ends_message, &mut out.0, |class| self.pool.take_deflater(class));
        if let Some(state) = self.deflation.take_idle_state() {
            self.pool.put_deflater(state);
        }
        if deflated.is_err() {
            self.deflation.roll_back();
        }
        deflated?;
        Ok(Some(out))
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
        if self.0.capacity() <= 2 * KEPT {
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
        if !self.connection.hot.deflates {
            return Ok(None);
        }
        let Some(mut deflating) = self.connection.outbox().deflating.take() else { return Ok(None) };
        let length = message.parts.iter().map(|part| part.len()).sum();
        let is_continued = self.encoder.is_inside_message();
        let is_wanted = match is_continued {
            // RFC 7692 §6.1: all of a message, or nothing.
            true => self.encoder.is_inside_compressed_message(),
            false => !message.uncompressed && deflating.agreed.is_worth_it(length, message.ends_message),
        };
        let mut deflated = if is_wanted { deflating.deflate(message) } else { Ok(None) };
        let is_whole = !is_continued && message.ends_message;
        if let Ok(Some(found)) = &deflated
            && is_whole
            && deflating.class().is_some()
            && found.as_slice().len() >= length
        {
            // What does not get smaller is not worth inflating either, and nothing else depends on it.
            deflating.deflation.roll_back();
            deflated = Ok(None);
        }
        self.deflating = Some(deflating);
        deflated
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
    /// The class for which a message can be compressed once and sent to many ([`DeflatePool::deflate_whole`], then [`Beginning::compressed`]).
    /// `None`: what goes out here is not compressed, or depends on what went before.
    pub fn deflate_class(&self) -> Option<Class> {
        self.outbox().deflating.as_ref().and_then(|deflating| deflating.class())
    }
}
