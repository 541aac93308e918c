//! A server on event loops: accepting, request heads, answers and draining, none of which anybody waits for.
//!
//! A listener accepts on its own loop and hands each connection to a loop of its session in turn, where it stays. Out of scope: what a listener
//! admits, and what a request holds ([`Request`]).

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{Entrance, Handshaking, Listener, Request, State};
use crate::connection::opening::{Arrival, ArrivalStep, HeadExchange, Peer};
use crate::driver::blocking::Task as Operation;
use crate::driver::clock;
use crate::driver::event_loop::{Answer, EventKind, Loops, Member, OwnedEvent, Recipient, Shared, Socket, Task, TaskSign, TaskStep, Told};
use crate::error::{Error, Phase, Result, Status};
use crate::http::{Limits, write_response};
use crate::protocol::CloseFrame;
use crate::protocol::handshake::ServerRefusal;
use crate::sync::Mutex;
use crate::transport::{Patience, Stream};

/// Gives a request its handle, a child of the listener's: the number.
pub type AdoptRequest = fn(parent: &dyn Recipient, child: Arc<Request>) -> Result<u64>;
/// The same for a websocket of a request's.
pub type AdoptSocket = fn(parent: &dyn Recipient, request: &Request, child: &Arc<Socket>) -> Result<u64>;

/// Handshakes under way at once where the program has set no limit.
const MOST_ARRIVING: u32 = 4096;

/// Requests that wait for somebody to accept them.
const MOST_READY: usize = 1024;

/// Connections accepted before others have their turn.
const ACCEPTS_AT_ONCE: usize = 64;

/// How long an answer that is no 101 is given to reach a client that still sends.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How often a drain looks who is still there.
const DRAIN_ROUND: Duration = Duration::from_millis(32);

/// What an asynchronous listener has besides.
#[derive(Debug)]
pub struct Hall {
    loops: Arc<Loops>,
    home: Member,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Accepts that nobody has answered.
    posted: u32,
    ready: VecDeque<Arc<Request>>,
    arriving: u32,
    /// Runs from the first accept on.
    acceptor: Option<Arc<TaskSign>>,
    drain: Option<Arc<TaskSign>>,
    is_closed: bool,
    /// Those that were upgraded, for a drain; one that is under way takes what is here in each round.
    sockets: Vec<Weak<Socket>>,
    /// Upgrades whose 101 may have left, and whose socket is not among them yet.
    upgrading: u32,
    recipient: Option<Arc<dyn Recipient>>,
}

impl Hall {
    pub(super) fn new(loops: Arc<Loops>) -> Result<Arc<Hall>> {
        let home = Member::new(&loops.next()?);
        Ok(Arc::new(Hall { loops, home, waiting: Mutex::default() }))
    }

