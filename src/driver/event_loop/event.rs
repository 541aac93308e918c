//! What a loop tells a program, and whom.
//!
//! In scope: events as the floors below the C API see them. Out of scope: how a program gets them (callbacks and batches are `ffi`'s).

use std::fmt::Debug;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::address::Address;
use super::socket::Socket;
use crate::connection::Received;
use crate::error::Error;
use crate::protocol::{MessageKind, Piece};

/// A callback of which only `ffi` knows what it is, which turns it into this and back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpaqueCallback(pub NonZeroUsize);

/// Whom to tell about a handle: what a child inherits when it is made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Notify {
    /// The callback, if there is one.
    pub callback: Option<OpaqueCallback>,
    /// The value of the program's own pointer; it is never followed.
    pub context: usize,
}

/// A handle, as a loop knows it: it outlives its ticket until its last event.
pub trait Recipient: Debug + Send + Sync {
    /// The connection, if it is the handle of one.
    fn socket(&self) -> Option<&Arc<Socket>>;
    /// Whom to tell, and the handle's number.
    fn address(&self) -> &Address;
    /// Why an operation on it has failed, for whoever asks later.
    fn remember(&self, error: &Error);
}

/// How a program gets its events.
pub trait Delivery {
    /// Hands a whole message over: the usual event.
    fn deliver_message(&mut self, to: &Address, kind: MessageKind, message: &[u8]);
    /// Hands an event over.
    fn deliver(&mut self, to: &Address, event: &Event<'_>);
    /// How many more it takes now.
    fn room(&self) -> usize;
    /// Whether what an event points to must live until the next call of the loop, instead of until `deliver` returns.
    fn keeps(&self) -> bool;
}

/// The kinds of event, with the numbers of the C API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum EventKind {
    /// A receive has ended.
    Received = 1,
    /// The kernel has what was sent.
    Sent = 2,
    /// A close has ended.
    CloseComplete = 3,
    /// This side's close frame has left.
    ShutdownComplete = 4,
    /// A handshake has ended.
    Handshaken = 5,
    /// An upgrade has ended.
    Upgraded = 6,
    /// A request has come.
    Accepted = 7,
    /// An answer has left.
    Responded = 8,
    /// A listener's connections have ended.
    Drained = 9,
    /// There is room in the queue again.
    Writable = 32,
    /// A ping has come.
    Ping = 33,
    /// A pong has come.
    Pong = 34,
    /// Somebody woke the loop.
    Woken = 35,
    /// The handle's last event.
    HandleClosed = 63,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub struct Event<'e> {
    /// What has happened.
    pub kind: EventKind,
    /// Why the operation failed, if it did.
    pub error: Option<&'e Error>,
    /// A handle that came of it; 0 = none.
    pub child: u64,
    /// Of the operation.
    pub operation_context: usize,
    /// Received bytes that are the library's; NULL for none. They stay until the event is over.
    pub data_at: *const u8,
    /// How many bytes were received; they may lie in the program's own buffer.
    pub length: usize,
    /// What was received.
    pub received: Option<Received>,
    pub(super) life: PhantomData<&'e [u8]>,
}

impl<'e> Event<'e> {
    /// An event that says no more than what has happened.
    pub fn of(kind: EventKind) -> Event<'e> {
        Event { kind, error: None, child: 0, operation_context: 0, data_at: std::ptr::null(), length: 0, received: None, life: PhantomData }
    }

    /// An operation has ended like this.
    pub fn ended(kind: EventKind, error: Option<&'e Error>) -> Event<'e> {
        Event { error, ..Event::of(kind) }
    }

    /// A whole message in memory of the library.
    #[inline]
    pub fn message(kind: MessageKind, data: &'e [u8]) -> Event<'e> {
        let piece = Piece { kind, length: data.len(), ends_message: true };
        Event { data_at: data.as_ptr(), length: data.len(), received: Some(Received::Piece(piece)), ..Event::of(EventKind::Received) }
    }
}

/// An event that waits until there is somebody to take it.
#[derive(Debug)]
pub struct OwnedEvent {
    /// What has happened.
    pub kind: EventKind,
    /// Why the operation failed, if it did.
    pub error: Option<Error>,
    /// A handle that came of it.
    pub child: u64,
    /// Of the operation.
    pub operation_context: usize,
    /// A ping's payload.
    pub data: Box<[u8]>,
    /// What was received, into the program's own buffer.
    pub received: Option<Received>,
}

impl OwnedEvent {
    /// An event that says no more than what has happened.
    pub fn of(kind: EventKind) -> OwnedEvent {
        OwnedEvent { kind, error: None, child: 0, operation_context: 0, data: Box::default(), received: None }
    }

    /// An operation has ended like this.
    pub fn ended(kind: EventKind, result: Result<(), Error>) -> OwnedEvent {
        OwnedEvent { error: result.err(), ..OwnedEvent::of(kind) }
    }

    /// As it is delivered.
    pub fn as_event(&self) -> Event<'_> {
        let received = match self.received {
            Some(Received::Piece(piece)) => piece.length,
            _ => self.data.len(),
        };
        Event {
            kind: self.kind,
            error: self.error.as_ref(),
            child: self.child,
            operation_context: self.operation_context,
            data_at: if self.data.is_empty() { std::ptr::null() } else { self.data.as_ptr() },
            length: received,
            received: self.received,
            life: PhantomData,
        }
    }
}
