/* The asynchronous mode: which callbacks come, in which order, on which thread, with what in them; and what two operations at once may do. */
#include "opened.h"

#include <stdlib.h>
#include <wchar.h>

#define ASYNC_RESULT_SIZE sizeof(WINHTTP_WEB_SOCKET_ASYNC_RESULT)

static const WINHTTP_WEB_SOCKET_BUFFER_TYPE BINARY_MESSAGE = WINHTTP_WEB_SOCKET_BINARY_MESSAGE_BUFFER_TYPE, UTF8_MESSAGE = WINHTTP_WEB_SOCKET_UTF8_MESSAGE_BUFFER_TYPE,
                                            UTF8_FRAGMENT = WINHTTP_WEB_SOCKET_UTF8_FRAGMENT_BUFFER_TYPE, CLOSE_TYPE = WINHTTP_WEB_SOCKET_CLOSE_BUFFER_TYPE;
static char buffer[256], message[] = "hello";

static DWORD receive(const opened *it) { return WinHttpWebSocketReceive(it->socket, buffer, sizeof buffer, NULL, NULL); }

static DWORD say(const opened *it) { return WinHttpWebSocketSend(it->socket, UTF8_MESSAGE, message, 5); }

/* The next REQUEST_ERROR of a websocket. */
static bool fails_with(WINHTTP_WEB_SOCKET_OPERATION operation, DWORD error) {
  recorded event;
  return record_wait(WINHTTP_CALLBACK_STATUS_REQUEST_ERROR, &event) && EXPECT_NUMBER(ASYNC_RESULT_SIZE, event.length) &&
         EXPECT_NUMBER(operation, event.result.Operation) && EXPECT_NUMBER(error, event.result.AsyncResult.dwError) &&
         (error != ERROR_WINHTTP_OPERATION_CANCELLED || EXPECT_NUMBER(0, event.result.AsyncResult.dwResult));
}

/* ---- the handshake ------------------------------------------------------------------------------------------------------------------------------- */

#define GROUP_2 "RESOLVING_NAME NAME_RESOLVED CONNECTING_TO_SERVER CONNECTED_TO_SERVER SENDING_REQUEST REQUEST_SENT"

static void the_handshake_is_told_in_order(void) {
  static const char *const right[] = {NULL};
  opened it;
  recorded event;
  server_start(right, 1);
  REQUIRE(opened_request(&it, true, true, L"/", 0));
  SUCCEEDS(WinHttpSendRequest(it.request, NULL, 0, NULL, 0, 0, 4711));
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_SENDREQUEST_COMPLETE, &event));
  EXPECT(event.handle == it.request && event.context == 4711 && event.length == 0);
  EXPECT_TEXT("HANDLE_CREATED* HANDLE_CREATED* " GROUP_2 " SENDREQUEST_COMPLETE", record_text());
  record_begin();
  SUCCEEDS(WinHttpReceiveResponse(it.request, NULL));
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_HEADERS_AVAILABLE, &event));
  EXPECT(event.handle == it.request && event.context == 4711);
  EXPECT_TEXT("RECEIVING_RESPONSE* RESPONSE_RECEIVED* HEADERS_AVAILABLE*", record_text());
  SUCCEEDS(WinHttpReceiveResponse(it.request, NULL)); /* twice is allowed */
  EXPECT(record_wait(WINHTTP_CALLBACK_STATUS_HEADERS_AVAILABLE, NULL));
  record_begin();
  it.socket = WinHttpWebSocketCompleteUpgrade(it.request, 99);
  EXPECT_TEXT("HANDLE_CREATED*", record_text());
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_HANDLE_CREATED, &event));
  EXPECT(event.handle == it.request && event.other == it.socket && event.context == 4711);
  /* the websocket has the request's callback, and its own context */
  EXPECT_NUMBER(0, say(&it));
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE, &event));
  EXPECT(event.handle == it.socket && event.context == 99);
  link_sleep(30); /* every callback has returned by now */
  record_begin();
  opened_close(&it);
  EXPECT_TEXT("HANDLE_CLOSING* HANDLE_CLOSING* HANDLE_CLOSING* HANDLE_CLOSING*", record_text());
}

