//! What the servers of the tokio family share: one thread, a listener whose port is printed, and a task for each connection.

use std::future::Future;
use std::io::Write;

use tokio::net::{TcpListener, TcpStream};

/// Serves until the process is ended.
pub fn serve<F: Future<Output = ()> + 'static>(connection: impl Fn(TcpStream) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        println!("{}", listener.local_addr().expect("an address").port());
        std::io::stdout().flush().expect("stdout");
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("TCP_NODELAY");
            tokio::task::spawn_local(connection(stream));
        }
    });
}

/// What the server is to do: the first argument.
pub fn mode() -> String {
    std::env::args().nth(1).unwrap_or_else(|| "echo".to_owned())
}
