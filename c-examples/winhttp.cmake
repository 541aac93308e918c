# The programs that are written for WinHTTP, and ctest running them against time_server and echo_server. On Windows they use the system's own.
include(CheckLanguage)
check_language(CXX)

function(ws101_winhttp_example name source)
  add_executable(${name} ${source})
  target_compile_features(${name} PRIVATE c_std_11)
  target_link_libraries(${name} PRIVATE ws101::winhttp Threads::Threads)
  if(NOT MSVC)
    target_compile_options(${name} PRIVATE -Wall -Wextra -Wpedantic -Wconversion $<$<BOOL:${WS101_WERROR}>:-Werror>)
  endif()
endfunction()

ws101_winhttp_example(winhttp_async winhttp_async.c)
ws101_winhttp_example(winhttp_secure winhttp_secure.c)
set(winhttp_examples winhttp_async winhttp_secure)
if(CMAKE_CXX_COMPILER)
  enable_language(CXX)
  ws101_winhttp_example(winhttp_figure4 winhttp_figure4.cpp)
  target_compile_features(winhttp_figure4 PRIVATE cxx_std_11)
  list(APPEND winhttp_examples winhttp_figure4)
endif()

if(WS101_BUILD_TESTS AND NOT WIN32)
  # They are told a port, not a URL: what stands between the last colon and the path.
  set(at_port sh -c "url=\${2%/ws/} && exec \"$1\" \"\${url##*:}\"" sh) # no semicolon: this is a list
  foreach(name IN LISTS winhttp_examples)
    ws101_test(usage_${name} COMMAND $<TARGET_FILE:${name}> --nonsense --nonsense --nonsense --nonsense OUTPUT "^usage: ${name} ")
    if(name STREQUAL winhttp_secure)
      continue()
    endif()
    ws101_test(${name}
      COMMAND ${pair} $<TARGET_FILE:time_server> --port 0 --interval 20 --once -- ${at_port} $<TARGET_FILE:${name}> {url}
      OUTPUT "^${ten_times}closed 1000 Done\nclient 0, server 0\n$")
    ws101_test(${name}_sees_the_server_stop
      COMMAND ${pair} --stop $<TARGET_FILE:time_server> --port 0 --interval 300 -- ${at_port} $<TARGET_FILE:${name}> {url}
      OUTPUT "^(> [0-9:]+\n)+closed 1001 Stopping\nclient 0, server 0\n$")
  endforeach()
  ws101_test(winhttp_secure_speaks
    COMMAND ${pair} $<TARGET_FILE:echo_server> --port 0 -- sh -c "exec \"$1\" \"http\${2#ws}\" hello" sh $<TARGET_FILE:winhttp_secure> {url}
    OUTPUT "^hello\nclient 0, server 0\n$")
  add_test(NAME example_winhttp_secure_is_secure
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/tests/secure.sh ${pair} $<TARGET_FILE:echo_server> $<TARGET_FILE:winhttp_secure>)
  set_tests_properties(example_winhttp_secure_is_secure PROPERTIES TIMEOUT 120 SKIP_REGULAR_EXPRESSION "openssl is missing" PASS_REGULAR_EXPRESSION
    "^not secure: unknown authority\nWinHttpSendRequest: error 12175\n(client: [^\n]*\n)?client 1, server 0\nhello\nclient 0, server 0\n$")
endif()
