//! The decoder over arbitrary bytes, in arbitrary parts, rooms and doors: it always says what the model says.

use ws101::protocol::{Decoder, Item, Limits, Role};

use super::input::{Input, parts};
use super::model::{self, Entry, Transcript};

/// One way to bring bytes to a decoder.
#[derive(Clone, Copy, Debug)]
struct Way {
    part: usize,
    room: usize,
    /// Which door takes the n-th step, bit by bit, where both are open.
    doors: u8,
    seed: u16,
}

/// Two bytes of choices, two of ways, two of seed, then the wire.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let choices = input.byte();
    let sender = if choices & 1 == 0 { Role::Client } else { Role::Server };
    let limits = match choices >> 1 & 3 {
        0 => Limits::default(),
        1 => Limits { max_message: u64::from(choices >> 3), max_fragments: u32::MAX },
        2 => Limits { max_message: u64::MAX, max_fragments: u32::from(choices >> 3) },
        _ => Limits { max_message: 100, max_fragments: 3 },
    };
    let (doors, part, room, seed) = (input.byte(), input.byte(), input.byte(), input.short());
    let wire = input.rest();

    let expected = model::read(sender, limits, wire);
    let ways = [
        Way { part: usize::MAX >> 1, room: 1 << 16, doors: 0, seed },
        Way { part: usize::MAX >> 1, room: 1 << 16, doors: 0xFF, seed },
        Way { part: 1, room: 1, doors: 0, seed },
        Way { part: 1, room: 2, doors: 0xFF, seed },
        Way { part: 1 + usize::from(part), room: 1 + usize::from(room), doors: 0, seed },
        Way { part: 1 + usize::from(part), room: 1 + usize::from(room), doors, seed },
    ];
    for way in ways {
        let heard = hear(sender, limits, wire, way);
        assert_eq!(heard.violation, expected.violation, "{way:?}");
        assert_eq!(heard.settled(), expected.settled(), "{way:?}");
    }
}

fn hear(sender: Role, limits: Limits, wire: &[u8], way: Way) -> Transcript {
    let mut transcript = Transcript::default();
    let mut decoder = Decoder::new(sender, limits);
    let (mut doors, mut room) = (way.doors, vec![0; way.room]);
    for part in parts(wire, way.part, way.seed) {
        if let Err(violation) = hear_part(&mut decoder, part, &mut room, &mut doors, &mut transcript) {
            transcript.violation = Some(violation);
            // Nobody should go on now, but it must be harmless.
            let _ = decoder.feed(part, &mut room);
            break;
        }
    }
    transcript
}

fn hear_part(
    decoder: &mut Decoder,
    mut part: &[u8],
    room: &mut [u8],
    doors: &mut u8,
    transcript: &mut Transcript,
) -> Result<(), ws101::protocol::Violation> {
    loop {
        *doors = doors.rotate_left(1);
        let direct = decoder.direct_room().min(part.len() as u64).min(room.len() as u64) as usize;
        if direct > 0 && *doors & 1 == 1 {
            room[..direct].copy_from_slice(&part[..direct]);
            let piece = decoder.accept_direct(&mut room[..direct])?;
            assert_eq!(piece.length, direct);
            transcript.push_data(piece.kind, &room[..direct], piece.ends_message);
            part = &part[direct..];
            continue;
        }
        let (used, item) = decoder.feed(part, room)?;
        part = &part[used..];
        let payload = decoder.control_payload().to_vec();
        match item {
            Item::NeedBytes => {
                assert!(part.is_empty(), "{} bytes were left over", part.len());
                return Ok(());
            }
            Item::Piece(piece) => {
                assert_eq!(decoder.is_inside_message(), !piece.ends_message);
                transcript.push_data(piece.kind, &room[..piece.length], piece.ends_message);
            }
            Item::Ping => transcript.entries.push(Entry::Ping(payload)),
            Item::Pong => transcript.entries.push(Entry::Pong(payload)),
            Item::Close => transcript.entries.push(Entry::Close(payload)),
        }
    }
}
