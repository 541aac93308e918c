//! The protocol without a socket: actions out, completions in.
//!
//! In scope: C's view of [`Component`](crate::protocol::component::Component). Out of scope: everything that is decided. No function here calls
//! the program, and none waits.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use super::boundary;
use super::numbers::ws_action_numbers::{
    self, WS_ACTION_CLOSED, WS_ACTION_HANDSHAKEN, WS_ACTION_INDICATE_RECEIVE_COMPLETE, WS_ACTION_INDICATE_SEND_COMPLETE, WS_ACTION_NONE,
    WS_ACTION_RECEIVE_FROM_NETWORK, WS_ACTION_SEND_TO_NETWORK, WS_ACTION_WAKE_AT,
};
use super::numbers::ws_buffer_type_numbers::WS_CLOSE_FRAME;
use super::numbers::{WS_SEND_UNCOMPRESSED, WS_SEND_WHOLE};
use super::pointer::lent::{self, ProgramMemory, ShownHeaders};
use super::pointer::{self, Out, OutStruct};
use super::types::{ws_action, ws_buffer_type, ws_bytes, ws_handle, ws_header, ws_status};
use super::websocket::{check_send_flags, close_frame, kind_of_type, type_of_piece};
use crate::component::ProtocolComponent;
use crate::error::{Error, Result, Status};
use crate::handle::{self, Entry, Kind, Notify, Object, Ticket};
use crate::protocol::component::{Action, Component, Control, Deed, Outgoing, Place};
use crate::protocol::{MAX_CONTROL_PAYLOAD, Role};

/// The size of the first version.
const SMALLEST_ACTION: usize = size_of::<ws_action>();

fn find(protocol: ws_handle) -> Result<Arc<Entry>> {
    handle::find_kind(Ticket::from_number(protocol), Kind::ProtocolComponent)
}

/// Makes one end of a connection, for a program that has its own transport.
///
/// @param role     0 client, 1 server.
/// @param seed32   32 bytes that nobody can predict, from the system's generator: the handshake's key and the masks follow from them and
///                 from the calls, so that the same seed and calls give the same bytes. One seed for one component. Copied.
/// @param protocol OUT: the end; close it with ws_close_handle.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: seed32 or protocol is NULL, or role is neither 0 nor 1; WS_ERROR_NOT_ENOUGH_MEMORY.
///
/// Any thread. Does not wait. As WebSocketCreateClientHandle and WebSocketCreateServerHandle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_create(role: u32, seed32: *const c_void, protocol: *mut ws_handle) -> ws_status {
    boundary::query(|| {
        // SAFETY: the caller keeps the header's promise about pointers.
        let (seed, protocol) = unsafe { (pointer::bytes(seed32, 32, "seed32")?, Out::new(protocol, "protocol")?) };
        let role = match role {
            0 => Role::Client,
            1 => Role::Server,
            _ => return Err(Error::new(Status::InvalidParameter, format!("role {role} is neither 0 nor 1"))),
        };
        let seed: [u8; 32] = seed.try_into().map_err(|_| Error::new(Status::Internal, "a seed has 32 bytes"))?;
        let made = Object::ProtocolComponent(ProtocolComponent::new(role, seed));
        protocol.write(handle::insert(made, Notify::default())?.number());
        Ok(())
    })
}

