/* Requests: from WinHttpOpenRequest to the sent request.
 *
 * The library's handshake sends the request and reads the answer's head in one; what it says of the first half is told by SendRequest, of
 * the second by ReceiveResponse (response.c). Each attempt is a new request of the library, so sending again makes a new key.
 * Out of scope: setting an attempt up, and what is said about it (attempt.c); bodies: an upgrade has none. */
#include "shim.h"

#include <stdlib.h>
#include <string.h>

/* ---- opening ------------------------------------------------------------------------------------------------------------------------------- */

static void request_cancel(object *object)
{
    request *request = (struct request *)object;
    object_lock(object);
    DWORD operation = request->operation;
    request->operation = 0;
    ws_handle inner = request->inner;
    object_unlock(object);
    /* Ends the attempt under way with 12017; it is not told any more. */
    if (inner != WS_NO_HANDLE) (void)ws_close_handle(inner);
    if (operation != 0) request_fail(request, operation, ERROR_WINHTTP_OPERATION_CANCELLED);
}

static void request_destroy(object *object)
{
    request *request = (struct request *)object;
    if (request->websocket != WS_NO_HANDLE) (void)ws_close_handle(request->websocket);
    if (request->inner != WS_NO_HANDLE) (void)ws_close_handle(request->inner);
    settings_free(&request->settings);
    headers_free(&request->headers);
    free(request->body);
    free(request->url);
    free(request->login_url);
    free(request->target);
    free(request->verb);
}

static const object_class request_class = {WINHTTP_HANDLE_TYPE_REQUEST, request_cancel, request_destroy, request_happened};

static bool must_be_escaped(char byte, bool in_query, DWORD flags)
{
    if (byte == '%') return (flags & WINHTTP_FLAG_ESCAPE_PERCENT) != 0;
    if ((flags & WINHTTP_FLAG_ESCAPE_DISABLE) || (in_query && (flags & WINHTTP_FLAG_ESCAPE_DISABLE_QUERY))) return false;
    return byte <= ' ' || byte >= 0x7F || strchr("\"<>\\^`{|}", byte) != NULL;
}

/* The path and query of the request line; what may not stand there is escaped as UTF-8. NULL = no memory. */
static char *make_target(const char *object, DWORD flags)
{
    char *target = malloc(strlen(object) * 3 + 2), *at = target;
    bool in_query = false;
    if (target == NULL) return NULL;
    if (object[0] != '/') *at++ = '/';
    for (; *object != '\0' && *object != '#'; object++) { /* a fragment is not sent */
        in_query = in_query || *object == '?';
        if (must_be_escaped(*object, in_query, flags)) {
            *at++ = '%';
            *at++ = "0123456789ABCDEF"[(uint8_t)*object >> 4];
            *at++ = "0123456789ABCDEF"[(uint8_t)*object & 15u];
        } else {
            *at++ = *object;
        }
    }
    *at = '\0';
    return target;
}

static DWORD put_wide(headers *headers, const char *name, LPCWSTR wide)
{
    bool invalid = false;
    char *value = text_from_wide(wide, TEXT_WHOLE, &invalid);
    if (value == NULL) return invalid ? ERROR_INVALID_PARAMETER : ERROR_NOT_ENOUGH_MEMORY;
    DWORD error = value[strcspn(value, "\r\n")] != '\0' ? ERROR_INVALID_PARAMETER
                                                       : headers_put(headers, name, value, WINHTTP_ADDREQ_FLAG_COALESCE);
    free(value);
    return error;
}

static DWORD request_fill(request *request, LPCWSTR verb, LPCWSTR object, LPCWSTR referrer, LPCWSTR *accept_types, DWORD flags)
{
    session *session = (struct session *)request->object.parent->parent;
    bool invalid = false;
    DWORD error = NO_ERROR;
    object_lock(&session->object);
    bool is_copied = settings_copy(&request->settings, &session->settings);
    object_unlock(&session->object);
    if (!is_copied) return ERROR_NOT_ENOUGH_MEMORY;
    request->is_secure = (flags & WINHTTP_FLAG_SECURE) != 0;
    request->verb = text_from_wide(verb != NULL && verb[0] != 0 ? verb : L"GET", TEXT_WHOLE, &invalid);
    char *path = request->verb == NULL ? NULL : text_from_wide(object != NULL ? object : L"", TEXT_WHOLE, &invalid);
    if (path != NULL) request->target = make_target(path, flags);
    free(path);
    if (request->target == NULL) return invalid ? ERROR_INVALID_PARAMETER : ERROR_NOT_ENOUGH_MEMORY;
    if (referrer != NULL) error = put_wide(&request->headers, "Referer", referrer);
    for (; error == NO_ERROR && accept_types != NULL && *accept_types != NULL; accept_types++) error = put_wide(&request->headers, "Accept", *accept_types);
    if (error == NO_ERROR && (flags & WINHTTP_FLAG_REFRESH)) error = headers_put(&request->headers, "Pragma", "no-cache", WINHTTP_ADDREQ_FLAG_ADD);
    return error;
}

