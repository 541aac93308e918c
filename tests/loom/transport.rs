//! What stands in for `src/transport`: sockets and bells of a machine that has no time. The bells are the real ones.
//!
//! A read or write that may wait for a slice finds its slice over at once; a wait lasts until something happens. So whatever a thread is not
//! woken for, it never learns, and loom calls that a deadlock.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use loom::sync::{Condvar, Mutex, MutexGuard};

#[path = "../../src/transport/bells.rs"]
pub mod bells;

pub use bells::Bells;
pub use ws101::transport::{Interest, Patience, Woken};

/// One lock for the whole machine, as `poll` looks at everything at once.
#[derive(Default)]
struct Kernel {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    rung: Vec<bool>,
    sockets: Vec<Socket>,
}

#[derive(Default)]
struct Socket {
    incoming: VecDeque<u8>,
    outgoing: Vec<u8>,
    /// What the peer still takes before it has to read.
    room: usize,
    peer_has_ended: bool,
    is_shut_down: bool,
    has_ended: bool,
    /// The peer's answer to a close frame, after which it ends the connection.
    answer: Vec<u8>,
}

loom::lazy_static! {
    static ref KERNEL: Kernel = Kernel::default();
}

loom::thread_local! {
    static OWN_WAKE: Arc<Wake> = Arc::new(Wake::new().expect("it costs nothing"));
}

fn kernel() -> MutexGuard<'static, State> {
    KERNEL.state.lock().expect("loom poisons nothing")
}

/// The most that one write takes, so that frames leave in pieces.
const GRAIN: usize = 4;

/// A connected socket.
#[derive(Debug)]
pub struct Stream(usize);

impl Stream {
    /// With a peer that takes `room` bytes before it reads.
    pub fn open(room: usize) -> Stream {
        let mut state = kernel();
        state.sockets.push(Socket { room, ..Socket::default() });
        Stream(state.sockets.len() - 1)
    }

    /// The peer sends these bytes.
    pub fn peer_sends(&self, bytes: &[u8]) {
        kernel().sockets[self.0].incoming.extend(bytes);
        KERNEL.changed.notify_all();
    }

    /// The peer reads, which makes room for as many more.
    pub fn peer_takes(&self, count: usize) {
        kernel().sockets[self.0].room += count;
        KERNEL.changed.notify_all();
    }

    /// The peer will answer a close frame with these bytes, and end the connection.
    pub fn peer_answers_close(&self, answer: &[u8]) {
        kernel().sockets[self.0].answer = answer.to_vec();
    }

    /// What has left so far.
    pub fn sent(&self) -> Vec<u8> {
        kernel().sockets[self.0].outgoing.clone()
    }

    pub fn receive(&self, first: &mut [u8], second: &mut [u8], _: Patience) -> io::Result<usize> {
        let mut state = kernel();
        let socket = &mut state.sockets[self.0];
        if socket.incoming.is_empty() {
            let is_over = socket.peer_has_ended || socket.is_shut_down;
            return if is_over { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let count = socket.incoming.len().min(first.len() + second.len());
        for (slot, byte) in first.iter_mut().chain(second).zip(socket.incoming.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }

    pub fn send(&self, first: &[u8], second: &[u8], patience: Patience) -> io::Result<usize> {
        self.send_parts(first, second, &[], patience)
    }

    pub fn send_parts(&self, header: &[u8], first: &[u8], rest: &[&[u8]], _: Patience) -> io::Result<usize> {
        let mut state = kernel();
        let socket = &mut state.sockets[self.0];
        if socket.is_shut_down || socket.has_ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if socket.room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = socket.outgoing.len();
        let room = socket.room.min(GRAIN);
        socket.outgoing.extend(header.iter().chain(first).chain(rest.iter().copied().flatten()).take(room));
        let sent = socket.outgoing.len() - before;
        socket.room -= sent;
        if !socket.answer.is_empty() && frames(&socket.outgoing).iter().any(|frame| frame.0 == 0x88) {
            let answer = std::mem::take(&mut socket.answer);
            socket.incoming.extend(answer);
            socket.peer_has_ended = true;
            KERNEL.changed.notify_all();
        }
        Ok(sent)
    }

    pub fn wait(&self, interest: Interest, wake: &Wake, timeout: Option<Duration>) -> io::Result<Woken> {
        let mut state = kernel();
        loop {
            if std::mem::take(&mut state.rung[wake.0]) {
                return Ok(Woken::Rung);
            }
            let socket = &state.sockets[self.0];
            let can_read = !socket.incoming.is_empty() || socket.peer_has_ended || socket.is_shut_down;
            let can_write = socket.room > 0 || socket.is_shut_down;
            if interest.read && can_read || interest.write && can_write {
                return Ok(Woken::Ready);
            }
            if timeout == Some(Duration::ZERO) {
                return Ok(Woken::TimedOut);
            }
            state = KERNEL.changed.wait(state).expect("loom poisons nothing");
        }
    }

    pub fn end_sending(&self) {
        kernel().sockets[self.0].has_ended = true;
    }

    pub fn shut_down(&self) {
        kernel().sockets[self.0].is_shut_down = true;
        KERNEL.changed.notify_all();
    }

    pub fn set_nodelay(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    pub fn local_address(&self) -> io::Result<String> {
        Ok(String::new())
    }

    pub fn remote_address(&self) -> io::Result<String> {
        Ok(String::new())
    }

    pub fn as_descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        unreachable!("no model dials")
    }
}

/// The whole frames of a server, by their first byte and payload; all of them short. Half a frame at the end is left out.
pub fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, length, rest @ ..] = bytes {
        assert!(*length < 126, "a long or masked frame: {bytes:?}");
        let Some(payload) = rest.get(..usize::from(*length)) else { break };
        frames.push((*first, payload.to_vec()));
        bytes = &rest[payload.len()..];
    }
    frames
}

/// By which other threads end a thread's wait.
#[derive(Debug)]
pub struct Wake(usize);

impl Wake {
    pub fn new() -> io::Result<Wake> {
        let mut state = kernel();
        state.rung.push(false);
        Ok(Wake(state.rung.len() - 1))
    }

