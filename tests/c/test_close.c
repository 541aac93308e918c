/* Closing: who sends what, who waits for whom, and what each call answers in each state, in both roles. */
#include "pair.h"

#define FIN_TEXT (PEER_FIN | PEER_TEXT)

static const pair_role roles[] = {LIBRARY_IS_CLIENT, LIBRARY_IS_SERVER};

static bool opened(size_t row, pair *pair) {
  check_label("%s", pair_role_name(roles[row]));
  return pair_open(pair, roles[row]);
}

/* ---- a peer that answers the close frame ------------------------------------------------------------------------------------------- */

typedef struct answering {
  pair *pair;
  const char *before;        /* a text to send before the answer, or NULL */
  uint16_t answer;           /* 0 = none */
  bool got_close;
  uint16_t status;           /* of the close frame that came */
  char reason[124];
  size_t length;             /* of the close frame's payload */
  bool saw_end;              /* an orderly end after it, and no byte in between */
} answering;

static void *answering_run(void *argument) {
  answering *answering = argument;
  peer_frame *frame = malloc(sizeof *frame);
  if (frame == NULL || !peer_read_frame(answering->pair->peer, frame)) {
    free(frame);
    return NULL;
  }
  answering->got_close = frame->first == (PEER_FIN | PEER_CLOSE);
  answering->length = frame->length;
  if (frame->length >= 2) {
    answering->status = (uint16_t)(frame->payload[0] << 8 | frame->payload[1]);
    memcpy(answering->reason, frame->payload + 2, frame->length - 2);
  }
  free(frame);
  if (answering->before != NULL) (void)pair_peer_sends(answering->pair, FIN_TEXT, answering->before, strlen(answering->before));
  if (answering->answer == 0) return NULL;
  (void)pair_peer_closes(answering->pair, answering->answer, "bye");
  /* A server ends TCP first; a client waits for that (RFC 6455 §7.1.1). */
  if (answering->pair->role == LIBRARY_IS_CLIENT) (void)shutdown(answering->pair->peer, SHUT_WR);
  answering->saw_end = peer_is_at_end(answering->pair->peer);
  return NULL;
}

static bool answering_start_with(answering *answering, pair *pair, const char *before, uint16_t answer, pthread_t *thread) {
  memset(answering, 0, sizeof *answering);
  answering->pair = pair;
  answering->before = before;
  answering->answer = answer;
  return CHECK(pthread_create(thread, NULL, answering_run, answering) == 0);
}

static bool answering_start(answering *answering, pair *pair, uint16_t answer, pthread_t *thread) {
  return answering_start_with(answering, pair, NULL, answer, thread);
}

/* ws_query_close_status in one look. */
static bool peer_status_is(ws_handle websocket, uint16_t expected, const char *expected_reason) {
  uint16_t status = 0;
  char reason[124];
  size_t length = 0;
  return CHECK_STATUS(WS_OK, ws_query_close_status(websocket, &status, reason, sizeof reason, &length)) &&
         (CHECK_NUMBER(expected, status) & CHECK_BYTES(expected_reason, strlen(expected_reason), reason, length));
}

static void a_close_is_answered(size_t row) {
  answering answering;
  pthread_t thread;
  uint64_t start = check_now_ms();
  pair pair;
  REQUIRE(opened(row, &pair));
  REQUIRE(answering_start(&answering, &pair, 3456, &thread));
  CHECK_STATUS(WS_OK, ws_close(pair.websocket, 4000, "going", 5));
  REQUIRE(pthread_join(thread, NULL) == 0);
  CHECK(answering.got_close);
  CHECK_NUMBER(4000, answering.status);
  CHECK_BYTES("going", 5, answering.reason, answering.length - 2);
  CHECK(answering.saw_end);
  CHECK(peer_status_is(pair.websocket, 3456, "bye"));
  CHECK(check_now_ms() - start < 2000);
  pair_close(&pair);
}

