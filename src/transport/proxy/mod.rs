//! Proxies: what names one, when it is passed by, and the way through a SOCKS5 one.
//!
//! In scope: the URL of a proxy, the `no_proxy` list ([`Bypass`]), and SOCKS5 as steps ([`Socks`]). Out of scope: CONNECT, which is HTTP and
//! is spoken where heads are exchanged, and who decides which proxy is used.

mod bypass;
mod socks;

use std::fmt;

use crate::bytes::percent;

pub use bypass::Bypass;
pub use socks::{Socks, SocksStep};

/// What a proxy speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyKind {
    /// HTTP, asked with CONNECT.
    Http,
    /// SOCKS5; it resolves names itself.
    Socks5,
}

/// A proxy, as an URL names it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// What it speaks.
    pub kind: ProxyKind,
    /// Name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User name and password, if the URL has them.
    pub login: Option<(String, String)>,
}

/// Why a text names no proxy. It never shows the text, which may have a password in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyError {
    /// A scheme that is known, and not spoken here.
    NotSupported,
    /// No scheme of a proxy.
    Scheme,
    /// No host, or none that can be.
    Host,
    /// No port that can be.
    Port,
    /// User name or password with what cannot be one.
    Login,
    /// More than a host and a port.
    Path,
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProxyError::NotSupported => "the proxy's scheme is not supported; http:// and socks5:// are",
            ProxyError::Scheme => "the proxy's scheme is neither http:// nor socks5://",
            ProxyError::Host => "the proxy's URL has no host, or none that can be",
            ProxyError::Port => "the proxy's port is not a number from 1 to 65535",
            ProxyError::Login => "the proxy's user name or password cannot be one",
            ProxyError::Path => "the proxy's URL has a path, and a proxy has none",
        })
    }
}

impl Proxy {
    /// Takes apart `http://[user:password@]host[:port]` or `socks5://…`. `socks5h` is the same: names are never resolved here. Without a scheme
    /// it is `http`, as in the environment of many.
    pub fn parse(text: &str) -> Result<Proxy, ProxyError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "http" => ProxyKind::Http,
            "socks5" | "socks5h" => ProxyKind::Socks5,
            "https" | "socks" | "socks4" | "socks4a" => return Err(ProxyError::NotSupported),
            _ => return Err(ProxyError::Scheme),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        // The last @: a password may have one.
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(parse_login(login)?), place),
            None => (None, authority),
        };
        if place.contains(['/', '?', '#']) {
            return Err(ProxyError::Path);
        }
        let (host, port) = split_port(place)?;
        let default = if kind == ProxyKind::Http { 80 } else { 1080 };
        Ok(Proxy { kind, host: host.to_ascii_lowercase(), port: port.unwrap_or(default), login })
    }

    /// Host and port, as errors name it.
    pub fn authority(&self) -> String {
        if self.host.contains(':') { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }
}

impl fmt::Display for Proxy {
    /// Without the login.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.kind == ProxyKind::Http { "http" } else { "socks5" }, self.authority())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

fn parse_login(login: &str) -> Result<(String, String), ProxyError> {
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let decoded = |text| percent::decoded(text).filter(|text| !text.contains(char::is_control)).ok_or(ProxyError::Login);
    let (user, password) = (decoded(user)?, decoded(password)?);
    // RFC 7617 §2: the colon ends the name.
    if user.contains(':') { Err(ProxyError::Login) } else { Ok((user, password)) }
}

/// Host without brackets, and the port if there is one.
fn split_port(place: &str) -> Result<(&str, Option<u16>), ProxyError> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(ProxyError::Host)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| ProxyError::Host)?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(ProxyError::Port)?) })
        }
        None => {
            let (host, port) = place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)));
            let is_name = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
            is_name.then_some((host, port)).ok_or(ProxyError::Host)?
        }
    };
    let Some(port) = port.filter(|port| !port.is_empty()) else { return Ok((host, None)) };
    // `parse` alone would take "+80".
    let number = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok()).flatten();
    Ok((host, Some(number.filter(|&port| port > 0).ok_or(ProxyError::Port)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_have_urls() {
        for (text, expected, login) in [
            ("http://proxy.example:3128", "http://proxy.example:3128", None),
            ("HTTP://Proxy.Example/", "http://proxy.example:80", None),
            ("proxy:3128", "http://proxy:3128", None),
            (" 10.0.0.1:8080 ", "http://10.0.0.1:8080", None),
            ("socks5://[::1]", "socks5://[::1]:1080", None),
            ("socks5h://h:1", "socks5://h:1", None),
            ("http://user:pass@h:1", "http://h:1", Some(("user", "pass"))),
            ("http://us%3aer:p%40ss%C3%A4@h", "!Login", None),
            ("socks5://user:p@ss%C3%A4:x@h", "socks5://h:1080", Some(("user", "p@ssä:x"))),
            ("http://user@h:1", "http://h:1", Some(("user", ""))),
            ("http://a%0db:c@h", "!Login", None),
            ("http://%zz:c@h", "!Login", None),
            ("https://h", "!NotSupported", None),
            ("socks4://h", "!NotSupported", None),
            ("ftp://h", "!Scheme", None),
            ("", "!Host", None),
            ("http://", "!Host", None),
            ("http://:80", "!Host", None),
            ("http://[::1", "!Host", None),
            ("http://[h]", "!Host", None),
            ("http://a b", "!Host", None),
            ("http://h:0", "!Port", None),
            ("http://h:65536", "!Port", None),
            ("http://h:+80", "!Port", None),
            ("http://[::1]80", "!Port", None),
            ("http://h/x", "!Path", None),
            ("http://h?x", "!Path", None),
        ] {
            match (Proxy::parse(text), expected.strip_prefix('!')) {
                (Ok(proxy), None) => {
                    let found = proxy.login.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
                    assert_eq!((proxy.to_string().as_str(), found), (expected, login), "{text}");
                    assert!(!format!("{proxy:?}").contains("pass"), "a password is not shown");
                }
                (Err(error), Some(kind)) => assert_eq!(format!("{error:?}"), kind, "{text}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}
