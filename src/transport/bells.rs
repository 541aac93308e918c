//! The threads that wait on one thing, so that others can wake them.

use std::sync::Arc;

use crate::sync::Mutex;

use super::Wake;

/// A bell for each thread that waits; one pointer while none does. Ringing wakes them all: each looks itself whether it was meant.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "every connection has bells, and few are ever hung")]
pub struct Bells(Mutex<Option<Box<Vec<Arc<Wake>>>>>);

impl Bells {
    /// Hangs up a thread's bell until the guard is dropped. Look for a reason to stop *after* this: whoever gave it before rang in vain.
    pub fn hang(&self, wake: Arc<Wake>) -> Hung<'_> {
        let mut bells = self.0.lock();
        bells.get_or_insert_default().push(Arc::clone(&wake));
        Hung { bells: self, wake }
    }

    /// Wakes every thread that waits now.
    pub fn ring_all(&self) {
        let bells = self.0.lock();
        bells.iter().flat_map(|bells| bells.iter()).for_each(|wake| wake.ring());
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
        let mut slot = self.bells.0.lock();
        let Some(bells) = slot.as_mut() else { return };
        if let Some(position) = bells.iter().position(|wake| Arc::ptr_eq(wake, &self.wake)) {
            bells.swap_remove(position);
        }
        if bells.is_empty() {
            // Idle connections own nothing.
            *slot = None;
        }
    }
}
