/* A program for WinHTTP of somebody else's: that it compiles, links and opens a session is what is tested. */
#include <windows.h>
#include <winhttp.h>

int main(void)
{
    HINTERNET session = WinHttpOpen(L"consumer", WINHTTP_ACCESS_TYPE_NO_PROXY, WINHTTP_NO_PROXY_NAME, WINHTTP_NO_PROXY_BYPASS, 0);
    return session != NULL && WinHttpCloseHandle(session) ? 0 : 1;
}
