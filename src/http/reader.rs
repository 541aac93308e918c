//! Reads the heads of HTTP/1.1 messages, RFC 9112, out of bytes that arrive in any portions.
//!
//! In scope: finding a head's end in linear time, limits, and refusing what is no HTTP/1.1 as early as it shows. httparse splits what has
//! been found. Out of scope: bodies; bytes behind the head stay the caller's.
//!
//! Stricter than RFC 9112 asks, because whoever stands between the two peers may read a lenient spelling differently: a line ends with
//! CR LF, never with LF alone (§2.2 allows either), and no line is folded (§5.2). One empty line before a request is skipped (§2.2).

use thiserror::Error;

use super::head::{RequestHead, ResponseHead};
use super::headers::{Headers, InvalidHeader, is_control, is_token_byte};
use crate::error::Status;

/// What a head may occupy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most bytes, the empty line at the end included.
    pub max_size: usize,
    /// The most header fields.
    pub max_headers: usize,
}

/// Why bytes are not an acceptable head.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum HeadError {
    /// More bytes than allowed.
    #[error("the HTTP head is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// More header fields than allowed.
    #[error("the HTTP head has more than {limit} header fields")]
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// The first bytes of TLS.
    #[error("the peer speaks TLS where plain HTTP was expected (ws:// against wss://)")]
    Tls,
    /// A first line that is not HTTP's.
    #[error("the peer does not speak HTTP/1.1: it began with \"{beginning}\"")]
    NotHttp {
        /// What it began with, escaped.
        beginning: String,
    },
    /// A version other than 1.0 and 1.1.
    #[error("the peer speaks {version}, expected HTTP/1.1")]
    Version {
        /// As it stands in the first line.
        version: String,
    },
    /// A status outside 100 to 999.
    #[error("the HTTP status {status} is not one of three digits from 100")]
    StatusCode {
        /// The status.
        status: u16,
    },
    /// A target that is not ASCII.
    #[error("the request target has the byte {byte:#04x} at position {position}, which must be percent-encoded")]
    Target {
        /// The byte.
        byte: u8,
        /// Where it is in the target, from 0.
        position: usize,
    },
    /// LF without CR.
    #[error("a line of the HTTP head ends with LF alone at byte {position}, expected CR LF")]
    BareLineFeed {
        /// Where it is, from 0.
        position: usize,
    },
    /// CR without LF.
    #[error("the HTTP head has CR without LF at byte {position}")]
    BareCarriageReturn {
        /// Where it is, from 0.
        position: usize,
    },
    /// Another control character.
    #[error("the HTTP head has the control character {byte:#04x} at byte {position}")]
    Control {
        /// The character.
        byte: u8,
        /// Where it is, from 0.
        position: usize,
    },
    /// A field continued on the next line.
    #[error("header line {line} begins with a blank: folded headers are obsolete (RFC 9112 §5.2)")]
    Folded {
        /// Which header line, from 1.
        line: usize,
    },
    /// A header line that is not name, colon, value.
    #[error("header line {line} does not begin with a name and a colon")]
    NoName {
        /// Which header line, from 1.
        line: usize,
    },
    /// A field that cannot be one.
    #[error(transparent)]
    Header(#[from] InvalidHeader),
    /// What else httparse refuses.
    #[error("the HTTP head is malformed: {0}")]
    Malformed(httparse::Error),
}

impl HeadError {
    /// The status of the C API.
    pub fn status(&self) -> Status {
        match self {
            HeadError::TooLarge { .. } => Status::HeaderSizeOverflow,
            HeadError::TooManyHeaders { .. } => Status::HeaderCountExceeded,
            _ => Status::InvalidServerResponse,
        }
    }

    /// The HTTP status with which a server answers such a request.
    pub fn http_status(&self) -> u16 {
        match self {
            HeadError::TooLarge { .. } | HeadError::TooManyHeaders { .. } => 431,
            HeadError::Version { .. } => 505,
            _ => 400,
        }
    }
}

/// Reads heads. It remembers how far it has looked, so that arrival byte by byte costs no more than arrival at once.
#[derive(Clone, Debug)]
pub struct HeadReader {
    limits: Limits,
    /// Bytes looked at.
    pub(super) scanned: usize,
    /// Where the line under the scan begins.
    line_start: usize,
    /// Complete lines, the first one included.
    lines: usize,
    /// Where the first line begins: behind an empty line, if there was one.
    start: usize,
    /// The blank behind the method has been seen.
    has_method: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Response,
}

impl HeadReader {
    /// A reader that has seen nothing yet.
    pub fn new(limits: Limits) -> HeadReader {
        HeadReader { limits, scanned: 0, line_start: 0, lines: 0, start: 0, has_method: false }
    }

    /// The request head that `bytes` begin with and the bytes it occupies; `None` while more bytes are needed.
    ///
    /// `bytes` are all bytes since the head's first one. After a head the reader is ready for the next one.
    pub fn read_request(&mut self, bytes: &[u8]) -> Result<Option<(RequestHead, usize)>, HeadError> {
        let Some(end) = self.find_end(bytes, Kind::Request)? else { return Ok(None) };
        let mut fields = vec![httparse::EMPTY_HEADER; self.lines];
        let mut request = httparse::Request::new(&mut fields);
        request.parse(&bytes[self.start..end]).map_err(HeadError::Malformed)?;
        let target = request.path.unwrap_or_default();
        if let Some((position, byte)) = target.bytes().enumerate().find(|(_, byte)| !byte.is_ascii()) {
            return Err(HeadError::Target { byte, position });
        }
        let head = RequestHead {
            method: request.method.unwrap_or_default().to_owned(),
            target: target.to_owned(),
            minor_version: request.version.unwrap_or_default(),
            headers: collect(request.headers)?,
        };
        *self = HeadReader::new(self.limits);
        Ok(Some((head, end)))
    }

