//! Requests on a loop: reading the head, upgrading, and answering.
//!
//! Out of scope: what a request holds and what it may do next ([`Request`]).

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use super::{AdoptRequest, AdoptSocket, Hall};
use crate::connection::opening::{Arrival, ArrivalStep, HeadExchange, Peer};
use crate::driver::blocking::Task as Operation;
use crate::driver::clock;
use crate::driver::event_loop::{Answer, EventKind, Loops, Member, OwnedEvent, Recipient, Shared, Socket, Task, TaskSign, TaskStep, Told};
use crate::error::{Error, Phase, Result, Status};
use crate::http::{Limits, write_response};
use crate::protocol::handshake::ServerRefusal;
use crate::server::{Request, State};
use crate::sync::Mutex;
use crate::transport::{Patience, Stream};

/// How long an answer that is no 101 is given to reach a client that still sends.
const LAST_WORDS: Duration = Duration::from_millis(500);

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
    /// Of one that was given its connection.
    pub fn new(loops: Arc<Loops>) -> RequestOnLoop {
        RequestOnLoop { loops, shared: None, hall: None, under_way: Mutex::default() }
    }

    /// Of a request that comes in through a listener, on this loop.
    pub(super) fn arriving(hall: &Arc<Hall>, shared: &Arc<Shared>) -> RequestOnLoop {
        RequestOnLoop { shared: Some(Arc::clone(shared)), hall: Some(Arc::clone(hall)), ..RequestOnLoop::new(Arc::clone(&hall.loops)) }
    }

    fn next(&self) -> Result<Arc<Shared>> {
        match &self.shared {
            Some(shared) => Ok(Arc::clone(shared)),
            None => self.loops.next(),
        }
    }

    /// Ends what is under way of these; false if nothing is.
    pub fn cancel(&self, operations: &[Operation]) -> bool {
        self.stop(operations, Error::new(Status::Cancelled, "the operation was cancelled"))
    }

    /// The handle was closed.
    pub fn close(&self) {
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
pub(super) struct ArrivalTask {
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
    /// For whoever accepts.
    pub(super) fn accepting(request: Arc<Request>, arrival: Arrival, end: (Arc<Hall>, AdoptRequest), shared: &Arc<Shared>) -> ArrivalTask {
        ArrivalTask { request, arrival: Some(arrival), end: ArrivalEnd::Accept(end.0, end.1), member: Member::new(shared) }
    }

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
