/* Errors: the thread's last one, and WinHTTP's numbers for the library's. */
#include "shim.h"

#include <stdlib.h>

static _Thread_local DWORD last_error;

DWORD WINAPI GetLastError(void) { return last_error; }

void WINAPI SetLastError(DWORD error) { last_error = error; }

HGLOBAL WINAPI GlobalFree(HGLOBAL memory)
{
    free(memory);
    return NULL;
}

BOOL error_answer(DWORD error)
{
    last_error = error;
    return error == NO_ERROR;
}

ws_phase error_phase(int32_t *os_error)
{
    ws_error_info info = {.size = sizeof info};
    *os_error = 0;
    if (ws_last_error(&info) != WS_OK) return WS_PHASE_NONE;
    *os_error = info.os_error;
    return info.phase;
}

DWORD error_secure_flag(ws_status status)
{
    switch (status) {
    case WS_ERROR_CERT_DATE_INVALID: return WINHTTP_CALLBACK_STATUS_FLAG_CERT_DATE_INVALID;
    case WS_ERROR_CERT_NAME_INVALID: return WINHTTP_CALLBACK_STATUS_FLAG_CERT_CN_INVALID;
    case WS_ERROR_CERT_UNKNOWN_ISSUER: return WINHTTP_CALLBACK_STATUS_FLAG_INVALID_CA;
    case WS_ERROR_CERT_INVALID: return WINHTTP_CALLBACK_STATUS_FLAG_INVALID_CERT;
    case WS_ERROR_CERT_REVOKED: return WINHTTP_CALLBACK_STATUS_FLAG_CERT_REVOKED;
    case WS_ERROR_TLS:
    case WS_ERROR_TLS_CHANNEL: return WINHTTP_CALLBACK_STATUS_FLAG_SECURITY_CHANNEL_ERROR;
    default: return 0;
    }
}

DWORD error_from_status(ws_status status)
{
    if (error_secure_flag(status) != 0) return ERROR_WINHTTP_SECURE_FAILURE; /* the callback has told which */
    switch (status) {
    /* WinHTTP has one number for everything that a peer can do wrong, and no limit on messages to tell of. */
    case WS_ERROR_PROTOCOL_VIOLATION:
    case WS_ERROR_INVALID_PAYLOAD:
    case WS_ERROR_MESSAGE_TOO_BIG:
    case WS_ERROR_UPGRADE_REFUSED: return ERROR_WINHTTP_INVALID_SERVER_RESPONSE;
    case WS_ERROR_PEER_LOST: return ERROR_WINHTTP_CONNECTION_ERROR;
    case WS_ERROR_PROXY: return ERROR_WINHTTP_CANNOT_CONNECT;
    case WS_ERROR_FORKED: return ERROR_INVALID_HANDLE;
    case WS_ERROR_INTERRUPTED: return ERROR_WINHTTP_OPERATION_CANCELLED;
    default: return (DWORD)status; /* the same numbers, on purpose */
    }
}
