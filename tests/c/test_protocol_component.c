/* The protocol component as a C program sees it: arguments, the order of calls, actions and their contexts, and whose memory is whose. */
#include <pthread.h>
#include <sys/socket.h>

#include "protocol.h"

/* ---- making one, and the order of calls --------------------------------------------------------------------------------------------- */

static void create_arguments(void) {
  ws_handle protocol = 4711;
  ws_action action;
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_protocol_create(0, NULL, &protocol));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_protocol_create(0, end_seed, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_protocol_create(2, end_seed, &protocol));
  CHECK_NUMBER(4711, protocol);
  for (uint32_t role = 0; role < 2; role++) {
    REQUIRE_STATUS(WS_OK, ws_protocol_create(role, end_seed, &protocol));
    memset(&action, 0, sizeof action);
    CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_protocol_get_action(protocol, 0, &action));
    action.size = (uint32_t)sizeof action - 1;
    CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_protocol_get_action(protocol, 0, &action));
    CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_TYPE, ws_cancel(protocol, WS_OPERATION_ALL));
    CHECK_STATUS(WS_OK, ws_close_handle(protocol));
    CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_protocol_abort(protocol));
  }
}

/* A program that is newer than the library has more fields; the library says that they are nothing. */
static void a_larger_action_is_filled_with_zeros(void) {
  struct {
    ws_action action;
    uint64_t newer[2];
  } larger;
  end *end = end_create(0);
  memset(&larger, 0xee, sizeof larger);
  larger.action.size = (uint32_t)sizeof larger;
  CHECK_STATUS(WS_OK, ws_protocol_get_action(end->protocol, 0, &larger.action));
  CHECK_NUMBER(WS_ACTION_NONE, larger.action.kind);
  CHECK(larger.newer[0] == 0 && larger.newer[1] == 0);
  end_close(end);
}

static void nothing_is_possible_before_the_handshake(void) {
  for (uint32_t role = 0; role < 2; role++) {
    end *end = end_create(role);
    char room[4];
    const char *url = role == 0 ? "ws://server.example/" : NULL;
    for (int i = 0; i < 2; i++) {
      CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, end_send(end, WS_UTF8_MESSAGE, "x", 1, NULL));
      CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_protocol_receive(end->protocol, room, sizeof room, NULL));
      CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_protocol_control(end->protocol, 9, 0, NULL, 0));
      CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_protocol_accept(end->protocol));
      CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_respond(end->protocol, 404, NULL, NULL, 0));
      if (i == 0) CHECK_STATUS(WS_OK, ws_protocol_begin(end->protocol, url));
    }
    CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_protocol_begin(end->protocol, url));
    end_close(end);
  }
}

static void begin_takes_a_url_for_a_client_alone(void) {
  end *client = end_create(0), *server = end_create(1);
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_protocol_begin(client->protocol, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_protocol_begin(server->protocol, "ws://server.example/"));
  CHECK_STATUS(WS_ERROR_UNRECOGNIZED_SCHEME, ws_protocol_begin(client->protocol, "http://server.example/"));
  CHECK_STATUS(WS_ERROR_INVALID_URL, ws_protocol_begin(client->protocol, "ws://"));
  /* What was refused has left no trace. */
  CHECK_STATUS(WS_OK, ws_protocol_begin(client->protocol, "wss://server.example/"));
  CHECK_STATUS(WS_OK, ws_protocol_begin(server->protocol, NULL));
  end_close(client);
  end_close(server);
}

typedef struct control_row {
  uint32_t opcode;
  uint16_t status;
  const char *data;
  size_t length;
  ws_status expected;
} control_row;

static const char long_data[126] = {0};

static const control_row controls[] = {
    {8, 1000, "bye", 3, WS_OK},
    {8, 1005, NULL, 0, WS_OK},
    {8, 1000, long_data, 123, WS_OK},
    {8, 1000, long_data, 124, WS_ERROR_INVALID_PARAMETER},
    {8, 1005, "x", 1, WS_ERROR_INVALID_PARAMETER},
    {8, 0, NULL, 0, WS_ERROR_INVALID_PARAMETER},
    {8, 1006, NULL, 0, WS_ERROR_INVALID_PARAMETER},
    {8, 1000, "\xff", 1, WS_ERROR_INVALID_PARAMETER},
    {9, 0, long_data, 125, WS_OK},
    {9, 0, long_data, 126, WS_ERROR_INVALID_PARAMETER},
    {9, 1, NULL, 0, WS_ERROR_INVALID_PARAMETER},
    {10, 0, "x", 1, WS_OK},
    {10, 0, long_data, 126, WS_ERROR_INVALID_PARAMETER},
    {10, 1000, NULL, 0, WS_ERROR_INVALID_PARAMETER},
    {0, 0, NULL, 0, WS_ERROR_INVALID_PARAMETER},
    {1, 0, "x", 1, WS_ERROR_INVALID_PARAMETER},
    {11, 0, NULL, 0, WS_ERROR_INVALID_PARAMETER},
    {UINT32_MAX, 0, NULL, 0, WS_ERROR_INVALID_PARAMETER},
};

static void a_control_frame(size_t row) {
  const control_row *control = &controls[row];
  end *client, *server;
  check_label("opcode %u, status %u, %zu bytes", (unsigned)control->opcode, (unsigned)control->status, control->length);
  REQUIRE(ends_open(&client, &server));
  CHECK_STATUS(control->expected, ws_protocol_control(server->protocol, control->opcode, control->status, control->data, control->length));
  end_flush(server);
  CHECK_NUMBER(control->expected != WS_OK ? 0u : control->length + (control->opcode == 8 && control->status != 1005 ? 4u : 2u), server->written);
  end_close(client);
  end_close(server);
}

