//! Encrypted streams over sockets: what a receiver, a sender and the end of either look like from above.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use socket2::Socket;
use ws101::error::{Error, Status};
use ws101::transport::tls::{ClientConfig, Configurations, Handshake, ServerConfig};
use ws101::transport::{Interest, Patience, Stream};

use crate::certificates::Authority;
use crate::pair::{meet, owning, shake_hands, streams, trusting};

/// Two ends that have shaken hands.
fn connected(min_version: u32) -> (Stream, Stream) {
    let authority = Authority::new("ca");
    let (mut client, server) = (trusting(&authority), owning(&authority.issue(&["a.example"])));
    client.min_version = min_version;
    meet(&client, &server, "a.example").both()
}

fn receive_all(stream: &Stream, length: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let mut room = vec![0; 100_000];
    while all.len() < length {
        match stream.receive(&mut room, &mut [], Patience::Slice) {
            Ok(0) => break,
            Ok(count) => all.extend_from_slice(&room[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
    all
}

fn send_all(stream: &Stream, header: &[u8], payload: &[u8]) {
    let (mut header, mut payload) = (header, payload);
    while !header.is_empty() || !payload.is_empty() {
        match stream.send(header, payload, Patience::Slice) {
            Ok(count) => {
                let of_header = count.min(header.len());
                (header, payload) = (&header[of_header..], &payload[count - of_header..]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 % 253) as u8).collect()
}

fn reason(error: &std::io::Error) -> Error {
    Error::from_io(Status::Connection, "no reason of our own", error)
}

#[test]
fn bytes_come_out_as_they_went_in_whatever_the_sizes() {
    let (client, server) = connected(12);
    for length in [1, 2, 125, 16_383, 16_384, 16_385, 65_536, 1_000_000] {
        let payload = pattern(length);
        thread::scope(|scope| {
            scope.spawn(|| send_all(&client, b"head", &payload));
            let all = receive_all(&server, length + 4);
            assert!(all[..4] == *b"head" && all[4..] == payload[..], "{length}");
        });
    }
}

#[test]
fn many_pieces_are_one_stream() {
    let (client, server) = connected(12);
    let pieces: Vec<Vec<u8>> = (0..100).map(|index| pattern(index * 31)).collect();
    let all = pieces.concat();
    let mut left: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !left.is_empty() {
                let mut count = client.send_parts(&[], left[0], &left[1..], Patience::Slice).unwrap_or(0);
                while let Some(first) = left.first_mut() {
                    let taken = count.min(first.len());
                    (*first, count) = (&first[taken..], count - taken);
                    if !first.is_empty() {
                        break;
                    }
                    left.remove(0);
                }
            }
        });
        assert_eq!(receive_all(&server, all.len()), all);
    });
}

#[test]
fn both_directions_at_once_do_not_wait_for_each_other() {
    for version in [12, 13] {
        let (client, server) = connected(version);
        let payload = pattern(5_000_000);
        thread::scope(|scope| {
            for (one, other) in [(&client, &server), (&server, &client)] {
                scope.spawn(|| send_all(one, b"", &payload));
                scope.spawn(|| assert!(receive_all(other, payload.len()) == payload));
            }
        });
    }
}

#[test]
fn a_sender_goes_on_while_a_ticket_dribbles_in() {
    let authority = Authority::new("ca");
    let server = ServerConfig::new(&owning(&authority.issue(&["a.example"]))).unwrap();
    let client = ClientConfig::new(&trusting(&authority)).unwrap();
    // Between the two a wire that lets one byte through at a time.
    let ((near, near_wire), (far_wire, far)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    let forward = |mut from: UnixStream, mut to: UnixStream, size: usize| {
        let mut room = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut room[..size]) {
            to.write_all(&room[..count]).unwrap();
        }
        let _ = to.shutdown(std::net::Shutdown::Write);
    };
    let (near_copy, far_copy) = (near_wire.try_clone().unwrap(), far_wire.try_clone().unwrap());
    thread::scope(|scope| {
        scope.spawn(move || forward(near_wire, far_wire, 4096));
        scope.spawn(move || forward(far_copy, near_copy, 1));
        let serving = scope.spawn(|| {
            let mut handshake = Handshake::server(Stream::new(Socket::from(far), true).unwrap(), &server).unwrap();
            while handshake.step().unwrap().is_some() {
                thread::yield_now();
            }
            let stream = handshake.into_stream();
            send_all(&stream, b"", &pattern(10_000));
            assert!(receive_all(&stream, 300_000) == vec![b'x'; 300_000]);
            stream.shut_down();
        });
        let mut handshake = Handshake::client(Stream::new(Socket::from(near), true).unwrap(), &client, "a.example").unwrap();
        while handshake.step().unwrap().is_some() {
            thread::yield_now();
        }
        let stream = Arc::new(handshake.into_stream());
        let sending = Arc::clone(&stream);
        let sender = scope.spawn(move || {
            for _ in 0..3000 {
                send_all(&sending, b"", &[b'x'; 100]);
            }
        });
        assert!(receive_all(&stream, 10_000) == pattern(10_000));
        sender.join().unwrap();
        stream.shut_down();
        serving.join().unwrap();
    });
}

#[test]
fn a_full_socket_keeps_the_promise_about_the_last_byte() {
    let (client, server) = connected(12);
    let payload = pattern(10_000_000);
    // The socket takes a part; all that was encrypted is taken but one byte.
    let short = client.send(&payload, &[], Patience::None).unwrap();
    assert!(short < payload.len() && short % 16_384 == 16_383, "{short}");
    assert_eq!(client.send(&payload[short..], &[], Patience::None).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(!client.wants_write(), "the rest comes with the caller's next send");
    let expected = [&payload[..], b"!"].concat();
    thread::scope(|scope| {
        let reader = scope.spawn(|| receive_all(&server, expected.len()));
        send_all(&client, &payload[short..], b"!");
        assert!(reader.join().unwrap() == expected);
    });
}

#[test]
fn the_end_is_told_once_both_sides_have_said_so() {
    for version in [12, 13] {
        let (client, server) = connected(version);
        send_all(&client, b"last ", b"words");
        client.end_sending();
        assert_eq!(receive_all(&server, 10), b"last words");
        assert_eq!(server.receive(&mut [0; 10], &mut [], Patience::None).unwrap(), 0);
        assert_eq!(server.receive(&mut [0; 10], &mut [], Patience::None).unwrap(), 0, "again");
        assert!(!server.may_have_more(false));
        send_all(&server, b"", b"answer");
        assert_eq!(receive_all(&client, 6), b"answer");
    }
}

#[test]
fn an_end_of_tcp_alone_is_no_end() {
    let (client, server) = connected(12);
    send_all(&client, b"", b"words");
    client.shut_down();
    assert_eq!(receive_all(&server, 5), b"words");
    let error = reason(&server.receive(&mut [0; 10], &mut [], Patience::None).unwrap_err());
    assert_eq!(error.status(), Status::Connection);
    assert_eq!(error.to_string(), "the connection was cut off: TCP has ended, and TLS has not (no close_notify)");
}

#[test]
fn the_end_is_announced_as_buffered_until_it_is_told() {
    let (client, server) = connected(12);
    send_all(&client, b"", b"words");
    client.end_sending();
    assert_eq!(server.receive(&mut [0; 3], &mut [], Patience::Slice).unwrap(), 3);
    assert!(server.may_have_more(false));
    assert_eq!(server.receive(&mut [0; 3], &mut [], Patience::Slice).unwrap(), 2);
    assert!(server.may_have_more(false), "the socket may never be readable again for this");
    assert_eq!(server.receive(&mut [0; 3], &mut [], Patience::Slice).unwrap(), 0);
    assert!(!server.may_have_more(false));
}

#[test]
fn a_peer_that_stops_in_the_middle_is_waited_for_and_its_end_is_a_fault() {
    let authority = Authority::new("ca");
    let (mut raw, server_end) = UnixStream::pair().unwrap();
    let server = ServerConfig::new(&owning(&authority.issue(&["a.example"]))).unwrap();
    let mut handshake = Handshake::server(Stream::new(Socket::from(server_end), true).unwrap(), &server).unwrap();
    assert_eq!(handshake.step().unwrap(), Some(Interest::READ));
    raw.write_all(&[22, 3, 1]).unwrap();
    assert_eq!(handshake.step().unwrap(), Some(Interest::READ));
    drop(raw);
    let error = handshake.step().unwrap_err();
    let sentence = "the peer ended the connection in the middle of the TLS handshake";
    assert_eq!((error.status(), error.to_string().as_str()), (Status::Connection, sentence));
}

#[test]
fn a_session_is_resumed_and_still_knows_its_server() {
    let authority = Authority::new("ca");
    let configurations = Configurations::default();
    let server = ServerConfig::new(&owning(&authority.issue(&["a.example"]))).unwrap();
    for version in [13, 12] {
        let mut options = trusting(&authority);
        options.min_version = version;
        let options = Arc::new(options);
        for attempt in 0..2 {
            let (client, server) = shake_hands(&configurations.client(&options).unwrap(), &server, "a.example").both();
            // The ticket comes with the first bytes.
            send_all(&server, b"", b"hello");
            assert_eq!(receive_all(&client, 5), b"hello");
            let security = client.security().unwrap();
            assert_eq!(security.version, "TLSv1.3");
            assert_eq!(security.cipher, "TLS13_AES_128_GCM_SHA256");
            assert!(!security.certificate.is_empty());
            assert_eq!(security.is_resumed, attempt == 1, "{version} {attempt}");
        }
    }
}

/// A socket of which all is read is readable again when something comes; one of which something was left is not.
#[test]
fn what_is_left_in_the_socket_is_not_forgotten_over_what_is_left_in_memory() {
    let (client, server) = connected(12);
    let payload = pattern(1_000_000);
    let _ = client.send(&payload, &[], Patience::None).unwrap();
    let (mut room, mut heard, mut turns) = ([0; 1000], 0, 0);
    while let Ok(count) = server.receive(&mut room, &mut [], Patience::None) {
        (heard, turns) = (heard + count, turns + 1);
        if !server.may_have_more(false) {
            break;
        }
    }
    assert!(heard > 100_000 && turns > 100, "{heard} in {turns}");
    assert_eq!(server.receive(&mut room, &mut [], Patience::None).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(!server.may_have_more(false));
}

#[test]
fn a_plain_stream_is_as_it_was() {
    let (left, right) = streams();
    assert!(left.security().is_none() && !left.wants_write() && !left.may_have_more(false));
    left.flush(Patience::None).unwrap();
    send_all(&left, b"a", b"b");
    assert_eq!(receive_all(&right, 2), b"ab");
    left.end_sending();
    assert_eq!(right.receive(&mut [0; 1], &mut [], Patience::None).unwrap(), 0);
    assert_eq!(size_of::<Stream>(), 16);
}
