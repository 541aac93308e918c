//! One end of a connection for a program that brings its own transport: the protocol as a list of things to do.
//!
//! The contract: change something ([`Component::send`], [`Component::receive`], ...), then take actions with [`Component::next_action`] until
//! there are no more, do them, and say so with [`Component::complete`]. Nothing is ever called back.
//!
//! In scope: the order of actions, which of them may be under way together, and what an end looks like. The rules are those of the sockets,
//! because the pieces are: [`Decoder`](super::Decoder), [`Encoder`](super::Encoder), [`Controls`](super::Controls), [`Lifecycle`],
//! [`Keepalive`], and the handshake. Out of scope: sockets, clocks and randomness (arguments, all of them), and whose memory an address is in
//! ([`Memory`]).

mod action;
mod clocks;
mod ends;
mod memory;
mod opening;
mod receiving;
mod sending;

use std::time::Duration;

use super::deflate::NoMemory;
use super::keepalive::Keepalive;
use super::{CloseFrame, Item, Lifecycle, MAX_CONTROL_PAYLOAD, MaskingKey, MessageKind, Reply, Role};
use crate::error::{Error, Phase, Result, Status};
use crate::options::Options;

pub use action::{Action, Deed, Delivery};
pub use memory::{Lent, Memory, Place};
pub use opening::PeerHead;

use action::{Kind, UnderWay};
use clocks::Clocks;
use opening::Opening;
use receiving::{Found, Receiving, Trouble};
use sending::Sending;

/// What a call on a component may use.
pub struct Surroundings<'a> {
    /// On any clock that only goes forward.
    pub now: Duration,
    /// As they are now.
    pub options: &'a Options,
    /// The program's.
    pub memory: &'a mut dyn Memory,
    /// Unpredictable ones, for a client's frames.
    pub keys: &'a mut dyn FnMut() -> MaskingKey,
}

/// What is to be sent as one frame.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Text or binary.
    pub kind: MessageKind,
    /// False for every frame of a message but its last.
    pub ends_message: bool,
    /// 4317 rather than become a part of an open message.
    pub must_be_whole: bool,
    /// If compression was agreed on, a message that begins here may be compressed.
    pub may_compress: bool,
    /// The payload. Lent until the send has ended.
    pub parts: &'a [Lent],
}

/// A control frame that the program wants to send.
#[derive(Clone, Debug)]
pub enum Control<'a> {
    /// The close frame: after all that was queued before.
    Close(CloseFrame),
    /// A ping, of at most 125 bytes.
    Ping(&'a [u8]),
    /// A pong that nobody has asked for, of at most 125 bytes.
    Pong(&'a [u8]),
}

/// What both sides have agreed on, and where.
#[derive(Clone, Debug, Default)]
pub struct Agreed {
    /// The URL: of a client as it was given, of a server by the Host header; empty where headers came as a list.
    pub url: String,
    /// The chosen one.
    pub subprotocol: Option<String>,
    /// The value of `Sec-WebSocket-Extensions`; empty = none.
    pub extensions: String,
}

/// Frames, messages and bytes, of both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Of every kind.
    pub frames: u64,
    /// Whole ones.
    pub messages: u64,
    /// On the network.
    pub bytes: u64,
}

/// One end of a connection. See the head of this module.
#[derive(Debug)]
pub struct Component {
    role: Role,
    opening: Opening,
    head: Option<PeerHead>,
    agreed: Agreed,
    /// The handshake's outcome, not told yet.
    outcome: Option<Result<()>>,
    lifecycle: Lifecycle,
    close_is_told: bool,
    keepalive: Option<Keepalive>,
    receiving: Receiving,
    sending: Sending,
    clocks: Clocks,
    under_way: UnderWay,
    /// More bytes of the network are of use.
    wants_bytes: bool,
    /// Unread data lies before whatever else came.
    is_blocked: bool,
    /// Why it is of no use any more; the first reason is kept.
    failure: Option<Error>,
    /// Nothing more comes or goes.
    is_over: bool,
    end_is_told: bool,
}

