/* wslay: its event API over a blocking socket. It brings no handshake and no socket; those are bench.h's. */
#include "../bench.h"
#include <errno.h>
#include <sys/random.h>
#include <wslay/wslay.h>

static struct {
    struct bench bench;
    uint64_t received;
    unsigned char *last; /* the message that came last */
    size_t last_length;
} client;

struct connection {
    int socket;
    bool may_wait;
    wslay_event_context_ptr context;
};

static ssize_t on_receive(wslay_event_context_ptr context, uint8_t *buffer, size_t length, int flags, void *user)
{
    struct connection *connection = user;
    (void)flags;
    ssize_t count = recv(connection->socket, buffer, length, connection->may_wait ? 0 : MSG_DONTWAIT);
    connection->may_wait = false;
    if (count > 0) return count;
    wslay_event_set_error(context, count < 0 && errno == EAGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr context, const uint8_t *data, size_t length, int flags, void *user)
{
    const struct connection *connection = user;
    ssize_t count = send(connection->socket, data, length, MSG_NOSIGNAL | ((flags & WSLAY_MSG_MORE) != 0 ? MSG_MORE : 0));
    if (count < 0) wslay_event_set_error(context, WSLAY_ERR_CALLBACK_FAILURE);
    return count;
}

/* Drawn from the system in blocks: a system call a key would be unfair. */
static int on_key(wslay_event_context_ptr context, uint8_t *key, size_t length, void *user)
{
    static uint8_t block[256];
    static size_t left;
    (void)context, (void)user;
    if (left < length) {
        if (getrandom(block, sizeof block, 0) != (ssize_t)sizeof block) return -1;
        left = sizeof block;
    }
    left -= length;
    memcpy(key, block + left, length);
    return 0;
}

static void on_message(wslay_event_context_ptr context, const struct wslay_event_on_msg_recv_arg *message, void *user)
{
    (void)context, (void)user;
    bench_require(message->opcode == WSLAY_BINARY_FRAME && message->msg_length == client.bench.size, "not the message that was expected");
    /* Message and buffer are gone when this returns; the last one is looked at later. */
    if (++client.received == client.bench.count) memcpy(client.last, message->msg, client.last_length = message->msg_length);
}

static struct connection *dial(void)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_receive, .send_callback = on_send, .genmask_callback = on_key, .on_msg_recv_callback = on_message};
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) bench_fail("calloc");
    connection->socket = bench_connect(&client.bench, true);
    bench_require(wslay_event_context_client_init(&connection->context, &callbacks, connection) == 0, "wslay_event_context_client_init");
    return connection;
}

static void send_message(struct connection *connection)
{
    struct wslay_event_msg message = {.opcode = WSLAY_BINARY_FRAME, .msg = client.bench.pattern, .msg_length = client.bench.size};
    bench_require(wslay_event_queue_msg(connection->context, &message) == 0, "wslay_event_queue_msg");
    bench_require(wslay_event_send(connection->context) == 0, "wslay_event_send");
}

static void receive_until(struct connection *connection, uint64_t received)
{
    while (client.received < received) {
        connection->may_wait = true;
        bench_require(wslay_event_recv(connection->context) == 0 || client.received >= received, "wslay_event_recv");
    }
}

int main(int argc, char **argv)
{
    struct bench *bench = &client.bench;
    bench_parse(bench, argc, argv);
    if ((client.last = malloc(bench->size + 1)) == NULL) bench_fail("malloc");
    if (bench->scenario == BENCH_IDLE) {
        long before = 0;
        for (uint64_t i = 0; i <= bench->count; ++i) {
            struct connection *connection = dial();
            send_message(connection);
            receive_until(connection, i + 1);
            if (i == 0) before = bench_resident();
        }
        bench_print_memory(bench, before);
        return 0;
    }
    struct connection *connection = dial();
    bench_begin(bench);
    for (uint64_t i = 0; i != bench->count && bench->scenario != BENCH_RECEIVE; ++i) {
        send_message(connection);
        if (bench->scenario == BENCH_PINGPONG) receive_until(connection, i + 1);
    }
    if (bench->scenario == BENCH_RECEIVE) receive_until(connection, bench->count);
    bench_end(bench);
    if (bench->scenario != BENCH_SEND) bench_require(bench_is_pattern(bench, client.last, client.last_length), "the last message is not what was sent");
    return 0;
}
