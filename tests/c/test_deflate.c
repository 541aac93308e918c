/* permessage-deflate as a program meets it: what is agreed on, messages both ways in every way of receiving, limits, and what is refused.
 *
 * The raw peer has no compressor: what it sends was compressed by hand, most of it by RFC 7692 itself. */
#include "loop.h"

#define HEADER "Sec-WebSocket-Extensions: "
#define RSV1 0x40

static const pair_role roles[] = {LIBRARY_IS_CLIENT, LIBRARY_IS_SERVER};

static ws_compression compression(void) {
  ws_compression compression;
  memset(&compression, 0, sizeof compression);
  compression.size = sizeof compression;
  compression.enabled = 1;
  return compression;
}

static bool set_compression(ws_handle handle, const ws_compression *compression) {
  ws_status status = ws_set_option(handle, WS_OPTION_COMPRESSION, compression, sizeof *compression);
  if (status == WS_ERROR_NOT_SUPPORTED) check_skip("the library is built without permessage-deflate");
  return CHECK_STATUS(WS_OK, status);
}

/* A pair that has agreed on compression; everything is compressed, and windows are kept if that is asked for. */
static bool open_deflated(pair *pair, pair_role role, bool keeps_windows) {
  ws_compression wanted = compression();
  wanted.client_no_context_takeover = wanted.server_no_context_takeover = keeps_windows ? 2 : 1;
  wanted.threshold = 1;
  if (keeps_windows) pair_fields = HEADER "permessage-deflate\r\n";
  else pair_fields = HEADER "permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
  return pair_begin(pair, role) && set_compression(pair->session, &wanted) && pair_upgrade(pair);
}

static void text_option(ws_handle handle, ws_option option, char *value, size_t capacity) {
  size_t length = capacity;
  CHECK_STATUS(WS_OK, ws_query_option(handle, option, value, &length));
}

/* ---- what is agreed on --------------------------------------------------------------------------------------------------------------- */

/* What a server wants, what it is offered, what it answers ("" = nothing, and the connection is plain). */
static const struct { uint32_t enabled, client, server, client_bits, server_bits; const char *offer, *answer; } offers[] = {
    {0, 0, 0, 0, 0, "permessage-deflate", ""},
    {1, 0, 0, 0, 0, "permessage-deflate", "permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
    {1, 2, 2, 0, 0, "permessage-deflate", "permessage-deflate"},
    {1, 2, 2, 0, 0, "permessage-deflate; client_max_window_bits", "permessage-deflate"},
    {1, 2, 2, 9, 10, "permessage-deflate; client_max_window_bits", "permessage-deflate; server_max_window_bits=10; client_max_window_bits=9"},
    {1, 2, 2, 9, 10, "permessage-deflate", "permessage-deflate; server_max_window_bits=10"},
    {1, 2, 2, 0, 0, "permessage-deflate; server_max_window_bits=8", "permessage-deflate; server_max_window_bits=8"},
    {1, 2, 2, 0, 0, "permessage-deflate; server_max_window_bits=\"9\"", "permessage-deflate; server_max_window_bits=9"},
    {1, 2, 2, 0, 0, "permessage-deflate; server_max_window_bits=7, permessage-deflate", "permessage-deflate"},
    {1, 2, 2, 0, 0, "permessage-deflate; what, permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover"},
    {1, 2, 2, 0, 0, "permessage-deflate; server_max_window_bits", ""},
    {1, 2, 2, 0, 0, "permessage-deflate; client_no_context_takeover; client_no_context_takeover", ""},
    {1, 2, 2, 0, 0, "permessage-deflate; client_max_window_bits=16", ""},
    {1, 2, 2, 0, 0, "permessage-bzip2", ""},
    {1, 2, 2, 0, 0, "permessage-deflate;;", ""},
};

static void a_server_answers_an_offer(size_t row) {
  ws_compression wanted = compression(), agreed = compression();
  char fields[256], value[256] = "", told[256] = "";
  size_t length = sizeof agreed;
  pair pair;
  check_label("%s", offers[row].offer);
  wanted.enabled = offers[row].enabled;
  wanted.client_no_context_takeover = offers[row].client, wanted.server_no_context_takeover = offers[row].server;
  wanted.client_max_window_bits = offers[row].client_bits, wanted.server_max_window_bits = offers[row].server_bits;
  (void)snprintf(fields, sizeof fields, HEADER "%s\r\n", offers[row].offer);
  pair_fields = fields;
  REQUIRE(pair_begin(&pair, LIBRARY_IS_SERVER) && set_compression(pair.session, &wanted) && pair_upgrade(&pair));
  CHECK_NUMBER(offers[row].answer[0] != '\0', peer_header(pair_head, "Sec-WebSocket-Extensions", value, sizeof value));
  CHECK_TEXT(offers[row].answer, value);
  text_option(pair.websocket, WS_OPTION_EXTENSIONS, told, sizeof told);
  CHECK_TEXT(offers[row].answer, told);
  CHECK_STATUS(WS_OK, ws_query_option(pair.websocket, WS_OPTION_COMPRESSION, &agreed, &length));
  CHECK_NUMBER(offers[row].answer[0] != '\0', agreed.enabled);
  if (agreed.enabled) CHECK_NUMBER(strstr(value, "server_no_context_takeover") != NULL ? 1 : 2, agreed.server_no_context_takeover);
  /* Either way the connection works. */
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "plain", 5));
  CHECK(RECEIVES(pair.websocket, 100, WS_UTF8_MESSAGE, "plain", 5));
  pair_close(&pair);
}

