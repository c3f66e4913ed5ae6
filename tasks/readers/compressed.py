"""Exports that are compressed: a gzip of an export, or a zip of exactly one. A workbook is a zip of its own kind
and stays what it is.

The bytes are inflated into one file with a name of ours, in a private folder that is removed when the export
has been read, also after an error. No name that stands in an archive is ever used.
"""

from __future__ import annotations

import gzip
import os
import shutil
import struct
import weakref
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import IO, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import polars as pl

from schemas.export import Unreadable
from schemas.store import spool_folder
from tasks.readers.text import HEAD, read_head

#: an export inflates to so many bytes at most: a hundred million results as text, while a full disk would
#: stop every other export
MAX_BYTES = 2 << 30
#: text of instruments deflates to a fifth or a thirtieth; only what says nothing deflates to a two-hundredth
MAX_RATIO = 200
#: a small table of zeros may: below so many bytes no ratio is asked
RATIO_FROM = 8 << 20
#: the list of members of an archive that holds one export has some hundred bytes; each member in it costs memory
MAX_DIRECTORY = 1 << 20

_GZIP, _ZIP, _OLE = b"\x1f\x8b", b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_EMPTY_ZIP, _SPANNED_ZIP = b"PK\x05\x06", b"PK\x07\x08"
_OTHERS = (b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"\x28\xb5\x2f\xfd", b"Rar!\x1a\x07")
_CHUNK = 1 << 20
_END = struct.Struct("<4s4H2LH")  # the end record of a zip, without its comment
_LONGEST_COMMENT = 0xFFFF
#: members of a zip that an office program wrote
_OFFICE = ("[Content_Types].xml", "mimetype")