/* Data that comes before the peer's close frame is discarded, not delivered and not a failure. */
static void data_before_the_answer_is_discarded(size_t row) {
  answering answering;
  pthread_t thread;
  pair pair;
  REQUIRE(opened(row, &pair));
  REQUIRE(pair_peer_sends(&pair, FIN_TEXT, "unread", 6));
  REQUIRE(answering_start_with(&answering, &pair, "more", 1000, &thread));
  CHECK_STATUS(WS_OK, ws_close(pair.websocket, WS_CLOSE_NORMAL, NULL, 0));
  REQUIRE(pthread_join(thread, NULL) == 0);
  CHECK(peer_status_is(pair.websocket, 1000, "bye"));
  pair_close(&pair);
}

static void a_repeated_close_returns_the_first_result(size_t row) {
  answering answering;
  pthread_t thread;
  pair pair;
  REQUIRE(opened(row, &pair));
  REQUIRE(answering_start(&answering, &pair, 1000, &thread));
  CHECK_STATUS(WS_OK, ws_close(pair.websocket, WS_CLOSE_NORMAL, NULL, 0));
  CHECK_STATUS(WS_OK, ws_close(pair.websocket, WS_CLOSE_GOING_AWAY, "again", 5));
  CHECK_STATUS(WS_OK, ws_close(pair.websocket, WS_CLOSE_NORMAL, NULL, 0));
  REQUIRE(pthread_join(thread, NULL) == 0);
  CHECK_NUMBER(1000, answering.status);
  CHECK(answering.saw_end);
  pair_close(&pair);
}

/* The peer reads and never answers: 12002 when CLOSE_TIMEOUT is over, the connection is dropped, and a second close says the same at once. */
static void a_peer_that_never_answers(size_t row) {
  uint64_t start;
  pair pair;
  REQUIRE(opened(row, &pair));
  CHECK(pair_set_u32(pair.websocket, WS_OPTION_CLOSE_TIMEOUT, 150));
  start = check_now_ms();
  CHECK_STATUS(WS_ERROR_TIMEOUT, ws_close(pair.websocket, WS_CLOSE_NORMAL, "end", 3));
  CHECK(check_now_ms() - start >= 140);
  CHECK(check_now_ms() - start < 3000);
  start = check_now_ms();
  CHECK_STATUS(WS_ERROR_TIMEOUT, ws_close(pair.websocket, WS_CLOSE_NORMAL, NULL, 0));
  CHECK(check_now_ms() - start < 100);
  CHECK(PEER_GETS_CLOSE(&pair, 1000, "end"));
  CHECK(peer_is_gone(pair.peer));
  pair_close(&pair);
}

/* The peer goes on sending and never closes: the limit holds for the whole of it, not for each wait. */
static void *talking_run(void *argument) {
  pair *pair = argument;
  const struct timespec moment = {0, 10000000};
  for (int i = 0; i < 400 && pair_peer_sends(pair, FIN_TEXT, "on and on", 9); i++) (void)nanosleep(&moment, NULL);
  return NULL;
}

static void a_peer_that_never_stops(size_t row) {
  pthread_t thread;
  uint64_t start;
  pair pair;
  REQUIRE(opened(row, &pair));
  CHECK(pair_set_u32(pair.websocket, WS_OPTION_CLOSE_TIMEOUT, 200));
  REQUIRE(pthread_create(&thread, NULL, talking_run, &pair) == 0);
  start = check_now_ms();
  CHECK_STATUS(WS_ERROR_TIMEOUT, ws_close(pair.websocket, WS_CLOSE_NORMAL, NULL, 0));
  CHECK(check_now_ms() - start < 3000);
  REQUIRE(pthread_join(thread, NULL) == 0);
  pair_close(&pair);
}

/* The peer ends TCP instead of answering. */
static void the_end_instead_of_an_answer_is_12030(size_t row) {
  pair pair;
  REQUIRE(opened(row, &pair));
  REQUIRE(shutdown(pair.peer, SHUT_WR) == 0);
  CHECK_STATUS(WS_ERROR_CONNECTION, ws_close(pair.websocket, WS_CLOSE_NORMAL, NULL, 0));
  CHECK(PEER_GETS_CLOSE(&pair, 1000, ""));
  CHECK_STATUS(WS_ERROR_CONNECTION, ws_close(pair.websocket, WS_CLOSE_NORMAL, NULL, 0));
  pair_close(&pair);
}

