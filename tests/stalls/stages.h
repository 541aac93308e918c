/* The stages at which a peer can stall, each up to the call that then waits, and what is still possible after the wait. */
#ifndef STAGES_H
#define STAGES_H

#include <dlfcn.h>
#include <netdb.h>
#include <sys/un.h>

#include "stall.h"

/* ---- a resolver that hangs --------------------------------------------------------------------------------------------------------- */

#define STALLED_NAME "stalled.invalid"

static pthread_mutex_t resolver_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t resolver_released = PTHREAD_COND_INITIALIZER;
static bool resolver_is_stuck = true;

/* Stands before the system's: this program's symbols come first. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
  int (*system_resolver)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  if (node != NULL && strcmp(node, STALLED_NAME) == 0) {
    (void)pthread_mutex_lock(&resolver_lock);
    while (resolver_is_stuck) (void)pthread_cond_wait(&resolver_released, &resolver_lock);
    (void)pthread_mutex_unlock(&resolver_lock);
    return EAI_NONAME;
  }
  *(void **)&system_resolver = dlsym(RTLD_NEXT, "getaddrinfo");
  return system_resolver(node, service, hints, result);
}

static inline void set_resolver(bool is_stuck) {
  (void)pthread_mutex_lock(&resolver_lock);
  resolver_is_stuck = is_stuck;
  (void)pthread_cond_broadcast(&resolver_released);
  (void)pthread_mutex_unlock(&resolver_lock);
}

static inline void release_resolver(void) { set_resolver(false); }

/* ---- a client's handshake ---------------------------------------------------------------------------------------------------------- */

static inline ws_status call_handshake(stall *stall) { return ws_handshake(stall->handle); }
static inline ws_status call_upgrade(stall *stall) { return ws_complete_upgrade(stall->handle, &stall->made); }

static inline bool begin_resolve(stall *stall, uint32_t limit_ms) {
  return stall_set(stall->pair.session, WS_OPTION_RESOLVE_TIMEOUT, limit_ms) &&
         CHECK_STATUS(WS_OK, ws_connect(stall->pair.session, "ws://" STALLED_NAME "/", &stall->handle));
}

static inline bool resolves_again(stall *stall) {
  release_resolver();
  return CHECK_STATUS(WS_ERROR_NAME_NOT_RESOLVED, ws_handshake(stall->handle));
}

static inline bool connect_to(stall *stall, uint16_t port) {
  char url[64];
  (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)port);
  return CHECK_STATUS(WS_OK, ws_connect(stall->pair.session, url, &stall->handle));
}

/* A listener whose queue is full: the system answers no further connection attempt. */
static inline bool begin_connect(stall *stall, uint32_t limit_ms) {
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  int listener = stall->sockets[0] = peer_listen(&stall->port);
  if (listener < 0 || !CHECK(listen(listener, 0) == 0) || !CHECK(getsockname(listener, (struct sockaddr *)&address, &length) == 0)) return false;
  for (size_t i = 1; i < CHECK_COUNT(stall->sockets); i++) {
    stall->sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
    if (!CHECK(fcntl(stall->sockets[i], F_SETFL, O_NONBLOCK) == 0)) return false;
    (void)connect(stall->sockets[i], (struct sockaddr *)&address, length);
  }
  return stall_set(stall->pair.session, WS_OPTION_CONNECT_TIMEOUT, limit_ms) && connect_to(stall, stall->port);
}

static inline bool begin_whole(stall *stall, uint32_t limit_ms) {
  return stall_set(stall->pair.session, WS_OPTION_HANDSHAKE_TIMEOUT, limit_ms) && begin_connect(stall, 0);
}

/* The system accepts the connection; nobody says a word. */
static inline bool begin_head(stall *stall, uint32_t limit_ms) {
  stall->sockets[0] = peer_listen(&stall->port);
  return stall->sockets[0] >= 0 && stall_set(stall->pair.session, WS_OPTION_HANDSHAKE_TIMEOUT, limit_ms) && connect_to(stall, stall->port);
}

