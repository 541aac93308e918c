/* ws101: the blocking client, through the public header, as a program would use it. */
#include "bench.h"
#include <ws101.h>

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

static ws_handle dial(const struct bench *bench, ws_handle session)
{
    char url[128];
    ws_handle request, websocket;
    snprintf(url, sizeof url, "ws://127.0.0.1:%u%s", (unsigned)bench->port, bench->path);
    check(ws_connect(session, url, &request), "ws_connect");
    check(ws_complete_upgrade(request, &websocket), "ws_complete_upgrade");
    ws_close_handle(request);
    return websocket;
}

/* One message, piece by piece, to the beginning of the buffer, which has room for it. */
static inline void receive_message(const struct bench *bench, ws_handle websocket, unsigned char *buffer)
{
    size_t filled = 0, received;
    ws_buffer_type type;
    for (;;) {
        ws_status status = ws_receive(websocket, buffer + filled, bench->size - filled + 1, &received, &type);
        if (status != WS_OK) failed(status, "ws_receive");
        filled += received;
        if (type == WS_BINARY_MESSAGE && filled == bench->size) return;
        bench_require(type == WS_BINARY_FRAGMENT, "not the message that was expected");
    }
}

static inline void send_message(const struct bench *bench, ws_handle websocket)
{
    ws_status status = ws_send(websocket, WS_BINARY_MESSAGE, bench->pattern, bench->size);
    if (status != WS_OK) failed(status, "ws_send");
}

static void idle(const struct bench *bench, ws_handle session, unsigned char *buffer)
{
    long before = 0;
    /* One more than is counted: what the library and libc allocate once is no part of a connection. */
    for (uint64_t i = 0; i <= bench->count; ++i) {
        ws_handle websocket = dial(bench, session);
        send_message(bench, websocket);
        receive_message(bench, websocket, buffer);
        if (i == 0) before = bench_resident();
    }
    bench_print_memory(bench, before);
}

static void move(const struct bench *bench, ws_handle websocket, unsigned char *buffer)
{
    bool sends = bench->scenario != BENCH_RECEIVE, receives = bench->scenario != BENCH_SEND;
    for (uint64_t i = bench->count; i != 0; --i) {
        if (sends) send_message(bench, websocket);
        if (receives) receive_message(bench, websocket, buffer);
    }
}

int main(int argc, char **argv)
{
    static struct bench bench;
    bench_parse(&bench, argc, argv);
    unsigned char *buffer = (unsigned char *)calloc(bench.size + 1, 1);
    ws_handle session;
    if (buffer == NULL) bench_fail("calloc");
    check(ws_open("bench", 0, &session), "ws_open");
    if (bench.scenario == BENCH_IDLE) return idle(&bench, session, buffer), 0;
    ws_handle websocket = dial(&bench, session);
    bench_begin(&bench);
    move(&bench, websocket, buffer);
    bench_end(&bench);
    if (bench.scenario != BENCH_SEND) bench_require(bench_is_pattern(&bench, buffer, bench.size), "the last message is not what was sent");
    ws_close_handle(websocket);
    ws_close_handle(session);
    return 0;
}
