/* own_loop URL: a WebSocket inside a loop that the program has already. What comes through stdin, a pipe or a terminal, is sent line by line; what the
 * server says is printed.
 *
 * Linux's epoll is this program's loop; it watches two descriptors: stdin, and the one of the library's loop. The library gets the thread when its
 * descriptor is readable, or when the time is over that ws_loop_timeout told, and never waits itself: ws_loop_wait is called with 0. */
#include "example.h"
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static ws_handle loop, websocket;
static bool is_input_open = true, ended;
static int result;

static void print_piece(ws_buffer_type type, const void *data, size_t length)
{
    fwrite(data, 1, length, stdout);
    if (type == WS_UTF8_MESSAGE || type == WS_BINARY_MESSAGE) putchar('\n');
    fflush(stdout);
}

static void end(ws_status status)
{
    if (status != WS_OK) result = failed("connection", status);
    ended = true;
}

/* Prints for as long as something is there: the pieces stay where the library received them. */
static void receive_all(void)
{
    const void *data;
    size_t length;
    ws_buffer_type type;
    ws_status status;
    while ((status = ws_receive_view(websocket, &data, &length, &type)) == WS_OK) {
        if (type == WS_CLOSE_FRAME) {
            status = ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0);
            break;
        }
        print_piece(type, data, length);
    }
    if (status != WS_PENDING) end(status);
}

static void on_event(const ws_event *event)
{
    switch (event->type) {
    case WS_EVENT_UPGRADED:
        if (event->status != WS_OK) result = (fprintf(stderr, "%s (%d)\n", event->error->message, (int)event->status), 1), ended = true;
        else websocket = event->child, receive_all();
        ws_close_handle(event->handle);
        break;
    case WS_EVENT_RECEIVED:
        if (event->status != WS_OK) {
            if (event->status == WS_ERROR_CANCELLED) break; /* by our own ws_close */
            result = (fprintf(stderr, "%s (%d)\n", event->error->message, (int)event->status), 1), ended = true;
        } else if (event->buffer_type == WS_CLOSE_FRAME) {
            ws_status status = ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0);
            if (status != WS_PENDING) end(status);
        } else {
            print_piece(event->buffer_type, event->data, event->length);
            receive_all();
        }
        break;
    case WS_EVENT_CLOSE_COMPLETE:
        result = event->status == WS_OK ? 0 : 1;
        ended = true;
        break;
    default: break;
    }
}

/* Lets the library do what can be done now. */
static void turn(void)
{
    ws_event events[64];
    size_t count;
    ws_status status = ws_loop_wait(loop, events, sizeof events / sizeof *events, &count, 0);
    if (status != WS_OK) end(status);
    else for (size_t i = 0; i != count; ++i) on_event(&events[i]);
}

/* Sends the lines that are whole. At the end of the input says goodbye. */
static void read_input(int outer)
{
    static char line[65536];
    static size_t used;
    ssize_t count = read(STDIN_FILENO, line + used, sizeof line - used);
    char *begin = line, *stop;
    ws_status status = WS_OK;
    if (count > 0) used += (size_t)count;
    while (status == WS_OK && (stop = memchr(begin, '\n', used - (size_t)(begin - line))) != NULL) {
        status = ws_send(websocket, WS_UTF8_MESSAGE, begin, (size_t)(stop - begin));
        begin = stop + 1;
    }
    used -= (size_t)(begin - line);
    memmove(line, begin, used);
    if (status != WS_OK || used == sizeof line) {
        end(status != WS_OK ? status : WS_ERROR_MESSAGE_TOO_BIG);
    } else if (count <= 0) {
        is_input_open = false;
        epoll_ctl(outer, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
        if (used > 0) status = ws_send(websocket, WS_UTF8_MESSAGE, line, used);
        if (status == WS_OK) status = ws_shutdown(websocket, WS_CLOSE_NORMAL, NULL, 0); /* the echoes may still be on their way: receiving goes on */
        if (status != WS_OK && status != WS_PENDING) end(status);
    }
}

static int run(int outer)
{
    bool is_input_watched = false;
    while (!ended) {
        struct epoll_event ready[2], input = {.events = EPOLLIN, .data.fd = STDIN_FILENO};
        uint32_t timeout_ms;
        if (websocket != WS_NO_HANDLE && !is_input_watched) { /* not before there is somebody to send to */
            if (epoll_ctl(outer, EPOLL_CTL_ADD, STDIN_FILENO, &input) != 0) return fprintf(stderr, "stdin is no pipe and no terminal\n"), 1;
            is_input_watched = true;
        }
        ws_status status = ws_loop_timeout(loop, &timeout_ms);
        if (status != WS_OK) return failed("ws_loop_timeout", status);
        int count = epoll_wait(outer, ready, 2, timeout_ms > INT32_MAX ? -1 : (int)timeout_ms);
        for (int i = 0; i < count; ++i) {
            if (ready[i].data.fd == STDIN_FILENO && is_input_open) read_input(outer);
        }
        turn(); /* costs little when there is nothing to do, and sends what read_input has left to send */
    }
    return result;
}

/* The loop, its session, and the library's descriptor in this program's epoll. */
static ws_status prepare(int outer, const char *url, ws_handle *session)
{
    int64_t descriptor;
    ws_handle request;
    ws_status status = ws_loop_create(0, &loop);
    if (status == WS_OK) status = ws_open("own_loop", WS_FLAG_ASYNC, session);
    if (status == WS_OK) status = ws_set_option(*session, WS_OPTION_LOOP, &loop, sizeof loop);
    if (status == WS_OK) status = ws_loop_descriptor(loop, &descriptor);
    if (status != WS_OK) return status;
    struct epoll_event library = {.events = EPOLLIN, .data.fd = (int)descriptor};
    if (epoll_ctl(outer, EPOLL_CTL_ADD, (int)descriptor, &library) != 0) return WS_ERROR_INTERNAL;
    if ((status = ws_connect(*session, url, &request)) != WS_OK) return status;
    status = ws_complete_upgrade(request, &websocket);
    if (status == WS_PENDING) return WS_OK;
    ws_close_handle(request);
    if (status == WS_OK) receive_all();
    return status;
}

int main(int argc, char **argv)
{
    ws_handle session = WS_NO_HANDLE;
    if (argc != 2 || argv[1][0] == '-') return fprintf(stderr, "usage: own_loop URL\n"), 2;
    int outer = epoll_create1(EPOLL_CLOEXEC);
    ws_status status = prepare(outer, argv[1], &session);
    int exit_status = status == WS_OK ? run(outer) : failed(argv[1], status);
    if (websocket != WS_NO_HANDLE) ws_close_handle(websocket);
    ws_close_handle(session);
    ws_close_handle(loop);
    close(outer);
    return exit_status;
}
