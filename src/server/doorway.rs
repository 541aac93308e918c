//! How many may come in at once: the handshakes that a listener has under way, and the websockets that were made of them.
//!
//! Each is counted by a guard that whoever is counted holds. Out of scope: what happens to those for whom there is no room.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use crate::connection::Agreed;
use crate::driver::blocking::StopSign;
use crate::driver::event_loop::{Shared, TaskSign};
use crate::sync::{Mutex, MutexGuard};

/// What the requests and websockets of one listener share with it.
#[derive(Debug, Default)]
pub struct Doorway {
    /// The threads that wait to accept.
    pub sign: StopSign,
    handshakes: AtomicU32,
    websockets: AtomicU32,
    /// Whoever accepts on a loop, while it waits for room for a handshake.
    acceptor: Mutex<Option<(Weak<Shared>, Arc<TaskSign>)>>,
    /// What the last client agreed on.
    agreed: Mutex<Option<Arc<Agreed>>>,
}

impl Doorway {
    /// Counts a handshake, unless there are `most` already; 0 = no limit.
    pub fn begin_handshake(self: &Arc<Self>, most: u32) -> Option<Handshaking> {
        enter(&self.handshakes, most).then(|| Handshaking(Arc::clone(self)))
    }

    /// The same for who accepts on a loop; `None`: it is stepped as soon as there is room.
    pub fn begin_handshake_or_wait(self: &Arc<Self>, most: u32, shared: &Arc<Shared>, sign: &Arc<TaskSign>) -> Option<Handshaking> {
        if let Some(handshaking) = self.begin_handshake(most) {
            return Some(handshaking);
        }
        *self.acceptor() = Some((Arc::downgrade(shared), Arc::clone(sign)));
        // One may have left in between, and found nobody to step.
        self.begin_handshake(most)
    }

    fn acceptor(&self) -> MutexGuard<'_, Option<(Weak<Shared>, Arc<TaskSign>)>> {
        self.acceptor.lock()
    }

    /// The same as before, if it is the same.
    pub fn share(&self, agreed: Agreed) -> Arc<Agreed> {
        let mut last = self.agreed.lock();
        match &*last {
            Some(last) if **last == agreed => Arc::clone(last),
            _ => Arc::clone(last.insert(Arc::new(agreed))),
        }
    }

    /// Counts a websocket, likewise.
    pub fn take_seat(self: &Arc<Self>, most: u32) -> Option<Seat> {
        enter(&self.websockets, most).then(|| Seat(Arc::clone(self)))
    }
}

fn enter(count: &AtomicU32, most: u32) -> bool {
    // Relaxed, as below: the number is all that threads share here. Who waits for room is rung after it has become less.
    let more = |count: u32| (most == 0 || count < most).then(|| count.saturating_add(1));
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
}

/// A handshake under way.
#[derive(Debug)]
pub struct Handshaking(Arc<Doorway>);

impl Drop for Handshaking {
    fn drop(&mut self) {
        self.0.handshakes.fetch_sub(1, Ordering::SeqCst);
        self.0.sign.ring();
        let acceptor = self.0.acceptor().take();
        if let Some((shared, sign)) = acceptor
            && let Some(shared) = shared.upgrade()
        {
            shared.nudge(&sign);
        }
    }
}

/// A websocket that is open.
#[derive(Debug)]
pub struct Seat(Arc<Doorway>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.websockets.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_as_many_as_allowed_and_again_when_one_leaves() {
        let doorway = Arc::new(Doorway::default());
        let mut inside: Vec<Seat> = (0..3).map_while(|_| doorway.take_seat(3)).collect();
        assert_eq!(inside.len(), 3);
        assert!(doorway.take_seat(3).is_none());
        assert!(doorway.begin_handshake(1).is_some(), "the two are counted apart");
        inside.pop();
        inside.push(doorway.take_seat(3).unwrap());
        // A limit that was lowered meanwhile throws nobody out.
        assert!(doorway.take_seat(2).is_none());
        inside.extend((0..100).map_while(|_| doorway.take_seat(0)));
        assert_eq!(inside.len(), 103);
        inside.clear();
        assert_eq!(doorway.websockets.load(Ordering::Relaxed), 0);
    }
}
