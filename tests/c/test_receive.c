/* What ws_receive delivers: the piece and type rules of WinHttpWebSocketReceive, in both roles, whole and byte by byte. */
#include "pair.h"

#define PIECES 8
#define FRAMES 8

typedef struct frame {
  uint8_t first;
  const char *payload;
  size_t length;
} frame;

typedef struct piece {
  ws_buffer_type type;
  const char *bytes;
  size_t length;
} piece;

/* Frames of the peer, the room of each receive, the pieces it must give. When it comes byte by byte pieces may be smaller; then only the
 * messages' bytes, ends and kinds count. */
typedef struct script {
  const char *name;
  size_t capacity;
  size_t frame_count;
  frame frames[FRAMES];
  size_t piece_count;
  piece pieces[PIECES];
} script;

#define FIN_TEXT (PEER_FIN | PEER_TEXT)
#define FIN_BINARY (PEER_FIN | PEER_BINARY)
#define FIN_CONTINUATION (PEER_FIN | PEER_CONTINUATION)
#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X128 X64 X64

static const script scripts[] = {
    {"256 bytes into 128: FRAGMENT 128, MESSAGE 128", 128, 1, {{FIN_BINARY, X128 X128, 256}}, 2,
     {{WS_BINARY_FRAGMENT, X128, 128}, {WS_BINARY_MESSAGE, X128, 128}}},
    {"an exact fit is a MESSAGE", 128, 1, {{FIN_TEXT, X128, 128}}, 1, {{WS_UTF8_MESSAGE, X128, 128}}},
    {"one byte too many", 127, 1, {{FIN_TEXT, X128, 128}}, 2, {{WS_UTF8_FRAGMENT, X128, 127}, {WS_UTF8_MESSAGE, "x", 1}}},
    {"one byte of room", 1, 1, {{FIN_BINARY, "abc", 3}}, 3,
     {{WS_BINARY_FRAGMENT, "a", 1}, {WS_BINARY_FRAGMENT, "b", 1}, {WS_BINARY_MESSAGE, "c", 1}}},
    {"an empty text", 64, 1, {{FIN_TEXT, "", 0}}, 1, {{WS_UTF8_MESSAGE, "", 0}}},
    {"an empty binary", 64, 1, {{FIN_BINARY, "", 0}}, 1, {{WS_BINARY_MESSAGE, "", 0}}},
    {"two messages are two receives", 64, 2, {{FIN_TEXT, "one", 3}, {FIN_BINARY, "two", 3}}, 2,
     {{WS_UTF8_MESSAGE, "one", 3}, {WS_BINARY_MESSAGE, "two", 3}}},
    {"frames are never joined", 64, 3, {{PEER_TEXT, "a", 1}, {PEER_CONTINUATION, "b", 1}, {FIN_CONTINUATION, "c", 1}}, 3,
     {{WS_UTF8_FRAGMENT, "a", 1}, {WS_UTF8_FRAGMENT, "b", 1}, {WS_UTF8_MESSAGE, "c", 1}}},
    {"a continuation has the first frame's kind", 64, 2, {{PEER_BINARY, "a", 1}, {FIN_CONTINUATION, "b", 1}}, 2,
     {{WS_BINARY_FRAGMENT, "a", 1}, {WS_BINARY_MESSAGE, "b", 1}}},
    {"an empty end is a MESSAGE of 0 bytes", 64, 2, {{PEER_TEXT, "a", 1}, {FIN_CONTINUATION, "", 0}}, 2,
     {{WS_UTF8_FRAGMENT, "a", 1}, {WS_UTF8_MESSAGE, "", 0}}},
    {"an empty start is a FRAGMENT of 0 bytes", 64, 2, {{PEER_BINARY, "", 0}, {FIN_CONTINUATION, "b", 1}}, 2,
     {{WS_BINARY_FRAGMENT, "", 0}, {WS_BINARY_MESSAGE, "b", 1}}},
    {"a fragment larger than the room", 2, 2, {{PEER_BINARY, "abc", 3}, {FIN_CONTINUATION, "de", 2}}, 3,
     {{WS_BINARY_FRAGMENT, "ab", 2}, {WS_BINARY_FRAGMENT, "c", 1}, {WS_BINARY_MESSAGE, "de", 2}}},
    {"text cut inside a character by the room", 1, 1, {{FIN_TEXT, "\xc3\xa4", 2}}, 2,
     {{WS_UTF8_FRAGMENT, "\xc3", 1}, {WS_UTF8_MESSAGE, "\xa4", 1}}},
    {"text cut inside a character by the peer", 64, 2, {{PEER_TEXT, "\xe2\x82", 2}, {FIN_CONTINUATION, "\xac", 1}}, 2,
     {{WS_UTF8_FRAGMENT, "\xe2\x82", 2}, {WS_UTF8_MESSAGE, "\xac", 1}}},
    {"a pong is swallowed", 64, 3, {{PEER_FIN | PEER_PONG, "late", 4}, {PEER_FIN | PEER_PONG, "", 0}, {FIN_TEXT, "t", 1}}, 1,
     {{WS_UTF8_MESSAGE, "t", 1}}},
    {"a pong between fragments", 64, 3, {{PEER_TEXT, "a", 1}, {PEER_FIN | PEER_PONG, "p", 1}, {FIN_CONTINUATION, "b", 1}}, 2,
     {{WS_UTF8_FRAGMENT, "a", 1}, {WS_UTF8_MESSAGE, "b", 1}}},
    {"NULs are bytes like others", 64, 1, {{FIN_TEXT, "a\0b", 3}}, 1, {{WS_UTF8_MESSAGE, "a\0b", 3}}},
    {"the close frame is the last of a message's neighbours", 64, 2, {{FIN_TEXT, "bye", 3}, {PEER_FIN | PEER_CLOSE, "\x03\xe8", 2}}, 2,
     {{WS_UTF8_MESSAGE, "bye", 3}, {WS_CLOSE_FRAME, "", 0}}},
    {"a close frame may end a half message", 64, 2, {{PEER_TEXT, "a", 1}, {PEER_FIN | PEER_CLOSE, "", 0}}, 2,
     {{WS_UTF8_FRAGMENT, "a", 1}, {WS_CLOSE_FRAME, "", 0}}},
};

