//! Whose the receive half is: nobody's, a program's thread's, or the caretaker's.
//!
//! The half is taken out of its slot and put back, so no lock is held while somebody receives. Out of scope: receiving.

use std::time::Duration;

use super::receive::Rested;
use super::{Connection, ReceiveHalf};
use crate::error::{Error, Result, Status};
use crate::options::SharedOptions;
use crate::protocol::Piece;
use crate::sync::MutexGuard;

/// Who holds the receive half.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// A thread inside a receive, or inside `ws_close`.
    User,
    /// The caretaker, for a moment.
    Caretaker,
}

/// The receive half, unless somebody holds it.
#[derive(Debug)]
pub(super) struct ReceiveSlot {
    half: Option<Box<ReceiveHalf>>,
    /// Nobody holds the half, and there is nothing in it worth keeping: it is made again when it is taken.
    is_at_rest: bool,
    /// Of a half at rest: little came with its last read.
    is_quiet: bool,
    holder: Holder,
    options_changed: bool,
    /// Something has happened after which a receive may not be possible: look what it was.
    is_barred: bool,
    /// One of the two.
    needs_care: bool,
    waiting: u16,
    /// How often a thread of the program has taken the half: the caretaker looks after connections where this stands still.
    claims: u32,
    counted: Counted,
    /// Of the connection: here because here is a lock.
    pub(super) options: SharedOptions,
}

/// What was received, as far as claims have ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// Bytes, with frame headers.
    pub bytes: u64,
    /// Frames, with control frames.
    pub frames: u64,
    /// Messages that have ended.
    pub messages: u64,
}

impl Counted {
    /// One frame of this length, and the message it ends.
    #[inline]
    pub(super) fn frame(length: usize, ends_message: bool) -> Counted {
        Counted { bytes: length as u64, frames: 1, messages: u64::from(ends_message) }
    }

    #[inline]
    pub(super) fn add(&mut self, more: Counted) {
        self.bytes += more.bytes;
        self.frames += more.frames;
        self.messages += more.messages;
    }
}

impl ReceiveSlot {
    pub(super) fn new(half: ReceiveHalf, options: SharedOptions) -> ReceiveSlot {
        ReceiveSlot {
            half: Some(Box::new(half)),
            is_at_rest: false,
            is_quiet: true,
            holder: Holder::User,
            options_changed: false,
            is_barred: false,
            needs_care: false,
            waiting: 0,
            claims: 0,
            counted: Counted::default(),
            options,
        }
    }

    /// What was received so far; while somebody receives, what was so before.
    pub(super) fn counted(&mut self) -> Counted {
        if let Some(half) = &self.half {
            self.counted = half.counted();
        }
        self.counted
    }

    /// Whether somebody holds the half.
    fn is_taken(&self) -> bool {
        self.half.is_none() && !self.is_at_rest
    }

    /// Later receives must look at the options again.
    pub(super) fn renew_limits(&mut self) {
        self.options_changed = true;
        self.needs_care = true;
    }

    fn rest(&mut self, rested: Rested) {
        self.is_at_rest = true;
        (self.counted, self.is_quiet) = (rested.counted, rested.is_quiet);
    }
}

impl ReceiveSlot {
    /// Bytes of memory of the half; what it has for compression is unknown while somebody receives.
    pub(super) fn memory(&self) -> usize {
        let own = if self.is_at_rest { 0 } else { size_of::<ReceiveHalf>() };
        own + self.half.as_ref().map_or(0, |half| half.memory() + half.message_memory())
    }
}

