// message_websocket URL: the article's Figure 3, a client of WinRT's MessageWebSocket: whole messages and the close as events.
//
// message_websocket below has the members of that class which the figure uses, over ws101.hpp: what a port copies. Events come on one thread of the
// library, as WinRT's come on one of its own.
#include <atomic>
#include <functional>
#include <future>
#include <iostream>
#include <string>
#include <string_view>
#include <ws101.hpp>

class message_websocket {
public:
    std::function<void(std::string_view message, bool is_text)> message_received;
    // 1006: the connection was lost without a close frame.
    std::function<void(std::uint16_t code, std::string_view reason)> closed;

    // await ws.ConnectAsync(uri): throws what the connection failed with. Events may come before it returns.
    void connect(std::string_view uri)
    {
        session_ = ws::session("message_websocket", WS_FLAG_ASYNC);
        session_.set(ws::options::whole_messages, true); // MessageReceived is raised once the entire message is there
        session_.set_callback([this](const ws::event &event) { on_event(event); });
        request_ = session_.connect(uri);
        (void)request_.complete_upgrade(); // pending: the event brings the connection
        connected_.get_future().get();
    }

    void send(std::string_view message) { socket_.send(message); } // writer.WriteString(…); await writer.StoreAsync();
    void close(std::uint16_t code, std::string_view reason) { socket_.close(code, reason); }

    // ws.Dispose(). Closes the handles and waits for their last events: afterwards nothing calls this object any more.
    ~message_websocket()
    {
        int handles = static_cast<bool>(session_) + static_cast<bool>(request_) + static_cast<bool>(socket_);
        handles_left_ = handles;
        socket_.reset(), request_.reset(), session_.reset();
        if (handles > 0) all_closed_.get_future().wait();
    }

private:
    void on_event(const ws::event &event)
    {
        switch (event.type()) {
        case ws::event_type::upgraded:
            if (event.code()) return connected_.set_exception(std::make_exception_ptr(event.exception()));
            socket_ = event.child<ws::websocket>();
            connected_.set_value();
            break;
        case ws::event_type::received: on_received(event); break;
        case ws::event_type::handle_closed:
            if (--handles_left_ == 0) all_closed_.set_value();
            break;
        default: break;
        }
    }

    void on_received(const ws::event &event)
    {
        if (event.code()) {
            if (closed) closed(ws::close_status::abnormal, event.sentence());
        } else if (event.is_close()) {
            // The library has answered. WinRT leaves that until the object is destroyed, an oddity that nobody needs.
            const ws::close_frame frame = socket_.query_close_status();
            if (closed) closed(frame.status(), frame.reason());
        } else if (message_received) {
            message_received(event.text(), event.is_text());
        }
    }

    ws::session session_;
    ws::request request_;
    ws::websocket socket_;
    std::promise<void> connected_;
    std::promise<void> all_closed_;
    std::atomic<int> handles_left_{0};
};

static int client(const char *uri)
{
    std::promise<std::uint16_t> closed;
    message_websocket ws;                                                      // var ws = new MessageWebSocket();
    ws.message_received = [](std::string_view message, bool) {                 // ws.MessageReceived += (sender, args) =>
        std::cout << "> " << message << std::endl;                             //   reader.ReadString(…)
    };
    ws.closed = [&closed](std::uint16_t code, std::string_view reason) {       // ws.Closed += (sender, args) =>
        std::cout << "closed " << code << ' ' << reason << std::endl;          //   args.Code, args.Reason
        closed.set_value(code);
    };
    ws.connect(uri);                                                           // await ws.ConnectAsync(uri);
    return closed.get_future().get() == ws::close_status::normal ? 0 : 1;
}

int main(int argc, char **argv)
{
    try {
        return client(argc > 1 ? argv[1] : "ws://localhost:8000/ws/");
    } catch (const ws::exception &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
