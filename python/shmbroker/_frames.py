# SPDX-License-Identifier: MIT
"""Frames as numpy arrays: what is pinned, read-only; what is on loan, writable; and images.

Arrays made here hold the memory they show. A frame is let go when it and the last array made of it are gone.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from . import _core
from ._errors import Corrupt
from ._keys import Key
from ._types import Type

FORMATS: dict[str, int] = _core.image_formats()
_FORMAT_NAMES = {number: name for name, number in FORMATS.items()}
_CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "yuyv": 2, "yuv422_yuy2": 2}
_HEADER = 64
_HEADER_FIELDS = ("stamp_ns", "number", "width", "height", "stride", "format", "data_bytes", "encoding", "reserved", "data")
_BYTE = np.dtype("u1")
_PIXEL16 = np.dtype("<u2")


class ImageType(Type):
    """The type of frames that hold images of up to this size. Made by image_type()."""

    width: int
    height: int
    stride: int
    format: str

    def __reduce__(self) -> Any:
        return (image_type, (self.width, self.height, self.format, self.stride))


def image_type(width: int, height: int, format: str = "rgb8", stride: int = 0) -> ImageType:
    """The type of frames that hold images of `width` x `height` pixels, or smaller ones.

    `format` is one of shmbroker.FORMATS: rgb8, bgr8, rgba8, mono8, mono16, nv12, yuyv, bayer_*; `stride` the bytes from row to row, 0 for
    rows without padding."""
    if format not in FORMATS:
        raise ValueError(f"format is one of {', '.join(FORMATS)}")
    real_stride, _, _, name, schema = _core.image_layout(width, height, stride, FORMATS[format])
    made = ImageType.__new__(ImageType, schema, name)
    made.width, made.height, made.stride, made.format = width, height, real_stride, format
    return made


def _is_image(type: Type) -> bool:
    return type.dtype.names == _HEADER_FIELDS


def _shape_of_image(width: int, height: int, stride: int, format: int) -> tuple[tuple[int, ...], np.dtype, tuple[int, ...]]:
    name = _FORMAT_NAMES[format]
    if name == "mono16":
        return (height, width), _PIXEL16, (stride, 2)
    if name == "nv12":
        return (height + height // 2, width), _BYTE, (stride, 1)
    channels = 2 if name.startswith("yuy") else _CHANNELS.get(name, 1)
    if channels == 1:
        return (height, width), _BYTE, (stride, 1)
    return (height, width, channels), _BYTE, (stride, channels, 1)


def _pixels(memory: Any, width: int, height: int, stride: int, format: int) -> np.ndarray:
    shape, dtype, strides = _shape_of_image(width, height, stride, format)
    # frombuffer() keeps the export alive, which ndarray() would not.
    return np.ndarray(shape, dtype, np.frombuffer(memory, _BYTE), _HEADER, strides)


def _view(memory: Any, type: Type, length: int) -> np.ndarray:
    """The payload as what its type says: the only field's array, else a record."""
    names = type.dtype.names
    if len(names) == 1:  # type: ignore[arg-type]
        field = type.dtype.fields[names[0]][0]  # type: ignore[index]
        if length % field.base.itemsize:
            raise Corrupt(0, f"a frame of {length} bytes is no whole number of {field.base}")
        flat = np.frombuffer(memory, field.base, length // field.base.itemsize) if length else np.empty(0, field.base)
        return flat.reshape(field.shape) if length == type.size else flat
    if length < type.size:
        raise Corrupt(0, f"a frame of {length} bytes is no whole {type.name} of {type.size}: use view() for what is in it")
    return np.frombuffer(memory, type.dtype, 1).reshape(())


class Frame(_core.Pin):
    """A frame that is held where it lies: nothing was copied.

    `array` and `image` are read-only numpy views; the frame is released when it and the last view of it are gone, or, where none is alive,
    at release() or the end of a `with`. A reader holds 8 frames at most. number, stamp_ns, missed and length tell what is known of it."""

    __slots__ = ()

    @property
    def array(self) -> np.ndarray:
        """The payload. Of an image its pixels, see `image`; of a type with one field that field, as many elements as were committed; else a
        0-d record."""
        type = self.type
        return self.image if _is_image(type) else _view(self, type, self.length)

    @property
    def image(self) -> np.ndarray:
        """The pixels: (height, width, channels), or (height, width) where there is one. nv12 is (height * 3 / 2, width). The sizes in the
        image's header are checked against the frame's. Raises Corrupt where it holds no image."""
        return _pixels(self, *self._image())

    @property
    def header(self) -> np.record:
        """A copy of the image's header: a record of stamp_ns, number, width, height, stride, format, data_bytes, encoding."""
        self._image()
        return np.frombuffer(memoryview(self)[:_HEADER].tobytes(), _HEADER_DTYPE)[0]  # type: ignore[arg-type]

    @property
    def format(self) -> str:
        """Name of the image's format."""
        return _FORMAT_NAMES[self._image()[3]]

    def view(self, dtype: Any = np.uint8, offset: int = 0, count: int = -1) -> np.ndarray:
        """The payload, from byte `offset` on, as a flat array of any dtype: points of a cloud, say."""
        return np.frombuffer(self, dtype, count, offset)  # type: ignore[call-overload]

    def __repr__(self) -> str:
        return f"<Frame {self.number} of {self.reader.name}, {self.length} bytes{', released' if self.released else ''}>"


_HEADER_DTYPE = np.dtype((np.record, [
    ("stamp_ns", "<u8"), ("number", "<u8"), ("width", "<u4"), ("height", "<u4"), ("stride", "<u4"), ("format", "<u4"),
    ("data_bytes", "<u8"), ("encoding", "S16"), ("reserved", "u1", (8,)),
]))


class Loan(_core.Loan):
    """Memory of the segment that is filled in place and then published.

        with writer.loan() as loan:
            loan.array[:] = pixels

    The end of the `with` commits it, or aborts it after an exception. No view of it writes to the segment after that: arrays that were had from
    the loan become read-only, and memory of other views is cut off from the segment (it reads as zeros). Letting go of views before the end
    is quicker: `loan.array[:] = ...` keeps none."""

    __slots__ = ("_given", "length")
    _given: list[np.ndarray]
    length: int | None  # to commit; None all of it

    def _give(self, array: np.ndarray) -> np.ndarray:
        given = getattr(self, "_given", None)
        if given is None:
            given = self._given = []
        given.append(array)
        return array

    def _end(self) -> None:
        for array in getattr(self, "_given", ()):
            array.flags.writeable = False
        self._given = []

    @property
    def array(self) -> np.ndarray:
        """The payload, writable: the only field's array, else a 0-d record. Of an image type that was made by image_type(): its pixels."""
        type = self.type
        if isinstance(type, ImageType):
            return self.image()
        return self._give(_view(self, type, self.capacity))

    def image(self, width: int | None = None, height: int | None = None, format: str | None = None, *, stride: int = 0,
              stamp_ns: int | None = None, number: int | None = None) -> np.ndarray:
        """Writes the header of an image and gives its pixels to fill; what is committed is the image's size. Without arguments the image is as the
        type says. `stamp_ns` is the time of its exposure, now where it is not given; `number` the loan's."""
        type = self.type
        if width is None or height is None or format is None:
            if not isinstance(type, ImageType):
                raise TypeError("width, height and format are wanted: the type was not made by image_type()")
            stride = stride or (type.stride if width is None and format is None else 0)
            width, height, format = width or type.width, height or type.height, format or type.format
        if format not in FORMATS:
            raise ValueError(f"format is one of {', '.join(FORMATS)}")
        real_stride, _, payload_bytes = self._image(width, height, stride, FORMATS[format], self.number if number is None else number,
                                                    _core.now_ns() if stamp_ns is None else stamp_ns)
        self.length = payload_bytes
        return self._give(_pixels(self, width, height, real_stride, FORMATS[format]))

    def view(self, dtype: Any = np.uint8, offset: int = 0, count: int = -1) -> np.ndarray:
        """The memory, from byte `offset` on, as a flat array of any dtype."""
        return self._give(np.frombuffer(self, dtype, count, offset))  # type: ignore[call-overload]

    def commit(self, length: int | None = None, key: Key | None = None) -> int:
        """Publishes it, all of it or its first `length` bytes, and returns its number. `key` is its key, where the writer was opened with
        keys_given. What is refused (KeyOrder, KeyRange, NoKey, WrongClock, TooLong) stays on loan as it was: mend it, or abort()."""
        if key is not None and not isinstance(key, Key):
            raise TypeError(f"a key is wanted, not {key!r}")
        if length is None:
            length = getattr(self, "length", None)
        self._drop()
        try:
            return self._commit(length, 0 if key is None else key.clock, 0 if key is None else key.value)
        finally:
            if self.over:
                self._end()

    def abort(self) -> None:
        """Gives it back unpublished."""
        self._drop()
        super().abort()
        self._end()

    def _drop(self) -> None:
        """Forgets the arrays that nobody else has: list, loop and argument are three references."""
        self._given = [array for array in getattr(self, "_given", ()) if sys.getrefcount(array) > 3]

    def __enter__(self) -> "Loan":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self.over:
            return
        try:
            if kind is None:
                self.commit()
        finally:
            # What was refused, too: the `with` is over.
            if not self.over:
                self.abort()

    def __repr__(self) -> str:
        return f"<Loan {self.number} of {self.writer.name}, {self.capacity} bytes{', over' if self.over else ''}>"
