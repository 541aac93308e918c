/* What a peer must not send: each is 13007 (or 13008) for the receiver and a close frame 1002 (or 1007) for the offender, in both roles,
 * whether the bytes come at once or one by one. */
#include "pair.h"

#define FRAMES 4

/* Which way round the mask is: as the role demands, or wrong. */
typedef enum masking { RIGHT, WRONG } masking;

typedef struct frame {
  uint8_t first;
  const char *payload;
  size_t length;
} frame;

typedef struct violation {
  const char *name;
  ws_status status;
  uint16_t close_status;
  size_t count;
  frame frames[FRAMES];
  masking masking;           /* of the last frame */
} violation;

#define PROTOCOL WS_ERROR_PROTOCOL_VIOLATION, WS_CLOSE_PROTOCOL_ERROR
#define PAYLOAD WS_ERROR_INVALID_PAYLOAD, WS_CLOSE_INVALID_PAYLOAD
#define FIN PEER_FIN
#define Z32 "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
#define Z126 Z32 Z32 Z32 "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
#define CLOSES(high, low) 1, {{FIN | PEER_CLOSE, high low, 2}}, RIGHT

static const violation violations[] = {
    {"reserved bit 1", PROTOCOL, 1, {{FIN | 0x40 | PEER_TEXT, "x", 1}}, RIGHT},
    {"reserved bit 2", PROTOCOL, 1, {{FIN | 0x20 | PEER_BINARY, "x", 1}}, RIGHT},
    {"reserved bit 3", PROTOCOL, 1, {{FIN | 0x10 | PEER_BINARY, "", 0}}, RIGHT},
    {"all reserved bits on a ping", PROTOCOL, 1, {{FIN | 0x70 | PEER_PING, "", 0}}, RIGHT},
    {"reserved bit on a continuation", PROTOCOL, 2, {{PEER_TEXT, "a", 1}, {FIN | 0x40, "b", 1}}, RIGHT},
    {"opcode 3", PROTOCOL, 1, {{FIN | 3, "", 0}}, RIGHT},
    {"opcode 4", PROTOCOL, 1, {{FIN | 4, "x", 1}}, RIGHT},
    {"opcode 5", PROTOCOL, 1, {{FIN | 5, "x", 1}}, RIGHT},
    {"opcode 6", PROTOCOL, 1, {{FIN | 6, "x", 1}}, RIGHT},
    {"opcode 7", PROTOCOL, 1, {{FIN | 7, "x", 1}}, RIGHT},
    {"opcode 11", PROTOCOL, 1, {{FIN | 11, "", 0}}, RIGHT},
    {"opcode 12", PROTOCOL, 1, {{FIN | 12, "x", 1}}, RIGHT},
    {"opcode 13", PROTOCOL, 1, {{FIN | 13, "x", 1}}, RIGHT},
    {"opcode 14", PROTOCOL, 1, {{FIN | 14, "x", 1}}, RIGHT},
    {"opcode 15", PROTOCOL, 1, {{FIN | 15, "x", 1}}, RIGHT},
    {"a mask the wrong way, text", PROTOCOL, 1, {{FIN | PEER_TEXT, "x", 1}}, WRONG},
    {"a mask the wrong way, empty", PROTOCOL, 1, {{FIN | PEER_BINARY, "", 0}}, WRONG},
    {"a mask the wrong way, ping", PROTOCOL, 1, {{FIN | PEER_PING, "x", 1}}, WRONG},
    {"a mask the wrong way, close", PROTOCOL, 1, {{FIN | PEER_CLOSE, "\x03\xe8", 2}}, WRONG},
    {"a mask the wrong way, second frame", PROTOCOL, 2, {{PEER_TEXT, "a", 1}, {FIN, "b", 1}}, WRONG},
    {"a continuation of nothing", PROTOCOL, 1, {{FIN, "x", 1}}, RIGHT},
    {"an unfinished continuation of nothing", PROTOCOL, 1, {{0, "x", 1}}, RIGHT},
    {"a continuation after the end", PROTOCOL, 3, {{PEER_TEXT, "a", 1}, {FIN, "b", 1}, {FIN, "c", 1}}, RIGHT},
    {"a text inside a text", PROTOCOL, 2, {{PEER_TEXT, "a", 1}, {FIN | PEER_TEXT, "b", 1}}, RIGHT},
    {"a binary inside a text", PROTOCOL, 2, {{PEER_TEXT, "a", 1}, {PEER_BINARY, "b", 1}}, RIGHT},
    {"a text after a ping inside a binary", PROTOCOL, 3, {{PEER_BINARY, "a", 1}, {FIN | PEER_PONG, "", 0}, {FIN | PEER_TEXT, "b", 1}}, RIGHT},
    {"a fragmented ping", PROTOCOL, 1, {{PEER_PING, "x", 1}}, RIGHT},
    {"a fragmented pong", PROTOCOL, 1, {{PEER_PONG, "", 0}}, RIGHT},
    {"a fragmented close", PROTOCOL, 1, {{PEER_CLOSE, "\x03\xe8", 2}}, RIGHT},
    {"a ping of 126 bytes", PROTOCOL, 1, {{FIN | PEER_PING, Z126, 126}}, RIGHT},
    {"a pong of 126 bytes", PROTOCOL, 1, {{FIN | PEER_PONG, Z126, 126}}, RIGHT},
    {"a close of 126 bytes", PROTOCOL, 1, {{FIN | PEER_CLOSE, "\x03\xe8" Z126, 126}}, RIGHT},
    {"a close of 1 byte", PROTOCOL, 1, {{FIN | PEER_CLOSE, "\x03", 1}}, RIGHT},
    {"close status 0", PROTOCOL, 1, {{FIN | PEER_CLOSE, "\0\0", 2}}, RIGHT},
    {"close status 999", PROTOCOL, CLOSES("\x03", "\xe7")},
    {"close status 1004", PROTOCOL, CLOSES("\x03", "\xec")},
    {"close status 1005", PROTOCOL, CLOSES("\x03", "\xed")},
    {"close status 1006", PROTOCOL, CLOSES("\x03", "\xee")},
    {"close status 1015", PROTOCOL, CLOSES("\x03", "\xf7")},
    {"close status 1016", PROTOCOL, CLOSES("\x03", "\xf8")},
    {"close status 2999", PROTOCOL, CLOSES("\x0b", "\xb7")},
    {"close status 5000", PROTOCOL, CLOSES("\x13", "\x88")},
    {"close status 65535", PROTOCOL, CLOSES("\xff", "\xff")},
    {"a close reason that is not UTF-8", PAYLOAD, 1, {{FIN | PEER_CLOSE, "\x03\xe8\xff", 3}}, RIGHT},
    {"a close reason cut inside a character", PAYLOAD, 1, {{FIN | PEER_CLOSE, "\x03\xe8" "a\xc3", 4}}, RIGHT},
    {"text: a byte that never is", PAYLOAD, 1, {{FIN | PEER_TEXT, "a\xff", 2}}, RIGHT},
    {"text: a lone continuation byte", PAYLOAD, 1, {{FIN | PEER_TEXT, "\x80", 1}}, RIGHT},
    {"text: an overlong form", PAYLOAD, 1, {{FIN | PEER_TEXT, "\xc0\xaf", 2}}, RIGHT},
    {"text: a surrogate", PAYLOAD, 1, {{FIN | PEER_TEXT, "\xed\xa0\x80", 3}}, RIGHT},
    {"text: above U+10FFFF", PAYLOAD, 1, {{FIN | PEER_TEXT, "\xf4\x90\x80\x80", 4}}, RIGHT},
    {"text: the end inside a character", PAYLOAD, 1, {{FIN | PEER_TEXT, "a\xe2\x82", 3}}, RIGHT},
    {"text: broken between fragments", PAYLOAD, 2, {{PEER_TEXT, "\xe2\x82", 2}, {FIN, "x", 1}}, RIGHT},
    {"text: an empty end inside a character", PAYLOAD, 2, {{PEER_TEXT, "\xe2\x82", 2}, {FIN, "", 0}}, RIGHT},
    /* Fail fast: the message could not become valid, so nobody waits for its end. */
    {"text: wrong in an unfinished message", PAYLOAD, 1, {{PEER_TEXT, "a\xce\xba\xff", 4}}, RIGHT},
};

