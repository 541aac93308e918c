//! The numbers of the options, with the documentation that the header shows. What each one is checked by is in `table`.

/// Options.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ws_option_numbers {
    /// u32, ms. One attempt to connect; 0 = no limit, as for every timeout. Default 30000. Session, client's request.
    WS_OPTION_CONNECT_TIMEOUT = 3,
    /// u32, ms. One call of ws_receive. Default 0. All.
    WS_OPTION_RECEIVE_TIMEOUT = 6,
    /// Text, query. Of a listener with the real port. Request, websocket, listener, protocol component.
    WS_OPTION_URL = 34,
    /// void *. The program's own pointer, never followed. Default NULL. All, protocol component.
    WS_OPTION_CONTEXT = 45,
    /// u32, bytes, 256-16777216. The peer's HTTP head. Default 65536. Session, request, listener, protocol component.
    WS_OPTION_MAX_HEAD_SIZE = 91,
    /// u32, ms. The whole closing handshake. Default 10000. All, protocol component.
    WS_OPTION_CLOSE_TIMEOUT = 115,
    /// u32, ms, 0 = off, at least 100. Silence after which a ping is sent. Default 30000. All, protocol component.
    WS_OPTION_KEEPALIVE_INTERVAL = 116,
    /// u32, bytes, 1024-16777216. Read ahead at a time. Default 32768. Session, request, listener, protocol component.
    WS_OPTION_RECEIVE_BUFFER_SIZE = 122,
    /// u32, bytes, 1024-16777216. Masked at a time by a client that sends more; 65536 at least are used. Default 32768. Session, request, listener, protocol component.
    WS_OPTION_SEND_BUFFER_SIZE = 123,
    /// u32, ms. The whole handshake; of a server from the accept to the end of the head. Default 30000. Session, request, listener, protocol component.
    WS_OPTION_HANDSHAKE_TIMEOUT = 13000,
    /// u32, ms. One call of ws_send. Default 0. All.
    WS_OPTION_SEND_TIMEOUT = 13001,
    /// u32, ms. How long a ping may go unanswered; 0 = for ever. Default 20000. All, protocol component.
    WS_OPTION_KEEPALIVE_TIMEOUT = 13002,
    /// u32, ms. The whole name lookup. Default 10000. Session, client's request.
    WS_OPTION_RESOLVE_TIMEOUT = 13003,
    /// u64, bytes, not 0. Default 16777216 for whole messages; pieces are bounded only if it was set. All, protocol component.
    WS_OPTION_MAX_MESSAGE = 13010,
    /// u32, not 0. Frames that one message may have. Default 131072. All, protocol component.
    WS_OPTION_MAX_FRAGMENTS = 13011,
    /// u32, 16-65536. Fields of the peer's HTTP head. Default 128. Session, request, listener, protocol component.
    WS_OPTION_MAX_HEADERS = 13012,
    /// u64, bytes, not 0. What may wait to be sent. Default 16777216. All.
    WS_OPTION_SEND_QUEUE_LIMIT = 13013,
    /// u64, bytes, query. What waits to be sent: the rest of a frame whose send has ended early. Websocket.
    WS_OPTION_BUFFERED_AMOUNT = 13014,
    /// u32, 0 = no limit. Websockets of a listener whose handles are open; upgrades above that are answered 503. Default 0. Session, listener.
    WS_OPTION_MAX_CONNECTIONS = 13015,
    /// u32, 0 = no limit. Accepted requests that are not answered; ws_accept waits above that. Default 0. Session, listener.
    WS_OPTION_MAX_HANDSHAKES = 13016,
    /// u32, 0 or 1. The program answers the peer's close frame itself. Default 0. All, protocol component.
    WS_OPTION_MANUAL_CLOSE = 13020,
    /// u32, 0 or 1. TCP_NODELAY. Default 1. All.
    WS_OPTION_NODELAY = 13021,
    /// u32, 0 or 1. Check text for UTF-8 before it is sent. Default 1. All, protocol component.
    WS_OPTION_CHECK_SENT_TEXT = 13022,
    /// u32, 0 or 1. A signal ends a wait with WS_ERROR_INTERRUPTED. Default 0. All.
    WS_OPTION_INTERRUPTIBLE = 13023,
    /// Text, "a, b": offered by a client; known to a server, the best first. Default "". Session, request, listener, protocol component.
    WS_OPTION_SUBPROTOCOLS = 13030,
    /// Text, query. The chosen one, "" = none. Request after its handshake, websocket, protocol component.
    WS_OPTION_SUBPROTOCOL = 13031,
    /// Text, query. As agreed, "" = none. Websocket, protocol component.
    WS_OPTION_EXTENSIONS = 13032,
    /// Text, "https://a.example, …": what a server accepts besides its own; "*" = any. Default "". Session, listener, server's request, protocol component.
    WS_OPTION_ORIGINS = 13033,
    /// u32, query. 1 if it asks for a WebSocket. Server's request after its handshake, protocol component.
    WS_OPTION_IS_WEBSOCKET = 13034,
    /// Text, query. Of the request line. Server's request after its handshake, protocol component.
    WS_OPTION_METHOD = 13035,
    /// Text, query. Of the request line: path and query. Server's request after its handshake, protocol component.
    WS_OPTION_TARGET = 13036,
    /// Text, query. "127.0.0.1:8000"; IPv6 in brackets. Request once it is connected, websocket, listener.
    WS_OPTION_LOCAL_ADDRESS = 13037,
    /// Text, query. Likewise, of the peer. Request once it is connected, websocket.
    WS_OPTION_REMOTE_ADDRESS = 13038,
    /// u32, query. Bits: 1 a close frame was sent, 2 one was received. Websocket, protocol component.
    WS_OPTION_CLOSE_STATE = 13039,
    /// u32, query. 1 session, 2 request, 3 websocket, 4 listener, 5 loop, 6 prepared message, 7 protocol component. All, protocol component.
    WS_OPTION_HANDLE_KIND = 13040,
    /// u32, query. What this build can do. Bits: 1 TLS, 2 permessage-deflate, 4 server. All, protocol component, and WS_NO_HANDLE.
    WS_OPTION_FEATURES = 13041,
    /// ws_statistics, query. Set its size before. A receive under way is counted when it ends. Websocket, protocol component (bytes, frames and messages alone).
    WS_OPTION_STATISTICS = 13042,
    /// Text, query. The request line and the headers as they were sent, each with its CR LF. Client's request after its handshake.
    WS_OPTION_REQUEST_HEAD = 13043,
    /// Text, query. What the server wrote behind the status, for people: "Switching Protocols". Client's request after its handshake.
    WS_OPTION_REASON_PHRASE = 13044,
    /// ws_handle. The loop that drives an asynchronous session; set before anything is made from it. Default 0. Session.
    WS_OPTION_LOOP = 13050,
    /// u32, 1-256. The library's own threads for an asynchronous session without a loop. Default 1. Session.
    WS_OPTION_IO_THREADS = 13051,
    /// u32, 0 or 1. WS_EVENT_PING and WS_EVENT_PONG are wanted; asynchronous sessions only. Default 0. All.
    WS_OPTION_PING_EVENTS = 13052,
    /// u32, 0 or 1. Events carry whole messages, and no receive is posted; asynchronous sessions only. Default 0. All.
    WS_OPTION_WHOLE_MESSAGES = 13053,
    /// ws_compression. Of a websocket what was agreed on, all 0 = nothing. Session, request, listener, protocol component; query: websocket.
    WS_OPTION_COMPRESSION = 13060,
    /// Text, "http://user:password@host:port" or "socks5://…"; a query leaves the login out. Default "". Session, client's request.
    WS_OPTION_PROXY = 13070,
    /// u32, 0 or 1. Without WS_OPTION_PROXY, read http_proxy, https_proxy, all_proxy, no_proxy. Default 0. Session, client's request.
    WS_OPTION_PROXY_ENVIRONMENT = 13071,
    /// u32, 0-100. How many redirects are followed; never one from wss to ws. Default 0. Session, client's request.
    WS_OPTION_REDIRECTS = 13072,
    /// Text, "192.0.2.1" or "::1", "" = any. The own address to connect from. Default "". Session, client's request.
    WS_OPTION_BIND_ADDRESS = 13073,
    /// Text: PEM, or the path of a file with it. The only CAs that are trusted; a server's own certificate among them is as well. "" = the system's (on Linux SSL_CERT_FILE and SSL_CERT_DIR may name them). Default "". Session, client's request.
    WS_OPTION_TLS_CA = 13080,
    /// Text: PEM, or a file. The own certificate, and its chain behind it; of a server several, chosen by the name that is asked for; perhaps with the keys. Default "". Session, client's request, listener.
    WS_OPTION_TLS_CERTIFICATE = 13081,
    /// Text: PEM, or a file. Private keys to the certificates, without a password, in any order; cannot be queried. "" = they are in the same text. Session, client's request, listener.
    WS_OPTION_TLS_KEY = 13082,
    /// Text. The name that is asked for and that the certificate must have; "" = the URL's. Default "". Session, client's request.
    WS_OPTION_TLS_SERVER_NAME = 13083,
    /// Text, "sha256//BASE64, …". Public keys of which the server must have one, besides all the rest; "" = any. Default "". Session, client's request.
    WS_OPTION_TLS_PINS = 13084,
    /// u32, bits. DANGER: what is forgiven a server, so that anybody may be it: 1 an unknown issuer, 2 another name, 4 a wrong date. Default 0. Session, client's request.
    WS_OPTION_TLS_DANGER = 13085,
    /// u32, 12 or 13. The least version: TLS 1.2 or 1.3. Default 12. Session, client's request, listener.
    WS_OPTION_TLS_MIN_VERSION = 13086,
    /// Text: PEM, or a file. CAs of clients: then each must show a certificate. Default "". Session, listener.
    WS_OPTION_TLS_CLIENT_CA = 13087,
    /// Bytes, query. The peer's own certificate, DER; none = it showed none. Request after its handshake, websocket.
    WS_OPTION_TLS_PEER_CERTIFICATE = 13088,
    /// Text, query. "TLSv1.3"; "" = not secured. Request after its handshake, websocket.
    WS_OPTION_TLS_VERSION = 13089,
    /// Text, query. "TLS13_AES_128_GCM_SHA256"; "" = not secured. Request after its handshake, websocket.
    WS_OPTION_TLS_CIPHER = 13090,
    /// u32, 0 or 1. Write the keys of connections to the file that the environment's SSLKEYLOGFILE names: whoever reads it can read them. Default 0. Session, client's request, listener.
    WS_OPTION_TLS_KEY_LOG = 13091,
}
