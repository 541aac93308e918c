// One program of files that are compiled as C++17, as C++20 and without exceptions, which give owners and messages to each other.
#ifndef MIXED_HPP
#define MIXED_HPP

#include "pair.hpp"

// mixed_20.cpp
ws::websocket upgrade_20(ws::request request);
std::string text_20(const ws::message &message);

// mixed_noexcept.cpp
ws::message receive_noexcept(ws::websocket &socket, std::error_code &code) noexcept;
void send_noexcept(ws::websocket &socket, ws::bytes data, std::error_code &code) noexcept;

#endif
