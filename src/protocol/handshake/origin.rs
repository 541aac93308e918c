//! Which pages may open a connection: the `Origin` header, RFC 6454 and RFC 6455 §10.2.
//!
//! In scope: comparing an origin with the host that was asked for and with a list. Out of scope: reading the headers.

/// Scheme, host and port; a port only if it is written or the scheme has a default one.
struct Origin<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<&'a str>,
}

/// Whether a page of this origin may connect: it comes from the host that was asked for, or it is on the list.
pub(super) fn is_allowed(origin: &str, host: &str, allowed: &[String]) -> bool {
    is_same_host(origin, host) || allowed.iter().any(|allowed| allowed == "*" || is_same_origin(origin, allowed))
}

/// Whether the page was served by the host in the `Host` header. The scheme is the page's affair: before the server there may be a proxy
/// that speaks TLS. For the same reason a `Host` without port stands for the default port of the page's scheme.
fn is_same_host(origin: &str, host: &str) -> bool {
    let Some(origin) = Origin::parse(origin) else { return false };
    let (host, port) = split_port(host);
    origin.host.eq_ignore_ascii_case(host) && origin.port == port.or(default_port(origin.scheme))
}

fn is_same_origin(origin: &str, allowed: &str) -> bool {
    match (Origin::parse(origin), Origin::parse(allowed.trim_end_matches('/'))) {
        (Some(origin), Some(allowed)) => {
            origin.scheme.eq_ignore_ascii_case(allowed.scheme)
                && origin.host.eq_ignore_ascii_case(allowed.host)
                && origin.port == allowed.port
        }
        // "null", and whatever else is not scheme://host.
        _ => origin.eq_ignore_ascii_case(allowed),
    }
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Option<Origin<'a>> {
        let (scheme, authority) = text.split_once("://")?;
        let (host, port) = split_port(authority);
        let is_origin = !scheme.is_empty() && !host.is_empty() && !authority.contains(['/', '?', '#', '@', ' ', '\\']);
        is_origin.then_some(Origin { scheme, host, port: port.or(default_port(scheme)) })
    }
}

/// Host, with its brackets, and port; a port without digits is none.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port).filter(|port| !port.is_empty())),
        _ => (authority, None),
    }
}

fn default_port(scheme: &str) -> Option<&'static str> {
    let is = |known: &str| scheme.eq_ignore_ascii_case(known);
    if is("http") || is("ws") {
        Some("80")
    } else if is("https") || is("wss") {
        Some("443")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_the_same_host_are_at_home() {
        for (origin, host, expected) in [
            ("http://example.com", "example.com", true),
            ("HTTP://Example.COM", "eXample.com", true),
            ("https://example.com", "example.com", true),
            ("http://example.com", "example.com:80", true),
            ("http://example.com:80", "example.com", true),
            ("https://example.com", "example.com:443", true),
            ("http://example.com", "example.com:", true),
            ("http://localhost:8000", "localhost:8000", true),
            ("http://[::1]:8000", "[::1]:8000", true),
            ("http://[::1]", "[::1]", true),
            ("http://example.com", "example.com:8000", false),
            ("http://example.com:8000", "example.com", false),
            ("https://example.com", "example.com:80", false),
            ("http://evil.example", "example.com", false),
            ("http://example.com.evil.example", "example.com", false),
            ("http://evil-example.com", "example.com", false),
            ("http://example.com@evil.example", "evil.example", false),
            ("http://[::1]", "[::2]", false),
            ("null", "null", false),
            ("example.com", "example.com", false),
            ("://example.com", "example.com", false),
            ("http://", "", false),
            ("file://", "", false),
            ("", "", false),
        ] {
            assert_eq!(is_allowed(origin, host, &[]), expected, "{origin:?} on {host:?}");
        }
    }

    #[test]
    fn a_list_allows_others() {
        for (origin, allowed, expected) in [
            ("http://a.example", "*", true),
            ("null", "*", true),
            ("null", "null", true),
            ("null", "http://a.example", false),
            ("http://a.example", "http://a.example", true),
            ("http://A.example:80", "HTTP://a.EXAMPLE", true),
            ("http://a.example", "http://a.example/", true),
            ("http://a.example", "https://a.example", false),
            ("http://a.example:81", "http://a.example", false),
            ("http://b.a.example", "http://a.example", false),
            ("http://a.example", "a.example", false),
            ("chrome-extension://abc", "chrome-extension://abc", true),
            ("chrome-extension://abd", "chrome-extension://abc", false),
        ] {
            assert_eq!(is_allowed(origin, "h", &[allowed.to_owned()]), expected, "{origin:?} with {allowed:?}");
        }
        let list = ["http://a.example".to_owned(), "http://b.example".to_owned()];
        assert!(is_allowed("http://b.example", "h", &list));
    }
}
