//! A server's waits before a WebSocket is open: for a connection, for the request head, and for the answer to leave.

use std::io;
use std::time::Duration;

use super::stop::{Deadline, Stay, sleep, sleep_until};
use crate::connection::opening::{Arrival, ArrivalStep, Arrived, HeadExchange};
use crate::driver::clock;
use crate::error::{Error, Phase, Result, Status};
use crate::http::Limits;
use crate::options::Options;
use crate::transport::listen::ListenSockets;
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

/// Reads the request head within the handshake's time. If the wait ends first, what has come stays in `arrival`; it is absent once the head is
/// here, or the connection is lost.
pub fn read_head(arrival: &mut Option<Arrival>, options: &Options, stay: &Stay<'_>) -> Result<Arrived> {
    loop {
        let Some(now) = arrival.take() else {
            return Err(Error::new(Status::IncorrectHandleState, "the connection was lost"));
        };
        let interest = match now.step(options, clock::now())? {
            ArrivalStep::Done(arrived) => return Ok(*arrived),
            ArrivalStep::Blocked(rest, interest) => {
                *arrival = Some(rest);
                interest
            }
        };
        if let Some(waiting) = arrival.as_ref() {
            let until = waiting.until(options);
            sleep_until(stay, until, options.interruptible, |wake, timeout| waiting.stream().wait(interest, wake, timeout))?;
        }
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
