/* A WebSocket that was opened through WinHTTP, with the server of link.h at its other end. */
#ifndef OPENED_H
#define OPENED_H

#include "link.h"

typedef struct opened {
  HINTERNET session, connection, request, socket;
} opened;

/* The handles up to the request; their callbacks are recorded if they are asynchronous, or if it is asked for. */
static inline bool opened_request(opened *it, bool is_async, bool is_recorded, const WCHAR *path, DWORD flags) {
  memset(it, 0, sizeof *it);
  record_begin();
  it->session = WinHttpOpen(L"test/1.0", WINHTTP_ACCESS_TYPE_NO_PROXY, NULL, NULL, is_async ? WINHTTP_FLAG_ASYNC : 0);
  if (!EXPECT(it->session != NULL)) return false;
  if (is_async || is_recorded)
    EXPECT(WinHttpSetStatusCallback(it->session, record, WINHTTP_CALLBACK_FLAG_ALL_NOTIFICATIONS, 0) == NULL);
  it->connection = WinHttpConnect(it->session, L"127.0.0.1", server_port(), 0);
  it->request = WinHttpOpenRequest(it->connection, NULL, path, NULL, NULL, NULL, flags);
  return EXPECT(it->connection != NULL) && EXPECT(it->request != NULL) &&
         SUCCEEDS(WinHttpSetOption(it->request, WINHTTP_OPTION_UPGRADE_TO_WEB_SOCKET, NULL, 0));
}

static inline bool opened_send(opened *it) { return WinHttpSendRequest(it->request, NULL, 0, NULL, 0, 0, 0) != 0; }

/* Sends the request and waits for the answer, in either mode. */
static inline bool opened_answer(opened *it, bool is_async) {
  if (!SUCCEEDS(opened_send(it)) || (is_async && !record_wait(WINHTTP_CALLBACK_STATUS_SENDREQUEST_COMPLETE, NULL))) return false;
  return SUCCEEDS(WinHttpReceiveResponse(it->request, NULL)) && (!is_async || record_wait(WINHTTP_CALLBACK_STATUS_HEADERS_AVAILABLE, NULL));
}

/* Everything, up to the websocket. */
static inline bool opened_socket(opened *it, bool is_async) {
  static const char *const right[] = {NULL};
  server_start(right, 1);
  if (!opened_request(it, is_async, false, L"/", 0) || !opened_answer(it, is_async)) return false;
  it->socket = WinHttpWebSocketCompleteUpgrade(it->request, 0);
  return EXPECT(it->socket != NULL) && EXPECT(server_is_connected());
}

static inline void opened_close(opened *it) {
  if (it->socket != NULL) WinHttpCloseHandle(it->socket);
  if (it->request != NULL) WinHttpCloseHandle(it->request);
  if (it->connection != NULL) WinHttpCloseHandle(it->connection);
  if (it->session != NULL) WinHttpCloseHandle(it->session);
  server_stop();
}

#endif