static size_t script_bytes(const script *script, pair_role role, uint8_t *bytes) {
  size_t size = 0;
  for (size_t i = 0; i < script->frame_count; i++) {
    const frame *frame = &script->frames[i];
    size += peer_write_frame(bytes + size, frame->first, role == LIBRARY_IS_SERVER, frame->payload, frame->length);
  }
  return size;
}

static void a_script_whole(size_t row, pair_role role) {
  const script *script = &scripts[row];
  uint8_t bytes[4096];
  pair pair;
  check_label("%s (%s)", script->name, pair_role_name(role));
  REQUIRE(pair_open(&pair, role));
  REQUIRE(peer_send(pair.peer, bytes, script_bytes(script, role, bytes)));
  for (size_t i = 0; i < script->piece_count; i++) {
    const piece *piece = &script->pieces[i];
    REQUIRE(RECEIVES(pair.websocket, script->capacity, piece->type, piece->bytes, piece->length));
  }
  pair_close(&pair);
}

static void a_client_delivers(size_t row) { a_script_whole(row, LIBRARY_IS_CLIENT); }
static void a_server_delivers(size_t row) { a_script_whole(row, LIBRARY_IS_SERVER); }

typedef struct trickle {
  int peer;
  const uint8_t *bytes;
  size_t size;
} trickle;

static void *trickle_run(void *argument) {
  const trickle *trickle = argument;
  (void)peer_send_split(trickle->peer, trickle->bytes, trickle->size);
  return NULL;
}

/* The kind of a type, whether it ends a message or not. */
static ws_buffer_type message_of(ws_buffer_type type) {
  return type == WS_BINARY_FRAGMENT ? WS_BINARY_MESSAGE : type == WS_UTF8_FRAGMENT ? WS_UTF8_MESSAGE : type;
}

static bool ends(ws_buffer_type type) { return message_of(type) == type; }

/* Receives one message, or the start of one that the script leaves open, and compares it with the joined pieces of the script. */
static bool the_next_message_is(ws_handle websocket, const script *script, size_t *next) {
  uint8_t expected[512], room[512];
  size_t expected_length = 0, length = 0, received = 0, at = *next;
  ws_buffer_type type = -1;
  do {
    memcpy(expected + expected_length, script->pieces[at].bytes, script->pieces[at].length);
    expected_length += script->pieces[at++].length;
  } while (!ends(script->pieces[at - 1].type) && at < script->piece_count && script->pieces[at].type != WS_CLOSE_FRAME);
  *next = at;
  do {
    if (!CHECK_STATUS(WS_OK, ws_receive(websocket, room + length, script->capacity, &received, &type))) return false;
    if (!CHECK_NUMBER(message_of(script->pieces[at - 1].type), message_of(type)) || !CHECK(received <= script->capacity)) return false;
    length += received;
  } while (!ends(type) && (ends(script->pieces[at - 1].type) || length < expected_length));
  return CHECK_BYTES(expected, expected_length, room, length);
}

