//! ws101, through its C face.

use std::ffi::CString;
use std::ptr;

use ws101::ffi::library::ws_close_handle;
use ws101::ffi::option::numbers::ws_option_numbers::WS_OPTION_TLS_CA;
use ws101::ffi::option::ws_set_option;
use ws101::ffi::request::ws_complete_upgrade;
use ws101::ffi::session::{ws_connect, ws_open};
use ws101::ffi::types::ws_handle;
use ws101::ffi::websocket::{ws_receive, ws_send};

use crate::{Clock, Work, usage};

fn check(status: i32) {
    assert_eq!(status, 0);
}

pub fn run(url: &str, ca: &str, work: Work) {
    let mut session = 0;
    // SAFETY: live texts and out-parameters.
    unsafe {
        check(ws_open(ptr::null(), 0, &mut session));
        check(ws_set_option(session, WS_OPTION_TLS_CA as i32, ca.as_ptr().cast(), ca.len()));
    }
    let url = CString::new(format!("{url}{}", work.path())).expect("a URL");
    match work {
        Work::Handshakes(count) => {
            let clock = Clock::start();
            for _ in 0..count {
                close(connect(session, &url));
            }
            clock.stop(work);
        }
        Work::Idle(count) => {
            let first = connect(session, &url);
            let before = usage().1;
            let all: Vec<ws_handle> = (0..count).map(|_| connect(session, &url)).collect();
            println!("{} bytes a connection", (usage().1 - before) / count);
            all.into_iter().chain([first]).for_each(close);
        }
        _ => converse(connect(session, &url), work),
    }
}

fn connect(session: ws_handle, url: &CString) -> ws_handle {
    let (mut request, mut websocket) = (0, 0);
    // SAFETY: a live text and out-parameters.
    unsafe {
        check(ws_connect(session, url.as_ptr(), &mut request));
        check(ws_complete_upgrade(request, &mut websocket));
    }
    close(request);
    websocket
}

fn close(handle: ws_handle) {
    // SAFETY: takes no pointer.
    check(unsafe { ws_close_handle(handle) });
}

fn converse(websocket: ws_handle, work: Work) {
    let mut room = vec![0; 1 << 20];
    let mut receive = |length: usize| {
        let mut got = 0;
        while got < length {
            let (mut count, mut kind) = (0, 0);
            // SAFETY: a live slice and out-parameters.
            check(unsafe { ws_receive(websocket, room.as_mut_ptr().cast(), room.len(), &mut count, &mut kind) });
            got += count;
        }
    };
    // SAFETY: a live slice.
    let send = |payload: &[u8]| check(unsafe { ws_send(websocket, 0, payload.as_ptr().cast(), payload.len()) });
    let clock = Clock::start();
    match work {
        Work::Receive(size, count) => receive(size * count),
        Work::Send(size, count) => {
            let payload = vec![b'x'; size];
            (0..count).for_each(|_| send(&payload));
            send(b"?");
            receive(1);
        }
        Work::Echo(size, count) => {
            let payload = vec![b'x'; size];
            for _ in 0..count {
                send(&payload);
                receive(size);
            }
        }
        Work::Handshakes(_) | Work::Idle(_) => {}
    }
    clock.stop(work);
}
