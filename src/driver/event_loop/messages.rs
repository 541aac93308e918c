//! Whole messages as events: what a loop does with a connection whose program posts no receives.
//!
//! Messages are told of where they lie, in memory of the loop, many of them after one read. Only one that is large, cut or fragmented gets memory of
//! its own. Out of scope: frames (`connection`), and receives that are posted (`reading`).

use super::event::{Event, EventKind};
use super::lent::LEAST;
use super::posting::Left;
use super::reading::{MOST_LENT, READS_AT_ONCE, Reader, Visit, left_by};
use crate::connection::{Counted, MessageStep, NextWhole, ReceiveClaim, ReceiveHalf, Received};
use crate::error::{Error, Result};
use crate::sync::atomic::Ordering;
use crate::transport::Patience;

/// What may come after what was read.
enum More {
    Maybe,
    Blocked,
    /// The program has to take what it was given first.
    NoRoom,
    Close,
}

/// At rest.
impl Reader {
    /// Messages on a connection at rest: as many as are whole. What else has come wakes it. True if more may be there.
    pub(super) fn read_at_rest(&mut self, visit: &mut Visit<'_>) -> bool {
        if !visit.socket.stream().is_plain() {
            return self.read_messages(visit);
        }
        if let Some(chunk) = visit.chunk.take() {
            let goes_on = self.read_at_rest_into(visit, chunk, &mut 0);
            visit.chunk = Some(chunk);
            return goes_on;
        }
        let Some((mut chunk, mut at)) = lend_chunk(visit) else {
            visit.socket.posting.end_visit(Left { in_socket: true, ..Left::AT_REST }, false);
            self.requeue(visit);
            return false;
        };
        let goes_on = self.read_at_rest_into(visit, &mut chunk, &mut at);
        visit.shared.lent.lock().put_chunk(chunk, at);
        goes_on
    }

    #[inline]
    fn read_at_rest_into(&mut self, visit: &mut Visit<'_>, chunk: &mut [u8], at: &mut usize) -> bool {
        let socket = visit.socket;
        let count = match socket.receive_at_rest(&mut chunk[*at..]) {
            Ok(Some(count)) => count,
            Ok(None) => return socket.posting.end_visit(Left::AT_REST, false),
            Err(error) => return self.messages_end(visit, error),
        };
        self.has_lived(socket);
        // Only a read that took all that it had room for may have left something.
        visit.is_readable = *at + count == chunk.len();
        let bytes = &mut chunk[..*at + count];
        let mut counted = Counted { bytes: count as u64, ..Counted::default() };
        let ended = deliver_at_rest(visit, bytes, at, &mut counted.messages);
        counted.frames = counted.messages;
        socket.count_at_rest(counted);
        match ended {
            Ok(()) if *at == bytes.len() => socket.posting.end_visit(Left { in_socket: visit.is_readable, ..Left::AT_REST }, false),
            Ok(()) => self.wake(visit, bytes, at),
            Err(error) => self.messages_end(visit, error),
        }
    }

    /// More has come than whole messages: the receive half sees to the rest.
    #[inline(never)]
    fn wake(&mut self, visit: &mut Visit<'_>, bytes: &mut [u8], at: &mut usize) -> bool {
        let Some(mut claim) = visit.socket.claim_for_loop() else { return visit.socket.posting.end_visit(Left::UNKNOWN, false) };
        visit.tell_readiness(claim.half());
        let result = self.deliver_in_place(visit, claim.half(), bytes, at);
        self.end_messages(visit, claim, result)
    }
}

/// Delivers messages up to one that is not whole.
#[inline]
fn deliver_at_rest(visit: &mut Visit<'_>, bytes: &mut [u8], at: &mut usize, messages: &mut u64) -> Result<()> {
    let (socket, to) = (&**visit.socket, visit.to);
    let (takes_all, delivery) = (visit.takes_all, &mut *visit.delivery);
    // What is sent in answer to any of them is gathered.
    socket.batch.store(visit.shared.batch(), Ordering::Relaxed);
    let mut rest = &mut bytes[*at..];
    while !rest.is_empty() && (takes_all || delivery.room() > 0) && !socket.signals().is_stopped() {
        match socket.next_at_rest(rest) {
            Some(Ok((kind, message))) => {
                *messages += 1;
                *at += message.end;
                let (own, behind) = rest.split_at_mut(message.end);
                delivery.deliver_message(to, kind, &own[message.start..]);
                rest = behind;
            }
            Some(Err(error)) => return Err(error),
            None => break,
        }
    }
    Ok(())
}

/// Memory for what is read, and from where on; `None`: the program has to be done first with what it has.
fn lend_chunk(visit: &Visit<'_>) -> Option<(Box<[u8]>, usize)> {
    let mut lent = visit.shared.lent.lock();
    (lent.lent() + LEAST <= MOST_LENT).then(|| lent.take_chunk())
}

