//! stub: blocking waits on the caller's own thread
use crate::connection::{Connection, Received};
use crate::error::{Error, Result, Status};
use crate::protocol::MessageKind;
fn stub<T>() -> Result<T> {
    Err(Error::new(Status::NotSupported, "not built yet"))
}

/// buffer is never empty
pub fn receive(_connection: &Connection, _buffer: &mut [u8]) -> Result<Received> {
    stub()
}
pub fn send(_connection: &Connection, _kind: MessageKind, _ends_message: bool, _payload: &[u8]) -> Result<()> {
    stub()
}
pub fn shutdown(_connection: &Connection, _status: u16, _reason: &[u8]) -> Result<()> {
    stub()
}
pub fn close(_connection: &Connection, _status: u16, _reason: &[u8]) -> Result<()> {
    stub()
}
