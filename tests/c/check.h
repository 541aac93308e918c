/* A small test frame: named tests, checks that tell both values, one process for each case.
 *
 * Every case (a test, or one row of a test's table) runs in a child of its own, on a thread of its own: a crash, a hang or a leak spoils one
 * case and is reported as its failure. When the case is over, every handle that a function gave to it must be closed; its thread is joined and
 * the library's own, which end with their last handle, get a moment; then the child must have the same open descriptors and the same number of
 * threads as before.
 * Deliberately missing: fixtures, mocks, sleeping. Needs POSIX; threads are counted where /proc is.
 *
 *   static void a_ping_is_answered(void) { CHECK_NUMBER(1, 1); }
 *   int main(int argc, char **argv) {
 *     static const check_test tests[] = {CHECK_TEST(a_ping_is_answered), CHECK_ROWS(statuses, rows)};
 *     return check_main(argc, argv, tests, sizeof tests / sizeof *tests);
 *   }
 *
 * Arguments choose the tests whose name contains one of them. CHECK_SECONDS is what one case may take (20). CHECK_STAY=1 stays in one process,
 * for a debugger. */
#ifndef CHECK_H
#define CHECK_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "handles.h"

#define CHECK_DESCRIPTORS 1024
#define CHECK_EXIT_SKIPPED 77

typedef struct check_test {
  const char *name;
  void (*run)(void);
  void (*run_row)(size_t row);
  size_t rows;
} check_test;

#define CHECK_COUNT(array) (sizeof(array) / sizeof *(array))
#define CHECK_TEST(function) {#function, function, NULL, 1}
#define CHECK_ROWS(function, table) {#function, NULL, function, CHECK_COUNT(table)}

/* What the case in the child tells the parent; in memory that both see, so that a crash does not lose it. */
typedef struct check_report {
  char label[200];
  char skipped[200];
  int failures;
} check_report;

static check_report *check_current;
static pthread_mutex_t check_lock = PTHREAD_MUTEX_INITIALIZER;

/* Names the row that runs, for the report. */
static inline void check_label(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(check_current->label, sizeof check_current->label, format, arguments);
  va_end(arguments);
}

/* Counts the case as skipped; the reason is printed. The case should return next. */
static inline void check_skip(const char *reason) {
  (void)snprintf(check_current->skipped, sizeof check_current->skipped, "%s", reason);
}

/* Tells of a failed check. Any thread. */
static inline bool check_failed(const char *file, int line, const char *format, ...) {
  char text[600];
  const char *name = strrchr(file, '/');
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  (void)pthread_mutex_lock(&check_lock);
  check_current->failures++;
  printf("# %s:%d: %s\n", name != NULL ? name + 1 : file, line, text);
  (void)fflush(stdout);
  (void)pthread_mutex_unlock(&check_lock);
  return false;
}

static inline bool check_true(bool holds, const char *file, int line, const char *text) {
  return holds || check_failed(file, line, "not true: %s", text);
}

static inline bool check_number(int64_t expected, int64_t actual, const char *file, int line, const char *text) {
  if (expected == actual) return true;
  return check_failed(file, line, "%s is %lld, expected %lld", text, (long long)actual, (long long)expected);
}

static inline bool check_status(ws_status expected, ws_status actual, const char *file, int line, const char *text) {
  ws_error_info info;
  if (expected == actual) return true;
  memset(&info, 0, sizeof info);
  info.size = (uint32_t)sizeof info;
  if (actual == WS_OK || ws_last_error(&info) != WS_OK) (void)snprintf(info.message, sizeof info.message, "%s", ws_status_string(actual));
  return check_failed(file, line, "%s answers %d (%s), expected %d (%s)", text, (int)actual, info.message, (int)expected,
                      ws_status_string(expected));
}

/* Bytes in hexadecimal, cut after a few. */
static inline const char *check_hex(char *room, size_t capacity, const void *bytes, size_t length) {
  const uint8_t *byte = bytes;
  size_t at = 0;
  room[0] = '\0';
  for (size_t i = 0; i < length && at + 8 < capacity; i++) at += (size_t)snprintf(room + at, capacity - at, i < 40 ? "%02x " : "…", byte[i]);
  return room;
}

