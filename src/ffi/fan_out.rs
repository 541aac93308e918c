//! One message for many connections.

use std::ffi::c_void;

use super::pointer::{self, Out};
use super::types::{ws_buffer_type, ws_handle, ws_status};
use super::websocket::kind_of_type;
use super::{boundary, not_built};
use crate::error::{Error, Status};
use crate::handle::{self, Kind, Ticket};

/// Not built yet: answers WS_ERROR_NOT_SUPPORTED. Prepares a whole message, to send it over many connections without copies.
///
/// @param type    WS_BINARY_MESSAGE or WS_UTF8_MESSAGE.
/// @param data    The message; copied. NULL if length is 0.
/// @param length  In bytes.
/// @param message OUT: the prepared message; close it with ws_close_handle when no more sends will begin.
///
/// @return WS_ERROR_NOT_SUPPORTED;
///         WS_ERROR_INVALID_PARAMETER: message is NULL, data is NULL with a length, or type is not a whole message.
///
/// Any thread. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_prepare(r#type: ws_buffer_type, data: *const c_void, length: usize, message: *mut ws_handle) -> ws_status {
    boundary::query(|| {
        // SAFETY: the caller keeps the header's promise about pointers.
        let _arguments = unsafe { (pointer::bytes(data, length, "data")?, Out::new(message, "message")?) };
        let (_, ends_message) = kind_of_type(r#type)?;
        if !ends_message {
            return Err(Error::new(Status::InvalidParameter, format!("buffer type {} is not a whole message", r#type)));
        }
        Err(not_built("ws_prepare"))
    })
}

/// Not built yet: no message can be prepared. Sends a prepared message.
///
/// @param websocket The connection.
/// @param message   The prepared message; it may be sent any number of times, from any thread.
///
/// @return WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket, or message not an open
///         prepared message.
///
/// Any thread. Waits until the bytes are taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_send_prepared(websocket: ws_handle, message: ws_handle) -> ws_status {
    boundary::operation(websocket, || {
        handle::find_kind(Ticket::from_number(websocket), Kind::WebSocket)?;
        handle::find_kind(Ticket::from_number(message), Kind::PreparedMessage)?;
        Err(not_built("ws_send_prepared"))
    })
}
