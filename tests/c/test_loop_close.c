/* Asynchronous closing: ws_close and ws_shutdown end once, by event or at once; deadlines hold without anybody waiting. */
#include "loop.h"

static uint8_t room[64];

/* ---- in good order ------------------------------------------------------------------------------------------------------------------- */

static void a_close_is_told_once(size_t row) {
  const struct loop_row *way = loop_row(row);
  uint16_t status = 0;
  size_t length = 0;
  uint32_t state = 0;
  char reason[123];
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE_STATUS(WS_PENDING, ws_close(pair.websocket, 4001, "bye", 3));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_send(pair.websocket, WS_BINARY_MESSAGE, "x", 1));
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_INVALID_OPERATION));
  CHECK(LOOP_PEER_GETS_CLOSE(&loop, &pair, 4001, "bye"));
  CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 20));
  REQUIRE(pair_peer_closes(&pair, 4002, "you too"));
  if (way->role == LIBRARY_IS_CLIENT) (void)shutdown(pair.peer, SHUT_WR); /* the server ends TCP first */
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_CLOSE_COMPLETE, WS_OK) != NULL);
  CHECK(peer_is_at_end(pair.peer));
  CHECK_STATUS(WS_OK, ws_query_close_status(pair.websocket, &status, reason, sizeof reason, &length));
  CHECK_NUMBER(4002, status);
  CHECK_BYTES("you too", 7, reason, length);
  length = sizeof state;
  CHECK_STATUS(WS_OK, ws_query_option(pair.websocket, WS_OPTION_CLOSE_STATE, &state, &length));
  CHECK_NUMBER(3, state);
  /* Again: the first result, at once. */
  CHECK_STATUS(WS_OK, ws_close(pair.websocket, 1000, NULL, 0));
  CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 10));
  loop_pair_close(&loop, &pair);
}

/* First what was queued, then the close frame; what still comes in is discarded. */
static void a_close_sends_what_is_queued(size_t row) {
  const struct loop_row *way = loop_row(row);
  static uint8_t chunk[60000];
  static peer_frame frame;
  int frames = 0;
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  for (int i = 0; i < 40; i++) REQUIRE_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_MESSAGE, chunk, sizeof chunk));
  REQUIRE_STATUS(WS_PENDING, ws_close(pair.websocket, 1000, NULL, 0));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "never seen", 10));
  do {
    REQUIRE(loop_until_readable(&loop, pair.peer));
    if (way->delivery == BY_BATCH) loop_pass(&loop, 3); /* a whole frame, which the peer then reads without us */
    REQUIRE(peer_read_frame(pair.peer, &frame));
    frames++;
  } while (frame.first != (PEER_FIN | PEER_CLOSE));
  CHECK_NUMBER(41, frames);
  REQUIRE(pair_peer_closes(&pair, 1000, ""));
  (void)shutdown(pair.peer, SHUT_WR);
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_CLOSE_COMPLETE, WS_OK) != NULL);
  CHECK_NUMBER(0, loop_count(pair.websocket, WS_EVENT_RECEIVED));
  loop_pair_close(&loop, &pair);
}

/* The receive that is posted ends first, as cancelled. */
static void a_close_ends_the_posted_receive(size_t row) {
  const struct loop_row *way = loop_row(row);
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE(POSTS(pair.websocket, room, sizeof room));
  REQUIRE_STATUS(WS_PENDING, ws_close(pair.websocket, 1000, NULL, 0));
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_ERROR_CANCELLED) != NULL);
  CHECK(LOOP_PEER_GETS_CLOSE(&loop, &pair, 1000, ""));
  REQUIRE(pair_peer_closes(&pair, 1000, ""));
  (void)shutdown(pair.peer, SHUT_WR);
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_CLOSE_COMPLETE, WS_OK) != NULL);
  loop_pair_close(&loop, &pair);
}

static void after_the_peers_close_frame_nothing_waits(size_t row) {
  const struct loop_row *way = loop_row(row);
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE(pair_peer_closes(&pair, 1001, "gone"));
  CHECK(LOOP_RECEIVES(&loop, pair.websocket, 9, WS_CLOSE_FRAME, "", 0));
  CHECK(LOOP_PEER_GETS_CLOSE(&loop, &pair, 1001, ""));
  CHECK_STATUS(WS_OK, loop_end(&loop, ws_shutdown(pair.websocket, 1000, NULL, 0), pair.websocket, WS_EVENT_SHUTDOWN_COMPLETE, NULL));
  (void)shutdown(pair.peer, SHUT_WR);
  CHECK_STATUS(WS_OK, loop_end(&loop, ws_close(pair.websocket, 1000, NULL, 0), pair.websocket, WS_EVENT_CLOSE_COMPLETE, NULL));
  CHECK(peer_is_at_end(pair.peer)); /* not another byte */
  loop_pair_close(&loop, &pair);
}

