//! The only file that takes descriptors of the C program.
//!
//! A descriptor is the program's until the call that was given it succeeds. So everything is built around a duplicate, and the original is closed
//! as the last thing that happens, or not at all.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use socket2::{SockRef, Type};

use crate::error::{Error, Phase, Result, Status};
use crate::transport::Stream;

/// A number that may be a descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Given(RawFd);

impl Given {
    /// 87 for a number that no descriptor can have.
    pub fn new(descriptor: i64) -> Result<Given> {
        match RawFd::try_from(descriptor) {
            Ok(number @ 0..) => Ok(Given(number)),
            _ => Err(Error::new(Status::InvalidParameter, format!("descriptor is {descriptor}"))),
        }
    }

    /// A stream over the same socket, of which the program's descriptor is still another name; 87 if it is no connected stream socket.
    pub fn share(self, nodelay: bool) -> Result<Stream> {
        // SAFETY: no pointers; the system knows whether the number is an open descriptor.
        let duplicate = unsafe { libc::fcntl(self.0, libc::F_DUPFD_CLOEXEC, 3) };
        if duplicate < 0 {
            let error = io::Error::last_os_error();
            return Err(match error.raw_os_error() {
                Some(libc::EBADF) => self.refused("is not open"),
                _ => Error::from_io(Status::NotEnoughMemory, "no descriptor is left", &error),
            });
        }
        // SAFETY: a fresh, valid descriptor, owned by nobody else.
        let duplicate = unsafe { OwnedFd::from_raw_fd(duplicate) };
        self.check(duplicate.as_fd())?;
        Stream::new(duplicate.into(), nodelay)
            .map_err(|error| Error::from_io(Status::Connection, "the socket cannot be used", &error).in_phase(Phase::Connect))
    }

    /// The program's own name for the socket goes: it is the library's now.
    pub fn take(self) {
        // SAFETY: the program gave the descriptor away with this call, which is about to succeed; `share` has seen that it is open.
        drop(unsafe { OwnedFd::from_raw_fd(self.0) });
    }

    fn check(self, socket: BorrowedFd<'_>) -> Result<()> {
        let socket = SockRef::from(&socket);
        match socket.r#type() {
            Ok(Type::STREAM) => {}
            Ok(_) => return Err(self.refused("is no stream socket")),
            Err(_) => return Err(self.refused("is no socket")),
        }
        socket.peer_addr().map_err(|_| self.refused("is not connected"))?;
        Ok(())
    }

    fn refused(self, problem: &str) -> Error {
        Error::new(Status::InvalidParameter, format!("descriptor {} {problem}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    fn problem(descriptor: &impl AsRawFd) -> String {
        let error = Given::new(descriptor.as_raw_fd().into()).unwrap().share(true).unwrap_err();
        assert_eq!(error.status(), Status::InvalidParameter);
        error.to_string().split_once(' ').unwrap().1.split_once(' ').unwrap().1.to_owned()
    }

    #[test]
    fn only_a_connected_stream_socket_is_taken() {
        assert!([-1, i64::MIN, i64::from(i32::MAX) + 1].iter().all(|&number| Given::new(number).is_err()));
        assert_eq!(
            Given::new(i32::MAX.into()).unwrap().share(true).unwrap_err().to_string(),
            format!("descriptor {} is not open", i32::MAX)
        );
        assert_eq!(problem(&std::fs::File::open("/dev/null").unwrap()), "is no socket");
        assert_eq!(problem(&UdpSocket::bind("127.0.0.1:0").unwrap()), "is no stream socket");
        assert_eq!(problem(&TcpListener::bind("127.0.0.1:0").unwrap()), "is not connected");
    }

    #[test]
    fn a_socket_that_is_shared_is_still_the_programs() {
        let (left, _right) = UnixStream::pair().unwrap();
        let given = Given::new(left.as_raw_fd().into()).unwrap();
        drop(given.share(true).unwrap());
        assert!(left.peer_addr().is_ok());
    }
}
