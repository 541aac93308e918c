//! Connections at rest: nothing of a message is here, so the receive half is not kept. It is made again when more than whole messages comes.
//!
//! Most connections of a large server are at rest most of the time. Whole messages are found without a half: see [`Connection::next_at_rest`].
//! Out of scope: which connections may rest (`driver::event_loop`; a thread that waits in a receive has no use for it).

use std::cell::Cell;
use std::ops::Range;

use super::{Connection, Counted, ReceiveHalf, Result, ended, is_nothing, lost};
use crate::options::Options;
use crate::protocol::{MessageKind, Role, whole_message_at_rest};
use crate::transport::Patience;

thread_local! {
    /// The memory of a half that went to rest, for the next one that is woken.
    static SPARE: Cell<Option<Box<ReceiveHalf>>> = const { Cell::new(None) };
}

impl ReceiveHalf {
    /// Whether everything about it is as at the beginning, but for what it has counted.
    fn may_rest(&self) -> bool {
        self.is_between_messages()
            && self.buffer.is_none()
            && self.inflated.is_none()
            && self.listening.is_none()
            && self.deferred.is_none()
    }

    /// Goes to rest, if nothing has to be kept of it; what it has counted.
    pub(in crate::connection) fn rest(self: Box<Self>) -> Result<Rested, Box<ReceiveHalf>> {
        if !self.may_rest() {
            return Err(self);
        }
        let rested = Rested { counted: self.counted(), is_quiet: self.is_quiet };
        // A thread that is ending keeps nothing.
        let _ = SPARE.try_with(|spare| spare.set(Some(self)));
        Ok(rested)
    }

    /// The half of a connection that was at rest.
    pub(in crate::connection) fn wake(role: Role, options: &Options, rested: Rested) -> Box<ReceiveHalf> {
        let mut half = ReceiveHalf::blank(role, options);
        let Counted { bytes, frames, messages } = rested.counted;
        half.decoder = half.decoder.having_counted(frames, messages);
        (half.bytes, half.is_quiet) = (bytes, rested.is_quiet);
        match SPARE.try_with(Cell::take) {
            Ok(Some(mut spare)) => {
                *spare = half;
                spare
            }
            _ => Box::new(half),
        }
    }
}

/// What is kept of a receive half that rests.
#[derive(Clone, Copy, Debug)]
pub struct Rested {
    /// What it has counted.
    pub(in crate::connection) counted: Counted,
    /// Little came with its last read.
    pub(in crate::connection) is_quiet: bool,
}

impl Connection {
    /// Reads into memory of the loop, on a connection at rest; `None` if nothing is there.
    #[inline]
    pub fn receive_at_rest(&self, room: &mut [u8]) -> Result<Option<usize>> {
        match self.stream.receive(room, &mut [], Patience::None) {
            Ok(0) => Err(ended()),
            Ok(count) => Ok(Some(count)),
            Err(error) if is_nothing(&error) => Ok(None),
            Err(error) => Err(lost(&error)),
        }
    }

    /// The next whole message among bytes that were read, and where it lies; up to its end they were used. `None`: what lies there is something
    /// else, or not all of it is here; nothing has changed, and the receive half must see to it.
    #[inline(always)]
    pub fn next_at_rest(&self, bytes: &mut [u8]) -> Option<Result<(MessageKind, Range<usize>)>> {
        let (sender, most) = self.hot.at_rest();
        whole_message_at_rest(sender, most, bytes).map(|found| found.map_err(|violation| self.fail_with(violation)))
    }
}
