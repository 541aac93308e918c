/* wscat URL | wscat --listen PORT: a person's WebSocket client, and a server for trying clients. `wscat --help` tells all.
 *
 * The main thread sends what is typed and keeps the time; every connection has another thread that receives. Nothing needs a lock for that: one thread may
 * receive on a handle while others send on it. The end is polite in both directions: a close frame, then the peer's. */
#include "example.h"
#include "wscat_listen.h"
#include "wscat_peer.h"

enum { MAX_HEADERS = 64, PING_EVERY_MS = 1000 };

static const char help[] =
    "usage: wscat URL [OPTION]...             connect: wscat ws://localhost:8000/path, or wscat localhost:8000\n"
    "       wscat --listen PORT [OPTION]...   wait for clients on 127.0.0.1; port 0 = any free one\n"
    "\n"
    "Each line of stdin is sent as a text message; to all clients, with --listen. Messages are printed as they come.\n"
    "Ctrl-D or Ctrl-C says goodbye and ends; a second Ctrl-C ends at once.\n"
    "\n"
    "  -v, --verbose          show the handshake, addresses, and the bytes of binary messages (on stderr)\n"
    "  -w, --wait SECONDS     stay so long after the end of stdin, for messages; a server that is not typed into stays anyway\n"
    "  -h, --help             this\n"
    "      --header \"N: V\"    add a header to the request; may be repeated\n"
    "      --subprotocol P    offer a sub-protocol (--listen: choose it if it is offered); may be repeated, the best first\n"
    "      --ping             send a ping every second, and tell how long the answers took\n"
    "      --proxy URL        connect through a proxy\n"
    "      --cacert FILE      trust only these authorities (PEM)\n"
    "      --insecure         trust any certificate: anybody may be the server\n"
    "      --cert FILE        show this certificate (PEM), to a server that asks; to clients, with --listen, which is wss then\n"
    "      --key FILE         its private key, if that is not in the same file\n"
    "      --deflate          compress messages, if the peer does\n"
    "\n"
    "Exit status: 0 closed in good order; 1 no connection, or it was lost; 2 wrong usage, or not in this build;\n"
    "3 the server refused the upgrade; 4 the peer closed with another status than 1000, 1001 or none.\n";

static struct {
    const char *url, *proxy, *authorities, *certificate, *key;
    const char *headers[MAX_HEADERS];
    size_t header_count;
    char subprotocols[1024];
    uint64_t port, wait_s;
    bool listen, waits, insecure, deflate, ping;
} settings;

/* ---- the conversation of a client: what is typed, the clock, Ctrl-C --------------------------------------------------------------------------------- */

static void *hear_server(void *argument)
{
    struct peer *server = argument;
    int result = hear(server);
    console_wake();
    return (void *)(intptr_t)result;
}

/* How long nothing was heard. */
static int64_t silence_ms(ws_handle websocket)
{
    ws_statistics statistics = {.size = sizeof statistics};
    size_t length = sizeof statistics;
    return ws_query_option(websocket, WS_OPTION_STATISTICS, &statistics, &length) == WS_OK ? (int64_t)statistics.idle_ms : INT64_MAX;
}

/* Says goodbye and lets the receiver print what still comes before the server's goodbye; whoever pressed Ctrl-C does not wait for all of it. */
static void leave(struct peer *server, bool hurry)
{
    pthread_mutex_lock(&peers_mutex);
    server->leaving = true;
    pthread_mutex_unlock(&peers_mutex);
    int64_t begin = milliseconds_now();
    console.hold = true; /* nothing more is sent */
    say_goodbye(server->handle, WS_CLOSE_NORMAL);
    for (;;) {
        enum console_event event = console_next(milliseconds_now() + 100, NULL, NULL);
        if (event == CONSOLE_WOKEN) return;
        if (event == CONSOLE_STOP) hurry = true;
        int64_t now = milliseconds_now();
        if (now - begin > GOODBYE_MS && (hurry || silence_ms(server->handle) > GOODBYE_MS)) break;
    }
    ws_close_handle(server->handle); /* wakes the receiver */
}

static void talk(struct peer *server)
{
    int64_t end_ms = -1, ping_ms = settings.ping ? milliseconds_now() : -1;
    for (;;) {
        const char *line;
        size_t length;
        int64_t now = milliseconds_now();
        if (ping_ms >= 0 && now >= ping_ms) {
            show_round_trips(server->handle);
            ws_ping(server->handle, NULL, 0); /* if that fails, the receiver says why */
            ping_ms = now + PING_EVERY_MS;
        }
        if (end_ms >= 0 && now >= end_ms) {
            leave(server, false);
            return;
        }
        int64_t next_ms = ping_ms < 0 || (end_ms >= 0 && end_ms < ping_ms) ? end_ms : ping_ms;
        switch (console_next(next_ms, &line, &length)) {
        case CONSOLE_LINE: console.hold = !say(server->handle, 0, line, length); break; /* hold: what comes now is its end */
        case CONSOLE_END: end_ms = milliseconds_now() + (int64_t)settings.wait_s * 1000; break;
        case CONSOLE_STOP: show_stop(); leave(server, true); return;
        case CONSOLE_WOKEN: return;
        case CONSOLE_TIME: break;
        case CONSOLE_BROKEN: perror("wscat: stdin"); leave(server, true); return;
        }
    }
}

