/* Options: one row says who has an option, what it is, and where it is kept.
 *
 * Options that only make sense with Windows' own certificates, cookies or proxies are not known here (12009). */
#include "shim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SESSION = 1, CONNECT = 2, REQUEST = 4, WEBSOCKET = 8, ALL = 15 };

typedef enum value { NUMBER, TEXT, PROXY, UPGRADE, CONTEXT, CALLBACK_POINTER, HANDLE_TYPE, PARENT, URL, CLOSE_TIMEOUT, KEEPALIVE, SYSTEM_ERROR,
                     FLAGS, NO_CERTIFICATE, DISABLE } value;

typedef struct row {
    DWORD option;
    value value;
    unsigned set, query; /* which handles */
    size_t offset;       /* NUMBER, FLAGS, DISABLE: in settings. TEXT: the number of the text */
    DWORD greatest;
} row;

#define AT(field) offsetof(settings, field)
#define ANY 0xFFFFFFFFu

static const row rows[] = {
    {WINHTTP_OPTION_CALLBACK, CALLBACK_POINTER, 0, ALL, 0, 0},
    {WINHTTP_OPTION_RESOLVE_TIMEOUT, NUMBER, SESSION | REQUEST, SESSION | REQUEST, AT(resolve_timeout), ANY},
    {WINHTTP_OPTION_CONNECT_TIMEOUT, NUMBER, SESSION | REQUEST, SESSION | REQUEST, AT(connect_timeout), ANY},
    {WINHTTP_OPTION_CONNECT_RETRIES, NUMBER, SESSION | REQUEST, SESSION | REQUEST, AT(connect_retries), ANY},
    {WINHTTP_OPTION_SEND_TIMEOUT, NUMBER, SESSION | REQUEST, SESSION | REQUEST, AT(send_timeout), ANY},
    {WINHTTP_OPTION_RECEIVE_TIMEOUT, NUMBER, SESSION | REQUEST, SESSION | REQUEST, AT(receive_timeout), ANY},
    {WINHTTP_OPTION_RECEIVE_RESPONSE_TIMEOUT, NUMBER, SESSION | REQUEST, SESSION | REQUEST, AT(response_timeout), ANY},
    {WINHTTP_OPTION_HANDLE_TYPE, HANDLE_TYPE, 0, ALL, 0, 0},
    {WINHTTP_OPTION_PARENT_HANDLE, PARENT, 0, ALL, 0, 0},
    {WINHTTP_OPTION_EXTENDED_ERROR, SYSTEM_ERROR, 0, REQUEST, 0, 0},
    {WINHTTP_OPTION_SECURITY_FLAGS, FLAGS, REQUEST, REQUEST, AT(security_flags),
     SECURITY_FLAG_IGNORE_UNKNOWN_CA | SECURITY_FLAG_IGNORE_CERT_WRONG_USAGE | SECURITY_FLAG_IGNORE_CERT_CN_INVALID |
         SECURITY_FLAG_IGNORE_CERT_DATE_INVALID},
    {WINHTTP_OPTION_URL, URL, 0, REQUEST, 0, 0},
    {WINHTTP_OPTION_PROXY, PROXY, SESSION | REQUEST, SESSION | REQUEST, 0, 0},
    {WINHTTP_OPTION_USER_AGENT, TEXT, SESSION | REQUEST, SESSION | REQUEST, 2, 0},
    {WINHTTP_OPTION_CONTEXT_VALUE, CONTEXT, ALL, ALL, 0, 0},
    {WINHTTP_OPTION_CLIENT_CERT_CONTEXT, NO_CERTIFICATE, REQUEST, 0, 0, 0},
    {WINHTTP_OPTION_DISABLE_FEATURE, DISABLE, REQUEST, 0, AT(disabled_features),
     WINHTTP_DISABLE_COOKIES | WINHTTP_DISABLE_REDIRECTS | WINHTTP_DISABLE_AUTHENTICATION | WINHTTP_DISABLE_KEEP_ALIVE},
    {WINHTTP_OPTION_SECURE_PROTOCOLS, FLAGS, SESSION, SESSION, AT(secure_protocols),
     WINHTTP_FLAG_SECURE_PROTOCOL_SSL2 | WINHTTP_FLAG_SECURE_PROTOCOL_SSL3 | WINHTTP_FLAG_SECURE_PROTOCOL_TLS1 |
         WINHTTP_FLAG_SECURE_PROTOCOL_TLS1_1 | WINHTTP_FLAG_SECURE_PROTOCOL_TLS1_2 | WINHTTP_FLAG_SECURE_PROTOCOL_TLS1_3},
    {WINHTTP_OPTION_REDIRECT_POLICY, NUMBER, SESSION | REQUEST, SESSION | REQUEST, AT(redirect_policy), WINHTTP_OPTION_REDIRECT_POLICY_LAST},
    {WINHTTP_OPTION_MAX_HTTP_AUTOMATIC_REDIRECTS, NUMBER, SESSION | REQUEST, SESSION | REQUEST, AT(redirects), ANY},
    {WINHTTP_OPTION_MAX_HTTP_STATUS_CONTINUE, NUMBER, SESSION | REQUEST, SESSION | REQUEST, AT(continues), ANY},
    {WINHTTP_OPTION_MAX_RESPONSE_HEADER_SIZE, NUMBER, SESSION | REQUEST, SESSION | REQUEST, AT(head_size), ANY},
    {WINHTTP_OPTION_ASSURED_NON_BLOCKING_CALLBACKS, NUMBER, SESSION, SESSION, AT(assured_callbacks), ANY},
    {WINHTTP_OPTION_UPGRADE_TO_WEB_SOCKET, UPGRADE, REQUEST, 0, 0, 0},
    {WINHTTP_OPTION_WEB_SOCKET_CLOSE_TIMEOUT, CLOSE_TIMEOUT, WEBSOCKET, WEBSOCKET, 0, 0},
    {WINHTTP_OPTION_WEB_SOCKET_KEEPALIVE_INTERVAL, KEEPALIVE, WEBSOCKET, 0, 0, 0},
    {WINHTTP_OPTION_WEB_SOCKET_RECEIVE_BUFFER_SIZE, NUMBER, SESSION | REQUEST, SESSION | REQUEST, AT(receive_buffer_size), ANY},
    {WINHTTP_OPTION_WEB_SOCKET_SEND_BUFFER_SIZE, NUMBER, SESSION | REQUEST, SESSION | REQUEST, AT(send_buffer_size), ANY},
    {WINHTTP_OPTION_USERNAME, TEXT, REQUEST, REQUEST, 3, 0},
    {WINHTTP_OPTION_PASSWORD, TEXT, REQUEST, REQUEST, 4, 0},
    {WINHTTP_OPTION_PROXY_USERNAME, TEXT, REQUEST, REQUEST, 5, 0},
    {WINHTTP_OPTION_PROXY_PASSWORD, TEXT, REQUEST, REQUEST, 6, 0},
};

