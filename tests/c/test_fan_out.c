/* Prepared messages: framed once, sent to anybody in either role, from any thread, blocking or not. */
#include "loop.h"

static const struct { pair_role role; bool is_async; } kinds[] = {
    {LIBRARY_IS_CLIENT, false}, {LIBRARY_IS_SERVER, false}, {LIBRARY_IS_CLIENT, true}, {LIBRARY_IS_SERVER, true}};

static loop driven;

static bool kind_open(pair *pair, size_t row) {
  check_label("%s, %s", pair_role_name(kinds[row].role), kinds[row].is_async ? "asynchronous" : "blocking");
  return kinds[row].is_async ? loop_pair(&driven, pair, BY_RUN, kinds[row].role) : pair_open(pair, kinds[row].role);
}

static void kind_close(pair *pair, size_t row) {
  if (kinds[row].is_async) loop_pair_close(&driven, pair);
  else pair_close(pair);
}

static void what_cannot_be_prepared_is_refused(void) {
  ws_handle message = 4711, session = WS_NO_HANDLE;
  uint32_t kind = 0;
  size_t length = sizeof kind;
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_prepare(WS_BINARY_MESSAGE, "x", 1, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_prepare(WS_BINARY_MESSAGE, NULL, 1, &message));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_prepare(WS_BINARY_FRAGMENT, "x", 1, &message));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_prepare(WS_UTF8_FRAGMENT, "x", 1, &message));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_prepare(WS_CLOSE_FRAME, "x", 1, &message));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_prepare(17, "x", 1, &message));
  CHECK_NUMBER(4711, (int64_t)message);
  REQUIRE_STATUS(WS_OK, ws_prepare(WS_BINARY_MESSAGE, NULL, 0, &message));
  CHECK_STATUS(WS_OK, ws_query_option(message, WS_OPTION_HANDLE_KIND, &kind, &length));
  CHECK_NUMBER(6, kind);
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_TYPE, ws_send_prepared(session, message));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_send_prepared(WS_NO_HANDLE, message));
  CHECK_STATUS(WS_OK, ws_close_handle(message));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_close_handle(message));
}

static const size_t sizes[] = {0, 1, 125, 126, 65535, 65536};

/* The same bytes as ws_send makes: the shortest length, and a client's mask. */
static void a_prepared_message_is_a_frame(size_t row) {
  static uint8_t payload[65536];
  ws_handle message = WS_NO_HANDLE;
  uint8_t mask[4] = {0};
  int same_masks = 0;
  static peer_frame frame;
  pair pair;
  REQUIRE(kind_open(&pair, row));
  for (size_t size = 0; size < CHECK_COUNT(sizes); size++) {
    for (size_t i = 0; i < sizes[size]; i++) payload[i] = (uint8_t)('a' + i % 26);
    REQUIRE_STATUS(WS_OK, ws_prepare(size % 2 == 0 ? WS_UTF8_MESSAGE : WS_BINARY_MESSAGE, payload, sizes[size], &message));
    memset(payload, 0xff, sizes[size]); /* it was copied */
    for (int i = 0; i < 3; i++) {
      REQUIRE_STATUS(WS_OK, ws_send_prepared(pair.websocket, message));
      REQUIRE(peer_read_frame(pair.peer, &frame));
      CHECK_NUMBER(PEER_FIN | (size % 2 == 0 ? PEER_TEXT : PEER_BINARY), frame.first);
      CHECK_NUMBER(kinds[row].role == LIBRARY_IS_CLIENT, frame.is_masked);
      CHECK_NUMBER(sizes[size] < 126 ? 2 : sizes[size] < 65536 ? 4 : 10, (int64_t)frame.header_length);
      REQUIRE(frame.length == sizes[size]);
      for (size_t at = 0; at < frame.length; at++) REQUIRE(frame.payload[at] == (uint8_t)('a' + at % 26));
      same_masks += memcmp(mask, frame.mask, 4) == 0;
      memcpy(mask, frame.mask, 4);
    }
    CHECK_STATUS(WS_OK, ws_close_handle(message));
  }
  /* RFC 6455 §5.3: a fresh key for every frame. */
  if (kinds[row].role == LIBRARY_IS_CLIENT) CHECK_NUMBER(0, same_masks);
  kind_close(&pair, row);
}

static void a_prepared_message_joins_no_other(size_t row) {
  ws_handle message = WS_NO_HANDLE;
  pair pair;
  REQUIRE(kind_open(&pair, row));
  REQUIRE_STATUS(WS_OK, ws_prepare(WS_UTF8_MESSAGE, "whole", 5, &message));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_TYPE, ws_send_prepared(pair.websocket, pair.websocket));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_send_prepared(pair.websocket, WS_NO_HANDLE));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_FRAGMENT, "open ", 5));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_send_prepared(pair.websocket, message));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "end", 3));
  CHECK_STATUS(WS_OK, ws_send_prepared(pair.websocket, message));
  CHECK(PEER_GETS(&pair, PEER_TEXT, "open ", 5));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_CONTINUATION, "end", 3));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_TEXT, "whole", 5));
  CHECK_STATUS(WS_OK, loop_end(&driven, ws_shutdown(pair.websocket, 1000, NULL, 0), pair.websocket, WS_EVENT_SHUTDOWN_COMPLETE, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_send_prepared(pair.websocket, message));
  CHECK_STATUS(WS_OK, ws_close_handle(message));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_send_prepared(pair.websocket, message));
  kind_close(&pair, row);
}