/// Begins the handshake as bytes of HTTP/1.1, which come and go as actions, until WS_ACTION_HANDSHAKEN.
///
/// A client's request is queued; ws_add_header adds to it before, WS_OPTION_SUBPROTOCOLS says what to offer. A server waits for a
/// request. WS_ACTION_HANDSHAKEN has, in `status`, a client's outcome: WS_OK and the connection is open, WS_ERROR_UPGRADE_REFUSED
/// or WS_ERROR_INVALID_SERVER_RESPONSE and WS_ACTION_CLOSED follows. A server's says that a request is here, which
/// ws_protocol_accept opens or ws_respond refuses; what breaks the rules of the upgrade the library has refused by itself
/// (WS_ERROR_UPGRADE_REFUSED). ws_query_header, ws_query_header_at, ws_query_response and the options tell what the peer said.
///
/// @param protocol The component.
/// @param url      Client: as for ws_connect; only the request is made of it. Server: NULL.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: url is not UTF-8, NULL for a client, or not NULL for a server; or WS_OPTION_SUBPROTOCOLS has what
///         is no sub-protocol;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
///         WS_ERROR_INCORRECT_HANDLE_STATE: a handshake was begun before;
///         WS_ERROR_INVALID_URL, WS_ERROR_UNRECOGNIZED_SCHEME; WS_ERROR_INVALID_HEADER: Host was added twice;
///         WS_ERROR_INVALID_OPERATION: another thread is in a call on it; WS_ERROR_NOT_ENOUGH_MEMORY.
///
/// One thread at a time. Does not wait. RFC 6455 §4.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_begin(protocol: ws_handle, url: *const c_char) -> ws_status {
    boundary::operation(protocol, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let url = unsafe { pointer::optional_text(url, "url")? };
        find(protocol)?.protocol_component()?.begin(url)
    })
}

/// Server: accepts the request that WS_ACTION_HANDSHAKEN told of. The 101 comes out as an action, with the headers of ws_add_header.
///
/// The connection is open with this call: what is sent from now on goes behind the 101.
///
/// @param protocol The component.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
///         WS_ERROR_INCORRECT_HANDLE_STATE: it is a client's, no request has come, it was answered, or it does not ask for a WebSocket;
///         WS_ERROR_INVALID_OPERATION: another thread is in a call on it; WS_ERROR_NOT_ENOUGH_MEMORY; or why the connection is over.
///
/// One thread at a time. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_accept(protocol: ws_handle) -> ws_status {
    boundary::operation(protocol, || find(protocol)?.protocol_component()?.accept())
}

/// Begins the handshake as lists of headers, for a program that has its own HTTP. There are no actions until ws_protocol_end_headers.
///
/// A client sends GET with its own Host and what comes out here, and ends with the headers of the answer, if that is a 101. A server gives the
/// headers of a request (the program has seen to it that this is a GET in HTTP/1.1), and answers 101 with what comes out.
///
/// @param protocol         The component.
/// @param received         Server: all headers of the request. Client: NULL.
/// @param count            How many; 0 with NULL.
/// @param additional       OUT: the headers to send, those of ws_add_header among them; in memory of the library, valid until
///                         ws_protocol_end_headers returns WS_OK or the component is closed.
/// @param additional_count OUT: how many.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: additional or additional_count is NULL, received is NULL with a count, or it is (not) NULL for a
///         server (client);
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
///         WS_ERROR_INCORRECT_HANDLE_STATE: a handshake was begun before, or the request does not ask for a WebSocket;
///         WS_ERROR_UPGRADE_REFUSED: the request breaks the rules, or comes from a foreign Origin; ws_last_error has the HTTP status to
///         answer with. After these two the server may call it again with another request;
///         WS_ERROR_INVALID_HEADER: what is received cannot be a header;
///         WS_ERROR_INVALID_OPERATION: another thread is in a call on it; WS_ERROR_NOT_ENOUGH_MEMORY.
///
/// One thread at a time. Does not wait. As WebSocketBeginClientHandshake and WebSocketBeginServerHandshake. RFC 6455 §4.
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
        let (additional, additional_count) =
            unsafe { (Out::new(additional, "additional")?, Out::new(additional_count, "additional_count")?) };
        let entry = find(protocol)?;
        // SAFETY: as above.
        let received = unsafe { lent::headers(received, count, "received")? };
        let (array, length) = entry.protocol_component()?.begin_list(received, |headers| {
            let shown = ShownHeaders::new(headers);
            let array = shown.as_array();
            Ok((Box::new(shown), array))
        })?;
        additional.write(array);
        additional_count.write(length);
        Ok(())
    })
}

