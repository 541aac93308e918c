/* Asynchronous receives: posted buffers, views, whole messages; at once or by one event; their limits; and what comes without being asked. */
#include "loop.h"

static uint8_t room[70000];

static ws_status receive(ws_handle websocket, size_t capacity, size_t *received, ws_buffer_type *type) {
  return ws_receive(websocket, room, capacity, received, type);
}

/* ---- posted buffers ------------------------------------------------------------------------------------------------------------------ */

/* Nothing there: WS_PENDING, and exactly one event, which shows the buffer. Something there: WS_OK and no event. */
static void a_receive_is_told_once(size_t row) {
  const struct loop_row *way = loop_row(row);
  static uint8_t mine[100];
  const heard *heard;
  loop loop;
  pair pair;
  int mark;
  void *context = &mark;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  CHECK_STATUS(WS_OK, ws_set_option(pair.websocket, WS_OPTION_CONTEXT, &context, sizeof context));
  for (int i = 0; i < 20; i++) {
    REQUIRE(POSTS(pair.websocket, mine, sizeof mine));
    REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "hello", 5));
    REQUIRE((heard = HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_OK)) != NULL);
    CHECK(heard->event.context == context && heard->event.operation_context == NULL && heard->event.child == WS_NO_HANDLE);
    CHECK_NUMBER(WS_UTF8_MESSAGE, heard->event.buffer_type);
    CHECK_NUMBER(5, (int64_t)heard->event.length);
    CHECK_BYTES("hello", 5, mine, 5);
  }
  CHECK_NUMBER(20, loop_count(pair.websocket, WS_EVENT_RECEIVED));
  CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 30));
  loop_pair_close(&loop, &pair);
}

/* Messages that came together: one receive pends, the others are taken without waiting. */
static void a_drain_takes_all_that_is_there(size_t row) {
  const struct loop_row *way = loop_row(row);
  enum { MESSAGES = 50 };
  uint8_t frames[MESSAGES * 16];
  size_t size = 0, received = 0;
  int at_once = 0, by_event = 0;
  ws_buffer_type type = -1;
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  for (uint8_t i = 0; i < MESSAGES; i++) size += peer_write_frame(frames + size, PEER_FIN | PEER_BINARY, way->role == LIBRARY_IS_SERVER, &i, 1);
  REQUIRE(peer_send(pair.peer, frames, size));
  for (int i = 0; i < MESSAGES; i++) {
    const heard *heard = NULL;
    ws_status status = receive(pair.websocket, 8, &received, &type);
    at_once += status == WS_OK;
    by_event += status == WS_PENDING;
    REQUIRE_STATUS(WS_OK, loop_end(&loop, status, pair.websocket, WS_EVENT_RECEIVED, &heard));
    CHECK_NUMBER(i, room[0]);
  }
  CHECK_NUMBER(by_event, loop_count(pair.websocket, WS_EVENT_RECEIVED));
  CHECK(at_once >= MESSAGES / 2);
  loop_pair_close(&loop, &pair);
}

static void one_receive_is_outstanding(size_t row) {
  const struct loop_row *way = loop_row(row);
  const void *data = &loop_rows;
  size_t length = 4711;
  ws_buffer_type type = 4711;
  static uint8_t posted[64];
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE(POSTS(pair.websocket, posted, sizeof posted));
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_INVALID_OPERATION));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_receive_message(pair.websocket, &data, &length, &type));
  CHECK(data == &loop_rows && length == 4711 && type == 4711);
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_BINARY, "first", 5));
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_OK) != NULL);
  CHECK_BYTES("first", 5, posted, 5);
  CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 20));
  loop_pair_close(&loop, &pair);
}

