/* One attempt at a handshake: from WinHTTP's settings to a request of the library, and from its outcome to WinHTTP's progress reports.
 *
 * Out of scope: who waits for it, and what follows from it (request.c, response.c). */
#include "shim.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- preparing ------------------------------------------------------------------------------------------------------------------------------- */

static bool is_infinite(DWORD timeout) { return timeout == 0 || timeout == (DWORD)-1; }

static DWORD shorter(DWORD one, DWORD other) { return is_infinite(one) || (!is_infinite(other) && other < one) ? other : one; }

static DWORD within(DWORD least, DWORD number, DWORD most) { return number < least ? least : number > most ? most : number; }

static ws_status set_number(ws_handle inner, ws_option option, DWORD number) { return ws_set_option(inner, option, &number, sizeof number); }

/* The library's limits: on the look-up, on connecting, and on the whole. The whole is the sum, so that nothing ends earlier than WinHTTP
 * would end it; a look-up without limit leaves the rest its own. */
static ws_status set_timeouts(ws_handle inner, const settings *settings)
{
    DWORD answer = shorter(settings->receive_timeout, settings->response_timeout);
    DWORD resolve = is_infinite(settings->resolve_timeout) ? 0 : settings->resolve_timeout;
    DWORD connect = is_infinite(settings->connect_timeout) ? 0 : settings->connect_timeout;
    uint64_t whole = connect == 0 || is_infinite(answer) ? 0 : (uint64_t)resolve + connect + answer;
    ws_status status = set_number(inner, WS_OPTION_RESOLVE_TIMEOUT, resolve);
    if (status == WS_OK) status = set_number(inner, WS_OPTION_CONNECT_TIMEOUT, connect);
    if (status == WS_OK) status = set_number(inner, WS_OPTION_HANDSHAKE_TIMEOUT, whole > UINT32_MAX ? 0 : (DWORD)whole);
    return status;
}

/* What WinHTTP leaves to the program, or does in its own way. */
static ws_status set_manners(ws_handle inner, const settings *settings)
{
    ws_status status = set_number(inner, WS_OPTION_MANUAL_CLOSE, 1);
    if (status == WS_OK) status = set_number(inner, WS_OPTION_CHECK_SENT_TEXT, 0);
    if (status == WS_OK) status = set_number(inner, WS_OPTION_KEEPALIVE_TIMEOUT, 0); /* a silent peer is never given up */
    if (status == WS_OK) status = set_number(inner, WS_OPTION_MAX_HEAD_SIZE, within(256, settings->head_size, 16u << 20));
    if (status == WS_OK) status = set_number(inner, WS_OPTION_RECEIVE_BUFFER_SIZE, within(1024, settings->receive_buffer_size, 16u << 20));
    return status;
}

static ws_status set_security(ws_handle inner, const settings *settings)
{
    DWORD flags = settings->security_flags;
    DWORD danger = (flags & SECURITY_FLAG_IGNORE_UNKNOWN_CA ? 1u : 0u) | (flags & SECURITY_FLAG_IGNORE_CERT_CN_INVALID ? 2u : 0u) |
                   (flags & SECURITY_FLAG_IGNORE_CERT_DATE_INVALID ? 4u : 0u);
    bool only_newest = (settings->secure_protocols & WINHTTP_FLAG_SECURE_PROTOCOL_TLS1_3) &&
                       !(settings->secure_protocols & WINHTTP_FLAG_SECURE_PROTOCOL_TLS1_2);
    ws_status status = danger != 0 ? set_number(inner, WS_OPTION_TLS_DANGER, danger) : WS_OK;
    if (status == WS_OK && only_newest) status = set_number(inner, WS_OPTION_TLS_MIN_VERSION, 13);
    return status;
}

/* Whether the attempt goes to the server of this URL. */
static bool goes_to(const request *request, const char *url) { return url != NULL && url_is_same_server(url, request->url); }

static ws_status set_credentials(request *request, bool is_elsewhere)
{
    bool may_log_in = request->login_url != NULL ? goes_to(request, request->login_url) : !is_elsewhere;
    const settings *settings = &request->settings;
    ws_status status = WS_OK;
    for (uint32_t target = WINHTTP_AUTH_TARGET_SERVER; status == WS_OK && target <= WINHTTP_AUTH_TARGET_PROXY; target++) {
        const char *user = settings->names[target * 2], *password = settings->names[target * 2 + 1];
        if (user == NULL || (settings->disabled_features & WINHTTP_DISABLE_AUTHENTICATION)) continue;
        if (target == WINHTTP_AUTH_TARGET_SERVER && !may_log_in) continue;
        DWORD scheme = request->schemes[target] != 0 ? request->schemes[target] : WINHTTP_AUTH_SCHEME_BASIC; /* as the options mean it */
        status = ws_set_credentials(request->inner, target, scheme, user, password != NULL ? password : "");
    }
    return status;
}

