//! UNSAFE ISLAND: the system calls of a wait, which std does not offer, or offers in a way that kills a C host.
//!
//! `send` and `sendmsg` with MSG_NOSIGNAL, `recv` and `recvmsg` (std's `writev` raises SIGPIPE), `poll` over a socket and a wake descriptor, and that
//! descriptor. Every block passes pointers to live slices and checks the result; nothing here keeps a pointer.
//!
//! Out of scope: which deadline applies, and what a thread does when it is woken.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use crate::process::Process;

/// What a wait waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interest {
    /// Bytes, a connection, or the end.
    pub read: bool,
    /// Room to write.
    pub write: bool,
}

impl Interest {
    /// Bytes to read.
    pub const READ: Interest = Interest { read: true, write: false };
    /// Room to write.
    pub const WRITE: Interest = Interest { read: false, write: true };

    fn events(self) -> libc::c_short {
        let read = if self.read { libc::POLLIN } else { 0 };
        let write = if self.write { libc::POLLOUT } else { 0 };
        read | write
    }
}

/// Whether a call on a socket may wait for as long as the socket's own timeout (one slice).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// Return at once.
    None,
    /// Wait for at most a slice.
    Slice,
}

/// Why a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// The socket has something, or has failed.
    Ready,
    /// Another thread rang.
    Rung,
    /// The time is up.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

/// Waits until one of the sockets is ready, `wake` is rung, or the time is up.
pub fn wait_any(sockets: &[BorrowedFd<'_>], interest: Interest, wake: &Wake, timeout: Option<Duration>) -> io::Result<Woken> {
    poll_first(sockets.iter().map(|socket| (*socket, interest)), wake, timeout)
}

/// The same, with an interest for each of the sockets.
pub fn wait_some(sockets: &[(BorrowedFd<'_>, Interest)], wake: &Wake, timeout: Option<Duration>) -> io::Result<Woken> {
    poll_first(sockets.iter().copied(), wake, timeout)
}

fn poll_first<'s>(
    sockets: impl ExactSizeIterator<Item = (BorrowedFd<'s>, Interest)>,
    wake: &Wake,
    timeout: Option<Duration>,
) -> io::Result<Woken> {
    let entry = |descriptor: BorrowedFd<'_>, events| libc::pollfd { fd: descriptor.as_raw_fd(), events, revents: 0 };
    let mut entries = [entry(wake.0.as_fd(), libc::POLLIN); MAX_SOCKETS + 1];
    let count = sockets.len().min(MAX_SOCKETS) + 1;
    for (slot, (socket, interest)) in entries[1..].iter_mut().zip(sockets) {
        *slot = entry(socket, interest.events());
    }
    let timeout = match timeout {
        None => -1,
        // Rounded up: a wait that ends early would be repeated with a timeout of zero until the time is really up.
        Some(time) => libc::c_int::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX),
    };
    // SAFETY: the array lives across the call and holds at least `count` entries.
    let ready = unsafe { libc::poll(entries.as_mut_ptr(), count as libc::nfds_t, timeout) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok(Woken::Interrupted) } else { Err(error) };
    }
    if entries[0].revents != 0 {
        wake.drain();
        return Ok(Woken::Rung);
    }
    Ok(if ready == 0 { Woken::TimedOut } else { Woken::Ready })
}

/// Waits until some of the sockets are ready, `wake` is rung, or the time is up; the positions of those that are ready.
pub fn wait_each(sockets: &[(BorrowedFd<'_>, Interest)], wake: &Wake, timeout: Duration) -> io::Result<Vec<usize>> {
    let bell = libc::pollfd { fd: wake.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let entry = |(socket, interest): &(BorrowedFd<'_>, Interest)| libc::pollfd {
        // A negative descriptor is passed over: nothing is waited for there.
        fd: if interest.events() == 0 { -1 } else { socket.as_raw_fd() },
        events: interest.events(),
        revents: 0,
    };
    let mut entries: Vec<libc::pollfd> = std::iter::once(bell).chain(sockets.iter().map(entry)).collect();
    let timeout = libc::c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX);
    // SAFETY: the vector lives across the call and holds as many entries as it says.
    let ready = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, timeout) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok(Vec::new()) } else { Err(error) };
    }
    if entries[0].revents != 0 {
        wake.drain();
    }
    Ok((0..sockets.len()).filter(|position| entries[position + 1].revents != 0).collect())
}

/// The most sockets one wait watches: a listener binds one a family, an opening tries six addresses at a time.
pub const MAX_SOCKETS: usize = 8;