impl Connection {
    /// Begins a receive: delivers a whole small message that was received before, or takes the receive half. 4317 if another thread of the
    /// program has it, or if nothing can be received any more; or why the connection failed.
    #[inline]
    pub fn begin_receive(&self, room: &mut [u8]) -> Result<Begun<'_>> {
        let mut slot = self.receive.lock();
        if slot.needs_care {
            drop(slot);
            return self.claim_receive().map(Begun::Claim);
        }
        if let Some(half) = &mut slot.half
            && let Some(piece) = half.take_buffered(room)
        {
            slot.claims = slot.claims.wrapping_add(1);
            return Ok(Begun::Piece(piece));
        }
        let Some(half) = slot.half.take() else {
            drop(slot);
            return self.claim_receive().map(Begun::Claim);
        };
        slot.claims = slot.claims.wrapping_add(1);
        slot.holder = Holder::User;
        drop(slot);
        Ok(Begun::Claim(ReceiveClaim { connection: self, half: Some(half) }))
    }

    /// Takes the receive half when there is something to look at first. The caretaker is waited for; it is quick.
    #[cold]
    pub fn claim_receive(&self) -> Result<ReceiveClaim<'_>> {
        let mut slot = self.receive.lock();
        if slot.needs_care {
            drop(slot);
            self.check_may_receive()?;
            slot = self.receive.lock();
        }
        if slot.is_taken() && slot.holder == Holder::Caretaker {
            slot = self.wait_for_half(slot, Duration::MAX, |slot| slot.is_taken() && slot.holder == Holder::Caretaker);
        }
        match self.take_half(&mut slot, Holder::User) {
            Some(claim) => Ok(claim),
            None => Err(Error::new(Status::InvalidOperation, "another thread is receiving")),
        }
    }

    /// Takes the receive half for the loop, which looks itself whether a receive is possible. `None`: somebody else has it for a moment.
    pub fn claim_for_loop(&self) -> Option<ReceiveClaim<'_>> {
        self.take_half(&mut self.receive.lock(), Holder::User)
    }

    /// Counts what came while the connection was at rest.
    #[inline]
    pub fn count_at_rest(&self, counted: Counted) {
        self.receive.lock().counted.add(counted);
    }

    /// Whether a receive may begin on a connection at rest, as for every claim.
    pub fn check_at_rest(&self) -> Result<()> {
        if self.receive.lock().needs_care { self.check_may_receive() } else { Ok(()) }
    }

    /// Lets a connection rest on which nothing has come yet.
    pub fn put_to_rest(&self) -> bool {
        self.claim_for_loop().is_some_and(ReceiveClaim::give_back_to_rest)
    }

    /// Takes the receive half as soon as it is free; `None` when `timeout` is over first.
    pub fn claim_receive_within(&self, timeout: Duration) -> Option<ReceiveClaim<'_>> {
        let slot = self.receive.lock();
        let mut slot = self.wait_for_half(slot, timeout, |slot| slot.is_taken());
        self.take_half(&mut slot, Holder::User)
    }

    /// Takes the receive half for the caretaker, if it is free and nobody of the program has had it since it had been taken `claims` times.
    /// The other case is the number of claims now.
    pub fn claim_for_caretaker(&self, claims: u32) -> Result<ReceiveClaim<'_>, u32> {
        let mut slot = self.receive.lock();
        if slot.claims != claims {
            return Err(slot.claims);
        }
        self.take_half(&mut slot, Holder::Caretaker).ok_or(claims.wrapping_sub(1))
    }

    /// Whether a thread of the program is receiving.
    pub fn is_receiving(&self) -> bool {
        let slot = self.receive.lock();
        slot.is_taken() && slot.holder == Holder::User
    }

    fn wait_for_half<'s>(
        &self,
        mut slot: MutexGuard<'s, ReceiveSlot>,
        timeout: Duration,
        condition: impl FnMut(&mut ReceiveSlot) -> bool,
    ) -> MutexGuard<'s, ReceiveSlot> {
        slot.waiting += 1;
        self.receive_free.wait_while_for(&mut slot, condition, timeout);
        slot.waiting -= 1;
        slot
    }

    fn take_half(&self, slot: &mut ReceiveSlot, holder: Holder) -> Option<ReceiveClaim<'_>> {
        let mut half = match slot.half.take() {
            Some(half) => half,
            None if slot.is_at_rest => {
                slot.is_at_rest = false;
                let rested = Rested { counted: slot.counted, is_quiet: slot.is_quiet };
                ReceiveHalf::wake(self.role(), &slot.options, rested)
            }
            None => return None,
        };
        slot.holder = holder;
        if holder == Holder::User {
            slot.claims = slot.claims.wrapping_add(1);
        }
        if slot.options_changed {
            slot.options_changed = false;
            half.set_limits(&slot.options);
        }
        slot.needs_care = slot.is_barred;
        Some(ReceiveClaim { connection: self, half: Some(half) })
    }

    /// Later receives must look whether they are possible.
    pub(super) fn bar_receives(&self) {
        let mut slot = self.receive.lock();
        slot.is_barred = true;
        slot.needs_care = true;
    }
}

/// How a receive has begun.
#[derive(Debug)]
pub enum Begun<'c> {
    /// A message was there already.
    Piece(Piece),
    /// The receive half.
    Claim(ReceiveClaim<'c>),
}

/// The right to receive. Gives the half back when it is dropped.
#[derive(Debug)]
pub struct ReceiveClaim<'c> {
    connection: &'c Connection,
    half: Option<Box<ReceiveHalf>>,
}

impl ReceiveClaim<'_> {
    /// The half.
    #[inline]
    pub fn half(&mut self) -> &mut ReceiveHalf {
        self.half.as_mut().expect("the half is here until the claim is dropped")
    }
}

impl ReceiveClaim<'_> {
    /// Gives the half back. The same as dropping the claim, without the code that looks whether it was given back already.
    #[inline(always)]
    pub fn give_back(mut self) {
        self.put_back();
        std::mem::forget(self);
    }

    /// The same on a loop, where a half that nothing has to be kept of is not kept: whether the connection is at rest now.
    pub fn give_back_to_rest(mut self) -> bool {
        let Some(half) = self.half.take() else { return false };
        match half.rest() {
            Ok(rested) => {
                self.connection.receive.lock().rest(rested);
                std::mem::forget(self);
                true
            }
            Err(half) => {
                self.half = Some(half);
                self.give_back();
                false
            }
        }
    }

    #[inline(always)]
    fn put_back(&mut self) {
        if let Some(half) = self.half.take() {
            let mut slot = self.connection.receive.lock();
            slot.half = Some(half);
            if slot.waiting > 0 {
                self.connection.receive_free.notify_all();
            }
        }
    }
}

impl Drop for ReceiveClaim<'_> {
    fn drop(&mut self) {
        self.put_back();
    }
}
