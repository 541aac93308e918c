//! A server's side: the listener, and the requests it accepts.
//!
//! In scope: what a listener admits by itself, and what a request holds between its calls. Out of scope: waiting (`driver`), and the rules of
//! the upgrade (`protocol::handshake`).

use std::io;
use std::sync::Arc;

use crate::connection::opening::{Arrival, Arrived};
use crate::connection::{Agreed, Connection, DeflatePool, Upgraded};
use crate::driver::blocking::{Stay, StopSign, Task};
use crate::driver::{self, blocking, clock};
use crate::error::{Error, Phase, Result, Status};
use crate::http::{Headers, RequestHead, reason_phrase, write_response};
use crate::options::{Options, SharedOptions};
use crate::protocol::deflate::Preferences;
use crate::protocol::handshake::{Acceptance, ServerPolicy, ServerRefusal, Verdict, is_reserved_header, judge_request};
use crate::protocol::{Role, Url, deflate, origin_form, path_of};
use crate::session::Session;
use crate::sync::Mutex;
use crate::transport::Stream;
use crate::transport::listen::{BindError, Host, ListenSockets};
use crate::transport::tls::{self, Configurations, Security, ServerConfig};

mod doorway;
mod on_loop;
mod policy;

pub use doorway::Seat;
use doorway::{Doorway, Handshaking};
pub use on_loop::{AdoptRequest, AdoptSocket};
use on_loop::{Hall, RequestOnLoop};
use policy::{is_below, plain_headers, shown};

/// A listener. Closing it does not disturb the requests and websockets made from it.
#[derive(Debug)]
pub struct Listener {
    url: Url,
    sockets: ListenSockets,
    options: Mutex<SharedOptions>,
    tls: Arc<Configurations>,
    doorway: Arc<Doorway>,
    deflate_pool: Arc<DeflatePool>,
    may_start_threads: bool,
    /// If its session is asynchronous.
    hall: Option<Arc<Hall>>,
}

fn not_listening(url: &Url, error: BindError) -> Error {
    match error {
        BindError::Name(error) => {
            Error::new(Status::NameNotResolved, format!("the name {} could not be resolved: {error}", url.host())).in_phase(Phase::Resolve)
        }
        BindError::Address(error) => {
            let status = if error.kind() == io::ErrorKind::AddrInUse { Status::AddressInUse } else { Status::CannotConnect };
            Error::from_io(status, format!("cannot listen on {}", url.authority()), &error).in_phase(Phase::Connect)
        }
    }
}

impl Listener {
    /// Binds and listens: 12005, 12006, 12007 if the name has no address, 13004 if the port is taken, 12029 if the address is not this machine's.
    pub fn listen(session: &Session, url: &str) -> Result<Arc<Listener>> {
        let url = Url::parse_listen(url)?;
        let options = session.options();
        if url.is_secure() {
            tls::check_built()?;
            // What is wrong with a certificate is said here; one that is not there yet may still be set on the listener.
            if options.tls.certificate.is_some() {
                session.tls().server(&options.tls)?;
            }
        }
        let host = if url.is_any_host() { Host::Any } else { Host::Named(url.host()) };
        let sockets = ListenSockets::bind(host, url.port()).map_err(|error| not_listening(&url, error))?;
        let url = url.with_port(sockets.port());
        Ok(Arc::new(Listener {
            url,
            sockets,
            options: Mutex::new(options),
            tls: session.tls(),
            doorway: Arc::default(),
            deflate_pool: session.deflate_pool(),
            may_start_threads: session.may_start_threads(),
            hall: session.loops().map(Hall::new).transpose()?,
        }))
    }

    /// The options as they are now.
    pub fn options(&self) -> SharedOptions {
        Arc::clone(&self.options.lock())
    }

    /// Changes the options; requests accepted earlier keep theirs.
    pub fn change_options(&self, change: impl FnOnce(&mut Options) -> Result<()>) -> Result<()> {
        change_options(&self.options, change)
    }

    /// The URL, with the port that was bound.
    pub fn url(&self) -> String {
        self.url.to_string()
    }

    /// The address that was bound.
    pub fn local_address(&self) -> Result<String> {
        self.sockets.local_address().map_err(|error| Error::from_io(Status::Internal, "the listener's address", &error))
    }