/* What a client wants, what it offers, what it is answered, and what it makes of that. */
static const struct { uint32_t client, server, client_bits, server_bits; const char *offer, *answer; ws_status status; } answers[] = {
    {0, 0, 0, 0, "permessage-deflate; client_max_window_bits", "", WS_OK},
    {0, 0, 0, 0, "permessage-deflate; client_max_window_bits", "permessage-deflate", WS_OK},
    {0, 0, 0, 0, "permessage-deflate; client_max_window_bits", "permessage-deflate; server_no_context_takeover; client_max_window_bits=8", WS_OK},
    {1, 1, 9, 10,
     "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=9",
     "permessage-deflate; server_no_context_takeover; server_max_window_bits=10", WS_OK},
    {0, 1, 0, 0, "permessage-deflate; server_no_context_takeover; client_max_window_bits", "permessage-deflate", WS_ERROR_INVALID_SERVER_RESPONSE},
    {0, 0, 0, 9, "permessage-deflate; server_max_window_bits=9; client_max_window_bits", "permessage-deflate; server_max_window_bits=10",
     WS_ERROR_INVALID_SERVER_RESPONSE},
    {0, 0, 9, 0, "permessage-deflate; client_max_window_bits=9", "permessage-deflate; client_max_window_bits=10", WS_ERROR_INVALID_SERVER_RESPONSE},
    {0, 0, 0, 0, "permessage-deflate; client_max_window_bits", "permessage-deflate; what", WS_ERROR_INVALID_SERVER_RESPONSE},
    {0, 0, 0, 0, "permessage-deflate; client_max_window_bits", "permessage-deflate, permessage-deflate", WS_ERROR_INVALID_SERVER_RESPONSE},
    {0, 0, 0, 0, "permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits", WS_ERROR_INVALID_SERVER_RESPONSE},
    {0, 0, 0, 0, "permessage-deflate; client_max_window_bits", "permessage-bzip2", WS_ERROR_INVALID_SERVER_RESPONSE},
};

static void a_client_judges_an_answer(size_t row) {
  pair_answering answering = {-1, -1};
  ws_compression wanted = compression();
  ws_handle session = WS_NO_HANDLE, request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  char url[64], fields[256], offer[256] = "", told[256] = "";
  pthread_t thread;
  uint16_t port = 0;
  check_label("%s", answers[row].answer);
  wanted.client_no_context_takeover = answers[row].client, wanted.server_no_context_takeover = answers[row].server;
  wanted.client_max_window_bits = answers[row].client_bits, wanted.server_max_window_bits = answers[row].server_bits;
  (void)snprintf(fields, sizeof fields, answers[row].answer[0] != '\0' ? HEADER "%s\r\n" : "%s", answers[row].answer);
  pair_fields = fields;
  answering.listener = peer_listen(&port);
  (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)port);
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE(set_compression(session, &wanted));
  REQUIRE_STATUS(WS_OK, ws_connect(session, url, &request));
  REQUIRE(pthread_create(&thread, NULL, pair_answer, &answering) == 0);
  CHECK_STATUS(answers[row].status, ws_complete_upgrade(request, &websocket));
  (void)pthread_join(thread, NULL);
  CHECK(peer_header(pair_head, "Sec-WebSocket-Extensions", offer, sizeof offer));
  CHECK_TEXT(answers[row].offer, offer);
  if (websocket != WS_NO_HANDLE) {
    text_option(websocket, WS_OPTION_EXTENSIONS, told, sizeof told);
    CHECK_TEXT(answers[row].answer, told);
    CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  }
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  (void)close(answering.peer);
  (void)close(answering.listener);
}

/* ---- receiving ----------------------------------------------------------------------------------------------------------------------- */

#define HELLO "\xf2\x48\xcd\xc9\xc9\x07\x00"

