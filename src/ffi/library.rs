//! The library itself, errors, and what every kind of handle has.

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::time::Duration;

use super::numbers::ws_operation_numbers as operations;
use super::numbers::ws_operation_numbers::*;
use super::numbers::{WS_VERSION_MAJOR, WS_VERSION_MINOR, WS_VERSION_PATCH, WS_WAIT_FOREVER};
use super::pointer::{self, OutStruct};
use super::types::{ws_callback, ws_error_info, ws_handle, ws_log_callback, ws_operation, ws_status};
use super::{boundary, log_hook};
use crate::connection::Operation;
use crate::driver::blocking::{self, Task};
use crate::driver::event_loop::{self, EventKind, Socket};
use crate::driver::{caretaker, clock};
use crate::error::{Error, Status};
use crate::handle::{self, Notify, Object, Ticket};

/// Tells the version of the library: major << 16 | minor << 8 | patch. Compare it with WS_VERSION of this header.
///
/// @return The version.
///
/// Any thread. Does not wait. Cannot fail.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_version() -> u32 {
    WS_VERSION_MAJOR << 16 | WS_VERSION_MINOR << 8 | WS_VERSION_PATCH
}

/// Tells what a status means, in one short sentence. What happened in particular is told by ws_last_error.
///
/// @param status Any number.
///
/// @return A static text in UTF-8, never NULL; "unknown status" for a number that is none.
///
/// Any thread. Does not wait. Cannot fail.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_status_string(status: ws_status) -> *const c_char {
    let text = match status {
        0 => c"done",
        code => Status::from_code(code).map_or(c"unknown status", Status::text_c),
    };
    text.as_ptr()
}

/// Tells why the last call that failed on this thread did so. Success does not clear it.
///
/// @param info OUT: the failure; set info->size before. status is WS_OK if nothing has failed on this thread.
///
/// @return WS_OK; WS_ERROR_INVALID_PARAMETER: info is NULL, or its size is not that of any version.
///
/// Any thread. Does not wait. As GetLastError, with the reason.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_last_error(info: *mut ws_error_info) -> ws_status {
    boundary::silent(|| {
        // SAFETY: the caller keeps the header's promise about pointers; ws_error_info has no padding.
        let info = unsafe { OutStruct::new(info, SMALLEST_ERROR_INFO, "info")? };
        info.write(boundary::last_error());
        Ok(())
    })
}

/// Tells why the last operation on a handle that failed did so, whoever noticed: another thread, or the library by itself.
///
/// A connection that has failed keeps its reason. Questions (ws_query_…) and cancels that fail are not remembered here.
///
/// @param any  A handle of any kind.
/// @param info OUT: the failure; set info->size before. status is WS_OK if nothing has failed on this handle.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: info is NULL, or its size is not that of any version;
///         WS_ERROR_INVALID_HANDLE. Neither changes what ws_last_error tells.
///
/// Any thread. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_query_error(any: ws_handle, info: *mut ws_error_info) -> ws_status {
    boundary::silent(|| {
        // SAFETY: the caller keeps the header's promise about pointers; ws_error_info has no padding.
        let info = unsafe { OutStruct::new(info, SMALLEST_ERROR_INFO, "info")? };
        let entry = handle::find(Ticket::from_number(any))?;
        info.write(boundary::describe_option(entry.last_error().as_ref()));
        Ok(())
    })
}

/// The size of the first version.
const SMALLEST_ERROR_INFO: usize = size_of::<ws_error_info>();

/// Sends the library's log to a callback. It is off by default and costs nothing then.
///
/// 1 errors: defects of the library. 2 warnings: connections that were lost, and peers that broke the protocol. 3 information: handshakes
/// with their outcome, refusals with their reason. 4 debugging: attempts to connect, the heads of requests and answers, close frames with
/// their status, timeouts and cancels. 5 everything: questions that failed too. A level has those below it. Heads are logged line by line
/// (">" sent, "<" received), with "..." for the query of a URL and for every value that may be secret: those of Authorization, Cookie and
/// their kin, and of all headers that the library does not know. The sentence of a refusal may show what was wrong in a header of the
/// upgrade. Payloads and credentials are never logged.
///
/// @param level    0 nothing, 1 errors, 2 warnings, 3 information, 4 debugging, 5 everything.
/// @param callback Called on the thread that has something to say, under no lock of the library; several threads may call at once. It may
///                 call the library, which logs nothing meanwhile. The line lives until it returns. It must not throw or longjmp.
///                 NULL = the log is off.
/// @param context  Given to the callback; never followed.
///
/// @return WS_OK; WS_ERROR_INVALID_PARAMETER: there is no such level;
///         WS_ERROR_NOT_SUPPORTED: in a program in Rust that has set a logger of its own, which gets these lines then.
///
/// Any thread. Does not wait; a call of the former callback may still be under way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_set_log(level: i32, callback: ws_log_callback, context: *mut c_void) -> ws_status {
    boundary::query(|| log_hook::set(level, callback, context))
}

