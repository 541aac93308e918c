/* What goes on without being asked for: pings answered, peers watched, reading that stops when nobody takes it, pings and whole messages as events. */
#include "loop.h"

static const delivery deliveries[] = {BY_BATCH, BY_RUN, BY_THREAD};

/* ---- keep-alive -------------------------------------------------------------------------------------------------------------------------- */

/* Nobody has posted a receive, and the peer answers: the connection lives on and is asked again. */
static void a_silent_peer_is_asked_without_a_reader(size_t row) {
  const struct loop_row *way = loop_row(row);
  loop loop;
  pair pair;
  REQUIRE(loop_open(&loop, way->delivery));
  REQUIRE(pair_set_u32(loop.session, WS_OPTION_KEEPALIVE_INTERVAL, 100));
  REQUIRE(pair_set_u32(loop.session, WS_OPTION_KEEPALIVE_TIMEOUT, 400));
  REQUIRE(loop_upgrade(&loop, &pair, way->role));
  for (int i = 0; i < 6; i++) {
    static peer_frame frame;
    check_label("%s, %s, ping %d", delivery_name(way->delivery), pair_role_name(way->role), i);
    REQUIRE(loop_until_readable(&loop, pair.peer) && peer_read_frame(pair.peer, &frame));
    CHECK_NUMBER(PEER_FIN | PEER_PING, frame.first);
    REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PONG, frame.payload, frame.length));
  }
  CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 10));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "x", 1));
  loop_pair_close(&loop, &pair);
}

/* It does not answer: the posted receive, or else the next call, tells. */
static void a_dead_peer_is_noticed(size_t row) {
  const struct loop_row *way = loop_row(row % CHECK_COUNT(loop_rows));
  bool posted = row >= CHECK_COUNT(loop_rows);
  static uint8_t room[16];
  uint64_t begin = check_now_ms();
  loop loop;
  pair pair;
  check_label("%s, %s, %s", delivery_name(way->delivery), pair_role_name(way->role), posted ? "a receive is posted" : "none is posted");
  REQUIRE(loop_open(&loop, way->delivery));
  REQUIRE(pair_set_u32(loop.session, WS_OPTION_KEEPALIVE_INTERVAL, 100));
  REQUIRE(pair_set_u32(loop.session, WS_OPTION_KEEPALIVE_TIMEOUT, 100));
  REQUIRE(loop_upgrade(&loop, &pair, way->role));
  if (posted) {
    REQUIRE(POSTS(pair.websocket, room, sizeof room));
    CHECK(HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_ERROR_PEER_LOST) != NULL);
  } else {
    REQUIRE(loop_until_readable(&loop, pair.peer)); /* its ping */
    loop_pass(&loop, 400);
    CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 5));
  }
  CHECK(check_now_ms() - begin >= 150);
  {
    /* At once; but while the loop looks at the broken connection the receive is posted, and the event says it. */
    size_t received;
    ws_buffer_type type;
    ws_status status = ws_receive(pair.websocket, room, sizeof room, &received, &type);
    CHECK_STATUS(WS_ERROR_PEER_LOST, loop_end(&loop, status, pair.websocket, WS_EVENT_RECEIVED, NULL));
  }
  CHECK_STATUS(WS_ERROR_PEER_LOST, ws_send(pair.websocket, WS_BINARY_MESSAGE, "x", 1));
  CHECK(peer_is_gone(pair.peer));
  loop_pair_close(&loop, &pair);
}

/* Unread data hides what is behind it, perhaps a pong: the peer is not given up while the program takes its time. */
static void unread_data_stops_the_clock(size_t row) {
  const struct loop_row *way = loop_row(row);
  loop loop;
  pair pair;
  REQUIRE(loop_open(&loop, way->delivery));
  REQUIRE(pair_set_u32(loop.session, WS_OPTION_KEEPALIVE_INTERVAL, 100));
  REQUIRE(pair_set_u32(loop.session, WS_OPTION_KEEPALIVE_TIMEOUT, 100));
  REQUIRE(loop_upgrade(&loop, &pair, way->role));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "unread", 6));
  loop_pass(&loop, 500);
  CHECK(LOOP_RECEIVES(&loop, pair.websocket, 9, WS_UTF8_MESSAGE, "unread", 6));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "alive", 5));
  loop_pair_close(&loop, &pair);
}

