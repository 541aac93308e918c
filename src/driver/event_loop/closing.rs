//! The closing handshake (RFC 6455 §7.1) and its aftermath, without anybody who waits for them.
//!
//! Out of scope: what close frames say (`connection::closing`).

use std::sync::Arc;
use std::time::Duration;

use super::event::{EventKind, OwnedEvent};
use super::socket::{Answer, Socket};
use super::{Wish, answering, socket};
use crate::connection::{CloseSent, Progress};
use crate::driver::clock;
use crate::error::{Error, Phase, Result, Status};
use crate::protocol::{CloseFrame, Role};

/// How long the client waits for the server to end the TCP connection first, and how long a side that has failed the connection reads on.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How far it is.
#[derive(Debug)]
pub(super) struct Closing {
    pub stage: Stage,
    /// When the stage ends whatever happens.
    pub end: Option<Duration>,
    /// When all of it does.
    pub whole: Option<Duration>,
    /// An operation of the program waits for this.
    pub waits: Option<EventKind>,
    pub timeout: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// This side's close frame has not left.
    Shutdown,
    /// The peer's close frame has not come.
    Exchange,
    /// Both were exchanged, and the server has not ended the TCP connection yet.
    WaitForEnd,
    /// The connection has failed; the peer's system must not answer with a reset before it has read why.
    Linger,
}

impl Closing {
    /// Whether what still comes is of no use. A shutdown leaves the receiving side open, also while its frame has not left.
    pub fn discards(&self) -> bool {
        self.stage != Stage::Shutdown
    }
}

impl Socket {
    /// Sends the close frame and leaves the receiving side open. WinHttpWebSocketShutdown.
    pub fn shutdown(self: &Arc<Self>, frame: CloseFrame) -> Result<Answer<()>> {
        answering::leave(self);
        let sent = self.send_close(frame)?;
        if sent == CloseSent::Before {
            return Err(Error::new(Status::InvalidOperation, "this side has sent its close frame already"));
        }
        self.is_corked.store(false, std::sync::atomic::Ordering::Relaxed);
        let timeout = self.options().close_timeout;
        if self.flush() == Some(Progress::Done) || self.is_flushed() {
            self.check_sending().or_else(|error| if sent == CloseSent::ByLibrary { Ok(()) } else { Err(error) })?;
            if self.is_closed() && self.role() == Role::Server {
                self.end_sending_when_flushed();
            }
            return Ok(Answer::Done(()));
        }
        self.begin(Stage::Shutdown, timeout, EventKind::ShutdownComplete);
        Ok(Answer::Pending)
    }

    /// The whole closing handshake; repeated, it returns the first result. WinHttpWebSocketClose.
    pub fn close(self: &Arc<Self>, frame: CloseFrame) -> Result<Answer<()>> {
        answering::leave(self);
        if let Some(result) = self.begin_close() {
            return result.map(Answer::Done);
        }
        self.cancel_receive(Error::new(Status::Cancelled, "the connection was closed meanwhile"));
        let sent = match self.send_close(frame) {
            Ok(sent) => sent,
            Err(error) => return self.end_close(Err(error)).map(Answer::Done),
        };
        self.flush();
        self.after_flush();
        if sent == CloseSent::ByLibrary && self.is_closed() && self.is_flushed() {
            self.end_tcp();
            return self.end_close(Ok(())).map(Answer::Done);
        }
        self.begin(Stage::Exchange, self.options().close_timeout, EventKind::CloseComplete);
        Ok(Answer::Pending)
    }

    fn begin(self: &Arc<Self>, stage: Stage, timeout: Option<Duration>, waits: EventKind) {
        let end = timeout.map(|timeout| clock::now() + timeout);
        let mut state = self.posting.lock();
        let before = state.beside.replace(Box::new(Closing { stage, end, whole: end, waits: Some(waits), timeout }));
        // What was read ahead may hold the peer's close frame already, and then the socket has nothing more to say.
        let reads = stage == Stage::Exchange && state.queue();
        drop(state);
        if reads {
            self.shared().wish(Wish::Ready(Arc::clone(self)));
        }
        // A close takes over from a shutdown that waits: the frame that it has queued leaves before anything of the close.
        if let Some(waits) = before.and_then(|closing| closing.waits) {
            self.tell(OwnedEvent::ended(waits, Ok(())));
        }
        self.shared().wish(Wish::Look(Arc::clone(self)));
    }

