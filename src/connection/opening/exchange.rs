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

/// One exchange of heads, under way. A step returns `None` when the socket has nothing for it.
#[derive(Debug)]
pub struct HeadExchange {
    outgoing: Vec<u8>,
    sent: usize,
    incoming: Vec<u8>,
    reader: HeadReader,
    limits: Limits,
    interim: u32,
}

impl HeadExchange {
    /// Sends these bytes, then reads a head; a server has none to send.
    pub fn new(outgoing: Vec<u8>, limits: Limits) -> HeadExchange {
        HeadExchange { outgoing, sent: 0, incoming: Vec::new(), reader: HeadReader::new(limits), limits, interim: 0 }
    }

    /// Sends what is to be sent.
    pub fn send(&mut self, stream: &Stream) -> Result<Option<()>> {
        while self.sent < self.outgoing.len() {
            match stream.send(&self.outgoing[self.sent..], &[], Patience::None) {
                Ok(count) => self.sent += count,
                Err(error) if is_nothing(&error) => return Ok(None),
                Err(error) => return Err(last_words(stream).unwrap_or_else(|| lost(&error))),
            }
        }
        Ok(Some(()))
    }

    /// Reads the response head; interim ones are skipped (RFC 9110 §15.2).
    pub fn read_response(&mut self, stream: &Stream) -> Result<Option<ResponseHead>> {
        loop {
            let found = self.reader.read_response(&self.incoming).map_err(response_error)?;
            if let Some((head, used)) = found {
                self.incoming.drain(..used);
                if !head.is_interim() {
                    return Ok(Some(head));
                }
                self.interim += 1;
                if self.interim > MAX_INTERIM {
                    let message = format!("the server sent more than {MAX_INTERIM} interim responses");
                    return Err(Error::new(Status::InvalidServerResponse, message).in_phase(Phase::Http));
                }
                self.reader = HeadReader::new(self.limits);
            } else if self.read(stream, "the server")?.is_none() {
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
                    if self.read(stream, "the client")?.is_none() {
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
            if self.read(stream, "the server")?.is_none() {
                return Ok(None);
            }
        }
    }

    /// What came behind the head.
    pub fn into_rest(self) -> Vec<u8> {
        self.incoming
    }

    fn read(&mut self, stream: &Stream, who: &str) -> Result<Option<()>> {
        let mut room = [0; READ];
        let received = stream.receive(&mut room, &mut [], Patience::None);
        if stream.wants_write() {
            // An alert of the encryption. Nobody else sends here; what the socket does not take now has to do without.
            let _ = stream.flush(Patience::None);
        }
        match received {
            Ok(0) => {
                let when = if self.incoming.is_empty() { "without a word" } else { "in the middle of its head" };
                Err(Error::new(Status::Connection, format!("{who} ended the connection {when}")).in_phase(Phase::Http))
            }
            Ok(count) => {
                self.incoming.extend_from_slice(&room[..count]);
                Ok(Some(()))
            }
            Err(error) if is_nothing(&error) => Ok(None),
            Err(error) => Err(lost(&error)),
        }
    }
}

/// What an encrypted peer has said before it went: its alert explains more than the broken socket does.
fn last_words(stream: &Stream) -> Option<Error> {
    stream.security()?;
    let error = stream.receive(&mut [0; READ], &mut [], Patience::None).err().filter(|error| !is_nothing(error))?;
    Some(lost(&error))
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn lost(error: &io::Error) -> Error {
    Error::from_io(Status::Connection, "the connection was lost during the handshake", error).in_phase(Phase::Http)
}

fn response_error(error: HeadError) -> Error {
    Error::new(error.status(), format!("the server's response head: {error}")).in_phase(Phase::Http)
}
