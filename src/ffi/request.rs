//! Requests of both roles: the handshake and its headers.

use std::ffi::{c_char, c_void};

use std::sync::Arc;

use super::boundary::{self, Ended};
use super::pointer::{self, Out, OutBytes};
use super::types::{ws_handle, ws_status};
use crate::driver::event_loop::Answer;
use crate::error::{Error, Result, Status};
use crate::handle::{self, Entry, Kind, Object, Ticket};
use crate::http::Headers;
use crate::http::auth::{Credentials, Scheme};

fn find(request: ws_handle) -> Result<Arc<Entry>> {
    handle::find_kind(Ticket::from_number(request), Kind::Request)
}

/// A request, or a protocol component, whose handshake as bytes has the same headers.
pub(super) fn find_with_head(request: ws_handle) -> Result<Arc<Entry>> {
    let ticket = Ticket::from_number(request);
    match handle::find(ticket)? {
        entry if matches!(entry.object, Object::ProtocolComponent(_)) => Ok(entry),
        _ => handle::find_kind(ticket, Kind::Request),
    }
}

/// The peer's headers: the response's for a client, the request's for a server.
fn peer_headers(entry: &Entry) -> Result<Arc<Headers>> {
    match &entry.object {
        Object::ClientRequest(request) => Ok(request.response()?.1),
        Object::ProtocolComponent(component) => component.with(|component| Ok(Arc::clone(&component.peer_head()?.headers))),
        _ => entry.server_request()?.headers(),
    }
}

/// Makes the WebSocket of a request.
///
/// Does what ws_handshake does, unless it was called before; then, client: checks the answer; server: sends the 101. A refusal
/// leaves a client's request usable: ws_query_response, ws_query_header and ws_read_body tell more, and ws_handshake makes
/// another attempt, with further headers if ws_add_header gave some. ws_query_error has the HTTP status, whether another attempt
/// makes sense, and how long the server asks to wait for it (Retry-After).
///
/// @param request   The request; it may be closed afterwards without harm to the websocket.
/// @param websocket OUT: the open connection; close it with ws_close_handle.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: websocket is NULL;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request;
///         WS_ERROR_INCORRECT_HANDLE_STATE: it was upgraded or answered already, another thread is doing it, or (server) it does not
///         ask for a WebSocket;
///         WS_ERROR_UPGRADE_REFUSED: client, the answer is not a 101; server, as ws_handshake;
///         WS_ERROR_LOGIN_FAILURE: client, server or proxy did not accept the credentials;
///         WS_ERROR_PROXY: client, the proxy failed, or asks for credentials that there are none of (HTTP status 407);
///         WS_ERROR_REDIRECT_FAILED: client, a redirect was not followed, although WS_OPTION_REDIRECTS is not 0;
///         WS_ERROR_INVALID_SERVER_RESPONSE: the peer's HTTP, or a 101 with a wrong accept value, sub-protocol or extension;
///         WS_ERROR_CERT_*, WS_ERROR_CLIENT_CERT_NEEDED, WS_ERROR_TLS_CHANNEL, WS_ERROR_TLS: as ws_handshake;
///         WS_ERROR_NAME_NOT_RESOLVED, WS_ERROR_CANNOT_CONNECT, WS_ERROR_CONNECTION, WS_ERROR_TIMEOUT, WS_ERROR_CANCELLED,
///         WS_ERROR_HEADER_COUNT_EXCEEDED, WS_ERROR_HEADER_SIZE_OVERFLOW, WS_ERROR_NOT_ENOUGH_MEMORY.
///
/// Any thread. Waits, up to WS_OPTION_HANDSHAKE_TIMEOUT. As WinHttpSendRequest, WinHttpReceiveResponse and
/// WinHttpWebSocketCompleteUpgrade in one. RFC 6455 §4.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_complete_upgrade(request: ws_handle, websocket: *mut ws_handle) -> ws_status {
    boundary::operation(request, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let websocket = unsafe { Out::new(websocket, "websocket")? };
        let entry = find(request)?;
        let (object, seat) = match &entry.object {
            Object::ClientRequest(request) if request.is_async() => {
                match request.begin_upgrade(entry.recipient(), handle::adopt_socket)? {
                    Answer::Done(socket) => (Object::LoopSocket(socket), None),
                    Answer::Pending => return Ok(Ended::Pending),
                }
            }
            Object::ClientRequest(request) => (Object::WebSocket(request.complete_upgrade()?), None),
            _ => {
                let request = entry.server_request()?;
                let object = if request.is_async() {
                    match request.begin_upgrade(entry.recipient(), handle::adopt_seated)? {
                        Answer::Done(socket) => Object::LoopSocket(socket),
                        Answer::Pending => return Ok(Ended::Pending),
                    }
                } else {
                    Object::WebSocket(request.complete_upgrade()?)
                };
                (object, request.take_along_seat())
            }
        };
        websocket.write(handle::insert_seated(object, entry.notify(), seat)?.number());
        Ok(Ended::Done)
    })
}

