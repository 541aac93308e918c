/* echo_server: sends every message back with its type; every connection has a thread that blocks on it.
 *
 *   echo_server [--host H] [--port N] [--mode blocking|loop] [--threads N] [--tls-cert F --tls-key F [--client-ca F]] [--deflate]
 *               [--max-message BYTES] [--subprotocol P]...
 *
 * A piece goes back as soon as it is there, with the type it came with: fragments stay fragments, and no message is ever held in memory. SIGINT and
 * SIGTERM stop it: everybody is told 1001, and it exits with 0. */
#include "example.h"
#include "stop.h"
#include <string.h>

static struct {
    const char *host, *certificate, *key, *client_ca;
    uint64_t port, threads, max_message; /* threads are for the loop: blocking, every connection has its own */
    bool loop, deflate, limited;
    char subprotocols[1024];
} settings = {.host = "127.0.0.1"};

/* ---- connections: whoever is being served is in this list, so that the end of the program can reach them -------------------------------------- */

struct connection {
    ws_handle handle;    /* the request, then the websocket */
    bool upgraded, told; /* told: the server's close frame was sent */
    struct connection *next;
};
static struct connection *connections;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t empty = PTHREAD_COND_INITIALIZER;

static void set_websocket(struct connection *connection, ws_handle websocket)
{
    pthread_mutex_lock(&mutex);
    connection->handle = websocket;
    connection->upgraded = true;
    pthread_mutex_unlock(&mutex);
}

static void leave_list(struct connection *connection)
{
    pthread_mutex_lock(&mutex);
    struct connection **link = &connections;
    while (*link != connection) link = &(*link)->next;
    *link = connection->next;
    if (connections == NULL) pthread_cond_signal(&empty);
    pthread_mutex_unlock(&mutex);
    free(connection);
}

/* Sends every client a close frame; its thread then receives the answer, and ends. What has not ended after two seconds is dropped. */
static void close_everybody(void)
{
    const uint32_t patience_ms = 100; /* for a client that reads nothing */
    struct timespec deadline = moment_after(2000), now;
    pthread_mutex_lock(&mutex);
    while (connections != NULL) {
        clock_gettime(CLOCK_REALTIME, &now);
        bool late = now.tv_sec > deadline.tv_sec || (now.tv_sec == deadline.tv_sec && now.tv_nsec >= deadline.tv_nsec);
        for (struct connection *connection = connections; connection != NULL; connection = connection->next) {
            if (late) {
                ws_close_handle(connection->handle);
            } else if (connection->upgraded && !connection->told) {
                ws_set_option(connection->handle, WS_OPTION_SEND_TIMEOUT, &patience_ms, sizeof patience_ms);
                ws_shutdown(connection->handle, WS_CLOSE_GOING_AWAY, "Stopping", 8);
                connection->told = true;
            }
        }
        struct timespec soon = moment_after(20);
        pthread_cond_timedwait(&empty, &mutex, &soon);
    }
    pthread_mutex_unlock(&mutex);
}

static ws_status echo(ws_handle websocket)
{
    char piece[65536];
    for (;;) {
        size_t length;
        ws_buffer_type type;
        ws_status status = ws_receive(websocket, piece, sizeof piece, &length, &type);
        if (status != WS_OK) return status;
        if (type == WS_CLOSE_FRAME) return ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0); /* it was answered already: this waits for the end */
        status = ws_send(websocket, type, piece, length);
        if (status != WS_OK && !stop_asked_within(0)) return status; /* after our own close frame: only the client's is still of interest */
    }
}

/* Reads the request's head on this thread: a slow client holds up nobody else. */
static ws_status serve_request(struct connection *connection, ws_handle request)
{
    static const char hint[] = "This is a WebSocket server.\n";
    uint32_t is_websocket = 0;
    size_t length = sizeof is_websocket;
    ws_handle websocket;
    ws_status status = ws_handshake(request);
    if (status == WS_OK) status = ws_query_option(request, WS_OPTION_IS_WEBSOCKET, &is_websocket, &length);
    if (status != WS_OK) return status;
    if (!is_websocket) return ws_respond(request, 400, "text/plain", hint, sizeof hint - 1);
    status = ws_complete_upgrade(request, &websocket);
    if (status != WS_OK) return status;
    set_websocket(connection, websocket);
    status = echo(websocket);
    ws_close_handle(websocket);
    return status;
}

static void *serve(void *argument)
{
    struct connection *connection = argument;
    ws_handle request = connection->handle;
    ws_status status = serve_request(connection, request);
    if (status != WS_OK && !stop_asked_within(0)) failed("client", status);
    ws_close_handle(request);
    leave_list(connection);
    return NULL;
}

static void start(ws_handle request)
{
    pthread_t thread;
    struct connection *connection = malloc(sizeof *connection);
    if (connection == NULL) {
        ws_close_handle(request);
        return;
    }
    pthread_mutex_lock(&mutex);
    *connection = (struct connection){.handle = request, .next = connections};
    connections = connection;
    pthread_mutex_unlock(&mutex);
    if (pthread_create(&thread, NULL, serve, connection) == 0) {
        pthread_detach(thread); /* close_everybody waits for the list, not for threads */
    } else {
        fprintf(stderr, "no thread for another connection\n");
        ws_close_handle(request);
        leave_list(connection);
    }
}

/* ---- the program ------------------------------------------------------------------------------------------------------------------------------- */

