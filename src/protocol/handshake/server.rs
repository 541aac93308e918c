//! The server's side of the opening handshake, RFC 6455 §4.2.
//!
//! In scope: the verdict on a request, and the header list of the answer. Out of scope: which paths exist, and writing the answer.

use super::{Key, origin, shown};
use crate::http::headers::{Headers, InvalidHeader};
use crate::protocol::deflate;
use crate::protocol::url::origin_form;

/// What a server supports and whom it admits.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerPolicy<'a> {
    /// Sub-protocols in order of preference.
    pub subprotocols: &'a [String],
    /// Origins admitted besides the server's own: `https://host:port`, `null`, or `*` for any.
    pub origins: &'a [String],
    /// What it wants of compression; `None` = none.
    pub compression: Option<deflate::Preferences>,
}

/// What a request is.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Plain HTTP: it does not ask for a WebSocket.
    NotWebSocket,
    /// A WebSocket that may be opened.
    Upgrade(Acceptance),
    /// A WebSocket that may not.
    Refuse(ServerRefusal),
}

/// The answer that opens a WebSocket: status 101.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acceptance {
    /// The value of `Sec-WebSocket-Accept`.
    pub accept: String,
    /// The first of ours that was offered.
    pub subprotocol: Option<String>,
    /// The value of `Sec-WebSocket-Extensions`; empty = none.
    pub extensions: String,
    /// What it says of compression.
    pub compression: Option<deflate::Parameters>,
}

impl Acceptance {
    /// The header fields of the 101; `extra` are the program's, none of them [reserved](super::is_reserved_header).
    pub fn response_headers(&self, extra: &Headers) -> Headers {
        let mut headers = own_headers(&[("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", &self.accept)]);
        if let Some(subprotocol) = &self.subprotocol {
            headers.push("Sec-WebSocket-Protocol", subprotocol.as_bytes()).expect("it was found equal to an element of a header");
        }
        if !self.extensions.is_empty() {
            headers.push("Sec-WebSocket-Extensions", self.extensions.as_bytes()).expect("it is this side's own text");
        }
        headers.extend(extra);
        headers
    }
}

/// The answer that refuses one; afterwards the connection is closed.
#[derive(Clone, Debug)]
pub struct ServerRefusal {
    /// The HTTP status.
    pub status: u16,
    /// The header fields that go with it, among them `Connection: close` and the type of a plain text body.
    pub headers: Headers,
    /// A sentence for the log, and for the body of the answer.
    pub reason: String,
}

impl ServerRefusal {
    /// One without headers of its own.
    pub fn plain(status: u16, reason: String) -> ServerRefusal {
        refusal(status, reason, &[])
    }
}

/// Whether a request opens a WebSocket, RFC 6455 §4.2.1.
///
/// A request without the token `websocket` in `Upgrade` is plain HTTP, whatever else it is. The order of the other checks decides
/// which fault of several is named; the version comes before the key, because another version may have other rules for keys.
pub fn judge_request(method: &str, target: &str, minor_version: u8, headers: &Headers, policy: &ServerPolicy<'_>) -> Verdict {
    if !headers.has_token("Upgrade", "websocket") {
        return Verdict::NotWebSocket;
    }
    let checked = check_request_line(method, target, minor_version)
        .and_then(|()| check_connection(headers))
        .and_then(|()| check_version(headers))
        .and_then(|()| check_key(headers))
        .and_then(|key| check_origin(headers, policy).map(|()| key));
    match checked {
        Ok(key) => {
            let (compression, extensions) = choose_compression(headers, policy.compression).unzip();
            Verdict::Upgrade(Acceptance {
                accept: key.accept_value(),
                subprotocol: choose(headers, policy.subprotocols),
                extensions: extensions.unwrap_or_default(),
                compression,
            })
        }
        Err(refusal) => Verdict::Refuse(refusal),
    }
}

fn check_request_line(method: &str, target: &str, minor_version: u8) -> Result<(), ServerRefusal> {
    if minor_version < 1 {
        // Not 505, which is about the major version (RFC 9110 §15.6.6).
        return refuse(400, "the upgrade was asked for in HTTP/1.0, expected HTTP/1.1".to_owned(), &[]);
    }
    if method != "GET" {
        return refuse(405, format!("the method of the upgrade is {}, expected GET", shown(method.as_bytes())), &[("Allow", "GET")]);
    }
    if !origin_form(target).starts_with('/') {
        return refuse(400, format!("the request target \"{}\" is not a path", shown(target.as_bytes())), &[]);
    }
    Ok(())
}

