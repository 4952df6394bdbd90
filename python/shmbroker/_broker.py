# SPDX-License-Identifier: MIT
"""The connection, through which segments are opened and asked about."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, List  # a method is called list

from . import _core
from ._handles import (Block, FrameReader, FrameWriter, QueueConsumer, QueueProducer, RingReader, RingWriter, ValueReader, ValueWriter, WaitSet,
                       with_word)
from ._errors import WrongKind
from ._keys import CLOCKS
from ._operator import Figures, Garbage, Policy, ReloadResult, User, as_garbage, as_policy, user_and_groups
from ._types import as_type


@dataclasses.dataclass(frozen=True)
class ReaderInfo:
    """A reader of a segment."""

    pid: int
    uid: int
    comm: str
    behind: int | None  #: elements it has not read yet; None unknown
    older: int  #: it reads the generation so many before the newest


@dataclasses.dataclass(frozen=True)
class SegmentInfo:
    """A segment, as the broker knows it."""

    name: str
    type_name: str
    kind: str
    schema_hash: int
    generation: int
    epoch: int
    created_ns: int
    memory_bytes: int
    payload_bytes: int
    capacity: int
    stamped: bool
    owner_uid: int
    owner_gid: int
    writer_pid: int
    writer_uid: int
    writer_comm: str
    writer: str  #: as in Status
    readers: int
    draining: int  #: earlier generations that somebody holds still; their bytes and readers are counted above
    schema: str | None = None  #: of Broker.info()
    reader_list: tuple[ReaderInfo, ...] | None = None  #: of Broker.info()


@dataclasses.dataclass(frozen=True)
class BrokerStatus:
    """The daemon."""

    version: str
    shm_dir: str
    pid: int
    segments: int
    clients: int
    protocol_version: int
    layout_version: int
    started_ns: int
    linger_ns: int
    memory_bytes: int
    deaths: int
    repairs: int
    reaps: int
    adopted: int
    config_files: tuple[str, ...]  #: in the order of reading
    config_error: str  #: why the configuration was refused when it was read last; "" it was not


class Broker(_core.Broker):
    """A connection to the broker. Made by connect(); closes, with everything opened through it, at the end of a `with`.

    Timeouts are seconds: 0 is at once, None for ever. `type` is a Type or whatever one is made of."""

    def __enter__(self) -> "Broker":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Broker{', closed' if self.closed else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("a connection belongs to the process that made it: connect anew")

    # ---- opening

    def value_writer(self, name: str, type: Any, *, capacity: int = 0, stamped: bool = False, timeout: float | None = 0) -> ValueWriter:
        """Opens a value to write; waits for its lease while another process has it: Busy."""
        return ValueWriter(self, name, as_type(type), capacity=capacity, stamped=stamped, timeout=timeout)

    def value_reader(self, name: str, type: Any = None, *, timeout: float | None = 0) -> ValueReader:
        """Opens a value to read; waits for it to be there: NotFound. Without a type it is read as what it is."""
        return ValueReader(self, name, _maybe(type), timeout=timeout)

    def ring_writer(self, name: str, type: Any, *, capacity: int = 0, stamped: bool = False, clock: str | None = None, key: str | None = None,
                    timeout: float | None = 0) -> RingWriter:
        """Opens a ring to write: `capacity` slots, a power of two, of which all but one can be read. `clock` ("monotonic", "realtime", "sequence")
        and `key`, the name of an integer field, say by what its elements are found in time."""
        return RingWriter(self, name, as_type(type), capacity=capacity, stamped=stamped, clock=_clock(clock), key=key, timeout=timeout)

    def ring_reader(self, name: str, type: Any = None, *, timeout: float | None = 0) -> RingReader:
        """Opens a ring to read."""
        return RingReader(self, name, _maybe(type), timeout=timeout)

    def frame_writer(self, name: str, type: Any, *, history: int = 0, pins: int = 0, stamped: bool = False, clock: str | None = None,
                     key: str | None = None, keys_given: bool = False, timeout: float | None = 0) -> FrameWriter:
        """Opens frames to write: `history` of them can be held by readers, and `pins` more slots are there for those that are held longer. `clock`
        with `key` (of an image "stamp_ns" or "number") says by what they are found in time; with `keys_given` each commit states its key."""
        return FrameWriter(self, name, as_type(type), history=history, pins=pins, stamped=stamped, clock=_clock(clock), key=key,
                           keys_given=keys_given, timeout=timeout)

    def frame_reader(self, name: str, type: Any = None, *, timeout: float | None = 0) -> FrameReader:
        """Opens frames to read."""
        return FrameReader(self, name, _maybe(type), timeout=timeout)

    def queue_producer(self, name: str, type: Any, *, capacity: int = 0, stamped: bool = False, timeout: float | None = 0) -> QueueProducer:
        """Opens the producing end of a queue of `capacity` items, a power of two."""
        return QueueProducer(self, name, as_type(type), capacity=capacity, stamped=stamped, timeout=timeout)

    def queue_consumer(self, name: str, type: Any = None, *, timeout: float | None = 0) -> QueueConsumer:
        """Opens the consuming end of a queue."""
        return QueueConsumer(self, name, _maybe(type), timeout=timeout)

    def block(self, name: str, type: Any) -> Block:
        """Opens a block, and makes it, all zero, where there is none."""
        return Block(self, name, as_type(type))

    def reader(self, name: str, type: Any = None) -> Any:
        """Opens a segment to read, of whatever kind it is."""
        return self._reader_class(name)(self, name, _maybe(type))

    def observe(self, name: str) -> Any:
        """As a reader, but unseen: it takes no place, keeps nothing alive, and cannot pin. For tools."""
        found = self._reader_class(name)
        if found is QueueConsumer:
            raise WrongKind(0, f"{name} is a queue: who reads it consumes it")
        return found(self, name, unseen=True)

    def _reader_class(self, name: str) -> Any:
        kind = self._info(name)[0]["kind"]
        try:
            return {"value": ValueReader, "ring": RingReader, "frame": FrameReader, "queue": QueueConsumer}[kind]
        except KeyError:
            raise WrongKind(0, f"{name} is a {kind}, which has no readers") from None

    def wait_set(self) -> WaitSet:
        """A descriptor for an event loop, for several handles of this connection."""
        return WaitSet(self)

    # ---- asking

    def list(self) -> List[SegmentInfo]:
        """Every segment, in the order of their making."""
        return [_segment(entry) for entry in self._list()]

    def info(self, name: str) -> SegmentInfo:
        """One segment with its schema and its readers. Raises NotFound."""
        entry, schema, readers = self._info(name)
        return _segment(entry, schema=schema, reader_list=tuple(ReaderInfo(*reader) for reader in readers))

    def status(self) -> BrokerStatus:
        """The daemon."""
        found = self._status()
        found["config_files"] = tuple(found["config_files"].splitlines())
        return BrokerStatus(**found)

    def figures(self, pattern: str | None = None) -> List[Figures]:
        """What changes all the time, of each segment whose name matches (* any bytes, ? one): one request for about 160 segments."""
        return [Figures(**with_word(entry)) for entry in self._figures(pattern)]

    def users(self) -> List[User]:
        """What all users have together, then each that has anything, by uid. Root and the broker's own user see all, others themselves."""
        return [User(**entry) for entry in self._users()]

    # ---- for operators

    def reload(self) -> ReloadResult:
        """Has the broker read its configuration again. Raises Invalid where it has a mistake, with file, line and what: the one before stays.
        NotPermitted for others than root and the broker's own user."""
        return ReloadResult(**self._reload()[0])

    def policy(self, name: str, user: int | str | None = None) -> Policy:
        """What holds for a name, there or not, and what a user (a number or a name; None: this one) may do with it."""
        return as_policy(self._policy(name, *user_and_groups(user))[0])

    def gc(self, *, dry_run: bool = False, foreign: bool = False) -> List[Garbage]:
        """Removes what policy lets go, without waiting for the rest of its linger time; with `dry_run` tells what it would. With `foreign` not segments,
        but files of other programs with safe-shm's header."""
        return [as_garbage(entry) for entry in self._gc(dry_run, foreign)]


def _clock(clock: str | None) -> int:
    if clock not in CLOCKS:
        raise ValueError(f"clock is one of {', '.join(str(c) for c in CLOCKS)}")
    return CLOCKS[clock]


def _maybe(type: Any) -> Any:
    return None if type is None else as_type(type)


def _segment(entry: dict[str, Any], **more: Any) -> SegmentInfo:
    return SegmentInfo(**with_word(entry), **more)


def connect(socket_path: str | os.PathLike[str] | None = None) -> Broker:
    """Connects to the broker: to `socket_path`, else to $SHMBROKER_SOCKET, the user's daemon, the system's.

    Raises NotFound (no socket there), NoDaemon (nobody behind it), NotPermitted."""
    return Broker(socket_path)
