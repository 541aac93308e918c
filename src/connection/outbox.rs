//! What waits to be sent on a connection, and whose turn it is to send.
//!
//! Every outgoing byte is made and written by the holder of the **writer turn**, so no frame is interrupted by another. A receiver
//! that has a pong to send leaves it here and writes only if nobody does; a sender that ends its frame looks again under the same mutex
//! under which it gives up the turn. (A flag beside the mutex would lose the pong that arrives in between.)
//!
//! Out of scope: the writing itself (see [`send`](super::send)) and waiting for the turn (see `driver`).

use std::time::Duration;

use crate::error::{Error, Result, Status};
use crate::protocol::{CloseFrame, Controls, Encoder, Keepalive, Lifecycle, Reply};

/// The state that senders, the receiver and closers share. Guarded by one mutex, held for a few instructions, never across a system call.
#[derive(Debug)]
pub struct Outbox {
    /// The sender's state; absent while somebody has the writer turn.
    turn: Option<Encoder>,
    /// The rest of a frame that was begun and given up: it goes before anything else.
    pub(super) tail: Vec<u8>,
    /// Control frames that wait.
    pub(super) controls: Controls,
    /// The closing handshake.
    pub(super) lifecycle: Lifecycle,
    /// The dead-peer clock.
    pub(super) keepalive: Keepalive,
    /// Once everything here has left, the sending side of the connection ends.
    pub(super) ends_when_empty: bool,
    /// Why the connection is of no use any more.
    failure: Option<Error>,
    /// Why nothing can be sent any more.
    send_failure: Option<Error>,
    /// What the first `ws_close` came to.
    pub(super) closing: Closing,
    /// Threads that wait for the turn.
    pub(super) waiting: u32,
}

/// How far `ws_close` has come.
#[derive(Debug, Default)]
pub(super) enum Closing {
    /// It was not called.
    #[default]
    No,
    /// A thread is inside it.
    UnderWay,
    /// It has ended like this.
    Ended(Result<()>),
}

impl Outbox {
    pub(super) fn new(now: Duration) -> Outbox {
        Outbox {
            turn: Some(Encoder::default()),
            tail: Vec::new(),
            controls: Controls::default(),
            lifecycle: Lifecycle::default(),
            keepalive: Keepalive::new(now),
            ends_when_empty: false,
            failure: None,
            send_failure: None,
            closing: Closing::No,
            waiting: 0,
        }
    }

    /// Takes the writer turn, if it is free.
    pub(super) fn take_turn(&mut self) -> Option<Encoder> {
        self.turn.take()
    }

    /// Gives the writer turn back.
    pub(super) fn put_turn(&mut self, encoder: Encoder) {
        debug_assert!(self.turn.is_none(), "one turn, one holder");
        self.turn = Some(encoder);
    }

    /// Whether nobody has the writer turn.
    pub(super) fn is_turn_free(&self) -> bool {
        self.turn.is_some()
    }

    /// Whether something waits to be written.
    pub(super) fn has_work(&self) -> bool {
        !self.tail.is_empty() || !self.controls.is_empty()
    }

    /// Why the connection failed.
    pub(super) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// The connection has failed; the first reason is the one that is kept.
    pub(super) fn fail(&mut self, error: &Error) {
        self.failure.get_or_insert_with(|| error.clone());
    }

    /// The peer reads no more: later sends fail, but what it sent before can still be received.
    pub(super) fn sending_failed(&mut self, error: Error) {
        self.send_failure.get_or_insert(error);
    }

    /// Whether a data frame may be sent: the failure, or 4317 after a close frame.
    #[inline]
    pub(super) fn check_may_send(&self) -> Result<()> {
        if let Some(failure) = self.failure.as_ref().or(self.send_failure.as_ref()) {
            return Err(failure.clone());
        }
        if self.lifecycle.may_send() {
            return Ok(());
        }
        let who = if self.lifecycle.has_sent_close() { "this side has sent its close frame" } else { "the peer has sent its close frame" };
        Err(Error::new(Status::InvalidOperation, format!("nothing can be sent: {who}")))
    }

    /// This side's close frame goes next; false if one was sent before.
    pub(super) fn put_close(&mut self, frame: CloseFrame) -> bool {
        let first = self.lifecycle.send_close();
        if first {
            self.controls.put_close(frame);
        }
        first
    }

    /// The peer's close frame has come; the answer, if one is due, goes next.
    pub(super) fn receive_close(&mut self, frame: CloseFrame, manual: bool) {
        if let Reply::Send(answer) = self.lifecycle.receive_close(frame, manual) {
            self.controls.put_close(answer);
        }
    }
}
