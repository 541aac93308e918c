/* The world outside the tests of the shim: see link.h. */
#include "peer.h"

#include <wchar.h>

#include "link.h"

#define ANSWERS 16
#define EVENTS 4096

/* ---- checks ------------------------------------------------------------------------------------------------------------------------------------------ */

int link_main(int argc, char **argv, const link_test *tests, size_t count) {
  check_test copies[256];
  if (count > CHECK_COUNT(copies)) return 1;
  for (size_t i = 0; i < count; i++) {
    copies[i].name = tests[i].name;
    copies[i].run = tests[i].run;
    copies[i].run_row = tests[i].run_row;
    copies[i].rows = tests[i].rows;
  }
  return check_main(argc, argv, copies, count);
}

void link_label(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(check_current->label, sizeof check_current->label, format, arguments);
  va_end(arguments);
}

bool link_number(int64_t expected, int64_t actual, const char *file, int line, const char *text) {
  return check_number(expected, actual, file, line, text);
}

bool link_text(const char *expected, const char *actual, const char *file, int line, const char *text) {
  if (expected != NULL && actual != NULL && strcmp(expected, actual) == 0) return true;
  return check_failed(file, line, "%s is\n#  \"%.420s\", expected\n#  \"%.420s\"", text, actual != NULL ? actual : "(null)", expected != NULL ? expected : "(null)");
}

bool link_wide(const WCHAR *expected, const WCHAR *actual, const char *file, int line, const char *text) {
  if (wcscmp(expected, actual) == 0) return true;
  return check_failed(file, line, "%s is \"%.150ls\", expected \"%.150ls\"", text, actual, expected);
}

bool link_bytes(const void *expected, size_t expected_length, const void *actual, size_t actual_length, const char *file, int line, const char *text) {
  return check_bytes(expected, expected_length, actual, actual_length, file, line, text);
}

void link_sleep(unsigned milliseconds) {
  struct timespec moment = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000L};
  (void)nanosleep(&moment, NULL);
}

uint64_t link_now(void) { return check_now_ms(); }

void link_environment(const char *name, const char *value, unsigned port) {
  char text[100];
  const char *place = value != NULL ? strchr(value, '#') : NULL;
  if (place != NULL) (void)snprintf(text, sizeof text, "%.*s%u", (int)(place - value), value, port);
  CHECK(value == NULL ? unsetenv(name) == 0 : setenv(name, place != NULL ? text : value, 1) == 0);
}

static struct {
  pthread_t thread;
  void (*run)(void *argument);
  void *argument;
} spawned;

static void *spawned_run(void *argument) {
  spawned.run(spawned.argument);
  return argument;
}

void link_spawn(void (*run)(void *argument), void *argument) {
  spawned.run = run;
  spawned.argument = argument;
  CHECK(pthread_create(&spawned.thread, NULL, spawned_run, NULL) == 0);
}

void link_join(void) { (void)pthread_join(spawned.thread, NULL); }

/* ---- the server ------------------------------------------------------------------------------------------------------------------------------------------ */

static struct {
  const char *answers[ANSWERS];
  char requests[ANSWERS][4096];
  size_t count;
  int listener, peer;
  uint16_t port;
  pthread_t thread;
  bool is_running, is_draining;
  pthread_t drain;
} server;

static void answer(int peer, const char *text, const char *request) {
  char whole[8192], key[100], accept[32] = "";
  size_t at = 0;
  if (text == NULL) {
    (void)peer_answer_upgrade(peer, request, "");
    return;
  }
  if (peer_header(request, "Sec-WebSocket-Key", key, sizeof key)) peer_accept_value(key, accept);
  while (*text != '\0' && at + 64 < sizeof whole) {
    if (strncmp(text, "{port}", 6) == 0) at += (size_t)snprintf(whole + at, sizeof whole - at, "%u", (unsigned)server.port), text += 6;
    else if (strncmp(text, "{accept}", 8) == 0) at += (size_t)snprintf(whole + at, sizeof whole - at, "%s", accept), text += 8;
    else whole[at++] = *text++;
  }
  (void)peer_send(peer, whole, at);
}

static void *serve(void *argument) {
  int peer = -1;
  for (size_t i = 0; i < server.count; i++) {
    const char *text = server.answers[i];
    bool is_kept = text != NULL && text[0] == '+', goes_on = is_kept && i + 1 < server.count;
    if (is_kept) text++;
    if (peer < 0) peer = peer_accept(server.listener);
    if (peer < 0) break;
    if (goes_on) {
      if (peer_read_head(peer, server.requests[i], sizeof server.requests[i])) answer(peer, text, server.requests[i]);
      continue;
    }
    if (peer_read_head(peer, server.requests[i], sizeof server.requests[i]) && (text == NULL || strcmp(text, "-") != 0))
      answer(peer, text, server.requests[i]);
    if (i + 1 < server.count || (text != NULL && strcmp(text, "-") == 0)) (void)close(peer);
    else server.peer = peer;
    peer = -1;
  }
  return argument;
}