/* ---- the client -------------------------------------------------------------------------------------------------------------------------------- */

static int converse(ws_handle websocket)
{
    const uint32_t yes = 1; /* so that Ctrl-C ends a ws_send to a server that reads nothing */
    struct peer server = {.handle = websocket, .open = true};
    pthread_t receiver;
    void *result = (void *)(intptr_t)EXIT_LOST;
    ws_set_option(websocket, WS_OPTION_INTERRUPTIBLE, &yes, sizeof yes);
    console_take_signals();
    if (!start_thread(&receiver, hear_server, &server)) return EXIT_LOST;
    talk(&server);
    pthread_join(receiver, &result);
    if (settings.ping) show_round_trips(websocket);
    return (int)(intptr_t)result;
}

/* The server answered, but not with 101: shows what it said. */
static int report_refusal(ws_handle request, ws_status status)
{
    char body[4096], location[2048], last = '\n';
    size_t length = sizeof location;
    show_failure(0, "refused", status); /* has the status line */
    if (show.verbose) show_headers(0, request);
    if (ws_query_header(request, "Location", 0, location, &length) == WS_OK) show_remark(0, "it points to %s", location);
    while (ws_read_body(request, body, sizeof body, &length) == WS_OK && length != 0) {
        show_text(stderr, body, length);
        last = body[length - 1];
    }
    if (last != '\n') putc('\n', stderr);
    return EXIT_REFUSED;
}

static int upgrade(ws_handle request)
{
    ws_handle websocket;
    ws_status status = ws_complete_upgrade(request, &websocket);
    if (status == WS_ERROR_UPGRADE_REFUSED) return report_refusal(request, status);
    if (status != WS_OK) return show_failure(0, settings.url, status), EXIT_LOST;
    if (show.verbose) {
        show_headers(0, request);
        show_option(0, "from", websocket, WS_OPTION_LOCAL_ADDRESS);
        show_option(0, "to", websocket, WS_OPTION_REMOTE_ADDRESS);
        show_option(0, "extensions:", websocket, WS_OPTION_EXTENSIONS);
    }
    if (show.verbose || show.error_terminal) {
        show_option(0, "sub-protocol:", websocket, WS_OPTION_SUBPROTOCOL);
        show_remark(0, "connected, type to send");
    }
    int result = converse(websocket);
    ws_close_handle(websocket);
    return result;
}

/* "Name: value" */
static ws_status add_header(ws_handle request, const char *header)
{
    char name[256];
    const char *colon = strchr(header, ':');
    if (colon == NULL || (size_t)(colon - header) >= sizeof name) return WS_ERROR_INVALID_HEADER;
    memcpy(name, header, (size_t)(colon - header));
    name[colon - header] = '\0';
    return ws_add_header(request, name, colon + 1 + strspn(colon + 1, " \t"));
}

static int run_client(ws_handle session)
{
    char url[2048];
    ws_handle request;
    int length = snprintf(url, sizeof url, "%s%s", strstr(settings.url, "://") == NULL ? "ws://" : "", settings.url);
    if (length < 0 || (size_t)length >= sizeof url) return fprintf(stderr, "wscat: the URL is too long\n"), EXIT_USAGE;
    ws_status status = ws_connect(session, url, &request);
    if (status != WS_OK) return show_failure(0, url, status), EXIT_USAGE; /* no URL, or one for which this build has no TLS */
    int result = EXIT_GOOD;
    for (size_t i = 0; i != settings.header_count && result == EXIT_GOOD; ++i) {
        status = add_header(request, settings.headers[i]);
        if (status != WS_OK) show_failure(0, settings.headers[i], status), result = EXIT_USAGE;
    }
    if (result == EXIT_GOOD) result = upgrade(request);
    ws_close_handle(request);
    return result;
}

/* ---- the program ------------------------------------------------------------------------------------------------------------------------------- */

/* Sets what the command line asks of the session; if this build has not got it, says so in one sentence. */
static bool set(ws_handle session, const char *name, ws_option option, const void *value, size_t length)
{
    ws_status status = ws_set_option(session, option, value, length);
    if (status == WS_ERROR_NOT_SUPPORTED) fprintf(stderr, "wscat: %s: not built into this libws101\n", name);
    else if (status != WS_OK) show_failure(0, name, status);
    return status == WS_OK;
}

