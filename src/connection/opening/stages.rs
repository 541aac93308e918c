//! The stages of an opening, one after the other. Each owns what it needs, and the next takes it over.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::limit::Limit;
use super::{HeadExchange, Moved, Opening, Peer, Waits, route};
use crate::error::{Error, Phase, Result, Status};
use crate::http::auth::{Authenticator, Credentials, Scheme};
use crate::http::{Body, Headers, Limits, ResponseHead, shown, write_request};
use crate::protocol::Role;
use crate::protocol::deflate::{self, Preferences};
use crate::protocol::handshake::{ClientHandshake, Key, Offer};
use crate::transport::dial::{self, Attempt, How, Race, RaceStep};
use crate::transport::proxy::{Proxy, ProxyKind, Socks, SocksStep};
use crate::transport::tls::Handshake;
use crate::transport::{Interest, Stream};

/// How long the page that comes with a refusal is waited for: its sender may keep the connection open for good.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// A socket of this machine whose queue is full says so, and never says when it is not.
const LOCAL_RETRY: Duration = Duration::from_millis(10);

/// Where an opening is.
#[derive(Debug)]
pub(super) enum Stage {
    /// The request is to be made.
    Start(Begin),
    LookUp(Box<LookUp>),
    Dial(Box<Dial>),
    DialLocal(Box<DialLocal>),
    Socks(Box<Tunnel>),
    Secure(Box<Securing>),
    Send(Box<Asking>),
    Head(Box<Asking>),
    Body(Box<Refused>),
    /// There was an answer or an error.
    Over,
}

/// Over which connection a round goes.
#[derive(Debug)]
pub(super) enum Begin {
    /// A new one.
    Dial,
    /// The program's own, on which nothing was said yet.
    Given(Stream),
    /// That of the last round, which its peer keeps alive.
    Kept(Stream),
}

/// The upgrade that is asked for, and the judge of the answer.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) handshake: ClientHandshake,
}

/// A name that is being resolved.
#[derive(Debug)]
pub(super) struct LookUp {
    ask: Ask,
    limit: Limit,
    pub(super) found: Option<io::Result<Vec<SocketAddr>>>,
}

#[derive(Debug)]
pub(super) struct Dial {
    ask: Ask,
    race: Race,
}

#[derive(Debug)]
pub(super) struct DialLocal {
    ask: Ask,
    limit: Limit,
    /// None while its queue is full.
    attempt: Option<Attempt>,
    /// When there is another.
    next: Duration,
}

#[derive(Debug)]
pub(super) struct Tunnel {
    ask: Ask,
    stream: Stream,
    socks: Socks,
    /// What it waits for.
    interest: Interest,
}

/// A connection on which TLS is being agreed on.
#[derive(Debug)]
pub(super) struct Securing {
    ask: Ask,
    handshake: Handshake,
    interest: Interest,
}

/// A request that is on its way, to the server or to a proxy.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) ask: Ask,
    pub(super) stream: Stream,
    pub(super) exchange: HeadExchange,
    /// The connection had an answer before, and its peer may have ended it since.
    pub(super) is_reused: bool,
}

/// An answer other than 101, whose body is coming.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) asking: Asking,
    pub(super) head: ResponseHead,
    pub(super) body: Body,
    limit: Limit,
    /// The same request again behind it, with credentials.
    pub(super) tries_again: bool,
    /// The credentials were not accepted.
    pub(super) is_rejected: bool,
}

impl Stage {
    pub(super) fn waits(&self) -> Waits<'_> {
        let one = |stream, interest| vec![(Stream::as_descriptor(stream), interest)];
        match self {
            Stage::LookUp(look_up) => Waits { sockets: Vec::new(), until: look_up.limit.end() },
            Stage::Dial(dial) => {
                let sockets = dial.race.descriptors().map(|socket| (socket, Interest::WRITE)).collect();
                Waits { sockets, until: dial.race.until() }
            }
            Stage::DialLocal(dial) => {
                let sockets = dial.attempt.iter().map(|attempt| (attempt.as_descriptor(), Interest::WRITE)).collect();
                let next = dial.attempt.is_none().then_some(dial.next);
                Waits { sockets, until: dial.limit.end().into_iter().chain(next).min() }
            }
            Stage::Socks(tunnel) => Waits { sockets: one(&tunnel.stream, tunnel.interest), until: None },
            Stage::Secure(securing) => Waits { sockets: one(securing.handshake.stream(), securing.interest), until: None },
            Stage::Send(asking) => Waits { sockets: one(&asking.stream, Interest::WRITE), until: None },
            Stage::Head(asking) => Waits { sockets: one(&asking.stream, Interest::READ), until: None },
            Stage::Body(refused) => Waits { sockets: one(&refused.asking.stream, Interest::READ), until: refused.limit.end() },
            Stage::Start(_) | Stage::Over => Waits::default(),
        }
    }
}

