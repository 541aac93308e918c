// Files that are compiled differently make one program.
#include "mixed.hpp"

static_assert(__cplusplus < 202002L && WS101_EXCEPTIONS == 1);

static void owners_cross_files() {
  pair two;
  REQUIRE(two.listen());
  std::thread accepting([&two] { two.accept(); });
  two.client = upgrade_20(two.session.connect(two.url()));
  accepting.join();
  REQUIRE(two.client && two.server);
  std::error_code code;
  const unsigned char data[] = {'a', 'b', 'c'};
  send_noexcept(two.client, data, code);
  CHECK(!code);
  CHECK_EQUAL("abc", text_20(receive_noexcept(two.server, code)));
  CHECK(!code);
  two.server.reset();
  CHECK(!receive_noexcept(two.client, code) && code == ws::error::connection);
  try {
    two.client.receive_message();
    CHECK_THROWN();
  } catch (const ws::exception &error) {
    CHECK(error.code() == code);
  }
}

int main(int argc, char **argv) { return check_main(argc, argv, {CHECK_CASE(owners_cross_files)}); }
