/* libwebsockets: its event loop, as it has no blocking calls; messages are sent when it says that the connection is writeable. */
#include "../bench.h"
#include <libwebsockets.h>

static struct {
    struct bench bench;
    uint64_t sent, received, opened;
    unsigned char *out;  /* LWS_PRE bytes of room, then the message, which is masked in place and therefore copied each time */
    unsigned char *last; /* the message that came last */
    size_t filled;
    long before;
    bool done;
    struct lws_context *context;
} client;

static void dial(void)
{
    struct lws_client_connect_info info = {0};
    info.context = client.context;
    info.address = info.host = info.origin = "127.0.0.1";
    info.port = client.bench.port;
    info.path = client.bench.path;
    info.local_protocol_name = "bench";
    bench_require(lws_client_connect_via_info(&info) != NULL, "lws_client_connect_via_info");
}

static void finished(void)
{
    if (client.bench.scenario != BENCH_IDLE) bench_end(&client.bench);
    client.done = true;
}

static void on_message(struct lws *connection)
{
    bench_require(client.filled == client.bench.size, "not the message that was expected");
    client.filled = 0;
    ++client.received;
    if (client.bench.scenario == BENCH_IDLE) {
        if (client.received == 1) client.before = bench_resident();
        if (client.received == client.bench.count + 1) finished();
        else dial();
    } else if (client.received == client.bench.count) {
        finished();
    } else if (client.bench.scenario == BENCH_PINGPONG) {
        lws_callback_on_writable(connection);
    }
}

static void send_message(struct lws *connection)
{
    if (client.sent == client.bench.count && client.bench.scenario == BENCH_SEND) {
        finished(); /* writeable again: the last one has left */
        return;
    }
    if (client.sent == client.bench.count && client.bench.scenario != BENCH_IDLE) return;
    memcpy(client.out + LWS_PRE, client.bench.pattern, client.bench.size);
    int written = lws_write(connection, client.out + LWS_PRE, client.bench.size, LWS_WRITE_BINARY);
    bench_require(written == (int)client.bench.size, "lws_write");
    ++client.sent;
    if (client.bench.scenario == BENCH_SEND) lws_callback_on_writable(connection);
}

static int on_event(struct lws *connection, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    (void)user;
    switch ((int)reason) {
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        bench_require(false, in != NULL ? (const char *)in : "no connection");
        break;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        if (client.opened++ == 0) bench_begin(&client.bench);
        if (client.bench.scenario != BENCH_RECEIVE) lws_callback_on_writable(connection);
        break;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        if (client.bench.scenario != BENCH_RECEIVE && !client.done) send_message(connection);
        break;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        bench_require(length <= client.bench.size - client.filled, "a message is too long");
        /* The pieces point into the library's buffer; only the last message is kept, to be looked at. */
        if (client.received + 1 == client.bench.count) memcpy(client.last + client.filled, in, length);
        client.filled += length;
        if (lws_is_final_fragment(connection) && lws_remaining_packet_payload(connection) == 0) on_message(connection);
        break;
    case LWS_CALLBACK_CLIENT_CLOSED:
        bench_require(client.done, "the connection was closed");
        break;
    default:
        break;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct bench *bench = &client.bench;
    bench_parse(bench, argc, argv);
    client.out = malloc(LWS_PRE + bench->size + 1);
    client.last = malloc(bench->size + 1);
    if (client.out == NULL || client.last == NULL) bench_fail("malloc");
    lws_set_log_level(LLL_ERR, NULL);
    size_t room = bench->size > 4096 ? 65536 : 0; /* 0 is its default of 4096; large messages get what a program would give them */
    const struct lws_protocols protocols[] = {{.name = "bench", .callback = on_event, .rx_buffer_size = room}, {0}};
    struct lws_context_creation_info info = {0};
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.protocols = protocols;
    info.gid = -1;
    info.uid = -1;
    info.pt_serv_buf_size = (unsigned)room;
    info.fd_limit_per_thread = bench->scenario == BENCH_IDLE ? (unsigned)bench->count + 10 : 0;
    client.context = lws_create_context(&info);
    bench_require(client.context != NULL, "lws_create_context");
    dial();
    while (!client.done) bench_require(lws_service(client.context, 0) >= 0, "lws_service");
    if (bench->scenario == BENCH_IDLE) bench_print_memory(bench, client.before);
    else if (bench->scenario != BENCH_SEND) bench_require(bench_is_pattern(bench, client.last, bench->size), "the last message is not what was sent");
    return 0;
}
