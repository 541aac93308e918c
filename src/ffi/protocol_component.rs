//! The protocol without a socket. None can be made yet, so that every function but the first finds none.

use std::ffi::{c_char, c_void};

use super::pointer::{self, Out, OutStruct};
use super::types::{ws_action, ws_buffer_type, ws_bytes, ws_handle, ws_header, ws_status};
use super::websocket::{check_send_flags, kind_of_type};
use super::{boundary, not_built};
use crate::error::{Error, Result, Status};
use crate::handle::{self, Kind, Ticket};

/// The size of the first version.
const SMALLEST_ACTION: usize = size_of::<ws_action>();

fn find(protocol: ws_handle, what: &str) -> Result<()> {
    handle::find_kind(Ticket::from_number(protocol), Kind::ProtocolComponent)?;
    Err(not_built(what))
}

/// Not built yet: answers WS_ERROR_NOT_SUPPORTED. Makes one end of a connection, for a program that has its own transport.
///
/// @param role     0 client, 1 server.
/// @param seed32   32 bytes of entropy, from which keys and masks are made; copied.
/// @param protocol OUT: the end; close it with ws_close_handle.
///
/// @return WS_ERROR_NOT_SUPPORTED; WS_ERROR_INVALID_PARAMETER: seed32 or protocol is NULL, or role is neither 0 nor 1.
///
/// Any thread. Does not wait. As WebSocketCreateClientHandle and WebSocketCreateServerHandle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_create(role: u32, seed32: *const c_void, protocol: *mut ws_handle) -> ws_status {
    boundary::query(|| {
        // SAFETY: the caller keeps the header's promise about pointers.
        let _arguments = unsafe { (pointer::bytes(seed32, 32, "seed32")?, Out::new(protocol, "protocol")?) };
        if role > 1 {
            return Err(Error::new(Status::InvalidParameter, format!("role {role} is neither 0 nor 1")));
        }
        Err(not_built("ws_protocol_create"))
    })
}

/// Not built yet: no component can be made. Begins the handshake as bytes of HTTP/1.1, which come out as actions.
///
/// @param protocol The component.
/// @param url      Client: as for ws_connect. Server: NULL.
///
/// @return WS_ERROR_INVALID_PARAMETER: url is not UTF-8;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component.
///
/// One thread at a time. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_begin(protocol: ws_handle, url: *const c_char) -> ws_status {
    boundary::operation(protocol, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        unsafe { pointer::optional_text(url, "url")? };
        find(protocol, "ws_protocol_begin")
    })
}

/// Not built yet: no component can be made. Server: accepts the request that has arrived; the 101 comes out as an action.
///
/// @param protocol The component.
///
/// @return WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component.
///
/// One thread at a time. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_accept(protocol: ws_handle) -> ws_status {
    boundary::operation(protocol, || find(protocol, "ws_protocol_accept"))
}

/// Not built yet: no component can be made. Begins the handshake as lists of headers, for programs that have their own HTTP.
///
/// @param protocol         The component.
/// @param received         Server: the request's headers. Client: NULL.
/// @param count            How many.
/// @param additional       OUT: the headers to send; valid until the next call on the component.
/// @param additional_count OUT: how many.
///
/// @return WS_ERROR_INVALID_PARAMETER: additional or additional_count is NULL, or received is NULL with a count;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component.
///
/// One thread at a time. Does not wait. As WebSocketBeginClientHandshake and WebSocketBeginServerHandshake.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_begin_headers(
    protocol: ws_handle,
    received: *const ws_header,
    count: usize,
    additional: *mut *const ws_header,
    additional_count: *mut usize,
) -> ws_status {
    boundary::operation(protocol, || {
        pointer::check_array(received, count, "received")?;
        // SAFETY: the caller keeps the header's promise about pointers.
        let _arguments = unsafe { (Out::new(additional, "additional")?, Out::new(additional_count, "additional_count")?) };
        find(protocol, "ws_protocol_begin_headers")
    })
}

/// Not built yet: no component can be made. Client: ends the handshake with the headers of the answer. Server: they were sent.
///
/// @param protocol The component.
/// @param received Client: the answer's headers. Server: NULL.
/// @param count    How many.
///
/// @return WS_ERROR_INVALID_PARAMETER: received is NULL with a count;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component.
///
/// One thread at a time. Does not wait. As WebSocketEndClientHandshake and WebSocketEndServerHandshake.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_end_headers(protocol: ws_handle, received: *const ws_header, count: usize) -> ws_status {
    boundary::operation(protocol, || {
        pointer::check_array(received, count, "received")?;
        find(protocol, "ws_protocol_end_headers")
    })
}

