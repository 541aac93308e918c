//! Servers, measured: ws101's and a bare rustls one, each a process that is asked what it has used. Both serve on one thread, one connection after the
//! other, with the same certificate, cipher suites and tickets; the client is the same bare one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use ws101::server::Listener;

use crate::bare::{self, Stream};
use crate::peer;
use crate::usage;

/// Serves until it is killed: `/close` ends with a closing handshake, `/idle` is kept. A line on the standard input is answered by what was used.
pub fn serve(who: &str) {
    let pair = peer::certificate();
    let file = std::env::temp_dir().join(format!("ws101-bench-{}.pem", std::process::id()));
    std::fs::write(&file, &pair.ca).expect("a file");
    let tell = move |address: &str| {
        println!("{address}\n{}", file.display());
        thread::spawn(|| {
            for _ in std::io::stdin().lock().lines() {
                let (cpu, memory) = usage();
                println!("{cpu} {memory}");
            }
        });
    };
    match who {
        "ws101" => {
            let listener = peer::listener(&pair.own);
            tell(listener.url().trim_start_matches("wss://").trim_end_matches('/'));
            serve_ours(&listener);
        }
        _ => {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
            tell(&listener.local_addr().expect("an address").to_string());
            serve_bare(&listener, pair.own.as_bytes());
        }
    }
}

fn serve_ours(listener: &Listener) {
    let mut kept = Vec::new();
    let mut room = vec![0; 1024];
    loop {
        let request = listener.accept().expect("a client");
        let Ok(connection) = request.complete_upgrade() else { continue };
        if request.target().is_ok_and(|target| target == "/idle") {
            kept.push(connection);
            continue;
        }
        while peer::receive(&connection, &mut room).is_some() {}
    }
}

fn serve_bare(listener: &TcpListener, pem: &[u8]) {
    let provider = Arc::new(ws101::transport::tls::provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(pem).expect("a key");
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).expect("a pair");
    config.ticketer = rustls::crypto::ring::Ticketer::new().expect("tickets");
    let config = Arc::new(config);
    let mut kept = Vec::new();
    loop {
        let (mut socket, _) = listener.accept().expect("a client");
        socket.set_nodelay(true).expect("an option");
        let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).expect("a server");
        let (mut head, mut room) = (Vec::new(), [0; 1024]);
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        while !head.ends_with(b"\r\n\r\n") {
            let count = stream.read(&mut room).expect("a request");
            head.extend_from_slice(&room[..count]);
        }
        let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
        stream.write_all(format!("{answer}Sec-WebSocket-Accept: 7eQChgCtQMnVILefJAO6dK5JwPc=\r\n\r\n").as_bytes()).expect("a client");
        if head.starts_with(b"GET /idle ") {
            kept.push((socket, tls));
            continue;
        }
        stream.read_exact(&mut room[..8]).expect("a close frame");
        stream.write_all(b"\x88\x02\x03\xe8").expect("a client");
        tls.send_close_notify();
        tls.complete_io(&mut socket).expect("a client");
    }
}

/// A server, and how it is asked.
struct Server(Child, ChildStdin, BufReader<ChildStdout>);

impl Server {
    /// It, its address and the file with its CA.
    fn start(who: &str) -> (Server, String, String) {
        let own = std::env::current_exe().expect("this program");
        let mut child = Command::new(own).args(["server", who]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a server");
        let (input, output) = (child.stdin.take().expect("its input"), child.stdout.take().expect("its output"));
        let mut server = Server(child, input, BufReader::new(output));
        let (address, ca) = (server.line(), server.line());
        (server, address, ca)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.2.read_line(&mut line).expect("a line");
        line.trim().to_owned()
    }

    /// CPU seconds and resident bytes.
    fn usage(&mut self) -> (f64, f64) {
        self.1.write_all(b"\n").expect("a server");
        let line = self.line();
        let (cpu, memory) = line.split_once(' ').expect("two numbers");
        (cpu.parse().expect("a number"), memory.parse().expect("a number"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

/// Microseconds of the server's CPU a connection, from TCP to the closing handshake.
fn handshakes(who: &str, resumed: bool, count: usize) -> f64 {
    let (mut server, address, ca) = Server::start(who);
    let config = bare::config(&ca, if resumed { Resumption::in_memory_sessions(8) } else { Resumption::disabled() });
    // The first ones fill caches, and bring a ticket.
    (0..20).for_each(|_| assert!(!Stream::connect(&address, &config, "/close").close() || resumed));
    let before = server.usage().0;
    (0..count).for_each(|_| assert_eq!(Stream::connect(&address, &config, "/close").close(), resumed));
    (server.usage().0 - before) * 1e6 / count as f64
}

/// Resident bytes of the server for each connection on which nothing moves.
fn idle(who: &str, count: usize) -> f64 {
    let (mut server, address, ca) = Server::start(who);
    let config = bare::config(&ca, Resumption::disabled());
    let mut all: Vec<Stream> = (0..20).map(|_| Stream::connect(&address, &config, "/idle")).collect();
    let before = server.usage().1;
    all.extend((0..count).map(|_| Stream::connect(&address, &config, "/idle")));
    // What the last one asked for is done when the server asks for the next.
    all.push(Stream::connect(&address, &config, "/idle"));
    (server.usage().1 - before) / count as f64
}

pub fn run_all(rounds: usize) {
    for (name, resumed) in [("full", false), ("resumed", true)] {
        println!("# server: {name} handshakes with upgrade and close, us CPU each");
        let mut ratios = Vec::new();
        for _ in 0..rounds {
            let (ours, bare) = (handshakes("ws101", resumed, 500), handshakes("bare rustls", resumed, 500));
            ratios.push(ours / bare);
            println!("ws101 {ours:.0}, bare rustls {bare:.0}, ratio {:.3}", ours / bare);
        }
        ratios.sort_by(f64::total_cmp);
        println!("ratio: median {:.3}, from {:.3} to {:.3}", ratios[ratios.len() / 2], ratios[0], ratios[ratios.len() - 1]);
    }
    println!("# memory of a server's idle connection");
    println!("ws101 {:.0} bytes, bare rustls {:.0} bytes", idle("ws101", 500), idle("bare rustls", 500));
}
