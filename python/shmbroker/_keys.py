# SPDX-License-Identifier: MIT
"""Keys: the points in time, or in a count, by which elements are found.

Each clock has a class of its own, and keys of two clocks cannot be compared or taken for one another: that is a TypeError. A key is made out
of a raw number only by a rule that says what numbers can be true.
"""

from __future__ import annotations

import errno
import time
from typing import Any, Callable, ClassVar, TypeVar

from . import _core
from ._errors import KeyRange

K = TypeVar("K", bound="Key")
Rule = Callable[[type["Key"], int], None]

LIMIT = 2**64 - 1


class Key:
    """A point of one clock. Immutable; compares and subtracts with keys of its own clock only."""

    __slots__ = ("_value",)
    clock: ClassVar[int]
    _value: int

    def __init__(self, value: int, rule: Rule):
        if not callable(rule):
            raise TypeError("a rule is plausible(), within(), near(), all_of() or a function of your own")
        number = _number(value)
        rule(type(self), number)
        object.__setattr__(self, "_value", number)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("keys do not change")

    @classmethod
    def _made(cls: type[K], value: int) -> K:
        self = object.__new__(cls)
        object.__setattr__(self, "_value", value)
        return self

    @property
    def value(self) -> int:
        """The number."""
        return self._value

    def moved(self: K, by: int) -> K:
        """The key that much later, earlier where negative."""
        value = self._value + by
        if not 0 <= value <= LIMIT:
            raise KeyRange(errno.ERANGE, f"a key moved by {by} to {value}, which no key can be")
        return self._made(value)

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if type(other) is type(self) else NotImplemented  # type: ignore[attr-defined]

    def __lt__(self: K, other: K) -> bool:
        return self._value < other._value if type(other) is type(self) else NotImplemented  # type: ignore[return-value]

    def __le__(self: K, other: K) -> bool:
        return self._value <= other._value if type(other) is type(self) else NotImplemented  # type: ignore[return-value]

    def __gt__(self: K, other: K) -> bool:
        return self._value > other._value if type(other) is type(self) else NotImplemented  # type: ignore[return-value]

    def __ge__(self: K, other: K) -> bool:
        return self._value >= other._value if type(other) is type(self) else NotImplemented  # type: ignore[return-value]

    def __sub__(self: K, other: K) -> int:
        return self._value - other._value if type(other) is type(self) else NotImplemented  # type: ignore[return-value]

    def __hash__(self) -> int:
        return hash((self.clock, self._value))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._value}>"

    def __reduce__(self) -> Any:
        return (_restore, (type(self), self._value))


def _restore(cls: type[Key], value: int) -> Key:
    return cls._made(value)


def _number(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError("a key is made of an integer")
    number = value.__index__()
    if not 0 <= number <= LIMIT:
        raise KeyRange(errno.ERANGE, f"{number} is no key: 0 to 2**64 - 1")
    return number


class MonotonicKey(Key):
    """CLOCK_MONOTONIC, nanoseconds: what stamps are."""

    __slots__ = ()
    clock = 1

    @classmethod
    def now(cls) -> "MonotonicKey":
        return cls._made(time.clock_gettime_ns(time.CLOCK_MONOTONIC))


class RealtimeKey(Key):
    """CLOCK_REALTIME, PTP, UTC: nanoseconds since 1970."""

    __slots__ = ()
    clock = 2

    @classmethod
    def now(cls) -> "RealtimeKey":
        return cls._made(time.time_ns())


class SequenceKey(Key):
    """A count: frame numbers, encoder ticks."""

    __slots__ = ()
    clock = 3


CLASSES: dict[int, type[Key]] = {1: MonotonicKey, 2: RealtimeKey, 3: SequenceKey}
CLOCKS = {None: 0, "monotonic": 1, "realtime": 2, "sequence": 3}
CLOCK_NAMES = {number: name for name, number in CLOCKS.items()}


def make_key(clock: int, value: int) -> Key:
    return CLASSES[clock]._made(value)


# ---- rules

def plausible(max_age_ns: int = LIMIT, max_ahead_ns: int = LIMIT) -> Rule:
    """A time of its clock, in nanoseconds, not longer ago and not further ahead than that. A time in other units, or of the other clock, is
    KeyOrder; one out of the limits is KeyRange."""

    def rule(cls: type[Key], value: int) -> None:
        if cls.clock not in (1, 2):
            raise TypeError("a count is no time: use within()")
        _core.key_plausible(cls.clock, value, max_age_ns, max_ahead_ns)

    return rule


def within(first: int, last: int) -> Rule:
    """first <= value <= last."""

    def rule(cls: type[Key], value: int) -> None:
        if not first <= value <= last:
            raise KeyRange(errno.ERANGE, f"{value} is not within {first} and {last}")

    return rule


def near(key: Key, distance: int) -> Rule:
    """Not further than that from another key of the same clock."""

    def rule(cls: type[Key], value: int) -> None:
        if type(key) is not cls:
            raise TypeError(f"near a {type(key).__name__} there is no {cls.__name__}")
        if abs(value - key.value) > distance:
            raise KeyRange(errno.ERANGE, f"{value} is further than {distance} from {key.value}")

    return rule


def all_of(*rules: Rule) -> Rule:
    """Each of these, in their order."""
    if not rules:
        raise ValueError("all of no rules would let everything through")

    def rule(cls: type[Key], value: int) -> None:
        for one in rules:
            one(cls, value)

    return rule
