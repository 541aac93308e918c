//! What a loop does with a connection that has something to read, and with one of which time asks something.
//!
//! In scope: receives that were posted, whole messages as events, looking after connections without a reader, and discarding while a connection
//! closes. Out of scope: frames (`connection`).

use std::sync::Arc;
use std::time::Duration;

use super::core::{Core, Item};
use super::event::{Delivery, Event, EventKind, OwnedEvent, Recipient};
use super::lent::LEAST;
use super::socket::{Posted, Socket, State};
use super::{Shared, Wish, answering, lock};
use crate::connection::{Ahead, Counted, MessageStep, NextWhole, ReceiveClaim, ReceiveHalf, Received, Step};
use crate::error::{Error, Phase, Result, Status};
use crate::protocol::MessageKind;
use crate::sync::atomic::Ordering;
use crate::transport::Patience;

/// How often one connection is read from before the others have their turn.
const READS_AT_ONCE: u32 = 16;

/// What is lent in one batch at most; a connection that finds no room waits for the next.
const MOST_LENT: usize = 512 << 10;

/// What reading for a posted receive came to.
enum Outcome {
    /// Into the program's own buffer.
    Received(Received),
    /// Into lent memory.
    View(Received, *const u8),
    /// A message of its own memory.
    Message(MessageKind),
    /// Nothing is there; the receive stays posted.
    Blocked,
    Failed(Error),
}

impl Core {
    /// Reads from everybody who may have something, as long as somebody takes the events.
    pub(super) fn read(&mut self, shared: &Arc<Shared>, delivery: &mut dyn Delivery) {
        // Those who come back are for the next turn.
        for _ in 0..self.ready.len() {
            if delivery.room() == 0 {
                return;
            }
            let Some(key) = self.ready.pop_front() else { return };
            let Some(Item::Socket(socket, recipient, _)) = self.members.get(key as usize) else { continue };
            let (socket, recipient) = (Arc::clone(socket), Arc::clone(recipient));
            if delivery.keeps() {
                self.read_one(shared, delivery, key, &socket, &*recipient, None);
                if std::mem::take(&mut self.is_to_be_told) {
                    socket.after_flush();
                    socket.log_close_frames();
                }
            } else {
                self.answer(shared, delivery, key, &socket, &*recipient, None);
            }
        }
    }

    /// Reads from one, whose callback answers at once: the answers leave together when it is done. `readiness`: it has just become readable,
    /// possibly because it has ended.
    pub(super) fn answer(
        &mut self,
        shared: &Arc<Shared>,
        delivery: &mut dyn Delivery,
        key: u32,
        socket: &Arc<Socket>,
        recipient: &dyn Recipient,
        readiness: Option<bool>,
    ) {
        answering::begin(recipient.ticket(), socket);
        self.read_one(shared, delivery, key, socket, recipient, readiness);
        self.is_to_be_told |= answering::end();
        if socket.is_corked.load(Ordering::Relaxed) {
            socket.is_corked.store(false, Ordering::Relaxed);
            socket.flush();
            self.is_to_be_told = true;
        }
        // The answer to a ping or a close frame takes along what was queued: whoever waits for that is told here, because no readiness will.
        if std::mem::take(&mut self.is_to_be_told) {
            socket.after_flush();
            socket.log_close_frames();
        }
    }

