/* The protocol over a transport of one's own, here a pair of sockets with poll(): what a program does that has its own event loop, TLS or tunnel.
 *
 *     protocol_poll [--size BYTES] [--deflate]     how large the message is that goes there and back, 300000; compressed
 *
 * A client and a server in one thread. Nobody waits but poll(): a read or a write that is not possible now stays under way, as an action that is
 * completed later, and the time until which poll() may sleep comes from the components, too. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include "example.h"

typedef struct peer {
    const char *name;
    bool is_server;
    ws_handle protocol;
    int descriptor;
    ws_action reading, writing; /* under way, if their kind is not WS_ACTION_NONE */
    uint64_t wake_at_ms;        /* UINT64_MAX = never */
    char *message, *buffer;     /* to be sent; for what comes */
    size_t size, received;
    bool is_over;
} peer;

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* Sends a message in three fragments. Its memory is the component's until the last one is told to be complete. */
static ws_status send_in_three(peer *me)
{
    size_t third = me->size / 3;
    for (int i = 0; i < 3; i++) {
        ws_bytes part = {me->message + third * (size_t)i, i < 2 ? third : me->size - 2 * third};
        ws_status status = ws_protocol_send(me->protocol, i < 2 ? WS_BINARY_FRAGMENT : WS_BINARY_MESSAGE, 0, &part, 1, NULL);
        if (status != WS_OK) return status;
    }
    return WS_OK;
}

/* Asks for the next piece, straight into its place in the message. */
static ws_status receive(peer *me)
{
    return ws_protocol_receive(me->protocol, me->buffer + me->received, me->size + 1 - me->received, NULL);
}

static ws_status received(peer *me, const ws_action *action)
{
    ws_status status;
    if (action->type == WS_CLOSE_FRAME) {
        printf("%s: the peer has said goodbye\n", me->name);
        return WS_OK;
    }
    me->received += action->parts[0].length;
    if (action->type == WS_BINARY_MESSAGE && me->is_server) { /* an echo, as one frame */
        ws_bytes all = {me->buffer, me->received};
        printf("server: a message of %zu bytes\n", me->received);
        return ws_protocol_send(me->protocol, WS_BINARY_MESSAGE, 0, &all, 1, NULL);
    }
    if (action->type == WS_BINARY_MESSAGE) {
        bool same = me->received == me->size && memcmp(me->buffer, me->message, me->size) == 0;
        printf("client: the echo is %s\n", same ? "the same" : "another");
        me->received = 0;
        status = ws_protocol_control(me->protocol, 8, WS_CLOSE_NORMAL, "Done", 4);
        return status != WS_OK ? status : receive(me);
    }
    return receive(me);
}

/* Tries what is under way. EAGAIN is no failure: the action stays under way, and poll() is asked. */
static ws_status transfer(peer *me)
{
    ws_status status = WS_OK;
    ssize_t count = -1;
    if (me->writing.kind != WS_ACTION_NONE) {
        struct iovec parts[2];
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        for (int i = 0; i < 2; i++) {
            parts[i].iov_base = (void *)(uintptr_t)me->writing.parts[i].data;
            parts[i].iov_len = me->writing.parts[i].length;
        }
        count = sendmsg(me->descriptor, &message, MSG_NOSIGNAL);
        if (count >= 0) {
            me->writing.kind = WS_ACTION_NONE;
            status = ws_protocol_complete_action(me->protocol, me->writing.id, now_ms(), (size_t)count);
        } else if (errno != EAGAIN && errno != EINTR) {
            return ws_protocol_abort(me->protocol);
        }
    }
    if (status == WS_OK && me->reading.kind != WS_ACTION_NONE) {
        count = recv(me->descriptor, me->reading.room, me->reading.room_length, 0);
        if (count >= 0) {
            me->reading.kind = WS_ACTION_NONE;
            status = ws_protocol_complete_action(me->protocol, me->reading.id, now_ms(), (size_t)count); /* 0 is the end */
        } else if (errno != EAGAIN && errno != EINTR) {
            return ws_protocol_abort(me->protocol);
        }
    }
    return status;
}

