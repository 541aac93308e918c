//! What waits to be sent on a connection, and whose turn it is to send.
//!
//! Every outgoing byte is made and written by the holder of the **writer turn**, so no frame is interrupted by another. A receiver
//! that has a pong to send leaves it here and writes only if nobody does; a sender that ends its frame looks again under the same mutex
//! under which it gives up the turn. (A flag beside the mutex would lose the pong that arrives in between.)
//!
//! Out of scope: the writing itself (see [`send`](super::send)) and waiting for the turn (see `driver`).

use std::time::Duration;

use super::Counted;
use super::alive::{RoundTripTimes, RoundTrips};
use super::buffers::Spares;
use super::queue::{Queue, Segment};
use crate::error::{Error, Phase, Result, Status};
use crate::protocol::{CloseFrame, ControlFrame, Controls, Encoder, Keepalive, Lifecycle, MaskingKey, Reply};

/// Less than this is not remembered: most connections never have more, and own no memory for it.
const HIGH_WATER_NOTED: usize = 1024;

/// The state that senders, the receiver and closers share. Guarded by one mutex, held for a few instructions, never across a system call.
#[derive(Debug)]
pub struct Outbox {
    /// The sender's state. Whoever changes a copy of it outside has the writer turn; whoever only queues frames changes it here.
    pub(super) encoder: Encoder,
    /// Somebody has the writer turn.
    is_writing: bool,
    /// A send was refused because too much waits: the program is to be told when half of it has left.
    pub(super) wants_room: bool,
    /// Once everything here has left, the sending side of the connection ends.
    pub(super) ends_when_empty: bool,
    /// The program knows of the peer's close frame.
    pub(super) close_is_told: bool,
    /// Threads that wait for the turn.
    pub(super) waiting: u16,
    /// Threads inside `ws_close` or `ws_shutdown`.
    pub(super) closers: u16,
    /// The closing handshake.
    pub(super) lifecycle: Lifecycle,
    /// The dead-peer clock.
    pub(super) keepalive: Keepalive,
    /// What was sent so far.
    pub(super) counted: Counted,
    /// Made with the first ping.
    round_trips: Option<Box<RoundTrips>>,
    /// What waits to be written; most of the time nothing does.
    pending: Option<Box<Pending>>,
    /// How it ended, or is about to, and that it once was full; most connections are open and flow most of the time.
    end: Option<Box<End>>,
}

/// What waits to be written, in the order in which it goes.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// The rest of a frame that was begun.
    tail: Segment,
    /// Control frames.
    pub controls: Controls,
    /// Whole data frames.
    queue: Queue,
}

thread_local! {
    /// Places for what waits, of connections where nothing waits any more: a batch needs one for each of its answers.
    static SPARE: Spares<Box<Pending>> = const { Spares::new() };
}

#[derive(Debug, Default)]
struct End {
    /// Why the connection is of no use any more.
    failure: Option<Error>,
    /// Why nothing can be sent any more.
    send_failure: Option<Error>,
    closing: Closing,
    /// Close frames that the log has not been told of.
    unlogged: Vec<CloseNote>,
    /// The most bytes that ever waited.
    queue_high_water: usize,
    /// Contexts of sends whose last byte has left, until somebody is told.
    told: Vec<usize>,
    /// The same of sends whose last byte will never leave.
    lost: Vec<usize>,
}

/// What the log tells of a close frame. Its reason is somebody's text and stays out.
#[derive(Debug)]
pub(super) struct CloseNote {
    /// "received", and the like.
    pub what: &'static str,
    pub status: u16,
    pub reason_length: usize,
}

/// How far `ws_close` has come.
#[derive(Clone, Debug, Default)]
pub(super) enum Closing {
    /// It was not called.
    #[default]
    No,
    /// A thread is inside it.
    UnderWay,
    /// It has ended like this.
    Ended(Result<()>),
}

