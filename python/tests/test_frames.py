# SPDX-License-Identifier: MIT
"""Frames: zero copy, lifetimes of views, loans that end."""

import gc
import os
import threading

import numpy as np
import pytest
import shmbroker
from conftest import line_of, until


def address(array):
    return array.__array_interface__["data"][0]


def segment_maps(name):
    with open("/proc/self/maps", encoding="utf-8") as maps:
        return [line for line in maps if name in line]


@pytest.fixture
def camera(broker):
    writer = broker.frame_writer("camera", shmbroker.image_type(64, 48, "rgb8"), history=2, pins=4, stamped=True)
    return writer, broker.frame_reader("camera")


def test_nothing_is_copied(camera):
    writer, reader = camera
    with writer.loan() as loan:
        assert loan.array.shape == (48, 64, 3) and loan.array.dtype == np.uint8 and loan.array.flags.writeable
        loan.array[:] = 7
        loan.array[3, 5] = (1, 2, 3)
    frame = reader.pin()
    assert frame.number == 0 and frame.stamp_ns > 0 and frame.missed == 0 and frame.length == 64 + 64 * 48 * 3 and frame.format == "rgb8"
    array = frame.array
    assert array.shape == (48, 64, 3) and array.strides == (192, 3, 1) and tuple(array[3, 5]) == (1, 2, 3) and array[0, 0, 0] == 7
    maps = [line.split()[0].split("-") for line in segment_maps("camera")]
    assert any(int(a, 16) <= address(array) < int(b, 16) for a, b in maps), "the array lies in the segment"
    assert not array.flags.writeable and not array.flags.owndata
    with pytest.raises(ValueError):
        array[0, 0, 0] = 1
    with pytest.raises(ValueError):
        array.flags.writeable = True
    assert frame.header.width == 64 and frame.header.number == 0 and frame.header.encoding == b"rgb8"
    assert memoryview(frame).readonly and len(frame.view()) == frame.length


def test_last_view_releases(camera):
    writer, reader = camera
    for i in range(3):
        writer.publish(np.full((48, 64, 3), i, np.uint8))
    array = reader.pin().array
    assert reader.held == 1
    corner = array[:2, :2, 0]
    del array
    gc.collect()
    assert reader.held == 1 and corner[0, 0] == 2
    for i in range(20):
        writer.publish(np.full((48, 64, 3), 100 + i, np.uint8))
        assert (corner == 2).all(), "a pinned frame stays as it is"
    del corner
    assert reader.held == 0


def test_release_waits_for_views(camera):
    writer, reader = camera
    writer.publish(np.full((48, 64, 3), 5, np.uint8))
    with reader.pin() as frame:
        array = frame.array
    assert reader.held == 1 and not frame.released and array[0, 0, 0] == 5
    with pytest.raises(BufferError):
        frame.array
    del array
    assert reader.held == 0 and frame.released
    with reader.pin() as frame:
        assert frame.array[0, 0, 0] == 5
    assert frame.released and reader.held == 0
    frame.release()


def test_closing_keeps_views(broker, camera):
    writer, reader = camera
    writer.publish(np.full((48, 64, 3), 9, np.uint8))
    array = reader.pin().array
    reader.close()
    with pytest.raises(shmbroker.Closed):
        reader.pin()
    broker.close()
    with pytest.raises(shmbroker.Closed):
        broker.list()
    with pytest.raises(shmbroker.Closed):
        writer.loan()
    assert (array == 9).all() and segment_maps("camera")
    del array
    assert not segment_maps("camera")


def test_pins_run_out(camera):
    writer, reader = camera
    writer.publish(np.zeros((48, 64, 3), np.uint8))
    frames = [reader.pin() for _ in range(8)]
    with pytest.raises(shmbroker.TooManyPins):
        reader.pin()
    del frames
    reader.pin()


def test_loans_run_out(broker, daemon):
    writer = broker.frame_writer("f", 1000, history=1, pins=1)
    readers = [broker.frame_reader("f") for _ in range(4)]
    held = []
    with pytest.raises(shmbroker.NoBuffers, match=str(os.getpid())):
        for i in range(4):
            writer.publish(bytes([i]) * 1000)
            held.append(readers[i].pin())
    assert isinstance(pytest.raises(BufferError, writer.loan).value, shmbroker.Error)
    held.clear()
    writer.publish(b"again")
    assert readers[0].pin().array.tobytes() == b"again"


