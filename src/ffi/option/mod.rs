//! Options: one pair of functions for all of them, driven by the table.
//!
//! Order of the checks: pointers, the handle, the option's number (12009), whether it can be set at all (12011), whether this kind
//! of handle has it (12018), whether it is built (50), the value's length and range (87).

use std::ffi::c_void;
use std::str;
use std::sync::Arc;
use std::time::Duration;

use super::boundary;
use super::pointer::{self, OutBytes};
use super::types::{ws_handle, ws_option, ws_statistics, ws_status};
use crate::component::ProtocolComponent;
use crate::connection::{Connection, Statistics};
use crate::driver::event_loop::{self, Loops};
use crate::error::{Error, Result, Status};
use crate::handle::{self, Entry, Object, Ticket};
use crate::options::{Options, SharedOptions};
use crate::protocol::deflate;
use table::{Owners, Row, Value};

mod compression;
pub mod numbers;
mod table;
mod way;

/// Sets an option.
///
/// Values are copied; a file that an option names is read at once. What is made from the handle later inherits them; what was made before does not change.
///
/// @param any    A handle that has the option.
/// @param option WS_OPTION_CLOSE_TIMEOUT or another.
/// @param value  A u32, a u64, a pointer (each in its own size), or a text in UTF-8, which needs no terminator.
/// @param length Of value, in bytes: exactly 4 for a u32, 8 for a u64, sizeof(void *) for a pointer. 0 is the empty text.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: value is NULL with a length, length is not the value's, or the value is out of its range;
///         WS_ERROR_INVALID_HANDLE; WS_ERROR_INVALID_OPTION: there is none with this number;
///         WS_ERROR_OPTION_NOT_SETTABLE: it can only be queried;
///         WS_ERROR_INCORRECT_HANDLE_TYPE: this kind of handle does not have it;
///         WS_ERROR_INCORRECT_HANDLE_STATE: too late; WS_ERROR_NOT_SUPPORTED: not part of this build.
///
/// Any thread. Does not wait. As WinHttpSetOption.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_set_option(any: ws_handle, option: ws_option, value: *const c_void, length: usize) -> ws_status {
    boundary::operation(any, || {
        // SAFETY: the caller keeps the header's promise about pointers.
        let value = unsafe { pointer::bytes(value, length, "value")? };
        let entry = handle::find(Ticket::from_number(any))?;
        let row = find(option)?;
        if row.set == 0 {
            return Err(Error::new(Status::OptionNotSettable, format!("{:?} can only be queried", row.number)));
        }
        check_owner(row, row.set, &entry)?;
        set(&entry, row, value)
    })
}

/// Asks for the value of an option.
///
/// A text is written with a terminator, which its length does not count. To learn the room it needs, ask with value NULL and
/// *length 0: WS_ERROR_INSUFFICIENT_BUFFER, and *length is what to allocate, with the terminator.
///
/// @param any    A handle that has the option; for WS_OPTION_FEATURES also WS_NO_HANDLE.
/// @param option WS_OPTION_URL or another.
/// @param value  OUT: the value. NULL if *length is 0.
/// @param length IN: the room in value, in bytes. OUT: the value's length, without a text's terminator; with
///               WS_ERROR_INSUFFICIENT_BUFFER the room that is needed.
///
/// @return WS_OK;
///         WS_ERROR_INVALID_PARAMETER: length is NULL, or value is NULL with room;
///         WS_ERROR_INVALID_HANDLE; WS_ERROR_INVALID_OPTION: there is none with this number;
///         WS_ERROR_INCORRECT_HANDLE_TYPE: this kind of handle does not have it;
///         WS_ERROR_INCORRECT_HANDLE_STATE: too early; WS_ERROR_INSUFFICIENT_BUFFER; WS_ERROR_NOT_SUPPORTED: not part of this build.
///
/// Any thread. Does not wait. As WinHttpQueryOption.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_query_option(any: ws_handle, option: ws_option, value: *mut c_void, length: *mut usize) -> ws_status {
    boundary::query(|| {
        // SAFETY: the caller keeps the header's promise about pointers.
        let value = unsafe { OutBytes::new(value, length, "value")? };
        if let (0, Some(Row { value: Value::Features, .. })) = (any, table::find(option)) {
            return value.write_bytes(&table::FEATURES.to_ne_bytes());
        }
        let entry = handle::find(Ticket::from_number(any))?;
        let row = find(option)?;
        check_owner(row, row.query, &entry)?;
        query(&entry, row, value)
    })
}