    fn waiting(&self) -> crate::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }

    /// Ends accepts and drains that are pending; false if there are none.
    pub(super) fn cancel(&self, operations: &[Operation]) -> bool {
        let reason = || Error::new(Status::Cancelled, "the operation was cancelled");
        operations.contains(&Operation::Accept) && self.end_accepts(reason)
    }

    fn end_accepts(&self, reason: impl Fn() -> Error) -> bool {
        let mut waiting = self.waiting();
        let (posted, recipient) = (std::mem::take(&mut waiting.posted), waiting.recipient.clone());
        drop(waiting);
        for _ in 0..posted {
            if let Some(recipient) = &recipient {
                self.home.shared().tell(Arc::clone(recipient), OwnedEvent::ended(EventKind::Accepted, Err(reason())));
            }
        }
        posted > 0
    }

    /// The handle was closed.
    pub(super) fn close(&self) {
        let reason = || Error::new(Status::Cancelled, "the handle was closed meanwhile");
        self.end_accepts(reason);
        let mut waiting = self.waiting();
        waiting.is_closed = true;
        let (acceptor, drain) = (waiting.acceptor.take(), waiting.drain.take());
        let ready = std::mem::take(&mut waiting.ready);
        waiting.recipient = None;
        drop(waiting);
        for sign in [acceptor, drain].into_iter().flatten() {
            sign.stop(self.home.shared(), reason());
        }
        drop(ready);
    }

    /// A request has come, or will not come after all.
    fn has_arrived(self: &Arc<Self>, request: Option<Arc<Request>>, adopt: AdoptRequest, told: &mut Told) {
        let mut waiting = self.waiting();
        waiting.arriving -= 1;
        let acceptor = waiting.acceptor.clone();
        if let Some(request) = request
            && !waiting.is_closed
        {
            match waiting.recipient.clone() {
                Some(recipient) if waiting.posted > 0 => {
                    waiting.posted -= 1;
                    drop(waiting);
                    let event = match adopt(&*recipient, request) {
                        Ok(child) => OwnedEvent { child, ..OwnedEvent::of(EventKind::Accepted) },
                        Err(error) => OwnedEvent::ended(EventKind::Accepted, Err(error)),
                    };
                    told.event(&recipient, event);
                }
                _ => waiting.ready.push_back(request),
            }
        }
        // There may be room again for those who wait outside.
        if let Some(acceptor) = acceptor {
            self.home.shared().nudge(&acceptor);
        }
    }

    fn remember(&self, socket: &Arc<Socket>) {
        let mut waiting = self.waiting();
        if waiting.sockets.len() == waiting.sockets.capacity() {
            waiting.sockets.retain(|socket| socket.strong_count() > 0);
        }
        waiting.sockets.push(Arc::downgrade(socket));
    }
}

/// A 101 is about to leave: as long as this lives no drain says that nobody is left.
struct Upgrading<'h>(&'h Hall);

impl Upgrading<'_> {
    fn new(hall: &Hall) -> Upgrading<'_> {
        hall.waiting().upgrading += 1;
        Upgrading(hall)
    }
}

impl Drop for Upgrading<'_> {
    fn drop(&mut self) {
        self.0.waiting().upgrading -= 1;
    }
}

/// Accepting.
impl Listener {
    /// Whether the listener belongs to an asynchronous session.
    pub fn is_async(&self) -> bool {
        self.hall.is_some()
    }

    /// The loop that tells of the end of the handle.
    pub fn existing_loop(&self) -> Option<Arc<Shared>> {
        self.hall.as_ref().map(|hall| Arc::clone(hall.home.shared()))
    }

    fn hall(&self) -> Result<&Arc<Hall>> {
        self.hall.as_ref().ok_or_else(|| Error::new(Status::NotSupported, "the session is not asynchronous"))
    }

    /// A request whose head has come already, or an event when one has.
    pub fn begin_accept(self: &Arc<Self>, recipient: Arc<dyn Recipient>, adopt: AdoptRequest) -> Result<Answer<Arc<Request>>> {
        self.tls_config()?;
        let hall = self.hall()?;
        let home = hall.home.shared();
        if home.is_closed() {
            return Err(Error::new(Status::Cancelled, "the loop was closed"));
        }
        let mut waiting = hall.waiting();
        if let Some(request) = waiting.ready.pop_front() {
            return Ok(Answer::Done(request));
        }
        if waiting.is_closed || waiting.drain.is_some() {
            return Err(Error::new(Status::InvalidOperation, "the listener was drained: it accepts nobody any more"));
        }
        waiting.posted += 1;
        waiting.recipient = Some(recipient);
        match &waiting.acceptor {
            Some(acceptor) => home.nudge(acceptor),
            None => {
                let sign = TaskSign::new();
                waiting.acceptor = Some(Arc::clone(&sign));
                let acceptor =
                    Acceptor { listener: Arc::downgrade(self), hall: Arc::clone(hall), adopt, sign: Arc::clone(&sign), is_watched: false };
                home.begin(sign, Box::new(acceptor));
            }
        }
        Ok(Answer::Pending)
    }

    /// Ends a drain that is under way; connections that were told to close are closing all the same. False if there is none.
    pub fn cancel_drain(&self) -> bool {
        let Some(hall) = &self.hall else { return false };
        let drain = hall.waiting().drain.clone();
        drain.is_some_and(|drain| drain.stop(hall.home.shared(), Error::new(Status::Cancelled, "the operation was cancelled")))
    }

