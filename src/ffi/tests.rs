//! Every function against wrong arguments: NULL, handles that are not open, and handles of another kind.
//!
//! What needs a connection is tested from outside; here is the order of the checks, function by function.

use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use super::event_loop::*;
use super::fan_out::*;
use super::library::*;
use super::numbers::*;
use super::option::*;
use super::protocol_component::*;
use super::request::*;
use super::server::*;
use super::session::*;
use super::types::*;
use super::websocket::*;
use crate::handle;

/// One function of one handle: called with NULL wherever a pointer is required, and with everything right but the handle.
struct Case {
    name: &'static str,
    /// The kind of handle it takes; 0 = any.
    kind: u32,
    /// `None` for a function without required pointers.
    with_null: Option<fn(ws_handle) -> ws_status>,
    with_all: fn(ws_handle) -> ws_status,
}

const SESSION: u32 = 1;
const REQUEST: u32 = 2;
const WEBSOCKET: u32 = 3;
const LISTENER: u32 = 4;
const LOOP: u32 = 5;
const PROTOCOL: u32 = 7;

/// Somewhere for results that nobody reads.
fn room<T>() -> *mut T {
    Box::leak(Box::new(MaybeUninit::<[T; 4]>::zeroed())).as_mut_ptr().cast()
}

fn sized<T>() -> *mut T {
    let room = room::<T>();
    unsafe { room.cast::<u32>().write(size_of::<T>() as u32) };
    room
}

const NULL: *mut c_void = ptr::null_mut();
const URL: *const c_char = c"ws://127.0.0.1:1/".as_ptr();
const BYTES: *const c_void = b"0123456789".as_ptr().cast();

macro_rules! case {
    ($name:ident, $kind:expr, null($($null:expr),*), all($($all:expr),*)) => {
        Case {
            name: stringify!($name),
            kind: $kind,
            with_null: Some(|handle| unsafe { $name(handle, $($null),*) }),
            with_all: |handle| unsafe { $name(handle, $($all),*) },
        }
    };
    ($name:ident, $kind:expr, all($($all:expr),*)) => {
        Case { name: stringify!($name), kind: $kind, with_null: None, with_all: |handle| unsafe { $name(handle, $($all),*) } }
    };
}

