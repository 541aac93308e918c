/* winhttp_async [PORT]: the client of winhttp_figure4, asynchronous. The program's own thread only starts it and waits for the end; all else happens in the
 * callback, each step when the one before is complete. */
#include <windows.h>
#include <winhttp.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The connection's state: the context of its handles. It must live until the websocket's HANDLE_CLOSING. */
typedef struct client {
    HINTERNET request, websocket;
    char buffer[64], message[1024];
    size_t length;
    int result;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    int is_over;
} client;

static void end(client *client, int result)
{
    pthread_mutex_lock(&client->lock);
    if (!client->is_over) client->result = result;
    client->is_over = 1;
    pthread_cond_signal(&client->ended);
    pthread_mutex_unlock(&client->lock);
}

/* Whether a step went well; if not, that is the end. */
static int is_fine(client *client, const char *what, DWORD error)
{
    if (error == NO_ERROR) return 1;
    fprintf(stderr, "%s: error %lu\n", what, (unsigned long)error);
    end(client, 1);
    return 0;
}

static void receive(client *client)
{
    (void)is_fine(client, "WinHttpWebSocketReceive", WinHttpWebSocketReceive(client->websocket, client->buffer, sizeof client->buffer, NULL, NULL));
}

/* The answer is there. If it is not a 101 there is nothing to upgrade to. */
static void upgrade(client *client)
{
    client->websocket = WinHttpWebSocketCompleteUpgrade(client->request, (DWORD_PTR)client);
    if (is_fine(client, "WinHttpWebSocketCompleteUpgrade", client->websocket != NULL ? NO_ERROR : GetLastError())) receive(client);
}

static void received(client *client, const WINHTTP_WEB_SOCKET_STATUS *piece)
{
    DWORD count = piece->dwBytesTransferred;
    if (piece->eBufferType == WINHTTP_WEB_SOCKET_CLOSE_BUFFER_TYPE) {
        DWORD error = WinHttpWebSocketClose(client->websocket, WINHTTP_WEB_SOCKET_SUCCESS_CLOSE_STATUS, NULL, 0);
        (void)is_fine(client, "WinHttpWebSocketClose", error);
    } else if (is_fine(client, "a long message", client->length + count <= sizeof client->message ? NO_ERROR : ERROR_NOT_ENOUGH_MEMORY)) {
        memcpy(client->message + client->length, client->buffer, count);
        client->length += count;
        if (piece->eBufferType == WINHTTP_WEB_SOCKET_UTF8_MESSAGE_BUFFER_TYPE) {
            printf("> %.*s\n", (int)client->length, client->message);
            client->length = 0;
        }
        receive(client);
    }
}

static void closed(client *client)
{
    USHORT status;
    char reason[WINHTTP_WEB_SOCKET_MAX_CLOSE_REASON_LENGTH];
    DWORD length, error = WinHttpWebSocketQueryCloseStatus(client->websocket, &status, reason, sizeof reason, &length);
    if (!is_fine(client, "WinHttpWebSocketQueryCloseStatus", error)) return;
    printf("closed %u %.*s\n", (unsigned)status, (int)length, reason);
    end(client, 0);
}

static void CALLBACK happened(HINTERNET handle, DWORD_PTR context, DWORD status, LPVOID information, DWORD length)
{
    client *client = (struct client *)context;
    (void)handle, (void)length;
    switch (status) {
    case WINHTTP_CALLBACK_STATUS_SENDREQUEST_COMPLETE:
        (void)is_fine(client, "WinHttpReceiveResponse", WinHttpReceiveResponse(client->request, NULL) ? NO_ERROR : GetLastError());
        break;
    case WINHTTP_CALLBACK_STATUS_HEADERS_AVAILABLE: upgrade(client); break;
    case WINHTTP_CALLBACK_STATUS_READ_COMPLETE: received(client, (const WINHTTP_WEB_SOCKET_STATUS *)information); break;
    case WINHTTP_CALLBACK_STATUS_CLOSE_COMPLETE: closed(client); break;
    case WINHTTP_CALLBACK_STATUS_REQUEST_ERROR: /* of a websocket it is longer, and begins with the same */
        (void)is_fine(client, "connection", ((const WINHTTP_ASYNC_RESULT *)information)->dwError);
        break;
    default: break;
    }
}

static int run(client *client, HINTERNET session, INTERNET_PORT port)
{
    HINTERNET connection = WinHttpConnect(session, L"localhost", port, 0);
    client->request = WinHttpOpenRequest(connection, NULL, L"/ws/", NULL, WINHTTP_NO_REFERER, WINHTTP_DEFAULT_ACCEPT_TYPES, 0);
    WinHttpSetStatusCallback(client->request, happened, WINHTTP_CALLBACK_FLAG_ALL_NOTIFICATIONS, 0);
    if (WinHttpSetOption(client->request, WINHTTP_OPTION_UPGRADE_TO_WEB_SOCKET, NULL, 0) &&
        WinHttpSendRequest(client->request, WINHTTP_NO_ADDITIONAL_HEADERS, 0, WINHTTP_NO_REQUEST_DATA, 0, 0, (DWORD_PTR)client)) {
        pthread_mutex_lock(&client->lock);
        while (!client->is_over) pthread_cond_wait(&client->ended, &client->lock);
        pthread_mutex_unlock(&client->lock);
    } else {
        (void)is_fine(client, "WinHttpSendRequest", GetLastError());
    }
    if (client->websocket != NULL) WinHttpCloseHandle(client->websocket);
    WinHttpCloseHandle(client->request);
    WinHttpCloseHandle(connection);
    return client->result;
}

int main(int argc, char **argv)
{
    /* Static, because a callback that was under way at the end may still look at it. */
    static client client = {.lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};
    int port = argc > 1 ? atoi(argv[1]) : 8000;
    if (argc > 2 || port <= 0 || port > 65535) return fprintf(stderr, "usage: winhttp_async [PORT]\n"), 2;
    setvbuf(stdout, NULL, _IOLBF, 1024); /* a line at a time, also into a pipe */
    HINTERNET session = WinHttpOpen(L"winhttp_async", WINHTTP_ACCESS_TYPE_NO_PROXY, WINHTTP_NO_PROXY_NAME, WINHTTP_NO_PROXY_BYPASS, WINHTTP_FLAG_ASYNC);
    if (session == NULL) return fprintf(stderr, "WinHttpOpen: error %lu\n", (unsigned long)GetLastError()), 1;
    int result = run(&client, session, (INTERNET_PORT)port);
    WinHttpCloseHandle(session);
    return result;
}
