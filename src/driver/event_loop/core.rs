//! What the thread that drives a loop has to itself: who is on the loop, what is ready, when to look, and events that wait.
//!
//! Out of scope: reading (`reading`), and what calls of the program do at once (`socket`).

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use slab::Slab;

use super::answering::Desk;
use super::event::{Delivery, EventKind, OwnedEvent, Recipient};
use super::posting::Why;
use super::reading::{Reader, Visit};
use super::socket::{Socket, handle_closed, loop_closed};
use super::task::{Task, TaskSign, TaskStep, Told};
use super::timers::{Timers, tick_of};
use super::{Shared, Wish, answering, threads};
use crate::error::{Error, Result, Status};
use crate::sync::atomic::Ordering;

/// Readiness taken from the system at a time.
const EVENTS: usize = 1024;

/// The most tasks steps that follow each other without a look at the sockets.
const WISHES_AT_ONCE: usize = 4096;

/// The state of a loop.
#[derive(Debug)]
pub(super) struct Core {
    poll: mio::Poll,
    ready_events: mio::Events,
    members: Slab<Item>,
    timers: Timers,
    wishes: Vec<Wish>,
    reader: Reader,
}

/// Who is on the loop.
#[derive(Debug)]
enum Item {
    /// A connection, by its handle, and the tick at which it is looked at.
    Socket(Arc<dyn Recipient>, u64),
    Task(Box<TaskItem>),
}

struct TaskItem {
    sign: Arc<TaskSign>,
    task: Box<dyn Task>,
    tick: u64,
}

impl std::fmt::Debug for TaskItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskItem").finish_non_exhaustive()
    }
}

impl Core {
    pub(super) fn new(poll: mio::Poll) -> Core {
        Core {
            poll,
            ready_events: mio::Events::with_capacity(EVENTS),
            members: Slab::new(),
            timers: Timers::default(),
            wishes: Vec::new(),
            reader: Reader::new(),
        }
    }

    /// The program is done with the last batch.
    pub(super) fn begin_batch(&mut self, shared: &Arc<Shared>) {
        shared.flush_corked();
        shared.batch.fetch_add(1, Ordering::Relaxed);
        shared.lent.lock().reset();
        shared.kept.lock().clear();
        self.reader.begin_batch();
    }

    /// Whether something can be done without waiting.
    pub(super) fn has_more(&self) -> bool {
        !self.reader.ready.is_empty() || !self.reader.waiting.is_empty()
    }