/// Does the I/O of the handshake, and leaves the decision to the program.
///
/// Client: connects, through the proxy if there is one, agrees on TLS for wss, sends the request and reads the head of the answer; whatever
/// its status, this is WS_OK. The addresses of a name are tried in the manner of happy eyeballs (RFC 8305). Challenges are answered if
/// ws_set_credentials was called, and redirects followed up to WS_OPTION_REDIRECTS, within the same WS_OPTION_HANDSHAKE_TIMEOUT;
/// Authorization, Cookie and Host that the program added, and its certificate, are not shown to another server. A proxy's 407 without
/// credentials is an answer like a server's: look at Proxy-Authenticate, add a header Proxy-Authorization, which only the proxy gets, and
/// call this again. Server: agrees on TLS and reads the head of the request, on the calling thread, so that a slow client never holds up
/// ws_accept; what chapter 7 says that the library
/// refuses by itself it answers here. Then look at headers and options, and call ws_complete_upgrade, now or later, from any
/// thread, or refuse with ws_respond or by closing.
///
/// @param request The request.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request;
///         WS_ERROR_INCORRECT_HANDLE_STATE: it was upgraded or answered already, or another thread is doing it;
///         WS_ERROR_UPGRADE_REFUSED: server, the library refused it and has told the peer why; the request is over;
///         WS_ERROR_INVALID_SERVER_RESPONSE: client, the peer does not speak HTTP/1.1;
///         WS_ERROR_PROXY: client, the proxy refused (but for 407), failed, or is none; WS_ERROR_LOGIN_FAILURE: client, a SOCKS5 proxy
///         did not accept the credentials, or wants some;
///         WS_ERROR_REDIRECT_FAILED: client, a redirect too many, to nowhere, or from wss to ws;
///         WS_ERROR_CERT_DATE_INVALID, WS_ERROR_CERT_NAME_INVALID, WS_ERROR_CERT_UNKNOWN_ISSUER, WS_ERROR_CERT_INVALID: the peer's
///         certificate; WS_ERROR_CERT_REVOKED: also a key that is not pinned; WS_ERROR_CLIENT_CERT_NEEDED: one is asked for;
///         WS_ERROR_TLS_CHANNEL: the peer breaks TLS, or does not speak it; WS_ERROR_TLS: anything else about TLS;
///         WS_ERROR_NAME_NOT_RESOLVED, WS_ERROR_CANNOT_CONNECT, WS_ERROR_CONNECTION, WS_ERROR_TIMEOUT, WS_ERROR_CANCELLED,
///         WS_ERROR_HEADER_COUNT_EXCEEDED, WS_ERROR_HEADER_SIZE_OVERFLOW, WS_ERROR_NOT_ENOUGH_MEMORY.
///
/// Any thread. Waits, up to WS_OPTION_HANDSHAKE_TIMEOUT. As WinHttpSendRequest and WinHttpReceiveResponse. RFC 6455 §4.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_handshake(request: ws_handle) -> ws_status {
    boundary::operation(request, || {
        let entry = find(request)?;
        match &entry.object {
            Object::ClientRequest(request) if request.is_async() => request.begin_handshake(entry.recipient()).map(Ended::from),
            Object::ClientRequest(request) => request.handshake().map(Ended::from),
            _ => {
                let request = entry.server_request()?;
                if request.is_async() {
                    request.begin_handshake(entry.recipient()).map(Ended::from)
                } else {
                    request.handshake().map(Ended::from)
                }
            }
        }
    })
}