/* The same, for a proxy before the server. */
static inline bool begin_proxied(stall *stall, uint32_t limit_ms, const char *scheme) {
  char url[64];
  stall->sockets[0] = peer_listen(&stall->port);
  (void)snprintf(url, sizeof url, "%s://127.0.0.1:%u", scheme, (unsigned)stall->port);
  return stall->sockets[0] >= 0 && stall_set(stall->pair.session, WS_OPTION_HANDSHAKE_TIMEOUT, limit_ms) &&
         CHECK_STATUS(WS_OK, ws_set_option(stall->pair.session, WS_OPTION_PROXY, url, strlen(url))) &&
         CHECK_STATUS(WS_OK, ws_connect(stall->pair.session, "ws://server.example/", &stall->handle));
}

static inline bool begin_http_proxy(stall *stall, uint32_t limit_ms) { return begin_proxied(stall, limit_ms, "http"); }
static inline bool begin_socks_proxy(stall *stall, uint32_t limit_ms) { return begin_proxied(stall, limit_ms, "socks5"); }

/* A socket of this machine whose queue is full: it says so at once, and never when there is room. */
static inline bool begin_local(stall *stall, uint32_t limit_ms) {
  struct sockaddr_un address;
  char url[200];
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  (void)snprintf(address.sun_path, sizeof address.sun_path, "/tmp/ws101-stall-%d.sock", (int)getpid());
  (void)snprintf(url, sizeof url, "ws+unix:%s:/", address.sun_path);
  (void)unlink(address.sun_path);
  for (size_t i = 0; i < CHECK_COUNT(stall->sockets); i++) stall->sockets[i] = socket(AF_UNIX, SOCK_STREAM, 0);
  if (!CHECK(bind(stall->sockets[0], (struct sockaddr *)&address, sizeof address) == 0) || !CHECK(listen(stall->sockets[0], 0) == 0)) return false;
  for (size_t i = 1; i < CHECK_COUNT(stall->sockets); i++) {
    if (!CHECK(fcntl(stall->sockets[i], F_SETFL, O_NONBLOCK) == 0)) return false;
    (void)connect(stall->sockets[i], (struct sockaddr *)&address, sizeof address);
  }
  return stall_set(stall->pair.session, WS_OPTION_CONNECT_TIMEOUT, limit_ms) &&
         CHECK_STATUS(WS_OK, ws_connect(stall->pair.session, url, &stall->handle));
}

/* There is room, and the same request takes it: what fills the queue is let go, and taken from it. */
static inline bool takes_room(stall *stall) {
  char path[64];
  ws_status status;
  for (size_t i = 1; i < CHECK_COUNT(stall->sockets); i++) (void)close(stall->sockets[i]), stall->sockets[i] = -1;
  (void)close(peer_accept(stall->sockets[0]));
  if (!CHECK(pair_set_u32(stall->handle, WS_OPTION_HANDSHAKE_TIMEOUT, 200))) return false;
  status = ws_handshake(stall->handle);
  (void)snprintf(path, sizeof path, "/tmp/ws101-stall-%d.sock", (int)getpid());
  (void)unlink(path);
  /* It was taken, and nobody answers: that is another stage. */
  return CHECK_STATUS(WS_ERROR_TIMEOUT, status) && CHECK(peer_wait(stall->sockets[0], POLLIN));
}

static inline void *say_half(void *argument) {
  stall *stall = argument;
  char head[4096];
  stall->sockets[1] = peer_accept(stall->sockets[0]);
  if (stall->sockets[1] >= 0 && peer_read_head(stall->sockets[1], head, sizeof head))
    (void)peer_send_text(stall->sockets[1], "HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso");
  return NULL;
}

static inline ws_status call_half(stall *stall) {
  pthread_t thread;
  ws_status status;
  if (pthread_create(&thread, NULL, say_half, stall) != 0) return WS_ERROR_INTERNAL;
  status = ws_complete_upgrade(stall->handle, &stall->made);
  (void)pthread_join(thread, NULL);
  return status;
}