HINTERNET WINAPI WinHttpOpenRequest(HINTERNET handle, LPCWSTR verb, LPCWSTR object, LPCWSTR version, LPCWSTR referrer, LPCWSTR *accept_types,
                                    DWORD flags)
{
    const DWORD known = WINHTTP_FLAG_SECURE | WINHTTP_FLAG_ESCAPE_PERCENT | WINHTTP_FLAG_NULL_CODEPAGE | WINHTTP_FLAG_ESCAPE_DISABLE |
                        WINHTTP_FLAG_ESCAPE_DISABLE_QUERY | WINHTTP_FLAG_REFRESH;
    connection *connection;
    HINTERNET result = NULL;
    (void)version; /* an upgrade is HTTP/1.1 */
    DWORD error = (flags & ~known) != 0 ? ERROR_INVALID_PARAMETER : object_find(handle, WINHTTP_HANDLE_TYPE_CONNECT, &connection);
    if (error != NO_ERROR) return (void)error_answer(error), NULL;
    request *request = (struct request *)object_new(&request_class, sizeof *request, &connection->object);
    object_release(&connection->object);
    if (request == NULL) return (void)error_answer(ERROR_NOT_ENOUGH_MEMORY), NULL;
    error = request_fill(request, verb, object, referrer, accept_types, flags);
    if (error == NO_ERROR && (result = object_publish(&request->object)) == NULL) error = ERROR_NOT_ENOUGH_MEMORY;
    if (result == NULL) object_release(&request->object);
    (void)error_answer(error);
    return result;
}

/* ---- sending ---------------------------------------------------------------------------------------------------------------------------------- */

char *request_first_url(const request *request)
{
    const connection *connection = (const struct connection *)request->object.parent;
    bool is_bare_address = strchr(connection->host, ':') != NULL && connection->host[0] != '[';
    DWORD port = connection->port != 0 ? connection->port : request->is_secure ? INTERNET_DEFAULT_HTTPS_PORT : INTERNET_DEFAULT_HTTP_PORT;
    return text_format("ws%s://%s%s%s:%u%s", request->is_secure ? "s" : "", is_bare_address ? "[" : "", connection->host,
                       is_bare_address ? "]" : "", (unsigned)port, request->target);
}

bool request_is_challenged(request *request, uint16_t *status)
{
    return request->state == REQUEST_RESPONDED && request->inner != WS_NO_HANDLE && ws_query_response(request->inner, status) == WS_OK &&
           (*status == HTTP_STATUS_DENIED || *status == HTTP_STATUS_PROXY_AUTH_REQ);
}

/* Takes the request for an attempt and prepares it; the request is locked. */
static DWORD send_begin(request *request, const char *headers, DWORD_PTR context)
{
    if (request->object.is_closed) return ERROR_INVALID_HANDLE;
    if (request->state == REQUEST_SENDING || request->state == REQUEST_RECEIVING) return ERROR_WINHTTP_INCORRECT_HANDLE_STATE;
    if (!request->is_upgrade || strcmp(request->verb, "GET") != 0) return ERROR_NOT_SUPPORTED; /* this is no library for plain HTTP */
    uint16_t status;
    DWORD error = headers == NULL ? NO_ERROR : headers_add(&request->headers, headers, WINHTTP_ADDREQ_FLAG_ADD | WINHTTP_ADDREQ_FLAG_REPLACE);
    if (error != NO_ERROR) return error;
    if (context != 0) request->object.context = context;
    /* An answer to a challenge goes to whoever asked, also behind redirects. */
    char *url = request_is_challenged(request, &status) ? text_copy(request->url) : request_first_url(request);
    free(request->body);
    request->body = NULL;
    request->body_length = request->body_read = 0;
    request->has_body = false;
    request->redirects = 0;
    error = url == NULL ? ERROR_NOT_ENOUGH_MEMORY : request_prepare(request, url);
    request->state = error == NO_ERROR ? REQUEST_SENDING : REQUEST_FRESH;
    if (error == NO_ERROR && request->object.is_async) request->operation = API_SEND_REQUEST;
    return error;
}