/* Half-closed: nothing more is sent, receiving goes on. */
static void a_shutdown_leaves_receiving_open(size_t row) {
  const struct loop_row *way = loop_row(row);
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  CHECK_STATUS(WS_OK, loop_end(&loop, ws_shutdown(pair.websocket, 3000, "half", 4), pair.websocket, WS_EVENT_SHUTDOWN_COMPLETE, NULL));
  CHECK(LOOP_PEER_GETS_CLOSE(&loop, &pair, 3000, "half"));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_send(pair.websocket, WS_BINARY_MESSAGE, "x", 1));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_shutdown(pair.websocket, 3000, NULL, 0));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "still", 5));
  CHECK(LOOP_RECEIVES(&loop, pair.websocket, 9, WS_UTF8_MESSAGE, "still", 5));
  REQUIRE(POSTS(pair.websocket, room, sizeof room));
  REQUIRE(pair_peer_closes(&pair, 3000, ""));
  const heard *heard = HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_OK);
  REQUIRE(heard != NULL);
  CHECK_NUMBER(WS_CLOSE_FRAME, heard->event.buffer_type);
  (void)shutdown(pair.peer, SHUT_WR);
  CHECK_STATUS(WS_OK, loop_end(&loop, ws_close(pair.websocket, 1000, NULL, 0), pair.websocket, WS_EVENT_CLOSE_COMPLETE, NULL));
  loop_pair_close(&loop, &pair);
}

static void what_cannot_be_closed_is_refused(void) {
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, BY_BATCH, LIBRARY_IS_CLIENT));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_close(pair.websocket, 999, NULL, 0));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_close(pair.websocket, 1000, NULL, 3));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_close(pair.websocket, 1000, "\xff", 1));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_shutdown(pair.websocket, 1006, NULL, 0));
  CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 10));
  REQUIRE_STATUS(WS_PENDING, ws_close(pair.websocket, 1000, NULL, 0));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_close(pair.websocket, 1000, NULL, 0)); /* it is closing */
  loop_pair_close(&loop, &pair);
}

/* ---- in bad order --------------------------------------------------------------------------------------------------------------------- */

static void a_close_has_a_deadline(size_t row) {
  const struct loop_row *way = loop_row(row);
  uint64_t begin;
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE(pair_set_u32(pair.websocket, WS_OPTION_CLOSE_TIMEOUT, 100));
  begin = check_now_ms();
  REQUIRE_STATUS(WS_PENDING, ws_close(pair.websocket, 1000, NULL, 0));
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_CLOSE_COMPLETE, WS_ERROR_TIMEOUT) != NULL);
  CHECK(check_now_ms() - begin >= 80 && check_now_ms() - begin < 1500);
  CHECK(PEER_GETS_CLOSE(&pair, 1000, ""));
  CHECK(peer_is_gone(pair.peer));
  CHECK_STATUS(WS_ERROR_TIMEOUT, ws_close(pair.websocket, 1000, NULL, 0));
  loop_pair_close(&loop, &pair);
}

/* The queue cannot leave: the deadline holds all the same. */
static void a_close_behind_a_full_queue_has_a_deadline(size_t row) {
  const struct loop_row *way = loop_row(row);
  static uint8_t much[8 << 20];
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE(pair_set_u32(pair.websocket, WS_OPTION_CLOSE_TIMEOUT, 150));
  REQUIRE_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_MESSAGE, much, sizeof much));
  REQUIRE_STATUS(WS_PENDING, ws_close(pair.websocket, 1000, NULL, 0));
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_CLOSE_COMPLETE, WS_ERROR_TIMEOUT) != NULL);
  CHECK(peer_is_gone(pair.peer));
  loop_pair_close(&loop, &pair);
}

static void a_close_meets_the_end(size_t row) {
  const struct loop_row *way = loop_row(row);
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE_STATUS(WS_PENDING, ws_close(pair.websocket, 1000, NULL, 0));
  CHECK(LOOP_PEER_GETS_CLOSE(&loop, &pair, 1000, ""));
  (void)close(pair.peer);
  pair.peer = -1;
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_CLOSE_COMPLETE, WS_ERROR_CONNECTION) != NULL);
  loop_pair_close(&loop, &pair);
}

