/* What a listener bounds, sockets that the program brings itself, and the page that comes with a refusal. */
#include "pair.h"

typedef struct server {
  ws_handle session, listener;
  uint16_t port;
} server;

static bool server_open(server *server) {
  memset(server, 0, sizeof *server);
  return CHECK_STATUS(WS_OK, ws_open(NULL, 0, &server->session)) && pair_listen(server->session, "/", &server->listener, &server->port);
}

static void server_close(server *server) {
  CHECK_STATUS(WS_OK, ws_close_handle(server->listener));
  CHECK_STATUS(WS_OK, ws_close_handle(server->session));
}

/* A raw client whose request has been accepted. */
static int arrive(server *server, ws_handle *request) {
  int peer = peer_dial(server->port);
  if (peer >= 0 && peer_send_upgrade(peer, "/", "")) CHECK_STATUS(WS_OK, ws_accept(server->listener, request));
  return peer;
}

static void answered(int peer, int status) {
  char head[4096];
  CHECK(peer_read_head(peer, head, sizeof head) && CHECK_NUMBER(status, peer_http_status(head)));
}

/* ---- WS_OPTION_MAX_CONNECTIONS ----------------------------------------------------------------------------------------------------- */

static void no_more_connections_than_allowed(void) {
  ws_handle requests[4], websockets[3], other = WS_NO_HANDLE;
  int peers[4];
  server server;
  REQUIRE(server_open(&server));
  REQUIRE(pair_set_u32(server.listener, WS_OPTION_MAX_CONNECTIONS, 2));
  for (int i = 0; i < 2; i++) {
    peers[i] = arrive(&server, &requests[i]);
    REQUIRE_STATUS(WS_OK, ws_complete_upgrade(requests[i], &websockets[i]));
    answered(peers[i], 101);
  }
  /* Refused by the library, as soon as the head is there. */
  peers[2] = arrive(&server, &requests[2]);
  CHECK_STATUS(WS_ERROR_UPGRADE_REFUSED, ws_handshake(requests[2]));
  answered(peers[2], 503);
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_complete_upgrade(requests[2], &other));
  /* A closed handle makes room; that its request is still open does not matter. */
  CHECK_STATUS(WS_OK, ws_close_handle(websockets[0]));
  peers[3] = arrive(&server, &requests[3]);
  CHECK_STATUS(WS_OK, ws_complete_upgrade(requests[3], &websockets[2]));
  answered(peers[3], 101);
  CHECK_STATUS(WS_OK, ws_close_handle(websockets[1]));
  CHECK_STATUS(WS_OK, ws_close_handle(websockets[2]));
  for (int i = 0; i < 4; i++) {
    CHECK_STATUS(WS_OK, ws_close_handle(requests[i]));
    (void)close(peers[i]);
  }
  server_close(&server);
}