static void pings_are_answered_without_a_reader(size_t row) {
  const struct loop_row *way = loop_row(row);
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  for (int i = 0; i < 5; i++) {
    char payload[8];
    int length = snprintf(payload, sizeof payload, "ping%d", i);
    REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PING, payload, (size_t)length));
    CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_PONG, payload, (size_t)length));
  }
  CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 10));
  loop_pair_close(&loop, &pair);
}

/* ---- reading that stops -------------------------------------------------------------------------------------------------------------------- */

/* The peer sends for as long as somebody takes it. What was taken lies in the library (some 16 KiB) or in the kernel's buffers. */
static size_t push(loop *loop, int peer) {
  static uint8_t payload[16384], frame[16384 + 14];
  size_t size = peer_write_frame(frame, PEER_FIN | PEER_BINARY, true, payload, sizeof payload), sent = 0;
  int quiet = 0;
  while (quiet < 30) {
    ssize_t count = send(peer, frame + sent % size, size - sent % size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0) sent += (size_t)count, quiet = 0;
    else quiet++, loop_pass(loop, 5);
  }
  return sent;
}

static uint64_t memory_of(ws_handle websocket) {
  ws_statistics statistics = {.size = sizeof statistics};
  size_t length = sizeof statistics;
  CHECK_STATUS(WS_OK, ws_query_option(websocket, WS_OPTION_STATISTICS, &statistics, &length));
  return statistics.memory;
}

static void without_a_receive_reading_stops(size_t row) {
  static uint8_t room[16384];
  size_t sent, whole, got = 0;
  int small = 16384;
  loop loop;
  pair pair;
  check_label("%s", delivery_name(deliveries[row]));
  REQUIRE(loop_pair(&loop, &pair, deliveries[row], LIBRARY_IS_SERVER));
  (void)setsockopt(pair.peer, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  sent = push(&loop, pair.peer);
  CHECK(sent < (8u << 20)); /* the kernel's receive buffer is bounded, and the library's by much less */
  CHECK(memory_of(pair.websocket) < 64 * 1024);
  CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 5));
  /* Nothing of it is lost. */
  whole = sent / (16384 + 8);
  while (got < whole * 16384) {
    const heard *heard = NULL;
    size_t received = 0;
    ws_buffer_type type;
    REQUIRE_STATUS(WS_OK, loop_end(&loop, ws_receive(pair.websocket, room, sizeof room, &received, &type), pair.websocket, WS_EVENT_RECEIVED, &heard));
    got += heard != NULL ? heard->event.length : received;
  }
  loop_pair_close(&loop, &pair);
}

/* The dead-peer clock stands still while unread data blocks the view; and the end of the connection is told behind the data. */
static void the_end_is_told_behind_the_data(size_t row) {
  const struct loop_row *way = loop_row(row);
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  for (int i = 0; i < 3; i++) REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "data", 4));
  (void)shutdown(pair.peer, SHUT_WR);
  loop_pass(&loop, 30);
  for (int i = 0; i < 3; i++) CHECK(LOOP_RECEIVES(&loop, pair.websocket, 9, WS_UTF8_MESSAGE, "data", 4));
  static uint8_t room[9];
  size_t received;
  ws_buffer_type type;
  CHECK_STATUS(WS_ERROR_CONNECTION, loop_end(&loop, ws_receive(pair.websocket, room, sizeof room, &received, &type), pair.websocket, WS_EVENT_RECEIVED, NULL));
  loop_pair_close(&loop, &pair);
}

