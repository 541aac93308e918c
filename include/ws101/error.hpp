/// What can go wrong: std::error_code of an own category, and an exception that has the library's sentence.
///
/// Every function that can fail has two forms: one throws ws::exception, the other is noexcept and takes a std::error_code last, as std::filesystem
/// does. Compiled with -fno-exceptions there is the second form only.
#ifndef WS101_ERROR_HPP
#define WS101_ERROR_HPP

#include <string>
#include <system_error>
#include <type_traits>

#include "../ws101.h"

/* What is compiled differently without exceptions lies in a namespace of its own, so that files compiled either way can be linked. */
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define WS101_EXCEPTIONS 1
#define WS101_MODE with_exceptions
#else
#define WS101_EXCEPTIONS 0
#define WS101_MODE without_exceptions
#endif

namespace ws {

/// The statuses of ws101.h, for comparisons: `if (code == ws::error::timeout)`.
enum class error : ws_status {
    invalid_handle = WS_ERROR_INVALID_HANDLE,
    not_enough_memory = WS_ERROR_NOT_ENOUGH_MEMORY,
    not_supported = WS_ERROR_NOT_SUPPORTED,
    invalid_parameter = WS_ERROR_INVALID_PARAMETER,
    insufficient_buffer = WS_ERROR_INSUFFICIENT_BUFFER,
    invalid_operation = WS_ERROR_INVALID_OPERATION,
    timeout = WS_ERROR_TIMEOUT,
    internal = WS_ERROR_INTERNAL,
    invalid_url = WS_ERROR_INVALID_URL,
    unrecognized_scheme = WS_ERROR_UNRECOGNIZED_SCHEME,
    name_not_resolved = WS_ERROR_NAME_NOT_RESOLVED,
    invalid_option = WS_ERROR_INVALID_OPTION,
    option_not_settable = WS_ERROR_OPTION_NOT_SETTABLE,
    login_failure = WS_ERROR_LOGIN_FAILURE,
    cancelled = WS_ERROR_CANCELLED,
    incorrect_handle_type = WS_ERROR_INCORRECT_HANDLE_TYPE,
    incorrect_handle_state = WS_ERROR_INCORRECT_HANDLE_STATE,
    cannot_connect = WS_ERROR_CANNOT_CONNECT,
    connection = WS_ERROR_CONNECTION,
    cert_date_invalid = WS_ERROR_CERT_DATE_INVALID,
    cert_name_invalid = WS_ERROR_CERT_NAME_INVALID,
    client_cert_needed = WS_ERROR_CLIENT_CERT_NEEDED,
    cert_unknown_issuer = WS_ERROR_CERT_UNKNOWN_ISSUER,
    header_not_found = WS_ERROR_HEADER_NOT_FOUND,
    invalid_server_response = WS_ERROR_INVALID_SERVER_RESPONSE,
    invalid_header = WS_ERROR_INVALID_HEADER,
    redirect_failed = WS_ERROR_REDIRECT_FAILED,
    tls_channel = WS_ERROR_TLS_CHANNEL,
    cert_invalid = WS_ERROR_CERT_INVALID,
    cert_revoked = WS_ERROR_CERT_REVOKED,
    tls = WS_ERROR_TLS,
    header_count_exceeded = WS_ERROR_HEADER_COUNT_EXCEEDED,
    header_size_overflow = WS_ERROR_HEADER_SIZE_OVERFLOW,
    would_block = WS_ERROR_WOULD_BLOCK,
    upgrade_refused = WS_ERROR_UPGRADE_REFUSED,
    message_too_big = WS_ERROR_MESSAGE_TOO_BIG,
    proxy = WS_ERROR_PROXY,
    address_in_use = WS_ERROR_ADDRESS_IN_USE,
    forked = WS_ERROR_FORKED,
    interrupted = WS_ERROR_INTERRUPTED,
    protocol_violation = WS_ERROR_PROTOCOL_VIOLATION,
    invalid_payload = WS_ERROR_INVALID_PAYLOAD,
    peer_lost = WS_ERROR_PEER_LOST,
};

namespace detail {

class error_category final : public std::error_category {
public:
    const char *name() const noexcept override { return "ws101"; }
    std::string message(int status) const override { return ws_status_string(status); }

    /// What the standard library has a word for: `if (code == std::errc::timed_out)`.
    std::error_condition default_error_condition(int status) const noexcept override
    {
        switch (status) {
        case WS_ERROR_NOT_ENOUGH_MEMORY: return std::errc::not_enough_memory;
        case WS_ERROR_NOT_SUPPORTED: return std::errc::not_supported;
        case WS_ERROR_INVALID_PARAMETER: return std::errc::invalid_argument;
        case WS_ERROR_TIMEOUT: return std::errc::timed_out;
        case WS_ERROR_CANCELLED: return std::errc::operation_canceled;
        case WS_ERROR_WOULD_BLOCK: return std::errc::operation_would_block;
        case WS_ERROR_MESSAGE_TOO_BIG: return std::errc::message_size;
        case WS_ERROR_ADDRESS_IN_USE: return std::errc::address_in_use;
        case WS_ERROR_INTERRUPTED: return std::errc::interrupted;
        default: return {status, *this};
        }
    }
};

} // namespace detail

/// The category of every std::error_code that comes from here; their values are the numbers of ws101.h.
inline const std::error_category &category() noexcept
{
    static const detail::error_category instance;
    return instance;
}

inline std::error_code make_error_code(error status) noexcept { return {static_cast<int>(status), category()}; }

/// Why the last call that failed on this thread did so: phase, HTTP status, the system's error, a sentence.
inline ws_error_info last_error() noexcept
{
    ws_error_info info{};
    info.size = static_cast<std::uint32_t>(sizeof info);
    (void)ws_last_error(&info);
    return info;
}

#if WS101_EXCEPTIONS
/// What the throwing forms throw. what() is the library's sentence, with the offending value.
class exception : public std::system_error {
public:
    explicit exception(std::error_code code) : std::system_error(code), info_(last_error())
    {
        if (info_.status != code.value()) info_ = ws_error_info{}; // of an earlier failure
        info_.status = code.value();
    }

    /// Of an event, whose reason is not this thread's last error.
    exception(std::error_code code, const ws_error_info *info) : std::system_error(code), info_(info != nullptr ? *info : ws_error_info{})
    {
        info_.status = code.value();
    }

    const char *what() const noexcept override { return info_.message[0] != '\0' ? info_.message : ws_status_string(info_.status); }
    /// Phase, HTTP status, close status, the system's error, whether another attempt may succeed.
    const ws_error_info &info() const noexcept { return info_; }

private:
    ws_error_info info_;
};
#endif

namespace detail {

/// Turns a status into an error code. True if the call is done; WS_PENDING is neither an error nor done.
inline bool done(ws_status status, std::error_code &code) noexcept
{
    if (status == WS_OK || status == WS_PENDING) code.clear();
    else code.assign(status, category());
    return status == WS_OK;
}

#if WS101_EXCEPTIONS
/// Calls a noexcept form and throws what it says.
template <class Form>
auto throwing(Form form)
{
    std::error_code code;
    if constexpr (std::is_void_v<decltype(form(code))>) {
        form(code);
        if (code) throw exception(code);
    } else {
        auto result = form(code);
        if (code) throw exception(code);
        return result;
    }
}
#endif

} // namespace detail

} // namespace ws

template <>
struct std::is_error_code_enum<ws::error> : std::true_type {};

#endif