/* ---- the statuses ------------------------------------------------------------------------------------------------------------------ */

#define R123 "123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123"

typedef struct status_row {
  uint16_t status;
  const char *reason;
  size_t length;
  ws_status answer;
} status_row;

static const status_row statuses[] = {
    {1000, NULL, 0, WS_OK},
    {1000, "Done", 4, WS_OK},
    {1000, R123, 123, WS_OK},
    {1001, "", 0, WS_OK},
    {1002, NULL, 0, WS_OK},
    {1003, NULL, 0, WS_OK},
    {1007, NULL, 0, WS_OK},
    {1008, NULL, 0, WS_OK},
    {1009, NULL, 0, WS_OK},
    {1010, NULL, 0, WS_OK},
    {1011, NULL, 0, WS_OK},
    {1012, NULL, 0, WS_OK},
    {1013, NULL, 0, WS_OK},
    {1014, NULL, 0, WS_OK},
    {3000, NULL, 0, WS_OK},
    {4999, "\xc3\xa4", 2, WS_OK},
    {1005, NULL, 0, WS_OK},
    {1005, "", 0, WS_OK},
    {1005, "x", 1, WS_ERROR_INVALID_PARAMETER},
    {1000, NULL, 1, WS_ERROR_INVALID_PARAMETER},
    {1000, R123 "4", 124, WS_ERROR_INVALID_PARAMETER},
    {1000, "\xff", 1, WS_ERROR_INVALID_PARAMETER},
    {1000, "a\xc3", 2, WS_ERROR_INVALID_PARAMETER},
    {0, NULL, 0, WS_ERROR_INVALID_PARAMETER},
    {999, NULL, 0, WS_ERROR_INVALID_PARAMETER},
    {1004, NULL, 0, WS_ERROR_INVALID_PARAMETER},
    {1006, NULL, 0, WS_ERROR_INVALID_PARAMETER},
    {1015, NULL, 0, WS_ERROR_INVALID_PARAMETER},
    {1016, NULL, 0, WS_ERROR_INVALID_PARAMETER},
    {2999, NULL, 0, WS_ERROR_INVALID_PARAMETER},
    {5000, NULL, 0, WS_ERROR_INVALID_PARAMETER},
    {65535, NULL, 0, WS_ERROR_INVALID_PARAMETER},
};

/* ws_shutdown, because it does not wait. What is refused sends nothing and changes nothing. */
static void a_status_on_the_wire(size_t row, pair_role role) {
  const status_row *status = &statuses[row];
  char reason[128] = "";
  pair pair;
  check_label("%u, %zu bytes (%s)", (unsigned)status->status, status->length, pair_role_name(role));
  REQUIRE(pair_open(&pair, role));
  if (status->length <= 123 && status->reason != NULL) memcpy(reason, status->reason, status->length);
  CHECK_STATUS(status->answer, ws_shutdown(pair.websocket, status->status, status->reason, status->length));
  if (status->answer == WS_OK) {
    CHECK(PEER_GETS_CLOSE(&pair, status->status, reason));
    CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_send(pair.websocket, WS_UTF8_MESSAGE, "x", 1));
  } else {
    CHECK_STATUS(status->answer, ws_close(pair.websocket, status->status, status->reason, status->length));
    CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "x", 1));
    CHECK(PEER_GETS(&pair, FIN_TEXT, "x", 1));
  }
  pair_close(&pair);
}

static void a_client_closes_with(size_t row) { a_status_on_the_wire(row, LIBRARY_IS_CLIENT); }
static void a_server_closes_with(size_t row) { a_status_on_the_wire(row, LIBRARY_IS_SERVER); }

/* ---- the peer closes first --------------------------------------------------------------------------------------------------------- */

typedef struct echo_row {
  const char *payload;
  size_t length;
  uint16_t status;           /* that ws_query_close_status tells */
  const char *reason;
} echo_row;

