// What fails, in both forms: error codes, exceptions, and values that are refused before the library sees them.
#include "pair.hpp"

#include <chrono>
#include <map>

using namespace std::chrono_literals;

// Runs something that must throw, and gives what it threw.
template <class Body>
static ws::exception thrown_by(Body body) {
  try {
    body();
  } catch (const ws::exception &error) {
    return error;
  }
  check_failed(__FILE__, __LINE__, "nothing was thrown");
  return ws::exception({});
}

static void a_code_is_comparable() {
  const std::error_code code = ws::error::timeout;
  CHECK_EQUAL(12002, code.value());
  CHECK(code == ws::error::timeout && code != ws::error::cancelled);
  CHECK(code.category() == ws::category());
  CHECK_EQUAL(std::string("ws101"), code.category().name());
  CHECK_EQUAL(std::string(ws_status_string(WS_ERROR_TIMEOUT)), code.message());
  CHECK(code == std::errc::timed_out && code != std::errc::invalid_argument);
}

// The numbers are those of ws101.h, every one of which has a text; and what the standard has a word for is found by it.
static void conditions_are_the_standards() {
  const std::map<ws::error, std::errc> words{{ws::error::not_enough_memory, std::errc::not_enough_memory},
                                             {ws::error::not_supported, std::errc::not_supported},
                                             {ws::error::invalid_parameter, std::errc::invalid_argument},
                                             {ws::error::timeout, std::errc::timed_out},
                                             {ws::error::cancelled, std::errc::operation_canceled},
                                             {ws::error::would_block, std::errc::operation_would_block},
                                             {ws::error::message_too_big, std::errc::message_size},
                                             {ws::error::address_in_use, std::errc::address_in_use},
                                             {ws::error::interrupted, std::errc::interrupted}};
  for (int status = 1; status < 13100; ++status) {
    const std::error_code code(status, ws::category());
    const auto found = words.find(static_cast<ws::error>(status));
    if (found != words.end()) CHECK(code == found->second);
    else CHECK(code.default_error_condition().category() == ws::category());
  }
}

static void an_exception_has_the_librarys_sentence() {
  ws::session session("test");
  const ws::exception error = thrown_by([&] { session.dial("ws://127.0.0.1:1/"); });
  CHECK_EQUAL(make_error_code(ws::error::cannot_connect), error.code());
  CHECK(std::strstr(error.what(), "127.0.0.1:1") != nullptr && std::strstr(error.what(), "refused") != nullptr);
  CHECK_EQUAL(WS_ERROR_CANNOT_CONNECT, error.info().status);
  CHECK_EQUAL(WS_PHASE_CONNECT, error.info().phase);
  CHECK(error.info().os_error != 0 && error.info().retryable == 1);
}

// What was refused before the library saw it has no sentence of an earlier failure.
static void an_exception_has_no_foreign_sentence() {
  ws::session session("test");
  thrown_by([&] { session.dial("ws://127.0.0.1:1/"); });
  const ws::exception error = thrown_by([&] { session.connect(std::string_view("ws://a\0b/", 9)); });
  CHECK_EQUAL(make_error_code(ws::error::invalid_parameter), error.code());
  CHECK_EQUAL(std::string(ws_status_string(WS_ERROR_INVALID_PARAMETER)), error.what());
}

static void an_exception_is_a_system_error() {
  try {
    ws::session("bad\nagent");
    CHECK_THROWN();
  } catch (const std::system_error &error) {
    CHECK(error.code() == std::errc::invalid_argument);
  }
}

static void a_code_is_cleared_by_success() {
  std::error_code code = ws::error::timeout;
  ws::session session = ws::session::open("test", 0, code);
  CHECK(session && !code);
  ws::request request = session.connect("http://localhost/", code);
  CHECK(!request && code == ws::error::unrecognized_scheme);
  request = session.connect("ws://localhost/", code);
  CHECK(request && !code);
}

static void text_with_a_nul_is_refused() {
  ws::session session("test");
  ws::request request = session.connect("ws://localhost/");
  std::error_code code;
  request.add_header(std::string_view("X-A\0B", 5), "value", code);
  CHECK(code == ws::error::invalid_parameter);
  request.add_header("X-A", std::string_view("a\0b", 3), code);
  CHECK(code == ws::error::invalid_parameter);
  CHECK(!session.listen(std::string_view("ws://\0", 6), code) && code == ws::error::invalid_parameter);
  CHECK(!ws::session::open(std::string_view("a\0", 2), 0, code) && code == ws::error::invalid_parameter);
}

