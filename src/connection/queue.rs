//! Whole frames that wait to be written, in pieces of memory that one write takes.
//!
//! Small frames share a piece, so that many of them leave with one system call; a large one has its own. Out of scope: their order among control
//! frames (see [`outbox`](super::outbox)), and writing.

use std::cell::Cell;
use std::collections::VecDeque;

use super::buffers::Spares;
use crate::error::{Error, Result, Status};

/// What small frames are gathered into.
pub(super) const SEGMENT: usize = 16 << 10;

/// How it begins: in a batch of a thousand connections most have one small answer each.
const FIRST: usize = 512;

/// Bytes on their way out, of which the first `start` have left.
#[derive(Debug, Default)]
pub(super) struct Segment {
    bytes: Vec<u8>,
    start: usize,
    /// Given back by the program when the last byte has left.
    told: Vec<usize>,
}

thread_local! {
    /// The memory of the last small segment, for the next.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// Memories of segments that did not grow.
    static FIRSTS: Spares<Vec<u8>> = const { Spares::new() };
}

impl Segment {
    /// A segment with room for `length` bytes, which may be followed by others if that is little.
    fn with_room(length: usize) -> Result<Segment> {
        if length <= FIRST
            && let Ok(Some(bytes)) = FIRSTS.try_with(Spares::take)
        {
            return Ok(Segment { bytes, start: 0, told: Vec::new() });
        }
        let mut bytes = SPARE.try_with(Cell::take).unwrap_or_default();
        if bytes.capacity() < length {
            bytes = Vec::new();
            reserve(&mut bytes, length.max(FIRST))?;
        }
        Ok(Segment { bytes, start: 0, told: Vec::new() })
    }

    /// Whether `length` more bytes fit, or fit as soon as the segment has grown to its usual size.
    fn has_room(&mut self, length: usize) -> bool {
        let wanted = self.bytes.len() + length;
        if wanted <= self.bytes.capacity() {
            return true;
        }
        let size = wanted.max(2 * self.bytes.capacity()).min(SEGMENT);
        let more = size.saturating_sub(self.bytes.len());
        wanted <= SEGMENT && reserve(&mut self.bytes, more).is_ok()
    }

    /// What has not left.
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    pub(super) fn length(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// `count` more bytes have left.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
    }

    /// Where the next frame is written to.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Whoever sent the last frame here is told when it has left.
    pub(super) fn tell(&mut self, context: usize) {
        self.told.push(context);
    }

    /// All of it has left: whom to tell. The memory is kept for the next segment, if it is of the usual size.
    pub(super) fn end(mut self) -> Vec<usize> {
        self.bytes.clear();
        // A thread that is ending keeps nothing.
        if self.bytes.capacity() == FIRST {
            let _ = FIRSTS.try_with(|firsts| firsts.keep(self.bytes));
        } else if self.bytes.capacity() <= 2 * SEGMENT {
            let _ = SPARE.try_with(|spare| {
                let kept = spare.take();
                spare.set(if kept.capacity() > self.bytes.capacity() { kept } else { self.bytes });
            });
        }
        self.told
    }
}

impl From<Vec<u8>> for Segment {
    fn from(bytes: Vec<u8>) -> Segment {
        Segment { bytes, start: 0, told: Vec::new() }
    }
}

fn reserve(bytes: &mut Vec<u8>, length: usize) -> Result<()> {
    let failed = |_| Error::new(Status::NotEnoughMemory, format!("there is no memory to queue {length} bytes"));
    bytes.try_reserve_exact(length).map_err(failed)
}

/// Segments, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Most of the time there is one.
    last: Option<Segment>,
    before: VecDeque<Segment>,
    length: usize,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Bytes in it.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// A segment with room for `length` more bytes, all of which must be written to it.
    #[inline]
    pub(super) fn make_room(&mut self, length: usize) -> Result<&mut Segment> {
        if !self.last.as_mut().is_some_and(|last| last.has_room(length)) {
            let next = Segment::with_room(length)?;
            if let Some(last) = self.last.replace(next) {
                self.before.push_back(last);
            }
        }
        self.length += length;
        Ok(self.last.as_mut().expect("it was made if it was not there"))
    }

    /// Whether only one segment waits: then it may leave together with a large frame behind it.
    pub(super) fn is_single(&self) -> bool {
        self.before.is_empty()
    }

    /// Whether it owns no memory.
    pub(super) fn is_bare(&self) -> bool {
        self.is_empty() && self.before.capacity() == 0
    }

    /// The oldest segment.
    pub(super) fn take(&mut self) -> Option<Segment> {
        let segment = self.before.pop_front().or_else(|| self.last.take())?;
        self.length -= segment.length();
        Some(segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(queue: &mut Queue, bytes: &[u8]) {
        queue.make_room(bytes.len()).unwrap().bytes().extend_from_slice(bytes);
    }

    #[test]
    fn small_frames_share_a_segment_and_a_large_one_has_its_own() {
        let mut queue = Queue::default();
        put(&mut queue, b"one");
        put(&mut queue, b"two");
        assert!(queue.is_single());
        put(&mut queue, &[7; SEGMENT]);
        put(&mut queue, b"three");
        assert!(!queue.is_single());
        assert_eq!(queue.length(), 11 + SEGMENT);
        assert_eq!(queue.take().unwrap().as_slice(), b"onetwo");
        assert_eq!(queue.take().unwrap().as_slice(), &[7; SEGMENT]);
        let mut last = queue.take().unwrap();
        last.consume(2);
        assert_eq!((last.as_slice(), last.length()), (&b"ree"[..], 3));
        assert!(queue.is_empty() && queue.length() == 0 && queue.take().is_none());
    }

    #[test]
    fn memory_of_small_segments_is_kept_for_the_next_but_not_without_end() {
        let mut queues: Vec<Queue> = (0..2 * Spares::<Vec<u8>>::MOST).map(|_| Queue::default()).collect();
        queues.iter_mut().for_each(|queue| put(queue, b"small"));
        let ends = queues.iter_mut().map(|queue| queue.take().unwrap());
        ends.for_each(|segment| assert!(segment.end().is_empty()));
        let kept: Vec<_> = FIRSTS.with(|firsts| std::iter::from_fn(|| firsts.take()).collect());
        assert_eq!(kept.len(), Spares::<Vec<u8>>::MOST);
        assert!(kept.iter().all(|bytes| bytes.is_empty() && bytes.capacity() == FIRST));
        put(&mut queues[0], b"again");
        assert_eq!(queues[0].take().unwrap().as_slice(), b"again");
    }

    #[test]
    fn whoever_is_to_be_told_is_told_when_the_segment_has_left() {
        let mut queue = Queue::default();
        put(&mut queue, b"a");
        let segment = queue.make_room(1).unwrap();
        segment.bytes().push(b'b');
        segment.tell(5);
        segment.tell(6);
        assert_eq!(queue.take().unwrap().end(), [5, 6]);
    }
}