static void a_script_split(size_t row, pair_role role) {
  const script *script = &scripts[row];
  uint8_t bytes[4096];
  trickle trickle;
  pthread_t thread;
  pair pair;
  bool good = true;
  check_label("%s (%s)", script->name, pair_role_name(role));
  REQUIRE(pair_open(&pair, role));
  trickle.peer = pair.peer;
  trickle.bytes = bytes;
  trickle.size = script_bytes(script, role, bytes);
  REQUIRE(pthread_create(&thread, NULL, trickle_run, &trickle) == 0);
  for (size_t next = 0; good && next < script->piece_count;) good = the_next_message_is(pair.websocket, script, &next);
  REQUIRE(pthread_join(thread, NULL) == 0);
  pair_close(&pair);
}

static void a_client_delivers_byte_by_byte(size_t row) { a_script_split(row, LIBRARY_IS_CLIENT); }
static void a_server_delivers_byte_by_byte(size_t row) { a_script_split(row, LIBRARY_IS_SERVER); }

static const pair_role roles[] = {LIBRARY_IS_CLIENT, LIBRARY_IS_SERVER};

static void open_in(size_t row, pair *pair) {
  check_label("%s", pair_role_name(roles[row]));
  (void)pair_open(pair, roles[row]);
}

/* What has arrived is given at once; the rest of the frame comes with a later receive. */
static void a_part_of_a_frame_is_a_fragment(size_t row) {
  uint8_t bytes[64];
  size_t size;
  pair pair;
  open_in(row, &pair);
  REQUIRE(pair.websocket != WS_NO_HANDLE);
  size = peer_write_frame(bytes, FIN_TEXT, roles[row] == LIBRARY_IS_SERVER, "abcdef", 6);
  REQUIRE(peer_send(pair.peer, bytes, size - 4));
  CHECK(RECEIVES(pair.websocket, 64, WS_UTF8_FRAGMENT, "ab", 2));
  REQUIRE(peer_send(pair.peer, bytes + size - 4, 4));
  CHECK(RECEIVES(pair.websocket, 64, WS_UTF8_MESSAGE, "cdef", 4));
  pair_close(&pair);
}

typedef struct ping_row {
  const char *payload;
  size_t length;
} ping_row;

static const ping_row pings[] = {{"", 0}, {"p", 1}, {"a\0b", 3}, {X64 "1234567890123456789012345678901234567890123456789012345678901", 125}};

static void ping_between_fragments(size_t row, pair_role role) {
  pair pair;
  check_label("%zu bytes (%s)", pings[row].length, pair_role_name(role));
  REQUIRE(pair_open(&pair, role));
  REQUIRE(pair_peer_sends(&pair, PEER_TEXT, "ab", 2));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PING, pings[row].payload, pings[row].length));
  REQUIRE(pair_peer_sends(&pair, FIN_CONTINUATION, "cd", 2));
  CHECK(RECEIVES(pair.websocket, 64, WS_UTF8_FRAGMENT, "ab", 2));
  CHECK(RECEIVES(pair.websocket, 64, WS_UTF8_MESSAGE, "cd", 2));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_PONG, pings[row].payload, pings[row].length));
  pair_close(&pair);
}

static void a_client_answers_a_ping_between_fragments(size_t row) { ping_between_fragments(row, LIBRARY_IS_CLIENT); }
static void a_server_answers_a_ping_between_fragments(size_t row) { ping_between_fragments(row, LIBRARY_IS_SERVER); }

/* RFC 6455 §5.5.3: of several pings only the latest needs a pong, but it needs one, and no pong may be invented. */
static void the_latest_ping_is_answered(size_t row) {
  static peer_frame frame;
  pair pair;
  open_in(row, &pair);
  REQUIRE(pair.websocket != WS_NO_HANDLE);
  for (char name = '0'; name < '9'; name++) REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_PING, &name, 1));
  REQUIRE(pair_peer_sends(&pair, FIN_TEXT, "t", 1));
  CHECK(RECEIVES(pair.websocket, 64, WS_UTF8_MESSAGE, "t", 1));
  do {
    REQUIRE(peer_read_frame(pair.peer, &frame));
    CHECK_NUMBER(PEER_FIN | PEER_PONG, frame.first);
    REQUIRE(frame.length == 1);
  } while (frame.payload[0] != '8');
  pair_close(&pair);
}