    /// Accepts nobody any more, closes every connection, each at its moment within `spread`, and cuts what is left after `deadline`.
    pub fn begin_drain(
        self: &Arc<Self>,
        recipient: Arc<dyn Recipient>,
        frame: CloseFrame,
        spread: Duration,
        deadline: Duration,
    ) -> Result<()> {
        let hall = self.hall()?;
        let mut waiting = hall.waiting();
        if waiting.drain.is_some() {
            return Err(Error::new(Status::InvalidOperation, "the listener is drained already"));
        }
        let sign = TaskSign::new();
        waiting.drain = Some(Arc::clone(&sign));
        let acceptor = waiting.acceptor.take();
        drop(waiting);
        self.sockets.stop();
        if let Some(acceptor) = acceptor {
            acceptor.stop(hall.home.shared(), Error::new(Status::Cancelled, "the listener is drained"));
        }
        hall.end_accepts(|| Error::new(Status::Cancelled, "the listener is drained"));
        let now = clock::now();
        let end = (!deadline.is_zero()).then(|| now + deadline);
        let drain = Drain {
            recipient,
            frame,
            start: now,
            spread,
            end,
            hall: Arc::clone(hall),
            total: 0,
            waiting: Vec::new(),
            sockets: Vec::new(),
            _member: Member::new(hall.home.shared()),
        };
        hall.home.shared().begin(sign, Box::new(drain));
        Ok(())
    }
}

/// Accepts connections as long as there is room for their handshakes.
struct Acceptor {
    listener: Weak<Listener>,
    hall: Arc<Hall>,
    adopt: AdoptRequest,
    sign: Arc<TaskSign>,
    /// The system was told of its sockets.
    is_watched: bool,
}

impl Acceptor {
    /// Room for one more, if there is.
    fn enter(&self, listener: &Listener) -> Option<Handshaking> {
        let options = listener.options();
        let most = if options.max_handshakes == 0 { MOST_ARRIVING } else { options.max_handshakes };
        let waiting = self.hall.waiting();
        if waiting.arriving >= most || waiting.ready.len() >= MOST_READY {
            return None;
        }
        drop(waiting);
        listener.doorway.begin_handshake_or_wait(options.max_handshakes, self.hall.home.shared(), &self.sign)
    }

    fn begin_arrival(&self, listener: &Listener, stream: Stream, handshaking: Handshaking, told: &mut Told) -> Result<()> {
        log::debug!("{}: accepted", stream.remote_address().unwrap_or_default());
        let shared = self.hall.loops.next()?;
        let deflate_pool = Arc::clone(&listener.deflate_pool);
        let entrance = Entrance { prefix: listener.url.path().to_owned(), doorway: Some(Arc::clone(&listener.doorway)), deflate_pool };
        let on_loop = RequestOnLoop {
            loops: Arc::clone(&self.hall.loops),
            shared: Some(Arc::clone(&shared)),
            ..RequestOnLoop::new(Arc::clone(&self.hall.loops))
        };
        let on_loop = RequestOnLoop { hall: Some(Arc::clone(&self.hall)), ..on_loop };
        let (tls, options) = (listener.tls_config()?, listener.options());
        let request = Request::new(stream, tls, entrance, Some(handshaking), options, listener.may_start_threads, Some(on_loop));
        let Some(arrival) = request.begin()? else { return Ok(()) };
        self.hall.waiting().arriving += 1;
        let task = ArrivalTask {
            request,
            arrival: Some(*arrival),
            end: ArrivalEnd::Accept(Arc::clone(&self.hall), self.adopt),
            member: Member::new(&shared),
        };
        if Arc::ptr_eq(&shared, self.hall.home.shared()) {
            told.task(TaskSign::new(), Box::new(task));
        } else {
            shared.begin(TaskSign::new(), Box::new(task));
        }
        Ok(())
    }
}

