# SPDX-License-Identifier: MIT
"""Every kind, both ways."""

import ctypes
import dataclasses
import os
import signal

import numpy as np
import pytest
import shmbroker
from conftest import line_of

IMU = np.dtype([("stamp_ns", "u8"), ("gyro", "f8", (3,)), ("flag", "?")], align=True)


def imu(i):
    return np.array((i, (i, i * 0.5, -i), i % 2 == 1), IMU)


def test_all_is_exported():
    ours = {name for name, what in vars(shmbroker).items() if not name.startswith("_") and isinstance(what, type)}
    assert ours <= set(shmbroker.__all__)


def test_value(broker):
    writer = broker.value_writer("v", IMU, stamped=True)
    reader = broker.value_reader("v")
    with pytest.raises(shmbroker.NoData):
        reader.load()
    writer.store(imu(7))
    sample = reader.load()
    assert (sample.number, sample.missed) == (0, 0) and 0 < sample.stamp_ns <= shmbroker.now_ns()
    assert sample["stamp_ns"] == 7 and list(sample["gyro"]) == [7, 3.5, -7] and sample.record.flag
    assert isinstance(sample.record, np.record)
    out = reader.type.empty()
    for i in range(3):
        writer.store(imu(i))
    again = reader.load(out)
    assert again.record is out and out["stamp_ns"] == 2 and again.missed == 2 and writer.next_number == 4
    writer.heartbeat()
    assert reader.status.writer == "alive" and reader.status.writer_pid == os.getpid() and reader.status.next == 4
    assert sample["stamp_ns"] == 7, "a record is the reader's own"


