//! The threads that wait on one thing, so that others can wake them.

use std::sync::{Arc, Mutex, PoisonError};

use super::Wake;

/// A bell for each thread that waits. Ringing wakes them all: each looks itself whether it was meant.
#[derive(Debug, Default)]
pub struct Bells(Mutex<Vec<Arc<Wake>>>);

impl Bells {
    /// Hangs up a thread's bell until the guard is dropped. Look for a reason to stop *after* this: whoever gave it before rang in vain.
    pub fn hang(&self, wake: Arc<Wake>) -> Hung<'_> {
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bells.push(Arc::clone(&wake));
        Hung { bells: self, wake }
    }

    /// Wakes every thread that waits now.
    pub fn ring_all(&self) {
        let bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bells.iter().for_each(|wake| wake.ring());
    }
}

/// A bell that is hung up.
#[derive(Debug)]
pub struct Hung<'b> {
    bells: &'b Bells,
    wake: Arc<Wake>,
}

impl Hung<'_> {
    /// The thread's own bell.
    pub fn wake(&self) -> &Wake {
        &self.wake
    }
}

impl Drop for Hung<'_> {
    fn drop(&mut self) {
        let mut bells = self.bells.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = bells.iter().position(|wake| Arc::ptr_eq(wake, &self.wake)) {
            bells.swap_remove(position);
        }
        if bells.is_empty() {
            // Idle connections own nothing.
            *bells = Vec::new();
        }
    }
}
