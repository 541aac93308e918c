/* winhttp_secure URL TEXT [--insecure]: opens a secure WebSocket ("https://host:port/path", WinHTTP's name for wss), sends a text and prints what comes back.
 *
 * --insecure goes on although nobody vouches for the server's certificate: for a test server that has made its own. */
#include <windows.h>
#include <winhttp.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static int failed(const char *what, DWORD error)
{
    fprintf(stderr, "%s: error %lu\n", what, (unsigned long)error);
    return 1;
}

/* Tells why a certificate was refused, which the error alone does not. */
static void CALLBACK happened(HINTERNET handle, DWORD_PTR context, DWORD status, LPVOID information, DWORD length)
{
    (void)handle, (void)context, (void)length;
    if (status != WINHTTP_CALLBACK_STATUS_SECURE_FAILURE) return;
    DWORD flags = *(const DWORD *)information;
    fprintf(stderr, "not secure:%s%s%s%s%s\n", flags & WINHTTP_CALLBACK_STATUS_FLAG_INVALID_CA ? " unknown authority" : "",
            flags & WINHTTP_CALLBACK_STATUS_FLAG_CERT_CN_INVALID ? " other name" : "",
            flags & WINHTTP_CALLBACK_STATUS_FLAG_CERT_DATE_INVALID ? " expired, or not valid yet" : "",
            flags & WINHTTP_CALLBACK_STATUS_FLAG_INVALID_CERT ? " no certificate of a server" : "",
            flags & WINHTTP_CALLBACK_STATUS_FLAG_SECURITY_CHANNEL_ERROR ? " no TLS" : "");
}

static int talk(HINTERNET websocket, char *text)
{
    char buffer[4096];
    DWORD count = 0;
    WINHTTP_WEB_SOCKET_BUFFER_TYPE type;
    DWORD error = WinHttpWebSocketSend(websocket, WINHTTP_WEB_SOCKET_UTF8_MESSAGE_BUFFER_TYPE, text, (DWORD)strlen(text));
    if (error != NO_ERROR) return failed("WinHttpWebSocketSend", error);
    do {
        error = WinHttpWebSocketReceive(websocket, buffer, sizeof buffer, &count, &type);
        if (error != NO_ERROR) return failed("WinHttpWebSocketReceive", error);
        if (type == WINHTTP_WEB_SOCKET_CLOSE_BUFFER_TYPE) break;
        printf("%.*s", (int)count, buffer);
    } while (type == WINHTTP_WEB_SOCKET_UTF8_FRAGMENT_BUFFER_TYPE || type == WINHTTP_WEB_SOCKET_BINARY_FRAGMENT_BUFFER_TYPE);
    printf("\n");
    error = WinHttpWebSocketClose(websocket, WINHTTP_WEB_SOCKET_SUCCESS_CLOSE_STATUS, NULL, 0);
    return error == NO_ERROR ? 0 : failed("WinHttpWebSocketClose", error);
}

static int open_and_talk(HINTERNET request, int is_insecure, char *text)
{
    DWORD flags = SECURITY_FLAG_IGNORE_UNKNOWN_CA | SECURITY_FLAG_IGNORE_CERT_CN_INVALID;
    WinHttpSetStatusCallback(request, happened, WINHTTP_CALLBACK_FLAG_SECURE_FAILURE, 0);
    if (is_insecure && !WinHttpSetOption(request, WINHTTP_OPTION_SECURITY_FLAGS, &flags, sizeof flags))
        return failed("WINHTTP_OPTION_SECURITY_FLAGS", GetLastError());
    if (!WinHttpSetOption(request, WINHTTP_OPTION_UPGRADE_TO_WEB_SOCKET, NULL, 0)) return failed("WinHttpSetOption", GetLastError());
    if (!WinHttpSendRequest(request, WINHTTP_NO_ADDITIONAL_HEADERS, 0, WINHTTP_NO_REQUEST_DATA, 0, 0, 0))
        return failed("WinHttpSendRequest", GetLastError());
    if (!WinHttpReceiveResponse(request, NULL)) return failed("WinHttpReceiveResponse", GetLastError());
    HINTERNET websocket = WinHttpWebSocketCompleteUpgrade(request, 0);
    if (websocket == NULL) return failed("WinHttpWebSocketCompleteUpgrade", GetLastError());
    int result = talk(websocket, text);
    WinHttpCloseHandle(websocket);
    return result;
}

int main(int argc, char **argv)
{
    wchar_t url[1024], host[256];
    int is_insecure = argc == 4 && strcmp(argv[3], "--insecure") == 0;
    if (argc < 3 || argc > 3 + is_insecure || mbstowcs(url, argv[1], 1024) >= 1024)
        return fprintf(stderr, "usage: winhttp_secure URL TEXT [--insecure]\n"), 2;
    URL_COMPONENTS parts = {.dwStructSize = sizeof parts, .lpszHostName = host, .dwHostNameLength = 256, .dwUrlPathLength = (DWORD)-1};
    if (!WinHttpCrackUrl(url, 0, 0, &parts)) return failed("WinHttpCrackUrl", GetLastError());
    HINTERNET session = WinHttpOpen(L"winhttp_secure", WINHTTP_ACCESS_TYPE_NO_PROXY, WINHTTP_NO_PROXY_NAME, WINHTTP_NO_PROXY_BYPASS, 0);
    HINTERNET connection = WinHttpConnect(session, host, parts.nPort, 0);
    HINTERNET request = WinHttpOpenRequest(connection, NULL, parts.lpszUrlPath, NULL, WINHTTP_NO_REFERER, WINHTTP_DEFAULT_ACCEPT_TYPES,
                                           parts.nScheme == INTERNET_SCHEME_HTTPS ? WINHTTP_FLAG_SECURE : 0);
    int result = request != NULL ? open_and_talk(request, is_insecure, argv[2]) : failed("WinHttpOpenRequest", GetLastError());
    WinHttpCloseHandle(request);
    WinHttpCloseHandle(connection);
    WinHttpCloseHandle(session);
    return result;
}