/// Host, Connection, and no body: a body would be taken for frames, or frames for a body.
fn check_connection(headers: &Headers) -> Result<(), ServerRefusal> {
    let host = exactly_one(headers, "Host")?;
    if !is_host(host) {
        return refuse(400, format!("the header Host is \"{}\", which is not a host", shown(host)), &[]);
    }
    if !headers.has_token("Connection", "upgrade") {
        return refuse(400, "the header Connection does not contain upgrade".to_owned(), &[]);
    }
    if headers.has("Transfer-Encoding") {
        return refuse(400, "the upgrade comes with a body: Transfer-Encoding is present".to_owned(), &[]);
    }
    match headers.values("Content-Length").find(|value| *value != b"0") {
        Some(length) => refuse(400, format!("the upgrade comes with a body: Content-Length is \"{}\"", shown(length)), &[]),
        None => Ok(()),
    }
}

fn check_version(headers: &Headers) -> Result<(), ServerRefusal> {
    const NAME: &str = "Sec-WebSocket-Version";
    let version = exactly_one(headers, NAME)?;
    if version == b"13" {
        return Ok(());
    }
    // RFC 6455 §4.4 names the version; RFC 9110 §15.5.22 demands Upgrade with 426, and §7.8 Connection with Upgrade.
    let reason = format!("the WebSocket version is \"{}\", expected 13", shown(version));
    refuse(426, reason, &[(NAME, "13"), ("Upgrade", "websocket")])
}

fn check_key(headers: &Headers) -> Result<Key, ServerRefusal> {
    const NAME: &str = "Sec-WebSocket-Key";
    let key = exactly_one(headers, NAME)?;
    Key::from_value(key)
        .ok_or_else(|| refusal(400, format!("the header {NAME} is \"{}\", which is not the base64 of 16 bytes", shown(key)), &[]))
}

/// A request without `Origin` comes from no browser, and is none of this rule's business (RFC 6455 §10.2).
fn check_origin(headers: &Headers, policy: &ServerPolicy<'_>) -> Result<(), ServerRefusal> {
    const NAME: &str = "Origin";
    if !headers.has(NAME) {
        return Ok(());
    }
    let origin = exactly_one(headers, NAME)?;
    let host = headers.get_text("Host", 0).unwrap_or_default();
    let is_allowed = std::str::from_utf8(origin).is_ok_and(|origin| origin::is_allowed(origin, host, policy.origins));
    if is_allowed { Ok(()) } else { refuse(403, format!("the origin \"{}\" is not allowed here", shown(origin)), &[]) }
}

/// The server's preference decides; a name is compared byte by byte.
fn choose(headers: &Headers, supported: &[String]) -> Option<String> {
    supported.iter().find(|ours| headers.tokens("Sec-WebSocket-Protocol").any(|offered| offered == ours.as_str())).cloned()
}

fn choose_compression(headers: &Headers, preferences: Option<deflate::Preferences>) -> Option<(deflate::Parameters, String)> {
    let offers = headers.values("Sec-WebSocket-Extensions").filter_map(|value| std::str::from_utf8(value).ok());
    deflate::accept(offers, preferences?)
}

fn exactly_one<'a>(headers: &'a Headers, name: &str) -> Result<&'a [u8], ServerRefusal> {
    match headers.unique(name) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => refuse(400, format!("the header {name} is missing"), &[]),
        Err(repeated @ InvalidHeader::Repeated { .. }) => refuse(400, format!("the {repeated}"), &[]),
        Err(other) => refuse(400, other.to_string(), &[]),
    }
}

/// Host and port as far as they must be understood here; RFC 9112 §3.2 demands 400 for anything else.
fn is_host(host: &[u8]) -> bool {
    !host.is_empty() && host.iter().all(|&byte| byte.is_ascii_graphic() && !b",/?#@\\\"<>".contains(&byte))
}

fn refuse<T>(status: u16, reason: String, fields: &[(&str, &str)]) -> Result<T, ServerRefusal> {
    Err(refusal(status, reason, fields))
}

fn refusal(status: u16, reason: String, fields: &[(&str, &str)]) -> ServerRefusal {
    let mut headers = own_headers(fields);
    let connection = if headers.has("Upgrade") { "Upgrade, close" } else { "close" };
    headers.extend(&own_headers(&[("Content-Type", "text/plain; charset=utf-8"), ("Connection", connection)]));
    ServerRefusal { status, headers, reason }
}

fn own_headers(fields: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.push(name, value.as_bytes()).expect("the handshake's own headers are valid");
    }
    headers
}
