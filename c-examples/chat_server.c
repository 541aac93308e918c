/* chat_server [--host H] [--port N]: everybody sees what anybody says. One thread, which is in ws_loop_run, and a page for browsers from the same port.
 *
 * A message is framed once, by ws_prepare, and sent to all by ws_send_prepared, however many there are. Whoever reads too slowly for the talk is
 * dropped, rather than kept in memory. SIGINT and SIGTERM stop it: everybody is told 1001, and it exits with 0. */
#include "chat_server_page.h"
#include "example.h"
#include "stop.h"
#include <string.h>

enum { LONGEST_MESSAGE = 4096, QUEUE_LIMIT = 256 * 1024, DRAIN_MS = 2000 };

/* Somebody in the room: the context of a websocket. One thread serves all, so nothing here needs a lock. */
struct member {
    ws_handle websocket;
    unsigned number;
    bool present;
    struct member *previous, *next;
};
static struct member room = {.previous = &room, .next = &room}; /* a ring, with nobody at its head */
static ws_handle loop, session, listener;

static void say_to_all(const char *text, size_t length)
{
    ws_handle message;
    ws_status status = ws_prepare(WS_UTF8_MESSAGE, text, length, &message);
    if (status != WS_OK) {
        failed("ws_prepare", status);
        return;
    }
    for (struct member *member = room.next; member != &room; member = member->next) {
        if (ws_send_prepared(member->websocket, message) == WS_ERROR_WOULD_BLOCK) ws_close_handle(member->websocket);
    }
    ws_close_handle(message);
}

static void announce(const struct member *member, const char *what, const char *text, size_t length)
{
    char line[LONGEST_MESSAGE + 64];
    int used = snprintf(line, sizeof line, "[%u]%s%.*s", member->number, what, (int)length, text);
    if (used > 0) say_to_all(line, (size_t)used < sizeof line ? (size_t)used : sizeof line - 1);
}

static void leave(struct member *member)
{
    if (!member->present) return;
    member->present = false;
    member->previous->next = member->next;
    member->next->previous = member->previous;
    announce(member, " left", "", 0);
}

/* Whole messages come without being asked for: WS_OPTION_WHOLE_MESSAGES. */
static void hear(struct member *member, const ws_event *event)
{
    if (event->status == WS_OK && event->buffer_type == WS_UTF8_MESSAGE) {
        announce(member, ": ", event->data, event->length);
    } else if (event->status != WS_OK || event->buffer_type == WS_CLOSE_FRAME) {
        leave(member);
        if (event->status != WS_OK || ws_close(member->websocket, WS_CLOSE_NORMAL, NULL, 0) != WS_PENDING) ws_close_handle(member->websocket);
    }
}

static void enter(ws_handle websocket)
{
    static unsigned last_number;
    struct member *member = malloc(sizeof *member);
    if (member == NULL || ws_set_option(websocket, WS_OPTION_CONTEXT, &member, sizeof member) != WS_OK) {
        free(member);
        ws_close_handle(websocket);
        return;
    }
    *member = (struct member){.websocket = websocket, .number = ++last_number, .present = true, .previous = room.previous, .next = &room};
    member->previous->next = member->next->previous = member;
    announce(member, " came", "", 0);
}

/* A browser's address bar, or its script. Returns whether an event will follow. */
static ws_status answer(ws_handle request)
{
    char target[64];
    uint32_t is_websocket = 0;
    size_t size = sizeof is_websocket, length = sizeof target;
    ws_handle websocket;
    ws_status status = ws_query_option(request, WS_OPTION_IS_WEBSOCKET, &is_websocket, &size);
    if (status == WS_OK && is_websocket) {
        if ((status = ws_complete_upgrade(request, &websocket)) == WS_OK) enter(websocket);
        return status;
    }
    if (status != WS_OK) return status;
    if (ws_query_option(request, WS_OPTION_TARGET, target, &length) == WS_OK && strcmp(target, "/") == 0)
        return ws_respond(request, 200, "text/html; charset=utf-8", page, sizeof page - 1);
    return ws_respond(request, 404, "text/plain", "There is nothing here.\n", 23);
}

