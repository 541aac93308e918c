/* Handles are tickets: what closing one does to it, to the others, and to those who made it. */
#include "objects.h"

#define MOST_BITS 52                        /* they fit a JavaScript number */

static void a_handle_fits_52_bits(void) {
  objects objects;
  REQUIRE(objects_open(&objects));
  for (size_t i = 0; i < KINDS; i++) {
    CHECK(objects.handles[i] != WS_NO_HANDLE);
    CHECK(objects.handles[i] >> MOST_BITS == 0);
    for (size_t j = 0; j < i; j++) CHECK(objects.handles[i] != objects.handles[j]);
  }
  objects_close(&objects);
}

static void closing_twice_is_6(void) {
  objects objects;
  REQUIRE(objects_open(&objects));
  objects_close(&objects);
  for (size_t i = 0; i < KINDS; i++) CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_close_handle(objects.handles[i]));
}

/* Reuse gives another number: an old ticket never opens a new door. */
static void a_ticket_is_never_reissued_soon(void) {
  enum { TICKETS = 5000 };
  static ws_handle seen[TICKETS];
  for (size_t i = 0; i < TICKETS; i++) {
    REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &seen[i]));
    CHECK(seen[i] >> MOST_BITS == 0);
    REQUIRE_STATUS(WS_OK, ws_close_handle(seen[i]));
    CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_close_handle(seen[i]));
  }
  for (size_t i = 1; i < TICKETS; i++) {
    for (size_t j = i > 200 ? i - 200 : 0; j < i; j++) REQUIRE(seen[i] != seen[j]);
  }
}

static void many_are_open_at_once(void) {
  enum { TICKETS = 3000 };
  static ws_handle open_ones[TICKETS];
  for (size_t i = 0; i < TICKETS; i++) REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &open_ones[i]));
  for (size_t i = 0; i < TICKETS; i += 2) CHECK_STATUS(WS_OK, ws_close_handle(open_ones[i]));
  for (size_t i = 0; i < TICKETS; i++)
    CHECK_STATUS(i % 2 == 0 ? WS_ERROR_INVALID_HANDLE : WS_OK, ws_close_handle(open_ones[i]));
}

static bool both_ways_work(pair *pair) {
  return CHECK_STATUS(WS_OK, ws_send(pair->websocket, WS_UTF8_MESSAGE, "there", 5)) &&
         PEER_GETS(pair, PEER_FIN | PEER_TEXT, "there", 5) && CHECK(pair_peer_sends(pair, PEER_FIN | PEER_TEXT, "back", 4)) &&
         RECEIVES(pair->websocket, 16, WS_UTF8_MESSAGE, "back", 4);
}

static const pair_role roles[] = {LIBRARY_IS_CLIENT, LIBRARY_IS_SERVER};

/* The request and the listener are closed already by pair_open; here the session goes too. */
static void the_websocket_outlives_what_made_it(size_t row) {
  pair pair;
  check_label("%s", pair_role_name(roles[row]));
  REQUIRE(pair_open(&pair, roles[row]));
  CHECK(both_ways_work(&pair));
  CHECK_STATUS(WS_OK, ws_close_handle(pair.session));
  pair.session = WS_NO_HANDLE;
  CHECK(both_ways_work(&pair));
  pair_close(&pair);
}

/* A request that has become a WebSocket does not take it along, whichever is closed first. */
static void a_request_outlives_its_websocket(void) {
  char head[4096];
  ws_handle session = WS_NO_HANDLE, listener = WS_NO_HANDLE, request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  uint16_t port = 0;
  size_t length = 0;
  int peer;
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE(pair_listen(session, "/", &listener, &port));
  peer = peer_dial(port);
  REQUIRE(peer_send_upgrade(peer, "/", "X-Kept: yes\r\n"));
  REQUIRE_STATUS(WS_OK, ws_accept(listener, &request));
  REQUIRE_STATUS(WS_OK, ws_complete_upgrade(request, &websocket));
  REQUIRE(peer_read_head(peer, head, sizeof head));
  CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  CHECK(peer_is_at_end(peer));
  length = sizeof head;
  CHECK_STATUS(WS_OK, ws_query_header(request, "X-Kept", 0, head, &length));
  CHECK_TEXT("yes", head);
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_close_handle(listener));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  (void)close(peer);
}

