//! The same bytes through a component and through a socket: the program is told the same, and the peer too.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use ws101::connection::{Agreed, Connection, Received, Upgraded};
use ws101::driver::blocking;
use ws101::error::Status;
use ws101::options::{Options, Takeover};
use ws101::protocol::deflate::{self, Parameters};
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

/// What both are told to do: nothing of time, and compression with windows that are kept or not.
fn options(windows: Option<Takeover>) -> Options {
    let mut options = Options::default();
    options.keepalive_interval = None;
    if let Some(takeover) = windows {
        options.max_message = Some(20_000);
        options.compression.enabled = true;
        (options.compression.client_takeover, options.compression.server_takeover) = (takeover, takeover);
    }
    options
}

/// What was agreed on then.
fn agreed(role: Role, windows: Option<Takeover>) -> Agreed {
    let compression = windows.map(|takeover| {
        let forgets = takeover == Takeover::Off;
        let parameters = Parameters {
            client_no_context_takeover: forgets,
            server_no_context_takeover: forgets,
            client_max_window_bits: 15,
            server_max_window_bits: 15,
        };
        (deflate::Agreed::new(parameters, role, &options(windows).compression), Arc::default())
    });
    Agreed { compression, ..Agreed::default() }
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

fn through_component(role: Role, wire: &[u8], seed: u64, windows: Option<Takeover>) -> Told {
    let (client, server) = End::pair_with(seed, |client, server| (*client, *server) = (options(windows), options(windows)));
    let extensions = &client.component.agreed().extensions;
    assert_eq!(extensions.is_empty(), windows.is_none());
    assert_eq!(extensions.contains("no_context_takeover"), windows == Some(Takeover::Off), "{extensions}");
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

fn through_socket(role: Role, wire: &[u8], seed: u64, windows: Option<Takeover>) -> Told {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let stream = Stream::new(std::os::fd::OwnedFd::from(ours).into(), false).unwrap();
    let upgraded = Upgraded { stream, agreed: Arc::new(agreed(role, windows)), early: &[] };
    let connection = Arc::new(Connection::new(role, upgraded, Arc::new(options(windows)), &ws101::driver::SOURCES).unwrap());
    let peer = {
        let (mut theirs, wire) = (theirs.try_clone().unwrap(), wire.to_vec());
        thread::spawn(move || {
            let (mut random, mut rest) = (Random::new(!seed), &wire[..]);
            let part = [30, 3000, 1 << 20][random.up_to(3) - 1];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(random.up_to(part).min(rest.len()));
                rest = later;
                // The other side may have hung up in the middle of it.
                if theirs.write_all(now).is_err() {
                    break;
                }
            }
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
        push_frame(&mut wire, sender, byte, &payload, random);
    }
    if random.up_to(4) == 1 {
        wire.truncate(random.up_to(wire.len()));
    }
    wire
}

/// Messages of `sender` in fragments, most of them compressed, with a ping between here and there, from a seed.
#[cfg(feature = "deflate")]
fn compressed_wire(sender: Role, windows: Takeover, random: &mut Random) -> Vec<u8> {
    let mut deflater = deflate::Class { window_bits: 15, level: 6 }.make().unwrap();
    let mut wire = Vec::new();
    for _ in 0..random.up_to(8) {
        let (mut is_compressed, mut is_damaged) = (random.up_to(4) > 1, false);
        let (opcode, payload): (u8, Vec<u8>) = match random.up_to(30) {
            1..=9 => (1, "zwölf und zwölf".repeat(random.up_to(200) - 1).into_bytes()),
            10..=13 => (2, (0..random.up_to(3000)).map(|_| random.next() as u8).collect()),
            14..=17 => (2, vec![0; random.up_to(9000)]),
            18 => (2, vec![7; 20_000]),
            19 => (2, vec![7; 20_001]),
            20 => (1, [&b"x".repeat(random.up_to(2000)), &b"\xff\xfe"[..]].concat()),
            // A text with a fault in its compression could be refused for either.
            21 | 22 => {
                is_damaged = is_compressed;
                (2, (0..2000).map(|at: usize| (at * at / 7 % 251) as u8).collect())
            }
            23..=25 => {
                push_frame(&mut wire, sender, 0x89, &vec![b'?'; random.up_to(126) - 1], random);
                continue;
            }
            26 => {
                push_frame(&mut wire, sender, 0xC9, b"reserved", random);
                continue;
            }
            27 => {
                push_frame(&mut wire, sender, 0x88, &[&4000u16.to_be_bytes()[..], b"bye"].concat(), random);
                continue;
            }
            // Bytes that nobody's compressor makes, and that are correct.
            28 => {
                push_frame(&mut wire, sender, 0xC1, [&[][..], &[0x00], &[0x02, 0x00]][random.up_to(3) - 1], random);
                continue;
            }
            _ => {
                is_compressed = true;
                (2, Vec::new())
            }
        };
        let mut bytes = payload;
        if is_compressed {
            let mut deflated = Vec::new();
            deflater.run(&bytes, true, &mut deflated).unwrap();
            deflated.truncate(deflated.len().saturating_sub(4));
            if windows == Takeover::Off {
                deflater.reset();
            }
            bytes = deflated;
        }
        if is_damaged {
            let at = random.up_to(bytes.len()) - 1;
            bytes[at] ^= 1 << (random.up_to(8) - 1);
        }
        let fragments = random.up_to(4);
        for number in 1..=fragments {
            let fragment: Vec<u8> =
                bytes.drain(..if number == fragments { bytes.len() } else { random.up_to(bytes.len() + 1) - 1 }).collect();
            let begins = if number == 1 { opcode | if is_compressed { 0x40 } else { 0 } } else { 0 };
            // Only the first frame may say that it is compressed.
            let wrong = if number > 1 && random.up_to(40) == 1 { 0x40 } else { 0 };
            push_frame(&mut wire, sender, begins | wrong | if number == fragments { 0x80 } else { 0 }, &fragment, random);
            if random.up_to(5) == 1 {
                push_frame(&mut wire, sender, 0x89, b"between", random);
            }
        }
    }
    if random.up_to(4) == 1 {
        wire.truncate(random.up_to(wire.len()));
    }
    wire
}

fn push_frame(wire: &mut Vec<u8>, sender: Role, first: u8, payload: &[u8], random: &mut Random) {
    wire.push(first);
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

/// How often conversations have ended in which way.
type Ends = BTreeMap<String, usize>;

/// The same bytes through both.
fn compare(role: Role, wire: &[u8], seed: u64, windows: Option<Takeover>, ends: &mut Ends) {
    let (mut component, mut socket) = (through_component(role, wire, seed, windows), through_socket(role, wire, seed, windows));
    let failure = match socket.heard.last() {
        Some(Heard::Failed(status)) => Some(*status),
        _ => None,
    };
    let is_found_inside = matches!(failure, Some(Status::InvalidPayload | Status::MessageTooBig));
    if (is_found_inside || windows.is_some() && failure.is_some())
        && (component.begun.starts_with(&socket.begun) || socket.begun.starts_with(&component.begun))
    {
        // How much of a message came before its fault, or before the end of what is compressed, depends on how it was cut.
        (component.begun, socket.begun) = (Vec::new(), Vec::new());
    }
    assert!(component == socket, "seed {seed}, {role:?}, {windows:?}: {}", difference(&component, &socket));
    let last = match socket.heard.last() {
        Some(Heard::Failed(status)) => format!("{status:?}"),
        Some(Heard::Close(..)) => "closed".to_owned(),
        other => panic!("it ended with {other:?}"),
    };
    *ends.entry(last).or_insert(0) += 1;
}

/// Every end is among them, often enough to mean something.
fn check(ends: &Ends, expected: &[(&str, usize)]) {
    for (end, least) in expected {
        assert!(ends.get(*end).is_some_and(|count| count >= least), "{ends:?}");
    }
}

#[test]
fn the_same_bytes_give_the_same_events() {
    let mut ends = Ends::new();
    for seed in 0..600 {
        let mut random = Random::new(seed);
        for (role, sender) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
            compare(role, &wire(sender, &mut random), seed, None, &mut ends);
        }
    }
    check(&ends, &[("closed", 200), ("Connection", 200), ("InvalidPayload", 30), ("ProtocolViolation", 200)]);
}

#[test]
#[cfg(feature = "deflate")]
fn the_same_compressed_bytes_give_the_same_events() {
    let mut ends = Ends::new();
    for seed in 0..300 {
        let mut random = Random::new(seed);
        for (role, sender) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
            for windows in [Takeover::On, Takeover::Off] {
                compare(role, &compressed_wire(sender, windows, &mut random), seed, Some(windows), &mut ends);
            }
        }
    }
    check(&ends, &[("closed", 100), ("Connection", 300), ("InvalidPayload", 50), ("MessageTooBig", 50), ("ProtocolViolation", 100)]);
}

fn difference(component: &Told, socket: &Told) -> String {
    let short = |told: &Told| {
        let heard: Vec<String> = told.heard.iter().map(|heard| format!("{heard:?}").chars().take(60).collect()).collect();
        format!("{heard:?}, {} begun, close {:?}, pong {:?}", told.begun.len(), told.close, told.pong)
    };
    format!("\n  component {}\n  socket    {}", short(component), short(socket))
}
