/* Asking for headers, of the answer and of the request as it was sent.
 *
 * Both are heads: a first line and fields, as text. What is asked for is found in them and handed out in the form that was asked for. */
#include "shim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- heads ------------------------------------------------------------------------------------------------------------------------------------- */

/* Appends to a text that grows; NULL stays NULL. */
static char *extend(char *text, const char *name, const char *value)
{
    char *longer = text != NULL ? text_format("%s%s: %s\r\n", text, name, value) : NULL;
    free(text);
    return longer;
}

/* A text of the library's request. NULL = there is none yet, or no memory. */
static char *text_option(const request *request, ws_option option)
{
    size_t length = 0;
    if (ws_query_option(request->inner, option, NULL, &length) != WS_ERROR_INSUFFICIENT_BUFFER) return NULL;
    char *text = malloc(length);
    if (text != NULL && ws_query_option(request->inner, option, text, &length) == WS_OK) return text;
    free(text);
    return NULL;
}

/* The answer's head. NULL = no memory. */
static char *response_head(request *request)
{
    uint16_t status = 0;
    const char *name, *value;
    char *reason = text_option(request, WS_OPTION_REASON_PHRASE);
    (void)ws_query_response(request->inner, &status);
    char *head = text_format("HTTP/1.1 %u %s\r\n", (unsigned)status, reason != NULL ? reason : "");
    free(reason);
    for (uint32_t i = 0; head != NULL && ws_query_header_at(request->inner, i, &name, &value) == WS_OK; i++) head = extend(head, name, value);
    return head;
}

/* The request's head: as it was sent, or what the program has added so far. NULL = no memory. */
static char *request_head(request *request)
{
    char *head = text_option(request, WS_OPTION_REQUEST_HEAD);
    if (head != NULL) {
        head[strlen(head) - 2] = '\0'; /* without the empty line */
        return head;
    }
    head = text_format("%s %s HTTP/1.1\r\n", request->verb, request->target);
    for (size_t i = 0; head != NULL && i < request->headers.count; i++) head = extend(head, request->headers.fields[i].name, request->headers.fields[i].value);
    return head;
}

size_t query_head_size(request *request, bool is_request)
{
    char *head = is_request ? request_head(request) : response_head(request);
    size_t size = head != NULL ? strlen(head) + 2 : 0;
    free(head);
    return size;
}

/* A copy of the value of the `index`th field with a name; NULL = there is none, or no memory. */
static char *find_field(const char *head, const char *name, DWORD index)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL && line[2] != '\0'; line = strstr(line + 2, "\r\n")) {
        const char *at = line + 2;
        if (strncasecmp(at, name, length) != 0 || at[length] != ':' || index-- > 0) continue;
        at += length + 1;
        at += strspn(at, " \t");
        return text_format("%.*s", (int)strcspn(at, "\r\n"), at);
    }
    return NULL;
}

char *query_response_header(request *request, const char *name)
{
    char *head = response_head(request);
    char *value = head != NULL ? find_field(head, name, 0) : NULL;
    free(head);
    return value;
}

/* ---- what can be asked for ------------------------------------------------------------------------------------------------------------------------ */

static const char *const names[] = {
    "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-ID", "Content-Description", "Content-Length", "Content-Language",
    "Allow", "Public", "Date", "Expires", "Last-Modified", "Message-ID", "URI", "Derived-From", "Cost", "Link", "Pragma", NULL, NULL, NULL,
    NULL, NULL, "Connection", "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Authorization", "Content-Encoding",
    "Forwarded", "From", "If-Modified-Since", "Location", "Orig-URI", "Referer", "Retry-After", "Server", "Title", "User-Agent",
    "WWW-Authenticate", "Proxy-Authenticate", "Accept-Ranges", "Set-Cookie", "Cookie", NULL, "Refresh", "Content-Disposition", "Age",
    "Cache-Control", "Content-Base", "Content-Location", "Content-MD5", "Content-Range", "ETag", "Host", "If-Match", "If-None-Match",
    "If-Range", "If-Unmodified-Since", "Max-Forwards", "Proxy-Authorization", "Range", "Transfer-Encoding", "Upgrade", "Vary", "Via",
    "Warning", "Expect", "Proxy-Connection", "Unless-Modified-Since", NULL, NULL, NULL, NULL, "Proxy-Support", "Authentication-Info",
    "PassportURLs", "PassportConfig",
};

/* The first line from its `number`th word on, to its end or to the end of that word. NULL = no memory. */
static char *first_line(const char *head, int number, bool is_one_word)
{
    for (; number > 0; number--) {
        head += strcspn(head, " \r\n");
        head += *head == ' ';
    }
    return text_format("%.*s", (int)strcspn(head, is_one_word ? " \r\n" : "\r\n"), head);
}

/* The text that was asked for; NULL = there is none, or no memory. Raw heads are not texts of one line and are not found here. */
static char *find_value(const char *head, DWORD level, bool is_request, const char *custom, DWORD index)
{
    switch (level) {
    case WINHTTP_QUERY_VERSION: return is_request ? text_copy("HTTP/1.1") : first_line(head, 0, true);
    case WINHTTP_QUERY_STATUS_CODE: return is_request ? NULL : first_line(head, 1, true);
    case WINHTTP_QUERY_STATUS_TEXT: return is_request ? NULL : first_line(head, 2, false);
    case WINHTTP_QUERY_REQUEST_METHOD: return is_request ? first_line(head, 0, true) : NULL;
    case WINHTTP_QUERY_CUSTOM: return custom != NULL ? find_field(head, custom, index) : NULL;
    default:
        if (level >= sizeof names / sizeof *names || names[level] == NULL) return NULL;
        return find_field(head, names[level], index);
    }
}

