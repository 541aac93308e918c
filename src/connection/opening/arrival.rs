//! A server's side of an opening: TLS if it is spoken, then the request head, as one step machine that never waits.
//!
//! Out of scope: the answer, which the program decides on, and waiting (`driver`).

use std::os::fd::BorrowedFd;

use super::HeadExchange;
use crate::error::{Phase, Result};
use crate::http::{HeadError, Limits, RequestHead};
use crate::transport::tls::{Handshake, ServerConfig};
use crate::transport::{Interest, Stream};

/// A connection that was accepted, and whose request is coming.
#[derive(Debug)]
pub struct Arrival {
    way: Way,
    exchange: HeadExchange,
}

#[derive(Debug)]
enum Way {
    /// TLS is being agreed on; what it waits for.
    Tls(Box<Handshake>, Interest),
    Open(Stream),
    /// Between two of these.
    Moving,
}

impl Arrival {
    /// Nothing has come yet; `tls` if the client is to speak it.
    pub fn new(stream: Stream, tls: Option<&ServerConfig>, limits: Limits) -> Result<Arrival> {
        let way = match tls {
            Some(config) => Way::Tls(Box::new(Handshake::server(stream, config)?), Interest::READ),
            None => Way::Open(stream),
        };
        Ok(Arrival { way, exchange: HeadExchange::new(Vec::new(), limits) })
    }

    /// Goes on as far as it can without waiting: the head once it is here, whose error is the peer's and can be answered; `None` before.
    pub fn step(&mut self) -> Result<Option<Result<RequestHead, HeadError>>> {
        loop {
            match &mut self.way {
                Way::Tls(handshake, interest) => match handshake.step()? {
                    Some(wanted) => {
                        *interest = wanted;
                        return Ok(None);
                    }
                    None => {
                        if let Way::Tls(handshake, _) = std::mem::replace(&mut self.way, Way::Moving) {
                            self.way = Way::Open(handshake.into_stream());
                        }
                    }
                },
                Way::Open(stream) => return self.exchange.read_request(stream),
                Way::Moving => return Ok(None),
            }
        }
    }

    /// What to wait for after a step without a head.
    pub fn waits(&self) -> Option<(BorrowedFd<'_>, Interest)> {
        match &self.way {
            Way::Tls(handshake, interest) => Some((handshake.stream().as_descriptor(), *interest)),
            Way::Open(stream) => Some((stream.as_descriptor(), Interest::READ)),
            Way::Moving => None,
        }
    }

    /// The connection, for its descriptor and its end.
    pub fn stream(&self) -> Option<&Stream> {
        match &self.way {
            Way::Tls(handshake, _) => Some(handshake.stream()),
            Way::Open(stream) => Some(stream),
            Way::Moving => None,
        }
    }

    /// In which part of the opening it is.
    pub fn phase(&self) -> Phase {
        if let Way::Tls(..) = self.way { Phase::Tls } else { Phase::Http }
    }

    /// The connection, and what came behind the head and belongs to the WebSocket; `None` before there is a head.
    pub fn into_parts(self) -> Option<(Stream, Vec<u8>)> {
        if let Way::Open(stream) = self.way { Some((stream, self.exchange.into_rest())) } else { None }
    }
}
