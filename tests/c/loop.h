/* An asynchronous session, however its events are delivered, and everything that it tells.
 *
 * Every event is copied into one list, in the order in which it came, and looked at: an event after WS_EVENT_HANDLE_CLOSED, two at once for
 * one handle, a callback from inside a call or on a thread that drives nothing, an error without its reason. A test takes events out of the
 * list with loop_await; whatever the test does, loop_close wants exactly one WS_EVENT_HANDLE_CLOSED, last, for every handle that was seen.
 * The list is global: cases come one after another. */
#ifndef LOOP_H
#define LOOP_H

#include "pair.h"

#define LOOP_EVENTS 16384
#define LOOP_BATCH 64

typedef enum delivery { BY_BATCH, BY_RUN, BY_THREAD, DELIVERIES } delivery;

static inline const char *delivery_name(delivery delivery) {
  static const char *const names[] = {"by batch", "by ws_loop_run", "by the library's thread"};
  return names[delivery];
}

typedef struct heard {
  ws_event event;        /* data and error are copies */
  ws_error_info error;
  uint64_t at_ms;
  bool taken;
} heard;

typedef struct loop {
  delivery delivery;
  ws_handle handle;      /* none where the library's threads drive */
  ws_handle session;
  pthread_t thread;      /* in ws_loop_run */
  ws_status run_status;
} loop;

/* What a test does the moment an event comes, on the thread that got it: in the callback, or between two ws_loop_wait. */
typedef void (*loop_reaction)(const ws_event *event);

static struct {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  heard *events;
  size_t count;
  ws_handle busy[64];    /* whose callback is running */
  loop_reaction react;
  pthread_t test;        /* the thread that is in no ws_loop_run */
  int loops;             /* that are open */
} hearing = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static __thread int loop_depth; /* callbacks of this thread under way */

/* ---- hearing ----------------------------------------------------------------------------------------------------------------------- */

static inline void loop_look_at(const ws_event *event) {
  static const ws_operation operations[] = {0, WS_OPERATION_RECEIVE, WS_OPERATION_SEND, WS_OPERATION_CLOSE, WS_OPERATION_SHUTDOWN,
      WS_OPERATION_HANDSHAKE, WS_OPERATION_UPGRADE, WS_OPERATION_ACCEPT, WS_OPERATION_RESPOND, WS_OPERATION_DRAIN};
  CHECK((event->status == WS_OK) == (event->error == NULL));
  if (event->error != NULL) {
    CHECK_NUMBER(event->status, event->error->status);
    CHECK(event->error->message[0] != '\0');
  }
  CHECK(event->status != WS_PENDING);
  CHECK((event->reserved[0] | event->reserved[1] | event->reserved[2]) == 0);
  CHECK((event->type >= 1 && event->type <= 9) || (event->type >= 32 && event->type <= 35) || event->type == WS_EVENT_HANDLE_CLOSED);
  if (event->type >= 1 && event->type <= 9) CHECK_NUMBER(operations[event->type], event->operation);
  if (event->type >= 32) CHECK_NUMBER(WS_OK, event->status);
  CHECK(event->handle != WS_NO_HANDLE);
}

/* With the mutex held. */
static inline void loop_record(const ws_event *event) {
  heard *heard;
  if (hearing.events == NULL) hearing.events = calloc(LOOP_EVENTS, sizeof *hearing.events);
  if (hearing.events == NULL || hearing.count == LOOP_EVENTS) {
    (void)check_failed(__FILE__, __LINE__, "no room for another event");
    return;
  }
  for (size_t i = hearing.count > 512 ? hearing.count - 512 : 0; i < hearing.count; i++) {
    if (hearing.events[i].event.handle == event->handle && hearing.events[i].event.type == WS_EVENT_HANDLE_CLOSED)
      (void)check_failed(__FILE__, __LINE__, "event %d of a handle after its last", (int)event->type);
  }
  heard = &hearing.events[hearing.count];
  heard->event = *event;
  heard->at_ms = check_now_ms();
  if (event->error != NULL) heard->error = *event->error, heard->event.error = &heard->error;
  if (event->data != NULL) {
    void *copy = malloc(event->length + 1);
    if (copy != NULL && event->length > 0) memcpy(copy, event->data, event->length);
    heard->event.data = copy;
  }
  hearing.count++;
}

