/* The server's handshake against raw clients: whom it lets in, whom it refuses and how, and plain HTTP beside it. */
#include "pair.h"

typedef struct server {
  ws_handle session, listener, request;
  int peer;
  char head[8192];           /* of the answer */
} server;

static bool server_open(server *server, const char *path) {
  uint16_t port = 0;
  memset(server, 0, sizeof *server);
  server->peer = -1;
  if (!CHECK_STATUS(WS_OK, ws_open("test/1", 0, &server->session)) || !pair_listen(server->session, path, &server->listener, &port)) return false;
  server->peer = peer_dial(port);
  return server->peer >= 0;
}

static void server_close(server *server) {
  if (server->request != WS_NO_HANDLE) CHECK_STATUS(WS_OK, ws_close_handle(server->request));
  CHECK_STATUS(WS_OK, ws_close_handle(server->listener));
  CHECK_STATUS(WS_OK, ws_close_handle(server->session));
  (void)close(server->peer);
}

#define REQUEST_LINE "GET / HTTP/1.1\r\n"
#define HOST "Host: 127.0.0.1\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEY "Sec-WebSocket-Key: " PEER_KEY "\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define GOOD REQUEST_LINE HOST UPGRADE KEY VERSION

/* ---- who is let in ----------------------------------------------------------------------------------------------------------------- */

static const char *const welcome[] = {
    GOOD "\r\n",
    "GET /?a=b HTTP/1.1\r\n" HOST UPGRADE KEY VERSION "\r\n",
    REQUEST_LINE "HOST:127.0.0.1\r\nUPGRADE: WebSocket\r\nCONNECTION: keep-alive, Upgrade\r\n" KEY VERSION "\r\n",
    REQUEST_LINE HOST "Upgrade: h2c, websocket\r\nConnection: keep-alive\r\nConnection: Upgrade\r\n" KEY VERSION "\r\n",
    GOOD "Origin: http://127.0.0.1\r\n\r\n",
    GOOD "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
    GOOD "Sec-WebSocket-Protocol: chat\r\n\r\n",
    GOOD "X-Empty:\r\nX-Utf8: \xc3\xa4\r\n\r\n",
};

static void somebody_is_let_in(size_t row, bool split) {
  static server server;
  ws_handle websocket = WS_NO_HANDLE;
  char value[100];
  check_label("%zu", row);
  REQUIRE(server_open(&server, "/"));
  REQUIRE(split ? peer_send_split(server.peer, welcome[row], strlen(welcome[row])) : peer_send_text(server.peer, welcome[row]));
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &server.request));
  REQUIRE_STATUS(WS_OK, ws_complete_upgrade(server.request, &websocket));
  REQUIRE(peer_read_head(server.peer, server.head, sizeof server.head));
  CHECK_NUMBER(101, peer_http_status(server.head));
  CHECK(peer_header(server.head, "Sec-WebSocket-Accept", value, sizeof value));
  CHECK_TEXT(PEER_ACCEPT, value);
  CHECK(peer_header(server.head, "Upgrade", value, sizeof value));
  CHECK_TEXT("websocket", value);
  CHECK(peer_header(server.head, "Connection", value, sizeof value));
  CHECK_TEXT("Upgrade", value);
  CHECK(!peer_header(server.head, "Sec-WebSocket-Extensions", value, sizeof value));
  CHECK(!peer_header(server.head, "Sec-WebSocket-Protocol", value, sizeof value));
  CHECK_STATUS(WS_OK, ws_send(websocket, WS_UTF8_MESSAGE, "in", 2));
  CHECK(peer_read_exact(server.peer, value, 4));
  CHECK_BYTES("\x81\x02in", 4, value, 4);
  CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  server_close(&server);
}

static void a_client_is_let_in(size_t row) { somebody_is_let_in(row, false); }
static void a_client_is_let_in_byte_by_byte(size_t row) { somebody_is_let_in(row, true); }

/* ---- who is refused ---------------------------------------------------------------------------------------------------------------- */

typedef struct refusal_row {
  const char *name;
  const char *request;
  int http_status;
} refusal_row;

