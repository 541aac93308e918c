/* Asynchronous sends: they never pend, the queue has a limit and says when it has room again, and completions are told only if asked for. */
#include "loop.h"

enum { CHUNK = 64 * 1024 - 16 };

static uint8_t chunk[CHUNK];

static uint64_t buffered(ws_handle websocket) {
  uint64_t amount = UINT64_MAX;
  size_t length = sizeof amount;
  CHECK_STATUS(WS_OK, ws_query_option(websocket, WS_OPTION_BUFFERED_AMOUNT, &amount, &length));
  return amount;
}

/* ---- one after another ---------------------------------------------------------------------------------------------------------------- */

static void sends_are_done_at_once(size_t row) {
  const struct loop_row *way = loop_row(row);
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "text", 4));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_FRAGMENT, "be", 2));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_send(pair.websocket, WS_UTF8_MESSAGE, "no", 2));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_MESSAGE, "gin", 3));
  CHECK_STATUS(WS_OK, ws_ping(pair.websocket, "p", 1));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_MESSAGE, NULL, 0));
  CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_TEXT, "text", 4));
  CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_BINARY, "be", 2));
  CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_CONTINUATION, "gin", 3));
  CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_PING, "p", 1));
  CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_BINARY, "", 0));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_send(pair.websocket, WS_UTF8_MESSAGE, "\xff", 1));
  CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 20));
  CHECK_NUMBER(0, (int64_t)buffered(pair.websocket));
  loop_pair_close(&loop, &pair);
}

/* The buffer is the program's again when the call has returned, whatever became of the bytes. */
static void a_buffer_is_free_after_its_send(size_t row) {
  const struct loop_row *way = loop_row(row);
  enum { MESSAGES = 400 };
  static peer_frame frame;
  uint8_t mine[500];
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  for (int i = 0; i < MESSAGES; i++) {
    memset(mine, i, sizeof mine);
    REQUIRE_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_MESSAGE, mine, sizeof mine));
    memset(mine, 0xee, sizeof mine);
  }
  for (int i = 0; i < MESSAGES; i++) {
    REQUIRE(loop_until_readable(&loop, pair.peer) && peer_read_frame(pair.peer, &frame));
    REQUIRE(frame.length == sizeof mine && frame.payload[0] == (uint8_t)i && frame.payload[499] == (uint8_t)i);
  }
  loop_pair_close(&loop, &pair);
}

static ws_handle reacting;

/* Several sends out of one callback: they are gathered, keep their order, and leave without a further call of the program. */
static void answer_in_parts(const ws_event *event) {
  size_t received;
  ws_buffer_type type;
  static uint8_t room[16];
  if (event->type != WS_EVENT_RECEIVED || event->handle != reacting || event->status != WS_OK) return;
  for (char letter = 'a'; letter <= 'j'; letter++) CHECK_STATUS(WS_OK, ws_send(reacting, WS_UTF8_MESSAGE, &letter, 1));
  CHECK_STATUS(WS_OK, ws_send(reacting, WS_BINARY_MESSAGE, chunk, 40000)); /* larger than what is gathered */
  CHECK_STATUS(WS_OK, ws_send(reacting, WS_UTF8_MESSAGE, "z", 1));
  CHECK_STATUS(WS_PENDING, ws_receive(reacting, room, sizeof room, &received, &type));
}

static void what_a_callback_sends_keeps_its_order(size_t row) {
  const struct loop_row *way = loop_row(row);
  static uint8_t room[16];
  loop loop;
  pair pair;
  memset(chunk, 'c', sizeof chunk);
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  reacting = pair.websocket;
  REQUIRE(POSTS(pair.websocket, room, sizeof room));
  loop_react(answer_in_parts);
  for (int i = 0; i < 5; i++) {
    REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "go", 2));
    for (char letter = 'a'; letter <= 'j'; letter++) REQUIRE(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_TEXT, &letter, 1));
    REQUIRE(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_BINARY, chunk, 40000));
    REQUIRE(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_TEXT, "z", 1));
  }
  loop_react(NULL);
  loop_pair_close(&loop, &pair);
}

