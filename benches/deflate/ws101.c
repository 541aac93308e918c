/* ws101 FILE SECONDS TAKEOVER LEVEL: sends the lines of a file as messages, again and again, from a client to a server in this process, compressed.
 *
 * Prints messages, bytes before and after compression, seconds, and processor seconds of both ends together. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <ws101.h>

static ws_handle listener;
static char *lines[65536];
static size_t lengths[65536], count;

static void check(ws_status status, const char *what)
{
    ws_error_info info = {.size = sizeof info};
    if (status == WS_OK) return;
    ws_last_error(&info);
    fprintf(stderr, "%s: %s (%d)\n", what, info.message, (int)status);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double processor(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + 1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void read_lines(const char *path)
{
    size_t capacity = 0;
    FILE *file = fopen(path, "r");
    ssize_t length;
    if (file == NULL) exit(1);
    while (count != 65536 && (length = getline(&lines[count], &capacity, file)) > 0) lengths[count++] = (size_t)length - 1, capacity = 0;
    fclose(file);
}

/* Takes everything, and looks at it. */
static void *serve(void *argument)
{
    ws_handle request, websocket;
    const void *data;
    size_t length, at = 0;
    ws_buffer_type type;
    (void)argument;
    check(ws_accept(listener, &request), "ws_accept");
    check(ws_complete_upgrade(request, &websocket), "ws_complete_upgrade");
    for (;; at = (at + 1) % count) {
        check(ws_receive_message(websocket, &data, &length, &type), "ws_receive_message");
        if (type == WS_CLOSE_FRAME) break;
        if (length != lengths[at] || memcmp(data, lines[at], length) != 0) fprintf(stderr, "another message\n"), exit(1);
    }
    ws_close_handle(request);
    ws_close_handle(websocket);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 5) return 2;
    read_lines(argv[1]);
    uint32_t takeover = atoi(argv[3]) ? 2 : 1;
    ws_compression compression = {.size = sizeof compression, .enabled = 1, .client_no_context_takeover = takeover,
                                  .server_no_context_takeover = takeover, .level = (uint32_t)atoi(argv[4]), .threshold = 1};
    ws_statistics statistics = {.size = sizeof statistics};
    ws_handle session, request, websocket;
    char url[128];
    size_t length = sizeof url, size = sizeof statistics;
    pthread_t thread;
    uint64_t messages = 0, bytes = 0;
    check(ws_open(NULL, 0, &session), "ws_open");
    check(ws_set_option(session, WS_OPTION_COMPRESSION, &compression, sizeof compression), "WS_OPTION_COMPRESSION");
    check(ws_listen(session, "ws://127.0.0.1:0/", &listener), "ws_listen");
    check(ws_query_option(listener, WS_OPTION_URL, url, &length), "WS_OPTION_URL");
    if (pthread_create(&thread, NULL, serve, NULL) != 0) return 1;
    check(ws_connect(session, url, &request), "ws_connect");
    check(ws_complete_upgrade(request, &websocket), "ws_complete_upgrade");
    double begin = now(), used = processor(), end = begin + atof(argv[2]);
    for (; now() < end; ++messages) {
        size_t at = messages % count;
        check(ws_send(websocket, WS_UTF8_MESSAGE, lines[at], lengths[at]), "ws_send");
        bytes += lengths[at];
    }
    check(ws_query_option(websocket, WS_OPTION_STATISTICS, &statistics, &size), "WS_OPTION_STATISTICS");
    check(ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0), "ws_close");
    pthread_join(thread, NULL);
    printf("%llu %llu %llu %.6f %.6f\n", (unsigned long long)messages, (unsigned long long)bytes, (unsigned long long)statistics.bytes_sent,
           now() - begin, processor() - used);
    return 0;
}