/* RFC 7692 §7.2.3: "Hello" in every way there is, the parts one frame each. */
static const struct { bool keeps_windows; size_t messages; struct { const char *bytes; size_t length; } parts[3]; const char *text; } vectors[] = {
    {false, 1, {{HELLO, 7}}, "Hello"},
    {false, 1, {{"\xf2\x48\xcd", 3}, {"\xc9\xc9\x07\x00", 4}}, "Hello"},
    {true, 2, {{HELLO, 7}, {"\xf2\x00\x11\x00\x00", 5}}, "Hello"},
    {true, 2, {{HELLO, 7}, {HELLO, 7}}, "Hello"},
    {false, 1, {{"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11}}, "Hello"},
    {false, 1, {{"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8}}, "Hello"},
    {true, 2, {{"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8}, {HELLO, 7}}, "Hello"},
    {false, 1, {{"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13}}, "Hello"},
    {false, 1, {{"\x00", 1}}, ""},
    {false, 1, {{"", 0}, {HELLO, 7}, {"", 0}}, "Hello"},
};

static bool peer_sends_vector(pair *pair, size_t row) {
  size_t count = 0;
  bool sent = true;
  while (count < 3 && vectors[row].parts[count].bytes != NULL) count++;
  for (size_t i = 0; i < count; i++) {
    bool begins = i == 0 || vectors[row].messages > 1, ends = i + 1 == count || vectors[row].messages > 1;
    int first = (ends ? PEER_FIN : 0) | (begins ? PEER_TEXT | RSV1 : PEER_CONTINUATION);
    sent = sent && pair_peer_sends(pair, (uint8_t)first, vectors[row].parts[i].bytes, vectors[row].parts[i].length);
    /* A control frame may come between fragments, and is never compressed. */
    sent = sent && pair_peer_sends(pair, PEER_FIN | PEER_PONG, "", 0);
  }
  return sent;
}

/* Pieces of `room` bytes, a MESSAGE exactly with the last of them; of fragments the end may come alone. 0 = ws_receive_message. */
static bool receives_pieces(ws_handle websocket, size_t room, const char *text, bool may_end_later) {
  size_t length = strlen(text), at = 0;
  const void *data = NULL;
  size_t received = 0;
  ws_buffer_type type = -1;
  if (room == 0) {
    return CHECK_STATUS(WS_OK, ws_receive_message(websocket, &data, &received, &type)) & CHECK_NUMBER(WS_UTF8_MESSAGE, type) &
           CHECK_BYTES(text, length, data, received);
  }
  do {
    char bytes[64];
    if (!CHECK_STATUS(WS_OK, ws_receive(websocket, bytes, room, &received, &type))) return false;
    if (!CHECK(received <= room && at + received <= length && memcmp(bytes, text + at, received) == 0)) return false;
    at += received;
    if (at < length || !may_end_later) CHECK_NUMBER(at == length ? WS_UTF8_MESSAGE : WS_UTF8_FRAGMENT, type);
  } while (type == WS_UTF8_FRAGMENT);
  return CHECK_NUMBER(length, at);
}

static void the_examples_of_the_rfc_are_received(size_t row) {
  static const size_t rooms[] = {0, 1, 3, 5, 6, 64};
  for (size_t i = 0; i < CHECK_COUNT(roles) * CHECK_COUNT(rooms); i++) {
    size_t room = rooms[i / 2];
    pair pair;
    check_label("%s, room for %zu, example %zu", pair_role_name(roles[i % 2]), room, row);
    REQUIRE(open_deflated(&pair, roles[i % 2], vectors[row].keeps_windows));
    REQUIRE(peer_sends_vector(&pair, row));
    for (size_t message = 0; message < vectors[row].messages; message++) REQUIRE(receives_pieces(pair.websocket, room, vectors[row].text, vectors[row].messages == 1 && vectors[row].parts[1].bytes != NULL));
    /* What is not compressed comes through as ever, before and after. */
    REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "plain", 5));
    REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT | RSV1, HELLO, 7));
    CHECK(receives_pieces(pair.websocket, room, "plain", false));
    CHECK(receives_pieces(pair.websocket, room, "Hello", false));
    pair_close(&pair);
  }
}

/* One byte at a time, as slow networks do. */
static void a_message_cut_at_every_byte_is_received(size_t row) {
  uint8_t frame[32];
  pair pair;
  check_label("%s", pair_role_name(roles[row]));
  REQUIRE(open_deflated(&pair, roles[row], true));
  for (int round = 0; round < 3; round++) {
    size_t size = peer_write_frame(frame, PEER_FIN | PEER_TEXT | RSV1, roles[row] == LIBRARY_IS_SERVER, HELLO, 7);
    REQUIRE(peer_send_split(pair.peer, frame, size));
    CHECK(receives_pieces(pair.websocket, round == 2 ? 0 : 64, "Hello", true));
  }
  pair_close(&pair);
}

/* ---- what is refused --------------------------------------------------------------------------------------------------------------------- */

static const struct { const char *name; int first; const char *payload; size_t length; ws_status status; uint16_t close_status; } wrongs[] = {
    {"a compressed continuation", PEER_FIN | PEER_CONTINUATION | RSV1, HELLO, 7, WS_ERROR_PROTOCOL_VIOLATION, 1002},
    {"a compressed ping", PEER_FIN | PEER_PING | RSV1, "", 0, WS_ERROR_PROTOCOL_VIOLATION, 1002},
    {"RSV2", PEER_FIN | PEER_TEXT | 0x20, "", 0, WS_ERROR_PROTOCOL_VIOLATION, 1002},
    {"RSV1 and RSV3", PEER_FIN | PEER_TEXT | RSV1 | 0x10, HELLO, 7, WS_ERROR_PROTOCOL_VIOLATION, 1002},
    {"a block of the reserved kind", PEER_FIN | PEER_BINARY | RSV1, "\x06\x00\x00", 3, WS_ERROR_INVALID_PAYLOAD, 1007},
    {"a block that is cut off", PEER_FIN | PEER_BINARY | RSV1, "\xf2\x48\xcd\xc9", 4, WS_ERROR_INVALID_PAYLOAD, 1007},
    {"a text that is no UTF-8", PEER_FIN | PEER_TEXT | RSV1, "\x00\x01\x00\xfe\xff\xff\x00", 7, WS_ERROR_INVALID_PAYLOAD, 1007},
    {"a character that does not end", PEER_FIN | PEER_TEXT | RSV1, "\x00\x02\x00\xfd\xff\xe2\x82\x00", 8, WS_ERROR_INVALID_PAYLOAD, 1007},
};

static void a_wrong_frame_ends_the_connection(size_t row) {
  for (size_t i = 0; i < 4; i++) {
    const void *data = NULL;
    uint8_t bytes[64];
    size_t received = 0;
    ws_buffer_type type = -1;
    ws_status status = WS_OK;
    pair pair;
    check_label("%s, %s, %s", wrongs[row].name, pair_role_name(roles[i % 2]), i < 2 ? "in pieces" : "whole");
    REQUIRE(open_deflated(&pair, roles[i % 2], i >= 2));
    REQUIRE(pair_peer_sends(&pair, (uint8_t)wrongs[row].first, wrongs[row].payload, wrongs[row].length));
    while (status == WS_OK) {
      status = i < 2 ? ws_receive(pair.websocket, bytes, sizeof bytes, &received, &type)
                     : ws_receive_message(pair.websocket, &data, &received, &type);
      if (status == WS_OK) REQUIRE(CHECK(i < 2 && type != WS_UTF8_MESSAGE && type != WS_BINARY_MESSAGE));
    }
    CHECK_NUMBER(wrongs[row].status, status);
    CHECK(PEER_GETS_CLOSE_STATUS(&pair, wrongs[row].close_status));
    pair_close(&pair);
  }
}

static void nothing_is_compressed_that_was_not_agreed_on(size_t row) {
  pair pair;
  pair_fields = "";
  check_label("%s", pair_role_name(roles[row]));
  REQUIRE(pair_open(&pair, roles[row]));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT | RSV1, HELLO, 7));
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_PROTOCOL_VIOLATION));
  CHECK(PEER_GETS_CLOSE_STATUS(&pair, 1002));
  pair_close(&pair);
}

/* ---- limits -------------------------------------------------------------------------------------------------------------------------------- */

typedef struct bits { uint8_t *bytes; size_t count; } bits;

/* Huffman codes have their first bit first, everything else its last (RFC 1951 §3.1.1). */
static void put(bits *to, unsigned value, int length, bool is_code) {
  for (int i = 0; i < length; i++, to->count++) {
    unsigned bit = value >> (is_code ? length - 1 - i : i) & 1u;
    to->bytes[to->count / 8] = (uint8_t)(to->bytes[to->count / 8] | bit << to->count % 8);
  }
}

/* The zero byte `1 + 258 * matches + rest` times, one block of fixed codes: 13 bits for 258 bytes. Returns the payload's length. */
static size_t zeros(uint8_t *payload, size_t capacity, size_t matches, size_t rest) {
  bits to = {payload, 0};
  memset(payload, 0, capacity);
  put(&to, 2, 3, false);
  put(&to, 0x30, 8, true);
  for (size_t i = 0; i < matches; i++) put(&to, 0xC5, 8, true), put(&to, 0, 5, true);
  for (size_t i = 0; i < rest; i++) put(&to, 0x30, 8, true);
  put(&to, 0, 7, true);
  put(&to, 0, 3, false);
  return (to.count + 7) / 8;
}

static const struct { uint64_t limit; size_t matches, rest; } limits[] = {
    {100, 0, 98}, {100, 0, 99}, {100, 0, 100}, {259, 1, 0}, {258, 1, 0}, {260, 1, 0},
    {1 << 20, 4064, 62}, {1 << 20, 4064, 63}, {1 << 20, 4064, 64}, {1 << 20, 40000, 0},
};

/* The limit counts what comes out; one byte more is refused, and never cut off. In pieces and whole, in both roles. */
static void the_limit_is_exact(size_t row) {
  static uint8_t payload[70000], room[1 << 16];
  size_t size = 1 + 258 * limits[row].matches + limits[row].rest, length = zeros(payload, sizeof payload, limits[row].matches, limits[row].rest);
  for (size_t i = 0; i < 4; i++) {
    const void *data = NULL;
    size_t received = 0, total = 0;
    ws_buffer_type type = WS_BINARY_FRAGMENT;
    ws_status status = WS_OK;
    pair pair;
    check_label("limit %llu, %zu bytes, %s, %s", (unsigned long long)limits[row].limit, size, pair_role_name(roles[i % 2]), i < 2 ? "in pieces" : "whole");
    REQUIRE(open_deflated(&pair, roles[i % 2], false));
    CHECK_STATUS(WS_OK, ws_set_option(pair.websocket, WS_OPTION_MAX_MESSAGE, &limits[row].limit, sizeof limits[row].limit));
    REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_BINARY | RSV1, payload, length));
    if (i < 2) {
      while (status == WS_OK && type == WS_BINARY_FRAGMENT) {
        status = ws_receive(pair.websocket, room, sizeof room, &received, &type);
        total += status == WS_OK ? received : 0;
      }
    } else {
      status = ws_receive_message(pair.websocket, &data, &total, &type);
    }
    if (size <= limits[row].limit) {
      CHECK_STATUS(WS_OK, status);
      CHECK_NUMBER(size, total);
    } else {
      CHECK_STATUS(WS_ERROR_MESSAGE_TOO_BIG, status);
      CHECK(total <= limits[row].limit);
      CHECK(PEER_GETS_CLOSE_STATUS(&pair, 1009));
    }
    pair_close(&pair);
  }
}

/* 10 MiB in 66 KB: in pieces it is the program's to say when it has enough, and it costs no more than a piece. */
static void a_bomb_in_pieces_is_the_programs_to_stop(size_t row) {
  static uint8_t payload[70000], room[4096];
  size_t length = zeros(payload, sizeof payload, 40000, 0), total = 0, received = 0;
  ws_buffer_type type = WS_BINARY_FRAGMENT;
  ws_statistics statistics;
  size_t size = sizeof statistics;
  pair pair;
  check_label("%s", pair_role_name(roles[row]));
  REQUIRE(open_deflated(&pair, roles[row], false));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_BINARY | RSV1, payload, length));
  while (type == WS_BINARY_FRAGMENT) {
    REQUIRE_STATUS(WS_OK, ws_receive(pair.websocket, room, sizeof room, &received, &type));
    total += received;
    statistics.size = sizeof statistics;
    CHECK_STATUS(WS_OK, ws_query_option(pair.websocket, WS_OPTION_STATISTICS, &statistics, &size));
    if (!CHECK(statistics.memory < 128 * 1024)) break;
  }
  CHECK_NUMBER(1 + 258 * 40000, total);
  pair_close(&pair);
}

