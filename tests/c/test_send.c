/* What ws_send puts on the wire, byte for byte, in both roles. */
#include "pair.h"

#define FIN_TEXT (PEER_FIN | PEER_TEXT)
#define FIN_BINARY (PEER_FIN | PEER_BINARY)
#define FIN_CONTINUATION (PEER_FIN | PEER_CONTINUATION)

static const pair_role roles[] = {LIBRARY_IS_CLIENT, LIBRARY_IS_SERVER};

static bool opened(size_t row, pair *pair) {
  check_label("%s", pair_role_name(roles[row]));
  return pair_open(pair, roles[row]);
}

static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536};

/* The shortest length form, a mask on a client's frames and none on a server's. */
static void a_size_leaves(size_t row, pair_role role) {
  static uint8_t payload[65536];
  static peer_frame frame;
  size_t size = sizes[row];
  pair pair;
  check_label("%zu bytes (%s)", size, pair_role_name(role));
  for (size_t i = 0; i < sizeof payload; i++) payload[i] = (uint8_t)(i * 31 + i / 251);
  REQUIRE(pair_open(&pair, role));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_MESSAGE, size > 0 ? payload : NULL, size));
  REQUIRE(peer_read_frame(pair.peer, &frame));
  CHECK_NUMBER(FIN_BINARY, frame.first);
  CHECK_NUMBER(role == LIBRARY_IS_CLIENT, frame.is_masked);
  CHECK_NUMBER(size < 126 ? 2 : size < 65536 ? 4 : 10, frame.header_length);
  CHECK_BYTES(payload, size, frame.payload, frame.length);
  pair_close(&pair);
}

static void a_size_leaves_a_client(size_t row) { a_size_leaves(row, LIBRARY_IS_CLIENT); }
static void a_size_leaves_a_server(size_t row) { a_size_leaves(row, LIBRARY_IS_SERVER); }

/* The caller's buffer is only read: masking happens in a copy. */
static void the_callers_bytes_stay(void) {
  uint8_t payload[300], before[300];
  pair pair;
  for (size_t i = 0; i < sizeof payload; i++) payload[i] = before[i] = (uint8_t)i;
  REQUIRE(pair_open(&pair, LIBRARY_IS_CLIENT));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_MESSAGE, payload, sizeof payload));
  CHECK_BYTES(before, sizeof before, payload, sizeof payload);
  pair_close(&pair);
}

/* RFC 6455 §5.3: a fresh, unpredictable mask for each frame. Among 64 masks of 32 bits even one pair alike would be a wonder (1 in 2 million). */
static void every_frame_has_a_fresh_mask(void) {
  static peer_frame frame;
  uint8_t masks[64][4];
  pair pair;
  REQUIRE(pair_open(&pair, LIBRARY_IS_CLIENT));
  for (size_t i = 0; i < CHECK_COUNT(masks); i++) {
    CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "same", 4));
    REQUIRE(peer_read_frame(pair.peer, &frame));
    CHECK(frame.is_masked);
    memcpy(masks[i], frame.mask, 4);
    for (size_t j = 0; j < i; j++) CHECK(memcmp(masks[i], masks[j], 4) != 0);
  }
  pair_close(&pair);
}

typedef struct sent {
  ws_buffer_type type;
  const char *bytes;
  size_t length;
  ws_status status;      /* that ws_send must answer */
  int first;             /* the frame's first byte; unused when it fails */
} sent;

typedef struct sequence {
  const char *name;
  size_t count;
  sent sends[6];
} sequence;

#define OK WS_OK
#define NO WS_ERROR_INVALID_PARAMETER