static const refusal_row refusals[] = {
    {"version 12", REQUEST_LINE HOST UPGRADE KEY "Sec-WebSocket-Version: 12\r\n\r\n", 426},
    {"version 8", REQUEST_LINE HOST UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n", 426},
    {"version 13, 8", REQUEST_LINE HOST UPGRADE KEY "Sec-WebSocket-Version: 13, 8\r\n\r\n", 426},
    {"no version", REQUEST_LINE HOST UPGRADE KEY "\r\n", 400},
    {"no key", REQUEST_LINE HOST UPGRADE VERSION "\r\n", 400},
    {"two keys", GOOD KEY "\r\n", 400},
    {"an empty key", REQUEST_LINE HOST UPGRADE VERSION "Sec-WebSocket-Key:\r\n\r\n", 400},
    {"a key of 15 bytes", REQUEST_LINE HOST UPGRADE VERSION "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA\r\n\r\n", 400},
    {"a key of 17 bytes", REQUEST_LINE HOST UPGRADE VERSION "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n", 400},
    {"a key that is no base64", REQUEST_LINE HOST UPGRADE VERSION "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n\r\n", 400},
    {"no Host", REQUEST_LINE UPGRADE KEY VERSION "\r\n", 400},
    {"two Hosts", GOOD HOST "\r\n", 400},
    {"POST", "POST / HTTP/1.1\r\n" HOST UPGRADE KEY VERSION "\r\n", 405},
    {"HEAD", "HEAD / HTTP/1.1\r\n" HOST UPGRADE KEY VERSION "\r\n", 405},
    {"HTTP/1.0", "GET / HTTP/1.0\r\n" HOST UPGRADE KEY VERSION "\r\n", 400},
    {"a foreign Origin", GOOD "Origin: http://example.com\r\n\r\n", 403},
    {"a null Origin", GOOD "Origin: null\r\n\r\n", 403},
    {"an Origin that only starts like ours", GOOD "Origin: http://127.0.0.1.example.com\r\n\r\n", 403},
    {"a folded field", GOOD "X-Folded: a\r\n b\r\n\r\n", 400},
    {"a space before the colon", GOOD "X-Space : a\r\n\r\n", 400},
    {"a field without a name", GOOD ": a\r\n\r\n", 400},
    {"a control character", GOOD "X-Control: a\x01\r\n\r\n", 400},
    {"no HTTP", "hello\r\n\r\n", 400},
    {"TLS", "\x16\x03\x01\x02\x05\x01\xff\xfe\r\n\r\n", 400},
};

/* Refused by the library: the answer is on the wire, the program gets a failure, and the connection ends. */
static void a_refusal(size_t row, bool split) {
  static server server;
  ws_handle websocket = 4711;
  ws_error_info info;
  char value[100];
  check_label("%s", refusals[row].name);
  REQUIRE(server_open(&server, "/"));
  REQUIRE(split ? peer_send_split(server.peer, refusals[row].request, strlen(refusals[row].request)) : peer_send_text(server.peer, refusals[row].request));
  /* The client ends its side, or the library would wait a while for that, lest a reset overtakes the answer. */
  REQUIRE(shutdown(server.peer, SHUT_WR) == 0);
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &server.request));
  CHECK(ws_complete_upgrade(server.request, &websocket) != WS_OK);
  CHECK_NUMBER(4711, websocket);
  memset(&info, 0, sizeof info);
  info.size = sizeof info;
  CHECK_STATUS(WS_OK, ws_query_error(server.request, &info));
  CHECK(strlen(info.message) > 8);
  REQUIRE(peer_read_head(server.peer, server.head, sizeof server.head));
  CHECK_NUMBER(refusals[row].http_status, peer_http_status(server.head));
  CHECK_NUMBER(refusals[row].http_status, info.http_status);
  CHECK(peer_header(server.head, "Connection", value, sizeof value));
  CHECK_TEXT(refusals[row].http_status == 426 ? "Upgrade, close" : "close", value);
  CHECK(peer_header(server.head, "Content-Length", value, sizeof value));
  if (refusals[row].http_status == 426) {
    CHECK(peer_header(server.head, "Sec-WebSocket-Version", value, sizeof value));
    CHECK_TEXT("13", value);
    CHECK(peer_header(server.head, "Upgrade", value, sizeof value));
  }
  if (refusals[row].http_status == 405) CHECK(peer_header(server.head, "Allow", value, sizeof value));
  CHECK(peer_is_gone(server.peer));
  server_close(&server);
}

