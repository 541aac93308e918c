//! The record layer without a socket: bytes in any portions, and a sender that is always busy.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::{ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use ws101::transport::tls::records::{Records, Side};
use ws101::transport::tls::room::{FRONT, Room};

use crate::certificates::Authority;

/// rustls' own configurations, so that the record layer is tested by itself.
pub struct Configs {
    pub client: Arc<rustls::ClientConfig>,
    pub server: Arc<rustls::ServerConfig>,
}

impl Configs {
    pub fn new(version: &'static SupportedProtocolVersion) -> Configs {
        let authority = Authority::new("ca");
        let own = authority.issue(&["a.example"]);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap()).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[version]).unwrap();
        let server = rustls::ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
        Configs {
            client: Arc::new(client.with_root_certificates(roots).with_no_client_auth()),
            server: Arc::new(server.with_no_client_auth().with_single_cert(chain, key).unwrap()),
        }
    }

    pub fn pair(&self) -> (Records, Records) {
        let name = ServerName::try_from("a.example").unwrap();
        let client = UnbufferedClientConnection::new(Arc::clone(&self.client), name).unwrap();
        let server = UnbufferedServerConnection::new(Arc::clone(&self.server)).unwrap();
        (Records::new(Side::Client(client)), Records::new(Side::Server(server)))
    }
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// Hands bytes over in portions of `size`; what came out of them.
fn feed(records: &mut Records, bytes: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for portion in bytes.chunks(size.max(1)) {
        let mut buffer = vec![0; FRONT + portion.len()];
        buffer[FRONT..].copy_from_slice(portion);
        // Too little room on purpose: the rest is asked for afterwards.
        let (mut first, mut second) = ([0; 3], [0; 5]);
        let count = records.feed(&mut buffer, FRONT..FRONT + portion.len(), &mut first, &mut second);
        out.extend_from_slice(&[&first[..], &second[..]].concat()[..count]);
        let mut room = [0; 1000];
        loop {
            match records.take_plain(&mut room, &mut []) {
                0 => break,
                count => out.extend_from_slice(&room[..count]),
            }
        }
        assert!(!records.has_plain());
    }
    out
}

fn encrypt(records: &mut Records, pieces: &[&[u8]]) -> Vec<u8> {
    let mut room = Room::take();
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    assert_eq!(records.encrypt(pieces, 1 << 20, &mut room).unwrap(), length);
    let bytes = room.filled().to_vec();
    room.give_back();
    bytes
}

/// Goes on until neither side has anything to say; returns what the server said last, unread.
fn handshake(client: &mut Records, server: &mut Records, size: usize) -> Vec<u8> {
    for _ in 0..20 {
        assert_eq!(feed(server, &client.take_outgoing(), size), b"");
        let said = server.take_outgoing();
        if !client.state().is_handshaking() && !server.state().is_handshaking() {
            return said;
        }
        assert_eq!(feed(client, &said, size), b"");
    }
    panic!("the handshake does not end: {:?} {:?}", client.failure(), server.failure());
}

#[test]
fn a_conversation_survives_being_split_anywhere() {
    for version in VERSIONS {
        let configs = Configs::new(version);
        for size in [1, 2, 3, 5, 7, 16, 100, 1000, 100_000] {
            let (mut client, mut server) = configs.pair();
            let tickets = handshake(&mut client, &mut server, size);
            assert_eq!(feed(&mut client, &tickets, size), b"");
            for (length, pieces) in [(0, 1), (1, 1), (100, 2), (16_384, 2), (16_385, 3), (50_000, 1), (40_000, 7)] {
                let payload: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
                let cut = payload.chunks(length / pieces + 1).collect::<Vec<_>>();
                let sent = encrypt(&mut client, &cut);
                assert_eq!(feed(&mut server, &sent, size), payload, "{length} in {pieces} by {size}");
                let sent = encrypt(&mut server, &cut);
                assert_eq!(feed(&mut client, &sent, size), payload);
            }
            client.end_sending();
            client.end_sending();
            assert_eq!(feed(&mut server, &client.take_outgoing(), size), b"");
            assert!(server.has_ended() && !client.has_ended());
            // The other direction goes on.
            let sent = encrypt(&mut server, &[b"late"]);
            assert_eq!(feed(&mut client, &sent, size), b"late");
            server.end_sending();
            feed(&mut client, &server.take_outgoing(), size);
            assert!(client.has_ended() && client.failure().is_none());
        }
    }
}

