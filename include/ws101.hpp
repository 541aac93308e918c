/// ws101.hpp: WebSocket for C++17 and later. Header-only, over ws101.h, which says what everything means.
///
/// A client that prints what a server says:
///
///     ws::session session("example/1.0");
///     ws::websocket socket = session.dial("ws://127.0.0.1:8000/time");
///     for (auto &message : socket.messages()) std::cout << message.text() << '\n';
///     socket.close();
///
/// Handles. ws::session, ws::request, ws::websocket, ws::listener, ws::loop and ws::prepared_message each own one handle, after Kenny Kerr's unique_handle:
/// they can be moved and not copied, have explicit operator bool, get(), reset() and release(), and close the handle at their end. For a websocket that
/// drops the connection: close() says goodbye before.
///
/// Failing. Each function has two forms. One throws ws::exception, whose what() is the library's sentence; the other is noexcept and takes a
/// std::error_code last. With -fno-exceptions there is the second form only; -fno-rtti changes nothing. `code == ws::error::timeout` compares.
///
/// Pending. On asynchronous sessions a call that would wait is no error: it returns an empty object, or false, and an event tells its end.
///
/// Text and bytes. std::string_view is text, and sent as a text message; ws::bytes is anything of std::byte or unsigned char that has data() and size(),
/// such as std::vector and std::span, and sent as a binary message. ws::room is where something is received into. All are views.
///
/// Names are those of ws101.h without ws_: chapter and rules can be looked up there.
#ifndef WS101_HPP
#define WS101_HPP

#if !defined(__cplusplus) || (__cplusplus < 201703L && !(defined(_MSVC_LANG) && _MSVC_LANG >= 201703L))
#error "ws101.hpp needs C++17"
#endif

#include "ws101/library.hpp"
#include "ws101/loop.hpp"
#include "ws101/session.hpp"

#endif
