// Boost.Beast: synchronous calls, tuned as its documentation says: no fragmentation of what is sent, and a write buffer for large messages.
#include "../bench.h"
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <memory>
#include <vector>

namespace net = boost::asio;
namespace websocket = boost::beast::websocket;
using stream = websocket::stream<net::ip::tcp::socket>;

static std::unique_ptr<stream> dial(const bench &bench, net::io_context &context)
{
    auto connection = std::make_unique<stream>(context);
    connection->next_layer().connect({net::ip::address_v4::loopback(), bench.port});
    connection->next_layer().set_option(net::ip::tcp::no_delay(true));
    connection->handshake("127.0.0.1", bench.path);
    connection->binary(true);
    connection->auto_fragment(false);
    if (bench.size > 4096) connection->write_buffer_bytes(65536);
    return connection;
}

static void exchange(const bench &bench, stream &connection, boost::beast::flat_buffer &buffer, bool sends, bool receives)
{
    if (sends) connection.write(net::buffer(bench.pattern, bench.size));
    if (!receives) return;
    buffer.clear();
    connection.read(buffer);
    bench_require(buffer.size() == bench.size && connection.got_binary(), "not the message that was expected");
}

static void idle(const bench &bench, net::io_context &context, boost::beast::flat_buffer &buffer)
{
    std::vector<std::unique_ptr<stream>> connections;
    long before = 0;
    connections.reserve(bench.count + 1);
    for (uint64_t i = 0; i <= bench.count; ++i) {
        connections.push_back(dial(bench, context));
        exchange(bench, *connections.back(), buffer, true, true);
        if (i == 0) before = bench_resident();
    }
    bench_print_memory(&bench, before);
}

int main(int argc, char **argv)
{
    static bench bench;
    bench_parse(&bench, argc, argv);
    net::io_context context;
    boost::beast::flat_buffer buffer;
    if (bench.scenario == BENCH_IDLE) return idle(bench, context, buffer), 0;
    const auto connection = dial(bench, context);
    bench_begin(&bench);
    for (uint64_t i = 0; i != bench.count; ++i)
        exchange(bench, *connection, buffer, bench.scenario != BENCH_RECEIVE, bench.scenario != BENCH_SEND);
    bench_end(&bench);
    if (bench.scenario != BENCH_SEND)
        bench_require(bench_is_pattern(&bench, buffer.data().data(), buffer.size()), "the last message is not what was sent");
    return 0;
}
