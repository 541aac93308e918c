/* Many threads on one connection: senders, a receiver, pings, cancels and closers at once, and what each of them must be told. */
#include "pair.h"

#define SENDERS 8
#define MESSAGES 150

/* ---- a library at either end ------------------------------------------------------------------------------------------------------- */

typedef struct ends {
  ws_handle session, listener, client, server;
  uint16_t port;
} ends;

static void *accept_one(void *argument) {
  ends *ends = argument;
  ws_handle request = WS_NO_HANDLE;
  if (CHECK_STATUS(WS_OK, ws_accept(ends->listener, &request)) && CHECK_STATUS(WS_OK, ws_complete_upgrade(request, &ends->server)))
    CHECK_STATUS(WS_OK, ws_close_handle(request));
  return NULL;
}

static bool ends_open(ends *ends) {
  ws_handle request = WS_NO_HANDLE;
  pthread_t thread;
  char url[64];
  memset(ends, 0, sizeof *ends);
  if (!CHECK_STATUS(WS_OK, ws_open(NULL, 0, &ends->session)) || !pair_listen(ends->session, "/", &ends->listener, &ends->port)) return false;
  (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)ends->port);
  if (!CHECK(pthread_create(&thread, NULL, accept_one, ends) == 0)) return false;
  if (!CHECK_STATUS(WS_OK, ws_connect(ends->session, url, &request))) return false;
  if (!CHECK_STATUS(WS_OK, ws_complete_upgrade(request, &ends->client))) return false;
  (void)pthread_join(thread, NULL);
  return CHECK_STATUS(WS_OK, ws_close_handle(request)) && CHECK(ends->server != WS_NO_HANDLE);
}

static void ends_close(ends *ends) {
  CHECK_STATUS(WS_OK, ws_close_handle(ends->client));
  CHECK_STATUS(WS_OK, ws_close_handle(ends->server));
  CHECK_STATUS(WS_OK, ws_close_handle(ends->listener));
  CHECK_STATUS(WS_OK, ws_close_handle(ends->session));
}

/* ---- messages that tell who sent them ---------------------------------------------------------------------------------------------- */

/* Small ones, ones over the stack's room, and ones that need more than one write. */
static size_t message_length(unsigned sender, unsigned number) {
  static const size_t lengths[] = {8, 100, 300, 5000, 70000, 200000};
  return lengths[(sender + number) % CHECK_COUNT(lengths)];
}

static void write_message(uint8_t *bytes, unsigned sender, unsigned number) {
  size_t length = message_length(sender, number);
  for (size_t i = 0; i < length; i++) bytes[i] = (uint8_t)(sender * 37 + number * 11 + i);
  memcpy(bytes, &sender, 4);
  memcpy(bytes + 4, &number, 4);
}

/* Every sender's messages come in its order, whole and unchanged; those of different senders in any. */
static bool check_message(const uint8_t *bytes, size_t length, unsigned next[SENDERS]) {
  unsigned sender, number;
  uint8_t *expected;
  bool is_right;
  if (!CHECK(length >= 8)) return false;
  memcpy(&sender, bytes, 4);
  memcpy(&number, bytes + 4, 4);
  if (!CHECK(sender < SENDERS) || !CHECK_NUMBER(next[sender], number)) return false;
  next[sender]++;
  expected = malloc(message_length(sender, number));
  if (!CHECK(expected != NULL)) return false;
  write_message(expected, sender, number);
  is_right = CHECK_BYTES(expected, message_length(sender, number), bytes, length);
  free(expected);
  return is_right;
}

typedef struct sender {
  ws_handle websocket;
  unsigned number;
  pthread_t thread;
} sender;

static void *send_all(void *argument) {
  const sender *sender = argument;
  uint8_t *bytes = malloc(200000);
  for (unsigned i = 0; bytes != NULL && i < MESSAGES; i++) {
    write_message(bytes, sender->number, i);
    if (!CHECK_STATUS(WS_OK, ws_send(sender->websocket, WS_BINARY_MESSAGE, bytes, message_length(sender->number, i)))) break;
    if (i % 10 == 0) CHECK_STATUS(WS_OK, ws_ping(sender->websocket, "are you there?", 14));
  }
  free(bytes);
  return NULL;
}