static const echo_row echoes[] = {
    {"\x03\xe8", 2, 1000, ""},
    {"\x03\xe9" "leaving", 9, 1001, "leaving"},
    {"\x0b\xb8", 2, 3000, ""},
    {"\x13\x87\xe2\x82\xac", 5, 4999, "\xe2\x82\xac"},
    {"", 0, 1005, ""},
};

/* The library answers with the same status, as browsers do; then close and shutdown have nothing left to do. */
static void the_peers_close_is_answered(size_t row, pair_role role) {
  const echo_row *echo = &echoes[row];
  pair pair;
  check_label("%u (%s)", (unsigned)echo->status, pair_role_name(role));
  REQUIRE(pair_open(&pair, role));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_CLOSE, echo->payload, echo->length));
  CHECK(RECEIVES(pair.websocket, 16, WS_CLOSE_FRAME, "", 0));
  CHECK(PEER_GETS_CLOSE(&pair, echo->status, ""));
  CHECK(peer_status_is(pair.websocket, echo->status, echo->reason));
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_INVALID_OPERATION));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_send(pair.websocket, WS_UTF8_MESSAGE, "x", 1));
  if (role == LIBRARY_IS_CLIENT) REQUIRE(shutdown(pair.peer, SHUT_WR) == 0);
  CHECK_STATUS(WS_OK, ws_shutdown(pair.websocket, WS_CLOSE_NORMAL, NULL, 0));
  CHECK_STATUS(WS_OK, ws_close(pair.websocket, WS_CLOSE_NORMAL, "Done", 4));
  CHECK_STATUS(WS_OK, ws_close(pair.websocket, WS_CLOSE_NORMAL, "Done", 4));
  CHECK(peer_is_at_end(pair.peer));
  CHECK(peer_status_is(pair.websocket, echo->status, echo->reason));
  pair_close(&pair);
}

static void a_client_answers_the_close(size_t row) { the_peers_close_is_answered(row, LIBRARY_IS_CLIENT); }
static void a_server_answers_the_close(size_t row) { the_peers_close_is_answered(row, LIBRARY_IS_SERVER); }

/* MANUAL_CLOSE: the answer is the program's, with WinHTTP's own rules. */
static void a_manual_close_is_the_programs(size_t row) {
  pair pair;
  check_label("%s", pair_role_name(roles[row]));
  REQUIRE(pair_begin(&pair, roles[row]));
  CHECK(pair_set_u32(pair.session, WS_OPTION_MANUAL_CLOSE, 1));
  REQUIRE(pair_upgrade(&pair));
  REQUIRE(pair_peer_closes(&pair, 1001, "first"));
  CHECK(RECEIVES(pair.websocket, 16, WS_CLOSE_FRAME, "", 0));
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_INVALID_OPERATION));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_send(pair.websocket, WS_UTF8_MESSAGE, "x", 1));
  CHECK(peer_status_is(pair.websocket, 1001, "first"));
  if (roles[row] == LIBRARY_IS_CLIENT) REQUIRE(shutdown(pair.peer, SHUT_WR) == 0);
  CHECK_STATUS(WS_OK, ws_close(pair.websocket, 4001, "mine", 4));
  CHECK(PEER_GETS_CLOSE(&pair, 4001, "mine"));
  CHECK(peer_is_at_end(pair.peer));
  pair_close(&pair);
}

static void a_manual_shutdown_answers_once(size_t row) {
  pair pair;
  check_label("%s", pair_role_name(roles[row]));
  REQUIRE(pair_begin(&pair, roles[row]));
  CHECK(pair_set_u32(pair.session, WS_OPTION_MANUAL_CLOSE, 1));
  REQUIRE(pair_upgrade(&pair));
  REQUIRE(pair_peer_closes(&pair, 1000, ""));
  CHECK(RECEIVES(pair.websocket, 16, WS_CLOSE_FRAME, "", 0));
  CHECK_STATUS(WS_OK, ws_shutdown(pair.websocket, 1000, "mine", 4));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_shutdown(pair.websocket, 1000, NULL, 0));
  CHECK(PEER_GETS_CLOSE(&pair, 1000, "mine"));
  pair_close(&pair);
}

/* ---- shutdown ---------------------------------------------------------------------------------------------------------------------- */

