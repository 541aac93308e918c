//! The same bytes through a component and through a socket: the program is told the same, and the peer too.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use ws101::connection::{Connection, Received, Upgraded};
use ws101::driver::blocking;
use ws101::error::Status;
use ws101::options::Options;
use ws101::protocol::{Decoder, Item, Limits, MessageKind, Role};
use ws101::transport::Stream;

use super::end::{End, Heard, Random};

/// What a program and its peer were told.
#[derive(PartialEq, Debug)]
struct Told {
    heard: Vec<Heard>,
    /// Of a message that never ended.
    begun: Vec<u8>,
    /// The close frame that went to the peer.
    close: Option<Vec<u8>>,
    /// The pong that went last. Of several pings only the latest need be answered, so the others may differ.
    pong: Option<Vec<u8>>,
}

/// Reads what a side has sent.
fn read_answers(sender: Role, mut bytes: &[u8]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let mut decoder = Decoder::new(sender, Limits::default());
    let (mut close, mut pong) = (None, None);
    while !bytes.is_empty() {
        let (used, item) = decoder.feed(bytes, &mut [0; 125]).expect("nothing but correct frames leaves");
        bytes = &bytes[used..];
        match item {
            Item::Close => close = Some(decoder.control_payload().to_vec()),
            Item::Pong => pong = Some(decoder.control_payload().to_vec()),
            other => panic!("{other:?} was sent by nobody"),
        }
    }
    (close, pong)
}

fn through_component(role: Role, wire: &[u8], seed: u64) -> Told {
    let (client, server) = End::pair(seed);
    let mut end = if role == Role::Client { client } else { server };
    let mut random = Random::new(seed);
    end.room = [0, 1, 7, 5000, 100_000][random.up_to(5) - 1];
    let part = [1, 2, 100, 1 << 20][random.up_to(4) - 1];
    let mut at = 0;
    loop {
        end.act();
        while end.write(usize::MAX) > 0 {
            end.act();
        }
        let count = end.read(&wire[at..wire.len().min(at + random.up_to(part))]);
        at += count;
        if count == 0 {
            break;
        }
    }
    end.end_transport();
    end.act();
    let (close, pong) = read_answers(role, &end.wire);
    Told { heard: end.heard, begun: end.begun, close, pong }
}

fn through_socket(role: Role, wire: &[u8], seed: u64) -> Told {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let stream = Stream::new(std::os::fd::OwnedFd::from(ours).into(), false).unwrap();
    let upgraded = Upgraded { stream, agreed: Arc::default(), early: &[] };
    let connection = Arc::new(Connection::new(role, upgraded, Arc::new(Options::default()), &ws101::driver::SOURCES).unwrap());
    let peer = {
        let (mut theirs, wire) = (theirs.try_clone().unwrap(), wire.to_vec());
        thread::spawn(move || {
            // The other side may have hung up in the middle of it.
            let _hung_up = theirs.write_all(&wire);
            let _hung_up = theirs.shutdown(Shutdown::Write);
            let mut answers = Vec::new();
            let _reset = theirs.read_to_end(&mut answers);
            answers
        })
    };
    let mut random = Random::new(seed);
    let mut room = vec![0; [1, 7, 5000, 100_000][random.up_to(4) - 1]];
    let (mut heard, mut begun) = (Vec::new(), Vec::new());
    loop {
        match blocking::receive(&connection, &mut room) {
            Ok(Received::Piece(piece)) => {
                begun.extend_from_slice(&room[..piece.length]);
                if piece.ends_message {
                    let message = std::mem::take(&mut begun);
                    heard.push(if piece.kind == MessageKind::Text { Heard::Text(message) } else { Heard::Binary(message) });
                }
            }
            Ok(Received::Close) => {
                let (status, reason) = connection.peer_close().unwrap();
                heard.push(Heard::Close(status, String::from_utf8(reason).unwrap()));
                break;
            }
            Err(error) => {
                heard.push(Heard::Failed(error.status()));
                break;
            }
        }
    }
    drop(theirs);
    connection.end_sending_when_flushed();
    drop(connection);
    let (close, pong) = read_answers(role, &peer.join().unwrap());
    Told { heard, begun, close, pong }
}