static void calls_wait_for_their_turn(void) {
  static const char *const answers[] = {""};
  opened it;
  DWORD number = 0, size = sizeof number;
  recorded event;
  server_start(answers, 1);
  REQUIRE(opened_request(&it, true, true, L"/", 0));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpReceiveResponse(it.request, NULL));
  SUCCEEDS(opened_send(&it));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, opened_send(&it));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpReceiveResponse(it.request, NULL));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpQueryHeaders(it.request, WINHTTP_QUERY_STATUS_CODE | WINHTTP_QUERY_FLAG_NUMBER, NULL, &number, &size, NULL));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpAddRequestHeaders(it.request, L"A: b", (DWORD)-1, WINHTTP_ADDREQ_FLAG_ADD));
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpWebSocketCompleteUpgrade(it.request, 0));
  EXPECT(record_wait(WINHTTP_CALLBACK_STATUS_RESOLVING_NAME, NULL));
  link_sleep(30); /* it has returned by now */
  record_begin();
  SUCCEEDS(WinHttpCloseHandle(it.request)); /* what is under way is cancelled first, then comes the last callback */
  it.request = NULL;
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_REQUEST_ERROR, &event));
  EXPECT_NUMBER(sizeof(WINHTTP_ASYNC_RESULT), event.length);
  EXPECT_NUMBER(API_SEND_REQUEST, event.result.AsyncResult.dwResult);
  EXPECT_NUMBER(ERROR_WINHTTP_OPERATION_CANCELLED, event.result.AsyncResult.dwError);
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_HANDLE_CLOSING, &event));
  link_sleep(50);
  EXPECT_TEXT("REQUEST_ERROR* HANDLE_CLOSING*", record_text());
  opened_close(&it);
}

static void redirects_are_told(void) {
  static const char *const answers[] = {"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n", NULL};
  opened it;
  recorded event;
  WCHAR expected[64];
  server_start(answers, 2);
  REQUIRE(opened_request(&it, true, true, L"/a", 0));
  SUCCEEDS(opened_send(&it));
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_SENDREQUEST_COMPLETE, NULL));
  record_begin();
  SUCCEEDS(WinHttpReceiveResponse(it.request, NULL));
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_REDIRECT, &event));
  (void)swprintf(expected, 64, L"http://127.0.0.1:%u/b", (unsigned)server_port());
  EXPECT_WIDE(expected, event.text);
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_HEADERS_AVAILABLE, &event));
  EXPECT_TEXT("RECEIVING_RESPONSE* RESPONSE_RECEIVED* REDIRECT* " GROUP_2 " RECEIVING_RESPONSE RESPONSE_RECEIVED HEADERS_AVAILABLE", record_text());
  it.socket = WinHttpWebSocketCompleteUpgrade(it.request, 0);
  EXPECT(it.socket != NULL);
  opened_close(&it);
}

static void failures_come_as_callbacks(void) {
  static const char *const answers[] = {"-"};
  opened it;
  recorded event;
  DWORD size = 15;
  server_start(answers, 1);
  REQUIRE(opened_request(&it, true, true, L"/", 0));
  SUCCEEDS(opened_send(&it));
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_SENDREQUEST_COMPLETE, NULL));
  SUCCEEDS(WinHttpReceiveResponse(it.request, NULL));
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_REQUEST_ERROR, &event));
  EXPECT_NUMBER(API_RECEIVE_RESPONSE, event.result.AsyncResult.dwResult);
  EXPECT_NUMBER(ERROR_WINHTTP_CONNECTION_ERROR, event.result.AsyncResult.dwError);
  server_stop(); /* nobody listens there any more */
  SUCCEEDS(opened_send(&it));
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_REQUEST_ERROR, &event));
  EXPECT_NUMBER(API_SEND_REQUEST, event.result.AsyncResult.dwResult);
  EXPECT_NUMBER(ERROR_WINHTTP_CANNOT_CONNECT, event.result.AsyncResult.dwError);
  SUCCEEDS(WinHttpSetOption(it.request, WINHTTP_OPTION_WEB_SOCKET_SEND_BUFFER_SIZE, &size, sizeof size));
  SUCCEEDS(opened_send(&it));
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_REQUEST_ERROR, &event));
  EXPECT_NUMBER(API_SEND_REQUEST, event.result.AsyncResult.dwResult);
  EXPECT_NUMBER(ERROR_NOT_ENOUGH_MEMORY, event.result.AsyncResult.dwError);
  server_start(NULL, 0);
  opened_close(&it);
}

