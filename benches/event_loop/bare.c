/* bare [echo|broadcast]: the floor: epoll, frames parsed no further than they must be, and nothing else. A frame goes back while it comes, so that no
 * message is ever held. One buffer for what all connections receive, one for what they send, and one `send` for each `recv`. */
#include "../accept.h"
#include "../bench.h"
#include <errno.h>
#include <sys/epoll.h>

enum { ROOM = 512 << 10, EVENTS = 256, LONGEST_HEADER = 14 };

struct connection {
    int socket;
    bool is_open, is_closing;
    unsigned char partial, header[LONGEST_HEADER], key[4]; /* the beginning of a header; the key, rotated to where the payload goes on */
    uint64_t left;                                         /* of the frame's payload */
    unsigned char *waiting;                                /* what the socket did not take; nothing is received while there is some */
    size_t waiting_from, waiting_to;
    size_t place;
};

static int poller, listener;
static bool broadcasts;
static unsigned char in[ROOM + 1], out[ROOM + 256];
static struct connection **everybody;
static size_t present, most;

static void watch(struct connection *connection, int operation, uint32_t what)
{
    struct epoll_event event = {.events = what, .data.ptr = connection};
    if (epoll_ctl(poller, operation, connection == NULL ? listener : connection->socket, &event) != 0) bench_fail("epoll_ctl");
}

static void leave(struct connection *connection)
{
    everybody[connection->place] = everybody[--present];
    everybody[connection->place]->place = connection->place;
    close(connection->socket);
    free(connection->waiting);
    free(connection);
}

static void enter(void)
{
    int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) return;
    struct connection *connection = (struct connection *)calloc(1, sizeof *connection);
    if (present == most) everybody = (struct connection **)realloc(everybody, (most = 2 * most + 16) * sizeof *everybody);
    if (connection == NULL || everybody == NULL) bench_fail("memory");
    connection->socket = socket;
    connection->place = present;
    everybody[present++] = connection;
    watch(connection, EPOLL_CTL_ADD, EPOLLIN);
}

/* False if the connection is lost. What the socket does not take is kept, behind what is kept already. */
static bool put(struct connection *connection, const unsigned char *data, size_t length)
{
    size_t sent = 0, kept = connection->waiting_to - connection->waiting_from;
    if (kept == 0) {
        ssize_t count = send(connection->socket, data, length, MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN) return false;
        if (count > 0) sent = (size_t)count;
        if (sent == length) return true;
        watch(connection, EPOLL_CTL_MOD, EPOLLOUT);
    }
    unsigned char *waiting = (unsigned char *)malloc(kept + length - sent);
    if (waiting == NULL) bench_fail("malloc");
    if (kept != 0) memcpy(waiting, connection->waiting + connection->waiting_from, kept);
    memcpy(waiting + kept, data + sent, length - sent);
    free(connection->waiting);
    connection->waiting = waiting;
    connection->waiting_from = 0;
    connection->waiting_to = kept + length - sent;
    return true;
}

static void go_on(struct connection *connection)
{
    size_t length = connection->waiting_to - connection->waiting_from;
    ssize_t count = send(connection->socket, connection->waiting + connection->waiting_from, length, MSG_NOSIGNAL);
    if (count < 0) return leave(connection);
    connection->waiting_from += (size_t)count;
    if (connection->waiting_from != connection->waiting_to) return;
    free(connection->waiting);
    connection->waiting = NULL;
    connection->waiting_from = connection->waiting_to = 0;
    watch(connection, EPOLL_CTL_MOD, EPOLLIN);
}

/* The head is small, and all of it comes at once over the loopback. */
static bool shake_hands(struct connection *connection, size_t length)
{
    static const char wanted[] = "Sec-WebSocket-Key: ";
    char answer[256], value[29];
    in[length] = 0;
    const char *key = strstr((const char *)in, wanted);
    bench_require(key != NULL && length > 4 && memcmp(in + length - 4, "\r\n\r\n", 4) == 0, "bare: not such a request");
    accept_value(key + sizeof wanted - 1, value);
    const char *fields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    int made = snprintf(answer, sizeof answer, "HTTP/1.1 101 Switching Protocols\r\n%s%s\r\n\r\n", fields, value);
    connection->is_open = true;
    return put(connection, (unsigned char *)answer, (size_t)made);
}

