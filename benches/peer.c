/* peer: what every benchmark client talks to, so that all of them meet the same one: a thin server over bare sockets.
 *
 *   GET /echo/SIZE/COUNT     sends every message back
 *   GET /source/SIZE/COUNT   sends COUNT messages of SIZE bytes, framed beforehand, many in one call
 *   GET /sink/SIZE/COUNT     takes messages, and checks that they were COUNT of SIZE bytes
 *   GET /idle/SIZE/COUNT     sends one message back and keeps the connection
 *
 * Without Sec-WebSocket-Key the client speaks no WebSocket: echo and sink then take bare bytes; source sends the same bytes as to the others.
 * Prints its port, serves one connection after the other, and ends when the first that is not idle has ended: with 1 if something was wrong. */
#include "accept.h"
#include "bench.h"
#include <strings.h>

enum { ROOM = 2 << 20 }; /* two messages of the largest size */

static struct {
    int socket;
    bool is_websocket;
    char mode[16];
    size_t size;
    uint64_t count;
    unsigned char *in, *out;
    size_t filled;
} peer;

/* ---- handshake ------------------------------------------------------------------------------------------------------------------------------------ */

static void handshake(void)
{
    char head[4096], answer[256], value[29];
    size_t length = 0;
    do {
        ssize_t count = recv(peer.socket, head + length, sizeof head - 1 - length, 0);
        bench_require(count > 0, "peer: no request head");
        length += (size_t)count;
        head[length] = 0;
    } while (strstr(head, "\r\n\r\n") == NULL);
    bench_require(sscanf(head, "GET /%15[a-z]/%zu/%" SCNu64 " ", peer.mode, &peer.size, &peer.count) == 3, "peer: not such a request");
    const char *line = head;
    while (line != NULL && strncasecmp(line, "sec-websocket-key:", 18) != 0) line = (line = strchr(line, '\n')) == NULL ? NULL : line + 1;
    peer.is_websocket = line != NULL;
    if (peer.is_websocket) {
        line += 18;
        accept_value(line + strspn(line, " "), value);
        const char *fields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
        length = (size_t)snprintf(answer, sizeof answer, "HTTP/1.1 101 Switching Protocols\r\n%s%s\r\n\r\n", fields, value);
    } else {
        length = (size_t)snprintf(answer, sizeof answer, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
    }
    bench_write(peer.socket, answer, length);
}

/* ---- frames --------------------------------------------------------------------------------------------------------------------------------------- */

struct frame {
    size_t header; /* 0: not yet whole */
    uint64_t length;
    unsigned char first, key[4];
};

static struct frame parse(const unsigned char *bytes, size_t length)
{
    struct frame frame = {0};
    size_t extended;
    if (length < 2) return frame;
    extended = (bytes[1] & 0x7F) == 127 ? 8 : (bytes[1] & 0x7F) == 126 ? 2 : 0;
    bench_require((bytes[1] & 0x80) != 0, "peer: a client's frame is not masked");
    if (length < 2 + extended + 4) return frame;
    frame.first = bytes[0];
    frame.length = extended == 0 ? bytes[1] & 0x7F : 0;
    for (size_t i = 0; i != extended; ++i) frame.length = frame.length << 8 | bytes[2 + i];
    memcpy(frame.key, bytes + 2 + extended, 4);
    frame.header = 2 + extended + 4;
    return frame;
}

static size_t put_header(unsigned char *to, unsigned char first, uint64_t length)
{
    size_t extended = length > 0xFFFF ? 8 : length > 125 ? 2 : 0;
    to[0] = first;
    to[1] = extended == 8 ? 127 : extended == 2 ? 126 : (unsigned char)length;
    for (size_t i = 0; i != extended; ++i) to[2 + i] = (unsigned char)(length >> 8 * (extended - 1 - i));
    return 2 + extended;
}

/* Reads more into `in`; false at the end. A client that is killed may reset. */
static bool receive_more(void)
{
    bench_require(peer.filled != ROOM, "peer: a message is larger than it should be");
    ssize_t count = recv(peer.socket, peer.in + peer.filled, ROOM - peer.filled, 0);
    if (count > 0) peer.filled += (size_t)count;
    return count > 0;
}

static void used(size_t count)
{
    peer.filled -= count;
    if (peer.filled != 0) memmove(peer.in, peer.in + count, peer.filled);
}

/* ---- the modes ------------------------------------------------------------------------------------------------------------------------------------ */

/* Every whole frame in `in`, sent back in one call; a close frame ends it. Returns how many messages that were. */
static uint64_t echo_buffered(bool *closed)
{
    size_t taken = 0, made = 0;
    uint64_t messages = 0;
    for (;;) {
        struct frame frame = parse(peer.in + taken, peer.filled - taken);
        if (frame.header == 0 || peer.filled - taken - frame.header < frame.length) break;
        const unsigned char *from = peer.in + taken + frame.header;
        taken += frame.header + frame.length;
        if ((frame.first & 0xF) == 8) {
            *closed = true;
            break;
        }
        made += put_header(peer.out + made, frame.first, frame.length);
        for (size_t i = 0; i != frame.length; ++i) peer.out[made + i] = from[i] ^ frame.key[i & 3];
        made += frame.length;
        ++messages;
    }
    if (made != 0) bench_write(peer.socket, peer.out, made);
    if (taken != 0) used(taken);
    return messages;
}

/* At most `most` messages come back. */
static void echo(uint64_t most)
{
    bool closed = false;
    for (uint64_t done = 0; done < most && !closed && receive_more();) {
        if (peer.is_websocket) {
            done += echo_buffered(&closed);
        } else {
            bench_write(peer.socket, peer.in, peer.filled);
            done += peer.filled / peer.size;
            peer.filled = 0;
        }
    }
}

static void source(const unsigned char *pattern)
{
    size_t wire = 0, batch = 0;
    do {
        wire += put_header(peer.out + wire, 0x82, peer.size);
        memcpy(peer.out + wire, pattern, peer.size);
        wire += peer.size;
        ++batch;
    } while (wire < 256 << 10);
    wire /= batch;
    for (uint64_t left = peer.count; left != 0;) {
        uint64_t now = left < batch ? left : batch;
        bench_write(peer.socket, peer.out, now * wire);
        left -= now;
    }
    while (recv(peer.socket, peer.in, ROOM, 0) > 0) {} /* the client ends first */
}

static void sink_bytes(void)
{
    uint64_t total = 0;
    for (; receive_more(); peer.filled = 0) total += peer.filled;
    bench_require(total == peer.count * peer.size, "peer: not as many bytes came as were announced");
}

/* Headers are read, payloads passed over, except the first, which is compared. */
static void sink_frames(const unsigned char *pattern)
{
    uint64_t messages = 0, size = 0, pass = 0;
    bool closed = false;
    while (!closed && receive_more()) {
        size_t at = 0;
        while (at != peer.filled && !closed) {
            if (pass != 0) {
                uint64_t now = pass < peer.filled - at ? pass : peer.filled - at;
                at += now;
                pass -= now;
                continue;
            }
            struct frame frame = parse(peer.in + at, peer.filled - at);
            if (frame.header == 0 || (messages == 0 && peer.filled - at - frame.header < frame.length)) break;
            closed = (frame.first & 0xF) == 8;
            at += frame.header;
            if (messages == 0)
                for (uint64_t i = 0; i != frame.length; ++i)
                    bench_require((peer.in[at + i] ^ frame.key[i & 3]) == pattern[size + i], "peer: the first message is not as it should be");
            pass = frame.length;
            size += frame.length;
            if ((frame.first & 0x80) == 0 || closed) continue;
            bench_require(size == peer.size, "peer: a message has not the announced size");
            size = 0;
            ++messages;
        }
        if (at != 0) used(at);
    }
    bench_require(messages == peer.count, "peer: not as many messages came as were announced");
}

/* False if the connection is to be kept, and the next one taken. */
static bool serve(void)
{
    handshake();
    struct bench pattern = {0};
    char size[24], *arguments[] = {"peer", "0", "idle", size, "1", NULL};
    snprintf(size, sizeof size, "%zu", peer.size);
    bench_parse(&pattern, 5, arguments);
    peer.filled = 0;
    if (strcmp(peer.mode, "echo") == 0) echo(UINT64_MAX);
    else if (strcmp(peer.mode, "source") == 0) source(pattern.pattern);
    else if (strcmp(peer.mode, "sink") != 0) echo(1);
    else if (peer.is_websocket) sink_frames(pattern.pattern);
    else sink_bytes();
    free(pattern.pattern);
    return strcmp(peer.mode, "idle") != 0;
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1024) != 0) bench_fail("listen");
    if (getsockname(listener, (struct sockaddr *)&address, &length) != 0) bench_fail("getsockname");
    if ((peer.in = malloc(ROOM)) == NULL || (peer.out = malloc(ROOM)) == NULL) bench_fail("malloc");
    printf("%u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    do {
        if ((peer.socket = accept(listener, NULL, NULL)) < 0) bench_fail("accept");
        if (setsockopt(peer.socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) bench_fail("TCP_NODELAY");
    } while (!serve());
    return 0;
}
