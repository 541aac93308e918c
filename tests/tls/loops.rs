//! wss in event-driven mode: both ends on one loop and one thread, so that nothing may ever wait for the other.

use std::collections::HashMap;
use std::ffi::CString;
use std::ptr;
use std::time::{Duration, Instant};

use ws101::ffi::event_loop::{ws_loop_create, ws_loop_wait};
use ws101::ffi::numbers::WS_FLAG_ASYNC;
use ws101::ffi::option::numbers::ws_option_numbers::*;
use ws101::ffi::request::ws_complete_upgrade;
use ws101::ffi::server::{ws_accept, ws_listen};
use ws101::ffi::session::{ws_connect, ws_open};
use ws101::ffi::types::{ws_event, ws_handle, ws_status};
use ws101::ffi::websocket::{ws_close, ws_receive, ws_send};

use crate::certificates::{Authority, of_client};
use crate::wss::{check, close_all, last_error, query, set};

const PENDING: ws_status = 997;
const ROOM: usize = 50_000;
const MESSAGES: usize = 60;
const LENGTH: usize = 100_000;

/// What the program knows of one websocket.
struct End {
    is_client: bool,
    room: Vec<u8>,
    heard: Vec<u8>,
}

struct Program {
    the_loop: ws_handle,
    session: ws_handle,
    ends: HashMap<ws_handle, End>,
    requests: HashMap<ws_handle, bool>,
    deadline: Instant,
    is_closed: bool,
    peak: usize,
}

fn payload() -> Vec<u8> {
    (0..LENGTH).map(|index| (index * 3 % 247) as u8).collect()
}

impl Program {
    fn new() -> Program {
        let (mut the_loop, mut session) = (0, 0);
        // SAFETY: live out-parameters.
        unsafe {
            check(ws_loop_create(0, &mut the_loop));
            check(ws_open(ptr::null(), WS_FLAG_ASYNC, &mut session));
        }
        set(session, WS_OPTION_LOOP, &the_loop.to_ne_bytes());
        let deadline = Instant::now() + Duration::from_secs(60);
        Program { the_loop, session, ends: HashMap::new(), requests: HashMap::new(), deadline, is_closed: false, peak: 0 }
    }

    /// One batch of events; `each` sees them after the program itself.
    fn turn(&mut self, mut each: impl FnMut(&ws_event)) {
        assert!(Instant::now() < self.deadline, "nothing happens any more");
        // SAFETY: a struct of plain data and pointers.
        let mut events: [ws_event; 16] = unsafe { std::mem::zeroed() };
        let mut count = 0;
        // SAFETY: a live array and its capacity.
        check(unsafe { ws_loop_wait(self.the_loop, events.as_mut_ptr(), events.len(), &mut count, 1000) });
        for event in &events[..count] {
            self.see(event);
            each(event);
        }
    }

    fn see(&mut self, event: &ws_event) {
        match event.r#type {
            1 => {
                assert_eq!(event.status, 0);
                self.received(event.handle, event.length, event.buffer_type);
            }
            3 => {
                assert_eq!(event.status, 0);
                self.is_closed = true;
            }
            6 => {
                if event.status == 0 {
                    let is_client = self.requests[&event.handle];
                    self.opened(event.child, is_client);
                }
            }
            7 => {
                assert_eq!(event.status, 0);
                self.upgrade(event.child, false);
            }
            _ => {}
        }
    }

    fn upgrade(&mut self, request: ws_handle, is_client: bool) {
        self.requests.insert(request, is_client);
        let mut websocket = 0;
        // SAFETY: a live out-parameter.
        match unsafe { ws_complete_upgrade(request, &mut websocket) } {
            0 => self.opened(websocket, is_client),
            status => assert_eq!(status, PENDING, "{}", last_error()),
        }
    }

    fn opened(&mut self, websocket: ws_handle, is_client: bool) {
        assert_eq!(query(websocket, WS_OPTION_TLS_VERSION), b"TLSv1.3");
        self.ends.insert(websocket, End { is_client, room: vec![0; ROOM], heard: Vec::new() });
        if is_client {
            for _ in 0..MESSAGES {
                send(websocket, 0, &payload());
            }
        }
        self.post(websocket);
    }

    fn post(&mut self, websocket: ws_handle) {
        loop {
            let end = self.ends.get_mut(&websocket).unwrap();
            let (mut count, mut kind) = (0, 0);
            // SAFETY: the room lives in the map until the program ends, and is looked at only when nothing is posted.
            match unsafe { ws_receive(websocket, end.room.as_mut_ptr().cast(), ROOM, &mut count, &mut kind) } {
                0 => self.take(websocket, count, kind),
                PENDING | 4317 => return,
                status => panic!("{status}: {}", last_error()),
            }
        }
    }

    fn received(&mut self, websocket: ws_handle, count: usize, kind: i32) {
        self.take(websocket, count, kind);
        if kind != 4 {
            self.post(websocket);
        }
    }

    fn take(&mut self, websocket: ws_handle, count: usize, kind: i32) {
        let end = self.ends.get_mut(&websocket).unwrap();
        self.peak = self.peak.max(count);
        if kind == 4 {
            return;
        }
        if !end.is_client {
            let piece = end.room[..count].to_vec();
            return send(websocket, kind, &piece);
        }
        let piece = end.room[..count].to_vec();
        end.heard.extend(piece);
        if end.heard.len() == MESSAGES * LENGTH {
            // SAFETY: an empty reason.
            assert_eq!(unsafe { ws_close(websocket, 1000, ptr::null(), 0) }, PENDING);
        }
    }
}