/* Several were let in while there was room for one: the upgrade decides. What asks for no WebSocket is not counted. */
static void the_upgrade_takes_the_place(void) {
  ws_handle first = WS_NO_HANDLE, second = WS_NO_HANDLE, page = WS_NO_HANDLE, websocket = WS_NO_HANDLE, other = WS_NO_HANDLE;
  int peers[3];
  server server;
  REQUIRE(server_open(&server));
  REQUIRE(pair_set_u32(server.listener, WS_OPTION_MAX_CONNECTIONS, 1));
  peers[0] = arrive(&server, &first);
  peers[1] = arrive(&server, &second);
  CHECK_STATUS(WS_OK, ws_handshake(first));
  CHECK_STATUS(WS_OK, ws_handshake(second));
  CHECK_STATUS(WS_OK, ws_complete_upgrade(first, &websocket));
  answered(peers[0], 101);
  CHECK_STATUS(WS_ERROR_UPGRADE_REFUSED, ws_complete_upgrade(second, &other));
  answered(peers[1], 503);
  peers[2] = peer_dial(server.port);
  REQUIRE(peer_send_text(peers[2], "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &page));
  CHECK_STATUS(WS_OK, ws_respond(page, 200, "text/plain", "hello", 5));
  answered(peers[2], 200);
  /* The listener may go before the websocket that it counts. */
  server_close(&server);
  CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(first));
  CHECK_STATUS(WS_OK, ws_close_handle(second));
  CHECK_STATUS(WS_OK, ws_close_handle(page));
  for (int i = 0; i < 3; i++) (void)close(peers[i]);
}

/* ---- WS_OPTION_MAX_HANDSHAKES ------------------------------------------------------------------------------------------------------ */

typedef struct accepting {
  ws_handle listener, request;
  ws_status status;
} accepting;

static void *accept_one(void *argument) {
  accepting *accepting = argument;
  accepting->status = ws_accept(accepting->listener, &accepting->request);
  return NULL;
}

static const char *const ends[] = {"upgraded", "answered", "refused", "closed", "lost"};

/* The second accept waits until the first request is no handshake any more, however that came. */
static void handshakes_wait_in_the_backlog(size_t row) {
  ws_handle request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  accepting accepting;
  int peers[2];
  pthread_t thread;
  server server;
  uint64_t until;
  check_label("%s", ends[row]);
  REQUIRE(server_open(&server));
  REQUIRE(pair_set_u32(server.listener, WS_OPTION_MAX_HANDSHAKES, 1));
  peers[0] = peer_dial(server.port);
  REQUIRE(peers[0] >= 0 && (row == 2 ? peer_send_text(peers[0], "nonsense\r\n\r\n") : row == 4 || peer_send_upgrade(peers[0], "/", "")));
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &request));
  peers[1] = peer_dial(server.port);
  memset(&accepting, 0, sizeof accepting);
  accepting.listener = server.listener;
  accepting.status = -1;
  REQUIRE(pthread_create(&thread, NULL, accept_one, &accepting) == 0);
  /* It is inside and waits although a client is there: a cancel that finds it and another thread's moment of doing nothing. */
  for (until = check_now_ms() + 100; check_now_ms() < until;) REQUIRE(__atomic_load_n(&accepting.status, __ATOMIC_SEQ_CST) == -1);
  switch (row) {
    case 0: CHECK_STATUS(WS_OK, ws_complete_upgrade(request, &websocket)); break;
    case 1: CHECK_STATUS(WS_OK, ws_respond(request, 404, NULL, NULL, 0)); break;
    case 2: CHECK_STATUS(WS_ERROR_UPGRADE_REFUSED, ws_handshake(request)); break;
    case 3: CHECK_STATUS(WS_OK, ws_close_handle(request)); break;
    default:
      (void)close(peers[0]);
      CHECK_STATUS(WS_ERROR_CONNECTION, ws_handshake(request));
  }
  (void)pthread_join(thread, NULL);
  CHECK_STATUS(WS_OK, accepting.status);
  CHECK_STATUS(WS_OK, ws_close_handle(accepting.request));
  if (row != 3) CHECK_STATUS(WS_OK, ws_close_handle(request));
  if (websocket != WS_NO_HANDLE) CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  server_close(&server);
  if (row != 4) (void)close(peers[0]);
  (void)close(peers[1]);
}

/* Waiting for room ends with the listener, too. */
static void a_full_listener_is_closed(void) {
  ws_handle request = WS_NO_HANDLE;
  accepting accepting;
  pthread_t thread;
  server server;
  int peer;
  REQUIRE(server_open(&server));
  REQUIRE(pair_set_u32(server.listener, WS_OPTION_MAX_HANDSHAKES, 1));
  peer = arrive(&server, &request);
  accepting.listener = server.listener;
  REQUIRE(pthread_create(&thread, NULL, accept_one, &accepting) == 0);
  while (ws_cancel(server.listener, WS_OPERATION_ACCEPT) == WS_ERROR_INVALID_OPERATION) {}
  (void)pthread_join(thread, NULL);
  CHECK_STATUS(WS_ERROR_CANCELLED, accepting.status);
  REQUIRE(pthread_create(&thread, NULL, accept_one, &accepting) == 0);
  server_close(&server);
  (void)pthread_join(thread, NULL);
  CHECK(accepting.status == WS_ERROR_CANCELLED || accepting.status == WS_ERROR_INVALID_HANDLE);
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  (void)close(peer);
}