    fn read_one(
        &mut self,
        shared: &Arc<Shared>,
        delivery: &mut dyn Delivery,
        key: u32,
        socket: &Arc<Socket>,
        recipient: &dyn Recipient,
        readiness: Option<bool>,
    ) {
        for round in 0..READS_AT_ONCE {
            if socket.signals().is_dropped() {
                return;
            }
            if delivery.room() == 0 {
                return self.requeue(key, socket);
            }
            let mut state = socket.state();
            if round == 0 {
                state.is_queued &= readiness.is_some();
                state.is_readable |= readiness.is_some();
                state.has_ended |= readiness == Some(true);
            }
            if state.is_busy {
                // A call of the program's looks at what is held; when it has posted its receive, it sends the connection here again.
                return;
            }
            if state.closing.as_ref().is_some_and(|closing| closing.discards()) {
                drop(state);
                return self.discard(socket, key);
            }
            if state.is_over || !(state.is_readable || state.is_held || matches!(state.receive, Some(Posted::Message))) {
                return;
            }
            let posted = state.receive.take();
            let (is_whole, is_at_rest) = (state.is_whole, state.is_at_rest);
            self.is_readable = state.is_readable;
            state.is_busy = true;
            state.is_receiving = posted.is_some();
            drop(state);
            let goes_on = match posted {
                None if is_whole && is_at_rest => self.read_at_rest(shared, delivery, socket, recipient),
                _ if is_whole => self.read_messages(shared, delivery, socket, recipient),
                Some(posted) => self.read_posted(shared, delivery, socket, recipient, posted),
                None => self.look_after(shared, delivery, socket, recipient),
            };
            if !goes_on {
                return;
            }
        }
        self.requeue(key, socket);
    }

    /// Later, because others have their turn or nobody takes more events.
    fn requeue(&mut self, key: u32, socket: &Socket) {
        let mut state = socket.state();
        if !std::mem::replace(&mut state.is_queued, true) {
            self.ready.push_back(key);
        }
    }

    /// For a receive that was posted; true if another one may be by now.
    #[inline(never)]
    fn read_posted(
        &mut self,
        shared: &Arc<Shared>,
        delivery: &mut dyn Delivery,
        socket: &Arc<Socket>,
        recipient: &dyn Recipient,
        mut posted: Posted,
    ) -> bool {
        let Some(mut claim) = socket.claim_for_loop() else {
            return put_back(socket, posted, Left::UNKNOWN);
        };
        self.tell_readiness(claim.half());
        let outcome = self.receive(shared, socket, claim.half(), &mut posted);
        if claim.half().take_life() {
            self.has_lived(socket);
        }
        self.is_to_be_told = true;
        let mut left = Left::of(claim.half(), matches!(outcome, Outcome::Blocked));
        let message = if let Outcome::Message(_) = outcome { claim.half().take_message() } else { None };
        while let Some(heard) = claim.half().take_heard() {
            self.tell_heard(socket, heard.is_ping, heard.payload);
        }
        left.at_rest = claim.give_back_to_rest();
        if let Outcome::Blocked = outcome {
            put_back(socket, posted, left);
            // What came was no message, and behind it is the end, of which the system does not tell again.
            return socket.state().has_ended;
        }
        let is_end = matches!(&outcome, Outcome::Failed(error) if is_terminal(error))
            || matches!(outcome, Outcome::Received(Received::Close) | Outcome::View(Received::Close, _));
        let mut state = socket.state();
        (state.is_busy, state.is_receiving, state.is_cancelled) = (false, false, false);
        left.note(&mut state);
        state.receive_deadline = None;
        state.is_over |= is_end;
        drop(state);
        match outcome {
            Outcome::Received(received) => {
                if received == Received::Close {
                    socket.tell_close();
                }
                let length = if let Received::Piece(piece) = received { piece.length } else { 0 };
                let data_at = if let Posted::Buffer(buffer) = &mut posted { buffer.memory().as_ptr() } else { std::ptr::null() };
                let event = Event { data_at, length, received: Some(received), ..Event::of(EventKind::Received) };
                self.deliver(shared, delivery, socket, recipient, &event);
            }
            Outcome::View(received, data) => {
                if received == Received::Close {
                    socket.tell_close();
                }
                let length = if let Received::Piece(piece) = received { piece.length } else { 0 };
                let event = Event { data_at: data, length, received: Some(received), ..Event::of(EventKind::Received) };
                self.deliver(shared, delivery, socket, recipient, &event);
            }
            Outcome::Message(kind) => {
                if let Some(message) = message {
                    self.deliver_message(shared, delivery, socket, recipient, kind, message.bytes());
                    self.keep(delivery, message);
                }
            }
            Outcome::Failed(error) => {
                let error = socket.receive_failed(error);
                self.deliver_error(shared, delivery, socket, recipient, error);
            }
            Outcome::Blocked => {}
        }
        true
    }

