// Includes ws101.hpp as a program does, and uses each kind of owner, so that a compiler has something to complain about. Never run.
#include "ws101.hpp"
#include "ws101.hpp"

#include <vector>

namespace use {

std::error_code talk(std::string_view url, const std::vector<unsigned char> &data);
std::error_code talk(std::string_view url, const std::vector<unsigned char> &data)
{
    std::error_code code;
    ws::session session = ws::session::open("header test", WS_FLAG_NO_THREADS, code);
    session.set(ws::options::close_timeout, std::chrono::seconds(1), code);
    session.set_callback([](const ws::event &event) { (void)event.child<ws::websocket>(); }, code);
    ws::request request = session.connect(url, code);
    request.add_header("X-Name", "value", code);
    for (const auto [name, value] : request.headers()) (void)(name.size() + value.size());
    ws::websocket socket = request.complete_upgrade(code);
    socket.send("text", code);
    socket.send(data, code);
    socket.send(ws::buffer_type::binary_message, {"text", data, std::string("more")}, WS_SEND_WHOLE, nullptr, code);
    socket.send(ws::prepared_message("text", code), code);
    for (auto &message : socket.messages(code)) (void)message.text();
    ws::listener listener = session.listen(url, code);
    listener.drain(ws::close_status::going_away, std::chrono::seconds(1), std::chrono::seconds(2), code);
    (void)listener.accept(code).respond(404, code);
    ws::loop loop = ws::loop::create(code);
    loop.drive(session, code);
    loop.run(code);
    ws::event_room<> room;
    for (const ws::event event : loop.wait(room, ws::forever, code)) (void)event.type();
#if WS101_EXCEPTIONS
    loop.run();
    ws::session("agent").dial(url).send("text");
    ws::set_log(ws::log_level::errors, [](ws::log_level, std::string_view) {});
#endif
    return code;
}

} // namespace use