    /// When there is something to do though nothing becomes ready.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        if self.has_more() { Some(Duration::ZERO) } else { self.timers.next() }
    }

    /// Does what there is to do; waits for it at most for `timeout`. 12017 if the loop was closed.
    pub(super) fn turn(&mut self, shared: &Arc<Shared>, delivery: &mut dyn Delivery, timeout: Option<Duration>) -> Result<()> {
        let room = delivery.room();
        self.fulfil_wishes(shared);
        self.hand_over(shared, delivery);
        if shared.is_closed() {
            return Err(loop_closed());
        }
        let may_wait = !self.has_more() && delivery.room() == room && shared.inbox.may_sleep() && !self.has_woken(shared);
        self.poll(shared, delivery, if may_wait { timeout } else { Some(Duration::ZERO) })?;
        if shared.is_woken.swap(false, Ordering::SeqCst)
            && let Some(recipient) = shared.recipient.lock().clone()
        {
            self.reader.waiting.push_back((recipient, OwnedEvent::of(EventKind::Woken)));
        }
        self.look_at_deadlines(shared);
        self.hand_over(shared, delivery);
        self.read(shared, delivery);
        self.hand_over(shared, delivery);
        Ok(())
    }

    fn has_woken(&self, shared: &Shared) -> bool {
        shared.is_woken.load(Ordering::SeqCst) || shared.is_stopped.load(Ordering::SeqCst) || shared.is_closed()
    }

    fn poll(&mut self, shared: &Arc<Shared>, delivery: &mut dyn Delivery, timeout: Option<Duration>) -> Result<()> {
        let alarm = self.timers.next().map(|next| next.saturating_sub(self.reader.now));
        let timeout = [timeout, alarm].into_iter().flatten().min();
        let mut events = std::mem::replace(&mut self.ready_events, mio::Events::with_capacity(0));
        let polled = self.poll.poll(&mut events, timeout);
        self.reader.look_at_clock();
        match polled {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                self.ready_events = events;
                return Err(Error::from_io(Status::Internal, "waiting failed", &error));
            }
        }
        let mut chunk = if delivery.keeps() { None } else { Some(self.reader.take_chunk()) };
        answering::at_desk(|desk| {
            for event in &events {
                self.has_become_ready(shared, delivery, desk, chunk.as_deref_mut(), event);
            }
        });
        if let Some(chunk) = chunk {
            self.reader.put_chunk(chunk);
        }
        self.ready_events = events;
        Ok(())
    }

    /// `chunk`: for reading what callbacks are called with at once; else events are kept.
    #[inline(always)]
    fn has_become_ready(
        &mut self,
        shared: &Arc<Shared>,
        delivery: &mut dyn Delivery,
        desk: &Desk,
        chunk: Option<&mut [u8]>,
        event: &mio::event::Event,
    ) {
        let key = event.token().0;
        let has_ended = event.is_read_closed() || event.is_error();
        let why = Why::Ready { has_ended };
        match self.members.get(key) {
            Some(Item::Socket(recipient, _)) => {
                let Some(socket) = recipient.socket() else { return };
                let mut is_flushed = false;
                if event.is_writable() && socket.wants_to_write() {
                    socket.flush();
                    is_flushed = true;
                }
                if event.is_readable() || has_ended {
                    if let Some(chunk) = chunk {
                        let mut visit = Visit::new(shared, delivery, key as u32, recipient, socket, Some(chunk));
                        self.reader.answer(desk, &mut visit, why);
                    } else if socket.posting.note_ready(has_ended) {
                        self.reader.ready.push_back(key as u32);
                    }
                }
                if is_flushed {
                    let socket = Arc::clone(socket);
                    self.flushed(&socket);
                }
                if is_flushed || std::mem::take(&mut self.reader.is_closing) {
                    self.look_at(key as u32);
                }
            }
            // The bell has a key that nobody has.
            Some(Item::Task(_)) => self.step_task(shared, key),
            None => {}
        }
    }

    /// Reads from everybody who may have something, as long as somebody takes the events.
    fn read(&mut self, shared: &Arc<Shared>, delivery: &mut dyn Delivery) {
        let mut chunk = if delivery.keeps() || self.reader.ready.is_empty() { None } else { Some(self.reader.take_chunk()) };
        // Those who come back are for the next turn.
        for _ in 0..self.reader.ready.len() {
            if delivery.room() == 0 {
                break;
            }
            let Some(key) = self.reader.ready.pop_front() else { break };
            let Some(Item::Socket(recipient, _)) = self.members.get(key as usize) else { continue };
            let Some(socket) = recipient.socket() else { continue };
            let mut visit = Visit::new(shared, delivery, key, recipient, socket, chunk.as_deref_mut());
            if visit.takes_all {
                answering::at_desk(|desk| self.reader.answer(desk, &mut visit, Why::Queued));
            } else {
                self.reader.collect(&mut visit);
            }
            if std::mem::take(&mut self.reader.is_closing) {
                self.look_at(key);
            }
        }
        if let Some(chunk) = chunk {
            self.reader.put_chunk(chunk);
        }
    }

    fn fulfil_wishes(&mut self, shared: &Arc<Shared>) {
        let mut wishes = std::mem::take(&mut self.wishes);
        // Wishes that come of wishes are fulfilled at once, but not for ever: the sockets wait too.
        let mut count = 0;
        loop {
            shared.inbox.take(&mut wishes);
            if wishes.is_empty() || count > WISHES_AT_ONCE {
                break;
            }
            count += wishes.len();
            for wish in wishes.drain(..) {
                self.fulfil(shared, wish);
            }
        }
        if wishes.capacity() <= 1024 {
            self.wishes = wishes;
        }
    }

    fn fulfil(&mut self, shared: &Arc<Shared>, wish: Wish) {
        match wish {
            Wish::Attach(socket, recipient) => self.attach(shared, socket, recipient),
            Wish::Ready(socket) => self.reader.ready.push_back(socket.key.load(Ordering::Relaxed)),
            Wish::Look(socket) => self.look_at(socket.key.load(Ordering::Relaxed)),
            Wish::Flushed(socket) => self.flushed(&socket),
            Wish::Detach(socket) => self.detach(&socket),
            Wish::Gone(socket) => self.forget(&socket),
            Wish::TellSocket(socket, event) => self.tell(&socket, event),
            Wish::Tell(recipient, event) => self.reader.waiting.push_back((recipient, event)),
            Wish::Task(sign, task) => self.begin_task(shared, sign, task.0),
            Wish::StepTask(sign) => {
                if let Some(key) = self.key_of(&sign) {
                    self.step_task(shared, key);
                }
            }
            Wish::StopTask(sign, reason) => self.stop_task(shared, &sign, reason),
            Wish::Found(sign, addresses) => self.found(shared, &sign, addresses),
        }
    }

    /// Hands over events as long as somebody takes them.
    fn hand_over(&mut self, shared: &Arc<Shared>, delivery: &mut dyn Delivery) {
        while delivery.room() > 0
            && let Some((recipient, event)) = self.reader.waiting.pop_front()
        {
            if let Some(error) = &event.error {
                recipient.remember(error);
            }
            if delivery.keeps() {
                // Its data and error must stay where they are; the box of an error and of data do.
                delivery.deliver(recipient.address(), &event.as_event());
                self.reader.given(event);
            } else {
                delivery.deliver(recipient.address(), &event.as_event());
                if !shared.corked.lock().is_empty() {
                    shared.flush_corked();
                }
            }
        }
    }

    /// An event for a connection's handle, if that was not closed already.
    fn tell(&mut self, socket: &Arc<Socket>, event: OwnedEvent) {
        if let Some(Item::Socket(recipient, _)) = self.members.get(socket.key.load(Ordering::Relaxed) as usize) {
            self.reader.waiting.push_back((Arc::clone(recipient), event));
        }
    }

    fn attach(&mut self, shared: &Arc<Shared>, socket: Arc<Socket>, recipient: Arc<dyn Recipient>) {
        let key = self.members.insert(Item::Socket(recipient, u64::MAX));
        socket.key.store(key as u32, Ordering::Relaxed);
        if let Err(error) = register(shared, socket.stream().as_descriptor().as_raw_fd(), key) {
            socket.fail(&Error::from_io(Status::NotEnoughMemory, "the system cannot watch another socket", &error));
        }
        self.reader.has_lived(&socket);
        socket.posting.lock().queue();
        self.reader.ready.push_back(key as u32);
        self.look_at(key as u32);
    }

    /// The handle was closed: what is pending ends first, then comes the handle's last event.
    fn detach(&mut self, socket: &Arc<Socket>) {
        socket.closing_failed(&handle_closed());
        socket.cancel_receive(handle_closed());
        for context in socket.take_told() {
            socket.tell(OwnedEvent { operation_context: context, ..OwnedEvent::of(EventKind::Sent) });
        }
        socket.abandon_sends();
        for context in socket.take_lost() {
            let event = OwnedEvent::ended(EventKind::Sent, Err(handle_closed()));
            socket.tell(OwnedEvent { operation_context: context, ..event });
        }
        socket.shared().wish(Wish::Gone(Arc::clone(socket)));
    }

    fn forget(&mut self, socket: &Arc<Socket>) {
        let key = socket.key.load(Ordering::Relaxed) as usize;
        match self.members.get(key) {
            Some(Item::Socket(recipient, _)) if recipient.socket().is_some_and(|found| Arc::ptr_eq(found, socket)) => {}
            _ => return,
        }
        if let Item::Socket(recipient, _) = self.members.remove(key) {
            self.reader.waiting.push_back((recipient, OwnedEvent::of(EventKind::HandleClosed)));
        }
    }

    /// Something was written: who is to be told?
    fn flushed(&mut self, socket: &Arc<Socket>) {
        for context in socket.take_told() {
            self.tell(socket, OwnedEvent { operation_context: context, ..OwnedEvent::of(EventKind::Sent) });
        }
        for context in socket.take_lost() {
            let error = if socket.signals().is_dropped() { Some(handle_closed()) } else { socket.check_sending().err() };
            self.tell(socket, OwnedEvent { operation_context: context, error, ..OwnedEvent::of(EventKind::Sent) });
        }
        if socket.take_room(socket.queue_limit()) {
            self.tell(socket, OwnedEvent::of(EventKind::Writable));
        }
    }

    fn look_at_deadlines(&mut self, shared: &Arc<Shared>) {
        while let Some((tick, keys)) = self.timers.take_due(self.reader.now) {
            for key in keys {
                match self.members.get_mut(key as usize) {
                    Some(Item::Socket(_, own)) if *own == tick => {
                        *own = u64::MAX;
                        self.look_at(key);
                    }
                    Some(Item::Task(item)) if item.tick == tick => {
                        item.tick = u64::MAX;
                        self.step_task(shared, key as usize);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Looks at everything about a connection that depends on the time, and when to look again.
    fn look_at(&mut self, key: u32) {
        let Some(Item::Socket(recipient, tick)) = self.members.get_mut(key as usize) else { return };
        let due = recipient.socket().and_then(|socket| socket.look_at_time(self.reader.now));
        let next = due.map_or(u64::MAX, tick_of);
        if next < *tick {
            *tick = next;
            self.timers.add(next, key);
        }
    }

    fn begin_task(&mut self, shared: &Arc<Shared>, sign: Arc<TaskSign>, task: Box<dyn Task>) {
        let item = TaskItem { sign: Arc::clone(&sign), task, tick: u64::MAX };
        let key = self.members.insert(Item::Task(Box::new(item)));
        sign.key.store(key as u32, Ordering::Relaxed);
        self.step_task(shared, key);
    }

    fn key_of(&self, sign: &Arc<TaskSign>) -> Option<usize> {
        let key = sign.key.load(Ordering::Relaxed) as usize;
        match self.members.get(key) {
            Some(Item::Task(item)) if Arc::ptr_eq(&item.sign, sign) => Some(key),
            _ => None,
        }
    }

    fn step_task(&mut self, shared: &Arc<Shared>, key: usize) {
        let Some(Item::Task(item)) = self.members.get_mut(key) else { return };
        let mut told = Told::default();
        let step = item.task.step(self.reader.now, &mut told);
        match step {
            TaskStep::Done => {
                item.sign.end();
                self.members.remove(key);
            }
            TaskStep::Wait(until) => {
                watch(shared, item, key);
                self.set_alarm(key, until);
            }
            TaskStep::LookUp { host, port, until } => {
                threads::look_up(shared, Arc::clone(&item.sign), host, port);
                self.set_alarm(key, until);
            }
        }
        self.take_told(shared, told);
    }

    fn set_alarm(&mut self, key: usize, until: Option<Duration>) {
        let next = until.map_or(u64::MAX, tick_of);
        if let Some(Item::Task(item)) = self.members.get_mut(key)
            && next < item.tick
        {
            item.tick = next;
            self.timers.add(next, key as u32);
        }
    }

    fn take_told(&mut self, shared: &Arc<Shared>, told: Told) {
        self.reader.waiting.extend(told.events);
        for (sign, task) in told.tasks {
            self.begin_task(shared, sign, task);
        }
    }

    fn stop_task(&mut self, shared: &Arc<Shared>, sign: &Arc<TaskSign>, reason: Error) {
        let Some(key) = self.key_of(sign) else { return };
        let Item::Task(mut item) = self.members.remove(key) else { return };
        let mut told = Told::default();
        if item.sign.end() {
            item.task.stop(reason, &mut told);
        }
        self.take_told(shared, told);
    }

    fn found(&mut self, shared: &Arc<Shared>, sign: &Arc<TaskSign>, addresses: std::io::Result<Vec<SocketAddr>>) {
        let Some(key) = self.key_of(sign) else { return };
        if let Some(Item::Task(item)) = self.members.get_mut(key) {
            item.task.found(addresses);
            self.step_task(shared, key);
        }
    }
}

/// Has the system watch a socket, which it may know already: from the handshake, under another key.
fn register(shared: &Shared, descriptor: RawFd, key: usize) -> std::io::Result<()> {
    let interest = mio::Interest::READABLE | mio::Interest::WRITABLE;
    let token = mio::Token(key);
    match shared.registry.register(&mut SourceFd(&descriptor), token, interest) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            shared.registry.reregister(&mut SourceFd(&descriptor), token, interest)
        }
        other => other,
    }
}

/// Watches the sockets of a task. One that was closed is not watched any more by itself; its number may be that of another now.
fn watch(shared: &Shared, item: &mut TaskItem, key: usize) {
    let mut sockets = Vec::new();
    item.task.sockets(&mut sockets);
    for descriptor in &sockets {
        if let Err(error) = register(shared, *descriptor, key) {
            log::error!("the system cannot watch another socket: {error}");
        }
    }
}
