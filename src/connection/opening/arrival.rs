//! A server's way to a request, as one step machine that never waits: the request head of a connection that was just accepted.
//!
//! Out of scope: waiting (`driver`), what the head means (`protocol::handshake`), and what a request holds between its calls (`server`).

use std::time::Duration;

use super::HeadExchange;
use super::limit::Limit;
use crate::error::{Error, Phase, Result, Status};
use crate::http::{HeadError, Limits, RequestHead};
use crate::options::Options;
use crate::transport::{Interest, Stream};

/// A request head under way: what has come of it survives a wait that was cancelled.
#[derive(Debug)]
pub struct Arrival {
    stream: Stream,
    /// Begun by the first step, whose options it follows.
    exchange: Option<HeadExchange>,
    /// When the connection was accepted: a slow client has no more time because its server looked late.
    start: Duration,
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
    /// Nothing has come; the time runs from now.
    pub fn new(stream: Stream, now: Duration) -> Arrival {
        Arrival { stream, exchange: None, start: now }
    }

    /// The connection, for waiting on it.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// When its time is over.
    pub fn until(&self, options: &Options) -> Option<Duration> {
        Limit::new(options.handshake_timeout, self.start).end()
    }

    /// Goes on as far as it can without waiting. After an error the connection is over.
    pub fn step(mut self, options: &Options, now: Duration) -> Result<ArrivalStep> {
        let limits = Limits { max_size: options.max_head_size as usize, max_headers: options.max_headers as usize };
        let mut exchange = self.exchange.take().unwrap_or_else(|| HeadExchange::new(Vec::new(), limits));
        match exchange.read_request(&self.stream)? {
            Some(head) => Ok(ArrivalStep::Done(Box::new(Arrived { stream: self.stream, head, early: exchange.into_rest() }))),
            None => {
                self.exchange = Some(exchange);
                if Limit::new(options.handshake_timeout, self.start).is_over(now) {
                    let time = options.handshake_timeout.unwrap_or_default().as_millis();
                    let message = format!("the client did not send its request head within {time} ms");
                    return Err(Error::new(Status::Timeout, message).in_phase(Phase::Http));
                }
                Ok(ArrivalStep::Blocked(self, Interest::READ))
            }
        }
    }
}