fn find(option: ws_option) -> Result<&'static Row> {
    table::find(option).ok_or_else(|| Error::new(Status::InvalidOption, format!("there is no option {option}")))
}

fn check_owner(row: &Row, owners: Owners, entry: &Entry) -> Result<()> {
    if owners & table::owner(&entry.object) != 0 {
        return Ok(());
    }
    Err(Error::new(Status::IncorrectHandleType, format!("{:?} is not an option of {}", row.number, entry.object.text())))
}

fn check_built(row: &Row) -> Result<()> {
    let is_left_out = row.needs_tls() && !cfg!(feature = "tls") || matches!(row.value, Value::Compression) && !deflate::IS_BUILT;
    if is_left_out { Err(Error::new(Status::NotSupported, format!("{:?} is not part of this build", row.number))) } else { Ok(()) }
}

fn set(entry: &Entry, row: &Row, value: &[u8]) -> Result<()> {
    check_built(row)?;
    let object = &entry.object;
    match row.value {
        Value::Timeout(field, least) => {
            let ms = u32_within(row, value, 0, u32::MAX)?;
            if ms != 0 && ms < least {
                return Err(out_of_range(row, ms));
            }
            let timeout = (ms != 0).then(|| Duration::from_millis(ms.into()));
            change(object, |options| *field(options) = timeout)
        }
        Value::Number(field, from, to) => {
            let number = u32_within(row, value, from, to)?;
            change(object, |options| *field(options) = number)
        }
        Value::Switch(field) => {
            let is_on = u32_within(row, value, 0, 1)? == 1;
            change(object, |options| *field(options) = is_on)
        }
        Value::EventSwitch(field, tell) => {
            let is_on = u32_within(row, value, 0, 1)? == 1;
            if is_on && !object.is_async() {
                return Err(Error::new(Status::NotSupported, format!("{:?} is for asynchronous sessions", row.number)));
            }
            change(object, |options| *field(options) = is_on)?;
            if let Object::LoopSocket(socket) = object { tell(socket, is_on) } else { Ok(()) }
        }
        Value::Loop => {
            let given = handle::find_kind(Ticket::from_number(u64::from_ne_bytes(exact(row, value)?)), handle::Kind::Loop)?;
            loops(entry)?.give(Arc::clone(given.event_loop()?), given.ticket())
        }
        Value::Threads => {
            let threads = u32_within(row, value, 1, event_loop::MOST_THREADS)?;
            loops(entry)?.set_threads(threads)
        }
        Value::Wide(field) => {
            let number = u64_above_0(row, value)?;
            change(object, |options| *field(options) = number)
        }
        Value::OptionalWide(field, _) => {
            let number = u64_above_0(row, value)?;
            change(object, |options| *field(options) = Some(number))
        }
        Value::List(field, is_valid) => {
            let list = list(row, value, is_valid)?;
            change(object, |options| *field(options) = list)
        }
        Value::Spelled(read, _) => {
            let text = text(row, value)?;
            try_change(object, |options| read(options, text))
        }
        Value::OptionalText(field, is_valid) => {
            let text = optional_text(row, value, is_valid)?;
            change(object, |options| *field(options) = text)
        }
        Value::Pem(field, check) => {
            let pem = pem(row, value, check)?;
            change(object, |options| *field(options) = pem)
        }
        Value::Context => {
            entry.set_context(usize::from_ne_bytes(exact(row, value)?));
            Ok(())
        }
        Value::Compression => {
            let compression = compression::read(value)?;
            change(object, |options| options.compression = compression)
        }
        Value::Text(_) | Value::KnownBytes(_) | Value::Known(_) | Value::KnownWide(_) | Value::Statistics | Value::Features => {
            unreachable!("nobody may set what an object knows")
        }
    }
}

