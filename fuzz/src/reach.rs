//! What leads to a server, over arbitrary text: URLs and where redirects lead, proxies and whom they are passed by for, challenges and their
//! answers, dates.

use ws101::http::auth::{Advice, Authenticator, Credentials, Scheme, challenges};
use ws101::http::date::{read_date, retry_after_ms};
use ws101::http::headers::Headers;
use ws101::http::shown;
use ws101::protocol::url::Url;
use ws101::transport::proxy::{Bypass, Proxy};

use super::input::Input;

/// One byte of choices, then text. Tells whether the text was of any use.
pub fn run(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    let choice = input.byte();
    let text = String::from_utf8_lossy(input.rest());
    match choice % 5 {
        0 => follow(&text),
        1 => name_proxies(&text),
        2 => pass_by(&text),
        3 => answer(&text),
        _ => read_times(&text),
    }
}

/// A redirect's place is a URL again, as it is written, and never one of another kind.
fn follow(location: &str) -> bool {
    let mut found = false;
    for from in ["ws://h/a/b?c", "wss://[::1]:81/", "ws+unix:/s:/x"] {
        let from = Url::parse(from).expect("it is one");
        let Ok(to) = from.join(location) else { continue };
        found = true;
        assert!(to.target().starts_with('/') && to.target().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{}", to.target());
        assert_eq!(Url::parse(&to.to_string()).as_ref(), Ok(&to), "{location:?}");
        assert!(to.socket_path().is_none() || to.socket_path() == from.socket_path(), "no redirect leads into this machine");
        assert!(from.is_same_server(&from));
        assert!(!from.is_secure() || to.is_secure() || !from.is_same_server(&to));
    }
    found
}

fn name_proxies(text: &str) -> bool {
    let Ok(proxy) = Proxy::parse(text) else { return false };
    assert!(proxy.port > 0 && !proxy.host.is_empty());
    let again = Proxy::parse(&proxy.to_string()).expect("it is written as it is read");
    assert_eq!((again.kind, &again.host, again.port, again.login), (proxy.kind, &proxy.host, proxy.port, None), "{text:?}");
    true
}

fn pass_by(text: &str) -> bool {
    let list = Bypass::parse(text);
    let hosts = ["h", "a.example.com", "example.com", "127.0.0.1", "10.1.2.3", "::1", "fd00::1", ""];
    let passed: Vec<bool> = hosts.iter().map(|host| list.has(host, 80)).collect();
    // A list with one more in it passes for no fewer.
    let more = Bypass::parse(&format!("{text},h"));
    assert!(hosts.iter().zip(&passed).all(|(host, &passes)| !passes || more.has(host, 80)) && more.has("h", 80), "{text:?}");
    passed.contains(&true)
}

fn answer(text: &str) -> bool {
    for challenge in challenges(text) {
        assert!(!challenge.scheme.is_empty() && challenge.parameters.iter().all(|(name, _)| !name.is_empty()));
    }
    let credentials = |scheme| Credentials { scheme, user: "us\"er".into(), password: "SECRET".into() };
    let mut asked = Authenticator::new(vec![credentials(Scheme::Basic), credentials(Scheme::Digest)]);
    // Whatever is asked, it ends.
    for _ in 0..8 {
        if asked.challenged([text.as_bytes()].into_iter()) != Advice::TryAgain {
            return false;
        }
        let Some(answer) = asked.answer("GET", "/", &[7; 16]) else { panic!("there is an answer when it says so") };
        let mut headers = Headers::new();
        if headers.push("Authorization", &answer).is_err() {
            // What the peer calls its realm cannot be said back in a header: then nothing is sent.
            return false;
        }
        assert!(!String::from_utf8_lossy(&answer).contains("SECRET"));
        assert!(shown::request_lines("GET", "/", &headers).iter().all(|line| !line.contains("Digest ") && !line.contains("Basic ")));
    }
    panic!("a conversation without an end: {text:?}")
}

fn read_times(text: &str) -> bool {
    let date = read_date(text);
    if let (Some(date), Some(wait)) = (date, retry_after_ms(text, 0)) {
        assert_eq!(wait, u32::try_from(date.saturating_mul(1000)).unwrap_or(u32::MAX));
        assert_eq!(retry_after_ms(text, u64::MAX), Some(0));
    }
    date.is_some() || retry_after_ms(text, 0).is_some()
}
