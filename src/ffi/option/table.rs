//! What each option is: its value, who has it, its range, and where it is kept.
//!
//! One row an option; `ws_set_option` and `ws_query_option` are driven by it. What is kept in [`Options`] is named by a function
//! that finds the field; what only a living object knows is named by a function that asks it.

use std::sync::Arc;
use std::time::Duration;

use super::numbers::ws_option_numbers as number;
use super::numbers::ws_option_numbers::*;
use super::way;
use crate::driver::event_loop::Socket;
use crate::error::Result;
use crate::handle::Object;
use crate::options::{Options, TlsOptions};
use crate::protocol::deflate;
use crate::transport::tls::{check_certificates, check_key, is_pin};

/// Who may set or query an option: a set of handles.
pub(super) type Owners = u16;

pub(super) const SESSION: Owners = 1;
pub(super) const CLIENT_REQUEST: Owners = 2;
pub(super) const SERVER_REQUEST: Owners = 4;
pub(super) const WEBSOCKET: Owners = 8;
pub(super) const LISTENER: Owners = 16;
/// What has a kind and a context, and nothing else.
pub(super) const OTHER: Owners = 32;
pub(super) const COMPONENT: Owners = 64;
pub(super) const REQUEST: Owners = CLIENT_REQUEST | SERVER_REQUEST;
pub(super) const ALL: Owners = SESSION | REQUEST | WEBSOCKET | LISTENER;
/// What matters to the protocol itself, with a socket or without one.
const CORE: Owners = ALL | COMPONENT;
/// What matters until a connection is open.
const OPENING: Owners = SESSION | REQUEST | LISTENER;
const CLIENT: Owners = SESSION | CLIENT_REQUEST;
const SERVER: Owners = SESSION | LISTENER;
/// The same as OPENING, with a socket or without one.
const OPENING_CORE: Owners = OPENING | COMPONENT;
const TLS_OWN: Owners = CLIENT | LISTENER;

/// The value of an option, and where it is kept.
pub(super) enum Value {
    /// u32 in milliseconds, 0 = none; else at least so many.
    Timeout(fn(&mut Options) -> &mut Option<Duration>, u32),
    /// u32 from, to.
    Number(fn(&mut Options) -> &mut u32, u32, u32),
    /// u64, not 0.
    Wide(fn(&mut Options) -> &mut u64),
    /// u64, not 0; `None` in the options is the default given here.
    OptionalWide(fn(&mut Options) -> &mut Option<u64>, u64),
    /// u32, 0 or 1.
    Switch(fn(&mut Options) -> &mut bool),
    /// A text that may be missing, which is the empty one; and what it must be.
    OptionalText(fn(&mut Options) -> &mut Option<String>, fn(&str) -> bool),
    /// PEM, or the path of a file that has it; and what looks whether it is of use. Empty = none.
    Pem(fn(&mut Options) -> &mut Option<Arc<[u8]>>, fn(&[u8]) -> Result<()>),
    /// u32, 0 or 1; only where there are events, and a websocket is told of it.
    EventSwitch(fn(&mut Options) -> &mut bool, fn(&Arc<Socket>, bool) -> Result<()>),
    /// The loop of an asynchronous session.
    Loop,
    /// How many threads it may have.
    Threads,
    /// A list as a text, and what each element must be.
    List(fn(&mut Options) -> &mut Vec<String>, fn(&str) -> bool),
    /// A text that is read when it is set, and written when it is asked for.
    Spelled(fn(&mut Options, &str) -> Result<()>, fn(&Options) -> String),
    /// The program's own pointer.
    Context,
    /// A text that the object knows.
    Text(fn(&Object) -> Result<String>),
    /// Bytes that the object knows.
    KnownBytes(fn(&Object) -> Result<Vec<u8>>),
    /// A u32 that the object knows.
    Known(fn(&Object) -> Result<u32>),
    /// A u64 that the object knows.
    KnownWide(fn(&Object) -> Result<u64>),
    /// `ws_statistics`.
    Statistics,
    /// `ws_compression`; of a websocket, what was agreed on.
    Compression,
    /// A u32 that needs no object.
    Features,
}

