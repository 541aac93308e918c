// Loops and lambdas: whom events reach, how long a lambda lives, and where its exceptions go.
#include "pair.hpp"

#include <csignal>
#include <future>
#include <memory>
#include <stdexcept>
#include <sys/socket.h>
#include <vector>

using namespace std::chrono_literals;

// A client and a server of one asynchronous session, on one loop. Upgrades and echoes by itself; the test says the rest.
struct echo_pair {
  ws::loop loop;
  ws::session session;
  ws::listener listener;
  ws::request asking;
  ws::websocket client, server;
  std::vector<std::string> heard; // by the client
  int gone = 0;                   // handles
  char client_room[64], server_room[64];
  std::function<void(const ws::event &)> more;

  void open() {
    loop = ws::loop::create();
    session = ws::session::open("test", WS_FLAG_ASYNC);
    loop.drive(session);
    // The token tells how long the lambda lives.
    session.set_callback([this, held = token](const ws::event &event) { on_event(event); });
    listener = session.listen("ws://127.0.0.1:0/");
    CHECK(!listener.accept());
    asking = session.connect(listener.query(ws::options::url));
    CHECK(!asking.complete_upgrade());
  }

  void on_event(const ws::event &event) {
    switch (event.type()) {
    case ws::event_type::accepted: {
      ws::request request = event.child<ws::request>();
      CHECK_EQUAL(listener.get(), event.handle());
      server = request.complete_upgrade();
      if (!server) waiting = std::move(request);
      else receive(server, server_room);
      break;
    }
    case ws::event_type::upgraded:
      if (event.handle() == asking.get()) {
        client = event.child<ws::websocket>();
        receive(client, client_room);
        client.send("hello");
      } else {
        server = event.child<ws::websocket>();
        receive(server, server_room);
      }
      break;
    case ws::event_type::received: received(event); break;
    case ws::event_type::handle_closed: ++gone; break;
    default: break;
    }
    if (more) more(event);
  }

  void received(const ws::event &event) {
    const bool is_client = event.handle() == client.get();
    if (event.code() || event.is_close()) return;
    take(is_client, ws::message(is_client ? client_room : server_room, event.data().size(), event.raw().buffer_type));
    receive(is_client ? client : server, is_client ? client_room : server_room);
  }

  template <std::size_t Size>
  void receive(ws::websocket &socket, char (&into)[Size]) {
    std::error_code code;
    while (const ws::message message = socket.receive(into, code))
      if (!message.is_close()) take(socket == client, message);
      else return;
  }

  void take(bool is_client, const ws::message &message) {
    if (is_client) heard.emplace_back(message.text());
    else server.send(message.text());
  }

  // Closes every handle and drives the loop until the last event of each.
  void end(int handles) {
    listener.reset(), asking.reset(), waiting.reset(), client.reset(), server.reset(), session.reset();
    more = [this, handles](const ws::event &) { if (gone == handles) loop.stop(); };
    if (gone < handles) loop.run();
    CHECK_EQUAL(handles, gone);
  }

  ws::request waiting;
  std::shared_ptr<int> token = std::make_shared<int>(0);
};

static void run_calls_lambdas() {
  echo_pair two;
  two.open();
  two.more = [&two](const ws::event &) { if (!two.heard.empty()) two.loop.stop(); };
  two.loop.run();
  CHECK_EQUAL(std::size_t{1}, two.heard.size());
  CHECK_EQUAL("hello", two.heard.at(0));
  two.end(6); // a session, a listener, two requests, two websockets
}

static void wait_returns_a_batch() {
  ws::loop loop = ws::loop::create();
  ws::session session("test", WS_FLAG_ASYNC);
  loop.drive(session);
  ws::listener listener = session.listen("ws://127.0.0.1:0/");
  ws::event_room<4> room;
  CHECK(loop.wait(room, 0ms).empty());
  loop.wake();
  const ws::event_range woken = loop.wait(room, 1s);
  CHECK_EQUAL(std::size_t{1}, woken.size());
  for (const ws::event event : woken) CHECK(event.type() == ws::event_type::woken && event.handle() == loop.get());
  CHECK(!listener.accept());
  ws::request asking = session.connect(listener.query(ws::options::url));
  CHECK(!asking.complete_upgrade());
  ws::websocket client, server;
  ws::request accepted;
  while (!client || !server) {
    for (const ws::event event : loop.wait(room)) {
      CHECK(!event.code());
      if (event.type() == ws::event_type::accepted) {
        accepted = event.child<ws::request>();
        server = accepted.complete_upgrade();
      } else if (event.type() == ws::event_type::upgraded) {
        (event.handle() == asking.get() ? client : server) = event.child<ws::websocket>();
      }
    }
  }
  char text[16];
  CHECK(!client.receive(text));
  server.send("batched");
  bool heard = false;
  while (!heard)
    for (const ws::event event : loop.wait(room, 5s)) heard = event.type() == ws::event_type::received && event.handle() == client.get();
  CHECK_EQUAL("batched", std::string_view(text, 7));
  CHECK(loop.descriptor() >= 0 && loop.timeout() >= 0ms);
}

