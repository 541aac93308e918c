/* An asynchronous client's way to a connection: every stage ends by one event, can be cancelled, closed and timed out, and is told apart. */
#include "loop.h"

static const delivery deliveries[] = {BY_BATCH, BY_RUN, BY_THREAD};

static const char *url_of(uint16_t port) {
  static char url[64];
  (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/path", (unsigned)port);
  return url;
}

/* A raw server that does its part while the loop is driven: reads the head, and sends an answer. */
static bool peer_serves(loop *loop, int listener, const char *answer, int *peer) {
  char head[4096];
  struct pollfd entry = {listener, POLLIN, 0};
  for (uint64_t until = check_now_ms() + PEER_WAIT_MS; poll(&entry, 1, 0) != 1 && check_now_ms() < until;) loop_pass(loop, 1);
  *peer = peer_accept(listener);
  if (*peer < 0 || !loop_until_readable(loop, *peer) || !peer_read_head(*peer, head, sizeof head)) return false;
  return answer == NULL ? peer_answer_upgrade(*peer, head, "") : peer_send_text(*peer, answer);
}

/* ---- ends ------------------------------------------------------------------------------------------------------------------------------- */

static void a_handshake_and_an_upgrade_are_two_events(size_t row) {
  ws_handle request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  uint16_t port = 0, http_status = 0;
  int listener = peer_listen(&port), peer = -1;
  loop loop;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(loop_open(&loop, deliveries[row]));
  REQUIRE_STATUS(WS_OK, ws_connect(loop.session, url_of(port), &request));
  REQUIRE_STATUS(WS_PENDING, ws_handshake(request));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_handshake(request));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_complete_upgrade(request, &websocket));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_query_response(request, &http_status));
  REQUIRE(peer_serves(&loop, listener, NULL, &peer));
  CHECK(HEARS(&loop, request, WS_EVENT_HANDSHAKEN, WS_OK) != NULL);
  CHECK_STATUS(WS_OK, ws_query_response(request, &http_status));
  CHECK_NUMBER(101, http_status);
  REQUIRE(loop_complete(&loop, request, &websocket));
  CHECK_STATUS(WS_OK, ws_send(websocket, WS_UTF8_MESSAGE, "up", 2));
  CHECK(loop_until_readable(&loop, peer));
  CHECK(CLOSE_HANDLE(&loop, websocket));
  CHECK(CLOSE_HANDLE(&loop, request));
  (void)close(peer);
  (void)close(listener);
  loop_close(&loop);
}

