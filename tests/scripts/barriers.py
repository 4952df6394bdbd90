#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""barriers.py LIBRARY DAEMON [OBJDUMP]: are the named memory orderings (proto/MEMORY.md) in the machine code?

For each function of PATHS all ways through its machine code are walked, calls of the same file included, so that it does not matter what the
compiler has put where. A way that counts must pass what is stated, in that order, whatever else it passes. Each item is

    ordering function       an end of that ordering, in the words of proto/MEMORY.md; what it is (fence, load, store or read-modify-write of
                            which order) is taken from the source (tests/model/check_orders), and what that must be here from MACHINES
    call function           a call of it
    load acquire            (and so on) an access that has no name

and a way counts as soon as it passes anything of the kind of an item with `!`; at least one way must pass all items. On x86-64, where
everything but a full fence is an ordinary instruction or cannot be had without its lock, functions of HOT may not pass more full barriers than are
stated: no barrier where none is stated. Where ways do not tell, instructions are counted (COUNTS).

Every end of every ordering in the source must be in one of the tables, or have a reason in WITHOUT. And so that nobody believes in a test that sees
nothing: each item's instructions are then taken away from the disassembly in turn, which must be noticed.
"""

import importlib.machinery
import importlib.util
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
from machine_code import Code  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]

# Every publish ends so: the counter, the fence, the look at who sleeps.
COUNTED = "!counter.publish+key.publish publish_count; !wait.flag+frame.pin+cut.fence publish_count; area.bind publish_look"
SLOT = "state.word writer_check; !slot.claim publish; !slot.publish publish; " + COUNTED
SLOT_LONG = "!slot.claim publish; !call shmb_copy; !slot.publish publish; " + COUNTED
ITEM = "state.word writer_check; !queue.item item_publish; !counter.publish+queue.counter publish_count; !wait.flag+cut.fence publish_count; area.bind publish_look"
FRAME = "state.word writer_check; !slot.publish commit; !frame.entry commit; !slot.publish commit; " + COUNTED
NEWEST = "counter.publish+key.publish next_number; "
PIN = "slot.publish slot_holds; !frame.pin pin_take"
LOAD = "slot.publish slot_holds; frame.entry entry_holds_still; slot.publish copy_take; !call shmb_copy; slot.claim copy_take"
SEARCH = "key.publish next_number; !slot.claim+frame.entry temporal_holds"
FOUND = SEARCH.replace("!", "") + "; slot.publish slot_holds; "

HOT = {
    "shmb_value_store": SLOT,
    "shmb_ring_insert": SLOT,
    "publish_any": SLOT_LONG,
    "shmb_frame_loan": "state.word writer_check; !slot.claim loan_take",
    "shmb_frame_commit": FRAME,
    "shmb_frame_commit_at_monotonic": FRAME,
    "shmb_frame_commit_at_realtime": FRAME,
    "shmb_frame_commit_at_sequence": FRAME,
    "shmb_queue_push": ITEM,
    "shmb_queue_commit": ITEM,
    "shmb_value_load": NEWEST + "slot.publish slot_holds; !slot.claim slot_copy",
    "shmb_ring_latest": NEWEST + "slot.publish slot_holds; !slot.claim slot_copy",
    "latest_any": NEWEST + "slot.publish slot_holds; !call shmb_copy; slot.claim slot_copy",
    "shmb_ring_read_next": "slot.publish slot_holds; !slot.claim slot_copy",
    "shmb_ring_read": "slot.publish slot_holds; !slot.claim slot_copy",
    "shmb_frame_pin_newest": NEWEST + PIN,
    "shmb_frame_pin_next": PIN,
    "shmb_frame_pin_number": PIN,
    "shmb_frame_load_newest": NEWEST + LOAD,
    "shmb_frame_load_next": LOAD,
    "shmb_frame_release": "slot.claim shmb_frame_release; !frame.reuse pin_clear",
    "shmb_queue_pop": "queue.item item_is_there; !queue.position release_to; !queue.flag release_to",
    "shmb_queue_peek": "queue.item item_is_there",
    "shmb_queue_release": "!queue.position release_to; !queue.flag release_to",
    "shmb_ring_closest_monotonic": FOUND + "!call shmb_copy; slot.claim slot_copy",
    "shmb_ring_fresh_monotonic": SEARCH,
    "shmb_ring_key_monotonic": SEARCH,
    "shmb_ring_since_monotonic": SEARCH,
    "shmb_frame_closest_monotonic": FOUND + "!frame.pin pin_take",
    "shmb_frame_bracket_monotonic": FOUND + "!frame.pin pin_take",
}

PATHS = {
    **HOT,
    "loan_look": "frame.reuse pins_visit; slot.claim loan_take",
    "frame_writer_init": "!frame.pin frame_writer_init",
    "shmb_frame_load_number": LOAD,
    "release_kept": "slot.claim release_kept; !frame.reuse pin_clear",
    "look_for_room": "queue.position position_look",
    "wake_producer": "!queue.wake wake_producer",
    "wake_waiters": "rmw acq_rel; wait.wake wake_waiters",
    "queue_is_drained": "cut.next is_superseded; !cut.fence consumer_is_drained",
    "wait.c:look": "!writer.verdict look; !load acquire; !cut.next is_superseded; !counter.publish+key.publish next_number",
    "wait_any": "wait.flag+queue.flag wait_any; !call futex_sleep_any",
    "waitable_look": "wait.cancel waitable_look; rmw acquire",
    "shmb_cancel": "!wait.cancel shmb_cancel",
    "shmb_waitset_next": "wait.flag arm; !store release",
    "shmb_block_trylock": "state.word sharer_check; block.lock take",
    "shmb_block_unlock": "!block.lock block_unlock",
    "card_map": "card.magic card_map",
}
DAEMON_PATHS = {"counter_load": "!cut.fence counter_load; cut.next counter_load"}

# Where ways do not tell one access from another: the number of instructions of the kind of the ends named, in the function alone.
COUNTS = {
    "wait_words": (3, "wait.wake+queue.wake wait_words; event.bump connection_event; load acquire"),  # and the word of cancels
    "sharer_check": (1, "state.word sharer_check"),
    "frame_fresh": (2, "slot.claim temporal_holds; frame.entry take"),
    "queue_push_many": (3, "queue.item item_publish; queue.counter item_count; counter.publish publish_count"),
    "queue_wait": (2, "queue.counter queue_wait; queue.item item_is_there"),
}
DAEMON_COUNTS = {
    "cell_write": (3, "area.bind cell_write; cell.take cell_write"),  # and the cell's bit
    "cell_compare": (1, "cell.take cell_compare"),
    "cell_leave": (1, "queue.wake cell_leave"),
    "event_word_grow": (1, "event.bump event_word_grow"),
    "next_write": (1, "cut.next next_store"),
    "state_write": (1, "state.word state_store"),
    "lease_stop": (1, "state.word lease_state_store"),
    "lease_judge": (2, "writer.verdict lease_verdict_store"),  # and the lease's pid
    "counter_read": (1, "counter.publish+repair.slot counter_read"),
    "slot_mend": (2, "counter.publish slot_mend; repair.slot slot_mend"),
    "wake_grow": (2, "wait.wake wake_grow"),  # of the data, and of a queue's consumer
    "lock_take_away": (1, "block.lock lock_take_away"),
    "card_mark_removed": (1, "state.word card_mark_removed"),
    "part_finish": (3, "card.magic card_fill"),  # and record and data
}

# Ends that are not looked for: {(ordering, function): why}.
WITHOUT = {}

# Not entered: seldom, and each with a line of its own where it has something to show.
SELDOM = {"wake_waiters", "wake_producer", "wake_sharers", "item_absent", "take_newest_again", "extras_take", "stamp", "text_fail", "text_forked"}


def arm64_kinds(instruction):
    operation = instruction.operation
    if re.match(r"ld(ar|apr|apur)[bh]?$", operation):
        return {"load acquire"}
    if re.match(r"stl(r|ur)[bh]?$", operation):
        return {"store release"}
    if operation == "dmb" and instruction.operands in ("ish", "sy"):
        return {"fence acquire", "fence release", "fence seq_cst"}
    if operation == "dmb" and instruction.operands in ("ishld", "ld"):
        return {"fence acquire"}
    suffix = re.match(r"__aarch64_(?:cas|swp|ld[a-z]+)\d+_(\w+)$", instruction.callee or "")
    inline = re.match(r"(?:cas|swp|ld(?:add|clr|eor|set))(a?)(l?)[bh]?$", operation)
    acquires = releases = False
    if suffix:
        acquires, releases = "acq" in suffix[1], "rel" in suffix[1].split("_")
    elif inline:
        acquires, releases = bool(inline[1]), bool(inline[2])
    elif re.match(r"(ldaxr|stlxr)[bh]?$", operation):
        acquires, releases = operation.startswith("ld"), operation.startswith("st")
    if acquires or releases:
        return {"rmw acq_rel" if acquires and releases else "rmw acquire" if acquires else "rmw release"}
    return set()


def x86_kinds(instruction):
    operation, operands = instruction.operation, instruction.operands
    exchanges = operation.startswith("xchg") and "(" in operands
    if operation not in ("lock", "mfence") and not exchanges:
        return set()
    # As shmb_fence_seq_cst() and shmb_fence_seq_cst_storing() are written: a locked access of another sort is no fence that was meant.
    fence = operation == "mfence" or (exchanges and re.match(r"%r([a-d]x|[sd]i|[bs]p|\d+),", operands)) or re.match(r"or.*\(%rsp\)$", operands)
    return {"full", "fence seq_cst"} if fence else {"full"}


# What to look for: {kind in the source: kind of instruction}.
KINDS = ("fence acquire", "fence release", "fence seq_cst", "load acquire", "store release", "rmw acquire", "rmw release", "rmw acq_rel")
MACHINES = {
    "arm64": (arm64_kinds, {kind: kind for kind in KINDS}),
    "x86-64": (x86_kinds, {"fence seq_cst": "fence seq_cst"}),
}


class Item:
    """One step of a line of the tables."""

    def __init__(self, text, ends):
        self.counts = text.startswith("!")
        self.text = text.lstrip("!")
        first, second = self.text.split()
        self.ends = []
        self.kind = self.text
        if "." in first:
            self.ends = [(name, second) for name in first.split("+")]
            kinds = {ends.get(end) for end in self.ends}
            if len(kinds) != 1 or None in kinds:
                raise SystemExit(f"barriers.py: '{self.text}' is not one kind of access in the source: {kinds}")
            self.kind = kinds.pop()


class Walk:
    """All ways from one place to its return."""

    def __init__(self, code, items, seldom, most=None):
        self.code = code
        self.items = items
        self.seldom = seldom
        self.most = most  # full barriers
        self.calls = {item.kind for item in items if item.kind.startswith("call ")}
        self.marks = {item.kind for item in items if item.counts}
        self.gone = set()  # addresses taken away
        self.passed = [set() for _ in items]  # where each item was found

    def kinds_of(self, instruction):
        if instruction.address in self.gone:
            return set()
        call = f"call {instruction.callee}"
        return self.code.kinds[instruction.address] | ({call} if call in self.calls else set())

    def enters(self, instruction, target):
        name = instruction.callee
        if name in self.seldom or name.startswith("__aarch64_") or f"call {name}" in self.calls:
            return False
        return target in self.code.interesting

    def run(self, start):
        """What is wrong, None for nothing."""
        begin = (start, (), 0, False, frozenset())
        left, seen, complete = [begin], {begin}, False
        while left:
            address, stack, at, counts, full = left.pop()
            instruction = self.code.instructions[address]
            kinds = self.kinds_of(instruction)
            counts = counts or bool(kinds & self.marks)
            if at < len(self.items) and self.items[at].kind in kinds:
                self.passed[at].add(address)
                at += 1
            if self.most is not None and "full" in kinds:
                full |= {address}
                if len(full) > self.most:
                    return f"{len(full)} full barriers on one way, {self.most} stated: {instruction.function} {instruction}"
            ways = []
            if instruction.call is not None and self.enters(instruction, instruction.call) and instruction.next not in stack:
                ways.append((instruction.call, stack + (instruction.next,)))
            elif instruction.next is not None:
                ways.append((instruction.next, stack))
            if instruction.jump is not None and (self.code.is_inside(instruction) or instruction.callee not in self.seldom):
                ways.append((instruction.jump, stack))
            elif instruction.jump is not None or instruction.leaves:
                if stack and stack[-1] is not None:
                    ways.append((stack[-1], stack[:-1]))
                elif at == len(self.items):
                    complete = True
                elif counts:
                    return f"a way ends in {instruction.function} without '{self.items[at].text}' ({self.items[at].kind})"
            for address, stack in ways:
                state = (address, stack, at, counts, full)
                if state not in seen:
                    seen.add(state)
                    left.append(state)
        return None if complete else "no way passes all of it: " + "; ".join(item.text for item in self.items)


def source_ends():
    """{(ordering, function): kind}"""
    loader = importlib.machinery.SourceFileLoader("check_orders", str(ROOT / "tests" / "model" / "check_orders"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_orders", loader))
    loader.exec_module(module)
    ends = {}
    for name, found in module.code_ends().items():
        for _, _, function, order, _, _, access in found:
            if access:  # else check_orders complains
                ends[name, function] = f"{access} {order}"
    return ends


def load(path, objdump, calls):
    """The code of a file, with the kinds of its instructions, and the functions that can reach any that matters."""
    code = Code(path, *objdump)
    kinds_of, _ = MACHINES[code.machine]
    code.kinds = {address: kinds_of(instruction) for address, instruction in code.instructions.items()}
    callers, left = {}, set()
    for instruction in code.instructions.values():
        if instruction.callee:
            callers.setdefault(instruction.callee, set()).add(code.name_at(instruction))
        if code.kinds[instruction.address] or f"call {instruction.callee}" in calls:
            left.add(code.name_at(instruction))
    names = set()
    while left:
        name = left.pop()
        names.add(name)
        left |= callers.get(name, set()) - names
    code.interesting = {start for name in names for start in code.functions.get(name, ())}
    return code


def items_of(line, ends):
    return [Item(text.strip(), ends) for text in line.split(";")]


class Check:
    """One file against its tables."""

    def __init__(self, path, objdump, paths, counts, ends):
        self.path = path
        self.paths = {start: items_of(line, ends) for start, line in paths.items()}
        self.counts = {start: (number, items_of(line, ends)) for start, (number, line) in counts.items()}
        self.code = load(path, objdump, {item.kind for items in self.paths.values() for item in items})
        self.wanted = MACHINES[self.code.machine][1]
        self.looked = self.taken = 0
        self.problems = []
        self.covered = {end for items in [*self.paths.values(), *(items for _, items in self.counts.values())] for item in items for end in item.ends}

    def here(self, items):
        """What the items are on this machine; those that are nothing special here fall away."""
        for item in items:
            item.kind = item.kind if item.kind.startswith("call ") else self.wanted.get(item.kind)
        return [item for item in items if item.kind is not None]

    def begins(self, name):
        found = self.code.begins(name)
        if not found:
            self.problems.append(f"{name}: not in {self.path}")
        self.looked += len(found)
        return found

    def check_path(self, start, items):
        items = self.here(items)
        seldom = SELDOM - {start}
        most = sum(item.kind == "fence seq_cst" for item in items) if start in HOT and self.code.machine == "x86-64" else None
        for begin in self.begins(start) if items or most is not None else ():
            walk = Walk(self.code, items, seldom, most)
            wrong = walk.run(begin)
            if wrong:
                self.problems.append(f"{start}: {wrong}")
                continue
            for item, places in zip(items, walk.passed):
                if item.kind.startswith("call "):
                    continue
                again = Walk(self.code, items, seldom, most)
                again.gone = places
                self.taken += 1
                if again.run(begin) is None:
                    self.problems.append(f"{start}: '{item.text}' can be taken away and nobody notices")

    def check_count(self, name, number, items):
        kinds = {item.kind for item in self.here(items)}
        if not kinds or not self.begins(name):
            return
        found = sum(bool(kinds & self.code.kinds[address]) for address, i in self.code.instructions.items() if self.code.name_at(i) == name)
        if found != number:
            self.problems.append(f"{name}: {found} of {', '.join(sorted(kinds))}, not {number}: {'; '.join(item.text for item in items)}")

    def run(self):
        for start, items in self.paths.items():
            self.check_path(start, items)
        for name, (number, items) in self.counts.items():
            self.check_count(name, number, items)


def main():
    ends = source_ends()
    try:
        checks = [
            Check(sys.argv[1], sys.argv[3:4], PATHS, COUNTS, ends),
            Check(sys.argv[2], sys.argv[3:4], DAEMON_PATHS, DAEMON_COUNTS, ends),
        ]
    except FileNotFoundError:
        print("skipped: no objdump")
        return 77
    problems = []
    for check in checks:
        check.run()
        problems += check.problems
    covered = set().union(*(check.covered for check in checks))
    for name, function in sorted(set(ends) - covered - set(WITHOUT)):
        problems.append(f"{name}: its end in {function}() is in no table and has no reason")
    for name, function in sorted(set(WITHOUT) & covered | set(WITHOUT) - set(ends)):
        problems.append(f"{name}: {function}() has a reason, but needs none")
    for problem in problems:
        print(problem)
    print(
        f"{checks[0].code.machine}: {sum(check.looked for check in checks)} functions, {len(covered)} ends of {len({name for name, _ in covered})} orderings; "
        f"{sum(check.taken for check in checks)} barriers taken away in turn and missed; {len(WITHOUT)} ends left out; {len(problems)} failures"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