#[test]
fn a_ticket_split_at_every_byte_does_not_disturb_a_sender() {
    let configs = Configs::new(&rustls::version::TLS13);
    let mut end = 1;
    let mut at = 0;
    while at <= end {
        let (mut client, mut server) = configs.pair();
        let tickets = handshake(&mut client, &mut server, usize::MAX);
        assert!(tickets.len() > 100, "the server sends tickets, not {} bytes", tickets.len());
        end = tickets.len();
        let at_once = at;
        at += 1;
        assert_eq!(feed(&mut client, &tickets[..at_once], usize::MAX), b"");
        let sent = encrypt(&mut client, &[b"in the ", b"middle"]);
        assert_eq!(feed(&mut server, &sent, usize::MAX), b"in the middle");
        let more = encrypt(&mut server, &[b"answer"]);
        assert_eq!(feed(&mut client, &[&tickets[at_once..], &more].concat(), usize::MAX), b"answer");
        let sent = encrypt(&mut client, &[b"after"]);
        assert_eq!(feed(&mut server, &sent, usize::MAX), b"after");
        assert!(client.failure().is_none() && server.failure().is_none());
    }
}

#[test]
fn records_go_out_in_the_order_in_which_they_were_made() {
    // The server's tickets are still in its outgoing when it encrypts: they go first, or the client sees a gap in the sequence.
    let configs = Configs::new(&rustls::version::TLS13);
    let (mut client, mut server) = configs.pair();
    assert_eq!(feed(&mut server, &client.take_outgoing(), usize::MAX), b"");
    assert_eq!(feed(&mut client, &server.take_outgoing(), usize::MAX), b"");
    let finished = client.take_outgoing();
    feed(&mut server, &finished, usize::MAX);
    assert!(!server.has_outgoing(), "tickets wait for what is sent next");
    let sent = encrypt(&mut server, &[b"first words"]);
    assert!(sent.len() > 200, "two tickets and the words");
    assert!(!server.has_outgoing());
    assert_eq!(feed(&mut client, &sent, usize::MAX), b"first words");
}

#[test]
fn the_last_of_a_handshake_leaves_at_once_where_the_peer_waits_for_it() {
    for version in VERSIONS {
        let configs = Configs::new(version);
        let (mut client, mut server) = configs.pair();
        while client.state().is_handshaking() || server.state().is_handshaking() {
            assert!(client.has_outgoing(), "nobody else speaks first");
            feed(&mut server, &client.take_outgoing(), usize::MAX);
            let is_done = !server.state().is_handshaking();
            assert!(is_done || server.has_outgoing());
            // TLS 1.2 ends with the server, TLS 1.3 with the client, which has a request to send.
            assert_eq!(is_done && server.has_outgoing(), is_done && version.version == ProtocolVersion::TLSv1_2);
            feed(&mut client, &server.take_outgoing(), usize::MAX);
            if version.version == ProtocolVersion::TLSv1_3 && !client.state().is_handshaking() {
                assert!(!client.has_outgoing());
                let sent = encrypt(&mut client, &[b"request"]);
                assert_eq!(feed(&mut server, &sent, usize::MAX), b"request");
                break;
            }
        }
        assert!(!client.state().is_handshaking() && !server.state().is_handshaking());
    }
}

#[test]
fn what_a_record_still_misses_is_known_from_its_header() {
    let configs = Configs::new(&rustls::version::TLS13);
    let (mut client, mut server) = configs.pair();
    let tickets = handshake(&mut client, &mut server, usize::MAX);
    feed(&mut client, &tickets, usize::MAX);
    let record = encrypt(&mut client, &[b"words"]);
    for length in 0..record.len() {
        assert_eq!(server.missing(), if length < 5 { 0 } else { record.len() - length });
        feed(&mut server, &record[length..length + 1], 1);
    }
    assert_eq!(server.missing(), 0);
}

#[test]
fn a_damaged_record_fails_the_connection_and_leaves_an_alert() {
    for version in VERSIONS {
        let configs = Configs::new(version);
        let (mut client, mut server) = configs.pair();
        let tickets = handshake(&mut client, &mut server, usize::MAX);
        feed(&mut client, &tickets, usize::MAX);
        let good = encrypt(&mut client, &[b"good"]);
        let mut bad = encrypt(&mut client, &[b"bad"]);
        *bad.last_mut().unwrap() ^= 1;
        // What came before the damage is delivered.
        assert_eq!(feed(&mut server, &[good, bad].concat(), usize::MAX), b"good");
        assert_eq!(server.failure(), Some(&rustls::Error::DecryptError));
        let alert = server.take_outgoing();
        assert!(!alert.is_empty());
        assert!(server.encrypt(&[b"x"], 1, &mut Room::take()).is_err());
        assert_eq!(feed(&mut client, &alert, usize::MAX), b"");
        assert_eq!(client.failure(), Some(&rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac)));
    }
}

#[test]
fn an_endless_handshake_message_takes_no_more_than_its_limit() {
    let configs = Configs::new(&rustls::version::TLS13);
    let (_, mut server) = configs.pair();
    // A ClientHello that says it is 16 MB, in records of the usual size.
    let mut record = vec![22, 3, 1, 0x40, 0];
    record.extend_from_slice(&[1, 0xff, 0xff, 0xff]);
    record.resize(5 + 0x4000, 0);
    for _ in 0..100 {
        feed(&mut server, &record, usize::MAX);
        record[5] = 0;
    }
    assert!(server.failure().is_some());
    assert!(server.memory() < 1 << 20);
}