fn query(entry: &Entry, row: &Row, value: OutBytes) -> Result<()> {
    check_built(row)?;
    let object = &entry.object;
    match row.value {
        Value::Context => return value.write_bytes(&entry.notify().context.to_ne_bytes()),
        Value::KnownBytes(ask) => return value.write_bytes(&ask(object)?),
        Value::Text(ask) => return value.write_text(ask(object)?.as_bytes()),
        Value::Known(ask) => return value.write_bytes(&ask(object)?.to_ne_bytes()),
        Value::KnownWide(ask) => return value.write_bytes(&ask(object)?.to_ne_bytes()),
        Value::Statistics => {
            let statistics = match object {
                Object::ProtocolComponent(component) => component_statistics(component)?,
                _ => statistics(entry.websocket()?),
            };
            // SAFETY: the caller keeps the header's promise about pointers; ws_statistics has no padding.
            return unsafe { value.write_struct(statistics, SMALLEST_STATISTICS, "value") };
        }
        Value::Compression => {
            let shown = match object.connection() {
                Some(connection) => compression::show_agreed(connection),
                None => compression::show(&options(object).compression),
            };
            // SAFETY: the caller keeps the header's promise about pointers; ws_compression has no padding.
            return unsafe { value.write_struct(shown, compression::SMALLEST, "value") };
        }
        Value::Features => return value.write_bytes(&table::FEATURES.to_ne_bytes()),
        Value::Loop => return value.write_bytes(&loops(entry)?.given().to_ne_bytes()),
        Value::Threads => return value.write_bytes(&loops(entry)?.threads().to_ne_bytes()),
        _ => {}
    }
    // The fields are found in a copy, so that one function a row serves for setting and querying.
    let mut options = Options::clone(&*options(object));
    match row.value {
        Value::Timeout(field, _) => {
            let ms = field(&mut options).map_or(0, |timeout| u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX));
            value.write_bytes(&ms.to_ne_bytes())
        }
        Value::Number(field, ..) => value.write_bytes(&field(&mut options).to_ne_bytes()),
        Value::Switch(field) | Value::EventSwitch(field, _) => value.write_bytes(&u32::from(*field(&mut options)).to_ne_bytes()),
        Value::Wide(field) => value.write_bytes(&field(&mut options).to_ne_bytes()),
        Value::OptionalWide(field, default) => value.write_bytes(&field(&mut options).unwrap_or(default).to_ne_bytes()),
        Value::OptionalText(field, _) => value.write_text(field(&mut options).as_deref().unwrap_or_default().as_bytes()),
        Value::Pem(field, _) => value.write_text(field(&mut options).as_deref().unwrap_or_default()),
        Value::List(field, _) => value.write_text(field(&mut options).join(", ").as_bytes()),
        Value::Spelled(_, write) => value.write_text(write(&options).as_bytes()),
        _ => unreachable!("answered above"),
    }
}

/// The size of the first version.
const SMALLEST_STATISTICS: usize = size_of::<ws_statistics>();

fn statistics(connection: &Connection) -> ws_statistics {
    let Statistics { received, sent, round_trips, idle, queue_high_water, memory, .. } = connection.statistics();
    // A round trip that was measured is never 0, which means that none was.
    let micros = |time: Duration| if time.is_zero() { 0 } else { u32::try_from(time.as_micros()).unwrap_or(u32::MAX).max(1) };
    ws_statistics {
        size: 0,
        rtt_min_us: micros(round_trips.min),
        rtt_average_us: micros(round_trips.average),
        rtt_max_us: micros(round_trips.max),
        bytes_received: received.bytes,
        bytes_sent: sent.bytes,
        frames_received: received.frames,
        frames_sent: sent.frames,
        messages_received: received.messages,
        messages_sent: sent.messages,
        send_queue_high_water: queue_high_water,
        idle_ms: u64::try_from(idle.as_millis()).unwrap_or(u64::MAX),
        memory,
    }
}

/// What a component counts: it has no clock to measure with, and its queue is the program's own memory.
fn component_statistics(component: &ProtocolComponent) -> Result<ws_statistics> {
    let [received, sent] = component.with(|component| Ok(component.counted()))?;
    Ok(ws_statistics {
        size: 0,
        rtt_min_us: 0,
        rtt_average_us: 0,
        rtt_max_us: 0,
        bytes_received: received.bytes,
        bytes_sent: sent.bytes,
        frames_received: received.frames,
        frames_sent: sent.frames,
        messages_received: received.messages,
        messages_sent: sent.messages,
        send_queue_high_water: 0,
        idle_ms: 0,
        memory: 0,
    })
}

/// What drives an asynchronous session; 50 for a blocking one.
fn loops(entry: &Entry) -> Result<Arc<Loops>> {
    entry.session()?.loops().ok_or_else(|| Error::new(Status::NotSupported, "the session is not asynchronous"))
}

fn options(object: &Object) -> SharedOptions {
    match object {
        Object::Session(session) => session.options(),
        Object::ClientRequest(request) => request.options(),
        Object::ServerRequest(request) => request.options(),
        Object::WebSocket(connection) => connection.options(),
        Object::LoopSocket(socket) => socket.options(),
        Object::Listener(listener) => listener.options(),
        Object::ProtocolComponent(component) => component.options(),
        Object::Loop(_) | Object::PreparedMessage(_) => SharedOptions::default(),
    }
}

