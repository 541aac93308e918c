/* What a test of WinHTTP's interface needs of the world outside: checks, a server to talk to, and a recorder of callbacks.
 *
 * The tests know nothing but this, <windows.h> and <winhttp.h>, so that the same source is C and C++, and compiles with Windows' own header. What is behind
 * these functions (link.c) is of this system. */
#ifndef LINK_H
#define LINK_H

#include <windows.h>
#include <winhttp.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- tests and checks: as tests/c/check.h has them --------------------------------------------------------------------------------------------- */

typedef struct link_test {
  const char *name;
  void (*run)(void);
  void (*run_row)(size_t row);
  size_t rows;
} link_test;

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define TEST(function) {#function, function, NULL, 1}
#define ROWS(function, table) {#function, NULL, function, COUNT(table)}

int link_main(int argc, char **argv, const link_test *tests, size_t count);
void link_label(const char *format, ...);
bool link_number(int64_t expected, int64_t actual, const char *file, int line, const char *text);
bool link_text(const char *expected, const char *actual, const char *file, int line, const char *text);
bool link_wide(const WCHAR *expected, const WCHAR *actual, const char *file, int line, const char *text);
bool link_bytes(const void *expected, size_t expected_length, const void *actual, size_t actual_length, const char *file, int line, const char *text);

#define EXPECT(condition) link_number(1, (condition) ? 1 : 0, __FILE__, __LINE__, #condition)
#define EXPECT_NUMBER(expected, actual) link_number((int64_t)(expected), (int64_t)(actual), __FILE__, __LINE__, #actual)
#define EXPECT_TEXT(expected, actual) link_text((expected), (actual), __FILE__, __LINE__, #actual)
#define EXPECT_WIDE(expected, actual) link_wide((expected), (actual), __FILE__, __LINE__, #actual)
#define EXPECT_BYTES(expected, size, actual, length) link_bytes((expected), (size), (actual), (length), __FILE__, __LINE__, #actual)
/* A call of the BOOL kind that must fail with this error, or succeed and leave 0. */
#define FAILS(error, call) link_number(error, (call) ? -1 : (int64_t)GetLastError(), __FILE__, __LINE__, #call)
#define SUCCEEDS(call) link_number(0, (call) ? (int64_t)GetLastError() : (int64_t)GetLastError() - 1000000, __FILE__, __LINE__, #call)
#undef REQUIRE
#define REQUIRE(condition) do { if (!EXPECT(condition)) return; } while (0)

/* ---- the server ------------------------------------------------------------------------------------------------------------------------------------ */

/* Begins to listen, and to play one answer a connection: NULL is a right 101, other texts are sent as they are, with {port} replaced; "" is
 * silence, "-" an end without an answer. Behind a text that begins with "+", which is not sent, the connection goes on with the next answer. The
 * last connection stays open. */
void server_start(const char *const *answers, size_t count);
INTERNET_PORT server_port(void);
/* Waits until the last answer was given. */
bool server_is_connected(void);
/* The head of the request that got the last answer, or the `number`th. */
const char *server_request(size_t number);
void server_send(uint8_t first, const void *payload, size_t length);
void server_send_bytes(const void *bytes, size_t length);
void server_send_close(unsigned status, const char *reason);
/* The next frame: its first byte, or -1; its payload is copied. */
int server_read(void *payload, size_t capacity, size_t *length);
/* Reads until a frame with this first byte, which is often the close frame. */
bool server_reads(uint8_t first, const void *payload, size_t length);
/* Takes everything until the client ends the connection. */
bool server_sees_the_end(void);
/* Reads and throws away, on another thread, until the end. */
void server_drain(void);
void server_end(void);   /* in good order */
void server_reset(void); /* with a reset */
void server_stop(void);

enum { FIN = 0x80, CONTINUATION = 0, TEXT_FRAME = 1, BINARY_FRAME = 2, CLOSE_FRAME = 8, PING_FRAME = 9, PONG_FRAME = 10 };

/* ---- the recorder ------------------------------------------------------------------------------------------------------------------------------------ */

typedef struct recorded {
  HINTERNET handle;
  DWORD_PTR context;
  DWORD status, length;
  bool by_test; /* on the test's own thread */
  WINHTTP_WEB_SOCKET_STATUS socket;       /* of READ_COMPLETE and WRITE_COMPLETE of a websocket */
  WINHTTP_WEB_SOCKET_ASYNC_RESULT result; /* of REQUEST_ERROR; of a request its beginning */
  HINTERNET other;                        /* of HANDLE_CREATED and HANDLE_CLOSING */
  DWORD number;                           /* of what has one */
  WCHAR text[128];                        /* of what has one */
} recorded;

void CALLBACK record(HINTERNET handle, DWORD_PTR context, DWORD status, LPVOID information, DWORD length);
/* Forgets what was recorded; this thread is the test's own. */
void record_begin(void);
/* Runs something in each callback, after it was recorded. */
void record_hook(void (*hook)(const recorded *event));
/* Waits for the next callback with this status since the last that was waited for; false = it does not come. */
bool record_wait(DWORD status, recorded *event);
/* Whether one has come, without waiting. */
bool record_has(DWORD status);
size_t record_count(DWORD status);
/* How many HANDLE_CLOSING a handle got, and how many callbacks after the first of them. */
size_t record_closings(HINTERNET handle, size_t *after);
/* The names of all, in order, with * behind those on the test's own thread. */
const char *record_text(void);
void link_sleep(unsigned milliseconds);
/* Runs something on another thread, and waits for its end. */
void link_spawn(void (*run)(void *argument), void *argument);
void link_join(void);
uint64_t link_now(void);
/* Sets a variable of the environment, in which # stands for a port; NULL = removes it. */
void link_environment(const char *name, const char *value, unsigned port);

#ifdef __cplusplus
}
#endif
#endif