    /// Waits for a TCP connection, and until the limit of handshakes has room for it. Its request head is read by [`Request::handshake`], so
    /// that one slow client holds nobody up.
    pub fn accept(&self) -> Result<Arc<Request>> {
        let stay = self.doorway.sign.begin(Task::Accept);
        let options = self.options();
        let tls = self.tls_config()?;
        let enter = || self.doorway.begin_handshake(options.max_handshakes);
        let (stream, handshaking) = blocking::accept(&self.sockets, &options, &stay, enter)?;
        log::debug!("{}: accepted", stream.remote_address().unwrap_or_default());
        let deflate_pool = Arc::clone(&self.deflate_pool);
        let entrance = Entrance { prefix: self.url.path().to_owned(), doorway: Some(Arc::clone(&self.doorway)), deflate_pool };
        Ok(Request::new(stream, tls, entrance, Some(handshaking), options, self.may_start_threads, None))
    }

    /// How its clients' connections are secured, if its URL says that they are.
    fn tls_config(&self) -> Result<Option<ServerConfig>> {
        if self.url.is_secure() { self.tls.server(&self.options().tls).map(Some) } else { Ok(None) }
    }

    /// Ends the accepts that wait in other threads with 12017; false if none does.
    pub fn cancel(&self, tasks: &[Task]) -> bool {
        self.hall.as_ref().is_some_and(|hall| hall.cancel(tasks)) | self.doorway.sign.cancel(tasks)
    }

    /// The handle was closed: ends every accept with 12017.
    pub fn close(&self) {
        self.doorway.sign.close();
        if let Some(hall) = &self.hall {
            hall.close();
        }
    }
}

/// Where a request came in.
#[derive(Debug)]
struct Entrance {
    /// What is listened to.
    prefix: String,
    /// Whose limits are counted; `None` for a socket of the program's.
    doorway: Option<Arc<Doorway>>,
    /// Of the session.
    deflate_pool: Arc<DeflatePool>,
}

impl Entrance {
    /// Most clients of a server agree on the same: it is kept once.
    fn share(&self, agreed: Agreed) -> Arc<Agreed> {
        match &self.doorway {
            Some(doorway) => doorway.share(agreed),
            None => Arc::new(agreed),
        }
    }
}

/// A connection that was accepted and not answered yet. May be parked and answered later, from any thread.
#[derive(Debug)]
pub struct Request {
    entrance: Entrance,
    local_address: String,
    remote_address: String,
    is_secure: bool,
    options: Mutex<SharedOptions>,
    /// Of the answer.
    headers: Mutex<Headers>,
    state: Mutex<State>,
    /// Until it is answered.
    handshaking: Mutex<Option<Handshaking>>,
    /// After the upgrade, until somebody takes it along with the websocket.
    seat: Mutex<Option<Seat>>,
    /// Kept for queries after the answer.
    head: Mutex<Option<Head>>,
    sign: StopSign,
    may_start_threads: bool,
    /// If its session is asynchronous.
    on_loop: Option<RequestOnLoop>,
}

#[derive(Clone, Debug)]
struct Head {
    method: String,
    target: String,
    headers: Arc<Headers>,
    acceptance: Option<Acceptance>,
    security: Option<Security>,
}

/// How far the request is. A thread that waits has taken what it needs out. Lock order: never held with another of the request's locks.
#[derive(Debug)]
enum State {
    /// The head is not here, or not all of it.
    Fresh(Box<Arrival>),
    /// A thread is reading the head or sending the answer.
    UnderWay,
    /// The head is here; bytes that came behind it belong to the WebSocket.
    Ready(Stream, Vec<u8>),
    /// It was upgraded, answered, refused, or lost.
    Over(&'static str),
}

impl Request {
    /// A request over a socket that the program has accepted.
    pub fn of_stream(session: &Session, stream: Stream) -> Result<Arc<Request>> {
        let entrance = Entrance { prefix: "/".to_owned(), doorway: None, deflate_pool: session.deflate_pool() };
        let options = session.options();
        // There is no URL to say so: whoever has a certificate to show wants it shown.
        let tls = if options.tls.certificate.is_some() { Some(session.tls().server(&options.tls)?) } else { None };
        let on_loop = session.loops().map(RequestOnLoop::new);
        Ok(Request::new(stream, tls, entrance, None, options, session.may_start_threads(), on_loop))
    }