/// Up to a connection.
impl Opening {
    pub(super) fn start(&mut self, begin: Begin, now: Duration) -> Result<Moved> {
        let ask = Ask { handshake: self.handshake()? };
        match begin {
            Begin::Kept(stream) => return Ok(Moved::To(self.ask_server(ask, stream, true))),
            Begin::Given(stream) => return self.secured(ask, stream),
            Begin::Dial => {}
        }
        if let Some(path) = self.url.socket_path() {
            log::debug!("{path}: connecting");
            let limit = Limit::new(self.options.connect_timeout, now);
            return Ok(Moved::To(Stage::DialLocal(Box::new(DialLocal { ask, limit, attempt: None, next: now }))));
        }
        self.choose_proxy()?;
        self.reach(ask, now)
    }

    fn handshake(&mut self) -> Result<ClientHandshake> {
        let answer = self.authenticator.answer("GET", self.url.target(), &(self.sources.nonce)()?);
        let mut headers = Headers::new();
        for (name, value) in self.headers.iter() {
            let is_replaced = answer.is_some() && name.eq_ignore_ascii_case("Authorization");
            if !is_replaced && !is_for_proxy(name) {
                headers.push(name, value)?;
            }
        }
        if let Some(answer) = answer {
            headers.push("Authorization", &answer)?;
        }
        let compression = Preferences::of(&self.options.compression, Role::Client).map(deflate::offer);
        let offer = Offer {
            url: &self.url,
            subprotocols: &self.options.subprotocols,
            extensions: compression.as_deref(),
            user_agent: self.options.user_agent.as_deref(),
            headers: &headers,
        };
        Ok(ClientHandshake::new(Key::from_nonce((self.sources.nonce)()?), &offer)?)
    }

    /// Redirects may lead past the proxy, or to it.
    fn choose_proxy(&mut self) -> Result<()> {
        let proxy = route::proxy_for(&self.url, &self.options, self.sources.environment)?;
        if proxy != self.proxy {
            self.proxy_authenticator = Authenticator::new(self.proxy_logins(proxy.as_ref()));
            self.proxy = proxy;
        }
        Ok(())
    }

    /// The program's credentials for the proxy; else the login in the proxy's URL, for whatever it asks for.
    fn proxy_logins(&self, proxy: Option<&Proxy>) -> Vec<Credentials> {
        match proxy.and_then(|proxy| proxy.login.as_ref()) {
            Some((user, password)) if self.proxy_credentials.is_empty() => [Scheme::Basic, Scheme::Digest]
                .into_iter()
                .map(|scheme| Credentials { scheme, user: user.clone(), password: password.clone() })
                .collect(),
            _ => self.proxy_credentials.clone(),
        }
    }

    /// Connects to the server, or to the proxy before it.
    pub(super) fn reach(&mut self, ask: Ask, now: Duration) -> Result<Moved> {
        let (host, port) = match &self.proxy {
            Some(proxy) => (proxy.host.clone(), proxy.port),
            None => (self.url.host().to_owned(), self.url.port()),
        };
        if let Some(address) = dial::literal(&host, port) {
            return Ok(Moved::To(self.race(ask, vec![address], now)));
        }
        let limit = Limit::new(self.options.resolve_timeout, now);
        Ok(Moved::LookUp(Stage::LookUp(Box::new(LookUp { ask, limit, found: None })), host, port))
    }

    pub(super) fn look_up(&mut self, mut look_up: Box<LookUp>, now: Duration) -> Result<Moved> {
        let (name, phase) = match &self.proxy {
            Some(proxy) => (format!("the proxy's name {}", proxy.host), Phase::Proxy),
            None => (format!("the name {}", self.url.host()), Phase::Resolve),
        };
        let Some(found) = look_up.found.take() else {
            let what = format!("{name} was not resolved");
            look_up.limit.check(now, phase, &what)?;
            self.whole.check(now, phase, &what)?;
            return Ok(Moved::Blocked(Stage::LookUp(look_up)));
        };
        let failed = |message: String| Error::new(Status::NameNotResolved, message).in_phase(phase);
        match found {
            Ok(addresses) if addresses.is_empty() => Err(failed(format!("{name} has no address"))),
            Ok(addresses) => Ok(Moved::To(self.race(look_up.ask, addresses, now))),
            Err(error) => Err(failed(format!("{name} could not be resolved: {error}"))),
        }
    }

    fn race(&self, ask: Ask, addresses: Vec<SocketAddr>, now: Duration) -> Stage {
        let how = How { nodelay: self.options.nodelay, own_address: self.options.own_address };
        Stage::Dial(Box::new(Dial { ask, race: Race::new(addresses, how, self.options.connect_timeout, now) }))
    }

