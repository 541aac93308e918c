// A small test frame for C++, with and without exceptions: named cases, each in a process of its own, checks that tell both values.
//
// When a case is over, every handle that the library gave to it must be closed. Arguments choose the cases whose name contains one of them.
// Goes before ws101.hpp, because it remembers handles.
#ifndef CHECK_HPP
#define CHECK_HPP

#include "../c/handles.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <iostream>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <ws101.hpp>

struct check_case {
  const char *name;
  void (*run)();
};

inline std::atomic<int> check_failures{0};

inline bool check_failed(const char *file, int line, const std::string &text) {
  const char *name = std::strrchr(file, '/');
  std::ostringstream whole;
  whole << "# " << (name != nullptr ? name + 1 : file) << ':' << line << ": " << text << '\n';
  std::cout << whole.str() << std::flush;
  ++check_failures;
  return false;
}

template <class Expected, class Actual>
bool check_equal(const Expected &expected, const Actual &actual, const char *file, int line, const char *text) {
  if (expected == actual) return true;
  std::ostringstream told;
  told << text << " is " << actual << ", expected " << expected;
  return check_failed(file, line, told.str());
}

#define CHECK(condition) ((condition) || check_failed(__FILE__, __LINE__, "not true: " #condition))
#define CHECK_EQUAL(expected, actual) check_equal((expected), (actual), __FILE__, __LINE__, #actual)
// Stands where an exception must have been thrown.
#define CHECK_THROWN() check_failed(__FILE__, __LINE__, "nothing was thrown")
// The same, and the case ends here if it fails.
#define REQUIRE(condition) do { if (!CHECK(condition)) return; } while (false)

inline bool is_open(ws_handle handle) {
  std::uint32_t kind = 0;
  std::size_t length = sizeof kind;
  return ws_query_option(handle, WS_OPTION_HANDLE_KIND, &kind, &length) != WS_ERROR_INVALID_HANDLE;
}

inline void check_tell_of_handle(ws_handle handle, std::uint32_t kind) {
  std::ostringstream told;
  told << "handle " << std::hex << handle << ", of kind " << kind << ", was left open by the case";
  check_failed(__FILE__, __LINE__, told.str());
}

inline bool check_one(const check_case &one) {
  std::cout << std::flush;
  const pid_t child = fork();
  if (child == 0) {
    alarm(30);
    one.run();
    if (check_failures == 0) handles_check(check_tell_of_handle);
    std::exit(check_failures == 0 ? 0 : 1); // not _exit: a leak checker may have something to say
  }
  int status = 0;
  const bool passed = child > 0 && waitpid(child, &status, 0) == child && status == 0;
  if (WIFSIGNALED(status)) std::cout << "# died of signal " << WTERMSIG(status) << '\n';
  std::cout << (passed ? "ok - " : "not ok - ") << one.name << '\n';
  return passed;
}

// main's whole body. The exit status is 0 only if something ran and nothing failed.
inline int check_main(int argc, char **argv, std::initializer_list<check_case> cases) {
  int passed = 0, failed = 0;
  for (const check_case &one : cases) {
    bool chosen = argc < 2;
    for (int i = 1; i < argc; ++i) chosen = chosen || std::strstr(one.name, argv[i]) != nullptr;
    if (chosen) ++(check_one(one) ? passed : failed);
  }
  std::cout << passed << " passed, " << failed << " failed\n";
  return failed == 0 && passed > 0 ? 0 : 1;
}

#define CHECK_CASE(function) check_case{#function, function}

#endif
