/* What wscat prints. stdout has what the peer says: messages and its close. stderr has what wscat says: errors, and with -v the handshake.
 *
 * On a terminal there are colours, and control characters of the peer are made visible: a message must not be able to type into somebody's shell.
 * Into a file or a pipe everything goes as it came. */
#ifndef WS101_EXAMPLE_WSCAT_SHOW_H
#define WS101_EXAMPLE_WSCAT_SHOW_H
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <ws101.h>

enum colour { PLAIN = 0, DIM = 2, RED = 31, GREEN = 32, CYAN = 36 };

static struct {
    bool verbose;
    bool out_terminal, error_terminal, colours;
    pthread_mutex_t mutex; /* one line at a time, of whichever thread */
} show = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static inline void show_open(void)
{
    const char *terminal = getenv("TERM"), *plain = getenv("NO_COLOR");
    show.out_terminal = isatty(STDOUT_FILENO);
    show.error_terminal = isatty(STDERR_FILENO);
    show.colours = terminal != NULL && strcmp(terminal, "dumb") != 0 && (plain == NULL || *plain == '\0');
}

static inline bool show_is_terminal(FILE *out) { return out == stdout ? show.out_terminal : show.error_terminal; }

static inline void show_begin(FILE *out, enum colour colour)
{
    pthread_mutex_lock(&show.mutex);
    if (colour != PLAIN && show.colours && show_is_terminal(out)) fprintf(out, "\033[%dm", (int)colour);
}

static inline void show_end(FILE *out, enum colour colour)
{
    if (colour != PLAIN && show.colours && show_is_terminal(out)) fputs("\033[0m", out);
    putc('\n', out);
    fflush(out);
    pthread_mutex_unlock(&show.mutex);
}

/* Text of the peer. On a terminal ESC becomes ^[, and U+009B, which some terminals take for ESC [, becomes \x9b. */
static inline void show_text(FILE *out, const char *text, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)text;
    if (!show_is_terminal(out)) {
        fwrite(text, 1, length, out);
        return;
    }
    for (size_t i = 0; i != length; ++i) {
        if ((bytes[i] < 0x20 && bytes[i] != '\n' && bytes[i] != '\t') || bytes[i] == 0x7F) fprintf(out, "^%c", bytes[i] ^ 0x40);
        else if (bytes[i] == 0xC2 && i + 1 != length && bytes[i + 1] >= 0x80 && bytes[i + 1] < 0xA0) fprintf(out, "\\x%02x", (unsigned)bytes[++i]);
        else putc(bytes[i], out);
    }
}

/* "[3] " in front of what the third client said; nothing where there is only one. */
static inline void show_number(FILE *out, unsigned number)
{
    if (number != 0) fprintf(out, "[%u] ", number);
}

static inline void show_message(unsigned number, const void *data, size_t length, bool is_text)
{
    enum { SHOWN = 64 }; /* of a binary message, with -v */
    const unsigned char *bytes = data;
    enum colour colour = is_text ? GREEN : CYAN;
    show_begin(stdout, colour);
    show_number(stdout, number);
    if (is_text) {
        show_text(stdout, data, length);
    } else {
        fprintf(stdout, "<- %zu byte%s binary", length, length == 1 ? "" : "s");
        for (size_t i = 0; show.verbose && i != length && i != SHOWN; ++i) fprintf(stdout, "%s%02x", i == 0 ? ": " : " ", (unsigned)bytes[i]);
        if (show.verbose && length > SHOWN) fputs(" ...", stdout);
    }
    show_end(stdout, colour);
}

/* "closed 1000 reason". To stdout if the peer began it, as it belongs to what it said; else it only answers what was typed here. */
static inline void show_close(unsigned number, bool peer_began, uint16_t status, const char *reason, size_t length)
{
    FILE *out = peer_began ? stdout : stderr;
    show_begin(out, DIM);
    show_number(out, number);
    fprintf(out, "closed %u%s", (unsigned)status, length == 0 ? "" : " ");
    show_text(out, reason, length);
    show_end(out, DIM);
}

/* A remark of wscat's own: "* connected to 127.0.0.1:8000". */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static inline void show_remark(unsigned number, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    show_begin(stderr, DIM);
    fputs("* ", stderr);
    show_number(stderr, number);
    show_text(stderr, text, strlen(text));
    show_end(stderr, DIM);
}

/* Ctrl-C leaves "^C" on a terminal: what comes next begins a line of its own. */
static inline void show_stop(void)
{
    if (!show.error_terminal || !isatty(STDIN_FILENO)) return;
    show_begin(stderr, PLAIN);
    show_end(stderr, PLAIN);
}

/* Something went wrong: "wscat: …: why (12029)". */
static inline void show_failure(unsigned number, const char *what, ws_status status)
{
    ws_error_info why = {.size = sizeof why};
    bool known = ws_last_error(&why) == WS_OK && why.status == status && why.message[0] != '\0';
    const char *sentence = known ? why.message : ws_status_string(status);
    show_begin(stderr, RED);
    fputs("wscat: ", stderr);
    show_number(stderr, number);
    fprintf(stderr, "%s: ", what);
    show_text(stderr, sentence, strlen(sentence));
    fprintf(stderr, " (%d)", (int)status);
    show_end(stderr, RED);
}

/* The peer's headers, as they came. */
static inline void show_headers(unsigned number, ws_handle request)
{
    const char *name, *value;
    for (uint32_t position = 0; ws_query_header_at(request, position, &name, &value) == WS_OK; ++position) {
        show_begin(stderr, DIM);
        fputs("< ", stderr);
        show_number(stderr, number);
        fprintf(stderr, "%s: ", name);
        show_text(stderr, value, strlen(value));
        show_end(stderr, DIM);
    }
}

/* An option that is a text, as a remark; nothing if it is empty. */
static inline void show_option(unsigned number, const char *what, ws_handle any, ws_option option)
{
    char text[512];
    size_t length = sizeof text;
    if (ws_query_option(any, option, text, &length) == WS_OK && length != 0) show_remark(number, "%s %s", what, text);
}

/* The library's own log, with -v. */
static inline void show_log(int32_t level, const char *line, void *context)
{
    (void)level, (void)context;
    show_remark(0, "%s", line);
}

/* How long pings have taken so far; nothing if no pong came. */
static inline void show_round_trips(ws_handle websocket)
{
    ws_statistics statistics = {.size = sizeof statistics};
    size_t length = sizeof statistics;
    if (ws_query_option(websocket, WS_OPTION_STATISTICS, &statistics, &length) != WS_OK || statistics.rtt_max_us == 0) return;
    show_remark(0, "ping: round trip %.3f ms at least, %.3f on average, %.3f at most", statistics.rtt_min_us / 1e3, statistics.rtt_average_us / 1e3,
                statistics.rtt_max_us / 1e3);
}

#endif
