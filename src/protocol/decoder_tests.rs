//! The decoder against RFC 6455 §5, rule by rule, for both senders.
//!
//! Every table row runs whole, split at every byte and byte by byte, with rooms from one byte up, and through both doors in four
//! patterns: the same must be heard each time. Frames are written here by hand, so that an error of the encoder cannot hide one of
//! the decoder.

#[path = "decoder_listener.rs"]
mod listener;

use super::*;
use listener::*;

use Heard::{Close, Data, Ping, Pong};
use MessageKind::{Binary, Text};

fn data(kind: MessageKind, bytes: &[u8]) -> Heard {
    Data(kind, bytes.to_vec(), true)
}

fn part(kind: MessageKind, bytes: &[u8]) -> Heard {
    Data(kind, bytes.to_vec(), false)
}

type Row<'a> = (&'a str, &'a [(u8, &'a [u8])], Vec<Heard>, Option<Violation>);

fn check_rows(rows: &[Row]) {
    for (what, row, expected, violation) in rows {
        for sender in SENDERS {
            check(what, sender, Limits::default(), &frames(sender, row), expected, *violation);
        }
    }
}

#[test]
fn messages_come_out_as_they_were_sent() {
    check_rows(&[
        ("a text", &[(0x81, b"Hello")], vec![data(Text, b"Hello")], None),
        ("a binary", &[(0x82, &[0, 255, 128])], vec![data(Binary, &[0, 255, 128])], None),
        ("an empty text", &[(0x81, b"")], vec![data(Text, b"")], None),
        ("an empty binary", &[(0x82, b"")], vec![data(Binary, b"")], None),
        ("two messages", &[(0x81, b"a"), (0x82, b"b")], vec![data(Text, b"a"), data(Binary, b"b")], None),
        ("a 16-bit length", &[(0x82, &[7; 126])], vec![data(Binary, &[7; 126])], None),
    ]);
}

#[test]
fn fragments_are_one_message_of_the_first_ones_kind() {
    check_rows(&[
        ("two", &[(0x01, b"Hel"), (0x80, b"lo")], vec![data(Text, b"Hello")], None),
        ("three", &[(0x02, b"a"), (0x00, b"b"), (0x80, b"c")], vec![data(Binary, b"abc")], None),
        ("open", &[(0x02, b"a"), (0x00, b"b")], vec![part(Binary, b"ab")], None),
        ("an empty first one", &[(0x01, b""), (0x80, b"lo")], vec![data(Text, b"lo")], None),
        ("an empty one between", &[(0x01, b"a"), (0x00, b""), (0x80, b"b")], vec![data(Text, b"ab")], None),
        ("an empty last one", &[(0x01, b"Hello"), (0x80, b"")], vec![data(Text, b"Hello")], None),
        ("nothing but empty ones", &[(0x01, b""), (0x00, b""), (0x80, b"")], vec![data(Text, b"")], None),
        ("and a next message", &[(0x01, b"a"), (0x80, b"b"), (0x82, b"c")], vec![data(Text, b"ab"), data(Binary, b"c")], None),
    ]);
}

#[test]
fn control_frames_come_between_fragments_with_their_payload_whole() {
    let both = vec![part(Text, b"Hel"), Ping(b"123".to_vec()), Pong(vec![]), data(Text, b"lo")];
    let close = vec![part(Binary, b"x"), Close(vec![3, 232])];
    let character = vec![part(Text, b"\xE2\x82"), Ping(b"\xFF".to_vec()), data(Text, b"\xAC")];
    check_rows(&[
        ("both kinds", &[(0x01, b"Hel"), (0x89, b"123"), (0x8A, b""), (0x80, b"lo")], both, None),
        ("close ends it", &[(0x02, b"x"), (0x88, &[3, 232])], close, None),
        ("in a character", &[(0x01, b"\xE2\x82"), (0x89, b"\xFF"), (0x80, b"\xAC")], character, None),
    ]);
}

