//! Heads, read and written: whole, split at every byte, byte by byte, at the limits, and refused.

use super::*;
use crate::error::Status;

const AMPLE: Limits = Limits { max_size: 65_536, max_headers: 128 };

const REQUEST: &[u8] =
    b"GET /chat?x=1 HTTP/1.1\r\nHost: server.example\r\nUpgrade:websocket\r\nX-Empty:\r\nCookie: a=1\r\ncookie:\t b=2 \t\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: websocket\r\nX: \xff\r\n\r\n";

fn read_request(bytes: &[u8]) -> Result<Option<(RequestHead, usize)>, HeadError> {
    HeadReader::new(AMPLE).read_request(bytes)
}

fn read_response(bytes: &[u8]) -> Result<Option<(ResponseHead, usize)>, HeadError> {
    HeadReader::new(AMPLE).read_response(bytes)
}

fn assert_is_sample_request(head: &RequestHead) {
    assert_eq!((head.method.as_str(), head.target.as_str(), head.minor_version), ("GET", "/chat?x=1", 1));
    let fields: Vec<_> = head.headers.iter().collect();
    let expected = [("Host", &b"server.example"[..]), ("Upgrade", b"websocket"), ("X-Empty", b""), ("Cookie", b"a=1"), ("cookie", b"b=2")];
    assert_eq!(fields, expected);
}

fn assert_is_sample_response(head: &ResponseHead) {
    assert_eq!((head.status, head.reason.as_str(), head.minor_version), (101, "Web Socket Protocol Handshake", 1));
    assert_eq!(head.headers.iter().collect::<Vec<_>>(), [("Upgrade", &b"websocket"[..]), ("X", b"\xff")]);
}

#[test]
fn a_head_ends_where_it_ends_whatever_follows() {
    for rest in [&b""[..], b"\x81\x05Hello", b"\r\n\r\n", REQUEST] {
        let bytes = [REQUEST, rest].concat();
        let (head, used) = read_request(&bytes).unwrap().unwrap();
        assert_eq!(used, REQUEST.len());
        assert_is_sample_request(&head);
        let bytes = [RESPONSE, rest].concat();
        let (head, used) = read_response(&bytes).unwrap().unwrap();
        assert_eq!(used, RESPONSE.len());
        assert_is_sample_response(&head);
    }
}

#[test]
fn heads_split_at_every_byte() {
    for split in 0..REQUEST.len() {
        let mut reader = HeadReader::new(AMPLE);
        assert!(reader.read_request(&REQUEST[..split]).unwrap().is_none(), "complete after {split} bytes");
        assert_is_sample_request(&reader.read_request(REQUEST).unwrap().unwrap().0);
    }
    for split in 0..RESPONSE.len() {
        let mut reader = HeadReader::new(AMPLE);
        assert!(reader.read_response(&RESPONSE[..split]).unwrap().is_none(), "complete after {split} bytes");
        assert_is_sample_response(&reader.read_response(RESPONSE).unwrap().unwrap().0);
    }
}

#[test]
fn heads_byte_by_byte_and_one_after_the_other() {
    let mut reader = HeadReader::new(AMPLE);
    for _ in 0..2 {
        for end in 0..REQUEST.len() {
            assert!(reader.read_request(&REQUEST[..end]).unwrap().is_none());
        }
        assert_is_sample_request(&reader.read_request(REQUEST).unwrap().unwrap().0);
    }
    let interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let bytes = [interim, RESPONSE].concat();
    let (head, used) = reader.read_response(&bytes).unwrap().unwrap();
    assert!(head.is_interim());
    let (head, _) = reader.read_response(&bytes[used..]).unwrap().unwrap();
    assert!(!head.is_interim());
    assert_is_sample_response(&head);
}

#[test]
fn the_reader_looks_at_each_byte_once() {
    let head = [b"GET / HTTP/1.1\r\nX: ", &[b'x'; 60_000][..], b"\r\n\r\n"].concat();
    let mut reader = HeadReader::new(AMPLE);
    for end in 0..head.len() {
        assert!(reader.read_request(&head[..end]).unwrap().is_none());
        assert_eq!(reader.scanned, end);
    }
    assert_eq!(reader.read_request(&head).unwrap().unwrap().1, head.len());

    // What was looked at is not looked at again: a line's end that appears behind the scan goes unnoticed.
    let mut reader = HeadReader::new(AMPLE);
    assert!(reader.read_request(&REQUEST[..REQUEST.len() - 1]).unwrap().is_none());
    let mut changed = REQUEST.to_vec();
    changed[30] = 0;
    assert!(!matches!(reader.read_request(&changed), Err(HeadError::Control { .. })));
}

