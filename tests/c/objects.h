/* One live handle of each kind, without a peer program: for tests of parameters and handles. */
#ifndef OBJECTS_H
#define OBJECTS_H

#include "pair.h"

typedef enum kind { SESSION, REQUEST, SERVER_REQUEST, LISTENER, WEBSOCKET, PROTOCOL, LOOP, PREPARED, KINDS } kind;

static const char *const kind_names[KINDS] = {"session", "client request", "server request", "listener", "websocket", "protocol component",
                                               "loop", "prepared message"};

typedef struct objects {
  ws_handle handles[KINDS];
  pair pair;               /* whose WebSocket it is */
  int dialled;             /* the raw client of the server request */
} objects;

/* The server request has its head: its handshake is done. */
static inline bool objects_open(objects *objects) {
  static const uint8_t seed[32] = {0};
  uint16_t port = 0;
  memset(objects, 0, sizeof *objects);
  objects->dialled = -1;
  if (!pair_open(&objects->pair, LIBRARY_IS_CLIENT)) return false;
  objects->handles[WEBSOCKET] = objects->pair.websocket;
  objects->handles[SESSION] = objects->pair.session;
  if (!CHECK_STATUS(WS_OK, ws_protocol_create(0, seed, &objects->handles[PROTOCOL]))) return false;
  if (!CHECK_STATUS(WS_OK, ws_loop_create(0, &objects->handles[LOOP]))) return false;
  if (!CHECK_STATUS(WS_OK, ws_prepare(WS_UTF8_MESSAGE, "x", 1, &objects->handles[PREPARED]))) return false;
  if (!CHECK_STATUS(WS_OK, ws_connect(objects->pair.session, "ws://127.0.0.1:1/", &objects->handles[REQUEST]))) return false;
  if (!pair_listen(objects->pair.session, "/", &objects->handles[LISTENER], &port)) return false;
  objects->dialled = peer_dial(port);
  if (objects->dialled < 0 || !peer_send_upgrade(objects->dialled, "/", "")) return false;
  return CHECK_STATUS(WS_OK, ws_accept(objects->handles[LISTENER], &objects->handles[SERVER_REQUEST])) &&
         CHECK_STATUS(WS_OK, ws_handshake(objects->handles[SERVER_REQUEST]));
}

static inline void objects_close(objects *objects) {
  CHECK_STATUS(WS_OK, ws_close_handle(objects->handles[REQUEST]));
  CHECK_STATUS(WS_OK, ws_close_handle(objects->handles[SERVER_REQUEST]));
  CHECK_STATUS(WS_OK, ws_close_handle(objects->handles[LISTENER]));
  CHECK_STATUS(WS_OK, ws_close_handle(objects->handles[PROTOCOL]));
  CHECK_STATUS(WS_OK, ws_close_handle(objects->handles[LOOP]));
  CHECK_STATUS(WS_OK, ws_close_handle(objects->handles[PREPARED]));
  if (objects->dialled >= 0) (void)close(objects->dialled);
  pair_close(&objects->pair);
}

#endif
