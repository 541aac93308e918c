//! Compressed messages on the receiving side of a component: from payload in the buffer to the program's memory, or to a view.
//!
//! Out of scope: inflating itself, and its limit (`protocol::deflate`).

use super::{Lent, Memory, Next, Place, Receiving};
use crate::protocol::component::Delivery;
use crate::protocol::deflate::coder::Inflater;
use crate::protocol::deflate::{Agreed, Inflation, NoMemory};
use crate::protocol::{MessageKind, Piece, Violation};

/// Compressed payload on its way to the program. It lies in the buffer, unmasked, just before what is not used.
#[derive(Debug)]
pub(super) struct Inflating {
    inflation: Inflation,
    /// How much of it there is.
    length: usize,
    kind: MessageKind,
    /// It ends its message.
    ends: bool,
    /// Something may still come of it, or of what is left inside.
    has_more: bool,
    /// Room for views.
    view: Vec<u8>,
}

/// Why nothing was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    Violation(Violation),
    NoMemory,
}

impl From<Violation> for Trouble {
    fn from(violation: Violation) -> Trouble {
        Trouble::Violation(violation)
    }
}

impl From<NoMemory> for Trouble {
    fn from(_: NoMemory) -> Trouble {
        Trouble::NoMemory
    }
}

impl Inflating {
    /// Whether a piece may come without more bytes of the network.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }
}

impl Receiving {
    /// Messages may be compressed from here on.
    pub fn allow_compression(&mut self, agreed: Agreed) {
        self.decoder.allow_compression();
        self.inflating = Some(Box::new(Inflating {
            inflation: agreed.inflation(),
            length: 0,
            kind: MessageKind::Binary,
            ends: false,
            has_more: false,
            view: Vec::new(),
        }));
    }

    /// Compressed payload that is here; of an empty frame its header has told all.
    pub(super) fn take_compressed(&mut self, empty: Option<Piece>) -> Result<Next, Violation> {
        let start = self.start;
        let piece = match empty {
            Some(piece) => piece,
            None => {
                let length = usize::try_from(self.decoder.direct_room()).unwrap_or(usize::MAX).min(self.end - start);
                if length == 0 {
                    return Ok(Next::NeedBytes);
                }
                self.start += length;
                self.decoder.accept_direct(&mut self.buffer[start..start + length])?
            }
        };
        if let Some(inflating) = &mut self.inflating {
            (inflating.length, inflating.kind) = (piece.length, piece.kind);
            (inflating.ends, inflating.has_more) = (piece.ends_message, true);
        }
        Ok(Next::Compressed)
    }

    /// The next piece of the compressed payload that is here; `None` if nothing comes of it without more.
    pub(super) fn inflate(&mut self, room: Option<Lent>, memory: &mut dyn Memory, size: usize) -> Result<Option<Delivery>, Trouble> {
        let Some(inflating) = &mut self.inflating else { return Ok(None) };
        let Inflating { inflation, length, kind, ends, has_more, view } = &mut **inflating;
        if !inflation.is_inside_message() {
            inflation.begin(*kind, self.limits.max_message, || Inflater::new().map(Box::new))?;
        }
        inflation.set_limit(self.limits.max_message);
        let target = match room {
            Some(room) => memory.room(room),
            None => {
                if view.len() < size {
                    view.try_reserve_exact(size - view.len()).map_err(|_| NoMemory)?;
                    view.resize(size, 0);
                }
                &mut view[..]
            }
        };
        let input = &self.buffer[self.start - *length..self.start];
        let (used, piece) = inflation.inflate(input, *ends, target)?;
        *length -= used;
        *has_more = piece.is_some_and(|piece| !piece.ends_message);
        Ok(piece.map(|piece| {
            let place = match room {
                Some(room) => Place::Lent(room.part(0, piece.length)),
                None => Place::Inflated { length: piece.length },
            };
            Delivery { piece: Some(piece), place }
        }))
    }

    /// The bytes of a view that were compressed.
    pub fn inflated(&self, length: usize) -> &[u8] {
        self.inflating.as_ref().and_then(|inflating| inflating.view.get(..length)).unwrap_or_default()
    }
}
