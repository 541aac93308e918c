/* An asynchronous server: requests are reported when their head is there, may be parked and answered from anywhere, and are drained in the end. */
#include "loop.h"

static const delivery deliveries[] = {BY_BATCH, BY_RUN, BY_THREAD};

typedef struct server {
  loop loop;
  ws_handle listener;
  uint16_t port;
} server;

static bool server_open(server *server, delivery delivery) {
  memset(server, 0, sizeof *server);
  return loop_open(&server->loop, delivery) && pair_listen(server->loop.session, "/", &server->listener, &server->port);
}

static void server_close(server *server) {
  CHECK(CLOSE_HANDLE(&server->loop, server->listener));
  loop_close(&server->loop);
}

/* A raw client that has asked for an upgrade. */
static int asks(const server *server, const char *target) {
  int peer = peer_dial(server->port);
  return peer >= 0 && peer_send_upgrade(peer, target, "") ? peer : -1;
}

static int status_of(server *server, int peer) {
  char head[4096];
  return loop_until_readable(&server->loop, peer) && peer_read_head(peer, head, sizeof head) ? peer_http_status(head) : 0;
}

/* ---- accepting ------------------------------------------------------------------------------------------------------------------------------- */

/* Not when TCP is connected, but when the head is there: a slow client never shows up half. */
static void a_request_is_told_with_its_head(size_t row) {
  ws_handle request = WS_NO_HANDLE;
  char target[64];
  size_t length = sizeof target;
  const heard *heard;
  server server;
  int slow, peer;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(server_open(&server, deliveries[row]));
  REQUIRE_STATUS(WS_PENDING, ws_accept(server.listener, &request));
  CHECK(request == WS_NO_HANDLE);
  slow = peer_dial(server.port);
  REQUIRE(slow >= 0 && peer_send_text(slow, "GET /slow HTTP/1.1\r\nHost: 127.0.0.1\r\nUpg"));
  CHECK(HEARS_NOTHING(&server.loop, server.listener, 0, 30));
  peer = asks(&server, "/fast?x=1");
  REQUIRE((heard = HEARS(&server.loop, server.listener, WS_EVENT_ACCEPTED, WS_OK)) != NULL);
  request = heard->event.child;
  CHECK_STATUS(WS_OK, ws_query_option(request, WS_OPTION_TARGET, target, &length));
  CHECK_TEXT("/fast?x=1", target);
  CHECK_STATUS(WS_OK, ws_handshake(request)); /* it is done already */
  CHECK(CLOSE_HANDLE(&server.loop, request));
  CHECK(peer_is_gone(peer));
  REQUIRE(peer_send_text(slow, "rade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " PEER_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n"));
  REQUIRE(loop_accept(&server.loop, server.listener, &request));
  length = sizeof target;
  CHECK_STATUS(WS_OK, ws_query_option(request, WS_OPTION_TARGET, target, &length));
  CHECK_TEXT("/slow", target);
  CHECK(CLOSE_HANDLE(&server.loop, request));
  (void)close(slow), (void)close(peer);
  server_close(&server);
}

/* What the library answers by itself never becomes a request. */
static const struct { const char *request; int status; } answered[] = {
    {"GET /elsewhere HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " PEER_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n", 404},
    {"GET /ws/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " PEER_KEY "\r\nSec-WebSocket-Version: 8\r\n\r\n", 426},
    {"GET /ws/ HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " PEER_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n", 403},
    {"nonsense\r\n\r\n", 400},
};

static void bad_requests_are_answered_by_the_library(size_t row) {
  ws_handle listener = WS_NO_HANDLE, request = WS_NO_HANDLE;
  size_t which = row % CHECK_COUNT(answered);
  delivery delivery = deliveries[row / CHECK_COUNT(answered)];
  char head[4096];
  uint16_t port = 0;
  loop loop;
  int peer;
  check_label("%s, %d", delivery_name(delivery), answered[which].status);
  REQUIRE(loop_open(&loop, delivery));
  REQUIRE(pair_listen(loop.session, "/ws/", &listener, &port));
  REQUIRE_STATUS(WS_PENDING, ws_accept(listener, &request));
  peer = peer_dial(port);
  REQUIRE(peer >= 0 && peer_send_text(peer, answered[which].request));
  REQUIRE(loop_until_readable(&loop, peer) && peer_read_head(peer, head, sizeof head));
  CHECK_NUMBER(answered[which].status, peer_http_status(head));
  CHECK(peer_is_gone(peer));
  CHECK(HEARS_NOTHING(&loop, listener, 0, 10));
  CHECK_STATUS(WS_OK, ws_cancel(listener, WS_OPERATION_ACCEPT));
  CHECK(HEARS(&loop, listener, WS_EVENT_ACCEPTED, WS_ERROR_CANCELLED) != NULL);
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_cancel(listener, WS_OPERATION_ALL));
  CHECK(CLOSE_HANDLE(&loop, listener));
  (void)close(peer);
  loop_close(&loop);
}

/* A head that never ends is dropped, and nobody hears of it. */
static void a_stalled_request_is_dropped(size_t row) {
  ws_handle request = WS_NO_HANDLE;
  server server;
  uint64_t begin;
  int peer;
  check_label("%s", delivery_name(deliveries[row]));
  memset(&server, 0, sizeof server);
  REQUIRE(loop_open(&server.loop, deliveries[row]));
  REQUIRE(pair_set_u32(server.loop.session, WS_OPTION_HANDSHAKE_TIMEOUT, 120));
  REQUIRE(pair_listen(server.loop.session, "/", &server.listener, &server.port));
  REQUIRE_STATUS(WS_PENDING, ws_accept(server.listener, &request));
  peer = peer_dial(server.port);
  begin = check_now_ms();
  REQUIRE(peer >= 0 && peer_send_text(peer, "GET / HTTP/1.1\r\nHo"));
  REQUIRE(loop_until_readable(&server.loop, peer));
  CHECK(peer_is_gone(peer));
  CHECK(check_now_ms() - begin >= 90 && check_now_ms() - begin < 2000);
  CHECK(HEARS_NOTHING(&server.loop, server.listener, 0, 10));
  (void)close(peer);
  CHECK_STATUS(WS_OK, ws_close_handle(server.listener));
  CHECK(HEARS(&server.loop, server.listener, WS_EVENT_ACCEPTED, WS_ERROR_CANCELLED) != NULL);
  CHECK(HEARS(&server.loop, server.listener, WS_EVENT_HANDLE_CLOSED, WS_OK) != NULL);
  loop_close(&server.loop);
}

/* ---- answering ------------------------------------------------------------------------------------------------------------------------------- */

/* A page beside the WebSocket, from the same port. */
static void plain_http_is_left_to_the_program(size_t row) {
  static uint8_t body[200000];
  ws_handle request = WS_NO_HANDLE;
  char head[4096], text[64];
  uint32_t is_websocket = 1;
  size_t length = sizeof is_websocket, got = 0;
  server server;
  int peer;
  check_label("%s", delivery_name(deliveries[row]));
  for (size_t i = 0; i < sizeof body; i++) body[i] = (uint8_t)(i * 31);
  REQUIRE(server_open(&server, deliveries[row]));
  peer = peer_dial(server.port);
  REQUIRE(peer >= 0 && peer_send_text(peer, "GET /page HTTP/1.1\r\nHost: x\r\n\r\n"));
  REQUIRE(loop_accept(&server.loop, server.listener, &request));
  CHECK_STATUS(WS_OK, ws_query_option(request, WS_OPTION_IS_WEBSOCKET, &is_websocket, &length));
  CHECK_NUMBER(0, is_websocket);
  CHECK_STATUS(WS_OK, ws_add_header(request, "X-Colour", "green"));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_respond(request, 101, NULL, NULL, 0));
  ws_status status = ws_respond(request, 200, "text/plain", body, sizeof body);
  memset(body, 0, sizeof body); /* it was copied */
  REQUIRE(loop_until_readable(&server.loop, peer) && peer_read_head(peer, head, sizeof head));
  CHECK_NUMBER(200, peer_http_status(head));
  CHECK(peer_header(head, "X-Colour", text, sizeof text) && CHECK_TEXT("green", text));
  CHECK(peer_header(head, "Content-Length", text, sizeof text) && CHECK_TEXT("200000", text));
  while (got < sizeof body) {
    static uint8_t piece[65536];
    REQUIRE(loop_until_readable(&server.loop, peer));
    ssize_t count = peer_read(peer, piece, sizeof piece);
    REQUIRE(count > 0);
    for (ssize_t i = 0; i < count; i++) REQUIRE(piece[i] == (uint8_t)((got + (size_t)i) * 31));
    got += (size_t)count;
  }
  CHECK_STATUS(WS_OK, loop_end(&server.loop, status, request, WS_EVENT_RESPONDED, NULL));
  CHECK(loop_until_readable(&server.loop, peer) && peer_is_at_end(peer));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_respond(request, 200, NULL, NULL, 0));
  CHECK(CLOSE_HANDLE(&server.loop, request));
  (void)close(peer);
  server_close(&server);
}

/* What a browser sends from a page of the server's own; with a login, once its user has given one. */
static int browses(const server *server, const char *login) {
  char head[1024];
  int peer = peer_dial(server->port);
  (void)snprintf(head, sizeof head,
                 "GET /private HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: keep-alive, Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n"
                 "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nUpgrade: websocket\r\nOrigin: http://127.0.0.1:%u\r\nSec-WebSocket-Version: 13\r\n"
                 "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\nCookie: seen=1\r\n%sSec-WebSocket-Key: " PEER_KEY "\r\n"
                 "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
                 (unsigned)server->port, (unsigned)server->port, login);
  return peer >= 0 && peer_send_text(peer, head) ? peer : -1;
}

/* Before the upgrade the program asks who is there; a browser comes again with the answer, over another connection. */
static void a_login_is_asked_for_before_the_upgrade(size_t row) {
  ws_handle request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  char head[4096], text[128];
  uint8_t page[16];
  size_t length = sizeof text;
  peer_frame frame;
  server server;
  int peer;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(server_open(&server, deliveries[row]));
  peer = browses(&server, "");
  REQUIRE(peer >= 0 && loop_accept(&server.loop, server.listener, &request));
  CHECK_STATUS(WS_ERROR_HEADER_NOT_FOUND, ws_query_header(request, "Authorization", 0, text, &length));
  CHECK_STATUS(WS_OK, ws_add_header(request, "WWW-Authenticate", "Basic realm=\"here\", charset=\"UTF-8\""));
  CHECK_STATUS(WS_OK, loop_end(&server.loop, ws_respond(request, 401, "text/plain", "who are you?", 12), request, WS_EVENT_RESPONDED, NULL));
  REQUIRE(loop_until_readable(&server.loop, peer) && peer_read_head(peer, head, sizeof head));
  CHECK_NUMBER(401, peer_http_status(head));
  CHECK(peer_header(head, "WWW-Authenticate", text, sizeof text) && CHECK_TEXT("Basic realm=\"here\", charset=\"UTF-8\"", text));
  CHECK(!peer_header(head, "Sec-WebSocket-Accept", text, sizeof text));
  CHECK(loop_until_readable(&server.loop, peer) && peer_read_exact(peer, page, 12) && CHECK_BYTES("who are you?", 12, page, 12));
  CHECK(loop_until_readable(&server.loop, peer) && peer_is_at_end(peer));
  /* Too late: it was answered. */
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_complete_upgrade(request, &websocket));
  CHECK(CLOSE_HANDLE(&server.loop, request));
  (void)close(peer);
  peer = browses(&server, "Authorization: Basic dXNlcjpzZWNyZXQ=\r\n");
  REQUIRE(peer >= 0 && loop_accept(&server.loop, server.listener, &request));
  length = sizeof text;
  CHECK_STATUS(WS_OK, ws_query_header(request, "Authorization", 0, text, &length));
  CHECK_TEXT("Basic dXNlcjpzZWNyZXQ=", text);
  REQUIRE(loop_complete(&server.loop, request, &websocket));
  CHECK_NUMBER(101, status_of(&server, peer));
  CHECK_STATUS(WS_OK, ws_send(websocket, WS_UTF8_MESSAGE, "welcome", 7));
  CHECK(loop_until_readable(&server.loop, peer) && peer_read_frame(peer, &frame) && CHECK_BYTES("welcome", 7, frame.payload, frame.length));
  CHECK(CLOSE_HANDLE(&server.loop, websocket));
  CHECK(CLOSE_HANDLE(&server.loop, request));
  (void)close(peer);
  server_close(&server);
}

