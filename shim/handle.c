/* Handles: what a HINTERNET stands for, and how long it lives.
 *
 * A handle is a number in the clothes of a pointer, never an address: one that was closed or invented is found out (6), not followed.
 * Objects are counted; a child keeps its parent. */
#include "shim.h"

#include <stdlib.h>

/* The number: generation | index | 01. No pointer of a program ends in these bits, so a stray one is found out, too. */
#define INDEX_BITS (sizeof(void *) >= 8 ? 24u : 16u)
#define SLOTS_AT_MOST ((size_t)1 << INDEX_BITS)
#define NONE SIZE_MAX

typedef struct slot {
    object *object; /* NULL = free */
    uintptr_t generation;
    size_t next_free;
} slot;

static struct {
    pthread_mutex_t lock;
    slot *slots;
    size_t count, capacity;
    size_t first_free; /* and on by slots[].next_free */
} table = {.lock = PTHREAD_MUTEX_INITIALIZER, .first_free = NONE};

static HINTERNET number_of(size_t index)
{
    return (HINTERNET)((table.slots[index].generation << INDEX_BITS | index) << 2 | 1u);
}

static bool table_grow(void)
{
    size_t capacity = table.capacity == 0 ? 16 : table.capacity * 2;
    slot *slots = capacity > SLOTS_AT_MOST ? NULL : realloc(table.slots, capacity * sizeof *slots);
    if (slots == NULL) return false;
    table.slots = slots;
    table.capacity = capacity;
    return true;
}

static HINTERNET table_add(object *object)
{
    HINTERNET handle = NULL;
    pthread_mutex_lock(&table.lock);
    size_t index = table.first_free;
    if (index != NONE) {
        table.first_free = table.slots[index].next_free;
    } else if (table.count < table.capacity || table_grow()) {
        index = table.count++;
        table.slots[index].generation = 1;
    }
    if (index != NONE) {
        table.slots[index].object = object;
        handle = object->handle = number_of(index);
    }
    pthread_mutex_unlock(&table.lock);
    return handle;
}

/* The slot of an open handle; NULL = there is none. The table is locked. */
static slot *table_slot(HINTERNET handle)
{
    size_t index = ((uintptr_t)handle >> 2) & (SLOTS_AT_MOST - 1);
    if (index >= table.count || table.slots[index].object == NULL || number_of(index) != handle) return NULL;
    return &table.slots[index];
}

/* Takes a handle out; the table's reference is the caller's then. */
static object *table_remove(HINTERNET handle)
{
    pthread_mutex_lock(&table.lock);
    slot *slot = table_slot(handle);
    object *object = slot != NULL ? slot->object : NULL;
    if (slot != NULL) {
        slot->object = NULL;
        slot->generation++;
        slot->next_free = table.first_free;
        table.first_free = (size_t)(slot - table.slots);
    }
    pthread_mutex_unlock(&table.lock);
    return object;
}

/* ---- objects -------------------------------------------------------------------------------------------------------------------------------- */

object *object_new(const object_class *class, size_t size, object *parent)
{
    object *new = calloc(1, size);
    if (new == NULL || pthread_mutex_init(&new->lock, NULL) != 0) {
        free(new);
        return NULL;
    }
    new->class = class;
    atomic_init(&new->references, 1);
    if (parent == NULL) return new;
    object_keep(parent);
    new->parent = parent;
    new->is_async = parent->is_async;
    new->is_assured = parent->is_assured;
    object_lock(parent);
    new->callback = parent->callback;
    new->mask = parent->mask;
    new->context = parent->context;
    object_unlock(parent);
    return new;
}

HINTERNET object_publish(object *object)
{
    HINTERNET handle = table_add(object);
    if (handle != NULL && object->parent != NULL)
        callback_tell(object->parent, WINHTTP_CALLBACK_STATUS_HANDLE_CREATED, &handle, sizeof handle);
    return handle;
}

void object_keep(object *object) { atomic_fetch_add_explicit(&object->references, 1, memory_order_relaxed); }

void object_release(object *object)
{
    while (object != NULL && atomic_fetch_sub_explicit(&object->references, 1, memory_order_acq_rel) == 1) {
        struct object *parent = object->parent;
        object->class->destroy(object);
        pthread_mutex_destroy(&object->lock);
        free(object);
        object = parent;
    }
}

void object_lock(object *object) { pthread_mutex_lock(&object->lock); }

void object_unlock(object *object) { pthread_mutex_unlock(&object->lock); }

DWORD object_find(HINTERNET handle, DWORD kind, void *found)
{
    pthread_mutex_lock(&table.lock);
    slot *slot = table_slot(handle);
    object *object = slot != NULL ? slot->object : NULL;
    bool fits = object != NULL && (kind == 0 || object->class->kind == kind);
    if (fits) object_keep(object);
    pthread_mutex_unlock(&table.lock);
    if (object == NULL) return ERROR_INVALID_HANDLE;
    if (!fits) return ERROR_WINHTTP_INCORRECT_HANDLE_TYPE;
    *(struct object **)found = object;
    return NO_ERROR;
}

BOOL WINAPI WinHttpCloseHandle(HINTERNET handle)
{
    object *object = table_remove(handle);
    if (object == NULL) return error_answer(ERROR_INVALID_HANDLE);
    object_lock(object);
    object->is_closed = true;
    object->deliveries++; /* HANDLE_CLOSING waits for what cancel has to tell */
    object_unlock(object);
    if (object->class->cancel != NULL) object->class->cancel(object);
    callback_tell_closing(object);
    object_release(object);
    return error_answer(NO_ERROR);
}
