/* Texts: between UTF-8, which the library speaks, and wide characters, which WinHTTP does. */
#include "shim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAST_CODE_POINT 0x10FFFFu

static bool is_surrogate(uint32_t point) { return point >= 0xD800u && point <= 0xDFFFu; }

/* Writes a code point as UTF-8 and returns how many bytes that takes. */
static size_t encode(uint32_t point, char *out)
{
    static const uint8_t firsts[] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = size; i-- > 1; point >>= 6) out[i] = (char)(0x80u | (point & 0x3Fu));
    out[0] = (char)(firsts[size] | point);
    return size;
}

/* Reads a code point of at most `length` bytes and returns how many it took; 0 = this is not UTF-8. */
static size_t decode(const uint8_t *bytes, size_t length, uint32_t *point)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = bytes[0];
    size_t size = first < 0x80 ? 1 : first >= 0xC2 && first < 0xE0 ? 2 : first >= 0xE0 && first < 0xF0 ? 3 : first >= 0xF0 && first < 0xF5 ? 4 : 0;
    if (size == 0 || size > length) return 0;
    *point = size == 1 ? first : first & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xC0u) != 0x80u) return 0;
        *point = *point << 6 | (bytes[i] & 0x3Fu);
    }
    return *point < smallest[size] || *point > LAST_CODE_POINT || is_surrogate(*point) ? 0 : size;
}

bool text_is_utf8(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    while (length > 0) {
        uint32_t point;
        size_t size = decode(at, length, &point);
        if (size == 0) return false;
        at += size;
        length -= size;
    }
    return true;
}

char *text_from_wide(LPCWSTR wide, size_t length, bool *invalid)
{
    if (length == TEXT_WHOLE) length = wcslen(wide);
    char *text = malloc(length * 4 + 1), *at = text;
    *invalid = false;
    if (text == NULL) return NULL;
    for (size_t i = 0; i < length; i++) {
        uint32_t point = (uint32_t)wide[i];
#if WCHAR_MAX <= 0xFFFF
        if (point >= 0xD800u && point < 0xDC00u && i + 1 < length && (uint32_t)wide[i + 1] - 0xDC00u < 0x400u)
            point = 0x10000u + ((point - 0xD800u) << 10) + ((uint32_t)wide[++i] - 0xDC00u);
#endif
        if (point == 0 || point > LAST_CODE_POINT || is_surrogate(point)) {
            *invalid = true;
            free(text);
            return NULL;
        }
        at += encode(point, at);
    }
    *at = '\0';
    return text;
}

WCHAR *text_to_wide(const char *text)
{
    size_t length = strlen(text), count = 0;
    bool is_utf8 = text_is_utf8(text, length);
    WCHAR *wide = malloc((length + 1) * sizeof *wide);
    if (wide == NULL) return NULL;
    for (const uint8_t *at = (const uint8_t *)text; *at != 0;) {
        uint32_t point = *at;
        at += is_utf8 ? decode(at, length - (size_t)((const char *)at - text), &point) : 1;
#if WCHAR_MAX <= 0xFFFF
        if (point >= 0x10000u) {
            wide[count++] = (WCHAR)(0xD7C0u + (point >> 10));
            point = 0xDC00u | (point & 0x3FFu);
        }
#endif
        wide[count++] = (WCHAR)point;
    }
    wide[count] = 0;
    return wide;
}

char *text_copy(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    if (copy != NULL) memcpy(copy, text, size);
    return copy;
}

char *text_format(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text == NULL) return NULL;
    va_start(arguments, format);
    (void)vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}

DWORD text_give(const WCHAR *wide, size_t characters, LPVOID buffer, LPDWORD length)
{
    DWORD needed = (DWORD)((characters + 1) * sizeof *wide);
    if (buffer == NULL || *length < needed) {
        *length = needed;
        return ERROR_INSUFFICIENT_BUFFER;
    }
    if (characters > 0) memcpy(buffer, wide, characters * sizeof *wide);
    memset((char *)buffer + characters * sizeof *wide, 0, sizeof *wide); /* the buffer need not be aligned */
    *length = (DWORD)(characters * sizeof *wide);
    return NO_ERROR;
}

DWORD text_give_utf8(const char *text, LPVOID buffer, LPDWORD length)
{
    WCHAR *wide = text_to_wide(text);
    if (wide == NULL) return ERROR_NOT_ENOUGH_MEMORY;
    DWORD error = text_give(wide, wcslen(wide), buffer, length);
    free(wide);
    return error;
}
