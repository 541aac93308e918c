//! The end of a listener on a loop: its connections are closed one after the other, and what is left then is cut.
//!
//! Out of scope: the closing handshake (`driver::event_loop`).

use std::os::fd::RawFd;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Hall;
use crate::driver::clock;
use crate::driver::event_loop::{EventKind, Member, OwnedEvent, Recipient, Socket, Task, TaskSign, TaskStep, Told};
use crate::error::{Error, Result, Status};
use crate::protocol::CloseFrame;
use crate::server::Listener;

/// How often a drain looks who is still there.
const DRAIN_ROUND: Duration = Duration::from_millis(32);

impl Listener {
    /// Ends a drain that is under way; connections that were told to close are closing all the same. False if there is none.
    pub fn cancel_drain(&self) -> bool {
        let Some(hall) = &self.hall else { return false };
        let drain = hall.waiting().drain.clone();
        drain.is_some_and(|drain| drain.stop(hall.home.shared(), Error::new(Status::Cancelled, "the operation was cancelled")))
    }

    /// Accepts nobody any more, closes every connection, each at its moment within `spread`, and cuts what is left after `deadline`.
    pub fn begin_drain(
        self: &Arc<Self>,
        recipient: Arc<dyn Recipient>,
        frame: CloseFrame,
        spread: Duration,
        deadline: Duration,
    ) -> Result<()> {
        let hall = self.hall()?;
        let mut waiting = hall.waiting();
        if waiting.drain.is_some() {
            return Err(Error::new(Status::InvalidOperation, "the listener is drained already"));
        }
        let sign = TaskSign::new();
        waiting.drain = Some(Arc::clone(&sign));
        let acceptor = waiting.acceptor.take();
        drop(waiting);
        self.sockets.stop();
        if let Some(acceptor) = acceptor {
            acceptor.stop(hall.home.shared(), Error::new(Status::Cancelled, "the listener is drained"));
        }
        hall.end_accepts(|| Error::new(Status::Cancelled, "the listener is drained"));
        let now = clock::now();
        let end = (!deadline.is_zero()).then(|| now + deadline);
        let drain = Drain {
            recipient,
            frame,
            start: now,
            spread,
            end,
            hall: Arc::clone(hall),
            total: 0,
            waiting: Vec::new(),
            sockets: Vec::new(),
            _member: Member::new(hall.home.shared()),
        };
        hall.home.shared().begin(sign, Box::new(drain));
        Ok(())
    }
}

/// Connections that are closed one after the other.
struct Drain {
    recipient: Arc<dyn Recipient>,
    frame: CloseFrame,
    start: Duration,
    spread: Duration,
    end: Option<Duration>,
    hall: Arc<Hall>,
    total: usize,
    /// Those who were not told yet.
    waiting: Vec<Weak<Socket>>,
    sockets: Vec<Weak<Socket>>,
    _member: Member,
}

impl Drain {
    /// Those who were upgraded since the last round, the first one being all until then. Whether somebody is still on the way.
    fn take_upgraded(&mut self) -> bool {
        let mut waiting = self.hall.waiting();
        let upgraded = std::mem::take(&mut waiting.sockets);
        self.total += upgraded.len();
        self.waiting.extend(upgraded.iter().cloned());
        self.sockets.extend(upgraded);
        waiting.upgrading > 0
    }

    /// Tells as many as should have been told by now.
    fn tell_some(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.start);
        let due = if passed >= self.spread {
            self.total
        } else {
            (self.total as u128 * passed.as_micros() / self.spread.as_micros().max(1)) as usize
        };
        let told = self.total - self.waiting.len();
        for _ in told..due {
            let Some(socket) = self.waiting.pop().and_then(|socket| socket.upgrade()) else { continue };
            let _refused = socket.shutdown(self.frame.clone());
        }
    }
}

impl Task for Drain {
    fn step(&mut self, now: Duration, told: &mut Told) -> TaskStep {
        let is_somebody_coming = self.take_upgraded();
        self.tell_some(now);
        let is_here = |socket: &Arc<Socket>| {
            !socket.signals().is_dropped() && socket.failure().is_none() && !(socket.is_closed() && socket.is_flushed())
        };
        self.sockets.retain(|socket| socket.upgrade().as_ref().is_some_and(is_here));
        let is_late = self.end.is_some_and(|end| now >= end);
        if is_late {
            let reason = Error::new(Status::Cancelled, "the server was drained, and the closing handshake was not done in time");
            for socket in self.sockets.drain(..).filter_map(|socket| socket.upgrade()) {
                socket.fail(&reason);
                socket.stream().shut_down();
            }
        }
        // Who has not asked for anything by the deadline is not waited for.
        if self.sockets.is_empty() && (is_late || !is_somebody_coming) {
            told.event(&self.recipient, OwnedEvent::of(EventKind::Drained));
            return TaskStep::Done;
        }
        TaskStep::Wait(Some(now + DRAIN_ROUND))
    }

    fn sockets(&mut self, _sockets: &mut Vec<RawFd>) {}

    fn stop(&mut self, reason: Error, told: &mut Told) {
        told.event(&self.recipient, OwnedEvent::ended(EventKind::Drained, Err(reason)));
    }
}
