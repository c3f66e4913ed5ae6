"""Exports that wait in the inbox, archived by the hash of their bytes before anything else.

From here on an export is known by its lab and its hash; its name stays in the archive.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from schemas.settings import Settings, private_folder
from tasks.files import beside, folder_name, lab_of, sync_folder

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


def archived_path(settings: Settings, export: Export) -> Path:
    """Where the bytes of an export stand."""
    return settings.archive / folder_name(export.lab) / export.sha256


def arrival(settings: Settings, export: Export) -> Arrival:
    """Name, size (bytes) and first receipt (UTC) of an archived export."""
    noted = json.loads(archived_path(settings, export).with_suffix(".json").read_text("utf-8"))
    return Arrival(noted["name"], noted["size"], datetime.fromisoformat(noted["received_at"]))


def archive(settings: Settings, lab: str, path: Path) -> Export:
    """Copy a file into the archive, once; the first arrival's name and time are kept."""
    if not is_lab_name(lab):
        raise NoLabName("a lab's name needs at least one character and must be text (UTF-8)")
    folder = settings.archive / folder_name(lab)
    private_folder(settings.archive)
    private_folder(folder)
    digest = hashlib.sha256()
    size = 0
    with beside(folder / "new") as fresh:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with path.open("rb") as source, os.fdopen(descriptor, "wb") as copy:
            while block := source.read(1 << 20):
                digest.update(block)
                size += len(block)
                copy.write(block)
            copy.flush()
            os.fsync(copy.fileno())
        export = Export(lab, digest.hexdigest())
        _note_arrival(folder / f"{export.sha256}.json", path.name, size)
        os.replace(fresh, folder / export.sha256)
    sync_folder(folder)
    return export


def _note_arrival(path: Path, name: str, size: int) -> None:
    if path.exists():
        return
    # a name of bytes that are no text is kept as near as text comes
    noted = {
        "name": name.encode("utf-8", "replace").decode(),
        "size": size,
        "received_at": datetime.now(UTC).isoformat(),
    }
    with beside(path) as fresh:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(noted, file)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(fresh, path)  # unlike a rename, a link never replaces the first arrival


@dataclass(frozen=True)
class Waiting:
    """A file in an inbox, and what it looked like when it was read."""

    path: Path
    lab: str
    size: int
    modified_ns: int

    def unchanged(self) -> bool:
        """Whether the file is still the one that was archived."""
        try:
            now = self.path.stat()
        except FileNotFoundError:
            return False
        return (now.st_size, now.st_mtime_ns) == (self.size, self.modified_ns)


def waiting(inbox: Path, lab: str | None = None) -> Iterator[Waiting]:
    """The finished files of an inbox (`<inbox>/<lab>/...`), oldest first: arrival may break a tie."""
    found = []
    for folder in sorted(inbox.iterdir()) if inbox.is_dir() else ():
        name = lab_of(folder.name)
        if not folder.is_dir() or folder.name.startswith(".") or not is_lab_name(name):
            continue
        if lab is not None and name != lab:
            continue
        for path in folder.rglob("*"):
            parts = path.relative_to(folder).parts
            if any(part.startswith(".") for part in parts) or path.suffix.lower() in UNFINISHED:
                continue
            if path.is_symlink() or not path.is_file():
                continue
            with suppress(FileNotFoundError):  # another run may just have taken it in
                seen = path.stat()
                found.append(Waiting(path, name, seen.st_size, seen.st_mtime_ns))
    return iter(sorted(found, key=lambda file: (file.modified_ns, str(file.path))))


class InboxCache:
    """For an inbox that keeps its files: which file (path, size, modification time) is which export."""

    def __init__(self, settings: Settings) -> None:
        self.path = settings.home / "inbox-cache.json"
        self.known: dict[str, list] = {}
        if self.path.exists():
            self.known = json.loads(self.path.read_text("utf-8"))

    def get(self, file: Waiting) -> Export | None:
        """The export that this very file was archived as, if it was."""
        match self.known.get(str(file.path)):
            case [lab, sha256, size, modified_ns] if (lab, size, modified_ns) == (
                file.lab,
                file.size,
                file.modified_ns,
            ):
                return Export(lab, sha256)
        return None

    def put(self, file: Waiting, export: Export) -> None:
        """Remember what this file was archived as."""
        self.known[str(file.path)] = [export.lab, export.sha256, file.size, file.modified_ns]

    def save(self) -> None:
        """Write the cache whole; it holds names, so only its owner may read it."""
        with beside(self.path) as fresh:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(self.known, file)
            os.replace(fresh, self.path)


def archive_inbox(settings: Settings, lab: str | None = None) -> dict[Export, list[Waiting]]:
    """Archive what waits: export -> the files it came from (renamed copies are one export)."""
    found: dict[Export, list[Waiting]] = {}
    kept = settings.inbox is not None
    cache = InboxCache(settings) if kept else None
    for file in waiting(settings.inbox or settings.home / "inbox", lab):
        export = cache.get(file) if cache else None
        if export is None or not archived_path(settings, export).exists():
            try:
                export = archive(settings, file.lab, file.path)
            except FileNotFoundError:
                if file.path.exists():
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
        if file.unchanged():
            file.path.unlink(missing_ok=True)
