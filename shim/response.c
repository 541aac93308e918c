/* The answer: WinHttpReceiveResponse with its redirects, the body of a refusal, and the upgrade.
 *
 * The answer's head is there when the attempt has ended, so receiving never waits but for a redirect, which is another attempt.
 * Out of scope: asking for headers (query.c). */
#include "shim.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- redirects ------------------------------------------------------------------------------------------------------------------------------ */

/* Where the answer sends us, in the library's scheme. NULL = nowhere, or no memory. */
static char *redirected_url(request *request)
{
    uint16_t status = 0;
    object_lock(&request->object); /* the program may set options at any time */
    bool may_redirect = request->settings.redirect_policy != WINHTTP_OPTION_REDIRECT_POLICY_NEVER &&
                        (request->settings.disabled_features & WINHTTP_DISABLE_REDIRECTS) == 0;
    object_unlock(&request->object);
    if (!may_redirect || ws_query_response(request->inner, &status) != WS_OK) return NULL;
    if (status != HTTP_STATUS_MOVED && status != HTTP_STATUS_REDIRECT && status != HTTP_STATUS_REDIRECT_METHOD &&
        status != HTTP_STATUS_REDIRECT_KEEP_VERB && status != HTTP_STATUS_PERMANENT_REDIRECT)
        return NULL;
    char *location = query_response_header(request, "Location");
    char *url = location != NULL ? url_resolve(request->url, location) : NULL;
    free(location);
    return url;
}

/* Follows a redirect as far as preparing the next attempt; takes the URL over. */
static DWORD redirect(request *request, char *url)
{
    bool is_downgrade = strncmp(request->url, "wss:", 4) == 0 && strncmp(url, "wss:", 4) != 0;
    object_lock(&request->object);
    bool is_refused = (is_downgrade && request->settings.redirect_policy != WINHTTP_OPTION_REDIRECT_POLICY_ALWAYS) ||
                      request->redirects >= request->settings.redirects;
    object_unlock(&request->object);
    if (is_refused) {
        free(url);
        return ERROR_WINHTTP_REDIRECT_FAILED;
    }
    char *shown = text_format("http%s", url + 2);
    WCHAR *wide = shown != NULL ? text_to_wide(shown) : NULL;
    if (wide != NULL) callback_tell(&request->object, WINHTTP_CALLBACK_STATUS_REDIRECT, wide, (DWORD)wcslen(wide) + 1);
    free(wide);
    free(shown);
    object_lock(&request->object);
    request->redirects++;
    DWORD error = request_prepare(request, url);
    object_unlock(&request->object);
    return error;
}

/* ---- receiving --------------------------------------------------------------------------------------------------------------------------------- */

/* Looks at the outcome of the last attempt; `*again`: it was a redirect, and the next attempt is prepared. */
static DWORD look(request *request, bool *again)
{
    *again = false;
    callback_tell(&request->object, WINHTTP_CALLBACK_STATUS_RECEIVING_RESPONSE, NULL, 0);
    if (request->outcome != WS_OK) return error_from_status(request->outcome);
    DWORD received = (DWORD)query_head_size(request, false);
    callback_tell(&request->object, WINHTTP_CALLBACK_STATUS_RESPONSE_RECEIVED, &received, sizeof received);
    char *url = redirected_url(request);
    if (url == NULL) return NO_ERROR;
    *again = true;
    return redirect(request, url);
}

/* Goes on from a redirect to its end; synchronous mode. */
static DWORD follow(request *request)
{
    DWORD error = NO_ERROR;
    for (bool again = true; error == NO_ERROR && again;) {
        request_tell_resolving(request);
        request_attempt(request);
        error = request_tell_sent(request);
        if (error == NO_ERROR) error = look(request, &again);
    }
    return error;
}

static void finish(request *request, DWORD error)
{
    if (!request_claim(request, API_RECEIVE_RESPONSE, error == NO_ERROR ? REQUEST_RESPONDED : REQUEST_FRESH)) return;
    if (error == NO_ERROR) callback_tell(&request->object, WINHTTP_CALLBACK_STATUS_HEADERS_AVAILABLE, NULL, 0);
    else request_fail(request, API_RECEIVE_RESPONSE, error);
}

void response_arrived(request *request)
{
    bool again = false;
    DWORD error = request_tell_sent(request);
    if (error == NO_ERROR) error = look(request, &again);
    if (error != NO_ERROR || !again) {
        finish(request, error);
    } else {
        object_keep(&request->object);
        request_attempt_async(request); /* on this thread, which is a worker; it gives the reference back */
    }
}

static DWORD receive(request *request)
{
    bool again;
    DWORD error = look(request, &again);
    if (!request->object.is_async) {
        if (error == NO_ERROR && again) error = follow(request);
        object_lock(&request->object);
        request->state = error == NO_ERROR ? REQUEST_RESPONDED : REQUEST_FRESH;
        object_unlock(&request->object);
        return error;
    }
    if (error != NO_ERROR || !again) finish(request, error);
    else if (!request_run(request, request_attempt_async, API_RECEIVE_RESPONSE)) return ERROR_NOT_ENOUGH_MEMORY;
    return NO_ERROR; /* whatever it was, the callback tells */
}