impl Task for Acceptor {
    fn step(&mut self, now: Duration, told: &mut Told) -> TaskStep {
        let Some(listener) = self.listener.upgrade() else { return TaskStep::Done };
        for _ in 0..ACCEPTS_AT_ONCE {
            let Some(handshaking) = self.enter(&listener) else { return TaskStep::Wait(None) };
            match listener.sockets.accept_for_loop(listener.options().nodelay) {
                Ok(stream) => {
                    if let Err(error) = self.begin_arrival(&listener, stream, handshaking, told) {
                        log::warn!("a connection could not be taken: {error}");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return TaskStep::Wait(None),
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    // No descriptor is left, say: whoever waits outside is looked at again soon.
                    log::warn!("no connection can be accepted: {error}");
                    return TaskStep::Wait(Some(now + LAST_WORDS));
                }
            }
        }
        TaskStep::Wait(Some(now))
    }

    fn sockets(&mut self, sockets: &mut Vec<RawFd>) {
        if !std::mem::replace(&mut self.is_watched, true)
            && let Some(listener) = self.listener.upgrade()
        {
            sockets.extend(listener.sockets.descriptors().map(|socket| socket.as_raw_fd()));
        }
    }

    fn stop(&mut self, _reason: Error, _told: &mut Told) {}
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
        || error.raw_os_error() == Some(libc::EPROTO)
}

/// How to stop what a request waits for, on which loop it is, and what it is.
type UnderWay = (Arc<TaskSign>, Arc<Shared>, Operation);

/// What an asynchronous request has besides.
#[derive(Debug)]
pub struct RequestOnLoop {
    loops: Arc<Loops>,
    /// The loop that it came in on, and stays on.
    shared: Option<Arc<Shared>>,
    hall: Option<Arc<Hall>>,
    under_way: Mutex<Option<UnderWay>>,
}

impl RequestOnLoop {
    pub(super) fn new(loops: Arc<Loops>) -> RequestOnLoop {
        RequestOnLoop { loops, shared: None, hall: None, under_way: Mutex::default() }
    }

    fn next(&self) -> Result<Arc<Shared>> {
        match &self.shared {
            Some(shared) => Ok(Arc::clone(shared)),
            None => self.loops.next(),
        }
    }

    pub(super) fn cancel(&self, operations: &[Operation]) -> bool {
        self.stop(operations, Error::new(Status::Cancelled, "the operation was cancelled"))
    }

    pub(super) fn close(&self) {
        self.stop(&Operation::ALL, Error::new(Status::Cancelled, "the handle was closed meanwhile"));
    }

    fn stop(&self, operations: &[Operation], reason: Error) -> bool {
        let found = self.under_way.lock().take_if(|(_, _, operation)| operations.contains(operation));
        found.is_some_and(|(sign, shared, _)| sign.stop(&shared, reason))
    }

    fn begin(&self, shared: &Arc<Shared>, operation: Operation, task: Box<dyn Task>) {
        let sign = TaskSign::new();
        *self.under_way.lock() = Some((Arc::clone(&sign), Arc::clone(shared), operation));
        shared.begin(sign, task);
    }
}

/// Requests on a loop.
impl Request {
    /// Whether the request belongs to an asynchronous session.
    pub fn is_async(&self) -> bool {
        self.on_loop.is_some()
    }

    /// The loop that tells of the end of the handle.
    pub fn last_loop(&self, has_listener: bool) -> Option<Arc<Shared>> {
        let on_loop = self.on_loop.as_ref()?;
        on_loop.shared.clone().or_else(|| on_loop.loops.last(has_listener))
    }

    fn on_loop(&self) -> Result<&RequestOnLoop> {
        self.on_loop.as_ref().ok_or_else(|| Error::new(Status::NotSupported, "the session is not asynchronous"))
    }

    fn is_fresh(&self) -> bool {
        matches!(&*self.state.lock(), State::Fresh(_))
    }

    /// Reads the request head, if it is not here.
    pub fn begin_handshake(self: &Arc<Self>, recipient: Arc<dyn Recipient>) -> Result<Answer<()>> {
        let Some(arrival) = self.begin()? else { return Ok(Answer::Done(())) };
        self.begin_arrival(*arrival, Operation::Handshake, ArrivalEnd::Handshake(recipient))?;
        Ok(Answer::Pending)
    }