/// Ends the handshake as lists of headers: with WS_OK the connection is open. No WS_ACTION_HANDSHAKEN follows.
///
/// @param protocol The component.
/// @param received Client: all headers of the answer, whose status was 101. Server, whose 101 was sent: NULL.
/// @param count    How many; 0 with NULL.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: received is NULL with a count, or it is (not) NULL for a client (server);
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
///         WS_ERROR_INCORRECT_HANDLE_STATE: ws_protocol_begin_headers has not begun, or the handshake is done;
///         WS_ERROR_INVALID_SERVER_RESPONSE: the answer has a wrong accept value, sub-protocol or extension, and is not to be used;
///         WS_ERROR_INVALID_HEADER: what is received cannot be a header;
///         WS_ERROR_INVALID_OPERATION: another thread is in a call on it.
///
/// One thread at a time. Does not wait. As WebSocketEndClientHandshake and WebSocketEndServerHandshake.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_end_headers(protocol: ws_handle, received: *const ws_header, count: usize) -> ws_status {
    boundary::operation(protocol, || {
        pointer::check_array(received, count, "received")?;
        let entry = find(protocol)?;
        // SAFETY: the caller keeps the header's promise about pointers.
        let received = unsafe { lent::headers(received, count, "received")? };
        entry.protocol_component()?.end_list(received)
    })
}

/// Queues a message, or a part of one, as one frame; its bytes come out as actions, in the order of the calls.
///
/// Several sends may wait. Each ends with one WS_ACTION_INDICATE_SEND_COMPLETE: WS_OK once all of it was written, or why it was not.
///
/// @param protocol The component.
/// @param type     As for ws_send.
/// @param flags    As for ws_send_ex; WS_SEND_NOTIFY changes nothing, every send is told of.
/// @param parts    The bytes, in order. They are lent, and must not change, until WS_ACTION_INDICATE_SEND_COMPLETE comes out for this send;
///                 the array itself is copied. NULL if count is 0.
/// @param count    How many parts; 0 is an empty message.
/// @param context  Given back in that action; never followed.
///
/// @return WS_OK: that action will come;
///         WS_ERROR_INVALID_PARAMETER: parts is NULL with a count, a part's data is NULL with a length, a flag is unknown, or type and text
///         as for ws_send;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
///         WS_ERROR_INCORRECT_HANDLE_STATE: the handshake is not done;
///         WS_ERROR_INVALID_OPERATION: a close frame was queued or received, WS_SEND_WHOLE met an open fragmented message, or another
///         thread is in a call on it;
///         WS_ERROR_NOT_ENOUGH_MEMORY; or why the connection is over. Nothing was queued then, and no action will come.
///
/// One thread at a time. Does not wait. As WebSocketSend. RFC 6455 §5.4, §6.1.
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
        // SAFETY: the caller keeps the header's promise about pointers, and lends the parts.
        let parts = unsafe { lent::lend_parts(parts, count, "parts")? };
        check_send_flags(flags)?;
        let entry = find(protocol)?;
        let (kind, ends_message) = kind_of_type(r#type)?;
        let (must_be_whole, may_compress) = (flags & WS_SEND_WHOLE != 0, flags & WS_SEND_UNCOMPRESSED == 0);
        let message = Outgoing { kind, ends_message, must_be_whole, may_compress, parts: &parts };
        // SAFETY: whatever this component was lent came from here and from ws_protocol_receive.
        let mut memory = unsafe { ProgramMemory::new() };
        entry
            .protocol_component()?
            .with_surroundings(Duration::ZERO, &mut memory, |component, around| component.send(&message, context as usize, around))
    })
}