static inline void loop_hear(const ws_event *event) {
  loop_reaction react;
  loop_look_at(event);
  (void)pthread_mutex_lock(&hearing.mutex);
  loop_record(event);
  (void)pthread_cond_broadcast(&hearing.changed);
  (void)pthread_mutex_unlock(&hearing.mutex);
  react = __atomic_load_n(&hearing.react, __ATOMIC_SEQ_CST);
  if (react != NULL) react(event);
}

/* What is done from now on when an event comes; NULL = nothing. */
static inline void loop_react(loop_reaction react) { __atomic_store_n(&hearing.react, react, __ATOMIC_SEQ_CST); }

static inline void loop_busy(const ws_event *event, bool begins) {
  ws_handle from = begins ? WS_NO_HANDLE : event->handle;
  size_t slot = CHECK_COUNT(hearing.busy);
  if (event->operation == WS_OPERATION_ACCEPT || event->type == WS_EVENT_WOKEN) return; /* of several connections */
  (void)pthread_mutex_lock(&hearing.mutex);
  for (size_t i = 0; i < CHECK_COUNT(hearing.busy); i++) {
    if (begins && hearing.busy[i] == event->handle) (void)check_failed(__FILE__, __LINE__, "two callbacks at once for one handle");
    if (slot == CHECK_COUNT(hearing.busy) && hearing.busy[i] == from) slot = i;
  }
  if (slot < CHECK_COUNT(hearing.busy)) hearing.busy[slot] = begins ? event->handle : WS_NO_HANDLE;
  (void)pthread_mutex_unlock(&hearing.mutex);
}

static inline void loop_callback(const ws_event *event, void *context) {
  const ws_event copy = *event; /* it is not to change meanwhile */
  CHECK(context == event->context);
  if (loop_depth != 0) (void)check_failed(__FILE__, __LINE__, "a callback from inside a callback, or from inside a call");
  if (pthread_equal(pthread_self(), hearing.test)) (void)check_failed(__FILE__, __LINE__, "a callback on a thread that drives no loop");
  loop_depth++;
  loop_busy(event, true);
  loop_hear(event);
  CHECK(memcmp(&copy, event, sizeof copy) == 0);
  loop_busy(&copy, false);
  loop_depth--;
}

static inline void loop_callback_in_batch(const ws_event *event, void *context) {
  (void)context;
  (void)check_failed(__FILE__, __LINE__, "a callback, of event %d, though batches are waited for", (int)event->type);
}

/* ---- driving ----------------------------------------------------------------------------------------------------------------------- */

/* Batches: one turn of at most that long. Otherwise somebody else drives. Returns how many events came. */
static inline size_t loop_turn(loop *loop, uint32_t timeout_ms) {
  static __thread ws_event batch[LOOP_BATCH];
  size_t count = 0;
  if (loop->delivery != BY_BATCH) return 0;
  if (!CHECK_STATUS(WS_OK, ws_loop_wait(loop->handle, batch, LOOP_BATCH, &count, timeout_ms))) return 0;
  CHECK(count <= LOOP_BATCH);
  for (size_t i = 0; i < count; i++) loop_hear(&batch[i]);
  return count;
}

/* Lets time pass while the loop is driven. */
static inline void loop_pass(loop *loop, uint32_t milliseconds) {
  uint64_t until = check_now_ms() + milliseconds, now;
  while ((now = check_now_ms()) < until) {
    const struct timespec rest = {(time_t)((until - now) / 1000), (long)((until - now) % 1000) * 1000000L};
    if (loop->delivery == BY_BATCH) (void)loop_turn(loop, (uint32_t)(until - now));
    else (void)nanosleep(&rest, NULL);
  }
}

