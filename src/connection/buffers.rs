//! Memory for bytes in flight, borrowed from the thread that moves them.
//!
//! A connection that waits owns no buffer: it takes one to receive or send, and gives it back as soon as it is empty. Each thread
//! keeps one of each kind for the next call, zeroed once in its life.

use std::cell::Cell;
use std::ptr::NonNull;

use crate::error::{Error, Result, Status};

/// What a sender masks at a time: large enough that most messages leave in one write, small enough to stay in the L2 cache.
pub const SEND_CHUNK: usize = 64 << 10;

/// Which of the thread's buffers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// Bytes from the network that were not delivered yet.
    Receive,
    /// Masked bytes on their way out.
    Send,
    /// Compressed payload that was not inflated yet.
    Inflate,
}

/// A program's buffer, from the call that posts it until the event that tells what is in it.
///
/// UNSAFE ISLAND: a pointer and a length that outlive the call they came with. The program promises (header, chapter on events) that the memory
/// stays until that event, and that it does not touch it meanwhile.
///
/// Packed, because every connection of a loop has room for one. Of a buffer that is larger than the length can say the rest is not used.
#[derive(Debug)]
#[repr(Rust, packed(4))]
pub struct CallerBuffer(NonNull<u8>, u32);

// SAFETY: the program promises that nobody else uses the memory, whichever thread the loop runs on.
unsafe impl Send for CallerBuffer {}

impl CallerBuffer {
    /// The buffer of a call that is going to be pending.
    ///
    /// # Safety
    /// The memory must stay, and be left alone, until this value is gone.
    pub unsafe fn new(buffer: &mut [u8]) -> CallerBuffer {
        CallerBuffer(NonNull::from(&mut *buffer).cast(), u32::try_from(buffer.len()).unwrap_or(u32::MAX))
    }

    /// The memory.
    pub fn memory(&mut self) -> &mut [u8] {
        let (pointer, length) = (self.0, self.1);
        // SAFETY: not NULL, not longer than it was; `new`'s caller promised that it is still there and nobody else's.
        unsafe { std::slice::from_raw_parts_mut(pointer.as_ptr(), length as usize) }
    }
}

/// Things of one thread that are of use again: some, but not without end.
pub struct Spares<T>(Cell<Vec<T>>);

impl<T> Spares<T> {
    /// So many are kept: what a batch of answers needs at once.
    pub const MOST: usize = 128;

    /// None yet.
    pub const fn new() -> Spares<T> {
        Spares(Cell::new(Vec::new()))
    }

    /// One, if there is.
    pub fn take(&self) -> Option<T> {
        let mut kept = self.0.take();
        let one = kept.pop();
        self.0.set(kept);
        one
    }

    /// Keeps one, unless there are enough.
    pub fn keep(&self, one: T) {
        let mut kept = self.0.take();
        if kept.len() < Self::MOST {
            kept.push(one);
        }
        self.0.set(kept);
    }
}

/// A queue of bytes in one piece of memory.
#[derive(Debug)]
pub struct Buffer {
    bytes: Box<[u8]>,
    start: u32,
    end: u32,
}

thread_local! {
    static SPARE: [Cell<Option<Box<[u8]>>>; 3] = const { [Cell::new(None), Cell::new(None), Cell::new(None)] };
}

impl Buffer {
    /// The thread's spare buffer if it has this size, else a new one; 8 if there is no memory.
    pub fn take(kind: Use, size: usize) -> Result<Buffer> {
        let spare = SPARE.try_with(|spare| spare[kind as usize].take()).ok().flatten();
        let bytes = match spare {
            Some(bytes) if bytes.len() == size => bytes,
            _ => allocate(size)?,
        };
        Ok(Buffer { bytes, start: 0, end: 0 })
    }

    /// Gives it back to the thread, which need not be the one it came from.
    pub fn give_back(self, kind: Use) {
        // A thread that is ending keeps nothing.
        let _ = SPARE.try_with(|spare| {
            let kept = spare[kind as usize].take().filter(|kept| kept.len() > self.bytes.len());
            spare[kind as usize].set(Some(kept.unwrap_or(self.bytes)));
        });
    }

    /// The bytes in the queue.
    #[inline]
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start as usize..self.end as usize]
    }

    /// Room behind them.
    #[inline]
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end as usize..]
    }

    /// `count` bytes of the room are filled now.
    #[inline]
    pub fn add(&mut self, count: usize) {
        self.end += count as u32;
        debug_assert!(self.end as usize <= self.bytes.len());
    }

    /// The first `count` bytes are used.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        self.start += count as u32;
        debug_assert!(self.start <= self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Whether the queue is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// A queue with these bytes in it already; 8 if there is no memory.
pub fn buffer_of(bytes: &[u8]) -> Result<Buffer> {
    let mut buffer = Buffer { bytes: allocate(bytes.len())?, start: 0, end: 0 };
    buffer.room().copy_from_slice(bytes);
    buffer.add(bytes.len());
    Ok(buffer)
}

fn allocate(size: usize) -> Result<Box<[u8]>> {
    let mut bytes = Vec::new();
    // No buffer is as large as 4 GiB; the options see to that.
    debug_assert!(u32::try_from(size).is_ok() || cfg!(test));
    bytes
        .try_reserve_exact(size)
        .map_err(|_| Error::new(Status::NotEnoughMemory, format!("there is no memory for a buffer of {size} bytes")))?;
    bytes.resize(size, 0);
    Ok(bytes.into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_given_back_is_the_next_one_taken() {
        let buffer = Buffer::take(Use::Receive, 4096).unwrap();
        let address = buffer.bytes.as_ptr();
        buffer.give_back(Use::Receive);
        assert_ne!(Buffer::take(Use::Send, 4096).unwrap().bytes.as_ptr(), address);
        assert_eq!(Buffer::take(Use::Receive, 4096).unwrap().bytes.as_ptr(), address);
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut buffer = buffer_of(b"abc").unwrap();
        assert!(buffer.room().is_empty());
        buffer.consume(1);
        assert_eq!(buffer.filled(), b"bc");
        buffer.consume(2);
        assert!(buffer.is_empty());
        assert_eq!(buffer.room().len(), 3);
    }

    #[test]
    fn a_size_that_no_machine_has_is_status_8() {
        assert_eq!(Buffer::take(Use::Send, isize::MAX as usize).unwrap_err().status(), Status::NotEnoughMemory);
    }
}
