#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Compares what daemon and library call with what the scenes reached.

usage: reach.py SITES UNREACHED CALLS.H daemon=PROGRAM library=LIBRARY

Each foreign function that the program or library refers to must have been called in a scene, and be a row of calls.h; and each line of the sources from
which it is called must have been reached. What is not stands in UNREACHED with the reason: a function, or CALL@FUNCTION for the lines of a function.
What stands there and was reached is out of date. Status 1 when something is missing. SIDE+sanitizer: only where a sanitizer is built in; what is the
sanitizer's own is left out.

The lines come from the machine code (objdump, which must know the machine) and its line table. A line whose function was inlined lies in several places
of the machine code; how many of those were reached is printed as well.
"""

import re
import subprocess
import sys


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def plain(symbol):
    return symbol.partition("@")[0].replace("64v", "").replace("64", "")


def places(path, calls):
    """Where each call returns to: {address: (call, function)}. Calls in tail position return elsewhere and are left out."""
    found, function, pending = {}, "", None
    for line in output("objdump", "-d", "--no-show-raw-insn", path).splitlines():
        head = re.match(r"[0-9a-f]+ <(.+)>:$", line)
        code = re.match(r"\s*([0-9a-f]+):\t(.*)$", line)
        if head:
            function, pending = head[1], None
        elif code:
            if pending:
                found[int(code[1], 16)] = (pending, function)
            call = re.match(r"(?:call|bl)\s+[0-9a-f]+ <([^@>]+)@plt>", code[2])
            pending = plain(call[1]) if call and plain(call[1]) in calls else None
    return found


def lines(path, found):
    """The places by the line that they come from, what closes a descriptor at the end of a scope by the function: {(call, function, line): [address]}."""
    text = output("addr2line", "-a", "-i", "-f", "-s", "-e", path, *(hex(address - 1) for address in found))
    result = {}
    for part in text.split("0x")[1:]:
        address, *frames = re.sub(r" \(discriminator \d+\)", "", part).splitlines()
        frames = list(zip(frames[::2], frames[1::2]))
        function, line = frames[0]
        if line.startswith("cleanup.h:") and len(frames) > 1:
            function, line = frames[1][0], frames[1][1].partition(":")[0]
        key = (found[int(address, 16) + 1][0], function.partition(".")[0], line)
        result.setdefault(key, []).append(int(address, 16) + 1)
    return result


def main(sites, unreached, table, *objects):
    calls = set(re.findall(r"^\tCALL\((\w+), FAIL_(?!NEVER)", open(table, encoding="utf-8").read(), re.M))
    reached = [line.split() for line in open(sites, encoding="utf-8")]
    reasons = {}
    for line in open(unreached, encoding="utf-8"):
        if line.strip() and not line.startswith("#"):
            side, name, reason = line.split(None, 2)
            for one in ("daemon", "library") if side == "both" else (side,):
                reasons[one, name] = reason
    status = 0
    failed = []

    for item in objects:
        side, path = item.split("=", 1)
        foreign = {plain(line.split()[1]) for line in output("nm", "-D", "--undefined-only", path).splitlines()}
        wanted = {name for name in foreign if not re.match("__[a-z]+san_", name)}
        sides = (side, side + "+sanitizer") if foreign != wanted else (side,)
        had = {call for who, call, _ in reached if who == side}
        listed = {name for who, name in reasons if who in sides and "@" not in name}
        failed += [f"{side}: {name}() is called and no scene reaches it; it stands not in {unreached} either" for name in sorted(wanted - had - listed)]
        failed += [f"{side}: {name}() stands in {unreached} but is reached" for name in sorted(listed & had)]
        print(f"{side}: of {len(wanted)} foreign names {len(wanted & had)} that can fail were reached and forced, {len(wanted & listed)} are named with a reason")
        known = places(path, calls)
        if not known:
            print(f"{side}: objdump does not know this machine: which lines call them is not looked at")
            continue
        seen = {int(key, 16) for who, _, key in reached if who == side}
        of_lines = lines(path, known)
        if any(line.startswith("?") for _, _, line in of_lines):
            failed.append(f"{side}: {path} has no line table: build it with -Dtests=true")
            continue
        left = {key for key, addresses in of_lines.items() if not seen.intersection(addresses)}
        named = {name for who, name in reasons if who in sides and "@" in name}
        failed += [f"{side}: {line}: {call}() in {function}() is reached by no scene, and stands not in {unreached}" for call, function, line in sorted(left) if f"{call}@{function}" not in named]
        failed += [f"{side}: {name} stands in {unreached} but is reached" for name in sorted(named - {f"{call}@{function}" for call, function, _ in left})]
        print(
            f"{side}: {len(of_lines) - len(left)} of {len(of_lines)} lines that call them were reached, {len(left)} are named with a reason;"
            f" in the machine code {len(seen.intersection(known))} of {len(known)} places, with those that are inlined"
        )
    for line in failed:
        print(f"FAILED: {line}")
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
