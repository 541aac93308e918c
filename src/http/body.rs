//! The body of a refused upgrade: a page that says why, read as far as a bound (RFC 9112 §6).
//!
//! In scope: the three ways a body ends, within [`MAX_BODY`] bytes. Out of scope: bodies of requests, trailers, content codings.

use super::Headers;

/// What is kept of a body; the rest is not read.
pub const MAX_BODY: usize = 64 << 10;

/// A response body under way.
#[derive(Debug)]
pub struct Body {
    framing: Framing,
    received: Vec<u8>,
    /// More came, or is to come, than is kept.
    has_more: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Framing {
    Length(usize),
    Chunked,
    UntilEnd,
}

impl Body {
    /// The body that follows this head.
    pub fn of_response(status: u16, headers: &Headers) -> Body {
        let mut has_more = false;
        let framing = if matches!(status, 100..=199 | 204 | 304) {
            Framing::Length(0)
        } else if headers.has_token("Transfer-Encoding", "chunked") {
            Framing::Chunked
        } else {
            match headers.get_text("Content-Length", 0).map(str::parse::<u64>) {
                Some(Ok(length)) => {
                    has_more = length > MAX_BODY as u64;
                    Framing::Length(usize::try_from(length).map_or(MAX_BODY, |length| length.min(MAX_BODY)))
                }
                _ => Framing::UntilEnd,
            }
        };
        Body { framing, received: Vec::new(), has_more }
    }

    /// Takes bytes that came behind the head.
    pub fn feed(&mut self, bytes: &[u8]) {
        let room = self.most() - self.received.len();
        self.received.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.has_more |= bytes.len() > room;
    }

    /// Whether nothing more need be read.
    pub fn is_complete(&self) -> bool {
        self.received.len() == self.most() || self.framing == Framing::Chunked && dechunk(&self.received).1.is_some()
    }

    /// Whether all of it has come and nothing behind it, so that the connection can be used for another request.
    pub fn has_ended_exactly(&self) -> bool {
        match self.framing {
            Framing::Length(length) => self.received.len() == length && !self.has_more,
            Framing::Chunked => dechunk(&self.received).1 == Some(b"\r\n") && !self.has_more,
            Framing::UntilEnd => false,
        }
    }

    /// The content, as far as it has come.
    pub fn into_content(self) -> Vec<u8> {
        match self.framing {
            Framing::Chunked => dechunk(&self.received).0,
            _ => self.received,
        }
    }

    fn most(&self) -> usize {
        match self.framing {
            Framing::Length(length) => length,
            _ => MAX_BODY,
        }
    }
}

/// The content of chunks (RFC 9112 §7.1), and what stands behind the last if it was there. What cannot be read ends it.
fn dechunk(mut bytes: &[u8]) -> (Vec<u8>, Option<&[u8]>) {
    let mut content = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(bytes) else { return (content, None) };
        let rest = &bytes[start..];
        if size == 0 {
            return (content, Some(rest));
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        content.extend_from_slice(&rest[..size.min(rest.len())]);
        match size.checked_add(2).and_then(|next| rest.get(next..)) {
            Some(next) => bytes = next,
            None => return (content, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(header: &[(&str, &str)], pieces: &[&str]) -> (bool, String) {
        let mut headers = Headers::new();
        for (name, value) in header {
            headers.push(name, value.as_bytes()).unwrap();
        }
        let mut body = Body::of_response(401, &headers);
        pieces.iter().for_each(|piece| body.feed(piece.as_bytes()));
        (body.is_complete(), String::from_utf8(body.into_content()).unwrap())
    }

    #[test]
    fn a_body_ends_by_length_by_chunks_or_with_the_connection() {
        assert_eq!(body(&[("Content-Length", "5")], &["hel", "lo and more"]), (true, "hello".into()));
        assert_eq!(body(&[("Content-Length", "5")], &["hel"]), (false, "hel".into()));
        assert_eq!(body(&[], &["hel", "lo"]), (false, "hello".into()));
        let chunked = [("Transfer-Encoding", "chunked")];
        assert_eq!(body(&chunked, &["3\r\nhel\r\n2;x=y\r\nlo\r\n", "0\r\n\r\n"]), (true, "hello".into()));
        assert_eq!(body(&chunked, &["3\r\nhel\r\nzz"]), (false, "hel".into()));
        assert_eq!(body(&chunked, &["ffffffffffffffff\r\nhel"]), (false, "hel".into()));
    }

    #[test]
    fn a_connection_is_of_use_after_an_exact_end_alone() {
        let exact = |header: &[(&str, &str)], text: &str| {
            let mut headers = Headers::new();
            header.iter().for_each(|(name, value)| headers.push(name, value.as_bytes()).unwrap());
            let mut body = Body::of_response(401, &headers);
            body.feed(text.as_bytes());
            body.has_ended_exactly()
        };
        let chunked = [("Transfer-Encoding", "chunked")];
        for (header, text, expected) in [
            (&[("Content-Length", "5")][..], "hello", true),
            (&[("Content-Length", "5")], "hell", false),
            (&[("Content-Length", "5")], "hello!", false),
            (&[("Content-Length", "0")], "", true),
            (&[], "hello", false),
            (&chunked, "2\r\nhe\r\n0\r\n\r\n", true),
            (&chunked, "2\r\nhe\r\n0\r\n", false),
            (&chunked, "2\r\nhe\r\n0\r\n\r\nHTTP", false),
            (&chunked, "2\r\nhe\r\n0\r\nX: y\r\n\r\n", false),
        ] {
            assert_eq!(exact(header, text), expected, "{text:?}");
        }
        let long = "x".repeat(MAX_BODY);
        assert!(exact(&[("Content-Length", "65536")], &long));
        assert!(!exact(&[("Content-Length", "65537")], &long));
    }

    #[test]
    fn no_more_than_the_bound_is_kept() {
        let long = "x".repeat(MAX_BODY + 1);
        assert_eq!(body(&[], &[&long]).1.len(), MAX_BODY);
        assert_eq!(body(&[("Content-Length", "18446744073709551615")], &[&long]).1.len(), MAX_BODY);
    }
}
