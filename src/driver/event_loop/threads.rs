//! The threads that the library drives loops with, and the one that looks a name up for a loop.
//!
//! A session that was given no loop gets its own, each with a thread, made when the first handle needs one and ended with the last. Out of scope:
//! what happens on them.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::event::Delivery;
use super::task::TaskSign;
use super::{Member, Shared, Wish};
use crate::error::{Error, Result, Status};
use crate::process::{self, Process};
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::transport::dial;

/// The most threads that one session may have.
pub const MOST_THREADS: u32 = 256;

/// How many threads drive loops, and which loops those are.
#[derive(Debug)]
struct Running {
    loops: Vec<(Process, Weak<Shared>)>,
    count: usize,
    look_ups: usize,
}

static RUNNING: Mutex<Running> = Mutex::new(Running { loops: Vec::new(), count: 0, look_ups: 0 });
static ENDED: Condvar = Condvar::new();

fn running() -> MutexGuard<'static, Running> {
    RUNNING.lock()
}

/// The loops of an asynchronous session: one that it was given, or its own.
#[derive(Debug)]
pub struct Loops {
    own: Mutex<Own>,
    /// Makes what hands events over to callbacks, on a thread of the library's.
    delivery: fn() -> Box<dyn Delivery>,
    may_start_threads: bool,
}

#[derive(Debug)]
struct Own {
    given: Option<(Arc<Shared>, u64)>,
    /// Something was begun on one: from then on it stays as it is.
    is_used: bool,
    threads: u32,
    /// Each is kept by the session as long as that is open.
    made: Vec<Member>,
    next: usize,
}

impl Own {
    fn check_unused(&self) -> Result<()> {
        if self.is_used {
            return Err(Error::new(Status::IncorrectHandleState, "something of the session is driven by a loop already"));
        }
        Ok(())
    }
}

impl Loops {
    /// Nothing is made before something needs it.
    pub fn new(delivery: fn() -> Box<dyn Delivery>, may_start_threads: bool) -> Loops {
        let own = Own { given: None, is_used: false, threads: 1, made: Vec::new(), next: 0 };
        Loops { own: Mutex::new(own), delivery, may_start_threads }
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock()
    }

    /// The session is driven by this loop.
    pub fn give(&self, of: Arc<Shared>, number: u64) -> Result<()> {
        let mut own = self.own();
        own.check_unused()?;
        own.given = Some((of, number));
        Ok(())
    }

    /// The number that it was given with; 0 = none was.
    pub fn given(&self) -> u64 {
        self.own().given.as_ref().map_or(0, |(_, number)| *number)
    }

    /// How many threads the session may have.
    pub fn set_threads(&self, threads: u32) -> Result<()> {
        let mut own = self.own();
        own.check_unused()?;
        own.threads = threads.clamp(1, MOST_THREADS);
        Ok(())
    }

    /// How many it may have.
    pub fn threads(&self) -> u32 {
        self.own().threads
    }

    /// The loop for the next thing that needs one; 4317 if there is none and no thread may be started.
    pub fn next(&self) -> Result<Arc<Shared>> {
        let mut own = self.own();
        own.is_used = true;
        if let Some((given, _)) = &own.given {
            return Ok(Arc::clone(given));
        }
        if !self.may_start_threads {
            let message = "an asynchronous session without threads needs a loop (WS_OPTION_LOOP)";
            return Err(Error::new(Status::InvalidOperation, message));
        }
        let index = own.next % own.threads as usize;
        own.next = (index + 1) % own.threads as usize;
        if let Some(made) = own.made.get(index).filter(|made| !made.shared().is_closed()) {
            return Ok(Arc::clone(made.shared()));
        }
        let made = self.start()?;
        let shared = Arc::clone(made.shared());
        if index < own.made.len() {
            own.made[index] = made;
        } else {
            own.made.push(made);
        }
        Ok(shared)
    }

    /// The loop that tells of a handle's end: one that is there already. Where nothing was ever begun on one, it is made only if somebody listens.
    pub fn last(&self, has_listener: bool) -> Option<Arc<Shared>> {
        let own = self.own();
        let existing = own.given.as_ref().map(|(given, _)| given).or_else(|| own.made.first().map(Member::shared)).cloned();
        drop(own);
        existing.or_else(|| if has_listener { self.next().ok() } else { None })
    }

    fn start(&self) -> Result<Member> {
        let made = Shared::new(true, true)?;
        let (theirs, delivery) = (Arc::clone(&made), self.delivery);
        // Before the thread begins: it ends when it has no member.
        let member = Member::new(&made);
        running().count += 1;
        let body = move || {
            let mut delivery = delivery();
            if let Err(error) = theirs.run(&mut *delivery) {
                log::debug!("a loop of the library has ended: {error}");
            }
            theirs.close();
            drop(theirs);
            running().count -= 1;
            ENDED.notify_all();
        };
        let started = process::without_signals(|| thread::Builder::new().name("ws101-loop".to_owned()).spawn(body));
        if let Err(error) = started {
            running().count -= 1;
            return Err(Error::from_io(Status::NotEnoughMemory, "no thread could be started for an event loop", &error));
        }
        let mut all = running();
        all.loops.retain(|(process, known)| *process == Process::current() && known.strong_count() > 0);
        all.loops.push((Process::current(), Arc::downgrade(&made)));
        Ok(member)
    }
}

/// Ends the library's loops; false if that takes longer than `timeout`.
pub fn end_threads(timeout: Duration) -> bool {
    let loops: Vec<Arc<Shared>> =
        running().loops.drain(..).filter_map(|(process, of)| of.upgrade().filter(|_| process == Process::current())).collect();
    for of in &loops {
        of.close();
    }
    drop(loops);
    !ENDED.wait_while_for(&mut running(), |all| all.count > 0 || all.look_ups > 0, timeout).timed_out()
}

/// Looks a name up for a task, on a thread of its own where that is allowed: the system's resolver cannot be stopped.
pub(super) fn look_up(of: &Arc<Shared>, sign: Arc<TaskSign>, host: String, port: u16) {
    if !of.may_start_threads {
        let found = dial::resolve(&host, port);
        return of.wish(Wish::Found(sign, found));
    }
    let (theirs, for_failure) = (Arc::clone(of), Arc::clone(&sign));
    running().look_ups += 1;
    let body = move || {
        let found = dial::resolve(&host, port);
        theirs.wish(Wish::Found(sign, found));
        drop(theirs);
        running().look_ups -= 1;
        ENDED.notify_all();
    };
    let started = process::without_signals(|| thread::Builder::new().name("ws101-resolve".to_owned()).spawn(body));
    if let Err(error) = started {
        running().look_ups -= 1;
        of.wish(Wish::Found(for_failure, Err(error)));
    }
}