/* The names that belong to the handshake, which says the same by itself. */
static bool is_said_anyway(const header *field)
{
    return strcasecmp(field->name, "Upgrade") == 0 || strcasecmp(field->name, "Connection") == 0 ||
           (strcasecmp(field->name, "Sec-WebSocket-Version") == 0 && strcmp(field->value, "13") == 0) ||
           (strcasecmp(field->name, "Content-Length") == 0 && strcmp(field->value, "0") == 0);
}

static ws_status set_subprotocols(request *request)
{
    char *list = NULL;
    ws_status status = WS_OK;
    const char *value;
    for (size_t i = 0; status == WS_OK && (value = headers_find(&request->headers, "Sec-WebSocket-Protocol", i)) != NULL; i++) {
        char *longer = text_format("%s%s%s", list != NULL ? list : "", list != NULL ? ", " : "", value);
        free(list);
        list = longer;
        if (list == NULL) status = WS_ERROR_NOT_ENOUGH_MEMORY;
    }
    if (list != NULL) status = ws_set_option(request->inner, WS_OPTION_SUBPROTOCOLS, list, strlen(list));
    free(list);
    return status;
}

/* What a server may only be told if it is the one that it was meant for. */
static bool is_for_one_server(const header *field)
{
    return strcasecmp(field->name, "Authorization") == 0 || strcasecmp(field->name, "Cookie") == 0 || strcasecmp(field->name, "Host") == 0;
}

static ws_status set_headers(request *request, bool is_elsewhere)
{
    ws_status status = set_subprotocols(request);
    const char *agent = request->settings.user_agent;
    if (status == WS_OK && agent != NULL && headers_find(&request->headers, "User-Agent", 0) == NULL)
        status = ws_add_header(request->inner, "User-Agent", agent);
    for (size_t i = 0; status == WS_OK && i < request->headers.count; i++) {
        const header *field = &request->headers.fields[i];
        if (is_said_anyway(field) || strcasecmp(field->name, "Sec-WebSocket-Protocol") == 0 || (is_elsewhere && is_for_one_server(field))) continue;
        status = ws_add_header(request->inner, field->name, field->value);
    }
    return status == WS_ERROR_INVALID_HEADER ? WS_ERROR_INVALID_PARAMETER : status;
}

static ws_status set_everything(request *request)
{
    const settings *settings = &request->settings;
    char *first = request_first_url(request);
    bool is_elsewhere = !goes_to(request, first);
    free(first);
    ws_status status = set_timeouts(request->inner, settings);
    if (status == WS_OK) status = set_manners(request->inner, settings);
    if (status == WS_OK) status = proxy_set(request->inner, settings, request->url);
    if (status == WS_OK && strncmp(request->url, "wss:", 4) == 0) status = set_security(request->inner, settings);
    if (status == WS_OK) status = set_credentials(request, is_elsewhere);
    if (status == WS_OK) status = set_headers(request, is_elsewhere);
    return status;
}

DWORD request_prepare(request *request, char *url)
{
    session *session = (struct session *)request->object.parent->parent;
    if (request->websocket != WS_NO_HANDLE) (void)ws_close_handle(request->websocket);
    if (request->inner != WS_NO_HANDLE) (void)ws_close_handle(request->inner);
    request->websocket = request->inner = WS_NO_HANDLE;
    free(request->url);
    request->url = url;
    ws_status status = ws_connect(session->inner, url, &request->inner);
    if (status == WS_OK && request->object.is_async) event_follow(&request->object, request->inner);
    return error_from_status(status == WS_OK ? set_everything(request) : status);
}

/* ---- trying ---------------------------------------------------------------------------------------------------------------------------------- */

/* The handshake has ended like this. A good answer becomes a connection now, because a wrong 101 is an error of ReceiveResponse. */
static void conclude(request *request, ws_status status, ws_phase phase, int32_t os_error)
{
    uint16_t answer = 0;
    request->outcome = status;
    request->phase = phase;
    request->os_error = os_error;
    if (status == WS_OK) request->outcome = ws_query_response(request->inner, &answer);
    if (request->outcome == WS_OK && answer == HTTP_STATUS_SWITCH_PROTOCOLS) {
        request->outcome = ws_complete_upgrade(request->inner, &request->websocket);
        if (request->outcome == WS_OK && request->object.is_async) event_ignore(request->websocket); /* until it has an object */
    }
    if (status == WS_OK && request->outcome != WS_OK) request->phase = error_phase(&request->os_error);
}

