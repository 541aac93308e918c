/* Clients that come and go in every bad manner, against a server of which neither memory nor descriptors may grow.
 *
 *   churn [--seconds N] SERVER [ARGUMENT...]
 *
 * Starts SERVER, which says "listening on ws://HOST:PORT/" on its first line (echo_server does), and lets clients of these manners come one
 * after another for N seconds (10): those that close as they should, vanish by a reset, in the middle of a frame too, end their side and wait,
 * stall in the handshake or in a frame, break the protocol, and flood without reading. In the second half of the time the server's private memory is sampled:
 * its slope must be that of noise. At the end all have gone, and the server's descriptors and threads are back to those of its beginning.
 * It ends by SIGTERM, with 0. Needs /proc. */
#include "server_process.h"

enum { MOST_SAMPLES = 4096, STALLED = 24 };

typedef struct sample { double seconds, kilobytes; } sample;

static double now_s(void) { return (double)check_now_ms() / 1e3; }

/* ---- manners ----------------------------------------------------------------------------------------------------------------------- */

static int upgraded(uint16_t port) {
  char head[4096];
  int descriptor = peer_dial(port);
  if (descriptor >= 0 && peer_send_upgrade(descriptor, "/", "") && peer_read_head(descriptor, head, sizeof head) && peer_http_status(head) == 101)
    return descriptor;
  if (descriptor >= 0) (void)close(descriptor);
  return -1;
}

static bool say(int descriptor, uint8_t first, size_t length) {
  static uint8_t payload[65536], frame[65536 + 14];
  return peer_send(descriptor, frame, peer_write_frame(frame, first, true, payload, length));
}

static bool echo(int descriptor, size_t length) {
  static peer_frame frame;
  size_t echoed = 0;
  if (!say(descriptor, PEER_FIN | PEER_BINARY, length)) return false;
  do {
    if (!peer_read_frame(descriptor, &frame)) return false;
    echoed += frame.length;
  } while ((frame.first & PEER_FIN) == 0);
  return echoed == length;
}

/* Each returns false if the server did not do its part; what they leave open is closed by whoever called them, or kept for a while. */
static bool closes_as_it_should(int peer) {
  static peer_frame frame;
  return echo(peer, 1000) && echo(peer, 60000) && say(peer, PEER_FIN | PEER_CLOSE, 0) && peer_read_frame(peer, &frame) &&
         frame.first == (PEER_FIN | PEER_CLOSE) && peer_is_at_end(peer);
}
static bool vanishes(int peer) { return echo(peer, 300); }
static bool vanishes_with_echoes_unread(int peer) {
  for (int i = 0; i < 5; i++) {
    if (!say(peer, PEER_FIN | PEER_BINARY, 60000)) return false;
  }
  return true;
}
static bool vanishes_in_a_frame(int peer) { return echo(peer, 10) && peer_send(peer, "\x82\xfe\xff\xff" "keys" "part", 12); }
static bool ends_its_side(int peer) { return echo(peer, 126) && shutdown(peer, SHUT_WR) == 0 && peer_is_gone(peer); }
static bool ends_its_side_in_a_message(int peer) {
  return say(peer, PEER_BINARY, 500) && shutdown(peer, SHUT_WR) == 0 && peer_is_gone(peer);
}
static bool breaks_the_protocol(int peer) { return echo(peer, 5) && peer_send(peer, "\xf2\x80" "keys", 6) && peer_is_gone(peer); }
static bool stalls_in_a_frame(int peer) { return peer_send(peer, "\x82\xfe\xff", 3); }
static bool floods_without_reading(int peer) {
  static uint8_t payload[65536], frame[65536 + 14];
  size_t size = peer_write_frame(frame, PEER_FIN | PEER_BINARY, true, payload, sizeof payload), sent = 0;
  for (int i = 0; i < 64; i++) {
    ssize_t count = send(peer, frame + sent % size, size - sent % size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0) sent += (size_t)count;
    else if (errno == EAGAIN || errno == EWOULDBLOCK) break;
    else return false;
  }
  return true;
}

static const struct manner {
  const char *name;
  bool (*run)(int peer);
  bool before_upgrade; /* it stalls in the handshake */
  bool resets, stays;  /* how it ends: by a reset; only after a while */
} manners[] = {
    {"closes as it should", closes_as_it_should, false, false, false},
    {"vanishes by a reset", vanishes, false, true, false},
    {"vanishes with echoes unread", vanishes_with_echoes_unread, false, true, false},
    {"vanishes in the middle of a frame", vanishes_in_a_frame, false, true, false},
    {"ends its side", ends_its_side, false, false, false},
    {"ends its side in the middle of a message", ends_its_side_in_a_message, false, false, false},
    {"breaks the protocol", breaks_the_protocol, false, false, false},
    {"stalls in a frame", stalls_in_a_frame, false, true, true},
    {"stalls in the handshake", NULL, true, false, true},
    {"floods without reading", floods_without_reading, false, true, true},
};

