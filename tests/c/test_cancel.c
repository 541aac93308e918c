/* ws_cancel: waits end with 12017, what they waited on lives on, and the next call waits again. */
#include "pair.h"

/* A thread in a call that waits. */
typedef struct waiting {
  ws_status (*call)(struct waiting *waiting);
  ws_handle handle, made;
  ws_status status;
  pthread_t thread;
} waiting;

static void *wait_in_thread(void *argument) {
  waiting *waiting = argument;
  waiting->status = waiting->call(waiting);
  return NULL;
}

static bool begin(waiting *waiting, ws_status (*call)(struct waiting *waiting), ws_handle handle) {
  memset(waiting, 0, sizeof *waiting);
  waiting->call = call;
  waiting->handle = handle;
  return CHECK(pthread_create(&waiting->thread, NULL, wait_in_thread, waiting) == 0);
}

static ws_status end(waiting *waiting) {
  (void)pthread_join(waiting->thread, NULL);
  return waiting->status;
}

/* Cancels as soon as the other thread is inside its call: 4317 until then. */
static bool cancel_once_inside(ws_handle handle, ws_operation operation, const char *file, int line) {
  const struct timespec moment = {0, 1000000};
  uint64_t until = check_now_ms() + PEER_WAIT_MS;
  ws_status status;
  while ((status = ws_cancel(handle, operation)) == WS_ERROR_INVALID_OPERATION && check_now_ms() < until) (void)nanosleep(&moment, NULL);
  return check_status(WS_OK, status, file, line, "ws_cancel");
}
#define CANCEL(handle, operation) cancel_once_inside((handle), (operation), __FILE__, __LINE__)

static ws_status call_receive(waiting *waiting) {
  char buffer[8];
  size_t received;
  ws_buffer_type type;
  return ws_receive(waiting->handle, buffer, sizeof buffer, &received, &type);
}

static ws_status call_receive_message(waiting *waiting) {
  const void *data;
  size_t length;
  ws_buffer_type type;
  return ws_receive_message(waiting->handle, &data, &length, &type);
}

static ws_status call_send(waiting *waiting) {
  static const uint8_t much[32 << 20];
  return ws_send(waiting->handle, WS_BINARY_MESSAGE, much, sizeof much);
}

static ws_status call_close(waiting *waiting) { return ws_close(waiting->handle, 1000, NULL, 0); }
static ws_status call_handshake(waiting *waiting) { return ws_handshake(waiting->handle); }
static ws_status call_upgrade(waiting *waiting) { return ws_complete_upgrade(waiting->handle, &waiting->made); }
static ws_status call_respond(waiting *waiting) { return ws_respond(waiting->handle, 200, NULL, NULL, 0); }

static int accepts_ended;

static ws_status call_accept(waiting *waiting) {
  ws_status status = ws_accept(waiting->handle, &waiting->made);
  (void)__atomic_fetch_add(&accepts_ended, 1, __ATOMIC_SEQ_CST);
  return status;
}

/* ---- websockets -------------------------------------------------------------------------------------------------------------------- */

static const struct { ws_status (*call)(waiting *); ws_operation operation; } receives[] = {
    {call_receive, WS_OPERATION_RECEIVE}, {call_receive, WS_OPERATION_ALL},
    {call_receive_message, WS_OPERATION_RECEIVE}, {call_receive_message, WS_OPERATION_ALL},
};

static void a_receive_is_cancelled_and_the_next_goes_on(size_t row) {
  waiting waiting;
  pair pair;
  check_label("%s, operation %d", receives[row].call == call_receive ? "ws_receive" : "ws_receive_message", (int)receives[row].operation);
  REQUIRE(pair_open(&pair, LIBRARY_IS_CLIENT));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_cancel(pair.websocket, receives[row].operation));
  for (int turn = 0; turn < 3; turn++) {
    REQUIRE(begin(&waiting, receives[row].call, pair.websocket));
    CHECK(CANCEL(pair.websocket, receives[row].operation));
    CHECK_STATUS(WS_ERROR_CANCELLED, end(&waiting));
  }
  /* Not sticky, and nothing is lost. */
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_cancel(pair.websocket, receives[row].operation));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "x", 1));
  CHECK(RECEIVES(pair.websocket, 9, WS_UTF8_MESSAGE, "x", 1));
  pair_close(&pair);
}

/* The operation says which: a sender does not stop the receiver. */
static void only_what_is_meant_is_cancelled(void) {
  waiting receiver;
  pair pair;
  REQUIRE(pair_open(&pair, LIBRARY_IS_SERVER));
  REQUIRE(begin(&receiver, call_receive, pair.websocket));
  for (uint64_t until = check_now_ms() + 60; check_now_ms() < until;) {
    (void)ws_cancel(pair.websocket, WS_OPERATION_SEND); /* the receiver may be sending a pong or the like */
    REQUIRE_STATUS(WS_ERROR_INVALID_OPERATION, ws_cancel(pair.websocket, WS_OPERATION_CLOSE));
    REQUIRE_STATUS(WS_ERROR_INVALID_OPERATION, ws_cancel(pair.websocket, WS_OPERATION_ACCEPT));
  }
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "x", 1));
  CHECK_STATUS(WS_OK, end(&receiver));
  pair_close(&pair);
}

