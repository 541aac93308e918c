//! HTTP heads, header lists, URLs and the judges of the handshake over arbitrary text, in arbitrary parts.

use ws101::http::{HeadError, HeadReader, Headers, Limits, RequestHead, write_request, write_response};
use ws101::options::Compression;
use ws101::protocol::Role;
use ws101::protocol::deflate::Preferences;
use ws101::protocol::handshake::client::{ClientHandshake, Offer, Refusal};
use ws101::protocol::handshake::key::{Key, accept_value};
use ws101::protocol::handshake::server::{ServerPolicy, Verdict, judge_request};
use ws101::protocol::url::{Url, UrlError};

use super::input::{Input, parts};

/// The key of every client here: the article's.
fn key() -> Key {
    Key::from_value(b"E4WSEcseoWr4csPLS2QJHA==").expect("the base64 of 16 bytes")
}

/// One byte of choices, one of part, two of seed, then text. Tells whether a handshake came of it.
pub fn run(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    let choices = input.byte();
    let (part, seed) = (1 + usize::from(input.byte()), input.short());
    let limits = match choices >> 2 & 3 {
        0 | 1 => Limits { max_size: 64 << 10, max_headers: 128 },
        2 => Limits { max_size: usize::from(choices), max_headers: 128 },
        _ => Limits { max_size: 1 << 16, max_headers: usize::from(choices >> 4) },
    };
    let text = input.rest();
    match choices & 3 {
        0 => read_request(text, limits, part, seed),
        1 => read_response(text, limits, part, seed),
        2 => {
            list_headers(text);
            false
        }
        _ => {
            parse_url(&String::from_utf8_lossy(text));
            false
        }
    }
}

/// What comes of a head: the head and its length, or that it is not whole, or why it is none.
type Found<T> = Result<Option<(T, usize)>, HeadError>;

/// Reads at once, byte by byte and in parts: the same comes of it, at the first byte that shows it.
fn read_in_all_ways<T>(
    text: &[u8],
    limits: Limits,
    part: usize,
    seed: u16,
    read: impl Fn(&mut HeadReader, &[u8]) -> Found<T>,
    show: impl Fn(&T) -> String,
) -> Option<T> {
    let shown = |found: &Found<T>| match found {
        Ok(Some((head, used))) => format!("{used} bytes: {}", show(head)),
        Ok(None) => "more".to_owned(),
        Err(error) => error.to_string(),
    };
    let whole = read(&mut HeadReader::new(limits), text);
    for way in [vec![text], parts(text, 1, seed), parts(text, part, seed)] {
        let (mut reader, mut length, mut found) = (HeadReader::new(limits), 0, Ok(None));
        for part in way {
            length += part.len();
            found = read(&mut reader, &text[..length]);
            if !matches!(found, Ok(None)) {
                break;
            }
        }
        match (&found, &whole) {
            // How much is shown of what a peer began with depends on how much there was.
            (Err(HeadError::NotHttp { .. }), Err(HeadError::NotHttp { .. })) => {}
            _ => assert_eq!(shown(&found), shown(&whole)),
        }
        if let Ok(Some((_, used))) = &found {
            assert!(*used <= limits.max_size && text[..*used].ends_with(b"\r\n\r\n"));
            assert_eq!(shown(&read(&mut reader, text)), shown(&whole), "ready for the next head");
        }
    }
    whole.ok().flatten().map(|(head, _)| head)
}

fn show_headers(headers: &Headers) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}

