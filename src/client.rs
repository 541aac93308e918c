//! stub: the client's request
use crate::connection::Connection;
use crate::error::{Error, Result, Status};
use crate::http::Headers;
use crate::options::{Options, SharedOptions};
use crate::session::Session;
use std::sync::Arc;

pub struct Request;
fn stub<T>() -> Result<T> {
    Err(Error::new(Status::NotSupported, "not built yet"))
}
impl Request {
    pub fn connect(_session: &Session, _url: &str) -> Result<Arc<Request>> {
        stub()
    }
    pub fn options(&self) -> SharedOptions {
        unimplemented!()
    }
    pub fn change_options(&self, _change: impl FnOnce(&mut Options) -> Result<()>) -> Result<()> {
        stub()
    }
    pub fn url(&self) -> String {
        String::new()
    }
    pub fn add_header(&self, _name: &str, _value: &[u8]) -> Result<()> {
        stub()
    }
    pub fn handshake(&self) -> Result<()> {
        stub()
    }
    pub fn complete_upgrade(&self) -> Result<Arc<Connection>> {
        stub()
    }
    /// The response head: (status, headers); 12019 before the handshake.
    pub fn response(&self) -> Result<(u16, Arc<Headers>)> {
        stub()
    }
    pub fn read_body(&self, _buffer: &mut [u8]) -> Result<usize> {
        stub()
    }
    pub fn subprotocol(&self) -> Result<Option<String>> {
        stub()
    }
    pub fn local_address(&self) -> Result<String> {
        stub()
    }
    pub fn remote_address(&self) -> Result<String> {
        stub()
    }
    /// ws_close_handle: wakes every call blocked in it with 12017.
    pub fn close(&self) {}
}
