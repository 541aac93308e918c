//! Both directions against the vectors of RFC 7692, against each other over every parameter, and against a slow reader of DEFLATE.

use proptest::prelude::*;

use super::coder::{Deflater, Inflater};
use super::*;
use crate::protocol::{MessageKind, Piece, Violation};

fn state() -> Result<Box<Inflater>, NoMemory> {
    Inflater::new().map(Box::new)
}

/// What a message becomes when its payload comes in `parts` and goes into a room of `room` bytes.
fn hear(inflation: &mut Inflation, kind: MessageKind, limit: u64, parts: &[&[u8]], room: usize) -> Result<Vec<u8>, Violation> {
    inflation.begin(kind, limit, state).unwrap();
    let (mut heard, mut room) = (Vec::new(), vec![0; room]);
    for (index, part) in parts.iter().enumerate() {
        let (mut part, ends) = (*part, index + 1 == parts.len());
        loop {
            let (used, piece) = inflation.inflate(part, ends, &mut room)?;
            part = &part[used..];
            let Some(Piece { length, ends_message, .. }) = piece else { break };
            assert!(length > 0 || ends_message);
            assert_eq!(inflation.is_inside_message(), !ends_message);
            heard.extend_from_slice(&room[..length]);
            if ends_message {
                assert!(ends && part.is_empty());
                return Ok(heard);
            }
        }
        assert!(part.is_empty() && !ends);
    }
    unreachable!("the last part ends the message")
}

fn hear_whole(payload: &[u8]) -> Result<Vec<u8>, Violation> {
    hear(&mut Inflation::new(false), MessageKind::Binary, u64::MAX, &[payload], 1000)
}

/// Every way of cutting payload in two, and into single bytes, into rooms of several sizes.
fn check(payload: &[u8], keeps_window: bool, before: &[&[u8]], expected: &Result<Vec<u8>, Violation>) {
    let mut cuts: Vec<Vec<&[u8]>> = (0..=payload.len()).map(|at| vec![&payload[..at], &payload[at..]]).collect();
    cuts.push(if payload.is_empty() { vec![payload] } else { payload.chunks(1).collect() });
    for cut in cuts {
        for room in [1, 2, 3, 5, 1000] {
            let mut inflation = Inflation::new(keeps_window);
            for message in before {
                hear(&mut inflation, MessageKind::Binary, u64::MAX, &[message], 7).unwrap();
            }
            let heard = hear(&mut inflation, MessageKind::Binary, 1 << 20, &cut, room);
            assert_eq!(heard, *expected, "{cut:x?} into {room}");
        }
    }
}

const HELLO: [u8; 7] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];

/// RFC 7692 §7.2.3: every example there is.
#[test]
fn the_examples_of_the_rfc_are_understood_however_they_come() {
    let hello = Ok(b"Hello".to_vec());
    for keeps_window in [false, true] {
        check(&HELLO, keeps_window, &[], &hello);
        check(&[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00], keeps_window, &[], &hello);
        check(&[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00], keeps_window, &[], &hello);
        check(&[0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00], keeps_window, &[], &hello);
        check(&[0x00], keeps_window, &[], &Ok(Vec::new()));
    }
    check(&[0xF2, 0x00, 0x11, 0x00, 0x00], true, &[&HELLO], &hello);
    // Without the window the same bytes refer to nothing.
    check(&[0xF2, 0x00, 0x11, 0x00, 0x00], false, &[&HELLO], &Err(Violation::InvalidCompression));
}

#[test]
fn what_some_senders_make_of_the_end_is_understood() {
    for keeps_window in [false, true] {
        // A last block, and nothing behind it; two of them; a payload of no bytes at all.
        check(&[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00], keeps_window, &[], &Ok(b"Hello".to_vec()));
        let twice = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00];
        check(&twice, keeps_window, &[&twice], &Ok(b"HelloHello".to_vec()));
        check(&[], keeps_window, &[&HELLO], &Ok(Vec::new()));
    }
}