static bool close_after;

/* Answers what is good, and meets what is not, in the same callback. */
static void answer_and_fail(const ws_event *event) {
  static uint8_t room[16];
  size_t received;
  ws_buffer_type type;
  ws_status status = event->status;
  if (event->type != WS_EVENT_RECEIVED || event->handle != reacting) return;
  while (status == WS_OK) {
    CHECK_STATUS(WS_OK, ws_send(reacting, WS_UTF8_MESSAGE, "answer", 6));
    status = ws_receive(reacting, room, sizeof room, &received, &type);
  }
  if (status == WS_PENDING) return;
  CHECK_STATUS(WS_ERROR_PROTOCOL_VIOLATION, status);
  if (close_after) CHECK_STATUS(WS_OK, ws_close_handle(reacting));
}

/* A good message and a bad frame in one segment: the answer to the first leaves before the close frame that the second causes. */
static void what_was_sent_before_a_violation_leaves(size_t row) {
  const struct loop_row *way = loop_row(row % CHECK_COUNT(loop_rows));
  static uint8_t room[16], frames[64];
  size_t size;
  loop loop;
  pair pair;
  close_after = row >= CHECK_COUNT(loop_rows);
  check_label("%s, %s, %s", delivery_name(way->delivery), pair_role_name(way->role), close_after ? "the handle is closed at once" : "the handle stays open");
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  reacting = pair.websocket;
  REQUIRE(POSTS(pair.websocket, room, sizeof room));
  loop_react(answer_and_fail);
  size = peer_write_frame(frames, PEER_FIN | PEER_TEXT, way->role == LIBRARY_IS_SERVER, "good", 4);
  size += peer_write_frame(frames + size, PEER_FIN | 0x20 | PEER_TEXT, way->role == LIBRARY_IS_SERVER, "bad", 3);
  REQUIRE(peer_send(pair.peer, frames, size));
  CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_TEXT, "answer", 6));
  CHECK(loop_until_readable(&loop, pair.peer) && PEER_GETS_CLOSE_STATUS(&pair, 1002));
  loop_react(NULL);
  if (close_after) pair.websocket = WS_NO_HANDLE, loop_pass(&loop, 20);
  loop_pair_close(&loop, &pair);
}

static void parts_become_one_frame(size_t row) {
  const struct loop_row *way = loop_row(row);
  const ws_bytes parts[] = {{"one ", 4}, {NULL, 0}, {"frame", 5}};
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  CHECK_STATUS(WS_OK, ws_send_ex(pair.websocket, WS_UTF8_MESSAGE, 0, parts, 3, NULL));
  CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_TEXT, "one frame", 9));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_FRAGMENT, "open", 4));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_send_ex(pair.websocket, WS_UTF8_MESSAGE, WS_SEND_WHOLE, parts, 3, NULL));
  CHECK_STATUS(WS_OK, ws_send_ex(pair.websocket, WS_UTF8_MESSAGE, 0, parts, 0, NULL));
  CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_TEXT, "open", 4));
  CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_CONTINUATION, "", 0));
  loop_pair_close(&loop, &pair);
}

/* ---- completions ------------------------------------------------------------------------------------------------------------------------- */