static void what_cannot_be_sent_leaves_no_trace(void) {
  end *client, *server;
  ws_bytes without_data;
  char room[4];
  without_data.data = NULL;
  without_data.length = 1;
  REQUIRE(ends_open(&client, &server));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, end_send(server, WS_CLOSE_FRAME, "x", 1, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, end_send(server, 17, "x", 1, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, end_send(server, WS_UTF8_MESSAGE, "\xff", 1, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_protocol_send(server->protocol, WS_UTF8_MESSAGE, 0, &without_data, 1, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_protocol_send(server->protocol, WS_UTF8_MESSAGE, 8, NULL, 0, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_protocol_receive(server->protocol, NULL, 1, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_protocol_receive(server->protocol, room, 0, NULL));
  CHECK_STATUS(WS_OK, end_send(server, WS_UTF8_FRAGMENT, "a", 1, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, end_send(server, WS_BINARY_MESSAGE, "x", 1, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_protocol_send(server->protocol, WS_UTF8_MESSAGE, WS_SEND_WHOLE, NULL, 0, NULL));
  CHECK_STATUS(WS_OK, ws_protocol_send(server->protocol, WS_UTF8_MESSAGE, WS_SEND_NOTIFY | WS_SEND_UNCOMPRESSED, NULL, 0, NULL));
  end_flush(server);
  CHECK(WROTE(server, "\x01\x01" "a\x80\x00"));
  CHECK_NUMBER(2, server->told_count);
  end_close(client);
  end_close(server);
}

/* ---- the handshake -------------------------------------------------------------------------------------------------------------------- */

static bool text_is(ws_handle handle, ws_option option, const char *expected) {
  char value[128] = "";
  size_t length = sizeof value;
  return CHECK_STATUS(WS_OK, ws_query_option(handle, option, value, &length)) && CHECK_TEXT(expected, value);
}

static bool header_is(ws_handle handle, const char *name, const char *expected) {
  char value[128] = "";
  size_t length = sizeof value;
  return CHECK_STATUS(WS_OK, ws_query_header(handle, name, 0, value, &length)) && CHECK_TEXT(expected, value);
}

static void the_handshake_as_bytes(void) {
  end *client = end_create(0), *server = end_create(1);
  const char *name, *value;
  uint16_t http_status = 0;
  CHECK_STATUS(WS_OK, ws_set_option(client->protocol, WS_OPTION_SUBPROTOCOLS, "chat, echo", 10));
  CHECK_STATUS(WS_OK, ws_set_option(server->protocol, WS_OPTION_SUBPROTOCOLS, "echo, chat", 10));
  CHECK_STATUS(WS_OK, ws_add_header(client->protocol, "X-Colour", "green"));
  CHECK_STATUS(WS_ERROR_INVALID_HEADER, ws_add_header(client->protocol, "Sec-WebSocket-Key", "mine"));
  CHECK_STATUS(WS_ERROR_INVALID_HEADER, ws_add_header(client->protocol, "X", "a\r\nb"));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_query_response(client->protocol, &http_status));
  CHECK_STATUS(WS_OK, ws_protocol_begin(client->protocol, "ws://server.example:81/chat?room=1"));
  CHECK_STATUS(WS_OK, ws_protocol_begin(server->protocol, NULL));
  end_flush(client);
  REQUIRE(end_hears(server, client->wire, client->written));
  REQUIRE(was_told(server, WS_ACTION_HANDSHAKEN, WS_OK));
  CHECK(text_is(server->protocol, WS_OPTION_TARGET, "/chat?room=1") && text_is(server->protocol, WS_OPTION_METHOD, "GET"));
  CHECK(text_is(server->protocol, WS_OPTION_URL, "ws://server.example:81/chat?room=1"));
  CHECK(header_is(server->protocol, "x-colour", "green") && header_is(server->protocol, "Host", "server.example:81"));
  CHECK_STATUS(WS_OK, ws_query_header_at(server->protocol, 0, &name, &value));
  CHECK_TEXT("Host", name);
  CHECK_STATUS(WS_ERROR_HEADER_NOT_FOUND, ws_query_header_at(server->protocol, 99, &name, &value));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_TYPE, ws_query_response(server->protocol, &http_status));
  CHECK_STATUS(WS_OK, ws_add_header(server->protocol, "X-Shape", "round"));
  CHECK_STATUS(WS_OK, ws_protocol_accept(server->protocol));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_protocol_accept(server->protocol));
  CHECK_STATUS(WS_OK, end_send(server, WS_UTF8_MESSAGE, "early", 5, NULL)); /* behind the 101 */
  end_flush(server);
  REQUIRE(end_hears(client, server->wire, server->written));
  CHECK(was_told(client, WS_ACTION_HANDSHAKEN, WS_OK));
  CHECK_STATUS(WS_OK, ws_query_response(client->protocol, &http_status));
  CHECK_NUMBER(101, http_status);
  CHECK(header_is(client->protocol, "X-Shape", "round"));
  CHECK(text_is(client->protocol, WS_OPTION_SUBPROTOCOL, "echo") && text_is(server->protocol, WS_OPTION_SUBPROTOCOL, "echo"));
  CHECK(text_is(client->protocol, WS_OPTION_EXTENSIONS, "") && text_is(client->protocol, WS_OPTION_URL, "ws://server.example:81/chat?room=1"));
  CHECK_STATUS(WS_OK, ws_protocol_receive(client->protocol, NULL, 0, NULL));
  end_act(client);
  CHECK_BYTES("early", 5, client->heard, client->heard_length);
  end_close(client);
  end_close(server);
}

static void a_refused_client_is_told_why(void) {
  end *client = end_create(0);
  uint16_t http_status = 0;
  ws_error_info info;
  memset(&info, 0, sizeof info);
  info.size = (uint32_t)sizeof info;
  CHECK_STATUS(WS_OK, ws_protocol_begin(client->protocol, "ws://server.example/"));
  end_flush(client);
  CHECK(HEARS(client, "HTTP/1.1 403 Forbidden\r\nX-Why: because\r\n\r\n"));
  CHECK(was_told(client, WS_ACTION_HANDSHAKEN, WS_ERROR_UPGRADE_REFUSED) && was_told(client, WS_ACTION_CLOSED, WS_ERROR_UPGRADE_REFUSED));
  CHECK(error_says(client->protocol, WS_ERROR_UPGRADE_REFUSED, "server answered 403 Forbidden, expected 101"));
  CHECK_STATUS(WS_OK, ws_query_error(client->protocol, &info));
  CHECK_NUMBER(403, info.http_status);
  CHECK_STATUS(WS_OK, ws_query_response(client->protocol, &http_status));
  CHECK_NUMBER(403, http_status);
  CHECK(header_is(client->protocol, "X-Why", "because"));
  CHECK_STATUS(WS_ERROR_UPGRADE_REFUSED, end_send(client, WS_UTF8_MESSAGE, "x", 1, NULL));
  end_close(client);
}

static void a_server_refuses_by_itself_and_as_it_is_told(void) {
  end *broken = end_create(1), *plain = end_create(1);
  uint32_t is_websocket = 4711;
  size_t length = sizeof is_websocket;
  CHECK_STATUS(WS_OK, ws_protocol_begin(broken->protocol, NULL));
  CHECK(HEARS(broken, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 12\r\n\r\n"));
  end_flush(broken);
  CHECK(was_told(broken, WS_ACTION_HANDSHAKEN, WS_ERROR_UPGRADE_REFUSED) && was_told(broken, WS_ACTION_CLOSED, WS_ERROR_UPGRADE_REFUSED));
  CHECK(memcmp(broken->wire, "HTTP/1.1 426 Upgrade Required\r\n", 31) == 0);
  CHECK_STATUS(WS_OK, ws_protocol_begin(plain->protocol, NULL));
  CHECK(HEARS(plain, "GET /page HTTP/1.1\r\nHost: a\r\n\r\n"));
  CHECK(was_told(plain, WS_ACTION_HANDSHAKEN, WS_OK));
  CHECK_STATUS(WS_OK, ws_query_option(plain->protocol, WS_OPTION_IS_WEBSOCKET, &is_websocket, &length));
  CHECK_NUMBER(0, is_websocket);
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_protocol_accept(plain->protocol));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_respond(plain->protocol, 101, NULL, NULL, 0));
  CHECK_STATUS(WS_OK, ws_add_header(plain->protocol, "X-Page", "1"));
  CHECK_STATUS(WS_OK, ws_respond(plain->protocol, 200, "text/plain", "hello", 5));
  end_flush(plain);
  CHECK(WROTE(plain, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nX-Page: 1\r\nContent-Length: 5\r\n\r\nhello"));
  CHECK(was_told(plain, WS_ACTION_CLOSED, WS_OK));
  end_close(broken);
  end_close(plain);
}

static ws_header header(const char *name, const char *value) {
  ws_header header;
  header.name.data = name;
  header.name.length = strlen(name);
  header.value.data = value;
  header.value.length = strlen(value);
  return header;
}

static bool is_header(const ws_header *found, const char *name, const char *value) {
  return CHECK_BYTES(name, strlen(name), found->name.data, found->name.length) &&
         (value == NULL || CHECK_BYTES(value, strlen(value), found->value.data, found->value.length));
}

/* RFC 6455 §1.3 has this key and its answer. */
static void a_server_takes_and_gives_lists_of_headers(void) {
  end *server = end_create(1);
  const ws_header *additional = NULL;
  size_t count = 0;
  ws_header request[6], foreign[7];
  ws_error_info info;
  memset(&info, 0, sizeof info);
  info.size = (uint32_t)sizeof info;
  request[0] = header("host", "server.example");
  request[1] = header("upgrade", "websocket");
  request[2] = header("connection", "keep-alive, Upgrade");
  request[3] = header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
  request[4] = header("sec-websocket-version", "13");
  request[5] = header("sec-websocket-protocol", "superchat, chat");
  memcpy(foreign, request, sizeof request);
  foreign[6] = header("Origin", "https://elsewhere.example");
  CHECK_STATUS(WS_OK, ws_set_option(server->protocol, WS_OPTION_SUBPROTOCOLS, "chat", 4));
  CHECK_STATUS(WS_OK, ws_add_header(server->protocol, "X-Shape", "round"));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_protocol_begin_headers(server->protocol, NULL, 0, &additional, &count));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_protocol_begin_headers(server->protocol, request, 1, &additional, &count));
  CHECK_STATUS(WS_ERROR_UPGRADE_REFUSED, ws_protocol_begin_headers(server->protocol, request, 4, &additional, &count));
  CHECK_STATUS(WS_OK, ws_query_error(server->protocol, &info));
  CHECK_NUMBER(400, info.http_status);
  CHECK_STATUS(WS_ERROR_UPGRADE_REFUSED, ws_protocol_begin_headers(server->protocol, foreign, 7, &additional, &count));
  CHECK_STATUS(WS_OK, ws_query_error(server->protocol, &info));
  CHECK_NUMBER(403, info.http_status);
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_protocol_end_headers(server->protocol, NULL, 0));
  CHECK(additional == NULL && count == 0);
  REQUIRE_STATUS(WS_OK, ws_protocol_begin_headers(server->protocol, request, 6, &additional, &count));
  REQUIRE(CHECK_NUMBER(5, count));
  CHECK(is_header(&additional[0], "Upgrade", "websocket") && is_header(&additional[1], "Connection", "Upgrade"));
  CHECK(is_header(&additional[2], "Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
  CHECK(is_header(&additional[3], "Sec-WebSocket-Protocol", "chat") && is_header(&additional[4], "X-Shape", "round"));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, end_send(server, WS_UTF8_MESSAGE, "x", 1, NULL));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_protocol_begin_headers(server->protocol, request, 6, &additional, &count));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_protocol_end_headers(server->protocol, request, 6));
  CHECK_STATUS(WS_OK, ws_protocol_end_headers(server->protocol, NULL, 0));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_protocol_end_headers(server->protocol, NULL, 0));
  CHECK(header_is(server->protocol, "Host", "server.example"));
  CHECK_STATUS(WS_OK, end_send(server, WS_UTF8_MESSAGE, "x", 1, NULL));
  end_flush(server);
  CHECK(WROTE(server, "\x81\x01x"));
  end_close(server);
}

static void a_client_takes_and_gives_lists_of_headers(void) {
  end *client = end_create(0), *server = end_create(1);
  const ws_header *asked = NULL, *answered = NULL;
  ws_header request[8], wrong[3], invalid = header("a b", "c");
  size_t count = 0, answered_count = 0;
  CHECK_STATUS(WS_OK, ws_set_option(client->protocol, WS_OPTION_SUBPROTOCOLS, "chat", 4));
  CHECK_STATUS(WS_ERROR_INVALID_HEADER, ws_protocol_begin_headers(client->protocol, &invalid, 1, &asked, &count));
  REQUIRE_STATUS(WS_OK, ws_protocol_begin_headers(client->protocol, NULL, 0, &asked, &count));
  REQUIRE(CHECK_NUMBER(5, count));
  CHECK(is_header(&asked[0], "Upgrade", "websocket") && is_header(&asked[1], "Connection", "Upgrade") && is_header(&asked[2], "Sec-WebSocket-Key", NULL));
  CHECK(is_header(&asked[3], "Sec-WebSocket-Version", "13") && is_header(&asked[4], "Sec-WebSocket-Protocol", "chat"));
  memcpy(request + 1, asked, count * sizeof *asked);
  request[0] = header("Host", "a");
  REQUIRE_STATUS(WS_OK, ws_protocol_begin_headers(server->protocol, request, count + 1, &answered, &answered_count));
  /* Another server's answer is none to this key. */
  wrong[0] = header("Upgrade", "websocket");
  wrong[1] = header("Connection", "Upgrade");
  wrong[2] = header("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  CHECK_STATUS(WS_ERROR_INVALID_SERVER_RESPONSE, ws_protocol_end_headers(client->protocol, wrong, 3));
  CHECK_STATUS(WS_ERROR_INVALID_SERVER_RESPONSE, ws_protocol_end_headers(client->protocol, wrong, 2));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_protocol_end_headers(client->protocol, NULL, 0));
  CHECK_STATUS(WS_ERROR_INVALID_HEADER, ws_protocol_end_headers(client->protocol, &invalid, 1));
  CHECK_STATUS(WS_OK, ws_protocol_end_headers(client->protocol, answered, answered_count));
  CHECK_STATUS(WS_OK, ws_protocol_end_headers(server->protocol, NULL, 0));
  CHECK(text_is(client->protocol, WS_OPTION_SUBPROTOCOL, ""));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_protocol_begin(client->protocol, "ws://a/"));
  CHECK_NUMBER(0, client->told_count); /* the calls have said it all */
  end_close(client);
  end_close(server);
}

