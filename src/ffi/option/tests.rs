//! Options through the C API, on a session: the one object that needs no network.

use super::numbers::ws_option_numbers as number;
use super::numbers::ws_option_numbers::*;
use super::*;
use crate::ffi::numbers::WS_FLAG_ASYNC;
use std::ptr;

use super::super::library::{ws_close_handle, ws_set_callback};
use super::super::session::ws_open;

struct Session(ws_handle);

impl Session {
    fn open() -> Session {
        let mut session = 0;
        assert_eq!(unsafe { ws_open(ptr::null(), 0, &mut session) }, 0);
        Session(session)
    }

    fn open_async() -> Session {
        let mut session = 0;
        assert_eq!(unsafe { ws_open(ptr::null(), WS_FLAG_ASYNC, &mut session) }, 0);
        Session(session)
    }

    fn set(&self, option: number, value: &[u8]) -> ws_status {
        unsafe { ws_set_option(self.0, option as i32, value.as_ptr().cast(), value.len()) }
    }

    fn set_u32(&self, option: number, value: u32) -> ws_status {
        self.set(option, &value.to_ne_bytes())
    }

    fn query(&self, option: number) -> Result<Vec<u8>, ws_status> {
        let mut value = vec![0; 64];
        let mut length = value.len();
        match unsafe { ws_query_option(self.0, option as i32, value.as_mut_ptr().cast(), &mut length) } {
            0 => Ok(value[..length].to_vec()),
            status => Err(status),
        }
    }

    fn query_u32(&self, option: number) -> u32 {
        u32::from_ne_bytes(self.query(option).unwrap().try_into().unwrap())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        assert_eq!(unsafe { ws_close_handle(self.0) }, 0);
    }
}

#[test]
fn defaults_are_those_of_the_header() {
    let session = Session::open();
    let lines: Vec<&str> = include_str!("numbers.rs").lines().map(str::trim).collect();
    let mut compared = 0;
    for row in table::TABLE
        .iter()
        .filter(|row| row.set & row.query & table::SESSION != 0 && !matches!(row.value, Value::Compression) && check_built(row).is_ok())
    {
        let place = lines.iter().position(|line| line.ends_with(&format!(" = {},", row.number as i32))).unwrap();
        let (_, rest) = lines[place - 1].split_once("Default ").unwrap();
        let said = rest.split(['.', ' ']).next().unwrap();
        // A blocking session has no loops to ask for.
        let asynchronous = Session::open_async();
        let session = if matches!(row.value, Value::Loop | Value::Threads) { &asynchronous } else { &session };
        let found = session.query(row.number).unwrap();
        let found = match found.len() {
            0 => "\"\"".to_owned(),
            4 => u32::from_ne_bytes(found.try_into().unwrap()).to_string(),
            _ if matches!(row.value, Value::Context) => "NULL".to_owned(),
            _ => u64::from_ne_bytes(found.try_into().unwrap()).to_string(),
        };
        assert_eq!(said, found, "{:?}", row.number);
        compared += 1;
    }
    assert_eq!(compared, if cfg!(feature = "tls") { 40 } else { 32 });
}

#[test]
fn a_timeout_is_exactly_four_bytes_and_0_is_none() {
    let session = Session::open();
    assert_eq!(session.set_u32(WS_OPTION_CLOSE_TIMEOUT, 1), 0);
    assert_eq!(session.query_u32(WS_OPTION_CLOSE_TIMEOUT), 1);
    assert_eq!(session.set_u32(WS_OPTION_CLOSE_TIMEOUT, 0), 0);
    assert_eq!(session.query_u32(WS_OPTION_CLOSE_TIMEOUT), 0);
    for length in [0, 1, 3, 5, 8] {
        assert_eq!(session.set(WS_OPTION_CLOSE_TIMEOUT, &[1; 8][..length]), 87, "{length}");
    }
    assert_eq!(session.query_u32(WS_OPTION_CLOSE_TIMEOUT), 0);
}

