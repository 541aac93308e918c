/* The client's handshake against raw servers: what it sends, what it takes for a 101, and what can be asked after a refusal. */
#include "pair.h"

/* A server thread that reads one request head and answers with given bytes. */
typedef struct server {
  int listener;
  uint16_t port;
  const char *answer;        /* "%A" becomes the accept value */
  size_t length;             /* of the answer; 0 = strlen */
  bool split;                /* byte by byte */
  bool keep_open;            /* else it ends TCP after the answer */
  int peer;                  /* the connection, if kept open */
  pthread_t thread;
  char head[16384];
} server;

static void send_answer(server *server, int peer) {
  static char bytes[200000];
  char key[100] = "", accept[32];
  size_t length = 0;
  if (server->answer == NULL) return;
  (void)peer_header(server->head, "Sec-WebSocket-Key", key, sizeof key);
  peer_accept_value(key, accept);
  if (server->length > 0) {
    memcpy(bytes, server->answer, length = server->length);
  } else {
    for (const char *at = server->answer; *at != '\0'; at++) {
      if (at[0] == '%' && at[1] == 'A') memcpy(bytes + length, accept, 28), length += 28, at++;
      else bytes[length++] = *at;
    }
  }
  (void)(server->split ? peer_send_split(peer, bytes, length) : peer_send(peer, bytes, length));
}

static void *server_run(void *argument) {
  server *server = argument;
  int peer = peer_accept(server->listener);
  if (peer < 0 || !peer_read_head(peer, server->head, sizeof server->head)) return NULL;
  send_answer(server, peer);
  if (server->keep_open) {
    server->peer = peer;
  } else {
    (void)shutdown(peer, SHUT_WR);
    (void)peer_is_gone(peer);
    (void)close(peer);
  }
  return NULL;
}

static bool server_start(server *server, const char *answer) {
  memset(server, 0, offsetof(struct server, head));
  server->head[0] = '\0';
  server->answer = answer;
  server->peer = -1;
  server->listener = peer_listen(&server->port);
  return server->listener >= 0;
}

static bool server_go(server *server) { return CHECK(pthread_create(&server->thread, NULL, server_run, server) == 0); }

static void server_stop(server *server) {
  CHECK(pthread_join(server->thread, NULL) == 0);
  if (server->peer >= 0) (void)close(server->peer);
  (void)close(server->listener);
}

/* A session and a request for the server. */
typedef struct client {
  ws_handle session, request, websocket;
} client;

