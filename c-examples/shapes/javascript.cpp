// javascript URL: the WebSocket of a browser: new WebSocket(url), onopen, onmessage, onerror, onclose, on one thread.
//
// WebSocket below keeps what a script relies on (HTML, §9.3): handlers are called by the event loop and never from inside a call; sending before the
// connection is open throws, and after its end does nothing; the peer's close frame is answered without the script; onclose is the last event,
// with 1005 for a close without a status and 1006 for a connection that was lost. What it has not: Blob, and URLs relative to a page.
#include <functional>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <ws101.hpp>

// The loop that runs scripts. It ends, as node's does, when nothing is left that could happen.
class EventLoop {
public:
    EventLoop() { loop_.drive(session_); }
    void run()
    {
        if (live_ > 0) loop_.run(); // what a handler throws comes out here, as an uncaught error
    }

private:
    friend class WebSocket;
    void leave()
    {
        if (--live_ == 0) loop_.stop();
    }
    ws::loop loop_ = ws::loop::create();
    ws::session session_{"javascript", WS_FLAG_ASYNC};
    int live_ = 0; // handles that have not had their last event
};

class WebSocket : public std::enable_shared_from_this<WebSocket> {
public:
    enum State { CONNECTING = 0, OPEN = 1, CLOSING = 2, CLOSED = 3 };
    struct MessageEvent {
        std::string_view data;
        bool isText;
    };
    struct CloseEvent {
        std::uint16_t code;
        std::string_view reason;
        bool wasClean;
    };

    std::function<void()> onopen, onerror;
    std::function<void(const MessageEvent &)> onmessage;
    std::function<void(const CloseEvent &)> onclose;

    // new WebSocket(url, protocols). Throws for a URL that is none, as the constructor does. The lambda keeps the object alive until its last event,
    // so a script may forget it.
    static std::shared_ptr<WebSocket> make(EventLoop &loop, std::string_view url, std::string_view protocols = {})
    {
        const std::shared_ptr<WebSocket> self(new WebSocket(loop));
        self->request_ = loop.session_.connect(url);
        ++loop.live_;
        self->request_.set(ws::options::whole_messages, true);
        self->request_.set(ws::options::subprotocols, protocols);
        self->request_.set_callback([self](const ws::event &event) { self->on_event(event); });
        (void)self->request_.complete_upgrade();
        return self;
    }

    State readyState() const { return state_; }
    std::string protocol() const { return socket_ ? socket_.query(ws::options::subprotocol) : std::string(); }
    std::uint64_t bufferedAmount() const { return dropped_ + (socket_ ? socket_.query(ws::options::buffered_amount) : 0); }

    void send(std::string_view text) { send(ws::buffer_type::utf8_message, text); }
    void send(ws::bytes data) { send(ws::buffer_type::binary_message, data); }

    void close(std::uint16_t code = ws::close_status::empty, std::string_view reason = {})
    {
        if (code != ws::close_status::empty && code != ws::close_status::normal && (code < 3000 || code > 4999)) throw std::invalid_argument("InvalidAccessError");
        if (state_ >= CLOSING) return;
        const bool was_open = state_ == OPEN;
        state_ = CLOSING;
        if (was_open) goodbye(code, reason);
        else request_.reset(); // ends the attempt; its event comes
    }

private:
    explicit WebSocket(EventLoop &loop) : loop_(loop) {}

    void send(ws::buffer_type type, ws::part data)
    {
        if (state_ == CONNECTING) throw std::logic_error("InvalidStateError: still in CONNECTING state");
        if (state_ == OPEN) socket_.send(type, data);
        else dropped_ += data.raw().length; // silently, but it counts
    }

    void on_event(const ws::event &event)
    {
        switch (event.type()) {
        case ws::event_type::upgraded:
            if (event.code()) return lost();
            socket_ = event.child<ws::websocket>();
            ++loop_.live_;
            if (state_ != CONNECTING) return lost(); // closed meanwhile
            state_ = OPEN;
            if (onopen) onopen();
            break;
        case ws::event_type::received:
            if (event.code()) {
                if (state_ == OPEN) lost(); // in CLOSING the close completes with it
            } else if (event.is_close()) {
                state_ = CLOSING;
                goodbye(ws::close_status::empty, {}); // it was answered; this waits for the end of the connection
            } else if (state_ == OPEN && onmessage) {
                onmessage({event.text(), event.is_text()});
            }
            break;
        case ws::event_type::close_complete: event.code() ? lost() : closed(); break;
        case ws::event_type::handle_closed: loop_.leave(); break;
        default: break;
        }
    }

    void goodbye(std::uint16_t code, std::string_view reason)
    {
        if (socket_.close(code, reason)) closed(); // done already; else close_complete comes
    }

    void closed()
    {
        const ws::close_frame frame = socket_.query_close_status();
        end({frame.status(), frame.reason(), true});
    }

    void lost()
    {
        if (onerror) onerror();
        end({ws::close_status::abnormal, {}, false});
    }

    void end(const CloseEvent &event)
    {
        if (state_ == CLOSED) return;
        state_ = CLOSED;
        request_.reset(), socket_.reset();
        if (onclose) onclose(event);
    }

    EventLoop &loop_;
    ws::request request_;
    ws::websocket socket_;
    State state_ = CONNECTING;
    std::uint64_t dropped_ = 0;
};

static int script(const char *url)
{
    EventLoop loop;
    bool clean = false;
    auto ws = WebSocket::make(loop, url);                          // var ws = new WebSocket("ws://localhost:8000/ws/");
    ws->onopen = [] { std::cout << "open" << std::endl; };
    ws->onmessage = [](const WebSocket::MessageEvent &args) {      // ws.onmessage = function (args) {
        std::cout << "> " << args.data << std::endl;               //   var time = args.data;
    };
    ws->onerror = [] { std::cout << "error" << std::endl; };
    ws->onclose = [&clean](const WebSocket::CloseEvent &args) {
        std::cout << "closed " << args.code << ' ' << args.reason << (args.wasClean ? " clean" : " not clean") << std::endl;
        clean = args.wasClean;
    };
    loop.run();
    return clean ? 0 : 1;
}

int main(int argc, char **argv)
{
    try {
        return script(argc > 1 ? argv[1] : "ws://localhost:8000/ws/");
    } catch (const std::exception &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
