/// Events, and callbacks that are lambdas.
///
/// A lambda is kept until the last handle that has it is gone: what is made from a handle inherits its callback, and WS_EVENT_HANDLE_CLOSED is the last
/// event of each. An exception never crosses the C border: it ends loop::run(), which throws it again. Out of scope: driving a loop.
#ifndef WS101_EVENT_HPP
#define WS101_EVENT_HPP

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bytes.hpp"
#include "error.hpp"

namespace ws {

/// What a buffer holds: a MESSAGE ends a message, a FRAGMENT does not.
enum class buffer_type : ws_buffer_type {
    binary_message = WS_BINARY_MESSAGE,
    binary_fragment = WS_BINARY_FRAGMENT,
    utf8_message = WS_UTF8_MESSAGE,
    utf8_fragment = WS_UTF8_FRAGMENT,
    close_frame = WS_CLOSE_FRAME,
};

/// Kinds of event; chapter 9 of ws101.h.
enum class event_type : ws_event_type {
    received = WS_EVENT_RECEIVED,
    sent = WS_EVENT_SENT,
    close_complete = WS_EVENT_CLOSE_COMPLETE,
    shutdown_complete = WS_EVENT_SHUTDOWN_COMPLETE,
    handshaken = WS_EVENT_HANDSHAKEN,
    upgraded = WS_EVENT_UPGRADED,
    accepted = WS_EVENT_ACCEPTED,
    responded = WS_EVENT_RESPONDED,
    drained = WS_EVENT_DRAINED,
    writable = WS_EVENT_WRITABLE,
    ping = WS_EVENT_PING,
    pong = WS_EVENT_PONG,
    woken = WS_EVENT_WOKEN,
    handle_closed = WS_EVENT_HANDLE_CLOSED,
};

/// One event. A view: it lives until the callback returns, or until the next loop::wait.
class event {
public:
    explicit event(const ws_event &raw) noexcept : raw_(&raw) {}

    event_type type() const noexcept { return static_cast<event_type>(raw_->type); }
    /// Why the operation failed; false if it did not.
    std::error_code code() const noexcept { return raw_->status == WS_OK ? std::error_code() : std::error_code(raw_->status, category()); }
    /// The library's sentence if the operation failed, else an empty text.
    std::string_view sentence() const noexcept { return raw_->error != nullptr ? std::string_view(raw_->error->message) : std::string_view(); }
#if WS101_EXCEPTIONS
    /// The failure, for a program that throws it where it waits for this event.
    ws::exception exception() const { return {code(), raw_->error}; }
#endif
    ws_handle handle() const noexcept { return raw_->handle; }
    /// upgraded: the ws::websocket; accepted: the ws::request. The event gives it away: take it once, or it stays open.
    template <class Handle>
    Handle child() const noexcept
    {
        return Handle(raw_->child);
    }

    /// received: the bytes, or ping, pong: the payload.
    bytes data() const noexcept { return {raw_->data, raw_->length}; }
    std::string_view text() const noexcept { return data().text(); }
    ws::buffer_type buffer_type() const noexcept { return static_cast<ws::buffer_type>(raw_->buffer_type); }
    bool is_close() const noexcept { return raw_->buffer_type == WS_CLOSE_FRAME; }
    bool is_text() const noexcept { return raw_->buffer_type == WS_UTF8_MESSAGE || raw_->buffer_type == WS_UTF8_FRAGMENT; }

    const ws_event &raw() const noexcept { return *raw_; }

private:
    const ws_event *raw_;
};

namespace detail {

/// A callback of the program.
struct callback {
    virtual void call(const event &event) = 0;
    virtual ~callback() = default;
};

template <class Function>
struct callback_of final : callback {
    template <class Given>
    explicit callback_of(Given &&given) : function(std::forward<Given>(given))
    {
    }
    void call(const event &event) override { function(event); }
    Function function;
};

/// Which handles have which callbacks. A handle whose callback was replaced has both until it is gone, because a call of the former may be under way.
class callbacks {
public:
    using entry = std::shared_ptr<callback>;

    static callbacks &all() noexcept
    {
        // Never destroyed: a thread of the library may call while the program ends.
        static callbacks &instance = *new callbacks;
        return instance;
    }

