/* probe_client [URL]: shows a test what a C program sees. It connects once, sends every message back, and prints one event a line:
 *
 *   OPEN protocol=P|- extensions=E|-        MSG text|binary LENGTH SHA1HEX
 *   CLOSED CODE CLEAN [REASON]              1005 none, 1006 abnormal; CLEAN is 1 if both close frames were seen
 *   FAIL KIND [TEXT]                        refused, timeout, tls, http-NNN, handshake, ...; instead of OPEN
 *
 * Environment: PROBE_URL, PROBE_PROTOCOL (sub-protocols, comma separated), PROBE_CA (PEM: the only root), PROBE_TIMEOUT (seconds, for connect and
 * handshake, and for the close), PROBE_MAX (largest message). The text messages `close CODE REASON` and `send N` (N zero bytes in one binary message)
 * are carried out rather than sent back. Exits with 0 whatever it saw. */
#include "example.h"
#include "sha1.h"
#include <ctype.h>

enum { DEFAULT_MAX = 16 << 20 };

/* ---- before the connection stands ------------------------------------------------------------------------------------------------------------- */

/* One word for why there is no connection. */
static void print_failure(ws_handle request, ws_status status)
{
    ws_error_info why = {.size = sizeof why};
    uint16_t http_status = 0;
    const char *kind;
    if (ws_last_error(&why) != WS_OK || why.status != status) snprintf(why.message, sizeof why.message, "%s", ws_status_string(status));
    switch (status) {
    case WS_ERROR_UPGRADE_REFUSED:
        if (request != WS_NO_HANDLE && ws_query_response(request, &http_status) == WS_OK) {
            printf("FAIL http-%u %s\n", (unsigned)http_status, why.message);
            return;
        }
        kind = "handshake";
        break;
    case WS_ERROR_CANNOT_CONNECT: kind = "refused"; break;
    case WS_ERROR_TIMEOUT: kind = "timeout"; break;
    case WS_ERROR_NAME_NOT_RESOLVED: kind = "name"; break;
    case WS_ERROR_INVALID_URL:
    case WS_ERROR_UNRECOGNIZED_SCHEME: kind = "url"; break;
    case WS_ERROR_PROXY: kind = "proxy"; break;
    case WS_ERROR_NOT_SUPPORTED: kind = "unsupported"; break;
    case WS_ERROR_CERT_DATE_INVALID:
    case WS_ERROR_CERT_NAME_INVALID:
    case WS_ERROR_CLIENT_CERT_NEEDED:
    case WS_ERROR_CERT_UNKNOWN_ISSUER:
    case WS_ERROR_CERT_INVALID:
    case WS_ERROR_CERT_REVOKED:
    case WS_ERROR_TLS_CHANNEL:
    case WS_ERROR_TLS: kind = "tls"; break;
    default: kind = "handshake"; /* the rest is about the answer, or the lack of one */
    }
    printf("FAIL %s %s\n", kind, why.message);
}

static ws_status set_root(ws_handle session, const char *path)
{
    static char pem[1 << 20];
    FILE *file = fopen(path, "rb");
    if (file == NULL) return perror(path), WS_ERROR_INVALID_PARAMETER;
    size_t length = fread(pem, 1, sizeof pem, file);
    fclose(file);
    return ws_set_option(session, WS_OPTION_TLS_CA, pem, length);
}

static ws_status set_timeouts(ws_handle session, const char *seconds)
{
    const ws_option options[] = {WS_OPTION_RESOLVE_TIMEOUT, WS_OPTION_CONNECT_TIMEOUT, WS_OPTION_HANDSHAKE_TIMEOUT, WS_OPTION_CLOSE_TIMEOUT};
    double milliseconds = atof(seconds) * 1000;
    uint32_t value = milliseconds >= 1 && milliseconds < UINT32_MAX ? (uint32_t)milliseconds : 1;
    ws_status status = WS_OK;
    for (size_t i = 0; status == WS_OK && i != sizeof options / sizeof *options; ++i) status = ws_set_option(session, options[i], &value, sizeof value);
    return status;
}