/* The same request, and a server that answers. */
static inline bool connects_again(stall *stall) {
  pair_answering answering = {stall->sockets[0], -1};
  pthread_t thread;
  bool done;
  /* What waits in the queue is the attempt that was given up. */
  if (stall->sockets[1] < 0) (void)close(peer_accept(stall->sockets[0]));
  if (!CHECK(pthread_create(&thread, NULL, pair_answer, &answering) == 0)) return false;
  done = CHECK_STATUS(WS_OK, ws_complete_upgrade(stall->handle, &stall->made));
  (void)pthread_join(thread, NULL);
  stall->pair.peer = answering.peer;
  return done;
}

/* ---- a server's -------------------------------------------------------------------------------------------------------------------- */

static inline ws_status call_accept(stall *stall) { return ws_accept(stall->handle, &stall->made); }

static inline bool begin_accept(stall *stall, uint32_t limit_ms) {
  (void)limit_ms; /* an accept has none */
  return pair_listen(stall->pair.session, "/", &stall->handle, &stall->port);
}

static inline bool accepts_again(stall *stall) {
  stall->sockets[0] = peer_dial(stall->port);
  return CHECK_STATUS(WS_OK, ws_accept(stall->handle, &stall->made));
}

static inline bool accept_one(stall *stall, uint32_t limit_ms) {
  if (!stall_set(stall->pair.session, WS_OPTION_HANDSHAKE_TIMEOUT, limit_ms)) return false;
  if (!pair_listen(stall->pair.session, "/", &stall->listener, &stall->port)) return false;
  stall->sockets[0] = peer_dial(stall->port);
  stall->begun_ms = stall_now_ms(); /* its client's time runs from here on */
  return stall->sockets[0] >= 0 && CHECK_STATUS(WS_OK, ws_accept(stall->listener, &stall->handle));
}

static inline bool begin_request(stall *stall, uint32_t limit_ms) { return accept_one(stall, limit_ms); }

static inline bool begin_half_request(stall *stall, uint32_t limit_ms) {
  return accept_one(stall, limit_ms) && CHECK(peer_send_text(stall->sockets[0], "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgr"));
}

/* ---- a WebSocket ------------------------------------------------------------------------------------------------------------------- */

static inline bool open_pair(stall *stall, pair_role role) {
  stall->pair.role = role;
  if (!pair_upgrade(&stall->pair)) return false;
  stall->handle = stall->pair.websocket;
  return true;
}

static inline ws_status call_receive(stall *stall) {
  uint8_t room[64];
  size_t received;
  ws_buffer_type type;
  return ws_receive(stall->handle, room, sizeof room, &received, &type);
}

static inline ws_status call_receive_message(stall *stall) {
  const void *data;
  size_t length;
  ws_buffer_type type;
  return ws_receive_message(stall->handle, &data, &length, &type);
}

static inline bool begin_receive(stall *stall, uint32_t limit_ms) {
  return open_pair(stall, LIBRARY_IS_CLIENT) && stall_set(stall->handle, WS_OPTION_RECEIVE_TIMEOUT, limit_ms);
}

static inline bool receives_again(stall *stall) {
  return CHECK(pair_peer_sends(&stall->pair, PEER_FIN | PEER_TEXT, "here", 4)) & RECEIVES(stall->handle, 64, WS_UTF8_MESSAGE, "here", 4);
}

/* Half a header of a frame that a client sends. */
static inline bool begin_receive_in_header(stall *stall, uint32_t limit_ms) {
  return open_pair(stall, LIBRARY_IS_SERVER) && stall_set(stall->handle, WS_OPTION_RECEIVE_TIMEOUT, limit_ms) &&
         CHECK(peer_send(stall->pair.peer, "\x81\x84\0\0", 4));
}

static inline bool receives_the_rest(stall *stall) {
  return CHECK(peer_send(stall->pair.peer, "\0\0rest", 6)) & RECEIVES(stall->handle, 64, WS_UTF8_MESSAGE, "rest", 4);
}

static inline bool begin_receive_message(stall *stall, uint32_t limit_ms) {
  return open_pair(stall, LIBRARY_IS_CLIENT) && stall_set(stall->handle, WS_OPTION_RECEIVE_TIMEOUT, limit_ms) &&
         CHECK(pair_peer_sends(&stall->pair, PEER_TEXT, "half ", 5)) && CHECK(peer_send(stall->pair.peer, "\x80\x04mes", 5));
}

