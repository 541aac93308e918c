/* Sessions and connections: what requests are made from. No I/O.
 *
 * In scope: WinHttpOpen, WinHttpConnect, and the settings that requests inherit. Out of scope: the options by which they are changed. */
#include "shim.h"

#include <stdlib.h>
#include <string.h>

/* ---- settings --------------------------------------------------------------------------------------------------------------------------- */

static const settings defaults = {
    .connect_timeout = 60000,
    .send_timeout = 30000,
    .receive_timeout = 30000,
    .response_timeout = 90000,
    .connect_retries = 5,
    .receive_buffer_size = 32768,
    .send_buffer_size = 32768,
    .redirect_policy = WINHTTP_OPTION_REDIRECT_POLICY_DEFAULT,
    .redirects = 10,
    .continues = 10,
    .head_size = 64 * 1024,
    .secure_protocols = WINHTTP_FLAG_SECURE_PROTOCOL_TLS1_2 | WINHTTP_FLAG_SECURE_PROTOCOL_TLS1_3,
};

char **settings_text(settings *settings, size_t number)
{
    return number == 0 ? &settings->proxy : number == 1 ? &settings->bypass : number == 2 ? &settings->user_agent : &settings->names[number - 3];
}

bool settings_copy(settings *to, const settings *from)
{
    settings source = *from;
    bool is_whole = true;
    *to = *from;
    for (size_t i = 0; i < SETTINGS_TEXTS; i++) {
        const char *text = *settings_text(&source, i);
        char *copy = text != NULL ? text_copy(text) : NULL;
        is_whole = is_whole && (text == NULL || copy != NULL);
        *settings_text(to, i) = copy;
    }
    return is_whole;
}

void settings_free(settings *settings)
{
    for (size_t i = 0; i < SETTINGS_TEXTS; i++) free(*settings_text(settings, i));
}

/* ---- sessions ------------------------------------------------------------------------------------------------------------------------------ */

static void session_destroy(object *object)
{
    session *session = (struct session *)object;
    if (session->inner != WS_NO_HANDLE) (void)ws_close_handle(session->inner);
    settings_free(&session->settings);
}

static const object_class session_class = {WINHTTP_HANDLE_TYPE_SESSION, NULL, session_destroy, NULL};

/* A proxy must be named if one is, and only then; a bypass list is NULL rather than empty. */
static bool proxy_is_valid(DWORD access, LPCWSTR proxy, LPCWSTR bypass)
{
    if (access == WINHTTP_ACCESS_TYPE_NAMED_PROXY) return proxy != NULL && proxy[0] != 0 && (bypass == NULL || bypass[0] != 0);
    return (access == WINHTTP_ACCESS_TYPE_DEFAULT_PROXY || access == WINHTTP_ACCESS_TYPE_NO_PROXY ||
            access == WINHTTP_ACCESS_TYPE_AUTOMATIC_PROXY) && proxy == NULL && bypass == NULL;
}

/* A copy of a text that may be NULL; 0, 8, or 87 if it is not one. */
static DWORD copy_wide(LPCWSTR wide, char **text)
{
    bool invalid = false;
    *text = wide != NULL ? text_from_wide(wide, TEXT_WHOLE, &invalid) : NULL;
    return invalid ? ERROR_INVALID_PARAMETER : wide != NULL && *text == NULL ? ERROR_NOT_ENOUGH_MEMORY : NO_ERROR;
}

static DWORD session_begin(session *session, LPCWSTR agent, LPCWSTR proxy, LPCWSTR bypass)
{
    DWORD error = copy_wide(agent, &session->settings.user_agent);
    if (error == NO_ERROR) error = copy_wide(proxy, &session->settings.proxy);
    if (error == NO_ERROR) error = copy_wide(bypass, &session->settings.bypass);
    /* The agent goes with each request, because a program may change it. */
    return error != NO_ERROR ? error : error_from_status(ws_open(NULL, session->object.is_async ? WS_FLAG_ASYNC : 0, &session->inner));
}

HINTERNET WINAPI WinHttpOpen(LPCWSTR agent, DWORD access, LPCWSTR proxy, LPCWSTR bypass, DWORD flags)
{
    HINTERNET handle = NULL;
    DWORD error = ERROR_INVALID_PARAMETER;
    session *session = NULL;
    if ((flags & ~(DWORD)WINHTTP_FLAG_SECURE_DEFAULTS) == 0 && proxy_is_valid(access, proxy, bypass)) {
        session = (struct session *)object_new(&session_class, sizeof *session, NULL);
        error = ERROR_NOT_ENOUGH_MEMORY;
    }
    if (session != NULL) {
        session->settings = defaults;
        session->settings.access_type = access;
        session->object.is_async = (flags & WINHTTP_FLAG_ASYNC) != 0;
        error = session_begin(session, agent, proxy, bypass);
        if (error == NO_ERROR && (handle = object_publish(&session->object)) == NULL) error = ERROR_NOT_ENOUGH_MEMORY;
        if (handle == NULL) object_release(&session->object);
    }
    (void)error_answer(error);
    return handle;
}

/* ---- connections ----------------------------------------------------------------------------------------------------------------------------- */

static void connection_destroy(object *object) { free(((connection *)object)->host); }

static const object_class connection_class = {WINHTTP_HANDLE_TYPE_CONNECT, NULL, connection_destroy, NULL};

/* Whether it can be a name or an address: nothing of it may end the host in a URL. */
static bool host_is_valid(const char *host) { return host[0] != '\0' && strpbrk(host, "/?#@\\ \t\r\n\"<>") == NULL; }

static HINTERNET connect_to(session *session, LPCWSTR host, INTERNET_PORT port, DWORD *error)
{
    HINTERNET handle = NULL;
    connection *connection = (struct connection *)object_new(&connection_class, sizeof *connection, &session->object);
    *error = ERROR_NOT_ENOUGH_MEMORY;
    if (connection == NULL) return NULL;
    connection->port = port;
    *error = copy_wide(host, &connection->host);
    if (*error == NO_ERROR && !host_is_valid(connection->host)) *error = ERROR_WINHTTP_INVALID_URL;
    if (*error == NO_ERROR && (handle = object_publish(&connection->object)) == NULL) *error = ERROR_NOT_ENOUGH_MEMORY;
    if (handle == NULL) object_release(&connection->object);
    return handle;
}

HINTERNET WINAPI WinHttpConnect(HINTERNET handle, LPCWSTR host, INTERNET_PORT port, DWORD reserved)
{
    HINTERNET connection = NULL;
    session *session;
    (void)reserved;
    DWORD error = host == NULL ? ERROR_INVALID_PARAMETER : object_find(handle, WINHTTP_HANDLE_TYPE_SESSION, &session);
    if (error == NO_ERROR) {
        connection = connect_to(session, host, port, &error);
        object_release(&session->object);
    }
    (void)error_answer(error);
    return connection;
}
