/* The part of <windows.h> that a program written for WinHTTP needs, on systems that have none: types, numbers, GetLastError.
 *
 * On Windows this file is not used; if it is found there first, it steps aside. */
#if defined(_WIN32)
#include_next <windows.h>
#elif !defined(WS101_SHIM_WINDOWS_H)
#define WS101_SHIM_WINDOWS_H

#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

#if defined(__GNUC__)
#define WS101_SHIM_API __attribute__((visibility("default")))
#else
#define WS101_SHIM_API
#endif

#if defined(__cplusplus)
extern "C" {
#endif

#define WINAPI
#define CALLBACK
#define VOID void

/* ---- types: as wide as on Windows, whatever a long is here --------------------------------------------------------------------------- */
typedef int BOOL;
typedef char CHAR;
typedef unsigned char BYTE;
typedef uint16_t WORD;
typedef uint16_t USHORT;
typedef int INT;
typedef unsigned int UINT;
typedef int32_t LONG;
typedef uint32_t ULONG;
typedef uint32_t DWORD;
typedef int64_t LONGLONG;
typedef uint64_t ULONGLONG;
typedef uint64_t DWORDLONG;
typedef uintptr_t DWORD_PTR;
typedef uintptr_t UINT_PTR;
typedef uintptr_t ULONG_PTR;
typedef intptr_t INT_PTR;
typedef intptr_t LONG_PTR;
typedef size_t SIZE_T;
/* A wide character is what L"…" is made of: UTF-16 on Windows, UTF-32 here. */
typedef wchar_t WCHAR;

typedef void *PVOID;
typedef void *LPVOID;
typedef const void *LPCVOID;
typedef BOOL *PBOOL;
typedef BOOL *LPBOOL;
typedef BYTE *PBYTE;
typedef BYTE *LPBYTE;
typedef USHORT *PUSHORT;
typedef DWORD *PDWORD;
typedef DWORD *LPDWORD;
typedef DWORD_PTR *PDWORD_PTR;
typedef CHAR *LPSTR;
typedef const CHAR *LPCSTR;
typedef WCHAR *PWSTR;
typedef WCHAR *LPWSTR;
typedef const WCHAR *PCWSTR;
typedef const WCHAR *LPCWSTR;
typedef void *HANDLE;
typedef HANDLE HGLOBAL;

typedef struct _SYSTEMTIME {
    WORD wYear, wMonth, wDayOfWeek, wDay, wHour, wMinute, wSecond, wMilliseconds;
} SYSTEMTIME, *PSYSTEMTIME, *LPSYSTEMTIME;

#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif

/* ---- numbers ----------------------------------------------------------------------------------------------------------------------------- */
#define NO_ERROR 0
#define ERROR_SUCCESS 0
#define ERROR_INVALID_HANDLE 6
#define ERROR_NOT_ENOUGH_MEMORY 8
#define ERROR_NOT_SUPPORTED 50
#define ERROR_INVALID_PARAMETER 87
#define ERROR_INSUFFICIENT_BUFFER 122
#define ERROR_IO_PENDING 997
#define ERROR_INVALID_OPERATION 4317

/* ---- functions --------------------------------------------------------------------------------------------------------------------------- */

/** The error of the last WinHttp… function on this thread; after one that succeeded it is 0. */
WS101_SHIM_API DWORD WINAPI GetLastError(void);
WS101_SHIM_API void WINAPI SetLastError(DWORD error);
/** Frees what WinHttpQueryOption(WINHTTP_OPTION_PROXY) has allocated; NULL is fine. Returns NULL. */
WS101_SHIM_API HGLOBAL WINAPI GlobalFree(HGLOBAL memory);

#if defined(__cplusplus)
}
#endif
#endif
