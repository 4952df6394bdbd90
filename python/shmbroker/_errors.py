# SPDX-License-Identifier: MIT
"""Errors: a class for each, derived from Error and from the built-in class that says the same, so that either can be caught.

Each is an OSError too: `errno` is the library's code, `strerror` its sentence about what was wrong and what to do.
"""

from __future__ import annotations

import errno as _errno
from typing import Any

from . import _core


class Error(OSError):
    """Whatever goes wrong between this program, the broker and shared memory."""

    handle: Any  #: of wait_any(): whose it is
    index: int  #: of join(): which part's
    reader: Any  #: of join(): whose it is

    def __str__(self) -> str:
        return self.strerror if isinstance(self.strerror, str) else super().__str__()


# ---- of this package

class Closed(Error, ValueError):
    """The handle, connection or view was closed."""


class InUse(Error, RuntimeError):
    """Another thread, or a loader, uses the handle: one thread at a time."""


class ForkedError(Error, RuntimeError):
    """This process was forked from the one that opened the handle, and owns nothing of it: connect and open anew."""


class NotSupported(Error, TypeError):
    """This kind of handle cannot do that, or this process, which the daemon cannot see."""


# ---- the broker

class NoDaemon(Error, ConnectionRefusedError):
    """No daemon is there, or it went away."""


class WrongVersion(Error):
    """The daemon, or the memory of a segment, is of a version that cannot be talked to."""


# ---- opening

class NotFound(Error, FileNotFoundError):
    """No such segment, or no socket."""


class Exists(Error, FileExistsError):
    """The segment is there with another kind, capacity, history or stamping."""


class Busy(Error, BlockingIOError):
    """Another process writes it, consumes it or has the lock."""


class NotPermitted(Error, PermissionError):
    """This user may not, or this handle has not what it wants to give back."""


class TypeMismatch(Error, TypeError):
    """The segment is of another type, or has a new generation of one: the text shows both schemas."""


class WrongKind(Error, TypeError):
    """The segment is of another kind."""


class NoSpace(Error):
    """No shared memory is left for it, or a quota is used up."""


class NoMemory(Error, MemoryError):
    """Out of memory."""


class Invalid(Error, ValueError):
    """A name, type, number or option that cannot be."""


class Exhausted(Error):
    """Numbers, descriptors or handles are used up."""


class NoCell(Error):
    """The segment has no cell left for this reader: it cannot pin or consume; copying works."""


# ---- waiting

class Timeout(Error, TimeoutError):
    """The time is up."""


class Cancelled(Error):
    """cancel() was called."""


class WriterEnded(Error):
    """What became of the writer: said once for each change, after its data was read. Waiting again waits for the next one."""


class WriterDead(WriterEnded):
    """The writer's process ended without closing."""


class WriterClosed(WriterEnded, BrokenPipeError):
    """The writer closed, or let go of the broker."""


class WriterHung(WriterEnded):
    """The writer is there, but has written nothing for longer than the operator allows: it is stopped, traced, dumping core, or runs and is hung.
    The status of the reader says which."""


class Superseded(Error):
    """The segment has a new generation, and this one is read to its end. Raised by calls that do not wait, each time: call follow(), or wait, which
    goes on by itself."""


class Stale(Error):
    """What was referred to is not there any more."""


class Removed(Stale):
    """The segment was removed: close the handle and open the name again."""


class LeaseLost(Stale):
    """The broker took the writer's lease, or the consumer's place, away: close the handle and open the name again."""


class Overwritten(Stale, LookupError):
    """The element is gone: overwritten, or never there. In time: everything there is is newer."""


# ---- reading and writing

class NoData(Error, LookupError):
    """Nothing there, or nothing new."""


class Empty(NoData):
    """The queue is empty."""


class Full(Error, BlockingIOError):
    """The queue is full."""


class Overtaken(Error):
    """The writer was faster, again and again, while the element was copied."""


class Corrupt(Error, ValueError):
    """The segment's memory contradicts itself: its writer is broken or hostile."""


