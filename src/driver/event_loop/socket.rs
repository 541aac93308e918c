//! An open connection on a loop, as calls of the program see it: what can be done at once is done, everything else is left to the loop.
//!
//! In scope: receives that were posted, sends, cancel, and what the loop has to know of the connection. Out of scope: reading and closing
//! (`reading`, `closing`), and everything that a blocking connection has as well ([`Connection`]).

use std::ops::Deref;
use std::sync::Arc;

use super::closing::Closing;
use super::event::{EventKind, OwnedEvent};
use super::posting::{Begun, Beside, Cancelled, Posting, Refused};
use super::timers::tick_of;
use super::{Member, Shared, Wish, answering};
use crate::connection::{Accepted, CallerBuffer, Connection, Manner, Outgoing, Prepared, Received};
use crate::driver::clock;
use crate::error::{Error, Phase, Result, Status};
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// How a call that may wait has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer<T> {
    /// It is done; there is no event.
    Done(T),
    /// It is under way, and ends with exactly one event.
    Pending,
}

/// Where a receive puts what it receives.
#[derive(Debug)]
pub enum Posted {
    /// Into the program's buffer.
    Buffer(CallerBuffer),
    /// Into memory of the loop.
    View,
    /// A whole message, in memory of the library.
    Message,
}

/// A connection that a loop drives.
#[derive(Debug)]
pub struct Socket {
    connection: Connection,
    member: Member,
    /// Its place in the loop, once it has one.
    pub(super) key: AtomicU32,
    /// The batch in which it last had an event.
    pub(super) batch: AtomicU32,
    /// When something was last received, in milliseconds of the clock.
    pub(super) last_life: AtomicU32,
    /// A ping of the library's has gone out, and nothing has come since.
    pub(super) is_asked: AtomicBool,
    /// What was gathered in this batch is going to be written at its end.
    pub(super) is_corked: AtomicBool,
    /// Who receives next, and how far a close or its aftermath has come.
    pub(super) posting: Posting<Posted, Option<Box<Closing>>>,
}

impl Beside for Option<Box<Closing>> {
    fn discards(&self) -> bool {
        self.as_ref().is_some_and(|closing| closing.discards())
    }
}

impl Deref for Socket {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Socket {
    /// A connection for this loop, which does not know it before [`Socket::attach`].
    pub fn new(connection: Connection, of: &Arc<Shared>) -> Arc<Socket> {
        let options = connection.options();
        let is_at_rest = connection.put_to_rest();
        let posting = Posting::new(options.whole_messages, is_at_rest);
        Arc::new(Socket {
            connection,
            member: Member::new(of),
            key: AtomicU32::new(u32::MAX),
            batch: AtomicU32::new(0),
            last_life: AtomicU32::new(0),
            is_asked: AtomicBool::new(false),
            is_corked: AtomicBool::new(false),
            posting,
        })
    }

    /// The loop.
    pub fn shared(&self) -> &Arc<Shared> {
        self.member.shared()
    }

    /// Receives: what is here already, else the receive is posted. 4317 if one is posted, or if messages come as events.
    pub fn receive(self: &Arc<Self>, mut posted: Posted) -> Result<Answer<Received>> {
        if self.shared().is_closed() {
            return Err(loop_closed());
        }
        let begun = self.posting.begin().map_err(refused)?;
        let mut has_more = None;
        if let Begun::Look { is_at_rest } = begun {
            match self.look(is_at_rest, &mut posted) {
                Ok((None, more)) => has_more = Some(more),
                Ok((Some(received), more)) => {
                    self.visit_if(self.posting.end_look(more, received == Received::Close));
                    if received == Received::Close {
                        self.tell_close();
                    }
                    return Ok(Answer::Done(received));
                }
                Err(error) => {
                    self.visit_if(self.posting.fail_look());
                    return Err(self.receive_failed(error));
                }
            }
        }
        let timeout = self.receive_timeout();
        // They go round in two years, and a timeout is 50 days at most. 0 is none.
        let deadline = timeout.map_or(0, |timeout| (tick_of(clock::now() + timeout) as u32).max(1));
        let is_message = matches!(posted, Posted::Message);
        let (result, is_to_be_visited) = self.posting.post(posted, has_more, deadline, is_message);
        self.visit_if(is_to_be_visited);
        result.map_err(refused)?;
        if timeout.is_some() {
            self.shared().wish(Wish::Look(Arc::clone(self)));
        }
        Ok(Answer::Pending)
    }

    fn look(&self, is_at_rest: bool, posted: &mut Posted) -> Result<(Option<Received>, bool)> {
        if is_at_rest { self.check_at_rest().map(|()| (None, false)) } else { self.take_held(posted) }
    }

    /// Asks the loop for a visit.
    fn visit_if(self: &Arc<Self>, is_due: bool) {
        if is_due {
            self.shared().wish(Wish::Ready(Arc::clone(self)));
        }
    }

    /// Receives a view: where the bytes are, until the event or the batch is over. Except on the thread that drives the loop it is always posted.
    pub fn receive_view(self: &Arc<Self>) -> Result<Answer<(*const u8, Received)>> {
        match self.receive(Posted::View)? {
            Answer::Done(received) => Ok(Answer::Done((self.shared().lent.lock().last(), received))),
            Answer::Pending => Ok(Answer::Pending),
        }
    }