/// Not built yet: no component can be made. Queues a message, or a part of one; the bytes come out as actions.
///
/// @param protocol The component.
/// @param type     As for ws_send.
/// @param flags    As for ws_send_ex.
/// @param parts    The bytes; they belong to the component until WS_ACTION_INDICATE_SEND_COMPLETE. NULL if count is 0.
/// @param count    How many parts.
/// @param context  Given back in that action; never followed.
///
/// @return WS_ERROR_INVALID_PARAMETER: parts is NULL with a count, or type or a flag is unknown;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component.
///
/// One thread at a time. Does not wait. As WebSocketSend.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_send(
    protocol: ws_handle,
    r#type: ws_buffer_type,
    flags: u32,
    parts: *const ws_bytes,
    count: usize,
    context: *mut c_void,
) -> ws_status {
    boundary::operation(protocol, || {
        let _arguments = context;
        pointer::check_array(parts, count, "parts")?;
        check_send_flags(flags)?;
        kind_of_type(r#type)?;
        find(protocol, "ws_protocol_send")
    })
}

/// Not built yet: no component can be made. Asks for the next piece of a message; it comes as an action.
///
/// @param protocol The component.
/// @param buffer   Where to put it; it belongs to the component until WS_ACTION_INDICATE_RECEIVE_COMPLETE. NULL = a view.
/// @param length   The room in buffer, in bytes; 0 with NULL.
/// @param context  Given back in that action; never followed.
///
/// @return WS_ERROR_INVALID_PARAMETER: only one of buffer and length is 0;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component.
///
/// One thread at a time. Does not wait. As WebSocketReceive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_receive(protocol: ws_handle, buffer: *mut c_void, length: usize, context: *mut c_void) -> ws_status {
    boundary::operation(protocol, || {
        let _arguments = context;
        if buffer.is_null() != (length == 0) {
            return Err(Error::new(Status::InvalidParameter, "only one of buffer and length is 0"));
        }
        find(protocol, "ws_protocol_receive")
    })
}

/// Not built yet: no component can be made. Queues a control frame.
///
/// @param protocol The component.
/// @param opcode   8 close, 9 ping, 10 pong.
/// @param status   Of a close frame, as for ws_close; else 0.
/// @param data     The reason, or the payload. NULL if length is 0.
/// @param length   In bytes; at most 123 with a close frame, else 125.
///
/// @return WS_ERROR_INVALID_PARAMETER: opcode is unknown, data is NULL with a length, or length is above 125;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component.
///
/// One thread at a time. Does not wait. RFC 6455 §5.5.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_control(
    protocol: ws_handle,
    opcode: u32,
    status: u16,
    data: *const c_void,
    length: usize,
) -> ws_status {
    boundary::operation(protocol, || {
        let _arguments = status;
        // SAFETY: the caller keeps the header's promise about pointers.
        unsafe { pointer::bytes(data, length, "data")? };
        if !(8..=10).contains(&opcode) || length > 125 {
            return Err(Error::new(Status::InvalidParameter, format!("no control frame has opcode {opcode} and {length} bytes")));
        }
        find(protocol, "ws_protocol_control")
    })
}

/// Not built yet: no component can be made. Asks what is to be done next.
///
/// @param protocol The component.
/// @param now_ms   The time, on any clock that only goes forward, in milliseconds.
/// @param action   OUT: the action; set action->size before. Valid until it is completed.
///
/// @return WS_ERROR_INVALID_PARAMETER: action is NULL, or its size is not that of any version;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component.
///
/// One thread at a time. Does not wait. As WebSocketGetAction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_get_action(protocol: ws_handle, now_ms: u64, action: *mut ws_action) -> ws_status {
    boundary::operation(protocol, || {
        let _arguments = now_ms;
        // SAFETY: the caller keeps the header's promise about pointers.
        unsafe { OutStruct::new(action, SMALLEST_ACTION, "action")? };
        find(protocol, "ws_protocol_get_action")
    })
}

/// Not built yet: no component can be made. Says that an action was done.
///
/// @param protocol    The component.
/// @param id          Of the action.
/// @param now_ms      As for ws_protocol_get_action.
/// @param transferred How many bytes were written or read; a read with 0 = the transport's end.
///
/// @return WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component.
///
/// One thread at a time. Does not wait. As WebSocketCompleteAction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_complete_action(protocol: ws_handle, id: u64, now_ms: u64, transferred: usize) -> ws_status {
    boundary::operation(protocol, || {
        let _arguments = (id, now_ms, transferred);
        find(protocol, "ws_protocol_complete_action")
    })
}

/// Not built yet: no component can be made. Gives up: every queued operation completes as cancelled.
///
/// @param protocol The component.
///
/// @return WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component.
///
/// One thread at a time. Does not wait. As WebSocketAbortHandle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_abort(protocol: ws_handle) -> ws_status {
    boundary::operation(protocol, || find(protocol, "ws_protocol_abort"))
}