static void a_refusal_is_read_by_callbacks(void) {
  static const char *const answers[] = {"HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\npage"};
  opened it;
  recorded event;
  DWORD unused = 4711;
  server_start(answers, 1);
  REQUIRE(opened_request(&it, true, true, L"/", 0));
  REQUIRE(opened_answer(&it, true));
  SUCCEEDS(WinHttpQueryDataAvailable(it.request, NULL));
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_DATA_AVAILABLE, &event));
  EXPECT_NUMBER(4, event.number);
  SUCCEEDS(WinHttpReadData(it.request, buffer, sizeof buffer, &unused));
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_READ_COMPLETE, &event));
  EXPECT_BYTES("page", 4, buffer, event.length);
  EXPECT_NUMBER(4711, unused);
  opened_close(&it);
}

/* ---- sending and receiving ------------------------------------------------------------------------------------------------------------------------- */

static void a_receive_is_completed_once(void) {
  opened it;
  recorded event;
  DWORD count = 4711;
  WINHTTP_WEB_SOCKET_BUFFER_TYPE type = CLOSE_TYPE;
  REQUIRE(opened_socket(&it, true));
  EXPECT_NUMBER(0, WinHttpWebSocketReceive(it.socket, buffer, 3, &count, &type));
  server_send(FIN | TEXT_FRAME, "hello", 5);
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_READ_COMPLETE, &event));
  EXPECT(event.handle == it.socket && !event.by_test);
  EXPECT_NUMBER(sizeof(WINHTTP_WEB_SOCKET_STATUS), event.length);
  EXPECT_NUMBER(3, event.socket.dwBytesTransferred);
  EXPECT_NUMBER(UTF8_FRAGMENT, event.socket.eBufferType);
  EXPECT_BYTES("hel", 3, buffer, 3);
  EXPECT(count == 4711 && type == CLOSE_TYPE); /* untouched */
  EXPECT_NUMBER(0, receive(&it));
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_READ_COMPLETE, &event));
  EXPECT_NUMBER(2, event.socket.dwBytesTransferred);
  EXPECT_NUMBER(UTF8_MESSAGE, event.socket.eBufferType);
  EXPECT_NUMBER(0, receive(&it));
  server_send_close(1000, "");
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_READ_COMPLETE, &event));
  EXPECT_NUMBER(0, event.socket.dwBytesTransferred);
  EXPECT_NUMBER(CLOSE_TYPE, event.socket.eBufferType);
  EXPECT_NUMBER(3, record_count(WINHTTP_CALLBACK_STATUS_READ_COMPLETE));
  opened_close(&it);
}

static void a_send_is_completed_inside_the_call(void) {
  static const DWORD sizes[] = {0, 5, 16384, 32768};
  static char big[32768];
  static char room[40000];
  opened it;
  recorded event;
  size_t length;
  REQUIRE(opened_socket(&it, true));
  for (size_t i = 0; i < COUNT(sizes); i++) {
    EXPECT_NUMBER(0, WinHttpWebSocketSend(it.socket, BINARY_MESSAGE, big, sizes[i]));
    EXPECT_NUMBER(i + 1, record_count(WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE));
    REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE, &event));
    EXPECT(event.by_test);
    EXPECT_NUMBER(sizes[i], event.socket.dwBytesTransferred);
    EXPECT_NUMBER(BINARY_MESSAGE, event.socket.eBufferType);
    EXPECT_NUMBER(FIN | BINARY_FRAME, server_read(room, sizeof room, &length));
    EXPECT_NUMBER(sizes[i], length);
  }
  opened_close(&it);
}