static inline bool receives_the_message(stall *stall) {
  const void *data = NULL;
  size_t length = 0;
  ws_buffer_type type = -1;
  return CHECK(peer_send(stall->pair.peer, "s", 1)) & CHECK_STATUS(WS_OK, ws_receive_message(stall->handle, &data, &length, &type)) &&
         CHECK_NUMBER(WS_UTF8_MESSAGE, type) & CHECK_BYTES("half mess", 9, data, length);
}

/* Pings all the time are no message: they must not keep a receive from its end. */
typedef struct pinging { int peer; bool stop; } pinging;

static inline void *ping_on(void *argument) {
  pinging *pinging = argument;
  uint8_t waste[4096];
  while (!__atomic_load_n(&pinging->stop, __ATOMIC_RELAXED)) {
    if (!peer_send(pinging->peer, "\x89\x00", 2)) break;
    (void)recv(pinging->peer, waste, sizeof waste, MSG_DONTWAIT);
    stall_sleep_ms(1);
  }
  return NULL;
}

static inline ws_status call_receive_pinged(stall *stall) {
  pinging pinging = {stall->pair.peer, false};
  pthread_t thread;
  ws_status status;
  if (pthread_create(&thread, NULL, ping_on, &pinging) != 0) return WS_ERROR_INTERNAL;
  status = call_receive(stall);
  __atomic_store_n(&pinging.stop, true, __ATOMIC_RELAXED);
  (void)pthread_join(thread, NULL);
  return status;
}

static inline ws_status call_close(stall *stall) { return ws_close(stall->handle, WS_CLOSE_NORMAL, "bye", 3); }

static inline bool begin_close(stall *stall, uint32_t limit_ms) {
  return open_pair(stall, LIBRARY_IS_CLIENT) && stall_set(stall->handle, WS_OPTION_CLOSE_TIMEOUT, limit_ms);
}

/* ---- sending to a peer that does not read ------------------------------------------------------------------------------------------ */

#define MUCH (12u << 20)

static inline uint8_t much_at(size_t at) { return (uint8_t)(at * 31 + (at >> 11)); }

static inline uint8_t *much(void) {
  uint8_t *bytes = malloc(MUCH);
  for (size_t i = 0; bytes != NULL && i < MUCH; i++) bytes[i] = much_at(i);
  return bytes;
}

static inline ws_status call_send(stall *stall) {
  uint8_t *bytes = much();
  ws_status status = ws_send(stall->handle, WS_BINARY_MESSAGE, bytes, MUCH);
  free(bytes);
  return status;
}

static inline ws_status call_send_little(stall *stall) { return ws_send(stall->handle, WS_UTF8_MESSAGE, "little", 6); }