/* Bytes in the caller's buffer behind what was received stay as they were. */
static void nothing_is_written_behind_the_room(size_t row) {
  uint8_t room[16];
  size_t received = 0;
  ws_buffer_type type = -1;
  pair pair;
  open_in(row, &pair);
  REQUIRE(pair.websocket != WS_NO_HANDLE);
  memset(room, 0x5a, sizeof room);
  REQUIRE(pair_peer_sends(&pair, FIN_BINARY, X128, 128));
  CHECK_STATUS(WS_OK, ws_receive(pair.websocket, room, 8, &received, &type));
  CHECK_NUMBER(8, received);
  for (size_t i = 8; i < sizeof room; i++) CHECK_NUMBER(0x5a, room[i]);
  pair_close(&pair);
}

static const size_t sizes[] = {125, 126, 127, 65535, 65536};

static void a_size_arrives(size_t row, pair_role role) {
  static uint8_t payload[65536];
  pair pair;
  check_label("%zu bytes (%s)", sizes[row], pair_role_name(role));
  for (size_t i = 0; i < sizeof payload; i++) payload[i] = (uint8_t)(i * 31 + i / 251);
  REQUIRE(pair_open(&pair, role));
  REQUIRE(pair_peer_sends(&pair, FIN_BINARY, payload, sizes[row]));
  CHECK(RECEIVES_MESSAGE(pair.websocket, WS_BINARY_MESSAGE, payload, sizes[row]));
  pair_close(&pair);
}

static void a_size_arrives_at_a_client(size_t row) { a_size_arrives(row, LIBRARY_IS_CLIENT); }
static void a_size_arrives_at_a_server(size_t row) { a_size_arrives(row, LIBRARY_IS_SERVER); }

static void the_receive_timeout_ends_the_wait_only(size_t row) {
  uint64_t start;
  pair pair;
  open_in(row, &pair);
  REQUIRE(pair.websocket != WS_NO_HANDLE);
  CHECK(pair_set_u32(pair.websocket, WS_OPTION_RECEIVE_TIMEOUT, 60));
  start = check_now_ms();
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_TIMEOUT));
  CHECK(check_now_ms() - start >= 50);
  CHECK(check_now_ms() - start < 3000);
  REQUIRE(pair_peer_sends(&pair, FIN_TEXT, "still here", 10));
  CHECK(RECEIVES(pair.websocket, 64, WS_UTF8_MESSAGE, "still here", 10));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "so am I", 7));
  CHECK(PEER_GETS(&pair, FIN_TEXT, "so am I", 7));
  pair_close(&pair);
}

/* An end without a close frame is 12030, and so is every later receive: never a message, never a CLOSE. */
static void the_end_without_a_close_frame_is_12030(size_t row) {
  uint16_t status = 0;
  size_t length = 0;
  pair pair;
  open_in(row, &pair);
  REQUIRE(pair.websocket != WS_NO_HANDLE);
  REQUIRE(pair_peer_sends(&pair, FIN_TEXT, "last", 4));
  REQUIRE(shutdown(pair.peer, SHUT_WR) == 0);
  CHECK(RECEIVES(pair.websocket, 64, WS_UTF8_MESSAGE, "last", 4));
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_CONNECTION));
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_CONNECTION));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_query_close_status(pair.websocket, &status, NULL, 0, &length));
  pair_close(&pair);
}

static void a_reset_is_12030(size_t row) {
  pair pair;
  open_in(row, &pair);
  REQUIRE(pair.websocket != WS_NO_HANDLE);
  peer_reset(pair.peer);
  pair.peer = -1;
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_CONNECTION));
  pair_close(&pair);
}

static void the_end_inside_a_frame_is_12030(size_t row) {
  uint8_t bytes[64];
  size_t size;
  pair pair;
  open_in(row, &pair);
  REQUIRE(pair.websocket != WS_NO_HANDLE);
  size = peer_write_frame(bytes, FIN_TEXT, roles[row] == LIBRARY_IS_SERVER, "abcdef", 6);
  REQUIRE(peer_send(pair.peer, bytes, size - 1));
  REQUIRE(shutdown(pair.peer, SHUT_WR) == 0);
  CHECK(RECEIVES(pair.websocket, 64, WS_UTF8_FRAGMENT, "abcde", 5));
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_CONNECTION));
  pair_close(&pair);
}

