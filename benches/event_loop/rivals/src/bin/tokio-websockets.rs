//! tokio-websockets [echo|gather]: default configuration. `echo` sends each message when it has come; `gather` feeds replies for as long as more
//! messages are there, and then flushes once.

use bench_event_loop_rivals::{mode, serve};
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_websockets::{Message, ServerBuilder, WebSocketStream};

fn is_data(message: &Message) -> bool {
    message.is_binary() || message.is_text()
}

async fn echo(mut websocket: WebSocketStream<TcpStream>) {
    while let Some(Ok(message)) = websocket.next().await {
        if is_data(&message) && websocket.send(message).await.is_err() {
            return;
        }
    }
}

async fn gather(mut websocket: WebSocketStream<TcpStream>) {
    loop {
        let next = match websocket.next().now_or_never() {
            Some(next) => next,
            None if websocket.flush().await.is_err() => return,
            None => websocket.next().await,
        };
        let Some(Ok(message)) = next else { return };
        if is_data(&message) && websocket.feed(message).await.is_err() {
            return;
        }
    }
}

fn main() {
    let is_gathering = mode() == "gather";
    serve(move |stream| async move {
        let Ok((_, websocket)) = ServerBuilder::new().accept(stream).await else { return };
        if is_gathering { gather(websocket).await } else { echo(websocket).await }
    });
}
