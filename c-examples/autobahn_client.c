/* autobahn_client URL AGENT [--deflate] [--async]: the client that an Autobahn fuzzing server judges.
 *
 * Asks how many cases there are, echoes through each of them on a connection of its own, then asks for the report. A case that ends with an error is
 * nothing special here: half of them are errors on purpose, and the fuzzing server writes down how they were met. With --async the same calls do not wait,
 * but are told their ends by events. */
#include "autobahn_client_async.h"
#include "example.h"
#include <inttypes.h>
#include <string.h>

static bool is_async;

static ws_status open_websocket(ws_handle session, const char *url, ws_handle *websocket)
{
    return is_async ? dial_async(session, url, websocket) : dial(session, url, websocket);
}

static ws_status close_websocket(ws_handle websocket) { return is_async ? close_async(websocket) : ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0); }

static ws_status receive(ws_handle websocket, const void **data, size_t *length, ws_buffer_type *type)
{
    static char piece[65536];
    if (is_async) return receive_async(websocket, data, length, type);
    *data = piece;
    return ws_receive(websocket, piece, sizeof piece, length, type);
}

/* Sends everything back until the connection ends. */
static ws_status echo(ws_handle websocket)
{
    for (;;) {
        const void *data;
        size_t length;
        ws_buffer_type type;
        ws_status status = receive(websocket, &data, &length, &type);
        if (status != WS_OK) return status;
        if (type == WS_CLOSE_FRAME) return close_websocket(websocket);
        status = ws_send(websocket, type, data, length);
        if (status != WS_OK) return status;
    }
}

/* The server's one text message is a number; then it closes. */
static ws_status read_case_count(ws_handle websocket, uint64_t *count)
{
    char text[24] = "";
    size_t used = 0, length;
    const void *data;
    ws_buffer_type type;
    ws_status status;
    while ((status = receive(websocket, &data, &length, &type)) == WS_OK && type != WS_CLOSE_FRAME) {
        if (length >= sizeof text - used) return WS_ERROR_INVALID_SERVER_RESPONSE;
        memcpy(text + used, data, length);
        used += length;
    }
    if (status == WS_OK) status = close_websocket(websocket);
    return status == WS_OK && !read_number(text, 100000, count) ? WS_ERROR_INVALID_SERVER_RESPONSE : status;
}

static int run(ws_handle session, const char *base, const char *agent)
{
    char url[512];
    uint64_t count = 0;
    ws_handle websocket;
    snprintf(url, sizeof url, "%s/getCaseCount", base);
    ws_status status = open_websocket(session, url, &websocket);
    if (status != WS_OK) return failed(url, status);
    status = read_case_count(websocket, &count);
    ws_close_handle(websocket);
    if (status != WS_OK) return failed("getCaseCount", status);

    for (uint64_t number = 1; number <= count; ++number) {
        snprintf(url, sizeof url, "%s/runCase?case=%" PRIu64 "&agent=%s", base, number, agent);
        if ((status = open_websocket(session, url, &websocket)) != WS_OK) return failed(url, status);
        if ((status = echo(websocket)) != WS_OK) failed(url, status);
        ws_close_handle(websocket);
    }

    snprintf(url, sizeof url, "%s/updateReports?agent=%s", base, agent);
    if ((status = open_websocket(session, url, &websocket)) != WS_OK) return failed(url, status);
    status = echo(websocket);
    ws_close_handle(websocket);
    printf("%" PRIu64 " cases\n", count);
    return status == WS_OK ? 0 : failed(url, status);
}

int main(int argc, char **argv)
{
    const ws_compression compression = {.size = sizeof compression, .enabled = 1};
    bool deflate = false, understood = argc >= 3;
    for (int i = 3; i < argc; ++i) {
        if (strcmp(argv[i], "--deflate") == 0) deflate = true;
        else if (strcmp(argv[i], "--async") == 0) is_async = true;
        else understood = false;
    }
    if (!understood) return fprintf(stderr, "usage: autobahn_client URL AGENT [--deflate] [--async]\n"), 2;
    ws_handle session = WS_NO_HANDLE;
    ws_status status = is_async ? open_async(&session) : ws_open("autobahn_client", 0, &session);
    if (status != WS_OK) return failed("ws_open", status);
    if (deflate) status = ws_set_option(session, WS_OPTION_COMPRESSION, &compression, sizeof compression);
    int result;
    if (status == WS_ERROR_NOT_SUPPORTED) result = (fprintf(stderr, "--deflate: not built into this libws101\n"), 2);
    else if (status != WS_OK) result = failed("--deflate", status);
    else result = run(session, argv[1], argv[2]);
    ws_close_handle(session);
    if (is_async) ws_close_handle(events.loop);
    return result;
}