    fn receive(&mut self, shared: &Arc<Shared>, socket: &Arc<Socket>, half: &mut ReceiveHalf, posted: &mut Posted) -> Outcome {
        // A peer that sends nothing but pings is not read from for ever.
        for _ in 0..READS_AT_ONCE {
            let step = match posted {
                Posted::Buffer(buffer) => half.begin_piece().and_then(|()| half.step(socket, buffer.memory(), Patience::None)),
                Posted::View => {
                    let mut lent = lock(&shared.lent);
                    let room = lent.room();
                    let data = room.as_ptr();
                    let step = half.begin_piece().and_then(|()| half.step(socket, room, Patience::None));
                    if let Ok(Step::Received(received)) = step {
                        lent.lend(if let Received::Piece(piece) = received { piece.length } else { 0 });
                        return Outcome::View(received, data);
                    }
                    step
                }
                Posted::Message => match half.step_message(socket, Patience::None) {
                    Ok(MessageStep::Message(kind)) => return Outcome::Message(kind),
                    Ok(MessageStep::Close) => Ok(Step::Received(Received::Close)),
                    Ok(MessageStep::Nothing) => Ok(Step::Nothing),
                    Ok(MessageStep::Blocked { .. }) => return Outcome::Blocked,
                    Err(error) => Err(error),
                },
            };
            match step {
                Ok(Step::Received(received)) => return Outcome::Received(received),
                Ok(Step::Blocked { .. }) => return Outcome::Blocked,
                Ok(Step::Nothing) if half.may_have_more() => {}
                // What came was no message, and the read that brought it found no more.
                Ok(Step::Nothing) => return Outcome::Blocked,
                Err(error) => return Outcome::Failed(error),
            }
        }
        Outcome::Blocked
    }

    fn deliver_error(
        &mut self,
        shared: &Shared,
        delivery: &mut dyn Delivery,
        socket: &Arc<Socket>,
        recipient: &dyn Recipient,
        error: Error,
    ) {
        let event = OwnedEvent::ended(EventKind::Received, Err(error));
        self.deliver(shared, delivery, socket, recipient, &event.as_event());
        self.given(delivery, event);
    }

    /// Every message there is, each an event; true if more may be there.
    #[inline(never)]
    fn read_messages(
        &mut self,
        shared: &Arc<Shared>,
        delivery: &mut dyn Delivery,
        socket: &Arc<Socket>,
        recipient: &dyn Recipient,
    ) -> bool {
        let Some(mut claim) = socket.claim_for_loop() else { return put_back_whole(socket, Left::UNKNOWN, false) };
        let half = claim.half();
        self.tell_readiness(half);
        let result = if half.is_between_messages() {
            self.read_in_place(shared, delivery, socket, recipient, half)
        } else {
            self.read_apart(shared, delivery, socket, recipient, half)
        };
        self.end_messages(shared, delivery, socket, recipient, claim, result)
    }

    fn end_messages(
        &mut self,
        shared: &Arc<Shared>,
        delivery: &mut dyn Delivery,
        socket: &Arc<Socket>,
        recipient: &dyn Recipient,
        mut claim: ReceiveClaim<'_>,
        result: Result<More>,
    ) -> bool {
        let half = claim.half();
        if half.take_life() {
            self.has_lived(socket);
        }
        self.is_to_be_told = true;
        let mut left = Left::of(half, matches!(result, Ok(More::Blocked)));
        while let Some(heard) = half.take_heard() {
            self.tell_heard(socket, heard.is_ping, heard.payload);
        }
        left.at_rest = claim.give_back_to_rest();
        match result {
            Ok(More::Close) => {
                socket.tell_close();
                put_back_whole(socket, Left::NOTHING, true);
                let event = Event { received: Some(Received::Close), ..Event::of(EventKind::Received) };
                self.deliver(shared, delivery, socket, recipient, &event);
                false
            }
            Ok(More::NoRoom) => {
                put_back_whole(socket, Left { held: true, ..left }, false);
                // The rest has its turn with the next batch.
                self.come_back(socket);
                false
            }
            Ok(_) => put_back_whole(socket, left, false),
            Err(error) => self.messages_end(shared, delivery, socket, recipient, error),
        }
    }

