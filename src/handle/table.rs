//! The ticket table: values behind numbers that can be stale, closed or invented without harm.
//!
//! In scope: tickets, slots, their reuse and retirement. Out of scope: what the values are (`handle`), and who may use which (`ffi`).
//!
//! A ticket is `kind 4 | generation 26 | index 22` bits, 52 in all, so that it fits the number type of JavaScript. It is never an
//! address. Each use of a slot has its own generation: a ticket that was closed never becomes valid again, because a slot whose
//! generations are used up is retired instead of starting over.
//!
//! Locks: each slot has a small mutex, the queue of free slots has one. No two are ever held together, and no value is dropped
//! under one: what a value's destructor does is not known here.

use std::collections::VecDeque;

use crate::error::{Error, Result, Status};
use crate::sync::{Mutex, OnceLock};

const INDEX_BITS: u32 = 22;
const GENERATION_BITS: u32 = 26;

/// The slots of the first chunk; each later chunk has twice as many as the one before, so that a small program stays small.
const FIRST_CHUNK: usize = 256;
/// Chunks of 256, 512, 1024, … slots: 4,194,048 in all, just under the 22 bits of an index.
const MOST_CHUNKS: usize = 14;

/// A number that stands for a value in a [`Table`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// The ticket with this number, valid or not.
    pub const fn from_number(number: u64) -> Ticket {
        Ticket(number)
    }

    /// The number that the C API shows.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The kind that was given to [`Table::insert`], if the ticket is a real one.
    pub const fn kind(self) -> u64 {
        self.0 >> (GENERATION_BITS + INDEX_BITS)
    }

    const fn new(kind: u8, generation: u32, index: usize) -> Ticket {
        Ticket((kind as u64) << (GENERATION_BITS + INDEX_BITS) | (generation as u64) << INDEX_BITS | index as u64)
    }

    const fn generation(self) -> u32 {
        (self.0 >> INDEX_BITS) as u32 & ((1 << GENERATION_BITS) - 1)
    }

    const fn index(self) -> usize {
        (self.0 & ((1 << INDEX_BITS) - 1)) as usize
    }
}

struct Slot<T> {
    /// While the slot is free: kind 0 and the generation of the next use.
    ticket: Ticket,
    value: Option<T>,
}

struct Free {
    /// Oldest first, so that a number stays unused as long as possible. Its room is reserved when a chunk is made: closing a
    /// handle never allocates.
    slots: VecDeque<u32>,
    chunks: usize,
    live: usize,
}

type Chunk<T> = Box<[Mutex<Slot<T>>]>;

/// Values behind tickets. `CHUNKS` and `GENERATIONS` are parameters for the tests only.
pub struct Table<T, const CHUNKS: usize = MOST_CHUNKS, const GENERATIONS: u32 = { 1 << GENERATION_BITS }> {
    /// Chunks never move and are never freed, so a reader finds its slot without a lock on the table.
    chunks: [OnceLock<Chunk<T>>; CHUNKS],
    free: Mutex<Free>,
}

impl<T: Clone, const CHUNKS: usize, const GENERATIONS: u32> Table<T, CHUNKS, GENERATIONS> {
    /// An empty table, which owns no memory yet.
    pub const fn new() -> Self {
        assert!(CHUNKS <= MOST_CHUNKS && GENERATIONS <= 1 << GENERATION_BITS);
        Table { chunks: [const { OnceLock::new() }; CHUNKS], free: Mutex::new(Free { slots: VecDeque::new(), chunks: 0, live: 0 }) }
    }

    /// Puts a value in; 8 when every ticket is taken or memory is short. `kind` is 1 to 15.
    pub fn insert(&self, kind: u8, value: T) -> Result<Ticket> {
        debug_assert!((1..16).contains(&kind));
        let index = self.take_free_slot()?;
        let mut slot = self.slot(index).expect("a free slot's chunk exists").lock();
        let ticket = Ticket::new(kind, slot.ticket.generation(), index);
        slot.ticket = ticket;
        slot.value = Some(value);
        Ok(ticket)
    }

    /// The value behind a ticket, unless it is closed or was never given out.
    #[inline]
    pub fn get(&self, ticket: Ticket) -> Option<T> {
        let slot = self.slot(ticket.index())?.lock();
        if slot.ticket == ticket { slot.value.clone() } else { None }
    }

