//! A connected socket: the bytes in and out, plain or encrypted, and the little that differs between systems.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{SockAddr, Socket};

use super::tls::{Secured, Security};
use super::wait::{self, Interest, Patience, Wake, Woken};

/// How long a call on the socket itself may wait: the hot path is then one system call, and a cancelled wait ends soon. Shorter ones
/// last much longer than asked for (1 ms becomes 8, 20 becomes 24, with a kernel tick of 4 ms).
const SLICE: Duration = Duration::from_millis(20);

/// The most pieces that one call encrypts; what is left goes with the next.
const MOST_PIECES: usize = 64;

/// A connected stream of bytes. All calls take `&self`: one thread may receive while another sends.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    encryption: Option<Box<Secured>>,
}

impl Stream {
    /// Takes a connected socket and makes it ready for blocking use.
    pub fn new(socket: Socket, nodelay: bool) -> io::Result<Stream> {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(SLICE))?;
        socket.set_write_timeout(Some(SLICE))?;
        // A socket that is not TCP (a socket pair of a test or of the program's) has no such option.
        let _ = socket.set_tcp_nodelay(nodelay);
        #[cfg(any(target_os = "macos", target_os = "ios"))]
        socket.set_nosigpipe(true)?;
        Ok(Stream { socket, encryption: None })
    }

    /// Takes a connected socket for a loop: no call on it ever waits, so it needs no time limit of its own.
    pub fn for_loop(socket: Socket, nodelay: bool) -> io::Result<Stream> {
        let _ = socket.set_tcp_nodelay(nodelay);
        #[cfg(any(target_os = "macos", target_os = "ios"))]
        socket.set_nosigpipe(true)?;
        Ok(Stream { socket, encryption: None })
    }

    /// Receives into two pieces of memory; 0 = the peer has ended its side.
    #[inline(always)]
    pub fn receive(&self, first: &mut [u8], second: &mut [u8], patience: Patience) -> io::Result<usize> {
        if self.encryption.is_none() {
            return wait::receive(self.socket.as_fd(), first, second, patience);
        }
        self.receive_secured(first, second, patience)
    }

    #[inline(never)]
    fn receive_secured(&self, first: &mut [u8], second: &mut [u8], patience: Patience) -> io::Result<usize> {
        match &self.encryption {
            None => wait::receive(self.socket.as_fd(), first, second, patience),
            Some(secured) => secured.receive(&self.socket, first, second, patience),
        }
    }

    /// Sends from two pieces of memory; possibly less than all. What is left must come again, as the beginning of the next call: encrypted
    /// bytes can only be sent as they are.
    #[inline(always)]
    pub fn send(&self, first: &[u8], second: &[u8], patience: Patience) -> io::Result<usize> {
        if self.encryption.is_none() {
            return wait::send(self.socket.as_fd(), first, second, patience);
        }
        self.send_secured(first, second, patience)
    }

    #[inline(never)]
    fn send_secured(&self, first: &[u8], second: &[u8], patience: Patience) -> io::Result<usize> {
        match &self.encryption {
            None => wait::send(self.socket.as_fd(), first, second, patience),
            Some(secured) => secured.send(&self.socket, &mut [first, second], patience),
        }
    }

    /// Sends from many pieces of memory; as `send`.
    pub fn send_parts(&self, header: &[u8], first: &[u8], rest: &[&[u8]], patience: Patience) -> io::Result<usize> {
        let Some(secured) = &self.encryption else {
            return wait::send_parts(self.socket.as_fd(), header, first, rest, patience);
        };
        let mut pieces = [&[][..]; MOST_PIECES];
        (pieces[0], pieces[1]) = (header, first);
        let count = rest.len().min(MOST_PIECES - 2);
        pieces[2..count + 2].copy_from_slice(&rest[..count]);
        secured.send(&self.socket, &mut pieces[..count + 2], patience)
    }

    /// Waits for the socket, the bell, or the time.
    pub fn wait(&self, interest: Interest, wake: &Wake, timeout: Option<Duration>) -> io::Result<Woken> {
        wait::wait_any(&[self.as_descriptor()], interest, wake, timeout)
    }

    /// Nothing more will be sent. What of that the socket does not take at once leaves with `flush`.
    pub fn end_sending(&self) {
        match &self.encryption {
            // A connection that is gone already cannot be ended again.
            None => drop(self.socket.shutdown(Shutdown::Write)),
            Some(secured) => secured.end_sending(&self.socket),
        }
    }

    /// Whether the encryption has something to send by itself: an alert, a ticket, the end.
    #[inline]
    pub fn wants_write(&self) -> bool {
        self.encryption.as_ref().is_some_and(|secured| secured.wants_write())
    }

    /// Sends what the encryption has to send by itself. Only for whoever may send now.
    pub fn flush(&self, patience: Patience) -> io::Result<()> {
        self.encryption.as_ref().map_or(Ok(()), |secured| secured.flush(&self.socket, patience))
    }

    /// Whether a receive may have something to deliver though the socket never becomes readable again. `was_filled`: the last one took all that it
    /// had room for, which says nothing where bytes are encrypted.
    #[inline]
    pub fn may_have_more(&self, was_filled: bool) -> bool {
        self.encryption.as_ref().map_or(was_filled, |secured| secured.may_have_more())
    }

    /// Whether bytes come as they are.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.encryption.is_none()
    }

    /// Receives bytes as they come from the network, and throws them away; 0 = the end. Nothing else can be received after that.
    pub fn discard(&self, patience: Patience) -> io::Result<usize> {
        wait::receive(self.socket.as_fd(), &mut [0; 4096], &mut [], patience)
    }

    /// What is known of the encryption, if there is one.
    pub fn security(&self) -> Option<Security> {
        self.encryption.as_ref().map(|secured| secured.security())
    }

    /// Whether the encryption is still being agreed on.
    #[cfg(feature = "tls")]
    pub(super) fn is_handshaking(&self) -> bool {
        self.encryption.as_ref().is_some_and(|secured| secured.is_handshaking())
    }

    /// One read of a handshake.
    #[cfg(feature = "tls")]
    pub(super) fn take_in(&self) -> io::Result<()> {
        self.encryption.as_ref().map_or(Ok(()), |secured| secured.take_in(&self.socket))
    }

    /// The same stream, encrypted from now on.
    #[cfg(feature = "tls")]
    pub(super) fn with_encryption(self, secured: Secured) -> Stream {
        Stream { encryption: Some(Box::new(secured)), ..self }
    }

    /// Bytes that this stream owns beside its socket.
    pub fn memory(&self) -> usize {
        self.encryption.as_ref().map_or(0, |secured| secured.memory())
    }

    /// Ends both directions; wakes whoever waits on the socket. The descriptor stays until the last user is gone.
    pub fn shut_down(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Changes TCP_NODELAY.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.set_tcp_nodelay(nodelay)
    }

    /// This side's address.
    pub fn local_address(&self) -> io::Result<String> {
        self.socket.local_addr().map(|address| address_text(&address))
    }

    /// The peer's address.
    pub fn remote_address(&self) -> io::Result<String> {
        self.socket.peer_addr().map(|address| address_text(&address))
    }

    /// The descriptor, for waiting on many.
    pub fn as_descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `127.0.0.1:8000`, `[::1]:8000`, `/path/to.sock`; empty for a socket that has no such address.
fn address_text(address: &SockAddr) -> String {
    match address.as_socket() {
        // A dual-stack listener sees IPv4 peers in this dress.
        Some(SocketAddr::V6(v6)) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => format!("{v4}:{}", v6.port()),
            None => v6.to_string(),
        },
        Some(SocketAddr::V4(v4)) => v4.to_string(),
        None => address.as_pathname().map_or_else(String::new, |path| path.to_string_lossy().into_owned()),
    }
}