    pub fn of_this_thread() -> io::Result<Arc<Wake>> {
        Ok(OWN_WAKE.with(Arc::clone))
    }

    pub fn ring(&self) {
        kernel().rung[self.0] = true;
        KERNEL.changed.notify_all();
    }

    /// Sleeps until it is rung.
    pub fn sleep(&self) {
        let mut state = kernel();
        while !std::mem::take(&mut state.rung[self.0]) {
            state = KERNEL.changed.wait(state).expect("loom poisons nothing");
        }
    }
}

// ---- what the sources name, and models use little of: names, dialling and listening ------------------------------------------------------------------

pub mod wait {
    use super::*;

    pub fn wait_any(_: &[()], _: Interest, _: &Wake, _: Option<Duration>) -> io::Result<Woken> {
        unreachable!("no model looks a name up")
    }

    pub fn wait_some(_: &[(std::os::fd::BorrowedFd<'_>, Interest)], _: &Wake, _: Option<Duration>) -> io::Result<Woken> {
        unreachable!("no model dials")
    }
}

pub mod dial {
    use super::*;
    use std::net::SocketAddr;

    pub fn literal(_: &str, _: u16) -> Option<SocketAddr> {
        unreachable!("no model dials")
    }

    pub fn resolve(_: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        unreachable!("no model dials")
    }

    #[derive(Clone, Copy)]
    pub struct How {
        pub nodelay: bool,
        pub own_address: Option<std::net::IpAddr>,
    }

    #[derive(Debug)]
    pub struct Race;

    pub enum RaceStep {
        Won(Stream),
        Running,
        Lost,
    }

    impl Race {
        pub fn new(_: Vec<SocketAddr>, _: How, _: Option<Duration>, _: Duration) -> Race {
            unreachable!("no model dials")
        }

        pub fn step(&mut self, _: Duration) -> RaceStep {
            unreachable!("no model dials")
        }

        pub fn descriptors(&self) -> impl Iterator<Item = std::os::fd::BorrowedFd<'_>> {
            std::iter::empty()
        }

        pub fn until(&self) -> Option<Duration> {
            unreachable!("no model dials")
        }

        pub fn into_error(self, _: &str, _: ws101::error::Phase, _: Duration) -> ws101::error::Error {
            unreachable!("no model dials")
        }
    }
}

pub mod listen {
    use super::*;

    /// To which nobody connects.
    pub struct ListenSockets;

    impl ListenSockets {
        pub fn accept(&self, _: bool) -> io::Result<Stream> {
            Err(io::ErrorKind::WouldBlock.into())
        }

        pub fn wait(&self, wake: &Wake, _: Option<Duration>) -> io::Result<Woken> {
            wake.sleep();
            Ok(Woken::Rung)
        }
    }
}
