//! What a loop does with a connection that has something to read.
//!
//! In scope: receives that were posted, looking after connections without a reader, and discarding while a connection closes. Out of scope: frames
//! (`connection`), whole messages as events (`messages`), and what time asks (`time`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::address::Address;
use super::answering::Desk;
use super::event::{Delivery, Event, EventKind, OwnedEvent, Recipient};
use super::posting::{Left, Look, Task, Why};
use super::socket::{Posted, Socket};
use super::{Shared, Wish};
use crate::connection::{Ahead, MessageStep, OwnMessage, ReceiveHalf, Received, Step};
use crate::driver::clock;
use crate::error::{Error, Status};
use crate::protocol::MessageKind;
use crate::sync::atomic::Ordering;
use crate::transport::Patience;

/// How often one connection is read from before the others have their turn.
pub(super) const READS_AT_ONCE: u32 = 16;

/// What is lent in one batch at most; a connection that finds no room waits for the next.
pub(super) const MOST_LENT: usize = 512 << 10;

/// What is read at a time where callbacks are done with it at once.
const CHUNK: usize = 256 << 10;

/// What a loop has besides its connections when it reads from one of them.
#[derive(Debug)]
pub(super) struct Reader {
    /// Keys of connections that may have something to read.
    pub ready: VecDeque<u32>,
    /// Events that nobody has taken yet.
    pub waiting: VecDeque<(Arc<dyn Recipient>, OwnedEvent)>,
    /// Events that were handed over in this batch and are pointed to.
    given: Vec<OwnedEvent>,
    /// Messages likewise.
    messages: Vec<OwnMessage>,
    pub now: Duration,
    /// The same in milliseconds, which may have gone round.
    now_ms: u32,
    /// What was done may have done more than reading: somebody may have to be told of it.
    pub is_to_be_told: bool,
    /// What was done was a step of a close: when to look again may have changed.
    pub is_closing: bool,
    chunk: Option<Box<[u8]>>,
}

/// A connection that is read from, and how its events are told.
pub(super) struct Visit<'v> {
    pub shared: &'v Arc<Shared>,
    pub delivery: &'v mut dyn Delivery,
    pub key: u32,
    pub socket: &'v Arc<Socket>,
    pub recipient: &'v Arc<dyn Recipient>,
    /// Its address.
    pub to: &'v Address,
    /// There is always somebody to take another event.
    pub takes_all: bool,
    /// Where to read to, if callbacks are done with it at once; else it is lent.
    pub chunk: Option<&'v mut [u8]>,
    /// Whether its socket may have something.
    pub is_readable: bool,
}

impl<'v> Visit<'v> {
    /// To this one, for these events.
    #[inline(always)]
    pub(super) fn new(
        shared: &'v Arc<Shared>,
        delivery: &'v mut dyn Delivery,
        key: u32,
        recipient: &'v Arc<dyn Recipient>,
        socket: &'v Arc<Socket>,
        chunk: Option<&'v mut [u8]>,
    ) -> Visit<'v> {
        let to = recipient.address();
        // Memory to read to is there exactly where callbacks are.
        let takes_all = chunk.is_some();
        Visit { shared, delivery, key, socket, recipient, to, takes_all, chunk, is_readable: true }
    }
}

impl Visit<'_> {
    /// Whether somebody takes another event.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.takes_all || self.delivery.room() > 0
    }

    /// Hands over an event of the connection, whose answers are gathered.
    pub(super) fn deliver(&mut self, event: &Event<'_>) {
        self.socket.batch.store(self.shared.batch(), Ordering::Relaxed);
        if let Some(error) = event.error {
            self.recipient.remember(error);
        }
        self.delivery.deliver(self.to, event);
    }

    /// The same for a whole message.
    #[inline]
    pub(super) fn deliver_message(&mut self, kind: MessageKind, message: &[u8]) {
        self.socket.batch.store(self.shared.batch(), Ordering::Relaxed);
        self.delivery.deliver_message(self.to, kind, message);
    }

    pub(super) fn tell_readiness(&self, half: &mut ReceiveHalf) {
        if self.is_readable {
            half.expect_more();
        }
    }
}

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

impl Reader {
    pub(super) fn new() -> Reader {
        let now = clock::now();
        Reader {
            ready: VecDeque::new(),
            waiting: VecDeque::new(),
            given: Vec::new(),
            messages: Vec::new(),
            now,
            now_ms: now.as_millis() as u32,
            is_to_be_told: false,
            is_closing: false,
            chunk: None,
        }
    }

    /// It is this late.
    pub(super) fn look_at_clock(&mut self) {
        self.now = clock::now();
        self.now_ms = self.now.as_millis() as u32;
    }

    /// The program is done with the last batch.
    pub(super) fn begin_batch(&mut self) {
        self.given.clear();
        self.messages.drain(..).for_each(OwnMessage::give_back);
    }

