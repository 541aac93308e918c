//! What a component wants done, and which of it is under way.

use std::time::Duration;

use super::memory::Place;
use crate::error::{Error, Result, Status};
use crate::protocol::Piece;

/// One thing to do, or to know.
#[derive(Clone, Debug)]
pub struct Action {
    /// To complete it with; 0 for what needs no completion.
    pub id: u64,
    /// What it is.
    pub deed: Deed,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Nothing now.
    Nothing,
    /// Nothing before this instant.
    WakeAt(Duration),
    /// Write both, in order.
    SendToNetwork([Place; 2]),
    /// Read into this room.
    ReceiveFromNetwork(Place),
    /// A send has ended.
    SendComplete {
        /// As it was given to send.
        context: usize,
        /// Whether all of it was written.
        result: Result<()>,
    },
    /// A receive has ended.
    ReceiveComplete {
        /// As it was given to receive.
        context: usize,
        /// What came.
        result: Result<Delivery>,
    },
    /// The handshake's outcome is known.
    Handshaken(Result<()>),
    /// Nothing more will come or go.
    Closed(Result<()>),
}

/// What a receive delivers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// The piece; `None` = the peer's close frame.
    pub piece: Option<Piece>,
    /// Its bytes, or the reason of the close frame.
    pub place: Place,
}

/// The kinds that are completed: of each at most one is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    NetworkSend,
    NetworkReceive,
    SendComplete,
    ReceiveComplete,
    Handshaken,
    Closed,
}

impl Kind {
    const ALL: [Kind; 6] =
        [Kind::NetworkSend, Kind::NetworkReceive, Kind::SendComplete, Kind::ReceiveComplete, Kind::Handshaken, Kind::Closed];
}

/// The actions that were given out and not completed.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    ids: [u64; Kind::ALL.len()],
    last: u64,
}

impl UnderWay {
    pub fn has(&self, kind: Kind) -> bool {
        self.ids[kind as usize] != 0
    }

    /// Gives an action out.
    pub fn begin(&mut self, kind: Kind, deed: Deed) -> Action {
        debug_assert!(!self.has(kind));
        self.last += 1;
        self.ids[kind as usize] = self.last;
        Action { id: self.last, deed }
    }

    /// Which kind an id is of; 4317 for one that is not under way.
    pub fn find(&self, id: u64) -> Result<Kind> {
        let found = Kind::ALL.into_iter().find(|&kind| id != 0 && self.ids[kind as usize] == id);
        found.ok_or_else(|| Error::new(Status::InvalidOperation, format!("no action {id} is under way")))
    }

    pub fn end(&mut self, kind: Kind) {
        self.ids[kind as usize] = 0;
    }
}