/// Asks for the next piece of a message, or for the peer's close frame: one WS_ACTION_INDICATE_RECEIVE_COMPLETE.
///
/// As of ws_receive a piece is at most one frame's payload, and comes as soon as there is any. One receive at a time: the next may be
/// asked for when that action is completed.
///
/// Also while no receive is asked for bytes are wanted from the network, up to the first data frame: so pings are answered, and the end
/// is seen.
///
/// @param protocol The component.
/// @param buffer   Where to put it. It is lent, and must be left alone, until WS_ACTION_INDICATE_RECEIVE_COMPLETE comes out; the rest of a large
///                 frame is read from the network straight into it. NULL = a view: the piece stays in the component's memory,
///                 valid until that action is completed, and nothing is read from the network meanwhile.
/// @param length   The room in buffer, in bytes; 0 with NULL.
/// @param context  Given back in that action; never followed.
///
/// @return WS_OK: that action will come;
///         WS_ERROR_INVALID_PARAMETER: only one of buffer and length is 0;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
///         WS_ERROR_INCORRECT_HANDLE_STATE: the handshake is not done;
///         WS_ERROR_INVALID_OPERATION: a receive waits already or its action was not completed, the close frame was told already, the
///         connection is closed, or another thread is in a call on it; or why else the connection is over. No action will come then.
///
/// One thread at a time. Does not wait. As WebSocketReceive. RFC 6455 §6.2.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_receive(protocol: ws_handle, buffer: *mut c_void, length: usize, context: *mut c_void) -> ws_status {
    boundary::operation(protocol, || {
        // SAFETY: the caller keeps the header's promise about pointers, and lends the buffer.
        let room = unsafe { lent::lend_room(buffer, length, "buffer")? };
        find(protocol)?.protocol_component()?.with(|component| component.receive(room, context as usize))
    })
}

/// Queues a control frame. The library sends pongs, keep-alive pings and the answer to a close frame by itself.
///
/// A close frame goes after everything that was queued before it; then nothing more can be sent, and receiving goes on until the
/// peer's, or until WS_OPTION_CLOSE_TIMEOUT is over. Pings and pongs go between frames; one that still waits is replaced by the next.
///
/// @param protocol The component.
/// @param opcode   8 close, 9 ping, 10 pong.
/// @param status   Of a close frame, as for ws_close; else 0.
/// @param data     The reason, in UTF-8, or the payload; copied. NULL if length is 0.
/// @param length   In bytes; at most 123 with a close frame, else 125.
///
/// @return WS_OK: it was queued, or the peer's close frame was answered already;
///         WS_ERROR_INVALID_PARAMETER: opcode, status, data or length is not as above;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
///         WS_ERROR_INCORRECT_HANDLE_STATE: the handshake is not done;
///         WS_ERROR_INVALID_OPERATION: this side has sent its close frame, the connection is closed, or another thread is in a call
///         on it; or why else the connection is over.
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
        // SAFETY: the caller keeps the header's promise about pointers.
        let data = unsafe { pointer::bytes(data, length, "data")? };
        let control = match (opcode, status) {
            (8, _) => Control::Close(close_frame(status, data)?),
            (9, 0) if length <= MAX_CONTROL_PAYLOAD => Control::Ping(data),
            (10, 0) if length <= MAX_CONTROL_PAYLOAD => Control::Pong(data),
            _ => {
                let message = format!("no control frame has opcode {opcode}, status {status} and {length} bytes");
                return Err(Error::new(Status::InvalidParameter, message));
            }
        };
        find(protocol)?.protocol_component()?.with(|component| component.control(control))
    })
}