static void a_client_is_refused(size_t row) { a_refusal(row, false); }
static void a_client_is_refused_byte_by_byte(size_t row) { a_refusal(row, true); }

/* ---- paths and origins ------------------------------------------------------------------------------------------------------------- */

typedef struct path_row {
  const char *prefix, *target;
  bool is_in;
} path_row;

static const path_row paths[] = {
    {"/", "/", true},          {"/", "/anything/at?all", true}, {"/ws/", "/ws/", true},    {"/ws/", "/ws/room", true}, {"/ws/", "/ws/?q=1", true},
    {"/ws/", "/", false},      {"/ws/", "/wsx", false},         {"/ws/", "/other/", false}, {"/ws/", "/?/ws/", false},  {"/ws/", "/WS/", false},
    {"/ws/", "/x/ws/", false}, {"/ws", "/ws", true},            {"/ws", "/", false},
};

/* Outside the prefix the library answers 404 itself. */
static void a_path(size_t row) {
  static server server;
  ws_handle websocket = WS_NO_HANDLE;
  check_label("%s on %s", paths[row].target, paths[row].prefix);
  REQUIRE(server_open(&server, paths[row].prefix));
  REQUIRE(peer_send_upgrade(server.peer, paths[row].target, ""));
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &server.request));
  if (paths[row].is_in) CHECK_STATUS(WS_OK, ws_complete_upgrade(server.request, &websocket));
  else CHECK(ws_complete_upgrade(server.request, &websocket) != WS_OK);
  REQUIRE(peer_read_head(server.peer, server.head, sizeof server.head));
  CHECK_NUMBER(paths[row].is_in ? 101 : 404, peer_http_status(server.head));
  if (websocket != WS_NO_HANDLE) CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  server_close(&server);
}

typedef struct origin_row {
  const char *allowed, *origin;
  int http_status;
} origin_row;

static const origin_row origins[] = {
    {"*", "http://example.com", 101},
    {"*", "null", 101},
    {"http://example.com", "http://example.com", 101},
    {"http://a.example, http://example.com", "http://example.com", 101},
    {"http://example.com", "http://example.com:81", 403},
    {"http://example.com", "https://example.com", 403},
    {"http://example.com", "http://other.example", 403},
};

static void an_origin(size_t row) {
  static server server;
  ws_handle websocket = WS_NO_HANDLE;
  char fields[128];
  check_label("%s where %s may", origins[row].origin, origins[row].allowed);
  REQUIRE(server_open(&server, "/"));
  (void)snprintf(fields, sizeof fields, "Origin: %s\r\n", origins[row].origin);
  REQUIRE(peer_send_upgrade(server.peer, "/", fields));
  CHECK_STATUS(WS_OK, ws_set_option(server.listener, WS_OPTION_ORIGINS, origins[row].allowed, strlen(origins[row].allowed)));
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &server.request));
  if (origins[row].http_status == 101) CHECK_STATUS(WS_OK, ws_complete_upgrade(server.request, &websocket));
  else CHECK(ws_complete_upgrade(server.request, &websocket) != WS_OK);
  REQUIRE(peer_read_head(server.peer, server.head, sizeof server.head));
  CHECK_NUMBER(origins[row].http_status, peer_http_status(server.head));
  if (websocket != WS_NO_HANDLE) CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  server_close(&server);
}

/* ---- sub-protocols ----------------------------------------------------------------------------------------------------------------- */

typedef struct subprotocol_row {
  const char *supported, *fields, *chosen;
} subprotocol_row;