fn send(websocket: ws_handle, kind: i32, payload: &[u8]) {
    // SAFETY: a live slice.
    check(unsafe { ws_send(websocket, kind, payload.as_ptr().cast(), payload.len()) });
}

#[test]
fn six_megabytes_there_and_back_on_one_thread() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let (own, client) = (authority.issue(&["127.0.0.1"]), clients.issue_with(&["me"], of_client));
    let mut program = Program::new();
    let (session, mut listener, mut request) = (program.session, 0, 0);
    set(session, WS_OPTION_TLS_CERTIFICATE, own.certificate.as_bytes());
    set(session, WS_OPTION_TLS_KEY, own.key.as_bytes());
    set(session, WS_OPTION_TLS_CLIENT_CA, clients.certificate.as_bytes());
    // SAFETY: live texts and out-parameters.
    unsafe {
        check(ws_listen(session, c"wss://127.0.0.1:0/".as_ptr(), &mut listener));
        assert_eq!(ws_accept(listener, &mut request), PENDING);
    }
    set(session, WS_OPTION_TLS_CA, authority.certificate.as_bytes());
    set(session, WS_OPTION_TLS_CERTIFICATE, client.certificate.as_bytes());
    set(session, WS_OPTION_TLS_KEY, client.key.as_bytes());
    let url = CString::new(query(listener, WS_OPTION_URL)).unwrap();
    // SAFETY: a live text and an out-parameter.
    check(unsafe { ws_connect(session, url.as_ptr(), &mut request) });
    program.upgrade(request, true);
    while !program.is_closed {
        program.turn(|_| {});
    }
    let end = program.ends.values().find(|end| end.is_client).unwrap();
    assert!(end.heard == payload().repeat(MESSAGES));
    let handles: Vec<ws_handle> =
        program.ends.keys().chain(program.requests.keys()).copied().chain([listener, session, program.the_loop]).collect();
    close_all(&handles);
}

#[test]
fn a_refusal_comes_as_an_event_with_its_reason() {
    let (authority, stranger) = (Authority::new("ca"), Authority::new("stranger"));
    let own = authority.issue(&["127.0.0.1"]);
    let mut program = Program::new();
    let (session, mut listener, mut request) = (program.session, 0, 0);
    set(session, WS_OPTION_TLS_CERTIFICATE, [own.certificate.as_str(), own.key.as_str()].concat().as_bytes());
    // SAFETY: live texts and out-parameters.
    unsafe {
        check(ws_listen(session, c"wss://127.0.0.1:0/".as_ptr(), &mut listener));
        assert_eq!(ws_accept(listener, &mut request), PENDING);
    }
    set(session, WS_OPTION_TLS_CA, stranger.certificate.as_bytes());
    let url = CString::new(query(listener, WS_OPTION_URL)).unwrap();
    // SAFETY: a live text and an out-parameter.
    check(unsafe { ws_connect(session, url.as_ptr(), &mut request) });
    program.upgrade(request, true);
    let mut status = 0;
    while status == 0 {
        program.turn(|event| {
            if event.r#type == 6 {
                status = event.status;
                // SAFETY: lives as long as the event.
                let error = unsafe { &*event.error };
                assert_eq!((error.status, error.phase), (12045, 4));
            }
        });
    }
    assert_eq!(status, 12045);
    close_all(&[request, listener, session, program.the_loop]);
}
