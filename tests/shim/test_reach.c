/* Reaching a server: names and passwords, proxies, and what a redirect may carry to another server; synchronously and asynchronously. */
#include "opened.h"

#include <stdio.h>
#include <wchar.h>

#define EMPTY "Content-Length: 0\r\n\r\n"
#define WANTS(challenge) "HTTP/1.1 401 Who\r\nWWW-Authenticate: " challenge "\r\n" EMPTY
#define WANTS_PROXY(challenge) "HTTP/1.1 407 Who\r\nProxy-Authenticate: " challenge "\r\n" EMPTY
#define TUNNEL "HTTP/1.1 200 Connected\r\n\r\n"
#define BASIC "Basic realm=\"r\""
#define DIGEST "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256"
#define SECRET "Basic dXNlcjpzZWNyZXQ=" /* user:secret */

/* ---- conversations -------------------------------------------------------------------------------------------------------------------------------------- */

enum { DIRECT, SESSION_PROXY, REQUEST_PROXY };
/* Instead of a scheme: by options, or nothing at all. */
enum { NOTHING = 0, BY_OPTION = 0x100, FORBIDDEN = 0x200 };

/* What the program says of itself, then one SendRequest, and the status that it leads to. */
typedef struct step {
  DWORD target, how;
  const WCHAR *password;
  DWORD status;
} step;

typedef struct talk {
  const char *name;
  int way;
  step steps[3];
  const char *answers[9]; /* NULL is a right 101, and the last */
  const char *words[9];   /* of the requests; behind a '!' what must not be there */
} talk;

