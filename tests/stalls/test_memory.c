/* Memory that is not to be had: what is sized by payload, queue or configuration answers 8 and takes nothing, and the connection goes on as far as it can.
 *
 * The allocator's functions stand here, before the system's: the next request of the test's own thread for so many bytes or more is refused. */
#include "pair.h"

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static __thread size_t refused_from; /* 0 = nothing is refused */
static __thread int passes, refusals;

static bool is_refused(size_t size) {
  if (refused_from == 0 || size < refused_from || passes-- > 0) return false;
  refusals++;
  errno = ENOMEM;
  return true;
}

void *malloc(size_t size) { return is_refused(size) ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return is_refused(count * size) ? NULL : __libc_calloc(count, size); }
void *realloc(void *memory, size_t size) { return is_refused(size) ? NULL : __libc_realloc(memory, size); }
int posix_memalign(void **memory, size_t alignment, size_t size) {
  return is_refused(size) || (*memory = __libc_memalign(alignment, size)) == NULL ? ENOMEM : 0;
}

/* From now on, after the first `let_pass`. */
static void refuse_from(size_t size, int let_pass) {
  refusals = 0;
  passes = let_pass;
  refused_from = size;
}

static bool check_refused(int line) {
  refused_from = 0;
  return refusals > 0 || check_failed(__FILE__, line, "no memory was asked for: nothing was tested");
}
#define REFUSED() check_refused(__LINE__)

/* More than a connection receives into the stack comes at once: the rest needs the receive buffer. */
static void no_receive_buffer(size_t row) {
  static uint8_t payload[30000], room[40000];
  size_t received = 4711;
  ws_buffer_type type = 4711;
  ws_status status;
  pair pair;
  check_label("%s", pair_role_name((pair_role)row));
  REQUIRE(pair_open(&pair, (pair_role)row));
  for (int i = 0; i < 3; i++) REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_BINARY, payload, 100));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_BINARY, payload, sizeof payload));
  for (struct pollfd entry = {pair.peer, POLLOUT, 0}; poll(&entry, 1, 20) < 0;) {}
  refuse_from(16000, 0);
  status = ws_receive(pair.websocket, room, sizeof room, &received, &type);
  CHECK(REFUSED());
  CHECK_STATUS(WS_ERROR_NOT_ENOUGH_MEMORY, status);
  CHECK_NUMBER(4711, (int64_t)received);
  CHECK_NUMBER(4711, type);
  /* Bytes that were received and could not be kept are lost, so the connection is: it says so instead of going on in the middle. */
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_NOT_ENOUGH_MEMORY));
  pair_close(&pair);
}

/* Another thread, which has no buffer of its own yet, receives next. */
static void *receive_refused(void *argument) {
  const pair *pair = argument;
  uint8_t room[4000];
  size_t received = 4711;
  ws_buffer_type type = 4711;
  ws_status status;
  refuse_from(16000, 0);
  status = ws_receive(pair->websocket, room, sizeof room, &received, &type);
  CHECK(REFUSED());
  CHECK_STATUS(WS_ERROR_NOT_ENOUGH_MEMORY, status);
  CHECK_NUMBER(4711, (int64_t)received);
  CHECK_NUMBER(4711, type);
  return NULL;
}

/* The same before a byte was read: nothing is lost. */
static void no_receive_buffer_before_a_read(size_t row) {
  static uint8_t payload[3000];
  pthread_t thread;
  pair pair;
  check_label("%s", pair_role_name((pair_role)row));
  REQUIRE(pair_open(&pair, (pair_role)row));
  /* A connection where much comes at a time is read into a buffer. */
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_BINARY, payload, sizeof payload));
  REQUIRE(RECEIVES_MESSAGE(pair.websocket, WS_BINARY_MESSAGE, payload, sizeof payload));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_BINARY, payload, 2000));
  REQUIRE(CHECK(pthread_create(&thread, NULL, receive_refused, &pair) == 0));
  (void)pthread_join(thread, NULL);
  CHECK(RECEIVES_MESSAGE(pair.websocket, WS_BINARY_MESSAGE, payload, 2000));
  pair_close(&pair);
}

