/* The headers that a program adds to its request, by WinHTTP's rules. Out of scope: the answer's. */
#include "shim.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void field_free(header *field)
{
    free(field->name);
    free(field->value);
}

void headers_free(headers *headers)
{
    for (size_t i = 0; i < headers->count; i++) field_free(&headers->fields[i]);
    free(headers->fields);
    *headers = (struct headers){NULL, 0};
}

static bool headers_copy(headers *to, const headers *from)
{
    *to = (headers){NULL, 0};
    for (size_t i = 0; i < from->count; i++) {
        if (headers_put(to, from->fields[i].name, from->fields[i].value, WINHTTP_ADDREQ_FLAG_ADD) == NO_ERROR) continue;
        headers_free(to);
        return false;
    }
    return true;
}

static header *find(const headers *headers, const char *name, size_t index)
{
    for (size_t i = 0; i < headers->count; i++) {
        if (strcasecmp(headers->fields[i].name, name) == 0 && index-- == 0) return &headers->fields[i];
    }
    return NULL;
}

const char *headers_find(const headers *headers, const char *name, size_t index)
{
    const header *field = find(headers, name, index);
    return field != NULL ? field->value : NULL;
}

static DWORD append(headers *headers, const char *name, const char *value)
{
    header *fields = realloc(headers->fields, (headers->count + 1) * sizeof *fields);
    if (fields == NULL) return ERROR_NOT_ENOUGH_MEMORY;
    headers->fields = fields;
    header *field = &fields[headers->count];
    *field = (header){text_copy(name), text_copy(value)};
    if (field->name == NULL || field->value == NULL) {
        field_free(field);
        return ERROR_NOT_ENOUGH_MEMORY;
    }
    headers->count++;
    return NO_ERROR;
}

static DWORD change(header *field, char *value)
{
    if (value == NULL) return ERROR_NOT_ENOUGH_MEMORY;
    free(field->value);
    field->value = value;
    return NO_ERROR;
}

static void take_out(headers *headers, header *field)
{
    size_t index = (size_t)(field - headers->fields);
    field_free(field);
    memmove(field, field + 1, (--headers->count - index) * sizeof *field);
}

DWORD headers_put(headers *headers, const char *name, const char *value, DWORD modifiers)
{
    header *field = find(headers, name, 0);
    if (modifiers & WINHTTP_ADDREQ_FLAG_REPLACE) {
        if (field == NULL && !(modifiers & WINHTTP_ADDREQ_FLAG_ADD)) return ERROR_WINHTTP_HEADER_NOT_FOUND;
        if (field != NULL && value[0] == '\0') return take_out(headers, field), NO_ERROR;
        if (field != NULL) return change(field, text_copy(value));
        return value[0] == '\0' ? NO_ERROR : append(headers, name, value);
    }
    if (field != NULL && (modifiers & WINHTTP_ADDREQ_FLAG_ADD_IF_NEW)) return ERROR_WINHTTP_HEADER_ALREADY_EXISTS;
    if (field != NULL && (modifiers & WINHTTP_ADDREQ_FLAG_COALESCE_WITH_COMMA)) return change(field, text_format("%s, %s", field->value, value));
    if (field != NULL && (modifiers & WINHTTP_ADDREQ_FLAG_COALESCE_WITH_SEMICOLON))
        return change(field, text_format("%s; %s", field->value, value));
    return append(headers, name, value);
}

/* ---- lines ------------------------------------------------------------------------------------------------------------------------------------ */

static bool is_token(const char *name)
{
    if (name[0] == '\0') return false;
    for (const char *at = name; *at != '\0'; at++) {
        if (*at <= ' ' || *at >= 0x7F || strchr("()<>@,;:\\\"/[]?={}", *at) != NULL) return false;
    }
    return true;
}

static char *trim(char *text)
{
    size_t length;
    text += strspn(text, " \t");
    for (length = strlen(text); length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t');) length--;
    text[length] = '\0';
    return text;
}

/* Puts one line, "Name: value". */
static DWORD put_line(headers *headers, char *line, DWORD modifiers)
{
    char *colon = strchr(line, ':');
    if (colon == NULL) return ERROR_INVALID_PARAMETER;
    *colon = '\0';
    char *value = trim(colon + 1);
    if (!is_token(line) || value[strcspn(value, "\r\n")] != '\0') return ERROR_INVALID_PARAMETER;
    return headers_put(headers, line, value, modifiers);
}

static DWORD put_lines(headers *headers, char *lines, DWORD modifiers)
{
    DWORD error = NO_ERROR;
    while (error == NO_ERROR && *lines != '\0') {
        char *end = strstr(lines, "\r\n"), *next = end != NULL ? end + 2 : lines + strlen(lines);
        if (end != NULL) *end = '\0';
        if (*lines != '\0') error = put_line(headers, lines, modifiers);
        lines = next;
    }
    return error;
}

DWORD headers_add(headers *headers, const char *lines, DWORD modifiers)
{
    struct headers changed;
    char *copy = text_copy(lines);
    DWORD error = ERROR_NOT_ENOUGH_MEMORY;
    if (copy != NULL && headers_copy(&changed, headers)) {
        error = put_lines(&changed, copy, modifiers);
        struct headers *useless = error == NO_ERROR ? headers : &changed;
        headers_free(useless);
        if (error == NO_ERROR) *headers = changed;
    }
    free(copy);
    return error;
}

BOOL WINAPI WinHttpAddRequestHeaders(HINTERNET handle, LPCWSTR lines, DWORD length, DWORD modifiers)
{
    request *request;
    bool invalid = false;
    if (lines == NULL || length == 0) return error_answer(ERROR_INVALID_PARAMETER);
    DWORD error = object_find(handle, WINHTTP_HANDLE_TYPE_REQUEST, &request);
    if (error != NO_ERROR) return error_answer(error);
    char *text = text_from_wide(lines, length == (DWORD)-1 ? TEXT_WHOLE : wcsnlen(lines, length), &invalid);
    if (text == NULL) error = invalid ? ERROR_INVALID_PARAMETER : ERROR_NOT_ENOUGH_MEMORY;
    object_lock(&request->object);
    if (error == NO_ERROR && (request->state == REQUEST_SENDING || request->state == REQUEST_RECEIVING)) error = ERROR_WINHTTP_INCORRECT_HANDLE_STATE;
    if (error == NO_ERROR) error = headers_add(&request->headers, text, modifiers);
    object_unlock(&request->object);
    free(text);
    object_release(&request->object);
    return error_answer(error);
}
