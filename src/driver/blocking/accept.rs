//! A server's waits before a WebSocket is open: for a connection, for the request head, and for the answer to leave.

use std::io;
use std::time::Duration;

use super::stop::{Deadline, StopSign, sleep};
use crate::connection::opening::HeadExchange;
use crate::error::{Error, Phase, Result, Status};
use crate::http::{HeadError, Limits, RequestHead};
use crate::options::Options;
use crate::transport::listen::ListenSockets;
use crate::transport::{Interest, Patience, Stream, Wake};

/// How long an answer that is no 101 is given to reach a client that still sends.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Waits for a TCP connection, without limit.
pub fn accept(sockets: &ListenSockets, options: &Options, sign: &StopSign) -> Result<Stream> {
    sign.begin();
    loop {
        match sockets.accept(options.nodelay) {
            Ok(stream) => return Ok(stream),
            Err(error) if is_nothing(&error) => {
                sleep(sign, &[], options.interruptible, |wake, timeout| sockets.wait(wake, timeout))?;
            }
            // The client has gone before it was accepted; the next one has not.
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(Error::from_io(Status::Connection, "no connection can be accepted", &error).in_phase(Phase::Connect)),
        }
    }
}

/// A request head, or what was wrong with it, and what came behind it.
#[derive(Debug)]
pub struct ReadHead {
    /// The head, or an error that can be answered.
    pub head: Result<RequestHead, HeadError>,
    /// Bytes behind the head: they belong to the WebSocket.
    pub early: Vec<u8>,
}

/// Reads the request head within the handshake's time.
pub fn exchange_head(stream: &Stream, options: &Options, sign: &StopSign) -> Result<ReadHead> {
    sign.begin();
    let whole = Deadline::new(options.handshake_timeout, Phase::Http, "the client did not send its request head");
    let limits = Limits { max_size: options.max_head_size as usize, max_headers: options.max_headers as usize };
    let mut exchange = HeadExchange::new(Vec::new(), limits);
    loop {
        match exchange.read_request(stream)? {
            Some(head) => return Ok(ReadHead { head, early: exchange.into_rest() }),
            None => sleep(sign, &[whole], options.interruptible, |wake, timeout| stream.wait(Interest::READ, wake, timeout))?,
        }
    }
}

/// Sends an answer within the handshake's time. After anything but a 101 the connection ends.
pub fn respond(stream: &Stream, options: &Options, sign: &StopSign, answer: Vec<u8>, is_upgrade: bool) -> Result<()> {
    let whole = Deadline::new(options.handshake_timeout, Phase::Http, "the client did not take the answer");
    let mut exchange = HeadExchange::new(answer, Limits { max_size: 0, max_headers: 0 });
    while exchange.send(stream)?.is_none() {
        sleep(sign, &[whole], options.interruptible, |wake, timeout| stream.wait(Interest::WRITE, wake, timeout))?;
    }
    if !is_upgrade {
        end(stream, sign);
    }
    Ok(())
}

/// Ends the connection so that the answer arrives: closing with unread bytes would reset it.
fn end(stream: &Stream, sign: &StopSign) {
    stream.end_sending();
    let whole = Deadline::new(Some(LAST_WORDS), Phase::Http, "the client did not end the connection");
    let mut waste = [0; 4096];
    loop {
        match stream.receive(&mut waste, &mut [], Patience::None) {
            Ok(0) => break,
            Ok(_) => {
                if whole.remaining().is_err() {
                    break;
                }
            }
            Err(error) if is_nothing(&error) => {
                let read = |wake: &Wake, timeout| stream.wait(Interest::READ, wake, timeout);
                if sleep(sign, &[whole], false, read).is_err() {
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