/// One option.
pub(super) struct Row {
    pub number: number,
    pub value: Value,
    /// Who may set it; nobody = it can only be queried.
    pub set: Owners,
    pub query: Owners,
}

const fn kept(number: number, owners: Owners, value: Value) -> Row {
    Row { number, value, set: owners, query: owners }
}

const fn known(number: number, owners: Owners, value: Value) -> Row {
    Row { number, value, set: 0, query: owners }
}

const BUFFER_SIZES: (u32, u32) = (1 << 10, 16 << 20);

/// Every option, in the order of the numbers.
pub(super) static TABLE: &[Row] = &[
    kept(WS_OPTION_CONNECT_TIMEOUT, CLIENT, Value::Timeout(|options| &mut options.connect_timeout, 1)),
    kept(WS_OPTION_RECEIVE_TIMEOUT, ALL, Value::Timeout(|options| &mut options.receive_timeout, 1)),
    known(WS_OPTION_URL, REQUEST | WEBSOCKET | LISTENER | COMPONENT, Value::Text(known::url)),
    kept(WS_OPTION_CONTEXT, CORE | OTHER, Value::Context),
    kept(WS_OPTION_MAX_HEAD_SIZE, OPENING_CORE, Value::Number(|options| &mut options.max_head_size, 256, 16 << 20)),
    kept(WS_OPTION_CLOSE_TIMEOUT, CORE, Value::Timeout(|options| &mut options.close_timeout, 1)),
    kept(WS_OPTION_KEEPALIVE_INTERVAL, CORE, Value::Timeout(|options| &mut options.keepalive_interval, SHORTEST_KEEPALIVE_MS)),
    kept(
        WS_OPTION_RECEIVE_BUFFER_SIZE,
        OPENING_CORE,
        Value::Number(|options| &mut options.receive_buffer_size, BUFFER_SIZES.0, BUFFER_SIZES.1),
    ),
    kept(WS_OPTION_SEND_BUFFER_SIZE, OPENING_CORE, Value::Number(|options| &mut options.send_buffer_size, BUFFER_SIZES.0, BUFFER_SIZES.1)),
    kept(WS_OPTION_HANDSHAKE_TIMEOUT, OPENING_CORE, Value::Timeout(|options| &mut options.handshake_timeout, 1)),
    kept(WS_OPTION_SEND_TIMEOUT, ALL, Value::Timeout(|options| &mut options.send_timeout, 1)),
    kept(WS_OPTION_KEEPALIVE_TIMEOUT, CORE, Value::Timeout(|options| &mut options.keepalive_timeout, 1)),
    kept(WS_OPTION_RESOLVE_TIMEOUT, CLIENT, Value::Timeout(|options| &mut options.resolve_timeout, 1)),
    kept(WS_OPTION_MAX_MESSAGE, CORE, Value::OptionalWide(|options| &mut options.max_message, Options::DEFAULT_MAX_MESSAGE)),
    kept(WS_OPTION_MAX_FRAGMENTS, CORE, Value::Number(|options| &mut options.max_fragments, 1, u32::MAX)),
    kept(WS_OPTION_MAX_HEADERS, OPENING_CORE, Value::Number(|options| &mut options.max_headers, 16, 65_536)),
    kept(WS_OPTION_SEND_QUEUE_LIMIT, ALL, Value::Wide(|options| &mut options.send_queue_limit)),
    known(WS_OPTION_BUFFERED_AMOUNT, WEBSOCKET, Value::KnownWide(known::buffered_amount)),
    kept(WS_OPTION_MAX_CONNECTIONS, SERVER, Value::Number(|options| &mut options.max_connections, 0, u32::MAX)),
    kept(WS_OPTION_MAX_HANDSHAKES, SERVER, Value::Number(|options| &mut options.max_handshakes, 0, u32::MAX)),
    kept(WS_OPTION_MANUAL_CLOSE, CORE, Value::Switch(|options| &mut options.manual_close)),
    kept(WS_OPTION_NODELAY, ALL, Value::Switch(|options| &mut options.nodelay)),
    kept(WS_OPTION_CHECK_SENT_TEXT, CORE, Value::Switch(|options| &mut options.check_sent_text)),
    kept(WS_OPTION_INTERRUPTIBLE, ALL, Value::Switch(|options| &mut options.interruptible)),
    kept(WS_OPTION_SUBPROTOCOLS, OPENING_CORE, Value::List(|options| &mut options.subprotocols, is_token)),
    known(WS_OPTION_SUBPROTOCOL, REQUEST | WEBSOCKET | COMPONENT, Value::Text(known::subprotocol)),
    known(WS_OPTION_EXTENSIONS, WEBSOCKET | COMPONENT, Value::Text(known::extensions)),
    kept(WS_OPTION_ORIGINS, SERVER | SERVER_REQUEST | COMPONENT, Value::List(|options| &mut options.origins, is_visible)),
    known(WS_OPTION_IS_WEBSOCKET, SERVER_REQUEST | COMPONENT, Value::Known(known::is_websocket)),
    known(WS_OPTION_METHOD, SERVER_REQUEST | COMPONENT, Value::Text(known::method)),
    known(WS_OPTION_TARGET, SERVER_REQUEST | COMPONENT, Value::Text(known::target)),
    known(WS_OPTION_LOCAL_ADDRESS, REQUEST | WEBSOCKET | LISTENER, Value::Text(known::local_address)),
    known(WS_OPTION_REMOTE_ADDRESS, REQUEST | WEBSOCKET, Value::Text(known::remote_address)),
    known(WS_OPTION_CLOSE_STATE, WEBSOCKET | COMPONENT, Value::Known(known::close_state)),
    known(WS_OPTION_HANDLE_KIND, CORE | OTHER, Value::Known(known::handle_kind)),
    known(WS_OPTION_FEATURES, CORE | OTHER, Value::Features),
    known(WS_OPTION_STATISTICS, WEBSOCKET | COMPONENT, Value::Statistics),
    known(WS_OPTION_REQUEST_HEAD, CLIENT_REQUEST, Value::Text(known::request_head)),
    known(WS_OPTION_REASON_PHRASE, CLIENT_REQUEST, Value::Text(known::reason_phrase)),
    kept(WS_OPTION_LOOP, SESSION, Value::Loop),
    kept(WS_OPTION_IO_THREADS, SESSION, Value::Threads),
    kept(WS_OPTION_PING_EVENTS, ALL, Value::EventSwitch(|options| &mut options.ping_events, |_, _| Ok(()))),
    kept(WS_OPTION_WHOLE_MESSAGES, ALL, Value::EventSwitch(|options| &mut options.whole_messages, Socket::set_whole)),
    Row { number: WS_OPTION_COMPRESSION, value: Value::Compression, set: OPENING_CORE, query: CORE },
    kept(WS_OPTION_PROXY, CLIENT, Value::Spelled(way::set_proxy, way::proxy)),
    kept(WS_OPTION_PROXY_ENVIRONMENT, CLIENT, Value::Switch(|options| &mut options.proxy_environment)),
    kept(WS_OPTION_REDIRECTS, CLIENT, Value::Number(|options| &mut options.redirects, 0, 100)),
    kept(WS_OPTION_BIND_ADDRESS, CLIENT, Value::Spelled(way::set_own_address, way::own_address)),
    kept(WS_OPTION_TLS_CA, CLIENT, Value::Pem(|options| &mut tls(options).ca, check_certificates)),
    kept(WS_OPTION_TLS_CERTIFICATE, TLS_OWN, Value::Pem(|options| &mut tls(options).certificate, check_certificates)),
    Row { number: WS_OPTION_TLS_KEY, value: Value::Pem(|options| &mut tls(options).key, check_key), set: TLS_OWN, query: 0 },
    kept(WS_OPTION_TLS_SERVER_NAME, CLIENT, Value::OptionalText(|options| &mut options.tls_server_name, is_visible)),
    kept(WS_OPTION_TLS_PINS, CLIENT, Value::List(|options| &mut tls(options).pins, is_pin)),
    kept(WS_OPTION_TLS_DANGER, CLIENT, Value::Number(|options| &mut tls(options).danger, 0, 7)),
    kept(WS_OPTION_TLS_MIN_VERSION, TLS_OWN, Value::Number(|options| &mut tls(options).min_version, 12, 13)),
    kept(WS_OPTION_TLS_CLIENT_CA, SERVER, Value::Pem(|options| &mut tls(options).client_ca, check_certificates)),
    known(WS_OPTION_TLS_PEER_CERTIFICATE, REQUEST | WEBSOCKET, Value::KnownBytes(known::peer_certificate)),
    known(WS_OPTION_TLS_VERSION, REQUEST | WEBSOCKET, Value::Text(known::tls_version)),
    known(WS_OPTION_TLS_CIPHER, REQUEST | WEBSOCKET, Value::Text(known::tls_cipher)),
    kept(WS_OPTION_TLS_KEY_LOG, TLS_OWN, Value::Switch(|options| &mut tls(options).key_log)),
];