/* ---- the forms ------------------------------------------------------------------------------------------------------------------------------------ */

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7). */
static bool parse_date(const char *text, SYSTEMTIME *time)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec", days[] = "SunMonTueWedThuFriSat";
    char day_name[4], month_name[4];
    unsigned day, year, hour, minute, second;
    memset(time, 0, sizeof *time);
    if (sscanf(text, "%3[A-Za-z], %2u %3[A-Za-z] %4u %2u:%2u:%2u GMT", day_name, &day, month_name, &year, &hour, &minute, &second) != 7)
        return false;
    const char *month = strstr(months, month_name), *weekday = strstr(days, day_name);
    if (month == NULL || weekday == NULL || strlen(month_name) != 3 || strlen(day_name) != 3) return false;
    time->wYear = (WORD)year;
    time->wMonth = (WORD)((month - months) / 3 + 1);
    time->wDayOfWeek = (WORD)((weekday - days) / 3);
    time->wDay = (WORD)day;
    time->wHour = (WORD)hour;
    time->wMinute = (WORD)minute;
    time->wSecond = (WORD)second;
    return true;
}

static DWORD give_bytes(const void *value, DWORD size, LPVOID buffer, LPDWORD length)
{
    bool fits = buffer != NULL && *length >= size;
    *length = size;
    if (!fits) return ERROR_INSUFFICIENT_BUFFER;
    memcpy(buffer, value, size);
    return NO_ERROR;
}

static DWORD give_form(const char *value, DWORD flags, LPVOID buffer, LPDWORD length)
{
    char *end;
    SYSTEMTIME time;
    if (flags & (WINHTTP_QUERY_FLAG_NUMBER | WINHTTP_QUERY_FLAG_NUMBER64)) {
        errno = 0;
        ULONGLONG wide = strtoull(value, &end, 10);
        DWORD number = (DWORD)wide;
        if (end == value || errno != 0) return ERROR_WINHTTP_INVALID_QUERY_REQUEST;
        if (flags & WINHTTP_QUERY_FLAG_NUMBER64) return give_bytes(&wide, sizeof wide, buffer, length);
        return wide != number ? ERROR_WINHTTP_INVALID_QUERY_REQUEST : give_bytes(&number, sizeof number, buffer, length);
    }
    if (flags & WINHTTP_QUERY_FLAG_SYSTEMTIME)
        return parse_date(value, &time) ? give_bytes(&time, sizeof time, buffer, length) : ERROR_WINHTTP_INVALID_QUERY_REQUEST;
    return text_give_utf8(value, buffer, length);
}

/* The whole head: its lines end with CR LF and an empty line follows, or each ends with NUL and another NUL follows. */
static DWORD give_raw(char *head, bool with_line_ends, LPVOID buffer, LPDWORD length)
{
    char *whole = with_line_ends ? text_format("%s\r\n", head) : text_copy(head);
    WCHAR *wide = whole != NULL ? text_to_wide(whole) : NULL;
    size_t count = 0;
    free(whole);
    if (wide == NULL) return ERROR_NOT_ENOUGH_MEMORY;
    for (size_t i = 0; wide[i] != 0; i++) {
        if (!with_line_ends && wide[i] == L'\n') continue;
        wide[count++] = !with_line_ends && wide[i] == L'\r' ? 0 : wide[i];
    }
    DWORD error = text_give(wide, count, buffer, length);
    free(wide);
    return error;
}

static DWORD query(request *request, DWORD level, const char *custom, LPVOID buffer, LPDWORD length, LPDWORD index)
{
    bool is_request = (level & WINHTTP_QUERY_FLAG_REQUEST_HEADERS) != 0;
    DWORD what = level & 0xFFFFu, error = ERROR_WINHTTP_HEADER_NOT_FOUND;
    if (!is_request && request->state != REQUEST_RESPONDED) return ERROR_WINHTTP_INCORRECT_HANDLE_STATE;
    if (request->state == REQUEST_SENDING || request->state == REQUEST_RECEIVING) return ERROR_WINHTTP_INCORRECT_HANDLE_STATE;
    char *head = is_request ? request_head(request) : response_head(request);
    if (head == NULL) return ERROR_NOT_ENOUGH_MEMORY;
    if (what == WINHTTP_QUERY_RAW_HEADERS || what == WINHTTP_QUERY_RAW_HEADERS_CRLF) {
        error = give_raw(head, what == WINHTTP_QUERY_RAW_HEADERS_CRLF, buffer, length);
    } else {
        char *value = find_value(head, what, is_request, custom, index != NULL ? *index : 0);
        if (value != NULL) error = give_form(value, level, buffer, length);
        if (error == NO_ERROR && index != NULL) ++*index;
        free(value);
    }
    free(head);
    return error;
}

BOOL WINAPI WinHttpQueryHeaders(HINTERNET handle, DWORD level, LPCWSTR name, LPVOID buffer, LPDWORD length, LPDWORD index)
{
    request *request;
    bool invalid = false;
    char *custom = NULL;
    DWORD error = length == NULL ? ERROR_INVALID_PARAMETER : object_find(handle, WINHTTP_HANDLE_TYPE_REQUEST, &request);
    if (error != NO_ERROR) return error_answer(error);
    if ((level & 0xFFFFu) == WINHTTP_QUERY_CUSTOM) {
        if (name != NULL) custom = text_from_wide(name, TEXT_WHOLE, &invalid);
        if (custom == NULL) error = name == NULL || invalid ? ERROR_INVALID_PARAMETER : ERROR_NOT_ENOUGH_MEMORY;
    }
    if (error == NO_ERROR) {
        object_lock(&request->object);
        error = query(request, level, custom, buffer, length, index);
        object_unlock(&request->object);
    }
    free(custom);
    object_release(&request->object);
    return error_answer(error);
}