/* Unmasks `length` bytes; the key is then rotated to where the payload goes on. */
#if defined __x86_64__
__attribute__((target_clones("avx2", "default")))
#endif
static void unmask(unsigned char *restrict to, const unsigned char *restrict from, size_t length, unsigned char key[4])
{
    unsigned char rotated[4];
    uint64_t wide, word;
    size_t i = 0;
    memcpy(&wide, key, 4);
    memcpy((unsigned char *)&wide + 4, key, 4);
    for (; i + 8 <= length; i += 8) {
        memcpy(&word, from + i, 8);
        word ^= wide;
        memcpy(to + i, &word, 8);
    }
    for (; i != length; ++i) to[i] = from[i] ^ key[i & 3];
    for (i = 0; i != 4; ++i) rotated[i] = key[(length + i) & 3];
    memcpy(key, rotated, 4);
}

/* The header at `from`, and the server's at `to`. Returns the length of the former, 0 if it is not whole. */
static size_t turn_header(struct connection *connection, const unsigned char *from, size_t length, unsigned char *to, size_t *made)
{
    if (length < 2) return 0;
    size_t extended = (from[1] & 0x7F) == 127 ? 8 : (from[1] & 0x7F) == 126 ? 2 : 0;
    bench_require((from[1] & 0x80) != 0, "bare: a client's frame is not masked");
    if (length < 2 + extended + 4) return 0;
    connection->left = extended == 0 ? from[1] & 0x7F : 0;
    for (size_t i = 0; i != extended; ++i) connection->left = connection->left << 8 | from[2 + i];
    connection->is_closing = (from[0] & 0xF) == 8;
    memcpy(to, from, 2 + extended);
    to[1] &= 0x7F;
    memcpy(connection->key, from + 2 + extended, 4);
    *made += 2 + extended;
    return 2 + extended + 4;
}

/* Makes the answer to what came; returns its length. */
static size_t turn(struct connection *connection, const unsigned char *from, size_t length)
{
    size_t at = 0, made = 0;
    for (;;) {
        size_t now = connection->left < length - at ? (size_t)connection->left : length - at;
        if (now != 0) {
            unmask(out + made, from + at, now, connection->key);
            at += now, made += now, connection->left -= now;
        }
        if (at == length || (connection->is_closing && connection->left == 0)) return made;
        if (connection->partial == 0) {
            size_t header = turn_header(connection, from + at, length - at, out + made, &made);
            at += header;
            if (header != 0) continue;
        }
        connection->header[connection->partial++] = from[at++];
        if (turn_header(connection, connection->header, connection->partial, out + made, &made) != 0) connection->partial = 0;
    }
}

static void receive(struct connection *connection)
{
    ssize_t count = recv(connection->socket, in, ROOM, 0);
    if (count <= 0) return leave(connection);
    if (!connection->is_open) {
        if (!shake_hands(connection, (size_t)count)) leave(connection);
        return;
    }
    size_t made = turn(connection, in, (size_t)count);
    bool is_done = connection->is_closing && connection->left == 0;
    if (!broadcasts || connection->is_closing) {
        if (!put(connection, out, made) || is_done) leave(connection);
        return;
    }
    bench_require(connection->left == 0 && connection->partial == 0, "bare: what is broadcast must come at once");
    for (size_t i = 0; i != present; ++i) bench_require(put(everybody[i], out, made), "bare: a receiver is lost");
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    struct epoll_event events[EVENTS];
    int one = 1;
    broadcasts = argc > 1 && strcmp(argv[1], "broadcast") == 0;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (listener < 0 || setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) bench_fail("socket"); /* inherited */
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1024) != 0) bench_fail("listen");
    if (getsockname(listener, (struct sockaddr *)&address, &length) != 0) bench_fail("getsockname");
    if ((poller = epoll_create1(EPOLL_CLOEXEC)) < 0) bench_fail("epoll_create1");
    watch(NULL, EPOLL_CTL_ADD, EPOLLIN);
    printf("%u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < count; ++i) {
            struct connection *connection = (struct connection *)events[i].data.ptr;
            if (connection == NULL) enter();
            else if ((events[i].events & EPOLLOUT) != 0) go_on(connection);
            else receive(connection);
        }
    }
}
