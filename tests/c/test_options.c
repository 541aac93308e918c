/* Options as the header documents them: defaults, ranges, who has which, and what children inherit. */
#include "objects.h"

#define BIT(kind) (1u << (kind))
#define ANYTHING (BIT(KINDS) - 1u)
#define EVERY (ANYTHING & ~(BIT(LOOP) | BIT(PREPARED)))
#define ALL (EVERY & ~BIT(PROTOCOL))
#define CLIENT (BIT(SESSION) | BIT(REQUEST))
#define SERVER (BIT(SESSION) | BIT(LISTENER))
#define OPENING (CLIENT | BIT(SERVER_REQUEST) | BIT(LISTENER))
#define OPENING_CORE (OPENING | BIT(PROTOCOL))
#define CONNECTED (BIT(REQUEST) | BIT(SERVER_REQUEST) | BIT(WEBSOCKET))

/* ---- numbers ----------------------------------------------------------------------------------------------------------------------- */

typedef struct number_row {
  const char *name;
  ws_option option;
  unsigned owners;
  size_t size;               /* 4 or 8 */
  uint64_t initial, least, most;
  bool has_zero;             /* 0 = none, though below the least */
} number_row;

#define U32(name, owners, initial, least, most, zero) {#name, WS_OPTION_##name, owners, 4, initial, least, most, zero}
#define U64(name, owners, initial) {#name, WS_OPTION_##name, owners, 8, initial, 1, UINT64_MAX, false}
#define TIMEOUT(name, owners, initial) U32(name, owners, initial, 0, UINT32_MAX, true)
#define SWITCH(name, owners, initial) U32(name, owners, initial, 0, 1, true)

static const number_row numbers[] = {
    TIMEOUT(CONNECT_TIMEOUT, CLIENT, 30000),
    TIMEOUT(RECEIVE_TIMEOUT, ALL, 0),
    TIMEOUT(CLOSE_TIMEOUT, EVERY, 10000),
    TIMEOUT(HANDSHAKE_TIMEOUT, OPENING_CORE, 30000),
    TIMEOUT(SEND_TIMEOUT, ALL, 0),
    TIMEOUT(KEEPALIVE_TIMEOUT, EVERY, 20000),
    TIMEOUT(RESOLVE_TIMEOUT, CLIENT, 10000),
    U32(KEEPALIVE_INTERVAL, EVERY, 30000, 100, UINT32_MAX, true),
    U32(MAX_HEAD_SIZE, OPENING_CORE, 65536, 256, 16777216, false),
    U32(RECEIVE_BUFFER_SIZE, OPENING_CORE, 32768, 1024, 16777216, false),
    U32(SEND_BUFFER_SIZE, OPENING_CORE, 32768, 1024, 16777216, false),
    U32(MAX_FRAGMENTS, EVERY, 131072, 1, UINT32_MAX, false),
    U32(MAX_HEADERS, OPENING_CORE, 128, 16, 65536, false),
    U32(MAX_CONNECTIONS, SERVER, 0, 0, UINT32_MAX, true),
    U32(MAX_HANDSHAKES, SERVER, 0, 0, UINT32_MAX, true),
    U32(REDIRECTS, CLIENT, 0, 0, 100, true),
    U32(PROXY_ENVIRONMENT, CLIENT, 0, 0, 1, true),
    SWITCH(MANUAL_CLOSE, EVERY, 0),
    SWITCH(NODELAY, ALL, 1),
    SWITCH(CHECK_SENT_TEXT, EVERY, 1),
    SWITCH(INTERRUPTIBLE, ALL, 0),
    U64(MAX_MESSAGE, EVERY, 16777216),
    U64(SEND_QUEUE_LIMIT, ALL, 16777216),
};

/* A number in its own size, in both directions. */
typedef union number {
  uint32_t u32;
  uint64_t u64;
} number;

static ws_status set_number(ws_handle handle, const number_row *row, uint64_t value) {
  number number;
  if (row->size == 4) number.u32 = (uint32_t)value;
  else number.u64 = value;
  return ws_set_option(handle, row->option, &number, row->size);
}

static ws_status query_number(ws_handle handle, const number_row *row, uint64_t *value) {
  number number;
  size_t length = row->size;
  ws_status status = ws_query_option(handle, row->option, &number, &length);
  if (status != WS_OK) return status;
  CHECK_NUMBER(row->size, length);
  *value = row->size == 4 ? number.u32 : number.u64;
  return status;
}

