#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a call from Python costs, in this process, against a private daemon: the median and the least of many rounds, beside the goal.

usage: SHMB_DAEMON=build/daemon/shmbrokerd PYTHONPATH=build/python python/bench/bench.py

Prints only; --check exits 1 for goals missed.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import shmbroker

IMU = np.dtype([("stamp_ns", "u8"), ("gyro", "f8", (3,)), ("accel", "f8", (3,))], align=True)
ROUNDS = 40


def measure(call, count):
    """Nanoseconds a call, the calls of the loop itself taken off: (median, least) of the rounds."""
    def loop(function):
        begun = time.perf_counter_ns()
        for _ in range(count):
            function()
        return time.perf_counter_ns() - begun

    def nothing():
        pass

    loop(call)
    idle = min(loop(nothing) for _ in range(10))
    rounds = [max(0, loop(call) - idle) / count for _ in range(ROUNDS)]
    return statistics.median(rounds), min(rounds)


def run(broker):
    record = np.zeros((), IMU)
    out = np.zeros((), IMU)
    value, ring = broker.value_writer("value", IMU), broker.ring_writer("ring", IMU, capacity=1024, clock="monotonic", key="stamp_ns")
    values, rings = broker.value_reader("value"), broker.ring_reader("ring")
    queue, items = broker.queue_producer("queue", IMU, capacity=1024), broker.queue_consumer("queue")
    camera, frames = broker.frame_writer("camera", shmbroker.image_type(1920, 1080, "rgb8")), broker.frame_reader("camera")
    pixels = np.zeros((1080, 1920, 3), np.uint8)
    copy = np.empty(frames.type.size, np.uint8)
    value.store(record)
    for t in range(1000):
        record["stamp_ns"] = t
        ring.insert(record)
    camera.publish(pixels)
    at = shmbroker.MonotonicKey(500, shmbroker.within(0, 1000))

    def pushed_and_popped():
        queue.push(record)
        items.pop(out)

    def lent():
        with camera.loan():
            pass

    lent()
    camera.publish(pixels)
    return [
        ("store a record of 56 bytes", 1000, measure(lambda: value.store(record), 20000)),
        ("load it into an array", 1000, measure(lambda: values.load(out), 20000)),
        ("load it as a new record", None, measure(values.load, 20000)),
        ("insert into a ring", None, measure(lambda: ring.insert(record), 20000)),
        ("closest of 1000 in time", None, measure(lambda: rings.closest(at), 5000)),
        ("push and pop", None, measure(pushed_and_popped, 10000)),
        ("6 MB frame to ndarray (pin, image, release)", 5000, measure(lambda: frames.pin().image, 5000)),
        ("6 MB frame, loan and commit", None, measure(lent, 5000)),
        ("6 MB frame, copied in (publish)", None, measure(lambda: camera.publish(pixels), 20)),
        ("6 MB frame, copied out (load_into)", None, measure(lambda: frames.load_into(copy), 20)),
    ]


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--check", action="store_true", help="exit 1 for goals missed")
    check = options.parse_args().check
    directory, shm = tempfile.mkdtemp(prefix="shmb-bench-py-"), tempfile.mkdtemp(prefix="shmb-bench-py-", dir="/dev/shm")
    daemon = subprocess.Popen([os.environ["SHMB_DAEMON"], "--runtime-dir", directory + "/run", "--shm-dir", shm], stderr=subprocess.DEVNULL)
    missed = 0
    try:
        while not os.path.exists(directory + "/run/control.sock"):
            time.sleep(0.01)
        with shmbroker.connect(directory + "/run/control.sock") as broker:
            for name, goal, (median, least) in run(broker):
                verdict = "" if goal is None else f"goal {goal / 1000:g} us: {'met' if median <= goal else 'MISSED'}"
                missed += goal is not None and median > goal
                print(f"{name:45} {median / 1000:9.3f} us  (least {least / 1000:.3f})  {verdict}")
    finally:
        daemon.terminate()
        daemon.wait()
        shutil.rmtree(directory)
        shutil.rmtree(shm, ignore_errors=True)
    print(f"Python {sys.version.split()[0]}, numpy {np.__version__}, shmbroker {shmbroker.__version__}")
    return 1 if check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