    /// Memory to read to while callbacks are called.
    pub(super) fn take_chunk(&mut self) -> Box<[u8]> {
        self.chunk.take().unwrap_or_else(|| vec![0; CHUNK].into_boxed_slice())
    }

    /// It comes back.
    pub(super) fn put_chunk(&mut self, chunk: Box<[u8]>) {
        self.chunk = Some(chunk);
    }

    /// Reads from one, whose callback answers at once: the answers leave together when it is done.
    pub(super) fn answer(&mut self, desk: &Desk, visit: &mut Visit<'_>, why: Why) {
        let socket = visit.socket;
        desk.begin(visit.to.ticket(), socket);
        self.read_one(visit, why);
        self.is_to_be_told |= desk.end();
        if socket.is_corked.load(Ordering::Relaxed) {
            socket.is_corked.store(false, Ordering::Relaxed);
            socket.flush();
            self.is_to_be_told = true;
        }
        self.tell_others(socket);
    }

    /// The answer to a ping or a close frame takes along what was queued: whoever waits for that is told here, because no readiness will.
    #[inline]
    fn tell_others(&mut self, socket: &Arc<Socket>) {
        if std::mem::take(&mut self.is_to_be_told) {
            socket.after_flush();
            socket.log_close_frames();
        }
    }

    /// Reads from one for a batch.
    pub(super) fn collect(&mut self, visit: &mut Visit<'_>) {
        self.read_one(visit, Why::Queued);
        self.tell_others(visit.socket);
    }

    #[inline(always)]
    fn read_one(&mut self, visit: &mut Visit<'_>, mut why: Why) {
        let socket = visit.socket;
        for _ in 0..READS_AT_ONCE {
            if socket.signals().is_dropped() {
                return;
            }
            if !visit.has_room() {
                if let Why::Ready { has_ended } = why {
                    socket.posting.note_ready(has_ended);
                    return self.ready.push_back(visit.key);
                }
                return self.requeue(visit);
            }
            let look = match socket.posting.visit(why) {
                Task::Nothing => return,
                Task::Discard => return self.discard(visit),
                Task::Look(look) => look,
            };
            visit.is_readable = look.is_readable;
            let goes_on = match look {
                Look { posted: Some(posted), .. } => self.read_posted(visit, posted),
                Look { is_whole: true, is_at_rest: true, .. } => self.read_at_rest(visit),
                Look { is_whole: true, .. } => self.read_messages(visit),
                _ => self.look_after(visit),
            };
            if !goes_on {
                return;
            }
            why = Why::Again;
        }
        self.requeue(visit);
    }

    /// Later, because others have their turn or nobody takes more events.
    pub(super) fn requeue(&mut self, visit: &Visit<'_>) {
        if visit.socket.posting.lock().queue() {
            self.ready.push_back(visit.key);
        }
    }

    /// For a receive that was posted; true if another one may be by now.
    #[inline(never)]
    fn read_posted(&mut self, visit: &mut Visit<'_>, mut posted: Posted) -> bool {
        let socket = visit.socket;
        let Some(mut claim) = socket.claim_for_loop() else {
            put_back(socket, posted, Left::UNKNOWN);
            self.requeue(visit);
            return false;
        };
        visit.tell_readiness(claim.half());
        let outcome = receive(visit, claim.half(), &mut posted);
        if claim.half().take_life() {
            self.has_lived(socket);
        }
        self.is_to_be_told = true;
        let mut left = left_by(claim.half(), matches!(outcome, Outcome::Blocked));
        let message = if let Outcome::Message(_) = outcome { claim.half().take_message() } else { None };
        self.tell_heard(visit, claim.half());
        left.at_rest = claim.give_back_to_rest();
        if let Outcome::Blocked = outcome {
            // What came was no message, and behind it may be the end, of which the system does not tell again.
            return put_back(socket, posted, left);
        }
        let is_end = matches!(&outcome, Outcome::Failed(error) if is_terminal(error))
            || matches!(outcome, Outcome::Received(Received::Close) | Outcome::View(Received::Close, _));
        socket.posting.end_receive(left, is_end);
        match outcome {
            Outcome::Received(received) => {
                let data_at = if let Posted::Buffer(buffer) = &mut posted { buffer.memory().as_ptr() } else { std::ptr::null() };
                deliver_received(visit, received, data_at);
            }
            Outcome::View(received, data_at) => deliver_received(visit, received, data_at),
            Outcome::Message(kind) => {
                if let Some(message) = message {
                    visit.deliver_message(kind, message.bytes());
                    self.keep(visit, message);
                }
            }
            Outcome::Failed(error) => {
                let error = socket.receive_failed(error);
                self.deliver_error(visit, error);
            }
            Outcome::Blocked => {}
        }
        true
    }

    pub(super) fn deliver_error(&mut self, visit: &mut Visit<'_>, error: Error) {
        let event = OwnedEvent::ended(EventKind::Received, Err(error));
        visit.deliver(&event.as_event());
        if !visit.takes_all {
            self.given.push(event);
        }
    }