@pytest.mark.parametrize("size", [100, 5000, 200000])
def test_no_view_writes_after_commit(broker, size):
    """However it was made, and whatever becomes of the slot."""
    writer = broker.frame_writer("f", size, history=2, pins=2)
    reader = broker.frame_reader("f")
    stale = []
    for turn in range(12):
        with writer.loan() as loan:
            array = loan.array
            array[:] = turn
            views = [array[1:], np.asarray(memoryview(loan)), array.reshape(-1, 2), np.frombuffer(loan, "u1")]
        assert not array.flags.writeable
        with pytest.raises(ValueError):
            array[0] = 99
        with pytest.raises(BufferError):
            memoryview(loan)
        with pytest.raises(shmbroker.Closed):
            loan.commit()
        frame = reader.pin()
        for view in views:
            view[...] = 99
        assert (frame.array == turn).all(), "a view of a loan that is over has written to the segment"
        stale += views
        for view in stale:
            view[...] = 98
        assert (frame.array == turn).all()
    del stale, views, view, array, loan, frame
    gc.collect()
    with open("/proc/self/maps", encoding="utf-8") as maps:
        before = len(maps.readlines())
    for turn in range(50):
        with writer.loan() as loan:
            array = loan.array
            array[:] = turn
        assert (reader.pin().array == turn).all()
    del array, loan
    with open("/proc/self/maps", encoding="utf-8") as maps:
        assert len(maps.readlines()) <= before + 12


def test_loans_end(camera):
    writer, reader = camera
    loan = writer.loan()
    with pytest.raises(shmbroker.Busy):
        writer.loan()
    loan.abort()
    loan.abort()
    with pytest.raises(KeyError):
        with writer.loan():
            raise KeyError
    with pytest.raises(shmbroker.NoData):
        reader.pin()
    del loan
    loan = writer.loan()
    assert loan.commit() == 0 and loan.over
    loan = writer.loan()
    del loan
    with writer.loan() as loan:
        loan.image(8, 4, "mono8")[:] = 3
    assert reader.pin().image.shape == (4, 8) and reader.pin().length == 64 + 32
    with pytest.raises(ValueError):
        with writer.loan() as loan:
            loan.image(640, 480, "rgb8")
    loan = writer.loan()
    view = loan.array
    writer.close()
    assert loan.over
    view[...] = 255
    with pytest.raises(shmbroker.Closed):
        loan.commit()


@pytest.mark.parametrize("format_, shape, dtype", [
    ("rgb8", (6, 8, 3), "u1"), ("bgr8", (6, 8, 3), "u1"), ("rgba8", (6, 8, 4), "u1"), ("mono8", (6, 8), "u1"), ("mono16", (6, 8), "u2"),
    ("nv12", (9, 8), "u1"), ("bayer_rggb8", (6, 8), "u1"), ("bayer_grbg8", (6, 8), "u1")])
@pytest.mark.parametrize("padding", [0, 24])
def test_image_formats(broker, format_, shape, dtype, padding):
    row = int(np.prod(shape[1:])) * np.dtype(dtype).itemsize
    type_ = shmbroker.image_type(8, 6, format_, stride=row + padding)
    writer, reader = broker.frame_writer("i", type_), broker.frame_reader("i")
    pixels = np.random.default_rng(2).integers(0, 200, shape).astype(dtype)
    with writer.loan() as loan:
        loan.image(stamp_ns=5, number=77)[...] = pixels
    frame = reader.pin()
    assert frame.image.shape == shape and frame.image.dtype == dtype and frame.image.strides[0] == row + padding
    assert (frame.image == pixels).all() and frame.format == format_ and (frame.header.stamp_ns, frame.header.number) == (5, 77)
    copy = reader.load()
    assert (copy.image == pixels).all() and copy.number == 0 and copy.image.flags.writeable
    assert len(shmbroker.FORMATS) == 11


def test_what_is_no_image(broker):
    writer = broker.frame_writer("i", shmbroker.image_type(8, 6, "mono8"))
    reader = broker.frame_reader("i")
    with writer.loan() as loan:
        loan.image()[:] = 1
        loan.view(np.uint32, 16, 2)[:] = 100000
    with pytest.raises(shmbroker.Corrupt):
        reader.pin().array
    with writer.loan() as loan:
        loan.image()
        loan.length = 70
    with pytest.raises(shmbroker.Corrupt):
        reader.pin().image


def test_variable_lengths(broker):
    writer = broker.frame_writer("cloud", [("points", "f4", (3000,))])
    reader = broker.frame_reader("cloud")
    writer.publish(np.arange(30, dtype="f4"))
    assert reader.pin().array.tolist() == list(range(30)) and reader.pin().length == 120
    assert reader.pin().view("3f4").shape == (10, 3)
    writer.publish(np.arange(6000, dtype="f4")[::2])
    assert reader.pin().array[-1] == 5998
    out = np.zeros(3000, "f4")
    copy = reader.load_into(out)
    assert out[-1] == 5998 and copy.array.base is not None and copy.length == 12000
    with pytest.raises(shmbroker.TooLong):
        reader.load_into(bytearray(100))
    with pytest.raises(ValueError):
        reader.load_into(bytes(12000))
    with pytest.raises(ValueError):
        reader.load_into(np.zeros(6000, "f4")[::2])
    writer.publish(b"")
    assert reader.pin().length == 0 and reader.pin().array.size == 0
    with writer.loan() as loan:
        loan.length = 5
    with pytest.raises(shmbroker.Corrupt):
        reader.pin().array
    for wrong in (np.zeros(3001, "f4"), np.zeros((30, 2), "f4"), np.zeros(3, "f8"), np.zeros(3, "i4"), bytes(12001)):
        with pytest.raises((ValueError, TypeError)):
            writer.publish(wrong)
    record = broker.frame_writer("scan", [("angle", "f4"), ("ranges", "f4", (100,))])
    record.publish(np.array((1.5, np.arange(100)), record.dtype))
    got = broker.frame_reader("scan").pin().array
    assert got["angle"] == 1.5 and got["ranges"][99] == 99 and not got.flags.writeable


