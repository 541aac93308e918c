//! A socket whose bytes are encrypted: reads and writes records, and hands out and takes in what they carry.
//!
//! One thread may read while another writes, and neither waits for the other's network: the mutex around the records is held while bytes are
//! encrypted or decrypted, and never while the socket is used. Whoever writes holds the writer turn of the connection above; a reader that has
//! something to say to the peer (an alert) leaves it, and `wants_write` tells the one who has the turn.
//!
//! **Lock order**: `writer` or `reader`, then `records`.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::{HandshakeKind, ProtocolVersion};
use socket2::Socket;

use super::reasons;
use super::records::Records;
use super::room::{FRONT, LARGEST, RECEIVED, Room};
use crate::error::{Error, Phase, Status};
use crate::sync::Mutex;
use crate::transport::wait::{self, Patience};

/// What is encrypted at a time: as much as stays in the cache until the kernel has copied it.
const CHUNK: usize = 64 << 10;

/// Reads in a row that may bring no byte for the caller, before the caller looks at the time.
const MOST_IDLE_READS: u32 = 64;

/// What is known of a secured connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// As in `TLSv1.3`.
    pub version: String,
    /// As in `TLS13_AES_128_GCM_SHA256`.
    pub cipher: String,
    /// Of the peer's own, DER; empty if it showed none.
    pub certificate: Vec<u8>,
    /// Agreed on by a ticket of an earlier connection.
    pub is_resumed: bool,
}

/// The encryption of one stream.
#[derive(Debug)]
pub struct Secured {
    records: Mutex<Records>,
    writer: Mutex<Writer>,
    /// The record layer has something to send by itself, or some of that is left.
    wants_write: AtomicBool,
    /// For the reasons of failures: what a client calls its server.
    peer: Box<str>,
    reader: Mutex<Reader>,
}

/// Belongs to whoever has the writer turn.
#[derive(Debug, Default)]
struct Writer {
    /// Records that the socket has not taken yet.
    rest: Option<Room>,
    /// The caller's last byte is in them, and the caller does not know yet that it was taken.
    owed: bool,
    /// Once nothing is left, the sending side of the socket ends.
    ends: bool,
}

/// Belongs to whoever receives.
#[derive(Debug, Default)]
struct Reader {
    /// The end, or the failure, was told.
    is_over: bool,
    /// TCP has ended.
    truncated: bool,
    /// The last read took all that it had room for, or there was none: the socket may have something of which nobody tells again.
    may_have_more: bool,
    /// Of the record that has begun to come.
    missing: usize,
}

impl Reader {
    /// How much to receive at the most: where records follow one another that are as large as they may be, the last one then is whole, and next to nothing
    /// has to be put aside until the rest comes.
    fn most(&self) -> usize {
        if (1..=LARGEST).contains(&self.missing) { self.missing + RECEIVED - LARGEST } else { RECEIVED }
    }
}

impl Secured {
    /// Encryption that has not begun.
    pub fn new(records: Records, peer: &str) -> Secured {
        let wants_write = AtomicBool::new(records.has_outgoing());
        Secured { records: Mutex::new(records), writer: Mutex::default(), wants_write, peer: peer.into(), reader: Mutex::default() }
    }