typedef struct churn {
  server server;
  int stalled[STALLED];
  unsigned clients, failures, samples;
  sample taken[MOST_SAMPLES];
} churn;

static void leave(int peer, bool resets) {
  if (resets) peer_reset(peer);
  else (void)close(peer);
}

static void one_client(churn *churn) {
  const struct manner *manner = &manners[churn->clients % CHECK_COUNT(manners)];
  int *slot = &churn->stalled[churn->clients / CHECK_COUNT(manners) * 3 % STALLED + (churn->clients % CHECK_COUNT(manners)) % 3];
  int peer = manner->before_upgrade ? peer_dial(churn->server.port) : upgraded(churn->server.port);
  bool done = peer >= 0 && (manner->before_upgrade ? peer_send_text(peer, "GET / HTTP/1.1\r\nHost: 127") : manner->run(peer));
  churn->clients++;
  if (!done) {
    fprintf(stderr, "client %u, which %s: the server did not do its part\n", churn->clients, manner->name);
    churn->failures++;
  }
  if (peer >= 0 && manner->stays) {
    if (*slot >= 0) leave(*slot, churn->clients % 2 == 0);
    *slot = peer;
  } else if (peer >= 0) {
    leave(peer, manner->resets);
  }
}

/* Kilobytes a second, by least squares. */
static double slope(const sample *samples, unsigned count) {
  double mean_time = 0, mean_memory = 0, above = 0, below = 0;
  for (unsigned i = 0; i < count; i++) mean_time += samples[i].seconds / count, mean_memory += samples[i].kilobytes / count;
  for (unsigned i = 0; i < count; i++) {
    above += (samples[i].seconds - mean_time) * (samples[i].kilobytes - mean_memory);
    below += (samples[i].seconds - mean_time) * (samples[i].seconds - mean_time);
  }
  return below > 0 ? above / below : 0;
}

static void run(churn *churn, double seconds) {
  double begin = now_s(), next = begin + seconds / 2, step = seconds / 2 / 100;
  while (now_s() < begin + seconds) {
    one_client(churn);
    if (now_s() >= next && churn->samples < MOST_SAMPLES) {
      churn->taken[churn->samples++] = (sample){now_s() - begin, server_memory(&churn->server)};
      next += step;
    }
  }
  for (int i = 0; i < STALLED; i++) {
    if (churn->stalled[i] >= 0) leave(churn->stalled[i], true);
  }
}

static bool report(churn *churn, double seconds, const int before[2]) {
  double first = churn->taken[0].kilobytes, last = churn->taken[churn->samples - 1].kilobytes, per_client;
  double kilobytes_s = slope(churn->taken, churn->samples), rate = churn->clients / seconds;
  int descriptors = server_settled(&churn->server, "fd", before[0]), threads = server_settled(&churn->server, "task", before[1]);
  per_client = kilobytes_s * 1024 / rate;
  /* A lost connection object would be some 500 bytes a client, a lost buffer 16 KiB and more. The noise of a short run is wider. */
  double allowed = 48 + 24000 / (seconds * seconds);
  printf("summary: %u clients in %.0f s, memory %.0f to %.0f KiB, %+.1f bytes a client (at most %.0f), descriptors %d to %d, threads %d to %d\n",
         churn->clients, seconds, first, last, per_client, allowed, before[0], descriptors, before[1], threads);
  return churn->failures == 0 && churn->samples >= 10 && per_client <= allowed && descriptors == before[0] && threads == before[1];
}

int main(int argc, char **argv) {
  static churn churn;
  static check_report errors; /* what the peer complains of is counted here */
  double seconds = 10;
  int before[2], at = 1;
  bool good;
  check_current = &errors;
  if (argc > 2 && strcmp(argv[1], "--seconds") == 0) seconds = strtod(argv[2], NULL), at = 3;
  if (at >= argc || seconds < 1) return fprintf(stderr, "usage: churn [--seconds N] SERVER [ARGUMENT...]\n"), 2;
  if (access("/proc/self/smaps_rollup", R_OK) != 0) return puts("no /proc/self/smaps_rollup: memory cannot be sampled"), CHECK_EXIT_SKIPPED;
  for (int i = 0; i < STALLED; i++) churn.stalled[i] = -1;
  if (!server_start(&churn.server, argv + at)) return 1;
  /* What the server makes for its first clients and keeps is no leak; these come and go. */
  for (size_t i = 0; i < 5; i++) one_client(&churn);
  before[1] = server_at_ease(&churn.server, "task");
  before[0] = server_entries(&churn.server, "fd");
  run(&churn, seconds);
  good = report(&churn, seconds, before);
  good &= server_stop(&churn.server);
  return good && errors.failures == 0 ? 0 : 1;
}
