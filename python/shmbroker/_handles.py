# SPDX-License-Identifier: MIT
"""Readers, writers, blocks: the core's handles, with what can be said in Python."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from typing import Any, AsyncIterator, Callable, Iterator, NamedTuple, Sequence

import numpy as np

from . import _core
from ._core import Sample
from ._errors import Error, NoData, Superseded, Timeout, WriterClosed, WriterEnded
from ._frames import Frame, ImageType, Loan, _is_image, _pixels, _view
from ._keys import CLOCK_NAMES, LIMIT, Key
from ._types import Type

ANY_DISTANCE = LIMIT

_SAMPLES = np.dtype([("number", "<u8"), ("stamp_ns", "<u8"), ("missed", "<u8")])
_FOLLOW_AGAIN = 0.01  # seconds, where the next generation is not there yet
_CLOSEST, _BRACKET, _FRESH, _RANGE, _KEY, _SINCE = range(6)
_WRITER = ("none", "alive", "closed", "dead", "gone", "stopped", "traced", "hung", "dumping")


class Status(NamedTuple):
    """What is known of a segment and its writer."""

    writer: str  #: none, alive, closed, dead, gone (let go of the broker, but lives); silent for too long: stopped, traced, hung, dumping
    writer_pid: int
    epoch: int
    generation: int
    oldest: int  #: first number that can be read
    next: int  #: number of the next write
    heartbeat_ns: int
    next_generation: int  #: that follows the one this handle reads, 0 none: follow()


class Counters(NamedTuple):
    """What a handle has done since it was opened."""

    published: int
    read: int
    retried: int
    lapped: int
    waited: int
    woken: int


class Batch(NamedTuple):
    """Several elements: records[i] goes with numbers[i], stamps_ns[i], missed[i]."""

    records: np.ndarray
    numbers: np.ndarray
    stamps_ns: np.ndarray
    missed: np.ndarray
    lost: int  #: how many of those asked for were gone


class Bracket(NamedTuple):
    """The elements around a time: before.key <= time < after.key, and where it lies between them."""

    before: Any
    after: Any
    alpha: float


class Range(NamedTuple):
    """Numbers first, first + 1, ...; is_cut: there may have been older ones in the range."""

    first: int
    count: int  # type: ignore[assignment]
    is_cut: bool


def writer_word(number: int) -> str:
    return _WRITER[number] if number < len(_WRITER) else f"state {number}"


def with_word(entry: dict[str, Any]) -> dict[str, Any]:
    """What the core tells, with the writer's condition as a word."""
    return {**entry, "writer": writer_word(entry["writer"])}


class _Common:
    """Of every handle: ends with its `with`."""

    __slots__ = ()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        state = ", closed" if self.closed else ""  # type: ignore[attr-defined]
        return f"<{type(self).__name__} {self.name!r}{state}>"  # type: ignore[attr-defined]

    @property
    def counters(self) -> Counters:
        """What the handle has done since it was opened."""
        return Counters(**self._counters())  # type: ignore[attr-defined]


