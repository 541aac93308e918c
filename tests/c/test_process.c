/* The library in its process: fork, its own threads, and its log. */
#include "objects.h"

/* ---- fork -------------------------------------------------------------------------------------------------------------------------- */

/* In the child: exits with the number of checks that failed there. */
static void in_child(void (*body)(objects *objects), objects *objects) {
  int status = 0;
  pid_t child = fork();
  if (child == 0) {
    (void)alarm(10);
    body(objects);
    _exit(0); /* failures are counted in memory that both share */
  }
  CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
}

static void every_call_says_so(objects *objects) {
  char room[64];
  const void *data;
  const char *text;
  size_t length = sizeof room;
  ws_buffer_type type;
  ws_handle made;
  uint32_t number = 1;
  uint16_t status;
  ws_bytes part = {"x", 1};
  ws_error_info info;
  ws_handle session = objects->handles[SESSION], request = objects->handles[REQUEST], websocket = objects->handles[WEBSOCKET];
  ws_handle server_request = objects->handles[SERVER_REQUEST], listener = objects->handles[LISTENER];
  memset(&info, 0, sizeof info);
  info.size = sizeof info;
  for (size_t kind = 0; kind < KINDS; kind++) {
    ws_handle handle = objects->handles[kind];
    CHECK_STATUS(WS_ERROR_FORKED, ws_query_option(handle, WS_OPTION_HANDLE_KIND, room, &length));
    CHECK_STATUS(WS_ERROR_FORKED, ws_set_option(handle, WS_OPTION_CLOSE_TIMEOUT, &number, sizeof number));
    CHECK_STATUS(WS_ERROR_FORKED, ws_cancel(handle, WS_OPERATION_ALL));
    CHECK_STATUS(WS_ERROR_FORKED, ws_set_callback(handle, NULL, NULL));
    CHECK_STATUS(WS_ERROR_FORKED, ws_query_error(handle, &info));
  }
  CHECK_STATUS(WS_ERROR_FORKED, ws_connect(session, "ws://a/", &made));
  CHECK_STATUS(WS_ERROR_FORKED, ws_listen(session, "ws://127.0.0.1:0/", &made));
  CHECK_STATUS(WS_ERROR_FORKED, ws_accept(listener, &made));
  CHECK_STATUS(WS_ERROR_FORKED, ws_handshake(request));
  CHECK_STATUS(WS_ERROR_FORKED, ws_complete_upgrade(server_request, &made));
  CHECK_STATUS(WS_ERROR_FORKED, ws_respond(server_request, 404, NULL, NULL, 0));
  CHECK_STATUS(WS_ERROR_FORKED, ws_add_header(request, "a", "b"));
  CHECK_STATUS(WS_ERROR_FORKED, ws_query_header_at(server_request, 0, &text, &text));
  CHECK_STATUS(WS_ERROR_FORKED, ws_query_response(request, &status));
  CHECK_STATUS(WS_ERROR_FORKED, ws_receive(websocket, room, sizeof room, &length, &type));
  CHECK_STATUS(WS_ERROR_FORKED, ws_receive_message(websocket, &data, &length, &type));
  CHECK_STATUS(WS_ERROR_FORKED, ws_send(websocket, WS_UTF8_MESSAGE, "x", 1));
  CHECK_STATUS(WS_ERROR_FORKED, ws_send_ex(websocket, WS_UTF8_MESSAGE, 0, &part, 1, NULL));
  CHECK_STATUS(WS_ERROR_FORKED, ws_ping(websocket, NULL, 0));
  CHECK_STATUS(WS_ERROR_FORKED, ws_shutdown(websocket, 1000, NULL, 0));
  CHECK_STATUS(WS_ERROR_FORKED, ws_close(websocket, 1000, NULL, 0));
  CHECK_STATUS(WS_ERROR_FORKED, ws_query_close_status(websocket, &status, room, sizeof room, &length));
}

static void handles_are_closed(objects *objects) {
  for (size_t kind = 0; kind < KINDS; kind++) {
    CHECK_STATUS(WS_OK, ws_close_handle(objects->handles[kind]));
    CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_close_handle(objects->handles[kind]));
  }
}

