//! A client's way to an answer, as one step machine that never waits: look the name up, connect, pass the proxy, agree on TLS, ask, read the
//! answer; and again, where credentials or a redirect are to be tried. And a server's, to a request ([`Arrival`]).
//!
//! Whoever waits drives it: [`Opening::step`] until it is done; after [`OpeningStep::Blocked`], wait for what [`Opening::waits`] names; after
//! [`OpeningStep::LookUp`], resolve the name however that is done there, and tell [`Opening::found`].
//!
//! In scope: the stages (`stages`), what leads to another round (`rounds`), their time limits, and errors with all that was tried. Out of scope:
//! waiting, threads and the clock (`driver`), and what a request holds between its calls (`client`).

mod arrival;
mod exchange;
mod limit;
mod rounds;
mod route;
mod stages;

pub use arrival::{Arrival, ArrivalStep, Arrived};
pub use exchange::{HeadExchange, Peer};

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result, Status};
use crate::http::auth::{Authenticator, Credentials};
use crate::http::{Headers, ResponseHead};
use crate::options::SharedOptions;
use crate::protocol::Url;
use crate::protocol::handshake::Agreement;
use crate::transport::proxy::Proxy;
use crate::transport::tls::{Configurations, Security};
use crate::transport::{Interest, Stream};
use limit::Limit;
use stages::{Begin, Stage};

/// What an opening needs and does not have of its own.
#[derive(Debug)]
pub struct OpeningSources {
    /// Sixteen bytes that nobody can predict.
    pub nonce: fn() -> Result<[u8; 16]>,
    /// Seconds since 1970: a server may name a moment at which to come again.
    pub unix_time: fn() -> u64,
    /// A variable of the environment; read only if the program asked for it.
    pub environment: fn(&str) -> Option<String>,
}

/// What is to be asked, of whom, and how.
#[derive(Debug)]
pub struct Plan {
    /// The server and its resource.
    pub url: Url,
    /// Limits, offers, and the proxy.
    pub options: SharedOptions,
    /// The program's own.
    pub headers: Headers,
    /// For a server that answers 401.
    pub credentials: Vec<Credentials>,
    /// For a proxy that asks for them.
    pub proxy_credentials: Vec<Credentials>,
    /// The connection, if there is one already; then there is no other.
    pub stream: Option<Stream>,
    /// What the session has ready for TLS.
    pub tls: Arc<Configurations>,
    /// Randomness, the date, the environment.
    pub sources: &'static OpeningSources,
}

/// The answer that nothing more is tried after.
#[derive(Debug)]
pub struct Reply {
    /// Who has answered: where redirects have led.
    pub url: Url,
    /// The head of the last request, as it was sent.
    pub request: Vec<u8>,
    /// Its head, whatever its status; of a proxy if that has answered 407.
    pub head: ResponseHead,
    /// Whether it makes the connection a WebSocket, or why not.
    pub verdict: Result<Agreement>,
    /// The connection, if the answer was 101.
    pub stream: Stream,
    /// What came behind a 101: it belongs to the WebSocket.
    pub early: Vec<u8>,
    /// The body of any other answer, up to 64 KiB.
    pub body: Vec<u8>,
    /// The peer's address: the server's, or its proxy's.
    pub remote_address: String,
    /// This side's address.
    pub local_address: String,
    /// How the connection is secured, if it is.
    pub security: Option<Security>,
}

/// What a step did.
#[derive(Debug)]
pub enum OpeningStep {
    /// There is an answer.
    Done(Box<Reply>),
    /// This name is to be resolved; [`Opening::found`] takes the result. Asked once; steps in between are [`OpeningStep::Blocked`].
    LookUp {
        /// The name.
        host: String,
        /// The port that its addresses are to have.
        port: u16,
    },
    /// Nothing can be done before what [`Opening::waits`] names.
    Blocked,
}

