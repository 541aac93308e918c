//! The TLS handshake on a connected stream, as a step machine that never waits.

use std::io;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;

use super::config::{ClientConfig, ServerConfig};
use super::reasons;
use super::records::{Records, Side};
use super::secured::Secured;
use crate::error::{Error, Phase, Result, Status};
use crate::transport::{Interest, Patience, Stream};

/// A handshake under way. Owns the stream until it is done.
#[derive(Debug)]
pub struct Handshake {
    stream: Stream,
}

impl Handshake {
    /// A client's. `server_name` is what the server's certificate must be valid for: a host name, or an IP address.
    pub fn client(stream: Stream, config: &ClientConfig, server_name: &str) -> Result<Handshake> {
        // RFC 6066 §3: a name has no dot at its end there.
        let bare = server_name.strip_suffix('.').unwrap_or(server_name);
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| {
            let message = format!("{} is no name that a certificate can have", server_name.escape_default());
            Error::new(Status::CertNameInvalid, message).in_phase(Phase::Tls)
        })?;
        let side = UnbufferedClientConnection::new(config.rustls(), name).map_err(|error| reasons::of_setup(&error))?;
        Ok(Handshake::new(stream, Side::Client(side), server_name))
    }

    /// A server's.
    pub fn server(stream: Stream, config: &ServerConfig) -> Result<Handshake> {
        let side = UnbufferedServerConnection::new(config.rustls()).map_err(|error| reasons::of_setup(&error))?;
        Ok(Handshake::new(stream, Side::Server(side), ""))
    }

    fn new(stream: Stream, side: Side, peer: &str) -> Handshake {
        Handshake { stream: stream.with_encryption(Secured::new(Records::new(side), peer)) }
    }

    /// Goes on as far as possible. `None`: it is done; else what to wait for. Never waits.
    pub fn step(&mut self) -> Result<Option<Interest>> {
        loop {
            if !self.stream.is_handshaking() && !self.stream.wants_write() {
                return Ok(None);
            }
            match self.stream.flush(Patience::None) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Some(Interest::WRITE)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The peer may have said why before it went.
                Err(error) => return Err(self.read().err().unwrap_or_else(|| lost(&error))),
            }
            if !self.stream.is_handshaking() {
                return Ok(None);
            }
            if !self.read()? {
                return Ok(Some(Interest::READ));
            }
        }
    }

    /// Reads once; false if there is nothing to read.
    fn read(&mut self) -> Result<bool> {
        match self.stream.take_in() {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => {
                // The alert; if it does not leave at once, the peer has to do without.
                let _ = self.stream.flush(Patience::None);
                Err(lost(&error))
            }
        }
    }

    /// The stream, encrypted from now on. The first that is sent over it takes along what is left of the handshake.
    pub fn into_stream(self) -> Stream {
        self.stream
    }

    /// The stream, for waiting on it.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }
}

fn lost(error: &io::Error) -> Error {
    Error::from_io(Status::Connection, "the connection was lost during the TLS handshake", error).in_phase(Phase::Tls)
}