/// Frames of `sender`, mostly correct ones, from a seed.
fn wire(sender: Role, random: &mut Random) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut is_open = false;
    for _ in 0..random.up_to(8) {
        let (first, payload): (u8, Vec<u8>) = match random.up_to(24) {
            1..=6 => (0x80, "zwölf".repeat(random.up_to(9)).into_bytes()),
            7..=10 => (0x00, vec![b'x'; random.up_to(300) - 1]),
            11 => (0x80, vec![b'y'; 4000 + random.up_to(66_000)]),
            12..=14 => (0x89, vec![b'?'; random.up_to(126) - 1]),
            15 => (0x8A, b"unasked".to_vec()),
            16 => (0x88, Vec::new()),
            17 => (0x88, [&4000u16.to_be_bytes()[..], b"bye"].concat()),
            18 => (0x88, vec![3]),
            19 => (0x88, 1005u16.to_be_bytes().to_vec()),
            20 => (0x80, b"\xff\xfe".to_vec()),
            21 => (0xC0, b"reserved".to_vec()),
            22 => (0x83, b"unknown".to_vec()),
            23 => (0x09, b"cut".to_vec()),
            _ => (0x80, Vec::new()),
        };
        let mut byte = first;
        if first & 0x0F == 0 {
            // One in twenty begins or goes on where it may not.
            let continues = is_open != (random.up_to(20) == 1);
            byte |= if continues { 0 } else { random.up_to(2) as u8 };
            is_open = first & 0x80 == 0;
        }
        wire.push(byte);
        let mask = if sender == Role::Client { 0x80 } else { 0 };
        match payload.len() {
            length @ 0..=125 => wire.push(mask | length as u8),
            length @ 126..=65_535 => wire.extend([&[mask | 126][..], &(length as u16).to_be_bytes()].concat()),
            length => wire.extend([&[mask | 127][..], &(length as u64).to_be_bytes()].concat()),
        }
        let key = (random.next() as u32).to_le_bytes();
        if sender == Role::Client {
            wire.extend(key);
            wire.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        } else {
            wire.extend(payload);
        }
    }
    if random.up_to(4) == 1 {
        wire.truncate(random.up_to(wire.len()));
    }
    wire
}

#[test]
fn the_same_bytes_give_the_same_events() {
    let mut ends = std::collections::BTreeMap::new();
    for seed in 0..600 {
        let mut random = Random::new(seed);
        for (role, sender) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
            let wire = wire(sender, &mut random);
            let (mut component, mut socket) = (through_component(role, &wire, seed), through_socket(role, &wire, seed));
            if matches!(socket.heard.last(), Some(Heard::Failed(Status::InvalidPayload))) {
                // How much of a text came before its fault depends on how it was cut.
                (component.begun, socket.begun) = (Vec::new(), Vec::new());
            }
            assert!(component == socket, "seed {seed}, {role:?}: {}", difference(&component, &socket));
            let last = match socket.heard.last() {
                Some(Heard::Failed(status)) => format!("{status:?}"),
                Some(Heard::Close(..)) => "closed".to_owned(),
                other => panic!("it ended with {other:?}"),
            };
            *ends.entry(last).or_insert(0) += 1;
        }
    }
    // Every end is among them, often enough to mean something.
    for (end, least) in [("closed", 200), ("Connection", 200), ("InvalidPayload", 30), ("ProtocolViolation", 200)] {
        assert!(ends.get(end).is_some_and(|count| *count >= least), "{ends:?}");
    }
}

fn difference(component: &Told, socket: &Told) -> String {
    let short = |told: &Told| {
        let heard: Vec<String> = told.heard.iter().map(|heard| format!("{heard:?}").chars().take(60).collect()).collect();
        format!("{heard:?}, {} begun, close {:?}, pong {:?}", told.begun.len(), told.close, told.pong)
    };
    format!("\n  component {}\n  socket    {}", short(component), short(socket))
}
