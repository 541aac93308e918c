/* Many connections at once, against a server in another process: opened, held, echoed over, and closed, with nothing left over.
 *
 *   many [--connections N] [--most BYTES] SERVER [ARGUMENT...]
 *
 * Opens N connections (10,000) to SERVER, which says "listening on ws://HOST:PORT/" on its first line, and holds them all. Then each echoes a message,
 * twice: one after another, and all at once. What the server's own memory has grown by, per connection at rest, is printed and may be at most BYTES (512). Half
 * of them close in good order, the others vanish; then the server's descriptors and threads are those of its beginning, and another client is
 * served. It ends by SIGTERM, with 0. Raises its own limit of open files as far as it may, and skips itself if that is too low. Needs /proc. */
#include "server_process.h"

#include <sys/resource.h>

enum { MOST = 100000, WAVE = 100, SPARE = 64 };

static struct {
  server server;
  int peers[MOST];
  unsigned count;
  double most_bytes;
} many = {.count = 10000, .most_bytes = 512};

static const char *failure;

static bool fails(const char *what, unsigned which) {
  static char text[200];
  (void)snprintf(text, sizeof text, "connection %u: %s", which, what);
  failure = text;
  return false;
}

/* The server inherits it. */
static bool raise_limit(unsigned needed) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  if (limit.rlim_max < needed) {
    struct rlimit more = {needed, needed};
    if (setrlimit(RLIMIT_NOFILE, &more) == 0) return true; /* root may */
    return false;
  }
  limit.rlim_cur = limit.rlim_max;
  return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

/* A wave at a time: all requests leave before the first answer is read. */
static bool open_all(void) {
  char head[4096];
  for (unsigned begin = 0; begin < many.count; begin += WAVE) {
    unsigned end = begin + WAVE < many.count ? begin + WAVE : many.count;
    for (unsigned i = begin; i < end; i++) {
      if ((many.peers[i] = peer_dial(many.server.port)) < 0 || !peer_send_upgrade(many.peers[i], "/", "")) return fails("cannot connect", i);
    }
    for (unsigned i = begin; i < end; i++) {
      if (!peer_read_head(many.peers[i], head, sizeof head) || peer_http_status(head) != 101) return fails("is not upgraded", i);
    }
  }
  return true;
}

static bool say(unsigned i, uint8_t first, const void *payload, size_t length) {
  uint8_t frame[200];
  return peer_send(many.peers[i], frame, peer_write_frame(frame, first, true, payload, length)) || fails("cannot send", i);
}

static bool hears(unsigned i, uint32_t expected) {
  static peer_frame frame;
  uint32_t number = 0;
  if (!peer_read_frame(many.peers[i], &frame) || frame.first != (PEER_FIN | PEER_BINARY) || frame.length != 100) return fails("gets no echo", i);
  memcpy(&number, frame.payload, sizeof number);
  return number == expected || fails("gets another's echo", i);
}

static bool echo_all(bool at_once) {
  uint8_t payload[100] = {0};
  for (uint32_t i = 0; i < many.count; i++) {
    memcpy(payload, &i, sizeof i);
    if (!say(i, PEER_FIN | PEER_BINARY, payload, sizeof payload) || (!at_once && !hears(i, i))) return false;
  }
  for (uint32_t i = 0; at_once && i < many.count; i++) {
    if (!hears(i, i)) return false;
  }
  return true;
}

/* The first half says goodbye; the second vanishes, every other one of it by a reset. */
static bool close_all(void) {
  static peer_frame frame;
  unsigned half = many.count / 2;
  for (unsigned i = 0; i < half; i++) {
    if (!say(i, PEER_FIN | PEER_CLOSE, "\x03\xe8", 2)) return false;
  }
  for (unsigned i = 0; i < half; i++) {
    if (!peer_read_frame(many.peers[i], &frame) || frame.first != (PEER_FIN | PEER_CLOSE)) return fails("gets no close frame", i);
    if (!peer_is_at_end(many.peers[i])) return fails("is not ended", i);
    (void)close(many.peers[i]);
  }
  for (unsigned i = half; i < many.count; i++) {
    if (i % 2 == 0) peer_reset(many.peers[i]);
    else (void)close(many.peers[i]);
  }
  return true;
}

