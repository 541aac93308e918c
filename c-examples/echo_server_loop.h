/* echo_server in loop mode: the library's threads call on_event, and no thread belongs to a connection. A part of echo_server.c.
 *
 * Whatever can be done at once is done at once and needs no event: every loop here goes on while a call answers WS_OK, and stops at WS_PENDING, because then
 * an event will come. A connection that only waits has no memory of this program. */
#ifndef WS101_EXAMPLE_ECHO_SERVER_LOOP_H
#define WS101_EXAMPLE_ECHO_SERVER_LOOP_H
#include "example.h"
#include "stop.h"
#include <string.h>

enum { QUEUE_LIMIT = 1 << 20, DRAIN_MS = 2000 }; /* what a client that does not read may cost; what it gets at the end */

/* A piece that found the queue full: it is the context of its websocket until the queue has room again. */
struct piece {
    ws_buffer_type type;
    size_t length;
    char bytes[];
};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool ended;
} drained = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void leave(ws_handle websocket, ws_status status)
{
    if (status != WS_OK && status != WS_ERROR_CANCELLED && status != WS_ERROR_INVALID_HANDLE && !stop_asked_within(0)) failed("client", status);
    ws_close_handle(websocket);
}

/* Keeps what could not be sent, and with that stops receiving: then TCP stops the client. WS_EVENT_WRITABLE goes on. */
static ws_status set_aside(ws_handle websocket, ws_buffer_type type, const void *data, size_t length)
{
    struct piece *piece = malloc(sizeof *piece + length);
    if (piece == NULL) return WS_ERROR_NOT_ENOUGH_MEMORY;
    piece->type = type;
    piece->length = length;
    if (length > 0) memcpy(piece->bytes, data, length);
    return ws_set_option(websocket, WS_OPTION_CONTEXT, &piece, sizeof piece);
}

/* Sends pieces back for as long as there are any. Begins with one, or with none: WS_PENDING. */
static void echo_all(ws_handle websocket, ws_status status, ws_buffer_type type, const void *data, size_t length)
{
    if (status == WS_PENDING) status = ws_receive_view(websocket, &data, &length, &type);
    while (status == WS_OK) {
        if (type == WS_CLOSE_FRAME) {
            status = ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0); /* it was answered already: this ends the connection */
            if (status != WS_PENDING) leave(websocket, status);
            return;
        }
        status = ws_send(websocket, type, data, length);
        if (status == WS_ERROR_WOULD_BLOCK && (status = set_aside(websocket, type, data, length)) == WS_OK) return;
        if (status == WS_ERROR_INVALID_OPERATION) status = WS_OK; /* a close frame has left: only the client's is still of interest */
        if (status == WS_OK) status = ws_receive_view(websocket, &data, &length, &type);
    }
    if (status != WS_PENDING) leave(websocket, status);
}

/* There is room again for the piece that had none. */
static void go_on(ws_handle websocket, struct piece *piece)
{
    void *nothing = NULL;
    if (piece == NULL) return;
    ws_status status = ws_send(websocket, piece->type, piece->bytes, piece->length);
    if (status == WS_ERROR_WOULD_BLOCK) return;
    if (ws_set_option(websocket, WS_OPTION_CONTEXT, &nothing, sizeof nothing) == WS_OK) free(piece); /* else the handle is closed, and its last event frees it */
    if (status == WS_OK || status == WS_ERROR_INVALID_OPERATION) echo_all(websocket, WS_PENDING, 0, NULL, 0);
    else leave(websocket, status);
}

/* The request's head is there: the library has read it before it told of the request. */
static void answer(ws_handle request)
{
    static const char hint[] = "This is a WebSocket server.\n";
    uint32_t is_websocket = 0;
    size_t length = sizeof is_websocket;
    ws_handle websocket;
    ws_status status = ws_query_option(request, WS_OPTION_IS_WEBSOCKET, &is_websocket, &length);
    if (status == WS_OK && !is_websocket) {
        status = ws_respond(request, 400, "text/plain", hint, sizeof hint - 1);
    } else if (status == WS_OK && (status = ws_complete_upgrade(request, &websocket)) == WS_OK) {
        echo_all(websocket, WS_PENDING, 0, NULL, 0);
    }
    if (status != WS_PENDING) leave(request, status);
}

static void accept_all(ws_handle listener)
{
    ws_handle request;
    ws_status status;
    while ((status = ws_accept(listener, &request)) == WS_OK) answer(request);
    if (status != WS_PENDING && !stop_asked_within(0)) failed("ws_accept", status);
}

static void on_event(const ws_event *event, void *unused)
{
    (void)unused;
    switch (event->type) {
    case WS_EVENT_ACCEPTED:
        if (event->status == WS_OK) answer(event->child);
        if (event->status != WS_ERROR_CANCELLED) accept_all(event->handle);
        break;
    case WS_EVENT_UPGRADED:
        if (event->status == WS_OK) echo_all(event->child, WS_PENDING, 0, NULL, 0);
        leave(event->handle, event->status); /* the request: the websocket lives on without it */
        break;
    case WS_EVENT_RECEIVED: echo_all(event->handle, event->status, event->buffer_type, event->data, event->length); break;
    case WS_EVENT_WRITABLE: go_on(event->handle, event->context); break;
    case WS_EVENT_RESPONDED:
    case WS_EVENT_CLOSE_COMPLETE: leave(event->handle, event->status); break;
    case WS_EVENT_HANDLE_CLOSED: free(event->context); break; /* the last of this handle */
    case WS_EVENT_DRAINED:
        pthread_mutex_lock(&drained.mutex);
        drained.ended = true;
        pthread_cond_signal(&drained.changed);
        pthread_mutex_unlock(&drained.mutex);
        break;
    default: break;
    }
}

/* Before anything is made of the session: what is made inherits. */
static ws_status configure_loop(ws_handle session, uint32_t threads)
{
    const uint64_t queue_limit = QUEUE_LIMIT;
    ws_status status = ws_set_callback(session, on_event, NULL);
    if (status == WS_OK) status = ws_set_option(session, WS_OPTION_IO_THREADS, &threads, sizeof threads);
    return status == WS_OK ? ws_set_option(session, WS_OPTION_SEND_QUEUE_LIMIT, &queue_limit, sizeof queue_limit) : status;
}

/* Serves until SIGINT or SIGTERM; this thread only waits for those. Returns the exit status. */
static int serve_by_events(ws_handle listener)
{
    accept_all(listener);
    stop_wait();
    ws_status status = ws_drain(listener, WS_CLOSE_GOING_AWAY, 0, DRAIN_MS);
    if (status != WS_PENDING) return status == WS_OK ? 0 : failed("ws_drain", status);
    pthread_mutex_lock(&drained.mutex);
    while (!drained.ended) pthread_cond_wait(&drained.changed, &drained.mutex);
    pthread_mutex_unlock(&drained.mutex);
    return 0;
}

#endif
