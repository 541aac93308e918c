// iis DIRECTORY [--port N]: what IIS serves from one site: WebSocket endpoints, plain HTTP beside them, and static files.
//
// /ws/echo and /ws/time are endpoints, /status is a page made here, everything else is a file of the directory. SIGINT and SIGTERM end it.
#include "../clients.hpp"
#include "../stop.hpp"
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// ---- endpoints: what an IIS module does between IHttpContext3 and CloseTcpConnection ----

static void echo(ws::websocket &socket)
{
    for (auto &message : socket.messages()) {
        if (message.is_text()) socket.send(message.text());
        else socket.send(message.data());
    }
    socket.close();
}

static void tell_time(ws::websocket &socket)
{
    char text[sizeof "23:59:59"];
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    socket.send(std::string_view(text, std::strftime(text, sizeof text, "%H:%M:%S", localtime_r(&now, &local))));
    socket.close(ws::close_status::normal, "Done");
}

struct endpoint {
    std::string_view path;
    void (*serve)(ws::websocket &);
};
static constexpr endpoint endpoints[] = {{"/ws/echo", echo}, {"/ws/time", tell_time}};

static void serve_websocket(ws::request &request, std::string_view path, clients &all)
{
    for (const endpoint &one : endpoints) {
        if (one.path != path) continue;
        ws::websocket socket = request.complete_upgrade(); // IHttpResponse::SetStatus(101), Flush
        request.reset();
        const clients::guest guest(all, socket);
        return one.serve(socket);
    }
    request.respond(404, "text/plain", "There is no endpoint here.\n");
}

// ---- plain HTTP ----

static std::string_view content_type(const fs::path &file)
{
    static constexpr struct { std::string_view extension, type; } known[] = {{".html", "text/html; charset=utf-8"}, {".css", "text/css"},
        {".js", "text/javascript"}, {".json", "application/json"}, {".png", "image/png"}, {".svg", "image/svg+xml"}, {".txt", "text/plain; charset=utf-8"}};
    for (const auto &one : known)
        if (file.extension() == one.extension) return one.type;
    return "application/octet-stream";
}

// The file that a path means, if it lies in the directory: "..", links and %2e%2e that lead out of it mean none.
static fs::path file_of(const fs::path &directory, std::string_view path)
{
    std::string name;
    for (std::size_t i = 0; i < path.size(); ++i) {
        const auto digit = [&](std::size_t at) { return at < path.size() ? std::string_view("0123456789abcdef").find(static_cast<char>(path[at] | 0x20)) : std::string_view::npos; };
        const std::size_t high = path[i] == '%' ? digit(i + 1) : std::string_view::npos, low = path[i] == '%' ? digit(i + 2) : std::string_view::npos;
        if (high == std::string_view::npos || low == std::string_view::npos) name += path[i];
        else name += static_cast<char>(high * 16 + low), i += 2;
    }
    if (name.find('\0') != std::string::npos) return {};
    std::error_code code;
    fs::path file = fs::canonical(directory / fs::path(name).relative_path(), code);
    if (!code && fs::is_directory(file)) file = fs::canonical(file / "index.html", code);
    const fs::path inside = code ? fs::path() : file.lexically_relative(directory);
    return inside.empty() || *inside.begin() == ".." || !fs::is_regular_file(file) ? fs::path() : file;
}

static void serve_file(ws::request &request, const fs::path &directory, std::string_view path)
{
    const fs::path file = file_of(directory, path);
    std::ifstream stream(file, std::ios::binary);
    if (file.empty() || !stream) {
        request.respond(404, "text/plain", "There is no such file.\n");
        return;
    }
    const std::string body((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    request.add_header("Cache-Control", "no-cache");
    request.respond(200, content_type(file), std::string_view(body));
}

// ---- the site ----

static void serve(ws::request request, const fs::path &directory, clients &all)
{
    request.handshake();
    const std::string target = request.query(ws::options::target);
    const std::string_view path = std::string_view(target).substr(0, target.find('?'));
    if (request.query(ws::options::is_websocket)) return serve_websocket(request, path, all);
    if (request.query(ws::options::method) != "GET") {
        request.add_header("Allow", "GET");
        request.respond(405, "text/plain", "Only GET is served here.\n");
    } else if (path.substr(0, 4) == "/ws/") {
        request.respond(400, "text/plain", "This is a WebSocket endpoint.\n");
    } else if (path == "/status") {
        request.respond(200, "application/json", R"({"status":"well"})");
    } else {
        serve_file(request, directory, path);
    }
}

static void run(const fs::path &directory, const std::string &port, stop_signal &stop)
{
    ws::session site("iis");
    site.set(ws::options::keepalive_interval, 60s);   // <webSocket pingInterval="00:01:00"
    site.set(ws::options::max_message, 4u << 20);      //            receiveBufferLimit="4194304" />
    site.set(ws::options::close_timeout, 2s);
    ws::listener listener = site.listen("ws://127.0.0.1:" + port + "/");
    stop.close_on_stop(listener);
    std::cout << "listening on " << listener.query(ws::options::url) << std::endl;
    clients all;
    std::error_code code;
    while (ws::request request = listener.accept(code))
        all.begin(std::move(request), [&](ws::request asked) { serve(std::move(asked), directory, all); });
    all.end();
    if (!stop.asked_within(0ms)) throw ws::exception(code);
}

int main(int argc, char **argv)
{
    const bool has_port = argc == 4 && std::strcmp(argv[2], "--port") == 0;
    if (argc != 2 && !has_port) return std::cerr << "usage: iis DIRECTORY [--port N]\n", 2;
    stop_signal stop;
    try {
        run(fs::canonical(argv[1]), has_port ? argv[3] : "8000", stop);
        return 0;
    } catch (const std::exception &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
