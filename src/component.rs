//! What the handle of a protocol component stands for: the component, its options, its entropy, and one caller at a time.
//!
//! In scope: what [`Component`] takes as arguments. Everything that is made of randomness follows from the program's seed, so that a conversation
//! can be repeated. Out of scope: the protocol (`protocol::component`), and the program's memory (`ffi`).

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::error::{Error, Result, Status};
use crate::http::Headers;
use crate::options::{Options, SharedOptions};
use crate::protocol::component::{Component, Memory, Surroundings};
use crate::protocol::handshake::is_reserved_header;
use crate::protocol::{MaskingKey, Role, Url};
use crate::sync::{Mutex, MutexGuard};

/// A component and its surroundings.
pub struct ProtocolComponent {
    role: Role,
    options: Mutex<SharedOptions>,
    inside: Mutex<Inside>,
}

/// What one caller at a time may touch.
struct Inside {
    component: Component,
    random: StdRng,
    /// The program's headers: of a client's request, of a server's answer.
    headers: Headers,
    /// The list of headers that the program was shown, until the handshake is done.
    shown: Option<Box<dyn Any + Send>>,
}

impl ProtocolComponent {
    /// One end, before its handshake.
    pub fn new(role: Role, seed: [u8; 32]) -> Arc<ProtocolComponent> {
        let inside = Inside { component: Component::new(role), random: StdRng::from_seed(seed), headers: Headers::new(), shown: None };
        Arc::new(ProtocolComponent { role, options: Mutex::default(), inside: Mutex::new(inside) })
    }

    /// Which end it is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The options as they are now.
    pub fn options(&self) -> SharedOptions {
        Arc::clone(&self.options.lock())
    }

    /// Changes the options: what is done next goes by them.
    pub fn change_options(&self, change: impl FnOnce(&mut Options) -> Result<()>) -> Result<()> {
        let mut options = self.options.lock();
        let mut changed = Options::clone(&options);
        change(&mut changed)?;
        *options = Arc::new(changed);
        Ok(())
    }

    /// Asks the component something, or tells it something that needs nothing; 4317 while another thread is in a call on it.
    pub fn with<T>(&self, body: impl FnOnce(&mut Component) -> Result<T>) -> Result<T> {
        body(&mut self.enter()?.component)
    }

    /// The same, with the time and the program's memory.
    pub fn with_surroundings<T>(
        &self,
        now: Duration,
        memory: &mut dyn Memory,
        body: impl FnOnce(&mut Component, &mut Surroundings<'_>) -> Result<T>,
    ) -> Result<T> {
        let options = self.options();
        let Inside { component, random, .. } = &mut *self.enter()?;
        let mut keys = || -> MaskingKey { random.next_u32().to_ne_bytes() };
        body(component, &mut Surroundings { now, options: &options, memory, keys: &mut keys })
    }

    /// Why it is of no use any more; unknown while another thread is in a call on it.
    pub fn failure(&self) -> Option<Error> {
        self.with(|component| Ok(component.failure().cloned())).unwrap_or_default()
    }

    /// Adds a header to a client's request or a server's answer; 12153 if it is none, or the handshake's own.
    pub fn add_header(&self, name: &str, value: &[u8]) -> Result<()> {
        if is_reserved_header(name) {
            return Err(Error::new(Status::InvalidHeader, format!("the header {name} is the handshake's own")));
        }
        self.enter()?.headers.push(name, value)?;
        Ok(())
    }

    /// Begins the handshake as bytes: a client with the URL that it wants, a server without one (87).
    pub fn begin(&self, url: Option<&str>) -> Result<()> {
        let options = self.options();
        let Inside { component, random, headers, .. } = &mut *self.enter()?;
        match (self.role, url) {
            (Role::Client, Some(url)) => component.begin_client(&Url::parse(url)?, nonce(random), headers, &options),
            (Role::Server, None) => component.begin_server(&options),
            (Role::Client, None) => Err(Error::new(Status::InvalidParameter, "url is NULL")),
            (Role::Server, Some(_)) => Err(Error::new(Status::InvalidParameter, "a server has no url")),
        }
    }

    /// A server opens the WebSocket that was asked for.
    pub fn accept(&self) -> Result<()> {
        let Inside { component, headers, .. } = &mut *self.enter()?;
        component.accept(headers)
    }

    /// A server answers with something else, with `Content-Length` and `Connection: close`.
    pub fn respond(&self, http_status: u16, content_type: Option<&str>, body: &[u8]) -> Result<()> {
        let Inside { component, headers, .. } = &mut *self.enter()?;
        let mut all = Headers::new();
        if let Some(content_type) = content_type {
            all.push("Content-Type", content_type.as_bytes())?;
        }
        all.push("Connection", b"close")?;
        all.extend(headers);
        component.respond(http_status, &all, body)
    }

    /// Begins the handshake as lists, and gives the headers that this side sends; `show` makes something of them that lives until the
    /// handshake is done.
    pub fn begin_list<T>(&self, received: Option<Headers>, show: impl FnOnce(Headers) -> Result<(Box<dyn Any + Send>, T)>) -> Result<T> {
        let options = self.options();
        let Inside { component, random, headers, shown } = &mut *self.enter()?;
        let additional = match (self.role, received) {
            (Role::Client, None) => {
                let mut additional = component.begin_client_list(nonce(random), &options)?;
                additional.extend(headers);
                additional
            }
            (Role::Server, Some(received)) => component.begin_server_list(received, headers, &options)?,
            (Role::Client, Some(_)) => return Err(Error::new(Status::InvalidParameter, "a client has received no headers yet")),
            (Role::Server, None) => return Err(Error::new(Status::InvalidParameter, "a server begins with the headers of the request")),
        };
        let (kept, result) = show(additional)?;
        *shown = Some(kept);
        Ok(result)
    }

    /// Ends the handshake as lists: of a client with the headers of the answer.
    pub fn end_list(&self, received: Option<Headers>) -> Result<()> {
        let options = self.options();
        let Inside { component, shown, .. } = &mut *self.enter()?;
        match (self.role, received) {
            (Role::Client, Some(received)) => component.end_client_list(received, &options)?,
            (Role::Server, None) => component.end_server_list()?,
            (Role::Client, None) => return Err(Error::new(Status::InvalidParameter, "a client ends with the headers of the answer")),
            (Role::Server, Some(_)) => return Err(Error::new(Status::InvalidParameter, "a server receives no headers at the end")),
        }
        *shown = None;
        Ok(())
    }

    /// One caller at a time. A second one is told so and does not wait: it is the program's mistake.
    fn enter(&self) -> Result<MutexGuard<'_, Inside>> {
        let another = || Error::new(Status::InvalidOperation, "another thread is in a call on this component");
        self.inside.try_lock().ok_or_else(another)
    }
}

fn nonce(random: &mut StdRng) -> [u8; 16] {
    let mut nonce = [0; 16];
    random.fill_bytes(&mut nonce);
    nonce
}
