/* Many threads on asynchronous handles at once: nothing is told twice, nothing is lost, and everything ends. Also what a fork leaves. */
#include "loop.h"

#include <sys/wait.h>

static const delivery deliveries[] = {BY_BATCH, BY_RUN, BY_THREAD};

enum { STORM_MS = 300 };

static uint64_t deadline;
static void end_at(uint64_t moment_ms) { __atomic_store_n(&deadline, moment_ms, __ATOMIC_SEQ_CST); }
static bool is_over(void) { return check_now_ms() >= __atomic_load_n(&deadline, __ATOMIC_SEQ_CST); }

/* ---- a storm ------------------------------------------------------------------------------------------------------------------------------- */

enum { SOCKETS = 6, STORMERS = 4 };

typedef struct storm {
  loop loop;
  pair pairs[SOCKETS];
  uint8_t rooms[SOCKETS][64];
  uint64_t posted;
} storm;

static storm the_storm;

static size_t socket_of(ws_handle handle) {
  size_t i = 0;
  while (i < SOCKETS && the_storm.pairs[i].websocket != handle) i++;
  return i;
}

/* Whoever was told posts the next one, and says something. */
static void go_on(const ws_event *event) {
  size_t received, which = socket_of(event->handle);
  ws_buffer_type type;
  ws_status status;
  if (event->type != WS_EVENT_RECEIVED || which == SOCKETS) return;
  do {
    (void)ws_send(event->handle, WS_BINARY_MESSAGE, "reply", 5);
    status = ws_receive(event->handle, the_storm.rooms[which], sizeof the_storm.rooms[which], &received, &type);
  } while (status == WS_OK);
  if (status == WS_PENDING) (void)__atomic_fetch_add(&the_storm.posted, 1, __ATOMIC_SEQ_CST);
  else CHECK(status == WS_ERROR_INVALID_OPERATION || status == WS_ERROR_INVALID_HANDLE || status == WS_ERROR_CANCELLED);
}

static void *storm_on(void *argument) {
  unsigned state = (unsigned)(uintptr_t)argument;
  while (!is_over()) {
    ws_handle websocket = the_storm.pairs[state % SOCKETS].websocket;
    ws_status status = WS_OK;
    uint64_t amount;
    size_t length = sizeof amount;
    state = state * 1664525u + 1013904223u;
    switch ((state >> 16) % 6) {
      case 0: status = ws_send(websocket, WS_BINARY_MESSAGE, "from a thread", 13); break;
      case 1: status = ws_ping(websocket, NULL, 0); break;
      case 2: status = ws_cancel(websocket, WS_OPERATION_RECEIVE); break;
      case 3: status = ws_query_option(websocket, WS_OPTION_BUFFERED_AMOUNT, &amount, &length); break;
      case 4: status = the_storm.loop.handle != WS_NO_HANDLE ? ws_loop_wake(the_storm.loop.handle) : WS_OK; break;
      default: status = pair_peer_sends(&the_storm.pairs[state % SOCKETS], PEER_FIN | PEER_BINARY, "p", 1) ? WS_OK : WS_OK; break;
    }
    if (status != WS_OK && status != WS_ERROR_INVALID_OPERATION && status != WS_ERROR_WOULD_BLOCK) CHECK_STATUS(WS_OK, status);
  }
  return NULL;
}

