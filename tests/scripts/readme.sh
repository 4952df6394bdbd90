#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Does what the README says under "Use it": installs a build, compiles the programs printed there (C and C++) against it with
# pkg-config, and runs them with the installed daemon.
#
# usage: tests/scripts/readme.sh BUILD-DIRECTORY

set -euo pipefail

build=$(realpath -- "$1")
source=$(realpath -- "$(dirname -- "${BASH_SOURCE[0]}")/../..")
tmp=$(mktemp -d)
started=()
trap 'kill "${started[@]}" 2>/dev/null; wait; rm -rf "$tmp" /dev/shm/shmb-readme-$$' EXIT

DESTDIR=$tmp/root meson install -C "$build" --no-rebuild --quiet
prefix=$tmp/root/usr/local
library=$(dirname -- "$(find "$prefix" -name 'libshmbroker.so')")
export PKG_CONFIG_LIBDIR=$library/pkgconfig PKG_CONFIG_SYSROOT_DIR=$tmp/root LD_LIBRARY_PATH=$library
export SHMBROKER_SOCKET=$tmp/run/control.sock

# The blocks of C, each into the file its first line names.
awk -v to="$tmp" '/^```c$/ { getline; file = to "/" $2; inside = 1 } /^```$/ { inside = 0 } inside { print > file }' "$source/README.md"
for program in writer reader; do
	# shellcheck disable=SC2046 # a list of options
	cc -Wall -Wextra -Werror "$tmp/$program.c" -o "$tmp/$program" $(pkg-config --cflags --libs shmbroker)
done

# The programs in C++: of the README, and of the page for those who come from safe-shm.
awk -v to="$tmp" '/^```cpp$/ { getline; file = to "/" $2; inside = 1 } /^```$/ { inside = 0 } inside { print > file }' \
	"$source/README.md" "$source/docs/from-safe-shm.md"
for program in watch planner; do
	# shellcheck disable=SC2046 # a list of options
	c++ -std=c++17 -Wall -Wextra -Werror "$tmp/$program.cpp" -o "$tmp/$program" $(pkg-config --cflags --libs shmbroker)
done

# The program in Python, with the package as it was installed, where it was built.
python=$(find "$tmp/root" -type d -name shmbroker -path '*-packages/*' -printf '%h\n')
awk -v to="$tmp" '/^```python$/ { getline; file = to "/" $2; inside = 1 } /^```$/ { inside = 0 } inside { print > file }' \
	"$source/README.md"

# The example of CMake, where there is cmake.
if command -v cmake >/dev/null; then
	{ cmake -S "$source/examples/cmake" -B "$tmp/cmake" && cmake --build "$tmp/cmake"; } >"$tmp/cmake.log" 2>&1 ||
		{ cat "$tmp/cmake.log"; exit 1; }
	[ -x "$tmp/cmake/pose_watch" ] && echo "CMake: built"
fi

"$prefix/bin/shmbrokerd" --runtime-dir "$tmp/run" --shm-dir /dev/shm/shmb-readme-$$ 2>"$tmp/daemon.log" &
started+=($!)
for _ in {1..100}; do
	[ ! -S "$SHMBROKER_SOCKET" ] || break
	sleep 0.1
done
timeout 20 "$tmp/reader" >"$tmp/reader.out" &
started+=($!)
timeout 20 "$tmp/watch" >"$tmp/watch.out" &
started+=($!)
: >"$tmp/python.out"
if [ "$python" ]; then
	PYTHONPATH=$python timeout 20 /usr/bin/python3 "$tmp/watch.py" >"$tmp/python.out" &
	started+=($!)
fi
timeout 20 "$tmp/writer"
wait "${started[@]:1}"
tail -n 3 "$tmp/reader.out"
grep -q 'the writer closed' "$tmp/reader.out"
lines=$(grep -c 'rad/s' "$tmp/reader.out")
[ "$lines" -ge 50 ]
in_cpp=$(grep -c 'rad/s' "$tmp/watch.out")
[ "$in_cpp" -ge 50 ]
in_python=$(grep -c 'rad/s' "$tmp/python.out" || true)
if [ "$python" ]; then
	grep -q 'mean colour \[255.   0.   0.\]' "$tmp/python.out"
	grep -q 'the writer closed' "$tmp/python.out"
	[ "$in_python" -ge 20 ]
fi
timeout 20 "$tmp/planner" | tail -n 1 | grep 'number 9, missed before it: 0'
echo "README's programs: $lines samples in C, $in_cpp in C++, $in_python in Python"