/* The type says whether a message ended, whatever the buffer's size was. */
static void pieces_fit_the_posted_buffer(size_t row) {
  const struct loop_row *way = loop_row(row);
  uint8_t payload[1000];
  size_t total = 0, received = 0;
  ws_buffer_type type = -1;
  loop loop;
  pair pair;
  for (size_t i = 0; i < sizeof payload; i++) payload[i] = (uint8_t)(i * 7);
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE(pair_peer_sends(&pair, PEER_BINARY, payload, 300));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_CONTINUATION, payload + 300, 700));
  while (type != WS_BINARY_MESSAGE && total < sizeof payload) {
    const heard *heard = NULL;
    ws_status status = ws_receive(pair.websocket, room + total, 77, &received, &type);
    REQUIRE_STATUS(WS_OK, loop_end(&loop, status, pair.websocket, WS_EVENT_RECEIVED, &heard));
    if (heard != NULL) received = heard->event.length, type = heard->event.buffer_type;
    REQUIRE(received > 0 && received <= 77 && total + received <= sizeof payload);
    CHECK(total + received <= 300 || total >= 300); /* at most one frame's payload */
    total += received;
    CHECK_NUMBER(total == sizeof payload ? WS_BINARY_MESSAGE : WS_BINARY_FRAGMENT, type);
  }
  CHECK_BYTES(payload, sizeof payload, room, total);
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, NULL, 0));
  CHECK(LOOP_RECEIVES(&loop, pair.websocket, 9, WS_UTF8_MESSAGE, "", 0));
  loop_pair_close(&loop, &pair);
}

/* A frame that arrives a byte at a time, into a receive that is posted again and again. */
static void a_slow_frame_is_put_together(size_t row) {
  const struct loop_row *way = loop_row(row);
  uint8_t payload[200], frame[214];
  size_t size, total = 0;
  const heard *heard;
  loop loop;
  pair pair;
  ws_buffer_type type = -1;
  for (size_t i = 0; i < sizeof payload; i++) payload[i] = (uint8_t)('a' + i % 26);
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  size = peer_write_frame(frame, PEER_FIN | PEER_TEXT, way->role == LIBRARY_IS_SERVER, payload, sizeof payload);
  for (size_t i = 0; i < size; i++) {
    REQUIRE(peer_send(pair.peer, frame + i, 1));
    if (i % 16 == 0) loop_pass(&loop, 1);
  }
  while (type != WS_UTF8_MESSAGE && total < sizeof payload) {
    size_t received = 0;
    REQUIRE_STATUS(WS_OK, loop_end(&loop, ws_receive(pair.websocket, room + total, 1000, &received, &type), pair.websocket, WS_EVENT_RECEIVED, &heard));
    if (heard != NULL) received = heard->event.length, type = heard->event.buffer_type;
    total += received;
  }
  CHECK_BYTES(payload, sizeof payload, room, total);
  loop_pair_close(&loop, &pair);
}

static void a_receive_is_cancelled_and_the_next_goes_on(size_t row) {
  const struct loop_row *way = loop_row(row);
  static uint8_t posted[64];
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_cancel(pair.websocket, WS_OPERATION_RECEIVE));
  for (int i = 0; i < 6; i++) {
    REQUIRE(POSTS(pair.websocket, posted, sizeof posted));
    if (i == 5) REQUIRE(peer_send(pair.peer, "\x82", 1)); /* half a header */
    CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_cancel(pair.websocket, WS_OPERATION_SEND));
    REQUIRE_STATUS(WS_OK, ws_cancel(pair.websocket, i % 2 == 0 ? WS_OPERATION_RECEIVE : WS_OPERATION_ALL));
    CHECK(HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_ERROR_CANCELLED) != NULL);
    CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_cancel(pair.websocket, WS_OPERATION_RECEIVE));
  }
  if (way->role == LIBRARY_IS_SERVER) REQUIRE(peer_send(pair.peer, "\x84" "\0\0\0\0" "rest", 9));
  else REQUIRE(peer_send(pair.peer, "\x04" "rest", 5));
  CHECK(LOOP_RECEIVES(&loop, pair.websocket, 9, WS_BINARY_MESSAGE, "rest", 4));
  loop_pair_close(&loop, &pair);
}

static void a_receive_has_a_time_limit(size_t row) {
  const struct loop_row *way = loop_row(row);
  static uint8_t posted[64];
  uint64_t begin;
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE(pair_set_u32(pair.websocket, WS_OPTION_RECEIVE_TIMEOUT, 60));
  begin = check_now_ms();
  REQUIRE(POSTS(pair.websocket, posted, sizeof posted));
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_ERROR_TIMEOUT) != NULL);
  CHECK(check_now_ms() - begin >= 50);
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "late", 4));
  CHECK(LOOP_RECEIVES(&loop, pair.websocket, 9, WS_UTF8_MESSAGE, "late", 4));
  loop_pair_close(&loop, &pair);
}

