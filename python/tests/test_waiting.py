# SPDX-License-Identifier: MIT
"""Waiting: iteration, event loops, other threads, signals, and what becomes of writers."""

import asyncio
import os
import select
import signal
import threading
import time

import numpy as np
import pytest
import shmbroker
from conftest import line_of, until

U8 = np.dtype("u8")


def test_iteration(broker, daemon):
    writer = broker.ring_writer("r", U8, capacity=1024)
    reader = broker.ring_reader("r")
    for i in range(100):
        writer.insert(i)
    writer.close()
    # The one that was newest at the open comes first: there was none.
    assert [s["data"] for s in reader] == list(range(100))
    # Said once: then it waits for the next writer.
    with pytest.raises(shmbroker.Timeout):
        next(reader.samples(timeout=0.01))
    program = daemon.program("""
        writer = broker.ring_writer("r", np.dtype("u8"), capacity=1024)
        writer.insert(100)
        print("inserted", flush=True)
        time.sleep(1000)""")
    assert line_of(program) == "inserted"
    samples = reader.samples(timeout=20)
    assert next(samples)["data"] == 100
    program.kill()
    with pytest.raises(shmbroker.WriterDead):
        next(samples)
    assert reader.status.writer == "dead"
    writer = broker.ring_writer("r", U8, capacity=1024)
    threading.Timer(0.05, lambda: (writer.insert(101), writer.close())).start()
    through = reader.samples(timeout=20, through=True)
    assert next(through)["data"] == 101
    writer2 = None

    def again():
        nonlocal writer2
        writer2 = broker.ring_writer("r", U8, capacity=1024, timeout=20)
        writer2.insert(102)

    threading.Timer(0.05, again).start()
    assert next(through)["data"] == 102


def test_iteration_of_values_and_queues(broker):
    value, queue = broker.value_writer("v", U8), broker.queue_producer("q", U8)
    values, items = iter(broker.value_reader("v")), iter(broker.queue_consumer("q"))
    for i in range(3):
        value.store(i)
        queue.push(i)
        assert next(values)["data"] == i
        assert next(items)["data"] == i
    value.close()
    queue.close()
    assert list(values) == [] and list(items) == []


def test_names_and_leases_are_waited_for(broker):
    with pytest.raises(shmbroker.NotFound) as found:
        broker.ring_reader("later")
    assert isinstance(found.value, FileNotFoundError) and "later" in str(found.value) and found.value.errno
    begun = time.monotonic()
    with pytest.raises(shmbroker.NotFound):
        broker.ring_reader("later", timeout=0.12)
    assert time.monotonic() - begun >= 0.12
    threading.Timer(0.1, lambda: broker.ring_writer("later", U8)).start()
    broker.ring_reader("later", timeout=20)
    first = broker.ring_writer("leased", U8)
    with pytest.raises(shmbroker.Busy):
        broker.ring_writer("leased", U8, timeout=0.07)
    threading.Timer(0.1, first.close).start()
    broker.ring_writer("leased", U8, timeout=20)


def test_cancel_and_close_from_elsewhere(broker):
    broker.ring_writer("r", U8).insert(1)
    reader = broker.ring_reader("r")
    reader.latest()
    try:
        reader.wait(0)
    except shmbroker.WriterClosed:
        pass
    threading.Timer(0.05, reader.cancel).start()
    with pytest.raises(shmbroker.Cancelled):
        reader.wait(20)
    reader.cancel()
    with pytest.raises(shmbroker.Cancelled):
        reader.wait(20)
    threading.Timer(0.05, reader.close).start()
    with pytest.raises(shmbroker.Closed):
        reader.wait(20)
    until(lambda: broker.info("r").readers == 0)


