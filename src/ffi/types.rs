//! The C types.
//!
//! Structs that the caller fills begin with `size` and grow at the end; elements of arrays never change. Their layout on 64-bit
//! machines is asserted at compile time: it is what a program was built against.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;

/// A handle: a number, never an address. It fits the number type of JavaScript. 0 is WS_NO_HANDLE.
///
/// Every function takes any value safely, from any thread: a handle of another kind gives WS_ERROR_INCORRECT_HANDLE_TYPE; one that
/// was closed or never given out gives WS_ERROR_INVALID_HANDLE, even when its place in the library is used again.
pub type ws_handle = u64;

/// What a function returns: WS_OK, WS_PENDING or an error. The numbers are in chapter 2.
pub type ws_status = i32;

/// WS_BINARY_MESSAGE and its kin.
pub type ws_buffer_type = i32;

/// WS_OPERATION_RECEIVE and its kin.
pub type ws_operation = i32;

/// WS_EVENT_RECEIVED and its kin.
pub type ws_event_type = i32;

/// WS_PHASE_CONNECT and its kin.
pub type ws_phase = i32;

/// WS_OPTION_URL and its kin.
pub type ws_option = i32;

/// No handle.
pub const WS_NO_HANDLE: ws_handle = 0;

/// A run of bytes, not terminated. Frozen: it never gets another field.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ws_bytes {
    /// The first byte; may be NULL if length is 0.
    pub data: *const c_void,
    /// In bytes.
    pub length: usize,
}

/// One header field. Frozen.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ws_header {
    /// As it came; compare it without regard to case.
    pub name: ws_bytes,
    /// Without the white space around it.
    pub value: ws_bytes,
}

/// Why something failed. Set `size` to sizeof(ws_error_info) before the call; later versions append fields.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ws_error_info {
    /// sizeof(ws_error_info), set by the caller.
    pub size: u32,
    /// What the function returned; WS_OK if nothing has failed.
    pub status: ws_status,
    /// Where it happened.
    pub phase: ws_phase,
    /// errno, or WSAGetLastError(); 0 = none.
    pub os_error: i32,
    /// Of the answer that refused the upgrade; 0 = none.
    pub http_status: u16,
    /// Sent or received for this failure; 0 = none.
    pub close_status: u16,
    /// 1 if a later attempt with the same arguments may succeed.
    pub retryable: u32,
    /// How long the peer asks to wait before one; 0 = it did not say.
    pub retry_after_ms: u32,
    /// 0.
    pub reserved: u32,
    /// One sentence in UTF-8, with the offending value; terminated, cut if long.
    pub message: [c_char; 256],
}

/// One event. Frozen: 96 bytes where pointers have 64 bits. `data` and `error` live as long as the event does: until the callback
/// returns, or until the next ws_loop_wait on the same loop.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ws_event {
    /// WS_EVENT_RECEIVED and its kin.
    pub r#type: ws_event_type,
    /// WS_OK, or why the operation failed.
    pub status: ws_status,
    /// The handle that the event is about.
    pub handle: ws_handle,
    /// WS_EVENT_UPGRADED: the websocket. WS_EVENT_ACCEPTED: the request.
    pub child: ws_handle,
    /// WS_OPTION_CONTEXT of the handle.
    pub context: *mut c_void,
    /// Of ws_send_ex; else NULL.
    pub operation_context: *mut c_void,
    /// The received bytes (for ws_receive, the buffer that was posted), or a ping's payload.
    pub data: *const c_void,
    /// Of data.
    pub length: usize,
    /// Of received data.
    pub buffer_type: ws_buffer_type,
    /// The operation that ended.
    pub operation: ws_operation,
    /// NULL when status is WS_OK.
    pub error: *const ws_error_info,
    /// 0.
    pub reserved: [u64; 3],
}

/// Receives the events of a handle. It must not throw or longjmp: the process would be aborted.
pub type ws_callback = Option<unsafe extern "C" fn(event: *const ws_event, context: *mut c_void)>;

/// Receives one line of the log, without a line end. Levels: 1 errors, 2 warnings, 3 information, 4 debugging, 5 everything.
pub type ws_log_callback = Option<unsafe extern "C" fn(level: i32, line: *const c_char, context: *mut c_void)>;