/// Ends the library's own threads, before a program unloads it or ends.
///
/// They are the one that looks after connections on which nobody waits, and those that look host names up. Call it when no thread
/// is in a call of the library; handles may be open, but their connections are not looked after any more. Called again, it has nothing to
/// do. The library goes on working: what is opened later starts threads again.
///
/// @param timeout_ms How long to wait for them, in milliseconds; WS_WAIT_FOREVER = without limit.
///
/// @return WS_OK: there are no threads of the library;
///         WS_ERROR_TIMEOUT: one has not ended in time: a look-up ends when the system's resolver gives up. Call it again.
///
/// Any thread but the library's own. Waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_cleanup(timeout_ms: u32) -> ws_status {
    boundary::query(|| {
        if event_loop::is_in_callback() {
            return Err(Error::new(
                Status::InvalidOperation,
                "ws_cleanup was called from a callback, which runs on a thread that it would end",
            ));
        }
        let timeout = if timeout_ms == WS_WAIT_FOREVER { Duration::MAX } else { Duration::from_millis(timeout_ms.into()) };
        let start = clock::now();
        let late = |what| Err(Error::new(Status::Timeout, format!("{what} has not ended within {timeout_ms} ms")));
        if !caretaker::end(timeout) {
            return late("the thread that looks after connections");
        }
        if !event_loop::end_threads(timeout.saturating_sub(clock::now() - start)) {
            return late("a thread that drives an event loop");
        }
        if !blocking::end_look_ups(timeout.saturating_sub(clock::now() - start)) {
            return late("a look-up of a host name");
        }
        Ok(())
    })
}

/// Says whom to tell about events of a handle, and sets its WS_OPTION_CONTEXT. What is made from the handle later inherits both.
///
/// Events are for asynchronous sessions (chapter 9); on a blocking one the callback is stored, and never called.
///
/// @param any      A handle of any kind.
/// @param callback NULL = nobody. It must not throw or longjmp.
/// @param context  The program's own pointer; never followed.
///
/// @return WS_OK; WS_ERROR_INVALID_HANDLE.
///
/// Any thread. Does not wait; a call of the former callback may still be under way. As WinHttpSetStatusCallback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_set_callback(any: ws_handle, callback: ws_callback, context: *mut c_void) -> ws_status {
    boundary::operation(any, || {
        let entry = handle::find(Ticket::from_number(any))?;
        entry.set_notify(Notify { callback: pointer::hide_callback(callback), context: context as usize });
        Ok(())
    })
}

