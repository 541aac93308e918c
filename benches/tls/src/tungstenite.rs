//! tokio-tungstenite over tokio-rustls, on a runtime of one thread.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use crate::{Clock, Work, usage};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub fn run(url: &str, ca: &str, work: Work) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).expect("a CA")).expect("a CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let url = format!("{url}{}", work.path());
    runtime.block_on(async {
        match work {
            Work::Handshakes(count) => {
                let clock = Clock::start();
                for _ in 0..count {
                    drop(connect(&url, &config).await);
                }
                clock.stop(work);
            }
            Work::Idle(count) => {
                let _first = connect(&url, &config).await;
                let before = usage().1;
                let mut all = Vec::new();
                for _ in 0..count {
                    all.push(connect(&url, &config).await);
                }
                println!("{} bytes a connection", (usage().1 - before) / count);
            }
            _ => converse(connect(&url, &config).await, work).await,
        }
    });
}

async fn connect(url: &str, config: &Arc<rustls::ClientConfig>) -> Socket {
    let connector = Connector::Rustls(Arc::clone(config));
    connect_async_tls_with_config(url, None, true, Some(connector)).await.expect("a connection").0
}

async fn converse(mut socket: Socket, work: Work) {
    let clock = Clock::start();
    match work {
        Work::Receive(size, count) => receive(&mut socket, size * count).await,
        Work::Send(size, count) => {
            let payload = vec![b'x'; size];
            for _ in 0..count {
                socket.send(Message::binary(payload.clone())).await.expect("room");
            }
            socket.send(Message::binary(b"?".to_vec())).await.expect("room");
            receive(&mut socket, 1).await;
        }
        Work::Echo(size, count) => {
            let payload = vec![b'x'; size];
            for _ in 0..count {
                socket.send(Message::binary(payload.clone())).await.expect("room");
                receive(&mut socket, size).await;
            }
        }
        Work::Handshakes(_) | Work::Idle(_) => {}
    }
    clock.stop(work);
}

async fn receive(socket: &mut Socket, length: usize) {
    let mut got = 0;
    while got < length {
        got += socket.next().await.expect("a message").expect("a message").len();
    }
}
