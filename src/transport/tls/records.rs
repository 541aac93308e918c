//! A rustls connection with its one incoming buffer: records in, plaintext out, and the other way. Touches no socket.
//!
//! rustls keeps places in the bytes that were handed to it and not used up: every call must get those bytes again, unchanged and in front, also
//! a call that only wants to encrypt. (With an empty buffer instead it panics after half a session ticket.) So the connection and the buffer
//! live behind one door; and whoever goes in uses up all there is before going out: plaintext waits in `plain`, records to be sent in
//! `outgoing`, and what stays in `incoming` is less than a record, or a handshake message that goes on.
//!
//! Out of scope: reading and writing (see [`Secured`](super::Secured)), and what an error means to a program (see `reasons`).

use std::fmt;
use std::ops::Range;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic};
use rustls::{CommonState, Error, ProtocolVersion};

use super::room::Room;

/// What a record adds to its payload, at the most: header, type, nonce and tag of every cipher suite that rustls has, and a little more.
const MOST_OVERHEAD: usize = 64;

/// The most payload of one record.
pub const RECORD: usize = 16 << 10;

/// A handshake message may be 64 KiB, in records of any size; more than this is an attack on the memory.
const MOST_INCOMING: usize = 512 << 10;

/// Which side, with the connection of its kind.
pub enum Side {
    /// A client's.
    Client(UnbufferedClientConnection),
    /// A server's.
    Server(UnbufferedServerConnection),
}

impl fmt::Debug for Side {
    /// Never what is inside: it has the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Side::Client(_)) { "Client" } else { "Server" })
    }
}

/// The record layer of one connection, as far as it needs no socket.
#[derive(Debug)]
pub struct Records {
    side: Side,
    /// Received and not used up; rustls counts on it.
    incoming: Vec<u8>,
    /// Decrypted and not delivered, from `plain_start` on.
    plain: Vec<u8>,
    plain_start: usize,
    /// Made by the record layer itself: handshake, tickets, alerts. Goes out before anything that is encrypted later.
    outgoing: Vec<u8>,
    /// So much of `outgoing` is of use to the peer only together with what is encrypted next.
    unhurried: usize,
    /// The peer has said that it sends no more.
    has_ended: bool,
    has_sent_end: bool,
    failure: Option<Error>,
}

impl Records {
    /// A connection of which nothing was sent or received; what is to be sent first is made.
    pub fn new(side: Side) -> Records {
        let mut records = Records {
            side,
            incoming: Vec::new(),
            plain: Vec::new(),
            plain_start: 0,
            outgoing: Vec::new(),
            unhurried: 0,
            has_ended: false,
            has_sent_end: false,
            failure: None,
        };
        records.settle(&mut |_, _| {});
        records
    }

    /// Takes what was received: `buffer[received]`, before which there is room that may be written over. Plaintext goes to `first` and `second`,
    /// what they have no room for is kept. How much was put there; an error is kept, to be told once there is nothing left to deliver.
    pub fn feed(&mut self, buffer: &mut [u8], received: Range<usize>, first: &mut [u8], second: &mut [u8]) -> usize {
        if self.failure.is_some() || self.has_ended {
            return 0;
        }
        let was_handshaking = self.state().is_handshaking();
        let mut delivery = Delivery { first, second, delivered: 0, rest: std::mem::take(&mut self.plain) };
        let kept = self.incoming.len();
        let result = if kept <= received.start {
            let start = received.start - kept;
            buffer[start..received.start].copy_from_slice(&self.incoming);
            let (used, result) = self.run(&mut buffer[start..received.end], &mut delivery, &mut |_, _| {});
            self.incoming.clear();
            self.incoming.extend_from_slice(&buffer[start + used..received.end]);
            result
        } else {
            let mut incoming = std::mem::take(&mut self.incoming);
            incoming.extend_from_slice(&buffer[received]);
            let (used, result) = self.run(&mut incoming, &mut delivery, &mut |_, _| {});
            incoming.drain(..used);
            self.incoming = incoming;
            result
        };
        let Delivery { delivered, rest, .. } = delivery;
        self.plain = rest;
        if self.incoming.is_empty() {
            // Idle connections own nothing.
            self.incoming = Vec::new();
        }
        match result {
            Ok(()) if self.incoming.len() > MOST_INCOMING => self.fail(Error::PeerSentOversizedRecord),
            // RFC 8446 §4.4.4, §4.6.1: the last word of a client's handshake, which has its request behind it, or a server's tickets. In one segment
            // with what follows both sides have less work. (In TLS 1.2 the peer waits for what the last one says.)
            Ok(())
                if was_handshaking
                    && self.state().protocol_version() == Some(ProtocolVersion::TLSv1_3)
                    && !self.state().is_handshaking() =>
            {
                self.unhurried = self.outgoing.len();
            }
            Ok(()) => {}
            Err(error) => self.fail(error),
        }
        delivered
    }

