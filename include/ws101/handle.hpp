/// Who owns a handle: Kenny Kerr's unique_handle, for a handle that is a number.
///
/// It can be moved and not copied, tested and not dereferenced, and closes its handle at the end. Out of scope: what the kinds of handle can do.
#ifndef WS101_HANDLE_HPP
#define WS101_HANDLE_HPP

#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include "error.hpp"
#include "event.hpp"
#include "options.hpp"

namespace ws {

/// What waits on a handle, for cancel().
enum class operation : ws_operation {
    send = WS_OPERATION_SEND,
    receive = WS_OPERATION_RECEIVE,
    close = WS_OPERATION_CLOSE,
    shutdown = WS_OPERATION_SHUTDOWN,
    handshake = WS_OPERATION_HANDSHAKE,
    upgrade = WS_OPERATION_UPGRADE,
    accept = WS_OPERATION_ACCEPT,
    respond = WS_OPERATION_RESPOND,
    drain = WS_OPERATION_DRAIN,
    all = WS_OPERATION_ALL,
};

/// Owns a handle, or none. Base of every kind; not used by itself.
class unique_handle {
public:
    unique_handle(const unique_handle &) = delete;
    unique_handle &operator=(const unique_handle &) = delete;

    explicit operator bool() const noexcept { return handle_ != WS_NO_HANDLE; }
    ws_handle get() const noexcept { return handle_; }

    /// Gives the handle up without closing it.
    [[nodiscard]] ws_handle release() noexcept { return std::exchange(handle_, WS_NO_HANDLE); }

    /// Closes the handle and takes another one, or none. True if it has one then.
    bool reset(ws_handle handle = WS_NO_HANDLE) noexcept
    {
        if (handle_ != handle) {
            close_handle();
            handle_ = handle;
        }
        return static_cast<bool>(*this);
    }

    /// Why the last operation on it that failed did so, whoever noticed.
    ws_error_info query_error() const noexcept
    {
        ws_error_info info{};
        info.size = static_cast<std::uint32_t>(sizeof info);
        (void)ws_query_error(handle_, &info);
        return info;
    }

    template <class Value>
    void set(option<Value> which, typename detail::value<Value>::argument value, std::error_code &code) noexcept
    {
        detail::set(handle_, which, value, code);
    }
    template <class Value>
    typename detail::value<Value>::result query(option<Value> which, std::error_code &code) const noexcept
    {
        return detail::query(handle_, which, code);
    }

    /// Ends the waits of other threads on it. False if nothing was waiting.
    bool cancel(operation which = operation::all) noexcept { return ws_cancel(handle_, static_cast<ws_operation>(which)) == WS_OK; }

    /// Whom to tell of events: a function of (const ws::event &). For sessions of WS_FLAG_ASYNC, and best before anything is made from it: what is made
    /// later has the callback, too. It is kept until the last of them is gone.
    template <class Function>
    void set_callback(Function &&function, std::error_code &code) noexcept
    {
#if WS101_EXCEPTIONS
        try {
#endif
            detail::set_callback(handle_, std::make_shared<detail::callback_of<std::decay_t<Function>>>(std::forward<Function>(function)), code);
#if WS101_EXCEPTIONS
        } catch (...) {
            code = error::not_enough_memory;
        }
#endif
    }

#if WS101_EXCEPTIONS
    template <class Value>
    void set(option<Value> which, typename detail::value<Value>::argument value)
    {
        detail::throwing([&](std::error_code &code) { set(which, value, code); });
    }
    template <class Value>
    typename detail::value<Value>::result query(option<Value> which) const
    {
        return detail::throwing([&](std::error_code &code) { return query(which, code); });
    }
    template <class Function>
    void set_callback(Function &&function)
    {
        detail::throwing([&](std::error_code &code) { set_callback(std::forward<Function>(function), code); });
    }
#endif

    friend bool operator==(const unique_handle &left, const unique_handle &right) noexcept { return left.handle_ == right.handle_; }
    friend bool operator!=(const unique_handle &left, const unique_handle &right) noexcept { return left.handle_ != right.handle_; }
    friend bool operator<(const unique_handle &left, const unique_handle &right) noexcept { return left.handle_ < right.handle_; }

protected:
    unique_handle() noexcept = default;
    explicit unique_handle(ws_handle handle) noexcept : handle_(handle) {}
    unique_handle(unique_handle &&other) noexcept : handle_(other.release()) {}
    unique_handle &operator=(unique_handle &&other) noexcept
    {
        if (this != &other) reset(other.release());
        return *this;
    }
    ~unique_handle() { close_handle(); }

    void swap(unique_handle &other) noexcept { std::swap(handle_, other.handle_); }

private:
    void close_handle() noexcept
    {
        // A handle that the program has closed through get() is an error that nobody needs: closing twice is safe.
        if (handle_ != WS_NO_HANDLE) (void)ws_close_handle(handle_);
    }

    ws_handle handle_ = WS_NO_HANDLE;
};

namespace detail {

/// Text of a std::string_view for a C function: terminated, on the stack if it is short. Refused if it has a NUL inside, which would cut it.
class c_text {
public:
    explicit c_text(std::string_view text, std::error_code &code) noexcept
    {
        char *to = small_;
        if (text.find('\0') != std::string_view::npos) {
            code = error::invalid_parameter;
            return;
        }
        if (text.size() >= sizeof small_) {
            large_.reset(new (std::nothrow) char[text.size() + 1]);
            if (!large_) {
                code = error::not_enough_memory;
                return;
            }
            to = large_.get();
        }
        text.copy(to, text.size());
        to[text.size()] = '\0';
        text_ = to;
    }
    c_text(const c_text &) = delete;
    c_text &operator=(const c_text &) = delete;

    /// Whether there is a text; if not, the code says why.
    explicit operator bool() const noexcept { return text_ != nullptr; }
    const char *get() const noexcept { return text_; }

private:
    char small_[256];
    std::unique_ptr<char[]> large_;
    const char *text_ = nullptr;
};

} // namespace detail

} // namespace ws

#endif