static opened *chained;
static unsigned left;

/* Begins the next send in the completion of the last: a program that does so ten thousand times must not run out of stack. */
static void send_next(const recorded *event) {
  if (event->status == WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE && left > 0 && --left > 0) EXPECT_NUMBER(0, say(chained));
}

static void sends_may_follow_from_each_other(void) {
  opened it;
  REQUIRE(opened_socket(&it, true));
  server_drain();
  chained = &it;
  left = 100000;
  record_hook(send_next);
  EXPECT_NUMBER(0, say(&it));
  EXPECT_NUMBER(0, left); /* all of them inside the first call */
  record_hook(NULL);
  opened_close(&it);
}

static void echo_next(const recorded *event) {
  if (event->status != WINHTTP_CALLBACK_STATUS_READ_COMPLETE || event->socket.eBufferType == CLOSE_TYPE) return;
  EXPECT_NUMBER(0, WinHttpWebSocketSend(chained->socket, event->socket.eBufferType, buffer, event->socket.dwBytesTransferred));
  EXPECT_NUMBER(0, receive(chained));
}

static void an_echo_lives_in_its_callbacks(void) {
  opened it;
  recorded event;
  REQUIRE(opened_socket(&it, true));
  chained = &it;
  record_hook(echo_next);
  EXPECT_NUMBER(0, receive(&it));
  for (int i = 0; i < 500; i++) {
    char text[16], room[16];
    size_t length = 0;
    int size = 1 + i % 9;
    memset(text, 'a' + i % 26, sizeof text);
    server_send(FIN | TEXT_FRAME, text, (size_t)size);
    EXPECT_NUMBER(FIN | TEXT_FRAME, server_read(room, sizeof room, &length));
    if (!EXPECT_BYTES(text, (size_t)size, room, length)) break;
  }
  server_send_close(1000, "");
  do REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_READ_COMPLETE, &event)); while (event.socket.eBufferType != CLOSE_TYPE);
  record_hook(NULL);
  opened_close(&it);
}

/* Waits for the `count`th callback with a status. */
static bool comes(DWORD status, size_t count) {
  for (int i = 0; i < 1000 && record_count(status) < count; i++) link_sleep(10);
  return EXPECT_NUMBER(count, record_count(status));
}

/* Sends to a peer that reads nothing until a send waits; returns how many sends that took. */
static size_t stuff(const opened *it) {
  static char big[1 << 20];
  for (size_t i = 1; i < 64; i++) {
    size_t before = record_count(WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE);
    EXPECT_NUMBER(0, WinHttpWebSocketSend(it->socket, BINARY_MESSAGE, big, sizeof big));
    for (int wait = 0; wait < 10 && record_count(WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE) == before; wait++) link_sleep(10);
    if (record_count(WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE) == before) return i; /* the system's buffers have grown as far as they do */
  }
  EXPECT(!"a send that waits");
  return 0;
}

static void a_send_waits_for_its_peer(void) {
  opened it;
  size_t sends;
  REQUIRE(opened_socket(&it, true));
  sends = stuff(&it);
  EXPECT_NUMBER(ERROR_INVALID_OPERATION, say(&it));
  EXPECT_NUMBER(0, receive(&it)); /* the other direction does not mind */
  server_drain();
  REQUIRE(comes(WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE, sends));
  EXPECT_NUMBER(0, say(&it));
  EXPECT(comes(WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE, sends + 1));
  EXPECT(!record_has(WINHTTP_CALLBACK_STATUS_REQUEST_ERROR));
  opened_close(&it);
}

/* ---- two operations at once: WINHTTP.md §12 ------------------------------------------------------------------------------------------------------------- */

typedef enum operation { RECEIVE, SEND, SHUTDOWN, CLOSE, QUERY, OPERATIONS } operation;

static const char *const names[] = {"Receive", "Send", "Shutdown", "Close", "QueryCloseStatus"};

