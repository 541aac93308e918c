/* What several examples need and would only repeat: the sentence when a call fails, a number from the command line, and the dial. */
#ifndef WS101_EXAMPLE_H
#define WS101_EXAMPLE_H
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <ws101.h>

/* Says on stderr why the call just made on this thread failed. Returns the exit status 1, so that `return failed(...)` ends a program. */
static inline int failed(const char *what, ws_status status)
{
    ws_error_info why = {.size = sizeof why};
    bool known = ws_last_error(&why) == WS_OK && why.status == status && why.message[0] != '\0';
    fprintf(stderr, "%s: %s (%d)\n", what, known ? why.message : ws_status_string(status), (int)status);
    return 1;
}

/* Reads a decimal number of at most `maximum`. */
static inline bool read_number(const char *text, uint64_t maximum, uint64_t *number)
{
    char *end;
    if (text == NULL || *text < '0' || *text > '9') return false; /* strtoull would take "-1" */
    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *number <= maximum;
}

/* Connects to a URL and upgrades. The request is not needed afterwards: the websocket lives on without it. */
static inline ws_status dial(ws_handle session, const char *url, ws_handle *websocket)
{
    ws_handle request;
    ws_status status = ws_connect(session, url, &request);
    if (status != WS_OK) return status;
    status = ws_complete_upgrade(request, websocket);
    ws_close_handle(request);
    return status;
}

#endif