static const talk talks[] = {
    {"Basic", DIRECT, {{0, NOTHING, NULL, 401}, {0, WINHTTP_AUTH_SCHEME_BASIC, L"secret", 101}, {0, 0, NULL, 0}},
     {WANTS(BASIC), "+" WANTS(BASIC), NULL}, {"!Authorization", "!Authorization", "\r\nAuthorization: " SECRET "\r\n"}},
    {"Digest", DIRECT, {{0, NOTHING, NULL, 401}, {0, WINHTTP_AUTH_SCHEME_DIGEST, L"secret", 101}, {0, 0, NULL, 0}},
     {WANTS(DIGEST), "+" WANTS(DIGEST), NULL}, {"!Authorization", "!Authorization", "Authorization: Digest username=\"user\", realm=\"r\", nonce=\"n\", uri=\"/a?b\""}},
    {"Digest is chosen where both are offered", DIRECT, {{0, WINHTTP_AUTH_SCHEME_DIGEST, L"secret", 101}, {0, 0, NULL, 0}},
     {"+" WANTS(BASIC ", " DIGEST), NULL}, {"!Authorization", "Authorization: Digest"}},
    {"Basic is not sent where it is not offered", DIRECT, {{0, WINHTTP_AUTH_SCHEME_BASIC, L"secret", 401}, {0, 0, NULL, 0}},
     {"+" WANTS(DIGEST), NULL}, {"!Authorization"}},
    {"options are Basic", DIRECT, {{0, NOTHING, NULL, 401}, {0, BY_OPTION, L"secret", 101}, {0, 0, NULL, 0}},
     {WANTS(BASIC), "+" WANTS(BASIC), NULL}, {"!Authorization", "!Authorization", SECRET}},
    {"said before it was asked for", DIRECT, {{0, WINHTTP_AUTH_SCHEME_BASIC, L"secret", 101}, {0, 0, NULL, 0}},
     {"+" WANTS(BASIC), NULL}, {"!Authorization", SECRET}},
    {"a wrong password, then the right one", DIRECT,
     {{0, NOTHING, NULL, 401}, {0, WINHTTP_AUTH_SCHEME_BASIC, L"wrong", 401}, {0, WINHTTP_AUTH_SCHEME_BASIC, L"secret", 101}},
     {WANTS(BASIC), "+" WANTS(BASIC), WANTS(BASIC), "+" WANTS(BASIC), NULL}, {"!Authorization", "!Authorization", "Basic dXNlcjp3cm9uZw==", "!Authorization", SECRET}},
    {"authentication that is switched off", DIRECT, {{0, FORBIDDEN, L"secret", 401}, {0, 0, NULL, 0}}, {"+" WANTS(BASIC), NULL}, {"!Authorization"}},
    {"a proxy of the session", SESSION_PROXY, {{0, NOTHING, NULL, 101}, {0, 0, NULL, 0}},
     {"+" TUNNEL, NULL}, {"CONNECT server.example:81 HTTP/1.1\r\n", "GET /a?b HTTP/1.1\r\nHost: server.example:81\r\n"}},
    {"a proxy of the request", REQUEST_PROXY, {{0, NOTHING, NULL, 101}, {0, 0, NULL, 0}},
     {"+" TUNNEL, NULL}, {"CONNECT server.example:81 HTTP/1.1\r\n", "GET /a?b HTTP/1.1\r\nHost: server.example:81\r\n"}},
    {"Basic for the proxy", SESSION_PROXY, {{1, NOTHING, NULL, 407}, {1, WINHTTP_AUTH_SCHEME_BASIC, L"secret", 101}, {0, 0, NULL, 0}},
     {WANTS_PROXY(BASIC), "+" WANTS_PROXY(BASIC), "+" TUNNEL, NULL}, {"!Authorization", "CONNECT", "\r\nProxy-Authorization: " SECRET "\r\n", "!Authorization"}},
    {"Digest for the proxy", SESSION_PROXY, {{1, NOTHING, NULL, 407}, {1, WINHTTP_AUTH_SCHEME_DIGEST, L"secret", 101}, {0, 0, NULL, 0}},
     {WANTS_PROXY(DIGEST), "+" WANTS_PROXY(DIGEST), "+" TUNNEL, NULL}, {"CONNECT", "CONNECT", "Proxy-Authorization: Digest username=\"user\"", "!Authorization"}},
    {"options for the proxy", REQUEST_PROXY, {{1, BY_OPTION, L"secret", 101}, {0, 0, NULL, 0}},
     {"+" WANTS_PROXY(BASIC), "+" TUNNEL, NULL}, {"!Authorization", SECRET, "!Authorization"}},
    {"the server's are not for the proxy", SESSION_PROXY, {{0, WINHTTP_AUTH_SCHEME_BASIC, L"secret", 407}, {0, 0, NULL, 0}},
     {"+" WANTS_PROXY(BASIC), NULL}, {"!Authorization"}},
    {"the proxy, then the server", SESSION_PROXY,
     {{1, NOTHING, NULL, 407}, {1, WINHTTP_AUTH_SCHEME_BASIC, L"secret", 401}, {0, WINHTTP_AUTH_SCHEME_DIGEST, L"other", 101}},
     {WANTS_PROXY(BASIC), "+" WANTS_PROXY(BASIC), "+" TUNNEL, WANTS(DIGEST), "+" WANTS_PROXY(BASIC), "+" TUNNEL, "+" WANTS(DIGEST), NULL},
     {"!Authorization", "CONNECT", SECRET, "!Authorization", "!Authorization", SECRET, "!Authorization", "\r\nAuthorization: Digest"}},
};

static void check_words(size_t number, const char *word) {
  const char *request = server_request(number);
  if (word == NULL) return;
  if (word[0] == '!' ? strstr(request, word + 1) != NULL : strstr(request, word) == NULL) EXPECT_TEXT(word, request);
}

static bool set_text(HINTERNET handle, DWORD option, const WCHAR *text) {
  WCHAR copy[64];
  (void)wcsncpy(copy, text, 63);
  copy[63] = 0;
  return SUCCEEDS(WinHttpSetOption(handle, option, copy, (DWORD)wcslen(copy)));
}

static bool identify(HINTERNET request, const step *step) {
  DWORD off = WINHTTP_DISABLE_AUTHENTICATION;
  if (step->how == NOTHING) return true;
  if (step->how == BY_OPTION)
    return set_text(request, step->target == 0 ? WINHTTP_OPTION_USERNAME : WINHTTP_OPTION_PROXY_USERNAME, L"user") &&
           set_text(request, step->target == 0 ? WINHTTP_OPTION_PASSWORD : WINHTTP_OPTION_PROXY_PASSWORD, step->password);
  if (step->how == FORBIDDEN && !SUCCEEDS(WinHttpSetOption(request, WINHTTP_OPTION_DISABLE_FEATURE, &off, sizeof off))) return false;
  return SUCCEEDS(WinHttpSetCredentials(request, step->target, step->how == FORBIDDEN ? (DWORD)WINHTTP_AUTH_SCHEME_BASIC : step->how, L"user",
                                        step->password, NULL));
}

