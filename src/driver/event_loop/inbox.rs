//! What other threads want of a loop, and how they wake it.
//!
//! In scope: that nothing put in here is overlooked by a loop that goes to sleep, and that a loop which is awake is not rung for. Out of scope:
//! what is wanted.

use crate::sync::{Mutex, MutexGuard};

/// Wishes, in the order in which they came.
#[derive(Debug)]
pub struct Inbox<W>(Mutex<Wishes<W>>);

#[derive(Debug)]
struct Wishes<W> {
    waiting: Vec<W>,
    /// Nobody looks in here before somebody rings.
    is_asleep: bool,
}

impl<W> Default for Inbox<W> {
    fn default() -> Inbox<W> {
        Inbox(Mutex::new(Wishes { waiting: Vec::new(), is_asleep: true }))
    }
}

impl<W> Inbox<W> {
    /// Puts a wish in; true if the loop must be rung for it. `is_driver`: the wish comes from the thread that drives the loop, which looks in here
    /// before it sleeps.
    #[must_use]
    pub fn put(&self, wish: W, is_driver: bool) -> bool {
        let mut wishes = self.wishes();
        wishes.waiting.push(wish);
        // One ring is enough: the loop takes everything when it comes.
        !is_driver && std::mem::replace(&mut wishes.is_asleep, false)
    }

    /// The loop is awake: takes everything.
    pub fn take(&self, wishes: &mut Vec<W>) {
        let mut own = self.wishes();
        own.is_asleep = false;
        if !own.waiting.is_empty() {
            wishes.append(&mut own.waiting);
        }
    }

    /// The loop is about to sleep; false if there is something to do first. Under the mutex under which wishes come, so that none falls in between.
    pub fn may_sleep(&self) -> bool {
        let mut wishes = self.wishes();
        wishes.is_asleep = wishes.waiting.is_empty();
        wishes.is_asleep
    }

    /// Nobody drives the loop for now: from here on wishes ring.
    pub fn leave(&self) {
        self.wishes().is_asleep = true;
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.wishes().waiting.is_empty()
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes<W>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeping_loop_is_rung_once_and_an_awake_one_not_at_all() {
        let inbox = Inbox::default();
        assert!(inbox.put(1, false), "nobody has driven it yet");
        assert!(!inbox.put(2, false), "it was rung already");
        let mut wishes = Vec::new();
        inbox.take(&mut wishes);
        assert_eq!(wishes, [1, 2]);
        assert!(!inbox.put(3, false), "it is awake");
        assert!(!inbox.may_sleep());
        inbox.take(&mut wishes);
        assert!(inbox.may_sleep());
        assert!(!inbox.put(4, true), "the driver does not ring for itself");
        assert!(inbox.put(5, false));
        inbox.take(&mut wishes);
        inbox.leave();
        assert!(inbox.put(6, false));
        assert_eq!(wishes, [1, 2, 3, 4, 5]);
    }
}
