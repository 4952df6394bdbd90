# SPDX-License-Identifier: MIT
"""A name is given new memory: who reads on to the end, who goes on by itself, and who is told that it cannot."""

import asyncio
import gc
import os
import signal
import threading
import time

import numpy as np
import pytest
import shmbroker
from conftest import line_of, until

U8 = np.dtype("u8")


def replaced(broker, kind="ring"):
    """A reader that has read 0 of 0, 1 of the old memory, and the writer of the new one, which wrote 2."""
    if kind == "ring":
        writer = broker.ring_writer("s", U8, capacity=8)
        reader = broker.ring_reader("s")
        write, again = writer.insert, lambda: broker.ring_writer("s", U8, capacity=64)
    elif kind == "queue":
        writer = broker.queue_producer("s", U8, capacity=8)
        reader = broker.queue_consumer("s")
        write, again = writer.push, lambda: broker.queue_producer("s", U8, capacity=64)
    else:
        writer = broker.frame_writer("s", U8, history=4)
        reader = broker.frame_reader("s")
        write, again = (lambda i: writer.publish(np.array(i, "u8"))), lambda: broker.frame_writer("s", U8, history=9)
    write(0)
    write(1)
    assert number(reader._take()) == 0
    writer.close()
    new = again()
    {"ring": lambda: new.insert(2), "queue": lambda: new.push(2), "frame": lambda: new.publish(np.array(2, "u8"))}[kind]()
    return reader, new


def number(thing):
    assert int(thing.array if isinstance(thing, shmbroker.Frame) else thing["data"]) == thing.number
    return thing.number


def writer_is_told(reader):
    """What there is to tell about the old writer comes first."""
    with pytest.raises(shmbroker.WriterClosed):
        reader.wait(0)


@pytest.mark.parametrize("kind", ["ring", "queue", "frame"])
def test_calls_that_do_not_wait_say_so_until_follow(broker, kind):
    reader, _ = replaced(broker, kind)
    before = reader.status
    assert before.next_generation == before.generation + 1
    if kind == "queue":
        assert reader.follow() is False
    assert number(reader._take()) == 1
    for _ in range(3):
        with pytest.raises(shmbroker.Superseded) as found:
            reader._take()
        assert not isinstance(found.value, (shmbroker.NoData, shmbroker.Stale)) and "generation" in str(found.value)
    writer_is_told(reader)
    for _ in range(2):
        with pytest.raises(shmbroker.Superseded):
            reader.wait(0)
        with pytest.raises(shmbroker.Superseded):
            shmbroker.wait_any([reader], 0)
        with pytest.raises(shmbroker.Superseded):
            reader.poll() or reader.poll()  # the first may end a pass
    with broker.wait_set() as waits:
        waits.add(reader)
        assert [type(error) for _, error in waits] == [shmbroker.Superseded]
        assert reader.follow() is True and reader.status.generation == before.next_generation and reader.status.next_generation == 0
        assert list(waits) == [(reader, None)]
    assert number(reader._take()) == 2
    assert reader.follow() is True


@pytest.mark.parametrize("kind", ["ring", "queue", "frame"])
@pytest.mark.parametrize("how", ["wait", "wait_any", "pop", "for", "async for", "in time"])
def test_waits_and_iteration_go_on(broker, kind, how):
    if how == "pop" and kind != "queue":
        pytest.skip("pops are a queue's")
    reader, new = replaced(broker, kind)
    if how == "for":
        samples = iter(reader)
        assert [number(next(samples)) for _ in range(2)] == [1, 2]
        new.close()
        assert list(samples) == []
        return
    if how == "async for":
        async def main():
            got = []
            async for sample in reader:
                got.append(number(sample))
                if len(got) == 2:
                    new.close()
            return got

        assert asyncio.run(asyncio.wait_for(main(), 20)) == [1, 2]
        return
    assert number(reader._take()) == 1
    writer_is_told(reader)
    if how == "in time":
        reader.wait(20)
        assert number(reader._take()) == 2
        with pytest.raises(shmbroker.Timeout):
            reader.wait(0.1)
        return
    if how == "wait":
        reader.wait(20)
    elif how == "wait_any":
        assert shmbroker.wait_any([reader], 20) is reader
    if how == "pop":
        assert number(reader.pop(timeout=20)) == 2
    else:
        assert number(reader._take()) == 2


def test_a_wait_that_is_under_way_goes_on(broker):
    writer = None

    def take_over():
        nonlocal writer
        writer = broker.ring_writer("w", U8, capacity=64)
        writer.insert(0)

    broker.ring_writer("w", U8, capacity=8).close()
    reader = broker.ring_reader("w")
    with pytest.raises(shmbroker.WriterClosed):
        reader.wait(20)
    threading.Timer(0.1, take_over).start()
    reader.wait(20)
    assert number(reader.read_next()) == 0


