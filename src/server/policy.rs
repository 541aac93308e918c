//! What a listener decides by itself: which paths are its own, and how it looks when it refuses.
//!
//! Out of scope: the rules of the upgrade (`protocol::handshake`).

use crate::http::Headers;

/// HttpListener's rule: a prefix `/ws/` takes `/ws/` and all below it, and `/ws` as well.
pub fn is_below(path: &str, prefix: &str) -> bool {
    let stem = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(stem).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A path of the client's in a sentence: escaped, and cut so that the sentence stays one.
pub fn shown(path: &str) -> String {
    const LONGEST: usize = 64;
    let cut = if path.len() > LONGEST { "..." } else { "" };
    format!("{}{cut}", path.as_bytes()[..path.len().min(LONGEST)].escape_ascii())
}

/// The headers of an answer of the library's own.
pub fn plain_headers() -> Headers {
    let mut headers = Headers::new();
    for (name, value) in [("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close")] {
        headers.push(name, value.as_bytes()).expect("both are valid headers");
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_takes_itself_and_what_is_below() {
        for (path, prefix, expected) in [
            ("/ws/", "/ws/", true),
            ("/ws", "/ws/", true),
            ("/ws/room/1", "/ws/", true),
            ("/wsx", "/ws/", false),
            ("/", "/ws/", false),
            ("/anything", "/", true),
            ("/", "/", true),
            ("/ws/room", "/ws", true),
            ("/wsx", "/ws", false),
        ] {
            assert_eq!(is_below(path, prefix), expected, "{path} below {prefix}");
        }
    }
}
