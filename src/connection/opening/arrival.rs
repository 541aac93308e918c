//! A server's way to a request, as one step machine that never waits: of a connection that was just accepted, TLS if it is spoken, and the
//! request head.
//!
//! Out of scope: waiting (`driver`), what the head means (`protocol::handshake`), and what a request holds between its calls (`server`).

use std::time::Duration;

use super::HeadExchange;
use super::limit::Limit;
use crate::error::{Error, Phase, Result, Status};
use crate::http::{HeadError, Limits, RequestHead};
use crate::options::Options;
use crate::transport::tls::{Handshake, ServerConfig};
use crate::transport::{Interest, Patience, Stream};

/// Reads of what a client still sends after its handshake has failed.
const MOST_UNREAD: u32 = 16;

/// A request head under way: what has come of it survives a wait that was cancelled.
#[derive(Debug)]
pub struct Arrival {
    way: Way,
    /// Begun by the first step, whose options it follows.
    exchange: Option<HeadExchange>,
    /// When the connection was accepted: a slow client has no more time because its server looked late.
    start: Duration,
}

#[derive(Debug)]
enum Way {
    /// TLS is to be agreed on.
    Accepted(Stream, ServerConfig),
    /// TLS is being agreed on.
    Secure(Handshake),
    /// The head is coming.
    Open(Stream),
}

/// A request head that is here, and what it came with.
#[derive(Debug)]
pub struct Arrived {
    /// The connection.
    pub stream: Stream,
    /// The head. The error is the peer's, and can be answered.
    pub head: Result<RequestHead, HeadError>,
    /// What came behind it: it belongs to the WebSocket.
    pub early: Vec<u8>,
}

/// What a step did.
#[derive(Debug)]
pub enum ArrivalStep {
    /// The head is here.
    Done(Box<Arrived>),
    /// This must come first; go on with the same arrival.
    Blocked(Arrival, Interest),
}

impl Arrival {
    /// Nothing has come; the time runs from now. With `tls` the client is to speak TLS.
    pub fn new(stream: Stream, tls: Option<ServerConfig>, now: Duration) -> Arrival {
        let way = match tls {
            Some(config) => Way::Accepted(stream, config),
            None => Way::Open(stream),
        };
        Arrival { way, exchange: None, start: now }
    }

    /// The connection, for waiting on it.
    pub fn stream(&self) -> &Stream {
        match &self.way {
            Way::Accepted(stream, _) | Way::Open(stream) => stream,
            Way::Secure(handshake) => handshake.stream(),
        }
    }

    /// When its time is over.
    pub fn until(&self, options: &Options) -> Option<Duration> {
        Limit::new(options.handshake_timeout, self.start).end()
    }

    /// Goes on as far as it can without waiting. After an error the connection is over.
    pub fn step(self, options: &Options, now: Duration) -> Result<ArrivalStep> {
        let Arrival { way, exchange, start } = self;
        let stream = match way {
            Way::Open(stream) => stream,
            Way::Accepted(stream, config) => {
                let way = Way::Secure(Handshake::server(stream, &config)?);
                return Arrival { way, exchange, start }.step(options, now);
            }
            Way::Secure(mut handshake) => match handshake.step() {
                Ok(None) => handshake.into_stream(),
                Ok(Some(interest)) => return Arrival { way: Way::Secure(handshake), exchange, start }.blocked(interest, options, now),
                Err(error) => {
                    end_politely(handshake.stream());
                    return Err(error);
                }
            },
        };
        let limits = Limits { max_size: options.max_head_size as usize, max_headers: options.max_headers as usize };
        let mut exchange = exchange.unwrap_or_else(|| HeadExchange::new(Vec::new(), limits));
        match exchange.read_request(&stream)? {
            Some(head) => Ok(ArrivalStep::Done(Box::new(Arrived { stream, head, early: exchange.into_rest() }))),
            None => Arrival { way: Way::Open(stream), exchange: Some(exchange), start }.blocked(Interest::READ, options, now),
        }
    }

    fn blocked(self, interest: Interest, options: &Options, now: Duration) -> Result<ArrivalStep> {
        if !Limit::new(options.handshake_timeout, self.start).is_over(now) {
            return Ok(ArrivalStep::Blocked(self, interest));
        }
        let time = options.handshake_timeout.unwrap_or_default().as_millis();
        let (phase, what) = match self.way {
            Way::Open(_) => (Phase::Http, "send its request head"),
            Way::Accepted(..) | Way::Secure(_) => (Phase::Tls, "finish the TLS handshake"),
        };
        Err(Error::new(Status::Timeout, format!("the client did not {what} within {time} ms")).in_phase(phase))
    }
}

/// The alert that says why is on its way: closing with unread bytes would reset it.
fn end_politely(stream: &Stream) {
    stream.end_sending();
    for _ in 0..MOST_UNREAD {
        if !matches!(stream.discard(Patience::None), Ok(1..)) {
            break;
        }
    }
}
