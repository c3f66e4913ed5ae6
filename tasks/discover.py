"""Exports that wait in the inbox, archived by the hash of their bytes before anything else.

From here on an export is known by its lab and its hash; its name stays in the archive.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import IO

from schemas.settings import Settings
from schemas.store import Item, read, write
from tasks.folders import folder_name, lab_of

#: Names of uploads that are still going on.
UNFINISHED = (".part", ".tmp", ".partial", ".crdownload", ".filepart")


class NoLabName(ValueError):
    """A lab's name that cannot be one."""


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


def archive(settings: Settings, lab: str, source: IO[bytes], name: str) -> Export:
    """Copy an export called `name` into the archive, once; the first arrival's name and time are kept."""
    if not is_lab_name(lab):
        raise NoLabName("a lab's name needs at least one character and must be text (UTF-8)")
    digest = hashlib.sha256()
    size = 0
    with settings.store.spool(f"archive/{folder_name(lab)}/new") as fresh:
        with fresh.open("wb") as copy:
            while block := source.read(1 << 20):
                digest.update(block)
                size += len(block)
                copy.write(block)
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


@dataclass(frozen=True)
class Waiting:
    """A file in an inbox, as it was when it was read."""

    item: Item
    lab: str


def waiting(settings: Settings, lab: str | None = None) -> list[Waiting]:
    """The finished files of the inbox (`<lab>/...`), oldest first: arrival may break a tie."""
    found = []
    for item in settings.inbox_store.items(""):
        folder, *inside = PurePosixPath(item.name).parts
        name = lab_of(folder)
        if not inside or any(part.startswith(".") for part in (folder, *inside)) or not is_lab_name(name):
            continue
        if PurePosixPath(item.name).suffix.lower() in UNFINISHED:
            continue
        if lab is None or name == lab:
            found.append(Waiting(item, name))
    return sorted(found, key=lambda file: (file.item.modified, file.item.name))


class InboxCache:
    """For an inbox that keeps its files: which file (name, size, time of writing) is which export."""

    NAME = "secrets/inbox-cache.json"  # it holds names, so only its owner may read it

    def __init__(self, settings: Settings) -> None:
        self.store, self.inbox = settings.store, settings.inbox
        self.known: dict[str, list] = json.loads(read(self.store, self.NAME) or b"{}")

    def get(self, file: Waiting) -> Export | None:
        """The export that this very file was archived as, if it was."""
        match self.known.get(f"{self.inbox}/{file.item.name}"):
            case [lab, sha256, size, tag] if (lab, size, tag) == (file.lab, file.item.size, file.item.tag):
                return Export(lab, sha256)
        return None

    def put(self, file: Waiting, export: Export) -> None:
        """Remember what this file was archived as."""
        self.known[f"{self.inbox}/{file.item.name}"] = [
            export.lab, export.sha256, file.item.size, file.item.tag,
        ]  # fmt: skip

    def save(self) -> None:
        """Write the cache whole."""
        text = json.dumps(self.known).encode()
        write(self.store, self.NAME, lambda fresh: fresh.write_bytes(text))


def archive_inbox(settings: Settings, lab: str | None = None) -> dict[Export, list[Waiting]]:
    """Archive what waits: export -> the files it came from (renamed copies are one export)."""
    found: dict[Export, list[Waiting]] = {}
    cache = InboxCache(settings) if settings.inbox is not None else None
    for file in waiting(settings, lab):
        export = cache.get(file) if cache else None
        if export is None or settings.store.item(archived_name(export)) is None:
            try:
                with settings.inbox_store.open(file.item.name) as source:
                    export = archive(settings, file.lab, source, PurePosixPath(file.item.name).name)
            except FileNotFoundError:
                if settings.inbox_store.item(file.item.name) is not None:
                    raise
                continue  # another run has taken it in and removed it
            if cache:
                cache.put(file, export)
        found.setdefault(export, []).append(file)
    if cache:
        cache.save()
    return found


def leave_inbox(settings: Settings, files: list[Waiting]) -> None:
    """Remove from the inbox what is committed; a file that changed since it was archived stays."""
    if settings.inbox is not None:
        return
    for file in files:
        if settings.inbox_store.item(file.item.name) == file.item:
            settings.inbox_store.delete(file.item.name)
