/* The open WebSocket, synchronously: receiving, sending, and its states. What each state allows is also asked asynchronously, from the same table. */
#include "opened.h"

#include <stdlib.h>

static const WINHTTP_WEB_SOCKET_BUFFER_TYPE BINARY_MESSAGE = WINHTTP_WEB_SOCKET_BINARY_MESSAGE_BUFFER_TYPE, BINARY_FRAGMENT = WINHTTP_WEB_SOCKET_BINARY_FRAGMENT_BUFFER_TYPE,
                                            UTF8_MESSAGE = WINHTTP_WEB_SOCKET_UTF8_MESSAGE_BUFFER_TYPE, UTF8_FRAGMENT = WINHTTP_WEB_SOCKET_UTF8_FRAGMENT_BUFFER_TYPE,
                                            CLOSE_TYPE = WINHTTP_WEB_SOCKET_CLOSE_BUFFER_TYPE;

/* What a call may take that has no const. */
static void *bytes_of(const char *text) { return (void *)(uintptr_t)text; }

static bool receives(opened *it, DWORD capacity, WINHTTP_WEB_SOCKET_BUFFER_TYPE type, const void *bytes, size_t length) {
  static char room[70000];
  DWORD count = 4711;
  WINHTTP_WEB_SOCKET_BUFFER_TYPE got = CLOSE_TYPE;
  DWORD error = WinHttpWebSocketReceive(it->socket, room, capacity, &count, &got);
  return EXPECT_NUMBER(0, error) && EXPECT_NUMBER(type, got) && EXPECT_BYTES(bytes, length, room, count);
}

/* A receive that must fail and leave what it would have written alone. */
static bool receive_fails(opened *it, DWORD error) {
  char room[8];
  DWORD count = 4711;
  WINHTTP_WEB_SOCKET_BUFFER_TYPE type = CLOSE_TYPE;
  return EXPECT_NUMBER(error, WinHttpWebSocketReceive(it->socket, room, sizeof room, &count, &type)) && EXPECT_NUMBER(4711, count);
}

/* ---- receiving ------------------------------------------------------------------------------------------------------------------------------------- */

static void receiving_goes_piece_by_piece(void) {
  static char big[256], text[] = "one two";
  opened it;
  REQUIRE(opened_socket(&it, false));
  memset(big, 'x', sizeof big);
  server_send(FIN | BINARY_FRAME, big, sizeof big);
  EXPECT(receives(&it, 128, BINARY_FRAGMENT, big, 128)); /* a small buffer */
  EXPECT(receives(&it, 128, BINARY_MESSAGE, big, 128));  /* an exact fit is the end */
  server_send(TEXT_FRAME, text, 4);                      /* frames are not joined */
  server_send(FIN | PING_FRAME, "are you there", 13);    /* answered inside, also between frames */
  server_send(CONTINUATION, text + 4, 3);
  server_send(FIN | CONTINUATION, NULL, 0);
  EXPECT(receives(&it, 128, UTF8_FRAGMENT, "one ", 4));
  EXPECT(receives(&it, 128, UTF8_FRAGMENT, "two", 3));
  EXPECT(receives(&it, 128, UTF8_MESSAGE, "", 0)); /* the empty end */
  EXPECT(server_reads(FIN | PONG_FRAME, "are you there", 13));
  server_send(FIN | TEXT_FRAME, NULL, 0);
  EXPECT(receives(&it, 1, UTF8_MESSAGE, "", 0)); /* an empty message */
  server_send_close(3001, "bye");
  EXPECT(receives(&it, 1, CLOSE_TYPE, "", 0));
  EXPECT(receive_fails(&it, ERROR_INVALID_OPERATION));
  opened_close(&it);
}