const SHORTEST_KEEPALIVE_MS: u32 = Options::MIN_KEEPALIVE_INTERVAL.as_millis() as u32;

/// What this build can do.
pub(super) const FEATURES: u32 =
    if cfg!(feature = "tls") { 1 } else { 0 } | if deflate::IS_BUILT { 2 } else { 0 } | if cfg!(feature = "server") { 4 } else { 0 };

/// The options of TLS are shared until one of them is changed.
fn tls(options: &mut Options) -> &mut TlsOptions {
    Arc::make_mut(&mut options.tls)
}

impl Row {
    /// Whether it is there in builds with TLS only.
    pub(super) fn needs_tls(&self) -> bool {
        (WS_OPTION_TLS_CA as i32..=WS_OPTION_TLS_KEY_LOG as i32).contains(&(self.number as i32))
    }
}

/// RFC 9110 §5.6.2: what a sub-protocol must be (RFC 6455 §4.1).
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Finds an option by its number.
pub(super) fn find(number: i32) -> Option<&'static Row> {
    TABLE.binary_search_by_key(&number, |row| row.number as i32).ok().map(|index| &TABLE[index])
}

/// Which handle this is, among the owners.
pub(super) fn owner(object: &Object) -> Owners {
    match object {
        Object::Session(_) => SESSION,
        Object::ClientRequest(_) => CLIENT_REQUEST,
        Object::ServerRequest(_) => SERVER_REQUEST,
        Object::WebSocket(_) | Object::LoopSocket(_) => WEBSOCKET,
        Object::Listener(_) => LISTENER,
        Object::Loop(_) | Object::PreparedMessage(_) => OTHER,
        Object::ProtocolComponent(_) => COMPONENT,
    }
}