/* A half-close: messages go on coming until the peer's close frame. */
static void after_a_shutdown_receive_goes_on(size_t row) {
  pair pair;
  REQUIRE(opened(row, &pair));
  CHECK_STATUS(WS_OK, ws_shutdown(pair.websocket, WS_CLOSE_NORMAL, "half", 4));
  CHECK(PEER_GETS_CLOSE(&pair, 1000, "half"));
  REQUIRE(pair_peer_sends(&pair, FIN_TEXT, "one more", 8));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PING, "p", 1));
  REQUIRE(pair_peer_closes(&pair, 4002, "over"));
  CHECK(RECEIVES(pair.websocket, 16, WS_UTF8_MESSAGE, "one more", 8));
  CHECK(RECEIVES(pair.websocket, 16, WS_CLOSE_FRAME, "", 0));
  CHECK(peer_status_is(pair.websocket, 4002, "over"));
  if (roles[row] == LIBRARY_IS_CLIENT) REQUIRE(shutdown(pair.peer, SHUT_WR) == 0);
  CHECK_STATUS(WS_OK, ws_close(pair.websocket, 4003, "ignored", 7));
  /* RFC 6455 §5.5.1: nothing after a close frame, no pong and no second one. */
  CHECK(peer_is_at_end(pair.peer));
  pair_close(&pair);
}

typedef struct late_answer {
  pair *pair;
  bool answered;
} late_answer;

static void *late_answer_run(void *argument) {
  late_answer *late = argument;
  const struct timespec moment = {0, 50000000};
  (void)nanosleep(&moment, NULL);
  late->answered = pair_peer_closes(late->pair, 1000, "late");
  if (late->pair->role == LIBRARY_IS_CLIENT) (void)shutdown(late->pair->peer, SHUT_WR);
  return NULL;
}

static void a_close_after_a_shutdown_waits(size_t row) {
  late_answer late;
  pthread_t thread;
  pair pair;
  REQUIRE(opened(row, &pair));
  CHECK_STATUS(WS_OK, ws_shutdown(pair.websocket, WS_CLOSE_NORMAL, "first", 5));
  late.pair = &pair, late.answered = false;
  REQUIRE(pthread_create(&thread, NULL, late_answer_run, &late) == 0);
  CHECK_STATUS(WS_OK, ws_close(pair.websocket, 4000, "ignored", 7));
  REQUIRE(pthread_join(thread, NULL) == 0);
  CHECK(late.answered);
  CHECK(PEER_GETS_CLOSE(&pair, 1000, "first"));
  CHECK(peer_is_at_end(pair.peer));
  CHECK(peer_status_is(pair.websocket, 1000, "late"));
  pair_close(&pair);
}

/* ---- a receive that waits ---------------------------------------------------------------------------------------------------------- */

typedef struct receiving {
  ws_handle websocket;
  int go_on[2];              /* a pipe: the first piece has come, and the next receive follows */
  ws_status status;
} receiving;

static void *receiving_run(void *argument) {
  receiving *receiving = argument;
  uint8_t room[16];
  size_t received = 0;
  ws_buffer_type type = -1;
  receiving->status = ws_receive(receiving->websocket, room, sizeof room, &received, &type);
  if (write(receiving->go_on[1], "x", 1) == 1 && receiving->status == WS_OK)
    receiving->status = ws_receive(receiving->websocket, room, sizeof room, &received, &type);
  return NULL;
}

/* A pending receive is completed with 12017; if the thread had not come so far yet, its receive meets a closed channel: 4317. */
static void a_close_ends_a_waiting_receive(size_t row) {
  receiving receiving;
  answering answering;
  pthread_t receiving_thread, answering_thread;
  char byte;
  pair pair;
  REQUIRE(opened(row, &pair));
  receiving.websocket = pair.websocket, receiving.status = -1;
  REQUIRE(pipe(receiving.go_on) == 0);
  REQUIRE(pthread_create(&receiving_thread, NULL, receiving_run, &receiving) == 0);
  REQUIRE(pair_peer_sends(&pair, FIN_TEXT, "x", 1));
  REQUIRE(read(receiving.go_on[0], &byte, 1) == 1);
  REQUIRE(answering_start(&answering, &pair, 1000, &answering_thread));
  CHECK_STATUS(WS_OK, ws_close(pair.websocket, WS_CLOSE_NORMAL, NULL, 0));
  REQUIRE(pthread_join(receiving_thread, NULL) == 0 && pthread_join(answering_thread, NULL) == 0);
  if (receiving.status != WS_ERROR_INVALID_OPERATION) CHECK_STATUS(WS_ERROR_CANCELLED, receiving.status);
  CHECK(close(receiving.go_on[0]) == 0 && close(receiving.go_on[1]) == 0);
  pair_close(&pair);
}

