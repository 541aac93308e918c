//! Both sides of the opening handshake: every rule by a table, and one against the other through HTTP/1.1 bytes split at every byte.

use super::*;
use crate::error::{Error, Phase, Status};
use crate::http::{HeadReader, Headers, Limits, write_request, write_response};
use crate::protocol::url::Url;

const KEY: &str = "E4WSEcseoWr4csPLS2QJHA==";
const ACCEPT: &str = "7eQChgCtQMnVILefJAO6dK5JwPc=";

fn key() -> Key {
    Key::from_value(KEY.as_bytes()).unwrap()
}

fn headers(lines: &[&str]) -> Headers {
    let mut headers = Headers::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        headers.push(name, value.as_bytes()).unwrap();
    }
    headers
}

fn lines(headers: &Headers) -> Vec<String> {
    headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))).collect()
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// `base` with some lines in place of those of the same names; a line with an empty value takes the header out.
fn changed(base: &[&str], changes: &[&str]) -> Headers {
    let name_of = |line: &str| line.split(':').next().unwrap().to_ascii_lowercase();
    let kept = base.iter().filter(|line| !changes.iter().any(|change| name_of(change) == name_of(line)));
    let added = changes.iter().filter(|change| !change.ends_with(':'));
    headers(&kept.chain(added).copied().collect::<Vec<_>>())
}

fn client(subprotocols: &[&str], extensions: Option<&str>, extra: &[&str]) -> Result<ClientHandshake, InvalidRequest> {
    let url = Url::parse("ws://server.example:8000/chat").unwrap();
    let (subprotocols, extra) = (strings(subprotocols), headers(extra));
    let offer = Offer { url: &url, subprotocols: &subprotocols, extensions, user_agent: Some("ws101"), headers: &extra };
    ClientHandshake::new(key(), &offer)
}

#[test]
fn a_client_asks_in_the_order_of_the_rfc() {
    let handshake = client(&["chat", "superchat"], Some("permessage-deflate"), &["Cookie: a=1", "X: 1", "Cookie: b=2"]).unwrap();
    let expected = [
        "Host: server.example:8000",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: E4WSEcseoWr4csPLS2QJHA==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: chat, superchat",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "User-Agent: ws101",
        "Cookie: a=1",
        "X: 1",
        "Cookie: b=2",
    ];
    assert_eq!(lines(handshake.request_headers()), expected);
}

#[test]
fn a_program_may_replace_host_and_user_agent() {
    let handshake = client(&[], None, &["Origin: http://a", "host: other", "user-agent: mine", "Authorization: Basic eA=="]).unwrap();
    let request = lines(handshake.request_headers());
    assert_eq!(request[0], "Host: other");
    assert_eq!(request[5..], ["Origin: http://a", "user-agent: mine", "Authorization: Basic eA=="]);
    assert_eq!(request.len(), 8);
}

#[test]
fn an_offer_that_breaks_the_rules_is_not_made() {
    let sentence = |result: Result<ClientHandshake, InvalidRequest>| {
        let error = Error::from(result.unwrap_err());
        (error.status(), error.to_string())
    };
    for name in ["", "a b", "a,b", "é", "a/b"] {
        let expected = format!("the sub-protocol {name:?} is not a token (RFC 6455 §4.1)");
        assert_eq!(sentence(client(&["chat", name], None, &[])), (Status::InvalidParameter, expected));
    }
    assert_eq!(
        sentence(client(&["chat", "x", "chat"], None, &[])),
        (Status::InvalidParameter, "the sub-protocol \"chat\" is offered twice".to_owned())
    );
    for line in ["upgrade: h2c", "Connection: close", "SEC-WEBSOCKET-KEY: x", "Sec-WebSocket-Anything: x", "Content-Length: 1"] {
        let name = line.split(':').next().unwrap();
        let expected = format!("the header {name} is the handshake's own");
        assert_eq!(sentence(client(&[], None, &[line])), (Status::InvalidHeader, expected));
    }
    let twice = "header Host appears 2 times, expected once".to_owned();
    assert_eq!(sentence(client(&[], None, &["Host: a", "Host: a"])), (Status::InvalidHeader, twice));
    assert!(client(&["chat", "Chat"], None, &[]).is_ok(), "names of sub-protocols differ by case");
    for name in ["Host", "Origin", "Cookie", "Authorization", "User-Agent", "Sec-WebSocket", "Sec-Fetch-Mode", "é", ""] {
        assert!(!is_reserved_header(name), "{name}");
    }
}

