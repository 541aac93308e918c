/// Event loops, for asynchronous sessions: run() calls callbacks, wait() returns events as a batch.
#ifndef WS101_LOOP_HPP
#define WS101_LOOP_HPP

#include <array>
#include <chrono>
#include <cstdint>

#include "session.hpp"

namespace ws {

/// A wait without limit.
inline constexpr std::chrono::milliseconds forever = (std::chrono::milliseconds::max)();

/// Room for the events of one loop::wait.
template <std::size_t Capacity = 64>
using event_room = std::array<ws_event, Capacity>;

/// The events of one loop::wait: `for (const ws::event event : loop.wait(room))`.
class event_range {
public:
    class iterator {
    public:
        using value_type = event;
        using reference = event;
        using pointer = void;
        using difference_type = std::ptrdiff_t;
        using iterator_category = std::input_iterator_tag;

        iterator() noexcept = default;
        explicit iterator(const ws_event *at) noexcept : at_(at) {}
        event operator*() const noexcept { return event(*at_); }
        iterator &operator++() noexcept
        {
            ++at_;
            return *this;
        }
        iterator operator++(int) noexcept { return iterator(at_++); }
        friend bool operator==(iterator left, iterator right) noexcept { return left.at_ == right.at_; }
        friend bool operator!=(iterator left, iterator right) noexcept { return left.at_ != right.at_; }

    private:
        const ws_event *at_ = nullptr;
    };

    event_range() noexcept = default;
    event_range(const ws_event *events, std::size_t count) noexcept : events_(events), count_(count) {}
    iterator begin() const noexcept { return iterator(events_); }
    iterator end() const noexcept { return iterator(events_ + count_); }
    std::size_t size() const noexcept { return count_; }
    bool empty() const noexcept { return count_ == 0; }

private:
    const ws_event *events_ = nullptr;
    std::size_t count_ = 0;
};

/// A loop. One thread drives it at a time; stop() and wake() may come from any. Sessions that use it: drive(session).
class loop : public unique_handle {
public:
    loop() noexcept = default;
    explicit loop(ws_handle handle) noexcept : unique_handle(handle) {}

    static loop create(std::error_code &code) noexcept
    {
        ws_handle handle = WS_NO_HANDLE;
        (void)detail::done(ws_loop_create(0, &handle), code);
        return loop(handle);
    }

    /// Everything that is made from this asynchronous session from now on is driven by this loop.
    void drive(session &session, std::error_code &code) const noexcept { session.set(option<ws_handle>{WS_OPTION_LOOP}, get(), code); }

    /// Delivers events by callback until stop(). An exception of a callback ends the process here; run() without a code throws it again.
    void run(std::error_code &code) noexcept { run_as(nullptr, code); }
    void stop(std::error_code &code) noexcept { (void)detail::done(ws_loop_stop(get()), code); }
    void wake(std::error_code &code) noexcept { (void)detail::done(ws_loop_wake(get()), code); }

    /// Waits for events, at most this long, and returns them: none at the timeout. No callback is called. They live until the next wait.
    template <std::size_t Capacity>
    event_range wait(event_room<Capacity> &into, std::chrono::milliseconds timeout, std::error_code &code) noexcept
    {
        const auto limit = static_cast<std::chrono::milliseconds::rep>(WS_WAIT_FOREVER);
        const auto time = timeout.count() < 0 ? 0 : timeout.count() > limit ? limit : timeout.count();
        std::size_t count = 0;
        const ws_status status = ws_loop_wait(get(), into.data(), into.size(), &count, static_cast<std::uint32_t>(time));
        return detail::done(status, code) ? event_range(into.data(), count) : event_range();
    }

    /// To wait on it in another loop: readable when wait() has something to do.
    std::int64_t descriptor(std::error_code &code) const noexcept
    {
        std::int64_t descriptor = -1;
        return detail::done(ws_loop_descriptor(get(), &descriptor), code) ? descriptor : -1;
    }
    /// How long the other loop may sleep before it must call wait().
    std::chrono::milliseconds timeout(std::error_code &code) const noexcept
    {
        std::uint32_t time = 0;
        if (!detail::done(ws_loop_timeout(get(), &time), code)) return std::chrono::milliseconds(0);
        return time == WS_WAIT_FOREVER ? forever : std::chrono::milliseconds(time);
    }

#if WS101_EXCEPTIONS
    static loop create()
    {
        return detail::throwing([](std::error_code &code) { return create(code); });
    }
    void drive(session &session) const
    {
        detail::throwing([&](std::error_code &code) { drive(session, code); });
    }
    /// Delivers events by callback until stop(), or until a callback throws: that is thrown here.
    void run()
    {
        std::error_code code;
        detail::run run{get()};
        run_as(&run, code);
        if (run.thrown) std::rethrow_exception(run.thrown);
        if (code) throw exception(code);
    }
    void stop()
    {
        detail::throwing([&](std::error_code &code) { stop(code); });
    }
    void wake()
    {
        detail::throwing([&](std::error_code &code) { wake(code); });
    }
    template <std::size_t Capacity>
    event_range wait(event_room<Capacity> &into, std::chrono::milliseconds timeout = forever)
    {
        return detail::throwing([&](std::error_code &code) { return wait(into, timeout, code); });
    }
    std::int64_t descriptor() const
    {
        return detail::throwing([&](std::error_code &code) { return descriptor(code); });
    }
    std::chrono::milliseconds timeout() const
    {
        return detail::throwing([&](std::error_code &code) { return timeout(code); });
    }
#endif

private:
    void run_as(detail::run *run, std::error_code &code) noexcept
    {
        detail::run *const outer = std::exchange(detail::current_run, run);
        (void)detail::done(ws_loop_run(get()), code);
        detail::current_run = outer;
    }
};

} // namespace ws

#endif
