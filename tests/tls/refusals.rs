//! Every reason why a handshake is refused: the status, and the sentence, on the side that refuses and on the other.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use base64::Engine as _;
use socket2::Socket;
use ws101::error::{Error, Phase, Status};
use ws101::options::TlsOptions;
use ws101::transport::Stream;
use ws101::transport::tls::{ClientConfig, Handshake, ServerConfig};

use crate::certificates::{Authority, Own, expired, not_yet_valid, of_client, self_signed};
use crate::pair::{change, meet, owning, pem, trusting};

const NAME: &str = "a.example";

fn refused(client: &TlsOptions, server: &TlsOptions, name: &str) -> (Error, Error) {
    let outcome = meet(client, server, name);
    (outcome.client.unwrap_err(), outcome.server.unwrap_err())
}

/// The client refuses the server, with this status and sentence, in the phase of TLS; and the server hears of it by an alert.
fn client_refuses(client: &TlsOptions, server: &Own, name: &str, status: Status, sentence: &str) {
    let (error, theirs) = refused(client, &owning(server), name);
    assert_eq!((error.status(), error.to_string().as_str()), (status, sentence));
    assert_eq!(error.details().phase, Phase::Tls);
    assert_eq!(theirs.details().phase, Phase::Tls);
    assert!(theirs.to_string().starts_with("handshake alert: "), "{theirs}");
}

#[test]
fn dates_count() {
    let authority = Authority::new("ca");
    let client = trusting(&authority);
    let own = authority.issue_with(&[NAME], expired);
    client_refuses(&client, &own, NAME, Status::CertDateInvalid, "the certificate of a.example: certificate expired 2026-01-03");
    let own = authority.issue_with(&[NAME], not_yet_valid);
    let sentence = "the certificate of a.example: certificate not valid before 2090-05-01";
    client_refuses(&client, &own, NAME, Status::CertDateInvalid, sentence);
}

#[test]
fn names_count() {
    let authority = Authority::new("ca");
    let client = trusting(&authority);
    let own = authority.issue(&["a", "b"]);
    let sentence = "the certificate is valid for [a, b], not for c.example";
    client_refuses(&client, &own, "c.example", Status::CertNameInvalid, sentence);
    let own = authority.issue(&[]);
    let sentence = "the certificate names no host (a common name does not count), so it is not valid for a.example";
    client_refuses(&client, &own, NAME, Status::CertNameInvalid, sentence);
    let own = authority.issue(&["*.example.org"]);
    for (name, is_valid) in
        [("a.example.org", true), ("example.org", false), ("a.b.example.org", false), ("A.EXAMPLE.ORG", true), ("a.example.org.", true)]
    {
        assert_eq!(meet(&client, &owning(&own), name).client.is_ok(), is_valid, "{name}");
    }
    let own = authority.issue(&["127.0.0.1", "::1"]);
    for (name, is_valid) in [("127.0.0.1", true), ("::1", true), ("127.0.0.2", false), ("localhost", false)] {
        assert_eq!(meet(&client, &owning(&own), name).client.is_ok(), is_valid, "{name}");
    }
    let own = authority.issue(&["localhost"]);
    let sentence = "the certificate is valid for [localhost], not for 127.0.0.1";
    client_refuses(&client, &own, "127.0.0.1", Status::CertNameInvalid, sentence);
    let stream = crate::pair::streams().0;
    let error = Handshake::client(stream, &ClientConfig::new(&client).unwrap(), "a b").unwrap_err();
    assert_eq!((error.status(), error.to_string().as_str()), (Status::CertNameInvalid, "a b is no name that a certificate can have"));
}

#[test]
fn issuers_count() {
    let (authority, stranger) = (Authority::new("ca"), Authority::new("ca"));
    let client = trusting(&authority);
    let why = "self-signed, signed by a CA that is not trusted, or sent without its intermediate certificates";
    let sentence = format!("the certificate of a.example has an unknown issuer: {why}");
    client_refuses(&client, &stranger.issue(&[NAME]), NAME, Status::CertUnknownIssuer, &sentence);
    client_refuses(&client, &self_signed(&[NAME], |_| {}), NAME, Status::CertUnknownIssuer, &sentence);
    // The same certificate, named by the program itself.
    let own = self_signed(&[NAME], |_| {});
    let named = change(|options| options.ca = Some(pem(&own.certificate)));
    assert!(meet(&named, &owning(&own), NAME).client.is_ok());
    let sentence = "the certificate is valid for [a.example], not for b.example";
    client_refuses(&named, &own, "b.example", Status::CertNameInvalid, sentence);
}