static ws_status configure(ws_handle session)
{
    const char *protocols = getenv("PROBE_PROTOCOL"), *root = getenv("PROBE_CA"), *seconds = getenv("PROBE_TIMEOUT"), *max = getenv("PROBE_MAX");
    const ws_compression compression = {.size = sizeof compression, .enabled = 1};
    uint64_t limit = DEFAULT_MAX;
    uint32_t features = 0;
    size_t length = sizeof features;
    if (max != NULL && !read_number(max, UINT64_MAX, &limit)) return WS_ERROR_INVALID_PARAMETER;
    ws_status status = ws_set_option(session, WS_OPTION_MAX_MESSAGE, &limit, sizeof limit);
    if (status == WS_OK && protocols != NULL && *protocols != '\0')
        status = ws_set_option(session, WS_OPTION_SUBPROTOCOLS, protocols, strlen(protocols));
    if (status == WS_OK && seconds != NULL && *seconds != '\0') status = set_timeouts(session, seconds);
    if (status == WS_OK && root != NULL && *root != '\0') status = set_root(session, root);
    if (status == WS_OK) status = ws_query_option(session, WS_OPTION_FEATURES, &features, &length);
    if (status == WS_OK && (features & 2)) status = ws_set_option(session, WS_OPTION_COMPRESSION, &compression, sizeof compression);
    return status;
}

/* ---- the conversation ------------------------------------------------------------------------------------------------------------------------- */

struct message {
    char *data;
    size_t length, capacity;
    bool text;
};

/* Receives one whole message. WS_OK with `closed` set: the peer's close frame instead. */
static ws_status receive_message(ws_handle websocket, struct message *message, bool *closed)
{
    message->length = 0;
    for (;;) {
        if (message->length == message->capacity) {
            size_t capacity = message->capacity == 0 ? 65536 : message->capacity * 2;
            char *data = realloc(message->data, capacity);
            if (data == NULL) return WS_ERROR_NOT_ENOUGH_MEMORY;
            message->data = data, message->capacity = capacity;
        }
        size_t received;
        ws_buffer_type type;
        ws_status status = ws_receive(websocket, message->data + message->length, message->capacity - message->length, &received, &type);
        *closed = status == WS_OK && type == WS_CLOSE_FRAME;
        if (status != WS_OK || *closed) return status;
        message->length += received;
        message->text = type == WS_UTF8_MESSAGE || type == WS_UTF8_FRAGMENT;
        if (type == WS_UTF8_MESSAGE || type == WS_BINARY_MESSAGE) return WS_OK;
    }
}

static ws_status send_zeros(ws_handle websocket, size_t length)
{
    void *zeros = calloc(length == 0 ? 1 : length, 1);
    if (zeros == NULL) return WS_ERROR_NOT_ENOUGH_MEMORY;
    ws_status status = ws_send(websocket, WS_BINARY_MESSAGE, zeros, length);
    free(zeros);
    return status;
}

/* `close`, `close CODE` or `close CODE REASON`; false if the text is none of them. */
static bool is_close_command(const struct message *message, uint16_t *code, const char **reason, size_t *length)
{
    const char *end = message->data + message->length, *p = message->data + 5;
    unsigned number = 0;
    *code = WS_CLOSE_EMPTY, *reason = NULL, *length = 0;
    if (!message->text || message->length < 5 || memcmp(message->data, "close", 5) != 0) return false;
    if (p == end) return true;
    if (*p++ != ' ' || p == end) return false;
    for (; p != end && isdigit((unsigned char)*p) && number < 65536; ++p) number = number * 10 + (unsigned)(*p - '0');
    if (number > 65535 || (p != end && *p != ' ')) return false;
    *code = (uint16_t)number;
    if (p != end) *reason = p + 1, *length = (size_t)(end - p - 1);
    return true;
}