static DWORD status_of(HINTERNET request) {
  DWORD status = 0, size = sizeof status;
  SUCCEEDS(WinHttpQueryHeaders(request, WINHTTP_QUERY_STATUS_CODE | WINHTTP_QUERY_FLAG_NUMBER, NULL, &status, &size, NULL));
  return status;
}

/* The handles up to the request, with the server as a proxy. */
static bool open_by_proxy(opened *it, bool is_async, int way) {
  WCHAR proxy[40];
  WINHTTP_PROXY_INFO info;
  memset(it, 0, sizeof *it);
  (void)swprintf(proxy, 40, L"127.0.0.1:%u", (unsigned)server_port());
  record_begin();
  it->session = WinHttpOpen(L"test/1.0", way == SESSION_PROXY ? WINHTTP_ACCESS_TYPE_NAMED_PROXY : WINHTTP_ACCESS_TYPE_NO_PROXY,
                            way == SESSION_PROXY ? proxy : NULL, NULL, is_async ? WINHTTP_FLAG_ASYNC : 0);
  if (is_async) EXPECT(WinHttpSetStatusCallback(it->session, record, WINHTTP_CALLBACK_FLAG_ALL_NOTIFICATIONS, 0) == NULL);
  it->connection = WinHttpConnect(it->session, L"server.example", 81, 0);
  it->request = WinHttpOpenRequest(it->connection, NULL, L"/a?b", NULL, NULL, NULL, 0);
  if (way == REQUEST_PROXY) {
    memset(&info, 0, sizeof info);
    info.dwAccessType = WINHTTP_ACCESS_TYPE_NAMED_PROXY;
    info.lpszProxy = proxy;
    if (!SUCCEEDS(WinHttpSetOption(it->request, WINHTTP_OPTION_PROXY, &info, sizeof info))) return false;
  }
  return SUCCEEDS(WinHttpSetOption(it->request, WINHTTP_OPTION_UPGRADE_TO_WEB_SOCKET, NULL, 0));
}

static void a_conversation(size_t row) {
  const talk *talk = &talks[row / 2];
  bool is_async = row % 2 == 1;
  size_t count = 0, steps = 0;
  DWORD supported, first, target;
  opened it;
  link_label("%s, %s", talk->name, is_async ? "asynchronous" : "synchronous");
  while (talk->answers[count] != NULL) count++;
  while (steps < COUNT(talk->steps) && talk->steps[steps].status != 0) steps++;
  server_start(talk->answers, talk->steps[steps - 1].status == 101 ? count + 1 : count);
  REQUIRE(talk->way == DIRECT ? opened_request(&it, is_async, false, L"/a?b", 0) : open_by_proxy(&it, is_async, talk->way));
  for (size_t i = 0; i < steps; i++) {
    const step *step = &talk->steps[i];
    REQUIRE(identify(it.request, step));
    REQUIRE(opened_answer(&it, is_async));
    REQUIRE(EXPECT_NUMBER(step->status, status_of(it.request)));
    if (step->status == 101) {
      FAILS(ERROR_INVALID_OPERATION, WinHttpQueryAuthSchemes(it.request, &supported, &first, &target));
      it.socket = WinHttpWebSocketCompleteUpgrade(it.request, 0);
      EXPECT(it.socket != NULL);
    } else {
      SUCCEEDS(WinHttpQueryAuthSchemes(it.request, &supported, &first, &target));
      EXPECT_NUMBER(step->status == 401 ? WINHTTP_AUTH_TARGET_SERVER : WINHTTP_AUTH_TARGET_PROXY, target);
      FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpWebSocketCompleteUpgrade(it.request, 0) != NULL);
    }
  }
  for (size_t i = 0; i < COUNT(talk->words); i++) check_words(i, talk->words[i]);
  if (it.socket != NULL) {
    server_send(FIN | TEXT_FRAME, "in", 2);
    char buffer[8];
    DWORD length = 0;
    WINHTTP_WEB_SOCKET_BUFFER_TYPE type;
    recorded event;
    EXPECT_NUMBER(NO_ERROR, WinHttpWebSocketReceive(it.socket, buffer, sizeof buffer, &length, &type));
    if (is_async && record_wait(WINHTTP_CALLBACK_STATUS_READ_COMPLETE, &event)) length = event.socket.dwBytesTransferred;
    EXPECT_BYTES("in", 2, buffer, length);
  }
  opened_close(&it);
}

