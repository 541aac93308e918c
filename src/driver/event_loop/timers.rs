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

/// The tick at which a moment has passed.
pub fn tick_of(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).div_ceil(TICK_MS)
}

impl Timers {
    /// Looks at `key` at this tick.
    pub fn add(&mut self, tick: u64, key: u32) {
        self.slots.entry(tick).or_default().push(key);
    }

    /// When to look next.
    pub fn next(&self) -> Option<Duration> {
        self.slots.first_key_value().map(|(tick, _)| Duration::from_millis(tick.saturating_mul(TICK_MS)))
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
