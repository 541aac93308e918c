//! wss through the C face: both sides, what it tells of a connection, and how it ends.

use std::ffi::{CString, c_void};
use std::io::Read;
use std::net::TcpStream;
use std::ptr;
use std::thread;

use ws101::ffi::library::{ws_close_handle, ws_last_error};
use ws101::ffi::option::numbers::ws_option_numbers::{self as number, *};
use ws101::ffi::option::{ws_query_option, ws_set_option};
use ws101::ffi::request::{ws_add_header, ws_complete_upgrade, ws_handshake};
use ws101::ffi::server::{ws_accept, ws_listen, ws_respond};
use ws101::ffi::session::{ws_connect, ws_open};
use ws101::ffi::types::{ws_error_info, ws_handle, ws_status};
use ws101::ffi::websocket::{ws_close, ws_receive, ws_send};

use crate::certificates::{Authority, Own, of_client};

pub fn check(status: ws_status) {
    assert_eq!(status, 0, "{}", last_error());
}

pub fn last_error() -> String {
    // SAFETY: a struct of plain data, of its own size.
    unsafe {
        let mut info: ws_error_info = std::mem::zeroed();
        info.size = size_of::<ws_error_info>() as u32;
        assert_eq!(ws_last_error(&mut info), 0);
        let text: Vec<u8> = info.message.iter().map(|&letter| letter as u8).take_while(|&letter| letter != 0).collect();
        String::from_utf8(text).unwrap()
    }
}

pub fn set(handle: ws_handle, option: number, value: &[u8]) {
    // SAFETY: a live slice.
    check(unsafe { ws_set_option(handle, option as i32, value.as_ptr().cast(), value.len()) });
}

pub fn query(handle: ws_handle, option: number) -> Vec<u8> {
    let mut value = vec![0; 4096];
    let mut length = value.len();
    // SAFETY: a live slice and its length.
    check(unsafe { ws_query_option(handle, option as i32, value.as_mut_ptr().cast(), &mut length) });
    value.truncate(length);
    value
}

fn session() -> ws_handle {
    let mut session = 0;
    // SAFETY: no user agent, and a live out-parameter.
    check(unsafe { ws_open(ptr::null(), 0, &mut session) });
    session
}

fn connect(session: ws_handle, url: &str) -> ws_handle {
    let (url, mut request) = (CString::new(url).unwrap(), 0);
    // SAFETY: a live text, and a live out-parameter.
    check(unsafe { ws_connect(session, url.as_ptr(), &mut request) });
    request
}

fn upgrade(request: ws_handle) -> ws_handle {
    let mut websocket = 0;
    // SAFETY: a live out-parameter.
    check(unsafe { ws_complete_upgrade(request, &mut websocket) });
    websocket
}

fn receive(websocket: ws_handle) -> (Vec<u8>, i32) {
    let (mut room, mut count, mut kind) = (vec![0; 1 << 20], 0, 0);
    // SAFETY: a live slice, and live out-parameters.
    check(unsafe { ws_receive(websocket, room.as_mut_ptr().cast(), room.len(), &mut count, &mut kind) });
    room.truncate(count);
    (room, kind)
}

fn receive_whole(websocket: ws_handle) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let (piece, kind) = receive(websocket);
        all.extend(piece);
        if kind == 0 {
            return all;
        }
        assert_eq!(kind, 1);
    }
}

fn send(websocket: ws_handle, payload: &[u8]) {
    // SAFETY: a live slice.
    check(unsafe { ws_send(websocket, 0, payload.as_ptr().cast(), payload.len()) });
}

fn close_handle(handle: ws_handle) {
    // SAFETY: takes no pointer.
    check(unsafe { ws_close_handle(handle) });
}

pub fn close_all(handles: &[ws_handle]) {
    handles.iter().for_each(|&handle| close_handle(handle));
}

/// A listener for wss, with its session and URL.
struct Server {
    session: ws_handle,
    listener: ws_handle,
    url: String,
}

impl Server {
    fn new(own: &Own, client_ca: Option<&Authority>) -> Server {
        let session = session();
        set(session, WS_OPTION_TLS_CERTIFICATE, own.certificate.as_bytes());
        set(session, WS_OPTION_TLS_KEY, own.key.as_bytes());
        if let Some(authority) = client_ca {
            set(session, WS_OPTION_TLS_CLIENT_CA, authority.certificate.as_bytes());
        }
        let mut listener = 0;
        // SAFETY: a live text, and a live out-parameter.
        check(unsafe { ws_listen(session, c"wss://127.0.0.1:0/".as_ptr(), &mut listener) });
        let url = String::from_utf8(query(listener, WS_OPTION_URL)).unwrap();
        assert!(url.starts_with("wss://127.0.0.1:"));
        Server { session, listener, url }
    }

