/* What the files of the shim share. Nothing of it is visible to programs.
 *
 * The layers, from the bottom: text and error (no state), handle (who is who), callback (who is told), worker (on which thread), event (what the
 * library says); on them, one file a noun: session, option, headers, request, attempt, response, query, websocket, websocket_end, url, proxy,
 * credentials. They know the library through ws101.h alone.
 *
 * Lock order: none is taken while another is held, and none is held over a callback or over a call that may wait. */
#ifndef WS101_SHIM_SHIM_H
#define WS101_SHIM_SHIM_H

#include <stdatomic.h>
#include <stdbool.h>

#include <pthread.h>

#include "winhttp.h"
#include "ws101.h"

/* ---- handle.c: objects, and the numbers that programs have for them ------------------------------------------------------------------ */

typedef struct object object;

/* What the kinds of object do differently. */
typedef struct object_class {
    DWORD kind;                      /* WINHTTP_HANDLE_TYPE_… */
    void (*cancel)(object *object);  /* its handle was closed: end what is under way, tell who waits for it */
    void (*destroy)(object *object); /* nobody has it any more: free what it owns, but not itself */
    void (*happened)(object *object, const ws_event *event); /* asynchronous mode: an event of the library, on its thread */
} object_class;

/* The beginning of every object. The lock guards what is below it, and the states in the rest of the object. */
struct object {
    const object_class *class;
    HINTERNET handle;
    object *parent; /* kept alive; NULL = a session */
    bool is_async;
    bool is_assured; /* its callbacks do not block */
    atomic_uint references;
    pthread_mutex_t lock;
    WINHTTP_STATUS_CALLBACK callback;
    DWORD mask;
    DWORD_PTR context;
    bool is_closed;
    bool was_told_closing;
    unsigned deliveries; /* callbacks that are running, or are queued: HANDLE_CLOSING comes after the last */
};

/* Makes an object of `size` zeroed bytes that begins with an object; it inherits from its parent. NULL = no memory. */
object *object_new(const object_class *class, size_t size, object *parent);
/* Gives it a handle, and tells the parent's callback. NULL = no memory; the object is the caller's to release then. */
HINTERNET object_publish(object *object);
/* Finds what a handle stands for and keeps it alive; 0, 6 or 12018. A kind of 0 is any. */
DWORD object_find(HINTERNET handle, DWORD kind, void *found);
void object_keep(object *object);
void object_release(object *object);
void object_lock(object *object);
void object_unlock(object *object);

/* ---- callback.c ------------------------------------------------------------------------------------------------------------------------ */

/* Calls the program back, if it wants this status. No lock may be held. */
void callback_tell(object *object, DWORD status, const void *information, DWORD length);
/* The same of a completion of a websocket: deep inside other callbacks it waits until the outermost has returned, so that a program that
 * begins the next operation in each does not use up its stack. */
void callback_complete(object *object, DWORD status, const void *information, DWORD length);
/* The same from a thread of the library's, which must not wait for what the program does: on another thread, unless the program has said that its
 * callbacks do not block (WINHTTP_OPTION_ASSURED_NON_BLOCKING_CALLBACKS). */
void callback_complete_elsewhere(object *object, DWORD status, const void *information, DWORD length);
/* The handle is closed: HANDLE_CLOSING, now or after the last callback that is under way. */
void callback_tell_closing(object *object);

/* ---- event.c: what the library says -------------------------------------------------------------------------------------------------------- */

/* From now on the object gets the events of a handle of the library's, and lives until the last of them. */
void event_follow(object *object, ws_handle inner);
/* Nobody gets them: of a handle that has no object yet. */
void event_ignore(ws_handle inner);

/* ---- worker.c: threads on which programs are called back --------------------------------------------------------------------------------- */

/* Runs a job on another thread; false = there is none to be had. */
bool worker_run(void (*job)(void *argument), void *argument);

/* ---- error.c ---------------------------------------------------------------------------------------------------------------------------- */

/* WinHTTP's number for a status of the library. */
DWORD error_from_status(ws_status status);
/* The flag of SECURE_FAILURE for a status; 0 = it has nothing to do with TLS. */
DWORD error_secure_flag(ws_status status);
/* Remembers the error for GetLastError; TRUE if there is none. */
BOOL error_answer(DWORD error);
/* Where the last failed call of the library on this thread failed, and the system's reason. */
ws_phase error_phase(int32_t *os_error);

