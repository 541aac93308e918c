/* duplex URL [--count N] [--size BYTES]: two threads on one handle at once. One sends messages, the other receives, and checks that every echo comes in order.
 *
 * No lock is needed: on a websocket one thread may receive while any number send, and a call that waits in one direction never holds up the other.
 * What the two do share is how it ends: whoever fails closes the handle, which wakes the other one wherever it waits. */
#include "example.h"
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum { NUMBER = sizeof(uint64_t) }; /* every message begins with its number, as far as there is room */

static struct {
    ws_handle websocket;
    uint64_t count, size;
} job = {.count = 100000, .size = 64};

/* Message n: its number, then bytes that depend on it. */
static void fill(unsigned char *message, uint64_t n)
{
    memset(message, (int)(n * 7 % 251), (size_t)job.size);
    memcpy(message, &n, job.size < NUMBER ? (size_t)job.size : NUMBER);
}

static void *send_all(void *message)
{
    ws_status status = WS_OK;
    for (uint64_t n = 0; n != job.count && status == WS_OK; ++n) {
        fill(message, n);
        status = ws_send(job.websocket, WS_BINARY_MESSAGE, message, (size_t)job.size);
    }
    /* Says that nothing more will come, without waiting: what is on its way back still arrives at the other thread, and the close frame behind it. */
    if (status == WS_OK) status = ws_shutdown(job.websocket, WS_CLOSE_NORMAL, NULL, 0);
    if (status != WS_OK && status != WS_ERROR_INVALID_HANDLE && status != WS_ERROR_CANCELLED) failed("sending", status);
    if (status != WS_OK) ws_close_handle(job.websocket);
    return NULL;
}

/* Returns how many echoes were right; all of them, if the server then said goodbye. */
static uint64_t receive_all(unsigned char *expected)
{
    for (uint64_t n = 0;; ++n) {
        const void *data;
        size_t length;
        ws_buffer_type type;
        ws_status status = ws_receive_message(job.websocket, &data, &length, &type);
        if (status != WS_OK) return failed("receiving", status), n;
        if (type == WS_CLOSE_FRAME) return n;
        fill(expected, n);
        if (n == job.count || type != WS_BINARY_MESSAGE || length != job.size || memcmp(data, expected, length) != 0)
            return fprintf(stderr, "message %" PRIu64 " is not what was sent\n", n), n;
    }
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int run(unsigned char *to_send, unsigned char *expected)
{
    pthread_t sender;
    double begin = seconds_now();
    if (pthread_create(&sender, NULL, send_all, to_send) != 0) return fprintf(stderr, "no second thread\n"), 1;
    uint64_t good = receive_all(expected);
    double seconds = seconds_now() - begin;
    if (good != job.count) ws_close_handle(job.websocket); /* wakes the sender, if it still waits */
    pthread_join(sender, NULL);
    double total = (double)good * (double)job.size / 1e6;
    printf("%" PRIu64 " of %" PRIu64 " messages of %" PRIu64 " bytes came back in order: %.1f MB in each direction, %.0f messages/s\n", good, job.count, job.size, total,
           (double)good / seconds);
    if (good != job.count) return 1;
    ws_status status = ws_close(job.websocket, WS_CLOSE_NORMAL, NULL, 0); /* the goodbyes are said: this waits for the end of the connection */
    return status == WS_OK ? 0 : failed("ws_close", status);
}

int main(int argc, char **argv)
{
    const char *url = NULL;
    for (int i = 1; i < argc; ++i) {
        if (strcmp(argv[i], "--count") == 0 && read_number(argv[i + 1], UINT64_MAX, &job.count)) ++i;
        else if (strcmp(argv[i], "--size") == 0 && read_number(argv[i + 1], 1 << 30, &job.size)) ++i;
        else if (argv[i][0] != '-' && url == NULL) url = argv[i];
        else url = NULL, i = argc;
    }
    if (url == NULL) return fprintf(stderr, "usage: duplex URL [--count N] [--size BYTES]\n"), 2;
    const uint64_t limit = job.size > (16 << 20) ? job.size : 16 << 20; /* ws_receive_message's own limit is 16 MiB */
    unsigned char *to_send = malloc((size_t)job.size + 1), *expected = malloc((size_t)job.size + 1);
    ws_handle session;
    ws_status status = ws_open("duplex", 0, &session);
    if (status == WS_OK) status = ws_set_option(session, WS_OPTION_MAX_MESSAGE, &limit, sizeof limit);
    if (status != WS_OK) return failed("ws_open", status);
    int result = 1;
    if (to_send == NULL || expected == NULL) {
        fprintf(stderr, "not enough memory for messages of %" PRIu64 " bytes\n", job.size);
    } else if ((status = dial(session, url, &job.websocket)) != WS_OK) {
        failed(url, status);
    } else {
        result = run(to_send, expected);
        ws_close_handle(job.websocket);
    }
    free(to_send);
    free(expected);
    ws_close_handle(session);
    return result;
}
