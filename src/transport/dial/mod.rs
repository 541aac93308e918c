//! From a host name to a connected socket.
//!
//! In scope: looking a name up, one attempt to connect, and the race of several ([`Race`]). Out of scope: which name, through which proxy, and
//! who waits for how long.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use super::Stream;

mod race;

pub use race::{Race, RaceStep};

/// The address, if the host is one and no name.
pub fn literal(host: &str, port: u16) -> Option<SocketAddr> {
    host.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, port))
}

/// Looks a name up with the system's resolver, which honours hosts files and the like. Waits for as long as that takes.
pub fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in (host, port).to_socket_addrs()? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// After so long without a byte the system asks whether the peer's machine is still there: a router that forgets idle connections does not
/// forget this one, and a peer that lost its power is noticed even where no WebSocket ping is sent.
const TCP_KEEPALIVE: TcpKeepalive = TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));

/// How to connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct How {
    /// TCP_NODELAY.
    pub nodelay: bool,
    /// The own address to connect from.
    pub own_address: Option<IpAddr>,
}

/// One attempt to connect, under way.
#[derive(Debug)]
pub struct Attempt {
    socket: Socket,
}

impl Attempt {
    /// Begins to connect. Does not wait.
    pub fn begin(address: SocketAddr, how: How) -> io::Result<Attempt> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A system that cannot do it still connects.
        let _ = socket.set_tcp_keepalive(&TCP_KEEPALIVE);
        if let Some(own) = how.own_address {
            socket.bind(&SocketAddr::new(own, 0).into())?;
        }
        Attempt::connect(socket, &address.into())
    }

    /// Begins to connect to a socket of this machine, by its path. `WouldBlock`: its queue is full, and another attempt has to be made later.
    pub fn begin_local(path: &str) -> io::Result<Attempt> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&SockAddr::unix(path)?) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            _ => Ok(Attempt { socket }),
        }
    }

    fn connect(socket: Socket, address: &SockAddr) -> io::Result<Attempt> {
        socket.set_nonblocking(true)?;
        match socket.connect(address) {
            Ok(()) => {}
            Err(error) if is_in_progress(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(Attempt { socket })
    }

    /// How it ended; `None` while it is under way.
    pub fn outcome(&self) -> Option<io::Result<()>> {
        match self.socket.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return Some(Err(error)),
        }
        match self.socket.peer_addr() {
            Ok(_) => Some(Ok(())),
            // A socket that is still connecting has no peer.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// The connection, once it is made.
    pub fn into_stream(self, nodelay: bool) -> io::Result<Stream> {
        Stream::new(self.socket, nodelay)
    }

    /// The socket, which becomes writable when the attempt has ended.
    pub fn as_descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::EINPROGRESS)
}
