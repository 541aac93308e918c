/* wscat --listen: a server for trying clients. Each client has a thread that prints what it says behind its number; what is typed goes to all of them. */
#ifndef WS101_EXAMPLE_WSCAT_LISTEN_H
#define WS101_EXAMPLE_WSCAT_LISTEN_H
#include "wscat_peer.h"

static struct {
    ws_handle listener;
    struct peer *clients; /* everybody who has a thread; under peers_mutex */
    unsigned count;       /* of clients so far: the next one's number */
    bool is_ending;
} listening;

/* The open client with the next higher number. Nothing is locked while it is sent to; if it goes meanwhile, its handle is no longer valid, and no harm done. */
static bool next_client(unsigned *number, ws_handle *websocket)
{
    struct peer *next = NULL;
    pthread_mutex_lock(&peers_mutex);
    for (struct peer *client = listening.clients; client != NULL; client = client->next) {
        if (client->open && client->number > *number && (next == NULL || client->number < next->number)) next = client;
    }
    if (next != NULL) *number = next->number, *websocket = next->handle;
    pthread_mutex_unlock(&peers_mutex);
    return next != NULL;
}

static void set_websocket(struct peer *client, ws_handle websocket)
{
    pthread_mutex_lock(&peers_mutex);
    client->handle = websocket;
    client->open = true;
    pthread_mutex_unlock(&peers_mutex);
    console_wake(); /* lines of a file wait for the first client */
}

static void remove_client(struct peer *client)
{
    pthread_mutex_lock(&peers_mutex);
    struct peer **link = &listening.clients;
    while (*link != client) link = &(*link)->next;
    *link = client->next;
    bool last = listening.clients == NULL;
    pthread_mutex_unlock(&peers_mutex);
    free(client);
    if (last) console_wake();
}

/* ---- a client, on its thread ------------------------------------------------------------------------------------------------------------------- */

static void show_request(const struct peer *client, ws_handle request)
{
    char method[32], target[1024];
    size_t method_length = sizeof method, target_length = sizeof target;
    show_option(client->number, "from", request, WS_OPTION_REMOTE_ADDRESS);
    if (ws_query_option(request, WS_OPTION_METHOD, method, &method_length) == WS_OK && ws_query_option(request, WS_OPTION_TARGET, target, &target_length) == WS_OK)
        show_remark(client->number, "%s %s", method, target);
    show_headers(client->number, request);
}

/* Reads the request's head, on this thread: a slow client holds up nobody else. */
static ws_status upgrade_client(struct peer *client, ws_handle request, ws_handle *websocket)
{
    static const char page[] = "This is wscat --listen, which speaks WebSocket only.\n";
    uint32_t is_websocket = 0;
    size_t length = sizeof is_websocket;
    ws_status status = ws_handshake(request);
    if (status == WS_OK && show.verbose) show_request(client, request);
    if (status == WS_OK) status = ws_query_option(request, WS_OPTION_IS_WEBSOCKET, &is_websocket, &length);
    if (status != WS_OK) return status;
    if (is_websocket) return ws_complete_upgrade(request, websocket);
    status = ws_respond(request, 400, "text/plain", page, sizeof page - 1);
    show_remark(client->number, "asked for something else than a WebSocket, and was told so");
    return status == WS_OK ? WS_ERROR_UPGRADE_REFUSED : status;
}

static void *hear_client(void *argument)
{
    struct peer *client = argument;
    ws_handle request = client->handle, websocket = WS_NO_HANDLE;
    ws_status status = upgrade_client(client, request, &websocket);
    if (status == WS_OK) {
        show_option(client->number, "connected:", websocket, WS_OPTION_REMOTE_ADDRESS);
        show_option(client->number, "sub-protocol:", websocket, WS_OPTION_SUBPROTOCOL);
        set_websocket(client, websocket);
        hear(client);
        ws_close_handle(websocket);
    } else if (status != WS_ERROR_CANCELLED && status != WS_ERROR_UPGRADE_REFUSED) {
        show_failure(client->number, "no WebSocket came of it", status);
    }
    ws_close_handle(request);
    remove_client(client);
    return NULL;
}

static void add_client(ws_handle request)
{
    pthread_t thread;
    struct peer *client = calloc(1, sizeof *client);
    if (client == NULL) {
        ws_close_handle(request);
        return;
    }
    pthread_mutex_lock(&peers_mutex);
    *client = (struct peer){.handle = request, .number = ++listening.count, .leaving = listening.is_ending, .next = listening.clients};
    listening.clients = client;
    pthread_mutex_unlock(&peers_mutex);
    if (start_thread(&thread, hear_client, client)) {
        pthread_detach(thread); /* the end waits for the list to be empty, not for threads */
    } else {
        ws_close_handle(request);
        remove_client(client);
    }
}

