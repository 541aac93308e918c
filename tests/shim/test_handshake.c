/* From WinHttpOpen to WinHttpWebSocketCompleteUpgrade, synchronously: handles, options, headers, answers. */
#include "opened.h"

#include <stdlib.h>
#include <wchar.h>

#define UPGRADE "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
#define ACCEPT "Sec-WebSocket-Accept: {accept}\r\n"

/* ---- handles --------------------------------------------------------------------------------------------------------------------------------- */

static void handles_are_checked(void) {
  static const char *const right[] = {NULL};
  HINTERNET former;
  opened it;
  DWORD number = 0, size = sizeof number;
  char buffer[8];
  WINHTTP_WEB_SOCKET_BUFFER_TYPE type;
  server_start(right, 1);
  REQUIRE(opened_request(&it, false, false, L"/", 0));
  FAILS(ERROR_INVALID_HANDLE, WinHttpCloseHandle(NULL));
  FAILS(ERROR_INVALID_HANDLE, WinHttpCloseHandle((HINTERNET)buffer));
  FAILS(ERROR_INVALID_HANDLE, WinHttpConnect(NULL, L"a", 80, 0));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_TYPE, WinHttpConnect(it.connection, L"a", 80, 0));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_TYPE, WinHttpOpenRequest(it.session, NULL, L"/", NULL, NULL, NULL, 0));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_TYPE, WinHttpSendRequest(it.connection, NULL, 0, NULL, 0, 0, 0));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_TYPE, WinHttpReceiveResponse(it.session, NULL));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_TYPE, WinHttpWebSocketCompleteUpgrade(it.connection, 0));
  EXPECT(WinHttpSetStatusCallback(NULL, record, 1, 0) == WINHTTP_INVALID_STATUS_CALLBACK);
  EXPECT_NUMBER(ERROR_INVALID_HANDLE, GetLastError());
  REQUIRE(opened_answer(&it, false));
  it.socket = WinHttpWebSocketCompleteUpgrade(it.request, 0);
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_TYPE,
        WinHttpQueryHeaders(it.socket, WINHTTP_QUERY_STATUS_CODE | WINHTTP_QUERY_FLAG_NUMBER, NULL, &number, &size, NULL));
  EXPECT_NUMBER(ERROR_WINHTTP_INCORRECT_HANDLE_TYPE, WinHttpWebSocketReceive(it.request, buffer, sizeof buffer, &number, &type));
  EXPECT_NUMBER(ERROR_INVALID_HANDLE, WinHttpWebSocketReceive(NULL, buffer, sizeof buffer, &number, &type));
  former = it.socket;
  SUCCEEDS(WinHttpCloseHandle(it.socket));
  it.socket = NULL;
  EXPECT_NUMBER(ERROR_INVALID_HANDLE, WinHttpWebSocketReceive(former, buffer, sizeof buffer, &number, &type));
  FAILS(ERROR_INVALID_HANDLE, WinHttpCloseHandle(former));
  opened_close(&it);
}

static void a_websocket_outlives_what_it_came_from(void) {
  opened it;
  char buffer[8];
  DWORD count = 0;
  WINHTTP_WEB_SOCKET_BUFFER_TYPE type;
  REQUIRE(opened_socket(&it, false));
  SUCCEEDS(WinHttpCloseHandle(it.request));
  SUCCEEDS(WinHttpCloseHandle(it.connection));
  SUCCEEDS(WinHttpCloseHandle(it.session));
  it.request = it.connection = it.session = NULL;
  server_send(FIN | TEXT_FRAME, "still", 5);
  EXPECT_NUMBER(NO_ERROR, WinHttpWebSocketReceive(it.socket, buffer, sizeof buffer, &count, &type));
  EXPECT_BYTES("still", 5, buffer, count);
  opened_close(&it);
}

static void a_request_outlives_its_parents(void) {
  static const char *const right[] = {NULL};
  opened it;
  server_start(right, 1);
  REQUIRE(opened_request(&it, false, false, L"/", 0));
  SUCCEEDS(WinHttpCloseHandle(it.connection));
  SUCCEEDS(WinHttpCloseHandle(it.session));
  it.connection = it.session = NULL;
  EXPECT(opened_answer(&it, false));
  opened_close(&it);
}

static void sessions_check_their_parameters(void) {
  HINTERNET session;
  FAILS(ERROR_INVALID_PARAMETER, WinHttpOpen(L"a", 2, NULL, NULL, 0));
  FAILS(ERROR_INVALID_PARAMETER, WinHttpOpen(L"a", WINHTTP_ACCESS_TYPE_NAMED_PROXY, NULL, NULL, 0));
  FAILS(ERROR_INVALID_PARAMETER, WinHttpOpen(L"a", WINHTTP_ACCESS_TYPE_NO_PROXY, L"proxy:1", NULL, 0));
  FAILS(ERROR_INVALID_PARAMETER, WinHttpOpen(L"a", WINHTTP_ACCESS_TYPE_NAMED_PROXY, L"proxy:1", L"", 0));
  FAILS(ERROR_INVALID_PARAMETER, WinHttpOpen(L"a", WINHTTP_ACCESS_TYPE_NO_PROXY, NULL, NULL, 1));
  session = WinHttpOpen(NULL, WINHTTP_ACCESS_TYPE_NAMED_PROXY, L"proxy:1", L"<local>;*.example", 0);
  EXPECT(session != NULL);
  EXPECT_NUMBER(0, GetLastError());
  FAILS(ERROR_INVALID_PARAMETER, WinHttpConnect(session, NULL, 80, 0));
  FAILS(ERROR_WINHTTP_INVALID_URL, WinHttpConnect(session, L"a/b", 80, 0));
  SUCCEEDS(WinHttpCloseHandle(session));
  session = WinHttpOpen(L"a", WINHTTP_ACCESS_TYPE_DEFAULT_PROXY, NULL, NULL, 0);
  EXPECT(session != NULL);
  SUCCEEDS(WinHttpCloseHandle(session));
}

/* ---- options ------------------------------------------------------------------------------------------------------------------------------------ */

enum { S = 1, C = 2, R = 4, W = 8, ALL = 15 };

typedef struct option_row {
  DWORD option, initial;
  unsigned set, query;
} option_row;

