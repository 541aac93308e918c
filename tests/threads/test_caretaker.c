/* Connections that nobody waits on: what the library's own thread does for them, and what it leaves to the program. */
#include "pair.h"

#define KEEPALIVE_MS 300
#define PATIENCE_MS 400

static void sleep_ms(long time_ms) {
  const struct timespec time = {time_ms / 1000, (time_ms % 1000) * 1000000};
  (void)nanosleep(&time, NULL);
}

static void pings_are_answered_with_nobody_in_a_call(size_t row) {
  pair pair;
  check_label("%s", pair_role_name((pair_role)row));
  REQUIRE(pair_open(&pair, (pair_role)row));
  for (int i = 0; i < 3; i++) {
    REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PING, "ping", 4));
    CHECK(PEER_GETS(&pair, PEER_FIN | PEER_PONG, "ping", 4));
  }
  pair_close(&pair);
}

static void a_close_frame_is_answered_with_nobody_in_a_call(size_t row) {
  pair pair;
  check_label("%s", pair_role_name((pair_role)row));
  REQUIRE(pair_open(&pair, (pair_role)row));
  REQUIRE(pair_peer_closes(&pair, 1001, "away"));
  CHECK(PEER_GETS_CLOSE(&pair, 1001, ""));
  /* The program is told by its next receive. */
  CHECK(RECEIVES(pair.websocket, 9, WS_CLOSE_FRAME, "", 0));
  pair_close(&pair);
}

/* A ping after the interval; whoever answers it is asked again, whoever does not is lost. */
static void a_silent_peer_is_asked_and_given_up(size_t row) {
  static peer_frame frame;
  ws_error_info info;
  uint64_t asked, lost;
  pair pair;
  check_label("%s", pair_role_name((pair_role)row));
  REQUIRE(pair_begin(&pair, (pair_role)row));
  REQUIRE(pair_set_u32(pair.session, WS_OPTION_KEEPALIVE_INTERVAL, KEEPALIVE_MS) && pair_set_u32(pair.session, WS_OPTION_KEEPALIVE_TIMEOUT, PATIENCE_MS));
  REQUIRE(pair_upgrade(&pair));
  REQUIRE(peer_read_frame(pair.peer, &frame) && CHECK_NUMBER(PEER_FIN | PEER_PING, frame.first));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PONG, frame.payload, frame.length));
  REQUIRE(peer_read_frame(pair.peer, &frame) && CHECK_NUMBER(PEER_FIN | PEER_PING, frame.first));
  asked = check_now_ms();
  CHECK(peer_is_gone(pair.peer));
  lost = check_now_ms();
  CHECK(lost - asked >= PATIENCE_MS - 20 && lost - asked < PATIENCE_MS + 1500);
  memset(&info, 0, sizeof info);
  info.size = (uint32_t)sizeof info;
  CHECK_STATUS(WS_OK, ws_query_error(pair.websocket, &info));
  CHECK_STATUS(WS_ERROR_PEER_LOST, info.status);
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_PEER_LOST));
  CHECK_STATUS(WS_ERROR_PEER_LOST, ws_send(pair.websocket, WS_UTF8_MESSAGE, "x", 1));
  pair_close(&pair);
}

/* The same while a thread waits in a receive: it is the one that is told. */
static void a_receive_finds_that_the_peer_is_lost(void) {
  uint64_t begin;
  pair pair;
  REQUIRE(pair_open(&pair, LIBRARY_IS_CLIENT));
  REQUIRE(pair_set_u32(pair.websocket, WS_OPTION_KEEPALIVE_INTERVAL, KEEPALIVE_MS) && pair_set_u32(pair.websocket, WS_OPTION_KEEPALIVE_TIMEOUT, PATIENCE_MS));
  begin = check_now_ms();
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_PEER_LOST));
  CHECK(check_now_ms() - begin >= PATIENCE_MS + KEEPALIVE_MS - 30 && check_now_ms() - begin < PATIENCE_MS + KEEPALIVE_MS + 1500);
  pair_close(&pair);
}

/* Data that nobody takes hides whatever came behind it: its silence proves nothing. */
static void unread_data_stops_the_clock(void) {
  uint64_t until;
  pair pair;
  REQUIRE(pair_begin(&pair, LIBRARY_IS_SERVER));
  REQUIRE(pair_set_u32(pair.session, WS_OPTION_KEEPALIVE_INTERVAL, 100) && pair_set_u32(pair.session, WS_OPTION_KEEPALIVE_TIMEOUT, 100));
  REQUIRE(pair_upgrade(&pair));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "unread", 6));
  for (until = check_now_ms() + 3000; check_now_ms() < until;) {
    REQUIRE_STATUS(WS_OK, ws_ping(pair.websocket, NULL, 0)); /* fails once the peer is given up */
    sleep_ms(50);
  }
  CHECK(RECEIVES(pair.websocket, 64, WS_UTF8_MESSAGE, "unread", 6));
  /* Now it runs again. */
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_PEER_LOST));
  pair_close(&pair);
}

