/* Every function of the header with everything that can be wrong about its arguments.
 *
 * The order is fixed: a bad parameter (87), then the handle (6), then its kind (12018), then its state. A failure leaves every out-parameter as
 * it was, and tells its reason in a sentence. Nothing here may crash: that is what the handles are for. */
#include "objects.h"

/* All out-parameters that a call can have. */
typedef struct outputs {
  ws_handle handle;
  size_t length, count;
  ws_buffer_type type;
  uint16_t status;
  uint32_t number;
  int64_t descriptor;
  const void *data;
  const char *name, *value;
  const ws_header *headers;
  ws_event event;
  char room[64];
} outputs;

static outputs out;
static char *const null_text = NULL;
static void *const null_data = NULL;
static size_t *const null_length = NULL;

static void outputs_reset(void) { memset(&out, 0xa5, sizeof out); }

static bool outputs_are_untouched(void) {
  static outputs untouched;
  memset(&untouched, 0xa5, sizeof untouched);
  return memcmp(&out, &untouched, sizeof out) == 0;
}

static ws_bytes part_without_data(void) {
  ws_bytes part;
  part.data = NULL;
  part.length = 1;
  return part;
}

static ws_status send_ex(ws_handle h, ws_buffer_type type, uint32_t flags, bool with_parts, bool with_data) {
  ws_bytes part = part_without_data();
  if (with_data) part.data = "x";
  return ws_send_ex(h, type, flags, with_parts ? &part : NULL, 1, NULL);
}

static ws_status protocol_send(ws_handle h, bool with_parts) {
  ws_bytes part = part_without_data();
  part.data = "x";
  return ws_protocol_send(h, WS_UTF8_MESSAGE, 0, with_parts ? &part : NULL, 1, NULL);
}

static ws_status query_error(ws_handle h, uint32_t size) {
  ws_error_info info;
  memset(&info, 0, sizeof info);
  info.size = size;
  return ws_query_error(h, &info);
}

static ws_status get_action(ws_handle h, bool with_action) {
  ws_action action;
  memset(&action, 0, sizeof action);
  action.size = sizeof action;
  return ws_protocol_get_action(h, 0, with_action ? &action : NULL);
}

static ws_status query_into_room(ws_handle h) {
  size_t length = sizeof out.room;
  ws_status status = ws_query_header(h, "Host", 0, out.room, &length);
  if (status != WS_OK) CHECK_NUMBER(sizeof out.room, length);
  return status;
}

static ws_status query_option_into_nothing(ws_handle h) {
  size_t length = 4;
  return ws_query_option(h, WS_OPTION_CLOSE_TIMEOUT, NULL, &length);
}

static ws_status query_header_into_nothing(ws_handle h) {
  size_t length = 4;
  return ws_query_header(h, "Host", 0, NULL, &length);
}

static ws_status query_a_timeout(ws_handle h) {
  uint32_t value = 0;
  size_t length = sizeof value;
  return ws_query_option(h, WS_OPTION_CLOSE_TIMEOUT, &value, &length);
}

static ws_status set_a_timeout(ws_handle h) {
  uint32_t value = 1000;
  return ws_set_option(h, WS_OPTION_CLOSE_TIMEOUT, &value, sizeof value);
}

/* ---- the calls: X(name, expression of h) becomes a function -------------------------------------------------------------------------- */