#[test]
fn control_frames_carry_0_to_125_bytes() {
    let payload: Vec<u8> = (0..=255).collect();
    for sender in SENDERS {
        for length in [0, 1, 2, 124, 125] {
            let payload = &payload[..length];
            for (first, heard) in [(0x88, Close(payload.to_vec())), (0x89, Ping(payload.to_vec())), (0x8A, Pong(payload.to_vec()))] {
                check("a control frame", sender, Limits::default(), &frame(sender, first, payload), &[heard], None);
            }
        }
    }
    for sender in SENDERS {
        // A shorter payload after a longer one: nothing of the first is left.
        let wire = frames(sender, &[(0x89, b"long enough"), (0x8A, b"no"), (0x89, b"")]);
        let heard = [Ping(b"long enough".to_vec()), Pong(b"no".to_vec()), Ping(vec![])];
        check("one after the other", sender, Limits::default(), &wire, &heard, None);
    }
}

#[test]
fn a_message_may_not_begin_or_go_on_at_the_wrong_time() {
    let (start, inside) = (Violation::ContinuationWithoutStart, Violation::MessageInsideMessage);
    check_rows(&[
        ("first thing", &[(0x80, b"x")], vec![], Some(start)),
        ("first thing, not final", &[(0x00, b"x")], vec![], Some(start)),
        ("after a message", &[(0x82, b"a"), (0x80, b"b")], vec![data(Binary, b"a")], Some(start)),
        ("after an ended one", &[(0x01, b"a"), (0x80, b""), (0x00, b"b")], vec![data(Text, b"a")], Some(start)),
        ("after a ping", &[(0x89, b""), (0x80, b"b")], vec![Ping(vec![])], Some(start)),
        ("a text in a text", &[(0x01, b"a"), (0x81, b"b")], vec![part(Text, b"a")], Some(inside(Text))),
        ("a binary in a text", &[(0x01, b"a"), (0x02, b"b")], vec![part(Text, b"a")], Some(inside(Binary))),
        ("a text in a binary", &[(0x02, b"a"), (0x01, b"")], vec![part(Binary, b"a")], Some(inside(Text))),
    ]);
}

#[test]
fn every_first_byte_is_right_or_named() {
    for sender in SENDERS {
        for first in 0..=u8::MAX {
            let (bits, opcode) = (first >> 4 & 7, first & 0xF);
            let violation = match (bits, opcode) {
                (4..=7, _) => Some(Violation::ReservedBit(1)),
                (2..=3, _) => Some(Violation::ReservedBit(2)),
                (1, _) => Some(Violation::ReservedBit(3)),
                (_, 3..=7 | 11..=15) => Some(Violation::ReservedOpcode(opcode)),
                (_, 8) if first < 0x80 => Some(Violation::FragmentedControlFrame(Opcode::Close)),
                (_, 9) if first < 0x80 => Some(Violation::FragmentedControlFrame(Opcode::Ping)),
                (_, 10) if first < 0x80 => Some(Violation::FragmentedControlFrame(Opcode::Pong)),
                (_, 0) => Some(Violation::ContinuationWithoutStart),
                _ => None,
            };
            let heard = match opcode {
                _ if violation.is_some() => vec![],
                1 => vec![Data(Text, b"x".to_vec(), first >= 0x80)],
                2 => vec![Data(Binary, b"x".to_vec(), first >= 0x80)],
                8 => vec![Close(b"x".to_vec())],
                9 => vec![Ping(b"x".to_vec())],
                _ => vec![Pong(b"x".to_vec())],
            };
            check(&format!("{first:#x}"), sender, Limits::default(), &frame(sender, first, b"x"), &heard, violation);
        }
    }
}

#[test]
fn lengths_have_their_shortest_form_and_63_bits() {
    let limits = Limits::default();
    for sender in SENDERS {
        for length in [0u16, 1, 125] {
            let wire = raw_frame(sender, 0x82, 126, &length.to_be_bytes(), &[]);
            check("16 bits", sender, limits, &wire, &[], Some(Violation::LengthNotShortest(length.into())));
        }
        for length in [0u64, 125, 126, 65_535] {
            let wire = raw_frame(sender, 0x82, 127, &length.to_be_bytes(), &[]);
            check("64 bits", sender, limits, &wire, &[], Some(Violation::LengthNotShortest(length)));
        }
        for length in [1 << 63, u64::MAX] {
            let wire = raw_frame(sender, 0x82, 127, &length.to_be_bytes(), &[]);
            check("the top bit", sender, limits, &wire, &[], Some(Violation::LengthTopBit(length)));
        }
        for (short, name) in [(126, &[0, 126][..]), (127, &[0, 0, 0, 0, 0, 1, 0, 0])] {
            for (first, opcode) in [(0x88, Opcode::Close), (0x89, Opcode::Ping), (0x8A, Opcode::Pong)] {
                let wire = raw_frame(sender, first, short, name, &[]);
                check("a long control frame", sender, limits, &wire, &[], Some(Violation::LongControlFrame(opcode)));
            }
        }
        // The longest there is: accepted, and nothing is allocated for it.
        let wire = raw_frame(sender, 0x82, 127, &i64::MAX.to_be_bytes(), b"begin");
        check("63 bits", sender, limits, &wire, &[part(Binary, b"begin")], None);
    }
}

