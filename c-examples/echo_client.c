/* echo_client URL [--count N] [--size BYTES] [--text]: sends messages, checks every echo, and prints how many a second came back.
 *
 * One thread sends while this one receives: a message may be larger than all the buffers on the way, and a client that only sent would then wait for a
 * server that waits for the client to read. */
#include "example.h"
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum { PERIOD = 26 * 11 }; /* the pattern repeats after so many bytes, which no power of two divides: a lost or doubled buffer shows */

static struct {
    ws_handle websocket;
    uint64_t count, size;
    bool text;
    char *pattern; /* size + PERIOD bytes; message n begins at n % PERIOD */
} job = {.count = 1000, .size = 64};

static bool make_pattern(void)
{
    if (job.size > SIZE_MAX - PERIOD || (job.pattern = malloc((size_t)job.size + PERIOD)) == NULL) return false;
    for (size_t i = 0; i != job.size + PERIOD; ++i) job.pattern[i] = (char)(job.text ? 'a' + i % PERIOD / 11 : i % PERIOD);
    return true;
}

static void *send_all(void *unused)
{
    ws_buffer_type type = job.text ? WS_UTF8_MESSAGE : WS_BINARY_MESSAGE;
    (void)unused;
    for (uint64_t message = 0; message != job.count; ++message) {
        ws_status status = ws_send(job.websocket, type, job.pattern + message % PERIOD, (size_t)job.size);
        if (status != WS_OK) {
            failed("ws_send", status);
            ws_close_handle(job.websocket); /* wakes the receiver, who would wait for what was never sent */
            break;
        }
    }
    return NULL;
}

/* Receives one echo, piece by piece, and compares as it comes. */
static bool receive_echo(uint64_t message)
{
    char piece[65536];
    uint64_t position = 0;
    for (;;) {
        size_t received;
        ws_buffer_type type;
        ws_status status = ws_receive(job.websocket, piece, sizeof piece, &received, &type);
        if (status != WS_OK) return failed("ws_receive", status), false;
        if (type == WS_CLOSE_FRAME) return fprintf(stderr, "the server closed before message %" PRIu64 " was back\n", message), false;
        bool is_text = type == WS_UTF8_MESSAGE || type == WS_UTF8_FRAGMENT, ends = type == WS_UTF8_MESSAGE || type == WS_BINARY_MESSAGE;
        bool same = is_text == job.text && received <= job.size - position && (!ends || position + received == job.size) &&
                    memcmp(piece, job.pattern + message % PERIOD + position, received) == 0;
        if (!same) return fprintf(stderr, "message %" PRIu64 " came back changed\n", message), false;
        if (ends) return true;
        position += received;
    }
}

static int run(void)
{
    pthread_t sender;
    struct timespec begin, end;
    uint64_t good = 0;
    if (!make_pattern()) return fprintf(stderr, "not enough memory for a message of %" PRIu64 " bytes\n", job.size), 1;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (pthread_create(&sender, NULL, send_all, NULL) != 0) return fprintf(stderr, "no second thread\n"), 1;
    while (good != job.count && receive_echo(good)) ++good;
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (good != job.count) ws_close_handle(job.websocket); /* wakes a sender that is still at work */
    pthread_join(sender, NULL);
    if (good != job.count) return 1;
    ws_status status = ws_close(job.websocket, WS_CLOSE_NORMAL, NULL, 0);
    if (status != WS_OK) return failed("ws_close", status);
    double seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    printf("%" PRIu64 " messages of %" PRIu64 " bytes, every echo right, %.0f messages/s\n", good, job.size, (double)good / seconds);
    return 0;
}

int main(int argc, char **argv)
{
    const char *url = NULL;
    for (int i = 1; i < argc; ++i) {
        if (strcmp(argv[i], "--count") == 0 && read_number(argv[i + 1], UINT64_MAX, &job.count)) ++i;
        else if (strcmp(argv[i], "--size") == 0 && read_number(argv[i + 1], SIZE_MAX, &job.size)) ++i;
        else if (strcmp(argv[i], "--text") == 0) job.text = true;
        else if (argv[i][0] != '-' && url == NULL) url = argv[i];
        else url = NULL, i = argc;
    }
    if (url == NULL) return fprintf(stderr, "usage: echo_client URL [--count N] [--size BYTES] [--text]\n"), 2;
    ws_handle session;
    ws_status status = ws_open("echo_client", 0, &session);
    if (status != WS_OK) return failed("ws_open", status);
    int result;
    if ((status = dial(session, url, &job.websocket)) != WS_OK) {
        result = failed(url, status);
    } else {
        result = run();
        ws_close_handle(job.websocket);
    }
    free(job.pattern);
    ws_close_handle(session);
    return result;
}