    /// No message can come any more.
    #[cold]
    fn messages_end(
        &mut self,
        shared: &Arc<Shared>,
        delivery: &mut dyn Delivery,
        socket: &Arc<Socket>,
        recipient: &dyn Recipient,
        error: Error,
    ) -> bool {
        self.is_to_be_told = true;
        put_back_whole(socket, Left::NOTHING, true);
        let error = socket.receive_failed(error);
        self.deliver_error(shared, delivery, socket, recipient, error);
        false
    }

    /// Messages on a connection at rest: as many as are whole. What else has come wakes it.
    fn read_at_rest(&mut self, shared: &Arc<Shared>, delivery: &mut dyn Delivery, socket: &Arc<Socket>, recipient: &dyn Recipient) -> bool {
        if !socket.stream().is_plain() {
            return self.read_messages(shared, delivery, socket, recipient);
        }
        let Some((mut chunk, start)) = self.take_chunk(shared, delivery) else {
            put_back_whole(socket, Left { in_socket: true, ..Left::AT_REST }, false);
            self.come_back(socket);
            return false;
        };
        let mut at = start;
        let goes_on = match socket.receive_at_rest(&mut chunk[start..]) {
            Ok(Some(count)) => {
                self.has_lived(socket);
                // Only a read that took all that it had room for may have left something.
                self.is_readable = start + count == chunk.len();
                let bytes = &mut chunk[..start + count];
                let result = self.deliver_at_rest(shared, delivery, socket, recipient, bytes, &mut at);
                let messages = match result {
                    Ok(messages) | Err((messages, _)) => messages,
                };
                socket.count_at_rest(Counted { bytes: count as u64, frames: messages, messages });
                match result {
                    Ok(_) if at == bytes.len() => put_back_whole(socket, Left { in_socket: self.is_readable, ..Left::AT_REST }, false),
                    Ok(_) => self.wake(shared, delivery, socket, recipient, bytes, &mut at),
                    Err((_, error)) => self.messages_end(shared, delivery, socket, recipient, error),
                }
            }
            Ok(None) => put_back_whole(socket, Left::AT_REST, false),
            Err(error) => self.messages_end(shared, delivery, socket, recipient, error),
        };
        self.put_chunk(shared, delivery, chunk, at);
        goes_on
    }

    /// How many messages were delivered, up to one that is not whole, and why none can come after them.
    #[inline]
    fn deliver_at_rest(
        &mut self,
        shared: &Arc<Shared>,
        delivery: &mut dyn Delivery,
        socket: &Arc<Socket>,
        recipient: &dyn Recipient,
        bytes: &mut [u8],
        at: &mut usize,
    ) -> Result<u64, (u64, Error)> {
        let mut messages = 0;
        while *at < bytes.len() && delivery.room() > 0 && !socket.signals().is_stopped() {
            let (kind, length) = match socket.next_at_rest(&mut bytes[*at..]) {
                Some(Ok((used, kind, length))) => {
                    *at += used;
                    (kind, length)
                }
                Some(Err(error)) => return Err((messages, error)),
                None => break,
            };
            messages += 1;
            self.deliver_message(shared, delivery, socket, recipient, kind, &bytes[*at - length..*at]);
        }
        Ok(messages)
    }

    /// More has come than whole messages: the receive half sees to the rest.
    #[inline(never)]
    fn wake(
        &mut self,
        shared: &Arc<Shared>,
        delivery: &mut dyn Delivery,
        socket: &Arc<Socket>,
        recipient: &dyn Recipient,
        bytes: &mut [u8],
        at: &mut usize,
    ) -> bool {
        let Some(mut claim) = socket.claim_for_loop() else { return put_back_whole(socket, Left::UNKNOWN, false) };
        self.tell_readiness(claim.half());
        let result = self.deliver_in_place(shared, delivery, socket, recipient, claim.half(), bytes, at);
        self.end_messages(shared, delivery, socket, recipient, claim, result)
    }