/* What nobody receives is left with the peer: this side takes what its socket holds, and 16 KiB at the most. */
static void little_is_read_ahead(void) {
  enum { FRAME = 1000, SOCKET = 65536 };
  static uint8_t payload[FRAME], frame[FRAME + 14];
  size_t size = peer_write_frame(frame, PEER_FIN | PEER_BINARY, true, payload, FRAME), sent = 0;
  ws_statistics statistics;
  size_t length = sizeof statistics;
  pair pair;
  REQUIRE(pair_open(&pair, LIBRARY_IS_SERVER));
  REQUIRE(CHECK(fcntl(pair.peer, F_SETFL, O_NONBLOCK) == 0));
  for (uint64_t quiet = check_now_ms() + 2500; check_now_ms() < quiet;) {
    ssize_t count = send(pair.peer, frame + sent % size, size - sent % size, MSG_NOSIGNAL);
    if (count > 0) sent += (size_t)count, quiet = check_now_ms() + 2500; /* longer than the caretaker lets pass */
    else sleep_ms(5);
  }
  memset(&statistics, 0, sizeof statistics);
  statistics.size = (uint32_t)sizeof statistics;
  CHECK_STATUS(WS_OK, ws_query_option(pair.websocket, WS_OPTION_STATISTICS, &statistics, &length));
  CHECK(statistics.bytes_received > 0);
  CHECK(statistics.bytes_received <= 16384);
  /* The peer was held up, and nothing is lost. */
  CHECK(sent > SOCKET);
  for (size_t i = 0; i < sent / size; i++) REQUIRE(RECEIVES_MESSAGE(pair.websocket, WS_BINARY_MESSAGE, payload, FRAME));
  pair_close(&pair);
}

/* A message that the caretaker saw begin is whole for the program, whatever control frames came around it. */
static void the_program_gets_what_the_caretaker_saw(void) {
  pair pair;
  REQUIRE(pair_open(&pair, LIBRARY_IS_CLIENT));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PING, "1", 1) && pair_peer_sends(&pair, PEER_TEXT, "one ", 4));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_PONG, "1", 1));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PING, "2", 1) && pair_peer_sends(&pair, PEER_FIN, "two", 3));
  CHECK(RECEIVES_MESSAGE(pair.websocket, WS_UTF8_MESSAGE, "one two", 7));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_PONG, "2", 1));
  pair_close(&pair);
}

/* One thread for all connections, gone with the last; none where threads are forbidden. */
static void there_is_one_thread_at_the_most(size_t row) {
  uint32_t flags = row == 0 ? 0 : WS_FLAG_NO_THREADS;
  int before = check_threads();
  pair pairs[3];
  check_label("%s", row == 0 ? "by default" : "WS_FLAG_NO_THREADS");
  for (size_t i = 0; i < 3; i++) {
    memset(&pairs[i], 0, sizeof pairs[i]);
    pairs[i].role = LIBRARY_IS_CLIENT;
    REQUIRE_STATUS(WS_OK, ws_open(NULL, flags, &pairs[i].session));
    REQUIRE(pair_upgrade(&pairs[i]));
  }
  CHECK_NUMBER(before + (row == 0), check_threads_settled(before + (row == 0)));
  REQUIRE(pair_peer_sends(&pairs[1], PEER_FIN | PEER_PING, "p", 1));
  if (row == 0) {
    CHECK(PEER_GETS(&pairs[1], PEER_FIN | PEER_PONG, "p", 1));
  } else {
    struct pollfd entry = {pairs[1].peer, POLLIN, 0};
    CHECK_NUMBER(0, poll(&entry, 1, 2500));
    CHECK_NUMBER(before, check_threads());
  }
  for (size_t i = 0; i < 3; i++) pair_close(&pairs[i]);
  CHECK_NUMBER(before, check_threads_settled(before));
}

/* A name is then looked up on the caller's own thread. */
static void names_are_resolved_without_threads(void) {
  ws_handle session = WS_NO_HANDLE, request = WS_NO_HANDLE;
  REQUIRE_STATUS(WS_OK, ws_open(NULL, WS_FLAG_NO_THREADS, &session));
  REQUIRE_STATUS(WS_OK, ws_connect(session, "ws://localhost:1/", &request));
  CHECK_STATUS(WS_ERROR_CANNOT_CONNECT, ws_handshake(request));
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

int main(int argc, char **argv) {
  static const int two[2];
  static const check_test tests[] = {
      CHECK_ROWS(pings_are_answered_with_nobody_in_a_call, two),
      CHECK_ROWS(a_close_frame_is_answered_with_nobody_in_a_call, two),
      CHECK_ROWS(a_silent_peer_is_asked_and_given_up, two),
      CHECK_TEST(a_receive_finds_that_the_peer_is_lost),
      CHECK_TEST(unread_data_stops_the_clock),
      CHECK_TEST(little_is_read_ahead),
      CHECK_TEST(the_program_gets_what_the_caretaker_saw),
      CHECK_ROWS(there_is_one_thread_at_the_most, two),
      CHECK_TEST(names_are_resolved_without_threads),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