/* Bytes that come right behind the answer belong to the WebSocket. */
static void what_follows_the_answer_is_received(size_t row) {
  ws_handle request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  uint16_t port = 0;
  int listener = peer_listen(&port), peer = -1;
  char head[4096], key[100], accept_value[32], answer[512];
  const heard *heard = NULL;
  loop loop;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(loop_open(&loop, deliveries[row]));
  REQUIRE_STATUS(WS_OK, ws_connect(loop.session, url_of(port), &request));
  REQUIRE_STATUS(WS_PENDING, ws_complete_upgrade(request, &websocket));
  loop_pass(&loop, 5);
  peer = peer_accept(listener);
  REQUIRE(peer >= 0 && loop_until_readable(&loop, peer) && peer_read_head(peer, head, sizeof head));
  REQUIRE(peer_header(head, "Sec-WebSocket-Key", key, sizeof key));
  peer_accept_value(key, accept_value);
  (void)snprintf(answer, sizeof answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n\x81\x05hello\x81\x05", accept_value);
  REQUIRE(peer_send_text(peer, answer));
  REQUIRE((heard = HEARS(&loop, request, WS_EVENT_UPGRADED, WS_OK)) != NULL);
  websocket = heard->event.child;
  CHECK(LOOP_RECEIVES(&loop, websocket, 9, WS_UTF8_MESSAGE, "hello", 5));
  REQUIRE(peer_send_text(peer, "again"));
  CHECK(LOOP_RECEIVES(&loop, websocket, 9, WS_UTF8_MESSAGE, "again", 5));
  CHECK(CLOSE_HANDLE(&loop, websocket));
  CHECK(CLOSE_HANDLE(&loop, request));
  (void)close(peer);
  (void)close(listener);
  loop_close(&loop);
}

/* The request tells why, and is used for another attempt. */
static void a_refusal_can_be_read(size_t row) {
  static const char refusal[] = "HTTP/1.1 403 Forbidden\r\nX-Reason: Tuesday\r\nContent-Length: 7\r\n\r\nnot now";
  ws_handle request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  uint16_t port = 0, http_status = 0;
  int listener = peer_listen(&port), peer = -1, second = -1;
  char text[64];
  size_t length = sizeof text;
  const heard *heard;
  loop loop;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(loop_open(&loop, deliveries[row]));
  REQUIRE_STATUS(WS_OK, ws_connect(loop.session, url_of(port), &request));
  REQUIRE_STATUS(WS_PENDING, ws_complete_upgrade(request, &websocket));
  REQUIRE(peer_serves(&loop, listener, refusal, &peer));
  REQUIRE((heard = HEARS(&loop, request, WS_EVENT_UPGRADED, WS_ERROR_UPGRADE_REFUSED)) != NULL);
  CHECK(heard->event.child == WS_NO_HANDLE);
  CHECK_NUMBER(403, heard->error.http_status);
  CHECK_STATUS(WS_OK, ws_query_response(request, &http_status));
  CHECK_NUMBER(403, http_status);
  CHECK_STATUS(WS_OK, ws_query_header(request, "x-reason", 0, text, &length));
  CHECK_TEXT("Tuesday", text);
  CHECK_STATUS(WS_OK, ws_read_body(request, text, sizeof text, &length));
  CHECK_BYTES("not now", 7, text, length);
  CHECK_STATUS(WS_ERROR_UPGRADE_REFUSED, loop_end(&loop, ws_complete_upgrade(request, &websocket), request, WS_EVENT_UPGRADED, NULL));
  REQUIRE_STATUS(WS_PENDING, ws_handshake(request));
  REQUIRE(peer_serves(&loop, listener, NULL, &second));
  REQUIRE(HEARS(&loop, request, WS_EVENT_HANDSHAKEN, WS_OK) != NULL);
  REQUIRE(loop_complete(&loop, request, &websocket));
  CHECK(CLOSE_HANDLE(&loop, websocket));
  CHECK(CLOSE_HANDLE(&loop, request));
  (void)close(peer), (void)close(second), (void)close(listener);
  loop_close(&loop);
}

static const struct { const char *answer; ws_status status; } bad_answers[] = {
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n", WS_ERROR_INVALID_SERVER_RESPONSE},
    {"SSH-2.0-OpenSSH\r\n\r\n", WS_ERROR_INVALID_SERVER_RESPONSE},
    {"", WS_ERROR_CONNECTION},
};

static void a_bad_answer_is_told(size_t row) {
  ws_handle request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  size_t answer = row % CHECK_COUNT(bad_answers);
  uint16_t port = 0;
  int listener = peer_listen(&port), peer = -1;
  loop loop;
  check_label("%s, answer %zu", delivery_name(deliveries[row / CHECK_COUNT(bad_answers)]), answer);
  REQUIRE(loop_open(&loop, deliveries[row / CHECK_COUNT(bad_answers)]));
  REQUIRE_STATUS(WS_OK, ws_connect(loop.session, url_of(port), &request));
  REQUIRE_STATUS(WS_PENDING, ws_complete_upgrade(request, &websocket));
  REQUIRE(peer_serves(&loop, listener, bad_answers[answer].answer, &peer));
  (void)shutdown(peer, SHUT_WR);
  CHECK(HEARS(&loop, request, WS_EVENT_UPGRADED, bad_answers[answer].status) != NULL);
  CHECK(HEARS_NOTHING(&loop, request, 0, 10));
  CHECK(peer_is_gone(peer));
  CHECK(CLOSE_HANDLE(&loop, request));
  (void)close(peer), (void)close(listener);
  loop_close(&loop);
}

/* A port without a listener; a name without an address. Neither holds the loop up. */
static const struct { const char *url; ws_status status; ws_phase phase; } nowhere[] = {
    {"ws://127.0.0.1:1/", WS_ERROR_CANNOT_CONNECT, WS_PHASE_CONNECT},
    {"ws://[::1]:1/", WS_ERROR_CANNOT_CONNECT, WS_PHASE_CONNECT},
    {"ws://no-such-host.invalid/", WS_ERROR_NAME_NOT_RESOLVED, WS_PHASE_RESOLVE},
};

static void nobody_is_there(size_t row) {
  ws_handle request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  size_t where = row % CHECK_COUNT(nowhere);
  const heard *heard;
  loop loop;
  check_label("%s, %s", delivery_name(deliveries[row / CHECK_COUNT(nowhere)]), nowhere[where].url);
  REQUIRE(loop_open(&loop, deliveries[row / CHECK_COUNT(nowhere)]));
  REQUIRE_STATUS(WS_OK, ws_connect(loop.session, nowhere[where].url, &request));
  for (int i = 0; i < 2; i++) {
    uint64_t begin = check_now_ms();
    REQUIRE_STATUS(WS_PENDING, ws_complete_upgrade(request, &websocket));
    CHECK(check_now_ms() - begin < 500); /* not even for the name */
    heard = loop_await_for(&loop, request, WS_EVENT_UPGRADED, 15000); /* a resolver may take its time to say no */
    REQUIRE(heard != NULL);
    CHECK_NUMBER(nowhere[where].status, heard->event.status);
    CHECK_NUMBER(nowhere[where].phase, heard->error.phase);
  }
  CHECK(CLOSE_HANDLE(&loop, request));
  loop_close(&loop);
}

/* A name is looked up off the loop, which goes on meanwhile. */
static void a_name_is_resolved(size_t row) {
  ws_handle request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  uint16_t port = 0;
  char url[64];
  int listener = peer_listen(&port), peer = -1;
  const heard *heard;
  loop loop;
  check_label("%s", delivery_name(deliveries[row]));
  (void)snprintf(url, sizeof url, "ws://localhost:%u/", (unsigned)port);
  REQUIRE(loop_open(&loop, deliveries[row]));
  REQUIRE_STATUS(WS_OK, ws_connect(loop.session, url, &request));
  REQUIRE_STATUS(WS_PENDING, ws_complete_upgrade(request, &websocket));
  REQUIRE(peer_serves(&loop, listener, NULL, &peer));
  REQUIRE((heard = HEARS(&loop, request, WS_EVENT_UPGRADED, WS_OK)) != NULL);
  CHECK(CLOSE_HANDLE(&loop, heard->event.child));
  CHECK(CLOSE_HANDLE(&loop, request));
  (void)close(peer), (void)close(listener);
  loop_close(&loop);
}

/* ---- stalls ------------------------------------------------------------------------------------------------------------------------------ */

typedef enum stall { BEFORE_ACCEPT, BEFORE_ANSWER, IN_THE_ANSWER, STALLS } stall;
typedef enum way_out { BY_TIME, BY_CANCEL, BY_CLOSE, WAYS_OUT } way_out;

static const struct { way_out out; ws_status status; const char *name; } ways_out[] = {
    {BY_TIME, WS_ERROR_TIMEOUT, "timeout"}, {BY_CANCEL, WS_ERROR_CANCELLED, "cancel"}, {BY_CLOSE, WS_ERROR_CANCELLED, "close"}};
static const char *const stall_names[] = {"nobody accepts", "no answer", "half an answer"};

static void a_stall_is_ended(size_t row) {
  ws_handle request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  stall stall = (enum stall)(row % STALLS);
  size_t out = row / STALLS % WAYS_OUT;
  delivery delivery = deliveries[row / STALLS / WAYS_OUT];
  uint16_t port = 0;
  int listener = peer_listen(&port), peer = -1;
  loop loop;
  check_label("%s, %s, %s", delivery_name(delivery), stall_names[stall], ways_out[out].name);
  REQUIRE(loop_open(&loop, delivery));
  if (ways_out[out].out == BY_TIME) REQUIRE(pair_set_u32(loop.session, WS_OPTION_HANDSHAKE_TIMEOUT, 120));
  REQUIRE_STATUS(WS_OK, ws_connect(loop.session, url_of(port), &request));
  REQUIRE_STATUS(WS_PENDING, ws_complete_upgrade(request, &websocket));
  if (stall != BEFORE_ACCEPT) REQUIRE(peer_serves(&loop, listener, stall == BEFORE_ANSWER ? "" : "HTTP/1.1 101 Switching Prot", &peer));
  else loop_pass(&loop, 10);
  if (ways_out[out].out != BY_TIME) CHECK(HEARS_NOTHING(&loop, request, 0, 20));
  if (ways_out[out].out == BY_CANCEL) CHECK_STATUS(WS_OK, ws_cancel(request, WS_OPERATION_UPGRADE));
  if (ways_out[out].out == BY_CLOSE) CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK(HEARS(&loop, request, WS_EVENT_UPGRADED, ways_out[out].status) != NULL);
  if (peer >= 0) CHECK(peer_is_gone(peer));
  if (ways_out[out].out == BY_CLOSE) CHECK(HEARS(&loop, request, WS_EVENT_HANDLE_CLOSED, WS_OK) != NULL);
  else CHECK(CLOSE_HANDLE(&loop, request));
  if (peer >= 0) (void)close(peer);
  (void)close(listener);
  loop_close(&loop);
}

/* Cancelled and begun again, as often as one likes. */
static void a_cancelled_handshake_begins_anew(size_t row) {
  ws_handle request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  uint16_t port = 0;
  int listener = peer_listen(&port), peer = -1;
  const heard *heard;
  loop loop;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(loop_open(&loop, deliveries[row]));
  REQUIRE_STATUS(WS_OK, ws_connect(loop.session, url_of(port), &request));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_cancel(request, WS_OPERATION_ALL));
  for (int i = 0; i < 4; i++) {
    REQUIRE_STATUS(WS_PENDING, i % 2 == 0 ? ws_handshake(request) : ws_complete_upgrade(request, &websocket));
    CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_cancel(request, i % 2 == 0 ? WS_OPERATION_UPGRADE : WS_OPERATION_HANDSHAKE));
    CHECK_STATUS(WS_OK, ws_cancel(request, WS_OPERATION_ALL));
    CHECK(HEARS(&loop, request, i % 2 == 0 ? WS_EVENT_HANDSHAKEN : WS_EVENT_UPGRADED, WS_ERROR_CANCELLED) != NULL);
  }
  for (struct pollfd entry = {listener, POLLIN, 0}; poll(&entry, 1, 20) == 1;) (void)close(accept(listener, NULL, NULL)); /* those of before */
  REQUIRE_STATUS(WS_PENDING, ws_complete_upgrade(request, &websocket));
  REQUIRE(peer_serves(&loop, listener, NULL, &peer));
  REQUIRE((heard = HEARS(&loop, request, WS_EVENT_UPGRADED, WS_OK)) != NULL);
  CHECK(CLOSE_HANDLE(&loop, heard->event.child));
  CHECK(CLOSE_HANDLE(&loop, request));
  (void)close(peer), (void)close(listener);
  loop_close(&loop);
}