    fn accept(&self) -> ws_handle {
        let mut request = 0;
        // SAFETY: a live out-parameter.
        check(unsafe { ws_accept(self.listener, &mut request) });
        request
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        close_handle(self.listener);
        close_handle(self.session);
    }
}

#[test]
fn a_conversation_over_wss_and_what_is_known_of_it() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let server = Server::new(&authority.issue(&["127.0.0.1"]), Some(&clients));
    let own = clients.issue_with(&["me"], of_client);
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let request = server.accept();
            // SAFETY: takes no pointer.
            check(unsafe { ws_handshake(request) });
            assert!(query(request, WS_OPTION_URL).starts_with(b"wss://127.0.0.1:"));
            assert_eq!(query(request, WS_OPTION_TLS_VERSION), b"TLSv1.3");
            assert!(!query(request, WS_OPTION_TLS_PEER_CERTIFICATE).is_empty());
            let websocket = upgrade(request);
            close_handle(request);
            for _ in 0..4 {
                send(websocket, &receive_whole(websocket));
            }
            assert_eq!(receive(websocket).1, 4);
            // SAFETY: an empty reason.
            check(unsafe { ws_close(websocket, 1000, ptr::null(), 0) });
            close_handle(websocket);
        });
        let session = session();
        set(session, WS_OPTION_TLS_CA, authority.certificate.as_bytes());
        // Key and certificate in one text.
        set(session, WS_OPTION_TLS_CERTIFICATE, [own.certificate.as_str(), own.key.as_str()].concat().as_bytes());
        let request = connect(session, &server.url);
        let websocket = upgrade(request);
        for handle in [request, websocket] {
            assert_eq!(query(handle, WS_OPTION_TLS_VERSION), b"TLSv1.3");
            assert_eq!(query(handle, WS_OPTION_TLS_CIPHER), b"TLS13_AES_128_GCM_SHA256");
            assert!(query(handle, WS_OPTION_TLS_PEER_CERTIFICATE).len() > 200);
        }
        for length in [0, 1, 70_000, 3_000_000] {
            let payload: Vec<u8> = (0..length).map(|index| (index % 241) as u8).collect();
            send(websocket, &payload);
            assert!(receive_whole(websocket) == payload, "{length}");
        }
        // SAFETY: a live reason.
        check(unsafe { ws_close(websocket, 1000, c"bye".as_ptr().cast::<c_void>(), 3) });
        serving.join().unwrap();
        close_all(&[websocket, request, session]);
    });
}

#[test]
fn a_refused_certificate_is_told_to_both_programs() {
    let (authority, stranger) = (Authority::new("ca"), Authority::new("stranger"));
    let server = Server::new(&authority.issue(&["b.example"]), None);
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            for sentence in ["handshake alert: unknown ca (the client's)", "handshake alert: bad certificate (the client's)"] {
                let request = server.accept();
                // SAFETY: takes no pointer.
                assert_eq!(unsafe { ws_handshake(request) }, 12175);
                assert_eq!(last_error(), sentence);
                close_handle(request);
            }
            let request = server.accept();
            let websocket = upgrade(request);
            close_all(&[websocket, request]);
        });
        let session = session();
        for (authority, status) in [(&stranger, 12045), (&authority, 12038)] {
            set(session, WS_OPTION_TLS_CA, authority.certificate.as_bytes());
            let request = connect(session, &server.url);
            // SAFETY: takes no pointer.
            assert_eq!(unsafe { ws_handshake(request) }, status, "{}", last_error());
            close_handle(request);
        }
        set(session, WS_OPTION_TLS_SERVER_NAME, b"b.example");
        let request = connect(session, &server.url);
        let websocket = upgrade(request);
        serving.join().unwrap();
        close_all(&[websocket, request, session]);
    });
}

#[test]
fn a_client_without_a_certificate_learns_that_one_is_needed() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let server = Server::new(&authority.issue(&["127.0.0.1"]), Some(&clients));
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let request = server.accept();
            // SAFETY: takes no pointer.
            assert_eq!(unsafe { ws_handshake(request) }, 12044);
            close_handle(request);
        });
        let session = session();
        set(session, WS_OPTION_TLS_CA, authority.certificate.as_bytes());
        let request = connect(session, &server.url);
        // SAFETY: takes no pointer.
        assert_eq!(unsafe { ws_handshake(request) }, 12044, "{}", last_error());
        assert_eq!(last_error(), "handshake alert: certificate required: the server asks for a client certificate");
        serving.join().unwrap();
        close_all(&[request, session]);
    });
}