static void receiving_checks_its_parameters(void) {
  opened it;
  char room[8];
  DWORD count;
  WINHTTP_WEB_SOCKET_BUFFER_TYPE type;
  REQUIRE(opened_socket(&it, false));
  EXPECT_NUMBER(ERROR_INVALID_PARAMETER, WinHttpWebSocketReceive(it.socket, NULL, 8, &count, &type));
  EXPECT_NUMBER(ERROR_INVALID_PARAMETER, WinHttpWebSocketReceive(it.socket, NULL, 0, &count, &type));
  EXPECT_NUMBER(ERROR_INVALID_PARAMETER, WinHttpWebSocketReceive(it.socket, room, 0, &count, &type));
  EXPECT_NUMBER(ERROR_INVALID_PARAMETER, WinHttpWebSocketReceive(it.socket, room, 8, NULL, &type));
  EXPECT_NUMBER(ERROR_INVALID_PARAMETER, WinHttpWebSocketReceive(it.socket, room, 8, &count, NULL));
  EXPECT_NUMBER(ERROR_INVALID_PARAMETER, WinHttpWebSocketReceive(NULL, NULL, 8, &count, &type)); /* before the handle */
  server_send(FIN | TEXT_FRAME, "after", 5);
  EXPECT(receives(&it, 8, UTF8_MESSAGE, "after", 5));
  opened_close(&it);
}

typedef struct violation_row {
  const char *name;
  const char *bytes;
  size_t length;
} violation_row;

#define BYTES(text) text, sizeof text - 1
static const violation_row violations[] = {
    {"reserved bit", BYTES("\xC2\x01x")},           {"reserved opcode", BYTES("\x83\x01x")},       {"masked", BYTES("\x82\x81\x01\x02\x03\x04y")},
    {"orphan", BYTES("\x80\x01x")},                 {"new in a message", BYTES("\x02\x01x\x82\x01x")}, {"long ping", BYTES("\x89\x7E\x01\x00")},
    {"part of a ping", BYTES("\x09\x01x")},         {"close of one byte", BYTES("\x88\x01x")},     {"close status 999", BYTES("\x88\x02\x03\xE7")},
    {"close status 1005", BYTES("\x88\x02\x03\xED")}, {"close reason", BYTES("\x88\x03\x03\xE8\xFF")}, {"no UTF-8", BYTES("\x81\x01\xFF")},
    {"long length", BYTES("\x82\x7E\x00\x01x")},    {"huge length", BYTES("\x82\x7F\x80\x00\x00\x00\x00\x00\x00\x00")},
};

static void a_violation_ends_the_connection(size_t number) {
  opened it;
  USHORT status = 4711;
  DWORD length = 4711, error = 0;
  link_label("%s", violations[number].name);
  REQUIRE(opened_socket(&it, false));
  server_send_bytes(violations[number].bytes, violations[number].length);
  for (int i = 0; i < 3 && error == 0; i++) {
    char room[8];
    DWORD count;
    WINHTTP_WEB_SOCKET_BUFFER_TYPE type;
    error = WinHttpWebSocketReceive(it.socket, room, sizeof room, &count, &type);
  }
  EXPECT_NUMBER(ERROR_WINHTTP_INVALID_SERVER_RESPONSE, error);
  error = WinHttpWebSocketSend(it.socket, BINARY_MESSAGE, bytes_of("x"), 1);
  EXPECT(error == ERROR_INVALID_OPERATION || error == ERROR_WINHTTP_INVALID_SERVER_RESPONSE);
  EXPECT_NUMBER(ERROR_INVALID_OPERATION, WinHttpWebSocketQueryCloseStatus(it.socket, &status, NULL, 0, &length));
  EXPECT_NUMBER(4711, status);
  EXPECT(server_sees_the_end());
  opened_close(&it);
}

static void a_lost_connection_is_12030(void) {
  for (int i = 0; i < 2; i++) {
    opened it;
    DWORD error;
    REQUIRE(opened_socket(&it, false));
    if (i == 0) server_end();
    else server_reset();
    EXPECT(receive_fails(&it, ERROR_WINHTTP_CONNECTION_ERROR));
    error = WinHttpWebSocketSend(it.socket, BINARY_MESSAGE, bytes_of("x"), 1);
    EXPECT(error == ERROR_INVALID_OPERATION || error == ERROR_WINHTTP_CONNECTION_ERROR);
    opened_close(&it);
  }
}

