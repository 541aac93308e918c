/* Reaching a server: credentials, redirects, proxies, sockets of this machine, and the reasons when it is not reached. */
#include <sys/un.h>

#include "pair.h"
#include "script.h"

#define FIELDS "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %A\r\n"
#define GOOD "HTTP/1.1 101 Switching Protocols\r\n" FIELDS "\r\n"
#define EMPTY "Content-Length: 0\r\n\r\n"
#define BODY "Content-Length: 4\r\n\r\nbody"
#define WANTS(challenge) "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: " challenge "\r\n" EMPTY
#define WANTS_PROXY(challenge) "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: " challenge "\r\n" EMPTY
#define OPEN "HTTP/1.1 200 Connection established\r\n\r\n"
/* user:secret */
#define BASIC "Basic dXNlcjpzZWNyZXQ="

/* How a client sets out. */
enum { LOGIN_BASIC = 1, LOGIN_DIGEST = 2, PROXY_BASIC = 4, PROXY_DIGEST = 8, HTTP_PROXY = 16, SOCKS_PROXY = 32, REDIRECTED = 64, SECRETS = 128,
       URL_LOGIN = 256, ONE_REDIRECT = 512, PROXY_HEADER = 1024, IN_ONE_STEP = 2048 };

typedef struct client {
  ws_handle session, request, websocket;
} client;

static bool set_text(ws_handle handle, ws_option option, const char *text) {
  return CHECK_STATUS(WS_OK, ws_set_option(handle, option, text, strlen(text)));
}

static bool client_set(client *client, uint16_t port, unsigned how);

static bool client_open(client *client, uint16_t port, unsigned how) {
  client->session = client->request = client->websocket = WS_NO_HANDLE;
  return CHECK_STATUS(WS_OK, ws_open("test/1", 0, &client->session)) && client_set(client, port, how);
}

static bool client_set(client *client, uint16_t port, unsigned how) {
  char text[256];
  bool done;
  /* Through a proxy the name is the proxy's to resolve. */
  if ((how & (HTTP_PROXY | SOCKS_PROXY)) != 0) (void)snprintf(text, sizeof text, "ws://server.example:81/path?query");
  else (void)snprintf(text, sizeof text, "ws://127.0.0.1:%u/path?query", (unsigned)port);
  done = CHECK_STATUS(WS_OK, ws_connect(client->session, text, &client->request));
  if (!done) return false;
  if ((how & LOGIN_BASIC) != 0) done &= CHECK_STATUS(WS_OK, ws_set_credentials(client->request, 0, 1, "user", "secret"));
  if ((how & LOGIN_DIGEST) != 0) done &= CHECK_STATUS(WS_OK, ws_set_credentials(client->request, 0, 8, "user", "secret"));
  if ((how & PROXY_BASIC) != 0) done &= CHECK_STATUS(WS_OK, ws_set_credentials(client->request, 1, 1, "user", "secret"));
  if ((how & PROXY_DIGEST) != 0) done &= CHECK_STATUS(WS_OK, ws_set_credentials(client->request, 1, 8, "user", "secret"));
  if ((how & (HTTP_PROXY | SOCKS_PROXY)) != 0) {
    (void)snprintf(text, sizeof text, "%s://%s127.0.0.1:%u", (how & HTTP_PROXY) != 0 ? "http" : "socks5",
                   (how & URL_LOGIN) != 0 ? "user:secret@" : "", (unsigned)port);
    done &= set_text(client->request, WS_OPTION_PROXY, text);
  }
  if ((how & REDIRECTED) != 0) done &= CHECK(pair_set_u32(client->request, WS_OPTION_REDIRECTS, 3));
  if ((how & ONE_REDIRECT) != 0) done &= CHECK(pair_set_u32(client->request, WS_OPTION_REDIRECTS, 1));
  if ((how & SECRETS) != 0) {
    done &= CHECK_STATUS(WS_OK, ws_add_header(client->request, "Authorization", "Bearer mine"));
    done &= CHECK_STATUS(WS_OK, ws_add_header(client->request, "Cookie", "mine=1"));
    done &= CHECK_STATUS(WS_OK, ws_add_header(client->request, "X-Other", "kept"));
  }
  if ((how & PROXY_HEADER) != 0) done &= CHECK_STATUS(WS_OK, ws_add_header(client->request, "Proxy-Authorization", "Own thing"));
  return done;
}

static void client_close(client *client) {
  if (client->websocket != WS_NO_HANDLE) CHECK_STATUS(WS_OK, ws_close_handle(client->websocket));
  CHECK_STATUS(WS_OK, ws_close_handle(client->request));
  CHECK_STATUS(WS_OK, ws_close_handle(client->session));
}

static ws_error_info error_of(ws_handle handle) {
  ws_error_info info;
  memset(&info, 0, sizeof info);
  info.size = sizeof info;
  CHECK_STATUS(WS_OK, ws_query_error(handle, &info));
  return info;
}

/* ---- conversations ----------------------------------------------------------------------------------------------------------------- */

typedef struct talk_row {
  const char *name;
  unsigned how;
  ws_status handshake, upgrade;
  ws_phase phase;                  /* of the failure */
  uint16_t http_status;            /* of the answer, or of the failure */
  size_t connections;
  const char *message;             /* in the failure's */
  script_turn turns[SCRIPT_MOST];
} talk_row;

#define REFUSED WS_ERROR_UPGRADE_REFUSED
#define LOGIN WS_ERROR_LOGIN_FAILURE
#define REDIRECT WS_ERROR_REDIRECT_FAILED
#define DIGEST_SHA "Digest realm=\"r\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256"
#define DIGEST_MD5 "Digest realm=\"r\", nonce=\"n1\", qop=\"auth, auth-int\", opaque=\"o\""
#define MOVED(location) "HTTP/1.1 302 Found\r\nLocation: " location "\r\n" EMPTY
#define HELLO "\x05\x01\x00", 3
#define HELLO_LOGIN "\x05\x02\x00\x02", 4
#define TO_SERVER "\x05\x01\x00\x03\x0e" "server.example\x00\x51", 21
#define BYTES(answer, length, bytes) {answer, KEEP, {NULL}, bytes, length}
#define SOCKS_OPEN "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"