const ANSWER: [&str; 3] = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: 7eQChgCtQMnVILefJAO6dK5JwPc="];

#[test]
fn a_valid_101_is_agreed_to() {
    let agreement = |changes: &[&str]| {
        let handshake = client(&["chat", "superchat"], Some("permessage-deflate; client_max_window_bits, x-other"), &[]).unwrap();
        let agreement = handshake.judge(101, 1, &changed(&ANSWER, changes)).unwrap_or_else(|refusal| panic!("{changes:?}: {refusal}"));
        (agreement.subprotocol, agreement.extensions)
    };
    let none = (None, String::new());
    let table: [&[&str]; 7] = [
        &[],
        &["upgrade: WebSocket"],
        &["CONNECTION: keep-alive, UPGRADE"],
        &["Connection: keep-alive", "Connection: upgrade"],
        &["Server: x", "Set-Cookie: a", "Set-Cookie: b"],
        &["Sec-WebSocket-Version: 13"],
        &["Sec-WebSocket-Extensions: ,"],
    ];
    for changes in table {
        let (subprotocol, extensions) = agreement(changes);
        assert_eq!((subprotocol, extensions.trim_matches(',')), (none.0.clone(), ""), "{changes:?}");
    }
    assert_eq!(agreement(&["Sec-WebSocket-Protocol: superchat"]), (Some("superchat".to_owned()), String::new()));
    let extensions = "permessage-deflate; server_max_window_bits=10";
    assert_eq!(agreement(&[&format!("Sec-WebSocket-Extensions: {extensions}")]), (None, extensions.to_owned()));
}

#[test]
fn an_invalid_101_is_refused_with_its_reason() {
    let table: &[(&[&str], &str)] = &[
        (&["Upgrade:"], "server answered 101 without Upgrade"),
        (&["Upgrade: h2c"], "server answered 101 with Upgrade \"h2c\", expected websocket"),
        (&["Upgrade: websocket2"], "server answered 101 with Upgrade \"websocket2\", expected websocket"),
        (&["Connection:"], "server answered 101 without Connection"),
        (&["Connection: close"], "server answered 101 with Connection \"close\", expected upgrade"),
        (&["Sec-WebSocket-Accept:"], "server answered 101 without Sec-WebSocket-Accept"),
        (
            &["Sec-WebSocket-Accept: 7eqchgctqmnvilefjao6dk5jwpc="],
            "server answered 101 with Sec-WebSocket-Accept \"7eqchgctqmnvilefjao6dk5jwpc=\", expected 7eQChgCtQMnVILefJAO6dK5JwPc=",
        ),
        (
            &["Sec-WebSocket-Accept: 7eQChgCtQMnVILefJAO6dK5JwPc=x"],
            "server answered 101 with Sec-WebSocket-Accept \"7eQChgCtQMnVILefJAO6dK5JwPc=x\", expected 7eQChgCtQMnVILefJAO6dK5JwPc=",
        ),
        (
            &["Sec-WebSocket-Accept: 7eQChgCtQMnVILefJAO6dK5JwPc=", "Sec-WebSocket-Accept: 7eQChgCtQMnVILefJAO6dK5JwPc="],
            "server answered 101 with 2 headers Sec-WebSocket-Accept, expected one",
        ),
        (&["Sec-WebSocket-Protocol: other"], "server chose the sub-protocol \"other\", which was not offered"),
        (&["Sec-WebSocket-Protocol: Chat"], "server chose the sub-protocol \"Chat\", which was not offered"),
        (&["Sec-WebSocket-Protocol: chat, superchat"], "server chose the sub-protocol \"chat, superchat\", which was not offered"),
        (&["Sec-WebSocket-Protocol: \t"], "server chose the sub-protocol \"\", which was not offered"),
        (
            &["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: chat"],
            "server answered 101 with 2 headers Sec-WebSocket-Protocol, expected one",
        ),
        (&["Sec-WebSocket-Extensions: x-evil; a=b"], "server chose the extension \"x-evil\", which was not offered"),
        (&["Sec-WebSocket-Extensions: permessage-deflate, x-evil"], "server chose the extension \"x-evil\", which was not offered"),
        (
            &["Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Extensions: permessage-deflate"],
            "server answered 101 with 2 headers Sec-WebSocket-Extensions, expected one",
        ),
    ];
    let handshake = client(&["chat", "superchat"], Some("permessage-deflate"), &[]).unwrap();
    for (changes, sentence) in table {
        let refusal = handshake.judge(101, 1, &changed(&ANSWER, changes)).expect_err(sentence);
        assert_eq!((refusal.status(), refusal.to_string().as_str()), (Status::InvalidServerResponse, *sentence));
    }
    let refusal = handshake.judge(101, 0, &headers(&ANSWER)).unwrap_err();
    assert_eq!(refusal.to_string(), "server answered 101 in HTTP/1.0, expected HTTP/1.1");
}

