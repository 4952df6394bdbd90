# SPDX-License-Identifier: MIT
"""What tools and operators ask of the broker: figures, policy, reload, gc. Asked through Broker's methods."""

from __future__ import annotations

import dataclasses
import os
import pwd
from typing import Any


@dataclasses.dataclass(frozen=True)
class Figures:
    """What changes all the time of a segment. Rates are differences of two of these with the same segment_id and generation."""

    name: str
    type_name: str
    kind: str
    looked_ns: int  #: CLOCK_MONOTONIC of the look
    segment_id: int  #: another one after the name was removed and made anew
    generation: int
    memory_bytes: int
    payload_bytes: int
    next: int | None  #: number of the next write; None unknown, or a block
    heartbeat_ns: int  #: CLOCK_MONOTONIC of the writer's last sign of life, 0 never
    read: int  #: elements read by all readers that have it open now
    lost: int  #: elements overwritten before they were read, likewise
    lag: int | None  #: elements that the reader furthest behind has not read; None unknown, or no reader
    lag_pid: int  #: that reader; 0 none
    readers: int
    capacity: int
    owner_uid: int
    writer_pid: int
    writer_uid: int
    writer_comm: str
    writer: str  #: as in Status


@dataclasses.dataclass(frozen=True)
class ReloadResult:
    """A configuration that was read."""

    files: int
    patterns: int
    segments: int  #: looked at
    not_applied: int  #: changes that do not reach a segment that is there
    notes: str  #: a line for each of these, as many as fit a message


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting that holds for a name; `source` is FILE:LINE, "the command line" or "built in"."""

    name: str
    value: str
    source: str


@dataclasses.dataclass(frozen=True)
class Pattern:
    """A pattern that matches a name."""

    pattern: str
    source: str


@dataclasses.dataclass(frozen=True)
class Policy:
    """What the operator says about a name, and what a user may do with it."""

    uid: int
    may_read: bool
    may_write: bool
    read_why: str
    write_why: str
    is_there: bool  #: there is a segment of this name that the caller may read
    patterns: tuple[Pattern, ...]  #: the most specific first
    settings: tuple[Setting, ...]

    def __getitem__(self, name: str) -> str:
        """The value of one setting, as text. Raises KeyError."""
        for setting in self.settings:
            if setting.name == name:
                return setting.value
        raise KeyError(name)


@dataclasses.dataclass(frozen=True)
class User:
    """What a user has, and its quotas."""

    uid: int | None  #: None: all users together
    clients: int
    segments: int  #: charged to it, earlier generations as well
    memory_bytes: int
    requests: int  #: answered; as the next two as long as the broker remembers the user
    refusals: int  #: of these with an error
    over_quota: int  #: requests and connections
    memory_bytes_max: int | None  #: None: no quota
    segments_max: int | None
    clients_max: int | None
    request_rate: int | None  #: requests a second


@dataclasses.dataclass(frozen=True)
class Garbage:
    """A segment that nobody needs, or a file that is none."""

    name: str
    reason: str
    outcome: str  #: stays, would go, removed, not removed
    is_foreign: bool
    memory_bytes: int
    due_ns: int | None  #: until it goes by itself, None never
    uid: int
    pid: int  #: foreign: of its writer, as it says


_OUTCOMES = ("stays", "would go", "removed", "not removed")


def as_garbage(entry: dict[str, Any]) -> Garbage:
    number = entry["outcome"]
    entry["outcome"] = _OUTCOMES[number] if number < len(_OUTCOMES) else f"outcome {number}"
    return Garbage(**entry)


def as_policy(entry: dict[str, Any]) -> Policy:
    entry["patterns"] = tuple(Pattern(*one) for one in entry["patterns"])
    entry["settings"] = tuple(Setting(*one) for one in entry["settings"])
    return Policy(**entry)


def user_and_groups(user: int | str | None) -> tuple[int | None, list[int]]:
    """A user's number and all its groups; one without an account has none."""
    if user is None:
        return None, []
    try:
        account = pwd.getpwnam(user) if isinstance(user, str) else pwd.getpwuid(user)
    except KeyError:
        if isinstance(user, str):
            raise
        return user, []
    return account.pw_uid, os.getgrouplist(account.pw_name, account.pw_gid)