static bool receive_all(ws_handle websocket) {
  unsigned next[SENDERS] = {0};
  for (int i = 0; i < SENDERS * MESSAGES; i++) {
    const void *data = NULL;
    size_t length = 0;
    ws_buffer_type type = -1;
    if (!CHECK_STATUS(WS_OK, ws_receive_message(websocket, &data, &length, &type))) return false;
    if (!CHECK_NUMBER(WS_BINARY_MESSAGE, type) || !check_message(data, length, next)) return false;
  }
  return true;
}

static void *receive_on(void *argument) {
  const ws_handle *websocket = argument;
  return receive_all(*websocket) ? argument : NULL;
}

/* Eight senders and pings on one side, one receiver on the other that answers them; and one sender the other way. */
static void eight_senders_and_a_receiver(size_t row) {
  sender senders[SENDERS];
  pthread_t receiver;
  void *received = NULL;
  ends ends;
  check_label("%s sends", row == 0 ? "client" : "server");
  REQUIRE(ends_open(&ends));
  ws_handle from = row == 0 ? ends.client : ends.server, to = row == 0 ? ends.server : ends.client;
  REQUIRE(CHECK(pthread_create(&receiver, NULL, receive_on, &to) == 0));
  for (unsigned i = 0; i < SENDERS; i++) {
    senders[i] = (sender){.websocket = from, .number = i};
    REQUIRE(CHECK(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]) == 0));
  }
  for (unsigned i = 0; i < SENDERS; i++) (void)pthread_join(senders[i].thread, NULL);
  (void)pthread_join(receiver, &received);
  CHECK(received != NULL);
  ends_close(&ends);
}

/* Both directions at full speed on the same handles: nobody waits for anybody. */
static void both_directions_at_once(void) {
  sender senders[2][SENDERS];
  pthread_t receivers[2];
  void *received[2] = {NULL, NULL};
  ends ends;
  REQUIRE(ends_open(&ends));
  ws_handle handles[2] = {ends.client, ends.server};
  for (int side = 0; side < 2; side++) {
    REQUIRE(CHECK(pthread_create(&receivers[side], NULL, receive_on, &handles[side]) == 0));
    for (unsigned i = 0; i < SENDERS; i++) {
      senders[side][i] = (sender){.websocket = handles[side], .number = i};
      REQUIRE(CHECK(pthread_create(&senders[side][i].thread, NULL, send_all, &senders[side][i]) == 0));
    }
  }
  for (int side = 0; side < 2; side++) {
    for (unsigned i = 0; i < SENDERS; i++) (void)pthread_join(senders[side][i].thread, NULL);
    (void)pthread_join(receivers[side], &received[side]);
    CHECK(received[side] != NULL);
  }
  ends_close(&ends);
}

/* ---- ends while others are inside -------------------------------------------------------------------------------------------------- */

typedef struct inside {
  ws_handle websocket;
  ws_status status, allowed[6];
  bool started;
  pthread_t thread;
} inside;

static void *receive_until_it_ends(void *argument) {
  inside *inside = argument;
  uint8_t room[4096];
  size_t received;
  ws_buffer_type type = 0;
  do {
    inside->status = ws_receive(inside->websocket, room, sizeof room, &received, &type);
    __atomic_store_n(&inside->started, true, __ATOMIC_SEQ_CST);
  } while (inside->status == WS_OK && type != WS_CLOSE_FRAME);
  return NULL;
}

static void *send_until_it_ends(void *argument) {
  inside *inside = argument;
  static const uint8_t bytes[20000];
  do {
    inside->status = ws_send(inside->websocket, WS_BINARY_MESSAGE, bytes, sizeof bytes);
    __atomic_store_n(&inside->started, true, __ATOMIC_SEQ_CST);
  } while (inside->status == WS_OK);
  return NULL;
}

static bool start(inside *inside, void *(*run)(void *), ws_handle websocket) {
  memset(inside, 0, sizeof *inside);
  inside->websocket = websocket;
  return CHECK(pthread_create(&inside->thread, NULL, run, inside) == 0);
}

static void wait_started(const inside *inside) {
  const struct timespec moment = {0, 200000};
  while (!__atomic_load_n(&inside->started, __ATOMIC_SEQ_CST)) (void)nanosleep(&moment, NULL);
}

