//! The slow part of a blocking call: what to look at before going to sleep, and for how long to sleep.

use std::time::Duration;

use super::ROOM;
use crate::connection::{Connection, Operation, Progress, ReceiveHalf};
use crate::driver::clock;
use crate::error::{Error, Phase, Result, Status};
use crate::transport::{Interest, Patience, Wake, Woken};

/// A slice of 20 ms lasts up to this long; a deadline nearer than that is waited for exactly.
const LONGEST_SLICE: Duration = Duration::from_millis(25);

/// How long a wait that nobody rings for may last before it looks again: for a ping that another thread is about to send.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// One blocking call's patience: made at its beginning, asked whenever a step is blocked.
#[derive(Debug)]
pub(super) struct Wait<'c> {
    connection: &'c Connection,
    operation: Operation,
    timeout: Option<Duration>,
    /// The clock is read at the beginning only by those who set a timeout.
    deadline: Option<Duration>,
    now: Duration,
    /// How many cancels there had been when the call began.
    cancels: u16,
}

impl<'c> Wait<'c> {
    /// `cancels`: how many there had been when the call began.
    pub(super) fn new(connection: &'c Connection, operation: Operation, timeout: Option<Duration>, cancels: u16) -> Wait<'c> {
        let (now, deadline) = match timeout {
            None => (Duration::ZERO, None),
            Some(timeout) => {
                let now = clock::now();
                (now, Some(now + timeout))
            }
        };
        Wait { connection, operation, timeout, deadline, now, cancels }
    }

    /// Whether the next system call may wait for a slice.
    #[inline]
    pub(super) fn patience(&self) -> Patience {
        match self.deadline {
            Some(deadline) if deadline.saturating_sub(self.now) < LONGEST_SLICE => Patience::None,
            _ => Patience::Slice,
        }
    }

    /// How much of the time is left; 12002 if none is.
    pub(super) fn remaining(&mut self) -> Result<Option<Duration>> {
        self.now = clock::now();
        match self.deadline {
            None => Ok(None),
            Some(deadline) if deadline > self.now => Ok(Some(deadline - self.now)),
            Some(_) => Err(self.timed_out()),
        }
    }

    /// Something has happened, but not what is waited for: is there still time, and does anybody want this to stop?
    pub(super) fn look(&mut self) -> Result<()> {
        self.check(false)?;
        if self.deadline.is_some() {
            self.remaining()?;
        }
        Ok(())
    }

    /// Waits for something to receive, and meanwhile keeps the connection alive and sends what others have left.
    pub(super) fn for_bytes(&mut self, half: &mut ReceiveHalf, interrupted: bool) -> Result<()> {
        self.check(interrupted)?;
        loop {
            let remaining = self.remaining()?;
            let due = self.connection.keep_alive(self.now, half.take_life(), false)?;
            self.connection.flush();
            let alarm = due.map(|due| due.saturating_sub(self.now));
            let timeout = [remaining, alarm, self.pending_ping()].into_iter().flatten().min();
            let interest = Interest { read: true, write: self.connection.wants_to_write() };
            if self.sleep(interest, timeout)? == Woken::Ready {
                return Ok(());
            }
        }
    }

    /// Waits for the socket to take more.
    pub(super) fn for_room(&mut self, interrupted: bool) -> Result<()> {
        self.check(interrupted)?;
        loop {
            let remaining = self.remaining()?;
            if self.sleep(ROOM, remaining)? == Woken::Ready {
                return Ok(());
            }
        }
    }

    /// Waits until the writer turn may be free, with nothing left to write before this call's own bytes.
    pub(super) fn for_turn(&mut self) -> Result<()> {
        self.check(false)?;
        match self.connection.flush() {
            Some(Progress::Done) => Ok(()),
            Some(_) => {
                let connection = self.connection;
                let _in_line = connection.wait_in_line();
                self.for_room(false)
            }
            None => {
                let remaining = self.remaining()?;
                self.connection.wait_for_turn(remaining.unwrap_or(LOOK_AGAIN), || self.check(false).is_err());
                Ok(())
            }
        }
    }

    /// A ping that waits behind another thread's frame: its own clock starts only when it has left, so somebody must look.
    fn pending_ping(&self) -> Option<Duration> {
        (!self.connection.is_flushed()).then_some(LOOK_AGAIN)
    }

    /// One sleep. The bell is hung up first and the reasons to stop are looked at after, so that none is missed.
    fn sleep(&mut self, interest: Interest, timeout: Option<Duration>) -> Result<Woken> {
        let wake = Wake::of_this_thread().map_err(|error| Error::from_io(Status::Internal, "no descriptor to be woken by", &error))?;
        let hung = self.connection.bells().hang(wake);
        self.check(false)?;
        let woken = self
            .connection
            .stream()
            .wait(interest, hung.wake(), timeout)
            .map_err(|error| Error::from_io(Status::Internal, "waiting failed", &error))?;
        drop(hung);
        self.check(woken == Woken::Interrupted)?;
        Ok(woken)
    }

    fn check(&self, interrupted: bool) -> Result<()> {
        if let Some(reason) = stopped(self.connection, self.operation) {
            return Err(reason);
        }
        if self.connection.signals().cancels(self.operation) != self.cancels {
            return Err(Error::new(Status::Cancelled, "the operation was cancelled"));
        }
        if interrupted && self.connection.options().interruptible {
            return Err(Error::new(Status::Interrupted, "a signal ended the wait"));
        }
        Ok(())
    }

    fn timed_out(&self) -> Error {
        let time = self.timeout.unwrap_or_default().as_millis();
        match self.operation {
            Operation::Receive => Error::new(Status::Timeout, format!("nothing was received within {time} ms")).in_phase(Phase::WebSocket),
            Operation::Send => Error::new(Status::Timeout, format!("nothing could be sent within {time} ms")).in_phase(Phase::WebSocket),
            Operation::Close => {
                Error::new(Status::Timeout, format!("the closing handshake was not done within {time} ms")).in_phase(Phase::Close)
            }
        }
    }
}

/// Why this operation must stop for good, if another thread wants it to.
pub(super) fn stopped(connection: &Connection, operation: Operation) -> Option<Error> {
    let reason = if connection.signals().is_dropped() {
        "the handle was closed meanwhile"
    } else if operation == Operation::Receive && connection.signals().is_closing() {
        "the connection was closed meanwhile"
    } else {
        return None;
    };
    Some(Error::new(Status::Cancelled, reason))
}
