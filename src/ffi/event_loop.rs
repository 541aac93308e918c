//! Event loops.

use std::sync::Arc;
use std::time::Duration;

use super::boundary;
use super::events::{Batch, Callbacks};
use super::numbers::WS_WAIT_FOREVER;
use super::pointer::{EventRoom, Out};
use super::types::{ws_event, ws_handle, ws_status};
use crate::driver::event_loop::{self, Delivery, Shared};
use crate::error::{Error, Result, Status};
use crate::handle::{self, Entry, Kind, Notify, Object, Ticket};

fn find(r#loop: ws_handle) -> Result<Arc<Entry>> {
    handle::find_kind(Ticket::from_number(r#loop), Kind::Loop)
}

/// What the library's own threads deliver with.
pub(super) fn callbacks() -> Box<dyn Delivery> {
    Box::new(Callbacks)
}

fn not_from_a_callback(what: &str) -> Result<()> {
    if event_loop::is_in_callback() {
        return Err(Error::new(Status::InvalidOperation, format!("{what} was called from a callback")));
    }
    Ok(())
}

/// Makes a loop, for the WS_OPTION_LOOP of asynchronous sessions. Nothing happens on it until somebody drives it: ws_loop_run or ws_loop_wait.
///
/// Closing it makes the driving call return WS_ERROR_CANCELLED and cuts every connection on it; what was pending there counts as cancelled, and
/// no event tells of it. So close the handles first, and wait for their WS_EVENT_HANDLE_CLOSED.
///
/// @param flags 0.
/// @param loop  OUT: the loop; close it with ws_close_handle.
///
/// @return WS_OK; WS_ERROR_INVALID_PARAMETER: loop is NULL, or flags is not 0;
///         WS_ERROR_NOT_ENOUGH_MEMORY: the system has no descriptor left for it.
///
/// Any thread. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_loop_create(flags: u32, r#loop: *mut ws_handle) -> ws_status {
    boundary::query(|| {
        // SAFETY: the caller keeps the header's promise about pointers.
        let r#loop = unsafe { Out::new(r#loop, "loop")? };
        if flags != 0 {
            return Err(Error::new(Status::InvalidParameter, format!("flags {flags:#x} has an unknown bit")));
        }
        r#loop.write(handle::insert(Object::Loop(Shared::create()?), Notify::default())?.number());
        Ok(())
    })
}

/// Drives a loop and delivers its events by callback, until ws_loop_stop. An event for a handle without a callback is dropped.
///
/// Callbacks come one after the other, on the calling thread, under no lock. A callback may call anything but ws_loop_run, ws_loop_wait and
/// ws_cleanup; what it sends over the connection of its event is gathered and leaves together when it is done.
///
/// @param loop The loop.
///
/// @return WS_OK: ws_loop_stop was called; WS_ERROR_CANCELLED: the loop was closed;
///         WS_ERROR_INVALID_OPERATION: another call drives it, or this is a callback;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: loop is not an open loop.
///
/// One driving thread at a time. Waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_loop_run(r#loop: ws_handle) -> ws_status {
    boundary::operation(r#loop, || {
        let entry = find(r#loop)?;
        not_from_a_callback("ws_loop_run")?;
        entry.event_loop()?.run(&mut Callbacks)
    })
}

/// Makes ws_loop_run return, or the next one if none is under way.
///
/// @param loop The loop.
///
/// @return WS_OK; WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: loop is not an open loop.
///
/// Any thread. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_loop_stop(r#loop: ws_handle) -> ws_status {
    boundary::operation(r#loop, || {
        find(r#loop)?.event_loop()?.stop();
        Ok(())
    })
}

/// Drives a loop until it has events, and returns them as a batch: no callback is called, and no thread but the calling one is involved.
///
/// What the program sends over a connection of the batch is gathered and leaves with the next call. Events come in order for each handle. A handle
/// that the program closes may still have events in the same batch.
///
/// @param loop       The loop.
/// @param events     OUT: the events; what they point to is valid until the next call on this loop.
/// @param capacity   How many events fit; not 0.
/// @param count      OUT: how many there are; 0 at the timeout.
/// @param timeout_ms How long to wait for the first, in milliseconds; 0 = not at all, WS_WAIT_FOREVER = without limit.
///
/// @return WS_OK; WS_ERROR_INVALID_PARAMETER: events or count is NULL, or capacity is 0; WS_ERROR_CANCELLED: the loop was closed;
///         WS_ERROR_INVALID_OPERATION: another call drives it, or this is a callback;
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
        // SAFETY: the caller keeps the header's promise about pointers.
        let (room, count) = unsafe { (EventRoom::new(events, capacity, "events")?, Out::new(count, "count")?) };
        let entry = find(r#loop)?;
        not_from_a_callback("ws_loop_wait")?;
        let timeout = (timeout_ms != WS_WAIT_FOREVER).then(|| Duration::from_millis(timeout_ms.into()));
        let shared = entry.event_loop()?;
        let mut batch = Batch::new(room);
        let waited = shared.wait(&mut batch, timeout);
        let (filled, infos) = batch.end();
        if !infos.is_empty() {
            shared.keep(Box::new(infos));
        }
        waited?;
        count.write(filled);
        Ok(())
    })
}

/// Wakes the driving thread with WS_EVENT_WOKEN; several calls before it wakes are one event.
///
/// @param loop The loop.
///
/// @return WS_OK; WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: loop is not an open loop.
///
/// Any thread. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_loop_wake(r#loop: ws_handle) -> ws_status {
    boundary::operation(r#loop, || {
        find(r#loop)?.event_loop()?.wake();
        Ok(())
    })
}

/// Gives the epoll or kqueue descriptor of a loop, to wait on it in another loop.
///
/// @param loop       The loop; it stays the owner.
/// @param descriptor OUT: readable when ws_loop_wait has something to do.
///
/// @return WS_OK; WS_ERROR_INVALID_PARAMETER: descriptor is NULL;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: loop is not an open loop.
///
/// Any thread. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_loop_descriptor(r#loop: ws_handle, descriptor: *mut i64) -> ws_status {
    boundary::operation(r#loop, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let descriptor = unsafe { Out::new(descriptor, "descriptor")? };
        descriptor.write(find(r#loop)?.event_loop()?.descriptor().into());
        Ok(())
    })
}

/// Tells how long an outer loop may sleep before it must call ws_loop_wait.
///
/// @param loop       The loop.
/// @param timeout_ms OUT: in milliseconds; 0 = call now, WS_WAIT_FOREVER = only when the descriptor is readable.
///
/// @return WS_OK; WS_ERROR_INVALID_PARAMETER: timeout_ms is NULL;
///         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: loop is not an open loop.
///
/// The thread that drives the loop. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_loop_timeout(r#loop: ws_handle, timeout_ms: *mut u32) -> ws_status {
    boundary::operation(r#loop, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let timeout_ms = unsafe { Out::new(timeout_ms, "timeout_ms")? };
        let timeout = find(r#loop)?.event_loop()?.timeout();
        // Rounded up: an outer loop that wakes early would find nothing to do, and come back at once.
        let milliseconds = |time: Duration| u32::try_from(time.as_micros().div_ceil(1000)).unwrap_or(WS_WAIT_FOREVER - 1);
        timeout_ms.write(timeout.map_or(WS_WAIT_FOREVER, |time| milliseconds(time).min(WS_WAIT_FOREVER - 1)));
        Ok(())
    })
}
