/* What every benchmark client shares: its command line, the measuring of its own processor time and memory, and a socket for those whose library
 * brings none. For C and C++.
 *
 *   PROGRAM PORT pingpong|receive|send|idle SIZE COUNT
 *
 * pingpong sends COUNT messages of SIZE bytes, each after the echo of the last one; receive and send move COUNT messages one way; idle opens COUNT
 * connections, exchanges one message on each, and leaves them alone. A client prints one line: the nanoseconds of processor time and of the clock that
 * the COUNT messages took, or, for idle, the bytes of memory for each connection. Everything is checked: a wrong message ends it with 1. */
#ifndef WS101_BENCH_H
#define WS101_BENCH_H
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum bench_scenario { BENCH_PINGPONG, BENCH_RECEIVE, BENCH_SEND, BENCH_IDLE };

struct bench {
    uint16_t port;
    enum bench_scenario scenario;
    size_t size;
    uint64_t count;
    char path[64];         /* what the peer is asked for */
    unsigned char *pattern; /* SIZE bytes, which every message consists of */
    uint64_t cpu_ns, wall_ns;
};

static inline void bench_fail(const char *what)
{
    perror(what);
    exit(1);
}

/* For a condition that only a broken library or peer does not meet. */
static inline void bench_require(bool condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static inline uint64_t bench_clock(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) bench_fail("clock_gettime");
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline uint64_t bench_microseconds(struct timeval time) { return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec; }

/* User and system time of this process. */
static inline uint64_t bench_cpu_ns(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) bench_fail("getrusage");
    return (bench_microseconds(usage.ru_utime) + bench_microseconds(usage.ru_stime)) * 1000;
}

static inline void bench_parse(struct bench *bench, int argc, char **argv)
{
    static const char *const names[] = {"pingpong", "receive", "send", "idle"}, *const modes[] = {"echo", "source", "sink", "idle"};
    unsigned scenario = 0;
    if (argc == 5)
        while (scenario != 4 && strcmp(argv[2], names[scenario]) != 0) ++scenario;
    if (argc != 5 || scenario == 4) {
        fprintf(stderr, "usage: %s PORT pingpong|receive|send|idle SIZE COUNT\n", argv[0]);
        exit(2);
    }
    bench->port = (uint16_t)strtoul(argv[1], NULL, 10);
    bench->scenario = (enum bench_scenario)scenario;
    bench->size = strtoul(argv[3], NULL, 10);
    bench->count = strtoull(argv[4], NULL, 10);
    snprintf(bench->path, sizeof bench->path, "/%s/%zu/%" PRIu64, modes[scenario], bench->size, bench->count);
    bench->pattern = (unsigned char *)malloc(bench->size + 1);
    if (bench->pattern == NULL) bench_fail("malloc");
    for (size_t i = 0; i != bench->size; ++i) bench->pattern[i] = (unsigned char)(i * 7 + i / 251);
}

static inline void bench_begin(struct bench *bench)
{
    bench->wall_ns = bench_clock(CLOCK_MONOTONIC);
    bench->cpu_ns = bench_cpu_ns();
}

static inline void bench_end(const struct bench *bench)
{
    uint64_t cpu_ns = bench_cpu_ns(), wall_ns = bench_clock(CLOCK_MONOTONIC);
    printf("%" PRIu64 " %" PRIu64 "\n", cpu_ns - bench->cpu_ns, wall_ns - bench->wall_ns);
}

/* Resident memory of this process. smaps_rollup walks the pages; the counter in statm may be a hundred pages behind. */
static inline long bench_resident(void)
{
    long kilobytes = -1;
    char line[256];
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    if (file == NULL) bench_fail("/proc/self/smaps_rollup");
    while (kilobytes < 0 && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "Rss: %ld kB", &kilobytes) != 1) kilobytes = -1;
    fclose(file);
    bench_require(kilobytes > 0, "no Rss in smaps_rollup");
    return kilobytes * 1024;
}

static inline void bench_print_memory(const struct bench *bench, long before)
{
    printf("%.0f\n", (double)(bench_resident() - before) / (double)bench->count);
}

static inline bool bench_is_pattern(const struct bench *bench, const void *data, size_t length)
{
    return length == bench->size && memcmp(data, bench->pattern, length) == 0;
}

static inline void bench_write(int socket, const void *data, size_t length)
{
    for (const char *from = (const char *)data; length != 0;) {
        ssize_t sent = send(socket, from, length, MSG_NOSIGNAL);
        if (sent <= 0) bench_fail("send");
        from += sent;
        length -= (size_t)sent;
    }
}

/* Connects, asks for the path, and reads the answer up to the end of its head. The peer frames messages only for those who ask for a WebSocket. */
static inline int bench_connect(const struct bench *bench, bool is_websocket)
{
    struct sockaddr_in address;
    int one = 1, result = socket(AF_INET, SOCK_STREAM, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(bench->port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (result < 0 || connect(result, (struct sockaddr *)&address, sizeof address) != 0) bench_fail("connect");
    if (setsockopt(result, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) bench_fail("TCP_NODELAY");
    char head[512];
    const char *upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    int length = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", bench->path, is_websocket ? upgrade : "");
    bench_write(result, head, (size_t)length);
    for (size_t end = 0; end < 4 || memcmp(head + end - 4, "\r\n\r\n", 4) != 0;) {
        /* What follows the head stays in the socket. */
        bench_require(end != sizeof head && recv(result, head + end, 1, 0) == 1, "the peer did not answer");
        ++end;
    }
    bench_require(strncmp(head, "HTTP/1.1 101 ", 13) == 0, "the peer did not answer 101");
    return result;
}

#endif