static const sequence sequences[] = {
    {"a text", 1, {{WS_UTF8_MESSAGE, "t", 1, OK, FIN_TEXT}}},
    {"a binary", 1, {{WS_BINARY_MESSAGE, "b", 1, OK, FIN_BINARY}}},
    {"text in three", 3, {{WS_UTF8_FRAGMENT, "a", 1, OK, PEER_TEXT}, {WS_UTF8_FRAGMENT, "b", 1, OK, PEER_CONTINUATION},
                          {WS_UTF8_MESSAGE, "c", 1, OK, FIN_CONTINUATION}}},
    {"binary in two, then a text", 3, {{WS_BINARY_FRAGMENT, "a", 1, OK, PEER_BINARY}, {WS_BINARY_MESSAGE, "b", 1, OK, FIN_CONTINUATION},
                                       {WS_UTF8_MESSAGE, "c", 1, OK, FIN_TEXT}}},
    {"an empty end", 2, {{WS_BINARY_FRAGMENT, "a", 1, OK, PEER_BINARY}, {WS_BINARY_MESSAGE, "", 0, OK, FIN_CONTINUATION}}},
    {"empty fragments", 3, {{WS_UTF8_FRAGMENT, "", 0, OK, PEER_TEXT}, {WS_UTF8_FRAGMENT, "", 0, OK, PEER_CONTINUATION},
                            {WS_UTF8_MESSAGE, "", 0, OK, FIN_CONTINUATION}}},
    {"binary inside text is refused, the text goes on", 4,
     {{WS_UTF8_FRAGMENT, "a", 1, OK, PEER_TEXT}, {WS_BINARY_FRAGMENT, "x", 1, NO, 0}, {WS_BINARY_MESSAGE, "x", 1, NO, 0},
      {WS_UTF8_MESSAGE, "b", 1, OK, FIN_CONTINUATION}}},
    {"text inside binary is refused, the binary goes on", 4,
     {{WS_BINARY_FRAGMENT, "a", 1, OK, PEER_BINARY}, {WS_UTF8_FRAGMENT, "x", 1, NO, 0}, {WS_UTF8_MESSAGE, "x", 1, NO, 0},
      {WS_BINARY_MESSAGE, "b", 1, OK, FIN_CONTINUATION}}},
    {"CLOSE is not sent so", 2, {{WS_CLOSE_FRAME, "", 0, NO, 0}, {WS_BINARY_MESSAGE, "b", 1, OK, FIN_BINARY}}},
    {"unknown types", 4, {{5, "x", 1, NO, 0}, {-1, "x", 1, NO, 0}, {INT32_MAX, "x", 1, NO, 0}, {WS_UTF8_MESSAGE, "t", 1, OK, FIN_TEXT}}},
    {"text that is not UTF-8", 4, {{WS_UTF8_MESSAGE, "\xff", 1, NO, 0}, {WS_UTF8_MESSAGE, "\xc3", 1, NO, 0},
                                   {WS_UTF8_MESSAGE, "\xed\xa0\x80", 3, NO, 0}, {WS_UTF8_MESSAGE, "\xc3\xa4", 2, OK, FIN_TEXT}}},
    {"binary that is not UTF-8", 1, {{WS_BINARY_MESSAGE, "\xff\xc3", 2, OK, FIN_BINARY}}},
    {"a character cut by fragments", 3, {{WS_UTF8_FRAGMENT, "\xe2", 1, OK, PEER_TEXT}, {WS_UTF8_FRAGMENT, "\x82", 1, OK, PEER_CONTINUATION},
                                         {WS_UTF8_MESSAGE, "\xac", 1, OK, FIN_CONTINUATION}}},
    {"a character that the end leaves open", 3,
     {{WS_UTF8_FRAGMENT, "\xe2", 1, OK, PEER_TEXT}, {WS_UTF8_MESSAGE, "\x82", 1, NO, 0}, {WS_UTF8_MESSAGE, "\x82\xac", 2, OK, FIN_CONTINUATION}}},
    {"a character broken by the next fragment", 3,
     {{WS_UTF8_FRAGMENT, "\xe2", 1, OK, PEER_TEXT}, {WS_UTF8_FRAGMENT, "x", 1, NO, 0}, {WS_UTF8_MESSAGE, "\x82\xac", 2, OK, FIN_CONTINUATION}}},
};

/* What is refused puts nothing on the wire: the peer would see it before the next good frame. */
static void a_sequence(size_t row, pair_role role) {
  const sequence *sequence = &sequences[row];
  pair pair;
  check_label("%s (%s)", sequence->name, pair_role_name(role));
  REQUIRE(pair_open(&pair, role));
  for (size_t i = 0; i < sequence->count; i++) {
    const sent *sent = &sequence->sends[i];
    CHECK_STATUS(sent->status, ws_send(pair.websocket, sent->type, sent->bytes, sent->length));
    if (sent->status == WS_OK) REQUIRE(PEER_GETS(&pair, sent->first, sent->bytes, sent->length));
  }
  pair_close(&pair);
}