#[test]
fn ranges_are_checked_at_both_ends() {
    let session = Session::open();
    for (option, from, to) in [
        (WS_OPTION_MAX_HEAD_SIZE, 256, 16 << 20),
        (WS_OPTION_RECEIVE_BUFFER_SIZE, 1024, 16 << 20),
        (WS_OPTION_SEND_BUFFER_SIZE, 1024, 16 << 20),
        (WS_OPTION_MAX_HEADERS, 16, 65_536),
        (WS_OPTION_NODELAY, 0, 1),
    ] {
        for value in [from, to] {
            assert_eq!((session.set_u32(option, value), session.query_u32(option)), (0, value), "{option:?}");
        }
        let outside = [from.checked_sub(1), Some(to + 1)];
        assert!(outside.into_iter().flatten().all(|value| session.set_u32(option, value) == 87), "{option:?}");
        assert_eq!(session.query_u32(option), to);
    }
    for (value, status) in [(0, 0), (1, 87), (99, 87), (100, 0)] {
        assert_eq!(session.set_u32(WS_OPTION_KEEPALIVE_INTERVAL, value), status, "{value}");
    }
    assert_eq!(session.set(WS_OPTION_MAX_MESSAGE, &0u64.to_ne_bytes()), 87);
    assert_eq!(session.set(WS_OPTION_MAX_MESSAGE, &u64::MAX.to_ne_bytes()), 0);
    assert_eq!(session.query(WS_OPTION_MAX_MESSAGE).unwrap(), u64::MAX.to_ne_bytes());
    assert_eq!(session.set_u32(WS_OPTION_MAX_MESSAGE, 5), 87);
}

#[test]
fn lists_are_checked_element_by_element() {
    let session = Session::open();
    assert_eq!(session.set(WS_OPTION_SUBPROTOCOLS, b" chat.v2 ,chat "), 0);
    assert_eq!(session.query(WS_OPTION_SUBPROTOCOLS).unwrap(), b"chat.v2, chat");
    for wrong in [&b"a,,b"[..], b"a b", b"a,", b"a\0", b"a, a", b"\xff", "ä".as_bytes(), b"a\r\nX: y"] {
        assert_eq!(session.set(WS_OPTION_SUBPROTOCOLS, wrong), 87, "{wrong:?}");
    }
    assert_eq!(session.query(WS_OPTION_SUBPROTOCOLS).unwrap(), b"chat.v2, chat");
    assert_eq!(session.set(WS_OPTION_SUBPROTOCOLS, b""), 0);
    assert_eq!(session.query(WS_OPTION_SUBPROTOCOLS).unwrap(), b"");
    assert_eq!(session.set(WS_OPTION_ORIGINS, b"https://a.example, http://[::1]:8000"), 0);
    assert_eq!(session.set(WS_OPTION_ORIGINS, b"*"), 0);
}

#[test]
fn a_text_says_how_much_room_it_needs() {
    let session = Session::open();
    session.set(WS_OPTION_SUBPROTOCOLS, b"chat");
    let mut length = 0;
    let option = WS_OPTION_SUBPROTOCOLS as i32;
    assert_eq!(unsafe { ws_query_option(session.0, option, ptr::null_mut(), &mut length) }, 122);
    assert_eq!(length, 5);
    let mut room = [b'x'; 6];
    assert_eq!(unsafe { ws_query_option(session.0, option, room.as_mut_ptr().cast(), &mut length) }, 0);
    assert_eq!((length, &room), (4, b"chat\0x"));
    assert_eq!(unsafe { ws_query_option(session.0, option, ptr::null_mut(), &mut length) }, 87);
    assert_eq!(unsafe { ws_query_option(session.0, option, room.as_mut_ptr().cast(), ptr::null_mut()) }, 87);
    let mut length = 3;
    assert_eq!(unsafe { ws_query_option(session.0, WS_OPTION_NODELAY as i32, room.as_mut_ptr().cast(), &mut length) }, 122);
    assert_eq!(length, 4);
}

#[test]
fn the_context_is_a_pointer_and_comes_with_the_callback() {
    let session = Session::open();
    assert_eq!(session.set(WS_OPTION_CONTEXT, &0x1234usize.to_ne_bytes()), 0);
    assert_eq!(session.query(WS_OPTION_CONTEXT).unwrap(), 0x1234usize.to_ne_bytes());
    assert_eq!(session.set(WS_OPTION_CONTEXT, &[1, 2]), 87);
    assert_eq!(unsafe { ws_set_callback(session.0, None, ptr::without_provenance_mut(7)) }, 0);
    assert_eq!(session.query(WS_OPTION_CONTEXT).unwrap(), 7usize.to_ne_bytes());
}

