//! The closing handshake (RFC 6455 §7.1), under one deadline.

use std::time::Duration;

use super::wait::Wait;
use crate::connection::{CloseSent, Connection, Operation, Progress, ReceiveClaim, ReceiveHalf, Received, Step};
use crate::driver::clock;
use crate::error::{Error, Result, Status};
use crate::protocol::{CloseFrame, Role};
use crate::transport::{Interest, Patience, Wake};

/// How long the client waits for the server to end the TCP connection first, and how long a side that has failed the connection reads on.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long a closer waits for the receiving side before it looks whether it is to stop.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Sends the close frame and leaves the receiving side open. WinHttpWebSocketShutdown.
pub fn shutdown(connection: &Connection, frame: CloseFrame) -> Result<()> {
    match connection.send_close(frame)? {
        CloseSent::Before => Err(Error::new(Status::InvalidOperation, "this side has sent its close frame already")),
        sent @ (CloseSent::Now | CloseSent::ByLibrary) => {
            let _closer = connection.enter_close();
            let mut wait =
                Wait::new(connection, Operation::Close, connection.options().close_timeout, connection.signals().cancels(Operation::Close));
            flush(connection, &mut wait, sent).map_err(|error| not_closed(connection, error))?;
            if connection.is_closed() && connection.role() == Role::Server {
                connection.end_sending_when_flushed();
            }
            Ok(())
        }
    }
}

/// The whole closing handshake; repeated, it returns the first result. WinHttpWebSocketClose.
pub fn close(connection: &Connection, frame: CloseFrame) -> Result<()> {
    match connection.begin_close() {
        Some(result) => result,
        None => connection.end_close(exchange(connection, frame).map_err(|error| not_closed(connection, error))),
    }
}

/// Why a close has failed: if the handle was closed meanwhile, that explains the rest.
#[cold]
fn not_closed(connection: &Connection, error: Error) -> Error {
    super::wait::stopped(connection, Operation::Close).unwrap_or(error)
}

fn exchange(connection: &Connection, frame: CloseFrame) -> Result<()> {
    let _closer = connection.enter_close();
    let mut wait =
        Wait::new(connection, Operation::Close, connection.options().close_timeout, connection.signals().cancels(Operation::Close));
    let sent = connection.send_close(frame)?;
    flush(connection, &mut wait, sent)?;
    let mut claim = claim(connection, &mut wait)?;
    let mut waste = [0; 4096];
    while !connection.is_closed() {
        match claim.half().step(connection, &mut waste, wait.patience()) {
            Ok(Step::Nothing | Step::Received(Received::Piece(_) | Received::Close)) => wait.look()?,
            Ok(Step::Blocked { interrupted }) => wait.for_bytes(claim.half(), interrupted)?,
            Err(error) => {
                connection.fail(&error);
                return Err(error);
            }
        }
    }
    // The answer to a close frame that came while this one was on its way, or the program's own.
    flush(connection, &mut wait, CloseSent::ByLibrary)?;
    match connection.role() {
        // RFC 6455 §7.1.1: the server ends the TCP connection first, so that it is the one that keeps TIME_WAIT.
        Role::Server => connection.end_sending_when_flushed(),
        Role::Client => {
            let time = wait.remaining().ok().flatten().map_or(LAST_WORDS, |remaining| remaining.min(LAST_WORDS));
            read_to_end(connection, claim.half(), time);
            connection.end_sending_when_flushed();
        }
    }
    Ok(())
}

/// Writes everything that waits. If that fails, the program's own close frame has not left; the library's answer is a courtesy.
fn flush(connection: &Connection, wait: &mut Wait<'_>, sent: CloseSent) -> Result<()> {
    loop {
        match connection.flush() {
            Some(Progress::Done) if sent == CloseSent::ByLibrary => return Ok(()),
            Some(Progress::Done) => return connection.check_sending(),
            Some(_) => wait.for_room(false)?,
            None => wait.for_turn()?,
        }
    }
}

/// Takes the receiving side over; a receive that was waiting has been told to stop.
fn claim<'c>(connection: &'c Connection, wait: &mut Wait<'_>) -> Result<ReceiveClaim<'c>> {
    loop {
        wait.look()?;
        let time = wait.remaining()?.map_or(LOOK_AGAIN, |remaining| remaining.min(LOOK_AGAIN));
        if let Some(claim) = connection.claim_receive_within(time) {
            return Ok(claim);
        }
    }
}

/// The connection has failed and the peer was told: reads on for a moment, so that the system does not answer what still comes with a reset.
pub(super) fn linger(connection: &Connection, half: &mut ReceiveHalf) {
    read_to_end(connection, half, LAST_WORDS);
    connection.stream().shut_down();
}

fn read_to_end(connection: &Connection, half: &mut ReceiveHalf, time: Duration) {
    let end = clock::now() + time;
    let Ok(wake) = Wake::of_this_thread() else { return };
    let hung = connection.bells().hang(wake);
    loop {
        match half.discard(connection, Patience::None) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if super::wait::stopped(connection, Operation::Close).is_some() {
                    return;
                }
                if connection.stream().wait(Interest::READ, hung.wake(), Some(end.saturating_sub(clock::now()))).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
        if clock::now() >= end {
            return;
        }
    }
}
