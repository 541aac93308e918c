//! Everything a program can choose, with its default.
//!
//! In scope: the values, their defaults and their bounds. Out of scope: the numbers and lengths of the C API (that is
//! `ffi/options`), and what is only known later, such as the chosen sub-protocol (that belongs to the handle it is about).
//!
//! A session owns a set; a request, listener or websocket gets a copy when it is made and never sees later changes to its parent's.

mod tls;

use std::sync::Arc;
use std::time::Duration;

pub use tls::TlsOptions;

/// The options of one handle. Cheap to hand to children: they share it behind an [`Arc`] until somebody changes it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The whole name lookup; `None` waits without limit, as for every timeout here.
    pub resolve_timeout: Option<Duration>,
    /// One attempt to connect.
    pub connect_timeout: Option<Duration>,
    /// The whole handshake, from the first byte to the response head.
    pub handshake_timeout: Option<Duration>,
    /// One call of receive.
    pub receive_timeout: Option<Duration>,
    /// One call of send.
    pub send_timeout: Option<Duration>,
    /// The whole closing handshake.
    pub close_timeout: Option<Duration>,
    /// How long a silent connection waits before it sends a ping; `None` = never.
    pub keepalive_interval: Option<Duration>,
    /// How long the peer may take to answer that ping; `None` = it is never given up.
    pub keepalive_timeout: Option<Duration>,
    /// Bytes read ahead from the network at a time.
    pub receive_buffer_size: u32,
    /// Bytes gathered for one write.
    pub send_buffer_size: u32,
    /// The largest HTTP head that is accepted, in bytes.
    pub max_head_size: u32,
    /// The most header fields that are accepted.
    pub max_headers: u32,
    /// The largest message, in bytes. Whole-message delivery falls back to [`Options::DEFAULT_MAX_MESSAGE`]; pieces are bounded only if set.
    pub max_message: Option<u64>,
    /// The most fragments one message may have.
    pub max_fragments: u32,
    /// The most bytes that may wait to be sent.
    pub send_queue_limit: u64,
    /// The most connections a listener holds at once; 0 = no limit.
    pub max_connections: u32,
    /// The most handshakes a listener has under way at once; 0 = no limit.
    pub max_handshakes: u32,
    /// The program answers the peer's close frame itself.
    pub manual_close: bool,
    /// TCP_NODELAY.
    pub nodelay: bool,
    /// Outgoing text is checked for UTF-8.
    pub check_sent_text: bool,
    /// A signal ends a wait.
    pub interruptible: bool,
    /// Pings and pongs are events (event-driven only).
    pub ping_events: bool,
    /// Whole messages are events, and no receive is posted (event-driven only).
    pub whole_messages: bool,
    /// Sub-protocols, in order of preference: offered by a client, supported by a server.
    pub subprotocols: Vec<String>,
    /// Origins that a server accepts besides its own; `*` = any.
    pub origins: Vec<String>,
    /// The `User-Agent` of a client, the `Server` of a listener.
    pub user_agent: Option<String>,
    /// What TLS is to do.
    pub tls: Arc<TlsOptions>,
    /// The name that a server's certificate must have; `None` = the URL's.
    pub tls_server_name: Option<String>,
}

impl Options {
    /// What bounds a whole message when nothing was set.
    pub const DEFAULT_MAX_MESSAGE: u64 = 16 << 20;
    /// The shortest keep-alive interval.
    pub const MIN_KEEPALIVE_INTERVAL: Duration = Duration::from_millis(100);
}

impl Default for Options {
    fn default() -> Options {
        Options {
            resolve_timeout: Some(Duration::from_secs(10)),
            connect_timeout: Some(Duration::from_secs(30)),
            handshake_timeout: Some(Duration::from_secs(30)),
            receive_timeout: None,
            send_timeout: None,
            close_timeout: Some(Duration::from_secs(10)),
            keepalive_interval: Some(Duration::from_secs(30)),
            keepalive_timeout: Some(Duration::from_secs(20)),
            receive_buffer_size: 32 << 10,
            send_buffer_size: 32 << 10,
            max_head_size: 64 << 10,
            max_headers: 128,
            max_message: None,
            max_fragments: 131_072,
            send_queue_limit: 16 << 20,
            max_connections: 0,
            max_handshakes: 0,
            manual_close: false,
            nodelay: true,
            check_sent_text: true,
            interruptible: false,
            ping_events: false,
            whole_messages: false,
            subprotocols: Vec::new(),
            origins: Vec::new(),
            user_agent: None,
            tls: Arc::default(),
            tls_server_name: None,
        }
    }
}

/// A set of options that several handles share until one of them changes its own.
pub type SharedOptions = Arc<Options>;
