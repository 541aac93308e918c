//! What a component does because of the time: the limits of both handshakes, keep-alive, and the moment after the last frame.
//!
//! Out of scope: the clock, which is an argument. A limit counts from the first moment at which the program asked for actions.

use std::time::Duration;

use super::{Component, Surroundings};
use crate::error::{Error, Phase, Status};
use crate::protocol::Role;
use crate::protocol::keepalive::{Keepalive, KeepaliveStep};

/// How long a side waits for the other one to end the transport, when everything was said. RFC 6455 §7.1.1: a client leaves that to the server.
const LINGER: Duration = Duration::from_secs(1);

/// When the things began that may not last for ever.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    handshake: Option<Duration>,
    ending: Option<Duration>,
    linger: Option<Duration>,
}

impl Component {
    /// Does what is due, and says when to look again.
    pub(super) fn run_clocks(&mut self, around: &Surroundings<'_>) -> Option<Duration> {
        if self.is_over {
            None
        } else if self.opening.is_under_way() {
            self.run_handshake(around)
        } else if !self.opening.is_open() {
            // The program may take its time to decide; its answer has the whole limit again.
            self.clocks.handshake = None;
            None
        } else if self.failure.is_some() || self.lifecycle.has_sent_close() {
            self.run_ending(around)
        } else {
            self.run_keepalive(around)
        }
    }

    fn run_handshake(&mut self, around: &Surroundings<'_>) -> Option<Duration> {
        if self.opening.is_refusing() && self.sending.is_empty() {
            self.end();
            return None;
        }
        let began = *self.clocks.handshake.get_or_insert(around.now);
        let due = began + around.options.handshake_timeout?;
        if around.now < due {
            return Some(due);
        }
        let limit = (due - began).as_millis();
        let error = Error::new(Status::Timeout, format!("the handshake was not done within {limit} ms")).in_phase(Phase::Http);
        self.fail_opening(error.clone());
        self.lose(error);
        None
    }

    /// This side has said its last word, or is about to.
    fn run_ending(&mut self, around: &Surroundings<'_>) -> Option<Duration> {
        let now = around.now;
        let is_done = self.failure.is_some() || self.lifecycle.is_closed();
        let linger = if is_done && self.sending.is_empty() {
            // RFC 6455 §7.1.1: the server ends the transport first, once both have said goodbye.
            let linger = if self.role == Role::Server && self.failure.is_none() { Duration::ZERO } else { LINGER };
            Some(*self.clocks.linger.get_or_insert(now) + linger)
        } else {
            None
        };
        let began = *self.clocks.ending.get_or_insert(now);
        let limit = around.options.close_timeout.map(|timeout| began + timeout);
        if linger.is_some_and(|due| now >= due) {
            self.end();
            return None;
        }
        if let Some(due) = limit.filter(|due| now >= *due) {
            if !is_done {
                let message = format!("the closing handshake was not done within {} ms", (due - began).as_millis());
                self.fail(Error::new(Status::Timeout, message).in_phase(Phase::Close));
            }
            self.end();
            return None;
        }
        [linger, limit].into_iter().flatten().min()
    }

    fn run_keepalive(&mut self, around: &Surroundings<'_>) -> Option<Duration> {
        let (now, options) = (around.now, around.options);
        let keepalive = self.keepalive.get_or_insert_with(|| Keepalive::new(now));
        if self.is_blocked {
            // The answer may lie behind data that the program does not take.
            keepalive.life(now);
        }
        if !self.lifecycle.may_send() {
            return None;
        }
        loop {
            match keepalive.step(now, options.keepalive_interval, options.keepalive_timeout) {
                KeepaliveStep::Wait(until) => return until,
                KeepaliveStep::SendPing => self.sending.put_ping(&[]),
                KeepaliveStep::PeerLost => break,
            }
        }
        let timeout = options.keepalive_timeout.unwrap_or_default().as_millis();
        let message = format!("the peer did not answer a ping within {timeout} ms");
        self.lose(Error::new(Status::PeerLost, message).in_phase(Phase::WebSocket).with_close_status(1006));
        None
    }
}