static const talk_row talks[] = {
    /* Credentials for the server. */
    {"401 without credentials", 0, WS_OK, REFUSED, WS_PHASE_HTTP, 401, 1, "401 Unauthorized, expected 101",
     {{WANTS("Basic realm=\"x\""), END, {"!Authorization"}, NULL, 0, 0}}},
    {"Basic, kept alive", LOGIN_BASIC, WS_OK, WS_OK, 0, 101, 1, NULL,
     {{WANTS("Basic realm=\"x\""), KEEP, {"!Authorization"}, NULL, 0, 0}, {GOOD, KEEP, {"\r\nAuthorization: " BASIC "\r\n"}, NULL, 0, 0}}},
    {"Basic, in chunks", LOGIN_BASIC, WS_OK, WS_OK, 0, 101, 1, NULL,
     {{"HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", KEEP, {NULL}, NULL, 0, 0},
      {GOOD, KEEP, {"\r\nAuthorization: " BASIC "\r\n"}, NULL, 0, 0}}},
    {"Basic, announced end", LOGIN_BASIC, WS_OK, WS_OK, 0, 101, 2, NULL,
     {{"HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=x\r\nConnection: close\r\n" BODY, END, {NULL}, NULL, 0, 0},
      {GOOD, KEEP, {"\r\nAuthorization: " BASIC "\r\n"}, NULL, 0, 0}}},
    {"Basic, unannounced end", LOGIN_BASIC, WS_OK, WS_OK, 0, 101, 2, NULL,
     {{WANTS("Basic realm=\"x\""), END, {NULL}, NULL, 0, 0}, {GOOD, KEEP, {"\r\nAuthorization: " BASIC "\r\n"}, NULL, 0, 0}}},
    {"Basic, HTTP/1.0", LOGIN_BASIC, WS_OK, WS_OK, 0, 101, 2, NULL,
     {{"HTTP/1.0 401 x\r\nWWW-Authenticate: Basic realm=x\r\n\r\nbody", END, {NULL}, NULL, 0, 0},
      {GOOD, KEEP, {"\r\nAuthorization: " BASIC "\r\n"}, NULL, 0, 0}}},
    {"Basic, rejected", LOGIN_BASIC, WS_OK, LOGIN, WS_PHASE_HTTP, 401, 1, "401 Unauthorized to the credentials",
     {{WANTS("Basic realm=\"x\""), KEEP, {NULL}, NULL, 0, 0}, {WANTS("Basic realm=\"x\""), KEEP, {"\r\nAuthorization: " BASIC}, NULL, 0, 0}}},
    {"Basic in place of the program's header", LOGIN_BASIC | SECRETS, WS_OK, WS_OK, 0, 101, 1, NULL,
     {{WANTS("Basic realm=\"x\""), KEEP, {"Authorization: Bearer mine"}, NULL, 0, 0},
      {GOOD, KEEP, {"\r\nAuthorization: " BASIC, "!Bearer", "Cookie: mine=1"}, NULL, 0, 0}}},
    {"Basic is not for Digest", LOGIN_BASIC, WS_OK, REFUSED, WS_PHASE_HTTP, 401, 1, "401", {{WANTS(DIGEST_SHA), END, {NULL}, NULL, 0, 0}}},
    {"Digest SHA-256", LOGIN_DIGEST, WS_OK, WS_OK, 0, 101, 1, NULL,
     {{WANTS(DIGEST_SHA), KEEP, {NULL}, NULL, 0, 0},
      {GOOD, KEEP, {"Authorization: Digest username=\"user\", realm=\"r\", nonce=\"n1\", uri=\"/path?query\", algorithm=SHA-256", "qop=auth, nc=00000001"}, NULL, 0, 0}}},
    {"the stronger one", LOGIN_BASIC | LOGIN_DIGEST, WS_OK, WS_OK, 0, 101, 1, NULL,
     {{WANTS("Basic realm=\"x\", " DIGEST_MD5), KEEP, {NULL}, NULL, 0, 0}, {GOOD, KEEP, {"Authorization: Digest", "opaque=\"o\""}, NULL, 0, 0}}},
    {"Digest, stale", LOGIN_DIGEST, WS_OK, WS_OK, 0, 101, 1, NULL,
     {{WANTS(DIGEST_MD5), KEEP, {NULL}, NULL, 0, 0},
      {WANTS("Digest realm=\"r\", nonce=\"n2\", qop=\"auth\", stale=true"), KEEP, {"nonce=\"n1\""}, NULL, 0, 0},
      {GOOD, KEEP, {"nonce=\"n2\""}, NULL, 0, 0}}},
    {"Digest, rejected", LOGIN_DIGEST, WS_OK, LOGIN, WS_PHASE_HTTP, 401, 1, "to the credentials",
     {{WANTS(DIGEST_MD5), KEEP, {NULL}, NULL, 0, 0}, {WANTS("Digest realm=\"r\", nonce=\"n2\", qop=\"auth\""), KEEP, {"nonce=\"n1\""}, NULL, 0, 0}}},

    /* Redirects. */
    {"a redirect is not followed unless asked for", 0, WS_OK, REFUSED, WS_PHASE_HTTP, 302, 1, "302 Found", {{MOVED("/new"), END, {NULL}, NULL, 0, 0}}},
    {"a redirect", REDIRECTED | SECRETS, WS_OK, WS_OK, 0, 101, 2, NULL,
     {{MOVED("/new?x"), END, {NULL}, NULL, 0, 0}, {GOOD, KEEP, {"GET /new?x HTTP/1.1", "Bearer mine", "Cookie: mine"}, NULL, 0, 0}}},
    {"a redirect without a place", REDIRECTED, WS_OK, REFUSED, WS_PHASE_HTTP, 302, 1, "302", {{"HTTP/1.1 302 x\r\n" EMPTY, END, {NULL}, NULL, 0, 0}}},
    {"a redirect to nowhere", REDIRECTED, REDIRECT, REDIRECT, WS_PHASE_HTTP, 302, 1, "redirects, but the URL's scheme is \"ftp\"",
     {{MOVED("ftp://x/"), END, {NULL}, NULL, 0, 0}}},
    {"redirects in a ring", REDIRECTED, REDIRECT, REDIRECT, WS_PHASE_HTTP, 302, 4, "redirects after 3 redirects, which is the limit",
     {{MOVED("/a"), END, {NULL}, NULL, 0, 0}, {MOVED("/b"), END, {NULL}, NULL, 0, 0}, {MOVED("/a"), END, {NULL}, NULL, 0, 0}, {MOVED("/b"), END, {NULL}, NULL, 0, 0}}},
    {"exactly as many redirects", ONE_REDIRECT, WS_OK, WS_OK, 0, 101, 2, NULL,
     {{MOVED("/a"), END, {NULL}, NULL, 0, 0}, {GOOD, KEEP, {"GET /a "}, NULL, 0, 0}}},
    {"a redirect, then credentials", REDIRECTED | LOGIN_BASIC, WS_OK, WS_OK, 0, 101, 2, NULL,
     {{MOVED("/a"), END, {NULL}, NULL, 0, 0}, {WANTS("Basic realm=x"), KEEP, {"!Authorization"}, NULL, 0, 0}, {GOOD, KEEP, {BASIC, "GET /a "}, NULL, 0, 0}}},

    /* HTTP proxies. */
    {"CONNECT", HTTP_PROXY, WS_OK, WS_OK, 0, 101, 1, NULL,
     {{OPEN, KEEP, {"CONNECT server.example:81 HTTP/1.1\r\nHost: server.example:81\r\nUser-Agent: test/1\r\n\r\n"}, NULL, 0, 0},
      {GOOD, KEEP, {"GET /path?query HTTP/1.1\r\nHost: server.example:81\r\n"}, NULL, 0, 0}}},
    {"CONNECT with an odd 2xx and a length", HTTP_PROXY, WS_OK, WS_OK, 0, 101, 1, NULL,
     {{"HTTP/1.0 204 fine\r\nContent-Length: 20\r\n\r\n", KEEP, {NULL}, NULL, 0, 0}, {GOOD, KEEP, {"GET "}, NULL, 0, 0}}},
    {"407 without credentials", HTTP_PROXY, WS_OK, WS_ERROR_PROXY, WS_PHASE_PROXY, 407, 1, "407 Proxy Authentication Required, and there are no credentials",
     {{WANTS_PROXY("Negotiate"), END, {"!Authorization"}, NULL, 0, 0}}},
    {"407, Basic", HTTP_PROXY | PROXY_BASIC, WS_OK, WS_OK, 0, 101, 1, NULL,
     {{WANTS_PROXY("Basic realm=\"p\""), KEEP, {"!Authorization"}, NULL, 0, 0},
      {OPEN, KEEP, {"CONNECT ", "\r\nProxy-Authorization: " BASIC "\r\n"}, NULL, 0, 0},
      {GOOD, KEEP, {"GET ", "!Authorization"}, NULL, 0, 0}}},
    {"407, Basic, ended", HTTP_PROXY | URL_LOGIN, WS_OK, WS_OK, 0, 101, 2, NULL,
     {{"HTTP/1.0 407 x\r\nProxy-Authenticate: Basic realm=p\r\n\r\npage", END, {NULL}, NULL, 0, 0},
      {OPEN, KEEP, {"\r\nProxy-Authorization: " BASIC "\r\n"}, NULL, 0, 0},
      {GOOD, KEEP, {"GET ", "!Authorization"}, NULL, 0, 0}}},
    {"407, Digest", HTTP_PROXY | PROXY_DIGEST, WS_OK, WS_OK, 0, 101, 1, NULL,
     {{WANTS_PROXY(DIGEST_MD5), KEEP, {NULL}, NULL, 0, 0},
      {OPEN, KEEP, {"Proxy-Authorization: Digest username=\"user\"", "uri=\"server.example:81\""}, NULL, 0, 0},
      {GOOD, KEEP, {"GET ", "!Authorization"}, NULL, 0, 0}}},
    {"407, rejected", HTTP_PROXY | PROXY_BASIC, WS_OK, LOGIN, WS_PHASE_PROXY, 407, 1, "407 Proxy Authentication Required to the credentials",
     {{WANTS_PROXY("Basic realm=\"p\""), KEEP, {NULL}, NULL, 0, 0}, {WANTS_PROXY("Basic realm=\"p\""), KEEP, {BASIC}, NULL, 0, 0}}},
    {"the server's credentials are not the proxy's", HTTP_PROXY | LOGIN_BASIC, WS_OK, WS_ERROR_PROXY, WS_PHASE_PROXY, 407, 1, "no credentials",
     {{WANTS_PROXY("Basic realm=\"p\""), END, {NULL}, NULL, 0, 0}}},
    {"401 of a proxy is not the server's", HTTP_PROXY | LOGIN_BASIC, WS_ERROR_PROXY, WS_ERROR_PROXY, WS_PHASE_PROXY, 401, 1, "with 401 Unauthorized",
     {{WANTS("Basic realm=\"p\""), END, {NULL}, NULL, 0, 0}}},
    {"a redirect of a proxy is none", HTTP_PROXY | REDIRECTED, WS_ERROR_PROXY, WS_ERROR_PROXY, WS_PHASE_PROXY, 302, 1, "with 302 Found",
     {{MOVED("http://evil.example/"), END, {NULL}, NULL, 0, 0}}},
    {"407, 401, 101", HTTP_PROXY | PROXY_BASIC | LOGIN_DIGEST, WS_OK, WS_OK, 0, 101, 1, NULL,
     {{WANTS_PROXY("Basic realm=\"p\""), KEEP, {NULL}, NULL, 0, 0}, {OPEN, KEEP, {BASIC}, NULL, 0, 0},
      {WANTS(DIGEST_SHA), KEEP, {"GET ", "!Authorization"}, NULL, 0, 0}, {GOOD, KEEP, {"\r\nAuthorization: Digest"}, NULL, 0, 0}}},
    {"401 ended behind a proxy with a login", HTTP_PROXY | PROXY_BASIC | LOGIN_BASIC, WS_OK, WS_OK, 0, 101, 2, NULL,
     {{WANTS_PROXY("Basic realm=\"p\""), KEEP, {NULL}, NULL, 0, 0}, {OPEN, KEEP, {BASIC}, NULL, 0, 0},
      {"HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=x\r\nConnection: close\r\n" EMPTY, END, {"GET "}, NULL, 0, 0},
      {OPEN, KEEP, {"CONNECT ", BASIC}, NULL, 0, 0}, {GOOD, KEEP, {"\r\nAuthorization: " BASIC}, NULL, 0, 0}}},
    {"the program's header for the proxy", HTTP_PROXY | PROXY_HEADER, WS_OK, WS_OK, 0, 101, 1, NULL,
     {{OPEN, KEEP, {"CONNECT ", "\r\nProxy-Authorization: Own thing\r\n"}, NULL, 0, 0}, {GOOD, KEEP, {"!Own thing"}, NULL, 0, 0}}},
    {"502", HTTP_PROXY, WS_ERROR_PROXY, WS_ERROR_PROXY, WS_PHASE_PROXY, 502, 1, "answered CONNECT server.example:81 with 502 Bad Gateway",
     {{"HTTP/1.1 502 x\r\n" BODY, END, {NULL}, NULL, 0, 0}}},
    {"a proxy speaks out of turn", HTTP_PROXY, WS_ERROR_PROXY, WS_ERROR_PROXY, WS_PHASE_PROXY, 0, 1, "sent bytes behind its answer",
     {{OPEN "HTTP/1.1 101 x\r\n\r\n", END, {NULL}, NULL, 0, 0}}},
    {"a proxy of another kind", HTTP_PROXY, WS_ERROR_PROXY, WS_ERROR_PROXY, WS_PHASE_PROXY, 0, 1, "the proxy's response head: the peer does not speak HTTP/1.1",
     {{"\x05\xff garbage \r\n\r\n", END, {NULL}, NULL, 0, 0}}},
    {"a proxy that says nothing", HTTP_PROXY, WS_ERROR_PROXY, WS_ERROR_PROXY, WS_PHASE_PROXY, 0, 1, "the proxy ended the connection without a word",
     {{"", END, {NULL}, "CONNECT", 7, 0}}},

    /* SOCKS5. */
    {"SOCKS5", SOCKS_PROXY, WS_OK, WS_OK, 0, 101, 1, NULL,
     {{"\x05\x00", KEEP, {NULL}, HELLO, 2}, {SOCKS_OPEN, KEEP, {NULL}, TO_SERVER, 10}, {GOOD, KEEP, {"GET /path?query ", "Host: server.example:81"}, NULL, 0, 0}}},
    {"SOCKS5 with a login", SOCKS_PROXY | URL_LOGIN, WS_OK, WS_OK, 0, 101, 1, NULL,
     {{"\x05\x02", KEEP, {NULL}, HELLO_LOGIN, 2}, {"\x01\x00", KEEP, {NULL}, "\x01\x04user\x06secret", 13, 2},
      {SOCKS_OPEN, KEEP, {NULL}, TO_SERVER, 10}, {GOOD, KEEP, {"GET ", "!Authorization"}, NULL, 0, 0}}},
    {"SOCKS5 with credentials", SOCKS_PROXY | PROXY_BASIC, LOGIN, LOGIN, WS_PHASE_PROXY, 0, 1, "did not accept the credentials",
     {{"\x05\x02", KEEP, {NULL}, HELLO_LOGIN, 2}, {"\x01\x01", END, {NULL}, "\x01\x04user\x06secret", 13, 2}}},
    {"SOCKS5, refused", SOCKS_PROXY, WS_ERROR_PROXY, WS_ERROR_PROXY, WS_PHASE_PROXY, 0, 1, "did not connect to server.example:81: connection refused (5)",
     {{"\x05\x00", KEEP, {NULL}, HELLO, 2}, {"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", END, {NULL}, TO_SERVER, 10}}},
    {"SOCKS5 that is HTTP", SOCKS_PROXY, WS_ERROR_PROXY, WS_ERROR_PROXY, WS_PHASE_PROXY, 0, 1, "does not speak SOCKS5",
     {{"HTTP/1.1 400 Bad Request\r\n\r\n", END, {NULL}, HELLO, 28}}},
};

