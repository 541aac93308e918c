/// A request for one WebSocket: of a client before it is sent, of a server before it is answered.
#ifndef WS101_REQUEST_HPP
#define WS101_REQUEST_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "websocket.hpp"

namespace ws {

/// One header of the peer. The texts live until the request is closed.
struct header {
    std::string_view name;
    std::string_view value;
};

/// The peer's headers, in the order in which they came: `for (auto [name, value] : request.headers())`. Empty before the handshake.
class header_range {
public:
    struct sentinel {};
    class iterator {
    public:
        using value_type = header;
        using reference = const header &;
        using pointer = const header *;
        using difference_type = std::ptrdiff_t;
        using iterator_category = std::input_iterator_tag;

        iterator() noexcept = default;
        explicit iterator(ws_handle request) noexcept : request_(request) { read(); }
        const header &operator*() const noexcept { return current_; }
        const header *operator->() const noexcept { return &current_; }
        iterator &operator++() noexcept
        {
            ++position_;
            read();
            return *this;
        }
        void operator++(int) noexcept { ++*this; }
        friend bool operator==(const iterator &at, sentinel) noexcept { return !at.is_there_; }
        friend bool operator!=(const iterator &at, sentinel) noexcept { return at.is_there_; }
        friend bool operator==(sentinel, const iterator &at) noexcept { return !at.is_there_; }
        friend bool operator!=(sentinel, const iterator &at) noexcept { return at.is_there_; }

    private:
        void read() noexcept
        {
            const char *name = nullptr, *value = nullptr;
            is_there_ = ws_query_header_at(request_, position_, &name, &value) == WS_OK;
            if (is_there_) current_ = {name, value};
        }

        ws_handle request_ = WS_NO_HANDLE;
        std::uint32_t position_ = 0;
        bool is_there_ = false;
        header current_;
    };

    explicit header_range(ws_handle request) noexcept : request_(request) {}
    iterator begin() const noexcept { return iterator(request_); }
    sentinel end() const noexcept { return {}; }

private:
    ws_handle request_;
};

/// Whose password ws::request::set_credentials is given.
enum class credentials_for : std::uint32_t { server = 0, proxy = 1 };
/// How it is sent.
enum class scheme : std::uint32_t { basic = 1, digest = 8 };

/// A request. It may be closed once it is upgraded: the websocket lives on.
class request : public unique_handle {
public:
    request() noexcept = default;
    explicit request(ws_handle handle) noexcept : unique_handle(handle) {}

    /// Adds a header: of a client to the request, of a server to the answer.
    void add_header(std::string_view name, std::string_view value, std::error_code &code) noexcept
    {
        const detail::c_text name_text(name, code), value_text(value, code);
        if (name_text && value_text) (void)detail::done(ws_add_header(get(), name_text.get(), value_text.get()), code);
    }

    void set_credentials(credentials_for target, scheme how, std::string_view user, std::string_view password, std::error_code &code) noexcept
    {
        const detail::c_text user_text(user, code), password_text(password, code);
        if (!user_text || !password_text) return;
        const ws_status status =
            ws_set_credentials(get(), static_cast<std::uint32_t>(target), static_cast<std::uint32_t>(how), user_text.get(), password_text.get());
        (void)detail::done(status, code);
    }

    /// Does the I/O of the handshake and leaves the decision to the program. True if it is done, false if it is pending or has failed.
    bool handshake(std::error_code &code) noexcept { return detail::done(ws_handshake(get()), code); }

    /// Makes the WebSocket; does the handshake before, unless that was done. Empty if it is pending or has failed.
    websocket complete_upgrade(std::error_code &code) noexcept
    {
        return websocket(detail::made_from(get(), code, [this](ws_handle *socket) { return ws_complete_upgrade(get(), socket); }));
    }

    /// Client: the HTTP status of the answer.
    std::uint16_t query_response(std::error_code &code) const noexcept
    {
        std::uint16_t status = 0;
        return detail::done(ws_query_response(get(), &status), code) ? status : std::uint16_t{0};
    }

    /// A header of the peer, as it came: the first of this name, or a later one. Without a value if there is none, which is no error.
    std::optional<std::string> query_header(std::string_view name, std::uint32_t index, std::error_code &code) const noexcept
    {
        const detail::c_text name_text(name, code);
        if (!name_text) return {};
#if WS101_EXCEPTIONS
        try {
            return read_header(name_text.get(), index, code);
        } catch (...) {
            code = error::not_enough_memory;
            return {};
        }
#else
        return read_header(name_text.get(), index, code);
#endif
    }
    std::optional<std::string> query_header(std::string_view name, std::error_code &code) const noexcept { return query_header(name, 0, code); }
    /// The peer's headers.
    header_range headers() const noexcept { return header_range(get()); }

    /// Client: the next bytes of the page that came with a refusal; 0 is its end. Never waits.
    std::size_t read_body(room into, std::error_code &code) noexcept
    {
        std::size_t read = 0;
        return detail::done(ws_read_body(get(), into.data(), into.size(), &read), code) ? read : 0;
    }

    /// Server: answers with something else than a WebSocket, such as a page. True if it is done.
    bool respond(std::uint16_t status, std::string_view content_type, part body, std::error_code &code) noexcept
    {
        const detail::c_text type_text(content_type, code);
        if (!type_text) return false;
        const char *const type = content_type.empty() ? nullptr : type_text.get();
        return detail::done(ws_respond(get(), status, type, body.raw().data, body.raw().length), code);
    }
    bool respond(std::uint16_t status, std::error_code &code) noexcept { return respond(status, {}, bytes(), code); }

#if WS101_EXCEPTIONS
    void add_header(std::string_view name, std::string_view value)
    {
        detail::throwing([&](std::error_code &code) { add_header(name, value, code); });
    }
    void set_credentials(credentials_for target, scheme how, std::string_view user, std::string_view password)
    {
        detail::throwing([&](std::error_code &code) { set_credentials(target, how, user, password, code); });
    }
    bool handshake()
    {
        return detail::throwing([&](std::error_code &code) { return handshake(code); });
    }
    websocket complete_upgrade()
    {
        return detail::throwing([&](std::error_code &code) { return complete_upgrade(code); });
    }
    std::uint16_t query_response() const
    {
        return detail::throwing([&](std::error_code &code) { return query_response(code); });
    }
    std::optional<std::string> query_header(std::string_view name, std::uint32_t index = 0) const
    {
        return detail::throwing([&](std::error_code &code) { return query_header(name, index, code); });
    }
    std::size_t read_body(room into)
    {
        return detail::throwing([&](std::error_code &code) { return read_body(into, code); });
    }
    bool respond(std::uint16_t status, std::string_view content_type = {}, part body = bytes())
    {
        return detail::throwing([&](std::error_code &code) { return respond(status, content_type, body, code); });
    }
#endif

private:
    std::optional<std::string> read_header(const char *name, std::uint32_t index, std::error_code &code) const
    {
        std::string value(128, '\0');
        for (;;) {
            std::size_t length = value.size();
            const ws_status status = ws_query_header(get(), name, index, value.data(), &length);
            if (status == WS_ERROR_INSUFFICIENT_BUFFER) {
                value.resize(length);
                continue;
            }
            if (detail::done(status, code)) {
                value.resize(length);
                return value;
            }
            if (status == WS_ERROR_HEADER_NOT_FOUND) code.clear();
            return {};
        }
    }
};

} // namespace ws

#endif
