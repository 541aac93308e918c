//! stub: an open WebSocket connection
use crate::error::{Error, Result, Status};
use crate::options::{Options, SharedOptions};
use crate::protocol::{MessageKind, Piece};

pub struct Connection;
fn stub<T>() -> Result<T> {
    Err(Error::new(Status::NotSupported, "not built yet"))
}
impl Connection {
    pub fn options(&self) -> SharedOptions {
        unimplemented!()
    }
    pub fn change_options(&self, _change: impl FnOnce(&mut Options) -> Result<()>) -> Result<()> {
        stub()
    }
    pub fn url(&self) -> &str {
        ""
    }
    pub fn subprotocol(&self) -> Option<&str> {
        None
    }
    /// As agreed, in the syntax of Sec-WebSocket-Extensions; empty = none.
    pub fn extensions(&self) -> &str {
        ""
    }
    pub fn local_address(&self) -> Result<String> {
        stub()
    }
    pub fn remote_address(&self) -> Result<String> {
        stub()
    }
    /// bit 0: a close frame was sent; bit 1: one was received
    pub fn close_state(&self) -> u32 {
        0
    }
    /// The peer's close status and reason; 4317 before its close frame. 1005 = its close frame had none.
    pub fn peer_close(&self) -> Result<(u16, Vec<u8>)> {
        stub()
    }
    /// Why it failed, whoever noticed.
    pub fn failure(&self) -> Option<Error> {
        None
    }
    /// ws_close_handle: drops the connection and wakes every call blocked in it with 12017.
    pub fn drop_connection(&self) {}
}

/// What one receive delivered.
pub enum Received {
    Piece(Piece),
    Close,
}
pub fn _unused(_: MessageKind) {}