#define CALLS(X) \
  /* right */ \
  X(connect_ok, ws_connect(h, "ws://127.0.0.1:1/", &out.handle)) \
  X(complete_upgrade_ok, ws_complete_upgrade(h, &out.handle)) \
  X(receive_ok, ws_receive(h, out.room, sizeof out.room, &out.length, &out.type)) \
  X(send_ok, ws_send(h, WS_UTF8_MESSAGE, "x", 1)) \
  X(close_ok, ws_close(h, WS_CLOSE_NORMAL, NULL, 0)) \
  X(shutdown_ok, ws_shutdown(h, WS_CLOSE_NORMAL, NULL, 0)) \
  X(close_handle_ok, ws_close_handle(h)) \
  X(query_error_ok, query_error(h, sizeof(ws_error_info))) \
  X(set_option_ok, set_a_timeout(h)) \
  X(query_option_ok, query_a_timeout(h)) \
  X(handshake_ok, ws_handshake(h)) \
  X(add_header_ok, ws_add_header(h, "X-Test", "1")) \
  X(query_header_ok, query_into_room(h)) \
  X(query_header_at_ok, ws_query_header_at(h, 0, &out.name, &out.value)) \
  X(query_response_ok, ws_query_response(h, &out.status)) \
  X(read_body_ok, ws_read_body(h, out.room, sizeof out.room, &out.length)) \
  X(query_close_status_ok, ws_query_close_status(h, &out.status, out.room, sizeof out.room, &out.length)) \
  X(listen_ok, ws_listen(h, "ws://127.0.0.1:0/", &out.handle)) \
  X(accept_ok, ws_accept(h, &out.handle)) \
  X(respond_ok, ws_respond(h, 200, "text/plain", "x", 1)) \
  X(set_callback_ok, ws_set_callback(h, NULL, NULL)) \
  X(cancel_ok, ws_cancel(h, WS_OPERATION_ALL)) \
  X(set_credentials_ok, ws_set_credentials(h, 0, 1, "user", "secret")) \
  X(receive_message_ok, ws_receive_message(h, &out.data, &out.length, &out.type)) \
  X(receive_view_ok, ws_receive_view(h, &out.data, &out.length, &out.type)) \
  X(send_ex_ok, send_ex(h, WS_UTF8_MESSAGE, 0, true, true)) \
  X(ping_ok, ws_ping(h, "p", 1)) \
  X(drain_ok, ws_drain(h, WS_CLOSE_GOING_AWAY, 0, 1000)) \
  X(connect_descriptor_ok, ws_connect_descriptor(h, 9999, "ws://127.0.0.1/", &out.handle)) \
  X(accept_descriptor_ok, ws_accept_descriptor(h, 9999, &out.handle)) \
  X(loop_run_ok, ws_loop_run(h)) \
  X(loop_stop_ok, ws_loop_stop(h)) \
  X(loop_wait_ok, ws_loop_wait(h, &out.event, 1, &out.count, 0)) \
  X(loop_wake_ok, ws_loop_wake(h)) \
  X(loop_descriptor_ok, ws_loop_descriptor(h, &out.descriptor)) \
  X(loop_timeout_ok, ws_loop_timeout(h, &out.number)) \
  X(send_prepared_ok, ws_send_prepared(h, h)) \
  X(protocol_begin_ok, ws_protocol_begin(h, "ws://127.0.0.1/")) \
  X(protocol_accept_ok, ws_protocol_accept(h)) \
  X(protocol_begin_headers_ok, ws_protocol_begin_headers(h, NULL, 0, &out.headers, &out.count)) \
  X(protocol_end_headers_ok, ws_protocol_end_headers(h, NULL, 0)) \
  X(protocol_send_ok, protocol_send(h, true)) \
  X(protocol_receive_ok, ws_protocol_receive(h, out.room, sizeof out.room, NULL)) \
  X(protocol_control_ok, ws_protocol_control(h, 9, 0, "p", 1)) \
  X(protocol_get_action_ok, get_action(h, true)) \
  X(protocol_complete_action_ok, ws_protocol_complete_action(h, 1, 0, 0)) \
  X(protocol_abort_ok, ws_protocol_abort(h)) \
  /* wrong */ \
  X(connect_no_url, ws_connect(h, NULL, &out.handle)) \
  X(connect_no_request, ws_connect(h, "ws://127.0.0.1:1/", NULL)) \
  X(connect_not_utf8, ws_connect(h, "ws://127.0.0.1:1/\xff", &out.handle)) \
  X(complete_upgrade_no_websocket, ws_complete_upgrade(h, NULL)) \
  X(receive_no_buffer, ws_receive(h, null_data, 1, &out.length, &out.type)) \
  X(receive_no_room, ws_receive(h, out.room, 0, &out.length, &out.type)) \
  X(receive_no_received, ws_receive(h, out.room, 1, NULL, &out.type)) \
  X(receive_no_type, ws_receive(h, out.room, 1, &out.length, NULL)) \
  X(receive_endless, ws_receive(h, out.room, SIZE_MAX, &out.length, &out.type)) \
  X(send_no_buffer, ws_send(h, WS_UTF8_MESSAGE, NULL, 1)) \
  X(send_endless, ws_send(h, WS_BINARY_MESSAGE, "x", SIZE_MAX)) \
  X(close_no_reason, ws_close(h, WS_CLOSE_NORMAL, NULL, 1)) \
  X(close_long_reason, ws_close(h, WS_CLOSE_NORMAL, out.room, 124)) \
  X(close_status_0, ws_close(h, 0, NULL, 0)) \
  X(close_status_1006, ws_close(h, WS_CLOSE_ABNORMAL, NULL, 0)) \
  X(close_empty_with_reason, ws_close(h, WS_CLOSE_EMPTY, "x", 1)) \
  X(shutdown_no_reason, ws_shutdown(h, WS_CLOSE_NORMAL, NULL, 1)) \
  X(shutdown_long_reason, ws_shutdown(h, WS_CLOSE_NORMAL, out.room, 124)) \
  X(shutdown_status_999, ws_shutdown(h, 999, NULL, 0)) \
  X(shutdown_empty_with_reason, ws_shutdown(h, WS_CLOSE_EMPTY, "x", 1)) \
  X(query_error_no_info, ws_query_error(h, NULL)) \
  X(query_error_no_size, query_error(h, 0)) \
  X(query_error_short, query_error(h, 8)) \
  X(set_option_no_value, ws_set_option(h, WS_OPTION_CLOSE_TIMEOUT, NULL, 4)) \
  X(query_option_no_value, query_option_into_nothing(h)) \
  X(query_option_no_length, ws_query_option(h, WS_OPTION_CLOSE_TIMEOUT, out.room, null_length)) \
  X(add_header_no_name, ws_add_header(h, null_text, "1")) \
  X(add_header_no_value, ws_add_header(h, "X-Test", null_text)) \
  X(query_header_no_name, ws_query_header(h, null_text, 0, out.room, &out.length)) \
  X(query_header_no_value, query_header_into_nothing(h)) \
  X(query_header_no_length, ws_query_header(h, "Host", 0, out.room, null_length)) \
  X(query_header_at_no_name, ws_query_header_at(h, 0, NULL, &out.value)) \
  X(query_header_at_no_value, ws_query_header_at(h, 0, &out.name, NULL)) \
  X(query_response_no_status, ws_query_response(h, NULL)) \
  X(read_body_no_buffer, ws_read_body(h, null_data, 1, &out.length)) \
  X(read_body_no_room, ws_read_body(h, out.room, 0, &out.length)) \
  X(read_body_no_read, ws_read_body(h, out.room, 1, null_length)) \
  X(query_close_status_no_status, ws_query_close_status(h, NULL, out.room, 1, &out.length)) \
  X(query_close_status_no_reason, ws_query_close_status(h, &out.status, NULL, 1, &out.length)) \
  X(query_close_status_no_length, ws_query_close_status(h, &out.status, out.room, 1, NULL)) \
  X(listen_no_url, ws_listen(h, NULL, &out.handle)) \
  X(listen_no_listener, ws_listen(h, "ws://127.0.0.1:0/", NULL)) \
  X(accept_no_request, ws_accept(h, NULL)) \
  X(respond_no_body, ws_respond(h, 200, NULL, NULL, 1)) \
  X(respond_status_0, ws_respond(h, 0, NULL, NULL, 0)) \
  X(respond_status_99, ws_respond(h, 99, NULL, NULL, 0)) \
  X(respond_status_101, ws_respond(h, 101, NULL, NULL, 0)) \
  X(respond_status_1000, ws_respond(h, 1000, NULL, NULL, 0)) \
  X(set_credentials_no_user, ws_set_credentials(h, 0, 1, NULL, "x")) \
  X(set_credentials_no_password, ws_set_credentials(h, 0, 1, "x", NULL)) \
  X(set_credentials_target, ws_set_credentials(h, 2, 1, "x", "x")) \
  X(set_credentials_scheme, ws_set_credentials(h, 0, 3, "x", "x")) \
  X(receive_message_no_data, ws_receive_message(h, NULL, &out.length, &out.type)) \
  X(receive_message_no_length, ws_receive_message(h, &out.data, NULL, &out.type)) \
  X(receive_message_no_type, ws_receive_message(h, &out.data, &out.length, NULL)) \
  X(receive_view_no_data, ws_receive_view(h, NULL, &out.length, &out.type)) \
  X(receive_view_no_length, ws_receive_view(h, &out.data, NULL, &out.type)) \
  X(receive_view_no_type, ws_receive_view(h, &out.data, &out.length, NULL)) \
  X(send_ex_no_parts, send_ex(h, WS_UTF8_MESSAGE, 0, false, false)) \
  X(send_ex_no_data, send_ex(h, WS_UTF8_MESSAGE, 0, true, false)) \
  X(send_ex_flags, send_ex(h, WS_UTF8_MESSAGE, 0x8000, true, true)) \
  X(ping_no_payload, ws_ping(h, NULL, 1)) \
  X(ping_long, ws_ping(h, out.room, 126)) \
  X(connect_descriptor_no_url, ws_connect_descriptor(h, 9999, NULL, &out.handle)) \
  X(connect_descriptor_no_request, ws_connect_descriptor(h, 9999, "ws://127.0.0.1/", NULL)) \
  X(connect_descriptor_negative, ws_connect_descriptor(h, -1, "ws://127.0.0.1/", &out.handle)) \
  X(accept_descriptor_no_request, ws_accept_descriptor(h, 9999, NULL)) \
  X(accept_descriptor_negative, ws_accept_descriptor(h, -1, &out.handle)) \
  X(loop_wait_no_events, ws_loop_wait(h, NULL, 1, &out.count, 0)) \
  X(loop_wait_no_count, ws_loop_wait(h, &out.event, 1, NULL, 0)) \
  X(loop_descriptor_no_descriptor, ws_loop_descriptor(h, NULL)) \
  X(loop_timeout_no_timeout, ws_loop_timeout(h, NULL)) \
  X(protocol_begin_headers_no_headers, ws_protocol_begin_headers(h, NULL, 1, &out.headers, &out.count)) \
  X(protocol_begin_headers_no_out, ws_protocol_begin_headers(h, NULL, 0, NULL, &out.count)) \
  X(protocol_begin_headers_no_count, ws_protocol_begin_headers(h, NULL, 0, &out.headers, NULL)) \
  X(protocol_end_headers_no_headers, ws_protocol_end_headers(h, NULL, 1)) \
  X(protocol_send_no_parts, protocol_send(h, false)) \
  X(protocol_control_no_data, ws_protocol_control(h, 9, 0, NULL, 1)) \
  X(protocol_get_action_no_action, get_action(h, false))

