//! Ends of every kind, and the clocks that lead to some.

use std::time::Duration;

use ws101::error::Status;
use ws101::http::Headers;
use ws101::protocol::component::Control;
use ws101::protocol::{CloseFrame, CloseStatus, MessageKind, Role};

use super::end::{End, Heard, converse};

const SECOND: Duration = Duration::from_secs(1);

fn closing() -> Control<'static> {
    Control::Close(CloseFrame::of(CloseStatus::NORMAL))
}

/// Lets time pass until the end wants to be woken, and no further than that.
fn sleep(end: &mut End) -> Duration {
    end.now = end.wakes_at.expect("it wants to be woken");
    end.act();
    end.now
}

/// Everything that this side has to write, at once.
fn flush(end: &mut End) {
    end.act();
    while end.write(usize::MAX) > 0 {
        end.act();
    }
}

fn hear(end: &mut End, bytes: &[u8]) {
    end.act();
    assert_eq!(end.read(bytes), bytes.len());
    end.act();
}

#[test]
fn the_server_ends_first_and_the_client_when_the_transport_does() {
    let (mut client, mut server) = End::pair(1);
    client.control(closing()).unwrap();
    converse(&mut client, &mut server, &mut [0, 0], usize::MAX);
    assert_eq!((server.closed, client.closed), (Some(Ok(())), None));
    assert_eq!(client.wakes_at, Some(SECOND), "a server that never ends it is not waited for");
    let mut lingering = client;
    assert!(lingering.end_transport());
    lingering.act();
    assert_eq!(lingering.closed, Some(Ok(())));

    let (mut client, mut server) = End::pair(2);
    client.control(closing()).unwrap();
    converse(&mut client, &mut server, &mut [0, 0], usize::MAX);
    assert_eq!(sleep(&mut client), SECOND);
    assert_eq!(client.closed, Some(Ok(())));
}

#[test]
fn a_close_frame_goes_behind_what_was_queued_and_nothing_goes_behind_it() {
    let (_, mut server) = End::pair(1);
    server.send(MessageKind::Text, true, b"last").unwrap();
    server.control(closing()).unwrap();
    assert_eq!(server.send(MessageKind::Text, true, b"late").unwrap_err().status(), Status::InvalidOperation);
    assert_eq!(server.control(closing()).unwrap_err().status(), Status::InvalidOperation);
    assert_eq!(server.control(Control::Ping(b"")).unwrap_err().status(), Status::InvalidOperation);
    flush(&mut server);
    hear(&mut server, b"\x89\x80\0\0\0\0");
    flush(&mut server);
    assert_eq!(server.wire, b"\x81\x04last\x88\x02\x03\xe8", "no pong either");
}

#[test]
fn a_peer_that_does_not_answer_the_close_is_left_behind() {
    let (_, mut server) = End::pair(1);
    server.now = 5 * SECOND;
    server.control(closing()).unwrap();
    flush(&mut server);
    assert_eq!(sleep(&mut server), 15 * SECOND);
    assert_eq!(server.closed, Some(Err(Status::Timeout)));
    assert_eq!(server.heard, [Heard::Failed(Status::Timeout)]);
    assert_eq!(server.receive().unwrap_err().status(), Status::Timeout);

    let (_, mut server) = End::pair(2);
    server.options.close_timeout = None;
    server.control(closing()).unwrap();
    flush(&mut server);
    assert_eq!((server.wakes_at, server.closed), (None, None));
}

#[test]
fn a_peers_close_lets_the_frame_under_way_end_and_refuses_the_others() {
    let (_, mut server) = End::pair(1);
    let first = server.send(MessageKind::Binary, true, &[7; 5000]).unwrap();
    let second = server.send(MessageKind::Binary, true, b"never").unwrap();
    server.act();
    assert_eq!(server.write(10), 10);
    hear(&mut server, b"\x88\x82\0\0\0\0\x0f\xa0");
    assert_eq!(server.heard, [Heard::Close(4000, String::new())]);
    assert_eq!(server.ended, [(second, Err(Status::InvalidOperation))]);
    flush(&mut server);
    assert_eq!(server.ended[1], (first, Ok(())));
    assert_eq!((server.wire.len(), &server.wire[5004..]), (5008, &b"\x88\x02\x0f\xa0"[..]));
    assert_eq!(server.closed, Some(Ok(())));
    assert_eq!(server.receive().unwrap_err().status(), Status::InvalidOperation);
}

#[test]
fn a_program_may_answer_the_close_itself() {
    let (_, mut server) = End::pair(1);
    server.options.manual_close = true;
    hear(&mut server, b"\x88\x80\0\0\0\0");
    flush(&mut server);
    assert_eq!((&server.heard[..], server.wire.len()), (&[Heard::Close(1005, String::new())][..], 0));
    assert_eq!(server.send(MessageKind::Text, true, b"").unwrap_err().status(), Status::InvalidOperation);
    server.control(Control::Close(CloseFrame::of(CloseStatus::new(3001).unwrap()))).unwrap();
    flush(&mut server);
    assert_eq!((&server.wire[..], server.closed), (&b"\x88\x02\x0b\xb9"[..], Some(Ok(()))));
}

