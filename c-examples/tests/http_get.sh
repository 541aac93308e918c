#!/usr/bin/env bash
# http_get.sh ws://HOST:PORT/PATH [PATH]: sends a plain HTTP request, as a browser's address bar would, and prints the status line of the answer.
set -eu
rest=${1#ws://}
authority=${rest%%/*}
exec 3<> "/dev/tcp/${authority%:*}/${authority##*:}"
printf 'GET %s HTTP/1.1\r\nHost: %s\r\n\r\n' "${2-/${rest#*/}}" "$authority" >&3
read -r line <&3
echo "${line%$'\r'}"
