//! URLs by tables: what they mean, and every way to be none.

use super::*;

#[test]
fn urls_are_taken_apart() {
    // URL, secure, host, IPv6, port, target, Host header, canonical form
    let table = [
        ("ws://example.com", false, "example.com", false, 80, "/", "example.com", "ws://example.com/"),
        ("WSS://Example.COM/Chat", true, "example.com", false, 443, "/Chat", "example.com", "wss://example.com/Chat"),
        ("ws://h:8000/a?b=c&d", false, "h", false, 8000, "/a?b=c&d", "h:8000", "ws://h:8000/a?b=c&d"),
        ("ws://h?x=1", false, "h", false, 80, "/?x=1", "h", "ws://h/?x=1"),
        ("ws://h:80/", false, "h", false, 80, "/", "h", "ws://h/"),
        ("ws://h:443/", false, "h", false, 443, "/", "h:443", "ws://h:443/"),
        ("wss://h:443", true, "h", false, 443, "/", "h", "wss://h/"),
        ("wss://h:80", true, "h", false, 80, "/", "h:80", "wss://h:80/"),
        ("ws://h:/x", false, "h", false, 80, "/x", "h", "ws://h/x"),
        ("ws://h:00081/", false, "h", false, 81, "/", "h:81", "ws://h:81/"),
        ("ws://127.0.0.1:65535/", false, "127.0.0.1", false, 65535, "/", "127.0.0.1:65535", "ws://127.0.0.1:65535/"),
        ("ws://[::1]/", false, "::1", true, 80, "/", "[::1]", "ws://[::1]/"),
        ("wss://[2001:DB8::1]:8443?q", true, "2001:db8::1", true, 8443, "/?q", "[2001:db8::1]:8443", "wss://[2001:db8::1]:8443/?q"),
        ("ws://[::ffff:1.2.3.4]", false, "::ffff:1.2.3.4", true, 80, "/", "[::ffff:1.2.3.4]", "ws://[::ffff:1.2.3.4]/"),
        ("ws://a_b.x-y.example./", false, "a_b.x-y.example.", false, 80, "/", "a_b.x-y.example.", "ws://a_b.x-y.example./"),
        ("ws://h/%23?a/b?c@d:e", false, "h", false, 80, "/%23?a/b?c@d:e", "h", "ws://h/%23?a/b?c@d:e"),
        ("ws://h//x", false, "h", false, 80, "//x", "h", "ws://h//x"),
    ];
    for (text, is_secure, host, is_ipv6, port, target, host_header, canonical) in table {
        let url = Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((url.is_secure(), url.host(), url.is_ipv6(), url.port()), (is_secure, host, is_ipv6, port), "{text}");
        assert_eq!((url.target(), url.host_header().as_str(), url.to_string().as_str()), (target, host_header, canonical), "{text}");
        assert_eq!(Url::parse(canonical).as_ref(), Ok(&url), "the canonical form is the same URL");
        assert_eq!(Url::parse_listen(text).as_ref(), Ok(&url));
    }
}

#[test]
fn what_is_no_url_is_refused_with_a_sentence() {
    let table = [
        ("", 12005, "the URL \"\" does not begin with ws:// or wss://"),
        ("example.com:80/x", 12005, "the URL \"example.com:80/x\" does not begin with ws:// or wss://"),
        ("user:secret@h", 12005, "the URL \"...\" does not begin with ws:// or wss://"),
        ("ws:/h", 12005, "the URL \"ws:/h\" does not begin with ws:// or wss://"),
        ("://h", 12005, "the URL \"://h\" does not begin with ws:// or wss://"),
        (" ws://h", 12005, "the URL \" ws://h\" does not begin with ws:// or wss://"),
        ("Http://h/", 12006, "the URL's scheme is \"Http\", expected ws or wss"),
        ("wsx://h/", 12006, "the URL's scheme is \"wsx\", expected ws or wss"),
        ("ws://", 12005, "the URL has no host"),
        ("ws:///x", 12005, "the URL has no host"),
        ("ws://:80/", 12005, "the URL has no host"),
        ("ws://?x", 12005, "the URL has no host"),
        ("ws://user:secret@h/", 12005, "the URL contains a user name or password; give credentials separately"),
        ("ws://user:sec ret@h/", 12005, "the URL contains a user name or password; give credentials separately"),
        ("ws://@h/", 12005, "the URL contains a user name or password; give credentials separately"),
        ("ws://h/#x", 12005, "the URL has a fragment at position 7, which WebSocket URLs may not have (RFC 6455 §3); write # as %23"),
        ("ws://h#", 12005, "the URL has a fragment at position 6, which WebSocket URLs may not have (RFC 6455 §3); write # as %23"),
        ("ws://h/a b", 12005, "the URL has ' ' at position 8; percent-encode it"),
        ("ws://h/a\r\nX: y", 12005, "the URL has '\\r' at position 8; percent-encode it"),
        ("ws://h/\0", 12005, "the URL has '\\0' at position 7; percent-encode it"),
        ("ws://h/\u{7f}", 12005, "the URL has '\\u{7f}' at position 7; percent-encode it"),
        ("ws://h/é", 12005, "the URL has 'é' at position 7; percent-encode it"),
        ("ws://bücher.example/", 12005, "the URL has 'ü' at position 6; write the host name in punycode (xn--...)"),
        ("ws://a b/", 12005, "the URL has ' ' at position 6; a host name has neither blanks nor control characters"),
        ("ws://a\\b/", 12005, "the URL's host \"a\\\\b\" is not a host name"),
        ("ws://a%41/", 12005, "the URL's host \"a%41\" is not a host name"),
        ("ws://a,b/", 12005, "the URL's host \"a,b\" is not a host name"),
        ("ws://a[::1]/", 12005, "the URL's host \"a[\" is not a host name"),
        ("ws://[::1/", 12005, "the URL's host [::1 lacks its closing bracket"),
        ("ws://[]/", 12005, "the URL's host [] is not an IPv6 address"),
        ("ws://[1.2.3.4]/", 12005, "the URL's host [1.2.3.4] is not an IPv6 address"),
        ("ws://[::1]x/", 12005, "the URL's port \"x\" is not a number from 0 to 65535"),
        (
            "ws://[fe80::1%25eth0]/",
            12005,
            "the URL's host [fe80::1%25eth0] has a zone identifier, which URLs cannot carry; bind to the interface instead",
        ),
        ("ws://h:65536/", 12005, "the URL's port \"65536\" is not a number from 0 to 65535"),
        ("ws://h:-1/", 12005, "the URL's port \"-1\" is not a number from 0 to 65535"),
        ("ws://h:+80/", 12005, "the URL's port \"+80\" is not a number from 0 to 65535"),
        ("ws://h:80:90/", 12005, "the URL's port \"80:90\" is not a number from 0 to 65535"),
        ("ws://::1/", 12005, "the URL has no host"),
        ("ws://h:0/", 12005, "the URL's port is 0, which only a listener can use"),
        ("ws://*:80/", 12005, "the URL's host \"*\" stands for all interfaces, which only a listener can use"),
    ];
    for (text, code, sentence) in table {
        let error = Url::parse(text).expect_err(text);
        assert_eq!((error.to_string().as_str(), error.status().code()), (sentence, code), "{text:?}");
        assert_eq!(Error::from(error).status().code(), code);
    }
}

