// cpp_server [--port N]: sends back every message, in capital letters if it is text. One thread a client; SIGINT and SIGTERM end it.
#include "clients.hpp"
#include "stop.hpp"
#include <cstring>
#include <iostream>
#include <string>

using namespace std::chrono_literals;

static void serve(ws::request request, clients &all)
{
    ws::websocket socket = request.complete_upgrade(); // reads the request here, so that a slow client holds up nobody
    request.reset();
    const clients::guest guest(all, socket);
    for (auto &message : socket.messages()) {
        if (message.is_binary()) {
            socket.send(message.data());
            continue;
        }
        std::string text(message.text());
        for (char &letter : text)
            if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
        socket.send(text);
    }
    socket.close();
}

static void run(const std::string &url, stop_signal &stop)
{
    ws::session session("cpp_server");
    session.set(ws::options::close_timeout, 2s);
    ws::listener listener = session.listen(url);
    stop.close_on_stop(listener);
    std::cout << "listening on " << listener.query(ws::options::url) << std::endl; // the real port, if 0 was asked for
    clients all;
    std::error_code code;
    while (ws::request request = listener.accept(code))
        all.begin(std::move(request), [&all](ws::request asked) { serve(std::move(asked), all); });
    all.end();
    if (!stop.asked_within(0ms)) throw ws::exception(code);
}

int main(int argc, char **argv)
{
    std::string port = "8000";
    if (argc == 3 && std::strcmp(argv[1], "--port") == 0) port = argv[2];
    else if (argc != 1) return std::cerr << "usage: cpp_server [--port N]\n", 2;
    stop_signal stop;
    try {
        run("ws://127.0.0.1:" + port + "/", stop);
        return 0;
    } catch (const ws::exception &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