/* ---- the state table --------------------------------------------------------------------------------------------------------------- */

typedef enum state { OPEN, SHUT, ANSWERED, MANUAL, CLOSED, LOST, BROKEN } state;

static const char *const state_names[] = {"open", "after shutdown", "after the peer's close", "after the peer's close (manual)",
                                          "closed", "lost", "after a violation"};

/* What each call answers in each state. -1: whatever, but not WS_OK (a dead connection may repeat its own failure). */
typedef struct state_row {
  state state;
  ws_status send, receive, shutdown, close, query;
} state_row;

#define BAD WS_ERROR_INVALID_OPERATION
#define ANY (-1)

static const state_row states[] = {
    {OPEN, WS_OK, WS_OK, WS_OK, WS_OK, BAD},
    {SHUT, BAD, WS_OK, BAD, WS_OK, BAD},
    {ANSWERED, BAD, BAD, WS_OK, WS_OK, WS_OK},
    {MANUAL, BAD, BAD, WS_OK, WS_OK, WS_OK},
    {CLOSED, BAD, BAD, ANY, WS_OK, WS_OK},
    {LOST, ANY, WS_ERROR_CONNECTION, ANY, ANY, BAD},
    {BROKEN, ANY, ANY, ANY, ANY, BAD},
};

static bool enter(pair *pair, state state) {
  uint8_t room[16];
  size_t received = 0;
  ws_buffer_type type = -1;
  answering answering;
  pthread_t thread;
  if (!pair_begin(pair, pair->role)) return false;
  if (state == MANUAL && !pair_set_u32(pair->session, WS_OPTION_MANUAL_CLOSE, 1)) return false;
  if (!pair_upgrade(pair)) return false;
  switch (state) {
    case OPEN: return true;
    case SHUT: return CHECK_STATUS(WS_OK, ws_shutdown(pair->websocket, 1000, NULL, 0));
    case ANSWERED:
    case MANUAL: return CHECK(pair_peer_closes(pair, 1000, "")) && RECEIVES(pair->websocket, 16, WS_CLOSE_FRAME, "", 0);
    case CLOSED:
      if (!answering_start(&answering, pair, 1000, &thread)) return false;
      (void)CHECK_STATUS(WS_OK, ws_close(pair->websocket, 1000, NULL, 0));
      return CHECK(pthread_join(thread, NULL) == 0);
    case LOST:
      return CHECK(shutdown(pair->peer, SHUT_WR) == 0) &&
             CHECK_STATUS(WS_ERROR_CONNECTION, ws_receive(pair->websocket, room, sizeof room, &received, &type));
    case BROKEN:
      return CHECK(pair_peer_sends(pair, PEER_FIN | 3, "", 0)) && CHECK(shutdown(pair->peer, SHUT_WR) == 0) &&
             CHECK_STATUS(WS_ERROR_PROTOCOL_VIOLATION, ws_receive(pair->websocket, room, sizeof room, &received, &type));
  }
  return false;
}

typedef enum call { SEND, RECEIVE, SHUTDOWN, CLOSE, QUERY, CALLS } call;

static const char *const call_names[] = {"send", "receive", "shutdown", "close", "query_close_status"};