def test_one_thread_at_a_time(broker):
    writer = broker.ring_writer("r", U8)
    reader = broker.ring_reader("r")
    ended = []
    thread = threading.Thread(target=lambda: ended.append(pytest.raises(shmbroker.Cancelled, _wait_through, reader)))
    thread.start()
    until(lambda: _is_busy(reader))
    for call in (reader.latest, reader.read_next, reader.bounds, reader.fileno, lambda: reader.wait(0), lambda: shmbroker.wait_any([reader]),
                 lambda: reader.status, reader.loader, broker.close):
        with pytest.raises(shmbroker.InUse):
            call()
    reader.cancel()
    thread.join()
    assert ended
    writer.close()


def _wait_through(reader):
    while True:
        try:
            reader.wait(30)
        except shmbroker.WriterClosed:
            pass


def _is_busy(reader):
    try:
        reader.bounds()
    except shmbroker.InUse:
        return True
    return False


def test_wait_any(broker):
    writers = [broker.ring_writer(f"r{i}", U8) for i in range(3)]
    queue = broker.queue_producer("q", U8)
    handles = [broker.ring_reader(f"r{i}") for i in range(3)] + [broker.queue_consumer("q")]
    with pytest.raises(shmbroker.Timeout):
        shmbroker.wait_any(handles, 0.07)
    writers[1].insert(5)
    assert shmbroker.wait_any(handles) is handles[1] and handles[1].read_next()["data"] == 5
    threading.Timer(0.05, lambda: queue.push(6)).start()
    assert shmbroker.wait_any(handles, 20) is handles[3] and handles[3].pop()["data"] == 6
    writers[2].close()
    with pytest.raises(shmbroker.WriterClosed) as found:
        shmbroker.wait_any(handles, 20)
    assert found.value.handle is handles[2]
    for wrong in ([], [5], [writers[0]]):
        with pytest.raises((TypeError, ValueError)):
            shmbroker.wait_any(wrong, 0)


def test_fileno(broker):
    writer, reader = broker.ring_writer("r", U8), broker.ring_reader("r")
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while reader.poll():
        reader.read_next()
    assert poll.poll(20) == []
    writer.insert(1)
    assert poll.poll(20000) and reader.poll() and reader.read_next()["data"] == 1
    assert not reader.poll() and poll.poll(20) == []
    os.fstat(reader.fileno())
    fd = reader.fileno()
    reader.close()
    with pytest.raises(OSError):
        os.fstat(fd)


def test_wait_set(broker):
    writers = [broker.ring_writer(f"r{i}", U8) for i in range(3)]
    readers = [broker.ring_reader(f"r{i}") for i in range(3)]
    with broker.wait_set() as waits:
        for reader in readers:
            waits.add(reader)
        with pytest.raises(shmbroker.Exists):
            waits.add(readers[0])
        assert list(waits) == []
        writers[2].insert(7)
        writers[0].insert(8)
        assert select.select([waits], [], [], 20)[0]
        assert [(r, e) for r, e in waits] == [(readers[0], None), (readers[2], None)]
        assert readers[0].read_next()["data"] == 8 and readers[2].read_next()["data"] == 7
        writers[1].close()
        until(lambda: (found := list(waits)) and found[0][0] is readers[1] and isinstance(found[0][1], shmbroker.WriterClosed))
        waits.remove(readers[0])
        with pytest.raises(shmbroker.NotFound):
            waits.remove(readers[0])
        readers[2].close()
        writers[0].insert(9)
        assert list(waits) == []
    with pytest.raises(shmbroker.Closed):
        waits.fileno()
    broker.wait_set().add(readers[0])