/* ---- the end ------------------------------------------------------------------------------------------------------------------------- */

static void a_close_frame_is_received_and_answered(size_t row) {
  const struct loop_row *way = loop_row(row);
  static uint8_t posted[64];
  const heard *heard;
  char reason[123];
  size_t length = 0;
  uint16_t status = 0;
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE(POSTS(pair.websocket, posted, sizeof posted));
  REQUIRE(pair_peer_closes(&pair, 3210, "enough"));
  REQUIRE((heard = HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_OK)) != NULL);
  CHECK_NUMBER(WS_CLOSE_FRAME, heard->event.buffer_type);
  CHECK_NUMBER(0, (int64_t)heard->event.length);
  CHECK_STATUS(WS_OK, ws_query_close_status(pair.websocket, &status, reason, sizeof reason, &length));
  CHECK_NUMBER(3210, status);
  CHECK_BYTES("enough", 6, reason, length);
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_INVALID_OPERATION));
  CHECK(LOOP_PEER_GETS_CLOSE(&loop, &pair, 3210, ""));
  loop_pair_close(&loop, &pair);
}

/* Each is told by the posted receive, with its reason, and by the next call. */
static const struct { const char *bytes; size_t length; ws_status status; uint16_t close; } endings[] = {
    {NULL, 0, WS_ERROR_CONNECTION, 0},
    {"\xf2\x80" "0000", 6, WS_ERROR_PROTOCOL_VIOLATION, 1002},
    {"\x81\x81" "\0\0\0\0" "\xff", 7, WS_ERROR_INVALID_PAYLOAD, 1007},
};

static void a_bad_end_is_told(size_t row) {
  static uint8_t posted[64];
  static const delivery deliveries[] = {BY_BATCH, BY_RUN, BY_THREAD};
  loop loop;
  pair pair;
  ws_error_info info = {.size = sizeof info};
  size_t ending = row % CHECK_COUNT(endings);
  check_label("%s, status %d", delivery_name(deliveries[row / CHECK_COUNT(endings)]), (int)endings[ending].status);
  REQUIRE(loop_pair(&loop, &pair, deliveries[row / CHECK_COUNT(endings)], LIBRARY_IS_SERVER));
  REQUIRE(POSTS(pair.websocket, posted, sizeof posted));
  if (endings[ending].length > 0) REQUIRE(peer_send(pair.peer, endings[ending].bytes, endings[ending].length));
  else (void)shutdown(pair.peer, SHUT_WR);
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, endings[ending].status) != NULL);
  CHECK(RECEIVE_FAILS(pair.websocket, endings[ending].status));
  CHECK_STATUS(WS_OK, ws_query_error(pair.websocket, &info));
  CHECK_NUMBER(endings[ending].status, info.status);
  if (endings[ending].close != 0) {
    CHECK_NUMBER(endings[ending].close, info.close_status);
    CHECK(loop_until_readable(&loop, pair.peer) && PEER_GETS_CLOSE_STATUS(&pair, endings[ending].close));
  }
  CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 10));
  loop_pair_close(&loop, &pair);
}

/* ---- views ------------------------------------------------------------------------------------------------------------------------------ */

static struct { ws_handle websocket; size_t pieces, bytes; bool ended, bad; uint8_t next; } viewed;

static void view_piece(const void *data, size_t length, ws_buffer_type type) {
  const uint8_t *bytes = data;
  for (size_t i = 0; i < length; i++) viewed.bad |= bytes[i] != (uint8_t)(viewed.next + i);
  viewed.next = (uint8_t)(viewed.next + length);
  viewed.pieces++;
  viewed.bytes += length;
  viewed.ended |= type == WS_BINARY_MESSAGE;
}

/* On the thread that drives: in the callback, or between two ws_loop_wait. */
static void view_all(const ws_event *event) {
  const void *data;
  size_t length;
  ws_buffer_type type;
  ws_status status;
  if (event->type == WS_EVENT_RECEIVED && event->handle == viewed.websocket) {
    if (!CHECK_STATUS(WS_OK, event->status)) return;
    view_piece(event->data, event->length, event->buffer_type);
  } else if (event->type != WS_EVENT_WOKEN) {
    return;
  }
  (void)pthread_mutex_lock(&hearing.mutex);
  while ((status = ws_receive_view(viewed.websocket, &data, &length, &type)) == WS_OK) view_piece(data, length, type);
  (void)pthread_mutex_unlock(&hearing.mutex);
  CHECK_STATUS(WS_PENDING, status);
}

