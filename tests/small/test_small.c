/* The library built without TLS and without compression: what is left out answers 50 and says so, the rest works. */
#include "pair.h"

static bool session_open(ws_handle *session) { return CHECK_STATUS(WS_OK, ws_open(NULL, 0, session)); }

static void the_features_say_what_is_left_out(void) {
  uint32_t features = UINT32_MAX;
  size_t length = sizeof features;
  CHECK_STATUS(WS_OK, ws_query_option(WS_NO_HANDLE, WS_OPTION_FEATURES, &features, &length));
  CHECK_NUMBER(0, features & 3);
}

/* Said by the call that names the URL, with a sentence; before anything is connected or bound. */
static void wss_is_refused_on_both_sides(void) {
  ws_handle session = WS_NO_HANDLE, other = WS_NO_HANDLE;
  ws_error_info why;
  memset(&why, 0, sizeof why);
  why.size = sizeof why;
  if (!session_open(&session)) return;
  CHECK_STATUS(WS_ERROR_NOT_SUPPORTED, ws_connect(session, "wss://127.0.0.1:1/", &other));
  CHECK_STATUS(WS_OK, ws_last_error(&why));
  CHECK_NUMBER(WS_ERROR_NOT_SUPPORTED, why.status);
  CHECK(strstr(why.message, "TLS") != NULL);
  CHECK_STATUS(WS_ERROR_NOT_SUPPORTED, ws_listen(session, "wss://127.0.0.1:0/", &other));
  CHECK_NUMBER(WS_NO_HANDLE, other);
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

static void options_of_what_is_left_out_are_refused(void) {
  ws_handle session = WS_NO_HANDLE;
  ws_compression compression;
  uint32_t number = 0;
  size_t length = sizeof compression;
  memset(&compression, 0, sizeof compression);
  compression.size = sizeof compression;
  compression.enabled = 1;
  if (!session_open(&session)) return;
  CHECK_STATUS(WS_ERROR_NOT_SUPPORTED, ws_set_option(session, WS_OPTION_COMPRESSION, &compression, sizeof compression));
  CHECK_STATUS(WS_ERROR_NOT_SUPPORTED, ws_query_option(session, WS_OPTION_COMPRESSION, &compression, &length));
  CHECK_STATUS(WS_ERROR_NOT_SUPPORTED, ws_set_option(session, WS_OPTION_TLS_CA, "/no/such/file", 13));
  CHECK_STATUS(WS_ERROR_NOT_SUPPORTED, ws_set_option(session, WS_OPTION_TLS_DANGER, &number, sizeof number));
  CHECK_STATUS(WS_OK, ws_close_handle(session));
}

/* A peer that offers compression gets a connection without. */
static void a_plain_connection_works(void) {
  static const pair_role roles[] = {LIBRARY_IS_CLIENT, LIBRARY_IS_SERVER};
  for (size_t i = 0; i < CHECK_COUNT(roles); i++) {
    pair pair;
    char text[16];
    size_t length = 0;
    ws_buffer_type type = WS_CLOSE_FRAME;
    check_label("%s", pair_role_name(roles[i]));
    pair_fields = roles[i] == LIBRARY_IS_SERVER ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "";
    if (!pair_open(&pair, roles[i])) return;
    CHECK(strstr(pair_head, "Sec-WebSocket-Extensions") == NULL);
    CHECK(pair_peer_sends(&pair, 0x81, "good day", 8));
    CHECK_STATUS(WS_OK, ws_receive(pair.websocket, text, sizeof text, &length, &type));
    CHECK_BYTES("good day", 8, text, length);
    CHECK_NUMBER(WS_UTF8_MESSAGE, type);
    CHECK_STATUS(WS_OK, ws_send(pair.websocket, WS_UTF8_MESSAGE, "well met", 8));
    peer_frame frame;
    if (CHECK(peer_read_frame(pair.peer, &frame))) CHECK_BYTES("well met", 8, frame.payload, frame.length);
    pair_close(&pair);
  }
}

int main(int argc, char **argv) {
  static const check_test tests[] = {
      CHECK_TEST(the_features_say_what_is_left_out),
      CHECK_TEST(wss_is_refused_on_both_sides),
      CHECK_TEST(options_of_what_is_left_out_are_refused),
      CHECK_TEST(a_plain_connection_works),
  };
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
