//! Handles: what a ticket of the C API stands for.
//!
//! In scope: the table of open handles, the kinds, and what each handle carries besides its object: the callback, the context,
//! and why its last operation failed. Out of scope: what the objects do (their own rooms), and C types (`ffi`).
//!
//! A handle keeps its object alive, and so does every call that found it: closing a handle while another thread is inside a call
//! on it frees nothing that is in use. Only the ticket is gone at once.

use std::collections::BTreeMap;
use std::fmt;
use std::ptr;
use std::sync::Arc;

use crate::client;
use crate::component::ProtocolComponent;
use crate::connection::{Connection, Prepared};
use crate::driver::caretaker;
use crate::driver::event_loop::{Address, EventKind, OwnedEvent, Recipient, Shared, Socket};
pub use crate::driver::event_loop::{Notify, OpaqueCallback};
use crate::error::{Error, Result, Status};
use crate::http::Headers;
use crate::server;
use crate::server::{Listener, Seat};
use crate::session::Session;
use crate::sync::Mutex;

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
    /// The same, driven by a loop.
    LoopSocket(Arc<Socket>),
    /// See [`Listener`].
    Listener(Arc<Listener>),
    /// See [`Shared`].
    Loop(Arc<Shared>),
    /// See [`Prepared`].
    PreparedMessage(Arc<Prepared>),
    /// See [`ProtocolComponent`].
    ProtocolComponent(Arc<ProtocolComponent>),
}

impl Object {
    /// The kind of handle that stands for it.
    pub const fn kind(&self) -> Kind {
        match self {
            Object::Session(_) => Kind::Session,
            Object::ClientRequest(_) | Object::ServerRequest(_) => Kind::Request,
            Object::WebSocket(_) | Object::LoopSocket(_) => Kind::WebSocket,
            Object::Listener(_) => Kind::Listener,
            Object::Loop(_) => Kind::Loop,
            Object::PreparedMessage(_) => Kind::PreparedMessage,
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
            Object::LoopSocket(socket) => socket.detach(),
            Object::Listener(listener) => listener.close(),
            Object::Loop(of) => of.close(),
            Object::PreparedMessage(_) => {}
        }
    }

    /// The open connection, whoever drives it.
    pub fn connection(&self) -> Option<&Connection> {
        match self {
            Object::WebSocket(connection) => Some(connection),
            Object::LoopSocket(socket) => Some(socket),
            _ => None,
        }
    }

    /// Whether it belongs to an asynchronous session.
    pub fn is_async(&self) -> bool {
        match self {
            Object::Session(session) => session.loops().is_some(),
            Object::ClientRequest(request) => request.is_async(),
            Object::ServerRequest(request) => request.is_async(),
            Object::Listener(listener) => listener.is_async(),
            Object::LoopSocket(_) => true,
            Object::WebSocket(_) | Object::Loop(_) | Object::PreparedMessage(_) | Object::ProtocolComponent(_) => false,
        }
    }

    /// The loop that tells of the end of the handle; a websocket's tells by itself.
    fn teller(&self, has_listener: bool) -> Option<Arc<Shared>> {
        match self {
            Object::Session(session) => session.loops()?.last(has_listener),
            Object::ClientRequest(request) => request.last_loop(has_listener),
            Object::ServerRequest(request) => request.last_loop(has_listener),
            Object::Listener(listener) => listener.existing_loop(),
            _ => None,
        }
    }
}

/// What a handle remembers. Most have nothing to remember, and no room for it: it is kept aside, by the address of the entry.
#[derive(Default)]
struct Record {
    last_error: Option<Error>,
    shown: Shown,
}

/// Held for a copy in or out, never across a call.
static RECORDS: Mutex<BTreeMap<usize, Record>> = Mutex::new(BTreeMap::new());

/// Lists of headers of which the program has pointers, until the handle is closed.
#[derive(Default)]
struct Shown(Vec<Arc<Headers>>);

/// What the table holds for an open handle.
pub struct Entry {
    /// What the handle stands for.
    pub object: Object,
    /// Whom to tell, and whose it is: a child has copies of its parent's handles, and must leave them alone. Written under the lock of the records.
    address: Address,
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
    #[inline]
    pub fn websocket(&self) -> Result<&Connection> {
        self.object.connection().ok_or_else(|| wrong_kind(Kind::WebSocket.text(), &self.object))
    }

    /// The loop.
    pub fn event_loop(&self) -> Result<&Arc<Shared>> {
        if let Object::Loop(of) = &self.object { Ok(of) } else { Err(wrong_kind(Kind::Loop.text(), &self.object)) }
    }