/* ---- actions ---------------------------------------------------------------------------------------------------------------------------- */

static void contexts_come_back_with_their_actions(void) {
  static char tags[4];
  end *client, *server;
  REQUIRE(ends_open(&client, &server));
  CHECK_STATUS(WS_OK, ws_protocol_receive(server->protocol, NULL, 0, &tags[3]));
  for (int i = 0; i < 3; i++) CHECK_STATUS(WS_OK, end_send(client, WS_UTF8_MESSAGE, "abc", 3, &tags[i]));
  CHECK_STATUS(WS_OK, ws_protocol_control(client->protocol, 9, 0, "not told", 8));
  ends_converse(client, server, SIZE_MAX);
  CHECK_NUMBER(3, client->told_count);
  for (size_t i = 0; i < 3; i++) {
    const ws_action *action = end_told(client, WS_ACTION_INDICATE_SEND_COMPLETE, i);
    CHECK(action->context == &tags[i] && action->status == WS_OK);
  }
  CHECK(end_told(server, WS_ACTION_INDICATE_RECEIVE_COMPLETE, 0)->context == &tags[3]);
  end_close(client);
  end_close(server);
}

static void a_part_that_was_not_written_comes_again(void) {
  static uint8_t large[5000];
  end *client, *server;
  ws_bytes parts[3];
  ws_action first, second;
  memset(large, 'x', sizeof large);
  REQUIRE(ends_open(&client, &server));
  parts[0].data = large;
  parts[0].length = sizeof large;
  parts[1].data = NULL;
  parts[1].length = 0;
  parts[2].data = large;
  parts[2].length = 100;
  CHECK_STATUS(WS_OK, ws_protocol_send(server->protocol, WS_BINARY_MESSAGE, 0, parts, 3, NULL));
  first = end_next(server);
  REQUIRE(CHECK_NUMBER(WS_ACTION_SEND_TO_NETWORK, first.kind));
  CHECK_NUMBER(4, first.parts[0].length);
  CHECK(first.parts[1].data == large && first.parts[1].length == sizeof large); /* the program's own memory */
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, end_complete(server, &first, 5005));
  CHECK_STATUS(WS_OK, end_complete(server, &first, 0));
  second = end_next(server);
  CHECK(second.id != first.id && second.kind == first.kind && second.parts[0].length == 4);
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, end_complete(server, &first, 0));
  CHECK_STATUS(WS_OK, end_complete(server, &second, 3));
  first = end_next(server);
  CHECK(first.parts[0].length == 1 && first.parts[1].length == sizeof large);
  CHECK_STATUS(WS_OK, end_complete(server, &first, 1001));
  first = end_next(server);
  CHECK(first.parts[0].data == large + 1000 && first.parts[0].length == 4000 && first.parts[1].data == large && first.parts[1].length == 100);
  CHECK_STATUS(WS_OK, end_complete(server, &first, 4099));
  first = end_next(server);
  CHECK_NUMBER(1, first.parts[0].length + first.parts[1].length);
  CHECK_STATUS(WS_OK, end_complete(server, &first, 1));
  first = end_next(server);
  CHECK_NUMBER(WS_ACTION_INDICATE_SEND_COMPLETE, first.kind);
  end_close(client);
  end_close(server);
}