#[test]
fn the_size_limit_is_exact() {
    for (max_size, expected) in [(REQUEST.len() - 1, false), (REQUEST.len(), true), (REQUEST.len() + 1, true)] {
        for rest in [&b""[..], b"more"] {
            let mut reader = HeadReader::new(Limits { max_size, ..AMPLE });
            let result = reader.read_request(&[REQUEST, rest].concat());
            assert_eq!(result.is_ok(), expected, "limit {max_size} for {} bytes", REQUEST.len());
            if let Err(error) = result {
                assert_eq!(error, HeadError::TooLarge { limit: max_size });
            }
        }
    }
    // The limit strikes when it is reached without an end, not when the end comes.
    let mut reader = HeadReader::new(Limits { max_size: 20, ..AMPLE });
    assert!(reader.read_request(&REQUEST[..19]).unwrap().is_none());
    assert_eq!(reader.read_request(&REQUEST[..20]).unwrap_err(), HeadError::TooLarge { limit: 20 });
}

#[test]
fn the_limit_of_header_fields_is_exact() {
    for (max_headers, expected) in [(4, false), (5, true), (6, true)] {
        let mut reader = HeadReader::new(Limits { max_headers, ..AMPLE });
        let result = reader.read_request(REQUEST);
        assert_eq!(result.is_ok(), expected, "limit {max_headers} for 5 fields");
        if let Err(error) = result {
            assert_eq!(error, HeadError::TooManyHeaders { limit: max_headers });
        }
    }
    let mut reader = HeadReader::new(Limits { max_headers: 0, ..AMPLE });
    assert!(reader.read_response(b"HTTP/1.1 200 OK\r\n\r\n").unwrap().is_some());
}

