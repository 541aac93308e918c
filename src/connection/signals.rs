//! What other threads hold up to those who wait on a connection: that it was dropped, is being closed, or that a wait is cancelled.
//!
//! A cancel ends the waits that are under way and no later one: each wait remembers how many cancels there had been when it began.

use crate::sync::atomic::{AtomicU8, AtomicU16, Ordering};

/// What a wait is for; the C API's operations that can wait on a websocket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// A receive.
    Receive = 0,
    /// A send.
    Send = 1,
    /// `ws_close` or `ws_shutdown`.
    Close = 2,
}

const DROPPED: u8 = 1;
const CLOSING: u8 = 2;

/// The signals of one connection.
#[derive(Debug, Default)]
pub struct Signals {
    state: AtomicU8,
    /// They may go round: nobody cancels a wait 65,536 times before it looks.
    cancels: [AtomicU16; 3],
}

impl Signals {
    /// The handle was closed: every wait ends, now and later.
    pub(super) fn drop_now(&self) {
        self.state.fetch_or(DROPPED, Ordering::SeqCst);
    }

    /// `ws_close` takes the receiving side over: every receive ends, now and later.
    pub(super) fn close_now(&self) {
        self.state.fetch_or(CLOSING, Ordering::SeqCst);
    }

    /// The waits that are under way for this operation end.
    pub(super) fn cancel(&self, operation: Operation) {
        self.cancels[operation as usize].fetch_add(1, Ordering::SeqCst);
    }

    /// Whether receives must end, for either reason.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        self.state.load(Ordering::Relaxed) != 0
    }

    /// Whether the handle was closed.
    #[inline]
    pub fn is_dropped(&self) -> bool {
        // Relaxed, as below: whoever raises a signal also wakes the waiter, through a system call or a mutex, which orders the two.
        self.state.load(Ordering::Relaxed) & DROPPED != 0
    }

    /// Whether `ws_close` has begun.
    #[inline]
    pub fn is_closing(&self) -> bool {
        self.state.load(Ordering::Relaxed) & CLOSING != 0
    }

    /// How many cancels there were: a wait compares this with what it was at its beginning.
    #[inline]
    pub fn cancels(&self, operation: Operation) -> u16 {
        self.cancels[operation as usize].load(Ordering::Relaxed)
    }
}