/* ---- sending ------------------------------------------------------------------------------------------------------------------------------- */

static void a_window_is_kept_only_where_that_was_agreed_on(size_t row) {
  pair pair;
  check_label("%s", pair_role_name(roles[row]));
  REQUIRE(open_deflated(&pair, roles[row], true));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "Hello", 5));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "Hello", 5));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_TEXT | RSV1, HELLO, 7));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_TEXT | RSV1, "\xf2\x00\x11\x00\x00", 5));
  pair_close(&pair);
  REQUIRE(open_deflated(&pair, roles[row], false));
  for (int i = 0; i < 3; i++) {
    /* Without a window nothing of "Hello" gets smaller; this does. */
    CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "Hello Hello Hello Hello", 23));
    CHECK(PEER_GETS(&pair, PEER_FIN | PEER_TEXT | RSV1, "\xf2\x48\xcd\xc9\xc9\x57\xf0\x40\x27\x01\x00", 11));
    CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "Hello", 5));
    CHECK(PEER_GETS(&pair, PEER_FIN | PEER_TEXT, "Hello", 5));
  }
  pair_close(&pair);
}

static void what_is_not_to_be_compressed_is_not(size_t row) {
  static const char repeated[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
  ws_compression wanted = compression();
  ws_bytes part = {repeated, 100};
  peer_frame frame;
  pair pair;
  check_label("%s", pair_role_name(roles[row]));
  pair_fields = HEADER "permessage-deflate\r\n";
  wanted.threshold = 100;
  wanted.server_no_context_takeover = wanted.client_no_context_takeover = 2;
  REQUIRE(pair_begin(&pair, roles[row]) && set_compression(pair.session, &wanted) && pair_upgrade(&pair));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, repeated, 99));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_TEXT, repeated, 99));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, repeated, 100));
  REQUIRE(peer_read_frame(pair.peer, &frame));
  CHECK(frame.first == (PEER_FIN | PEER_TEXT | RSV1) && frame.length < 20);
  CHECK_STATUS(WS_OK, ws_send_ex(pair.websocket, WS_BINARY_MESSAGE, WS_SEND_UNCOMPRESSED, &part, 1, NULL));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_BINARY, repeated, 100));
  /* Control frames never are. */
  CHECK_STATUS(WS_OK, ws_ping(pair.websocket, repeated, 100));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_PING, repeated, 100));
  CHECK_STATUS(WS_OK, ws_shutdown(pair.websocket, 1000, repeated, 100));
  CHECK(PEER_GETS_CLOSE(&pair, 1000, repeated));
  pair_close(&pair);
}

