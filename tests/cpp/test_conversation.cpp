// A client and a server talk: handshakes, messages as a range and in pieces, closing, waits that end, lambdas that throw.
#include "pair.hpp"

#include <algorithm>
#include <array>
#include <mutex>
#include <stdexcept>
#include <vector>

using namespace std::chrono_literals;

// ---- messages ----

static void messages_are_a_range() {
  pair two;
  REQUIRE(two.open());
  std::thread sending([&two] {
    two.server.send("one");
    two.server.send(std::vector<unsigned char>{2, 2});
    two.server.send("");
    two.server.send(std::string(100000, 'x'));
    two.server.close(ws::close_status::normal, "Done");
  });
  std::vector<std::string> heard;
  for (auto &message : two.client.messages()) heard.push_back((message.is_text() ? "text " : "binary ") + std::to_string(message.size()));
  CHECK((heard == std::vector<std::string>{"text 3", "binary 2", "text 0", "text 100000"}));
  CHECK_EQUAL(1000, two.client.query_close_status().status());
  CHECK_EQUAL("Done", two.client.query_close_status().reason());
  CHECK(two.client.close());
  sending.join();
}

static void a_range_can_be_left_and_taken_up() {
  pair two;
  REQUIRE(two.open());
  for (const char *text : {"1", "2", "3", "4"}) two.server.send(text);
  std::string heard;
  for (auto &message : two.client.messages()) {
    heard += message.text();
    if (heard.size() == 2) break;
  }
  for (auto &message : two.client.messages()) {
    heard += message.text();
    if (heard.size() == 4) break;
  }
  CHECK_EQUAL("1234", heard);
}

static void a_range_throws_what_ends_it() {
  pair two;
  REQUIRE(two.open());
  two.server.send("last words");
  two.server.reset();
  std::string heard;
  try {
    for (auto &message : two.client.messages()) heard += message.text();
    CHECK_THROWN();
  } catch (const ws::exception &error) {
    CHECK(error.code() == ws::error::connection);
  }
  CHECK_EQUAL("last words", heard);
}

static void an_empty_conversation_is_an_empty_range() {
  pair two;
  REQUIRE(two.open());
  std::thread closing([&two] { two.server.close(); });
  int count = 0;
  for (auto &message : two.client.messages()) count += static_cast<bool>(message);
  CHECK_EQUAL(0, count);
  closing.join();
}

static void pieces_end_where_the_message_does() {
  pair two;
  REQUIRE(two.open());
  two.client.send(ws::buffer_type::utf8_fragment, "Hel");
  two.client.send(ws::buffer_type::utf8_message, "lo");
  two.client.send("\xc3\xb6");
  std::string text;
  char buffer[2];
  ws::message piece;
  do {
    piece = two.server.receive(buffer);
    CHECK(piece && piece.is_text() && !piece.is_close() && piece.size() <= sizeof buffer);
    text += piece.text();
  } while (!piece.ends_message());
  CHECK_EQUAL("Hello", text);
  std::array<std::byte, 1> narrow;
  CHECK(!two.server.receive(narrow).ends_message());
  CHECK(two.server.receive(narrow).type() == ws::buffer_type::utf8_message && narrow[0] == std::byte{0xb6});
  two.client.shutdown();
  piece = two.server.receive(buffer);
  CHECK(piece && piece.is_close() && piece.ends_message() && piece.size() == 0);
}

static void parts_arrive_as_one_message() {
  pair two;
  REQUIRE(two.open());
  const std::vector<unsigned char> binary{'b', 'c'};
  const std::string text = "d";
  CHECK(two.client.send(ws::buffer_type::utf8_message, {"a", binary, text, std::string_view("e")}, WS_SEND_WHOLE));
  CHECK_EQUAL("abcde", two.server.receive_message().text());
  CHECK(two.client.send(ws::buffer_type::binary_message, {}));
  const ws::message empty = two.server.receive_message();
  CHECK(empty && empty.is_binary() && empty.size() == 0);
}

