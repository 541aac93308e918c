//! The closing handshake, begun by either side, by both, or left to the program.

use super::*;

fn closes_of(wire: &[u8]) -> Vec<Vec<u8>> {
    frames_of(wire).into_iter().filter(|(first, ..)| *first == 0x88).map(|(.., payload)| payload).collect()
}

fn is_closed(pair: &Pair) -> bool {
    [&pair.client, &pair.server].iter().all(|side| side.endpoint.lifecycle().is_closed())
}

#[test]
fn a_close_is_answered_with_its_status_by_the_other_side() {
    for role in ROLES {
        for seed in 0..20 {
            let mut pair = pair(seed);
            pair.send(role, MessageKind::Text, true, b"last words").unwrap();
            pair.close(role, close_frame(1000, "Done")).unwrap();
            pair.run();
            assert_eq!(pair.side(other(role)).heard, [Heard::Text(b"last words".to_vec()), Heard::Close(1000, "Done".into())]);
            assert_eq!(pair.side(role).heard, [Heard::Close(1000, String::new())], "the answer has no reason");
            assert!(is_closed(&pair) && is_correct(&pair));
        }
    }
}

#[test]
fn both_sides_may_close_at_once() {
    for seed in 0..20 {
        let mut pair = pair(seed);
        pair.close(Role::Client, close_frame(1001, "leaving")).unwrap();
        pair.close(Role::Server, close_frame(4999, "stopping")).unwrap();
        pair.run();
        assert_eq!(pair.client.heard, [Heard::Close(4999, "stopping".into())]);
        assert_eq!(pair.server.heard, [Heard::Close(1001, "leaving".into())]);
        assert!(is_closed(&pair) && is_correct(&pair));
        assert_eq!(closes_of(&pair.client.wire).len() + closes_of(&pair.server.wire).len(), 2, "one close frame each");
    }
}

#[test]
fn every_status_and_reason_arrives() {
    let longest = "é".repeat(61) + "!";
    assert_eq!(longest.len(), 123);
    for role in ROLES {
        for status in (1000..=1003).chain(1007..=1014).chain([3000, 3999, 4000, 4999]) {
            for reason in ["", "r", longest.as_str()] {
                let mut pair = pair(status.into());
                pair.close(role, close_frame(status, reason)).unwrap();
                pair.run();
                assert_eq!(pair.side(other(role)).heard, [Heard::Close(status, reason.into())]);
                assert_eq!(pair.side(role).heard, [Heard::Close(status, String::new())]);
            }
        }
        let mut pair = pair(7);
        pair.close(role, CloseFrame::empty()).unwrap();
        pair.run();
        assert_eq!(pair.side(other(role)).heard, [Heard::Close(1005, String::new())]);
        assert_eq!(pair.side(role).heard, [Heard::Close(1005, String::new())]);
        assert_eq!(closes_of(&pair.client.wire), [b""]);
        assert_eq!(closes_of(&pair.server.wire), [b""]);
    }
}

#[test]
fn nothing_can_be_sent_after_a_close_frame() {
    for role in ROLES {
        let mut pair = pair(2);
        pair.close(role, close_frame(1000, "")).unwrap();
        for (side, when) in [(role, "at once"), (role, "in the end"), (other(role), "in the end")] {
            if when == "in the end" {
                pair.run();
            }
            let length = pair.side(side).endpoint.outgoing().len();
            assert_status(pair.send(side, MessageKind::Binary, true, b"late"), Status::InvalidOperation);
            assert_status(pair.ping(side, b"late"), Status::InvalidOperation);
            assert_status(pair.close(side, close_frame(1000, "again")), Status::InvalidOperation);
            assert_eq!(pair.side(side).endpoint.outgoing().len(), length);
        }
    }
}

#[test]
fn data_under_way_is_received_after_the_own_close_frame_but_pings_are_not_answered() {
    for role in ROLES {
        for seed in 0..20 {
            let mut pair = pair(seed);
            pair.send(other(role), MessageKind::Binary, true, b"crossing").unwrap();
            pair.ping(other(role), b"crossing too").unwrap();
            pair.send(other(role), MessageKind::Text, false, b"never ended").unwrap();
            pair.close(role, close_frame(1000, "")).unwrap();
            pair.run();
            let heard = [Heard::Binary(b"crossing".to_vec()), Heard::Ping(b"crossing too".to_vec()), Heard::Close(1000, String::new())];
            assert_eq!(pair.side(role).heard, heard);
            assert_eq!(frames_of(&pair.side(role).wire).len(), 1, "nothing but the close frame");
            assert!(is_closed(&pair) && is_correct(&pair));
        }
    }
}

#[test]
fn a_close_may_come_inside_a_fragmented_message() {
    for role in ROLES {
        let mut pair = pair(11);
        pair.send(role, MessageKind::Text, false, b"\xE2\x82").unwrap();
        pair.close(role, close_frame(1001, "")).unwrap();
        pair.run();
        assert_eq!(pair.side(other(role)).heard, [Heard::Close(1001, String::new())]);
        assert!(is_closed(&pair) && is_correct(&pair));
    }
}

#[test]
fn a_manual_close_is_answered_by_the_program() {
    let settings = Settings { manual_close: true, ..Settings::default() };
    for role in ROLES {
        let mut pair = pair_with(role, settings, 9);
        pair.close(other(role), close_frame(3000, "you first")).unwrap();
        pair.run();
        assert_eq!(pair.side(role).heard, [Heard::Close(3000, "you first".into())]);
        assert!(pair.side(role).wire.is_empty(), "nothing was answered");
        assert!(!pair.side(role).endpoint.lifecycle().is_closed() && !pair.side(other(role)).endpoint.lifecycle().is_closed());
        assert_status(pair.send(role, MessageKind::Binary, true, b"late"), Status::InvalidOperation);
        pair.close(role, close_frame(4000, "then I")).unwrap();
        pair.run();
        assert_eq!(pair.side(other(role)).heard, [Heard::Close(4000, "then I".into())]);
        assert!(is_closed(&pair) && is_correct(&pair));
    }
}

#[test]
fn bytes_after_the_peers_close_frame_are_not_used() {
    for role in ROLES {
        let mut pair = pair(4);
        pair.close(other(role), close_frame(1000, "")).unwrap();
        pair.run();
        let heard = pair.side(role).heard.clone();
        for late in [frame_to(role, 0x81, b"late"), frame_to(role, 0x88, b""), vec![0xFF; 20]] {
            pair.inject(role, &late);
            pair.run();
        }
        assert_eq!(pair.side(role).heard, heard);
        assert!(is_correct(&pair));
    }
}