#define NO ERROR_INVALID_OPERATION
static const DWORD pending[CLOSE + 1][OPERATIONS] = {
    /* while it waits: Receive Send Shutdown Close Query */
    /* Receive */     {NO, 0, 0, 0, NO},
    /* Send */        {0, NO, NO, NO, NO},
    /* Shutdown */    {0, NO, NO, 0, NO},
    /* Close */       {NO, NO, NO, NO, NO},
};

static const char cells[(CLOSE + 1) * OPERATIONS] = {0};

static DWORD begin(const opened *it, operation operation) {
  static char other[256];
  USHORT status;
  DWORD length;
  switch (operation) {
  case RECEIVE: return WinHttpWebSocketReceive(it->socket, other, sizeof other, NULL, NULL);
  case SEND: return say(it);
  case SHUTDOWN: return WinHttpWebSocketShutdown(it->socket, 1000, NULL, 0);
  case CLOSE: return WinHttpWebSocketClose(it->socket, 1000, NULL, 0);
  default: return WinHttpWebSocketQueryCloseStatus(it->socket, &status, NULL, 0, &length);
  }
}

/* Fills the way to the peer until only the close frame would have to wait: what is sent last is complete. */
static void stuff_but_for_the_last(const opened *it) {
  static char big[24 << 20];
  EXPECT_NUMBER(0, WinHttpWebSocketSend(it->socket, BINARY_MESSAGE, big, sizeof big));
  EXPECT(record_wait(WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE, NULL));
}

static void two_at_once(size_t number) {
  operation first = (enum operation)(number / OPERATIONS), second = (enum operation)(number % OPERATIONS);
  DWORD status[] = {WINHTTP_CALLBACK_STATUS_READ_COMPLETE, WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE, WINHTTP_CALLBACK_STATUS_SHUTDOWN_COMPLETE,
                    WINHTTP_CALLBACK_STATUS_CLOSE_COMPLETE};
  opened it;
  size_t sends = 0;
  link_label("while %s waits, %s", names[first], names[second]);
  REQUIRE(opened_socket(&it, true));
  if (first == SEND) sends = stuff(&it);
  else if (first == SHUTDOWN) stuff_but_for_the_last(&it);
  if (first != SEND) EXPECT_NUMBER(0, begin(&it, first));
  if (first != SEND) record_begin();
  EXPECT_NUMBER(pending[first][second], begin(&it, second));
  if (first == RECEIVE && second == CLOSE) { /* inside the call, on its thread */
    EXPECT_TEXT("REQUEST_ERROR*", record_text());
    EXPECT(fails_with(WINHTTP_WEB_SOCKET_RECEIVE_OPERATION, ERROR_WINHTTP_OPERATION_CANCELLED));
  }
  /* then everything that was accepted comes to its end, and nothing else */
  server_drain();
  server_send(FIN | TEXT_FRAME, "hi", 2);
  if (first != SEND) server_send_close(1000, ""); /* it would end the send */
  if (first == SEND) EXPECT(comes(status[first], sends));
  else if (second != CLOSE || first != RECEIVE) EXPECT(record_wait(status[first], NULL));
  if (pending[first][second] == 0) EXPECT(comes(status[second], 1));
  link_sleep(30);
  EXPECT_NUMBER(first == RECEIVE && second == CLOSE ? 1 : 0, record_count(WINHTTP_CALLBACK_STATUS_REQUEST_ERROR));
  if (pending[first][second] != 0 && second != QUERY && second != first) EXPECT_NUMBER(0, record_count(status[second]));
  opened_close(&it);
}

/* ---- the end ---------------------------------------------------------------------------------------------------------------------------------------------- */

