/* How the servers here end: SIGINT and SIGTERM are taken by one thread, which closes the listener. That wakes ws_accept, and the program ends by itself.
 *
 * No signal handler runs, so nothing is called from one. Closing a handle twice, or while another thread waits in it, is safe: it is a ticket, not an address. */
#ifndef WS101_EXAMPLE_STOP_H
#define WS101_EXAMPLE_STOP_H
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <ws101.h>

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t thread;
    sigset_t signals;
    ws_handle listener;
    bool asked;
} stop = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static inline struct timespec moment_after(uint32_t milliseconds)
{
    struct timespec moment;
    clock_gettime(CLOCK_REALTIME, &moment);
    moment.tv_sec += (time_t)(milliseconds / 1000);
    moment.tv_nsec += (long)(milliseconds % 1000) * 1000000L;
    if (moment.tv_nsec >= 1000000000L) moment.tv_sec += 1, moment.tv_nsec -= 1000000000L;
    return moment;
}

/* First of all in main: threads inherit the signal mask, so every later one leaves these two signals alone. */
static inline void stop_prepare(void)
{
    sigemptyset(&stop.signals);
    sigaddset(&stop.signals, SIGINT);
    sigaddset(&stop.signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stop.signals, NULL);
}

/* Waits in this thread, for a program that has nothing else for it to do. */
static inline void stop_wait(void)
{
    int number;
    sigwait(&stop.signals, &number);
    pthread_mutex_lock(&stop.mutex);
    stop.asked = true;
    pthread_cond_broadcast(&stop.changed);
    pthread_mutex_unlock(&stop.mutex);
}

static void *stop_thread(void *unused)
{
    (void)unused;
    stop_wait();
    ws_close_handle(stop.listener);
    return NULL;
}

static inline bool stop_watch(ws_handle listener)
{
    stop.listener = listener;
    return pthread_create(&stop.thread, NULL, stop_thread, NULL) == 0;
}

/* Waits that long, or until the program is asked to stop; true if it was. */
static inline bool stop_asked_within(uint32_t milliseconds)
{
    struct timespec moment = moment_after(milliseconds);
    pthread_mutex_lock(&stop.mutex);
    while (!stop.asked && pthread_cond_timedwait(&stop.changed, &stop.mutex, &moment) == 0) {}
    bool asked = stop.asked;
    pthread_mutex_unlock(&stop.mutex);
    return asked;
}

/* Ends the thread, whether a signal came or not. */
static inline void stop_finish(void)
{
    pthread_kill(stop.thread, SIGTERM);
    pthread_join(stop.thread, NULL);
}

#endif
