"""Exports that wait in the inbox, archived by the hash of their bytes before anything else."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

from schemas.settings import Settings
from schemas.store import Folder, Item, read, write
from tasks import settle
from tasks.archive import Export, NoAccess, StillUploading, archive, archived_name, is_lab_name
from tasks.folders import lab_of

#: Names of uploads that are still going on.
UNFINISHED = (".part", ".tmp", ".partial", ".crdownload", ".filepart")

#: Why a file stays in the inbox.
UPLOADING = "still being uploaded"
NO_ACCESS = "cannot be read"


@dataclass(frozen=True)
class Waiting:
    """A file in an inbox, as it was when it was read."""

    item: Item
    lab: str

    @property
    def modified(self) -> datetime:
        """When it was last written (UTC)."""
        return self.item.modified


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


@dataclass
class Taken:
    """What became of an inbox."""

    #: export -> the files it came from (renamed copies are one export)
    files: dict[Export, list[Waiting]] = field(default_factory=dict)
    #: lab and why -> how many files stay where they are
    left: Counter[tuple[str, str]] = field(default_factory=Counter)


def archive_inbox(settings: Settings, lab: str | None = None) -> Taken:
    """Archive what waits and rests; what is still being uploaded or cannot be read is left, and counted."""
    taken = Taken(left=_closed_folders(settings, lab))
    cache = InboxCache(settings) if settings.inbox is not None else None
    resting, uploading = settle.settled(lambda: waiting(settings, lab), _to_rest(settings))
    taken.left.update((file.lab, UPLOADING) for file in uploading)
    for file in resting:
        export = cache.get(file) if cache else None
        if export is None or settings.store.item(archived_name(export)) is None:
            try:
                export = _archive_waiting(settings, file)
            except FileNotFoundError:
                if settings.inbox_store.item(file.item.name) is not None:
                    raise
                continue  # another run has taken it in and removed it
            except StillUploading:
                if settings.inbox_store.item(file.item.name) is not None:
                    taken.left[file.lab, UPLOADING] += 1
                continue
            except NoAccess:
                taken.left[file.lab, NO_ACCESS] += 1
                continue
            if cache:
                cache.put(file, export)
        taken.files.setdefault(export, []).append(file)
    if cache:
        cache.save()
    return taken


def _archive_waiting(settings: Settings, file: Waiting) -> Export:
    inbox, name = settings.inbox_store, file.item.name
    try:
        source = inbox.open(name)
    except PermissionError:
        raise NoAccess("a file of the inbox cannot be read; mend its permissions") from None
    with source:
        return archive(
            settings, file.lab, source, PurePosixPath(name).name, lambda: inbox.item(name) == file.item
        )


def _to_rest(settings: Settings) -> float:
    """Seconds for which a file must rest: an object of a bucket is there as a whole or not at all."""
    return settings.settle_seconds if isinstance(settings.inbox_store, Folder) else 0.0


def _may_read(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _closed_folders(settings: Settings, lab: str | None = None) -> Counter[tuple[str, str]]:
    """Lab and why -> folders of the inbox that cannot be looked into: their files would be missed silently."""
    closed: Counter[tuple[str, str]] = Counter()
    inbox = settings.inbox_store
    if not isinstance(inbox, Folder):
        return closed
    if inbox.root.is_dir() and not _may_read(inbox.root, os.R_OK | os.X_OK):
        raise NoAccess("the inbox cannot be looked into: give the account of the runs permission to")
    for where, folders, _ in os.walk(inbox.root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(where, name) for name in folders):
            of = lab_of(path.relative_to(inbox.root).parts[0])
            if (lab is None or of == lab) and not _may_read(path, os.R_OK | os.X_OK) and path.exists():
                closed[of, NO_ACCESS] += 1
    return closed


def left_now(settings: Settings) -> Counter[tuple[str, str]]:
    """Lab and why -> files of the inbox that a run would leave alone now; nothing is read or waited for."""
    left = _closed_folders(settings)
    files = waiting(settings)
    resting, uploading = settle.settled(lambda: files, _to_rest(settings), sleep=lambda _: None)
    left.update((file.lab, UPLOADING) for file in uploading)
    inbox = settings.inbox_store
    if isinstance(inbox, Folder):
        left.update((f.lab, NO_ACCESS) for f in resting if not _may_read(inbox.root / f.item.name, os.R_OK))
    return left


def leave_inbox(settings: Settings, files: list[Waiting]) -> None:
    """Remove from the inbox what is committed; a file that changed since it was archived stays."""
    if settings.inbox is not None:
        return
    for file in files:
        if settings.inbox_store.item(file.item.name) == file.item:
            settings.inbox_store.delete(file.item.name)
