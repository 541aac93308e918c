//! An endpoint whose messages may be compressed: what lies between its frames and its program.
//!
//! Out of scope: compression itself (see [`deflate`](crate::protocol::deflate)); saving memory and copies, as the sockets do.

use super::Endpoint;
use crate::error::Result;
use crate::protocol::deflate::coder::Inflater;
use crate::protocol::deflate::{Agreed, Class, Deflation, Inflation};
use crate::protocol::{Item, Piece, Violation};

/// Both directions.
#[derive(Debug)]
pub(super) struct Compressed {
    agreed: Agreed,
    inflation: Inflation,
    deflation: Deflation,
    /// Compressed payload that is not inflated yet.
    payload: Vec<u8>,
    /// It ends its message.
    ends: bool,
    /// It is used up, and nothing is left inside.
    is_dry: bool,
}

impl Compressed {
    pub(super) fn new(agreed: Agreed) -> Compressed {
        let (inflation, deflation) = (agreed.inflation(), agreed.deflation());
        Compressed { agreed, inflation, deflation, payload: Vec::new(), ends: false, is_dry: true }
    }

    /// The next piece of what is here, if there is one.
    fn next_piece(&mut self, room: &mut [u8]) -> Result<Option<Piece>, Violation> {
        if self.is_dry {
            return Ok(None);
        }
        let (used, piece) = self.inflation.inflate(&self.payload, self.ends, room)?;
        self.payload.drain(..used);
        self.is_dry = piece.is_none_or(|piece| piece.ends_message);
        Ok(piece)
    }

    /// Compressed payload has come.
    fn put(&mut self, piece: Piece, payload: &[u8], limit: u64) {
        if !self.inflation.is_inside_message() {
            let made = self.inflation.begin(piece.kind, limit, || Inflater::new().map(Box::new));
            made.expect("there is memory for one state");
        }
        self.payload.extend_from_slice(payload);
        (self.ends, self.is_dry) = (piece.ends_message, false);
    }
}

impl Endpoint {
    /// What the decoder says of the input, with inflated pieces in the place of compressed ones.
    pub(super) fn next_item(&mut self, input: &[u8], room: &mut [u8]) -> Result<(usize, Item), Violation> {
        let Some(compressed) = &mut self.compression else { return self.decoder.feed(input, room) };
        let mut used = 0;
        loop {
            if let Some(piece) = compressed.next_piece(room)? {
                return Ok((used, Item::Piece(piece)));
            }
            let (taken, item) = self.decoder.feed(&input[used..], room)?;
            used += taken;
            match item {
                Item::Piece(piece) if self.decoder.is_compressed() => {
                    compressed.put(piece, &room[..piece.length], self.settings.limits.max_message);
                }
                item => return Ok((used, item)),
            }
        }
    }

    /// The payload of a frame that may be sent, compressed, if it is to be.
    pub(super) fn deflate(&mut self, ends_message: bool, payload: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(compressed) = &mut self.compression else { return Ok(None) };
        let is_wanted = match self.encoder.is_inside_message() {
            true => self.encoder.is_inside_compressed_message(),
            false => compressed.agreed.is_worth_it(payload.len(), ends_message),
        };
        if !is_wanted {
            return Ok(None);
        }
        let mut out = Vec::new();
        let deflated = compressed.deflation.deflate(&[payload], ends_message, &mut out, Class::make);
        if deflated.is_err() {
            compressed.deflation.roll_back();
        }
        deflated?;
        compressed.deflation.commit();
        Ok(Some(out))
    }
}
