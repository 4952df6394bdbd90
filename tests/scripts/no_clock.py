#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""no_clock.py LIBRARY [OBJDUMP]: what the machine code of publishing and reading can reach.

Disassembles the shared library, follows every call and jump from the functions of the data path, and fails where a clock, an allocation, a lock or a system
call can be reached. The functions that stamp are not entered: a publish calls them for stamped segments only, which the test of counted
clock calls shows at run time; nor is what wakes sleepers. Entered, they do reach a clock and a system call, or the walk is blind.
"""

import re
import sys

sys.dont_write_bytecode = True
from machine_code import Code, name_of  # noqa: E402

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
CALLS = ("call", "callq", "blr")  # through a pointer, where no name is known
FORBIDDEN = re.compile(r"clock_\w+|gettimeofday|time|malloc|calloc|realloc|aligned_alloc|free|mmap|pthread_\w+|syscall|write|read|ioctl|poll|nanosleep")


def graph(library, objdump="objdump"):
    """{function: set of functions it calls or jumps to}; "?" is a call through a pointer."""
    calls = {}
    for instruction in Code(library, objdump).instructions.values():
        targets = calls.setdefault(name_of(instruction.function), set())
        if instruction.operation in ("syscall", "svc"):
            targets.add("syscall")
        elif instruction.callee not in (None, "?") or (instruction.callee and instruction.operation in CALLS):
            targets.add(instruction.callee)
    return calls


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
        calls = graph(*sys.argv[1:3])
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
