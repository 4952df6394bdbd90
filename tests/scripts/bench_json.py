#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What `bench --json` writes: one object a line with the keys its readers know, for each case and implementation that the table shows.

usage: bench_json.py BENCH
"""

import json
import os
import subprocess
import sys
import tempfile

KEYS = ["case", "impl", "procs", "bytes", "slots", "min_ns", "median_ns", "p99_ns", "per_s", "seen_ratio"]
SIZES = {64, 4096, 1 << 20, 6220800}
IMPLS = {"memcpy", "shmbroker", "seqlock_wake_always"}


def run(bench, *arguments, status=0):
    done = subprocess.run([bench, *arguments], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == status, f"{arguments}: status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def rows(bench, only):
    with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
        table = run(bench, "--rounds", "1", "--only", only, "--json", file.name).splitlines()
        assert table[0].startswith("load average before") and table[-1].startswith("load average after"), table
        table = table[2:-1]
        found = [json.loads(line) for line in file]
    for row in found:
        assert list(row) == KEYS, row
        assert 0 < row["min_ns"] <= row["p99_ns"] and row["min_ns"] <= row["median_ns"], row
        assert abs(row["per_s"] * row["median_ns"] / 1e9 - 1) < 0.05 or row["per_s"] < 100, row
    shown = {tuple(line.split()[:5]) for line in table if "skipped:" not in line and "needs two CPUs" not in line}
    assert shown == {tuple(str(row[key]) for key in ("case", "procs", "bytes", "slots", "impl")) for row in found}, table
    return found


def main(bench):
    stores = rows(bench, "value.store")
    one = [row for row in stores if row["case"] == "value.store"]
    assert {row["bytes"] for row in one} == SIZES and {row["impl"] for row in one} == IMPLS, one
    assert {(row["procs"], row["slots"], row["seen_ratio"]) for row in one} == {(1, 4, None)}, one
    both = {(row["impl"], row["bytes"]) for row in stores if row["case"] == "value.store_load"}
    assert {("pipe", 64), ("posix_mq", 64), ("seqpacket", 64), ("pipe", 4096), ("seqpacket", 4096)} <= both, both

    # What a reader sees of one size is the scheduler's doing; of a sequence lock whose writer never rests it may see nothing of 1 MiB.
    seen = rows(bench, "throughput.distinct")
    for row in seen:
        assert row["procs"] == 2 and 0 <= row["seen_ratio"] <= 1, row
    assert any(row["seen_ratio"] > 0 for row in seen if row["impl"] == "shmbroker"), seen

    run(bench, "--check", "--rounds", "1", status=2)
    run(bench, "--rounds", "0", status=2)
    run(bench, "--json", "/nonexistent/file", status=2)
    print("100%: Checks: 1, Failures: 0, Errors: 0")


if __name__ == "__main__":
    if os.environ.get("SHMB_TEST_WRAPPER"):
        print("skipped: bench_json: the benchmark starts its programs itself, without the wrapper")
        sys.exit(0)
    main(sys.argv[1])
