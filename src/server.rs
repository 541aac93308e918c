//! stub: listeners and the server's request
use crate::connection::Connection;
use crate::error::{Error, Result, Status};
use crate::http::Headers;
use crate::options::{Options, SharedOptions};
use crate::session::Session;
use std::sync::Arc;

pub struct Listener;
fn stub<T>() -> Result<T> {
    Err(Error::new(Status::NotSupported, "not built yet"))
}
impl Listener {
    pub fn listen(_session: &Session, _url: &str) -> Result<Arc<Listener>> {
        stub()
    }
    pub fn options(&self) -> SharedOptions {
        unimplemented!()
    }
    pub fn change_options(&self, _change: impl FnOnce(&mut Options) -> Result<()>) -> Result<()> {
        stub()
    }
    /// With the real port.
    pub fn url(&self) -> String {
        String::new()
    }
    pub fn local_address(&self) -> Result<String> {
        stub()
    }
    pub fn accept(&self) -> Result<Arc<Request>> {
        stub()
    }
    pub fn close(&self) {}
}

pub struct Request;
impl Request {
    pub fn options(&self) -> SharedOptions {
        unimplemented!()
    }
    pub fn change_options(&self, _change: impl FnOnce(&mut Options) -> Result<()>) -> Result<()> {
        stub()
    }
    /// To the answer (the 101, or ws_respond's).
    pub fn add_header(&self, _name: &str, _value: &[u8]) -> Result<()> {
        stub()
    }
    pub fn handshake(&self) -> Result<()> {
        stub()
    }
    pub fn complete_upgrade(&self) -> Result<Arc<Connection>> {
        stub()
    }
    pub fn respond(&self, _http_status: u16, _content_type: Option<&str>, _body: &[u8]) -> Result<()> {
        stub()
    }
    /// These need the handshake (the head); 12019 before it.
    pub fn headers(&self) -> Result<Arc<Headers>> {
        stub()
    }
    pub fn method(&self) -> Result<String> {
        stub()
    }
    pub fn target(&self) -> Result<String> {
        stub()
    }
    pub fn is_websocket(&self) -> Result<bool> {
        stub()
    }
    pub fn subprotocol(&self) -> Result<Option<String>> {
        stub()
    }
    pub fn url(&self) -> Result<String> {
        stub()
    }
    pub fn local_address(&self) -> Result<String> {
        stub()
    }
    pub fn remote_address(&self) -> Result<String> {
        stub()
    }
    pub fn close(&self) {}
}