/* Data and end in one go: the end makes no readiness of its own. A fragment, because the read that takes it finds the socket empty behind it. */
static void an_end_right_behind_data_is_seen(size_t row) {
  const struct loop_row *way = loop_row(row);
  static const uint8_t payload[200];
  static uint8_t room[300];
  loop loop;
  REQUIRE(loop_open(&loop, way->delivery));
  for (int i = 0; i < 12; i++) {
    const heard *heard;
    size_t received;
    ws_buffer_type type;
    pair pair;
    REQUIRE(loop_upgrade(&loop, &pair, way->role));
    REQUIRE(POSTS(pair.websocket, room, sizeof room));
    REQUIRE(pair_peer_sends(&pair, i % 2 == 0 ? PEER_BINARY : PEER_FIN | PEER_BINARY, payload, i % 3 == 0 ? 200 : 20));
    (void)shutdown(pair.peer, SHUT_WR);
    REQUIRE((heard = HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_OK)) != NULL);
    CHECK_NUMBER(i % 3 == 0 ? 200 : 20, (int64_t)heard->event.length);
    REQUIRE_STATUS(WS_ERROR_CONNECTION, loop_end(&loop, ws_receive(pair.websocket, room, sizeof room, &received, &type), pair.websocket, WS_EVENT_RECEIVED, NULL));
    loop_pair_drop(&loop, &pair);
  }
  loop_close(&loop);
}

/* ---- pings as events ------------------------------------------------------------------------------------------------------------------------ */

static void pings_and_pongs_are_events_if_wanted(size_t row) {
  const struct loop_row *way = loop_row(row);
  const heard *heard;
  loop loop;
  pair pair;
  static uint8_t room[64];
  REQUIRE(loop_open(&loop, way->delivery));
  REQUIRE(pair_set_u32(loop.session, WS_OPTION_PING_EVENTS, 1));
  REQUIRE(loop_upgrade(&loop, &pair, way->role));
  for (int i = 0; i < 2; i++) { /* without a receive, and with one, which they do not end */
    if (i == 1) REQUIRE(POSTS(pair.websocket, room, sizeof room));
    REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PING, "are you there?", 14));
    REQUIRE((heard = HEARS(&loop, pair.websocket, WS_EVENT_PING, WS_OK)) != NULL);
    CHECK_BYTES("are you there?", 14, heard->event.data, heard->event.length);
    CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_PONG, "are you there?", 14));
    CHECK_STATUS(WS_OK, ws_ping(pair.websocket, "and you?", 8));
    CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_PING, "and you?", 8));
    REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PONG, "and you?", 8));
    REQUIRE((heard = HEARS(&loop, pair.websocket, WS_EVENT_PONG, WS_OK)) != NULL);
    CHECK_BYTES("and you?", 8, heard->event.data, heard->event.length);
    REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PING, NULL, 0));
    REQUIRE((heard = HEARS(&loop, pair.websocket, WS_EVENT_PING, WS_OK)) != NULL);
    CHECK_NUMBER(0, (int64_t)heard->event.length);
    CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_PONG, "", 0));
  }
  CHECK_NUMBER(0, loop_count(pair.websocket, WS_EVENT_RECEIVED));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "text", 4));
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_OK) != NULL);
  loop_pair_close(&loop, &pair);
}

/* ---- whole messages as events ---------------------------------------------------------------------------------------------------------------- */

static bool open_whole(loop *loop, pair *pair, const struct loop_row *way, uint64_t limit) {
  return loop_open(loop, way->delivery) && pair_set_u32(loop->session, WS_OPTION_WHOLE_MESSAGES, 1) &&
         CHECK_STATUS(WS_OK, ws_set_option(loop->session, WS_OPTION_MAX_MESSAGE, &limit, sizeof limit)) && loop_upgrade(loop, pair, way->role);
}

static bool hears_message(loop *loop, ws_handle websocket, ws_buffer_type type, const void *bytes, size_t length) {
  const heard *heard = HEARS(loop, websocket, WS_EVENT_RECEIVED, WS_OK);
  if (heard == NULL) return false;
  return CHECK_NUMBER(type, heard->event.buffer_type) & CHECK_BYTES(bytes, length, heard->event.data, heard->event.length);
}