fn cases() -> Vec<Case> {
    vec![
        case!(ws_connect, SESSION, null(ptr::null(), room()), all(URL, room())),
        case!(ws_connect, SESSION, null(URL, ptr::null_mut()), all(URL, room())),
        case!(ws_connect_descriptor, SESSION, null(0, URL, ptr::null_mut()), all(0, URL, room())),
        case!(ws_accept_descriptor, SESSION, null(0, ptr::null_mut()), all(0, room())),
        case!(ws_listen, SESSION, null(ptr::null(), room()), all(URL, room())),
        case!(ws_listen, SESSION, null(URL, ptr::null_mut()), all(URL, room())),
        case!(ws_complete_upgrade, REQUEST, null(ptr::null_mut()), all(room())),
        case!(ws_handshake, REQUEST, all()),
        case!(ws_add_header, REQUEST, null(ptr::null(), c"b".as_ptr()), all(c"a".as_ptr(), c"b".as_ptr())),
        case!(ws_add_header, REQUEST, null(c"a".as_ptr(), ptr::null()), all(c"a".as_ptr(), c"b".as_ptr())),
        case!(ws_set_credentials, REQUEST, null(0, 1, ptr::null(), URL), all(0, 1, URL, URL)),
        case!(ws_query_header, REQUEST, null(ptr::null(), 0, ptr::null_mut(), room()), all(URL, 0, ptr::null_mut(), room())),
        case!(ws_query_header, REQUEST, null(URL, 0, room(), ptr::null_mut()), all(URL, 0, ptr::null_mut(), room())),
        case!(ws_query_header_at, REQUEST, null(0, ptr::null_mut(), room()), all(0, room(), room())),
        case!(ws_query_header_at, REQUEST, null(0, room(), ptr::null_mut()), all(0, room(), room())),
        case!(ws_query_response, REQUEST, null(ptr::null_mut()), all(room())),
        case!(ws_read_body, REQUEST, null(NULL, 4, room()), all(room(), 4, room())),
        case!(ws_read_body, REQUEST, null(room(), 0, room()), all(room(), 4, room())),
        case!(ws_read_body, REQUEST, null(room(), 4, ptr::null_mut()), all(room(), 4, room())),
        case!(ws_respond, REQUEST, null(200, ptr::null(), NULL, 1), all(200, ptr::null(), NULL, 0)),
        case!(ws_respond, REQUEST, null(101, ptr::null(), NULL, 0), all(404, ptr::null(), BYTES, 1)),
        case!(ws_receive, WEBSOCKET, null(NULL, 4, room(), room()), all(room(), 4, room(), room())),
        case!(ws_receive, WEBSOCKET, null(room(), 0, room(), room()), all(room(), 4, room(), room())),
        case!(ws_receive, WEBSOCKET, null(room(), 4, ptr::null_mut(), room()), all(room(), 4, room(), room())),
        case!(ws_receive, WEBSOCKET, null(room(), 4, room(), ptr::null_mut()), all(room(), 4, room(), room())),
        case!(ws_send, WEBSOCKET, null(0, NULL, 1), all(0, NULL, 0)),
        case!(ws_send, WEBSOCKET, null(0, BYTES, usize::MAX), all(4, NULL, 0)),
        case!(ws_close, WEBSOCKET, null(1000, NULL, 1), all(1000, NULL, 0)),
        case!(ws_close, WEBSOCKET, null(1006, NULL, 0), all(1005, NULL, 0)),
        case!(ws_shutdown, WEBSOCKET, null(1000, NULL, 1), all(1000, NULL, 0)),
        case!(ws_shutdown, WEBSOCKET, null(1005, BYTES, 1), all(3000, BYTES, 1)),
        case!(ws_query_close_status, WEBSOCKET, null(ptr::null_mut(), NULL, 0, room()), all(room(), NULL, 0, room())),
        case!(ws_query_close_status, WEBSOCKET, null(room(), NULL, 1, room()), all(room(), NULL, 0, room())),
        case!(ws_query_close_status, WEBSOCKET, null(room(), NULL, 0, ptr::null_mut()), all(room(), NULL, 0, room())),
        case!(ws_receive_message, WEBSOCKET, null(ptr::null_mut(), room(), room()), all(room(), room(), room())),
        case!(ws_receive_view, WEBSOCKET, null(room(), ptr::null_mut(), room()), all(room(), room(), room())),
        case!(ws_send_ex, WEBSOCKET, null(0, 0, ptr::null(), 1, NULL), all(0, 7, ptr::null(), 0, NULL)),
        case!(ws_send_ex, WEBSOCKET, null(0, 8, ptr::null(), 0, NULL), all(0, 0, ptr::null(), 0, NULL)),
        case!(ws_ping, WEBSOCKET, null(NULL, 1), all(NULL, 0)),
        case!(ws_send_prepared, WEBSOCKET, all(0)),
        case!(ws_accept, LISTENER, null(ptr::null_mut()), all(room())),
        case!(ws_drain, LISTENER, all(1001, 0, 0)),
        case!(ws_loop_run, LOOP, all()),
        case!(ws_loop_stop, LOOP, all()),
        case!(ws_loop_wake, LOOP, all()),
        case!(ws_loop_wait, LOOP, null(ptr::null_mut(), 4, room(), 0), all(room(), 4, room(), 0)),
        case!(ws_loop_wait, LOOP, null(room(), usize::MAX, room(), 0), all(room(), 4, room(), 0)),
        case!(ws_loop_descriptor, LOOP, null(ptr::null_mut()), all(room())),
        case!(ws_loop_timeout, LOOP, null(ptr::null_mut()), all(room())),
        case!(ws_protocol_begin, PROTOCOL, null(c"\xff".as_ptr()), all(URL)),
        case!(ws_protocol_accept, PROTOCOL, all()),
        case!(ws_protocol_begin_headers, PROTOCOL, null(ptr::null(), 1, room(), room()), all(ptr::null(), 0, room(), room())),
        case!(ws_protocol_end_headers, PROTOCOL, null(ptr::null(), 1), all(ptr::null(), 0)),
        case!(ws_protocol_send, PROTOCOL, null(0, 0, ptr::null(), 1, NULL), all(0, 0, ptr::null(), 0, NULL)),
        case!(ws_protocol_receive, PROTOCOL, null(NULL, 1, NULL), all(NULL, 0, NULL)),
        case!(ws_protocol_control, PROTOCOL, null(9, 0, NULL, 1), all(9, 0, NULL, 0)),
        case!(ws_protocol_get_action, PROTOCOL, null(0, ptr::null_mut()), all(0, sized())),
        case!(ws_protocol_complete_action, PROTOCOL, all(1, 0, 0)),
        case!(ws_protocol_abort, PROTOCOL, all()),
        case!(ws_query_error, 0, null(ptr::null_mut()), all(sized())),
        case!(ws_set_option, 0, null(45, NULL, 8), all(45, BYTES, 8)),
        case!(ws_query_option, 0, null(45, room(), ptr::null_mut()), all(45, NULL, room())),
        case!(ws_set_callback, 0, all(None, NULL)),
        case!(ws_cancel, 0, null(254), all(255)),
        case!(ws_close_handle, 0, all()),
    ]
}

fn open() -> ws_handle {
    let mut session = WS_NO_HANDLE;
    assert_eq!(unsafe { ws_open(ptr::null(), 0, &mut session) }, 0);
    session
}

fn last_error() -> (ws_status, String) {
    let info = sized::<ws_error_info>();
    assert_eq!(unsafe { ws_last_error(info) }, 0);
    let info = unsafe { &*info };
    (info.status, unsafe { CStr::from_ptr(info.message.as_ptr()) }.to_str().unwrap().to_owned())
}

