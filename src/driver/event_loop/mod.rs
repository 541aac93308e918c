//! Event loops: the second way to wait. One thread at a time drives a loop, and with it every connection that belongs to it.
//!
//! In scope: readiness, the order of events, deadlines, and what other threads want of a loop. Out of scope: what a step does (`connection`), and
//! how a program gets its events ([`Delivery`], made by `ffi`).
//!
//! **Who may do what**: the thread that drives the loop has taken its [`Core`] out of its slot, so no lock is held while a callback runs. Everybody
//! else puts wishes into the [`Inbox`], and rings if the loop sleeps. A connection never changes its loop.

mod address;
mod answering;
mod closing;
mod core;
mod event;
mod inbox;
mod lent;
mod messages;
mod posting;
mod reading;
mod socket;
mod task;
mod threads;
mod time;
mod timers;

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

pub use address::Address;
pub use answering::{answer, has_any};
pub use event::{Delivery, Event, EventKind, Notify, OpaqueCallback, OwnedEvent, Recipient};
pub use socket::{Answer, Posted, Socket};
pub use task::{Task, TaskSign, TaskStep, Told};
pub use threads::{Loops, MOST_THREADS, end_threads};

use self::core::Core;
use crate::driver::clock;
use crate::error::{Error, Result, Status};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use inbox::Inbox;
use lent::Lent;

/// What is wanted of a loop.
#[derive(Debug)]
enum Wish {
    /// A connection begins.
    Attach(Arc<Socket>, Arc<dyn Recipient>),
    /// A receive was posted where something may be.
    Ready(Arc<Socket>),
    /// A deadline or a close has changed.
    Look(Arc<Socket>),
    /// Something was written: somebody may have to be told.
    Flushed(Arc<Socket>),
    /// The handle was closed.
    Detach(Arc<Socket>),
    /// The same, once everything that was pending is told.
    Gone(Arc<Socket>),
    /// An operation has ended.
    TellSocket(Arc<Socket>, OwnedEvent),
    /// The same, of a handle that is no connection.
    Tell(Arc<dyn Recipient>, OwnedEvent),
    /// A task begins.
    Task(Arc<TaskSign>, TaskBox),
    /// A task may go on.
    StepTask(Arc<TaskSign>),
    /// A task ends.
    StopTask(Arc<TaskSign>, Error),
    /// A name was looked up for a task.
    Found(Arc<TaskSign>, io::Result<Vec<SocketAddr>>),
}

/// A task on its way to its loop.
struct TaskBox(Box<dyn Task>);

impl std::fmt::Debug for TaskBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a task")
    }
}

/// A loop, as everybody but its driver sees it.
#[derive(Debug)]
pub struct Shared {
    inbox: Inbox<Wish>,
    waker: mio::Waker,
    registry: mio::Registry,
    descriptor: RawFd,
    /// Absent while somebody drives the loop.
    core: Mutex<Option<Box<Core>>>,
    /// Which thread drives the loop, or was the last to.
    driver: Mark,
    batch: AtomicU32,
    is_closed: AtomicBool,
    is_stopped: AtomicBool,
    is_woken: AtomicBool,
    /// Handles that need this loop.
    members: AtomicU32,
    /// The library's own thread drives it, and ends with its last member.
    has_own_thread: bool,
    may_start_threads: bool,
    corked: Mutex<Vec<Arc<Socket>>>,
    lent: Mutex<Lent>,
    /// What the events of this batch point to besides.
    kept: Mutex<Vec<Box<dyn Any + Send>>>,
    /// The handle of the loop itself.
    recipient: Mutex<Option<Arc<dyn Recipient>>>,
    /// When a deadline is next, in milliseconds of the clock; for those who sleep elsewhere.
    next_deadline: Mutex<Option<Duration>>,
}

/// A thread, by the address of something of its own: cheaper to ask for than its number.
#[derive(Debug, Default)]
struct Mark(std::sync::atomic::AtomicUsize);