/// Sends the next client on to another place, after it has shown who it is.
fn redirect(server: &Server, location: &str) {
    let (request, location) = (server.accept(), CString::new(location).unwrap());
    // SAFETY: live texts, and no body.
    unsafe {
        check(ws_handshake(request));
        assert!(!query(request, WS_OPTION_TLS_PEER_CERTIFICATE).is_empty());
        check(ws_add_header(request, c"Location".as_ptr(), location.as_ptr()));
        check(ws_respond(request, 302, ptr::null(), ptr::null(), 0));
    }
    close_handle(request);
}

#[test]
fn a_redirect_takes_the_certificate_to_the_same_server_only() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let own = clients.issue_with(&["me"], of_client);
    let [from, to] = [0, 1].map(|_| Server::new(&authority.issue(&["127.0.0.1", "localhost"]), Some(&clients)));
    let elsewhere = to.url.replace("127.0.0.1", "localhost");
    let again = format!("{}again", from.url);
    for (location, is_same) in [(&again, true), (&to.url, false), (&elsewhere, false)] {
        thread::scope(|scope| {
            let serving = scope.spawn(|| {
                redirect(&from, location);
                let request = if is_same { from.accept() } else { to.accept() };
                if is_same {
                    close_handle(upgrade(request));
                    assert!(!query(request, WS_OPTION_TLS_PEER_CERTIFICATE).is_empty());
                } else {
                    // SAFETY: takes no pointer.
                    assert_eq!(unsafe { ws_handshake(request) }, 12044, "{location}: {}", last_error());
                }
                close_handle(request);
            });
            let session = session();
            set(session, WS_OPTION_TLS_CA, authority.certificate.as_bytes());
            set(session, WS_OPTION_TLS_CERTIFICATE, [own.certificate.as_str(), own.key.as_str()].concat().as_bytes());
            set(session, WS_OPTION_REDIRECTS, &1u32.to_ne_bytes());
            let request = connect(session, &from.url);
            // SAFETY: takes no pointer.
            let status = unsafe { ws_handshake(request) };
            assert_eq!(status, if is_same { 0 } else { 12044 }, "{location}: {}", last_error());
            serving.join().unwrap();
            close_all(&[request, session]);
        });
    }
}

#[test]
fn an_end_without_close_notify_is_a_lost_connection() {
    let authority = Authority::new("ca");
    let server = Server::new(&authority.issue(&["127.0.0.1"]), None);
    // Between the two a wire that is cut after the conversation has begun.
    let wire = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = wire.local_addr().unwrap().port();
    let target = server.url.trim_start_matches("wss://").trim_end_matches('/').to_owned();
    thread::scope(|scope| {
        scope.spawn(move || {
            let (client, _) = wire.accept().unwrap();
            let server = TcpStream::connect(target).unwrap();
            let forward = |mut from: TcpStream, mut to: TcpStream| {
                let mut room = [0; 4096];
                while let Ok(count @ 1..) = from.read(&mut room) {
                    // The message that says so cuts it.
                    if std::io::Write::write_all(&mut to, &room[..count]).is_err() || count > 3000 {
                        break;
                    }
                }
                let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
            };
            let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let up = thread::spawn(move || forward(from, to));
            forward(server, client);
            up.join().unwrap();
        });
        let serving = scope.spawn(|| {
            let request = server.accept();
            let websocket = upgrade(request);
            assert_eq!(receive(websocket).0.len(), 3900);
            let (mut room, mut count, mut kind) = ([0u8; 10], 0, 0);
            // SAFETY: a live slice, and live out-parameters.
            let status = unsafe { ws_receive(websocket, room.as_mut_ptr().cast(), room.len(), &mut count, &mut kind) };
            assert_eq!(status, 12030);
            assert_eq!(last_error(), "the connection was cut off: TCP has ended, and TLS has not (no close_notify)");
            close_all(&[websocket, request]);
        });
        let session = session();
        set(session, WS_OPTION_TLS_CA, authority.certificate.as_bytes());
        let request = connect(session, &format!("wss://127.0.0.1:{port}/"));
        let websocket = upgrade(request);
        send(websocket, &[7; 3900]);
        serving.join().unwrap();
        close_all(&[websocket, request, session]);
    });
}

#[test]
fn a_listener_without_a_certificate_says_what_it_needs() {
    let session = session();
    let (mut listener, mut request) = (0, 0);
    // SAFETY: a live text, and live out-parameters.
    unsafe {
        check(ws_listen(session, c"wss://127.0.0.1:0/".as_ptr(), &mut listener));
        assert_eq!(ws_accept(listener, &mut request), 12169);
    }
    assert_eq!(last_error(), "wss needs a certificate: set WS_OPTION_TLS_CERTIFICATE and WS_OPTION_TLS_KEY");
    close_all(&[listener, session]);
}