static void an_exception_ends_run_and_is_thrown_there() {
  echo_pair two;
  two.open();
  two.more = [](const ws::event &event) { if (event.type() == ws::event_type::received) throw std::runtime_error("from a lambda"); };
  for (int i = 0; i < 2; ++i) {
    try {
      two.loop.run();
      CHECK_THROWN();
    } catch (const std::runtime_error &error) {
      CHECK_EQUAL(std::string("from a lambda"), error.what());
    }
    two.client.send("again"); // the connection and the loop are as they were
  }
  two.more = [&two](const ws::event &) { if (two.heard.size() >= 2) two.loop.stop(); };
  two.loop.run();
  CHECK_EQUAL("again", two.heard.at(1));
  two.end(6);
}

// Nobody can catch it there: the process ends, with the exception's own words, and not in the middle of the library.
static void an_exception_without_run_ends_the_process() {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    static int out = ends[1];
    std::set_terminate([] {
      try {
        std::rethrow_exception(std::current_exception());
      } catch (const std::runtime_error &error) {
        (void)!write(out, error.what(), std::strlen(error.what()));
      }
      _exit(42);
    });
    ws::session session("test", WS_FLAG_ASYNC);
    session.set_callback([](const ws::event &) { throw std::runtime_error("nobody catches this"); });
    ws::request asking = session.connect("ws://127.0.0.1:1/");
    (void)asking.complete_upgrade();
    pause();
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK_EQUAL(42, WEXITSTATUS(status));
  char text[100];
  const ssize_t length = read(ends[0], text, sizeof text);
  CHECK_EQUAL("nobody catches this", std::string_view(text, length > 0 ? static_cast<std::size_t>(length) : 0));
}

static void a_lambda_lives_as_long_as_its_handles() {
  echo_pair two;
  two.open();
  CHECK_EQUAL(2, two.token.use_count());
  two.more = [&two](const ws::event &) { if (!two.heard.empty()) two.loop.stop(); };
  two.loop.run();
  // The session and the listener go; the connections still have it.
  two.session.reset(), two.listener.reset(), two.asking.reset(), two.waiting.reset();
  two.more = [&two](const ws::event &) { if (two.gone == 4) two.loop.stop(); };
  two.loop.run();
  CHECK_EQUAL(2, two.token.use_count());
  two.client.send("still");
  two.more = [&two](const ws::event &) { if (two.heard.size() == 2) two.loop.stop(); };
  two.loop.run();
  two.end(6);
  CHECK_EQUAL(1, two.token.use_count());
}

// Nothing was begun on any loop; the last event comes all the same.
static void a_lambda_of_an_unused_session_is_destroyed() {
  const auto token = std::make_shared<std::promise<void>>();
  {
    ws::session session("test", WS_FLAG_ASYNC);
    session.set_callback([token](const ws::event &event) { if (event.type() == ws::event_type::handle_closed) token->set_value(); });
    ws::request unused = session.connect("ws://localhost/");
    unused.set_callback([](const ws::event &) {});
  }
  token->get_future().get();
  for (int i = 0; i < 1000 && token.use_count() > 1; ++i) std::this_thread::sleep_for(1ms); // the lambda itself ends just after that
  CHECK_EQUAL(1, token.use_count());
}

static void a_callback_can_be_replaced() {
  echo_pair two;
  two.open();
  two.more = [&two](const ws::event &) { if (!two.heard.empty()) two.loop.stop(); };
  two.loop.run();
  const auto token = std::make_shared<int>(0);
  int events = 0;
  two.server.reset();
  two.client.set_callback([&, token](const ws::event &event) {
    ++events;
    if (event.type() == ws::event_type::received) CHECK(event.code() == ws::error::connection && !event.sentence().empty());
    if (event.type() == ws::event_type::handle_closed) two.loop.stop();
    else two.client.reset();
  });
  two.more = nullptr;
  two.loop.run();
  CHECK(events >= 2);
  CHECK_EQUAL(1, token.use_count());
  two.gone++; // the client's last event went elsewhere
  two.end(6);
  CHECK_EQUAL(1, two.token.use_count());
}