static const struct { const char *challenge; DWORD supported, first; } challenges[] = {
    {BASIC, WINHTTP_AUTH_SCHEME_BASIC, WINHTTP_AUTH_SCHEME_BASIC},
    {"Negotiate, NTLM, Basic realm=\"r\"", WINHTTP_AUTH_SCHEME_NEGOTIATE | WINHTTP_AUTH_SCHEME_NTLM | WINHTTP_AUTH_SCHEME_BASIC, WINHTTP_AUTH_SCHEME_NEGOTIATE},
    {DIGEST ", " BASIC, WINHTTP_AUTH_SCHEME_DIGEST | WINHTTP_AUTH_SCHEME_BASIC, WINHTTP_AUTH_SCHEME_DIGEST},
    {"Basic realm=\"a\\\", Digest b\", x=y", WINHTTP_AUTH_SCHEME_BASIC, WINHTTP_AUTH_SCHEME_BASIC},
    {"Bearer realm=\"r\",basic", WINHTTP_AUTH_SCHEME_BASIC, WINHTTP_AUTH_SCHEME_BASIC},
    {"Basically nothing", 0, 0},
};

static void the_schemes_of_a_challenge(size_t row) {
  char answer[300];
  const char *answers[1];
  DWORD supported = 99, first = 99, target = 99;
  opened it;
  (void)snprintf(answer, sizeof answer, WANTS("%s"), challenges[row].challenge);
  answers[0] = answer;
  link_label("%s", challenges[row].challenge);
  server_start(answers, 1);
  REQUIRE(opened_request(&it, false, false, L"/", 0) && opened_answer(&it, false));
  if (challenges[row].supported == 0) {
    FAILS(ERROR_WINHTTP_HEADER_NOT_FOUND, WinHttpQueryAuthSchemes(it.request, &supported, &first, &target));
  } else {
    SUCCEEDS(WinHttpQueryAuthSchemes(it.request, &supported, &first, &target));
    EXPECT_NUMBER(challenges[row].supported, supported);
    EXPECT_NUMBER(challenges[row].first, first);
  }
  opened_close(&it);
}

/* ---- redirects to another server --------------------------------------------------------------------------------------------------------------------------- */

/* The same socket under another name. */
#define ELSEWHERE "HTTP/1.1 302 Found\r\nLocation: http://localhost:{port}/b\r\n" EMPTY
#define HERE "HTTP/1.1 302 Found\r\nLocation: /b\r\n" EMPTY

static void what_is_secret_stays_with_its_server(size_t is_elsewhere) {
  const char *answers[2] = {is_elsewhere ? ELSEWHERE : HERE, NULL};
  opened it;
  link_label(is_elsewhere ? "another server" : "the same server");
  server_start(answers, 2);
  REQUIRE(opened_request(&it, false, false, L"/a", 0));
  SUCCEEDS(WinHttpAddRequestHeaders(it.request, L"Authorization: Bearer mine\r\nCookie: a=mine\r\nX-Kept: yes", (DWORD)-1, WINHTTP_ADDREQ_FLAG_ADD));
  REQUIRE(opened_answer(&it, false));
  EXPECT_NUMBER(101, status_of(it.request));
  check_words(0, "Bearer mine");
  check_words(0, "a=mine");
  check_words(1, "GET /b HTTP/1.1\r\n");
  check_words(1, "\r\nX-Kept: yes\r\n");
  check_words(1, is_elsewhere ? "!mine" : "Bearer mine");
  check_words(1, is_elsewhere ? "\r\nHost: localhost:" : "a=mine");
  opened_close(&it);
}

