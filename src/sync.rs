//! The means by which threads meet: locks of `parking_lot`, and what the standard library has for the rest.
//!
//! Locks that know nothing of panics: a message takes several of them, and asking each for its poison costs more than taking it. What a panic left
//! behind is used as it is, here as with every lock of this library.
//!
//! A room of their own, because `tests/loom` puts others in their place, which try every order in which threads can meet. Out of scope: statics,
//! and what threads only count for themselves.

pub use parking_lot::{Condvar, Mutex, MutexGuard};
pub use std::sync::OnceLock;

/// The same for single words.
pub mod atomic {
    pub use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
}

/// Another thread is about to change what is waited for.
pub fn pause() {
    std::hint::spin_loop();
}