static void new_ones_work(objects *objects) {
  pair pair;
  (void)objects;
  REQUIRE(pair_open(&pair, LIBRARY_IS_CLIENT));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "child", 5));
  CHECK(RECEIVES(pair.websocket, 9, WS_UTF8_MESSAGE, "child", 5));
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "here", 4));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_TEXT, "here", 4));
  pair_close(&pair);
  CHECK_STATUS(WS_OK, ws_cleanup(WS_WAIT_FOREVER));
}

static const struct { const char *name; void (*body)(objects *objects); } children[] = {
    {"every call says so", every_call_says_so}, {"handles are closed", handles_are_closed}, {"new ones work", new_ones_work},
};

/* Whatever the child does, the parent's objects go on. */
static void a_child_leaves_its_parent_alone(size_t row) {
  ws_handle websocket = WS_NO_HANDLE;
  objects objects;
  char head[4096];
  int peer;
  check_label("%s", children[row].name);
  REQUIRE(objects_open(&objects));
  in_child(children[row].body, &objects);
  REQUIRE(pair_peer_sends(&objects.pair, PEER_FIN | PEER_TEXT, "parent", 6));
  CHECK(RECEIVES(objects.handles[WEBSOCKET], 9, WS_UTF8_MESSAGE, "parent", 6));
  CHECK_STATUS(WS_OK, ws_send(objects.handles[WEBSOCKET], WS_UTF8_MESSAGE, "here", 4));
  CHECK(PEER_GETS(&objects.pair, PEER_FIN | PEER_TEXT, "here", 4));
  CHECK_STATUS(WS_OK, ws_complete_upgrade(objects.handles[SERVER_REQUEST], &websocket));
  CHECK(peer_read_head(objects.dialled, head, sizeof head) && CHECK_NUMBER(101, peer_http_status(head)));
  CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(objects.handles[SERVER_REQUEST]));
  {
    uint16_t port;
    char url[100];
    size_t length = sizeof url;
    unsigned number = 0;
    CHECK_STATUS(WS_OK, ws_query_option(objects.handles[LISTENER], WS_OPTION_URL, url, &length));
    CHECK(sscanf(url, "ws://127.0.0.1:%5u", &number) == 1);
    port = (uint16_t)number;
    peer = peer_dial(port);
    REQUIRE(peer >= 0 && peer_send_upgrade(peer, "/", ""));
    CHECK_STATUS(WS_OK, ws_accept(objects.handles[LISTENER], &objects.handles[SERVER_REQUEST]));
    (void)close(peer);
  }
  objects_close(&objects);
}

/* ---- ws_cleanup -------------------------------------------------------------------------------------------------------------------- */

static void threads_end_and_begin_again(void) {
  pair pair;
  int threads = check_threads();
  CHECK_STATUS(WS_OK, ws_cleanup(0));
  for (int turn = 0; turn < 3; turn++) {
    REQUIRE(pair_open(&pair, LIBRARY_IS_SERVER));
    if (threads > 0) CHECK_NUMBER(threads + 1, check_threads());
    CHECK_STATUS(WS_OK, ws_cleanup(turn == 0 ? WS_WAIT_FOREVER : 5000));
    CHECK_NUMBER(threads, check_threads_settled(threads));
    CHECK_STATUS(WS_OK, ws_cleanup(0));
    /* What is open goes on. */
    CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "x", 1));
    CHECK(PEER_GETS(&pair, PEER_FIN | PEER_TEXT, "x", 1));
    pair_close(&pair);
  }
}

