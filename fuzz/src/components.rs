//! Two components with programs and networks that do anything in any order: splits, partial writes, receives of every kind, time, aborts, bytes
//! of an attacker.
//!
//! Each hears exactly what the model reads in the bytes that reached it; every send and every receive ends once; nothing but correct frames ever
//! leaves; and what [`End`](end::End) watches over: lent memory is not touched once it was given back, and what an action names stays.

use std::time::Duration;

use ws101::error::Status;
use ws101::options::Takeover;
use ws101::protocol::component::Control;
use ws101::protocol::{CloseFrame, CloseStatus, Limits, MessageKind, Role, Violation};

use super::input::Input;
use super::model::{self, Entry};

#[path = "../../tests/component/end.rs"]
#[allow(dead_code, reason = "the tests of the component use more of it")]
mod end;

use end::{End, Heard};

/// One side, and what is to be known of it in the end.
struct Side {
    end: End,
    /// What of the peer's bytes, and of the attacker's, has not reached it.
    arriving: Vec<u8>,
    /// How much of what it has written is on its way to the peer.
    taken: usize,
    is_attacked: bool,
    is_aborted: bool,
    has_lost_transport: bool,
    sends: Vec<usize>,
    said: Vec<Heard>,
    open: Vec<u8>,
    limits: Limits,
}

/// One byte of seed, three of choices, then steps.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let seed = input.byte();
    let is_compressed = cfg!(feature = "deflate") && seed & 0x80 != 0;
    let (client, server) = End::pair_with(seed.into(), |client, server| {
        for options in [client, server] {
            options.compression.enabled = is_compressed;
            options.compression.threshold = Some(u32::from(seed & 0xF));
            let keeps = seed & 0x40 != 0;
            (options.compression.client_takeover, options.compression.server_takeover) =
                if keeps { (Takeover::On, Takeover::On) } else { (Takeover::Off, Takeover::Default) };
        }
    });
    let mut sides = [side(client, input.byte()), side(server, input.byte())];
    while !input.is_empty() {
        step(&mut input, &mut sides);
    }
    settle(&mut sides);
    for at in 0..2 {
        check_ends(&sides[at]);
        if is_compressed {
            check_said(&sides[at], &sides[1 - at]);
        } else {
            check(&sides, at);
        }
    }
}

fn side(mut end: End, choices: u8) -> Side {
    let limits = match choices & 3 {
        0 | 1 => Limits::default(),
        2 => Limits { max_message: u64::from(choices), max_fragments: u32::MAX },
        _ => Limits { max_message: u64::MAX, max_fragments: 1 + u32::from(choices >> 5) },
    };
    end.options.max_message = (limits.max_message != u64::MAX).then_some(limits.max_message);
    end.options.max_fragments = limits.max_fragments;
    end.options.manual_close = choices & 4 != 0;
    end.options.check_sent_text = choices & 8 != 0;
    end.options.keepalive_interval = (choices & 16 != 0).then_some(Duration::from_secs(30));
    end.options.receive_buffer_size = if choices & 32 == 0 { 1024 } else { 32 << 10 };
    end.options.send_buffer_size = if choices & 64 == 0 { 1024 } else { 32 << 10 };
    end.room = [0, 1, 300, 10_000][usize::from(choices >> 6)];
    Side {
        end,
        arriving: Vec::new(),
        taken: 0,
        is_attacked: false,
        is_aborted: false,
        has_lost_transport: false,
        sends: Vec::new(),
        said: Vec::new(),
        open: Vec::new(),
        limits,
    }
}

