//! Stopping a thread that waits in a handshake or an accept, and sleeping so that it can be stopped.

use std::io;
use std::time::Duration;

use crate::driver::clock;
use crate::error::{Error, Phase, Result, Status};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::transport::{Bells, Wake, Woken};

/// What other threads hold up to those who wait on one request or listener.
#[derive(Debug, Default)]
pub struct StopSign {
    bells: Bells,
    dropped: AtomicBool,
    cancelled: AtomicBool,
}

impl StopSign {
    /// The handle was closed: every wait ends with 12017, now and later.
    pub fn close(&self) {
        self.dropped.store(true, Ordering::SeqCst);
        self.bells.ring_all();
    }

    /// Ends the wait that is under way with 12017.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        self.bells.ring_all();
    }

    /// A wait begins: a cancel that came before it is over.
    pub fn begin(&self) {
        self.cancelled.store(false, Ordering::SeqCst);
    }

    fn check(&self) -> Result<()> {
        if self.dropped.load(Ordering::SeqCst) {
            return Err(Error::new(Status::Cancelled, "the handle was closed meanwhile"));
        }
        if self.cancelled.swap(false, Ordering::SeqCst) {
            return Err(Error::new(Status::Cancelled, "the operation was cancelled"));
        }
        Ok(())
    }
}

/// A deadline with the words for its end.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    end: Option<Duration>,
    timeout: Option<Duration>,
    phase: Phase,
    what: &'static str,
}

impl Deadline {
    /// From now on; `what` completes the sentence "… within 30000 ms".
    pub fn new(timeout: Option<Duration>, phase: Phase, what: &'static str) -> Deadline {
        Deadline { end: timeout.map(|timeout| clock::now() + timeout), timeout, phase, what }
    }

    /// What is left; 12002 if nothing is.
    pub fn remaining(&self) -> Result<Option<Duration>> {
        let Some(end) = self.end else { return Ok(None) };
        let now = clock::now();
        if now < end {
            return Ok(Some(end - now));
        }
        let time = self.timeout.unwrap_or_default().as_millis();
        Err(Error::new(Status::Timeout, format!("{} within {time} ms", self.what)).in_phase(self.phase))
    }
}

/// Sleeps until `wait` says ready. Ends early with 12017, 12002, or, if the program asked for it, 13006.
pub fn sleep(
    sign: &StopSign,
    deadlines: &[Deadline],
    interruptible: bool,
    wait: impl Fn(&Wake, Option<Duration>) -> io::Result<Woken>,
) -> Result<()> {
    let wake = Wake::of_this_thread().map_err(|error| Error::from_io(Status::Internal, "no descriptor to be woken by", &error))?;
    let hung = sign.bells.hang(wake);
    loop {
        sign.check()?;
        let mut timeout = None;
        for deadline in deadlines {
            let remaining = deadline.remaining()?;
            timeout = [timeout, remaining].into_iter().flatten().min();
        }
        let woken = wait(hung.wake(), timeout).map_err(|error| Error::from_io(Status::Internal, "waiting failed", &error))?;
        match woken {
            Woken::Ready => return sign.check(),
            Woken::Interrupted if interruptible => return Err(Error::new(Status::Interrupted, "a signal ended the wait")),
            Woken::Rung | Woken::TimedOut | Woken::Interrupted => {}
        }
    }
}
