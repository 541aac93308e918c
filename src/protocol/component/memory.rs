//! Where bytes of an action lie: in memory that the program has lent, or in the component's own.

/// Memory that the program has lent: until the action that gives it back is completed. The address is a number here, which nobody below the
/// C border follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lent {
    /// Where it begins.
    pub address: usize,
    /// In bytes.
    pub length: usize,
}

impl Lent {
    /// `length` bytes of it, from `start` on.
    pub(super) fn part(self, start: usize, length: usize) -> Lent {
        debug_assert!(start <= self.length && length <= self.length - start);
        Lent { address: self.address + start, length }
    }
}

/// Who can follow the address of [`Lent`]: the C border, or a test with an arena.
pub trait Memory {
    /// Bytes to be sent.
    fn bytes(&self, lent: Lent) -> &[u8];

    /// Room for bytes that were received.
    fn room(&mut self, lent: Lent) -> &mut [u8];
}

/// Where a part of an action is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Place {
    /// There is none.
    #[default]
    Nowhere,
    /// In the program's memory.
    Lent(Lent),
    /// In the component: bytes that are to be sent.
    Staged {
        /// From where.
        start: usize,
        /// How many.
        length: usize,
    },
    /// In the component: bytes that were received, or room for them.
    Buffer {
        /// From where.
        start: usize,
        /// How many.
        length: usize,
    },
    /// In the component: bytes of a compressed message.
    Inflated {
        /// How many.
        length: usize,
    },
    /// In the component: the reason of the peer's close frame.
    Reason,
}

impl Place {
    /// How many bytes there are; not asked of a reason.
    pub(super) fn length(self) -> usize {
        match self {
            Place::Nowhere | Place::Reason => 0,
            Place::Lent(lent) => lent.length,
            Place::Staged { length, .. } | Place::Buffer { length, .. } | Place::Inflated { length } => length,
        }
    }
}