static void the_failure_is_told(const client *client, const talk_row *row) {
  ws_error_info info = error_of(client->request);
  CHECK_NUMBER(row->upgrade, info.status);
  CHECK_NUMBER(row->phase, info.phase);
  CHECK_NUMBER(row->http_status, info.http_status);
  if (strstr(info.message, row->message) == NULL) CHECK_TEXT(row->message, info.message);
  CHECK(strstr(info.message, "secret") == NULL);
}

static void a_conversation_in(size_t row, bool in_one_step) {
  const talk_row *talk = &talks[row];
  static script script;
  uint16_t http_status = 0;
  client client;
  check_label("%s", talk->name);
  REQUIRE(script_start(&script, talk->turns, script_length(talk->turns)));
  REQUIRE(client_open(&client, script.port, talk->how));
  if (!in_one_step) CHECK_STATUS(talk->handshake, ws_handshake(client.request));
  if (in_one_step || talk->handshake == WS_OK) CHECK_STATUS(talk->upgrade, ws_complete_upgrade(client.request, &client.websocket));
  if (talk->handshake == WS_OK) {
    CHECK_STATUS(WS_OK, ws_query_response(client.request, &http_status));
    CHECK_NUMBER(talk->http_status, http_status);
  }
  if (talk->upgrade != WS_OK) the_failure_is_told(&client, talk);
  client_close(&client);
  script_end_play(&script);
  CHECK_NUMBER(script_length(talk->turns), script.played);
  CHECK_NUMBER(talk->connections, script.connections);
}