/* ---- sending ------------------------------------------------------------------------------------------------------------------------------------------ */

typedef struct send_row {
  int type;
  const char *text;
  DWORD length, error;
  int first; /* of the frame; -1 = there is none */
} send_row;

/* In this order on one connection. */
static const send_row send_rows[] = {
    {2, "hello", 5, 0, FIN | TEXT_FRAME},
    {0, "hello", 5, 0, FIN | BINARY_FRAME},
    {2, NULL, 0, 0, FIN | TEXT_FRAME},
    {2, NULL, 1, ERROR_INVALID_PARAMETER, -1},
    {4, "x", 1, ERROR_INVALID_PARAMETER, -1},
    {5, "x", 1, ERROR_INVALID_PARAMETER, -1},
    {-1, "x", 1, ERROR_INVALID_PARAMETER, -1},
    {3, "a", 1, 0, TEXT_FRAME},
    {1, "b", 1, ERROR_INVALID_PARAMETER, -1},
    {0, "b", 1, ERROR_INVALID_PARAMETER, -1},
    {3, "c", 1, 0, CONTINUATION},
    {2, NULL, 0, 0, FIN | CONTINUATION},
    {1, "d", 1, 0, BINARY_FRAME},
    {3, "e", 1, ERROR_INVALID_PARAMETER, -1},
    {0, "f", 1, 0, FIN | CONTINUATION},
    {2, "\xFF", 1, 0, FIN | TEXT_FRAME}, /* what is sent is not looked at */
};

static void sending_makes_one_frame_a_call(void) {
  opened it;
  char room[16];
  size_t length;
  REQUIRE(opened_socket(&it, false));
  for (size_t i = 0; i < COUNT(send_rows); i++) {
    const send_row *row = &send_rows[i];
    EXPECT_NUMBER(row->error, WinHttpWebSocketSend(it.socket, (WINHTTP_WEB_SOCKET_BUFFER_TYPE)row->type, bytes_of(row->text), row->length));
    if (row->first < 0) continue;
    EXPECT_NUMBER(row->first, server_read(room, sizeof room, &length));
    EXPECT_BYTES(row->text, row->length, room, length);
  }
  opened_close(&it);
}

/* ---- shutdown and close ------------------------------------------------------------------------------------------------------------------------------- */

typedef struct goodbye_row {
  USHORT status;
  const char *reason;
  DWORD length, error;
} goodbye_row;

static const char long_reason[] = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123";

static const goodbye_row goodbyes[] = {
    {1000, NULL, 0, 0}, {1000, "bye", 3, 0}, {1014, "bye", 3, 0}, {3000, NULL, 0, 0}, {4999, NULL, 0, 0}, {1000, long_reason, 123, 0}, {1000, "", 0, 0},
    {1000, NULL, 1, ERROR_INVALID_PARAMETER}, {1000, long_reason, 124, ERROR_INVALID_PARAMETER},
};

static void a_goodbye_is_checked_and_sent(size_t number) {
  const goodbye_row *row = &goodbyes[number];
  for (int i = 0; i < 2; i++) {
    opened it;
    char payload[125], room[125];
    size_t length = 0;
    link_label("%u %u", (unsigned)row->status, (unsigned)row->length);
    REQUIRE(opened_socket(&it, false));
    server_send_close(1000, ""); /* so that a Close need not wait */
    EXPECT_NUMBER(row->error, i == 0 ? WinHttpWebSocketShutdown(it.socket, row->status, bytes_of(row->reason), row->length)
                                     : WinHttpWebSocketClose(it.socket, row->status, bytes_of(row->reason), row->length));
    if (row->error == 0) {
      payload[0] = (char)(row->status >> 8);
      payload[1] = (char)row->status;
      if (row->length > 0) memcpy(payload + 2, row->reason, row->length);
      EXPECT_NUMBER(FIN | CLOSE_FRAME, server_read(room, sizeof room, &length));
      EXPECT_BYTES(payload, row->length + 2, room, length);
    }
    opened_close(&it);
  }
}

typedef struct query_row {
  USHORT status;
  const char *reason;
  DWORD capacity, error, consumed;
} query_row;