static bool number_is(ws_handle handle, const number_row *row, uint64_t expected) {
  uint64_t value = 4711;
  return CHECK_STATUS(WS_OK, query_number(handle, row, &value)) && CHECK_NUMBER(expected, value);
}

static void a_default(size_t row) {
  objects objects;
  check_label("%s", numbers[row].name);
  REQUIRE(objects_open(&objects));
  for (size_t kind = 0; kind < KINDS; kind++) {
    uint64_t value = 4711;
    if ((numbers[row].owners & BIT(kind)) != 0) {
      CHECK(number_is(objects.handles[kind], &numbers[row], numbers[row].initial));
    } else {
      CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_TYPE, query_number(objects.handles[kind], &numbers[row], &value));
      CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_TYPE, set_number(objects.handles[kind], &numbers[row], numbers[row].initial));
      CHECK_NUMBER(4711, value);
    }
  }
  objects_close(&objects);
}

/* At the ends of the range, and one beyond each; what is refused changes nothing. */
static void a_range(size_t row) {
  const number_row *number = &numbers[row];
  ws_handle session = WS_NO_HANDLE;
  uint64_t limit = number->size == 4 ? UINT32_MAX : UINT64_MAX;
  check_label("%s", number->name);
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  CHECK_STATUS(WS_OK, set_number(session, number, number->least));
  CHECK(number_is(session, number, number->least));
  if (number->least + 1 <= number->most) CHECK_STATUS(WS_OK, set_number(session, number, number->least + 1));
  if (number->most - 1 >= number->least) CHECK_STATUS(WS_OK, set_number(session, number, number->most - 1));
  CHECK_STATUS(WS_OK, set_number(session, number, number->most));
  CHECK(number_is(session, number, number->most));
  if (number->most < limit) CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, set_number(session, number, number->most + 1));
  if (number->least > 0) {
    uint64_t below = number->least - 1;
    bool is_none = below == 0 && number->has_zero;
    CHECK_STATUS(is_none ? WS_OK : WS_ERROR_INVALID_PARAMETER, set_number(session, number, below));
    CHECK_STATUS(number->has_zero ? WS_OK : WS_ERROR_INVALID_PARAMETER, set_number(session, number, 0));
  }
  if (!number->has_zero) CHECK(number_is(session, number, number->most));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

static void a_length(size_t row) {
  const number_row *number = &numbers[row];
  uint8_t bytes[16] = {0};
  ws_handle session = WS_NO_HANDLE;
  size_t length;
  check_label("%s", number->name);
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  for (length = 0; length <= sizeof bytes; length++) {
    if (length != number->size) CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_set_option(session, number->option, bytes, length));
  }
  CHECK(number_is(session, number, number->initial));
  memset(bytes, 0x5a, sizeof bytes);
  length = number->size - 1;
  CHECK_STATUS(WS_ERROR_INSUFFICIENT_BUFFER, ws_query_option(session, number->option, bytes, &length));
  CHECK_NUMBER(number->size, length);
  for (size_t i = 0; i < sizeof bytes; i++) CHECK_NUMBER(0x5a, bytes[i]);
  length = 0;
  CHECK_STATUS(WS_ERROR_INSUFFICIENT_BUFFER, ws_query_option(session, number->option, NULL, &length));
  CHECK_NUMBER(number->size, length);
  length = sizeof bytes;
  CHECK_STATUS(WS_OK, ws_query_option(session, number->option, bytes, &length));
  CHECK_NUMBER(number->size, length);
  CHECK_NUMBER(0x5a, bytes[number->size]);
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