#define DEFINE(name, expression) static ws_status name(ws_handle h) { return expression; }
CALLS(DEFINE)

/* Kinds of handle a function takes, as bits. */
#define BIT(kind) (1u << (kind))
#define ANY_KIND (BIT(KINDS) - 1u)
#define BOTH_REQUESTS (BIT(REQUEST) | BIT(SERVER_REQUEST))

#define WRONG 6

typedef ws_status (*call)(ws_handle h);

typedef struct function {
  const char *name;
  unsigned kinds;
  call right;
  call wrong[WRONG];                        /* each 87 */
} function;

#define F(name, kinds, ...) {"ws_" #name, kinds, name##_ok, {__VA_ARGS__}}
#define NO_WRONG NULL

static const function functions[] = {
    F(connect, BIT(SESSION), connect_no_url, connect_no_request, connect_not_utf8),
    F(complete_upgrade, BOTH_REQUESTS, complete_upgrade_no_websocket),
    F(receive, BIT(WEBSOCKET), receive_no_buffer, receive_no_room, receive_no_received, receive_no_type, receive_endless),
    F(send, BIT(WEBSOCKET), send_no_buffer, send_endless),
    F(close, BIT(WEBSOCKET), close_no_reason, close_long_reason, close_status_0, close_status_1006, close_empty_with_reason),
    F(shutdown, BIT(WEBSOCKET), shutdown_no_reason, shutdown_long_reason, shutdown_status_999, shutdown_empty_with_reason),
    F(protocol_begin, BIT(PROTOCOL), NO_WRONG),
    F(protocol_accept, BIT(PROTOCOL), NO_WRONG),
    F(protocol_begin_headers, BIT(PROTOCOL), protocol_begin_headers_no_headers, protocol_begin_headers_no_out, protocol_begin_headers_no_count),
    F(protocol_end_headers, BIT(PROTOCOL), protocol_end_headers_no_headers),
    F(protocol_send, BIT(PROTOCOL), protocol_send_no_parts),
    F(protocol_receive, BIT(PROTOCOL), NO_WRONG),
    F(protocol_control, BIT(PROTOCOL), protocol_control_no_data),
    F(protocol_get_action, BIT(PROTOCOL), protocol_get_action_no_action),
    F(protocol_complete_action, BIT(PROTOCOL), NO_WRONG),
    F(protocol_abort, BIT(PROTOCOL), NO_WRONG),
    F(close_handle, ANY_KIND, NO_WRONG),
    F(query_error, ANY_KIND, query_error_no_info, query_error_no_size, query_error_short),
    F(set_option, ANY_KIND, set_option_no_value),
    F(query_option, ANY_KIND, query_option_no_value, query_option_no_length),
    F(handshake, BOTH_REQUESTS, NO_WRONG),
    F(add_header, BOTH_REQUESTS | BIT(PROTOCOL), add_header_no_name, add_header_no_value),
    F(set_credentials, BIT(REQUEST), set_credentials_no_user, set_credentials_no_password, set_credentials_target, set_credentials_scheme),
    F(query_header, BOTH_REQUESTS | BIT(PROTOCOL), query_header_no_name, query_header_no_value, query_header_no_length),
    F(query_header_at, BOTH_REQUESTS | BIT(PROTOCOL), query_header_at_no_name, query_header_at_no_value),
    F(query_response, BIT(REQUEST) | BIT(PROTOCOL), query_response_no_status),
    F(read_body, BIT(REQUEST), read_body_no_buffer, read_body_no_room, read_body_no_read),
    F(query_close_status, BIT(WEBSOCKET) | BIT(PROTOCOL), query_close_status_no_status, query_close_status_no_reason, query_close_status_no_length),
    F(listen, BIT(SESSION), listen_no_url, listen_no_listener),
    F(accept, BIT(LISTENER), accept_no_request),
    F(set_callback, ANY_KIND, NO_WRONG),
    F(respond, BIT(SERVER_REQUEST) | BIT(PROTOCOL), respond_no_body, respond_status_0, respond_status_99, respond_status_101, respond_status_1000),
    F(cancel, BOTH_REQUESTS | BIT(LISTENER) | BIT(WEBSOCKET), NO_WRONG),
    F(receive_message, BIT(WEBSOCKET), receive_message_no_data, receive_message_no_length, receive_message_no_type),
    F(send_ex, BIT(WEBSOCKET), send_ex_no_parts, send_ex_no_data, send_ex_flags),
    F(ping, BIT(WEBSOCKET), ping_no_payload, ping_long),
    F(connect_descriptor, BIT(SESSION), connect_descriptor_no_url, connect_descriptor_no_request, connect_descriptor_negative),
    F(accept_descriptor, BIT(SESSION), accept_descriptor_no_request, accept_descriptor_negative),
    F(receive_view, BIT(WEBSOCKET), receive_view_no_data, receive_view_no_length, receive_view_no_type),
    F(drain, BIT(LISTENER), NO_WRONG),
    F(loop_run, BIT(LOOP), NO_WRONG),
    F(loop_stop, BIT(LOOP), NO_WRONG),
    F(loop_wait, BIT(LOOP), loop_wait_no_events, loop_wait_no_count),
    F(loop_wake, BIT(LOOP), NO_WRONG),
    F(loop_descriptor, BIT(LOOP), loop_descriptor_no_descriptor),
    F(loop_timeout, BIT(LOOP), loop_timeout_no_timeout),
    F(send_prepared, BIT(WEBSOCKET), NO_WRONG),
};