static void a_notified_send_is_told_once(size_t row) {
  const struct loop_row *way = loop_row(row);
  const ws_bytes part = {chunk, 3000};
  const heard *heard;
  int marks[5];
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  for (int i = 0; i < 5; i++) REQUIRE_STATUS(WS_PENDING, ws_send_ex(pair.websocket, WS_BINARY_MESSAGE, WS_SEND_NOTIFY, &part, 1, &marks[i]));
  for (int i = 0; i < 5; i++) {
    REQUIRE((heard = HEARS(&loop, pair.websocket, WS_EVENT_SENT, WS_OK)) != NULL);
    CHECK(heard->event.operation_context == &marks[i]);
  }
  for (int i = 0; i < 5; i++) CHECK(LOOP_PEER_GETS(&loop, &pair, PEER_FIN | PEER_BINARY, chunk, 3000));
  /* An error is no event. */
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_send_ex(pair.websocket, WS_CLOSE_FRAME, WS_SEND_NOTIFY, &part, 1, NULL));
  CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 20));
  loop_pair_close(&loop, &pair);
}

/* ---- backpressure -------------------------------------------------------------------------------------------------------------------------- */

typedef struct reader { pair *pair; unsigned messages; bool good; pthread_t thread; } reader;

/* Reads whole frames, of which each carries its number. */
static void *read_all(void *argument) {
  static peer_frame frame;
  reader *reader = argument;
  for (unsigned i = 0; i < reader->messages; i++) {
    uint32_t number = 0;
    if (!peer_read_frame(reader->pair->peer, &frame) || frame.length < 4) return NULL;
    memcpy(&number, frame.payload, sizeof number);
    if (number != i) return (void)check_failed(__FILE__, __LINE__, "message %u came as number %u", number, i), NULL;
  }
  reader->good = true;
  return NULL;
}

static ws_status send_number(ws_handle websocket, uint32_t number, uint32_t flags) {
  ws_bytes part = {chunk, sizeof chunk};
  memcpy(chunk, &number, sizeof number);
  return flags == 0 ? ws_send(websocket, WS_BINARY_MESSAGE, chunk, sizeof chunk) : ws_send_ex(websocket, WS_BINARY_MESSAGE, flags, &part, 1, (char *)NULL + number);
}

/* Sends until the queue is full; the loop is driven, so that what the system takes is taken. */
static uint32_t fill(loop *loop, ws_handle websocket, uint32_t flags) {
  uint32_t sent = 0, full = 0;
  while (full < 3 && sent < 4000) { /* the kernel may take a little more a moment later */
    ws_status status = send_number(websocket, sent, flags);
    if (status == WS_ERROR_WOULD_BLOCK) full++, loop_pass(loop, 10);
    else if (CHECK_STATUS(flags == 0 ? WS_OK : WS_PENDING, status)) full = 0, sent++;
    else break;
  }
  return sent;
}

/* The queue is full: 13000, and nothing was taken. When half of it has gone, one event says so, and everything arrives in order. */
static void a_full_queue_says_when_it_has_room(size_t row) {
  const struct loop_row *way = loop_row(row);
  const uint64_t limit = 1 << 20;
  uint64_t amount;
  reader reader = {0};
  uint32_t sent;
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE_STATUS(WS_OK, ws_set_option(pair.websocket, WS_OPTION_SEND_QUEUE_LIMIT, &limit, sizeof limit));
  sent = fill(&loop, pair.websocket, 0);
  CHECK(loop_count(pair.websocket, WS_EVENT_WRITABLE) <= 3);
  while (loop_look(pair.websocket, WS_EVENT_WRITABLE, true) != NULL) {}
  amount = buffered(pair.websocket);
  CHECK(amount > limit - 2 * CHUNK && amount <= limit);
  CHECK_STATUS(WS_ERROR_WOULD_BLOCK, send_number(pair.websocket, sent, 0));
  CHECK_STATUS(WS_ERROR_WOULD_BLOCK, send_number(pair.websocket, sent, 0));
  CHECK_NUMBER((int64_t)amount, (int64_t)buffered(pair.websocket));
  CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 30));
  reader.pair = &pair;
  reader.messages = sent + 1;
  REQUIRE(pthread_create(&reader.thread, NULL, read_all, &reader) == 0);
  REQUIRE(HEARS(&loop, pair.websocket, WS_EVENT_WRITABLE, WS_OK) != NULL);
  CHECK(buffered(pair.websocket) <= limit / 2);
  CHECK_STATUS(WS_OK, send_number(pair.websocket, sent, 0));
  for (uint64_t until = check_now_ms() + PEER_WAIT_MS; buffered(pair.websocket) > 0 && check_now_ms() < until;) loop_pass(&loop, 1);
  (void)pthread_join(reader.thread, NULL);
  CHECK(reader.good);
  CHECK(HEARS_NOTHING(&loop, pair.websocket, WS_EVENT_WRITABLE, 20));
  loop_pair_close(&loop, &pair);
}