/* One request, one WebSocket. */
static void an_upgrade_completes_once(void) {
  ws_handle session = WS_NO_HANDLE, listener = WS_NO_HANDLE, request = WS_NO_HANDLE, websocket = WS_NO_HANDLE, second = 4711;
  uint16_t port = 0;
  int peer;
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE(pair_listen(session, "/", &listener, &port));
  peer = peer_dial(port);
  REQUIRE(peer_send_upgrade(peer, "/", ""));
  REQUIRE_STATUS(WS_OK, ws_accept(listener, &request));
  REQUIRE_STATUS(WS_OK, ws_complete_upgrade(request, &websocket));
  CHECK(ws_complete_upgrade(request, &second) != WS_OK);
  CHECK_NUMBER(4711, second);
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_send(websocket, WS_UTF8_MESSAGE, "x", 1));
  CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(listener));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  (void)close(peer);
}

typedef struct waiting {
  ws_handle handle, out;
  ws_status status;
  uint64_t ended;
} waiting;

static void *accept_run(void *argument) {
  waiting *waiting = argument;
  waiting->status = ws_accept(waiting->handle, &waiting->out);
  waiting->ended = check_now_ms();
  return NULL;
}

static void *handshake_run(void *argument) {
  waiting *waiting = argument;
  waiting->status = ws_handshake(waiting->handle);
  waiting->ended = check_now_ms();
  return NULL;
}

/* 12017 for the call that waits, at once; 6 if its thread had not got so far. */
static void closing_wakes(waiting *waiting, void *(*run)(void *)) {
  const struct timespec moment = {0, 30000000};
  uint64_t start;
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, run, waiting) == 0);
  (void)nanosleep(&moment, NULL); /* so that it most likely waits: the answer is right in both cases */
  start = check_now_ms();
  CHECK_STATUS(WS_OK, ws_close_handle(waiting->handle));
  REQUIRE(pthread_join(thread, NULL) == 0);
  CHECK(waiting->status == WS_ERROR_CANCELLED || waiting->status == WS_ERROR_INVALID_HANDLE);
  CHECK(waiting->ended < start + 1000);
  CHECK_NUMBER(4711, waiting->out);
}

static void closing_a_listener_wakes_its_accept(void) {
  ws_handle session = WS_NO_HANDLE;
  uint16_t port = 0;
  waiting waiting = {0, 4711, -1, 0};
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE(pair_listen(session, "/", &waiting.handle, &port));
  closing_wakes(&waiting, accept_run);
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

static void closing_a_client_request_wakes_its_handshake(void) {
  ws_handle session = WS_NO_HANDLE;
  char url[64];
  uint16_t port = 0;
  int listener = peer_listen(&port);
  waiting waiting = {0, 4711, -1, 0};
  (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)port);
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE_STATUS(WS_OK, ws_connect(session, url, &waiting.handle));
  closing_wakes(&waiting, handshake_run);
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  (void)close(listener);
}

static void closing_a_server_request_wakes_its_handshake(void) {
  ws_handle session = WS_NO_HANDLE, listener = WS_NO_HANDLE;
  uint16_t port = 0;
  int peer;
  waiting waiting = {0, 4711, -1, 0};
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE(pair_listen(session, "/", &listener, &port));
  peer = peer_dial(port);
  REQUIRE(peer_send_text(peer, "GET / HTTP/1.1\r\n"));
  REQUIRE_STATUS(WS_OK, ws_accept(listener, &waiting.handle));
  closing_wakes(&waiting, handshake_run);
  CHECK(peer_is_gone(peer));
  CHECK_STATUS(WS_OK, ws_close_handle(listener));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  (void)close(peer);
}