/* Numbers that were never a handle, or never will be. */
static const ws_handle invented[] = {
    0, 1, 2, 0xffff, UINT32_MAX, (ws_handle)1 << 52, ((ws_handle)1 << 52) - 1, (ws_handle)1 << 63, UINT64_MAX, 0xdeadbeefcafebabeu, 0x00010000000003ffu,
};

/* The failure's reason is there to be asked for, and it is this failure's. */
static void it_has_a_reason(ws_status status) {
  ws_error_info info;
  memset(&info, 0, sizeof info);
  info.size = sizeof info;
  CHECK_STATUS(WS_OK, ws_last_error(&info));
  CHECK_NUMBER(status, info.status);
  CHECK(memchr(info.message, '\0', sizeof info.message) != NULL);
  CHECK(strlen(info.message) >= 8);
}

static void fails_with(ws_status expected, const function *function, call call, ws_handle handle) {
  ws_status status;
  outputs_reset();
  status = call(handle);
  if (!CHECK_STATUS(expected, status) || status == WS_OK) return;
  CHECK(outputs_are_untouched());
  /* Asking for an error does not make one. */
  if (function->right != query_error_ok) it_has_a_reason(expected);
}

static void a_parameter(size_t row) {
  const function *function = &functions[row];
  objects objects;
  check_label("%s", function->name);
  REQUIRE(objects_open(&objects));
  for (size_t i = 0; i < WRONG && function->wrong[i] != NULL; i++) {
    /* Whatever the handle is: the right kind, another kind, none. */
    for (size_t kind = 0; kind < KINDS; kind++) fails_with(WS_ERROR_INVALID_PARAMETER, function, function->wrong[i], objects.handles[kind]);
    for (size_t j = 0; j < CHECK_COUNT(invented); j++) fails_with(WS_ERROR_INVALID_PARAMETER, function, function->wrong[i], invented[j]);
  }
  objects_close(&objects);
}