static void a_conversation(size_t row) { a_conversation_in(row, false); }
static void a_conversation_in_one_step(size_t row) { a_conversation_in(row, true); }

/* The same on a loop: the same steps, and nobody's thread waits. */
static void a_conversation_on_a_loop(size_t row) {
  const talk_row *talk = &talks[row];
  static script script;
  ws_handle loop = WS_NO_HANDLE;
  ws_event events[8];
  size_t count = 0;
  bool has_ended = false;
  uint64_t until = check_now_ms() + PEER_WAIT_MS;
  client client = {WS_NO_HANDLE, WS_NO_HANDLE, WS_NO_HANDLE};
  check_label("%s", talk->name);
  REQUIRE(script_start(&script, talk->turns, script_length(talk->turns)));
  REQUIRE_STATUS(WS_OK, ws_loop_create(0, &loop));
  REQUIRE_STATUS(WS_OK, ws_open("test/1", WS_FLAG_ASYNC, &client.session));
  REQUIRE_STATUS(WS_OK, ws_set_option(client.session, WS_OPTION_LOOP, &loop, sizeof loop));
  REQUIRE(client_set(&client, script.port, talk->how));
  REQUIRE_STATUS(WS_PENDING, ws_complete_upgrade(client.request, &client.websocket));
  while (!has_ended && check_now_ms() < until && CHECK_STATUS(WS_OK, ws_loop_wait(loop, events, CHECK_COUNT(events), &count, 100))) {
    for (size_t i = 0; i < count; i++) {
      if (events[i].handle != client.request || events[i].type != WS_EVENT_UPGRADED) continue;
      has_ended = true;
      CHECK_STATUS(talk->upgrade, events[i].status);
      client.websocket = events[i].child;
      if (events[i].error != NULL) CHECK(strstr(events[i].error->message, talk->message) != NULL);
    }
  }
  CHECK(has_ended);
  if (talk->upgrade != WS_OK) the_failure_is_told(&client, talk);
  client_close(&client);
  for (int i = 0; i < 5; i++) (void)ws_loop_wait(loop, events, CHECK_COUNT(events), &count, 10);
  CHECK_STATUS(WS_OK, ws_close_handle(loop));
  script_end_play(&script);
  CHECK_NUMBER(script_length(talk->turns), script.played);
  CHECK_NUMBER(talk->connections, script.connections);
}

