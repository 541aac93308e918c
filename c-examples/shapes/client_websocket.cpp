// client_websocket URL: the article's Figure 2, a client of .NET's ClientWebSocket, line by line.
//
// The loop that puts the fragments of a message together, and its three reasons to close: the peer closes, it sends binary, it sends too much.
#include <cstring>
#include <iostream>
#include <string_view>
#include <ws101.hpp>

static void say_closed(ws::websocket &socket)
{
    const ws::close_frame last = socket.query_close_status(); // ws.CloseStatus, ws.CloseStatusDescription
    std::cout << "closed " << last.status() << ' ' << last.reason() << std::endl;
}

static void client(const char *uri)
{
    ws::session session("client_websocket");
    // .NET leaves the answer to a close frame to the program, as Figure 2 does. Without this line the library answers by itself.
    session.set(ws::options::manual_close, true);
    ws::websocket socket = session.dial(uri);                              // await ws.ConnectAsync(uri, …);
    char buffer[1024];
    while (true) {
        ws::message result = socket.receive(buffer);                       // await ws.ReceiveAsync(segment, …)
        if (result.is_close()) {
            socket.close(ws::close_status::normal, "OK");
            return say_closed(socket);
        }
        if (result.is_binary()) {
            socket.close(ws::close_status::invalid_type, "I don't do binary");
            return say_closed(socket);
        }
        std::size_t count = result.size();
        while (!result.ends_message()) {                                   // while (!result.EndOfMessage)
            if (count >= sizeof buffer) {
                socket.close(ws::close_status::invalid_payload, "That's too long");
                return say_closed(socket);
            }
            result = socket.receive(ws::room(buffer + count, sizeof buffer - count));
            count += result.size();
        }
        std::cout << "> " << std::string_view(buffer, count) << std::endl;
    }
}

int main(int argc, char **argv)
{
    try {
        client(argc > 1 ? argv[1] : "ws://localhost:8000/ws/");
        return 0;
    } catch (const ws::exception &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
