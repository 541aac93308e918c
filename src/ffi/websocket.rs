//! Open connections: messages, and the closing handshake.

use std::ffi::c_void;
use std::sync::Arc;
use std::{ptr, str};

use super::boundary::{self, Ended};
use super::numbers::ws_buffer_type_numbers::{WS_BINARY_FRAGMENT, WS_BINARY_MESSAGE, WS_CLOSE_FRAME, WS_UTF8_FRAGMENT, WS_UTF8_MESSAGE};
use super::numbers::ws_status_numbers::WS_OK;
use super::numbers::{WS_SEND_NOTIFY, WS_SEND_UNCOMPRESSED, WS_SEND_WHOLE};
use super::pointer::{self, Out, OutBytes, Parts};
use super::types::{ws_buffer_type, ws_bytes, ws_handle, ws_status};
use crate::connection::{CallerBuffer, Connection, Outgoing, Received};
use crate::driver::blocking::{self, WholeMessage};
use crate::driver::event_loop::{self, Answer, Posted, Socket};
use crate::error::{Error, Result, Status};
use crate::handle::{self, Entry, Kind, Object, Ticket};
use crate::protocol::{CloseFrame, CloseStatus, MAX_CONTROL_PAYLOAD, MAX_REASON, MessageKind, Piece};

#[inline]
fn find(websocket: ws_handle) -> Result<Arc<Entry>> {
    handle::find_kind(Ticket::from_number(websocket), Kind::WebSocket)
}

pub(super) fn type_of_piece(piece: Piece) -> ws_buffer_type {
    let number = match (piece.kind, piece.ends_message) {
        (MessageKind::Binary, true) => WS_BINARY_MESSAGE,
        (MessageKind::Binary, false) => WS_BINARY_FRAGMENT,
        (MessageKind::Text, true) => WS_UTF8_MESSAGE,
        (MessageKind::Text, false) => WS_UTF8_FRAGMENT,
    };
    number as ws_buffer_type
}

/// What a buffer type of the program means: the kind, and whether it ends the message.
#[inline]
pub(super) fn kind_of_type(buffer_type: ws_buffer_type) -> Result<(MessageKind, bool)> {
    const BINARY_MESSAGE: i32 = WS_BINARY_MESSAGE as i32;
    const BINARY_FRAGMENT: i32 = WS_BINARY_FRAGMENT as i32;
    const UTF8_MESSAGE: i32 = WS_UTF8_MESSAGE as i32;
    const UTF8_FRAGMENT: i32 = WS_UTF8_FRAGMENT as i32;
    match buffer_type {
        BINARY_MESSAGE => Ok((MessageKind::Binary, true)),
        BINARY_FRAGMENT => Ok((MessageKind::Binary, false)),
        UTF8_MESSAGE => Ok((MessageKind::Text, true)),
        UTF8_FRAGMENT => Ok((MessageKind::Text, false)),
        other => Err(Error::new(Status::InvalidParameter, format!("buffer type {other} cannot be sent"))),
    }
}

/// The kind of a whole message; `None` for everything else.
#[inline]
fn kind_of_whole(buffer_type: ws_buffer_type) -> Option<MessageKind> {
    const BINARY_MESSAGE: i32 = WS_BINARY_MESSAGE as i32;
    const UTF8_MESSAGE: i32 = WS_UTF8_MESSAGE as i32;
    match buffer_type {
        BINARY_MESSAGE => Some(MessageKind::Binary),
        UTF8_MESSAGE => Some(MessageKind::Text),
        _ => None,
    }
}

/// A close frame's status and reason as a program may choose them (RFC 6455 §7.4).
pub(super) fn close_frame(status: u16, reason: &[u8]) -> Result<CloseFrame> {
    let refused = |sentence: String| Error::new(Status::InvalidParameter, sentence);
    if status == CloseStatus::EMPTY {
        return if reason.is_empty() {
            Ok(CloseFrame::empty())
        } else {
            Err(refused("close status 1005 has no room for a reason".to_owned()))
        };
    }
    let status = CloseStatus::new(status).ok_or_else(|| refused(format!("close status {status} may not be sent")))?;
    let text = str::from_utf8(reason).map_err(|error| refused(format!("the reason is not UTF-8 at byte {}", error.valid_up_to())))?;
    CloseFrame::new(status, text).ok_or_else(|| refused(format!("the reason has {} bytes, at most {MAX_REASON} fit", reason.len())))
}

