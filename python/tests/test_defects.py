# SPDX-License-Identifier: MIT
"""Defects of the Python bindings that were used before, by the numbers they have in the list: none of them may happen here."""

import threading
import time

import numpy as np
import pytest
import shmbroker
from conftest import until

RECORD = np.dtype([("a", "u4"), ("b", "u4"), ("c", "u8")])


def test_defect_M2_strides_are_kept(broker):
    """M2: writes ignored the strides of arrays."""
    ring = broker.ring_writer("r", RECORD, capacity=64)
    reader = broker.ring_reader("r")

    def arrives(payload, wanted):
        ring.insert(payload)
        assert tuple(reader.latest().record.item()) == wanted

    many = np.array([(i, i + 1, i + 2) for i in range(10)], RECORD)
    arrives(many[::3][1], (3, 4, 5))
    arrives(many[::-1][0], (9, 10, 11))
    arrives(many[4:5], (4, 5, 6))
    arrives(many.reshape(2, 5)[:, 1][1], (6, 7, 8))
    wide = np.zeros(4, [("a", "u4"), ("gap", "u8"), ("b", "u4"), ("c", "u8")])
    wide["a"], wide["b"], wide["c"] = 1, 2, 3
    arrives(wide[["a", "b", "c"]][2], (1, 2, 3))
    arrives(many[2].astype(RECORD.newbyteorder(">")), (2, 3, 4))
    for wrong in (many, many[:0], many[:2], np.zeros(16, "u1")[::2], np.zeros(4, "u4"), np.zeros((), [("a", "u4"), ("b", "u4")]),
                  np.zeros((), [("b", "u4"), ("a", "u4"), ("c", "u8")]), np.zeros((), [("a", "i4"), ("b", "u4"), ("c", "u8")]),
                  np.array(None), np.array([(1, 2, 3)], "O,O,O"), memoryview(bytes(32))[::2], bytearray(15), b"x" * 17, 5, 1.5, None, "text",
                  [1, 2, 3], (1, 2), {"a": 1}, (1, 2, "x"), (1, 2, 2**70), (1, -1, 2), (1, 2, 0.5), (1, 2, [3]), (object(), 1, 2)):
        before = ring.next_number
        with pytest.raises((TypeError, ValueError, OverflowError)):
            ring.insert(wrong)
        assert ring.next_number == before, wrong

    matrix = broker.value_writer("m", np.dtype(("f8", (3, 3))))
    read = broker.value_reader("m", np.dtype(("f8", (3, 3))))
    big = np.arange(36, dtype="f8").reshape(6, 6)
    for view in (big[:3, :3], big[::2, ::2], big[:3, :3].T, np.asfortranarray(big[:3, 3:]), big[::-2, ::-2], big[:3, :3].astype(">f8")):
        matrix.store(view)
        assert (read.load()["data"] == view).all()
    for wrong in (big, big[:3], np.arange(9.0), big[:3, :3].astype("f4"), big[:3, :3].astype("i8"), big[:1, :3].reshape(3, 1)):
        with pytest.raises((TypeError, ValueError)):
            matrix.store(wrong)


def test_defect_M2_what_is_read_into(broker):
    """M2: nor is anything read into an array that is not laid out for it."""
    writer = broker.value_writer("v", RECORD)
    reader = broker.value_reader("v")
    writer.store((1, 2, 3))
    read_only = np.zeros((), RECORD)
    read_only.flags.writeable = False
    for wrong in (np.zeros(2, RECORD), np.zeros(0, RECORD), read_only, np.zeros((), RECORD.newbyteorder(">")), np.zeros(16, "u1")[::-1],
                  np.zeros(32, "u1")[::2], np.zeros(15, "u1"), np.zeros(2, "u8"), np.zeros((), "O"), bytes(16), bytearray(15), memoryview(bytes(16)),
                  memoryview(bytearray(32))[::2], np.zeros((), RECORD)[()].item(), np.zeros(1, RECORD)["a"][0], 5, "text"):
        with pytest.raises((TypeError, ValueError, BufferError)):
            reader.load(out=wrong)
    for right in (np.zeros((), RECORD), np.zeros(1, RECORD), np.zeros((1, 1), RECORD), np.zeros(3, RECORD)[1:2], np.zeros(16, "u1"), bytearray(16),
                  memoryview(bytearray(20))[2:18]):
        reader.load(out=right)
        assert bytes(right) == np.array((1, 2, 3), RECORD).tobytes()


