/* Peers that stall, at every stage: each wait ends at its limit and not before, when it is cancelled, when its handle is closed, and, if the program
 * asked for it, when a signal handler ran. What can go on afterwards goes on. */
#include "stages.h"

#define LIMIT_MS 120

/* ---- limits ------------------------------------------------------------------------------------------------------------------------ */

static void a_wait_ends_at_its_limit(size_t row) {
  stall stall;
  check_label("%s", stages[row].name);
  REQUIRE(stall_open(&stall, &stages[row], LIMIT_MS));
  (void)stall_run(&stall);
  CHECK_STATUS(WS_ERROR_TIMEOUT, stall.status);
  CHECK(TOOK(&stall, LIMIT_MS));
  if (stages[row].goes_on != NULL) CHECK(stages[row].goes_on(&stall));
  release_resolver();
  stall_close(&stall);
}

/* ---- cancelling and closing -------------------------------------------------------------------------------------------------------- */

/* Cancels once the other thread is inside its call, and a while later, so that it has come to wait. */
static bool cancel(const stall *stall, double *when_ms) {
  ws_status status;
  uint64_t until = check_now_ms() + PEER_WAIT_MS;
  stall_sleep_ms(60);
  *when_ms = stall_now_ms();
  while ((status = ws_cancel(stall->handle, stall->stage->operation)) == WS_ERROR_INVALID_OPERATION && check_now_ms() < until) stall_sleep_ms(1);
  return CHECK_STATUS(WS_OK, status);
}

static void a_wait_ends_when_it_is_cancelled(size_t row) {
  double cancelled_ms, begun_ms;
  stall stall;
  check_label("%s", stages[row].name);
  REQUIRE(stall_open(&stall, &stages[row], 0));
  begun_ms = stall_now_ms();
  REQUIRE(stall_begin(&stall));
  REQUIRE(cancel(&stall, &cancelled_ms));
  stall_end(&stall);
  CHECK_STATUS(WS_ERROR_CANCELLED, stall.status);
  CHECK(TOOK(&stall, cancelled_ms - begun_ms - 60 > 0 ? cancelled_ms - begun_ms - 60 : 0));
  if (stages[row].goes_on != NULL) CHECK(stages[row].goes_on(&stall));
  release_resolver();
  stall_close(&stall);
}

static void a_wait_ends_when_its_handle_is_closed(size_t row) {
  stall stall;
  check_label("%s", stages[row].name);
  REQUIRE(stall_open(&stall, &stages[row], 0));
  REQUIRE(stall_begin(&stall));
  stall_sleep_ms(60);
  CHECK_STATUS(WS_OK, ws_close_handle(stall.handle));
  stall_end(&stall);
  CHECK_STATUS(WS_ERROR_CANCELLED, stall.status);
  CHECK(TOOK(&stall, 20));
  if (stall.handle == stall.pair.websocket) stall.pair.websocket = WS_NO_HANDLE;
  if (stall.handle == stall.listener) stall.listener = WS_NO_HANDLE;
  stall.handle = WS_NO_HANDLE;
  release_resolver();
  stall_close(&stall);
}

/* At whatever moment: the closer does not wait for the other thread to have come anywhere. */
static void a_handle_may_be_closed_at_any_moment(size_t row) {
  const stage *stage = &stages[row + 1];
  check_label("%s", stage->name);
  for (uint32_t turn = 0; turn < 24; turn++) {
    stall stall;
    const struct timespec moment = {0, (long)(turn * turn) * 20000};
    set_resolver(true);
    REQUIRE(stall_open(&stall, stage, 0));
    REQUIRE(stall_begin(&stall));
    (void)nanosleep(&moment, NULL);
    CHECK_STATUS(WS_OK, ws_close_handle(stall.handle));
    stall_end(&stall);
    CHECK(stall.status == WS_ERROR_CANCELLED || stall.status == WS_ERROR_INVALID_HANDLE || CHECK_STATUS(WS_ERROR_CANCELLED, stall.status));
    if (stall.handle == stall.pair.websocket) stall.pair.websocket = WS_NO_HANDLE;
    stall.handle = WS_NO_HANDLE;
    release_resolver();
    stall_close(&stall);
  }
}

/* ---- signals ----------------------------------------------------------------------------------------------------------------------- */

static int signals_taken;
static void take_signal(int number) { (void)number, (void)__atomic_fetch_add(&signals_taken, 1, __ATOMIC_SEQ_CST); }

/* Without SA_RESTART, as a program that wants to be interrupted sets it. */
static bool handle_signals(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = take_signal;
  return CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
}

static void a_signal_ends_no_wait(size_t row) {
  stall stall;
  check_label("%s", stages[row].name);
  REQUIRE(handle_signals());
  REQUIRE(stall_open(&stall, &stages[row], LIMIT_MS));
  REQUIRE(stall_begin(&stall));
  for (int i = 0; i < 8; i++) {
    stall_sleep_ms(10);
    (void)pthread_kill(stall.thread, SIGUSR1);
  }
  stall_end(&stall);
  CHECK(signals_taken > 0);
  CHECK_STATUS(WS_ERROR_TIMEOUT, stall.status);
  CHECK(TOOK(&stall, LIMIT_MS));
  if (stages[row].goes_on != NULL) CHECK(stages[row].goes_on(&stall));
  release_resolver();
  stall_close(&stall);
}