static void shutdown_leaves_the_receive_alone(void) {
  opened it;
  recorded event;
  REQUIRE(opened_socket(&it, true));
  EXPECT_NUMBER(0, receive(&it));
  record_begin();
  EXPECT_NUMBER(0, WinHttpWebSocketShutdown(it.socket, 1000, NULL, 0));
  EXPECT_TEXT("SHUTDOWN_COMPLETE*", record_text());
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_SHUTDOWN_COMPLETE, &event));
  EXPECT_NUMBER(0, event.length);
  EXPECT(server_reads(FIN | CLOSE_FRAME, "\x03\xE8", 2));
  server_send_close(1000, "");
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_READ_COMPLETE, &event));
  EXPECT_NUMBER(CLOSE_TYPE, event.socket.eBufferType);
  opened_close(&it);
}

static void close_is_completed_by_another_thread(void) {
  opened it;
  recorded event;
  USHORT status = 0;
  DWORD length = 0;
  REQUIRE(opened_socket(&it, true));
  record_begin();
  EXPECT_NUMBER(0, WinHttpWebSocketClose(it.socket, 1000, NULL, 0));
  EXPECT_TEXT("", record_text());
  EXPECT(server_reads(FIN | CLOSE_FRAME, "\x03\xE8", 2));
  EXPECT_NUMBER(ERROR_INVALID_OPERATION, WinHttpWebSocketQueryCloseStatus(it.socket, &status, NULL, 0, &length));
  server_send_close(4000, "");
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_CLOSE_COMPLETE, &event));
  EXPECT(!event.by_test && event.length == 0);
  EXPECT_NUMBER(0, WinHttpWebSocketQueryCloseStatus(it.socket, &status, NULL, 0, &length));
  EXPECT_NUMBER(4000, status);
  opened_close(&it);
}

static void close_after_the_peers_is_inside_the_call(void) {
  opened it;
  REQUIRE(opened_socket(&it, true));
  EXPECT_NUMBER(0, receive(&it));
  server_send_close(1000, "");
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_READ_COMPLETE, NULL));
  record_begin();
  EXPECT_NUMBER(0, WinHttpWebSocketClose(it.socket, 1000, NULL, 0));
  EXPECT_TEXT("CLOSE_COMPLETE*", record_text());
  EXPECT(server_reads(FIN | CLOSE_FRAME, "\x03\xE8", 2));
  opened_close(&it);
}

static void close_finds_what_was_read_ahead(void) {
  opened it;
  uint64_t begin_time;
  REQUIRE(opened_socket(&it, true));
  server_send(FIN | TEXT_FRAME, "hi", 2);
  server_send_close(1001, "");
  link_sleep(200); /* nobody receives meanwhile */
  begin_time = link_now();
  EXPECT_NUMBER(0, WinHttpWebSocketClose(it.socket, 1000, NULL, 0));
  EXPECT(record_wait(WINHTTP_CALLBACK_STATUS_CLOSE_COMPLETE, NULL));
  EXPECT(link_now() - begin_time < 3000);
  opened_close(&it);
}

static void close_gives_up_a_silent_peer(void) {
  opened it;
  DWORD timeout = 100;
  REQUIRE(opened_socket(&it, true));
  SUCCEEDS(WinHttpSetOption(it.socket, 115, &timeout, sizeof timeout));
  EXPECT_NUMBER(0, WinHttpWebSocketClose(it.socket, 1000, NULL, 0));
  EXPECT(fails_with(WINHTTP_WEB_SOCKET_CLOSE_OPERATION, ERROR_WINHTTP_TIMEOUT));
  opened_close(&it);
}

typedef struct loss_row {
  const char *name, *bytes;
  size_t length;
  DWORD error;
} loss_row;

static const loss_row losses[] = {
    {"end", NULL, 0, ERROR_WINHTTP_CONNECTION_ERROR},
    {"masked frame", "\x82\x81\x01\x02\x03\x04y", 7, ERROR_WINHTTP_INVALID_SERVER_RESPONSE},
    {"no UTF-8", "\x81\x01\xFF", 3, ERROR_WINHTTP_INVALID_SERVER_RESPONSE},
};