// ---- handshakes ----

static void a_handshake_can_be_looked_at() {
  pair two;
  REQUIRE(two.listen("/chat"));
  two.listener.set(ws::options::subprotocols, "v2, v1");
  std::thread serving([&two] {
    ws::request request = two.listener.accept();
    request.handshake();
    CHECK(request.query(ws::options::is_websocket));
    CHECK_EQUAL("GET", request.query(ws::options::method));
    CHECK_EQUAL("/chat?room=1", request.query(ws::options::target));
    CHECK_EQUAL("green", request.query_header("x-colour").value_or("none"));
    CHECK_EQUAL("blue", request.query_header("X-Colour", 1).value_or("none"));
    CHECK(!request.query_header("X-Colour", 2) && !request.query_header("X-Shape"));
    CHECK_EQUAL(std::string(3000, 'l'), request.query_header("X-Long").value_or("none"));
    std::vector<std::string> names;
    for (const auto [name, value] : request.headers()) names.emplace_back(name);
    CHECK(std::count(names.begin(), names.end(), "X-Colour") == 2 && names.size() > 4);
    request.add_header("X-Answer", "yes");
    two.server = request.complete_upgrade();
  });
  ws::request request = two.session.connect(two.url() + "?room=1");
  request.set(ws::options::subprotocols, "v1, v2");
  request.add_header("X-Colour", "green");
  request.add_header("X-Colour", "blue");
  request.add_header("X-Long", std::string(3000, 'l'));
  CHECK(request.headers().begin() == ws::header_range::sentinel{});
  CHECK(request.handshake());
  CHECK_EQUAL(101, request.query_response());
  CHECK_EQUAL("yes", request.query_header("X-Answer").value_or("none"));
  two.client = request.complete_upgrade();
  serving.join();
  CHECK_EQUAL("v2", two.client.query(ws::options::subprotocol));
  CHECK_EQUAL("v2", two.server.query(ws::options::subprotocol));
}

static void a_refusal_has_a_page() {
  pair two;
  REQUIRE(two.listen());
  std::thread serving([&two] {
    ws::request request = two.listener.accept();
    request.handshake();
    request.add_header("Retry-After", "2");
    CHECK(request.respond(503, "text/plain", "come back later"));
  });
  ws::request request = two.session.connect(two.url());
  try {
    request.complete_upgrade();
    CHECK_THROWN();
  } catch (const ws::exception &error) {
    CHECK(error.code() == ws::error::upgrade_refused);
    CHECK_EQUAL(503, error.info().http_status);
  }
  serving.join();
  CHECK_EQUAL(503, request.query_response());
  CHECK_EQUAL("2", request.query_header("Retry-After").value_or("none"));
  std::string page, part(4, '\0');
  while (const std::size_t read = request.read_body(part)) page.append(part, 0, read);
  CHECK_EQUAL("come back later", page);
}

static void an_answer_needs_no_body() {
  pair two;
  REQUIRE(two.listen());
  std::thread serving([&two] { CHECK(two.listener.accept().respond(404)); });
  std::error_code code;
  CHECK(!two.session.dial(two.url(), code) && code == ws::error::upgrade_refused);
  serving.join();
}

// ---- ends ----

static void both_sides_close() {
  pair two;
  REQUIRE(two.open());
  CHECK(two.client.shutdown(4321, "that is all"));
  char buffer[8];
  CHECK(two.server.receive(buffer).is_close());
  CHECK_EQUAL(4321, two.server.query_close_status().status());
  CHECK_EQUAL("that is all", two.server.query_close_status().reason());
  CHECK(two.server.close());
  CHECK(two.client.close());
  CHECK_EQUAL(4321, two.client.query_close_status().status()); // the answer
  CHECK_EQUAL("", two.client.query_close_status().reason());
  CHECK_EQUAL(3u, two.client.query(ws::options::close_state));
}