typedef struct parked { ws_handle request, websocket; bool refuse; ws_status status; pthread_t thread; } parked;

static void *answer_later(void *argument) {
  parked *parked = argument;
  const struct timespec moment = {0, 2000000};
  (void)nanosleep(&moment, NULL);
  parked->status = parked->refuse ? ws_respond(parked->request, 503, "text/plain", "later", 5) : ws_complete_upgrade(parked->request, &parked->websocket);
  return NULL;
}

/* Requests wait as long as the program likes, and are answered by other threads, in another order. */
static void parked_requests_are_answered_later(size_t row) {
  enum { PARKED = 8 };
  parked parked[PARKED];
  int peers[PARKED];
  server server;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(server_open(&server, deliveries[row]));
  for (int i = 0; i < PARKED; i++) {
    peers[i] = asks(&server, "/");
    REQUIRE(peers[i] >= 0 && loop_accept(&server.loop, server.listener, &parked[i].request));
    parked[i].websocket = WS_NO_HANDLE;
    parked[i].refuse = i % 3 == 0;
  }
  loop_pass(&server.loop, 20);
  for (int i = PARKED - 1; i >= 0; i--) REQUIRE(pthread_create(&parked[i].thread, NULL, answer_later, &parked[i]) == 0);
  for (int i = 0; i < PARKED; i++) {
    (void)pthread_join(parked[i].thread, NULL);
    CHECK_NUMBER(parked[i].refuse ? 503 : 101, status_of(&server, peers[i]));
    if (parked[i].status == WS_PENDING) {
      const heard *heard = HEARS(&server.loop, parked[i].request, parked[i].refuse ? WS_EVENT_RESPONDED : WS_EVENT_UPGRADED, WS_OK);
      REQUIRE(heard != NULL);
      parked[i].websocket = heard->event.child;
    } else {
      CHECK_STATUS(WS_OK, parked[i].status);
    }
    if (!parked[i].refuse) CHECK(CLOSE_HANDLE(&server.loop, parked[i].websocket));
    CHECK(CLOSE_HANDLE(&server.loop, parked[i].request));
    (void)close(peers[i]);
  }
  server_close(&server);
}

