/* URLs: WinHttpCrackUrl, and where a redirect leads.
 *
 * WinHTTP knows http and https alone; ws and wss are the library's names for them and never shown. */
#include "shim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

char *url_host(const char *url)
{
    const char *host = strstr(url, "//") + 2;
    size_t length = host[0] == '[' ? strcspn(host, "]") : strcspn(host, ":/?");
    if (host[0] == '[') host++, length--;
    return text_format("%.*s", (int)length, host);
}

/* The port of a "ws://host:port/…". */
static unsigned long url_port(const char *url)
{
    const char *host = strstr(url, "//") + 2;
    const char *after = host + (host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?"));
    return after[0] == ':' && after[1] >= '0' && after[1] <= '9' ? strtoul(after + 1, NULL, 10) : strncmp(url, "wss:", 4) == 0 ? 443 : 80;
}

bool url_is_same_server(const char *from, const char *to)
{
    bool was_secure = strncmp(from, "wss:", 4) == 0, is_secure = strncmp(to, "wss:", 4) == 0;
    char *hosts[2] = {url_host(from), url_host(to)};
    bool is_same = hosts[0] != NULL && hosts[1] != NULL && strcasecmp(hosts[0], hosts[1]) == 0 && (is_secure || !was_secure) &&
                   (url_port(from) == url_port(to) || (url_port(from) == 80 && url_port(to) == 443));
    free(hosts[0]);
    free(hosts[1]);
    return is_same;
}

/* ---- redirects --------------------------------------------------------------------------------------------------------------------------------- */

/* The authority's end in "scheme://authority/…". */
static size_t origin_length(const char *url)
{
    size_t start = (size_t)(strstr(url, "//") + 2 - url);
    return start + strcspn(url + start, "/?#");
}

/* Takes "." and ".." out of the path of a URL (RFC 3986 §5.2.4). */
static void remove_dots(char *url)
{
    char *path = url + origin_length(url), *in = path, *out = path;
    size_t end = strcspn(path, "?#");
    const char *last = path + end;
    while (in < last) {
        size_t segment = 1 + strcspn(in + 1, "/?#"); /* with its slash */
        bool is_last = in + segment >= last;
        if (segment == 2 && in[1] == '.') {
            if (is_last) *out++ = '/';
        } else if (segment == 3 && in[1] == '.' && in[2] == '.') {
            while (out > path && *--out != '/') {}
            if (is_last) *out++ = '/';
        } else {
            memmove(out, in, segment);
            out += segment;
        }
        in += segment;
    }
    memmove(out, last, strlen(last) + 1);
}

char *url_resolve(const char *base, const char *location)
{
    static const struct {
        const char *theirs, *ours;
    } schemes[] = {{"https://", "wss://"}, {"http://", "ws://"}, {"wss://", "wss://"}, {"ws://", "ws://"}};
    int length = (int)strcspn(location, "#"), origin = (int)origin_length(base);
    char *url = NULL;
    for (size_t i = 0; url == NULL && i < sizeof schemes / sizeof *schemes; i++) {
        size_t size = strlen(schemes[i].theirs);
        if (strncasecmp(location, schemes[i].theirs, size) == 0) url = text_format("%s%.*s", schemes[i].ours, length - (int)size, location + size);
    }
    if (url != NULL) {
        /* an absolute one */
    } else if (strncmp(location, "//", 2) == 0) {
        url = text_format("%.*s%.*s", (int)strcspn(base, "/"), base, length, location);
    } else if (location[0] == '/') {
        url = text_format("%.*s%.*s", origin, base, length, location);
    } else if (strchr(location, ':') != NULL && strcspn(location, ":") < strcspn(location, "/?#")) {
        return NULL; /* another scheme */
    } else {
        const char *path = base + origin;
        size_t directory = strcspn(path, "?#");
        while (location[0] != '?' && directory > 0 && path[directory - 1] != '/') directory--;
        url = text_format("%.*s%.*s%s%.*s", origin, base, (int)directory, path, directory == 0 ? "/" : "", length, location);
    }
    if (url != NULL) remove_dots(url);
    return url;
}

/* ---- WinHttpCrackUrl ------------------------------------------------------------------------------------------------------------------------------ */

/* A part of the URL. */
typedef struct part {
    const WCHAR *text;
    size_t length;
} part;

typedef struct parts {
    part scheme, user, password, host, port, path, extra;
} parts;

static size_t span_to(const WCHAR *text, size_t length, const WCHAR *ends)
{
    size_t at = 0;
    while (at < length && (text[at] == 0 || wcschr(ends, text[at]) == NULL)) at++;
    return at;
}

static part take(part *rest, size_t length)
{
    part first = {rest->text, length};
    rest->text += length;
    rest->length -= length;
    return first;
}

/* "user:password@host:port" */
static DWORD split_authority(part authority, parts *parts)
{
    size_t at = span_to(authority.text, authority.length, L"@");
    if (at < authority.length) {
        part user = take(&authority, at);
        (void)take(&authority, 1);
        parts->user = take(&user, span_to(user.text, user.length, L":"));
        if (user.length > 0) (void)take(&user, 1), parts->password = user;
    }
    size_t bracket = authority.length > 0 && authority.text[0] == L'[' ? span_to(authority.text, authority.length, L"]") : 0;
    parts->host = take(&authority, bracket + span_to(authority.text + bracket, authority.length - bracket, L":"));
    if (authority.length > 0) (void)take(&authority, 1), parts->port = authority;
    return parts->host.length > 0 ? NO_ERROR : ERROR_WINHTTP_INVALID_URL;
}

static DWORD split(part rest, parts *parts, INTERNET_SCHEME *scheme)
{
    size_t colon = span_to(rest.text, rest.length, L":/?#");
    memset(parts, 0, sizeof *parts);
    if (colon == rest.length || rest.text[colon] != L':') return ERROR_WINHTTP_UNRECOGNIZED_SCHEME;
    parts->scheme = take(&rest, colon);
    *scheme = colon == 4 && wcsncasecmp(parts->scheme.text, L"http", 4) == 0    ? INTERNET_SCHEME_HTTP
              : colon == 5 && wcsncasecmp(parts->scheme.text, L"https", 5) == 0 ? INTERNET_SCHEME_HTTPS
                                                                                : 0;
    if (*scheme == 0) return ERROR_WINHTTP_UNRECOGNIZED_SCHEME;
    if (rest.length < 3 || wcsncmp(rest.text, L"://", 3) != 0) return ERROR_WINHTTP_INVALID_URL;
    (void)take(&rest, 3);
    DWORD error = split_authority(take(&rest, span_to(rest.text, rest.length, L"/?#")), parts);
    parts->path = take(&rest, span_to(rest.text, rest.length, L"?#"));
    parts->extra = rest;
    return error;
}

static bool parse_port(part text, INTERNET_PORT usual, INTERNET_PORT *port)
{
    DWORD number = 0;
    *port = usual;
    if (text.length == 0) return true;
    for (size_t i = 0; i < text.length; i++) {
        if (text.text[i] < L'0' || text.text[i] > L'9' || (number = number * 10 + (DWORD)(text.text[i] - L'0')) > 65535) return false;
    }
    *port = (INTERNET_PORT)number;
    return true;
}

/* Turns %XX into what it stands for, as UTF-8, or the other way round. NULL = no memory, or not a text. */
static WCHAR *recode(part text, DWORD flags)
{
    bool invalid;
    char *bytes = text_from_wide(text.text, text.length, &invalid), *out;
    if (bytes == NULL) return NULL;
    char *coded = malloc(strlen(bytes) * 3 + 1);
    for (char *in = out = bytes; coded != NULL && (flags & ICU_DECODE); out++) {
        unsigned byte;
        int used = 0;
        if (*in == '%' && sscanf(in, "%%%2x%n", &byte, &used) == 1 && used == 3 && byte != 0) *out = (char)byte, in += 3;
        else if ((*out = *in++) == '\0') break;
    }
    out = coded;
    for (const char *in = bytes; coded != NULL && *in != '\0'; in++) {
        bool escape = (flags & ICU_ESCAPE) && (*in <= ' ' || *in >= 0x7F || strchr("\"<>\\^`{|}", *in) != NULL);
        out += escape ? snprintf(out, 4, "%%%02X", (unsigned)(uint8_t)*in) : 1;
        if (!escape) out[-1] = *in;
    }
    if (coded != NULL) *out = '\0';
    WCHAR *wide = coded != NULL ? text_to_wide(coded) : NULL;
    free(coded);
    free(bytes);
    return wide;
}

/* Hands a part out: not at all, by pointing into the URL, or as a copy. */
static DWORD give_part(part part, DWORD flags, LPWSTR *text, DWORD *length)
{
    if (*text == NULL) {
        if (*length == 0) return NO_ERROR;
        *text = (LPWSTR)(uintptr_t)part.text; /* into the caller's own, which it may change */
        *length = (DWORD)part.length;
        return NO_ERROR;
    }
    WCHAR *recoded = flags != 0 ? recode(part, flags) : NULL;
    if (flags != 0 && recoded == NULL) return ERROR_INVALID_PARAMETER;
    DWORD bytes = *length * (DWORD)sizeof **text;
    DWORD error = text_give(recoded != NULL ? recoded : part.text, recoded != NULL ? wcslen(recoded) : part.length, *text, &bytes);
    *length = bytes / (DWORD)sizeof **text;
    free(recoded);
    return error;
}

static DWORD give_parts(const parts *parts, DWORD flags, LPURL_COMPONENTS out)
{
    part path = parts->path;
    /* Nobody asks for what follows the path: then it belongs to the path. */
    if (out->lpszExtraInfo == NULL && out->dwExtraInfoLength == 0) path.length += parts->extra.length;
    DWORD error = give_part(parts->scheme, 0, &out->lpszScheme, &out->dwSchemeLength);
    if (error == NO_ERROR) error = give_part(parts->host, flags, &out->lpszHostName, &out->dwHostNameLength);
    if (error == NO_ERROR) error = give_part(parts->user, flags, &out->lpszUserName, &out->dwUserNameLength);
    if (error == NO_ERROR) error = give_part(parts->password, flags, &out->lpszPassword, &out->dwPasswordLength);
    if (error == NO_ERROR) error = give_part(path, flags, &out->lpszUrlPath, &out->dwUrlPathLength);
    if (error == NO_ERROR) error = give_part(parts->extra, flags, &out->lpszExtraInfo, &out->dwExtraInfoLength);
    return error;
}

/* Whether some component is to be pointed to: what is decoded or escaped needs room of its own. */
static bool points(const URL_COMPONENTS *out)
{
    return (out->lpszHostName == NULL && out->dwHostNameLength != 0) || (out->lpszUserName == NULL && out->dwUserNameLength != 0) ||
           (out->lpszPassword == NULL && out->dwPasswordLength != 0) || (out->lpszUrlPath == NULL && out->dwUrlPathLength != 0) ||
           (out->lpszExtraInfo == NULL && out->dwExtraInfoLength != 0);
}

BOOL WINAPI WinHttpCrackUrl(LPCWSTR url, DWORD length, DWORD flags, LPURL_COMPONENTS out)
{
    parts parts;
    INTERNET_SCHEME scheme = 0;
    INTERNET_PORT port = 0;
    DWORD recoding = flags & (ICU_DECODE | ICU_ESCAPE);
    if (url == NULL || out == NULL || out->dwStructSize != sizeof *out || (recoding != 0 && points(out))) return error_answer(ERROR_INVALID_PARAMETER);
    part whole = {url, length != 0 ? length : wcslen(url)};
    DWORD error = split(whole, &parts, &scheme);
    if (error == NO_ERROR && parts.user.text != NULL && (flags & ICU_REJECT_USERPWD)) error = ERROR_WINHTTP_INVALID_URL;
    if (error == NO_ERROR &&
        !parse_port(parts.port, scheme == INTERNET_SCHEME_HTTP ? INTERNET_DEFAULT_HTTP_PORT : INTERNET_DEFAULT_HTTPS_PORT, &port))
        error = ERROR_WINHTTP_INVALID_URL;
    if (error == NO_ERROR) error = give_parts(&parts, recoding, out);
    if (error == NO_ERROR) {
        out->nScheme = scheme;
        out->nPort = port;
    }
    return error_answer(error);
}
