/* The loop itself: who may drive it, how it is woken, stopped and closed, what an outer loop is told, and what is refused. */
#include "loop.h"

#include <sys/epoll.h>

static ws_event batch[LOOP_BATCH];
static size_t count;

static uint32_t timeout_of(ws_handle loop) {
  uint32_t timeout_ms = 4711;
  CHECK_STATUS(WS_OK, ws_loop_timeout(loop, &timeout_ms));
  return timeout_ms;
}

/* ---- arguments ----------------------------------------------------------------------------------------------------------------------- */

static void wrong_arguments_are_refused(void) {
  ws_handle loop = WS_NO_HANDLE, session = WS_NO_HANDLE, untouched = 4711;
  int64_t descriptor = 4711;
  uint32_t timeout_ms = 4711;
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_loop_create(0, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_loop_create(1, &untouched));
  CHECK_NUMBER(4711, untouched);
  REQUIRE_STATUS(WS_OK, ws_loop_create(0, &loop));
  REQUIRE_STATUS(WS_OK, ws_open(NULL, WS_FLAG_ASYNC, &session));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_loop_wait(loop, NULL, 1, &count, 0));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_loop_wait(loop, batch, 0, &count, 0));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_loop_wait(loop, batch, 1, NULL, 0));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_loop_descriptor(loop, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_loop_timeout(loop, NULL));
  for (int i = 0; i < 2; i++) {
    ws_handle wrong = i == 0 ? session : WS_NO_HANDLE;
    ws_status status = i == 0 ? WS_ERROR_INCORRECT_HANDLE_TYPE : WS_ERROR_INVALID_HANDLE;
    count = 4711;
    CHECK_STATUS(status, ws_loop_wait(wrong, batch, 1, &count, 0));
    CHECK_NUMBER(4711, (int64_t)count);
    CHECK_STATUS(status, ws_loop_run(wrong));
    CHECK_STATUS(status, ws_loop_stop(wrong));
    CHECK_STATUS(status, ws_loop_wake(wrong));
    CHECK_STATUS(status, ws_loop_descriptor(wrong, &descriptor));
    CHECK_STATUS(status, ws_loop_timeout(wrong, &timeout_ms));
  }
  CHECK_NUMBER(4711, descriptor);
  CHECK_NUMBER(4711, timeout_ms);
  CHECK_STATUS(WS_OK, ws_close_handle(loop));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_loop_wake(loop));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_loop_wait(loop, batch, 1, &count, 0));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

static void a_session_takes_only_an_open_loop(void) {
  ws_handle loop = WS_NO_HANDLE, session = WS_NO_HANDLE, blocking = WS_NO_HANDLE, set = WS_NO_HANDLE;
  uint32_t kind = 0, number = 3;
  size_t length = sizeof kind;
  REQUIRE_STATUS(WS_OK, ws_loop_create(0, &loop));
  REQUIRE_STATUS(WS_OK, ws_open(NULL, WS_FLAG_ASYNC, &session));
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &blocking));
  CHECK_STATUS(WS_OK, ws_query_option(loop, WS_OPTION_HANDLE_KIND, &kind, &length));
  CHECK_NUMBER(5, kind);
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_set_option(session, WS_OPTION_LOOP, &number, sizeof number));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_TYPE, ws_set_option(session, WS_OPTION_LOOP, &session, sizeof session));
  CHECK(ws_set_option(blocking, WS_OPTION_LOOP, &loop, sizeof loop) != WS_OK);
  CHECK_STATUS(WS_OK, ws_set_option(session, WS_OPTION_LOOP, &loop, sizeof loop));
  length = sizeof set;
  CHECK_STATUS(WS_OK, ws_query_option(session, WS_OPTION_LOOP, &set, &length));
  CHECK_NUMBER((int64_t)loop, (int64_t)set);
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  CHECK_STATUS(WS_OK, ws_close_handle(blocking));
  CHECK_STATUS(WS_OK, ws_close_handle(loop));
  REQUIRE_STATUS(WS_OK, ws_open(NULL, WS_FLAG_ASYNC, &session));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_set_option(session, WS_OPTION_LOOP, &loop, sizeof loop));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

