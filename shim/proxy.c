/* Which proxy a request goes through: WinHTTP's lists of proxies and of hosts that go without. */
#include "shim.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The next word of a list by ; or white space; false = there is none. */
static bool next_word(const char **list, const char **word, size_t *length)
{
    *list += strspn(*list, "; \t\r\n");
    *word = *list;
    *length = strcspn(*list, "; \t\r\n");
    *list += *length;
    return *length > 0;
}

/* Whether a name fits a pattern in which * stands for anything. */
static bool fits(const char *pattern, size_t length, const char *name)
{
    const char *star = NULL, *mark = NULL, *end = pattern + length;
    while (*name != '\0') {
        if (pattern < end && *pattern == '*') {
            star = pattern++;
            mark = name;
        } else if (pattern < end && strncasecmp(pattern, name, 1) == 0) {
            pattern++;
            name++;
        } else if (star != NULL) {
            pattern = star + 1;
            name = ++mark;
        } else {
            return false;
        }
    }
    while (pattern < end && *pattern == '*') pattern++;
    return pattern == end;
}

static bool is_bypassed(const char *list, const char *host)
{
    const char *word;
    size_t length;
    while (list != NULL && next_word(&list, &word, &length)) {
        if (length == 7 && strncasecmp(word, "<local>", 7) == 0 ? strpbrk(host, ".:") == NULL : fits(word, length, host)) return true;
    }
    return false;
}

/* The proxy for a scheme: "host:port", or "http=host:port;https=host:port". NULL = none, or no memory. */
static char *choose(const char *list, bool is_secure)
{
    const char *scheme = is_secure ? "https=" : "http=", *word;
    size_t length;
    while (next_word(&list, &word, &length)) {
        const char *equals = memchr(word, '=', length), *name = equals == NULL ? word : equals + 1;
        if (equals != NULL && strncasecmp(word, scheme, strlen(scheme)) != 0) continue;
        length -= (size_t)(name - word);
        if (length > 7 && strncasecmp(name, "http://", 7) == 0) name += 7, length -= 7;
        return text_format("http://%.*s", (int)length, name);
    }
    return NULL;
}

ws_status proxy_set(ws_handle inner, const settings *settings, const char *url)
{
    ws_status status = WS_OK;
    if (settings->access_type == WINHTTP_ACCESS_TYPE_AUTOMATIC_PROXY) {
        uint32_t on = 1; /* the environment is where users of these systems say it */
        return ws_set_option(inner, WS_OPTION_PROXY_ENVIRONMENT, &on, sizeof on);
    }
    if (settings->access_type != WINHTTP_ACCESS_TYPE_NAMED_PROXY) return WS_OK;
    char *host = url_host(url);
    if (host == NULL) return WS_ERROR_NOT_ENOUGH_MEMORY;
    char *proxy = is_bypassed(settings->bypass, host) ? NULL : choose(settings->proxy, strncmp(url, "wss:", 4) == 0);
    if (proxy != NULL) status = ws_set_option(inner, WS_OPTION_PROXY, proxy, strlen(proxy));
    free(proxy);
    free(host);
    return status;
}
