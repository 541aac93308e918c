//! Heads as a log may show them: credentials blanked, and every value that may be one.
//!
//! A value is shown only if its header is known to have no secret in it: a program's own headers have names that nobody here knows.

use super::{Headers, ResponseHead};

/// Headers whose values are no secrets. Of those that are URLs, the query is blanked.
const SHOWN: &[&str] = &[
    "Accept",
    "Allow",
    "Cache-Control",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Date",
    "Host",
    "Keep-Alive",
    "Location",
    "Origin",
    "Pragma",
    "Proxy-Agent",
    "Proxy-Authenticate",
    "Proxy-Connection",
    "Retry-After",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Version",
    "Server",
    "Transfer-Encoding",
    "Upgrade",
    "User-Agent",
    "Vary",
    "Via",
    "WWW-Authenticate",
];

/// Stands for what is not shown.
const BLANK: &str = "...";

/// The lines of a request.
pub fn request_lines(method: &str, target: &str, headers: &Headers) -> Vec<String> {
    lines(format!("{method} {} HTTP/1.1", without_query(target)), headers)
}

/// The lines of a response. The phrase is the peer's and means nothing.
pub fn response_lines(head: &ResponseHead) -> Vec<String> {
    lines(format!("HTTP/1.{} {}", head.minor_version, super::head::status_with_phrase(head.status)), &head.headers)
}

fn lines(first: String, headers: &Headers) -> Vec<String> {
    let fields = headers.iter().map(|(name, value)| match SHOWN.iter().any(|shown| shown.eq_ignore_ascii_case(name)) {
        true => format!("{name}: {}", without_query(&value.escape_ascii().to_string().replace("\\\"", "\""))),
        false => format!("{name}: {BLANK}"),
    });
    std::iter::once(first).chain(fields).collect()
}

fn without_query(target: &str) -> String {
    target.split_once('?').map_or(target.to_owned(), |(path, _)| format!("{path}?{BLANK}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_may_be_secret_is_shown() {
        let mut headers = Headers::new();
        for (name, value) in [
            ("Host", "h:80"),
            ("authorization", "Basic SECRET"),
            ("Proxy-Authorization", "Digest SECRET"),
            ("Cookie", "SECRET"),
            ("Set-Cookie", "SECRET"),
            ("X-Api-Key", "SECRET"),
            ("LOCATION", "http://h/x?SECRET"),
            ("WWW-Authenticate", "Basic realm=\"x\""),
        ] {
            headers.push(name, value.as_bytes()).unwrap();
        }
        let request = request_lines("GET", "/chat?token=SECRET", &headers);
        assert_eq!(
            request,
            [
                "GET /chat?... HTTP/1.1",
                "Host: h:80",
                "authorization: ...",
                "Proxy-Authorization: ...",
                "Cookie: ...",
                "Set-Cookie: ...",
                "X-Api-Key: ...",
                "LOCATION: http://h/x?...",
                "WWW-Authenticate: Basic realm=\"x\"",
            ]
        );
        let response = ResponseHead { status: 401, reason: "SECRET".into(), minor_version: 1, headers };
        assert_eq!(response_lines(&response)[0], "HTTP/1.1 401 Unauthorized");
    }
}
