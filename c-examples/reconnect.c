/* reconnect URL: prints every message, and comes back whenever the connection is lost.
 *
 * How a program that is to run for months stays connected, over two fields of ws_error_info: `retryable` says whether another attempt can succeed at all (a
 * wrong password cannot), and `retry_after_ms` when the server wants to see us again. In between it waits at random, up to a bound that doubles: a
 * thousand clients that lost one server come back one by one ("full jitter"). That is a program's policy, so it is here and not in the library. */
#include "example.h"
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_BOUND_MS = 500, LAST_BOUND_MS = 60000 };

static volatile sig_atomic_t ended;
static void end(int number) { (void)number, ended = 1; }

/* Up to `bound`, but not before the server wants us. */
static uint32_t pause_ms(uint32_t bound, uint32_t retry_after_ms)
{
    uint32_t random = bound == 0 ? 0 : (uint32_t)rand() % bound;
    return random > UINT32_MAX - retry_after_ms ? UINT32_MAX : retry_after_ms + random;
}

static void sleep_ms(uint32_t ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    if (!ended) nanosleep(&time, NULL); /* a signal ends it */
}

/* Prints messages until the connection ends. A server that closed it in good order is left in peace: 0, else 1. */
static int print_messages(ws_handle websocket)
{
    for (;;) {
        const void *data;
        size_t length;
        ws_buffer_type type;
        ws_status status = ws_receive_message(websocket, &data, &length, &type);
        if (ended) return ws_close(websocket, WS_CLOSE_GOING_AWAY, NULL, 0), 0;
        if (status != WS_OK) return failed("ws_receive_message", status);
        if (type == WS_CLOSE_FRAME) {
            uint16_t close_status;
            char reason[124];
            status = ws_query_close_status(websocket, &close_status, reason, sizeof reason, &length);
            if (status != WS_OK) return failed("ws_query_close_status", status);
            ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0);
            return close_status == WS_CLOSE_NORMAL ? 0 : 1; /* 1001, 1012, 1013: it will be back */
        }
        printf("%.*s\n", (int)length, (const char *)data);
        fflush(stdout);
    }
}

/* Stays connected for as long as that makes sense. */
static int stay_connected(ws_handle session, const char *url)
{
    uint32_t bound = FIRST_BOUND_MS;
    while (!ended) {
        ws_handle websocket;
        ws_error_info why = {.size = sizeof why};
        ws_status status = dial(session, url, &websocket);
        if (status == WS_OK) {
            bound = FIRST_BOUND_MS; /* it was there: begin anew */
            int result = print_messages(websocket);
            ws_close_handle(websocket);
            if (result == 0) return 0;
        } else {
            ws_last_error(&why);
            failed(url, status);
            if (!why.retryable && !ended) return 1; /* no attempt will do better */
        }
        if (ended) break;
        uint32_t pause = pause_ms(bound, why.retry_after_ms);
        fprintf(stderr, "trying again in %u ms\n", (unsigned)pause);
        sleep_ms(pause);
        bound = bound > LAST_BOUND_MS / 2 ? LAST_BOUND_MS : bound * 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const uint32_t yes = 1;
    ws_handle session;
    if (argc != 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: reconnect URL        for example ws://localhost:8000/ws/\n");
        return 2;
    }
    srand((unsigned)time(NULL) ^ (unsigned)getpid());
    const struct sigaction action = {.sa_handler = end}; /* without SA_RESTART: it ends waits */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    ws_status status = ws_open("reconnect", 0, &session);
    if (status != WS_OK) return failed("ws_open", status);
    ws_set_option(session, WS_OPTION_INTERRUPTIBLE, &yes, sizeof yes);
    int result = stay_connected(session, argv[1]);
    ws_close_handle(session);
    return result;
}