static void an_invented_handle(size_t row) {
  objects objects;
  check_label("%s", functions[row].name);
  for (size_t i = 0; i < CHECK_COUNT(invented); i++) fails_with(WS_ERROR_INVALID_HANDLE, &functions[row], functions[row].right, invented[i]);
  /* The same once handles exist: numbers near a live handle are not it. */
  REQUIRE(objects_open(&objects));
  for (size_t i = 0; i < CHECK_COUNT(invented); i++) fails_with(WS_ERROR_INVALID_HANDLE, &functions[row], functions[row].right, invented[i]);
  for (int bit = 22; bit < 64; bit++)
    fails_with(WS_ERROR_INVALID_HANDLE, &functions[row], functions[row].right, objects.handles[WEBSOCKET] ^ (ws_handle)1 << bit);
  objects_close(&objects);
}

static void a_closed_handle(size_t row) {
  objects objects;
  check_label("%s", functions[row].name);
  REQUIRE(objects_open(&objects));
  objects_close(&objects);
  for (size_t kind = 0; kind < KINDS; kind++) fails_with(WS_ERROR_INVALID_HANDLE, &functions[row], functions[row].right, objects.handles[kind]);
}

static void a_wrong_kind(size_t row) {
  const function *function = &functions[row];
  objects objects;
  check_label("%s", function->name);
  REQUIRE(objects_open(&objects));
  for (size_t kind = 0; kind < KINDS; kind++) {
    if ((function->kinds & BIT(kind)) == 0) fails_with(WS_ERROR_INCORRECT_HANDLE_TYPE, function, function->right, objects.handles[kind]);
  }
  objects_close(&objects);
}