static const subprotocol_row subprotocols[] = {
    {"a, b", "Sec-WebSocket-Protocol: a, b\r\n", "a"},
    {"a, b", "Sec-WebSocket-Protocol: b, a\r\n", "a"},          /* the first of ours that was offered */
    {"a, b", "Sec-WebSocket-Protocol: b\r\n", "b"},
    {"a, b", "Sec-WebSocket-Protocol: c\r\nSec-WebSocket-Protocol: b\r\n", "b"},
    {"a, b", "Sec-WebSocket-Protocol: c\r\n", NULL},
    {"a, b", "Sec-WebSocket-Protocol: A\r\n", NULL},
    {"a, b", "", NULL},
};

static void a_subprotocol(size_t row) {
  static server server;
  const subprotocol_row *subprotocol = &subprotocols[row];
  ws_handle websocket = WS_NO_HANDLE;
  char value[64] = "";
  size_t length = sizeof value;
  check_label("%s where we have %s", subprotocol->fields[0] != '\0' ? subprotocol->fields + 24 : "none\r\n", subprotocol->supported);
  *strpbrk(check_current->label, "\r") = '\0';
  REQUIRE(server_open(&server, "/"));
  REQUIRE(peer_send_upgrade(server.peer, "/", subprotocol->fields));
  CHECK_STATUS(WS_OK, ws_set_option(server.listener, WS_OPTION_SUBPROTOCOLS, subprotocol->supported, strlen(subprotocol->supported)));
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &server.request));
  REQUIRE_STATUS(WS_OK, ws_complete_upgrade(server.request, &websocket));
  REQUIRE(peer_read_head(server.peer, server.head, sizeof server.head));
  CHECK_STATUS(WS_OK, ws_query_option(websocket, WS_OPTION_SUBPROTOCOL, value, &length));
  if (subprotocol->chosen == NULL) {
    CHECK_NUMBER(0, length);
    CHECK(!peer_header(server.head, "Sec-WebSocket-Protocol", value, sizeof value));
  } else {
    CHECK_BYTES(subprotocol->chosen, strlen(subprotocol->chosen), value, length);
    CHECK(peer_header(server.head, "Sec-WebSocket-Protocol", value, sizeof value));
    CHECK_TEXT(subprotocol->chosen, value);
  }
  CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  server_close(&server);
}

/* ---- parked, refused, and plain HTTP ----------------------------------------------------------------------------------------------- */

static bool text_option_is(ws_handle handle, ws_option option, const char *expected) {
  char value[128] = "";
  size_t length = sizeof value;
  return CHECK_STATUS(WS_OK, ws_query_option(handle, option, value, &length)) && CHECK_BYTES(expected, strlen(expected), value, length);
}

static bool is_websocket(ws_handle request) {
  uint32_t value = 4711;
  size_t length = sizeof value;
  CHECK_STATUS(WS_OK, ws_query_option(request, WS_OPTION_IS_WEBSOCKET, &value, &length));
  return value == 1;
}

/* What came can be looked at between the head and the answer. */
static void a_parked_request_can_be_asked(void) {
  static server server;
  ws_handle websocket = WS_NO_HANDLE;
  char value[64];
  size_t length = sizeof value;
  REQUIRE(server_open(&server, "/"));
  REQUIRE(peer_send_upgrade(server.peer, "/room/7?x=y", "X-Test: one\r\nX-Test: two\r\n"));
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &server.request));
  CHECK_STATUS(WS_OK, ws_handshake(server.request));
  CHECK(is_websocket(server.request));
  CHECK(text_option_is(server.request, WS_OPTION_METHOD, "GET"));
  CHECK(text_option_is(server.request, WS_OPTION_TARGET, "/room/7?x=y"));
  CHECK_STATUS(WS_OK, ws_query_header(server.request, "x-test", 1, value, &length));
  CHECK_TEXT("two", value);
  length = sizeof value;
  CHECK_STATUS(WS_OK, ws_query_option(server.request, WS_OPTION_REMOTE_ADDRESS, value, &length));
  CHECK(length > 10 && strncmp(value, "127.0.0.1:", 10) == 0);
  CHECK_STATUS(WS_OK, ws_add_header(server.request, "Set-Cookie", "a=1"));
  CHECK_STATUS(WS_ERROR_INVALID_HEADER, ws_add_header(server.request, "X-Test", "a\r\nX-Smuggled: 1"));
  CHECK_STATUS(WS_OK, ws_complete_upgrade(server.request, &websocket));
  REQUIRE(peer_read_head(server.peer, server.head, sizeof server.head));
  CHECK_NUMBER(101, peer_http_status(server.head));
  CHECK(peer_header(server.head, "Set-Cookie", value, sizeof value));
  CHECK_TEXT("a=1", value);
  CHECK(!peer_header(server.head, "X-Smuggled", value, sizeof value));
  CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  server_close(&server);
}

