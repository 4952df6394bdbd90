# SPDX-License-Identifier: MIT
"""Shared memory between the processes of one robot host, at the speed of memory, as numpy sees it.

    import numpy as np, shmbroker

    with shmbroker.connect() as broker:
        with broker.ring_writer("imu/main", [("stamp_ns", "u8"), ("gyro", "f8", 3)], capacity=64) as ring:
            ring.insert((shmbroker.now_ns(), (0.0, 0.1, 0.2)))

    with shmbroker.connect() as broker:
        for sample in broker.ring_reader("imu/main", timeout=5):        # its type comes with it
            print(sample.number, sample["gyro"])

Rules that hold for everything here

  Errors    a class for each, below shmbroker.Error and below the built-in one that says the same (NotFound is a FileNotFoundError).
  Threads   a connection may be used by several; each handle by one at a time: another one's call meanwhile is InUse. Waits let other threads run.
  Fork      a child owns nothing: in it every call is ForkedError, and objects that die there do no harm. It connects anew; the same holds
            for multiprocessing. Views of frames and blocks are not mapped in a child: do not touch them there.
  Takeover  where a segment has a new generation (another user's writer, another layout), readers read the old one to its end and go on when they
            wait or iterate; calls that do not wait raise Superseded until follow().
  Memory    a numpy view holds what it shows; a close() lets go when the last view is gone.
  Time      timeouts are seconds, stamps and keys are integer nanoseconds.
"""

import numpy as _np

from . import _core, _errors
from ._broker import Broker, BrokerStatus, ReaderInfo, SegmentInfo, connect
from ._core import Sample, now_ns
from ._errors import *  # noqa: F403
from ._frames import FORMATS, Frame, ImageType, Loan, image_type
from ._handles import (ANY_DISTANCE, Around, Batch, Block, Bracket, Closest, Counters, FrameCopy, FrameReader, FrameWriter, Loader, QueueConsumer,
                       QueueProducer, Range, RingReader, RingWriter, Status, ValueReader, ValueWriter, WaitSet, join, wait_any)
from ._keys import Key, MonotonicKey, RealtimeKey, SequenceKey, all_of, make_key as _make_key, near, plausible, within
from ._operator import Figures, Garbage, Pattern, Policy, ReloadResult, Setting, User
from ._types import Array, Type, check_out as _check_out, encode as _encode, type_of as _type_of
from ._watch import Event, Watch, watch

__version__: str = _core.version

_core.setup(errors=_errors.by_code, type_of=_type_of, encode=_encode, check_out=_check_out, make_key=_make_key, empty=_np.empty, frame=Frame,
            loan=Loan)

__all__ = _errors.__all__ + [
    "ANY_DISTANCE", "Around", "Array", "Batch", "Block", "Bracket", "Broker", "BrokerStatus", "Closest", "Counters", "Event", "FORMATS",
    "Figures", "Frame", "FrameCopy", "FrameReader", "FrameWriter", "Garbage", "ImageType", "Key", "Loader", "Loan", "MonotonicKey",
    "Pattern", "Policy", "QueueConsumer", "QueueProducer", "Range", "ReaderInfo", "RealtimeKey", "ReloadResult", "RingReader", "RingWriter",
    "Sample", "SegmentInfo", "SequenceKey", "Setting", "Status", "Type", "User", "ValueReader", "ValueWriter", "WaitSet", "Watch",
    "all_of", "connect", "image_type", "join", "near", "now_ns", "plausible", "wait_any", "watch", "within",
]