/* What is for asynchronous sessions says so to a blocking one. */
static void asynchronous_functions_refuse_blocking_sessions(void) {
  static const ws_bytes part = {"x", 1};
  uint32_t number = 1;
  objects objects;
  REQUIRE(objects_open(&objects));
  outputs_reset();
  CHECK_STATUS(WS_ERROR_NOT_SUPPORTED, receive_view_ok(objects.handles[WEBSOCKET]));
  CHECK_STATUS(WS_ERROR_NOT_SUPPORTED, drain_ok(objects.handles[LISTENER]));
  CHECK_STATUS(WS_ERROR_NOT_SUPPORTED, ws_send_ex(objects.handles[WEBSOCKET], WS_UTF8_MESSAGE, WS_SEND_NOTIFY, &part, 1, NULL));
  CHECK_STATUS(WS_ERROR_NOT_SUPPORTED, ws_set_option(objects.handles[SESSION], WS_OPTION_LOOP, &objects.handles[LOOP], sizeof(ws_handle)));
  CHECK_STATUS(WS_ERROR_NOT_SUPPORTED, ws_set_option(objects.handles[SESSION], WS_OPTION_IO_THREADS, &number, sizeof number));
  CHECK_STATUS(WS_ERROR_NOT_SUPPORTED, ws_set_option(objects.handles[WEBSOCKET], WS_OPTION_PING_EVENTS, &number, sizeof number));
  CHECK_STATUS(WS_ERROR_NOT_SUPPORTED, ws_set_option(objects.handles[WEBSOCKET], WS_OPTION_WHOLE_MESSAGES, &number, sizeof number));
  it_has_a_reason(WS_ERROR_NOT_SUPPORTED);
  CHECK(outputs_are_untouched());
  objects_close(&objects);
}

