//! Servers: listeners, and how a request is refused. Accepting one is in `request`.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use super::boundary::{self, Ended};
use super::pointer::{self, Out};
use super::request::find_with_head;
use super::types::{ws_handle, ws_status};
use super::websocket::close_frame;
use crate::driver::event_loop::Answer;
use crate::error::{Error, Status};
use crate::handle::{self, Kind, Object, Ticket};
use crate::server::Listener;

/// Begins to listen.
///
/// @param session  The session whose options the listener inherits.
/// @param url      "ws://address:port/path": an address of this machine or a name for one, port 0 = any free one (WS_OPTION_URL
///                 tells which), and the path as a prefix: requests for other paths are answered 404. Copied. "wss://…" needs
///                 WS_OPTION_TLS_CERTIFICATE, of the session now or of the listener later; a listener's can be renewed at any time.
/// @param listener OUT: the listener; ws_close_handle stops listening, and leaves what was accepted alone.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: url or listener is NULL, or url is not UTF-8;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: session is not an open session;
///         WS_ERROR_INVALID_URL; WS_ERROR_UNRECOGNIZED_SCHEME; WS_ERROR_NAME_NOT_RESOLVED;
///         WS_ERROR_ADDRESS_IN_USE; WS_ERROR_CANNOT_CONNECT: the system refuses the address;
///         WS_ERROR_CERT_INVALID: certificate and key do not belong together;
///         WS_ERROR_NOT_SUPPORTED: wss in a build without TLS; WS_ERROR_NOT_ENOUGH_MEMORY.
///
/// Any thread. Does not wait, but for the name. As HttpAddUrl of the HTTP server API.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_listen(session: ws_handle, url: *const c_char, listener: *mut ws_handle) -> ws_status {
    boundary::operation(session, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let (url, listener) = unsafe { (pointer::text(url, "url")?, Out::new(listener, "listener")?) };
        let entry = handle::find_kind(Ticket::from_number(session), Kind::Session)?;
        let made = Listener::listen(entry.session()?, url)?;
        listener.write(handle::insert(Object::Listener(made), entry.notify())?.number());
        Ok(())
    })
}

/// Waits for a client to connect. Nothing is read from it yet: ws_handshake or ws_complete_upgrade do that, best on another thread.
///
/// While WS_OPTION_MAX_HANDSHAKES requests of this listener are neither answered nor closed, it waits, and clients wait in the
/// system's backlog. A client has WS_OPTION_HANDSHAKE_TIMEOUT from here on to send its request; a request that nobody handshakes stays until it
/// is closed.
///
/// @param listener The listener.
/// @param request  OUT: the client's request; close it with ws_close_handle.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: request is NULL;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: listener is not an open listener;
///         WS_ERROR_CANCELLED: ws_cancel, or the listener was closed meanwhile; WS_ERROR_CONNECTION: the system cannot accept, try again;
///         WS_ERROR_CERT_INVALID: wss without a certificate, or as for ws_listen; WS_ERROR_NOT_ENOUGH_MEMORY.
///
/// Any thread, also several at once. Waits without limit. As HttpReceiveHttpRequest of the HTTP server API.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_accept(listener: ws_handle, request: *mut ws_handle) -> ws_status {
    boundary::operation(listener, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let request = unsafe { Out::new(request, "request")? };
        let entry = handle::find_kind(Ticket::from_number(listener), Kind::Listener)?;
        let listener = entry.listener()?;
        let accepted = if listener.is_async() {
            match listener.begin_accept(entry.recipient(), handle::adopt_request)? {
                Answer::Done(accepted) => accepted,
                Answer::Pending => return Ok(Ended::Pending),
            }
        } else {
            listener.accept()?
        };
        request.write(handle::insert(Object::ServerRequest(accepted), entry.notify())?.number());
        Ok(Ended::Done)
    })
}

/// Answers a request with something else than a WebSocket: an error, or a page. The connection ends with it.
///
/// Reads the request first if ws_handshake did not. Headers are added by ws_add_header before; Content-Length and
/// Connection: close come from the library.
///
/// @param request      A server's request that was not upgraded or answered; or a server's protocol component that has told of a
///                     request: the answer comes out as actions.
/// @param http_status  200-599.
/// @param content_type The Content-Type. NULL = none.
/// @param body         The body. NULL if length is 0.
/// @param length       Of body, in bytes.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: http_status is not as above, body is NULL with a length, or content_type is not UTF-8;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request of a server;
///         WS_ERROR_INCORRECT_HANDLE_STATE: it was upgraded or answered already; WS_ERROR_INVALID_HEADER: content_type;
///         WS_ERROR_UPGRADE_REFUSED: as ws_handshake; WS_ERROR_TIMEOUT, WS_ERROR_CONNECTION, WS_ERROR_CANCELLED.
///
/// Any thread. Waits, up to WS_OPTION_HANDSHAKE_TIMEOUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_respond(
    request: ws_handle,
    http_status: u16,
    content_type: *const c_char,
    body: *const c_void,
    length: usize,
) -> ws_status {
    boundary::operation(request, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let (content_type, body) =
            unsafe { (pointer::optional_text(content_type, "content_type")?, pointer::bytes(body, length, "body")?) };
        if !(200..=599).contains(&http_status) {
            return Err(Error::new(Status::InvalidParameter, format!("HTTP status {http_status} is not 200 to 599")));
        }
        let entry = find_with_head(request)?;
        if let Object::ProtocolComponent(component) = &entry.object {
            return component.respond(http_status, content_type, body).map(Ended::from);
        }
        let request = entry.server_request()?;
        if request.is_async() {
            return request.begin_respond(entry.recipient(), http_status, content_type, body).map(Ended::from);
        }
        request.respond(http_status, content_type, body).map(Ended::from)
    })
}

/// Ends a listener's connections in good order: stops accepting, and closes them spread over a time, so that not all clients come back at once.
/// For asynchronous sessions.
///
/// @param listener     The listener.
/// @param close_status As for ws_close; 1001 or 1012 is meant for this.
/// @param spread_ms    Over how many milliseconds the close frames are sent.
/// @param deadline_ms  After how many milliseconds the rest is dropped; 0 = none.
///
/// @return WS_PENDING: WS_EVENT_DRAINED tells that no connection is left;
///         WS_ERROR_INVALID_PARAMETER: close_status may not be sent; WS_ERROR_NOT_SUPPORTED: the session is a blocking one, whose program closes its
///         websockets itself; WS_ERROR_INVALID_OPERATION: it is being drained;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: listener is not an open listener.
///
/// Any thread. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_drain(listener: ws_handle, close_status: u16, spread_ms: u32, deadline_ms: u32) -> ws_status {
    boundary::operation(listener, || {
        let entry = handle::find_kind(Ticket::from_number(listener), Kind::Listener)?;
        let frame = close_frame(close_status, &[])?;
        let listener = entry.listener()?;
        if !listener.is_async() {
            return Err(Error::new(Status::NotSupported, "a blocking server closes its websockets itself"));
        }
        let (spread, deadline) = (Duration::from_millis(spread_ms.into()), Duration::from_millis(deadline_ms.into()));
        listener.begin_drain(entry.recipient(), frame, spread, deadline)?;
        Ok(Ended::Pending)
    })
}