/* The client has gone while its request was parked. */
static void a_parked_client_may_vanish(size_t row) {
  ws_handle request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  const heard *heard = NULL;
  server server;
  ws_status status;
  int peer;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(server_open(&server, deliveries[row]));
  peer = asks(&server, "/");
  REQUIRE(loop_accept(&server.loop, server.listener, &request));
  peer_reset(peer);
  loop_pass(&server.loop, 20);
  status = loop_end(&server.loop, ws_complete_upgrade(request, &websocket), request, WS_EVENT_UPGRADED, &heard);
  if (status == WS_OK) { /* nobody had looked: the websocket tells */
    static uint8_t room[8];
    size_t received;
    ws_buffer_type type;
    if (heard != NULL) websocket = heard->event.child;
    CHECK_STATUS(WS_ERROR_CONNECTION, loop_end(&server.loop, ws_receive(websocket, room, sizeof room, &received, &type), websocket, WS_EVENT_RECEIVED, NULL));
    CHECK(CLOSE_HANDLE(&server.loop, websocket));
  } else {
    CHECK_STATUS(WS_ERROR_CONNECTION, status);
  }
  CHECK(CLOSE_HANDLE(&server.loop, request));
  server_close(&server);
}

/* ---- children --------------------------------------------------------------------------------------------------------------------------------- */