static const option_row option_rows[] = {
    {WINHTTP_OPTION_RESOLVE_TIMEOUT, 0, S | R, S | R},
    {WINHTTP_OPTION_CONNECT_TIMEOUT, 60000, S | R, S | R},
    {WINHTTP_OPTION_CONNECT_RETRIES, 5, S | R, S | R},
    {WINHTTP_OPTION_SEND_TIMEOUT, 30000, S | R, S | R},
    {WINHTTP_OPTION_RECEIVE_TIMEOUT, 30000, S | R, S | R},
    {WINHTTP_OPTION_RECEIVE_RESPONSE_TIMEOUT, 90000, S | R, S | R},
    {WINHTTP_OPTION_REDIRECT_POLICY, 1, S | R, S | R},
    {WINHTTP_OPTION_MAX_HTTP_AUTOMATIC_REDIRECTS, 10, S | R, S | R},
    {WINHTTP_OPTION_MAX_HTTP_STATUS_CONTINUE, 10, S | R, S | R},
    {WINHTTP_OPTION_MAX_RESPONSE_HEADER_SIZE, 65536, S | R, S | R},
    {WINHTTP_OPTION_WEB_SOCKET_RECEIVE_BUFFER_SIZE, 32768, S | R, S | R},
    {WINHTTP_OPTION_WEB_SOCKET_SEND_BUFFER_SIZE, 32768, S | R, S | R},
    {115 /* WINHTTP_OPTION_WEB_SOCKET_CLOSE_TIMEOUT */, 10000, W, W},
};

static void an_option(size_t number) {
  const option_row *row = &option_rows[number];
  HINTERNET handles[4];
  opened it;
  link_label("%u", (unsigned)row->option);
  REQUIRE(opened_socket(&it, false));
  handles[0] = it.session, handles[1] = it.connection, handles[2] = it.request, handles[3] = it.socket;
  for (unsigned i = 0; i < 4; i++) {
    DWORD value = 4711, size = sizeof value, other = row->option == WINHTTP_OPTION_REDIRECT_POLICY ? 2 : 77777;
    if ((row->query & 1u << i) == 0) {
      FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_TYPE, WinHttpQueryOption(handles[i], row->option, &value, &size));
    } else {
      SUCCEEDS(WinHttpQueryOption(handles[i], row->option, &value, &size));
      EXPECT_NUMBER(row->initial, value);
      EXPECT_NUMBER(4, size);
      size = 3;
      FAILS(ERROR_INSUFFICIENT_BUFFER, WinHttpQueryOption(handles[i], row->option, &value, &size));
      EXPECT_NUMBER(4, size);
    }
    if ((row->set & 1u << i) == 0) {
      FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_TYPE, WinHttpSetOption(handles[i], row->option, &other, sizeof other));
    } else {
      FAILS(ERROR_INVALID_PARAMETER, WinHttpSetOption(handles[i], row->option, &other, 3));
      FAILS(ERROR_INVALID_PARAMETER, WinHttpSetOption(handles[i], row->option, NULL, 4));
      SUCCEEDS(WinHttpSetOption(handles[i], row->option, &other, sizeof other));
      size = sizeof value;
      SUCCEEDS(WinHttpQueryOption(handles[i], row->option, &value, &size));
      EXPECT_NUMBER(other, value);
    }
  }
  opened_close(&it);
}

static void websocket_options_have_their_own_rules(void) {
  opened it;
  DWORD value = 20000, size = sizeof value;
  REQUIRE(opened_socket(&it, false));
  /* keep-alive: only of a websocket, only to be set, 15 seconds at least */
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_TYPE, WinHttpSetOption(it.request, WINHTTP_OPTION_WEB_SOCKET_KEEPALIVE_INTERVAL, &value, sizeof value));
  FAILS(ERROR_INVALID_PARAMETER, WinHttpQueryOption(it.request, WINHTTP_OPTION_WEB_SOCKET_KEEPALIVE_INTERVAL, &value, &size));
  FAILS(ERROR_INVALID_PARAMETER, WinHttpQueryOption(it.socket, WINHTTP_OPTION_WEB_SOCKET_KEEPALIVE_INTERVAL, &value, &size));
  SUCCEEDS(WinHttpSetOption(it.socket, WINHTTP_OPTION_WEB_SOCKET_KEEPALIVE_INTERVAL, &value, sizeof value));
  FAILS(ERROR_INVALID_PARAMETER, WinHttpSetOption(it.socket, WINHTTP_OPTION_WEB_SOCKET_KEEPALIVE_INTERVAL, &value, 2));
  FAILS(ERROR_INVALID_PARAMETER, WinHttpSetOption(it.socket, WINHTTP_OPTION_WEB_SOCKET_KEEPALIVE_INTERVAL, NULL, 0));
  value = 14999;
  FAILS(ERROR_INVALID_PARAMETER, WinHttpSetOption(it.socket, WINHTTP_OPTION_WEB_SOCKET_KEEPALIVE_INTERVAL, &value, sizeof value));
  value = 15000;
  SUCCEEDS(WinHttpSetOption(it.socket, WINHTTP_OPTION_WEB_SOCKET_KEEPALIVE_INTERVAL, &value, sizeof value));
  /* the upgrade: only of a request */
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_TYPE, WinHttpSetOption(it.session, WINHTTP_OPTION_UPGRADE_TO_WEB_SOCKET, NULL, 0));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_TYPE, WinHttpSetOption(it.connection, WINHTTP_OPTION_UPGRADE_TO_WEB_SOCKET, NULL, 0));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_TYPE, WinHttpSetOption(it.socket, WINHTTP_OPTION_UPGRADE_TO_WEB_SOCKET, NULL, 0));
  /* and what is none */
  FAILS(ERROR_WINHTTP_INVALID_OPTION, WinHttpSetOption(it.socket, 11111, &value, sizeof value));
  FAILS(ERROR_WINHTTP_INVALID_OPTION, WinHttpQueryOption(it.session, 11111, &value, &size));
  FAILS(ERROR_WINHTTP_OPTION_NOT_SETTABLE, WinHttpSetOption(it.request, WINHTTP_OPTION_HANDLE_TYPE, &value, sizeof value));
  opened_close(&it);
}