def test_in_order_and_by_number(camera):
    writer, reader = camera
    for i in range(5):
        writer.publish(np.full((48, 64, 3), i, np.uint8))
    assert reader.bounds() == (3, 5)
    frame = reader.pin_next()
    assert frame.number == 3 and frame.missed == 3
    assert reader.pin_next().number == 4
    with pytest.raises(shmbroker.NoData):
        reader.pin_next()
    with pytest.raises(shmbroker.Overwritten):
        reader.pin_number(1)
    assert reader.pin_number(3).array[0, 0, 0] == 3
    reader.seek(4)
    assert reader.load(next=True).number == 4


def test_a_pin_dies_while_its_reader_waits(camera):
    writer, reader = camera
    writer.publish(np.zeros((48, 64, 3), np.uint8))
    frame = reader.pin_next()
    started, ended = threading.Event(), []

    def wait():
        started.set()
        ended.append(pytest.raises(shmbroker.Cancelled, reader.wait, 30))

    thread = threading.Thread(target=wait)
    thread.start()
    started.wait()
    until(lambda: _is_busy(reader))
    with pytest.raises(shmbroker.InUse):
        reader.pin()
    del frame
    reader.cancel()
    thread.join()
    assert ended and reader.held == 0
    frames = [reader.pin() for _ in range(8)]
    assert len(frames) == 8


def _is_busy(reader):
    try:
        reader.bounds()
    except shmbroker.InUse:
        return True
    return False


def test_between_processes(broker, daemon):
    program = daemon.program("""
        reader = broker.frame_reader("camera", timeout=30)
        print("open", flush=True)
        for frame in reader:
            print(frame.number, int(frame.array.sum()), frame.array.shape, flush=True)
        print("over", flush=True)""")
    writer = broker.frame_writer("camera", shmbroker.image_type(1920, 1080, "bgr8"))
    assert line_of(program) == "open"
    for i in range(3):
        writer.publish(np.full((1080, 1920, 3), i, np.uint8))
        assert line_of(program) == f"{i} {i * 1080 * 1920 * 3} (1080, 1920, 3)"
    writer.close()
    assert line_of(program) == "over"


def test_what_is_refused_stays_on_loan(broker):
    writer = broker.frame_writer("f", [("stamp_ns", "u8"), ("data", "u1", 100)], clock="monotonic", key="stamp_ns")
    reader = broker.frame_reader("f")
    with writer.loan() as loan:
        loan.array["stamp_ns"] = 1000
    loan = writer.loan()
    record = loan.array
    record["stamp_ns"], record["data"] = 10, 7
    for _ in range(3):
        with pytest.raises(shmbroker.KeyOrder):
            loan.commit()
        # As it was, and its views are of the segment still.
        assert not loan.over and record["data"][99] == 7 and record.flags.writeable
    with pytest.raises(shmbroker.TooLong):
        loan.commit(3)
    with pytest.raises(shmbroker.WrongClock):
        loan.commit(key=shmbroker.SequenceKey(1, shmbroker.within(0, 10)))
    record["stamp_ns"] = 2000
    assert loan.commit() == 1 and loan.over and not record.flags.writeable
    assert reader.pin().array["data"][99] == 7 and reader.pin().array["stamp_ns"] == 2000
    # Where no view is alive: another mapping may take its place.
    loan = writer.loan()
    loan.array["stamp_ns"] = 1
    with pytest.raises(shmbroker.KeyOrder):
        loan.commit()
    loan.array["stamp_ns"] = 3000
    assert loan.commit() == 2 and reader.pin().array["stamp_ns"] == 3000
    # The end of a `with` is the end of its loan.
    with pytest.raises(shmbroker.KeyOrder):
        with writer.loan() as loan:
            loan.array["stamp_ns"] = 1
            array = loan.array
    assert loan.over and not array.flags.writeable
    with pytest.raises(shmbroker.KeyOrder):
        writer.publish(np.zeros((), writer.dtype))
    with writer.loan() as loan:
        loan.array["stamp_ns"] = 4000
    given = broker.frame_writer("g", np.dtype(("u1", 10)), clock="sequence", keys_given=True)
    loan = given.loan()
    with pytest.raises(shmbroker.NoKey):
        loan.commit()
    assert loan.commit(key=shmbroker.SequenceKey(1, shmbroker.within(0, 10))) == 0
    # A loan that was refused and forgotten is given back.
    loan = writer.loan()
    loan.array["stamp_ns"] = 1
    with pytest.raises(shmbroker.KeyOrder):
        loan.commit()
    del loan
    gc.collect()
    writer.loan().abort()