typedef struct respond_row {
  const char *name, *request;
  uint16_t http_status;
  const char *content_type, *body;
} respond_row;

static const respond_row responses[] = {
    {"an upgrade refused by the program", GOOD "\r\n", 401, "text/plain", "who are you?"},
    {"a plain page", REQUEST_LINE HOST "\r\n", 200, "text/html; charset=utf-8", "<p>hello</p>"},
    {"a plain page, no type", REQUEST_LINE HOST "\r\n", 404, NULL, "no"},
    {"no body", REQUEST_LINE HOST "\r\n", 503, NULL, ""},
};

static void a_response(size_t row) {
  static server server;
  const respond_row *response = &responses[row];
  size_t length = strlen(response->body);
  ws_handle websocket = 4711;
  char value[128], expected[32];
  check_label("%s", response->name);
  REQUIRE(server_open(&server, "/"));
  REQUIRE(peer_send_text(server.peer, response->request));
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &server.request));
  REQUIRE_STATUS(WS_OK, ws_handshake(server.request));
  CHECK_NUMBER(row == 0, is_websocket(server.request));
  CHECK_STATUS(WS_OK, ws_add_header(server.request, "X-Test", "kept"));
  CHECK_STATUS(WS_OK, ws_respond(server.request, response->http_status, response->content_type, response->body, length));
  CHECK(ws_respond(server.request, 200, NULL, NULL, 0) != WS_OK);
  CHECK(ws_complete_upgrade(server.request, &websocket) != WS_OK);
  CHECK_NUMBER(4711, websocket);
  REQUIRE(peer_read_head(server.peer, server.head, sizeof server.head));
  CHECK_NUMBER(response->http_status, peer_http_status(server.head));
  (void)snprintf(expected, sizeof expected, "%zu", length);
  CHECK(peer_header(server.head, "Content-Length", value, sizeof value));
  CHECK_TEXT(expected, value);
  CHECK(peer_header(server.head, "Connection", value, sizeof value));
  CHECK_TEXT("close", value);
  CHECK(peer_header(server.head, "X-Test", value, sizeof value));
  if (response->content_type != NULL) {
    CHECK(peer_header(server.head, "Content-Type", value, sizeof value));
    CHECK_TEXT(response->content_type, value);
  }
  REQUIRE(peer_read_exact(server.peer, value, length));
  CHECK_BYTES(response->body, length, value, length);
  CHECK(peer_is_at_end(server.peer));
  server_close(&server);
}

static const char *const injected[] = {"text/plain\r\nX-Smuggled: 1", "text/plain\n", "a\x01" "b"};

static void a_content_type_smuggles_nothing(size_t row) {
  static server server;
  char value[64];
  check_label("%zu", row);
  REQUIRE(server_open(&server, "/"));
  REQUIRE(peer_send_text(server.peer, REQUEST_LINE HOST "\r\n"));
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &server.request));
  REQUIRE_STATUS(WS_OK, ws_handshake(server.request));
  CHECK_STATUS(WS_ERROR_INVALID_HEADER, ws_respond(server.request, 200, injected[row], "x", 1));
  CHECK_STATUS(WS_OK, ws_respond(server.request, 200, "text/plain", "x", 1));
  REQUIRE(peer_read_head(server.peer, server.head, sizeof server.head));
  CHECK(!peer_header(server.head, "X-Smuggled", value, sizeof value));
  server_close(&server);
}

