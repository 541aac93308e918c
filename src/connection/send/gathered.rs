//! Small frames of one thread, gathered in memory of that thread while it has the writer turn, and written together.
//!
//! Out of scope: whose memory that is, and when it is written (`driver::event_loop`).

use std::io;

use super::Turn;
use crate::bytes::utf8::Utf8;
use crate::bytes::{mask, short};
use crate::connection::queue::Segment;
use crate::connection::{Connection, Counted};
use crate::protocol::{MessageKind, Role};
use crate::transport::Patience;

/// Frames that are larger are not gathered here.
const MOST_GATHERED: usize = 4 << 10;

/// What is written at a time.
const ROOM: usize = 16 << 10;

/// Frames of one connection.
#[derive(Debug)]
pub struct Gathered {
    /// Made when it is first needed.
    bytes: Vec<u8>,
    length: usize,
    frames: u32,
}

impl Gathered {
    /// None, without memory.
    pub const NONE: Gathered = Gathered { bytes: Vec::new(), length: 0, frames: 0 };

    fn make_room(&mut self) -> bool {
        if self.bytes.is_empty() && self.bytes.try_reserve_exact(ROOM).is_ok() {
            self.bytes.resize(ROOM, 0);
        }
        !self.bytes.is_empty()
    }

    /// Adds a frame; `None` if it has no room.
    #[inline(always)]
    fn put<const HEAD: usize>(&mut self, head: [u8; HEAD], payload: &[u8]) -> Option<&mut [u8]> {
        let (own, room) = self.bytes.get_mut(self.length..)?.split_first_chunk_mut::<HEAD>()?;
        let room = room.get_mut(..payload.len())?;
        self.length += HEAD + payload.len();
        self.frames += 1;
        *own = head;
        short::copy(payload, room);
        Some(room)
    }

    fn clear(&mut self) {
        (self.length, self.frames) = (0, 0);
    }

    fn filled(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Connection {
    /// Takes the writer turn for gathering: every frame of this thread goes there until [`Connection::write_gathered`]. False if frames may not be
    /// gathered now: nothing has happened, and the long way knows what to do.
    #[inline]
    pub fn begin_gathering(&self, gathered: &mut Gathered) -> bool {
        // What may have to be compressed goes the long way.
        if self.deflating.is_some() || !gathered.make_room() {
            return false;
        }
        self.outbox().take_turn_at_once()
    }

    /// Gathers a whole message; false if it is none that may be gathered, or has no room.
    #[inline]
    pub fn gather(&self, gathered: &mut Gathered, kind: MessageKind, payload: &[u8]) -> bool {
        if kind == MessageKind::Text && self.hot.checks_sent_text() {
            let mut utf8 = Utf8::default();
            if utf8.check(payload).is_err() || utf8.finish().is_err() {
                return false;
            }
        }
        let first = if kind == MessageKind::Text { 0x81 } else { 0x82 };
        if payload.len() < 126 && self.role() == Role::Server {
            return gathered.put([first, payload.len() as u8], payload).is_some();
        }
        self.gather_otherwise(gathered, first, payload)
    }

    /// One that is masked, or not quite so short.
    #[inline(never)]
    fn gather_otherwise(&self, gathered: &mut Gathered, first: u8, payload: &[u8]) -> bool {
        if payload.len() > MOST_GATHERED {
            return false;
        }
        let [high, low] = (payload.len() as u16).to_be_bytes();
        if self.role() == Role::Server {
            return gathered.put([first, 126, high, low], payload).is_some();
        }
        let key = (self.sources.masking_key)();
        let [k0, k1, k2, k3] = key;
        let own = if payload.len() < 126 {
            gathered.put([first, 0x80 | low, k0, k1, k2, k3], payload)
        } else {
            gathered.put([first, 0x80 | 126, high, low, k0, k1, k2, k3], payload)
        };
        own.map(|own| mask::apply(own, key, 0)).is_some()
    }

    /// Writes what was gathered, and gives the turn back. What the socket does not take waits in the outbox. Whether somebody may have to be told.
    #[inline]
    pub fn write_gathered(&self, gathered: &mut Gathered) -> bool {
        let frames = u64::from(gathered.frames);
        let counted = Counted { bytes: gathered.length as u64, frames, messages: frames };
        let sent = if frames == 0 { Ok(0) } else { self.stream.send(gathered.filled(), &[], Patience::None) };
        let mut outbox = self.outbox();
        if sent.as_ref().is_ok_and(|sent| *sent == gathered.length) && outbox.is_all_but_turn() {
            outbox.counted.add(counted);
            outbox.put_turn(None);
            gathered.clear();
            return false;
        }
        drop(outbox);
        self.end_gathered(gathered, counted, sent);
        gathered.clear();
        true
    }

    /// Not all has left, or there is more than that to see to.
    #[cold]
    fn end_gathered(&self, gathered: &Gathered, counted: Counted, sent: io::Result<usize>) {
        let turn = Turn::taken(self);
        let sent = match sent {
            Ok(sent) => sent,
            Err(error) if super::queued::is_nothing(&error) => 0,
            Err(error) => {
                turn.lose(&error);
                return;
            }
        };
        self.outbox().counted.add(counted);
        if sent == gathered.length {
            // Others have left something meanwhile.
            turn.settle();
        } else {
            // It never fails: the rest has memory already.
            drop(turn.leave(Segment::from(gathered.filled()[sent..].to_vec())));
        }
    }
}
