/* User names and passwords, for answers 401 and 407. The library answers the challenge; what is said here waits for it. */
#include "shim.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
    object_unlock(&request->object);
    free(texts[0]);
    free(texts[1]);
    object_release(&request->object);
    return error_answer(error);
}

/* The bit of a challenge's scheme. */
static DWORD scheme_of(const char *challenge)
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

static DWORD query_schemes(request *request, DWORD *supported, DWORD *first, DWORD *target)
{
    uint16_t status = 0;
    char value[512];
    size_t length = sizeof value;
    *supported = *first = 0;
    if (request->state != REQUEST_RESPONDED || ws_query_response(request->inner, &status) != WS_OK) return ERROR_WINHTTP_INCORRECT_HANDLE_STATE;
    if (status != HTTP_STATUS_DENIED && status != HTTP_STATUS_PROXY_AUTH_REQ) return ERROR_INVALID_OPERATION;
    *target = status == HTTP_STATUS_DENIED ? WINHTTP_AUTH_TARGET_SERVER : WINHTTP_AUTH_TARGET_PROXY;
    const char *name = status == HTTP_STATUS_DENIED ? "WWW-Authenticate" : "Proxy-Authenticate";
    for (uint32_t i = 0; ws_query_header(request->inner, name, i, value, &length) == WS_OK; i++, length = sizeof value) {
        *supported |= scheme_of(value);
        if (*first == 0) *first = *supported;
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