    fn begin_arrival(self: &Arc<Self>, arrival: Arrival, operation: Operation, end: ArrivalEnd) -> Result<()> {
        let on_loop = self.on_loop()?;
        let shared = on_loop.next()?;
        let task = ArrivalTask { request: Arc::clone(self), arrival: Some(arrival), end, member: Member::new(&shared) };
        on_loop.begin(&shared, operation, Box::new(task));
        Ok(())
    }

    /// Sends the 101 and hands out the connection; if the head is not here yet, that comes first and the rest is an event.
    pub fn begin_upgrade(self: &Arc<Self>, recipient: Arc<dyn Recipient>, adopt: AdoptSocket) -> Result<Answer<Arc<Socket>>> {
        if self.is_fresh()
            && let Some(arrival) = self.begin()?
        {
            self.begin_arrival(*arrival, Operation::Upgrade, ArrivalEnd::Upgrade(recipient, adopt))?;
            return Ok(Answer::Pending);
        }
        self.upgrade_now().map(Answer::Done)
    }

    /// The head is here: sends the 101. What the socket does not take of it waits in the connection's queue.
    fn upgrade_now(&self) -> Result<Arc<Socket>> {
        let on_loop = self.on_loop()?;
        let shared = on_loop.next()?;
        if shared.is_closed() {
            return Err(Error::new(Status::Cancelled, "the loop was closed"));
        }
        let (head, acceptance) = self.acceptance()?;
        let options = self.options();
        let answer = write_response(101, &acceptance.response_headers(&self.answer_headers(&options)?), &[]);
        let (stream, early) = self.take_ready()?;
        let seat = match self.take_seat(&options) {
            Ok(seat) => seat,
            Err(refusal) => {
                self.say_goodbye(&shared, stream, &refusal);
                return Err(self.refused(&refusal));
            }
        };
        self.end("the request was upgraded to a websocket already");
        let connection = self.make_connection(&head, acceptance, stream, &early, options)?;
        // A client that has the 101 may know of a drain before the next line here runs.
        let _upgrading = on_loop.hall.as_deref().map(Upgrading::new);
        connection.send_head(answer)?;
        *self.seat.lock() = seat;
        let socket = Socket::new(connection, &shared);
        if let Some(hall) = &on_loop.hall {
            hall.remember(&socket);
        }
        Ok(socket)
    }

    /// The library's own answer, on its way out while the request is over.
    fn say_goodbye(&self, shared: &Arc<Shared>, stream: Stream, refusal: &ServerRefusal) {
        let answer = write_response(refusal.status, &refusal.headers, refusal.reason.as_bytes());
        self.end("the request was refused");
        let time = self.options().handshake_timeout;
        shared.begin(TaskSign::new(), Box::new(Farewell::new(stream, answer, time, shared, None)));
    }