/* With the mutex held: the first event of this kind that no test has taken; handle and type 0 = any. */
static inline const heard *loop_find(ws_handle handle, ws_event_type type, bool take) {
  for (size_t i = 0; i < hearing.count; i++) {
    heard *heard = &hearing.events[i];
    if (heard->taken || (handle != WS_NO_HANDLE && heard->event.handle != handle) || (type != 0 && heard->event.type != type)) continue;
    heard->taken = take;
    return heard;
  }
  return NULL;
}

static inline const heard *loop_look(ws_handle handle, ws_event_type type, bool take) {
  const heard *found;
  (void)pthread_mutex_lock(&hearing.mutex);
  found = loop_find(handle, type, take);
  (void)pthread_mutex_unlock(&hearing.mutex);
  return found;
}

/* How many events of this kind came, taken or not. */
static inline int loop_count(ws_handle handle, ws_event_type type) {
  int count = 0;
  (void)pthread_mutex_lock(&hearing.mutex);
  for (size_t i = 0; i < hearing.count; i++) {
    const ws_event *event = &hearing.events[i].event;
    count += (handle == WS_NO_HANDLE || event->handle == handle) && (type == 0 || event->type == type);
  }
  (void)pthread_mutex_unlock(&hearing.mutex);
  return count;
}

/* Waits for an event, drives meanwhile, and takes it out; NULL if none comes within that time. */
static inline const heard *loop_await_for(loop *loop, ws_handle handle, ws_event_type type, uint32_t milliseconds) {
  uint64_t until = check_now_ms() + milliseconds, now;
  const heard *found;
  while ((found = loop_look(handle, type, true)) == NULL && (now = check_now_ms()) < until) {
    struct timespec soon;
    if (loop->delivery == BY_BATCH) {
      (void)loop_turn(loop, (uint32_t)(until - now));
      continue;
    }
    (void)clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 5000000;
    if (soon.tv_nsec >= 1000000000) soon.tv_sec++, soon.tv_nsec -= 1000000000;
    (void)pthread_mutex_lock(&hearing.mutex);
    if (loop_find(handle, type, false) == NULL) (void)pthread_cond_timedwait(&hearing.changed, &hearing.mutex, &soon);
    (void)pthread_mutex_unlock(&hearing.mutex);
  }
  return found;
}

static inline const heard *loop_await(loop *loop, ws_handle handle, ws_event_type type, const char *file, int line) {
  const heard *found = loop_await_for(loop, handle, type, PEER_WAIT_MS);
  if (found == NULL) (void)check_failed(file, line, "no event %d of handle %llx came", (int)type, (unsigned long long)handle);
  return found;
}

/* An event with this status; NULL if it did not come or had another. */
static inline const heard *loop_hears(loop *loop, ws_handle handle, ws_event_type type, ws_status status, const char *file, int line) {
  const heard *found = loop_await(loop, handle, type, file, line);
  if (found == NULL || found->event.status == status) return found;
  (void)check_failed(file, line, "event %d has status %d (%s), expected %d", (int)type, (int)found->event.status, found->error.message, (int)status);
  return NULL;
}
#define AWAIT(loop, handle, type) loop_await((loop), (handle), (type), __FILE__, __LINE__)
#define HEARS(loop, handle, type, status) loop_hears((loop), (handle), (type), (status), __FILE__, __LINE__)

/* Nothing of this kind comes within that time; 0 = of any handle, of any type. */
static inline bool loop_hears_nothing(loop *loop, ws_handle handle, ws_event_type type, uint32_t milliseconds, const char *file, int line) {
  const heard *found = loop_await_for(loop, handle, type, milliseconds);
  return found == NULL || check_failed(file, line, "event %d with status %d came, and should not", (int)found->event.type, (int)found->event.status);
}
#define HEARS_NOTHING(loop, handle, type, milliseconds) loop_hears_nothing((loop), (handle), (type), (milliseconds), __FILE__, __LINE__)