    fn new(
        stream: Stream,
        tls: Option<ServerConfig>,
        entrance: Entrance,
        handshaking: Option<Handshaking>,
        options: SharedOptions,
        may_start_threads: bool,
        on_loop: Option<RequestOnLoop>,
    ) -> Arc<Request> {
        let address = |address: io::Result<String>| address.unwrap_or_default();
        Arc::new(Request {
            entrance,
            local_address: address(stream.local_address()),
            remote_address: address(stream.remote_address()),
            headers: Mutex::default(),
            is_secure: tls.is_some(),
            state: Mutex::new(State::Fresh(Box::new(Arrival::new(stream, tls, clock::now())))),
            options: Mutex::new(options),
            handshaking: Mutex::new(handshaking),
            seat: Mutex::default(),
            head: Mutex::default(),
            sign: StopSign::default(),
            may_start_threads,
            on_loop,
        })
    }

    /// The options as they are now.
    pub fn options(&self) -> SharedOptions {
        Arc::clone(&self.options.lock())
    }

    /// Changes the options; the websocket inherits them.
    pub fn change_options(&self, change: impl FnOnce(&mut Options) -> Result<()>) -> Result<()> {
        change_options(&self.options, change)
    }

    /// Adds a header to the answer, the 101 or another; 12153 if it is none, or the answer's own.
    pub fn add_header(&self, name: &str, value: &[u8]) -> Result<()> {
        if is_reserved_header(name) {
            return Err(Error::new(Status::InvalidHeader, format!("the header {name} is the answer's own")));
        }
        self.headers.lock().push(name, value)?;
        Ok(())
    }

    /// Reads the request head. What the listener does not admit is answered here, and is 13001: a path outside its prefix (404), an upgrade that
    /// breaks the rules (400, 405, 426), a foreign origin (403), a head that is none (400, 431), more websockets than it may have (503).
    pub fn handshake(&self) -> Result<()> {
        self.read_head(&self.sign.begin(Task::Handshake))
    }

    fn read_head(&self, stay: &Stay<'_>) -> Result<()> {
        let Some(arrival) = self.begin()? else { return Ok(()) };
        let options = self.options();
        let mut arrival = Some(*arrival);
        match blocking::read_head(&mut arrival, &options, stay) {
            Ok(arrived) => match self.take_arrived(arrived, &options) {
                Ok(()) => Ok(()),
                Err((stream, refusal)) => Err(self.refuse(&stream, &options, stay, refusal)),
            },
            Err(error) => {
                match arrival {
                    // The wait has ended, not the connection: another call goes on where this one was.
                    Some(rest) if error.status() != Status::Timeout => *self.state.lock() = State::Fresh(Box::new(rest)),
                    _ => self.end("the connection was lost"),
                }
                Err(error)
            }
        }
    }

    /// The head is here: it is kept if the request is for the program.
    fn take_arrived(&self, arrived: Arrived, options: &Options) -> Result<(), (Stream, ServerRefusal)> {
        let Arrived { stream, head, early } = arrived;
        let admitted = match head {
            Ok(head) => self.admit(head, stream.security(), options),
            Err(error) => Err(ServerRefusal { status: error.http_status(), headers: plain_headers(), reason: error.to_string() }),
        };
        match admitted {
            Ok(()) => {
                *self.state.lock() = State::Ready(stream, early);
                Ok(())
            }
            Err(refusal) => Err((stream, refusal)),
        }
    }

