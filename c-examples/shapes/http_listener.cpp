// http_listener [--port N] [--interval MS]: the article's Figure 1, a server of .NET's HttpListener, line by line.
//
// One client, as there: ten times of day, then a clean close. A request that is no WebSocket handshake is answered with 400.
#include "../stop.hpp"
#include <chrono>
#include <cstring>
#include <ctime>
#include <iostream>
#include <string>
#include <thread>

static std::string time_of_day() // DateTime.Now.ToLongTimeString()
{
    char text[sizeof "23:59:59"];
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    return std::string(text, std::strftime(text, sizeof text, "%H:%M:%S", localtime_r(&now, &local)));
}

static void run(const std::string &prefix, std::chrono::milliseconds interval, stop_signal &stop)
{
    ws::session http("http_listener");                                                // var s = new HttpListener();
    ws::listener s = http.listen(prefix);                                             // s.Prefixes.Add("http://localhost:8000/ws/"); s.Start();
    stop.close_on_stop(s);
    std::cout << "listening on " << s.query(ws::options::url) << std::endl;
    ws::request hc = s.accept();                                                      // var hc = await s.GetContextAsync();
    hc.handshake();
    if (!hc.query(ws::options::is_websocket)) {                                       // if (!hc.Request.IsWebSocketRequest)
        hc.respond(400);                                                              //   hc.Response.StatusCode = 400; hc.Response.Close();
        return;
    }
    ws::websocket socket = hc.complete_upgrade();                                     // (await hc.AcceptWebSocketAsync(null)).WebSocket
    for (int i = 0; i != 10; ++i) {
        std::this_thread::sleep_for(interval);                                        // await Task.Delay(2000);
        socket.send(time_of_day());                                                   // await ws.SendAsync(segment, WebSocketMessageType.Text, true, …);
    }
    socket.close(ws::close_status::normal, "Done");                                   // await ws.CloseAsync(NormalClosure, "Done", …);
}

int main(int argc, char **argv)
{
    stop_signal stop;
    std::string port = "8000";
    std::chrono::milliseconds interval(2000);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (std::strcmp(argv[i], "--port") == 0) port = argv[i + 1];
        else if (std::strcmp(argv[i], "--interval") == 0) interval = std::chrono::milliseconds(std::stol(argv[i + 1]));
    }
    try {
        run("ws://127.0.0.1:" + port + "/ws/", interval, stop);
        return 0;
    } catch (const ws::exception &error) {
        if (error.code() == ws::error::cancelled) return 0; // stopped before anybody came
        std::cerr << error.what() << '\n';
        return 1;
    }
}
