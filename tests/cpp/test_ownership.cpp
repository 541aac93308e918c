// Who owns a handle, and what the views take.
#include "pair.hpp"

#include <array>
#include <string>
#include <type_traits>
#include <vector>
#if __cplusplus >= 202002L
#include <iterator>
#include <ranges>
#include <span>
#endif

// ---- what the compiler must accept and refuse ----

template <class Owner>
constexpr bool is_owner() {
  static_assert(!std::is_copy_constructible_v<Owner> && !std::is_copy_assignable_v<Owner>);
  static_assert(std::is_nothrow_move_constructible_v<Owner> && std::is_nothrow_move_assignable_v<Owner>);
  static_assert(std::is_nothrow_default_constructible_v<Owner> && std::is_nothrow_destructible_v<Owner>);
  static_assert(std::is_constructible_v<bool, Owner> && !std::is_convertible_v<Owner, bool>);
  static_assert(std::is_constructible_v<Owner, ws_handle> && !std::is_convertible_v<ws_handle, Owner>);
  static_assert(sizeof(Owner) == sizeof(ws_handle));
  return true;
}
static_assert(is_owner<ws::session>() && is_owner<ws::request>() && is_owner<ws::websocket>() && is_owner<ws::listener>() &&
              is_owner<ws::loop>() && is_owner<ws::prepared_message>());
// Kinds do not turn into each other.
static_assert(!std::is_assignable_v<ws::session &, ws::websocket> && !std::is_constructible_v<ws::request, ws::session>);
// The base is nobody's to make or to destroy.
static_assert(!std::is_default_constructible_v<ws::unique_handle> && !std::is_destructible_v<ws::unique_handle>);

template <class Given>
inline constexpr bool is_bytes = std::is_convertible_v<Given, ws::bytes>;
template <class Given>
inline constexpr bool is_room = std::is_convertible_v<Given, ws::room>;
using unsigned_array = const unsigned char (&)[4];
static_assert(is_bytes<std::vector<std::byte>> && is_bytes<std::vector<unsigned char>> && is_bytes<std::array<std::byte, 3>> && is_bytes<unsigned_array>);
// Text is not binary by accident, nor are numbers bytes.
static_assert(!is_bytes<std::string> && !is_bytes<std::string_view> && !is_bytes<const char *> && !is_bytes<std::vector<char>> && !is_bytes<std::vector<int>>);
static_assert(is_room<std::vector<std::byte> &> && is_room<std::string &> && is_room<char (&)[8]> && is_room<std::array<unsigned char, 8> &>);
static_assert(!is_room<const std::string &> && !is_room<std::vector<int> &> && !is_room<const char (&)[8]> && !is_room<std::string_view>);
#if __cplusplus >= 202002L
static_assert(is_bytes<std::span<const std::byte>> && is_bytes<std::span<unsigned char, 4>> && is_room<std::span<std::byte>> && !is_room<std::span<const std::byte>>);
static_assert(std::is_constructible_v<std::span<const std::byte>, ws::bytes> && std::ranges::contiguous_range<ws::bytes>);
static_assert(std::input_iterator<ws::message_range::iterator> && std::ranges::input_range<ws::message_range>);
static_assert(std::ranges::input_range<ws::header_range> && std::ranges::input_range<ws::event_range>);
#endif

// ---- what happens at run time ----

static void an_owner_closes_its_handle() {
  ws_handle ticket = WS_NO_HANDLE;
  {
    ws::session session("test");
    ticket = session.get();
    CHECK(session && is_open(ticket));
  }
  CHECK(!is_open(ticket));
}

static void an_empty_owner_owns_nothing() {
  ws::session session;
  CHECK(!session);
  CHECK_EQUAL(WS_NO_HANDLE, session.get());
  CHECK_EQUAL(WS_NO_HANDLE, session.release());
  CHECK(!session.reset());
}

