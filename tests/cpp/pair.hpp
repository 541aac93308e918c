// A client and a server on one connection, both of ws101.hpp. Uses the forms without exceptions, so that every test can include it.
#ifndef PAIR_HPP
#define PAIR_HPP

#include "check.hpp"

#include <thread>

struct pair {
  ws::session session;
  ws::listener listener;
  ws::websocket client;
  ws::websocket server;

  // Listens on a free port.
  bool listen(const char *path = "/") {
    std::error_code code;
    session = ws::session::open("test", 0, code);
    if (!CHECK_EQUAL(std::error_code(), code)) return false;
    session.set(ws::options::close_timeout, std::chrono::seconds(5), code);
    listener = session.listen(std::string("ws://127.0.0.1:0") + path, code);
    return CHECK_EQUAL(std::error_code(), code);
  }

  std::string url() const {
    std::error_code code;
    return listener.query(ws::options::url, code);
  }

  // Upgrades the next client that connects.
  void accept() {
    std::error_code code;
    ws::request request = listener.accept(code);
    CHECK_EQUAL(std::error_code(), code);
    server = request.complete_upgrade(code);
    CHECK_EQUAL(std::error_code(), code);
  }

  bool open() {
    if (!listen()) return false;
    std::error_code code;
    std::thread accepting([this] { accept(); });
    client = session.dial(url(), code);
    accepting.join();
    return CHECK_EQUAL(std::error_code(), code) && CHECK(client && server);
  }
};

#endif