/* Credentials for one server are not shown to another; and those that another has asked for go there, although the request began elsewhere. */
static void credentials_belong_to_who_asked(size_t is_async) {
  static const char *const answers[] = {ELSEWHERE, WANTS(BASIC), "+" WANTS(BASIC), NULL};
  opened it;
  link_label(is_async ? "asynchronous" : "synchronous");
  server_start(answers, 4);
  REQUIRE(opened_request(&it, is_async != 0, false, L"/a", 0));
  SUCCEEDS(WinHttpSetCredentials(it.request, WINHTTP_AUTH_TARGET_SERVER, WINHTTP_AUTH_SCHEME_BASIC, L"user", L"mine", NULL));
  REQUIRE(opened_answer(&it, is_async != 0));
  EXPECT_NUMBER(401, status_of(it.request));
  SUCCEEDS(WinHttpSetCredentials(it.request, WINHTTP_AUTH_TARGET_SERVER, WINHTTP_AUTH_SCHEME_BASIC, L"user", L"secret", NULL));
  REQUIRE(opened_answer(&it, is_async != 0));
  EXPECT_NUMBER(101, status_of(it.request));
  check_words(0, "GET /a ");
  check_words(1, "GET /b ");
  check_words(2, "GET /b ");
  check_words(2, "!Authorization");
  check_words(3, "\r\nAuthorization: " SECRET "\r\n");
  opened_close(&it);
}

/* Nor are they shown to another server by sending the request again. */
static void credentials_of_another_server_stay_there(void) {
  static const char *const answers[] = {ELSEWHERE, WANTS(BASIC), "+" WANTS(BASIC), "HTTP/1.1 403 No\r\n" EMPTY, WANTS(BASIC)};
  opened it;
  server_start(answers, 5);
  REQUIRE(opened_request(&it, false, false, L"/a", 0) && opened_answer(&it, false));
  SUCCEEDS(WinHttpSetCredentials(it.request, WINHTTP_AUTH_TARGET_SERVER, WINHTTP_AUTH_SCHEME_BASIC, L"user", L"secret", NULL));
  REQUIRE(opened_answer(&it, false));
  EXPECT_NUMBER(403, status_of(it.request));
  REQUIRE(opened_answer(&it, false)); /* to where the request was opened for */
  EXPECT_NUMBER(401, status_of(it.request));
  check_words(3, SECRET);
  check_words(4, "GET /a ");
  check_words(4, "!Authorization");
  opened_close(&it);
}

/* ---- which proxy --------------------------------------------------------------------------------------------------------------------------------------------- */

typedef struct way_row {
  DWORD access;
  const WCHAR *proxy, *bypass; /* # = the server's port */
  const char *environment;     /* http_proxy */
  bool by_proxy;
} way_row;

#define NAMED WINHTTP_ACCESS_TYPE_NAMED_PROXY

static const way_row ways[] = {
    {NAMED, L"127.0.0.1:#", NULL, NULL, true},
    {NAMED, L"http://127.0.0.1:#", NULL, NULL, true},
    {NAMED, L"https=127.0.0.1:1;http=127.0.0.1:#", NULL, NULL, true},
    {NAMED, L"https=127.0.0.1:1 ; 127.0.0.1:#", NULL, NULL, true},
    {NAMED, L"https=127.0.0.1:1", NULL, NULL, false},
    {NAMED, L"127.0.0.1:#", L"<local>;*.example", NULL, true},
    {NAMED, L"127.0.0.1:1", L"*.example;127.0.0.*", NULL, false},
    {NAMED, L"127.0.0.1:1", L"*", NULL, false},
    {NAMED, L"127.0.0.1:#", NULL, "127.0.0.1:1", true},
    {WINHTTP_ACCESS_TYPE_NO_PROXY, NULL, NULL, "127.0.0.1:1", false},
    {WINHTTP_ACCESS_TYPE_DEFAULT_PROXY, NULL, NULL, "127.0.0.1:1", false},
    {WINHTTP_ACCESS_TYPE_AUTOMATIC_PROXY, NULL, NULL, "http://127.0.0.1:#", true},
    {WINHTTP_ACCESS_TYPE_AUTOMATIC_PROXY, NULL, NULL, NULL, false},
};

