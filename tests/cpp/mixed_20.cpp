#include "mixed.hpp"

#include <span>

static_assert(__cplusplus >= 202002L);

ws::websocket upgrade_20(ws::request request) { return request.complete_upgrade(); }

std::string text_20(const ws::message &message) {
  const std::span<const std::byte> span = message.data();
  return {reinterpret_cast<const char *>(span.data()), span.size()};
}
