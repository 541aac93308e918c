//! Listening sockets: one for every address a host stands for.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::wait::{self, Interest, Wake, Woken};
use super::{Stream, dial};

/// Connections that may wait to be accepted; the system cuts it to its own limit.
const BACKLOG: i32 = 1024;

/// Where a listener listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Host<'a> {
    /// Every interface, both families.
    Any,
    /// The addresses of a name or literal.
    Named(&'a str),
}

/// The sockets of one listener, all with the same port.
#[derive(Debug)]
pub struct ListenSockets {
    sockets: Vec<Socket>,
    port: u16,
}

/// Why nobody listens.
#[derive(Debug)]
pub enum BindError {
    /// The name has no address.
    Name(io::Error),
    /// No address could be bound, or one is taken.
    Address(io::Error),
}

impl ListenSockets {
    /// Binds and listens. Port 0 = one that is free, the same for every address.
    pub fn bind(host: Host<'_>, port: u16) -> Result<ListenSockets, BindError> {
        let mut addresses = match host {
            Host::Any => vec![SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)],
            Host::Named(name) => match dial::literal(name, port) {
                Some(address) => vec![address],
                None => dial::resolve(name, port).map_err(BindError::Name)?,
            },
        };
        addresses.truncate(wait::MAX_SOCKETS);
        ListenSockets::bind_all(host, port, addresses).map_err(BindError::Address)
    }

    fn bind_all(host: Host<'_>, port: u16, addresses: Vec<SocketAddr>) -> io::Result<ListenSockets> {
        let mut this = ListenSockets { sockets: Vec::new(), port };
        let mut first_error = None;
        for mut address in addresses {
            address.set_port(this.port);
            match bind_one(address) {
                Ok(socket) => this.push(socket)?,
                // A machine without IPv6 still listens on IPv4.
                Err(error) if host == Host::Any && is_family_missing(&error) => {
                    this.push(bind_one(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))?)?
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        match (this.sockets.is_empty(), first_error) {
            // A name of two families of which one is not there is enough; a port that is taken is not.
            (_, Some(error)) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
            (true, Some(error)) => Err(error),
            (true, None) => Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address")),
            (false, _) => Ok(this),
        }
    }

    fn push(&mut self, socket: Socket) -> io::Result<()> {
        let address = socket.local_addr()?;
        self.port = address.as_socket().map_or(self.port, |address| address.port());
        self.sockets.push(socket);
        Ok(())
    }

    /// The port that was bound.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The first address that was bound.
    pub fn local_address(&self) -> io::Result<String> {
        let address = self.sockets[0].local_addr()?;
        Ok(address.as_socket().map_or_else(String::new, |address| address.to_string()))
    }

    /// Takes a connection that waits; `WouldBlock` if none does.
    pub fn accept(&self, nodelay: bool) -> io::Result<Stream> {
        self.accept_as(|socket| Stream::new(socket, nodelay))
    }

    /// The same, for a loop, on which no call ever waits.
    pub fn accept_for_loop(&self, nodelay: bool) -> io::Result<Stream> {
        self.accept_as(|socket| Stream::for_loop(socket, nodelay))
    }

    /// The sockets, for waiting on them.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(AsFd::as_fd)
    }

    /// Nobody else may connect.
    pub fn stop(&self) {
        for socket in &self.sockets {
            // Where a listening socket cannot be shut down, connections wait in vain until it is closed.
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }

    fn accept_as(&self, take: impl Fn(Socket) -> io::Result<Stream>) -> io::Result<Stream> {
        let mut result = Err(io::ErrorKind::WouldBlock.into());
        for socket in &self.sockets {
            result = socket.accept().and_then(|(socket, _)| take(socket));
            if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                break;
            }
        }
        result
    }

    /// Waits for a connection, the bell, or the time.
    pub fn wait(&self, wake: &Wake, timeout: Option<Duration>) -> io::Result<Woken> {
        let mut descriptors = [self.sockets[0].as_fd(); wait::MAX_SOCKETS];
        for (slot, socket) in descriptors.iter_mut().zip(&self.sockets) {
            *slot = socket.as_fd();
        }
        let descriptors: &[BorrowedFd<'_>] = &descriptors[..self.sockets.len()];
        wait::wait_any(descriptors, Interest::READ, wake, timeout)
    }
}

fn is_family_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

fn bind_one(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A server that restarts must not wait for its old connections' TIME_WAIT. (On Windows the option means something else.)
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if let SocketAddr::V6(v6) = address {
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