    /// Takes the value out; the ticket is stale from now on. Exactly one of several racing callers gets it.
    pub fn remove(&self, ticket: Ticket) -> Option<T> {
        let index = ticket.index();
        let mut slot = self.slot(index)?.lock();
        if slot.ticket != ticket {
            return None;
        }
        let value = slot.value.take()?;
        let next = ticket.generation() + 1;
        let is_retired = next >= GENERATIONS;
        // A retired slot keeps its last ticket: without a value no lookup finds it, and it is never free again.
        if !is_retired {
            slot.ticket = Ticket::new(0, next, index);
        }
        drop(slot);
        let mut free = self.free.lock();
        free.live -= 1;
        if !is_retired {
            free.slots.push_back(index as u32);
        }
        Some(value)
    }

    /// How many values are in the table.
    pub fn live_count(&self) -> usize {
        self.free.lock().live
    }

    #[inline]
    fn slot(&self, index: usize) -> Option<&Mutex<Slot<T>>> {
        // Chunk k begins at index FIRST_CHUNK * (2^k - 1): shifted by FIRST_CHUNK, the highest bit names the chunk.
        let shifted = index + FIRST_CHUNK;
        let chunk = (shifted.ilog2() - FIRST_CHUNK.ilog2()) as usize;
        self.chunks.get(chunk)?.get()?.get(shifted - (FIRST_CHUNK << chunk))
    }

    /// Counts the slot as live already: between this and its first value nobody can hold its ticket.
    fn take_free_slot(&self) -> Result<usize> {
        let mut free = self.free.lock();
        if free.slots.is_empty() {
            self.grow(&mut free)?;
        }
        let index = free.slots.pop_front().expect("a new chunk has free slots");
        free.live += 1;
        Ok(index as usize)
    }

    fn grow(&self, free: &mut Free) -> Result<()> {
        let Some(chunk) = self.chunks.get(free.chunks) else {
            return Err(Error::new(Status::NotEnoughMemory, format!("all {} handles are in use", free.live)));
        };
        let no_memory = |_| Error::new(Status::NotEnoughMemory, "no memory for another handle");
        let count = FIRST_CHUNK << free.chunks;
        let first = count - FIRST_CHUNK;
        free.slots.try_reserve_exact(first + count).map_err(no_memory)?;
        let mut slots = Vec::new();
        slots.try_reserve_exact(count).map_err(no_memory)?;
        slots.extend((first..first + count).map(|index| Mutex::new(Slot { ticket: Ticket::new(0, 0, index), value: None })));
        if chunk.set(slots.into_boxed_slice()).is_err() {
            unreachable!("chunks are made under the mutex of the free slots");
        }
        free.chunks += 1;
        free.slots.extend((first..first + count).map(|index| index as u32));
        Ok(())
    }
}

