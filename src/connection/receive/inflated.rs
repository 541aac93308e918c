//! The receiving half of a connection with compression: inflated pieces in the place of compressed ones.
//!
//! Frames come in as ever ([`ReceiveHalf::step`] without this), but into a buffer of the thread, from which a compressed piece is inflated
//! into the caller's memory, and any other is copied there. Once it is known that the rest of a frame is not compressed, it goes straight to the caller.
//! Out of scope: inflating itself, and its limit (`protocol::deflate`).

use std::sync::Arc;

use super::{ReceiveHalf, Received, Step, limits};
use crate::connection::Connection;
use crate::connection::buffers::{Buffer, Use};
use crate::connection::deflate_pool::DeflatePool;
use crate::error::Result;
use crate::options::Options;
use crate::protocol::deflate::{Inflation, WholeError};
use crate::protocol::{MessageKind, Piece};
use crate::transport::Patience;

/// Compressed payload that is read at a time.
const CHUNK: usize = 16 << 10;

/// How frames are had, into this room.
type Source<'s> = dyn FnMut(&mut ReceiveHalf, &mut [u8]) -> Result<Step> + 's;

/// Where inflated pieces come from.
#[derive(Debug)]
pub(super) struct Inflated {
    inflation: Inflation,
    pool: Arc<DeflatePool>,
    /// The largest message, as it comes out.
    limit: u64,
    /// Compressed payload that is not used yet.
    payload: Option<Buffer>,
    kind: MessageKind,
    /// It ends its message.
    ends: bool,
    /// It is not compressed, and was only more than there was room for.
    is_plain: bool,
    /// Something may still come of it, or of what is left inside.
    has_more: bool,
}

impl Inflated {
    fn new(inflation: Inflation, pool: Arc<DeflatePool>, limit: u64) -> Inflated {
        Inflated { inflation, pool, limit, payload: None, kind: MessageKind::Binary, ends: false, is_plain: false, has_more: false }
    }

    /// Forgets the message under way: nobody wants it any more.
    fn abandon(&mut self) {
        self.inflation.abandon();
        self.has_more = false;
        self.give_payload_back();
    }

    fn give_payload_back(&mut self) {
        if let Some(payload) = self.payload.take() {
            payload.give_back(Use::Inflate);
        }
    }

    /// The next piece of what is here; `None` if nothing comes of it without more.
    fn next_piece(&mut self, connection: &Connection, room: &mut [u8]) -> Result<Option<Piece>> {
        if self.is_plain {
            return Ok(Some(self.copy_plain(room)));
        }
        if !self.inflation.is_inside_message() {
            // Without memory nothing is changed: the next receive tries again.
            self.inflation.begin(self.kind, self.limit, || self.pool.take_inflater())?;
        }
        self.inflation.set_limit(self.limit);
        let input = self.payload.as_ref().map_or(&[][..], |payload| payload.filled());
        let (used, piece) = match self.inflation.inflate(input, self.ends, room) {
            Ok(found) => found,
            Err(violation) => {
                self.abandon();
                return Err(connection.fail_with(violation));
            }
        };
        if let Some(payload) = &mut self.payload {
            payload.consume(used);
            if payload.is_empty() {
                self.give_payload_back();
            }
        }
        self.has_more = piece.is_some_and(|piece| !piece.ends_message);
        if let Some(state) = self.inflation.take_idle_state() {
            self.pool.put_inflater(state);
        }
        Ok(piece)
    }
}

impl Inflated {
    fn copy_plain(&mut self, room: &mut [u8]) -> Piece {
        let mut length = 0;
        if let Some(payload) = &mut self.payload {
            length = room.len().min(payload.filled().len());
            room[..length].copy_from_slice(&payload.filled()[..length]);
            payload.consume(length);
            if payload.is_empty() {
                self.give_payload_back();
            }
        }
        self.has_more = self.payload.is_some();
        Piece { kind: self.kind, length, ends_message: self.ends && !self.has_more }
    }
}

impl ReceiveHalf {
    /// Messages may be compressed.
    pub(in crate::connection) fn allow_compression(&mut self, inflation: Inflation, pool: Arc<DeflatePool>, options: &Options) {
        self.decoder.allow_compression();
        self.inflated = Some(Box::new(Inflated::new(inflation, pool, limits(options).max_message)));
    }

    /// The program has changed the limit; it holds for the message under way too.
    pub(super) fn set_inflated_limit(&mut self, limit: u64) {
        if let Some(inflated) = &mut self.inflated {
            inflated.limit = limit;
        }
    }