/// Receives into two pieces of memory, one after the other; 0 = the end.
#[inline]
pub fn receive(socket: BorrowedFd<'_>, first: &mut [u8], second: &mut [u8], patience: Patience) -> io::Result<usize> {
    if second.is_empty() {
        let flags = if patience == Patience::None { libc::MSG_DONTWAIT } else { 0 };
        // SAFETY: one live, exclusively borrowed slice; the kernel writes no further than its length.
        let received = unsafe { recv(socket.as_raw_fd(), first.as_mut_ptr().cast(), first.len(), flags) };
        return usize::try_from(received).map_err(|_| io::Error::last_os_error());
    }
    let mut parts = [
        libc::iovec { iov_base: first.as_mut_ptr().cast(), iov_len: first.len() },
        libc::iovec { iov_base: second.as_mut_ptr().cast(), iov_len: second.len() },
    ];
    let flags = if patience == Patience::None { libc::MSG_DONTWAIT } else { 0 };
    let mut message = message(&mut parts);
    // SAFETY: the message points to two live, exclusively borrowed slices; the kernel writes no further than their lengths.
    let received = unsafe { recvmsg(socket.as_raw_fd(), &mut message, flags) };
    usize::try_from(received).map_err(|_| io::Error::last_os_error())
}

/// Sends two pieces of memory, one after the other, without ever raising SIGPIPE.
#[inline]
pub fn send(socket: BorrowedFd<'_>, first: &[u8], second: &[u8], patience: Patience) -> io::Result<usize> {
    if second.is_empty() {
        let flags = NO_SIGNAL | if patience == Patience::None { libc::MSG_DONTWAIT } else { 0 };
        // SAFETY: one live slice, which send only reads.
        let sent = unsafe { send_one(socket.as_raw_fd(), first.as_ptr().cast(), first.len(), flags) };
        return usize::try_from(sent).map_err(|_| io::Error::last_os_error());
    }
    let mut parts = [
        libc::iovec { iov_base: first.as_ptr().cast_mut().cast(), iov_len: first.len() },
        libc::iovec { iov_base: second.as_ptr().cast_mut().cast(), iov_len: second.len() },
    ];
    let flags = NO_SIGNAL | if patience == Patience::None { libc::MSG_DONTWAIT } else { 0 };
    let message = message(&mut parts);
    // SAFETY: the message points to two live slices, which sendmsg only reads.
    let sent = unsafe { sendmsg(socket.as_raw_fd(), &message, flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// The most pieces that one call sends; what is left goes with the next.
const MAX_PARTS: usize = 64;

/// Sends many pieces of memory, one after the other, without ever raising SIGPIPE.
pub fn send_parts(socket: BorrowedFd<'_>, header: &[u8], first: &[u8], rest: &[&[u8]], patience: Patience) -> io::Result<usize> {
    let entry = |part: &[u8]| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() };
    let mut parts = [entry(&[]); MAX_PARTS];
    (parts[0], parts[1]) = (entry(header), entry(first));
    for (slot, part) in parts[2..].iter_mut().zip(rest) {
        *slot = entry(part);
    }
    let flags = NO_SIGNAL | if patience == Patience::None { libc::MSG_DONTWAIT } else { 0 };
    // SAFETY: as in `message`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = parts.as_mut_ptr();
    message.msg_iovlen = (rest.len() + 2).min(MAX_PARTS) as _;
    // SAFETY: the message points to live slices, which sendmsg only reads.
    let sent = unsafe { sendmsg(socket.as_raw_fd(), &message, flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// On Linux the system call itself: libc's functions are cancellation points, so that a host which cancels its threads would unwind through
/// this library; and they spend some thirty instructions on it in every process with threads.
#[cfg(target_os = "linux")]
#[inline]
unsafe fn recvmsg(socket: libc::c_int, message: *mut libc::msghdr, flags: libc::c_int) -> isize {
    // SAFETY: the caller's promise, that of recvmsg.
    unsafe { libc::syscall(libc::SYS_recvmsg, socket, message, flags) as isize }
}

#[cfg(target_os = "linux")]
#[inline]
unsafe fn sendmsg(socket: libc::c_int, message: *const libc::msghdr, flags: libc::c_int) -> isize {
    // SAFETY: the caller's promise, that of sendmsg.
    unsafe { libc::syscall(libc::SYS_sendmsg, socket, message, flags) as isize }
}

/// One piece of memory needs no message header: two hundred nanoseconds less for a small send.
#[cfg(target_os = "linux")]
#[inline]
unsafe fn recv(socket: libc::c_int, room: *mut libc::c_void, length: usize, flags: libc::c_int) -> isize {
    // SAFETY: the caller's promise, that of recv.
    unsafe { libc::syscall(libc::SYS_recvfrom, socket, room, length, flags, 0usize, 0usize) as isize }
}

#[cfg(target_os = "linux")]
#[inline]
unsafe fn send_one(socket: libc::c_int, bytes: *const libc::c_void, length: usize, flags: libc::c_int) -> isize {
    // SAFETY: the caller's promise, that of send.
    unsafe { libc::syscall(libc::SYS_sendto, socket, bytes, length, flags, 0usize, 0usize) as isize }
}

#[cfg(not(target_os = "linux"))]
use libc::{recv, recvmsg, send as send_one, sendmsg};

#[cfg(any(target_os = "macos", target_os = "ios"))]
const NO_SIGNAL: libc::c_int = 0; // SO_NOSIGPIPE is set on the socket instead
#[cfg(not(any(target_os = "macos", target_os = "ios")))]
const NO_SIGNAL: libc::c_int = libc::MSG_NOSIGNAL;

#[inline]
fn message(parts: &mut [libc::iovec; 2]) -> libc::msghdr {
    // SAFETY: msghdr is plain data, for which all zeroes means "no address, no control data".
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = parts.as_mut_ptr();
    message.msg_iovlen = parts.len() as _;
    message
}

/// A descriptor by which other threads end a thread's wait.
#[derive(Debug)]
pub struct Wake(OwnedFd, Option<OwnedFd>);

thread_local! {
    static OWN_WAKE: RefCell<Option<(Process, Arc<Wake>)>> = const { RefCell::new(None) };
}

impl Wake {
    /// The descriptor of the calling thread, made on its first wait.
    pub fn of_this_thread() -> io::Result<Arc<Wake>> {
        OWN_WAKE.with_borrow_mut(|own| match own {
            Some((process, wake)) if *process == Process::current() => Ok(Arc::clone(wake)),
            // A child shares its parent's descriptor, and would swallow its rings.
            _ => Ok(Arc::clone(&own.insert((Process::current(), Arc::new(Wake::new()?))).1)),
        })
    }

    /// Another one, for a thread that is to be woken for all it does.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn new() -> io::Result<Wake> {
        // SAFETY: no pointers; the result is checked, and owned by nobody else.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh, valid descriptor.
        Ok(Wake(unsafe { OwnedFd::from_raw_fd(descriptor) }, None))
    }

    /// Another one, for a thread that is to be woken for all it does.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub fn new() -> io::Result<Wake> {
        let mut ends = [0; 2];
        // SAFETY: pipe writes two descriptors into the array.
        if unsafe { libc::pipe(ends.as_mut_ptr()) } < 0 {
            return Err(io::Error::last_os_error());
        }
        for end in ends {
            // SAFETY: fresh descriptors; fcntl takes no pointers here.
            unsafe {
                libc::fcntl(end, libc::F_SETFD, libc::FD_CLOEXEC);
                libc::fcntl(end, libc::F_SETFL, libc::O_NONBLOCK);
            }
        }
        // SAFETY: fresh, valid descriptors, owned by nobody else.
        unsafe { Ok(Wake(OwnedFd::from_raw_fd(ends[0]), Some(OwnedFd::from_raw_fd(ends[1])))) }
    }

    /// Ends the thread's wait, or its next one. Never waits.
    pub fn ring(&self) {
        let descriptor = self.1.as_ref().unwrap_or(&self.0).as_raw_fd();
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight live bytes. A full pipe or counter means the bell is ringing already, so the result does not matter;
        // write is safe on these descriptors: the reading end is ours, so no SIGPIPE.
        unsafe { libc::write(descriptor, one.as_ptr().cast(), one.len()) };
    }

    fn drain(&self) {
        let mut bytes = [0u8; 64];
        // SAFETY: 64 live bytes; the descriptor never blocks.
        unsafe { libc::read(self.0.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_ring_ends_the_wait_it_precedes() {
        let (left, _right) = UnixStream::pair().unwrap();
        let wake = Wake::new().unwrap();
        wake.ring();
        wake.ring();
        assert_eq!(wait_any(&[left.as_fd()], Interest::READ, &wake, None).unwrap(), Woken::Rung);
        assert_eq!(wait_any(&[left.as_fd()], Interest::READ, &wake, Some(Duration::ZERO)).unwrap(), Woken::TimedOut);
        assert_eq!(wait_any(&[left.as_fd()], Interest::WRITE, &wake, None).unwrap(), Woken::Ready);
    }

    #[test]
    fn bytes_go_through_two_parts_on_either_side() {
        let (left, right) = UnixStream::pair().unwrap();
        assert_eq!(send(left.as_fd(), b"head", b"payload", Patience::None).unwrap(), 11);
        let (mut first, mut second) = ([0; 3], [0; 20]);
        assert_eq!(receive(right.as_fd(), &mut first, &mut second, Patience::None).unwrap(), 11);
        assert_eq!((&first, &second[..8]), (b"hea", b"dpayload".as_slice()));
        let empty = receive(right.as_fd(), &mut first, &mut [], Patience::None);
        assert_eq!(empty.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn writing_to_a_closed_peer_is_an_error_and_not_a_signal() {
        let (left, right) = UnixStream::pair().unwrap();
        drop(right);
        // SAFETY: Rust's runtime ignores SIGPIPE; a C host does not, so the test restores the default.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        assert_eq!(send(left.as_fd(), b"a", b"b", Patience::None).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
