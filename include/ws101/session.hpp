/// Where everything begins: sessions, and listeners, which a session makes.
#ifndef WS101_SESSION_HPP
#define WS101_SESSION_HPP

#include <chrono>
#include <cstdint>
#include <string_view>

#include "request.hpp"

namespace ws {

/// Gives the requests of clients.
class listener : public unique_handle {
public:
    listener() noexcept = default;
    explicit listener(ws_handle handle) noexcept : unique_handle(handle) {}

    /// Waits for a client to connect. Nothing is read from it yet. Empty if it is pending or has failed.
    request accept(std::error_code &code) noexcept
    {
        return request(detail::made_from(get(), code, [this](ws_handle *accepted) { return ws_accept(get(), accepted); }));
    }

    /// Closes every connection of the listener in good order, spread over a time. True if it is done.
    bool drain(std::uint16_t status, std::chrono::milliseconds spread, std::chrono::milliseconds deadline, std::error_code &code) noexcept
    {
        const auto is_time = [](std::chrono::milliseconds time) { return time.count() >= 0 && time.count() <= UINT32_MAX; };
        if (!is_time(spread) || !is_time(deadline)) {
            code = error::invalid_parameter;
            return false;
        }
        return detail::done(ws_drain(get(), status, static_cast<std::uint32_t>(spread.count()), static_cast<std::uint32_t>(deadline.count())), code);
    }

#if WS101_EXCEPTIONS
    request accept()
    {
        return detail::throwing([&](std::error_code &code) { return accept(code); });
    }
    bool drain(std::uint16_t status, std::chrono::milliseconds spread, std::chrono::milliseconds deadline)
    {
        return detail::throwing([&](std::error_code &code) { return drain(status, spread, deadline, code); });
    }
#endif
};

/// The options that requests and listeners begin with.
class session : public unique_handle {
public:
    session() noexcept = default;
    explicit session(ws_handle handle) noexcept : unique_handle(handle) {}

    /// Opens a session. The user agent may be empty: then none is sent. Flags: WS_FLAG_ASYNC, WS_FLAG_NO_THREADS.
    static session open(std::string_view user_agent, std::uint32_t flags, std::error_code &code) noexcept
    {
        ws_handle handle = WS_NO_HANDLE;
        const detail::c_text agent(user_agent, code);
        if (agent) (void)detail::done(ws_open(user_agent.empty() ? nullptr : agent.get(), flags, &handle), code);
        return session(handle);
    }

    /// Makes a request of a client. No I/O yet.
    request connect(std::string_view url, std::error_code &code) noexcept
    {
        const detail::c_text url_text(url, code);
        if (!url_text) return request();
        return request(detail::made_from(get(), code, [&](ws_handle *made) { return ws_connect(get(), url_text.get(), made); }));
    }

    /// Connects and upgrades in one: for programs that have no headers to add and no refusal to look at. Blocking sessions only.
    websocket dial(std::string_view url, std::error_code &code) noexcept
    {
        request made = connect(url, code);
        return made ? made.complete_upgrade(code) : websocket();
    }

    /// Begins to listen at "ws://address:port/path".
    listener listen(std::string_view url, std::error_code &code) noexcept
    {
        const detail::c_text url_text(url, code);
        if (!url_text) return listener();
        return listener(detail::made_from(get(), code, [&](ws_handle *made) { return ws_listen(get(), url_text.get(), made); }));
    }

    /// A client's request over a stream socket that is connected. From success on, the descriptor is the library's.
    request connect_descriptor(std::int64_t descriptor, std::string_view url, std::error_code &code) noexcept
    {
        const detail::c_text url_text(url, code);
        if (!url_text) return request();
        const auto make = [&](ws_handle *made) { return ws_connect_descriptor(get(), descriptor, url_text.get(), made); };
        return request(detail::made_from(get(), code, make));
    }

    /// A server's request over a stream socket that was accepted. From success on, the descriptor is the library's.
    request accept_descriptor(std::int64_t descriptor, std::error_code &code) noexcept
    {
        return request(detail::made_from(get(), code, [&](ws_handle *made) { return ws_accept_descriptor(get(), descriptor, made); }));
    }

#if WS101_EXCEPTIONS
    explicit session(std::string_view user_agent, std::uint32_t flags = 0) : session(open(user_agent, flags)) {}
    static session open(std::string_view user_agent = {}, std::uint32_t flags = 0)
    {
        return detail::throwing([&](std::error_code &code) { return open(user_agent, flags, code); });
    }
    request connect(std::string_view url)
    {
        return detail::throwing([&](std::error_code &code) { return connect(url, code); });
    }
    websocket dial(std::string_view url)
    {
        return detail::throwing([&](std::error_code &code) { return dial(url, code); });
    }
    listener listen(std::string_view url)
    {
        return detail::throwing([&](std::error_code &code) { return listen(url, code); });
    }
    request connect_descriptor(std::int64_t descriptor, std::string_view url)
    {
        return detail::throwing([&](std::error_code &code) { return connect_descriptor(descriptor, url, code); });
    }
    request accept_descriptor(std::int64_t descriptor)
    {
        return detail::throwing([&](std::error_code &code) { return accept_descriptor(descriptor, code); });
    }
#endif
};

} // namespace ws

#endif