void server_start(const char *const *answers, size_t count) {
  memset(&server, 0, sizeof server);
  server.peer = -1;
  server.count = count;
  for (size_t i = 0; i < count; i++) server.answers[i] = answers[i];
  server.listener = peer_listen(&server.port);
  server.is_running = pthread_create(&server.thread, NULL, serve, NULL) == 0;
  CHECK(server.is_running);
}

INTERNET_PORT server_port(void) { return server.port; }

bool server_is_connected(void) {
  if (server.is_running) (void)pthread_join(server.thread, NULL);
  server.is_running = false;
  return server.peer >= 0;
}

const char *server_request(size_t number) {
  (void)server_is_connected();
  return server.requests[number];
}

void server_send(uint8_t first, const void *payload, size_t length) {
  uint8_t *bytes = malloc(length + 14);
  if (bytes != NULL) (void)peer_send(server.peer, bytes, peer_write_frame(bytes, first, false, payload, length));
  free(bytes);
}

void server_send_bytes(const void *bytes, size_t length) { (void)peer_send(server.peer, bytes, length); }

void server_send_close(unsigned status, const char *reason) {
  uint8_t payload[125];
  server_send(FIN | CLOSE_FRAME, payload, status == 1005 ? 0 : peer_close_payload(payload, (uint16_t)status, reason));
}

int server_read(void *payload, size_t capacity, size_t *length) {
  static peer_frame frame;
  if (!peer_read_frame(server.peer, &frame) || frame.length > capacity) return -1;
  CHECK(frame.is_masked);
  *length = frame.length;
  memcpy(payload, frame.payload, frame.length);
  return frame.first;
}

bool server_reads(uint8_t first, const void *payload, size_t length) {
  static uint8_t room[66000];
  size_t got = 0;
  int type;
  while ((type = server_read(room, sizeof room, &got)) >= 0) {
    if (type == first) return check_bytes(payload, length, room, got, __FILE__, __LINE__, "the frame's payload");
  }
  return check_failed(__FILE__, __LINE__, "the server got no frame beginning with %02x", first);
}

bool server_sees_the_end(void) { return peer_is_gone(server.peer); }

static void *drain(void *argument) {
  (void)peer_is_gone(server.peer);
  return argument;
}

void server_drain(void) { server.is_draining = pthread_create(&server.drain, NULL, drain, NULL) == 0; }

void server_end(void) {
  (void)close(server.peer);
  server.peer = -1;
}

void server_reset(void) {
  peer_reset(server.peer);
  server.peer = -1;
}

void server_stop(void) {
  if (server.is_running) (void)shutdown(server.listener, SHUT_RDWR);
  (void)server_is_connected();
  if (server.peer >= 0) (void)shutdown(server.peer, SHUT_RDWR);
  if (server.is_draining) (void)pthread_join(server.drain, NULL);
  if (server.peer >= 0) (void)close(server.peer);
  (void)close(server.listener);
}

/* ---- the recorder ------------------------------------------------------------------------------------------------------------------------------------ */

static struct {
  pthread_mutex_t lock;
  pthread_cond_t more;
  recorded events[EVENTS];
  size_t count, waited;
  pthread_t owner;
  void (*hook)(const recorded *event);
} recorder = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static const struct {
  DWORD status;
  const char *name;
} status_names[] = {
    {0x1, "RESOLVING_NAME"}, {0x2, "NAME_RESOLVED"}, {0x4, "CONNECTING_TO_SERVER"}, {0x8, "CONNECTED_TO_SERVER"}, {0x10, "SENDING_REQUEST"},
    {0x20, "REQUEST_SENT"}, {0x40, "RECEIVING_RESPONSE"}, {0x80, "RESPONSE_RECEIVED"}, {0x400, "HANDLE_CREATED"}, {0x800, "HANDLE_CLOSING"},
    {0x4000, "REDIRECT"}, {0x10000, "SECURE_FAILURE"}, {0x20000, "HEADERS_AVAILABLE"}, {0x40000, "DATA_AVAILABLE"}, {0x80000, "READ_COMPLETE"},
    {0x100000, "WRITE_COMPLETE"}, {0x200000, "REQUEST_ERROR"}, {0x400000, "SENDREQUEST_COMPLETE"}, {0x2000000, "CLOSE_COMPLETE"},
    {0x4000000, "SHUTDOWN_COMPLETE"},
};

