// beast client URL | beast server PROBE_CLIENT: Boost.Beast with permessage-deflate, as the client of an echo server, or as the server of probe_client.
//
// With windows that are kept, forgotten, and small (RFC 7692 §7.1). One line a case, "ok - NAME" or "not ok - NAME: WHY". Exits with 1 if one failed.
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <boost/beast/websocket.hpp>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;
using websocket = beast::websocket::stream<tcp::socket>;
using deflate = beast::websocket::permessage_deflate;

static int failures;

static void expect(bool good, const std::string &otherwise)
{
    if (!good) throw std::runtime_error(otherwise);
}

static void run_case(const std::string &name, const std::function<void()> &body)
{
    try {
        body();
        std::printf("ok - %s\n", name.c_str());
    } catch (const std::exception &error) {
        ++failures;
        std::printf("not ok - %s: %.160s\n", name.c_str(), error.what());
    }
    std::fflush(stdout);
}

struct terms {
    const char *name;
    bool forgets;
    int window_bits;
};
static const terms all_terms[] = {{"windows kept", false, 15}, {"windows forgotten", true, 15}, {"windows of 512 bytes", false, 9}};

static deflate option(const terms &wanted)
{
    deflate chosen;
    chosen.client_enable = chosen.server_enable = true;
    chosen.client_no_context_takeover = chosen.server_no_context_takeover = wanted.forgets;
    chosen.client_max_window_bits = chosen.server_max_window_bits = wanted.window_bits;
    return chosen;
}

// JSON, much of it known from the message before; what cannot be compressed, as binary; and nothing.
static std::vector<std::string> texts()
{
    std::vector<std::string> all = {"", "x", "\xC3\xA4"};
    for (int i = 0; i < 100; ++i)
        all.push_back("{\"type\":\"tick\",\"symbol\":\"MSFT\",\"number\":" + std::to_string(i * 7919) + std::string(std::size_t(i) * 13, ' ') + "}");
    for (std::size_t size : {65535u, 65536u, 1u << 20}) {
        std::string large;
        while (large.size() < size) large += all[3 + large.size() % 100];
        all.push_back(large.substr(0, size));
    }
    return all;
}

static std::vector<std::string> binaries()
{
    std::vector<std::string> all;
    unsigned seed = 7;
    for (std::size_t size : {0u, 1u, 125u, 126u, 65535u, 65536u, 1u << 20}) {
        std::string noise(size, '\0');
        for (char &byte : noise) byte = char((seed = seed * 1664525u + 1013904223u) >> 24);
        all.push_back(noise);
    }
    return all;
}

static void exchange(websocket &peer, const std::string &message, bool text, bool in_fragments)
{
    beast::flat_buffer buffer;
    peer.text(text);
    // A sender that waits for its large message to leave would wait for ever for an echo server that waits for it to read.
    std::thread sender([&] {
        beast::error_code error;
        std::size_t third = message.size() / 3;
        if (in_fragments) {
            peer.write_some(false, asio::buffer(message.data(), third), error);
            if (!error) peer.write_some(false, asio::buffer(message.data() + third, third), error);
            if (!error) peer.write_some(true, asio::buffer(message.data() + 2 * third, message.size() - 2 * third), error);
        } else peer.write(asio::buffer(message), error);
    });
    beast::error_code error;
    peer.read(buffer, error);
    sender.join();
    if (error) throw beast::system_error(error);
    std::string echo = beast::buffers_to_string(buffer.data());
    expect(peer.got_text() == text, "the kind is another");
    expect(echo == message, "got " + std::to_string(echo.size()) + " bytes, not those " + std::to_string(message.size()));
}

static void converse(websocket &peer, bool in_fragments)
{
    peer.read_message_max(0);
    peer.auto_fragment(false);
    for (const std::string &message : texts()) exchange(peer, message, true, in_fragments);
    for (const std::string &message : binaries()) exchange(peer, message, false, in_fragments);
}

static void talk_to(const std::string &host, const std::string &port, const terms &wanted, bool in_fragments)
{
    asio::io_context context;
    websocket client(context);
    beast::websocket::response_type response;
    client.set_option(option(wanted));
    asio::connect(client.next_layer(), tcp::resolver(context).resolve(host, port));
    client.next_layer().set_option(tcp::no_delay(true));
    client.handshake(response, host + ":" + port, "/");
    std::string agreed(response["Sec-WebSocket-Extensions"]);
    expect(agreed.find("permessage-deflate") == 0, "it does not compress: " + agreed);
    if (wanted.window_bits != 15) expect(agreed.find("server_max_window_bits=" + std::to_string(wanted.window_bits)) != std::string::npos, agreed);
    converse(client, in_fragments);
    client.close({beast::websocket::close_code::normal, "Done"});
    expect(client.reason().code == 1000, "its close is another");
}

static void serve(const std::string &probe, const terms &wanted, bool in_fragments)
{
    asio::io_context context;
    tcp::acceptor acceptor(context, {asio::ip::make_address("127.0.0.1"), 0});
    std::string printed, trouble, command = probe + " ws://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()) + "/";
    FILE *client = popen(command.c_str(), "r");
    expect(client != nullptr, "no probe");
    // The socket of one thread only: reads what the probe prints while the conversation goes on, so that neither waits for the other.
    std::thread reader([&] {
        char line[4096];
        while (std::fgets(line, sizeof line, client) != nullptr) printed += line;
    });
    try {
        acceptor.non_blocking(true);
        beast::error_code error;
        tcp::socket socket(context);
        for (int tries = 0; acceptor.accept(socket, error), error; ++tries) {
            expect(error == asio::error::would_block && tries < 1000, "no client");
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        socket.non_blocking(false);
        websocket server(std::move(socket));
        server.set_option(option(wanted));
        server.next_layer().set_option(tcp::no_delay(true));
        server.accept();
        converse(server, in_fragments);
        server.close(beast::websocket::close_code::normal);
    } catch (const std::exception &error) { trouble = error.what(); }
    reader.join();
    pclose(client);
    expect(trouble.empty(), trouble);
    expect(printed.find("OPEN protocol=- extensions=permessage-deflate") == 0, "it printed " + printed.substr(0, 80));
    expect(printed.size() > 14 && printed.substr(printed.size() - 14) == "CLOSED 1000 1\n", "its end is another");
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    std::string role = argv[1], target = argv[2];
    std::size_t host = target.find("//") + 2, colon = target.rfind(':');
    for (const terms &wanted : all_terms)
        for (bool in_fragments : {false, true})
            run_case(std::string(wanted.name) + (in_fragments ? ", in fragments" : ""), [&] {
                if (role == "server") serve(target, wanted, in_fragments);
                else talk_to(target.substr(host, colon - host), target.substr(colon + 1, target.find('/', colon) - colon - 1), wanted, in_fragments);
            });
    return failures == 0 ? 0 : 1;
}