#[test]
fn a_64_bit_length_at_its_least() {
    let payload: Vec<u8> = (0..65_536u32).map(|index| (index % 251) as u8).collect();
    for sender in SENDERS {
        let wire = frame(sender, 0x82, &payload);
        for (read, room, doors) in [(wire.len(), 70_000, 0), (wire.len(), 4096, u32::MAX), (1, 1, 0), (1000, 333, 0xAAAA_AAAA)] {
            let mut listener = Listener::new(sender, Limits::default(), room, doors);
            wire.chunks(read).for_each(|part| listener.take(part).unwrap());
            assert!(listener.heard == [data(Binary, &payload)], "in reads of {read} from {sender:?}");
        }
    }
}

#[test]
fn the_masking_bit_must_fit_the_sender() {
    for (sender, violation) in [(Role::Client, Violation::UnmaskedFrame), (Role::Server, Violation::MaskedFrame)] {
        let other = if sender == Role::Client { Role::Server } else { Role::Client };
        for first in [0x81, 0x02, 0x88, 0x89, 0x8A] {
            check("a wrong mask", sender, Limits::default(), &frame(other, first, b"x"), &[], Some(violation));
        }
        let wire = [frame(sender, 0x01, b"a"), frame(other, 0x80, b"b")].concat();
        check("in a continuation", sender, Limits::default(), &wire, &[part(Text, b"a")], Some(violation));
    }
}

#[test]
fn a_room_that_fits_exactly_ends_the_message() {
    for sender in SENDERS {
        for length in [1, 2, 5, 126] {
            let wire = frame(sender, 0x82, &vec![9; length]);
            for room in [length, length + 1] {
                let mut room = vec![0; room];
                let piece = Piece { kind: Binary, length, ends_message: true };
                assert_eq!(Decoder::new(sender, Limits::default()).feed(&wire, &mut room), Ok((wire.len(), Item::Piece(piece))));
            }
        }
        let wire = frame(sender, 0x82, b"ab");
        let (mut decoder, mut room) = (Decoder::new(sender, Limits::default()), [0; 1]);
        let (used, item) = decoder.feed(&wire, &mut room).unwrap();
        assert_eq!(item, Item::Piece(Piece { kind: Binary, length: 1, ends_message: false }));
        assert_eq!(decoder.direct_room(), 1);
        let (_, item) = decoder.feed(&wire[used..], &mut room).unwrap();
        assert_eq!(item, Item::Piece(Piece { kind: Binary, length: 1, ends_message: true }));
        assert_eq!(decoder.direct_room(), 0);
    }
}

#[test]
fn a_piece_never_spans_two_frames() {
    for sender in SENDERS {
        let wire = frames(sender, &[(0x02, b"ab"), (0x00, b""), (0x80, b"c")]);
        let (mut decoder, mut room, mut at) = (Decoder::new(sender, Limits::default()), [0; 100], 0);
        for (length, ends_message) in [(2, false), (0, false), (1, true)] {
            let (used, item) = decoder.feed(&wire[at..], &mut room).unwrap();
            assert_eq!(item, Item::Piece(Piece { kind: Binary, length, ends_message }));
            at += used;
        }
        assert_eq!(decoder.feed(&wire[at..], &mut room), Ok((0, Item::NeedBytes)));
    }
}