/* The peers read, so that nothing is held up. */
static void *drain_peers(void *unused) {
  while (!is_over()) {
    uint8_t bytes[8192];
    for (int i = 0; i < SOCKETS; i++) while (recv(the_storm.pairs[i].peer, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {}
    (void)usleep(500);
  }
  return unused;
}

static void threads_storm_a_loop(size_t row) {
  pthread_t threads[STORMERS + 1];
  uint64_t ended = 0;
  check_label("%s", delivery_name(deliveries[row]));
  the_storm.posted = 0;
  REQUIRE(loop_open(&the_storm.loop, deliveries[row]));
  for (int i = 0; i < SOCKETS; i++) REQUIRE(loop_upgrade(&the_storm.loop, &the_storm.pairs[i], i % 2 == 0 ? LIBRARY_IS_CLIENT : LIBRARY_IS_SERVER));
  loop_react(go_on);
  for (int i = 0; i < SOCKETS; i++) REQUIRE(POSTS(the_storm.pairs[i].websocket, the_storm.rooms[i], sizeof the_storm.rooms[i]));
  the_storm.posted += SOCKETS;
  end_at(check_now_ms() + STORM_MS);
  for (uintptr_t i = 0; i < STORMERS; i++) REQUIRE(pthread_create(&threads[i], NULL, storm_on, (void *)(i * 77 + 1)) == 0);
  REQUIRE(pthread_create(&threads[STORMERS], NULL, drain_peers, NULL) == 0);
  while (!is_over() && loop_count(WS_NO_HANDLE, 0) < LOOP_EVENTS / 2) loop_pass(&the_storm.loop, 5);
  end_at(0);
  for (int i = 0; i <= STORMERS; i++) (void)pthread_join(threads[i], NULL);
  loop_react(NULL);
  for (int i = 0; i < SOCKETS; i++) loop_pair_drop(&the_storm.loop, &the_storm.pairs[i]);
  loop_close(&the_storm.loop);
  for (int i = 0; i < SOCKETS; i++) ended += (uint64_t)loop_count(the_storm.pairs[i].websocket, WS_EVENT_RECEIVED);
  /* Exactly one event for every WS_PENDING. (An event that came when nobody reacted any more has posted none.) */
  CHECK_NUMBER((int64_t)the_storm.posted, (int64_t)ended);
}

/* ---- handles that come and go --------------------------------------------------------------------------------------------------------------- */

typedef struct comer { uint16_t port; ws_handle session; unsigned count; pthread_t thread; } comer;

static unsigned ended_upgrades;

static void count_ends(const ws_event *event) {
  if (event->type == WS_EVENT_UPGRADED && event->child != WS_NO_HANDLE) CHECK_STATUS(WS_OK, ws_close_handle(event->child));
  if (event->type == WS_EVENT_UPGRADED) (void)__atomic_fetch_add(&ended_upgrades, 1, __ATOMIC_SEQ_CST);
}

/* Requests that are closed at any moment of their handshake. */
static void *come_and_go(void *argument) {
  comer *comer = argument;
  char url[64];
  unsigned state = comer->count + 1;
  (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)comer->port);
  comer->count = 0;
  while (!is_over() && comer->count < 1000) {
    ws_handle request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
    if (!CHECK_STATUS(WS_OK, ws_connect(comer->session, url, &request))) break;
    CHECK_STATUS(WS_PENDING, ws_complete_upgrade(request, &websocket));
    state = state * 1664525u + 1013904223u;
    (void)usleep((state >> 16) % 1500);
    if (state % 3 == 0) (void)ws_cancel(request, WS_OPERATION_ALL);
    CHECK_STATUS(WS_OK, ws_close_handle(request));
    comer->count++;
  }
  return NULL;
}

static void *answer_comers(void *argument) {
  int listener = *(int *)argument;
  while (!is_over()) {
    struct pollfd entry = {listener, POLLIN, 0};
    char head[2048];
    ssize_t length;
    int peer = poll(&entry, 1, 20) == 1 ? accept(listener, NULL, NULL) : -1;
    if (peer < 0) continue;
    entry.fd = peer;
    length = poll(&entry, 1, 50) == 1 ? recv(peer, head, sizeof head - 1, 0) : 0;
    if (length > 0) {
      head[length] = '\0';
      if (strstr(head, "\r\n\r\n") != NULL) (void)peer_answer_upgrade(peer, head, "");
    }
    (void)close(peer);
  }
  return NULL;
}

static void requests_come_and_go(size_t row) {
  enum { COMERS = 3 };
  comer comers[COMERS];
  pthread_t answering;
  uint16_t port = 0;
  unsigned made = 0;
  int listener = peer_listen(&port);
  loop loop;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(loop_open(&loop, deliveries[row]));
  ended_upgrades = 0;
  loop_react(count_ends);
  end_at(check_now_ms() + STORM_MS);
  REQUIRE(pthread_create(&answering, NULL, answer_comers, &listener) == 0);
  for (unsigned i = 0; i < COMERS; i++) {
    comers[i] = (comer){.port = port, .session = loop.session, .count = i};
    REQUIRE(pthread_create(&comers[i].thread, NULL, come_and_go, &comers[i]) == 0);
  }
  while (!is_over()) loop_pass(&loop, 5);
  for (int i = 0; i < COMERS; i++) (void)pthread_join(comers[i].thread, NULL), made += comers[i].count;
  (void)pthread_join(answering, NULL);
  for (uint64_t until = check_now_ms() + PEER_WAIT_MS; __atomic_load_n(&ended_upgrades, __ATOMIC_SEQ_CST) < made && check_now_ms() < until;) loop_pass(&loop, 5);
  loop_pass(&loop, 20);
  loop_react(NULL);
  (void)close(listener);
  CHECK(made > 20);
  CHECK_NUMBER((int64_t)made, loop_count(WS_NO_HANDLE, WS_EVENT_UPGRADED)); /* each ended exactly once */
  loop_close(&loop);
}

/* ---- the library's threads ---------------------------------------------------------------------------------------------------------------------- */

/* With open handles: the threads end, nothing hangs, and the handles can be closed. What is opened later works again. */
static void a_cleanup_ends_the_threads(void) {
  static uint8_t room[16];
  int threads = check_threads();
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, BY_THREAD, LIBRARY_IS_CLIENT));
  REQUIRE(POSTS(pair.websocket, room, sizeof room));
  CHECK(check_threads() > threads);
  CHECK_STATUS(WS_OK, ws_cleanup(5000));
  CHECK_NUMBER(threads, check_threads_settled(threads));
  CHECK_STATUS(WS_OK, ws_cleanup(0));
  CHECK_STATUS(WS_OK, ws_close_handle(pair.websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(loop.session));
  (void)close(pair.peer);
  hearing.loops = 0; /* what was open can tell no end any more */
  REQUIRE(loop_pair(&loop, &pair, BY_THREAD, LIBRARY_IS_SERVER));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "again", 5));
  CHECK(LOOP_RECEIVES(&loop, pair.websocket, 9, WS_UTF8_MESSAGE, "again", 5));
  loop_pair_close(&loop, &pair);
}