static ws_status make_call(pair *pair, call call) {
  uint8_t room[123];
  size_t length = 0;
  ws_buffer_type type = -1;
  uint16_t status = 0;
  switch (call) {
    case SEND: return ws_send(pair->websocket, WS_UTF8_MESSAGE, "x", 1);
    case RECEIVE: return ws_receive(pair->websocket, room, sizeof room, &length, &type);
    case SHUTDOWN: return ws_shutdown(pair->websocket, 1000, NULL, 0);
    case CLOSE: return ws_close(pair->websocket, 1000, NULL, 0);
    case QUERY: return ws_query_close_status(pair->websocket, &status, room, sizeof room, &length);
    case CALLS: break;
  }
  return -1;
}

static void a_cell(const state_row *row, pair_role role, call call) {
  const ws_status expected[CALLS] = {row->send, row->receive, row->shutdown, row->close, row->query};
  ws_status status;
  pair pair;
  memset(&pair, 0, sizeof pair);
  pair.role = role;
  check_label("%s: %s (%s)", state_names[row->state], call_names[call], pair_role_name(role));
  REQUIRE(enter(&pair, row->state));
  /* So that a receive has a message and a close its answer, both without a second thread. */
  if (row->state <= SHUT && call == RECEIVE) REQUIRE(pair_peer_sends(&pair, FIN_TEXT, "x", 1));
  if (row->state <= SHUT && call == CLOSE) REQUIRE(pair_peer_closes(&pair, 1000, ""));
  if (row->state <= MANUAL && call == CLOSE && role == LIBRARY_IS_CLIENT) REQUIRE(shutdown(pair.peer, SHUT_WR) == 0);
  status = make_call(&pair, call);
  if (expected[call] == ANY) CHECK(status != WS_OK);
  else CHECK_STATUS(expected[call], status);
  pair_close(&pair);
}

/* A row of this table for each cell: state, role, call. */
static uint8_t cells[CHECK_COUNT(states) * 2 * CALLS];

static void a_call_in_a_state(size_t row) {
  a_cell(&states[row / (2 * CALLS)], roles[row / CALLS % 2], (call)(row % CALLS));
}

/* Bad parameters win over every state. */
static void a_bad_parameter_wins_over_the_state(size_t row) {
  uint8_t room[16];
  size_t length = 4711;
  ws_buffer_type type = 4711;
  uint16_t status = 4711;
  pair pair;
  memset(&pair, 0, sizeof pair);
  pair.role = roles[row % 2];
  check_label("%s (%s)", state_names[states[row / 2].state], pair_role_name(pair.role));
  REQUIRE(enter(&pair, states[row / 2].state));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_receive(pair.websocket, room, 0, &length, &type));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_receive(pair.websocket, NULL, 1, &length, &type));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_send(pair.websocket, WS_BINARY_MESSAGE, NULL, 1));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_shutdown(pair.websocket, 1006, NULL, 0));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_close(pair.websocket, 1000, NULL, 1));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_query_close_status(pair.websocket, &status, NULL, 1, &length));
  CHECK_NUMBER(4711, length);
  CHECK_NUMBER(4711, type);
  CHECK_NUMBER(4711, status);
  pair_close(&pair);
}

static uint8_t state_roles[CHECK_COUNT(states) * 2];

/* ---- ws_query_close_status --------------------------------------------------------------------------------------------------------- */

static void the_reasons_room(size_t row) {
  uint16_t status = 0;
  char reason[8] = "#######";
  size_t length = 4711;
  pair pair;
  REQUIRE(opened(row, &pair));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_query_close_status(pair.websocket, &status, reason, sizeof reason, &length));
  CHECK_NUMBER(0, status);
  CHECK_NUMBER(4711, length);
  REQUIRE(pair_peer_closes(&pair, 4000, "words"));
  CHECK(RECEIVES(pair.websocket, 16, WS_CLOSE_FRAME, "", 0));
  /* Too small by one: the needed length, and nothing else. */
  CHECK_STATUS(WS_ERROR_INSUFFICIENT_BUFFER, ws_query_close_status(pair.websocket, &status, reason, 4, &length));
  CHECK_NUMBER(5, length);
  CHECK_NUMBER(0, status);
  CHECK_TEXT("#######", reason);
  length = 4711;
  CHECK_STATUS(WS_ERROR_INSUFFICIENT_BUFFER, ws_query_close_status(pair.websocket, &status, NULL, 0, &length));
  CHECK_NUMBER(5, length);
  CHECK_NUMBER(0, status);
  CHECK_STATUS(WS_OK, ws_query_close_status(pair.websocket, &status, reason, 5, &length));
  CHECK_NUMBER(4000, status);
  CHECK_BYTES("words##", 8, reason, 8);
  CHECK_NUMBER(5, length);
  pair_close(&pair);
}

