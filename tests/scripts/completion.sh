#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Completion in bash: verbs, options and names of segments, asked as the shell asks. With zsh installed its file is checked for its syntax too.
#
# usage: tests/scripts/completion.sh SHMBCTL SHMBROKERD          both are started through $SHMB_TEST_WRAPPER, where it is set

set -euo pipefail

shmbctl=$(realpath -- "$1")
source=$(realpath -- "$(dirname -- "${BASH_SOURCE[0]}")/../..")
tmp=$(mktemp -d)
shm=/dev/shm/shmb-test-completion-$$
trap 'kill $daemon 2>/dev/null; wait; rm -rf "$tmp" "$shm"' EXIT

mkdir "$tmp/bin"
printf '#!/bin/sh\nexec %s "%s" "$@"\n' "${SHMB_TEST_WRAPPER:-}" "$shmbctl" >"$tmp/bin/shmbctl"
chmod +x "$tmp/bin/shmbctl"
export PATH=$tmp/bin:$PATH SHMBROKER_SOCKET=$tmp/run/control.sock
${SHMB_TEST_WRAPPER:-} "$2" --runtime-dir "$tmp/run" --shm-dir "$shm" 2>"$tmp/log" &
daemon=$!
for _ in {1..100}; do
	[ ! -S "$SHMBROKER_SOCKET" ] || break
	sleep 0.1
done
shmbctl pub imu/main --schema 'uint64 stamp_ns;float64[3] gyro' stamp_ns=1 --no-legend
# shellcheck source=/dev/null
. "$source/tools/completion/shmbctl.bash"

failed=0
# expect WORD... = CHOICE...: with the last WORD under the cursor the choices are among those offered.
expect() {
	local words=() choice
	while [ "$1" != = ]; do
		words+=("$1")
		shift
	done
	shift
	COMP_WORDS=("${words[@]}")
	COMP_CWORD=$((${#words[@]} - 1))
	_shmbctl
	for choice; do
		if ! printf '%s\n' "${COMPREPLY[@]}" | grep -xF -- "$choice" >/dev/null; then
			echo "FAIL '${words[*]}' offers no '$choice' but: ${COMPREPLY[*]}"
			failed=1
		fi
	done
}

mapfile -t verbs < <(shmbctl --help | awk '/^verbs:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }')
expect shmbctl '' = "${verbs[@]}"
expect shmbctl ec = echo
expect shmbctl echo '' = imu/main
expect shmbctl echo im = imu/main
expect shmbctl remove other im = imu/main
expect shmbctl echo --rate 5 im = imu/main
expect shmbctl echo imu/main -- = --count --rate --json --socket --help
expect shmbctl plot imu/main '' = stamp_ns 'gyro[0]'
expect shmbctl delay imu/main --field st = stamp_ns
expect shmbctl top --sort '' = rate lag
expect shmbctl pub x --kind r = ring
expect shmbctl help ec = echo
if command -v zsh >/dev/null; then
	zsh -n "$source/tools/completion/_shmbctl" || failed=1
fi
[ $failed = 0 ] && echo "completion: ${#verbs[@]} verbs, options, names and fields"
exit $failed