static bool serves_another(void) {
  unsigned count = many.count;
  bool good;
  many.count = 1;
  good = open_all() && echo_all(false);
  (void)close(many.peers[0]);
  many.count = count;
  return good;
}

/* Memory settles when what was used for the handshakes has been given back. */
static double memory_at_rest(void) {
  double least = server_memory(&many.server);
  for (int i = 0; i < 10; i++) {
    const struct timespec moment = {0, 50000000};
    double now;
    (void)nanosleep(&moment, NULL);
    now = server_memory(&many.server);
    if (now < least) least = now;
  }
  return least;
}

static bool run(void) {
  double begin, memory[3], seconds[3], per_connection;
  int descriptors, threads;
  descriptors = server_entries(&many.server, "fd");
  if (!serves_another()) return false; /* what the server makes for its first client and keeps is not counted */
  descriptors = server_settled(&many.server, "fd", descriptors);
  threads = server_entries(&many.server, "task");
  memory[0] = memory_at_rest();
  begin = (double)check_now_ms();
  if (!open_all()) return false;
  seconds[0] = ((double)check_now_ms() - begin) / 1e3;
  if (server_entries(&many.server, "fd") != descriptors + (int)many.count) return fails("is not held: descriptors are missing", 0);
  memory[1] = memory_at_rest();
  begin = (double)check_now_ms();
  if (!echo_all(false) || !echo_all(true)) return false;
  seconds[1] = ((double)check_now_ms() - begin) / 1e3;
  memory[2] = memory_at_rest();
  begin = (double)check_now_ms();
  if (!close_all()) return false;
  int descriptors_after = server_settled(&many.server, "fd", descriptors), threads_after = server_settled(&many.server, "task", threads);
  seconds[2] = ((double)check_now_ms() - begin) / 1e3;
  per_connection = (memory[2] - memory[0]) * 1024 / many.count;
  printf("summary: %u connections: opened in %.1f s, two echoes each in %.1f s, closed in %.1f s; %.0f bytes of server memory each before the first message, "
         "%.0f after (at most %.0f); descriptors %d to %d, threads %d to %d\n",
         many.count, seconds[0], seconds[1], seconds[2], (memory[1] - memory[0]) * 1024 / many.count, per_connection, many.most_bytes, descriptors,
         descriptors_after, threads, threads_after);
  if (descriptors_after != descriptors || threads_after != threads) return fails("has left something behind", many.count);
  return (per_connection <= many.most_bytes || fails("costs too much memory", many.count)) && serves_another();
}

int main(int argc, char **argv) {
  static check_report errors; /* what the peer complains of is counted here */
  bool good;
  int at = 1;
  check_current = &errors;
  for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
    if (strcmp(argv[at], "--connections") == 0) many.count = (unsigned)strtoul(argv[at + 1], NULL, 10);
    else if (strcmp(argv[at], "--most") == 0) many.most_bytes = strtod(argv[at + 1], NULL);
    else at = argc;
  }
  if (at >= argc || many.count < 2 || many.count > MOST) return fprintf(stderr, "usage: many [--connections N] [--most BYTES] SERVER [ARGUMENT...]\n"), 2;
  if (access("/proc/self/smaps_rollup", R_OK) != 0) return puts("no /proc/self/smaps_rollup: memory cannot be sampled"), CHECK_EXIT_SKIPPED;
  if (!raise_limit(many.count + SPARE)) return printf("%u open files are not allowed here: ulimit -Hn\n", many.count + SPARE), CHECK_EXIT_SKIPPED;
  if (!server_start(&many.server, argv + at)) return 1;
  good = run();
  if (!good) fprintf(stderr, "%s\n", failure != NULL ? failure : "failed");
  good &= server_stop(&many.server);
  return good && errors.failures == 0 ? 0 : 1;
}
