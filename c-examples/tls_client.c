/* tls_client URL [--ca FILE] [--cert FILE] [--pin sha256//...]: speaks wss, and tells how the connection is secured.
 *
 * Without --ca the operating system says whom to trust. --cert has this client's own certificate and its key, for servers that ask for one. A pin is the
 * hash of the one key that the server must have; when it does not, the error says which it has. Nothing here weakens a check: for trying things out
 * there is WS_OPTION_TLS_DANGER, which `wscat --insecure` uses. */
#include "example.h"
#include <string.h>

static ws_status set_text(ws_handle session, ws_option option, const char *text)
{
    return text == NULL ? WS_OK : ws_set_option(session, option, text, strlen(text));
}

/* The TLS of a connection, once its handshake is done. A refused upgrade has it too. */
static int show_security(ws_handle request)
{
    char version[16], cipher[64];
    unsigned char certificate[16384];
    size_t length = sizeof version;
    ws_status status = ws_query_option(request, WS_OPTION_TLS_VERSION, version, &length);
    if (status == WS_OK) length = sizeof cipher, status = ws_query_option(request, WS_OPTION_TLS_CIPHER, cipher, &length);
    if (status == WS_OK) length = sizeof certificate, status = ws_query_option(request, WS_OPTION_TLS_PEER_CERTIFICATE, certificate, &length);
    if (status != WS_OK) return failed("ws_query_option", status);
    if (version[0] == '\0') return puts("not secured"), 0;
    printf("secured by %s with %s; the server's certificate has %zu bytes\n", version, cipher, length);
    return 0;
}

/* Sends one line and prints what comes back. */
static int talk(ws_handle websocket)
{
    static const char line[] = "Nobody on the way can read this.";
    const void *data;
    size_t length;
    ws_buffer_type type;
    ws_status status = ws_send(websocket, WS_UTF8_MESSAGE, line, strlen(line));
    if (status != WS_OK) return failed("ws_send", status);
    if ((status = ws_receive_message(websocket, &data, &length, &type)) != WS_OK) return failed("ws_receive_message", status);
    if (type == WS_UTF8_MESSAGE) printf("> %.*s\n", (int)length, (const char *)data);
    if ((status = ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0)) != WS_OK) return failed("ws_close", status);
    return 0;
}

static int visit(ws_handle session, const char *url)
{
    ws_handle request, websocket;
    ws_status status = ws_connect(session, url, &request);
    if (status != WS_OK) return failed("ws_connect", status);
    status = ws_handshake(request); /* a certificate that is refused ends here, with its reason */
    int result = status == WS_OK ? show_security(request) : failed("ws_handshake", status);
    if (result == 0 && (status = ws_complete_upgrade(request, &websocket)) != WS_OK) {
        result = failed("ws_complete_upgrade", status);
    } else if (result == 0) {
        result = talk(websocket);
        ws_close_handle(websocket);
    }
    ws_close_handle(request);
    return result;
}

int main(int argc, char **argv)
{
    const char *url = NULL, *ca = NULL, *certificate = NULL, *pin = NULL;
    for (int i = 1; i < argc; ++i) {
        bool has_value = i + 1 < argc;
        if (has_value && strcmp(argv[i], "--ca") == 0) ca = argv[++i];
        else if (has_value && strcmp(argv[i], "--cert") == 0) certificate = argv[++i];
        else if (has_value && strcmp(argv[i], "--pin") == 0) pin = argv[++i];
        else if (argv[i][0] != '-' && url == NULL) url = argv[i];
        else url = "";
    }
    if (url == NULL || *url == '\0') return fprintf(stderr, "usage: tls_client URL [--ca FILE] [--cert FILE] [--pin sha256//BASE64]\n"), 2;
    ws_handle session;
    ws_status status = ws_open("tls_client", 0, &session);
    if (status != WS_OK) return failed("ws_open", status);
    if ((status = set_text(session, WS_OPTION_TLS_CA, ca)) != WS_OK) failed("--ca", status);
    else if ((status = set_text(session, WS_OPTION_TLS_CERTIFICATE, certificate)) != WS_OK) failed("--cert", status);
    else if ((status = set_text(session, WS_OPTION_TLS_PINS, pin)) != WS_OK) failed("--pin", status);
    int result = status == WS_OK ? visit(session, url) : 1;
    ws_close_handle(session);
    return result;
}