/* Everything that can be done now. */
static ws_status advance(peer *me)
{
    ws_status status = transfer(me);
    while (status == WS_OK && !me->is_over) {
        ws_action action = {.size = sizeof action};
        status = ws_protocol_get_action(me->protocol, now_ms(), &action);
        if (status != WS_OK) return status;
        switch (action.kind) {
        case WS_ACTION_NONE: me->wake_at_ms = UINT64_MAX; return WS_OK;
        case WS_ACTION_WAKE_AT: me->wake_at_ms = action.wake_at_ms; return WS_OK;
        case WS_ACTION_SEND_TO_NETWORK: me->writing = action; status = transfer(me); continue;
        case WS_ACTION_RECEIVE_FROM_NETWORK: me->reading = action; status = transfer(me); continue;
        case WS_ACTION_HANDSHAKEN:
            status = action.status;
            if (status == WS_OK) status = me->is_server ? ws_protocol_accept(me->protocol) : send_in_three(me);
            break;
        case WS_ACTION_INDICATE_SEND_COMPLETE: status = action.status; break;
        case WS_ACTION_INDICATE_RECEIVE_COMPLETE: status = action.status; break;
        case WS_ACTION_CLOSED:
            status = action.status;
            me->is_over = true;
            shutdown(me->descriptor, SHUT_RDWR);
            printf("%s: over\n", me->name);
            break;
        default: break;
        }
        if (status == WS_OK) status = ws_protocol_complete_action(me->protocol, action.id, now_ms(), 0);
        /* The next receive is possible once the last one's action is completed. */
        if (status == WS_OK && action.kind == WS_ACTION_HANDSHAKEN) status = receive(me);
        if (status == WS_OK && action.kind == WS_ACTION_INDICATE_RECEIVE_COMPLETE) status = received(me, &action);
        if (status == WS_OK && me->is_server && action.kind == WS_ACTION_INDICATE_SEND_COMPLETE) {
            me->received = 0; /* the echo has left: its memory is ours again */
            status = receive(me);
        }
    }
    return status;
}

static int converse(peer peers[2])
{
    for (;;) {
        struct pollfd descriptors[2];
        uint64_t wake_at_ms = UINT64_MAX, now;
        for (int i = 0; i < 2; i++) {
            ws_status status = advance(&peers[i]);
            if (status != WS_OK) return failed(peers[i].name, status);
        }
        if (peers[0].is_over && peers[1].is_over) return 0;
        for (int i = 0; i < 2; i++) {
            short reads = peers[i].reading.kind != WS_ACTION_NONE ? POLLIN : 0, writes = peers[i].writing.kind != WS_ACTION_NONE ? POLLOUT : 0;
            descriptors[i] = (struct pollfd){.fd = peers[i].is_over ? -1 : peers[i].descriptor, .events = (short)(reads | writes)};
            if (!peers[i].is_over && peers[i].wake_at_ms < wake_at_ms) wake_at_ms = peers[i].wake_at_ms;
        }
        now = now_ms();
        if (poll(descriptors, 2, wake_at_ms == UINT64_MAX ? -1 : wake_at_ms > now ? (int)(wake_at_ms - now) : 0) < 0 && errno != EINTR) {
            perror("poll");
            return 1;
        }
    }
}

static ws_status prepare(peer *me, size_t size, bool deflates)
{
    ws_compression wish = {.size = sizeof wish, .enabled = 1};
    unsigned char seed[32];
    ws_status status;
    me->size = size;
    me->message = malloc(size + 1);
    me->buffer = malloc(size + 1);
    if (me->message == NULL || me->buffer == NULL) return WS_ERROR_NOT_ENOUGH_MEMORY;
    for (size_t i = 0; i < size; i++) me->message[i] = (char)(i * 31 % 251);
    if (getentropy(seed, sizeof seed) != 0) return WS_ERROR_INTERNAL;
    status = ws_protocol_create(me->is_server ? 1 : 0, seed, &me->protocol);
    if (status == WS_OK && deflates) status = ws_set_option(me->protocol, WS_OPTION_COMPRESSION, &wish, sizeof wish);
    return status != WS_OK ? status : ws_protocol_begin(me->protocol, me->is_server ? NULL : "ws://localhost/");
}

int main(int argc, char **argv)
{
    peer peers[2] = {{.name = "client"}, {.name = "server", .is_server = true}};
    int pair[2], result = 0;
    bool deflates = false;
    uint64_t size = 300000;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--deflate") == 0) deflates = true;
        else if (strcmp(argv[i], "--size") != 0 || !read_number(argv[++i], 1u << 30, &size)) {
            fprintf(stderr, "usage: protocol_poll [--size BYTES] [--deflate]\n");
            return 2;
        }
    }
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) {
        perror("socketpair");
        return 1;
    }
    for (int i = 0; i < 2 && result == 0; i++) {
        ws_status status = prepare(&peers[i], (size_t)size, deflates);
        peers[i].descriptor = pair[i];
        (void)fcntl(pair[i], F_SETFL, O_NONBLOCK);
        if (status != WS_OK) result = failed(peers[i].name, status);
    }
    if (result == 0) result = converse(peers);
    for (int i = 0; i < 2; i++) {
        ws_close_handle(peers[i].protocol); /* before the memory that was lent to it */
        free(peers[i].message);
        free(peers[i].buffer);
        close(pair[i]);
    }
    return result;
}
