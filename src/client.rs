//! A client's request: from the URL to an open connection.
//!
//! In scope: what a request holds between its calls, and in which order they may come. Out of scope: connecting and waiting (`driver`), and
//! the rules of the upgrade (`protocol::handshake`).

use std::sync::Arc;

use crate::connection::opening::{Opening, Plan, Reply};
use crate::connection::{Agreed, Connection, DeflatePool, Upgraded};
use crate::driver::blocking::{Stay, StopSign, Task};
use crate::driver::{self, blocking, clock};
use crate::error::{Error, Phase, Result, Status};
use crate::http::Headers;
use crate::http::auth::{Credentials, Scheme};
use crate::options::{Options, SharedOptions};
use crate::protocol::handshake::{Agreement, is_reserved_header};
use crate::protocol::{Role, Url, deflate};
use crate::session::Session;
use crate::sync::Mutex;
use crate::transport::Stream;
use crate::transport::tls::{self, Configurations, Security};

mod on_loop;

pub use on_loop::Adopt;
use on_loop::OnLoop;

/// A request. One handshake at a time; after a refusal another may be tried.
#[derive(Debug)]
pub struct Request {
    url: Url,
    options: Mutex<SharedOptions>,
    headers: Mutex<Headers>,
    logins: Mutex<Logins>,
    state: Mutex<State>,
    sign: StopSign,
    deflate_pool: Arc<DeflatePool>,
    /// Whether an attempt makes its own connection; else there is one attempt, over the socket that the program gave.
    dials: bool,
    tls: Arc<Configurations>,
    may_start_threads: bool,
    /// If its session is asynchronous.
    on_loop: Option<OnLoop>,
}

/// The credentials that the program gave, at most one a scheme.
#[derive(Clone, Debug, Default)]
struct Logins {
    server: Vec<Credentials>,
    proxy: Vec<Credentials>,
}

/// How far the request is. Lock order: `state` is never held with another of the request's locks.
#[derive(Debug)]
enum State {
    /// No answer, or none that is of any use.
    Fresh,
    /// The same, over a socket of the program's.
    Connected(Stream),
    /// A thread is in the handshake.
    UnderWay,
    /// The server has answered.
    Answered(Box<Answer>),
}

#[derive(Debug)]
struct Answer {
    request: String,
    status: u16,
    reason: String,
    headers: Arc<Headers>,
    /// Where redirects have led.
    url: String,
    outcome: Outcome,
    body: Vec<u8>,
    body_read: usize,
    subprotocol: Option<String>,
    local_address: String,
    remote_address: String,
    security: Option<Security>,
}

#[derive(Debug)]
enum Outcome {
    /// A valid 101, and what is needed to go on.
    Granted(Box<(Stream, Agreement, Vec<u8>)>),
    Refused(Error),
    /// The websocket was handed out.
    Upgraded,
}

impl Request {
    /// Makes a request. No I/O; 12005, 12006, or 50 for `wss` where TLS is not built.
    pub fn connect(session: &Session, url: &str) -> Result<Arc<Request>> {
        Request::new(session, url, None)
    }

    /// Makes a request that speaks over a connected socket; the URL only says what is asked of whom.
    pub fn over_stream(session: &Session, url: &str, stream: Stream) -> Result<Arc<Request>> {
        Request::new(session, url, Some(stream))
    }

    fn new(session: &Session, url: &str, stream: Option<Stream>) -> Result<Arc<Request>> {
        let url = Url::parse(url)?;
        if url.is_secure() {
            tls::check_built()?;
        }
        Ok(Arc::new(Request {
            url,
            options: Mutex::new(session.options()),
            headers: Mutex::default(),
            logins: Mutex::default(),
            dials: stream.is_none(),
            state: Mutex::new(stream.map_or(State::Fresh, State::Connected)),
            sign: StopSign::default(),
            deflate_pool: session.deflate_pool(),
            tls: session.tls(),
            may_start_threads: session.may_start_threads(),
            on_loop: session.loops().map(OnLoop::new),
        }))
    }

    /// The options as they are now.
    pub fn options(&self) -> SharedOptions {
        Arc::clone(&self.options.lock())
    }

    /// Changes the options; they take effect with the next handshake.
    pub fn change_options(&self, change: impl FnOnce(&mut Options) -> Result<()>) -> Result<()> {
        let mut options = self.options.lock();
        let mut changed = Options::clone(&options);
        change(&mut changed)?;
        *options = Arc::new(changed);
        Ok(())
    }

    /// The URL, canonical; after the handshake that of the server which has answered.
    pub fn url(&self) -> String {
        match &*self.state.lock() {
            State::Answered(answer) => answer.url.clone(),
            _ => self.url.to_string(),
        }
    }

