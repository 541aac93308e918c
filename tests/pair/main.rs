//! Whole conversations between two endpoints, over a virtual network with a virtual clock, through the public surface only.

mod closing;
mod conversations;
mod keepalive;
mod network;
mod random;
mod violations;

use network::{Heard, Pair};
use ws101::error::Status;
use ws101::protocol::{CloseFrame, CloseStatus, MessageKind, Role, Settings};

const ROLES: [Role; 2] = [Role::Client, Role::Server];

fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

fn pair(seed: u64) -> Pair {
    Pair::new(seed, Settings::default(), Settings::default())
}

/// Settings for `role` alone; the other side has the default ones.
fn pair_with(role: Role, settings: Settings, seed: u64) -> Pair {
    match role {
        Role::Client => Pair::new(seed, settings, Settings::default()),
        Role::Server => Pair::new(seed, Settings::default(), settings),
    }
}

fn close_frame(status: u16, reason: &str) -> CloseFrame {
    CloseFrame::new(CloseStatus::new(status).expect("a status that may be sent"), reason).expect("a reason that fits")
}

/// One frame as a peer of `to` sends it, right or wrong; a client's is masked with zeros, which masks nothing.
fn frame_to(to: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() <= 125, "written for short frames");
    let mask: (u8, &[u8]) = if to == Role::Server { (0x80, &[0; 4]) } else { (0, &[]) };
    [&[first, mask.0 | payload.len() as u8], mask.1, payload].concat()
}

/// The frames of a wire: first byte, masking key, payload.
fn frames_of(mut wire: &[u8]) -> Vec<(u8, Option<[u8; 4]>, Vec<u8>)> {
    let mut take = |length: usize| {
        let (taken, rest) = wire.split_at_checked(length)?;
        wire = rest;
        Some(taken.to_vec())
    };
    let mut frames = Vec::new();
    while let Some(head) = take(2) {
        let length = match head[1] & 0x7F {
            126 => take(2).map(|bytes| usize::from(bytes[0]) << 8 | usize::from(bytes[1])),
            127 => take(8).map(|bytes| bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))),
            short => Some(usize::from(short)),
        };
        let key = (head[1] & 0x80 != 0).then(|| take(4).expect("a key")).map(|key| [key[0], key[1], key[2], key[3]]);
        let mut payload = take(length.expect("a length")).expect("a payload");
        payload.iter_mut().enumerate().for_each(|(index, byte)| *byte ^= key.unwrap_or_default()[index % 4]);
        frames.push((head[0], key, payload));
    }
    frames
}

fn assert_status<T: std::fmt::Debug>(result: ws101::error::Result<T>, status: Status) {
    assert_eq!(result.expect_err("it must be refused").status(), status);
}

fn is_correct(pair: &Pair) -> bool {
    [&pair.client, &pair.server].iter().all(|side| side.violation.is_none())
}
