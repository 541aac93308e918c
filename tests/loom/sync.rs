//! What stands in for `src/sync.rs`: loom's locks and atomics, so that every order in which threads can meet is tried.
//!
//! No wait here ever times out: a wake-up that is lost is then a deadlock, which loom reports, and not a delay.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex as StdMutex;
use std::time::Duration;

pub use std::sync::OnceLock;

/// The same for single words.
pub mod atomic {
    pub use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
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

    pub fn lock(&self) -> MutexGuard<'_, T> {
        // Loom's threads run one at a time on one thread of the system: nobody else can be here.
        let take = || self.initial.lock().expect("nobody panics here").take().expect("it is made once");
        MutexGuard(Some(self.real.get_or_init(|| loom::sync::Mutex::new(take())).lock().expect("loom poisons nothing")))
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

/// Loom's guard, which a wait takes out for a while.
#[derive(Debug)]
pub struct MutexGuard<'m, T>(Option<loom::sync::MutexGuard<'m, T>>);

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("nobody waits with it")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("nobody waits with it")
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

    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _: Duration) {
        guard.0 = guard.0.take().map(|own| self.0.wait(own).expect("loom poisons nothing"));
    }

    pub fn wait_while_for<T>(&self, guard: &mut MutexGuard<'_, T>, mut condition: impl FnMut(&mut T) -> bool, timeout: Duration) {
        while condition(guard) {
            self.wait_for(guard, timeout);
        }
    }
}
