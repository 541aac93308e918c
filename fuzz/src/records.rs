//! Two record layers of TLS and a network that portions, holds up and spoils: what is delivered is what was sent, or its beginning if somebody
//! interfered; and nothing panics or goes on for ever.

use std::sync::{Arc, OnceLock};

use rcgen::{CertificateParams, KeyPair};
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::{RootCertStore, SupportedProtocolVersion};
use ws101::transport::tls::records::{Records, Side};
use ws101::transport::tls::room::{FRONT, Room};

use super::input::Input;

struct Configs {
    client: Arc<rustls::ClientConfig>,
    server: Arc<rustls::ServerConfig>,
}

/// For TLS 1.2 and 1.3, made once.
fn configs(version: u8) -> &'static Configs {
    static CONFIGS: [OnceLock<Configs>; 2] = [const { OnceLock::new() }; 2];
    let index = usize::from(version & 1);
    CONFIGS[index].get_or_init(|| {
        let versions: [&'static SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(["a".to_owned()]).expect("a name").self_signed(&key).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("a root");
        let client = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider));
        let client = client.with_protocol_versions(&[versions[index]]).expect("a version");
        let server = rustls::ServerConfig::builder_with_provider(provider).with_protocol_versions(&[versions[index]]).expect("a version");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("the key");
        Configs {
            client: Arc::new(client.with_root_certificates(roots).with_no_client_auth()),
            server: Arc::new(server.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).expect("both")),
        }
    })
}

/// One end, and the bytes that are on their way to it.
struct End {
    records: Records,
    arriving: Vec<u8>,
    /// What it was given to say, and what it heard.
    said: Vec<u8>,
    heard: Vec<u8>,
    is_spoiled: bool,
}

impl End {
    fn new(side: Side) -> End {
        End { records: Records::new(side), arriving: Vec::new(), said: Vec::new(), heard: Vec::new(), is_spoiled: false }
    }

    /// Takes in so much of what arrives; the room for it is small, so that something is left over.
    fn hear(&mut self, count: usize, room: usize) {
        let count = count.min(self.arriving.len());
        let mut buffer = vec![0; FRONT];
        buffer.extend(self.arriving.drain(..count));
        let end = buffer.len();
        let (mut first, mut second) = (vec![0; room], vec![0; room / 2]);
        let delivered = self.records.feed(&mut buffer, FRONT..end, &mut first, &mut second);
        self.heard.extend_from_slice(&[first, second].concat()[..delivered]);
        let mut rest = [0; 300];
        loop {
            match self.records.take_plain(&mut rest, &mut []) {
                0 => break,
                count => self.heard.extend_from_slice(&rest[..count]),
            }
        }
    }
}

/// One byte for the version, then steps.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let configs = configs(input.byte());
    let client = UnbufferedClientConnection::new(Arc::clone(&configs.client), ServerName::try_from("a").expect("a name"));
    let server = UnbufferedServerConnection::new(Arc::clone(&configs.server));
    let mut ends = [End::new(Side::Client(client.expect("a client"))), End::new(Side::Server(server.expect("a server")))];
    let mut steps = 0;
    while !input.is_empty() && steps < 500 {
        step(&mut input, &mut ends);
        steps += 1;
    }
    let is_spoiled = ends.iter().any(|end| end.is_spoiled);
    // Everything that is on its way arrives.
    for _ in 0..20 {
        for from in 0..2 {
            carry(&mut ends, from);
            ends[1 - from].hear(usize::MAX, 100);
        }
    }
    for (own, other) in [(0, 1), (1, 0)] {
        assert!(ends[other].said.starts_with(&ends[own].heard), "something else was heard than was said");
        if !is_spoiled {
            assert!(ends[own].heard == ends[other].said, "something was lost");
            assert!(ends[own].records.failure().is_none(), "{:?}", ends[own].records.failure());
            assert!(!ends[own].records.state().is_handshaking());
        }
    }
}

/// What this end has to say by itself goes to the other.
fn carry(ends: &mut [End; 2], from: usize) {
    let outgoing = ends[from].records.take_outgoing();
    ends[1 - from].arriving.extend(outgoing);
}

fn step(input: &mut Input, ends: &mut [End; 2]) {
    let choices = input.byte();
    let own = usize::from(choices >> 7);
    match choices & 0xF {
        0..=4 => {
            carry(ends, own);
            ends[1 - own].hear(usize::from(input.byte()), 40);
        }
        5 | 6 => {
            carry(ends, own);
            ends[1 - own].hear(usize::from(input.short()), 2000);
        }
        7..=10 => speak(input, ends, own, choices & 0x10 != 0),
        11 => {
            let was_handshaking = ends[own].records.state().is_handshaking();
            if !was_handshaking {
                ends[own].records.end_sending();
            }
        }
        12 => carry(ends, own),
        13 => {
            // Somebody on the way changes a byte.
            let at = usize::from(input.short());
            let mask = input.byte();
            if let Some(byte) = ends[own].arriving.get_mut(at) {
                *byte ^= mask;
                ends[own].is_spoiled |= mask != 0;
            }
        }
        _ => {
            let length = usize::from(input.byte());
            let injected = input.take(length);
            ends[own].is_spoiled |= !injected.is_empty();
            ends[own].arriving.extend_from_slice(injected);
        }
    }
}

fn speak(input: &mut Input, ends: &mut [End; 2], own: usize, is_large: bool) {
    let length = usize::from(input.byte()) * if is_large { 300 } else { 1 };
    let cut = usize::from(input.byte()).min(length);
    let payload: Vec<u8> = (0..length).map(|index| index as u8).collect();
    let end = &mut ends[own];
    if end.records.state().is_handshaking() || end.has_said_goodbye() {
        return;
    }
    let mut room = Room::take();
    match end.records.encrypt(&[&payload[..cut], &payload[cut..]], usize::MAX, &mut room) {
        Ok(count) => {
            assert_eq!(count, length);
            end.said.extend(payload);
            ends[1 - own].arriving.extend_from_slice(room.filled());
        }
        Err(_) => assert!(end.records.failure().is_some()),
    }
    room.give_back();
}

impl End {
    /// The layers above send nothing after their goodbye.
    fn has_said_goodbye(&self) -> bool {
        self.records.has_sent_end()
    }
}
