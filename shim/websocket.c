/* Open connections: sending and receiving.
 *
 * An operation is under way while its flag is set, and whoever clears the flag completes it: the one that did it, or a Close or CloseHandle
 * that came first. Out of scope: the ends of a connection (websocket_end.c). */
#include "shim.h"

#include <stdlib.h>
#include <string.h>

/* A receive of a program gets at most this at a time; more would be a whole message's memory for every connection that waits. */
#define ROOM_AT_MOST (1u << 20)
#define ROOM_AT_LEAST 256u
/* How long an asynchronous Send may keep the program's thread before another thread goes on. */
#define SEND_PATIENCE_MS 10u

static void websocket_destroy(object *object)
{
    websocket *websocket = (struct websocket *)object;
    if (websocket->inner != WS_NO_HANDLE) (void)ws_close_handle(websocket->inner);
    free(websocket->room);
    free(websocket->send_copy);
}

const object_class websocket_class = {WINHTTP_HANDLE_TYPE_WEBSOCKET, websocket_cancel, websocket_destroy};

websocket *websocket_new(request *request, ws_handle inner, DWORD_PTR context)
{
    websocket *websocket = (struct websocket *)object_new(&websocket_class, sizeof *websocket, &request->object);
    if (websocket == NULL) {
        (void)ws_close_handle(inner);
        return NULL;
    }
    DWORD room = request->settings.receive_buffer_size;
    websocket->inner = inner;
    websocket->object.context = context;
    websocket->room_size = room < ROOM_AT_LEAST ? ROOM_AT_LEAST : room > ROOM_AT_MOST ? ROOM_AT_MOST : room;
    if (websocket->object.is_async) {
        uint32_t patience = SEND_PATIENCE_MS;
        uint64_t limit = UINT64_MAX;
        (void)ws_set_option(inner, WS_OPTION_SEND_TIMEOUT, &patience, sizeof patience);
        (void)ws_set_option(inner, WS_OPTION_SEND_QUEUE_LIMIT, &limit, sizeof limit);
    }
    return websocket;
}

void websocket_fail(websocket *websocket, WINHTTP_WEB_SOCKET_OPERATION operation, DWORD error)
{
    WINHTTP_WEB_SOCKET_ASYNC_RESULT result;
    memset(&result, 0, sizeof result);
    result.AsyncResult.dwError = error;
    if (error != ERROR_WINHTTP_OPERATION_CANCELLED && operation == WINHTTP_WEB_SOCKET_RECEIVE_OPERATION) result.AsyncResult.dwResult = API_READ_DATA;
    if (error != ERROR_WINHTTP_OPERATION_CANCELLED && operation == WINHTTP_WEB_SOCKET_SEND_OPERATION) result.AsyncResult.dwResult = API_WRITE_DATA;
    result.Operation = operation;
    callback_complete(&websocket->object, WINHTTP_CALLBACK_STATUS_REQUEST_ERROR, &result, sizeof result);
}

static void complete(websocket *websocket, DWORD status, DWORD length, WINHTTP_WEB_SOCKET_BUFFER_TYPE type)
{
    WINHTTP_WEB_SOCKET_STATUS information = {length, type};
    callback_complete(&websocket->object, status, &information, sizeof information);
}

/* ---- receiving -------------------------------------------------------------------------------------------------------------------------------- */

static DWORD receive_begin(websocket *websocket, void *buffer, DWORD length)
{
    DWORD error = NO_ERROR;
    object_lock(&websocket->object);
    if (websocket->object.is_closed) error = ERROR_INVALID_HANDLE;
    else if (websocket->is_receiving || websocket->is_closing || websocket->is_closed || websocket->peer_closed) error = ERROR_INVALID_OPERATION;
    else if (websocket->object.is_async && websocket->room == NULL && (websocket->room = malloc(websocket->room_size)) == NULL)
        error = ERROR_NOT_ENOUGH_MEMORY;
    if (error == NO_ERROR) {
        websocket->is_receiving = true;
        websocket->target = buffer;
        websocket->room_used = length < websocket->room_size ? length : websocket->room_size;
    }
    object_unlock(&websocket->object);
    return error;
}

static DWORD receive_and_wait(websocket *websocket, void *buffer, DWORD length, DWORD *read, WINHTTP_WEB_SOCKET_BUFFER_TYPE *type)
{
    size_t received = 0;
    ws_buffer_type received_type = 0;
    ws_status status = ws_receive(websocket->inner, buffer, length, &received, &received_type);
    object_lock(&websocket->object);
    websocket->is_receiving = false;
    if (status == WS_OK && received_type == WS_CLOSE_FRAME) websocket->peer_closed = true;
    object_unlock(&websocket->object);
    if (status != WS_OK) return error_from_status(status);
    *read = (DWORD)received;
    *type = (WINHTTP_WEB_SOCKET_BUFFER_TYPE)received_type;
    return NO_ERROR;
}

static void receive_on_worker(void *argument)
{
    websocket *websocket = argument;
    size_t received = 0;
    ws_buffer_type type = 0;
    ws_status status = ws_receive(websocket->inner, websocket->room, websocket->room_used, &received, &type);
    object_lock(&websocket->object);
    bool is_ours = websocket->is_receiving;
    websocket->is_receiving = false;
    if (status == WS_OK && type == WS_CLOSE_FRAME) websocket->peer_closed = true;
    /* Under the lock: once somebody else has completed the operation, the buffer is the program's. */
    if (is_ours && status == WS_OK && received > 0) memcpy(websocket->target, websocket->room, received);
    object_unlock(&websocket->object);
    if (is_ours && status == WS_OK)
        complete(websocket, WINHTTP_CALLBACK_STATUS_READ_COMPLETE, (DWORD)received, (WINHTTP_WEB_SOCKET_BUFFER_TYPE)type);
    else if (is_ours) websocket_fail(websocket, WINHTTP_WEB_SOCKET_RECEIVE_OPERATION, error_from_status(status));
    object_release(&websocket->object);
}