/* Nobody would drive it. */
static void without_threads_a_session_needs_a_loop(void) {
  ws_handle session = WS_NO_HANDLE, request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  REQUIRE_STATUS(WS_OK, ws_open(NULL, WS_FLAG_ASYNC | WS_FLAG_NO_THREADS, &session));
  REQUIRE_STATUS(WS_OK, ws_connect(session, "ws://127.0.0.1:1/", &request));
  ws_status status = ws_complete_upgrade(request, &websocket);
  CHECK(status != WS_OK && status != WS_PENDING);
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

/* ---- waking, stopping, waiting -------------------------------------------------------------------------------------------------------- */

static void an_empty_wait_ends_at_its_timeout(void) {
  loop loop;
  uint64_t begin;
  REQUIRE(loop_open(&loop, BY_BATCH));
  begin = check_now_ms();
  CHECK_STATUS(WS_OK, ws_loop_wait(loop.handle, batch, LOOP_BATCH, &count, 0));
  CHECK_NUMBER(0, (int64_t)count);
  CHECK(check_now_ms() - begin < 50);
  begin = check_now_ms();
  CHECK_STATUS(WS_OK, ws_loop_wait(loop.handle, batch, LOOP_BATCH, &count, 60));
  CHECK_NUMBER(0, (int64_t)count);
  CHECK(check_now_ms() - begin >= 55);
  loop_close(&loop);
}

/* Wakes are not counted: one event, or a few, but at least one after the last wake. */
static void a_wake_is_an_event_of_the_loop(size_t row) {
  static const delivery deliveries[] = {BY_BATCH, BY_RUN};
  const heard *heard;
  loop loop;
  int mark;
  void *context = &mark;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(loop_open(&loop, deliveries[row]));
  CHECK_STATUS(WS_OK, ws_set_option(loop.handle, WS_OPTION_CONTEXT, &context, sizeof context));
  CHECK_STATUS(WS_OK, ws_loop_wake(loop.handle));
  REQUIRE((heard = HEARS(&loop, loop.handle, WS_EVENT_WOKEN, WS_OK)) != NULL);
  CHECK(heard->event.context == context);
  CHECK(heard->event.child == WS_NO_HANDLE && heard->event.data == NULL && heard->event.length == 0);
  CHECK(HEARS_NOTHING(&loop, loop.handle, WS_EVENT_WOKEN, 20));
  for (int i = 0; i < 1000; i++) REQUIRE_STATUS(WS_OK, ws_loop_wake(loop.handle));
  REQUIRE(HEARS(&loop, loop.handle, WS_EVENT_WOKEN, WS_OK) != NULL);
  loop_pass(&loop, 10);
  CHECK(loop_count(loop.handle, WS_EVENT_WOKEN) <= 1001);
  loop_close(&loop);
}

typedef struct waiting {
  ws_handle loop;
  ws_status status;
  size_t count;
  bool runs;
  pthread_t thread;
} waiting;

static void *wait_for_ever(void *argument) {
  ws_event events[4];
  waiting *waiting = argument;
  do { /* whoever looks whether it is driven may be inside for a moment */
    waiting->status = waiting->runs ? ws_loop_run(waiting->loop) : ws_loop_wait(waiting->loop, events, 4, &waiting->count, WS_WAIT_FOREVER);
  } while (waiting->status == WS_ERROR_INVALID_OPERATION);
  return NULL;
}

static bool begin(waiting *waiting, ws_handle loop, bool runs) {
  memset(waiting, 0, sizeof *waiting);
  waiting->loop = loop;
  waiting->runs = runs;
  return CHECK(pthread_create(&waiting->thread, NULL, wait_for_ever, waiting) == 0);
}

static ws_status end(waiting *waiting) {
  (void)pthread_join(waiting->thread, NULL);
  return waiting->status;
}

/* Until the other thread is inside: a second driver is refused then. */
static bool is_driven(ws_handle loop) {
  uint64_t until = check_now_ms() + PEER_WAIT_MS;
  ws_status status = WS_OK;
  while (check_now_ms() < until && status == WS_OK) {
    const struct timespec moment = {0, 1000000}; /* the other one's turn */
    (void)nanosleep(&moment, NULL);
    status = ws_loop_wait(loop, batch, LOOP_BATCH, &count, 0);
  }
  return CHECK_STATUS(WS_ERROR_INVALID_OPERATION, status);
}

static void another_thread_wakes_a_wait_without_limit(void) {
  waiting waiting;
  loop loop;
  REQUIRE(loop_open(&loop, BY_BATCH));
  REQUIRE(begin(&waiting, loop.handle, false));
  REQUIRE(is_driven(loop.handle));
  CHECK_STATUS(WS_OK, ws_loop_wake(loop.handle));
  CHECK_STATUS(WS_OK, end(&waiting));
  CHECK_NUMBER(1, (int64_t)waiting.count);
  loop_close(&loop);
}

static const bool either[] = {false, true};

static void one_thread_drives_at_a_time(size_t row) {
  waiting waiting;
  ws_handle loop = WS_NO_HANDLE;
  check_label("%s", either[row] ? "ws_loop_run" : "ws_loop_wait");
  REQUIRE_STATUS(WS_OK, ws_loop_create(0, &loop));
  REQUIRE(begin(&waiting, loop, either[row]));
  REQUIRE(is_driven(loop));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_loop_run(loop));
  CHECK_STATUS(WS_OK, either[row] ? ws_loop_stop(loop) : ws_loop_wake(loop));
  CHECK_STATUS(WS_OK, end(&waiting));
  CHECK_STATUS(WS_OK, ws_loop_wait(loop, batch, LOOP_BATCH, &count, 0));
  CHECK_STATUS(WS_OK, ws_close_handle(loop));
}