/// Adds a header: of a client to the request, of a server to the answer (the 101, or ws_respond's).
///
/// @param request The request, or a protocol component. What is added after its handshake (client) or its answer (server) is not sent.
/// @param name    A token. The names that belong to the upgrade or to the connection are refused (Sec-WebSocket-*, Upgrade,
///                Connection, Content-Length and their kin); sub-protocols are set by WS_OPTION_SUBPROTOCOLS. A client may set
///                Host, once.
/// @param value   Any text without CR, LF and NUL; copied.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: name or value is NULL, or name is not UTF-8;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request;
///         WS_ERROR_INVALID_HEADER: a refused name, or a refused character.
///
/// Any thread. Does not wait. As WinHttpAddRequestHeaders.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_add_header(request: ws_handle, name: *const c_char, value: *const c_char) -> ws_status {
    boundary::operation(request, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let (name, value) = unsafe { (pointer::text(name, "name")?, pointer::c_bytes(value, "value")?) };
        let entry = find_with_head(request)?;
        match &entry.object {
            Object::ClientRequest(request) => request.add_header(name, value),
            Object::ProtocolComponent(component) => component.add_header(name, value),
            _ => entry.server_request()?.add_header(name, value),
        }
    })
}

/// Gives user name and password for an answer 401 (the server's) or 407 (the proxy's).
///
/// They are sent only after such an answer, within the same ws_handshake and over the same connection where it is kept alive, to the
/// server of the request's URL alone: a redirect to another one goes there without them. Give them for both schemes, by two calls, to
/// have the stronger one of those that are asked for. Digest is MD5 or SHA-256 with qop=auth. A SOCKS5 proxy gets them whatever
/// their scheme. The login in a proxy's URL is used where none was given.
///
/// @param request  A client's request.
/// @param target   0 the server, 1 the proxy.
/// @param scheme   1 Basic, 8 Digest: WinHTTP's numbers.
/// @param user     In UTF-8; copied. Replaces what was given for this target and scheme.
/// @param password In UTF-8; copied.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: a text is NULL or not UTF-8 or has control characters, a user name for Basic has a colon, or
///         target or scheme is unknown;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request of a client.
///
/// Any thread. Does not wait. As WinHttpSetCredentials. RFC 7617, RFC 7616.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_set_credentials(
    request: ws_handle,
    target: u32,
    scheme: u32,
    user: *const c_char,
    password: *const c_char,
) -> ws_status {
    boundary::operation(request, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let (user, password) = unsafe { (pointer::text(user, "user")?, pointer::text(password, "password")?) };
        let unknown = |what: &str, number: u32| Error::new(Status::InvalidParameter, format!("{what} {number} is unknown"));
        let of_proxy = match target {
            0 => false,
            1 => true,
            _ => return Err(unknown("target", target)),
        };
        let scheme = match scheme {
            1 => Scheme::Basic,
            8 => Scheme::Digest,
            _ => return Err(unknown("scheme", scheme)),
        };
        let (user, password) = (user.to_owned(), password.to_owned());
        let entry = find(request)?;
        let request = entry.client_request()?;
        request.set_credentials(of_proxy, Credentials { scheme, user, password })
    })
}