@pytest.mark.parametrize("kind", ["ring", "value", "queue", "frame"])
def test_asyncio(broker, kind):
    if kind == "ring":
        writer = broker.ring_writer("s", U8)
        write = writer.insert
    elif kind == "value":
        writer = broker.value_writer("s", U8)
        write = writer.store
    elif kind == "queue":
        writer = broker.queue_producer("s", U8)
        write = writer.push
    else:
        writer = broker.frame_writer("s", U8)
        write = lambda i: writer.publish(np.array(i, "u8"))
    reader = broker.reader("s")
    ticks, got = 0, []

    async def read():
        async for sample in reader:
            got.append(int(sample.array if kind == "frame" else sample["data"]))

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    async def main():
        task, other = asyncio.create_task(read()), asyncio.create_task(tick())
        for i in range(20):
            write(i)
            while len(got) <= i:
                await asyncio.sleep(0.001)
        writer.close()
        await asyncio.wait_for(task, 20)
        other.cancel()
        with pytest.raises(shmbroker.Timeout):
            async for _ in reader.samples_async(timeout=0.02):
                pass

    asyncio.run(main())
    assert got == list(range(20)) and ticks > 10


def test_asyncio_wakes_no_loop_for_nothing(broker):
    """A loop whose reader waits sleeps: its descriptor is not readable until there is something."""
    writer, reader = broker.ring_writer("r", U8), broker.ring_reader("r")

    async def main():
        task = asyncio.create_task(reader.readable())
        await asyncio.sleep(0.05)
        before = time.process_time()
        await asyncio.sleep(0.3)
        spent = time.process_time() - before
        writer.insert(1)
        await asyncio.wait_for(task, 20)
        return spent

    assert asyncio.run(main()) < 0.15


@pytest.mark.parametrize("what", [
    "broker.ring_reader('r').wait()", "broker.queue_consumer('q').pop(timeout=None)", "broker.ring_reader('no', timeout=None)",
    "shmbroker.wait_any([broker.ring_reader('r')])", "broker.block('b', np.dtype('u1')).lock()", "broker.value_reader('v').loader().wait()",
    "next(iter(broker.frame_reader('f')))"])
def test_interrupted(broker, daemon, what):
    """Ctrl-C ends any wait of the main thread, and the program in its own way."""
    keep = [broker.ring_writer("r", U8), broker.queue_producer("q", U8), broker.value_writer("v", U8), broker.frame_writer("f", U8)]
    block = broker.block("b", np.dtype("u1"))
    block.lock()
    program = daemon.program(f"""
        try:
            print("waits", flush=True)
            {what}
        except KeyboardInterrupt:
            print("interrupted", flush=True)""")
    assert line_of(program) == "waits"
    time.sleep(0.2)
    program.send_signal(signal.SIGINT)
    assert line_of(program) == "interrupted" and program.wait(30) == 0 and len(keep) == 4


def test_handlers_run_during_a_wait(broker):
    reader = None
    broker.ring_writer("r", U8).insert(1)
    reader = broker.ring_reader("r")
    reader.latest()
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises((shmbroker.Timeout, shmbroker.WriterClosed)):
            reader.wait(0.3)
            reader.wait(0.3)
        if not seen:
            with pytest.raises(shmbroker.Timeout):
                reader.wait(0.3)
        assert seen
        signal.signal(signal.SIGALRM, lambda *_: reader.close())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(shmbroker.Closed):
            reader.wait(20)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_removed_under_its_reader(broker):
    broker.ring_writer("r", U8)
    reader = broker.ring_reader("r")
    broker.remove("r")
    for _ in range(2):
        with pytest.raises(shmbroker.Removed) as found:
            reader.wait(20)
    with pytest.raises(shmbroker.Removed):
        reader.wait(0)
    assert isinstance(found.value, shmbroker.Stale) and not isinstance(found.value, shmbroker.Overwritten)


def test_the_daemon_may_go(broker, daemon):
    writer, reader = broker.ring_writer("r", U8), broker.ring_reader("r")
    daemon.kill()
    writer.insert(1)
    assert reader.latest()["data"] == 1
    with pytest.raises(ConnectionRefusedError):
        broker.list()
    with pytest.raises(shmbroker.NoDaemon):
        broker.ring_reader("r")
    daemon.start()
    assert broker.info("r").writer == "alive"
    writer.insert(2)
    assert reader.latest()["data"] == 2
