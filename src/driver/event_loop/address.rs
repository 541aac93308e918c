//! A handle's address: its number, and whom to tell about it. Read for every event, changed hardly ever.
//!
//! A callback and the context that belongs to it are always read as they were set, together. Out of scope: who calls the callback.

use std::num::NonZeroUsize;

use super::event::{Notify, OpaqueCallback};
use crate::process::Process;
use crate::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

/// A handle's number, its callback and its context.
#[derive(Debug, Default)]
pub struct Address {
    /// Odd while callback and context are being changed.
    version: AtomicU32,
    /// Whose handle it is: in another process there is nobody to tell. Here because here is room for it.
    process: Process,
    /// 0 = none.
    callback: AtomicUsize,
    context: AtomicUsize,
    ticket: AtomicU64,
}

impl Address {
    /// Nobody yet, in this process.
    pub fn here() -> Address {
        Address { process: Process::current(), ..Address::default() }
    }

    /// Whether this is the process in which it was made.
    #[inline]
    pub fn is_here(&self) -> bool {
        self.process == Process::current()
    }

    /// The handle's number; 0 until it has one.
    #[inline]
    pub fn ticket(&self) -> u64 {
        // Acquire: the loop may tell of a handle in the very moment in which it gets its number.
        self.ticket.load(Ordering::Acquire)
    }

    /// The handle has its number.
    pub fn set_ticket(&self, ticket: u64) {
        self.ticket.store(ticket, Ordering::Release);
    }

    /// Callback and context as they were set last.
    #[inline(always)]
    pub fn notify(&self) -> Notify {
        loop {
            // Acquire: what belongs to this version is seen. The fence keeps the reads before the second look at it.
            let before = self.version.load(Ordering::Acquire);
            let (callback, context) = (self.callback.load(Ordering::Relaxed), self.context.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if before & 1 == 0 && self.version.load(Ordering::Relaxed) == before {
                return Notify { callback: NonZeroUsize::new(callback).map(OpaqueCallback), context };
            }
            crate::sync::pause();
        }
    }

    /// Sets both; one caller at a time.
    pub fn set_notify(&self, notify: Notify) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        // Release: nobody sees a new value under the old version.
        fence(Ordering::Release);
        self.callback.store(notify.callback.map_or(0, |callback| callback.0.get()), Ordering::Relaxed);
        self.context.store(notify.context, Ordering::Relaxed);
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_last_is_read() {
        let address = Address::default();
        assert_eq!((address.notify(), address.ticket()), (Notify::default(), 0));
        for number in [1, 3] {
            let notify = Notify { callback: NonZeroUsize::new(number).map(OpaqueCallback), context: number + 1 };
            address.set_notify(notify);
            assert_eq!(address.notify(), notify);
        }
        address.set_ticket(7);
        assert_eq!(address.ticket(), 7);
    }
}