/* The thread that looked a name up is waited for. */
static void a_look_up_leaves_no_thread(void) {
  ws_handle session = WS_NO_HANDLE, request = WS_NO_HANDLE;
  int threads = check_threads();
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE_STATUS(WS_OK, ws_connect(session, "ws://localhost:1/", &request));
  CHECK_STATUS(WS_ERROR_CANNOT_CONNECT, ws_handshake(request));
  CHECK_STATUS(WS_OK, ws_cleanup(5000));
  CHECK_NUMBER(threads, check_threads_settled(threads));
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

/* ---- ws_set_log -------------------------------------------------------------------------------------------------------------------- */

typedef struct journal {
  pthread_mutex_t lock;
  char text[16384];
  int lines[6];
  bool calls_back;
} journal;

static journal kept = {PTHREAD_MUTEX_INITIALIZER, "", {0}, false};

static void keep_line(int32_t level, const char *line, void *context) {
  journal *journal = context;
  /* A callback may call the library, which then is silent. */
  if (journal->calls_back) (void)ws_close_handle(WS_NO_HANDLE);
  (void)pthread_mutex_lock(&journal->lock);
  if (level >= 1 && level <= 5) journal->lines[level]++;
  else journal->lines[0]++;
  if (strlen(journal->text) + strlen(line) + 2 < sizeof journal->text) {
    strcat(journal->text, line);
    strcat(journal->text, "\n");
  }
  (void)pthread_mutex_unlock(&journal->lock);
}

/* A client's life with secrets in every place where one can be. */
static void live_with_secrets(void) {
  ws_handle session = WS_NO_HANDLE, request = WS_NO_HANDLE;
  pair_answering answering = {-1, -1};
  pair pair;
  char url[100];
  pthread_t thread;
  uint16_t port = 0;
  answering.listener = peer_listen(&port);
  (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/path?token=SECRET1", (unsigned)port);
  memset(&pair, 0, sizeof pair);
  pair.role = LIBRARY_IS_CLIENT;
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE_STATUS(WS_OK, ws_connect(session, url, &request));
  CHECK_STATUS(WS_OK, ws_add_header(request, "Authorization", "Basic SECRET2"));
  CHECK_STATUS(WS_OK, ws_add_header(request, "Cookie", "session=SECRET3"));
  REQUIRE(pthread_create(&thread, NULL, pair_answer, &answering) == 0);
  CHECK_STATUS(WS_OK, ws_complete_upgrade(request, &pair.websocket));
  (void)pthread_join(thread, NULL);
  pair.session = session;
  pair.peer = answering.peer;
  CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "SECRET4", 7));
  CHECK(PEER_GETS(&pair, PEER_FIN | PEER_TEXT, "SECRET4", 7));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | PEER_TEXT, "SECRET5", 7));
  CHECK(RECEIVES(pair.websocket, 9, WS_UTF8_MESSAGE, "SECRET5", 7));
  REQUIRE(pair_peer_closes(&pair, 3210, "SECRET6"));
  CHECK(RECEIVES(pair.websocket, 9, WS_CLOSE_FRAME, "", 0));
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_INVALID_OPERATION));
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  pair_close(&pair);
  (void)close(answering.listener);
}

static void a_server_refuses(void) {
  ws_handle session = WS_NO_HANDLE, listener = WS_NO_HANDLE, request = WS_NO_HANDLE;
  uint16_t port = 0;
  int peer;
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE(pair_listen(session, "/ws", &listener, &port));
  peer = peer_dial(port);
  REQUIRE(peer >= 0 && peer_send_upgrade(peer, "/elsewhere?token=SECRET7", "Cookie: SECRET8\r\n"));
  REQUIRE_STATUS(WS_OK, ws_accept(listener, &request));
  (void)shutdown(peer, SHUT_WR);
  CHECK_STATUS(WS_ERROR_UPGRADE_REFUSED, ws_handshake(request));
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_close_handle(listener));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
  (void)close(peer);
}