static void actions_are_completed_once_and_one_of_a_kind_at_a_time(void) {
  end *client, *server;
  ws_action reading, writing, told;
  REQUIRE(ends_open(&client, &server));
  CHECK_STATUS(WS_OK, end_send(server, WS_UTF8_MESSAGE, "a", 1, NULL));
  CHECK_STATUS(WS_OK, end_send(server, WS_UTF8_MESSAGE, "b", 1, NULL));
  writing = end_next(server);
  reading = end_next(server);
  CHECK(writing.kind == WS_ACTION_SEND_TO_NETWORK && reading.kind == WS_ACTION_RECEIVE_FROM_NETWORK && reading.room_length > 0);
  told = end_next(server);
  CHECK(told.kind == WS_ACTION_WAKE_AT && told.id == 0);
  CHECK_STATUS(WS_OK, end_complete(server, &told, 17)); /* needs none, and does nothing */
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_protocol_complete_action(server->protocol, 4711, 0, 0));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_protocol_complete_action(server->protocol, UINT64_MAX, 0, 0));
  CHECK_STATUS(WS_OK, end_complete(server, &writing, writing.parts[0].length));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, end_complete(server, &writing, 0));
  told = end_next(server);
  CHECK_NUMBER(WS_ACTION_INDICATE_SEND_COMPLETE, told.kind);
  CHECK_NUMBER(WS_ACTION_WAKE_AT, end_next(server).kind); /* the second send is told of when the first one's action is completed */
  CHECK_STATUS(WS_OK, end_complete(server, &told, 0));
  told = end_next(server);
  CHECK_NUMBER(WS_ACTION_INDICATE_SEND_COMPLETE, told.kind);
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, end_complete(server, &reading, reading.room_length + 1));
  end_close(client); /* with actions under way */
  end_close(server);
}

static void an_abort_ends_everything(void) {
  static char tags[3];
  char room[16];
  end *client, *server;
  REQUIRE(ends_open(&client, &server));
  CHECK_STATUS(WS_OK, end_send(client, WS_UTF8_MESSAGE, "a", 1, &tags[0]));
  CHECK_STATUS(WS_OK, ws_protocol_receive(client->protocol, room, sizeof room, &tags[1]));
  end_act(client);
  CHECK_STATUS(WS_OK, end_send(client, WS_UTF8_MESSAGE, "b", 1, &tags[2]));
  CHECK_STATUS(WS_OK, ws_protocol_abort(client->protocol));
  end_act(client);
  CHECK_NUMBER(4, client->told_count);
  CHECK(end_told(client, WS_ACTION_INDICATE_SEND_COMPLETE, 0)->context == &tags[0] && end_told(client, WS_ACTION_INDICATE_SEND_COMPLETE, 1)->context == &tags[2]);
  CHECK(end_told(client, WS_ACTION_INDICATE_RECEIVE_COMPLETE, 0)->context == &tags[1]);
  for (size_t i = 0; i < 4; i++) CHECK_NUMBER(WS_ERROR_CANCELLED, client->told[i].status);
  CHECK_NUMBER(WS_ACTION_CLOSED, client->told[3].kind);
  CHECK_NUMBER(WS_ACTION_NONE, end_next(client).kind);
  CHECK_STATUS(WS_OK, ws_protocol_abort(client->protocol));
  CHECK_STATUS(WS_ERROR_CANCELLED, end_send(client, WS_UTF8_MESSAGE, "late", 4, NULL));
  CHECK_STATUS(WS_ERROR_CANCELLED, ws_protocol_receive(client->protocol, room, sizeof room, NULL));
  CHECK_STATUS(WS_OK, end_complete(client, &client->writing, 3)); /* late, and without effect */
  end_close(client);
  end_close(server);
}

/* ---- whose memory ------------------------------------------------------------------------------------------------------------------------ */

static void a_view_stays_until_its_action_is_completed(void) {
  end *client, *server;
  ws_action view;
  REQUIRE(ends_open(&client, &server));
  client->keeps_actions = true;
  CHECK_STATUS(WS_OK, ws_protocol_receive(client->protocol, NULL, 0, NULL));
  REQUIRE(HEARS(client, "\x02\x03one\x80\x03two\x89\x01?"));
  REQUIRE(CHECK_NUMBER(1, client->told_count));
  view = client->told[0];
  CHECK_NUMBER(WS_BINARY_FRAGMENT, view.type);
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_protocol_receive(client->protocol, NULL, 0, NULL));
  CHECK_STATUS(WS_OK, end_send(client, WS_UTF8_MESSAGE, "meanwhile", 9, NULL));
  end_act(client);
  CHECK_NUMBER(0, client->reading.id); /* nothing is read over what the program looks at */
  CHECK_BYTES("one", 3, view.parts[0].data, view.parts[0].length);
  CHECK_STATUS(WS_OK, end_complete(client, &view, 0));
  CHECK_STATUS(WS_OK, ws_protocol_receive(client->protocol, NULL, 0, NULL));
  view = end_next(client);
  CHECK(view.kind == WS_ACTION_INDICATE_RECEIVE_COMPLETE && view.type == WS_BINARY_MESSAGE);
  CHECK_BYTES("two", 3, view.parts[0].data, view.parts[0].length);
  end_close(client);
  end_close(server);
}

