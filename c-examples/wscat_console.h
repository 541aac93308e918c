/* Where wscat's lines come from: stdin, read so that a signal or another thread ends the wait too.
 *
 * Everything that can happen to the main thread comes out of console_next, one after another. A signal handler and other threads say what they have to say
 * through a pipe, which is the one thing that both may do. */
#ifndef WS101_EXAMPLE_WSCAT_CONSOLE_H
#define WS101_EXAMPLE_WSCAT_CONSOLE_H
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum console_event {
    CONSOLE_LINE,  /* a line, or a last one that has no end */
    CONSOLE_END,   /* stdin has ended; comes once */
    CONSOLE_STOP,  /* SIGINT or SIGTERM; the second SIGINT kills */
    CONSOLE_WOKEN, /* console_wake was called */
    CONSOLE_TIME,  /* nothing of all that in time */
    CONSOLE_BROKEN /* no memory for a line so long, or stdin cannot be read: errno tells */
};

static struct {
    int pipe[2];
    volatile sig_atomic_t signalled;     /* CONSOLE_STOP has come, or will */
    int64_t signalled_ms;                /* when; only the handler looks at it */
    bool hold;                           /* leave stdin alone for now */
    bool ended, told;                    /* stdin has ended, and the program knows */
    char *text;                          /* what was read, */
    size_t begin, searched, end, room;   /* where its first line begins, how far it holds no line end, where it ends, and what it has room for */
    uint64_t lines;                      /* how many were given out */
} console;

static inline int64_t milliseconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void console_say(char what)
{
    int kept = errno; /* a signal comes at any moment */
    if (write(console.pipe[1], &what, 1) != 1) abort(); /* a pipe of one's own, with room for thousands */
    errno = kept;
}

/* A second Ctrl-C kills: whoever is in a hurry shall not wait for a polite end. Not within half a second: a program that starts others may pass on the signal
 * that the terminal has sent to all of them. */
static inline void console_signal(int number)
{
    int64_t now = milliseconds_now();
    if (number == SIGINT && console.signalled && now - console.signalled_ms > 500) {
        signal(SIGINT, SIG_DFL);
        raise(SIGINT); /* comes when this handler has returned */
        return;
    }
    if (!console.signalled) console.signalled_ms = now;
    console.signalled = 1;
    console_say('s');
}

/* Ends the wait of console_next from another thread. */
static inline void console_wake(void) { console_say('w'); }

/* Makes the pipe. Until console_take_signals Ctrl-C ends the program as it does every other: there is nobody to say goodbye to. */
static inline bool console_open(void) { return pipe(console.pipe) == 0; }

static inline void console_take_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = console_signal;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

/* The next line of what was read, without its end; the text lives until the next console_next. */
static inline bool console_take_line(const char **line, size_t *length)
{
    char *first = console.text + console.begin, *end = NULL;
    if (console.searched != console.end) end = memchr(console.text + console.searched, '\n', console.end - console.searched);
    console.searched = console.end;
    if (end == NULL && !(console.ended && console.begin != console.end)) return false;
    *line = first;
    *length = end == NULL ? console.end - console.begin : (size_t)(end - first);
    console.begin = end == NULL ? console.end : (size_t)(end - console.text) + 1;
    console.searched = console.begin;
    ++console.lines;
    return true;
}

/* Reads what stdin has; false if there is no memory for it, or an error. */
static inline bool console_read(void)
{
    enum { CHUNK = 65536 };
    if (console.begin != 0) { /* the lines before are done with */
        memmove(console.text, console.text + console.begin, console.end - console.begin);
        console.end -= console.begin, console.searched -= console.begin, console.begin = 0;
    }
    if (console.room - console.end < CHUNK) {
        size_t room = console.room * 2 + CHUNK;
        char *text = room < console.room ? NULL : realloc(console.text, room);
        if (text == NULL) return errno = ENOMEM, false;
        console.text = text, console.room = room;
    }
    ssize_t count = read(STDIN_FILENO, console.text + console.end, CHUNK);
    if (count < 0) return errno == EINTR || errno == EAGAIN;
    console.end += (size_t)count;
    console.ended = count == 0;
    return true;
}

static inline int console_poll(struct pollfd *wait, nfds_t count, int64_t until_ms)
{
    int64_t rest = until_ms < 0 ? -1 : until_ms - milliseconds_now();
    return poll(wait, count, until_ms < 0 ? -1 : rest < 0 ? 0 : rest > INT32_MAX ? INT32_MAX : (int)rest);
}

/* Waits for what happens next, until a moment of milliseconds_now (negative: without limit). A signal goes before lines that are there already. */
static inline enum console_event console_next(int64_t until_ms, const char **line, size_t *length)
{
    struct pollfd wait[2] = {{.fd = console.pipe[0], .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    for (;;) {
        char what;
        if (console_poll(wait, 1, 0) == 1 && read(console.pipe[0], &what, 1) == 1) return what == 's' ? CONSOLE_STOP : CONSOLE_WOKEN;
        if (!console.hold && console_take_line(line, length)) return CONSOLE_LINE;
        if (console.ended && !console.told) return console.told = true, CONSOLE_END;
        wait[1].revents = 0;
        int count = console_poll(wait, console.ended || console.hold ? 1 : 2, until_ms);
        if (count == 0) return CONSOLE_TIME;
        if (count > 0 && wait[1].revents != 0 && !console_read()) return CONSOLE_BROKEN;
    }
}

#endif