static const row *find_row(DWORD option)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].option == option) return &rows[i];
    }
    return NULL;
}

static unsigned owner_of(const object *object)
{
    switch (object->class->kind) {
    case WINHTTP_HANDLE_TYPE_SESSION: return SESSION;
    case WINHTTP_HANDLE_TYPE_CONNECT: return CONNECT;
    case WINHTTP_HANDLE_TYPE_REQUEST: return REQUEST;
    default: return WEBSOCKET;
    }
}

/* Sessions and requests have them. */
static settings *settings_of(object *object)
{
    return object->class->kind == WINHTTP_HANDLE_TYPE_SESSION ? &((session *)object)->settings : &((request *)object)->settings;
}

static DWORD *number_at(object *object, const row *row) { return (DWORD *)(void *)((char *)settings_of(object) + row->offset); }

/* ---- setting; the object is locked -------------------------------------------------------------------------------------------------------- */

static DWORD set_text(char **text, LPCWSTR wide, size_t length)
{
    bool invalid = false;
    char *copy = text_from_wide(wide, length, &invalid);
    if (copy == NULL) return invalid ? ERROR_INVALID_PARAMETER : ERROR_NOT_ENOUGH_MEMORY;
    free(*text);
    *text = copy;
    return NO_ERROR;
}

static DWORD set_proxy(settings *settings, const WINHTTP_PROXY_INFO *info)
{
    if (info->dwAccessType != WINHTTP_ACCESS_TYPE_NAMED_PROXY) {
        if (info->dwAccessType > WINHTTP_ACCESS_TYPE_AUTOMATIC_PROXY || info->dwAccessType == 2) return ERROR_INVALID_PARAMETER;
        settings->access_type = info->dwAccessType;
        return NO_ERROR;
    }
    if (info->lpszProxy == NULL || info->lpszProxy[0] == 0) return ERROR_INVALID_PARAMETER;
    DWORD error = set_text(&settings->proxy, info->lpszProxy, TEXT_WHOLE);
    if (error == NO_ERROR) error = set_text(&settings->bypass, info->lpszProxyBypass != NULL ? info->lpszProxyBypass : L"", TEXT_WHOLE);
    if (error == NO_ERROR) settings->access_type = info->dwAccessType;
    return error;
}