impl Component {
    /// One end, before its handshake.
    pub fn new(role: Role) -> Component {
        Component {
            role,
            opening: Opening::Fresh,
            head: None,
            agreed: Agreed::default(),
            outcome: None,
            lifecycle: Lifecycle::default(),
            close_is_told: false,
            keepalive: None,
            receiving: Receiving::new(role),
            sending: Sending::new(role),
            clocks: Clocks::default(),
            under_way: UnderWay::default(),
            wants_bytes: false,
            is_blocked: false,
            failure: None,
            is_over: false,
            end_is_told: false,
        }
    }

    // ---- what the program wants ---------------------------------------------------------------------------------------------------------

    /// Queues one frame; its memory is lent until the send has ended. 87 and 4317 as `ws_send_ex`, 12019 before the handshake is done.
    pub fn send(&mut self, message: &Outgoing<'_>, context: usize, around: &mut Surroundings<'_>) -> Result<()> {
        self.check_open()?;
        if !self.lifecycle.may_send() {
            let who =
                if self.lifecycle.has_sent_close() { "this side has sent its close frame" } else { "the peer has sent its close frame" };
            return Err(Error::new(Status::InvalidOperation, format!("nothing can be sent: {who}")));
        }
        self.sending.put(message, context, around)
    }

    /// Asks for the next piece, or the close frame: into `room`, which is lent until the receive has ended, or as a view.
    pub fn receive(&mut self, room: Option<Lent>, context: usize) -> Result<()> {
        self.check_open()?;
        if self.close_is_told {
            return Err(Error::new(Status::InvalidOperation, "nothing can be received: the peer's close frame was told already"));
        }
        self.receiving.post(room, context)
    }

    /// Queues a control frame; 4317 after this side's close frame, but for a close that the library has answered already.
    pub fn control(&mut self, control: Control<'_>) -> Result<()> {
        self.check_open()?;
        match control {
            Control::Close(frame) => {
                if self.lifecycle.send_close() {
                    self.sending.put_close(frame);
                } else if !self.lifecycle.has_answered() {
                    return Err(Error::new(Status::InvalidOperation, "the close frame was already sent"));
                }
                Ok(())
            }
            _ if self.lifecycle.has_sent_close() => Err(Error::new(Status::InvalidOperation, "nothing can be sent after the close frame")),
            Control::Ping(payload) => check_payload(payload).map(|()| self.sending.put_ping(payload)),
            Control::Pong(payload) => check_payload(payload).map(|()| self.sending.put_pong(payload)),
        }
    }

