//! Messages, fragments and pings while the connection is open.

use super::*;
use ws101::protocol::MaskingKey;

#[test]
fn messages_of_every_size_are_echoed() {
    for (seed, size) in [0, 1, 2, 3, 4, 124, 125, 126, 127, 128, 1000, 65_535, 65_536, 65_537, 200_000].into_iter().enumerate() {
        for role in ROLES {
            let mut pair = pair(seed as u64);
            let text = "aé€𝄞".repeat(size / 10) + &"x".repeat(size % 10);
            let binary: Vec<u8> = (0..size).map(|index| (index * 31) as u8).collect();
            pair.send(role, MessageKind::Text, true, text.as_bytes()).unwrap();
            pair.send(role, MessageKind::Binary, true, &binary).unwrap();
            pair.run();
            let arrived = pair.side(other(role)).messages();
            assert!(arrived == [Heard::Text(text.into_bytes()), Heard::Binary(binary)], "{size} bytes from {role:?}");
            for message in &arrived {
                let (kind, payload) = match message {
                    Heard::Text(payload) => (MessageKind::Text, payload),
                    Heard::Binary(payload) => (MessageKind::Binary, payload),
                    _ => unreachable!("only messages were asked for"),
                };
                pair.send(other(role), kind, true, payload).unwrap();
            }
            pair.run();
            assert!(pair.side(role).heard == arrived, "{size} bytes back to {role:?}");
            assert!(is_correct(&pair));
        }
    }
}

#[test]
fn fragmented_messages_pass_with_pings_of_both_sides_between() {
    for seed in 0..30 {
        for role in ROLES {
            let mut pair = pair(seed);
            for (index, part) in ["Gr", "", "üße", " an", " alle"].into_iter().enumerate() {
                pair.send(role, MessageKind::Text, false, part.as_bytes()).unwrap();
                pair.ping(role, &[index as u8; 3]).unwrap();
                pair.ping(other(role), &[index as u8; 125]).unwrap();
                if seed % 2 == 0 {
                    pair.run();
                }
            }
            pair.send(role, MessageKind::Text, true, b"").unwrap();
            pair.run();

            let mut expected: Vec<Heard> = (0..5).map(|index| Heard::Ping(vec![index; 3])).collect();
            expected.push(Heard::Text("Grüße an alle".into()));
            let (pongs, heard): (Vec<_>, Vec<_>) =
                pair.side(other(role)).heard.drain(..).partition(|heard| matches!(heard, Heard::Pong(_)));
            assert_eq!(heard, expected);
            assert_eq!(pongs, (0..5).map(|index| Heard::Pong(vec![index; 125])).collect::<Vec<_>>());
            let (pongs, pings): (Vec<_>, Vec<_>) = pair.side(role).heard.drain(..).partition(|heard| matches!(heard, Heard::Pong(_)));
            assert_eq!(pings, (0..5).map(|index| Heard::Ping(vec![index; 125])).collect::<Vec<_>>());
            assert_eq!(pongs, (0..5).map(|index| Heard::Pong(vec![index; 3])).collect::<Vec<_>>());
            assert!(is_correct(&pair));
        }
    }
}

#[test]
fn a_character_may_be_cut_by_fragments() {
    let text = "κόσμε €𝄞".as_bytes();
    for cut in 0..=text.len() {
        let mut pair = pair(cut as u64);
        pair.send(Role::Client, MessageKind::Text, false, &text[..cut]).unwrap();
        pair.send(Role::Client, MessageKind::Text, true, &text[cut..]).unwrap();
        pair.run();
        assert_eq!(pair.server.heard, [Heard::Text(text.to_vec())]);
    }
}

