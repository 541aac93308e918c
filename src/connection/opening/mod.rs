//! A client's way to an answer, as one step machine that never waits: look the name up, connect, agree on TLS, send the request, read the answer.
//! And a server's, to a request ([`Arrival`]).
//!
//! Whoever waits drives it: [`Opening::step`] until it is done; after [`OpeningStep::Blocked`], wait for what [`Opening::waits`] names; after
//! [`OpeningStep::LookUp`], resolve the name however that is done there, and tell [`Opening::found`].
//!
//! In scope: the order of the stages, their time limits, and the errors with all that was tried. Out of scope: waiting, threads and the clock
//! (`driver`), and what a request holds between its calls (`client`).

mod arrival;
mod exchange;
mod limit;

pub use arrival::{Arrival, ArrivalStep, Arrived};
pub use exchange::HeadExchange;

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Phase, Result, Status};
use crate::http::{Body, Headers, Limits, ResponseHead, write_request};
use crate::options::SharedOptions;
use crate::protocol::Url;
use crate::protocol::handshake::{Agreement, ClientHandshake, Key, Offer, Refusal};
use crate::transport::dial::{self, How, Race, RaceStep};
use crate::transport::tls::{Configurations, Handshake, Security};
use crate::transport::{Interest, Stream};
use limit::Limit;

/// How long the page that comes with a refusal is waited for: its sender may keep the connection open for good.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// What an opening needs and does not have of its own.
#[derive(Debug)]
pub struct OpeningSources {
    /// Sixteen bytes that nobody can predict.
    pub nonce: fn() -> Result<[u8; 16]>,
}

/// What is to be asked, of whom, and how.
#[derive(Debug)]
pub struct Plan {
    /// The server and its resource.
    pub url: Url,
    /// Limits and offers.
    pub options: SharedOptions,
    /// The program's own.
    pub headers: Headers,
    /// The connection, if there is one already; then there is no other.
    pub stream: Option<Stream>,
    /// What the session has ready for TLS.
    pub tls: Arc<Configurations>,
    /// Randomness.
    pub sources: &'static OpeningSources,
}

/// The server's answer.
#[derive(Debug)]
pub struct Reply {
    /// The head of the request, as it was sent.
    pub request: Vec<u8>,
    /// Its head, whatever its status.
    pub head: ResponseHead,
    /// Whether it makes the connection a WebSocket.
    pub verdict: Result<Agreement, Refusal>,
    /// The connection, if the answer was 101.
    pub stream: Stream,
    /// What came behind a 101: it belongs to the WebSocket.
    pub early: Vec<u8>,
    /// The body of any other answer, up to 64 KiB.
    pub body: Vec<u8>,
    /// The server's address.
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
    url: Url,
    options: SharedOptions,
    headers: Headers,
    tls: Arc<Configurations>,
    sources: &'static OpeningSources,
    whole: Limit,
    stage: Stage,
}

/// Where it is. Each stage owns what it needs; the next one takes it over.
#[derive(Debug)]
enum Stage {
    /// The request is to be made, over this connection if there is one.
    Start(Option<Stream>),
    LookUp(Box<LookUp>),
    Dial(Box<Dial>),
    Secure(Box<Securing>),
    Send(Box<Asking>),
    Head(Box<Asking>),
    Body(Box<Refused>),
    /// There was an answer or an error.
    Over,
}

/// A name that is being resolved.
#[derive(Debug)]
struct LookUp {
    ask: Ask,
    limit: Limit,
    found: Option<std::io::Result<Vec<SocketAddr>>>,
}

#[derive(Debug)]
struct Dial {
    ask: Ask,
    race: Race,
}

/// A connection on which TLS is being agreed on.
#[derive(Debug)]
struct Securing {
    ask: Ask,
    handshake: Handshake,
    interest: Interest,
}

/// The request, and the judge of its answer.
#[derive(Debug)]
struct Ask {
    handshake: ClientHandshake,
}

/// A request that is on its way.
#[derive(Debug)]
struct Asking {
    ask: Ask,
    stream: Stream,
    exchange: HeadExchange,
}