/* ---- more than one server ---------------------------------------------------------------------------------------------------------- */

/* Another name for the same machine is another server. */
static void secrets_stay_with_their_server(void) {
  static script script;
  static char moved[256];
  char url[128];
  size_t length = sizeof url;
  script_turn turns[3] = {
      {moved, END, {"Bearer mine", "Cookie: mine", "X-Other: kept"}, NULL, 0, 0},
      {WANTS("Basic realm=\"x\""), END, {"GET /there HTTP/1.1\r\nHost: localhost:", "!Bearer", "!Cookie", "X-Other: kept"}, NULL, 0, 0},
  };
  client client;
  /* The port is known once it listens, and the script runs from then on: nobody comes before. */
  REQUIRE(script_start(&script, turns, 2));
  (void)snprintf(moved, sizeof moved, "HTTP/1.1 307 x\r\nLocation: http://localhost:%u/there\r\n" EMPTY, (unsigned)script.port);
  REQUIRE(client_open(&client, script.port, REDIRECTED | SECRETS | LOGIN_BASIC));
  CHECK_STATUS(REFUSED, ws_complete_upgrade(client.request, &client.websocket));
  CHECK_STATUS(WS_OK, ws_query_option(client.request, WS_OPTION_URL, url, &length));
  CHECK(strncmp(url, "ws://localhost:", 15) == 0 && strstr(url, "/there") != NULL);
  client_close(&client);
  script_end_play(&script);
  CHECK_NUMBER(2, script.played);
}

/* A program that answers a challenge itself: read it, add a header, try again. */
static void a_program_answers_by_itself(void) {
  static const script_turn turns[] = {
      {WANTS_PROXY("Own nonce=7"), END, {"!Proxy-Authorization"}, NULL, 0, 0},
      {OPEN, KEEP, {"\r\nProxy-Authorization: Own thing\r\n"}, NULL, 0, 0},
      {WANTS("Own nonce=8"), END, {"!Own"}, NULL, 0, 0},
      {OPEN, KEEP, {"\r\nProxy-Authorization: Own thing\r\n"}, NULL, 0, 0},
      {GOOD, KEEP, {"\r\nAuthorization: Own thing\r\n", "!Proxy"}, NULL, 0, 0},
  };
  static script script;
  char challenge[64];
  size_t length = sizeof challenge;
  uint16_t http_status = 0;
  client client;
  REQUIRE(script_start(&script, turns, CHECK_COUNT(turns)) && client_open(&client, script.port, HTTP_PROXY));
  CHECK_STATUS(WS_OK, ws_handshake(client.request));
  CHECK_STATUS(WS_OK, ws_query_response(client.request, &http_status));
  CHECK_NUMBER(407, http_status);
  CHECK_STATUS(WS_OK, ws_query_header(client.request, "Proxy-Authenticate", 0, challenge, &length));
  CHECK_TEXT("Own nonce=7", challenge);
  CHECK_STATUS(WS_OK, ws_add_header(client.request, "Proxy-Authorization", "Own thing"));
  CHECK_STATUS(WS_OK, ws_handshake(client.request));
  length = sizeof challenge;
  CHECK_STATUS(WS_OK, ws_query_header(client.request, "WWW-Authenticate", 0, challenge, &length));
  CHECK_TEXT("Own nonce=8", challenge);
  CHECK_STATUS(WS_OK, ws_add_header(client.request, "Authorization", "Own thing"));
  CHECK_STATUS(WS_OK, ws_handshake(client.request));
  CHECK_STATUS(WS_OK, ws_complete_upgrade(client.request, &client.websocket));
  client_close(&client);
  script_end_play(&script);
  CHECK_NUMBER(5, script.played);
}