static const query_row queries[] = {
    {1000, "Done", 123, 0, 4}, {1000, "Done", 4, 0, 4}, {1000, "Done", 3, ERROR_INSUFFICIENT_BUFFER, 4}, {1000, "Done", 0, ERROR_INSUFFICIENT_BUFFER, 4},
    {4001, "", 0, 0, 0}, {4001, "", 10, 0, 0}, {1005, "", 10, 0, 0}, {1001, long_reason, 123, 0, 123},
};

static void the_close_status_is_told(size_t number) {
  const query_row *row = &queries[number];
  opened it;
  char reason[124], cut[124];
  USHORT status = 4711;
  DWORD consumed = 4711;
  link_label("%u with room for %u", (unsigned)row->status, (unsigned)row->capacity);
  REQUIRE(opened_socket(&it, false));
  EXPECT_NUMBER(ERROR_INVALID_OPERATION, WinHttpWebSocketQueryCloseStatus(it.socket, &status, NULL, 0, &consumed));
  EXPECT(status == 4711 && consumed == 4711);
  (void)strncpy(cut, row->reason, 123);
  cut[123] = '\0';
  server_send_close(row->status, cut);
  EXPECT(receives(&it, 8, CLOSE_TYPE, "", 0));
  for (int i = 0; i < 2; i++) { /* as often as wanted */
    memset(reason, '?', sizeof reason);
    status = 4711;
    consumed = 4711;
    EXPECT_NUMBER(row->error, WinHttpWebSocketQueryCloseStatus(it.socket, &status, row->capacity > 0 ? reason : NULL, row->capacity, &consumed));
    EXPECT_NUMBER(row->status, status);
    EXPECT_NUMBER(row->consumed, consumed);
    if (row->error == 0) EXPECT_BYTES(row->reason, row->consumed, reason, consumed);
    EXPECT_NUMBER('?', reason[row->error == 0 ? row->consumed : 0]);
    if (i == 0) EXPECT_NUMBER(0, WinHttpWebSocketClose(it.socket, 1000, NULL, 0)); /* also after Close */
  }
  EXPECT_NUMBER(ERROR_INVALID_PARAMETER, WinHttpWebSocketQueryCloseStatus(it.socket, NULL, NULL, 0, &consumed));
  EXPECT_NUMBER(ERROR_INVALID_PARAMETER, WinHttpWebSocketQueryCloseStatus(it.socket, &status, NULL, 0, NULL));
  EXPECT_NUMBER(ERROR_INVALID_PARAMETER, WinHttpWebSocketQueryCloseStatus(it.socket, &status, NULL, 1, &consumed));
  EXPECT_NUMBER(ERROR_INVALID_PARAMETER, WinHttpWebSocketQueryCloseStatus(NULL, NULL, NULL, 0, NULL));
  opened_close(&it);
}

static void the_peers_goodbye_is_left_to_the_program(void) {
  opened it;
  char room[8];
  size_t length;
  REQUIRE(opened_socket(&it, false));
  server_send_close(1000, "bye");
  EXPECT(receives(&it, 8, CLOSE_TYPE, "", 0));
  EXPECT_NUMBER(0, WinHttpWebSocketShutdown(it.socket, 4000, NULL, 0)); /* this is the answer, and the only one */
  EXPECT_NUMBER(FIN | CLOSE_FRAME, server_read(room, sizeof room, &length));
  EXPECT_BYTES("\x0F\xA0", 2, room, length);
  EXPECT_NUMBER(0, WinHttpWebSocketClose(it.socket, 1000, NULL, 0)); /* it has nothing to do any more */
  opened_close(&it);
}

static void close_throws_away_what_still_comes(void) {
  opened it;
  char big[5000];
  REQUIRE(opened_socket(&it, false));
  memset(big, 'x', sizeof big);
  for (int i = 0; i < 20; i++) server_send(FIN | BINARY_FRAME, big, sizeof big);
  server_send_close(1001, "later");
  EXPECT_NUMBER(0, WinHttpWebSocketClose(it.socket, 1000, NULL, 0));
  EXPECT(server_reads(FIN | CLOSE_FRAME, "\x03\xE8", 2));
  opened_close(&it);
}

