//! When to ask a silent peer whether it is still there, and when to give it up (RFC 6455 §5.5.2).
//!
//! A ping is due when nothing was received for the interval; the peer is lost when nothing was received for the timeout after a
//! ping that has left. Any byte counts as life: a pong may stand behind a large message. Instants are [`Duration`]s since an
//! epoch of the caller's choice.

use std::time::Duration;

/// What to do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeepaliveStep {
    /// Nothing until this instant; `None`: nothing at all.
    Wait(Option<Duration>),
    /// Send a ping, and say so with [`Keepalive::ping_left`] once it has left.
    SendPing,
    /// The peer did not answer in time.
    PeerLost,
}

/// The keep-alive clock of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keepalive {
    /// When something was last received, as far as anybody looked at the clock. In microseconds: every connection has a clock.
    last_life: u64,
    /// When the ping left: so many milliseconds later.
    left_after: u32,
    ping: Ping,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ping {
    #[default]
    None,
    /// Handed over, not yet on the wire: a full socket buffer is not the peer's silence.
    Waiting,
    Left,
}

impl Keepalive {
    /// A connection that was opened now.
    pub fn new(now: Duration) -> Keepalive {
        Keepalive { last_life: micros(now), left_after: 0, ping: Ping::None }
    }

    /// When something was last received.
    pub fn last_life(&self) -> Duration {
        Duration::from_micros(self.last_life)
    }

    /// Something was received.
    pub fn life(&mut self, now: Duration) {
        self.last_life = micros(now);
        self.ping = Ping::None;
    }

    /// The ping of [`KeepaliveStep::SendPing`] is on the wire.
    pub fn ping_left(&mut self, now: Duration) {
        if self.ping == Ping::Waiting {
            self.ping = Ping::Left;
            self.left_after = u32::try_from(now.saturating_sub(self.last_life()).as_millis()).unwrap_or(u32::MAX);
        }
    }

    /// What is due. `interval` and `timeout` as the program chose them; `None` = off.
    pub fn step(&mut self, now: Duration, interval: Option<Duration>, timeout: Option<Duration>) -> KeepaliveStep {
        let Some(interval) = interval else { return KeepaliveStep::Wait(None) };
        match (self.ping, timeout) {
            (Ping::None, _) => {
                let due = self.last_life() + interval;
                if now < due {
                    return KeepaliveStep::Wait(Some(due));
                }
                self.ping = Ping::Waiting;
                KeepaliveStep::SendPing
            }
            (Ping::Waiting, _) => KeepaliveStep::Wait(None),
            (Ping::Left, None) => KeepaliveStep::Wait(None),
            (Ping::Left, Some(timeout)) => {
                let end = self.last_life() + Duration::from_millis(self.left_after.into()) + timeout;
                if now < end { KeepaliveStep::Wait(Some(end)) } else { KeepaliveStep::PeerLost }
            }
        }
    }
}

/// Enough for half a million years.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Option<Duration> = Some(Duration::from_secs(30));
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(20));

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_silent_peer_is_asked_and_then_given_up() {
        let mut keepalive = Keepalive::new(at(0));
        assert_eq!(keepalive.step(at(29), INTERVAL, TIMEOUT), KeepaliveStep::Wait(Some(at(30))));
        assert_eq!(keepalive.step(at(30), INTERVAL, TIMEOUT), KeepaliveStep::SendPing);
        assert_eq!(keepalive.step(at(60), INTERVAL, TIMEOUT), KeepaliveStep::Wait(None), "the ping has not left");
        keepalive.ping_left(at(60));
        assert_eq!(keepalive.step(at(79), INTERVAL, TIMEOUT), KeepaliveStep::Wait(Some(at(80))));
        assert_eq!(keepalive.step(at(80), INTERVAL, TIMEOUT), KeepaliveStep::PeerLost);
    }

    #[test]
    fn any_byte_is_life() {
        let mut keepalive = Keepalive::new(at(0));
        assert_eq!(keepalive.step(at(30), INTERVAL, TIMEOUT), KeepaliveStep::SendPing);
        keepalive.ping_left(at(30));
        keepalive.life(at(49));
        assert_eq!(keepalive.step(at(50), INTERVAL, TIMEOUT), KeepaliveStep::Wait(Some(at(79))));
    }

    #[test]
    fn both_clocks_can_be_off() {
        let mut keepalive = Keepalive::new(at(0));
        assert_eq!(keepalive.step(at(1_000), None, TIMEOUT), KeepaliveStep::Wait(None));
        assert_eq!(keepalive.step(at(1_000), INTERVAL, None), KeepaliveStep::SendPing);
        keepalive.ping_left(at(1_000));
        assert_eq!(keepalive.step(at(9_000), INTERVAL, None), KeepaliveStep::Wait(None));
    }
}
