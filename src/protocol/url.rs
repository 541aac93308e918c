//! Splits `ws` and `wss` URLs, RFC 6455 §3 and RFC 3986.
//!
//! In scope: taking apart and checking, for clients and listeners. Out of scope: relative references, percent-decoding and
//! internationalised names: what is not ASCII is refused with a word on how to write it.

use std::fmt;
use std::net::Ipv6Addr;

use thiserror::Error;

use crate::error::{Error, Status};

/// The longest URL that is looked at.
pub const MAX_LENGTH: usize = 64 << 10;

/// A `ws` or `wss` URL, valid by construction.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Url {
    is_secure: bool,
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
        Url::split(text)
    }

    fn split(text: &str) -> Result<Url, UrlError> {
        if text.len() > MAX_LENGTH {
            return Err(UrlError::TooLong { length: text.len() });
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
        Ok(Url { is_secure, host: host.to_ascii_lowercase(), is_ipv6, port, target })
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
        format!("{}://{}{}", self.scheme(), self.authority(), self.path())
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

    /// Host and port, the port always written: what a proxy's CONNECT asks for.
    pub fn authority(&self) -> String {
        if self.is_ipv6 { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }

    /// The origin (RFC 6454) of a page on the same server: `http` or `https`, host, and port unless default.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.is_secure { "https" } else { "http" }, self.host_header())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.host_header(), self.target)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        // URL, secure, host, IPv6, port, target, Host header, canonical form
        let table = [
            ("ws://example.com", false, "example.com", false, 80, "/", "example.com", "ws://example.com/"),
            ("WSS://Example.COM/Chat", true, "example.com", false, 443, "/Chat", "example.com", "wss://example.com/Chat"),
            ("ws://h:8000/a?b=c&d", false, "h", false, 8000, "/a?b=c&d", "h:8000", "ws://h:8000/a?b=c&d"),
            ("ws://h?x=1", false, "h", false, 80, "/?x=1", "h", "ws://h/?x=1"),
            ("ws://h:80/", false, "h", false, 80, "/", "h", "ws://h/"),
            ("ws://h:443/", false, "h", false, 443, "/", "h:443", "ws://h:443/"),
            ("wss://h:443", true, "h", false, 443, "/", "h", "wss://h/"),
            ("wss://h:80", true, "h", false, 80, "/", "h:80", "wss://h:80/"),
            ("ws://h:/x", false, "h", false, 80, "/x", "h", "ws://h/x"),
            ("ws://h:00081/", false, "h", false, 81, "/", "h:81", "ws://h:81/"),
            ("ws://127.0.0.1:65535/", false, "127.0.0.1", false, 65535, "/", "127.0.0.1:65535", "ws://127.0.0.1:65535/"),
            ("ws://[::1]/", false, "::1", true, 80, "/", "[::1]", "ws://[::1]/"),
            ("wss://[2001:DB8::1]:8443?q", true, "2001:db8::1", true, 8443, "/?q", "[2001:db8::1]:8443", "wss://[2001:db8::1]:8443/?q"),
            ("ws://[::ffff:1.2.3.4]", false, "::ffff:1.2.3.4", true, 80, "/", "[::ffff:1.2.3.4]", "ws://[::ffff:1.2.3.4]/"),
            ("ws://a_b.x-y.example./", false, "a_b.x-y.example.", false, 80, "/", "a_b.x-y.example.", "ws://a_b.x-y.example./"),
            ("ws://h/%23?a/b?c@d:e", false, "h", false, 80, "/%23?a/b?c@d:e", "h", "ws://h/%23?a/b?c@d:e"),
            ("ws://h//x", false, "h", false, 80, "//x", "h", "ws://h//x"),
        ];
        for (text, is_secure, host, is_ipv6, port, target, host_header, canonical) in table {
            let url = Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((url.is_secure(), url.host(), url.is_ipv6(), url.port()), (is_secure, host, is_ipv6, port), "{text}");
            assert_eq!((url.target(), url.host_header().as_str(), url.to_string().as_str()), (target, host_header, canonical), "{text}");
            assert_eq!(Url::parse(canonical).as_ref(), Ok(&url), "the canonical form is the same URL");
            assert_eq!(Url::parse_listen(text).as_ref(), Ok(&url));
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_a_sentence() {
        let table = [
            ("", 12005, "the URL \"\" does not begin with ws:// or wss://"),
            ("example.com:80/x", 12005, "the URL \"example.com:80/x\" does not begin with ws:// or wss://"),
            ("user:secret@h", 12005, "the URL \"...\" does not begin with ws:// or wss://"),
            ("ws:/h", 12005, "the URL \"ws:/h\" does not begin with ws:// or wss://"),
            ("://h", 12005, "the URL \"://h\" does not begin with ws:// or wss://"),
            (" ws://h", 12005, "the URL \" ws://h\" does not begin with ws:// or wss://"),
            ("Http://h/", 12006, "the URL's scheme is \"Http\", expected ws or wss"),
            ("wsx://h/", 12006, "the URL's scheme is \"wsx\", expected ws or wss"),
            ("ws://", 12005, "the URL has no host"),
            ("ws:///x", 12005, "the URL has no host"),
            ("ws://:80/", 12005, "the URL has no host"),
            ("ws://?x", 12005, "the URL has no host"),
            ("ws://user:secret@h/", 12005, "the URL contains a user name or password; give credentials separately"),
            ("ws://user:sec ret@h/", 12005, "the URL contains a user name or password; give credentials separately"),
            ("ws://@h/", 12005, "the URL contains a user name or password; give credentials separately"),
            ("ws://h/#x", 12005, "the URL has a fragment at position 7, which WebSocket URLs may not have (RFC 6455 §3); write # as %23"),
            ("ws://h#", 12005, "the URL has a fragment at position 6, which WebSocket URLs may not have (RFC 6455 §3); write # as %23"),
            ("ws://h/a b", 12005, "the URL has ' ' at position 8; percent-encode it"),
            ("ws://h/a\r\nX: y", 12005, "the URL has '\\r' at position 8; percent-encode it"),
            ("ws://h/\0", 12005, "the URL has '\\0' at position 7; percent-encode it"),
            ("ws://h/\u{7f}", 12005, "the URL has '\\u{7f}' at position 7; percent-encode it"),
            ("ws://h/é", 12005, "the URL has 'é' at position 7; percent-encode it"),
            ("ws://bücher.example/", 12005, "the URL has 'ü' at position 6; write the host name in punycode (xn--...)"),
            ("ws://a b/", 12005, "the URL has ' ' at position 6; a host name has neither blanks nor control characters"),
            ("ws://a\\b/", 12005, "the URL's host \"a\\\\b\" is not a host name"),
            ("ws://a%41/", 12005, "the URL's host \"a%41\" is not a host name"),
            ("ws://a,b/", 12005, "the URL's host \"a,b\" is not a host name"),
            ("ws://a[::1]/", 12005, "the URL's host \"a[\" is not a host name"),
            ("ws://[::1/", 12005, "the URL's host [::1 lacks its closing bracket"),
            ("ws://[]/", 12005, "the URL's host [] is not an IPv6 address"),
            ("ws://[1.2.3.4]/", 12005, "the URL's host [1.2.3.4] is not an IPv6 address"),
            ("ws://[::1]x/", 12005, "the URL's port \"x\" is not a number from 0 to 65535"),
            (
                "ws://[fe80::1%25eth0]/",
                12005,
                "the URL's host [fe80::1%25eth0] has a zone identifier, which URLs cannot carry; bind to the interface instead",
            ),
            ("ws://h:65536/", 12005, "the URL's port \"65536\" is not a number from 0 to 65535"),
            ("ws://h:-1/", 12005, "the URL's port \"-1\" is not a number from 0 to 65535"),
            ("ws://h:+80/", 12005, "the URL's port \"+80\" is not a number from 0 to 65535"),
            ("ws://h:80:90/", 12005, "the URL's port \"80:90\" is not a number from 0 to 65535"),
            ("ws://::1/", 12005, "the URL has no host"),
            ("ws://h:0/", 12005, "the URL's port is 0, which only a listener can use"),
            ("ws://*:80/", 12005, "the URL's host \"*\" stands for all interfaces, which only a listener can use"),
        ];
        for (text, code, sentence) in table {
            let error = Url::parse(text).expect_err(text);
            assert_eq!((error.to_string().as_str(), error.status().code()), (sentence, code), "{text:?}");
            assert_eq!(Error::from(error).status().code(), code);
        }
    }

    #[test]
    fn listeners_may_leave_port_and_interface_open() {
        for (text, host, port, is_any_host) in
            [("ws://127.0.0.1:0/ws/", "127.0.0.1", 0, false), ("ws://*:8000/", "*", 8000, true), ("wss://+/", "+", 443, true)]
        {
            let url = Url::parse_listen(text).unwrap();
            assert_eq!((url.host(), url.port(), url.is_any_host()), (host, port, is_any_host));
            assert!(Url::parse(text).is_err());
        }
        assert!(Url::parse_listen("ws://**/").is_err());
        let url = Url::parse_listen("ws://127.0.0.1:0/ws/").unwrap();
        assert_eq!(url.with_port(4711).to_string(), "ws://127.0.0.1:4711/ws/");
    }

    #[test]
    fn the_length_is_bounded_exactly() {
        for (length, expected) in [(MAX_LENGTH - 1, true), (MAX_LENGTH, true), (MAX_LENGTH + 1, false)] {
            let text = format!("ws://h/{}", "x".repeat(length - 7));
            assert_eq!(Url::parse(&text).is_ok(), expected, "{length}");
        }
    }

    #[test]
    fn authority_origin_and_path() {
        let url = Url::parse("wss://[::1]/a/b?c").unwrap();
        assert_eq!((url.authority().as_str(), url.origin().as_str(), url.path()), ("[::1]:443", "https://[::1]", "/a/b"));
        let url = Url::parse("ws://h:81").unwrap();
        assert_eq!((url.authority().as_str(), url.origin().as_str(), url.path()), ("h:81", "http://h:81", "/"));
    }

    #[test]
    fn targets_come_in_two_forms() {
        for (target, expected) in [
            ("/a?b", "/a?b"),
            ("http://h:1/a?b", "/a?b"),
            ("WS://h", "/"),
            ("*", "*"),
            ("/x?u=http://h/y", "/x?u=http://h/y"),
            ("ftp://h/a", "ftp://h/a"),
        ] {
            assert_eq!(origin_form(target), expected);
        }
    }
}
