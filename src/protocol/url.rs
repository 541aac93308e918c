//! Splits `ws` and `wss` URLs, RFC 6455 §3 and RFC 3986, and `ws+unix` ones, which name a socket of this machine by its path.
//!
//! In scope: taking apart and checking, for clients and listeners; where a redirect leads (`reference`). Out of scope: internationalised
//! names: what is not ASCII is refused with a word on how to write it.

mod reference;

use std::fmt;
use std::net::Ipv6Addr;

use thiserror::Error;

use crate::bytes::percent;
use crate::error::{Error, Status};

/// The longest URL that is looked at.
pub const MAX_LENGTH: usize = 64 << 10;

/// The scheme of URLs that name a socket of this machine, with its colon.
const UNIX: &str = "ws+unix:";

/// What the server behind such a socket is called in `Host`.
const LOCAL_HOST: &str = "localhost";

/// A `ws`, `wss` or `ws+unix` URL, valid by construction.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Url {
    is_secure: bool,
    /// Of `ws+unix`.
    socket_path: Option<String>,
    host: String,
    is_ipv6: bool,
    port: u16,
    target: String,
}

/// Why a text is no URL for a WebSocket.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Longer than [`MAX_LENGTH`].
    #[error("the URL has {length} bytes, more than {MAX_LENGTH}")]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// No `scheme://`.
    #[error("the URL {url:?} does not begin with ws:// or wss://")]
    NoScheme {
        /// The beginning of it.
        url: String,
    },
    /// A `ws+unix` URL without a path to a socket, or with one that cannot be.
    #[error("the URL's socket path {path:?} {problem}; write ws+unix:/path/to.sock:/target")]
    SocketPath {
        /// The path.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Another scheme.
    #[error("the URL's scheme is {scheme:?}, expected ws or wss")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// A character no URL may contain.
    #[error("the URL has {character:?} at position {position}; {advice}")]
    Character {
        /// The character.
        character: char,
        /// Where it is, in bytes from 0.
        position: usize,
        /// What to write instead.
        advice: &'static str,
    },
    /// `user:password@`; it is not shown.
    #[error("the URL contains a user name or password; give credentials separately")]
    UserInfo,
    /// `#fragment`.
    #[error("the URL has a fragment at position {position}, which WebSocket URLs may not have (RFC 6455 §3); write # as %23")]
    Fragment {
        /// Where the `#` is, in bytes from 0.
        position: usize,
    },
    /// No host.
    #[error("the URL has no host")]
    NoHost,
    /// A host that is neither a name nor an address.
    #[error("the URL's host {host:?} is not a host name")]
    Host {
        /// The host.
        host: String,
    },
    /// `*` or `+` in a client's URL.
    #[error("the URL's host {host:?} stands for all interfaces, which only a listener can use")]
    AnyHost {
        /// `*` or `+`.
        host: String,
    },
    /// An opening bracket alone.
    #[error("the URL's host [{address} lacks its closing bracket")]
    Bracket {
        /// What follows the bracket.
        address: String,
    },
    /// Brackets around what is no IPv6 address.
    #[error("the URL's host [{address}] is not an IPv6 address")]
    Ipv6 {
        /// What is in the brackets.
        address: String,
    },
    /// An IPv6 address with a zone.
    #[error("the URL's host [{address}] has a zone identifier, which URLs cannot carry; bind to the interface instead")]
    Zone {
        /// What is in the brackets.
        address: String,
    },
    /// A port that is none.
    #[error("the URL's port {port:?} is not a number from 0 to 65535")]
    Port {
        /// What stands for a port.
        port: String,
    },
    /// Port 0 in a client's URL.
    #[error("the URL's port is 0, which only a listener can use")]
    PortZero,
}

impl UrlError {
    /// The status of the C API.
    pub fn status(&self) -> Status {
        match self {
            UrlError::Scheme { .. } => Status::UnrecognizedScheme,
            _ => Status::InvalidUrl,
        }
    }
}

impl From<UrlError> for Error {
    fn from(error: UrlError) -> Error {
        Error::new(error.status(), error.to_string())
    }
}

