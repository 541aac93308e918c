/* Handles that are closed at every bad moment: WS_EVENT_HANDLE_CLOSED comes once and last, whatever was pending, and nothing touches what was closed. */
#include "loop.h"

static uint8_t room[64];

/* ---- with everything pending ------------------------------------------------------------------------------------------------------------ */

/* A receive, a notified send that cannot leave, and a close: each ends as cancelled, once, and then the handle. */
static void everything_pending_is_cancelled(size_t row) {
  const struct loop_row *way = loop_row(row);
  static uint8_t much[8 << 20];
  const ws_bytes part = {much, sizeof much};
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE(POSTS(pair.websocket, room, sizeof room));
  REQUIRE_STATUS(WS_PENDING, ws_send_ex(pair.websocket, WS_BINARY_MESSAGE, WS_SEND_NOTIFY, &part, 1, much));
  REQUIRE_STATUS(WS_PENDING, ws_close(pair.websocket, 1000, NULL, 0));
  CHECK(CLOSE_HANDLE(&loop, pair.websocket));
  CHECK_NUMBER(1, loop_count(pair.websocket, WS_EVENT_RECEIVED));
  CHECK_NUMBER(1, loop_count(pair.websocket, WS_EVENT_SENT));
  CHECK_NUMBER(1, loop_count(pair.websocket, WS_EVENT_CLOSE_COMPLETE));
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_ERROR_CANCELLED) != NULL);
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_SENT, WS_ERROR_CANCELLED) != NULL);
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_CLOSE_COMPLETE, WS_ERROR_CANCELLED) != NULL);
  CHECK(peer_is_gone(pair.peer));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_close_handle(pair.websocket));
  pair.websocket = WS_NO_HANDLE;
  loop_pair_close(&loop, &pair);
}

/* After the handle is closed the posted buffer is the program's again as soon as its receive has ended. */
static void a_buffer_is_not_touched_after_its_event(size_t row) {
  const struct loop_row *way = loop_row(row);
  static uint8_t posted[4096], payload[2000];
  loop loop;
  pair pair;
  for (int turn = 0; turn < 20; turn++) {
    if (turn == 0) REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
    else REQUIRE(loop_upgrade(&loop, &pair, way->role));
    REQUIRE(POSTS(pair.websocket, posted, sizeof posted));
    (void)pair_peer_sends(&pair, PEER_BINARY, payload, sizeof payload); /* at the same moment */
    CHECK_STATUS(WS_OK, ws_close_handle(pair.websocket));
    REQUIRE(AWAIT(&loop, pair.websocket, WS_EVENT_RECEIVED) != NULL);
    memset(posted, 0x5a, sizeof posted);
    loop_pass(&loop, 2);
    for (size_t i = 0; i < sizeof posted; i++) REQUIRE(posted[i] == 0x5a);
    CHECK(HEARS(&loop, pair.websocket, WS_EVENT_HANDLE_CLOSED, WS_OK) != NULL);
    (void)close(pair.peer);
  }
  loop_close(&loop);
}

/* ---- in callbacks ---------------------------------------------------------------------------------------------------------------------- */

static ws_handle first, second;

static void close_own(const ws_event *event) {
  if (event->type == WS_EVENT_RECEIVED && event->handle == first) CHECK_STATUS(WS_OK, ws_close_handle(first));
}

static void a_handle_is_closed_in_its_own_callback(size_t row) {
  const struct loop_row *way = loop_row(row);
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  first = pair.websocket;
  loop_react(close_own);
  REQUIRE(POSTS(pair.websocket, room, sizeof room));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "x", 1));
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_OK) != NULL);
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_HANDLE_CLOSED, WS_OK) != NULL);
  CHECK(peer_is_gone(pair.peer));
  pair.websocket = WS_NO_HANDLE;
  loop_pair_close(&loop, &pair);
}

/* Also by the very event that says it is closed: the number is stale, and that is all. */
static void use_stale(const ws_event *event) {
  size_t received;
  ws_buffer_type type;
  if (event->type != WS_EVENT_HANDLE_CLOSED || event->handle != first) return;
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_close_handle(first));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_send(first, WS_BINARY_MESSAGE, "x", 1));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_receive(first, room, sizeof room, &received, &type));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_cancel(first, WS_OPERATION_ALL));
}

