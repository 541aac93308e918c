/* say PIECE...: a server for one client. Says each piece, then prints what the client says, until one side closes. A test aid.
 *
 *   text:WORDS   binary:WORDS    a whole message, or the last piece of one
 *   text+:WORDS  binary+:WORDS   a piece that is not the last
 *   long:N                       a text message of N letters
 *   close:STATUS                 says goodbye with a status
 *   vanish                       drops the connection without a close frame */
#include "../example.h"
#include <signal.h>
#include <string.h>

static ws_status say_long(ws_handle websocket, size_t length)
{
    char *letters = malloc(length + 1);
    if (letters == NULL) return WS_ERROR_NOT_ENOUGH_MEMORY;
    memset(letters, 'x', length);
    ws_status status = ws_send(websocket, WS_UTF8_MESSAGE, letters, length);
    free(letters);
    return status;
}

static ws_status say(ws_handle websocket, const char *piece)
{
    static const struct { const char *prefix; ws_buffer_type type; } kinds[] = {
        {"text:", WS_UTF8_MESSAGE}, {"text+:", WS_UTF8_FRAGMENT}, {"binary:", WS_BINARY_MESSAGE}, {"binary+:", WS_BINARY_FRAGMENT}};
    for (size_t i = 0; i != sizeof kinds / sizeof *kinds; ++i) {
        size_t length = strlen(kinds[i].prefix);
        if (strncmp(piece, kinds[i].prefix, length) == 0) return ws_send(websocket, kinds[i].type, piece + length, strlen(piece + length));
    }
    if (strncmp(piece, "long:", 5) == 0) return say_long(websocket, strtoul(piece + 5, NULL, 10));
    if (strncmp(piece, "close:", 6) == 0) return ws_shutdown(websocket, (uint16_t)strtoul(piece + 6, NULL, 10), "as told", 7);
    if (strcmp(piece, "vanish") == 0) return ws_close_handle(websocket);
    return WS_ERROR_INVALID_PARAMETER;
}

static ws_status print_answers(ws_handle websocket)
{
    char piece[4096], reason[124];
    size_t length;
    ws_buffer_type type;
    uint16_t close_status;
    for (;;) {
        ws_status status = ws_receive(websocket, piece, sizeof piece, &length, &type);
        if (status != WS_OK) return status;
        if (type == WS_CLOSE_FRAME) break;
        if (type == WS_UTF8_MESSAGE) printf("heard text %.*s\n", (int)length, piece);
        else if (type == WS_BINARY_MESSAGE) printf("heard binary of %zu\n", length);
        else printf("heard a piece of %zu\n", length);
    }
    ws_status status = ws_query_close_status(websocket, &close_status, reason, sizeof reason, &length);
    if (status == WS_OK) printf("heard close %u %.*s\n", (unsigned)close_status, (int)length, reason);
    return status == WS_OK ? ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0) : status;
}

int main(int argc, char **argv)
{
    ws_handle session, listener, request, websocket;
    char url[128];
    size_t length = sizeof url;
    ws_status status = ws_open("say", 0, &session);
    if (status == WS_OK) status = ws_listen(session, "ws://127.0.0.1:0/", &listener);
    if (status == WS_OK) status = ws_query_option(listener, WS_OPTION_URL, url, &length);
    if (status != WS_OK) return failed("listen", status);
    signal(SIGTERM, SIG_IGN); /* it ends by itself, when its client has: what it heard shall all be printed */
    printf("listening on %.*s\n", (int)length, url);
    fflush(stdout);
    if ((status = ws_accept(listener, &request)) != WS_OK) return failed("ws_accept", status);
    if ((status = ws_complete_upgrade(request, &websocket)) != WS_OK) return failed("ws_complete_upgrade", status);
    bool vanished = false;
    for (int i = 1; status == WS_OK && i < argc; ++i) {
        status = say(websocket, argv[i]);
        vanished = vanished || strcmp(argv[i], "vanish") == 0;
    }
    if (status == WS_OK && !vanished) status = print_answers(websocket);
    int result = status == WS_OK ? 0 : failed("client", status);
    if (!vanished) ws_close_handle(websocket);
    ws_close_handle(request);
    ws_close_handle(listener);
    ws_close_handle(session);
    return result;
}
