/* Whole messages, gathered sends, pings, and what a connection tells of itself. */
#include "pair.h"

static const pair_role roles[] = {LIBRARY_IS_CLIENT, LIBRARY_IS_SERVER};

static bool check_whole(ws_handle websocket, ws_buffer_type type, const void *bytes, size_t length, const char *file, int line) {
  const void *data = &length;
  size_t received = 4711;
  ws_buffer_type received_type = -1;
  if (!check_status(WS_OK, ws_receive_message(websocket, &data, &received, &received_type), file, line, "ws_receive_message")) return false;
  return check_number(type, received_type, file, line, "the received type") & check_bytes(bytes, length, data, received, file, line, "the message") &
         check_true((data == NULL) == (type == WS_CLOSE_FRAME), file, line, "data is NULL for a close frame alone");
}
#define WHOLE(websocket, type, bytes, length) check_whole((websocket), (type), (bytes), (length), __FILE__, __LINE__)

static void whole_fails(ws_handle websocket, ws_status status) {
  const void *data = &status;
  size_t length = 4711;
  ws_buffer_type type = 4711;
  CHECK_STATUS(status, ws_receive_message(websocket, &data, &length, &type));
  CHECK(data == &status && length == 4711 && type == 4711);
}

/* ---- ws_receive_message ------------------------------------------------------------------------------------------------------------ */

static void messages_come_whole(size_t row) {
  static const size_t sizes[] = {0, 1, 125, 126, 4095, 4096, 65535, 65536, 66000, 5};
  static uint8_t bytes[66000];
  pair pair;
  check_label("%s", pair_role_name(roles[row]));
  REQUIRE(pair_open(&pair, roles[row]));
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 31 + i / 256);
  for (size_t i = 0; i < CHECK_COUNT(sizes); i++) {
    REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_BINARY, bytes, sizes[i]));
    CHECK(WHOLE(pair.websocket, WS_BINARY_MESSAGE, bytes, sizes[i]));
  }
  /* Fragments with a ping between them, a character cut in two, empty ones. */
  REQUIRE(pair_peer_sends(&pair, PEER_TEXT, "gr\xc3", 3));
  REQUIRE(pair_peer_sends(&pair, PEER_CONTINUATION, "", 0));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PING, "?", 1));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_CONTINUATION, "\xbc\xc3\x9f", 3));
  CHECK(WHOLE(pair.websocket, WS_UTF8_MESSAGE, "gr\xc3\xbc\xc3\x9f", 6));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_PONG, "?", 1));
  REQUIRE(pair_peer_closes(&pair, 1001, "bye"));
  CHECK(WHOLE(pair.websocket, WS_CLOSE_FRAME, NULL, 0));
  CHECK(PEER_GETS_CLOSE(&pair, 1001, ""));
  whole_fails(pair.websocket, WS_ERROR_INVALID_OPERATION);
  pair_close(&pair);
}

/* The message stays where it is while others send, ping and ask. */
static void a_message_stays_until_the_next_receive(void) {
  const void *data = NULL;
  size_t length = 0;
  ws_buffer_type type = -1;
  pair pair;
  REQUIRE(pair_open(&pair, LIBRARY_IS_SERVER));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "first", 5));
  REQUIRE_STATUS(WS_OK, ws_receive_message(pair.websocket, &data, &length, &type));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "answer", 6));
  CHECK_STATUS(WS_OK, ws_ping(pair.websocket, "p", 1));
  CHECK_BYTES("first", 5, data, length);
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "second", 6));
  CHECK(RECEIVES(pair.websocket, 6, WS_UTF8_MESSAGE, "second", 6));
  pair_close(&pair);
}

static const struct { uint64_t limit; size_t length; ws_status status; } limits[] = {
    {5, 4, WS_OK}, {5, 5, WS_OK}, {5, 6, WS_ERROR_MESSAGE_TOO_BIG}, {65536, 65536, WS_OK}, {65535, 65536, WS_ERROR_MESSAGE_TOO_BIG},
};