static void a_loss_is_an_error_of_the_receive(size_t number) {
  opened it;
  link_label("%s", losses[number].name);
  REQUIRE(opened_socket(&it, true));
  EXPECT_NUMBER(0, receive(&it));
  if (losses[number].bytes != NULL) server_send_bytes(losses[number].bytes, losses[number].length);
  else server_end();
  EXPECT(fails_with(WINHTTP_WEB_SOCKET_RECEIVE_OPERATION, losses[number].error));
  EXPECT_NUMBER(1, record_count(WINHTTP_CALLBACK_STATUS_REQUEST_ERROR));
  opened_close(&it);
}

static void closing_the_handle_cancels_what_waits(void) {
  static const WINHTTP_WEB_SOCKET_OPERATION operations[] = {WINHTTP_WEB_SOCKET_RECEIVE_OPERATION, WINHTTP_WEB_SOCKET_SEND_OPERATION, WINHTTP_WEB_SOCKET_CLOSE_OPERATION};
  for (size_t i = 0; i < COUNT(operations); i++) {
    opened it;
    recorded event;
    REQUIRE(opened_socket(&it, true));
    if (operations[i] == WINHTTP_WEB_SOCKET_SEND_OPERATION) stuff(&it);
    else if (operations[i] == WINHTTP_WEB_SOCKET_RECEIVE_OPERATION) EXPECT_NUMBER(0, receive(&it));
    else EXPECT_NUMBER(0, WinHttpWebSocketClose(it.socket, 1000, NULL, 0));
    record_begin();
    SUCCEEDS(WinHttpCloseHandle(it.socket));
    EXPECT(fails_with(operations[i], ERROR_WINHTTP_OPERATION_CANCELLED));
    REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_HANDLE_CLOSING, &event));
    EXPECT(event.handle == it.socket && event.other == it.socket);
    link_sleep(50);
    EXPECT_TEXT("REQUEST_ERROR* HANDLE_CLOSING*", record_text()); /* nothing comes after the last */
    it.socket = NULL;
    EXPECT(server_sees_the_end());
    opened_close(&it);
  }
}

static void close_own_handle(const recorded *event) {
  if (event->status == WINHTTP_CALLBACK_STATUS_READ_COMPLETE) {
    SUCCEEDS(WinHttpCloseHandle(event->handle));
    EXPECT_NUMBER(ERROR_INVALID_HANDLE, WinHttpWebSocketReceive(event->handle, buffer, sizeof buffer, NULL, NULL));
    EXPECT(!record_has(WINHTTP_CALLBACK_STATUS_HANDLE_CLOSING)); /* this callback must end first */
  }
}

static void a_handle_may_be_closed_in_its_callback(void) {
  opened it;
  REQUIRE(opened_socket(&it, true));
  record_begin();
  record_hook(close_own_handle);
  EXPECT_NUMBER(0, receive(&it));
  server_send(FIN | TEXT_FRAME, "hi", 2);
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_HANDLE_CLOSING, NULL));
  EXPECT_TEXT("READ_COMPLETE HANDLE_CLOSING", record_text());
  record_hook(NULL);
  it.socket = NULL;
  opened_close(&it);
}

static void close_in_the_cancelled_receive(const recorded *event) {
  if (event->status == WINHTTP_CALLBACK_STATUS_REQUEST_ERROR && event->result.Operation == WINHTTP_WEB_SOCKET_RECEIVE_OPERATION)
    SUCCEEDS(WinHttpCloseHandle(event->handle));
}

static void a_handle_may_be_closed_while_close_begins(void) {
  opened it;
  REQUIRE(opened_socket(&it, true));
  EXPECT_NUMBER(0, receive(&it));
  record_begin();
  record_hook(close_in_the_cancelled_receive);
  EXPECT_NUMBER(0, WinHttpWebSocketClose(it.socket, 1000, NULL, 0));
  REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_HANDLE_CLOSING, NULL));
  link_sleep(50);
  EXPECT_TEXT("REQUEST_ERROR* REQUEST_ERROR* HANDLE_CLOSING*", record_text());
  record_hook(NULL);
  it.socket = NULL;
  opened_close(&it);
}

