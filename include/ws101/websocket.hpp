/// An open connection: receiving pieces and whole messages, sending, closing.
#ifndef WS101_WEBSOCKET_HPP
#define WS101_WEBSOCKET_HPP

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>

#include "handle.hpp"

namespace ws {

/// Close statuses (RFC 6455 §7.4). Programs define their own in 3000-4999, which is why they are numbers.
namespace close_status {
inline constexpr std::uint16_t normal = WS_CLOSE_NORMAL;
inline constexpr std::uint16_t going_away = WS_CLOSE_GOING_AWAY;
inline constexpr std::uint16_t protocol_error = WS_CLOSE_PROTOCOL_ERROR;
inline constexpr std::uint16_t invalid_type = WS_CLOSE_INVALID_TYPE;
inline constexpr std::uint16_t empty = WS_CLOSE_EMPTY;
inline constexpr std::uint16_t abnormal = WS_CLOSE_ABNORMAL;
inline constexpr std::uint16_t invalid_payload = WS_CLOSE_INVALID_PAYLOAD;
inline constexpr std::uint16_t policy = WS_CLOSE_POLICY;
inline constexpr std::uint16_t too_big = WS_CLOSE_TOO_BIG;
inline constexpr std::uint16_t extension = WS_CLOSE_EXTENSION;
inline constexpr std::uint16_t server_error = WS_CLOSE_SERVER_ERROR;
inline constexpr std::uint16_t service_restart = WS_CLOSE_SERVICE_RESTART;
inline constexpr std::uint16_t try_again_later = WS_CLOSE_TRY_AGAIN_LATER;
inline constexpr std::uint16_t tls_failure = WS_CLOSE_TLS_FAILURE;
} // namespace close_status

/// Received bytes and what they are: a piece, or a whole message. A view of memory that belongs to somebody else, for as long as each function says.
/// False if nothing came: the call is pending (asynchronous sessions), or has failed.
class message {
public:
    message() noexcept = default;
    message(const void *data, std::size_t size, ws_buffer_type type) noexcept : data_(data, size), type_(type) {}

    explicit operator bool() const noexcept { return type_ >= 0; }
    bytes data() const noexcept { return data_; }
    std::string_view text() const noexcept { return data_.text(); }
    std::size_t size() const noexcept { return data_.size(); }
    buffer_type type() const noexcept { return static_cast<buffer_type>(type_); }
    bool is_text() const noexcept { return type_ == WS_UTF8_MESSAGE || type_ == WS_UTF8_FRAGMENT; }
    bool is_binary() const noexcept { return type_ == WS_BINARY_MESSAGE || type_ == WS_BINARY_FRAGMENT; }
    /// The peer's close frame, which the library has answered: websocket::query_close_status tells what it said.
    bool is_close() const noexcept { return type_ == WS_CLOSE_FRAME; }
    /// Whether nothing more follows that belongs to these bytes: a message ends with them, or they are a close frame.
    bool ends_message() const noexcept { return type_ != WS_UTF8_FRAGMENT && type_ != WS_BINARY_FRAGMENT; }

private:
    bytes data_;
    ws_buffer_type type_ = -1;
};

/// What the peer's close frame said.
class close_frame {
public:
    std::uint16_t status() const noexcept { return status_; }
    std::string_view reason() const noexcept { return {reason_, length_}; }

private:
    friend class websocket;
    std::uint16_t status_ = close_status::empty;
    std::size_t length_ = 0;
    char reason_[123] = {};
};

/// A whole message that is sent over many connections without copies.
class prepared_message : public unique_handle {
public:
    prepared_message() noexcept = default;
    explicit prepared_message(ws_handle handle) noexcept : unique_handle(handle) {}
    prepared_message(std::string_view text, std::error_code &code) noexcept { prepare(WS_UTF8_MESSAGE, text, code); }
    prepared_message(bytes data, std::error_code &code) noexcept { prepare(WS_BINARY_MESSAGE, data, code); }
#if WS101_EXCEPTIONS
    explicit prepared_message(std::string_view text)
    {
        detail::throwing([&](std::error_code &code) { prepare(WS_UTF8_MESSAGE, text, code); });
    }
    explicit prepared_message(bytes data)
    {
        detail::throwing([&](std::error_code &code) { prepare(WS_BINARY_MESSAGE, data, code); });
    }
#endif

private:
    void prepare(ws_buffer_type type, part whole, std::error_code &code) noexcept
    {
        ws_handle handle = WS_NO_HANDLE;
        if (detail::done(ws_prepare(type, whole.raw().data, whole.raw().length, &handle), code)) reset(handle);
    }
};

class websocket;

/// The messages of a connection, one after the other: `for (auto &message : socket.messages())`. Ends with the peer's close frame, which is not among
/// them. Each lives until the next. For blocking sessions.
class message_range {
public:
    struct sentinel {};
    class iterator {
    public:
        using value_type = message;
        using reference = message &;
        using pointer = message *;
        using difference_type = std::ptrdiff_t;
        using iterator_category = std::input_iterator_tag;

