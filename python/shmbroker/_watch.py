# SPDX-License-Identifier: MIT
"""What happens to segments, as the broker sees it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from typing import Any, AsyncIterator, Iterator

from . import _core
from ._handles import _set


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened."""

    time_ns: int  #: CLOCK_REALTIME
    #: created, adopted, writer-up, writer-closed, writer-gone, writer-dead, writer-hung, writer-stopped, writer-traced, writer-dumping, writer-alive,
    #: replaced, reader-joined, reader-left, repaired, removed, reaped, ignored, policy, quota, refused; of the watch itself: reconnected, lost.
    #: More may come.
    kind: str
    segment: str  #: "" where it concerns none
    pid: int  #: of the client concerned, 0 none
    uid: int
    comm: str
    reason: str  #: a word or a few for programs
    text: str  #: a sentence for people
    level: int  #: as of syslog: 3 error, 4 warning, 5 notice, 6 info, 7 debug
    lost: int  #: of kind "lost": how many events before this one


class Watch(_core.Watch):
    """A connection of its own, over which the broker tells what happens. Made by watch().

        for event in shmbroker.watch("camera*"):
            print(event.kind, event.text)

    When the daemon goes away it waits for the next one, and says "reconnected" then. Who reads too slowly loses events, and is told how many."""

    def next(self, timeout: float | None = None) -> Event | None:
        """The next event, waiting for it for `timeout` seconds at most; None where none came."""
        found = self._next(timeout)
        return None if found is None else Event(*found)

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """One after the other, until none comes for `timeout` seconds."""
        while (event := self.next(timeout)) is not None:
            yield event

    def __iter__(self) -> Iterator[Event]:
        return self.events()

    async def _readable(self, deadline: float | None) -> bool:
        loop = asyncio.get_running_loop()
        fd = self.fileno()
        news = loop.create_future()
        loop.add_reader(fd, _set, news)
        try:
            await asyncio.wait_for(news, None if deadline is None else max(0.0, deadline - time.monotonic()))
        except asyncio.TimeoutError:
            return False
        finally:
            loop.remove_reader(fd)
        return True

    async def events_async(self, timeout: float | None = None) -> AsyncIterator[Event]:
        """As events(), for `async for`."""
        while True:
            deadline = None if timeout is None else time.monotonic() + timeout
            # The descriptor may be readable for nothing.
            while (event := self.next(0)) is None:
                if not await self._readable(deadline):
                    return
            yield event
            # Who reads what is there already does not hold up the loop either.
            await asyncio.sleep(0)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self.events_async()

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Watch{', closed' if self.closed else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("a watch belongs to the process that made it: watch anew")


def watch(pattern: str | None = None, socket_path: str | os.PathLike[str] | None = None) -> Watch:
    """Watches segments whose names match (* any bytes, ? one); None: everything, also what concerns no segment. The socket is found as by
    connect(). Raises NotFound, NoDaemon, NotPermitted, Invalid."""
    return Watch(pattern, socket_path)
