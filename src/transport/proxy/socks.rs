//! The way through a SOCKS5 proxy, RFC 1928, with user name and password if it asks for them (RFC 1929), as steps that never wait.
//!
//! In scope: the greeting, the login, and CONNECT to a name or an address. Names are sent as they are: the proxy resolves them. Not a byte more
//! is read than belongs to the proxy. Out of scope: GSSAPI, UDP, and being connected to.

use std::io;
use std::net::IpAddr;

use crate::error::{Error, Phase, Result, Status};
use crate::transport::{Interest, Patience, Stream};

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const LOGIN: u8 = 2;
const LOGIN_VERSION: u8 = 1;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// A conversation with a SOCKS5 proxy, up to the connection through it.
#[derive(Debug)]
pub struct Socks {
    /// For the sentences.
    proxy: String,
    target: String,
    login: Option<Vec<u8>>,
    connect: Vec<u8>,
    outgoing: Vec<u8>,
    sent: usize,
    incoming: Vec<u8>,
    expects: Expects,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expects {
    Method,
    LoginResult,
    Reply,
}

/// What a step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SocksStep {
    /// What goes over the stream now goes to the target.
    Open,
    /// Nothing can be done before the stream is ready for this.
    Blocked(Interest),
}

impl Socks {
    /// Asks `proxy` for a connection to `host`; 87 for what SOCKS5 has no room for.
    pub fn new(proxy: String, host: &str, port: u16, login: Option<(&str, &str)>) -> Result<Socks> {
        let counted = |what: &str, text: &str| {
            let length = u8::try_from(text.len()).ok().filter(|&length| length > 0);
            let length = length.ok_or_else(|| {
                let sentence = format!("{what} has {} bytes, and SOCKS5 takes 1 to 255", text.len());
                Error::new(Status::InvalidParameter, sentence).in_phase(Phase::Proxy)
            })?;
            Ok::<_, Error>([&[length], text.as_bytes()].concat())
        };
        let place = match host.parse() {
            Ok(IpAddr::V4(address)) => [&[IPV4][..], &address.octets()].concat(),
            Ok(IpAddr::V6(address)) => [&[IPV6][..], &address.octets()].concat(),
            Err(_) => [&[NAME][..], &counted("the host's name", host)?].concat(),
        };
        let login = match login {
            None => None,
            Some((user, password)) => {
                let (user, password) = (counted("the proxy's user name", user)?, counted("the proxy's password", password)?);
                Some([&[LOGIN_VERSION][..], &user, &password].concat())
            }
        };
        let greeting = if login.is_some() { vec![VERSION, 2, NO_LOGIN, LOGIN] } else { vec![VERSION, 1, NO_LOGIN] };
        Ok(Socks {
            proxy,
            target: if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") },
            login,
            connect: [&[VERSION, CONNECT, 0][..], &place, &port.to_be_bytes()].concat(),
            outgoing: greeting,
            sent: 0,
            incoming: Vec::new(),
            expects: Expects::Method,
        })
    }

    /// Goes on as far as it can without waiting.
    pub fn step(&mut self, stream: &Stream) -> Result<SocksStep> {
        loop {
            while self.sent < self.outgoing.len() {
                match stream.send(&self.outgoing[self.sent..], &[], Patience::None) {
                    Ok(count) => self.sent += count,
                    Err(error) if is_nothing(&error) => return Ok(SocksStep::Blocked(Interest::WRITE)),
                    Err(error) => return Err(self.lost(&error)),
                }
            }
            let wanted = self.wanted();
            if self.incoming.len() < wanted {
                let mut room = [0; 262];
                match stream.receive(&mut room[..wanted - self.incoming.len()], &mut [], Patience::None) {
                    Ok(0) => return Err(self.failed(Status::Proxy, "ended the connection during its handshake").with_retryable(true)),
                    Ok(count) => self.incoming.extend_from_slice(&room[..count]),
                    Err(error) if is_nothing(&error) => return Ok(SocksStep::Blocked(Interest::READ)),
                    Err(error) => return Err(self.lost(&error)),
                }
            } else if self.take()? {
                return Ok(SocksStep::Open);
            }
        }
    }

    /// How many bytes the answer that is expected has, as far as that is known.
    fn wanted(&self) -> usize {
        match (self.expects, self.incoming.as_slice()) {
            (Expects::Method | Expects::LoginResult, _) => 2,
            // Two bytes tell that it has failed; some send no more.
            (Expects::Reply, [_, code, ..]) if *code != 0 => 2,
            // RFC 1928 §6: the length depends on the kind of the address, and a name's on its first byte.
            (Expects::Reply, [_, _, _, IPV4, ..]) => 10,
            (Expects::Reply, [_, _, _, IPV6, ..]) => 22,
            (Expects::Reply, [_, _, _, NAME, length, ..]) => 7 + usize::from(*length),
            (Expects::Reply, [_, _, _, NAME]) => 5,
            (Expects::Reply, _) => 4,
        }
    }