static void a_closed_loop_ends_the_driving(size_t row) {
  waiting waiting;
  ws_handle loop = WS_NO_HANDLE;
  check_label("%s", either[row] ? "ws_loop_run" : "ws_loop_wait");
  REQUIRE_STATUS(WS_OK, ws_loop_create(0, &loop));
  REQUIRE(begin(&waiting, loop, either[row]));
  REQUIRE(is_driven(loop));
  CHECK_STATUS(WS_OK, ws_close_handle(loop));
  CHECK_STATUS(WS_ERROR_CANCELLED, end(&waiting));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_loop_run(loop));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_close_handle(loop));
}

static ws_handle stopped;
static void stop_from_inside(const ws_event *event) {
  if (event->type == WS_EVENT_WOKEN) CHECK_STATUS(WS_OK, ws_loop_stop(stopped));
}

/* A stop before the run is not lost; after it the loop may be run again. */
static void a_run_is_stopped_and_goes_on(void) {
  ws_handle loop = WS_NO_HANDLE;
  waiting waiting;
  REQUIRE_STATUS(WS_OK, ws_loop_create(0, &loop));
  REQUIRE_STATUS(WS_OK, ws_set_callback(loop, loop_callback, NULL));
  for (int i = 0; i < 3; i++) {
    REQUIRE(begin(&waiting, loop, true));
    REQUIRE(is_driven(loop));
    CHECK_STATUS(WS_OK, ws_loop_stop(loop));
    CHECK_STATUS(WS_OK, end(&waiting));
  }
  CHECK_STATUS(WS_OK, ws_loop_stop(loop));
  CHECK_STATUS(WS_OK, ws_loop_run(loop));
  stopped = loop;
  loop_react(stop_from_inside);
  REQUIRE(begin(&waiting, loop, true));
  CHECK_STATUS(WS_OK, ws_loop_wake(loop));
  CHECK_STATUS(WS_OK, end(&waiting));
  CHECK_STATUS(WS_OK, ws_close_handle(loop));
}

static ws_handle driven;
static void drive_from_inside(const ws_event *event) {
  ws_event inner[2];
  size_t inner_count;
  if (event->type != WS_EVENT_WOKEN) return;
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_loop_wait(driven, inner, 2, &inner_count, 0));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_loop_run(driven));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_cleanup(0));
}

static void a_callback_cannot_drive_its_loop(void) {
  loop loop;
  REQUIRE(loop_open(&loop, BY_RUN));
  driven = loop.handle;
  loop_react(drive_from_inside);
  CHECK_STATUS(WS_OK, ws_loop_wake(loop.handle));
  CHECK(HEARS(&loop, loop.handle, WS_EVENT_WOKEN, WS_OK) != NULL);
  loop_close(&loop);
}

static void close_from_inside(const ws_event *event) {
  if (event->type == WS_EVENT_WOKEN) CHECK_STATUS(WS_OK, ws_close_handle(driven));
}

