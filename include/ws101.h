/* ws101.h: WebSocket for native programs, client and server.
 *
 * This file is generated: the frame is src/ffi/ws101.h.in, everything else is the documentation of the items in src/ffi.
 * scripts/header makes it again.
 *
 * ===================================================================================================================
 *  Introduction
 * ===================================================================================================================
 *
 * ws101 speaks the WebSocket protocol (RFC 6455) for programs in C, and in every language that can call C. It follows
 * WinHTTP's WebSocket API: the same verbs, the same rules of receiving, the same numbers, where WinHTTP has one.
 * 101 is the HTTP status that turns a connection into a WebSocket.
 *
 * A client that prints what a server says, without its checks:
 *
 *     ws_handle session, request, websocket;
 *     ws_open("example/1.0", 0, &session);
 *     ws_connect(session, "ws://127.0.0.1:8000/time", &request);
 *     ws_complete_upgrade(request, &websocket);
 *
 *     char buffer[1024]; size_t received; ws_buffer_type type;
 *     while (ws_receive(websocket, buffer, sizeof buffer, &received, &type) == WS_OK && type != WS_CLOSE_FRAME)
 *         printf("%.*s%s", (int)received, buffer, type == WS_UTF8_MESSAGE ? "\n" : "");
 *
 *     ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0);
 *     ws_close_handle(websocket); ws_close_handle(request); ws_close_handle(session);
 *
 * Status. Every function returns a ws_status: WS_OK (0), or an error, except ws_version and ws_status_string. Results come
 * through out-parameters, which are required (NULL is WS_ERROR_INVALID_PARAMETER) and written only with WS_OK. There is one
 * exception: WS_ERROR_INSUFFICIENT_BUFFER writes the length that is needed. ws_last_error tells why the last call on this
 * thread failed, in a sentence with the offending value; ws_query_error tells it of a handle, whoever noticed.
 *
 * Checks come in one order: pointers and lengths, the handle, its kind, its state, the rest. Each function lists the statuses
 * that it can return. Not listed are two that any may return: WS_ERROR_INTERNAL for a defect of the library, and, where
 * WS_OPTION_INTERRUPTIBLE is set, WS_ERROR_INTERRUPTED of any that waits.
 *
 * Handles. A session makes requests and listeners; a request becomes a websocket. A handle is a number, not an address, and
 * any number is safe to pass: a closed, invented or zero handle is WS_ERROR_INVALID_HANDLE, one of another kind
 * WS_ERROR_INCORRECT_HANDLE_TYPE. Every handle that a function gave out is closed with ws_close_handle, in any order: a
 * websocket lives on when its request, listener or session is closed.
 *
 * Ownership. What a program passes is copied or used up before the call returns; it stays the program's. What the library
 * gives out is valid as long as the function says, and is never freed by the program. Texts are UTF-8 and, if they have no
 * length beside them, end with NUL. Structs that begin with `size` grow at their end in later versions: set it to sizeof.
 *
 * Threads. Every function may be called from any thread, unless it says otherwise; on one websocket one thread may receive
 * while others send. A call keeps what it works on alive: closing a handle that another thread is waiting on makes that call
 * return WS_ERROR_CANCELLED, and nothing worse.
 *
 * Who waits. A call waits on the calling thread, on the socket itself; there is no hidden thread between. Each wait has its
 * timeout among the options. A timeout and ws_cancel end the wait, not the connection: the next call goes on where it was.
 *
 * Closing. ws_close says goodbye in good order: both sides send a close frame, with a status and a reason. A peer's close frame
 * comes from ws_receive as WS_CLOSE_FRAME, and is answered by the library. ws_close_handle alone drops the connection. Losing it
 * without a close frame is WS_ERROR_CONNECTION, never a silent end.
 *
 * Signals and processes. No call raises SIGPIPE. Descriptors are close-on-exec. After fork() the child's copies of handles answer
 * WS_ERROR_FORKED to every call but ws_close_handle, which closes the child's descriptors and leaves the parent's connection alone;
 * what the child opens works. Fork while no other thread is in a call of the library.
 *
 * Every build exports every function. What a build leaves out (TLS, compression) answers WS_ERROR_NOT_SUPPORTED;
 * WS_OPTION_FEATURES tells what a build can do.
 *
 * Chapters: 1 types, 2 numbers, 3 the seven functions that most programs need, 4 session and library, 5 requests,
 * 6 websockets, 7 servers, 8 options; and for special needs: 9 events and loops, 10 fan-out, 11 the protocol component. */
#ifndef WS101_H
#define WS101_H

#include <stddef.h>
#include <stdint.h>

/** The version of this header; ws_version() tells the library's. */
#define WS_VERSION_MAJOR 0
/** See WS_VERSION_MAJOR. */
#define WS_VERSION_MINOR 1
/** See WS_VERSION_MAJOR. */
#define WS_VERSION_PATCH 0
/** As ws_version() returns it. */
#define WS_VERSION (WS_VERSION_MAJOR << 16 | WS_VERSION_MINOR << 8 | WS_VERSION_PATCH)

/* Define WS_STATIC when linking the static library on Windows. */
#if defined(_WIN32) && !defined(WS_STATIC)
#define WS_API __declspec(dllimport)
#elif defined(__GNUC__)
#define WS_API __attribute__((visibility("default")))
#else
#define WS_API
#endif

