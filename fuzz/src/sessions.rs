//! Two endpoints and whatever programs, networks and attackers do: each hears exactly what the model reads in the bytes that reached
//! it, and nothing but correct frames ever leaves.

use std::time::Duration;

use ws101::error::Status;
use ws101::protocol::{CloseFrame, CloseStatus, Limits, MessageKind, Role, Settings, Violation};

use super::input::Input;
use super::model::{self, Entry};

#[path = "../../tests/pair/network.rs"]
#[allow(dead_code, reason = "the tests of the pair use more of it")]
mod network;

use network::{Heard, Pair, Side};

/// What one program managed to send.
#[derive(Default)]
struct Said {
    messages: Vec<Heard>,
    open: Vec<u8>,
    is_attacked: bool,
}

/// One byte of seed, one of choices, then steps.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let seed = input.byte();
    let (client, server) = (settings(input.byte()), settings(input.byte()));
    let mut pair = Pair::new(seed.into(), client, server);
    let mut said = [Said::default(), Said::default()];
    while !input.is_empty() {
        step(&mut input, &mut pair, &mut said);
    }
    for role in [Role::Client, Role::Server] {
        pair.side(role).can_send = true;
        pair.side(role).can_receive = true;
    }
    pair.run();
    check(&pair.client, &pair.server, Role::Client, client, &said);
    check(&pair.server, &pair.client, Role::Server, server, &said);
}

fn settings(choices: u8) -> Settings {
    let limits = match choices & 3 {
        0 | 1 => Limits::default(),
        2 => Limits { max_message: u64::from(choices), max_fragments: u32::MAX },
        _ => Limits { max_message: u64::MAX, max_fragments: u32::from(choices >> 5) },
    };
    Settings {
        limits,
        manual_close: choices & 4 != 0,
        check_sent_text: choices & 8 != 0,
        keepalive_interval: (choices & 16 != 0).then_some(Duration::from_secs(30)),
        keepalive_timeout: (choices & 32 != 0).then_some(Duration::from_secs(20)),
        compression: None,
    }
}

fn step(input: &mut Input, pair: &mut Pair, said: &mut [Said; 2]) {
    let choices = input.byte();
    let role = if choices & 0x80 == 0 { Role::Client } else { Role::Server };
    let own = &mut said[usize::from(choices >> 7)];
    match choices & 0xF {
        0..=5 => {
            let kind = if choices & 0x10 == 0 { MessageKind::Text } else { MessageKind::Binary };
            let length = usize::from(input.byte());
            let payload = input.take(length).repeat(if choices & 0xF == 0 { 300 } else { 1 });
            send(pair, own, role, kind, choices & 0x20 != 0, &payload);
        }
        6 => {
            let length = usize::from(input.byte());
            let payload = input.take(length);
            let before = pair.side(role).endpoint.outgoing().len();
            let has_pinged = pair.ping(role, payload).is_ok();
            let grown = pair.side(role).endpoint.outgoing().len() - before;
            assert_eq!(grown, if has_pinged { 2 + payload.len() + if role == Role::Client { 4 } else { 0 } } else { 0 });
        }
        7 => close(input, pair, role),
        8 => pair.run(),
        9 => pair.run_until(pair.now + Duration::from_secs(input.byte().into())),
        10 => pair.side(role).can_send ^= true,
        11 => pair.side(role).can_receive ^= true,
        _ => {
            // The attacker stands between the two: what reaches this side is no longer what the other one sent.
            let length = usize::from(input.byte());
            own.is_attacked = true;
            pair.inject(role, input.take(length));
        }
    }
}

fn send(pair: &mut Pair, said: &mut Said, role: Role, kind: MessageKind, ends_message: bool, payload: &[u8]) {
    let before = pair.side(role).endpoint.outgoing().len();
    let may_send = pair.side(role).endpoint.lifecycle().may_send();
    match pair.send(role, kind, ends_message, payload) {
        Ok(()) => {
            assert!(may_send);
            said.open.extend_from_slice(payload);
            if ends_message {
                let message = std::mem::take(&mut said.open);
                said.messages.push(if kind == MessageKind::Text { Heard::Text(message) } else { Heard::Binary(message) });
            }
        }
        Err(error) => {
            assert_eq!(error.status(), if may_send { Status::InvalidParameter } else { Status::InvalidOperation });
            assert_eq!(pair.side(role).endpoint.outgoing().len(), before, "a refused send left something");
        }
    }
}

