//! A client's request: from the URL to an open connection.
//!
//! In scope: what a request holds between its calls, and in which order they may come. Out of scope: connecting and waiting (`driver`), and
//! the rules of the upgrade (`protocol::handshake`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::connection::{Agreed, Connection, Upgraded};
use crate::driver::{self, blocking, entropy};
use crate::error::{Error, Phase, Result, Status};
use crate::http::{Headers, write_request};
use crate::options::{Options, SharedOptions};
use crate::protocol::handshake::{Agreement, ClientHandshake, Key, Offer, Refusal, is_reserved_header};
use crate::protocol::{Role, Url};
use crate::session::Session;
use crate::transport::Stream;

/// A request. One handshake at a time; after a refusal another may be tried.
#[derive(Debug)]
pub struct Request {
    url: Url,
    options: Mutex<SharedOptions>,
    headers: Mutex<Headers>,
    state: Mutex<State>,
    sign: blocking::StopSign,
    may_start_threads: bool,
}

/// How far the request is. Lock order: `state` is never held with another of the request's locks.
#[derive(Debug)]
enum State {
    /// No answer, or none that is of any use.
    Fresh,
    /// A thread is in the handshake.
    UnderWay,
    /// The server has answered.
    Answered(Box<Answer>),
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Arc<Headers>,
    outcome: Outcome,
    body: Vec<u8>,
    body_read: usize,
    subprotocol: Option<String>,
    local_address: String,
    remote_address: String,
}

#[derive(Debug)]
enum Outcome {
    /// A valid 101, and what is needed to go on.
    Granted(Box<(Stream, Agreement, Vec<u8>)>),
    Refused(Refusal),
    /// The websocket was handed out.
    Upgraded,
}

impl Request {
    /// Makes a request. No I/O; 12005, 12006, or 50 for `wss` where TLS is not built.
    pub fn connect(session: &Session, url: &str) -> Result<Arc<Request>> {
        let url = Url::parse(url)?;
        if url.is_secure() {
            return Err(Error::new(Status::NotSupported, "wss is not built yet"));
        }
        Ok(Arc::new(Request {
            url,
            options: Mutex::new(session.options()),
            headers: Mutex::default(),
            state: Mutex::new(State::Fresh),
            sign: blocking::StopSign::default(),
            may_start_threads: session.may_start_threads(),
        }))
    }

    /// The options as they are now.
    pub fn options(&self) -> SharedOptions {
        Arc::clone(&lock(&self.options))
    }

    /// Changes the options; they take effect with the next handshake.
    pub fn change_options(&self, change: impl FnOnce(&mut Options) -> Result<()>) -> Result<()> {
        let mut options = lock(&self.options);
        let mut changed = Options::clone(&options);
        change(&mut changed)?;
        *options = Arc::new(changed);
        Ok(())
    }

    /// The URL, canonical.
    pub fn url(&self) -> String {
        self.url.to_string()
    }

    /// Adds a header to the next handshake; 12153 if it is none, or the handshake's own.
    pub fn add_header(&self, name: &str, value: &[u8]) -> Result<()> {
        if is_reserved_header(name) {
            return Err(Error::new(Status::InvalidHeader, format!("the header {name} is the handshake's own")));
        }
        let mut headers = lock(&self.headers);
        if name.eq_ignore_ascii_case("Host") && headers.has("Host") {
            return Err(Error::new(Status::InvalidHeader, "the header Host was added already"));
        }
        headers.push(name, value)?;
        Ok(())
    }

    /// Dials, sends the request and reads the response head; any status is success.
    pub fn handshake(&self) -> Result<()> {
        self.begin()?;
        let result = self.attempt();
        let mut state = lock(&self.state);
        match result {
            Ok(answer) => {
                *state = State::Answered(Box::new(answer));
                Ok(())
            }
            Err(error) => {
                *state = State::Fresh;
                Err(error)
            }
        }
    }