thread_local! {
    static OWN_MARK: u8 = const { 0 };
    /// How many callbacks this thread is inside.
    static CALLBACKS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

impl Mark {
    fn own() -> usize {
        OWN_MARK.try_with(|mark| std::ptr::from_ref(mark) as usize).unwrap_or(1)
    }

    // Relaxed: a thread finds its own mark only if it wrote it itself.
    #[inline]
    fn is_own(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Mark::own()
    }

    fn take(&self) {
        self.0.store(Mark::own(), Ordering::Relaxed);
    }
}

/// Runs what calls callbacks; whoever must not be called from one can see it.
fn in_callback<T>(body: impl FnOnce() -> T) -> T {
    CALLBACKS.set(CALLBACKS.get() + 1);
    let result = body();
    CALLBACKS.set(CALLBACKS.get() - 1);
    result
}

/// Whether the calling thread is inside a callback.
pub fn is_in_callback() -> bool {
    CALLBACKS.get() > 0
}

/// A handle's share in a loop: the loop's own thread ends with the last.
#[derive(Debug)]
pub struct Member(Arc<Shared>);

impl Member {
    /// One more.
    pub fn new(of: &Arc<Shared>) -> Member {
        of.members.fetch_add(1, Ordering::SeqCst);
        Member(Arc::clone(of))
    }

    /// The loop.
    #[inline]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // SeqCst: the loop's thread, which looks at the number before it sleeps, sees it or is rung.
        if self.0.members.fetch_sub(1, Ordering::SeqCst) == 1 && self.0.has_own_thread {
            self.0.ring();
        }
    }
}

const WAKE: mio::Token = mio::Token(usize::MAX);

impl Shared {
    /// A loop that a program drives; 8 if the system has no descriptor for it.
    pub fn create() -> Result<Arc<Shared>> {
        Shared::new(false, true)
    }

    fn new(has_own_thread: bool, may_start_threads: bool) -> Result<Arc<Shared>> {
        let no_loop = |error: io::Error| Error::from_io(Status::NotEnoughMemory, "no event loop can be made", &error);
        let poll = mio::Poll::new().map_err(no_loop)?;
        let registry = poll.registry().try_clone().map_err(no_loop)?;
        let waker = mio::Waker::new(&registry, WAKE).map_err(no_loop)?;
        answering::note_a_loop();
        Ok(Arc::new(Shared {
            inbox: Inbox::default(),
            waker,
            registry,
            descriptor: poll.as_raw_fd(),
            core: Mutex::new(Some(Box::new(Core::new(poll)))),
            driver: Mark::default(),
            batch: AtomicU32::new(1),
            is_closed: AtomicBool::new(false),
            is_stopped: AtomicBool::new(false),
            is_woken: AtomicBool::new(false),
            members: AtomicU32::new(0),
            has_own_thread,
            may_start_threads,
            corked: Mutex::default(),
            lent: Mutex::default(),
            kept: Mutex::default(),
            recipient: Mutex::new(None),
            next_deadline: Mutex::new(None),
        }))
    }

    /// The loop's own handle, for its own events.
    pub fn set_recipient(&self, recipient: Arc<dyn Recipient>) {
        *self.recipient.lock() = Some(recipient);
    }

    /// Whether the calling thread drives the loop, or was the last to.
    #[inline]
    pub fn is_driver(&self) -> bool {
        self.driver.is_own()
    }

    #[inline]
    fn batch(&self) -> u32 {
        self.batch.load(Ordering::Relaxed)
    }

