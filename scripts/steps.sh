# shellcheck shell=bash
# The steps of scripts/test: one function a step, run from the top of the project under `set -e`. A step passes with 0 and is skipped with 77 and the
# reason as its last line; anything else is a failure. A line `summary: ...` is shown in the table.

# shellcheck disable=SC2034  # used by scripts/test
steps=(format clippy shell cargo header header-compiles threading porting winhttp build exports small ctest demo install asan valgrind interop proxies addresses tls ffi browser autobahn-client autobahn-server autobahn-client-loop autobahn-server-loop autobahn-deflate)
# shellcheck disable=SC2034
quick_steps=(format clippy cargo header threading porting build exports ctest)

skip() { echo "$*"; exit 77; }

# build_tree PRESET: configures and builds one of the trees of CMakePresets.json, with warnings as errors.
build_tree() {
  cmake --preset "$1" -DWS101_WERROR=ON
  cmake --build --preset "$1" -j "$(processors)"
}

# run_ctest DIRECTORY [ARG...]
run_ctest() {
  local directory=$1 status=0
  shift
  # Most of them wait most of the time, so more run at once than there are processors. One of many cases against the clock may be starved on a busy
  # machine: it gets a second try, which the summary tells.
  ctest --test-dir "$directory" --output-on-failure --no-tests=error --repeat until-pass:2 -j $(($(processors) * 2)) "$@" > build/ctest.out 2>&1 || status=$?
  cat build/ctest.out
  echo "summary: $(sed -n 's/^[0-9]*% tests passed, \(.*\) tests failed out of \(.*\)/\2 tests, \1 failed/p' build/ctest.out)$(
    grep -q 'did not run' build/ctest.out && echo ', some skipped: see the log')$(
    tries=$(grep -cE '\*\*\*(Failed|Timeout)' build/ctest.out); [ $status != 0 ] || [ "$tries" = 0 ] || echo ", $tries only on a second try")"
  return $status
}

# run_judge SCRIPT [ARG...]: a script of tests/ that itself knows when to skip. Its last line is its summary, or why it was skipped.
run_judge() {
  local status=0
  [ -x "$1" ] || skip "$1 is not there"
  "$@" > build/judge.out 2>&1 || status=$?
  cat build/judge.out
  [ $status = 77 ] || echo "summary: $(tail -n 1 build/judge.out)"
  return $status
}

step_format() { cargo fmt --check; }

step_clippy() { cargo clippy --locked --all-targets -- -D warnings; }

step_shell() {
  need shellcheck shellcheck || exit 77
  local files
  # Whatever says in its first line that it is a shell script.
  files=$(git grep -lIE '^(#!.*sh|# shellcheck shell=bash)$' -- scripts .ci tests c-examples ffi-examples)
  # shellcheck disable=SC2086  # no name here has a space
  shellcheck -x -S warning --source-path=SCRIPTDIR $files
}

step_cargo() {
  cargo test --locked 2>&1 | tee build/cargo-test.out
  echo "summary: $(awk '/^test result:/ {p += $4; f += $6; i += $8} END {print p " tests, " f " failed, " i " ignored"}' build/cargo-test.out)"
}

step_header() {
  [ -x scripts/header ] || skip "scripts/header is not there"
  scripts/header --check
}

step_header_compiles() {
  need g++ g++ || exit 77
  run_judge tests/header/run
}

step_threading() { run_judge tests/threading/run; }

step_porting() { run_judge tests/porting/run; }

# What is written for WinHTTP also compiles with Windows' header. The packages are big: who has them is checked, nobody else.
step_winhttp() { run_judge tests/shim/mingw; }

step_build() { build_tree release; }