/* ws_close takes the receiving side over; whoever receives there is told so, and the peer sees a clean end. */
static void a_close_ends_the_receives_of_both_sides(void) {
  for (int turn = 0; turn < 40; turn++) {
    inside own, theirs;
    const struct timespec moment = {0, turn * 50000L};
    ends ends;
    REQUIRE(ends_open(&ends));
    REQUIRE(start(&own, receive_until_it_ends, ends.client) && start(&theirs, receive_until_it_ends, ends.server));
    (void)nanosleep(&moment, NULL);
    CHECK_STATUS(WS_OK, ws_close(ends.client, WS_CLOSE_NORMAL, NULL, 0));
    (void)pthread_join(own.thread, NULL);
    (void)pthread_join(theirs.thread, NULL);
    CHECK(own.status == WS_ERROR_CANCELLED || own.status == WS_ERROR_INVALID_OPERATION || CHECK_STATUS(WS_ERROR_CANCELLED, own.status));
    CHECK_STATUS(WS_OK, theirs.status);
    CHECK_STATUS(WS_OK, ws_close(ends.server, WS_CLOSE_NORMAL, NULL, 0));
    ends_close(&ends);
  }
}

/* In the middle of a conversation at full speed. */
static void a_close_in_full_flight(void) {
  inside senders[4], receivers[2];
  ends ends;
  REQUIRE(ends_open(&ends));
  REQUIRE(start(&receivers[0], receive_until_it_ends, ends.client) && start(&receivers[1], receive_until_it_ends, ends.server));
  for (int i = 0; i < 4; i++) REQUIRE(start(&senders[i], send_until_it_ends, i % 2 == 0 ? ends.client : ends.server));
  for (int i = 0; i < 4; i++) wait_started(&senders[i]);
  CHECK_STATUS(WS_OK, ws_close(ends.client, WS_CLOSE_NORMAL, "done", 4));
  for (int i = 0; i < 4; i++) {
    (void)pthread_join(senders[i].thread, NULL);
    /* The other side may lose its connection in the middle of a frame: the client ends it when it is done. */
    CHECK(senders[i].status == WS_ERROR_INVALID_OPERATION || (i % 2 == 1 && senders[i].status == WS_ERROR_CONNECTION) ||
          CHECK_STATUS(WS_ERROR_INVALID_OPERATION, senders[i].status));
  }
  for (int i = 0; i < 2; i++) (void)pthread_join(receivers[i].thread, NULL);
  CHECK(receivers[0].status == WS_ERROR_CANCELLED || CHECK_STATUS(WS_ERROR_INVALID_OPERATION, receivers[0].status));
  CHECK_STATUS(WS_OK, receivers[1].status);
  ends_close(&ends);
}

/* Every thread is told 12017, or 6 if it comes later; nobody hangs, and exactly one closer has closed. */
static void *close_handle(void *argument) {
  inside *inside = argument;
  inside->status = ws_close_handle(inside->websocket);
  return NULL;
}

static void a_handle_closed_in_full_flight(void) {
  for (int turn = 0; turn < 20; turn++) {
    inside senders[3], receiver, closers[3], theirs;
    int closed = 0;
    ends ends;
    REQUIRE(ends_open(&ends));
    REQUIRE(start(&receiver, receive_until_it_ends, ends.client) && start(&theirs, receive_until_it_ends, ends.server));
    for (int i = 0; i < 3; i++) REQUIRE(start(&senders[i], send_until_it_ends, ends.client));
    for (int i = 0; i < 3; i++) wait_started(&senders[i]);
    for (int i = 0; i < 3; i++) REQUIRE(start(&closers[i], close_handle, ends.client));
    for (int i = 0; i < 3; i++) {
      (void)pthread_join(closers[i].thread, NULL);
      closed += closers[i].status == WS_OK;
      CHECK(closers[i].status == WS_OK || CHECK_STATUS(WS_ERROR_INVALID_HANDLE, closers[i].status));
      (void)pthread_join(senders[i].thread, NULL);
      CHECK(senders[i].status == WS_ERROR_INVALID_HANDLE || CHECK_STATUS(WS_ERROR_CANCELLED, senders[i].status));
    }
    CHECK_NUMBER(1, closed);
    (void)pthread_join(receiver.thread, NULL);
    CHECK(receiver.status == WS_ERROR_INVALID_HANDLE || CHECK_STATUS(WS_ERROR_CANCELLED, receiver.status));
    (void)pthread_join(theirs.thread, NULL);
    CHECK_STATUS(WS_ERROR_CONNECTION, theirs.status);
    CHECK_STATUS(WS_OK, ws_close_handle(ends.server));
    CHECK_STATUS(WS_OK, ws_close_handle(ends.listener));
    CHECK_STATUS(WS_OK, ws_close_handle(ends.session));
  }
}