static bool viewed_all(size_t bytes) {
  bool all;
  (void)pthread_mutex_lock(&hearing.mutex);
  all = viewed.bytes >= bytes;
  (void)pthread_mutex_unlock(&hearing.mutex);
  return all;
}

static void *send_much(void *argument) {
  pair *pair = argument;
  static uint8_t payload[256 * 1024];
  for (size_t i = 0; i < sizeof payload; i++) payload[i] = (uint8_t)i;
  for (int i = 0; i < 8; i++) (void)pair_peer_sends(pair, (uint8_t)((i == 0 ? PEER_BINARY : PEER_CONTINUATION) | (i == 7 ? PEER_FIN : 0)), payload, sizeof payload);
  return NULL;
}

static void views_show_every_byte(size_t row) {
  static const delivery deliveries[] = {BY_BATCH, BY_RUN};
  static const pair_role roles[] = {LIBRARY_IS_CLIENT, LIBRARY_IS_SERVER};
  pthread_t thread;
  loop loop;
  pair pair;
  check_label("%s, %s", delivery_name(deliveries[row / 2]), pair_role_name(roles[row % 2]));
  REQUIRE(loop_pair(&loop, &pair, deliveries[row / 2], roles[row % 2]));
  memset(&viewed, 0, sizeof viewed);
  viewed.websocket = pair.websocket;
  loop_react(view_all);
  REQUIRE(pthread_create(&thread, NULL, send_much, &pair) == 0);
  CHECK_STATUS(WS_OK, ws_loop_wake(loop.handle));
  for (uint64_t until = check_now_ms() + 10000; !viewed_all(2u << 20) && check_now_ms() < until;) loop_pass(&loop, 1);
  (void)pthread_join(thread, NULL);
  CHECK_NUMBER(2 << 20, (int64_t)viewed.bytes);
  CHECK(viewed.ended && !viewed.bad);
  loop_react(NULL);
  loop_pair_close(&loop, &pair);
}

static void a_view_is_for_the_driving_thread(void) {
  const void *data = &viewed;
  size_t length = 4711;
  ws_buffer_type type = 4711;
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, BY_RUN, LIBRARY_IS_SERVER));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_receive_view(pair.websocket, &data, &length, &type));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_receive_view(pair.websocket, NULL, &length, &type));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_receive_view(pair.websocket, &data, NULL, &type));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_receive_view(pair.websocket, &data, &length, NULL));
  CHECK(data == &viewed && length == 4711 && type == 4711);
  loop_pair_close(&loop, &pair);
}

/* ---- whole messages ----------------------------------------------------------------------------------------------------------------- */

static bool receives_message(loop *loop, ws_handle websocket, ws_buffer_type wanted, const void *bytes, size_t size) {
  const heard *heard = NULL;
  const void *data = NULL;
  size_t length = 0;
  ws_buffer_type type = -1;
  ws_status status = ws_receive_message(websocket, &data, &length, &type);
  if (!CHECK_STATUS(WS_OK, loop_end(loop, status, websocket, WS_EVENT_RECEIVED, &heard))) return false;
  if (heard != NULL) data = heard->event.data, length = heard->event.length, type = heard->event.buffer_type;
  return CHECK_NUMBER(wanted, type) & CHECK_BYTES(bytes, size, data, length);
}

static void messages_are_put_together(size_t row) {
  const struct loop_row *way = loop_row(row);
  static uint8_t big[300000];
  loop loop;
  pair pair;
  for (size_t i = 0; i < sizeof big; i++) big[i] = (uint8_t)(i * 13);
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE(pair_peer_sends(&pair, PEER_TEXT, "in ", 3));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PING, "p", 1));
  REQUIRE(pair_peer_sends(&pair, PEER_CONTINUATION, "three ", 6));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_CONTINUATION, "parts", 5));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_BINARY, NULL, 0));
  CHECK(receives_message(&loop, pair.websocket, WS_UTF8_MESSAGE, "in three parts", 14));
  CHECK(receives_message(&loop, pair.websocket, WS_BINARY_MESSAGE, "", 0));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_BINARY, big, 60000)); /* fits the socket's buffers: nobody reads meanwhile */
  CHECK(receives_message(&loop, pair.websocket, WS_BINARY_MESSAGE, big, 60000));
  CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_PONG, "p", 1));
  REQUIRE(pair_peer_closes(&pair, 1000, ""));
  CHECK(receives_message(&loop, pair.websocket, WS_CLOSE_FRAME, "", 0));
  loop_pair_close(&loop, &pair);
}