static void a_signal_ends_a_wait_if_the_program_asks_for_it(size_t row) {
  stall stall;
  double begun_ms;
  check_label("%s", stages[row].name);
  REQUIRE(handle_signals());
  REQUIRE(stall_open(&stall, &stages[row], 0));
  REQUIRE(pair_set_u32(stall.handle, WS_OPTION_INTERRUPTIBLE, 1));
  begun_ms = stall_now_ms();
  REQUIRE(stall_begin(&stall));
  stall_sleep_ms(60);
  /* A signal that comes while the thread is awake, to answer a ping for example, interrupts no wait: the next one does. */
  for (int i = 0; i < 100 && !__atomic_load_n(&stall.has_ended, __ATOMIC_SEQ_CST); i++) {
    (void)pthread_kill(stall.thread, SIGUSR1);
    stall_sleep_ms(5);
  }
  stall_end(&stall);
  CHECK(signals_taken > 0);
  CHECK_STATUS(WS_ERROR_INTERRUPTED, stall.status);
  CHECK(stall_now_ms() - begun_ms < STALL_SLACK_MS);
  if (stages[row].goes_on != NULL) CHECK(stages[row].goes_on(&stall));
  release_resolver();
  stall_close(&stall);
}

/* ---- a send in the middle of its frame --------------------------------------------------------------------------------------------- */

static const struct { pair_role role; bool cancels; } sends[] = {
    {LIBRARY_IS_CLIENT, false}, {LIBRARY_IS_SERVER, false}, {LIBRARY_IS_CLIENT, true}, {LIBRARY_IS_SERVER, true}};

static const stage mid_frame = {"a peer that does not read", NULL, call_send, WS_OPERATION_SEND, NULL};

static bool open_mid_frame(stall *stall, pair_role role, uint32_t limit_ms, uint64_t queue_limit) {
  memset(stall, 0, sizeof *stall);
  for (size_t i = 0; i < CHECK_COUNT(stall->sockets); i++) stall->sockets[i] = -1;
  stall->stage = &mid_frame;
  return CHECK_STATUS(WS_OK, ws_open(NULL, 0, &stall->pair.session)) && open_deaf(stall, role) &&
         stall_set(stall->handle, WS_OPTION_SEND_TIMEOUT, limit_ms) &&
         CHECK_STATUS(WS_OK, ws_set_option(stall->handle, WS_OPTION_SEND_QUEUE_LIMIT, &queue_limit, sizeof queue_limit));
}

static bool stop_send(stall *stall, bool cancels) {
  double when_ms;
  if (!cancels) return stall_run(stall), TOOK(stall, LIMIT_MS);
  if (!stall_begin(stall) || !cancel(stall, &when_ms)) return false;
  stall_end(stall);
  return true;
}

/* The rest is queued, and the call has done its work. */
static void the_rest_of_a_frame_is_queued(size_t row) {
  stall stall;
  check_label("%s, %s", pair_role_name(sends[row].role), sends[row].cancels ? "cancelled" : "at its limit");
  REQUIRE(open_mid_frame(&stall, sends[row].role, sends[row].cancels ? 0 : LIMIT_MS, 16u << 20));
  REQUIRE(stop_send(&stall, sends[row].cancels));
  CHECK_STATUS(WS_OK, stall.status);
  CHECK(sends_again(&stall));
  stall_close(&stall);
}

/* A rest that the queue does not take has no place to go, and nothing can follow half a frame. */
static void a_rest_over_the_limit_ends_the_connection(size_t row) {
  ws_status expected = sends[row].cancels ? WS_ERROR_CANCELLED : WS_ERROR_TIMEOUT;
  stall stall;
  check_label("%s, %s", pair_role_name(sends[row].role), sends[row].cancels ? "cancelled" : "at its limit");
  REQUIRE(open_mid_frame(&stall, sends[row].role, sends[row].cancels ? 0 : LIMIT_MS, 1u << 20));
  REQUIRE(stop_send(&stall, sends[row].cancels));
  CHECK_STATUS(expected, stall.status);
  CHECK_STATUS(expected, call_send_little(&stall));
  CHECK_STATUS(expected, call_receive(&stall));
  CHECK(peer_is_gone(stall.pair.peer));
  stall_close(&stall);
}

