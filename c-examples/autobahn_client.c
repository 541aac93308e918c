/* autobahn_client URL AGENT [--deflate]: the client that an Autobahn fuzzing server judges.
 *
 * Asks how many cases there are, echoes through each of them on a connection of its own, then asks for the report. A case that ends with an error is
 * nothing special here: half of them are errors on purpose, and the fuzzing server writes down how they were met. */
#include "example.h"
#include <inttypes.h>
#include <string.h>

/* Sends everything back until the connection ends. */
static ws_status echo(ws_handle websocket)
{
    char piece[65536];
    for (;;) {
        size_t length;
        ws_buffer_type type;
        ws_status status = ws_receive(websocket, piece, sizeof piece, &length, &type);
        if (status != WS_OK) return status;
        if (type == WS_CLOSE_FRAME) return ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0);
        if ((status = ws_send(websocket, type, piece, length)) != WS_OK) return status;
    }
}

/* The server's one text message is a number; then it closes. */
static ws_status read_case_count(ws_handle websocket, uint64_t *count)
{
    char text[24] = "";
    size_t used = 0, length;
    ws_buffer_type type;
    ws_status status;
    while ((status = ws_receive(websocket, text + used, sizeof text - 1 - used, &length, &type)) == WS_OK && type != WS_CLOSE_FRAME) used += length;
    if (status == WS_OK) status = ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0);
    return status == WS_OK && !read_number(text, 100000, count) ? WS_ERROR_INVALID_SERVER_RESPONSE : status;
}

static int run(ws_handle session, const char *base, const char *agent)
{
    char url[512];
    uint64_t count = 0;
    ws_handle websocket;
    snprintf(url, sizeof url, "%s/getCaseCount", base);
    ws_status status = dial(session, url, &websocket);
    if (status != WS_OK) return failed(url, status);
    status = read_case_count(websocket, &count);
    ws_close_handle(websocket);
    if (status != WS_OK) return failed("getCaseCount", status);

    for (uint64_t number = 1; number <= count; ++number) {
        snprintf(url, sizeof url, "%s/runCase?case=%" PRIu64 "&agent=%s", base, number, agent);
        if ((status = dial(session, url, &websocket)) != WS_OK) return failed(url, status);
        if ((status = echo(websocket)) != WS_OK) failed(url, status);
        ws_close_handle(websocket);
    }

    snprintf(url, sizeof url, "%s/updateReports?agent=%s", base, agent);
    if ((status = dial(session, url, &websocket)) != WS_OK) return failed(url, status);
    status = echo(websocket);
    ws_close_handle(websocket);
    printf("%" PRIu64 " cases\n", count);
    return status == WS_OK ? 0 : failed(url, status);
}

int main(int argc, char **argv)
{
    const ws_compression compression = {.size = sizeof compression, .enabled = 1};
    bool deflate = argc == 4 && strcmp(argv[3], "--deflate") == 0;
    if (argc != 3 && !deflate) return fprintf(stderr, "usage: autobahn_client URL AGENT [--deflate]\n"), 2;
    ws_handle session;
    ws_status status = ws_open("autobahn_client", 0, &session);
    if (status != WS_OK) return failed("ws_open", status);
    if (deflate) status = ws_set_option(session, WS_OPTION_COMPRESSION, &compression, sizeof compression);
    int result;
    if (status == WS_ERROR_NOT_SUPPORTED) result = (fprintf(stderr, "--deflate: not built yet\n"), 2);
    else if (status != WS_OK) result = failed("--deflate", status);
    else result = run(session, argv[1], argv[2]);
    ws_close_handle(session);
    return result;
}
