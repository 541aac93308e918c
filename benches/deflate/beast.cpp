// beast FILE SECONDS TAKEOVER LEVEL: as ws101.c, with Boost.Beast, synchronous, its memory level set to zlib's usual 8.
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <boost/beast/websocket.hpp>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <netinet/tcp.h>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <thread>
#include <vector>

namespace beast = boost::beast;
using tcp = boost::asio::ip::tcp;
using websocket = beast::websocket::stream<tcp::socket>;

static double processor()
{
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + 1e-6 * double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

int main(int argc, char **argv)
{
    if (argc != 5) return 2;
    std::vector<std::string> lines;
    std::ifstream file(argv[1]);
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    beast::websocket::permessage_deflate deflate;
    deflate.client_enable = deflate.server_enable = true;
    deflate.client_no_context_takeover = deflate.server_no_context_takeover = std::atoi(argv[3]) == 0;
    deflate.compLevel = std::atoi(argv[4]);
    deflate.memLevel = 8;
    boost::asio::io_context context;
    tcp::acceptor acceptor(context, {boost::asio::ip::make_address("127.0.0.1"), 0});
    std::thread server([&] {
        websocket peer(acceptor.accept());
        peer.set_option(deflate);
        peer.next_layer().set_option(tcp::no_delay(true));
        peer.accept();
        beast::flat_buffer buffer;
        beast::error_code error;
        for (size_t at = 0;; at = (at + 1) % lines.size()) {
            peer.read(buffer, error);
            if (error) break;
            if (buffer.size() != lines[at].size() || std::memcmp(buffer.data().data(), lines[at].data(), buffer.size()) != 0) std::abort();
            buffer.clear();
        }
    });
    websocket client(context);
    client.set_option(deflate);
    client.next_layer().connect(acceptor.local_endpoint());
    client.next_layer().set_option(tcp::no_delay(true));
    client.handshake("127.0.0.1", "/");
    client.auto_fragment(false);
    client.text(true);
    auto begin = std::chrono::steady_clock::now();
    double used = processor();
    unsigned long long messages = 0, bytes = 0;
    for (; std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() < std::atof(argv[2]); ++messages) {
        const std::string &line = lines[messages % lines.size()];
        client.write(boost::asio::buffer(line));
        bytes += line.size();
    }
    // tcpi_bytes_acked of linux/tcp.h, which does not go together with the headers of asio.
    unsigned char info[256] = {};
    unsigned long long acknowledged = 0;
    socklen_t length = sizeof info;
    getsockopt(client.next_layer().native_handle(), IPPROTO_TCP, TCP_INFO, info, &length);
    std::memcpy(&acknowledged, info + 120, sizeof acknowledged);
    beast::error_code error;
    client.close(beast::websocket::close_code::normal, error);
    server.join();
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    std::printf("%llu %llu %llu %.6f %.6f\n", messages, bytes, acknowledged, seconds, processor() - used);
}
