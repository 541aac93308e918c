/* Calls that wait for a peer that stalls: in a thread of their own, with the time they took. */
#ifndef STALL_H
#define STALL_H

#include "pair.h"

/* How much later than its limit a wait may end on a machine that does other things too. What is promised is 60 ms and the scheduler's share. */
#define STALL_SLACK_MS 1000

typedef struct stall stall;

/* One stage at which a peer stalls, and the call that then waits. */
typedef struct stage {
  const char *name;
  bool (*begin)(stall *stall, uint32_t limit_ms);  /* up to the call; 0 = without a limit */
  ws_status (*call)(stall *stall);
  ws_operation operation;
  bool (*goes_on)(stall *stall);                   /* what the handle is still good for after the wait; NULL = nothing */
} stage;

struct stall {
  pair pair;                     /* its session is used by every stage */
  ws_handle handle, made;        /* what is waited on, and what the call made */
  ws_handle listener;
  int sockets[4];                /* others of the peer */
  uint16_t port;
  const stage *stage;
  pthread_t thread;
  ws_status status;
  int has_ended;                 /* atomic: the call has returned */
  double begun_ms, took_ms;      /* begun: when the limit began to run, if that was before the call */
};

static inline double stall_now_ms(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static inline void stall_sleep_ms(uint32_t time_ms) {
  struct timespec left = {time_ms / 1000, (long)(time_ms % 1000) * 1000000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

static inline void *stall_run(void *argument) {
  stall *stall = argument;
  double begin = stall->begun_ms > 0 ? stall->begun_ms : stall_now_ms();
  stall->status = stall->stage->call(stall);
  stall->took_ms = stall_now_ms() - begin;
  __atomic_store_n(&stall->has_ended, 1, __ATOMIC_SEQ_CST);
  return NULL;
}

static inline bool stall_open(stall *stall, const stage *stage, uint32_t limit_ms) {
  memset(stall, 0, sizeof *stall);
  for (size_t i = 0; i < CHECK_COUNT(stall->sockets); i++) stall->sockets[i] = -1;
  stall->stage = stage;
  stall->pair.peer = -1;
  return CHECK_STATUS(WS_OK, ws_open(NULL, 0, &stall->pair.session)) && stage->begin(stall, limit_ms);
}

static inline bool stall_begin(stall *stall) { return CHECK(pthread_create(&stall->thread, NULL, stall_run, stall) == 0); }
static inline void stall_end(stall *stall) { (void)pthread_join(stall->thread, NULL); }

static inline void stall_close(stall *stall) {
  if (stall->made != WS_NO_HANDLE) CHECK_STATUS(WS_OK, ws_close_handle(stall->made));
  if (stall->handle != WS_NO_HANDLE && stall->handle != stall->pair.websocket) CHECK_STATUS(WS_OK, ws_close_handle(stall->handle));
  if (stall->listener != WS_NO_HANDLE && stall->listener != stall->handle) CHECK_STATUS(WS_OK, ws_close_handle(stall->listener));
  pair_close(&stall->pair);
  for (size_t i = 0; i < CHECK_COUNT(stall->sockets); i++) {
    if (stall->sockets[i] >= 0) (void)close(stall->sockets[i]);
  }
}

/* Not before the limit; how much later, only roughly. */
static inline bool stall_check_took(const stall *stall, double least_ms, const char *file, int line) {
  if (stall->took_ms >= least_ms && stall->took_ms <= least_ms + STALL_SLACK_MS) return true;
  return check_failed(file, line, "%s took %.2f ms, expected %.2f to %.2f", stall->stage->name, stall->took_ms, least_ms, least_ms + STALL_SLACK_MS);
}
#define TOOK(stall, least_ms) stall_check_took((stall), (least_ms), __FILE__, __LINE__)

static inline bool stall_set(ws_handle handle, ws_option option, uint32_t value) { return value == 0 || pair_set_u32(handle, option, value); }

#endif