/// permessage-deflate (RFC 7692), for WS_OPTION_COMPRESSION. Set `size` to sizeof(ws_compression), and `enabled`; 0 is a good choice for
/// everything else.
///
/// A side that keeps its window from message to message compresses small messages far better, and needs memory for it on both sides while the
/// connection is open: up to 380 KiB to send, 48 KiB to receive. Where windows are forgotten that memory is shared by all connections of a session.
///
/// What one end of a connection takes beyond what it takes without compression, measured: where windows are forgotten 1 KiB idle, up to 64 KiB while
/// a compressed message is half received, and 380 KiB while one is being compressed, which the next one reuses. Where windows are kept, 360 KiB from the
/// first few messages on, idle or not.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ws_compression {
    /// sizeof(ws_compression), set by the caller.
    pub size: u32,
    /// 1 = offer it, or accept an offer.
    pub enabled: u32,
    /// The client forgets its window after each message: 1 yes; 2 no, unless the peer wants it; 0 = 1 for a server, 2 for a client.
    pub client_no_context_takeover: u32,
    /// The server does.
    pub server_no_context_takeover: u32,
    /// The largest window of the client, 2^8 to 2^15 bytes: 8-15; 0 = 15.
    pub client_max_window_bits: u32,
    /// Of the server. 8-15; 0 = 15.
    pub server_max_window_bits: u32,
    /// 1 fast - 9 small; 0 = 6.
    pub level: u32,
    /// Smaller messages are sent uncompressed, in bytes; 0 = 64 where the sender keeps its window, 1024 where it does not.
    pub threshold: u32,
}

/// What a connection has done so far, for WS_OPTION_STATISTICS. Set `size` to sizeof(ws_statistics).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ws_statistics {
    /// sizeof(ws_statistics), set by the caller.
    pub size: u32,
    /// Ping to pong, in microseconds; 0 = none was measured.
    pub rtt_min_us: u32,
    /// The mean of all.
    pub rtt_average_us: u32,
    /// The longest.
    pub rtt_max_us: u32,
    /// From the transport, frame headers included.
    pub bytes_received: u64,
    /// To the transport, frame headers included.
    pub bytes_sent: u64,
    /// Of every kind.
    pub frames_received: u64,
    /// Of every kind.
    pub frames_sent: u64,
    /// Whole messages.
    pub messages_received: u64,
    /// Whole messages.
    pub messages_sent: u64,
    /// The most bytes that ever waited to be sent.
    pub send_queue_high_water: u64,
    /// Since the library last saw a sign of life of the peer.
    pub idle_ms: u64,
    /// Bytes of memory that the connection owns, its socket apart.
    pub memory: u64,
}

/// What the protocol component wants done. Set `size` to sizeof(ws_action). Valid until it is completed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ws_action {
    /// sizeof(ws_action), set by the caller.
    pub size: u32,
    /// WS_ACTION_NONE and its kin.
    pub kind: i32,
    /// For ws_protocol_complete_action.
    pub id: u64,
    /// Of an indication.
    pub status: ws_status,
    /// Of received data.
    pub r#type: ws_buffer_type,
    /// WS_ACTION_WAKE_AT: on the clock of `now_ms`.
    pub wake_at_ms: u64,
    /// Of the operation that completed.
    pub context: *mut c_void,
    /// WS_ACTION_SEND_TO_NETWORK: write both, in order. Received data: in the first.
    pub parts: [ws_bytes; 2],
    /// WS_ACTION_RECEIVE_FROM_NETWORK: where to put bytes.
    pub room: *mut c_void,
    /// How many fit there.
    pub room_length: usize,
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<ws_bytes>() == 16 && size_of::<ws_header>() == 32);
    assert!(size_of::<ws_error_info>() == 288 && offset_of!(ws_error_info, message) == 32);
    assert!(offset_of!(ws_error_info, http_status) == 16 && offset_of!(ws_error_info, retryable) == 20);
    assert!(size_of::<ws_event>() == 96 && offset_of!(ws_event, child) == 16 && offset_of!(ws_event, data) == 40);
    assert!(offset_of!(ws_event, buffer_type) == 56 && offset_of!(ws_event, error) == 64 && offset_of!(ws_event, reserved) == 72);
    assert!(size_of::<ws_compression>() == 32);
    assert!(size_of::<ws_statistics>() == 88 && offset_of!(ws_statistics, bytes_received) == 16);
    assert!(size_of::<ws_action>() == 88 && offset_of!(ws_action, parts) == 40 && offset_of!(ws_action, room) == 72);
};
