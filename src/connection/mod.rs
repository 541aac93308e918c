//! An open WebSocket connection: protocol, transport and policy, never waiting.
//!
//! In scope: the receive half, the writer turn with its outbox, and the closing handshake, each as steps that say what they did or that they
//! are blocked. Out of scope: who waits for how long (`driver`), and the upgrade (`client`, `server`).
//!
//! **Lock order**: `receive`, then `options`; `deflating`, then `outbox`, which is otherwise taken alone. None is held while somebody receives or
//! waits, and none but `deflating` while somebody sends.

mod alive;
mod buffers;
mod claim;
mod closing;
mod deflate_pool;
mod message;
pub mod opening;
mod outbox;
mod queue;
mod receive;
mod send;
mod signals;

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use alive::RoundTripTimes;
pub use buffers::CallerBuffer;
pub use claim::{Begun, Counted, ReceiveClaim};
pub use closing::CloseSent;
pub use deflate_pool::DeflatePool;
pub use message::{MessageStep, OwnMessage};
pub use receive::{Ahead, Heard, NextWhole, ReceiveHalf, Received, Step};
pub use send::{Accepted, AtOnce, Beginning, Deflated, Frame, Gathered, Manner, Outgoing, Prepared, Progress, Turn};
pub use signals::{Operation, Signals};

use crate::error::{Error, Result, Status};
use crate::options::{Options, SharedOptions};
use crate::protocol::{MaskingKey, Role, deflate};
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::transport::{Bells, Stream};
use claim::ReceiveSlot;
use outbox::{Closing, Outbox};
use send::{AT_ONCE, DeflateSlot};

/// What a connection needs and does not have of its own: randomness and the time, from whoever drives it.
#[derive(Debug)]
pub struct Sources {
    /// Four bytes that nobody can predict.
    pub masking_key: fn() -> MaskingKey,
    /// Monotonic, as a distance from any one instant.
    pub now: fn() -> Duration,
}

/// What the upgrade settled.
#[derive(Clone, Debug, Default)]
pub struct Agreed {
    /// The URL, as a client asked for it.
    pub url: String,
    /// The sub-protocol that was chosen.
    pub subprotocol: Option<String>,
    /// The extensions, in the syntax of `Sec-WebSocket-Extensions`; empty = none.
    pub extensions: String,
    /// Compression, and where idle states for it are kept.
    pub compression: Option<(deflate::Agreed, Arc<DeflatePool>)>,
}

/// What is left of the upgrade.
#[derive(Debug)]
pub struct Upgraded<'e> {
    /// The connected socket.
    pub stream: Stream,
    /// What was settled; for many connections of a server the same.
    pub agreed: Arc<Agreed>,
    /// What came behind the head and belongs to the WebSocket.
    pub early: &'e [u8],
}

/// An open connection. Shared by the handle and by every call that is inside it; the descriptor closes with the last of them.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    agreed: Arc<Agreed>,
    hot: HotOptions,
    receive: Mutex<ReceiveSlot>,
    receive_free: Condvar,
    outbox: Mutex<Outbox>,
    /// How messages are compressed, if that was agreed on.
    deflating: Option<DeflateSlot>,
    turn_free: Condvar,
    signals: Signals,
    bells: Bells,
    sources: &'static Sources,
}

/// What `ws_query_option` tells with `WS_OPTION_STATISTICS`. What a receive under way has received is counted when it ends.
#[derive(Clone, Copy, Debug)]
pub struct Statistics {
    /// From the peer.
    pub received: Counted,
    /// To the peer.
    pub sent: Counted,
    /// Of pings that were answered.
    pub round_trips: RoundTripTimes,
    /// Since something was last received, as far as somebody looked at the clock.
    pub idle: Duration,
    /// Bytes that wait to be sent.
    pub queued: u64,
    /// The most that ever did.
    pub queue_high_water: u64,
    /// Bytes that this connection owns, its socket apart.
    pub memory: u64,
}

/// The options that every call needs, beside the lock of the others; and which side this is, where there is room for it.
#[derive(Debug)]
struct HotOptions {
    role: Role,
    receive_timeout_ms: AtomicU32,
    send_timeout_ms: AtomicU32,
    /// In bytes; `u32::MAX` = more than that, see the options.
    send_queue_limit: AtomicU32,
    checks_sent_text: AtomicBool,
    manual_close: AtomicBool,
    /// The largest message that is delivered without the receive half.
    most_at_rest: AtomicU32,
    /// The largest message that is sent from the stack, as it is; never changes.
    most_at_once: u8,
}

