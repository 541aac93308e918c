#!/usr/bin/env bash
# site.sh IIS WSCAT PAIR: serves a directory with the program IIS, and asks for pages, files and endpoints. Says last whether all was as it should be.
set -u
if [ "${1-}" != --inside ]; then
  directory=$(mktemp -d)
  trap 'rm -rf "$directory"' EXIT
  mkdir "$directory/site" "$directory/site/sub"
  echo 'the first page' > "$directory/site/index.html"
  echo '{"a":1}' > "$directory/site/sub/data one.json"
  echo 'a secret' > "$directory/secret.txt"
  ln -s ../secret.txt "$directory/site/link.txt"
  "$3" "$1" "$directory/site" --port 0 -- "$0" --inside "$2" '{url}'
  exit
fi
wscat=$2 url=${3%/}
authority=${url#ws://}
wrong=0

# answer METHOD PATH: the status line and the body, with the Content-Type between.
answer() {
  exec 3<> "/dev/tcp/${authority%:*}/${authority##*:}"
  printf '%s %s HTTP/1.1\r\nHost: %s\r\n\r\n' "$1" "$2" "$authority" >&3
  tr -d '\r' <&3 | awk 'NR == 1 {print $2} tolower($1) == "content-type:" && !body {print $2 $3} body {print} /^$/ {body = 1}' | paste -sd' '
  exec 3>&-
}

# expect WHAT FOUND WANTED
expect() { [ "$2" = "$3" ] || { echo "$1: $2, not $3"; wrong=1; }; }

expect '/' "$(answer GET /)" '200 text/html;charset=utf-8 the first page'
expect '/index.html' "$(answer GET '/index.html?query')" '200 text/html;charset=utf-8 the first page'
expect 'a name with a space' "$(answer GET /sub/data%20one.json)" '200 application/json {"a":1}'
expect 'a directory without a page' "$(answer GET /sub)" '404 text/plain There is no such file.'
expect 'a missing file' "$(answer GET /none.txt)" '404 text/plain There is no such file.'
expect 'the way out' "$(answer GET /../secret.txt)" '404 text/plain There is no such file.'
expect 'the hidden way out' "$(answer GET /%2e%2e/secret.txt)" '404 text/plain There is no such file.'
expect 'a link out' "$(answer GET /link.txt)" '404 text/plain There is no such file.'
expect 'a NUL' "$(answer GET /index.html%00.txt)" '404 text/plain There is no such file.'
expect 'half an escape' "$(answer GET /%2)" '404 text/plain There is no such file.'
expect 'another method' "$(answer DELETE /index.html)" '405 text/plain Only GET is served here.'
expect '/status' "$(answer GET /status)" '200 application/json {"status":"well"}'
expect 'plain HTTP at an endpoint' "$(answer GET /ws/echo)" '400 text/plain This is a WebSocket endpoint.'
expect '/ws/echo' "$(echo hello | "$wscat" "$url/ws/echo" 2>&1 | paste -sd' ')" 'hello closed 1000'
expect '/ws/time' "$("$wscat" --wait 60 "$url/ws/time" < /dev/null 2>&1 | sed 's/[0-9]/9/g' | paste -sd' ')" '99:99:99 closed 9999 Done'
expect 'no endpoint' "$("$wscat" "$url/ws/none" < /dev/null 2>&1 | grep -c 404)" 1
[ $wrong = 0 ] && echo 'site: all as it should be'
exit $wrong