// Around the length that is copied to the stack, the library gets the whole text.
static void long_text_arrives() {
  ws::session session("test");
  for (const std::size_t length : {std::size_t{1}, std::size_t{240}, std::size_t{254}, std::size_t{255}, std::size_t{256}, std::size_t{257}, std::size_t{5000}}) {
    const std::string url = std::string("ws://127.0.0.1:9/").append(length, 'a');
    ws::request request = session.connect(url);
    CHECK_EQUAL(url, request.query(ws::options::url));
  }
  // A view that is not terminated.
  const std::string_view url = "ws://127.0.0.1:9/part of it";
  CHECK_EQUAL("ws://127.0.0.1:9/part", session.connect(url.substr(0, 21)).query(ws::options::url));
}

static void options_come_back() {
  ws::session session("test");
  session.set(ws::options::close_timeout, 1500ms);
  session.set(ws::options::keepalive_interval, 1min);
  session.set(ws::options::max_message, 1u << 20);
  session.set(ws::options::max_headers, 64u);
  session.set(ws::options::manual_close, true);
  session.set(ws::options::subprotocols, "a, b");
  session.set(ws::options::context, &session);
  const ws::request request = session.connect("ws://localhost/");
  CHECK_EQUAL(1500, request.query(ws::options::close_timeout).count());
  CHECK_EQUAL(60000, request.query(ws::options::keepalive_interval).count());
  CHECK_EQUAL(1u << 20, request.query(ws::options::max_message));
  CHECK_EQUAL(64u, request.query(ws::options::max_headers));
  CHECK(request.query(ws::options::manual_close));
  CHECK_EQUAL("a, b", request.query(ws::options::subprotocols));
  CHECK(request.query(ws::options::context) == &session);
  // A text longer than the first try.
  const std::string many = "p" + std::string(700, 'q');
  session.set(ws::options::subprotocols, many);
  CHECK_EQUAL(many, session.query(ws::options::subprotocols));
  // One that the program writes down itself.
  constexpr ws::option<std::uint32_t> head{WS_OPTION_MAX_HEAD_SIZE};
  session.set(head, 4096u);
  CHECK_EQUAL(4096u, session.query(ws::options::max_head_size));
}

static void options_out_of_range_are_refused() {
  ws::session session("test");
  std::error_code code;
  session.set(ws::options::close_timeout, -1ms, code);
  CHECK(code == ws::error::invalid_parameter);
  session.set(ws::options::close_timeout, std::chrono::milliseconds(std::int64_t{1} << 32), code);
  CHECK(code == ws::error::invalid_parameter);
  session.set(ws::options::close_timeout, std::chrono::milliseconds(UINT32_MAX), code);
  CHECK(!code);
  session.set(ws::options::max_headers, 1u, code);
  CHECK(code == ws::error::invalid_parameter);
  session.set(ws::options::url, "ws://localhost/", code);
  CHECK(code == ws::error::option_not_settable);
  session.set(ws::option<std::uint32_t>{1}, 1u, code);
  CHECK(code == ws::error::invalid_option);
  CHECK_EQUAL("", session.query(ws::options::url, code));
  CHECK(code == ws::error::incorrect_handle_type);
  CHECK(thrown_by([&] { session.query(ws::options::url); }).code() == ws::error::incorrect_handle_type);
}

static void a_handle_tells_its_own_error() {
  pair two;
  REQUIRE(two.open());
  two.server.reset();
  char buffer[16];
  CHECK(thrown_by([&] { two.client.receive(buffer); }).code() == ws::error::connection);
  std::error_code code;
  two.session.dial("ws://127.0.0.1:1/", code);
  CHECK_EQUAL(WS_ERROR_CONNECTION, two.client.query_error().status);
  CHECK_EQUAL(WS_ERROR_CANNOT_CONNECT, ws::last_error().status);
}

static void the_version_is_the_headers() { CHECK_EQUAL(static_cast<std::uint32_t>(WS_VERSION), ws::version()); }

int main(int argc, char **argv) {
  return check_main(argc, argv,
                    {CHECK_CASE(a_code_is_comparable), CHECK_CASE(conditions_are_the_standards), CHECK_CASE(an_exception_has_the_librarys_sentence),
                     CHECK_CASE(an_exception_has_no_foreign_sentence), CHECK_CASE(an_exception_is_a_system_error),
                     CHECK_CASE(a_code_is_cleared_by_success), CHECK_CASE(text_with_a_nul_is_refused), CHECK_CASE(long_text_arrives),
                     CHECK_CASE(options_come_back), CHECK_CASE(options_out_of_range_are_refused), CHECK_CASE(a_handle_tells_its_own_error),
                     CHECK_CASE(the_version_is_the_headers)});
}
