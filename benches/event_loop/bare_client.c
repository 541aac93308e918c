/* bare_client PORT pingpong SIZE COUNT: the floor of an event-driven client: epoll_wait, recv, send, and no frames. */
#include "../bench.h"
#include <fcntl.h>
#include <sys/epoll.h>

int main(int argc, char **argv)
{
    static struct bench bench;
    bench_parse(&bench, argc, argv);
    unsigned char *buffer = (unsigned char *)malloc(bench.size + 1);
    struct epoll_event event = {.events = EPOLLIN};
    int poller = epoll_create1(EPOLL_CLOEXEC), socket = bench_connect(&bench, false);
    if (buffer == NULL || poller < 0 || fcntl(socket, F_SETFL, O_NONBLOCK) != 0 || epoll_ctl(poller, EPOLL_CTL_ADD, socket, &event) != 0) bench_fail("epoll");
    bench_begin(&bench);
    bench_write(socket, bench.pattern, bench.size);
    for (uint64_t echoes = 0, filled = 0;;) {
        if (epoll_wait(poller, &event, 1, -1) != 1) bench_fail("epoll_wait");
        ssize_t count = recv(socket, buffer + filled, bench.size - filled, 0);
        if (count <= 0) bench_fail("recv");
        if ((filled += (uint64_t)count) != bench.size) continue;
        filled = 0;
        if (++echoes == bench.count) break;
        bench_write(socket, bench.pattern, bench.size);
    }
    bench_end(&bench);
    bench_require(bench_is_pattern(&bench, buffer, bench.size), "the last echo is not what was sent");
    return 0;
}
