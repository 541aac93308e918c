//! Sessions, and the client's requests that are made from them.

use std::ffi::c_char;

use super::descriptor::Given;
use super::numbers::{WS_FLAG_ASYNC, WS_FLAG_NO_THREADS};
use super::pointer::{self, Out};
use super::types::{ws_handle, ws_status};
use super::{boundary, event_loop};
use crate::client::Request;
use crate::driver::event_loop::Loops;
use crate::error::{Error, Status};
use crate::handle::{self, Kind, Notify, Object, Ticket};
use crate::server;
use crate::session::Session;

/// Opens a session: the options that its requests and listeners begin with. No I/O.
///
/// Close it with ws_close_handle when nothing more will be made from it; what was made lives on.
///
/// @param user_agent The User-Agent of clients and the Server of listeners, in UTF-8; copied. NULL = none is sent.
/// @param flags      0, WS_FLAG_NO_THREADS or WS_FLAG_ASYNC (chapter 9).
/// @param session    OUT: the session; close it with ws_close_handle.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: session is NULL, a flag is unknown, user_agent is not UTF-8 or has control characters;
///         WS_ERROR_NOT_ENOUGH_MEMORY.
///
/// Any thread. Does not wait. As WinHttpOpen.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_open(user_agent: *const c_char, flags: u32, session: *mut ws_handle) -> ws_status {
    boundary::query(|| {
        // SAFETY: the caller keeps the header's promise about pointers.
        let (session, user_agent) = unsafe { (Out::new(session, "session")?, pointer::optional_text(user_agent, "user_agent")?) };
        if flags & !(WS_FLAG_ASYNC | WS_FLAG_NO_THREADS) != 0 {
            return Err(Error::new(Status::InvalidParameter, format!("flags {flags:#x} has an unknown bit")));
        }
        // It becomes a header field: a line end in it would be a way to smuggle another one in.
        if user_agent.is_some_and(|text| text.chars().any(char::is_control)) {
            return Err(Error::new(Status::InvalidParameter, "user_agent has a control character"));
        }
        let no_threads = flags & WS_FLAG_NO_THREADS != 0;
        let object = Object::Session(if flags & WS_FLAG_ASYNC != 0 {
            Session::open_async(user_agent, no_threads, Loops::new(event_loop::callbacks, !no_threads))
        } else {
            Session::open(user_agent, no_threads)
        });
        session.write(handle::insert(object, Notify::default())?.number());
        Ok(())
    })
}

/// Makes a request for one WebSocket. No I/O yet: it inherits the session's options and waits for headers, options, and
/// ws_complete_upgrade.
///
/// @param session The session.
/// @param url     "ws://host:port/path?query" or "wss://…", in UTF-8; copied. Only the host is needed; an IPv6 address is in
///                brackets; the default ports are 80 and 443. User names and fragments are refused. "ws+unix:/path/to.sock:/target"
///                is a socket of this machine; what is no letter of a URL in its path, and a colon, is percent-encoded.
/// @param request OUT: the request; close it with ws_close_handle, at the earliest after ws_complete_upgrade.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: url or request is NULL, or url is not UTF-8;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: session is not an open session;
///         WS_ERROR_INVALID_URL; WS_ERROR_UNRECOGNIZED_SCHEME; WS_ERROR_NOT_SUPPORTED: wss in a build without TLS;
///         WS_ERROR_NOT_ENOUGH_MEMORY.
///
/// Any thread. Does not wait. As WinHttpConnect and WinHttpOpenRequest in one. RFC 6455 §3.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_connect(session: ws_handle, url: *const c_char, request: *mut ws_handle) -> ws_status {
    boundary::operation(session, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let (url, request) = unsafe { (pointer::text(url, "url")?, Out::new(request, "request")?) };
        let entry = handle::find_kind(Ticket::from_number(session), Kind::Session)?;
        let made = Request::connect(entry.session()?, url)?;
        request.write(handle::insert(Object::ClientRequest(made), entry.notify())?.number());
        Ok(())
    })
}

/// Makes a request that speaks over a stream socket which is connected already: one of a proxy or a tunnel, or of a socket pair.
///
/// There is one attempt over it: after a handshake that failed, was refused or was cancelled, the request cannot make another.
///
/// @param session    The session.
/// @param descriptor A connected stream socket, TCP or Unix; the library owns it from WS_OK on, makes it close-on-exec and closes it. Its
///                   number may be used again at once.
/// @param url        As for ws_connect; it gives the Host header and the path, nothing is resolved. wss: TLS is spoken over it.
/// @param request    OUT: the request, as of ws_connect. Addresses of a Unix socket are empty texts.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: url or request is NULL, url is not UTF-8, or descriptor is not as above;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: session is not an open session;
///         WS_ERROR_INVALID_URL; WS_ERROR_UNRECOGNIZED_SCHEME; WS_ERROR_NOT_SUPPORTED: as for ws_connect;
///         WS_ERROR_CONNECTION: the system refuses to use the socket; WS_ERROR_NOT_ENOUGH_MEMORY.
///
/// Any thread. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_connect_descriptor(
    session: ws_handle,
    descriptor: i64,
    url: *const c_char,
    request: *mut ws_handle,
) -> ws_status {
    boundary::operation(session, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let (url, request) = unsafe { (pointer::text(url, "url")?, Out::new(request, "request")?) };
        let given = Given::new(descriptor)?;
        let entry = handle::find_kind(Ticket::from_number(session), Kind::Session)?;
        let session = entry.session()?;
        let made = Request::over_stream(session, url, given.share(session.options().nodelay)?)?;
        let ticket = handle::insert(Object::ClientRequest(made), entry.notify())?;
        given.take();
        request.write(ticket.number());
        Ok(())
    })
}

/// Makes a server's request of a stream socket which was accepted already. No path is refused, and no limit of a listener counts it.
///
/// @param session    The session.
/// @param descriptor As for ws_connect_descriptor. WS_OPTION_HANDSHAKE_TIMEOUT runs from this call on. If the session has a
///                   WS_OPTION_TLS_CERTIFICATE, the client is to speak TLS: there is no URL that could say so.
/// @param request    OUT: the request, as of ws_accept. Addresses of a Unix socket are empty texts.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: request is NULL, or descriptor is not as for ws_connect_descriptor;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: session is not an open session;
///         WS_ERROR_CERT_INVALID: as for ws_listen;
///         WS_ERROR_CONNECTION: the system refuses to use the socket; WS_ERROR_NOT_ENOUGH_MEMORY.
///
/// Any thread. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_accept_descriptor(session: ws_handle, descriptor: i64, request: *mut ws_handle) -> ws_status {
    boundary::operation(session, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let request = unsafe { Out::new(request, "request")? };
        let given = Given::new(descriptor)?;
        let entry = handle::find_kind(Ticket::from_number(session), Kind::Session)?;
        let session = entry.session()?;
        let made = server::Request::of_stream(session, given.share(session.options().nodelay)?)?;
        let ticket = handle::insert(Object::ServerRequest(made), entry.notify())?;
        given.take();
        request.write(ticket.number());
        Ok(())
    })
}