static void text_is_checked_when_it_is_prepared(void) {
  ws_handle message = WS_NO_HANDLE;
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_prepare(WS_UTF8_MESSAGE, "\xc3", 1, &message));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_prepare(WS_UTF8_MESSAGE, "ok\xff", 3, &message));
  CHECK_STATUS(WS_OK, ws_prepare(WS_BINARY_MESSAGE, "ok\xff", 3, &message));
  CHECK_STATUS(WS_OK, ws_close_handle(message));
}

/* ---- queues ------------------------------------------------------------------------------------------------------------------------------- */

typedef struct taker { pair *pair; unsigned messages; size_t length; bool good; pthread_t thread; } taker;

static void *take_all(void *argument) {
  static peer_frame frame;
  taker *taker = argument;
  for (unsigned i = 0; i < taker->messages; i++) {
    if (!peer_read_frame(taker->pair->peer, &frame) || frame.length != taker->length) return NULL;
    for (size_t at = 0; at < frame.length; at++) {
      if (frame.payload[at] != (uint8_t)(at * 3)) return (void)check_failed(__FILE__, __LINE__, "message %u is not what was prepared", i), NULL;
    }
  }
  taker->good = true;
  return NULL;
}

/* A full queue refuses it like any other; what is queued outlives the handle of the message. */
static void a_queued_message_outlives_its_handle(size_t row) {
  static uint8_t payload[50000];
  const uint64_t limit = 1 << 20;
  ws_handle message = WS_NO_HANDLE;
  taker taker = {0};
  const struct loop_row *way = loop_row(row);
  loop loop;
  pair pair;
  int full = 0;
  for (size_t i = 0; i < sizeof payload; i++) payload[i] = (uint8_t)(i * 3);
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE_STATUS(WS_OK, ws_set_option(pair.websocket, WS_OPTION_SEND_QUEUE_LIMIT, &limit, sizeof limit));
  REQUIRE_STATUS(WS_OK, ws_prepare(WS_BINARY_MESSAGE, payload, sizeof payload, &message));
  while (full < 3 && taker.messages < 4000) {
    ws_status status = ws_send_prepared(pair.websocket, message);
    if (status == WS_ERROR_WOULD_BLOCK) full++, loop_pass(&loop, 10);
    else if (CHECK_STATUS(WS_OK, status)) taker.messages++;
    else break;
  }
  CHECK(full == 3);
  CHECK_STATUS(WS_OK, ws_close_handle(message));
  taker.pair = &pair;
  taker.length = sizeof payload;
  REQUIRE(pthread_create(&taker.thread, NULL, take_all, &taker) == 0);
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_WRITABLE, WS_OK) != NULL);
  loop_pass(&loop, 50);
  for (uint64_t until = check_now_ms() + PEER_WAIT_MS; !__atomic_load_n(&taker.good, __ATOMIC_SEQ_CST) && check_now_ms() < until;) loop_pass(&loop, 5);
  (void)pthread_join(taker.thread, NULL);
  CHECK(taker.good);
  loop_pair_close(&loop, &pair);
}

enum { RECEIVERS = 30, ROUNDS = 20 };

/* One message for everybody, several times. */
static void a_broadcast_reaches_everybody(size_t row) {
  const struct loop_row *way = loop_row(row);
  pair pairs[RECEIVERS];
  ws_handle message = WS_NO_HANDLE;
  loop loop;
  REQUIRE(loop_open(&loop, way->delivery));
  for (int i = 0; i < RECEIVERS; i++) REQUIRE(loop_upgrade(&loop, &pairs[i], way->role));
  for (int round = 0; round < ROUNDS; round++) {
    char text[32];
    int length = snprintf(text, sizeof text, "round %d", round);
    REQUIRE_STATUS(WS_OK, ws_prepare(WS_UTF8_MESSAGE, text, (size_t)length, &message));
    for (int i = 0; i < RECEIVERS; i++) REQUIRE_STATUS(WS_OK, ws_send_prepared(pairs[i].websocket, message));
    CHECK_STATUS(WS_OK, ws_close_handle(message));
    for (int i = 0; i < RECEIVERS; i++) CHECK(LOOP_PEER_GETS(&loop, &pairs[i], PEER_FIN | PEER_TEXT, text, (size_t)length));
  }
  for (int i = 0; i < RECEIVERS; i++) loop_pair_drop(&loop, &pairs[i]);
  loop_close(&loop);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_TEST(what_cannot_be_prepared_is_refused),
      CHECK_ROWS(a_prepared_message_is_a_frame, kinds),
      CHECK_ROWS(a_prepared_message_joins_no_other, kinds),
      CHECK_TEST(text_is_checked_when_it_is_prepared),
      CHECK_ROWS(a_queued_message_outlives_its_handle, loop_rows),
      CHECK_ROWS(a_broadcast_reaches_everybody, loop_rows),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
