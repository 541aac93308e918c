//! tokio-tungstenite [echo|gather|broadcast]: default configuration. `echo` sends each message when it has come; `gather` feeds replies for as long as
//! more messages are there, and then flushes once; `broadcast` sends every message to everybody.

use std::cell::RefCell;
use std::rc::Rc;

use bench_event_loop_rivals::{mode, serve};
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

type Everybody = Rc<RefCell<Vec<UnboundedSender<Message>>>>;

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

async fn broadcast(websocket: WebSocketStream<TcpStream>, everybody: Everybody) {
    let (sender, mut queue) = unbounded_channel();
    everybody.borrow_mut().push(sender);
    let (mut sink, mut stream) = websocket.split();
    tokio::task::spawn_local(async move {
        while let Some(message) = queue.recv().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
    });
    while let Some(Ok(message)) = stream.next().await {
        if is_data(&message) {
            everybody.borrow_mut().retain(|sender| sender.send(message.clone()).is_ok());
        }
    }
}

fn main() {
    let mode: &'static str = mode().leak();
    let everybody = Everybody::default();
    serve(move |stream| {
        let everybody = everybody.clone();
        async move {
            let Ok(websocket) = accept_async(stream).await else { return };
            match mode {
                "gather" => gather(websocket).await,
                "broadcast" => broadcast(websocket, everybody).await,
                _ => echo(websocket).await,
            }
        }
    });
}