static void received_bytes_are_in_the_programs_buffer(void) {
  static uint8_t room[20000], large[20000];
  static const uint8_t beginning[] = {0x82, 126, 0x4e, 0x20};
  end *client, *server;
  const ws_action *told;
  REQUIRE(ends_open(&client, &server));
  CHECK_STATUS(WS_OK, ws_protocol_receive(client->protocol, room, 2, NULL));
  CHECK(HEARS(client, "\x82\x03" "abc"));
  told = end_told(client, WS_ACTION_INDICATE_RECEIVE_COMPLETE, 0);
  CHECK(told->parts[0].data == room && told->parts[0].length == 2 && told->type == WS_BINARY_FRAGMENT);
  CHECK_STATUS(WS_OK, ws_protocol_receive(client->protocol, room + 2, sizeof room - 2, NULL));
  end_act(client);
  told = end_told(client, WS_ACTION_INDICATE_RECEIVE_COMPLETE, 1);
  CHECK(told->parts[0].data == room + 2 && told->parts[0].length == 1 && told->type == WS_BINARY_MESSAGE);
  CHECK(memcmp(room, "abc", 3) == 0 && room[3] == 0);
  /* The rest of a large frame is read straight to where it is wanted, and not a byte further. */
  CHECK_STATUS(WS_OK, ws_protocol_receive(client->protocol, room, sizeof room, NULL));
  memset(large, 'z', sizeof large);
  CHECK(end_hears(client, beginning, sizeof beginning));
  CHECK(client->reading.room == room && client->reading.room_length == 20000);
  CHECK(end_hears(client, large, sizeof large));
  told = end_told(client, WS_ACTION_INDICATE_RECEIVE_COMPLETE, 2);
  CHECK(told->parts[0].data == room && told->parts[0].length == 20000 && told->type == WS_BINARY_MESSAGE);
  CHECK(memcmp(room, large, sizeof room) == 0);
  end_close(client);
  end_close(server);
}

/* A client's payload is masked on its way out, in the component's memory: the program's stays as it was. */
static void what_is_sent_is_not_changed(void) {
  char text[] = "not to be touched";
  end *client, *server;
  REQUIRE(ends_open(&client, &server));
  server->receives = true;
  CHECK_STATUS(WS_OK, ws_protocol_receive(server->protocol, NULL, 0, NULL));
  CHECK_STATUS(WS_OK, end_send(client, WS_UTF8_MESSAGE, text, sizeof text - 1, NULL));
  ends_converse(client, server, 3);
  CHECK_TEXT("not to be touched", text);
  CHECK(memcmp(client->wire + 6, text, sizeof text - 1) != 0);
  CHECK_BYTES(text, sizeof text - 1, server->heard, server->heard_length);
  end_close(client);
  end_close(server);
}

static void the_same_seed_gives_the_same_bytes(void) {
  static uint8_t bytes[3][256];
  uint8_t seed[32] = {9};
  size_t lengths[3];
  for (size_t i = 0; i < 3; i++) {
    end *client = calloc(1, sizeof *client);
    REQUIRE(client != NULL);
    seed[31] = i == 2;
    REQUIRE_STATUS(WS_OK, ws_protocol_create(0, seed, &client->protocol));
    CHECK_STATUS(WS_OK, ws_protocol_begin(client->protocol, "ws://a/"));
    end_flush(client);
    lengths[i] = client->written;
    REQUIRE(client->written < sizeof bytes[0]);
    memcpy(bytes[i], client->wire, client->written);
    end_close(client);
  }
  CHECK_BYTES(bytes[0], lengths[0], bytes[1], lengths[1]);
  CHECK(lengths[0] == lengths[2] && memcmp(bytes[0], bytes[2], lengths[0]) != 0);
}

/* ---- conversations ----------------------------------------------------------------------------------------------------------------------- */

/* Client's bytes of a whole conversation, heard in two parts by a server, cut at every byte. */
static void a_conversation_split_at_every_byte(void) {
  static uint8_t wire[1024];
  size_t length;
  end *client, *server;
  REQUIRE(ends_open(&client, &server));
  CHECK_STATUS(WS_OK, end_send(client, WS_UTF8_FRAGMENT, "hel", 3, NULL));
  CHECK_STATUS(WS_OK, end_send(client, WS_UTF8_MESSAGE, "lo", 2, NULL));
  CHECK_STATUS(WS_OK, ws_protocol_control(client->protocol, 8, 1000, "Done", 4));
  end_flush(client);
  length = client->written;
  memcpy(wire, client->wire, length);
  end_close(client);
  end_close(server);
  for (size_t split = 1; split < length; split++) {
    REQUIRE(ends_open(&client, &server));
    server->receives = true;
    CHECK_STATUS(WS_OK, ws_protocol_receive(server->protocol, NULL, 0, NULL));
    CHECK(end_hears(server, wire, split));
    CHECK(end_hears(server, wire + split, length - split));
    end_flush(server);
    CHECK_BYTES("hello", 5, server->heard, server->heard_length);
    CHECK_NUMBER(WS_CLOSE_FRAME, server->told[server->told_count - 2].type);
    CHECK_NUMBER(WS_ACTION_CLOSED, server->told[server->told_count - 1].kind);
    CHECK(WROTE(server, "\x88\x02\x03\xe8"));
    end_close(client);
    end_close(server);
  }
}

static void the_closing_handshake(void) {
  end *client, *server;
  uint16_t status = 0;
  char reason[123];
  size_t length = 0;
  uint32_t state = 4711;
  REQUIRE(ends_open(&client, &server));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_query_close_status(server->protocol, &status, reason, sizeof reason, &length));
  CHECK_STATUS(WS_OK, ws_protocol_receive(server->protocol, NULL, 0, NULL));
  CHECK_STATUS(WS_OK, ws_protocol_receive(client->protocol, NULL, 0, NULL));
  CHECK_STATUS(WS_OK, ws_protocol_control(client->protocol, 8, 4000, "enough", 6));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, end_send(client, WS_UTF8_MESSAGE, "late", 4, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, ws_protocol_control(client->protocol, 8, 4000, NULL, 0));
  ends_converse(client, server, SIZE_MAX);
  CHECK_STATUS(WS_OK, ws_query_close_status(server->protocol, &status, reason, sizeof reason, &length));
  CHECK_NUMBER(4000, status);
  CHECK_BYTES("enough", 6, reason, length);
  CHECK_BYTES("enough", 6, end_told(server, WS_ACTION_INDICATE_RECEIVE_COMPLETE, 0)->parts[0].data, end_told(server, WS_ACTION_INDICATE_RECEIVE_COMPLETE, 0)->parts[0].length);
  length = sizeof state;
  CHECK_STATUS(WS_OK, ws_query_option(server->protocol, WS_OPTION_CLOSE_STATE, &state, &length));
  CHECK_NUMBER(3, state);
  CHECK(was_told(server, WS_ACTION_CLOSED, WS_OK)); /* the server ends first */
  CHECK_NUMBER(0, end_told(client, WS_ACTION_CLOSED, 0)->kind);
  CHECK_NUMBER(1000, client->wake_at_ms);
  CHECK(end_ends(client));
  CHECK(was_told(client, WS_ACTION_CLOSED, WS_OK));
  end_close(client);
  end_close(server);
}

static void a_program_may_answer_the_close(void) {
  end *client, *server;
  REQUIRE(ends_open(&client, &server));
  CHECK_STATUS(WS_OK, end_option(client, WS_OPTION_MANUAL_CLOSE, 1));
  CHECK_STATUS(WS_OK, ws_protocol_receive(client->protocol, NULL, 0, NULL));
  CHECK(HEARS(client, "\x88\x02\x03\xe9"));
  end_flush(client);
  CHECK_NUMBER(0, client->written);
  CHECK_STATUS(WS_ERROR_INVALID_OPERATION, end_send(client, WS_UTF8_MESSAGE, "x", 1, NULL));
  CHECK_STATUS(WS_OK, ws_protocol_control(client->protocol, 8, 1005, NULL, 0));
  end_flush(client);
  CHECK_NUMBER(6, client->written);
  end_close(client);
  end_close(server);
}