class _Reader(_Common):
    """Of every reader: status, and iteration in the manner of `for` and of `async for`."""

    __slots__ = ()

    @property
    def status(self) -> Status:
        """What is known of the segment and its writer."""
        return Status(**with_word(self._status()))  # type: ignore[attr-defined]

    def _take(self) -> Any:
        raise NotImplementedError

    def samples(self, timeout: float | None = None, *, through: bool = False) -> Iterator[Any]:
        """One after the other, each once, waiting for the next for `timeout` seconds at most (Timeout).

        Ends when the writer closes; WriterDead and WriterHung are raised. With `through` none of these ends it: it goes on with the next writer.
        Where the segment has a new generation it goes on to that, after the last of the one before; with a timeout of 0 it raises Superseded."""
        while True:
            try:
                try:
                    sample = self._take()
                except (NoData, Superseded):
                    self.wait(timeout)  # type: ignore[attr-defined]
                    continue
            except WriterEnded as end:
                if through or self._goes_on(end):
                    continue
                if isinstance(end, WriterClosed):
                    return
                raise
            yield sample
            # Nothing of it is kept meanwhile: a frame is let go when its user lets go.
            del sample

    def __iter__(self) -> Iterator[Any]:
        return self.samples()

    def _goes_on(self, end: WriterEnded) -> bool:
        """A writer that closed has a successor, in the next generation."""
        return isinstance(end, WriterClosed) and self.status.next_generation != 0

    async def _is_readable(self) -> bool:
        try:
            return bool(self.poll())  # type: ignore[attr-defined]
        except Superseded:
            # It asks the broker: not in the loop's thread.
            if not await asyncio.get_running_loop().run_in_executor(None, self.follow):  # type: ignore[attr-defined]
                await asyncio.sleep(_FOLLOW_AGAIN)
            return False

    async def readable(self) -> None:
        """Waits, without holding up the event loop, until there is something to read. Raises what wait() would, and goes on to a new generation
        as it does."""
        loop = asyncio.get_running_loop()
        while not await self._is_readable():
            fd = self.fileno()  # type: ignore[attr-defined]
            news = loop.create_future()
            # For this wait only: the descriptor stays readable as long as nobody reads.
            loop.add_reader(fd, _set, news)
            try:
                await news
            finally:
                loop.remove_reader(fd)

    async def samples_async(self, timeout: float | None = None, *, through: bool = False) -> AsyncIterator[Any]:
        """As samples(), for `async for`."""
        while True:
            try:
                try:
                    sample = self._take()
                except (NoData, Superseded):
                    await asyncio.wait_for(self.readable(), timeout)
                    continue
            except asyncio.TimeoutError:
                raise Timeout(errno.ETIMEDOUT, "nothing came in time") from None
            except WriterEnded as end:
                if through or self._goes_on(end):
                    continue
                if isinstance(end, WriterClosed):
                    return
                raise
            yield sample
            del sample
            # Who reads what is there already does not hold up the loop either.
            await asyncio.sleep(0)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self.samples_async()


def _set(news: "asyncio.Future[None]") -> None:
    if not news.done():
        news.set_result(None)


class _Timed(_Reader):
    """Of rings and frames: their elements are found in time. What is found of a ring is a Sample, of frames a Frame, each with its `key`."""

    __slots__ = ()
    _temporal: Callable[..., Any]

    @property
    def clock(self) -> str | None:
        """The clock of its keys: monotonic, realtime, sequence, or None."""
        return CLOCK_NAMES[self._clock]  # type: ignore[attr-defined]

    def closest(self, time: Key, max_distance: int = ANY_DISTANCE) -> Any:
        """The element whose key is closest, at most `max_distance` away. Raises NoData, KeyRange, WrongClock."""
        return self._temporal(_CLOSEST, *_key(time), max_distance)

    def bracket(self, time: Key, max_distance: int = ANY_DISTANCE) -> Bracket:
        """The two neighbours around a time. Raises TooOld where everything is older (ask again later), Overwritten where it is newer, KeyRange."""
        return Bracket(*self._temporal(_BRACKET, *_key(time), max_distance))

    def fresh(self, oldest: Key) -> Any:
        """The newest element, unless its key is below `oldest`: TooOld."""
        return self._temporal(_FRESH, *_key(oldest), 0)

    def range(self, first: Key, last: Key) -> Range:
        """The numbers of all elements with first <= key <= last. Raises KeyRange where there is none."""
        if type(first) is not type(last):
            raise TypeError("a range has two keys of one clock")
        return Range(*self._temporal(_RANGE, *_key(first), last.value))

    def key(self, number: int) -> Key:
        """The key of one element. Raises NoData, Overwritten, WrongClock."""
        return self._temporal(_KEY, self._clock, 0, number)  # type: ignore[attr-defined]

    def seek_key(self, time: Key) -> None:
        """Sets the position to the first element that is not older."""
        self._temporal(_SINCE, *_key(time), 0)


# ---- value

class ValueWriter(_Common, _core.ValueWriter):
    """Writes the latest of something. Opened by Broker.value_writer()."""


class ValueReader(_Reader, _core.ValueReader):
    """Reads the latest of something. Opened by Broker.value_reader()."""

    def _take(self) -> Sample:
        try:
            self.wait(0)
        except Timeout:
            raise NoData(errno.ENODATA, "nothing new") from None
        return self.load()

    def loader(self) -> "Loader":
        """A thread that keeps the newest value. Nothing else may use the reader until it is closed."""
        return Loader(self)


# ---- ring

class RingWriter(_Common, _core.RingWriter):
    """Writes elements over the oldest ones. Opened by Broker.ring_writer()."""