#[test]
fn what_was_not_offered_cannot_be_chosen() {
    let handshake = client(&[], None, &[]).unwrap();
    for line in ["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Extensions: permessage-deflate"] {
        assert!(handshake.judge(101, 1, &changed(&ANSWER, &[line])).is_err(), "{line}");
    }
}

#[test]
fn any_other_status_is_a_refusal_even_with_the_headers_of_a_101() {
    let handshake = client(&[], None, &[]).unwrap();
    for (status, sentence) in [
        (403, "server answered 403 Forbidden, expected 101"),
        (200, "server answered 200 OK, expected 101"),
        (100, "server answered 100 Continue, expected 101"),
        (302, "server answered 302 Found, expected 101"),
        (799, "server answered 799, expected 101"),
    ] {
        let refusal = handshake.judge(status, 1, &headers(&ANSWER)).unwrap_err();
        assert_eq!(refusal, Refusal::NotUpgraded { status });
        let error = Error::from(refusal);
        assert_eq!((error.status(), error.to_string().as_str()), (Status::UpgradeRefused, sentence));
        assert_eq!((error.details().http_status, error.details().phase), (status, Phase::Http));
    }
}

const ASKED: [&str; 5] = [
    "Host: server.example:8000",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: E4WSEcseoWr4csPLS2QJHA==",
    "Sec-WebSocket-Version: 13",
];

fn judge(changes: &[&str], policy: &ServerPolicy<'_>) -> Verdict {
    judge_request("GET", "/chat", 1, &changed(&ASKED, changes), policy)
}