fn step(input: &mut Input, sides: &mut [Side; 2]) {
    let choices = input.byte();
    let at = usize::from(choices >> 7);
    let side = &mut sides[at];
    match choices & 0xF {
        0..=4 => {
            let kind = if choices & 0x10 == 0 { MessageKind::Text } else { MessageKind::Binary };
            let length = usize::from(input.byte());
            let payload = input.take(length).repeat(if choices & 0xF == 0 { 100 } else { 1 });
            side.send(kind, choices & 0x20 != 0, choices & 0x40 != 0, &payload, usize::from(input.byte()));
        }
        5 => {
            let length = usize::from(input.byte());
            let payload = input.take(length);
            let may = !side.end.component.lifecycle().has_sent_close() && side.is_alive();
            let control = if choices & 0x10 == 0 { Control::Ping(payload) } else { Control::Pong(payload) };
            assert_eq!(side.end.control(control).is_ok(), may && length.min(payload.len()) <= 125);
        }
        6 => side.close(input),
        7 => drop(side.end.write(usize::from(input.byte()) + 1)),
        8 => side.deliver(usize::from(input.byte()) + 1),
        9 => side.end.act(),
        10 => side.end.receives ^= true,
        11 => {
            side.end.dawdles = choices & 0x10 != 0;
            side.end.room = [0, 1, 300, 10_000][usize::from(choices >> 5 & 3)];
        }
        12 => side.end.look_away(),
        13 => {
            let now = side.end.now + Duration::from_secs(u64::from(input.byte()) / 4);
            sides.iter_mut().for_each(|side| side.end.now = now);
        }
        14 if choices & 0x70 == 0x70 => {
            side.is_aborted = true;
            side.end.component.abort();
        }
        14 if choices & 0x70 == 0x60 => {
            side.has_lost_transport |= side.end.end_transport();
        }
        14 => carry(sides, 1 - at),
        _ => {
            // The attacker stands between the two: what reaches this side is no longer what the other one sent.
            let length = usize::from(input.byte());
            side.is_attacked = true;
            side.arriving.extend_from_slice(input.take(length));
        }
    }
}

/// What `from` has written goes on its way.
fn carry(sides: &mut [Side; 2], from: usize) {
    let bytes = sides[from].end.wire[sides[from].taken..].to_vec();
    sides[from].taken += bytes.len();
    sides[1 - from].arriving.extend(bytes);
}

/// Everything that can happen without more time happens.
fn settle(sides: &mut [Side; 2]) {
    for side in sides.iter_mut() {
        side.end.receives = true;
        side.end.dawdles = false;
    }
    loop {
        let before = sides.each_ref().map(|side| (side.end.wire.len(), side.end.arrived.len()));
        for at in 0..2 {
            let side = &mut sides[at];
            side.end.look_away();
            side.end.act();
            side.end.write(usize::MAX);
            side.deliver(usize::MAX);
            side.end.act();
            carry(sides, at);
        }
        if before == sides.each_ref().map(|side| (side.end.wire.len(), side.end.arrived.len())) {
            return;
        }
    }
}

impl Side {
    /// Whether it can still be used, as far as the program was told.
    fn is_alive(&self) -> bool {
        self.end.component.failure().is_none() && self.end.closed.is_none() && !self.is_over()
    }

    /// Whether the component has ended, told or not: a call that says so.
    fn is_over(&self) -> bool {
        self.end.component.is_over()
    }

    fn send(&mut self, kind: MessageKind, ends_message: bool, must_be_whole: bool, payload: &[u8], cut: usize) {
        let may_send = self.end.component.lifecycle().may_send() && self.is_alive();
        let (first, second) = payload.split_at(cut.min(payload.len()));
        match self.end.send_parts(kind, ends_message, must_be_whole, &[first, second]) {
            Ok(context) => {
                assert!(may_send);
                self.sends.push(context);
                self.open.extend_from_slice(payload);
                if ends_message {
                    let message = std::mem::take(&mut self.open);
                    self.said.push(if kind == MessageKind::Text { Heard::Text(message) } else { Heard::Binary(message) });
                }
            }
            Err(error) if may_send => assert!(matches!(error.status(), Status::InvalidParameter | Status::InvalidOperation)),
            Err(error) => assert_ne!(error.status(), Status::InvalidParameter),
        }
    }

    fn close(&mut self, input: &mut Input) {
        let status = input.short();
        let length = usize::from(input.byte());
        let reason = String::from_utf8_lossy(input.take(length)).into_owned();
        // Small numbers are statuses too: fuzzers find them sooner.
        let frame = match CloseStatus::new(if status < 100 { 1000 + status } else { status }) {
            None => CloseFrame::empty(),
            Some(status) => CloseFrame::new(status, &reason).unwrap_or(CloseFrame::of(status)),
        };
        let lifecycle = self.end.component.lifecycle();
        let may_close = (!lifecycle.has_sent_close() || lifecycle.has_answered()) && self.is_alive();
        assert_eq!(self.end.control(Control::Close(frame)).is_ok(), may_close);
    }

    fn deliver(&mut self, most: usize) {
        let count = self.end.read(&self.arriving[..self.arriving.len().min(most)]);
        self.arriving.drain(..count);
    }
}

