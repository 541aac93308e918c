//! Pings and pongs: answering the peer's, asking after it, and how long the answer took (RFC 6455 §5.5.2, §5.5.3).
//!
//! Out of scope: when somebody looks at the clock (`driver`), and the rules of the clock ([`Keepalive`](crate::protocol::Keepalive)).

use std::time::Duration;

use super::Connection;
use crate::error::{Error, Phase, Result, Status};
use crate::protocol::KeepaliveStep;

/// How long pings took to be answered, and the one under way. Made with the first ping.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundTrips {
    asked: Option<(Box<[u8]>, Duration)>,
    /// Numbers the library's own pings, so that an unasked pong is not taken for an answer.
    next: u32,
    count: u32,
    sum: Duration,
    min: Duration,
    max: Duration,
}

/// Round trips as statistics tell them; zero before the first answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTripTimes {
    /// The shortest.
    pub min: Duration,
    /// The mean.
    pub average: Duration,
    /// The longest.
    pub max: Duration,
}

impl RoundTrips {
    fn ask(&mut self, payload: &[u8], now: Duration) {
        self.asked = Some((payload.into(), now));
    }

    fn answer(&mut self, payload: &[u8], now: Duration) {
        if let Some((_, asked)) = self.asked.take_if(|(expected, _)| **expected == *payload) {
            let time = now.saturating_sub(asked);
            self.min = if self.count == 0 { time } else { self.min.min(time) };
            self.max = self.max.max(time);
            self.sum += time;
            self.count += 1;
        }
    }

    pub(super) fn times(&self) -> RoundTripTimes {
        let average = self.sum.checked_div(self.count).unwrap_or_default();
        RoundTripTimes { min: self.min, average, max: self.max }
    }
}

impl Connection {
    /// A ping has come: the answer is left in the outbox, and written here if nobody is writing.
    pub(super) fn answer_ping(&self, payload: &[u8]) {
        let mut outbox = self.outbox();
        // RFC 6455 §5.5.2 wants an answer until the peer's close frame has come. But a peer that has this side's close frame reads no more, and
        // ends the connection: with a pong unread, by a reset, which can destroy its own close frame on its way here.
        if !outbox.lifecycle.has_sent_close() {
            outbox.pending().controls.put_pong(payload);
            self.flush_locked(outbox);
        }
    }

    /// A pong has come.
    pub(super) fn take_pong(&self, payload: &[u8]) {
        let now = (self.sources.now)();
        if let Some(round_trips) = self.outbox().round_trips() {
            round_trips.answer(payload, now);
        }
    }

    /// Leaves a ping in the outbox, and writes it if nobody is writing; 4317 after a close frame.
    pub fn ping(&self, payload: &[u8]) -> Result<()> {
        let now = (self.sources.now)();
        let mut outbox = self.outbox();
        outbox.check_may_send()?;
        outbox.round_trips_or_new().ask(payload, now);
        outbox.pending().controls.put_ping(payload);
        self.flush_locked(outbox);
        Ok(())
    }

    /// Something was received at this moment, of which the keep-alive clock may not have heard.
    pub fn has_lived_at(&self, at: Duration) {
        let mut outbox = self.outbox();
        if at > outbox.keepalive.last_life() {
            outbox.keepalive.life(at);
        }
    }

    /// Runs the keep-alive clock: when to look again, or 13009. A ping that is due is left in the outbox.
    ///
    /// `is_view_blocked`: unread data lies before whatever the peer may have answered, so its silence means nothing.
    pub fn keep_alive(&self, now: Duration, saw_life: bool, is_view_blocked: bool) -> Result<Option<Duration>> {
        let options = self.options();
        let mut outbox = self.outbox();
        if saw_life || is_view_blocked {
            outbox.keepalive.life(now);
        }
        // No clock runs once either side has sent its close frame: nobody would look at the answer.
        if !outbox.lifecycle.may_send() || outbox.failure().is_some() {
            return Ok(None);
        }
        if !outbox.has_work() && outbox.is_turn_free() {
            outbox.keepalive.ping_left(now);
        }
        match outbox.keepalive.step(now, options.keepalive_interval, options.keepalive_timeout) {
            KeepaliveStep::Wait(until) => Ok(until),
            KeepaliveStep::SendPing => {
                let round_trips = outbox.round_trips_or_new();
                round_trips.next = round_trips.next.wrapping_add(1);
                let payload = round_trips.next.to_be_bytes();
                round_trips.ask(&payload, now);
                outbox.pending().controls.put_ping(&payload);
                Ok(Some(now))
            }
            KeepaliveStep::PeerLost => {
                let timeout = options.keepalive_timeout.unwrap_or_default();
                let message = format!("the peer did not answer a ping within {} ms", timeout.as_millis());
                Err(Error::new(Status::PeerLost, message).in_phase(Phase::WebSocket).with_close_status(1006))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_the_last_ping_counts() {
        let ms = Duration::from_millis;
        let mut round_trips = RoundTrips::default();
        assert_eq!(round_trips.times(), RoundTripTimes::default());
        round_trips.ask(b"a", ms(100));
        round_trips.answer(b"unasked", ms(101));
        round_trips.answer(b"a", ms(110));
        round_trips.answer(b"a", ms(500));
        round_trips.ask(b"b", ms(200));
        round_trips.answer(b"b", ms(230));
        assert_eq!(round_trips.times(), RoundTripTimes { min: ms(10), average: ms(20), max: ms(30) });
    }
}