    /// An event was handed over in a batch; what it points to stays until the next.
    pub(super) fn given(&mut self, event: OwnedEvent) {
        self.given.push(event);
    }

    /// A message was handed over: its memory is of use again as soon as the event is over.
    pub(super) fn keep(&mut self, visit: &Visit<'_>, message: OwnMessage) {
        if !visit.takes_all {
            self.messages.push(message);
        } else {
            message.give_back();
        }
    }

    /// Nobody receives: pings are answered all the same, and data stays where it is.
    #[inline(never)]
    fn look_after(&mut self, visit: &mut Visit<'_>) -> bool {
        let socket = visit.socket;
        let Some(mut claim) = socket.claim_for_loop() else { return socket.posting.end_visit(Left::UNKNOWN, false) };
        visit.tell_readiness(claim.half());
        let ahead = claim.half().look_after(socket);
        if claim.half().take_life() {
            self.has_lived(socket);
        }
        self.is_to_be_told = true;
        let mut left = left_by(claim.half(), false);
        self.tell_heard(visit, claim.half());
        left.at_rest = claim.give_back_to_rest();
        left.held |= ahead == Ahead::Data;
        // A receive that was posted meanwhile finds what lies there.
        socket.posting.end_care(left) || left.in_socket && ahead == Ahead::Nothing
    }

    /// What still comes on a connection that is being closed is of no use, apart from the peer's close frame.
    #[inline(never)]
    fn discard(&mut self, visit: &mut Visit<'_>) {
        let socket = visit.socket;
        (self.is_to_be_told, self.is_closing) = (true, true);
        let Some(mut claim) = socket.claim_for_loop() else { return };
        socket.posting.lock().wake();
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
                        return socket.end_reached();
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
                    return;
                }
            }
        }
        drop(claim);
        socket.posting.end_discard(is_filled);
        if is_filled {
            self.requeue(visit);
        }
    }

    /// Something was received; if it was asked for, the next question has its own time.
    #[inline]
    pub(super) fn has_lived(&mut self, socket: &Arc<Socket>) {
        // Relaxed: the loop alone reads and writes it.
        socket.last_life.store(self.now_ms, Ordering::Relaxed);
        if socket.is_asked.load(Ordering::Relaxed) {
            socket.is_asked.store(false, Ordering::Relaxed);
            socket.shared().wish(Wish::Look(Arc::clone(socket)));
        }
    }

    /// Pings and pongs for a program that wants to hear of them.
    pub(super) fn tell_heard(&mut self, visit: &Visit<'_>, half: &mut ReceiveHalf) {
        while let Some(heard) = half.take_heard() {
            let kind = if heard.is_ping { EventKind::Ping } else { EventKind::Pong };
            self.waiting.push_back((Arc::clone(visit.recipient), OwnedEvent { data: heard.payload, ..OwnedEvent::of(kind) }));
        }
    }
}

fn receive(visit: &Visit<'_>, half: &mut ReceiveHalf, posted: &mut Posted) -> Outcome {
    let socket = visit.socket;
    // A peer that sends nothing but pings is not read from for ever.
    for _ in 0..READS_AT_ONCE {
        let step = match posted {
            Posted::Buffer(buffer) => half.begin_piece().and_then(|()| half.step(socket, buffer.memory(), Patience::None)),
            Posted::View => {
                let mut lent = visit.shared.lent.lock();
                let room = lent.room();
                let data = room.as_ptr();
                let step = half.begin_piece().and_then(|()| half.step(socket, room, Patience::None));
                if let Ok(Step::Received(received)) = step {
                    lent.lend(length_of(received));
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

fn length_of(received: Received) -> usize {
    if let Received::Piece(piece) = received { piece.length } else { 0 }
}

fn deliver_received(visit: &mut Visit<'_>, received: Received, data_at: *const u8) {
    if received == Received::Close {
        visit.socket.tell_close();
    }
    visit.deliver(&Event { data_at, length: length_of(received), received: Some(received), ..Event::of(EventKind::Received) });
}

/// Nothing was there for it: the receive is posted again, unless it was cancelled meanwhile. True if another look would find something.
fn put_back(socket: &Arc<Socket>, posted: Posted, left: Left) -> bool {
    socket.posting.put_back(posted, left).unwrap_or_else(|_| {
        socket.tell(OwnedEvent::ended(EventKind::Received, Err(Error::new(Status::Cancelled, "the operation was cancelled"))));
        false
    })
}

/// What a look has left, as far as the receive half knows.
pub(super) fn left_by(half: &ReceiveHalf, is_blocked: bool) -> Left {
    Left { in_socket: half.was_filled() && !is_blocked, held: half.has_held(), at_rest: false }
}

/// Whether nothing can be received after this error.
fn is_terminal(error: &Error) -> bool {
    !matches!(error.status(), Status::InvalidOperation | Status::NotEnoughMemory | Status::Cancelled | Status::Timeout)
}