#[test]
fn what_is_not_deflate_is_refused() {
    for (payload, why) in [
        (&[0x06][..], "a block of the reserved kind"),
        (&[0x00, 0x05, 0x00, 0x05, 0x00], "a stored block whose length does not fit its check"),
        (&[0xF2, 0x48, 0xCD, 0xC9, 0xC9], "a block that is cut off"),
        (&[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48], "a stored block that is cut off"),
        (&[0x02, 0x02, 0x02], "a distance before the beginning"),
        (&[0x04, 0xFF, 0xFF, 0xFF], "a code that is none"),
        (&[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07], "no stored block at the end"),
        (&[0x05, 0x00], "the beginning of a code"),
    ] {
        assert_eq!(hear_whole(payload), Err(Violation::InvalidCompression), "{why}");
    }
}

fn deflate(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    deflate_whole(&mut Deflater::new(15, 6).unwrap(), &[payload], &mut out).unwrap();
    out
}

#[test]
fn the_limit_counts_what_comes_out_and_is_exact() {
    for size in [1usize, 2, 100, 70_000] {
        let payload = deflate(&vec![b'a'; size]);
        for room in [1, 3, 99, 100, 101, 1 << 17] {
            for (limit, fits) in [(size - 1, false), (size, true), (size + 1, true)] {
                for parts in [vec![payload.as_slice()], payload.chunks(3).collect()] {
                    let heard = hear(&mut Inflation::new(false), MessageKind::Text, limit as u64, &parts, room);
                    let expected = if fits { Ok(vec![b'a'; size]) } else { Err(Violation::MessageTooBig { limit: limit as u64 }) };
                    assert!(heard == expected, "{size} bytes, limit {limit}, room {room}");
                }
            }
        }
    }
    // Nothing is within the limit of nothing.
    assert_eq!(hear(&mut Inflation::new(false), MessageKind::Text, 0, &[&[0x00]], 1), Ok(Vec::new()));
}

#[test]
fn a_bomb_is_stopped_at_the_limit_and_takes_no_more_memory_than_that() {
    let bomb = deflate(&vec![0; 64 << 20]);
    assert!(bomb.len() < 70_000);
    let (limit, mut out) = (1 << 20, Vec::new());
    let mut inflation = Inflation::new(true);
    inflation.begin(MessageKind::Binary, limit, state).unwrap();
    let found = inflation.inflate_whole(&[&bomb], &mut out);
    assert_eq!(found, Err(WholeError::Violation(Violation::MessageTooBig { limit })));
    assert!(out.capacity() <= 2 * limit as usize + 4096, "{}", out.capacity());
    assert!(!inflation.is_inside_message() && inflation.memory() == 0);
}

#[test]
fn text_is_checked_after_inflating_and_across_pieces() {
    for (text, is_valid) in [(&b"\xE2\x82\xAC"[..], true), (b"\xE2\x82", false), (b"a\xFFb", false), (b"\xF0\x9F\x98\x80!", true)] {
        for room in [1, 2, 100] {
            let heard = hear(&mut Inflation::new(false), MessageKind::Text, 100, &[&deflate(text)], room);
            assert_eq!(heard, if is_valid { Ok(text.to_vec()) } else { Err(Violation::InvalidText) }, "{text:x?} into {room}");
            assert!(hear(&mut Inflation::new(false), MessageKind::Binary, 100, &[&deflate(text)], room).is_ok());
        }
    }
}

#[test]
fn a_state_is_had_back_between_messages_unless_its_window_is_needed() {
    let mut inflation = Inflation::new(false);
    hear(&mut inflation, MessageKind::Text, 100, &[&HELLO], 100).unwrap();
    assert!(inflation.memory() > 0 && inflation.take_idle_state().is_some() && inflation.memory() == 0);
    inflation.begin(MessageKind::Text, 100, state).unwrap();
    assert!(inflation.take_idle_state().is_none());
    let mut keeping = Inflation::new(true);
    hear(&mut keeping, MessageKind::Text, 100, &[&HELLO], 100).unwrap();
    assert!(keeping.take_idle_state().is_none() && keeping.memory() > 0);
}