/* No function throws. */
#if defined(__cplusplus)
#define WS_NOEXCEPT noexcept
extern "C" {
#else
#define WS_NOEXCEPT
#endif

/* ===================================================================================================================
 *  1. Types
 * =================================================================================================================== */

/**
 * A handle: a number, never an address. It fits the number type of JavaScript. 0 is WS_NO_HANDLE.
 *
 * Every function takes any value safely, from any thread: a handle of another kind gives WS_ERROR_INCORRECT_HANDLE_TYPE; one that
 * was closed or never given out gives WS_ERROR_INVALID_HANDLE, even when its place in the library is used again.
 */
typedef uint64_t ws_handle;

/** No handle. */
#define WS_NO_HANDLE ((ws_handle)0)
/** What a function returns: WS_OK, WS_PENDING or an error. The numbers are in chapter 2. */
typedef int32_t ws_status;
/** WS_BINARY_MESSAGE and its kin. */
typedef int32_t ws_buffer_type;
/** WS_OPERATION_RECEIVE and its kin. */
typedef int32_t ws_operation;
/** WS_EVENT_RECEIVED and its kin. */
typedef int32_t ws_event_type;
/** WS_PHASE_CONNECT and its kin. */
typedef int32_t ws_phase;
/** WS_OPTION_URL and its kin. */
typedef int32_t ws_option;

/** A run of bytes, not terminated. Frozen: it never gets another field. */
typedef struct ws_bytes {
    const void *data; /**< The first byte; may be NULL if length is 0. */
    size_t length;    /**< In bytes. */
} ws_bytes;

/** One header field. Frozen. */
typedef struct ws_header {
    ws_bytes name;  /**< As it came; compare it without regard to case. */
    ws_bytes value; /**< Without the white space around it. */
} ws_header;

/** Why something failed. Set `size` to sizeof(ws_error_info) before the call; later versions append fields. */
typedef struct ws_error_info {
    uint32_t size;           /**< sizeof(ws_error_info), set by the caller. */
    ws_status status;        /**< What the function returned; WS_OK if nothing has failed. */
    ws_phase phase;          /**< Where it happened. */
    int32_t os_error;        /**< errno, or WSAGetLastError(); 0 = none. */
    uint16_t http_status;    /**< Of the answer that refused the upgrade; 0 = none. */
    uint16_t close_status;   /**< Sent or received for this failure; 0 = none. */
    uint32_t retryable;      /**< 1 if a later attempt with the same arguments may succeed. */
    uint32_t retry_after_ms; /**< How long the peer asks to wait before one; 0 = it did not say. */
    uint32_t reserved;       /**< 0. */
    char message[256];       /**< One sentence in UTF-8, with the offending value; terminated, cut if long. */
} ws_error_info;

/* ===================================================================================================================
 *  2. Numbers
 *
 *  Those below 13000 are Win32's and WinHTTP's and mean the same idea; from 13000 they are ours. They are never renumbered.
 * =================================================================================================================== */

/** Statuses. */
enum {
    WS_OK = 0,                                /**< Done. */
    WS_ERROR_INVALID_HANDLE = 6,              /**< The handle is closed, was never given out, or is 0. */
    WS_ERROR_NOT_ENOUGH_MEMORY = 8,           /**< There is not enough memory. Nothing was done. */
    WS_ERROR_NOT_SUPPORTED = 50,              /**< Not in this build, or not in this mode. */
    WS_ERROR_INVALID_PARAMETER = 87,          /**< A required pointer is NULL, or a value is out of its range. */
    WS_ERROR_INSUFFICIENT_BUFFER = 122,       /**< The buffer is too small; the needed length was written. */
    WS_PENDING = 997,                         /**< The operation goes on; exactly one event tells its end. */
    WS_ERROR_INVALID_OPERATION = 4317,        /**< Not possible now: closed, or another call is doing the same. */
    WS_ERROR_TIMEOUT = 12002,                 /**< The time limit was reached. */
    WS_ERROR_INTERNAL = 12004,                /**< A defect of the library; please report the message. */
    WS_ERROR_INVALID_URL = 12005,             /**< The URL is not valid. */
    WS_ERROR_UNRECOGNIZED_SCHEME = 12006,     /**< The URL is neither ws: nor wss:. */
    WS_ERROR_NAME_NOT_RESOLVED = 12007,       /**< The host name could not be resolved. */
    WS_ERROR_INVALID_OPTION = 12009,          /**< There is no option with this number. */
    WS_ERROR_OPTION_NOT_SETTABLE = 12011,     /**< The option can only be queried. */
    WS_ERROR_LOGIN_FAILURE = 12015,           /**< The credentials were not accepted. */
    WS_ERROR_CANCELLED = 12017,               /**< Cancelled, or the handle was closed meanwhile. */
    WS_ERROR_INCORRECT_HANDLE_TYPE = 12018,   /**< The handle is open, but of another kind. */
    WS_ERROR_INCORRECT_HANDLE_STATE = 12019,  /**< Too early or too late for this handle. */
    WS_ERROR_CANNOT_CONNECT = 12029,          /**< No connection to the server could be made. */
    WS_ERROR_CONNECTION = 12030,              /**< The connection ended without a close frame. */
    WS_ERROR_CERT_DATE_INVALID = 12037,       /**< The certificate is expired, or not valid yet. */
    WS_ERROR_CERT_NAME_INVALID = 12038,       /**< The certificate is for another name. */
    WS_ERROR_CLIENT_CERT_NEEDED = 12044,      /**< The server asks for a client certificate. */
    WS_ERROR_CERT_UNKNOWN_ISSUER = 12045,     /**< The certificate's issuer is not trusted. */
    WS_ERROR_HEADER_NOT_FOUND = 12150,        /**< There is no such header. */
    WS_ERROR_INVALID_SERVER_RESPONSE = 12152, /**< The peer's HTTP is not valid. */
    WS_ERROR_INVALID_HEADER = 12153,          /**< A header given by the program is not valid. */
    WS_ERROR_REDIRECT_FAILED = 12156,         /**< The redirect was not followed. */
    WS_ERROR_TLS_CHANNEL = 12157,             /**< The secure channel failed. */
    WS_ERROR_CERT_INVALID = 12169,            /**< The certificate is not valid. */
    WS_ERROR_CERT_REVOKED = 12170,            /**< The certificate is revoked, or not among the pinned ones. */
    WS_ERROR_TLS = 12175,                     /**< TLS failed. */
    WS_ERROR_HEADER_COUNT_EXCEEDED = 12181,   /**< The peer sent more headers than WS_OPTION_MAX_HEADERS. */
    WS_ERROR_HEADER_SIZE_OVERFLOW = 12182,    /**< The peer's head is larger than WS_OPTION_MAX_HEAD_SIZE. */
    WS_ERROR_WOULD_BLOCK = 13000,             /**< The send queue is full; nothing was taken. */
    WS_ERROR_UPGRADE_REFUSED = 13001,         /**< The answer was not 101 Switching Protocols. */
    WS_ERROR_MESSAGE_TOO_BIG = 13002,         /**< A message is larger than WS_OPTION_MAX_MESSAGE. */
    WS_ERROR_PROXY = 13003,                   /**< The proxy failed or refused. */
    WS_ERROR_ADDRESS_IN_USE = 13004,          /**< Another program listens on this address. */
    WS_ERROR_FORKED = 13005,                  /**< The handle was made before fork(), in the parent. */
    WS_ERROR_INTERRUPTED = 13006,             /**< A signal ended the wait: WS_OPTION_INTERRUPTIBLE. */
    WS_ERROR_PROTOCOL_VIOLATION = 13007,      /**< The peer broke the WebSocket protocol. */
    WS_ERROR_INVALID_PAYLOAD = 13008,         /**< A text is not valid UTF-8. */
    WS_ERROR_PEER_LOST = 13009,               /**< The keep-alive ping was not answered in time. */
};

/**
 * What a buffer holds (ws_buffer_type): WinHTTP's WINHTTP_WEB_SOCKET_BUFFER_TYPE.
 *
 * A MESSAGE ends a message, with all of it or with its last part; a FRAGMENT does not.
 */
enum {
    WS_BINARY_MESSAGE = 0,  /**< A binary message, or the last part of one. */
    WS_BINARY_FRAGMENT = 1, /**< A part of a binary message; more follows. */
    WS_UTF8_MESSAGE = 2,    /**< A text message, or the last part of one. */
    WS_UTF8_FRAGMENT = 3,   /**< A part of a text message; more follows. */
    WS_CLOSE_FRAME = 4,     /**< The peer's close frame. Only received, never given to ws_send. */
};

/** Close statuses (RFC 6455 §7.4), for ws_close, ws_shutdown and ws_query_close_status. Programs define their own in 3000-4999. */
enum {
    WS_CLOSE_NORMAL = 1000,          /**< The purpose of the connection is fulfilled. */
    WS_CLOSE_GOING_AWAY = 1001,      /**< A server goes down, or a user leaves the page. */
    WS_CLOSE_PROTOCOL_ERROR = 1002,  /**< The peer broke the protocol. */
    WS_CLOSE_INVALID_TYPE = 1003,    /**< A kind of message that is not handled here. */
    WS_CLOSE_EMPTY = 1005,           /**< Queried: the close frame had no status. As an argument: send such a one. */
    WS_CLOSE_ABNORMAL = 1006,        /**< Never on the wire: the connection ended without a close frame. */
    WS_CLOSE_INVALID_PAYLOAD = 1007, /**< A text was not valid UTF-8. */
    WS_CLOSE_POLICY = 1008,          /**< A policy was broken. */
    WS_CLOSE_TOO_BIG = 1009,         /**< A message was too big. */
    WS_CLOSE_EXTENSION = 1010,       /**< A client misses an extension that it needs. */
    WS_CLOSE_SERVER_ERROR = 1011,    /**< The server met an unexpected condition. */
    WS_CLOSE_SERVICE_RESTART = 1012, /**< The server restarts; come back after a moment. */
    WS_CLOSE_TRY_AGAIN_LATER = 1013, /**< The server is overloaded; come back later. */
    WS_CLOSE_TLS_FAILURE = 1015,     /**< Never on the wire: TLS failed. */
};

/** What can be waited for and cancelled (ws_operation). */
enum {
    WS_OPERATION_SEND = 0,        /**< ws_send and its kin. */
    WS_OPERATION_RECEIVE = 1,     /**< ws_receive and its kin. */
    WS_OPERATION_CLOSE = 2,       /**< ws_close. */
    WS_OPERATION_SHUTDOWN = 3,    /**< ws_shutdown. */
    WS_OPERATION_HANDSHAKE = 100, /**< ws_handshake. */
    WS_OPERATION_UPGRADE = 101,   /**< ws_complete_upgrade. */
    WS_OPERATION_ACCEPT = 102,    /**< ws_accept. */
    WS_OPERATION_RESPOND = 103,   /**< ws_respond. */
    WS_OPERATION_DRAIN = 104,     /**< ws_drain. */
    WS_OPERATION_ALL = 255,       /**< Whatever waits on the handle. */
};

/** The part of a connection's life in which it failed (ws_phase). */
enum {
    WS_PHASE_NONE = 0,      /**< None in particular: a parameter, a handle, a state. */
    WS_PHASE_RESOLVE = 1,   /**< Looking up the host name. */
    WS_PHASE_CONNECT = 2,   /**< Connecting TCP. */
    WS_PHASE_PROXY = 3,     /**< Talking to the proxy. */
    WS_PHASE_TLS = 4,       /**< The TLS handshake. */
    WS_PHASE_HTTP = 5,      /**< The HTTP upgrade. */
    WS_PHASE_WEBSOCKET = 6, /**< The open WebSocket. */
    WS_PHASE_CLOSE = 7,     /**< The closing handshake. */
};

/** ws_open: every call that would wait may return WS_PENDING instead. */
#define WS_FLAG_ASYNC 0x10000000u
/** ws_open: the library starts no thread for this session; names are resolved on the caller's. */
#define WS_FLAG_NO_THREADS 0x00000001u
/** ws_send_ex: leave this message uncompressed. */
#define WS_SEND_UNCOMPRESSED 0x00000001u
/** ws_send_ex: WS_ERROR_INVALID_OPERATION rather than become a part of somebody's open fragmented message. */
#define WS_SEND_WHOLE 0x00000002u
/** ws_send_ex, asynchronous: WS_PENDING, then WS_EVENT_SENT once the kernel has it. */
#define WS_SEND_NOTIFY 0x00000004u
/** A wait without limit, for ws_loop_wait and ws_cleanup. */
#define WS_WAIT_FOREVER UINT32_MAX

/* ===================================================================================================================
 *  3. The seven
 *
 *  A client needs no more: open a session, make a request, upgrade it, receive and send, close, and close the handles.
 * =================================================================================================================== */

/**
 * Opens a session: the options that its requests and listeners begin with. No I/O.
 *
 * Close it with ws_close_handle when nothing more will be made from it; what was made lives on.
 *
 * @param user_agent The User-Agent of clients and the Server of listeners, in UTF-8; copied. NULL = none is sent.
 * @param flags      0, WS_FLAG_NO_THREADS or WS_FLAG_ASYNC (chapter 9).
 * @param session    OUT: the session; close it with ws_close_handle.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: session is NULL, a flag is unknown, user_agent is not UTF-8 or has control characters;
 *         WS_ERROR_NOT_ENOUGH_MEMORY.
 *
 * Any thread. Does not wait. As WinHttpOpen.
 */
WS_API ws_status ws_open(const char *user_agent, uint32_t flags, ws_handle *session) WS_NOEXCEPT;

/**
 * Makes a request for one WebSocket. No I/O yet: it inherits the session's options and waits for headers, options, and
 * ws_complete_upgrade.
 *
 * @param session The session.
 * @param url     "ws://host:port/path?query" or "wss://…", in UTF-8; copied. Only the host is needed; an IPv6 address is in
 *                brackets; the default ports are 80 and 443. User names and fragments are refused. "ws+unix:/path/to.sock:/target"
 *                is a socket of this machine; what is no letter of a URL in its path, and a colon, is percent-encoded.
 * @param request OUT: the request; close it with ws_close_handle, at the earliest after ws_complete_upgrade.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: url or request is NULL, or url is not UTF-8;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: session is not an open session;
 *         WS_ERROR_INVALID_URL; WS_ERROR_UNRECOGNIZED_SCHEME; WS_ERROR_NOT_SUPPORTED: wss in a build without TLS;
 *         WS_ERROR_NOT_ENOUGH_MEMORY.
 *
 * Any thread. Does not wait. As WinHttpConnect and WinHttpOpenRequest in one. RFC 6455 §3.
 */
WS_API ws_status ws_connect(ws_handle session, const char *url, ws_handle *request) WS_NOEXCEPT;

/**
 * Makes the WebSocket of a request.
 *
 * Does what ws_handshake does, unless it was called before; then, client: checks the answer; server: sends the 101. A refusal
 * leaves a client's request usable: ws_query_response, ws_query_header and ws_read_body tell more, and ws_handshake makes
 * another attempt, with further headers if ws_add_header gave some. ws_query_error has the HTTP status, whether another attempt
 * makes sense, and how long the server asks to wait for it (Retry-After).
 *
 * @param request   The request; it may be closed afterwards without harm to the websocket.
 * @param websocket OUT: the open connection; close it with ws_close_handle.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: websocket is NULL;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request;
 *         WS_ERROR_INCORRECT_HANDLE_STATE: it was upgraded or answered already, another thread is doing it, or (server) it does not
 *         ask for a WebSocket;
 *         WS_ERROR_UPGRADE_REFUSED: client, the answer is not a 101; server, as ws_handshake;
 *         WS_ERROR_LOGIN_FAILURE: client, server or proxy did not accept the credentials;
 *         WS_ERROR_PROXY: client, the proxy failed, or asks for credentials that there are none of (HTTP status 407);
 *         WS_ERROR_REDIRECT_FAILED: client, a redirect was not followed, although WS_OPTION_REDIRECTS is not 0;
 *         WS_ERROR_INVALID_SERVER_RESPONSE: the peer's HTTP, or a 101 with a wrong accept value, sub-protocol or extension;
 *         WS_ERROR_CERT_*, WS_ERROR_CLIENT_CERT_NEEDED, WS_ERROR_TLS_CHANNEL, WS_ERROR_TLS: as ws_handshake;
 *         WS_ERROR_NAME_NOT_RESOLVED, WS_ERROR_CANNOT_CONNECT, WS_ERROR_CONNECTION, WS_ERROR_TIMEOUT, WS_ERROR_CANCELLED,
 *         WS_ERROR_HEADER_COUNT_EXCEEDED, WS_ERROR_HEADER_SIZE_OVERFLOW, WS_ERROR_NOT_ENOUGH_MEMORY.
 *
 * Any thread. Waits, up to WS_OPTION_HANDSHAKE_TIMEOUT. As WinHttpSendRequest, WinHttpReceiveResponse and
 * WinHttpWebSocketCompleteUpgrade in one. RFC 6455 §4.
 */
WS_API ws_status ws_complete_upgrade(ws_handle request, ws_handle *websocket) WS_NOEXCEPT;

/**
 * Receives the next piece of a message, or the peer's close frame.
 *
 * Returns as soon as something is there: at most one frame's payload, up to length bytes; it never waits to fill the buffer. The
 * type is a MESSAGE exactly when these bytes end the message, else a FRAGMENT, and more of it follows: loop on the type, not on
 * sizes. Text may be cut inside a character; the whole message is valid UTF-8. An empty message is 0 bytes and a MESSAGE.
 * WS_CLOSE_FRAME with 0 bytes is the peer's close frame: it is answered already (unless WS_OPTION_MANUAL_CLOSE), and
 * ws_query_close_status tells its status. Pings are answered inside.
 *
 * @param websocket The connection.
 * @param buffer    OUT: the bytes; it is written to even when the call fails.
 * @param length    The room in buffer, in bytes; not 0.
 * @param received  OUT: how many bytes came.
 * @param type      OUT: WS_BINARY_MESSAGE, _FRAGMENT, WS_UTF8_MESSAGE, _FRAGMENT or WS_CLOSE_FRAME.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: a pointer is NULL, or length is 0;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket;
 *         WS_ERROR_INVALID_OPERATION: the close frame was received already, ws_close was called, another thread receives, or
 *         ws_receive_message has begun a message and is not at its end;
 *         WS_ERROR_TIMEOUT: WS_OPTION_RECEIVE_TIMEOUT is over, and the connection lives on;
 *         WS_ERROR_CANCELLED: ws_cancel, ws_close or ws_close_handle was called meanwhile;
 *         WS_ERROR_CONNECTION: it ended without a close frame; WS_ERROR_PEER_LOST; WS_ERROR_PROTOCOL_VIOLATION;
 *         WS_ERROR_INVALID_PAYLOAD; WS_ERROR_MESSAGE_TOO_BIG: the peer was told why, and the connection is over.
 *
 * Any thread, one at a time; another may send meanwhile. Waits. As WinHttpWebSocketReceive. RFC 6455 §5, §6.2.
 */
WS_API ws_status ws_receive(ws_handle websocket, void *buffer, size_t length, size_t *received,
                            ws_buffer_type *type) WS_NOEXCEPT;

/**
 * Sends a message, or a part of one, as one frame.
 *
 * A part that is not the last is a FRAGMENT, the last one a MESSAGE; between them only the same kind may be sent. WS_OK says that
 * the bytes are written or copied: the buffer is the program's again. It does not say that the peer has them.
 *
 * @param websocket The connection.
 * @param type      WS_BINARY_MESSAGE, _FRAGMENT, WS_UTF8_MESSAGE or _FRAGMENT.
 * @param buffer    The bytes. Text must be UTF-8, and may be cut anywhere. NULL if length is 0.
 * @param length    In bytes; 0 is an empty message, or the empty end of a fragmented one.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: buffer is NULL with a length, the type is WS_CLOSE_FRAME or unknown or not that of the
 *         message under way, or a text is not UTF-8 (nothing is sent);
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket;
 *         WS_ERROR_INVALID_OPERATION: a close frame was sent or received;
 *         WS_ERROR_TIMEOUT: WS_OPTION_SEND_TIMEOUT is over; WS_ERROR_CANCELLED; WS_ERROR_CONNECTION; WS_ERROR_PEER_LOST;
 *         WS_ERROR_NOT_ENOUGH_MEMORY.
 *
 * Any thread, also several at once: they take turns, and a frame is never split by another. Waits until the bytes are taken.
 * As WinHttpWebSocketSend. RFC 6455 §5.4, §6.1.
 */
WS_API ws_status ws_send(ws_handle websocket, ws_buffer_type type, const void *buffer, size_t length) WS_NOEXCEPT;

/**
 * Closes a connection in good order: sends a close frame unless one was sent, discards what still comes, and waits for the
 * peer's close frame.
 *
 * A receive of another thread ends with WS_ERROR_CANCELLED. Called again, it returns the first result. Afterwards
 * ws_query_close_status tells what the peer said; ws_close_handle is still needed.
 *
 * @param websocket The connection.
 * @param status    1000-1003, 1007-1014 or 3000-4999; or WS_CLOSE_EMPTY for a close frame without status and reason. Ignored if a
 *                  close frame was sent already.
 * @param reason    A short text in UTF-8, not terminated. NULL if length is 0.
 * @param length    Of reason, in bytes; at most 123, and 0 with WS_CLOSE_EMPTY.
 *
 * @return WS_OK: both close frames were exchanged;
 *         WS_ERROR_INVALID_PARAMETER: status, reason or length is not as above;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket;
 *         WS_ERROR_INVALID_OPERATION: another thread is closing;
 *         WS_ERROR_TIMEOUT: the peer did not answer within WS_OPTION_CLOSE_TIMEOUT, and the connection was dropped;
 *         WS_ERROR_CONNECTION, WS_ERROR_PROTOCOL_VIOLATION: it ended otherwise; WS_ERROR_CANCELLED.
 *
 * Any thread. Waits, up to WS_OPTION_CLOSE_TIMEOUT. As WinHttpWebSocketClose. RFC 6455 §7.
 */
WS_API ws_status ws_close(ws_handle websocket, uint16_t status, const void *reason, size_t length) WS_NOEXCEPT;

/**
 * Closes a handle of any kind. Its number is invalid at once, and every call that waits on it returns WS_ERROR_CANCELLED.
 *
 * A websocket's connection is dropped without a close frame: call ws_close before. A listener stops listening. A session, a
 * listener or a request may be closed while a websocket made from it lives on.
 *
 * @param any The handle; WS_NO_HANDLE is an error, as in WinHTTP.
 *
 * @return WS_OK; WS_ERROR_INVALID_HANDLE: it was closed already, or never was one.
 *
 * Any thread, also while other threads are in calls on it: exactly one of several closers gets WS_OK. Does not wait.
 * As WinHttpCloseHandle.
 */
WS_API ws_status ws_close_handle(ws_handle any) WS_NOEXCEPT;

/* ===================================================================================================================
 *  4. Session and library
 * =================================================================================================================== */

/**
 * Tells the version of the library: major << 16 | minor << 8 | patch. Compare it with WS_VERSION of this header.
 *
 * @return The version.
 *
 * Any thread. Does not wait. Cannot fail.
 */
WS_API uint32_t ws_version(void) WS_NOEXCEPT;

/**
 * Tells what a status means, in one short sentence. What happened in particular is told by ws_last_error.
 *
 * @param status Any number.
 *
 * @return A static text in UTF-8, never NULL; "unknown status" for a number that is none.
 *
 * Any thread. Does not wait. Cannot fail.
 */
WS_API const char *ws_status_string(ws_status status) WS_NOEXCEPT;

/**
 * Tells why the last call that failed on this thread did so. Success does not clear it.
 *
 * @param info OUT: the failure; set info->size before. status is WS_OK if nothing has failed on this thread.
 *
 * @return WS_OK; WS_ERROR_INVALID_PARAMETER: info is NULL, or its size is not that of any version.
 *
 * Any thread. Does not wait. As GetLastError, with the reason.
 */
WS_API ws_status ws_last_error(ws_error_info *info) WS_NOEXCEPT;

/**
 * Tells why the last operation on a handle that failed did so, whoever noticed: another thread, or the library by itself.
 *
 * A connection that has failed keeps its reason. Questions (ws_query_…) and cancels that fail are not remembered here.
 *
 * @param any  A handle of any kind.
 * @param info OUT: the failure; set info->size before. status is WS_OK if nothing has failed on this handle.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: info is NULL, or its size is not that of any version;
 *         WS_ERROR_INVALID_HANDLE. Neither changes what ws_last_error tells.
 *
 * Any thread. Does not wait.
 */
WS_API ws_status ws_query_error(ws_handle any, ws_error_info *info) WS_NOEXCEPT;

/** Receives one line of the log, without a line end. Levels: 1 errors, 2 warnings, 3 information, 4 debugging, 5 everything. */
typedef void (*ws_log_callback)(int32_t level, const char *line, void *context);

/**
 * Sends the library's log to a callback. It is off by default and costs nothing then.
 *
 * 1 errors: defects of the library. 2 warnings: connections that were lost, and peers that broke the protocol. 3 information: handshakes
 * with their outcome, refusals with their reason. 4 debugging: attempts to connect, the heads of requests and answers, close frames with
 * their status, timeouts and cancels. 5 everything: questions that failed too. A level has those below it. Heads are logged line by line
 * (">" sent, "<" received), with "..." for the query of a URL and for every value that may be secret: those of Authorization, Cookie and
 * their kin, and of all headers that the library does not know. The sentence of a refusal may show what was wrong in a header of the
 * upgrade. Payloads and credentials are never logged.
 *
 * @param level    0 nothing, 1 errors, 2 warnings, 3 information, 4 debugging, 5 everything.
 * @param callback Called on the thread that has something to say, under no lock of the library; several threads may call at once. It may
 *                 call the library, which logs nothing meanwhile. The line lives until it returns. It must not throw or longjmp.
 *                 NULL = the log is off.
 * @param context  Given to the callback; never followed.
 *
 * @return WS_OK; WS_ERROR_INVALID_PARAMETER: there is no such level;
 *         WS_ERROR_NOT_SUPPORTED: in a program in Rust that has set a logger of its own, which gets these lines then.
 *
 * Any thread. Does not wait; a call of the former callback may still be under way.
 */
WS_API ws_status ws_set_log(int32_t level, ws_log_callback callback, void *context) WS_NOEXCEPT;

/**
 * Ends the library's own threads, before a program unloads it or ends.
 *
 * They are the one that looks after connections on which nobody waits, and those that look host names up. Call it when no thread
 * is in a call of the library; handles may be open, but their connections are not looked after any more. Called again, it has nothing to
 * do. The library goes on working: what is opened later starts threads again.
 *
 * @param timeout_ms How long to wait for them, in milliseconds; WS_WAIT_FOREVER = without limit.
 *
 * @return WS_OK: there are no threads of the library;
 *         WS_ERROR_TIMEOUT: one has not ended in time: a look-up ends when the system's resolver gives up. Call it again.
 *
 * Any thread but the library's own. Waits.
 */
WS_API ws_status ws_cleanup(uint32_t timeout_ms) WS_NOEXCEPT;

/**
 * Ends the waits of other threads on a handle: their calls return WS_ERROR_CANCELLED, and what they waited on lives on.
 *
 * A receive, a handshake of a server and an accept lose nothing: the next call goes on. A send of which no byte has left sends
 * nothing; the rest of any other is sent later by the library, and that send returns WS_OK, or, if WS_OPTION_SEND_QUEUE_LIMIT has no room
 * for it, the connection is over. A ws_close that is cancelled drops the connection. A client's handshake is given up; the next one begins
 * anew.
 *
 * @param any       The handle that is waited on: a websocket (WS_OPERATION_RECEIVE, _SEND, _CLOSE, _SHUTDOWN), a request (_HANDSHAKE,
 *                  _UPGRADE, _RESPOND) or a listener (_ACCEPT). A websocket's ws_close and ws_shutdown are cancelled together.
 * @param operation What to end, by the function that was called: a ws_complete_upgrade that does the handshake is an _UPGRADE.
 *                  WS_OPERATION_ALL = whatever waits.
 *
 * @return WS_OK: a thread was in such a call, or (_SEND) the library itself had something to send. A call that was about to end by
 *         itself may still do so;
 *         WS_ERROR_INVALID_PARAMETER: there is no such operation;
 *         WS_ERROR_INVALID_HANDLE; WS_ERROR_INCORRECT_HANDLE_TYPE: a session or a protocol component, on which nothing waits;
 *         WS_ERROR_INVALID_OPERATION: nothing was waiting, or this kind of handle has no such operation.
 *
 * Any thread. Does not wait: a waiting call returns within some 20 ms. Not sticky: the next call waits again.
 */
WS_API ws_status ws_cancel(ws_handle any, ws_operation operation) WS_NOEXCEPT;

/* ===================================================================================================================
 *  5. Requests, of clients and of servers
 *
 *  ws_complete_upgrade does everything at once. The functions here take it apart: the handshake's I/O, its headers, and what
 *  a server said that refused.
 * =================================================================================================================== */

/**
 * Does the I/O of the handshake, and leaves the decision to the program.
 *
 * Client: connects, through the proxy if there is one, agrees on TLS for wss, sends the request and reads the head of the answer; whatever
 * its status, this is WS_OK. The addresses of a name are tried in the manner of happy eyeballs (RFC 8305). Challenges are answered if
 * ws_set_credentials was called, and redirects followed up to WS_OPTION_REDIRECTS, within the same WS_OPTION_HANDSHAKE_TIMEOUT;
 * Authorization, Cookie and Host that the program added, and its certificate, are not shown to another server. A proxy's 407 without
 * credentials is an answer like a server's: look at Proxy-Authenticate, add a header Proxy-Authorization, which only the proxy gets, and
 * call this again. Server: agrees on TLS and reads the head of the request, on the calling thread, so that a slow client never holds up
 * ws_accept; what chapter 7 says that the library
 * refuses by itself it answers here. Then look at headers and options, and call ws_complete_upgrade, now or later, from any
 * thread, or refuse with ws_respond or by closing.
 *
 * @param request The request.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request;
 *         WS_ERROR_INCORRECT_HANDLE_STATE: it was upgraded or answered already, or another thread is doing it;
 *         WS_ERROR_UPGRADE_REFUSED: server, the library refused it and has told the peer why; the request is over;
 *         WS_ERROR_INVALID_SERVER_RESPONSE: client, the peer does not speak HTTP/1.1;
 *         WS_ERROR_PROXY: client, the proxy refused (but for 407), failed, or is none; WS_ERROR_LOGIN_FAILURE: client, a SOCKS5 proxy
 *         did not accept the credentials, or wants some;
 *         WS_ERROR_REDIRECT_FAILED: client, a redirect too many, to nowhere, or from wss to ws;
 *         WS_ERROR_CERT_DATE_INVALID, WS_ERROR_CERT_NAME_INVALID, WS_ERROR_CERT_UNKNOWN_ISSUER, WS_ERROR_CERT_INVALID: the peer's
 *         certificate; WS_ERROR_CERT_REVOKED: also a key that is not pinned; WS_ERROR_CLIENT_CERT_NEEDED: one is asked for;
 *         WS_ERROR_TLS_CHANNEL: the peer breaks TLS, or does not speak it; WS_ERROR_TLS: anything else about TLS;
 *         WS_ERROR_NAME_NOT_RESOLVED, WS_ERROR_CANNOT_CONNECT, WS_ERROR_CONNECTION, WS_ERROR_TIMEOUT, WS_ERROR_CANCELLED,
 *         WS_ERROR_HEADER_COUNT_EXCEEDED, WS_ERROR_HEADER_SIZE_OVERFLOW, WS_ERROR_NOT_ENOUGH_MEMORY.
 *
 * Any thread. Waits, up to WS_OPTION_HANDSHAKE_TIMEOUT. As WinHttpSendRequest and WinHttpReceiveResponse. RFC 6455 §4.
 */
WS_API ws_status ws_handshake(ws_handle request) WS_NOEXCEPT;

/**
 * Adds a header: of a client to the request, of a server to the answer (the 101, or ws_respond's).
 *
 * @param request The request, or a protocol component. What is added after its handshake (client) or its answer (server) is not sent.
 * @param name    A token. The names that belong to the upgrade or to the connection are refused (Sec-WebSocket-*, Upgrade,
 *                Connection, Content-Length and their kin); sub-protocols are set by WS_OPTION_SUBPROTOCOLS. A client may set
 *                Host, once.
 * @param value   Any text without CR, LF and NUL; copied.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: name or value is NULL, or name is not UTF-8;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request;
 *         WS_ERROR_INVALID_HEADER: a refused name, or a refused character.
 *
 * Any thread. Does not wait. As WinHttpAddRequestHeaders.
 */
WS_API ws_status ws_add_header(ws_handle request, const char *name, const char *value) WS_NOEXCEPT;

/**
 * Gives user name and password for an answer 401 (the server's) or 407 (the proxy's).
 *
 * They are sent only after such an answer, within the same ws_handshake and over the same connection where it is kept alive, to the
 * server of the request's URL alone: a redirect to another one goes there without them. Give them for both schemes, by two calls, to
 * have the stronger one of those that are asked for. Digest is MD5 or SHA-256 with qop=auth. A SOCKS5 proxy gets them whatever
 * their scheme. The login in a proxy's URL is used where none was given.
 *
 * @param request  A client's request.
 * @param target   0 the server, 1 the proxy.
 * @param scheme   1 Basic, 8 Digest: WinHTTP's numbers.
 * @param user     In UTF-8; copied. Replaces what was given for this target and scheme.
 * @param password In UTF-8; copied.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: a text is NULL or not UTF-8 or has control characters, a user name for Basic has a colon, or
 *         target or scheme is unknown;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request of a client.
 *
 * Any thread. Does not wait. As WinHttpSetCredentials. RFC 7617, RFC 7616.
 */
WS_API ws_status ws_set_credentials(ws_handle request, uint32_t target, uint32_t scheme, const char *user,
                                    const char *password) WS_NOEXCEPT;

/**
 * Asks for a header of the peer by its name: of the answer (client), of the request (server).
 *
 * @param request The request, or a protocol component, after its handshake; it stays possible after the upgrade.
 * @param name    Compared without regard to case.
 * @param index   Which one of several with this name, from 0, in the order in which they came.
 * @param value   OUT: the value as it came, terminated. NULL if *length is 0.
 * @param length  IN: the room in value, in bytes. OUT: the length without the terminator; with
 *                WS_ERROR_INSUFFICIENT_BUFFER the room that is needed, with the terminator.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: name or length is NULL, value is NULL with room, or name is not UTF-8;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request;
 *         WS_ERROR_INCORRECT_HANDLE_STATE: before the handshake;
 *         WS_ERROR_HEADER_NOT_FOUND: there are not that many; WS_ERROR_INSUFFICIENT_BUFFER.
 *
 * Any thread. Does not wait. As WinHttpQueryHeaders.
 */
WS_API ws_status ws_query_header(ws_handle request, const char *name, uint32_t index, char *value,
                                 size_t *length) WS_NOEXCEPT;

/**
 * Enumerates the peer's headers, in the order in which they came.
 *
 * @param request  The request, or a protocol component, after its handshake.
 * @param position From 0.
 * @param name     OUT: a terminated text of the library, valid until the request is closed.
 * @param value    OUT: likewise.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: name or value is NULL;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request;
 *         WS_ERROR_INCORRECT_HANDLE_STATE: before the handshake;
 *         WS_ERROR_HEADER_NOT_FOUND: position is the number of headers or more; WS_ERROR_NOT_ENOUGH_MEMORY.
 *
 * Any thread. Does not wait.
 */
WS_API ws_status ws_query_header_at(ws_handle request, uint32_t position, const char **name,
                                    const char **value) WS_NOEXCEPT;

/**
 * Asks for the HTTP status of the answer.
 *
 * @param request     A client's request, or a client's protocol component, after its handshake.
 * @param http_status OUT: 101 for an upgrade, else why not: 401, 404, …
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: http_status is NULL;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request of a client;
 *         WS_ERROR_INCORRECT_HANDLE_STATE: before the handshake.
 *
 * Any thread. Does not wait. As WinHttpQueryHeaders(WINHTTP_QUERY_STATUS_CODE).
 */
WS_API ws_status ws_query_response(ws_handle request, uint16_t *http_status) WS_NOEXCEPT;

/**
 * Reads the body of the answer that refused an upgrade. It was read with the head, up to 64 KiB: this never waits.
 *
 * @param request A client's request, after its handshake.
 * @param buffer  OUT: the next bytes.
 * @param length  The room in buffer, in bytes; not 0.
 * @param read    OUT: how many were written; 0 = the end.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: buffer or read is NULL, or length is 0;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request of a client;
 *         WS_ERROR_INCORRECT_HANDLE_STATE: before the handshake.
 *
 * Any thread. Does not wait. As WinHttpReadData.
 */
WS_API ws_status ws_read_body(ws_handle request, void *buffer, size_t length, size_t *read) WS_NOEXCEPT;

/* ===================================================================================================================
 *  6. Websockets: more ways to receive, send and close
 * =================================================================================================================== */

/**
 * Receives a whole message, or the peer's close frame.
 *
 * The message lies in memory of the library and stays there until the next receive of any kind on this handle, or until the handle is
 * closed; memory above 64 KiB is given back by that receive. An empty message has length 0; for WS_CLOSE_FRAME, which means what it does
 * for ws_receive, data is NULL. A wait that ends in the middle of a message loses nothing: the next call goes on. ws_receive cannot
 * take over a message that was begun here, nor this function one that ws_receive has begun.
 *
 * @param websocket The connection.
 * @param data      OUT: the message.
 * @param length    OUT: of data, in bytes; at most WS_OPTION_MAX_MESSAGE, 16 MiB if that was not set.
 * @param type      OUT: WS_BINARY_MESSAGE, WS_UTF8_MESSAGE or WS_CLOSE_FRAME.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: a pointer is NULL;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket;
 *         WS_ERROR_INVALID_OPERATION: as for ws_receive, or a message that ws_receive has begun is not at its end;
 *         WS_ERROR_MESSAGE_TOO_BIG: the message is larger than length says; the peer was told so (1009), and the connection is over;
 *         WS_ERROR_NOT_ENOUGH_MEMORY: the connection lives on, and the next call goes on;
 *         WS_ERROR_TIMEOUT, WS_ERROR_CANCELLED, WS_ERROR_CONNECTION, WS_ERROR_PEER_LOST, WS_ERROR_PROTOCOL_VIOLATION,
 *         WS_ERROR_INVALID_PAYLOAD: as for ws_receive.
 *
 * Any thread, one at a time; another may send meanwhile. Waits. RFC 6455 §6.2.
 */
WS_API ws_status ws_receive_message(ws_handle websocket, const void **data, size_t *length,
                                    ws_buffer_type *type) WS_NOEXCEPT;

/**
 * Receives one piece without a copy: where the library has read it to. For asynchronous sessions.
 *
 * On the thread that drives the loop a piece that is there already comes at once. Else, and from any other thread, the event brings it. A piece is
 * what has arrived of a message, as for ws_receive with a buffer without limit.
 *
 * @param websocket The connection.
 * @param data      OUT: the piece; valid until the callback returns, or until the next ws_loop_wait. Only of WS_OK.
 * @param length    OUT: of data, in bytes.
 * @param type      OUT: as of ws_receive.
 *
 * @return WS_OK; WS_PENDING: WS_EVENT_RECEIVED brings the piece; the errors of ws_receive;
 *         WS_ERROR_NOT_SUPPORTED: the session is a blocking one;
 *         WS_ERROR_INVALID_OPERATION: another receive is pending, or events carry whole messages;
 *         WS_ERROR_INVALID_PARAMETER: a pointer is NULL;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket.
 *
 * Any thread. Does not wait.
 */
WS_API ws_status ws_receive_view(ws_handle websocket, const void **data, size_t *length,
                                 ws_buffer_type *type) WS_NOEXCEPT;

/**
 * Sends a message, or a part of one, that lies in several places: as one frame, without putting it together first. With flags.
 *
 * WS_SEND_WHOLE refuses to become a part of a fragmented message that another thread has begun. WS_SEND_UNCOMPRESSED sends the message
 * that begins here as it is, where others are compressed (WS_OPTION_COMPRESSION); it changes nothing in the middle of one. WS_SEND_NOTIFY asks for
 * WS_EVENT_SENT with operation_context; asynchronous sessions only.
 *
 * @param websocket         The connection.
 * @param type              As for ws_send.
 * @param flags             0, WS_SEND_UNCOMPRESSED, WS_SEND_WHOLE, WS_SEND_NOTIFY, or several of them.
 * @param parts             The bytes, in order. NULL if count is 0.
 * @param count             How many parts; 0 is an empty message. Up to 16 take no memory.
 * @param operation_context With WS_SEND_NOTIFY: given back in the event; never followed.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: parts is NULL with a count, a part's data is NULL with a length, a flag is unknown, or as for
 *         ws_send;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket;
 *         WS_ERROR_INVALID_OPERATION: a close frame was sent or received, or WS_SEND_WHOLE met an open fragmented message;
 *         WS_ERROR_NOT_SUPPORTED: WS_SEND_NOTIFY on a blocking session;
 *         WS_ERROR_NOT_ENOUGH_MEMORY: nothing was sent;
 *         WS_ERROR_TIMEOUT, WS_ERROR_CANCELLED, WS_ERROR_CONNECTION, WS_ERROR_PEER_LOST: as for ws_send.
 *
 * Any thread, also several at once, as ws_send. Waits until the bytes are taken. RFC 6455 §5.4, §6.1.
 */
WS_API ws_status ws_send_ex(ws_handle websocket, ws_buffer_type type, uint32_t flags, const ws_bytes *parts,
                            size_t count, void *operation_context) WS_NOEXCEPT;

/**
 * Sends a ping. The library keeps connections alive by itself; this is for programs that measure: WS_OPTION_STATISTICS tells how long
 * the answer took.
 *
 * The pong is taken by whoever receives: a thread in ws_receive, or the library if nobody does. Only the answer to the last ping counts.
 * A ping that cannot be sent at once waits its turn and does not hold the caller up; another one then takes its place.
 *
 * @param websocket The connection.
 * @param payload   Any bytes; they come back in the pong. NULL if length is 0.
 * @param length    At most 125.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: payload is NULL with a length, or length is above 125;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket;
 *         WS_ERROR_INVALID_OPERATION: a close frame was sent or received; WS_ERROR_CONNECTION, WS_ERROR_PEER_LOST, or why else the
 *         connection is over.
 *
 * Any thread. Does not wait. RFC 6455 §5.5.2.
 */
WS_API ws_status ws_ping(ws_handle websocket, const void *payload, size_t length) WS_NOEXCEPT;

/**
 * Sends a close frame and does not wait for the peer's: nothing more can be sent, but receiving goes on until it comes.
 *
 * @param websocket The connection.
 * @param status    As for ws_close.
 * @param reason    As for ws_close.
 * @param length    As for ws_close.
 *
 * @return WS_OK: it was sent, or the peer's was answered already;
 *         WS_ERROR_INVALID_PARAMETER: status, reason or length is not as for ws_close;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket;
 *         WS_ERROR_INVALID_OPERATION: a close frame was sent by ws_close or ws_shutdown before;
 *         WS_ERROR_TIMEOUT; WS_ERROR_CANCELLED; WS_ERROR_CONNECTION.
 *
 * Any thread. Waits until the frame is taken, up to WS_OPTION_CLOSE_TIMEOUT. As WinHttpWebSocketShutdown. RFC 6455 §7.1.
 */
WS_API ws_status ws_shutdown(ws_handle websocket, uint16_t status, const void *reason, size_t length) WS_NOEXCEPT;

/**
 * Tells the status and the reason of the peer's close frame, as often as it is asked.
 *
 * @param websocket The connection, or a protocol component.
 * @param status    OUT: the status; WS_CLOSE_EMPTY if the close frame had none.
 * @param reason    OUT: the reason in UTF-8, not terminated. NULL if capacity is 0. 123 bytes are always enough.
 * @param capacity  The room in reason, in bytes.
 * @param length    OUT: how many bytes were written; with WS_ERROR_INSUFFICIENT_BUFFER how many are needed.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: status or length is NULL, or reason is NULL with a capacity;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket;
 *         WS_ERROR_INVALID_OPERATION: the peer has not sent a close frame; WS_ERROR_INSUFFICIENT_BUFFER.
 *
 * Any thread. Does not wait. As WinHttpWebSocketQueryCloseStatus. RFC 6455 §7.1.5, §7.1.6.
 */
WS_API ws_status ws_query_close_status(ws_handle websocket, uint16_t *status, void *reason, size_t capacity,
                                       size_t *length) WS_NOEXCEPT;

/* ===================================================================================================================
 *  7. Servers
 *
 *  A listener gives requests; each is upgraded by ws_complete_upgrade or answered by ws_respond. The library refuses by itself,
 *  with a page that says why: a path that is not listened to (404), another version of the protocol (426), an upgrade that breaks
 *  the rules (400, 405, 431), an Origin of another host (403, unless WS_OPTION_ORIGINS allows it), an upgrade above
 *  WS_OPTION_MAX_CONNECTIONS (503). A request that does not ask
 *  for a WebSocket (WS_OPTION_IS_WEBSOCKET) is left to the program.
 * =================================================================================================================== */

/**
 * Begins to listen.
 *
 * @param session  The session whose options the listener inherits.
 * @param url      "ws://address:port/path": an address of this machine or a name for one, port 0 = any free one (WS_OPTION_URL
 *                 tells which), and the path as a prefix: requests for other paths are answered 404. Copied. "wss://…" needs
 *                 WS_OPTION_TLS_CERTIFICATE, of the session now or of the listener later; a listener's can be renewed at any time.
 * @param listener OUT: the listener; ws_close_handle stops listening, and leaves what was accepted alone.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: url or listener is NULL, or url is not UTF-8;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: session is not an open session;
 *         WS_ERROR_INVALID_URL; WS_ERROR_UNRECOGNIZED_SCHEME; WS_ERROR_NAME_NOT_RESOLVED;
 *         WS_ERROR_ADDRESS_IN_USE; WS_ERROR_CANNOT_CONNECT: the system refuses the address;
 *         WS_ERROR_CERT_INVALID: certificate and key do not belong together;
 *         WS_ERROR_NOT_SUPPORTED: wss in a build without TLS; WS_ERROR_NOT_ENOUGH_MEMORY.
 *
 * Any thread. Does not wait, but for the name. As HttpAddUrl of the HTTP server API.
 */
WS_API ws_status ws_listen(ws_handle session, const char *url, ws_handle *listener) WS_NOEXCEPT;

/**
 * Waits for a client to connect. Nothing is read from it yet: ws_handshake or ws_complete_upgrade do that, best on another thread.
 *
 * While WS_OPTION_MAX_HANDSHAKES requests of this listener are neither answered nor closed, it waits, and clients wait in the
 * system's backlog. A client has WS_OPTION_HANDSHAKE_TIMEOUT from here on to send its request; a request that nobody handshakes stays until it
 * is closed.
 *
 * @param listener The listener.
 * @param request  OUT: the client's request; close it with ws_close_handle.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: request is NULL;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: listener is not an open listener;
 *         WS_ERROR_CANCELLED: ws_cancel, or the listener was closed meanwhile; WS_ERROR_CONNECTION: the system cannot accept, try again;
 *         WS_ERROR_CERT_INVALID: wss without a certificate, or as for ws_listen; WS_ERROR_NOT_ENOUGH_MEMORY.
 *
 * Any thread, also several at once. Waits without limit. As HttpReceiveHttpRequest of the HTTP server API.
 */
WS_API ws_status ws_accept(ws_handle listener, ws_handle *request) WS_NOEXCEPT;

/**
 * Answers a request with something else than a WebSocket: an error, or a page. The connection ends with it.
 *
 * Reads the request first if ws_handshake did not. Headers are added by ws_add_header before; Content-Length and
 * Connection: close come from the library.
 *
 * @param request      A server's request that was not upgraded or answered; or a server's protocol component that has told of a
 *                     request: the answer comes out as actions.
 * @param http_status  200-599.
 * @param content_type The Content-Type. NULL = none.
 * @param body         The body. NULL if length is 0.
 * @param length       Of body, in bytes.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: http_status is not as above, body is NULL with a length, or content_type is not UTF-8;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: request is not an open request of a server;
 *         WS_ERROR_INCORRECT_HANDLE_STATE: it was upgraded or answered already; WS_ERROR_INVALID_HEADER: content_type;
 *         WS_ERROR_UPGRADE_REFUSED: as ws_handshake; WS_ERROR_TIMEOUT, WS_ERROR_CONNECTION, WS_ERROR_CANCELLED.
 *
 * Any thread. Waits, up to WS_OPTION_HANDSHAKE_TIMEOUT.
 */
WS_API ws_status ws_respond(ws_handle request, uint16_t http_status, const char *content_type, const void *body,
                            size_t length) WS_NOEXCEPT;

/**
 * Ends a listener's connections in good order: stops accepting, and closes them spread over a time, so that not all clients come back at once.
 * For asynchronous sessions.
 *
 * @param listener     The listener.
 * @param close_status As for ws_close; 1001 or 1012 is meant for this.
 * @param spread_ms    Over how many milliseconds the close frames are sent.
 * @param deadline_ms  After how many milliseconds the rest is dropped; 0 = none.
 *
 * @return WS_PENDING: WS_EVENT_DRAINED tells that no connection is left;
 *         WS_ERROR_INVALID_PARAMETER: close_status may not be sent; WS_ERROR_NOT_SUPPORTED: the session is a blocking one, whose program closes its
 *         websockets itself; WS_ERROR_INVALID_OPERATION: it is being drained;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: listener is not an open listener.
 *
 * Any thread. Does not wait.
 */
WS_API ws_status ws_drain(ws_handle listener, uint16_t close_status, uint32_t spread_ms,
                          uint32_t deadline_ms) WS_NOEXCEPT;

/**
 * Makes a request that speaks over a stream socket which is connected already: one of a proxy or a tunnel, or of a socket pair.
 *
 * There is one attempt over it: after a handshake that failed, was refused or was cancelled, the request cannot make another.
 *
 * @param session    The session.
 * @param descriptor A connected stream socket, TCP or Unix; the library owns it from WS_OK on, makes it close-on-exec and closes it. Its
 *                   number may be used again at once.
 * @param url        As for ws_connect; it gives the Host header and the path, nothing is resolved. wss: TLS is spoken over it.
 * @param request    OUT: the request, as of ws_connect. Addresses of a Unix socket are empty texts.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: url or request is NULL, url is not UTF-8, or descriptor is not as above;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: session is not an open session;
 *         WS_ERROR_INVALID_URL; WS_ERROR_UNRECOGNIZED_SCHEME; WS_ERROR_NOT_SUPPORTED: as for ws_connect;
 *         WS_ERROR_CONNECTION: the system refuses to use the socket; WS_ERROR_NOT_ENOUGH_MEMORY.
 *
 * Any thread. Does not wait.
 */
WS_API ws_status ws_connect_descriptor(ws_handle session, int64_t descriptor, const char *url,
                                       ws_handle *request) WS_NOEXCEPT;

/**
 * Makes a server's request of a stream socket which was accepted already. No path is refused, and no limit of a listener counts it.
 *
 * @param session    The session.
 * @param descriptor As for ws_connect_descriptor. WS_OPTION_HANDSHAKE_TIMEOUT runs from this call on. If the session has a
 *                   WS_OPTION_TLS_CERTIFICATE, the client is to speak TLS: there is no URL that could say so.
 * @param request    OUT: the request, as of ws_accept. Addresses of a Unix socket are empty texts.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: request is NULL, or descriptor is not as for ws_connect_descriptor;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: session is not an open session;
 *         WS_ERROR_CERT_INVALID: as for ws_listen;
 *         WS_ERROR_CONNECTION: the system refuses to use the socket; WS_ERROR_NOT_ENOUGH_MEMORY.
 *
 * Any thread. Does not wait.
 */
WS_API ws_status ws_accept_descriptor(ws_handle session, int64_t descriptor, ws_handle *request) WS_NOEXCEPT;

/* ===================================================================================================================
 *  8. Options
 *
 *  Each says the type and the unit of its value, whether it can only be queried, its range, its default, and which handles
 *  have it: "all" are session, request, websocket and listener. A u32 is exactly four bytes; a text is UTF-8 with its length.
 *  Values are copied. What is made from a handle inherits its options as they are at that moment.
 * =================================================================================================================== */

/**
 * Sets an option.
 *
 * Values are copied; a file that an option names is read at once. What is made from the handle later inherits them; what was made before does not change.
 *
 * @param any    A handle that has the option.
 * @param option WS_OPTION_CLOSE_TIMEOUT or another.
 * @param value  A u32, a u64, a pointer (each in its own size), or a text in UTF-8, which needs no terminator.
 * @param length Of value, in bytes: exactly 4 for a u32, 8 for a u64, sizeof(void *) for a pointer. 0 is the empty text.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: value is NULL with a length, length is not the value's, or the value is out of its range;
 *         WS_ERROR_INVALID_HANDLE; WS_ERROR_INVALID_OPTION: there is none with this number;
 *         WS_ERROR_OPTION_NOT_SETTABLE: it can only be queried;
 *         WS_ERROR_INCORRECT_HANDLE_TYPE: this kind of handle does not have it;
 *         WS_ERROR_INCORRECT_HANDLE_STATE: too late; WS_ERROR_NOT_SUPPORTED: not part of this build.
 *
 * Any thread. Does not wait. As WinHttpSetOption.
 */
WS_API ws_status ws_set_option(ws_handle any, ws_option option, const void *value, size_t length) WS_NOEXCEPT;

/**
 * Asks for the value of an option.
 *
 * A text is written with a terminator, which its length does not count. To learn the room it needs, ask with value NULL and
 * *length 0: WS_ERROR_INSUFFICIENT_BUFFER, and *length is what to allocate, with the terminator.
 *
 * @param any    A handle that has the option; for WS_OPTION_FEATURES also WS_NO_HANDLE.
 * @param option WS_OPTION_URL or another.
 * @param value  OUT: the value. NULL if *length is 0.
 * @param length IN: the room in value, in bytes. OUT: the value's length, without a text's terminator; with
 *               WS_ERROR_INSUFFICIENT_BUFFER the room that is needed.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: length is NULL, or value is NULL with room;
 *         WS_ERROR_INVALID_HANDLE; WS_ERROR_INVALID_OPTION: there is none with this number;
 *         WS_ERROR_INCORRECT_HANDLE_TYPE: this kind of handle does not have it;
 *         WS_ERROR_INCORRECT_HANDLE_STATE: too early; WS_ERROR_INSUFFICIENT_BUFFER; WS_ERROR_NOT_SUPPORTED: not part of this build.
 *
 * Any thread. Does not wait. As WinHttpQueryOption.
 */
WS_API ws_status ws_query_option(ws_handle any, ws_option option, void *value, size_t *length) WS_NOEXCEPT;

/** Options. */
enum {
    /** u32, ms. One attempt to connect; 0 = no limit, as for every timeout. Default 30000. Session, client's request. */
    WS_OPTION_CONNECT_TIMEOUT = 3,
    /** u32, ms. One call of ws_receive. Default 0. All. */
    WS_OPTION_RECEIVE_TIMEOUT = 6,
    /** Text, query. Of a listener with the real port. Request, websocket, listener, protocol component. */
    WS_OPTION_URL = 34,
    /** void *. The program's own pointer, never followed. Default NULL. All, protocol component. */
    WS_OPTION_CONTEXT = 45,
    /** u32, bytes, 256-16777216. The peer's HTTP head. Default 65536. Session, request, listener, protocol component. */
    WS_OPTION_MAX_HEAD_SIZE = 91,
    /** u32, ms. The whole closing handshake. Default 10000. All, protocol component. */
    WS_OPTION_CLOSE_TIMEOUT = 115,
    /** u32, ms, 0 = off, at least 100. Silence after which a ping is sent. Default 30000. All, protocol component. */
    WS_OPTION_KEEPALIVE_INTERVAL = 116,
    /** u32, bytes, 1024-16777216. Read ahead at a time. Default 32768. Session, request, listener, protocol component. */
    WS_OPTION_RECEIVE_BUFFER_SIZE = 122,
    /** u32, bytes, 1024-16777216. Masked at a time by a client that sends more; 65536 at least are used. Default 32768. Session, request, listener, protocol component. */
    WS_OPTION_SEND_BUFFER_SIZE = 123,
    /** u32, ms. The whole handshake; of a server from the accept to the end of the head. Default 30000. Session, request, listener, protocol component. */
    WS_OPTION_HANDSHAKE_TIMEOUT = 13000,
    /** u32, ms. One call of ws_send. Default 0. All. */
    WS_OPTION_SEND_TIMEOUT = 13001,
    /** u32, ms. How long a ping may go unanswered; 0 = for ever. Default 20000. All, protocol component. */
    WS_OPTION_KEEPALIVE_TIMEOUT = 13002,
    /** u32, ms. The whole name lookup. Default 10000. Session, client's request. */
    WS_OPTION_RESOLVE_TIMEOUT = 13003,
    /** u64, bytes, not 0. Default 16777216 for whole messages; pieces are bounded only if it was set. All, protocol component. */
    WS_OPTION_MAX_MESSAGE = 13010,
    /** u32, not 0. Frames that one message may have. Default 131072. All, protocol component. */
    WS_OPTION_MAX_FRAGMENTS = 13011,
    /** u32, 16-65536. Fields of the peer's HTTP head. Default 128. Session, request, listener, protocol component. */
    WS_OPTION_MAX_HEADERS = 13012,
    /** u64, bytes, not 0. What may wait to be sent. Default 16777216. All. */
    WS_OPTION_SEND_QUEUE_LIMIT = 13013,
    /** u64, bytes, query. What waits to be sent: the rest of a frame whose send has ended early. Websocket. */
    WS_OPTION_BUFFERED_AMOUNT = 13014,
    /** u32, 0 = no limit. Websockets of a listener whose handles are open; upgrades above that are answered 503. Default 0. Session, listener. */
    WS_OPTION_MAX_CONNECTIONS = 13015,
    /** u32, 0 = no limit. Accepted requests that are not answered; ws_accept waits above that. Default 0. Session, listener. */
    WS_OPTION_MAX_HANDSHAKES = 13016,
    /** u32, 0 or 1. The program answers the peer's close frame itself. Default 0. All, protocol component. */
    WS_OPTION_MANUAL_CLOSE = 13020,
    /** u32, 0 or 1. TCP_NODELAY. Default 1. All. */
    WS_OPTION_NODELAY = 13021,
    /** u32, 0 or 1. Check text for UTF-8 before it is sent. Default 1. All, protocol component. */
    WS_OPTION_CHECK_SENT_TEXT = 13022,
    /** u32, 0 or 1. A signal ends a wait with WS_ERROR_INTERRUPTED. Default 0. All. */
    WS_OPTION_INTERRUPTIBLE = 13023,
    /** Text, "a, b": offered by a client; known to a server, the best first. Default "". Session, request, listener, protocol component. */
    WS_OPTION_SUBPROTOCOLS = 13030,
    /** Text, query. The chosen one, "" = none. Request after its handshake, websocket, protocol component. */
    WS_OPTION_SUBPROTOCOL = 13031,
    /** Text, query. As agreed, "" = none. Websocket, protocol component. */
    WS_OPTION_EXTENSIONS = 13032,
    /** Text, "https://a.example, …": what a server accepts besides its own; "*" = any. Default "". Session, listener, server's request, protocol component. */
    WS_OPTION_ORIGINS = 13033,
    /** u32, query. 1 if it asks for a WebSocket. Server's request after its handshake, protocol component. */
    WS_OPTION_IS_WEBSOCKET = 13034,
    /** Text, query. Of the request line. Server's request after its handshake, protocol component. */
    WS_OPTION_METHOD = 13035,
    /** Text, query. Of the request line: path and query. Server's request after its handshake, protocol component. */
    WS_OPTION_TARGET = 13036,
    /** Text, query. "127.0.0.1:8000"; IPv6 in brackets. Request once it is connected, websocket, listener. */
    WS_OPTION_LOCAL_ADDRESS = 13037,
    /** Text, query. Likewise, of the peer. Request once it is connected, websocket. */
    WS_OPTION_REMOTE_ADDRESS = 13038,
    /** u32, query. Bits: 1 a close frame was sent, 2 one was received. Websocket, protocol component. */
    WS_OPTION_CLOSE_STATE = 13039,
    /** u32, query. 1 session, 2 request, 3 websocket, 4 listener, 5 loop, 6 prepared message, 7 protocol component. All, protocol component. */
    WS_OPTION_HANDLE_KIND = 13040,
    /** u32, query. What this build can do. Bits: 1 TLS, 2 permessage-deflate, 4 server. All, protocol component, and WS_NO_HANDLE. */
    WS_OPTION_FEATURES = 13041,
    /** ws_statistics, query. Set its size before. A receive under way is counted when it ends. Websocket, protocol component (bytes, frames and messages alone). */
    WS_OPTION_STATISTICS = 13042,
    /** Text, query. The request line and the headers as they were sent, each with its CR LF. Client's request after its handshake. */
    WS_OPTION_REQUEST_HEAD = 13043,
    /** Text, query. What the server wrote behind the status, for people: "Switching Protocols". Client's request after its handshake. */
    WS_OPTION_REASON_PHRASE = 13044,
    /** ws_handle. The loop that drives an asynchronous session; set before anything is made from it. Default 0. Session. */
    WS_OPTION_LOOP = 13050,
    /** u32, 1-256. The library's own threads for an asynchronous session without a loop. Default 1. Session. */
    WS_OPTION_IO_THREADS = 13051,
    /** u32, 0 or 1. WS_EVENT_PING and WS_EVENT_PONG are wanted; asynchronous sessions only. Default 0. All. */
    WS_OPTION_PING_EVENTS = 13052,
    /** u32, 0 or 1. Events carry whole messages, and no receive is posted; asynchronous sessions only. Default 0. All. */
    WS_OPTION_WHOLE_MESSAGES = 13053,
    /** ws_compression. Of a websocket what was agreed on, all 0 = nothing. Session, request, listener, protocol component; query: websocket. */
    WS_OPTION_COMPRESSION = 13060,
    /** Text, "http://user:password@host:port" or "socks5://…"; a query leaves the login out. Default "". Session, client's request. */
    WS_OPTION_PROXY = 13070,
    /** u32, 0 or 1. Without WS_OPTION_PROXY, read http_proxy, https_proxy, all_proxy, no_proxy. Default 0. Session, client's request. */
    WS_OPTION_PROXY_ENVIRONMENT = 13071,
    /** u32, 0-100. How many redirects are followed; never one from wss to ws. Default 0. Session, client's request. */
    WS_OPTION_REDIRECTS = 13072,
    /** Text, "192.0.2.1" or "::1", "" = any. The own address to connect from. Default "". Session, client's request. */
    WS_OPTION_BIND_ADDRESS = 13073,
    /** Text: PEM, or the path of a file with it. The only CAs that are trusted; a server's own certificate among them is as well. "" = the system's (on Linux SSL_CERT_FILE and SSL_CERT_DIR may name them). Default "". Session, client's request. */
    WS_OPTION_TLS_CA = 13080,
    /** Text: PEM, or a file. The own certificate, and its chain behind it; of a server several, chosen by the name that is asked for; perhaps with the keys. Default "". Session, client's request, listener. */
    WS_OPTION_TLS_CERTIFICATE = 13081,
    /** Text: PEM, or a file. Private keys to the certificates, without a password, in any order; cannot be queried. "" = they are in the same text. Session, client's request, listener. */
    WS_OPTION_TLS_KEY = 13082,
    /** Text. The name that is asked for and that the certificate must have; "" = the URL's. Default "". Session, client's request. */
    WS_OPTION_TLS_SERVER_NAME = 13083,
    /** Text, "sha256//BASE64, …". Public keys of which the server must have one, besides all the rest; "" = any. Default "". Session, client's request. */
    WS_OPTION_TLS_PINS = 13084,
    /** u32, bits. DANGER: what is forgiven a server, so that anybody may be it: 1 an unknown issuer, 2 another name, 4 a wrong date. Default 0. Session, client's request. */
    WS_OPTION_TLS_DANGER = 13085,
    /** u32, 12 or 13. The least version: TLS 1.2 or 1.3. Default 12. Session, client's request, listener. */
    WS_OPTION_TLS_MIN_VERSION = 13086,
    /** Text: PEM, or a file. CAs of clients: then each must show a certificate. Default "". Session, listener. */
    WS_OPTION_TLS_CLIENT_CA = 13087,
    /** Bytes, query. The peer's own certificate, DER; none = it showed none. Request after its handshake, websocket. */
    WS_OPTION_TLS_PEER_CERTIFICATE = 13088,
    /** Text, query. "TLSv1.3"; "" = not secured. Request after its handshake, websocket. */
    WS_OPTION_TLS_VERSION = 13089,
    /** Text, query. "TLS13_AES_128_GCM_SHA256"; "" = not secured. Request after its handshake, websocket. */
    WS_OPTION_TLS_CIPHER = 13090,
    /** u32, 0 or 1. Write the keys of connections to the file that the environment's SSLKEYLOGFILE names: whoever reads it can read them. Default 0. Session, client's request, listener. */
    WS_OPTION_TLS_KEY_LOG = 13091,
};

/**
 * permessage-deflate (RFC 7692), for WS_OPTION_COMPRESSION. Set `size` to sizeof(ws_compression), and `enabled`; 0 is a good choice for
 * everything else.
 *
 * A side that keeps its window from message to message compresses small messages far better, and needs memory for it on both sides while the
 * connection is open: up to 380 KiB to send, 48 KiB to receive. Where windows are forgotten that memory is shared by all connections of a session.
 *
 * What one end of a connection takes beyond what it takes without compression, measured: where windows are forgotten 1 KiB idle, up to 64 KiB while
 * a compressed message is half received, and 380 KiB while one is being compressed, which the next one reuses. Where windows are kept, 360 KiB from the
 * first few messages on, idle or not.
 */
typedef struct ws_compression {
    /** sizeof(ws_compression), set by the caller. */
    uint32_t size;
    /** 1 = offer it, or accept an offer. */
    uint32_t enabled;
    /** The client forgets its window after each message: 1 yes; 2 no, unless the peer wants it; 0 = 1 for a server, 2 for a client. */
    uint32_t client_no_context_takeover;
    /** The server does. */
    uint32_t server_no_context_takeover;
    /** The largest window of the client, 2^8 to 2^15 bytes: 8-15; 0 = 15. */
    uint32_t client_max_window_bits;
    /** Of the server. 8-15; 0 = 15. */
    uint32_t server_max_window_bits;
    /** 1 fast - 9 small; 0 = 6. */
    uint32_t level;
    /** Smaller messages are sent uncompressed, in bytes; 0 = 64 where the sender keeps its window, 1024 where it does not. */
    uint32_t threshold;
} ws_compression;

/** What a connection has done so far, for WS_OPTION_STATISTICS. Set `size` to sizeof(ws_statistics). */
typedef struct ws_statistics {
    uint32_t size;                  /**< sizeof(ws_statistics), set by the caller. */
    uint32_t rtt_min_us;            /**< Ping to pong, in microseconds; 0 = none was measured. */
    uint32_t rtt_average_us;        /**< The mean of all. */
    uint32_t rtt_max_us;            /**< The longest. */
    uint64_t bytes_received;        /**< From the transport, frame headers included. */
    uint64_t bytes_sent;            /**< To the transport, frame headers included. */
    uint64_t frames_received;       /**< Of every kind. */
    uint64_t frames_sent;           /**< Of every kind. */
    uint64_t messages_received;     /**< Whole messages. */
    uint64_t messages_sent;         /**< Whole messages. */
    uint64_t send_queue_high_water; /**< The most bytes that ever waited to be sent. */
    uint64_t idle_ms;               /**< Since the library last saw a sign of life of the peer. */
    uint64_t memory;                /**< Bytes of memory that the connection owns, its socket apart. */
} ws_statistics;

/* ===================================================================================================================
 *  9. Events and loops
 *
 *  For programs with many connections and few threads: a session that is opened with WS_FLAG_ASYNC.
 *
 *  A call on a handle of an asynchronous session returns WS_OK (done now, no event), WS_PENDING (exactly one event tells the
 *  end) or an error (no event), and does not wait, whatever its description says of waiting. WS_PENDING may come from:
 *  ws_handshake, ws_complete_upgrade, ws_accept, ws_respond, ws_receive, ws_receive_message, ws_receive_view, ws_shutdown,
 *  ws_close, ws_drain, and ws_send_ex with WS_SEND_NOTIFY. What is posted stays the library's until its event: the buffer of
 *  ws_receive must not be read, written or freed before. A program drains with `while ((status = ws_receive(...)) == WS_OK)`.
 *
 *  Who drives. A session without WS_OPTION_LOOP is driven by threads of the library (WS_OPTION_IO_THREADS), which call callbacks
 *  (ws_set_callback). With WS_OPTION_LOOP the program drives: ws_loop_run calls callbacks on the calling thread, ws_loop_wait
 *  returns batches, so that no foreign thread ever enters the program's runtime. A connection never changes its loop.
 *
 *  Callbacks never come from inside a call of the program's, never under a lock, never two at once for one connection. They may
 *  call anything that does not wait, close any handle, and post the operation whose end they tell of. WS_EVENT_HANDLE_CLOSED
 *  comes exactly once for every handle of the session, and last: after it nothing of the library knows the handle's context.
 *
 *  Sending never waits. ws_send copies what the system does not take at once; beyond WS_OPTION_SEND_QUEUE_LIMIT it answers
 *  WS_ERROR_WOULD_BLOCK, has taken nothing, and WS_EVENT_WRITABLE tells when to go on. What is sent over a connection whose event
 *  is being handled is gathered, and leaves when the callback, or the batch, is done.
 *
 *  Receiving: a posted buffer (ws_receive), a look at the library's own memory (ws_receive_view), or whole messages as events
 *  (WS_OPTION_WHOLE_MESSAGES). A connection that nobody receives on is read 16 KiB ahead at most; then TCP stops its peer.
 * =================================================================================================================== */

/**
 * Kinds of event (ws_event_type). Up to 31: completions of an operation that returned WS_PENDING; a failure is in `status`.
 * From 32: indications, which no operation asked for.
 */
enum {
    WS_EVENT_RECEIVED = 1,          /**< ws_receive has data or the peer's close frame. */
    WS_EVENT_SENT = 2,              /**< The kernel has what ws_send_ex was given with WS_SEND_NOTIFY. */
    WS_EVENT_CLOSE_COMPLETE = 3,    /**< ws_close is done. */
    WS_EVENT_SHUTDOWN_COMPLETE = 4, /**< ws_shutdown is done. */
    WS_EVENT_HANDSHAKEN = 5,        /**< ws_handshake is done. */
    WS_EVENT_UPGRADED = 6,          /**< ws_complete_upgrade is done; `child` is the websocket. */
    WS_EVENT_ACCEPTED = 7,          /**< ws_accept is done; `child` is the request. */
    WS_EVENT_RESPONDED = 8,         /**< ws_respond is done. */
    WS_EVENT_DRAINED = 9,           /**< ws_drain is done. */
    WS_EVENT_WRITABLE = 32,         /**< After WS_ERROR_WOULD_BLOCK: the queue is half empty again. */
    WS_EVENT_PING = 33,             /**< A ping came and was answered; its payload is in `data`. */
    WS_EVENT_PONG = 34,             /**< A pong came; its payload is in `data`. */
    WS_EVENT_WOKEN = 35,            /**< ws_loop_wake was called. */
    WS_EVENT_HANDLE_CLOSED = 63,    /**< The last event of a handle: free its context now. */
};

/**
 * One event. Frozen: 96 bytes where pointers have 64 bits. `data` and `error` live as long as the event does: until the callback
 * returns, or until the next ws_loop_wait on the same loop.
 */
typedef struct ws_event {
    ws_event_type type;         /**< WS_EVENT_RECEIVED and its kin. */
    ws_status status;           /**< WS_OK, or why the operation failed. */
    ws_handle handle;           /**< The handle that the event is about. */
    ws_handle child;            /**< WS_EVENT_UPGRADED: the websocket. WS_EVENT_ACCEPTED: the request. */
    void *context;              /**< WS_OPTION_CONTEXT of the handle. */
    void *operation_context;    /**< Of ws_send_ex; else NULL. */
    const void *data;           /**< The received bytes (for ws_receive, the buffer that was posted), or a ping's payload. */
    size_t length;              /**< Of data. */
    ws_buffer_type buffer_type; /**< Of received data. */
    ws_operation operation;     /**< The operation that ended. */
    const ws_error_info *error; /**< NULL when status is WS_OK. */
    uint64_t reserved[3];       /**< 0. */
} ws_event;

/** Receives the events of a handle. It must not throw or longjmp: the process would be aborted. */
typedef void (*ws_callback)(const ws_event *event, void *context);

/**
 * Says whom to tell about events of a handle, and sets its WS_OPTION_CONTEXT. What is made from the handle later inherits both.
 *
 * Events are for asynchronous sessions (chapter 9); on a blocking one the callback is stored, and never called.
 *
 * @param any      A handle of any kind.
 * @param callback NULL = nobody. It must not throw or longjmp.
 * @param context  The program's own pointer; never followed.
 *
 * @return WS_OK; WS_ERROR_INVALID_HANDLE.
 *
 * Any thread. Does not wait; a call of the former callback may still be under way. As WinHttpSetStatusCallback.
 */
WS_API ws_status ws_set_callback(ws_handle any, ws_callback callback, void *context) WS_NOEXCEPT;

/**
 * Makes a loop, for the WS_OPTION_LOOP of asynchronous sessions. Nothing happens on it until somebody drives it: ws_loop_run or ws_loop_wait.
 *
 * Closing it makes the driving call return WS_ERROR_CANCELLED and cuts every connection on it; what was pending there counts as cancelled, and
 * no event tells of it. So close the handles first, and wait for their WS_EVENT_HANDLE_CLOSED.
 *
 * @param flags 0.
 * @param loop  OUT: the loop; close it with ws_close_handle.
 *
 * @return WS_OK; WS_ERROR_INVALID_PARAMETER: loop is NULL, or flags is not 0;
 *         WS_ERROR_NOT_ENOUGH_MEMORY: the system has no descriptor left for it.
 *
 * Any thread. Does not wait.
 */
WS_API ws_status ws_loop_create(uint32_t flags, ws_handle *loop) WS_NOEXCEPT;

/**
 * Drives a loop and delivers its events by callback, until ws_loop_stop. An event for a handle without a callback is dropped.
 *
 * Callbacks come one after the other, on the calling thread, under no lock. A callback may call anything but ws_loop_run, ws_loop_wait and
 * ws_cleanup; what it sends over the connection of its event is gathered and leaves together when it is done.
 *
 * @param loop The loop.
 *
 * @return WS_OK: ws_loop_stop was called; WS_ERROR_CANCELLED: the loop was closed;
 *         WS_ERROR_INVALID_OPERATION: another call drives it, or this is a callback;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: loop is not an open loop.
 *
 * One driving thread at a time. Waits.
 */
WS_API ws_status ws_loop_run(ws_handle loop) WS_NOEXCEPT;

/**
 * Makes ws_loop_run return, or the next one if none is under way.
 *
 * @param loop The loop.
 *
 * @return WS_OK; WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: loop is not an open loop.
 *
 * Any thread. Does not wait.
 */
WS_API ws_status ws_loop_stop(ws_handle loop) WS_NOEXCEPT;

/**
 * Drives a loop until it has events, and returns them as a batch: no callback is called, and no thread but the calling one is involved.
 *
 * What the program sends over a connection of the batch is gathered and leaves with the next call. Events come in order for each handle. A handle
 * that the program closes may still have events in the same batch.
 *
 * @param loop       The loop.
 * @param events     OUT: the events; what they point to is valid until the next call on this loop.
 * @param capacity   How many events fit; not 0.
 * @param count      OUT: how many there are; 0 at the timeout.
 * @param timeout_ms How long to wait for the first, in milliseconds; 0 = not at all, WS_WAIT_FOREVER = without limit.
 *
 * @return WS_OK; WS_ERROR_INVALID_PARAMETER: events or count is NULL, or capacity is 0; WS_ERROR_CANCELLED: the loop was closed;
 *         WS_ERROR_INVALID_OPERATION: another call drives it, or this is a callback;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: loop is not an open loop.
 *
 * One driving thread at a time. Waits. As GetQueuedCompletionStatusEx.
 */
WS_API ws_status ws_loop_wait(ws_handle loop, ws_event *events, size_t capacity, size_t *count,
                              uint32_t timeout_ms) WS_NOEXCEPT;

/**
 * Wakes the driving thread with WS_EVENT_WOKEN; several calls before it wakes are one event.
 *
 * @param loop The loop.
 *
 * @return WS_OK; WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: loop is not an open loop.
 *
 * Any thread. Does not wait.
 */
WS_API ws_status ws_loop_wake(ws_handle loop) WS_NOEXCEPT;

/**
 * Gives the epoll or kqueue descriptor of a loop, to wait on it in another loop.
 *
 * @param loop       The loop; it stays the owner.
 * @param descriptor OUT: readable when ws_loop_wait has something to do.
 *
 * @return WS_OK; WS_ERROR_INVALID_PARAMETER: descriptor is NULL;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: loop is not an open loop.
 *
 * Any thread. Does not wait.
 */
WS_API ws_status ws_loop_descriptor(ws_handle loop, int64_t *descriptor) WS_NOEXCEPT;

/**
 * Tells how long an outer loop may sleep before it must call ws_loop_wait.
 *
 * @param loop       The loop.
 * @param timeout_ms OUT: in milliseconds; 0 = call now, WS_WAIT_FOREVER = only when the descriptor is readable.
 *
 * @return WS_OK; WS_ERROR_INVALID_PARAMETER: timeout_ms is NULL;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: loop is not an open loop.
 *
 * The thread that drives the loop. Does not wait.
 */
WS_API ws_status ws_loop_timeout(ws_handle loop, uint32_t *timeout_ms) WS_NOEXCEPT;

/* ===================================================================================================================
 *  10. Fan-out: one message for many connections
 * =================================================================================================================== */

/**
 * Prepares a whole message, to send it over many connections without copies.
 *
 * @param type    WS_BINARY_MESSAGE or WS_UTF8_MESSAGE.
 * @param data    The message; copied. NULL if length is 0.
 * @param length  In bytes.
 * @param message OUT: the prepared message; close it with ws_close_handle when no more sends will begin.
 *
 * @return WS_OK; WS_ERROR_INVALID_PARAMETER: message is NULL, data is NULL with a length, type is not a whole message, or a
 *         text is not UTF-8; WS_ERROR_NOT_ENOUGH_MEMORY.
 *
 * Any thread. Does not wait.
 */
WS_API ws_status ws_prepare(ws_buffer_type type, const void *data, size_t length, ws_handle *message) WS_NOEXCEPT;

/**
 * Sends a prepared message: framed and, where it was agreed on without context takeover, compressed once for all receivers. A client's copy is
 * masked afresh each time.
 *
 * @param websocket The connection.
 * @param message   The prepared message; it may be sent any number of times, from any thread.
 *
 * @return WS_OK and the errors of ws_send_ex with WS_SEND_WHOLE;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: websocket is not an open websocket, or message not an open
 *         prepared message.
 *
 * Any thread. Waits until the bytes are taken.
 */
WS_API ws_status ws_send_prepared(ws_handle websocket, ws_handle message) WS_NOEXCEPT;

/* ===================================================================================================================
 *  11. The protocol component
 *
 *  The protocol alone, for programs that bring their own transport: no socket, no thread, no clock and no entropy of its own. It is
 *  the very core of the chapters before, turned into a list of things to do, after Windows' WebSocket Protocol Component API:
 *
 *      unsigned char seed[32];                                     // from the system's generator
 *      ws_protocol_create(0, seed, &protocol);
 *      ws_protocol_begin(protocol, "ws://server.example/chat");
 *      for (;;) {
 *          ws_action action = {.size = sizeof action};
 *          size_t count = 0;
 *          ws_protocol_get_action(protocol, now(), &action);
 *          switch (action.kind) {
 *          case WS_ACTION_SEND_TO_NETWORK:           count = write_all(action.parts); break;
 *          case WS_ACTION_RECEIVE_FROM_NETWORK:      count = read_some(action.room, action.room_length); break;
 *          case WS_ACTION_INDICATE_RECEIVE_COMPLETE: use(action.status, action.type, action.parts[0]); break;
 *          case WS_ACTION_CLOSED:                    return;
 *          }
 *          ws_protocol_complete_action(protocol, action.id, now(), count);
 *          if (action.kind == WS_ACTION_HANDSHAKEN || action.kind == WS_ACTION_INDICATE_RECEIVE_COMPLETE)
 *              ws_protocol_receive(protocol, NULL, 0, NULL);       // the next piece, as a view; not possible after the close frame
 *      }
 *
 *  1. After any call ask for actions, until WS_ACTION_NONE or WS_ACTION_WAKE_AT. Nothing is ever called back.
 *  2. Of each kind at most one action is under way: from ws_protocol_get_action to ws_protocol_complete_action. Different kinds are
 *     independent. A program that must wait (poll, io_uring) keeps an action, asks for others, and completes it later.
 *  3. Memory that is lent with ws_protocol_send or ws_protocol_receive stays the component's until the action that tells of its end comes
 *     out, or until ws_close_handle. If that end is a failure (an abort, a time limit, a lost peer), a write or a read under way may still
 *     name this memory: the program stops its transport before it uses the memory again.
 *  4. Memory of the component that an action names (parts, room, views) is valid until the action is completed or the handle closed.
 *  5. One thread at a time per handle. A second one gets WS_ERROR_INVALID_OPERATION and does no harm; but what an action names is not
 *     protected by that.
 *
 *  Unstable until version 1.0.
 * =================================================================================================================== */

/** Kinds of action (ws_action.kind). */
enum {
    WS_ACTION_NONE = 0,                      /**< There is nothing to do now. */
    WS_ACTION_SEND_TO_NETWORK = 1,           /**< Write `parts` to the transport. */
    WS_ACTION_INDICATE_SEND_COMPLETE = 2,    /**< A send was written whole; `context` tells which. */
    WS_ACTION_RECEIVE_FROM_NETWORK = 3,      /**< Read from the transport into `room`. */
    WS_ACTION_INDICATE_RECEIVE_COMPLETE = 4, /**< A receive has data or the close frame. */
    WS_ACTION_HANDSHAKEN = 5,                /**< The handshake is done. */
    WS_ACTION_WAKE_AT = 6,                   /**< Come back at `wake_at_ms`, if nothing happens before. */
    WS_ACTION_CLOSED = 7,                    /**< The connection is over; close the transport. */
};

/** What the protocol component wants done. Set `size` to sizeof(ws_action). Valid until it is completed. */
typedef struct ws_action {
    uint32_t size;       /**< sizeof(ws_action), set by the caller. */
    int32_t kind;        /**< WS_ACTION_NONE and its kin. */
    uint64_t id;         /**< For ws_protocol_complete_action. */
    ws_status status;    /**< Of an indication. */
    ws_buffer_type type; /**< Of received data. */
    uint64_t wake_at_ms; /**< WS_ACTION_WAKE_AT: on the clock of `now_ms`. */
    void *context;       /**< Of the operation that completed. */
    ws_bytes parts[2];   /**< WS_ACTION_SEND_TO_NETWORK: write both, in order. Received data: in the first. */
    void *room;          /**< WS_ACTION_RECEIVE_FROM_NETWORK: where to put bytes. */
    size_t room_length;  /**< How many fit there. */
} ws_action;

/**
 * Makes one end of a connection, for a program that has its own transport.
 *
 * @param role     0 client, 1 server.
 * @param seed32   32 bytes that nobody can predict, from the system's generator: the handshake's key and the masks follow from them and
 *                 from the calls, so that the same seed and calls give the same bytes. One seed for one component. Copied.
 * @param protocol OUT: the end; close it with ws_close_handle.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: seed32 or protocol is NULL, or role is neither 0 nor 1; WS_ERROR_NOT_ENOUGH_MEMORY.
 *
 * Any thread. Does not wait. As WebSocketCreateClientHandle and WebSocketCreateServerHandle.
 */
WS_API ws_status ws_protocol_create(uint32_t role, const void *seed32, ws_handle *protocol) WS_NOEXCEPT;

/**
 * Begins the handshake as bytes of HTTP/1.1, which come and go as actions, until WS_ACTION_HANDSHAKEN.
 *
 * A client's request is queued; ws_add_header adds to it before, WS_OPTION_SUBPROTOCOLS says what to offer. A server waits for a
 * request. WS_ACTION_HANDSHAKEN has, in `status`, a client's outcome: WS_OK and the connection is open, WS_ERROR_UPGRADE_REFUSED
 * or WS_ERROR_INVALID_SERVER_RESPONSE and WS_ACTION_CLOSED follows. A server's says that a request is here, which
 * ws_protocol_accept opens or ws_respond refuses; what breaks the rules of the upgrade the library has refused by itself
 * (WS_ERROR_UPGRADE_REFUSED). ws_query_header, ws_query_header_at, ws_query_response and the options tell what the peer said.
 *
 * @param protocol The component.
 * @param url      Client: as for ws_connect; only the request is made of it. Server: NULL.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: url is not UTF-8, NULL for a client, or not NULL for a server; or WS_OPTION_SUBPROTOCOLS has what
 *         is no sub-protocol;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
 *         WS_ERROR_INCORRECT_HANDLE_STATE: a handshake was begun before;
 *         WS_ERROR_INVALID_URL, WS_ERROR_UNRECOGNIZED_SCHEME; WS_ERROR_INVALID_HEADER: Host was added twice;
 *         WS_ERROR_INVALID_OPERATION: another thread is in a call on it; WS_ERROR_NOT_ENOUGH_MEMORY.
 *
 * One thread at a time. Does not wait. RFC 6455 §4.
 */
WS_API ws_status ws_protocol_begin(ws_handle protocol, const char *url) WS_NOEXCEPT;

/**
 * Server: accepts the request that WS_ACTION_HANDSHAKEN told of. The 101 comes out as an action, with the headers of ws_add_header.
 *
 * The connection is open with this call: what is sent from now on goes behind the 101.
 *
 * @param protocol The component.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
 *         WS_ERROR_INCORRECT_HANDLE_STATE: it is a client's, no request has come, it was answered, or it does not ask for a WebSocket;
 *         WS_ERROR_INVALID_OPERATION: another thread is in a call on it; WS_ERROR_NOT_ENOUGH_MEMORY; or why the connection is over.
 *
 * One thread at a time. Does not wait.
 */
WS_API ws_status ws_protocol_accept(ws_handle protocol) WS_NOEXCEPT;

/**
 * Begins the handshake as lists of headers, for a program that has its own HTTP. There are no actions until ws_protocol_end_headers.
 *
 * A client sends GET with its own Host and what comes out here, and ends with the headers of the answer, if that is a 101. A server gives the
 * headers of a request (the program has seen to it that this is a GET in HTTP/1.1), and answers 101 with what comes out.
 *
 * @param protocol         The component.
 * @param received         Server: all headers of the request. Client: NULL.
 * @param count            How many; 0 with NULL.
 * @param additional       OUT: the headers to send, those of ws_add_header among them; in memory of the library, valid until
 *                         ws_protocol_end_headers returns WS_OK or the component is closed.
 * @param additional_count OUT: how many.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: additional or additional_count is NULL, received is NULL with a count, or it is (not) NULL for a
 *         server (client);
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
 *         WS_ERROR_INCORRECT_HANDLE_STATE: a handshake was begun before, or the request does not ask for a WebSocket;
 *         WS_ERROR_UPGRADE_REFUSED: the request breaks the rules, or comes from a foreign Origin; ws_last_error has the HTTP status to
 *         answer with. After these two the server may call it again with another request;
 *         WS_ERROR_INVALID_HEADER: what is received cannot be a header;
 *         WS_ERROR_INVALID_OPERATION: another thread is in a call on it; WS_ERROR_NOT_ENOUGH_MEMORY.
 *
 * One thread at a time. Does not wait. As WebSocketBeginClientHandshake and WebSocketBeginServerHandshake. RFC 6455 §4.
 */
WS_API ws_status ws_protocol_begin_headers(ws_handle protocol, const ws_header *received, size_t count,
                                           const ws_header **additional, size_t *additional_count) WS_NOEXCEPT;

/**
 * Ends the handshake as lists of headers: with WS_OK the connection is open. No WS_ACTION_HANDSHAKEN follows.
 *
 * @param protocol The component.
 * @param received Client: all headers of the answer, whose status was 101. Server, whose 101 was sent: NULL.
 * @param count    How many; 0 with NULL.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: received is NULL with a count, or it is (not) NULL for a client (server);
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
 *         WS_ERROR_INCORRECT_HANDLE_STATE: ws_protocol_begin_headers has not begun, or the handshake is done;
 *         WS_ERROR_INVALID_SERVER_RESPONSE: the answer has a wrong accept value, sub-protocol or extension, and is not to be used;
 *         WS_ERROR_INVALID_HEADER: what is received cannot be a header;
 *         WS_ERROR_INVALID_OPERATION: another thread is in a call on it.
 *
 * One thread at a time. Does not wait. As WebSocketEndClientHandshake and WebSocketEndServerHandshake.
 */
WS_API ws_status ws_protocol_end_headers(ws_handle protocol, const ws_header *received, size_t count) WS_NOEXCEPT;

/**
 * Queues a message, or a part of one, as one frame; its bytes come out as actions, in the order of the calls.
 *
 * Several sends may wait. Each ends with one WS_ACTION_INDICATE_SEND_COMPLETE: WS_OK once all of it was written, or why it was not.
 *
 * @param protocol The component.
 * @param type     As for ws_send.
 * @param flags    As for ws_send_ex; WS_SEND_NOTIFY changes nothing, every send is told of.
 * @param parts    The bytes, in order. They are lent, and must not change, until WS_ACTION_INDICATE_SEND_COMPLETE comes out for this send;
 *                 the array itself is copied. NULL if count is 0.
 * @param count    How many parts; 0 is an empty message.
 * @param context  Given back in that action; never followed.
 *
 * @return WS_OK: that action will come;
 *         WS_ERROR_INVALID_PARAMETER: parts is NULL with a count, a part's data is NULL with a length, a flag is unknown, or type and text
 *         as for ws_send;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
 *         WS_ERROR_INCORRECT_HANDLE_STATE: the handshake is not done;
 *         WS_ERROR_INVALID_OPERATION: a close frame was queued or received, WS_SEND_WHOLE met an open fragmented message, or another
 *         thread is in a call on it;
 *         WS_ERROR_NOT_ENOUGH_MEMORY; or why the connection is over. Nothing was queued then, and no action will come.
 *
 * One thread at a time. Does not wait. As WebSocketSend. RFC 6455 §5.4, §6.1.
 */
WS_API ws_status ws_protocol_send(ws_handle protocol, ws_buffer_type type, uint32_t flags, const ws_bytes *parts,
                                  size_t count, void *context) WS_NOEXCEPT;

/**
 * Asks for the next piece of a message, or for the peer's close frame: one WS_ACTION_INDICATE_RECEIVE_COMPLETE.
 *
 * As of ws_receive a piece is at most one frame's payload, and comes as soon as there is any. One receive at a time: the next may be
 * asked for when that action is completed.
 *
 * Also while no receive is asked for bytes are wanted from the network, up to the first data frame: so pings are answered, and the end
 * is seen.
 *
 * @param protocol The component.
 * @param buffer   Where to put it. It is lent, and must be left alone, until WS_ACTION_INDICATE_RECEIVE_COMPLETE comes out; the rest of a large
 *                 frame is read from the network straight into it. NULL = a view: the piece stays in the component's memory,
 *                 valid until that action is completed, and nothing is read from the network meanwhile.
 * @param length   The room in buffer, in bytes; 0 with NULL.
 * @param context  Given back in that action; never followed.
 *
 * @return WS_OK: that action will come;
 *         WS_ERROR_INVALID_PARAMETER: only one of buffer and length is 0;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
 *         WS_ERROR_INCORRECT_HANDLE_STATE: the handshake is not done;
 *         WS_ERROR_INVALID_OPERATION: a receive waits already or its action was not completed, the close frame was told already, the
 *         connection is closed, or another thread is in a call on it; or why else the connection is over. No action will come then.
 *
 * One thread at a time. Does not wait. As WebSocketReceive. RFC 6455 §6.2.
 */
WS_API ws_status ws_protocol_receive(ws_handle protocol, void *buffer, size_t length, void *context) WS_NOEXCEPT;

/**
 * Queues a control frame. The library sends pongs, keep-alive pings and the answer to a close frame by itself.
 *
 * A close frame goes after everything that was queued before it; then nothing more can be sent, and receiving goes on until the
 * peer's, or until WS_OPTION_CLOSE_TIMEOUT is over. Pings and pongs go between frames; one that still waits is replaced by the next.
 *
 * @param protocol The component.
 * @param opcode   8 close, 9 ping, 10 pong.
 * @param status   Of a close frame, as for ws_close; else 0.
 * @param data     The reason, in UTF-8, or the payload; copied. NULL if length is 0.
 * @param length   In bytes; at most 123 with a close frame, else 125.
 *
 * @return WS_OK: it was queued, or the peer's close frame was answered already;
 *         WS_ERROR_INVALID_PARAMETER: opcode, status, data or length is not as above;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
 *         WS_ERROR_INCORRECT_HANDLE_STATE: the handshake is not done;
 *         WS_ERROR_INVALID_OPERATION: this side has sent its close frame, the connection is closed, or another thread is in a call
 *         on it; or why else the connection is over.
 *
 * One thread at a time. Does not wait. RFC 6455 §5.5.
 */
WS_API ws_status ws_protocol_control(ws_handle protocol, uint32_t opcode, uint16_t status, const void *data,
                                     size_t length) WS_NOEXCEPT;

/**
 * Asks what is to be done next. Call it after every other call, until it has nothing: WS_ACTION_NONE or WS_ACTION_WAKE_AT.
 *
 * WS_ACTION_SEND_TO_NETWORK: write `parts`, both if the second is not empty, in order.
 * WS_ACTION_RECEIVE_FROM_NETWORK: read at least a byte into `room`, at most `room_length`.
 * WS_ACTION_INDICATE_SEND_COMPLETE: a send has ended with `status`; its parts are the program's again.
 * WS_ACTION_INDICATE_RECEIVE_COMPLETE: a receive has ended with `status`; with WS_OK `type` says what came, and parts[0] where it is: in the
 * buffer, which is the program's again, or in the component. For WS_CLOSE_FRAME it is the reason; ws_query_close_status has the status.
 * WS_ACTION_HANDSHAKEN: see ws_protocol_begin.
 * WS_ACTION_CLOSED: the connection is over: WS_OK after both close frames, else why. Close the transport. It comes once, and last.
 * WS_ACTION_WAKE_AT: nothing now; ask again at `wake_at_ms`, even if nothing happens before: for keep-alive and time limits.
 * WS_ACTION_NONE: nothing now, and nothing later by itself.
 *
 * Every action but the last two is completed with its `id`, when it is done; until then its memory is valid and no other of its kind comes
 * out. So a write that waits does not hold up reads, nor the other way round. Fields that do not belong to the kind are 0.
 *
 * @param protocol The component.
 * @param now_ms   The time, on any clock that only goes forward, in milliseconds. Always the same clock.
 * @param action   OUT: the action; set action->size before.
 *
 * @return WS_OK; the outcome of what the action tells is in action->status, and ws_query_error(protocol, ...) has its reason;
 *         WS_ERROR_INVALID_PARAMETER: action is NULL, or its size is not that of any version;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
 *         WS_ERROR_INVALID_OPERATION: another thread is in a call on it.
 *
 * One thread at a time. Does not wait. As WebSocketGetAction.
 */
WS_API ws_status ws_protocol_get_action(ws_handle protocol, uint64_t now_ms, ws_action *action) WS_NOEXCEPT;

/**
 * Says that an action was done.
 *
 * A part is enough: what was not written comes out again. A read of 0 bytes says that the transport has ended. If it has failed, call
 * ws_protocol_abort. To complete WS_ACTION_NONE or WS_ACTION_WAKE_AT, whose id is 0, is not necessary, and does nothing.
 *
 * @param protocol    The component.
 * @param id          Of the action. Afterwards its memory is no longer valid.
 * @param now_ms      As for ws_protocol_get_action.
 * @param transferred How many bytes were written or read; of other actions it is ignored.
 *
 * @return WS_OK;
 *         WS_ERROR_INVALID_PARAMETER: transferred is more than the action has; it is still under way;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
 *         WS_ERROR_INVALID_OPERATION: no action with this id is under way, or another thread is in a call on it.
 *
 * One thread at a time. Does not wait. As WebSocketCompleteAction.
 */
WS_API ws_status ws_protocol_complete_action(ws_handle protocol, uint64_t id, uint64_t now_ms,
                                             size_t transferred) WS_NOEXCEPT;

/**
 * Gives the connection up: what waits ends with WS_ERROR_CANCELLED, then WS_ACTION_CLOSED comes. No close frame is sent.
 *
 * Actions under way may be completed or not; nothing more comes of them. Those that name memory of the component are valid until it is
 * closed: end what the transport does with them before ws_close_handle.
 *
 * @param protocol The component.
 *
 * @return WS_OK, also if the connection was over already;
 *         WS_ERROR_INVALID_HANDLE, WS_ERROR_INCORRECT_HANDLE_TYPE: protocol is not an open component;
 *         WS_ERROR_INVALID_OPERATION: another thread is in a call on it.
 *
 * One thread at a time. Does not wait. As WebSocketAbortHandle.
 */
WS_API ws_status ws_protocol_abort(ws_handle protocol) WS_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif /* WS101_H */
