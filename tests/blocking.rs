//! A client and a server of the library's own, over a real socket, through the rooms below the C face.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ws101::client;
use ws101::connection::{Connection, Received};
use ws101::driver::blocking::{self, WholeMessage};
use ws101::error::Status;
use ws101::protocol::{CloseFrame, CloseStatus, MessageKind};
use ws101::server::Listener;
use ws101::session::Session;

fn pair() -> (Arc<Connection>, Arc<Connection>) {
    let session = Session::open(None, false);
    let listener = Listener::listen(&session, "ws://127.0.0.1:0/ws/").unwrap();
    let url = listener.url();
    let accepted = thread::spawn(move || listener.accept().unwrap().complete_upgrade().unwrap());
    let client = client::Request::connect(&session, &url).unwrap().complete_upgrade().unwrap();
    (client, accepted.join().unwrap())
}

fn receive_message(connection: &Connection) -> (MessageKind, Vec<u8>) {
    let mut message = Vec::new();
    let mut room = vec![0; 100_000];
    loop {
        let Received::Piece(piece) = blocking::receive(connection, &mut room).unwrap() else { panic!("a close frame") };
        message.extend_from_slice(&room[..piece.length]);
        if piece.ends_message {
            return (piece.kind, message);
        }
    }
}

#[test]
fn messages_of_every_size_go_both_ways() {
    let (client, server) = pair();
    let echo = thread::spawn(move || {
        for _ in 0..12 {
            let (kind, message) = receive_message(&server);
            blocking::send(&server, kind, true, &message).unwrap();
        }
    });
    for (turn, size) in [0, 1, 125, 126, 4095, 65_535, 65_536, 65_537, 200_000, 1 << 20, 3, 70_000].into_iter().enumerate() {
        let kind = if turn % 2 == 0 { MessageKind::Binary } else { MessageKind::Text };
        let sent: Vec<u8> = (0..size).map(|at: usize| (at * 7 % 100) as u8 + 20).collect();
        // A megabyte does not fit the sockets' buffers, so one side must read while the other writes.
        let sender = {
            let client = Arc::clone(&client);
            let sent = sent.clone();
            thread::spawn(move || blocking::send(&client, kind, true, &sent))
        };
        assert_eq!(receive_message(&client), (kind, sent));
        sender.join().unwrap().unwrap();
    }
    echo.join().unwrap();
}

#[test]
fn a_close_is_answered_by_the_library() {
    let (client, server) = pair();
    let closing = thread::spawn(move || {
        let done = CloseFrame::new(CloseStatus::NORMAL, "Done").unwrap();
        let first = blocking::close(&server, done.clone());
        assert!(blocking::close(&server, done).is_ok(), "a repeated close returns the first result");
        first
    });
    assert_eq!(blocking::receive(&client, &mut [0; 10]).unwrap(), Received::Close);
    assert_eq!(client.peer_close().unwrap(), (1000, b"Done".to_vec()));
    closing.join().unwrap().unwrap();
    assert_eq!(client.close_state(), 3);
    assert_eq!(blocking::receive(&client, &mut [0; 10]).unwrap_err().status(), Status::InvalidOperation);
    assert_eq!(blocking::send(&client, MessageKind::Text, true, b"late").unwrap_err().status(), Status::InvalidOperation);
    blocking::close(&client, CloseFrame::empty()).unwrap();
}

#[test]
fn a_receive_that_timed_out_loses_nothing() {
    let (client, server) = pair();
    client
        .change_options(|options| {
            options.receive_timeout = Some(Duration::from_millis(30));
            Ok(())
        })
        .unwrap();
    let error = blocking::receive(&client, &mut [0; 10]).unwrap_err();
    assert_eq!((error.status(), error.to_string().as_str()), (Status::Timeout, "nothing was received within 30 ms"));
    blocking::send(&server, MessageKind::Text, true, b"still here").unwrap();
    assert_eq!(receive_message(&client), (MessageKind::Text, b"still here".to_vec()));
}

#[test]
fn the_memory_of_a_large_message_is_counted_and_goes_back_while_nothing_comes() {
    const SIZE: usize = 1 << 20;
    let (client, server) = pair();
    let sender = thread::spawn(move || {
        for _ in 0..4 {
            blocking::send(&server, MessageKind::Binary, true, &[7; SIZE]).unwrap();
        }
        server
    });
    for _ in 0..4 {
        let WholeMessage::Message(MessageKind::Binary, _, SIZE) = blocking::receive_message(&client).unwrap() else {
            panic!("another message")
        };
        assert!(client.statistics().memory as usize >= SIZE);
    }
    let _server = sender.join().unwrap();
    client
        .change_options(|options| {
            options.receive_timeout = Some(Duration::from_millis(30));
            Ok(())
        })
        .unwrap();
    assert_eq!(blocking::receive_message(&client).unwrap_err().status(), Status::Timeout);
    assert!((client.statistics().memory as usize) < 100 << 10);
}

#[test]
fn closing_the_handle_ends_a_receive_at_once() {
    let (client, _server) = pair();
    let receiving = {
        let client = Arc::clone(&client);
        thread::spawn(move || blocking::receive(&client, &mut [0; 10]).unwrap_err().status())
    };
    while !client.is_receiving() {
        thread::yield_now();
    }
    client.drop_connection();
    assert_eq!(receiving.join().unwrap(), Status::Cancelled);
}