/// What the peer's close frame said: to a websocket, or to a protocol component.
fn peer_close(websocket: ws_handle) -> Result<(u16, Vec<u8>)> {
    let entry = handle::find(Ticket::from_number(websocket))?;
    match &entry.object {
        Object::ProtocolComponent(component) => component.with(|component| component.lifecycle().told()),
        _ => entry.websocket()?.peer_close(),
    }
}

/// Passes on what a call returned, and tells the log of close frames if the call may have met one.
#[inline(never)]
fn telling<T>(connection: &Connection, result: Result<T>, is_close: impl FnOnce(&T) -> bool) -> Result<T> {
    if result.as_ref().map_or(true, is_close) {
        connection.log_close_frames();
    }
    result
}

/// Receives the next piece of a message, or the peer's close frame.
///
/// Returns as soon as something is there: at most one frame's payload, up to length bytes; it never waits to fill the buffer. The
/// type is a MESSAGE exactly when these bytes end the message, else a FRAGMENT, and more of it follows: loop on the type, not on
/// sizes. Text may be cut inside a character; the whole message is valid UTF-8. An empty message is 0 bytes and a MESSAGE.
/// WS_CLOSE_FRAME with 0 bytes is the peer's close frame: it is answered already (unless WS_OPTION_MANUAL_CLOSE), and
/// ws_query_close_status tells its status. Pings are answered inside.
///
/// @param websocket The connection.
/// @param buffer    OUT: the bytes; it is written to even when the call fails.
/// @param length    The room in buffer, in bytes; not 0.
/// @param received  OUT: how many bytes came.
/// @param type      OUT: WS_BINARY_MESSAGE, _FRAGMENT, WS_UTF8_MESSAGE, _FRAGMENT or WS_CLOSE_FRAME.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: a pointer is NULL, or length is 0;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket;
///         WS_ERROR_INVALID_OPERATION: the close frame was received already, ws_close was called, another thread receives, or
///         ws_receive_message has begun a message and is not at its end;
///         WS_ERROR_TIMEOUT: WS_OPTION_RECEIVE_TIMEOUT is over, and the connection lives on;
///         WS_ERROR_CANCELLED: ws_cancel, ws_close or ws_close_handle was called meanwhile;
///         WS_ERROR_CONNECTION: it ended without a close frame; WS_ERROR_PEER_LOST; WS_ERROR_PROTOCOL_VIOLATION;
///         WS_ERROR_INVALID_PAYLOAD; WS_ERROR_MESSAGE_TOO_BIG: the peer was told why, and the connection is over.
///
/// Any thread, one at a time; another may send meanwhile. Waits. As WinHttpWebSocketReceive. RFC 6455 §5, §6.2.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_receive(
    websocket: ws_handle,
    buffer: *mut c_void,
    length: usize,
    received: *mut usize,
    r#type: *mut ws_buffer_type,
) -> ws_status {
    boundary::operation(websocket, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let (buffer, received, buffer_type) =
            unsafe { (pointer::buffer(buffer, length, "buffer")?, Out::new(received, "received")?, Out::new(r#type, "type")?) };
        let entry = find(websocket)?;
        let found = match &entry.object {
            Object::WebSocket(connection) => match blocking::receive(connection, buffer) {
                Ok(found @ Received::Piece(_)) => found,
                result => telling(connection, result, |_| true)?,
            },
            Object::LoopSocket(socket) => match receive_on_loop(socket, buffer)? {
                Answer::Done(found) => found,
                Answer::Pending => return Ok(Ended::Pending),
            },
            _ => return entry.websocket().map(|_| Ended::Done),
        };
        let (count, number) = match found {
            Received::Piece(piece) => (piece.length, type_of_piece(piece)),
            Received::Close => (0, WS_CLOSE_FRAME as ws_buffer_type),
        };
        received.write(count);
        buffer_type.write(number);
        Ok(Ended::Done)
    })
}

#[inline(never)]
fn receive_on_loop(socket: &Arc<Socket>, buffer: &mut [u8]) -> Result<Answer<Received>> {
    // SAFETY: the program keeps the buffer until the event that ends the receive (header, chapter 9).
    socket.receive(Posted::Buffer(unsafe { CallerBuffer::new(buffer) }))
}

/// Sends a message, or a part of one, as one frame.
///
/// A part that is not the last is a FRAGMENT, the last one a MESSAGE; between them only the same kind may be sent. WS_OK says that
/// the bytes are written or copied: the buffer is the program's again. It does not say that the peer has them.
///
/// @param websocket The connection.
/// @param type      WS_BINARY_MESSAGE, _FRAGMENT, WS_UTF8_MESSAGE or _FRAGMENT.
/// @param buffer    The bytes. Text must be UTF-8, and may be cut anywhere. NULL if length is 0.
/// @param length    In bytes; 0 is an empty message, or the empty end of a fragmented one.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: buffer is NULL with a length, the type is WS_CLOSE_FRAME or unknown or not that of the
///         message under way, or a text is not UTF-8 (nothing is sent);
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket;
///         WS_ERROR_INVALID_OPERATION: a close frame was sent or received;
///         WS_ERROR_TIMEOUT: WS_OPTION_SEND_TIMEOUT is over; WS_ERROR_CANCELLED; WS_ERROR_CONNECTION; WS_ERROR_PEER_LOST;
///         WS_ERROR_NOT_ENOUGH_MEMORY.
///
/// Any thread, also several at once: they take turns, and a frame is never split by another. Waits until the bytes are taken.
/// As WinHttpWebSocketSend. RFC 6455 §5.4, §6.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_send(websocket: ws_handle, r#type: ws_buffer_type, buffer: *const c_void, length: usize) -> ws_status {
    if event_loop::has_any() {
        // SAFETY: the caller keeps the header's promise about pointers, here and below.
        return unsafe { send_among_loops(websocket, r#type, buffer, length) };
    }
    // SAFETY: as above.
    unsafe { send(websocket, r#type, buffer, length) }
}

/// Where there are loops, what a server does most is to answer the event that the thread is in.
///
/// # Safety
/// See [`ws_send`].
#[inline(never)]
unsafe fn send_among_loops(websocket: ws_handle, r#type: ws_buffer_type, buffer: *const c_void, length: usize) -> ws_status {
    if let Some(kind) = kind_of_whole(r#type)
        // SAFETY: the caller keeps the header's promise about pointers, here and below.
        && let Some(payload) = unsafe { pointer::plain_bytes(buffer, length) }
        && boundary::is_done(|| event_loop::answer(websocket, kind, payload))
    {
        return WS_OK as ws_status;
    }
    // SAFETY: as above.
    unsafe { send_otherwise(websocket, r#type, buffer, length) }
}

/// # Safety
/// See [`ws_send`].
#[inline(never)]
unsafe fn send_otherwise(websocket: ws_handle, r#type: ws_buffer_type, buffer: *const c_void, length: usize) -> ws_status {
    // SAFETY: the caller keeps the header's promise about pointers.
    unsafe { send(websocket, r#type, buffer, length) }
}

/// # Safety
/// See [`ws_send`].
#[inline(always)]
unsafe fn send(websocket: ws_handle, r#type: ws_buffer_type, buffer: *const c_void, length: usize) -> ws_status {
    boundary::operation(websocket, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let payload = unsafe { pointer::bytes(buffer, length, "buffer")? };
        let entry = find(websocket)?;
        let (kind, ends_message) = kind_of_type(r#type)?;
        match &entry.object {
            Object::WebSocket(connection) => blocking::send(connection, kind, ends_message, payload),
            Object::LoopSocket(socket) => send_on_loop(socket, kind, ends_message, payload),
            _ => entry.websocket().map(|_| ()),
        }
    })
}

#[inline(never)]
fn send_on_loop(socket: &Arc<Socket>, kind: MessageKind, ends_message: bool, payload: &[u8]) -> Result<()> {
    socket.send(&Outgoing { kind, ends_message, must_be_whole: false, uncompressed: false, parts: &[payload] }, None).map(|_| ())
}

/// Closes a connection in good order: sends a close frame unless one was sent, discards what still comes, and waits for the
/// peer's close frame.
///
/// A receive of another thread ends with WS_ERROR_CANCELLED. Called again, it returns the first result. Afterwards
/// ws_query_close_status tells what the peer said; ws_close_handle is still needed.
///
/// @param websocket The connection.
/// @param status    1000-1003, 1007-1014 or 3000-4999; or WS_CLOSE_EMPTY for a close frame without status and reason. Ignored if a
///                  close frame was sent already.
/// @param reason    A short text in UTF-8, not terminated. NULL if length is 0.
/// @param length    Of reason, in bytes; at most 123, and 0 with WS_CLOSE_EMPTY.
///
/// @return WS_OK: both close frames were exchanged;
///         WS_ERROR_INVALID_PARAMETER: status, reason or length is not as above;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket;
///         WS_ERROR_INVALID_OPERATION: another thread is closing;
///         WS_ERROR_TIMEOUT: the peer did not answer within WS_OPTION_CLOSE_TIMEOUT, and the connection was dropped;
///         WS_ERROR_CONNECTION, WS_ERROR_PROTOCOL_VIOLATION: it ended otherwise; WS_ERROR_CANCELLED.
///
/// Any thread. Waits, up to WS_OPTION_CLOSE_TIMEOUT. As WinHttpWebSocketClose. RFC 6455 §7.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_close(websocket: ws_handle, status: u16, reason: *const c_void, length: usize) -> ws_status {
    boundary::operation(websocket, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let reason = unsafe { pointer::bytes(reason, length, "reason")? };
        let frame = close_frame(status, reason)?;
        let entry = find(websocket)?;
        if let Object::LoopSocket(socket) = &entry.object {
            return telling(socket, socket.close(frame), |_| true).map(Ended::from);
        }
        let connection = entry.websocket()?;
        telling(connection, blocking::close(connection, frame), |()| true).map(|()| Ended::Done)
    })
}

/// Sends a close frame and does not wait for the peer's: nothing more can be sent, but receiving goes on until it comes.
///
/// @param websocket The connection.
/// @param status    As for ws_close.
/// @param reason    As for ws_close.
/// @param length    As for ws_close.
///
/// @return WS_OK: it was sent, or the peer's was answered already;
///         WS_ERROR_INVALID_PARAMETER: status, reason or length is not as for ws_close;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket;
///         WS_ERROR_INVALID_OPERATION: a close frame was sent by ws_close or ws_shutdown before;
///         WS_ERROR_TIMEOUT; WS_ERROR_CANCELLED; WS_ERROR_CONNECTION.
///
/// Any thread. Waits until the frame is taken, up to WS_OPTION_CLOSE_TIMEOUT. As WinHttpWebSocketShutdown. RFC 6455 §7.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_shutdown(websocket: ws_handle, status: u16, reason: *const c_void, length: usize) -> ws_status {
    boundary::operation(websocket, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let reason = unsafe { pointer::bytes(reason, length, "reason")? };
        let frame = close_frame(status, reason)?;
        let entry = find(websocket)?;
        if let Object::LoopSocket(socket) = &entry.object {
            return telling(socket, socket.shutdown(frame), |_| true).map(Ended::from);
        }
        let connection = entry.websocket()?;
        telling(connection, blocking::shutdown(connection, frame), |()| true).map(|()| Ended::Done)
    })
}

/// Tells the status and the reason of the peer's close frame, as often as it is asked.
///
/// @param websocket The connection, or a protocol component.
/// @param status    OUT: the status; WS_CLOSE_EMPTY if the close frame had none.
/// @param reason    OUT: the reason in UTF-8, not terminated. NULL if capacity is 0. 123 bytes are always enough.
/// @param capacity  The room in reason, in bytes.
/// @param length    OUT: how many bytes were written; with WS_ERROR_INSUFFICIENT_BUFFER how many are needed.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: status or length is NULL, or reason is NULL with a capacity;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket;
///         WS_ERROR_INVALID_OPERATION: the peer has not sent a close frame; WS_ERROR_INSUFFICIENT_BUFFER.
///
/// Any thread. Does not wait. As WinHttpWebSocketQueryCloseStatus. RFC 6455 §7.1.5, §7.1.6.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_query_close_status(
    websocket: ws_handle,
    status: *mut u16,
    reason: *mut c_void,
    capacity: usize,
    length: *mut usize,
) -> ws_status {
    boundary::query(|| {
        // SAFETY: the caller keeps the header's promise about pointers.
        let (status, reason) = unsafe { (Out::new(status, "status")?, OutBytes::with_capacity(reason, capacity, length, "reason")?) };
        let (found_status, found_reason) = peer_close(websocket)?;
        reason.write_bytes(&found_reason)?;
        status.write(found_status);
        Ok(())
    })
}

/// Receives a whole message, or the peer's close frame.
///
/// The message lies in memory of the library and stays there until the next receive of any kind on this handle, or until the handle is
/// closed; memory above 64 KiB is given back by that receive. An empty message has length 0; for WS_CLOSE_FRAME, which means what it does
/// for ws_receive, data is NULL. A wait that ends in the middle of a message loses nothing: the next call goes on. ws_receive cannot
/// take over a message that was begun here, nor this function one that ws_receive has begun.
///
/// @param websocket The connection.
/// @param data      OUT: the message.
/// @param length    OUT: of data, in bytes; at most WS_OPTION_MAX_MESSAGE, 16 MiB if that was not set.
/// @param type      OUT: WS_BINARY_MESSAGE, WS_UTF8_MESSAGE or WS_CLOSE_FRAME.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: a pointer is NULL;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket;
///         WS_ERROR_INVALID_OPERATION: as for ws_receive, or a message that ws_receive has begun is not at its end;
///         WS_ERROR_MESSAGE_TOO_BIG: the message is larger than length says; the peer was told so (1009), and the connection is over;
///         WS_ERROR_NOT_ENOUGH_MEMORY: the connection lives on, and the next call goes on;
///         WS_ERROR_TIMEOUT, WS_ERROR_CANCELLED, WS_ERROR_CONNECTION, WS_ERROR_PEER_LOST, WS_ERROR_PROTOCOL_VIOLATION,
///         WS_ERROR_INVALID_PAYLOAD: as for ws_receive.
///
/// Any thread, one at a time; another may send meanwhile. Waits. RFC 6455 §6.2.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_receive_message(
    websocket: ws_handle,
    data: *mut *const c_void,
    length: *mut usize,
    r#type: *mut ws_buffer_type,
) -> ws_status {
    boundary::operation(websocket, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let (data, length, buffer_type) = unsafe { (Out::new(data, "data")?, Out::new(length, "length")?, Out::new(r#type, "type")?) };
        let entry = find(websocket)?;
        if let Object::LoopSocket(socket) = &entry.object {
            socket.receive(Posted::Message)?;
            return Ok(Ended::Pending);
        }
        let connection = entry.websocket()?;
        let result = blocking::receive_message(connection);
        let (start, count, number) = match telling(connection, result, |message| matches!(message, WholeMessage::Close))? {
            WholeMessage::Message(kind, start, count) => {
                (start.cast(), count, type_of_piece(Piece { kind, length: count, ends_message: true }))
            }
            WholeMessage::Close => (ptr::null(), 0, WS_CLOSE_FRAME as ws_buffer_type),
        };
        data.write(start);
        length.write(count);
        buffer_type.write(number);
        Ok(Ended::Done)
    })
}

/// Receives one piece without a copy: where the library has read it to. For asynchronous sessions.
///
/// On the thread that drives the loop a piece that is there already comes at once. Else, and from any other thread, the event brings it. A piece is
/// what has arrived of a message, as for ws_receive with a buffer without limit.
///
/// @param websocket The connection.
/// @param data      OUT: the piece; valid until the callback returns, or until the next ws_loop_wait. Only of WS_OK.
/// @param length    OUT: of data, in bytes.
/// @param type      OUT: as of ws_receive.
///
/// @return WS_OK; WS_PENDING: WS_EVENT_RECEIVED brings the piece; the errors of ws_receive;
///         WS_ERROR_NOT_SUPPORTED: the session is a blocking one;
///         WS_ERROR_INVALID_OPERATION: another receive is pending, or events carry whole messages;
///         WS_ERROR_INVALID_PARAMETER: a pointer is NULL;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket.
///
/// Any thread. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_receive_view(
    websocket: ws_handle,
    data: *mut *const c_void,
    length: *mut usize,
    r#type: *mut ws_buffer_type,
) -> ws_status {
    boundary::operation(websocket, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let (data, length, buffer_type) = unsafe { (Out::new(data, "data")?, Out::new(length, "length")?, Out::new(r#type, "type")?) };
        let entry = find(websocket)?;
        let Object::LoopSocket(socket) = &entry.object else {
            return Err(Error::new(Status::NotSupported, "views are for asynchronous sessions: there is no memory to look into"));
        };
        let (start, received) = match socket.receive_view()? {
            Answer::Done(found) => found,
            Answer::Pending => return Ok(Ended::Pending),
        };
        let (count, number) = match received {
            Received::Piece(piece) => (piece.length, type_of_piece(piece)),
            Received::Close => (0, WS_CLOSE_FRAME as ws_buffer_type),
        };
        data.write(start.cast());
        length.write(count);
        buffer_type.write(number);
        Ok(Ended::Done)
    })
}

/// Sends a message, or a part of one, that lies in several places: as one frame, without putting it together first. With flags.
///
/// WS_SEND_WHOLE refuses to become a part of a fragmented message that another thread has begun. WS_SEND_UNCOMPRESSED sends the message
/// that begins here as it is, where others are compressed (WS_OPTION_COMPRESSION); it changes nothing in the middle of one. WS_SEND_NOTIFY asks for
/// WS_EVENT_SENT with operation_context; asynchronous sessions only.
///
/// @param websocket         The connection.
/// @param type              As for ws_send.
/// @param flags             0, WS_SEND_UNCOMPRESSED, WS_SEND_WHOLE, WS_SEND_NOTIFY, or several of them.
/// @param parts             The bytes, in order. NULL if count is 0.
/// @param count             How many parts; 0 is an empty message. Up to 16 take no memory.
/// @param operation_context With WS_SEND_NOTIFY: given back in the event; never followed.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: parts is NULL with a count, a part's data is NULL with a length, a flag is unknown, or as for
///         ws_send;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket;
///         WS_ERROR_INVALID_OPERATION: a close frame was sent or received, or WS_SEND_WHOLE met an open fragmented message;
///         WS_ERROR_NOT_SUPPORTED: WS_SEND_NOTIFY on a blocking session;
///         WS_ERROR_NOT_ENOUGH_MEMORY: nothing was sent;
///         WS_ERROR_TIMEOUT, WS_ERROR_CANCELLED, WS_ERROR_CONNECTION, WS_ERROR_PEER_LOST: as for ws_send.
///
/// Any thread, also several at once, as ws_send. Waits until the bytes are taken. RFC 6455 §5.4, §6.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_send_ex(
    websocket: ws_handle,
    r#type: ws_buffer_type,
    flags: u32,
    parts: *const ws_bytes,
    count: usize,
    operation_context: *mut c_void,
) -> ws_status {
    boundary::operation(websocket, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let parts = unsafe { Parts::new(parts, count, "parts")? };
        check_send_flags(flags)?;
        let entry = find(websocket)?;
        let (kind, ends_message) = kind_of_type(r#type)?;
        let has = |flag| flags & flag != 0;
        let (must_be_whole, uncompressed, notifies) = (has(WS_SEND_WHOLE), has(WS_SEND_UNCOMPRESSED), has(WS_SEND_NOTIFY));
        let message = Outgoing { kind, ends_message, must_be_whole, uncompressed, parts: parts.as_slice() };
        if let Object::LoopSocket(socket) = &entry.object {
            socket.send(&message, notifies.then_some(operation_context as usize))?;
            return Ok(if notifies { Ended::Pending } else { Ended::Done });
        }
        if notifies {
            return Err(Error::new(Status::NotSupported, "WS_SEND_NOTIFY is for asynchronous sessions"));
        }
        blocking::send_parts(entry.websocket()?, message)?;
        Ok(Ended::Done)
    })
}

/// 87 for a flag that ws_send_ex does not know.
pub(super) fn check_send_flags(flags: u32) -> Result<()> {
    if flags & !(WS_SEND_UNCOMPRESSED | WS_SEND_WHOLE | WS_SEND_NOTIFY) == 0 {
        return Ok(());
    }
    Err(Error::new(Status::InvalidParameter, format!("flags {flags:#x} has an unknown bit")))
}

/// Sends a ping. The library keeps connections alive by itself; this is for programs that measure: WS_OPTION_STATISTICS tells how long
/// the answer took.
///
/// The pong is taken by whoever receives: a thread in ws_receive, or the library if nobody does. Only the answer to the last ping counts.
/// A ping that cannot be sent at once waits its turn and does not hold the caller up; another one then takes its place.
///
/// @param websocket The connection.
/// @param payload   Any bytes; they come back in the pong. NULL if length is 0.
/// @param length    At most 125.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: payload is NULL with a length, or length is above 125;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket;
///         WS_ERROR_INVALID_OPERATION: a close frame was sent or received; WS_ERROR_CONNECTION, WS_ERROR_PEER_LOST, or why else the
///         connection is over.
///
/// Any thread. Does not wait. RFC 6455 §5.5.2.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_ping(websocket: ws_handle, payload: *const c_void, length: usize) -> ws_status {
    boundary::operation(websocket, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let payload = unsafe { pointer::bytes(payload, length, "payload")? };
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(Error::new(Status::InvalidParameter, format!("the payload has {length} bytes, at most {MAX_CONTROL_PAYLOAD} fit")));
        }
        find(websocket)?.websocket()?.ping(payload)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_statuses_of_the_rfc_and_of_programs_may_be_sent() {
        let allowed: Vec<u16> = (0..=u16::MAX).filter(|&status| close_frame(status, b"").is_ok()).collect();
        let expected: Vec<u16> = (1000..=1003).chain([1005]).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(allowed, expected);
    }

    #[test]
    fn a_reason_is_utf8_of_at_most_123_bytes_and_needs_a_status() {
        assert!(close_frame(1000, &[b'a'; 123]).is_ok());
        assert_eq!(close_frame(1000, &[b'a'; 124]).unwrap_err().to_string(), "the reason has 124 bytes, at most 123 fit");
        assert_eq!(close_frame(1000, b"ab\xc3").unwrap_err().to_string(), "the reason is not UTF-8 at byte 2");
        assert_eq!(close_frame(1005, b"a").unwrap_err().status(), Status::InvalidParameter);
    }

    #[test]
    fn buffer_types_translate_both_ways() {
        for number in 0..4 {
            let (kind, ends_message) = kind_of_type(number).unwrap();
            assert_eq!(type_of_piece(Piece { kind, length: 1, ends_message }), number);
        }
        for number in [-1, 4, 5, i32::MAX] {
            assert_eq!(kind_of_type(number).unwrap_err().status(), Status::InvalidParameter);
        }
        assert_eq!(kind_of_type(2).unwrap(), (MessageKind::Text, true));
        assert_eq!(kind_of_type(1).unwrap(), (MessageKind::Binary, false));
    }
}