/* Both ends are the library's: a server that asks for a login before it upgrades, as the article's does. */
static void *ask_for_login(void *argument) {
  ws_handle listener = *(ws_handle *)argument, request = WS_NO_HANDLE, websocket = WS_NO_HANDLE;
  char value[128];
  size_t length = sizeof value;
  if (!CHECK_STATUS(WS_OK, ws_accept(listener, &request)) || !CHECK_STATUS(WS_OK, ws_handshake(request))) return NULL;
  CHECK_STATUS(WS_ERROR_HEADER_NOT_FOUND, ws_query_header(request, "Authorization", 0, value, &length));
  CHECK_STATUS(WS_OK, ws_add_header(request, "WWW-Authenticate", "Basic realm=\"here\", charset=\"UTF-8\""));
  CHECK_STATUS(WS_OK, ws_respond(request, 401, "text/plain", "who are you?", 12));
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  if (!CHECK_STATUS(WS_OK, ws_accept(listener, &request)) || !CHECK_STATUS(WS_OK, ws_handshake(request))) return NULL;
  length = sizeof value;
  CHECK_STATUS(WS_OK, ws_query_header(request, "Authorization", 0, value, &length));
  CHECK_TEXT(BASIC, value);
  CHECK_STATUS(WS_OK, ws_complete_upgrade(request, &websocket));
  CHECK_STATUS(WS_OK, ws_send(websocket, WS_UTF8_MESSAGE, "welcome", 7));
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0));
  CHECK_STATUS(WS_OK, ws_close_handle(websocket));
  return NULL;
}