static void a_message_is_limited(size_t row) {
  static uint8_t bytes[66000];
  pair pair;
  check_label("%zu bytes of %llu", limits[row].length, (unsigned long long)limits[row].limit);
  REQUIRE(pair_open(&pair, LIBRARY_IS_SERVER));
  REQUIRE_STATUS(WS_OK, ws_set_option(pair.websocket, WS_OPTION_MAX_MESSAGE, &limits[row].limit, sizeof limits[row].limit));
  REQUIRE(pair_peer_sends(&pair, PEER_BINARY, bytes, limits[row].length - 2));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_CONTINUATION, bytes, 2));
  if (limits[row].status == WS_OK) {
    CHECK(WHOLE(pair.websocket, WS_BINARY_MESSAGE, bytes, limits[row].length));
  } else {
    /* The peer ends its side, so that the library does not wait for more from it. */
    (void)shutdown(pair.peer, SHUT_WR);
    whole_fails(pair.websocket, WS_ERROR_MESSAGE_TOO_BIG);
    CHECK(PEER_GETS_CLOSE_STATUS(&pair, WS_CLOSE_TOO_BIG));
    whole_fails(pair.websocket, WS_ERROR_MESSAGE_TOO_BIG);
  }
  pair_close(&pair);
}

/* The default is there without being set: a header that announces more than 16 MiB is enough. */
static void a_message_is_limited_by_default(void) {
  static const uint8_t head[] = {PEER_FIN | PEER_BINARY, 127, 0, 0, 0, 0, 1, 0, 0, 1, 'x'};
  pair pair;
  REQUIRE(pair_open(&pair, LIBRARY_IS_CLIENT));
  REQUIRE(peer_send(pair.peer, head, sizeof head));
  (void)shutdown(pair.peer, SHUT_WR);
  whole_fails(pair.websocket, WS_ERROR_MESSAGE_TOO_BIG);
  CHECK(PEER_GETS_CLOSE_STATUS(&pair, WS_CLOSE_TOO_BIG));
  pair_close(&pair);
}

static void a_timeout_in_the_middle_loses_nothing(size_t row) {
  pair pair;
  check_label("%s", pair_role_name(roles[row]));
  REQUIRE(pair_open(&pair, roles[row]));
  REQUIRE(pair_set_u32(pair.websocket, WS_OPTION_RECEIVE_TIMEOUT, 60));
  whole_fails(pair.websocket, WS_ERROR_TIMEOUT);
  REQUIRE(pair_peer_sends(&pair, PEER_TEXT, "one ", 4));
  whole_fails(pair.websocket, WS_ERROR_TIMEOUT);
  whole_fails(pair.websocket, WS_ERROR_TIMEOUT);
  /* Another way to receive cannot go on where this one was. */
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_INVALID_OPERATION));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_CONTINUATION, "message", 7));
  CHECK(WHOLE(pair.websocket, WS_UTF8_MESSAGE, "one message", 11));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "another", 7));
  CHECK(RECEIVES(pair.websocket, 70, WS_UTF8_MESSAGE, "another", 7));
  pair_close(&pair);
}

static void a_message_begun_in_pieces_ends_in_pieces(void) {
  pair pair;
  REQUIRE(pair_open(&pair, LIBRARY_IS_CLIENT));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "pieces", 6));
  CHECK(RECEIVES(pair.websocket, 3, WS_UTF8_FRAGMENT, "pie", 3));
  whole_fails(pair.websocket, WS_ERROR_INVALID_OPERATION);
  CHECK(RECEIVES(pair.websocket, 3, WS_UTF8_MESSAGE, "ces", 3));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "whole", 5));
  CHECK(WHOLE(pair.websocket, WS_UTF8_MESSAGE, "whole", 5));
  pair_close(&pair);
}

/* ---- ws_send_ex -------------------------------------------------------------------------------------------------------------------- */

static const size_t counts[] = {0, 1, 2, 15, 16, 17, 63, 64, 65, 2000};

static void parts_are_one_frame(size_t row) {
  static ws_bytes parts[2000];
  static uint8_t expected[66000];
  size_t count = counts[row / 2], length = 0;
  pair pair;
  check_label("%s, %zu parts", pair_role_name(roles[row % 2]), count);
  REQUIRE(pair_open(&pair, roles[row % 2]));
  for (size_t i = 0; i < count; i++) {
    /* Some are empty, some of those NULL. */
    static const char text[] = "abcdefghijklmnopqrstuvwxyz";
    parts[i].length = i % 5 == 0 ? 0 : i % 27;
    parts[i].data = i % 10 == 0 ? NULL : text;
    memcpy(expected + length, text, parts[i].length);
    length += parts[i].length;
  }
  CHECK_STATUS(WS_OK, ws_send_ex(pair.websocket, WS_UTF8_MESSAGE, 0, parts, count, NULL));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_TEXT, expected, length));
  CHECK_STATUS(WS_OK, ws_send_ex(pair.websocket, WS_BINARY_MESSAGE, WS_SEND_UNCOMPRESSED | WS_SEND_WHOLE, count == 0 ? NULL : parts, count, NULL));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_BINARY, expected, length));
  pair_close(&pair);
}

