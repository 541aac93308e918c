/* Callbacks: when and on which thread a program is told.
 *
 * A callback runs on the thread that has something to say, inside the starting call if that has it; under no lock. Two rules make it safe:
 * HANDLE_CLOSING comes after the last callback of its handle has returned, whichever thread that is on; and completions that follow from
 * each other on one thread nest only a few deep. */
#include "shim.h"

#include <stdlib.h>
#include <string.h>

/* Three nested completions, as WinHTTP allows; what comes deeper waits for the outermost. */
#define NESTED_AT_MOST 3

/* What a completion carries: small, and the callback's only while it runs. */
typedef union information {
    WINHTTP_WEB_SOCKET_STATUS status;
    WINHTTP_WEB_SOCKET_ASYNC_RESULT result;
} information;

typedef struct completion {
    struct completion *next;
    object *object;
    DWORD status, length;
    information information;
} completion;

static _Thread_local unsigned nested;
static _Thread_local completion *queue, **queue_end;

/* A callback may be called; the caller must end the delivery. */
static void begin(object *object)
{
    object_keep(object);
    object_lock(object);
    object->deliveries++;
    object_unlock(object);
}

/* Calls the program, if it wants this status. After HANDLE_CLOSING nobody is told anything. */
static void call(object *object, DWORD status, const void *information, DWORD length)
{
    object_lock(object);
    WINHTTP_STATUS_CALLBACK callback = object->callback;
    DWORD_PTR context = object->context;
    bool is_wanted = callback != NULL && (object->mask & status) != 0 && !object->was_told_closing;
    if (status == WINHTTP_CALLBACK_STATUS_HANDLE_CLOSING) object->was_told_closing = true;
    object_unlock(object);
    /* The prototype has no const; what is given is a copy or the caller's own. */
    if (is_wanted) callback(object->handle, context, status, (LPVOID)(uintptr_t)information, length);
}

/* Ends a delivery; the last one of a closed handle tells that it is closing. */
static void end(object *object)
{
    HINTERNET handle = object->handle;
    object_lock(object);
    bool is_last = --object->deliveries == 0 && object->is_closed;
    object_unlock(object);
    if (is_last) call(object, WINHTTP_CALLBACK_STATUS_HANDLE_CLOSING, &handle, sizeof handle);
}

void callback_tell(object *object, DWORD status, const void *information, DWORD length)
{
    begin(object);
    call(object, status, information, length);
    end(object);
    object_release(object);
}

void callback_tell_closing(object *object) { end(object); }

/* The outermost completion of this thread tells what has queued up meanwhile. */
static void drain(void)
{
    while (queue != NULL) {
        completion *first = queue;
        queue = first->next;
        if (queue == NULL) queue_end = NULL;
        call(first->object, first->status, first->length != 0 ? &first->information : NULL, first->length);
        end(first->object);
        object_release(first->object);
        free(first);
    }
}

/* NULL = no memory. */
static completion *make(object *object, DWORD status, const void *information, DWORD length)
{
    completion *new = calloc(1, sizeof *new);
    if (new == NULL) return NULL;
    new->object = object;
    new->status = status;
    new->length = length;
    if (length != 0) memcpy(&new->information, information, length);
    return new;
}

static bool enqueue(object *object, DWORD status, const void *information, DWORD length)
{
    completion *new = make(object, status, information, length);
    if (new == NULL) return false; /* then it nests: better deep than lost */
    if (queue_end == NULL) queue_end = &queue;
    *queue_end = new;
    queue_end = &new->next;
    return true;
}

static void complete_on_worker(void *argument)
{
    completion *completion = argument;
    nested++; /* what follows from it in its callback nests, as everywhere */
    call(completion->object, completion->status, completion->length != 0 ? &completion->information : NULL, completion->length);
    drain();
    nested--;
    end(completion->object);
    object_release(completion->object);
    free(completion);
}

void callback_complete_elsewhere(object *object, DWORD status, const void *information, DWORD length)
{
    completion *new = object->is_assured ? NULL : make(object, status, information, length);
    if (new == NULL) {
        callback_complete(object, status, information, length);
        return;
    }
    begin(object); /* now, so that HANDLE_CLOSING waits for it */
    if (!worker_run(complete_on_worker, new)) complete_on_worker(new);
}

void callback_complete(object *object, DWORD status, const void *information, DWORD length)
{
    begin(object);
    if (nested >= NESTED_AT_MOST && enqueue(object, status, information, length)) return;
    nested++;
    call(object, status, information, length);
    if (nested == 1) drain();
    nested--;
    end(object);
    object_release(object);
}

WINHTTP_STATUS_CALLBACK WINAPI WinHttpSetStatusCallback(HINTERNET handle, WINHTTP_STATUS_CALLBACK callback, DWORD flags, DWORD_PTR reserved)
{
    object *object;
    (void)reserved;
    DWORD error = object_find(handle, 0, &object);
    if (!error_answer(error)) return WINHTTP_INVALID_STATUS_CALLBACK;
    object_lock(object);
    WINHTTP_STATUS_CALLBACK former = object->callback;
    object->callback = callback;
    object->mask = flags;
    object_unlock(object);
    object_release(object);
    return former;
}