typedef struct receiving {
  ws_handle websocket;
  ws_status status;
} receiving;

static void *receiving_run(void *argument) {
  receiving *receiving = argument;
  uint8_t room[16];
  size_t received = 0;
  ws_buffer_type type = -1;
  do receiving->status = ws_receive(receiving->websocket, room, sizeof room, &received, &type);
  while (receiving->status == WS_ERROR_TIMEOUT || receiving->status == WS_ERROR_INVALID_OPERATION);
  return NULL;
}

/* One thread receives while this one sends: the pattern everybody uses. */
static void sending_goes_on_beside_a_waiting_receive(size_t row) {
  receiving receiving;
  pthread_t thread;
  pair pair;
  open_in(row, &pair);
  REQUIRE(pair.websocket != WS_NO_HANDLE);
  receiving.websocket = pair.websocket;
  receiving.status = -1;
  REQUIRE(pthread_create(&thread, NULL, receiving_run, &receiving) == 0);
  for (int i = 0; i < 100; i++) {
    CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_MESSAGE, &i, sizeof i));
    REQUIRE(PEER_GETS(&pair, FIN_BINARY, &i, sizeof i));
  }
  REQUIRE(pair_peer_sends(&pair, FIN_TEXT, "x", 1));
  REQUIRE(pthread_join(thread, NULL) == 0);
  CHECK_STATUS(WS_OK, receiving.status);
  pair_close(&pair);
}

/* Closing the handle is how a program breaks a receive that waits in another thread. */
static void closing_the_handle_wakes_a_waiting_receive(size_t row) {
  receiving receiving;
  pthread_t thread;
  uint64_t start;
  pair pair;
  open_in(row, &pair);
  REQUIRE(pair.websocket != WS_NO_HANDLE);
  receiving.websocket = pair.websocket;
  receiving.status = -1;
  REQUIRE(pthread_create(&thread, NULL, receiving_run, &receiving) == 0);
  /* A second receive is refused as soon as the first one waits: that is how this thread knows. */
  CHECK(pair_set_u32(pair.websocket, WS_OPTION_RECEIVE_TIMEOUT, 5));
  for (start = check_now_ms(); check_now_ms() - start < 3000;) {
    uint8_t room[16];
    size_t received = 0;
    ws_buffer_type type = -1;
    if (ws_receive(pair.websocket, room, sizeof room, &received, &type) == WS_ERROR_INVALID_OPERATION) break;
  }
  start = check_now_ms();
  CHECK_STATUS(WS_OK, ws_close_handle(pair.websocket));
  pair.websocket = WS_NO_HANDLE;
  REQUIRE(pthread_join(thread, NULL) == 0);
  CHECK(check_now_ms() - start < 1000);
  /* 6 if the thread was just between two waits. */
  CHECK(receiving.status == WS_ERROR_CANCELLED || receiving.status == WS_ERROR_INVALID_HANDLE);
  CHECK(peer_is_gone(pair.peer));
  pair_close(&pair);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_ROWS(a_client_delivers, scripts),
      CHECK_ROWS(a_server_delivers, scripts),
      CHECK_ROWS(a_client_delivers_byte_by_byte, scripts),
      CHECK_ROWS(a_server_delivers_byte_by_byte, scripts),
      CHECK_ROWS(a_part_of_a_frame_is_a_fragment, roles),
      CHECK_ROWS(a_client_answers_a_ping_between_fragments, pings),
      CHECK_ROWS(a_server_answers_a_ping_between_fragments, pings),
      CHECK_ROWS(the_latest_ping_is_answered, roles),
      CHECK_ROWS(nothing_is_written_behind_the_room, roles),
      CHECK_ROWS(a_size_arrives_at_a_client, sizes),
      CHECK_ROWS(a_size_arrives_at_a_server, sizes),
      CHECK_ROWS(the_receive_timeout_ends_the_wait_only, roles),
      CHECK_ROWS(the_end_without_a_close_frame_is_12030, roles),
      CHECK_ROWS(a_reset_is_12030, roles),
      CHECK_ROWS(the_end_inside_a_frame_is_12030, roles),
      CHECK_ROWS(sending_goes_on_beside_a_waiting_receive, roles),
      CHECK_ROWS(closing_the_handle_wakes_a_waiting_receive, roles),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
