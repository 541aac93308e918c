/* Threads on which programs are called back: each job has one to itself, and threads that have nothing to do end soon.
 *
 * WinHTTP's programs may wait in their callbacks, even for other callbacks. So a job may take any time, may start other jobs, and never waits for a
 * thread; and the library's own threads, which serve all connections, run none. */
#include "shim.h"

#include <stdlib.h>
#include <time.h>

#include <signal.h>

/* How long a thread waits for another job: long enough for one operation after the other, too short to be noticed afterwards. */
#define IDLE_MS 500

typedef struct job {
    struct job *next;
    void (*run)(void *argument);
    void *argument;
} job;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    job *first, **end;
    size_t waiting; /* threads */
    size_t jobs;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

/* The next job; NULL = there was none for a while. The pool is locked. */
static job *next_job(void)
{
    struct timespec until;
    int status = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += IDLE_MS % 1000 * 1000000L;
    until.tv_sec += IDLE_MS / 1000 + until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pool.waiting++;
    while (pool.first == NULL && status == 0) status = pthread_cond_timedwait(&pool.more, &pool.lock, &until);
    pool.waiting--;
    job *job = pool.first;
    if (job != NULL) {
        pool.first = job->next;
        pool.jobs--;
        if (pool.first == NULL) pool.end = NULL;
    }
    return job;
}

static void *work(void *argument)
{
    pthread_mutex_lock(&pool.lock);
    for (job *job = next_job(); job != NULL; job = next_job()) {
        pthread_mutex_unlock(&pool.lock);
        job->run(job->argument);
        free(job);
        pthread_mutex_lock(&pool.lock);
    }
    pthread_mutex_unlock(&pool.lock);
    return argument;
}

/* One more thread, which the program's signals leave alone. */
static bool start_thread(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, former;
    if (pthread_attr_init(&attributes) != 0) return false;
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &former);
    bool started = pthread_create(&thread, &attributes, work, NULL) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &former, NULL);
    (void)pthread_attr_destroy(&attributes);
    return started;
}

bool worker_run(void (*run)(void *argument), void *argument)
{
    job *new = malloc(sizeof *new);
    if (new == NULL) return false;
    *new = (job){NULL, run, argument};
    pthread_mutex_lock(&pool.lock);
    /* Every job that is queued has a thread coming for it; whoever waits already may be meant for another. */
    bool is_served = pool.waiting > pool.jobs || start_thread();
    if (is_served) {
        if (pool.end == NULL) pool.end = &pool.first;
        *pool.end = new;
        pool.end = &new->next;
        pool.jobs++;
        pthread_cond_signal(&pool.more);
    }
    pthread_mutex_unlock(&pool.lock);
    if (!is_served) free(new);
    return is_served;
}