static void handles_know_what_they_are(void) {
  opened it;
  HINTERNET handles[4];
  const DWORD kinds[4] = {1, 2, 3, 5};
  DWORD_PTR context = 12345;
  WCHAR url[100], expected[100];
  DWORD size;
  REQUIRE(opened_socket(&it, false));
  handles[0] = it.session, handles[1] = it.connection, handles[2] = it.request, handles[3] = it.socket;
  for (unsigned i = 0; i < 4; i++) {
    DWORD kind = 0;
    HINTERNET parent = &it;
    size = sizeof kind;
    SUCCEEDS(WinHttpQueryOption(handles[i], WINHTTP_OPTION_HANDLE_TYPE, &kind, &size));
    EXPECT_NUMBER(kinds[i], kind);
    size = sizeof parent;
    SUCCEEDS(WinHttpQueryOption(handles[i], WINHTTP_OPTION_PARENT_HANDLE, &parent, &size));
    EXPECT(parent == (i > 0 ? handles[i - 1] : NULL));
    context += i;
    SUCCEEDS(WinHttpSetOption(handles[i], WINHTTP_OPTION_CONTEXT_VALUE, &context, sizeof context));
  }
  size = sizeof context;
  SUCCEEDS(WinHttpQueryOption(it.connection, WINHTTP_OPTION_CONTEXT_VALUE, &context, &size));
  EXPECT_NUMBER(12346, context);
  size = sizeof url;
  SUCCEEDS(WinHttpQueryOption(it.request, WINHTTP_OPTION_URL, url, &size));
  (void)swprintf(expected, 100, L"http://127.0.0.1:%u/", (unsigned)server_port());
  EXPECT_WIDE(expected, url);
  opened_close(&it);
}

static void timeouts_are_set_together(void) {
  opened it;
  DWORD value = 0, size = sizeof value;
  REQUIRE(opened_socket(&it, false));
  SUCCEEDS(WinHttpSetTimeouts(it.session, 1000, 2000, 3000, -1));
  FAILS(ERROR_INVALID_PARAMETER, WinHttpSetTimeouts(it.session, -2, 0, 0, 0));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_TYPE, WinHttpSetTimeouts(it.connection, 1, 1, 1, 1));
  FAILS(ERROR_INVALID_HANDLE, WinHttpSetTimeouts(NULL, 1, 1, 1, 1));
  SUCCEEDS(WinHttpQueryOption(it.session, WINHTTP_OPTION_CONNECT_TIMEOUT, &value, &size));
  EXPECT_NUMBER(2000, value);
  SUCCEEDS(WinHttpQueryOption(it.session, WINHTTP_OPTION_RECEIVE_TIMEOUT, &value, &size));
  EXPECT_NUMBER(0, value);
  SUCCEEDS(WinHttpQueryOption(it.request, WINHTTP_OPTION_CONNECT_TIMEOUT, &value, &size));
  EXPECT_NUMBER(60000, value); /* made before: it does not see the change */
  opened_close(&it);
}

static void a_proxy_comes_back_as_it_was_set(void) {
  HINTERNET session = WinHttpOpen(L"a", WINHTTP_ACCESS_TYPE_NAMED_PROXY, L"proxy:8080", L"<local>", 0);
  WINHTTP_PROXY_INFO info;
  DWORD size = 1;
  FAILS(ERROR_INSUFFICIENT_BUFFER, WinHttpQueryOption(session, WINHTTP_OPTION_PROXY, &info, &size));
  EXPECT_NUMBER(sizeof info, size);
  SUCCEEDS(WinHttpQueryOption(session, WINHTTP_OPTION_PROXY, &info, &size));
  EXPECT_NUMBER(WINHTTP_ACCESS_TYPE_NAMED_PROXY, info.dwAccessType);
  EXPECT_WIDE(L"proxy:8080", info.lpszProxy);
  EXPECT_WIDE(L"<local>", info.lpszProxyBypass);
  (void)GlobalFree(info.lpszProxy);
  (void)GlobalFree(info.lpszProxyBypass);
  SUCCEEDS(WinHttpCloseHandle(session));
}

/* ---- the request's headers ------------------------------------------------------------------------------------------------------------------------ */

typedef struct header_row {
  const WCHAR *lines;
  DWORD modifiers, error;
  const WCHAR *value; /* of X-A then; NULL = there is none */
} header_row;

/* X-A: one is there before. */
static const header_row header_rows[] = {
    {L"X-A: two", WINHTTP_ADDREQ_FLAG_ADD, 0, L"one"},
    {L"X-B: two", WINHTTP_ADDREQ_FLAG_ADD_IF_NEW, 0, L"one"},
    {L"X-A: two", WINHTTP_ADDREQ_FLAG_ADD_IF_NEW, ERROR_WINHTTP_HEADER_ALREADY_EXISTS, L"one"},
    {L"X-A: two\r\n", WINHTTP_ADDREQ_FLAG_REPLACE, 0, L"two"},
    {L"x-a:two", WINHTTP_ADDREQ_FLAG_REPLACE, 0, L"two"},
    {L"X-A:", WINHTTP_ADDREQ_FLAG_REPLACE, 0, NULL},
    {L"X-B: two", WINHTTP_ADDREQ_FLAG_REPLACE, ERROR_WINHTTP_HEADER_NOT_FOUND, L"one"},
    {L"X-B: two", WINHTTP_ADDREQ_FLAG_REPLACE | WINHTTP_ADDREQ_FLAG_ADD, 0, L"one"},
    {L"X-A: two", WINHTTP_ADDREQ_FLAG_COALESCE_WITH_COMMA, 0, L"one, two"},
    {L"X-A: two", WINHTTP_ADDREQ_FLAG_COALESCE_WITH_SEMICOLON, 0, L"one; two"},
    {L"X-A: two\r\nX-A: three\r\n", WINHTTP_ADDREQ_FLAG_COALESCE, 0, L"one, two, three"},
    {L"no colon", WINHTTP_ADDREQ_FLAG_ADD, ERROR_INVALID_PARAMETER, L"one"},
    {L"X-A: two\r\nno colon", WINHTTP_ADDREQ_FLAG_REPLACE, ERROR_INVALID_PARAMETER, L"one"},
    {L": nothing", WINHTTP_ADDREQ_FLAG_ADD, ERROR_INVALID_PARAMETER, L"one"},
    {L"a b: two", WINHTTP_ADDREQ_FLAG_ADD, ERROR_INVALID_PARAMETER, L"one"},
};

