// cpp_client URL: prints every message that a server sends, then how it closed. time_client in C++.
#include <cstdio>
#include <iostream>
#include <ws101.hpp>

static int print_messages(const char *url)
{
    ws::session session("cpp_client");
    ws::websocket socket = session.dial(url);
    for (auto &message : socket.messages()) {
        if (message.is_text()) std::cout << "> " << message.text() << std::endl;
        else std::cout << "> " << message.size() << " bytes" << std::endl;
    }
    // The range ends with the peer's close frame, which the library has answered. close() waits until the connection is down.
    const ws::close_frame last = socket.query_close_status();
    std::cout << "closed " << last.status() << ' ' << last.reason() << std::endl;
    socket.close();
    return last.status() == ws::close_status::normal ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        std::cerr << "usage: cpp_client URL        for example ws://localhost:8000/ws/\n";
        return 2;
    }
    try {
        return print_messages(argv[1]);
    } catch (const ws::exception &error) {
        // The sentence is the library's; info() has the rest: the phase, the HTTP status, whether another attempt may succeed.
        std::cerr << error.what() << " (" << error.code().value() << (error.info().retryable != 0 ? ", try again later)\n" : ")\n");
        return 1;
    }
}
