//! The client's side of the opening handshake, RFC 6455 §4.1.
//!
//! In scope: the header list that asks for an upgrade, and the verdict on the answer. Out of scope: the parameters of an extension, and
//! what to do after a refusal (redirects, credentials, another attempt).

use thiserror::Error;

use super::{Key, is_reserved_header, shown};
use crate::error::{Error, Phase, Status};
use crate::http::head::status_with_phrase;
use crate::http::headers::{Headers, InvalidHeader, is_token};
use crate::protocol::deflate;
use crate::protocol::url::Url;

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The server and its resource.
    pub url: &'a Url,
    /// Sub-protocols in order of preference.
    pub subprotocols: &'a [String],
    /// The value of `Sec-WebSocket-Extensions`.
    pub extensions: Option<&'a str>,
    /// The value of `User-Agent`, unless it is among the headers.
    pub user_agent: Option<&'a str>,
    /// The program's own. `Host` and `User-Agent` replace the usual ones; those of the handshake itself are refused.
    pub headers: &'a Headers,
}

/// Why an offer cannot be made.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// A sub-protocol's name that is no token.
    #[error("the sub-protocol {name:?} is not a token (RFC 6455 §4.1)")]
    Subprotocol {
        /// The name.
        name: String,
    },
    /// The same sub-protocol twice.
    #[error("the sub-protocol {name:?} is offered twice")]
    SubprotocolTwice {
        /// The name.
        name: String,
    },
    /// A header that belongs to the handshake.
    #[error("the header {name} is the handshake's own")]
    Reserved {
        /// Its name.
        name: String,
    },
    /// A header that cannot be one, or cannot be there twice.
    #[error(transparent)]
    Header(#[from] InvalidHeader),
}

impl InvalidRequest {
    /// The status of the C API.
    pub fn status(&self) -> Status {
        match self {
            InvalidRequest::Subprotocol { .. } | InvalidRequest::SubprotocolTwice { .. } => Status::InvalidParameter,
            InvalidRequest::Reserved { .. } | InvalidRequest::Header(_) => Status::InvalidHeader,
        }
    }
}

impl From<InvalidRequest> for Error {
    fn from(error: InvalidRequest) -> Error {
        Error::new(error.status(), error.to_string())
    }
}

/// What both sides have agreed on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Agreement {
    /// One of those offered.
    pub subprotocol: Option<String>,
    /// The value of `Sec-WebSocket-Extensions`; empty = none. Only names that were offered.
    pub extensions: String,
    /// What it says of compression.
    pub compression: Option<deflate::Parameters>,
}

/// Why there is no WebSocket.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Refusal {
    /// Any status but 101: the server may have its reasons.
    #[error("server answered {}, expected 101", status_with_phrase(*.status))]
    NotUpgraded {
        /// The status.
        status: u16,
    },
    /// A 101 that does not keep to the rules.
    #[error(transparent)]
    Invalid(#[from] InvalidResponse),
}

impl Refusal {
    /// The status of the C API.
    pub fn status(&self) -> Status {
        match self {
            Refusal::NotUpgraded { .. } => Status::UpgradeRefused,
            Refusal::Invalid(_) => Status::InvalidServerResponse,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let http_status = match refusal {
            Refusal::NotUpgraded { status } => status,
            Refusal::Invalid(_) => 101,
        };
        Error::new(refusal.status(), refusal.to_string()).in_phase(Phase::Http).with_http_status(http_status)
    }
}

/// Why a 101 is not valid. Values are shown escaped and cut.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum InvalidResponse {
    /// 101 does not exist in HTTP/1.0.
    #[error("server answered 101 in HTTP/1.0, expected HTTP/1.1")]
    Version,
    /// A header is not there.
    #[error("server answered 101 without {name}")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A header is there more than once.
    #[error("server answered 101 with {count} headers {name}, expected one")]
    Repeated {
        /// Its name.
        name: &'static str,
        /// How many there are.
        count: usize,
    },
    /// A list lacks its token.
    #[error("server answered 101 with {name} \"{value}\", expected {expected}")]
    Unexpected {
        /// The header's name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it must be, or contain.
        expected: String,
    },
    /// A sub-protocol that was not offered.
    #[error("server chose the sub-protocol \"{value}\", which was not offered")]
    Subprotocol {
        /// The value.
        value: String,
    },
    /// An extension that was not offered.
    #[error("server chose the extension \"{name}\", which was not offered")]
    Extension {
        /// Its name.
        name: String,
    },
    /// Compression that is no answer to the offer.
    #[error("server chose the extensions \"{value}\", but {reason}")]
    Compression {
        /// The value.
        value: String,
        /// What is wrong with it.
        reason: deflate::InvalidAnswer,
    },
}

/// One attempt to upgrade: what was asked, and the judge of the answer.
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    key: Key,
    subprotocols: Vec<String>,
    extensions: Option<String>,
    request: Headers,
}

impl ClientHandshake {
    /// Checks the offer. The key must be fresh.
    pub fn new(key: Key, offer: &Offer<'_>) -> Result<ClientHandshake, InvalidRequest> {
        check_subprotocols(offer.subprotocols)?;
        if let Some((name, _)) = offer.headers.iter().find(|(name, _)| is_reserved_header(name)) {
            return Err(InvalidRequest::Reserved { name: name.to_owned() });
        }
        Ok(ClientHandshake {
            request: request_headers(&key, offer)?,
            key,
            subprotocols: offer.subprotocols.to_vec(),
            extensions: offer.extensions.map(str::to_owned),
        })
    }