    /// How much is still to come of the record that has begun to come; 0 if none has, or that is not known yet.
    pub fn missing(&self) -> usize {
        let Some((header, rest)) = self.incoming.split_first_chunk::<5>() else { return 0 };
        usize::from(u16::from_be_bytes([header[3], header[4]])).saturating_sub(rest.len())
    }

    /// Plaintext that was received before.
    pub fn take_plain(&mut self, first: &mut [u8], second: &mut [u8]) -> usize {
        if self.plain.is_empty() {
            return 0;
        }
        let mut taken = 0;
        for room in [first, second] {
            let rest = &self.plain[self.plain_start..];
            let count = rest.len().min(room.len());
            room[..count].copy_from_slice(&rest[..count]);
            self.plain_start += count;
            taken += count;
        }
        if self.plain_start == self.plain.len() {
            self.plain = Vec::new();
            self.plain_start = 0;
        }
        taken
    }

    /// Encrypts the beginning of the pieces, at most so many bytes, behind what is to go out first: how many of the bytes. Only where one piece ends
    /// and the next begins is anything copied.
    pub fn encrypt(&mut self, pieces: &[&[u8]], most: usize, out: &mut Room) -> Result<usize, Error> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let mut result = Err(Error::HandshakeNotComplete);
        self.settle(&mut |mut traffic, outgoing| {
            out.extend(outgoing);
            *outgoing = Vec::new();
            result = encrypt_all(pieces, most, &mut traffic, out);
        });
        match &result {
            Ok(_) => self.unhurried = 0,
            Err(error) => self.fail(error.clone()),
        }
        result
    }

    /// Leaves the close_notify in `outgoing`, once.
    pub fn end_sending(&mut self) {
        if self.failure.is_some() || std::mem::replace(&mut self.has_sent_end, true) {
            return;
        }
        self.settle(&mut |mut traffic, outgoing| {
            let start = outgoing.len();
            outgoing.resize(start + MOST_OVERHEAD, 0);
            let length = match traffic.queue_close_notify(&mut outgoing[start..]) {
                Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    outgoing.resize(start + required_size, 0);
                    traffic.queue_close_notify(&mut outgoing[start..])
                }
                result => result,
            };
            outgoing.truncate(start + length.unwrap_or(0));
        });
    }

    /// What the record layer itself has to send.
    pub fn take_outgoing(&mut self) -> Vec<u8> {
        self.unhurried = 0;
        std::mem::take(&mut self.outgoing)
    }

    /// Whether the record layer itself has something to send that does not wait for what is encrypted next.
    pub fn has_outgoing(&self) -> bool {
        self.outgoing.len() > self.unhurried
    }

    /// Whether something can be delivered without receiving.
    pub fn has_plain(&self) -> bool {
        !self.plain.is_empty()
    }

    /// Whether the peer has ended its side in good order.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether this side has said that it sends no more.
    pub fn has_sent_end(&self) -> bool {
        self.has_sent_end
    }

    /// Why nothing works any more.
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// What rustls knows of the connection.
    pub fn state(&self) -> &CommonState {
        match &self.side {
            Side::Client(connection) => connection,
            Side::Server(connection) => connection,
        }
    }

    /// Whether this is a client's.
    pub fn is_client(&self) -> bool {
        matches!(self.side, Side::Client(_))
    }

    /// Bytes that are kept here.
    pub fn memory(&self) -> usize {
        self.incoming.capacity() + self.plain.capacity() + self.outgoing.capacity()
    }

    /// The first error is the one that is kept. rustls is not asked again: it would count on the bytes that are forgotten here.
    fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
        self.incoming = Vec::new();
    }

    /// Goes on with what is there until there is nothing to do but to send, which `write` may do then.
    fn settle(&mut self, write: Write<'_>) {
        let mut incoming = std::mem::take(&mut self.incoming);
        let mut delivery = Delivery { first: &mut [], second: &mut [], delivered: 0, rest: std::mem::take(&mut self.plain) };
        let (used, result) = self.run(&mut incoming, &mut delivery, write);
        incoming.drain(..used);
        self.incoming = incoming;
        self.plain = delivery.rest;
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Uses up `bytes`, as far as that is possible: how much of them. After an error the alert for it is in `outgoing`.
    fn run(&mut self, bytes: &mut [u8], delivery: &mut Delivery<'_>, write: Write<'_>) -> (usize, Result<(), Error>) {
        let mut used = 0;
        let mut result = Ok(());
        loop {
            let rest = &mut bytes[used..];
            let (discard, next) = match &mut self.side {
                Side::Client(connection) => {
                    step(connection.process_tls_records(rest), Traffic::Client, &mut self.outgoing, delivery, write)
                }
                Side::Server(connection) => {
                    step(connection.process_tls_records(rest), Traffic::Server, &mut self.outgoing, delivery, write)
                }
            };
            used += discard;
            match next {
                // Once more brings the alert that waits. Not oftener: rustls would read the bytes again that it has refused.
                _ if result.is_err() => return (used, result),
                Ok(Next::Again) => {}
                Ok(Next::Ended) => self.has_ended = true,
                Ok(Next::Blocked) => return (used, result),
                Err(error) => result = Err(error),
            }
        }
    }
}

