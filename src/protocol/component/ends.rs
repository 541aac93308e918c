//! How a component ends: the program gives it up, the peer breaks a rule, the transport ends, or all was said.
//!
//! Out of scope: ends that time brings (`clocks`), and the closing handshake (see [`Lifecycle`](crate::protocol::Lifecycle)).

use super::action::Kind;
use super::{Action, Component, Deed};
use crate::error::{Error, Phase, Status};
use crate::protocol::{CloseFrame, CloseStatus, Violation};

impl Component {
    /// Gives up: whatever waits ends with 12017, and so does the component. Nothing if it has ended.
    pub fn abort(&mut self) {
        if !self.is_over {
            let error = Error::new(Status::Cancelled, "the program has given the connection up");
            self.fail_opening(error.clone());
            self.lose(error);
        }
    }

    /// The last action, when everything else was told.
    pub(super) fn tell_end(&mut self) -> Option<Action> {
        if !self.is_over || self.end_is_told || self.sending.has_done() || self.receiving.has_ended() || self.outcome.is_some() {
            return None;
        }
        self.end_is_told = true;
        let result = self.failure.clone().map_or(Ok(()), Err);
        Some(self.under_way.begin(Kind::Closed, Deed::Closed(result)))
    }

    /// RFC 6455 §7.1.7: tells the peer why, and sends nothing after it.
    pub(super) fn fail_with(&mut self, violation: Violation) {
        self.fail(violation.into());
        if self.lifecycle.send_close() {
            self.sending.put_close(CloseFrame::of(CloseStatus::new(violation.close_status()).unwrap_or_default()));
        }
    }

    /// The connection is of no use any more: what waits ends with the reason.
    pub(super) fn fail(&mut self, error: Error) {
        let reason = self.failure.get_or_insert(error);
        self.sending.give_up_waiting(reason);
        self.receiving.give_up(reason);
    }

    /// The same, and there is nobody left to tell.
    pub(super) fn lose(&mut self, error: Error) {
        self.failure.get_or_insert(error);
        self.end();
    }

    pub(super) fn transport_ended(&mut self) {
        if self.lifecycle.is_closed() || self.failure.is_some() {
            return self.end();
        }
        let error = match &self.opening {
            opening if opening.is_open() => Error::new(Status::Connection, "the transport ended without a close frame")
                .in_phase(Phase::WebSocket)
                .with_close_status(1006),
            _ => Error::new(Status::Connection, "the transport ended in the middle of the handshake").in_phase(Phase::Http),
        };
        self.fail_opening(error.clone());
        self.lose(error);
    }

    /// Nothing more comes or goes.
    pub(super) fn end(&mut self) {
        self.is_over = true;
        self.wants_bytes = false;
        let reason = self.failure.clone().unwrap_or_else(|| Error::new(Status::InvalidOperation, "the connection was closed"));
        self.sending.give_up_all(&reason);
        self.receiving.give_up(&reason);
    }
}