BOOL WINAPI WinHttpReceiveResponse(HINTERNET handle, LPVOID reserved)
{
    request *request;
    (void)reserved;
    DWORD error = object_find(handle, WINHTTP_HANDLE_TYPE_REQUEST, &request);
    if (error != NO_ERROR) return error_answer(error);
    object_lock(&request->object);
    bool is_there = request->state == REQUEST_RESPONDED, is_sent = request->state == REQUEST_SENT;
    if (is_sent) {
        request->state = REQUEST_RECEIVING;
        request->operation = request->object.is_async ? API_RECEIVE_RESPONSE : 0;
    }
    object_unlock(&request->object);
    if (is_sent) error = receive(request);
    else if (!is_there) error = ERROR_WINHTTP_INCORRECT_HANDLE_STATE;
    else if (request->object.is_async) callback_tell(&request->object, WINHTTP_CALLBACK_STATUS_HEADERS_AVAILABLE, NULL, 0);
    object_release(&request->object);
    return error_answer(error);
}

/* ---- the body of a refusal ----------------------------------------------------------------------------------------------------------------------- */

/* How much of the body is left; it was read with the head. The request is locked. */
static DWORD body_left(request *request)
{
    enum { PIECE = 16384 };
    size_t read = 1;
    if (request->websocket != WS_NO_HANDLE || request->inner == WS_NO_HANDLE) return 0;
    while (!request->has_body && read > 0) {
        char *longer = realloc(request->body, request->body_length + PIECE);
        if (longer == NULL) break;
        request->body = longer;
        if (ws_read_body(request->inner, longer + request->body_length, PIECE, &read) != WS_OK) read = 0;
        request->body_length += read;
    }
    request->has_body = true;
    return (DWORD)(request->body_length - request->body_read);
}

BOOL WINAPI WinHttpQueryDataAvailable(HINTERNET handle, LPDWORD available)
{
    request *request;
    DWORD left = 0, error = object_find(handle, WINHTTP_HANDLE_TYPE_REQUEST, &request);
    if (error != NO_ERROR) return error_answer(error);
    object_lock(&request->object);
    if (request->state != REQUEST_RESPONDED) error = ERROR_WINHTTP_INCORRECT_HANDLE_STATE;
    else left = body_left(request);
    object_unlock(&request->object);
    if (error == NO_ERROR && request->object.is_async) callback_tell(&request->object, WINHTTP_CALLBACK_STATUS_DATA_AVAILABLE, &left, sizeof left);
    else if (error == NO_ERROR && available != NULL) *available = left;
    object_release(&request->object);
    return error_answer(error);
}

BOOL WINAPI WinHttpReadData(HINTERNET handle, LPVOID buffer, DWORD length, LPDWORD read)
{
    request *request;
    DWORD count = 0, error = buffer == NULL && length > 0 ? ERROR_INVALID_PARAMETER : object_find(handle, WINHTTP_HANDLE_TYPE_REQUEST, &request);
    if (error != NO_ERROR) return error_answer(error);
    object_lock(&request->object);
    if (request->state != REQUEST_RESPONDED) {
        error = ERROR_WINHTTP_INCORRECT_HANDLE_STATE;
    } else {
        count = body_left(request);
        count = count < length ? count : length;
        if (count > 0) memcpy(buffer, request->body + request->body_read, count);
        request->body_read += count;
    }
    object_unlock(&request->object);
    if (error == NO_ERROR && request->object.is_async) callback_tell(&request->object, WINHTTP_CALLBACK_STATUS_READ_COMPLETE, buffer, count);
    else if (error == NO_ERROR && read != NULL) *read = count;
    object_release(&request->object);
    return error_answer(error);
}

/* ---- the upgrade ----------------------------------------------------------------------------------------------------------------------------------- */

HINTERNET WINAPI WinHttpWebSocketCompleteUpgrade(HINTERNET handle, DWORD_PTR context)
{
    request *request;
    HINTERNET result = NULL;
    ws_handle inner = WS_NO_HANDLE;
    DWORD error = object_find(handle, WINHTTP_HANDLE_TYPE_REQUEST, &request);
    if (error != NO_ERROR) return (void)error_answer(error), NULL;
    object_lock(&request->object);
    if (request->state == REQUEST_RESPONDED && request->websocket != WS_NO_HANDLE) {
        inner = request->websocket;
        request->websocket = WS_NO_HANDLE;
        request->has_body = true; /* it has none: what follows belongs to the websocket */
    }
    object_unlock(&request->object);
    if (inner == WS_NO_HANDLE) {
        error = ERROR_WINHTTP_INCORRECT_HANDLE_STATE;
    } else {
        websocket *websocket = websocket_new(request, inner, context);
        if (websocket != NULL && (result = object_publish(&websocket->object)) == NULL) object_release(&websocket->object);
        if (result == NULL) error = ERROR_NOT_ENOUGH_MEMORY;
    }
    object_release(&request->object);
    (void)error_answer(error);
    return result;
}