/* The end of an operation: at once, without an event, or by exactly one. `found` may be NULL, and is NULL after WS_OK. */
static inline ws_status loop_end(loop *loop, ws_status status, ws_handle handle, ws_event_type type, const heard **found) {
  const heard *event = NULL;
  if (status == WS_PENDING) {
    event = AWAIT(loop, handle, type);
    status = event != NULL ? event->event.status : WS_PENDING;
  }
  if (found != NULL) *found = event;
  return status;
}

/* Drives until the raw socket has something to say, or has ended. */
static inline bool loop_until_readable(loop *loop, int descriptor) {
  struct pollfd entry = {descriptor, POLLIN, 0};
  if (loop->delivery != BY_BATCH) return true; /* the peer's own wait is enough */
  for (uint64_t until = check_now_ms() + PEER_WAIT_MS; check_now_ms() < until;) {
    if (poll(&entry, 1, 0) == 1) return true;
    (void)loop_turn(loop, 2);
  }
  return false;
}
#define LOOP_PEER_GETS(loop, pair, first, payload, length) \
  (loop_until_readable((loop), (pair)->peer) && PEER_GETS((pair), (first), (payload), (length)))
#define LOOP_PEER_GETS_CLOSE(loop, pair, status, reason) \
  (loop_until_readable((loop), (pair)->peer) && PEER_GETS_CLOSE((pair), (status), (reason)))

/* ---- opening and closing ------------------------------------------------------------------------------------------------------------ */

static inline void *loop_thread(void *argument) {
  loop *loop = argument;
  loop->run_status = ws_loop_run(loop->handle);
  return NULL;
}

/* Forgets what an earlier case has heard, if several run in one process. */
static inline void loop_forget(void) {
  for (size_t i = 0; i < hearing.count; i++) free((void *)(uintptr_t)hearing.events[i].event.data);
  if (hearing.events != NULL) memset(hearing.events, 0, hearing.count * sizeof *hearing.events);
  hearing.count = 0;
  loop_react(NULL);
}

static inline bool loop_open(loop *loop, delivery delivery) {
  memset(loop, 0, sizeof *loop);
  if (hearing.loops++ == 0) loop_forget();
  loop->delivery = delivery;
  hearing.test = pthread_self();
  if (!CHECK_STATUS(WS_OK, ws_open(NULL, WS_FLAG_ASYNC, &loop->session))) return false;
  if (!CHECK_STATUS(WS_OK, ws_set_callback(loop->session, delivery == BY_BATCH ? loop_callback_in_batch : loop_callback, NULL))) return false;
  if (delivery == BY_THREAD) return true;
  if (!CHECK_STATUS(WS_OK, ws_loop_create(0, &loop->handle))) return false;
  if (!CHECK_STATUS(WS_OK, ws_set_callback(loop->handle, delivery == BY_BATCH ? loop_callback_in_batch : loop_callback, NULL))) return false;
  if (!CHECK_STATUS(WS_OK, ws_set_option(loop->session, WS_OPTION_LOOP, &loop->handle, sizeof loop->handle))) return false;
  if (delivery == BY_RUN) return CHECK(pthread_create(&loop->thread, NULL, loop_thread, loop) == 0);
  return true;
}

/* Closes a handle, which then says so. */
static inline bool loop_close_handle(loop *loop, ws_handle handle, const char *file, int line) {
  return check_status(WS_OK, ws_close_handle(handle), file, line, "ws_close_handle") &&
         loop_hears(loop, handle, WS_EVENT_HANDLE_CLOSED, WS_OK, file, line) != NULL;
}
#define CLOSE_HANDLE(loop, handle) loop_close_handle((loop), (handle), __FILE__, __LINE__)