/// Asks what is to be done next. Call it after every other call, until it has nothing: WS_ACTION_NONE or WS_ACTION_WAKE_AT.
///
/// WS_ACTION_SEND_TO_NETWORK: write `parts`, both if the second is not empty, in order.
/// WS_ACTION_RECEIVE_FROM_NETWORK: read at least a byte into `room`, at most `room_length`.
/// WS_ACTION_INDICATE_SEND_COMPLETE: a send has ended with `status`; its parts are the program's again.
/// WS_ACTION_INDICATE_RECEIVE_COMPLETE: a receive has ended with `status`; with WS_OK `type` says what came, and parts[0] where it is: in the
/// buffer, which is the program's again, or in the component. For WS_CLOSE_FRAME it is the reason; ws_query_close_status has the status.
/// WS_ACTION_HANDSHAKEN: see ws_protocol_begin.
/// WS_ACTION_CLOSED: the connection is over: WS_OK after both close frames, else why. Close the transport. It comes once, and last.
/// WS_ACTION_WAKE_AT: nothing now; ask again at `wake_at_ms`, even if nothing happens before: for keep-alive and time limits.
/// WS_ACTION_NONE: nothing now, and nothing later by itself.
///
/// Every action but the last two is completed with its `id`, when it is done; until then its memory is valid and no other of its kind comes
/// out. So a write that waits does not hold up reads, nor the other way round. Fields that do not belong to the kind are 0.
///
/// @param protocol The component.
/// @param now_ms   The time, on any clock that only goes forward, in milliseconds. Always the same clock.
/// @param action   OUT: the action; set action->size before.
///
/// @return WS_OK; the outcome of what the action tells is in action->status, and ws_query_error(protocol, ...) has its reason;
///         WS_ERROR_INVALID_PARAMETER: action is NULL, or its size is not that of any version;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
///         WS_ERROR_INVALID_OPERATION: another thread is in a call on it.
///
/// One thread at a time. Does not wait. As WebSocketGetAction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_get_action(protocol: ws_handle, now_ms: u64, action: *mut ws_action) -> ws_status {
    boundary::operation(protocol, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let out = unsafe { OutStruct::new(action, SMALLEST_ACTION, "action")? };
        let entry = find(protocol)?;
        // SAFETY: whatever this component was lent came from ws_protocol_send and ws_protocol_receive.
        let mut memory = unsafe { ProgramMemory::new() };
        let now = Duration::from_millis(now_ms);
        let (shown, failure) = entry.protocol_component()?.with_surroundings(now, &mut memory, |component, around| {
            let action = component.next_action(around);
            let failure = failure_of(&action.deed).cloned();
            Ok((show(component, &action), failure))
        })?;
        if let Some(failure) = failure {
            entry.set_last_error(failure);
        }
        out.write(shown);
        Ok(())
    })
}

/// Says that an action was done.
///
/// A part is enough: what was not written comes out again. A read of 0 bytes says that the transport has ended. If it has failed, call
/// ws_protocol_abort. To complete WS_ACTION_NONE or WS_ACTION_WAKE_AT, whose id is 0, is not necessary, and does nothing.
///
/// @param protocol    The component.
/// @param id          Of the action. Afterwards its memory is no longer valid.
/// @param now_ms      As for ws_protocol_get_action.
/// @param transferred How many bytes were written or read; of other actions it is ignored.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: transferred is more than the action has; it is still under way;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
///         WS_ERROR_INVALID_OPERATION: no action with this id is under way, or another thread is in a call on it.
///
/// One thread at a time. Does not wait. As WebSocketCompleteAction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_complete_action(protocol: ws_handle, id: u64, now_ms: u64, transferred: usize) -> ws_status {
    boundary::operation(protocol, || {
        let entry = find(protocol)?;
        // SAFETY: whatever this component was lent came from ws_protocol_send and ws_protocol_receive.
        let mut memory = unsafe { ProgramMemory::new() };
        let now = Duration::from_millis(now_ms);
        entry.protocol_component()?.with_surroundings(now, &mut memory, |component, around| component.complete(id, transferred, around))
    })
}