/// RFC 7692 §7.1.2: a window of 2^8 too, which the coder does not have.
#[test]
fn no_distance_leaves_the_window_that_was_agreed_on() {
    // Everything is repeated at every distance, and nothing within three bytes.
    let mut random = 1u32;
    let noise: Vec<u8> = (0..1200)
        .map(|_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 24) as u8
        })
        .collect();
    let input: Vec<u8> = (0..60usize).flat_map(|turn| noise[..20 + turn * 19].to_vec()).collect();
    for bits in 8..=15u8 {
        for level in 1..=9 {
            let mut out = Vec::new();
            deflate_whole(&mut Deflater::new(bits, level).unwrap(), &[&input], &mut out).unwrap();
            out.extend_from_slice(&TAIL);
            let inflated = reference::inflate(&out).expect("it is DEFLATE");
            assert!(inflated.bytes == input);
            assert!(inflated.farthest <= 1 << bits, "{} with {bits} bits at level {level}", inflated.farthest);
            // The test would be worth nothing if matches were near anyway.
            assert!(inflated.farthest >= (1usize << bits.min(10)) / 4, "{} with {bits} bits at level {level}", inflated.farthest);
        }
    }
}

#[test]
fn what_is_not_sent_is_not_referred_to() {
    let text = b"the same words again and again, the same words";
    for keeps_window in [false, true] {
        let (mut deflation, mut inflation) =
            (Deflation::new(Class { window_bits: 15, level: 6 }, keeps_window), Inflation::new(keeps_window));
        for round in 0..4 {
            let mut lost = Vec::new();
            deflation.deflate(&[text, b"lost"], round % 2 == 0, &mut lost, Class::make).unwrap();
            deflation.roll_back();
            let (mut first, mut last) = (Vec::new(), Vec::new());
            deflation.deflate(&[&text[..20]], false, &mut first, Class::make).unwrap();
            deflation.commit();
            let mut lost = Vec::new();
            deflation.deflate(&[text], true, &mut lost, Class::make).unwrap();
            deflation.roll_back();
            deflation.deflate(&[&text[20..]], true, &mut last, Class::make).unwrap();
            deflation.commit();
            assert_eq!(hear(&mut inflation, MessageKind::Text, 100, &[&first, &last], 9).unwrap(), text);
        }
    }
}

#[test]
fn a_window_that_is_kept_makes_the_second_message_small() {
    let text = br#"{"symbol":"MSFT","bid":410.25,"ask":410.27,"time":"2026-11-22T14:40:00Z"}"#;
    let mut lengths = [[0; 2]; 2];
    for (keeps_window, lengths) in [false, true].into_iter().zip(&mut lengths) {
        let mut deflation = Deflation::new(Class { window_bits: 15, level: 6 }, keeps_window);
        for length in lengths {
            let mut out = Vec::new();
            deflation.deflate(&[text], true, &mut out, Class::make).unwrap();
            deflation.commit();
            drop(deflation.take_idle_state());
            *length = out.len();
        }
    }
    assert_eq!(lengths[0][0], lengths[0][1]);
    assert!(lengths[1][1] * 5 < lengths[1][0], "{lengths:?}");
}

/// Bytes with repetitions, or without.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: [&[u8]; 5] = [b"permessage-", b"deflate ", b"{\"a\":1}", b"\xE2\x82\xAC", b"x"];
    let words = proptest::collection::vec(prop::sample::select(&WORDS[..]), 0..120);
    let text = words.prop_map(|words| words.concat());
    prop_oneof![3 => text, 1 => proptest::collection::vec(any::<u8>(), 0..400), 1 => (any::<u8>(), 0..9000usize).prop_map(|(byte, count)| vec![byte; count])]
}

