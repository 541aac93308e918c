/* The ends of a connection: Shutdown, Close, what the peer's close frame said, and CloseHandle.
 *
 * The library leaves the answer to the peer's close frame to the program here (WS_OPTION_MANUAL_CLOSE), as WinHTTP does. */
#include "shim.h"

#include <string.h>

/* What may be said in a close frame. RFC 6455 §7.4 forbids other statuses on the wire, and peers end the connection for them. */
static bool goodbye_is_valid(USHORT status, const void *reason, DWORD length)
{
    if ((reason == NULL && length > 0) || length > WINHTTP_WEB_SOCKET_MAX_CLOSE_REASON_LENGTH) return false;
    if (status == WINHTTP_WEB_SOCKET_EMPTY_CLOSE_STATUS) return length == 0; /* a close frame without a status */
    bool is_known = (status >= 1000 && status <= 1003) || (status >= 1007 && status <= 1014) || (status >= 3000 && status <= 4999);
    return is_known && (length == 0 || text_is_utf8(reason, length));
}

/* The reason is copied now: it is the program's again when the call returns. The websocket is locked. */
static void keep_goodbye(websocket *websocket, USHORT status, const void *reason, DWORD length)
{
    websocket->goodbye_status = status;
    websocket->goodbye_length = length;
    if (length > 0) memcpy(websocket->goodbye, reason, length);
}

static ws_status say_goodbye(websocket *websocket)
{
    return ws_shutdown(websocket->inner, (uint16_t)websocket->goodbye_status, websocket->goodbye, websocket->goodbye_length);
}

/* Clears a flag; false = a CloseHandle has completed the operation already. */
static bool take_flag(websocket *websocket, bool *flag)
{
    object_lock(&websocket->object);
    bool is_ours = *flag;
    *flag = false;
    object_unlock(&websocket->object);
    return is_ours;
}

/* ---- shutdown ---------------------------------------------------------------------------------------------------------------------------------- */

static DWORD shutdown_begin(websocket *websocket, USHORT status, const void *reason, DWORD length)
{
    DWORD error = NO_ERROR;
    object_lock(&websocket->object);
    if (websocket->object.is_closed) error = ERROR_INVALID_HANDLE;
    else if (websocket->is_sending || websocket->is_shutting_down || websocket->has_shut_down || websocket->is_closing || websocket->is_closed)
        error = ERROR_INVALID_OPERATION;
    if (error == NO_ERROR) {
        websocket->is_shutting_down = websocket->has_shut_down = true;
        keep_goodbye(websocket, status, reason, length);
    }
    object_unlock(&websocket->object);
    return error;
}

void websocket_shutdown_ended(websocket *websocket, ws_status status)
{
    if (take_flag(websocket, &websocket->is_answering)) { /* it was all that a Close had to do */
        websocket_close_ended(websocket, status);
    } else if (take_flag(websocket, &websocket->is_shutting_down)) {
        if (status == WS_OK) callback_complete_elsewhere(&websocket->object, WINHTTP_CALLBACK_STATUS_SHUTDOWN_COMPLETE, NULL, 0);
        else websocket_fail_elsewhere(websocket, WINHTTP_WEB_SOCKET_SHUTDOWN_OPERATION, error_from_status(status));
    }
}

DWORD WINAPI WinHttpWebSocketShutdown(HINTERNET handle, USHORT status, PVOID reason, DWORD length)
{
    websocket *websocket;
    if (!goodbye_is_valid(status, reason, length)) return ERROR_INVALID_PARAMETER;
    DWORD error = object_find(handle, WINHTTP_HANDLE_TYPE_WEBSOCKET, &websocket);
    if (error != NO_ERROR) return error;
    error = shutdown_begin(websocket, status, reason, length);
    if (error == NO_ERROR) {
        ws_status said = say_goodbye(websocket);
        bool is_ours = said != WS_PENDING && take_flag(websocket, &websocket->is_shutting_down);
        error = is_ours ? error_from_status(said) : NO_ERROR; /* else the program is told later, or was by a CloseHandle */
        if (is_ours && error == NO_ERROR && websocket->object.is_async)
            callback_complete(&websocket->object, WINHTTP_CALLBACK_STATUS_SHUTDOWN_COMPLETE, NULL, 0);
    }
    object_release(&websocket->object);
    return error;
}

/* ---- close ---------------------------------------------------------------------------------------------------------------------------------------- */

/* Begins a Close; `*cancelled`: a receive was under way that is ours to complete. */
static DWORD close_begin(websocket *websocket, USHORT status, const void *reason, DWORD length, bool *cancelled)
{
    DWORD error = NO_ERROR;
    *cancelled = false;
    object_lock(&websocket->object);
    if (websocket->object.is_closed) error = ERROR_INVALID_HANDLE;
    else if (websocket->is_sending || websocket->is_closing || websocket->is_closed) error = ERROR_INVALID_OPERATION;
    if (error == NO_ERROR) {
        websocket->is_closing = websocket->is_closed = true;
        keep_goodbye(websocket, status, reason, length);
        if (websocket->object.is_async) {
            *cancelled = websocket->is_receiving;
            websocket->is_receiving = false;
        }
    }
    object_unlock(&websocket->object);
    return error;
}