#[test]
fn every_refusal_has_its_own_status() {
    let session = Session::open();
    let unknown = unsafe { ws_set_option(session.0, 5, b"1234".as_ptr().cast(), 4) };
    assert_eq!(unknown, 12009);
    assert_eq!(session.set_u32(WS_OPTION_HANDLE_KIND, 1), 12011);
    assert_eq!(session.set(WS_OPTION_URL, b"ws://a/"), 12011);
    assert_eq!(session.query(WS_OPTION_URL), Err(12018));
    assert_eq!(session.query(WS_OPTION_CLOSE_STATE), Err(12018));
    assert_eq!(session.set(WS_OPTION_TLS_CA, b"/no/such/file"), if cfg!(feature = "tls") { 87 } else { 50 });
    assert_eq!(session.query(WS_OPTION_COMPRESSION), Err(if deflate::IS_BUILT { 87 } else { 50 }), "its size is not set");
    assert_eq!(session.query(WS_OPTION_TLS_KEY), Err(12018));
    assert_eq!(unsafe { ws_set_option(session.0, WS_OPTION_URL as i32, ptr::null(), 1) }, 87);
    assert_eq!(unsafe { ws_set_option(0, 5, ptr::null(), 1) }, 87);
    assert_eq!(unsafe { ws_set_option(0, 5, ptr::null(), 0) }, 6);
}

#[test]
fn kind_and_features_are_told_and_features_without_a_handle_too() {
    let session = Session::open();
    assert_eq!(session.query_u32(WS_OPTION_HANDLE_KIND), 1);
    assert_eq!(session.query_u32(WS_OPTION_FEATURES), table::FEATURES);
    let (mut features, mut length) = (0u32, 4);
    assert_eq!(unsafe { ws_query_option(0, WS_OPTION_FEATURES as i32, (&raw mut features).cast(), &mut length) }, 0);
    assert_eq!((features, length), (table::FEATURES, 4));
    assert_eq!(unsafe { ws_query_option(0, WS_OPTION_HANDLE_KIND as i32, (&raw mut features).cast(), &mut length) }, 6);
}

#[test]
#[cfg(feature = "tls")]
fn tls_options_are_checked_where_they_are_set() {
    let session = Session::open();
    let wrong: [&[u8]; 4] = [b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", b"-----BEGIN", b"/", b"\xff"];
    for option in [WS_OPTION_TLS_CA, WS_OPTION_TLS_CERTIFICATE, WS_OPTION_TLS_KEY, WS_OPTION_TLS_CLIENT_CA] {
        for value in wrong {
            assert_eq!(session.set(option, value), 87, "{option:?} {value:?}");
        }
        assert_eq!(session.set(option, b""), 0);
    }
    let pin = b"sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    assert_eq!(session.set(WS_OPTION_TLS_PINS, pin), 0);
    assert_eq!(session.query(WS_OPTION_TLS_PINS).unwrap(), pin);
    for wrong in [&b"sha256//AAAA"[..], b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", b"sha1//AAAA"] {
        assert_eq!(session.set(WS_OPTION_TLS_PINS, wrong), 87);
    }
    for (option, from, to) in [(WS_OPTION_TLS_DANGER, 0, 7), (WS_OPTION_TLS_MIN_VERSION, 12, 13), (WS_OPTION_TLS_KEY_LOG, 0, 1)] {
        assert!([from, to].iter().all(|&value| session.set_u32(option, value) == 0 && session.query_u32(option) == value));
        assert_eq!(session.set_u32(option, to + 1), 87, "{option:?}");
    }
    assert_eq!(session.set_u32(WS_OPTION_TLS_MIN_VERSION, 11), 87);
    assert_eq!(session.set(WS_OPTION_TLS_SERVER_NAME, b"a.example"), 0);
    assert_eq!(session.query(WS_OPTION_TLS_SERVER_NAME).unwrap(), b"a.example");
    assert_eq!(session.set(WS_OPTION_TLS_SERVER_NAME, b"a b"), 87);
    assert_eq!(session.query(WS_OPTION_TLS_VERSION), Err(12018));
}