impl Outbox {
    pub(super) fn new(now: Duration) -> Outbox {
        Outbox {
            encoder: Encoder::default(),
            is_writing: false,
            wants_room: false,
            ends_when_empty: false,
            close_is_told: false,
            waiting: 0,
            closers: 0,
            lifecycle: Lifecycle::default(),
            keepalive: Keepalive::new(now),
            counted: Counted::default(),
            round_trips: None,
            pending: None,
            end: None,
        }
    }

    /// Takes the writer turn, if it is free.
    #[inline]
    pub(super) fn take_turn(&mut self) -> Option<Encoder> {
        if std::mem::replace(&mut self.is_writing, true) {
            return None;
        }
        Some(self.encoder)
    }

    /// Takes the writer turn for a small message that goes at once, if it may.
    #[inline]
    pub(super) fn take_turn_at_once(&mut self) -> bool {
        let may = self.may_send_at_once();
        self.is_writing |= may;
        may
    }

    /// Gives the writer turn back, with the sender's state if a data frame was written with it.
    #[inline]
    pub(super) fn put_turn(&mut self, encoder: Option<Encoder>) {
        debug_assert!(self.is_writing, "one turn, one holder");
        self.is_writing = false;
        if let Some(encoder) = encoder {
            self.encoder = encoder;
        }
    }

    /// Whether nobody has the writer turn.
    pub(super) fn is_turn_free(&self) -> bool {
        !self.is_writing
    }

    /// Whether a thread is writing, or may wait to: behind the rest of another's frame it waits for the socket, not for the turn.
    pub(super) fn is_sending(&self) -> bool {
        self.is_writing || self.waiting > 0 || self.has_work()
    }

    /// Whether something waits to be written.
    #[inline]
    pub(super) fn has_work(&self) -> bool {
        self.pending.is_some()
    }

    /// The rest of a frame goes next.
    pub(super) fn put_tail(&mut self, rest: Segment) {
        self.pending().tail = rest;
        self.note_high_water();
    }

    /// Whole frames wait behind what waits already.
    pub(super) fn queue(&mut self) -> &mut Queue {
        &mut self.pending().queue
    }

    /// More waits than before.
    pub(super) fn note_high_water(&mut self) {
        let queued = self.queued();
        if queued > HIGH_WATER_NOTED {
            let end = self.end.get_or_insert_default();
            end.queue_high_water = end.queue_high_water.max(queued);
        }
    }

    /// The most bytes that ever waited to be written, control frames apart.
    pub(super) fn queue_high_water(&self) -> usize {
        self.end.as_ref().map_or(0, |end| end.queue_high_water)
    }

    /// Where to put what is to be written.
    pub(super) fn pending(&mut self) -> &mut Pending {
        self.pending.get_or_insert_with(|| SPARE.try_with(Spares::take).ok().flatten().unwrap_or_default())
    }

    /// Nothing waits any more.
    fn forget_pending(&mut self) {
        if let Some(pending) = self.pending.take().filter(|pending| pending.queue.is_bare()) {
            // A thread that is ending keeps nothing.
            let _ = SPARE.try_with(|spare| spare.keep(pending));
        }
    }

    /// Takes what goes next: the rest of a frame before anything else, a pong or ping before data frames that have not begun, a close frame after them.
    pub(super) fn take_work(&mut self, masking_key: impl FnOnce() -> Option<MaskingKey>) -> Option<Work> {
        let pending = self.pending.as_mut()?;
        let work = if !pending.tail.is_empty() {
            Some(Work::Tail(std::mem::take(&mut pending.tail)))
        } else if pending.controls.is_urgent() || pending.queue.is_empty() {
            pending.controls.take(masking_key).map(Work::Control)
        } else {
            pending.queue.take().map(Work::Tail)
        };
        if pending.tail.is_empty() && pending.controls.is_empty() && pending.queue.is_empty() {
            self.forget_pending();
        }
        work
    }