/* A client masks into a chunk. Nothing has left yet, so the next send is the first. */
static void no_send_chunk(void) {
  static uint8_t payload[1000];
  pair pair;
  REQUIRE(pair_open(&pair, LIBRARY_IS_CLIENT));
  refuse_from(60000, 0);
  ws_status status = ws_send(pair.websocket, WS_BINARY_FRAGMENT, payload, sizeof payload);
  CHECK(REFUSED());
  CHECK_STATUS(WS_ERROR_NOT_ENOUGH_MEMORY, status);
  /* Not even the message was begun: another kind is possible. */
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "next", 4));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_TEXT, "next", 4));
  pair_close(&pair);
}

/* A whole message grows as it comes. What was received before memory ran out is kept: the next call goes on. */
static void no_room_for_a_whole_message(size_t row) {
  enum { LENGTH = 60000 };
  static uint8_t payload[LENGTH];
  const void *data = NULL;
  size_t length = 0;
  ws_buffer_type type = -1;
  ws_status status;
  pair pair;
  check_label("after %zu growths", row);
  for (size_t i = 0; i < LENGTH; i++) payload[i] = (uint8_t)(i * 7);
  REQUIRE(pair_open(&pair, LIBRARY_IS_CLIENT));
  for (size_t at = 0; at < LENGTH; at += 6000)
    REQUIRE(pair_peer_sends(&pair, (uint8_t)((at == 0 ? PEER_BINARY : PEER_CONTINUATION) | (at + 6000 == LENGTH ? PEER_FIN : 0)), payload + at, 6000));
  refuse_from(4096, (int)row + 2); /* the receive buffer, and as many growths, are had */
  status = ws_receive_message(pair.websocket, &data, &length, &type);
  CHECK(REFUSED());
  CHECK_STATUS(WS_ERROR_NOT_ENOUGH_MEMORY, status);
  REQUIRE_STATUS(WS_OK, ws_receive_message(pair.websocket, &data, &length, &type));
  CHECK_NUMBER(WS_BINARY_MESSAGE, type);
  CHECK_BYTES(payload, LENGTH, data, length);
  pair_close(&pair);
}

/* The rest of a frame has no place to go, and half of it has left: the connection is over, with the reason of the wait. */
static void no_room_for_the_rest_of_a_frame(size_t row) {
  enum { MUCH = 12 << 20 };
  int small = 65536;
  uint8_t *bytes = malloc(MUCH);
  ws_status status;
  pair pair;
  check_label("%s", pair_role_name((pair_role)row));
  REQUIRE(bytes != NULL && pair_open(&pair, (pair_role)row));
  memset(bytes, 7, MUCH);
  REQUIRE(CHECK(setsockopt(pair.peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0));
  REQUIRE(pair_set_u32(pair.websocket, WS_OPTION_SEND_TIMEOUT, 50));
  refuse_from(1 << 20, 0);
  status = ws_send(pair.websocket, WS_BINARY_MESSAGE, bytes, MUCH);
  CHECK(REFUSED());
  CHECK_STATUS(WS_ERROR_TIMEOUT, status);
  CHECK_STATUS(WS_ERROR_TIMEOUT, ws_send(pair.websocket, WS_BINARY_MESSAGE, "x", 1));
  CHECK(peer_is_gone(pair.peer));
  free(bytes);
  pair_close(&pair);
}

int main(int argc, char **argv) {
  static const int two[2], growths[3];
  static const check_test tests[] = {
      CHECK_ROWS(no_receive_buffer, two),
      CHECK_ROWS(no_receive_buffer_before_a_read, two),
      CHECK_TEST(no_send_chunk),
      CHECK_ROWS(no_room_for_a_whole_message, growths),
      CHECK_ROWS(no_room_for_the_rest_of_a_frame, two),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