static size_t violation_bytes(const violation *violation, pair_role role, uint8_t *bytes) {
  size_t size = 0;
  for (size_t i = 0; i < violation->count; i++) {
    const frame *frame = &violation->frames[i];
    bool is_wrong = violation->masking == WRONG && i + 1 == violation->count;
    bool masked = (role == LIBRARY_IS_SERVER) != is_wrong;
    size += peer_write_frame(bytes + size, frame->first, masked, frame->payload, frame->length);
  }
  return size;
}

/* Receives until it fails; good pieces before the violation may be delivered. */
static ws_status receive_until_failure(ws_handle websocket) {
  uint8_t room[256];
  size_t received = 0;
  ws_buffer_type type = -1;
  ws_status status;
  do status = ws_receive(websocket, room, sizeof room, &received, &type);
  while (status == WS_OK && type != WS_CLOSE_FRAME);
  return status;
}

/* The connection is dead now: nothing is delivered, nothing is sent, and the reason stays to be asked for. */
static void is_dead(pair *pair, const violation *violation) {
  ws_error_info info;
  uint16_t status = 0;
  size_t length = 0;
  memset(&info, 0, sizeof info);
  info.size = sizeof info;
  CHECK_STATUS(WS_OK, ws_query_error(pair->websocket, &info));
  CHECK_NUMBER(violation->status, info.status);
  CHECK_NUMBER(violation->close_status, info.close_status);
  CHECK_NUMBER(WS_PHASE_WEBSOCKET, info.phase);
  CHECK(info.message[0] != '\0');
  CHECK(receive_until_failure(pair->websocket) != WS_OK);
  CHECK(ws_send(pair->websocket, WS_UTF8_MESSAGE, "x", 1) != WS_OK);
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_query_close_status(pair->websocket, &status, NULL, 0, &length));
}

