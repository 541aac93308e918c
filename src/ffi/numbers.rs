//! The numbers of the C API. They are never renumbered, reordered or reused, only appended.
//!
//! The enums here are lists of constants for the header; no function takes or returns one, because a C program may pass any number.
//! The header shows them without their Rust names. Options have their own list in `option::numbers`.

/// Statuses.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ws_status_numbers {
    /// Done.
    WS_OK = 0,
    /// The handle is closed, was never given out, or is 0.
    WS_ERROR_INVALID_HANDLE = 6,
    /// There is not enough memory. Nothing was done.
    WS_ERROR_NOT_ENOUGH_MEMORY = 8,
    /// Not in this build, or not in this mode.
    WS_ERROR_NOT_SUPPORTED = 50,
    /// A required pointer is NULL, or a value is out of its range.
    WS_ERROR_INVALID_PARAMETER = 87,
    /// The buffer is too small; the needed length was written.
    WS_ERROR_INSUFFICIENT_BUFFER = 122,
    /// The operation goes on; exactly one event tells its end.
    WS_PENDING = 997,
    /// Not possible now: closed, or another call is doing the same.
    WS_ERROR_INVALID_OPERATION = 4317,
    /// The time limit was reached.
    WS_ERROR_TIMEOUT = 12002,
    /// A defect of the library; please report the message.
    WS_ERROR_INTERNAL = 12004,
    /// The URL is not valid.
    WS_ERROR_INVALID_URL = 12005,
    /// The URL is neither ws: nor wss:.
    WS_ERROR_UNRECOGNIZED_SCHEME = 12006,
    /// The host name could not be resolved.
    WS_ERROR_NAME_NOT_RESOLVED = 12007,
    /// There is no option with this number.
    WS_ERROR_INVALID_OPTION = 12009,
    /// The option can only be queried.
    WS_ERROR_OPTION_NOT_SETTABLE = 12011,
    /// The credentials were not accepted.
    WS_ERROR_LOGIN_FAILURE = 12015,
    /// Cancelled, or the handle was closed meanwhile.
    WS_ERROR_CANCELLED = 12017,
    /// The handle is open, but of another kind.
    WS_ERROR_INCORRECT_HANDLE_TYPE = 12018,
    /// Too early or too late for this handle.
    WS_ERROR_INCORRECT_HANDLE_STATE = 12019,
    /// No connection to the server could be made.
    WS_ERROR_CANNOT_CONNECT = 12029,
    /// The connection ended without a close frame.
    WS_ERROR_CONNECTION = 12030,
    /// The certificate is expired, or not valid yet.
    WS_ERROR_CERT_DATE_INVALID = 12037,
    /// The certificate is for another name.
    WS_ERROR_CERT_NAME_INVALID = 12038,
    /// The server asks for a client certificate.
    WS_ERROR_CLIENT_CERT_NEEDED = 12044,
    /// The certificate's issuer is not trusted.
    WS_ERROR_CERT_UNKNOWN_ISSUER = 12045,
    /// There is no such header.
    WS_ERROR_HEADER_NOT_FOUND = 12150,
    /// The peer's HTTP is not valid.
    WS_ERROR_INVALID_SERVER_RESPONSE = 12152,
    /// A header given by the program is not valid.
    WS_ERROR_INVALID_HEADER = 12153,
    /// The redirect was not followed.
    WS_ERROR_REDIRECT_FAILED = 12156,
    /// The secure channel failed.
    WS_ERROR_TLS_CHANNEL = 12157,
    /// The certificate is not valid.
    WS_ERROR_CERT_INVALID = 12169,
    /// The certificate is revoked, or not among the pinned ones.
    WS_ERROR_CERT_REVOKED = 12170,
    /// TLS failed.
    WS_ERROR_TLS = 12175,
    /// The peer sent more headers than WS_OPTION_MAX_HEADERS.
    WS_ERROR_HEADER_COUNT_EXCEEDED = 12181,
    /// The peer's head is larger than WS_OPTION_MAX_HEAD_SIZE.
    WS_ERROR_HEADER_SIZE_OVERFLOW = 12182,
    /// The send queue is full; nothing was taken.
    WS_ERROR_WOULD_BLOCK = 13000,
    /// The answer was not 101 Switching Protocols.
    WS_ERROR_UPGRADE_REFUSED = 13001,
    /// A message is larger than WS_OPTION_MAX_MESSAGE.
    WS_ERROR_MESSAGE_TOO_BIG = 13002,
    /// The proxy failed or refused.
    WS_ERROR_PROXY = 13003,
    /// Another program listens on this address.
    WS_ERROR_ADDRESS_IN_USE = 13004,
    /// The handle was made before fork(), in the parent.
    WS_ERROR_FORKED = 13005,
    /// A signal ended the wait: WS_OPTION_INTERRUPTIBLE.
    WS_ERROR_INTERRUPTED = 13006,
    /// The peer broke the WebSocket protocol.
    WS_ERROR_PROTOCOL_VIOLATION = 13007,
    /// A text is not valid UTF-8.
    WS_ERROR_INVALID_PAYLOAD = 13008,
    /// The keep-alive ping was not answered in time.
    WS_ERROR_PEER_LOST = 13009,
}

