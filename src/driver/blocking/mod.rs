//! Blocking mode: the caller's own thread waits, on the socket itself.
//!
//! A call first tries the system call, which may wait for one slice (20 ms): in the hot path that is all there is. Only then does it look at the
//! clock, at cancellation and keep-alive, and sleep in `poll` until the nearest of them. Out of scope: everything a step does.

mod accept;
mod close;
mod open;
mod stop;
mod wait;

pub use accept::{accept, read_head, respond};
pub use close::{close, shutdown};
pub use open::{Waiting, end_look_ups, open};
pub use stop::{Stay, StopSign, Task};

use std::sync::Arc;

use super::caretaker;
use crate::connection::{
    AtOnce, Beginning, Begun, Connection, Frame, MessageStep, Operation, Outgoing, Progress, ReceiveClaim, Received, Step, Turn,
};
use crate::error::{Error, Result, Status};
use crate::protocol::MessageKind;
use crate::transport::{Interest, Patience};
use wait::Wait;

/// Receives a piece into `room`, which must not be empty. WinHttpWebSocketReceive.
#[inline]
pub fn receive(connection: &Connection, room: &mut [u8]) -> Result<Received> {
    // Before the claim: a cancel that finds the half claimed must not be one that this call never heard of.
    let cancels = connection.signals().cancels(Operation::Receive);
    match connection.begin_receive(room)? {
        Begun::Piece(piece) => Ok(Received::Piece(piece)),
        Begun::Claim(claim) => receive_from_socket(connection, claim, room, cancels),
    }
}

#[inline]
fn receive_from_socket(connection: &Connection, mut claim: ReceiveClaim<'_>, room: &mut [u8], cancels: u16) -> Result<Received> {
    claim.half().begin_piece()?;
    if connection.receive_timeout().is_none() {
        // Most receives end here: no clock, no wait but that of the system call.
        match claim.half().step(connection, room, Patience::Slice) {
            Ok(Step::Received(received)) => {
                claim.give_back();
                return delivered(connection, received == Received::Close).map(|()| received);
            }
            Ok(step) => return receive_patiently(connection, claim, room, cancels, step),
            Err(error) => return Err(end_receive(connection, claim, error)),
        }
    }
    receive_patiently(connection, claim, room, cancels, Step::Nothing)
}

/// What a receive does that has not ended at once: after this `step` it looks at the time, and goes on.
#[inline(never)]
fn receive_patiently(
    connection: &Connection,
    mut claim: ReceiveClaim<'_>,
    room: &mut [u8],
    cancels: u16,
    mut step: Step,
) -> Result<Received> {
    let mut wait = Wait::new(connection, Operation::Receive, connection.receive_timeout(), cancels);
    loop {
        let looked = match step {
            Step::Received(received) => return delivered(connection, received == Received::Close).map(|()| received),
            Step::Nothing => wait.look(),
            Step::Blocked { interrupted } => wait.for_bytes(claim.half(), interrupted),
        };
        if let Err(reason) = looked {
            return Err(end_receive(connection, claim, reason));
        }
        step = match claim.half().step(connection, room, wait.patience()) {
            Ok(step) => step,
            Err(error) => return Err(end_receive(connection, claim, error)),
        };
    }
}

/// A receive has something for the program. If `ws_close` has begun meanwhile, it is discarded like all that comes after that.
#[inline(always)]
fn delivered(connection: &Connection, is_close: bool) -> Result<()> {
    if connection.signals().is_stopped()
        && let Some(reason) = wait::stopped(connection, Operation::Receive)
    {
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
    let cancels = connection.signals().cancels(Operation::Receive);
    let mut claim = connection.claim_receive()?;
    let mut wait = Wait::new(connection, Operation::Receive, connection.receive_timeout(), cancels);
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
#[inline]
pub fn send(connection: &Connection, kind: MessageKind, ends_message: bool, payload: &[u8]) -> Result<()> {
    let cancels = connection.signals().cancels(Operation::Send);
    if ends_message && connection.send_timeout().is_none() {
        match connection.send_at_once(kind, payload) {
            Ok(AtOnce::Done) => return Ok(()),
            Ok(AtOnce::NotUsual) => {}
            Ok(AtOnce::Begun(turn, beginning, sent)) => return send_begun(connection, turn, &beginning, payload, sent, cancels),
            Err(error) => return Err(not_sent(connection, error)),
        }
    }
    send_patiently(connection, Outgoing { kind, ends_message, must_be_whole: false, uncompressed: false, parts: &[payload] }, cancels)
}

/// Sends one frame that lies in several places.
pub fn send_parts(connection: &Connection, message: Outgoing<'_>) -> Result<()> {
    send_patiently(connection, message, connection.signals().cancels(Operation::Send))
}

#[cold]
fn send_begun(connection: &Connection, turn: Turn<'_>, beginning: &Beginning, payload: &[u8], sent: usize, cancels: u16) -> Result<()> {
    let wait = Wait::new(connection, Operation::Send, connection.send_timeout(), cancels);
    send_rest(connection, turn, Frame::new(beginning, &[payload], sent, connection.chunk_size())?, beginning, wait)
}

#[inline(never)]
fn send_patiently(connection: &Connection, message: Outgoing<'_>, cancels: u16) -> Result<()> {
    let mut wait = Wait::new(connection, Operation::Send, connection.send_timeout(), cancels);
    let mut turn = loop {
        match connection.try_turn_for_data().map_err(|error| not_sent(connection, error))? {
            Some(turn) => break turn,
            None => wait.for_turn()?,
        }
    };
    let beginning = turn.begin(&message)?;
    if let Some(deflated) = turn.deflate(&message)? {
        let (parts, beginning) = (&[deflated.as_slice()], beginning.compressed(deflated.as_slice()));
        return send_rest(connection, turn, Frame::new(&beginning, parts, 0, connection.chunk_size())?, &beginning, wait);
    }
    send_rest(connection, turn, Frame::new(&beginning, message.parts, 0, connection.chunk_size())?, &beginning, wait)
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
    turn.end(beginning.wire_length(), beginning.ends_message());
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
