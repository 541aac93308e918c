//! An open WebSocket connection: protocol, transport and policy, never waiting.
//!
//! In scope: the receive half, the writer turn with its outbox, and the closing handshake, each as steps that say what they did or that they
//! are blocked. Out of scope: who waits for how long (`driver`), and the upgrade (`client`, `server`).
//!
//! **Lock order**: `receive` before `outbox`; `options` and `outbox` are never held together with anything below them. No lock is held across a system call.

mod buffers;
pub mod opening;
mod outbox;
mod receive;
mod send;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use receive::{ReceiveHalf, Received, Step};
use send::send_error;
pub use send::{Frame, Progress, Turn};

use crate::error::{Error, Phase, Result, Status};
use crate::options::{Options, SharedOptions};
use crate::protocol::{CloseFrame, CloseStatus, KeepaliveStep, MaskingKey, Role, Violation};
use crate::transport::{Bells, Stream};
use outbox::{Closing, Outbox};

/// Where masking keys come from: the CSPRNG of whoever drives the connection.
pub type Keys = fn() -> MaskingKey;

/// What the upgrade settled.
#[derive(Clone, Debug, Default)]
pub struct Agreed {
    /// The URL, as a client asked for it.
    pub url: String,
    /// The sub-protocol that was chosen.
    pub subprotocol: Option<String>,
    /// The extensions, in the syntax of `Sec-WebSocket-Extensions`; empty = none.
    pub extensions: String,
}

/// What is left of the upgrade.
#[derive(Debug)]
pub struct Upgraded<'e> {
    /// The connected socket.
    pub stream: Stream,
    /// What was settled.
    pub agreed: Agreed,
    /// What came behind the head and belongs to the WebSocket.
    pub early: &'e [u8],
}

/// An open connection. Shared by the handle and by every call that is inside it; the descriptor closes with the last of them.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    role: Role,
    agreed: Box<Agreed>,
    options: Mutex<SharedOptions>,
    hot: HotOptions,
    receive: Mutex<ReceiveSlot>,
    receive_free: Condvar,
    outbox: Mutex<Outbox>,
    turn_free: Condvar,
    signals: AtomicU32,
    bells: Bells,
    keys: Keys,
}

/// The options that every call needs, beside the lock of the others.
#[derive(Debug)]
struct HotOptions {
    receive_timeout_ms: AtomicU32,
    send_timeout_ms: AtomicU32,
    checks_sent_text: AtomicBool,
    manual_close: AtomicBool,
}

/// Whose close frame it is that this side has sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseSent {
    /// The one that was just queued.
    Now,
    /// An earlier one of the program's.
    Before,
    /// The library's own answer to the peer's.
    ByLibrary,
}

/// The receive half, unless somebody holds it.
#[derive(Debug)]
struct ReceiveSlot {
    half: Option<Box<ReceiveHalf>>,
    options_changed: bool,
    waiting: u32,
}

/// Why a wait must end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Signal {
    /// The handle was closed.
    Dropped = 1,
    /// `ws_close` takes the receiving side over.
    Closing = 2,
    /// A receive is to be cancelled.
    CancelReceive = 4,
    /// Sends are to be cancelled.
    CancelSend = 8,
    /// `ws_close` or `ws_shutdown` is to be cancelled.
    CancelClose = 16,
}

impl Connection {
    /// A connection right after its upgrade.
    pub fn new(role: Role, upgraded: Upgraded<'_>, options: SharedOptions, keys: Keys, now: Duration) -> Result<Connection> {
        let Upgraded { stream, agreed, early } = upgraded;
        let half = ReceiveHalf::new(role, &options, early)?;
        Ok(Connection {
            stream,
            role,
            agreed: Box::new(agreed),
            hot: HotOptions::new(&options),
            options: Mutex::new(options),
            receive: Mutex::new(ReceiveSlot { half: Some(Box::new(half)), options_changed: false, waiting: 0 }),
            receive_free: Condvar::new(),
            outbox: Mutex::new(Outbox::new(now)),
            turn_free: Condvar::new(),
            signals: AtomicU32::new(0),
            bells: Bells::default(),
            keys,
        })
    }

    /// What the upgrade settled.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// This side's address.
    pub fn local_address(&self) -> Result<String> {
        self.stream.local_address().map_err(|error| lost_address(&error))
    }

    /// The peer's address.
    pub fn remote_address(&self) -> Result<String> {
        self.stream.remote_address().map_err(|error| lost_address(&error))
    }

    /// Which side this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The socket, for waiting on it.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The options as they are now.
    pub fn options(&self) -> SharedOptions {
        SharedOptions::clone(&lock(&self.options))
    }

