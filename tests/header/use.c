/* Includes the public header as a program does, and uses what a compiler could complain about: constants in an `enum`, in `#if`,
 * as unsigned flags; structs with their size; a callback. It is compiled as C and as C++, and never run. */
#include "ws101.h"
#include "ws101.h"

#if WS_VERSION_MAJOR > 999 || WS_VERSION < 0 || WS_FLAG_ASYNC != 0x10000000u || WS_SEND_NOTIFY != 4u
#error "the macros cannot be used in #if"
#endif

/* The layout that a program was built against: 64-bit machines only. */
#define ASSERT(name, condition) typedef char assert_##name[(condition) ? 1 : -1]
ASSERT(handle, sizeof(ws_handle) == 8);
ASSERT(status, sizeof(ws_status) == 4 && (ws_status)-1 < 0);
#if UINTPTR_MAX > 0xFFFFFFFFu
ASSERT(event, sizeof(ws_event) == 96 && offsetof(ws_event, error) == 64);
ASSERT(error_info, sizeof(ws_error_info) == 288 && offsetof(ws_error_info, message) == 32);
ASSERT(compression, sizeof(ws_compression) == 32);
ASSERT(statistics, sizeof(ws_statistics) == 88);
ASSERT(action, sizeof(ws_action) == 88 && offsetof(ws_action, parts) == 40);
#endif
ASSERT(no_handle, WS_NO_HANDLE == 0 && sizeof(WS_NO_HANDLE) == 8);
ASSERT(forever, WS_WAIT_FOREVER == 0xFFFFFFFFu);

static void on_event(const ws_event *event, void *context) {
    *(ws_handle *)context = event->type == WS_EVENT_UPGRADED ? event->child : WS_NO_HANDLE;
}

ws_status use(ws_handle *websocket);
ws_status use(ws_handle *websocket) {
    ws_handle session = WS_NO_HANDLE, request = WS_NO_HANDLE;
    ws_error_info info;
    uint32_t timeout = 1000;
    unsigned char buffer[128];
    size_t received = 0;
    ws_buffer_type type = WS_BINARY_MESSAGE;
    ws_status status = ws_open("header test", WS_FLAG_ASYNC | WS_FLAG_NO_THREADS, &session);
    info.size = (uint32_t)sizeof info;
    if (status != WS_OK) return ws_last_error(&info) == WS_OK ? info.status : status;
    status = ws_set_option(session, WS_OPTION_CLOSE_TIMEOUT, &timeout, sizeof timeout);
    if (status == WS_OK) status = ws_set_callback(session, on_event, &request);
    if (status == WS_OK) status = ws_connect(session, "ws://127.0.0.1/", &request);
    if (status == WS_OK) status = ws_complete_upgrade(request, websocket);
    if (status == WS_OK) status = ws_receive(*websocket, buffer, sizeof buffer, &received, &type);
    if (status == WS_OK && type != WS_CLOSE_FRAME) status = ws_send_ex(*websocket, type, WS_SEND_WHOLE | WS_SEND_NOTIFY, NULL, 0, NULL);
    if (status == WS_OK) status = ws_close(*websocket, WS_CLOSE_NORMAL, "Done", 4);
    switch (status) {
    case WS_OK: return WS_OK;
    case WS_ERROR_TIMEOUT: return ws_cancel(*websocket, WS_OPERATION_ALL);
    default: return ws_loop_wait(WS_NO_HANDLE, NULL, 0, NULL, WS_WAIT_FOREVER);
    }
}