/* A closed listener's port is free again, and whoever was in its queue is gone. */
static void a_closed_listener_gives_its_port_back(void) {
  ws_handle session = WS_NO_HANDLE, listener = WS_NO_HANDLE, again = WS_NO_HANDLE;
  char url[64];
  uint16_t port = 0;
  int peer;
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE(pair_listen(session, "/", &listener, &port));
  (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)port);
  CHECK_STATUS(WS_ERROR_ADDRESS_IN_USE, ws_listen(session, url, &again));
  peer = peer_dial(port);
  CHECK_STATUS(WS_OK, ws_close_handle(listener));
  CHECK(peer_is_gone(peer));
  REQUIRE_STATUS(WS_OK, ws_listen(session, url, &again));
  CHECK_STATUS(WS_OK, ws_close_handle(again));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  (void)close(peer);
}

/* Threads that use and close the same numbers: whatever each gets, nothing breaks. Meant for the sanitizers too. */
typedef struct storm {
  ws_handle session, shared;
} storm;

static void *storm_run(void *argument) {
  const storm *storm = argument;
  for (int i = 0; i < 2000; i++) {
    ws_handle request = WS_NO_HANDLE;
    uint32_t value = 0;
    size_t length = sizeof value;
    CHECK_STATUS(WS_OK, ws_connect(storm->session, "ws://127.0.0.1:1/", &request));
    (void)ws_query_option(storm->shared, WS_OPTION_CLOSE_TIMEOUT, &value, &length);
    (void)ws_close_handle(storm->shared);
    (void)ws_add_header(request, "X-Test", "1");
    CHECK_STATUS(WS_OK, ws_close_handle(request));
  }
  return NULL;
}

static void four_threads_storm_the_table(void) {
  pthread_t threads[4];
  storm storm = {0, 0};
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &storm.session));
  REQUIRE_STATUS(WS_OK, ws_connect(storm.session, "ws://127.0.0.1:1/", &storm.shared));
  for (size_t i = 0; i < CHECK_COUNT(threads); i++) REQUIRE(pthread_create(&threads[i], NULL, storm_run, &storm) == 0);
  for (size_t i = 0; i < CHECK_COUNT(threads); i++) REQUIRE(pthread_join(threads[i], NULL) == 0);
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_close_handle(storm.shared));
  CHECK_STATUS(WS_OK, ws_close_handle(storm.session));
}

/* Descriptors of the library do not leak into a child program. */
static void descriptors_are_close_on_exec(void) {
  static uint8_t before[CHECK_DESCRIPTORS], after[CHECK_DESCRIPTORS];
  ws_handle session = WS_NO_HANDLE, listener = WS_NO_HANDLE, request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  uint16_t port = 0;
  int found = 0, peer;
  check_descriptors(before);
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE(pair_listen(session, "/", &listener, &port));
  peer = peer_dial(port);
  REQUIRE(peer_send_upgrade(peer, "/", ""));
  REQUIRE_STATUS(WS_OK, ws_accept(listener, &request));
  REQUIRE_STATUS(WS_OK, ws_complete_upgrade(request, &websocket));
  check_descriptors(after);
  for (int i = 0; i < CHECK_DESCRIPTORS; i++) {
    if (before[i] || !after[i] || i == peer) continue;
    CHECK((fcntl(i, F_GETFD) & FD_CLOEXEC) != 0);
    found++;
  }
  CHECK(found >= 2); /* the listener and the connection at least */
  CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_close_handle(listener));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  (void)close(peer);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_TEST(a_handle_fits_52_bits),
      CHECK_TEST(closing_twice_is_6),
      CHECK_TEST(a_ticket_is_never_reissued_soon),
      CHECK_TEST(many_are_open_at_once),
      CHECK_ROWS(the_websocket_outlives_what_made_it, roles),
      CHECK_TEST(a_request_outlives_its_websocket),
      CHECK_TEST(an_upgrade_completes_once),
      CHECK_TEST(closing_a_listener_wakes_its_accept),
      CHECK_TEST(closing_a_client_request_wakes_its_handshake),
      CHECK_TEST(closing_a_server_request_wakes_its_handshake),
      CHECK_TEST(a_closed_listener_gives_its_port_back),
      CHECK_TEST(four_threads_storm_the_table),
      CHECK_TEST(descriptors_are_close_on_exec),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
