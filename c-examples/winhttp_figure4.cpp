// winhttp_figure4 [PORT]: the client of the article's Figure 4, which prints what time_server says. It is written for Windows' WinHTTP and compiles here
// unchanged, with ws101::winhttp.
//
// The figure leaves out error handling, closing, and some arguments, of which its text speaks; they are filled in. What it does say is as it is there, but for
// the port, which may be given.
#include <windows.h>
#include <winhttp.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#define VERIFY(expression) \
    do { \
        if (!(expression)) return std::fprintf(stderr, "%s: error %lu\n", #expression, (unsigned long)GetLastError()), 1; \
    } while (0)

// The handle wrapper that the article recommends.
struct closing {
    HINTERNET handle;
    ~closing() { WinHttpCloseHandle(handle); }
};

static bool is_fragment(WINHTTP_WEB_SOCKET_BUFFER_TYPE type)
{
    return type == WINHTTP_WEB_SOCKET_UTF8_FRAGMENT_BUFFER_TYPE || type == WINHTTP_WEB_SOCKET_BINARY_FRAGMENT_BUFFER_TYPE;
}

static bool is_binary(WINHTTP_WEB_SOCKET_BUFFER_TYPE type)
{
    return type == WINHTTP_WEB_SOCKET_BINARY_MESSAGE_BUFFER_TYPE || type == WINHTTP_WEB_SOCKET_BINARY_FRAGMENT_BUFFER_TYPE;
}

// Answers the server's close frame, and prints what it said.
static int finish(HINTERNET ws)
{
    USHORT status;
    char reason[WINHTTP_WEB_SOCKET_MAX_CLOSE_REASON_LENGTH];
    DWORD length;
    DWORD error = WinHttpWebSocketClose(ws, WINHTTP_WEB_SOCKET_SUCCESS_CLOSE_STATUS, nullptr, 0);
    if (error == NO_ERROR) error = WinHttpWebSocketQueryCloseStatus(ws, &status, reason, sizeof(reason), &length);
    if (error != NO_ERROR) return std::fprintf(stderr, "closing: error %lu\n", (unsigned long)error), 1;
    std::printf("closed %u %.*s\n", (unsigned)status, (int)length, reason);
    return 0;
}

int main(int argc, char **argv)
{
    INTERNET_PORT port = argc > 1 ? (INTERNET_PORT)std::atoi(argv[1]) : 8000;
    if (argc > 2 || port == 0) return std::fprintf(stderr, "usage: winhttp_figure4 [PORT]\n"), 2;

    std::setvbuf(stdout, nullptr, _IOLBF, 1024); // a line at a time, also into a pipe
    auto s = WinHttpOpen(L"Figure 4", WINHTTP_ACCESS_TYPE_NO_PROXY, WINHTTP_NO_PROXY_NAME, WINHTTP_NO_PROXY_BYPASS, 0);
    VERIFY(s);
    closing close_s = {s};
    auto c = WinHttpConnect(s, L"localhost", port, 0);
    VERIFY(c);
    closing close_c = {c};
    auto r = WinHttpOpenRequest(c, nullptr, L"/ws/", nullptr, WINHTTP_NO_REFERER, WINHTTP_DEFAULT_ACCEPT_TYPES, 0);
    VERIFY(r);
    closing close_r = {r};

    VERIFY(WinHttpSetOption(r, WINHTTP_OPTION_UPGRADE_TO_WEB_SOCKET, nullptr, 0));
    VERIFY(WinHttpSendRequest(r, WINHTTP_NO_ADDITIONAL_HEADERS, 0, WINHTTP_NO_REQUEST_DATA, 0, 0, 0));
    VERIFY(WinHttpReceiveResponse(r, nullptr));

    DWORD status;
    DWORD size = sizeof(DWORD);
    VERIFY(WinHttpQueryHeaders(r, WINHTTP_QUERY_STATUS_CODE | WINHTTP_QUERY_FLAG_NUMBER, WINHTTP_HEADER_NAME_BY_INDEX, &status, &size,
                               WINHTTP_NO_HEADER_INDEX));
    if (status != HTTP_STATUS_SWITCH_PROTOCOLS) return std::fprintf(stderr, "the server answered %lu\n", (unsigned long)status), 1;

    auto ws = WinHttpWebSocketCompleteUpgrade(r, 0);
    VERIFY(ws);
    closing close_ws = {ws};

    char buffer[1024];
    DWORD count;
    WINHTTP_WEB_SOCKET_BUFFER_TYPE type;
    while (NO_ERROR == WinHttpWebSocketReceive(ws, buffer, sizeof(buffer), &count, &type)) {
        if (type == WINHTTP_WEB_SOCKET_CLOSE_BUFFER_TYPE) return finish(ws);
        if (is_binary(type)) {
            char no[] = "I don't do binary";
            return WinHttpWebSocketClose(ws, WINHTTP_WEB_SOCKET_INVALID_DATA_TYPE_CLOSE_STATUS, no, sizeof(no) - 1), 1;
        }
        std::string message(buffer, count);
        while (is_fragment(type)) {
            if (NO_ERROR != WinHttpWebSocketReceive(ws, buffer, sizeof(buffer), &count, &type)) return 1;
            message.append(buffer, count);
        }
        std::printf("> %s\n", message.c_str());
    }
    std::fprintf(stderr, "the connection was lost\n");
    return 1;
}