void request_attempt(request *request)
{
    int32_t os_error = 0;
    ws_status status = ws_handshake(request->inner);
    ws_phase phase = status == WS_OK ? WS_PHASE_NONE : error_phase(&os_error);
    conclude(request, status, phase, os_error);
}

/* Tells who has begun the attempt that it is over. */
static void arrive(request *request)
{
    object_lock(&request->object);
    bool is_sending = request->state == REQUEST_SENDING;
    object_unlock(&request->object);
    if (is_sending) request_arrived(request);
    else response_arrived(request);
}

void request_attempt_async(void *argument)
{
    request *request = argument;
    int32_t os_error = 0;
    request_tell_resolving(request);
    ws_status status = ws_handshake(request->inner);
    if (status != WS_PENDING) { /* else an event tells, perhaps already */
        ws_phase phase = status == WS_OK ? WS_PHASE_NONE : error_phase(&os_error);
        conclude(request, status, phase, os_error);
        arrive(request);
    }
    object_release(&request->object);
}

static void arrive_on_worker(void *argument)
{
    request *request = argument;
    conclude(request, request->outcome, request->phase, request->os_error);
    arrive(request);
    object_release(&request->object);
}

void request_happened(object *object, const ws_event *event)
{
    request *request = (struct request *)object;
    if (event->type != WS_EVENT_HANDSHAKEN || event->handle != request->inner) return;
    request->outcome = event->status;
    request->phase = event->error != NULL ? event->error->phase : WS_PHASE_NONE;
    request->os_error = event->error != NULL ? event->error->os_error : 0;
    object_keep(object);
    if (!worker_run(arrive_on_worker, request)) arrive_on_worker(request);
}

/* ---- telling ------------------------------------------------------------------------------------------------------------------------------------ */

static void tell_text(request *request, DWORD status, const char *text)
{
    WCHAR *wide = text_to_wide(text);
    if (wide != NULL) callback_tell(&request->object, status, wide, (DWORD)wcslen(wide) + 1);
    free(wide);
}

void request_tell_resolving(request *request)
{
    char *host = url_host(request->url);
    if (host != NULL) tell_text(request, WINHTTP_CALLBACK_STATUS_RESOLVING_NAME, host);
    free(host);
}

/* The server's address, without its port; false = there is none to tell. */
static bool find_address(request *request, char *address, size_t capacity)
{
    size_t length = capacity;
    if (ws_query_option(request->inner, WS_OPTION_REMOTE_ADDRESS, address, &length) != WS_OK) return false;
    char *colon = strrchr(address, ':');
    if (colon != NULL) *colon = '\0';
    if (address[0] == '[') {
        length = strcspn(address, "]");
        address[length] = '\0';
        memmove(address, address + 1, length);
    }
    return address[0] != '\0';
}

DWORD request_tell_sent(request *request)
{
    char address[128];
    bool is_connected = request->outcome == WS_OK || request->phase == WS_PHASE_HTTP || request->phase == WS_PHASE_TLS;
    if (is_connected && find_address(request, address, sizeof address)) {
        tell_text(request, WINHTTP_CALLBACK_STATUS_NAME_RESOLVED, address);
        tell_text(request, WINHTTP_CALLBACK_STATUS_CONNECTING_TO_SERVER, address);
        tell_text(request, WINHTTP_CALLBACK_STATUS_CONNECTED_TO_SERVER, address);
    }
    if (request->outcome == WS_OK || request->phase == WS_PHASE_HTTP) {
        DWORD sent = (DWORD)query_head_size(request, true);
        callback_tell(&request->object, WINHTTP_CALLBACK_STATUS_SENDING_REQUEST, NULL, 0);
        callback_tell(&request->object, WINHTTP_CALLBACK_STATUS_REQUEST_SENT, &sent, sizeof sent);
        return NO_ERROR; /* what came back is told by ReceiveResponse */
    }
    DWORD flag = error_secure_flag(request->outcome);
    if (flag != 0) callback_tell(&request->object, WINHTTP_CALLBACK_STATUS_SECURE_FAILURE, &flag, sizeof flag);
    return error_from_status(request->outcome);
}