    /// Answers with something other than a WebSocket.
    pub fn begin_respond(
        self: &Arc<Self>,
        recipient: Arc<dyn Recipient>,
        http_status: u16,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Answer<()>> {
        let headers = self.headers_of_answer(http_status, content_type)?;
        let on_loop = self.on_loop()?;
        let shared = on_loop.next()?;
        if self.is_fresh() {
            return Err(Error::new(Status::IncorrectHandleState, "the request head was not read yet: ws_handshake comes first"));
        }
        let (stream, _) = self.take_ready()?;
        let answer = write_response(http_status, &headers, body);
        self.end("the request was answered already");
        log::info!("{}: answered {http_status}", self.remote_address);
        let mut farewell = Farewell::new(stream, answer, self.options().handshake_timeout, &shared, None);
        // Most answers fit into the socket at once; the rest of the farewell is the library's own business.
        match farewell.exchange.send(&farewell.stream)? {
            Some(()) => {
                shared.begin(TaskSign::new(), Box::new(farewell));
                Ok(Answer::Done(()))
            }
            None => {
                farewell.recipient = Some(recipient);
                on_loop.begin(&shared, Operation::Respond, Box::new(farewell));
                Ok(Answer::Pending)
            }
        }
    }
}

/// A request head on its way, and whom it is for.
struct ArrivalTask {
    request: Arc<Request>,
    arrival: Option<Arrival>,
    end: ArrivalEnd,
    member: Member,
}

enum ArrivalEnd {
    Accept(Arc<Hall>, AdoptRequest),
    Handshake(Arc<dyn Recipient>),
    Upgrade(Arc<dyn Recipient>, AdoptSocket),
}

impl ArrivalTask {
    fn end(&mut self, result: Result<()>, told: &mut Told) {
        if let Ok(on_loop) = self.request.on_loop() {
            *on_loop.under_way.lock() = None;
        }
        match &self.end {
            ArrivalEnd::Accept(hall, adopt) => {
                if let Err(error) = &result {
                    log::debug!("{}: {error}", self.request.remote_address);
                }
                let arrived = result.is_ok().then(|| Arc::clone(&self.request));
                hall.has_arrived(arrived, *adopt, told);
            }
            ArrivalEnd::Handshake(recipient) => told.event(recipient, OwnedEvent::ended(EventKind::Handshaken, result)),
            ArrivalEnd::Upgrade(recipient, adopt) => {
                let upgraded = result.and_then(|()| self.request.upgrade_now());
                let event = match upgraded.and_then(|socket| adopt(&**recipient, &self.request, &socket)) {
                    Ok(child) => OwnedEvent { child, ..OwnedEvent::of(EventKind::Upgraded) },
                    Err(error) => OwnedEvent::ended(EventKind::Upgraded, Err(error)),
                };
                told.event(recipient, event);
            }
        }
    }
}

impl Task for ArrivalTask {
    fn step(&mut self, now: Duration, told: &mut Told) -> TaskStep {
        let Some(arrival) = self.arrival.take() else { return TaskStep::Done };
        let options = self.request.options();
        let result = match arrival.step(&options, now) {
            Ok(ArrivalStep::Blocked(arrival, _)) => {
                let until = arrival.until(&options);
                self.arrival = Some(arrival);
                return TaskStep::Wait(until);
            }
            Ok(ArrivalStep::Done(arrived)) => match self.request.take_arrived(*arrived, &options) {
                Ok(()) => Ok(()),
                Err((stream, refusal)) => {
                    self.request.say_goodbye(self.member.shared(), stream, &refusal);
                    Err(self.request.refused(&refusal))
                }
            },
            Err(error) => {
                self.request.end("the connection was lost");
                Err(error)
            }
        };
        self.end(result, told);
        TaskStep::Done
    }

    fn sockets(&mut self, sockets: &mut Vec<RawFd>) {
        sockets.extend(self.arrival.as_ref().map(|arrival| arrival.stream().as_descriptor().as_raw_fd()));
    }

    fn stop(&mut self, reason: Error, told: &mut Told) {
        // The wait has ended, not the connection: another handshake goes on where this one was.
        if let Some(arrival) = self.arrival.take() {
            *self.request.state.lock() = State::Fresh(Box::new(arrival));
        }
        self.end(Err(reason), told);
    }
}

impl Drop for ArrivalTask {
    /// The loop was closed under it.
    fn drop(&mut self) {
        if self.arrival.take().is_some() {
            self.request.end("the loop was closed");
        }
    }
}

/// An answer that is no 101, until it has left and the client has ended the connection: closing with unread bytes would reset it.
struct Farewell {
    stream: Stream,
    exchange: HeadExchange,
    end: Option<Duration>,
    has_left: bool,
    recipient: Option<Arc<dyn Recipient>>,
    _member: Member,
}

impl Farewell {
    fn new(
        stream: Stream,
        answer: Vec<u8>,
        time: Option<Duration>,
        shared: &Arc<Shared>,
        recipient: Option<Arc<dyn Recipient>>,
    ) -> Farewell {
        Farewell {
            stream,
            exchange: HeadExchange::new(Peer::Client, answer, Limits { max_size: 0, max_headers: 0 }),
            end: time.map(|time| clock::now() + time),
            has_left: false,
            recipient,
            _member: Member::new(shared),
        }
    }

