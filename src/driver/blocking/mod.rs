//! Blocking mode: the caller's own thread waits, on the socket itself.
//!
//! A call first tries the system call, which may wait for one slice (20 ms): in the hot path that is all there is. Only then does it look at the
//! clock, at cancellation and keep-alive, and sleep in `poll` until the nearest of them. Out of scope: everything a step does.

mod accept;
mod close;
mod open;
mod stop;
mod wait;

pub use accept::{ReadHead, accept, exchange_head, respond};
pub use close::{close, shutdown};
pub use open::{Opening, Reply, open};
pub use stop::StopSign;

use super::entropy::masking_key;
use crate::connection::{Connection, Operation, Progress, ReceiveClaim, Received, Step};
use crate::error::{Error, Result, Status};
use crate::protocol::MessageKind;
use crate::transport::Interest;
use wait::Wait;

/// Receives a piece into `room`, which must not be empty. WinHttpWebSocketReceive.
pub fn receive(connection: &Connection, room: &mut [u8]) -> Result<Received> {
    connection.check_may_receive()?;
    let mut claim = connection.claim_receive()?;
    let mut wait = Wait::new(connection, Operation::Receive, connection.receive_timeout());
    loop {
        match claim.half().step(connection, room, wait.patience()) {
            Ok(Step::Received(received)) => return Ok(received),
            Ok(Step::Blocked { interrupted }) => {
                if let Err(reason) = wait.for_bytes(claim.half(), interrupted) {
                    return Err(end_receive(connection, claim, reason));
                }
            }
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
        Status::NotEnoughMemory => error,
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
    let mut wait = Wait::new(connection, Operation::Send, connection.send_timeout());
    let mut turn = loop {
        match connection.try_turn_for_data()? {
            Some(turn) => break turn,
            None => wait.for_turn()?,
        }
    };
    let mut frame = turn.begin(kind, ends_message, payload)?;
    loop {
        let interrupted = match turn.step(&mut frame, wait.patience()) {
            Ok(Progress::Done) => break,
            Ok(Progress::Blocked) => false,
            Ok(Progress::Interrupted) => true,
            Err(error) => return Err(wait::stopped(connection, Operation::Send).unwrap_or(error)),
        };
        if let Err(reason) = wait.for_room(interrupted) {
            let limit = connection.options().send_queue_limit;
            return if connection.signals().is_dropped() { Err(reason) } else { turn.give_up(frame, reason, limit) };
        }
    }
    drop(frame);
    turn.settle();
    Ok(())
}

/// Where this driver's connections get their masking keys.
pub fn keys() -> crate::connection::Keys {
    masking_key
}

/// What a wait for sending waits for.
const ROOM: Interest = Interest::WRITE;