/* Unasked, in order, however they were cut; a receive is refused. */
static void messages_come_by_themselves(size_t row) {
  const struct loop_row *way = loop_row(row);
  static uint8_t big[200000];
  loop loop;
  pair pair;
  for (size_t i = 0; i < sizeof big; i++) big[i] = (uint8_t)(i * 17);
  REQUIRE(open_whole(&loop, &pair, way, 1 << 20));
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_INVALID_OPERATION));
  for (int i = 0; i < 20; i++) REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "many", 4));
  REQUIRE(pair_peer_sends(&pair, PEER_TEXT, "in ", 3) && pair_peer_sends(&pair, PEER_FIN | PEER_PING, "p", 1) &&
          pair_peer_sends(&pair, PEER_FIN | PEER_CONTINUATION, "two", 3) && pair_peer_sends(&pair, PEER_FIN | PEER_BINARY, NULL, 0));
  for (int i = 0; i < 20; i++) REQUIRE(hears_message(&loop, pair.websocket, WS_UTF8_MESSAGE, "many", 4));
  CHECK(hears_message(&loop, pair.websocket, WS_UTF8_MESSAGE, "in two", 6));
  CHECK(hears_message(&loop, pair.websocket, WS_BINARY_MESSAGE, "", 0));
  CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_PONG, "p", 1));
  if (way->delivery != BY_BATCH) { /* larger than what the kernel holds: somebody must read meanwhile */
    REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_BINARY, big, sizeof big));
    CHECK(hears_message(&loop, pair.websocket, WS_BINARY_MESSAGE, big, sizeof big));
  }
  REQUIRE(pair_peer_closes(&pair, 1000, ""));
  CHECK(hears_message(&loop, pair.websocket, WS_CLOSE_FRAME, "", 0));
  CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 10));
  loop_pair_close(&loop, &pair);
}

/* A message cut at every byte, then one of the largest size, then one byte more. */
static void whole_messages_are_limited(size_t row) {
  const struct loop_row *way = loop_row(row);
  uint8_t payload[301], frame[320];
  size_t size;
  loop loop;
  pair pair;
  memset(payload, 'w', sizeof payload);
  REQUIRE(open_whole(&loop, &pair, way, 300));
  size = peer_write_frame(frame, PEER_FIN | PEER_TEXT, way->role == LIBRARY_IS_SERVER, payload, 300);
  for (size_t i = 0; i < size; i++) {
    REQUIRE(peer_send(pair.peer, frame + i, 1));
    if (i % 8 == 0) loop_pass(&loop, 1);
  }
  CHECK(hears_message(&loop, pair.websocket, WS_UTF8_MESSAGE, payload, 300));
  REQUIRE(pair_peer_sends(&pair, PEER_TEXT, payload, 200) && pair_peer_sends(&pair, PEER_FIN | PEER_CONTINUATION, payload, 100));
  CHECK(hears_message(&loop, pair.websocket, WS_UTF8_MESSAGE, payload, 300));
  REQUIRE(pair_peer_sends(&pair, PEER_TEXT, payload, 200) && pair_peer_sends(&pair, PEER_FIN | PEER_CONTINUATION, payload, 101));
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_ERROR_MESSAGE_TOO_BIG) != NULL);
  CHECK(loop_until_readable(&loop, pair.peer) && PEER_GETS_CLOSE_STATUS(&pair, 1009));
  CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 10));
  loop_pair_close(&loop, &pair);
}

int main(int argc, char **argv) {
  static const int twelve[12];
  static const check_test tests[] = {
      CHECK_ROWS(a_silent_peer_is_asked_without_a_reader, loop_rows),
      CHECK_ROWS(a_dead_peer_is_noticed, twelve),
      CHECK_ROWS(unread_data_stops_the_clock, loop_rows),
      CHECK_ROWS(pings_are_answered_without_a_reader, loop_rows),
      CHECK_ROWS(without_a_receive_reading_stops, deliveries),
      CHECK_ROWS(the_end_is_told_behind_the_data, loop_rows),
      CHECK_ROWS(an_end_right_behind_data_is_seen, loop_rows),
      CHECK_ROWS(pings_and_pongs_are_events_if_wanted, loop_rows),
      CHECK_ROWS(messages_come_by_themselves, loop_rows),
      CHECK_ROWS(whole_messages_are_limited, loop_rows),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
