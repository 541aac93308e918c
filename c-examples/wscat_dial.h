/* The connections that wscat makes itself, where the user knows better than the URL: to an address, and to a socket of this machine. */
#ifndef WSCAT_DIAL_H
#define WSCAT_DIAL_H
#include "example.h"
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A connected socket, or -1 after a sentence on stderr. */
static inline int dial_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return fprintf(stderr, "wscat: --unix: the path is too long\n"), -1;
    memcpy(address.sun_path, path, strlen(path));
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    if (descriptor < 0) return perror("wscat: socket"), -1;
    if (connect(descriptor, (const struct sockaddr *)&address, sizeof address) == 0) return descriptor;
    fprintf(stderr, "wscat: no connection: %s: %s\n", path, strerror(errno));
    close(descriptor);
    return -1;
}

/* The port of a URL, given or by its scheme. */
static inline void port_of(const char *url, char *port, size_t capacity)
{
    const char *host = strstr(url, "://") + 3, *end = host + strcspn(host, "/?"), *colon = end;
    while (colon != host && colon[-1] != ':' && colon[-1] != ']') --colon;
    bool is_given = colon != host && colon[-1] == ':';
    if (is_given) snprintf(port, capacity, "%.*s", (int)(end - colon), colon);
    else snprintf(port, capacity, "%s", strncmp(url, "wss", 3) == 0 ? "443" : "80");
}

/* The same, for an address and the URL's port. */
static inline int dial_address(const char *address, const char *url)
{
    char port[16];
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM}, *found = NULL;
    if (strstr(url, "://") == NULL) return fprintf(stderr, "wscat: --resolve is for URLs with a host\n"), -1;
    port_of(url, port, sizeof port);
    int problem = getaddrinfo(address, port, &hints, &found);
    if (problem != 0) return fprintf(stderr, "wscat: --resolve %s: %s\n", address, gai_strerror(problem)), -1;
    int descriptor = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    if (descriptor >= 0 && connect(descriptor, found->ai_addr, found->ai_addrlen) != 0) {
        fprintf(stderr, "wscat: no connection: %s port %s: %s\n", address, port, strerror(errno));
        close(descriptor);
        descriptor = -1;
    }
    freeaddrinfo(found);
    return descriptor;
}

#endif