/* Callback, context and options come down from the listener to the request to the websocket. */
static void children_inherit(size_t row) {
  static int marks[2];
  ws_handle request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  void *context = &marks[0], *seen = NULL;
  size_t length = sizeof seen;
  uint32_t limit = 0;
  const heard *heard;
  server server;
  int peer;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(server_open(&server, deliveries[row]));
  CHECK_STATUS(WS_OK, ws_set_option(server.listener, WS_OPTION_CONTEXT, &context, sizeof context));
  REQUIRE(pair_set_u32(server.listener, WS_OPTION_CLOSE_TIMEOUT, 1234));
  peer = asks(&server, "/");
  REQUIRE(loop_accept(&server.loop, server.listener, &request));
  CHECK_STATUS(WS_OK, ws_query_option(request, WS_OPTION_CONTEXT, &seen, &length));
  CHECK(seen == context);
  context = &marks[1];
  CHECK_STATUS(WS_OK, ws_set_option(request, WS_OPTION_CONTEXT, &context, sizeof context));
  REQUIRE(loop_complete(&server.loop, request, &websocket));
  length = sizeof limit;
  CHECK_STATUS(WS_OK, ws_query_option(websocket, WS_OPTION_CLOSE_TIMEOUT, &limit, &length));
  CHECK_NUMBER(1234, limit);
  CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  REQUIRE((heard = HEARS(&server.loop, websocket, WS_EVENT_HANDLE_CLOSED, WS_OK)) != NULL);
  CHECK(heard->event.context == &marks[1]);
  CHECK(CLOSE_HANDLE(&server.loop, request));
  (void)close(peer);
  server_close(&server);
}