/* Cancels rain on a conversation: each ends at most a call, and every message comes through. */
typedef struct rain { ws_handle websocket; bool stop; int cancelled; } rain;

static void *cancel_receives(void *argument) {
  rain *rain = argument;
  const struct timespec moment = {0, 300000};
  while (!__atomic_load_n(&rain->stop, __ATOMIC_SEQ_CST)) {
    ws_status status = ws_cancel(rain->websocket, WS_OPERATION_RECEIVE);
    CHECK(status == WS_OK || CHECK_STATUS(WS_ERROR_INVALID_OPERATION, status));
    rain->cancelled += status == WS_OK;
    (void)nanosleep(&moment, NULL);
  }
  return NULL;
}

static void cancels_lose_no_byte(void) {
  unsigned next[SENDERS] = {0};
  int received = 0, cancelled = 0;
  sender sender = {.number = 3};
  rain rain = {.stop = false};
  pthread_t thread;
  ends ends;
  REQUIRE(ends_open(&ends));
  sender.websocket = ends.client;
  rain.websocket = ends.server;
  REQUIRE(CHECK(pthread_create(&thread, NULL, cancel_receives, &rain) == 0));
  REQUIRE(CHECK(pthread_create(&sender.thread, NULL, send_all, &sender) == 0));
  while (received < MESSAGES) {
    const void *data = NULL;
    size_t length = 0;
    ws_buffer_type type = -1;
    ws_status status = ws_receive_message(ends.server, &data, &length, &type);
    if (status == WS_ERROR_CANCELLED) cancelled++;
    else if (!CHECK_STATUS(WS_OK, status) || !check_message(data, length, next)) break;
    else received++;
  }
  (void)pthread_join(sender.thread, NULL);
  /* And one that nothing else ends. */
  while (cancelled == 0) {
    const void *data = NULL;
    size_t length = 0;
    ws_buffer_type type = -1;
    REQUIRE_STATUS(WS_ERROR_CANCELLED, ws_receive_message(ends.server, &data, &length, &type));
    cancelled++;
  }
  __atomic_store_n(&rain.stop, true, __ATOMIC_SEQ_CST);
  (void)pthread_join(thread, NULL);
  CHECK(rain.cancelled > 0);
  ends_close(&ends);
}

/* ---- a peer that is gone, and SIGPIPE as C programs have it ------------------------------------------------------------------------- */

static void gathered_frames_to_a_reset_peer(size_t row) {
  static uint8_t large[300000];
  const ws_bytes parts[] = {{"head", 4}, {large, sizeof large}, {"", 0}, {"tail", 4}};
  ws_status status = WS_OK;
  pair pair;
  check_label("%s", row == 0 ? "client" : "server");
  CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
  REQUIRE(pair_open(&pair, row == 0 ? LIBRARY_IS_CLIENT : LIBRARY_IS_SERVER));
  peer_reset(pair.peer);
  pair.peer = -1;
  for (int i = 0; i < 20; i++) {
    status = ws_send_ex(pair.websocket, WS_BINARY_MESSAGE, 0, parts, CHECK_COUNT(parts), NULL);
    CHECK_STATUS(WS_ERROR_CONNECTION, status);
    CHECK_STATUS(WS_ERROR_CONNECTION, ws_ping(pair.websocket, "x", 1));
  }
  CHECK_STATUS(WS_ERROR_CONNECTION, ws_shutdown(pair.websocket, WS_CLOSE_NORMAL, NULL, 0));
  CHECK_STATUS(WS_ERROR_CONNECTION, ws_close(pair.websocket, WS_CLOSE_NORMAL, NULL, 0));
  pair_close(&pair);
}

int main(int argc, char **argv) {
  static const int sides[2];
  static const check_test tests[] = {
      CHECK_ROWS(eight_senders_and_a_receiver, sides),
      CHECK_TEST(both_directions_at_once),
      CHECK_TEST(a_close_ends_the_receives_of_both_sides),
      CHECK_TEST(a_close_in_full_flight),
      CHECK_TEST(a_handle_closed_in_full_flight),
      CHECK_TEST(cancels_lose_no_byte),
      CHECK_ROWS(gathered_frames_to_a_reset_peer, sides),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
