//! One side of a WebSocket connection, without a connection: everything after the upgrade, in one value.
//!
//! For tests, for fuzzing, and for programs that bring their own transport. The contract: put received bytes in with
//! [`Endpoint::receive`] until it needs more, take [`Endpoint::outgoing`] to the network, and call [`Endpoint::step`] when the time it
//! named has come.
//!
//! In scope: what each side of `connection` does to the protocol's pieces, in one thread. Out of scope: the upgrade (see
//! [`handshake`](super::handshake)); speed where it would cost clarity (the sockets do not copy what they send).

mod compressed;

use std::time::Duration;

use super::deflate;
use super::keepalive::KeepaliveStep;
use super::{
    CloseFrame, CloseStatus, Controls, Decoder, Encoder, Item, Keepalive, Lifecycle, Limits, MAX_CONTROL_PAYLOAD, MaskingKey, MessageKind,
    Piece, Reply, Role, Violation,
};
use crate::bytes::mask;
use crate::error::{Error, Phase, Result, Status};
use compressed::Compressed;

/// What a program may choose for an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What a received message may cost.
    pub limits: Limits,
    /// The program answers the peer's close frame itself.
    pub manual_close: bool,
    /// Outgoing text is checked for UTF-8.
    pub check_sent_text: bool,
    /// See [`Keepalive`]; `None` = off.
    pub keepalive_interval: Option<Duration>,
    /// See [`Keepalive`]; `None` = the peer is never given up.
    pub keepalive_timeout: Option<Duration>,
    /// What was agreed on compression in the upgrade.
    pub compression: Option<deflate::Agreed>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            limits: Limits::default(),
            manual_close: false,
            check_sent_text: true,
            keepalive_interval: None,
            keepalive_timeout: None,
            compression: None,
        }
    }
}

/// What [`Endpoint::receive`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Nothing is complete; all of the input was used.
    NeedBytes,
    /// Payload, at the beginning of the room.
    Piece(Piece),
    /// A ping, already answered; see [`Endpoint::control_payload`].
    Ping,
    /// A pong; see [`Endpoint::control_payload`].
    Pong,
    /// The peer's close frame; see [`Endpoint::lifecycle`].
    Close,
}

/// One side of a connection after the upgrade.
#[derive(Debug)]
pub struct Endpoint {
    role: Role,
    settings: Settings,
    decoder: Decoder,
    encoder: Encoder,
    compression: Option<Box<Compressed>>,
    controls: Controls,
    lifecycle: Lifecycle,
    keepalive: Keepalive,
    outgoing: Vec<u8>,
    /// Where in `outgoing` the keep-alive ping ends, counted from its beginning.
    ping_end: Option<usize>,
    failure: Option<Violation>,
}

impl Endpoint {
    /// One side, as it is right after the upgrade.
    pub fn new(role: Role, settings: Settings, now: Duration) -> Endpoint {
        let mut decoder = Decoder::new(role.other(), settings.limits);
        if settings.compression.is_some() {
            decoder.allow_compression();
        }
        Endpoint {
            role,
            settings,
            decoder,
            compression: settings.compression.map(|agreed| Box::new(Compressed::new(agreed))),
            encoder: Encoder::default(),
            controls: Controls::default(),
            lifecycle: Lifecycle::default(),
            keepalive: Keepalive::new(now),
            outgoing: Vec::new(),
            ping_end: None,
            failure: None,
        }
    }

