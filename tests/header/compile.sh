#!/bin/sh
# Compiles the public header as a stranger's program would: alone, twice, and after a hostile <windows.h>, in every language
# version it promises, with every warning an error. Prints one line a combination that fails, and a count.
set -u
cd "$(dirname "$0")" || exit 1

warnings="-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef -Werror"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
skipped=0

# try NAME COMMAND...
try() {
    name=$1
    shift
    if "$@" >"$work/output" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $name"
        sed 's/^/    /' "$work/output" | head -20
    fi
}

for compiler in "${CC:-gcc}" "${CXX:-g++}" clang clang++; do
    case $compiler in
        *++*) language=c++; standards="c++11 c++17 c++20"; extra="" ;;
        *) language=c; standards="c99 c11 c17"; extra="-Wstrict-prototypes -Wmissing-prototypes" ;;
    esac
    if ! command -v "$compiler" >/dev/null 2>&1; then
        echo "SKIP $compiler: it is not installed"
        skipped=$((skipped + 1))
        continue
    fi
    for standard in $standards; do
        for hostile in "" "-include ./hostile_windows.h"; do
            # -Wundef and -include take effect on the hostile file too: it uses no word that is not defined.
            # shellcheck disable=SC2086
            try "$compiler -std=$standard $hostile" "$compiler" -x "$language" -std="$standard" $warnings $extra $hostile \
                -I ../../include -c use.c -o "$work/use.o"
        done
        echo '#include "ws101.h"' >"$work/alone.c"
        # shellcheck disable=SC2086
        try "$compiler -std=$standard alone" "$compiler" -x "$language" -std="$standard" $warnings -I ../../include -c "$work/alone.c" -o "$work/alone.o"
    done
done

# The check must be able to fail: a name that the hostile header takes away is noticed.
printf '#include "hostile_windows.h"\nint small(int near);\n' >"$work/must_fail.c"
if "${CC:-gcc}" -I . -c "$work/must_fail.c" -o "$work/must_fail.o" >/dev/null 2>&1; then
    echo "FAIL the hostile header is harmless"
    failed=$((failed + 1))
fi

echo "header: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
