"""Reports made of one table after another: what the readers of such texts share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import polars as pl

from schemas.export import ROWS_SCHEMA, Reading, Unreadable
from schemas.layout import Layout
from tasks.readers.columns import match
from tasks.readers.last_record import CUT
from tasks.readers.rows import FILLED, WRONG_LENGTH
from tasks.readers.text import Text, open_lines

#: rows of one batch at most
BATCH = 50_000


class Blocks:
    """The columns of the table that goes by, and the rows found so far.

    `columns`: our column -> fields of the present table; `names`: its headers, None outside a table.
    """

    def __init__(self, layout: Layout, reading: Reading) -> None:
        self.layout, self.reading = layout, reading
        self.names: list[str] | None = None
        self.columns: dict[str, tuple[int, ...]] = {}
        self.unit: str | None = None  # the unit that the header of the value states
        self.rows: list[dict[str, object]] = []
        self._seen: dict[str, None] = {}  # all headers, in order
        self._used: set[str] = set()

    def header(self, names: list[str], keys: list[str] | None = None) -> None:
        """A line of headers. `keys`: the headers as they are compared, where that is not how they are written.
        Raises Unreadable where one that is read stands twice."""
        found = match(keys or names, self.layout)
        if found.twice:
            raise Unreadable(f"duplicate header for {', '.join(found.twice)}")
        self.names, self.columns, self.unit = names, dict(found.columns), found.value_unit
        self.reading.skip("column header")
        for ours, at in self.columns.items():
            self.reading.columns_used[ours] = " + ".join(names[i] for i in at)
        self._used |= {names[i] for at in self.columns.values() for i in at}
        self._seen |= dict.fromkeys(name for name in names if name.strip())

    def drop(self, ours: str) -> None:
        """What the present table does not tell, whatever a header of it looks like."""
        if self.columns.pop(ours, None) is not None:
            self.reading.columns_used.pop(ours, None)

    def fields(self, line: str, delimiter: str = "\t") -> list[str] | None:
        """The fields of a line of the table, None where it has too many or too few: some versions end the
        rows, not the header, with a delimiter, and others the header alone."""
        assert self.names is not None
        cells = line.split(delimiter)
        if len(cells) == len(self.names) + 1 and not cells[-1].strip():
            cells.pop()
        if len(cells) == len(self.names) - 1 and not self.names[-1].strip():
            cells.append("")
        return cells if len(cells) == len(self.names) else None

    def record(
        self, number: int, line: str, cells: list[str] | None, told: dict[str, object], cut: bool
    ) -> None:
        """One line of the table. `told`: what stands outside of it, which a filled cell outdoes; `cut`: the
        line is the file's last and has no line end."""
        if cells is None:
            return self.broken(number, line, WRONG_LENGTH, told)
        if cut and any(len(cells) - 1 in at for at in self.columns.values()):
            return self.broken(number, line, CUT, told)
        row: dict[str, object] = {k: v for k, v in self.layout.constants.items() if k not in self.columns}
        for ours, at in self.columns.items():
            text = cells[at[0]] if len(at) == 1 else " ".join(cells[i] for i in at).strip()
            if not text.strip() and ours in FILLED:
                text = self.layout.constants.get(ours, text)
            row[ours] = text
        row |= {
            ours: text
            for ours, text in told.items()
            if ours not in self.columns or not str(row.get(ours) or "").strip()
        }
        if self.unit is not None:
            row["unit"] = self.unit
        self.rows.append(row | {"row": number, "item": "1"})

    def broken(self, number: int, line: str, defect: str, told: dict[str, object]) -> None:
        """A line that is no record of a table."""
        self.rows.append(told | {"row": number, "item": "1", "raw": line, "defect": defect})

    def frame(self) -> pl.DataFrame:
        """The rows found since the last call."""
        rows, self.rows = self.rows, []
        return pl.DataFrame(rows, schema=ROWS_SCHEMA, orient="row")

    def finish(self) -> None:
        """Everything has gone by: say what was not read."""
        self.reading.columns_unused = [name for name in self._seen if name not in self._used]


class Report(Protocol):
    """What a reader of such texts keeps while the lines go by."""

    blocks: Blocks

    def take(self, number: int, line: str, cut: bool) -> None:
        """One line, without its end: a row, or counted as skipped. `cut`: it is the last and has no line end."""

    def end(self) -> None:
        """There are no more lines."""


def by_lines(path: Path, text: Text, report: Report, without: str) -> Iterator[pl.DataFrame]:
    """The rows that `report` finds in the lines of the text. Raises Unreadable, which says `without`, where there
    was no table."""
    blocks = report.blocks
    with open_lines(path, text.encoding) as lines:
        for number, line in enumerate(lines, start=1):
            cut = not text.ended and not line.endswith(("\n", "\r"))
            report.take(number, line.rstrip("\r\n"), cut)
            if len(blocks.rows) >= BATCH:
                yield blocks.frame()
    report.end()
    if "column header" not in blocks.reading.skipped:
        raise Unreadable(without)
    blocks.finish()
    if blocks.rows:
        yield blocks.frame()
