/// What belongs to the whole library: its version, its threads, its log.
#ifndef WS101_LIBRARY_HPP
#define WS101_LIBRARY_HPP

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <type_traits>
#include <utility>

#include "error.hpp"

namespace ws {

/// Of the library: major << 16 | minor << 8 | patch. WS_VERSION is this header's.
inline std::uint32_t version() noexcept { return ws_version(); }

/// Ends the library's own threads before a program unloads it, waiting at most this long.
inline void cleanup(std::chrono::milliseconds timeout, std::error_code &code) noexcept
{
    const auto limit = static_cast<std::chrono::milliseconds::rep>(WS_WAIT_FOREVER);
    const auto time = timeout.count() < 0 ? 0 : timeout.count() > limit ? limit : timeout.count();
    (void)detail::done(ws_cleanup(static_cast<std::uint32_t>(time)), code);
}

/// Of a line of the log; each has those above it.
enum class log_level : std::int32_t { off = 0, errors = 1, warnings = 2, information = 3, debugging = 4, everything = 5 };

namespace detail {

struct log {
    virtual void write(log_level level, std::string_view line) = 0;
    virtual ~log() = default;

    /// The one that is set. A line under way keeps it alive.
    struct place {
        std::mutex mutex;
        std::shared_ptr<log> current;
    };
    static place &current() noexcept
    {
        static place &instance = *new place; // never destroyed: a thread of the library may log while the program ends
        return instance;
    }
    static std::shared_ptr<log> set(std::shared_ptr<log> next) noexcept
    {
        const std::lock_guard<std::mutex> lock(current().mutex);
        return std::exchange(current().current, std::move(next));
    }
    static void line(std::int32_t level, const char *text, void *) noexcept
    {
        std::unique_lock<std::mutex> lock(current().mutex);
        const std::shared_ptr<log> log = current().current;
        lock.unlock();
        if (!log) return;
#if WS101_EXCEPTIONS
        try {
            log->write(static_cast<log_level>(level), text);
        } catch (...) {
            // A line that could not be written is lost; what the library was doing goes on.
        }
#else
        log->write(static_cast<log_level>(level), text);
#endif
    }
};

template <class Function>
struct log_of final : log {
    template <class Given>
    explicit log_of(Given &&given) : function(std::forward<Given>(given))
    {
    }
    void write(log_level level, std::string_view line) override { function(level, line); }
    Function function;
};

} // namespace detail

/// Sends the library's log to a function of (ws::log_level, std::string_view). Any thread may call it. What it throws is dropped.
template <class Function>
void set_log(log_level level, Function &&function, std::error_code &code) noexcept
{
#if WS101_EXCEPTIONS
    try {
#endif
        const auto former = detail::log::set(std::make_shared<detail::log_of<std::decay_t<Function>>>(std::forward<Function>(function)));
        if (!detail::done(ws_set_log(static_cast<std::int32_t>(level), detail::log::line, nullptr), code)) detail::log::set(former);
#if WS101_EXCEPTIONS
    } catch (...) {
        code = error::not_enough_memory;
    }
#endif
}

/// Turns the log off.
inline void set_log_off() noexcept
{
    (void)ws_set_log(0, nullptr, nullptr);
    detail::log::set(nullptr);
}

#if WS101_EXCEPTIONS
inline void cleanup(std::chrono::milliseconds timeout)
{
    detail::throwing([&](std::error_code &code) { cleanup(timeout, code); });
}
template <class Function>
void set_log(log_level level, Function &&function)
{
    detail::throwing([&](std::error_code &code) { set_log(level, std::forward<Function>(function), code); });
}
#endif

} // namespace ws

#endif