typedef struct header_row {
  const char *name, *value;
} header_row;

static const header_row reserved[] = {
    {"Upgrade", "x"}, {"connection", "x"}, {"Sec-WebSocket-Accept", "x"}, {"Sec-WebSocket-Extensions", "x"}, {"Content-Length", "1"},
    {"Transfer-Encoding", "chunked"}, {"X Y", "x"}, {"", "x"}, {"X\r\nY", "x"}, {"X", "a\r\n\r\nb"}, {"X", "a\nb"}, {"X", "a\x7f"},
};

static void a_header_is_refused(size_t row) {
  static server server;
  check_label("%zu", row);
  REQUIRE(server_open(&server, "/"));
  REQUIRE(peer_send_text(server.peer, REQUEST_LINE HOST "\r\n"));
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &server.request));
  REQUIRE_STATUS(WS_OK, ws_handshake(server.request));
  CHECK_STATUS(WS_ERROR_INVALID_HEADER, ws_add_header(server.request, reserved[row].name, reserved[row].value));
  server_close(&server);
}

/* A plain request is not an upgrade, whatever the program wishes; it can still be answered. */
static void a_plain_request_cannot_be_upgraded(void) {
  static server server;
  ws_handle websocket = 4711;
  REQUIRE(server_open(&server, "/"));
  REQUIRE(peer_send_text(server.peer, REQUEST_LINE HOST "\r\n"));
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &server.request));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_complete_upgrade(server.request, &websocket));
  CHECK_NUMBER(4711, websocket);
  CHECK_STATUS(WS_OK, ws_respond(server.request, 200, NULL, "page", 4));
  REQUIRE(peer_read_head(server.peer, server.head, sizeof server.head));
  CHECK_NUMBER(200, peer_http_status(server.head));
  server_close(&server);
}

static void bytes_behind_the_head_are_the_websockets(void) {
  static server server;
  ws_handle websocket = WS_NO_HANDLE;
  uint8_t bytes[64];
  REQUIRE(server_open(&server, "/"));
  REQUIRE(peer_send_text(server.peer, GOOD "\r\n"));
  REQUIRE(peer_send(server.peer, bytes, peer_write_frame(bytes, PEER_FIN | PEER_TEXT, true, "early", 5)));
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &server.request));
  REQUIRE_STATUS(WS_OK, ws_complete_upgrade(server.request, &websocket));
  CHECK(RECEIVES(websocket, 16, WS_UTF8_MESSAGE, "early", 5));
  CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  server_close(&server);
}

/* One slow client does not hold up the accept of the next. */
static void a_silent_client_holds_nobody_up(void) {
  static server server;
  ws_handle request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  char url[64];
  size_t length = sizeof url;
  unsigned port = 0;
  int second;
  uint64_t start;
  REQUIRE(server_open(&server, "/"));
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &server.request));
  CHECK_STATUS(WS_OK, ws_query_option(server.listener, WS_OPTION_URL, url, &length));
  REQUIRE(sscanf(url, "ws://127.0.0.1:%5u", &port) == 1);
  second = peer_dial((uint16_t)port);
  REQUIRE(peer_send_upgrade(second, "/", ""));
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &request));
  CHECK_STATUS(WS_OK, ws_complete_upgrade(request, &websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK(pair_set_u32(server.request, WS_OPTION_HANDSHAKE_TIMEOUT, 100));
  start = check_now_ms();
  CHECK_STATUS(WS_ERROR_TIMEOUT, ws_handshake(server.request));
  CHECK(check_now_ms() - start < 3000);
  (void)close(second);
  server_close(&server);
}

static void a_client_that_leaves_is_12030(void) {
  static server server;
  REQUIRE(server_open(&server, "/"));
  REQUIRE(peer_send_text(server.peer, REQUEST_LINE HOST));
  REQUIRE(shutdown(server.peer, SHUT_WR) == 0);
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &server.request));
  CHECK_STATUS(WS_ERROR_CONNECTION, ws_handshake(server.request));
  server_close(&server);
}

