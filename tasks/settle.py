"""Which files of an inbox are at rest, and which are still being uploaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Protocol, TypeVar

#: A run waits so long (seconds) for fresh files, once; what takes longer to settle is left for the next run.
LONGEST_WAIT = 5.0


class Timed(Protocol):
    """A file as it was seen: equal to another sight of it where name, size and time are the same."""

    @property
    def modified(self) -> datetime:
        """Time of the last change (UTC)."""


File = TypeVar("File", bound=Timed)


def settled(
    look: Callable[[], Iterable[File]], seconds: float, sleep: Callable[[float], None] = time.sleep
) -> tuple[list[File], list[File]]:
    """The files that did not change for `seconds`, in the order of `look`, and those that did.

    Where some will settle within a few seconds, waits for them and looks a second time. A file whose
    time lies in the future (the clock of whoever sent it is wrong) is at rest if the second look finds
    it as it was.
    """
    seen = list(look())
    now = datetime.now(UTC)
    waits = [wait for file in seen if 0 < (wait := _still(file, now, seconds)) <= LONGEST_WAIT]
    before = frozenset[File]()
    if waits:
        sleep(max(waits))
        before, seen, now = frozenset(seen), list(look()), datetime.now(UTC)
    resting = [
        file for file in seen if _still(file, now, seconds) <= 0 or (file.modified > now and file in before)
    ]
    chosen = frozenset(resting)
    return resting, [file for file in seen if file not in chosen]


def _still(file: Timed, now: datetime, seconds: float) -> float:
    """For how many seconds more a file has to rest."""
    if file.modified > now:
        return min(seconds, LONGEST_WAIT)
    return seconds - (now - file.modified).total_seconds()