    /// [`read_request`](HeadReader::read_request) for a response.
    pub fn read_response(&mut self, bytes: &[u8]) -> Result<Option<(ResponseHead, usize)>, HeadError> {
        let Some(end) = self.find_end(bytes, Kind::Response)? else { return Ok(None) };
        let mut fields = vec![httparse::EMPTY_HEADER; self.lines];
        let mut response = httparse::Response::new(&mut fields);
        response.parse(&bytes[self.start..end]).map_err(HeadError::Malformed)?;
        let status = response.code.unwrap_or_default();
        if !(100..1000).contains(&status) {
            return Err(HeadError::StatusCode { status });
        }
        let head = ResponseHead {
            status,
            reason: response.reason.unwrap_or_default().to_owned(),
            minor_version: response.version.unwrap_or_default(),
            headers: collect(response.headers)?,
        };
        *self = HeadReader::new(self.limits);
        Ok(Some((head, end)))
    }

    /// Where the head ends. Every byte is looked at once, and every line when it is complete.
    fn find_end(&mut self, bytes: &[u8], kind: Kind) -> Result<Option<usize>, HeadError> {
        let allowed = &bytes[..bytes.len().min(self.limits.max_size)];
        while let Some(&byte) = allowed.get(self.scanned) {
            let position = self.scanned;
            let follows_cr = position > self.line_start && allowed[position - 1] == b'\r';
            match byte {
                b'\n' if follows_cr => {
                    let line = &allowed[self.line_start..position - 1];
                    if self.end_line(line, position + 1, kind)? {
                        return Ok(Some(position + 1));
                    }
                }
                b'\n' => return Err(HeadError::BareLineFeed { position }),
                _ if follows_cr => return Err(HeadError::BareCarriageReturn { position: position - 1 }),
                b'\r' => {}
                _ if self.lines == 0 => self.check_first_line(allowed, position, kind)?,
                _ if is_control(byte) => return Err(HeadError::Control { byte, position }),
                _ => {}
            }
            self.scanned += 1;
        }
        if allowed.len() == self.limits.max_size {
            return Err(HeadError::TooLarge { limit: self.limits.max_size });
        }
        Ok(None)
    }

    /// Takes a complete line; says whether it was the empty one at the end.
    fn end_line(&mut self, line: &[u8], next_line: usize, kind: Kind) -> Result<bool, HeadError> {
        if line.is_empty() && self.lines > 0 {
            return Ok(true);
        }
        if line.is_empty() {
            // RFC 9112 §2.2: one empty line before a request; never before a response.
            if kind == Kind::Response || self.start > 0 {
                return Err(HeadError::NotHttp { beginning: "\\r\\n".to_owned() });
            }
            self.start = next_line;
        } else if self.lines == 0 {
            check_version(line, kind)?;
            self.lines = 1;
        } else {
            check_field_line(line, self.lines)?;
            if self.lines > self.limits.max_headers {
                return Err(HeadError::TooManyHeaders { limit: self.limits.max_headers });
            }
            self.lines += 1;
        }
        self.line_start = next_line;
        Ok(false)
    }

    /// One byte of the first line: what does not speak HTTP shows it here, long before there is a line's end.
    fn check_first_line(&mut self, bytes: &[u8], position: usize, kind: Kind) -> Result<(), HeadError> {
        const TLS_ALERT: u8 = 21;
        const TLS_HANDSHAKE: u8 = 22;
        let (byte, column) = (bytes[position], position - self.line_start);
        if position == 0 && matches!(byte, TLS_ALERT | TLS_HANDSHAKE) {
            return Err(HeadError::Tls);
        }
        let is_http = match kind {
            Kind::Response => b"HTTP/".get(column).is_none_or(|&expected| byte == expected),
            Kind::Request if self.has_method => true,
            Kind::Request if byte == b' ' && column > 0 => {
                self.has_method = true;
                true
            }
            Kind::Request => is_token_byte(byte),
        };
        if !is_http {
            return Err(not_http(&bytes[self.line_start..]));
        }
        if is_control(byte) { Err(HeadError::Control { byte, position }) } else { Ok(()) }
    }
}

/// The first line's version, before httparse, which would not say what it saw.
fn check_version(line: &[u8], kind: Kind) -> Result<(), HeadError> {
    let mut words = line.split(|&byte| byte == b' ');
    let word = if kind == Kind::Request { words.next_back() } else { words.next() };
    match word {
        Some(b"HTTP/1.0" | b"HTTP/1.1") => Ok(()),
        Some(version) if version.starts_with(b"HTTP/") => Err(HeadError::Version { version: excerpt(version) }),
        _ => Err(not_http(line)),
    }
}

/// A header line begins with a token and a colon, without a blank between them (RFC 9112 §5.1). Of any other line nothing is shown:
/// it may be secret.
fn check_field_line(line: &[u8], number: usize) -> Result<(), HeadError> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(HeadError::Folded { line: number });
    }
    match line.iter().position(|&byte| !is_token_byte(byte)) {
        Some(end) if end > 0 && line[end] == b':' => Ok(()),
        _ => Err(HeadError::NoName { line: number }),
    }
}

fn collect(fields: &[httparse::Header<'_>]) -> Result<Headers, HeadError> {
    let mut headers = Headers::new();
    for field in fields {
        headers.push(field.name, field.value)?;
    }
    Ok(headers)
}

fn not_http(line: &[u8]) -> HeadError {
    HeadError::NotHttp { beginning: excerpt(line) }
}

fn excerpt(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(24)].escape_ascii().to_string()
}
