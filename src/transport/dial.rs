//! From a host name to a connected socket.
//!
//! In scope: looking a name up, and one attempt to connect. Out of scope: in which order addresses are tried and for how long,
//! which is decided above, where the deadlines are.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::Stream;
use super::wait::{self, Interest, Wake, Woken};
use std::os::fd::AsFd;

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

/// One attempt to connect, under way.
#[derive(Debug)]
pub struct Attempt {
    socket: Socket,
}

impl Attempt {
    /// Begins to connect. Does not wait.
    pub fn begin(address: SocketAddr) -> io::Result<Attempt> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if is_in_progress(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(Attempt { socket })
    }

    /// Waits for the outcome, the bell, or the time.
    pub fn wait(&self, wake: &Wake, timeout: Option<Duration>) -> io::Result<Woken> {
        wait::wait_any(&[self.socket.as_fd()], Interest::WRITE, wake, timeout)
    }

    /// The outcome, once a wait said that it is there.
    pub fn finish(self, nodelay: bool) -> io::Result<Stream> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        // A socket that is still connecting has no peer.
        self.socket.peer_addr()?;
        Stream::new(self.socket, nodelay)
    }
}

fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::EINPROGRESS)
}
