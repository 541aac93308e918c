/* echo_server in blocking mode: every connection has a thread that waits on it. A part of echo_server.c. */
#ifndef WS101_EXAMPLE_ECHO_SERVER_BLOCKING_H
#define WS101_EXAMPLE_ECHO_SERVER_BLOCKING_H
#include "example.h"
#include "stop.h"

/* Whoever is being served is in this list, so that the end of the program can reach them. */
struct connection {
    ws_handle handle;    /* the request, then the websocket */
    bool upgraded, told; /* told: the server's close frame was sent */
    struct connection *next;
};
static struct connection *connections;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t empty = PTHREAD_COND_INITIALIZER;

static void set_websocket(struct connection *connection, ws_handle websocket)
{
    pthread_mutex_lock(&mutex);
    connection->handle = websocket;
    connection->upgraded = true;
    pthread_mutex_unlock(&mutex);
}

static void leave_list(struct connection *connection)
{
    pthread_mutex_lock(&mutex);
    struct connection **link = &connections;
    while (*link != connection) link = &(*link)->next;
    *link = connection->next;
    if (connections == NULL) pthread_cond_signal(&empty);
    pthread_mutex_unlock(&mutex);
    free(connection);
}

/* Sends every client a close frame; its thread then receives the answer, and ends. What has not ended after two seconds is dropped. */
static void close_everybody(void)
{
    const uint32_t patience_ms = 100; /* for a client that reads nothing */
    struct timespec deadline = moment_after(2000), now;
    pthread_mutex_lock(&mutex);
    while (connections != NULL) {
        clock_gettime(CLOCK_REALTIME, &now);
        bool late = now.tv_sec > deadline.tv_sec || (now.tv_sec == deadline.tv_sec && now.tv_nsec >= deadline.tv_nsec);
        for (struct connection *connection = connections; connection != NULL; connection = connection->next) {
            if (late) {
                ws_close_handle(connection->handle);
            } else if (connection->upgraded && !connection->told) {
                ws_set_option(connection->handle, WS_OPTION_SEND_TIMEOUT, &patience_ms, sizeof patience_ms);
                ws_shutdown(connection->handle, WS_CLOSE_GOING_AWAY, "Stopping", 8);
                connection->told = true;
            }
        }
        struct timespec soon = moment_after(20);
        pthread_cond_timedwait(&empty, &mutex, &soon);
    }
    pthread_mutex_unlock(&mutex);
}

static ws_status echo(ws_handle websocket)
{
    char piece[65536];
    for (;;) {
        size_t length;
        ws_buffer_type type;
        ws_status status = ws_receive(websocket, piece, sizeof piece, &length, &type);
        if (status != WS_OK) return status;
        if (type == WS_CLOSE_FRAME) return ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0); /* it was answered already: this waits for the end */
        status = ws_send(websocket, type, piece, length);
        if (status != WS_OK && !stop_asked_within(0)) return status; /* after our own close frame: only the client's is still of interest */
    }
}

/* Reads the request's head on this thread: a slow client holds up nobody else. */
static ws_status serve_request(struct connection *connection, ws_handle request)
{
    static const char hint[] = "This is a WebSocket server.\n";
    uint32_t is_websocket = 0;
    size_t length = sizeof is_websocket;
    ws_handle websocket;
    ws_status status = ws_handshake(request);
    if (status == WS_OK) status = ws_query_option(request, WS_OPTION_IS_WEBSOCKET, &is_websocket, &length);
    if (status != WS_OK) return status;
    if (!is_websocket) return ws_respond(request, 400, "text/plain", hint, sizeof hint - 1);
    status = ws_complete_upgrade(request, &websocket);
    if (status != WS_OK) return status;
    set_websocket(connection, websocket);
    status = echo(websocket);
    ws_close_handle(websocket);
    return status;
}

static void *serve(void *argument)
{
    struct connection *connection = argument;
    ws_handle request = connection->handle;
    ws_status status = serve_request(connection, request);
    if (status != WS_OK && !stop_asked_within(0)) failed("client", status);
    ws_close_handle(request);
    leave_list(connection);
    return NULL;
}

static void start(ws_handle request)
{
    pthread_t thread;
    struct connection *connection = malloc(sizeof *connection);
    if (connection == NULL) {
        ws_close_handle(request);
        return;
    }
    pthread_mutex_lock(&mutex);
    *connection = (struct connection){.handle = request, .next = connections};
    connections = connection;
    pthread_mutex_unlock(&mutex);
    if (pthread_create(&thread, NULL, serve, connection) == 0) {
        pthread_detach(thread); /* close_everybody waits for the list, not for threads */
    } else {
        fprintf(stderr, "no thread for another connection\n");
        ws_close_handle(request);
        leave_list(connection);
    }
}

/* Accepts until SIGINT or SIGTERM; returns the exit status. */
static int serve_blocking(ws_handle listener)
{
    ws_handle request;
    ws_status status;
    if (!stop_watch(listener)) return fprintf(stderr, "no thread for signals\n"), 1;
    while ((status = ws_accept(listener, &request)) == WS_OK) start(request);
    int result = stop_asked_within(0) ? 0 : failed("ws_accept", status);
    stop_finish();
    close_everybody();
    return result;
}

#endif
