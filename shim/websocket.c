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
/* What may wait in the library before an asynchronous Send is not complete at once. One message is always taken. */
#define QUEUE_LIMIT 65536u

static void websocket_destroy(object *object)
{
    websocket *websocket = (struct websocket *)object;
    if (websocket->inner != WS_NO_HANDLE) (void)ws_close_handle(websocket->inner);
    free(websocket->room);
    free(websocket->send_copy);
}

static void websocket_happened(object *object, const ws_event *event);

const object_class websocket_class = {WINHTTP_HANDLE_TYPE_WEBSOCKET, websocket_cancel, websocket_destroy, websocket_happened};

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
    websocket->object.is_assured = request->settings.assured_callbacks != 0;
    if (websocket->object.is_async) {
        uint64_t limit = QUEUE_LIMIT;
        (void)ws_set_option(inner, WS_OPTION_SEND_QUEUE_LIMIT, &limit, sizeof limit);
        event_follow(&websocket->object, inner);
    }
    return websocket;
}

/* On a thread of the library's the program is called elsewhere. */
typedef void teller(object *object, DWORD status, const void *information, DWORD length);

static void tell_failure(websocket *websocket, teller *tell, WINHTTP_WEB_SOCKET_OPERATION operation, DWORD error)
{
    WINHTTP_WEB_SOCKET_ASYNC_RESULT result;
    memset(&result, 0, sizeof result);
    result.AsyncResult.dwError = error;
    if (error != ERROR_WINHTTP_OPERATION_CANCELLED && operation == WINHTTP_WEB_SOCKET_RECEIVE_OPERATION) result.AsyncResult.dwResult = API_READ_DATA;
    if (error != ERROR_WINHTTP_OPERATION_CANCELLED && operation == WINHTTP_WEB_SOCKET_SEND_OPERATION) result.AsyncResult.dwResult = API_WRITE_DATA;
    result.Operation = operation;
    tell(&websocket->object, WINHTTP_CALLBACK_STATUS_REQUEST_ERROR, &result, sizeof result);
}

void websocket_fail(websocket *websocket, WINHTTP_WEB_SOCKET_OPERATION operation, DWORD error)
{
    tell_failure(websocket, callback_complete, operation, error);
}

void websocket_fail_elsewhere(websocket *websocket, WINHTTP_WEB_SOCKET_OPERATION operation, DWORD error)
{
    tell_failure(websocket, callback_complete_elsewhere, operation, error);
}

