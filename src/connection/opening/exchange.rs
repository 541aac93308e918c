//! The HTTP part of an upgrade, both roles, as steps that never wait.
//!
//! In scope: sending what is to be sent, and reading a head and the body of a refusal. Out of scope: connecting and waiting (`driver`), and
//! what the heads mean (`protocol::handshake`).

use std::io;

use crate::error::{Error, Phase, Result, Status};
use crate::http::{Body, HeadError, HeadReader, Limits, RequestHead, ResponseHead};
use crate::transport::{Patience, Stream};

/// Bytes read at a time; what comes behind the head belongs to the WebSocket.
const READ: usize = 4096;

/// Interim responses that are skipped, as WinHTTP does.
const MAX_INTERIM: u32 = 10;

/// Who is at the other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// Of a client.
    Server,
    /// Of a server.
    Client,
    /// Of a client, before its server.
    Proxy,
}

impl Peer {
    /// In a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Server => "the server",
            Peer::Client => "the client",
            Peer::Proxy => "the proxy",
        }
    }

    /// Where a failure belongs.
    pub fn phase(self) -> Phase {
        if self == Peer::Proxy { Phase::Proxy } else { Phase::Http }
    }

    fn error(self, status: Status, message: String) -> Error {
        // What a proxy does wrong is the proxy's failure; whether to try again does not change by that.
        let shown = if self == Peer::Proxy { Status::Proxy } else { status };
        Error::new(shown, message).in_phase(self.phase()).with_retryable(status.is_retryable())
    }
}

/// One exchange of heads, under way. A step returns `None` when the socket has nothing for it.
#[derive(Debug)]
pub struct HeadExchange {
    peer: Peer,
    outgoing: Vec<u8>,
    sent: usize,
    incoming: Vec<u8>,
    reader: HeadReader,
    limits: Limits,
    interim: u32,
    has_received: bool,
}

impl HeadExchange {
    /// Sends these bytes, then reads a head; a server has none to send.
    pub fn new(peer: Peer, outgoing: Vec<u8>, limits: Limits) -> HeadExchange {
        let reader = HeadReader::new(limits);
        HeadExchange { peer, outgoing, sent: 0, incoming: Vec::new(), reader, limits, interim: 0, has_received: false }
    }

    /// Whether the peer has said anything.
    pub fn has_received(&self) -> bool {
        self.has_received
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Sends what is to be sent.
    pub fn send(&mut self, stream: &Stream) -> Result<Option<()>> {
        while self.sent < self.outgoing.len() {
            match stream.send(&self.outgoing[self.sent..], &[], Patience::None) {
                Ok(count) => self.sent += count,
                Err(error) if is_nothing(&error) => return Ok(None),
                Err(error) => return Err(self.last_words(stream).unwrap_or_else(|| self.lost(&error))),
            }
        }
        Ok(Some(()))
    }

    /// Reads the response head; interim ones are skipped (RFC 9110 §15.2).
    pub fn read_response(&mut self, stream: &Stream) -> Result<Option<ResponseHead>> {
        loop {
            let found = self.reader.read_response(&self.incoming).map_err(|error| self.response_error(&error))?;
            if let Some((head, used)) = found {
                self.incoming.drain(..used);
                if !head.is_interim() {
                    return Ok(Some(head));
                }
                self.interim += 1;
                if self.interim > MAX_INTERIM {
                    let message = format!("{} sent more than {MAX_INTERIM} interim responses", self.peer.name());
                    return Err(self.peer.error(Status::InvalidServerResponse, message));
                }
                self.reader = HeadReader::new(self.limits);
            } else if self.read(stream)?.is_none() {
                return Ok(None);
            }
        }
    }

    /// Reads the request head. The inner error is the peer's, and can be answered.
    pub fn read_request(&mut self, stream: &Stream) -> Result<Option<Result<RequestHead, HeadError>>> {
        loop {
            match self.reader.read_request(&self.incoming) {
                Err(error) => return Ok(Some(Err(error))),
                Ok(Some((head, used))) => {
                    self.incoming.drain(..used);
                    return Ok(Some(Ok(head)));
                }
                Ok(None) => {
                    if self.read(stream)?.is_none() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Reads the body of a refusal, as far as it is kept.
    pub fn read_body(&mut self, stream: &Stream, body: &mut Body) -> Result<Option<()>> {
        loop {
            body.feed(&std::mem::take(&mut self.incoming));
            if body.is_complete() {
                return Ok(Some(()));
            }
            if self.read(stream)?.is_none() {
                return Ok(None);
            }
        }
    }

    /// What came behind the head.
    pub fn into_rest(self) -> Vec<u8> {
        self.incoming
    }

    fn read(&mut self, stream: &Stream) -> Result<Option<()>> {
        let mut room = [0; READ];
        let received = stream.receive(&mut room, &mut [], Patience::None);
        if stream.wants_write() {
            // An alert of the encryption. Nobody else sends here; what the socket does not take now has to do without.
            let _ = stream.flush(Patience::None);
        }
        match received {
            Ok(0) => {
                let when = if self.incoming.is_empty() { "without a word" } else { "in the middle of its head" };
                Err(self.peer.error(Status::Connection, format!("{} ended the connection {when}", self.peer.name())))
            }
            Ok(count) => {
                self.has_received = true;
                self.incoming.extend_from_slice(&room[..count]);
                Ok(Some(()))
            }
            Err(error) if is_nothing(&error) => Ok(None),
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// What an encrypted peer has said before it went: its alert explains more than the broken socket does.
    fn last_words(&self, stream: &Stream) -> Option<Error> {
        stream.security()?;
        let error = stream.receive(&mut [0; READ], &mut [], Patience::None).err().filter(|error| !is_nothing(error))?;
        Some(self.lost(&error))
    }

    fn lost(&self, error: &io::Error) -> Error {
        if self.peer != Peer::Proxy {
            return Error::from_io(Status::Connection, "the connection was lost during the handshake", error).in_phase(self.peer.phase());
        }
        let sentence = Error::from_io(Status::Connection, "the connection to the proxy was lost during its handshake", error).to_string();
        self.peer.error(Status::Connection, sentence).with_os_error(error.raw_os_error().unwrap_or(0))
    }

    fn response_error(&self, error: &HeadError) -> Error {
        self.peer.error(error.status(), format!("{}'s response head: {error}", self.peer.name()))
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