    pub(super) fn dial(&mut self, mut dial: Box<Dial>, now: Duration) -> Result<Moved> {
        match dial.race.step(now) {
            RaceStep::Won(stream) => self.connected(dial.ask, stream),
            RaceStep::Running if !self.whole.is_over(now) => Ok(Moved::Blocked(Stage::Dial(dial))),
            RaceStep::Running | RaceStep::Lost if self.proxy.is_some() => {
                Err(dial.race.into_error("no connection to the proxy", Phase::Proxy, now))
            }
            RaceStep::Running | RaceStep::Lost => Err(dial.race.into_error("no connection", Phase::Connect, now)),
        }
    }

    pub(super) fn dial_local(&mut self, mut dial: Box<DialLocal>, now: Duration) -> Result<Moved> {
        let path = self.url.socket_path().unwrap_or_default();
        let failed =
            |error: &io::Error| Error::from_io(Status::CannotConnect, format!("no connection: {path}"), error).in_phase(Phase::Connect);
        if dial.attempt.is_none() && now >= dial.next {
            match Attempt::begin_local(path) {
                Ok(attempt) => dial.attempt = Some(attempt),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => dial.next = now + LOCAL_RETRY,
                Err(error) => return Err(failed(&error)),
            }
        }
        match dial.attempt.as_ref().and_then(Attempt::outcome) {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(failed(&error)),
            None => {
                let what = format!("no connection: {path} did not take one");
                dial.limit.check(now, Phase::Connect, &what)?;
                self.whole.check(now, Phase::Connect, &what)?;
                return Ok(Moved::Blocked(Stage::DialLocal(dial)));
            }
        }
        let DialLocal { ask, attempt, .. } = *dial;
        let Some(attempt) = attempt else { return Err(Error::new(Status::Internal, "a connection without an attempt")) };
        log::debug!("{path}: connected");
        let stream = attempt.into_stream(false).map_err(|error| failed(&error))?;
        self.secured(ask, stream)
    }

    /// There is a connection: to the server, or to its proxy.
    fn connected(&mut self, ask: Ask, stream: Stream) -> Result<Moved> {
        match &self.proxy {
            None => self.secured(ask, stream),
            Some(proxy) if proxy.kind == ProxyKind::Http => self.ask_proxy(ask, stream, false).map(Moved::To),
            Some(proxy) => {
                let logins = self.proxy_logins(Some(proxy));
                let login = logins.first().map(|login| (login.user.as_str(), login.password.as_str()));
                let socks = Socks::new(proxy.authority(), self.url.host(), self.url.port(), login)?;
                Ok(Moved::To(Stage::Socks(Box::new(Tunnel { ask, stream, socks, interest: Interest::WRITE }))))
            }
        }
    }

    pub(super) fn pass_socks(&mut self, mut tunnel: Box<Tunnel>, now: Duration) -> Result<Moved> {
        match tunnel.socks.step(&tunnel.stream)? {
            SocksStep::Open => {
                let Tunnel { ask, stream, .. } = *tunnel;
                self.secured(ask, stream)
            }
            SocksStep::Blocked(interest) => {
                tunnel.interest = interest;
                self.whole.check(now, Phase::Proxy, "the proxy did not answer")?;
                Ok(Moved::Blocked(Stage::Socks(tunnel)))
            }
        }
    }

    /// What goes over the stream goes to the server: TLS, if the URL wants it, else the request.
    pub(super) fn secured(&mut self, ask: Ask, stream: Stream) -> Result<Moved> {
        if !self.url.is_secure() {
            return Ok(Moved::To(self.ask_server(ask, stream, false)));
        }
        let named = self.options.tls_server_name.as_deref().filter(|_| !self.is_elsewhere);
        let options = if self.is_elsewhere { &Arc::new(self.options.tls.without_certificate()) } else { &self.options.tls };
        let handshake = Handshake::client(stream, &self.tls.client(options)?, named.unwrap_or(self.url.host()))?;
        Ok(Moved::To(Stage::Secure(Box::new(Securing { ask, handshake, interest: Interest::WRITE }))))
    }

    pub(super) fn secure(&mut self, mut securing: Box<Securing>, now: Duration) -> Result<Moved> {
        let Some(interest) = securing.handshake.step()? else {
            return Ok(Moved::To(self.ask_server(securing.ask, securing.handshake.into_stream(), false)));
        };
        self.whole.check(now, Phase::Tls, "the server did not finish the TLS handshake")?;
        securing.interest = interest;
        Ok(Moved::Blocked(Stage::Secure(securing)))
    }
}

/// From a request to an answer.
impl Opening {
    fn limits(&self) -> Limits {
        Limits { max_size: self.options.max_head_size as usize, max_headers: self.options.max_headers as usize }
    }