    fn tell(&mut self, result: Result<()>, told: &mut Told) {
        if let Some(recipient) = self.recipient.take() {
            told.event(&recipient, OwnedEvent::ended(EventKind::Responded, result));
        }
    }
}

impl Task for Farewell {
    fn step(&mut self, now: Duration, told: &mut Told) -> TaskStep {
        if !self.has_left {
            match self.exchange.send(&self.stream) {
                Ok(Some(())) => {
                    self.has_left = true;
                    self.stream.end_sending();
                    self.end = Some(now + LAST_WORDS);
                    self.tell(Ok(()), told);
                }
                Ok(None) if self.end.is_none_or(|end| now < end) => return TaskStep::Wait(self.end),
                Ok(None) => {
                    self.tell(Err(Error::new(Status::Timeout, "the client did not take the answer in time").in_phase(Phase::Http)), told);
                    return TaskStep::Done;
                }
                Err(error) => {
                    self.tell(Err(error), told);
                    return TaskStep::Done;
                }
            }
        }
        // The end of an encryption may have waited for room.
        let _ = self.stream.flush(Patience::None);
        while self.end.is_none_or(|end| now < end) {
            match self.stream.discard(Patience::None) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return TaskStep::Wait(self.end),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.stream.shut_down();
        TaskStep::Done
    }

    fn sockets(&mut self, sockets: &mut Vec<RawFd>) {
        sockets.push(self.stream.as_descriptor().as_raw_fd());
    }

    fn stop(&mut self, reason: Error, told: &mut Told) {
        self.tell(Err(reason), told);
    }
}

/// Connections that are closed one after the other.
struct Drain {
    recipient: Arc<dyn Recipient>,
    frame: CloseFrame,
    start: Duration,
    spread: Duration,
    end: Option<Duration>,
    hall: Arc<Hall>,
    total: usize,
    /// Those who were not told yet.
    waiting: Vec<Weak<Socket>>,
    sockets: Vec<Weak<Socket>>,
    _member: Member,
}

impl Drain {
    /// Those who were upgraded since the last round, the first one being all until then. Whether somebody is still on the way.
    fn take_upgraded(&mut self) -> bool {
        let mut waiting = self.hall.waiting();
        let upgraded = std::mem::take(&mut waiting.sockets);
        self.total += upgraded.len();
        self.waiting.extend(upgraded.iter().cloned());
        self.sockets.extend(upgraded);
        waiting.upgrading > 0
    }

    /// Tells as many as should have been told by now.
    fn tell_some(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.start);
        let due = if passed >= self.spread {
            self.total
        } else {
            (self.total as u128 * passed.as_micros() / self.spread.as_micros().max(1)) as usize
        };
        let told = self.total - self.waiting.len();
        for _ in told..due {
            let Some(socket) = self.waiting.pop().and_then(|socket| socket.upgrade()) else { continue };
            let _refused = socket.shutdown(self.frame.clone());
        }
    }
}

impl Task for Drain {
    fn step(&mut self, now: Duration, told: &mut Told) -> TaskStep {
        let is_somebody_coming = self.take_upgraded();
        self.tell_some(now);
        let is_here = |socket: &Arc<Socket>| {
            !socket.signals().is_dropped() && socket.failure().is_none() && !(socket.is_closed() && socket.is_flushed())
        };
        self.sockets.retain(|socket| socket.upgrade().as_ref().is_some_and(is_here));
        let is_late = self.end.is_some_and(|end| now >= end);
        if is_late {
            let reason = Error::new(Status::Cancelled, "the server was drained, and the closing handshake was not done in time");
            for socket in self.sockets.drain(..).filter_map(|socket| socket.upgrade()) {
                socket.fail(&reason);
                socket.stream().shut_down();
            }
        }
        // Who has not asked for anything by the deadline is not waited for.
        if self.sockets.is_empty() && (is_late || !is_somebody_coming) {
            told.event(&self.recipient, OwnedEvent::of(EventKind::Drained));
            return TaskStep::Done;
        }
        TaskStep::Wait(Some(now + DRAIN_ROUND))
    }

    fn sockets(&mut self, _sockets: &mut Vec<RawFd>) {}

    fn stop(&mut self, reason: Error, told: &mut Told) {
        told.event(&self.recipient, OwnedEvent::ended(EventKind::Drained, Err(reason)));
    }
}