/* ---- a socket that is connected already ---------------------------------------------------------------------------------------------------- */

static void descriptors_become_requests(size_t row) {
  ws_handle client = WS_NO_HANDLE, server = WS_NO_HANDLE, websockets[2] = {WS_NO_HANDLE, WS_NO_HANDLE};
  const heard *heard;
  int ends[2];
  loop loop;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  REQUIRE(loop_open(&loop, deliveries[row]));
  REQUIRE_STATUS(WS_OK, ws_connect_descriptor(loop.session, ends[0], "ws://somewhere/x", &client));
  REQUIRE_STATUS(WS_OK, ws_accept_descriptor(loop.session, ends[1], &server));
  REQUIRE_STATUS(WS_PENDING, ws_complete_upgrade(client, &websockets[0]));
  REQUIRE(loop_complete(&loop, server, &websockets[1]));
  REQUIRE((heard = HEARS(&loop, client, WS_EVENT_UPGRADED, WS_OK)) != NULL);
  websockets[0] = heard->event.child;
  CHECK_STATUS(WS_OK, ws_send(websockets[0], WS_UTF8_MESSAGE, "to the server", 13));
  CHECK(LOOP_RECEIVES(&loop, websockets[1], 20, WS_UTF8_MESSAGE, "to the server", 13));
  CHECK_STATUS(WS_OK, ws_send(websockets[1], WS_UTF8_MESSAGE, "to the client", 13));
  CHECK(LOOP_RECEIVES(&loop, websockets[0], 20, WS_UTF8_MESSAGE, "to the client", 13));
  CHECK(CLOSE_HANDLE(&loop, websockets[0]) && CLOSE_HANDLE(&loop, websockets[1]) && CLOSE_HANDLE(&loop, client) && CLOSE_HANDLE(&loop, server));
  loop_close(&loop);
}

int main(int argc, char **argv) {
  static const int nine[9], stalls[27];
  static const check_test tests[] = {
      CHECK_ROWS(a_handshake_and_an_upgrade_are_two_events, deliveries),
      CHECK_ROWS(what_follows_the_answer_is_received, deliveries),
      CHECK_ROWS(a_refusal_can_be_read, deliveries),
      CHECK_ROWS(a_bad_answer_is_told, nine),
      CHECK_ROWS(nobody_is_there, nine),
      CHECK_ROWS(a_name_is_resolved, deliveries),
      CHECK_ROWS(a_stall_is_ended, stalls),
      CHECK_ROWS(a_cancelled_handshake_begins_anew, deliveries),
      CHECK_ROWS(descriptors_become_requests, deliveries),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