static inline bool check_bytes(const void *expected, size_t expected_length, const void *actual, size_t actual_length, const char *file,
                               int line, const char *text) {
  char left[160], right[160];
  size_t at = 0;
  if (expected_length == actual_length && (actual_length == 0 || memcmp(expected, actual, actual_length) == 0)) return true;
  while (at < expected_length && at < actual_length && ((const uint8_t *)expected)[at] == ((const uint8_t *)actual)[at]) at++;
  return check_failed(file, line, "%s: %zu bytes [%s], expected %zu bytes [%s], first difference at %zu", text, actual_length,
                      check_hex(left, sizeof left, actual, actual_length), expected_length,
                      check_hex(right, sizeof right, expected, expected_length), at);
}

static inline bool check_text(const char *expected, const char *actual, const char *file, int line, const char *text) {
  if (expected != NULL && actual != NULL && strcmp(expected, actual) == 0) return true;
  return check_failed(file, line, "%s is \"%.200s\", expected \"%.200s\"", text, actual != NULL ? actual : "(null)",
                      expected != NULL ? expected : "(null)");
}

#define CHECK(condition) check_true((condition), __FILE__, __LINE__, #condition)
#define CHECK_NUMBER(expected, actual) check_number((int64_t)(expected), (int64_t)(actual), __FILE__, __LINE__, #actual)
#define CHECK_STATUS(expected, call) check_status((expected), (call), __FILE__, __LINE__, #call)
#define CHECK_TEXT(expected, actual) check_text((expected), (actual), __FILE__, __LINE__, #actual)
#define CHECK_BYTES(expected, expected_length, actual, actual_length) \
  check_bytes((expected), (expected_length), (actual), (actual_length), __FILE__, __LINE__, #actual)
/* The same, and the case ends here if it fails. */
#define REQUIRE(condition) do { if (!CHECK(condition)) return; } while (0)
#define REQUIRE_STATUS(expected, call) do { if (!CHECK_STATUS(expected, call)) return; } while (0)

/* Milliseconds of a clock that only goes forward. */
static inline uint64_t check_now_ms(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* ---- what a case leaves behind ----------------------------------------------------------------------------------------------------- */

static inline void check_tell_of_handle(ws_handle handle, uint32_t kind) {
  (void)check_failed(__FILE__, __LINE__, "handle %llx, of kind %u, was left open by the case", (unsigned long long)handle, (unsigned)kind);
}

static inline void check_descriptors(uint8_t open_ones[CHECK_DESCRIPTORS]) {
  for (int i = 0; i < CHECK_DESCRIPTORS; i++) open_ones[i] = fcntl(i, F_GETFD) != -1;
}

/* The threads of this process; 0 where nobody tells. */
static inline int check_threads(void) {
  DIR *tasks = opendir("/proc/self/task");
  int count = 0;
  if (tasks == NULL) return 0;
  for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) count += task->d_name[0] != '.';
  (void)closedir(tasks);
  return count;
}

/* The kernel forgets a joined thread a moment after the join, and a library thread looks around once a second: waits, but not for long. */
static inline int check_threads_settled(int expected) {
  const struct timespec moment = {0, 2000000};
  int threads = check_threads();
  for (uint64_t until = check_now_ms() + 2500; threads != expected && check_now_ms() < until; threads = check_threads())
    (void)nanosleep(&moment, NULL);
  return threads;
}

typedef struct check_job {
  const check_test *test;
  size_t row;
} check_job;

static inline void *check_run_body(void *argument) {
  const check_job *job = argument;
  if (job->test->run != NULL) job->test->run();
  else job->test->run_row(job->row);
  return NULL;
}

#ifdef __SANITIZE_THREAD__
static inline void *check_run_nothing(void *argument) { return argument; }
#endif

static inline void check_run_case(const check_test *test, size_t row) {
  static uint8_t before[CHECK_DESCRIPTORS], after[CHECK_DESCRIPTORS];
  check_job job = {test, row};
  pthread_t thread;
  int threads;
#ifdef __SANITIZE_THREAD__
  /* The sanitizer starts a thread of its own with the program's first. */
  if (pthread_create(&thread, NULL, check_run_nothing, NULL) == 0) (void)pthread_join(thread, NULL);
#endif
  threads = check_threads();
  check_descriptors(before);
  handles_forget();
  if (pthread_create(&thread, NULL, check_run_body, &job) != 0 || pthread_join(thread, NULL) != 0) {
    (void)check_failed(__FILE__, __LINE__, "no thread for the case");
    return;
  }
  /* A failed REQUIRE leaves things open: what counts is the first failure. */
  if (check_current->failures > 0) return;
  handles_check(check_tell_of_handle);
  CHECK_NUMBER(threads, check_threads_settled(threads));
  check_descriptors(after);
  for (int i = 0; i < CHECK_DESCRIPTORS; i++) {
    if (before[i] != after[i]) (void)check_failed(__FILE__, __LINE__, "descriptor %d was %s by the case", i, after[i] ? "left open" : "closed");
  }
}

/* ---- running ----------------------------------------------------------------------------------------------------------------------- */

static inline unsigned check_seconds(void) {
  const char *text = getenv("CHECK_SECONDS");
  long seconds = text != NULL ? strtol(text, NULL, 10) : 0;
  return seconds > 0 ? (unsigned)seconds : 20u;
}

/* How the child ended, if not well; NULL = well. */
static inline const char *check_ending(int status, char *room, size_t capacity) {
  if (WIFSIGNALED(status)) {
    int number = WTERMSIG(status);
    (void)snprintf(room, capacity, number == SIGALRM ? "hung for %u s" : "died of signal %u",
                   number == SIGALRM ? check_seconds() : (unsigned)number);
    return room;
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
    (void)snprintf(room, capacity, "exited with status %d", WEXITSTATUS(status));
    return room;
  }
  return NULL;
}

static inline void check_in_child(const check_test *test, size_t row) {
  char room[80];
  const char *ending;
  int status = 0;
  pid_t child;
  (void)fflush(stdout);
  child = fork();
  if (child == 0) {
    (void)alarm(check_seconds());
    check_run_case(test, row);
    exit(0); /* not _exit: a leak checker may have something to say */
  }
  if (child < 0 || waitpid(child, &status, 0) != child) {
    (void)check_failed(__FILE__, __LINE__, "no process for the case");
    return;
  }
  ending = check_ending(status, room, sizeof room);
  if (ending != NULL) (void)check_failed(__FILE__, __LINE__, "the case %s", ending);
}

typedef struct check_totals {
  int passed, failed, skipped;
} check_totals;

static inline void check_one(const check_test *test, size_t row, check_totals *totals) {
  const char *dash;
  memset(check_current, 0, sizeof *check_current);
  if (getenv("CHECK_STAY") != NULL) check_run_case(test, row);
  else check_in_child(test, row);
  dash = check_current->label[0] != '\0' ? ": " : "";
  if (check_current->failures > 0) {
    totals->failed++;
    printf("not ok - %s%s%s\n", test->name, dash, check_current->label);
  } else if (check_current->skipped[0] != '\0') {
    totals->skipped++;
    printf("ok - %s%s%s # SKIP %s\n", test->name, dash, check_current->label, check_current->skipped);
  } else {
    totals->passed++;
    printf("ok - %s%s%s\n", test->name, dash, check_current->label);
  }
}

static inline bool check_chosen(const check_test *test, int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (strstr(test->name, argv[i]) != NULL) return true;
  }
  return argc < 2;
}

/* Runs the tests; the counts without the last line, for a test of this file itself. */
static inline check_totals check_run(int argc, char **argv, const check_test *tests, size_t count) {
  check_totals totals = {0, 0, 0};
  void *shared = mmap(NULL, sizeof(check_report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) {
    totals.failed = 1;
    return totals;
  }
  check_current = shared;
  for (size_t i = 0; i < count; i++) {
    if (!check_chosen(&tests[i], argc, argv)) continue;
    for (size_t row = 0; row < tests[i].rows; row++) check_one(&tests[i], row, &totals);
  }
  return totals;
}

/* main's whole body. The exit status is 0 only if something ran and nothing failed. */
static inline int check_main(int argc, char **argv, const check_test *tests, size_t count) {
  check_totals totals = check_run(argc, argv, tests, count);
  printf("%d passed, %d failed, %d skipped\n", totals.passed, totals.failed, totals.skipped);
  if (totals.failed > 0) return 1;
  if (totals.passed > 0) return 0;
  return totals.skipped > 0 ? CHECK_EXIT_SKIPPED : 1;
}

#endif