    /// Changes the options; they take effect with the next call. If `change` fails, nothing is changed.
    pub fn change_options(&self, change: impl FnOnce(&mut Options) -> Result<()>) -> Result<()> {
        let mut options = lock(&self.options);
        let mut changed = Options::clone(&options);
        change(&mut changed)?;
        if changed.nodelay != options.nodelay {
            self.stream
                .set_nodelay(changed.nodelay)
                .map_err(|error| Error::from_io(Status::Connection, "TCP_NODELAY could not be changed", &error))?;
        }
        *options = SharedOptions::new(changed);
        self.hot.store(&options);
        drop(options);
        lock(&self.receive).options_changed = true;
        Ok(())
    }

    /// How long one call of receive may take.
    #[inline]
    pub fn receive_timeout(&self) -> Option<Duration> {
        duration(self.hot.receive_timeout_ms.load(Ordering::Relaxed))
    }

    /// How long one call of send may take.
    #[inline]
    pub fn send_timeout(&self) -> Option<Duration> {
        duration(self.hot.send_timeout_ms.load(Ordering::Relaxed))
    }

    fn checks_sent_text(&self) -> bool {
        self.hot.checks_sent_text.load(Ordering::Relaxed)
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        lock(&self.outbox)
    }
}

/// Receiving.
impl Connection {
    /// Takes the receive half, if nobody holds it: 4317 for a second receiver, 12017 once the handle is closed.
    #[inline]
    pub fn claim_receive(&self) -> Result<ReceiveClaim<'_>> {
        match self.try_claim() {
            Some(claim) => Ok(claim),
            None => Err(Error::new(Status::InvalidOperation, "another thread is receiving")),
        }
    }

    /// Takes the receive half as soon as it is free; `None` when `timeout` is over first.
    pub fn claim_receive_within(&self, timeout: Duration) -> Option<ReceiveClaim<'_>> {
        let mut slot = lock(&self.receive);
        slot.waiting += 1;
        let (mut slot, _) =
            self.receive_free.wait_timeout_while(slot, timeout, |slot| slot.half.is_none()).unwrap_or_else(PoisonError::into_inner);
        slot.waiting -= 1;
        self.take_half(&mut slot)
    }

    #[inline]
    fn try_claim(&self) -> Option<ReceiveClaim<'_>> {
        self.take_half(&mut lock(&self.receive))
    }

    #[inline]
    fn take_half(&self, slot: &mut ReceiveSlot) -> Option<ReceiveClaim<'_>> {
        let mut half = slot.half.take()?;
        if slot.options_changed {
            slot.options_changed = false;
            half.set_limits(&self.options());
        }
        Some(ReceiveClaim { connection: self, half: Some(half) })
    }

    /// Whether a thread is in a receive.
    pub fn is_receiving(&self) -> bool {
        lock(&self.receive).half.is_none()
    }

    /// Whether a receive may begin: the failure, or 4317 after the peer's close frame or a close of this side.
    #[inline]
    pub fn check_may_receive(&self) -> Result<()> {
        let outbox = self.outbox();
        if let Some(failure) = outbox.failure() {
            return Err(failure.clone());
        }
        if !outbox.lifecycle.may_receive() {
            return Err(Error::new(Status::InvalidOperation, "nothing can be received: the peer has sent its close frame"));
        }
        if !matches!(outbox.closing, Closing::No) {
            return Err(Error::new(Status::InvalidOperation, "nothing can be received: the connection was closed"));
        }
        Ok(())
    }

    fn answer_ping(&self, payload: &[u8]) {
        let mut outbox = self.outbox();
        // After its own close frame a side sends nothing more.
        if !outbox.lifecycle.has_sent_close() {
            outbox.controls.put_pong(payload);
            self.flush_locked(outbox);
        }
    }

    fn receive_close(&self, frame: CloseFrame) {
        let manual = self.hot.manual_close.load(Ordering::Relaxed);
        let mut outbox = self.outbox();
        outbox.receive_close(frame, manual);
        // RFC 6455 §7.1.1: the server ends the TCP connection first.
        outbox.ends_when_empty = self.role == Role::Server && outbox.lifecycle.is_closed();
        self.flush_locked(outbox);
    }
}

