//! The heads of HTTP/1.1 messages: what a reader gets, and the writers.
//!
//! In scope: request line or status line, and fields. Out of scope: reading them off bytes (that is the reader), and deciding on them.

use super::headers::Headers;

/// A request's method, target and header fields.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// A token, usually `GET`.
    pub method: String,
    /// As it stands in the request line; ASCII without blanks or controls.
    pub target: String,
    /// 0 or 1: HTTP/1.0 or HTTP/1.1.
    pub minor_version: u8,
    /// In the order of arrival.
    pub headers: Headers,
}

/// A response's status and header fields.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// From 100 to 999.
    pub status: u16,
    /// Empty if there was none, or if it is not ASCII. It has no meaning (RFC 9112 §4).
    pub reason: String,
    /// 0 or 1: HTTP/1.0 or HTTP/1.1.
    pub minor_version: u8,
    /// In the order of arrival.
    pub headers: Headers,
}

impl ResponseHead {
    /// Whether another head follows that counts, such as after 100 or 103 (RFC 9110 §15.2). 101 is the last HTTP of a connection.
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }
}

/// A request without body as bytes. Method and target have been checked where they came from: a token, and a URL's target.
pub fn write_request(method: &str, target: &str, headers: &Headers) -> Vec<u8> {
    write_head(&format!("{method} {target} HTTP/1.1"), headers, &[])
}

/// A response as bytes. `Content-Length` is added, unless it is among the headers or the status allows no body (RFC 9110 §8.6).
pub fn write_response(status: u16, headers: &Headers, body: &[u8]) -> Vec<u8> {
    // The blank before an absent phrase is not optional: RFC 9112 §4.
    let first_line = format!("HTTP/1.1 {status} {}", reason_phrase(status));
    if has_no_body(status) {
        return write_head(&first_line, headers, &[]);
    }
    if headers.has("Content-Length") {
        return write_head(&first_line, headers, body);
    }
    let mut headers = headers.clone();
    headers.push("Content-Length", body.len().to_string().as_bytes()).expect("digits are a valid value");
    write_head(&first_line, &headers, body)
}

fn has_no_body(status: u16) -> bool {
    matches!(status, 100..200 | 204 | 304)
}

fn write_head(first_line: &str, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let length: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut bytes = Vec::with_capacity(first_line.len() + length + body.len() + 4);
    bytes.extend_from_slice(first_line.as_bytes());
    bytes.extend_from_slice(b"\r\n");
    for (name, value) in headers.iter() {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// The usual phrase of a status; empty for one that has none.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}

/// A status for a sentence: `403 Forbidden`, or the number alone.
pub fn status_with_phrase(status: u16) -> String {
    format!("{status} {}", reason_phrase(status)).trim_end().to_owned()
}