static const struct { int unused; } sends[CHECK_COUNT(counts) * 2];

static void a_whole_send_does_not_join_a_message(void) {
  ws_bytes part = {"x", 1}, bad = {"\xff", 1}, halves[] = {{"\xc3", 1}, {"\xbc", 1}};
  pair pair;
  REQUIRE(pair_open(&pair, LIBRARY_IS_CLIENT));
  CHECK_STATUS(WS_OK, ws_send_ex(pair.websocket, WS_BINARY_FRAGMENT, WS_SEND_WHOLE, &part, 1, NULL));
  CHECK(PEER_GETS(&pair, PEER_BINARY, "x", 1));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_send_ex(pair.websocket, WS_BINARY_MESSAGE, WS_SEND_WHOLE, &part, 1, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_send_ex(pair.websocket, WS_UTF8_MESSAGE, 0, &part, 1, NULL));
  CHECK_STATUS(WS_OK, ws_send_ex(pair.websocket, WS_BINARY_MESSAGE, 0, NULL, 0, NULL));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_CONTINUATION, "", 0));
  CHECK_STATUS(WS_ERROR_NOT_SUPPORTED, ws_send_ex(pair.websocket, WS_UTF8_MESSAGE, WS_SEND_NOTIFY, &part, 1, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_send_ex(pair.websocket, WS_UTF8_MESSAGE, 8, &part, 1, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_send_ex(pair.websocket, WS_CLOSE_FRAME, 0, &part, 1, NULL));
  /* A text is checked over its parts: a character may be cut, but must be whole in the end. */
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_send_ex(pair.websocket, WS_UTF8_MESSAGE, 0, &bad, 1, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_send_ex(pair.websocket, WS_UTF8_MESSAGE, 0, halves, 1, NULL));
  CHECK_STATUS(WS_OK, ws_send_ex(pair.websocket, WS_UTF8_MESSAGE, 0, halves, 2, NULL));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_TEXT, "\xc3\xbc", 2));
  pair_close(&pair);
}

/* ---- ws_ping and statistics -------------------------------------------------------------------------------------------------------- */

static ws_statistics statistics(ws_handle websocket) {
  ws_statistics found;
  size_t length = sizeof found;
  memset(&found, 0x5a, sizeof found);
  found.size = sizeof found;
  CHECK_STATUS(WS_OK, ws_query_option(websocket, WS_OPTION_STATISTICS, &found, &length));
  CHECK_NUMBER(sizeof found, length);
  CHECK_NUMBER(sizeof found, found.size);
  return found;
}

static void a_ping_is_measured(size_t row) {
  static const char payload[125] = "how long does this take";
  const struct timespec moment = {0, 3000000};
  ws_statistics found;
  pair pair;
  check_label("%s", pair_role_name(roles[row]));
  REQUIRE(pair_open(&pair, roles[row]));
  found = statistics(pair.websocket);
  CHECK_NUMBER(0, found.rtt_min_us + found.rtt_average_us + found.rtt_max_us);
  CHECK_STATUS(WS_OK, ws_ping(pair.websocket, payload, sizeof payload));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_PING, payload, sizeof payload));
  (void)nanosleep(&moment, NULL); /* what is measured, not what is waited for */
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PONG, "unasked", 7));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PONG, payload, sizeof payload));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "x", 1));
  CHECK(RECEIVES(pair.websocket, 9, WS_UTF8_MESSAGE, "x", 1));
  found = statistics(pair.websocket);
  CHECK(found.rtt_min_us >= 3000 && found.rtt_min_us == found.rtt_average_us && found.rtt_average_us == found.rtt_max_us);
  CHECK_STATUS(WS_OK, ws_ping(pair.websocket, NULL, 0));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_PING, "", 0));
  REQUIRE(pair_peer_closes(&pair, 1000, ""));
  CHECK(RECEIVES(pair.websocket, 9, WS_CLOSE_FRAME, "", 0));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_ping(pair.websocket, NULL, 0));
  pair_close(&pair);
}