/// What may be done once there is nothing to do but to send; the vector is what goes out first.
type Write<'w> = &'w mut dyn FnMut(Traffic<'_>, &mut Vec<u8>);

/// The right to encrypt, of either side.
enum Traffic<'c> {
    Client(WriteTraffic<'c, ClientConnectionData>),
    Server(WriteTraffic<'c, ServerConnectionData>),
}

impl Traffic<'_> {
    fn encrypt(&mut self, bytes: &[u8], room: &mut [u8]) -> Result<usize, EncryptError> {
        match self {
            Traffic::Client(traffic) => traffic.encrypt(bytes, room),
            Traffic::Server(traffic) => traffic.encrypt(bytes, room),
        }
    }

    fn queue_close_notify(&mut self, room: &mut [u8]) -> Result<usize, EncryptError> {
        match self {
            Traffic::Client(traffic) => traffic.queue_close_notify(room),
            Traffic::Server(traffic) => traffic.queue_close_notify(room),
        }
    }
}

/// What one state of rustls came to.
enum Next {
    /// There may be more.
    Again,
    /// The peer has ended its side; there may be more.
    Ended,
    /// There is nothing to do without more bytes.
    Blocked,
}

/// Plaintext on its way: to the caller's memory, and what that has no room for behind `rest`.
struct Delivery<'d> {
    first: &'d mut [u8],
    second: &'d mut [u8],
    delivered: usize,
    rest: Vec<u8>,
}

impl Delivery<'_> {
    fn put(&mut self, mut bytes: &[u8]) {
        for room in [&mut self.first, &mut self.second] {
            // What was kept before goes first.
            let count = if self.rest.is_empty() { bytes.len().min(room.len()) } else { 0 };
            let (filled, left) = std::mem::take(room).split_at_mut(count);
            filled.copy_from_slice(&bytes[..count]);
            (*room, bytes) = (left, &bytes[count..]);
            self.delivered += count;
        }
        self.rest.extend_from_slice(bytes);
    }
}