/// Sending.
impl Connection {
    /// Takes the writer turn for a data frame. `Ok(None)`: somebody has it, or something else must be written first.
    #[inline]
    pub fn try_turn_for_data(&self) -> Result<Option<Turn<'_>>> {
        let mut outbox = self.outbox();
        outbox.check_may_send()?;
        if outbox.has_work() {
            return Ok(None);
        }
        Ok(Turn::take(self, &mut outbox))
    }

    /// Writes what waits, without waiting. `None`: somebody else has the turn and will see to it.
    pub fn flush(&self) -> Option<Progress> {
        let mut outbox = self.outbox();
        let turn = Turn::take(self, &mut outbox)?;
        drop(outbox);
        Some(turn.settle())
    }

    fn flush_locked(&self, mut outbox: MutexGuard<'_, Outbox>) {
        if let Some(turn) = Turn::take(self, &mut outbox) {
            drop(outbox);
            turn.settle();
        }
    }

    /// Waits until the writer turn may be free, for at most `timeout`.
    pub fn wait_for_turn(&self, timeout: Duration) {
        let mut outbox = self.outbox();
        outbox.waiting += 1;
        let (mut outbox, _) =
            self.turn_free.wait_timeout_while(outbox, timeout, |outbox| !outbox.is_turn_free()).unwrap_or_else(PoisonError::into_inner);
        outbox.waiting -= 1;
    }

    /// Whether something waits to be written that nobody is writing.
    pub fn wants_to_write(&self) -> bool {
        let outbox = self.outbox();
        outbox.has_work() && outbox.is_turn_free()
    }

    /// Whether nothing waits to be written, and nobody is writing.
    pub fn is_flushed(&self) -> bool {
        let outbox = self.outbox();
        !outbox.has_work() && outbox.is_turn_free()
    }

    /// Runs the keep-alive clock: when to look again, or 13009. A ping that is due is left in the outbox.
    pub fn keep_alive(&self, now: Duration, saw_life: bool) -> Result<Option<Duration>> {
        let options = self.options();
        let mut outbox = self.outbox();
        if saw_life {
            outbox.keepalive.life(now);
        }
        // No clock runs once either side has sent its close frame: nobody would look at the answer.
        if !outbox.lifecycle.may_send() || outbox.failure().is_some() {
            return Ok(None);
        }
        if !outbox.has_work() {
            outbox.keepalive.ping_left(now);
        }
        match outbox.keepalive.step(now, options.keepalive_interval, options.keepalive_timeout) {
            KeepaliveStep::Wait(until) => Ok(until),
            KeepaliveStep::SendPing => {
                outbox.controls.put_ping(&[]);
                Ok(Some(now))
            }
            KeepaliveStep::PeerLost => {
                let timeout = options.keepalive_timeout.unwrap_or_default();
                let message = format!("the peer did not answer a ping within {} ms", timeout.as_millis());
                Err(Error::new(Status::PeerLost, message).in_phase(Phase::WebSocket).with_close_status(1006))
            }
        }
    }
}

/// Closing and failing.
impl Connection {
    /// Queues this side's close frame, unless one was sent before.
    pub fn send_close(&self, frame: CloseFrame) -> Result<CloseSent> {
        let mut outbox = self.outbox();
        if let Some(failure) = outbox.failure() {
            return Err(failure.clone());
        }
        Ok(match (outbox.put_close(frame), outbox.lifecycle.has_answered()) {
            (true, _) => CloseSent::Now,
            (false, true) => CloseSent::ByLibrary,
            (false, false) => CloseSent::Before,
        })
    }

    /// `ws_close` begins: `Some` if it has nothing to do but return this.
    pub fn begin_close(&self) -> Option<Result<()>> {
        let mut outbox = self.outbox();
        match &outbox.closing {
            Closing::Ended(result) => return Some(result.clone()),
            Closing::UnderWay => {
                return Some(Err(Error::new(Status::InvalidOperation, "another thread is closing the connection")));
            }
            Closing::No => {}
        }
        if let Some(failure) = outbox.failure() {
            return Some(Err(failure.clone()));
        }
        outbox.closing = Closing::UnderWay;
        drop(outbox);
        self.raise(Signal::Closing);
        None
    }

    /// `ws_close` has ended; later calls return the same. After an error the TCP connection is gone too.
    pub fn end_close(&self, result: Result<()>) -> Result<()> {
        self.outbox().closing = Closing::Ended(result.clone());
        if result.is_err() {
            self.stream.shut_down();
        }
        result
    }

    /// Whether both close frames were exchanged.
    pub fn is_closed(&self) -> bool {
        self.outbox().lifecycle.is_closed()
    }

    /// A close frame of the peer that the program left unanswered is answered now: nothing more will be sent.
    pub fn end_sending_when_flushed(&self) {
        self.outbox().ends_when_empty = true;
        self.flush();
    }

    /// Bit 0: a close frame was sent; bit 1: one was received.
    pub fn close_state(&self) -> u32 {
        let outbox = self.outbox();
        u32::from(outbox.lifecycle.has_sent_close()) | u32::from(outbox.lifecycle.received().is_some()) << 1
    }