static void a_header_is_added(size_t number) {
  const header_row *row = &header_rows[number];
  opened it;
  WCHAR value[64];
  DWORD size = sizeof value;
  link_label("%u", (unsigned)number);
  server_start(NULL, 0);
  REQUIRE(opened_request(&it, false, false, L"/", 0));
  SUCCEEDS(WinHttpAddRequestHeaders(it.request, L"X-A: one", (DWORD)-1, WINHTTP_ADDREQ_FLAG_ADD));
  if (row->error == 0) SUCCEEDS(WinHttpAddRequestHeaders(it.request, row->lines, (DWORD)-1, row->modifiers));
  else FAILS(row->error, WinHttpAddRequestHeaders(it.request, row->lines, (DWORD)-1, row->modifiers));
  if (row->value == NULL) {
    FAILS(ERROR_WINHTTP_HEADER_NOT_FOUND,
          WinHttpQueryHeaders(it.request, WINHTTP_QUERY_CUSTOM | WINHTTP_QUERY_FLAG_REQUEST_HEADERS, L"X-A", value, &size, NULL));
  } else {
    SUCCEEDS(WinHttpQueryHeaders(it.request, WINHTTP_QUERY_CUSTOM | WINHTTP_QUERY_FLAG_REQUEST_HEADERS, L"X-A", value, &size, NULL));
    EXPECT_WIDE(row->value, value);
    EXPECT_NUMBER(wcslen(row->value) * sizeof(WCHAR), size);
  }
  opened_close(&it);
}

/* Asks for a header of the request. */
static DWORD ask(HINTERNET request, const WCHAR *name, WCHAR *value, DWORD size) {
  value[0] = 0;
  return WinHttpQueryHeaders(request, WINHTTP_QUERY_CUSTOM | WINHTTP_QUERY_FLAG_REQUEST_HEADERS, name, value, &size, NULL) ? 0 : GetLastError();
}

static void the_key_is_seen_once_it_was_sent(void) {
  static const char *const twice[] = {NULL, NULL};
  opened it;
  WCHAR first[64], second[64], value[64];
  HINTERNET other;
  server_start(twice, 2);
  REQUIRE(opened_request(&it, false, false, L"/", 0));
  EXPECT_NUMBER(ERROR_WINHTTP_HEADER_NOT_FOUND, ask(it.request, L"Sec-WebSocket-Key", first, sizeof first));
  EXPECT_NUMBER(ERROR_WINHTTP_HEADER_NOT_FOUND, ask(it.request, L"Sec-WebSocket-Version", value, sizeof value));
  REQUIRE(opened_answer(&it, false));
  EXPECT_NUMBER(0, ask(it.request, L"Sec-WebSocket-Key", first, sizeof first));
  EXPECT_NUMBER(24, wcslen(first));
  EXPECT_NUMBER(0, ask(it.request, L"Sec-WebSocket-Version", value, sizeof value));
  EXPECT_WIDE(L"13", value);
  EXPECT_NUMBER(0, ask(it.request, L"Upgrade", value, sizeof value));
  EXPECT_WIDE(L"websocket", value);
  EXPECT_NUMBER(0, ask(it.request, L"User-Agent", value, sizeof value));
  EXPECT_WIDE(L"test/1.0", value);
  it.socket = WinHttpWebSocketCompleteUpgrade(it.request, 0);
  /* sent again it has another key, and becomes another websocket */
  REQUIRE(opened_answer(&it, false));
  EXPECT_NUMBER(0, ask(it.request, L"Sec-WebSocket-Key", second, sizeof second));
  EXPECT(wcscmp(first, second) != 0);
  other = WinHttpWebSocketCompleteUpgrade(it.request, 0);
  EXPECT(other != NULL && other != it.socket);
  SUCCEEDS(WinHttpCloseHandle(other));
  opened_close(&it);
}

static void the_server_gets_what_was_asked_for(void) {
  static const char *const right[] = {NULL};
  static const WCHAR *types[] = {L"text/plain", L"text/html", NULL};
  opened it;
  server_start(right, 1);
  REQUIRE(opened_request(&it, false, false, L"/", 0));
  SUCCEEDS(WinHttpCloseHandle(it.request));
  it.request = WinHttpOpenRequest(it.connection, L"GET", L"chat/r\xF6om 1?a=b%20c#part", NULL, L"http://from.example/", types, 0);
  SUCCEEDS(WinHttpSetOption(it.request, WINHTTP_OPTION_UPGRADE_TO_WEB_SOCKET, NULL, 0));
  SUCCEEDS(WinHttpAddRequestHeaders(it.request, L"X-One: 1\r\nUpgrade: websocket\r\n", (DWORD)-1, WINHTTP_ADDREQ_FLAG_ADD));
  EXPECT(WinHttpSendRequest(it.request, L"X-Two: zw\xF6lf", (DWORD)-1, NULL, 0, 0, 7));
  EXPECT(strncmp(server_request(0), "GET /chat/r%C3%B6om%201?a=b%20c HTTP/1.1\r\n", 42) == 0);
  EXPECT(strstr(server_request(0), "\r\nX-One: 1\r\n") != NULL);
  EXPECT(strstr(server_request(0), "\r\nX-Two: zw\xC3\xB6lf\r\n") != NULL);
  EXPECT(strstr(server_request(0), "\r\nReferer: http://from.example/\r\n") != NULL);
  EXPECT(strstr(server_request(0), "\r\nAccept: text/plain, text/html\r\n") != NULL);
  EXPECT(strstr(server_request(0), "Sec-WebSocket-Extensions") == NULL);
  EXPECT(strstr(server_request(0), "Origin") == NULL);
  opened_close(&it);
}

static void the_server_chooses_a_subprotocol(void) {
  static const char *const answers[] = {UPGRADE ACCEPT "Sec-WebSocket-Protocol: chat.v2\r\n\r\n", UPGRADE ACCEPT "Sec-WebSocket-Protocol: other\r\n\r\n"};
  opened it;
  WCHAR value[32];
  DWORD size = sizeof value;
  server_start(answers, 2);
  REQUIRE(opened_request(&it, false, false, L"/", 0));
  SUCCEEDS(WinHttpAddRequestHeaders(it.request, L"Sec-WebSocket-Protocol: chat.v1, chat.v2", (DWORD)-1, WINHTTP_ADDREQ_FLAG_ADD));
  REQUIRE(opened_answer(&it, false));
  SUCCEEDS(WinHttpQueryHeaders(it.request, WINHTTP_QUERY_CUSTOM, L"Sec-WebSocket-Protocol", value, &size, NULL));
  EXPECT_WIDE(L"chat.v2", value);
  /* one that was not offered is no right answer */
  SUCCEEDS(opened_send(&it));
  FAILS(ERROR_WINHTTP_INVALID_SERVER_RESPONSE, WinHttpReceiveResponse(it.request, NULL));
  EXPECT(strstr(server_request(1), "\r\nSec-WebSocket-Protocol: chat.v1, chat.v2\r\n") != NULL);
  opened_close(&it);
}

/* ---- the answer -------------------------------------------------------------------------------------------------------------------------------------- */