def test_defect_M2_images_of_any_strides(broker):
    """M2: images that are crops, flips and planes of larger ones."""
    writer = broker.frame_writer("camera", shmbroker.image_type(8, 6, "rgb8"))
    reader = broker.frame_reader("camera")
    big = np.random.default_rng(1).integers(0, 255, (20, 20, 4), np.uint8)
    for view in (big[:6, :8, :3], big[::3, ::2, 1:][:6, :8], big[5::-1, 7::-1, :3], big[:6, :8, 2::-1], big.transpose(1, 0, 2)[:6, :8, :3]):
        writer.publish(view)
        assert (reader.pin().array == view).all()
    for wrong in (big[:6, :8], big[:8, :6, :3].transpose(1, 2, 0), big[:7, :8, :3], big[:6, :8, :3].astype("u2"), big[:6, :8, :1], big[:6, :8, 0]):
        before = writer.next_number
        with pytest.raises((TypeError, ValueError)):
            writer.publish(wrong)
        assert writer.next_number == before


@pytest.mark.parametrize("kind", ["ring", "value", "frame", "queue", "room", "any", "loader", "lock", "pop", "open"])
def test_defect_M3_waits_let_others_run(broker, kind):
    """M3: bindings held the GIL while they waited: no other thread ran."""
    ended = []

    def wait():
        try:
            waits[kind]()
        except Exception as error:  # pylint: disable=broad-except
            ended.append(error)
        else:
            ended.append(None)

    u4 = np.dtype("u4")
    waits, ends = {}, {}
    if kind in ("ring", "any"):
        writer = broker.ring_writer("s", u4)
        reader = broker.ring_reader("s")
        waits = {"ring": lambda: reader.wait(30), "any": lambda: shmbroker.wait_any([reader], 30)}
        end = lambda: writer.insert(1)
    elif kind in ("value", "loader"):
        writer = broker.value_writer("s", u4)
        reader = broker.value_reader("s")
        loader = reader.loader() if kind == "loader" else None
        waits = {"value": lambda: reader.wait(30), "loader": lambda: loader.wait(30)}
        end = lambda: writer.store(1)
    elif kind == "frame":
        writer = broker.frame_writer("s", u4)
        reader = broker.frame_reader("s")
        waits = {"frame": lambda: reader.wait(30)}
        end = lambda: writer.publish(np.array(1, "u4"))
    elif kind == "lock":
        first, second = broker.block("s", u4), broker.block("s", u4)
        first.lock()
        waits = {"lock": lambda: second.lock(30)}
        end = first.unlock
    elif kind == "open":
        waits = {"open": lambda: broker.ring_reader("s", timeout=30)}
        end = lambda: broker.ring_writer("s", u4)
    else:
        producer = broker.queue_producer("s", u4, capacity=2)
        consumer = broker.queue_consumer("s")
        waits = {"queue": lambda: consumer.wait(30), "pop": lambda: consumer.pop(timeout=30), "room": lambda: producer.wait(30)}
        if kind == "room":
            producer.push(1)
            producer.push(2)
            end = consumer.pop
        else:
            end = lambda: producer.push(1)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    best = 0
    for _ in range(20):  # a machine that stands still takes one of these times, a wait that keeps the others out all of them
        count, begun = 0, time.monotonic()
        while time.monotonic() < begun + 0.1:
            count += 1
        best = max(best, count)
        if best > 1000:
            break
    assert not ended and best > 1000
    end()
    until(lambda: ended)
    thread.join(30)
    assert ended == [None]