/* More than the queue may hold has no place to go: the connection is over, with the wait's status. */
static void a_send_is_cancelled(void) {
  waiting waiting;
  pair pair;
  REQUIRE(pair_open(&pair, LIBRARY_IS_SERVER));
  REQUIRE(begin(&waiting, call_send, pair.websocket));
  CHECK(CANCEL(pair.websocket, WS_OPERATION_SEND));
  CHECK_STATUS(WS_ERROR_CANCELLED, end(&waiting));
  pair_close(&pair);
}

static ws_status call_send_a_byte(waiting *waiting) { return ws_send(waiting->handle, WS_BINARY_MESSAGE, "x", 1); }

/* It waits for the rest of another's frame to leave, and has sent nothing: the connection lives on. */
static void a_send_behind_a_full_queue_is_cancelled(void) {
  static uint8_t much[8 << 20];
  waiting waiting;
  pair pair;
  REQUIRE(pair_open(&pair, LIBRARY_IS_SERVER));
  REQUIRE(pair_set_u32(pair.websocket, WS_OPTION_SEND_TIMEOUT, 50));
  REQUIRE_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_MESSAGE, much, sizeof much));
  REQUIRE(pair_set_u32(pair.websocket, WS_OPTION_SEND_TIMEOUT, 0));
  REQUIRE(begin(&waiting, call_send_a_byte, pair.websocket));
  for (uint64_t until = check_now_ms() + 100; check_now_ms() < until;) (void)ws_cancel(pair.websocket, WS_OPERATION_SEND);
  CHECK(CANCEL(pair.websocket, WS_OPERATION_SEND));
  CHECK_STATUS(WS_ERROR_CANCELLED, end(&waiting));
  CHECK_STATUS(WS_OK, ws_cancel(pair.websocket, WS_OPERATION_SEND));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "x", 1));
  CHECK(RECEIVES(pair.websocket, 9, WS_UTF8_MESSAGE, "x", 1));
  pair_close(&pair);
}

static void a_close_is_cancelled(size_t row) {
  static const ws_operation operations[] = {WS_OPERATION_CLOSE, WS_OPERATION_SHUTDOWN, WS_OPERATION_ALL};
  waiting waiting;
  pair pair;
  check_label("operation %d", (int)operations[row]);
  REQUIRE(pair_open(&pair, LIBRARY_IS_CLIENT));
  REQUIRE(begin(&waiting, call_close, pair.websocket));
  CHECK(CANCEL(pair.websocket, operations[row]));
  CHECK_STATUS(WS_ERROR_CANCELLED, end(&waiting));
  CHECK(PEER_GETS_CLOSE(&pair, 1000, ""));
  CHECK(peer_is_gone(pair.peer));
  pair_close(&pair);
}

/* ---- requests and listeners -------------------------------------------------------------------------------------------------------- */

static const struct { ws_status (*call)(waiting *); ws_operation operation, other; const char *name; } handshakes[] = {
    {call_handshake, WS_OPERATION_HANDSHAKE, WS_OPERATION_UPGRADE, "ws_handshake"},
    {call_upgrade, WS_OPERATION_UPGRADE, WS_OPERATION_HANDSHAKE, "ws_complete_upgrade"},
    {call_handshake, WS_OPERATION_ALL, WS_OPERATION_RESPOND, "ws_handshake"},
    {call_upgrade, WS_OPERATION_ALL, WS_OPERATION_ACCEPT, "ws_complete_upgrade"},
};

/* The server does not answer; the next attempt is answered. */
static void a_clients_handshake_is_cancelled(size_t row) {
  ws_handle session = WS_NO_HANDLE, request = WS_NO_HANDLE;
  char url[64], head[4096];
  uint16_t port = 0;
  int listener = peer_listen(&port), peer;
  waiting waiting;
  check_label("%s, operation %d", handshakes[row].name, (int)handshakes[row].operation);
  (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)port);
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE_STATUS(WS_OK, ws_connect(session, url, &request));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_cancel(request, WS_OPERATION_ALL));
  REQUIRE(begin(&waiting, handshakes[row].call, request));
  peer = peer_accept(listener);
  REQUIRE(peer >= 0 && peer_read_head(peer, head, sizeof head));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_cancel(request, handshakes[row].other));
  CHECK(CANCEL(request, handshakes[row].operation));
  CHECK_STATUS(WS_ERROR_CANCELLED, end(&waiting));
  CHECK(peer_is_gone(peer));
  (void)close(peer);
  REQUIRE(begin(&waiting, call_upgrade, request));
  peer = peer_accept(listener);
  REQUIRE(peer >= 0 && peer_read_head(peer, head, sizeof head) && peer_answer_upgrade(peer, head, ""));
  CHECK_STATUS(WS_OK, end(&waiting));
  CHECK_STATUS(WS_OK, ws_close_handle(waiting.made));
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  (void)close(peer);
  (void)close(listener);
}

