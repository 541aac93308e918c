//! Handles: what a ticket of the C API stands for.
//!
//! In scope: the table of open handles, the kinds, and what each handle carries besides its object: the callback, the context,
//! and why its last operation failed. Out of scope: what the objects do (their own rooms), and C types (`ffi`).
//!
//! A handle keeps its object alive, and so does every call that found it: closing a handle while another thread is inside a call
//! on it frees nothing that is in use. Only the ticket is gone at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client;
use crate::component::ProtocolComponent;
use crate::connection::Connection;
use crate::driver::caretaker;
use crate::error::{Error, Result, Status};
use crate::http::Headers;
use crate::process::Process;
use crate::server;
use crate::server::{Listener, Seat};
use crate::session::Session;

mod table;

pub use table::{Table, Ticket};

/// The kinds of handle, with the numbers that `WS_OPTION_HANDLE_KIND` answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// What requests and listeners are made from.
    Session = 1,
    /// One upgrade, of a client or of a server.
    Request = 2,
    /// An open connection.
    WebSocket = 3,
    /// A server's socket.
    Listener = 4,
    /// An event loop.
    Loop = 5,
    /// A message prepared for many connections.
    PreparedMessage = 6,
    /// The protocol without a socket.
    ProtocolComponent = 7,
}

impl Kind {
    /// Every kind, in the order of the numbers.
    pub const ALL: [Kind; 7] =
        [Kind::Session, Kind::Request, Kind::WebSocket, Kind::Listener, Kind::Loop, Kind::PreparedMessage, Kind::ProtocolComponent];

    /// The kind in a sentence, with its article.
    pub const fn text(self) -> &'static str {
        match self {
            Kind::Session => "a session",
            Kind::Request => "a request",
            Kind::WebSocket => "a websocket",
            Kind::Listener => "a listener",
            Kind::Loop => "a loop",
            Kind::PreparedMessage => "a prepared message",
            Kind::ProtocolComponent => "a protocol component",
        }
    }
}

/// What a handle stands for.
#[derive(Clone)]
pub enum Object {
    /// See [`Session`].
    Session(Arc<Session>),
    /// See [`client::Request`].
    ClientRequest(Arc<client::Request>),
    /// See [`server::Request`].
    ServerRequest(Arc<server::Request>),
    /// See [`Connection`].
    WebSocket(Arc<Connection>),
    /// See [`Listener`].
    Listener(Arc<Listener>),
    /// See [`ProtocolComponent`].
    ProtocolComponent(Arc<ProtocolComponent>),
}

impl Object {
    /// The kind of handle that stands for it.
    pub const fn kind(&self) -> Kind {
        match self {
            Object::Session(_) => Kind::Session,
            Object::ClientRequest(_) | Object::ServerRequest(_) => Kind::Request,
            Object::WebSocket(_) => Kind::WebSocket,
            Object::Listener(_) => Kind::Listener,
            Object::ProtocolComponent(_) => Kind::ProtocolComponent,
        }
    }

    /// The object in a sentence; it tells the two kinds of request apart, which the kind does not.
    pub const fn text(&self) -> &'static str {
        match self {
            Object::ClientRequest(_) => "a client's request",
            Object::ServerRequest(_) => "a server's request",
            other => other.kind().text(),
        }
    }

    /// Ends what the object is doing and wakes every call that waits for it.
    fn close(&self) {
        match self {
            Object::Session(_) | Object::ProtocolComponent(_) => {}
            Object::ClientRequest(request) => request.close(),
            Object::ServerRequest(request) => request.close(),
            Object::WebSocket(connection) => connection.drop_connection(),
            Object::Listener(listener) => listener.close(),
        }
    }
}

/// A callback whose parameters are known to `ffi` alone, which turns it into one and back.
pub type OpaqueCallback = unsafe extern "C" fn();

/// Whom to tell about a handle: what a child inherits when it is made.
#[derive(Clone, Copy, Default)]
pub struct Notify {
    /// The callback, if there is one.
    pub callback: Option<OpaqueCallback>,
    /// The value of the program's own pointer; it is never followed.
    pub context: usize,
}

#[derive(Default)]
struct Record {
    notify: Notify,
    last_error: Option<Error>,
    /// Most handles show none.
    shown: Option<Box<Shown>>,
}

/// Lists of headers of which the program has pointers, until the handle is closed.
#[derive(Default)]
struct Shown(Vec<Arc<Headers>>);