    /// What the library holds already, and whether it holds more. Whole messages are left to the loop.
    fn take_held(&self, posted: &mut Posted) -> Result<(Option<Received>, bool)> {
        let mut claim = self.claim_receive()?;
        let half = claim.half();
        let received = match posted {
            Posted::Message => {
                half.check_whole()?;
                return Ok((None, half.has_held()));
            }
            Posted::Buffer(buffer) => {
                half.begin_piece()?;
                half.take_held(&self.connection, buffer.memory())?
            }
            Posted::View if !self.shared().is_driver() => return Ok((None, half.has_held())),
            Posted::View => {
                half.begin_piece()?;
                let mut lent = self.shared().lent.lock();
                let received = half.take_held(&self.connection, lent.room())?;
                if let Some(Received::Piece(piece)) = received {
                    lent.lend(piece.length);
                }
                received
            }
        };
        Ok((received, half.has_held()))
    }

    /// A receive has failed: what becomes of the connection.
    pub(super) fn receive_failed(self: &Arc<Self>, error: Error) -> Error {
        match error.status() {
            Status::Timeout | Status::Cancelled | Status::InvalidOperation | Status::NotEnoughMemory | Status::Internal => error,
            Status::PeerLost | Status::Connection => {
                self.connection.fail(&error);
                self.connection.stream().shut_down();
                // The first reason explains everything after it.
                self.connection.failure().unwrap_or(error)
            }
            // RFC 6455 §7.1.7: the close frame that says why has been sent; it must not be destroyed by a reset.
            _ => {
                self.linger();
                error
            }
        }
    }

    /// Sends a frame, or queues it.
    #[inline]
    pub fn send(self: &Arc<Self>, message: &Outgoing<'_>, told: Option<usize>) -> Result<Accepted> {
        answering::leave(self);
        let manner = Manner { limit: self.queue_limit(), is_corked: self.may_gather(), told };
        let accepted = self.connection.send_or_queue(message, manner)?;
        self.after_send(accepted, manner);
        Ok(accepted)
    }

    /// Sends a prepared message, or queues it.
    pub fn send_prepared(self: &Arc<Self>, message: &Prepared) -> Result<Accepted> {
        answering::leave(self);
        let manner = Manner { limit: self.queue_limit(), is_corked: self.may_gather(), told: None };
        let accepted = self.connection.send_prepared_or_queue(message, manner)?;
        self.after_send(accepted, manner);
        Ok(accepted)
    }

    /// Whether what is sent now is gathered until the end of the batch: the thread of the loop answers an event.
    #[inline]
    fn may_gather(&self) -> bool {
        // Relaxed: only the thread that drives the loop, which wrote it, may find the batch the same.
        let shared = self.shared();
        shared.is_driver() && self.batch.load(Ordering::Relaxed) == shared.batch()
    }

    #[inline]
    fn after_send(self: &Arc<Self>, accepted: Accepted, manner: Manner) {
        match accepted {
            Accepted::Full => {
                self.connection.flush();
            }
            Accepted::Queued if manner.is_corked && !self.is_corked.load(Ordering::Relaxed) => {
                self.is_corked.store(true, Ordering::Relaxed);
                self.shared().cork(Arc::clone(self));
            }
            Accepted::Queued | Accepted::Written => {}
        }
        if manner.told.is_some() && accepted != Accepted::Queued {
            self.shared().wish(Wish::Flushed(Arc::clone(self)));
        }
    }

    /// What was gathered was written: is there anybody to be told?
    pub(super) fn after_flush(self: &Arc<Self>) {
        if self.wants_news() {
            self.shared().wish(Wish::Flushed(Arc::clone(self)));
        }
    }

    /// Messages come as events from now on, or no longer; 4317 while a receive is posted.
    pub fn set_whole(self: &Arc<Self>, is_whole: bool) -> Result<()> {
        let is_due = self.posting.set_whole(is_whole).map_err(refused)?;
        self.visit_if(is_due);
        Ok(())
    }

    /// Ends a receive that is posted; false if there is none.
    pub fn cancel_receive(self: &Arc<Self>, reason: Error) -> bool {
        match self.posting.cancel() {
            Cancelled::Nothing => return false,
            Cancelled::Taken => self.tell(OwnedEvent::ended(EventKind::Received, Err(reason))),
            Cancelled::Later => {}
        }
        true
    }

    /// Has the loop tell the program.
    pub(super) fn tell(self: &Arc<Self>, event: OwnedEvent) {
        self.shared().wish(Wish::TellSocket(Arc::clone(self), event));
    }

    /// The handle was closed: everything that is pending ends with 12017, and then the handle's last event comes.
    pub fn detach(self: &Arc<Self>) {
        answering::leave(self);
        self.connection.drop_connection();
        self.shared().wish(Wish::Detach(Arc::clone(self)));
    }
}

fn refused(why: Refused) -> Error {
    let sentence = match why {
        Refused::Whole => "messages come as events (WS_OPTION_WHOLE_MESSAGES)",
        Refused::Pending => "a receive is pending already",
    };
    Error::new(Status::InvalidOperation, sentence)
}

/// What a posted receive ends with when nobody drives the loop any more.
pub(super) fn loop_closed() -> Error {
    Error::new(Status::Cancelled, "the loop was closed")
}

/// What ends with the handle.
pub(super) fn handle_closed() -> Error {
    Error::new(Status::Cancelled, "the handle was closed meanwhile").in_phase(Phase::WebSocket)
}
