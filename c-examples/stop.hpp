// How the C++ servers here end: SIGINT and SIGTERM are taken by one thread, which closes the listener. That wakes accept(), and the program ends by itself.
// No signal handler runs. Closing a handle while another thread waits in it is safe: it is a ticket, not an address.
#ifndef WS101_EXAMPLE_STOP_HPP
#define WS101_EXAMPLE_STOP_HPP
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <pthread.h>
#include <signal.h>
#include <thread>
#include <ws101.hpp>

class stop_signal {
public:
    // First of all in main: threads inherit the signal mask, so every later one leaves these two signals alone.
    stop_signal()
    {
        sigemptyset(&signals_);
        sigaddset(&signals_, SIGINT);
        sigaddset(&signals_, SIGTERM);
        pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    }

    void close_on_stop(const ws::listener &listener)
    {
        thread_ = std::thread([this, ticket = listener.get()] {
            int number = 0;
            sigwait(&signals_, &number);
            {
                const std::lock_guard lock(mutex_);
                asked_ = true;
            }
            changed_.notify_all();
            ws_close_handle(ticket);
        });
    }

    // Waits that long, or until the program is asked to stop; true if it was.
    bool asked_within(std::chrono::milliseconds time)
    {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, time, [this] { return asked_; });
    }

    ~stop_signal()
    {
        if (!thread_.joinable()) return;
        pthread_kill(thread_.native_handle(), SIGTERM); // if none has come
        thread_.join();
    }

private:
    sigset_t signals_{};
    std::mutex mutex_;
    std::condition_variable changed_;
    bool asked_ = false;
    std::thread thread_;
};

#endif