/* A slow head has its time from the accept on, not from when somebody looks. */
static void a_slow_head_is_cut(void) {
  const struct timespec wait = {0, 200000000};
  ws_handle request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  uint64_t start;
  server server;
  int peer;
  REQUIRE(server_open(&server));
  REQUIRE(pair_set_u32(server.listener, WS_OPTION_HANDSHAKE_TIMEOUT, 200));
  peer = peer_dial(server.port);
  REQUIRE(peer >= 0 && peer_send_text(peer, "GET / HTTP/1.1\r\n"));
  REQUIRE_STATUS(WS_OK, ws_accept(server.listener, &request));
  (void)nanosleep(&wait, NULL); /* the very thing: time passes before the call */
  start = check_now_ms();
  CHECK_STATUS(WS_ERROR_TIMEOUT, ws_handshake(request));
  CHECK(check_now_ms() - start < 150);
  CHECK(peer_is_gone(peer));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_handshake(request));
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  (void)close(peer);
  /* A head that is there in time is read, however late that is done. */
  peer = arrive(&server, &request);
  (void)nanosleep(&wait, NULL);
  (void)nanosleep(&wait, NULL);
  CHECK_STATUS(WS_OK, ws_complete_upgrade(request, &websocket));
  answered(peer, 101);
  CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  (void)close(peer);
  server_close(&server);
}

/* ---- ws_connect_descriptor, ws_accept_descriptor ----------------------------------------------------------------------------------- */

/* Two connected sockets, of Unix or of TCP. */
static bool socket_pair(bool unix_sockets, int ends_of[2]) {
  uint16_t port = 0;
  int listener;
  if (unix_sockets) return CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends_of) == 0);
  listener = peer_listen(&port);
  ends_of[0] = peer_dial(port);
  ends_of[1] = peer_accept(listener);
  (void)close(listener);
  return ends_of[0] >= 0 && ends_of[1] >= 0;
}

typedef struct upgrading {
  ws_handle request, websocket;
  ws_status status;
} upgrading;

static void *upgrade(void *argument) {
  upgrading *upgrading = argument;
  upgrading->status = ws_complete_upgrade(upgrading->request, &upgrading->websocket);
  return NULL;
}

static const bool families[] = {false, true};