static void threads_of_the_library_call_too() {
  ws::session session("test", WS_FLAG_ASYNC);
  std::promise<std::error_code> promise;
  std::promise<void> gone;
  ws::request asking;
  session.set_callback([&](const ws::event &event) {
    if (event.type() == ws::event_type::upgraded) promise.set_value(event.code());
    else if (event.type() == ws::event_type::handle_closed && event.handle() != session.get()) gone.set_value();
  });
  asking = session.connect("ws://127.0.0.1:1/");
  CHECK(!asking.complete_upgrade());
  CHECK(promise.get_future().get() == ws::error::cannot_connect);
  asking.reset();
  gone.get_future().get();
  std::promise<void> last;
  const ws_handle ticket = session.get();
  session.set_callback([&, ticket](const ws::event &event) { if (event.handle() == ticket) last.set_value(); });
  session.reset();
  last.get_future().get();
}

static void whole_messages_are_events() {
  pair listening; // a blocking server
  REQUIRE(listening.listen());
  std::thread serving([&listening] {
    listening.accept();
    listening.server.send(ws::buffer_type::utf8_fragment, "in ");
    listening.server.send(ws::buffer_type::utf8_message, "parts");
    listening.server.send(std::string(100000, 'x'));
    listening.server.close(ws::close_status::normal, "Done");
  });
  ws::loop loop = ws::loop::create();
  ws::session session("test", WS_FLAG_ASYNC);
  loop.drive(session);
  session.set(ws::options::whole_messages, true);
  ws::websocket client;
  std::vector<std::size_t> sizes;
  session.set_callback([&](const ws::event &event) {
    CHECK(!event.code());
    if (event.type() == ws::event_type::upgraded) client = event.child<ws::websocket>();
    if (event.type() != ws::event_type::received) return;
    if (event.is_close()) {
      CHECK_EQUAL("Done", client.query_close_status().reason());
      return loop.stop();
    }
    CHECK(event.is_text() && event.buffer_type() == ws::buffer_type::utf8_message);
    if (sizes.empty()) CHECK_EQUAL("in parts", event.text());
    sizes.push_back(event.data().size());
  });
  ws::request asking = session.connect(listening.url());
  CHECK(!asking.complete_upgrade());
  loop.run();
  CHECK((sizes == std::vector<std::size_t>{8, 100000}));
  serving.join();
}

// A raw client sends its request and frames in one piece; masked with zeros, which changes nothing.
static std::string heard_behind_a_head(const std::string &frames, const std::string &later, bool ends) {
  int ends_of_pair[2];
  if (!CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends_of_pair) == 0)) return {};
  const std::string all = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + frames;
  CHECK(write(ends_of_pair[1], all.data(), all.size()) == static_cast<ssize_t>(all.size()));
  if (ends) (void)shutdown(ends_of_pair[1], SHUT_WR);
  ws::loop loop = ws::loop::create();
  ws::session session("test", WS_FLAG_ASYNC);
  loop.drive(session);
  session.set(ws::options::whole_messages, true);
  ws::websocket server;
  std::string heard;
  session.set_callback([&](const ws::event &event) {
    if (event.type() == ws::event_type::upgraded) server = event.child<ws::websocket>();
    if (event.type() != ws::event_type::received) return;
    heard += event.code() ? "!" : event.is_close() ? "." : std::string(event.text()) + ",";
  });
  ws::request request = session.accept_descriptor(ends_of_pair[0]);
  server = request.complete_upgrade();
  std::thread running([&loop] { loop.run(); });
  std::this_thread::sleep_for(100ms);
  if (!later.empty()) CHECK(write(ends_of_pair[1], later.data(), later.size()) == static_cast<ssize_t>(later.size()));
  std::this_thread::sleep_for(100ms);
  loop.stop();
  running.join();
  (void)close(ends_of_pair[1]);
  return heard;
}

static std::string masked(char first, const std::string &payload) {
  return std::string{first, static_cast<char>(0x80 | payload.size()), 0, 0, 0, 0} + payload;
}