#[test]
fn a_close_that_nobody_received_is_told_to_the_next_receive() {
    let (mut client, _) = End::pair(1);
    client.receives = false;
    hear(&mut client, b"\x88\x02\x03\xe9");
    client.receive().unwrap();
    client.act();
    assert_eq!(client.heard, [Heard::Close(1001, String::new())]);
    assert_eq!(client.receive().unwrap_err().status(), Status::InvalidOperation);
    client.control(closing()).expect("it was answered already");
}

#[test]
fn a_violation_is_told_to_both() {
    let (mut client, _) = End::pair(1);
    let lost = client.send(MessageKind::Text, true, b"never").unwrap();
    client.receive().unwrap();
    client.act();
    hear(&mut client, b"\x81\x02ok\x81\x01\xff");
    assert_eq!(client.heard, [Heard::Text(b"ok".into()), Heard::Failed(Status::InvalidPayload)]);
    assert_eq!(client.ended, [], "it was staged before, and goes on");
    flush(&mut client);
    assert_eq!(client.ended, [(lost, Ok(()))]);
    assert_eq!(client.wire.len(), 6 + 5 + 6 + 2);
    assert_eq!(client.closed, None, "the close frame is given time to arrive: unread bytes would reset the transport");
    assert_eq!(client.read(b"ignored"), 7);
    client.act();
    assert_eq!(sleep(&mut client), SECOND);
    assert_eq!(client.closed, Some(Err(Status::InvalidPayload)));
    assert_eq!(client.receive().unwrap_err().status(), Status::InvalidPayload);
    assert_eq!(client.send(MessageKind::Text, true, b"").unwrap_err().status(), Status::InvalidPayload);
}

#[test]
fn a_transport_that_ends_early_is_a_lost_connection() {
    for bytes in [&b""[..], b"\x81", b"\x81\x05hel"] {
        let (mut client, _) = End::pair(1);
        let waiting = client.send(MessageKind::Text, true, b"unsent").unwrap();
        client.act();
        client.read(bytes);
        client.act();
        assert!(client.end_transport());
        client.act();
        assert_eq!(client.heard, [Heard::Failed(Status::Connection)]);
        assert_eq!(client.ended, [(waiting, Err(Status::Connection))]);
        assert_eq!(client.closed, Some(Err(Status::Connection)));
    }
}

#[test]
fn an_abort_ends_everything_that_waits_and_touches_nothing_afterwards() {
    let (_, mut server) = End::pair(1);
    let contexts: Vec<usize> = (0..3).map(|_| server.send(MessageKind::Binary, true, &[1; 3000]).unwrap()).collect();
    server.receive_into(Some(10_000)).unwrap();
    server.act();
    // Into the program's memory, and out of it: both are under way when the program gives up.
    assert_eq!(server.read(b"\x82\xfe\x27\x10\0\0\0\0"), 8);
    server.act();
    assert!(server.is_reading());
    server.component.abort();
    server.act();
    assert_eq!(server.ended, contexts.iter().map(|context| (*context, Err(Status::Cancelled))).collect::<Vec<_>>());
    assert_eq!((&server.heard[..], server.closed), (&[Heard::Failed(Status::Cancelled)][..], Some(Err(Status::Cancelled))));
    // A transport that tells of its end late is fine; the memory is gone, and nobody looks.
    assert!(server.end_transport());
    server.act();
    server.component.abort();
    server.act();
    assert_eq!(server.send(MessageKind::Text, true, b"").unwrap_err().status(), Status::Cancelled);
}

#[test]
fn a_silent_peer_is_asked_and_given_up() {
    let (mut client, mut server) = End::pair(1);
    client.options.keepalive_interval = Some(30 * SECOND);
    let mut carried = [0, 0];
    converse(&mut client, &mut server, &mut carried, usize::MAX);
    assert_eq!(sleep(&mut client), 30 * SECOND);
    converse(&mut client, &mut server, &mut carried, usize::MAX);
    assert_eq!(server.wire, b"\x8a\x00", "it was answered");
    assert_eq!(client.wakes_at, Some(60 * SECOND));

    assert_eq!(sleep(&mut client), 60 * SECOND);
    client.now = 70 * SECOND;
    client.act();
    assert_eq!(client.wakes_at, None, "a ping that has not left is not the peer's silence");
    flush(&mut client);
    assert_eq!(sleep(&mut client), 90 * SECOND);
    assert_eq!((&client.heard[..], client.closed), (&[Heard::Failed(Status::PeerLost)][..], Some(Err(Status::PeerLost))));
}