#[test]
fn wrong_pointers_are_87_before_the_handle_is_looked_at() {
    let session = open();
    for case in cases() {
        for handle in [0, 1, u64::MAX, session] {
            if let Some(with_null) = case.with_null {
                assert_eq!(with_null(handle), 87, "{} on {handle:#x}", case.name);
            }
        }
    }
    assert_eq!(unsafe { ws_close_handle(session) }, 0);
}

#[test]
fn handles_that_are_not_open_are_6() {
    let closed = open();
    assert_eq!(unsafe { ws_close_handle(closed) }, 0);
    for case in cases() {
        for handle in [0, 1, u64::MAX, closed, closed ^ 1 << 47, closed | 1 << 52] {
            assert_eq!((case.with_all)(handle), 6, "{} on {handle:#x}", case.name);
            if case.name != "ws_query_error" {
                assert_eq!(last_error().0, 6, "{}", case.name);
            }
        }
    }
}

#[test]
fn open_handles_of_another_kind_are_12018() {
    let session = open();
    for case in cases().iter().filter(|case| case.kind > SESSION) {
        assert_eq!((case.with_all)(session), 12018, "{}", case.name);
        let (status, message) = last_error();
        assert_eq!(status, 12018);
        assert!(message.ends_with("the handle is a session"), "{}: {message}", case.name);
    }
    assert_eq!(unsafe { ws_close_handle(session) }, 0);
}

#[test]
fn every_exported_function_of_a_handle_is_tested_here() {
    let header = include_str!("../../include/ws101.h");
    let prototypes: Vec<&str> = header.lines().filter(|line| line.starts_with("WS_API ws_status ")).collect();
    assert!(prototypes.len() > 50);
    let of_a_handle =
        prototypes.iter().filter_map(|line| line.split_once("(ws_handle ")).map(|(start, _)| start.rsplit(' ').next().unwrap());
    let mut missing: Vec<&str> = of_a_handle.filter(|name| cases().iter().all(|case| case.name != *name)).collect();
    missing.sort_unstable();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn functions_without_a_handle_check_their_arguments() {
    let mut handle: ws_handle = 77;
    let out = &raw mut handle;
    unsafe {
        assert_eq!(ws_open(ptr::null(), 0, ptr::null_mut()), 87);
        assert_eq!(ws_open(ptr::null(), 2, out), 87);
        assert_eq!(ws_open(c"\xff".as_ptr(), 0, out), 87);
        assert_eq!(ws_open(c"a\r\nX: y".as_ptr(), 0, out), 87);
        assert_eq!(ws_open(ptr::null(), WS_FLAG_ASYNC | 2, out), 87);
        assert_eq!((ws_loop_create(0, ptr::null_mut()), ws_loop_create(1, out)), (87, 87));
        assert_eq!((ws_prepare(1, NULL, 0, out), ws_prepare(0, NULL, 1, out)), (87, 87));
        assert_eq!((ws_protocol_create(2, [0u8; 32].as_ptr().cast(), out), ws_protocol_create(0, NULL, out)), (87, 87));
        assert_eq!(ws_protocol_create(1, [0u8; 32].as_ptr().cast(), out), 50);
        assert_eq!((ws_set_log(6, None, NULL), ws_set_log(-1, None, NULL), ws_set_log(0, None, NULL)), (87, 87, 0));
        assert_eq!(ws_last_error(ptr::null_mut()), 87);
    }
    assert_eq!(handle, 77, "an out-parameter was written without WS_OK");
}

#[test]
fn every_status_has_its_text_and_no_other_number_has() {
    let text = |status| unsafe { CStr::from_ptr(ws_status_string(status)) }.to_str().unwrap();
    assert_eq!((text(0), text(12002), text(-1), text(1)), ("done", "the time limit was reached", "unknown status", "unknown status"));
    assert_eq!(unsafe { ws_version() }, 1 << 8);
}

#[test]
fn an_error_struct_of_another_size_is_refused() {
    let info = sized::<ws_error_info>();
    for size in [0, 4, 287, 5000] {
        unsafe { (*info).size = size };
        assert_eq!(unsafe { ws_last_error(info) }, 87, "{size}");
        assert_eq!(unsafe { ws_query_error(0, info) }, 87, "{size}");
    }
}

#[test]
fn a_handle_remembers_its_operations_and_not_its_questions() {
    let session = open();
    let info = sized::<ws_error_info>();
    let status = || {
        assert_eq!(unsafe { ws_query_error(session, info) }, 0);
        unsafe { (*info).status }
    };
    assert_eq!(status(), 0);
    assert_eq!(unsafe { ws_set_option(session, 115, BYTES, 3) }, 87);
    assert_eq!(unsafe { ws_query_option(session, 13030, NULL, room()) }, 122);
    assert_eq!(unsafe { ws_query_option(session, 1, NULL, room()) }, 12009);
    assert_eq!(status(), 87);
    assert_eq!(last_error(), (12009, "there is no option 1".to_owned()));
    assert_eq!(unsafe { ws_close_handle(session) }, 0);
}

#[test]
fn handles_are_closed_once_and_counted() {
    let session = open();
    assert!(handle::live_count() > 0);
    assert_eq!(unsafe { (ws_close_handle(session), ws_close_handle(session)) }, (0, 6));
}
