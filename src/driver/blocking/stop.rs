//! Stopping a thread that waits in a handshake or an accept, and sleeping so that it can be stopped.

use std::io;
use std::time::Duration;

use crate::driver::clock;
use crate::error::{Error, Phase, Result, Status};
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::transport::{Bells, Wake, Woken};

/// What a thread does on a request or a listener; the C API's operations that can wait there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// `ws_handshake`.
    Handshake = 0,
    /// `ws_complete_upgrade`, with the handshake inside it.
    Upgrade = 1,
    /// `ws_respond`, likewise.
    Respond = 2,
    /// `ws_accept`.
    Accept = 3,
}

impl Task {
    /// All of them.
    pub const ALL: [Task; 4] = [Task::Handshake, Task::Upgrade, Task::Respond, Task::Accept];
}

/// What other threads hold up to those who wait on one request or listener.
#[derive(Debug, Default)]
pub struct StopSign {
    bells: Bells,
    dropped: AtomicBool,
    tasks: [Threads; Task::ALL.len()],
}

/// The threads that do one task.
#[derive(Debug, Default)]
struct Threads {
    inside: AtomicU32,
    cancels: AtomicU32,
}

impl StopSign {
    /// The handle was closed: every wait ends with 12017, now and later.
    pub fn close(&self) {
        self.dropped.store(true, Ordering::SeqCst);
        self.bells.ring_all();
    }

    /// Ends what is under way of these tasks with 12017; false if nothing is. Not sticky: what begins later waits.
    pub fn cancel(&self, tasks: &[Task]) -> bool {
        let mut found = false;
        for task in tasks {
            let threads = &self.tasks[*task as usize];
            // SeqCst, as below: a thread that is seen inside has read the number of cancels before.
            if threads.inside.load(Ordering::SeqCst) > 0 {
                threads.cancels.fetch_add(1, Ordering::SeqCst);
                found = true;
            }
        }
        if found {
            self.bells.ring_all();
        }
        found
    }

    /// A thread begins a task.
    pub fn begin(&self, task: Task) -> Stay<'_> {
        let threads = &self.tasks[task as usize];
        let cancels = threads.cancels.load(Ordering::SeqCst);
        threads.inside.fetch_add(1, Ordering::SeqCst);
        Stay { sign: self, threads, cancels }
    }

    /// Wakes whoever waits, to look again.
    pub fn ring(&self) {
        self.bells.ring_all();
    }
}

/// A thread's stay in a task, until it is dropped.
#[derive(Debug)]
pub struct Stay<'s> {
    sign: &'s StopSign,
    threads: &'s Threads,
    /// How many cancels there had been when it began.
    cancels: u32,
}

impl Stay<'_> {
    fn check(&self) -> Result<()> {
        if self.sign.dropped.load(Ordering::SeqCst) {
            return Err(Error::new(Status::Cancelled, "the handle was closed meanwhile"));
        }
        if self.threads.cancels.load(Ordering::SeqCst) != self.cancels {
            return Err(Error::new(Status::Cancelled, "the operation was cancelled"));
        }
        Ok(())
    }
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        self.threads.inside.fetch_sub(1, Ordering::SeqCst);
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
        Deadline::since(clock::now(), timeout, phase, what)
    }

    /// The same, from an earlier moment on.
    pub fn since(start: Duration, timeout: Option<Duration>, phase: Phase, what: &'static str) -> Deadline {
        Deadline { end: timeout.map(|timeout| start + timeout), timeout, phase, what }
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
    stay: &Stay<'_>,
    deadlines: &[Deadline],
    interruptible: bool,
    wait: impl Fn(&Wake, Option<Duration>) -> io::Result<Woken>,
) -> Result<()> {
    let wake = Wake::of_this_thread().map_err(|error| Error::from_io(Status::Internal, "no descriptor to be woken by", &error))?;
    let hung = stay.sign.bells.hang(wake);
    loop {
        stay.check()?;
        let mut timeout = None;
        for deadline in deadlines {
            let remaining = deadline.remaining()?;
            timeout = [timeout, remaining].into_iter().flatten().min();
        }
        let woken = wait(hung.wake(), timeout).map_err(|error| Error::from_io(Status::Internal, "waiting failed", &error))?;
        match woken {
            Woken::Ready => return stay.check(),
            Woken::Interrupted if interruptible => return Err(Error::new(Status::Interrupted, "a signal ended the wait")),
            Woken::Rung | Woken::TimedOut | Woken::Interrupted => {}
        }
    }
}

/// Sleeps until `wait` says ready or the time is up: whoever calls finds out which. Ends early with 12017, or, if the program asked for it, 13006.
pub fn sleep_until(
    stay: &Stay<'_>,
    until: Option<Duration>,
    interruptible: bool,
    wait: impl Fn(&Wake, Option<Duration>) -> io::Result<Woken>,
) -> Result<()> {
    let wake = Wake::of_this_thread().map_err(|error| Error::from_io(Status::Internal, "no descriptor to be woken by", &error))?;
    let hung = stay.sign.bells.hang(wake);
    loop {
        stay.check()?;
        let timeout = until.map(|until| until.saturating_sub(clock::now()));
        if timeout == Some(Duration::ZERO) {
            return Ok(());
        }
        let woken = wait(hung.wake(), timeout).map_err(|error| Error::from_io(Status::Internal, "waiting failed", &error))?;
        match woken {
            Woken::Ready => return stay.check(),
            Woken::Interrupted if interruptible => return Err(Error::new(Status::Interrupted, "a signal ended the wait")),
            Woken::Rung | Woken::TimedOut | Woken::Interrupted => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_ends_every_stay_that_is_under_way_and_no_later_one() {
        let sign = StopSign::default();
        assert!(!sign.cancel(&Task::ALL), "nobody is there");
        let (first, second, other) = (sign.begin(Task::Accept), sign.begin(Task::Accept), sign.begin(Task::Respond));
        assert!(!sign.cancel(&[Task::Handshake]));
        assert!(sign.cancel(&[Task::Accept]));
        assert_eq!(first.check().unwrap_err().status(), Status::Cancelled);
        assert_eq!(second.check().unwrap_err().status(), Status::Cancelled);
        assert!(other.check().is_ok());
        assert!(sign.begin(Task::Accept).check().is_ok());
        drop((first, second));
        assert!(!sign.cancel(&[Task::Accept]), "nobody is left");
        assert!(sign.cancel(&Task::ALL));
        assert!(other.check().is_err());
        sign.close();
        assert!(sign.begin(Task::Accept).check().is_err(), "a closed handle stays closed");
    }
}
