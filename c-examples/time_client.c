/* time_client URL: prints the times of day that time_server sends, until it closes.
 *
 * The client of the article's Figure 4. ws_receive returns what has arrived of one frame, so a message may come in pieces: its type says when it is whole. */
#include "example.h"
#include <string.h>

/* Gives up with a status and a reason of our own. */
static int leave(ws_handle websocket, uint16_t close_status, const char *reason)
{
    fprintf(stderr, "leaving: %s\n", reason);
    ws_status status = ws_close(websocket, close_status, reason, strlen(reason));
    return status == WS_OK ? 1 : failed("ws_close", status);
}

/* The peer's close frame has come and was answered. Prints what it said; ws_close waits until the connection is down. */
static int report_close(ws_handle websocket)
{
    uint16_t close_status;
    char reason[124];
    size_t length;
    ws_status status = ws_query_close_status(websocket, &close_status, reason, sizeof reason, &length);
    if (status != WS_OK) return failed("ws_query_close_status", status);
    printf("closed %u %.*s\n", (unsigned)close_status, (int)length, reason);
    status = ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0);
    if (status != WS_OK) return failed("ws_close", status);
    return close_status == WS_CLOSE_NORMAL ? 0 : 1;
}

static int print_messages(ws_handle websocket)
{
    char text[1024];
    size_t length = 0;
    for (;;) {
        size_t received;
        ws_buffer_type type;
        ws_status status = ws_receive(websocket, text + length, sizeof text - length, &received, &type);
        if (status != WS_OK) return failed("ws_receive", status);
        if (type == WS_CLOSE_FRAME) return report_close(websocket);
        if (type != WS_UTF8_MESSAGE && type != WS_UTF8_FRAGMENT) return leave(websocket, WS_CLOSE_INVALID_TYPE, "I don't do binary");
        length += received;
        if (type == WS_UTF8_MESSAGE) {
            printf("> %.*s\n", (int)length, text);
            fflush(stdout);
            length = 0;
        } else if (length == sizeof text) {
            return leave(websocket, WS_CLOSE_TOO_BIG, "That's too long");
        }
    }
}

int main(int argc, char **argv)
{
    ws_handle session, request, websocket;
    ws_status status;
    int result;
    if (argc != 2) {
        fprintf(stderr, "usage: time_client URL        for example ws://localhost:8000/ws/\n");
        return 2;
    }
    if ((status = ws_open("time_client", 0, &session)) != WS_OK) return failed("ws_open", status);
    if ((status = ws_connect(session, argv[1], &request)) != WS_OK) {
        result = failed("ws_connect", status);
    } else {
        if ((status = ws_complete_upgrade(request, &websocket)) != WS_OK) {
            result = failed("ws_complete_upgrade", status);
        } else {
            result = print_messages(websocket);
            ws_close_handle(websocket);
        }
        ws_close_handle(request);
    }
    ws_close_handle(session);
    return result;
}