/* The buffer into which WinHTTP masks must hold a frame's header. */
static bool has_room_to_send(request *request)
{
    object_lock(&request->object); /* the program may set options at any time */
    bool has_room = request->settings.send_buffer_size >= 16;
    object_unlock(&request->object);
    return has_room;
}

static DWORD send_and_wait(request *request)
{
    DWORD error = ERROR_NOT_ENOUGH_MEMORY;
    if (has_room_to_send(request)) {
        request_tell_resolving(request);
        request_attempt(request);
        error = request_tell_sent(request);
    }
    object_lock(&request->object);
    request->state = error == NO_ERROR ? REQUEST_SENT : REQUEST_FRESH;
    object_unlock(&request->object);
    return error;
}

void request_arrived(request *request)
{
    DWORD error = request_tell_sent(request);
    if (!request_claim(request, API_SEND_REQUEST, error == NO_ERROR ? REQUEST_SENT : REQUEST_FRESH)) return;
    if (error == NO_ERROR) callback_tell(&request->object, WINHTTP_CALLBACK_STATUS_SENDREQUEST_COMPLETE, NULL, 0);
    else request_fail(request, API_SEND_REQUEST, error);
}

/* What the program learns from a callback although it is known at once. */
static void refuse_on_worker(void *argument)
{
    request *request = argument;
    if (request_claim(request, API_SEND_REQUEST, REQUEST_FRESH)) request_fail(request, API_SEND_REQUEST, ERROR_NOT_ENOUGH_MEMORY);
    object_release(&request->object);
}

bool request_claim(request *request, DWORD operation, request_state next)
{
    object_lock(&request->object);
    bool is_ours = request->operation == operation;
    request->operation = is_ours ? 0 : request->operation;
    request->state = next;
    object_unlock(&request->object);
    return is_ours;
}

void request_fail(request *request, DWORD operation, DWORD error)
{
    WINHTTP_ASYNC_RESULT result;
    memset(&result, 0, sizeof result);
    result.dwResult = operation;
    result.dwError = error;
    callback_tell(&request->object, WINHTTP_CALLBACK_STATUS_REQUEST_ERROR, &result, sizeof result);
}

bool request_run(request *request, void (*job)(void *argument), DWORD operation)
{
    object_keep(&request->object);
    if (worker_run(job, request)) return true;
    (void)request_claim(request, operation, REQUEST_FRESH);
    object_release(&request->object);
    return false;
}

BOOL WINAPI WinHttpSendRequest(HINTERNET handle, LPCWSTR lines, DWORD length, LPVOID optional, DWORD optional_length, DWORD total_length,
                               DWORD_PTR context)
{
    request *request;
    bool invalid = false;
    char *headers = NULL;
    (void)optional;
    DWORD error = object_find(handle, WINHTTP_HANDLE_TYPE_REQUEST, &request);
    if (error != NO_ERROR) return error_answer(error);
    if (optional_length != 0 || total_length != 0) error = ERROR_NOT_SUPPORTED; /* an upgrade has no body */
    if (error == NO_ERROR && lines != NULL && length != 0) {
        headers = text_from_wide(lines, length == (DWORD)-1 ? TEXT_WHOLE : wcsnlen(lines, length), &invalid);
        if (headers == NULL) error = invalid ? ERROR_INVALID_PARAMETER : ERROR_NOT_ENOUGH_MEMORY;
    }
    if (error == NO_ERROR) {
        object_lock(&request->object);
        error = send_begin(request, headers, context);
        object_unlock(&request->object);
    }
    free(headers);
    if (error == NO_ERROR && request->object.is_async)
        error = request_run(request, has_room_to_send(request) ? request_attempt_async : refuse_on_worker, API_SEND_REQUEST) ? NO_ERROR : ERROR_NOT_ENOUGH_MEMORY;
    else if (error == NO_ERROR) error = send_and_wait(request);
    object_release(&request->object);
    return error_answer(error);
}
