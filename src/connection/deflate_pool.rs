//! States for compression that nobody uses at the moment: one pool a session.
//!
//! A connection without context takeover holds a state only while a message is under way, so a thousand of them that are idle cost nothing.
//! Out of scope: what states do (`protocol::deflate`).

use crate::protocol::deflate::coder::{Deflater, Inflater};
use crate::protocol::deflate::{Class, NoMemory, deflate_whole};
use crate::sync::Mutex;

/// How many states of either kind are kept: more than threads that are likely to be at it at once, and less than 4 MiB in all.
const KEPT: usize = 8;

/// The pool. Its mutex is taken alone, and only to take or put a state.
#[derive(Debug, Default)]
pub struct DeflatePool {
    idle: Mutex<Idle>,
}

/// The last one that came is the first to go: it is still in the cache.
#[expect(clippy::vec_box, reason = "a state goes from hand to hand in the box it was made in")]
#[derive(Debug, Default)]
struct Idle {
    inflaters: Vec<Box<Inflater>>,
    deflaters: Vec<Box<Deflater>>,
}

impl DeflatePool {
    /// A state that inflates, empty.
    pub fn take_inflater(&self) -> Result<Box<Inflater>, NoMemory> {
        let idle = self.idle.lock().inflaters.pop();
        idle.map_or_else(|| Inflater::new().map(Box::new), Ok)
    }

    /// Gives one back, empty.
    pub fn put_inflater(&self, inflater: Box<Inflater>) {
        let mut idle = self.idle.lock();
        if idle.inflaters.len() < KEPT {
            idle.inflaters.push(inflater);
        }
    }

    /// A state that deflates for a class, empty.
    pub fn take_deflater(&self, class: Class) -> Result<Box<Deflater>, NoMemory> {
        let mut idle = self.idle.lock();
        let place = idle.deflaters.iter().rposition(|deflater| deflater.is_like(class.window_bits, class.level));
        match place.map(|place| idle.deflaters.remove(place)) {
            Some(deflater) => Ok(deflater),
            None => {
                drop(idle);
                class.make()
            }
        }
    }

    /// Gives one back, empty. Where there are too many, the one that was not wanted for the longest time goes.
    pub fn put_deflater(&self, deflater: Box<Deflater>) {
        let mut idle = self.idle.lock();
        let surplus = (idle.deflaters.len() == KEPT).then(|| idle.deflaters.remove(0));
        idle.deflaters.push(deflater);
        drop(idle);
        drop(surplus);
    }

    /// Compresses a whole message for every connection of a class at once (see [`Connection::deflate_class`](super::Connection::deflate_class)).
    pub fn deflate_whole(&self, class: Class, parts: &[&[u8]]) -> Result<Vec<u8>, NoMemory> {
        let (mut deflater, mut out) = (self.take_deflater(class)?, Vec::new());
        deflate_whole(&mut deflater, parts, &mut out)?;
        self.put_deflater(deflater);
        Ok(out)
    }
}

#[cfg(all(test, feature = "deflate"))]
mod tests {
    use super::*;

    #[test]
    fn a_state_given_back_is_the_next_one_taken_by_its_class() {
        let pool = DeflatePool::default();
        let [small, large] = [9, 15].map(|window_bits| Class { window_bits, level: 6 });
        pool.put_deflater(small.make().unwrap());
        assert!(pool.take_deflater(large).unwrap().is_like(15, 6));
        assert_eq!(pool.idle.lock().deflaters.len(), 1);
        assert!(pool.take_deflater(small).unwrap().is_like(9, 6));
        assert!(pool.idle.lock().deflaters.is_empty());
    }

    #[test]
    fn no_more_is_kept_than_a_few() {
        let pool = DeflatePool::default();
        for level in 1..=9 {
            pool.put_deflater(Class { window_bits: 9, level }.make().unwrap());
            (0..3).for_each(|_| pool.put_inflater(pool.take_inflater().unwrap()));
        }
        (0..KEPT + 2).map(|_| pool.take_inflater().unwrap()).collect::<Vec<_>>().into_iter().for_each(|state| pool.put_inflater(state));
        let idle = pool.idle.lock();
        assert_eq!((idle.inflaters.len(), idle.deflaters.len()), (KEPT, KEPT));
        assert!(!idle.deflaters.iter().any(|deflater| deflater.is_like(9, 1)), "the oldest is gone");
    }

    #[test]
    fn a_message_for_many_is_the_same_each_time() {
        let (pool, class) = (DeflatePool::default(), Class { window_bits: 12, level: 3 });
        let image = pool.deflate_whole(class, &[b"for ", b"", b"everybody, everybody"]).unwrap();
        assert_eq!(pool.deflate_whole(class, &[b"for everybody, everybody"]).unwrap(), image);
        assert_eq!(pool.deflate_whole(class, &[]).unwrap(), [0x00]);
    }
}