# The shared library exports ws_ functions and nothing else, and every function of the header.
step_exports() {
  [ -e build/lib/libws101.so ] || build_tree release
  nm -D --defined-only build/lib/libws101.so | awk '$2 ~ /[TW]/ {print $3}' | sort > build/exported
  if grep -v '^ws_' build/exported; then echo "exported, but not ours"; return 1; fi
  sed -n 's/.*[ *]\(ws_[a-z_]*\)(.*/\1/p' include/ws101.h | grep -v '_callback$' | sort -u > build/declared
  local missing
  missing=$(comm -13 build/exported build/declared | while read -r name; do grep -qE "(ws_status|uint32_t|char \*) *$name\(" include/ws101.h && echo "$name"; done)
  if [ -n "$missing" ]; then echo "declared, but not exported: $missing"; return 1; fi
  readelf -d build/lib/libws101.so | grep -q 'SONAME.*libws101\.so\.[0-9]' || { echo "no soname"; return 1; }
  readelf -d build/lib/libws101.so | grep -q NODELETE || { echo "not linked nodelete"; return 1; }
  echo "summary: $(wc -l < build/exported) functions, $(stat -L -c %s build/lib/libws101.so) bytes"
}

# The library without TLS and compression, in a tree of its own: that it builds, how big it is, and that it says 50 to what it has not.
step_small() {
  local place=build/small status=0
  cmake -S . -B "$place" -DWS101_CARGO_FLAGS=--no-default-features -DWS101_SMALL=ON -DWS101_BUILD_EXAMPLES=OFF -DWS101_BUILD_TESTS=OFF
  cmake --build "$place" --target ws101_cargo
  cc -std=c99 -D_DEFAULT_SOURCE -Wall -Wextra -Wpedantic -Wconversion -Werror -Iinclude -Itests/c tests/small/test_small.c -o "$place/test_small" \
    -L"$place/lib" -lws101 -pthread "-Wl,-rpath,$PWD/$place/lib"
  "$place/test_small" > "$place/test.out" 2>&1 || status=$?
  cat "$place/test.out"
  echo "summary: $(stat -L -c %s "$place/lib/libws101.so") bytes without TLS and compression, $(tail -n 1 "$place/test.out")"
  return $status
}

step_ctest() {
  build_tree release
  run_ctest build
}

# The demo must work, and its second run must start within ten seconds.
step_demo() {
  local begin
  scripts/demo
  begin=$SECONDS
  scripts/demo | tee build/demo.second
  grep -qx 'closed 1000 Done' build/demo.second
  # Ten times 0.3 s belong to the conversation itself.
  [ $((SECONDS - begin)) -le 13 ] || { echo "the second run took $((SECONDS - begin)) s"; return 1; }
}

# Installs, moves the installed tree elsewhere, and uses it from there; then as a subdirectory of another project.
step_install() {
  local place
  need pkg-config pkg-config || exit 77
  build_tree release
  place=$(mktemp -d)
  # shellcheck disable=SC2064  # the place is known now
  trap "rm -rf '$place'" EXIT
  cmake --install build --prefix "$place/first"
  mv "$place/first" "$place/moved"
  cmake -S cmake/consumer -B "$place/found" -DCMAKE_PREFIX_PATH="$place/moved"
  cmake --build "$place/found"
  ctest --test-dir "$place/found" --output-on-failure
  PKG_CONFIG_PATH=$(dirname "$(find "$place/moved" -name ws101.pc)")
  export PKG_CONFIG_PATH
  # shellcheck disable=SC2046  # flags are words
  cc cmake/consumer/main.c -o "$place/by-pkg-config" $(pkg-config --cflags --libs ws101) "-Wl,-rpath,$(pkg-config --variable=libdir ws101)"
  "$place/by-pkg-config"
  # shellcheck disable=SC2046
  cc cmake/consumer/winhttp.c -o "$place/winhttp-by-pkg-config" $(pkg-config --cflags --libs ws101-winhttp) "-Wl,-rpath,$(pkg-config --variable=libdir ws101-winhttp)"
  "$place/winhttp-by-pkg-config"
  cmake -S cmake/consumer -B "$place/subdirectory" -DCMAKE_BUILD_TYPE=Debug -DWS101_SOURCE_DIR="$PWD"
  cmake --build "$place/subdirectory" -j "$(processors)"
  ctest --test-dir "$place/subdirectory" --output-on-failure
}

