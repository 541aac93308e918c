//! Small frames of one thread, gathered in memory of that thread while it has the writer turn, and written together.
//!
//! Out of scope: whose memory that is, and when it is written (`driver::event_loop`).

use super::{Accepted, Turn};
use crate::bytes::mask;
use crate::bytes::utf8::Utf8;
use crate::connection::queue::Segment;
use crate::connection::{Connection, Counted};
use crate::protocol::{Encoder, MAX_FRAME_HEADER, MessageKind, Role};
use crate::transport::Patience;

/// Frames that are larger are not gathered here.
const MOST_GATHERED: usize = 4 << 10;

/// What is written at a time.
const ROOM: usize = 16 << 10;

/// Frames of one connection.
#[derive(Debug, Default)]
pub struct Gathered {
    bytes: Vec<u8>,
    frames: u32,
}

impl Gathered {
    /// None, without memory.
    pub const fn new() -> Gathered {
        Gathered { bytes: Vec::new(), frames: 0 }
    }

    /// Whether another frame of this size has room.
    #[inline]
    pub fn has_room(&self, length: usize) -> bool {
        length <= MOST_GATHERED && self.bytes.capacity() - self.bytes.len() >= length + MAX_FRAME_HEADER
    }
}

impl Connection {
    /// Takes the writer turn for gathering: every frame of this thread goes there until [`Connection::write_gathered`]. False if frames may not be
    /// gathered now: nothing has happened, and the long way knows what to do.
    pub fn begin_gathering(&self, gathered: &mut Gathered) -> bool {
        if gathered.bytes.capacity() < ROOM && gathered.bytes.try_reserve_exact(ROOM).is_err() {
            return false;
        }
        let mut outbox = self.outbox();
        outbox.may_send_at_once() && outbox.take_turn().is_some()
    }

    /// Gathers a whole message; false if it is not one that may be gathered.
    #[inline]
    pub fn gather(&self, gathered: &mut Gathered, kind: MessageKind, payload: &[u8]) -> bool {
        if kind == MessageKind::Text && self.hot.checks_sent_text() {
            let mut utf8 = Utf8::default();
            if utf8.check(payload).is_err() || utf8.finish().is_err() {
                return false;
            }
        }
        let length = payload.len();
        let first = if kind == MessageKind::Text { 0x81 } else { 0x82 };
        let mask_bit = if self.role() == Role::Client { 0x80 } else { 0 };
        let bytes = &mut gathered.bytes;
        if length < 126 {
            bytes.extend_from_slice(&[first, mask_bit | length as u8]);
        } else {
            let [high, low] = (length as u16).to_be_bytes();
            bytes.extend_from_slice(&[first, mask_bit | 126, high, low]);
        }
        if self.role() == Role::Client {
            let key = (self.sources.masking_key)();
            bytes.extend_from_slice(&key);
            let start = bytes.len();
            bytes.extend_from_slice(payload);
            mask::apply(&mut bytes[start..], key, 0);
        } else {
            bytes.extend_from_slice(payload);
        }
        gathered.frames += 1;
        true
    }

    /// Writes what was gathered, and gives the turn back. What the socket does not take waits in the outbox. Whether somebody may have to be told.
    pub fn write_gathered(&self, gathered: &mut Gathered) -> bool {
        let turn = Turn { connection: self, encoder: Encoder::default(), has_sent: false, is_held: true };
        let counted =
            Counted { bytes: gathered.bytes.len() as u64, frames: u64::from(gathered.frames), messages: u64::from(gathered.frames) };
        gathered.frames = 0;
        let sent = match self.stream.send(&gathered.bytes, &[], Patience::None) {
            Ok(sent) => sent,
            Err(error) if super::queued::is_nothing(&error) => 0,
            Err(error) => {
                gathered.bytes.clear();
                turn.lose(&error);
                return true;
            }
        };
        let ended = if sent == gathered.bytes.len() {
            turn.finish_gathered(counted)
        } else {
            self.outbox().counted.add(counted);
            turn.leave(Segment::from(gathered.bytes[sent..].to_vec()))
        };
        gathered.bytes.clear();
        // All has left, and nothing else waited: nobody waits to be told either.
        !matches!(ended, Ok(Accepted::Written))
    }
}