    /// Bytes that wait to be written, control frames apart.
    pub(super) fn queued(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.tail.length() + pending.queue.length())
    }

    /// 13000 if more than `limit` bytes would wait; an empty queue takes any one frame.
    #[inline]
    pub(super) fn check_room(&mut self, wire_length: usize, limit: u64) -> Result<()> {
        let queued = self.queued();
        if queued == 0 || (queued + wire_length) as u64 <= limit {
            return Ok(());
        }
        self.wants_room = true;
        Err(Error::new(Status::WouldBlock, format!("{queued} bytes wait to be sent, {wire_length} more would pass the limit of {limit}"))
            .in_phase(Phase::WebSocket))
    }

    /// The pings that were asked, if there were any.
    pub(super) fn round_trips(&mut self) -> Option<&mut RoundTrips> {
        self.round_trips.as_deref_mut()
    }

    /// The pings that were asked.
    pub(super) fn round_trips_or_new(&mut self) -> &mut RoundTrips {
        self.round_trips.get_or_insert_default()
    }

    /// How long pings took.
    pub(super) fn round_trip_times(&self) -> RoundTripTimes {
        self.round_trips.as_ref().map(|round_trips| round_trips.times()).unwrap_or_default()
    }

    /// Forgets data frames that have not begun: what follows is this side's last word.
    pub(super) fn abandon_queue(&mut self) {
        while let Some(segment) = self.pending.as_mut().and_then(|pending| pending.queue.take()) {
            self.lose(segment);
        }
    }

    /// The one segment that waits, if nothing else does: it may leave together with a frame behind it.
    pub(super) fn take_only_segment(&mut self) -> Option<Segment> {
        let pending = self.pending.as_mut()?;
        if !pending.tail.is_empty() || !pending.controls.is_empty() || !pending.queue.is_single() {
            return None;
        }
        let segment = pending.queue.take();
        self.forget_pending();
        segment
    }

    /// Those who wait to be told that their bytes have left.
    pub(super) fn told(&mut self) -> &mut Vec<usize> {
        &mut self.end.get_or_insert_default().told
    }

    /// The same, to be told now.
    pub(super) fn take_told(&mut self) -> Vec<usize> {
        self.end.as_mut().map(|end| std::mem::take(&mut end.told)).unwrap_or_default()
    }

    /// Whether there is anybody to be told.
    pub(super) fn has_told(&self) -> bool {
        self.end.as_ref().is_some_and(|end| !end.told.is_empty() || !end.lost.is_empty())
    }

    /// Those whose bytes will never leave, to be told now.
    pub(super) fn take_lost(&mut self) -> Vec<usize> {
        self.end.as_mut().map(|end| std::mem::take(&mut end.lost)).unwrap_or_default()
    }

    /// A segment will never leave.
    pub(super) fn lose(&mut self, segment: Segment) {
        let lost = segment.end();
        if !lost.is_empty() {
            self.end.get_or_insert_default().lost.extend(lost);
        }
    }

    /// Forgets what waits: nobody will take it any more.
    pub(super) fn abandon_work(&mut self) {
        if let Some(mut pending) = self.pending.take() {
            self.lose(std::mem::take(&mut pending.tail));
            while let Some(segment) = pending.queue.take() {
                self.lose(segment);
            }
        }
    }

    /// Why the connection failed.
    #[inline]
    pub(super) fn failure(&self) -> Option<&Error> {
        self.end.as_ref()?.failure.as_ref()
    }

    /// The connection has failed; the first reason is the one that is kept.
    pub(super) fn fail(&mut self, error: &Error) {
        self.end.get_or_insert_default().failure.get_or_insert_with(|| error.clone());
    }

    /// The peer reads no more: later sends fail, but what it sent before can still be received.
    pub(super) fn sending_failed(&mut self, error: Error) {
        self.end.get_or_insert_default().send_failure.get_or_insert(error);
    }

    /// Why nothing can be sent any more.
    pub(super) fn send_failure(&self) -> Option<&Error> {
        self.end.as_ref()?.send_failure.as_ref()
    }

    /// How far `ws_close` has come.
    pub(super) fn closing(&self) -> Closing {
        self.end.as_ref().map(|end| end.closing.clone()).unwrap_or_default()
    }

    /// `ws_close` has come further.
    pub(super) fn set_closing(&mut self, closing: Closing) {
        self.end.get_or_insert_default().closing = closing;
    }

    /// Whether a whole message may be sent, and nothing must go before it. The turn may still be taken.
    #[inline]
    pub(super) fn may_send_at_once(&self) -> bool {
        let is_outside_message = !self.encoder.is_inside_message();
        !self.is_writing && is_outside_message && self.pending.is_none() && self.end.is_none() && self.lifecycle.may_send()
    }

    /// Whether nothing waits but for whoever has the turn to give it back: nobody to be woken, nothing to be written, nothing to be told.
    #[inline]
    pub(super) fn is_all_but_turn(&self) -> bool {
        self.pending.is_none() && self.end.is_none() && self.waiting == 0 && !(self.ends_when_empty | self.wants_room)
    }

    /// Whether a data frame may be sent: the failure, or 4317 after a close frame.
    #[inline]
    pub(super) fn check_may_send(&self) -> Result<()> {
        if let Some(end) = &self.end
            && let Some(failure) = end.failure.as_ref().or(end.send_failure.as_ref())
        {
            return Err(failure.clone());
        }
        if self.lifecycle.may_send() {
            return Ok(());
        }
        let who = if self.lifecycle.has_sent_close() { "this side has sent its close frame" } else { "the peer has sent its close frame" };
        Err(Error::new(Status::InvalidOperation, format!("nothing can be sent: {who}")))
    }

    /// This side's close frame goes next; false if one was sent before.
    pub(super) fn put_close(&mut self, frame: CloseFrame) -> bool {
        let first = self.lifecycle.send_close();
        if first {
            self.note("sent", &frame);
            self.pending().controls.put_close(frame);
        }
        first
    }

    /// The peer's close frame has come; the answer, if one is due, goes next.
    pub(super) fn receive_close(&mut self, frame: CloseFrame, manual: bool) {
        self.note("received", &frame);
        if let Reply::Send(answer) = self.lifecycle.receive_close(frame, manual) {
            self.note("sent as the answer", &answer);
            self.pending().controls.put_close(answer);
        }
    }

    /// Leaves a close frame for the log, which is the program's code: it is not called here, under the mutex.
    fn note(&mut self, what: &'static str, frame: &CloseFrame) {
        if log::log_enabled!(log::Level::Debug) {
            let note = CloseNote { what, status: frame.status(), reason_length: frame.reason().len() };
            self.end.get_or_insert_default().unlogged.push(note);
        }
    }

    /// The close frames that the log has not been told of.
    pub(super) fn take_unlogged(&mut self) -> Vec<CloseNote> {
        self.end.as_mut().map(|end| std::mem::take(&mut end.unlogged)).unwrap_or_default()
    }
}

/// Bytes of the outbox on their way out.
#[derive(Debug)]
pub(super) enum Work {
    /// The rest of a frame, or whole frames.
    Tail(Segment),
    /// A control frame.
    Control(ControlFrame),
}

impl Work {
    /// The bytes.
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Work::Tail(segment) => segment.as_slice(),
            Work::Control(frame) => frame.as_slice(),
        }
    }

    /// What is left of it after `sent` bytes.
    pub(super) fn into_rest(self, sent: usize) -> Segment {
        match self {
            Work::Tail(mut segment) => {
                segment.consume(sent);
                segment
            }
            Work::Control(frame) => Segment::from(frame.as_slice()[sent..].to_vec()),
        }
    }
}