static void websockets_are_limited(size_t row) {
  ws_handle requests[3], websockets[3];
  int peers[3];
  server server;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(server_open(&server, deliveries[row]));
  REQUIRE(pair_set_u32(server.listener, WS_OPTION_MAX_CONNECTIONS, 2));
  for (int i = 0; i < 2; i++) {
    peers[i] = asks(&server, "/");
    REQUIRE(loop_accept(&server.loop, server.listener, &requests[i]) && loop_complete(&server.loop, requests[i], &websockets[i]));
    CHECK_NUMBER(101, status_of(&server, peers[i]));
  }
  REQUIRE_STATUS(WS_PENDING, ws_accept(server.listener, &requests[2]));
  peers[2] = asks(&server, "/");
  CHECK_NUMBER(503, status_of(&server, peers[2]));
  (void)close(peers[2]);
  CHECK(CLOSE_HANDLE(&server.loop, websockets[0])); /* makes room */
  peers[2] = asks(&server, "/");
  const heard *heard = HEARS(&server.loop, server.listener, WS_EVENT_ACCEPTED, WS_OK);
  REQUIRE(heard != NULL && loop_complete(&server.loop, heard->event.child, &websockets[2]));
  CHECK_NUMBER(101, status_of(&server, peers[2]));
  CHECK(CLOSE_HANDLE(&server.loop, heard->event.child));
  for (int i = 0; i < 3; i++) {
    if (i > 0) CHECK(CLOSE_HANDLE(&server.loop, websockets[i]));
    if (i < 2) CHECK(CLOSE_HANDLE(&server.loop, requests[i]));
    (void)close(peers[i]);
  }
  server_close(&server);
}

/* A request that is not answered takes a place; clients wait in the backlog for the next. */
static void unanswered_requests_are_limited(size_t row) {
  ws_handle requests[3];
  int peers[3];
  server server;
  check_label("%s", delivery_name(deliveries[row]));
  memset(&server, 0, sizeof server);
  REQUIRE(loop_open(&server.loop, deliveries[row]));
  REQUIRE(pair_set_u32(server.loop.session, WS_OPTION_MAX_HANDSHAKES, 2));
  REQUIRE(pair_listen(server.loop.session, "/", &server.listener, &server.port));
  for (int i = 0; i < 2; i++) {
    peers[i] = asks(&server, "/");
    REQUIRE(loop_accept(&server.loop, server.listener, &requests[i]));
  }
  REQUIRE_STATUS(WS_PENDING, ws_accept(server.listener, &requests[2]));
  peers[2] = asks(&server, "/");
  CHECK(HEARS_NOTHING(&server.loop, server.listener, 0, 50));
  ws_status status = ws_respond(requests[0], 404, NULL, NULL, 0);
  CHECK_NUMBER(404, status_of(&server, peers[0]));
  CHECK_STATUS(WS_OK, loop_end(&server.loop, status, requests[0], WS_EVENT_RESPONDED, NULL));
  CHECK(CLOSE_HANDLE(&server.loop, requests[0]));
  const heard *heard = HEARS(&server.loop, server.listener, WS_EVENT_ACCEPTED, WS_OK);
  REQUIRE(heard != NULL);
  CHECK(CLOSE_HANDLE(&server.loop, heard->event.child));
  CHECK(CLOSE_HANDLE(&server.loop, requests[1]));
  for (int i = 0; i < 3; i++) (void)close(peers[i]);
  server_close(&server);
}

