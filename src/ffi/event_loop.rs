//! Event loops. None can be made yet, so that every function but the first finds no loop.

use std::ffi::c_void;

use super::pointer::{self, Out};
use super::types::{ws_event, ws_handle, ws_status};
use super::{boundary, not_built};
use crate::error::{Error, Result, Status};
use crate::handle::{self, Kind, Ticket};

fn find(r#loop: ws_handle, what: &str) -> Result<()> {
    handle::find_kind(Ticket::from_number(r#loop), Kind::Loop)?;
    Err(not_built(what))
}

/// Not built yet: answers WS_ERROR_NOT_SUPPORTED. Makes a loop, for the WS_OPTION_LOOP of asynchronous sessions.
///
/// @param flags 0.
/// @param loop  OUT: the loop; closing it makes the driving call return WS_ERROR_CANCELLED.
///
/// @return WS_ERROR_NOT_SUPPORTED; WS_ERROR_INVALID_PARAMETER: loop is NULL, or flags is not 0.
///
/// Any thread. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_loop_create(flags: u32, r#loop: *mut ws_handle) -> ws_status {
    boundary::query(|| {
        // SAFETY: the caller keeps the header's promise about pointers.
        unsafe { Out::new(r#loop, "loop")? };
        if flags != 0 {
            return Err(Error::new(Status::InvalidParameter, format!("flags {flags:#x} has an unknown bit")));
        }
        Err(not_built("ws_loop_create"))
    })
}

/// Not built yet: no loop can be made. Drives a loop and delivers its events by callback, until ws_loop_stop.
///
/// @param loop The loop.
///
/// @return WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: loop is not an open loop.
///
/// One driving thread at a time. Waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_loop_run(r#loop: ws_handle) -> ws_status {
    boundary::operation(r#loop, || find(r#loop, "ws_loop_run"))
}

/// Not built yet: no loop can be made. Makes ws_loop_run return.
///
/// @param loop The loop.
///
/// @return WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: loop is not an open loop.
///
/// Any thread. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_loop_stop(r#loop: ws_handle) -> ws_status {
    boundary::operation(r#loop, || find(r#loop, "ws_loop_stop"))
}

/// Not built yet: no loop can be made. Drives a loop once and returns its events as a batch: no callback is called.
///
/// @param loop       The loop.
/// @param events     OUT: the events; what they point to is valid until the next call on this loop.
/// @param capacity   How many events fit; not 0.
/// @param count      OUT: how many there are; 0 at the timeout.
/// @param timeout_ms How long to wait for the first, in milliseconds; 0 = not at all, WS_WAIT_FOREVER = without limit.
///
/// @return WS_ERROR_INVALID_PARAMETER: events or count is NULL, or capacity is 0;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: loop is not an open loop.
///
/// One driving thread at a time. Waits. As GetQueuedCompletionStatusEx.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_loop_wait(
    r#loop: ws_handle,
    events: *mut ws_event,
    capacity: usize,
    count: *mut usize,
    timeout_ms: u32,
) -> ws_status {
    boundary::operation(r#loop, || {
        let _arguments = timeout_ms;
        // SAFETY: the caller keeps the header's promise about pointers.
        unsafe {
            pointer::buffer(events.cast::<c_void>(), capacity.saturating_mul(size_of::<ws_event>()), "events")?;
            Out::new(count, "count")?;
        }
        find(r#loop, "ws_loop_wait")
    })
}

/// Not built yet: no loop can be made. Wakes the driving thread with WS_EVENT_WOKEN.
///
/// @param loop The loop.
///
/// @return WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: loop is not an open loop.
///
/// Any thread. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_loop_wake(r#loop: ws_handle) -> ws_status {
    boundary::operation(r#loop, || find(r#loop, "ws_loop_wake"))
}

/// Not built yet: no loop can be made. Gives the epoll or kqueue descriptor of a loop, to wait on it in another loop.
///
/// @param loop       The loop; it stays the owner.
/// @param descriptor OUT: readable when ws_loop_wait has something to do.
///
/// @return WS_ERROR_INVALID_PARAMETER: descriptor is NULL;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: loop is not an open loop.
///
/// Any thread. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_loop_descriptor(r#loop: ws_handle, descriptor: *mut i64) -> ws_status {
    boundary::operation(r#loop, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        unsafe { Out::new(descriptor, "descriptor")? };
        find(r#loop, "ws_loop_descriptor")
    })
}

/// Not built yet: no loop can be made. Tells how long an outer loop may sleep before it must call ws_loop_wait.
///
/// @param loop       The loop.
/// @param timeout_ms OUT: in milliseconds; 0 = call now, WS_WAIT_FOREVER = only when the descriptor is readable.
///
/// @return WS_ERROR_INVALID_PARAMETER: timeout_ms is NULL;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: loop is not an open loop.
///
/// The thread that drives the loop. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_loop_timeout(r#loop: ws_handle, timeout_ms: *mut u32) -> ws_status {
    boundary::operation(r#loop, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        unsafe { Out::new(timeout_ms, "timeout_ms")? };
        find(r#loop, "ws_loop_timeout")
    })
}
