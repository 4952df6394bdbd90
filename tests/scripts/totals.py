#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Sums what the test programs of a meson run counted themselves.

usage: totals.py build/meson-logs/testlog.json

A program on the check library prints "100%: Checks: 12, Failures: 0, Errors: 0": each check counts, and so does each test of pytest. One that prints no such line
counts as a single test by meson's verdict, and so does the end of a program whose checks all passed but which ended badly (a crash, a
leak found at exit, a time-out). A line "skipped: NAME: REASON" says that a test which check counts as passed tested nothing.

Names every test that failed or was skipped, then prints the closing line `N passed, N failed, N skipped`. Status 1 when one failed or
none ran.
"""

import json
import re
import sys

CHECKS = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)\s*$", re.M)
PYTEST = re.compile(r"^(?:=+ )?((?:\d+ \w+(?:, )?)+) in [\d.]+s", re.M)
BROKEN = re.compile(r"^\S+:\d+:[FE]:.*$", re.M)
SKIPPED = re.compile(r"^skipped: (.+)$", re.M)


def main(path):
    passed = failed = skipped = 0
    try:
        with open(path, encoding="utf-8") as log:
            runs = [json.loads(line) for line in log if line.strip()]
    except FileNotFoundError:
        runs = []

    for run in runs:
        name, result = run["name"].rpartition(" / ")[2], run["result"]
        out = run.get("stdout") or ""
        sums = [[int(n) for n in found] for found in CHECKS.findall(out)]
        for line in PYTEST.findall(out):
            words = {word.rstrip("s"): int(n) for n, word in re.findall(r"(\d+) (\w+)", line)}
            sums.append([sum(words.get(w, 0) for w in ("passed", "failed", "error")), words.get("failed", 0), words.get("error", 0)])
            skipped += words.get("skipped", 0)
        checks = sum(s[0] for s in sums)
        bad = sum(s[1] + s[2] for s in sums)
        skips = SKIPPED.findall(out)

        if result == "SKIP":
            print("skipped: " + ": ".join([name] + skips[:1]))
            skipped += 1
            continue
        for skip in skips:
            print(f"skipped: {name}: {skip}")
        for line in BROKEN.findall(out):
            print(f"FAILED: {name}: {line}")
        if not sums:
            checks = 1
        if result not in ("OK", "EXPECTEDFAIL") and bad == 0:
            print(f"FAILED: {name}: {result}, exit status {run.get('returncode')}")
            bad = 1
            checks += 1 if sums else 0
        passed += checks - bad - len(skips)
        failed += bad
        skipped += len(skips)

    if not runs:
        print("FAILED: no test ran")
        failed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