/* Every handle that was seen has told its end once, and nothing after. */
static inline void loop_check_ends(ws_handle loop) {
  for (size_t i = 0; i < hearing.count; i++) {
    const ws_handle handles[] = {hearing.events[i].event.handle, hearing.events[i].event.child};
    for (int j = 0; j < 2; j++) {
      if (handles[j] == WS_NO_HANDLE || handles[j] == loop) continue;
      if (loop_count(handles[j], WS_EVENT_HANDLE_CLOSED) != 1)
        (void)check_failed(__FILE__, __LINE__, "handle %llx of event %d has told its end %d times", (unsigned long long)handles[j],
                           (int)hearing.events[i].event.type, loop_count(handles[j], WS_EVENT_HANDLE_CLOSED));
    }
  }
}

/* Stops the driving, and closes session and loop. What the test has opened it has closed. */
static inline void loop_close(loop *loop) {
  CHECK(CLOSE_HANDLE(loop, loop->session));
  if (loop->delivery == BY_RUN) {
    CHECK_STATUS(WS_OK, ws_loop_stop(loop->handle));
    (void)pthread_join(loop->thread, NULL);
    CHECK_STATUS(WS_OK, loop->run_status);
  }
  if (loop->delivery == BY_BATCH) {
    for (int i = 0; i < 3 && loop_turn(loop, 0) > 0; i++) {}
  }
  if (loop->handle != WS_NO_HANDLE) CHECK_STATUS(WS_OK, ws_close_handle(loop->handle));
  loop_check_ends(loop->handle);
  hearing.loops--;
}

/* ---- a library WebSocket with a raw peer -------------------------------------------------------------------------------------------- */

static inline bool loop_upgrade_client(loop *loop, pair *pair) {
  pair_answering answering = {-1, -1};
  ws_handle request = WS_NO_HANDLE;
  const heard *heard = NULL;
  char url[64];
  pthread_t thread;
  uint16_t port = 0;
  bool done;
  answering.listener = peer_listen(&port);
  if (answering.listener < 0) return false;
  (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)port);
  if (!CHECK_STATUS(WS_OK, ws_connect(loop->session, url, &request))) return false;
  if (pthread_create(&thread, NULL, pair_answer, &answering) != 0) return CHECK(!"no thread for the peer");
  done = CHECK_STATUS(WS_OK, loop_end(loop, ws_complete_upgrade(request, &pair->websocket), request, WS_EVENT_UPGRADED, &heard));
  (void)pthread_join(thread, NULL);
  if (heard != NULL) pair->websocket = heard->event.child;
  pair->peer = answering.peer;
  (void)close(answering.listener);
  return CLOSE_HANDLE(loop, request) && done && pair->peer >= 0;
}

/* Takes one request from a listener, whose head has been sent. */
static inline bool loop_accept(loop *loop, ws_handle listener, ws_handle *request) {
  const heard *heard = NULL;
  if (!CHECK_STATUS(WS_OK, loop_end(loop, ws_accept(listener, request), listener, WS_EVENT_ACCEPTED, &heard))) return false;
  if (heard != NULL) *request = heard->event.child;
  return true;
}

static inline bool loop_complete(loop *loop, ws_handle request, ws_handle *websocket) {
  const heard *heard = NULL;
  if (!CHECK_STATUS(WS_OK, loop_end(loop, ws_complete_upgrade(request, websocket), request, WS_EVENT_UPGRADED, &heard))) return false;
  if (heard != NULL) *websocket = heard->event.child;
  return true;
}

static inline bool loop_upgrade_server(loop *loop, pair *pair) {
  ws_handle listener = WS_NO_HANDLE, request = WS_NO_HANDLE;
  char head[4096];
  uint16_t port = 0;
  if (!pair_listen(loop->session, "/", &listener, &port)) return false;
  pair->peer = peer_dial(port);
  if (pair->peer < 0 || !peer_send_upgrade(pair->peer, "/", "")) return false;
  if (!loop_accept(loop, listener, &request) || !loop_complete(loop, request, &pair->websocket)) return false;
  if (!loop_until_readable(loop, pair->peer) || !peer_read_head(pair->peer, head, sizeof head) || !CHECK_NUMBER(101, peer_http_status(head))) return false;
  return CLOSE_HANDLE(loop, request) && CLOSE_HANDLE(loop, listener);
}