    fn ask_server(&self, ask: Ask, stream: Stream, is_reused: bool) -> Stage {
        let (target, headers) = (self.url.target(), ask.handshake.request_headers());
        log::debug!("{}: asking", self.url.without_query());
        log_lines('>', || shown::request_lines("GET", target, headers));
        let exchange = HeadExchange::new(Peer::Server, write_request("GET", target, headers), self.limits());
        Stage::Send(Box::new(Asking { ask, stream, exchange, is_reused }))
    }

    /// CONNECT, RFC 9110 §9.3.6.
    pub(super) fn ask_proxy(&mut self, ask: Ask, stream: Stream, is_reused: bool) -> Result<Stage> {
        let target = self.url.authority();
        let mut headers = Headers::new();
        headers.push("Host", target.as_bytes())?;
        if let Some(user_agent) = &self.options.user_agent {
            headers.push("User-Agent", user_agent.as_bytes())?;
        }
        match self.proxy_authenticator.answer("CONNECT", &target, &(self.sources.nonce)()?) {
            Some(answer) => headers.push("Proxy-Authorization", &answer)?,
            None => {
                for (name, value) in self.headers.iter().filter(|(name, _)| is_for_proxy(name)) {
                    headers.push(name, value)?;
                }
            }
        }
        log_lines('>', || shown::request_lines("CONNECT", &target, &headers));
        let exchange = HeadExchange::new(Peer::Proxy, write_request("CONNECT", &target, &headers), self.limits());
        Ok(Stage::Send(Box::new(Asking { ask, stream, exchange, is_reused })))
    }

    pub(super) fn send(&mut self, mut asking: Box<Asking>, now: Duration) -> Result<Moved> {
        match asking.exchange.send(&asking.stream) {
            Ok(Some(())) => Ok(Moved::To(Stage::Head(asking))),
            Ok(None) => {
                let peer = asking.exchange.peer();
                self.whole.check(now, peer.phase(), &format!("{} did not take the request", peer.name()))?;
                Ok(Moved::Blocked(Stage::Send(asking)))
            }
            Err(error) => self.lost(*asking, error, now),
        }
    }

    pub(super) fn read_head(&mut self, mut asking: Box<Asking>, now: Duration) -> Result<Moved> {
        let peer = asking.exchange.peer();
        match asking.exchange.read_response(&asking.stream) {
            Ok(Some(head)) => {
                log_lines('<', || shown::response_lines(&head));
                if peer == Peer::Proxy { self.proxy_answered(*asking, head, now) } else { self.server_answered(*asking, head, now) }
            }
            Ok(None) => {
                self.whole.check(now, peer.phase(), &format!("{} did not answer the handshake", peer.name()))?;
                Ok(Moved::Blocked(Stage::Head(asking)))
            }
            Err(error) => self.lost(*asking, error, now),
        }
    }

    /// A connection that is kept alive may be ended by its peer at any moment: then there is another.
    fn lost(&mut self, asking: Asking, error: Error, now: Duration) -> Result<Moved> {
        if !asking.is_reused || asking.exchange.has_received() || !self.dials {
            return Err(error);
        }
        log::debug!("the connection was not kept alive: {error}");
        match asking.exchange.peer() {
            Peer::Proxy => self.reach(asking.ask, now),
            _ => Ok(Moved::To(Stage::Start(Begin::Dial))),
        }
    }

    /// The body of an answer that is no 101.
    pub(super) fn refused(asking: Asking, head: ResponseHead, tries_again: bool, is_rejected: bool, now: Duration) -> Moved {
        let body = Body::of_response(head.status, &head.headers);
        let limit = Limit::new(Some(BODY_TIMEOUT), now);
        Moved::To(Stage::Body(Box::new(Refused { asking, head, body, limit, tries_again, is_rejected })))
    }

    /// The page of a refusal. It is a courtesy: whatever ends it, the answer stands.
    pub(super) fn read_body(&mut self, mut refused: Box<Refused>, now: Duration) -> Result<Moved> {
        let read = refused.asking.exchange.read_body(&refused.asking.stream, &mut refused.body);
        if matches!(read, Ok(None)) && !refused.limit.is_over(now) && !self.whole.is_over(now) {
            return Ok(Moved::Blocked(Stage::Body(refused)));
        }
        self.body_read(*refused, now)
    }
}

/// What the program adds for the proxy, and no server is to see.
fn is_for_proxy(name: &str) -> bool {
    name.eq_ignore_ascii_case("Proxy-Authorization")
}

fn log_lines(direction: char, lines: impl FnOnce() -> Vec<String>) {
    if log::log_enabled!(log::Level::Debug) {
        lines().iter().for_each(|line| log::debug!("{direction} {line}"));
    }
}