    /// The same for a program that has its own HTTP: only the headers of the handshake itself, without `Host`.
    pub fn without_http(key: Key, subprotocols: &[String], extensions: Option<&str>) -> Result<ClientHandshake, InvalidRequest> {
        check_subprotocols(subprotocols)?;
        let mut request = Headers::new();
        push_upgrade(&mut request, &key, subprotocols, extensions)?;
        Ok(ClientHandshake { key, subprotocols: subprotocols.to_vec(), extensions: extensions.map(str::to_owned), request })
    }

    /// The header fields of the request; its method is `GET`, its target the URL's.
    pub fn request_headers(&self) -> &Headers {
        &self.request
    }

    /// Whether the answer makes the connection a WebSocket. The reason phrase has no say (RFC 9112 §4).
    pub fn judge(&self, status: u16, minor_version: u8, headers: &Headers) -> Result<Agreement, Refusal> {
        if status != 101 {
            return Err(Refusal::NotUpgraded { status });
        }
        if minor_version < 1 {
            return Err(InvalidResponse::Version.into());
        }
        expect_token(headers, "Upgrade", "websocket")?;
        expect_token(headers, "Connection", "upgrade")?;
        self.check_accept(headers)?;
        let (extensions, compression) = self.agreed_extensions(headers)?;
        Ok(Agreement { subprotocol: self.agreed_subprotocol(headers)?, extensions, compression })
    }

    fn check_accept(&self, headers: &Headers) -> Result<(), InvalidResponse> {
        const NAME: &str = "Sec-WebSocket-Accept";
        let value = at_most_one(headers, NAME)?.ok_or(InvalidResponse::Missing { name: NAME })?;
        let expected = self.key.accept_value();
        if value == expected.as_bytes() { Ok(()) } else { Err(InvalidResponse::Unexpected { name: NAME, value: shown(value), expected }) }
    }

    fn agreed_subprotocol(&self, headers: &Headers) -> Result<Option<String>, InvalidResponse> {
        let Some(value) = at_most_one(headers, "Sec-WebSocket-Protocol")? else { return Ok(None) };
        let chosen = self.subprotocols.iter().find(|offered| offered.as_bytes() == value);
        chosen.map_or_else(|| Err(InvalidResponse::Subprotocol { value: shown(value) }), |chosen| Ok(Some(chosen.clone())))
    }

    fn agreed_extensions(&self, headers: &Headers) -> Result<(String, Option<deflate::Parameters>), InvalidResponse> {
        let Some(value) = at_most_one(headers, "Sec-WebSocket-Extensions")? else { return Ok((String::new(), None)) };
        let value = std::str::from_utf8(value).map_err(|_| InvalidResponse::Extension { name: shown(value) })?;
        let offered = self.extensions.as_deref().unwrap_or_default();
        if let Some(name) = extension_names(value).find(|name| !extension_names(offered).any(|offered| offered == *name)) {
            return Err(InvalidResponse::Extension { name: shown(name.as_bytes()) });
        }
        match deflate::judge(offered, value) {
            Ok(compression) => Ok((value.to_owned(), compression)),
            Err(reason) => Err(InvalidResponse::Compression { value: shown(value.as_bytes()), reason }),
        }
    }
}

fn check_subprotocols(subprotocols: &[String]) -> Result<(), InvalidRequest> {
    for (position, name) in subprotocols.iter().enumerate() {
        if !is_token(name) {
            return Err(InvalidRequest::Subprotocol { name: name.clone() });
        }
        if subprotocols[..position].contains(name) {
            return Err(InvalidRequest::SubprotocolTwice { name: name.clone() });
        }
    }
    Ok(())
}

/// The list in the order of RFC 6455 §1.2, then the program's in its own.
fn request_headers(key: &Key, offer: &Offer<'_>) -> Result<Headers, InvalidHeader> {
    let mut request = Headers::new();
    match offer.headers.unique("Host")? {
        Some(host) => request.push("Host", host)?,
        None => request.push("Host", offer.url.host_header().as_bytes())?,
    }
    push_upgrade(&mut request, key, offer.subprotocols, offer.extensions)?;
    if let (Some(user_agent), None) = (offer.user_agent, offer.headers.unique("User-Agent")?) {
        request.push("User-Agent", user_agent.as_bytes())?;
    }
    for (name, value) in offer.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("Host")) {
        request.push(name, value)?;
    }
    Ok(request)
}

fn push_upgrade(request: &mut Headers, key: &Key, subprotocols: &[String], extensions: Option<&str>) -> Result<(), InvalidHeader> {
    request.push("Upgrade", b"websocket")?;
    request.push("Connection", b"Upgrade")?;
    request.push("Sec-WebSocket-Key", key.as_str().as_bytes())?;
    request.push("Sec-WebSocket-Version", b"13")?;
    if !subprotocols.is_empty() {
        request.push("Sec-WebSocket-Protocol", subprotocols.join(", ").as_bytes())?;
    }
    if let Some(extensions) = extensions {
        request.push("Sec-WebSocket-Extensions", extensions.as_bytes())?;
    }
    Ok(())
}

fn expect_token(headers: &Headers, name: &'static str, token: &str) -> Result<(), InvalidResponse> {
    if headers.has_token(name, token) {
        return Ok(());
    }
    let value = headers.get(name, 0).ok_or(InvalidResponse::Missing { name })?;
    Err(InvalidResponse::Unexpected { name, value: shown(value), expected: token.to_owned() })
}

fn at_most_one<'a>(headers: &'a Headers, name: &'static str) -> Result<Option<&'a [u8]>, InvalidResponse> {
    match headers.count(name) {
        0 | 1 => Ok(headers.get(name, 0)),
        count => Err(InvalidResponse::Repeated { name, count }),
    }
}

/// The names in a list of extensions, RFC 6455 §9.1: each up to its first semicolon.
fn extension_names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(|element| element.split(';').next().unwrap_or_default().trim()).filter(|name| !name.is_empty())
}
