# SPDX-License-Identifier: MIT
"""Queries in time, joins, keys and their rules."""

import pickle
import time

import numpy as np
import pytest
import shmbroker
from shmbroker import MonotonicKey, RealtimeKey, SequenceKey, within

TICK = np.dtype([("t", "u8"), ("x", "f8")])
ANY = within(0, 2**63)


def key(value):
    return SequenceKey(value, ANY)


@pytest.fixture(params=["ring", "frame"])
def ticks(request, broker):
    """Ten elements of the keys 100, 110, ... 190: t, x = t / 2."""
    if request.param == "ring":
        writer = broker.ring_writer("s", TICK, capacity=16, clock="sequence", key="t")
        write = writer.insert
    else:
        writer = broker.frame_writer("s", TICK, history=16, clock="sequence", key="t")
        write = lambda payload: writer.publish(np.array(payload, TICK))
    for t in range(100, 200, 10):
        write((t, t / 2))
    writer.write = write
    return writer, broker.reader("s")


def t_of(found):
    return int(found.array["t"] if isinstance(found, shmbroker.Frame) else found["t"])


def test_queries(ticks):
    writer, reader = ticks
    assert reader.clock == "sequence"
    found = reader.closest(key(133))
    assert (t_of(found), found.key, found.number) == (130, key(130), 3)
    assert t_of(reader.closest(key(135))) == 130 and t_of(reader.closest(key(9999))) == 190
    with pytest.raises(shmbroker.KeyRange):
        reader.closest(key(135), 4)
    before, after, alpha = reader.bracket(key(142))
    assert (t_of(before), t_of(after)) == (140, 150) and alpha == pytest.approx(0.2) and after.key - before.key == 10
    with pytest.raises(shmbroker.TooOld):
        reader.bracket(key(191))
    with pytest.raises(shmbroker.Overwritten):
        reader.bracket(key(99))
    assert t_of(reader.fresh(key(190))) == 190
    with pytest.raises(shmbroker.TooOld):
        reader.fresh(key(191))
    assert reader.range(key(115), key(140)) == (2, 3, False)
    with pytest.raises(shmbroker.KeyRange):
        reader.range(key(111), key(112))
    assert reader.key(4) == key(140)
    reader.seek_key(key(171))
    assert t_of(reader._take()) == 180 and reader.lag() == 1
    for wrong in (MonotonicKey(130, ANY), RealtimeKey(130, ANY)):
        with pytest.raises(shmbroker.WrongClock):
            reader.closest(wrong)
    for wrong in (130, 130.0, None, "130", np.uint64(130)):
        with pytest.raises(TypeError):
            reader.closest(wrong)
    with pytest.raises(TypeError):
        reader.range(key(1), MonotonicKey(2, ANY))
    with pytest.raises(shmbroker.KeyOrder):
        writer.write((150, 0))
    with pytest.raises(shmbroker.WrongClock):
        reader.seek_age(1)
    writer.restart_keys()
    writer.write((50, 0))
    assert t_of(reader.closest(key(150))) == 50
    reader.seek_oldest()
    assert t_of(reader._take()) == 100


def test_many_at_once(broker):
    writer = broker.ring_writer("s", TICK, capacity=64, clock="sequence", key="t")
    reader = broker.ring_reader("s")
    for t in range(100):
        writer.insert((t, t / 2))
    batch = reader.between(key(60), key(70))
    assert list(batch.records["t"]) == list(range(60, 71)) and batch.lost == 0 and list(batch.numbers) == list(range(60, 71))
    assert reader.range(key(0), key(50)).is_cut