/* All of a fragmented message is compressed, whatever the later parts are, and the first frame says so; an empty end needs no byte. */
static void fragments_are_compressed_as_one_message(size_t row) {
  ws_bytes part = {"lo", 2};
  pair pair;
  check_label("%s", pair_role_name(roles[row]));
  REQUIRE(open_deflated(&pair, roles[row], false));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_FRAGMENT, "Hel", 3));
  CHECK_STATUS(WS_OK, ws_send_ex(pair.websocket, WS_UTF8_FRAGMENT, WS_SEND_UNCOMPRESSED, &part, 1, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_send(pair.websocket, WS_BINARY_MESSAGE, "x", 1));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_send(pair.websocket, WS_UTF8_FRAGMENT, "\xff", 1));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, NULL, 0));
  CHECK(PEER_GETS(&pair, PEER_TEXT | RSV1, "\xf2\x48\xcd\x01\x00", 5));
  CHECK(PEER_GETS(&pair, PEER_CONTINUATION, "\x00\x00\xff\xff\xca\xc9\x07\x00", 8));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_CONTINUATION, "", 0));
  part.length = 1;
  CHECK_STATUS(WS_OK, ws_send_ex(pair.websocket, WS_BINARY_FRAGMENT, WS_SEND_UNCOMPRESSED, &part, 1, NULL));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_MESSAGE, "oooooooooooooooooooooooooooooooo", 32));
  CHECK(PEER_GETS(&pair, PEER_BINARY, "l", 1));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_CONTINUATION, "oooooooooooooooooooooooooooooooo", 32));
  /* RFC 7692 §7.2.3.6 */
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_FRAGMENT, NULL, 0));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_BINARY_MESSAGE, NULL, 0));
  CHECK(PEER_GETS(&pair, PEER_BINARY | RSV1, "", 0));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_CONTINUATION, "", 1));
  pair_close(&pair);
}