impl PartialEq for Agreed {
    fn eq(&self, other: &Agreed) -> bool {
        let is_compressed_alike = match (&self.compression, &other.compression) {
            (Some((agreed, pool)), Some((other, other_pool))) => agreed == other && Arc::ptr_eq(pool, other_pool),
            (None, None) => true,
            _ => false,
        };
        is_compressed_alike && self.url == other.url && self.subprotocol == other.subprotocol && self.extensions == other.extensions
    }
}

impl Connection {
    /// A connection right after its upgrade.
    pub fn new(role: Role, upgraded: Upgraded<'_>, options: SharedOptions, sources: &'static Sources) -> Result<Connection> {
        let Upgraded { stream, agreed, early } = upgraded;
        let mut half = ReceiveHalf::new(role, &options, early)?;
        let mut hot = HotOptions::new(role, &options);
        let deflating = agreed.compression.as_ref().map(|(compression, pool)| {
            half.allow_compression(compression.inflation(), Arc::clone(pool), &options);
            hot.allow_compression(compression.threshold);
            DeflateSlot::new(*compression, Arc::clone(pool))
        });
        Ok(Connection {
            stream,
            agreed,
            hot,
            receive: Mutex::new(ReceiveSlot::new(half, options)),
            receive_free: Condvar::new(),
            outbox: Mutex::new(Outbox::new((sources.now)())),
            deflating,
            turn_free: Condvar::new(),
            signals: Signals::default(),
            bells: Bells::default(),
            sources,
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
        self.hot.role
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
        SharedOptions::clone(&self.receive.lock().options)
    }

    /// Changes the options; they take effect with the next call. If `change` fails, nothing is changed.
    pub fn change_options(&self, change: impl FnOnce(&mut Options) -> Result<()>) -> Result<()> {
        let mut slot = self.receive.lock();
        let options = &slot.options;
        let mut changed = Options::clone(options);
        change(&mut changed)?;
        if changed.nodelay != options.nodelay {
            self.stream
                .set_nodelay(changed.nodelay)
                .map_err(|error| Error::from_io(Status::Connection, "TCP_NODELAY could not be changed", &error))?;
        }
        self.hot.store(&changed);
        slot.options = SharedOptions::new(changed);
        slot.renew_limits();
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

    #[inline(always)]
    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock()
    }
}

/// Receiving.
impl Connection {
    /// Whether a receive may begin, once it is not sure: the failure, or 4317 after the peer's close frame or a close of this side.
    fn check_may_receive(&self) -> Result<()> {
        let outbox = self.outbox();
        if let Some(failure) = outbox.failure() {
            return Err(failure.clone());
        }
        if !outbox.lifecycle.may_receive() && outbox.close_is_told {
            return Err(Error::new(Status::InvalidOperation, "nothing can be received: the peer has sent its close frame"));
        }
        if !matches!(outbox.closing(), Closing::No) {
            return Err(Error::new(Status::InvalidOperation, "nothing can be received: the connection was closed"));
        }
        Ok(())
    }
}

impl Connection {
    /// The program is being told of the peer's close frame: no receive is possible after it.
    pub fn tell_close(&self) {
        self.outbox().close_is_told = true;
        self.bar_receives();
    }

    /// Whether there is nothing to look after any more.
    pub fn is_over(&self) -> bool {
        let outbox = self.outbox();
        self.signals.is_dropped()
            || outbox.failure().is_some()
            || outbox.lifecycle.is_closed() && !outbox.has_work() && !self.stream.wants_write()
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

    /// A thread waits to send, without the turn, until the guard is dropped: for room behind what waits already.
    pub fn wait_in_line(&self) -> InLine<'_> {
        self.outbox().waiting += 1;
        InLine(self)
    }

    /// Waits until the writer turn may be free or somebody wants attention, for at most `timeout`. Whoever is to stop does not begin to wait:
    /// asked under the mutex under which waiters are woken, so that no wake-up falls between the question and the wait.
    pub fn wait_for_turn(&self, timeout: Duration, is_to_stop: impl FnOnce() -> bool) {
        let mut outbox = self.outbox();
        if outbox.is_turn_free() || is_to_stop() {
            return;
        }
        outbox.waiting += 1;
        self.turn_free.wait_for(&mut outbox, timeout);
        outbox.waiting -= 1;
    }

    /// Whether something waits to be written that nobody is writing.
    pub fn wants_to_write(&self) -> bool {
        let outbox = self.outbox();
        (outbox.has_work() || self.stream.wants_write()) && outbox.is_turn_free()
    }

    /// Whether nothing waits to be written, and nobody is writing.
    pub fn is_flushed(&self) -> bool {
        let outbox = self.outbox();
        !outbox.has_work() && !self.stream.wants_write() && outbox.is_turn_free()
    }
}

/// A thread in line for the writer turn, for whoever wants to cancel it.
#[derive(Debug)]
pub struct InLine<'c>(&'c Connection);

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.outbox().waiting -= 1;
    }
}