static void close_gives_up_a_silent_peer(void) {
  opened it;
  DWORD timeout = 200;
  uint64_t begin;
  REQUIRE(opened_socket(&it, false));
  SUCCEEDS(WinHttpSetOption(it.socket, 115, &timeout, sizeof timeout));
  begin = link_now();
  EXPECT_NUMBER(ERROR_WINHTTP_TIMEOUT, WinHttpWebSocketClose(it.socket, 1000, NULL, 0));
  EXPECT(link_now() - begin >= 190 && link_now() - begin < 5000);
  EXPECT_NUMBER(ERROR_INVALID_OPERATION, WinHttpWebSocketClose(it.socket, 1000, NULL, 0));
  EXPECT(server_sees_the_end());
  opened_close(&it);
}

static void close_handle_soon(void *argument) {
  link_sleep(100);
  SUCCEEDS(WinHttpCloseHandle((HINTERNET)argument));
}

static void a_blocked_receive_ends_with_its_handle(void) {
  opened it;
  REQUIRE(opened_socket(&it, false));
  link_spawn(close_handle_soon, it.socket);
  EXPECT(receive_fails(&it, ERROR_WINHTTP_OPERATION_CANCELLED));
  link_join();
  it.socket = NULL;
  EXPECT(server_sees_the_end()); /* and no close frame was sent */
  opened_close(&it);
}

static void receive_meanwhile(void *argument) { (void)receive_fails((opened *)argument, ERROR_WINHTTP_OPERATION_CANCELLED); }

static void a_blocked_receive_ends_with_close(void) {
  opened it;
  REQUIRE(opened_socket(&it, false));
  link_spawn(receive_meanwhile, &it);
  link_sleep(100);
  EXPECT(receive_fails(&it, ERROR_INVALID_OPERATION)); /* a second one is refused and does not disturb the first */
  EXPECT_NUMBER(0, WinHttpWebSocketSend(it.socket, UTF8_MESSAGE, bytes_of("hi"), 2));
  EXPECT_NUMBER(0, WinHttpWebSocketShutdown(it.socket, 1000, NULL, 0));
  EXPECT(server_reads(FIN | TEXT_FRAME, "hi", 2));
  EXPECT(server_reads(FIN | CLOSE_FRAME, "\x03\xE8", 2));
  { DWORD timeout = 300; SUCCEEDS(WinHttpSetOption(it.socket, 115, &timeout, sizeof timeout)); }
  EXPECT_NUMBER(ERROR_WINHTTP_TIMEOUT, WinHttpWebSocketClose(it.socket, 1000, NULL, 0));
  link_join();
  opened_close(&it);
}

/* ---- the state table --------------------------------------------------------------------------------------------------------------------------------------- */

typedef enum state { OPEN, SHUT, PEER_CLOSED, SHUT_AND_PEER_CLOSED, CLOSED, STATES } state;
typedef enum operation { RECEIVE, SEND, SHUTDOWN, CLOSE, QUERY, OPERATIONS } operation;

static const char *const state_names[] = {"open", "after Shutdown", "peer closed", "both", "after Close"};
static const char *const operation_names[] = {"Receive", "Send", "Shutdown", "Close", "QueryCloseStatus"};

#define NO ERROR_INVALID_OPERATION
static const DWORD table[STATES][OPERATIONS] = {
    /*                       Receive Send Shutdown Close Query */
    /* open */               {0, 0, 0, 0, NO},
    /* after Shutdown */     {0, NO, NO, 0, NO},
    /* peer closed */        {NO, NO, 0, 0, 0},
    /* both */               {NO, NO, NO, 0, 0},
    /* after Close */        {NO, NO, NO, NO, 0},
};

static const char cells[STATES * OPERATIONS] = {0};

static bool done(bool is_async, DWORD error, DWORD status) {
  return EXPECT_NUMBER(0, error) && (!is_async || record_wait(status, NULL));
}