bool websocket_run(websocket *websocket, void (*job)(void *argument), bool *flag)
{
    object_keep(&websocket->object);
    if (worker_run(job, websocket)) return true;
    object_lock(&websocket->object);
    *flag = false;
    object_unlock(&websocket->object);
    object_release(&websocket->object);
    return false;
}

DWORD WINAPI WinHttpWebSocketReceive(HINTERNET handle, PVOID buffer, DWORD length, DWORD *read, WINHTTP_WEB_SOCKET_BUFFER_TYPE *type)
{
    websocket *websocket;
    if (buffer == NULL || length == 0) return ERROR_INVALID_PARAMETER;
    DWORD error = object_find(handle, WINHTTP_HANDLE_TYPE_WEBSOCKET, &websocket);
    if (error != NO_ERROR) return error;
    if (!websocket->object.is_async && (read == NULL || type == NULL)) error = ERROR_INVALID_PARAMETER;
    else error = receive_begin(websocket, buffer, length);
    if (error == NO_ERROR && !websocket->object.is_async) error = receive_and_wait(websocket, buffer, length, read, type);
    else if (error == NO_ERROR && !websocket_run(websocket, receive_on_worker, &websocket->is_receiving)) error = ERROR_NOT_ENOUGH_MEMORY;
    object_release(&websocket->object);
    return error;
}

/* ---- sending ------------------------------------------------------------------------------------------------------------------------------------ */

static DWORD send_begin(websocket *websocket, WINHTTP_WEB_SOCKET_BUFFER_TYPE type, DWORD length)
{
    DWORD error = NO_ERROR;
    object_lock(&websocket->object);
    if (websocket->object.is_closed) error = ERROR_INVALID_HANDLE;
    else if (websocket->is_sending || websocket->is_shutting_down || websocket->has_shut_down || websocket->is_closing || websocket->is_closed ||
             websocket->peer_closed)
        error = ERROR_INVALID_OPERATION;
    else if ((unsigned)type > WINHTTP_WEB_SOCKET_UTF8_FRAGMENT_BUFFER_TYPE) error = ERROR_INVALID_PARAMETER;
    if (error == NO_ERROR) {
        websocket->is_sending = true;
        websocket->send_type = type;
        websocket->send_length = length;
    }
    object_unlock(&websocket->object);
    return error;
}

/* Clears the flag; false = a CloseHandle has completed the operation already. */
static bool send_end(websocket *websocket)
{
    object_lock(&websocket->object);
    bool is_ours = websocket->is_sending;
    websocket->is_sending = false;
    object_unlock(&websocket->object);
    return is_ours;
}

/* The peer does not take it at once: waits for it. */
static void send_on_worker(void *argument)
{
    websocket *websocket = argument;
    DWORD length = websocket->send_length;
    WINHTTP_WEB_SOCKET_BUFFER_TYPE type = websocket->send_type;
    ws_status status;
    do {
        status = ws_send(websocket->inner, (ws_buffer_type)type, websocket->send_copy, length);
    } while (status == WS_ERROR_TIMEOUT);
    free(websocket->send_copy);
    websocket->send_copy = NULL;
    if (send_end(websocket)) {
        if (status == WS_OK) complete(websocket, WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE, length, type);
        else websocket_fail(websocket, WINHTTP_WEB_SOCKET_SEND_OPERATION, error_from_status(status));
    }
    object_release(&websocket->object);
}

static DWORD send_later(websocket *websocket, const void *buffer, DWORD length)
{
    /* A copy: a CloseHandle gives the buffer back to the program while the other thread may still read. */
    websocket->send_copy = malloc(length > 0 ? length : 1);
    if (websocket->send_copy != NULL) {
        if (length > 0) memcpy(websocket->send_copy, buffer, length);
        if (websocket_run(websocket, send_on_worker, &websocket->is_sending)) return NO_ERROR;
        free(websocket->send_copy);
        websocket->send_copy = NULL;
    }
    (void)send_end(websocket);
    return ERROR_NOT_ENOUGH_MEMORY;
}

DWORD WINAPI WinHttpWebSocketSend(HINTERNET handle, WINHTTP_WEB_SOCKET_BUFFER_TYPE type, PVOID buffer, DWORD length)
{
    websocket *websocket;
    if (buffer == NULL && length > 0) return ERROR_INVALID_PARAMETER;
    DWORD error = object_find(handle, WINHTTP_HANDLE_TYPE_WEBSOCKET, &websocket);
    if (error != NO_ERROR) return error;
    error = send_begin(websocket, type, length);
    if (error == NO_ERROR) {
        ws_status status = ws_send(websocket->inner, (ws_buffer_type)type, buffer, length);
        if (status == WS_ERROR_TIMEOUT && websocket->object.is_async) {
            error = send_later(websocket, buffer, length);
        } else {
            bool is_ours = send_end(websocket);
            error = is_ours ? error_from_status(status) : NO_ERROR; /* else the program was told already */
            if (is_ours && error == NO_ERROR && websocket->object.is_async)
                complete(websocket, WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE, length, type);
        }
    }
    object_release(&websocket->object);
    return error;
}
