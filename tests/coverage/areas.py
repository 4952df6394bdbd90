#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""areas.py COVERAGE.json: lines and branches reached in each area, against its goals; status 1 when one is missed.

Reads what gcovr counted. Lines marked GCOVR_EXCL_LINE, or between GCOVR_EXCL_START and GCOVR_EXCL_STOP, are left out of it; each mark but STOP gives its
reason behind a colon on the same line, and in each area they are one line in a hundred at the most. Other marks are refused. docs/verification.md
says what counts as a branch.

With --missing AREA: the lines never reached, and those with a branch never taken, in the place of the table.
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# What runs between opening a segment and closing it, in the loops of users: publishing, reading, searching, waiting and waking, locking, and the thin
# functions of each kind in front of them. Not in it: what talks to the broker, maps and closes (connection, control, map, segment, follow), what starts threads for
# event loops (waitset), and what is asked now and then (query, type, image, ...). The library's goal holds for those.
DATA_PATH = """
    block.c block.h clock.h extras.c extras.h frame.c frame.h frame_read.c frame_temporal.c frame_write.c futex.c futex.h join.c key.c keyed.c keyed.h
    loader.c publish.h queue.c queue.h read.h ring.c search.c search.h shmb_block.c shmb_queue.c slots.c slots.h temporal.c temporal.h value.c wait.c wait.h
""".split()

# area: least per cent of lines, of branches
GOALS = {"proto": (100, 95), "data path": (100, 95), "library": (90, None), "daemon": (90, None)}
EXCLUDED_AT_MOST = 1

MARK = re.compile(r"(?:GCOVR?|LCOV)_EXCL_\w+")
KNOWN = re.compile(r"GCOVR_EXCL_(?:STOP\b|(?:LINE|START): \S.{8})")


def area_of(file):
    folder, _, name = file.partition("/")
    if folder == "libclient":
        return "data path" if name in DATA_PATH else "library"
    return folder


def sources():
    """{file: its lines}, of all that is measured."""
    found = {}
    for folder in ("proto", "libclient", "daemon"):
        for path in sorted((ROOT / folder).glob("*.[ch]")):
            found[f"{folder}/{path.name}"] = path.read_text(encoding="utf-8").splitlines()
    return found


def excluded(file, lines):
    """How many lines are marked, each with something on it; and what is wrong with the marks."""
    count, wrong, inside = 0, [], False
    for number, line in enumerate(lines, 1):
        mark = MARK.search(line)
        if mark and not KNOWN.search(line):
            wrong.append(f"{file}:{number}: {mark[0]} without a reason, or not one of LINE, START and STOP")
        word = mark[0].rpartition("_")[2] if mark else ""
        if word == "START":
            inside = True
        if (inside or word == "LINE") and line.strip():
            count += 1
        if word == "STOP":
            inside = False
    if inside:
        wrong.append(f"{file}: GCOVR_EXCL_START without its STOP")
    return count, wrong


def main(path, missing=None):
    with open(path, encoding="utf-8") as report:
        files = {file["file"]: file["lines"] for file in json.load(report)["files"]}
    text = sources()
    failures = [f"libclient/{name} is in the list of the data path, but not in the tree" for name in DATA_PATH if f"libclient/{name}" not in text]
    failures += [f"{file} was not measured" for file in text if file.endswith(".c") and file not in files]
    sums = {area: {"lines": 0, "reached": 0, "branches": 0, "taken": 0, "excluded": 0, "files": 0} for area in GOALS}

    for file, lines in sorted(files.items()):
        area = area_of(file)
        total = sums[area]
        total["files"] += 1
        for line in lines:
            if line["gcovr/noncode"]:
                continue
            branches = [branch["count"] > 0 for branch in line["branches"]]
            total["lines"] += 1
            total["reached"] += line["count"] > 0
            total["branches"] += len(branches)
            total["taken"] += sum(branches)
            if missing == area and (line["count"] == 0 or not all(branches)):
                number = line["line_number"]
                state = "never" if line["count"] == 0 else "".join("+" if taken else "-" for taken in branches)
                print(f"{file}:{number}: {state:6} {text[file][number - 1].strip()}")
    for file, lines in text.items():
        count, wrong = excluded(file, lines)
        sums[area_of(file)]["excluded"] += count
        failures += wrong
    if missing:
        return 0

    print(f"{'area':10} {'files':>5} {'lines':>7} {'reached':>8} {'goal':>5}  {'branches':>8} {'taken':>8} {'goal':>5}  excluded lines")
    for area, goals in GOALS.items():
        total = sums[area]
        # Downwards: 99.99 is not 100.
        percent = [int(10000 * done / max(of, 1)) / 100 for done, of in ((total["reached"], total["lines"]), (total["taken"], total["branches"]))]
        shown = [f"{goal} %" if goal else "-" for goal in goals]
        print(f"{area:10} {total['files']:5} {total['lines']:7} {percent[0]:6.2f} % {shown[0]:>5}  {total['branches']:8} {percent[1]:6.2f} % {shown[1]:>5}  "
              f"{total['excluded']}")
        for what, reached, goal in zip(("lines", "branches"), percent, goals):
            if goal and reached < goal:
                failures.append(f"{area}: {reached:.2f} % of {what}, and {goal} % are to be reached")
        if total["excluded"] * 100 > total["lines"] * EXCLUDED_AT_MOST:
            failures.append(f"{area}: {total['excluded']} of {total['lines']} lines are excluded, {EXCLUDED_AT_MOST} % are allowed")
    for failure in failures:
        print(f"MISSED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--missing"]
    sys.exit(main(*arguments))