/* Whatever the limit: otherwise it could never be sent. */
static void an_empty_queue_takes_any_message(size_t row) {
  const struct loop_row *way = loop_row(row);
  static uint8_t big[3 << 20];
  const uint64_t limit = 1000;
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE_STATUS(WS_OK, ws_set_option(pair.websocket, WS_OPTION_SEND_QUEUE_LIMIT, &limit, sizeof limit));
  loop_pass(&loop, 2);
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_MESSAGE, big, sizeof big));
  loop_pass(&loop, 2);
  if (buffered(pair.websocket) > 1000) CHECK_STATUS(WS_ERROR_WOULD_BLOCK, ws_send(pair.websocket, WS_BINARY_MESSAGE, big, 100));
  /* Control frames have a place of their own. */
  CHECK_STATUS(WS_OK, ws_ping(pair.websocket, NULL, 0));
  loop_pair_close(&loop, &pair);
}

/* Completions come when the kernel has the bytes, not when they are queued. */
static void completions_wait_for_the_kernel(size_t row) {
  const struct loop_row *way = loop_row(row);
  const uint64_t limit = 1 << 20;
  reader reader = {0};
  uint32_t sent;
  int early;
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE_STATUS(WS_OK, ws_set_option(pair.websocket, WS_OPTION_SEND_QUEUE_LIMIT, &limit, sizeof limit));
  sent = fill(&loop, pair.websocket, WS_SEND_NOTIFY);
  loop_pass(&loop, 10);
  early = loop_count(pair.websocket, WS_EVENT_SENT);
  CHECK(early < (int)sent - 10);
  reader.pair = &pair;
  reader.messages = sent;
  REQUIRE(pthread_create(&reader.thread, NULL, read_all, &reader) == 0);
  for (uint32_t i = 0; i < sent; i++) {
    const heard *heard = HEARS(&loop, pair.websocket, WS_EVENT_SENT, WS_OK);
    REQUIRE(heard != NULL && heard->event.operation_context == (char *)NULL + i);
  }
  (void)pthread_join(reader.thread, NULL);
  CHECK(reader.good);
  CHECK_NUMBER((int64_t)sent, loop_count(pair.websocket, WS_EVENT_SENT));
  loop_pair_close(&loop, &pair);
}

/* What is queued when the handle is closed ends as cancelled, each once, before the last event. */
static void queued_completions_end_with_the_handle(size_t row) {
  const struct loop_row *way = loop_row(row);
  const uint64_t limit = 1 << 20;
  uint32_t sent;
  int good = 0, cancelled = 0;
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE_STATUS(WS_OK, ws_set_option(pair.websocket, WS_OPTION_SEND_QUEUE_LIMIT, &limit, sizeof limit));
  sent = fill(&loop, pair.websocket, WS_SEND_NOTIFY);
  CHECK(CLOSE_HANDLE(&loop, pair.websocket));
  for (uint32_t i = 0; i < sent; i++) {
    const heard *heard = loop_look(pair.websocket, WS_EVENT_SENT, true);
    REQUIRE(heard != NULL);
    good += heard->event.status == WS_OK;
    cancelled += heard->event.status == WS_ERROR_CANCELLED;
  }
  CHECK_NUMBER((int64_t)sent, good + cancelled);
  CHECK(cancelled > 10);
  CHECK_NUMBER((int64_t)sent, loop_count(pair.websocket, WS_EVENT_SENT));
  pair.websocket = WS_NO_HANDLE;
  loop_pair_close(&loop, &pair);
}