static void calls_come_in_their_order(void) {
  static const char *const right[] = {NULL};
  opened it;
  DWORD number = 0, size = sizeof number;
  char buffer[4];
  server_start(right, 1);
  REQUIRE(opened_request(&it, false, false, L"/", 0));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpReceiveResponse(it.request, NULL));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpWebSocketCompleteUpgrade(it.request, 0));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpQueryHeaders(it.request, WINHTTP_QUERY_STATUS_CODE | WINHTTP_QUERY_FLAG_NUMBER, NULL, &number, &size, NULL));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpQueryDataAvailable(it.request, &number));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpReadData(it.request, buffer, sizeof buffer, &number));
  SUCCEEDS(opened_send(&it));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpWebSocketCompleteUpgrade(it.request, 0));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpQueryHeaders(it.request, WINHTTP_QUERY_STATUS_CODE | WINHTTP_QUERY_FLAG_NUMBER, NULL, &number, &size, NULL));
  SUCCEEDS(WinHttpReceiveResponse(it.request, NULL));
  SUCCEEDS(WinHttpReceiveResponse(it.request, NULL)); /* twice is allowed */
  SUCCEEDS(WinHttpQueryDataAvailable(it.request, &number));
  EXPECT_NUMBER(0, number);
  it.socket = WinHttpWebSocketCompleteUpgrade(it.request, 0);
  EXPECT(it.socket != NULL);
  EXPECT_NUMBER(0, GetLastError());
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpWebSocketCompleteUpgrade(it.request, 0));
  SUCCEEDS(WinHttpQueryHeaders(it.request, WINHTTP_QUERY_STATUS_CODE | WINHTTP_QUERY_FLAG_NUMBER, NULL, &number, &size, NULL));
  EXPECT_NUMBER(101, number);
  opened_close(&it);
}

static void a_request_without_the_option_is_refused(void) {
  opened it;
  server_start(NULL, 0);
  REQUIRE(opened_request(&it, false, false, L"/", 0));
  SUCCEEDS(WinHttpCloseHandle(it.request));
  it.request = WinHttpOpenRequest(it.connection, NULL, L"/", NULL, NULL, NULL, 0);
  FAILS(ERROR_NOT_SUPPORTED, opened_send(&it));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpWebSocketCompleteUpgrade(it.request, 0));
  FAILS(ERROR_INVALID_PARAMETER, WinHttpOpenRequest(it.connection, NULL, L"/", NULL, NULL, NULL, 0x1000));
  opened_close(&it);
}

static void a_send_buffer_without_room_is_no_memory(void) {
  opened it;
  DWORD size = 15;
  server_start(NULL, 0);
  REQUIRE(opened_request(&it, false, false, L"/", 0));
  SUCCEEDS(WinHttpSetOption(it.request, WINHTTP_OPTION_WEB_SOCKET_SEND_BUFFER_SIZE, &size, sizeof size));
  FAILS(ERROR_NOT_ENOUGH_MEMORY, opened_send(&it));
  opened_close(&it);
}

typedef struct answer_row {
  const char *name, *answer;
  DWORD error; /* of ReceiveResponse */
} answer_row;

static const answer_row answer_rows[] = {
    {"wrong accept", UPGRADE "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", ERROR_WINHTTP_INVALID_SERVER_RESPONSE},
    {"no accept", UPGRADE "\r\n", ERROR_WINHTTP_INVALID_SERVER_RESPONSE},
    {"no upgrade", "HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\n" ACCEPT "\r\n", ERROR_WINHTTP_INVALID_SERVER_RESPONSE},
    {"an extension", UPGRADE ACCEPT "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", ERROR_WINHTTP_INVALID_SERVER_RESPONSE},
    {"no HTTP", "hello\r\n\r\n", ERROR_WINHTTP_INVALID_SERVER_RESPONSE},
    {"nothing", "-", ERROR_WINHTTP_CONNECTION_ERROR},
    {"continue first", "HTTP/1.1 100 Continue\r\n\r\n" UPGRADE ACCEPT "\r\n", 0},
    {"another phrase", "HTTP/1.1 101 OK\r\nupgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n", 0},
};

static void an_answer(size_t number) {
  const answer_row *row = &answer_rows[number];
  opened it;
  link_label("%s", row->name);
  server_start(&row->answer, 1);
  REQUIRE(opened_request(&it, false, false, L"/", 0));
  SUCCEEDS(opened_send(&it));
  if (row->error == 0) {
    SUCCEEDS(WinHttpReceiveResponse(it.request, NULL));
    it.socket = WinHttpWebSocketCompleteUpgrade(it.request, 0);
    EXPECT(it.socket != NULL);
  } else {
    FAILS(row->error, WinHttpReceiveResponse(it.request, NULL));
    FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpWebSocketCompleteUpgrade(it.request, 0));
  }
  opened_close(&it);
}

#define REFUSAL "HTTP/1.1 404 Nobody Here\r\nContent-Length: 11\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-A: one\r\nx-a: two\r\n\r\nnot a shop\n"