/* ---- two of the library's own ---------------------------------------------------------------------------------------------------------- */

typedef struct echo { ws_handle websocket; ws_status status; } echo;

static void *echo_all(void *argument) {
  echo *echo = argument;
  const void *data = NULL;
  size_t length = 0;
  ws_buffer_type type = -1;
  while ((echo->status = ws_receive_message(echo->websocket, &data, &length, &type)) == WS_OK && type != WS_CLOSE_FRAME)
    if ((echo->status = ws_send(echo->websocket, type, data, length)) != WS_OK) break;
  return NULL;
}

typedef struct accepting { ws_handle listener, websocket; } accepting;

static void *accept_one(void *argument) {
  accepting *accepting = argument;
  ws_handle request = WS_NO_HANDLE;
  if (CHECK_STATUS(WS_OK, ws_accept(accepting->listener, &request)) &&
      CHECK_STATUS(WS_OK, ws_complete_upgrade(request, &accepting->websocket)))
    CHECK_STATUS(WS_OK, ws_close_handle(request));
  return NULL;
}

static const struct { uint32_t takeover, bits, level, threshold; } settings[] = {
    {0, 0, 0, 0}, {1, 8, 1, 1}, {2, 8, 9, 1}, {1, 15, 6, 1}, {2, 15, 6, 1}, {2, 9, 1, 200}, {2, 12, 3, 1},
};