fn refusal(verdict: Verdict) -> ServerRefusal {
    match verdict {
        Verdict::Refuse(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn acceptance(verdict: Verdict) -> Acceptance {
    match verdict {
        Verdict::Upgrade(acceptance) => acceptance,
        other => panic!("not accepted: {other:?}"),
    }
}

#[test]
fn a_valid_request_is_accepted() {
    let table: [&[&str]; 8] = [
        &[],
        &["upgrade: h2c, WebSocket"],
        &["Connection: keep-alive, UPGRADE"],
        &["Connection: keep-alive", "Connection: upgrade"],
        &["Content-Length: 0"],
        &["Origin: http://server.example:8000"],
        &["Host: [::1]:8000"],
        &["Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Extensions: x"],
    ];
    for changes in table {
        let acceptance = acceptance(judge(changes, &ServerPolicy::default()));
        assert_eq!((acceptance.accept.as_str(), acceptance.subprotocol), (ACCEPT, None), "{changes:?}");
    }
    acceptance(judge_request("GET", "http://server.example:8000/chat", 1, &headers(&ASKED), &ServerPolicy::default()));
}

#[test]
fn a_request_without_the_token_is_plain_http() {
    for changes in [&["Upgrade:"][..], &["Upgrade: h2c"], &["Upgrade: websockets", "Host:"], &["Upgrade:", "Sec-WebSocket-Version: 8"]] {
        assert!(matches!(judge(changes, &ServerPolicy::default()), Verdict::NotWebSocket), "{changes:?}");
    }
    assert!(matches!(judge_request("POST", "*", 0, &Headers::new(), &ServerPolicy::default()), Verdict::NotWebSocket));
}

#[test]
fn an_invalid_request_is_refused_with_its_reason() {
    let table: &[(&[&str], u16, &str)] = &[
        (&["Host:"], 400, "the header Host is missing"),
        (&["Host: a", "Host: a"], 400, "the header Host appears 2 times, expected once"),
        (&["Host: \t"], 400, "the header Host is \"\", which is not a host"),
        (&["Host: a@b"], 400, "the header Host is \"a@b\", which is not a host"),
        (&["Host: a, b"], 400, "the header Host is \"a, b\", which is not a host"),
        (&["Connection:"], 400, "the header Connection does not contain upgrade"),
        (&["Connection: close"], 400, "the header Connection does not contain upgrade"),
        (&["Transfer-Encoding: chunked"], 400, "the upgrade comes with a body: Transfer-Encoding is present"),
        (&["Content-Length: 1"], 400, "the upgrade comes with a body: Content-Length is \"1\""),
        (&["Content-Length: 0", "Content-Length: 5"], 400, "the upgrade comes with a body: Content-Length is \"5\""),
        (&["Sec-WebSocket-Version:"], 400, "the header Sec-WebSocket-Version is missing"),
        (
            &["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"],
            400,
            "the header Sec-WebSocket-Version appears 2 times, expected once",
        ),
        (&["Sec-WebSocket-Version: 8"], 426, "the WebSocket version is \"8\", expected 13"),
        (&["Sec-WebSocket-Version: 13, 8"], 426, "the WebSocket version is \"13, 8\", expected 13"),
        (&["Sec-WebSocket-Version: 013", "Sec-WebSocket-Key:"], 426, "the WebSocket version is \"013\", expected 13"),
        (&["Sec-WebSocket-Key:"], 400, "the header Sec-WebSocket-Key is missing"),
        (
            &["Sec-WebSocket-Key: E4WSEcseoWr4csPLS2QJHA==", "Sec-WebSocket-Key: E4WSEcseoWr4csPLS2QJHA=="],
            400,
            "the header Sec-WebSocket-Key appears 2 times, expected once",
        ),
        (&["Sec-WebSocket-Key: short"], 400, "the header Sec-WebSocket-Key is \"short\", which is not the base64 of 16 bytes"),
        (&["Origin: http://evil.example"], 403, "the origin \"http://evil.example\" is not allowed here"),
        (&["Origin: null"], 403, "the origin \"null\" is not allowed here"),
        (&["Origin: http://server.example:8000", "Origin: http://a"], 400, "the header Origin appears 2 times, expected once"),
    ];
    for (changes, status, reason) in table {
        let refusal = refusal(judge(changes, &ServerPolicy::default()));
        assert_eq!((refusal.status, refusal.reason.as_str()), (*status, *reason), "{changes:?}");
        assert!(refusal.headers.has_token("Connection", "close"), "{changes:?}");
    }
}

#[test]
fn the_request_line_must_be_an_upgrades() {
    let judge = |method, target, minor_version| {
        let refusal = refusal(judge_request(method, target, minor_version, &headers(&ASKED), &ServerPolicy::default()));
        (refusal.status, refusal.reason)
    };
    assert_eq!(judge("GET", "/", 0), (400, "the upgrade was asked for in HTTP/1.0, expected HTTP/1.1".to_owned()));
    assert_eq!(judge("POST", "/", 1), (405, "the method of the upgrade is POST, expected GET".to_owned()));
    assert_eq!(judge("get", "/", 1), (405, "the method of the upgrade is get, expected GET".to_owned()));
    assert_eq!(judge("GET", "*", 1), (400, "the request target \"*\" is not a path".to_owned()));
    assert_eq!(judge("GET", "a:1", 1), (400, "the request target \"a:1\" is not a path".to_owned()));
}

#[test]
fn refusals_carry_the_headers_that_their_status_demands() {
    let answer = |changes| lines(&refusal(judge(changes, &ServerPolicy::default())).headers);
    assert_eq!(answer(&["Host:"]), ["Content-Type: text/plain; charset=utf-8", "Connection: close"]);
    assert_eq!(
        answer(&["Sec-WebSocket-Version: 99"]),
        ["Sec-WebSocket-Version: 13", "Upgrade: websocket", "Content-Type: text/plain; charset=utf-8", "Connection: Upgrade, close"]
    );
    let refusal = refusal(judge_request("PUT", "/", 1, &headers(&ASKED), &ServerPolicy::default()));
    assert_eq!(refusal.headers.get_text("Allow", 0), Some("GET"));
    let long = format!("Origin: {}", "x".repeat(5000));
    assert!(self::refusal(judge(&[&long], &ServerPolicy::default())).reason.len() < 120, "a long value is cut");
}

#[test]
fn origins_on_the_list_are_admitted() {
    for (origins, is_accepted) in [(&["*"][..], true), (&["http://a.example", "HTTPS://Friend.example"], true), (&["http://a"], false)] {
        let origins = strings(origins);
        let verdict = judge(&["Origin: https://friend.example:443"], &ServerPolicy { origins: &origins, ..ServerPolicy::default() });
        assert_eq!(matches!(verdict, Verdict::Upgrade(_)), is_accepted, "{origins:?}");
    }
}

#[test]
fn the_servers_preference_chooses_the_subprotocol() {
    let table: [(&[&str], &[&str], Option<&str>); 8] = [
        (&["a", "b"], &["Sec-WebSocket-Protocol: b, a"], Some("a")),
        (&["a", "b"], &["Sec-WebSocket-Protocol: x", "Sec-WebSocket-Protocol: b"], Some("b")),
        (&["a"], &["Sec-WebSocket-Protocol: A"], None),
        (&["a"], &["Sec-WebSocket-Protocol: aa,,ba"], None),
        (&["a"], &[], None),
        (&["a"], &["Sec-WebSocket-Protocol: ,"], None),
        (&[], &["Sec-WebSocket-Protocol: a"], None),
        (&["c", "a"], &["Sec-WebSocket-Protocol: a\t,b"], Some("a")),
    ];
    for (supported, changes, expected) in table {
        let supported = strings(supported);
        let policy = ServerPolicy { subprotocols: &supported, ..ServerPolicy::default() };
        let acceptance = acceptance(judge(changes, &policy));
        assert_eq!(acceptance.subprotocol.as_deref(), expected, "{supported:?} {changes:?}");
        let answer = acceptance.response_headers(&Headers::new());
        assert_eq!(answer.get_text("Sec-WebSocket-Protocol", 0), expected, "none chosen: no header");
    }
}

#[test]
fn the_answer_ends_with_the_programs_headers() {
    let acceptance =
        Acceptance { accept: ACCEPT.to_owned(), subprotocol: Some("chat".to_owned()), extensions: String::new(), compression: None };
    let answer = lines(&acceptance.response_headers(&headers(&["Server: ws101", "Set-Cookie: a"])));
    let accept = format!("Sec-WebSocket-Accept: {ACCEPT}");
    let expected = ["Upgrade: websocket", "Connection: Upgrade", &accept, "Sec-WebSocket-Protocol: chat", "Server: ws101", "Set-Cookie: a"];
    assert_eq!(answer, expected);
}

#[test]
fn client_and_server_agree_through_http_split_at_every_byte() {
    const LIMITS: Limits = Limits { max_size: 4096, max_headers: 32 };
    let handshake = client(&["chat", "superchat"], None, &["Origin: http://server.example:8000", "Cookie: \u{e9}"]).unwrap();
    let request = write_request("GET", "/chat", handshake.request_headers());
    let supported = strings(&["superchat"]);
    let policy = ServerPolicy { subprotocols: &supported, ..ServerPolicy::default() };
    for split in 0..request.len() {
        let mut reader = HeadReader::new(LIMITS);
        assert!(reader.read_request(&request[..split]).unwrap().is_none());
        let (head, used) = reader.read_request(&request).unwrap().unwrap();
        assert_eq!(used, request.len());
        let acceptance = acceptance(judge_request(&head.method, &head.target, head.minor_version, &head.headers, &policy));
        let mut response = write_response(101, &acceptance.response_headers(&Headers::new()), b"");
        let end = response.len();
        response.extend_from_slice(b"\x81\x00");
        assert!(end <= request.len(), "the cut moves through all of the response too");
        let mut reader = HeadReader::new(LIMITS);
        let split = split % end;
        assert!(reader.read_response(&response[..split]).unwrap().is_none());
        let (head, used) = reader.read_response(&response).unwrap().unwrap();
        assert_eq!(used, end, "bytes behind the head belong to the WebSocket");
        let agreement = handshake.judge(head.status, head.minor_version, &head.headers).unwrap();
        assert_eq!(agreement, Agreement { subprotocol: Some("superchat".to_owned()), ..Agreement::default() });
    }
}