/* ---- draining --------------------------------------------------------------------------------------------------------------------------------- */

enum { DRAINED = 12 };

typedef struct drain { server server; int peers[DRAINED]; ws_handle websockets[DRAINED]; } drain;

static bool drain_open(drain *drain, delivery delivery) {
  if (!server_open(&drain->server, delivery)) return false;
  for (int i = 0; i < DRAINED; i++) {
    ws_handle request = WS_NO_HANDLE;
    drain->peers[i] = asks(&drain->server, "/");
    if (!loop_accept(&drain->server.loop, drain->server.listener, &request) || !loop_complete(&drain->server.loop, request, &drain->websockets[i]) ||
        status_of(&drain->server, drain->peers[i]) != 101 || !CLOSE_HANDLE(&drain->server.loop, request))
      return false;
  }
  return true;
}

static void drain_close(drain *drain) {
  for (int i = 0; i < DRAINED; i++) {
    CHECK(CLOSE_HANDLE(&drain->server.loop, drain->websockets[i]));
    (void)close(drain->peers[i]);
  }
  server_close(&drain->server);
}

/* Everybody is told, spread over the window; who answers is done, and when all are, so is the drain. */
static void a_drain_says_goodbye_to_everybody(size_t row) {
  static const uint8_t goodbye[] = {0x03, 0xf4};
  ws_handle request = WS_NO_HANDLE;
  uint64_t begin, took;
  drain drain;
  pair pair;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(drain_open(&drain, deliveries[row]));
  REQUIRE_STATUS(WS_PENDING, ws_accept(drain.server.listener, &request));
  begin = check_now_ms();
  REQUIRE_STATUS(WS_PENDING, ws_drain(drain.server.listener, 1012, 200, 5000));
  CHECK(HEARS(&drain.server.loop, drain.server.listener, WS_EVENT_ACCEPTED, WS_ERROR_CANCELLED) != NULL);
  CHECK(ws_accept(drain.server.listener, &request) != WS_PENDING);
  for (int i = 0; i < DRAINED; i++) {
    memset(&pair, 0, sizeof pair);
    pair.role = LIBRARY_IS_SERVER;
    pair.peer = drain.peers[i];
    CHECK(LOOP_PEER_GETS(&drain.server.loop, &pair, PEER_FIN | PEER_CLOSE, goodbye, 2));
    if (i + 1 < DRAINED) CHECK_NUMBER(0, loop_count(drain.server.listener, WS_EVENT_DRAINED));
    CHECK(pair_peer_closes(&pair, 1012, ""));
  }
  CHECK(HEARS(&drain.server.loop, drain.server.listener, WS_EVENT_DRAINED, WS_OK) != NULL);
  took = check_now_ms() - begin;
  CHECK(took >= 100 && took < 3000); /* the close frames were spread, and nobody waited for the deadline */
  drain_close(&drain);
}

