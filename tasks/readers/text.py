"""Text files as labs write them: which encoding, and the head of the file as text."""

from __future__ import annotations

import codecs
import functools
import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from schemas.export import Unreadable, is_codec

#: how much of a file detection may look at, in bytes
HEAD = 64 * 1024
_CHUNK = 4 * 1024 * 1024
#: UTF-32 first: its little-endian mark begins with the one of UTF-16
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: bytes that Windows-1252 leaves undefined; Latin-1 decodes any byte
_NOT_CP1252 = (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d")
#: first bytes of files that are not text
_BINARY = (
    *(b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf"),
    *(
        b"\x28\xb5\x2f\xfd",
        b"%PDF",
        b"PAR1",
        b"SQLite format",
        b"\x89HDF",
        b"\x89PNG",
        b"\xff\xd8\xff",
        b"GIF8",
    ),
)


@dataclass(frozen=True)
class Text:
    """What one pass over the bytes of a text file proves."""

    encoding: str  # a Python codec
    quotes: bool  # whether a double quote occurs anywhere
    notes: tuple[str, ...]  # what a person should know about it
    ended: bool = True  # whether the last line has a line end, or is whole without one
    closed: bool = False  # whether a double quote is the last character


#: the file whose head is kept, and its head
_KEPT: ContextVar[tuple[Path, bytes] | None] = ContextVar("_KEPT", default=None)


@contextmanager
def head_kept(path: Path) -> Iterator[bytes]:
    """The head of a file, which is not read again while the context lasts: each reader asks for it."""
    head = read_head(path)
    token = _KEPT.set((path, head))
    try:
        yield head
    finally:
        _KEPT.reset(token)


def read_head(path: Path) -> bytes:
    """At most the first `HEAD` bytes of the file."""
    kept = _KEPT.get()
    if kept is not None and kept[0] == path:
        return kept[1]
    with open(path, "rb") as file:
        return file.read(HEAD)


def is_binary(head: bytes) -> bool:
    """Whether the first bytes are those of an archive, a picture or another file that is not text."""
    return head.startswith(_BINARY)


@functools.lru_cache(maxsize=4)  # each reader asks about the same bytes
def guess(head: bytes) -> str:
    """The codec that the first bytes speak for: `cp1252` where they are not valid UTF-8."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    even, odd = head[0::2], head[1::2]
    # UTF-16 without a mark: Latin text has NUL in every other byte. A stray NUL proves nothing.
    if odd and odd.count(0) > 0.4 * len(odd) and even.count(0) < 0.05 * len(even):
        return "utf-16-le"
    if even and odd and even.count(0) > 0.4 * len(even) and odd.count(0) < 0.05 * len(odd):
        return "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")("strict").decode(head)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


@functools.lru_cache(maxsize=4)
def head_text(head: bytes, encoding: str | None = None) -> str:
    """The head as text, without its byte order mark. What cannot be decoded becomes U+FFFD here only:
    this text serves detection, never a result. All readers ask for it. Raises Unreadable for an unknown codec."""
    if encoding is not None and not is_codec(encoding):
        raise Unreadable(f"the layout names an encoding that Python does not know: {encoding}")
    decoder = codecs.getincrementaldecoder(encoding or guess(head))("replace")
    return decoder.decode(head).removeprefix("\ufeff")


def shown(path: Path, by_lines: bool = False) -> str | None:
    """The head of the file as text; None where it is binary, or, `by_lines`, in UTF-32, whose lines are not read."""
    head = read_head(path)
    if is_binary(head) or (by_lines and guess(head).startswith("utf-32")):
        return None
    return head_text(head)


def prove(path: Path, encoding: str | None = None, whole: bool = False) -> Text:
    """The encoding of the whole file: the one of its layout, or what all its bytes prove.

    `whole`: the last line is taken as it is, although it may have no line end. One pass in pieces of 4 MiB, so the
    size of the file does not matter. Raises Unreadable where the bytes are not what the mark, the NUL pattern or the
    layout says.
    """
    first = read_head(path)
    head_text(first, encoding)  # an unknown codec is refused here
    name = encoding or guess(first)
    wide = guess(first).startswith(("utf-16", "utf-32"))  # line ends of several bytes
    decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder(name)("strict")
    if name == "cp1252" and encoding is None:
        decoder = None  # decided below, by the bytes that it lacks
    quotes = undefined = False
    last = b""
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            last = chunk[-8:]
            quotes = quotes or b'"' in chunk
            undefined = undefined or any(byte in chunk for byte in _NOT_CP1252)
            if decoder is None:
                continue
            try:
                decoder.decode(chunk)
            except UnicodeError:
                if name != "utf-8" or encoding:
                    raise Unreadable(f"not valid {name}") from None
                name, decoder = "cp1252", None
    if decoder is not None:
        try:
            decoder.decode(b"", final=True)
        except UnicodeError:
            if name != "utf-8" or encoding:
                raise Unreadable(f"not valid {name}: it ends within a character") from None
            name, decoder = "cp1252", None
    if decoder is None and undefined:
        name = "latin-1"
    notes = [f"encoding {name}" + (" (not valid UTF-8)" if decoder is None else "")]
    end = last.rstrip(b"\x00") if wide else last
    ended = not end or end.endswith((b"\n", b"\r"))
    if not ended:
        notes.append("the last line has no line end")  # a file that was cut off looks like this
    return Text(name, quotes, tuple(notes), ended or whole, end.endswith(b'"'))


def open_lines(path: Path, encoding: str) -> io.TextIOWrapper:
    """The file as lines that end with CR, LF or CRLF only, line ends kept (U+0085 and the like are text)."""
    return open(path, encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="")
