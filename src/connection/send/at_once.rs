//! The usual send in a few instructions: a small whole message, made on the stack and gone with one write.
//!
//! Out of scope: everything unusual, and everything that is wrong: [`Turn::begin`] and [`Turn::step`] see to that.

use std::io;

use super::{Beginning, Turn};
use crate::bytes::mask;
use crate::bytes::utf8::Utf8;
use crate::connection::{Connection, Counted};
use crate::error::Result;
use crate::protocol::{MAX_CONTROL_PAYLOAD, MAX_FRAME_HEADER, MaskingKey, MessageKind, Role};
use crate::transport::Patience;

/// The largest payload that is sent from the stack.
pub(in crate::connection) const AT_ONCE: usize = 144;

/// What [`Connection::send_at_once`] came to.
#[derive(Debug)]
pub enum AtOnce<'c> {
    /// The frame has left.
    Done,
    /// This is not the usual case; nothing has happened.
    NotUsual,
    /// A part of it has left.
    Begun(Turn<'c>, Beginning, usize),
}

impl Connection {
    /// The usual case in a few instructions: a small whole message, while nobody else sends and nothing waits, in one write from the stack.
    ///
    /// Everything else, also what is wrong, is left to the long way: [`Turn::begin`] and [`Turn::step`].
    #[inline]
    pub fn send_at_once(&self, kind: MessageKind, payload: &[u8]) -> Result<AtOnce<'_>> {
        // The first of the two is for the compiler, which then knows what fits on the stack.
        if payload.len() > AT_ONCE
            || payload.len() > usize::from(self.hot.most_at_once)
            || kind == MessageKind::Text && self.hot.checks_sent_text() && !is_text(payload)
        {
            return Ok(AtOnce::NotUsual);
        }
        let key = (self.role() == Role::Client).then(self.sources.masking_key);
        let mut bytes = [0; MAX_FRAME_HEADER + AT_ONCE];
        let length = write_small_frame(&mut bytes, kind, payload, key);
        if !self.outbox().take_turn_at_once() {
            return Ok(AtOnce::NotUsual);
        }
        // From here to its end nothing can panic: the turn needs no guard.
        match self.stream.send(&bytes[..length], &[], Patience::Slice) {
            Ok(sent) if sent == length && self.ends_at_once(length) => Ok(AtOnce::Done),
            sent => self.end_at_once(kind, payload.len(), key, length, sent),
        }
    }

    /// All has left: gives the turn back, if there is nothing else to do.
    #[inline(always)]
    fn ends_at_once(&self, length: usize) -> bool {
        let mut outbox = self.outbox();
        let is_all = outbox.is_all_but_turn() && !self.stream.wants_write();
        if is_all {
            outbox.counted.add(Counted::frame(length, true));
            outbox.put_turn(None);
        }
        is_all
    }

    /// Not all of it has left, or others have left something meanwhile.
    #[inline(never)]
    fn end_at_once(
        &self,
        kind: MessageKind,
        payload_length: usize,
        key: Option<MaskingKey>,
        length: usize,
        sent: io::Result<usize>,
    ) -> Result<AtOnce<'_>> {
        let turn = Turn::taken(self);
        match sent {
            Ok(sent) if sent == length => {
                turn.end(length, true);
                Ok(AtOnce::Done)
            }
            Ok(sent) => turn.begin_whole(kind, payload_length, key).map(|beginning| AtOnce::Begun(turn, beginning, sent)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(AtOnce::NotUsual),
            Err(error) => Err(self.sending_failed(&error)),
        }
    }
}

/// Writes a whole message as one frame, and says how long it is.
#[inline]
fn write_small_frame(bytes: &mut [u8; MAX_FRAME_HEADER + AT_ONCE], kind: MessageKind, payload: &[u8], key: Option<MaskingKey>) -> usize {
    bytes[0] = if kind == MessageKind::Text { 0x81 } else { 0x82 };
    let mask_bit = if key.is_some() { 0x80 } else { 0 };
    let mut start = 2;
    if payload.len() <= MAX_CONTROL_PAYLOAD {
        bytes[1] = mask_bit | payload.len() as u8;
    } else {
        bytes[1] = mask_bit | 126;
        bytes[2..4].copy_from_slice(&(payload.len() as u16).to_be_bytes());
        start = 4;
    }
    if let Some(key) = key {
        bytes[start..start + 4].copy_from_slice(&key);
        start += 4;
    }
    let length = start + payload.len();
    match key {
        Some(key) => mask::copy(payload, &mut bytes[start..length], key, 0),
        None => bytes[start..length].copy_from_slice(payload),
    }
    length
}

/// Whether the bytes are UTF-8 from beginning to end.
#[inline]
fn is_text(bytes: &[u8]) -> bool {
    let mut utf8 = Utf8::default();
    utf8.check(bytes).is_ok() && utf8.finish().is_ok()
}