/* A client that has its 101 while a drain is under way hears of it like everybody else. */
static void who_is_upgraded_during_a_drain_is_told_too(size_t row) {
  static const uint8_t goodbye[] = {0x03, 0xe9};
  ws_handle request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  drain drain;
  pair pair;
  int peer;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(drain_open(&drain, deliveries[row]));
  peer = asks(&drain.server, "/");
  REQUIRE(loop_accept(&drain.server.loop, drain.server.listener, &request));
  REQUIRE_STATUS(WS_PENDING, ws_drain(drain.server.listener, 1001, 0, 5000));
  loop_pass(&drain.server.loop, 10);
  REQUIRE(loop_complete(&drain.server.loop, request, &websocket));
  REQUIRE(CLOSE_HANDLE(&drain.server.loop, request));
  CHECK_NUMBER(101, status_of(&drain.server, peer));
  for (int i = 0; i <= DRAINED; i++) {
    memset(&pair, 0, sizeof pair);
    pair.role = LIBRARY_IS_SERVER;
    pair.peer = i == 0 ? peer : drain.peers[i - 1];
    CHECK(LOOP_PEER_GETS(&drain.server.loop, &pair, PEER_FIN | PEER_CLOSE, goodbye, 2));
    if (i < DRAINED) CHECK_NUMBER(0, loop_count(drain.server.listener, WS_EVENT_DRAINED));
    CHECK(pair_peer_closes(&pair, 1001, ""));
  }
  CHECK(HEARS(&drain.server.loop, drain.server.listener, WS_EVENT_DRAINED, WS_OK) != NULL);
  CHECK(CLOSE_HANDLE(&drain.server.loop, websocket));
  (void)close(peer);
  drain_close(&drain);
}

/* Who does not answer is cut at the deadline. */
static void a_drain_cuts_the_rest(size_t row) {
  uint64_t begin, took;
  drain drain;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(drain_open(&drain, deliveries[row]));
  begin = check_now_ms();
  REQUIRE_STATUS(WS_PENDING, ws_drain(drain.server.listener, 1001, 0, 150));
  const heard *heard = AWAIT(&drain.server.loop, drain.server.listener, WS_EVENT_DRAINED);
  REQUIRE(heard != NULL);
  took = check_now_ms() - begin;
  CHECK(took >= 120 && took < 2000);
  for (int i = 0; i < DRAINED; i++) CHECK(peer_is_gone(drain.peers[i]));
  drain_close(&drain);
}

static void an_empty_drain_is_over_at_once(size_t row) {
  server server;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(server_open(&server, deliveries[row]));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_drain(server.listener, 1006, 0, 100));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_TYPE, ws_drain(server.loop.session, 1001, 0, 100));
  CHECK_STATUS(WS_OK, loop_end(&server.loop, ws_drain(server.listener, 1001, 0, 0), server.listener, WS_EVENT_DRAINED, NULL));
  server_close(&server);
}

/* The listener is closed in the middle: cancelled; the drain without a deadline would have waited for ever. */
static void a_drain_ends_with_its_listener(size_t row) {
  drain drain;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(drain_open(&drain, deliveries[row]));
  REQUIRE_STATUS(WS_PENDING, ws_drain(drain.server.listener, 1001, 0, 0));
  loop_pass(&drain.server.loop, 10);
  CHECK_NUMBER(0, loop_count(drain.server.listener, WS_EVENT_DRAINED));
  CHECK_STATUS(WS_OK, ws_close_handle(drain.server.listener));
  CHECK(HEARS(&drain.server.loop, drain.server.listener, WS_EVENT_DRAINED, WS_ERROR_CANCELLED) != NULL);
  CHECK(HEARS(&drain.server.loop, drain.server.listener, WS_EVENT_HANDLE_CLOSED, WS_OK) != NULL);
  for (int i = 0; i < DRAINED; i++) {
    CHECK(CLOSE_HANDLE(&drain.server.loop, drain.websockets[i]));
    (void)close(drain.peers[i]);
  }
  loop_close(&drain.server.loop);
}

/* ---- many threads ------------------------------------------------------------------------------------------------------------------------------ */

enum { CLIENTS = 60 };

static struct { ws_handle websockets[CLIENTS]; size_t count; } greeted;

static void greet_websocket(ws_handle websocket) {
  (void)pthread_mutex_lock(&hearing.mutex);
  if (greeted.count < CLIENTS) greeted.websockets[greeted.count++] = websocket;
  (void)pthread_mutex_unlock(&hearing.mutex);
  CHECK_STATUS(WS_OK, ws_send(websocket, WS_UTF8_MESSAGE, "hi", 2));
}