static void a_violation(size_t row, pair_role role, bool split) {
  const violation *violation = &violations[row];
  uint8_t bytes[1024];
  size_t size = violation_bytes(violation, role, bytes);
  pair pair;
  check_label("%s (%s)", violation->name, pair_role_name(role));
  REQUIRE(pair_open(&pair, role));
  REQUIRE(split ? peer_send_split(pair.peer, bytes, size) : peer_send(pair.peer, bytes, size));
  /* The offender ends its side, or the library would wait a while for that, lest a reset overtakes the close frame. */
  REQUIRE(shutdown(pair.peer, SHUT_WR) == 0);
  CHECK_STATUS(violation->status, receive_until_failure(pair.websocket));
  CHECK(PEER_GETS_CLOSE_STATUS(&pair, violation->close_status));
  is_dead(&pair, violation);
  CHECK_STATUS(WS_OK, ws_close_handle(pair.websocket));
  pair.websocket = WS_NO_HANDLE;
  CHECK(peer_is_gone(pair.peer));
  pair_close(&pair);
}

static void a_client_refuses(size_t row) { a_violation(row, LIBRARY_IS_CLIENT, false); }
static void a_server_refuses(size_t row) { a_violation(row, LIBRARY_IS_SERVER, false); }
static void a_client_refuses_byte_by_byte(size_t row) { a_violation(row, LIBRARY_IS_CLIENT, true); }
static void a_server_refuses_byte_by_byte(size_t row) { a_violation(row, LIBRARY_IS_SERVER, true); }

/* Headers that peer_write_frame would not write. */
typedef struct raw_row {
  const char *name;
  uint8_t bytes[16];
  size_t length;
} raw_row;