/* ---- functions without a handle ---------------------------------------------------------------------------------------------------- */

static void open_arguments(void) {
  ws_handle session = 4711;
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_open(NULL, 0, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_open("agent", 0, NULL));
  for (int bit = 0; bit < 32; bit++) {
    uint32_t flag = (uint32_t)1 << bit;
    if (flag == WS_FLAG_ASYNC || flag == WS_FLAG_NO_THREADS) continue;
    CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_open(NULL, flag, &session));
    CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_open(NULL, flag | WS_FLAG_NO_THREADS, &session));
  }
  /* The agent becomes a header field. */
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_open("a\r\nX-Smuggled: 1", 0, &session));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_open("a\nb", 0, &session));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_open("\xff", 0, &session));
  CHECK_NUMBER(4711, session);
  CHECK_STATUS(WS_OK, ws_open(NULL, WS_FLAG_ASYNC, &session));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  CHECK_STATUS(WS_OK, ws_open(NULL, WS_FLAG_ASYNC | WS_FLAG_NO_THREADS, &session));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  CHECK_STATUS(WS_OK, ws_open(NULL, WS_FLAG_NO_THREADS, &session));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  CHECK_STATUS(WS_OK, ws_open("", 0, &session));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

static void last_error_arguments(void) {
  ws_error_info info;
  memset(&info, 0x5a, sizeof info);
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_last_error(NULL));
  info.size = 0;
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_last_error(&info));
  info.size = sizeof info - 1;
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_last_error(&info));
  info.size = UINT32_MAX;
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_last_error(&info));
  CHECK_NUMBER(0x5a5a5a5a, info.status);
  info.size = sizeof info;
  CHECK_STATUS(WS_OK, ws_last_error(&info));
}

static void *fresh_thread(void *argument) {
  ws_error_info *info = argument;
  memset(info, 0x5a, sizeof *info);
  info->size = sizeof *info;
  CHECK_STATUS(WS_OK, ws_last_error(info));
  return NULL;
}

/* The last failure is this thread's, and success does not clear it. */
static void the_last_error_is_the_threads(void) {
  ws_error_info info, other;
  ws_handle session = WS_NO_HANDLE;
  pthread_t thread;
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_close_handle(WS_NO_HANDLE));
  CHECK_STATUS(WS_OK, ws_open(NULL, 0, &session));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  it_has_a_reason(WS_ERROR_INVALID_HANDLE);
  REQUIRE(pthread_create(&thread, NULL, fresh_thread, &other) == 0 && pthread_join(thread, NULL) == 0);
  CHECK_NUMBER(WS_OK, other.status);
  memset(&info, 0, sizeof info);
  info.size = sizeof info;
  CHECK_STATUS(WS_OK, ws_last_error(&info));
  CHECK_NUMBER(WS_ERROR_INVALID_HANDLE, info.status);
  CHECK_NUMBER(sizeof info, info.size);
}

static const ws_status known_statuses[] = {0,     6,     8,     50,    87,    122,   997,   4317,  12002, 12004, 12005, 12006, 12007, 12009, 12011, 12015, 12017,
                                           12018, 12019, 12029, 12030, 12037, 12038, 12044, 12045, 12150, 12152, 12153, 12156, 12157, 12169, 12170, 12175, 12181,
                                           12182, 13000, 13001, 13002, 13003, 13004, 13005, 13006, 13007, 13008, 13009};

