#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Has the binary interface of the library changed? Compares exported functions and public structs with what docs/abi.xml has on record, and the exported
# names with debian/libshmbroker0.symbols. A change is announced by taking it into the record: with --update, in the same commit, with a line in
# NEWS.md. Status 1: changed and not announced. Needs abigail-tools.
#
# usage: tests/scripts/abi.sh [--update]

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

tmp=$(mktemp -d)
trap 'rm -rf -- "$tmp"' EXIT
meson setup "$tmp/build" --buildtype=debug -Dtests=false -Ddaemon=disabled -Dtools=disabled -Dpython=disabled -Dman=disabled -Dunits=false >"$tmp/log" 2>&1 ||
	{ cat "$tmp/log"; exit 1; }
ninja -C "$tmp/build" libclient/libshmbroker.so.0.1.0 >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
mkdir "$tmp/include"
cp libclient/shmb.h libclient/shmb_*.h "$tmp/include"
library=$tmp/build/libclient/libshmbroker.so.0.1.0

symbols() {
	echo "libshmbroker.so.0 libshmbroker0 #MINVER#"
	nm -D --defined-only "$library" | awk '$2 == "A" { print " " $3 "@" $3 " 0.1.0" } $2 == "T" { sub("@@", "@", $3); print " " $3 " 0.1.0" }' | LC_ALL=C sort
}

# Only what a program can see: types that the public headers define. No places of lines, which change with every comment, and of files only what
# lies below the top.
abidw --headers-dir "$tmp/include" --drop-private-types --no-show-locs --no-corpus-path --no-comp-dir-path "$library" |
	sed "s,path='[^']*/\([a-z]*/[^/']*\)',path='\1'," >"$tmp/abi.xml"
symbols >"$tmp/symbols"
if [ "${1:-}" = --update ]; then
	cp "$tmp/abi.xml" docs/abi.xml
	cp "$tmp/symbols" debian/libshmbroker0.symbols
	echo "on record: $(($(wc -l <"$tmp/symbols") - 2)) functions"
	exit
fi
status=0
abidiff docs/abi.xml "$tmp/abi.xml" || status=1
diff -u debian/libshmbroker0.symbols "$tmp/symbols" || status=1
if [ $status != 0 ]; then
	echo "the binary interface has changed: if that is meant, tests/scripts/abi.sh --update, and a line in NEWS.md"
	exit 1
fi
echo "binary interface as on record: $(($(wc -l <"$tmp/symbols") - 2)) functions"
