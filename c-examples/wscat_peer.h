/* One connection of wscat: what its other end says is printed, and what is typed is sent there. The same for a server and for clients. */
#ifndef WS101_EXAMPLE_WSCAT_PEER_H
#define WS101_EXAMPLE_WSCAT_PEER_H
#include "wscat_console.h"
#include "wscat_show.h"
#include <inttypes.h>
#include <pthread.h>

enum { EXIT_GOOD = 0, EXIT_LOST = 1, EXIT_USAGE = 2, EXIT_REFUSED = 3, EXIT_PEER_COMPLAINED = 4 };
enum { GOODBYE_MS = 3000 }; /* how long a goodbye may take */

/* The other end of a connection. */
struct peer {
    ws_handle handle;  /* the request, then the websocket */
    unsigned number;   /* 0 = the only one: wscat is the client */
    bool open;         /* the handle is the websocket */
    bool leaving;      /* wscat has said goodbye first */
    struct peer *next; /* of clients */
};
static pthread_mutex_t peers_mutex = PTHREAD_MUTEX_INITIALIZER; /* of what is in them, but for number */

/* ---- hearing: a thread for each peer ----------------------------------------------------------------------------------------------------------- */

static bool is_leaving(struct peer *peer)
{
    pthread_mutex_lock(&peers_mutex);
    bool leaving = peer->leaving;
    pthread_mutex_unlock(&peers_mutex);
    return leaving;
}

/* The close frame has come and was answered. ws_close waits until the connection is down. */
static int report_close(struct peer *peer)
{
    uint16_t close_status;
    char reason[124];
    size_t length;
    bool peer_began = !is_leaving(peer);
    ws_status status = ws_query_close_status(peer->handle, &close_status, reason, sizeof reason, &length);
    if (status != WS_OK) return show_failure(peer->number, "ws_query_close_status", status), EXIT_LOST;
    show_close(peer->number, peer_began, close_status, reason, length);
    ws_close(peer->handle, WS_CLOSE_NORMAL, NULL, 0);
    bool content = close_status == WS_CLOSE_NORMAL || close_status == WS_CLOSE_GOING_AWAY || close_status == WS_CLOSE_EMPTY;
    return !peer_began || content ? EXIT_GOOD : EXIT_PEER_COMPLAINED;
}

static int report_loss(struct peer *peer, ws_status status)
{
    if (status == WS_ERROR_CANCELLED) show_remark(peer->number, "no goodbye came back: the connection was dropped"); /* by ourselves, in say_goodbye */
    else show_failure(peer->number, "connection lost", status);
    return EXIT_LOST;
}

/* Prints what a peer says, to the end. Returns what the program shall exit with. */
static int hear(struct peer *peer)
{
    for (;;) {
        const void *data;
        size_t length;
        ws_buffer_type type;
        ws_status status = ws_receive_message(peer->handle, &data, &length, &type);
        if (status == WS_ERROR_INTERRUPTED) continue; /* the signal is the main thread's business */
        if (status != WS_OK) return report_loss(peer, status);
        if (type == WS_CLOSE_FRAME) return report_close(peer);
        show_message(peer->number, data, length, type == WS_UTF8_MESSAGE);
    }
}

/* Threads leave signals to the main thread, which may be waiting in a ws_send that a signal shall end. */
static bool start_thread(pthread_t *thread, void *(*body)(void *), void *argument)
{
    sigset_t taken, before;
    sigemptyset(&taken);
    sigaddset(&taken, SIGINT);
    sigaddset(&taken, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &taken, &before);
    int error = pthread_create(thread, NULL, body, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) fprintf(stderr, "wscat: no thread for the connection: %s\n", strerror(error));
    return error == 0;
}

/* ---- saying ------------------------------------------------------------------------------------------------------------------------------------ */

/* Sends a line. False if the connection is at its end: why is told by whoever receives. */
static bool say(ws_handle websocket, unsigned number, const char *line, size_t length)
{
    ws_status status;
    do status = ws_send(websocket, WS_UTF8_MESSAGE, line, length);
    while (status == WS_ERROR_INTERRUPTED && !console.signalled); /* Ctrl-Z and fg interrupt too, and nothing was sent */
    switch (status) {
    case WS_OK:
    case WS_ERROR_INTERRUPTED: /* Ctrl-C, while the peer reads nothing: console_next tells of it */
        return true;
    case WS_ERROR_INVALID_OPERATION: /* somebody said goodbye */
    case WS_ERROR_INVALID_HANDLE:
    case WS_ERROR_CONNECTION:
    case WS_ERROR_PEER_LOST:
    case WS_ERROR_PROTOCOL_VIOLATION:
        return false;
    default: { /* not UTF-8, say: the next line may do better */
        char what[64];
        snprintf(what, sizeof what, "line %" PRIu64 " was not sent", console.lines);
        show_failure(number, what, status);
        return true;
    }
    }
}

static ws_status say_goodbye(ws_handle websocket, uint16_t close_status)
{
    const uint32_t patience_ms = GOODBYE_MS; /* for a peer that reads nothing */
    ws_set_option(websocket, WS_OPTION_SEND_TIMEOUT, &patience_ms, sizeof patience_ms);
    ws_set_option(websocket, WS_OPTION_CLOSE_TIMEOUT, &patience_ms, sizeof patience_ms);
    return ws_shutdown(websocket, close_status, NULL, 0);
}

#endif
