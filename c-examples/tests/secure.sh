#!/usr/bin/env bash
# Runs winhttp_secure against an echo_server with a certificate that nobody vouches for: once as it should be, once with --insecure.
#   secure.sh PAIR ECHO_SERVER WINHTTP_SECURE
set -u
command -v openssl > /dev/null || { echo "openssl is missing: sudo apt-get install openssl"; exit 77; }
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE \
  -keyout "$place/key.pem" -out "$place/certificate.pem" 2> /dev/null || { echo "openssl made no certificate"; exit 1; }
for option in '' --insecure; do
  # {url} is wss://…, which WinHTTP calls https://…
  # shellcheck disable=SC2016  # for the shell inside
  "$1" "$2" --port 0 --tls-cert "$place/certificate.pem" --tls-key "$place/key.pem" -- sh -c 'exec "$1" "https${2#wss}" hello $3' sh "$3" {url} "$option"
done