static void a_close_is_cancelled(size_t row) {
  const struct loop_row *way = loop_row(row);
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE_STATUS(WS_PENDING, ws_close(pair.websocket, 1000, NULL, 0));
  REQUIRE_STATUS(WS_OK, ws_cancel(pair.websocket, WS_OPERATION_CLOSE));
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_CLOSE_COMPLETE, WS_ERROR_CANCELLED) != NULL);
  CHECK(peer_is_gone(pair.peer)); /* a close that is given up drops the connection */
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_cancel(pair.websocket, WS_OPERATION_ALL));
  loop_pair_close(&loop, &pair);
}

/* The program never asks for anything: the close frame is answered, and is there when it asks. */
static void a_close_frame_is_answered_without_a_reader(size_t row) {
  const struct loop_row *way = loop_row(row);
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PING, "here?", 5));
  CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_PONG, "here?", 5));
  REQUIRE(pair_peer_closes(&pair, 1001, "away"));
  CHECK(LOOP_PEER_GETS_CLOSE(&loop, &pair, 1001, ""));
  CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 10));
  CHECK(LOOP_RECEIVES(&loop, pair.websocket, 9, WS_CLOSE_FRAME, "", 0));
  loop_pair_close(&loop, &pair);
}

/* Behind data that nobody has taken nobody looks; as soon as it is taken, what follows is seen to. */
static void a_close_frame_behind_data_waits_for_the_reader(size_t row) {
  const struct loop_row *way = loop_row(row);
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "unread", 6));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PING, "now?", 4));
  REQUIRE(pair_peer_closes(&pair, 1001, "away"));
  loop_pass(&loop, 20);
  CHECK(LOOP_RECEIVES(&loop, pair.websocket, 9, WS_UTF8_MESSAGE, "unread", 6));
  CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_PONG, "now?", 4)); /* without another receive */
  CHECK(LOOP_PEER_GETS_CLOSE(&loop, &pair, 1001, ""));
  CHECK(LOOP_RECEIVES(&loop, pair.websocket, 9, WS_CLOSE_FRAME, "", 0));
  loop_pair_close(&loop, &pair);
}

/* WinHTTP's way: the program says goodbye itself. */
static void a_manual_close_is_left_to_the_program(size_t row) {
  const struct loop_row *way = loop_row(row);
  loop loop;
  pair pair;
  REQUIRE(loop_open(&loop, way->delivery));
  REQUIRE(pair_set_u32(loop.session, WS_OPTION_MANUAL_CLOSE, 1));
  REQUIRE(loop_upgrade(&loop, &pair, way->role));
  REQUIRE(pair_peer_closes(&pair, 1001, "away"));
  CHECK(LOOP_RECEIVES(&loop, pair.websocket, 9, WS_CLOSE_FRAME, "", 0));
  loop_pass(&loop, 20);
  CHECK_NUMBER(0, recv(pair.peer, room, sizeof room, MSG_DONTWAIT) > 0);
  CHECK_STATUS(WS_PENDING, ws_close(pair.websocket, 4444, "mine", 4));
  CHECK(LOOP_PEER_GETS_CLOSE(&loop, &pair, 4444, "mine"));
  (void)shutdown(pair.peer, SHUT_WR);
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_CLOSE_COMPLETE, WS_OK) != NULL);
  loop_pair_close(&loop, &pair);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_ROWS(a_close_is_told_once, loop_rows),
      CHECK_ROWS(a_close_sends_what_is_queued, loop_rows),
      CHECK_ROWS(a_close_ends_the_posted_receive, loop_rows),
      CHECK_ROWS(after_the_peers_close_frame_nothing_waits, loop_rows),
      CHECK_ROWS(a_shutdown_leaves_receiving_open, loop_rows),
      CHECK_TEST(what_cannot_be_closed_is_refused),
      CHECK_ROWS(a_close_has_a_deadline, loop_rows),
      CHECK_ROWS(a_close_behind_a_full_queue_has_a_deadline, loop_rows),
      CHECK_ROWS(a_close_meets_the_end, loop_rows),
      CHECK_ROWS(a_close_is_cancelled, loop_rows),
      CHECK_ROWS(a_close_frame_is_answered_without_a_reader, loop_rows),
      CHECK_ROWS(a_close_frame_behind_data_waits_for_the_reader, loop_rows),
      CHECK_ROWS(a_manual_close_is_left_to_the_program, loop_rows),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