impl HotOptions {
    fn new(role: Role, options: &Options) -> HotOptions {
        let hot = HotOptions {
            role,
            receive_timeout_ms: AtomicU32::new(0),
            send_timeout_ms: AtomicU32::new(0),
            send_queue_limit: AtomicU32::new(0),
            checks_sent_text: AtomicBool::new(true),
            manual_close: AtomicBool::new(false),
            most_at_rest: AtomicU32::new(0),
            most_at_once: AT_ONCE as u8,
        };
        hot.store(options);
        hot
    }

    /// Messages from this size on take the way on which they are compressed.
    fn allow_compression(&mut self, threshold: u32) {
        self.most_at_once = self.most_at_once.min(u8::try_from(threshold.saturating_sub(1)).unwrap_or(u8::MAX));
    }

    fn checks_sent_text(&self) -> bool {
        self.checks_sent_text.load(Ordering::Relaxed)
    }

    /// Who sends what is received, and how large a message may be that is delivered at rest.
    #[inline]
    fn at_rest(&self) -> (Role, u64) {
        (self.role.other(), self.most_at_rest.load(Ordering::Relaxed).into())
    }

    fn manual_close(&self) -> bool {
        self.manual_close.load(Ordering::Relaxed)
    }

    fn store(&self, options: &Options) {
        // Relaxed: each is independent, and a call that began earlier may use the old value.
        self.receive_timeout_ms.store(milliseconds(options.receive_timeout), Ordering::Relaxed);
        self.send_timeout_ms.store(milliseconds(options.send_timeout), Ordering::Relaxed);
        self.send_queue_limit.store(u32::try_from(options.send_queue_limit).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.checks_sent_text.store(options.check_sent_text, Ordering::Relaxed);
        self.manual_close.store(options.manual_close, Ordering::Relaxed);
        let most = options.max_message.and_then(|most| u32::try_from(most).ok()).unwrap_or(u32::MAX);
        self.most_at_rest.store(most, Ordering::Relaxed);
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

impl Connection {
    /// What was counted so far.
    pub fn statistics(&self) -> Statistics {
        let (received, receiving) = {
            let mut slot = self.receive.lock();
            (slot.counted(), slot.memory())
        };
        let outbox = self.outbox();
        let deflating = self.deflating.as_ref().map_or(0, |slot| slot.memory());
        let idle = (self.sources.now)().saturating_sub(outbox.keepalive.last_life());
        let queued = outbox.queued() as u64;
        let memory = size_of::<Connection>() + size_of::<Agreed>() + self.stream.memory() + receiving + deflating;
        Statistics {
            received,
            sent: outbox.counted,
            round_trips: outbox.round_trip_times(),
            idle,
            queued,
            queue_high_water: outbox.queue_high_water() as u64,
            memory: memory as u64 + queued,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_state_of_an_idle_connection_is_small() {
        // What is allocated for each: the connection with its counts, the half, what was agreed. Texts and the socket come on top.
        // Of it, 8 bytes are for the encryption that a plain one does not have.
        let counts = 2 * size_of::<usize>();
        let state = size_of::<Connection>() + counts + size_of::<ReceiveHalf>();
        assert!(state <= 488, "{state} bytes: Connection {}, ReceiveHalf {}", size_of::<Connection>(), size_of::<ReceiveHalf>());
    }
}