    /// Takes what is needed to read the head; `None` if it is here.
    fn begin(&self) -> Result<Option<Box<Arrival>>> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::UnderWay) {
            State::Fresh(arrival) => Ok(Some(arrival)),
            other => {
                let error = match &other {
                    State::UnderWay => Some("another thread is in the handshake of this request"),
                    State::Over(why) => Some(*why),
                    State::Ready(..) | State::Fresh(_) => None,
                };
                *state = other;
                error.map_or(Ok(None), |error| Err(Error::new(Status::IncorrectHandleState, error)))
            }
        }
    }

    /// Nothing more will be answered: the next handshake may begin.
    fn end(&self, why: &'static str) {
        *self.state.lock() = State::Over(why);
        let handshaking = self.handshaking.lock().take();
        drop(handshaking);
    }

    /// Keeps the head if the request is for the program.
    fn admit(&self, head: RequestHead, security: Option<Security>, options: &Options) -> Result<(), ServerRefusal> {
        let path = path_of(origin_form(&head.target));
        if !is_below(path, &self.entrance.prefix) {
            let reason = format!("the path {} is not served here", shown(path));
            return Err(ServerRefusal { status: 404, headers: plain_headers(), reason });
        }
        log::debug!("{}: {} {path}, with {}", self.remote_address, head.method, head.headers.names());
        let compression = Preferences::of(&options.compression, Role::Server);
        let policy = ServerPolicy { subprotocols: &options.subprotocols, origins: &options.origins, compression };
        let acceptance = match judge_request(&head.method, &head.target, head.minor_version, &head.headers, &policy) {
            Verdict::NotWebSocket => None,
            Verdict::Upgrade(acceptance) => {
                // Asked only, so that the answer is early; the seat is taken with the upgrade.
                self.take_seat(options)?;
                Some(acceptance)
            }
            Verdict::Refuse(refusal) => return Err(refusal),
        };
        let head = Head { method: head.method, target: head.target, headers: Arc::new(head.headers), acceptance, security };
        *self.head.lock() = Some(head);
        Ok(())
    }

    /// A place among the listener's websockets, or the refusal if there is none left.
    fn take_seat(&self, options: &Options) -> Result<Option<Seat>, ServerRefusal> {
        let Some(doorway) = &self.entrance.doorway else { return Ok(None) };
        match doorway.take_seat(options.max_connections) {
            Some(seat) => Ok(Some(seat)),
            None => {
                let reason = format!("all {} connections are in use", options.max_connections);
                Err(ServerRefusal { status: 503, headers: plain_headers(), reason })
            }
        }
    }

    /// The library's own answer to what is not for the program.
    fn refuse(&self, stream: &Stream, options: &Options, stay: &Stay<'_>, refusal: ServerRefusal) -> Error {
        let answer = write_response(refusal.status, &refusal.headers, refusal.reason.as_bytes());
        let sent = blocking::respond(stream, options, stay, answer, false);
        self.end("the request was refused");
        if let Err(error) = sent {
            return error;
        }
        self.refused(&refusal)
    }

    fn refused(&self, refusal: &ServerRefusal) -> Error {
        let status = refusal.status;
        log::info!("{}: refused, {status}: {}", self.remote_address, refusal.reason);
        let message = format!("the request was answered {status} {}: {}", reason_phrase(status), refusal.reason);
        Error::new(Status::UpgradeRefused, message).in_phase(Phase::Http).with_http_status(status)
    }

    /// Does the handshake if it was not done, and sends the 101; 12019 for a request that does not ask for a WebSocket.
    pub fn complete_upgrade(&self) -> Result<Arc<Connection>> {
        let stay = self.sign.begin(Task::Upgrade);
        self.read_head(&stay)?;
        let (head, acceptance) = self.acceptance()?;
        let (stream, early) = self.take_ready()?;
        let options = self.options();
        let seat = match self.take_seat(&options) {
            Ok(seat) => seat,
            Err(refusal) => return Err(self.refuse(&stream, &options, &stay, refusal)),
        };
        let answer = write_response(101, &acceptance.response_headers(&self.answer_headers(&options)?), &[]);
        let sent = blocking::respond(&stream, &options, &stay, answer, true);
        self.end("the request was upgraded to a websocket already");
        sent?;
        let connection = Arc::new(self.make_connection(&head, acceptance, stream, &early, options)?);
        blocking::adopt(&connection, self.may_start_threads);
        *self.seat.lock() = seat;
        Ok(connection)
    }

    /// What is accepted; 12019 if the request does not ask for a WebSocket.
    fn acceptance(&self) -> Result<(Head, Acceptance)> {
        let mut head = self.head()?;
        match head.acceptance.take() {
            Some(acceptance) => Ok((head, acceptance)),
            None => Err(Error::new(Status::IncorrectHandleState, "the request does not ask for a WebSocket; answer it with ws_respond")),
        }
    }

    fn make_connection(
        &self,
        head: &Head,
        acceptance: Acceptance,
        stream: Stream,
        early: &[u8],
        options: SharedOptions,
    ) -> Result<Connection> {
        let compression = acceptance.compression.map(|parameters| {
            (deflate::Agreed::new(parameters, Role::Server, &options.compression), Arc::clone(&self.entrance.deflate_pool))
        });
        let agreed = Agreed { url: self.url_of(head), subprotocol: acceptance.subprotocol, extensions: acceptance.extensions, compression };
        let upgraded = Upgraded { stream, agreed: self.entrance.share(agreed), early };
        let connection = Connection::new(Role::Server, upgraded, options, &driver::SOURCES)?;
        log::info!("{}: upgraded", self.remote_address);
        Ok(connection)
    }

    /// The place that the websocket just made has among those of its listener: whoever keeps the websocket keeps it.
    pub fn take_along_seat(&self) -> Option<Seat> {
        self.seat.lock().take()
    }

    /// Answers with something other than a WebSocket, with `Content-Length` and `Connection: close`.
    pub fn respond(&self, http_status: u16, content_type: Option<&str>, body: &[u8]) -> Result<()> {
        let headers = self.headers_of_answer(http_status, content_type)?;
        let stay = self.sign.begin(Task::Respond);
        self.read_head(&stay)?;
        let (stream, _) = self.take_ready()?;
        let answer = write_response(http_status, &headers, body);
        let sent = blocking::respond(&stream, &self.options(), &stay, answer, false);
        self.end("the request was answered already");
        sent?;
        log::info!("{}: answered {http_status}", self.remote_address);
        Ok(())
    }

    fn headers_of_answer(&self, http_status: u16, content_type: Option<&str>) -> Result<Headers> {
        if !(200..=599).contains(&http_status) {
            let message = format!("an answer has a status from 200 to 599, not {http_status}");
            return Err(Error::new(Status::InvalidParameter, message));
        }
        let mut headers = Headers::new();
        if let Some(content_type) = content_type {
            headers.push("Content-Type", content_type.as_bytes())?;
        }
        headers.push("Connection", b"close")?;
        headers.extend(&self.answer_headers(&self.options())?);
        Ok(headers)
    }

    /// The program's headers of an answer, and the name of the server.
    fn answer_headers(&self, options: &Options) -> Result<Headers> {
        let mut headers = self.headers.lock().clone();
        if let Some(name) = &options.user_agent
            && !headers.has("Server")
        {
            headers.push("Server", name.as_bytes())?;
        }
        Ok(headers)
    }

    fn take_ready(&self) -> Result<(Stream, Vec<u8>)> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::UnderWay) {
            State::Ready(stream, early) => Ok((stream, early)),
            other => {
                let why = if let State::Over(why) = other { why } else { "another thread is answering this request" };
                *state = other;
                Err(Error::new(Status::IncorrectHandleState, why))
            }
        }
    }

    fn head(&self) -> Result<Head> {
        let head = self.head.lock().clone();
        head.ok_or_else(|| Error::new(Status::IncorrectHandleState, "the request head was not read yet").in_phase(Phase::Http))
    }

    /// The request's headers; 12019 before the handshake, as for everything that follows.
    pub fn headers(&self) -> Result<Arc<Headers>> {
        Ok(self.head()?.headers)
    }

    /// Its method.
    pub fn method(&self) -> Result<String> {
        Ok(self.head()?.method)
    }

    /// Its target: path and query.
    pub fn target(&self) -> Result<String> {
        Ok(self.head()?.target)
    }

    /// Whether it asks for a WebSocket, validly.
    pub fn is_websocket(&self) -> Result<bool> {
        Ok(self.head()?.acceptance.is_some())
    }

    /// The sub-protocol that is going to be chosen.
    pub fn subprotocol(&self) -> Result<Option<String>> {
        Ok(self.head()?.acceptance.and_then(|acceptance| acceptance.subprotocol))
    }

    /// Its URL, by the Host header.
    pub fn url(&self) -> Result<String> {
        Ok(self.url_of(&self.head()?))
    }

    fn url_of(&self, head: &Head) -> String {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        format!("{scheme}://{}{}", head.headers.get_text("Host", 0).unwrap_or_default(), origin_form(&head.target))
    }

    /// This side's address.
    pub fn local_address(&self) -> Result<String> {
        Ok(self.local_address.clone())
    }

    /// The client's address.
    pub fn remote_address(&self) -> Result<String> {
        Ok(self.remote_address.clone())
    }

    /// How the connection is secured; `None` if it is not.
    pub fn security(&self) -> Result<Option<Security>> {
        Ok(self.head()?.security)
    }

    /// Ends what waits in other threads with 12017; false if nothing does.
    pub fn cancel(&self, tasks: &[Task]) -> bool {
        self.on_loop.as_ref().is_some_and(|on_loop| on_loop.cancel(tasks)) | self.sign.cancel(tasks)
    }

    /// The handle was closed: ends every call that is inside the request with 12017. An unanswered connection ends with the request.
    pub fn close(&self) {
        self.sign.close();
        if let Some(on_loop) = &self.on_loop {
            on_loop.close();
        }
    }
}

fn change_options(options: &Mutex<SharedOptions>, change: impl FnOnce(&mut Options) -> Result<()>) -> Result<()> {
    let mut options = options.lock();
    let mut changed = Options::clone(&options);
    change(&mut changed)?;
    *options = Arc::new(changed);
    Ok(())
}