static bool client_open(client *client, const server *server, const char *path) {
  char url[128];
  client->session = client->request = WS_NO_HANDLE;
  client->websocket = 4711;
  (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u%s", (unsigned)server->port, path);
  return CHECK_STATUS(WS_OK, ws_open("test/1", 0, &client->session)) && CHECK_STATUS(WS_OK, ws_connect(client->session, url, &client->request));
}

static void client_close(client *client) {
  if (client->websocket != 4711) CHECK_STATUS(WS_OK, ws_close_handle(client->websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(client->request));
  CHECK_STATUS(WS_OK, ws_close_handle(client->session));
}

#define GOOD_FIELDS "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %A\r\n"
#define GOOD "HTTP/1.1 101 Switching Protocols\r\n" GOOD_FIELDS "\r\n"

/* ---- what it sends ----------------------------------------------------------------------------------------------------------------- */

/* base64 of 16 bytes: 22 characters of the alphabet, the last with 4 spare bits of 0, and "==". */
static bool is_key(const char *key) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return strlen(key) == 24 && strspn(key, alphabet) == 22 && strchr("AQgw", key[21]) != NULL && strcmp(key + 22, "==") == 0;
}

static int count_fields(const char *head, const char *name) {
  int count = 0;
  for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n"))
    count += strncasecmp(line + 2, name, strlen(name)) == 0 && line[2 + strlen(name)] == ':';
  return count;
}

static void check_field(const char *head, const char *name, const char *expected) {
  char value[256] = "(missing)";
  (void)peer_header(head, name, value, sizeof value);
  CHECK_TEXT(expected, value);
  CHECK_NUMBER(1, count_fields(head, name));
}

static void the_request_is_complete(void) {
  static server server;
  char key[100] = "", host[64];
  client client;
  REQUIRE(server_start(&server, GOOD));
  REQUIRE(client_open(&client, &server, "/chat?room=%C3%A4&x=1"));
  CHECK_STATUS(WS_OK, ws_add_header(client.request, "X-Test", "one"));
  CHECK_STATUS(WS_OK, ws_add_header(client.request, "Origin", "http://example.com"));
  CHECK_STATUS(WS_OK, ws_set_option(client.request, WS_OPTION_SUBPROTOCOLS, "chat, superchat", 15));
  server.keep_open = true;
  REQUIRE(server_go(&server));
  REQUIRE_STATUS(WS_OK, ws_complete_upgrade(client.request, &client.websocket));
  CHECK(strncmp(server.head, "GET /chat?room=%C3%A4&x=1 HTTP/1.1\r\n", 36) == 0);
  (void)snprintf(host, sizeof host, "127.0.0.1:%u", (unsigned)server.port);
  check_field(server.head, "Host", host);
  check_field(server.head, "Upgrade", "websocket");
  check_field(server.head, "Connection", "Upgrade");
  check_field(server.head, "Sec-WebSocket-Version", "13");
  check_field(server.head, "Sec-WebSocket-Protocol", "chat, superchat");
  check_field(server.head, "X-Test", "one");
  check_field(server.head, "Origin", "http://example.com");
  check_field(server.head, "User-Agent", "test/1");
  CHECK(peer_header(server.head, "Sec-WebSocket-Key", key, sizeof key) && is_key(key));
  CHECK_NUMBER(0, count_fields(server.head, "Sec-WebSocket-Extensions"));
  client_close(&client);
  server_stop(&server);
}

static void a_path_may_be_missing(void) {
  static server server;
  client client;
  REQUIRE(server_start(&server, GOOD) && client_open(&client, &server, "?q") && server_go(&server));
  CHECK_STATUS(WS_OK, ws_complete_upgrade(client.request, &client.websocket));
  CHECK(strncmp(server.head, "GET /?q HTTP/1.1\r\n", 18) == 0);
  client_close(&client);
  server_stop(&server);
}

/* ---- what it takes for an answer --------------------------------------------------------------------------------------------------- */

typedef struct answer_row {
  const char *name;
  const char *answer;
  ws_status handshake;       /* of ws_handshake */
  ws_status upgrade;         /* of ws_complete_upgrade after it */
  uint16_t http_status;      /* that can be asked for then; 0 = none */
} answer_row;

#define BAD WS_ERROR_INVALID_SERVER_RESPONSE
#define REFUSED WS_ERROR_UPGRADE_REFUSED
#define LOST WS_ERROR_CONNECTION

static const answer_row answers[] = {
    {"plain", GOOD, WS_OK, WS_OK, 101},
    {"another phrase", "HTTP/1.1 101 Web Socket Protocol Handshake\r\n" GOOD_FIELDS "\r\n", WS_OK, WS_OK, 101},
    {"an empty phrase", "HTTP/1.1 101 \r\n" GOOD_FIELDS "\r\n", WS_OK, WS_OK, 101},
    {"no phrase at all", "HTTP/1.1 101\r\n" GOOD_FIELDS "\r\n", WS_OK, WS_OK, 101},
    {"case and token lists", "HTTP/1.1 101 x\r\nUPGRADE: WebSocket\r\nconnection: keep-alive, uPGRADE\r\nsec-websocket-accept:%A\r\n\r\n", WS_OK, WS_OK, 101},
    {"spaces around the accept value", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \t %A \t \r\n\r\n", WS_OK, WS_OK, 101},
    {"further fields", "HTTP/1.1 101 x\r\nDate: today\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n" GOOD_FIELDS "\r\n", WS_OK, WS_OK, 101},
    {"a 100 before the 101", "HTTP/1.1 100 Continue\r\n\r\n" GOOD, WS_OK, WS_OK, 101},
    {"a wrong accept value", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " PEER_ACCEPT "\r\n\r\n", WS_OK, BAD, 101},
    {"an accept value too long", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %Ax\r\n\r\n", WS_OK, BAD, 101},
    {"two accept values", "HTTP/1.1 101 x\r\n" GOOD_FIELDS "Sec-WebSocket-Accept: %A\r\n\r\n", WS_OK, BAD, 101},
    {"no accept value", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", WS_OK, BAD, 101},
    {"no Upgrade", "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %A\r\n\r\n", WS_OK, BAD, 101},
    {"another Upgrade", "HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %A\r\n\r\n", WS_OK, BAD, 101},
    {"no Connection", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %A\r\n\r\n", WS_OK, BAD, 101},
    {"another Connection", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: close\r\nSec-WebSocket-Accept: %A\r\n\r\n", WS_OK, BAD, 101},
    {"a sub-protocol not asked for", "HTTP/1.1 101 x\r\n" GOOD_FIELDS "Sec-WebSocket-Protocol: chat\r\n\r\n", WS_OK, BAD, 101},
    {"an extension not asked for", "HTTP/1.1 101 x\r\n" GOOD_FIELDS "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", WS_OK, BAD, 101},
    {"200", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", WS_OK, REFUSED, 200},
    {"302", "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 4\r\n\r\nbody", WS_OK, REFUSED, 302},
    {"401", "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 4\r\n\r\nbody", WS_OK, REFUSED, 401},
    {"403", "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nbody", WS_OK, REFUSED, 403},
    {"404, until the end", "HTTP/1.1 404 Not Found\r\n\r\nbody", WS_OK, REFUSED, 404},
    {"404, in chunks", "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\n\r\n", WS_OK, REFUSED, 404},
    {"500 with the fields of an upgrade", "HTTP/1.1 500 No\r\n" GOOD_FIELDS "Content-Length: 4\r\n\r\nbody", WS_OK, REFUSED, 500},
    {"HTTP/1.0", "HTTP/1.0 101 Switching Protocols\r\n" GOOD_FIELDS "\r\n", WS_OK, BAD, 101},
    {"garbage", "SSH-2.0-OpenSSH_9.2\r\n\r\n", BAD, BAD, 0},
    {"binary garbage", "\x16\x03\x01\x02\x05\x01\xff\r\n\r\n", BAD, BAD, 0},
    {"a status of two digits", "HTTP/1.1 10 x\r\n\r\n", BAD, BAD, 0},
    {"a field without a colon", "HTTP/1.1 101 x\r\nUpgrade\r\n\r\n", BAD, BAD, 0},
    {"a folded field", "HTTP/1.1 101 x\r\nX-Folded: a\r\n b\r\n" GOOD_FIELDS "\r\n", BAD, BAD, 0},
    {"a space before the colon", "HTTP/1.1 101 x\r\nUpgrade : websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %A\r\n\r\n", BAD, BAD, 0},
    {"the end before any byte", "", LOST, LOST, 0},
    {"the end inside the head", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: web", LOST, LOST, 0},
};

static void the_response_can_be_asked_for(const client *client, const answer_row *row) {
  uint16_t http_status = 0;
  char body[16];
  size_t length = 0, total = 0;
  if (row->http_status == 0) {
    http_status = 4711;
    CHECK(ws_query_response(client->request, &http_status) != WS_OK);
    CHECK_NUMBER(4711, http_status);
    return;
  }
  CHECK_STATUS(WS_OK, ws_query_response(client->request, &http_status));
  CHECK_NUMBER(row->http_status, http_status);
  if (row->upgrade != REFUSED) return;
  do {
    REQUIRE_STATUS(WS_OK, ws_read_body(client->request, body + total, 3, &length));
    total += length;
  } while (length > 0 && total < 8);
  CHECK_BYTES("body", 4, body, total);
  CHECK_STATUS(WS_OK, ws_read_body(client->request, body, 3, &length));
  CHECK_NUMBER(0, length);
}

static void the_error_tells_the_status(const client *client, const answer_row *row) {
  char text[8];
  ws_error_info info;
  memset(&info, 0, sizeof info);
  info.size = sizeof info;
  CHECK_STATUS(WS_OK, ws_query_error(client->request, &info));
  CHECK_NUMBER(row->upgrade, info.status);
  CHECK_NUMBER(WS_PHASE_HTTP, info.phase);
  if (row->upgrade != REFUSED) return;
  CHECK_NUMBER(row->http_status, info.http_status);
  (void)snprintf(text, sizeof text, "%u", (unsigned)row->http_status);
  CHECK(strstr(info.message, text) != NULL);
}

/* Handshake first and then upgrade, or both in one; at once, or byte by byte. */
static void an_answer(size_t row, bool in_two_steps, bool split) {
  static server server;
  const answer_row *answer = &answers[row];
  client client;
  check_label("%s", answer->name);
  REQUIRE(server_start(&server, answer->answer) && client_open(&client, &server, "/"));
  server.split = split;
  REQUIRE(server_go(&server));
  if (in_two_steps) CHECK_STATUS(answer->handshake, ws_handshake(client.request));
  if (!in_two_steps || answer->handshake == WS_OK)
    CHECK_STATUS(answer->upgrade, ws_complete_upgrade(client.request, &client.websocket));
  if (answer->upgrade != WS_OK) {
    CHECK_NUMBER(4711, client.websocket);
    the_error_tells_the_status(&client, answer);
  }
  the_response_can_be_asked_for(&client, answer);
  client_close(&client);
  server_stop(&server);
}

static void an_answer_in_one_step(size_t row) { an_answer(row, false, false); }
static void an_answer_in_two_steps(size_t row) { an_answer(row, true, false); }
static void an_answer_byte_by_byte(size_t row) { an_answer(row, false, true); }

/* ---- after it ---------------------------------------------------------------------------------------------------------------------- */

static void bytes_behind_the_head_are_the_websockets(void) {
  static server server;
  client client;
  REQUIRE(server_start(&server, GOOD "\x81\x03" "abc\x82\x01"));
  server.keep_open = true;
  REQUIRE(client_open(&client, &server, "/") && server_go(&server));
  REQUIRE_STATUS(WS_OK, ws_complete_upgrade(client.request, &client.websocket));
  CHECK(RECEIVES(client.websocket, 16, WS_UTF8_MESSAGE, "abc", 3));
  CHECK(pthread_join(server.thread, NULL) == 0);
  REQUIRE(peer_send(server.peer, "x", 1));
  CHECK(RECEIVES(client.websocket, 16, WS_BINARY_MESSAGE, "x", 1));
  client_close(&client);
  (void)close(server.peer);
  (void)close(server.listener);
}

static void the_chosen_subprotocol(void) {
  static server server;
  char text[32];
  size_t length = sizeof text;
  client client;
  REQUIRE(server_start(&server, "HTTP/1.1 101 x\r\n" GOOD_FIELDS "Sec-WebSocket-Protocol: b\r\n\r\n") && client_open(&client, &server, "/"));
  CHECK_STATUS(WS_OK, ws_set_option(client.request, WS_OPTION_SUBPROTOCOLS, "a, b", 4));
  REQUIRE(server_go(&server));
  REQUIRE_STATUS(WS_OK, ws_complete_upgrade(client.request, &client.websocket));
  CHECK_STATUS(WS_OK, ws_query_option(client.websocket, WS_OPTION_SUBPROTOCOL, text, &length));
  CHECK_BYTES("b", 1, text, length);
  client_close(&client);
  server_stop(&server);
}

static const char *const wrong_subprotocols[] = {"c", "A", "a, b", ""};

static void a_subprotocol_not_offered(size_t row) {
  static server server;
  char answer[512];
  client client;
  check_label("\"%s\"", wrong_subprotocols[row]);
  (void)snprintf(answer, sizeof answer, "HTTP/1.1 101 x\r\n%sSec-WebSocket-Protocol: %s\r\n\r\n", GOOD_FIELDS, wrong_subprotocols[row]);
  REQUIRE(server_start(&server, answer) && client_open(&client, &server, "/"));
  CHECK_STATUS(WS_OK, ws_set_option(client.request, WS_OPTION_SUBPROTOCOLS, "a, b", 4));
  REQUIRE(server_go(&server));
  CHECK_STATUS(BAD, ws_complete_upgrade(client.request, &client.websocket));
  client_close(&client);
  server_stop(&server);
}

static void the_headers_can_be_asked_for(void) {
  static server server;
  char value[32];
  const char *name = NULL, *text = NULL;
  size_t length = sizeof value;
  uint32_t count = 0;
  client client;
  REQUIRE(server_start(&server, "HTTP/1.1 403 No\r\nSet-Cookie: a=1\r\nX-Empty:\r\nset-cookie: b=2\r\nContent-Length: 0\r\n\r\n"));
  REQUIRE(client_open(&client, &server, "/"));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_query_header(client.request, "Set-Cookie", 0, value, &length));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_query_header_at(client.request, 0, &name, &text));
  REQUIRE(server_go(&server));
  CHECK_STATUS(WS_OK, ws_handshake(client.request));
  length = sizeof value;
  CHECK_STATUS(WS_OK, ws_query_header(client.request, "SET-COOKIE", 0, value, &length));
  CHECK_TEXT("a=1", value);
  CHECK_NUMBER(3, length);
  length = sizeof value;
  CHECK_STATUS(WS_OK, ws_query_header(client.request, "Set-Cookie", 1, value, &length));
  CHECK_TEXT("b=2", value);
  length = sizeof value;
  CHECK_STATUS(WS_ERROR_HEADER_NOT_FOUND, ws_query_header(client.request, "Set-Cookie", 2, value, &length));
  CHECK_NUMBER(sizeof value, length);
  CHECK_STATUS(WS_OK, ws_query_header(client.request, "X-Empty", 0, value, &length));
  CHECK_NUMBER(0, length);
  length = 3; /* no room for the terminator */
  memset(value, '#', sizeof value);
  CHECK_STATUS(WS_ERROR_INSUFFICIENT_BUFFER, ws_query_header(client.request, "Set-Cookie", 0, value, &length));
  CHECK_NUMBER(4, length);
  CHECK_NUMBER('#', value[0]);
  length = 0;
  CHECK_STATUS(WS_ERROR_INSUFFICIENT_BUFFER, ws_query_header(client.request, "Set-Cookie", 0, NULL, &length));
  CHECK_NUMBER(4, length);
  CHECK_STATUS(WS_OK, ws_query_header(client.request, "Set-Cookie", 0, value, &length));
  CHECK_TEXT("a=1", value);
  while (ws_query_header_at(client.request, count, &name, &text) == WS_OK) count++;
  CHECK_NUMBER(4, count);
  CHECK_STATUS(WS_OK, ws_query_header_at(client.request, 2, &name, &text));
  CHECK_TEXT("set-cookie", name);
  CHECK_TEXT("b=2", text);
  CHECK_STATUS(WS_ERROR_HEADER_NOT_FOUND, ws_query_header_at(client.request, 4, &name, &text));
  client_close(&client);
  server_stop(&server);
}

/* The same request again, after a refusal: another connection, another key. */
static void a_refused_request_may_try_again(void) {
  static server server;
  char first[100] = "", second[100] = "";
  uint16_t http_status = 0;
  client client;
  REQUIRE(server_start(&server, "HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n") && client_open(&client, &server, "/again"));
  CHECK_STATUS(WS_OK, ws_add_header(client.request, "X-Test", "kept"));
  REQUIRE(server_go(&server));
  CHECK_STATUS(REFUSED, ws_complete_upgrade(client.request, &client.websocket));
  CHECK(pthread_join(server.thread, NULL) == 0);
  CHECK(peer_header(server.head, "Sec-WebSocket-Key", first, sizeof first));
  server.answer = GOOD;
  REQUIRE(server_go(&server));
  CHECK_STATUS(WS_OK, ws_handshake(client.request));
  CHECK_STATUS(WS_OK, ws_complete_upgrade(client.request, &client.websocket));
  CHECK(peer_header(server.head, "Sec-WebSocket-Key", second, sizeof second));
  CHECK(strcmp(first, second) != 0);
  check_field(server.head, "X-Test", "kept");
  CHECK_STATUS(WS_OK, ws_query_response(client.request, &http_status));
  CHECK_NUMBER(101, http_status);
  client_close(&client);
  server_stop(&server);
}

/* A body larger than what is kept: the start of it, and an end. */
static void a_large_body_ends(void) {
  static server server;
  static char answer[190000];
  char room[4096];
  size_t length = 0, total = 0;
  client client;
  size_t head = (size_t)snprintf(answer, sizeof answer, "HTTP/1.1 404 No\r\nContent-Length: 150000\r\n\r\n");
  memset(answer + head, 'b', 150000);
  REQUIRE(server_start(&server, answer));
  server.length = head + 150000;
  REQUIRE(client_open(&client, &server, "/") && server_go(&server));
  CHECK_STATUS(REFUSED, ws_complete_upgrade(client.request, &client.websocket));
  do {
    REQUIRE_STATUS(WS_OK, ws_read_body(client.request, room, sizeof room, &length));
    for (size_t i = 0; i < length; i++) REQUIRE(room[i] == 'b');
    total += length;
  } while (length > 0);
  CHECK(total > 0 && total <= 65536);
  client_close(&client);
  server_stop(&server);
}

/* ---- limits ------------------------------------------------------------------------------------------------------------------------ */

typedef struct limit_row {
  const char *name;
  ws_option option;
  uint32_t limit;
  int extra;                 /* how far over the limit the answer is: -1, 0, 1 */
  ws_status status;
} limit_row;

static const limit_row limits[] = {
    {"headers", WS_OPTION_MAX_HEADERS, 16, -1, WS_OK},
    {"headers", WS_OPTION_MAX_HEADERS, 16, 0, WS_OK},
    {"headers", WS_OPTION_MAX_HEADERS, 16, 1, WS_ERROR_HEADER_COUNT_EXCEEDED},
    {"head size", WS_OPTION_MAX_HEAD_SIZE, 2048, -1, WS_OK},
    {"head size", WS_OPTION_MAX_HEAD_SIZE, 2048, 0, WS_OK},
    {"head size", WS_OPTION_MAX_HEAD_SIZE, 2048, 1, WS_ERROR_HEADER_SIZE_OVERFLOW},
};

static size_t answer_with_headers(char *answer, size_t capacity, size_t count) {
  size_t length = (size_t)snprintf(answer, capacity, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n");
  for (size_t i = 1; i < count; i++) length += (size_t)snprintf(answer + length, capacity - length, "X-%zu: x\r\n", i);
  return length + (size_t)snprintf(answer + length, capacity - length, "\r\n");
}

static size_t answer_of_size(char *answer, size_t capacity, size_t size) {
  size_t length = (size_t)snprintf(answer, capacity, "HTTP/1.1 404 No\r\nContent-Length: 0\r\nX-Long: ");
  memset(answer + length, 'x', size - length - 4);
  (void)snprintf(answer + size - 4, capacity - size + 4, "\r\n\r\n");
  return size;
}

static void a_limit(size_t row) {
  static server server;
  static char answer[8192];
  const limit_row *limit = &limits[row];
  size_t size = (size_t)((int)limit->limit + limit->extra);
  client client;
  check_label("%s %zu of %u", limit->name, size, (unsigned)limit->limit);
  REQUIRE(server_start(&server, answer));
  server.length = limit->option == WS_OPTION_MAX_HEADERS ? answer_with_headers(answer, sizeof answer, size) : answer_of_size(answer, sizeof answer, size);
  REQUIRE(client_open(&client, &server, "/"));
  CHECK(pair_set_u32(client.request, limit->option, limit->limit));
  REQUIRE(server_go(&server));
  CHECK_STATUS(limit->status, ws_handshake(client.request));
  client_close(&client);
  server_stop(&server);
}

static void the_default_limits(void) {
  static server server;
  static char answer[190000];
  client client;
  for (int i = 0; i < 2; i++) {
    REQUIRE(server_start(&server, answer));
    server.length = i == 0 ? answer_with_headers(answer, sizeof answer, 129) : answer_of_size(answer, sizeof answer, 65537);
    REQUIRE(client_open(&client, &server, "/") && server_go(&server));
    CHECK_STATUS(i == 0 ? WS_ERROR_HEADER_COUNT_EXCEEDED : WS_ERROR_HEADER_SIZE_OVERFLOW, ws_handshake(client.request));
    client_close(&client);
    server_stop(&server);
  }
}

/* A server that never answers. The limit is for the whole handshake, so a trickle of bytes does not extend it. */
static void *trickle_run(void *argument) {
  server *server = argument;
  const struct timespec moment = {0, 20000000};
  int peer = peer_accept(server->listener);
  if (peer < 0) return NULL;
  if (!peer_send_text(peer, "HTTP/1.1 101 x\r\nX-Slow: ")) server->split = false;
  for (int i = 0; i < 200 && peer_send(peer, "x", 1); i++) (void)nanosleep(&moment, NULL);
  (void)close(peer);
  return NULL;
}

static void the_handshake_timeout_is_for_all_of_it(void) {
  static server server;
  uint64_t start;
  client client;
  REQUIRE(server_start(&server, NULL) && client_open(&client, &server, "/"));
  CHECK(pair_set_u32(client.request, WS_OPTION_HANDSHAKE_TIMEOUT, 150));
  REQUIRE(pthread_create(&server.thread, NULL, trickle_run, &server) == 0);
  start = check_now_ms();
  CHECK_STATUS(WS_ERROR_TIMEOUT, ws_complete_upgrade(client.request, &client.websocket));
  CHECK(check_now_ms() - start >= 140);
  CHECK(check_now_ms() - start < 2500);
  client_close(&client);
  server_stop(&server);
}

static void nobody_listens(void) {
  ws_handle session = WS_NO_HANDLE, request = WS_NO_HANDLE, websocket = 4711;
  char url[64];
  uint16_t port = 0;
  ws_error_info info;
  int listener = peer_listen(&port);
  (void)close(listener);
  (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)port);
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE_STATUS(WS_OK, ws_connect(session, url, &request));
  CHECK_STATUS(WS_ERROR_CANNOT_CONNECT, ws_complete_upgrade(request, &websocket));
  memset(&info, 0, sizeof info);
  info.size = sizeof info;
  CHECK_STATUS(WS_OK, ws_query_error(request, &info));
  CHECK_NUMBER(WS_ERROR_CANNOT_CONNECT, info.status);
  CHECK_NUMBER(WS_PHASE_CONNECT, info.phase);
  CHECK_NUMBER(ECONNREFUSED, info.os_error);
  CHECK(info.retryable != 0);
  CHECK_NUMBER(4711, websocket);
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

/* ---- ws_add_header ----------------------------------------------------------------------------------------------------------------- */

typedef struct header_row {
  const char *name, *value;
  ws_status status;
} header_row;

#define HEADER WS_ERROR_INVALID_HEADER

static const header_row headers[] = {
    {"X-Test", "fine", WS_OK},
    {"X-Test", "", WS_OK},
    {"X-Test", "tab\tinside", WS_OK},
    {"X!#$%&'*+-.^_`|~9", "every sign of a token", WS_OK},
    {"Cookie", "a=1; b=2", WS_OK},
    {"", "x", HEADER},
    {"X Test", "x", HEADER},
    {"X-Test:", "x", HEADER},
    {"X-Test\r\nX-Smuggled", "x", HEADER},
    {"X-T\xc3\xa4st", "x", HEADER},
    {"X-Test", "a\r\nX-Smuggled: 1", HEADER},
    {"X-Test", "a\nb", HEADER},
    {"X-Test", "a\rb", HEADER},
    {"X-Test", "a\x01" "b", HEADER},
    {"X-Test", "a\x7f", HEADER},
    {"Upgrade", "h2c", HEADER},
    {"upgrade", "websocket", HEADER},
    {"Connection", "close", HEADER},
    {"Sec-WebSocket-Key", PEER_KEY, HEADER},
    {"SEC-WEBSOCKET-VERSION", "8", HEADER},
    {"Sec-WebSocket-Extensions", "permessage-deflate", HEADER},
    {"Sec-WebSocket-Accept", PEER_ACCEPT, HEADER},
    {"Content-Length", "5", HEADER},
    {"Transfer-Encoding", "chunked", HEADER},
};

static void a_header_of_the_program(size_t row) {
  static server server;
  client client;
  check_label("%.20s: %.20s", strpbrk(headers[row].name, "\r\n") != NULL ? "(line end)" : headers[row].name,
              strpbrk(headers[row].value, "\r\n\x01\x7f") != NULL ? "(control character)" : headers[row].value);
  REQUIRE(server_start(&server, GOOD) && client_open(&client, &server, "/"));
  CHECK_STATUS(headers[row].status, ws_add_header(client.request, headers[row].name, headers[row].value));
  REQUIRE(server_go(&server));
  CHECK_STATUS(WS_OK, ws_complete_upgrade(client.request, &client.websocket));
  CHECK_NUMBER(0, count_fields(server.head, "X-Smuggled"));
  if (headers[row].status == WS_OK) check_field(server.head, headers[row].name, headers[row].value);
  client_close(&client);
  server_stop(&server);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_TEST(the_request_is_complete),
      CHECK_TEST(a_path_may_be_missing),
      CHECK_ROWS(an_answer_in_one_step, answers),
      CHECK_ROWS(an_answer_in_two_steps, answers),
      CHECK_ROWS(an_answer_byte_by_byte, answers),
      CHECK_TEST(bytes_behind_the_head_are_the_websockets),
      CHECK_TEST(the_chosen_subprotocol),
      CHECK_ROWS(a_subprotocol_not_offered, wrong_subprotocols),
      CHECK_TEST(the_headers_can_be_asked_for),
      CHECK_TEST(a_refused_request_may_try_again),
      CHECK_TEST(a_large_body_ends),
      CHECK_ROWS(a_limit, limits),
      CHECK_TEST(the_default_limits),
      CHECK_TEST(the_handshake_timeout_is_for_all_of_it),
      CHECK_TEST(nobody_listens),
      CHECK_ROWS(a_header_of_the_program, headers),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