class RingReader(_Timed, _core.RingReader):
    """Reads the newest N - 1 of something, by position, number and time. Opened by Broker.ring_reader()."""

    def _take(self) -> Sample:
        return self.read_next()

    def loader(self) -> "Loader":
        """A thread that keeps the newest element. Nothing else may use the reader until it is closed."""
        return Loader(self)

    def read_range(self, first: int, count: int) -> Batch:
        """Up to `count` elements from number `first` on. Raises NoData, Overwritten where all of them are gone."""
        records = np.empty(count, self.dtype)
        samples = np.empty(count, _SAMPLES)
        read, lost = self._read_range(first, _bytes_of(records), _bytes_of(samples))
        return _batch(records, samples, read, lost)

    def between(self, first: Key, last: Key) -> Batch:
        """All elements with first <= key <= last."""
        found = self.range(first, last)
        return self.read_range(found.first, found.count)


def _key(time: Key) -> tuple[int, int]:
    if not isinstance(time, Key):
        raise TypeError(f"a key is wanted, not {time!r}: MonotonicKey, RealtimeKey or SequenceKey")
    return time.clock, time.value


def _bytes_of(array: np.ndarray) -> np.ndarray:
    return array.view(np.uint8).reshape(-1)


def _batch(records: np.ndarray, samples: np.ndarray, count: int, lost: int) -> Batch:
    return Batch(records[:count], samples["number"][:count], samples["stamp_ns"][:count], samples["missed"][:count], lost)


class Closest(NamedTuple):
    """How a ring, or frames, take part in a join: with the closest element."""

    reader: Any
    max_distance: int = ANY_DISTANCE


class Around(NamedTuple):
    """How a ring, or frames, take part in a join: with the two elements around the time."""

    reader: Any
    max_distance: int = ANY_DISTANCE


def join(time: Key, parts: Sequence[Any]) -> list[Any]:
    """Several rings and frames at one time: of each its closest element (Closest, or the reader alone) or its bracket (Around).

    Where one has none its error is raised, with `index` and `reader` set."""
    whole = [part if isinstance(part, (Closest, Around)) else Closest(part) for part in parts]
    found = _core.join(*_key(time), [(part.reader, isinstance(part, Around), part.max_distance) for part in whole])
    return [Bracket(*item) if isinstance(item, tuple) else item for item in found]


# ---- frame

class FrameWriter(_Common, _core.FrameWriter):
    """Writes images, point clouds and other large things, in place. Opened by Broker.frame_writer()."""

    def publish(self, payload: Any, *, stamp_ns: int | None = None, key: Key | None = None) -> int:
        """Copies an array into a loan and commits it; returns its number. Any strides; images of the type's format, of its size or smaller.
        `stamp_ns` is an image's time of exposure, `key` as of Loan.commit()."""
        with self.loan() as loan:
            if isinstance(self.type, ImageType):
                pixels = np.asarray(payload)
                height, width = pixels.shape[0], pixels.shape[1]
                if self.type.format == "nv12":
                    height = height * 2 // 3
                _copy(loan.image(width, height, self.type.format, stamp_ns=stamp_ns), pixels)
            elif isinstance(payload, (bytes, bytearray, memoryview)):
                data = np.frombuffer(payload, np.uint8)
                if data.size > loan.capacity:
                    raise ValueError(f"a frame of {self.name} has {loan.capacity} bytes at most, this has {data.size}")
                loan.view(count=data.size)[:] = data
                loan.length = data.size
            else:
                loan.length = _fill(loan, np.asarray(payload))
            return loan.commit(key=key)


def _copy(target: np.ndarray, source: np.ndarray) -> None:
    """Bytes as they are: nothing is converted but the byte order, nothing is repeated to fit."""
    if source.shape != target.shape:
        raise ValueError(f"an array of shape {target.shape} is wanted, this is {source.shape}")
    np.copyto(target, source, casting="equiv")


def _fill(loan: Loan, array: np.ndarray) -> int:
    target = loan.array
    if array.dtype.names is not None or target.dtype.names is not None or array.shape == target.shape:
        _copy(target, array.reshape(target.shape) if array.size == target.size == 1 else array)
        return loan.capacity
    if array.ndim != 1 or target.ndim != 1 or array.size > target.size:
        raise ValueError(f"an array of shape {target.shape} is wanted, this is {array.shape}")
    _copy(target[:array.size], array)
    return array.size * target.itemsize