/* An odd address is as good as any: other languages pass packed memory. */
static void an_unaligned_value(size_t row) {
  const number_row *number = &numbers[row];
  uint8_t bytes[17] = {0};
  ws_handle session = WS_NO_HANDLE;
  size_t length = number->size;
  check_label("%s", number->name);
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  CHECK_STATUS(WS_OK, ws_query_option(session, number->option, bytes + 1, &length));
  CHECK_STATUS(WS_OK, ws_set_option(session, number->option, bytes + 1, number->size));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

/* A child takes what its parent has when it is made; what changes later stays with whom it was set on. */
static void inheritance(size_t row) {
  const number_row *number = &numbers[row];
  uint64_t first = number->most == 1 ? 1 - number->initial : number->most - 1, second = number->most == 1 ? number->initial : number->most;
  ws_handle session = WS_NO_HANDLE, child = WS_NO_HANDLE, later = WS_NO_HANDLE;
  bool client = (number->owners & BIT(REQUEST)) != 0;
  const char *url = client ? "ws://127.0.0.1:1/" : "ws://127.0.0.1:0/";
  ws_status (*make)(ws_handle, const char *, ws_handle *) = client ? ws_connect : ws_listen;
  check_label("%s", number->name);
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  CHECK_STATUS(WS_OK, set_number(session, number, first));
  REQUIRE_STATUS(WS_OK, make(session, url, &child));
  CHECK(number_is(child, number, first));
  CHECK_STATUS(WS_OK, set_number(session, number, second));
  CHECK(number_is(child, number, first));
  REQUIRE_STATUS(WS_OK, make(session, url, &later));
  CHECK(number_is(later, number, second));
  CHECK_STATUS(WS_OK, set_number(later, number, first));
  CHECK(number_is(session, number, second));
  CHECK_STATUS(WS_OK, ws_close_handle(child));
  CHECK_STATUS(WS_OK, ws_close_handle(later));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

static const pair_role roles[] = {LIBRARY_IS_CLIENT, LIBRARY_IS_SERVER};

/* Through every generation: session → (listener →) request → WebSocket. */
static void a_websocket_inherits(size_t row) {
  const number_row *number = NULL;
  pair pair;
  check_label("%s", pair_role_name(roles[row]));
  REQUIRE(pair_begin(&pair, roles[row]));
  for (size_t i = 0; i < CHECK_COUNT(numbers); i++) {
    if (numbers[i].option == WS_OPTION_CLOSE_TIMEOUT) number = &numbers[i];
  }
  REQUIRE(number != NULL);
  CHECK_STATUS(WS_OK, set_number(pair.session, number, 4321));
  REQUIRE(pair_upgrade(&pair));
  CHECK(number_is(pair.websocket, number, 4321));
  CHECK_STATUS(WS_OK, set_number(pair.session, number, 1234));
  CHECK(number_is(pair.websocket, number, 4321));
  pair_close(&pair);
}

/* ---- texts ------------------------------------------------------------------------------------------------------------------------- */

typedef struct text_row {
  ws_option option;
  unsigned owners;
  const char *value;
  size_t length;
  ws_status status;
  const char *queried;       /* what a query gives after it */
} text_row;

#define BAD WS_ERROR_INVALID_PARAMETER
#define SUBPROTOCOLS WS_OPTION_SUBPROTOCOLS, OPENING_CORE
#define PROXY WS_OPTION_PROXY, CLIENT
#define OWN_ADDRESS WS_OPTION_BIND_ADDRESS, CLIENT
#define ORIGINS WS_OPTION_ORIGINS, (SERVER | BIT(SERVER_REQUEST) | BIT(PROTOCOL))

static const text_row texts[] = {
    {SUBPROTOCOLS, "chat", 4, WS_OK, "chat"},
    {SUBPROTOCOLS, "a, b", 4, WS_OK, "a, b"},
    {SUBPROTOCOLS, "a,b", 3, WS_OK, "a, b"},
    {SUBPROTOCOLS, "  a ,\tb ", 8, WS_OK, "a, b"},
    {SUBPROTOCOLS, "", 0, WS_OK, ""},
    {SUBPROTOCOLS, NULL, 0, WS_OK, ""},
    {SUBPROTOCOLS, "chatter", 4, WS_OK, "chat"},
    {SUBPROTOCOLS, "a,,b", 4, BAD, ""},
    {SUBPROTOCOLS, "a, a", 4, BAD, ""},
    {SUBPROTOCOLS, "a b", 3, BAD, ""},
    {SUBPROTOCOLS, "a;b", 3, BAD, ""},
    {SUBPROTOCOLS, "a\0", 2, BAD, ""},
    {SUBPROTOCOLS, "a\r\nX-Smuggled: 1", 16, BAD, ""},
    {SUBPROTOCOLS, "\xc3\xa4", 2, BAD, ""},
    {SUBPROTOCOLS, "\xff", 1, BAD, ""},
    {SUBPROTOCOLS, NULL, 4, BAD, ""},
    {PROXY, "http://user:secret@proxy.example:3128", 37, WS_OK, "http://proxy.example:3128"},
    {PROXY, "socks5h://[::1]", 15, WS_OK, "socks5://[::1]:1080"},
    {PROXY, "proxy:8080", 10, WS_OK, "http://proxy:8080"},
    {PROXY, "", 0, WS_OK, ""},
    {PROXY, "https://proxy", 13, WS_ERROR_NOT_SUPPORTED, ""},
    {PROXY, "ftp://proxy", 11, BAD, ""},
    {PROXY, "http://h:port", 13, BAD, ""},
    {PROXY, "http://h/path", 13, BAD, ""},
    {PROXY, "http://\xff", 8, BAD, ""},
    {OWN_ADDRESS, "127.0.0.1", 9, WS_OK, "127.0.0.1"},
    {OWN_ADDRESS, "0:0::1", 6, WS_OK, "::1"},
    {OWN_ADDRESS, "", 0, WS_OK, ""},
    {OWN_ADDRESS, "localhost", 9, BAD, ""},
    {OWN_ADDRESS, "127.0.0.1:80", 12, BAD, ""},
    {ORIGINS, "*", 1, WS_OK, "*"},
    {ORIGINS, "https://a.example, http://b.example:81", 38, WS_OK, "https://a.example, http://b.example:81"},
    {ORIGINS, "https://a.example https://b.example", 35, BAD, ""},
    {ORIGINS, "a\r\nb", 4, BAD, ""},
};

static void a_text(size_t row) {
  const text_row *text = &texts[row];
  objects objects;
  check_label("%d, row %zu", (int)text->option, row);
  REQUIRE(objects_open(&objects));
  for (size_t kind = 0; kind < KINDS; kind++) {
    char value[64] = "";
    size_t length = sizeof value, needed = strlen(text->queried) + 1;
    if ((text->owners & BIT(kind)) == 0) {
      if (text->value != NULL)
        CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_TYPE, ws_set_option(objects.handles[kind], text->option, text->value, text->length));
      continue;
    }
    CHECK_STATUS(text->status, ws_set_option(objects.handles[kind], text->option, text->value, text->length));
    CHECK_STATUS(WS_OK, ws_query_option(objects.handles[kind], text->option, value, &length));
    CHECK_TEXT(text->queried, value);
    CHECK_NUMBER(needed - 1, length);
    length = needed - 1; /* no room for the terminator */
    memset(value, '#', sizeof value);
    CHECK_STATUS(WS_ERROR_INSUFFICIENT_BUFFER, ws_query_option(objects.handles[kind], text->option, value, &length));
    CHECK_NUMBER(needed, length);
    CHECK_NUMBER('#', value[0]);
    CHECK_STATUS(WS_OK, ws_query_option(objects.handles[kind], text->option, value, &length));
    CHECK_TEXT(text->queried, value);
  }
  objects_close(&objects);
}

/* ---- what can only be asked -------------------------------------------------------------------------------------------------------- */

typedef struct known_row {
  const char *name;
  ws_option option;
  unsigned owners;
} known_row;

#define KNOWN(name, owners) {#name, WS_OPTION_##name, owners}

static const known_row known[] = {
    KNOWN(URL, CONNECTED | BIT(LISTENER) | BIT(PROTOCOL)),
    KNOWN(SUBPROTOCOL, CONNECTED | BIT(PROTOCOL)),
    KNOWN(EXTENSIONS, BIT(WEBSOCKET) | BIT(PROTOCOL)),
    KNOWN(IS_WEBSOCKET, BIT(SERVER_REQUEST) | BIT(PROTOCOL)),
    KNOWN(METHOD, BIT(SERVER_REQUEST) | BIT(PROTOCOL)),
    KNOWN(TARGET, BIT(SERVER_REQUEST) | BIT(PROTOCOL)),
    KNOWN(LOCAL_ADDRESS, CONNECTED | BIT(LISTENER)),
    KNOWN(REMOTE_ADDRESS, CONNECTED),
    KNOWN(REQUEST_HEAD, BIT(REQUEST)),
    KNOWN(REASON_PHRASE, BIT(REQUEST)),
    KNOWN(CLOSE_STATE, BIT(WEBSOCKET) | BIT(PROTOCOL)),
    KNOWN(HANDLE_KIND, ANYTHING),
    KNOWN(FEATURES, ANYTHING),
};

static bool is_asked_too_early(ws_option option, kind kind) {
  if (kind == PROTOCOL) return option == WS_OPTION_IS_WEBSOCKET || option == WS_OPTION_METHOD || option == WS_OPTION_TARGET;
  if (option == WS_OPTION_REQUEST_HEAD || option == WS_OPTION_REASON_PHRASE) return true;
  return kind == REQUEST && (option == WS_OPTION_SUBPROTOCOL || option == WS_OPTION_LOCAL_ADDRESS || option == WS_OPTION_REMOTE_ADDRESS);
}

static void a_known_option(size_t row) {
  objects objects;
  check_label("%s", known[row].name);
  REQUIRE(objects_open(&objects));
  for (size_t kind = 0; kind < KINDS; kind++) {
    char value[128];
    size_t length = sizeof value;
    ws_status expected = (known[row].owners & BIT(kind)) == 0            ? WS_ERROR_INCORRECT_HANDLE_TYPE
                         : is_asked_too_early(known[row].option, (enum kind)kind) ? WS_ERROR_INCORRECT_HANDLE_STATE
                                                                         : WS_OK;
    CHECK_STATUS(expected, ws_query_option(objects.handles[kind], known[row].option, value, &length));
    if (expected != WS_OK) CHECK_NUMBER(sizeof value, length);
    CHECK_STATUS(WS_ERROR_OPTION_NOT_SETTABLE, ws_set_option(objects.handles[kind], known[row].option, "1234", 4));
  }
  objects_close(&objects);
}

static bool text_is(ws_handle handle, ws_option option, const char *expected) {
  char value[128] = "";
  size_t length = sizeof value;
  return CHECK_STATUS(WS_OK, ws_query_option(handle, option, value, &length)) && CHECK_TEXT(expected, value) &&
         CHECK_NUMBER(strlen(expected), length);
}

static uint32_t ask_u32(ws_handle handle, ws_option option) {
  uint32_t value = 4711;
  size_t length = sizeof value;
  CHECK_STATUS(WS_OK, ws_query_option(handle, option, &value, &length));
  return value;
}

static void what_is_known_is_right(void) {
  char address[64], url[80];
  struct sockaddr_in name;
  socklen_t size = sizeof name;
  objects objects;
  REQUIRE(objects_open(&objects));
  CHECK(text_is(objects.handles[REQUEST], WS_OPTION_URL, "ws://127.0.0.1:1/"));
  CHECK(text_is(objects.handles[SERVER_REQUEST], WS_OPTION_TARGET, "/"));
  CHECK(text_is(objects.handles[SERVER_REQUEST], WS_OPTION_METHOD, "GET"));
  CHECK(text_is(objects.handles[WEBSOCKET], WS_OPTION_SUBPROTOCOL, ""));
  CHECK(text_is(objects.handles[WEBSOCKET], WS_OPTION_EXTENSIONS, ""));
  CHECK_NUMBER(1, ask_u32(objects.handles[SERVER_REQUEST], WS_OPTION_IS_WEBSOCKET));
  CHECK_NUMBER(0, ask_u32(objects.handles[WEBSOCKET], WS_OPTION_CLOSE_STATE));
  CHECK_NUMBER(1, ask_u32(objects.handles[SESSION], WS_OPTION_HANDLE_KIND));
  CHECK_NUMBER(2, ask_u32(objects.handles[REQUEST], WS_OPTION_HANDLE_KIND));
  CHECK_NUMBER(2, ask_u32(objects.handles[SERVER_REQUEST], WS_OPTION_HANDLE_KIND));
  CHECK_NUMBER(3, ask_u32(objects.handles[WEBSOCKET], WS_OPTION_HANDLE_KIND));
  CHECK_NUMBER(4, ask_u32(objects.handles[LISTENER], WS_OPTION_HANDLE_KIND));
  CHECK_NUMBER(5, ask_u32(objects.handles[LOOP], WS_OPTION_HANDLE_KIND));
  CHECK_NUMBER(6, ask_u32(objects.handles[PREPARED], WS_OPTION_HANDLE_KIND));
  CHECK_NUMBER(7, ask_u32(objects.handles[PROTOCOL], WS_OPTION_HANDLE_KIND));
  CHECK((ask_u32(WS_NO_HANDLE, WS_OPTION_FEATURES) & 4u) != 0);
  CHECK_NUMBER(ask_u32(WS_NO_HANDLE, WS_OPTION_FEATURES), ask_u32(objects.handles[SESSION], WS_OPTION_FEATURES));
  REQUIRE(getsockname(objects.pair.peer, (struct sockaddr *)&name, &size) == 0);
  (void)snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)ntohs(name.sin_port));
  CHECK(text_is(objects.handles[WEBSOCKET], WS_OPTION_REMOTE_ADDRESS, address));
  size = sizeof name;
  REQUIRE(getpeername(objects.pair.peer, (struct sockaddr *)&name, &size) == 0);
  (void)snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)ntohs(name.sin_port));
  CHECK(text_is(objects.handles[WEBSOCKET], WS_OPTION_LOCAL_ADDRESS, address));
  size = sizeof name;
  REQUIRE(getpeername(objects.dialled, (struct sockaddr *)&name, &size) == 0);
  (void)snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)ntohs(name.sin_port));
  (void)snprintf(url, sizeof url, "ws://%s/", address);
  CHECK(text_is(objects.handles[LISTENER], WS_OPTION_LOCAL_ADDRESS, address));
  CHECK(text_is(objects.handles[LISTENER], WS_OPTION_URL, url));
  CHECK(text_is(objects.handles[SERVER_REQUEST], WS_OPTION_LOCAL_ADDRESS, address));
  objects_close(&objects);
}