static void pings_are_answered_also_when_nobody_receives(void) {
  end *client, *server;
  REQUIRE(ends_open(&client, &server));
  CHECK(HEARS(client, "\x89\x05" "there"));
  end_flush(client);
  CHECK_NUMBER(11, client->written);
  CHECK_NUMBER(0x8a, client->wire[0]);
  CHECK_STATUS(WS_OK, ws_protocol_control(server->protocol, 9, 0, "?", 1));
  CHECK_STATUS(WS_OK, ws_protocol_control(server->protocol, 10, 0, "!", 1));
  end_flush(server);
  CHECK(WROTE(server, "\x8a\x01!\x89\x01?"));
  CHECK_NUMBER(0, client->told_count + server->told_count);
  end_close(client);
  end_close(server);
}

static void a_silent_peer_is_asked_and_then_given_up(void) {
  end *client, *server;
  REQUIRE(ends_open(&client, &server));
  client->now_ms = 5000;
  CHECK_STATUS(WS_OK, ws_protocol_receive(client->protocol, NULL, 0, NULL));
  end_act(client);
  CHECK_NUMBER(35000, client->wake_at_ms);
  client->now_ms = 34999;
  end_flush(client);
  CHECK_NUMBER(0, client->written);
  client->now_ms = 35000;
  end_act(client);
  CHECK_NUMBER(0, client->wake_at_ms); /* until the ping has left */
  client->now_ms = 36000;
  end_flush(client);
  CHECK_NUMBER(6, client->written);
  CHECK_NUMBER(0x89, client->wire[0]);
  CHECK_NUMBER(56000, client->wake_at_ms);
  client->now_ms = 50000;
  CHECK(HEARS(client, "\x8a\x00"));
  CHECK_NUMBER(80000, client->wake_at_ms);
  client->now_ms = 80000;
  end_flush(client);
  client->now_ms = 100000;
  end_act(client);
  CHECK(was_told(client, WS_ACTION_INDICATE_RECEIVE_COMPLETE, WS_ERROR_PEER_LOST) && was_told(client, WS_ACTION_CLOSED, WS_ERROR_PEER_LOST));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_protocol_control(client->protocol, 11, 0, NULL, 0)); /* does not hide why it is over */
  CHECK(error_says(client->protocol, WS_ERROR_PEER_LOST, "the peer did not answer a ping within 20000 ms"));
  CHECK_STATUS(WS_OK, end_option(server, WS_OPTION_KEEPALIVE_INTERVAL, 0));
  CHECK_NUMBER(WS_ACTION_RECEIVE_FROM_NETWORK, end_next(server).kind);
  CHECK_NUMBER(WS_ACTION_NONE, end_next(server).kind);
  end_close(client);
  end_close(server);
}

typedef struct limit_row {
  const char *name;
  ws_option option;
  uint32_t value;
  bool is_handshake;
  ws_status expected;
} limit_row;

static const limit_row limits[] = {
    {"handshake timeout", WS_OPTION_HANDSHAKE_TIMEOUT, 1234, true, WS_ERROR_TIMEOUT},
    {"close timeout", WS_OPTION_CLOSE_TIMEOUT, 1234, false, WS_ERROR_TIMEOUT},
};

static void a_time_limit(size_t row) {
  const limit_row *limit = &limits[row];
  end *client, *server;
  check_label("%s", limit->name);
  REQUIRE(ends_open(&client, &server));
  if (limit->is_handshake) {
    end_close(client);
    client = end_create(0);
    CHECK_STATUS(WS_OK, ws_protocol_begin(client->protocol, "ws://a/"));
  } else {
    CHECK_STATUS(WS_OK, ws_protocol_control(client->protocol, 8, 1000, NULL, 0));
  }
  CHECK_STATUS(WS_OK, end_option(client, limit->option, limit->value));
  client->now_ms = 100;
  end_flush(client);
  CHECK_NUMBER(1334, client->wake_at_ms);
  client->now_ms = 1333;
  end_act(client);
  CHECK_NUMBER(0, client->told_count);
  client->now_ms = 1334;
  end_act(client);
  CHECK(was_told(client, WS_ACTION_CLOSED, limit->expected));
  end_close(client);
  end_close(server);
}

static void what_the_peer_breaks_is_told(void) {
  end *client, *server;
  uint64_t most = 5;
  REQUIRE(ends_open(&client, &server));
  CHECK_STATUS(WS_OK, ws_set_option(client->protocol, WS_OPTION_MAX_MESSAGE, &most, sizeof most));
  CHECK_STATUS(WS_OK, ws_protocol_receive(client->protocol, NULL, 0, NULL));
  CHECK(HEARS(client, "\x82\x06"));
  CHECK(was_told(client, WS_ACTION_INDICATE_RECEIVE_COMPLETE, WS_ERROR_MESSAGE_TOO_BIG));
  CHECK(error_says(client->protocol, WS_ERROR_MESSAGE_TOO_BIG, "the peer sent a message of more than 5 bytes"));
  end_flush(client);
  CHECK_NUMBER(8, client->written); /* the close frame with 1009 */
  CHECK_STATUS(WS_OK, ws_protocol_receive(server->protocol, NULL, 0, NULL));
  CHECK(end_hears(server, client->wire, client->written));
  CHECK_NUMBER(WS_CLOSE_FRAME, end_told(server, WS_ACTION_INDICATE_RECEIVE_COMPLETE, 0)->type);
  CHECK_STATUS(WS_ERROR_MESSAGE_TOO_BIG, ws_protocol_receive(client->protocol, NULL, 0, NULL));
  end_close(client);
  end_close(server);
}

static void a_lost_transport_is_told(void) {
  static char tag;
  end *client, *server;
  REQUIRE(ends_open(&client, &server));
  CHECK_STATUS(WS_OK, ws_protocol_receive(client->protocol, NULL, 0, &tag));
  CHECK(HEARS(client, "\x82\x06"));
  CHECK(end_ends(client));
  CHECK(was_told(client, WS_ACTION_INDICATE_RECEIVE_COMPLETE, WS_ERROR_CONNECTION) && was_told(client, WS_ACTION_CLOSED, WS_ERROR_CONNECTION));
  CHECK(end_told(client, WS_ACTION_INDICATE_RECEIVE_COMPLETE, 0)->context == &tag);
  end_close(client);
  end_close(server);
}

