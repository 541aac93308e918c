#include "mixed.hpp"

static_assert(WS101_EXCEPTIONS == 0);

ws::message receive_noexcept(ws::websocket &socket, std::error_code &code) noexcept { return socket.receive_message(code); }

void send_noexcept(ws::websocket &socket, ws::bytes data, std::error_code &code) noexcept { socket.send(data, code); }