static void a_loop_is_closed_in_its_own_callback(void) {
  waiting waiting;
  REQUIRE_STATUS(WS_OK, ws_loop_create(0, &driven));
  REQUIRE_STATUS(WS_OK, ws_set_callback(driven, loop_callback, NULL));
  loop_react(close_from_inside);
  REQUIRE(begin(&waiting, driven, true));
  CHECK_STATUS(WS_OK, ws_loop_wake(driven));
  CHECK_STATUS(WS_ERROR_CANCELLED, end(&waiting));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_loop_wake(driven));
}

/* ---- an outer loop ------------------------------------------------------------------------------------------------------------------- */

/* The descriptor is readable exactly when there is something to do, and may be watched by another epoll. */
static void the_descriptor_tells_an_outer_loop(void) {
  struct epoll_event entry = {.events = EPOLLIN}, ready;
  int outer = epoll_create1(EPOLL_CLOEXEC);
  static uint8_t room[16];
  int64_t descriptor = -1;
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, BY_BATCH, LIBRARY_IS_SERVER));
  REQUIRE_STATUS(WS_OK, ws_loop_descriptor(loop.handle, &descriptor));
  REQUIRE(descriptor >= 0 && epoll_ctl(outer, EPOLL_CTL_ADD, (int)descriptor, &entry) == 0);
  REQUIRE(POSTS(pair.websocket, room, sizeof room));
  loop_pass(&loop, 5);
  CHECK_NUMBER(0, epoll_wait(outer, &ready, 1, 0));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "x", 1));
  CHECK_NUMBER(1, epoll_wait(outer, &ready, 1, PEER_WAIT_MS));
  CHECK_STATUS(WS_OK, ws_loop_wait(loop.handle, batch, LOOP_BATCH, &count, 0));
  CHECK_NUMBER(1, (int64_t)count);
  CHECK_NUMBER(WS_EVENT_RECEIVED, batch[0].type);
  CHECK_NUMBER('x', room[0]);
  CHECK_STATUS(WS_OK, ws_loop_wait(loop.handle, batch, LOOP_BATCH, &count, 0));
  CHECK_NUMBER(0, epoll_wait(outer, &ready, 1, 0));
  CHECK_STATUS(WS_OK, ws_loop_wake(loop.handle));
  CHECK_NUMBER(1, epoll_wait(outer, &ready, 1, PEER_WAIT_MS));
  CHECK(HEARS(&loop, loop.handle, WS_EVENT_WOKEN, WS_OK) != NULL);
  (void)close(outer);
  loop_pair_close(&loop, &pair);
}

/* It is that of the next deadline; without anything to wait for there is no limit. */
static void the_timeout_tells_how_long_to_sleep(void) {
  uint32_t limit;
  loop loop;
  pair pair;
  REQUIRE(loop_open(&loop, BY_BATCH));
  (void)loop_turn(&loop, 0);
  CHECK_NUMBER(WS_WAIT_FOREVER, timeout_of(loop.handle));
  REQUIRE(pair_set_u32(loop.session, WS_OPTION_KEEPALIVE_INTERVAL, 3000));
  REQUIRE(loop_upgrade(&loop, &pair, LIBRARY_IS_SERVER));
  loop_pass(&loop, 5);
  limit = timeout_of(loop.handle);
  CHECK(limit > 2000 && limit <= 3100);
  /* Two pieces in one segment: the second needs no readable descriptor. */
  REQUIRE(peer_send(pair.peer, "\x82\x81" "0000" "Q" "\x82\x81" "0000" "R", 14));
  CHECK(LOOP_RECEIVES(&loop, pair.websocket, 9, WS_BINARY_MESSAGE, "a", 1));
  CHECK(LOOP_RECEIVES(&loop, pair.websocket, 9, WS_BINARY_MESSAGE, "b", 1));
  loop_pair_close(&loop, &pair);
}

