#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""no_clock.py LIBRARY: what the machine code of publishing and reading can reach.

Disassembles the shared library, follows every call and jump from the functions of the data path, and fails where a clock, an allocation, a lock or a system
call can be reached. The functions that stamp are not entered: a publish calls them for stamped segments only, which the test of counted
clock calls shows at run time; nor is what wakes sleepers. Entered, they do reach a clock and a system call, or the walk is blind.
"""

import re
import subprocess
import sys

CLOCKS = ["monotonic", "realtime", "sequence"]
PUBLISH = ["shmb_value_store", "shmb_ring_insert", "shmb_frame_loan", "shmb_frame_commit", "shmb_queue_push", "shmb_queue_push_batch", "shmb_queue_claim",
           "shmb_queue_commit"] + [f"shmb_frame_commit_at_{clock}" for clock in CLOCKS]
READ = ["shmb_value_load", "shmb_ring_latest", "shmb_ring_read", "shmb_ring_read_next", "shmb_ring_read_range", "shmb_frame_pin_newest", "shmb_frame_pin_next",
        "shmb_frame_pin_number", "shmb_frame_load_newest", "shmb_frame_load_next", "shmb_frame_load_number", "shmb_frame_release", "shmb_queue_pop",
        "shmb_queue_pop_batch", "shmb_queue_peek", "shmb_queue_release", "shmb_block_trylock", "shmb_block_unlock", "shmb_block_recovered",
        "shmb_loader_snapshot"]
READ += [f"shmb_{kind}_{query}_{clock}" for kind in ("ring", "frame") for query in ("closest", "bracket", "range", "fresh", "key", "since") for clock in CLOCKS]
READ += [f"shmb_join_{clock}" for clock in CLOCKS]
STAMPS = {"extras_take", "stamp"}
WAKES = {"wake_waiters", "wake_producer", "wake_sharers"}
FORBIDDEN = re.compile(r"clock_\w+|gettimeofday|time|malloc|calloc|realloc|aligned_alloc|free|mmap|pthread_\w+|syscall|write|read|ioctl|poll|nanosleep")


def graph(library):
    """{function: set of functions it calls or jumps to}; "?" is a call through a pointer."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", library], check=True, capture_output=True, text=True).stdout
    calls = {}
    function = None
    for line in text.splitlines():
        match = re.match(r"[0-9a-f]+ <([^>]+)>:$", line)
        if match:
            # An entry of the linkage table is the function it leads to, which is not ours to look into.
            function = None if "@plt" in match[1] else name_of(match[1])
            if function is not None:
                calls.setdefault(function, set())
            continue
        match = re.match(r"\s+[0-9a-f]+:\s+(\w+)\s*(.*)", line)
        if function is None or match is None:
            continue
        operation, operands = match[1], match[2]
        target = re.search(r"<([^>+]+)(\+0x[0-9a-f]+)?>", operands)
        if operation in ("syscall", "svc"):
            calls[function].add("syscall")
        elif re.match(r"call|bl$|blr$", operation) or re.match(r"j|b$|b\.|cb|tb", operation):
            if target:
                calls[function].add(name_of(target[1]))
            elif operation.startswith("call") or operation == "blr":
                calls[function].add("?")
    return calls


def name_of(symbol):
    """Without @plt, and without what the compiler appends to the copies and cold parts it makes."""
    return re.split(r"[@.]", symbol)[0]


def reach(calls, start, stop):
    """{what is reached: from where}"""
    seen = {start: None}
    left = [start]
    while left:
        function = left.pop()
        for target in sorted(calls.get(function, ())):
            if target not in seen and target not in stop:
                seen[target] = function
                left.append(target)
    return seen


def path(seen, end):
    names = [end]
    while seen[names[0]] is not None:
        names.insert(0, seen[names[0]])
    return " -> ".join(names)


def main():
    try:
        calls = graph(sys.argv[1])
    except FileNotFoundError:
        print("skipped: no objdump")
        return 77
    failures = 0
    for start in PUBLISH + READ:
        if start not in calls:
            print(f"{start}: not in the library")
            failures += 1
            continue
        seen = reach(calls, start, STAMPS | WAKES)
        for target in sorted(seen):
            if target == "?" or FORBIDDEN.fullmatch(target):
                print(f"reaches {target}: {path(seen, target)}")
                failures += 1
    for start in PUBLISH:
        if start in ("shmb_frame_loan", "shmb_queue_claim"):
            continue
        seen = reach(calls, start, set())
        for target in ("clock_gettime", "syscall"):
            if target not in seen:
                print(f"{start}: does not reach {target} even where it stamps and wakes: this walk sees nothing")
                failures += 1
    print(f"{len(PUBLISH) + len(READ)} functions, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
