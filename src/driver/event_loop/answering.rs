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
    static ANSWERING: RefCell<Answering> =
        const { RefCell::new(Answering { ticket: 0, socket: None, gathered: Gathered::NONE, has_turn: false }) };
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

struct Answering {
    /// The handle of the connection; 0 = none.
    ticket: u64,
    socket: Option<Arc<Socket>>,
    gathered: Gathered,
    has_turn: bool,
}

/// A callback is about to get events of this connection.
#[inline]
pub(super) fn begin(ticket: u64, socket: &Arc<Socket>) {
    ANSWERING.with_borrow_mut(|answering| {
        answering.socket = Some(Arc::clone(socket));
        answering.ticket = ticket;
    });
}

/// It is done with them: what was gathered leaves. Whether somebody may have to be told of that.
#[inline]
pub(super) fn end() -> bool {
    let (_later, is_to_be_told) = ANSWERING.with_borrow_mut(|answering| {
        let is_to_be_told = answering.write();
        answering.ticket = 0;
        (answering.socket.take(), is_to_be_told)
    });
    is_to_be_told
}

/// The thread does something else with the connection: what was gathered leaves first, and the rest goes the usual way.
#[inline]
pub(super) fn leave(socket: &Socket) {
    ANSWERING.with_borrow_mut(|answering| {
        if answering.ticket != 0 && answering.socket.as_ref().is_some_and(|own| std::ptr::eq(&raw const **own, socket)) {
            answering.write();
            answering.ticket = 0;
        }
    });
}

/// Sends a message back over the connection of the event that this thread is in; false if it has to go another way.
#[inline]
pub fn answer(ticket: u64, kind: MessageKind, payload: &[u8]) -> bool {
    ANSWERING.with_borrow_mut(|answering| answering.ticket == ticket && answering.gather(kind, payload))
}

impl Answering {
    #[inline]
    fn gather(&mut self, kind: MessageKind, payload: &[u8]) -> bool {
        let Some(socket) = &self.socket else { return false };
        // Closed by another thread: the number is stale, and the usual way says so. A large message goes its own way, behind what was gathered.
        if socket.signals().is_stopped() || !self.has_turn && !self.begin() || !self.gathered.has_room(payload.len()) {
            return self.give_up();
        }
        let Some(socket) = &self.socket else { return false };
        socket.gather(&mut self.gathered, kind, payload) || self.give_up()
    }

    #[inline(never)]
    fn begin(&mut self) -> bool {
        self.has_turn = self.socket.as_ref().is_some_and(|socket| socket.begin_gathering(&mut self.gathered));
        self.has_turn
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
