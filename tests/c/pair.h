/* A library WebSocket with a raw peer at the other end, in either role. */
#ifndef PAIR_H
#define PAIR_H

#include "peer.h"

typedef enum pair_role { LIBRARY_IS_CLIENT, LIBRARY_IS_SERVER } pair_role;

typedef struct pair {
  pair_role role;
  ws_handle session;
  ws_handle websocket;
  int peer;              /* the raw socket */
} pair;

/* Further fields ("Name: value\r\n...") of the peer's head, and what the library's own head was. */
static const char *pair_fields = "";
static char pair_head[4096];

static inline const char *pair_role_name(pair_role role) { return role == LIBRARY_IS_CLIENT ? "client" : "server"; }

/* Opens the session; options that the WebSocket shall inherit are set on it next. */
static inline bool pair_begin(pair *pair, pair_role role) {
  memset(pair, 0, sizeof *pair);
  pair->role = role;
  pair->peer = -1;
  return CHECK_STATUS(WS_OK, ws_open(NULL, 0, &pair->session));
}

typedef struct pair_answering {
  int listener, peer;
} pair_answering;

static inline void *pair_answer(void *argument) {
  pair_answering *answering = argument;
  char *head = malloc(PEER_HEAD_SIZE);
  answering->peer = peer_accept(answering->listener);
  if (head != NULL && answering->peer >= 0 && peer_read_head(answering->peer, head, PEER_HEAD_SIZE))
    (void)snprintf(pair_head, sizeof pair_head, "%s", head), (void)peer_answer_upgrade(answering->peer, head, pair_fields);
  free(head);
  return NULL;
}

static inline bool pair_upgrade_client(pair *pair) {
  pair_answering answering = {-1, -1};
  ws_handle request = WS_NO_HANDLE;
  char url[64];
  pthread_t thread;
  uint16_t port = 0;
  bool done;
  answering.listener = peer_listen(&port);
  if (answering.listener < 0) return false;
  (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)port);
  if (!CHECK_STATUS(WS_OK, ws_connect(pair->session, url, &request))) return false;
  if (pthread_create(&thread, NULL, pair_answer, &answering) != 0) return CHECK(!"no thread for the peer");
  done = CHECK_STATUS(WS_OK, ws_complete_upgrade(request, &pair->websocket));
  (void)pthread_join(thread, NULL);
  pair->peer = answering.peer;
  (void)close(answering.listener);
  return CHECK_STATUS(WS_OK, ws_close_handle(request)) && done && pair->peer >= 0;
}

/* A listener on a free port. */
static inline bool pair_listen(ws_handle session, const char *path, ws_handle *listener, uint16_t *port) {
  char url[128];
  size_t length = sizeof url;
  unsigned number = 0;
  (void)snprintf(url, sizeof url, "ws://127.0.0.1:0%s", path);
  if (!CHECK_STATUS(WS_OK, ws_listen(session, url, listener))) return false;
  memset(url, 0, sizeof url);
  if (!CHECK_STATUS(WS_OK, ws_query_option(*listener, WS_OPTION_URL, url, &length))) return false;
  if (sscanf(url, "ws://127.0.0.1:%5u", &number) != 1 || number == 0) return check_failed(__FILE__, __LINE__, "a listener at %s", url);
  *port = (uint16_t)number;
  return true;
}

static inline bool pair_upgrade_server(pair *pair) {
  ws_handle listener = WS_NO_HANDLE, request = WS_NO_HANDLE;
  char *head = pair_head;
  uint16_t port = 0;
  if (!pair_listen(pair->session, "/", &listener, &port)) return false;
  pair->peer = peer_dial(port);
  if (pair->peer < 0 || !peer_send_upgrade(pair->peer, "/", pair_fields)) return false;
  if (!CHECK_STATUS(WS_OK, ws_accept(listener, &request)) || !CHECK_STATUS(WS_OK, ws_complete_upgrade(request, &pair->websocket))) return false;
  if (!peer_read_head(pair->peer, head, sizeof pair_head) || !CHECK_NUMBER(101, peer_http_status(head))) return false;
  return CHECK_STATUS(WS_OK, ws_close_handle(request)) && CHECK_STATUS(WS_OK, ws_close_handle(listener));
}

static inline bool pair_upgrade(pair *pair) {
  return pair->role == LIBRARY_IS_CLIENT ? pair_upgrade_client(pair) : pair_upgrade_server(pair);
}

static inline bool pair_open(pair *pair, pair_role role) { return pair_begin(pair, role) && pair_upgrade(pair); }

/* Closes everything that is open. */
static inline void pair_close(pair *pair) {
  if (pair->websocket != WS_NO_HANDLE) CHECK_STATUS(WS_OK, ws_close_handle(pair->websocket));
  if (pair->session != WS_NO_HANDLE) CHECK_STATUS(WS_OK, ws_close_handle(pair->session));
  if (pair->peer >= 0) (void)close(pair->peer);
  pair->websocket = pair->session = WS_NO_HANDLE;
  pair->peer = -1;
}

