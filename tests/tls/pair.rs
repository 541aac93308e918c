//! Two ends of a connection in one thread: stepped in turn until both are done, or one has failed.

use std::sync::Arc;

use socket2::{Domain, Socket, Type};
use ws101::error::Error;
use ws101::options::{Options, TlsOptions};
use ws101::transport::tls::{ClientConfig, Handshake, ServerConfig};
use ws101::transport::{Patience, Stream};

use crate::certificates::{Authority, Own};

/// Options that trust this CA alone.
pub fn trusting(authority: &Authority) -> TlsOptions {
    change(|options| options.ca = Some(pem(&authority.certificate)))
}

/// Options of a server with this certificate.
pub fn owning(own: &Own) -> TlsOptions {
    change(|options| {
        options.certificate = Some(pem(&own.certificate));
        options.key = Some(pem(&own.key));
    })
}

pub fn pem(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

pub fn change(change: impl FnOnce(&mut TlsOptions)) -> TlsOptions {
    let mut options = TlsOptions::clone(&Options::default().tls);
    change(&mut options);
    options
}

/// Two connected streams.
pub fn streams() -> (Stream, Stream) {
    let (left, right) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
    (Stream::new(left, true).unwrap(), Stream::new(right, true).unwrap())
}

/// What became of a handshake on either side.
pub struct Outcome {
    pub client: Result<Stream, Error>,
    pub server: Result<Stream, Error>,
}

impl Outcome {
    /// Both, if both went well.
    pub fn both(self) -> (Stream, Stream) {
        (self.client.unwrap(), self.server.unwrap())
    }
}

/// A handshake of these two, in one thread.
pub fn shake_hands(client: &ClientConfig, server: &ServerConfig, name: &str) -> Outcome {
    let (left, right) = streams();
    let mut sides = [Some(Handshake::client(left, client, name).unwrap()), Some(Handshake::server(right, server).unwrap())];
    let mut done = [None, None];
    for _ in 0..100 {
        for (side, done) in sides.iter_mut().zip(&mut done) {
            match side.as_mut().map(Handshake::step) {
                Some(Ok(None)) => *done = side.take().map(|side| Ok(at_once(side.into_stream()))),
                Some(Err(error)) => {
                    *done = Some(Err(error));
                    *side = None;
                }
                Some(Ok(Some(_))) | None => {}
            }
        }
        if sides.iter().all(Option::is_none) {
            let [client, server] = done.map(Option::unwrap);
            return Outcome { client, server };
        }
    }
    panic!("the handshake does not end");
}

/// The stream, with nothing left that waits for what is sent next.
fn at_once(stream: Stream) -> Stream {
    stream.flush(Patience::None).unwrap();
    stream
}

/// A handshake under these options.
pub fn meet(client: &TlsOptions, server: &TlsOptions, name: &str) -> Outcome {
    shake_hands(&ClientConfig::new(client).unwrap(), &ServerConfig::new(server).unwrap(), name)
}
