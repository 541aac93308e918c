# Tests of the examples in C++, against the ones in C.
ws101_test(cpp_client
  COMMAND ${pair} $<TARGET_FILE:time_server> --port 0 --interval 20 --once -- $<TARGET_FILE:cpp_client> {url}
  OUTPUT "^${ten_times}closed 1000 Done\nclient 0, server 0\n$")
ws101_test(cpp_client_tells_of_a_close
  COMMAND ${pair} --stop $<TARGET_FILE:time_server> --port 0 --interval 1000 -- $<TARGET_FILE:cpp_client> {url}
  OUTPUT "^(> [0-9:]+\n)+closed 1001 Stopping\nclient 1, server 0\n$")
ws101_says(cpp_client_tells_of_a_loss cpp_client "> hi\n> 3 bytes\n[^\n]* \\(12030(, try again later)?\\)\nclient 1, server 0" text:hi binary:abc vanish)
ws101_test(cpp_client_meets_nobody
  COMMAND $<TARGET_FILE:cpp_client> ws://127.0.0.1:1/
  OUTPUT "^[^\n]*127.0.0.1:1:? [^\n]*refused[^\n]* \\(12029, try again later\\)\n$")
ws101_test(cpp_server
  COMMAND ${pair} $<TARGET_FILE:cpp_server> --port 0 -- ${typed} "hello\\n\\0303\\0266\\n" ${wscat} {url}
  OUTPUT "^HELLO\nö\nclosed 1000\nclient 0, server 0\n$")
ws101_test(cpp_server_echoes
  COMMAND ${pair} $<TARGET_FILE:cpp_server> --port 0 -- $<TARGET_FILE:echo_client> {url} --size 70000 --count 20
  OUTPUT "^20 messages of 70000 bytes, every echo right, .*\nclient 0, server 0\n$")
ws101_test(cpp_server_stops
  COMMAND ${pair} --stop $<TARGET_FILE:cpp_server> --port 0 -- $<TARGET_FILE:probe_client> {url}
  OUTPUT "^OPEN protocol=- extensions=-\nCLOSED 1001 1 Stopping\nclient 0, server 0\n$")

# ---- the shapes of other systems ----
ws101_test(figures_1_and_2
  COMMAND ${pair} $<TARGET_FILE:shape_http_listener> --port 0 --interval 20 -- $<TARGET_FILE:shape_client_websocket> {url}
  OUTPUT "^${ten_times}closed 1000 Done\nclient 0, server 0\n$")
ws101_test(figure_1_refuses_plain_http
  COMMAND ${pair} $<TARGET_FILE:shape_http_listener> --port 0 -- ${http_get} {url}
  OUTPUT "^HTTP/1.1 400 .*\nclient 0, server 0\n$")
ws101_says(figure_2_joins_pieces shape_client_websocket "> 10:35:02\n> \nclosed 4000 as told\nheard close 1000 OK\nclient 0, server 0" text+:10: text+:35 text::02 text: close:4000)
ws101_says(figure_2_refuses_binary shape_client_websocket "closed 1003 \nheard close 1003 I don't do binary\nclient 0, server 0" binary:zeros)
ws101_says(figure_2_refuses_long_text shape_client_websocket "closed 1007 \nheard close 1007 That's too long\nclient 0, server 0" long:1025)
ws101_says(figure_2_takes_what_just_fits shape_client_websocket "> x+\nclosed 4000 as told\nheard close 1000 OK\nclient 0, server 0" long:1024 close:4000)
ws101_test(iis
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/tests/site.sh $<TARGET_FILE:shape_iis> ${wscat} ${pair}
  OUTPUT "^site: all as it should be\nclient 0, server 0\n$")

ws101_test(figure_3
  COMMAND ${pair} $<TARGET_FILE:shape_http_listener> --port 0 --interval 20 -- $<TARGET_FILE:shape_message_websocket> {url}
  OUTPUT "^${ten_times}closed 1000 Done\nclient 0, server 0\n$")
ws101_says(figure_3_joins_pieces shape_message_websocket "> 10:35:02\n> x+\nclosed 4321 as told\nheard close 4321 \nclient 1, server 0"
  text+:10: text+:35 text::02 long:5000 close:4321)
ws101_says(figure_3_tells_of_a_loss shape_message_websocket "> hi\nclosed 1006 [^\n]+\nclient 1, server 0" text:hi vanish)
ws101_test(figure_3_meets_nobody
  COMMAND $<TARGET_FILE:shape_message_websocket> ws://127.0.0.1:1/
  OUTPUT "^[^\n]*127.0.0.1:1:? [^\n]*refused[^\n]*\n$")
ws101_test(figure_3_refuses_a_url COMMAND $<TARGET_FILE:shape_message_websocket> "ws://" OUTPUT "^[^\n]+\n$")
ws101_test(javascript
  COMMAND ${pair} $<TARGET_FILE:shape_http_listener> --port 0 --interval 20 -- $<TARGET_FILE:shape_javascript> {url}
  OUTPUT "^open\n${ten_times}closed 1000 Done clean\nclient 0, server 0\n$")
ws101_says(javascript_joins_pieces shape_javascript "open\n> 10:35:02\n> \nclosed 4321 as told clean\nheard close 4321 \nclient 0, server 0"
  text+:10: text+:35 text::02 text: close:4321)
ws101_says(javascript_tells_of_a_loss shape_javascript "open\n> hi\nerror\nclosed 1006  not clean\nclient 1, server 0" text:hi vanish)
ws101_test(javascript_meets_nobody
  COMMAND $<TARGET_FILE:shape_javascript> ws://127.0.0.1:1/
  OUTPUT "^error\nclosed 1006  not clean\n$")
ws101_test(javascript_refuses_a_url COMMAND $<TARGET_FILE:shape_javascript> "ftp://a/" OUTPUT "^[^\n]*ftp[^\n]*\n$")
