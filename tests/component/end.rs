//! An [`End`]: a component, the program around it, and a suspicious look at everything that passes between them.
//!
//! What is lent is taken away as soon as it is given back, so that a late look at it panics; what an action names must stay as it is until the
//! action is completed. Public surface only, no sockets, and a clock that the test moves.

use std::collections::BTreeMap;
use std::time::Duration;

use ws101::error::{Error, Result, Status};
use ws101::http::Headers;
use ws101::options::Options;
use ws101::protocol::component::{Action, Component, Control, Deed, Delivery, Lent, Memory, Outgoing, Place, Surroundings};
use ws101::protocol::{MessageKind, Role, Url};

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
}

/// The program's memory: an address is a number of a run of bytes, and a place in it.
#[derive(Default)]
pub struct Arena {
    runs: BTreeMap<usize, Vec<u8>>,
    last: usize,
}

const RUN: usize = 1 << 40;

impl Arena {
    fn lend(&mut self, bytes: Vec<u8>) -> Lent {
        self.last += 1;
        let lent = Lent { address: self.last * RUN, length: bytes.len() };
        self.runs.insert(self.last, bytes);
        lent
    }

    fn take_back(&mut self, lent: Lent) -> Vec<u8> {
        self.runs.remove(&(lent.address / RUN)).expect("it is given back once")
    }
}

impl Memory for Arena {
    fn bytes(&self, lent: Lent) -> &[u8] {
        let run = self.runs.get(&(lent.address / RUN)).expect("memory that was given back is looked at");
        &run[lent.address % RUN..][..lent.length]
    }

    fn room(&mut self, lent: Lent) -> &mut [u8] {
        let run = self.runs.get_mut(&(lent.address / RUN)).expect("memory that was given back is written to");
        &mut run[lent.address % RUN..][..lent.length]
    }
}

/// What the program was told, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Close(u16, String),
    Failed(Status),
}

/// An action under way, and what it names as it was when it came out.
struct Held {
    id: u64,
    places: Vec<Place>,
    /// Of the component's own memory: where it is, and its bytes if they are to be looked at.
    before: Vec<(usize, Vec<u8>)>,
}

pub struct End {
    pub component: Component,
    pub options: Options,
    pub now: Duration,
    pub random: Random,
    arena: Arena,
    role: Role,
    pub heard: Vec<Heard>,
    /// Payload of the message that has not ended.
    pub begun: Vec<u8>,
    /// Sends that have not ended: their contexts and what they lent.
    sends: BTreeMap<usize, Vec<Lent>>,
    /// How sends have ended.
    pub ended: Vec<(usize, Result<(), Status>)>,
    last_context: usize,
    receiving: Option<(usize, Option<Lent>)>,
    /// How much room receives are given; 0 = views.
    pub room: usize,
    /// The program takes its time to look at pieces: it completes their actions when it is told to.
    pub dawdles: bool,
    /// Whether what is sent may be compressed.
    pub compresses: bool,
    /// Whether the program asks for more as soon as it may.
    pub receives: bool,
    looking: Option<Held>,
    writing: Option<Held>,
    reading: Option<Held>,
    /// Everything that ever left.
    pub wire: Vec<u8>,
    /// Everything that ever came.
    pub arrived: Vec<u8>,
    pub handshaken: Option<Result<(), Status>>,
    pub closed: Option<Result<(), Status>>,
    pub wakes_at: Option<Duration>,
}

impl End {
    pub fn new(role: Role, seed: u64) -> End {
        let mut options = Options::default();
        options.keepalive_interval = None;
        End {
            component: Component::new(role),
            options,
            now: Duration::ZERO,
            random: Random::new(seed),
            arena: Arena::default(),
            role,
            heard: Vec::new(),
            begun: Vec::new(),
            sends: BTreeMap::new(),
            ended: Vec::new(),
            last_context: 0,
            receiving: None,
            room: 0,
            dawdles: false,
            compresses: true,
            receives: true,
            looking: None,
            writing: None,
            reading: None,
            wire: Vec::new(),
            arrived: Vec::new(),
            handshaken: None,
            closed: None,
            wakes_at: None,
        }
    }

