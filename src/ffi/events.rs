//! From what a loop tells to what a C program is told: events for callbacks, and events in batches.
//!
//! Out of scope: when that happens (`driver::event_loop`), and the functions that drive a loop (`event_loop`).

use std::ffi::c_void;
use std::ptr;

use super::boundary;
use super::numbers::ws_buffer_type_numbers::{WS_BINARY_MESSAGE, WS_CLOSE_FRAME, WS_UTF8_MESSAGE};
use super::numbers::ws_operation_numbers as operations;
use super::numbers::ws_operation_numbers::*;
use super::pointer::{self, EventRoom};
use super::types::{ws_buffer_type, ws_error_info, ws_event, ws_operation, ws_status};
use super::websocket::type_of_piece;
use crate::connection::Received;
use crate::driver::event_loop::{Address, Delivery, Event, EventKind};
use crate::protocol::MessageKind;

/// Calls the callback of each handle; an event for a handle without one is dropped.
#[derive(Debug)]
pub struct Callbacks;

impl Delivery for Callbacks {
    #[inline]
    fn deliver_message(&mut self, to: &Address, kind: MessageKind, message: &[u8]) {
        let (notify, ticket) = (to.notify(), to.ticket());
        let Some(callback) = notify.callback else { return };
        let told = message_event(notify.context, ticket, kind, message);
        // SAFETY: as below.
        unsafe { pointer::call(callback, &told, notify.context) };
    }

    fn deliver(&mut self, to: &Address, event: &Event<'_>) {
        let (notify, ticket) = (to.notify(), to.ticket());
        let Some(callback) = notify.callback else { return };
        // Made only for failures: it is large.
        let info = event.error.map(boundary::describe);
        let told = translate(ticket, event, info.as_ref().map_or(ptr::null(), ptr::from_ref), notify.context);
        // SAFETY: the callback came from the program with ws_set_callback, which promises that it may be called with an event.
        unsafe { pointer::call(callback, &told, notify.context) };
    }

    fn room(&self) -> usize {
        usize::MAX
    }

    fn keeps(&self) -> bool {
        false
    }
}

/// Boxed: events point to them, and more of them come.
type Infos = Vec<Box<ws_error_info>>;

/// Fills the array of a batch.
pub struct Batch {
    room: EventRoom,
    /// The reasons of failures; they stay until the next batch.
    infos: Infos,
}

impl Batch {
    /// Into this array.
    pub fn new(room: EventRoom) -> Batch {
        Batch { room, infos: Vec::new() }
    }

    /// How many events there are, and the reasons among them, which must be kept as long as the events.
    pub fn end(self) -> (usize, Infos) {
        (self.room.filled(), self.infos)
    }
}

impl Delivery for Batch {
    fn deliver_message(&mut self, to: &Address, kind: MessageKind, message: &[u8]) {
        let (notify, ticket) = (to.notify(), to.ticket());
        self.room.put(message_event(notify.context, ticket, kind, message));
    }

    fn deliver(&mut self, to: &Address, event: &Event<'_>) {
        let mut info = ptr::null();
        if let Some(error) = event.error {
            self.infos.push(Box::new(boundary::describe(error)));
            info = self.infos.last().map_or(ptr::null(), |info| ptr::from_ref(&**info));
        }
        let (notify, ticket) = (to.notify(), to.ticket());
        self.room.put(translate(ticket, event, info, notify.context));
    }

    fn room(&self) -> usize {
        self.room.left()
    }

    fn keeps(&self) -> bool {
        true
    }
}

/// A whole message.
#[inline(always)]
fn message_event(context: usize, ticket: u64, kind: MessageKind, message: &[u8]) -> ws_event {
    ws_event {
        r#type: EventKind::Received as i32,
        status: 0,
        handle: ticket,
        child: 0,
        context: context as *mut c_void,
        operation_context: ptr::null_mut(),
        data: message.as_ptr().cast(),
        length: message.len(),
        buffer_type: if kind == MessageKind::Text { WS_UTF8_MESSAGE } else { WS_BINARY_MESSAGE } as ws_buffer_type,
        operation: WS_OPERATION_RECEIVE as ws_operation,
        error: ptr::null(),
        reserved: [0; 3],
    }
}

fn translate(ticket: u64, event: &Event<'_>, error: *const ws_error_info, context: usize) -> ws_event {
    ws_event {
        r#type: event.kind as i32,
        status: event.error.map_or(0, |error| error.status().code() as ws_status),
        handle: ticket,
        child: event.child,
        context: context as *mut c_void,
        operation_context: event.operation_context as *mut c_void,
        data: event.data_at.cast(),
        length: event.length,
        buffer_type: match event.received {
            Some(Received::Piece(piece)) => type_of_piece(piece),
            Some(Received::Close) => WS_CLOSE_FRAME as ws_buffer_type,
            None => 0,
        },
        operation: operation(event.kind) as ws_operation,
        error,
        reserved: [0; 3],
    }
}

/// The operation that such an event ends; for an indication the one that it is nearest to.
fn operation(kind: EventKind) -> operations {
    match kind {
        EventKind::Received | EventKind::Ping | EventKind::Pong | EventKind::Woken => WS_OPERATION_RECEIVE,
        EventKind::Sent | EventKind::Writable => WS_OPERATION_SEND,
        EventKind::CloseComplete => WS_OPERATION_CLOSE,
        EventKind::ShutdownComplete => WS_OPERATION_SHUTDOWN,
        EventKind::Handshaken => WS_OPERATION_HANDSHAKE,
        EventKind::Upgraded => WS_OPERATION_UPGRADE,
        EventKind::Accepted => WS_OPERATION_ACCEPT,
        EventKind::Responded => WS_OPERATION_RESPOND,
        EventKind::Drained => WS_OPERATION_DRAIN,
        EventKind::HandleClosed => WS_OPERATION_ALL,
    }
}