static inline bool pair_set_u32(ws_handle handle, ws_option option, uint32_t value) {
  return CHECK_STATUS(WS_OK, ws_set_option(handle, option, &value, sizeof value));
}

/* The peer sends one frame, masked as its role demands. */
static inline bool pair_peer_sends(pair *pair, uint8_t first, const void *payload, size_t length) {
  uint8_t *bytes = malloc(length + 14);
  size_t size = bytes != NULL ? peer_write_frame(bytes, first, pair->role == LIBRARY_IS_SERVER, payload, length) : 0;
  bool sent = size > 0 && peer_send(pair->peer, bytes, size);
  free(bytes);
  return sent;
}

static inline bool pair_peer_closes(pair *pair, uint16_t status, const char *reason) {
  uint8_t payload[125];
  return pair_peer_sends(pair, PEER_FIN | PEER_CLOSE, payload, peer_close_payload(payload, status, reason));
}

static inline bool check_peer_gets(pair *pair, uint8_t first, const void *payload, size_t length, const char *file, int line) {
  static peer_frame frame;
  if (!peer_read_frame(pair->peer, &frame)) return check_failed(file, line, "the peer got no frame, expected one beginning %02x", first);
  return check_number(first, frame.first, file, line, "the frame's first byte") &
         check_number(pair->role == LIBRARY_IS_CLIENT, frame.is_masked, file, line, "the frame's mask bit") &
         check_bytes(payload, length, frame.payload, frame.length, file, line, "the frame's payload");
}

static inline bool check_peer_gets_close(pair *pair, uint16_t status, const char *reason, const char *file, int line) {
  uint8_t payload[125];
  size_t length = status == WS_CLOSE_EMPTY ? 0 : peer_close_payload(payload, status, reason);
  return check_peer_gets(pair, PEER_FIN | PEER_CLOSE, payload, length, file, line);
}

/* The close frame's status, whatever its reason: what a violation is answered with. */
static inline bool check_peer_gets_close_status(pair *pair, uint16_t status, const char *file, int line) {
  static peer_frame frame;
  if (!peer_read_frame(pair->peer, &frame)) return check_failed(file, line, "the peer got no frame, expected a close frame of %u", status);
  return check_number(PEER_FIN | PEER_CLOSE, frame.first, file, line, "the frame's first byte") &
         check_number(status, frame.length < 2 ? 0 : frame.payload[0] << 8 | frame.payload[1], file, line, "the close status");
}

static inline bool check_receive(ws_handle websocket, size_t capacity, ws_buffer_type type, const void *bytes, size_t length,
                                 const char *file, int line) {
  static uint8_t room[70000];
  size_t received = 4711;
  ws_buffer_type received_type = -1;
  if (!check_status(WS_OK, ws_receive(websocket, room, capacity, &received, &received_type), file, line, "ws_receive")) return false;
  return check_number(type, received_type, file, line, "the received type") &
         check_bytes(bytes, length, room, received, file, line, "the received bytes");
}

/* Receives until a message or a close frame ends, however it came in pieces. */
static inline bool check_receive_message(ws_handle websocket, ws_buffer_type type, const void *bytes, size_t length, const char *file,
                                         int line) {
  static uint8_t room[70000];
  size_t total = 0, received = 0;
  ws_buffer_type piece = -1;
  do {
    if (!check_status(WS_OK, ws_receive(websocket, room + total, sizeof room - total, &received, &piece), file, line, "ws_receive"))
      return false;
    total += received;
  } while (piece == WS_BINARY_FRAGMENT || piece == WS_UTF8_FRAGMENT);
  return check_number(type, piece, file, line, "the received type") & check_bytes(bytes, length, room, total, file, line, "the message");
}

/* A receive that must fail and leave its out-parameters alone. */
static inline bool check_receive_fails(ws_handle websocket, ws_status status, const char *file, int line) {
  uint8_t room[64];
  size_t received = 4711;
  ws_buffer_type type = 4711;
  return check_status(status, ws_receive(websocket, room, sizeof room, &received, &type), file, line, "ws_receive") &
         check_number(4711, (int64_t)received, file, line, "received") & check_number(4711, type, file, line, "type");
}

#define PEER_GETS(pair, first, payload, length) check_peer_gets((pair), (uint8_t)(first), (payload), (length), __FILE__, __LINE__)
#define PEER_GETS_CLOSE(pair, status, reason) check_peer_gets_close((pair), (status), (reason), __FILE__, __LINE__)
#define PEER_GETS_CLOSE_STATUS(pair, status) check_peer_gets_close_status((pair), (status), __FILE__, __LINE__)
#define RECEIVES(websocket, capacity, type, bytes, length) check_receive((websocket), (capacity), (type), (bytes), (length), __FILE__, __LINE__)
#define RECEIVES_MESSAGE(websocket, type, bytes, length) check_receive_message((websocket), (type), (bytes), (length), __FILE__, __LINE__)
#define RECEIVE_FAILS(websocket, status) check_receive_fails((websocket), (status), __FILE__, __LINE__)

#endif