static void the_buffer_is_the_programs_after_a_cancel(void) {
  opened it;
  char *room = (char *)malloc(64);
  REQUIRE(opened_socket(&it, true));
  EXPECT_NUMBER(0, WinHttpWebSocketReceive(it.socket, room, 64, NULL, NULL));
  EXPECT_NUMBER(0, WinHttpWebSocketClose(it.socket, 1000, NULL, 0));
  EXPECT(fails_with(WINHTTP_WEB_SOCKET_RECEIVE_OPERATION, ERROR_WINHTTP_OPERATION_CANCELLED));
  free(room); /* a sanitizer would notice who writes there now */
  server_send(FIN | TEXT_FRAME, "too late", 8);
  server_send_close(1000, "");
  EXPECT(record_wait(WINHTTP_CALLBACK_STATUS_CLOSE_COMPLETE, NULL));
  opened_close(&it);
}

static void only_what_is_wanted_is_called_back(void) {
  opened it;
  REQUIRE(opened_socket(&it, true));
  EXPECT(WinHttpSetStatusCallback(it.socket, record, WINHTTP_CALLBACK_FLAG_ALL_COMPLETIONS, 0) == record);
  record_begin();
  EXPECT_NUMBER(0, say(&it));
  EXPECT_NUMBER(0, WinHttpWebSocketShutdown(it.socket, 1000, NULL, 0)); /* the trap: it is not among all completions */
  EXPECT_TEXT("WRITE_COMPLETE*", record_text());
  EXPECT(WinHttpSetStatusCallback(it.socket, NULL, WINHTTP_CALLBACK_FLAG_ALL_NOTIFICATIONS, 0) == record);
  SUCCEEDS(WinHttpCloseHandle(it.socket));
  it.socket = NULL;
  EXPECT_TEXT("WRITE_COMPLETE*", record_text());
  opened_close(&it);
}

static void hammer(void *argument) {
  opened *it = (opened *)argument;
  for (int i = 0; i < 200; i++) (void)say(it);
}

static void two_directions_and_an_end_at_once(void) {
  for (int round = 0; round < 20; round++) {
    opened it;
    HINTERNET socket;
    size_t after = 0;
    REQUIRE(opened_socket(&it, true));
    server_drain();
    socket = it.socket;
    link_spawn(hammer, &it);
    for (int i = 0; i < round; i++) {
      (void)receive(&it);
      server_send(FIN | TEXT_FRAME, "x", 1);
    }
    SUCCEEDS(WinHttpCloseHandle(socket));
    link_join();
    for (int i = 0; i < 500 && record_closings(socket, &after) == 0; i++) link_sleep(10);
    link_sleep(5);
    EXPECT_NUMBER(1, record_closings(socket, &after));
    EXPECT_NUMBER(0, after);
    it.socket = NULL;
    opened_close(&it);
  }
}

int main(int argc, char **argv) {
  static const link_test tests[] = {
      TEST(the_handshake_is_told_in_order), TEST(calls_wait_for_their_turn), TEST(redirects_are_told), TEST(failures_come_as_callbacks),
      TEST(a_refusal_is_read_by_callbacks), TEST(a_receive_is_completed_once), TEST(a_send_is_completed_inside_the_call),
      TEST(sends_may_follow_from_each_other), TEST(an_echo_lives_in_its_callbacks), TEST(a_send_waits_for_its_peer), ROWS(two_at_once, cells),
      TEST(shutdown_leaves_the_receive_alone), TEST(close_is_completed_by_another_thread), TEST(close_after_the_peers_is_inside_the_call),
      TEST(close_finds_what_was_read_ahead), TEST(close_gives_up_a_silent_peer), ROWS(a_loss_is_an_error_of_the_receive, losses), TEST(closing_the_handle_cancels_what_waits),
      TEST(a_handle_may_be_closed_in_its_callback), TEST(a_handle_may_be_closed_while_close_begins), TEST(the_buffer_is_the_programs_after_a_cancel),
      TEST(only_what_is_wanted_is_called_back), TEST(two_directions_and_an_end_at_once),
  };
  return link_main(argc, argv, tests, COUNT(tests));
}