    /// Most programs have none, and then nothing here costs more than this.
    bool is_empty() const noexcept { return count_.load(std::memory_order_acquire) == 0; } // pairs with add: a handle is added before it is used

    void add(ws_handle handle, entry callback)
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        entries_.emplace(handle, std::move(callback));
        count_.fetch_add(1, std::memory_order_release);
    }

    /// What a child of this handle will have. Asked before the child is made: afterwards the parent may be gone.
    std::vector<entry> of(ws_handle parent)
    {
        std::vector<entry> found;
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto [begin, end] = entries_.equal_range(parent);
        for (auto at = begin; at != end; ++at) found.push_back(at->second);
        return found;
    }

    /// The handle is gone. The callbacks that nobody has any more end outside the mutex: their destructors are the program's.
    void forget(ws_handle handle) noexcept
    {
        std::unordered_multimap<ws_handle, entry> gone;
        const std::lock_guard<std::mutex> lock(mutex_);
        for (auto at = entries_.find(handle); at != entries_.end(); at = entries_.find(handle)) {
            gone.insert(entries_.extract(at));
            count_.fetch_sub(1, std::memory_order_release);
        }
    }

    void forget(ws_handle handle, const callback *one) noexcept
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto [begin, end] = entries_.equal_range(handle);
        for (auto at = begin; at != end; ++at) {
            if (at->second.get() != one) continue;
            entries_.erase(at);
            count_.fetch_sub(1, std::memory_order_release);
            return;
        }
    }

private:
    std::mutex mutex_;
    std::unordered_multimap<ws_handle, entry> entries_;
    std::atomic<std::size_t> count_{0};
};

/// The loop::run() that this thread is in: where an exception of a callback goes.
struct run {
    ws_handle loop;
    std::exception_ptr thrown{};
};
inline thread_local run *current_run = nullptr;

inline namespace WS101_MODE {

/// What the library calls. noexcept: an exception with nobody to catch it ends the process here, with its what(), as one of a std::thread does.
inline void deliver(const ws_event *raw, void *context) noexcept
{
    callback &program = *static_cast<callback *>(context);
    if (raw->child != WS_NO_HANDLE)
        for (auto &entry : callbacks::all().of(raw->handle)) callbacks::all().add(raw->child, std::move(entry));
#if WS101_EXCEPTIONS
    if (run *const run = current_run) {
        try {
            program.call(event(*raw));
        } catch (...) {
            if (!run->thrown) run->thrown = std::current_exception();
            (void)ws_loop_stop(run->loop);
        }
    } else {
        program.call(event(*raw));
    }
#else
    program.call(event(*raw));
#endif
    if (raw->type == WS_EVENT_HANDLE_CLOSED) callbacks::all().forget(raw->handle);
}

inline void set_callback(ws_handle any, callbacks::entry entry, std::error_code &code)
{
    // A blocking session would never call it, and never say when it can go.
    ws_handle loop = WS_NO_HANDLE;
    std::size_t size = sizeof loop;
    if (const ws_status status = ws_query_option(any, WS_OPTION_LOOP, &loop, &size); status == WS_ERROR_NOT_SUPPORTED) {
        code.assign(status, category());
        return;
    }
    callback *const program = entry.get();
    callbacks::all().add(any, std::move(entry));
    if (!done(ws_set_callback(any, program != nullptr ? deliver : nullptr, program), code)) callbacks::all().forget(any, program);
}

/// Makes a handle from another one, so that it has its callbacks. If there is no memory for that, there is no handle.
template <class Make>
ws_handle made_from(ws_handle parent, std::error_code &code, Make make) noexcept
{
    ws_handle child = WS_NO_HANDLE;
    if (callbacks::all().is_empty()) {
        (void)done(make(&child), code);
        return child;
    }
#if WS101_EXCEPTIONS
    try {
#endif
        auto entries = callbacks::all().of(parent);
        if (!done(make(&child), code)) return WS_NO_HANDLE;
        for (auto &entry : entries) callbacks::all().add(child, std::move(entry));
        return child;
#if WS101_EXCEPTIONS
    } catch (...) {
        if (child != WS_NO_HANDLE) (void)ws_close_handle(child);
        code = error::not_enough_memory;
        return WS_NO_HANDLE;
    }
#endif
}

} // namespace WS101_MODE

} // namespace detail

} // namespace ws

#endif
