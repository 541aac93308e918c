/* ws101 batches|callbacks [echo|prepared|sends]: an echo server on one loop, driven by ws_loop_wait or by ws_loop_run; every message is one event
 * (WS_OPTION_WHOLE_MESSAGES). `prepared` sends every message to everybody by ws_prepare and ws_send_prepared, `sends` by ws_send. */
#include "../bench.h"
#include <ws101.h>

enum { BATCH = 256 };

static enum { ECHO, PREPARED, SENDS } work;
static ws_handle *everybody;
static size_t present, most;

__attribute__((noreturn, cold)) static void failed(ws_status status, const char *what)
{
    ws_error_info info = {.size = sizeof info};
    ws_last_error(&info);
    fprintf(stderr, "%s: %s (%d)\n", what, info.message, (int)status);
    exit(1);
}

static void check(ws_status status, const char *what)
{
    if (status != WS_OK) failed(status, what);
}

static void opened(ws_handle websocket)
{
    if (work == ECHO) return;
    if (present == most) everybody = (ws_handle *)realloc(everybody, (most = 2 * most + 16) * sizeof *everybody);
    if (everybody == NULL) bench_fail("realloc");
    everybody[present++] = websocket;
}

static void leave(ws_handle websocket)
{
    for (size_t i = 0; i != present; ++i) {
        if (everybody[i] != websocket) continue;
        everybody[i] = everybody[--present];
        break;
    }
    ws_close_handle(websocket);
}

/* A client of this bench reads what it gets, so that a full queue is a failure. */
static void broadcast(const ws_event *event)
{
    ws_handle message;
    if (work == PREPARED) {
        check(ws_prepare(event->buffer_type, event->data, event->length, &message), "ws_prepare");
        for (size_t i = 0; i != present; ++i) check(ws_send_prepared(everybody[i], message), "ws_send_prepared");
        ws_close_handle(message);
        return;
    }
    for (size_t i = 0; i != present; ++i) check(ws_send(everybody[i], event->buffer_type, event->data, event->length), "ws_send");
}

static void received(const ws_event *event)
{
    if (event->status != WS_OK) {
        leave(event->handle);
    } else if (event->buffer_type == WS_CLOSE_FRAME) { /* it was answered already: this ends the connection */
        if (ws_close(event->handle, WS_CLOSE_NORMAL, NULL, 0) != WS_PENDING) leave(event->handle);
    } else if (work == ECHO) {
        check(ws_send(event->handle, event->buffer_type, event->data, event->length), "ws_send");
    } else {
        broadcast(event);
    }
}

static void answer(ws_handle request)
{
    ws_handle websocket;
    ws_status status = ws_complete_upgrade(request, &websocket);
    if (status == WS_OK) opened(websocket);
    if (status != WS_PENDING) ws_close_handle(request);
}

static void accept_all(ws_handle listener)
{
    ws_handle request;
    ws_status status;
    while ((status = ws_accept(listener, &request)) == WS_OK) answer(request);
    if (status != WS_PENDING) failed(status, "ws_accept");
}

static void on_event(const ws_event *event, void *unused)
{
    (void)unused;
    switch (event->type) {
    case WS_EVENT_RECEIVED: received(event); break;
    case WS_EVENT_ACCEPTED:
        if (event->status == WS_OK) answer(event->child);
        accept_all(event->handle);
        break;
    case WS_EVENT_UPGRADED:
        if (event->status == WS_OK) opened(event->child);
        ws_close_handle(event->handle); /* the request: the websocket lives on without it */
        break;
    case WS_EVENT_CLOSE_COMPLETE: leave(event->handle); break;
    default: break;
    }
}

int main(int argc, char **argv)
{
    static ws_event events[BATCH];
    const char *drive = argc > 1 ? argv[1] : "batches", *what = argc > 2 ? argv[2] : "echo";
    const uint32_t yes = 1;
    char url[64];
    size_t length = sizeof url, count;
    ws_handle loop, session, listener;
    work = strcmp(what, "prepared") == 0 ? PREPARED : strcmp(what, "sends") == 0 ? SENDS : ECHO;
    check(ws_loop_create(0, &loop), "ws_loop_create");
    check(ws_open("bench", WS_FLAG_ASYNC, &session), "ws_open");
    check(ws_set_option(session, WS_OPTION_LOOP, &loop, sizeof loop), "WS_OPTION_LOOP");
    check(ws_set_option(session, WS_OPTION_WHOLE_MESSAGES, &yes, sizeof yes), "WS_OPTION_WHOLE_MESSAGES");
    check(ws_set_callback(session, on_event, NULL), "ws_set_callback");
    check(ws_listen(session, "ws://127.0.0.1:0/", &listener), "ws_listen");
    check(ws_query_option(listener, WS_OPTION_URL, url, &length), "WS_OPTION_URL");
    printf("%lu\n", strtoul(strrchr(url, ':') + 1, NULL, 10));
    fflush(stdout);
    accept_all(listener);
    if (strcmp(drive, "callbacks") == 0) check(ws_loop_run(loop), "ws_loop_run");
    for (;;) {
        check(ws_loop_wait(loop, events, BATCH, &count, WS_WAIT_FOREVER), "ws_loop_wait");
        for (size_t i = 0; i != count; ++i) on_event(&events[i], NULL);
    }
}