/// Asks for a header of the peer by its name: of the answer (client), of the request (server).
///
/// @param request The request, or a protocol component, after its handshake; it stays possible after the upgrade.
/// @param name    Compared without regard to case.
/// @param index   Which one of several with this name, from 0, in the order in which they came.
/// @param value   OUT: the value as it came, terminated. NULL if *length is 0.
/// @param length  IN: the room in value, in bytes. OUT: the length without the terminator; with
///                WS_ERROR_INSUFFICIENT_BUFFER the room that is needed, with the terminator.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: name or length is NULL, value is NULL with room, or name is not UTF-8;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request;
///         WS_ERROR_INCORRECT_HANDLE_STATE: before the handshake;
///         WS_ERROR_HEADER_NOT_FOUND: there are not that many; WS_ERROR_INSUFFICIENT_BUFFER.
///
/// Any thread. Does not wait. As WinHttpQueryHeaders.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_query_header(
    request: ws_handle,
    name: *const c_char,
    index: u32,
    value: *mut c_char,
    length: *mut usize,
) -> ws_status {
    boundary::query(|| {
        // SAFETY: the caller keeps the header's promise about pointers.
        let (name, value) = unsafe { (pointer::text(name, "name")?, OutBytes::new(value.cast(), length, "value")?) };
        let headers = peer_headers(&*find_with_head(request)?)?;
        match headers.get(name, index as usize) {
            Some(found) => value.write_text(found),
            None => Err(Error::new(Status::HeaderNotFound, format!("there is no header {name} with index {index}"))),
        }
    })
}

/// Enumerates the peer's headers, in the order in which they came.
///
/// @param request  The request, or a protocol component, after its handshake.
/// @param position From 0.
/// @param name     OUT: a terminated text of the library, valid until the request is closed.
/// @param value    OUT: likewise.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: name or value is NULL;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request;
///         WS_ERROR_INCORRECT_HANDLE_STATE: before the handshake;
///         WS_ERROR_HEADER_NOT_FOUND: position is the number of headers or more; WS_ERROR_NOT_ENOUGH_MEMORY.
///
/// Any thread. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_query_header_at(
    request: ws_handle,
    position: u32,
    name: *mut *const c_char,
    value: *mut *const c_char,
) -> ws_status {
    boundary::query(|| {
        // SAFETY: the caller keeps the header's promise about pointers.
        let (name, value) = unsafe { (Out::new(name, "name")?, Out::new(value, "value")?) };
        let entry = find_with_head(request)?;
        let headers = peer_headers(&entry)?;
        let Some((found_name, found_value)) = headers.at(position as usize) else {
            return Err(Error::new(Status::HeaderNotFound, format!("there is no header at position {position}")));
        };
        entry.keep_headers(&headers)?;
        name.write(found_name.as_ptr());
        value.write(found_value.as_ptr());
        Ok(())
    })
}

/// Asks for the HTTP status of the answer.
///
/// @param request     A client's request, or a client's protocol component, after its handshake.
/// @param http_status OUT: 101 for an upgrade, else why not: 401, 404, …
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: http_status is NULL;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request of a client;
///         WS_ERROR_INCORRECT_HANDLE_STATE: before the handshake.
///
/// Any thread. Does not wait. As WinHttpQueryHeaders(WINHTTP_QUERY_STATUS_CODE).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_query_response(request: ws_handle, http_status: *mut u16) -> ws_status {
    boundary::query(|| {
        // SAFETY: the caller keeps the header's promise about pointers.
        let http_status = unsafe { Out::new(http_status, "http_status")? };
        let entry = find_with_head(request)?;
        http_status.write(match &entry.object {
            Object::ProtocolComponent(component) => component.with(|component| component.http_status())?,
            _ => entry.client_request()?.response()?.0,
        });
        Ok(())
    })
}

/// Reads the body of the answer that refused an upgrade. It was read with the head, up to 64 KiB: this never waits.
///
/// @param request A client's request, after its handshake.
/// @param buffer  OUT: the next bytes.
/// @param length  The room in buffer, in bytes; not 0.
/// @param read    OUT: how many were written; 0 = the end.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: buffer or read is NULL, or length is 0;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request of a client;
///         WS_ERROR_INCORRECT_HANDLE_STATE: before the handshake.
///
/// Any thread. Does not wait. As WinHttpReadData.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_read_body(request: ws_handle, buffer: *mut c_void, length: usize, read: *mut usize) -> ws_status {
    boundary::operation(request, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let (buffer, read) = unsafe { (pointer::buffer(buffer, length, "buffer")?, Out::new(read, "read")?) };
        read.write(find(request)?.client_request()?.read_body(buffer)?);
        Ok(())
    })
}