    /// Memory for what is read, and from where on; `None`: the program has to be done first with what it has.
    #[inline]
    fn take_chunk(&mut self, shared: &Shared, delivery: &dyn Delivery) -> Option<(Box<[u8]>, usize)> {
        if !delivery.keeps()
            && let Some(chunk) = self.chunk.take()
        {
            return Some((chunk, 0));
        }
        let mut lent = lock(&shared.lent);
        (lent.lent() + LEAST <= MOST_LENT).then(|| lent.take_chunk())
    }

    #[inline]
    fn put_chunk(&mut self, shared: &Shared, delivery: &dyn Delivery, chunk: Box<[u8]>, used: usize) {
        if delivery.keeps() {
            lock(&shared.lent).put_chunk(chunk, used);
        } else {
            // Callbacks are done with it.
            self.chunk = Some(chunk);
        }
    }

    /// Messages where they lie: in the loop's memory, which many of them reach with one read.
    fn read_in_place(
        &mut self,
        shared: &Arc<Shared>,
        delivery: &mut dyn Delivery,
        socket: &Arc<Socket>,
        recipient: &dyn Recipient,
        half: &mut ReceiveHalf,
    ) -> Result<More> {
        let Some((mut chunk, start)) = self.take_chunk(shared, delivery) else { return Ok(More::NoRoom) };
        let mut at = start;
        let result = match half.read_whole(socket, &mut chunk[start..]) {
            Ok(None) => Ok(More::Blocked),
            Ok(Some(count)) => {
                let end = start + count;
                self.deliver_in_place(shared, delivery, socket, recipient, half, &mut chunk[..end], &mut at)
            }
            Err(error) => Err(error),
        };
        self.put_chunk(shared, delivery, chunk, at);
        result
    }

    #[expect(clippy::too_many_arguments, reason = "one loop over what one read has brought")]
    fn deliver_in_place(
        &mut self,
        shared: &Arc<Shared>,
        delivery: &mut dyn Delivery,
        socket: &Arc<Socket>,
        recipient: &dyn Recipient,
        half: &mut ReceiveHalf,
        bytes: &mut [u8],
        at: &mut usize,
    ) -> Result<More> {
        let end = bytes.len();
        while *at < end {
            if delivery.room() == 0 || socket.signals().is_stopped() {
                half.hold(&bytes[*at..])?;
                return Ok(More::NoRoom);
            }
            let (used, next) = half.next_whole(socket, &mut bytes[*at..])?;
            *at += used;
            match next {
                NextWhole::Message(kind, length) => {
                    self.deliver_message(shared, delivery, socket, recipient, kind, &bytes[*at - length..*at]);
                }
                NextWhole::Close => return Ok(More::Close),
                NextWhole::Nothing => {}
                NextWhole::Cut => return Ok(More::Maybe),
            }
        }
        Ok(More::Maybe)
    }