/// What the table holds for an open handle.
pub struct Entry {
    /// What the handle stands for.
    pub object: Object,
    /// Whose it is: a child has copies of its parent's handles, and must leave them alone.
    process: Process,
    /// Held for a copy in or out, never across a call.
    record: Mutex<Record>,
    /// A websocket's place among those of its listener, until its handle is closed.
    _seat: Option<Seat>,
}

impl Entry {
    /// The session that the handle stands for; 12018 if it stands for something else, as the next ones.
    pub fn session(&self) -> Result<&Arc<Session>> {
        if let Object::Session(session) = &self.object { Ok(session) } else { Err(wrong_kind(Kind::Session.text(), &self.object)) }
    }

    /// The client's request.
    pub fn client_request(&self) -> Result<&Arc<client::Request>> {
        if let Object::ClientRequest(request) = &self.object { Ok(request) } else { Err(wrong_kind("a client's request", &self.object)) }
    }

    /// The server's request.
    pub fn server_request(&self) -> Result<&Arc<server::Request>> {
        if let Object::ServerRequest(request) = &self.object { Ok(request) } else { Err(wrong_kind("a server's request", &self.object)) }
    }

    /// The connection.
    pub fn websocket(&self) -> Result<&Arc<Connection>> {
        if let Object::WebSocket(connection) = &self.object {
            Ok(connection)
        } else {
            Err(wrong_kind(Kind::WebSocket.text(), &self.object))
        }
    }

    /// The listener.
    pub fn listener(&self) -> Result<&Arc<Listener>> {
        if let Object::Listener(listener) = &self.object { Ok(listener) } else { Err(wrong_kind(Kind::Listener.text(), &self.object)) }
    }

    /// The protocol without a socket.
    pub fn protocol_component(&self) -> Result<&Arc<ProtocolComponent>> {
        if let Object::ProtocolComponent(component) = &self.object {
            Ok(component)
        } else {
            Err(wrong_kind(Kind::ProtocolComponent.text(), &self.object))
        }
    }

    /// Whom to tell about this handle.
    pub fn notify(&self) -> Notify {
        self.record().notify
    }

    /// Sets callback and context together.
    pub fn set_notify(&self, notify: Notify) {
        self.record().notify = notify;
    }

    /// Sets the context alone.
    pub fn set_context(&self, context: usize) {
        self.record().notify.context = context;
    }

    /// Why the last operation on this handle that failed did so.
    ///
    /// A connection that has failed as a whole keeps that reason: it explains everything after it, whoever noticed it.
    pub fn last_error(&self) -> Option<Error> {
        let failure = match &self.object {
            Object::WebSocket(connection) => connection.failure(),
            _ => None,
        };
        failure.or_else(|| self.record().last_error.clone())
    }

    /// Remembers why an operation on this handle failed.
    pub fn set_last_error(&self, error: Error) {
        // The old one is dropped after the lock, as everything here.
        let _old = self.record().last_error.replace(error);
    }

