/* Uses the library a little: opens a session, and is told why there is no connection. */
#include <stdio.h>
#include <ws101.h>

int main(void)
{
    ws_handle session, request, websocket;
    ws_error_info why = {.size = sizeof why};
    uint32_t version = ws_version();
    if (ws_open("consumer", 0, &session) != WS_OK || ws_connect(session, "ws://127.0.0.1:1/", &request) != WS_OK) return 1;
    if (ws_complete_upgrade(request, &websocket) != WS_ERROR_CANNOT_CONNECT || ws_last_error(&why) != WS_OK) return 1;
    printf("ws101 %u.%u.%u: %s\n", (unsigned)(version >> 16), (unsigned)(version >> 8 & 255), (unsigned)(version & 255), why.message);
    return ws_close_handle(request) == WS_OK && ws_close_handle(session) == WS_OK ? 0 : 1;
}
