//! A server's waits before a WebSocket is open: for a connection, for the request head, and for the answer to leave.

use std::io;
use std::time::Duration;

use super::stop::{Deadline, Stay, sleep};
use crate::connection::opening::{Arrival, HeadExchange};
use crate::driver::clock;
use crate::error::{Error, Phase, Result, Status};
use crate::http::{HeadError, Limits, RequestHead};
use crate::options::Options;
use crate::transport::listen::ListenSockets;
use crate::transport::tls::ServerConfig;
use crate::transport::{Interest, Patience, Stream, Wake, Woken, wait};

/// How long an answer that is no 101 is given to reach a client that still sends.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Waits for a TCP connection, without limit; and, before one is taken, until there is room for it.
///
/// `enter` takes the room, or tells that there is none: then somebody rings when there is.
pub fn accept<Room>(
    sockets: &ListenSockets,
    options: &Options,
    stay: &Stay<'_>,
    enter: impl Fn() -> Option<Room>,
) -> Result<(Stream, Room)> {
    loop {
        let Some(room) = enter() else {
            let look = |wake: &Wake, timeout| {
                if enter().is_some() { Ok(Woken::Ready) } else { wait::wait_any(&[], Interest::READ, wake, timeout) }
            };
            sleep(stay, &[], options.interruptible, look)?;
            continue;
        };
        match sockets.accept(options.nodelay) {
            Ok(stream) => return Ok((stream, room)),
            Err(error) if is_nothing(&error) => {
                drop(room);
                sleep(stay, &[], options.interruptible, |wake, timeout| sockets.wait(wake, timeout))?;
            }
            // The client has gone before it was accepted; the next one has not.
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(Error::from_io(Status::Connection, "no connection can be accepted", &error).in_phase(Phase::Connect)),
        }
    }
}

/// A request head under way: what has come of it survives a wait that was cancelled.
#[derive(Debug)]
pub struct HeadWait {
    /// When the connection was accepted: a slow client has no more time because its server looked late.
    start: Duration,
    arrival: Coming,
}

#[derive(Debug)]
enum Coming {
    /// Nobody has looked yet: the first reader's options are followed.
    Unread(Stream, Option<ServerConfig>),
    Begun(Box<Arrival>),
    Over,
}

impl HeadWait {
    /// Nothing has come; the time runs from now. With `tls` the client is to speak TLS.
    pub fn begin(stream: Stream, tls: Option<ServerConfig>) -> HeadWait {
        HeadWait { start: clock::now(), arrival: Coming::Unread(stream, tls) }
    }

    /// Agrees on TLS and reads the request head within the handshake's time. The inner error can be answered.
    pub fn read(&mut self, options: &Options, stay: &Stay<'_>) -> Result<Result<RequestHead, HeadError>> {
        let start = self.start;
        let arrival = self.arrival(options)?;
        loop {
            let result = arrival.step();
            let phase = arrival.phase();
            match result {
                Ok(Some(head)) => return Ok(head),
                Ok(None) => {
                    let what =
                        if phase == Phase::Tls { "the TLS handshake was not done" } else { "the client did not send its request head" };
                    let whole = Deadline::since(start, options.handshake_timeout, phase, what);
                    let sockets: Vec<_> = arrival.waits().into_iter().collect();
                    sleep(stay, &[whole], options.interruptible, |wake, timeout| wait::wait_some(&sockets, wake, timeout))?;
                }
                Err(error) => {
                    if let (Phase::Tls, Some(stream)) = (phase, arrival.stream()) {
                        // The alert that says why is on its way.
                        end(stream, stay);
                    }
                    return Err(error);
                }
            }
        }
    }

    fn arrival(&mut self, options: &Options) -> Result<&mut Arrival> {
        if let Coming::Unread(..) = self.arrival
            && let Coming::Unread(stream, tls) = std::mem::replace(&mut self.arrival, Coming::Over)
        {
            let limits = Limits { max_size: options.max_head_size as usize, max_headers: options.max_headers as usize };
            self.arrival = Coming::Begun(Box::new(Arrival::new(stream, tls.as_ref(), limits)?));
        }
        match &mut self.arrival {
            Coming::Begun(arrival) => Ok(arrival),
            _ => Err(Error::new(Status::Connection, "the connection was lost")),
        }
    }

    /// The connection, and what came behind the head: it belongs to the WebSocket. `None` before there is a head.
    pub fn into_parts(self) -> Option<(Stream, Vec<u8>)> {
        if let Coming::Begun(arrival) = self.arrival { arrival.into_parts() } else { None }
    }
}

/// Sends an answer within the handshake's time. After anything but a 101 the connection ends.
pub fn respond(stream: &Stream, options: &Options, stay: &Stay<'_>, answer: Vec<u8>, is_upgrade: bool) -> Result<()> {
    let whole = Deadline::new(options.handshake_timeout, Phase::Http, "the client did not take the answer");
    let mut exchange = HeadExchange::new(answer, Limits { max_size: 0, max_headers: 0 });
    while exchange.send(stream)?.is_none() {
        sleep(stay, &[whole], options.interruptible, |wake, timeout| stream.wait(Interest::WRITE, wake, timeout))?;
    }
    if !is_upgrade {
        end(stream, stay);
    }
    Ok(())
}

/// Ends the connection so that the answer arrives: closing with unread bytes would reset it.
fn end(stream: &Stream, stay: &Stay<'_>) {
    stream.end_sending();
    let whole = Deadline::new(Some(LAST_WORDS), Phase::Http, "the client did not end the connection");
    loop {
        match stream.discard(Patience::None) {
            Ok(0) => break,
            Ok(_) => {
                if whole.remaining().is_err() {
                    break;
                }
            }
            Err(error) if is_nothing(&error) => {
                let read = |wake: &Wake, timeout| stream.wait(Interest::READ, wake, timeout);
                if sleep(stay, &[whole], false, read).is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    stream.shut_down();
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) || error.raw_os_error() == Some(libc::EPROTO)
}