static void a_server_of_the_library_asks_for_a_login(void) {
  ws_handle session = WS_NO_HANDLE, listener = WS_NO_HANDLE;
  uint16_t port = 0;
  pthread_t thread;
  client client;
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  REQUIRE(pair_listen(session, "/", &listener, &port));
  REQUIRE(pthread_create(&thread, NULL, ask_for_login, &listener) == 0);
  REQUIRE(client_open(&client, port, LOGIN_BASIC));
  CHECK_STATUS(WS_OK, ws_complete_upgrade(client.request, &client.websocket));
  CHECK(RECEIVES(client.websocket, 16, WS_UTF8_MESSAGE, "welcome", 7));
  CHECK(RECEIVES(client.websocket, 16, WS_CLOSE_FRAME, "", 0));
  (void)pthread_join(thread, NULL);
  client_close(&client);
  CHECK_STATUS(WS_OK, ws_close_handle(listener));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

/* ---- whether and when to try again ------------------------------------------------------------------------------------------------- */

typedef struct retry_row {
  const char *answer;
  bool retryable;
  uint32_t least_ms, most_ms;
} retry_row;

static const retry_row retries[] = {
    {"HTTP/1.1 503 x\r\n" EMPTY, true, 0, 0},
    {"HTTP/1.1 503 x\r\nRetry-After: 120\r\n" EMPTY, true, 120000, 120000},
    {"HTTP/1.1 429 x\r\nRetry-After: 0\r\n" EMPTY, true, 0, 0},
    {"HTTP/1.1 502 x\r\n" EMPTY, true, 0, 0},
    {"HTTP/1.1 403 x\r\n" EMPTY, false, 0, 0},
    {"HTTP/1.1 404 x\r\n" EMPTY, false, 0, 0},
    {"HTTP/1.1 403 x\r\nRetry-After: 1\r\n" EMPTY, true, 1000, 1000},
    {"HTTP/1.1 503 x\r\nRetry-After: soon\r\n" EMPTY, true, 0, 0},
    {"HTTP/1.1 503 x\r\nRetry-After: Fri, 01 Jan 2038 00:00:00 GMT\r\n" EMPTY, true, 1, UINT32_MAX},
    {"HTTP/1.1 503 x\r\nRetry-After: Sunday, 06-Nov-94 08:49:37 GMT\r\n" EMPTY, true, 0, 0},
};

static void another_attempt_makes_sense(size_t row) {
  const retry_row *retry = &retries[row];
  script_turn turn = {retry->answer, END, {NULL}, NULL, 0, 0};
  static script script;
  ws_error_info info;
  client client;
  check_label("%.12s, row %zu", retry->answer, row);
  REQUIRE(script_start(&script, &turn, 1) && client_open(&client, script.port, 0));
  CHECK_STATUS(REFUSED, ws_complete_upgrade(client.request, &client.websocket));
  info = error_of(client.request);
  CHECK_NUMBER(retry->retryable, info.retryable != 0);
  CHECK(info.retry_after_ms >= retry->least_ms && info.retry_after_ms <= retry->most_ms);
  client_close(&client);
  script_end_play(&script);
}

/* A proxy's answer has it too. */
static void a_proxy_may_ask_to_come_again(void) {
  static const script_turn turn = {"HTTP/1.1 503 x\r\nRetry-After: 7\r\n" EMPTY, END, {NULL}, NULL, 0, 0};
  static script script;
  ws_error_info info;
  client client;
  REQUIRE(script_start(&script, &turn, 1) && client_open(&client, script.port, HTTP_PROXY));
  CHECK_STATUS(WS_ERROR_PROXY, ws_complete_upgrade(client.request, &client.websocket));
  info = error_of(client.request);
  CHECK(info.retryable != 0);
  CHECK_NUMBER(7000, info.retry_after_ms);
  client_close(&client);
  script_end_play(&script);
}

/* ---- addresses --------------------------------------------------------------------------------------------------------------------- */

static void each_address_is_named_with_its_time(void) {
  char url[64], expected[64];
  uint16_t port = 0;
  ws_error_info info;
  ws_handle session = WS_NO_HANDLE, request = WS_NO_HANDLE;
  int listener = peer_listen(&port);
  (void)close(listener);
  REQUIRE_STATUS(WS_OK, ws_open(NULL, 0, &session));
  (void)snprintf(url, sizeof url, "ws://localhost:%u/", (unsigned)port);
  REQUIRE_STATUS(WS_OK, ws_connect(session, url, &request));
  CHECK_STATUS(WS_ERROR_CANNOT_CONNECT, ws_handshake(request));
  info = error_of(request);
  CHECK_NUMBER(WS_PHASE_CONNECT, info.phase);
  CHECK_NUMBER(ECONNREFUSED, info.os_error);
  CHECK(info.retryable != 0);
  (void)snprintf(expected, sizeof expected, "127.0.0.1:%u refused after ", (unsigned)port);
  CHECK(strstr(info.message, expected) != NULL && strstr(info.message, " ms") != NULL);
  CHECK_STATUS(WS_OK, ws_close_handle(request));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

static void nobody_at_the_proxys_place(void) {
  uint16_t port = 0;
  ws_error_info info;
  client client;
  (void)close(peer_listen(&port));
  REQUIRE(client_open(&client, port, HTTP_PROXY));
  CHECK_STATUS(WS_ERROR_CANNOT_CONNECT, ws_handshake(client.request));
  info = error_of(client.request);
  CHECK_NUMBER(WS_PHASE_PROXY, info.phase);
  CHECK(strstr(info.message, "no connection to the proxy: 127.0.0.1:") != NULL);
  client_close(&client);
}

static void a_client_may_choose_its_own_address(void) {
  static const script_turn turn = {GOOD, KEEP, {NULL}, NULL, 0, 0};
  static script script;
  char address[64];
  size_t length = sizeof address;
  client client;
  REQUIRE(script_start(&script, &turn, 1) && client_open(&client, script.port, 0));
  CHECK(set_text(client.request, WS_OPTION_BIND_ADDRESS, "127.0.0.7"));
  CHECK_STATUS(WS_OK, ws_complete_upgrade(client.request, &client.websocket));
  CHECK_STATUS(WS_OK, ws_query_option(client.websocket, WS_OPTION_LOCAL_ADDRESS, address, &length));
  CHECK(strncmp(address, "127.0.0.7:", 10) == 0);
  client_close(&client);
  script_end_play(&script);
  REQUIRE(client_open(&client, 1, 0));
  CHECK(set_text(client.request, WS_OPTION_BIND_ADDRESS, "::1"));
  CHECK_STATUS(WS_ERROR_CANNOT_CONNECT, ws_handshake(client.request));
  CHECK(strstr(error_of(client.request).message, "cannot be reached from ::1") != NULL);
  client_close(&client);
}

static void a_socket_of_this_machine(void) {
  static const script_turn turn = {GOOD, KEEP, {"GET /chat?x HTTP/1.1\r\nHost: localhost\r\n"}, NULL, 0, 0};
  static script script;
  struct sockaddr_un address;
  char url[200], text[200];
  size_t length = sizeof text;
  pthread_t thread;
  client client = {WS_NO_HANDLE, WS_NO_HANDLE, WS_NO_HANDLE};
  memset(&script, 0, sizeof script);
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  (void)snprintf(address.sun_path, sizeof address.sun_path, "/tmp/ws101 test:%d", (int)getpid());
  (void)snprintf(url, sizeof url, "ws+unix:/tmp/ws101%%20test%%3A%d:/chat?x", (int)getpid());
  (void)unlink(address.sun_path);
  REQUIRE_STATUS(WS_OK, ws_open("test/1", 0, &client.session));
  REQUIRE_STATUS(WS_OK, ws_connect(client.session, url, &client.request));
  CHECK_STATUS(WS_ERROR_CANNOT_CONNECT, ws_handshake(client.request));
  CHECK(strstr(error_of(client.request).message, address.sun_path) != NULL);
  CHECK_NUMBER(ENOENT, error_of(client.request).os_error);
  script.turns = &turn, script.count = 1, script.peer = -1;
  script.listener = socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(bind(script.listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(script.listener, 1) == 0);
  REQUIRE(pthread_create(&thread, NULL, script_run, &script) == 0);
  script.thread = thread;
  CHECK_STATUS(WS_OK, ws_complete_upgrade(client.request, &client.websocket));
  CHECK_STATUS(WS_OK, ws_query_option(client.websocket, WS_OPTION_URL, text, &length));
  CHECK_TEXT(url, text);
  length = sizeof text;
  CHECK_STATUS(WS_OK, ws_query_option(client.websocket, WS_OPTION_REMOTE_ADDRESS, text, &length));
  CHECK_TEXT(address.sun_path, text);
  client_close(&client);
  script_end_play(&script);
  (void)unlink(address.sun_path);
}

/* ---- the environment --------------------------------------------------------------------------------------------------------------- */

typedef struct environment_row {
  const char *name, *value_format, *exceptions;
  bool asks, through_proxy;
} environment_row;

static const environment_row environments[] = {
    {"http_proxy", "http://127.0.0.1:%u", NULL, false, false},
    {"http_proxy", "http://127.0.0.1:%u", NULL, true, true},
    {"http_proxy", "127.0.0.1:%u", "other.example", true, true},
    {"http_proxy", "http://127.0.0.1:%u", "127.0.0.0/8", true, false},
    {"http_proxy", "http://127.0.0.1:%u", "*", true, false},
    {"HTTP_PROXY", "http://127.0.0.1:%u", NULL, true, false},
    {"https_proxy", "http://127.0.0.1:%u", NULL, true, false},
    {"ALL_PROXY", "http://127.0.0.1:%u", NULL, true, true},
};

/* Each case is a process of its own. */
static void the_environment_is_asked_if_the_program_says_so(size_t row) {
  const environment_row *environment = &environments[row];
  static const script_turn straight[] = {{GOOD, KEEP, {"GET "}, NULL, 0, 0}};
  static const script_turn proxied[] = {{OPEN, KEEP, {"CONNECT 127.0.0.1:"}, NULL, 0, 0}, {GOOD, KEEP, {"GET "}, NULL, 0, 0}};
  static const char *const names[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"};
  static script script;
  char value[64];
  client client;
  check_label("%s, %s", environment->name, environment->asks ? "asked for" : "not asked for");
  for (size_t i = 0; i < CHECK_COUNT(names); i++) CHECK(unsetenv(names[i]) == 0);
  if (environment->through_proxy) REQUIRE(script_start(&script, proxied, 2));
  else REQUIRE(script_start(&script, straight, 1));
  (void)snprintf(value, sizeof value, environment->value_format, (unsigned)script.port);
  CHECK(setenv(environment->name, value, 1) == 0);
  if (environment->exceptions != NULL) CHECK(setenv("no_proxy", environment->exceptions, 1) == 0);
  REQUIRE(client_open(&client, script.port, 0));
  if (environment->asks) CHECK(pair_set_u32(client.request, WS_OPTION_PROXY_ENVIRONMENT, 1));
  CHECK_STATUS(WS_OK, ws_complete_upgrade(client.request, &client.websocket));
  client_close(&client);
  script_end_play(&script);
}

/* ---- ws_set_credentials ------------------------------------------------------------------------------------------------------------ */

static void credentials_are_checked(void) {
  client client;
  REQUIRE(client_open(&client, 1, 0));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_set_credentials(client.request, 0, 1, "us:er", "secret"));
  CHECK_STATUS(WS_OK, ws_set_credentials(client.request, 0, 8, "us:er", "secret"));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_set_credentials(client.request, 0, 8, "us\ner", "secret"));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_set_credentials(client.request, 1, 1, "user", "sec\rret"));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_set_credentials(client.request, 1, 9, "user", "secret"));
  CHECK_STATUS(WS_ERROR_INVALID_PARAMETER, ws_set_credentials(client.request, 2, 1, "user", "secret"));
  CHECK_STATUS(WS_OK, ws_set_credentials(client.request, 1, 1, "", ""));
  client_close(&client);
}

