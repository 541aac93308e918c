//! One message for many connections.

use std::ffi::c_void;
use std::sync::Arc;

use super::boundary;
use super::pointer::{self, Out};
use super::types::{ws_buffer_type, ws_handle, ws_status};
use super::websocket::kind_of_type;
use crate::connection::{Outgoing, Prepared};
use crate::driver::blocking;
use crate::error::{Error, Status};
use crate::handle::{self, Kind, Notify, Object, Ticket};

/// Prepares a whole message, to send it over many connections without copies.
///
/// @param type    WS_BINARY_MESSAGE or WS_UTF8_MESSAGE.
/// @param data    The message; copied. NULL if length is 0.
/// @param length  In bytes.
/// @param message OUT: the prepared message; close it with ws_close_handle when no more sends will begin.
///
/// @return WS_OK; WS_ERROR_INVALID_PARAMETER: message is NULL, data is NULL with a length, type is not a whole message, or a
///         text is not UTF-8; WS_ERROR_NOT_ENOUGH_MEMORY.
///
/// Any thread. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_prepare(r#type: ws_buffer_type, data: *const c_void, length: usize, message: *mut ws_handle) -> ws_status {
    boundary::query(|| {
        // SAFETY: the caller keeps the header's promise about pointers.
        let (data, message) = unsafe { (pointer::bytes(data, length, "data")?, Out::new(message, "message")?) };
        let (kind, ends_message) = kind_of_type(r#type)?;
        if !ends_message {
            return Err(Error::new(Status::InvalidParameter, format!("buffer type {} is not a whole message", r#type)));
        }
        let prepared = Object::PreparedMessage(Arc::new(Prepared::new(kind, data)?));
        message.write(handle::insert(prepared, Notify::default())?.number());
        Ok(())
    })
}

/// Sends a prepared message: framed and, where it was agreed on without context takeover, compressed once for all receivers. A client's copy is
/// masked afresh each time.
///
/// @param websocket The connection.
/// @param message   The prepared message; it may be sent any number of times, from any thread.
///
/// @return WS_OK and the errors of ws_send_ex with WS_SEND_WHOLE;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket, or message not an open
///         prepared message.
///
/// Any thread. Waits until the bytes are taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_send_prepared(websocket: ws_handle, message: ws_handle) -> ws_status {
    boundary::operation(websocket, || {
        let entry = handle::find_kind(Ticket::from_number(websocket), Kind::WebSocket)?;
        let prepared = handle::find_kind(Ticket::from_number(message), Kind::PreparedMessage)?;
        let prepared = prepared.prepared()?;
        if let Object::LoopSocket(socket) = &entry.object {
            return socket.send_prepared(prepared).map(|_| ());
        }
        let parts = [prepared.payload()];
        let message = Outgoing { kind: prepared.kind(), ends_message: true, must_be_whole: true, uncompressed: false, parts: &parts };
        blocking::send_parts(entry.websocket()?, message)
    })
}
