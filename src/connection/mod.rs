//! An open WebSocket connection: protocol, transport and policy, never waiting.
//!
//! In scope: the receive half, the writer turn with its outbox, and the closing handshake, each as steps that say what they did or that they
//! are blocked. Out of scope: who waits for how long (`driver`), and the upgrade (`client`, `server`).
//!
//! **Lock order**: `receive` before `outbox`; `options` and `outbox` are never held together with anything below them. No lock is held across a system call.

mod buffers;
mod claim;
mod closing;
pub mod opening;
mod outbox;
mod receive;
mod send;
mod signals;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use claim::{Counted, ReceiveClaim};
pub use closing::CloseSent;
pub use receive::{ReceiveHalf, Received, Step};
pub use send::{Frame, Progress, Turn};
pub use signals::{Operation, Signals};

use crate::error::{Error, Phase, Result, Status};
use crate::options::{Options, SharedOptions};
use crate::protocol::{KeepaliveStep, MaskingKey, Role};
use crate::transport::{Bells, Stream};
use claim::ReceiveSlot;
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
    signals: Signals,
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
            receive: Mutex::new(ReceiveSlot::new(half)),
            receive_free: Condvar::new(),
            outbox: Mutex::new(Outbox::new(now)),
            turn_free: Condvar::new(),
            signals: Signals::default(),
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

    /// What other threads hold up to those who wait here.
    #[inline]
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// The bells of the threads that wait here.
    pub fn bells(&self) -> &Bells {
        &self.bells
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
        if !matches!(outbox.closing(), Closing::No) {
            return Err(Error::new(Status::InvalidOperation, "nothing can be received: the connection was closed"));
        }
        Ok(())
    }

    fn answer_ping(&self, payload: &[u8]) {
        let mut outbox = self.outbox();
        // After its own close frame a side sends nothing more.
        if !outbox.lifecycle.has_sent_close() {
            outbox.pending().controls.put_pong(payload);
            self.flush_locked(outbox);
        }
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
                outbox.pending().controls.put_ping(&[]);
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

    fn manual_close(&self) -> bool {
        self.manual_close.load(Ordering::Relaxed)
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
