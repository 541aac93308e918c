//! What a side does whose peer breaks the protocol: it says why in a close frame, and stops.

use super::*;
use ws101::protocol::{Opcode, Violation};

/// A wrong conversation, frame by frame, and what it is told.
type Row = (&'static [(u8, &'static [u8])], Violation, u16);

const WRONG: &[Row] = &[
    (&[(0xC1, b"")], Violation::ReservedBit(1), 1002),
    (&[(0xA1, b"")], Violation::ReservedBit(2), 1002),
    (&[(0x91, b"")], Violation::ReservedBit(3), 1002),
    (&[(0x83, b"")], Violation::ReservedOpcode(3), 1002),
    (&[(0x8F, b"")], Violation::ReservedOpcode(15), 1002),
    (&[(0x08, b"")], Violation::FragmentedControlFrame(Opcode::Close), 1002),
    (&[(0x09, b"")], Violation::FragmentedControlFrame(Opcode::Ping), 1002),
    (&[(0x80, b"")], Violation::ContinuationWithoutStart, 1002),
    (&[(0x81, b"a"), (0x00, b"b")], Violation::ContinuationWithoutStart, 1002),
    (&[(0x01, b"a"), (0x82, b"b")], Violation::MessageInsideMessage(MessageKind::Binary), 1002),
    (&[(0x01, b"a"), (0x89, b"p"), (0x81, b"b")], Violation::MessageInsideMessage(MessageKind::Text), 1002),
    (&[(0x81, b"a\xFFb")], Violation::InvalidText, 1007),
    (&[(0x01, b"\xE2"), (0x80, b"a")], Violation::InvalidText, 1007),
    (&[(0x01, b"\xE2\x82"), (0x80, b"")], Violation::InvalidText, 1007),
    (&[(0x88, b"\x03")], Violation::CloseOfOneByte, 1002),
    (&[(0x88, b"\x00\x00")], Violation::CloseStatus(0), 1002),
    (&[(0x88, b"\x03\xE7")], Violation::CloseStatus(999), 1002),
    (&[(0x88, b"\x03\xEC")], Violation::CloseStatus(1004), 1002),
    (&[(0x88, b"\x03\xED")], Violation::CloseStatus(1005), 1002),
    (&[(0x88, b"\x03\xEE")], Violation::CloseStatus(1006), 1002),
    (&[(0x88, b"\x03\xF7")], Violation::CloseStatus(1015), 1002),
    (&[(0x88, b"\x0B\xB7")], Violation::CloseStatus(2999), 1002),
    (&[(0x88, b"\x13\x88")], Violation::CloseStatus(5000), 1002),
    (&[(0x88, b"\x03\xE8\xE2\x82")], Violation::InvalidReason, 1007),
];

fn wrong_bytes(to: Role, frames: &[(u8, &[u8])]) -> Vec<u8> {
    frames.iter().flat_map(|(first, payload)| frame_to(to, *first, payload)).collect()
}

#[test]
fn a_violation_ends_in_its_close_status_at_the_peer() {
    for (row, (frames, violation, status)) in WRONG.iter().enumerate() {
        for role in ROLES {
            let mut pair = pair(row as u64);
            pair.inject(role, &wrong_bytes(role, frames));
            pair.run();
            assert_eq!(pair.side(role).violation, Some(*violation), "{frames:x?}");
            assert_eq!(violation.close_status(), *status);
            assert_eq!(pair.side(other(role)).heard.last(), Some(&Heard::Close(*status, String::new())), "{frames:x?}");
            let last = frames_of(&pair.side(role).wire).pop();
            assert_eq!(last.map(|(first, _, payload)| (first, payload)), Some((0x88, status.to_be_bytes().to_vec())));
        }
    }
}

#[test]
fn lengths_and_masks_that_are_wrong_end_in_1002() {
    let rows: [(Role, &[u8], Violation); 6] = [
        (Role::Server, b"\x81\x00", Violation::UnmaskedFrame),
        (Role::Client, b"\x81\x80\0\0\0\0", Violation::MaskedFrame),
        (Role::Client, b"\x82\x7E\x00\x7D", Violation::LengthNotShortest(125)),
        (Role::Client, b"\x82\x7F\0\0\0\0\0\0\xFF\xFF", Violation::LengthNotShortest(65_535)),
        (Role::Server, b"\x82\xFF\x80\0\0\0\0\0\0\0", Violation::LengthTopBit(1 << 63)),
        (Role::Client, b"\x89\x7E\x00\x7E", Violation::LongControlFrame(Opcode::Ping)),
    ];
    for (seed, (role, bytes, violation)) in rows.into_iter().enumerate() {
        let mut pair = pair(seed as u64);
        pair.inject(role, bytes);
        pair.run();
        assert_eq!(pair.side(role).violation, Some(violation));
        assert_eq!(pair.side(other(role)).heard, [Heard::Close(1002, String::new())]);
    }
}

#[test]
fn after_a_violation_a_side_says_and_hears_nothing_more() {
    for role in ROLES {
        let mut pair = pair(6);
        pair.inject(role, &wrong_bytes(role, &[(0x82, b"good"), (0x83, b"")]));
        pair.run();
        let length = pair.side(role).wire.len();
        pair.inject(role, &wrong_bytes(role, &[(0x82, b"good again"), (0x89, b"?")]));
        pair.run();
        assert_eq!(pair.side(role).heard, [Heard::Binary(b"good".to_vec())]);
        assert_eq!(pair.side(role).violation, Some(Violation::ReservedOpcode(3)), "the same as before");
        assert_status(pair.send(role, MessageKind::Binary, true, b"late"), Status::InvalidOperation);
        assert_status(pair.ping(role, b"late"), Status::InvalidOperation);
        assert_status(pair.close(role, close_frame(1000, "late")), Status::InvalidOperation);
        pair.run();
        assert_eq!(pair.side(role).wire.len(), length);
    }
}

#[test]
fn a_violation_after_the_own_close_frame_sends_no_second_one() {
    for role in ROLES {
        let mut pair = pair(8);
        pair.side(other(role)).can_receive = false;
        pair.close(role, close_frame(1000, "")).unwrap();
        pair.inject(role, &wrong_bytes(role, &[(0x83, b"")]));
        pair.run();
        assert_eq!(pair.side(role).violation, Some(Violation::ReservedOpcode(3)));
        assert_eq!(frames_of(&pair.side(role).wire).len(), 1);
    }
}

#[test]
fn a_ping_before_the_violation_is_answered_before_the_close_frame() {
    for role in ROLES {
        let mut pair = pair(10);
        pair.inject(role, &wrong_bytes(role, &[(0x89, b"ping"), (0x83, b"")]));
        pair.run();
        assert_eq!(pair.side(other(role)).heard, [Heard::Pong(b"ping".to_vec()), Heard::Close(1002, String::new())]);
    }
}
