// Boost.Beast: asynchronous calls on an io_context of one thread, tuned as its documentation says: no fragmentation of what is sent, no locks, a socket
// without a polymorphic executor. Reads a message, sends it back, reads the next.
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <cstdio>
#include <memory>

namespace net = boost::asio;
namespace websocket = boost::beast::websocket;
using boost::beast::error_code;
using tcp_socket = net::basic_stream_socket<net::ip::tcp, net::io_context::executor_type>;
using tcp_acceptor = net::basic_socket_acceptor<net::ip::tcp, net::io_context::executor_type>;

class connection : public std::enable_shared_from_this<connection> {
public:
    explicit connection(tcp_socket socket) : stream(std::move(socket)) {}

    void run()
    {
        stream.next_layer().set_option(net::ip::tcp::no_delay(true));
        stream.auto_fragment(false);
        stream.async_accept([self = shared_from_this()](error_code error) {
            if (!error) self->read();
        });
    }

private:
    void read()
    {
        stream.async_read(buffer, [self = shared_from_this()](error_code error, std::size_t) {
            if (!error) self->write();
        });
    }

    void write()
    {
        stream.binary(stream.got_binary());
        stream.async_write(buffer.data(), [self = shared_from_this()](error_code error, std::size_t) {
            if (error) return;
            self->buffer.clear();
            self->read();
        });
    }

    websocket::stream<tcp_socket> stream;
    boost::beast::flat_buffer buffer;
};

static void accept(tcp_acceptor &acceptor)
{
    acceptor.async_accept([&acceptor](error_code error, tcp_socket socket) {
        if (!error) std::make_shared<connection>(std::move(socket))->run();
        accept(acceptor);
    });
}

int main()
{
    net::io_context context{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};
    tcp_acceptor acceptor{context.get_executor(), net::ip::tcp::endpoint{net::ip::address_v4::loopback(), 0}};
    std::printf("%u\n", static_cast<unsigned>(acceptor.local_endpoint().port()));
    std::fflush(stdout);
    accept(acceptor);
    context.run();
}