static void a_message_too_big_is_refused(size_t row) {
  const struct loop_row *way = loop_row(row);
  const uint64_t limit = 1000;
  const void *data = NULL;
  size_t length = 0;
  ws_buffer_type type = -1;
  uint8_t payload[1001];
  loop loop;
  pair pair;
  memset(payload, 'm', sizeof payload);
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE_STATUS(WS_OK, ws_set_option(pair.websocket, WS_OPTION_MAX_MESSAGE, &limit, sizeof limit));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_BINARY, payload, 1000));
  CHECK(receives_message(&loop, pair.websocket, WS_BINARY_MESSAGE, payload, 1000));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_BINARY, payload, 1001));
  CHECK_STATUS(WS_ERROR_MESSAGE_TOO_BIG, loop_end(&loop, ws_receive_message(pair.websocket, &data, &length, &type), pair.websocket, WS_EVENT_RECEIVED, NULL));
  CHECK(loop_until_readable(&loop, pair.peer) && PEER_GETS_CLOSE_STATUS(&pair, 1009));
  loop_pair_close(&loop, &pair);
}

/* Half a message was received in pieces: a whole one would miss that half. */
static void pieces_and_messages_are_not_mixed(void) {
  const void *data;
  size_t length;
  ws_buffer_type type;
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, BY_BATCH, LIBRARY_IS_SERVER));
  REQUIRE(pair_peer_sends(&pair, PEER_TEXT, "half", 4));
  CHECK(LOOP_RECEIVES(&loop, pair.websocket, 9, WS_UTF8_FRAGMENT, "half", 4));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, loop_end(&loop, ws_receive_message(pair.websocket, &data, &length, &type), pair.websocket, WS_EVENT_RECEIVED, NULL));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_CONTINUATION, " more", 5));
  CHECK(LOOP_RECEIVES(&loop, pair.websocket, 9, WS_UTF8_MESSAGE, " more", 5));
  REQUIRE(pair_peer_sends(&pair, PEER_TEXT, "not ", 4));
  CHECK_STATUS(WS_PENDING, ws_receive_message(pair.websocket, &data, &length, &type));
  CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 20));
  CHECK_STATUS(WS_OK, ws_cancel(pair.websocket, WS_OPERATION_RECEIVE));
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_ERROR_CANCELLED) != NULL);
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, loop_end(&loop, receive(pair.websocket, 9, &length, &type), pair.websocket, WS_EVENT_RECEIVED, NULL));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_CONTINUATION, "lost", 4));
  CHECK(receives_message(&loop, pair.websocket, WS_UTF8_MESSAGE, "not lost", 8));
  loop_pair_close(&loop, &pair);
}

int main(int argc, char **argv) {
  static const int four[4], nine[9];
  static const check_test tests[] = {
      CHECK_ROWS(a_receive_is_told_once, loop_rows),
      CHECK_ROWS(a_drain_takes_all_that_is_there, loop_rows),
      CHECK_ROWS(one_receive_is_outstanding, loop_rows),
      CHECK_ROWS(pieces_fit_the_posted_buffer, loop_rows),
      CHECK_ROWS(a_slow_frame_is_put_together, loop_rows),
      CHECK_ROWS(a_receive_is_cancelled_and_the_next_goes_on, loop_rows),
      CHECK_ROWS(a_receive_has_a_time_limit, loop_rows),
      CHECK_ROWS(a_close_frame_is_received_and_answered, loop_rows),
      CHECK_ROWS(a_bad_end_is_told, nine),
      CHECK_ROWS(views_show_every_byte, four),
      CHECK_TEST(a_view_is_for_the_driving_thread),
      CHECK_ROWS(messages_are_put_together, loop_rows),
      CHECK_ROWS(a_message_too_big_is_refused, loop_rows),
      CHECK_TEST(pieces_and_messages_are_not_mixed),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
