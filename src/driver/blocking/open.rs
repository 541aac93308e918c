//! A client's way to an answer, on the caller's own thread.
//!
//! In scope: waiting for what an [`Opening`] waits for, and looking names up on threads, so that a look-up has an end. Out of scope: the stages
//! of the opening and their limits (`connection::opening`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::stop::{Stay, sleep_until};
use crate::connection::opening::{Opening, OpeningStep, Reply};
use crate::driver::clock;
use crate::error::{Error, Result, Status};
use crate::process;
use crate::process::Process;
use crate::transport::{Wake, Woken, dial, wait};

/// How a thread waits in an opening.
#[derive(Clone, Copy, Debug)]
pub struct Waiting<'s> {
    /// Ended by whoever closes or cancels.
    pub stay: &'s Stay<'s>,
    /// A signal ends the wait.
    pub interruptible: bool,
    /// Whether a thread may look the name up, so that its wait has an end.
    pub may_start_threads: bool,
}

/// Gets the answer.
pub fn open(mut opening: Opening, waiting: Waiting<'_>) -> Result<Reply> {
    loop {
        match opening.step(clock::now())? {
            OpeningStep::Done(reply) => return Ok(*reply),
            OpeningStep::LookUp { host, port } if waiting.may_start_threads => look_up(&mut opening, waiting, host, port)?,
            OpeningStep::LookUp { host, port } => opening.found(dial::resolve(&host, port)),
            OpeningStep::Blocked => {
                let waits = opening.waits();
                sleep_until(waiting.stay, waits.until, waiting.interruptible, |wake, timeout| {
                    wait::wait_some(&waits.sockets, wake, timeout)
                })?;
            }
        }
    }
}

type Found = std::io::Result<Vec<SocketAddr>>;

// Statics: loom, which has locks of its own in `sync`, does not try these.

/// Threads that look a name up; those of a former process are not counted.
static LOOK_UPS: Mutex<Option<(Process, u32)>> = Mutex::new(None);
static LOOK_UP_ENDED: Condvar = Condvar::new();

/// Waits until no thread looks a name up; false if one still does after `timeout`: the system's resolver cannot be stopped.
pub fn end_look_ups(timeout: Duration) -> bool {
    let mut look_ups = LOOK_UPS.lock();
    let is_busy =
        |look_ups: &mut Option<(Process, u32)>| look_ups.is_some_and(|(process, count)| process == Process::current() && count > 0);
    !LOOK_UP_ENDED.wait_while_for(&mut look_ups, is_busy, timeout).timed_out()
}

/// A thread that looks a name up, until it is dropped.
struct LookUp;

impl LookUp {
    fn begin() -> LookUp {
        let mut look_ups = LOOK_UPS.lock();
        let own = Process::current();
        let count = look_ups.filter(|(process, _)| *process == own).map_or(0, |(_, count)| count);
        *look_ups = Some((own, count + 1));
        LookUp
    }
}

impl Drop for LookUp {
    fn drop(&mut self) {
        let mut look_ups = LOOK_UPS.lock();
        if let Some((_, count)) = &mut *look_ups {
            *count -= 1;
        }
        LOOK_UP_ENDED.notify_all();
    }
}

/// Looks the name up on a thread of its own: the system's resolver has no deadline and cannot be stopped. Returns without a result when the
/// opening's time for it is up.
fn look_up(opening: &mut Opening, waiting: Waiting<'_>, host: String, port: u16) -> Result<()> {
    let result: Arc<Mutex<Option<Found>>> = Arc::default();
    let bell = Wake::of_this_thread().map_err(|error| Error::from_io(Status::Internal, "no descriptor to be woken by", &error))?;
    let theirs = Arc::clone(&result);
    let look_up = LookUp::begin();
    let body = move || {
        let found = dial::resolve(&host, port);
        *theirs.lock() = Some(found);
        bell.ring();
        drop(look_up);
    };
    process::without_signals(|| std::thread::Builder::new().name("ws101-resolve".to_owned()).spawn(body))
        .map_err(|error| Error::from_io(Status::NotEnoughMemory, "no thread could be started to look the name up", &error))?;
    let is_there = || result.lock().is_some();
    sleep_until(waiting.stay, opening.waits().until, waiting.interruptible, |wake, timeout| {
        if is_there() {
            return Ok(Woken::Ready);
        }
        let woken = wait::wait_some(&[], wake, timeout)?;
        Ok(if is_there() { Woken::Ready } else { woken })
    })?;
    if let Some(found) = result.lock().take() {
        opening.found(found);
    }
    Ok(())
}
