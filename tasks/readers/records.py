"""Records of delimited text one by one, for containers whose tables a column parser cannot cut: headers of
two rows, sections, tables of several widths in one file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from schemas.export import Unreadable
from tasks.readers.delimited import SWALLOWED
from tasks.readers.last_record import CUT
from tasks.readers.rows import WRONG_LENGTH


class _Tee:
    """Hands lines on and keeps those of the record that is being cut."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines, self.taken = iter(lines), [""]

    def __iter__(self) -> _Tee:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.taken.append(line)
        return line


def records(lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str], str]]:
    """The 1-based number, the fields and the text (with its line end) of each record; a field in quotes may
    run over several lines. Raises Unreadable for a field of more than 128 KiB."""
    tee = _Tee(lines)
    reader = csv.reader(tee, delimiter=delimiter)
    number = 0
    while True:
        tee.taken.clear()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            fields = None
        if fields is None:  # outside the handler, whose message may quote the text
            raise Unreadable("cannot be parsed as delimited text (a quote that is never closed?)")
        number += 1
        yield number, fields, "".join(tee.taken)


def fault(fields: list[str], raw: str, width: int, delimiter: str, read: Iterable[int]) -> str | None:
    """What is wrong with a record of a table of `width` columns of which those at `read` are read."""
    if len(fields) != width:
        return WRONG_LENGTH
    if "\n" in raw.rstrip("\r\n") or "\r" in raw.rstrip("\r\n"):
        # a quote that is never closed takes the records after it for the text of one field
        lines = raw.splitlines()[1:]
        if any(line.count(delimiter) >= max(1, width - 2) for line in lines):
            return SWALLOWED
    if not raw.endswith(("\n", "\r")) and width - 1 in read:
        return CUT
    return None