#[test]
fn the_second_door_is_open_only_inside_a_data_frame() {
    for sender in SENDERS {
        let mut decoder = Decoder::new(sender, Limits::default());
        let wire = frames(sender, &[(0x01, b"abc"), (0x89, b"ping"), (0x80, b"d")]);
        let header = frame(sender, 0x01, b"").len();
        let (first, ping) = (header + 3, frame(sender, 0x89, b"ping").len());
        let mut room = [0; 10];
        for at in 0..wire.len() {
            let expected = match at {
                _ if (header..first).contains(&at) => first - at,
                _ if at == wire.len() - 1 => 1,
                _ => 0,
            };
            assert_eq!(decoder.direct_room(), expected as u64, "before byte {at} of {sender:?}, ping of {ping}");
            decoder.feed(&wire[at..=at], &mut room).unwrap();
        }
        assert_eq!(decoder.direct_room(), 0);
    }
}

#[test]
fn a_message_too_big_is_refused_at_its_header() {
    let limit = 10;
    let limits = Limits { max_message: limit, ..Limits::default() };
    let too_big = Some(Violation::MessageTooBig { limit });
    let payload = [7; 11];
    for sender in SENDERS {
        for (length, violation) in [(9, None), (10, None), (11, too_big)] {
            let wire = frame(sender, 0x82, &payload[..length]);
            let heard = if violation.is_some() { vec![] } else { vec![data(Binary, &payload[..length])] };
            check("one frame", sender, limits, &wire, &heard, violation);
            // The header alone is enough.
            let header = &wire[..wire.len() - length];
            let found = Decoder::new(sender, limits).feed(header, &mut [0; 100]);
            assert_eq!(found.err(), violation);
        }
        for (second, violation) in [(3, None), (4, None), (5, too_big)] {
            let wire = frames(sender, &[(0x02, &payload[..6]), (0x80, &payload[..second])]);
            let heard = if violation.is_some() { part(Binary, &payload[..6]) } else { data(Binary, &payload[..6 + second]) };
            check("two frames", sender, limits, &wire, &[heard], violation);
        }
        // Sizes are of messages, not of the connection; control frames do not count.
        let wire = frames(sender, &[(0x02, &payload[..10]), (0x89, &payload), (0x80, b""), (0x82, &payload[..10])]);
        let heard = [part(Binary, &payload[..10]), Ping(payload.to_vec()), data(Binary, b""), data(Binary, &payload[..10])];
        check("several messages", sender, limits, &wire, &heard, None);
        // A sum that does not fit 64 bits is as large as can be.
        let huge = [frame(sender, 0x02, b"ab"), raw_frame(sender, 0x00, 127, &i64::MAX.to_be_bytes(), b"")].concat();
        check("a huge continuation", sender, limits, &huge, &[part(Binary, b"ab")], too_big);
    }
}

#[test]
fn too_many_fragments_are_refused_at_the_first_one_too_many() {
    let limits = Limits { max_fragments: 3, ..Limits::default() };
    let too_many = Some(Violation::TooManyFragments { limit: 3 });
    for sender in SENDERS {
        let two: &[(u8, &[u8])] = &[(0x01, b"a"), (0x80, b"b")];
        let three: &[(u8, &[u8])] = &[(0x01, b"a"), (0x89, b""), (0x00, b""), (0x80, b"b")];
        let four: &[(u8, &[u8])] = &[(0x01, b"a"), (0x00, b"b"), (0x00, b"c"), (0x80, b"")];
        check("two", sender, limits, &frames(sender, two), &[data(Text, b"ab")], None);
        check("three", sender, limits, &frames(sender, three), &[part(Text, b"a"), Ping(vec![]), data(Text, b"b")], None);
        check("four", sender, limits, &frames(sender, four), &[part(Text, b"abc")], too_many);
        let twice = [frames(sender, two), frames(sender, two)].concat();
        check("again", sender, limits, &twice, &[data(Text, b"ab"), data(Text, b"ab")], None);
    }
}

#[test]
fn new_limits_hold_from_the_next_frame_on() {
    let mut listener = Listener::new(Role::Server, Limits::default(), 100, 0);
    listener.take(&frame(Role::Server, 0x02, b"12345")[..4]).unwrap();
    listener.decoder.set_limits(Limits { max_message: 4, ..Limits::default() });
    listener.take(b"345").unwrap();
    assert_eq!(listener.heard, [part(Binary, b"12345")]);
    assert_eq!(listener.take(&frame(Role::Server, 0x80, b"")), Err(Violation::MessageTooBig { limit: 4 }));
}

