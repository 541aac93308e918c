//! Memory of a loop that its events point to: given out piece by piece, and used again when the program is done with them.
//!
//! Out of scope: what is put there.

/// What one piece of memory has; more than one message usually fits.
const CHUNK: usize = 256 << 10;

/// What a reader wants at least.
pub(super) const LEAST: usize = 64 << 10;

/// What is kept from one batch to the next.
const KEPT: usize = 2;

/// Chunks, of which the last is given out from the front.
#[derive(Debug, Default)]
pub(super) struct Lent {
    current: Option<Box<[u8]>>,
    used: usize,
    /// Where what was lent last begins.
    last: usize,
    full: Vec<Box<[u8]>>,
    spare: Vec<Box<[u8]>>,
}

impl Lent {
    /// What was lent is not used any more.
    pub(super) fn reset(&mut self) {
        self.used = 0;
        while let Some(chunk) = self.full.pop() {
            if self.spare.len() < KEPT {
                self.spare.push(chunk);
            }
        }
    }

    /// How much has been lent in this batch.
    pub(super) fn lent(&self) -> usize {
        self.full.len() * CHUNK + self.used
    }

    /// Room of at least [`LEAST`] bytes.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.current.as_ref().is_some_and(|chunk| chunk.len() - self.used < LEAST) {
            self.full.extend(self.current.take());
        }
        if self.current.is_none() {
            self.used = 0;
        }
        let chunk = self.current.get_or_insert_with(|| self.spare.pop().unwrap_or_else(|| vec![0; CHUNK].into_boxed_slice()));
        &mut chunk[self.used..]
    }

    /// The first `count` bytes of the room are used now.
    pub(super) fn lend(&mut self, count: usize) {
        self.last = self.used;
        self.used += count;
    }

    /// Where what was lent last is.
    pub(super) fn last(&self) -> *const u8 {
        self.current.as_ref().map_or(std::ptr::null(), |chunk| chunk[self.last..].as_ptr())
    }

    /// The current chunk, for somebody who fills it himself, and from where on.
    pub(super) fn take_chunk(&mut self) -> (Box<[u8]>, usize) {
        self.room();
        let chunk = self.current.take().unwrap_or_default();
        (chunk, self.used)
    }

    /// It comes back, used up to there.
    pub(super) fn put_chunk(&mut self, chunk: Box<[u8]>, used: usize) {
        // Somebody may have needed another one meanwhile.
        if let Some(other) = self.current.replace(chunk) {
            self.full.push(other);
        }
        self.used = used;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lent_stays_until_the_next_batch() {
        let mut lent = Lent::default();
        lent.room()[0] = 7;
        let first = lent.room().as_ptr();
        lent.lend(CHUNK - LEAST + 1);
        assert_ne!(lent.room().as_ptr(), first, "too little is left for another reader");
        assert_eq!(lent.lent(), CHUNK);
        lent.lend(10);
        let (chunk, used) = lent.take_chunk();
        assert_eq!(used, 10);
        lent.put_chunk(chunk, 30);
        assert_eq!(lent.lent(), CHUNK + 30);
        lent.reset();
        assert_eq!(lent.lent(), 0);
        assert_eq!(lent.spare.len(), 1);
    }
}
