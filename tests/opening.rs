//! A client's opening driven by hand, as a driver would: no step waits, and each says what to wait for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ws101::connection::opening::{Opening, OpeningStep, Plan, Reply};
use ws101::error::{Phase, Status};
use ws101::http::Headers;
use ws101::options::Options;
use ws101::protocol::Url;
use ws101::transport::Interest;

const MS: Duration = Duration::from_millis(1);
const LATE: Duration = Duration::from_secs(1000);

fn opening(url: &str) -> Opening {
    let plan = Plan {
        url: Url::parse(url).unwrap(),
        options: Arc::new(Options::default()),
        headers: Headers::new(),
        stream: None,
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