    /// Adds a header to the next handshake; 12153 if it is none, or the handshake's own.
    pub fn add_header(&self, name: &str, value: &[u8]) -> Result<()> {
        if is_reserved_header(name) {
            return Err(Error::new(Status::InvalidHeader, format!("the header {name} is the handshake's own")));
        }
        let mut headers = self.headers.lock();
        if name.eq_ignore_ascii_case("Host") && headers.has("Host") {
            return Err(Error::new(Status::InvalidHeader, "the header Host was added already"));
        }
        headers.push(name, value)?;
        Ok(())
    }

    /// Takes credentials for the next handshake, in place of earlier ones for the same scheme; 87 if they cannot be any.
    pub fn set_credentials(&self, of_proxy: bool, credentials: Credentials) -> Result<()> {
        let refused = |what: &str| Err(Error::new(Status::InvalidParameter, what.to_owned()));
        // RFC 7617 §2: the colon ends the name, and controls are none of either's.
        if credentials.scheme == Scheme::Basic && credentials.user.contains(':') {
            return refused("a user name for Basic cannot have a colon");
        }
        if [&credentials.user, &credentials.password].iter().any(|text| text.contains(char::is_control)) {
            return refused("a user name or password cannot have control characters");
        }
        let mut logins = self.logins.lock();
        let known = if of_proxy { &mut logins.proxy } else { &mut logins.server };
        known.retain(|other| other.scheme != credentials.scheme);
        known.push(credentials);
        Ok(())
    }

    /// Gets an answer to the request; any status is success.
    pub fn handshake(&self) -> Result<()> {
        self.make_attempt(&self.sign.begin(Task::Handshake))
    }

    fn make_attempt(&self, stay: &Stay<'_>) -> Result<()> {
        let opening = self.begin_attempt()?;
        let waiting = blocking::Waiting { stay, interruptible: self.options().interruptible, may_start_threads: self.may_start_threads };
        self.end_attempt(blocking::open(opening, waiting))
    }

    /// Begins a handshake, which whoever waits for it drives, and whose end [`Request::end_attempt`] must be told.
    fn begin_attempt(&self) -> Result<Opening> {
        let stream = self.begin()?;
        let headers = self.headers.lock().clone();
        let Logins { server: credentials, proxy: proxy_credentials } = self.logins.lock().clone();
        let (url, options, tls) = (self.url.clone(), self.options(), Arc::clone(&self.tls));
        let sources = &driver::OPENING_SOURCES;
        let plan = Plan { url, options, headers, credentials, proxy_credentials, stream, tls, sources };
        Ok(Opening::new(plan, clock::now()))
    }

    /// The end of a handshake that was begun.
    fn end_attempt(&self, result: Result<Reply>) -> Result<()> {
        let (next, result) = match result {
            Ok(reply) => (State::Answered(Box::new(self.answer_of(reply))), Ok(())),
            Err(error) => (State::Fresh, Err(error)),
        };
        *self.state.lock() = next;
        result
    }

    /// Takes the attempt, with the socket for it if there is one.
    fn begin(&self) -> Result<Option<Stream>> {
        let mut state = self.state.lock();
        let busy = |what| Err(Error::new(Status::IncorrectHandleState, what));
        match &*state {
            State::UnderWay => return busy("another thread is in the handshake of this request"),
            State::Answered(answer) => match &answer.outcome {
                Outcome::Granted(_) => return busy("the handshake was done; complete the upgrade"),
                Outcome::Upgraded => return busy("the request was upgraded to a websocket"),
                Outcome::Refused(_) => {}
            },
            State::Fresh | State::Connected(_) => {}
        }
        if !self.dials && !matches!(&*state, State::Connected(_)) {
            return busy("the socket that was given for this request is used up");
        }
        match std::mem::replace(&mut *state, State::UnderWay) {
            State::Connected(stream) => Ok(Some(stream)),
            _ => Ok(None),
        }
    }

    fn answer_of(&self, reply: Reply) -> Answer {
        let who = reply.url.without_query();
        match &reply.verdict {
            Ok(_) => log::info!("{who}: upgraded"),
            Err(error) => log::info!("{who}: {error}"),
        }
        let subprotocol = reply.verdict.as_ref().ok().and_then(|agreement| agreement.subprotocol.clone());
        Answer {
            request: String::from_utf8_lossy(&reply.request).into_owned(),
            status: reply.head.status,
            reason: reply.head.reason,
            headers: Arc::new(reply.head.headers),
            url: reply.url.to_string(),
            outcome: match reply.verdict {
                Ok(agreement) => Outcome::Granted(Box::new((reply.stream, agreement, reply.early))),
                Err(error) => Outcome::Refused(error),
            },
            body: reply.body,
            body_read: 0,
            subprotocol,
            local_address: reply.local_address,
            remote_address: reply.remote_address,
            security: reply.security,
        }
    }