    /// Keeps a list of headers for as long as the handle is open, because the program gets pointers into it.
    pub fn keep_headers(&self, headers: &Arc<Headers>) -> Result<()> {
        let mut record = self.record();
        // A request that is handshaken again has another list; the program may still read the earlier one.
        let Shown(shown) = &mut **record.shown.get_or_insert_default();
        if !shown.iter().any(|shown| Arc::ptr_eq(shown, headers)) {
            shown.try_reserve(1).map_err(|_| Error::new(Status::NotEnoughMemory, "no memory to keep the headers"))?;
            shown.push(Arc::clone(headers));
        }
        Ok(())
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static TABLE: Table<Arc<Entry>> = Table::new();

/// Gives an object a handle.
pub fn insert(object: Object, notify: Notify) -> Result<Ticket> {
    insert_seated(object, notify, None)
}

/// The same, for a websocket that is counted by its listener.
pub fn insert_seated(object: Object, notify: Notify, seat: Option<Seat>) -> Result<Ticket> {
    let kind = object.kind() as u8;
    let record = Mutex::new(Record { notify, ..Record::default() });
    TABLE.insert(kind, Arc::new(Entry { object, process: Process::current(), record, _seat: seat }))
}

/// What an open handle of any kind stands for; 6 if it is stale, closed, invented or zero, 13005 if it is the parent's.
#[inline]
pub fn find(ticket: Ticket) -> Result<Arc<Entry>> {
    match TABLE.get(ticket) {
        Some(entry) if entry.process == Process::current() => Ok(entry),
        Some(_) => Err(forked()),
        None => Err(not_open(ticket)),
    }
}

/// What an open handle of this kind stands for; 6 as [`find`], 12018 if it is open and of another kind.
#[inline]
pub fn find_kind(ticket: Ticket, kind: Kind) -> Result<Arc<Entry>> {
    let entry = find(ticket)?;
    // The ticket was found, so its kind is the one the table gave it.
    if ticket.kind() == kind as u64 { Ok(entry) } else { Err(wrong_kind(kind.text(), &entry.object)) }
}

/// Closes a handle: its ticket is stale at once, and every call that waits on its object ends with 12017.
pub fn close(ticket: Ticket) -> Result<()> {
    let entry = TABLE.remove(ticket).ok_or_else(|| not_open(ticket))?;
    // In a child only the copy of the descriptor goes: to end the connection would end the parent's.
    if entry.process == Process::current() {
        let is_websocket = matches!(entry.object, Object::WebSocket(_));
        entry.object.close();
        // First, so that the caretaker finds nothing left to look after, and ends with the last connection.
        drop(entry);
        if is_websocket {
            caretaker::let_go();
        }
    }
    Ok(())
}

/// How many handles are open.
pub fn live_count() -> usize {
    TABLE.live_count()
}

#[cold]
fn forked() -> Error {
    Error::new(Status::Forked, "the handle was made before fork() and belongs to the parent process")
}

#[cold]
fn not_open(ticket: Ticket) -> Error {
    match ticket.number() {
        0 => Error::new(Status::InvalidHandle, "the handle is 0 (none)"),
        number => Error::new(Status::InvalidHandle, format!("the handle {number:#x} is not open")),
    }
}

#[cold]
fn wrong_kind(wanted: &str, found: &Object) -> Error {
    Error::new(Status::IncorrectHandleType, format!("{wanted} is needed, the handle is {}", found.text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Object {
        Object::Session(Session::open(None, false))
    }

    #[test]
    fn an_entry_takes_no_more_than_80_bytes() {
        // Every idle connection owns one. On 32-bit machines it is smaller.
        assert!(size_of::<Entry>() <= 80, "{}", size_of::<Entry>());
    }

    #[test]
    fn an_open_handle_of_another_kind_is_12018_and_a_closed_one_6() {
        let ticket = insert(session(), Notify::default()).unwrap();
        assert!(find_kind(ticket, Kind::Session).is_ok());
        let wrong = find_kind(ticket, Kind::WebSocket).err().unwrap();
        assert_eq!(wrong.status(), Status::IncorrectHandleType);
        assert_eq!(wrong.to_string(), "a websocket is needed, the handle is a session");
        // The right slot under a forged kind is an invented handle.
        let forged = Ticket::from_number(ticket.number() ^ 1 << 48 ^ 3 << 48);
        assert_eq!(find_kind(forged, Kind::WebSocket).err().unwrap().status(), Status::InvalidHandle);
        close(ticket).unwrap();
        assert_eq!(find_kind(ticket, Kind::WebSocket).err().unwrap().status(), Status::InvalidHandle);
        assert_eq!(close(ticket).unwrap_err().status(), Status::InvalidHandle);
        assert_eq!(find(Ticket::from_number(0)).err().unwrap().to_string(), "the handle is 0 (none)");
    }

    #[test]
    fn a_call_keeps_what_it_found_when_the_handle_is_closed() {
        let ticket = insert(session(), Notify { callback: None, context: 5 }).unwrap();
        let entry = find(ticket).unwrap();
        close(ticket).unwrap();
        assert_eq!(entry.notify().context, 5);
        assert_eq!(Arc::strong_count(&entry), 1);
    }

    #[test]
    fn the_last_error_stays_until_the_next_one() {
        let ticket = insert(session(), Notify::default()).unwrap();
        let entry = find(ticket).unwrap();
        assert!(entry.last_error().is_none());
        entry.set_last_error(Error::new(Status::Timeout, "first"));
        entry.set_last_error(Error::new(Status::Timeout, "second"));
        assert_eq!(entry.last_error().unwrap().to_string(), "second");
        close(ticket).unwrap();
    }

    #[test]
    fn headers_that_were_shown_are_kept_once() {
        let ticket = insert(session(), Notify::default()).unwrap();
        let entry = find(ticket).unwrap();
        let headers = Arc::new(Headers::default());
        entry.keep_headers(&headers).unwrap();
        entry.keep_headers(&headers).unwrap();
        assert_eq!(Arc::strong_count(&headers), 2);
        close(ticket).unwrap();
        drop(entry);
        assert_eq!(Arc::strong_count(&headers), 1);
    }
}