/* Before the head nothing can be asked. */
static void before_the_head_is_12019(void) {
  static server server;
  char value[64];
  size_t length = sizeof value;
  REQUIRE(server_open(&server, "/"));
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &server.request));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_query_header(server.request, "Host", 0, value, &length));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_query_option(server.request, WS_OPTION_TARGET, value, &length));
  CHECK_NUMBER(sizeof value, length);
  server_close(&server);
}

typedef struct limit_row {
  ws_option option;
  uint32_t limit;
  int extra, http_status;
  ws_status status;
} limit_row;

static const limit_row limits[] = {
    {WS_OPTION_MAX_HEADERS, 16, -1, 101, WS_OK},
    {WS_OPTION_MAX_HEADERS, 16, 0, 101, WS_OK},
    {WS_OPTION_MAX_HEADERS, 16, 1, 431, WS_ERROR_UPGRADE_REFUSED},
    {WS_OPTION_MAX_HEAD_SIZE, 2048, -1, 101, WS_OK},
    {WS_OPTION_MAX_HEAD_SIZE, 2048, 0, 101, WS_OK},
    {WS_OPTION_MAX_HEAD_SIZE, 2048, 1, 431, WS_ERROR_UPGRADE_REFUSED},
};

static size_t request_with_headers(char *request, size_t capacity, size_t count) {
  size_t length = (size_t)snprintf(request, capacity, "%s", GOOD);
  for (size_t i = 5; i < count; i++) length += (size_t)snprintf(request + length, capacity - length, "X-%zu: x\r\n", i);
  return length + (size_t)snprintf(request + length, capacity - length, "\r\n");
}

static size_t request_of_size(char *request, size_t capacity, size_t size) {
  size_t length = (size_t)snprintf(request, capacity, "%sX-Long: ", GOOD);
  memset(request + length, 'x', size - length - 4);
  (void)snprintf(request + size - 4, capacity - size + 4, "\r\n\r\n");
  return size;
}

static void a_limit(size_t row) {
  static server server;
  static char request[8192];
  const limit_row *limit = &limits[row];
  size_t size = (size_t)((int)limit->limit + limit->extra);
  size_t length = limit->option == WS_OPTION_MAX_HEADERS ? request_with_headers(request, sizeof request, size) : request_of_size(request, sizeof request, size);
  ws_handle websocket = WS_NO_HANDLE;
  check_label("%s %zu of %u", limit->option == WS_OPTION_MAX_HEADERS ? "headers" : "head size", size, (unsigned)limit->limit);
  REQUIRE(server_open(&server, "/"));
  REQUIRE(peer_send(server.peer, request, length));
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &server.request));
  CHECK(pair_set_u32(server.request, limit->option, limit->limit));
  CHECK_STATUS(limit->status, ws_complete_upgrade(server.request, &websocket));
  REQUIRE(peer_read_head(server.peer, server.head, sizeof server.head));
  CHECK_NUMBER(limit->http_status, peer_http_status(server.head));
  if (websocket != WS_NO_HANDLE) CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  server_close(&server);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_ROWS(a_client_is_let_in, welcome),
      CHECK_ROWS(a_client_is_let_in_byte_by_byte, welcome),
      CHECK_ROWS(a_client_is_refused, refusals),
      CHECK_ROWS(a_client_is_refused_byte_by_byte, refusals),
      CHECK_ROWS(a_path, paths),
      CHECK_ROWS(an_origin, origins),
      CHECK_ROWS(a_subprotocol, subprotocols),
      CHECK_TEST(a_parked_request_can_be_asked),
      CHECK_ROWS(a_response, responses),
      CHECK_ROWS(a_content_type_smuggles_nothing, injected),
      CHECK_ROWS(a_header_is_refused, reserved),
      CHECK_TEST(a_plain_request_cannot_be_upgraded),
      CHECK_TEST(bytes_behind_the_head_are_the_websockets),
      CHECK_TEST(a_silent_client_holds_nobody_up),
      CHECK_TEST(a_client_that_leaves_is_12030),
      CHECK_TEST(before_the_head_is_12019),
      CHECK_ROWS(a_limit, limits),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