static void it_counts(void) {
  end *client, *server;
  ws_statistics statistics;
  size_t length = sizeof statistics;
  REQUIRE(ends_open(&client, &server));
  server->receives = true;
  CHECK_STATUS(WS_OK, ws_protocol_receive(server->protocol, NULL, 0, NULL));
  CHECK_STATUS(WS_OK, end_send(client, WS_UTF8_MESSAGE, "hello", 5, NULL));
  CHECK_STATUS(WS_OK, ws_protocol_control(client->protocol, 9, 0, NULL, 0));
  ends_converse(client, server, 4);
  memset(&statistics, 0, sizeof statistics);
  statistics.size = (uint32_t)sizeof statistics;
  CHECK_STATUS(WS_OK, ws_query_option(client->protocol, WS_OPTION_STATISTICS, &statistics, &length));
  CHECK(statistics.frames_sent == 2 && statistics.messages_sent == 1 && statistics.bytes_sent == 17);
  CHECK(statistics.frames_received == 1 && statistics.messages_received == 0 && statistics.bytes_received == 2);
  CHECK_STATUS(WS_OK, ws_query_option(server->protocol, WS_OPTION_STATISTICS, &statistics, &length));
  CHECK(statistics.frames_received == 2 && statistics.messages_received == 1 && statistics.bytes_received == 17);
  end_close(client);
  end_close(server);
}

/* ---- compression ------------------------------------------------------------------------------------------------------------------------ */

static bool has_deflate(void) {
  uint32_t features = 0;
  size_t length = sizeof features;
  return ws_query_option(WS_NO_HANDLE, WS_OPTION_FEATURES, &features, &length) == WS_OK && (features & 2u) != 0;
}

/* Two ends that have agreed on compression, by a handshake as bytes. */
static bool ends_open_compressed(end **client, end **server) {
  ws_compression wish;
  memset(&wish, 0, sizeof wish);
  wish.size = (uint32_t)sizeof wish;
  wish.enabled = 1;
  wish.threshold = 10;
  *client = end_create(0);
  *server = end_create(1);
  CHECK_STATUS(WS_OK, ws_set_option((*client)->protocol, WS_OPTION_COMPRESSION, &wish, sizeof wish));
  CHECK_STATUS(WS_OK, ws_set_option((*server)->protocol, WS_OPTION_COMPRESSION, &wish, sizeof wish));
  CHECK_STATUS(WS_OK, ws_protocol_begin((*client)->protocol, "ws://server.example/"));
  CHECK_STATUS(WS_OK, ws_protocol_begin((*server)->protocol, NULL));
  end_flush(*client);
  if (!end_hears(*server, (*client)->wire, (*client)->written) || !CHECK_STATUS(WS_OK, ws_protocol_accept((*server)->protocol))) return false;
  end_flush(*server);
  if (!end_hears(*client, (*server)->wire, (*server)->written)) return false;
  (*client)->written = (*server)->written = 0;
  return was_told(*client, WS_ACTION_HANDSHAKEN, WS_OK);
}

static void compressed_messages_come_as_they_were(void) {
  static uint8_t zeros[50000], room[50000];
  end *client, *server;
  char client_says[128] = "", server_says[128] = "";
  size_t lengths[2] = {sizeof client_says, sizeof server_says};
  ws_bytes part;
  if (!has_deflate()) {
    check_skip("permessage-deflate is not built in");
    return;
  }
  REQUIRE(ends_open_compressed(&client, &server));
  CHECK_STATUS(WS_OK, ws_query_option(client->protocol, WS_OPTION_EXTENSIONS, client_says, &lengths[0]));
  CHECK_STATUS(WS_OK, ws_query_option(server->protocol, WS_OPTION_EXTENSIONS, server_says, &lengths[1]));
  CHECK_TEXT(client_says, server_says);
  CHECK(strncmp(client_says, "permessage-deflate", 18) == 0);
  server->receives = true;
  CHECK_STATUS(WS_OK, ws_protocol_receive(server->protocol, NULL, 0, NULL));
  CHECK_STATUS(WS_OK, end_send(client, WS_UTF8_FRAGMENT, "compressed, ", 12, NULL));
  CHECK_STATUS(WS_OK, end_send(client, WS_UTF8_FRAGMENT, "compressed, ", 12, NULL));
  CHECK_STATUS(WS_OK, end_send(client, WS_UTF8_MESSAGE, "compressed", 10, NULL));
  ends_converse(client, server, 3);
  CHECK_BYTES("compressed, compressed, compressed", 34, server->heard, server->heard_length);
  CHECK_NUMBER(0x41, client->wire[0]);
  CHECK_NUMBER(WS_UTF8_MESSAGE, server->told[server->told_count - 1].type);
  /* Into the program's memory, from fewer bytes than it becomes; and as it is, if the program wants that. */
  client->written = 0;
  part.data = zeros;
  part.length = sizeof zeros;
  CHECK_STATUS(WS_OK, ws_protocol_receive(client->protocol, room, sizeof room, NULL));
  memset(room, 0xee, sizeof room);
  CHECK_STATUS(WS_OK, ws_protocol_send(server->protocol, WS_BINARY_MESSAGE, 0, &part, 1, NULL));
  CHECK_STATUS(WS_OK, ws_protocol_send(server->protocol, WS_BINARY_MESSAGE, WS_SEND_UNCOMPRESSED, &part, 1, NULL));
  end_act(server);
  CHECK(end_write(server, SIZE_MAX) < 50000 + 300);
  CHECK_NUMBER(0xc2, server->wire[0]);
  CHECK(end_hears(client, server->wire, 100));
  CHECK(client->told[client->told_count - 1].parts[0].data == room);
  CHECK_NUMBER(50000, client->told[client->told_count - 1].parts[0].length);
  CHECK_NUMBER(WS_BINARY_MESSAGE, client->told[client->told_count - 1].type);
  CHECK(memcmp(room, zeros, sizeof zeros) == 0);
  end_close(client);
  end_close(server);
}

static void a_small_message_that_becomes_a_large_one_is_refused(void) {
  static uint8_t zeros[50001];
  end *client, *server;
  uint64_t most = 50000;
  if (!has_deflate()) {
    check_skip("permessage-deflate is not built in");
    return;
  }
  REQUIRE(ends_open_compressed(&client, &server));
  CHECK_STATUS(WS_OK, ws_set_option(server->protocol, WS_OPTION_MAX_MESSAGE, &most, sizeof most));
  server->receives = true;
  CHECK_STATUS(WS_OK, ws_protocol_receive(server->protocol, NULL, 0, NULL));
  CHECK_STATUS(WS_OK, end_send(client, WS_BINARY_MESSAGE, zeros, 50000, NULL));
  CHECK_STATUS(WS_OK, end_send(client, WS_BINARY_MESSAGE, zeros, 50001, NULL));
  ends_converse(client, server, SIZE_MAX);
  CHECK(server->heard_length >= 50000 && server->heard_length <= 100000);
  CHECK_NUMBER(WS_ERROR_MESSAGE_TOO_BIG, server->told[server->told_count - 1].status);
  end_close(client);
  end_close(server);
}

/* ---- threads, and the sockets ---------------------------------------------------------------------------------------------------------- */

typedef struct hammer {
  ws_handle protocol;
  int seed;
} hammer;

/* Whatever several threads do to one component against the rules: an error, and nothing worse. */
static void *beat(void *argument) {
  const hammer *hammer = argument;
  static const uint8_t payload[64] = "shared, and never written to";
  for (int i = 0; i < 3000; i++) {
    ws_action action;
    ws_bytes part = {payload, (size_t)(i % 64)};
    ws_status status = WS_OK;
    memset(&action, 0, sizeof action);
    action.size = (uint32_t)sizeof action;
    switch ((i * 7 + hammer->seed) % 8) {
    case 0: status = ws_protocol_send(hammer->protocol, WS_BINARY_MESSAGE, 0, &part, 1, NULL); break;
    case 1: status = ws_protocol_receive(hammer->protocol, NULL, 0, NULL); break;
    case 2: status = ws_protocol_control(hammer->protocol, 9, 0, payload, 10); break;
    case 3: status = ws_protocol_complete_action(hammer->protocol, (uint64_t)i, 0, 0); break;
    case 4: (void)ws_query_error(hammer->protocol, NULL); break;
    default: status = ws_protocol_get_action(hammer->protocol, 0, &action); break;
    }
    if (status != WS_OK && status != WS_ERROR_INVALID_OPERATION && status != WS_ERROR_INVALID_HANDLE && status != WS_ERROR_CONNECTION)
      (void)CHECK_STATUS(WS_OK, status);
  }
  return NULL;
}