/* ---- the log ----------------------------------------------------------------------------------------------------------------------- */

static char journal[16384];

static void keep_line(int32_t level, const char *line, void *context) {
  (void)level, (void)context;
  if (strlen(journal) + strlen(line) + 2 < sizeof journal) {
    strcat(journal, line);
    strcat(journal, "\n");
  }
}

static void the_log_shows_the_conversation_without_its_secrets(void) {
  static const script_turn turns[] = {
      {WANTS_PROXY("Basic realm=\"p\""), KEEP, {NULL}, NULL, 0, 0},
      {OPEN, KEEP, {BASIC}, NULL, 0, 0},
      {"HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=\"x\"\r\nSet-Cookie: SECRET\r\n" EMPTY, KEEP, {NULL}, NULL, 0, 0},
      {GOOD, KEEP, {BASIC}, NULL, 0, 0},
  };
  static const char *const shown[] = {
      "> CONNECT server.example:81 HTTP/1.1", "> Proxy-Authorization: ...", "< HTTP/1.1 407 Proxy Authentication Required",
      "< Proxy-Authenticate: Basic realm=\"p\"", "> GET /path?... HTTP/1.1", "> Authorization: ...", "< Set-Cookie: ...", "< HTTP/1.1 101 Switching Protocols",
  };
  static script script;
  client client;
  REQUIRE(script_start(&script, turns, CHECK_COUNT(turns)) && client_open(&client, script.port, HTTP_PROXY | URL_LOGIN | LOGIN_BASIC | SECRETS));
  CHECK_STATUS(WS_OK, ws_set_log(5, keep_line, NULL));
  CHECK_STATUS(WS_OK, ws_complete_upgrade(client.request, &client.websocket));
  CHECK_STATUS(WS_OK, ws_set_log(0, NULL, NULL));
  for (size_t i = 0; i < CHECK_COUNT(shown); i++)
    if (strstr(journal, shown[i]) == NULL) CHECK_TEXT(shown[i], journal);
  CHECK(strstr(journal, "SECRET") == NULL && strstr(journal, "secret") == NULL && strstr(journal, "dXNlcj") == NULL && strstr(journal, "mine") == NULL);
  client_close(&client);
  script_end_play(&script);
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_ROWS(a_conversation, talks),
      CHECK_ROWS(a_conversation_in_one_step, talks),
      CHECK_ROWS(a_conversation_on_a_loop, talks),
      CHECK_TEST(secrets_stay_with_their_server),
      CHECK_TEST(a_program_answers_by_itself),
      CHECK_TEST(a_server_of_the_library_asks_for_a_login),
      CHECK_ROWS(another_attempt_makes_sense, retries),
      CHECK_TEST(a_proxy_may_ask_to_come_again),
      CHECK_TEST(each_address_is_named_with_its_time),
      CHECK_TEST(nobody_at_the_proxys_place),
      CHECK_TEST(a_client_may_choose_its_own_address),
      CHECK_TEST(a_socket_of_this_machine),
      CHECK_ROWS(the_environment_is_asked_if_the_program_says_so, environments),
      CHECK_TEST(credentials_are_checked),
      CHECK_TEST(the_log_shows_the_conversation_without_its_secrets),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