static DWORD set_number(DWORD *place, const row *row, const void *buffer, DWORD length)
{
    DWORD number;
    if (length != sizeof number) return ERROR_INVALID_PARAMETER;
    memcpy(&number, buffer, sizeof number);
    if (row->value == NUMBER ? number > row->greatest : (number & ~row->greatest) != 0) return ERROR_INVALID_PARAMETER;
    *place = row->value == DISABLE ? *place | number : number;
    return NO_ERROR;
}

static DWORD set_inner_number(websocket *websocket, ws_option option, DWORD least, const void *buffer, DWORD length)
{
    DWORD number;
    if (length != sizeof number) return ERROR_INVALID_PARAMETER;
    memcpy(&number, buffer, sizeof number);
    if (number < least) return ERROR_INVALID_PARAMETER;
    return error_from_status(ws_set_option(websocket->inner, option, &number, sizeof number));
}

static DWORD set_value(object *object, const row *row, LPVOID buffer, DWORD length)
{
    request *request = (struct request *)object;
    /* These four may be told nothing; the others may not. */
    if (buffer == NULL && row->value != UPGRADE && row->value != NO_CERTIFICATE && row->value != KEEPALIVE && row->value != CLOSE_TIMEOUT)
        return ERROR_INVALID_PARAMETER;
    switch (row->value) {
    case UPGRADE:
        if (request->state == REQUEST_SENDING || request->state == REQUEST_RECEIVING) return ERROR_WINHTTP_INCORRECT_HANDLE_STATE;
        request->is_upgrade = true;
        return NO_ERROR;
    case NO_CERTIFICATE: return buffer == NULL && length == 0 ? NO_ERROR : ERROR_NOT_SUPPORTED;
    case CONTEXT:
        if (length != sizeof object->context) return ERROR_INVALID_PARAMETER;
        memcpy(&object->context, buffer, sizeof object->context);
        return NO_ERROR;
    case PROXY:
        if (length != sizeof(WINHTTP_PROXY_INFO)) return ERROR_INVALID_PARAMETER;
        return set_proxy(settings_of(object), buffer);
    case TEXT: return set_text(settings_text(settings_of(object), row->offset), buffer, wcsnlen(buffer, length)); /* a length in characters */
    case CLOSE_TIMEOUT:
    case KEEPALIVE:
        if (buffer == NULL) return ERROR_INVALID_PARAMETER;
        return row->value == KEEPALIVE ? set_inner_number((websocket *)object, WS_OPTION_KEEPALIVE_INTERVAL, WINHTTP_WEB_SOCKET_MIN_KEEPALIVE_VALUE, buffer, length)
                                       : set_inner_number((websocket *)object, WS_OPTION_CLOSE_TIMEOUT, 0, buffer, length);
    default: return set_number(number_at(object, row), row, buffer, length);
    }
}

BOOL WINAPI WinHttpSetOption(HINTERNET handle, DWORD option, LPVOID buffer, DWORD length)
{
    object *object;
    DWORD error = object_find(handle, 0, &object);
    if (error != NO_ERROR) return error_answer(error);
    const row *row = find_row(option);
    if (row == NULL) error = ERROR_WINHTTP_INVALID_OPTION;
    else if (row->set == 0) error = ERROR_WINHTTP_OPTION_NOT_SETTABLE;
    else if ((row->set & owner_of(object)) == 0) error = ERROR_WINHTTP_INCORRECT_HANDLE_TYPE;
    if (error == NO_ERROR) {
        object_lock(object);
        error = set_value(object, row, buffer, length);
        object_unlock(object);
    }
    object_release(object);
    return error_answer(error);
}

/* ---- querying; the object is locked --------------------------------------------------------------------------------------------------------- */

static DWORD give(const void *value, DWORD size, LPVOID buffer, LPDWORD length)
{
    bool fits = buffer != NULL && *length >= size;
    *length = size;
    if (!fits) return ERROR_INSUFFICIENT_BUFFER;
    memcpy(buffer, value, size);
    return NO_ERROR;
}

/* The texts are the caller's to free with GlobalFree. */
static DWORD give_proxy(const settings *settings, LPVOID buffer, LPDWORD length)
{
    WINHTTP_PROXY_INFO info = {settings->access_type, NULL, NULL};
    if (buffer == NULL || *length < sizeof info) return give(&info, sizeof info, NULL, length);
    if (settings->access_type == WINHTTP_ACCESS_TYPE_NAMED_PROXY) {
        info.lpszProxy = text_to_wide(settings->proxy);
        info.lpszProxyBypass = settings->bypass != NULL && settings->bypass[0] != '\0' ? text_to_wide(settings->bypass) : NULL;
        if (info.lpszProxy == NULL) return free(info.lpszProxyBypass), ERROR_NOT_ENOUGH_MEMORY;
    }
    return give(&info, sizeof info, buffer, length);
}