    /// Takes an answer that is complete; whether it was the last.
    fn take(&mut self) -> Result<bool> {
        let answer = std::mem::take(&mut self.incoming);
        let &[version, code, ..] = answer.as_slice() else { return Ok(false) };
        let expected = if self.expects == Expects::LoginResult { LOGIN_VERSION } else { VERSION };
        if version != expected {
            return Err(self.failed(Status::Proxy, &format!("does not speak SOCKS5: it answered with byte {version:#04x}")));
        }
        self.sent = 0;
        match (self.expects, code) {
            (Expects::Method, NO_LOGIN) | (Expects::LoginResult, 0) => {
                self.outgoing = std::mem::take(&mut self.connect);
                self.expects = Expects::Reply;
            }
            (Expects::Method, LOGIN) if self.login.is_some() => {
                self.outgoing = self.login.take().unwrap_or_default();
                self.expects = Expects::LoginResult;
            }
            (Expects::Method, 0xff) if self.login.is_some() => {
                return Err(self.failed(Status::LoginFailure, "takes neither a login by user name and password nor none"));
            }
            (Expects::Method, 0xff | LOGIN) => {
                return Err(self.failed(Status::LoginFailure, "asks for a login, and there are no credentials for it"));
            }
            (Expects::Method, _) => {
                return Err(self.failed(Status::Proxy, &format!("chose the login method {code}, which was not offered")));
            }
            (Expects::LoginResult, _) => return Err(self.failed(Status::LoginFailure, "did not accept the credentials")),
            (Expects::Reply, 0) => return self.check_place(&answer).map(|()| true),
            (Expects::Reply, _) => return Err(self.refused(code)),
        }
        Ok(false)
    }

    fn check_place(&self, answer: &[u8]) -> Result<()> {
        match answer.get(3) {
            Some(&(IPV4 | IPV6 | NAME)) => Ok(()),
            kind => Err(self.failed(Status::Proxy, &format!("answered with an address of kind {}", kind.copied().unwrap_or(0)))),
        }
    }

    /// RFC 1928 §6.
    fn refused(&self, code: u8) -> Error {
        let (reason, is_retryable) = match code {
            1 => ("general failure", true),
            2 => ("not allowed by its rules", false),
            3 => ("network unreachable", true),
            4 => ("host unreachable", true),
            5 => ("connection refused", true),
            6 => ("time to live expired", true),
            7 => ("it does not know CONNECT", false),
            8 => ("it does not know this kind of address", false),
            _ => ("for a reason that is not known", false),
        };
        let sentence = format!("did not connect to {}: {reason} ({code})", self.target);
        self.failed(Status::Proxy, &sentence).with_retryable(is_retryable)
    }

    fn failed(&self, status: Status, what: &str) -> Error {
        Error::new(status, format!("the proxy {} {what}", self.proxy)).in_phase(Phase::Proxy)
    }

