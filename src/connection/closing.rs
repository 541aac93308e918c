//! How a connection ends: the closing handshake, failing, and dropping.
//!
//! Out of scope: waiting for the peer (`driver`), and what close frames may say (`protocol`).

use std::io;

use super::outbox::Closing;
use super::send::send_error;
use super::{Connection, Operation};
use crate::error::{Error, Result, Status};
use crate::protocol::{CloseFrame, CloseStatus, Role, Violation};

/// Whose close frame it is that this side has sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseSent {
    /// The one that was just queued.
    Now,
    /// An earlier one of the program's.
    Before,
    /// The library's own answer to the peer's.
    ByLibrary,
}

/// A thread that closes, for whoever wants to cancel it.
#[derive(Debug)]
pub struct Closer<'c>(&'c Connection);

impl Drop for Closer<'_> {
    fn drop(&mut self) {
        self.0.outbox().closers -= 1;
    }
}

impl Connection {
    /// A thread is inside `ws_close` or `ws_shutdown` until the guard is dropped.
    pub fn enter_close(&self) -> Closer<'_> {
        self.outbox().closers += 1;
        Closer(self)
    }

    /// Why nothing can be sent any more, if that is so.
    pub fn check_sending(&self) -> Result<()> {
        self.outbox().send_failure().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    /// Queues this side's close frame, unless one was sent before.
    pub fn send_close(&self, frame: CloseFrame) -> Result<CloseSent> {
        let mut outbox = self.outbox();
        if let Some(failure) = outbox.failure() {
            return Err(failure.clone());
        }
        Ok(match (outbox.put_close(frame), outbox.lifecycle.has_answered()) {
            (true, _) => CloseSent::Now,
            (false, true) => CloseSent::ByLibrary,
            (false, false) => CloseSent::Before,
        })
    }

    /// The peer's close frame has come: it is answered here, unless the program wants to do that.
    pub(super) fn receive_close(&self, frame: CloseFrame) {
        let manual = self.hot.manual_close();
        let mut outbox = self.outbox();
        outbox.receive_close(frame, manual);
        // RFC 6455 §7.1.1: the server ends the TCP connection first.
        outbox.ends_when_empty = self.role() == Role::Server && outbox.lifecycle.is_closed();
        self.flush_locked(outbox);
    }

    /// `ws_close` begins: `Some` if it has nothing to do but return this.
    pub fn begin_close(&self) -> Option<Result<()>> {
        let mut outbox = self.outbox();
        match outbox.closing() {
            Closing::Ended(result) => return Some(result),
            Closing::UnderWay => {
                return Some(Err(Error::new(Status::InvalidOperation, "another thread is closing the connection")));
            }
            Closing::No => {}
        }
        if let Some(failure) = outbox.failure() {
            return Some(Err(failure.clone()));
        }
        outbox.set_closing(Closing::UnderWay);
        drop(outbox);
        self.bar_receives();
        self.signals.close_now();
        self.wake_all();
        None
    }

    /// `ws_close` has ended; later calls return the same. After an error the TCP connection is gone too.
    pub fn end_close(&self, result: Result<()>) -> Result<()> {
        self.outbox().set_closing(Closing::Ended(result.clone()));
        if result.is_err() {
            self.stream.shut_down();
        }
        result
    }

    /// Nothing more will be sent once everything that waits has left.
    pub fn end_sending_when_flushed(&self) {
        self.outbox().ends_when_empty = true;
        self.flush();
    }

    /// Whether both close frames were exchanged.
    pub fn is_closed(&self) -> bool {
        self.outbox().lifecycle.is_closed()
    }

    /// Bit 0: a close frame was sent; bit 1: one was received.
    pub fn close_state(&self) -> u32 {
        let outbox = self.outbox();
        u32::from(outbox.lifecycle.has_sent_close()) | u32::from(outbox.lifecycle.received().is_some()) << 1
    }

    /// The peer's close status and reason, 1005 for a close frame without one; 4317 before it has come.
    pub fn peer_close(&self) -> Result<(u16, Vec<u8>)> {
        self.outbox().lifecycle.told()
    }

    /// Tells the log of the close frames that have come and gone since it was last told. A driver calls this when it holds nothing of the
    /// connection any more, because the log is the program's code and may do anything with the same handle.
    pub fn log_close_frames(&self) {
        if !log::log_enabled!(log::Level::Debug) {
            return;
        }
        let notes = self.outbox().take_unlogged();
        if notes.is_empty() {
            return;
        }
        let peer = self.remote_address().unwrap_or_default();
        for note in notes {
            log::debug!("{peer}: close frame {} {}; its reason has {} bytes", note.status, note.what, note.reason_length);
        }
    }

    /// Why the connection failed.
    pub fn failure(&self) -> Option<Error> {
        self.outbox().failure().cloned()
    }

    /// The connection is of no use any more; the first reason is the one that is kept.
    pub fn fail(&self, error: &Error) {
        self.outbox().fail(error);
        self.bar_receives();
    }

    /// RFC 6455 §7.1.7: tells the peer why, and sends nothing after it.
    pub(super) fn fail_with(&self, violation: Violation) -> Error {
        let error = Error::from(violation);
        // What was sent before goes before the last word, as far as the socket takes it.
        self.flush();
        let mut outbox = self.outbox();
        outbox.fail(&error);
        outbox.abandon_queue();
        outbox.put_close(CloseFrame::of(CloseStatus::new(violation.close_status()).unwrap_or_default()));
        outbox.ends_when_empty = true;
        self.flush_locked(outbox);
        self.bar_receives();
        error
    }

    /// The peer takes no more bytes.
    pub(super) fn sending_failed(&self, error: &io::Error) -> Error {
        let error = send_error(error);
        self.outbox().sending_failed(error.clone());
        error
    }

    /// `ws_close_handle`: drops the connection, sends no close frame, and ends every call that is inside it with 12017.
    pub fn drop_connection(&self) {
        self.signals.drop_now();
        self.stream.shut_down();
        self.wake_all();
    }

    /// `ws_cancel`: ends the waits of an operation; false if there are none.
    pub fn cancel(&self, operation: Operation) -> bool {
        let waits = match operation {
            Operation::Receive => self.is_receiving() && !self.signals.is_closing(),
            Operation::Send => self.outbox().is_sending(),
            Operation::Close => self.outbox().closers > 0,
        };
        if waits {
            self.signals.cancel(operation);
            self.wake_all();
        }
        waits
    }

    fn wake_all(&self) {
        self.bells.ring_all();
        // Under the mutex, so that a thread between its check and its wait is not missed.
        let _outbox = self.outbox.lock();
        self.turn_free.notify_all();
    }
}