static void a_client_sends(size_t row) { a_sequence(row, LIBRARY_IS_CLIENT); }
static void a_server_sends(size_t row) { a_sequence(row, LIBRARY_IS_SERVER); }

static void unchecked_text_leaves_as_it_is(size_t row) {
  pair pair;
  REQUIRE(opened(row, &pair));
  CHECK(pair_set_u32(pair.websocket, WS_OPTION_CHECK_SENT_TEXT, 0));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "\xff", 1));
  CHECK(PEER_GETS(&pair, FIN_TEXT, "\xff", 1));
  pair_close(&pair);
}

/* A pong may come between the fragments of a message that is being sent, and only there. */
static void a_pong_goes_between_fragments(size_t row) {
  pair pair;
  REQUIRE(opened(row, &pair));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_FRAGMENT, "a", 1));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PING, "p", 1));
  REQUIRE(pair_peer_sends(&pair, FIN_TEXT, "t", 1));
  CHECK(RECEIVES(pair.websocket, 16, WS_UTF8_MESSAGE, "t", 1));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "b", 1));
  CHECK(PEER_GETS(&pair, PEER_TEXT, "a", 1));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_PONG, "p", 1));
  CHECK(PEER_GETS(&pair, FIN_CONTINUATION, "b", 1));
  pair_close(&pair);
}

typedef struct big_reader {
  pair *pair;
  size_t size;
  int pongs;
  bool is_right;
} big_reader;

/* Reads frames until a data frame of `size` bytes has come whole. */
static void *big_reader_run(void *argument) {
  big_reader *reader = argument;
  bool masked = reader->pair->role == LIBRARY_IS_CLIENT;
  reader->is_right = false;
  for (;;) {
    uint8_t header[14], payload[125];
    size_t extra;
    if (!peer_read_exact(reader->pair->peer, header, 2)) return NULL;
    extra = ((header[1] & 0x7f) == 127 ? 8u : 0u) + (masked ? 4u : 0u);
    if (!peer_read_exact(reader->pair->peer, header + 2, extra)) return NULL;
    if (header[0] == (PEER_FIN | PEER_PONG)) {
      if (!peer_read_exact(reader->pair->peer, payload, header[1] & 0x7fu)) return NULL;
      reader->pongs++;
      continue;
    }
    if (header[0] != FIN_BINARY || (header[1] & 0x7f) != 127) return NULL;
    for (size_t at = 0; at < reader->size;) {
      static uint8_t bytes[65536];
      ssize_t count = peer_read(reader->pair->peer, bytes, reader->size - at < sizeof bytes ? reader->size - at : sizeof bytes);
      if (count <= 0) return NULL;
      for (ssize_t i = 0; i < count; i++, at++) {
        uint8_t mask = masked ? header[10 + at % 4] : 0;
        if ((uint8_t)(bytes[i] ^ mask) != (uint8_t)(at * 31 + at / 251)) return NULL;
      }
    }
    reader->is_right = true;
    return NULL;
  }
}

typedef struct receiver {
  ws_handle websocket;
  ws_status status;
} receiver;

static void *receiver_run(void *argument) {
  receiver *receiver = argument;
  uint8_t room[16];
  size_t received = 0;
  ws_buffer_type type = -1;
  receiver->status = ws_receive(receiver->websocket, room, sizeof room, &received, &type);
  return NULL;
}

/* Eight megabytes leave whole while the peer pings and another thread receives: a pong never splits a frame. */
static void a_pong_does_not_split_a_large_send(size_t row) {
  const size_t size = 8u << 20;
  uint8_t *payload = malloc(size);
  big_reader reader;
  receiver receiver;
  pthread_t reading, receiving;
  pair pair;
  REQUIRE(payload != NULL);
  for (size_t i = 0; i < size; i++) payload[i] = (uint8_t)(i * 31 + i / 251);
  REQUIRE(opened(row, &pair));
  for (int i = 0; i < 50; i++) REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PING, "ping", 4));
  REQUIRE(pair_peer_sends(&pair, FIN_TEXT, "end", 3));
  reader.pair = &pair, reader.size = size, reader.pongs = 0;
  receiver.websocket = pair.websocket, receiver.status = -1;
  REQUIRE(pthread_create(&receiving, NULL, receiver_run, &receiver) == 0);
  REQUIRE(pthread_create(&reading, NULL, big_reader_run, &reader) == 0);
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_MESSAGE, payload, size));
  REQUIRE(pthread_join(receiving, NULL) == 0 && pthread_join(reading, NULL) == 0);
  CHECK_STATUS(WS_OK, receiver.status);
  CHECK(reader.is_right);
  free(payload);
  pair_close(&pair);
}