static DWORD give_close_timeout(websocket *websocket, LPVOID buffer, LPDWORD length)
{
    uint32_t number = 0;
    size_t size = sizeof number;
    DWORD error = error_from_status(ws_query_option(websocket->inner, WS_OPTION_CLOSE_TIMEOUT, &number, &size));
    return error != NO_ERROR ? error : give(&number, sizeof number, buffer, length);
}

/* In WinHTTP's own scheme, which has no ws and wss. */
static DWORD give_url(const request *request, LPVOID buffer, LPDWORD length)
{
    const connection *connection = (const struct connection *)request->object.parent;
    char port[8] = "";
    DWORD usual = request->is_secure ? INTERNET_DEFAULT_HTTPS_PORT : INTERNET_DEFAULT_HTTP_PORT;
    char *url;
    if (request->url != NULL) {
        url = text_format("http%s", request->url + 2); /* ws:// is http://, wss:// is https:// */
    } else {
        if (connection->port != 0 && connection->port != usual) (void)snprintf(port, sizeof port, ":%u", (unsigned)connection->port);
        url = text_format("http%s://%s%s%s", request->is_secure ? "s" : "", connection->host, port, request->target);
    }
    DWORD error = url != NULL ? text_give_utf8(url, buffer, length) : ERROR_NOT_ENOUGH_MEMORY;
    free(url);
    return error;
}

static DWORD give_value(object *object, const row *row, LPVOID buffer, LPDWORD length)
{
    HINTERNET parent = object->parent != NULL ? object->parent->handle : NULL;
    DWORD number;
    switch (row->value) {
    case CALLBACK_POINTER: return give(&object->callback, sizeof object->callback, buffer, length);
    case HANDLE_TYPE: return give(&object->class->kind, sizeof object->class->kind, buffer, length);
    case PARENT: return give(&parent, sizeof parent, buffer, length);
    case CONTEXT: return give(&object->context, sizeof object->context, buffer, length);
    case SYSTEM_ERROR:
        number = (DWORD)((request *)object)->os_error;
        return give(&number, sizeof number, buffer, length);
    case URL: return give_url((request *)object, buffer, length);
    case PROXY: return give_proxy(settings_of(object), buffer, length);
    case CLOSE_TIMEOUT: return give_close_timeout((websocket *)object, buffer, length);
    case TEXT: {
        const char *text = *settings_text(settings_of(object), row->offset);
        return text_give_utf8(text != NULL ? text : "", buffer, length);
    }
    case FLAGS:
        number = *number_at(object, row);
        if (row->option == WINHTTP_OPTION_SECURITY_FLAGS && ((request *)object)->is_secure) number |= SECURITY_FLAG_SECURE;
        return give(&number, sizeof number, buffer, length);
    default: return give(number_at(object, row), sizeof(DWORD), buffer, length);
    }
}

BOOL WINAPI WinHttpQueryOption(HINTERNET handle, DWORD option, LPVOID buffer, LPDWORD length)
{
    object *object;
    DWORD error = length == NULL ? ERROR_INVALID_PARAMETER : object_find(handle, 0, &object);
    if (error != NO_ERROR) return error_answer(error);
    const row *row = find_row(option);
    if (row == NULL) error = ERROR_WINHTTP_INVALID_OPTION;
    else if (row->query == 0) error = ERROR_INVALID_PARAMETER;
    else if ((row->query & owner_of(object)) == 0) error = ERROR_WINHTTP_INCORRECT_HANDLE_TYPE;
    if (error == NO_ERROR) {
        object_lock(object);
        error = give_value(object, row, buffer, length);
        object_unlock(object);
    }
    object_release(object);
    return error_answer(error);
}

/* ---- timeouts ----------------------------------------------------------------------------------------------------------------------------- */

BOOL WINAPI WinHttpSetTimeouts(HINTERNET handle, int resolve, int connect, int send, int receive)
{
    object *object;
    if (resolve < -1 || connect < -1 || send < -1 || receive < -1) return error_answer(ERROR_INVALID_PARAMETER);
    DWORD error = object_find(handle, 0, &object);
    if (error != NO_ERROR) return error_answer(error);
    if ((owner_of(object) & (SESSION | REQUEST)) == 0) {
        error = ERROR_WINHTTP_INCORRECT_HANDLE_TYPE;
    } else {
        settings *settings = settings_of(object);
        object_lock(object);
        settings->resolve_timeout = resolve > 0 ? (DWORD)resolve : 0;
        settings->connect_timeout = connect > 0 ? (DWORD)connect : 0;
        settings->send_timeout = send > 0 ? (DWORD)send : 0;
        settings->receive_timeout = receive > 0 ? (DWORD)receive : 0;
        object_unlock(object);
    }
    object_release(object);
    return error_answer(error);
}