    fn lost(&self, error: &io::Error) -> Error {
        let what = format!("the connection to the proxy {} was lost", self.proxy);
        Error::from_io(Status::Proxy, what, error).in_phase(Phase::Proxy).with_retryable(true)
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    /// A proxy that is to read and to say these in turn, split at every byte if asked for; how the conversation ended, and what is left behind it.
    fn talk(login: Option<(&str, &str)>, host: &str, script: &[(&[u8], &[u8])], split: bool) -> (Result<SocksStep>, Vec<u8>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let stream = Stream::new(ours.into(), true).unwrap();
        let mut socks = Socks::new("p:1080".into(), host, 80, login).unwrap();
        let mut result = socks.step(&stream);
        for (expected, answer) in script {
            let mut read = vec![0; expected.len()];
            theirs.set_nonblocking(true).unwrap();
            theirs.read_exact(&mut read).unwrap();
            assert_eq!(read, *expected);
            for piece in answer.chunks(if split { 1 } else { usize::MAX }) {
                assert!(matches!(result, Ok(SocksStep::Blocked(Interest::READ))), "{result:?}");
                theirs.write_all(piece).unwrap();
                result = socks.step(&stream);
                if !matches!(result, Ok(SocksStep::Blocked(_))) {
                    break;
                }
            }
        }
        if matches!(result, Ok(SocksStep::Blocked(_))) {
            drop(theirs);
            result = socks.step(&stream);
        }
        let mut rest = [0; 16];
        let count = stream.receive(&mut rest, &mut [], Patience::None).unwrap_or(0);
        (result, rest[..count].to_vec())
    }

    const HELLO: &[u8] = &[5, 1, 0];
    const HELLO_LOGIN: &[u8] = &[5, 2, 0, 2];
    const TO_NAME: &[u8] = b"\x05\x01\x00\x03\x09h.example\x00\x50";

    #[test]
    fn the_way_through_leaves_what_is_behind_it() {
        for split in [false, true] {
            for reply in [&b"\x05\0\0\x01\x7f\0\0\x01\0\x50"[..], b"\x05\0\0\x03\x02ab\0\x50", b"\x05\0\0\x04................\0\x50"] {
                let reply = [reply, b"HTTP"].concat();
                let (result, rest) = talk(None, "h.example", &[(HELLO, &[5, 0]), (TO_NAME, &reply)], split);
                assert_eq!(result.unwrap(), SocksStep::Open);
                assert_eq!(rest, if split { b"".as_slice() } else { b"HTTP" });
            }
        }
    }

    #[test]
    fn addresses_are_sent_as_addresses_and_the_login_if_asked_for() {
        let reply = b"\x05\0\0\x01\0\0\0\0\0\0";
        let (result, _) = talk(None, "127.0.0.1", &[(HELLO, &[5, 0]), (b"\x05\x01\0\x01\x7f\0\0\x01\0\x50", reply)], false);
        assert_eq!(result.unwrap(), SocksStep::Open);
        let ipv6 = [&b"\x05\x01\0\x04"[..], &[0; 15], b"\x01\0\x50"].concat();
        let (result, _) = talk(None, "::1", &[(HELLO, &[5, 0]), (&ipv6, reply)], false);
        assert_eq!(result.unwrap(), SocksStep::Open);
        let login = Some(("user", "secret"));
        let script: &[(&[u8], &[u8])] = &[(HELLO_LOGIN, &[5, 2]), (b"\x01\x04user\x06secret", &[1, 0]), (TO_NAME, reply)];
        assert_eq!(talk(login, "h.example", script, true).0.unwrap(), SocksStep::Open);
        assert_eq!(talk(login, "h.example", &[(HELLO_LOGIN, &[5, 0]), (TO_NAME, reply)], true).0.unwrap(), SocksStep::Open);
    }

    #[test]
    fn every_refusal_has_its_sentence() {
        let login = Some(("user", "secret"));
        type Row<'r> = (Option<(&'r str, &'r str)>, &'r [(&'r [u8], &'r [u8])], Status, bool, &'r str);
        let table: &[Row<'_>] = &[
            (None, &[(HELLO, b"HT")], Status::Proxy, false, "the proxy p:1080 does not speak SOCKS5: it answered with byte 0x48"),
            (
                None,
                &[(HELLO, b"\x05\xff")],
                Status::LoginFailure,
                false,
                "the proxy p:1080 asks for a login, and there are no credentials for it",
            ),
            (None, &[(HELLO, b"\x05\x01")], Status::Proxy, false, "the proxy p:1080 chose the login method 1, which was not offered"),
            (
                login,
                &[(HELLO_LOGIN, b"\x05\xff")],
                Status::LoginFailure,
                false,
                "the proxy p:1080 takes neither a login by user name and password nor none",
            ),
            (
                login,
                &[(HELLO_LOGIN, b"\x05\x02"), (b"\x01\x04user\x06secret", b"\x01\x01")],
                Status::LoginFailure,
                false,
                "the proxy p:1080 did not accept the credentials",
            ),
            (None, &[(HELLO, b"\x05")], Status::Proxy, true, "the proxy p:1080 ended the connection during its handshake"),
            (
                None,
                &[(HELLO, b"\x05\0"), (TO_NAME, b"\x05\x05\0\x01")],
                Status::Proxy,
                true,
                "the proxy p:1080 did not connect to h.example:80: connection refused (5)",
            ),
            (
                None,
                &[(HELLO, b"\x05\0"), (TO_NAME, b"\x05\x02\0\x01\0\0\0\0\0\0")],
                Status::Proxy,
                false,
                "the proxy p:1080 did not connect to h.example:80: not allowed by its rules (2)",
            ),
            (
                None,
                &[(HELLO, b"\x05\0"), (TO_NAME, b"\x05\0\0\x07\0\0")],
                Status::Proxy,
                false,
                "the proxy p:1080 answered with an address of kind 7",
            ),
        ];
        for (login, script, status, is_retryable, sentence) in table {
            let error = talk(*login, "h.example", script, false).0.unwrap_err();
            assert_eq!((error.to_string().as_str(), error.status(), error.details().is_retryable), (*sentence, *status, *is_retryable));
            assert_eq!(error.details().phase, Phase::Proxy);
        }
    }

    #[test]
    fn what_is_too_long_is_refused_before_a_byte_is_sent() {
        let long = "x".repeat(256);
        let refused = |host: &str, login| Socks::new("p".into(), host, 80, login).unwrap_err().to_string();
        assert_eq!(refused(&long, None), "the host's name has 256 bytes, and SOCKS5 takes 1 to 255");
        assert_eq!(refused("h", Some(("", "x"))), "the proxy's user name has 0 bytes, and SOCKS5 takes 1 to 255");
        assert_eq!(refused("h", Some(("x", &long))), "the proxy's password has 256 bytes, and SOCKS5 takes 1 to 255");
        assert!(Socks::new("p".into(), &long[1..], 80, None).is_ok());
    }
}