/* Events that found no place in the caller's array come with the next call, at once. */
static void a_small_batch_loses_nothing(void) {
  enum { WEBSOCKETS = 9 };
  static uint8_t rooms[WEBSOCKETS][8];
  pair pairs[WEBSOCKETS];
  loop loop;
  size_t seen = 0;
  REQUIRE(loop_open(&loop, BY_BATCH));
  for (int i = 0; i < WEBSOCKETS; i++) {
    REQUIRE(loop_upgrade(&loop, &pairs[i], LIBRARY_IS_SERVER));
    REQUIRE(POSTS(pairs[i].websocket, rooms[i], sizeof rooms[i]));
  }
  for (int i = 0; i < WEBSOCKETS; i++) REQUIRE(pair_peer_sends(&pairs[i], PEER_FIN | PEER_BINARY, "z", 1));
  for (uint64_t until = check_now_ms() + PEER_WAIT_MS; seen < WEBSOCKETS && check_now_ms() < until; seen += count) {
    REQUIRE_STATUS(WS_OK, ws_loop_wait(loop.handle, batch, 2, &count, seen == 0 ? 1000 : 100));
    REQUIRE(count <= 2);
    for (size_t i = 0; i < count; i++) CHECK_NUMBER(WS_EVENT_RECEIVED, batch[i].type);
    if (seen > 0 && seen + count < WEBSOCKETS) CHECK_NUMBER(0, timeout_of(loop.handle));
  }
  CHECK_NUMBER(WEBSOCKETS, (int64_t)seen);
  for (int i = 0; i < WEBSOCKETS; i++) {
    CHECK_NUMBER('z', rooms[i][0]);
    loop_pair_drop(&loop, &pairs[i]);
  }
  loop_close(&loop);
}

/* ---- two of them ------------------------------------------------------------------------------------------------------------------------ */

/* Two sessions on one loop; and one session on another: nothing is mixed up. */
static void loops_are_shared_and_are_apart(void) {
  ws_handle second = WS_NO_HANDLE;
  loop loop, other;
  pair pairs[2];
  REQUIRE(loop_open(&loop, BY_BATCH));
  REQUIRE(loop_open(&other, BY_BATCH));
  REQUIRE_STATUS(WS_OK, ws_open(NULL, WS_FLAG_ASYNC, &second));
  REQUIRE_STATUS(WS_OK, ws_set_option(second, WS_OPTION_LOOP, &loop.handle, sizeof loop.handle));
  REQUIRE(loop_upgrade(&loop, &pairs[0], LIBRARY_IS_CLIENT));
  REQUIRE(loop_upgrade(&other, &pairs[1], LIBRARY_IS_CLIENT));
  REQUIRE(pair_peer_sends(&pairs[0], PEER_FIN | PEER_TEXT, "first", 5));
  REQUIRE(pair_peer_sends(&pairs[1], PEER_FIN | PEER_TEXT, "second", 6));
  CHECK(LOOP_RECEIVES(&other, pairs[1].websocket, 9, WS_UTF8_MESSAGE, "second", 6));
  CHECK(LOOP_RECEIVES(&loop, pairs[0].websocket, 9, WS_UTF8_MESSAGE, "first", 5));
  CHECK(CLOSE_HANDLE(&loop, second));
  loop_pair_drop(&loop, &pairs[0]);
  loop_pair_drop(&other, &pairs[1]);
  loop_close(&loop);
  loop_close(&other);
}

int main(int argc, char **argv) {
  static const int two[2];
  static const check_test tests[] = {
      CHECK_TEST(wrong_arguments_are_refused),
      CHECK_TEST(a_session_takes_only_an_open_loop),
      CHECK_TEST(without_threads_a_session_needs_a_loop),
      CHECK_TEST(an_empty_wait_ends_at_its_timeout),
      CHECK_ROWS(a_wake_is_an_event_of_the_loop, two),
      CHECK_TEST(another_thread_wakes_a_wait_without_limit),
      CHECK_ROWS(one_thread_drives_at_a_time, either),
      CHECK_ROWS(a_closed_loop_ends_the_driving, either),
      CHECK_TEST(a_run_is_stopped_and_goes_on),
      CHECK_TEST(a_callback_cannot_drive_its_loop),
      CHECK_TEST(a_loop_is_closed_in_its_own_callback),
      CHECK_TEST(the_descriptor_tells_an_outer_loop),
      CHECK_TEST(the_timeout_tells_how_long_to_sleep),
      CHECK_TEST(a_small_batch_loses_nothing),
      CHECK_TEST(loops_are_shared_and_are_apart),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