/* The session of `pair` is left out: the loop has it. */
static inline bool loop_upgrade(loop *loop, pair *pair, pair_role role) {
  memset(pair, 0, sizeof *pair);
  pair->role = role;
  pair->peer = -1;
  return role == LIBRARY_IS_CLIENT ? loop_upgrade_client(loop, pair) : loop_upgrade_server(loop, pair);
}

static inline bool loop_pair(loop *loop, pair *pair, delivery delivery, pair_role role) {
  return loop_open(loop, delivery) && loop_upgrade(loop, pair, role);
}

static inline void loop_pair_drop(loop *loop, pair *pair) {
  if (pair->websocket != WS_NO_HANDLE) CHECK(CLOSE_HANDLE(loop, pair->websocket));
  if (pair->peer >= 0) (void)close(pair->peer);
}

static inline void loop_pair_close(loop *loop, pair *pair) {
  loop_pair_drop(loop, pair);
  loop_close(loop);
}

/* Rows for every way of delivery, in both roles. */
static const struct loop_row { delivery delivery; pair_role role; } loop_rows[] = {
    {BY_BATCH, LIBRARY_IS_CLIENT}, {BY_BATCH, LIBRARY_IS_SERVER}, {BY_RUN, LIBRARY_IS_CLIENT},
    {BY_RUN, LIBRARY_IS_SERVER},   {BY_THREAD, LIBRARY_IS_CLIENT}, {BY_THREAD, LIBRARY_IS_SERVER},
};

static inline const struct loop_row *loop_row(size_t row) {
  check_label("%s, %s", delivery_name(loop_rows[row].delivery), pair_role_name(loop_rows[row].role));
  return &loop_rows[row];
}

/* ---- receiving ----------------------------------------------------------------------------------------------------------------------- */

/* One piece or close frame into a posted buffer, at once or by an event, which then shows that buffer. */
static inline bool loop_receives(loop *loop, ws_handle websocket, size_t capacity, ws_buffer_type type, const void *bytes, size_t length,
                                 const char *file, int line) {
  static uint8_t room[70000];
  const heard *heard = NULL;
  size_t received = 4711;
  ws_buffer_type received_type = -1;
  ws_status status = ws_receive(websocket, room, capacity, &received, &received_type);
  if (status == WS_PENDING) check_number(4711, (int64_t)received, file, line, "the length after WS_PENDING");
  if (!check_status(WS_OK, loop_end(loop, status, websocket, WS_EVENT_RECEIVED, &heard), file, line, "ws_receive")) return false;
  if (heard != NULL) received = heard->event.length, received_type = heard->event.buffer_type;
  return check_number(type, received_type, file, line, "the received type") &
         check_bytes(bytes, length, room, received, file, line, "the received bytes");
}
#define LOOP_RECEIVES(loop, websocket, capacity, type, bytes, length) \
  loop_receives((loop), (websocket), (capacity), (type), (bytes), (length), __FILE__, __LINE__)

/* Posts a receive that has nothing to take yet. */
static inline bool loop_posts(ws_handle websocket, void *buffer, size_t length, const char *file, int line) {
  size_t received = 4711;
  ws_buffer_type type = 4711;
  return check_status(WS_PENDING, ws_receive(websocket, buffer, length, &received, &type), file, line, "ws_receive") &
         check_number(4711, (int64_t)received, file, line, "received") & check_number(4711, type, file, line, "type");
}
#define POSTS(websocket, buffer, length) loop_posts((websocket), (buffer), (length), __FILE__, __LINE__)

#endif