static void bytes_frames_and_messages_are_counted(size_t row) {
  /* What a frame costs: a client's are masked. */
  uint64_t out = roles[row] == LIBRARY_IS_CLIENT ? 6 : 2, in = roles[row] == LIBRARY_IS_CLIENT ? 2 : 6;
  ws_statistics found;
  pair pair;
  check_label("%s", pair_role_name(roles[row]));
  REQUIRE(pair_open(&pair, roles[row]));
  found = statistics(pair.websocket);
  CHECK(found.bytes_received + found.bytes_sent + found.frames_received + found.frames_sent + found.messages_received + found.messages_sent == 0);
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_FRAGMENT, "12345", 5));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_MESSAGE, "678", 3));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, NULL, 0));
  REQUIRE(pair_peer_sends(&pair, PEER_TEXT, "12", 2));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PING, "!", 1));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_CONTINUATION, "3", 1));
  CHECK(WHOLE(pair.websocket, WS_UTF8_MESSAGE, "123", 3));
  found = statistics(pair.websocket);
  CHECK_NUMBER(3 * in + 4, found.bytes_received);
  CHECK_NUMBER(3, found.frames_received);
  CHECK_NUMBER(1, found.messages_received);
  CHECK_NUMBER(4 * out + 9, found.bytes_sent); /* with the pong */
  CHECK_NUMBER(4, found.frames_sent);
  CHECK_NUMBER(2, found.messages_sent);
  CHECK(found.memory > 100 && found.memory < 100000);
  CHECK(found.idle_ms < 5000);
  CHECK_NUMBER(0, found.send_queue_high_water);
  pair_close(&pair);
}

static void statistics_have_a_size(void) {
  ws_statistics found[2];
  size_t length = 0;
  pair pair;
  REQUIRE(pair_open(&pair, LIBRARY_IS_CLIENT));
  memset(found, 0x5a, sizeof found);
  CHECK_STATUS(WS_ERROR_INSUFFICIENT_BUFFER, ws_query_option(pair.websocket, WS_OPTION_STATISTICS, NULL, &length));
  CHECK_NUMBER(sizeof *found, length);
  length = sizeof *found - 1;
  CHECK_STATUS(WS_ERROR_INSUFFICIENT_BUFFER, ws_query_option(pair.websocket, WS_OPTION_STATISTICS, found, &length));
  length = sizeof *found;
  found->size = sizeof *found + 8; /* more than there is room for */
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_query_option(pair.websocket, WS_OPTION_STATISTICS, found, &length));
  CHECK_NUMBER(0x5a5a5a5a, found->rtt_min_us);
  /* A later version of the struct: the rest is zero. */
  length = sizeof found;
  CHECK_STATUS(WS_OK, ws_query_option(pair.websocket, WS_OPTION_STATISTICS, found, &length));
  CHECK_NUMBER(sizeof *found + 8, length);
  CHECK_NUMBER(0, found[1].size | found[1].rtt_min_us);
  CHECK_NUMBER(0x5a5a5a5a, found[1].rtt_average_us);
  pair_close(&pair);
}

/* A peer that reads nothing: the rest of a frame waits, and is counted. */
static void what_waits_to_be_sent_is_told(void) {
  static uint8_t bytes[8 << 20];
  uint64_t waits = 4711;
  size_t length = sizeof waits;
  ws_statistics found;
  pair pair;
  REQUIRE(pair_open(&pair, LIBRARY_IS_SERVER));
  REQUIRE_STATUS(WS_OK, ws_query_option(pair.websocket, WS_OPTION_BUFFERED_AMOUNT, &waits, &length));
  CHECK_NUMBER(0, waits);
  REQUIRE(pair_set_u32(pair.websocket, WS_OPTION_SEND_TIMEOUT, 50));
  /* The frame has begun, so that it goes to the queue: taken. */
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_MESSAGE, bytes, sizeof bytes));
  REQUIRE_STATUS(WS_OK, ws_query_option(pair.websocket, WS_OPTION_BUFFERED_AMOUNT, &waits, &length));
  CHECK(waits > 0 && waits <= sizeof bytes);
  found = statistics(pair.websocket);
  CHECK(found.send_queue_high_water >= waits && found.send_queue_high_water <= sizeof bytes + 10);
  CHECK_STATUS(WS_ERROR_TIMEOUT, ws_send(pair.websocket, WS_BINARY_MESSAGE, "x", 1));
  pair_close(&pair);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_ROWS(messages_come_whole, roles),
      CHECK_TEST(a_message_stays_until_the_next_receive),
      CHECK_ROWS(a_message_is_limited, limits),
      CHECK_TEST(a_message_is_limited_by_default),
      CHECK_ROWS(a_timeout_in_the_middle_loses_nothing, roles),
      CHECK_TEST(a_message_begun_in_pieces_ends_in_pieces),
      CHECK_ROWS(parts_are_one_frame, sends),
      CHECK_TEST(a_whole_send_does_not_join_a_message),
      CHECK_ROWS(a_ping_is_measured, roles),
      CHECK_ROWS(bytes_frames_and_messages_are_counted, roles),
      CHECK_TEST(statistics_have_a_size),
      CHECK_TEST(what_waits_to_be_sent_is_told),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
