//! A client's handshake on an event loop: nobody waits, and its end is an event.
//!
//! Out of scope: the handshake itself (`connection::opening`), and what a request holds ([`Request`](super::Request)).

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use super::Request;
use crate::connection::Connection;
use crate::connection::opening::{Opening, OpeningStep, Reply};
use crate::driver::blocking::Task as Operation;
use crate::driver::event_loop::{Answer, EventKind, Loops, Member, OwnedEvent, Recipient, Shared, Socket, Task, TaskSign, TaskStep, Told};
use crate::error::{Error, Result, Status};
use crate::sync::Mutex;

/// Gives a connection its handle, a child of the request's: the number.
pub type Adopt = fn(parent: &dyn Recipient, child: &Arc<Socket>) -> Result<u64>;

/// What an asynchronous request has besides.
#[derive(Debug)]
pub(super) struct OnLoop {
    loops: Arc<Loops>,
    under_way: Mutex<Option<UnderWay>>,
}

#[derive(Debug)]
struct UnderWay {
    sign: Arc<TaskSign>,
    shared: Arc<Shared>,
    operation: Operation,
}

impl OnLoop {
    pub(super) fn new(loops: Arc<Loops>) -> OnLoop {
        OnLoop { loops, under_way: Mutex::default() }
    }

    /// Ends what is under way of these operations; false if nothing is.
    pub(super) fn stop(&self, operations: &[Operation], reason: Error) -> bool {
        let mut under_way = self.under_way.lock();
        match under_way.take_if(|under_way| operations.contains(&under_way.operation)) {
            Some(found) => {
                drop(under_way);
                found.sign.stop(&found.shared, reason)
            }
            None => false,
        }
    }
}

impl Request {
    /// Whether the request belongs to an asynchronous session.
    pub fn is_async(&self) -> bool {
        self.on_loop.is_some()
    }

    /// The loop that tells of the end of the handle.
    pub fn last_loop(&self, has_listener: bool) -> Option<Arc<Shared>> {
        self.on_loop.as_ref()?.loops.last(has_listener)
    }

    fn on_loop(&self) -> Result<&OnLoop> {
        self.on_loop.as_ref().ok_or_else(|| Error::new(Status::NotSupported, "the session is not asynchronous"))
    }

    /// Begins a handshake; its end is an event for `recipient`.
    pub fn begin_handshake(self: &Arc<Self>, recipient: Arc<dyn Recipient>) -> Result<Answer<()>> {
        self.begin_on_loop(recipient, Operation::Handshake, None)
    }

    /// Hands out the connection, or begins the handshake that it needs; then its end is an event with the connection's handle.
    pub fn begin_upgrade(self: &Arc<Self>, recipient: Arc<dyn Recipient>, adopt: Adopt) -> Result<Answer<Arc<Socket>>> {
        if self.needs_handshake() {
            self.begin_on_loop(recipient, Operation::Upgrade, Some(adopt))?;
            return Ok(Answer::Pending);
        }
        let shared = self.on_loop()?.loops.next()?;
        Ok(Answer::Done(Socket::new(self.take_connection()?, &shared)))
    }

    fn begin_on_loop(self: &Arc<Self>, recipient: Arc<dyn Recipient>, operation: Operation, adopt: Option<Adopt>) -> Result<Answer<()>> {
        let on_loop = self.on_loop()?;
        let shared = on_loop.loops.next()?;
        if shared.is_closed() {
            return Err(Error::new(Status::Cancelled, "the loop was closed"));
        }
        let opening = self.begin_attempt()?;
        let sign = TaskSign::new();
        *on_loop.under_way.lock() = Some(UnderWay { sign: Arc::clone(&sign), shared: Arc::clone(&shared), operation });
        let task = OpeningTask { request: Arc::clone(self), opening, recipient, adopt, member: Member::new(&shared), has_ended: false };
        shared.begin(sign, Box::new(task));
        Ok(Answer::Pending)
    }
}

/// A handshake under way.
struct OpeningTask {
    request: Arc<Request>,
    opening: Opening,
    recipient: Arc<dyn Recipient>,
    /// The upgrade follows.
    adopt: Option<Adopt>,
    member: Member,
    has_ended: bool,
}

impl OpeningTask {
    fn end(&mut self, result: Result<Reply>, told: &mut Told) {
        self.has_ended = true;
        if let Ok(on_loop) = self.request.on_loop() {
            *on_loop.under_way.lock() = None;
        }
        let result = self.request.end_attempt(result);
        let event = match self.adopt {
            None => OwnedEvent::ended(EventKind::Handshaken, result),
            Some(adopt) => match result.and_then(|()| self.upgrade(adopt)) {
                Ok(child) => OwnedEvent { child, ..OwnedEvent::of(EventKind::Upgraded) },
                Err(error) => OwnedEvent::ended(EventKind::Upgraded, Err(error)),
            },
        };
        told.event(&self.recipient, event);
    }

    fn upgrade(&self, adopt: Adopt) -> Result<u64> {
        let connection: Connection = self.request.take_connection()?;
        adopt(&*self.recipient, &Socket::new(connection, self.member.shared()))
    }
}

impl Task for OpeningTask {
    fn step(&mut self, now: Duration, told: &mut Told) -> TaskStep {
        match self.opening.step(now) {
            Ok(OpeningStep::Blocked) => TaskStep::Wait(self.opening.waits().until),
            Ok(OpeningStep::LookUp { host, port }) => TaskStep::LookUp { host, port, until: self.opening.waits().until },
            Ok(OpeningStep::Done(reply)) => {
                self.end(Ok(*reply), told);
                TaskStep::Done
            }
            Err(error) => {
                self.end(Err(error), told);
                TaskStep::Done
            }
        }
    }

    fn sockets(&mut self, sockets: &mut Vec<RawFd>) {
        sockets.extend(self.opening.waits().sockets.iter().map(|(socket, _)| socket.as_raw_fd()));
    }

    fn found(&mut self, addresses: std::io::Result<Vec<std::net::SocketAddr>>) {
        self.opening.found(addresses);
    }

    fn stop(&mut self, reason: Error, told: &mut Told) {
        self.end(Err(reason), told);
    }
}

impl Drop for OpeningTask {
    /// The loop was closed under it: the request is not left in the middle of a handshake.
    fn drop(&mut self) {
        if !self.has_ended {
            let _cancelled = self.request.end_attempt(Err(Error::new(Status::Cancelled, "the loop was closed")));
        }
    }
}