/// What a buffer holds (ws_buffer_type): WinHTTP's WINHTTP_WEB_SOCKET_BUFFER_TYPE.
///
/// A MESSAGE ends a message, with all of it or with its last part; a FRAGMENT does not.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ws_buffer_type_numbers {
    /// A binary message, or the last part of one.
    WS_BINARY_MESSAGE = 0,
    /// A part of a binary message; more follows.
    WS_BINARY_FRAGMENT = 1,
    /// A text message, or the last part of one.
    WS_UTF8_MESSAGE = 2,
    /// A part of a text message; more follows.
    WS_UTF8_FRAGMENT = 3,
    /// The peer's close frame. Only received, never given to ws_send.
    WS_CLOSE_FRAME = 4,
}

/// What can be waited for and cancelled (ws_operation).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ws_operation_numbers {
    /// ws_send and its kin.
    WS_OPERATION_SEND = 0,
    /// ws_receive and its kin.
    WS_OPERATION_RECEIVE = 1,
    /// ws_close.
    WS_OPERATION_CLOSE = 2,
    /// ws_shutdown.
    WS_OPERATION_SHUTDOWN = 3,
    /// ws_handshake.
    WS_OPERATION_HANDSHAKE = 100,
    /// ws_complete_upgrade.
    WS_OPERATION_UPGRADE = 101,
    /// ws_accept.
    WS_OPERATION_ACCEPT = 102,
    /// ws_respond.
    WS_OPERATION_RESPOND = 103,
    /// ws_drain.
    WS_OPERATION_DRAIN = 104,
    /// Whatever waits on the handle.
    WS_OPERATION_ALL = 255,
}

/// Close statuses (RFC 6455 §7.4), for ws_close, ws_shutdown and ws_query_close_status. Programs define their own in 3000-4999.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ws_close_status_numbers {
    /// The purpose of the connection is fulfilled.
    WS_CLOSE_NORMAL = 1000,
    /// A server goes down, or a user leaves the page.
    WS_CLOSE_GOING_AWAY = 1001,
    /// The peer broke the protocol.
    WS_CLOSE_PROTOCOL_ERROR = 1002,
    /// A kind of message that is not handled here.
    WS_CLOSE_INVALID_TYPE = 1003,
    /// Queried: the close frame had no status. As an argument: send such a one.
    WS_CLOSE_EMPTY = 1005,
    /// Never on the wire: the connection ended without a close frame.
    WS_CLOSE_ABNORMAL = 1006,
    /// A text was not valid UTF-8.
    WS_CLOSE_INVALID_PAYLOAD = 1007,
    /// A policy was broken.
    WS_CLOSE_POLICY = 1008,
    /// A message was too big.
    WS_CLOSE_TOO_BIG = 1009,
    /// A client misses an extension that it needs.
    WS_CLOSE_EXTENSION = 1010,
    /// The server met an unexpected condition.
    WS_CLOSE_SERVER_ERROR = 1011,
    /// The server restarts; come back after a moment.
    WS_CLOSE_SERVICE_RESTART = 1012,
    /// The server is overloaded; come back later.
    WS_CLOSE_TRY_AGAIN_LATER = 1013,
    /// Never on the wire: TLS failed.
    WS_CLOSE_TLS_FAILURE = 1015,
}

/// The part of a connection's life in which it failed (ws_phase).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ws_phase_numbers {
    /// None in particular: a parameter, a handle, a state.
    WS_PHASE_NONE = 0,
    /// Looking up the host name.
    WS_PHASE_RESOLVE = 1,
    /// Connecting TCP.
    WS_PHASE_CONNECT = 2,
    /// Talking to the proxy.
    WS_PHASE_PROXY = 3,
    /// The TLS handshake.
    WS_PHASE_TLS = 4,
    /// The HTTP upgrade.
    WS_PHASE_HTTP = 5,
    /// The open WebSocket.
    WS_PHASE_WEBSOCKET = 6,
    /// The closing handshake.
    WS_PHASE_CLOSE = 7,
}

/// Kinds of event (ws_event_type). Up to 31: completions of an operation that returned WS_PENDING; a failure is in `status`.
/// From 32: indications, which no operation asked for.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ws_event_numbers {
    /// ws_receive has data or the peer's close frame.
    WS_EVENT_RECEIVED = 1,
    /// The kernel has what ws_send_ex was given with WS_SEND_NOTIFY.
    WS_EVENT_SENT = 2,
    /// ws_close is done.
    WS_EVENT_CLOSE_COMPLETE = 3,
    /// ws_shutdown is done.
    WS_EVENT_SHUTDOWN_COMPLETE = 4,
    /// ws_handshake is done.
    WS_EVENT_HANDSHAKEN = 5,
    /// ws_complete_upgrade is done; `child` is the websocket.
    WS_EVENT_UPGRADED = 6,
    /// ws_accept is done; `child` is the request.
    WS_EVENT_ACCEPTED = 7,
    /// ws_respond is done.
    WS_EVENT_RESPONDED = 8,
    /// ws_drain is done.
    WS_EVENT_DRAINED = 9,
    /// After WS_ERROR_WOULD_BLOCK: the queue is half empty again.
    WS_EVENT_WRITABLE = 32,
    /// A ping came and was answered; its payload is in `data`.
    WS_EVENT_PING = 33,
    /// A pong came; its payload is in `data`.
    WS_EVENT_PONG = 34,
    /// ws_loop_wake was called.
    WS_EVENT_WOKEN = 35,
    /// The last event of a handle: free its context now.
    WS_EVENT_HANDLE_CLOSED = 63,
}