/* Exchanges close frames; WS_PENDING = the peer's is to come. */
static ws_status close_now(websocket *websocket)
{
    object_lock(&websocket->object);
    bool is_answer = websocket->peer_closed && websocket->object.is_async; /* then there is nothing to wait for */
    websocket->is_answering = is_answer && !websocket->has_shut_down;
    object_unlock(&websocket->object);
    if (is_answer) return websocket->has_shut_down ? WS_OK : say_goodbye(websocket);
    return ws_close(websocket->inner, (uint16_t)websocket->goodbye_status, websocket->goodbye, websocket->goodbye_length);
}

/* Clears the flag; false = a CloseHandle has completed the operation already. */
static bool close_end(websocket *websocket, ws_status status)
{
    object_lock(&websocket->object);
    bool is_ours = websocket->is_closing;
    websocket->is_closing = websocket->is_answering = false;
    if (status == WS_OK) websocket->close_is_done = true;
    object_unlock(&websocket->object);
    return is_ours;
}

void websocket_close_ended(websocket *websocket, ws_status status)
{
    if (!close_end(websocket, status)) return;
    if (status == WS_OK) callback_complete_elsewhere(&websocket->object, WINHTTP_CALLBACK_STATUS_CLOSE_COMPLETE, NULL, 0);
    else websocket_fail_elsewhere(websocket, WINHTTP_WEB_SOCKET_CLOSE_OPERATION, error_from_status(status));
}

DWORD WINAPI WinHttpWebSocketClose(HINTERNET handle, USHORT status, PVOID reason, DWORD length)
{
    websocket *websocket;
    bool cancelled;
    if (!goodbye_is_valid(status, reason, length)) return ERROR_INVALID_PARAMETER;
    DWORD error = object_find(handle, WINHTTP_HANDLE_TYPE_WEBSOCKET, &websocket);
    if (error != NO_ERROR) return error;
    error = close_begin(websocket, status, reason, length, &cancelled);
    if (error == NO_ERROR) {
        /* First this, so that what follows is seen to follow. */
        if (cancelled) websocket_fail(websocket, WINHTTP_WEB_SOCKET_RECEIVE_OPERATION, ERROR_WINHTTP_OPERATION_CANCELLED);
        ws_status done = close_now(websocket);
        bool is_ours = done != WS_PENDING && close_end(websocket, done);
        error = is_ours ? error_from_status(done) : NO_ERROR; /* else the program is told later, or was by a CloseHandle */
        if (is_ours && error == NO_ERROR && websocket->object.is_async)
            callback_complete(&websocket->object, WINHTTP_CALLBACK_STATUS_CLOSE_COMPLETE, NULL, 0);
    }
    object_release(&websocket->object);
    return error;
}

/* ---- afterwards ------------------------------------------------------------------------------------------------------------------------------------- */

static DWORD query_close(websocket *websocket, USHORT *status, PVOID reason, DWORD length, DWORD *consumed)
{
    char said[WINHTTP_WEB_SOCKET_MAX_CLOSE_REASON_LENGTH];
    size_t size = 0;
    uint16_t number = 0;
    object_lock(&websocket->object);
    bool is_known = websocket->peer_closed || websocket->close_is_done;
    object_unlock(&websocket->object);
    if (!is_known) return ERROR_INVALID_OPERATION;
    DWORD error = error_from_status(ws_query_close_status(websocket->inner, &number, said, sizeof said, &size));
    if (error != NO_ERROR) return error;
    *status = number;
    *consumed = (DWORD)size;
    if (size > length) return ERROR_INSUFFICIENT_BUFFER;
    if (size > 0) memcpy(reason, said, size);
    return NO_ERROR;
}

DWORD WINAPI WinHttpWebSocketQueryCloseStatus(HINTERNET handle, USHORT *status, PVOID reason, DWORD length, DWORD *consumed)
{
    websocket *websocket;
    if (status == NULL || consumed == NULL || (reason == NULL && length > 0)) return ERROR_INVALID_PARAMETER;
    DWORD error = object_find(handle, WINHTTP_HANDLE_TYPE_WEBSOCKET, &websocket);
    if (error != NO_ERROR) return error;
    error = query_close(websocket, status, reason, length, consumed);
    object_release(&websocket->object);
    return error;
}

void websocket_cancel(object *object)
{
    static const WINHTTP_WEB_SOCKET_OPERATION operations[] = {WINHTTP_WEB_SOCKET_RECEIVE_OPERATION, WINHTTP_WEB_SOCKET_SEND_OPERATION,
                                                              WINHTTP_WEB_SOCKET_SHUTDOWN_OPERATION, WINHTTP_WEB_SOCKET_CLOSE_OPERATION};
    websocket *websocket = (struct websocket *)object;
    object_lock(object);
    bool *flags[] = {&websocket->is_receiving, &websocket->is_sending, &websocket->is_shutting_down, &websocket->is_closing};
    bool pending[4];
    for (int i = 0; i < 4; i++) {
        pending[i] = object->is_async && *flags[i];
        if (object->is_async) *flags[i] = false; /* a synchronous call is still in the library and ends by itself */
    }
    object_unlock(object);
    (void)ws_close_handle(websocket->inner);
    for (int i = 0; i < 4; i++) {
        if (pending[i]) websocket_fail(websocket, operations[i], ERROR_WINHTTP_OPERATION_CANCELLED);
    }
}