fn change(object: &Object, change: impl FnOnce(&mut Options)) -> Result<()> {
    try_change(object, |options| {
        change(options);
        Ok(())
    })
}

fn try_change(object: &Object, change: impl FnOnce(&mut Options) -> Result<()>) -> Result<()> {
    match object {
        Object::Session(session) => session.change_options(change),
        Object::ClientRequest(request) => request.change_options(change),
        Object::ServerRequest(request) => request.change_options(change),
        Object::WebSocket(connection) => connection.change_options(change),
        Object::LoopSocket(socket) => socket.change_options(change),
        Object::Listener(listener) => listener.change_options(change),
        Object::ProtocolComponent(component) => component.change_options(change),
        Object::Loop(_) | Object::PreparedMessage(_) => Ok(()),
    }
}

fn exact<const LENGTH: usize>(row: &Row, value: &[u8]) -> Result<[u8; LENGTH]> {
    value
        .try_into()
        .map_err(|_| Error::new(Status::InvalidParameter, format!("{:?} takes exactly {LENGTH} bytes, not {}", row.number, value.len())))
}

fn u32_within(row: &Row, value: &[u8], from: u32, to: u32) -> Result<u32> {
    let number = u32::from_ne_bytes(exact(row, value)?);
    if (from..=to).contains(&number) { Ok(number) } else { Err(out_of_range(row, number)) }
}

fn u64_above_0(row: &Row, value: &[u8]) -> Result<u64> {
    let number = u64::from_ne_bytes(exact(row, value)?);
    if number > 0 { Ok(number) } else { Err(out_of_range(row, 0)) }
}

fn out_of_range(row: &Row, number: u32) -> Error {
    Error::new(Status::InvalidParameter, format!("{:?} cannot be {number}", row.number))
}

fn text<'v>(row: &Row, value: &'v [u8]) -> Result<&'v str> {
    let refused = |error: str::Utf8Error| format!("{:?} is not UTF-8 at byte {}", row.number, error.valid_up_to());
    str::from_utf8(value).map_err(|error| Error::new(Status::InvalidParameter, refused(error)))
}

fn optional_text(row: &Row, value: &[u8], is_valid: fn(&str) -> bool) -> Result<Option<String>> {
    let text = text(row, value)?;
    if text.is_empty() {
        return Ok(None);
    }
    if !is_valid(text) {
        let message = format!("{:?} cannot be \"{}\"", row.number, text.escape_default());
        return Err(Error::new(Status::InvalidParameter, message));
    }
    Ok(Some(text.to_owned()))
}

/// The PEM itself; what has no `-----BEGIN` in it is the path of a file.
fn pem(row: &Row, value: &[u8], check: fn(&[u8]) -> Result<()>) -> Result<Option<Arc<[u8]>>> {
    if value.is_empty() {
        return Ok(None);
    }
    let refused = |why: &dyn std::fmt::Display| Error::new(Status::InvalidParameter, format!("{:?}: {why}", row.number));
    let pem: Arc<[u8]> = if value.windows(PEM_BEGIN.len()).any(|window| window == PEM_BEGIN) {
        value.into()
    } else {
        let path = text(row, value)?;
        let read = std::fs::read(path).map_err(|error| refused(&Error::from_io(Status::InvalidParameter, path.escape_debug(), &error)))?;
        read.into()
    };
    check(&pem).map_err(|error| refused(&error))?;
    Ok(Some(pem))
}

const PEM_BEGIN: &[u8] = b"-----BEGIN";

/// "a, b" → its elements; the empty text is the empty list.
fn list(row: &Row, value: &[u8], is_valid: fn(&str) -> bool) -> Result<Vec<String>> {
    let refused = |sentence: String| Error::new(Status::InvalidParameter, sentence);
    let text = text(row, value)?;
    let mut elements = Vec::new();
    if text.trim().is_empty() {
        return Ok(elements);
    }
    for element in text.split(',').map(str::trim) {
        if !is_valid(element) {
            return Err(refused(format!("{:?} cannot contain \"{}\"", row.number, element.escape_default())));
        }
        // RFC 6455 §4.1: no sub-protocol twice; and no use for an origin twice.
        if elements.iter().any(|known| known == element) {
            return Err(refused(format!("{:?} has {element} twice", row.number)));
        }
        elements.push(element.to_owned());
    }
    Ok(elements)
}

#[cfg(test)]
mod tests;