static void what_comes_with_the_head_is_delivered() {
  const std::string one = masked('\x81', "one"), two = masked('\x81', "two"), bye = masked('\x88', "\x03\xe8");
  CHECK_EQUAL("one,", heard_behind_a_head(one, "", false));
  CHECK_EQUAL("one,two,", heard_behind_a_head(one + two, "", false));
  CHECK_EQUAL("one,two,", heard_behind_a_head(one, two, false));
  CHECK_EQUAL("one,two,", heard_behind_a_head(one + two.substr(0, 4), two.substr(4), false));
  CHECK_EQUAL("onetwo,", heard_behind_a_head(masked('\x01', "one") + masked('\x80', "two"), "", false));
  CHECK_EQUAL("one,.", heard_behind_a_head(one + bye, "", false));
  CHECK_EQUAL(".", heard_behind_a_head(bye, "", true));
  CHECK_EQUAL("one,!", heard_behind_a_head(one, "", true));
  CHECK_EQUAL("one,!", heard_behind_a_head(one + two.substr(0, 4), "", true));
  CHECK_EQUAL("!", heard_behind_a_head("", "", true));
}

// The peer's last bytes and its end are one report of the system: who takes the bytes must not forget the end.
static std::string heard_before_an_end(bool whole, const std::string &frames) {
  int ends[2];
  if (!CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0)) return {};
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  CHECK(write(ends[1], head.data(), head.size()) == static_cast<ssize_t>(head.size()));
  ws::loop loop = ws::loop::create();
  ws::session session("test", WS_FLAG_ASYNC);
  loop.drive(session);
  session.set(ws::options::whole_messages, whole);
  ws::request request = session.accept_descriptor(ends[0]);
  ws::websocket server = request.complete_upgrade();
  ws::event_room<8> room;
  char text[64];
  std::string heard;
  for (int i = 0; i < 20 && heard.find('!') == std::string::npos; ++i) {
    for (const ws::event event : loop.wait(room, 50ms)) {
      if (event.type() == ws::event_type::upgraded) server = event.child<ws::websocket>();
      if (event.type() != ws::event_type::received) continue;
      heard += event.code() ? "!" : std::string(whole ? event.text().data() : text, event.data().size()) + ",";
      if (whole || event.code()) continue;
      std::error_code code;
      while (const ws::message message = server.receive(text, code)) heard += std::string(message.text()) + ",";
      if (code) heard += "!";
    }
    if (i != 1) continue;
    if (!whole) CHECK(!server.receive(text));
    CHECK(write(ends[1], frames.data(), frames.size()) == static_cast<ssize_t>(frames.size()));
    (void)shutdown(ends[1], SHUT_WR);
  }
  (void)close(ends[1]);
  return heard;
}

static void an_end_behind_the_last_bytes_is_told() {
  for (const bool whole : {true, false}) {
    CHECK_EQUAL("one,!", heard_before_an_end(whole, masked('\x81', "one")));
    CHECK_EQUAL("one,two,!", heard_before_an_end(whole, masked('\x81', "one") + masked('\x81', "two")));
    CHECK_EQUAL("!", heard_before_an_end(whole, masked('\x89', "ping")));
    CHECK_EQUAL("!", heard_before_an_end(whole, ""));
  }
  CHECK_EQUAL("one,!", heard_before_an_end(true, masked('\x81', "one") + masked('\x81', "two").substr(0, 3)));
}

static void a_blocking_session_refuses_callbacks() {
  ws::session session("test");
  std::error_code code;
  const auto token = std::make_shared<int>(0);
  session.set_callback([token](const ws::event &) {}, code);
  CHECK(code == ws::error::not_supported);
  CHECK_EQUAL(1, token.use_count());
}

int main(int argc, char **argv) {
  return check_main(argc, argv,
                    {CHECK_CASE(run_calls_lambdas), CHECK_CASE(wait_returns_a_batch), CHECK_CASE(an_exception_ends_run_and_is_thrown_there),
                     CHECK_CASE(an_exception_without_run_ends_the_process), CHECK_CASE(a_lambda_lives_as_long_as_its_handles),
                     CHECK_CASE(a_lambda_of_an_unused_session_is_destroyed),
                     CHECK_CASE(a_callback_can_be_replaced), CHECK_CASE(threads_of_the_library_call_too), CHECK_CASE(whole_messages_are_events),
                     CHECK_CASE(what_comes_with_the_head_is_delivered),
                     CHECK_CASE(an_end_behind_the_last_bytes_is_told),
                     CHECK_CASE(a_blocking_session_refuses_callbacks)});
}