/// Sees to one state of rustls: how many bytes were used up, and what comes next.
fn step<'c, Data>(
    status: UnbufferedStatus<'c, '_, Data>,
    traffic: impl FnOnce(WriteTraffic<'c, Data>) -> Traffic<'c>,
    outgoing: &mut Vec<u8>,
    delivery: &mut Delivery<'_>,
    write: &mut dyn FnMut(Traffic<'_>, &mut Vec<u8>),
) -> (usize, Result<Next, Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let next = match state {
        Err(error) => Err(error),
        Ok(ConnectionState::ReadTraffic(mut read)) => loop {
            match read.next_record() {
                Some(Ok(record)) => {
                    delivery.put(record.payload);
                    discard += record.discard;
                }
                Some(Err(error)) => break Err(error),
                None => break Ok(Next::Again),
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let start = outgoing.len();
            let length = match data.encode(&mut []) {
                Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    outgoing.resize(start + required_size, 0);
                    data.encode(&mut outgoing[start..])
                }
                result => result,
            };
            outgoing.truncate(start + length.unwrap_or(0));
            Ok(Next::Again)
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            // It is in `outgoing`, and nothing is encrypted that would not go behind it.
            data.done();
            Ok(Next::Again)
        }
        Ok(ConnectionState::PeerClosed) => Ok(Next::Ended),
        Ok(ConnectionState::WriteTraffic(right)) => {
            write(traffic(right), outgoing);
            Ok(Next::Blocked)
        }
        Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => Ok(Next::Blocked),
        // Data before the handshake's end is not asked for, and what rustls may add later is not known.
        Ok(_) => Err(Error::General("rustls is in a state that ws101 does not know".to_owned())),
    };
    (discard, next)
}

/// Encrypts the pieces one after the other: whole records from where they lie, the seams between them from a copy. How many bytes.
fn encrypt_all(mut pieces: &[&[u8]], most: usize, traffic: &mut Traffic<'_>, out: &mut Room) -> Result<usize, Error> {
    let (mut offset, mut left) = (0, most);
    while let Some(piece) = pieces.first()
        && left > 0
    {
        let rest = &piece[offset..][..left.min(piece.len() - offset)];
        if pieces.len() == 1 {
            encrypt_into(rest, traffic, out)?;
            return Ok(most - left + rest.len());
        }
        let whole = rest.len() - rest.len() % RECORD;
        if whole > 0 {
            encrypt_into(&rest[..whole], traffic, out)?;
            (offset, left) = (offset + whole, left - whole);
        } else {
            let mut seam = Room::take();
            (pieces, offset) = gather(pieces, offset, left.min(RECORD), &mut seam);
            left -= seam.filled().len();
            let result = encrypt_into(seam.filled(), traffic, out);
            seam.give_back();
            result?;
        }
    }
    Ok(most - left)
}

/// Copies the beginning of the pieces, at most so many bytes: what is left of them, and where in the first of those.
fn gather<'p, 'b>(mut pieces: &'p [&'b [u8]], mut offset: usize, most: usize, seam: &mut Room) -> (&'p [&'b [u8]], usize) {
    while let Some(piece) = pieces.first()
        && seam.filled().len() < most
    {
        let rest = &piece[offset..];
        let count = rest.len().min(most - seam.filled().len());
        seam.extend(&rest[..count]);
        offset += count;
        if offset == piece.len() {
            (pieces, offset) = (&pieces[1..], 0);
        }
    }
    (pieces, offset)
}

fn encrypt_into(bytes: &[u8], traffic: &mut Traffic<'_>, out: &mut Room) -> Result<(), Error> {
    let mut room = bytes.len() + bytes.len().div_ceil(RECORD) * MOST_OVERHEAD;
    loop {
        match traffic.encrypt(bytes, out.spare(room)) {
            Ok(length) => {
                out.add(length);
                return Ok(());
            }
            // A change of keys goes out with it.
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) if required_size > room => room = required_size,
            Err(_) => return Err(Error::EncryptError),
        }
    }
}