#[test]
fn what_cannot_be_sent_leaves_no_trace() {
    for role in ROLES {
        let mut pair = pair(1);
        pair.send(role, MessageKind::Binary, false, b"begin").unwrap();
        assert_status(pair.send(role, MessageKind::Text, false, b"other kind"), Status::InvalidParameter);
        assert_status(pair.send(role, MessageKind::Text, true, b"other kind"), Status::InvalidParameter);
        assert_status(pair.ping(role, &[0; 126]), Status::InvalidParameter);
        pair.send(role, MessageKind::Binary, true, b" and end").unwrap();
        assert_status(pair.send(role, MessageKind::Text, true, b"\xFF"), Status::InvalidParameter);
        assert_status(pair.send(role, MessageKind::Text, true, b"\xE2\x82"), Status::InvalidParameter);
        // A refused fragment leaves the checker where it was: the character can still be ended.
        pair.send(role, MessageKind::Text, false, b"\xE2").unwrap();
        assert_status(pair.send(role, MessageKind::Text, false, b"a"), Status::InvalidParameter);
        assert_status(pair.send(role, MessageKind::Text, true, b"\x82"), Status::InvalidParameter);
        pair.send(role, MessageKind::Text, true, b"\x82\xAC").unwrap();
        pair.run();
        assert_eq!(pair.side(other(role)).heard, [Heard::Binary(b"begin and end".to_vec()), Heard::Text("€".into())]);
        assert!(is_correct(&pair));
    }
}

#[test]
fn text_is_checked_by_the_receiver_when_the_sender_does_not() {
    let settings = Settings { check_sent_text: false, ..Settings::default() };
    for role in ROLES {
        let mut pair = pair_with(role, settings, 5);
        pair.send(role, MessageKind::Text, true, b"good, then \xFF").unwrap();
        pair.run();
        assert_eq!(pair.side(role).heard, [Heard::Close(1007, String::new())]);
        assert!(pair.side(other(role)).messages().is_empty());
    }
}

#[test]
fn a_client_masks_every_frame_with_a_key_of_its_own_and_a_server_none() {
    let mut pair = pair(3);
    for role in ROLES {
        for index in 0..20 {
            pair.send(role, MessageKind::Binary, index % 3 == 0, &[index; 9]).unwrap();
            pair.ping(role, &[index]).unwrap();
        }
    }
    pair.run();
    let mut keys: Vec<MaskingKey> = frames_of(&pair.client.wire).into_iter().map(|(_, key, _)| key.expect("a client masks")).collect();
    assert_eq!(keys.len(), 60, "20 frames of data, 20 pings, 20 pongs");
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 60, "no key was used twice");
    assert!(frames_of(&pair.server.wire).iter().all(|(_, key, _)| key.is_none()));
    assert_eq!(frames_of(&pair.server.wire).len(), 60);
}

#[test]
fn a_message_may_be_as_large_as_the_limit_and_no_larger() {
    for role in ROLES {
        for (size, is_refused) in [(999, false), (1000, false), (1001, true)] {
            for fragments in [1, 2, 3] {
                let mut settings = Settings::default();
                settings.limits.max_message = 1000;
                let mut pair = pair_with(other(role), settings, size as u64 + fragments);
                let message = vec![1; size];
                let parts: Vec<_> = message.chunks(size.div_ceil(fragments as usize)).collect();
                for (index, part) in parts.iter().enumerate() {
                    pair.send(role, MessageKind::Binary, index + 1 == parts.len(), part).unwrap();
                }
                pair.run();
                if is_refused {
                    assert_eq!(pair.side(role).heard, [Heard::Close(1009, String::new())]);
                    assert!(pair.side(other(role)).messages().is_empty());
                } else {
                    assert_eq!(pair.side(other(role)).heard, [Heard::Binary(message)]);
                }
            }
        }
    }
}

#[test]
fn a_message_may_have_as_many_fragments_as_the_limit_and_no_more() {
    for role in ROLES {
        for (count, is_refused) in [(3, false), (4, false), (5, true)] {
            let mut settings = Settings::default();
            settings.limits.max_fragments = 4;
            let mut pair = pair_with(other(role), settings, count);
            for index in 1..=count {
                pair.send(role, MessageKind::Binary, index == count, b"").unwrap();
            }
            pair.run();
            let heard = if is_refused { &pair.side(role).heard } else { &pair.side(other(role)).heard };
            assert_eq!(*heard, [if is_refused { Heard::Close(1009, String::new()) } else { Heard::Binary(vec![]) }]);
        }
    }
}
