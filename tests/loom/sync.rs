//! What stands in for `src/sync.rs`: loom's locks and atomics, so that every order in which threads can meet is tried.
//!
//! No wait here ever times out: a wake-up that is lost is then a deadlock, which loom reports, and not a delay.

use std::sync::{LockResult, Mutex as StdMutex};
use std::time::Duration;

pub use loom::sync::MutexGuard;
pub use std::sync::{OnceLock, PoisonError};

/// The same for single words.
pub mod atomic {
    pub use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicUsize, Ordering, fence};
}

pub fn pause() {
    loom::thread::yield_now();
}

/// Loom's mutex, made when it is first locked: the sources make theirs in constants.
#[derive(Debug)]
pub struct Mutex<T> {
    initial: StdMutex<Option<T>>,
    real: OnceLock<loom::sync::Mutex<T>>,
}

impl<T> Mutex<T> {
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { initial: StdMutex::new(Some(value)), real: OnceLock::new() }
    }

    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        // Loom's threads run one at a time on one thread of the system: nobody else can be here.
        let take = || self.initial.lock().expect("nobody panics here").take().expect("it is made once");
        self.real.get_or_init(|| loom::sync::Mutex::new(take())).lock()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

/// Loom's condition variable, with what it lacks.
#[derive(Debug)]
pub struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub fn new() -> Condvar {
        Condvar(loom::sync::Condvar::new())
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    pub fn wait_timeout<'g, T>(&self, guard: MutexGuard<'g, T>, _: Duration) -> LockResult<(MutexGuard<'g, T>, ())> {
        self.0.wait(guard).map(|guard| (guard, ())).map_err(|_| unreachable!("loom poisons nothing"))
    }

    pub fn wait_timeout_while<'g, T>(
        &self,
        mut guard: MutexGuard<'g, T>,
        _: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'g, T>, ())> {
        while condition(&mut guard) {
            guard = self.0.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        Ok((guard, ()))
    }
}
