//! A [`Pair`]: two endpoints, a virtual network between them, and a virtual clock. Nothing here waits.
//!
//! What leaves one side arrives at the other in order, but cut into arbitrary parts, after arbitrary delays, and is received into rooms
//! of arbitrary sizes; all of it follows from one seed. Public surface only.

use std::collections::VecDeque;
use std::time::Duration;

use ws101::error::{Error, Result, Status};
use ws101::protocol::{CloseFrame, Endpoint, Event, MaskingKey, MessageKind, Role, Settings, Violation};

/// Numbers that follow from a seed (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// From 1 to `most`.
    pub fn up_to(&mut self, most: usize) -> usize {
        1 + (self.next() >> 16) as usize % most.max(1)
    }

    pub fn key(&mut self) -> MaskingKey {
        (self.next() as u32).to_le_bytes()
    }
}

/// What a program on one side was told, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
}

/// How the network treats what it is given.
#[derive(Clone, Copy)]
pub struct Network {
    /// The most bytes that arrive, or are looked at, at once.
    pub part: usize,
    /// The most room that receive is given.
    pub room: usize,
    /// The longest that bytes are under way.
    pub delay: Duration,
}

/// One end with its program, and what is under way to it.
pub struct Side {
    pub endpoint: Endpoint,
    pub heard: Vec<Heard>,
    /// Payload of the message that has not ended.
    pub begun: Vec<u8>,
    pub violation: Option<Violation>,
    /// When keep-alive gave the peer up.
    pub lost_at: Option<Duration>,
    /// Everything that ever left this side.
    pub wire: Vec<u8>,
    /// Everything that ever reached it.
    pub arrived: Vec<u8>,
    /// Whether the network takes bytes from this side; a full socket buffer takes none.
    pub can_send: bool,
    /// Whether bytes reach this side; a cable that was pulled delivers none.
    pub can_receive: bool,
    arriving: VecDeque<(Duration, Vec<u8>)>,
    wakes_at: Option<Duration>,
}

impl Side {
    fn new(role: Role, settings: Settings) -> Side {
        Side {
            endpoint: Endpoint::new(role, settings, Duration::ZERO),
            heard: Vec::new(),
            begun: Vec::new(),
            violation: None,
            lost_at: None,
            wire: Vec::new(),
            arrived: Vec::new(),
            can_send: true,
            can_receive: true,
            arriving: VecDeque::new(),
            wakes_at: None,
        }
    }

    /// The messages among what was heard.
    pub fn messages(&self) -> Vec<Heard> {
        self.heard.iter().filter(|heard| matches!(heard, Heard::Text(_) | Heard::Binary(_))).cloned().collect()
    }

    /// Uses `bytes`, in parts, as a program would.
    fn receive(&mut self, mut bytes: &[u8], network: Network, now: Duration, random: &mut Random) {
        loop {
            let part = bytes.len().min(random.up_to(network.part));
            let mut room = vec![0; random.up_to(network.room)];
            let (used, event) = match self.endpoint.receive(&bytes[..part], &mut room, now, &mut || random.key()) {
                Ok(found) => found,
                Err(violation) => {
                    assert!(self.violation.is_none_or(|before| before == violation), "another violation than before");
                    self.violation = Some(violation);
                    return;
                }
            };
            bytes = &bytes[used..];
            self.hear(event, &room);
            if !self.endpoint.lifecycle().may_receive() {
                assert_eq!(self.endpoint.receive(bytes, &mut room, now, &mut || random.key()), Ok((0, Event::NeedBytes)));
                return;
            }
            if event == Event::NeedBytes {
                assert_eq!(used, part, "bytes were left over");
                if bytes.is_empty() {
                    return;
                }
            }
        }
    }

    fn hear(&mut self, event: Event, room: &[u8]) {
        let payload = self.endpoint.control_payload().to_vec();
        match event {
            Event::NeedBytes => {}
            Event::Ping => self.heard.push(Heard::Ping(payload)),
            Event::Pong => self.heard.push(Heard::Pong(payload)),
            Event::Close => {
                let frame = self.endpoint.lifecycle().received().expect("a close frame was told of");
                self.heard.push(Heard::Close(frame.status(), frame.reason().to_owned()));
            }
            Event::Piece(piece) => {
                self.begun.extend_from_slice(&room[..piece.length]);
                if piece.ends_message {
                    let message = std::mem::take(&mut self.begun);
                    self.heard.push(match piece.kind {
                        MessageKind::Text => Heard::Text(message),
                        MessageKind::Binary => Heard::Binary(message),
                    });
                }
            }
        }
    }
}

/// Two endpoints and what is between them.
pub struct Pair {
    pub client: Side,
    pub server: Side,
    pub now: Duration,
    pub network: Network,
    pub random: Random,
}

impl Pair {
    /// A connection right after the upgrade, over a network that cuts and delays as `seed` has it.
    pub fn new(seed: u64, client: Settings, server: Settings) -> Pair {
        let mut random = Random::new(seed);
        let part = [1, 2, 7, 100, 5000, 1 << 20][random.up_to(6) - 1];
        let room = [1, 3, 125, 4096, 1 << 16][random.up_to(5) - 1];
        let delay = Duration::from_millis([0, 1, 50][random.up_to(3) - 1]);
        let network = Network { part, room, delay };
        Pair { client: Side::new(Role::Client, client), server: Side::new(Role::Server, server), now: Duration::ZERO, network, random }
    }

