/* load: what every server of this bench is driven by, and measured through: one thread, epoll, frames made beforehand.
 *
 *   load PORT echo CONNECTIONS DEPTH SIZE COUNT PID        COUNT messages over all connections, DEPTH of each connection's under way at a time
 *   load PORT broadcast CONNECTIONS 1 SIZE COUNT PID       the first connection sends COUNT messages, one after the other; all connections get each
 *   load PORT churn CONNECTIONS 1 0 COUNT PID              COUNT times: open, upgrade, close in good order; CONNECTIONS of them at a time
 *   load PORT idle CONNECTIONS 1 SIZE 0 PID                one message on each connection (a multiple of 50), which then is left alone
 *
 * PID is the server's, 0 if it is not to be looked at. Prints the nanoseconds of processor time that the server took (of all its threads, in user and
 * system mode), and of the clock; for idle, the bytes by which its resident memory grew for each connection. Then it keeps its connections until stdin
 * ends, so that a server can be ended before it has seen any of them go.
 *
 * Every message is checked for its type and length; for its content the first and the last ones of each connection, and all that are small. Replies may
 * be fragmented. An error ends it with 1. */
#include "../bench.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

enum { ROOM = 1 << 20, EVENTS = 256, SMALL = 1024, GROUP = 50, WARM = 2 * GROUP };

enum state { SHAKING_HANDS, CLOSING, CLOSED }; /* when connections come and go; all others are open */

struct connection {
    int socket;
    enum state state;
    unsigned char partial, header[10];
    bool is_inside, is_final; /* a message has begun; the frame under way is its last */
    uint64_t left;            /* of the frame's payload */
    size_t size;              /* of the message so far */
    size_t at, queued;        /* where in a frame the next byte to be sent is, and how many are to be sent */
};

static struct {
    struct bench bench;
    char mode[16];
    size_t connections, depth;
    long pid;
    struct connection *connection;
    unsigned char *frames; /* one more than DEPTH of them, back to back */
    size_t frame;          /* the length of one */
    unsigned char in[ROOM];
    int poller;
    bool compares;
    uint64_t to_send, to_receive, received; /* of the phase */
} load;

/* Masked, as a client's must be; the same key each time, as a server cannot know that. */
static size_t make_frame(unsigned char *to, unsigned char first, const unsigned char *payload, size_t length)
{
    static const unsigned char key[4] = {0x37, 0xFA, 0x21, 0x3D};
    size_t extended = length > 0xFFFF ? 8 : length > 125 ? 2 : 0;
    to[0] = first;
    to[1] = 0x80 | (extended == 8 ? 127 : extended == 2 ? 126 : (unsigned char)length);
    for (size_t i = 0; i != extended; ++i) to[2 + i] = (unsigned char)(length >> 8 * (extended - 1 - i));
    to += 2 + extended;
    memcpy(to, key, 4);
    for (size_t i = 0; i != length; ++i) to[4 + i] = payload[i] ^ key[i & 3];
    return 2 + extended + 4 + length;
}

/* ---- looking at the server ------------------------------------------------------------------------------------------------------------------------ */

/* Processor time of all its threads, by the scheduler's own count. */
static uint64_t server_cpu_ns(void)
{
    char path[300];
    uint64_t total = 0, one;
    if (load.pid == 0) return 0;
    snprintf(path, sizeof path, "/proc/%ld/task", load.pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL) bench_fail(path);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        if (task->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%ld/task/%s/schedstat", load.pid, task->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL || fscanf(file, "%" SCNu64, &one) != 1) bench_fail(path);
        fclose(file);
        total += one;
    }
    closedir(tasks);
    return total;
}

static long server_resident(void)
{
    char path[64], line[256];
    long kilobytes = -1;
    snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", load.pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) bench_fail(path);
    while (kilobytes < 0 && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "Rss: %ld kB", &kilobytes) != 1) kilobytes = -1;
    fclose(file);
    bench_require(kilobytes > 0, "no Rss in smaps_rollup");
    return kilobytes * 1024;
}