/* Text like a program's, larger and larger, and bytes that do not compress, through both directions. */
static void what_goes_in_comes_out(size_t row) {
  enum { MOST = 300000 };
  static char sent[MOST];
  ws_compression wanted = compression(), agreed = compression();
  ws_handle session = WS_NO_HANDLE, request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  accepting accepting = {WS_NO_HANDLE, WS_NO_HANDLE};
  echo echo = {WS_NO_HANDLE, WS_OK};
  pthread_t thread;
  char url[64];
  size_t size = sizeof agreed;
  uint32_t random = 1;
  uint16_t port = 0;
  wanted.client_no_context_takeover = wanted.server_no_context_takeover = settings[row].takeover;
  wanted.client_max_window_bits = wanted.server_max_window_bits = settings[row].bits;
  wanted.level = settings[row].level, wanted.threshold = settings[row].threshold;
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE(set_compression(session, &wanted));
  REQUIRE(pair_listen(session, "/", &accepting.listener, &port));
  REQUIRE(pthread_create(&thread, NULL, accept_one, &accepting) == 0);
  (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)port);
  CHECK_STATUS(WS_OK, ws_connect(session, url, &request));
  CHECK_STATUS(WS_OK, ws_complete_upgrade(request, &websocket));
  (void)pthread_join(thread, NULL);
  CHECK_STATUS(WS_OK, ws_query_option(websocket, WS_OPTION_COMPRESSION, &agreed, &size));
  CHECK_NUMBER(1, agreed.enabled);
  echo.websocket = accepting.websocket;
  REQUIRE(pthread_create(&thread, NULL, echo_all, &echo) == 0);
  for (size_t length = 0; length < MOST; length = length * 3 / 2 + 7) {
    const void *data = NULL;
    size_t received = 0;
    ws_buffer_type type = -1, kind = length % 2 == 0 ? WS_BINARY_MESSAGE : WS_UTF8_MESSAGE;
    for (size_t i = 0; i < length; i++) {
      random = random * 1664525u + 1013904223u;
      sent[i] = kind == WS_BINARY_MESSAGE ? (char)(random >> 24) : "{\"id\": 17, \"x\": 0.5}, "[(i + (random >> 28)) % 22];
    }
    REQUIRE_STATUS(WS_OK, ws_send(websocket, kind, sent, length));
    REQUIRE_STATUS(WS_OK, ws_receive_message(websocket, &data, &received, &type));
    CHECK_NUMBER(kind, type);
    REQUIRE(CHECK(received == length && memcmp(data, sent, length) == 0));
  }
  CHECK_STATUS(WS_OK, ws_close(websocket, 1000, NULL, 0));
  (void)pthread_join(thread, NULL);
  CHECK_STATUS(WS_OK, echo.status);
  CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_close_handle(accepting.websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(accepting.listener));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

/* ---- event-driven ---------------------------------------------------------------------------------------------------------------------- */

static bool loop_open_deflated(loop *loop, pair *pair, const struct loop_row *way, bool keeps_windows) {
  ws_compression wanted = compression();
  wanted.client_no_context_takeover = wanted.server_no_context_takeover = keeps_windows ? 2 : 1;
  wanted.threshold = 1;
  if (keeps_windows) pair_fields = HEADER "permessage-deflate\r\n";
  else pair_fields = HEADER "permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
  return loop_open(loop, way->delivery) && set_compression(loop->session, &wanted) && loop_upgrade(loop, pair, way->role);
}

static void a_loop_receives_pieces(size_t row) {
  const struct loop_row *way = loop_row(row);
  loop loop;
  pair pair;
  REQUIRE(loop_open_deflated(&loop, &pair, way, true));
  for (int round = 0; round < 3; round++) {
    REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT | RSV1, HELLO, 7));
    /* All three pieces are inside the library after one read: the socket will not say so again. */
    CHECK(LOOP_RECEIVES(&loop, pair.websocket, 2, WS_UTF8_FRAGMENT, "He", 2));
    CHECK(LOOP_RECEIVES(&loop, pair.websocket, 2, WS_UTF8_FRAGMENT, "ll", 2));
    CHECK(LOOP_RECEIVES(&loop, pair.websocket, 2, WS_UTF8_MESSAGE, "o", 1));
    REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "plain", 5));
    CHECK(LOOP_RECEIVES(&loop, pair.websocket, 5, WS_UTF8_MESSAGE, "plain", 5));
  }
  loop_pair_close(&loop, &pair);
}

static bool loop_hears_text(loop *loop, ws_handle websocket, const char *text) {
  const heard *heard = HEARS(loop, websocket, WS_EVENT_RECEIVED, WS_OK);
  return heard != NULL && CHECK_NUMBER(WS_UTF8_MESSAGE, heard->event.buffer_type) & CHECK_BYTES(text, strlen(text), heard->event.data, heard->event.length);
}