/* A peer breaks the rules, and the program closes first: the frames that the library and the program send. */
static void live_with_close_frames(void) {
  pair pair;
  REQUIRE(pair_open(&pair, LIBRARY_IS_SERVER));
  REQUIRE(pair_peer_sends(&pair, PEER_FIN | 0x0b, "SECRET9", 7));
  (void)shutdown(pair.peer, SHUT_WR);
  CHECK(RECEIVE_FAILS(pair.websocket, WS_ERROR_PROTOCOL_VIOLATION));
  pair_close(&pair);
  REQUIRE(pair_open(&pair, LIBRARY_IS_CLIENT));
  REQUIRE_STATUS(WS_OK, ws_shutdown(pair.websocket, 4001, "SECRET10", 8));
  REQUIRE(pair_peer_closes(&pair, 4002, ""));
  (void)shutdown(pair.peer, SHUT_WR);
  CHECK_STATUS(WS_OK, ws_close(pair.websocket, WS_CLOSE_NORMAL, NULL, 0));
  pair_close(&pair);
}

/* How often a text is in another. */
static int count_of(const char *text, const char *part) {
  int count = 0;
  for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) count++;
  return count;
}

static const int levels[] = {0, 1, 2, 3, 4, 5};

static void a_level_has_what_is_below_it_and_no_secret(size_t row) {
  int level = levels[row];
  check_label("level %d", level);
  kept.calls_back = level == 5;
  REQUIRE_STATUS(WS_OK, ws_set_log(level, keep_line, &kept));
  live_with_secrets();
  live_with_close_frames();
  a_server_refuses();
  (void)ws_close_handle(WS_NO_HANDLE);
  CHECK_STATUS(WS_OK, ws_set_log(0, NULL, NULL));
  CHECK(strstr(kept.text, "SECRET") == NULL);
  CHECK_NUMBER(0, kept.lines[0]);
  CHECK_NUMBER(0, kept.lines[1]);
  CHECK((kept.lines[3] > 0) == (level >= 3));
  CHECK((kept.lines[4] > 0) == (level >= 4));
  CHECK((kept.lines[5] > 0) == (level >= 5));
  if (level >= 3) {
    CHECK(strstr(kept.text, "/path: upgraded") != NULL);
    CHECK(strstr(kept.text, "refused, 404: the path /elsewhere is not served here") != NULL);
  }
  if (level >= 4) {
    CHECK(strstr(kept.text, "connected") != NULL);
    CHECK(strstr(kept.text, "Authorization, Cookie") != NULL || strstr(kept.text, "Cookie") != NULL);
    CHECK_NUMBER(1, count_of(kept.text, "close frame 3210 received; its reason has 7 bytes\n"));
    CHECK_NUMBER(1, count_of(kept.text, "close frame 3210 sent as the answer; its reason has 0 bytes\n"));
    CHECK_NUMBER(1, count_of(kept.text, "close frame 1002 sent; "));
    CHECK_NUMBER(1, count_of(kept.text, "close frame 4001 sent; its reason has 8 bytes\n"));
    CHECK_NUMBER(1, count_of(kept.text, "close frame 4002 received; its reason has 0 bytes\n"));
    CHECK_NUMBER(0, count_of(kept.text, "close frame 1000"));
  } else {
    CHECK_NUMBER(0, count_of(kept.text, "close frame"));
  }
}

static void the_log_can_be_turned_off(void) {
  REQUIRE_STATUS(WS_OK, ws_set_log(5, keep_line, &kept));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_close_handle(WS_NO_HANDLE));
  CHECK_NUMBER(1, kept.lines[5]);
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_set_log(6, keep_line, &kept));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_set_log(-1, keep_line, &kept));
  kept.lines[5] = 0;
  CHECK_STATUS(WS_OK, ws_set_log(5, NULL, NULL));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_close_handle(WS_NO_HANDLE));
  CHECK_STATUS(WS_OK, ws_set_log(0, keep_line, &kept));
  CHECK_STATUS(WS_ERROR_INVALID_HANDLE, ws_close_handle(WS_NO_HANDLE));
  CHECK_NUMBER(0, kept.lines[5]);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_ROWS(a_child_leaves_its_parent_alone, children),
      CHECK_TEST(threads_end_and_begin_again),
      CHECK_TEST(a_look_up_leaves_no_thread),
      CHECK_ROWS(a_level_has_what_is_below_it_and_no_secret, levels),
      CHECK_TEST(the_log_can_be_turned_off),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
