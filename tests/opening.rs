//! A client's opening driven by hand, as a driver would: no step waits, and each says what to wait for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ws101::connection::opening::{Opening, OpeningStep, Plan, Reply};
use ws101::error::{Phase, Status};
use ws101::http::Headers;
use ws101::options::{Options, Secret};
use ws101::protocol::Url;
use ws101::transport::Interest;

const MS: Duration = Duration::from_millis(1);
const LATE: Duration = Duration::from_secs(1000);

fn opening(url: &str) -> Opening {
    opening_with(url, |_| ())
}

fn opening_with(url: &str, change: impl FnOnce(&mut Options)) -> Opening {
    let mut options = Options::default();
    change(&mut options);
    let plan = Plan {
        url: Url::parse(url).unwrap(),
        options: Arc::new(options),
        headers: Headers::new(),
        credentials: Vec::new(),
        proxy_credentials: Vec::new(),
        stream: None,
        tls: Arc::default(),
        sources: &ws101::driver::OPENING_SOURCES,
    };
    Opening::new(plan, Duration::ZERO)
}

/// Steps at this moment; what other machines do takes a little real time even here.
fn settle(opening: &mut Opening, now: Duration) -> OpeningStep {
    for _ in 0..200 {
        match opening.step(now).unwrap() {
            OpeningStep::Blocked => std::thread::sleep(MS),
            step => return step,
        }
    }
    OpeningStep::Blocked
}

fn accept(server: &TcpListener) -> (TcpStream, String) {
    let (mut peer, _) = server.accept().unwrap();
    let mut head = String::new();
    let mut byte = [0];
    while !head.ends_with("\r\n\r\n") {
        peer.read_exact(&mut byte).unwrap();
        head.push(byte[0].into());
    }
    (peer, head)
}

fn done(step: OpeningStep) -> Reply {
    let OpeningStep::Done(reply) = step else { panic!("{step:?}") };
    *reply
}

#[test]
fn a_name_is_asked_for_once_and_then_waited_for() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let mut opening = opening(&format!("ws://server.example:{}/x", address.port()));
    let step = opening.step(Duration::ZERO).unwrap();
    assert!(matches!(&step, OpeningStep::LookUp { host, port } if host == "server.example" && *port == address.port()), "{step:?}");
    assert!(matches!(opening.step(MS).unwrap(), OpeningStep::Blocked));
    let waits = opening.waits();
    assert_eq!((waits.sockets.len(), waits.until), (0, Some(Duration::from_secs(10))));
    opening.found(Ok(vec![address]));
    assert!(matches!(settle(&mut opening, 2 * MS), OpeningStep::Blocked));
    let waits = opening.waits();
    assert_eq!((waits.sockets[0].1, waits.until), (Interest::READ, Some(Duration::from_secs(30))));
    let (mut peer, head) = accept(&server);
    assert!(head.starts_with(&format!("GET /x HTTP/1.1\r\nHost: server.example:{}\r\n", address.port())), "{head}");
    peer.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nbody").unwrap();
    let reply = done(settle(&mut opening, 3 * MS));
    assert_eq!((reply.head.status, reply.body.as_slice()), (404, b"body".as_slice()));
    assert_eq!(reply.remote_address, address.to_string());
    assert_eq!(opening.step(MS).unwrap_err().status(), Status::IncorrectHandleState, "an opening has one end");
}

#[test]
fn several_addresses_are_waited_for_at_once() {
    let servers = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("[::1]:0").unwrap()];
    let mut opening = opening("ws://server.example/");
    let _ = opening.step(Duration::ZERO);
    // Nobody answers there (RFC 5737): whatever becomes of the first, the second begins after the stagger at the latest.
    let nowhere: SocketAddr = "192.0.2.1:80".parse().unwrap();
    opening.found(Ok(vec![nowhere, servers[1].local_addr().unwrap(), servers[0].local_addr().unwrap()]));
    let _ = opening.step(MS).unwrap();
    assert!(opening.waits().until <= Some(251 * MS));
    assert!(matches!(settle(&mut opening, 251 * MS), OpeningStep::Blocked));
    let (mut peer, _) = accept(&servers[1]);
    peer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    assert_eq!(done(settle(&mut opening, 252 * MS)).head.status, 204);
}

#[test]
fn each_stage_ends_at_its_limit_and_says_which_it_was() {
    let mut unresolved = opening("ws://server.example/");
    let _ = unresolved.step(Duration::ZERO).unwrap();
    assert!(matches!(unresolved.step(Duration::from_secs(10) - MS).unwrap(), OpeningStep::Blocked));
    let error = unresolved.step(Duration::from_secs(10)).unwrap_err();
    assert_eq!(error.to_string(), "the name server.example was not resolved within 10000 ms");
    assert_eq!((error.status(), error.details().phase), (Status::Timeout, Phase::Resolve));

    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut unanswered = opening(&format!("ws://{}/", server.local_addr().unwrap()));
    assert!(matches!(settle(&mut unanswered, Duration::ZERO), OpeningStep::Blocked));
    let error = unanswered.step(LATE).unwrap_err();
    assert_eq!(error.to_string(), "the server did not answer the handshake within 30000 ms");
    assert_eq!((error.status(), error.details().phase), (Status::Timeout, Phase::Http));

    let mut half = opening(&format!("ws://{}/", server.local_addr().unwrap()));
    assert!(matches!(settle(&mut half, Duration::ZERO), OpeningStep::Blocked));
    let (_unanswered, _) = accept(&server);
    let (mut peer, _) = accept(&server);
    peer.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nhalf").unwrap();
    assert!(matches!(settle(&mut half, MS), OpeningStep::Blocked));
    assert_eq!(half.waits().until, Some(Duration::from_secs(2) + MS), "a page is waited for, but not for long");
    let reply = done(half.step(LATE).unwrap());
    assert_eq!((reply.head.status, reply.body.as_slice()), (403, b"half".as_slice()), "whatever ends the page, the answer stands");
}

