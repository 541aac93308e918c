/* memory [CONNECTIONS]: what compression costs a connection in memory, counted as resident bytes of this process, which has both ends of each.
 *
 * For windows that are forgotten and that are kept: after the upgrade, after one compressed message each way ("idle"), and while a message is
 * half received on every connection ("busy"). The rows without compression are the ground to stand on. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ws101.h>

enum { LENGTH = 4000, MESSAGES = 20 }; /* enough to fill a window of 32 KiB twice */
static char text[LENGTH];

static void check(ws_status status, const char *what)
{
    ws_error_info info = {.size = sizeof info};
    if (status == WS_OK) return;
    ws_last_error(&info);
    fprintf(stderr, "%s: %s (%d)\n", what, info.message, (int)status);
    exit(1);
}

static long resident(void)
{
    long size, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &size, &pages) != 2) exit(1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

struct pair { ws_handle client, server; };
static ws_handle listener;

static void *dial(void *argument)
{
    struct pair *pair = argument;
    ws_handle session = pair->client, request;
    char url[128];
    size_t length = sizeof url;
    check(ws_query_option(listener, WS_OPTION_URL, url, &length), "WS_OPTION_URL");
    check(ws_connect(session, url, &request), "ws_connect");
    check(ws_complete_upgrade(request, &pair->client), "ws_complete_upgrade");
    check(ws_close_handle(request), "ws_close_handle");
    return NULL;
}

static void message(ws_handle from, ws_handle to)
{
    const void *data;
    size_t length;
    ws_buffer_type type;
    check(ws_send(from, WS_UTF8_MESSAGE, text, LENGTH), "ws_send");
    check(ws_receive_message(to, &data, &length, &type), "ws_receive_message");
    if (length != LENGTH || memcmp(data, text, LENGTH) != 0) exit(1);
}

static void measure(const char *name, uint32_t enabled, uint32_t takeover, int count)
{
    ws_compression compression = {.size = sizeof compression, .enabled = enabled, .client_no_context_takeover = takeover,
                                  .server_no_context_takeover = takeover, .threshold = 1};
    struct pair *pairs = calloc((size_t)count, sizeof *pairs);
    ws_handle session;
    check(ws_open(NULL, WS_FLAG_NO_THREADS, &session), "ws_open");
    check(ws_set_option(session, WS_OPTION_COMPRESSION, &compression, sizeof compression), "WS_OPTION_COMPRESSION");
    check(ws_listen(session, "ws://127.0.0.1:0/", &listener), "ws_listen");
    long before = resident(), open, idle, busy;
    for (int i = 0; i != count; ++i) {
        pthread_t thread;
        ws_handle request;
        pairs[i].client = session;
        if (pthread_create(&thread, NULL, dial, &pairs[i]) != 0) exit(1);
        check(ws_accept(listener, &request), "ws_accept");
        check(ws_complete_upgrade(request, &pairs[i].server), "ws_complete_upgrade");
        check(ws_close_handle(request), "ws_close_handle");
        pthread_join(thread, NULL);
    }
    open = resident();
    for (int i = 0; i != count; ++i)
        for (int j = 0; j != MESSAGES; ++j) message(pairs[i].client, pairs[i].server), message(pairs[i].server, pairs[i].client);
    idle = resident();
    for (int i = 0; i != count; ++i) {
        char piece[64];
        size_t received;
        ws_buffer_type type;
        check(ws_send(pairs[i].client, WS_UTF8_MESSAGE, text, LENGTH), "ws_send");
        check(ws_receive(pairs[i].server, piece, sizeof piece, &received, &type), "ws_receive");
        if (enabled && type != WS_UTF8_FRAGMENT) exit(1);
    }
    busy = resident();
    printf("| %s | %.1f | %.1f | %.1f |\n", name, (double)(open - before) / count / 1024, (double)(idle - before) / count / 1024,
           (double)(busy - before) / count / 1024);
    for (int i = 0; i != count; ++i) ws_close_handle(pairs[i].client), ws_close_handle(pairs[i].server);
    ws_close_handle(listener);
    ws_close_handle(session);
    free(pairs);
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 200;
    for (int i = 0; i != LENGTH; ++i) text[i] = (char)('a' + i * 7 % 13 + i / 331 % 11);
    puts("| KiB a connection, both ends | after the upgrade | idle, after twenty messages each way | a message half received |");
    puts("| --- | --- | --- | --- |");
    fflush(stdout);
    /* Each in its own process: freed memory does not come back to the system reliably. */
    static const struct { const char *name; uint32_t enabled, takeover; } rows[] = {
        {"no compression", 0, 0}, {"windows forgotten (a server's default)", 1, 1}, {"windows kept", 1, 2}};
    for (int i = 0; i != 3; ++i) {
        pid_t child = fork();
        if (child == 0) {
            measure(rows[i].name, rows[i].enabled, rows[i].takeover, count);
            fflush(stdout);
            _exit(0);
        }
        int status;
        if (waitpid(child, &status, 0) != child || status != 0) return 1;
    }
    return 0;
}
