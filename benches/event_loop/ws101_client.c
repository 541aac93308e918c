/* ws101_client DRIVE PORT pingpong SIZE COUNT: a client on one loop. DRIVE is batches (ws_loop_wait) or callbacks (ws_loop_run), both with
 * WS_OPTION_WHOLE_MESSAGES, or views (ws_loop_wait and ws_receive_view). */
#include "../bench.h"
#include <ws101.h>

enum { BATCH = 16 };

static struct bench bench;
static ws_handle loop;
static uint64_t echoes;
static size_t filled;
static bool looks, ended;

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

static void send_next(ws_handle websocket) { check(ws_send(websocket, WS_BINARY_MESSAGE, bench.pattern, bench.size), "ws_send"); }

static void piece(ws_handle websocket, ws_buffer_type type, const void *data, size_t length)
{
    bool is_last = echoes + 1 == bench.count;
    bench_require(length <= bench.size - filled && (type == WS_BINARY_MESSAGE || type == WS_BINARY_FRAGMENT), "not the message that was expected");
    if (is_last) bench_require(memcmp(data, bench.pattern + filled, length) == 0, "the last echo is not what was sent");
    filled += length;
    if (type == WS_BINARY_FRAGMENT) return;
    bench_require(filled == bench.size, "an echo is too short");
    filled = 0;
    ++echoes;
    if (!is_last) return send_next(websocket);
    bench_end(&bench);
    ended = true;
    check(ws_loop_stop(loop), "ws_loop_stop");
}

static void look(ws_handle websocket)
{
    const void *data;
    size_t length;
    ws_buffer_type type;
    ws_status status = WS_OK;
    while (!ended && (status = ws_receive_view(websocket, &data, &length, &type)) == WS_OK) piece(websocket, type, data, length);
    if (status != WS_OK && status != WS_PENDING) failed(status, "ws_receive_view");
}

static void on_event(const ws_event *event, void *unused)
{
    (void)unused;
    if (event->status != WS_OK && !ended) {
        fprintf(stderr, "%s\n", event->error->message);
        exit(1);
    }
    if (event->type == WS_EVENT_UPGRADED) {
        bench_begin(&bench);
        send_next(event->child);
        if (looks) look(event->child);
        ws_close_handle(event->handle);
    } else if (event->type == WS_EVENT_RECEIVED) {
        piece(event->handle, event->buffer_type, event->data, event->length);
        if (looks) look(event->handle);
    }
}

int main(int argc, char **argv)
{
    static ws_event events[BATCH];
    const char *drive = argc > 1 ? argv[1] : "";
    uint32_t whole = strcmp(drive, "views") != 0;
    char url[128];
    size_t count;
    ws_handle session, request, websocket;
    if (argc < 2) return 2;
    bench_parse(&bench, argc - 1, argv + 1);
    looks = !whole;
    check(ws_loop_create(0, &loop), "ws_loop_create");
    check(ws_open("bench", WS_FLAG_ASYNC, &session), "ws_open");
    check(ws_set_option(session, WS_OPTION_LOOP, &loop, sizeof loop), "WS_OPTION_LOOP");
    check(ws_set_option(session, WS_OPTION_WHOLE_MESSAGES, &whole, sizeof whole), "WS_OPTION_WHOLE_MESSAGES");
    check(ws_set_callback(session, on_event, NULL), "ws_set_callback");
    snprintf(url, sizeof url, "ws://127.0.0.1:%u%s", (unsigned)bench.port, bench.path);
    check(ws_connect(session, url, &request), "ws_connect");
    ws_status status = ws_complete_upgrade(request, &websocket);
    if (status != WS_PENDING) failed(status, "ws_complete_upgrade");
    if (strcmp(drive, "callbacks") == 0) check(ws_loop_run(loop), "ws_loop_run");
    while (!ended) {
        check(ws_loop_wait(loop, events, BATCH, &count, WS_WAIT_FOREVER), "ws_loop_wait");
        for (size_t i = 0; i != count; ++i) on_event(&events[i], NULL);
    }
    return 0;
}
