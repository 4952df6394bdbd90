#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Compares what daemon and library call with what the scenes reached.

usage: reach.py SITES UNREACHED CALLS.H daemon=PROGRAM library=LIBRARY

Each foreign function that the program or library refers to must have been called in a scene, and be a row of calls.h; or stand in UNREACHED with the reason
why it is neither. One that stands there and was reached is out of date. Then, where objdump knows the machine, how many of the places in the code
from which such functions are called were reached; those that were not are printed by function. Status 1 when a function is missing.
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

    for item in objects:
        side, path = item.split("=", 1)
        wanted = {plain(line.split()[1]) for line in output("nm", "-D", "--undefined-only", path).splitlines()}
        had = {call for who, call, _ in reached if who == side}
        listed = {name for who, name in reasons if who == side}
        missing, old = wanted - had - listed, listed & (had | ({name for name in listed} - wanted))
        for name in sorted(missing):
            print(f"FAILED: {side}: {name}() is called and no scene reaches it; it stands not in {unreached} either")
        for name in sorted(old):
            if (side, name) in reasons and name in had:
                print(f"FAILED: {side}: {name}() stands in {unreached} but is reached")
                missing.add(name)
        status = 1 if missing else status
        print(f"{side}: of {len(wanted)} foreign names {len(wanted & had)} that can fail were reached and forced, {len(wanted & listed)} are named with a reason")
        known = places(path, calls)
        if known:
            seen = {int(key, 16) for who, _, key in reached if who == side}
            left = {}
            for address, (call, function) in known.items():
                if address not in seen:
                    left.setdefault(function, []).append(call)
            print(f"{side}: {len(known) - sum(map(len, left.values()))} of {len(known)} places in the code that call them were reached; not:")
            for function, names in sorted(left.items()):
                print(f"  {function}: {', '.join(sorted(names))}")
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