    /// As [`Stream::receive`](crate::transport::Stream::receive).
    pub fn receive(&self, socket: &Socket, first: &mut [u8], second: &mut [u8], patience: Patience) -> io::Result<usize> {
        let mut reader = self.reader.lock();
        if let Some(result) = self.deliver(&mut reader, first, second) {
            // The socket was not asked, and may have become readable meanwhile.
            reader.may_have_more = result.as_ref().is_ok_and(|count| *count > 0);
            return result;
        }
        for _ in 0..MOST_IDLE_READS {
            let mut room = Room::take();
            let most = reader.most();
            // Into private memory and without the lock: a sender encrypts meanwhile.
            let received = wait::receive(socket.as_fd(), &mut room.whole()[FRONT..FRONT + most], &mut [], patience);
            reader.may_have_more = received.as_ref().is_ok_and(|count| *count == most);
            let delivered = match received {
                Ok(0) => {
                    reader.truncated = true;
                    Ok(0)
                }
                Ok(count) => Ok(self.feed(&mut reader, room.whole(), count, first, second)),
                Err(error) => Err(error),
            };
            room.give_back();
            match delivered {
                Ok(0) => {
                    if let Some(result) = self.deliver(&mut reader, first, second) {
                        return result;
                    }
                }
                other => return other,
            }
        }
        reader.may_have_more = true;
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Reads once and delivers nothing, for a handshake: what comes behind it is kept, but no more than one read brings.
    pub fn take_in(&self, socket: &Socket) -> io::Result<()> {
        let mut reader = self.reader.lock();
        let mut room = Room::take();
        let received = wait::receive(socket.as_fd(), &mut room.whole()[FRONT..FRONT + RECEIVED], &mut [], Patience::None);
        if let Ok(count @ 1..) = received {
            self.feed(&mut reader, room.whole(), count, &mut [], &mut []);
        }
        room.give_back();
        let records = self.records.lock();
        match records.failure() {
            Some(failure) => Err(reasons::of(failure, &records, &self.peer).into()),
            None if received? == 0 || records.has_ended() && records.state().is_handshaking() => Err(truncated(true).into()),
            None => {
                // More may be there than was taken.
                reader.may_have_more = true;
                Ok(())
            }
        }
    }

    fn feed(&self, reader: &mut Reader, buffer: &mut [u8], count: usize, first: &mut [u8], second: &mut [u8]) -> usize {
        let mut records = self.records.lock();
        let delivered = records.feed(buffer, FRONT..FRONT + count, first, second);
        reader.missing = records.missing();
        if records.has_outgoing() {
            // Relaxed: the mutex orders what is behind it, and whoever misses the flag now is told by the reader's own look at it.
            self.wants_write.store(true, Ordering::Relaxed);
        }
        delivered
    }

    /// What needs no system call: plaintext, the end, the failure.
    fn deliver(&self, reader: &mut Reader, first: &mut [u8], second: &mut [u8]) -> Option<io::Result<usize>> {
        let mut records = self.records.lock();
        let taken = records.take_plain(first, second);
        if taken > 0 {
            return Some(Ok(taken));
        }
        let result = if let Some(failure) = records.failure() {
            Err(reasons::of(failure, &records, &self.peer).into())
        } else if records.has_ended() {
            Ok(0)
        } else if reader.truncated {
            Err(truncated(records.state().is_handshaking()).into())
        } else {
            return None;
        };
        reader.is_over = true;
        Some(result)
    }

    /// Whether a receive may have something to deliver though the socket never becomes readable again.
    pub fn may_have_more(&self) -> bool {
        let reader = self.reader.lock();
        let records = self.records.lock();
        let is_over = records.failure().is_some() || records.has_ended() || reader.truncated;
        records.has_plain() || reader.may_have_more || is_over && !reader.is_over
    }

    /// Whether the record layer has something to send by itself; [`Secured::flush`] sends it.
    pub fn wants_write(&self) -> bool {
        self.wants_write.load(Ordering::Relaxed)
    }

    /// As [`Stream::send_parts`](crate::transport::Stream::send_parts), with one promise more on the caller's side: what was not taken comes again, at once or
    /// later, as the beginning of the next call.
    ///
    /// What is encrypted can only be sent as it is. So as soon as anything is, the caller is told so: all but the last byte is taken; and that byte,
    /// once the socket has the whole. Less than all means, as everywhere, that the socket takes no more.
    pub fn send(&self, socket: &Socket, pieces: &mut [&[u8]], patience: Patience) -> io::Result<usize> {
        let mut writer = self.writer.lock();
        let mut pieces = pieces;
        let mut taken = 0;
        loop {
            match self.write_rest(socket, &mut writer, patience) {
                Ok(()) => {}
                Err(error) if is_nothing(&error) && taken > 0 => return Ok(taken),
                Err(error) => return Err(error),
            }
            if std::mem::take(&mut writer.owed) {
                taken += 1;
                pieces = skip(pieces, 1);
            }
            let mut out = Room::take();
            let count = self.encrypt(pieces, &mut out)?;
            if count == 0 {
                out.give_back();
                return Ok(taken);
            }
            taken += count - 1;
            pieces = skip(pieces, count - 1);
            (writer.rest, writer.owed) = (Some(out), true);
        }
    }

    fn encrypt(&self, pieces: &[&[u8]], out: &mut Room) -> io::Result<usize> {
        if pieces.iter().all(|piece| piece.is_empty()) {
            return Ok(0);
        }
        let mut records = self.records.lock();
        let result = records.encrypt(pieces, CHUNK, out);
        self.wants_write.store(records.has_outgoing(), Ordering::Relaxed);
        result.map_err(|error| reasons::of(&error, &records, &self.peer).into())
    }

    /// Sends what the record layer itself has to send. Only for the holder of the writer turn. After an error there is nothing more to send.
    pub fn flush(&self, socket: &Socket, patience: Patience) -> io::Result<()> {
        let result = self.flush_all(socket, patience);
        if result.as_ref().is_err_and(|error| !is_nothing(error)) {
            self.wants_write.store(false, Ordering::Relaxed);
        }
        result
    }

    fn flush_all(&self, socket: &Socket, patience: Patience) -> io::Result<()> {
        let mut writer = self.writer.lock();
        self.write_rest(socket, &mut writer, patience)?;
        let outgoing = {
            let mut records = self.records.lock();
            let outgoing = records.take_outgoing();
            if outgoing.is_empty() {
                self.wants_write.store(false, Ordering::Relaxed);
            }
            outgoing
        };
        if !outgoing.is_empty() {
            let mut room = Room::take();
            room.extend(&outgoing);
            writer.rest = Some(room);
            self.write_rest(socket, &mut writer, patience)?;
            self.wants_write.store(self.records.lock().has_outgoing(), Ordering::Relaxed);
        }
        if std::mem::take(&mut writer.ends) {
            // A connection that is gone already cannot be ended again.
            let _ = socket.shutdown(Shutdown::Write);
        }
        Ok(())
    }

    /// Nothing more will be sent: says so to the peer, and ends the sending side of the socket once that has left.
    pub fn end_sending(&self, socket: &Socket) {
        {
            let mut writer = self.writer.lock();
            self.records.lock().end_sending();
            writer.ends = true;
            self.wants_write.store(true, Ordering::Relaxed);
        }
        // What does not leave now leaves with the flush of the next holder of the turn.
        let _ = self.flush(socket, Patience::None);
    }

    /// Writes the records that are left from before.
    fn write_rest(&self, socket: &Socket, writer: &mut Writer, patience: Patience) -> io::Result<()> {
        let Some(mut rest) = writer.rest.take() else { return Ok(()) };
        while !rest.is_empty() {
            match wait::send(socket.as_fd(), rest.filled(), &[], patience) {
                Ok(count) => rest.consume(count),
                Err(error) => {
                    writer.rest = Some(rest);
                    return Err(error);
                }
            }
        }
        rest.give_back();
        Ok(())
    }

    /// What is known of the connection, once its handshake is done.
    pub fn security(&self) -> Security {
        let records = self.records.lock();
        let state = records.state();
        let version = match state.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "",
        };
        let cipher = state.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or_default();
        let certificate = state.peer_certificates().and_then(<[_]>::first).map(|certificate| certificate.to_vec()).unwrap_or_default();
        let is_resumed = state.handshake_kind() == Some(HandshakeKind::Resumed);
        Security { version: version.to_owned(), cipher: cipher.to_owned(), certificate, is_resumed }
    }

    /// Whether the handshake goes on.
    pub fn is_handshaking(&self) -> bool {
        self.records.lock().state().is_handshaking()
    }

    /// Bytes that are kept for this connection, rustls' own apart.
    pub fn memory(&self) -> usize {
        size_of::<Secured>() + self.records.lock().memory()
    }
}

/// The pieces without their first `count` bytes.
fn skip<'p, 'b>(mut pieces: &'p mut [&'b [u8]], mut count: usize) -> &'p mut [&'b [u8]] {
    while let Some(first) = pieces.first_mut() {
        let of_first = count.min(first.len());
        *first = &first[of_first..];
        count -= of_first;
        if !pieces[0].is_empty() {
            break;
        }
        pieces = &mut pieces[1..];
    }
    pieces
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Anybody on the way can end TCP; only the peer can say that it has sent all.
fn truncated(in_handshake: bool) -> Error {
    if in_handshake {
        return Error::new(Status::Connection, "the peer ended the connection in the middle of the TLS handshake").in_phase(Phase::Tls);
    }
    Error::new(Status::Connection, "the connection was cut off: TCP has ended, and TLS has not (no close_notify)").with_close_status(1006)
}