static void a_refusal_has_a_status_headers_and_a_page(void) {
  static const char *const answers[] = {REFUSAL};
  opened it;
  WCHAR text[200];
  char page[32];
  DWORD number = 0, size = sizeof number, index = 0, count = 0;
  SYSTEMTIME date;
  server_start(answers, 1);
  REQUIRE(opened_request(&it, false, false, L"/", 0));
  REQUIRE(opened_answer(&it, false));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpWebSocketCompleteUpgrade(it.request, 0));
  SUCCEEDS(WinHttpQueryHeaders(it.request, WINHTTP_QUERY_STATUS_CODE | WINHTTP_QUERY_FLAG_NUMBER, NULL, &number, &size, NULL));
  EXPECT_NUMBER(404, number);
  EXPECT_NUMBER(4, size);
  size = sizeof text;
  SUCCEEDS(WinHttpQueryHeaders(it.request, WINHTTP_QUERY_STATUS_CODE, NULL, text, &size, NULL));
  EXPECT_WIDE(L"404", text);
  size = sizeof text;
  SUCCEEDS(WinHttpQueryHeaders(it.request, WINHTTP_QUERY_STATUS_TEXT, NULL, text, &size, NULL));
  EXPECT_WIDE(L"Nobody Here", text);
  size = sizeof number;
  SUCCEEDS(WinHttpQueryHeaders(it.request, WINHTTP_QUERY_CONTENT_LENGTH | WINHTTP_QUERY_FLAG_NUMBER, NULL, &number, &size, NULL));
  EXPECT_NUMBER(11, number);
  size = sizeof date;
  SUCCEEDS(WinHttpQueryHeaders(it.request, WINHTTP_QUERY_DATE | WINHTTP_QUERY_FLAG_SYSTEMTIME, NULL, &date, &size, NULL));
  EXPECT_NUMBER(1994, date.wYear);
  EXPECT_NUMBER(11, date.wMonth);
  EXPECT_NUMBER(6, date.wDay);
  EXPECT_NUMBER(8, date.wHour);
  /* the same name twice, by an index that goes on */
  for (int i = 0; i < 2; i++) {
    size = sizeof text;
    SUCCEEDS(WinHttpQueryHeaders(it.request, WINHTTP_QUERY_CUSTOM, L"X-A", text, &size, &index));
    EXPECT_WIDE(i == 0 ? L"one" : L"two", text);
    EXPECT_NUMBER(i + 1, index);
  }
  size = sizeof text;
  (void)wcscpy(text, L"untouched");
  FAILS(ERROR_WINHTTP_HEADER_NOT_FOUND, WinHttpQueryHeaders(it.request, WINHTTP_QUERY_CUSTOM, L"X-A", text, &size, &index));
  EXPECT_WIDE(L"untouched", text);
  EXPECT_NUMBER(2, index);
  SUCCEEDS(WinHttpQueryDataAvailable(it.request, &number));
  EXPECT_NUMBER(11, number);
  SUCCEEDS(WinHttpReadData(it.request, page, 4, &count));
  EXPECT_BYTES("not ", 4, page, count);
  SUCCEEDS(WinHttpReadData(it.request, page, sizeof page, &count));
  EXPECT_BYTES("a shop\n", 7, page, count);
  SUCCEEDS(WinHttpReadData(it.request, page, sizeof page, &count));
  EXPECT_NUMBER(0, count);
  opened_close(&it);
}

static void raw_headers_are_whole(void) {
  static const char *const answers[] = {"HTTP/1.1 400 Bad\r\nA: 1\r\nContent-Length: 0\r\n\r\n"};
  static const WCHAR crlf[] = L"HTTP/1.1 400 Bad\r\nA: 1\r\nContent-Length: 0\r\n\r\n", nul[] = L"HTTP/1.1 400 Bad\0A: 1\0Content-Length: 0\0";
  opened it;
  WCHAR text[200];
  DWORD size = 0;
  server_start(answers, 1);
  REQUIRE(opened_request(&it, false, false, L"/", 0));
  REQUIRE(opened_answer(&it, false));
  FAILS(ERROR_INSUFFICIENT_BUFFER, WinHttpQueryHeaders(it.request, WINHTTP_QUERY_RAW_HEADERS_CRLF, NULL, NULL, &size, NULL));
  EXPECT_NUMBER(sizeof crlf, size);
  size = sizeof crlf - 1;
  FAILS(ERROR_INSUFFICIENT_BUFFER, WinHttpQueryHeaders(it.request, WINHTTP_QUERY_RAW_HEADERS_CRLF, NULL, text, &size, NULL));
  size = sizeof crlf;
  SUCCEEDS(WinHttpQueryHeaders(it.request, WINHTTP_QUERY_RAW_HEADERS_CRLF, NULL, text, &size, NULL));
  EXPECT_BYTES(crlf, sizeof crlf, text, size + sizeof(WCHAR));
  size = sizeof text;
  SUCCEEDS(WinHttpQueryHeaders(it.request, WINHTTP_QUERY_RAW_HEADERS, NULL, text, &size, NULL));
  EXPECT_BYTES(nul, sizeof nul, text, size + sizeof(WCHAR));
  opened_close(&it);
}

/* ---- redirects ------------------------------------------------------------------------------------------------------------------------------------------ */

static void a_redirect_is_followed(void) {
  static const char *const answers[] = {"HTTP/1.1 302 Found\r\nLocation: /b/c?x#y\r\nContent-Length: 0\r\n\r\n",
                                        "HTTP/1.1 307 Moved\r\nLocation: ../d\r\nContent-Length: 0\r\n\r\n",
                                        "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:{port}/e\r\nContent-Length: 0\r\n\r\n", NULL};
  opened it;
  WCHAR url[100], expected[100];
  DWORD size = sizeof url;
  server_start(answers, 4);
  REQUIRE(opened_request(&it, false, true, L"/a", 0));
  SUCCEEDS(WinHttpAddRequestHeaders(it.request, L"X-Kept: yes", (DWORD)-1, WINHTTP_ADDREQ_FLAG_ADD));
  REQUIRE(opened_answer(&it, false));
  EXPECT(strncmp(server_request(1), "GET /b/c?x HTTP", 15) == 0);
  EXPECT(strncmp(server_request(2), "GET /d HTTP", 11) == 0);
  EXPECT(strncmp(server_request(3), "GET /e HTTP", 11) == 0);
  EXPECT(strstr(server_request(3), "\r\nX-Kept: yes\r\n") != NULL);
  SUCCEEDS(WinHttpQueryOption(it.request, WINHTTP_OPTION_URL, url, &size));
  (void)swprintf(expected, 100, L"http://127.0.0.1:%u/e", (unsigned)server_port());
  EXPECT_WIDE(expected, url);
  EXPECT_NUMBER(3, record_count(WINHTTP_CALLBACK_STATUS_REDIRECT));
  it.socket = WinHttpWebSocketCompleteUpgrade(it.request, 0);
  EXPECT(it.socket != NULL);
  opened_close(&it);
}

static void a_redirect_may_be_declined(void) {
  static const char *const answers[] = {"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
                                        "HTTP/1.1 302 Found\r\nLocation: /c\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 302 Found\r\nLocation: /d\r\nContent-Length: 0\r\n\r\n"};
  opened it;
  DWORD value = WINHTTP_OPTION_REDIRECT_POLICY_NEVER, size = sizeof value;
  server_start(answers, 4);
  REQUIRE(opened_request(&it, false, false, L"/a", 0));
  SUCCEEDS(WinHttpSetOption(it.request, WINHTTP_OPTION_REDIRECT_POLICY, &value, sizeof value));
  REQUIRE(opened_answer(&it, false));
  SUCCEEDS(WinHttpQueryHeaders(it.request, WINHTTP_QUERY_STATUS_CODE | WINHTTP_QUERY_FLAG_NUMBER, NULL, &value, &size, NULL));
  EXPECT_NUMBER(302, value);
  value = WINHTTP_OPTION_REDIRECT_POLICY_ALWAYS;
  SUCCEEDS(WinHttpSetOption(it.request, WINHTTP_OPTION_REDIRECT_POLICY, &value, sizeof value));
  value = 2;
  SUCCEEDS(WinHttpSetOption(it.request, WINHTTP_OPTION_MAX_HTTP_AUTOMATIC_REDIRECTS, &value, sizeof value));
  SUCCEEDS(opened_send(&it));
  FAILS(ERROR_WINHTTP_REDIRECT_FAILED, WinHttpReceiveResponse(it.request, NULL));
  opened_close(&it);
}