static void moving_takes_the_handle() {
  ws::session first("test");
  const ws_handle ticket = first.get();
  ws::session second(std::move(first));
  CHECK_EQUAL(ticket, second.get());
  CHECK(!first && is_open(ticket)); // NOLINT: empty after the move is what is promised
  ws::session third("test");
  const ws_handle other = third.get();
  third = std::move(second);
  CHECK(!second && !is_open(other) && is_open(ticket));
  CHECK_EQUAL(ticket, third.get());
}

static void moving_to_itself_keeps_the_handle() {
  ws::session session("test");
  ws::session &same = session;
  session = std::move(same);
  CHECK(session && is_open(session.get()));
}

static void release_gives_up_and_reset_takes() {
  ws::session session("test");
  const ws_handle first = session.release();
  CHECK(!session && is_open(first));
  ws::session next(first);
  CHECK(next.reset(first) && is_open(first)); // the same one is not closed
  ws::session other("test");
  const ws_handle second = other.get();
  CHECK(next.reset(other.release()));
  CHECK(!is_open(first) && is_open(second));
  CHECK(!next.reset());
  CHECK(!is_open(second));
}

static void a_handle_closed_elsewhere_is_no_harm() {
  ws::session session("test");
  CHECK_EQUAL(WS_OK, ws_close_handle(session.get()));
  CHECK(session); // it owns a number; the library says that it is stale
  std::error_code code;
  session.listen("ws://127.0.0.1:0/", code);
  CHECK_EQUAL(make_error_code(ws::error::invalid_handle), code);
}

static void owners_compare_as_handles() {
  ws::session first("test"), second("test");
  CHECK(first == first && first != second);
  CHECK((first < second) != (second < first));
  CHECK(ws::session() == ws::session());
}

static void a_websocket_outlives_what_made_it() {
  pair two;
  REQUIRE(two.open());
  two.listener.reset();
  two.session.reset();
  two.client.send("still here");
  CHECK_EQUAL("still here", two.server.receive_message().text());
}

static void owners_live_in_containers() {
  std::vector<ws::session> sessions;
  std::vector<ws_handle> tickets;
  for (int i = 0; i < 20; ++i) tickets.push_back(sessions.emplace_back("test").get());
  for (const ws_handle ticket : tickets) CHECK(is_open(ticket));
  sessions.erase(sessions.begin() + 3);
  CHECK(!is_open(tickets[3]) && is_open(tickets[4]));
  sessions.clear();
  for (const ws_handle ticket : tickets) CHECK(!is_open(ticket));
}

static void views_see_what_they_were_given() {
  const std::vector<unsigned char> vector{1, 2, 3};
  const ws::bytes view = vector;
  CHECK_EQUAL(std::size_t{3}, view.size());
  CHECK(view.data() == reinterpret_cast<const std::byte *>(vector.data()) && view[2] == std::byte{3});
  CHECK(ws::bytes().empty() && ws::bytes().begin() == ws::bytes().end());
  CHECK_EQUAL("abc", ws::bytes("abc", 3).text());
  std::string text(5, '\0');
  CHECK_EQUAL(std::size_t{5}, ws::room(text).size());
  CHECK(ws::room(text).data() == text.data());
#if __cplusplus >= 202002L
  const std::span<const std::byte> span = view;
  CHECK(span.data() == view.data() && span.size() == 3);
  CHECK_EQUAL(std::size_t{3}, ws::bytes(span).size());
#endif
}

int main(int argc, char **argv) {
  return check_main(argc, argv,
                    {CHECK_CASE(an_owner_closes_its_handle), CHECK_CASE(an_empty_owner_owns_nothing), CHECK_CASE(moving_takes_the_handle),
                     CHECK_CASE(moving_to_itself_keeps_the_handle), CHECK_CASE(release_gives_up_and_reset_takes),
                     CHECK_CASE(a_handle_closed_elsewhere_is_no_harm), CHECK_CASE(owners_compare_as_handles),
                     CHECK_CASE(a_websocket_outlives_what_made_it), CHECK_CASE(owners_live_in_containers),
                     CHECK_CASE(views_see_what_they_were_given)});
}
