//! Looks after connections that nobody waits on: pings are answered, silent peers asked and given up, close frames answered.
//!
//! One thread for the whole process, started with the first blocking connection and ended with the last. A connection that no thread of the
//! program has received on for a second or two is a ward: the caretaker reads a little ahead, as far as the first data frame, which is the
//! program's. Out of scope: connections whose session forbids threads, and those of event loops, which look after themselves.

use std::os::fd::BorrowedFd;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::clock;
use crate::connection::{Ahead, Connection};
use crate::process::{self, Process};
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::transport::{Interest, Wake, wait};

/// How often the caretaker looks which connections nobody waits on.
const ROUND: Duration = Duration::from_secs(1);

/// What the threads that open connections share with the caretaker's.
#[derive(Debug)]
struct Office {
    /// Connections that the caretaker has not taken over yet.
    arrivals: Vec<Weak<Connection>>,
    /// The bell of the caretaker's thread, while there is one in this process.
    thread: Option<(Process, Arc<Wake>)>,
    /// Connections that are looked after and were not closed.
    open: usize,
    /// The thread is to end, whatever it looks after.
    is_closing: bool,
}

static OFFICE: Mutex<Office> = Mutex::new(Office { arrivals: Vec::new(), open: 0, thread: None, is_closing: false });
static ENDED: Condvar = Condvar::new();

/// Has the connection looked after whenever nobody waits on it. If no thread can be started, it is not: pings are then answered by the next receive.
pub fn look_after(connection: &Arc<Connection>) {
    let mut office = office();
    if !office.has_thread() {
        // What waits there after a fork is the parent's.
        office.arrivals.clear();
        office.open = 0;
        office.start();
    }
    office.open += 1;
    office.arrivals.push(Arc::downgrade(connection));
}

/// A connection that was looked after was closed: with the last one the thread ends at once. (The others are let go of when their socket shuts down.)
pub fn let_go() {
    let mut office = office();
    office.open = office.open.saturating_sub(1);
    if let (0, Some((_, bell))) = (office.open, office.thread.as_ref().filter(|_| office.has_thread())) {
        bell.ring();
    }
}

/// Ends the thread; false if that takes longer than `timeout`. A connection opened later starts another.
pub fn end(timeout: Duration) -> bool {
    let mut office = office();
    if !office.has_thread() {
        return true;
    }
    office.is_closing = true;
    if let Some((_, bell)) = &office.thread {
        bell.ring();
    }
    let waited = ENDED.wait_while_for(&mut office, |office| office.has_thread(), timeout);
    office.is_closing = false;
    !waited.timed_out()
}

impl Office {
    /// A thread that was there before a fork is not here.
    fn has_thread(&self) -> bool {
        self.thread.as_ref().is_some_and(|(process, _)| *process == Process::current())
    }

    fn start(&mut self) {
        let Ok(bell) = Wake::new() else { return };
        let bell = Arc::new(bell);
        let own = Arc::clone(&bell);
        let started = process::without_signals(|| thread::Builder::new().name("ws101-caretaker".to_owned()).spawn(move || run(&own)));
        if started.is_ok() {
            self.thread = Some((Process::current(), bell));
        }
    }
}

fn office() -> MutexGuard<'static, Office> {
    OFFICE.lock()
}

/// A connection, and what the caretaker knows of it.
struct Ward {
    connection: Weak<Connection>,
    /// How often the program had received when it was last looked at.
    claims: u32,
    watch: Option<Watch>,
}

/// What a connection that nobody waits on waits for.
#[derive(Clone, Copy)]
struct Watch {
    interest: Interest,
    due: Option<Duration>,
}

fn run(bell: &Wake) {
    let mut wards: Vec<Ward> = Vec::new();
    let mut next_round = Duration::ZERO;
    loop {
        {
            let mut office = office();
            wards.extend(office.arrivals.drain(..).map(|connection| Ward { connection, claims: u32::MAX, watch: None }));
            wards.retain(Ward::is_open);
            if wards.is_empty() || office.is_closing {
                office.thread = None;
                drop(office);
                ENDED.notify_all();
                return;
            }
        }
        let now = clock::now();
        if now >= next_round {
            next_round = now + ROUND;
            wards.retain_mut(Ward::look);
        } else {
            wards.retain_mut(|ward| !ward.is_due(now) || ward.look());
        }
        sleep(&mut wards, bell, next_round);
    }
}

/// Sleeps until a ward has something, or the next round; looks at those that have.
fn sleep(wards: &mut [Ward], bell: &Wake, next_round: Duration) {
    // Held only while asleep: a connection that is closed meanwhile shuts its socket down, which ends the sleep.
    let watched: Vec<(usize, Arc<Connection>, Watch)> = wards
        .iter()
        .enumerate()
        .filter_map(|(index, ward)| Some((index, ward.connection.upgrade()?, ward.watch?)))
        .filter(|(_, connection, _)| !connection.signals().is_dropped())
        .collect();
    let until = watched.iter().filter_map(|(_, _, watch)| watch.due).fold(next_round, Duration::min);
    let sockets: Vec<(BorrowedFd<'_>, Interest)> =
        watched.iter().map(|(_, connection, watch)| (connection.stream().as_descriptor(), watch.interest)).collect();
    let ready = wait::wait_each(&sockets, bell, until.saturating_sub(clock::now())).unwrap_or_default();
    let ready: Vec<usize> = ready.into_iter().map(|position| watched[position].0).collect();
    drop(watched);
    for index in ready {
        wards[index].look();
    }
}

impl Ward {
    /// A connection whose handle was closed is nobody's ward, even while a call still holds it.
    fn is_open(&self) -> bool {
        self.connection.upgrade().is_some_and(|connection| !connection.signals().is_dropped())
    }

    fn is_due(&self, now: Duration) -> bool {
        self.watch.and_then(|watch| watch.due).is_some_and(|due| due <= now)
    }

    /// Sees to the connection, unless the program does; false once there is nothing more to see to.
    fn look(&mut self) -> bool {
        let Some(connection) = self.connection.upgrade() else { return false };
        if connection.is_over() {
            return false;
        }
        match connection.claim_for_caretaker(self.claims) {
            Err(claims) => {
                self.claims = claims;
                self.watch = None;
            }
            Ok(mut claim) => {
                let ahead = claim.half().look_after(&connection);
                let saw_life = claim.half().take_life();
                // Not while holding the half: a thread of the program may be waiting for it.
                drop(claim);
                connection.log_close_frames();
                self.watch = watch(&connection, ahead, saw_life);
            }
        }
        true
    }
}

fn watch(connection: &Connection, ahead: Ahead, saw_life: bool) -> Option<Watch> {
    let mut saw_life = saw_life;
    let due = loop {
        let now = clock::now();
        match connection.keep_alive(now, saw_life, ahead == Ahead::Data) {
            Ok(due) => {
                connection.flush();
                // A ping that was due has gone out: the clock is asked again for when its answer is.
                if due.is_none_or(|due| due > now) {
                    break due;
                }
                saw_life = false;
            }
            Err(error) => {
                log::warn!("a connection that nobody waits on: {error}");
                connection.fail(&error);
                connection.stream().shut_down();
                return None;
            }
        }
    };
    let interest = Interest { read: ahead == Ahead::Nothing, write: connection.wants_to_write() };
    Some(Watch { interest, due })
}
