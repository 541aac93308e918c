//! What is said on one side is heard on the other, however the network cuts it.

use ws101::error::Status;
#[cfg(feature = "deflate")]
use ws101::options::Takeover;
use ws101::protocol::component::Control;
use ws101::protocol::{CloseFrame, CloseStatus, MessageKind};

use super::end::{End, Heard, converse};

fn normal() -> CloseFrame {
    CloseFrame::new(CloseStatus::NORMAL, "Done").unwrap()
}

#[test]
fn messages_go_both_ways_in_parts_of_every_size() {
    for (seed, part, room) in
        [(1, 1, 0), (2, 1, 1), (3, 2, 3), (4, 7, 0), (5, 100, 5000), (6, 5000, 125), (7, 1 << 20, 0), (8, 1 << 20, 1 << 17)]
    {
        let (mut client, mut server) = End::pair(seed);
        (client.room, server.room) = (room, room);
        // A test that looks at everything again with each byte is slow enough with few of them.
        let large = vec![b'x'; if part < 100 { 700 } else { 70_000 }];
        let mut carried = [0, 0];
        for end in [&mut client, &mut server] {
            end.send(MessageKind::Text, true, "zwölf".as_bytes()).unwrap();
            end.send_parts(MessageKind::Binary, false, false, &[b"ab", b"", b"c"]).unwrap();
            end.send(MessageKind::Binary, false, b"").unwrap();
            end.send_parts(MessageKind::Binary, true, false, &[&large, b"end", &large]).unwrap();
            end.send_parts(MessageKind::Text, true, true, &[]).unwrap();
        }
        converse(&mut client, &mut server, &mut carried, part);
        let binary = [b"abc".as_slice(), &large, b"end", &large].concat();
        let expected = [Heard::Text("zwölf".into()), Heard::Binary(binary), Heard::Text(Vec::new())];
        for end in [&client, &server] {
            assert_eq!(end.heard, expected, "{part} {room}");
            assert!(end.ended.is_sorted_by_key(|(context, _)| *context) && end.ended.iter().all(|(_, result)| result.is_ok()));
            assert_eq!(end.ended.len(), 5, "each send has ended once");
        }
    }
}

#[test]
fn a_conversation_split_at_every_byte() {
    let run = |split: usize| {
        let (mut client, mut server) = End::pair(9);
        client.send(MessageKind::Text, false, b"hel").unwrap();
        client.send(MessageKind::Text, true, b"lo").unwrap();
        client.control(Control::Ping(b"?")).unwrap();
        client.send(MessageKind::Binary, true, &[7; 300]).unwrap();
        client.control(Control::Close(normal())).unwrap();
        client.act();
        while client.write(usize::MAX) > 0 {
            client.act();
        }
        let wire = client.wire.clone();
        if split >= wire.len() {
            return None;
        }
        server.act();
        for part in [&wire[..split], &wire[split..]] {
            let mut at = 0;
            while at < part.len() {
                at += server.read(&part[at..]);
                server.act();
            }
        }
        let mut carried = [wire.len(), 0];
        converse(&mut client, &mut server, &mut carried, usize::MAX);
        assert_eq!(server.heard, [Heard::Text(b"hello".into()), Heard::Binary(vec![7; 300]), Heard::Close(1000, "Done".into())], "{split}");
        assert_eq!((server.closed, &client.heard[..]), (Some(Ok(())), &[Heard::Close(1000, String::new())][..]), "{split}");
        // The ping went before the frames that were queued behind it, and its pong before the answer to the close frame.
        assert_eq!(server.wire, b"\x8a\x01?\x88\x02\x03\xe8", "{split}");
        Some(())
    };
    assert!((0..).map_while(run).count() > 300);
}