fn check_headers(headers: &Headers, limits: Limits) {
    assert!(headers.len() <= limits.max_headers);
    for (position, (name, value)) in headers.iter().enumerate() {
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'));
        assert!(!value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'), "a control character in a value");
        assert!(!value.starts_with(b" ") && !value.ends_with(b"\t"));
        let (c_name, c_value) = headers.at(position).expect("it is there");
        assert_eq!((c_name.to_bytes(), c_value.to_bytes()), (name.as_bytes(), value), "C reads the same");
        assert!(headers.has(&name.to_ascii_uppercase()) && headers.values(name).any(|other| other == value));
    }
    assert!(headers.at(headers.len()).is_none());
}

fn read_request(text: &[u8], limits: Limits, part: usize, seed: u16) -> bool {
    let show = |head: &RequestHead| format!("{} {} {} {:?}", head.method, head.target, head.minor_version, show_headers(&head.headers));
    let Some(head) = read_in_all_ways(text, limits, part, seed, HeadReader::read_request, show) else { return false };
    check_headers(&head.headers, limits);
    assert!(head.minor_version <= 1 && !head.method.is_empty());
    assert!(head.target.is_ascii() && !head.target.bytes().any(|byte| byte <= b' '));
    let is_accepted = judge_as_server(&head);

    // Written again, it reads the same.
    let head = RequestHead { minor_version: 1, ..head };
    let again = write_request(&head.method, &head.target, &head.headers);
    let unlimited = Limits { max_size: usize::MAX, max_headers: usize::MAX };
    let (read, used) = HeadReader::new(unlimited).read_request(&again).expect("it was right before").expect("it is whole");
    assert_eq!((show(&read), used), (show(&head), again.len()));
    is_accepted
}

/// The verdict of a server, and what each of them promises.
fn judge_as_server(head: &RequestHead) -> bool {
    let (subprotocols, origins) = (["chat".to_owned(), "superchat".to_owned()], ["https://friend.example".to_owned()]);
    let compression = Preferences::of(&Compression { enabled: true, ..Compression::default() }, Role::Server);
    let policy = ServerPolicy { subprotocols: &subprotocols, origins: &origins, compression };
    let headers = &head.headers;
    match judge_request(&head.method, &head.target, head.minor_version, headers, &policy) {
        Verdict::NotWebSocket => {
            assert!(!headers.has_token("Upgrade", "websocket"));
            false
        }
        Verdict::Upgrade(acceptance) => {
            assert!(head.method == "GET" && head.minor_version == 1);
            let key = headers.get("sec-websocket-key", 0).expect("no upgrade without a key");
            assert!(headers.count("sec-websocket-key") == 1 && key.len() == 24 && headers.count("host") == 1);
            assert_eq!(headers.get("sec-websocket-version", 0), Some(&b"13"[..]));
            assert!(!headers.has("transfer-encoding"), "a body would be taken for frames");
            assert_eq!(acceptance.accept, accept_value(key));
            if let Some(chosen) = &acceptance.subprotocol {
                assert!(subprotocols.contains(chosen) && headers.tokens("sec-websocket-protocol").any(|offered| offered == chosen));
            }
            assert_eq!(acceptance.compression.is_some(), acceptance.extensions.starts_with("permessage-deflate"));
            assert!(
                acceptance.compression.is_none() || headers.has("sec-websocket-extensions"),
                "nobody is told to compress who did not offer"
            );
            check_answer(101, &acceptance.response_headers(&Headers::new()), b"");
            true
        }
        Verdict::Refuse(refusal) => {
            assert!((400..500).contains(&refusal.status));
            assert!(refusal.headers.has_token("Connection", "close"));
            assert!(refusal.reason.len() < 400 && !refusal.reason.contains(['\r', '\n', '\0']), "{:?}", refusal.reason);
            check_answer(refusal.status, &refusal.headers, refusal.reason.as_bytes());
            false
        }
    }
}

/// An answer is one head and its body, whatever the request said.
fn check_answer(status: u16, headers: &Headers, body: &[u8]) {
    let answer = write_response(status, headers, body);
    let limits = Limits { max_size: 1 << 20, max_headers: 100 };
    let (head, used) = HeadReader::new(limits).read_response(&answer).expect("a right answer").expect("a whole one");
    assert_eq!((head.status, &answer[used..]), (status, body));
}

fn read_response(text: &[u8], limits: Limits, part: usize, seed: u16) -> bool {
    let show = |head: &ws101::http::ResponseHead| {
        format!("{} {:?} {} {:?}", head.status, head.reason, head.minor_version, show_headers(&head.headers))
    };
    let Some(head) = read_in_all_ways(text, limits, part, seed, HeadReader::read_response, show) else { return false };
    check_headers(&head.headers, limits);
    assert!((100..1000).contains(&head.status) && head.minor_version <= 1);

    let url = Url::parse("ws://server.example/chat").expect("a right URL");
    let (subprotocols, none) = (["chat".to_owned(), "superchat".to_owned()], Headers::new());
    let offer = Offer { url: &url, subprotocols: &subprotocols, extensions: Some("permessage-deflate"), user_agent: None, headers: &none };
    let handshake = ClientHandshake::new(key(), &offer).expect("a right offer");
    match handshake.judge(head.status, head.minor_version, &head.headers) {
        Ok(agreement) => {
            assert!(head.status == 101 && head.minor_version == 1);
            assert!(head.headers.has_token("Upgrade", "websocket") && head.headers.has_token("Connection", "upgrade"));
            let accept = key().accept_value();
            assert_eq!(head.headers.values("sec-websocket-accept").collect::<Vec<_>>(), [accept.as_bytes()]);
            assert!(agreement.subprotocol.is_none_or(|chosen| subprotocols.contains(&chosen)));
            let mut names = agreement.extensions.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
            assert!(names.all(|name| name.is_empty() || name == "permessage-deflate"));
            true
        }
        Err(Refusal::NotUpgraded { status }) => {
            assert!(status == head.status && status != 101);
            false
        }
        Err(refusal @ Refusal::Invalid(_)) => {
            assert_eq!(head.status, 101);
            assert!(refusal.to_string().len() < 500 && !refusal.to_string().contains(['\r', '\n', '\0']));
            false
        }
    }
}

/// Names and values as a program may give them: what is taken can be written, and is read again as it is.
fn list_headers(text: &[u8]) {
    let mut headers = Headers::new();
    let mut fields = Vec::new();
    for field in text.split(|byte| *byte == b'\n') {
        let colon = field.iter().position(|byte| *byte == b':').unwrap_or(field.len());
        let (name, value) = (String::from_utf8_lossy(&field[..colon]), field.get(colon + 1..).unwrap_or_default());
        let before = headers.len();
        match headers.push(&name, value) {
            Ok(()) => fields.push((name.into_owned(), value.trim_ascii().to_vec())),
            Err(error) => {
                assert_eq!(headers.len(), before, "a refused header left something");
                // The sentence does not depend on the value, but for the character that is wrong.
                let hidden: Vec<u8> = value.iter().map(|byte| if byte.is_ascii_graphic() { b'x' } else { *byte }).collect();
                assert_eq!(Headers::new().push(&name, &hidden), Err(error), "the sentence shows the value");
            }
        }
    }
    let unlimited = Limits { max_size: usize::MAX, max_headers: usize::MAX };
    check_headers(&headers, unlimited);
    assert_eq!(show_headers(&headers), fields);
    let request = write_request("GET", "/", &headers);
    let (head, used) = HeadReader::new(unlimited).read_request(&request).expect("what was taken can be read").expect("it is whole");
    assert_eq!((show_headers(&head.headers), used), (show_headers(&headers), request.len()));
    let mut twice = headers.clone();
    twice.extend(&headers);
    check_headers(&twice, unlimited);
    assert_eq!(twice.len(), 2 * headers.len());
}

fn parse_url(text: &str) {
    for parse in [Url::parse, Url::parse_listen] {
        match parse(text) {
            Ok(url) => check_url(&url, parse),
            Err(error) => assert!(matches!(error, UrlError::UserInfo) || error.to_string().len() < 400 + 2 * text.len()),
        }
    }
    // A password is never shown.
    let with_password = format!("ws://user:{}@host/", "hunter2secret");
    assert!(!Url::parse(&with_password).expect_err("user names are refused").to_string().contains("hunter2secret"));
}

fn check_url(url: &Url, parse: fn(&str) -> Result<Url, UrlError>) {
    assert_eq!(parse(&url.to_string()).as_ref(), Ok(url), "written again, it is the same");
    assert!(url.target().starts_with('/') && url.target().starts_with(url.path()) && !url.path().contains('?'));
    assert!(url.target().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
    assert!(!url.host().is_empty() && !url.host().contains(['[', ']', '@', '/', ' ']));
    assert_eq!(url.is_ipv6(), url.host().contains(':'));
    // It can stand in a request, and nothing breaks out of its place there.
    let mut headers = Headers::new();
    headers.push("Host", url.host_header().as_bytes()).expect("a host is a right value");
    let request = write_request("GET", url.target(), &headers);
    let limits = Limits { max_size: 1 << 20, max_headers: 1 };
    let (head, _) = HeadReader::new(limits).read_request(&request).expect("a right request").expect("a whole one");
    assert_eq!((head.target.as_str(), head.headers.get_text("Host", 0)), (url.target(), Some(url.host_header().as_str())));
}
