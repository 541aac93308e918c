//! A time limit of the opening, with the words for its end.

use std::time::Duration;

use crate::error::{Error, Phase, Result, Status};

/// From a moment on, for so long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    timeout: Option<Duration>,
    end: Option<Duration>,
}

impl Limit {
    /// From now on; without a timeout it never ends.
    pub(super) fn new(timeout: Option<Duration>, now: Duration) -> Limit {
        Limit { timeout, end: timeout.map(|timeout| now.saturating_add(timeout)) }
    }

    /// When it ends.
    pub(super) fn end(self) -> Option<Duration> {
        self.end
    }

    /// Whether it has ended.
    pub(super) fn is_over(self, now: Duration) -> bool {
        self.end.is_some_and(|end| now >= end)
    }

    /// 12002 if it has ended; `what` completes the sentence "… within 30000 ms".
    pub(super) fn check(self, now: Duration, phase: Phase, what: &str) -> Result<()> {
        if !self.is_over(now) {
            return Ok(());
        }
        let time = self.timeout.unwrap_or_default().as_millis();
        Err(Error::new(Status::Timeout, format!("{what} within {time} ms")).in_phase(phase))
    }
}
