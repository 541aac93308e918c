//! A connected socket: the bytes in and out, and the little that differs between systems.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::Socket;

use super::wait::{self, Interest, Patience, Wake, Woken};

/// How long a call on the socket itself may wait: the hot path is then one system call, and a cancelled wait ends soon. Shorter ones
/// last much longer than asked for (1 ms becomes 8, 20 becomes 24, with a kernel tick of 4 ms).
const SLICE: Duration = Duration::from_millis(20);

/// A connected stream of bytes. All calls take `&self`: one thread may receive while another sends.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
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
        Ok(Stream { socket })
    }

    /// Takes a connected socket for a loop: no call on it ever waits, so it needs no time limit of its own.
    pub fn for_loop(socket: Socket, nodelay: bool) -> io::Result<Stream> {
        let _ = socket.set_tcp_nodelay(nodelay);
        #[cfg(any(target_os = "macos", target_os = "ios"))]
        socket.set_nosigpipe(true)?;
        Ok(Stream { socket })
    }

    /// Receives into two pieces of memory; 0 = the peer has ended its side.
    #[inline]
    pub fn receive(&self, first: &mut [u8], second: &mut [u8], patience: Patience) -> io::Result<usize> {
        wait::receive(self.socket.as_fd(), first, second, patience)
    }

    /// Sends from two pieces of memory; possibly less than all.
    #[inline]
    pub fn send(&self, first: &[u8], second: &[u8], patience: Patience) -> io::Result<usize> {
        wait::send(self.socket.as_fd(), first, second, patience)
    }

    /// Sends from many pieces of memory; possibly less than all.
    pub fn send_parts(&self, header: &[u8], first: &[u8], rest: &[&[u8]], patience: Patience) -> io::Result<usize> {
        wait::send_parts(self.socket.as_fd(), header, first, rest, patience)
    }

    /// Waits for the socket, the bell, or the time.
    pub fn wait(&self, interest: Interest, wake: &Wake, timeout: Option<Duration>) -> io::Result<Woken> {
        wait::wait_any(&[self.as_descriptor()], interest, wake, timeout)
    }

    /// Nothing more will be sent.
    pub fn end_sending(&self) {
        // A connection that is gone already cannot be ended again.
        let _ = self.socket.shutdown(Shutdown::Write);
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
        self.socket.local_addr().map(|address| address_text(address.as_socket()))
    }

    /// The peer's address.
    pub fn remote_address(&self) -> io::Result<String> {
        self.socket.peer_addr().map(|address| address_text(address.as_socket()))
    }

    /// The descriptor, for waiting on many.
    pub fn as_descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `127.0.0.1:8000`, `[::1]:8000`; empty for a socket that has no such address.
fn address_text(address: Option<SocketAddr>) -> String {
    address.map_or_else(String::new, |address| match address {
        // A dual-stack listener sees IPv4 peers in this dress.
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => format!("{v4}:{}", v6.port()),
            None => v6.to_string(),
        },
        SocketAddr::V4(v4) => v4.to_string(),
    })
}
