#!/usr/bin/env bash
# Runs a server, then a client against it, and says in the last line how both ended.
#   pair.sh [--stop | --kill] SERVER [ARG...] -- CLIENT [ARG...]        {url} in an ARG of the client becomes the server's URL
# The server must print `listening on URL`; what else it says comes after the client's output. When the client has ended, it gets SIGTERM;
# with --stop or --kill it gets SIGTERM or SIGKILL as soon as the client has printed something. WRAP (such as "valgrind -q") is put before both. Exits with 0
# if it could run both, whatever their status was.
set -u
during=
case ${1-} in --stop) during=TERM; shift ;; --kill) during=KILL; shift ;; esac
server=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do server+=("$1"); shift; done
shift || { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }

said=$(mktemp)
heard=$(mktemp)
server_process=
# shellcheck disable=SC2329  # called by the trap
clean() { [ -z "$server_process" ] || kill -KILL "$server_process"; rm -f "$said" "$heard"; }
trap clean EXIT
# shellcheck disable=SC2086  # WRAP is a command with its arguments
${WRAP-} "${server[@]}" > "$said" 2>&1 &
server_process=$!
exec 2> /dev/null # the shell would say "Killed" there; what the programs say goes elsewhere
url=
for _ in $(seq 300); do
  url=$(sed -n 's/^listening on //p' "$said")
  [ -n "$url" ] && break
  kill -0 "$server_process" || break
  sleep 0.05
done
[ -n "$url" ] || { echo "the server did not say that it listens"; exit 1; }

client=("${@//\{url\}/$url}")
if [ -n "$during" ]; then
  (for _ in $(seq 600); do [ -s "$heard" ] && break; sleep 0.05; done; kill -$during "$server_process") &
fi
# shellcheck disable=SC2086
${WRAP-} "${client[@]}" 2>&1 | tee "$heard"
client_status=${PIPESTATUS[0]}
kill -TERM "$server_process"
wait "$server_process"
server_status=$?
server_process=
grep -v '^listening on ' "$said"
echo "client $client_status, server $server_status"