class FrameReader(_Timed, _core.FrameReader):
    """Reads frames in place. Opened by Broker.frame_reader()."""

    def _take(self) -> Frame:
        return self.pin_next()

    def load(self, *, next: bool = False) -> "FrameCopy":
        """A copy of the newest frame, or of the next one in order, for who cannot hold it. Raises NoData, Overtaken."""
        buffer = np.empty(self.type.size, np.uint8)
        length, number, stamp_ns, missed = self._load(next, buffer)
        return FrameCopy(self.type, buffer[:length], number, stamp_ns, missed)

    def load_into(self, out: Any, *, next: bool = False) -> "FrameCopy":
        """Copies a frame into a writable, contiguous buffer of yours. Raises TooLong where it has more bytes."""
        view = memoryview(out)
        if view.readonly or not view.c_contiguous:
            raise ValueError("the buffer is read-only, or not contiguous")
        flat = np.frombuffer(view, np.uint8)
        length, number, stamp_ns, missed = self._load(next, flat)
        return FrameCopy(self.type, flat[:length], number, stamp_ns, missed)


class FrameCopy:
    """A frame that was copied: `array`, `image` and `view()` as of a Frame, but of memory of your own."""

    __slots__ = ("type", "data", "number", "stamp_ns", "missed")

    def __init__(self, type: Type, data: np.ndarray, number: int, stamp_ns: int, missed: int):
        self.type, self.data, self.number, self.stamp_ns, self.missed = type, data, number, stamp_ns, missed

    @property
    def length(self) -> int:
        """Bytes that were committed."""
        return self.data.size

    @property
    def array(self) -> np.ndarray:
        """The payload, as Frame.array."""
        return self.image if _is_image(self.type) else _view(self.data, self.type, self.length)

    @property
    def image(self) -> np.ndarray:
        """The pixels, as Frame.image."""
        return _pixels(self.data, *_core.image_check(self.data))

    def view(self, dtype: Any = np.uint8, offset: int = 0, count: int = -1) -> np.ndarray:
        """The payload as a flat array of any dtype."""
        return np.frombuffer(self.data, dtype, count, offset)


# ---- queue

class QueueProducer(_Common, _core.QueueProducer):
    """Pushes items. Opened by Broker.queue_producer()."""

    def push_many(self, records: np.ndarray) -> int:
        """Pushes as many items of a one-dimensional array of records as there is room for; says how many. Raises Full where there is none."""
        array = np.asarray(records)
        if array.dtype != self.dtype or array.ndim != 1:
            raise TypeError(f"a one-dimensional array of {self.type.name} is wanted")
        return self._push_many(_bytes_of(np.ascontiguousarray(array))) if array.size else 0


class QueueConsumer(_Reader, _core.QueueConsumer):
    """Pops items, each once and in order. Opened by Broker.queue_consumer()."""

    def _take(self) -> Sample:
        return self.pop()

    def pop_many(self, count: int) -> Batch:
        """Pops up to `count` items. Raises Empty."""
        records = np.empty(count, self.dtype)
        samples = np.empty(count, _SAMPLES)
        return _batch(records, samples, self._pop_many(_bytes_of(records), _bytes_of(samples)), 0)


# ---- block

class Block(_Common, _core.Block):
    """Plain memory that several processes read and write. Opened by Broker.block()."""

    @property
    def array(self) -> np.ndarray:
        """The memory, writable: a 0-d record. It stays valid as long as it lives."""
        return np.frombuffer(self, self.dtype, 1).reshape(())  # type: ignore[call-overload]

    @contextlib.contextmanager
    def locked(self, timeout: float | None = None) -> Iterator[bool]:
        """Locked from the beginning of a `with` to its end. Gives True where somebody died with the lock: what is there may be half-written, until
        somebody says recovered()."""
        died = self.lock(timeout)
        try:
            yield died
        finally:
            self.unlock()


# ---- loader and wait set

class Loader(_core.Loader):
    """A thread that keeps the newest element of a reader in this process."""

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class WaitSet(_core.WaitSet):
    """A descriptor for an event loop, for up to 126 handles of one connection."""

    def __enter__(self) -> "WaitSet":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __iter__(self) -> Iterator[tuple[Any, Error | None]]:
        """What next() gives, until the pass is over."""
        while (found := self.next()) is not None:
            yield found


def wait_any(handles: Sequence[Any], timeout: float | None = None) -> Any:
    """Waits for the first of up to 126 handles that has something to say, and returns it: there is something to read.

    What a wait for it would raise is raised, with `handle` set. Raises Timeout."""
    listed = list(handles)
    index, error = _core.wait_any(listed, timeout)
    if error is None:
        return listed[index]
    error.handle = listed[index]
    raise error