#[test]
fn unread_data_stops_the_dead_peer_clock_and_the_network() {
    let (mut client, _) = End::pair(1);
    client.options.keepalive_interval = Some(30 * SECOND);
    client.receives = false;
    hear(&mut client, b"\x89\x00\x81\x02hi\x89\x00");
    flush(&mut client);
    assert_eq!(client.wire.len(), 6, "the ping before the data was answered, the one behind it not");
    assert!(!client.is_reading());
    client.now = 100 * SECOND;
    client.act();
    assert_eq!(client.wakes_at, Some(130 * SECOND));
    client.receive().unwrap();
    flush(&mut client);
    assert_eq!((&client.heard[..], client.wire.len()), (&[Heard::Text(b"hi".into())][..], 12));
    assert!(client.is_reading());
}

#[test]
fn a_view_stays_as_it_is_while_the_program_looks() {
    let (mut client, _) = End::pair(1);
    client.dawdles = true;
    hear(&mut client, b"\x01\x03one\x80\x03two\x89\x01?");
    client.act();
    assert_eq!((&client.begun[..], client.is_reading()), (&b"one"[..], false));
    assert_eq!(client.receive().unwrap_err().status(), Status::InvalidOperation, "the last one's action was not completed");
    client.look_away();
    client.act();
    assert_eq!(client.heard, [Heard::Text(b"onetwo".into())]);
    assert!(!client.is_reading(), "all is used, but the network would write over what the program looks at");
    client.look_away();
    flush(&mut client);
    assert!(client.is_reading() && client.wire.len() == 7);
}

#[test]
fn a_handshake_has_its_limit() {
    for role in [Role::Client, Role::Server] {
        let mut end = End::new(role, 1);
        end.now = 3 * SECOND;
        end.begin();
        flush(&mut end);
        assert_eq!(sleep(&mut end), 33 * SECOND);
        assert_eq!((end.handshaken, end.closed), (Some(Err(Status::Timeout)), Some(Err(Status::Timeout))));
    }
    let mut end = End::new(Role::Server, 1);
    end.begin();
    end.act();
    assert!(end.end_transport());
    end.act();
    assert_eq!((end.handshaken, end.closed), (Some(Err(Status::Connection)), Some(Err(Status::Connection))));
}

#[test]
fn a_refused_upgrade_is_told_to_both() {
    for (request, answer) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n\r\n", "HTTP/1.1 426 "),
        ("GET / HTTP/1.1\n", "HTTP/1.1 400 "),
    ] {
        let mut server = End::new(Role::Server, 1);
        server.begin();
        hear(&mut server, request.as_bytes());
        assert_eq!(server.handshaken, Some(Err(Status::UpgradeRefused)));
        flush(&mut server);
        assert!(server.wire.starts_with(answer.as_bytes()), "{}", server.wire.escape_ascii());
        assert_eq!(server.closed, Some(Err(Status::UpgradeRefused)));
    }
    for (answer, expected) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", Status::UpgradeRefused),
        ("HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n", Status::InvalidServerResponse),
        ("SSH-2.0-x\r\n", Status::InvalidServerResponse),
    ] {
        let mut client = End::new(Role::Client, 1);
        client.begin();
        flush(&mut client);
        hear(&mut client, answer.as_bytes());
        assert_eq!((client.handshaken, client.closed), (Some(Err(expected)), Some(Err(expected))));
    }
}

#[test]
fn a_server_may_answer_with_something_else_and_take_its_time() {
    let mut server = End::new(Role::Server, 1);
    server.begin();
    hear(&mut server, b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(server.handshaken, Some(Ok(())));
    let head = server.component.peer_head().unwrap();
    assert_eq!((head.method.as_str(), head.target.as_str(), head.is_websocket), ("GET", "/page", false));
    server.now = 100 * SECOND;
    server.act();
    assert_eq!((server.wakes_at, server.closed), (None, None));
    assert_eq!(server.component.accept(&Headers::new()).unwrap_err().status(), Status::IncorrectHandleState);
    server.component.respond(404, &Headers::new(), b"none").unwrap();
    flush(&mut server);
    assert_eq!(server.wire, b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
    assert_eq!(server.closed, Some(Ok(())));
    assert_eq!(server.component.respond(200, &Headers::new(), b"").unwrap_err().status(), Status::IncorrectHandleState);
}

#[test]
fn limits_are_those_of_the_options() {
    let (mut client, _) = End::pair(1);
    client.options.max_message = Some(5);
    hear(&mut client, b"\x82\x05fives");
    hear(&mut client, b"\x02\x03abc");
    hear(&mut client, b"\x80\x03");
    assert_eq!(client.heard, [Heard::Binary(b"fives".into()), Heard::Failed(Status::MessageTooBig)]);
}