#[test]
fn listeners_may_leave_port_and_interface_open() {
    for (text, host, port, is_any_host) in
        [("ws://127.0.0.1:0/ws/", "127.0.0.1", 0, false), ("ws://*:8000/", "*", 8000, true), ("wss://+/", "+", 443, true)]
    {
        let url = Url::parse_listen(text).unwrap();
        assert_eq!((url.host(), url.port(), url.is_any_host()), (host, port, is_any_host));
        assert!(Url::parse(text).is_err());
    }
    assert!(Url::parse_listen("ws://**/").is_err());
    let url = Url::parse_listen("ws://127.0.0.1:0/ws/").unwrap();
    assert_eq!(url.with_port(4711).to_string(), "ws://127.0.0.1:4711/ws/");
}

#[test]
fn the_length_is_bounded_exactly() {
    for (length, expected) in [(MAX_LENGTH - 1, true), (MAX_LENGTH, true), (MAX_LENGTH + 1, false)] {
        let text = format!("ws://h/{}", "x".repeat(length - 7));
        assert_eq!(Url::parse(&text).is_ok(), expected, "{length}");
    }
}

#[test]
fn authority_origin_and_path() {
    let url = Url::parse("wss://[::1]/a/b?c").unwrap();
    assert_eq!((url.authority().as_str(), url.origin().as_str(), url.path()), ("[::1]:443", "https://[::1]", "/a/b"));
    let url = Url::parse("ws://h:81").unwrap();
    assert_eq!((url.authority().as_str(), url.origin().as_str(), url.path()), ("h:81", "http://h:81", "/"));
}

#[test]
fn targets_come_in_two_forms() {
    for (target, expected) in [
        ("/a?b", "/a?b"),
        ("http://h:1/a?b", "/a?b"),
        ("WS://h", "/"),
        ("*", "*"),
        ("/x?u=http://h/y", "/x?u=http://h/y"),
        ("ftp://h/a", "ftp://h/a"),
    ] {
        assert_eq!(origin_form(target), expected);
    }
}

#[test]
fn sockets_of_this_machine_have_urls() {
    for (text, path, target, canonical) in [
        ("ws+unix:/run/x.sock:/chat?a", "/run/x.sock", "/chat?a", "ws+unix:/run/x.sock:/chat?a"),
        ("WS+UNIX:/run/x.sock", "/run/x.sock", "/", "ws+unix:/run/x.sock:/"),
        ("ws+unix:///run/x.sock:/a:b", "/run/x.sock", "/a:b", "ws+unix:/run/x.sock:/a:b"),
        ("ws+unix:x.sock:?q", "x.sock", "/?q", "ws+unix:x.sock:/?q"),
        ("ws+unix:/a%20b%3a%C3%A4:/", "/a b:ä", "/", "ws+unix:/a%20b%3A%C3%A4:/"),
    ] {
        let url = Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((url.socket_path(), url.target(), url.to_string().as_str()), (Some(path), target, canonical));
        assert_eq!((url.host_header().as_str(), url.is_secure(), url.authority().as_str()), ("localhost", false, path));
        assert_eq!(Url::parse(canonical).as_ref(), Ok(&url), "the canonical form is the same URL");
        assert_eq!(Url::parse_listen(text).unwrap_err().status(), Status::UnrecognizedScheme);
    }
    assert_eq!(Url::parse("ws+unix:/s:/a?secret").unwrap().without_query(), "ws+unix:/s:/a");
    for text in [
        "ws+unix:",
        "ws+unix::/x",
        "ws+unix://host/x",
        "ws+unix:/a%",
        "ws+unix:/a%zz",
        "ws+unix:/a%ff",
        "ws+unix:/a%00",
        "ws+unix:/a b",
        "ws+unix:/a#b",
    ] {
        assert_eq!(Url::parse(text).expect_err(text).status(), Status::InvalidUrl);
    }
}
