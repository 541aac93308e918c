/* time_server [--port N] [--interval MS] [--once]: tells every client the time of day ten times, then closes with 1000 "Done".
 *
 * The server of the article's Figure 1, one client after another. A request that is no WebSocket handshake is answered with 400. */
#include "example.h"
#include "stop.h"
#include <string.h>

static uint32_t interval_ms = 2000;

static ws_status tell_the_time(ws_handle websocket)
{
    for (int i = 0; i != 10; ++i) {
        if (stop_asked_within(interval_ms)) return ws_close(websocket, WS_CLOSE_GOING_AWAY, "Stopping", 8);
        char text[sizeof "23:59:59"];
        time_t now = time(NULL);
        struct tm local;
        size_t length = strftime(text, sizeof text, "%H:%M:%S", localtime_r(&now, &local));
        ws_status status = ws_send(websocket, WS_UTF8_MESSAGE, text, length);
        if (status != WS_OK) return status;
    }
    return ws_close(websocket, WS_CLOSE_NORMAL, "Done", 4);
}

/* Reads the request's head, then refuses or upgrades. `served` tells whether a WebSocket came of it. */
static ws_status serve(ws_handle request, bool *served)
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
    *served = true;
    status = tell_the_time(websocket);
    ws_close_handle(websocket);
    return status;
}

/* Serves client after client until a signal closes the listener, or after the first one. */
static int accept_clients(ws_handle listener, bool once)
{
    for (;;) {
        ws_handle request;
        bool served = false;
        ws_status status = ws_accept(listener, &request);
        if (stop_asked_within(0)) {
            if (status == WS_OK) ws_close_handle(request);
            return 0;
        }
        if (status != WS_OK) return failed("ws_accept", status);
        status = serve(request, &served);
        ws_close_handle(request);
        if (status != WS_OK) failed("client", status);
        if (once && served) return status == WS_OK ? 0 : 1;
    }
}

static int run(ws_handle session, unsigned port, bool once)
{
    const uint32_t patience_ms = 5000; /* one client at a time: a silent one must not hold up the others for long */
    char url[64];
    size_t length = sizeof url;
    ws_handle listener;
    ws_status status = ws_set_option(session, WS_OPTION_HANDSHAKE_TIMEOUT, &patience_ms, sizeof patience_ms);
    if (status == WS_OK) status = ws_set_option(session, WS_OPTION_CLOSE_TIMEOUT, &patience_ms, sizeof patience_ms);
    if (status != WS_OK) return failed("ws_set_option", status);
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/ws/", port);
    if ((status = ws_listen(session, url, &listener)) != WS_OK) return failed(url, status);
    int result = 1;
    if ((status = ws_query_option(listener, WS_OPTION_URL, url, &length)) != WS_OK) {
        failed("WS_OPTION_URL", status);
    } else if (!stop_watch(listener)) {
        fprintf(stderr, "no thread for signals\n");
    } else {
        printf("listening on %.*s\n", (int)length, url); /* the real port, if 0 was asked for */
        fflush(stdout);
        result = accept_clients(listener, once);
        stop_finish();
    }
    ws_close_handle(listener);
    return result;
}

int main(int argc, char **argv)
{
    uint64_t port = 8000, interval = interval_ms;
    bool once = false;
    for (int i = 1; i < argc; ++i) {
        if (strcmp(argv[i], "--port") == 0 && read_number(argv[i + 1], 65535, &port)) ++i;
        else if (strcmp(argv[i], "--interval") == 0 && read_number(argv[i + 1], UINT32_MAX, &interval)) ++i;
        else if (strcmp(argv[i], "--once") == 0) once = true;
        else return fprintf(stderr, "usage: time_server [--port N] [--interval MS] [--once]\n"), 2;
    }
    interval_ms = (uint32_t)interval;
    stop_prepare();
    ws_handle session;
    ws_status status = ws_open("time_server", 0, &session);
    if (status != WS_OK) return failed("ws_open", status);
    int result = run(session, (unsigned)port, once);
    ws_close_handle(session);
    return result;
}