static void *accept_clients(void *unused)
{
    (void)unused;
    for (;;) {
        ws_handle request;
        ws_status status = ws_accept(listening.listener, &request);
        if (status == WS_OK) add_client(request);
        else if (status == WS_ERROR_CANCELLED || status == WS_ERROR_INVALID_HANDLE) return NULL; /* the listener was closed */
        else show_failure(0, "ws_accept", status), sleep(1); /* no descriptor left, say: somebody will leave */
    }
}

/* ---- the main thread --------------------------------------------------------------------------------------------------------------------------- */

static void say_to_all(const char *line, size_t length)
{
    unsigned number = 0;
    ws_handle websocket;
    bool anybody = false;
    while (next_client(&number, &websocket)) {
        anybody = true;
        say(websocket, number, line, length);
    }
    if (!anybody) show_remark(0, "nobody is connected: not sent");
}

/* Says goodbye to everybody, and drops whoever has not answered in time. */
static void leave_all(void)
{
    unsigned number = 0;
    ws_handle websocket;
    console.hold = true; /* nothing more is sent */
    pthread_mutex_lock(&peers_mutex);
    listening.is_ending = true;
    for (struct peer *client = listening.clients; client != NULL; client = client->next) client->leaving = true;
    pthread_mutex_unlock(&peers_mutex);
    while (next_client(&number, &websocket)) say_goodbye(websocket, WS_CLOSE_GOING_AWAY);
    int64_t until_ms = milliseconds_now() + GOODBYE_MS;
    for (bool empty = false; !empty;) {
        bool late = milliseconds_now() >= until_ms;
        pthread_mutex_lock(&peers_mutex);
        empty = listening.clients == NULL;
        for (struct peer *client = listening.clients; client != NULL; client = client->next) {
            if (late || !client->open) ws_close_handle(client->handle);
        }
        pthread_mutex_unlock(&peers_mutex);
        if (!empty) console_next(milliseconds_now() + 50, NULL, NULL);
    }
}

/* What is typed, until a signal comes, or `wait_ms` after stdin has ended (negative: then never, unless somebody pressed Ctrl-D). */
static void talk_to_all(int64_t wait_ms)
{
    int64_t end_ms = -1;
    bool is_typed = isatty(STDIN_FILENO);
    console.hold = !is_typed; /* `wscat --listen 8000 < file`: for whom, as long as nobody is there? */
    for (;;) {
        const char *line;
        size_t length;
        switch (console_next(end_ms, &line, &length)) {
        case CONSOLE_LINE: say_to_all(line, length); break;
        case CONSOLE_END:
            if (wait_ms < 0 && is_typed) return;
            if (wait_ms >= 0) end_ms = milliseconds_now() + wait_ms;
            break;
        case CONSOLE_STOP: show_stop(); return;
        case CONSOLE_WOKEN: console.hold = false; break;
        case CONSOLE_TIME: return;
        case CONSOLE_BROKEN: perror("wscat: stdin"); return;
        }
    }
}

/* Returns what the program exits with. */
static int serve_clients(ws_handle session, unsigned port, int64_t wait_ms)
{
    const uint32_t patience_ms = 5000; /* one client that reads nothing must not hold up the lines of the others for long */
    char url[64];
    size_t length = sizeof url;
    pthread_t accepter;
    ws_status status = ws_set_option(session, WS_OPTION_SEND_TIMEOUT, &patience_ms, sizeof patience_ms);
    if (status != WS_OK) return show_failure(0, "ws_set_option", status), EXIT_LOST;
    size_t certificate = 0; /* with its terminator, if there is one */
    bool secure = ws_query_option(session, WS_OPTION_TLS_CERTIFICATE, NULL, &certificate) == WS_ERROR_INSUFFICIENT_BUFFER && certificate > 1;
    snprintf(url, sizeof url, "%s://127.0.0.1:%u/", secure ? "wss" : "ws", port);
    if ((status = ws_listen(session, url, &listening.listener)) != WS_OK) return show_failure(0, url, status), EXIT_LOST;
    int result = EXIT_LOST;
    if ((status = ws_query_option(listening.listener, WS_OPTION_URL, url, &length)) != WS_OK) {
        show_failure(0, "WS_OPTION_URL", status);
    } else if (console_take_signals(), start_thread(&accepter, accept_clients, NULL)) {
        printf("listening on %s\n", url); /* the real port, if 0 was asked for */
        fflush(stdout);
        talk_to_all(wait_ms);
        ws_close_handle(listening.listener); /* wakes the accepter */
        pthread_join(accepter, NULL);
        leave_all();
        result = EXIT_GOOD;
    }
    ws_close_handle(listening.listener);
    return result;
}

#endif
