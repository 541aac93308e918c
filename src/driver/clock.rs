//! The time, as a distance from the first look at the clock.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Monotonic. The floors below take it as an argument.
pub fn now() -> Duration {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    EPOCH.get_or_init(Instant::now).elapsed()
}