/* ---- fork ------------------------------------------------------------------------------------------------------------------------------------ */

/* The child's copies answer 13005 and drop nothing of the parent's; what the child opens works. */
static void a_child_has_no_loop(void) {
  static uint8_t room[16];
  ws_event batch[4];
  size_t count, received;
  ws_buffer_type type;
  uint32_t timeout_ms;
  int64_t descriptor;
  int status = 0;
  pid_t child;
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, BY_BATCH, LIBRARY_IS_SERVER));
  REQUIRE(POSTS(pair.websocket, room, sizeof room));
  child = fork();
  if (child == 0) {
    ws_handle fresh = WS_NO_HANDLE;
    bool good = ws_loop_wait(loop.handle, batch, 4, &count, 0) == WS_ERROR_FORKED && ws_loop_run(loop.handle) == WS_ERROR_FORKED &&
                ws_loop_wake(loop.handle) == WS_ERROR_FORKED && ws_loop_timeout(loop.handle, &timeout_ms) == WS_ERROR_FORKED &&
                ws_loop_descriptor(loop.handle, &descriptor) == WS_ERROR_FORKED && ws_loop_stop(loop.handle) == WS_ERROR_FORKED &&
                ws_receive(pair.websocket, room, sizeof room, &received, &type) == WS_ERROR_FORKED &&
                ws_send(pair.websocket, WS_BINARY_MESSAGE, "x", 1) == WS_ERROR_FORKED && ws_close_handle(pair.websocket) == WS_OK &&
                ws_close_handle(loop.session) == WS_OK && ws_close_handle(loop.handle) == WS_OK && ws_loop_create(0, &fresh) == WS_OK &&
                ws_loop_wake(fresh) == WS_OK && ws_loop_wait(fresh, batch, 4, &count, 1000) == WS_OK && count == 1 && ws_close_handle(fresh) == WS_OK;
    _exit(good ? 0 : 1);
  }
  REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
  CHECK_NUMBER(0, status);
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "parent", 6));
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_OK) != NULL);
  CHECK_BYTES("parent", 6, room, 6);
  loop_pair_close(&loop, &pair);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_ROWS(threads_storm_a_loop, deliveries),
      CHECK_ROWS(requests_come_and_go, deliveries),
      CHECK_TEST(a_cleanup_ends_the_threads),
      CHECK_TEST(a_child_has_no_loop),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