static void the_last_event_finds_the_handle_stale(size_t row) {
  const struct loop_row *way = loop_row(row);
  static int mark;
  void *context = &mark;
  const heard *heard;
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  CHECK_STATUS(WS_OK, ws_set_option(pair.websocket, WS_OPTION_CONTEXT, &context, sizeof context));
  first = pair.websocket;
  loop_react(use_stale);
  CHECK_STATUS(WS_OK, ws_close_handle(first));
  REQUIRE((heard = HEARS(&loop, first, WS_EVENT_HANDLE_CLOSED, WS_OK)) != NULL);
  CHECK(heard->event.context == context);
  pair.websocket = WS_NO_HANDLE;
  loop_pair_close(&loop, &pair);
}

static bool done;

/* Two handles with an event in the same batch: the first callback closes the other. Its event may come still, as what it was; then its last. */
static void close_other(const ws_event *event) {
  ws_handle other = event->handle == first ? second : first;
  if (event->type != WS_EVENT_RECEIVED || (event->handle != first && event->handle != second) || done) return;
  done = true;
  CHECK_STATUS(WS_OK, ws_close_handle(other));
}

static void a_handle_is_closed_in_anothers_callback(size_t row) {
  const struct loop_row *way = loop_row(row);
  static uint8_t other_room[64];
  loop loop;
  pair pairs[2];
  ws_handle closed;
  REQUIRE(loop_pair(&loop, &pairs[0], way->delivery, way->role));
  REQUIRE(loop_upgrade(&loop, &pairs[1], way->role));
  first = pairs[0].websocket, second = pairs[1].websocket;
  done = false;
  loop_react(close_other);
  REQUIRE(POSTS(first, room, sizeof room));
  REQUIRE(POSTS(second, other_room, sizeof other_room));
  REQUIRE(pair_peer_sends(&pairs[0], PEER_FIN | PEER_TEXT, "x", 1) && pair_peer_sends(&pairs[1], PEER_FIN | PEER_TEXT, "x", 1));
  REQUIRE(AWAIT(&loop, WS_NO_HANDLE, WS_EVENT_RECEIVED) != NULL);
  const heard *last = AWAIT(&loop, WS_NO_HANDLE, WS_EVENT_HANDLE_CLOSED);
  while (last != NULL && last->event.handle != first && last->event.handle != second) last = AWAIT(&loop, WS_NO_HANDLE, WS_EVENT_HANDLE_CLOSED);
  REQUIRE(last != NULL);
  closed = last->event.handle;
  CHECK_NUMBER(1, loop_count(first, WS_EVENT_RECEIVED));
  CHECK_NUMBER(1, loop_count(second, WS_EVENT_RECEIVED));
  pairs[closed == first ? 0 : 1].websocket = WS_NO_HANDLE;
  loop_pair_drop(&loop, &pairs[0]);
  loop_pair_drop(&loop, &pairs[1]);
  loop_close(&loop);
}

/* ---- from other threads ---------------------------------------------------------------------------------------------------------------- */

static void *close_in_thread(void *argument) {
  CHECK_STATUS(WS_OK, ws_close_handle(*(ws_handle *)argument));
  return NULL;
}

static void another_thread_closes_the_handle(size_t row) {
  const struct loop_row *way = loop_row(row);
  pthread_t thread;
  loop loop;
  pair pair;
  REQUIRE(loop_open(&loop, way->delivery));
  for (int turn = 0; turn < 10; turn++) {
    REQUIRE(loop_upgrade(&loop, &pair, way->role));
    REQUIRE(POSTS(pair.websocket, room, sizeof room));
    REQUIRE(pthread_create(&thread, NULL, close_in_thread, &pair.websocket) == 0);
    (void)pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "race", 4);
    REQUIRE(AWAIT(&loop, pair.websocket, WS_EVENT_RECEIVED) != NULL); /* with its message or cancelled */
    CHECK(HEARS(&loop, pair.websocket, WS_EVENT_HANDLE_CLOSED, WS_OK) != NULL);
    (void)pthread_join(thread, NULL);
    CHECK(peer_is_gone(pair.peer));
    (void)close(pair.peer);
  }
  loop_close(&loop);
}

