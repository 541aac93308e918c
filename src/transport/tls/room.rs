//! Memory for records on their way, lent by the thread: connections that move nothing own none.

use std::cell::RefCell;

/// The largest record that anybody makes under TLS 1.3: header, payload, type and tag (RFC 8446 §5.2).
pub const LARGEST: usize = 5 + (16 << 10) + 1 + 16;

/// What one system call receives at the most: four records, so that decrypting stays in the cache, and a little: the small record that ends a message
/// must not be the reason that the last of them is cut; rather the next has its first bytes put aside.
pub const RECEIVED: usize = 4 * LARGEST + 256;

/// Room in front of it, for what was left of the last: less than a record, unless a handshake message is under way.
pub const FRONT: usize = (16 << 10) + 512;

/// What a new piece of memory has room for.
const SIZE: usize = FRONT + RECEIVED;

/// As many as a call uses at once; more are not kept.
const KEPT: usize = 2;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that are filled in behind and taken from the front. What is not filled is never looked at, so it is not cleared either.
#[derive(Debug, Default)]
pub struct Room {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Room {
    /// Memory of the thread.
    pub fn take() -> Room {
        let spare = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
        let bytes = spare.unwrap_or_else(|| vec![0; SIZE]);
        Room { bytes, start: 0, end: 0 }
    }

    /// The thread's again.
    pub fn give_back(self) {
        if self.bytes.len() == SIZE {
            // A thread that ends keeps nothing.
            let _ = SPARE.try_with(|spare| {
                let mut spare = spare.borrow_mut();
                if spare.len() < KEPT {
                    spare.push(self.bytes);
                }
            });
        }
    }

    /// What is filled.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Room behind what is filled, for at least so much.
    pub fn spare(&mut self, least: usize) -> &mut [u8] {
        if self.bytes.len() - self.end < least {
            self.bytes.resize(self.end + least, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// So much of it was filled.
    pub fn add(&mut self, count: usize) {
        self.end += count;
    }

    /// So much was taken from the front.
    pub fn consume(&mut self, count: usize) {
        self.start += count;
    }

    /// Adds a copy.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.spare(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.add(bytes.len());
    }

    /// All of it, filled or not.
    pub fn whole(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}