#[test]
fn the_handshake_as_bytes_split_at_every_byte() {
    for split in 0..400 {
        let (mut client, mut server) = (End::new(ws101::protocol::Role::Client, 1), End::new(ws101::protocol::Role::Server, 2));
        (client.options.compression.enabled, server.options.compression.enabled) = (split % 2 == 0, true);
        (client.receives, server.receives) = (false, false);
        client.begin();
        server.begin();
        client.act();
        client.write(split.max(1));
        client.act();
        while client.write(usize::MAX) > 0 {
            client.act();
        }
        let request = client.wire.clone();
        for part in [&request[..split.min(request.len())], &request[split.min(request.len())..]] {
            server.act();
            let mut at = 0;
            while at < part.len() {
                at += server.read(&part[at..]);
                server.act();
            }
        }
        assert_eq!(server.handshaken, Some(Ok(())), "{split}");
        assert_eq!(server.send(MessageKind::Text, true, b"early").unwrap_err().status(), Status::IncorrectHandleState);
        server.component.accept(&ws101::http::Headers::new()).unwrap();
        // Sent before the client knows that it is one: behind the 101.
        server.send(MessageKind::Text, true, b"welcome").unwrap();
        server.receives = true;
        let mut carried = [request.len(), 0];
        converse(&mut client, &mut server, &mut carried, split.max(1));
        assert_eq!(client.handshaken, Some(Ok(())), "{split}");
        let extensions = [&client, &server].map(|end| end.component.agreed().extensions.as_str());
        assert!(
            extensions[0] == extensions[1] && extensions[0].is_empty() == (split % 2 == 1 || !cfg!(feature = "deflate")),
            "{extensions:?}"
        );
        client.receives = true;
        client.send(MessageKind::Text, true, b"thanks").unwrap();
        converse(&mut client, &mut server, &mut carried, split.max(1));
        assert_eq!((&client.heard[..], &server.heard[..]), (&[Heard::Text(b"welcome".into())][..], &[Heard::Text(b"thanks".into())][..]));
    }
}

#[test]
fn a_large_frame_goes_straight_into_the_programs_memory() {
    let (mut client, mut server) = End::pair(3);
    server.send(MessageKind::Binary, true, &vec![5; 100_000]).unwrap();
    server.act();
    while server.write(usize::MAX) > 0 {
        server.act();
    }
    client.receives = false;
    client.receive_into(Some(1 << 20)).unwrap();
    client.act();
    // The header alone: now it is known how much is missing.
    assert_eq!(client.read(&server.wire[..10]), 10);
    client.act();
    assert_eq!(client.read(&server.wire[10..]), 100_000, "in one read, which the component's own buffer has no room for");
    client.act();
    assert_eq!(client.heard, [Heard::Binary(vec![5; 100_000])]);
}

#[test]
fn small_frames_leave_together() {
    let (_, mut server) = End::pair(4);
    for _ in 0..10 {
        server.send(MessageKind::Text, true, b"tick").unwrap();
    }
    server.act();
    assert_eq!(server.write(usize::MAX), 60, "one write");
    server.act();
    assert_eq!(server.ended.len(), 10);
}

#[test]
fn an_empty_message_ends_also_where_the_staging_memory_does() {
    for length in 1005..1015 {
        let (mut client, _) = End::pair(length);
        client.options.send_buffer_size = 1024;
        client.send(MessageKind::Binary, true, &vec![0; length as usize]).unwrap();
        client.send(MessageKind::Binary, true, b"").unwrap();
        client.act();
        while client.write(usize::MAX) > 0 {
            client.act();
        }
        assert_eq!((client.ended.len(), client.wire.len()), (2, length as usize + 8 + 6));
    }
}

#[cfg(feature = "deflate")]
/// What a side is willing to do about compression; from windows that are kept, to states that forget.
fn compressed(seed: u64) -> (End, End) {
    End::pair_with(seed, |client, server| {
        for options in [client, server] {
            options.compression.enabled = true;
            options.compression.threshold = Some(1);
            if seed.is_multiple_of(2) {
                (options.compression.client_takeover, options.compression.server_takeover) = (Takeover::On, Takeover::On);
            }
        }
    })
}