    /// A message that is large, cut or fragmented: piece by piece, into memory of its own.
    fn read_apart(
        &mut self,
        shared: &Arc<Shared>,
        delivery: &mut dyn Delivery,
        socket: &Arc<Socket>,
        recipient: &dyn Recipient,
        half: &mut ReceiveHalf,
    ) -> Result<More> {
        half.begin_assembly();
        for _ in 0..READS_AT_ONCE {
            match half.step_message(socket, Patience::None)? {
                MessageStep::Message(kind) => {
                    if let Some(message) = half.take_message() {
                        self.deliver_message(shared, delivery, socket, recipient, kind, message.bytes());
                        self.keep(delivery, message);
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

    /// Nobody receives: pings are answered all the same, and data stays where it is.
    #[inline(never)]
    fn look_after(
        &mut self,
        _shared: &Arc<Shared>,
        _delivery: &mut dyn Delivery,
        socket: &Arc<Socket>,
        _recipient: &dyn Recipient,
    ) -> bool {
        let Some(mut claim) = socket.claim_for_loop() else { return put_back_whole(socket, Left::UNKNOWN, false) };
        self.tell_readiness(claim.half());
        let ahead = claim.half().look_after(socket);
        if claim.half().take_life() {
            self.has_lived(socket);
        }
        let heard = std::iter::from_fn(|| claim.half().take_heard()).collect::<Vec<_>>();
        self.is_to_be_told = true;
        let mut left = Left::of(claim.half(), false);
        left.at_rest = claim.give_back_to_rest();
        heard.into_iter().for_each(|heard| self.tell_heard(socket, heard.is_ping, heard.payload));
        let mut state = socket.state();
        state.is_busy = false;
        left.note(&mut state);
        state.is_held |= ahead == Ahead::Data;
        // A receive that was posted meanwhile finds what lies there.
        state.receive.is_some() || left.in_socket && ahead == Ahead::Nothing
    }

    /// What still comes on a connection that is being closed is of no use, apart from the peer's close frame.
    #[inline(never)]
    fn discard(&mut self, socket: &Arc<Socket>, key: u32) {
        self.is_to_be_told = true;
        let Some(mut claim) = socket.claim_for_loop() else { return };
        socket.state().is_at_rest = false;
        claim.half().abandon_messages();
        let mut waste = [0; 4096];
        let mut is_filled = true;
        for _ in 0..READS_AT_ONCE {
            let reads_on = socket.is_closed() || socket.failure().is_some();
            if reads_on {
                match claim.half().discard(socket, Patience::None) {
                    Ok(count) if count > 0 => continue,
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => is_filled = false,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Ok(_) | Err(_) => {
                        drop(claim);
                        // The close frame and the end may have come together.
                        socket.step_closing(self.now);
                        socket.end_reached();
                        return self.look_at(key);
                    }
                }
                break;
            }
            match claim.half().step(socket, &mut waste, Patience::None) {
                Ok(Step::Nothing | Step::Received(_)) => {}
                Ok(Step::Blocked { .. }) => {
                    is_filled = false;
                    break;
                }
                Err(error) => {
                    drop(claim);
                    socket.closing_failed(&error);
                    if !matches!(error.status(), Status::Connection | Status::PeerLost) {
                        socket.linger();
                    }
                    return self.look_at(key);
                }
            }
        }
        drop(claim);
        {
            let mut state = socket.state();
            (state.is_readable, state.is_held) = (is_filled, false);
        }
        if is_filled {
            self.requeue(key, socket);
        }
        self.look_at(key);
    }

    /// Something was received; if it was asked for, the next question has its own time.
    #[inline]
    fn has_lived(&mut self, socket: &Arc<Socket>) {
        socket.note_life(self.now);
        if socket.is_asked.load(Ordering::Relaxed) {
            socket.is_asked.store(false, Ordering::Relaxed);
            socket.shared().wish(Wish::Look(Arc::clone(socket)));
        }
    }

    fn tell_readiness(&self, half: &mut ReceiveHalf) {
        if self.is_readable {
            half.expect_more();
        }
    }

    fn come_back(&mut self, socket: &Socket) {
        self.requeue(socket.key.load(Ordering::Relaxed), socket);
    }

    fn tell_heard(&mut self, socket: &Arc<Socket>, is_ping: bool, payload: Box<[u8]>) {
        let kind = if is_ping { EventKind::Ping } else { EventKind::Pong };
        self.tell(socket, OwnedEvent { data: payload, ..OwnedEvent::of(kind) });
    }
}

/// What may come after what was read.
enum More {
    Maybe,
    Blocked,
    /// The program has to take what it was given first.
    NoRoom,
    Close,
}

/// Nothing was there for it: the receive is posted again, unless it was cancelled meanwhile. Always false: there is nothing more to do now.
fn put_back(socket: &Arc<Socket>, posted: Posted, left: Left) -> bool {
    let mut state = socket.state();
    state.is_busy = false;
    state.is_receiving = false;
    left.note(&mut state);
    if std::mem::take(&mut state.is_cancelled) {
        drop(state);
        socket.tell(OwnedEvent::ended(EventKind::Received, Err(Error::new(Status::Cancelled, "the operation was cancelled"))));
        return false;
    }
    state.receive = Some(posted);
    false
}

fn put_back_whole(socket: &Socket, left: Left, is_over: bool) -> bool {
    let mut state = socket.state();
    state.is_busy = false;
    state.is_receiving = false;
    left.note(&mut state);
    state.is_over |= is_over;
    (state.is_readable || state.is_held) && !state.is_over
}

/// What there is to receive after a look.
#[derive(Clone, Copy)]
struct Left {
    in_socket: bool,
    held: bool,
    /// The receive half was not kept.
    at_rest: bool,
}

impl Left {
    const NOTHING: Left = Left { in_socket: false, held: false, at_rest: false };
    const UNKNOWN: Left = Left { in_socket: true, held: true, at_rest: false };
    const AT_REST: Left = Left { in_socket: false, held: false, at_rest: true };

    fn of(half: &ReceiveHalf, is_blocked: bool) -> Left {
        Left { in_socket: half.was_filled() && !is_blocked, held: half.has_held(), at_rest: false }
    }

    #[inline]
    fn note(self, state: &mut State) {
        (state.is_readable, state.is_held, state.is_at_rest) = (self.in_socket || state.has_ended, self.held, self.at_rest);
    }
}

/// Whether nothing can be received after this error.
fn is_terminal(error: &Error) -> bool {
    !matches!(error.status(), Status::InvalidOperation | Status::NotEnoughMemory | Status::Cancelled | Status::Timeout)
}

impl Socket {
    /// Everything about the connection that depends on the time; when to look again.
    pub(super) fn look_at_time(self: &Arc<Self>, now: Duration) -> Option<Duration> {
        if self.signals().is_dropped() {
            return None;
        }
        let closing = self.step_closing(now);
        let receiving = self.look_at_receive(now);
        let alive = self.look_at_life(now);
        [closing, receiving, alive].into_iter().flatten().min()
    }

    fn look_at_receive(self: &Arc<Self>, now: Duration) -> Option<Duration> {
        let state = self.state();
        let deadline = state.receive_deadline?;
        if now < deadline {
            return Some(deadline);
        }
        drop(state);
        let time = self.receive_timeout().unwrap_or_default().as_millis();
        self.cancel_receive(Error::new(Status::Timeout, format!("nothing was received within {time} ms")).in_phase(Phase::WebSocket));
        self.state().receive_deadline = None;
        None
    }

    fn look_at_life(self: &Arc<Self>, now: Duration) -> Option<Duration> {
        // Since then, in milliseconds that may have gone round.
        let since = (now.as_millis() as u32).wrapping_sub(self.last_life.load(Ordering::Relaxed));
        // In whole milliseconds, so that the same moment is not taken for a later one.
        let at = (now.as_millis() as u64).saturating_sub(since.into());
        self.has_lived_at(Duration::from_millis(at));
        let is_blocked = {
            let state = self.state();
            (state.is_readable || state.is_held) && state.receive.is_none() && !state.is_whole && state.closing.is_none()
        };
        match self.keep_alive(now, false, is_blocked) {
            Ok(due) => {
                self.flush();
                self.after_flush(); // it may have written the last of what was queued, and then no readiness tells
                match due {
                    // A ping that was due is out: the next look is for its answer.
                    Some(due) if due <= now => {
                        self.is_asked.store(true, Ordering::Relaxed);
                        self.keep_alive(now, false, false).ok().flatten()
                    }
                    due => due,
                }
            }
            Err(error) => {
                let error = self.receive_failed(error);
                self.closing_failed(&error);
                let is_whole = {
                    let mut state = self.state();
                    let is_whole = state.is_whole && !state.is_over;
                    state.is_over |= is_whole;
                    is_whole
                };
                if is_whole {
                    self.tell(OwnedEvent::ended(EventKind::Received, Err(error)));
                } else {
                    self.cancel_receive(error);
                }
                None
            }
        }
    }
}