    /// The peer's close status and reason, 1005 for a close frame without one; 4317 before it has come.
    pub fn peer_close(&self) -> Result<(u16, Vec<u8>)> {
        match self.outbox().lifecycle.received() {
            Some(frame) => Ok((frame.status(), frame.reason().as_bytes().to_vec())),
            None => Err(Error::new(Status::InvalidOperation, "the peer has sent no close frame")),
        }
    }

    /// The peer takes no more bytes.
    fn sending_failed(&self, error: &io::Error) -> Error {
        let error = send_error(error);
        self.outbox().sending_failed(error.clone());
        error
    }

    /// Why the connection failed.
    pub fn failure(&self) -> Option<Error> {
        self.outbox().failure().cloned()
    }

    /// The connection is of no use any more; the first reason is the one that is kept.
    pub fn fail(&self, error: &Error) {
        self.outbox().fail(error);
    }

    /// RFC 6455 §7.1.7: tells the peer why, and sends nothing after it.
    fn fail_with(&self, violation: Violation) -> Error {
        let error = Error::from(violation);
        let mut outbox = self.outbox();
        outbox.fail(&error);
        outbox.put_close(CloseFrame::of(CloseStatus::new(violation.close_status()).unwrap_or_default()));
        outbox.ends_when_empty = true;
        self.flush_locked(outbox);
        error
    }

    /// `ws_close_handle`: drops the connection, sends no close frame, and ends every call that is inside it with 12017.
    pub fn drop_connection(&self) {
        self.signals.fetch_or(Signal::Dropped as u32, Ordering::SeqCst);
        self.stream.shut_down();
        self.wake_all();
    }

    /// Tells whoever waits that it is to stop, and wakes it.
    pub fn raise(&self, signal: Signal) {
        self.signals.fetch_or(signal as u32, Ordering::SeqCst);
        self.wake_all();
    }

    /// The bells of the threads that wait on this connection.
    pub fn bells(&self) -> &Bells {
        &self.bells
    }

    /// Whether a signal was raised.
    #[inline]
    pub fn is_raised(&self, signal: Signal) -> bool {
        // Relaxed is enough: whoever raises it also wakes the waiter through a system call or a mutex, which orders the two.
        self.signals.load(Ordering::Relaxed) & signal as u32 != 0
    }

    /// Takes a signal back, and says whether it was there: a cancel ends one wait.
    pub fn take_signal(&self, signal: Signal) -> bool {
        self.signals.fetch_and(!(signal as u32), Ordering::SeqCst) & signal as u32 != 0
    }

    fn wake_all(&self) {
        self.bells.ring_all();
        // Under the mutex, so that a thread between its check and its wait is not missed.
        let _outbox = self.outbox();
        self.turn_free.notify_all();
    }
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

impl Drop for ReceiveClaim<'_> {
    fn drop(&mut self) {
        let mut slot = lock(&self.connection.receive);
        slot.half = self.half.take();
        if slot.waiting > 0 {
            self.connection.receive_free.notify_all();
        }
    }
}

impl HotOptions {
    fn new(options: &Options) -> HotOptions {
        let hot = HotOptions {
            receive_timeout_ms: AtomicU32::new(0),
            send_timeout_ms: AtomicU32::new(0),
            checks_sent_text: AtomicBool::new(true),
            manual_close: AtomicBool::new(false),
        };
        hot.store(options);
        hot
    }

    fn store(&self, options: &Options) {
        // Relaxed: each is independent, and a call that began earlier may use the old value.
        self.receive_timeout_ms.store(milliseconds(options.receive_timeout), Ordering::Relaxed);
        self.send_timeout_ms.store(milliseconds(options.send_timeout), Ordering::Relaxed);
        self.checks_sent_text.store(options.check_sent_text, Ordering::Relaxed);
        self.manual_close.store(options.manual_close, Ordering::Relaxed);
    }
}

fn lost_address(error: &io::Error) -> Error {
    Error::from_io(Status::Connection, "the connection has no address any more", error)
}

fn milliseconds(time: Option<Duration>) -> u32 {
    time.map_or(0, |time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX))
}

fn duration(milliseconds: u32) -> Option<Duration> {
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds.into()))
}

/// A panic while a lock was held has been caught at the C border and reported; the data is as consistent as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        eprintln!(
            "Connection {} Outbox {} ReceiveHalf {} Options {} Controls {} Lifecycle {} Keepalive {} Closing {} Stream {}",
            size_of::<Connection>(),
            size_of::<Outbox>(),
            size_of::<ReceiveHalf>(),
            size_of::<Options>(),
            size_of::<crate::protocol::Controls>(),
            size_of::<crate::protocol::Lifecycle>(),
            size_of::<crate::protocol::Keepalive>(),
            size_of::<Closing>(),
            size_of::<Stream>()
        );
    }
}