class Opened:
    """An export as the readers see it: the file itself, or what was inflated from it."""

    def __init__(self, path: Path, note: str | None = None, folder: Path | None = None) -> None:
        self.path, self.note = path, note  # note: how it was compressed
        # also where nobody closes it, and at the end of the process
        self._remove = None if folder is None else weakref.finalize(self, shutil.rmtree, folder, True)

    def close(self) -> None:
        """Remove what was inflated."""
        if self._remove is not None:
            self._remove()

    def __enter__(self) -> Opened:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def until_read(self, batches: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """`batches`, and then, or when they are given up, remove what was inflated."""
        with self:
            yield from batches


def opened(path: Path, whole: bool = True) -> Opened:
    """The export at `path`, inflated where it is compressed. `whole`: all of it, otherwise only so much as
    detection looks at. Raises Unreadable where it is compressed in a way that is not read, or damaged, or
    inflates beyond the limits."""
    head = read_head(path)
    if head.startswith(_GZIP):
        return _inflated(path, None, whole)
    if head.startswith((_ZIP, _EMPTY_ZIP, _SPANNED_ZIP)):
        member = _only_member(path, head)
        return Opened(path) if member is None else _inflated(path, member, whole)
    _refuse_other(head)
    return Opened(path)


def _refuse_other(head: bytes) -> None:
    if head.startswith(_OTHERS):
        raise Unreadable("compressed in a way that is not read: send it as it is, as gzip or as zip")


def _only_member(path: Path, head: bytes) -> ZipInfo | None:
    """The one member of a zip; None where the zip is a workbook."""
    reason = None
    try:
        _refuse_many(path)
        with ZipFile(path) as archive:
            members = archive.infolist()
    except (BadZipFile, OSError, EOFError, ValueError, NotImplementedError):
        reason = "the zip archive is damaged or cut off"
    if reason and b"xl/" in head and b"[Content_Types].xml" in head:
        return None  # a workbook that is cut off: its reader says so
    if reason:  # outside the handler: the library's message may quote a name
        raise Unreadable(reason)
    names = {member.filename for member in members}
    if "xl/workbook.xml" in names:
        return None
    if names & set(_OFFICE):
        raise Unreadable("an office document, but no .xlsx or .xls workbook: save it as one of these")
    files = [m for m in members if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    if not files:
        raise Unreadable("a zip archive with nothing in it")
    if len(files) > 1:
        raise Unreadable(f"a zip archive of {len(files)} files: send them one by one")
    if files[0].flag_bits & 1:
        raise Unreadable("the zip archive is encrypted: send it without a password")
    if files[0].compress_type not in (ZIP_STORED, ZIP_DEFLATED):  # the others inflate without a bound
        raise Unreadable("compressed in a way that is not read: send a zip made with deflate, as is usual")
    return files[0]


def _refuse_many(path: Path) -> None:
    """Refuse a zip by its end record, before the list of its members is taken into memory."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LONGEST_COMMENT - _END.size))
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise BadZipFile
    if _END.unpack_from(tail, at)[5] > MAX_DIRECTORY:
        raise Unreadable("a zip archive of very many files: send them one by one")


def _inflated(path: Path, member: ZipInfo | None, whole: bool) -> Opened:
    """A file of ours with what the gzip (`member` None) or the member of the zip holds."""
    kind = "gzip" if member is None else "zip"
    folder = spool_folder()
    made = Opened(folder / "export", kind, folder)
    try:
        head = _inflate(
            path, member, made.path, kind, HEAD + 1
        )  # one more: so readers see that there is more
        if head.startswith(_GZIP):
            raise Unreadable(f"a gzip within a {kind}: compress it once only")
        if head[257:262] == b"ustar":
            raise Unreadable(f"a tar archive within a {kind}: send its files one by one")
        _refuse_other(head)
        archive = head.startswith((_ZIP, _EMPTY_ZIP, _SPANNED_ZIP))
        if whole or archive or head.startswith(_OLE):  # a workbook is recognised by all of it
            _inflate(path, member, made.path, kind, None)
        if archive and _only_member(made.path, head) is not None:
            raise Unreadable(f"a zip within a {kind}: compress it once only")
    except BaseException:
        made.close()
        raise
    return made


def _inflate(path: Path, member: ZipInfo | None, to: Path, kind: str, limit: int | None) -> bytes:
    """Fill `to` with the first `limit` bytes, or with all; and give the first `HEAD` of them."""
    most = MAX_BYTES if limit is None else limit
    packed = path.stat().st_size
    reason = None
    head, size = b"", 0
    descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        try:
            for chunk in _chunks(path, member, most + 1 if limit is None else limit):
                size += len(chunk)
                if size > most:
                    reason = f"the {kind} inflates to more than {MAX_BYTES >> 30} GiB"
                elif size > RATIO_FROM and size > MAX_RATIO * packed:
                    reason = f"the {kind} inflates to more than {MAX_RATIO} times its size"
                if reason:
                    break
                head = head or chunk[:HEAD]
                target.write(chunk)
        except (BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError, ValueError):
            reason = f"the {kind} is damaged or cut off"
    if reason is None and limit is None and member is not None and size != member.file_size:
        reason = f"the {kind} is damaged or cut off"
    if reason:
        raise Unreadable(reason)
    return head


def _chunks(path: Path, member: ZipInfo | None, limit: int) -> Iterator[bytes]:
    """At most `limit` bytes that are inflated, in pieces. Both libraries check the sum at the end."""
    if member is None:
        with gzip.open(path) as stream:
            yield from _pieces(cast(IO[bytes], stream), limit)
        return
    with ZipFile(path) as archive:
        (found,) = (m for m in archive.infolist() if m.header_offset == member.header_offset)
        found.file_size = limit + _CHUNK  # what the directory claims may be a lie: read to the true end
        with archive.open(found) as stream:
            yield from _pieces(stream, limit)


def _pieces(stream: IO[bytes], limit: int) -> Iterator[bytes]:
    with closing(stream):
        while limit > 0 and (chunk := stream.read(min(limit, _CHUNK))):
            limit -= len(chunk)
            yield chunk
