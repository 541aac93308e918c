/// Bytes that are given and room that is lent: two views, each a pointer and a size.
///
/// They are the same in C++17 and C++20, so that objects compiled as either can be linked; std::span converts to and from them. Out of scope: owning.
#ifndef WS101_BYTES_HPP
#define WS101_BYTES_HPP

#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

#include "../ws101.h"

namespace ws {

namespace detail {

/// What binary data is made of. A run of `char` is text, which is a std::string_view here.
template <class T>
inline constexpr bool is_byte = std::is_same_v<T, std::byte> || std::is_same_v<T, unsigned char>;

/// What can be received into.
template <class T>
inline constexpr bool is_room = is_byte<T> || std::is_same_v<T, char>;

/// What data() of a container points to.
template <class Container>
using element = std::remove_pointer_t<decltype(std::declval<Container &>().data())>;

template <class Container, class = void>
struct is_contiguous : std::false_type {};
template <class Container>
struct is_contiguous<Container, std::void_t<element<Container>, decltype(std::declval<Container &>().size())>> : std::true_type {};

/// Whether std::vector<std::byte>, std::span<std::uint8_t> and their kin are meant.
template <class Container>
constexpr bool has_bytes() noexcept
{
    if constexpr (is_contiguous<Container>::value) return is_byte<std::remove_cv_t<element<Container>>>;
    else return false;
}
template <class Container>
constexpr bool has_room() noexcept
{
    if constexpr (is_contiguous<Container>::value) return is_room<element<Container>>;
    else return false;
}

} // namespace detail

/// A view of bytes.
class bytes {
public:
    constexpr bytes() noexcept = default;
    bytes(const void *data, std::size_t size) noexcept : data_(static_cast<const std::byte *>(data)), size_(size) {}
    template <class Container, std::enable_if_t<detail::has_bytes<const Container>(), int> = 0>
    bytes(const Container &container) noexcept : bytes(container.data(), container.size())
    {
    }
    template <class T, std::size_t Size, std::enable_if_t<detail::is_byte<T>, int> = 0>
    bytes(const T (&array)[Size]) noexcept : bytes(array, Size)
    {
    }

    constexpr const std::byte *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr const std::byte *begin() const noexcept { return data_; }
    constexpr const std::byte *end() const noexcept { return data_ + size_; }
    constexpr const std::byte &operator[](std::size_t at) const noexcept { return data_[at]; }
    /// The same bytes as text.
    std::string_view text() const noexcept { return {reinterpret_cast<const char *>(data_), size_}; }

private:
    const std::byte *data_ = nullptr;
    std::size_t size_ = 0;
};

/// Room to receive into: an array, a std::vector, a std::string, a std::span, of bytes or char.
class room {
public:
    room(void *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <class Container, std::enable_if_t<detail::has_room<std::remove_reference_t<Container>>(), int> = 0>
    room(Container &&container) noexcept : room(container.data(), container.size())
    {
    }
    template <class T, std::size_t Size, std::enable_if_t<detail::is_room<T>, int> = 0>
    room(T (&array)[Size]) noexcept : room(array, Size)
    {
    }

    void *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }

private:
    void *data_;
    std::size_t size_;
};

/// One of several places that a message lies in: text or bytes.
class part {
public:
    template <class T, std::enable_if_t<std::is_convertible_v<const T &, std::string_view>, int> = 0>
    part(const T &text) noexcept : part(std::string_view(text), 0)
    {
    }
    template <class T, std::enable_if_t<std::is_convertible_v<const T &, bytes> && !std::is_convertible_v<const T &, std::string_view>, int> = 0>
    part(const T &data) noexcept : part(bytes(data), 0)
    {
    }

    const ws_bytes &raw() const noexcept { return raw_; }

private:
    template <class View>
    part(View view, int) noexcept : raw_{view.data(), view.size()}
    {
    }
    ws_bytes raw_;
};
static_assert(sizeof(part) == sizeof(ws_bytes), "a list of parts is a list of ws_bytes");

} // namespace ws

#endif
