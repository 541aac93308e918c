/* User names and passwords, for answers 401 and 407. The library answers the challenge; what is said here waits for it. */
#include "shim.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The credentials are for the server that has asked, or else for the one that the request was opened for. The request is locked. */
static DWORD bind_to_server(request *request)
{
    uint16_t status = 0;
    free(request->login_url);
    request->login_url = NULL;
    if (!request_is_challenged(request, &status) || status != HTTP_STATUS_DENIED) return NO_ERROR;
    request->login_url = text_copy(request->url);
    return request->login_url != NULL ? NO_ERROR : ERROR_NOT_ENOUGH_MEMORY;
}

BOOL WINAPI WinHttpSetCredentials(HINTERNET handle, DWORD target, DWORD scheme, LPCWSTR user, LPCWSTR password, LPVOID params)
{
    request *request;
    bool invalid = false;
    if (params != NULL || user == NULL || password == NULL || target > WINHTTP_AUTH_TARGET_PROXY) return error_answer(ERROR_INVALID_PARAMETER);
    DWORD error = object_find(handle, WINHTTP_HANDLE_TYPE_REQUEST, &request);
    if (error != NO_ERROR) return error_answer(error);
    char *texts[2] = {text_from_wide(user, TEXT_WHOLE, &invalid), NULL};
    if (texts[0] != NULL) texts[1] = text_from_wide(password, TEXT_WHOLE, &invalid);
    object_lock(&request->object);
    if (scheme != WINHTTP_AUTH_SCHEME_BASIC && scheme != WINHTTP_AUTH_SCHEME_DIGEST) error = ERROR_NOT_SUPPORTED;
    else if (texts[1] == NULL) error = invalid ? ERROR_INVALID_PARAMETER : ERROR_NOT_ENOUGH_MEMORY;
    else if (request->state == REQUEST_SENDING || request->state == REQUEST_RECEIVING) error = ERROR_WINHTTP_INCORRECT_HANDLE_STATE;
    for (size_t i = 0; error == NO_ERROR && i < 2; i++) {
        char **place = &request->settings.names[target * 2 + i];
        free(*place);
        *place = texts[i];
        texts[i] = NULL;
    }
    if (error == NO_ERROR) request->schemes[target] = scheme;
    if (error == NO_ERROR && target == WINHTTP_AUTH_TARGET_SERVER) error = bind_to_server(request);
    object_unlock(&request->object);
    free(texts[0]);
    free(texts[1]);
    object_release(&request->object);
    return error_answer(error);
}

/* The bit of the scheme that a challenge begins with, 0 = there is none, or it is another. */
static DWORD scheme_at(const char *challenge)
{
    static const struct {
        const char *name;
        DWORD scheme;
    } schemes[] = {{"Basic", WINHTTP_AUTH_SCHEME_BASIC}, {"NTLM", WINHTTP_AUTH_SCHEME_NTLM}, {"Digest", WINHTTP_AUTH_SCHEME_DIGEST},
                   {"Negotiate", WINHTTP_AUTH_SCHEME_NEGOTIATE}};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t length = strlen(schemes[i].name);
        if (strncasecmp(challenge, schemes[i].name, length) == 0 && strchr(" \t,", challenge[length]) != NULL) return schemes[i].scheme;
    }
    return 0;
}

/* Adds the schemes of a header, which may hold several challenges; commas separate those as well as their parameters. */
static void add_schemes(const char *value, DWORD *supported, DWORD *first)
{
    bool is_quoted = false, may_begin = true;
    for (; *value != '\0'; value++) {
        DWORD scheme = may_begin && !is_quoted ? scheme_at(value) : 0;
        *supported |= scheme;
        if (*first == 0) *first = scheme;
        if (is_quoted && *value == '\\' && value[1] != '\0') value++;
        else if (*value == '"') is_quoted = !is_quoted;
        may_begin = *value == ',' || (may_begin && (*value == ' ' || *value == '\t'));
    }
}

static DWORD query_schemes(request *request, DWORD *supported, DWORD *first, DWORD *target)
{
    uint16_t status = 0;
    *supported = *first = 0;
    if (request->state != REQUEST_RESPONDED) return ERROR_WINHTTP_INCORRECT_HANDLE_STATE;
    if (!request_is_challenged(request, &status)) return ERROR_INVALID_OPERATION;
    *target = status == HTTP_STATUS_DENIED ? WINHTTP_AUTH_TARGET_SERVER : WINHTTP_AUTH_TARGET_PROXY;
    const char *wanted = status == HTTP_STATUS_DENIED ? "WWW-Authenticate" : "Proxy-Authenticate", *name, *value;
    for (uint32_t i = 0; ws_query_header_at(request->inner, i, &name, &value) == WS_OK; i++) {
        if (strcasecmp(name, wanted) == 0) add_schemes(value, supported, first);
    }
    return *supported != 0 ? NO_ERROR : ERROR_WINHTTP_HEADER_NOT_FOUND;
}

BOOL WINAPI WinHttpQueryAuthSchemes(HINTERNET handle, LPDWORD supported, LPDWORD first, LPDWORD target)
{
    request *request;
    if (supported == NULL || first == NULL || target == NULL) return error_answer(ERROR_INVALID_PARAMETER);
    DWORD error = object_find(handle, WINHTTP_HANDLE_TYPE_REQUEST, &request);
    if (error != NO_ERROR) return error_answer(error);
    object_lock(&request->object);
    error = query_schemes(request, supported, first, target);
    object_unlock(&request->object);
    object_release(&request->object);
    return error_answer(error);
}