    /// Whether the loop was closed: nothing happens on it any more.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    fn wish(&self, wish: Wish) {
        if self.inbox.put(wish, self.is_driver()) {
            self.ring();
        }
        if self.is_closed() {
            self.forget_wishes();
        }
    }

    /// Nobody fulfils them any more, and they hold on to what they are about.
    fn forget_wishes(&self) {
        let mut wishes = Vec::new();
        self.inbox.take(&mut wishes);
        drop(wishes);
    }

    fn ring(&self) {
        if let Err(error) = self.waker.wake() {
            log::error!("a loop cannot be woken: {error}");
        }
    }

    /// A connection begins on this loop; its handle is `recipient`.
    pub fn attach(&self, socket: Arc<Socket>, recipient: Arc<dyn Recipient>) {
        self.wish(Wish::Attach(socket, recipient));
    }

    /// A task begins on this loop.
    pub fn begin(&self, sign: Arc<TaskSign>, task: Box<dyn Task>) {
        self.wish(Wish::Task(sign, TaskBox(task)));
    }

    /// A task may be able to go on.
    pub fn nudge(&self, sign: &Arc<TaskSign>) {
        self.wish(Wish::StepTask(Arc::clone(sign)));
    }

    /// An event for a handle that is no connection.
    pub fn tell(&self, recipient: Arc<dyn Recipient>, event: OwnedEvent) {
        self.wish(Wish::Tell(recipient, event));
    }

    /// What is gathered for this connection leaves at the end of the batch.
    fn cork(&self, socket: Arc<Socket>) {
        self.corked.lock().push(socket);
    }

    fn flush_corked(&self) {
        loop {
            // One at a time: writing is not done under the lock.
            let Some(socket) = self.corked.lock().pop() else { return };
            if socket.is_corked.swap(false, Ordering::Relaxed) {
                socket.flush();
                socket.after_flush();
            }
        }
    }

    /// Keeps something that the events of this batch point to.
    pub fn keep(&self, kept: Box<dyn Any + Send>) {
        self.kept.lock().push(kept);
    }

    /// Wakes the driving call with an event of the loop itself.
    pub fn wake(&self) {
        self.is_woken.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// Makes [`Shared::run`] return.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// The loop's handle was closed: whoever drives it returns, and nothing on it goes on.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.ring();
        // If nobody drives it, everything on it ends here; else the driver sees to that.
        let core = self.core.lock().take();
        let recipient = self.recipient.lock().take();
        let corked = std::mem::take(&mut *self.corked.lock());
        drop((core, recipient, corked));
        self.forget_wishes();
    }

    /// Readable when there is something to do.
    pub fn descriptor(&self) -> RawFd {
        self.descriptor
    }

    /// How long whoever sleeps on the descriptor may do so; `None` = until it is readable.
    pub fn timeout(&self) -> Option<Duration> {
        let has_something = !self.inbox.is_empty() || !self.corked.lock().is_empty() || self.is_woken.load(Ordering::SeqCst);
        if has_something || self.is_closed() {
            return Some(Duration::ZERO);
        }
        let next = *self.next_deadline.lock();
        next.map(|next| next.saturating_sub(clock::now()))
    }

    /// Drives the loop until there are events, and hands them over; none if `timeout` is over first. 4317 if another thread drives it, 12017 if it
    /// was closed.
    pub fn wait(self: &Arc<Self>, delivery: &mut dyn Delivery, timeout: Option<Duration>) -> Result<()> {
        let mut driving = Driving::begin(self)?;
        let end = timeout.map(|timeout| clock::now() + timeout);
        let core = driving.core();
        core.begin_batch(self);
        let room = delivery.room();
        loop {
            let remaining = end.map(|end| end.saturating_sub(clock::now()));
            core.turn(self, delivery, remaining)?;
            let is_over = end.is_some_and(|end| end <= clock::now());
            if delivery.room() < room || is_over && !core.has_more() {
                return Ok(());
            }
        }
    }

    /// Drives the loop until somebody stops it; 4317 if another thread drives it, 12017 if it was closed.
    pub fn run(self: &Arc<Self>, delivery: &mut dyn Delivery) -> Result<()> {
        let mut driving = Driving::begin(self)?;
        let core = driving.core();
        in_callback(|| self.run_on(core, delivery))
    }

    fn run_on(self: &Arc<Self>, core: &mut Core, delivery: &mut dyn Delivery) -> Result<()> {
        while !self.is_stopped.swap(false, Ordering::SeqCst) {
            core.begin_batch(self);
            core.turn(self, delivery, None)?;
            if self.has_own_thread && self.members.load(Ordering::SeqCst) == 0 && self.inbox.is_empty() && !core.has_more() {
                break;
            }
        }
        core.begin_batch(self);
        Ok(())
    }
}

/// The right to drive a loop, until it is dropped.
struct Driving<'l> {
    shared: &'l Shared,
    core: Option<Box<Core>>,
}

impl<'l> Driving<'l> {
    fn begin(shared: &'l Shared) -> Result<Driving<'l>> {
        let core = shared.core.lock().take();
        if shared.is_closed() {
            return Err(socket::loop_closed());
        }
        let Some(core) = core else {
            return Err(Error::new(Status::InvalidOperation, "another call drives the loop"));
        };
        shared.driver.take();
        Ok(Driving { shared, core: Some(core) })
    }

    fn core(&mut self) -> &mut Core {
        self.core.as_mut().expect("the core is here until this is dropped")
    }
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        let Some(core) = self.core.take() else { return };
        *self.shared.next_deadline.lock() = core.next_deadline();
        if self.shared.is_closed() {
            drop(core);
            self.shared.forget_wishes();
        } else {
            *self.shared.core.lock() = Some(core);
            // Closed in between: whoever closed it found no core to end.
            if self.shared.is_closed() {
                let core = self.shared.core.lock().take();
                drop(core);
            }
        }
        self.shared.inbox.leave();
    }
}