#[test]
fn a_self_signed_certificate_of_openssl_is_a_ca_too_and_counts_if_it_was_named() {
    let is_ca = |params: &mut rcgen::CertificateParams| params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let own = self_signed(&[NAME], is_ca);
    let named = change(|options| options.ca = Some(pem(&own.certificate)));
    assert!(meet(&named, &owning(&own), NAME).client.is_ok());
    assert!(meet(&named, &owning(&own), "b.example").client.is_err());
    let stale = self_signed(&[NAME], |params| {
        is_ca(params);
        expired(params);
    });
    let named = change(|options| options.ca = Some(pem(&stale.certificate)));
    assert_eq!(meet(&named, &owning(&stale), NAME).client.unwrap_err().status(), Status::CertDateInvalid);
    let sentence = "the certificate of a.example is a CA's own (self-signed?), or the chain does not begin with the server's";
    client_refuses(&trusting(&Authority::new("ca")), &own, NAME, Status::CertInvalid, sentence);
}

#[test]
fn uses_count() {
    let authority = Authority::new("ca");
    let (error, _) = refused(&trusting(&authority), &owning(&authority.issue_with(&[NAME], of_client)), NAME);
    assert_eq!(error.status(), Status::CertInvalid);
    assert!(error.to_string().starts_with("the certificate of a.example is for another use: "), "{error}");
}

#[test]
fn chains_are_found_in_any_order_and_missed_when_they_are_not_there() {
    let root = Authority::new("root");
    let upper = root.intermediate("upper");
    let lower = upper.intermediate("lower");
    let own = lower.issue(&[NAME]);
    let chain = |certificates: &[&str]| Own { certificate: certificates.concat(), key: own.key.clone() };
    let client = trusting(&root);
    for good in [
        chain(&[&own.certificate, &lower.certificate, &upper.certificate]),
        chain(&[&own.certificate, &upper.certificate, &lower.certificate]),
        chain(&[&own.certificate, &lower.certificate, &upper.certificate, &root.certificate]),
    ] {
        assert!(meet(&client, &owning(&good), NAME).client.is_ok());
    }
    for missing in
        [chain(&[&own.certificate]), chain(&[&own.certificate, &upper.certificate]), chain(&[&own.certificate, &lower.certificate])]
    {
        assert_eq!(meet(&client, &owning(&missing), NAME).client.unwrap_err().status(), Status::CertUnknownIssuer);
    }
    // A file that does not begin with the server's own is refused where it is given.
    let error = ServerConfig::new(&owning(&chain(&[&lower.certificate, &own.certificate]))).unwrap_err();
    assert_eq!(error.to_string(), "the private key is another one's: the first certificate must have its key");
    assert_eq!(error.status(), Status::CertInvalid);
}

#[test]
fn what_is_forgiven_is_forgiven_and_nothing_else() {
    let (authority, stranger) = (Authority::new("ca"), Authority::new("stranger"));
    let verdict = |danger: u32, own: &Own, name: &str| {
        let mut client = trusting(&authority);
        client.danger = danger;
        meet(&client, &owning(own), name).client.map(|_| ()).map_err(|error| error.status().code())
    };
    let stale = |params: &mut rcgen::CertificateParams| expired(params);
    for (own, name, faults, codes) in [
        (stranger.issue(&[NAME]), NAME, 1, [12045, 0, 0]),
        (authority.issue(&["b.example"]), NAME, 2, [0, 12038, 0]),
        (authority.issue_with(&[NAME], stale), NAME, 4, [0, 0, 12037]),
        (authority.issue_with(&[NAME], not_yet_valid), NAME, 4, [0, 0, 12037]),
        (stranger.issue(&["b.example"]), NAME, 3, [12045, 12038, 0]),
        (stranger.issue_with(&["b.example"], stale), NAME, 7, [12045, 12038, 12037]),
        (self_signed(&["b.example"], stale), NAME, 7, [12045, 12038, 12037]),
    ] {
        for danger in 0..8u32 {
            let unforgiven = faults & !danger;
            let result = verdict(danger, &own, name);
            if unforgiven == 0 {
                assert_eq!(result, Ok(()), "faults {faults}, forgiven {danger}");
            } else {
                let code = result.unwrap_err();
                let possible: Vec<i32> = (0..3).filter(|bit| unforgiven >> bit & 1 == 1).map(|bit| codes[bit]).collect();
                assert!(possible.contains(&code), "faults {faults}, forgiven {danger}: {code}");
            }
        }
    }
}