def test_values(broker):
    broker.value_writer("v", U8).store(0)
    reader, values = broker.value_reader("v"), broker.value_reader("v").samples(20)
    assert reader.load()["data"] == 0 and next(values)["data"] == 0
    with pytest.raises(shmbroker.WriterClosed):
        reader.wait(0)
    writer = broker.value_writer("v", U8, capacity=8)
    writer.store(1)
    assert reader.load()["data"] == 0 and reader.status.next_generation
    loader = broker.value_reader("v").loader()
    assert loader.snapshot()["data"] == 1
    assert next(values)["data"] == 1
    reader.wait(20)
    assert reader.load()["data"] == 1
    writer.close()
    broker.value_writer("v", U8, capacity=4).store(2)
    ended = False
    while loader.snapshot()["data"] != 2:
        try:
            loader.wait(20)
        except shmbroker.WriterClosed:
            assert not ended
            ended = True


def test_another_type(broker):
    writer = broker.ring_writer("r", [("a", "u8")])
    reader, late = broker.ring_reader("r"), broker.ring_reader("r")
    writer.insert((1,))
    writer.close()
    other = broker.ring_writer("r", [("b", "f8", 2)])
    other.insert(((1.0, 2.0),))
    assert reader.read_next()["a"] == 1
    writer_is_told(reader)
    for call in (reader.follow, lambda: reader.wait(20), lambda: reader.wait(20), late.follow):
        with pytest.raises(shmbroker.TypeMismatch) as found:
            call()
        assert isinstance(found.value, TypeError) and "uint64 a" in str(found.value) and "float64[2] b" in str(found.value)
    samples = iter(late)
    assert next(samples)["a"] == 1
    with pytest.raises(shmbroker.TypeMismatch):
        next(samples)
    assert broker.info("r").draining == 1 and {r.older for r in broker.info("r").reader_list} == {1}
    reader.close()
    late.close()
    until(lambda: broker.info("r").draining == 0)
    assert list(broker.ring_reader("r").read_next()["b"]) == [1.0, 2.0]


def test_another_kind(broker):
    broker.ring_writer("r", U8).insert(1)
    reader = broker.ring_reader("r")
    broker.value_writer("r", U8)
    with pytest.raises(shmbroker.WrongKind):
        reader.follow()


def test_frames_that_are_held_stay(broker):
    reader, new = replaced(broker, "frame")
    held = reader.pin_next()
    view = held.array
    assert reader.follow()
    for i in range(3, 40):
        new.publish(np.array(i, "u8"))
    assert view == 1 and held.array == 1 and number(held) == 1
    more = [reader.pin_next() for _ in range(3)]
    # One of eight is held in the old memory: that takes nothing away in the new one.
    assert len({number(frame) for frame in more}) == 3
    held.release()
    assert view == 1
    del held, view
    gc.collect()
    # Let go when the reader sleeps next.
    reader.seek(reader.bounds()[1])
    with pytest.raises(shmbroker.Timeout):
        reader.wait(0.05)
    assert broker.info("s").draining == 0
    held = more[0].array
    reader.close()
    new.close()
    broker.close()
    assert held == more[0].number


@pytest.mark.parametrize("daemon", ["[segment hung]\nstale-time = 200ms\non-hang = replace\n[segment marked]\nstale-time = 200ms\n"], indirect=True)
def test_a_writer_that_is_stopped_and_replaced(broker, daemon):
    program = daemon.program("""
        import select
        hung, marked = broker.ring_writer("hung", np.dtype("u8")), broker.ring_writer("marked", np.dtype("u8"))
        hung.insert(0), marked.insert(0)
        print("inserted", flush=True)
        sys.stdin.readline()
        try:
            while True:
                marked.insert(1)
                hung.insert(7)
                time.sleep(0.01)
        except shmbroker.LeaseLost as error:
            print("lost", flush=True)
        while not select.select([sys.stdin], [], [], 0.01)[0]:
            marked.insert(1)""")
    assert line_of(program) == "inserted"
    marked, reader = broker.ring_reader("marked"), broker.ring_reader("hung")
    assert number(reader.read_next()) == 0 and number(marked.read_next()) == 0
    os.kill(program.pid, signal.SIGSTOP)
    until(lambda: broker.info("marked").writer == "stopped")
    with pytest.raises(shmbroker.WriterHung) as found:
        marked.wait(20)
    assert "stopped" in str(found.value) and marked.status.writer == "stopped" and broker.info("marked").writer == "stopped"
    assert broker.figures("marked")[0].writer == "stopped"
    with pytest.raises(shmbroker.WriterHung):
        reader.wait(20)
    writer = broker.ring_writer("hung", U8, timeout=20)
    writer.insert(writer.next_number)
    os.kill(program.pid, signal.SIGCONT)
    program.stdin.write("\n")
    program.stdin.flush()
    assert line_of(program) == "lost"
    sample = None
    while sample is None:
        try:
            reader.wait(20)
            sample = reader.read_next()
        except shmbroker.WriterEnded:
            pass
    assert sample["data"] == writer.next_number - 1 and sample.number == writer.next_number - 1
    until(lambda: marked.status.writer == "alive" or time.sleep(0.01))
    program.stdin.write("\n")
    program.stdin.flush()


def test_every_condition_has_a_word():
    words = [shmbroker._handles.writer_word(i) for i in range(9)]
    assert words == ["none", "alive", "closed", "dead", "gone", "stopped", "traced", "hung", "dumping"]
    assert shmbroker._handles.writer_word(9) == "state 9"