static void two_ends_of_the_programs(size_t row) {
  ws_handle session = WS_NO_HANDLE, request = WS_NO_HANDLE, websocket = WS_NO_HANDLE, other = WS_NO_HANDLE;
  upgrading client = {0, 0, -1};
  char text[100];
  size_t length = sizeof text;
  pthread_t thread;
  int ends_of[2];
  check_label("%s", families[row] ? "unix" : "tcp");
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE(socket_pair(families[row], ends_of));
  (void)fcntl(ends_of[0], F_SETFL, O_NONBLOCK);
  REQUIRE_STATUS(WS_OK, ws_connect_descriptor(session, ends_of[0], "ws://example.test:8080/chat?room=1", &client.request));
  REQUIRE_STATUS(WS_OK, ws_accept_descriptor(session, ends_of[1], &request));
  REQUIRE(pthread_create(&thread, NULL, upgrade, &client) == 0);
  CHECK_STATUS(WS_OK, ws_handshake(request));
  CHECK_STATUS(WS_OK, ws_query_header(request, "Host", 0, text, &length));
  CHECK_TEXT("example.test:8080", text);
  length = sizeof text;
  CHECK_STATUS(WS_OK, ws_query_option(request, WS_OPTION_TARGET, text, &length));
  CHECK_TEXT("/chat?room=1", text);
  length = sizeof text;
  CHECK_STATUS(WS_OK, ws_query_option(request, WS_OPTION_REMOTE_ADDRESS, text, &length));
  CHECK(families[row] ? length == 0 : strncmp(text, "127.0.0.1:", 10) == 0);
  CHECK_STATUS(WS_OK, ws_complete_upgrade(request, &websocket));
  (void)pthread_join(thread, NULL);
  REQUIRE_STATUS(WS_OK, client.status);
  CHECK_STATUS(WS_OK, ws_send(client.websocket, WS_UTF8_MESSAGE, "hello", 5));
  CHECK(RECEIVES(websocket, 9, WS_UTF8_MESSAGE, "hello", 5));
  CHECK_STATUS(WS_OK, ws_send(websocket, WS_UTF8_MESSAGE, "you too", 7));
  CHECK(RECEIVES(client.websocket, 9, WS_UTF8_MESSAGE, "you too", 7));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_complete_upgrade(client.request, &other));
  CHECK_STATUS(WS_OK, ws_shutdown(websocket, 1000, NULL, 0));
  CHECK(RECEIVES(client.websocket, 9, WS_CLOSE_FRAME, "", 0));
  CHECK_STATUS(WS_OK, ws_close(websocket, 1000, NULL, 0));
  CHECK_STATUS(WS_OK, ws_close_handle(client.request));
  CHECK_STATUS(WS_OK, ws_close_handle(client.websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

/* What is not taken stays the program's; what is taken is closed with its last handle, and not inherited by programs that are started. */
static void a_descriptor_is_the_librarys_from_ok_on(void) {
  ws_handle session = WS_NO_HANDLE, request = 4711;
  int file = open("/dev/null", O_RDONLY), datagrams[2], ends_of[2], lone = socket(AF_INET, SOCK_STREAM, 0), found = 0;
  char head[4096];
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE(file >= 0 && lone >= 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams) == 0 && socket_pair(true, ends_of));
  const int wrong[] = {file, datagrams[0], lone, 1023};
  for (size_t i = 0; i < CHECK_COUNT(wrong); i++) {
    CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_connect_descriptor(session, wrong[i], "ws://a/", &request));
    CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_accept_descriptor(session, wrong[i], &request));
  }
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_accept_descriptor(session, -1, &request));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_accept_descriptor(session, (int64_t)ends_of[0] + ((int64_t)1 << 32), &request));
  CHECK_STATUS(WS_ERROR_INVALID_URL, ws_connect_descriptor(session, ends_of[0], "ws://", &request));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_TYPE, (ws_connect(session, "ws://a/", &request), ws_accept_descriptor(request, ends_of[0], &request)));
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK(peer_send_text(ends_of[0], "still mine") && peer_read_exact(ends_of[1], head, 10));
  REQUIRE_STATUS(WS_OK, ws_connect_descriptor(session, ends_of[0], "ws://a/", &request));
  /* Every socket of the library's is close-on-exec; the program's own end is not. */
  for (int i = 3; i < CHECK_DESCRIPTORS; i++) {
    int type = 0, flags = fcntl(i, F_GETFD);
    socklen_t length = sizeof type;
    if (flags == -1 || i == ends_of[1] || i == lone || i == datagrams[0] || i == datagrams[1]) continue;
    if (getsockopt(i, SOL_SOCKET, SO_TYPE, &type, &length) == 0) found += CHECK_NUMBER(FD_CLOEXEC, flags & FD_CLOEXEC);
  }
  CHECK_NUMBER(1, found);
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK(peer_is_at_end(ends_of[1]));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  (void)close(ends_of[1]);
  (void)close(file);
  (void)close(lone);
  (void)close(datagrams[0]);
  (void)close(datagrams[1]);
}