impl Url {
    /// Takes apart the URL of a server to connect to.
    pub fn parse(text: &str) -> Result<Url, UrlError> {
        let url = Url::split(text)?;
        if url.is_any_host() {
            return Err(UrlError::AnyHost { host: url.host });
        }
        if url.port == 0 {
            return Err(UrlError::PortZero);
        }
        Ok(url)
    }

    /// Takes apart the URL of a listener: port 0 means any free port, host `*` or `+` all interfaces.
    pub fn parse_listen(text: &str) -> Result<Url, UrlError> {
        match Url::split(text)? {
            Url { socket_path: Some(_), .. } => Err(UrlError::Scheme { scheme: "ws+unix".to_owned() }),
            url => Ok(url),
        }
    }

    fn split(text: &str) -> Result<Url, UrlError> {
        if text.len() > MAX_LENGTH {
            return Err(UrlError::TooLong { length: text.len() });
        }
        if let Some((_, rest)) = text.split_at_checked(UNIX.len()).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(UNIX)) {
            return Url::split_local(text, rest);
        }
        let (is_secure, rest) = split_scheme(text)?;
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // Before anything else, so that no other sentence shows a password.
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        check_characters(text)?;
        if let Some(position) = text.find('#') {
            return Err(UrlError::Fragment { position });
        }
        let (host, is_ipv6, port) = split_authority(authority)?;
        let port = match port {
            // RFC 3986 §6.2.3: a colon without a port is the default port.
            None | Some("") => default_port(is_secure),
            Some(port) => parse_port(port)?,
        };
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Url { is_secure, socket_path: None, host: host.to_ascii_lowercase(), is_ipv6, port, target })
    }

    /// `ws+unix:` and what follows: a path, percent-encoded where it must be, and behind a colon the target.
    fn split_local(text: &str, rest: &str) -> Result<Url, UrlError> {
        check_characters(text)?;
        if let Some(position) = text.find('#') {
            return Err(UrlError::Fragment { position });
        }
        // An empty authority may be written.
        let rest = if rest.starts_with("///") { &rest[2..] } else { rest };
        let (path, target) = rest.split_once(':').unwrap_or((rest, "/"));
        let refused = |problem| Err(UrlError::SocketPath { path: path.to_owned(), problem });
        let decoded = percent::decoded(path);
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        match decoded {
            None => refused("has a % that begins no byte of UTF-8"),
            Some(decoded) if decoded.is_empty() => refused("is empty"),
            Some(decoded) if decoded.contains('\0') => refused("contains NUL"),
            Some(decoded) if decoded.starts_with("//") => refused("begins with a host"),
            Some(decoded) => {
                Ok(Url { is_secure: false, socket_path: Some(decoded), host: LOCAL_HOST.to_owned(), is_ipv6: false, port: 80, target })
            }
        }
    }

    /// The path of the socket, of a `ws+unix` URL.
    pub fn socket_path(&self) -> Option<&str> {
        self.socket_path.as_deref()
    }

    /// Whether the scheme is `wss`.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Name or address in lower case, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the host is an IPv6 address.
    pub fn is_ipv6(&self) -> bool {
        self.is_ipv6
    }

    /// Whether the host stands for all interfaces, which only a listener's can.
    pub fn is_any_host(&self) -> bool {
        matches!(self.host.as_str(), "*" | "+")
    }

    /// The port, given or by default.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query: what the request line names. It begins with a slash.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        path_of(&self.target)
    }

    /// The URL as a log may show it: a query often has a secret in it.
    pub fn without_query(&self) -> String {
        match &self.socket_path {
            Some(path) => format!("{UNIX}{}:{}", percent_encoded(path), self.path()),
            None => format!("{}://{}{}", self.scheme(), self.authority(), self.path()),
        }
    }

    fn scheme(&self) -> &'static str {
        if self.is_secure { "wss" } else { "ws" }
    }

    /// The same URL with another port: a listener's after binding to port 0.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Url {
        self.port = port;
        self
    }

    /// The value of the `Host` header, RFC 6455 §4.1: with the port unless it is the default one.
    pub fn host_header(&self) -> String {
        let (open, close) = if self.is_ipv6 { ("[", "]") } else { ("", "") };
        let host = &self.host;
        if self.port == default_port(self.is_secure) {
            format!("{open}{host}{close}")
        } else {
            format!("{open}{host}{close}:{}", self.port)
        }
    }

    /// Host and port, the port always written: what a proxy's CONNECT asks for. Of `ws+unix` the path of the socket.
    pub fn authority(&self) -> String {
        if let Some(path) = &self.socket_path {
            return path.clone();
        }
        if self.is_ipv6 { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }

    /// The origin (RFC 6454) of a page on the same server: `http` or `https`, host, and port unless default.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.is_secure { "https" } else { "http" }, self.host_header())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket_path {
            Some(path) => write!(f, "{UNIX}{}:{}", percent_encoded(path), self.target),
            None => write!(f, "{}://{}{}", self.scheme(), self.host_header(), self.target),
        }
    }
}