/// What a blocked opening waits for: any of the sockets, or the time.
#[derive(Debug, Default)]
pub struct Waits<'o> {
    /// Several while several addresses are tried; none while a name is resolved.
    pub sockets: Vec<(BorrowedFd<'o>, Interest)>,
    /// When the next step is due even if nothing happens, on the clock of the steps.
    pub until: Option<Duration>,
}

/// An opening under way.
#[derive(Debug)]
pub struct Opening {
    /// Who is asked in this round.
    url: Url,
    options: SharedOptions,
    /// Those of the program's that this server may see.
    headers: Headers,
    /// What answers this server's challenges.
    authenticator: Authenticator,
    credentials: Vec<Credentials>,
    /// What answers the proxy's.
    proxy_authenticator: Authenticator,
    proxy_credentials: Vec<Credentials>,
    proxy: Option<Proxy>,
    /// Redirects that were followed.
    redirects: u32,
    /// It is not the server that the program meant, but one that a redirect led to.
    is_elsewhere: bool,
    /// Whether another connection can be made.
    dials: bool,
    tls: Arc<Configurations>,
    sources: &'static OpeningSources,
    whole: Limit,
    stage: Stage,
}

/// Where a stage leads.
enum Moved {
    To(Stage),
    Blocked(Stage),
    LookUp(Stage, String, u16),
    Done(Box<Reply>),
}

impl Opening {
    /// An opening that has done nothing yet; its time runs from now.
    pub fn new(plan: Plan, now: Duration) -> Opening {
        let Plan { url, options, headers, credentials, proxy_credentials, stream, tls, sources } = plan;
        Opening {
            url,
            whole: Limit::new(options.handshake_timeout, now),
            options,
            headers,
            authenticator: Authenticator::new(credentials.clone()),
            credentials,
            proxy_authenticator: Authenticator::default(),
            proxy_credentials,
            proxy: None,
            redirects: 0,
            is_elsewhere: false,
            dials: stream.is_none(),
            tls,
            sources,
            stage: Stage::Start(stream.map_or(Begin::Dial, Begin::Given)),
        }
    }

    /// Goes on as far as it can without waiting. After an answer or an error it is over.
    pub fn step(&mut self, now: Duration) -> Result<OpeningStep> {
        loop {
            let moved = match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Start(begin) => self.start(begin, now)?,
                Stage::LookUp(look_up) => self.look_up(look_up, now)?,
                Stage::Dial(dial) => self.dial(dial, now)?,
                Stage::DialLocal(dial) => self.dial_local(dial, now)?,
                Stage::Socks(tunnel) => self.pass_socks(tunnel, now)?,
                Stage::Secure(securing) => self.secure(securing, now)?,
                Stage::Send(asking) => self.send(asking, now)?,
                Stage::Head(asking) => self.read_head(asking, now)?,
                Stage::Body(refused) => self.read_body(refused, now)?,
                Stage::Over => return Err(Error::new(Status::IncorrectHandleState, "the handshake is over")),
            };
            match moved {
                Moved::To(stage) => self.stage = stage,
                Moved::Blocked(stage) => {
                    self.stage = stage;
                    return Ok(OpeningStep::Blocked);
                }
                Moved::LookUp(stage, host, port) => {
                    self.stage = stage;
                    return Ok(OpeningStep::LookUp { host, port });
                }
                Moved::Done(reply) => return Ok(OpeningStep::Done(reply)),
            }
        }
    }

    /// The addresses of the name that was to be resolved. The next step goes on with them.
    pub fn found(&mut self, addresses: io::Result<Vec<SocketAddr>>) {
        if let Stage::LookUp(look_up) = &mut self.stage {
            look_up.found = Some(addresses);
        }
    }

    /// What to wait for after a step was blocked.
    pub fn waits(&self) -> Waits<'_> {
        let mut waits = self.stage.waits();
        waits.until = waits.until.into_iter().chain(self.whole.end()).min();
        waits
    }
}