/* ---- the rest ---------------------------------------------------------------------------------------------------------------------- */

static const ws_option unknown[] = {0, 1, 2, 4, 5, 7, -1, 31, 114, 12999, 13004, 13099, 14000, INT32_MAX, INT32_MIN};

static void an_unknown_option(size_t row) {
  objects objects;
  check_label("%d", (int)unknown[row]);
  REQUIRE(objects_open(&objects));
  for (size_t kind = 0; kind < KINDS; kind++) {
    char value[16] = "#";
    size_t length = sizeof value;
    CHECK_STATUS(WS_ERROR_INVALID_OPTION, ws_query_option(objects.handles[kind], unknown[row], value, &length));
    CHECK_NUMBER(sizeof value, length);
    CHECK_NUMBER('#', value[0]);
    CHECK_STATUS(WS_ERROR_INVALID_OPTION, ws_set_option(objects.handles[kind], unknown[row], value, 4));
    CHECK_STATUS(WS_ERROR_INVALID_OPTION, ws_set_option(objects.handles[kind], unknown[row], NULL, 0));
  }
  objects_close(&objects);
}

/* The program's own pointer: kept as it is, inherited, never followed. */
static void the_context_is_inherited(void) {
  void *context = (void *)(uintptr_t)0x1234567u, *queried = NULL;
  size_t length = sizeof queried;
  ws_handle session = WS_NO_HANDLE, request = WS_NO_HANDLE;
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  CHECK_STATUS(WS_OK, ws_query_option(session, WS_OPTION_CONTEXT, &queried, &length));
  CHECK(queried == NULL);
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_set_option(session, WS_OPTION_CONTEXT, &context, sizeof context - 1));
  CHECK_STATUS(WS_OK, ws_set_option(session, WS_OPTION_CONTEXT, &context, sizeof context));
  REQUIRE_STATUS(WS_OK, ws_connect(session, "ws://127.0.0.1:1/", &request));
  CHECK_STATUS(WS_OK, ws_query_option(request, WS_OPTION_CONTEXT, &queried, &length));
  CHECK(queried == context);
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_ROWS(a_default, numbers),
      CHECK_ROWS(a_range, numbers),
      CHECK_ROWS(a_length, numbers),
      CHECK_ROWS(an_unaligned_value, numbers),
      CHECK_ROWS(inheritance, numbers),
      CHECK_ROWS(a_websocket_inherits, roles),
      CHECK_ROWS(a_text, texts),
      CHECK_ROWS(a_known_option, known),
      CHECK_TEST(what_is_known_is_right),
      CHECK_ROWS(an_unknown_option, unknown),
      CHECK_TEST(the_context_is_inherited),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