/// A text, and the index of the first byte with which it can no longer become valid.
const IMPOSSIBLE: &[(&[u8], usize)] = &[
    (b"ab\xFFcd", 2),
    (b"a\x80", 1),
    (b"\xC0\xAF", 0),
    (b"\xC1\xBF", 0),
    (b"\xE0\x9F\xBF", 1),
    (b"\xED\xA0\x80", 1),
    (b"\xF0\x8F\xBF\xBF", 1),
    (b"\xF4\x90\x80\x80", 1),
    (b"\xF5\x80\x80\x80", 0),
    (b"\xE2\x82a\xAC", 2),
    (b"\xE2a", 1),
    (b"\xF0\x9F\x98a", 3),
    (b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xF4\x90\x80\x80ed", 8),
];

#[test]
fn a_text_is_refused_at_its_first_impossible_byte_across_fragments() {
    for &(text, at) in IMPOSSIBLE {
        for sender in SENDERS {
            for cut in 0..=text.len() {
                let wire = frames(sender, &[(0x01, &text[..cut]), (0x80, &text[cut..])]);
                check("a text", sender, Limits::default(), &wire, &[], Some(Violation::InvalidText));
                for doors in DOORS {
                    let mut listener = Listener::new(sender, Limits::default(), 1, doors);
                    assert_eq!(wire.chunks(1).try_for_each(|byte| listener.take(byte)), Err(Violation::InvalidText));
                    assert_eq!(listener.data_bytes, at, "{text:x?} cut at {cut}: all bytes before the first impossible one were good");
                }
            }
        }
    }
}

#[test]
fn a_character_may_be_cut_by_fragments_but_not_by_the_end() {
    let text = "κόσμε €𝄞".as_bytes();
    for sender in SENDERS {
        for cut in 0..=text.len() {
            let wire = frames(sender, &[(0x01, &text[..cut]), (0x80, &text[cut..])]);
            check("cut by a fragment", sender, Limits::default(), &wire, &[data(Text, text)], None);
            let whole = std::str::from_utf8(&text[..cut]).is_ok();
            let (heard, violation) = if whole { (vec![data(Text, &text[..cut])], None) } else { (vec![], Some(Violation::InvalidText)) };
            let wire = frame(sender, 0x81, &text[..cut]);
            check("cut by the end", sender, Limits::default(), &wire, &heard, violation);
            // The end may be an empty frame of its own.
            let wire = frames(sender, &[(0x01, &text[..cut]), (0x80, b"")]);
            check("cut by an empty end", sender, Limits::default(), &wire, &heard, violation);
        }
        let wire = frames(sender, &[(0x82, b"\xFF\xE2\x82"), (0x81, b"a")]);
        check("binary is not text", sender, Limits::default(), &wire, &[data(Binary, b"\xFF\xE2\x82"), data(Text, b"a")], None);
    }
}

#[test]
fn a_decoder_that_has_refused_its_peer_can_be_fed_without_harm() {
    for sender in SENDERS {
        for wire in [frame(sender, 0x83, b""), frame(sender, 0x80, b"x"), frame(sender, 0x81, b"\xFF")] {
            let mut decoder = Decoder::new(sender, Limits::default());
            let mut room = [0; 10];
            assert!(wire.iter().try_for_each(|byte| decoder.feed(&[*byte], &mut room).map(drop)).is_err());
            for byte in 0..=u8::MAX {
                let _ = decoder.feed(&[byte], &mut room);
            }
        }
        // A header that came in parts stays refused.
        let mut decoder = Decoder::new(sender, Limits::default());
        let mut room = [0; 10];
        decoder.feed(&[0x82], &mut room).unwrap();
        let second = if sender == Role::Client { 0x00 } else { 0x80 };
        let violation = decoder.feed(&[second], &mut room).unwrap_err();
        assert_eq!(decoder.feed(b"", &mut room), Err(violation));
        assert_eq!(decoder.feed(b"anything", &mut room), Err(violation));
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn the_state_between_two_reads_is_small() {
    // Every idle connection has one; the whole connection may have 400 bytes.
    assert_eq!(size_of::<Decoder>(), 96);
}