/* The queue is bounded by what one frame may leave there: it does not grow with every try. */
static void tries_do_not_fill_the_queue(void) {
  uint64_t before = 0, after = 0;
  size_t length = sizeof before;
  stall stall;
  REQUIRE(stall_open(&stall, &stages[11], 20));
  REQUIRE_STATUS(WS_OK, ws_query_option(stall.handle, WS_OPTION_BUFFERED_AMOUNT, &before, &length));
  for (int i = 0; i < 10; i++) CHECK_STATUS(WS_ERROR_TIMEOUT, call_send(&stall));
  CHECK_STATUS(WS_OK, ws_query_option(stall.handle, WS_OPTION_BUFFERED_AMOUNT, &after, &length));
  CHECK(before > 0 && after <= before);
  CHECK(sends_again(&stall));
  stall_close(&stall);
}

/* ---- a refusal whose page does not end --------------------------------------------------------------------------------------------- */

static void *refuse(void *argument) {
  stall *stall = argument;
  char head[4096];
  stall->sockets[1] = peer_accept(stall->sockets[0]);
  if (stall->sockets[1] >= 0 && peer_read_head(stall->sockets[1], head, sizeof head))
    (void)peer_send_text(stall->sockets[1], "HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nThe begin");
  return NULL;
}

/* The answer stands; its page is a courtesy. */
static void a_page_that_does_not_end_is_given_up(void) {
  static const stage page = {"the page of a refusal does not end", begin_head, call_handshake, WS_OPERATION_HANDSHAKE, NULL};
  char body[64];
  size_t length = 0;
  uint16_t http_status = 0;
  pthread_t thread;
  stall stall;
  REQUIRE(stall_open(&stall, &page, LIMIT_MS));
  REQUIRE(CHECK(pthread_create(&thread, NULL, refuse, &stall) == 0));
  (void)stall_run(&stall);
  (void)pthread_join(thread, NULL);
  CHECK_STATUS(WS_OK, stall.status);
  CHECK(TOOK(&stall, LIMIT_MS));
  CHECK_STATUS(WS_OK, ws_query_response(stall.handle, &http_status));
  CHECK_NUMBER(403, http_status);
  CHECK_STATUS(WS_OK, ws_read_body(stall.handle, body, sizeof body, &length));
  CHECK_BYTES("The begin", 9, body, length);
  stall_close(&stall);
}

/* ---- close ------------------------------------------------------------------------------------------------------------------------- */

/* The first result stays, and the connection is gone. */
static void a_close_without_an_answer_drops_the_connection(void) {
  stall stall;
  REQUIRE(stall_open(&stall, &stages[12], LIMIT_MS));
  (void)stall_run(&stall);
  CHECK_STATUS(WS_ERROR_TIMEOUT, stall.status);
  CHECK(PEER_GETS_CLOSE(&stall.pair, WS_CLOSE_NORMAL, "bye"));
  CHECK(peer_is_gone(stall.pair.peer));
  CHECK_STATUS(WS_ERROR_TIMEOUT, call_close(&stall));
  stall_close(&stall);
}

/* However much the peer still sends, it is discarded under the same limit. */
static void *send_on(void *argument) {
  stall *stall = argument;
  static uint8_t frame[65536 + 14];
  size_t size = peer_write_frame(frame, PEER_FIN | PEER_BINARY, false, frame, 65000);
  while (peer_send(stall->pair.peer, frame, size)) {}
  return NULL;
}

static void a_close_ends_at_its_limit_while_the_peer_talks(void) {
  pthread_t thread;
  stall stall;
  REQUIRE(stall_open(&stall, &stages[12], LIMIT_MS));
  REQUIRE(CHECK(pthread_create(&thread, NULL, send_on, &stall) == 0));
  (void)stall_run(&stall);
  CHECK_STATUS(WS_ERROR_TIMEOUT, stall.status);
  CHECK(TOOK(&stall, LIMIT_MS));
  /* Only now is the peer's last write sure to end. */
  CHECK_STATUS(WS_OK, ws_close_handle(stall.handle));
  stall.handle = stall.pair.websocket = WS_NO_HANDLE;
  (void)pthread_join(thread, NULL);
  stall_close(&stall);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      {"a_wait_ends_at_its_limit", NULL, a_wait_ends_at_its_limit, STAGES_WITH_LIMIT},
      CHECK_ROWS(a_wait_ends_when_it_is_cancelled, stages),
      CHECK_ROWS(a_wait_ends_when_its_handle_is_closed, stages),
      {"a_handle_may_be_closed_at_any_moment", NULL, a_handle_may_be_closed_at_any_moment, STAGES - 1},
      {"a_signal_ends_no_wait", NULL, a_signal_ends_no_wait, STAGES_WITH_LIMIT},
      CHECK_ROWS(a_signal_ends_a_wait_if_the_program_asks_for_it, stages),
      CHECK_ROWS(the_rest_of_a_frame_is_queued, sends),
      CHECK_ROWS(a_rest_over_the_limit_ends_the_connection, sends),
      CHECK_TEST(tries_do_not_fill_the_queue),
      CHECK_TEST(a_page_that_does_not_end_is_given_up),
      CHECK_TEST(a_close_without_an_answer_drops_the_connection),
      CHECK_TEST(a_close_ends_at_its_limit_while_the_peer_talks),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
