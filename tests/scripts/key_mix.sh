#!/bin/sh
# SPDX-License-Identifier: MIT
# key_mix.sh SOURCE INCLUDE COMPILER...: defect_T8: keys of two clocks do not mix. Each case of SOURCE must fail to compile, case 0 must not. Cases
# are numbered from 1 without gaps, `#if CASE == 1` and so on.
set -u
source=$1
include=$2
shift 2
cases=$(grep -c '^#.*if CASE == ' "$source")
case $source in
*.cpp) standard=-std=c++17 ;;
*) standard='-std=gnu11 -Werror=incompatible-pointer-types' ;;
esac
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT

# Passing a pointer to the wrong struct is an error everywhere in the project's own builds, and in any C compiler of today.
compile() {
	# shellcheck disable=SC2086 # a list of options
	"$@" $standard -fsyntax-only "-I$include" "-DCASE=$case" "$source" >"$out" 2>&1
}

case=0
if ! compile "$@"; then
	cat "$out"
	echo "FAIL defect_T8: what is right does not compile"
	exit 1
fi
failed=0
for case in $(seq 1 "$cases"); do
	if compile "$@"; then
		echo "FAIL defect_T8: case $case of $source compiles"
		failed=1
	elif grep -q 'no such case' "$out"; then
		echo "FAIL defect_T8: $source has no case $case"
		failed=1
	fi
done
[ $failed = 0 ] && echo "defect_T8: $cases mixtures do not compile"
exit $failed
