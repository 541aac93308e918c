#!/usr/bin/env bash
# Runs winhttp_secure against an echo_server with a certificate that nobody vouches for: once as it should be, once with --insecure.
#   secure.sh PAIR ECHO_SERVER WINHTTP_SECURE
set -u
command -v openssl > /dev/null || { echo "openssl is missing: sudo apt-get install openssl"; exit 77; }
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place" || exit 1
# An authority that nobody knows, and a server's certificate of its.
key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n' > extensions
if ! { openssl req -x509 "${key[@]}" -days 2 -subj "/CN=Nobody's Authority" -keyout authority.key -out authority.pem &&
  openssl req "${key[@]}" -subj /CN=localhost -keyout key.pem -out request.pem &&
  openssl x509 -req -in request.pem -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile extensions -out certificate.pem; } 2> openssl.log; then
  cat openssl.log
  exit 1
fi
for option in '' --insecure; do
  # {url} is wss://…, which WinHTTP calls https://…
  # shellcheck disable=SC2016  # for the shell inside
  "$1" "$2" --port 0 --tls-cert certificate.pem --tls-key key.pem -- sh -c 'exec "$1" "https${2#wss}" hello $3' sh "$3" '{url}' "$option"
done
