//! fastwebsockets: as its own echo server is written: hyper in front of it, fragments collected, tasks without a budget.

use std::convert::Infallible;

use bench_event_loop_rivals::serve;
use bytes::Bytes;
use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{FragmentCollector, OpCode, WebSocketError};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

async fn echo(upgraded: UpgradeFut) -> Result<(), WebSocketError> {
    let mut websocket = FragmentCollector::new(upgraded.await?);
    loop {
        let frame = websocket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => websocket.write_frame(frame).await?,
            _ => {}
        }
    }
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (response, upgraded) = upgrade(&mut request).expect("a WebSocket");
    tokio::task::spawn_local(tokio::task::unconstrained(echo(upgraded)));
    Ok(response)
}

fn main() {
    serve(|stream| async {
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer));
        let _ = connection.with_upgrades().await;
    });
}