fn close(input: &mut Input, pair: &mut Pair, role: Role) {
    let status = input.short();
    let length = usize::from(input.byte());
    let reason = String::from_utf8_lossy(input.take(length));
    // Small numbers are statuses too: fuzzers find them sooner.
    let frame = match CloseStatus::new(if status < 100 { 1000 + status } else { status }) {
        None => CloseFrame::empty(),
        Some(status) => CloseFrame::new(status, &reason).unwrap_or(CloseFrame::of(status)),
    };
    let may_close = !pair.side(role).endpoint.lifecycle().has_sent_close();
    match pair.close(role, frame) {
        Ok(()) => assert!(may_close),
        Err(error) => assert!(!may_close && error.status() == Status::InvalidOperation),
    }
}

/// One side in the end: what it heard, and what it sent.
fn check(side: &Side, other: &Side, role: Role, settings: Settings, said: &[Said; 2]) {
    let (own, peers, sender) = match role {
        Role::Client => (&said[0], &said[1], Role::Server),
        Role::Server => (&said[1], &said[0], Role::Client),
    };
    let (heard, begun, violation) = expected(sender, settings.limits, &side.arrived);
    assert_eq!(side.violation, violation);
    assert_eq!(side.heard, heard);
    if violation != Some(Violation::InvalidText) {
        assert_eq!(side.begun, begun);
    }
    if !own.is_attacked && violation.is_none() {
        assert!(side.arrived == other.wire, "the network lost bytes");
        assert_eq!(side.messages(), peers.messages, "everything that was sent before the close frame arrived");
    }

    let sent = model::read(role, Limits::default(), &side.wire);
    assert!(!sent.is_cut && side.endpoint.outgoing().is_empty());
    assert!(matches!(sent.violation, None | Some(Violation::InvalidText)), "{:?} left this side", sent.violation);
    if sent.violation.is_some() {
        return;
    }
    let closes = sent.entries.iter().filter(|entry| matches!(entry, Entry::Close(_))).count();
    assert_eq!(closes, usize::from(side.endpoint.lifecycle().has_sent_close()), "one close frame at most");
    if closes == 1 {
        assert!(matches!(sent.entries.last(), Some(Entry::Close(_))), "nothing follows the close frame");
    }
    if violation.is_some() {
        assert_eq!(closes, 1, "the peer was told");
    }
}

/// What a program hears when `arrived` reaches it: messages, the beginning of an open one, and the violation that ended it.
fn expected(sender: Role, limits: Limits, arrived: &[u8]) -> (Vec<Heard>, Vec<u8>, Option<Violation>) {
    let transcript = model::read(sender, limits, arrived);
    let (mut heard, mut begun) = (Vec::new(), Vec::new());
    for entry in transcript.entries {
        match entry {
            Entry::Data(kind, bytes, ends_message) => {
                begun.extend(bytes);
                if ends_message {
                    let message = std::mem::take(&mut begun);
                    heard.push(if kind == MessageKind::Text { Heard::Text(message) } else { Heard::Binary(message) });
                }
            }
            Entry::Ping(payload) => heard.push(Heard::Ping(payload)),
            Entry::Pong(payload) => heard.push(Heard::Pong(payload)),
            Entry::Close(payload) => {
                return match judge_close(&payload) {
                    Ok((status, reason)) => {
                        heard.push(Heard::Close(status, reason));
                        (heard, begun, None)
                    }
                    Err(violation) => (heard, begun, Some(violation)),
                };
            }
        }
    }
    (heard, begun, transcript.violation)
}

/// RFC 6455 §5.5.1 and §7.4, in the plainest way.
pub(super) fn judge_close(payload: &[u8]) -> Result<(u16, String), Violation> {
    if payload.is_empty() {
        return Ok((1005, String::new()));
    }
    let Some((status, reason)) = payload.split_at_checked(2) else { return Err(Violation::CloseOfOneByte) };
    let status = u16::from(status[0]) << 8 | u16::from(status[1]);
    let is_reserved = [1004, 1005, 1006, 1015].contains(&status) || (1016..3000).contains(&status);
    if !(1000..5000).contains(&status) || is_reserved {
        return Err(Violation::CloseStatus(status));
    }
    String::from_utf8(reason.to_vec()).map(|reason| (status, reason)).map_err(|_| Violation::InvalidReason)
}