    /// Uses received bytes until there is something to tell; returns how many were used. `room` must not be empty.
    ///
    /// After a violation the close frame that tells the peer is among the outgoing bytes, and every later call returns the same
    /// violation. After the peer's close frame nothing more is used.
    pub fn receive(
        &mut self,
        input: &[u8],
        room: &mut [u8],
        now: Duration,
        keys: &mut dyn FnMut() -> MaskingKey,
    ) -> Result<(usize, Event), Violation> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if !self.lifecycle.may_receive() {
            return Ok((0, Event::NeedBytes));
        }
        if !input.is_empty() {
            self.keepalive.life(now);
        }
        let (used, item) = match self.next_item(input, room) {
            Ok(found) => found,
            Err(violation) => return Err(self.fail(violation, keys)),
        };
        let event = match item {
            Item::NeedBytes => Event::NeedBytes,
            Item::Piece(piece) => Event::Piece(piece),
            Item::Pong => Event::Pong,
            Item::Ping => {
                // After its own close frame a side sends nothing more, not even a pong: its peer may have stopped reading.
                if !self.lifecycle.has_sent_close() {
                    self.controls.put_pong(self.decoder.control_payload());
                }
                Event::Ping
            }
            Item::Close => match CloseFrame::decode(self.decoder.control_payload()) {
                Err(violation) => return Err(self.fail(violation, keys)),
                Ok(frame) => {
                    if let Reply::Send(answer) = self.lifecycle.receive_close(frame, self.settings.manual_close) {
                        self.controls.put_close(answer);
                    }
                    Event::Close
                }
            },
        };
        self.flush_controls(keys);
        Ok((used, event))
    }

    /// Sends one frame. Errors as `ws_send`: 87, or 4317 after a close frame.
    pub fn send(&mut self, kind: MessageKind, ends_message: bool, payload: &[u8], keys: &mut dyn FnMut() -> MaskingKey) -> Result<()> {
        if !self.lifecycle.may_send() || self.failure.is_some() {
            return Err(Error::new(Status::InvalidOperation, "nothing can be sent after a close frame"));
        }
        let key = self.key(keys);
        let mut next = self.encoder;
        let mut header = next.data(kind, ends_message, payload.len() as u64, key)?;
        if kind == MessageKind::Text && self.settings.check_sent_text {
            next.check_text(payload, ends_message)?;
        }
        let deflated = self.deflate(ends_message, payload)?;
        let payload = match &deflated {
            Some(deflated) => {
                header = next.compress(header, deflated.len() as u64);
                deflated
            }
            None => payload,
        };
        self.encoder = next;
        self.outgoing.extend_from_slice(header.as_slice());
        let start = self.outgoing.len();
        self.outgoing.extend_from_slice(payload);
        mask::apply(&mut self.outgoing[start..], key.unwrap_or_default(), 0);
        Ok(())
    }

    /// Sends a ping with at most 125 bytes of payload (87), or 4317 after this side's close frame.
    pub fn ping(&mut self, payload: &[u8], keys: &mut dyn FnMut() -> MaskingKey) -> Result<()> {
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(Error::new(Status::InvalidParameter, format!("a ping of {} bytes; at most 125 are possible", payload.len())));
        }
        if self.lifecycle.has_sent_close() || self.failure.is_some() {
            return Err(Error::new(Status::InvalidOperation, "nothing can be sent after a close frame"));
        }
        self.controls.put_ping(payload);
        self.flush_controls(keys);
        Ok(())
    }

    /// Sends this side's close frame; 4317 if it was sent before.
    pub fn close(&mut self, frame: CloseFrame, keys: &mut dyn FnMut() -> MaskingKey) -> Result<()> {
        if !self.lifecycle.send_close() {
            return Err(Error::new(Status::InvalidOperation, "the close frame was already sent"));
        }
        self.controls.put_close(frame);
        self.flush_controls(keys);
        Ok(())
    }

    /// Runs the keep-alive clock and says when to call again; 13009 when the peer is lost.
    pub fn step(&mut self, now: Duration, keys: &mut dyn FnMut() -> MaskingKey) -> Result<Option<Duration>> {
        // After the peer's close frame no byte is looked at: an answer to a ping could not be heard.
        if self.lifecycle.has_sent_close() || !self.lifecycle.may_receive() || self.failure.is_some() {
            return Ok(None);
        }
        loop {
            match self.keepalive.step(now, self.settings.keepalive_interval, self.settings.keepalive_timeout) {
                KeepaliveStep::Wait(until) => return Ok(until),
                KeepaliveStep::PeerLost => {
                    return Err(Error::new(Status::PeerLost, Status::PeerLost.text()).in_phase(Phase::WebSocket));
                }
                KeepaliveStep::SendPing => {
                    self.controls.put_ping(&[]);
                    self.flush_controls(keys);
                    self.ping_end = Some(self.outgoing.len());
                }
            }
        }
    }

    /// What waits to be taken to the network.
    pub fn outgoing(&self) -> &[u8] {
        &self.outgoing
    }

    /// The first `count` outgoing bytes are on their way.
    pub fn sent(&mut self, count: usize, now: Duration) {
        self.outgoing.drain(..count);
        self.ping_end = match self.ping_end {
            Some(end) if end <= count => {
                self.keepalive.ping_left(now);
                None
            }
            other => other.map(|end| end - count),
        };
    }

    /// The payload of the ping or pong just told of.
    pub fn control_payload(&self) -> &[u8] {
        self.decoder.control_payload()
    }

    /// The state of the closing handshake.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    fn fail(&mut self, violation: Violation, keys: &mut dyn FnMut() -> MaskingKey) -> Violation {
        self.failure = Some(violation);
        if self.lifecycle.send_close() {
            self.controls.put_close(CloseFrame::of(CloseStatus::new(violation.close_status()).unwrap_or_default()));
            self.flush_controls(keys);
        }
        violation
    }

    fn flush_controls(&mut self, keys: &mut dyn FnMut() -> MaskingKey) {
        let role = self.role;
        while let Some(frame) = self.controls.take(|| (role == Role::Client).then(&mut *keys)) {
            self.outgoing.extend_from_slice(frame.as_slice());
        }
    }

    fn key(&self, keys: &mut dyn FnMut() -> MaskingKey) -> Option<MaskingKey> {
        (self.role == Role::Client).then(keys)
    }
}
