//! The connection whose event a callback is answering right now: what it sends back goes the shortest way.
//!
//! While a callback runs, small whole messages for the very connection of its event are gathered in memory of the thread, and leave with one
//! write when the callback is done. Everything else that the thread does with the connection meanwhile first ends that. Out of scope: every other
//! way to send (`socket`).

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::socket::Socket;
use crate::connection::Gathered;
use crate::protocol::MessageKind;

thread_local! {
    static DESK: Desk = const { Desk(RefCell::new(Answering { ticket: 0, socket: None, gathered: Gathered::NONE, has_turn: false })) };
}

/// A loop was made in this process.
static HAS_ANY: AtomicBool = AtomicBool::new(false);

/// Whether a thread could be answering at all. A program without loops is spared the question.
#[inline]
pub fn has_any() -> bool {
    // Relaxed: a thread that answers has seen its loop being made.
    HAS_ANY.load(Ordering::Relaxed)
}

/// There is a loop.
pub(super) fn note_a_loop() {
    HAS_ANY.store(true, Ordering::Relaxed);
}

/// Where a thread answers.
#[derive(Debug)]
pub(super) struct Desk(RefCell<Answering>);

#[derive(Debug)]
struct Answering {
    /// The handle of the connection; 0 = none.
    ticket: u64,
    socket: Option<Arc<Socket>>,
    gathered: Gathered,
    has_turn: bool,
}

/// The desk of this thread, which a loop that calls many callbacks asks for once.
pub(super) fn at_desk<R>(run: impl FnOnce(&Desk) -> R) -> R {
    DESK.with(run)
}

impl Desk {
    /// A callback is about to get events of this connection.
    #[inline]
    pub(super) fn begin(&self, ticket: u64, socket: &Arc<Socket>) {
        let mut answering = self.0.borrow_mut();
        answering.socket = Some(Arc::clone(socket));
        answering.ticket = ticket;
    }

    /// It is done with them: what was gathered leaves. Whether somebody may have to be told of that.
    #[inline]
    pub(super) fn end(&self) -> bool {
        let mut answering = self.0.borrow_mut();
        let is_to_be_told = answering.write();
        answering.ticket = 0;
        let last = answering.socket.take();
        drop(answering);
        // It may be the last who knows the connection.
        drop(last);
        is_to_be_told
    }
}

/// The thread does something else with the connection: what was gathered leaves first, and the rest goes the usual way.
#[inline]
pub(super) fn leave(socket: &Socket) {
    DESK.with(|desk| {
        let mut answering = desk.0.borrow_mut();
        if answering.ticket != 0 && answering.socket.as_ref().is_some_and(|own| std::ptr::eq(&raw const **own, socket)) {
            answering.write();
            answering.ticket = 0;
        }
    });
}

/// Sends a message back over the connection of the event that this thread is in; false if it has to go another way.
#[inline]
pub fn answer(ticket: u64, kind: MessageKind, payload: &[u8]) -> bool {
    DESK.with(|desk| {
        let mut answering = desk.0.borrow_mut();
        answering.ticket == ticket && answering.gather(kind, payload)
    })
}

impl Answering {
    #[inline]
    fn gather(&mut self, kind: MessageKind, payload: &[u8]) -> bool {
        if let Some(socket) = &self.socket
            // Closed by another thread: the number is stale, and the usual way says so.
            && !socket.signals().is_stopped()
            && (self.has_turn || take_turn(socket, &mut self.gathered, &mut self.has_turn))
            && socket.gather(&mut self.gathered, kind, payload)
        {
            return true;
        }
        self.give_up()
    }

    /// The message goes another way, behind those that were gathered.
    #[cold]
    fn give_up(&mut self) -> bool {
        self.write();
        false
    }

    #[inline]
    fn write(&mut self) -> bool {
        match &self.socket {
            Some(socket) if std::mem::take(&mut self.has_turn) => {
                let is_to_be_told = socket.write_gathered(&mut self.gathered);
                if is_to_be_told {
                    socket.after_flush();
                }
                is_to_be_told
            }
            _ => false,
        }
    }
}

#[inline(never)]
fn take_turn(socket: &Socket, gathered: &mut Gathered, has_turn: &mut bool) -> bool {
    *has_turn = socket.begin_gathering(gathered);
    *has_turn
}