    /// No message will be delivered any more: compressed ones need not be inflated to be thrown away.
    pub fn abandon_messages(&mut self) {
        self.inflated = None;
        self.is_inflating = false;
    }

    /// Whether a message that is received already goes on: the next step has a piece of it, however little comes from the socket.
    pub fn has_more_inside(&self) -> bool {
        self.inflated.as_ref().is_some_and(|inflated| inflated.has_more)
    }

    /// Bytes of memory for compression.
    pub(in crate::connection) fn memory(&self) -> usize {
        let of = |inflated: &Inflated| size_of::<Inflated>() + inflated.inflation.memory() + inflated.payload.as_ref().map_or(0, |_| CHUNK);
        self.inflated.as_deref().map_or(0, of)
    }

    /// [`ReceiveHalf::step`] on a connection with compression.
    #[inline(never)]
    pub(super) fn step_inflated(&mut self, connection: &Connection, room: &mut [u8], patience: Patience) -> Result<Step> {
        self.inflate(connection, room, &mut |half, room| half.step_plain(connection, room, patience))
    }

    pub(super) fn has_compression(&self) -> bool {
        self.inflated.is_some()
    }

    /// [`ReceiveHalf::take_held`] on a connection with compression.
    pub(super) fn take_held_inflated(&mut self, connection: &Connection, room: &mut [u8]) -> Result<Option<Received>> {
        let mut take = |half: &mut ReceiveHalf, room: &mut [u8]| {
            let held = half.take_held_plain(connection, room)?;
            Ok(held.map_or(Step::Blocked { interrupted: false }, Step::Received))
        };
        loop {
            match self.inflate(connection, room, &mut take)? {
                Step::Received(received) => return Ok(Some(received)),
                Step::Blocked { .. } => return Ok(None),
                Step::Nothing => {}
            }
        }
    }

    /// A step whose frames come from `source`.
    fn inflate(&mut self, connection: &Connection, room: &mut [u8], source: &mut Source<'_>) -> Result<Step> {
        let Some(mut inflated) = self.inflated.take() else { return source(self, room) };
        let step = self.inflate_into(&mut inflated, connection, room, source);
        self.is_inflating = inflated.has_more || inflated.inflation.is_inside_message();
        self.inflated = Some(inflated);
        step
    }

    fn inflate_into(&mut self, inflated: &mut Inflated, connection: &Connection, room: &mut [u8], source: &mut Source<'_>) -> Result<Step> {
        if inflated.has_more
            && let Some(piece) = inflated.next_piece(connection, room)?
        {
            return Ok(Step::Received(Received::Piece(piece)));
        }
        let rest = self.decoder.direct_room();
        if rest > 0 && !self.decoder.is_compressed() {
            return source(self, room);
        }
        let mut chunk = Buffer::take(Use::Inflate, CHUNK)?;
        let step = source(self, chunk.room());
        let Ok(Step::Received(Received::Piece(piece))) = step else {
            chunk.give_back(Use::Inflate);
            return step;
        };
        chunk.add(piece.length);
        inflated.payload = Some(chunk);
        (inflated.kind, inflated.ends, inflated.is_plain) = (piece.kind, piece.ends_message, !self.decoder.is_compressed());
        inflated.has_more = true;
        let piece = inflated.next_piece(connection, room)?;
        Ok(piece.map_or(Step::Nothing, |piece| Step::Received(Received::Piece(piece))))
    }

    /// Inflates a whole compressed message, of at most `limit` bytes, that lies in several places: for whoever has read all of its frames. Behind
    /// what is in `out`. The connection fails if it cannot be: 13002, 13008; 8 if there is no memory, after which it cannot go on either.
    pub fn inflate_message(
        &mut self,
        connection: &Connection,
        kind: MessageKind,
        parts: &[&[u8]],
        limit: u64,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let Some(inflated) = &mut self.inflated else { unreachable!("without compression no message is compressed") };
        inflated.inflation.begin(kind, limit, || inflated.pool.take_inflater())?;
        let result = inflated.inflation.inflate_whole(parts, out);
        if let Some(state) = inflated.inflation.take_idle_state() {
            inflated.pool.put_inflater(state);
        }
        match result {
            Ok(()) => Ok(()),
            Err(WholeError::Violation(violation)) => Err(connection.fail_with(violation)),
            Err(WholeError::NoMemory) => {
                inflated.abandon();
                let error = crate::protocol::deflate::NoMemory.into();
                connection.fail(&error);
                Err(error)
            }
        }
    }
}
