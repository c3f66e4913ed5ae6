"""A run of all stages in which one chosen operation on the storage fails, or is the last that happens.

Points are counted: every flush to the disk, rename, link, write of a Parquet file and commit is one, and
so is the moment after each.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl
from deltalake import DeltaTable

from tests.docs.plain import ingest
from tests.home import Home, table

#: what the storage is asked to do
OPERATIONS: tuple[tuple[Any, str], ...] = (
    (os, "fsync"), (os, "replace"), (os, "link"), (Path, "unlink"), (pl.DataFrame, "write_parquet"), (pl.LazyFrame, "sink_parquet"),
    (DeltaTable, "create_write_transaction"), (DeltaTable, "create"),
)  # fmt: skip

#: the home of the base state, and what arrives while the storage fails: three months, a correction that moves
#: a sample, and a file that nobody reads
BASE = table(
    {"value": "150"}, {"sample": "S2", "value": "90"}, {"sample": "S3", "value": "70", "collected_at": "2024-04-02 08:00"}
)  # fmt: skip
ARRIVING = {
    "correction.csv": table({"value": "170", "status": "corrected", "reported_at": "2024-03-09 12:00"}, {"sample": "S4", "value": "x"}),
    "moved.csv": table({"sample": "S2", "value": "90", "status": "corrected", "reported_at": "2024-03-09 12:00", "collected_at": "2024-05-02 08:00"}),
    "unread.bin": b"\x00\x01\x02 nothing that anybody reads",
}  # fmt: skip


class Points:
    """Counts the points that a run passes, and lets one of them do something."""

    def __init__(self, chosen: int | None, happen: Callable[[], None]) -> None:
        self.passed, self.chosen, self.happen = 0, chosen, happen
        self.names: list[str] = []

    def point(self, name: str) -> None:
        """One point: the chosen one happens."""
        self.names.append(name)
        self.passed += 1
        if self.passed - 1 == self.chosen:
            self.happen()

    @contextmanager
    def watching(self) -> Iterator[Points]:
        """All operations on the storage pass through points, before and after."""
        patches = [mock.patch.object(owner, name, self._watched(owner, name)) for owner, name in OPERATIONS]
        for patch in patches:
            patch.start()
        try:
            yield self
        finally:
            for patch in reversed(patches):
                patch.stop()

    def _watched(self, owner: Any, name: str) -> Callable:
        original = getattr(owner, name)

        @wraps(original)
        def run(*args: Any, **kwargs: Any) -> Any:
            self.point(f"before {name}")
            result = original(*args, **kwargs)
            self.point(f"after {name}")
            return result

        return run


def fail() -> None:
    """What a broken disk says."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def die() -> None:
    """No clean-up of any kind, as by kill -9."""
    os._exit(9)


def prepared(folder: Path) -> Home:
    """A home with the base state published and the rest waiting in the inbox."""
    home = Home(folder)
    home.ingest("north", BASE)
    arrive(home)
    return home


def arrive(home: Home) -> None:
    """Put what arrives into the inbox."""
    inbox = home.folder / "inbox" / "north"
    inbox.mkdir(parents=True, exist_ok=True)
    for name, content in ARRIVING.items():
        (inbox / name).write_bytes(content)


def points_of(home: Home) -> list[str]:
    """Take in what waits, and name the points on the way."""
    points = Points(None, fail)
    with points.watching():
        ingest(home.settings)
    return points.names


def die_at(folder: str, number: int) -> None:
    """Take in what waits, in a process of its own, and die at a point."""
    with Points(number, die).watching():
        ingest(Home(Path(folder)).settings)