/// An answer other than 101, whose body is coming.
#[derive(Debug)]
struct Refused {
    asking: Asking,
    head: ResponseHead,
    body: Body,
    limit: Limit,
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
        let Plan { url, options, headers, stream, tls, sources } = plan;
        let whole = Limit::new(options.handshake_timeout, now);
        Opening { url, options, headers, tls, sources, whole, stage: Stage::Start(stream) }
    }

    /// Goes on as far as it can without waiting. After an answer or an error it is over.
    pub fn step(&mut self, now: Duration) -> Result<OpeningStep> {
        loop {
            let moved = match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Start(stream) => self.start(stream, now)?,
                Stage::LookUp(look_up) => self.look_up(look_up, now)?,
                Stage::Dial(dial) => self.dial(dial, now)?,
                Stage::Secure(securing) => self.secure(securing, now)?,
                Stage::Send(asking) => self.send(asking, now)?,
                Stage::Head(asking) => self.read_head(asking, now)?,
                Stage::Body(refused) => self.read_body(refused, now),
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
    pub fn found(&mut self, addresses: std::io::Result<Vec<SocketAddr>>) {
        if let Stage::LookUp(look_up) = &mut self.stage {
            look_up.found = Some(addresses);
        }
    }

    /// What to wait for after a step was blocked.
    pub fn waits(&self) -> Waits<'_> {
        let whole = self.whole.end();
        let one = |stream, interest, until| Waits { sockets: vec![(Stream::as_descriptor(stream), interest)], until };
        match &self.stage {
            Stage::LookUp(look_up) => Waits { sockets: Vec::new(), until: earliest(look_up.limit.end(), whole) },
            Stage::Dial(dial) => Waits {
                sockets: dial.race.descriptors().map(|socket| (socket, Interest::WRITE)).collect(),
                until: earliest(dial.race.until(), whole),
            },
            Stage::Secure(securing) => one(securing.handshake.stream(), securing.interest, whole),
            Stage::Send(asking) => one(&asking.stream, Interest::WRITE, whole),
            Stage::Head(asking) => one(&asking.stream, Interest::READ, whole),
            Stage::Body(refused) => one(&refused.asking.stream, Interest::READ, earliest(refused.limit.end(), whole)),
            Stage::Start(_) | Stage::Over => Waits::default(),
        }
    }
}

/// The stages.
impl Opening {
    fn start(&mut self, stream: Option<Stream>, now: Duration) -> Result<Moved> {
        let offer = Offer {
            url: &self.url,
            subprotocols: &self.options.subprotocols,
            extensions: None,
            user_agent: self.options.user_agent.as_deref(),
            headers: &self.headers,
        };
        let ask = Ask { handshake: ClientHandshake::new(Key::from_nonce((self.sources.nonce)()?), &offer)? };
        if let Some(stream) = stream {
            return Ok(Moved::To(self.connected(ask, stream)?));
        }
        let (host, port) = (self.url.host().to_owned(), self.url.port());
        if let Some(address) = dial::literal(&host, port) {
            return Ok(Moved::To(self.race(ask, vec![address], now)));
        }
        let limit = Limit::new(self.options.resolve_timeout, now);
        Ok(Moved::LookUp(Stage::LookUp(Box::new(LookUp { ask, limit, found: None })), host, port))
    }

    fn look_up(&mut self, mut look_up: Box<LookUp>, now: Duration) -> Result<Moved> {
        let host = self.url.host();
        let Some(found) = look_up.found.take() else {
            let what = format!("the name {host} was not resolved");
            look_up.limit.check(now, Phase::Resolve, &what)?;
            self.whole.check(now, Phase::Resolve, &what)?;
            return Ok(Moved::Blocked(Stage::LookUp(look_up)));
        };
        let failed = |message: String| Error::new(Status::NameNotResolved, message).in_phase(Phase::Resolve);
        match found {
            Ok(addresses) if addresses.is_empty() => Err(failed(format!("the name {host} has no address"))),
            Ok(addresses) => Ok(Moved::To(self.race(look_up.ask, addresses, now))),
            Err(error) => Err(failed(format!("the name {host} could not be resolved: {error}"))),
        }
    }

    fn race(&self, ask: Ask, addresses: Vec<SocketAddr>, now: Duration) -> Stage {
        let how = How { nodelay: self.options.nodelay, own_address: None };
        let limit = self.options.connect_timeout;
        Stage::Dial(Box::new(Dial { ask, race: Race::new(addresses, how, limit, now) }))
    }

