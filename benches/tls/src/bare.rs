//! rustls' unbuffered API over a blocking socket, and nothing else: no frames are read, and those that are sent were made before. The limit.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::HandshakeKind;
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::unbuffered::{ConnectionState, EncodeError, InsufficientSizeError};

use crate::{Clock, Work};

pub struct Stream {
    socket: TcpStream,
    tls: UnbufferedClientConnection,
    incoming: Vec<u8>,
    used: usize,
    outgoing: Vec<u8>,
    received: usize,
    last: Vec<u8>,
}

/// A client's, which trusts this CA alone.
pub fn config(ca: &str, resumption: Resumption) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).expect("a CA")).expect("a CA");
    let provider = Arc::new(ws101::transport::tls::provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = resumption;
    Arc::new(config)
}

pub fn run(url: &str, ca: &str, work: Work) {
    let config = config(ca, Resumption::default());
    let address = url.trim_start_matches("wss://");
    match work {
        Work::Handshakes(count) => {
            let clock = Clock::start();
            (0..count).for_each(|_| drop(Stream::connect(address, &config, &work.path())));
            clock.stop(work);
        }
        // It has buffers of its own for each connection, which are not the limit of anything.
        Work::Idle(_) => println!("not measured"),
        _ => converse(Stream::connect(address, &config, &work.path()), work),
    }
}

fn converse(mut stream: Stream, work: Work) {
    let frame = |size: usize| {
        let mut frame = match size {
            0..126 => vec![0x82, 0x80 | size as u8],
            126..65536 => [&[0x82, 0xfe][..], &(size as u16).to_be_bytes()].concat(),
            _ => [&[0x82, 0xff][..], &(size as u64).to_be_bytes()].concat(),
        };
        frame.extend([0; 4]);
        frame.resize(frame.len() + size, b'x');
        frame
    };
    let head = |size: usize| {
        if size < 126 {
            2
        } else if size < 65536 {
            4
        } else {
            10
        }
    };
    let clock = Clock::start();
    match work {
        Work::Receive(size, count) => stream.receive((head(size) + size) * count),
        Work::Send(size, count) => {
            let bytes = frame(size);
            (0..count).for_each(|_| stream.send(&bytes));
            stream.send(&frame(1));
            stream.receive(3);
        }
        Work::Echo(size, count) => {
            let bytes = frame(size);
            for _ in 0..count {
                stream.send(&bytes);
                stream.receive(head(size) + size);
            }
        }
        Work::Handshakes(_) | Work::Idle(_) => {}
    }
    clock.stop(work);
}

impl Stream {
    pub fn connect(address: &str, config: &Arc<rustls::ClientConfig>, path: &str) -> Stream {
        let socket = TcpStream::connect(address).expect("a connection");
        socket.set_nodelay(true).expect("an option");
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let tls = UnbufferedClientConnection::new(Arc::clone(config), name).expect("a client");
        let (incoming, outgoing) = (vec![0; 80 << 10], vec![0; 80 << 10]);
        let mut stream = Stream { socket, tls, incoming, used: 0, outgoing, received: 0, last: Vec::new() };
        while stream.tls.is_handshaking() {
            stream.turn(None);
        }
        let key = "Sec-WebSocket-Key: E4WSEcseoWr4csPLS2QJHA==\r\nSec-WebSocket-Version: 13";
        stream.send(
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n\r\n").as_bytes(),
        );
        // What comes behind the head counts as the beginning of what is received.
        let mut head = Vec::new();
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            stream.turn(None);
            head.append(&mut stream.last);
        }
        stream.received = head.len() - head.windows(4).position(|window| window == b"\r\n\r\n").expect("an end") - 4;
        stream
    }

    /// Says goodbye and waits for the end; whether the connection was a resumed one.
    pub fn close(mut self) -> bool {
        self.send(b"\x88\x82\0\0\0\0\x03\xe8");
        while self.socket.read(&mut self.incoming).is_ok_and(|count| count > 0) {}
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    fn receive(&mut self, length: usize) {
        while self.received < length {
            self.last.clear();
            self.turn(None);
        }
        self.received -= length;
    }

    fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(64 << 10));
            self.turn(Some(now));
            bytes = rest;
        }
    }

    /// Until there is nothing to do: then encrypts and sends, or reads once.
    fn turn(&mut self, send: Option<&[u8]>) {
        let was_handshaking = self.tls.is_handshaking();
        loop {
            let status = self.tls.process_tls_records(&mut self.incoming[..self.used]);
            let mut discard = status.discard;
            let (mut ends, mut reads) = (false, false);
            match status.state.expect("TLS") {
                ConnectionState::ReadTraffic(mut read) => {
                    while let Some(record) = read.next_record() {
                        let record = record.expect("a record");
                        self.received += record.payload.len();
                        if self.last.len() < 4096 {
                            self.last.extend_from_slice(&record.payload[..record.payload.len().min(4096)]);
                        }
                        discard += record.discard;
                    }
                    ends = send.is_none();
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    let length = match data.encode(&mut self.outgoing) {
                        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => panic!("{required_size}"),
                        result => result.expect("room"),
                    };
                    self.socket.write_all(&self.outgoing[..length]).expect("a peer");
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::WriteTraffic(mut traffic) => {
                    ends = true;
                    if let Some(bytes) = send {
                        let length = traffic.encrypt(bytes, &mut self.outgoing).expect("room");
                        self.socket.write_all(&self.outgoing[..length]).expect("a peer");
                    } else if !was_handshaking {
                        // At the end of the handshake it is the client that speaks next.
                        reads = true;
                    }
                }
                ConnectionState::BlockedHandshake => (ends, reads) = (true, true),
                other => panic!("{other:?}"),
            }
            self.incoming.copy_within(discard..self.used, 0);
            self.used -= discard;
            if reads {
                let count = self.socket.read(&mut self.incoming[self.used..]).expect("a peer");
                assert!(count > 0, "the peer has ended the connection");
                self.used += count;
            }
            if ends {
                return;
            }
        }
    }
}
