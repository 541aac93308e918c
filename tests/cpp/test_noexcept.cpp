// The forms without exceptions, compiled with -fno-exceptions -fno-rtti: a whole conversation, and what fails in one.
#include "pair.hpp"

#if WS101_EXCEPTIONS || defined(__cpp_rtti)
#error "this file is for a compiler without exceptions and RTTI"
#endif

using namespace std::chrono_literals;

static_assert(noexcept(std::declval<ws::websocket &>().receive(std::declval<ws::room>(), std::declval<std::error_code &>())));
static_assert(noexcept(std::declval<ws::websocket &>().send(std::string_view(), std::declval<std::error_code &>())));
static_assert(noexcept(std::declval<ws::websocket &>().close(std::declval<std::error_code &>())));
static_assert(noexcept(std::declval<ws::request &>().complete_upgrade(std::declval<std::error_code &>())));
static_assert(noexcept(std::declval<ws::session &>().dial("", std::declval<std::error_code &>())));
static_assert(noexcept(std::declval<ws::listener &>().accept(std::declval<std::error_code &>())));

static void a_conversation() {
  pair two;
  std::error_code code;
  REQUIRE(two.open());
  two.client.send("hello", code);
  CHECK(!code);
  two.client.send(ws::bytes("\1\2", 2), code);
  two.client.send(ws::buffer_type::utf8_fragment, "one ", code);
  CHECK(two.client.send(ws::buffer_type::utf8_message, {"more", " ", "part"}, code) && !code);
  two.client.shutdown(4000, "enough", code);
  CHECK(!code);

  int count = 0;
  for (auto &message : two.server.messages(code)) {
    if (count == 0) CHECK_EQUAL("hello", message.text());
    if (count == 1) CHECK(message.is_binary() && message.size() == 2 && message.data()[1] == std::byte{2});
    if (count == 2) CHECK_EQUAL("one more part", message.text());
    ++count;
  }
  CHECK_EQUAL(3, count);
  CHECK(!code);
  const ws::close_frame last = two.server.query_close_status(code);
  CHECK_EQUAL(4000, last.status());
  CHECK_EQUAL("enough", last.reason());
  CHECK(two.server.close(code) && !code);
  CHECK(two.client.close(code) && !code);
}

static void a_range_ends_with_the_error() {
  pair two;
  std::error_code code;
  REQUIRE(two.open());
  two.server.send("last words", code);
  two.server.reset();
  int count = 0;
  for (auto &message : two.client.messages(code)) count += message.text() == "last words";
  CHECK_EQUAL(1, count);
  CHECK(code == ws::error::connection);
}

static void failures_are_codes() {
  std::error_code code;
  ws::session session = ws::session::open("test", 0, code);
  CHECK(!session.dial("ws://127.0.0.1:1/", code) && code == ws::error::cannot_connect);
  CHECK(!session.dial("ws://", code) && code == ws::error::invalid_url);
  CHECK(!session.connect("http://a/", code) && code == ws::error::unrecognized_scheme);
  ws::websocket nobody;
  char buffer[4];
  CHECK(!nobody.receive(buffer, code) && code == ws::error::invalid_handle);
  nobody.send("x", code);
  CHECK(code == ws::error::invalid_handle);
  CHECK(!nobody.close(code) && code == ws::error::invalid_handle);
  CHECK(nobody.messages(code).begin() == ws::message_range::sentinel{} && code == ws::error::invalid_handle);
  session.set(ws::options::max_headers, 1u, code);
  CHECK(code == ws::error::invalid_parameter);
  CHECK_EQUAL("", session.query(ws::options::url, code));
  CHECK(code == ws::error::incorrect_handle_type);
}

static void a_time_limit_ends_the_wait_alone() {
  pair two;
  std::error_code code;
  REQUIRE(two.open());
  two.client.set(ws::options::receive_timeout, 50ms, code);
  char buffer[8];
  CHECK(!two.client.receive(buffer, code) && code == ws::error::timeout);
  two.server.send("late", code);
  const ws::message message = two.client.receive(buffer, code);
  CHECK(!code);
  CHECK_EQUAL("late", message.text());
}

static void events_reach_lambdas() {
  std::error_code code;
  ws::loop loop = ws::loop::create(code);
  ws::session session = ws::session::open("test", WS_FLAG_ASYNC, code);
  loop.drive(session, code);
  ws::websocket client, server;
  ws::listener listener;
  ws::request asking, accepted;
  session.set(ws::options::whole_messages, true, code);
  session.set_callback([&](const ws::event &event) {
    std::error_code inner;
    if (event.type() == ws::event_type::accepted) {
      accepted = event.child<ws::request>();
      server = accepted.complete_upgrade(inner);
    } else if (event.type() == ws::event_type::upgraded && event.handle() == asking.get()) {
      client = event.child<ws::websocket>();
      client.send("hello", inner);
    } else if (event.type() == ws::event_type::upgraded) {
      server = event.child<ws::websocket>();
    } else if (event.type() == ws::event_type::received) {
      CHECK_EQUAL("hello", event.text());
      loop.stop(inner);
    }
    CHECK(!inner);
  }, code);
  CHECK(!code);
  listener = session.listen("ws://127.0.0.1:0/", code);
  CHECK(!listener.accept(code) && !code); // pending is no error
  asking = session.connect(listener.query(ws::options::url, code), code);
  CHECK(!asking.complete_upgrade(code) && !code);
  loop.run(code);
  CHECK(!code && client && server);
}

static void the_log_is_a_lambda() {
  std::error_code code;
  std::string lines;
  ws::set_log(ws::log_level::everything, [&lines](ws::log_level, std::string_view line) { lines += line; }, code);
  CHECK(!code);
  ws::session session = ws::session::open("test", 0, code);
  session.dial("ws://127.0.0.1:1/", code);
  ws::set_log_off();
  CHECK(lines.find("127.0.0.1:1") != std::string::npos);
}

int main(int argc, char **argv) {
  return check_main(argc, argv,
                    {CHECK_CASE(a_conversation), CHECK_CASE(a_range_ends_with_the_error), CHECK_CASE(failures_are_codes),
                     CHECK_CASE(a_time_limit_ends_the_wait_alone), CHECK_CASE(events_reach_lambdas), CHECK_CASE(the_log_is_a_lambda)});
}