/// A message: where the sender cuts it into fragments, and whether each is taken back once before it is sent.
fn message() -> impl Strategy<Value = (Vec<u8>, Vec<(usize, bool)>)> {
    (payload(), proptest::collection::vec((0..400usize, any::<bool>()), 0..4))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever was agreed on, however the sender fragments, the wire cuts and the receiver takes it: what comes out is what went in.
    #[test]
    fn what_is_deflated_is_inflated_to_the_same(
        (window_bits, level, keeps_window) in (8..=15u8, 1..=9u8, any::<bool>()),
        messages in proptest::collection::vec(message(), 1..5),
        (chunk, room) in (1..50usize, 1..600usize),
    ) {
        let (mut deflation, mut inflation) = (Deflation::new(Class { window_bits, level }, keeps_window), Inflation::new(keeps_window));
        let mut wire_of_all = Vec::new();
        for (message, cuts) in messages {
            let mut fragments: Vec<(&[u8], bool)> = Vec::new();
            let mut rest = message.as_slice();
            for (cut, is_taken_back) in &cuts {
                let (fragment, behind) = rest.split_at((*cut).min(rest.len()));
                fragments.push((fragment, *is_taken_back));
                rest = behind;
            }
            fragments.push((rest, false));
            let mut wire = Vec::new();
            for (index, (fragment, is_taken_back)) in fragments.iter().enumerate() {
                let ends = index + 1 == fragments.len();
                let halves = fragment.split_at(fragment.len() / 2);
                if *is_taken_back {
                    deflation.deflate(&[fragment], ends, &mut Vec::new(), Class::make).unwrap();
                    deflation.roll_back();
                }
                deflation.deflate(&[halves.0, halves.1], ends, &mut wire, Class::make).unwrap();
                deflation.commit();
            }
            drop(deflation.take_idle_state());
            let parts: Vec<&[u8]> = if wire.is_empty() { vec![&[]] } else { wire.chunks(chunk).collect() };
            let heard = hear(&mut inflation, MessageKind::Binary, message.len() as u64, &parts, room);
            prop_assert_eq!(heard.as_ref(), Ok(&message));
            if !keeps_window {
                let mut out = b"before".to_vec();
                inflation.begin(MessageKind::Binary, message.len() as u64, state).unwrap();
                prop_assert_eq!(inflation.inflate_whole(&parts, &mut out), Ok(()));
                prop_assert_eq!(&out[6..], &message);
            }
            wire_of_all.push((wire, message));
        }
        // The slow reader, over all of it: one stream if the window is kept, else each for itself.
        let streams: Vec<(Vec<u8>, Vec<u8>)> = if keeps_window {
            vec![wire_of_all.iter().fold(Default::default(), |(wire, text): (Vec<u8>, Vec<u8>), (more, message)| {
                ([wire.as_slice(), more, &TAIL].concat(), [text, message.clone()].concat())
            })]
        } else {
            wire_of_all.iter().map(|(wire, message)| ([wire.as_slice(), &TAIL].concat(), message.clone())).collect()
        };
        for (wire, message) in streams {
            let inflated = reference::inflate(&wire).expect("it is DEFLATE");
            prop_assert!(inflated.bytes == message);
            prop_assert!(inflated.farthest <= 1 << window_bits);
        }
    }

    /// Any bytes at all, in any parts: the same verdict and the same bytes as the slow reader's, and never a panic.
    #[test]
    fn any_bytes_are_inflated_as_the_slow_reader_does(
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
        change in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
        message in payload(),
        is_noise in any::<bool>(),
        (chunk, room) in (1..20usize, 1..100usize),
    ) {
        let mut wire = if is_noise { bytes } else { deflate(&message) };
        if let Some((at, byte)) = change && !wire.is_empty() {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        let expected = if wire.is_empty() { Some(Default::default()) } else { reference::inflate(&[wire.as_slice(), &TAIL].concat()) };
        let parts: Vec<&[u8]> = if wire.is_empty() { vec![&[]] } else { wire.chunks(chunk).collect() };
        let heard = hear(&mut Inflation::new(false), MessageKind::Binary, 1 << 20, &parts, room);
        match (heard, expected) {
            (Ok(heard), Some(expected)) => prop_assert!(heard == expected.bytes),
            (Ok(_), None) => {
                // A last block may end the payload, where the slow reader wants more.
                prop_assert!(reference::inflate(&wire).is_some());
            }
            (Err(violation), _) => prop_assert_eq!(violation, Violation::InvalidCompression),
        }
    }
}