/* Many at once, of which each has a receive pending, while their peers send. */
static void many_are_closed_at_once(size_t row) {
  enum { MANY = 60 };
  const struct loop_row *way = loop_row(row);
  static uint8_t rooms[MANY][64];
  pair pairs[MANY];
  pthread_t threads[2];
  loop loop;
  REQUIRE(loop_open(&loop, way->delivery));
  for (int i = 0; i < MANY; i++) {
    REQUIRE(loop_upgrade(&loop, &pairs[i], way->role));
    REQUIRE(POSTS(pairs[i].websocket, rooms[i], sizeof rooms[i]));
  }
  for (int i = 0; i < MANY; i++) {
    (void)pair_peer_sends(&pairs[i], PEER_FIN | PEER_TEXT, "race", 4);
    if (i < 2) REQUIRE(pthread_create(&threads[i], NULL, close_in_thread, &pairs[i].websocket) == 0);
    else CHECK_STATUS(WS_OK, ws_close_handle(pairs[i].websocket));
  }
  for (int i = 0; i < MANY; i++) {
    REQUIRE(AWAIT(&loop, pairs[i].websocket, WS_EVENT_RECEIVED) != NULL);
    CHECK(HEARS(&loop, pairs[i].websocket, WS_EVENT_HANDLE_CLOSED, WS_OK) != NULL);
    (void)close(pairs[i].peer);
  }
  for (int i = 0; i < 2; i++) (void)pthread_join(threads[i], NULL);
  loop_close(&loop);
}

/* ---- families ------------------------------------------------------------------------------------------------------------------------------ */

/* Closing where it came from does not disturb a websocket. */
static void a_websocket_outlives_its_makers(size_t row) {
  const struct loop_row *way = loop_row(row);
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role)); /* request and listener are closed already */
  CHECK(CLOSE_HANDLE(&loop, loop.session));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "alive", 5));
  CHECK(LOOP_RECEIVES(&loop, pair.websocket, 9, WS_UTF8_MESSAGE, "alive", 5));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "so am I", 7));
  CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_TEXT, "so am I", 7));
  loop_pair_drop(&loop, &pair);
  REQUIRE_STATUS(WS_OK, ws_open(NULL, WS_FLAG_ASYNC, &loop.session)); /* for loop_close */
  if (loop.handle != WS_NO_HANDLE) REQUIRE_STATUS(WS_OK, ws_set_option(loop.session, WS_OPTION_LOOP, &loop.handle, sizeof loop.handle));
  CHECK_STATUS(WS_OK, ws_set_callback(loop.session, way->delivery == BY_BATCH ? loop_callback_in_batch : loop_callback, NULL));
  loop_close(&loop);
}

/* A request closed while it dials, a listener while it accepts: cancelled, then the last event. */
static void requests_and_listeners_end_too(size_t row) {
  static const delivery deliveries[] = {BY_BATCH, BY_RUN, BY_THREAD};
  ws_handle listener = WS_NO_HANDLE, request = WS_NO_HANDLE, made = WS_NO_HANDLE;
  char url[64];
  uint16_t port = 0;
  int silent = peer_listen(&port);
  loop loop;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(loop_open(&loop, deliveries[row]));
  (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)port);
  REQUIRE_STATUS(WS_OK, ws_connect(loop.session, url, &request));
  REQUIRE_STATUS(WS_PENDING, ws_complete_upgrade(request, &made));
  REQUIRE(pair_listen(loop.session, "/", &listener, &port));
  REQUIRE_STATUS(WS_PENDING, ws_accept(listener, &made));
  CHECK(made == WS_NO_HANDLE);
  loop_pass(&loop, 10);
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_close_handle(listener));
  CHECK(HEARS(&loop, request, WS_EVENT_UPGRADED, WS_ERROR_CANCELLED) != NULL);
  CHECK(HEARS(&loop, listener, WS_EVENT_ACCEPTED, WS_ERROR_CANCELLED) != NULL);
  CHECK(HEARS(&loop, request, WS_EVENT_HANDLE_CLOSED, WS_OK) != NULL);
  CHECK(HEARS(&loop, listener, WS_EVENT_HANDLE_CLOSED, WS_OK) != NULL);
  (void)close(silent);
  loop_close(&loop);
}

