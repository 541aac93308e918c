//! Whom to tell about a handle: read for every event, changed hardly ever.
//!
//! A callback and the context that belongs to it are always read as they were set, together. Out of scope: who calls the callback.

use crate::process::Process;
use crate::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};

/// A callback and its context.
#[derive(Debug, Default)]
pub struct Address {
    /// Odd while they are being changed.
    version: AtomicU32,
    /// Whose handle it is: in another process there is nobody to tell. Here because here is room for it.
    process: Process,
    callback: AtomicUsize,
    context: AtomicUsize,
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

    /// What was set last.
    #[inline]
    pub fn read(&self) -> (usize, usize) {
        loop {
            // Acquire: what belongs to this version is seen. The fence keeps the reads before the second look at it.
            let before = self.version.load(Ordering::Acquire);
            let found = (self.callback.load(Ordering::Relaxed), self.context.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if before & 1 == 0 && self.version.load(Ordering::Relaxed) == before {
                return found;
            }
            crate::sync::pause();
        }
    }

    /// Sets both; one caller at a time.
    pub fn write(&self, callback: usize, context: usize) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        // Release: nobody sees a new value under the old version.
        fence(Ordering::Release);
        self.callback.store(callback, Ordering::Relaxed);
        self.context.store(context, Ordering::Relaxed);
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_last_is_read() {
        let address = Address::default();
        assert_eq!(address.read(), (0, 0));
        address.write(1, 2);
        address.write(3, 4);
        assert_eq!(address.read(), (3, 4));
    }
}