/// With a receive half.
impl Reader {
    /// Every message there is, each an event; true if more may be there.
    #[inline(never)]
    pub(super) fn read_messages(&mut self, visit: &mut Visit<'_>) -> bool {
        let Some(mut claim) = visit.socket.claim_for_loop() else { return visit.socket.posting.end_visit(Left::UNKNOWN, false) };
        let half = claim.half();
        visit.tell_readiness(half);
        let result = if half.is_between_messages() { self.read_in_place(visit, half) } else { self.read_apart(visit, half) };
        self.end_messages(visit, claim, result)
    }

    fn end_messages(&mut self, visit: &mut Visit<'_>, mut claim: ReceiveClaim<'_>, result: Result<More>) -> bool {
        let half = claim.half();
        if half.take_life() {
            self.has_lived(visit.socket);
        }
        self.is_to_be_told = true;
        let mut left = left_by(half, matches!(result, Ok(More::Blocked)));
        self.tell_heard(visit, half);
        left.at_rest = claim.give_back_to_rest();
        match result {
            Ok(More::Close) => {
                visit.socket.tell_close();
                visit.socket.posting.end_visit(Left::NOTHING, true);
                visit.deliver(&Event { received: Some(Received::Close), ..Event::of(EventKind::Received) });
                false
            }
            Ok(More::NoRoom) => {
                visit.socket.posting.end_visit(Left { held: true, ..left }, false);
                // The rest has its turn with the next batch.
                self.requeue(visit);
                false
            }
            Ok(_) => visit.socket.posting.end_visit(left, false),
            Err(error) => self.messages_end(visit, error),
        }
    }

    /// No message can come any more.
    #[cold]
    fn messages_end(&mut self, visit: &mut Visit<'_>, error: Error) -> bool {
        self.is_to_be_told = true;
        visit.socket.posting.end_visit(Left::NOTHING, true);
        let error = visit.socket.receive_failed(error);
        self.deliver_error(visit, error);
        false
    }

    /// Messages where they lie: in the loop's memory, which many of them reach with one read.
    fn read_in_place(&mut self, visit: &mut Visit<'_>, half: &mut ReceiveHalf) -> Result<More> {
        if let Some(chunk) = visit.chunk.take() {
            let result = self.read_in_place_into(visit, half, chunk, &mut 0);
            visit.chunk = Some(chunk);
            return result;
        }
        let Some((mut chunk, mut at)) = lend_chunk(visit) else { return Ok(More::NoRoom) };
        let result = self.read_in_place_into(visit, half, &mut chunk, &mut at);
        visit.shared.lent.lock().put_chunk(chunk, at);
        result
    }

    fn read_in_place_into(&mut self, visit: &mut Visit<'_>, half: &mut ReceiveHalf, chunk: &mut [u8], at: &mut usize) -> Result<More> {
        match half.read_whole(visit.socket, &mut chunk[*at..])? {
            None => Ok(More::Blocked),
            Some(count) => {
                let end = *at + count;
                self.deliver_in_place(visit, half, &mut chunk[..end], at)
            }
        }
    }

    fn deliver_in_place(&mut self, visit: &mut Visit<'_>, half: &mut ReceiveHalf, bytes: &mut [u8], at: &mut usize) -> Result<More> {
        while *at < bytes.len() {
            if !visit.has_room() || visit.socket.signals().is_stopped() {
                half.hold(&bytes[*at..])?;
                return Ok(More::NoRoom);
            }
            let (used, next) = half.next_whole(visit.socket, &mut bytes[*at..])?;
            *at += used;
            match next {
                NextWhole::Message(kind, length) => visit.deliver_message(kind, &bytes[*at - length..*at]),
                NextWhole::Close => return Ok(More::Close),
                NextWhole::Nothing => {}
                NextWhole::Cut => return Ok(More::Maybe),
            }
        }
        Ok(More::Maybe)
    }

    /// A message that is large, cut or fragmented: piece by piece, into memory of its own.
    fn read_apart(&mut self, visit: &mut Visit<'_>, half: &mut ReceiveHalf) -> Result<More> {
        half.begin_assembly();
        for _ in 0..READS_AT_ONCE {
            match half.step_message(visit.socket, Patience::None)? {
                MessageStep::Message(kind) => {
                    if let Some(message) = half.take_message() {
                        visit.deliver_message(kind, message.bytes());
                        self.keep(visit, message);
                    }
                    return Ok(More::Maybe);
                }
                MessageStep::Close => return Ok(More::Close),
                MessageStep::Nothing if half.may_have_more() => {}
                MessageStep::Nothing | MessageStep::Blocked { .. } => return Ok(More::Blocked),
            }
        }
        Ok(More::Maybe)
    }
}