/* ---- text.c: UTF-8 in the library, wide characters in WinHTTP ----------------------------------------------------------------------------- */

#define TEXT_WHOLE ((size_t)-1)
/* A new UTF-8 text of a wide one, or of its first `length` characters. NULL: no memory, or (`*invalid`) not a text. */
char *text_from_wide(LPCWSTR wide, size_t length, bool *invalid);
/* A new wide text; bytes that are not UTF-8 are taken as Latin-1, as old servers mean them. NULL = no memory. */
WCHAR *text_to_wide(const char *text);
char *text_copy(const char *text);
/* A new text by printf's rules; NULL = no memory. */
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool text_is_utf8(const void *bytes, size_t length);
/* Hands a wide text out by WinHTTP's rules of length: 0, or 122 with the bytes that are needed. `length` counts bytes. */
DWORD text_give(const WCHAR *wide, size_t characters, LPVOID buffer, LPDWORD length);
DWORD text_give_utf8(const char *text, LPVOID buffer, LPDWORD length);

/* ---- headers.c ------------------------------------------------------------------------------------------------------------------------------ */

typedef struct header {
    char *name, *value;
} header;

typedef struct headers {
    header *fields;
    size_t count;
} headers;

void headers_free(headers *headers);
/* Adds header lines by the rules of WinHttpAddRequestHeaders; all of them or none. */
DWORD headers_add(headers *headers, const char *lines, DWORD modifiers);
DWORD headers_put(headers *headers, const char *name, const char *value, DWORD modifiers);
/* The value of the `index`th field with this name; NULL = there is none. */
const char *headers_find(const headers *headers, const char *name, size_t index);

/* ---- session.c: what sessions and requests are asked to do -------------------------------------------------------------------------------------- */

typedef struct settings {
    DWORD resolve_timeout, connect_timeout, send_timeout, receive_timeout, response_timeout; /* ms, 0 = none */
    DWORD connect_retries;
    DWORD receive_buffer_size, send_buffer_size;
    DWORD redirect_policy, redirects, continues, head_size;
    DWORD disabled_features;
    DWORD security_flags, secure_protocols;
    DWORD access_type;
    DWORD assured_callbacks;
    char *proxy, *bypass;
    char *user_agent;
    char *names[4]; /* user, password; the proxy's user, password */
} settings;

#define SETTINGS_TEXTS 7
/* Where the texts of settings are, to copy and free them all. */
char **settings_text(settings *settings, size_t number);
bool settings_copy(settings *to, const settings *from);
void settings_free(settings *settings);

typedef struct session {
    object object;
    ws_handle inner;
    settings settings;
} session;

typedef struct connection {
    object object;
    char *host;
    INTERNET_PORT port;
} connection;

/* ---- request.c, attempt.c, response.c, query.c ------------------------------------------------------------------------------------------------------------------------ */

typedef enum request_state {
    REQUEST_FRESH,     /* nothing was sent, or what came of it is of no use */
    REQUEST_SENDING,   /* SendRequest is under way */
    REQUEST_SENT,      /* it is done: there is an answer, or an error that belongs to ReceiveResponse */
    REQUEST_RECEIVING, /* ReceiveResponse is under way */
    REQUEST_RESPONDED, /* the answer is there */
} request_state;

typedef struct request {
    object object;
    /* Made once. */
    char *verb, *target;
    bool is_secure;
    /* Changed by the program; nobody reads them while an attempt is under way, which the state tells. */
    settings settings;
    DWORD schemes[2]; /* of the credentials for the server, for the proxy */
    char *login_url;  /* of the server that the credentials are for; NULL = the one that the request was opened for */
    headers headers;
    bool is_upgrade;
    request_state state;
    /* Of the attempt. */
    char *url;              /* where it went, after redirects */
    DWORD redirects;        /* followed so far */
    ws_handle inner;        /* the library's request; 0 = none */
    ws_handle websocket;    /* of a good answer, until CompleteUpgrade takes it */
    ws_status outcome;      /* of the handshake */
    ws_phase phase;         /* where it failed */
    int32_t os_error;       /* why, in the system's words */
    DWORD operation;        /* API_… under way in asynchronous mode; 0 = none */
    char *body;             /* of a refusal, once it was asked for */
    size_t body_length, body_read;
    bool has_body;
} request;

