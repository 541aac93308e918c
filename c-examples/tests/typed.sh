#!/usr/bin/env bash
# typed.sh TEXT PROGRAM [ARG...]: runs a program with TEXT as its stdin, where \n is a line end and \0NNN a byte; - is no text at all. It becomes the program, so
# that signals reach it.
text=${1#-}
shift
exec "$@" < <(printf '%b' "$text")