#[test]
fn pins_count_besides_everything_else() {
    let authority = Authority::new("ca");
    let own = authority.issue(&[NAME]);
    let key = rcgen::KeyPair::from_pem(&own.key).unwrap();
    let hash = {
        use rcgen::PublicKeyData as _;
        let provider = rustls::crypto::ring::default_provider();
        let suite = provider.cipher_suites.iter().find_map(|suite| suite.tls13()).unwrap();
        assert_eq!(suite.common.suite, rustls::CipherSuite::TLS13_AES_256_GCM_SHA384);
        let sha256 = provider.cipher_suites.iter().filter_map(|suite| suite.tls13()).map(|suite| suite.common.hash_provider);
        let sha256 = sha256.into_iter().find(|hash| hash.output_len() == 32).unwrap();
        base64::engine::general_purpose::STANDARD.encode(sha256.hash(&key.subject_public_key_info()))
    };
    let mut client = trusting(&authority);
    client.pins = vec![format!("sha256//{}", "A".repeat(43) + "="), format!("sha256//{hash}")];
    assert!(meet(&client, &owning(&own), NAME).client.is_ok());
    client.pins.pop();
    let sentence = format!("the server's key is not among the pinned ones: it has sha256//{hash}");
    client_refuses(&client, &own, NAME, Status::CertRevoked, &sentence);
    client.danger = 7;
    client_refuses(&client, &own, NAME, Status::CertRevoked, &sentence);
}

#[test]
fn clients_show_certificates_where_they_are_asked_for() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let mut server = owning(&authority.issue(&[NAME]));
    server.client_ca = Some(pem(&clients.certificate));
    let with = |own: Option<&Own>, version: u32| {
        let mut client = own.map(owning).unwrap_or_else(|| change(|_| {}));
        client.ca = Some(pem(&authority.certificate));
        client.min_version = version;
        client
    };
    let own = clients.issue_with(&["me"], of_client);
    let (client, server_end) = meet(&with(Some(&own), 12), &server, NAME).both();
    drop(client);
    assert!(!server_end.security().unwrap().certificate.is_empty());
    // Without one, with a stranger's, and with a server's.
    let outcome = meet(&with(None, 12), &server, NAME);
    let error = outcome.server.unwrap_err();
    assert_eq!(
        (error.status(), error.to_string().as_str()),
        (Status::ClientCertNeeded, "the client showed no certificate, and one is asked for")
    );
    // In TLS 1.3 the client is done before the server has looked: it hears of it with its first receive.
    let client = outcome.client.unwrap();
    let error = client.receive(&mut [0; 10], &mut [], ws101::transport::Patience::None).unwrap_err();
    let error = Error::from_io(Status::Internal, "", &error);
    let sentence = "handshake alert: certificate required: the server asks for a client certificate";
    assert_eq!((error.status(), error.to_string().as_str()), (Status::ClientCertNeeded, sentence));
    for (own, code) in
        [(authority.issue_with(&["me"], of_client), 12045), (clients.issue_with(&["me"], expired), 12037), (clients.issue(&["me"]), 12169)]
    {
        let error = meet(&with(Some(&own), 12), &server, NAME).server.unwrap_err();
        assert_eq!(error.status().code(), code, "{error}");
    }
}