static void a_reason_of_123_bytes_arrives() {
  pair two;
  REQUIRE(two.open());
  const std::string reason(123, 'r');
  std::error_code code;
  CHECK(!two.client.shutdown(1000, reason + "r", code) && code == ws::error::invalid_parameter);
  CHECK(two.client.shutdown(1000, reason));
  CHECK(two.server.receive_message().is_close());
  CHECK_EQUAL(reason, two.server.query_close_status().reason());
}

static void a_cancel_ends_the_wait_alone() {
  pair two;
  REQUIRE(two.open());
  CHECK(!two.client.cancel(ws::operation::receive));
  std::thread receiving([&two] {
    char buffer[8];
    try {
      two.client.receive(buffer);
      CHECK_THROWN();
    } catch (const ws::exception &error) {
      CHECK(error.code() == ws::error::cancelled);
    }
  });
  while (!two.client.cancel(ws::operation::receive)) std::this_thread::yield();
  receiving.join();
  two.server.send("on");
  char buffer[8];
  CHECK_EQUAL("on", two.client.receive(buffer).text());
}

static void pings_are_measured() {
  pair two;
  REQUIRE(two.open());
  const unsigned char payload[] = {1, 2, 3};
  two.client.ping(payload);
  two.client.ping();
  std::thread answering([&two] { CHECK_EQUAL("go on", two.server.receive_message().text()); two.server.send("went on"); });
  two.client.send("go on");
  CHECK_EQUAL("went on", two.client.receive_message().text());
  answering.join();
  const ws_statistics statistics = two.client.query(ws::options::statistics);
  CHECK_EQUAL(1u, statistics.messages_sent);
  CHECK_EQUAL(1u, statistics.messages_received);
  CHECK(statistics.frames_sent >= 2 && statistics.rtt_max_us > 0);
}

// ---- lambdas ----

static void a_log_lambda_may_throw() {
  std::mutex mutex;
  int lines = 0;
  const auto counting = [&](ws::log_level level, std::string_view line) {
    const std::lock_guard lock(mutex);
    CHECK(level != ws::log_level::off && !line.empty());
    ++lines;
    throw std::runtime_error("a log that fails");
  };
  ws::set_log(ws::log_level::everything, counting);
  pair two;
  REQUIRE(two.open());
  two.client.send("on");
  CHECK_EQUAL("on", two.server.receive_message().text());
  CHECK(lines > 0);
  ws::set_log_off();
  const int before = lines;
  ws::session("test");
  CHECK_EQUAL(before, lines);
  std::error_code code;
  ws::set_log(static_cast<ws::log_level>(9), counting, code);
  CHECK(code == ws::error::invalid_parameter);
}

static void a_replaced_log_lambda_is_destroyed() {
  const auto token = std::make_shared<int>(0);
  ws::set_log(ws::log_level::errors, [token](ws::log_level, std::string_view) {});
  CHECK_EQUAL(2, token.use_count());
  ws::set_log(ws::log_level::errors, [](ws::log_level, std::string_view) {});
  CHECK_EQUAL(1, token.use_count());
  ws::set_log_off();
}

int main(int argc, char **argv) {
  return check_main(argc, argv,
                    {CHECK_CASE(messages_are_a_range), CHECK_CASE(a_range_can_be_left_and_taken_up), CHECK_CASE(a_range_throws_what_ends_it),
                     CHECK_CASE(an_empty_conversation_is_an_empty_range), CHECK_CASE(pieces_end_where_the_message_does),
                     CHECK_CASE(parts_arrive_as_one_message), CHECK_CASE(a_handshake_can_be_looked_at), CHECK_CASE(a_refusal_has_a_page),
                     CHECK_CASE(an_answer_needs_no_body), CHECK_CASE(both_sides_close), CHECK_CASE(a_reason_of_123_bytes_arrives),
                     CHECK_CASE(a_cancel_ends_the_wait_alone), CHECK_CASE(pings_are_measured), CHECK_CASE(a_log_lambda_may_throw),
                     CHECK_CASE(a_replaced_log_lambda_is_destroyed)});
}
