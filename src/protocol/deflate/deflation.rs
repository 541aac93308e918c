//! The sending direction: messages to compressed payload (RFC 7692 §7.2.1).
//!
//! In scope: what goes into each fragment, and taking back what was not sent. Out of scope: which messages are worth it, frames, and where the
//! state comes from.
//!
//! A state that has seen bytes which the peer will never get must not refer to them. It is then emptied, which is always right: the peer's window
//! only ever has more in it than this side uses. So a send that is given up leaves no trace but a message or two that come out larger.

use super::coder::Deflater;
use super::{NoMemory, TAIL};

/// RFC 7692 §7.2.3.6: what an empty message is compressed to.
const EMPTY: u8 = 0x00;

/// What messages are compressed for: those of one class are the same for every connection that keeps no window.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Class {
    /// The largest window, as a power of two, 8 to 15.
    pub window_bits: u8,
    /// From 1, fast, to 9, small.
    pub level: u8,
}

impl Class {
    /// Makes a state for it.
    pub fn make(self) -> Result<Box<Deflater>, NoMemory> {
        Deflater::new(self.window_bits, self.level).map(Box::new)
    }
}

/// Deflates the messages of one direction of a connection.
#[derive(Debug)]
pub struct Deflation {
    class: Class,
    deflater: Option<Box<Deflater>>,
    /// The compressor remembers earlier messages.
    keeps_window: bool,
    message: Message,
    /// What it was before the last fragment, as long as nothing of that is on its way.
    before: Option<Message>,
}

/// How far the message under way is.
#[derive(Clone, Copy, Debug, Default)]
struct Message {
    is_open: bool,
    /// Something was compressed, and its last four bytes are still owed: the receiver appends them to the end of a message by itself.
    owes_tail: bool,
}

impl Deflation {
    /// For messages of a class; `keeps_window` from one to the next.
    pub fn new(class: Class, keeps_window: bool) -> Deflation {
        Deflation { class, deflater: None, keeps_window, message: Message::default(), before: None }
    }

    /// What its messages are compressed for, if that is the same for all connections.
    pub fn class(&self) -> Option<Class> {
        (!self.keeps_window).then_some(self.class)
    }

    /// Bytes of memory of the state, if it is here.
    pub fn memory(&self) -> usize {
        self.deflater.as_ref().map_or(0, |_| super::coder::DEFLATER_BYTES)
    }

    /// Deflates the payload of a frame behind what is in `out`; `ends` its message. `state` is asked for a state if none is kept.
    ///
    /// After it comes [`Deflation::commit`] or [`Deflation::roll_back`]; after an error, the latter.
    pub fn deflate(
        &mut self,
        parts: &[&[u8]],
        ends: bool,
        out: &mut Vec<u8>,
        state: impl FnOnce(Class) -> Result<Box<Deflater>, NoMemory>,
    ) -> Result<(), NoMemory> {
        debug_assert!(self.before.is_none(), "the last one was sent or not");
        self.before = Some(self.message);
        if let Some(last) = parts.iter().rposition(|part| !part.is_empty()) {
            let deflater = match &mut self.deflater {
                Some(deflater) => deflater,
                none => none.insert(state(self.class)?),
            };
            if self.message.owes_tail {
                out.try_reserve(TAIL.len()).map_err(|_| NoMemory)?;
                out.extend_from_slice(&TAIL);
            }
            for (index, part) in parts[..=last].iter().enumerate() {
                deflater.run(part, index == last, out)?;
            }
            debug_assert!(out.ends_with(&TAIL), "a flush ends so");
            out.truncate(out.len() - TAIL.len());
            self.message.owes_tail = true;
        } else if ends && !self.message.owes_tail {
            out.try_reserve(1).map_err(|_| NoMemory)?;
            out.push(EMPTY);
        }
        self.message.is_open = !ends;
        if ends {
            self.message.owes_tail = false;
            if let (false, Some(deflater)) = (self.keeps_window, &mut self.deflater) {
                deflater.reset();
            }
        }
        Ok(())
    }

    /// Something of the last fragment is on its way.
    pub fn commit(&mut self) {
        self.before = None;
    }

    /// Nothing of the last fragment was sent, nor will be. (After a commit: nothing happens.)
    pub fn roll_back(&mut self) {
        if let Some(before) = self.before.take() {
            self.message = before;
            if let Some(deflater) = &mut self.deflater {
                deflater.reset();
            }
        }
    }

    /// The state, for another connection: between messages, if the next one does not need it.
    pub fn take_idle_state(&mut self) -> Option<Box<Deflater>> {
        if self.keeps_window || self.message.is_open { None } else { self.deflater.take() }
    }
}

/// Deflates a whole message for every connection of the state's class that keeps no window. The state is empty before and after.
pub fn deflate_whole(deflater: &mut Deflater, parts: &[&[u8]], out: &mut Vec<u8>) -> Result<(), NoMemory> {
    let mut parts = parts.iter().filter(|part| !part.is_empty()).peekable();
    if parts.peek().is_none() {
        out.try_reserve(1).map_err(|_| NoMemory)?;
        out.push(EMPTY);
        return Ok(());
    }
    while let Some(part) = parts.next() {
        deflater.run(part, parts.peek().is_none(), out)?;
    }
    out.truncate(out.len() - TAIL.len());
    deflater.reset();
    Ok(())
}