static void every_status_has_its_own_string(void) {
  const char *unknown = ws_status_string(-12345);
  REQUIRE(unknown != NULL && *unknown != '\0');
  CHECK(ws_status_string(INT32_MAX) != NULL);
  CHECK(ws_status_string(INT32_MIN) != NULL);
  for (size_t i = 0; i < CHECK_COUNT(known_statuses); i++) {
    const char *text = ws_status_string(known_statuses[i]);
    check_label("%d", (int)known_statuses[i]);
    REQUIRE(text != NULL && strcmp(text, unknown) != 0 && text == ws_status_string(known_statuses[i]));
  }
  check_label("%s", "");
}

static void the_version_is_packed(void) {
  uint32_t version = ws_version();
  CHECK(version != 0 && version < 0x01000000u);
}

static void loop_and_message_arguments(void) {
  ws_handle handle = 4711;
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_loop_create(0, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_loop_create(1, &handle));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_prepare(WS_UTF8_MESSAGE, "x", 1, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_prepare(WS_UTF8_MESSAGE, NULL, 1, &handle));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_prepare(WS_UTF8_MESSAGE, "\xff", 1, &handle));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_prepare(WS_UTF8_FRAGMENT, "x", 1, &handle));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_prepare(WS_CLOSE_FRAME, "x", 1, &handle));
  CHECK_NUMBER(4711, handle);
}

typedef struct url_row {
  const char *url;
  ws_status connect, listen;
} url_row;

#define BAD WS_ERROR_INVALID_URL
#define SCHEME WS_ERROR_UNRECOGNIZED_SCHEME

static const url_row urls[] = {
    {"", BAD, BAD},
    {"ws:", BAD, BAD},
    {"ws://", BAD, BAD},
    {"ws:///", BAD, BAD},
    {"127.0.0.1", BAD, BAD},
    {"//127.0.0.1/", BAD, BAD},
    {"http://127.0.0.1/", SCHEME, SCHEME},
    {"https://127.0.0.1/", SCHEME, SCHEME},
    {"ftp://127.0.0.1/", SCHEME, SCHEME},
    {"ws://user@127.0.0.1:0/", BAD, BAD},
    {"ws://user:secret@127.0.0.1:0/", BAD, BAD},
    {"ws://127.0.0.1:0/#fragment", BAD, BAD},
    {"ws://127.0.0.1:65536/", BAD, BAD},
    {"ws://127.0.0.1:-1/", BAD, BAD},
    {"ws://127.0.0.1:8x/", BAD, BAD},
    {"ws://[::1/", BAD, BAD},
    {"ws://[g::1]/", BAD, BAD},
    {"ws://127.0.0.1:0/a b", BAD, BAD},
    {"ws://127.0.0.1:0/a\r\nX-Smuggled: 1", BAD, BAD},
    {"ws://127.0.0.1:0/\x7f", BAD, BAD},
};

static void a_url(size_t row) {
  ws_handle session = WS_NO_HANDLE, handle = 4711;
  check_label("\"%.40s\"", strpbrk(urls[row].url, "\r\x7f") != NULL ? "(control character)" : urls[row].url);
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  CHECK_STATUS(urls[row].connect, ws_connect(session, urls[row].url, &handle));
  it_has_a_reason(urls[row].connect);
  CHECK_STATUS(urls[row].listen, ws_listen(session, urls[row].url, &handle));
  it_has_a_reason(urls[row].listen);
  CHECK_NUMBER(4711, handle);
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_ROWS(a_parameter, functions),
      CHECK_ROWS(an_invented_handle, functions),
      CHECK_ROWS(a_closed_handle, functions),
      CHECK_ROWS(a_wrong_kind, functions),
      CHECK_TEST(asynchronous_functions_refuse_blocking_sessions),
      CHECK_TEST(loop_and_message_arguments),
      CHECK_TEST(open_arguments),
      CHECK_TEST(last_error_arguments),
      CHECK_TEST(the_last_error_is_the_threads),
      CHECK_TEST(every_status_has_its_own_string),
      CHECK_TEST(the_version_is_packed),
      CHECK_ROWS(a_url, urls),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
