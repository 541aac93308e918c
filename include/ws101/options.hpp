/// The options of ws101.h, each with the type of its value: `session.set(ws::options::close_timeout, 5s)`.
///
/// An option that is not here, or of a later version, is one line: `constexpr ws::option<std::uint32_t> mine{WS_OPTION_…};`.
#ifndef WS101_OPTIONS_HPP
#define WS101_OPTIONS_HPP

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bytes.hpp"
#include "error.hpp"

namespace ws {

/// The number of an option and the type of its value: std::uint32_t, std::uint64_t, bool, std::chrono::milliseconds (0 = no limit), void *, ws::text,
/// ws::blob, or a struct of ws101.h.
template <class Value>
struct option {
    ws_option number;
};

/// The value is text in UTF-8: set as std::string_view, asked for as std::string.
struct text {};
/// The value is bytes: set as ws::bytes, asked for as std::vector<std::byte>.
struct blob {};

namespace detail {

template <class Value>
struct value {
    using argument = const Value &;
    using result = Value;
};
template <>
struct value<text> {
    using argument = std::string_view;
    using result = std::string;
};
template <>
struct value<blob> {
    using argument = bytes;
    using result = std::vector<std::byte>;
};

inline bool set_raw(ws_handle any, ws_option number, const void *data, std::size_t size, std::error_code &code) noexcept
{
    return done(ws_set_option(any, number, data, size), code);
}

template <class Value>
void set(ws_handle any, option<Value> which, typename value<Value>::argument given, std::error_code &code) noexcept
{
    if constexpr (std::is_same_v<Value, std::chrono::milliseconds>) {
        if (given.count() < 0 || given.count() > UINT32_MAX) {
            code = error::invalid_parameter;
            return;
        }
        const auto number = static_cast<std::uint32_t>(given.count());
        set_raw(any, which.number, &number, sizeof number, code);
    } else if constexpr (std::is_same_v<Value, bool>) {
        const std::uint32_t number = given ? 1 : 0;
        set_raw(any, which.number, &number, sizeof number, code);
    } else if constexpr (std::is_same_v<Value, text> || std::is_same_v<Value, blob>) {
        set_raw(any, which.number, given.data(), given.size(), code);
    } else if constexpr (std::is_same_v<Value, ws_compression>) {
        ws_compression sized = given;
        sized.size = static_cast<std::uint32_t>(sizeof sized);
        set_raw(any, which.number, &sized, sizeof sized, code);
    } else {
        static_assert(std::is_trivially_copyable_v<Value>);
        set_raw(any, which.number, &given, sizeof given, code);
    }
}

/// Asks for a value whose length is not known: most fit at once, and one that grows between two questions is asked for again.
template <class Container>
Container query_growing(ws_handle any, ws_option number, std::error_code &code)
{
    Container container;
    std::size_t room = 128;
    for (;;) {
        container.resize(room);
        std::size_t length = room;
        const ws_status status = ws_query_option(any, number, container.data(), &length);
        if (status != WS_ERROR_INSUFFICIENT_BUFFER) {
            container.resize(done(status, code) ? length : 0);
            return container;
        }
        room = length;
    }
}

inline namespace WS101_MODE {
template <class Container>
Container query_text(ws_handle any, ws_option number, std::error_code &code) noexcept
{
#if WS101_EXCEPTIONS
    try {
        return query_growing<Container>(any, number, code);
    } catch (...) {
        code = error::not_enough_memory;
        return {};
    }
#else
    return query_growing<Container>(any, number, code);
#endif
}
} // namespace WS101_MODE

template <class Value>
typename value<Value>::result query(ws_handle any, option<Value> which, std::error_code &code) noexcept
{
    if constexpr (std::is_same_v<Value, std::chrono::milliseconds>) {
        return Value(query(any, option<std::uint32_t>{which.number}, code));
    } else if constexpr (std::is_same_v<Value, bool>) {
        return query(any, option<std::uint32_t>{which.number}, code) != 0;
    } else if constexpr (std::is_same_v<Value, text> || std::is_same_v<Value, blob>) {
        return query_text<typename value<Value>::result>(any, which.number, code);
    } else {
        static_assert(std::is_trivially_copyable_v<Value>);
        Value result{};
        std::size_t length = sizeof result;
        if constexpr (std::is_same_v<Value, ws_statistics> || std::is_same_v<Value, ws_compression>)
            result.size = static_cast<std::uint32_t>(sizeof result);
        return done(ws_query_option(any, which.number, &result, &length), code) ? result : Value{};
    }
}

} // namespace detail

/// What each means, and which handles have it, is in chapter 8 of ws101.h.
namespace options {

using std::chrono::milliseconds;

inline constexpr option<milliseconds> resolve_timeout{WS_OPTION_RESOLVE_TIMEOUT};
inline constexpr option<milliseconds> connect_timeout{WS_OPTION_CONNECT_TIMEOUT};
inline constexpr option<milliseconds> handshake_timeout{WS_OPTION_HANDSHAKE_TIMEOUT};
inline constexpr option<milliseconds> receive_timeout{WS_OPTION_RECEIVE_TIMEOUT};
inline constexpr option<milliseconds> send_timeout{WS_OPTION_SEND_TIMEOUT};
inline constexpr option<milliseconds> close_timeout{WS_OPTION_CLOSE_TIMEOUT};
inline constexpr option<milliseconds> keepalive_interval{WS_OPTION_KEEPALIVE_INTERVAL};
inline constexpr option<milliseconds> keepalive_timeout{WS_OPTION_KEEPALIVE_TIMEOUT};

inline constexpr option<std::uint32_t> max_head_size{WS_OPTION_MAX_HEAD_SIZE};
inline constexpr option<std::uint32_t> max_headers{WS_OPTION_MAX_HEADERS};
inline constexpr option<std::uint64_t> max_message{WS_OPTION_MAX_MESSAGE};
inline constexpr option<std::uint32_t> max_fragments{WS_OPTION_MAX_FRAGMENTS};
inline constexpr option<std::uint32_t> max_connections{WS_OPTION_MAX_CONNECTIONS};
inline constexpr option<std::uint32_t> max_handshakes{WS_OPTION_MAX_HANDSHAKES};
inline constexpr option<std::uint64_t> send_queue_limit{WS_OPTION_SEND_QUEUE_LIMIT};
inline constexpr option<std::uint64_t> buffered_amount{WS_OPTION_BUFFERED_AMOUNT};
inline constexpr option<std::uint32_t> receive_buffer_size{WS_OPTION_RECEIVE_BUFFER_SIZE};
inline constexpr option<std::uint32_t> send_buffer_size{WS_OPTION_SEND_BUFFER_SIZE};

inline constexpr option<bool> manual_close{WS_OPTION_MANUAL_CLOSE};
inline constexpr option<bool> nodelay{WS_OPTION_NODELAY};
inline constexpr option<bool> check_sent_text{WS_OPTION_CHECK_SENT_TEXT};
inline constexpr option<bool> interruptible{WS_OPTION_INTERRUPTIBLE};

inline constexpr option<text> url{WS_OPTION_URL};
inline constexpr option<text> subprotocols{WS_OPTION_SUBPROTOCOLS};
inline constexpr option<text> subprotocol{WS_OPTION_SUBPROTOCOL};
inline constexpr option<text> extensions{WS_OPTION_EXTENSIONS};
inline constexpr option<text> origins{WS_OPTION_ORIGINS};
inline constexpr option<bool> is_websocket{WS_OPTION_IS_WEBSOCKET};
inline constexpr option<text> method{WS_OPTION_METHOD};
inline constexpr option<text> target{WS_OPTION_TARGET};
inline constexpr option<text> local_address{WS_OPTION_LOCAL_ADDRESS};
inline constexpr option<text> remote_address{WS_OPTION_REMOTE_ADDRESS};
inline constexpr option<std::uint32_t> close_state{WS_OPTION_CLOSE_STATE};
inline constexpr option<std::uint32_t> handle_kind{WS_OPTION_HANDLE_KIND};
inline constexpr option<std::uint32_t> features{WS_OPTION_FEATURES};
inline constexpr option<ws_statistics> statistics{WS_OPTION_STATISTICS};
inline constexpr option<void *> context{WS_OPTION_CONTEXT};

inline constexpr option<std::uint32_t> io_threads{WS_OPTION_IO_THREADS};
inline constexpr option<bool> ping_events{WS_OPTION_PING_EVENTS};
inline constexpr option<bool> whole_messages{WS_OPTION_WHOLE_MESSAGES};
inline constexpr option<ws_compression> compression{WS_OPTION_COMPRESSION};

inline constexpr option<text> proxy{WS_OPTION_PROXY};
inline constexpr option<bool> proxy_environment{WS_OPTION_PROXY_ENVIRONMENT};
inline constexpr option<std::uint32_t> redirects{WS_OPTION_REDIRECTS};
inline constexpr option<text> bind_address{WS_OPTION_BIND_ADDRESS};

inline constexpr option<text> tls_ca{WS_OPTION_TLS_CA};
inline constexpr option<text> tls_certificate{WS_OPTION_TLS_CERTIFICATE};
inline constexpr option<text> tls_key{WS_OPTION_TLS_KEY};
inline constexpr option<text> tls_server_name{WS_OPTION_TLS_SERVER_NAME};
inline constexpr option<text> tls_pins{WS_OPTION_TLS_PINS};
inline constexpr option<std::uint32_t> tls_danger{WS_OPTION_TLS_DANGER};
inline constexpr option<std::uint32_t> tls_min_version{WS_OPTION_TLS_MIN_VERSION};
inline constexpr option<text> tls_client_ca{WS_OPTION_TLS_CLIENT_CA};
inline constexpr option<blob> tls_peer_certificate{WS_OPTION_TLS_PEER_CERTIFICATE};
inline constexpr option<text> tls_version{WS_OPTION_TLS_VERSION};
inline constexpr option<text> tls_cipher{WS_OPTION_TLS_CIPHER};
inline constexpr option<bool> tls_key_log{WS_OPTION_TLS_KEY_LOG};

} // namespace options

} // namespace ws

#endif