/// Kinds of action (ws_action.kind).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ws_action_numbers {
    /// There is nothing to do now.
    WS_ACTION_NONE = 0,
    /// Write `parts` to the transport.
    WS_ACTION_SEND_TO_NETWORK = 1,
    /// A send was written whole; `context` tells which.
    WS_ACTION_INDICATE_SEND_COMPLETE = 2,
    /// Read from the transport into `room`.
    WS_ACTION_RECEIVE_FROM_NETWORK = 3,
    /// A receive has data or the close frame.
    WS_ACTION_INDICATE_RECEIVE_COMPLETE = 4,
    /// The handshake is done.
    WS_ACTION_HANDSHAKEN = 5,
    /// Come back at `wake_at_ms`, if nothing happens before.
    WS_ACTION_WAKE_AT = 6,
    /// The connection is over; close the transport.
    WS_ACTION_CLOSED = 7,
}

/// The version of this header; ws_version() tells the library's.
pub const WS_VERSION_MAJOR: u32 = 0;
/// See WS_VERSION_MAJOR.
pub const WS_VERSION_MINOR: u32 = 1;
/// See WS_VERSION_MAJOR.
pub const WS_VERSION_PATCH: u32 = 0;

/// ws_open: every call that would wait may return WS_PENDING instead.
pub const WS_FLAG_ASYNC: u32 = 0x1000_0000;
/// ws_open: the library starts no thread for this session; names are resolved on the caller's.
pub const WS_FLAG_NO_THREADS: u32 = 0x0000_0001;
/// ws_send_ex: leave this message uncompressed.
pub const WS_SEND_UNCOMPRESSED: u32 = 0x0000_0001;
/// ws_send_ex: WS_ERROR_INVALID_OPERATION rather than become a part of somebody's open fragmented message.
pub const WS_SEND_WHOLE: u32 = 0x0000_0002;
/// ws_send_ex, asynchronous: WS_PENDING, then WS_EVENT_SENT once the kernel has it.
pub const WS_SEND_NOTIFY: u32 = 0x0000_0004;
/// A wait without limit, for ws_loop_wait and ws_cleanup.
pub const WS_WAIT_FOREVER: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use crate::error::{Phase, Status};

    /// The `NAME = number` lines of this file: what the header will say.
    fn numbers_of_this_file() -> Vec<(&'static str, i32)> {
        let lines = include_str!("numbers.rs").lines();
        lines
            .filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "))
            .filter_map(|(name, n)| Some((name, n.parse().ok()?)))
            .collect()
    }

    /// `InvalidHandle` → `INVALID_HANDLE`.
    fn screaming(name: &str) -> String {
        let mut text = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !text.is_empty() {
                text.push('_');
            }
            text.push(letter.to_ascii_uppercase());
        }
        text
    }

    #[test]
    fn the_header_has_exactly_the_statuses_of_the_library() {
        let mut expected = vec![("WS_OK".to_owned(), 0)];
        expected.extend(Status::ALL.iter().map(|status| match status {
            Status::Pending => ("WS_PENDING".to_owned(), status.code()),
            _ => (format!("WS_ERROR_{}", screaming(&format!("{status:?}"))), status.code()),
        }));
        let numbers = numbers_of_this_file();
        let found = numbers.iter().filter(|(name, _)| name.starts_with("WS_ERROR_") || matches!(*name, "WS_OK" | "WS_PENDING"));
        assert_eq!(found.map(|&(name, number)| (name.to_owned(), number)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_header_has_exactly_the_phases_of_the_library() {
        let phases = [Phase::None, Phase::Resolve, Phase::Connect, Phase::Proxy, Phase::Tls, Phase::Http, Phase::WebSocket, Phase::Close];
        let numbers = numbers_of_this_file();
        let found: Vec<_> = numbers.iter().filter(|(name, _)| name.starts_with("WS_PHASE_")).collect();
        assert_eq!(found.len(), phases.len());
        for (phase, (name, number)) in phases.iter().zip(found) {
            assert_eq!((format!("WS_PHASE_{phase:?}").to_uppercase(), *phase as i32), (name.to_string(), *number));
        }
    }

    #[test]
    fn the_version_is_the_crates() {
        let version = format!("{}.{}.{}", super::WS_VERSION_MAJOR, super::WS_VERSION_MINOR, super::WS_VERSION_PATCH);
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
    }
}