/// Every send has ended once, and at most one failure was told.
fn check_ends(own: &Side) {
    let mut ended: Vec<usize> = own.end.ended.iter().map(|(context, _)| *context).collect();
    ended.sort_unstable();
    assert_eq!(ended, own.sends, "every send ends once");
    assert!(own.end.heard.iter().filter(|heard| matches!(heard, Heard::Failed(_))).count() <= 1);
}

/// Compressed bytes are not the model's business, but what was said is what is heard.
fn check_said(own: &Side, peer: &Side) {
    if !own.is_attacked {
        let heard: Vec<Heard> = own.end.heard.iter().filter(|heard| matches!(heard, Heard::Text(_) | Heard::Binary(_))).cloned().collect();
        assert!(peer.said.starts_with(&heard), "{} were heard, {} were said", heard.len(), peer.said.len());
        let is_whole = peer.end.component.failure().is_none() && own.end.component.failure().is_none() && !peer.end.component.is_over();
        assert!(!is_whole || own.end.component.is_over() || heard.len() == peer.said.len(), "{} of {}", heard.len(), peer.said.len());
    }
}

/// One side in the end: what it heard, and what it sent.
fn check(sides: &[Side; 2], at: usize) {
    let (own, peer) = (&sides[at], &sides[1 - at]);
    let (role, sender) = if at == 0 { (Role::Client, Role::Server) } else { (Role::Server, Role::Client) };
    let (heard, violation) = expected(sender, own.limits, &own.end.arrived);
    let failure = own.end.component.failure().map(|error| error.status());
    let is_cut_short = own.is_aborted || own.has_lost_transport || matches!(failure, Some(Status::Timeout | Status::PeerLost));
    let messages: Vec<Heard> = own.end.heard.iter().filter(|heard| !matches!(heard, Heard::Failed(_))).cloned().collect();
    if is_cut_short {
        assert!(heard.starts_with(&messages), "{messages:?} is not the beginning of {heard:?}");
    } else {
        // A close frame that came while the program asked for nothing is only told if there still is something to ask.
        let is_untold =
            messages.len() + 1 == heard.len() && matches!(heard.last(), Some(Heard::Close(..))) && own.end.closed == Some(Ok(()));
        assert!(messages == heard[..heard.len() - usize::from(is_untold)], "{} were heard, {} came", messages.len(), heard.len());
        assert_eq!(failure, violation.map(Violation::status));
    }
    if !own.is_attacked && !is_cut_short && !peer.is_aborted && violation.is_none() && own.end.closed.is_none() && own.arriving.is_empty() {
        let whole = peer.end.ended.iter().filter(|(_, result)| result.is_ok()).count();
        assert!(whole <= peer.sends.len());
        let said: Vec<Heard> = messages.into_iter().filter(|heard| !matches!(heard, Heard::Close(..))).collect();
        assert!(peer.said.starts_with(&said), "{said:?} was heard, {:?} was said", peer.said);
    }

    let sent = model::read(role, Limits::default(), &own.end.wire);
    assert!(!sent.is_cut || own.end.closed.is_some(), "half a frame");
    assert!(matches!(sent.violation, None | Some(Violation::InvalidText)), "{:?} left this side", sent.violation);
    if sent.violation.is_some() {
        return;
    }
    let closes = sent.entries.iter().filter(|entry| matches!(entry, Entry::Close(_))).count();
    assert!(closes <= usize::from(own.end.component.lifecycle().has_sent_close()), "one close frame at most");
    assert!(closes == 0 || matches!(sent.entries.last(), Some(Entry::Close(_))), "nothing follows the close frame");
    // The close frame has a time limit as well.
    if violation.is_some() && !is_cut_short && own.end.now == Duration::ZERO {
        assert_eq!(closes, 1, "the peer was told");
    }
}

/// What a program hears when `arrived` reaches it, and the violation that ended it.
fn expected(sender: Role, limits: Limits, arrived: &[u8]) -> (Vec<Heard>, Option<Violation>) {
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
            Entry::Ping(_) | Entry::Pong(_) => {}
            Entry::Close(payload) => {
                return match super::sessions::judge_close(&payload) {
                    Ok((status, reason)) => {
                        heard.push(Heard::Close(status, reason));
                        (heard, None)
                    }
                    Err(violation) => (heard, Some(violation)),
                };
            }
        }
    }
    (heard, transcript.violation)
}