/// Ends the waits of other threads on a handle: their calls return WS_ERROR_CANCELLED, and what they waited on lives on.
///
/// A receive, a handshake of a server and an accept lose nothing: the next call goes on. A send of which no byte has left sends
/// nothing; the rest of any other is sent later by the library, and that send returns WS_OK, or, if WS_OPTION_SEND_QUEUE_LIMIT has no room
/// for it, the connection is over. A ws_close that is cancelled drops the connection. A client's handshake is given up; the next one begins
/// anew.
///
/// @param any       The handle that is waited on: a websocket (WS_OPERATION_RECEIVE, _SEND, _CLOSE, _SHUTDOWN), a request (_HANDSHAKE,
///                  _UPGRADE, _RESPOND) or a listener (_ACCEPT). A websocket's ws_close and ws_shutdown are cancelled together.
/// @param operation What to end, by the function that was called: a ws_complete_upgrade that does the handshake is an _UPGRADE.
///                  WS_OPERATION_ALL = whatever waits.
///
/// @return WS_OK: a thread was in such a call, or (_SEND) the library itself had something to send. A call that was about to end by
///         itself may still do so;
///         WS_ERROR_INVALID_PARAMETER: there is no such operation;
///         WS_ERROR_INVALID_HANDLE; WS_ERROR_INCORRECT_HANDLE_TYPE: a session or a protocol component, on which nothing waits;
///         WS_ERROR_INVALID_OPERATION: nothing was waiting, or this kind of handle has no such operation.
///
/// Any thread. Does not wait: a waiting call returns within some 20 ms. Not sticky: the next call waits again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_cancel(any: ws_handle, operation: ws_operation) -> ws_status {
    boundary::query(|| {
        let Some((_, of_websocket, tasks)) = MEANINGS.iter().find(|(number, ..)| *number as ws_operation == operation) else {
            return Err(Error::new(Status::InvalidParameter, format!("operation {operation} is unknown")));
        };
        let entry = handle::find(Ticket::from_number(any))?;
        let found = match &entry.object {
            Object::WebSocket(connection) => of_websocket.iter().fold(false, |found, &one| connection.cancel(one) | found),
            Object::LoopSocket(socket) => cancel_on_loop(socket, operation),
            Object::ClientRequest(request) => request.cancel(tasks),
            Object::ServerRequest(request) => request.cancel(tasks),
            Object::Listener(listener) => listener.cancel(tasks) | (drains(operation) && listener.cancel_drain()),
            Object::Session(_) | Object::Loop(_) | Object::PreparedMessage(_) | Object::ProtocolComponent(_) => {
                return Err(Error::new(Status::IncorrectHandleType, "nothing that can be cancelled waits on such a handle"));
            }
        };
        if found { Ok(()) } else { Err(Error::new(Status::InvalidOperation, format!("nothing to cancel: no operation {operation} waits"))) }
    })
}

fn drains(operation: ws_operation) -> bool {
    operation == WS_OPERATION_DRAIN as ws_operation || operation == WS_OPERATION_ALL as ws_operation
}

/// What was accepted for sending is sent, so that nothing of a send can be cancelled.
fn cancel_on_loop(socket: &Arc<Socket>, operation: ws_operation) -> bool {
    let reason = || Error::new(Status::Cancelled, "the operation was cancelled");
    let is = |one: operations| operation == one as ws_operation || operation == WS_OPERATION_ALL as ws_operation;
    let receive = is(WS_OPERATION_RECEIVE) && socket.cancel_receive(reason());
    let close = is(WS_OPERATION_CLOSE) && socket.cancel_close(&[EventKind::CloseComplete], reason());
    let shutdown = is(WS_OPERATION_SHUTDOWN) && socket.cancel_close(&[EventKind::ShutdownComplete], reason());
    receive | close | shutdown
}

/// What an operation of the C API is on a websocket, and what on a request or a listener.
static MEANINGS: &[(operations, &[Operation], &[Task])] = &[
    (WS_OPERATION_SEND, &[Operation::Send], &[]),
    (WS_OPERATION_RECEIVE, &[Operation::Receive], &[]),
    (WS_OPERATION_CLOSE, &[Operation::Close], &[]),
    (WS_OPERATION_SHUTDOWN, &[Operation::Close], &[]),
    (WS_OPERATION_HANDSHAKE, &[], &[Task::Handshake]),
    (WS_OPERATION_UPGRADE, &[], &[Task::Upgrade]),
    (WS_OPERATION_ACCEPT, &[], &[Task::Accept]),
    (WS_OPERATION_RESPOND, &[], &[Task::Respond]),
    (WS_OPERATION_DRAIN, &[], &[]),
    (WS_OPERATION_ALL, &[Operation::Receive, Operation::Send, Operation::Close], &Task::ALL),
];

/// Closes a handle of any kind. Its number is invalid at once, and every call that waits on it returns WS_ERROR_CANCELLED.
///
/// A websocket's connection is dropped without a close frame: call ws_close before. A listener stops listening. A session, a
/// listener or a request may be closed while a websocket made from it lives on.
///
/// @param any The handle; WS_NO_HANDLE is an error, as in WinHTTP.
///
/// @return WS_OK; WS_ERROR_INVALID_HANDLE: it was closed already, or never was one.
///
/// Any thread, also while other threads are in calls on it: exactly one of several closers gets WS_OK. Does not wait.
/// As WinHttpCloseHandle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_close_handle(any: ws_handle) -> ws_status {
    boundary::query(|| handle::close(Ticket::from_number(any)))
}
