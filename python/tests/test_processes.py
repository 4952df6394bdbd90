# SPDX-License-Identifier: MIT
"""Fork, multiprocessing, and what may not travel."""

import gc
import multiprocessing
import os
import pickle
import select
import signal
import threading

import numpy as np
import pytest
import shmbroker
from conftest import PATIENCE, until

U8 = np.dtype("u8")


def others_sleep():
    """All threads of this process but this one."""
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/stat", encoding="utf-8", errors="replace") as stat:
                state = stat.read().rpartition(")")[2].split()[0]
        except FileNotFoundError:  # it ends
            return False
        if state != "S" and int(thread) != threading.get_native_id():
            return False
    return True


def in_child(work):
    """Runs it in a forked child, which ends as Python ends: what it prints of an exception comes back."""
    read, write = os.pipe()
    # The child gets malloc's locks as they are: the C library takes them before a fork, gcc 12's address sanitizer does not.
    until(others_sleep)
    child = os.fork()
    if child == 0:
        os.close(read)
        text = "ok"
        try:
            work()
            gc.collect()
        except BaseException as error:  # pylint: disable=broad-except
            text = f"{type(error).__name__}: {error}"
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        if not select.select([pipe], [], [], PATIENCE)[0]:
            os.kill(child, signal.SIGKILL)
        text = pipe.read()
    assert os.waitpid(child, 0)[1] == 0 and text == "ok", text or "the child died"


def test_a_child_owns_nothing(broker):
    value, ring, frame, queue = (broker.value_writer("v", U8), broker.ring_writer("r", U8), broker.frame_writer("f", 1000),
                                 broker.queue_producer("q", U8))
    values, rings, frames, items = (broker.value_reader("v"), broker.ring_reader("r"), broker.frame_reader("f"), broker.queue_consumer("q"))
    block = broker.block("b", U8)
    block.lock()
    value.store(1)
    ring.insert(1)
    frame.publish(b"x" * 1000)
    queue.push(1)
    pinned = frames.pin()
    array = pinned.array
    loader = broker.value_reader("v").loader()
    loan = frame.loan()
    view = loan.array
    waits = broker.wait_set()
    waits.add(rings)
    rings.fileno()
    everything = [value, ring, frame, queue, values, rings, frames, items, block, pinned, loader, loan, waits]

    def child():
        calls = [
            lambda: value.store(2), lambda: ring.insert(2), lambda: frame.loan(), lambda: queue.push(2), values.load, rings.latest,
            rings.read_next, lambda: rings.wait(0), frames.pin, frames.load, items.pop, block.unlock, lambda: block.array, loader.snapshot,
            lambda: loader.wait(0), loan.commit, lambda: pinned.image, broker.list, lambda: broker.ring_reader("r"), values.poll,
            lambda: shmbroker.wait_any([rings], 0), value.heartbeat, lambda: rings.status, waits.next, rings.cancel]
        for i, call in enumerate(calls):
            try:
                call()
            except shmbroker.ForkedError:
                continue
            except BaseException as error:
                raise AssertionError(f"call {i}: {error!r}") from error
            raise AssertionError(f"call {i} went through")
        for thing in everything[:9]:
            thing.close()
        loader.close()
        waits.close()
        del calls
        everything.clear()

    in_child(child)
    in_child(broker.close)
    in_child(lambda: None)
    view[0] = 3
    assert loan.commit() == 1 and array[0] == ord("x") and frames.held == 1
    value.store(5)
    ring.insert(6)
    assert values.load()["data"] == 5 and rings.latest()["data"] == 6 and block.holder == os.getpid()
    until(lambda: loader.snapshot()["data"] == 5)
    assert items.pop()["data"] == 1 and frames.pin().array[0] == 3
    assert broker.info("v").writer == "alive" and broker.info("v").readers == 2


def test_everything_dies_in_a_child(daemon):
    """References of the child's own are the last ones there."""
    def child():
        nonlocal things
        things = None

    broker = shmbroker.connect(daemon.socket)
    ring, frame = broker.ring_writer("r", U8), broker.frame_writer("f", 1000)
    frame.publish(b"1")
    reader = broker.frame_reader("f")
    things = [ring, reader.pin().array, frame.loan(), broker.ring_reader("r").loader(), broker.wait_set()]
    del ring, reader, frame, broker
    in_child(child)
    in_child(child)
    things[0].insert(3)
    assert things[1][0] == ord("1")


def test_a_fork_while_another_thread_waits(broker):
    broker.ring_writer("r", U8)
    reader = broker.ring_reader("r")
    ended = []

    def wait():
        while True:
            try:
                reader.wait(30)
            except shmbroker.WriterClosed:
                continue
            except shmbroker.Cancelled:
                ended.append(1)
                return

    thread = threading.Thread(target=wait)
    thread.start()

    def busy():
        try:
            reader.bounds()
        except shmbroker.InUse:
            return True
        return False

    def child():
        for call in (reader.bounds, reader.latest):
            try:
                call()
            except shmbroker.ForkedError:
                continue
            raise AssertionError
        reader.close()

    until(busy)
    in_child(child)
    reader.cancel()
    thread.join()
    assert ended


def work(arguments):
    socket, i = arguments
    with shmbroker.connect(socket) as broker:
        broker.queue_producer(f"q{i}", U8).push(i * i)
    return i


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(daemon, broker, method):
    """Each worker connects for itself."""
    keep = broker.ring_writer("kept", U8)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(work, [(daemon.socket, i) for i in range(6)]) == list(range(6))
        pool.close()
        pool.join()
    assert [broker.queue_consumer(f"q{i}").pop()["data"] for i in range(6)] == [i * i for i in range(6)]
    keep.insert(1)


def test_handles_do_not_travel(broker):
    ring = broker.ring_writer("r", U8)
    for thing in (broker, ring, broker.ring_reader("r"), broker.block("b", U8)):
        with pytest.raises(TypeError, match="process that"):
            pickle.dumps(thing)
    for error in (shmbroker.NotFound(2, "no such thing"), shmbroker.Closed(0, "x")):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error)
