/* echo_server: sends every message back with its type. With a thread for every connection, or with an event loop for all of them.
 *
 *   echo_server [--host H] [--port N] [--mode blocking|loop] [--threads N] [--tls-cert F --tls-key F [--client-ca F]]
 *               [--deflate [--context-takeover]] [--max-message BYTES] [--subprotocol P]...
 *
 * A piece goes back as soon as it is there, with the type it came with: fragments stay fragments, and no message is ever held in memory. With
 * --context-takeover compression remembers earlier messages, which makes small ones smaller and takes memory for each client. SIGINT and SIGTERM stop
 * it: everybody is told 1001, and it exits with 0. */
#include "echo_server_blocking.h"
#include "echo_server_loop.h"
#include "example.h"
#include "stop.h"
#include <string.h>

static struct {
    const char *host, *certificate, *key, *client_ca;
    uint64_t port, threads, max_message; /* threads are for the loop: blocking, every connection has its own */
    bool loop, deflate, takeover, limited;
    char subprotocols[1024];
} settings = {.host = "127.0.0.1", .threads = 1};

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
    const uint32_t forgets = settings.takeover ? 2 : 0; /* 2: no, unless the client wants it */
    const ws_compression compression = {
        .size = sizeof compression, .enabled = 1, .client_no_context_takeover = forgets, .server_no_context_takeover = forgets};
    uint32_t features = 0;
    size_t length = sizeof features;
    ws_status status = ws_query_option(session, WS_OPTION_FEATURES, &features, &length);
    if (status != WS_OK) return failed("WS_OPTION_FEATURES", status);
    if (settings.certificate != NULL && !(features & 1)) return fprintf(stderr, "--tls-cert, --tls-key: not in this build\n"), 2;
    if (settings.deflate && !(features & 2)) return fprintf(stderr, "--deflate: not built into this libws101\n"), 2;
    if (settings.certificate != NULL && !set_file(session, WS_OPTION_TLS_CERTIFICATE, settings.certificate)) return 1;
    if (settings.key != NULL && !set_file(session, WS_OPTION_TLS_KEY, settings.key)) return 1;
    if (settings.client_ca != NULL && !set_file(session, WS_OPTION_TLS_CLIENT_CA, settings.client_ca)) return 1;
    if (settings.deflate) status = ws_set_option(session, WS_OPTION_COMPRESSION, &compression, sizeof compression);
    if (status == WS_OK && settings.limited) status = ws_set_option(session, WS_OPTION_MAX_MESSAGE, &settings.max_message, sizeof settings.max_message);
    if (status == WS_OK && settings.subprotocols[0] != '\0')
        status = ws_set_option(session, WS_OPTION_SUBPROTOCOLS, settings.subprotocols, strlen(settings.subprotocols));
    if (status == WS_OK && settings.loop) status = configure_loop(session, (uint32_t)settings.threads);
    return status == WS_OK ? 0 : failed("ws_set_option", status);
}

static int listen_and_serve(ws_handle session)
{
    char url[512];
    size_t length = sizeof url;
    const char *open = strchr(settings.host, ':') != NULL ? "[" : "", *shut = *open != '\0' ? "]" : ""; /* an IPv6 address stands in brackets */
    snprintf(url, sizeof url, "%s://%s%s%s:%u/", settings.certificate != NULL ? "wss" : "ws", open, settings.host, shut, (unsigned)settings.port);
    ws_handle listener;
    ws_status status = ws_listen(session, url, &listener);
    if (status != WS_OK) return failed(url, status);
    if ((status = ws_query_option(listener, WS_OPTION_URL, url, &length)) != WS_OK) return failed("WS_OPTION_URL", status);
    printf("listening on %.*s\n", (int)length, url); /* the real port, if 0 was asked for */
    fflush(stdout);
    int result = settings.loop ? serve_by_events(listener) : serve_blocking(listener);
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
        if (strcmp(name, "--context-takeover") == 0) {
            settings.takeover = true;
            continue;
        }
        if (value == NULL) return false;
        ++argument;
        if (strcmp(name, "--host") == 0) settings.host = value;
        else if (strcmp(name, "--port") == 0 && read_number(value, 65535, &settings.port)) continue;
        else if (strcmp(name, "--threads") == 0 && read_number(value, 1024, &settings.threads) && settings.threads > 0) continue;
        else if (strcmp(name, "--max-message") == 0 && read_number(value, UINT64_MAX, &settings.max_message)) settings.limited = true;
        else if (strcmp(name, "--mode") == 0 && strcmp(value, "blocking") == 0) settings.loop = false;
        else if (strcmp(name, "--mode") == 0 && strcmp(value, "loop") == 0) settings.loop = true;
        else if (strcmp(name, "--tls-cert") == 0) settings.certificate = value;
        else if (strcmp(name, "--tls-key") == 0) settings.key = value;
        else if (strcmp(name, "--client-ca") == 0) settings.client_ca = value;
        else if (strcmp(name, "--subprotocol") == 0 && add_subprotocol(value)) continue;
        else return false;
    }
    return (settings.certificate == NULL) == (settings.key == NULL) && (settings.client_ca == NULL || settings.certificate != NULL) &&
           (settings.deflate || !settings.takeover);
}

int main(int argc, char **argv)
{
    (void)argc;
    if (!read_arguments(argv)) {
        fprintf(stderr, "usage: echo_server [--host H] [--port N] [--mode blocking|loop] [--threads N] [--tls-cert F --tls-key F\n"
                        "                   [--client-ca F]] [--deflate [--context-takeover]]\n"
                        "                   [--max-message BYTES] [--subprotocol P]...\n");
        return 2;
    }
    stop_prepare();
    ws_handle session;
    ws_status status = ws_open("echo_server", settings.loop ? WS_FLAG_ASYNC : 0, &session);
    if (status != WS_OK) return failed("ws_open", status);
    int result = configure(session);
    if (result == 0) result = listen_and_serve(session);
    ws_close_handle(session);
    ws_cleanup(WS_WAIT_FOREVER); /* the library's threads have nothing left to do: waits for their end */
    return result;
}