/* ---- failures ----------------------------------------------------------------------------------------------------------------------------------------------- */

static void nobody_listens(void) {
  opened it;
  server_start(NULL, 0);
  REQUIRE(opened_request(&it, false, true, L"/", 0));
  server_stop();
  FAILS(ERROR_WINHTTP_CANNOT_CONNECT, opened_send(&it));
  EXPECT(record_has(WINHTTP_CALLBACK_STATUS_RESOLVING_NAME));
  EXPECT(!record_has(WINHTTP_CALLBACK_STATUS_SENDING_REQUEST));
  EXPECT(!record_has(WINHTTP_CALLBACK_STATUS_REQUEST_ERROR)); /* a synchronous handle has no completions */
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpReceiveResponse(it.request, NULL));
  server_start(NULL, 0);
  opened_close(&it);
}

static void a_silent_server_is_a_timeout(void) {
  static const char *const answers[] = {""};
  opened it;
  uint64_t begin;
  server_start(answers, 1);
  REQUIRE(opened_request(&it, false, false, L"/", 0));
  SUCCEEDS(WinHttpSetTimeouts(it.request, 100, 200, 200, 200));
  begin = link_now();
  SUCCEEDS(opened_send(&it));
  FAILS(ERROR_WINHTTP_TIMEOUT, WinHttpReceiveResponse(it.request, NULL));
  EXPECT(link_now() - begin >= 200 && link_now() - begin < 5000);
  opened_close(&it);
}

static void progress_is_told_in_order(void) {
  static const char *const right[] = {NULL};
  opened it;
  recorded event;
  server_start(right, 1);
  REQUIRE(opened_request(&it, false, true, L"/", 0));
  REQUIRE(opened_answer(&it, false));
  it.socket = WinHttpWebSocketCompleteUpgrade(it.request, 0);
  EXPECT_TEXT("HANDLE_CREATED* HANDLE_CREATED* RESOLVING_NAME* NAME_RESOLVED* CONNECTING_TO_SERVER* CONNECTED_TO_SERVER* SENDING_REQUEST* "
              "REQUEST_SENT* RECEIVING_RESPONSE* RESPONSE_RECEIVED* HANDLE_CREATED*", record_text());
  EXPECT(record_wait(WINHTTP_CALLBACK_STATUS_HANDLE_CREATED, &event) && event.handle == it.session && event.other == it.connection);
  EXPECT(record_wait(WINHTTP_CALLBACK_STATUS_HANDLE_CREATED, &event) && event.handle == it.connection && event.other == it.request);
  EXPECT(record_wait(WINHTTP_CALLBACK_STATUS_RESOLVING_NAME, &event) && event.handle == it.request);
  EXPECT_WIDE(L"127.0.0.1", event.text);
  EXPECT(record_wait(WINHTTP_CALLBACK_STATUS_CONNECTED_TO_SERVER, &event));
  EXPECT_WIDE(L"127.0.0.1", event.text);
  EXPECT(record_wait(WINHTTP_CALLBACK_STATUS_REQUEST_SENT, &event));
  EXPECT_NUMBER(strlen(server_request(0)), event.number);
  EXPECT(record_wait(WINHTTP_CALLBACK_STATUS_HANDLE_CREATED, &event) && event.handle == it.request && event.other == it.socket);
  record_begin();
  opened_close(&it);
  EXPECT_TEXT("HANDLE_CLOSING* HANDLE_CLOSING* HANDLE_CLOSING* HANDLE_CLOSING*", record_text());
}

static void credentials_are_checked(void) {
  static const char *const answers[] = {"HTTP/1.1 401 Who\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"b\"\r\nWWW-Authenticate: Basic realm=\"a\"\r\nContent-Length: 0\r\n\r\n"};
  opened it;
  DWORD supported = 0, first = 0, target = 9;
  server_start(answers, 1);
  REQUIRE(opened_request(&it, false, false, L"/", 0));
  FAILS(ERROR_INVALID_PARAMETER, WinHttpSetCredentials(it.request, 2, WINHTTP_AUTH_SCHEME_BASIC, L"a", L"b", NULL));
  FAILS(ERROR_INVALID_PARAMETER, WinHttpSetCredentials(it.request, WINHTTP_AUTH_TARGET_SERVER, WINHTTP_AUTH_SCHEME_BASIC, NULL, L"b", NULL));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_TYPE, WinHttpSetCredentials(it.session, WINHTTP_AUTH_TARGET_SERVER, WINHTTP_AUTH_SCHEME_BASIC, L"a", L"b", NULL));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpQueryAuthSchemes(it.request, &supported, &first, &target));
  REQUIRE(opened_answer(&it, false));
  SUCCEEDS(WinHttpQueryAuthSchemes(it.request, &supported, &first, &target));
  EXPECT_NUMBER(WINHTTP_AUTH_SCHEME_DIGEST | WINHTTP_AUTH_SCHEME_BASIC, supported);
  EXPECT_NUMBER(WINHTTP_AUTH_SCHEME_DIGEST, first);
  EXPECT_NUMBER(WINHTTP_AUTH_TARGET_SERVER, target);
  opened_close(&it);
}

/* ---- WinHttpCrackUrl -------------------------------------------------------------------------------------------------------------------------------------- */

typedef struct url_row {
  const WCHAR *url;
  DWORD flags, error;
  const WCHAR *host, *user, *password, *path, *extra;
  int scheme;
  INTERNET_PORT port;
} url_row;