static void accept_all(void)
{
    ws_handle request;
    while (ws_accept(listener, &request) == WS_OK) {
        if (answer(request) != WS_PENDING) ws_close_handle(request);
    }
}

static void on_event(const ws_event *event, void *unused)
{
    (void)unused;
    struct member *member = event->context;
    switch (event->type) {
    case WS_EVENT_ACCEPTED:
        if (event->status == WS_OK && answer(event->child) != WS_PENDING) ws_close_handle(event->child);
        if (event->status != WS_ERROR_CANCELLED) accept_all();
        break;
    case WS_EVENT_UPGRADED:
        if (event->status == WS_OK) enter(event->child);
        ws_close_handle(event->handle); /* the request: the websocket lives on without it */
        break;
    case WS_EVENT_RECEIVED: hear(member, event); break;
    case WS_EVENT_RESPONDED:
    case WS_EVENT_CLOSE_COMPLETE: ws_close_handle(event->handle); break;
    case WS_EVENT_HANDLE_CLOSED: /* the last of this handle */
        if (member != NULL) leave(member);
        free(member);
        break;
    case WS_EVENT_WOKEN: /* by the thread that waits for a signal */
        if (ws_drain(listener, WS_CLOSE_GOING_AWAY, 0, DRAIN_MS) == WS_PENDING) break;
        ws_loop_stop(loop);
        break;
    case WS_EVENT_DRAINED: ws_loop_stop(loop); break;
    default: break;
    }
}

static void *wait_for_a_signal(void *unused)
{
    stop_wait();
    ws_loop_wake(loop);
    return unused;
}

/* Everything that is made of the session inherits the loop, the callback and the limits. */
static ws_status prepare(void)
{
    const uint64_t longest = LONGEST_MESSAGE, queue_limit = QUEUE_LIMIT;
    const uint32_t yes = 1;
    ws_status status = ws_loop_create(0, &loop);
    if (status == WS_OK) status = ws_set_callback(loop, on_event, NULL);
    if (status == WS_OK) status = ws_open("chat_server", WS_FLAG_ASYNC, &session);
    if (status == WS_OK) status = ws_set_option(session, WS_OPTION_LOOP, &loop, sizeof loop);
    if (status == WS_OK) status = ws_set_callback(session, on_event, NULL);
    if (status == WS_OK) status = ws_set_option(session, WS_OPTION_WHOLE_MESSAGES, &yes, sizeof yes);
    if (status == WS_OK) status = ws_set_option(session, WS_OPTION_MAX_MESSAGE, &longest, sizeof longest);
    return status == WS_OK ? ws_set_option(session, WS_OPTION_SEND_QUEUE_LIMIT, &queue_limit, sizeof queue_limit) : status;
}

static int run(const char *host, unsigned port)
{
    char url[512];
    size_t length = sizeof url;
    pthread_t signals;
    snprintf(url, sizeof url, "ws://%s:%u/", host, port);
    ws_status status = ws_listen(session, url, &listener);
    if (status == WS_OK) status = ws_query_option(listener, WS_OPTION_URL, url, &length);
    if (status != WS_OK) return failed(url, status);
    if (pthread_create(&signals, NULL, wait_for_a_signal, NULL) != 0) return fprintf(stderr, "no thread for signals\n"), 1;
    printf("listening on %s\nopen http%s in a browser\n", url, url + 2);
    fflush(stdout);
    accept_all();
    status = ws_loop_run(loop);
    pthread_kill(signals, SIGTERM);
    pthread_join(signals, NULL);
    ws_close_handle(listener);
    return status == WS_OK ? 0 : failed("ws_loop_run", status);
}

int main(int argc, char **argv)
{
    const char *host = "127.0.0.1";
    uint64_t port = 8000;
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--host") == 0 && argv[i + 1] != NULL) host = argv[i + 1];
        else if (strcmp(argv[i], "--port") != 0 || !read_number(argv[i + 1], 65535, &port)) return fprintf(stderr, "usage: chat_server [--host H] [--port N]\n"), 2;
    }
    stop_prepare();
    ws_status status = prepare();
    int result = status == WS_OK ? run(host, (unsigned)port) : failed("starting", status);
    ws_close_handle(session);
    ws_close_handle(loop);
    return result;
}