/* ---- the loop itself ------------------------------------------------------------------------------------------------------------------------ */

/* The driving call returns 12017; every handle lives on as a number, answers without waiting for anything, and can be closed. */
static void the_loop_is_closed_under_everybody(size_t row) {
  static const delivery deliveries[] = {BY_BATCH, BY_RUN};
  ws_event batch[4];
  size_t count = 4711, received;
  ws_buffer_type type;
  ws_handle listener = WS_NO_HANDLE, made;
  uint16_t port = 0;
  loop loop;
  pair pair;
  ws_status status;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(loop_pair(&loop, &pair, deliveries[row], LIBRARY_IS_SERVER));
  REQUIRE(pair_listen(loop.session, "/", &listener, &port));
  REQUIRE_STATUS(WS_PENDING, ws_accept(listener, &made));
  REQUIRE(POSTS(pair.websocket, room, sizeof room));
  REQUIRE_STATUS(WS_OK, ws_close_handle(loop.handle));
  if (deliveries[row] == BY_RUN) {
    (void)pthread_join(loop.thread, NULL);
    CHECK_STATUS(WS_ERROR_CANCELLED, loop.run_status);
  } else {
    status = ws_loop_wait(loop.handle, batch, 4, &count, 0);
    CHECK(status == WS_ERROR_INVALID_HANDLE || status == WS_ERROR_CANCELLED);
  }
  status = ws_receive(pair.websocket, room, sizeof room, &received, &type);
  CHECK(status != WS_OK && status != WS_PENDING);
  status = ws_accept(listener, &made);
  CHECK(status != WS_OK && status != WS_PENDING);
  CHECK_STATUS(WS_OK, ws_close_handle(pair.websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(listener));
  CHECK_STATUS(WS_OK, ws_close_handle(loop.session));
  CHECK(peer_is_gone(pair.peer));
  (void)close(pair.peer);
}

/* While one thread is in ws_loop_wait without limit. */
static void *wait_without_limit(void *argument) {
  loop *loop = argument;
  ws_event batch[4];
  size_t count;
  do loop->run_status = ws_loop_wait(loop->handle, batch, 4, &count, WS_WAIT_FOREVER);
  while (loop->run_status == WS_OK);
  return NULL;
}

static void a_waiting_thread_is_told_that_the_loop_is_closed(void) {
  pthread_t thread;
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, BY_BATCH, LIBRARY_IS_SERVER));
  REQUIRE(POSTS(pair.websocket, room, sizeof room));
  REQUIRE(pthread_create(&thread, NULL, wait_without_limit, &loop) == 0);
  CHECK_STATUS(WS_OK, ws_loop_wake(loop.handle));
  CHECK_STATUS(WS_OK, ws_close_handle(loop.handle));
  (void)pthread_join(thread, NULL);
  CHECK(loop.run_status == WS_ERROR_CANCELLED || loop.run_status == WS_ERROR_INVALID_HANDLE);
  CHECK_STATUS(WS_OK, ws_close_handle(pair.websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(loop.session));
  (void)close(pair.peer);
}

int main(int argc, char **argv) {
  static const int two[2], three[3];
  static const check_test tests[] = {
      CHECK_ROWS(everything_pending_is_cancelled, loop_rows),
      CHECK_ROWS(a_buffer_is_not_touched_after_its_event, loop_rows),
      CHECK_ROWS(a_handle_is_closed_in_its_own_callback, loop_rows),
      CHECK_ROWS(the_last_event_finds_the_handle_stale, loop_rows),
      CHECK_ROWS(a_handle_is_closed_in_anothers_callback, loop_rows),
      CHECK_ROWS(another_thread_closes_the_handle, loop_rows),
      CHECK_ROWS(many_are_closed_at_once, loop_rows),
      CHECK_ROWS(a_websocket_outlives_its_makers, loop_rows),
      CHECK_ROWS(requests_and_listeners_end_too, three),
      CHECK_ROWS(the_loop_is_closed_under_everybody, two),
      CHECK_TEST(a_waiting_thread_is_told_that_the_loop_is_closed),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