def test_ring(broker):
    writer = broker.ring_writer("r", IMU, capacity=8)
    reader = broker.ring_reader("r", IMU)
    for i in range(3):
        writer.insert(imu(i))
    assert [reader.read_next()["stamp_ns"] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(shmbroker.NoData):
        reader.read_next()
    for i in range(3, 20):
        writer.insert(imu(i))
    assert reader.lag() == 17
    first = reader.read_next()
    assert first.number == first["stamp_ns"] and first.missed == first.number - 3
    assert reader.read(15)["stamp_ns"] == 15
    with pytest.raises(shmbroker.Overwritten):
        reader.read(2)
    with pytest.raises(shmbroker.NoData):
        reader.read(20)
    batch = reader.read_range(10, 10)
    assert batch.lost + len(batch.records) == 10 and list(batch.records["stamp_ns"]) == list(batch.numbers)
    reader.seek_oldest()
    assert reader.read_next().number == reader.bounds()[0]
    reader.seek(18)
    assert reader.read_next().number == 18
    assert reader.latest()["stamp_ns"] == 19 and reader.counters.read > 0


def test_queue(broker):
    producer = broker.queue_producer("q", IMU, capacity=4)
    consumer = broker.queue_consumer("q")
    with pytest.raises(shmbroker.Empty):
        consumer.pop()
    for i in range(4):
        producer.push(imu(i))
    with pytest.raises(shmbroker.Full):
        producer.push(imu(9))
    with pytest.raises(shmbroker.Timeout):
        producer.push(imu(9), timeout=0.01)
    assert consumer.peek()["stamp_ns"] == 0 and consumer.peek(1)["stamp_ns"] == 1
    consumer.release(2)
    assert consumer.position == 2 and consumer.pop()["stamp_ns"] == 2
    assert producer.push_many(np.array([imu(i) for i in range(4, 9)], IMU).astype(producer.dtype)) == 3
    batch = consumer.pop_many(10)
    assert list(batch.records["stamp_ns"]) == [3, 4, 5, 6] == [int(n) for n in batch.numbers]
    with producer.claim() as loan:
        loan.array["stamp_ns"] = 77
    assert consumer.pop(timeout=1)["stamp_ns"] == 77
    with pytest.raises(RuntimeError):
        with producer.claim() as loan:
            raise RuntimeError
    with pytest.raises(shmbroker.Empty):
        consumer.pop()
    with pytest.raises(shmbroker.Timeout):
        consumer.pop(timeout=0.01)


def test_block(broker, daemon):
    block = broker.block("calibration", [("matrix", "f8", (3, 3)), ("version", "u4")])
    with block.locked() as died:
        assert not died
        block.array["matrix"] = np.eye(3)
        block.array["version"] = 5
        assert block.holder == os.getpid()
    other = broker.block("calibration", block.type)
    assert other.array["version"] == 5 and other.array["matrix"].shape == (3, 3)
    block.lock()
    with pytest.raises(shmbroker.Deadlock):
        block.lock(timeout=0)
    with pytest.raises(shmbroker.Busy):
        other.trylock()
    with pytest.raises(shmbroker.Timeout):
        other.lock(timeout=0.01)
    block.unlock()
    with pytest.raises(shmbroker.NotPermitted):
        block.unlock()
    program = daemon.program("""
        block = broker.block("calibration", [("matrix", "f8", (3, 3)), ("version", "u4")])
        block.lock()
        print("locked", flush=True)
        time.sleep(1000)""")
    assert line_of(program) == "locked"
    program.send_signal(signal.SIGKILL)
    with block.locked(timeout=20) as died:
        assert died
        block.recovered()
    assert block.lock() is False
    block.unlock()


def test_block_views_outlive_close(broker):
    block = broker.block("b", np.dtype("u4"))
    array = block.array
    block.close()
    with pytest.raises(shmbroker.Closed):
        block.array
    array["data"] = 3
    assert broker.block("b", np.dtype("u4")).array["data"] == 3


def test_loader(broker):
    writer = broker.value_writer("v", np.dtype("f8"))
    reader = broker.value_reader("v")
    with reader.loader() as loader:
        with pytest.raises(shmbroker.NoData):
            loader.snapshot()
        writer.store(1.5)
        loader.wait(20)
        assert loader.snapshot()["data"] == 1.5
        with pytest.raises(shmbroker.Timeout):
            loader.wait(0.01)
        with pytest.raises(shmbroker.InUse):
            reader.load()
        with pytest.raises(shmbroker.InUse):
            reader.close()
    assert reader.load()["data"] == 1.5
    ring = broker.ring_writer("r", np.dtype("i4"))
    ring.insert(3)
    loader = broker.ring_reader("r").loader()
    assert loader.snapshot()["data"] == 3


@dataclasses.dataclass
class Pose:
    stamp_ns: np.uint64
    position: shmbroker.Array[np.float64, 3]
    yaw: float
    count: int
    good: bool


class CPose(ctypes.Structure):
    _fields_ = [("stamp_ns", ctypes.c_uint64), ("position", ctypes.c_double * 3), ("yaw", ctypes.c_double), ("count", ctypes.c_int64),
                ("good", ctypes.c_bool)]


POSE = "uint64 stamp_ns\nfloat64[3] position\nfloat64 yaw\nint64 count\nbool good\n"
POSE_DTYPE = [("stamp_ns", "<u8"), ("position", "<f8", (3,)), ("yaw", "<f8"), ("count", "<i8"), ("good", "?")]


@pytest.mark.parametrize("spec", [Pose, CPose, POSE, POSE_DTYPE, np.dtype(POSE_DTYPE, align=True)])
def test_a_type_is_made_of(spec, broker):
    type_ = shmbroker.Type(spec, "pose")
    assert type_.schema == POSE and type_.size == 56 and type_ == shmbroker.Type(POSE, "pose")
    writer = broker.ring_writer("pose", type_)
    payloads = [
        np.array((1, (1, 2, 3), 0.5, -4, True), type_.dtype),
        np.array([(1, (1, 2, 3), 0.5, -4, True)], POSE_DTYPE)[0],
        np.array((1, (1, 2, 3), 0.5, -4, True), np.dtype(POSE_DTYPE).newbyteorder(">")),
        Pose(1, [1, 2, 3], 0.5, -4, True),
        CPose(1, (1, 2, 3), 0.5, -4, True),
        (1, (1, 2, 3), 0.5, -4, True),
        {"stamp_ns": 1, "position": [1, 2, 3], "yaw": 0.5, "count": -4, "good": True},
        bytes(CPose(1, (1, 2, 3), 0.5, -4, True)),
        memoryview(bytearray(CPose(1, (1, 2, 3), 0.5, -4, True))),
    ]
    for payload in payloads:
        writer.insert(payload)
    readers = [broker.ring_reader("pose"), broker.ring_reader("pose", type_)]
    for reader in readers:
        reader.seek_oldest()
        for payload in payloads:
            sample = reader.read_next()
            record = sample.record
            assert (record.stamp_ns, list(record.position), record.yaw, record["count"], record.good) == (1, [1, 2, 3], 0.5, -4, True), payload
    value = sample.value
    if spec is Pose:
        assert isinstance(value, Pose) and value.stamp_ns == 1 and list(value.position) == [1, 2, 3] and value.yaw == 0.5
    elif spec is CPose:
        assert isinstance(value, CPose) and bytes(value)[:49] == bytes(CPose(1, (1, 2, 3), 0.5, -4, True))[:49]
    else:
        assert value is record
    out = CPose()
    assert reader.latest(out).record is out and out.count == -4 and list(out.position) == [1, 2, 3]
    raw = bytearray(type_.size)
    reader.latest(raw)
    assert bytes(raw)[:49] == bytes(out)[:49]


def test_opaque_and_plain(broker):
    writer = broker.value_writer("bytes", 100)
    reader = broker.value_reader("bytes")
    writer.store(bytes(range(100)))
    assert reader.load()["data"].tobytes() == bytes(range(100)) and reader.type.schema == "uint8[100] data"
    writer.store(np.arange(100, dtype="u1"))
    assert reader.load()["data"][99] == 99
    with pytest.raises(ValueError):
        writer.store(b"short")
    plain = broker.value_writer("f", np.dtype(("f4", (2, 3))))
    reader = broker.value_reader("f", np.dtype(("f4", (2, 3))))
    plain.store(np.arange(6, dtype="f4").reshape(2, 3))
    assert reader.load()["data"].tolist() == [[0, 1, 2], [3, 4, 5]]
    out = np.zeros((2, 3), "f4")
    reader.load(out=out)
    assert out.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_types_that_cannot_be():
    class Packed(ctypes.Structure):
        _pack_ = 1
        _fields_ = [("a", ctypes.c_uint8), ("b", ctypes.c_double)]

    class Bits(ctypes.Structure):
        _fields_ = [("a", ctypes.c_uint32, 3)]

    class Inner(ctypes.Structure):
        _fields_ = [("inner", CPose)]

    class Pointer(ctypes.Structure):
        _fields_ = [("p", ctypes.c_void_p), ("q", ctypes.POINTER(ctypes.c_int))]

    class Big(ctypes.BigEndianStructure):
        _fields_ = [("a", ctypes.c_uint32)]

    @dataclasses.dataclass
    class Text:
        text: str

    for spec in (Packed, Bits, Inner, Pointer, Big, Text, np.dtype("O"), np.dtype([("o", "O")]), np.dtype(">u4"), np.dtype("S8"), np.dtype("f2"),
                 np.dtype("c16"), np.dtype([("a", [("b", "u1")])]), "string text", "uint8[] data", True, 0, -1, [("Big", "u1")], np.dtype([])):
        with pytest.raises((TypeError, ValueError)):
            shmbroker.Type(spec)


def test_types_travel(tmp_path):
    import pickle

    for spec in (POSE_DTYPE, Pose, CPose, [("m", "f4", (2, 2))], 100):
        type_ = shmbroker.Type(spec)
        again = pickle.loads(pickle.dumps(type_))
        assert again == type_ and again.dtype == type_.dtype and hash(again) == hash(type_)
    image = pickle.loads(pickle.dumps(shmbroker.image_type(64, 48, "mono8")))
    assert (image.width, image.height, image.format) == (64, 48, "mono8")


def test_questions(broker, daemon):
    broker.ring_writer("a/one", IMU, capacity=32, stamped=True)
    writer = broker.value_writer("a/two", IMU)
    reader = broker.value_reader("a/two")
    assert [(s.name, s.kind, s.writer) for s in broker.list()] == [("a/one", "ring", "closed"), ("a/two", "value", "alive")]
    info = broker.info("a/two")
    assert info.schema == writer.type.schema and info.writer_pid == os.getpid() and info.reader_list[0].pid == os.getpid()
    assert broker.info("a/one").capacity == 32 and broker.info("a/one").stamped
    assert broker.status().pid == daemon.process.pid and broker.status().segments == 2
    with pytest.raises(shmbroker.Busy):
        broker.remove("a/two")
    broker.remove("a/one")
    with pytest.raises(FileNotFoundError):
        broker.info("a/one")
    assert type(broker.reader("a/two")) is shmbroker.ValueReader
    seen = broker.observe("a/two")
    writer.store(imu(1))
    assert seen.load()["stamp_ns"] == 1 == reader.load()["stamp_ns"] and broker.info("a/two").readers == 1
