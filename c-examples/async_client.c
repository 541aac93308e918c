/* async_client URL [--connections N] [--count N] [--size BYTES]: many connections at once, none of which has a thread.
 *
 * The library's own thread calls on_event. Each connection sends a message, waits for its echo, checks it, sends the next, and closes in good order; main
 * sleeps until the last one is closed. The context of a connection is freed by its last event, WS_EVENT_HANDLE_CLOSED. */
#include "example.h"
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

static struct {
    const char *url;
    uint64_t connections, count, size;
    unsigned char *message; /* what everybody sends; read only */
} job = {.connections = 10, .count = 100, .size = 64};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t open, good, echoes;
} total = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* The context of a request, and then of its websocket, which inherits it: freed with the last of the two. */
struct connection {
    unsigned handles;
    bool good;
    uint64_t echoes;     /* that came back whole */
    size_t received;     /* of the next one */
    unsigned char piece[4096];
};

static ws_status send_next(struct connection *connection, ws_handle websocket)
{
    if (connection->echoes < job.count) return ws_send(websocket, WS_BINARY_MESSAGE, job.message, (size_t)job.size);
    connection->good = true;
    return WS_OK;
}

/* Compares as it comes; when an echo is whole, sends the next message. */
static ws_status check(struct connection *connection, ws_handle websocket, ws_buffer_type type, const unsigned char *piece, size_t length)
{
    bool fits = length <= job.size - connection->received, ends = type == WS_BINARY_MESSAGE;
    if ((type != WS_BINARY_MESSAGE && type != WS_BINARY_FRAGMENT) || !fits || memcmp(piece, job.message + connection->received, length) != 0) return WS_ERROR_INVALID_PAYLOAD;
    connection->received += length;
    if (!ends) return WS_OK;
    if (connection->received != job.size) return WS_ERROR_INVALID_PAYLOAD;
    connection->received = 0;
    ++connection->echoes;
    return send_next(connection, websocket);
}

/* Receives for as long as something is there. Begins with a piece, or with none: WS_PENDING. */
static void receive_all(struct connection *connection, ws_handle websocket, ws_status status, ws_buffer_type type, size_t length)
{
    while (status == WS_OK || status == WS_PENDING) {
        if (status == WS_OK) status = check(connection, websocket, type, connection->piece, length);
        else status = WS_OK;
        if (status == WS_OK && connection->good) status = ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0);
        else if (status == WS_OK) status = ws_receive(websocket, connection->piece, sizeof connection->piece, &length, &type);
        if (status == WS_PENDING || connection->good) break;
    }
    if (status == WS_PENDING) return;
    if (status != WS_OK) failed("connection", status);
    ws_close_handle(websocket);
}

static void begin(struct connection *connection, ws_handle websocket)
{
    ++connection->handles;
    ws_status status = send_next(connection, websocket);
    if (status == WS_OK) status = WS_PENDING;
    receive_all(connection, websocket, status, 0, 0);
}

static void release(struct connection *connection)
{
    if (--connection->handles > 0) return;
    pthread_mutex_lock(&total.mutex);
    --total.open;
    total.good += connection->good;
    total.echoes += connection->echoes;
    pthread_cond_signal(&total.changed);
    pthread_mutex_unlock(&total.mutex);
    free(connection);
}

static void on_event(const ws_event *event, void *context)
{
    struct connection *connection = context;
    switch (event->type) {
    case WS_EVENT_UPGRADED:
        if (event->status == WS_OK) begin(connection, event->child);
        else fprintf(stderr, "%s: %s (%d)\n", job.url, event->error->message, (int)event->status);
        ws_close_handle(event->handle);
        break;
    case WS_EVENT_RECEIVED: receive_all(connection, event->handle, event->status, event->buffer_type, event->length); break;
    case WS_EVENT_CLOSE_COMPLETE:
        if (event->status != WS_OK) fprintf(stderr, "ws_close: %s (%d)\n", event->error->message, (int)event->status);
        ws_close_handle(event->handle);
        break;
    case WS_EVENT_HANDLE_CLOSED:
        if (connection != NULL) release(connection);
        break;
    default: break;
    }
}

/* No I/O on this thread: what cannot be done at once is WS_PENDING, and an event will tell its end. */
static void dial_one(ws_handle session)
{
    struct connection *connection = calloc(1, sizeof *connection);
    ws_handle request, websocket;
    if (connection == NULL) return;
    ws_status status = ws_connect(session, job.url, &request);
    if (status != WS_OK) {
        failed(job.url, status);
        free(connection);
        return;
    }
    connection->handles = 1;
    pthread_mutex_lock(&total.mutex);
    ++total.open;
    pthread_mutex_unlock(&total.mutex);
    ws_set_callback(request, on_event, connection);
    status = ws_complete_upgrade(request, &websocket);
    if (status == WS_PENDING) return;
    if (status == WS_OK) begin(connection, websocket);
    else failed(job.url, status);
    ws_close_handle(request);
}

static int run(ws_handle session)
{
    struct timespec begin_time, end_time;
    clock_gettime(CLOCK_MONOTONIC, &begin_time);
    for (uint64_t i = 0; i != job.connections; ++i) dial_one(session);
    pthread_mutex_lock(&total.mutex);
    while (total.open > 0) pthread_cond_wait(&total.changed, &total.mutex);
    pthread_mutex_unlock(&total.mutex);
    clock_gettime(CLOCK_MONOTONIC, &end_time);
    double seconds = (double)(end_time.tv_sec - begin_time.tv_sec) + (double)(end_time.tv_nsec - begin_time.tv_nsec) / 1e9;
    printf("%" PRIu64 " of %" PRIu64 " connections had %" PRIu64 " right echoes of %" PRIu64 " bytes each and closed: %.0f messages/s\n", total.good, job.connections, job.count,
           job.size, (double)total.echoes / seconds);
    return total.good == job.connections ? 0 : 1;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; ++i) {
        if (strcmp(argv[i], "--connections") == 0 && read_number(argv[i + 1], 1000000, &job.connections)) ++i;
        else if (strcmp(argv[i], "--count") == 0 && read_number(argv[i + 1], UINT64_MAX, &job.count)) ++i;
        else if (strcmp(argv[i], "--size") == 0 && read_number(argv[i + 1], 1 << 30, &job.size)) ++i;
        else if (argv[i][0] != '-' && job.url == NULL) job.url = argv[i];
        else job.url = NULL, i = argc;
    }
    if (job.url == NULL) return fprintf(stderr, "usage: async_client URL [--connections N] [--count N] [--size BYTES]\n"), 2;
    if ((job.message = malloc((size_t)job.size + 1)) == NULL) return fprintf(stderr, "not enough memory for messages of %" PRIu64 " bytes\n", job.size), 1;
    for (size_t i = 0; i != job.size; ++i) job.message[i] = (unsigned char)(i % 251);
    ws_handle session;
    ws_status status = ws_open("async_client", WS_FLAG_ASYNC, &session);
    int result = status == WS_OK ? run(session) : failed("ws_open", status);
    ws_close_handle(session);
    ws_cleanup(WS_WAIT_FOREVER); /* the last callback has returned */
    free(job.message);
    return result;
}
