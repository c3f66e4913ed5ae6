"""Where a home stands: a folder, or a bucket of an S3 server. One set of operations on both.

Names are relative to the home and use `/`. What is written is in its place whole or not at all; what
is still being written stands in a private file of its own that a reader never sees.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Protocol

from polars.exceptions import ComputeError

#: how a file that is being written is called in a folder; a sweep removes what a killed process left
UNDER_WAY = ".neurobalance-"
#: how a folder of temporary files is called in this machine's place for them. Nobody else calls one so: a sweep
#: removes those that are old
_SPOOL = ".neurobalance-spool-"


@dataclass(frozen=True)
class Item:
    """A file or object: its name, its size in bytes, when it was last written (UTC), and what tells one
    writing of it from the next."""

    name: str
    size: int
    modified: datetime
    tag: str


class Store(Protocol):
    """A folder or a bucket."""

    @property
    def options(self) -> dict[str, str] | None:
        """What Polars and delta-rs must be told to open a `url` (storage options)."""

    def url(self, name: str) -> str:
        """`name` as Polars and delta-rs open it."""

    def items(self, folder: str) -> Iterator[Item]:
        """Every file below a folder, in no order; none where there is no such folder."""

    def item(self, name: str) -> Item | None:
        """One file, None where there is none."""

    def open(self, name: str) -> IO[bytes]:
        """A file to read and seek in. Raises FileNotFoundError."""

    def local(self, name: str) -> AbstractContextManager[Path]:
        """A context: the file's bytes as a path of this machine. Raises FileNotFoundError."""

    def spool(self, near: str) -> AbstractContextManager[Path]:
        """A context: a new private path of this machine to write to, removed unless it is `kept`."""

    def keep(self, spooled: Path, name: str) -> None:
        """Put what was spooled in the place of `name`: whole, and durably."""

    def create(self, name: str, content: bytes) -> bool:
        """Write a file unless there is one; of two at the same time, one wins. Whether it was this one."""

    def delete(self, name: str) -> None:
        """Remove a file; one that is not there is removed already."""

    def sweep(self, before: datetime) -> int:
        """Remove what killed processes left half-written and nobody wrote to since `before`; how many."""


def read(store: Store, name: str) -> bytes | None:
    """The bytes of a file, None where there is none."""
    try:
        with store.open(name) as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(store: Store, name: str, fill: Callable[[Path], object]) -> None:
    """Let `fill` write a file, then put it in the place of `name` at once. Raises OSError."""
    with store.spool(name) as fresh:
        try:
            fill(fresh)
            failed = False
        except ComputeError:
            failed = True  # so Polars says that a disk is full, in words that speak of the data
        if failed:
            raise OSError(errno.EIO, "a file could not be written; is there room for it?")
        store.keep(fresh, name)


@contextmanager
def local_folder(store: Store, folder: str, ending: str) -> Iterator[Path]:
    """The files of a folder whose names end so, as a folder of this machine."""
    if isinstance(store, Folder):
        yield store.root / folder
        return
    with tempfile.TemporaryDirectory(prefix=_SPOOL) as temporary:
        made = Path(temporary) / folder  # errors name the last folder and the file
        made.mkdir()
        for item in store.items(folder):
            inside = item.name.removeprefix(f"{folder}/")
            if inside.endswith(ending) and "/" not in inside:
                (made / inside).write_bytes(read(store, item.name) or b"")
        yield made


def spool_folder() -> Path:
    """A new folder for temporary files that only this user can enter (0700). Whoever asks for it removes it; what a
    killed process leaves is swept. Raises OSError."""
    return Path(tempfile.mkdtemp(prefix=_SPOOL))


def private_folder(path: Path) -> Path:
    """Make `path` a folder that only its owner can enter (PHI stays inside)."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _item(name: str, seen: os.stat_result) -> Item:
    modified = datetime.fromtimestamp(seen.st_mtime_ns / 1e9, UTC)
    return Item(name, seen.st_size, modified, str(seen.st_mtime_ns))


@dataclass(frozen=True)
class Folder:
    """A home in a folder of this machine (or one that it mounts)."""

    root: Path
    #: folders that only their owner may enter
    private: tuple[str, ...] = ("archive", "ledger", "secrets", "catalogues")
    options: None = None

    def url(self, name: str) -> str:
        """`name` as a path."""
        return str(self.root / name)

    def items(self, folder: str) -> Iterator[Item]:
        """Every file below a folder, but for what is under way or hidden, and links."""
        for place, folders, names in os.walk(self.root / folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = Path(place, name)
                # another process may just have removed it, or the folder can be listed and not entered
                with suppress(FileNotFoundError, PermissionError):
                    if not name.startswith(".") and not path.is_symlink() and path.is_file():
                        yield _item(path.relative_to(self.root).as_posix(), path.stat())

    def item(self, name: str) -> Item | None:
        """One file, None where there is none."""
        try:
            return _item(name, (self.root / name).stat())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open(self, name: str) -> IO[bytes]:
        """A file to read and seek in."""
        return (self.root / name).open("rb")

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """The file itself."""
        path = self.root / name
        if not path.exists():
            raise FileNotFoundError
        yield path

    def _folder_of(self, name: str) -> Path:
        folder = (self.root / name).parent
        if not folder.is_dir():
            top = name.split("/", 1)[0]
            if top in self.private:
                private_folder(self.root / top)
                private_folder(folder)
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def spool(self, near: str) -> Iterator[Path]:
        """A new path in the folder of `near`, so that a rename is atomic."""
        fresh = self._folder_of(near) / f"{UNDER_WAY}{uuid.uuid4().hex}"
        if near.split("/", 1)[0] in self.private:
            os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            yield fresh
        finally:
            fresh.unlink(missing_ok=True)

    def keep(self, spooled: Path, name: str) -> None:
        """Flush to the disk, rename, flush the folder."""
        with spooled.open("rb") as file:
            os.fsync(file.fileno())
        folder = self._folder_of(name)
        os.replace(spooled, self.root / name)
        sync_folder(folder)

    def create(self, name: str, content: bytes) -> bool:
        """Write beside, then link: unlike a rename, a link never replaces."""
        with self.spool(name) as fresh:
            with fresh.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.chmod(0o600)
            try:
                os.link(fresh, self.root / name)
            except FileExistsError:
                return False
        sync_folder((self.root / name).parent)
        return True

    def delete(self, name: str) -> None:
        """Unlink."""
        (self.root / name).unlink(missing_ok=True)

    def sweep(self, before: datetime) -> int:
        """Unlink the files under way, wherever in the home they stand, and what killed processes left in this
        machine's place for temporary files."""
        old = [
            path
            for place, _, names in os.walk(self.root)
            for path in (Path(place, name) for name in names if name.startswith(UNDER_WAY))
            if _older(path, before)
        ]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old) + sweep_spool(before)


def _older(path: Path, before: datetime) -> bool:
    try:
        return path.lstat().st_mtime < before.timestamp()
    except FileNotFoundError:
        return False  # whoever wrote it is done


def sweep_spool(before: datetime) -> int:
    """Remove folders of this user, in this machine's place for temporary files, that spools of killed
    processes left."""
    swept = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{_SPOOL}*"):
        with suppress(FileNotFoundError):  # a run that ends removes its own
            if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != os.getuid():
                continue
            if all(_older(path, before) for path in (folder, *folder.iterdir())):
                shutil.rmtree(folder, ignore_errors=True)
                swept += 1
    return swept