/* Long enough for the server to have gone to sleep: what runs is not counted until it stops. */
static void settle(long milliseconds)
{
    struct timespec time = {.tv_sec = 0, .tv_nsec = milliseconds * 1000000};
    nanosleep(&time, NULL);
}

/* ---- connections ---------------------------------------------------------------------------------------------------------------------------------- */

static void watch(struct connection *connection, int operation, uint32_t what)
{
    struct epoll_event event = {.events = what, .data.ptr = connection};
    if (epoll_ctl(load.poller, operation, connection->socket, &event) != 0) bench_fail("epoll_ctl");
}

static void flush(struct connection *connection)
{
    ssize_t count = send(connection->socket, load.frames + connection->at, connection->queued, MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN) bench_fail("send");
    size_t sent = count < 0 ? 0 : (size_t)count;
    connection->at = (connection->at + sent) % load.frame;
    connection->queued -= sent;
}

/* Sends some more frames, in one call if the socket takes them. */
static void send_frames(struct connection *connection, uint64_t count)
{
    if (count > load.to_send) count = load.to_send;
    if (count == 0) return;
    bool waits = connection->queued != 0;
    load.to_send -= count;
    connection->queued += count * load.frame;
    if (waits) return;
    flush(connection);
    if (connection->queued != 0) watch(connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void message_ends(struct connection *connection)
{
    bench_require(connection->size == load.bench.size, "a reply has not the size of what was sent");
    connection->is_inside = false;
    connection->size = 0;
    ++load.received;
}

/* Reads as much of a header as is there. Returns the bytes used; the frame has begun if `partial` is 0 again. */
static size_t read_header(struct connection *connection, const unsigned char *bytes, size_t length)
{
    size_t at = 0, extended;
    while (at != length) {
        connection->header[connection->partial++] = bytes[at++];
        if (connection->partial < 2) continue;
        extended = connection->header[1] == 127 ? 8 : connection->header[1] == 126 ? 2 : 0;
        if (connection->partial < 2 + extended) continue;
        connection->left = extended == 0 ? connection->header[1] : 0;
        for (size_t i = 0; i != extended; ++i) connection->left = connection->left << 8 | connection->header[2 + i];
        connection->partial = 0;
        connection->is_final = (connection->header[0] & 0x80) != 0;
        bench_require((connection->header[0] & 0x7F) == (connection->is_inside ? 0 : 2), "not the frame that was expected");
        bench_require(connection->left <= load.bench.size - connection->size, "a reply is too long");
        connection->is_inside = true;
        break;
    }
    return at;
}

/* Returns how many messages ended. */
static uint64_t digest(struct connection *connection, const unsigned char *bytes, size_t length)
{
    uint64_t before = load.received;
    for (size_t at = 0; at != length;) {
        if (connection->left == 0) {
            at += read_header(connection, bytes + at, length - at);
            if (connection->partial != 0) break;
        }
        size_t now = connection->left < length - at ? (size_t)connection->left : length - at;
        if (load.compares) bench_require(memcmp(bytes + at, load.bench.pattern + connection->size, now) == 0, "a reply is not what was sent");
        at += now;
        connection->left -= now;
        connection->size += now;
        if (connection->left == 0 && connection->is_final) message_ends(connection);
    }
    return load.received - before;
}

static int dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(load.bench.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    int one = 1, result = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (result < 0 || connect(result, (struct sockaddr *)&address, sizeof address) != 0) bench_fail("connect");
    if (setsockopt(result, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) bench_fail("TCP_NODELAY");
    bench_write(result, request, sizeof request - 1);
    return result;
}

/* The head comes at once over the loopback, and nothing behind it: nobody has asked for anything. */
static void check_answer(const char *head, ssize_t length)
{
    bench_require(length > 4 && strncmp(head, "HTTP/1.1 101 ", 13) == 0 && memcmp(head + length - 4, "\r\n\r\n", 4) == 0, "the server did not answer 101");
    bench_require(memmem(head, (size_t)length, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28) != NULL, "Sec-WebSocket-Accept is wrong");
}

static void make_nonblocking(int socket)
{
    if (fcntl(socket, F_SETFL, O_NONBLOCK) != 0) bench_fail("O_NONBLOCK");
}

/* Several at a time: then neither side sleeps after each. */
static void open_connections(struct connection *first, size_t count)
{
    char head[4096];
    for (size_t done = 0; done != count;) {
        size_t group = count - done < GROUP ? count - done : GROUP;
        for (size_t i = 0; i != group; ++i) first[done + i].socket = dial();
        for (size_t i = 0; i != group; ++i) {
            struct connection *connection = &first[done + i];
            check_answer(head, recv(connection->socket, head, sizeof head, 0));
            make_nonblocking(connection->socket);
            watch(connection, EPOLL_CTL_ADD, EPOLLIN);
        }
        done += group;
    }
}

/* ---- the modes ------------------------------------------------------------------------------------------------------------------------------------ */

static void serve_event(const struct epoll_event *event)
{
    struct connection *connection = (struct connection *)event->data.ptr;
    if ((event->events & EPOLLOUT) != 0) {
        flush(connection);
        if (connection->queued == 0) watch(connection, EPOLL_CTL_MOD, EPOLLIN);
    }
    if ((event->events & ~(uint32_t)EPOLLOUT) == 0) return;
    ssize_t count = recv(connection->socket, load.in, ROOM, 0);
    if (count <= 0) bench_fail("recv: the server ended a connection");
    uint64_t ended = digest(connection, load.in, (size_t)count);
    if (strcmp(load.mode, "broadcast") != 0) send_frames(connection, ended);
}

/* Sends `count` messages, over all `connections` (or over the first one, to all), and waits for what comes back. */
static void phase(uint64_t count, struct connection *first, size_t connections, bool compares)
{
    struct epoll_event events[EVENTS];
    bool is_broadcast = strcmp(load.mode, "broadcast") == 0;
    load.to_send = count;
    load.to_receive = is_broadcast ? count * connections : count;
    load.received = 0;
    load.compares = compares || load.bench.size <= SMALL;
    for (size_t i = 0; i != connections && !is_broadcast; ++i) send_frames(&first[i], load.depth);
    for (uint64_t next = 0; load.received != load.to_receive;) {
        if (is_broadcast && load.received == next) {
            send_frames(first, 1);
            next += connections;
        }
        int ready = epoll_wait(load.poller, events, EVENTS, -1);
        for (int i = 0; i < ready; ++i) serve_event(&events[i]);
    }
}

static void exchange(void)
{
    size_t all = load.connections;
    uint64_t check = strcmp(load.mode, "broadcast") == 0 ? 1 : all * load.depth;
    open_connections(load.connection, all);
    phase(check, load.connection, all, true);
    settle(2);
    uint64_t cpu_ns = server_cpu_ns(), wall_ns = bench_clock(CLOCK_MONOTONIC);
    phase(load.bench.count, load.connection, all, false);
    wall_ns = bench_clock(CLOCK_MONOTONIC) - wall_ns;
    settle(2);
    cpu_ns = server_cpu_ns() - cpu_ns;
    phase(check, load.connection, all, true);
    settle(2);
    printf("%" PRIu64 " %" PRIu64 "\n", cpu_ns, wall_ns);
}

/* The first ones are not counted: what a server allocates once is no part of a connection. */
static void idle(void)
{
    long before = 0;
    for (size_t done = 0; done < load.connections + WARM; done += GROUP) {
        if (done == WARM) settle(200), before = server_resident();
        open_connections(load.connection + done, GROUP);
        phase(GROUP, load.connection + done, GROUP, true);
    }
    settle(200);
    printf("%.0f\n", (double)(server_resident() - before) / (double)load.connections);
}

static void churn_event(struct connection *connection, uint64_t *begun, uint64_t count)
{
    ssize_t got = recv(connection->socket, load.in, ROOM, 0);
    if (connection->state == SHAKING_HANDS) {
        unsigned char frame[16];
        static const unsigned char normal[2] = {0x03, 0xE8};
        check_answer((const char *)load.in, got);
        bench_write(connection->socket, frame, make_frame(frame, 0x88, normal, 2));
        connection->state = CLOSING;
        return;
    }
    if (got > 0) { /* the close frame, and perhaps the end with it, which is another event */
        bench_require(connection->state == CLOSING && load.in[0] == 0x88 && got >= 2, "not the close frame that was expected");
        connection->state = CLOSED;
        return;
    }
    bench_require(got == 0 && connection->state == CLOSED, "a connection did not end in good order");
    close(connection->socket);
    ++load.received;
    if (*begun == count) return;
    ++*begun;
    connection->socket = dial();
    connection->state = SHAKING_HANDS;
    make_nonblocking(connection->socket);
    watch(connection, EPOLL_CTL_ADD, EPOLLIN);
}

static void churn_phase(uint64_t count)
{
    struct epoll_event events[EVENTS];
    uint64_t begun = 0;
    load.received = 0;
    for (; begun != load.connections && begun != count; ++begun) {
        struct connection *connection = &load.connection[begun];
        connection->socket = dial();
        connection->state = SHAKING_HANDS;
        make_nonblocking(connection->socket);
        watch(connection, EPOLL_CTL_ADD, EPOLLIN);
    }
    while (load.received != count) {
        int ready = epoll_wait(load.poller, events, EVENTS, -1);
        for (int i = 0; i < ready; ++i) churn_event((struct connection *)events[i].data.ptr, &begun, count);
    }
}

static void churn(void)
{
    churn_phase(2 * load.connections);
    settle(20);
    uint64_t cpu_ns = server_cpu_ns(), wall_ns = bench_clock(CLOCK_MONOTONIC);
    churn_phase(load.bench.count);
    wall_ns = bench_clock(CLOCK_MONOTONIC) - wall_ns;
    settle(20);
    printf("%" PRIu64 " %" PRIu64 "\n", server_cpu_ns() - cpu_ns, wall_ns);
}

static void prepare(char **argv)
{
    snprintf(load.mode, sizeof load.mode, "%s", argv[2]);
    load.connections = strtoul(argv[3], NULL, 10);
    load.depth = strtoul(argv[4], NULL, 10);
    load.pid = strtol(argv[7], NULL, 10);
    char *arguments[] = {argv[0], argv[1], (char *)"pingpong", argv[5], argv[6], NULL};
    bench_parse(&load.bench, 5, arguments);
    load.connection = (struct connection *)calloc(load.connections + WARM + GROUP, sizeof *load.connection);
    load.frames = (unsigned char *)malloc((load.depth + 1) * (load.bench.size + 14));
    load.poller = epoll_create1(EPOLL_CLOEXEC);
    if (load.connection == NULL || load.frames == NULL || load.poller < 0) bench_fail("memory");
    for (size_t i = 0; i <= load.depth; ++i)
        load.frame = make_frame(load.frames + i * load.frame, 0x82, load.bench.pattern, load.bench.size);
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: %s PORT echo|broadcast|churn|idle CONNECTIONS DEPTH SIZE COUNT PID\n", argv[0]);
        return 2;
    }
    char ignored[16];
    prepare(argv);
    if (strcmp(load.mode, "idle") == 0) idle();
    else if (strcmp(load.mode, "churn") == 0) churn();
    else exchange();
    fflush(stdout);
    while (read(STDIN_FILENO, ignored, sizeof ignored) > 0) {}
    return 0;
}
