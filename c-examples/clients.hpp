// The clients of a C++ server here: one thread each, and a way to send them all home.
#ifndef WS101_EXAMPLE_CLIENTS_HPP
#define WS101_EXAMPLE_CLIENTS_HPP
#include <condition_variable>
#include <exception>
#include <iostream>
#include <mutex>
#include <set>
#include <thread>
#include <ws101.hpp>

class clients {
public:
    // Serves a request on a thread of its own. Whatever goes wrong with it ends there: the others do not notice.
    template <class Serve>
    void begin(ws::request request, Serve serve)
    {
        const std::lock_guard lock(mutex_);
        std::thread([this, serve, request = std::move(request)]() mutable {
            try {
                serve(std::move(request));
            } catch (const ws::exception &error) {
                // A client that leaves without a word is nothing to talk about, nor is a connection that was ended here.
                if (error.code() != ws::error::connection && error.code() != ws::error::cancelled) std::clog << error.what() << std::endl;
            } catch (const std::exception &error) {
                std::clog << error.what() << std::endl;
            }
            leave();
        }).detach();
        ++count_; // after the thread is there; it cannot leave before the mutex is free
    }

    // A connection that is to be closed when the server ends, as long as this lives. Only its ticket is kept: it may be closed at any time.
    class guest {
    public:
        guest(clients &all, const ws::websocket &socket) : all_(all), ticket_(socket.get())
        {
            const std::lock_guard lock(all_.mutex_);
            all_.tickets_.insert(ticket_);
        }
        ~guest()
        {
            const std::lock_guard lock(all_.mutex_);
            all_.tickets_.erase(ticket_);
        }
        guest(const guest &) = delete;
        guest &operator=(const guest &) = delete;

    private:
        clients &all_;
        ws_handle ticket_;
    };

    // Tells everybody goodbye, and waits for their threads.
    void end()
    {
        std::unique_lock lock(mutex_);
        const std::set<ws_handle> tickets = tickets_;
        lock.unlock();
        for (const ws_handle ticket : tickets) ws_shutdown(ticket, WS_CLOSE_GOING_AWAY, "Stopping", 8);
        for (const ws_handle ticket : tickets) ws_close(ticket, WS_CLOSE_GOING_AWAY, nullptr, 0); // ends the receive of its thread
        lock.lock();
        changed_.wait(lock, [this] { return count_ == 0; });
    }

private:
    void leave()
    {
        const std::lock_guard lock(mutex_);
        --count_;
        changed_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::set<ws_handle> tickets_;
    int count_ = 0;
};

#endif