        iterator() noexcept = default;
        explicit iterator(message_range &range) noexcept : range_(&range) {}
        message &operator*() const noexcept { return range_->current_; }
        message *operator->() const noexcept { return &range_->current_; }
        iterator &operator++()
        {
            range_->next();
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator &at, sentinel) noexcept { return at.is_at_end(); }
        friend bool operator!=(const iterator &at, sentinel) noexcept { return !at.is_at_end(); }
        friend bool operator==(sentinel, const iterator &at) noexcept { return at.is_at_end(); }
        friend bool operator!=(sentinel, const iterator &at) noexcept { return !at.is_at_end(); }

    private:
        bool is_at_end() const noexcept { return !range_->current_ || range_->current_.is_close(); }
        message_range *range_ = nullptr;
    };

    /// With a code, an error ends the range and is left there; without one it is thrown.
    message_range(websocket &socket, std::error_code *code) noexcept : socket_(&socket), code_(code) {}

    /// Receives the first message.
    iterator begin()
    {
        next();
        return iterator(*this);
    }
    sentinel end() const noexcept { return {}; }

private:
    inline void next();

    websocket *socket_;
    std::error_code *code_;
    message current_;
};

/// An open connection. Destroyed, it drops the connection without a close frame: close() says goodbye before.
class websocket : public unique_handle {
public:
    websocket() noexcept = default;
    explicit websocket(ws_handle handle) noexcept : unique_handle(handle) {}

    /// Receives the next piece of a message into `into`, or the peer's close frame. It lives as long as the room does.
    message receive(room into, std::error_code &code) noexcept
    {
        std::size_t received = 0;
        ws_buffer_type type = -1;
        return detail::done(ws_receive(get(), into.data(), into.size(), &received, &type), code) ? message(into.data(), received, type) : message();
    }

    /// Receives a whole message, or the peer's close frame. It lies in memory of the library until the next receive.
    message receive_message(std::error_code &code) noexcept { return receive_from(ws_receive_message, code); }

    /// Receives one piece without a copy, on the thread that drives the loop. It lives until the callback returns, or until the next loop::wait.
    message receive_view(std::error_code &code) noexcept { return receive_from(ws_receive_view, code); }

    /// Every message up to the peer's close frame.
    message_range messages(std::error_code &code) noexcept
    {
        code.clear();
        return {*this, &code};
    }

    /// Sends a text message.
    void send(std::string_view text, std::error_code &code) noexcept { send(buffer_type::utf8_message, text, code); }
    /// Sends a binary message.
    void send(bytes data, std::error_code &code) noexcept { send(buffer_type::binary_message, data, code); }
    /// Sends a message, or a part of one: a fragment is followed by others, and last by a message.
    void send(buffer_type type, part one, std::error_code &code) noexcept
    {
        (void)detail::done(ws_send(get(), static_cast<ws_buffer_type>(type), one.raw().data, one.raw().length), code);
    }
    /// Sends what lies in several places as one frame, with the flags WS_SEND_… False if it is pending: WS_SEND_NOTIFY, whose event has the context.
    bool send(buffer_type type, std::initializer_list<part> parts, std::uint32_t flags, void *operation_context, std::error_code &code) noexcept
    {
        const ws_bytes *const first = parts.size() > 0 ? &parts.begin()->raw() : nullptr;
        return detail::done(ws_send_ex(get(), static_cast<ws_buffer_type>(type), flags, first, parts.size(), operation_context), code);
    }
    bool send(buffer_type type, std::initializer_list<part> parts, std::error_code &code) noexcept { return send(type, parts, 0, nullptr, code); }
    void send(const prepared_message &message, std::error_code &code) noexcept { (void)detail::done(ws_send_prepared(get(), message.get()), code); }