    /// Two ends after a handshake as lists of headers.
    pub fn pair(seed: u64) -> (End, End) {
        End::pair_with(seed, |_, _| {})
    }

    /// The same with other options.
    pub fn pair_with(seed: u64, change: impl FnOnce(&mut Options, &mut Options)) -> (End, End) {
        let (mut client, mut server) = (End::new(Role::Client, seed), End::new(Role::Server, !seed));
        change(&mut client.options, &mut server.options);
        let asked = client.component.begin_client_list([7; 16], &client.options).unwrap();
        let mut request = Headers::new();
        request.push("Host", b"server.example").unwrap();
        request.extend(&asked);
        let answered = server.component.begin_server_list(request, &Headers::new(), &server.options).unwrap();
        server.component.end_server_list().unwrap();
        client.component.end_client_list(answered, &client.options).unwrap();
        (client, server)
    }

    /// The same before anything was said: bytes of HTTP are going to come and go.
    pub fn begin(&mut self) {
        let url = Url::parse("ws://server.example/chat").unwrap();
        match self.role {
            Role::Client => self.component.begin_client(&url, [7; 16], &Headers::new(), &self.options).unwrap(),
            Role::Server => self.component.begin_server(&self.options).unwrap(),
        }
    }

    fn with<T>(&mut self, body: impl FnOnce(&mut Component, &mut Surroundings<'_>) -> T) -> T {
        let End { component, options, now, random, arena, .. } = self;
        let mut keys = || (random.next() as u32).to_le_bytes();
        body(component, &mut Surroundings { now: *now, options, memory: arena, keys: &mut keys })
    }

    // ---- what the program wants ---------------------------------------------------------------------------------------------------------

    /// Sends one frame, in as many parts as are given.
    pub fn send_parts(&mut self, kind: MessageKind, ends_message: bool, must_be_whole: bool, parts: &[&[u8]]) -> Result<usize> {
        let lent: Vec<Lent> = parts.iter().map(|part| self.arena.lend(part.to_vec())).collect();
        self.last_context += 1;
        let context = self.last_context;
        let message = Outgoing { kind, ends_message, must_be_whole, may_compress: self.compresses, parts: &lent };
        match self.with(|component, around| component.send(&message, context, around)) {
            Ok(()) => {
                self.sends.insert(context, lent);
                Ok(context)
            }
            Err(error) => {
                lent.into_iter().for_each(|part| drop(self.arena.take_back(part)));
                Err(error)
            }
        }
    }

    pub fn send(&mut self, kind: MessageKind, ends_message: bool, payload: &[u8]) -> Result<usize> {
        self.send_parts(kind, ends_message, false, &[payload])
    }

    pub fn control(&mut self, control: Control<'_>) -> Result<()> {
        self.component.control(control)
    }

    /// Asks for the next piece, as `room` has it.
    pub fn receive(&mut self) -> Result<()> {
        let length = (self.room > 0).then(|| self.random.up_to(self.room));
        self.receive_into(length)
    }

    /// Asks for the next piece, into room of this length, or as a view.
    pub fn receive_into(&mut self, length: Option<usize>) -> Result<()> {
        let room = length.map(|length| self.arena.lend(vec![0xEE; length]));
        self.last_context += 1;
        match self.component.receive(room, self.last_context) {
            Ok(()) => {
                assert!(self.receiving.is_none(), "one receive at a time");
                self.receiving = Some((self.last_context, room));
                Ok(())
            }
            Err(error) => {
                room.into_iter().for_each(|room| drop(self.arena.take_back(room)));
                Err(error)
            }
        }
    }

    // ---- actions ------------------------------------------------------------------------------------------------------------------------

    /// Takes actions until there are none. Reads and writes stay under way, for [`End::read`] and [`End::write`].
    pub fn act(&mut self) {
        loop {
            if self.receives && self.receiving.is_none() && self.looking.is_none() && self.closed.is_none() && self.component.is_open() {
                // Why a receive is not possible any more is told by the call; a closed connection is no news.
                if let Err(error) = self.receive()
                    && error.status() != Status::InvalidOperation
                    && !matches!(self.heard.last(), Some(Heard::Failed(_)))
                {
                    self.heard.push(Heard::Failed(error.status()));
                }
            }
            let Action { id, deed } = self.with(|component, around| component.next_action(around));
            self.check_held();
            self.wakes_at = None;
            assert!(self.closed.is_none() || matches!(deed, Deed::Nothing), "{deed:?} after the end");
            match deed {
                Deed::Nothing => return assert_eq!(id, 0),
                Deed::WakeAt(instant) => {
                    assert!(id == 0 && instant > self.now, "it is to be woken in the past");
                    return self.wakes_at = Some(instant);
                }
                Deed::SendToNetwork(parts) => {
                    assert!(self.writing.is_none(), "one write at a time");
                    self.writing = Some(self.hold(id, parts.to_vec(), true));
                }
                Deed::ReceiveFromNetwork(room) => {
                    assert!(self.reading.is_none(), "one read at a time");
                    self.reading = Some(self.hold(id, vec![room], false));
                }
                Deed::SendComplete { context, result } => {
                    let lent = self.sends.remove(&context).expect("a send ends once");
                    lent.into_iter().for_each(|part| drop(self.arena.take_back(part)));
                    self.ended.push((context, status(result)));
                    self.complete(id, 0).unwrap();
                }
                Deed::ReceiveComplete { context, result } => self.received(id, context, result),
                Deed::Handshaken(result) => {
                    assert!(self.handshaken.is_none(), "one handshake");
                    self.handshaken = Some(status(result));
                    self.complete(id, 0).unwrap();
                }
                Deed::Closed(result) => {
                    assert!(self.sends.is_empty(), "sends that never end");
                    assert!(self.receiving.is_none(), "a receive that never ends");
                    self.closed = Some(status(result));
                    self.complete(id, 0).unwrap();
                }
            }
        }
    }

    fn received(&mut self, id: u64, context: usize, result: Result<Delivery>) {
        let (expected, room) = self.receiving.take().expect("nobody receives");
        assert_eq!(context, expected);
        let delivery = match result {
            Ok(delivery) => delivery,
            Err(error) => {
                room.into_iter().for_each(|room| drop(self.arena.take_back(room)));
                self.heard.push(Heard::Failed(error.status()));
                return self.complete(id, 0).unwrap();
            }
        };
        let bytes = match delivery.place {
            Place::Lent(part) => self.arena.bytes(part).to_vec(),
            place => self.component.own(place).to_vec(),
        };
        match delivery.piece {
            None => {
                let frame = self.component.lifecycle().received().expect("a close frame was told of");
                assert_eq!(bytes, frame.reason().as_bytes());
                self.heard.push(Heard::Close(frame.status(), frame.reason().to_owned()));
            }
            Some(piece) => {
                assert_eq!(bytes.len(), piece.length);
                self.begun.extend_from_slice(&bytes);
                if piece.ends_message {
                    let message = std::mem::take(&mut self.begun);
                    self.heard.push(if piece.kind == MessageKind::Text { Heard::Text(message) } else { Heard::Binary(message) });
                }
            }
        }
        room.into_iter().for_each(|room| drop(self.arena.take_back(room)));
        if self.dawdles {
            self.looking = Some(self.hold(id, vec![delivery.place], true));
        } else {
            self.complete(id, 0).unwrap();
        }
    }

    /// The program has looked at the last piece.
    pub fn look_away(&mut self) {
        if let Some(held) = self.looking.take() {
            self.check(&held);
            self.complete(held.id, 0).unwrap();
        }
    }

    /// The network takes up to `most` bytes; how many it took.
    pub fn write(&mut self, most: usize) -> usize {
        let Some(held) = self.writing.take() else { return 0 };
        self.check(&held);
        if self.component.is_over() {
            // What it names may have been given back: the transport stops, and says so or not.
            self.complete(held.id, 0).unwrap();
            return 0;
        }
        let bytes: Vec<u8> = held.places.iter().flat_map(|place| self.look(*place)).collect();
        assert!(!bytes.is_empty(), "a write of nothing");
        let count = bytes.len().min(most);
        self.wire.extend_from_slice(&bytes[..count]);
        assert_eq!(self.complete(held.id, bytes.len() + 1).unwrap_err().status(), Status::InvalidParameter);
        self.complete(held.id, count).unwrap();
        count
    }

    /// The network brings up to as many bytes as there is room for; how many that were. None without a read under way.
    pub fn read(&mut self, bytes: &[u8]) -> usize {
        if bytes.is_empty() {
            return 0;
        }
        let Some(held) = self.reading.take() else { return 0 };
        self.check(&held);
        if self.component.is_over() {
            self.complete(held.id, 0).unwrap();
            return 0;
        }
        let count = match held.places[0] {
            Place::Lent(room) => {
                let room = self.arena.room(room);
                let count = room.len().min(bytes.len());
                room[..count].copy_from_slice(&bytes[..count]);
                count
            }
            place => {
                let room = self.component.own_room(place);
                let count = room.len().min(bytes.len());
                room[..count].copy_from_slice(&bytes[..count]);
                count
            }
        };
        assert!(count > 0, "a read without room");
        self.arrived.extend_from_slice(&bytes[..count]);
        self.complete(held.id, count).unwrap();
        count
    }

    /// Whether a read is under way.
    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// The transport has ended; false if nobody reads.
    pub fn end_transport(&mut self) -> bool {
        let Some(held) = self.reading.take() else { return false };
        self.complete(held.id, 0).unwrap();
        true
    }

    pub fn complete(&mut self, id: u64, transferred: usize) -> Result<()> {
        let result = self.with(|component, around| component.complete(id, transferred, around));
        if result.is_ok() {
            let again = self.with(|component, around| component.complete(id, transferred, around));
            assert_eq!(again.unwrap_err().status(), Status::InvalidOperation, "an action is completed once");
        }
        result
    }

    // ---- what stays as it is ------------------------------------------------------------------------------------------------------------

    fn look(&self, place: Place) -> Vec<u8> {
        match place {
            Place::Lent(part) => self.arena.bytes(part).to_vec(),
            place => self.component.own(place).to_vec(),
        }
    }

    fn hold(&self, id: u64, places: Vec<Place>, with_bytes: bool) -> Held {
        assert_ne!(id, 0);
        let before = places.iter().map(|place| self.snapshot(*place, with_bytes)).collect();
        Held { id, places, before }
    }

    /// Where the component's own memory is, and what is there; nothing of the program's.
    fn snapshot(&self, place: Place, with_bytes: bool) -> (usize, Vec<u8>) {
        match place {
            Place::Lent(_) | Place::Nowhere => (0, Vec::new()),
            place => {
                let bytes = self.component.own(place);
                assert!(matches!(place, Place::Reason) || !bytes.is_empty() || !with_bytes || self.looking.is_none());
                (bytes.as_ptr() as usize, if with_bytes { bytes.to_vec() } else { Vec::new() })
            }
        }
    }

    fn check(&self, held: &Held) {
        for (place, before) in held.places.iter().zip(&held.before) {
            let with_bytes = !before.1.is_empty();
            assert_eq!(self.snapshot(*place, with_bytes), *before, "what an action names has moved or changed");
        }
    }

    fn check_held(&self) {
        [&self.looking, &self.writing, &self.reading].into_iter().flatten().for_each(|held| self.check(held));
    }
}

fn status(result: Result<()>) -> Result<(), Status> {
    result.map_err(|error: Error| error.status())
}

/// Carries what `from` has written and `to` has not read, in parts of at most `part` bytes; how many bytes moved.
pub fn carry(from: &mut End, to: &mut End, carried: &mut usize, part: usize) -> usize {
    from.act();
    from.write(part);
    from.act();
    to.act();
    let waiting = &from.wire[*carried..];
    let count = to.read(&waiting[..waiting.len().min(part)]);
    *carried += count;
    to.act();
    count
}

/// Until nothing moves any more.
pub fn converse(client: &mut End, server: &mut End, carried: &mut [usize; 2], part: usize) {
    loop {
        let before = (client.wire.len(), server.wire.len());
        let moved = carry(client, server, &mut carried[0], part) + carry(server, client, &mut carried[1], part);
        if moved == 0 && before == (client.wire.len(), server.wire.len()) {
            return;
        }
    }
}