#[test]
#[cfg(feature = "deflate")]
fn compressed_messages_go_both_ways_in_parts_of_every_size() {
    for (seed, part, room) in
        [(1, 1, 0), (2, 1, 1), (3, 2, 3), (4, 7, 0), (5, 100, 5000), (6, 5000, 125), (7, 1 << 20, 0), (8, 1 << 20, 1 << 17)]
    {
        let (mut client, mut server) = compressed(seed);
        assert!(client.component.agreed().extensions.starts_with("permessage-deflate"), "{:?}", client.component.agreed());
        assert_eq!(client.component.agreed().extensions, server.component.agreed().extensions);
        (client.room, server.room) = (room, room);
        let large: Vec<u8> = (0..if part < 100 { 700 } else { 100_000 }).map(|at: usize| (at / 7 % 251) as u8).collect();
        let mut carried = [0, 0];
        for end in [&mut client, &mut server] {
            end.send(MessageKind::Text, true, "zwölf".repeat(20).as_bytes()).unwrap();
            end.send_parts(MessageKind::Binary, false, false, &[b"ab", b"", b"c"]).unwrap();
            end.send(MessageKind::Binary, false, b"").unwrap();
            end.control(Control::Ping(b"between")).unwrap();
            end.send_parts(MessageKind::Binary, true, false, &[&large, b"end", &large]).unwrap();
            end.send_parts(MessageKind::Text, true, true, &[]).unwrap();
        }
        converse(&mut client, &mut server, &mut carried, part);
        let binary = [b"abc".as_slice(), &large, b"end", &large].concat();
        let expected = [Heard::Text("zwölf".repeat(20).into()), Heard::Binary(binary), Heard::Text(Vec::new())];
        for end in [&client, &server] {
            assert!(end.heard == expected, "{part} {room}: {} heard", end.heard.len());
            assert!(end.ended.len() == 5 && end.ended.iter().all(|(_, result)| result.is_ok()));
            assert!(end.wire.len() < large.len().max(600), "{} bytes were written", end.wire.len());
        }
    }
}

#[test]
#[cfg(feature = "deflate")]
fn a_message_that_inflates_beyond_the_limit_is_refused() {
    for room in [0, 100_000] {
        let (mut client, mut server) = compressed(1);
        (server.room, server.options.max_message) = (room, Some(50_000));
        client.send(MessageKind::Binary, true, &[0; 50_000]).unwrap();
        client.send(MessageKind::Binary, true, &[0; 50_001]).unwrap();
        converse(&mut client, &mut server, &mut [0, 0], usize::MAX);
        assert_eq!((server.heard.len(), &server.heard[1..]), (2, &[Heard::Failed(Status::MessageTooBig)][..]));
        assert_eq!(client.heard, [Heard::Close(1009, String::new())]);
    }
}

#[test]
#[cfg(feature = "deflate")]
fn what_is_not_deflate_data_is_a_violation_and_so_is_its_bit_where_nothing_was_agreed() {
    let (mut client, _) = compressed(1);
    client.act();
    client.read(b"\xc2\x03\xff\xff\xff");
    client.act();
    assert_eq!(client.heard, [Heard::Failed(Status::InvalidPayload)]);
    let (mut client, _) = End::pair(1);
    client.act();
    client.read(b"\xc2\x03\xff\xff\xff");
    client.act();
    assert_eq!(client.heard, [Heard::Failed(Status::ProtocolViolation)]);
}

#[test]
#[cfg(feature = "deflate")]
fn a_program_may_leave_a_message_as_it_is() {
    let (mut client, _) = compressed(1);
    client.compresses = false;
    client.send(MessageKind::Binary, true, &[0; 1000]).unwrap();
    client.compresses = true;
    client.send(MessageKind::Binary, true, &[0; 1000]).unwrap();
    client.act();
    assert!((1008..1100).contains(&client.write(usize::MAX)));
    assert_eq!((client.wire[0], client.wire[1008]), (0x82, 0xC2));
}