static void a_loop_tells_whole_messages(size_t row) {
  const struct loop_row *way = loop_row(row);
  uint8_t wire[400];
  size_t size = 0;
  bool masked = way->role == LIBRARY_IS_SERVER;
  loop loop;
  pair pair;
  uint64_t limit = 259;
  uint8_t payload[64];
  REQUIRE(loop_open_deflated(&loop, &pair, way, false));
  REQUIRE(pair_set_u32(pair.websocket, WS_OPTION_WHOLE_MESSAGES, 1));
  /* Many at once, compressed and not, fragmented and not, a message cut by the end of the read. */
  for (int i = 0; i < 5; i++) {
    size += peer_write_frame(wire + size, PEER_FIN | PEER_TEXT | RSV1, masked, HELLO, 7);
    size += peer_write_frame(wire + size, PEER_FIN | PEER_TEXT, masked, "plain", 5);
    size += peer_write_frame(wire + size, PEER_TEXT | RSV1, masked, HELLO, 3);
    size += peer_write_frame(wire + size, PEER_FIN | PEER_CONTINUATION, masked, HELLO + 3, 4);
  }
  REQUIRE(peer_send(pair.peer, wire, size - 3));
  loop_pass(&loop, 20);
  REQUIRE(peer_send(pair.peer, wire + size - 3, 3));
  for (int i = 0; i < 15; i++) REQUIRE(loop_hears_text(&loop, pair.websocket, i % 3 == 1 ? "plain" : "Hello"));
  /* The limit is exact here too. */
  CHECK_STATUS(WS_OK, ws_set_option(pair.websocket, WS_OPTION_MAX_MESSAGE, &limit, sizeof limit));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_BINARY | RSV1, payload, zeros(payload, sizeof payload, 1, 0)));
  const heard *heard = HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_OK);
  if (heard != NULL) CHECK_NUMBER(259, heard->event.length);
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_BINARY | RSV1, payload, zeros(payload, sizeof payload, 1, 1)));
  CHECK(HEARS(&loop, pair.websocket, WS_EVENT_RECEIVED, WS_ERROR_MESSAGE_TOO_BIG) != NULL);
  loop_pair_close(&loop, &pair);
}

static void a_loop_sends(size_t row) {
  const struct loop_row *way = loop_row(row);
  ws_handle message = WS_NO_HANDLE;
  loop loop;
  pair pair;
  REQUIRE(loop_open_deflated(&loop, &pair, way, true));
  for (int i = 0; i < 2; i++) CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "Hello", 5));
  CHECK_STATUS(WS_OK, ws_prepare(WS_UTF8_MESSAGE, "Hello", 5, &message));
  CHECK_STATUS(WS_OK, ws_send_prepared(pair.websocket, message));
  loop_pass(&loop, 10);
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_TEXT | RSV1, HELLO, 7));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_TEXT | RSV1, "\xf2\x00\x11\x00\x00", 5));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_TEXT | RSV1, "\x02\x13\x00\x00", 4));
  CHECK_STATUS(WS_OK, ws_close_handle(message));
  loop_pair_close(&loop, &pair);
}

/* One image for all that keep no window; what would get larger, and who has no compression, gets it as it is. */
static void a_prepared_message_is_compressed_for_who_forgets(size_t row) {
  const struct loop_row *way = loop_row(row);
  ws_handle message = WS_NO_HANDLE, small = WS_NO_HANDLE;
  loop loop;
  pair pair;
  REQUIRE(loop_open_deflated(&loop, &pair, way, false));
  CHECK_STATUS(WS_OK, ws_prepare(WS_UTF8_MESSAGE, "Hello Hello Hello Hello", 23, &message));
  CHECK_STATUS(WS_OK, ws_prepare(WS_UTF8_MESSAGE, "Hello", 5, &small));
  for (int i = 0; i < 3; i++) {
    CHECK_STATUS(WS_OK, ws_send_prepared(pair.websocket, message));
    CHECK_STATUS(WS_OK, ws_send_prepared(pair.websocket, small));
    loop_pass(&loop, 10);
    CHECK(PEER_GETS(&pair, PEER_FIN | PEER_TEXT | RSV1, "\xf2\x48\xcd\xc9\xc9\x57\xf0\x40\x27\x01\x00", 11));
    CHECK(PEER_GETS(&pair, PEER_FIN | PEER_TEXT, "Hello", 5));
  }
  CHECK_STATUS(WS_OK, ws_close_handle(message));
  CHECK_STATUS(WS_OK, ws_close_handle(small));
  loop_pair_close(&loop, &pair);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_ROWS(a_server_answers_an_offer, offers),
      CHECK_ROWS(a_client_judges_an_answer, answers),
      CHECK_ROWS(the_examples_of_the_rfc_are_received, vectors),
      CHECK_ROWS(a_message_cut_at_every_byte_is_received, roles),
      CHECK_ROWS(a_wrong_frame_ends_the_connection, wrongs),
      CHECK_ROWS(nothing_is_compressed_that_was_not_agreed_on, roles),
      CHECK_ROWS(the_limit_is_exact, limits),
      CHECK_ROWS(a_bomb_in_pieces_is_the_programs_to_stop, roles),
      CHECK_ROWS(a_window_is_kept_only_where_that_was_agreed_on, roles),
      CHECK_ROWS(what_is_not_to_be_compressed_is_not, roles),
      CHECK_ROWS(fragments_are_compressed_as_one_message, roles),
      CHECK_ROWS(what_goes_in_comes_out, settings),
      CHECK_ROWS(a_loop_receives_pieces, loop_rows),
      CHECK_ROWS(a_loop_tells_whole_messages, loop_rows),
      CHECK_ROWS(a_loop_sends, loop_rows),
      CHECK_ROWS(a_prepared_message_is_compressed_for_who_forgets, loop_rows),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