    /// The prepared message.
    pub fn prepared(&self) -> Result<&Arc<Prepared>> {
        if let Object::PreparedMessage(message) = &self.object {
            Ok(message)
        } else {
            Err(wrong_kind(Kind::PreparedMessage.text(), &self.object))
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
        self.address.notify()
    }

    /// Sets callback and context together.
    pub fn set_notify(&self, notify: Notify) {
        let _one_at_a_time = RECORDS.lock();
        self.address.set_notify(notify);
    }

    /// Sets the context alone.
    pub fn set_context(&self, context: usize) {
        let _one_at_a_time = RECORDS.lock();
        self.address.set_notify(Notify { context, ..self.address.notify() });
    }

    /// Why the last operation on this handle that failed did so.
    ///
    /// A connection that has failed as a whole keeps that reason: it explains everything after it, whoever noticed it.
    pub fn last_error(&self) -> Option<Error> {
        let failure = match &self.object {
            Object::ProtocolComponent(component) => component.failure(),
            other => other.connection().and_then(Connection::failure),
        };
        failure.or_else(|| RECORDS.lock().get(&self.place())?.last_error.clone())
    }

    /// Remembers why an operation on this handle failed.
    pub fn set_last_error(&self, error: Error) {
        // The old one is dropped after the lock, as everything here.
        let _old = RECORDS.lock().entry(self.place()).or_default().last_error.replace(error);
    }

    /// Keeps a list of headers for as long as the handle is open, because the program gets pointers into it.
    pub fn keep_headers(&self, headers: &Arc<Headers>) -> Result<()> {
        let mut records = RECORDS.lock();
        let record = records.entry(self.place()).or_default();
        // A request that is handshaken again has another list; the program may still read the earlier one.
        let Shown(shown) = &mut record.shown;
        if !shown.iter().any(|shown| Arc::ptr_eq(shown, headers)) {
            shown.try_reserve(1).map_err(|_| Error::new(Status::NotEnoughMemory, "no memory to keep the headers"))?;
            shown.push(Arc::clone(headers));
        }
        Ok(())
    }

    /// Its number.
    pub fn ticket(&self) -> u64 {
        self.address.ticket()
    }

    /// Itself, for whoever tells of it.
    pub fn recipient(self: &Arc<Self>) -> Arc<dyn Recipient> {
        Arc::clone(self) as Arc<dyn Recipient>
    }

    /// Where it is: nothing else is there as long as it lives.
    fn place(&self) -> usize {
        ptr::from_ref(self).addr()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let _forgotten = RECORDS.lock().remove(&self.place());
    }
}

impl Recipient for Entry {
    fn socket(&self) -> Option<&Arc<Socket>> {
        if let Object::LoopSocket(socket) = &self.object { Some(socket) } else { None }
    }

    fn address(&self) -> &Address {
        &self.address
    }

    fn remember(&self, error: &Error) {
        self.set_last_error(error.clone());
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:#x}", self.object.text(), self.address.ticket())
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
    let entry = Arc::new(Entry { object, address: Address::here(), _seat: seat });
    entry.set_notify(notify);
    let ticket = TABLE.insert(kind, Arc::clone(&entry))?;
    entry.address.set_ticket(ticket.number());
    match &entry.object {
        // From here on the loop may tell of it.
        Object::LoopSocket(socket) => socket.shared().attach(Arc::clone(socket), entry.clone()),
        Object::Loop(of) => of.set_recipient(entry.clone()),
        _ => {}
    }
    Ok(ticket)
}

/// Gives a client's websocket its handle, for the loop.
pub fn adopt_socket(parent: &dyn Recipient, child: &Arc<Socket>) -> Result<u64> {
    Ok(insert(Object::LoopSocket(Arc::clone(child)), parent.address().notify())?.number())
}

/// The same for a server's.
pub fn adopt_seated(parent: &dyn Recipient, request: &server::Request, child: &Arc<Socket>) -> Result<u64> {
    Ok(insert_seated(Object::LoopSocket(Arc::clone(child)), parent.address().notify(), request.take_along_seat())?.number())
}

/// The same for a request.
pub fn adopt_request(parent: &dyn Recipient, child: Arc<server::Request>) -> Result<u64> {
    Ok(insert(Object::ServerRequest(child), parent.address().notify())?.number())
}

/// What an open handle of any kind stands for; 6 if it is stale, closed, invented or zero, 13005 if it is the parent's.
#[inline]
pub fn find(ticket: Ticket) -> Result<Arc<Entry>> {
    match TABLE.get(ticket) {
        Some(entry) if entry.address.is_here() => Ok(entry),
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
    if entry.address.is_here() {
        let is_websocket = matches!(entry.object, Object::WebSocket(_));
        entry.object.close();
        if let Some(teller) = entry.object.teller(entry.notify().callback.is_some()) {
            teller.tell(entry.clone(), OwnedEvent::of(EventKind::HandleClosed));
        }
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
    fn an_entry_takes_no_more_than_96_bytes() {
        // Every idle connection owns one. On 32-bit machines it is smaller.
        assert!(size_of::<Entry>() <= 96, "{}", size_of::<Entry>());
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