static void upgrade(ws_handle request) {
  ws_handle websocket;
  ws_status status = ws_complete_upgrade(request, &websocket);
  if (status == WS_OK) greet_websocket(websocket), CHECK_STATUS(WS_OK, ws_close_handle(request));
  else CHECK_STATUS(WS_PENDING, status);
}

static void greet(const ws_event *event) {
  ws_handle request;
  ws_status status;
  if (event->type == WS_EVENT_ACCEPTED && event->status == WS_OK) {
    upgrade(event->child);
    while ((status = ws_accept(event->handle, &request)) == WS_OK) upgrade(request);
    CHECK(status == WS_PENDING || status == WS_ERROR_INVALID_HANDLE || status == WS_ERROR_CANCELLED);
  } else if (event->type == WS_EVENT_UPGRADED && event->status == WS_OK) {
    greet_websocket(event->child);
    CHECK_STATUS(WS_OK, ws_close_handle(event->handle));
  }
}

/* One listener on three of the library's threads: everybody is served. */
static void a_listener_is_on_several_loops(void) {
  static peer_frame frame;
  ws_handle listener = WS_NO_HANDLE, request;
  int peers[CLIENTS];
  uint16_t port = 0;
  char head[4096];
  loop loop;
  greeted.count = 0;
  REQUIRE(loop_open(&loop, BY_THREAD));
  loop_react(greet);
  REQUIRE(pair_set_u32(loop.session, WS_OPTION_IO_THREADS, 3));
  REQUIRE(pair_listen(loop.session, "/", &listener, &port));
  REQUIRE_STATUS(WS_PENDING, ws_accept(listener, &request));
  for (int i = 0; i < CLIENTS; i++) {
    peers[i] = peer_dial(port);
    REQUIRE(peers[i] >= 0 && peer_send_upgrade(peers[i], "/", ""));
  }
  for (int i = 0; i < CLIENTS; i++) {
    REQUIRE(peer_read_head(peers[i], head, sizeof head) && CHECK_NUMBER(101, peer_http_status(head)));
    REQUIRE(peer_read_frame(peers[i], &frame) && frame.length == 2);
  }
  CHECK_NUMBER(CLIENTS, (int64_t)greeted.count);
  CHECK(check_threads() >= 5); /* the three, the case's and the process's own */
  CHECK_STATUS(WS_OK, ws_close_handle(listener));
  CHECK(HEARS(&loop, listener, WS_EVENT_HANDLE_CLOSED, WS_OK) != NULL);
  for (int i = 0; i < CLIENTS; i++) {
    CHECK(CLOSE_HANDLE(&loop, greeted.websockets[i]));
    (void)close(peers[i]);
  }
  loop_close(&loop);
}

int main(int argc, char **argv) {
  static const int twelve[12];
  static const check_test tests[] = {
      CHECK_ROWS(a_request_is_told_with_its_head, deliveries),
      CHECK_ROWS(bad_requests_are_answered_by_the_library, twelve),
      CHECK_ROWS(a_stalled_request_is_dropped, deliveries),
      CHECK_ROWS(plain_http_is_left_to_the_program, deliveries),
      CHECK_ROWS(a_login_is_asked_for_before_the_upgrade, deliveries),
      CHECK_ROWS(parked_requests_are_answered_later, deliveries),
      CHECK_ROWS(a_parked_client_may_vanish, deliveries),
      CHECK_ROWS(children_inherit, deliveries),
      CHECK_ROWS(websockets_are_limited, deliveries),
      CHECK_ROWS(unanswered_requests_are_limited, deliveries),
      CHECK_ROWS(a_drain_says_goodbye_to_everybody, deliveries),
      CHECK_ROWS(who_is_upgraded_during_a_drain_is_told_too, deliveries),
      CHECK_ROWS(a_drain_cuts_the_rest, deliveries),
      CHECK_ROWS(an_empty_drain_is_over_at_once, deliveries),
      CHECK_ROWS(a_drain_ends_with_its_listener, deliveries),
      CHECK_TEST(a_listener_is_on_several_loops),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