/// Gives the connection up: what waits ends with WS_ERROR_CANCELLED, then WS_ACTION_CLOSED comes. No close frame is sent.
///
/// Actions under way may be completed or not; nothing more comes of them. Those that name memory of the component are valid until it is
/// closed: end what the transport does with them before ws_close_handle.
///
/// @param protocol The component.
///
/// @return WS_OK, also if the connection was over already;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
///         WS_ERROR_INVALID_OPERATION: another thread is in a call on it.
///
/// One thread at a time. Does not wait. As WebSocketAbortHandle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_protocol_abort(protocol: ws_handle) -> ws_status {
    boundary::operation(protocol, || {
        find(protocol)?.protocol_component()?.with(|component| {
            component.abort();
            Ok(())
        })
    })
}

fn failure_of(deed: &Deed) -> Option<&Error> {
    match deed {
        Deed::SendComplete { result, .. } | Deed::Handshaken(result) | Deed::Closed(result) => result.as_ref().err(),
        Deed::ReceiveComplete { result, .. } => result.as_ref().err(),
        _ => None,
    }
}

const NO_BYTES: ws_bytes = ws_bytes { data: ptr::null(), length: 0 };

/// An action as the program sees it.
fn show(component: &mut Component, action: &Action) -> ws_action {
    let blank = ws_action {
        size: 0,
        kind: WS_ACTION_NONE as i32,
        id: action.id,
        status: 0,
        r#type: 0,
        wake_at_ms: 0,
        context: ptr::null_mut(),
        parts: [NO_BYTES; 2],
        room: ptr::null_mut(),
        room_length: 0,
    };
    let told = |kind: ws_action_numbers| ws_action {
        kind: kind as i32,
        status: failure_of(&action.deed).map_or(0, |error| error.status().code()),
        ..blank
    };
    match &action.deed {
        Deed::Nothing => blank,
        Deed::WakeAt(instant) => {
            let wake_at_ms = u64::try_from(instant.as_millis()).unwrap_or(u64::MAX);
            ws_action { wake_at_ms, ..told(WS_ACTION_WAKE_AT) }
        }
        Deed::SendToNetwork(parts) => {
            let parts = parts.map(|part| run(component, part));
            ws_action { parts, ..told(WS_ACTION_SEND_TO_NETWORK) }
        }
        Deed::ReceiveFromNetwork(place) => {
            let (room, room_length) = room(component, *place);
            ws_action { room, room_length, ..told(WS_ACTION_RECEIVE_FROM_NETWORK) }
        }
        Deed::SendComplete { context, .. } => {
            ws_action { context: ptr::with_exposed_provenance_mut(*context), ..told(WS_ACTION_INDICATE_SEND_COMPLETE) }
        }
        Deed::ReceiveComplete { context, result } => {
            let context = ptr::with_exposed_provenance_mut(*context);
            let (r#type, bytes) = match result {
                Ok(delivery) => (delivery.piece.map_or(WS_CLOSE_FRAME as i32, type_of_piece), run(component, delivery.place)),
                Err(_) => (0, NO_BYTES),
            };
            ws_action { context, r#type, parts: [bytes, NO_BYTES], ..told(WS_ACTION_INDICATE_RECEIVE_COMPLETE) }
        }
        Deed::Handshaken(_) => told(WS_ACTION_HANDSHAKEN),
        Deed::Closed(_) => told(WS_ACTION_CLOSED),
    }
}

/// Room of an action, wherever it is.
fn room(component: &mut Component, place: Place) -> (*mut c_void, usize) {
    match place {
        Place::Lent(room) => (lent::address(room).cast_mut(), room.length),
        place => {
            let room = component.own_room(place);
            (room.as_mut_ptr().cast(), room.len())
        }
    }
}

/// Bytes of an action, wherever they are.
fn run(component: &Component, place: Place) -> ws_bytes {
    match place {
        Place::Nowhere => NO_BYTES,
        Place::Lent(bytes) => ws_bytes { data: lent::address(bytes), length: bytes.length },
        place => {
            let bytes = component.own(place);
            ws_bytes { data: bytes.as_ptr().cast(), length: bytes.len() }
        }
    }
}
