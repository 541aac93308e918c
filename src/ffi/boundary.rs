//! The border that every exported function is called through.
//!
//! In scope: no panic leaves the library (12004 instead), a `Result` becomes a status, and whoever asks later is told why: the
//! thread (`ws_last_error`) and the handle (`ws_query_error`). Out of scope: which checks come first (each function).
//!
//! Success costs a few instructions; everything about failures is out of line.

use std::any::Any;
use std::cell::Cell;
use std::ffi::c_char;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use log::Level;

use super::numbers::ws_status_numbers::{WS_OK, WS_PENDING};
use super::types::{ws_error_info, ws_handle, ws_status};
use crate::driver::event_loop::Answer;
use crate::error::{Details, Error, Phase, Result, Status};
use crate::handle::{self, Ticket};

/// What `catch_unwind` gives for a body.
type Outcome<A> = Result<Result<A>, Box<dyn Any + Send>>;

/// How a call has ended that has not failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It is done.
    Done,
    /// An event tells of its end.
    Pending,
}

impl From<Answer<()>> for Ended {
    fn from(answer: Answer<()>) -> Ended {
        match answer {
            Answer::Done(()) => Ended::Done,
            Answer::Pending => Ended::Pending,
        }
    }
}

impl From<()> for Ended {
    #[inline]
    fn from((): ()) -> Ended {
        Ended::Done
    }
}

/// Who is told about a failure.
#[derive(Clone, Copy)]
enum Witness {
    Nobody,
    Thread,
    ThreadAndHandle(ws_handle),
}

thread_local! {
    /// In place and without a destructor: to remember a failure takes no memory and works until the thread's last moment.
    static LAST_ERROR: Cell<ws_error_info> = const { Cell::new(NO_ERROR) };
}

const NO_ERROR: ws_error_info = ws_error_info {
    size: size_of::<ws_error_info>() as u32,
    status: WS_OK as ws_status,
    phase: Phase::None as i32,
    os_error: 0,
    http_status: 0,
    close_status: 0,
    retryable: 0,
    retry_after_ms: 0,
    reserved: 0,
    message: [0; 256],
};

/// An operation on a handle: a failure is remembered by the thread and by the handle.
#[inline]
pub fn operation<A: Into<Ended>>(handle: ws_handle, body: impl FnOnce() -> Result<A>) -> ws_status {
    run(Witness::ThreadAndHandle(handle), body)
}

/// A question, or a call without a handle: a failure is remembered by the thread alone. A program that asks for a length first, as
/// 122 invites it to, does not lose why its last operation failed.
#[inline]
pub fn query(body: impl FnOnce() -> Result<()>) -> ws_status {
    run(Witness::Thread, body)
}

/// A question about errors: it never changes the answer to the next one.
pub fn silent(body: impl FnOnce() -> Result<()>) -> ws_status {
    run(Witness::Nobody, body)
}

/// A way to do something that may not be the right one: false if it was not, and nothing has happened.
#[inline]
pub fn is_done(body: impl FnOnce() -> bool) -> bool {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(false)
}

#[inline]
fn run<A: Into<Ended>>(witness: Witness, body: impl FnOnce() -> Result<A>) -> ws_status {
    // Nothing that a panic could leave half done is seen again: every lock in the library is recovered or protects whole values.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(ended)) => match ended.into() {
            Ended::Done => WS_OK as ws_status,
            Ended::Pending => WS_PENDING as ws_status,
        },
        Ok(Err(error)) => failed(witness, Ok(Err(error))),
        Err(panic) => failed(witness, Err(panic)),
    }
}

#[cold]
#[inline(never)]
fn failed(witness: Witness, outcome: Outcome<()>) -> ws_status {
    let error = match outcome {
        Ok(Ok(())) => return WS_OK as ws_status,
        Ok(Err(error)) => error,
        Err(panic) => panicked(panic),
    };
    let status = error.status().code();
    tell(witness, &error);
    if !matches!(witness, Witness::Nobody) {
        LAST_ERROR.set(describe(&error));
    }
    if let Witness::ThreadAndHandle(handle) = witness {
        // A handle that is not open, or was closed by another thread during the call, has nobody left to ask.
        if let Ok(entry) = handle::find(Ticket::from_number(handle)) {
            entry.set_last_error(error);
        }
    }
    status
}