/* The URL of the server that the request was opened for, in the library's scheme. NULL = no memory. */
char *request_first_url(const request *request);
/* Whether there is an answer, and it asks for credentials: 401 or 407. The request is locked. */
bool request_is_challenged(request *request, uint16_t *status);
/* Prepares an attempt at `url`, which it takes over; 0, or why it cannot even begin. The request is locked. */
DWORD request_prepare(request *request, char *url);
/* Waits for the outcome of an attempt; synchronous mode. */
void request_attempt(request *request);
/* Begins an attempt; asynchronous mode, on a worker. Its outcome is told to request_arrived or response_arrived, by the request's state. */
void request_attempt_async(void *argument);
/* The attempt that SendRequest, or a redirect of ReceiveResponse, has begun is over; asynchronous mode, on a worker. */
void request_arrived(request *request);
void response_arrived(request *request);
/* See object_class. */
void request_happened(object *object, const ws_event *event);
/* Calls back how an attempt begins, and how its first half went, up to REQUEST_SENT. The latter returns the error of sending, or 0. */
void request_tell_resolving(request *request);
DWORD request_tell_sent(request *request);
/* Runs a job for the request on another thread. If there is none the operation is over. */
bool request_run(request *request, void (*job)(void *argument), DWORD operation);
/* Ends the asynchronous operation that is under way; false = a CloseHandle has completed it already. */
bool request_claim(request *request, DWORD operation, request_state next);
/* REQUEST_ERROR of an operation. */
void request_fail(request *request, DWORD operation, DWORD error);

/* How many bytes the head of the request or of the answer has. */
size_t query_head_size(request *request, bool is_request);
/* A copy of the value of a header of the answer. NULL = there is none, or no memory. */
char *query_response_header(request *request, const char *name);

/* ---- proxy.c, url.c ------------------------------------------------------------------------------------------------------------------------------------ */

/* Tells the library's request which proxy to use for `url`. */
ws_status proxy_set(ws_handle inner, const settings *settings, const char *url);
/* The host of a "ws://host:port/…", without brackets. NULL = no memory. */
char *url_host(const char *url);
/* Whether what one may know the other may know too; over TLS the same host is the same server. false also if there is no memory. */
bool url_is_same_server(const char *from, const char *to);
/* Where a Location leads from `base`, in the library's scheme. NULL = not to HTTP, or no memory. */
char *url_resolve(const char *base, const char *location);

/* ---- websocket.c, websocket_end.c -------------------------------------------------------------------------------------------------------------------- */

typedef struct websocket {
    object object;
    ws_handle inner;
    /* Operations under way. Who clears a flag completes the operation. */
    bool is_receiving, is_sending, is_shutting_down, is_closing;
    bool has_shut_down; /* the close frame was sent, or is about to be */
    bool is_closed;     /* Close was called */
    bool is_answering;  /* a Close waits only until its own close frame has left */
    bool peer_closed;   /* a receive has told the program of the peer's close frame */
    bool close_is_done; /* Close has exchanged close frames */
    /* Of the operations under way in asynchronous mode. */
    void *room;         /* where a receive puts bytes before the program's buffer gets them: a cancelled one must not touch that any more */
    size_t room_size, room_used;
    void *target;       /* the program's buffer */
    DWORD send_length;
    WINHTTP_WEB_SOCKET_BUFFER_TYPE send_type;
    void *send_copy;    /* of a message for which the library's queue had no room */
    bool is_waiting_for_room;
    size_t rooms;       /* how often the library has said that there is room again */
    DWORD goodbye_status, goodbye_length;
    char goodbye[WINHTTP_WEB_SOCKET_MAX_CLOSE_REASON_LENGTH];
} websocket;

/* The websocket object of an open connection, which it takes over; NULL = no memory. */
websocket *websocket_new(request *request, ws_handle inner, DWORD_PTR context);
extern const object_class websocket_class;
/* REQUEST_ERROR of an operation. */
void websocket_fail(websocket *websocket, WINHTTP_WEB_SOCKET_OPERATION operation, DWORD error);
void websocket_fail_elsewhere(websocket *websocket, WINHTTP_WEB_SOCKET_OPERATION operation, DWORD error);
/* See object_class. */
void websocket_cancel(object *object);
/* Events that end a Shutdown or a Close. */
void websocket_shutdown_ended(websocket *websocket, ws_status status);
void websocket_close_ended(websocket *websocket, ws_status status);

#endif
