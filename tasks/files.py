"""Files that are replaced whole: written beside, fsynced, renamed. And names made safe for paths."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote


def folder_name(lab: str) -> str:
    """A lab's name as one folder name: percent-encoded, never `.` or `..`, and no longer than a path allows."""
    name = quote(lab, safe=" ")
    if len(name) > 200:
        return f"{name[:150]}~{hashlib.sha256(lab.encode()).hexdigest()[:16]}"
    return name.replace(".", "%2E") if set(name) <= {"."} else name


def lab_of(folder: str) -> str:
    """The lab whose folder in an inbox this is."""
    return unquote(folder)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A new path beside `path` (same folder, so that a rename is atomic), removed if it is left over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        yield fresh
    finally:
        fresh.unlink(missing_ok=True)


def replace_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, then put it in the place of `path` at once."""
    with beside(path) as fresh:
        write(fresh)
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(fresh, path)
        sync_folder(path.parent)