    /// Does the handshake if it was not done, and hands out the connection: 13001 for any status but 101, 12152 for a 101 that breaks the rules.
    /// The request stays usable.
    pub fn complete_upgrade(&self) -> Result<Arc<Connection>> {
        if self.needs_handshake() {
            self.make_attempt(&self.sign.begin(Task::Upgrade))?;
        }
        let connection = Arc::new(self.take_connection()?);
        blocking::adopt(&connection, self.may_start_threads);
        Ok(connection)
    }

    fn needs_handshake(&self) -> bool {
        matches!(&*self.state.lock(), State::Fresh | State::Connected(_))
    }

    /// The connection that the server has granted.
    fn take_connection(&self) -> Result<Connection> {
        let (stream, agreement, early) = {
            let mut state = self.state.lock();
            let State::Answered(answer) = &mut *state else {
                return Err(Error::new(Status::IncorrectHandleState, "another thread is in the handshake of this request"));
            };
            match std::mem::replace(&mut answer.outcome, Outcome::Upgraded) {
                Outcome::Granted(granted) => *granted,
                Outcome::Refused(error) => {
                    answer.outcome = Outcome::Refused(error.clone());
                    return Err(error);
                }
                Outcome::Upgraded => {
                    return Err(Error::new(Status::IncorrectHandleState, "the request was upgraded to a websocket already"));
                }
            }
        };
        let options = self.options();
        let compression = agreement
            .compression
            .map(|parameters| (deflate::Agreed::new(parameters, Role::Client, &options.compression), Arc::clone(&self.deflate_pool)));
        let Agreement { subprotocol, extensions, .. } = agreement;
        let agreed = Agreed { url: self.url(), subprotocol, extensions, compression };
        let upgraded = Upgraded { stream, agreed: Arc::new(agreed), early: &early };
        Connection::new(Role::Client, upgraded, options, &driver::SOURCES)
    }

    /// Status and headers of the answer; 12019 before there is one.
    pub fn response(&self) -> Result<(u16, Arc<Headers>)> {
        self.answer(|answer| Ok((answer.status, Arc::clone(&answer.headers))))
    }

    /// The next bytes of a refusal's body, 0 at its end. Never waits.
    pub fn read_body(&self, buffer: &mut [u8]) -> Result<usize> {
        self.answer(|answer| {
            let rest = &answer.body[answer.body_read..];
            let length = rest.len().min(buffer.len());
            buffer[..length].copy_from_slice(&rest[..length]);
            answer.body_read += length;
            Ok(length)
        })
    }

    /// The sub-protocol that the server chose.
    pub fn subprotocol(&self) -> Result<Option<String>> {
        self.answer(|answer| Ok(answer.subprotocol.clone()))
    }

    /// The head of the request as it was sent.
    pub fn request_head(&self) -> Result<String> {
        self.answer(|answer| Ok(answer.request.clone()))
    }

    /// What the server said beside the status: "Switching Protocols".
    pub fn reason(&self) -> Result<String> {
        self.answer(|answer| Ok(answer.reason.clone()))
    }

    /// This side's address.
    pub fn local_address(&self) -> Result<String> {
        self.answer(|answer| Ok(answer.local_address.clone()))
    }

    /// The server's address.
    pub fn remote_address(&self) -> Result<String> {
        self.answer(|answer| Ok(answer.remote_address.clone()))
    }

    /// How the connection is secured; `None` if it is not.
    pub fn security(&self) -> Result<Option<Security>> {
        self.answer(|answer| Ok(answer.security.clone()))
    }

    fn answer<T>(&self, read: impl FnOnce(&mut Answer) -> Result<T>) -> Result<T> {
        match &mut *self.state.lock() {
            State::Answered(answer) => read(answer),
            _ => Err(Error::new(Status::IncorrectHandleState, "there is no answer yet: the handshake was not done").in_phase(Phase::Http)),
        }
    }

    /// Ends what waits in other threads with 12017; false if nothing does.
    pub fn cancel(&self, tasks: &[Task]) -> bool {
        let reason = || Error::new(Status::Cancelled, "the operation was cancelled");
        self.on_loop.as_ref().is_some_and(|on_loop| on_loop.stop(tasks, reason())) | self.sign.cancel(tasks)
    }

    /// The handle was closed: ends every call that is inside the request with 12017.
    pub fn close(&self) {
        self.sign.close();
        if let Some(on_loop) = &self.on_loop {
            on_loop.stop(&Task::ALL, Error::new(Status::Cancelled, "the handle was closed meanwhile"));
        }
    }
}