static void several_threads_do_no_harm(void) {
  pthread_t threads[4];
  hammer hammers[4];
  end *client, *server;
  REQUIRE(ends_open(&client, &server));
  for (int i = 0; i < 4; i++) {
    hammers[i].protocol = server->protocol;
    hammers[i].seed = i;
    REQUIRE(pthread_create(&threads[i], NULL, beat, &hammers[i]) == 0);
  }
  for (int i = 0; i < 4; i++) CHECK_NUMBER(0, pthread_join(threads[i], NULL));
  end_close(client);
  end_close(server);
}

/* The library's own server at the other end of a pair of sockets: one core, two faces. */
static void *serve(void *argument) {
  ws_handle session = WS_NO_HANDLE, request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  const void *data;
  size_t length;
  ws_buffer_type type = WS_BINARY_MESSAGE;
  CHECK_STATUS(WS_OK, ws_open(NULL, 0, &session));
  CHECK_STATUS(WS_OK, ws_accept_descriptor(session, *(int *)argument, &request));
  CHECK_STATUS(WS_OK, ws_complete_upgrade(request, &websocket));
  while (ws_receive_message(websocket, &data, &length, &type) == WS_OK && type != WS_CLOSE_FRAME)
    CHECK_STATUS(WS_OK, ws_send(websocket, type, data, length));
  CHECK_NUMBER(WS_CLOSE_FRAME, type);
  CHECK_STATUS(WS_OK, ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0));
  CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  return NULL;
}

/* Reads and writes on a blocking socket, an action at a time. */
static void talk_to_a_server(end *client, int descriptor) {
  static uint8_t message[100000];
  for (size_t i = 0; i < sizeof message; i++) message[i] = (uint8_t)(i * 7);
  CHECK_STATUS(WS_OK, ws_protocol_begin(client->protocol, "ws://localhost/"));
  for (;;) {
    ws_action action = end_next(client);
    size_t count = 0;
    ws_status status = WS_OK;
    if (action.kind == WS_ACTION_SEND_TO_NETWORK) {
      size_t part = action.parts[0].length > 0 ? 0 : 1;
      ssize_t sent = send(descriptor, action.parts[part].data, action.parts[part].length, MSG_NOSIGNAL);
      if (!CHECK(sent > 0)) return;
      count = (size_t)sent;
    } else if (action.kind == WS_ACTION_RECEIVE_FROM_NETWORK) {
      ssize_t got = recv(descriptor, action.room, action.room_length, 0);
      if (!CHECK(got >= 0)) return;
      count = (size_t)got;
    } else if (action.kind == WS_ACTION_INDICATE_RECEIVE_COMPLETE && action.type != WS_CLOSE_FRAME) {
      memcpy(client->heard + client->heard_length, action.parts[0].data, action.parts[0].length);
      client->heard_length += action.parts[0].length;
    } else if (action.kind == WS_ACTION_NONE || action.kind == WS_ACTION_WAKE_AT) {
      (void)CHECK(action.kind == 0);
      return;
    }
    if (action.status != WS_OK && !CHECK_STATUS(WS_OK, action.status)) return;
    CHECK_STATUS(WS_OK, end_complete(client, &action, count));
    if (action.kind == WS_ACTION_CLOSED) break;
    if (action.kind == WS_ACTION_HANDSHAKEN) {
      status = end_send(client, WS_BINARY_MESSAGE, message, sizeof message, NULL);
      if (status == WS_OK) status = ws_protocol_receive(client->protocol, NULL, 0, NULL);
    } else if (action.kind == WS_ACTION_INDICATE_RECEIVE_COMPLETE && action.type == WS_BINARY_MESSAGE) {
      status = ws_protocol_control(client->protocol, 8, WS_CLOSE_NORMAL, NULL, 0);
      if (status == WS_OK) status = ws_protocol_receive(client->protocol, NULL, 0, NULL);
    } else if (action.kind == WS_ACTION_INDICATE_RECEIVE_COMPLETE && action.type == WS_BINARY_FRAGMENT) {
      status = ws_protocol_receive(client->protocol, NULL, 0, NULL);
    }
    CHECK_STATUS(WS_OK, status);
  }
  CHECK_BYTES(message, sizeof message, client->heard, client->heard_length);
}

static void it_talks_to_the_librarys_own_server(void) {
  int pair[2];
  pthread_t server;
  end *client = end_create(0);
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  REQUIRE(pthread_create(&server, NULL, serve, &pair[1]) == 0);
  talk_to_a_server(client, pair[0]);
  (void)close(pair[0]);
  CHECK_NUMBER(0, pthread_join(server, NULL));
  end_close(client);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_TEST(create_arguments),
      CHECK_TEST(a_larger_action_is_filled_with_zeros),
      CHECK_TEST(nothing_is_possible_before_the_handshake),
      CHECK_TEST(begin_takes_a_url_for_a_client_alone),
      CHECK_ROWS(a_control_frame, controls),
      CHECK_TEST(what_cannot_be_sent_leaves_no_trace),
      CHECK_TEST(the_handshake_as_bytes),
      CHECK_TEST(a_refused_client_is_told_why),
      CHECK_TEST(a_server_refuses_by_itself_and_as_it_is_told),
      CHECK_TEST(a_server_takes_and_gives_lists_of_headers),
      CHECK_TEST(a_client_takes_and_gives_lists_of_headers),
      CHECK_TEST(contexts_come_back_with_their_actions),
      CHECK_TEST(a_part_that_was_not_written_comes_again),
      CHECK_TEST(actions_are_completed_once_and_one_of_a_kind_at_a_time),
      CHECK_TEST(an_abort_ends_everything),
      CHECK_TEST(a_view_stays_until_its_action_is_completed),
      CHECK_TEST(received_bytes_are_in_the_programs_buffer),
      CHECK_TEST(what_is_sent_is_not_changed),
      CHECK_TEST(the_same_seed_gives_the_same_bytes),
      CHECK_TEST(a_conversation_split_at_every_byte),
      CHECK_TEST(the_closing_handshake),
      CHECK_TEST(a_program_may_answer_the_close),
      CHECK_TEST(pings_are_answered_also_when_nobody_receives),
      CHECK_TEST(a_silent_peer_is_asked_and_then_given_up),
      CHECK_ROWS(a_time_limit, limits),
      CHECK_TEST(what_the_peer_breaks_is_told),
      CHECK_TEST(a_lost_transport_is_told),
      CHECK_TEST(it_counts),
      CHECK_TEST(compressed_messages_come_as_they_were),
      CHECK_TEST(a_small_message_that_becomes_a_large_one_is_refused),
      CHECK_TEST(several_threads_do_no_harm),
      CHECK_TEST(it_talks_to_the_librarys_own_server),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