static bool enter(opened *it, state state, bool is_async) {
  static char room[8];
  DWORD count;
  WINHTTP_WEB_SOCKET_BUFFER_TYPE type;
  bool fine = true;
  if (state == SHUT || state == SHUT_AND_PEER_CLOSED)
    fine = done(is_async, WinHttpWebSocketShutdown(it->socket, 1000, NULL, 0), WINHTTP_CALLBACK_STATUS_SHUTDOWN_COMPLETE);
  if (state == OPEN) server_send(FIN | TEXT_FRAME, "hi", 2); /* so that no call need wait */
  server_send_close(1001, "why");
  if (state == PEER_CLOSED || state == SHUT_AND_PEER_CLOSED)
    fine = fine && done(is_async, WinHttpWebSocketReceive(it->socket, room, sizeof room, &count, &type), WINHTTP_CALLBACK_STATUS_READ_COMPLETE);
  if (state == CLOSED) fine = fine && done(is_async, WinHttpWebSocketClose(it->socket, 1000, NULL, 0), WINHTTP_CALLBACK_STATUS_CLOSE_COMPLETE);
  return fine;
}

static void try_it(opened *it, operation operation, DWORD error, bool is_async) {
  static char room[8];
  DWORD count = 0, result, status = 0;
  USHORT close_status = 0;
  WINHTTP_WEB_SOCKET_BUFFER_TYPE type;
  switch (operation) {
  case RECEIVE: result = WinHttpWebSocketReceive(it->socket, room, sizeof room, &count, &type), status = WINHTTP_CALLBACK_STATUS_READ_COMPLETE; break;
  case SEND: result = WinHttpWebSocketSend(it->socket, UTF8_MESSAGE, room, 1), status = WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE; break;
  case SHUTDOWN: result = WinHttpWebSocketShutdown(it->socket, 1000, NULL, 0), status = WINHTTP_CALLBACK_STATUS_SHUTDOWN_COMPLETE; break;
  case CLOSE: result = WinHttpWebSocketClose(it->socket, 1000, NULL, 0), status = WINHTTP_CALLBACK_STATUS_CLOSE_COMPLETE; break;
  default: result = WinHttpWebSocketQueryCloseStatus(it->socket, &close_status, room, sizeof room, &count); break;
  }
  EXPECT_NUMBER(error, result);
  if (operation == QUERY) {
    EXPECT_NUMBER(error == 0 ? 1001 : 0, close_status);
  } else if (is_async && error == 0) {
    EXPECT(record_wait(status, NULL));
  } else if (is_async) {
    size_t before = record_count(status);
    link_sleep(30);
    EXPECT_NUMBER(before, record_count(status)); /* what was refused has no completion */
  }
}

static void a_state(size_t number, bool is_async) {
  state state = (enum state)(number / OPERATIONS);
  operation operation = (enum operation)(number % OPERATIONS);
  opened it;
  link_label("%s: %s", state_names[state], operation_names[operation]);
  REQUIRE(opened_socket(&it, is_async));
  REQUIRE(enter(&it, state, is_async));
  try_it(&it, operation, table[state][operation], is_async);
  opened_close(&it);
}

static void a_synchronous_state(size_t number) { a_state(number, false); }

static void an_asynchronous_state(size_t number) { a_state(number, true); }

int main(int argc, char **argv) {
  static const link_test tests[] = {
      TEST(receiving_goes_piece_by_piece), TEST(receiving_checks_its_parameters), ROWS(a_violation_ends_the_connection, violations),
      TEST(a_lost_connection_is_12030), TEST(sending_makes_one_frame_a_call), ROWS(a_goodbye_is_checked_and_sent, goodbyes),
      ROWS(the_close_status_is_told, queries), TEST(the_peers_goodbye_is_left_to_the_program), TEST(close_throws_away_what_still_comes),
      TEST(close_gives_up_a_silent_peer), TEST(a_blocked_receive_ends_with_its_handle), TEST(a_blocked_receive_ends_with_close),
      ROWS(a_synchronous_state, cells), ROWS(an_asynchronous_state, cells),
  };
  return link_main(argc, argv, tests, COUNT(tests));
}
