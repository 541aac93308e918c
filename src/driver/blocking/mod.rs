//! Blocking mode: the caller's own thread waits, on the socket itself.
//!
//! A call first tries the system call, which may wait for one slice (20 ms): in the hot path that is all there is. Only then does it look at the
//! clock, at cancellation and keep-alive, and sleep in `poll` until the nearest of them. Out of scope: everything a step does.

mod accept;
mod close;
mod open;
mod stop;
mod wait;

pub use accept::{HeadWait, accept, respond};
pub use close::{close, shutdown};
pub use open::{Opening, Reply, end_look_ups, open};
pub use stop::{Stay, StopSign, Task};

use std::sync::Arc;

use super::caretaker;
use crate::connection::{Beginning, Connection, Frame, MessageStep, Operation, Outgoing, Progress, ReceiveClaim, Received, Step, Turn};
use crate::error::{Error, Result, Status};
use crate::protocol::MessageKind;
use crate::transport::Interest;
use wait::Wait;

/// Receives a piece into `room`, which must not be empty. WinHttpWebSocketReceive.
#[inline]
pub fn receive(connection: &Connection, room: &mut [u8]) -> Result<Received> {
    match connection.receive_buffered(room) {
        Some(piece) => Ok(Received::Piece(piece)),
        None => receive_from_socket(connection, room),
    }
}

fn receive_from_socket(connection: &Connection, room: &mut [u8]) -> Result<Received> {
    // Before the claim: a cancel that finds the half claimed must not be one that this call never heard of.
    let mut wait = Wait::new(connection, Operation::Receive, connection.receive_timeout());
    let mut claim = connection.claim_receive()?;
    claim.half().begin_piece()?;
    loop {
        match claim.half().step(connection, room, wait.patience()) {
            Ok(Step::Received(received)) => return delivered(connection, received == Received::Close).map(|()| received),
            Ok(Step::Nothing) => {
                if let Err(reason) = wait.look() {
                    return Err(end_receive(connection, claim, reason));
                }
            }
            Ok(Step::Blocked { interrupted }) => {
                if let Err(reason) = wait.for_bytes(claim.half(), interrupted) {
                    return Err(end_receive(connection, claim, reason));
                }
            }
            Err(error) => return Err(end_receive(connection, claim, error)),
        }
    }
}

/// A receive has something for the program. If `ws_close` has begun meanwhile, it is discarded like all that comes after that.
#[inline]
fn delivered(connection: &Connection, is_close: bool) -> Result<()> {
    if let Some(reason) = wait::stopped(connection, Operation::Receive) {
        return Err(reason);
    }
    if is_close {
        connection.tell_close();
    }
    Ok(())
}

/// A whole message, or the peer's close frame.
#[derive(Clone, Copy, Debug)]
pub enum WholeMessage {
    /// A message in memory of the library: where, and how long. Valid until the next receive on the connection, or its end.
    Message(MessageKind, *const u8, usize),
    /// The peer's close frame.
    Close,
}

/// Receives a whole message. A wait that ends in its middle loses nothing: the next call goes on.
pub fn receive_message(connection: &Connection) -> Result<WholeMessage> {
    let mut wait = Wait::new(connection, Operation::Receive, connection.receive_timeout());
    let mut claim = connection.claim_receive()?;
    loop {
        match claim.half().step_message(connection, wait.patience()) {
            Ok(MessageStep::Message(kind)) => {
                delivered(connection, false)?;
                let message = claim.half().message();
                return Ok(WholeMessage::Message(kind, message.as_ptr(), message.len()));
            }
            Ok(MessageStep::Close) => return delivered(connection, true).map(|()| WholeMessage::Close),
            Ok(MessageStep::Nothing) => {
                if let Err(reason) = wait.look() {
                    return Err(end_receive(connection, claim, reason));
                }
            }
            Ok(MessageStep::Blocked { interrupted }) => {
                if let Err(reason) = wait.for_bytes(claim.half(), interrupted) {
                    return Err(end_receive(connection, claim, reason));
                }
            }
            Err(error) if error.status() == Status::InvalidOperation => return Err(error),
            Err(error) => return Err(end_receive(connection, claim, error)),
        }
    }
}

/// A receive has failed: which of several reasons is told, and what becomes of the connection.
#[cold]
fn end_receive(connection: &Connection, mut claim: ReceiveClaim<'_>, error: Error) -> Error {
    if let Some(reason) = wait::stopped(connection, Operation::Receive) {
        return reason;
    }
    match error.status() {
        // The wait has ended, not the connection.
        Status::Timeout | Status::Cancelled | Status::Interrupted => error,
        Status::PeerLost | Status::Connection => {
            connection.fail(&error);
            connection.stream().shut_down();
            error
        }
        Status::NotEnoughMemory | Status::Internal => error,
        // RFC 6455 §7.1.7: the close frame that says why has been sent; a peer that still sends would make the system answer with a reset, which
        // destroys that frame on its way.
        _ => {
            close::linger(connection, claim.half());
            error
        }
    }
}

/// Sends one frame. WinHttpWebSocketSend.
pub fn send(connection: &Connection, kind: MessageKind, ends_message: bool, payload: &[u8]) -> Result<()> {
    send_parts(connection, Outgoing { kind, ends_message, must_be_whole: false, parts: &[payload] })
}

/// Sends one frame that lies in several places.
pub fn send_parts(connection: &Connection, message: Outgoing<'_>) -> Result<()> {
    let mut wait = Wait::new(connection, Operation::Send, connection.send_timeout());
    let mut turn = loop {
        match connection.try_turn_for_data().map_err(|error| not_sent(connection, error))? {
            Some(turn) => break turn,
            None => wait.for_turn()?,
        }
    };
    let beginning = turn.begin(&message)?;
    let sent = match message.parts {
        [payload] => match turn.write_at_once(&beginning, payload, wait.patience()) {
            Ok(sent) => sent,
            Err(error) => return Err(not_sent(connection, error)),
        },
        _ => 0,
    };
    if sent < beginning.wire_length() {
        return send_rest(connection, turn, Frame::new(&beginning, message.parts, sent)?, &beginning, wait);
    }
    turn.end(&beginning);
    Ok(())
}

/// The frame is large, or the socket did not take all of it.
fn send_rest(connection: &Connection, mut turn: Turn<'_>, mut frame: Frame<'_>, beginning: &Beginning, mut wait: Wait<'_>) -> Result<()> {
    loop {
        let interrupted = match turn.step(&mut frame, wait.patience()) {
            Ok(Progress::Done) => break,
            Ok(Progress::Blocked) => false,
            Ok(Progress::Interrupted) => true,
            Err(error) => return Err(not_sent(connection, error)),
        };
        if let Err(reason) = wait.for_room(interrupted) {
            let limit = connection.options().send_queue_limit;
            return if connection.signals().is_dropped() { Err(reason) } else { turn.give_up(frame, reason, limit) };
        }
    }
    drop(frame);
    turn.end(beginning);
    Ok(())
}

/// Why a send has failed: if the handle was closed meanwhile, that explains the rest.
#[cold]
fn not_sent(connection: &Connection, error: Error) -> Error {
    wait::stopped(connection, Operation::Send).unwrap_or(error)
}

/// Has a connection that was just opened looked after.
pub fn adopt(connection: &Arc<Connection>, may_start_threads: bool) {
    if may_start_threads {
        caretaker::look_after(connection);
    }
}

/// What a wait for sending waits for.
const ROOM: Interest = Interest::WRITE;
