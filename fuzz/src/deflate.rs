//! Compression over arbitrary bytes: what an attacker calls compressed becomes the same however it is cut, never more than the limit, and the
//! state goes on as if nothing had happened; and whatever a program sends comes out again.

use ws101::protocol::deflate::coder::Inflater;
use ws101::protocol::deflate::{Agreed, Class, Inflation, Parameters};
use ws101::protocol::{MessageKind, Role, Violation};

use super::input::{Input, parts};

/// One byte of choices, two of limit, one of part, one of room, two of seed; then a length and a message's compressed bytes, again and again.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let choices = input.byte();
    let limit = if choices & 1 == 0 { 1 << 20 } else { u64::from(input.short()) };
    let (part, room, seed) = (1 + usize::from(input.byte()), 1 + usize::from(input.byte()), input.short());
    let kind = if choices & 2 == 0 { MessageKind::Text } else { MessageKind::Binary };
    let keeps_window = choices & 4 != 0;
    let mut messages = Vec::new();
    while !input.is_empty() {
        let length = usize::from(if choices & 8 == 0 { input.byte().into() } else { input.short() });
        messages.push(input.take(length));
    }
    if choices & 16 == 0 {
        inflate_in_all_ways(&messages, kind, keeps_window, limit, [part, room], seed);
    } else {
        round_trip(&messages, keeps_window, choices >> 5, [part, room], seed);
    }
}

fn inflate_in_all_ways(messages: &[&[u8]], kind: MessageKind, keeps_window: bool, limit: u64, [part, room]: [usize; 2], seed: u16) {
    let mut expected: Option<Vec<Result<Vec<u8>, Violation>>> = None;
    for [part, room] in [[usize::MAX >> 1, 1 << 16], [1, 1], [part, room], [room, part]] {
        let mut inflation = Inflation::new(keeps_window);
        let mut heard = Vec::new();
        for message in messages {
            let result = hear(&mut inflation, kind, limit, &parts(message, part, seed), room);
            let is_over = result.is_err();
            if let Ok(bytes) = &result {
                assert!(bytes.len() as u64 <= limit);
            }
            heard.push(result);
            if is_over {
                assert!(!inflation.is_inside_message() && inflation.memory() == 0, "what is invalid leaves nothing");
                break;
            }
        }
        match &expected {
            // Which of two faults is named depends on where the message was cut, and so does nothing else.
            Some(expected) => {
                assert_eq!(heard.len(), expected.len());
                for (heard, expected) in heard.iter().zip(expected) {
                    assert!(heard == expected || heard.is_err() && expected.is_err(), "{part} {room}");
                }
            }
            None => expected = Some(heard),
        }
    }
}

fn hear(inflation: &mut Inflation, kind: MessageKind, limit: u64, parts: &[&[u8]], room: usize) -> Result<Vec<u8>, Violation> {
    inflation.begin(kind, limit, || Inflater::new().map(Box::new)).expect("there is memory");
    let (mut heard, mut room) = (Vec::new(), vec![0; room]);
    for (index, part) in parts.iter().chain([&&[][..]]).enumerate() {
        let (mut part, ends) = (*part, index == parts.len());
        loop {
            let (used, piece) = inflation.inflate(part, ends, &mut room)?;
            part = &part[used..];
            let Some(piece) = piece else {
                assert!(part.is_empty() && !ends, "a message ends, or its input is used up");
                break;
            };
            heard.extend_from_slice(&room[..piece.length]);
            if piece.ends_message {
                assert!(ends);
                return Ok(heard);
            }
        }
    }
    unreachable!("the last part ends the message");
}

fn round_trip(messages: &[&[u8]], keeps_window: bool, level: u8, [part, room]: [usize; 2], seed: u16) {
    let parameters = Parameters {
        client_no_context_takeover: !keeps_window,
        server_no_context_takeover: !keeps_window,
        client_max_window_bits: 8 + (seed & 7) as u8,
        server_max_window_bits: 15,
    };
    let agreed = |role| Agreed { parameters, role, level: 1 + level, threshold: 0 };
    let (mut deflation, mut inflation) = (agreed(Role::Client).deflation(), agreed(Role::Server).inflation());
    for message in messages {
        let mut wire = Vec::new();
        let fragments = parts(message, part, seed);
        for (index, fragment) in fragments.iter().chain([&&[][..]]).enumerate() {
            if seed >> (index % 16) & 1 == 1 {
                // A send that was given up.
                deflation.deflate(&[fragment, b"lost"], index % 2 == 0, &mut Vec::new(), Class::make).expect("there is memory");
                deflation.roll_back();
            }
            deflation.deflate(&[fragment], index == fragments.len(), &mut wire, Class::make).expect("there is memory");
            deflation.commit();
        }
        let heard = hear(&mut inflation, MessageKind::Binary, message.len() as u64, &parts(&wire, room, seed), part);
        assert_eq!(heard.as_deref(), Ok(*message));
    }
}