impl<T: Clone, const CHUNKS: usize, const GENERATIONS: u32> Default for Table<T, CHUNKS, GENERATIONS> {
    fn default() -> Self {
        Table::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn a_ticket_has_52_bits_and_is_never_zero() {
        let table: Table<u32> = Table::new();
        let ticket = table.insert(1, 7).unwrap();
        assert_ne!(ticket.number(), 0);
        assert_eq!(ticket.kind(), 1);
        let largest = Ticket::new(15, (1 << GENERATION_BITS) - 1, (1 << INDEX_BITS) - 1);
        assert_eq!(largest.number(), (1 << 52) - 1);
        assert_eq!((largest.kind(), largest.generation(), largest.index()), (15, (1 << 26) - 1, (1 << 22) - 1));
    }

    #[test]
    fn a_slot_takes_no_more_than_24_bytes() {
        assert_eq!(size_of::<Mutex<Slot<Arc<()>>>>(), 24);
    }

    #[test]
    fn a_closed_ticket_is_stale_for_ever() {
        let table: Table<u32, 1> = Table::new();
        let first = table.insert(3, 1).unwrap();
        assert_eq!(table.get(first), Some(1));
        assert_eq!(table.remove(first), Some(1));
        assert_eq!((table.get(first), table.remove(first)), (None, None));
        for value in 0..2 * FIRST_CHUNK as u32 {
            let ticket = table.insert(3, value).unwrap();
            assert_ne!(ticket, first);
            assert_eq!(table.get(first), None);
            assert_eq!(table.remove(ticket), Some(value));
        }
        assert_eq!(table.live_count(), 0);
    }

    #[test]
    fn an_invented_ticket_finds_nothing() {
        let table: Table<u32> = Table::new();
        let real = table.insert(2, 9).unwrap().number();
        for number in (0..64).map(|bit| real ^ 1 << bit).chain([0, 1, u64::MAX, 1 << 48]) {
            assert_eq!(table.get(Ticket::from_number(number)), None, "{number:#x}");
            assert_eq!(table.remove(Ticket::from_number(number)), None, "{number:#x}");
        }
        assert_eq!(table.live_count(), 1);
        // Kind 0 with the generation and index of a free slot is what the slot itself holds.
        assert_eq!(table.get(Ticket::new(0, 0, 5)), None);
    }

    #[test]
    fn slots_are_reused_oldest_first() {
        let table: Table<usize, 1> = Table::new();
        let tickets: Vec<_> = (0..FIRST_CHUNK).map(|n| table.insert(1, n).unwrap()).collect();
        for index in [9, 4, 200] {
            table.remove(tickets[index]);
        }
        let reused: Vec<_> = (0..3).map(|n| table.insert(1, n).unwrap().index()).collect();
        assert_eq!(reused, [9, 4, 200]);
    }

    #[test]
    fn a_slot_is_retired_when_its_generations_are_used_up() {
        let table: Table<u32, 1, 3> = Table::new();
        let mut seen = std::collections::HashSet::new();
        for value in 0..3 * FIRST_CHUNK as u32 {
            let ticket = table.insert(1, value).unwrap();
            assert!(seen.insert(ticket), "{ticket:?} was given out twice");
            assert_eq!(table.remove(ticket), Some(value));
        }
        assert_eq!(table.insert(1, 0).unwrap_err().status(), Status::NotEnoughMemory);
        assert!(seen.iter().all(|&ticket| table.get(ticket).is_none()));
    }

    #[test]
    fn a_full_table_answers_8_and_recovers() {
        let table: Table<usize, 2> = Table::new();
        let tickets: Vec<_> = (0..3 * FIRST_CHUNK).map(|n| table.insert(1, n).unwrap()).collect();
        assert_eq!(table.insert(1, 0).unwrap_err().status(), Status::NotEnoughMemory);
        for (n, &ticket) in tickets.iter().enumerate() {
            assert_eq!(table.get(ticket), Some(n));
        }
        assert_eq!(table.remove(tickets[700]), Some(700));
        assert_eq!(table.insert(1, 1).unwrap().index(), 700);
    }

    #[test]
    fn every_index_up_to_the_last_has_its_own_slot() {
        // The arithmetic alone: the last chunk would take 50 MB.
        let place = |index: usize| {
            let shifted = index + FIRST_CHUNK;
            let chunk = (shifted.ilog2() - FIRST_CHUNK.ilog2()) as usize;
            (chunk, shifted - (FIRST_CHUNK << chunk))
        };
        let mut expected = 0;
        for chunk in 0..MOST_CHUNKS {
            let count = FIRST_CHUNK << chunk;
            assert_eq!((place(expected), place(expected + count - 1)), ((chunk, 0), (chunk, count - 1)));
            expected += count;
        }
        assert_eq!(expected, 4_194_048);
        assert!(expected <= 1 << INDEX_BITS);
    }

    #[test]
    fn many_threads_never_see_each_others_values() {
        let table: Arc<Table<u64>> = Arc::new(Table::new());
        let threads: Vec<_> = (0..8u64)
            .map(|who| {
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    let mut held = VecDeque::new();
                    for round in 0..5_000u64 {
                        let value = who << 32 | round;
                        held.push_back((table.insert(1 + (who % 7) as u8, value).unwrap(), value));
                        for &(ticket, value) in &held {
                            assert_eq!(table.get(ticket), Some(value));
                        }
                        if held.len() > 7 {
                            let (ticket, value) = held.pop_front().unwrap();
                            assert_eq!(table.remove(ticket), Some(value));
                            assert_eq!(table.get(ticket), None);
                        }
                    }
                    held.len()
                })
            })
            .collect();
        let left: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(table.live_count(), left);
    }

    #[test]
    fn one_of_several_racing_closers_wins() {
        for _ in 0..200 {
            let table: Arc<Table<u32, 1>> = Arc::new(Table::new());
            let ticket = table.insert(1, 5).unwrap();
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let table = Arc::clone(&table);
                    thread::spawn(move || table.remove(ticket).is_some())
                })
                .collect();
            assert_eq!(threads.into_iter().filter_map(|thread| thread.join().ok()).filter(|&won| won).count(), 1);
        }
    }
}