static bool is_send_command(const struct message *message, uint64_t *count)
{
    char digits[24] = "";
    if (!message->text || message->length < 6 || message->length >= 5 + sizeof digits || memcmp(message->data, "send ", 5) != 0) return false;
    memcpy(digits, message->data + 5, message->length - 5);
    return read_number(digits, SIZE_MAX, count);
}

/* Sends everything back, or does what it says, until one side closes. */
static void converse(ws_handle websocket)
{
    struct message message = {0};
    ws_status status;
    bool closed;
    while ((status = receive_message(websocket, &message, &closed)) == WS_OK && !closed) {
        char hex[41];
        uint16_t code;
        const char *reason;
        size_t length;
        uint64_t count;
        sha1_hex(message.data, message.length, hex);
        printf("MSG %s %zu %s\n", message.text ? "text" : "binary", message.length, hex);
        if (is_close_command(&message, &code, &reason, &length)) {
            status = ws_close(websocket, code, reason, length);
            closed = status == WS_OK;
        } else if (is_send_command(&message, &count)) {
            status = send_zeros(websocket, (size_t)count);
        } else {
            status = ws_send(websocket, message.text ? WS_UTF8_MESSAGE : WS_BINARY_MESSAGE, message.data, message.length);
        }
        if (status != WS_OK || closed) break;
    }
    if (status == WS_OK) status = ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0); /* waits for the end; says nothing more */
    if (status != WS_OK) failed("connection", status);
    free(message.data);
}

static void print_open(ws_handle websocket)
{
    char protocol[256], extensions[512];
    size_t length = sizeof protocol - 1;
    ws_status status = ws_query_option(websocket, WS_OPTION_SUBPROTOCOL, protocol, &length);
    protocol[status == WS_OK ? length : 0] = '\0';
    length = sizeof extensions - 1;
    status = ws_query_option(websocket, WS_OPTION_EXTENSIONS, extensions, &length);
    extensions[status == WS_OK ? length : 0] = '\0';
    printf("OPEN protocol=%s extensions=%s\n", *protocol != '\0' ? protocol : "-", *extensions != '\0' ? extensions : "-");
}

static void print_closed(ws_handle websocket)
{
    uint16_t code;
    char reason[124];
    uint32_t state = 0; /* 1 our close frame was sent, 2 the peer's was received */
    size_t length, size = sizeof state;
    if (ws_query_option(websocket, WS_OPTION_CLOSE_STATE, &state, &size) != WS_OK) state = 0;
    if (!(state & 2) || ws_query_close_status(websocket, &code, reason, sizeof reason, &length) != WS_OK) code = WS_CLOSE_ABNORMAL, length = 0;
    printf("CLOSED %u %d%s%.*s\n", (unsigned)code, (state & 3) == 3, length > 0 ? " " : "", (int)length, reason);
}

int main(int argc, char **argv)
{
    const char *url = argc == 2 ? argv[1] : getenv("PROBE_URL");
    ws_handle session, request = WS_NO_HANDLE, websocket;
    if (argc > 2 || url == NULL) return fprintf(stderr, "usage: probe_client [URL]        or the URL in PROBE_URL\n"), 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    ws_status status = ws_open("probe_client", 0, &session);
    if (status != WS_OK) return failed("ws_open", status);
    if ((status = configure(session)) == WS_OK) status = ws_connect(session, url, &request);
    if (status == WS_OK) status = ws_complete_upgrade(request, &websocket);
    if (status != WS_OK) {
        print_failure(request, status);
    } else {
        print_open(websocket);
        converse(websocket);
        print_closed(websocket);
        ws_close_handle(websocket);
    }
    if (request != WS_NO_HANDLE) ws_close_handle(request);
    ws_close_handle(session);
    return 0;
}