    void ping(bytes payload, std::error_code &code) noexcept { (void)detail::done(ws_ping(get(), payload.data(), payload.size()), code); }

    /// Says goodbye in good order: sends a close frame unless one was sent, and waits for the peer's. True if it is done, false if it is pending or has failed.
    bool close(std::uint16_t status, std::string_view reason, std::error_code &code) noexcept
    {
        return detail::done(ws_close(get(), status, reason.data(), reason.size()), code);
    }
    bool close(std::error_code &code) noexcept { return close(close_status::normal, {}, code); }
    /// Sends a close frame and does not wait; receiving goes on. True if it is done.
    bool shutdown(std::uint16_t status, std::string_view reason, std::error_code &code) noexcept
    {
        return detail::done(ws_shutdown(get(), status, reason.data(), reason.size()), code);
    }

    /// What the peer's close frame said.
    ws::close_frame query_close_status(std::error_code &code) const noexcept
    {
        ws::close_frame frame;
        std::uint16_t status = 0;
        if (detail::done(ws_query_close_status(get(), &status, frame.reason_, sizeof frame.reason_, &frame.length_), code)) frame.status_ = status;
        else frame.length_ = 0;
        return frame;
    }

#if WS101_EXCEPTIONS
    message receive(room into)
    {
        return detail::throwing([&](std::error_code &code) { return receive(into, code); });
    }
    message receive_message()
    {
        return detail::throwing([&](std::error_code &code) { return receive_message(code); });
    }
    message receive_view()
    {
        return detail::throwing([&](std::error_code &code) { return receive_view(code); });
    }
    message_range messages() noexcept { return {*this, nullptr}; }
    void send(std::string_view text) { send(buffer_type::utf8_message, text); }
    void send(bytes data) { send(buffer_type::binary_message, data); }
    void send(buffer_type type, part one)
    {
        detail::throwing([&](std::error_code &code) { send(type, one, code); });
    }
    bool send(buffer_type type, std::initializer_list<part> parts, std::uint32_t flags = 0, void *operation_context = nullptr)
    {
        return detail::throwing([&](std::error_code &code) { return send(type, parts, flags, operation_context, code); });
    }
    void send(const prepared_message &message)
    {
        detail::throwing([&](std::error_code &code) { send(message, code); });
    }
    void ping(bytes payload = {})
    {
        detail::throwing([&](std::error_code &code) { ping(payload, code); });
    }
    bool close(std::uint16_t status = close_status::normal, std::string_view reason = {})
    {
        return detail::throwing([&](std::error_code &code) { return close(status, reason, code); });
    }
    bool shutdown(std::uint16_t status = close_status::normal, std::string_view reason = {})
    {
        return detail::throwing([&](std::error_code &code) { return shutdown(status, reason, code); });
    }
    ws::close_frame query_close_status() const
    {
        return detail::throwing([&](std::error_code &code) { return query_close_status(code); });
    }
#endif

private:
    template <class Function>
    message receive_from(Function function, std::error_code &code) noexcept
    {
        const void *data = nullptr;
        std::size_t length = 0;
        ws_buffer_type type = -1;
        return detail::done(function(get(), &data, &length, &type), code) ? message(data, length, type) : message();
    }
};

inline void message_range::next()
{
    if (code_ != nullptr) {
        current_ = socket_->receive_message(*code_);
        return;
    }
#if WS101_EXCEPTIONS
    current_ = socket_->receive_message();
#endif
}

} // namespace ws

#endif