    fn begin(&self) -> Result<()> {
        let mut state = lock(&self.state);
        let busy = |what| Err(Error::new(Status::IncorrectHandleState, what));
        match &*state {
            State::UnderWay => return busy("another thread is in the handshake of this request"),
            State::Answered(answer) => match &answer.outcome {
                Outcome::Granted(_) => return busy("the handshake was done; complete the upgrade"),
                Outcome::Upgraded => return busy("the request was upgraded to a websocket"),
                Outcome::Refused(_) => {}
            },
            State::Fresh => {}
        }
        *state = State::UnderWay;
        Ok(())
    }

    fn attempt(&self) -> Result<Answer> {
        let options = self.options();
        let headers = lock(&self.headers).clone();
        let offer = Offer {
            url: &self.url,
            subprotocols: &options.subprotocols,
            extensions: None,
            user_agent: options.user_agent.as_deref(),
            headers: &headers,
        };
        let handshake = ClientHandshake::new(Key::from_nonce(entropy::nonce()?), &offer)?;
        let request = write_request("GET", self.url.target(), handshake.request_headers());
        let opening = blocking::Opening { url: &self.url, options: &options, sign: &self.sign, may_start_threads: self.may_start_threads };
        let reply = blocking::open(opening, request)?;
        let verdict = handshake.judge(reply.head.status, reply.head.minor_version, &reply.head.headers);
        let subprotocol = verdict.as_ref().ok().and_then(|agreement| agreement.subprotocol.clone());
        Ok(Answer {
            status: reply.head.status,
            headers: Arc::new(reply.head.headers),
            outcome: match verdict {
                Ok(agreement) => Outcome::Granted(Box::new((reply.stream, agreement, reply.early))),
                Err(refusal) => Outcome::Refused(refusal),
            },
            body: reply.body,
            body_read: 0,
            subprotocol,
            local_address: reply.local_address,
            remote_address: reply.remote_address,
        })
    }

    /// Does the handshake if it was not done, and hands out the connection: 13001 for any status but 101, 12152 for a 101 that breaks the rules.
    /// The request stays usable.
    pub fn complete_upgrade(&self) -> Result<Arc<Connection>> {
        if matches!(&*lock(&self.state), State::Fresh) {
            self.handshake()?;
        }
        let (stream, agreement, early) = {
            let mut state = lock(&self.state);
            let State::Answered(answer) = &mut *state else {
                return Err(Error::new(Status::IncorrectHandleState, "another thread is in the handshake of this request"));
            };
            match std::mem::replace(&mut answer.outcome, Outcome::Upgraded) {
                Outcome::Granted(granted) => *granted,
                Outcome::Refused(refusal) => {
                    let error = refusal.clone().into();
                    answer.outcome = Outcome::Refused(refusal);
                    return Err(error);
                }
                Outcome::Upgraded => {
                    return Err(Error::new(Status::IncorrectHandleState, "the request was upgraded to a websocket already"));
                }
            }
        };
        let agreed = Agreed { url: self.url.to_string(), subprotocol: agreement.subprotocol, extensions: agreement.extensions };
        let upgraded = Upgraded { stream, agreed, early: &early };
        let connection = Arc::new(Connection::new(Role::Client, upgraded, self.options(), &driver::SOURCES)?);
        blocking::adopt(&connection, self.may_start_threads);
        Ok(connection)
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

    /// This side's address.
    pub fn local_address(&self) -> Result<String> {
        self.answer(|answer| Ok(answer.local_address.clone()))
    }

    /// The server's address.
    pub fn remote_address(&self) -> Result<String> {
        self.answer(|answer| Ok(answer.remote_address.clone()))
    }

    fn answer<T>(&self, read: impl FnOnce(&mut Answer) -> Result<T>) -> Result<T> {
        match &mut *lock(&self.state) {
            State::Answered(answer) => read(answer),
            _ => Err(Error::new(Status::IncorrectHandleState, "there is no answer yet: the handshake was not done").in_phase(Phase::Http)),
        }
    }

    /// Ends a handshake that waits in another thread with 12017.
    pub fn cancel(&self) {
        self.sign.cancel();
    }

    /// The handle was closed: ends every call that is inside the request with 12017.
    pub fn close(&self) {
        self.sign.close();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
