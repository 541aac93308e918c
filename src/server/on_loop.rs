//! A server on event loops: accepting, request heads, answers and draining, none of which anybody waits for.
//!
//! A listener accepts on its own loop and hands each connection to a loop of its session in turn, where it stays. Out of scope: what a listener
//! admits, and what a request holds ([`Request`]).

mod accepting;
mod draining;
mod requests;

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use super::{Listener, Request};
use crate::driver::blocking::Task as Operation;
use crate::driver::event_loop::{EventKind, Loops, Member, OwnedEvent, Recipient, Shared, Socket, TaskSign, Told};
use crate::error::{Error, Result, Status};
use crate::sync::{Mutex, MutexGuard};
pub use requests::RequestOnLoop;

/// Gives a request its handle, a child of the listener's: the number.
pub type AdoptRequest = fn(parent: &dyn Recipient, child: Arc<Request>) -> Result<u64>;
/// The same for a websocket of a request's.
pub type AdoptSocket = fn(parent: &dyn Recipient, request: &Request, child: &Arc<Socket>) -> Result<u64>;

/// What an asynchronous listener has besides.
#[derive(Debug)]
pub struct Hall {
    loops: Arc<Loops>,
    home: Member,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Accepts that nobody has answered.
    posted: u32,
    ready: VecDeque<Arc<Request>>,
    arriving: u32,
    /// Runs from the first accept on.
    acceptor: Option<Arc<TaskSign>>,
    drain: Option<Arc<TaskSign>>,
    is_closed: bool,
    /// Those that were upgraded, for a drain; one that is under way takes what is here in each round.
    sockets: Vec<Weak<Socket>>,
    /// Upgrades whose 101 may have left, and whose socket is not among them yet.
    upgrading: u32,
    recipient: Option<Arc<dyn Recipient>>,
}

impl Hall {
    pub(super) fn new(loops: Arc<Loops>) -> Result<Arc<Hall>> {
        let home = Member::new(&loops.next()?);
        Ok(Arc::new(Hall { loops, home, waiting: Mutex::default() }))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }

    /// Ends accepts and drains that are pending; false if there are none.
    pub(super) fn cancel(&self, operations: &[Operation]) -> bool {
        let reason = || Error::new(Status::Cancelled, "the operation was cancelled");
        operations.contains(&Operation::Accept) && self.end_accepts(reason)
    }

    fn end_accepts(&self, reason: impl Fn() -> Error) -> bool {
        let mut waiting = self.waiting();
        let (posted, recipient) = (std::mem::take(&mut waiting.posted), waiting.recipient.clone());
        drop(waiting);
        for _ in 0..posted {
            if let Some(recipient) = &recipient {
                self.home.shared().tell(Arc::clone(recipient), OwnedEvent::ended(EventKind::Accepted, Err(reason())));
            }
        }
        posted > 0
    }

    /// The handle was closed.
    pub(super) fn close(&self) {
        let reason = || Error::new(Status::Cancelled, "the handle was closed meanwhile");
        self.end_accepts(reason);
        let mut waiting = self.waiting();
        waiting.is_closed = true;
        let (acceptor, drain) = (waiting.acceptor.take(), waiting.drain.take());
        let ready = std::mem::take(&mut waiting.ready);
        waiting.recipient = None;
        drop(waiting);
        for sign in [acceptor, drain].into_iter().flatten() {
            sign.stop(self.home.shared(), reason());
        }
        drop(ready);
    }

    /// A request has come, or will not come after all.
    fn has_arrived(self: &Arc<Self>, request: Option<Arc<Request>>, adopt: AdoptRequest, told: &mut Told) {
        let mut waiting = self.waiting();
        waiting.arriving -= 1;
        let acceptor = waiting.acceptor.clone();
        if let Some(request) = request
            && !waiting.is_closed
        {
            match waiting.recipient.clone() {
                Some(recipient) if waiting.posted > 0 => {
                    waiting.posted -= 1;
                    drop(waiting);
                    let event = match adopt(&*recipient, request) {
                        Ok(child) => OwnedEvent { child, ..OwnedEvent::of(EventKind::Accepted) },
                        Err(error) => OwnedEvent::ended(EventKind::Accepted, Err(error)),
                    };
                    told.event(&recipient, event);
                }
                _ => waiting.ready.push_back(request),
            }
        }
        // There may be room again for those who wait outside.
        if let Some(acceptor) = acceptor {
            self.home.shared().nudge(&acceptor);
        }
    }

    fn remember(&self, socket: &Arc<Socket>) {
        let mut waiting = self.waiting();
        if waiting.sockets.len() == waiting.sockets.capacity() {
            waiting.sockets.retain(|socket| socket.strong_count() > 0);
        }
        waiting.sockets.push(Arc::downgrade(socket));
    }
}

impl Listener {
    /// Whether the listener belongs to an asynchronous session.
    pub fn is_async(&self) -> bool {
        self.hall.is_some()
    }

    /// The loop that tells of the end of the handle.
    pub fn existing_loop(&self) -> Option<Arc<Shared>> {
        self.hall.as_ref().map(|hall| Arc::clone(hall.home.shared()))
    }

    fn hall(&self) -> Result<&Arc<Hall>> {
        self.hall.as_ref().ok_or_else(|| Error::new(Status::NotSupported, "the session is not asynchronous"))
    }
}