    /// One that neither cuts nor delays much, for tests that count instants.
    pub fn instant(client: Settings, server: Settings) -> Pair {
        let mut pair = Pair::new(0, client, server);
        pair.network = Network { part: 1 << 20, room: 1 << 16, delay: Duration::ZERO };
        pair
    }

    pub fn side(&mut self, role: Role) -> &mut Side {
        match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }

    /// Sends one frame from `role`'s side.
    pub fn send(&mut self, role: Role, kind: MessageKind, ends_message: bool, payload: &[u8]) -> Result<()> {
        let (side, _, random) = self.parts(role);
        side.endpoint.send(kind, ends_message, payload, &mut || random.key())
    }

    pub fn ping(&mut self, role: Role, payload: &[u8]) -> Result<()> {
        let (side, _, random) = self.parts(role);
        side.endpoint.ping(payload, &mut || random.key())
    }

    pub fn close(&mut self, role: Role, frame: CloseFrame) -> Result<()> {
        let (side, _, random) = self.parts(role);
        side.endpoint.close(frame, &mut || random.key())
    }

    /// Bytes that `to`'s peer never sent arrive behind those that are under way.
    pub fn inject(&mut self, to: Role, bytes: &[u8]) {
        let now = self.now;
        let side = self.side(to);
        let at = side.arriving.back().map_or(now, |(at, _)| now.max(*at));
        side.arriving.push_back((at, bytes.to_vec()));
    }

    /// Lets time pass until nothing is under way; keep-alive runs on the way but is not waited for.
    pub fn run(&mut self) {
        loop {
            self.settle();
            let arrivals = [&self.client, &self.server].map(|side| side.arriving.front().map(|(at, _)| *at).filter(|_| side.can_receive));
            let Some(next) = arrivals.into_iter().flatten().min() else { return };
            let wakes = [self.client.wakes_at, self.server.wakes_at].into_iter().flatten().filter(|at| *at > self.now).min();
            self.now = wakes.map_or(next, |wake| wake.min(next)).max(self.now);
        }
    }

    /// Lets time pass until `end`, keep-alive and all.
    pub fn run_until(&mut self, end: Duration) {
        loop {
            self.run();
            let wakes = [self.client.wakes_at, self.server.wakes_at].into_iter().flatten().filter(|at| *at > self.now).min();
            match wakes {
                Some(wake) if wake <= end => self.now = wake,
                _ => break,
            }
        }
        self.now = self.now.max(end);
        self.run();
    }

    fn parts(&mut self, role: Role) -> (&mut Side, &mut Side, &mut Random) {
        match role {
            Role::Client => (&mut self.client, &mut self.server, &mut self.random),
            Role::Server => (&mut self.server, &mut self.client, &mut self.random),
        }
    }

    /// Everything that can happen at this instant.
    fn settle(&mut self) {
        loop {
            let mut has_changed = false;
            for role in [Role::Client, Role::Server] {
                self.step(role);
                has_changed |= self.transmit(role);
                has_changed |= self.deliver(role);
            }
            if !has_changed {
                return;
            }
        }
    }

    fn step(&mut self, role: Role) {
        let now = self.now;
        let (side, _, random) = self.parts(role);
        match side.endpoint.step(now, &mut || random.key()) {
            Ok(wakes_at) => side.wakes_at = wakes_at,
            Err(error) => {
                assert_eq!(Error::status(&error), Status::PeerLost);
                side.lost_at.get_or_insert(now);
                side.wakes_at = None;
            }
        }
    }

    /// Takes what `role` wants to send.
    fn transmit(&mut self, role: Role) -> bool {
        let (now, network) = (self.now, self.network);
        let (side, other, random) = self.parts(role);
        let mut has_changed = false;
        while side.can_send && !side.endpoint.outgoing().is_empty() {
            // Large sends leave in some hundred parts at most, to be quick; they are looked at in smaller ones still.
            let waiting = side.endpoint.outgoing().len();
            let part = random.up_to(network.part.max(waiting / 100)).min(waiting);
            let bytes = side.endpoint.outgoing()[..part].to_vec();
            side.endpoint.sent(part, now);
            side.wire.extend_from_slice(&bytes);
            let delay = network.delay * (random.up_to(101) - 1) as u32 / 100;
            let behind = other.arriving.back().map_or(now, |(at, _)| *at);
            other.arriving.push_back((behind.max(now + delay), bytes));
            has_changed = true;
        }
        has_changed
    }

    /// Gives `role` what has arrived.
    fn deliver(&mut self, role: Role) -> bool {
        let (now, network) = (self.now, self.network);
        let (side, _, random) = self.parts(role);
        let mut bytes = Vec::new();
        while side.can_receive && side.arriving.front().is_some_and(|(at, _)| *at <= now) {
            bytes.extend(side.arriving.pop_front().map(|(_, part)| part).unwrap_or_default());
            // Sometimes several parts are read at once.
            if random.up_to(4) == 1 {
                break;
            }
        }
        if bytes.is_empty() {
            return false;
        }
        side.arrived.extend_from_slice(&bytes);
        side.receive(&bytes, network, now, random);
        true
    }
}
