//! Where a redirect leads: the value of `Location`, RFC 9110 §10.2.2, against the URL that was asked (RFC 3986 §5.2).
//!
//! In scope: absolute and relative references, and whether two URLs name the same server. Out of scope: whether a redirect may be followed.

use super::{Url, UrlError};

impl Url {
    /// The URL that a `Location` means. A fragment is left out: it is no server's business. `http` and `https` mean `ws` and `wss`.
    pub fn join(&self, location: &str) -> Result<Url, UrlError> {
        let location = location.split('#').next().unwrap_or_default();
        let location = encoded(location);
        if let Some((scheme, rest)) = split_scheme(&location) {
            let scheme = match scheme.to_ascii_lowercase().as_str() {
                "http" | "ws" => "ws",
                "https" | "wss" => "wss",
                _ => return Err(UrlError::Scheme { scheme: scheme.to_owned() }),
            };
            return Url::parse(&format!("{scheme}:{rest}"));
        }
        if location.starts_with("//") {
            return Url::parse(&format!("{}:{location}", self.scheme()));
        }
        let mut url = self.clone();
        url.target = self.resolved(&location);
        Ok(url)
    }

    /// Whether both are answered by the same server, so that what one may know the other may know too. The same host over TLS is: what
    /// it was told in the open it may be told in secret.
    pub fn is_same_server(&self, other: &Url) -> bool {
        let has_same_port = self.port == other.port || (self.port, other.port) == (80, 443);
        let is_as_secret = other.is_secure || !self.is_secure;
        (&self.host, &self.socket_path) == (&other.host, &other.socket_path) && has_same_port && is_as_secret
    }

    /// The target that a reference without an authority means.
    fn resolved(&self, reference: &str) -> String {
        let (path, query) = reference.split_once('?').map_or((reference, None), |(path, query)| (path, Some(query)));
        let own_path = self.path();
        let (path, query) = match path {
            "" => (own_path.to_owned(), query.or_else(|| self.target.split_once('?').map(|(_, query)| query))),
            _ if path.starts_with('/') => (without_dots(path), query),
            _ => {
                let folder = &own_path[..own_path.rfind('/').map_or(0, |slash| slash + 1)];
                (without_dots(&format!("{folder}{path}")), query)
            }
        };
        query.map_or(path.clone(), |query| format!("{path}?{query}"))
    }
}

/// The scheme and what follows its colon, if the reference begins with one.
fn split_scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some((scheme, rest))
}

/// RFC 3986 §5.2.4, for a path that begins with a slash.
fn without_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    segments.pop();
                }
                if is_last {
                    segments.push("");
                }
            }
            _ => segments.push(part),
        }
    }
    format!("/{}", segments.join("/"))
}

/// What no URL may contain as it is, and servers send all the same.
fn encoded(location: &str) -> String {
    let mut text = String::with_capacity(location.len());
    for byte in location.trim_matches([' ', '\t']).bytes() {
        if byte.is_ascii_graphic() { text.push(byte.into()) } else { text.push_str(&format!("%{byte:02X}")) }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_location_leads_where_rfc_3986_says() {
        for (location, expected) in [
            ("/x", "ws://h:81/x"),
            ("x", "ws://h:81/a/x"),
            ("./x?y", "ws://h:81/a/x?y"),
            ("../x", "ws://h:81/x"),
            ("../../../x", "ws://h:81/x"),
            ("/a/./b/../c", "ws://h:81/a/c"),
            ("/a/..", "ws://h:81/"),
            (".", "ws://h:81/a/"),
            ("", "ws://h:81/a/b?c"),
            ("?d", "ws://h:81/a/b?d"),
            ("#f", "ws://h:81/a/b?c"),
            ("/x#f", "ws://h:81/x"),
            ("x:y/z", "!scheme"),
            ("./x:y", "ws://h:81/a/x:y"),
            ("//other/x", "ws://other/x"),
            ("http://other", "ws://other/"),
            ("HTTPS://Other:444/x?y#z", "wss://other:444/x?y"),
            ("ws://other/x", "ws://other/x"),
            ("wss://[::1]/x", "wss://[::1]/x"),
            ("/a b/ä", "ws://h:81/a%20b/%C3%A4"),
            ("ftp://other/x", "!scheme"),
            ("http://user:password@other/", "!UserInfo"),
            ("http:///x", "!NoHost"),
        ] {
            match (url("ws://h:81/a/b?c").join(location), expected.strip_prefix('!')) {
                (Ok(found), None) => assert_eq!(found.to_string(), expected, "{location}"),
                (Err(error), Some(kind)) => {
                    assert!(format!("{error:?}").to_lowercase().starts_with(&kind.to_lowercase()), "{location}: {error}");
                }
                (found, _) => panic!("{location}: {found:?}"),
            }
        }
        assert_eq!(url("wss://h/a").join("//other/x").unwrap().to_string(), "wss://other/x");
        assert_eq!(url("ws+unix:/s:/a/b").join("c").unwrap().to_string(), "ws+unix:/s:/a/c");
    }

    #[test]
    fn who_is_the_same_server() {
        for (one, other, expected) in [
            ("ws://h/a", "ws://h/b", true),
            ("ws://h/", "wss://h/", true),
            ("wss://h/", "ws://h/", false),
            ("ws://h/", "ws://h:81/", false),
            ("ws://h:8000/", "wss://h:8443/", false),
            ("ws://h:8000/", "wss://h:8000/", true),
            ("ws://h/", "ws://other/", false),
            ("ws://h/", "ws://sub.h/", false),
            ("ws+unix:/s:/a", "ws+unix:/s:/b", true),
            ("ws+unix:/s:/a", "ws://localhost/a", false),
        ] {
            assert_eq!(url(one).is_same_server(&url(other)), expected, "{one} {other}");
        }
    }
}
