//! The peer of all: a server of ws101's, one thread a connection, which does what the path says.

use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use ws101::connection::{Connection, Received};
use ws101::driver::blocking;
use ws101::protocol::MessageKind;
use ws101::server::{Listener, Request};
use ws101::session::Session;

/// A certificate for 127.0.0.1, with its key, and the CA that has issued it; PEM.
pub struct Certificate {
    pub ca: String,
    pub own: String,
}

pub fn certificate() -> Certificate {
    let (mut params, key) = (CertificateParams::default(), KeyPair::generate().expect("a key"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).expect("a CA").pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let own = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name").signed_by(&key, &issuer).expect("a certificate");
    Certificate { ca, own: [own.pem(), key.serialize_pem()].concat() }
}

pub fn listener(certificate: &str) -> Arc<Listener> {
    let session = Session::open(None, false);
    session
        .change_options(|options| {
            Arc::make_mut(&mut options.tls).certificate = Some(certificate.as_bytes().into());
            Ok(())
        })
        .expect("options");
    Listener::listen(&session, "wss://127.0.0.1:0/").expect("a listener")
}

pub fn serve() {
    let Certificate { ca, own } = certificate();
    let listener = listener(&own);
    let file = std::env::temp_dir().join(format!("ws101-bench-{}.pem", std::process::id()));
    std::fs::write(&file, ca).expect("a file");
    println!("{}\n{}", listener.url().trim_end_matches('/'), file.display());
    loop {
        let request = listener.accept().expect("a client");
        thread::spawn(move || answer(&request));
    }
}

fn answer(request: &Request) {
    let Ok(connection) = request.complete_upgrade() else { return };
    let path = request.target().unwrap_or_default();
    let words: Vec<&str> = path.split('/').collect();
    let mut room = vec![0; 1 << 20];
    match words[1] {
        "source" => {
            let (size, count): (usize, usize) = (words[2].parse().expect("a size"), words[3].parse().expect("a count"));
            let payload = vec![b'x'; size];
            for _ in 0..count {
                if blocking::send(&connection, MessageKind::Binary, true, &payload).is_err() {
                    return;
                }
            }
            while receive(&connection, &mut room).is_some() {}
        }
        "sink" => {
            // One byte back for each whole message that says so.
            while let Some((length, ends)) = receive(&connection, &mut room) {
                if ends && length == 1 && blocking::send(&connection, MessageKind::Binary, true, b"!").is_err() {
                    return;
                }
            }
        }
        "echo" => {
            while let Some((length, ends)) = receive(&connection, &mut room) {
                if blocking::send(&connection, MessageKind::Binary, ends, &room[..length]).is_err() {
                    return;
                }
            }
        }
        _ => while receive(&connection, &mut room).is_some() {},
    }
}

pub fn receive(connection: &Connection, room: &mut [u8]) -> Option<(usize, bool)> {
    match blocking::receive(connection, room) {
        Ok(Received::Piece(piece)) => Some((piece.length, piece.ends_message)),
        Ok(Received::Close) | Err(_) => None,
    }
}