static void copy_information(recorded *event, const void *information, DWORD length) {
  switch (event->status) {
  case WINHTTP_CALLBACK_STATUS_RESOLVING_NAME: case WINHTTP_CALLBACK_STATUS_NAME_RESOLVED: case WINHTTP_CALLBACK_STATUS_CONNECTING_TO_SERVER:
  case WINHTTP_CALLBACK_STATUS_CONNECTED_TO_SERVER: case WINHTTP_CALLBACK_STATUS_REDIRECT:
    if (information != NULL) (void)wcsncpy(event->text, information, CHECK_COUNT(event->text) - 1);
    break;
  case WINHTTP_CALLBACK_STATUS_HANDLE_CREATED: case WINHTTP_CALLBACK_STATUS_HANDLE_CLOSING:
    if (length == sizeof event->other) memcpy(&event->other, information, sizeof event->other);
    break;
  case WINHTTP_CALLBACK_STATUS_READ_COMPLETE: case WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE:
    if (length == sizeof event->socket) memcpy(&event->socket, information, sizeof event->socket);
    break;
  case WINHTTP_CALLBACK_STATUS_REQUEST_ERROR:
    if (length <= sizeof event->result) memcpy(&event->result, information, length);
    break;
  default:
    if (length == sizeof event->number) memcpy(&event->number, information, sizeof event->number);
  }
}

void CALLBACK record(HINTERNET handle, DWORD_PTR context, DWORD status, LPVOID information, DWORD length) {
  recorded event;
  void (*hook)(const recorded *event) = NULL;
  memset(&event, 0, sizeof event);
  event.handle = handle;
  event.context = context;
  event.status = status;
  event.length = length;
  copy_information(&event, information, length);
  (void)pthread_mutex_lock(&recorder.lock);
  event.by_test = pthread_equal(pthread_self(), recorder.owner) != 0;
  if (recorder.count < EVENTS) recorder.events[recorder.count++] = event;
  hook = recorder.hook;
  (void)pthread_cond_broadcast(&recorder.more);
  (void)pthread_mutex_unlock(&recorder.lock);
  if (hook != NULL) hook(&event);
}

void record_begin(void) {
  (void)pthread_mutex_lock(&recorder.lock);
  recorder.count = recorder.waited = 0;
  recorder.owner = pthread_self();
  recorder.hook = NULL;
  (void)pthread_mutex_unlock(&recorder.lock);
}

void record_hook(void (*hook)(const recorded *event)) {
  (void)pthread_mutex_lock(&recorder.lock);
  recorder.hook = hook;
  (void)pthread_mutex_unlock(&recorder.lock);
}

bool record_wait(DWORD status, recorded *event) {
  struct timespec until;
  bool found = false;
  int error = 0;
  (void)clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 15; /* far more than is needed, unless a tool makes everything slow */
  (void)pthread_mutex_lock(&recorder.lock);
  while (!found && error == 0) {
    while (!found && recorder.waited < recorder.count) {
      if (event != NULL) *event = recorder.events[recorder.waited];
      found = recorder.events[recorder.waited++].status == status;
    }
    if (!found) error = pthread_cond_timedwait(&recorder.more, &recorder.lock, &until);
  }
  (void)pthread_mutex_unlock(&recorder.lock);
  return found || check_failed(__FILE__, __LINE__, "callback %x does not come; so far: %s", (unsigned)status, record_text());
}

size_t record_count(DWORD status) {
  size_t count = 0;
  (void)pthread_mutex_lock(&recorder.lock);
  for (size_t i = 0; i < recorder.count; i++) count += recorder.events[i].status == status;
  (void)pthread_mutex_unlock(&recorder.lock);
  return count;
}

size_t record_closings(HINTERNET handle, size_t *after) {
  size_t count = 0;
  *after = 0;
  (void)pthread_mutex_lock(&recorder.lock);
  for (size_t i = 0; i < recorder.count; i++) {
    if (recorder.events[i].handle != handle) continue;
    *after += count > 0;
    count += recorder.events[i].status == WINHTTP_CALLBACK_STATUS_HANDLE_CLOSING;
  }
  (void)pthread_mutex_unlock(&recorder.lock);
  return count;
}

bool record_has(DWORD status) { return record_count(status) > 0; }

const char *record_text(void) {
  static char text[4000];
  size_t at = 0;
  text[0] = '\0';
  (void)pthread_mutex_lock(&recorder.lock);
  for (size_t i = 0; i < recorder.count && at + 40 < sizeof text; i++) {
    const char *name = "?";
    for (size_t j = 0; j < CHECK_COUNT(status_names); j++) {
      if (status_names[j].status == recorder.events[i].status) name = status_names[j].name;
    }
    at += (size_t)snprintf(text + at, sizeof text - at, "%s%s%s", at > 0 ? " " : "", name, recorder.events[i].by_test ? "*" : "");
  }
  (void)pthread_mutex_unlock(&recorder.lock);
  return text;
}