/// A request target in origin form, RFC 9112 §3.2: servers must take `GET http://host/path` as well.
pub fn origin_form(target: &str) -> &str {
    let Some((scheme, rest)) = target.split_once("://") else { return target };
    if !["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return target;
    }
    rest.find('/').map_or("/", |path| &rest[path..])
}

/// A target without its query.
pub fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

fn default_port(is_secure: bool) -> u16 {
    if is_secure { 443 } else { 80 }
}

fn split_scheme(text: &str) -> Result<(bool, &str), UrlError> {
    // What stands before an @ may be a password.
    let no_scheme = || UrlError::NoScheme { url: if text.contains('@') { "...".to_owned() } else { text.chars().take(16).collect() } };
    let (scheme, rest) = text.split_once("://").ok_or_else(no_scheme)?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    match scheme {
        _ if scheme.eq_ignore_ascii_case("ws") => Ok((false, rest)),
        _ if scheme.eq_ignore_ascii_case("wss") => Ok((true, rest)),
        _ if is_scheme => Err(UrlError::Scheme { scheme: scheme.to_owned() }),
        _ => Err(no_scheme()),
    }
}

/// RFC 3986 §2: neither blanks nor controls nor anything beyond ASCII.
fn check_characters(text: &str) -> Result<(), UrlError> {
    let Some((position, character)) = text.char_indices().find(|(_, character)| !character.is_ascii_graphic()) else { return Ok(()) };
    let end_of_host = text.find("://").map_or(0, |scheme| scheme + 3);
    let end_of_host = text[end_of_host..].find(['/', '?', '#']).map_or(text.len(), |length| end_of_host + length);
    let advice = match character.is_ascii() {
        true if position < end_of_host => "a host name has neither blanks nor control characters",
        false if position < end_of_host => "write the host name in punycode (xn--...)",
        _ => "percent-encode it",
    };
    Err(UrlError::Character { character, position, advice })
}

/// Host without brackets, whether it is an IPv6 address, and what follows the colon, if there is one.
fn split_authority(authority: &str) -> Result<(&str, bool, Option<&str>), UrlError> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, after) = rest.split_once(']').ok_or_else(|| UrlError::Bracket { address: rest.to_owned() })?;
        if address.contains('%') {
            return Err(UrlError::Zone { address: address.to_owned() });
        }
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(UrlError::Ipv6 { address: address.to_owned() });
        }
        return match after.strip_prefix(':') {
            Some(port) => Ok((address, true, Some(port))),
            None if after.is_empty() => Ok((address, true, None)),
            None => Err(UrlError::Port { port: after.to_owned() }),
        };
    }
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    if !is_name && host != "*" && host != "+" {
        return Err(UrlError::Host { host: host.to_owned() });
    }
    Ok((host, false, port))
}

fn parse_port(port: &str) -> Result<u16, UrlError> {
    // `parse` alone would take "+80".
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse().ok().filter(|_| is_number).ok_or_else(|| UrlError::Port { port: port.to_owned() })
}

/// A socket's path as a URL can carry it.
fn percent_encoded(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'%' | b':' | b'#' | b'?' => text.push_str(&format!("%{byte:02X}")),
            _ if byte.is_ascii_graphic() => text.push(byte.into()),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests;
