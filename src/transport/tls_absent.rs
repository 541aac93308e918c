//! TLS in a build without the feature `tls`: nothing of it exists, and whoever asks for it gets 50.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use socket2::Socket;

use super::{Interest, Patience, Stream};
use crate::error::{Error, Result, Status};
use crate::options::TlsOptions;

/// There is none.
#[derive(Clone, Debug)]
pub struct ClientConfig(Infallible);

/// There is none.
#[derive(Clone, Debug)]
pub struct ServerConfig(Infallible);

/// There is none.
#[derive(Debug)]
pub struct Handshake(Infallible);

/// There is none.
#[derive(Debug)]
pub struct Secured(Infallible);

/// What would be known of a secured connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// Never anything.
    pub version: String,
    /// Never anything.
    pub cipher: String,
    /// Never anything.
    pub certificate: Vec<u8>,
    /// Never.
    pub is_resumed: bool,
}

/// Answers 50.
#[derive(Debug, Default)]
pub struct Configurations;

/// 50.
pub fn check_built() -> Result<()> {
    left_out()
}

fn left_out<T>() -> Result<T> {
    Err(Error::new(Status::NotSupported, "this build has no TLS (feature \"tls\")"))
}

impl Configurations {
    /// 50.
    pub fn client(&self, _options: &Arc<TlsOptions>) -> Result<ClientConfig> {
        left_out()
    }

    /// 50.
    pub fn server(&self, _options: &Arc<TlsOptions>) -> Result<ServerConfig> {
        left_out()
    }
}

#[expect(missing_docs, reason = "nobody can call them")]
impl Handshake {
    pub fn client(_stream: Stream, config: &ClientConfig, _server_name: &str) -> Result<Handshake> {
        match config.0 {}
    }

    pub fn server(_stream: Stream, config: &ServerConfig) -> Result<Handshake> {
        match config.0 {}
    }

    pub fn step(&mut self) -> Result<Option<Interest>> {
        match self.0 {}
    }

    pub fn into_stream(self) -> Stream {
        match self.0 {}
    }

    pub fn stream(&self) -> &Stream {
        match self.0 {}
    }
}

#[expect(missing_docs, reason = "nobody can call them")]
impl Secured {
    pub fn receive(&self, _socket: &Socket, _first: &mut [u8], _second: &mut [u8], _patience: Patience) -> io::Result<usize> {
        match self.0 {}
    }

    pub fn send(&self, _socket: &Socket, _pieces: &mut [&[u8]], _patience: Patience) -> io::Result<usize> {
        match self.0 {}
    }

    pub fn flush(&self, _socket: &Socket, _patience: Patience) -> io::Result<()> {
        match self.0 {}
    }

    pub fn end_sending(&self, _socket: &Socket) {
        match self.0 {}
    }

    pub fn may_have_more(&self) -> bool {
        match self.0 {}
    }

    pub fn wants_write(&self) -> bool {
        match self.0 {}
    }

    pub fn security(&self) -> Security {
        match self.0 {}
    }

    pub fn memory(&self) -> usize {
        match self.0 {}
    }
}

/// 50.
pub fn check_certificates(_pem: &[u8]) -> Result<()> {
    left_out()
}

/// 50.
pub fn check_key(_pem: &[u8]) -> Result<()> {
    left_out()
}

/// Nothing is.
pub fn is_pin(_text: &str) -> bool {
    false
}
