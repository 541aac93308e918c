//! The means by which threads meet: the standard library's.
//!
//! A room of their own, because `tests/loom` puts others in their place, which try every order in which threads can meet. Out of scope: statics,
//! and what threads only count for themselves.

pub use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// The same for single words.
pub mod atomic {
    pub use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicUsize, Ordering, fence};
}

/// Another thread is about to change what is waited for.
pub fn pause() {
    std::hint::spin_loop();
}