/* The library reads the file itself. */
static bool set_path(ws_handle session, const char *name, ws_option option, const char *path)
{
    return path == NULL || set(session, name, option, path, strlen(path));
}

static bool configure(ws_handle session)
{
    const ws_compression compression = {.size = sizeof compression, .enabled = 1};
    const uint32_t forgive_all = 7;
    if (settings.subprotocols[0] != '\0' &&
        !set(session, "--subprotocol", WS_OPTION_SUBPROTOCOLS, settings.subprotocols, strlen(settings.subprotocols))) return false;
    if (settings.proxy != NULL && !set(session, "--proxy", WS_OPTION_PROXY, settings.proxy, strlen(settings.proxy))) return false;
    if (settings.insecure && !set(session, "--insecure", WS_OPTION_TLS_DANGER, &forgive_all, sizeof forgive_all)) return false;
    if (settings.deflate && !set(session, "--deflate", WS_OPTION_COMPRESSION, &compression, sizeof compression)) return false;
    return set_path(session, "--cacert", WS_OPTION_TLS_CA, settings.authorities) &&
           set_path(session, "--cert", WS_OPTION_TLS_CERTIFICATE, settings.certificate) &&
           set_path(session, "--key", WS_OPTION_TLS_KEY, settings.key);
}

static bool add_subprotocol(const char *name)
{
    size_t used = strlen(settings.subprotocols), room = sizeof settings.subprotocols - used;
    int length = snprintf(settings.subprotocols + used, room, "%s%s", used == 0 ? "" : ", ", name);
    return length >= 0 && (size_t)length < room;
}

static bool is(const char *argument, const char *name, const char *letter)
{
    return strcmp(argument, name) == 0 || (letter != NULL && strcmp(argument, letter) == 0);
}

/* An option without a value, or the URL. */
static bool read_word(const char *word)
{
    if (is(word, "--verbose", "-v")) show.verbose = true;
    else if (is(word, "--ping", NULL)) settings.ping = true;
    else if (is(word, "--insecure", NULL)) settings.insecure = true;
    else if (is(word, "--deflate", NULL)) settings.deflate = true;
    else if (word[0] != '-' && settings.url == NULL) settings.url = word;
    else return false;
    return true;
}

/* An option with a value; false if it is none, or its value is wrong. */
static bool read_pair(const char *name, const char *value)
{
    if (value == NULL) return false;
    if (is(name, "--listen", "-l") && read_number(value, 65535, &settings.port)) return settings.listen = true;
    if (is(name, "--wait", "-w") && read_number(value, INT32_MAX, &settings.wait_s)) return settings.waits = true;
    if (is(name, "--header", "-H") && settings.header_count != MAX_HEADERS) return settings.headers[settings.header_count++] = value, true;
    if (is(name, "--subprotocol", "-s")) return add_subprotocol(value);
    if (is(name, "--proxy", NULL)) return settings.proxy = value, true;
    if (is(name, "--cacert", NULL)) return settings.authorities = value, true;
    if (is(name, "--cert", NULL)) return settings.certificate = value, true;
    if (is(name, "--key", NULL)) return settings.key = value, true;
    return false;
}

/* Always false. */
static bool misused(const char *why, const char *what)
{
    fprintf(stderr, "usage: wscat URL | wscat --listen PORT        wscat --help tells more\nwscat: %s%s\n", why, what);
    return false;
}

static bool read_arguments(char **argument)
{
    while (*++argument != NULL) {
        if (read_pair(argument[0], argument[1])) ++argument;
        else if (!read_word(*argument)) return misused("cannot make sense of ", *argument);
    }
    if (settings.listen == (settings.url != NULL)) return misused("it takes a URL, or --listen PORT", "");
    bool of_client = settings.header_count != 0 || settings.ping || settings.proxy != NULL || settings.authorities != NULL || settings.insecure;
    return !settings.listen || !of_client || misused("--header, --ping, --proxy, --cacert and --insecure are for clients", "");
}

int main(int argc, char **argv)
{
    ws_handle session;
    for (int i = 1; i < argc; ++i) {
        if (is(argv[i], "--help", "-h")) return fputs(help, stdout), EXIT_GOOD;
    }
    if (!read_arguments(argv)) return EXIT_USAGE;
    show_open();
    if (!console_open()) return perror("wscat: pipe"), EXIT_LOST;
    if (show.verbose) ws_set_log(4, show_log, NULL);
    ws_status status = ws_open("wscat", 0, &session);
    if (status != WS_OK) return show_failure(0, "ws_open", status), EXIT_LOST;
    int result = EXIT_USAGE;
    if (configure(session))
        result = settings.listen ? serve_clients(session, (unsigned)settings.port, settings.waits ? (int64_t)settings.wait_s * 1000 : -1) : run_client(session);
    ws_close_handle(session);
    free(console.text);
    return result;
}
