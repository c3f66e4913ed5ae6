"""The archive: the bytes of every export as received, by lab and hash, beside its name and time of arrival.

From here on an export is known by its lab and its hash; its name stays in the archive.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO

from schemas.settings import Settings
from schemas.store import read
from tasks.folders import folder_name

_BLOCK = 1 << 20
_ONE_FILES_FAULT = {errno.EACCES, errno.EPERM, errno.EIO}


class NoLabName(ValueError):
    """A lab's name that cannot be one."""


class StillUploading(Exception):
    """A file that changed while it was archived; nothing of it was kept."""


class NoAccess(Exception):
    """A file that the storage of the inbox does not give; nothing of it was kept."""


def is_lab_name(name: str) -> bool:
    """Whether a lab may be called so: not empty, and text that every stage can write."""
    try:
        return bool(name.strip()) and bool(name.encode("utf-8"))
    except UnicodeEncodeError:
        return False


class NotArchived(ValueError):
    """An export whose bytes are not in the archive."""


@dataclass(frozen=True, order=True)
class Export:
    """One archived export: the lab and the SHA-256 of its bytes (64 hexadecimal characters)."""

    lab: str
    sha256: str

    @property
    def short(self) -> str:
        """The name that may be logged: lab and the first 12 characters of the hash."""
        return f"{self.lab}/{self.sha256[:12]}"


@dataclass(frozen=True)
class Arrival:
    """What was noted when an export first arrived, and never changes."""

    name: str
    size: int
    received_at: datetime


def archived_name(export: Export) -> str:
    """Where the bytes of an export stand in the home."""
    return f"archive/{folder_name(export.lab)}/{export.sha256}"


def arrival(settings: Settings, export: Export) -> Arrival:
    """Name, size (bytes) and first receipt (UTC) of an archived export."""
    noted = json.loads(read(settings.store, f"{archived_name(export)}.json") or b"{}")
    if not noted:
        raise NotArchived(f"{export.short}: nothing of it is in the archive of this home")
    return Arrival(noted["name"], noted["size"], datetime.fromisoformat(noted["received_at"]))


def _blocks(source: IO[bytes]) -> Iterator[bytes]:
    """The bytes of an export. Raises NoAccess: one file's fault is not that of the whole storage."""
    try:
        while block := source.read(_BLOCK):
            yield block
    except OSError as error:
        if error.errno not in _ONE_FILES_FAULT:
            raise
        raise NoAccess("a file of the inbox cannot be read; mend its permissions or its storage") from None


def archive(
    settings: Settings, lab: str, source: IO[bytes], name: str, settled: Callable[[], bool] = lambda: True
) -> Export:
    """Copy an export called `name` into the archive, once; the first arrival's name and time are kept.

    settled: asked once all bytes are copied. Raises StillUploading where it says no, and NoAccess where the
    source cannot be read; then the archive is as it was.
    """
    if not is_lab_name(lab):
        raise NoLabName("a lab's name needs at least one character and must be text (UTF-8)")
    digest = hashlib.sha256()
    size = 0
    with settings.store.spool(f"archive/{folder_name(lab)}/new") as fresh:
        with fresh.open("wb") as copy, ThreadPoolExecutor(1) as thread:
            for block in _blocks(source):
                # a large export is hashed while it is written; a thread for each small one would cost more
                hashed = thread.submit(digest.update, block) if len(block) == _BLOCK else None
                copy.write(block)
                size += len(block)
                if hashed is None:
                    digest.update(block)
                else:
                    hashed.result()
        if not settled():
            raise StillUploading("a file changed while it was archived; it is taken in once it rests")
        export = Export(lab, digest.hexdigest())
        # a name of bytes that are no text is kept as near as text comes
        noted = {
            "name": name.encode("utf-8", "replace").decode(),
            "size": size,
            "received_at": datetime.now(UTC).isoformat(),
        }
        if settings.store.item(f"{archived_name(export)}.json") is None:
            settings.store.create(f"{archived_name(export)}.json", json.dumps(noted).encode())
        kept = settings.store.item(archived_name(export))
        if kept is None or kept.size != size:
            settings.store.keep(fresh, archived_name(export))
    return export