    fn dial(&mut self, mut dial: Box<Dial>, now: Duration) -> Result<Moved> {
        match dial.race.step(now) {
            RaceStep::Won(stream) => Ok(Moved::To(self.connected(dial.ask, stream)?)),
            RaceStep::Running if !self.whole.is_over(now) => Ok(Moved::Blocked(Stage::Dial(dial))),
            RaceStep::Running | RaceStep::Lost => Err(dial.race.into_error("no connection", Phase::Connect, now)),
        }
    }

    /// There is a connection to the server: TLS, if the URL wants it, else the request.
    fn connected(&self, ask: Ask, stream: Stream) -> Result<Stage> {
        if !self.url.is_secure() {
            return Ok(self.ask(ask, stream));
        }
        let name = self.options.tls_server_name.as_deref().unwrap_or(self.url.host());
        let handshake = Handshake::client(stream, &self.tls.client(&self.options.tls)?, name)?;
        Ok(Stage::Secure(Box::new(Securing { ask, handshake, interest: Interest::WRITE })))
    }

    fn secure(&mut self, mut securing: Box<Securing>, now: Duration) -> Result<Moved> {
        let Some(interest) = securing.handshake.step()? else {
            return Ok(Moved::To(self.ask(securing.ask, securing.handshake.into_stream())));
        };
        self.whole.check(now, Phase::Tls, "the server did not finish the TLS handshake")?;
        securing.interest = interest;
        Ok(Moved::Blocked(Stage::Secure(securing)))
    }

    fn ask(&self, ask: Ask, stream: Stream) -> Stage {
        let limits = Limits { max_size: self.options.max_head_size as usize, max_headers: self.options.max_headers as usize };
        let request = write_request("GET", self.url.target(), ask.handshake.request_headers());
        log::debug!("{}: asking, with {}", self.url.without_query(), ask.handshake.request_headers().names());
        Stage::Send(Box::new(Asking { ask, stream, exchange: HeadExchange::new(request, limits) }))
    }

    fn send(&mut self, mut asking: Box<Asking>, now: Duration) -> Result<Moved> {
        if asking.exchange.send(&asking.stream)?.is_some() {
            return Ok(Moved::To(Stage::Head(asking)));
        }
        self.whole.check(now, Phase::Http, "the server did not take the request")?;
        Ok(Moved::Blocked(Stage::Send(asking)))
    }

    fn read_head(&mut self, mut asking: Box<Asking>, now: Duration) -> Result<Moved> {
        let Some(head) = asking.exchange.read_response(&asking.stream)? else {
            self.whole.check(now, Phase::Http, "the server did not answer the handshake")?;
            return Ok(Moved::Blocked(Stage::Head(asking)));
        };
        log::debug!("{}: answered with {}", self.url.without_query(), head.headers.names());
        if head.status == 101 {
            return Ok(self.done(*asking, head, Vec::new()));
        }
        let body = Body::of_response(head.status, &head.headers);
        Ok(Moved::To(Stage::Body(Box::new(Refused { asking: *asking, head, body, limit: Limit::new(Some(BODY_TIMEOUT), now) }))))
    }

    /// The page of a refusal. It is a courtesy: whatever ends it, the answer stands.
    fn read_body(&mut self, mut refused: Box<Refused>, now: Duration) -> Moved {
        let read = refused.asking.exchange.read_body(&refused.asking.stream, &mut refused.body);
        if matches!(read, Ok(None)) && !refused.limit.is_over(now) && !self.whole.is_over(now) {
            return Moved::Blocked(Stage::Body(refused));
        }
        let Refused { asking, head, body, .. } = *refused;
        self.done(asking, head, body.into_content())
    }

    fn done(&self, asking: Asking, head: ResponseHead, body: Vec<u8>) -> Moved {
        let Asking { ask, stream, exchange } = asking;
        let address = |address: std::io::Result<String>| address.unwrap_or_else(|_| self.url.authority());
        let (remote_address, local_address) = (address(stream.remote_address()), address(stream.local_address()));
        let verdict = ask.handshake.judge(head.status, head.minor_version, &head.headers);
        let (early, security) = (exchange.into_rest(), stream.security());
        let request = write_request("GET", self.url.target(), ask.handshake.request_headers());
        Moved::Done(Box::new(Reply { request, head, verdict, stream, early, body, remote_address, local_address, security }))
    }
}

fn earliest(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}