/* One attempt: a socket that was refused cannot be asked again. */
static void a_descriptor_is_good_for_one_attempt(void) {
  ws_handle session = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  upgrading client = {0, 0, -1};
  char head[4096];
  pthread_t thread;
  int ends_of[2];
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE(socket_pair(true, ends_of));
  REQUIRE_STATUS(WS_OK, ws_connect_descriptor(session, ends_of[0], "ws://a/", &client.request));
  REQUIRE(pthread_create(&thread, NULL, upgrade, &client) == 0);
  REQUIRE(peer_read_head(ends_of[1], head, sizeof head));
  CHECK(peer_send_text(ends_of[1], "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"));
  (void)pthread_join(thread, NULL);
  CHECK_STATUS(WS_ERROR_UPGRADE_REFUSED, client.status);
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_handshake(client.request));
  CHECK_STATUS(WS_ERROR_UPGRADE_REFUSED, ws_complete_upgrade(client.request, &websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(client.request));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  (void)close(ends_of[1]);
}

/* ---- ws_read_body ------------------------------------------------------------------------------------------------------------------ */

static const struct { const char *name, *answer, *body; } bodies[] = {
    {"Content-Length", "Content-Length: 11\r\n\r\nhello worldNOT THIS", "hello world"},
    {"empty", "Content-Length: 0\r\n\r\nNOT THIS", ""},
    {"chunked", "Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\n\r\nNOT THIS", "hello world"},
    {"until close", "\r\nhello world", "hello world"},
    {"cut short", "Content-Length: 100\r\n\r\nhello world", "hello world"},
};

static void the_page_of_a_refusal_is_read(size_t row) {
  ws_handle session = WS_NO_HANDLE;
  upgrading client = {0, 0, -1};
  char text[600], body[64];
  size_t total = 0, read = 4711;
  pthread_t thread;
  int ends_of[2];
  check_label("%s", bodies[row].name);
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE(socket_pair(true, ends_of));
  REQUIRE_STATUS(WS_OK, ws_connect_descriptor(session, ends_of[0], "ws://a/", &client.request));
  CHECK_STATUS(WS_ERROR_INCORRECT_HANDLE_STATE, ws_read_body(client.request, body, sizeof body, &read));
  REQUIRE(pthread_create(&thread, NULL, upgrade, &client) == 0);
  REQUIRE(peer_read_head(ends_of[1], text, sizeof text));
  (void)snprintf(text, sizeof text, "HTTP/1.1 404 Not Found\r\n%s", bodies[row].answer);
  /* What follows the body's end may find nobody any more. */
  (void)peer_send_split(ends_of[1], text, strlen(text));
  (void)shutdown(ends_of[1], SHUT_WR);
  (void)pthread_join(thread, NULL);
  CHECK_STATUS(WS_ERROR_UPGRADE_REFUSED, client.status);
  do {
    REQUIRE_STATUS(WS_OK, ws_read_body(client.request, body + total, 4, &read));
    REQUIRE(read <= 4 && total + read < sizeof body - 4);
    total += read;
  } while (read > 0);
  CHECK_BYTES(bodies[row].body, strlen(bodies[row].body), body, total);
  CHECK_STATUS(WS_OK, ws_read_body(client.request, body, 4, &read));
  CHECK_NUMBER(0, read);
  CHECK_STATUS(WS_OK, ws_close_handle(client.request));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  (void)close(ends_of[1]);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_TEST(no_more_connections_than_allowed),
      CHECK_TEST(the_upgrade_takes_the_place),
      CHECK_ROWS(handshakes_wait_in_the_backlog, ends),
      CHECK_TEST(a_full_listener_is_closed),
      CHECK_TEST(a_slow_head_is_cut),
      CHECK_ROWS(two_ends_of_the_programs, families),
      CHECK_TEST(a_descriptor_is_the_librarys_from_ok_on),
      CHECK_TEST(a_descriptor_is_good_for_one_attempt),
      CHECK_ROWS(the_page_of_a_refusal_is_read, bodies),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