#[test]
fn malformed_requests_are_refused_with_a_sentence() {
    let table: &[(&[u8], &str)] = &[
        (b"\x16\x03\x01\x02\x00", "the peer speaks TLS where plain HTTP was expected (ws:// against wss://)"),
        (b"PRI * HTTP/2.0\r\n", "the peer speaks HTTP/2.0, expected HTTP/1.1"),
        (b"GET / HTTP/1.2\r\n", "the peer speaks HTTP/1.2, expected HTTP/1.1"),
        (b"GET / HTTP/11\r\n", "the peer speaks HTTP/11, expected HTTP/1.1"),
        (b"GET /\r\n", "the peer does not speak HTTP/1.1: it began with \"GET /\""),
        (b"{\"json\"", "the peer does not speak HTTP/1.1: it began with \"{\\\"json\\\"\""),
        (b" GET /", "the peer does not speak HTTP/1.1: it began with \" GET /\""),
        (b"\x00\x00", "the peer does not speak HTTP/1.1: it began with \"\\x00\\x00\""),
        (b"\r\n\r\n", "the peer does not speak HTTP/1.1: it began with \"\\r\\n\""),
        (b"GET /\0", "the HTTP head has the control character 0x00 at byte 5"),
        (b"GET /\xe9 HTTP/1.1\r\n\r\n", "the HTTP head is malformed: invalid token"),
        (b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", "the request target has the byte 0xc3 at position 1, which must be percent-encoded"),
        (b"GET  / HTTP/1.1\r\n\r\n", "the HTTP head is malformed: invalid token"),
        (b"GET / / HTTP/1.1\r\n\r\n", "the HTTP head is malformed: invalid HTTP version"),
        (b"GET / HTTP/1.1\n", "a line of the HTTP head ends with LF alone at byte 14, expected CR LF"),
        (b"GET / HTTP/1.1\r\nHost: a\n", "a line of the HTTP head ends with LF alone at byte 23, expected CR LF"),
        (b"GET / HTTP/1.1\r\nHost: a\rb", "the HTTP head has CR without LF at byte 23"),
        (b"GET / HTTP/1.1\r\r\n", "the HTTP head has CR without LF at byte 14"),
        (b"GET / HTTP/1.1\r\nHost: a\x00", "the HTTP head has the control character 0x00 at byte 23"),
        (b"GET / HTTP/1.1\r\nHost: a\x7f", "the HTTP head has the control character 0x7f at byte 23"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n", "header line 2 begins with a blank: folded headers are obsolete (RFC 9112 §5.2)"),
        (b"GET / HTTP/1.1\r\n\tb: c\r\n", "header line 1 begins with a blank: folded headers are obsolete (RFC 9112 §5.2)"),
        (b"GET / HTTP/1.1\r\nHost a\r\n", "header line 1 does not begin with a name and a colon"),
        (b"GET / HTTP/1.1\r\nHost : a\r\n", "header line 1 does not begin with a name and a colon"),
        (b"GET / HTTP/1.1\r\n: a\r\n", "header line 1 does not begin with a name and a colon"),
        (b"GET / HTTP/1.1\r\nA: b\r\nHo\xc3\xa9st: a\r\n", "header line 2 does not begin with a name and a colon"),
    ];
    for (bytes, sentence) in table {
        assert_eq!(read_request(bytes).unwrap_err().to_string(), *sentence, "{}", bytes.escape_ascii());
        let mut reader = HeadReader::new(AMPLE);
        let error = (0..=bytes.len()).find_map(|end| reader.read_request(&bytes[..end]).err());
        assert!(error.is_some(), "{} was accepted byte by byte", bytes.escape_ascii());
    }
}

#[test]
fn malformed_responses_are_refused_with_a_sentence() {
    let table: &[(&[u8], &str)] = &[
        (b"\x15\x03\x01", "the peer speaks TLS where plain HTTP was expected (ws:// against wss://)"),
        (b"SSH-2.0-Open", "the peer does not speak HTTP/1.1: it began with \"SSH-2.0-Open\""),
        (b"\r\nHTTP/1.1 200", "the peer does not speak HTTP/1.1: it began with \"\\r\\n\""),
        (b"http/1.1 200", "the peer does not speak HTTP/1.1: it began with \"http/1.1 200\""),
        (b"HTTP/2.0 101 Switching\r\n", "the peer speaks HTTP/2.0, expected HTTP/1.1"),
        (b"HTTP/1.1 099 Low\r\n\r\n", "the HTTP status 99 is not one of three digits from 100"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "the HTTP head is malformed: invalid response status"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "the HTTP head is malformed: invalid response status"),
        (b"HTTP/1.1 101 a\x07", "the HTTP head has the control character 0x07 at byte 14"),
        (b"HTTP/1.1 101 X\r\nA: b\r\n c\r\n", "header line 2 begins with a blank: folded headers are obsolete (RFC 9112 §5.2)"),
        (b"HTTP/1.1 101 X\nA: b\n\n", "a line of the HTTP head ends with LF alone at byte 14, expected CR LF"),
    ];
    for (bytes, sentence) in table {
        assert_eq!(read_response(bytes).unwrap_err().to_string(), *sentence, "{}", bytes.escape_ascii());
    }
}

#[test]
fn versions_phrases_and_a_leading_empty_line_are_tolerated() {
    assert_eq!(read_request(b"GET / HTTP/1.0\r\n\r\n").unwrap().unwrap().0.minor_version, 0);
    assert_eq!(read_request(b"\r\nGET / HTTP/1.1\r\n\r\nrest").unwrap().unwrap().1, 20);
    assert_eq!(read_response(b"HTTP/1.0 200 OK\r\n\r\n").unwrap().unwrap().0.minor_version, 0);
    for (line, reason) in [("HTTP/1.1 101", ""), ("HTTP/1.1 101 ", ""), ("HTTP/1.1 101 x y", "x y"), ("HTTP/1.1 101 \u{e9}", "")] {
        let (head, _) = read_response(format!("{line}\r\n\r\n").as_bytes()).unwrap().unwrap();
        assert_eq!((head.status, head.reason.as_str()), (101, reason), "{line}");
    }
}

#[test]
fn errors_have_the_numbers_of_both_sides() {
    let numbers = |error: HeadError| (error.status(), error.http_status());
    assert_eq!(numbers(HeadError::TooLarge { limit: 1 }), (Status::HeaderSizeOverflow, 431));
    assert_eq!(numbers(HeadError::TooManyHeaders { limit: 1 }), (Status::HeaderCountExceeded, 431));
    assert_eq!(numbers(HeadError::Version { version: "HTTP/2.0".into() }), (Status::InvalidServerResponse, 505));
    assert_eq!(numbers(HeadError::Folded { line: 1 }), (Status::InvalidServerResponse, 400));
}

#[test]
fn what_is_written_is_read() {
    let mut headers = Headers::new();
    headers.push("Host", b"a:1").unwrap();
    headers.push("X", b"\xfe").unwrap();
    headers.push("Empty", b"").unwrap();
    let bytes = write_request("GET", "/a?b", &headers);
    assert_eq!(bytes, b"GET /a?b HTTP/1.1\r\nHost: a:1\r\nX: \xfe\r\nEmpty: \r\n\r\n");
    let (head, used) = read_request(&bytes).unwrap().unwrap();
    assert_eq!((head.target.as_str(), used), ("/a?b", bytes.len()));
    assert!(head.headers.iter().eq(headers.iter()));

    let bytes = write_response(404, &headers, b"none");
    assert_eq!(bytes, b"HTTP/1.1 404 Not Found\r\nHost: a:1\r\nX: \xfe\r\nEmpty: \r\nContent-Length: 4\r\n\r\nnone");
    let (head, used) = read_response(&bytes).unwrap().unwrap();
    assert_eq!((head.status, head.reason.as_str(), &bytes[used..]), (404, "Not Found", &b"none"[..]));
}

#[test]
fn a_response_says_its_length_where_it_may() {
    let none = Headers::new();
    assert_eq!(write_response(101, &none, b""), b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
    assert_eq!(write_response(204, &none, b""), b"HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(write_response(200, &none, b""), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(write_response(799, &none, b""), b"HTTP/1.1 799 \r\nContent-Length: 0\r\n\r\n");
    let mut given = Headers::new();
    given.push("content-length", b"1").unwrap();
    assert_eq!(write_response(200, &given, b"x"), b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx");
}