#define WRITERS 4
#define MESSAGES 200

typedef struct writer {
  ws_handle websocket;
  uint8_t name;
  int failures;
} writer;

static void *writer_run(void *argument) {
  writer *writer = argument;
  uint8_t payload[700];
  memset(payload, writer->name, sizeof payload);
  for (int i = 0; i < MESSAGES; i++) {
    size_t length = (size_t)(1 + (i * 97 + writer->name * 13) % 700);
    if (ws_send(writer->websocket, WS_BINARY_MESSAGE, payload, length) != WS_OK) writer->failures++;
  }
  return NULL;
}

/* Whole messages of several threads never mix. */
static void messages_of_four_threads_stay_whole(size_t row) {
  static peer_frame frame;
  writer writers[WRITERS];
  pthread_t threads[WRITERS];
  pair pair;
  REQUIRE(opened(row, &pair));
  for (int i = 0; i < WRITERS; i++) {
    writers[i].websocket = pair.websocket, writers[i].name = (uint8_t)('a' + i), writers[i].failures = 0;
    REQUIRE(pthread_create(&threads[i], NULL, writer_run, &writers[i]) == 0);
  }
  for (int i = 0; i < WRITERS * MESSAGES; i++) {
    REQUIRE(peer_read_frame(pair.peer, &frame));
    REQUIRE(frame.first == FIN_BINARY && frame.length >= 1);
    for (size_t j = 1; j < frame.length; j++) REQUIRE(frame.payload[j] == frame.payload[0]);
  }
  for (int i = 0; i < WRITERS; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
    CHECK_NUMBER(0, writers[i].failures);
  }
  pair_close(&pair);
}

/* A peer that reads nothing: the wait ends in time, and a send that had begun a frame leaves the connection failed rather than half a frame. */
static void the_send_timeout_ends_a_wait(size_t row) {
  uint8_t *payload = calloc(1, 8u << 20);
  ws_status status = WS_OK;
  uint64_t start = check_now_ms();
  pair pair;
  REQUIRE(payload != NULL);
  REQUIRE(opened(row, &pair));
  CHECK(pair_set_u32(pair.websocket, WS_OPTION_SEND_TIMEOUT, 100));
  for (int i = 0; i < 64 && status == WS_OK; i++) status = ws_send(pair.websocket, WS_BINARY_MESSAGE, payload, 8u << 20);
  CHECK_STATUS(WS_ERROR_TIMEOUT, status);
  CHECK(check_now_ms() - start < 10000);
  free(payload);
  pair_close(&pair);
}

/* Writing to a connection that is gone is a status, never SIGPIPE, which would kill this process. */
static void a_lost_peer_is_a_status(size_t row) {
  ws_status status = WS_OK;
  pair pair;
  REQUIRE(opened(row, &pair));
  peer_reset(pair.peer);
  pair.peer = -1;
  for (int i = 0; i < 1000 && status == WS_OK; i++) status = ws_send(pair.websocket, WS_BINARY_MESSAGE, "x", 1);
  CHECK_STATUS(WS_ERROR_CONNECTION, status);
  CHECK(ws_send(pair.websocket, WS_BINARY_MESSAGE, "x", 1) != WS_OK);
  pair_close(&pair);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_ROWS(a_size_leaves_a_client, sizes),
      CHECK_ROWS(a_size_leaves_a_server, sizes),
      CHECK_TEST(the_callers_bytes_stay),
      CHECK_TEST(every_frame_has_a_fresh_mask),
      CHECK_ROWS(a_client_sends, sequences),
      CHECK_ROWS(a_server_sends, sequences),
      CHECK_ROWS(unchecked_text_leaves_as_it_is, roles),
      CHECK_ROWS(a_pong_goes_between_fragments, roles),
      CHECK_ROWS(a_pong_does_not_split_a_large_send, roles),
      CHECK_ROWS(messages_of_four_threads_stay_whole, roles),
      CHECK_ROWS(the_send_timeout_ends_a_wait, roles),
      CHECK_ROWS(a_lost_peer_is_a_status, roles),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