#[test]
fn the_names_failure_is_the_openings() {
    for (found, sentence) in [
        (Ok(Vec::new()), "the name server.example has no address"),
        (Err(std::io::Error::other("no such host")), "the name server.example could not be resolved: no such host"),
    ] {
        let mut opening = opening("ws://server.example/");
        let _ = opening.step(Duration::ZERO).unwrap();
        opening.found(found);
        let error = opening.step(MS).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.status()), (sentence, Status::NameNotResolved));
    }
}

/// The server of a stage says this and then nothing; the error, and its phase, when the time is up.
fn stalled(change: impl FnOnce(&mut Options, SocketAddr), said: &[u8]) -> (String, Phase, Status) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let mut opening = opening_with(&format!("ws://{address}/"), |options| change(options, address));
    let _ = settle(&mut opening, Duration::ZERO);
    let (mut peer, _) = server.accept().unwrap();
    peer.write_all(said).unwrap();
    assert!(matches!(settle(&mut opening, MS), OpeningStep::Blocked));
    let waits = opening.waits();
    assert_eq!((waits.sockets.len(), waits.until), (1, Some(Duration::from_secs(30))), "one socket, until the end of it all");
    let error = opening.step(Duration::from_secs(30)).unwrap_err();
    (error.to_string(), error.details().phase, error.status())
}

fn proxy(scheme: &str, address: SocketAddr) -> Option<Secret> {
    Some(Secret(format!("{scheme}://{address}")))
}

#[test]
fn whoever_stalls_is_named() {
    let http = |options: &mut Options, address| options.proxy = proxy("http", address);
    let socks = |options: &mut Options, address| options.proxy = proxy("socks5", address);
    let silent_proxy = ("the proxy did not answer the handshake within 30000 ms".to_owned(), Phase::Proxy, Status::Timeout);
    let silent_socks = ("the proxy did not answer within 30000 ms".to_owned(), Phase::Proxy, Status::Timeout);
    let silent_server = ("the server did not answer the handshake within 30000 ms".to_owned(), Phase::Http, Status::Timeout);
    assert_eq!(stalled(http, b""), silent_proxy);
    assert_eq!(stalled(http, b"HTTP/1.1 200 O"), silent_proxy);
    assert_eq!(stalled(http, b"HTTP/1.1 200 OK\r\n\r\n"), silent_server);
    assert_eq!(stalled(socks, b""), silent_socks);
    assert_eq!(stalled(socks, b"\x05\0"), silent_socks);
    assert_eq!(stalled(socks, b"\x05\0\x05\0\0\x01\0\0"), silent_socks);
    assert_eq!(stalled(socks, b"\x05\0\x05\0\0\x01\0\0\0\0\0\0"), silent_server);
    assert_eq!(stalled(|_, _| (), b"HTTP/1.1 103 Early Hints\r\n\r\n"), silent_server);
}

#[test]
fn interim_answers_are_skipped_but_not_for_ever() {
    for (count, expected) in [(10, None), (11, Some("the server sent more than 10 interim responses"))] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut opening = opening(&format!("ws://{}/", server.local_addr().unwrap()));
        let _ = settle(&mut opening, Duration::ZERO);
        let (mut peer, _) = server.accept().unwrap();
        let head = "HTTP/1.1 102 Processing\r\n\r\n".repeat(count) + "HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n";
        peer.write_all(head.as_bytes()).unwrap();
        let mut result = opening.step(MS);
        while let Ok(OpeningStep::Blocked) = result {
            std::thread::sleep(MS);
            result = opening.step(MS);
        }
        match expected {
            None => assert_eq!(done(result.unwrap()).head.status, 404),
            Some(sentence) => assert_eq!(result.unwrap_err().to_string(), sentence),
        }
    }
}

#[test]
fn the_proxys_name_is_what_is_looked_up() {
    let change = |options: &mut Options| options.proxy = Some(Secret("http://proxy.example:3128".into()));
    let mut opening = opening_with("ws://server.example/", change);
    let step = opening.step(Duration::ZERO).unwrap();
    assert!(matches!(&step, OpeningStep::LookUp { host, port: 3128 } if host == "proxy.example"), "{step:?}");
    let error = opening.step(LATE).unwrap_err();
    assert_eq!(error.to_string(), "the proxy's name proxy.example was not resolved within 10000 ms");
    assert_eq!(error.details().phase, Phase::Proxy);
}