    fn check_open(&self) -> Result<()> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if self.is_over {
            return Err(Error::new(Status::InvalidOperation, "the connection is over"));
        }
        if self.opening.is_open() {
            return Ok(());
        }
        Err(Error::new(Status::IncorrectHandleState, "the handshake is not done").in_phase(Phase::Http))
    }

    // ---- actions ------------------------------------------------------------------------------------------------------------------------

    /// What is to be done next. Of each kind at most one action is under way; indications come first, the end comes last.
    pub fn next_action(&mut self, around: &mut Surroundings<'_>) -> Action {
        self.receiving.set_limits(around.options);
        self.open(around);
        self.digest(around);
        let wakes_at = self.run_clocks(around);
        if let Some(action) = self.indication() {
            return action;
        }
        if let Some(action) = self.network(around) {
            return action;
        }
        // What was refused on the way, for lack of memory, is to be told as well.
        if let Some(action) = self.indication().or_else(|| self.tell_end()) {
            return action;
        }
        match wakes_at {
            Some(instant) if !self.is_over => Action { id: 0, deed: Deed::WakeAt(instant) },
            _ => Action { id: 0, deed: Deed::Nothing },
        }
    }

    /// An action was done: `transferred` bytes were written or read, and no byte read is the end of the transport. 4317 for an action that is not
    /// under way, 87 for more bytes than it had room for.
    pub fn complete(&mut self, id: u64, transferred: usize, around: &mut Surroundings<'_>) -> Result<()> {
        if id == 0 {
            return Ok(());
        }
        let kind = self.under_way.find(id)?;
        let most = match kind {
            Kind::NetworkSend => self.sending.offered(),
            Kind::NetworkReceive => self.receiving.read_room(),
            _ => usize::MAX,
        };
        if transferred > most {
            let message = format!("{transferred} bytes were transferred, the action has {most}");
            return Err(Error::new(Status::InvalidParameter, message));
        }
        self.under_way.end(kind);
        match kind {
            Kind::NetworkSend => self.written(transferred, around.now),
            Kind::NetworkReceive => self.arrived(transferred, around),
            Kind::ReceiveComplete => self.receiving.release(),
            Kind::SendComplete | Kind::Handshaken | Kind::Closed => {}
        }
        Ok(())
    }

    fn indication(&mut self) -> Option<Action> {
        if !self.under_way.has(Kind::Handshaken)
            && let Some(outcome) = self.outcome.take()
        {
            return Some(self.under_way.begin(Kind::Handshaken, Deed::Handshaken(outcome)));
        }
        if !self.under_way.has(Kind::SendComplete)
            && let Some((context, result)) = self.sending.take_done()
        {
            return Some(self.under_way.begin(Kind::SendComplete, Deed::SendComplete { context, result }));
        }
        // There is one receive at a time, so the last one's action was completed.
        let (context, result) = self.receiving.tell()?;
        Some(self.under_way.begin(Kind::ReceiveComplete, Deed::ReceiveComplete { context, result }))
    }

    fn network(&mut self, around: &mut Surroundings<'_>) -> Option<Action> {
        if self.is_over {
            return None;
        }
        if !self.under_way.has(Kind::NetworkSend) {
            match self.sending.offer(around) {
                Ok(Some(parts)) => return Some(self.under_way.begin(Kind::NetworkSend, Deed::SendToNetwork(parts))),
                Ok(None) => {}
                Err(error) => {
                    self.lose(error);
                    return None;
                }
            }
        }
        if self.wants_bytes && !self.under_way.has(Kind::NetworkReceive) && !self.receiving.is_viewed() {
            match self.receiving.begin_read(around.options.receive_buffer_size as usize) {
                Ok(room) => return Some(self.under_way.begin(Kind::NetworkReceive, Deed::ReceiveFromNetwork(room))),
                Err(error) => {
                    self.lose(error);
                }
            }
        }
        None
    }

    fn written(&mut self, count: usize, now: Duration) {
        if self.is_over {
            return;
        }
        if self.sending.wrote(count)
            && let Some(keepalive) = &mut self.keepalive
        {
            keepalive.ping_left(now);
        }
    }

    fn arrived(&mut self, count: usize, around: &mut Surroundings<'_>) {
        if self.is_over || count == 0 {
            self.receiving.forget_read();
            if !self.is_over {
                self.transport_ended();
            }
            return;
        }
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.life(around.now);
        }
        if let Err(violation) = self.receiving.end_read(count, around.memory) {
            self.fail_with(violation);
        }
    }

    // ---- from bytes to what they mean ---------------------------------------------------------------------------------------------------

    /// Uses what came, as far as it can be used now.
    fn digest(&mut self, around: &mut Surroundings<'_>) {
        if !self.opening.is_open() {
            return;
        }
        if self.lifecycle.received().is_some() && !self.close_is_told {
            self.tell_close();
        }
        if self.under_way.has(Kind::NetworkReceive) {
            return;
        }
        (self.wants_bytes, self.is_blocked) = (false, false);
        loop {
            if self.is_over || self.failure.is_some() || !self.lifecycle.may_receive() {
                self.receiving.discard();
                // Whoever closes with bytes unread resets the connection, and a reset can destroy the close frame on its way.
                self.wants_bytes = !self.is_over;
                return;
            }
            if self.receiving.is_viewed() {
                self.is_blocked = true;
                return;
            }
            match self.receiving.digest(around.memory, around.options.receive_buffer_size as usize) {
                Ok(Found::NeedBytes) => return self.wants_bytes = true,
                Ok(Found::Blocked) => return self.is_blocked = true,
                Ok(Found::Piece) => {}
                Ok(Found::Control(item)) => self.see_to(item, around.options),
                Err(Trouble::Violation(violation)) => self.fail_with(violation),
                Err(Trouble::NoMemory) => self.lose(NoMemory.into()),
            }
        }
    }

    fn see_to(&mut self, item: Item, options: &Options) {
        let payload = self.receiving.control_payload();
        match item {
            Item::Ping => {
                // After its own close frame a side sends nothing more, not even a pong: its peer may have stopped reading.
                if !self.lifecycle.has_sent_close() {
                    self.sending.put_pong(payload);
                }
            }
            Item::Close => match CloseFrame::decode(payload) {
                Ok(frame) => self.receive_close(frame, options.manual_close),
                Err(violation) => self.fail_with(violation),
            },
            Item::Pong | Item::NeedBytes | Item::Piece(_) => {}
        }
    }

    fn receive_close(&mut self, frame: CloseFrame, is_manual: bool) {
        if let Reply::Send(answer) = self.lifecycle.receive_close(frame, is_manual) {
            self.sending.put_close(answer);
        }
        // RFC 6455 §5.5.1: who has sent a close frame need not look at what comes after.
        self.sending.give_up_waiting(&Error::new(Status::InvalidOperation, "the peer's close frame came before this was sent"));
        self.tell_close();
    }

    fn tell_close(&mut self) {
        if self.receiving.is_waiting() {
            self.receiving.end_wish(Ok(Delivery { piece: None, place: Place::Reason }));
            self.close_is_told = true;
        }
    }

    // ---- questions ----------------------------------------------------------------------------------------------------------------------

    /// The bytes at a place of the component's own, valid until the action is completed; empty for a place of the program's.
    pub fn own(&self, place: Place) -> &[u8] {
        match place {
            Place::Staged { start, length } => self.sending.staged(start, length),
            Place::Buffer { start, length } => self.receiving.buffered(start, length),
            Place::Inflated { length } => self.receiving.inflated(length),
            Place::Reason => self.lifecycle.received().map_or(&[], |frame| frame.reason().as_bytes()),
            Place::Nowhere | Place::Lent(_) => &[],
        }
    }

    /// The same, of the room of a [`Deed::ReceiveFromNetwork`].
    pub fn own_room(&mut self, place: Place) -> &mut [u8] {
        match place {
            Place::Buffer { start, length } => self.receiving.buffered_mut(start, length),
            _ => &mut [],
        }
    }

    /// Whether the handshake is done: messages may come and go, or could once.
    pub fn is_open(&self) -> bool {
        self.opening.is_open()
    }

    /// Whether nothing more comes or goes; the action that says so may not have been taken yet.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The state of the closing handshake.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Why it is of no use any more.
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// What was agreed on; empty before the handshake is done.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// What was received, and what was sent.
    pub fn counted(&self) -> [Counted; 2] {
        [self.receiving.counted(), self.sending.counted()].map(|(frames, messages, bytes)| Counted { frames, messages, bytes })
    }
}

fn check_payload(payload: &[u8]) -> Result<()> {
    if payload.len() <= MAX_CONTROL_PAYLOAD {
        return Ok(());
    }
    Err(Error::new(Status::InvalidParameter, format!("the payload has {} bytes, at most {MAX_CONTROL_PAYLOAD} fit", payload.len())))
}
