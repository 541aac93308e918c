/* The test frame and the raw peer, tested: a frame that cannot fail proves nothing. */
#include "peer.h"

static void passes(void) { CHECK(true); }
static void fails(void) { CHECK(false); }
static void requires(void) {
  REQUIRE(1 == 2);
  check_skip("not reached");
}
static void differs_in_number(void) { CHECK_NUMBER(1, 2); }
static void differs_in_status(void) { CHECK_STATUS(WS_OK, WS_ERROR_TIMEOUT); }
static void differs_in_bytes(void) { CHECK_BYTES("abc", 3, "abd", 3); }
static void differs_in_length(void) { CHECK_BYTES("abc", 3, "ab", 2); }
static void differs_in_text(void) { CHECK_TEXT("a", "b"); }
static void crashes(void) { abort(); }
static void exits(void) { exit(3); }
static void hangs(void) { (void)pause(); }
static void leaks_a_descriptor(void) { CHECK(dup(1) >= 0); }
static void closes_a_descriptor(void) { CHECK(close(0) == 0); }
static void *waits(void *argument) {
  (void)pause();
  return argument;
}
static void leaks_a_thread(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, waits, NULL) == 0);
}
static void leaks_a_handle(void) {
  ws_handle session = WS_NO_HANDLE;
  CHECK_STATUS(WS_OK, ws_open(NULL, 0, &session));
}
static void skips(void) { check_skip("on purpose"); }

static const check_test samples[] = {
    CHECK_TEST(passes),
    CHECK_TEST(skips),
    CHECK_TEST(fails),
    CHECK_TEST(requires),
    CHECK_TEST(differs_in_number),
    CHECK_TEST(differs_in_status),
    CHECK_TEST(differs_in_bytes),
    CHECK_TEST(differs_in_length),
    CHECK_TEST(differs_in_text),
    CHECK_TEST(crashes),
    CHECK_TEST(exits),
    CHECK_TEST(hangs),
    CHECK_TEST(leaks_a_descriptor),
    CHECK_TEST(closes_a_descriptor),
    CHECK_TEST(leaks_a_thread),
    CHECK_TEST(leaks_a_handle),
};

/* Each sample in a run of its own, in a child whose output goes nowhere; what it counted is compared. */
static void a_sample_counts_as(size_t row) {
  check_totals *totals = mmap(NULL, sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  bool leaks_threads = samples[row].run == leaks_a_thread;
  pid_t child;
  check_label("%s", samples[row].name);
  REQUIRE(totals != MAP_FAILED);
  if (leaks_threads && check_threads() == 0) {
    check_skip("nobody counts threads here");
    return;
  }
  child = fork();
  if (child == 0) {
    char only[] = "samples";
    char *arguments[] = {only, NULL};
    if (freopen("/dev/null", "w", stdout) == NULL) _exit(1);
    (void)setenv("CHECK_SECONDS", "4", 1);
    *totals = check_run(1, arguments, &samples[row], 1);
    _exit(0);
  }
  REQUIRE(child > 0 && waitpid(child, NULL, 0) == child);
  CHECK_NUMBER(samples[row].run == passes, totals->passed);
  CHECK_NUMBER(samples[row].run == skips, totals->skipped);
  CHECK_NUMBER(row >= 2, totals->failed);
  (void)munmap(totals, sizeof *totals);
}

static void the_accept_value_is_the_standards(void) {
  char accept[32];
  peer_accept_value(PEER_KEY, accept);
  CHECK_TEXT(PEER_ACCEPT, accept);
  peer_accept_value("E4WSEcseoWr4csPLS2QJHA==", accept);
  CHECK_TEXT("7eQChgCtQMnVILefJAO6dK5JwPc=", accept);
}

static void a_masked_frame_is_the_standards(void) {
  static const uint8_t hello[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}; /* RFC 6455 §5.7 */
  uint8_t bytes[32];
  CHECK_BYTES(hello, sizeof hello, bytes, peer_write_frame(bytes, PEER_FIN | PEER_TEXT, true, "Hello", 5));
}

static const size_t frame_sizes[] = {0, 1, 125, 126, 65535, 65536};

static void a_frame_survives_the_wire(size_t row) {
  static uint8_t payload[65536], bytes[65536 + 14];
  static peer_frame frame;
  int ends[2];
  check_label("%zu bytes", frame_sizes[row]);
  for (size_t i = 0; i < sizeof payload; i++) payload[i] = (uint8_t)(i * 7);
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  for (int masked = 0; masked < 2; masked++) {
    size_t size = peer_write_frame(bytes, PEER_FIN | PEER_BINARY, masked != 0, payload, frame_sizes[row]);
    CHECK(peer_send(ends[0], bytes, size));
    CHECK(peer_read_frame(ends[1], &frame));
    CHECK_NUMBER(masked, frame.is_masked);
    CHECK_NUMBER(frame_sizes[row] < 126 ? 2 : frame_sizes[row] < 65536 ? 4 : 10, frame.header_length);
    CHECK_BYTES(payload, frame_sizes[row], frame.payload, frame.length);
  }
  CHECK(close(ends[0]) == 0);
  CHECK(peer_is_at_end(ends[1]));
  CHECK(close(ends[1]) == 0);
}

static void two_peers_upgrade(void) {
  char head[4096], value[100];
  uint16_t port = 0;
  int listener = peer_listen(&port), client = peer_dial(port), server = peer_accept(listener);
  CHECK(peer_send_upgrade(client, "/chat", "Origin: http://127.0.0.1\r\n"));
  REQUIRE(peer_read_head(server, head, sizeof head));
  CHECK(peer_header(head, "origin", value, sizeof value));
  CHECK_TEXT("http://127.0.0.1", value);
  CHECK(!peer_header(head, "Sec-WebSocket", value, sizeof value));
  CHECK(peer_answer_upgrade(server, head, ""));
  REQUIRE(peer_read_head(client, head, sizeof head));
  CHECK_NUMBER(101, peer_http_status(head));
  CHECK(peer_header(head, "Sec-WebSocket-Accept", value, sizeof value));
  CHECK_TEXT(PEER_ACCEPT, value);
  CHECK(close(client) == 0);
  CHECK(peer_is_at_end(server));
  CHECK(close(server) == 0 && close(listener) == 0);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_ROWS(a_sample_counts_as, samples),
      CHECK_TEST(the_accept_value_is_the_standards),
      CHECK_TEST(a_masked_frame_is_the_standards),
      CHECK_ROWS(a_frame_survives_the_wire, frame_sizes),
      CHECK_TEST(two_peers_upgrade),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