static void an_empty_reason_needs_no_room(size_t row) {
  uint16_t status = 0;
  size_t length = 4711;
  pair pair;
  REQUIRE(opened(row, &pair));
  REQUIRE(pair_peer_closes(&pair, 1000, ""));
  CHECK(RECEIVES(pair.websocket, 16, WS_CLOSE_FRAME, "", 0));
  CHECK_STATUS(WS_OK, ws_query_close_status(pair.websocket, &status, NULL, 0, &length));
  CHECK_NUMBER(1000, status);
  CHECK_NUMBER(0, length);
  pair_close(&pair);
}

/* WS_OPTION_CLOSE_STATE: 1 sent, 2 received. */
static void the_close_state_counts_both_frames(size_t row) {
  uint32_t state = 4711;
  size_t length = sizeof state;
  pair pair;
  REQUIRE(opened(row, &pair));
  CHECK_STATUS(WS_OK, ws_query_option(pair.websocket, WS_OPTION_CLOSE_STATE, &state, &length));
  CHECK_NUMBER(0, state);
  CHECK_STATUS(WS_OK, ws_shutdown(pair.websocket, 1000, NULL, 0));
  CHECK_STATUS(WS_OK, ws_query_option(pair.websocket, WS_OPTION_CLOSE_STATE, &state, &length));
  CHECK_NUMBER(1, state);
  REQUIRE(pair_peer_closes(&pair, 1000, ""));
  CHECK(RECEIVES(pair.websocket, 16, WS_CLOSE_FRAME, "", 0));
  CHECK_STATUS(WS_OK, ws_query_option(pair.websocket, WS_OPTION_CLOSE_STATE, &state, &length));
  CHECK_NUMBER(3, state);
  pair_close(&pair);
}

/* Without ws_close the connection is dropped: no close frame, and the peer sees the end. */
static void closing_the_handle_alone_sends_nothing(size_t row) {
  pair pair;
  REQUIRE(opened(row, &pair));
  CHECK_STATUS(WS_OK, ws_close_handle(pair.websocket));
  pair.websocket = WS_NO_HANDLE;
  CHECK(peer_is_at_end(pair.peer));
  pair_close(&pair);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_ROWS(a_close_is_answered, roles),
      CHECK_ROWS(data_before_the_answer_is_discarded, roles),
      CHECK_ROWS(a_repeated_close_returns_the_first_result, roles),
      CHECK_ROWS(a_peer_that_never_answers, roles),
      CHECK_ROWS(a_peer_that_never_stops, roles),
      CHECK_ROWS(the_end_instead_of_an_answer_is_12030, roles),
      CHECK_ROWS(a_client_closes_with, statuses),
      CHECK_ROWS(a_server_closes_with, statuses),
      CHECK_ROWS(a_client_answers_the_close, echoes),
      CHECK_ROWS(a_server_answers_the_close, echoes),
      CHECK_ROWS(a_manual_close_is_the_programs, roles),
      CHECK_ROWS(a_manual_shutdown_answers_once, roles),
      CHECK_ROWS(after_a_shutdown_receive_goes_on, roles),
      CHECK_ROWS(a_close_after_a_shutdown_waits, roles),
      CHECK_ROWS(a_close_ends_a_waiting_receive, roles),
      CHECK_ROWS(a_call_in_a_state, cells),
      CHECK_ROWS(a_bad_parameter_wins_over_the_state, state_roles),
      CHECK_ROWS(the_reasons_room, roles),
      CHECK_ROWS(an_empty_reason_needs_no_room, roles),
      CHECK_ROWS(the_close_state_counts_both_frames, roles),
      CHECK_ROWS(closing_the_handle_alone_sends_nothing, roles),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