class NoBuffers(Error, BufferError):
    """Readers hold every slot: the text says which process holds which frames."""


class TooManyPins(Error):
    """This reader holds as many frames as one can."""


class TooLong(Error, ValueError):
    """The frame has more bytes than the buffer."""


class Deadlock(Error, RuntimeError):
    """This handle has the lock already."""


# ---- time

class KeyOrder(Error, ValueError):
    """A key that is lower than the one before, or a time in another unit or of another clock."""


class KeyRange(Error, ValueError):
    """A key that no rule lets through, or nothing within the distance."""


class NoKey(Error, ValueError):
    """The writer states keys: commit(key=...)."""


class TooOld(Error, LookupError):
    """Everything there is is older."""


class WrongClock(Error, TypeError):
    """The key is of another clock than the segment's, or the segment has no keys."""


_E = _errno
_C = _core

by_code: dict[Any, type[Error] | None] = {
    _E.ENOENT: NotFound, _E.EEXIST: Exists, _E.EBUSY: Busy, _E.EACCES: NotPermitted, _E.EPERM: NotPermitted,
    _E.EPROTOTYPE: TypeMismatch, _E.EMEDIUMTYPE: WrongKind, _E.ENOSPC: NoSpace, _E.EDQUOT: NoSpace, _E.ENOMEM: NoMemory, _E.EINVAL: Invalid,
    _E.ENAMETOOLONG: Invalid, _E.E2BIG: Invalid, _E.EFBIG: Invalid, _E.EOVERFLOW: Exhausted, _E.EMFILE: Exhausted, _E.EUSERS: NoCell,
    _E.ECONNREFUSED: NoDaemon, _E.ECONNRESET: NoDaemon, _E.EPROTONOSUPPORT: WrongVersion,
    _E.ETIMEDOUT: Timeout, _E.ECANCELED: Cancelled, _E.EOWNERDEAD: WriterDead, _E.EPIPE: WriterClosed, _E.EHOSTDOWN: WriterHung, _E.EREMCHG: Superseded,
    _E.ESTALE: Stale, _E.ENODATA: NoData, _E.EAGAIN: Overtaken, _E.EBADMSG: Corrupt, _E.EPROTO: Corrupt, _E.ENOBUFS: NoBuffers,
    _E.EMSGSIZE: TooLong, _E.EDEADLK: Deadlock, _E.EDOM: KeyOrder, _E.ERANGE: KeyRange, _E.ETIME: TooOld, _E.EXDEV: WrongClock, _E.ENOKEY: NoKey,
    _E.ENOTSUP: NotSupported,
    # What the code means there.
    (_C.ABOUT_CONTROL, _E.ESTALE): LeaseLost,
    (_C.ABOUT_WAIT, _E.ESTALE): Removed,
    (_C.ABOUT_READ, _E.ESTALE): Overwritten,
    (_C.ABOUT_PIN, _E.ESTALE): Overwritten,
    (_C.ABOUT_TIME, _E.ESTALE): Overwritten,
    (_C.ABOUT_WRITE, _E.ESTALE): LeaseLost,
    (_C.ABOUT_LOAN, _E.ESTALE): LeaseLost,
    (_C.ABOUT_QUEUE_IN, _E.ESTALE): LeaseLost,
    (_C.ABOUT_QUEUE_IN, _E.EAGAIN): Full,
    (_C.ABOUT_QUEUE_OUT, _E.ENODATA): Empty,
    (_C.ABOUT_QUEUE_OUT, _E.ESTALE): LeaseLost,
    (_C.ABOUT_PIN, _E.EMFILE): TooManyPins,
    # By name, where there is no code.
    "Error": Error, "Closed": Closed, "InUse": InUse, "ForkedError": ForkedError, "NotSupported": NotSupported, "NotFound": NotFound,
}

__all__ = [name for name, thing in list(globals().items()) if isinstance(thing, type) and issubclass(thing, Error)]