static const struct { ws_status (*call)(waiting *); ws_operation operation; const char *name; } heads[] = {
    {call_handshake, WS_OPERATION_HANDSHAKE, "ws_handshake"},
    {call_upgrade, WS_OPERATION_UPGRADE, "ws_complete_upgrade"},
    {call_respond, WS_OPERATION_RESPOND, "ws_respond"},
    {call_respond, WS_OPERATION_ALL, "ws_respond"},
};

/* Half of the head has come: it is not lost. */
static void a_servers_handshake_is_cancelled_and_goes_on(size_t row) {
  static const char first[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnec";
  static const char second[] = "tion: Upgrade\r\nSec-WebSocket-Key: " PEER_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n";
  ws_handle session = WS_NO_HANDLE, listener = WS_NO_HANDLE, request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  uint16_t port = 0;
  waiting waiting;
  char head[4096];
  int peer;
  check_label("%s, operation %d", heads[row].name, (int)heads[row].operation);
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE(pair_listen(session, "/", &listener, &port));
  peer = peer_dial(port);
  REQUIRE(peer >= 0 && peer_send_text(peer, first));
  REQUIRE_STATUS(WS_OK, ws_accept(listener, &request));
  for (int turn = 0; turn < 2; turn++) {
    REQUIRE(begin(&waiting, heads[row].call, request));
    CHECK(CANCEL(request, heads[row].operation));
    CHECK_STATUS(WS_ERROR_CANCELLED, end(&waiting));
  }
  REQUIRE(peer_send_text(peer, second));
  CHECK_STATUS(WS_OK, ws_complete_upgrade(request, &websocket));
  CHECK(peer_read_head(peer, head, sizeof head) && CHECK_NUMBER(101, peer_http_status(head)));
  CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_close_handle(listener));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  (void)close(peer);
}

/* Every thread that accepts, not only one of them; and none that comes later. */
static void accepts_are_cancelled_together(void) {
  enum { THREADS = 4 };
  ws_handle session = WS_NO_HANDLE, listener = WS_NO_HANDLE;
  uint16_t port = 0;
  waiting waiting[THREADS];
  int peer, ended = 0;
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE(pair_listen(session, "/", &listener, &port));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_cancel(listener, WS_OPERATION_ACCEPT));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_cancel(listener, WS_OPERATION_DRAIN));
  for (int i = 0; i < THREADS; i++) REQUIRE(begin(&waiting[i], call_accept, listener));
  /* A thread that was not inside yet is met by one of the next. */
  for (uint64_t until = check_now_ms() + PEER_WAIT_MS; __atomic_load_n(&accepts_ended, __ATOMIC_SEQ_CST) < THREADS;) {
    REQUIRE(check_now_ms() < until);
    ended = ws_cancel(listener, ended % 2 == 0 ? WS_OPERATION_ACCEPT : WS_OPERATION_ALL) == WS_OK ? ended + 1 : ended;
  }
  /* A cancel met all that were inside. */
  CHECK(ended >= 1);
  for (int i = 0; i < THREADS; i++) CHECK_STATUS(WS_ERROR_CANCELLED, end(&waiting[i]));
  REQUIRE(begin(&waiting[0], call_accept, listener));
  peer = peer_dial(port);
  CHECK_STATUS(WS_OK, end(&waiting[0]));
  CHECK_STATUS(WS_OK, ws_close_handle(waiting[0].made));
  CHECK_STATUS(WS_OK, ws_close_handle(listener));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_TYPE, ws_cancel(session, WS_OPERATION_ALL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_cancel(session, 4));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_cancel(session, -1));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_cancel(session, WS_OPERATION_ALL));
  (void)close(peer);
}

int main(int argc, char **argv) {
  static const int closes[3];
  static const check_test tests[] = {
      CHECK_ROWS(a_receive_is_cancelled_and_the_next_goes_on, receives),
      CHECK_TEST(only_what_is_meant_is_cancelled),
      CHECK_TEST(a_send_is_cancelled),
      CHECK_TEST(a_send_behind_a_full_queue_is_cancelled),
      CHECK_ROWS(a_close_is_cancelled, closes),
      CHECK_ROWS(a_clients_handshake_is_cancelled, handshakes),
      CHECK_ROWS(a_servers_handshake_is_cancelled_and_goes_on, heads),
      CHECK_TEST(accepts_are_cancelled_together),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