/* The pattern with the server's port. */
static const WCHAR *with_port(const WCHAR *pattern, WCHAR *text) {
  size_t length;
  if (pattern == NULL) return NULL;
  length = wcscspn(pattern, L"#");
  (void)wcsncpy(text, pattern, length);
  if (pattern[length] == 0) text[length] = 0;
  else (void)swprintf(text + length, 10, L"%u", (unsigned)server_port());
  return text;
}

static void the_way_to_a_server(size_t row) {
  static const char *const answers[] = {"+" TUNNEL, NULL};
  const way_row *way = &ways[row];
  bool is_set = way->environment != NULL;
  WCHAR proxy[80];
  opened it;
  link_label("row %u", (unsigned)row);
  if (way->by_proxy) server_start(answers, 2);
  else server_start(answers + 1, 1);
  link_environment("http_proxy", is_set ? way->environment : NULL, server_port());
  memset(&it, 0, sizeof it);
  it.session = WinHttpOpen(L"test/1.0", way->access, with_port(way->proxy, proxy), way->bypass, 0);
  REQUIRE(it.session != NULL);
  it.connection = WinHttpConnect(it.session, L"127.0.0.1", server_port(), 0);
  it.request = WinHttpOpenRequest(it.connection, NULL, L"/", NULL, NULL, NULL, 0);
  SUCCEEDS(WinHttpSetOption(it.request, WINHTTP_OPTION_UPGRADE_TO_WEB_SOCKET, NULL, 0));
  REQUIRE(opened_answer(&it, false));
  EXPECT_NUMBER(101, status_of(it.request));
  check_words(0, way->by_proxy ? "CONNECT 127.0.0.1:" : "GET / ");
  check_words(1, way->by_proxy ? "GET / " : NULL);
  opened_close(&it);
  link_environment("http_proxy", NULL, 0);
}

static const char *const refusals[] = {"+HTTP/1.1 502 No\r\n" EMPTY, "-", "+HTTP/1.1 401 Who\r\nWWW-Authenticate: " BASIC "\r\n" EMPTY};

/* What a proxy says, but for 407, is no answer of the server. */
static void a_proxy_that_refuses_is_no_connection(size_t row) {
  bool is_async = row % 2 == 1;
  opened it;
  recorded event;
  link_label("row %u", (unsigned)row);
  server_start(&refusals[row / 2], 1);
  REQUIRE(open_by_proxy(&it, is_async, REQUEST_PROXY));
  if (is_async) {
    SUCCEEDS(opened_send(&it));
    REQUIRE(record_wait(WINHTTP_CALLBACK_STATUS_REQUEST_ERROR, &event));
    EXPECT_NUMBER(API_SEND_REQUEST, event.result.AsyncResult.dwResult);
    EXPECT_NUMBER(ERROR_WINHTTP_CANNOT_CONNECT, event.result.AsyncResult.dwError);
  } else {
    FAILS(ERROR_WINHTTP_CANNOT_CONNECT, opened_send(&it));
  }
  FAILS(ERROR_WINHTTP_INCORRECT_HANDLE_STATE, WinHttpReceiveResponse(it.request, NULL));
  opened_close(&it);
}

int main(int argc, char **argv) {
  static const link_test tests[] = {
      {"a_conversation", NULL, a_conversation, 2 * COUNT(talks)}, ROWS(the_schemes_of_a_challenge, challenges),
      {"what_is_secret_stays_with_its_server", NULL, what_is_secret_stays_with_its_server, 2},
      {"credentials_belong_to_who_asked", NULL, credentials_belong_to_who_asked, 2}, TEST(credentials_of_another_server_stay_there),
      ROWS(the_way_to_a_server, ways), {"a_proxy_that_refuses_is_no_connection", NULL, a_proxy_that_refuses_is_no_connection, 2 * COUNT(refusals)},
  };
  return link_main(argc, argv, tests, COUNT(tests));
}