#[test]
fn a_server_shows_the_certificate_for_the_name_that_is_asked_for() {
    let authority = Authority::new("ca");
    let (a, b) = (authority.issue(&["a.example"]), authority.issue(&["b.example", "*.b.example"]));
    let server = change(|options| {
        options.certificate = Some(pem(&[a.certificate.as_str(), b.certificate.as_str()].concat()));
        // In another order.
        options.key = Some(pem(&[b.key.as_str(), a.key.as_str()].concat()));
    });
    let client = trusting(&authority);
    for (name, is_valid) in [("a.example", true), ("b.example", true), ("x.b.example", true), ("c.example", false)] {
        assert_eq!(meet(&client, &server, name).client.is_ok(), is_valid, "{name}");
    }
    // Key and certificate in one text.
    let both = change(|options| options.certificate = Some(pem(&[a.key.as_str(), a.certificate.as_str()].concat())));
    assert!(meet(&client, &both, "a.example").client.is_ok());
}

#[test]
fn versions_that_do_not_meet_say_so() {
    let authority = Authority::new("ca");
    let (mut client, mut server) = (trusting(&authority), owning(&authority.issue(&[NAME])));
    let (stream, _other) = meet(&client, &server, NAME).both();
    assert_eq!(stream.security().unwrap().version, "TLSv1.3");
    (client.min_version, server.min_version) = (13, 13);
    assert!(meet(&client, &server, NAME).client.is_ok());
    // A client of 2008 at a server of today, by hand: a ClientHello of TLS 1.2 alone.
    let mut raw = handmade(&server);
    raw.0.write_all(&OLD_HELLO).unwrap();
    let error = raw.1.step().unwrap_err();
    assert_eq!(error.status(), Status::TlsChannel, "{error}");
    assert!(error.to_string().starts_with("TLS with a client: "), "{error}");
    let mut alert = [0; 7];
    raw.0.read_exact(&mut alert).unwrap();
    assert_eq!(alert, [21, 3, 3, 0, 2, 2, 70], "fatal, protocol_version");
}

/// TLS 1.2, one cipher suite, no compression, groups, signature algorithms, and the extended master secret.
const OLD_HELLO: [u8; 72] = {
    let mut hello = [7; 72];
    let head = [22, 3, 1, 0, 67, 1, 0, 0, 63, 3, 3];
    let tail = [0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 20, 0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 4, 0, 2, 4, 3, 0, 23, 0, 0];
    let mut at = 0;
    while at < head.len() {
        hello[at] = head[at];
        at += 1;
    }
    let mut at = 0;
    while at < tail.len() {
        hello[43 + at] = tail[at];
        at += 1;
    }
    hello
};

fn handmade(server: &TlsOptions) -> (UnixStream, Handshake) {
    let (raw, end) = UnixStream::pair().unwrap();
    let stream = Stream::new(Socket::from(end), true).unwrap();
    (raw, Handshake::server(stream, &ServerConfig::new(server).unwrap()).unwrap())
}

#[test]
fn who_speaks_no_tls_is_told_apart() {
    let authority = Authority::new("ca");
    let (mut raw, mut handshake) = handmade(&owning(&authority.issue(&[NAME])));
    raw.write_all(b"GET /chat HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
    let error = handshake.step().unwrap_err();
    assert_eq!((error.status(), error.to_string().as_str()), (Status::TlsChannel, "the client does not speak TLS: did it mean wss://?"));
    let (mut raw, end) = UnixStream::pair().unwrap();
    let stream = Stream::new(Socket::from(end), true).unwrap();
    let mut handshake = Handshake::client(stream, &ClientConfig::new(&trusting(&authority)).unwrap(), NAME).unwrap();
    assert!(handshake.step().unwrap().is_some());
    raw.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    let error = handshake.step().unwrap_err();
    assert_eq!(
        (error.status(), error.to_string().as_str()),
        (Status::TlsChannel, "the server does not speak TLS on this port: is it ws://?")
    );
}

#[test]
fn a_server_without_a_certificate_is_refused_before_anybody_comes() {
    let error = ServerConfig::new(&change(|_| {})).unwrap_err();
    assert_eq!(error.to_string(), "wss needs a certificate: set WS_OPTION_TLS_CERTIFICATE and WS_OPTION_TLS_KEY");
    let own = Authority::new("ca").issue(&[NAME]);
    let error = ServerConfig::new(&change(|options| options.certificate = Some(pem(&own.certificate)))).unwrap_err();
    assert_eq!(error.to_string(), "there is no private key: the first certificate must have its key");
}
