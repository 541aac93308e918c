/* bare: the limit. The same sizes by nothing but send and recv; a stream is received as the same bytes on the wire, headers included. */
#include "bench.h"

enum { SMALL_READ = 32 << 10 }; /* as much as ws101 reads at once when it reads small messages */

static void receive_all(int socket, unsigned char *buffer, size_t length)
{
    for (size_t done = 0; done != length;) {
        ssize_t count = recv(socket, buffer + done, length - done, 0);
        if (count <= 0) bench_fail("recv");
        done += (size_t)count;
    }
}

/* Reads into a buffer of a message's size, or a larger one if messages are small; never beyond the end of a large message. */
static void receive_stream(const struct bench *bench, int socket, unsigned char *buffer)
{
    size_t wire = bench->size + (bench->size > 0xFFFF ? 10 : bench->size > 125 ? 4 : 2);
    size_t room = bench->size < SMALL_READ ? SMALL_READ : wire;
    uint64_t left = bench->count * wire;
    for (size_t filled = 0; left != 0;) {
        size_t most = room - filled < left ? room - filled : left;
        ssize_t count = recv(socket, buffer + filled, most, 0);
        if (count <= 0) bench_fail("recv");
        left -= (size_t)count;
        filled += (size_t)count;
        if (filled == room || room == SMALL_READ) filled = 0;
    }
}

int main(int argc, char **argv)
{
    static struct bench bench;
    bench_parse(&bench, argc, argv);
    unsigned char *buffer = (unsigned char *)malloc(bench.size + SMALL_READ);
    if (buffer == NULL) bench_fail("malloc");
    if (bench.scenario == BENCH_IDLE) {
        close(bench_connect(&bench, false));
        long before = bench_resident();
        for (uint64_t i = 0; i != bench.count; ++i) {
            int socket = bench_connect(&bench, false);
            bench_write(socket, bench.pattern, bench.size);
            receive_all(socket, buffer, bench.size);
        }
        bench_print_memory(&bench, before);
        return 0;
    }
    int socket = bench_connect(&bench, false);
    bench_begin(&bench);
    if (bench.scenario == BENCH_RECEIVE) receive_stream(&bench, socket, buffer);
    for (uint64_t i = 0; i != bench.count && bench.scenario != BENCH_RECEIVE; ++i) {
        bench_write(socket, bench.pattern, bench.size);
        if (bench.scenario == BENCH_PINGPONG) receive_all(socket, buffer, bench.size);
    }
    bench_end(&bench);
    if (bench.scenario == BENCH_PINGPONG) bench_require(bench_is_pattern(&bench, buffer, bench.size), "the last echo is not what was sent");
    close(socket);
    return 0;
}