static bool set_file(ws_handle session, ws_option option, const char *path)
{
    char pem[65536];
    FILE *file = fopen(path, "rb");
    size_t length = file == NULL ? 0 : fread(pem, 1, sizeof pem, file);
    if (file != NULL) fclose(file);
    if (length == 0 || length == sizeof pem) return fprintf(stderr, "%s: cannot be read, or is no PEM file\n", path), false;
    ws_status status = ws_set_option(session, option, pem, length);
    return status == WS_OK || (failed(path, status), false);
}

/* 0, or what the program exits with. */
static int configure(ws_handle session)
{
    const ws_compression compression = {.size = sizeof compression, .enabled = 1};
    uint32_t features = 0;
    size_t length = sizeof features;
    ws_status status = ws_query_option(session, WS_OPTION_FEATURES, &features, &length);
    if (status != WS_OK) return failed("WS_OPTION_FEATURES", status);
    if (settings.loop) return fprintf(stderr, "--mode loop: not built yet\n"), 2;
    if (settings.certificate != NULL && !(features & 1)) return fprintf(stderr, "--tls-cert, --tls-key: not built yet\n"), 2;
    if (settings.deflate && !(features & 2)) return fprintf(stderr, "--deflate: not built yet\n"), 2;
    if (settings.certificate != NULL && !set_file(session, WS_OPTION_TLS_CERTIFICATE, settings.certificate)) return 1;
    if (settings.key != NULL && !set_file(session, WS_OPTION_TLS_KEY, settings.key)) return 1;
    if (settings.client_ca != NULL && !set_file(session, WS_OPTION_TLS_CLIENT_CA, settings.client_ca)) return 1;
    if (settings.deflate) status = ws_set_option(session, WS_OPTION_COMPRESSION, &compression, sizeof compression);
    if (status == WS_OK && settings.limited) status = ws_set_option(session, WS_OPTION_MAX_MESSAGE, &settings.max_message, sizeof settings.max_message);
    if (status == WS_OK && settings.subprotocols[0] != '\0')
        status = ws_set_option(session, WS_OPTION_SUBPROTOCOLS, settings.subprotocols, strlen(settings.subprotocols));
    return status == WS_OK ? 0 : failed("ws_set_option", status);
}

static int listen_and_serve(ws_handle session)
{
    char url[512];
    size_t length = sizeof url;
    const char *open = strchr(settings.host, ':') != NULL ? "[" : "", *shut = *open != '\0' ? "]" : ""; /* an IPv6 address stands in brackets */
    snprintf(url, sizeof url, "%s://%s%s%s:%u/", settings.certificate != NULL ? "wss" : "ws", open, settings.host, shut, (unsigned)settings.port);
    ws_handle listener, request;
    ws_status status = ws_listen(session, url, &listener);
    if (status != WS_OK) return failed(url, status);
    if ((status = ws_query_option(listener, WS_OPTION_URL, url, &length)) != WS_OK) return failed("WS_OPTION_URL", status);
    if (!stop_watch(listener)) return fprintf(stderr, "no thread for signals\n"), 1;
    printf("listening on %.*s\n", (int)length, url); /* the real port, if 0 was asked for */
    fflush(stdout);
    while ((status = ws_accept(listener, &request)) == WS_OK) start(request);
    int result = stop_asked_within(0) ? 0 : failed("ws_accept", status);
    stop_finish();
    close_everybody();
    ws_close_handle(listener);
    return result;
}

static bool add_subprotocol(const char *name)
{
    size_t used = strlen(settings.subprotocols), room = sizeof settings.subprotocols - used;
    return name != NULL && snprintf(settings.subprotocols + used, room, "%s%s", used == 0 ? "" : ", ", name) < (int)room;
}

static bool read_arguments(char **argument)
{
    while (*++argument != NULL) {
        const char *name = *argument, *value = argument[1];
        if (strcmp(name, "--deflate") == 0) {
            settings.deflate = true;
            continue;
        }
        if (value == NULL) return false;
        ++argument;
        if (strcmp(name, "--host") == 0) settings.host = value;
        else if (strcmp(name, "--port") == 0 && read_number(value, 65535, &settings.port)) continue;
        else if (strcmp(name, "--threads") == 0 && read_number(value, 1024, &settings.threads)) continue;
        else if (strcmp(name, "--max-message") == 0 && read_number(value, UINT64_MAX, &settings.max_message)) settings.limited = true;
        else if (strcmp(name, "--mode") == 0 && strcmp(value, "blocking") == 0) settings.loop = false;
        else if (strcmp(name, "--mode") == 0 && strcmp(value, "loop") == 0) settings.loop = true;
        else if (strcmp(name, "--tls-cert") == 0) settings.certificate = value;
        else if (strcmp(name, "--tls-key") == 0) settings.key = value;
        else if (strcmp(name, "--client-ca") == 0) settings.client_ca = value;
        else if (strcmp(name, "--subprotocol") == 0 && add_subprotocol(value)) continue;
        else return false;
    }
    return (settings.certificate == NULL) == (settings.key == NULL) && (settings.client_ca == NULL || settings.certificate != NULL);
}

int main(int argc, char **argv)
{
    (void)argc;
    if (!read_arguments(argv)) {
        fprintf(stderr, "usage: echo_server [--host H] [--port N] [--mode blocking|loop] [--threads N] [--tls-cert F --tls-key F\n"
                        "                   [--client-ca F]] [--deflate]"
                        "                   [--max-message BYTES] [--subprotocol P]...\n");
        return 2;
    }
    stop_prepare();
    ws_handle session;
    ws_status status = ws_open("echo_server", 0, &session);
    if (status != WS_OK) return failed("ws_open", status);
    int result = configure(session);
    if (result == 0) result = listen_and_serve(session);
    ws_close_handle(session);
    return result;
}