/// Writes a failure to the log.
fn tell(witness: Witness, error: &Error) {
    let level = match (witness, error.status()) {
        (_, Status::Internal) => Level::Error,
        (
            Witness::ThreadAndHandle(_),
            Status::Connection
            | Status::PeerLost
            | Status::ProtocolViolation
            | Status::InvalidPayload
            | Status::MessageTooBig
            | Status::InvalidServerResponse
            | Status::HeaderCountExceeded
            | Status::HeaderSizeOverflow,
        ) => Level::Warn,
        (Witness::ThreadAndHandle(_), _) => Level::Debug,
        (Witness::Thread | Witness::Nobody, _) => Level::Trace,
    };
    let status = error.status().code();
    match witness {
        Witness::ThreadAndHandle(handle) => log::log!(level, "handle {handle:#x}: {status}: {error}"),
        Witness::Thread | Witness::Nobody => log::log!(level, "{status}: {error}"),
    }
}

fn panicked(panic: Box<dyn Any + Send>) -> Error {
    let reason = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(reason), _) => *reason,
        (None, Some(reason)) => reason,
        (None, None) => "of unknown kind",
    };
    let error = Error::new(Status::Internal, format!("the library panicked, please report it: {reason}"));
    // A panic's payload may panic again when it is dropped.
    mem::forget(panic);
    error
}

/// This thread's last failure; status 0 if there was none.
pub fn last_error() -> ws_error_info {
    LAST_ERROR.get()
}

/// A failure as the C program sees it; none is status 0 and an empty message.
pub fn describe_option(error: Option<&Error>) -> ws_error_info {
    error.map_or(NO_ERROR, describe)
}

/// A failure as the C program sees it.
pub fn describe(error: &Error) -> ws_error_info {
    let details: &Details = error.details();
    ws_error_info {
        status: details.status.code(),
        phase: details.phase as i32,
        os_error: details.os_error,
        http_status: details.http_status,
        close_status: details.close_status,
        retryable: details.is_retryable.into(),
        retry_after_ms: details.retry_after_ms,
        message: message(&details.message),
        ..NO_ERROR
    }
}

/// The sentence, cut at a character if it is long, and always terminated.
fn message(text: &str) -> [c_char; 256] {
    let mut message = [0; 256];
    let mut end = text.len().min(message.len() - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    for (to, &from) in message.iter_mut().zip(&text.as_bytes()[..end]) {
        // An offending value may contain NUL; the reader in C would take it for the end.
        *to = if from == 0 { b'?' } else { from } as c_char;
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::{Notify, Object};
    use crate::session::Session;

    fn text(info: &ws_error_info) -> String {
        let bytes = info.message.iter().take_while(|&&byte| byte != 0).map(|&byte| byte as u8).collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_panic_is_12004_with_its_reason() {
        let value: Option<u32> = None;
        assert_eq!(query(|| panic!("the answer is {:?}", value)), 12004);
        assert_eq!(text(&last_error()), "the library panicked, please report it: the answer is None");
        assert_eq!(query(|| std::panic::panic_any(7)), 12004);
        assert_eq!(text(&last_error()), "the library panicked, please report it: of unknown kind");
    }

    #[test]
    fn success_does_not_clear_the_last_error() {
        assert_eq!(query(|| Err(Error::new(Status::Timeout, "too late").in_phase(Phase::Connect))), 12002);
        assert_eq!(query(|| Ok(())), 0);
        assert_eq!(silent(|| Err(Error::new(Status::InvalidParameter, "info is NULL"))), 87);
        let info = last_error();
        assert_eq!((info.status, info.phase, info.retryable, text(&info).as_str()), (12002, 2, 1, "too late"));
    }

    #[test]
    fn a_thread_does_not_see_the_errors_of_another() {
        query(|| Err(Error::new(Status::Timeout, "mine")));
        let theirs = std::thread::spawn(|| last_error().status).join().unwrap();
        assert_eq!(theirs, 0);
    }

    #[test]
    fn an_operation_tells_the_handle_and_a_query_does_not() {
        let ticket = handle::insert(Object::Session(Session::open(None, false)), Notify::default()).unwrap();
        operation(ticket.number(), || Err::<(), _>(Error::new(Status::Connection, "lost")));
        query(|| Err(Error::new(Status::InsufficientBuffer, "9 bytes are needed")));
        assert_eq!(handle::find(ticket).unwrap().last_error().unwrap().to_string(), "lost");
        assert_eq!(text(&last_error()), "9 bytes are needed");
        handle::close(ticket).unwrap();
        assert_eq!(operation(ticket.number(), || Err::<(), _>(Error::new(Status::InvalidHandle, "closed"))), 6);
    }

    #[test]
    fn a_long_message_is_cut_at_a_character_and_nul_is_shown() {
        let long = "é".repeat(200);
        query(|| Err(Error::new(Status::Timeout, long.clone())));
        assert_eq!(text(&last_error()), "é".repeat(127));
        query(|| Err(Error::new(Status::Timeout, "a\0b")));
        assert_eq!(text(&last_error()), "a?b");
    }
}