static const raw_row raw_headers[] = {
    {"5 bytes in the 16-bit form", {FIN | PEER_BINARY, 126, 0, 5}, 4},
    {"125 bytes in the 16-bit form", {FIN | PEER_BINARY, 126, 0, 125}, 4},
    {"65535 bytes in the 64-bit form", {FIN | PEER_BINARY, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 10},
    {"the top bit of a 64-bit length", {FIN | PEER_BINARY, 127, 0x80, 0, 0, 0, 0, 0, 0, 0}, 10},
};

static void a_length_form_is_refused(size_t row, pair_role role) {
  uint8_t bytes[32];
  size_t size = raw_headers[row].length;
  pair pair;
  check_label("%s (%s)", raw_headers[row].name, pair_role_name(role));
  memcpy(bytes, raw_headers[row].bytes, size);
  if (role == LIBRARY_IS_SERVER) {
    bytes[1] |= 0x80;
    memset(bytes + size, 0, 4);
    size += 4;
  }
  REQUIRE(pair_open(&pair, role));
  REQUIRE(peer_send(pair.peer, bytes, size));
  CHECK_STATUS(WS_ERROR_PROTOCOL_VIOLATION, receive_until_failure(pair.websocket));
  CHECK(PEER_GETS_CLOSE_STATUS(&pair, WS_CLOSE_PROTOCOL_ERROR));
  pair_close(&pair);
}

static void a_client_refuses_a_length_form(size_t row) { a_length_form_is_refused(row, LIBRARY_IS_CLIENT); }
static void a_server_refuses_a_length_form(size_t row) { a_length_form_is_refused(row, LIBRARY_IS_SERVER); }

static const pair_role roles[] = {LIBRARY_IS_CLIENT, LIBRARY_IS_SERVER};

/* A frame that promises a quarter of all addresses must not make the library take memory for it. */
static void a_promised_length_takes_no_memory(size_t row) {
  uint8_t bytes[16] = {FIN | PEER_BINARY, 127, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 'a', 'b'};
  pair pair;
  check_label("%s", pair_role_name(roles[row]));
  REQUIRE(pair_open(&pair, roles[row]));
  if (roles[row] == LIBRARY_IS_SERVER) bytes[1] |= 0x80;
  REQUIRE(peer_send(pair.peer, bytes, 10));
  REQUIRE(peer_send(pair.peer, bytes + (roles[row] == LIBRARY_IS_SERVER ? 10 : 14), roles[row] == LIBRARY_IS_SERVER ? 6 : 2));
  CHECK(RECEIVES(pair.websocket, 64, WS_BINARY_FRAGMENT, "ab", 2));
  pair_close(&pair);
}

/* MAX_MESSAGE set on purpose bounds pieces too: 13002, and 1009 for the peer. */
static void a_message_above_the_limit(size_t row) {
  uint64_t limit = 4;
  pair pair;
  check_label("%s", pair_role_name(roles[row]));
  REQUIRE(pair_open(&pair, roles[row]));
  CHECK_STATUS(WS_OK, ws_set_option(pair.websocket, WS_OPTION_MAX_MESSAGE, &limit, sizeof limit));
  REQUIRE(pair_peer_sends(&pair, FIN | PEER_BINARY, "abc", 3));
  REQUIRE(pair_peer_sends(&pair, PEER_BINARY, "ab", 2));
  REQUIRE(pair_peer_sends(&pair, FIN, "cd", 2));
  REQUIRE(pair_peer_sends(&pair, FIN | PEER_BINARY, "abcde", 5));
  CHECK(RECEIVES_MESSAGE(pair.websocket, WS_BINARY_MESSAGE, "abc", 3));
  CHECK(RECEIVES_MESSAGE(pair.websocket, WS_BINARY_MESSAGE, "abcd", 4));
  CHECK_STATUS(WS_ERROR_MESSAGE_TOO_BIG, receive_until_failure(pair.websocket));
  CHECK(PEER_GETS_CLOSE_STATUS(&pair, WS_CLOSE_TOO_BIG));
  pair_close(&pair);
}

/* n fragments pass, n + 1 do not. */
static void too_many_fragments(size_t row) {
  pair pair;
  check_label("%s", pair_role_name(roles[row]));
  REQUIRE(pair_open(&pair, roles[row]));
  CHECK(pair_set_u32(pair.websocket, WS_OPTION_MAX_FRAGMENTS, 3));
  for (int message = 0; message < 2; message++) {
    REQUIRE(pair_peer_sends(&pair, PEER_BINARY, "a", 1));
    for (int i = 0; i < 1 + message; i++) REQUIRE(pair_peer_sends(&pair, 0, "b", 1));
    REQUIRE(pair_peer_sends(&pair, FIN, "c", 1));
  }
  CHECK(RECEIVES_MESSAGE(pair.websocket, WS_BINARY_MESSAGE, "abc", 3));
  CHECK_STATUS(WS_ERROR_MESSAGE_TOO_BIG, receive_until_failure(pair.websocket));
  pair_close(&pair);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_ROWS(a_client_refuses, violations),
      CHECK_ROWS(a_server_refuses, violations),
      CHECK_ROWS(a_client_refuses_byte_by_byte, violations),
      CHECK_ROWS(a_server_refuses_byte_by_byte, violations),
      CHECK_ROWS(a_client_refuses_a_length_form, raw_headers),
      CHECK_ROWS(a_server_refuses_a_length_form, raw_headers),
      CHECK_ROWS(a_promised_length_takes_no_memory, roles),
      CHECK_ROWS(a_message_above_the_limit, roles),
      CHECK_ROWS(too_many_fragments, roles),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