/// What only the object knows. A row's owners keep every other object out.
mod known {
    use crate::error::{Error, Result, Status};
    use crate::handle::Object;
    use crate::transport::tls::Security;

    fn nobody<T>() -> Result<T> {
        Err(Error::new(Status::IncorrectHandleType, "this handle has no such option"))
    }

    pub fn url(object: &Object) -> Result<String> {
        match object {
            Object::ClientRequest(request) => Ok(request.url()),
            Object::ServerRequest(request) => request.url(),
            Object::Listener(listener) => Ok(listener.url()),
            Object::ProtocolComponent(component) => component.with(|component| Ok(component.agreed().url.clone())),
            other => other.connection().map_or_else(nobody, |connection| Ok(connection.agreed().url.clone())),
        }
    }

    pub fn subprotocol(object: &Object) -> Result<String> {
        match object {
            Object::ClientRequest(request) => Ok(request.subprotocol()?.unwrap_or_default()),
            Object::ServerRequest(request) => Ok(request.subprotocol()?.unwrap_or_default()),
            Object::ProtocolComponent(component) => {
                component.with(|component| Ok(component.agreed().subprotocol.clone().unwrap_or_default()))
            }
            other => other.connection().map_or_else(nobody, |connection| Ok(connection.agreed().subprotocol.clone().unwrap_or_default())),
        }
    }

    pub fn extensions(object: &Object) -> Result<String> {
        match object {
            Object::ProtocolComponent(component) => component.with(|component| Ok(component.agreed().extensions.clone())),
            _ => object.connection().map_or_else(nobody, |connection| Ok(connection.agreed().extensions.clone())),
        }
    }