def test_joins(broker):
    rings = []
    for i, step in enumerate((10, 7)):
        writer = broker.ring_writer(f"r{i}", TICK, capacity=64, clock="sequence", key="t")
        for t in range(0, 200, step):
            writer.insert((t, i))
        rings.append(broker.ring_reader(f"r{i}"))
    frames = broker.frame_writer("f", np.dtype(("u1", (4,))), history=8, clock="sequence", keys_given=True)
    for t in range(0, 200, 25):
        with frames.loan() as loan:
            loan.array[:] = t
            loan.commit(key=key(t))
    camera = broker.frame_reader("f")
    closest, around, frame, both = shmbroker.join(
        key(101), [rings[0], shmbroker.Around(rings[1], 7), shmbroker.Closest(camera, 5), shmbroker.Around(camera)])
    assert closest["t"] == 100 and (around.before["t"], around.after["t"]) == (98, 105) and around.alpha == pytest.approx(3 / 7)
    assert frame.array[0] == 100 and frame.key == key(100) and (both.before.array[0], both.after.array[0]) == (100, 125) and camera.held == 3
    with pytest.raises(shmbroker.KeyRange) as found:
        shmbroker.join(key(112), [rings[0], shmbroker.Around(camera), shmbroker.Closest(camera, 5)])
    assert found.value.index == 2 and found.value.reader is camera and camera.held == 3
    del frame, both
    assert camera.held == 0
    for wrong in ([], [5], [frames], list(range(100))):
        with pytest.raises((TypeError, ValueError)):
            shmbroker.join(key(1), wrong)


def test_keys_that_are_stated(broker):
    writer = broker.frame_writer("f", 100, clock="sequence", keys_given=True)
    with pytest.raises(shmbroker.NoKey):
        writer.publish(b"x")
    with pytest.raises(shmbroker.WrongClock):
        writer.publish(b"x", key=MonotonicKey.now())
    with pytest.raises(TypeError):
        writer.publish(b"x", key=5)
    assert writer.publish(b"x", key=key(5)) == 0
    with pytest.raises(shmbroker.KeyOrder):
        writer.publish(b"x", key=key(4))
    assert writer.publish(b"x", key=key(6)) == 1
    queue = broker.queue_producer("q", 100)
    with pytest.raises(shmbroker.NotSupported):
        with queue.claim() as loan:
            loan.commit(key=key(1))


def test_stamps_are_keys(broker):
    writer = broker.ring_writer("r", TICK, stamped=True)
    reader = broker.ring_reader("r")
    writer.insert((1, 1))
    now = MonotonicKey.now()
    assert reader.clock == "monotonic" and reader.fresh(now.moved(-10**10))["t"] == 1
    reader.seek_age(60)
    assert reader.read_next()["t"] == 1
    image = broker.frame_writer("f", shmbroker.image_type(4, 4, "mono8"), clock="monotonic", key="stamp_ns")
    image.publish(np.zeros((4, 4), "u1"), stamp_ns=now.value)
    assert broker.frame_reader("f").closest(now).header.stamp_ns == now.value


def test_keys():
    a, b = key(5), key(9)
    assert a < b and a <= b and b > a and b >= a and a != b and b - a == 4 and a.moved(4) == b and hash(a.moved(4)) == hash(b)
    assert pickle.loads(pickle.dumps(a)) == a and a.value == 5
    other = MonotonicKey(5, ANY)
    assert a != other
    for mix in (lambda: a < other, lambda: a - other, lambda: a >= 5, lambda: a - 5):
        with pytest.raises(TypeError):
            mix()
    with pytest.raises(AttributeError):
        a._value = 7
    with pytest.raises(shmbroker.KeyRange):
        a.moved(-6)
    for wrong in (-1, 2**64, 1.5, "5", True):
        with pytest.raises((shmbroker.KeyRange, TypeError, AttributeError)):
            key(wrong)
    with pytest.raises(TypeError):
        SequenceKey(5)  # type: ignore[call-arg]


def test_rules():
    minute = 60 * 10**9
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    rule = shmbroker.plausible(minute, minute)
    assert MonotonicKey(now, rule).value == now and RealtimeKey(time.time_ns(), rule)
    for wrong in (time.time_ns(), now // 1000, now // 10**6):
        with pytest.raises(shmbroker.KeyOrder):
            MonotonicKey(wrong, rule)
    with pytest.raises(shmbroker.KeyRange):
        MonotonicKey(now + 2 * minute, rule)
    with pytest.raises(TypeError):
        SequenceKey(now, rule)
    close = shmbroker.near(key(100), 5)
    assert SequenceKey(105, close) and SequenceKey(95, shmbroker.all_of(within(0, 96), close))
    for wrong in (94, 106):
        with pytest.raises(shmbroker.KeyRange):
            SequenceKey(wrong, close)
    with pytest.raises(TypeError):
        MonotonicKey(100, close)
    with pytest.raises(ZeroDivisionError):
        SequenceKey(1, lambda cls, value: 1 / 0)
    with pytest.raises(ValueError):
        shmbroker.all_of()
