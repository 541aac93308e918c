//! When to look at what: one small number a deadline, no object a connection.
//!
//! Deadlines are kept in ticks of 16 ms. A deadline that has become obsolete is not taken out: whoever is looked at finds that nothing is due, and
//! says when to look again. Out of scope: what is done then.

use std::collections::BTreeMap;
use std::time::Duration;

/// What deadlines are rounded up to.
pub const TICK_MS: u64 = 16;

/// Deadlines of things with a key.
#[derive(Debug, Default)]
pub struct Timers {
    slots: BTreeMap<u64, Vec<u32>>,
}

/// The tick at which a moment has passed. A part of a millisecond counts: rounded down, the tick would come before the moment, and whoever is looked
/// at then would name the same tick again, for ever.
pub fn tick_of(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(u128::from(TICK_MS) * 1_000_000)).unwrap_or(u64::MAX)
}

/// The last tick that has passed at this moment.
pub fn tick_at(time: Duration) -> u64 {
    u64::try_from(time.as_millis() / u128::from(TICK_MS)).unwrap_or(u64::MAX)
}

/// The moment of a tick.
pub fn time_of(tick: u64) -> Duration {
    Duration::from_millis(tick.saturating_mul(TICK_MS))
}

impl Timers {
    /// Looks at `key` at this tick.
    pub fn add(&mut self, tick: u64, key: u32) {
        self.slots.entry(tick).or_default().push(key);
    }

    /// When to look next.
    pub fn next(&self) -> Option<Duration> {
        self.slots.first_key_value().map(|(tick, _)| time_of(*tick))
    }

    /// Takes the next keys that are due, with their tick.
    pub fn take_due(&mut self, now: Duration) -> Option<(u64, Vec<u32>)> {
        let entry = self.slots.first_entry()?;
        let is_due = Duration::from_millis(entry.key().saturating_mul(TICK_MS)) <= now;
        is_due.then(|| entry.remove_entry())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_never_comes_before_its_moment() {
        for nanoseconds in [1, 15_999_999, 16_000_000, 16_000_001, 160_700_000, 10_000_000_000_000_001] {
            let moment = Duration::from_nanos(nanoseconds);
            let mut timers = Timers::default();
            timers.add(tick_of(moment), 1);
            assert_eq!(timers.take_due(moment - Duration::from_nanos(1)), None);
            assert!(timers.next() >= Some(moment) && timers.next() < Some(moment + Duration::from_millis(TICK_MS)));
        }
        assert_eq!(tick_of(Duration::ZERO), 0);
        assert!(tick_of(Duration::MAX) > tick_of(Duration::from_secs(u64::from(u32::MAX))));
    }

    #[test]
    fn what_is_due_comes_in_order_and_never_early() {
        let ms = Duration::from_millis;
        let mut timers = Timers::default();
        for (time, key) in [(100, 1), (1, 2), (100, 3), (16, 4)] {
            timers.add(tick_of(ms(time)), key);
        }
        assert_eq!(timers.next(), Some(ms(16)));
        assert_eq!(timers.take_due(ms(15)), None);
        assert_eq!(timers.take_due(ms(16)), Some((1, vec![2, 4])));
        assert_eq!(timers.take_due(ms(111)), None);
        assert_eq!(timers.take_due(ms(112)), Some((7, vec![1, 3])));
        assert_eq!(timers.next(), None);
    }
}
