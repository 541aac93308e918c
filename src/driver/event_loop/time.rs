//! What time asks of a connection on a loop: a receive that has waited long enough, a ping that is due, a peer that is silent, a close that goes on.
//!
//! Out of scope: when somebody looks (`timers`, `core`), and the closing itself (`closing`).

use std::sync::Arc;
use std::time::Duration;

use super::event::{EventKind, OwnedEvent};
use super::posting::Expiry;
use super::socket::Socket;
use super::timers::{tick_at, time_of};
use crate::error::{Error, Phase, Status};
use crate::sync::atomic::Ordering;

impl Socket {
    /// Everything about the connection that depends on the time; when to look again.
    pub(super) fn look_at_time(self: &Arc<Self>, now: Duration) -> Option<Duration> {
        if self.signals().is_dropped() {
            return None;
        }
        let closing = self.step_closing(now);
        let receiving = self.look_at_receive(now);
        let alive = self.look_at_life(now);
        [closing, receiving, alive].into_iter().flatten().min()
    }

    fn look_at_receive(self: &Arc<Self>, now: Duration) -> Option<Duration> {
        let tick = tick_at(now);
        match self.posting.expire(tick as u32) {
            Expiry::Never => None,
            Expiry::In(ticks) => Some(time_of(tick + u64::from(ticks))),
            Expiry::Now => {
                let time = self.receive_timeout().unwrap_or_default().as_millis();
                let error = Error::new(Status::Timeout, format!("nothing was received within {time} ms")).in_phase(Phase::WebSocket);
                self.tell(OwnedEvent::ended(EventKind::Received, Err(error)));
                None
            }
        }
    }

    fn look_at_life(self: &Arc<Self>, now: Duration) -> Option<Duration> {
        // Since then, in milliseconds that may have gone round.
        let since = (now.as_millis() as u32).wrapping_sub(self.last_life.load(Ordering::Relaxed));
        // In whole milliseconds, so that the same moment is not taken for a later one.
        let at = (now.as_millis() as u64).saturating_sub(since.into());
        self.has_lived_at(Duration::from_millis(at));
        let is_blocked = self.posting.waits_for_program();
        match self.keep_alive(now, false, is_blocked) {
            Ok(due) => {
                self.flush();
                self.after_flush(); // it may have written the last of what was queued, and then no readiness tells
                match due {
                    // A ping that was due is out: the next look is for its answer.
                    Some(due) if due <= now => {
                        self.is_asked.store(true, Ordering::Relaxed);
                        self.keep_alive(now, false, false).ok().flatten()
                    }
                    due => due,
                }
            }
            Err(error) => {
                let error = self.receive_failed(error);
                self.closing_failed(&error);
                if self.posting.lose_messages() {
                    self.tell(OwnedEvent::ended(EventKind::Received, Err(error)));
                } else {
                    self.cancel_receive(error);
                }
                None
            }
        }
    }
}