/* ---- from other threads --------------------------------------------------------------------------------------------------------------------- */

enum { SENDERS = 4, EACH = 300 };

static void *send_from_a_thread(void *argument) {
  pair *pair = argument;
  static uint8_t next;
  uint8_t mine[200], letter = __atomic_fetch_add(&next, 1, __ATOMIC_SEQ_CST);
  memset(mine, letter, sizeof mine);
  for (uint32_t i = 0; i < EACH; i++) {
    memcpy(mine, &i, sizeof i);
    if (!CHECK_STATUS(WS_OK, ws_send(pair->websocket, WS_BINARY_MESSAGE, mine, sizeof mine))) break;
  }
  return NULL;
}

static void threads_send_whole_messages(size_t row) {
  const struct loop_row *way = loop_row(row);
  static peer_frame frame;
  uint32_t next[256] = {0}, number;
  pthread_t threads[SENDERS];
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  for (int i = 0; i < SENDERS; i++) REQUIRE(pthread_create(&threads[i], NULL, send_from_a_thread, &pair) == 0);
  for (int i = 0; i < SENDERS * EACH; i++) {
    REQUIRE(loop_until_readable(&loop, pair.peer) && peer_read_frame(pair.peer, &frame));
    REQUIRE(frame.first == (PEER_FIN | PEER_BINARY) && frame.length == 200);
    memcpy(&number, frame.payload, sizeof number);
    CHECK_NUMBER(next[frame.payload[4]]++, number);
    for (int j = 4; j < 200; j++) REQUIRE(frame.payload[j] == frame.payload[4]);
  }
  for (int i = 0; i < SENDERS; i++) (void)pthread_join(threads[i], NULL);
  loop_pair_close(&loop, &pair);
}

static void a_connection_that_is_over_takes_nothing(size_t row) {
  const struct loop_row *way = loop_row(row);
  static uint8_t room[16];
  loop loop;
  pair pair;
  REQUIRE(loop_pair(&loop, &pair, way->delivery, way->role));
  REQUIRE(POSTS(pair.websocket, room, sizeof room));
  peer_reset(pair.peer);
  pair.peer = -1;
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_ERROR_CONNECTION) != NULL);
  CHECK_STATUS(WS_ERROR_CONNECTION, ws_send(pair.websocket, WS_BINARY_MESSAGE, "x", 1));
  CHECK_STATUS(WS_ERROR_CONNECTION, ws_ping(pair.websocket, NULL, 0));
  CHECK(HEARS_NOTHING(&loop, pair.websocket, 0, 10));
  loop_pair_close(&loop, &pair);
}

int main(int argc, char **argv) {
  static const int twelve[12];
  static const check_test tests[] = {
      CHECK_ROWS(sends_are_done_at_once, loop_rows),
      CHECK_ROWS(a_buffer_is_free_after_its_send, loop_rows),
      CHECK_ROWS(what_a_callback_sends_keeps_its_order, loop_rows),
      CHECK_ROWS(what_was_sent_before_a_violation_leaves, twelve),
      CHECK_ROWS(parts_become_one_frame, loop_rows),
      CHECK_ROWS(a_notified_send_is_told_once, loop_rows),
      CHECK_ROWS(a_full_queue_says_when_it_has_room, loop_rows),
      CHECK_ROWS(an_empty_queue_takes_any_message, loop_rows),
      CHECK_ROWS(completions_wait_for_the_kernel, loop_rows),
      CHECK_ROWS(queued_completions_end_with_the_handle, loop_rows),
      CHECK_ROWS(threads_send_whole_messages, loop_rows),
      CHECK_ROWS(a_connection_that_is_over_takes_nothing, loop_rows),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