    pub fn is_websocket(object: &Object) -> Result<u32> {
        match object {
            Object::ServerRequest(request) => request.is_websocket().map(u32::from),
            Object::ProtocolComponent(component) => component.with(|component| Ok(u32::from(component.peer_head()?.is_websocket))),
            _ => nobody(),
        }
    }

    pub fn method(object: &Object) -> Result<String> {
        match object {
            Object::ServerRequest(request) => request.method(),
            Object::ProtocolComponent(component) => component.with(|component| Ok(component.peer_head()?.method.clone())),
            _ => nobody(),
        }
    }

    pub fn target(object: &Object) -> Result<String> {
        match object {
            Object::ServerRequest(request) => request.target(),
            Object::ProtocolComponent(component) => component.with(|component| Ok(component.peer_head()?.target.clone())),
            _ => nobody(),
        }
    }

    pub fn local_address(object: &Object) -> Result<String> {
        match object {
            Object::ClientRequest(request) => request.local_address(),
            Object::ServerRequest(request) => request.local_address(),
            Object::Listener(listener) => listener.local_address(),
            other => other.connection().map_or_else(nobody, |connection| connection.local_address()),
        }
    }

    pub fn remote_address(object: &Object) -> Result<String> {
        match object {
            Object::ClientRequest(request) => request.remote_address(),
            Object::ServerRequest(request) => request.remote_address(),
            other => other.connection().map_or_else(nobody, |connection| connection.remote_address()),
        }
    }

    pub fn request_head(object: &Object) -> Result<String> {
        if let Object::ClientRequest(request) = object { request.request_head() } else { nobody() }
    }

    pub fn reason_phrase(object: &Object) -> Result<String> {
        if let Object::ClientRequest(request) = object { request.reason() } else { nobody() }
    }

    /// Of a connection that is not secured, nothing.
    fn security(object: &Object) -> Result<Security> {
        let security = match object {
            Object::ClientRequest(request) => request.security()?,
            Object::ServerRequest(request) => request.security()?,
            _ => object.connection().map_or_else(nobody, |connection| Ok(connection.stream().security()))?,
        };
        Ok(security.unwrap_or_default())
    }

    pub fn peer_certificate(object: &Object) -> Result<Vec<u8>> {
        Ok(security(object)?.certificate)
    }

    pub fn tls_version(object: &Object) -> Result<String> {
        Ok(security(object)?.version)
    }

    pub fn tls_cipher(object: &Object) -> Result<String> {
        Ok(security(object)?.cipher)
    }

    pub fn close_state(object: &Object) -> Result<u32> {
        match object {
            Object::ProtocolComponent(component) => component.with(|component| {
                let lifecycle = component.lifecycle();
                Ok(u32::from(lifecycle.has_sent_close()) | u32::from(lifecycle.received().is_some()) << 1)
            }),
            _ => object.connection().map_or_else(nobody, |connection| Ok(connection.close_state())),
        }
    }

    pub fn buffered_amount(object: &Object) -> Result<u64> {
        object.connection().map_or_else(nobody, |connection| Ok(connection.queued()))
    }

    pub fn handle_kind(object: &Object) -> Result<u32> {
        Ok(object.kind() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_the_header_has_its_row_in_order() {
        let lines = include_str!("numbers.rs").lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "));
        let header: Vec<i32> = lines.filter_map(|(_, number)| number.parse().ok()).collect();
        let rows: Vec<i32> = TABLE.iter().map(|row| row.number as i32).collect();
        assert_eq!(header.len(), 60);
        assert_eq!(rows, header);
        assert!(rows.is_sorted());
        assert!(rows.iter().all(|&number| find(number).is_some_and(|row| row.number as i32 == number)));
        assert!([0, 4, -1, 13092, i32::MAX].iter().all(|&number| find(number).is_none()));
    }

    #[test]
    fn the_header_says_of_exactly_what_cannot_be_set_that_it_is_only_queried() {
        let lines: Vec<&str> = include_str!("numbers.rs").lines().map(str::trim).collect();
        for row in TABLE {
            let end = format!(" = {},", row.number as i32);
            let place = lines.iter().position(|line| line.ends_with(&end)).unwrap();
            assert_eq!(lines[place - 1].contains(", query."), row.set == 0, "{:?}", row.number);
        }
    }
}