static const url_row url_rows[] = {
    {L"http://example.org", 0, 0, L"example.org", L"", L"", L"", L"", INTERNET_SCHEME_HTTP, 80},
    {L"https://example.org/a/b?c=d#e", 0, 0, L"example.org", L"", L"", L"/a/b", L"?c=d#e", INTERNET_SCHEME_HTTPS, 443},
    {L"HTTP://example.org:8080?q", 0, 0, L"example.org", L"", L"", L"", L"?q", INTERNET_SCHEME_HTTP, 8080},
    {L"http://user:secret@example.org:1/", 0, 0, L"example.org", L"user", L"secret", L"/", L"", INTERNET_SCHEME_HTTP, 1},
    {L"http://user:secret@example.org/", ICU_REJECT_USERPWD, ERROR_WINHTTP_INVALID_URL, L"", L"", L"", L"", L"", 0, 0},
    {L"http://[::1]:8000/", 0, 0, L"[::1]", L"", L"", L"/", L"", INTERNET_SCHEME_HTTP, 8000},
    {L"http://example.org/a%20b", 0x10000000 /* ICU_DECODE */, 0, L"example.org", L"", L"", L"/a b", L"", INTERNET_SCHEME_HTTP, 80},
    {L"http://example.org/a b\xF6", ICU_ESCAPE, 0, L"example.org", L"", L"", L"/a%20b%C3%B6", L"", INTERNET_SCHEME_HTTP, 80},
    {L"ws://example.org/", 0, ERROR_WINHTTP_UNRECOGNIZED_SCHEME, L"", L"", L"", L"", L"", 0, 0},
    {L"wss://example.org/", 0, ERROR_WINHTTP_UNRECOGNIZED_SCHEME, L"", L"", L"", L"", L"", 0, 0},
    {L"example.org/", 0, ERROR_WINHTTP_UNRECOGNIZED_SCHEME, L"", L"", L"", L"", L"", 0, 0},
    {L"http://", 0, ERROR_WINHTTP_INVALID_URL, L"", L"", L"", L"", L"", 0, 0},
    {L"http:example.org", 0, ERROR_WINHTTP_INVALID_URL, L"", L"", L"", L"", L"", 0, 0},
    {L"http://example.org:65536/", 0, ERROR_WINHTTP_INVALID_URL, L"", L"", L"", L"", L"", 0, 0},
};

static void a_url_is_taken_apart(size_t number) {
  const url_row *row = &url_rows[number];
  WCHAR host[32], user[32], password[32], path[32], extra[32];
  URL_COMPONENTS parts;
  link_label("%u", (unsigned)number);
  memset(&parts, 0, sizeof parts);
  parts.dwStructSize = sizeof parts;
  parts.lpszHostName = host, parts.lpszUserName = user, parts.lpszPassword = password, parts.lpszUrlPath = path, parts.lpszExtraInfo = extra;
  parts.dwHostNameLength = parts.dwUserNameLength = parts.dwPasswordLength = parts.dwUrlPathLength = parts.dwExtraInfoLength = 32;
  if (row->error != 0) {
    FAILS(row->error, WinHttpCrackUrl(row->url, 0, row->flags, &parts));
    return;
  }
  SUCCEEDS(WinHttpCrackUrl(row->url, 0, row->flags, &parts));
  EXPECT_WIDE(row->host, host);
  EXPECT_WIDE(row->user, user);
  EXPECT_WIDE(row->password, password);
  EXPECT_WIDE(row->path, path);
  EXPECT_WIDE(row->extra, extra);
  EXPECT_NUMBER(wcslen(row->path), parts.dwUrlPathLength);
  EXPECT_NUMBER(row->scheme, parts.nScheme);
  EXPECT_NUMBER(row->port, parts.nPort);
}

static void a_url_may_be_pointed_into(void) {
  static const WCHAR url[] = L"https://example.org:99/a?b and more";
  URL_COMPONENTS parts;
  WCHAR host[11];
  memset(&parts, 0, sizeof parts);
  FAILS(ERROR_INVALID_PARAMETER, WinHttpCrackUrl(url, 0, 0, &parts)); /* no size */
  FAILS(ERROR_INVALID_PARAMETER, WinHttpCrackUrl(NULL, 0, 0, &parts));
  FAILS(ERROR_INVALID_PARAMETER, WinHttpCrackUrl(url, 0, 0, NULL));
  parts.dwStructSize = sizeof parts;
  parts.dwSchemeLength = parts.dwHostNameLength = parts.dwUrlPathLength = (DWORD)-1;
  SUCCEEDS(WinHttpCrackUrl(url, 26, 0, &parts)); /* only so far */
  EXPECT(parts.lpszScheme == url && parts.dwSchemeLength == 5);
  EXPECT(parts.lpszHostName == url + 8 && parts.dwHostNameLength == 11);
  EXPECT(parts.lpszUrlPath == url + 22 && parts.dwUrlPathLength == 4); /* with the query, which nobody asked for apart */
  EXPECT(parts.lpszExtraInfo == NULL && parts.lpszUserName == NULL);
  memset(&parts, 0, sizeof parts);
  parts.dwStructSize = sizeof parts;
  parts.dwUrlPathLength = (DWORD)-1;
  FAILS(ERROR_INVALID_PARAMETER, WinHttpCrackUrl(url, 0, ICU_ESCAPE, &parts));
  memset(&parts, 0, sizeof parts);
  parts.dwStructSize = sizeof parts;
  parts.lpszHostName = host;
  parts.dwHostNameLength = 11; /* no room for the terminator */
  FAILS(ERROR_INSUFFICIENT_BUFFER, WinHttpCrackUrl(url, 0, 0, &parts));
  EXPECT_NUMBER(12, parts.dwHostNameLength);
}

int main(int argc, char **argv) {
  static const link_test tests[] = {
      TEST(handles_are_checked), TEST(a_websocket_outlives_what_it_came_from), TEST(a_request_outlives_its_parents),
      TEST(sessions_check_their_parameters), ROWS(an_option, option_rows), TEST(websocket_options_have_their_own_rules),
      TEST(handles_know_what_they_are), TEST(timeouts_are_set_together), TEST(a_proxy_comes_back_as_it_was_set),
      ROWS(a_header_is_added, header_rows), TEST(the_key_is_seen_once_it_was_sent), TEST(the_server_gets_what_was_asked_for),
      TEST(the_server_chooses_a_subprotocol), TEST(calls_come_in_their_order), TEST(a_request_without_the_option_is_refused),
      TEST(a_send_buffer_without_room_is_no_memory), ROWS(an_answer, answer_rows), TEST(a_refusal_has_a_status_headers_and_a_page),
      TEST(raw_headers_are_whole), TEST(a_redirect_is_followed), TEST(a_redirect_may_be_declined), TEST(nobody_listens),
      TEST(a_silent_server_is_a_timeout), TEST(progress_is_told_in_order), TEST(credentials_are_checked),
      ROWS(a_url_is_taken_apart, url_rows), TEST(a_url_may_be_pointed_into),
  };
  return link_main(argc, argv, tests, COUNT(tests));
}