step_asan() {
  build_tree asan
  # Of what is compiled in several ways, one.
  run_ctest build/asan -E '^test_(cpp20_|winhttp_.*_cpp$)'
}

# The examples, and the tests of the header, the shim and the C++ header, under memcheck. A leak counts if nothing points to it any more. Most of
# them wait most of the time, so more run at once than there are processors.
step_valgrind() {
  local check="valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --fair-sched=try"
  local jobs programs
  need valgrind valgrind libc6-dbg || exit 77
  build_tree debug
  jobs=$(($(processors) * 2))
  WRAP=$check ctest --test-dir build/debug --output-on-failure --no-tests=error -j "$jobs" \
    -R '^example_(time|plain|other|client|probe|echo_(16|65536|empty|client))'
  # Of what is compiled in several ways, one.
  programs=$(find build/debug/tests/{c,shim,cpp} -maxdepth 1 -type f -name 'test_*' ! -name test_check ! -name test_loop_threads ! -name 'test_winhttp_*_cpp' ! -name 'test_cpp20_*' \
    -perm -u+x 2> /dev/null || true)
  echo "summary: the examples and $(echo "$programs" | grep -c .) test programs"
  # One process for all cases: valgrind needs a second or two for each process it begins to watch, and there are some fifteen hundred cases.
  # (test_process has cases that change the whole process; test_check tests the frame, not the library; the child that test_loop_threads forks leaves its
  # parent's loop alone, which is a leak to memcheck.)
  [ -z "$programs" ] || echo "$programs" | CHECK_STAY=1 CHECK_SECONDS=200 xargs -P "$jobs" -I {} sh -c "
    case {} in *test_process) unset CHECK_STAY;; esac
    $check {} > {}.valgrind 2>&1; status=\$?
    [ \$status = 0 ] || [ \$status = 77 ] || { echo == {}; grep -v '^ok ' {}.valgrind; exit 1; }"
}

# These two judge the programs of the release tree.
step_interop() {
  build_tree release
  have npm || install_packages nodejs npm python3-venv || true # without them the script says what it misses
  run_judge tests/interop/run
}

# The proxies are services, which not everybody wants on a machine: only a judge's machine gets what is missing.
step_proxies() {
  build_tree release
  [ -z "${CI-}" ] || install_packages squid tinyproxy microsocks dante-server nginx-light haproxy || true
  run_judge tests/proxies/run
}

step_addresses() {
  build_tree release
  run_judge tests/proxies/addresses
}

step_ffi() {
  build_tree release
  have npm || install_packages nodejs npm || true
  run_judge ffi-examples/run
}

# A browser without a window. It is large: a machine that has none, and cannot fetch one within three minutes, does without.
step_browser() {
  build_tree release
  have chromium-headless-shell || have chromium || have google-chrome || timeout 180 bash -c '. scripts/lib.sh; install_packages chromium-headless-shell' || true
  run_judge tests/browser/run
}

step_tls() {
  build_tree release
  have npm || install_packages nodejs npm python3-venv || true # without them the script says what it misses
  { have nginx && have haproxy; } || install_packages nginx-light haproxy || true
  run_judge tests/tls/run
}

step_autobahn_client() {
  build_tree release
  run_judge tests/autobahn/run client
}

step_autobahn_server() {
  build_tree release
  run_judge tests/autobahn/run server
}

# A slice of the 216 cases about compression, in both roles and modes; scripts/conformance has them all. Each case is a thousand messages: none of 128 KiB.
step_autobahn_deflate() {
  local cases="12.1.1 12.1.8 12.2.5 12.3.6 12.4.11 12.5.4 13.1.1 13.2.3 13.3.5 13.4.7 13.5.8 13.6.11 13.7.12"
  build_tree release
  run_judge tests/autobahn/run server --mode loop --cases "$cases"
  run_judge tests/autobahn/run client --cases "$cases"
}

step_autobahn_client_loop() {
  build_tree release
  run_judge tests/autobahn/run client --mode loop
}

step_autobahn_server_loop() {
  build_tree release
  run_judge tests/autobahn/run server --mode loop
}
