#!/usr/bin/env bash
# instrumented.sh NM LIBRARY: fails unless the library's own code asks AddressSanitizer before it touches memory.
set -eu
calls=$("$1" "$2" 2>/dev/null | grep -c ' U __asan_report_' || true)
echo "$calls references to __asan_report_* in $2"
[ "$calls" -gt 0 ]