/* With a small receive window. */
static inline bool open_deaf(stall *stall, pair_role role) {
  int small = 65536;
  return open_pair(stall, role) && CHECK(setsockopt(stall->pair.peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
}

/* A frame of which the rest waits: nothing else can leave. */
static inline bool begin_send(stall *stall, uint32_t limit_ms) {
  return open_deaf(stall, LIBRARY_IS_CLIENT) && stall_set(stall->handle, WS_OPTION_SEND_TIMEOUT, 1) && CHECK_STATUS(WS_OK, call_send(stall)) &&
         pair_set_u32(stall->handle, WS_OPTION_SEND_TIMEOUT, limit_ms);
}

/* Its close frame cannot leave. */
static inline bool begin_close_behind(stall *stall, uint32_t limit_ms) {
  return begin_send(stall, 0) && stall_set(stall->handle, WS_OPTION_CLOSE_TIMEOUT, limit_ms);
}

static inline ws_status call_shutdown(stall *stall) { return ws_shutdown(stall->handle, WS_CLOSE_NORMAL, "bye", 3); }

/* A whole frame of MUCH bytes, unmasked if need be, and then only what `goes_on` sends. */
static inline bool peer_gets_much(stall *stall) {
  static uint8_t bytes[65536];
  uint8_t header[14];
  bool masked = stall->pair.role == LIBRARY_IS_CLIENT;
  size_t header_length = masked ? 14 : 10, at = 0;
  if (!CHECK(peer_read_exact(stall->pair.peer, header, header_length))) return false;
  if (!CHECK_NUMBER(PEER_FIN | PEER_BINARY, header[0]) || !CHECK_NUMBER(127 | (masked ? 128 : 0), header[1])) return false;
  while (at < MUCH) {
    ssize_t count = peer_read(stall->pair.peer, bytes, MUCH - at < sizeof bytes ? MUCH - at : sizeof bytes);
    if (count <= 0) return check_failed(__FILE__, __LINE__, "the frame ends after %zu bytes", at);
    for (ssize_t i = 0; i < count; i++, at++) {
      uint8_t byte = (uint8_t)(bytes[i] ^ (masked ? header[10 + at % 4] : 0));
      if (byte != much_at(at)) return check_failed(__FILE__, __LINE__, "byte %zu is %02x, expected %02x", at, byte, much_at(at));
    }
  }
  return true;
}

static inline void *read_much(void *argument) {
  stall *stall = argument;
  return peer_gets_much(stall) ? stall : NULL;
}

static inline bool sends_again(stall *stall) {
  pthread_t thread;
  void *got_it = NULL;
  bool sent;
  /* Whoever sends next first writes what waits. */
  if (!pair_set_u32(stall->handle, WS_OPTION_SEND_TIMEOUT, 0) || !CHECK(pthread_create(&thread, NULL, read_much, stall) == 0)) return false;
  sent = CHECK_STATUS(WS_OK, ws_send(stall->handle, WS_UTF8_MESSAGE, "again", 5));
  (void)pthread_join(thread, &got_it);
  return CHECK(got_it != NULL) && sent && PEER_GETS(&stall->pair, PEER_FIN | PEER_TEXT, "again", 5);
}

static const stage stages[] = {
    {"half of the response head comes", begin_head, call_half, WS_OPERATION_UPGRADE, connects_again}, /* first: its peer waits to be called */
    {"the resolver hangs", begin_resolve, call_handshake, WS_OPERATION_HANDSHAKE, resolves_again},
    {"nobody answers the connection attempt", begin_connect, call_handshake, WS_OPERATION_HANDSHAKE, NULL},
    {"nobody answers it within the whole handshake", begin_whole, call_upgrade, WS_OPERATION_UPGRADE, NULL},
    {"the response head does not come", begin_head, call_upgrade, WS_OPERATION_UPGRADE, connects_again},
    {"the request head does not come", begin_request, call_handshake, WS_OPERATION_HANDSHAKE, NULL},
    {"half of the request head comes", begin_half_request, call_upgrade, WS_OPERATION_UPGRADE, NULL},
    {"nothing to receive", begin_receive, call_receive, WS_OPERATION_RECEIVE, receives_again},
    {"half of a frame header to receive", begin_receive_in_header, call_receive, WS_OPERATION_RECEIVE, receives_the_rest},
    {"half of a message to receive", begin_receive_message, call_receive_message, WS_OPERATION_RECEIVE, receives_the_message},
    {"nothing but pings to receive", begin_receive, call_receive_pinged, WS_OPERATION_RECEIVE, receives_again},
    {"no room for a byte of a frame", begin_send, call_send_little, WS_OPERATION_SEND, sends_again},
    {"the close frame is not answered", begin_close, call_close, WS_OPERATION_CLOSE, NULL},
    {"the close frame cannot leave", begin_close_behind, call_close, WS_OPERATION_CLOSE, NULL},
    {"the close frame of a shutdown cannot leave", begin_close_behind, call_shutdown, WS_OPERATION_SHUTDOWN, NULL},
    {"the proxy says nothing", begin_http_proxy, call_handshake, WS_OPERATION_HANDSHAKE, NULL},
    {"the SOCKS proxy says nothing", begin_socks_proxy, call_upgrade, WS_OPERATION_UPGRADE, NULL},
    {"the queue of a socket of this machine is full", begin_local, call_handshake, WS_OPERATION_HANDSHAKE, takes_room},
    {"nobody connects", begin_accept, call_accept, WS_OPERATION_ACCEPT, accepts_again}, /* last: it has no limit */
};
#define STAGES CHECK_COUNT(stages)
#define STAGES_WITH_LIMIT (STAGES - 1)

#endif