static void tell_transfer(websocket *websocket, teller *tell, DWORD status, DWORD length, WINHTTP_WEB_SOCKET_BUFFER_TYPE type)
{
    WINHTTP_WEB_SOCKET_STATUS information = {length, type};
    tell(&websocket->object, status, &information, sizeof information);
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

/* An asynchronous receive has ended. */
static void receive_end(websocket *websocket, teller *tell, ws_status status, size_t received, ws_buffer_type type)
{
    object_lock(&websocket->object);
    bool is_ours = websocket->is_receiving;
    websocket->is_receiving = false;
    if (status == WS_OK && type == WS_CLOSE_FRAME) websocket->peer_closed = true;
    /* Under the lock: once somebody else has completed the operation, the buffer is the program's. */
    if (is_ours && status == WS_OK && received > 0) memcpy(websocket->target, websocket->room, received);
    object_unlock(&websocket->object);
    if (is_ours && status == WS_OK)
        tell_transfer(websocket, tell, WINHTTP_CALLBACK_STATUS_READ_COMPLETE, (DWORD)received, (WINHTTP_WEB_SOCKET_BUFFER_TYPE)type);
    else if (is_ours) tell_failure(websocket, tell, WINHTTP_WEB_SOCKET_RECEIVE_OPERATION, error_from_status(status));
}

static DWORD receive_post(websocket *websocket)
{
    size_t received = 0;
    ws_buffer_type type = 0;
    ws_status status = ws_receive(websocket->inner, websocket->room, websocket->room_used, &received, &type);
    if (status == WS_OK) receive_end(websocket, callback_complete, status, received, type);
    if (status == WS_OK || status == WS_PENDING) return NO_ERROR;
    object_lock(&websocket->object);
    bool is_ours = websocket->is_receiving;
    websocket->is_receiving = false;
    object_unlock(&websocket->object);
    return is_ours ? error_from_status(status) : NO_ERROR; /* else a CloseHandle has told the program already */
}

DWORD WINAPI WinHttpWebSocketReceive(HINTERNET handle, PVOID buffer, DWORD length, DWORD *read, WINHTTP_WEB_SOCKET_BUFFER_TYPE *type)
{
    websocket *websocket;
    if (buffer == NULL || length == 0) return ERROR_INVALID_PARAMETER;
    DWORD error = object_find(handle, WINHTTP_HANDLE_TYPE_WEBSOCKET, &websocket);
    if (error != NO_ERROR) return error;
    if (!websocket->object.is_async && (read == NULL || type == NULL)) error = ERROR_INVALID_PARAMETER;
    else error = receive_begin(websocket, buffer, length);
    if (error == NO_ERROR) error = websocket->object.is_async ? receive_post(websocket) : receive_and_wait(websocket, buffer, length, read, type);
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

/* The queue is full: keeps the message until the library says that there is room. `rooms` is how often it had said so before this was tried. */
static DWORD send_later(websocket *websocket, const void *buffer, size_t rooms, bool *again)
{
    DWORD length = websocket->send_length;
    *again = false;
    /* A copy: a CloseHandle gives the buffer back to the program while another thread may still read. */
    if (websocket->send_copy == NULL && (websocket->send_copy = malloc(length > 0 ? length : 1)) == NULL) return ERROR_NOT_ENOUGH_MEMORY;
    if (buffer != websocket->send_copy && length > 0) memcpy(websocket->send_copy, buffer, length);
    object_lock(&websocket->object);
    *again = websocket->rooms != rooms; /* it has said so meanwhile, and will not say it again */
    websocket->is_waiting_for_room = !*again;
    object_unlock(&websocket->object);
    return NO_ERROR;
}

static size_t count_rooms(websocket *websocket)
{
    object_lock(&websocket->object);
    size_t rooms = websocket->rooms;
    object_unlock(&websocket->object);
    return rooms;
}

/* Sends, now or when there is room; WS_PENDING = then. */
static ws_status send_try(websocket *websocket, const void *buffer)
{
    bool again = true;
    ws_status status = WS_OK;
    while (again) {
        size_t rooms = count_rooms(websocket);
        again = false;
        status = ws_send(websocket->inner, (ws_buffer_type)websocket->send_type, buffer, websocket->send_length);
        if (status != WS_ERROR_WOULD_BLOCK) continue;
        if (send_later(websocket, buffer, rooms, &again) != NO_ERROR) return WS_ERROR_NOT_ENOUGH_MEMORY;
        buffer = websocket->send_copy;
        status = WS_PENDING;
    }
    return status;
}

/* There is room again, says the library. */
static void send_again(websocket *websocket)
{
    object_lock(&websocket->object);
    bool is_waiting = websocket->is_waiting_for_room;
    websocket->is_waiting_for_room = false;
    websocket->rooms++;
    DWORD length = websocket->send_length;
    WINHTTP_WEB_SOCKET_BUFFER_TYPE type = websocket->send_type;
    object_unlock(&websocket->object);
    ws_status status = is_waiting ? send_try(websocket, websocket->send_copy) : WS_PENDING;
    if (status == WS_PENDING) return;
    free(websocket->send_copy);
    websocket->send_copy = NULL;
    if (!send_end(websocket)) return;
    if (status == WS_OK) tell_transfer(websocket, callback_complete_elsewhere, WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE, length, type);
    else websocket_fail_elsewhere(websocket, WINHTTP_WEB_SOCKET_SEND_OPERATION, error_from_status(status));
}

DWORD WINAPI WinHttpWebSocketSend(HINTERNET handle, WINHTTP_WEB_SOCKET_BUFFER_TYPE type, PVOID buffer, DWORD length)
{
    websocket *websocket;
    if (buffer == NULL && length > 0) return ERROR_INVALID_PARAMETER;
    DWORD error = object_find(handle, WINHTTP_HANDLE_TYPE_WEBSOCKET, &websocket);
    if (error != NO_ERROR) return error;
    error = send_begin(websocket, type, length);
    if (error == NO_ERROR) {
        bool is_async = websocket->object.is_async;
        ws_status status = is_async ? send_try(websocket, buffer) : ws_send(websocket->inner, (ws_buffer_type)type, buffer, length);
        bool is_ours = status != WS_PENDING && send_end(websocket); /* else the program is told later, or was by a CloseHandle */
        error = is_ours ? error_from_status(status) : NO_ERROR;
        if (is_ours && error == NO_ERROR && is_async)
            tell_transfer(websocket, callback_complete, WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE, length, type);
    }
    object_release(&websocket->object);
    return error;
}

/* ---- events ------------------------------------------------------------------------------------------------------------------------------------------- */

static void websocket_happened(object *object, const ws_event *event)
{
    websocket *websocket = (struct websocket *)object;
    switch (event->type) {
    case WS_EVENT_RECEIVED: receive_end(websocket, callback_complete_elsewhere, event->status, event->length, event->buffer_type); break;
    case WS_EVENT_WRITABLE: send_again(websocket); break;
    case WS_EVENT_SHUTDOWN_COMPLETE: websocket_shutdown_ended(websocket, event->status); break;
    case WS_EVENT_CLOSE_COMPLETE: websocket_close_ended(websocket, event->status); break;
    default: break; /* a connection that is lost is told by what waits on it */
    }
}