    /// The connection has failed: reads on for a moment, so that the system does not answer what still comes with a reset.
    pub(super) fn linger(self: &Arc<Self>) {
        let end = Some(clock::now() + LAST_WORDS);
        let mut state = self.posting.lock();
        state.beside = Some(Box::new(Closing { stage: Stage::Linger, end, whole: end, waits: None, timeout: Some(LAST_WORDS) }));
        state.end();
        drop(state);
        self.shared().wish(Wish::Look(Arc::clone(self)));
    }

    /// Ends a close or shutdown that waits; false if there is none.
    pub fn cancel_close(self: &Arc<Self>, kinds: &[EventKind], reason: Error) -> bool {
        let mut state = self.posting.lock();
        let Some(waits) = state.beside.as_mut().and_then(|closing| closing.waits.take_if(|waits| kinds.contains(waits))) else {
            return false;
        };
        state.beside = None;
        drop(state);
        self.end_waiting(waits, Err(reason));
        true
    }

    /// What waited for the close has ended.
    fn end_waiting(self: &Arc<Self>, waits: EventKind, result: Result<()>) {
        let result = if waits == EventKind::CloseComplete { self.end_close(result) } else { result };
        self.tell(OwnedEvent::ended(waits, result));
    }

    /// This side's end, behind all that waits. RFC 6455 §7.1.1: a server's comes first, so that it is the one that keeps TIME_WAIT.
    fn end_tcp(&self) {
        self.end_sending_when_flushed();
    }

    /// Goes on with a close: after something was received or written, or when a deadline may have passed. When to look again.
    pub(super) fn step_closing(self: &Arc<Self>, now: Duration) -> Option<Duration> {
        let mut state = self.posting.lock();
        let closing = state.beside.as_mut()?;
        let (stage, waits) = (closing.stage, closing.waits);
        let is_late = closing.end.is_some_and(|end| end <= now);
        match stage {
            Stage::Shutdown if self.is_flushed() => {
                state.beside = None;
                drop(state);
                let result = self.check_sending();
                if self.is_closed() && self.role() == Role::Server {
                    self.end_sending_when_flushed();
                }
                waits.inspect(|waits| self.end_waiting(*waits, result.clone()));
                None
            }
            Stage::Exchange if self.is_closed() && self.is_flushed() => {
                if self.role() == Role::Client {
                    closing.stage = Stage::WaitForEnd;
                    let end = now + LAST_WORDS;
                    closing.end = Some(closing.whole.map_or(end, |whole| whole.min(end)));
                    return closing.end;
                }
                state.beside = None;
                drop(state);
                self.end_tcp();
                waits.inspect(|waits| self.end_waiting(*waits, Ok(())));
                None
            }
            Stage::Shutdown | Stage::Exchange if !is_late => closing.end,
            Stage::Shutdown | Stage::Exchange => {
                let time = closing.timeout.unwrap_or_default().as_millis();
                state.beside = None;
                drop(state);
                let error =
                    Error::new(Status::Timeout, format!("the closing handshake was not done within {time} ms")).in_phase(Phase::Close);
                waits.inspect(|waits| self.end_waiting(*waits, Err(error.clone())));
                None
            }
            Stage::WaitForEnd | Stage::Linger if !is_late => closing.end,
            Stage::WaitForEnd | Stage::Linger => {
                drop(state);
                self.end_reached();
                None
            }
        }
    }

    /// The peer has ended the TCP connection, or has had its time to.
    pub(super) fn end_reached(self: &Arc<Self>) {
        let mut state = self.posting.lock();
        let Some(closing) = state.beside.take_if(|closing| matches!(closing.stage, Stage::WaitForEnd | Stage::Linger)) else { return };
        drop(state);
        if closing.stage == Stage::Linger {
            self.stream().shut_down();
        } else {
            self.end_tcp();
        }
        if let Some(waits) = closing.waits {
            self.end_waiting(waits, Ok(()));
        }
    }

    /// The connection has failed while it was being closed.
    pub(super) fn closing_failed(self: &Arc<Self>, error: &Error) {
        self.fail(error);
        let closing = self.posting.lock().beside.take();
        if let Some(waits) = closing.and_then(|closing| closing.waits) {
            let error = if self.signals().is_dropped() { socket::handle_closed() } else { error.clone() };
            self.end_waiting(waits, Err(error));
        }
    }
}
