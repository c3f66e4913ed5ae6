"""Readers: one for each container, and the choice of the layout by which an export is read.

A new container is one module beside this one and one line in `READERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import polars as pl

from schemas.export import MACHINES_FAULT, Reading, Unreadable, unforeseen
from schemas.layout import Layout
from tasks.readers import (
    analyst,
    compressed,
    dataset_json,
    delimited,
    fhir,
    hl7v2,
    lcmodel_csv,
    lcmodel_table,
    masshunter,
    mwtab,
    mwtab_json,
    quandata,
    shimadzu,
    targetlynx,
    workbook,
    xpt,
)
from tasks.readers.detect import FAMILIES, Choice, decide
from tasks.readers.header_row import Head
from tasks.readers.rows import in_parts
from tasks.readers.table import Glance
from tasks.readers.text import HEAD, head_kept, head_text

__all__ = ["READERS", "Choice", "Reader", "choose", "read", "tables"]


class Reader(Protocol):
    """What a module in this folder offers."""

    def glance(self, path: Path) -> Glance | None:
        """What the head of the file shows, None where it is not this reader's container. Looks at 64 KiB at
        most (workbooks: at the first rows of their sheets). Raises Unreadable where the container is known
        but cannot be opened."""

    def read(self, path: Path, layout: Layout, is_analyte: Callable[[str], bool]) -> Reading:
        """The rows of the export, read by `layout`. Raises Unreadable, also while its batches are used up."""


#: container -> its reader. The reader `table` of a layout stands for the containers of tables.
READERS: dict[str, Reader] = {
    "delimited": delimited,
    "workbook": workbook,
    "targetlynx": targetlynx,
    "xpt": xpt,
    "dataset_json": dataset_json,
    "lcmodel_table": lcmodel_table,
    "lcmodel_csv": lcmodel_csv,
    "mwtab_text": mwtab,
    "mwtab_json": mwtab_json,
    "hl7v2": hl7v2,
    "fhir": fhir,
    "quandata": quandata,
    "masshunter": masshunter,
    "analyst": analyst,
    "shimadzu": shimadzu,
}


def choose(
    path: Path,
    layouts: dict[str, Layout],
    lab: str,
    pinned: tuple[str, ...] = (),
    is_analyte: Callable[[str], bool] | None = None,
    explain: bool = False,
) -> Choice:
    """The layout that fits what the file holds; its name is never looked at.

    `layouts`: all that are known, by name. `pinned`: the only ones to be considered, whatever labs they
    are for. `is_analyte`: tells headers of analytes; without it a wide table is recognised only by the
    headers that its layout lists. `explain`: tell what the layouts lack that do not fit. Never raises for
    what the file holds: then `Choice.reason` says it.
    """
    unknown = [name for name in pinned if name not in layouts]
    if unknown:
        return Choice(None, f"no such layout: {', '.join(unknown)}", [])
    offered = [layouts[name] for name in pinned] or [
        layout for layout in layouts.values() if not layout.labs or lab in layout.labs
    ]
    try:
        with compressed.opened(path, whole=False) as shown, head_kept(shown.path) as head:
            if len(head) < HEAD and not head_text(head).strip():
                return Choice(None, "empty file", [])
            glances = {name: reader.glance(shown.path) for name, reader in READERS.items()}
            return decide(glances, offered, layouts, lab, is_analyte or (lambda text: False), explain)
    except MACHINES_FAULT:
        raise
    except Unreadable as error:
        return Choice(None, str(error), [])
    except Exception as error:  # a file that no one foresaw must not stop the good ones beside it
        return Choice(None, unforeseen(error), [])


def read(path: Path, layout: Layout, is_analyte: Callable[[str], bool]) -> Reading:
    """The rows of the export, read by `layout`. Raises Unreadable, also while its batches are used up."""
    names = FAMILIES.get(layout.reader, (layout.reader,))
    if not all(name in READERS for name in names):
        there = ", ".join([*READERS, *FAMILIES])
        raise Unreadable(f"layout {layout.name} names the reader {layout.reader!r}; there are {there}")
    export = compressed.opened(path)
    try:
        # the last one is asked without a look, so that it can say what is wrong with the file
        name = next((name for name in names[:-1] if READERS[name].glance(export.path) is not None), names[-1])
        reading = READERS[name].read(export.path, layout, is_analyte)
    except BaseException:
        export.close()
        raise
    if layout.checked_by is not None:
        reading.batches = _checked(reading, reading.batches, layout.checked_by[0])
    if (pattern := layout.values.parts) is not None:
        reading.batches = (in_parts(rows, pattern) for rows in reading.batches)
    if export.note is not None:
        reading.notes.insert(0, export.note)
        reading.batches = export.until_read(reading.batches)
    return reading


def _checked(reading: Reading, batches: Iterator[pl.DataFrame], header: str) -> Iterator[pl.DataFrame]:
    """The batches, and behind the last one a note in `reading` of the values that the layout's check refutes."""
    yield from batches
    if reading.disagreeing:
        reading.notes.append(f"{reading.disagreeing} values differ from {header} in the same unit")


def tables(path: Path, layout: Layout) -> list[Head]:
    """The first records of each table that the file may hold, as `layout` would cut them. Raises Unreadable."""
    with compressed.opened(path, whole=False) as shown:
        glances = [READERS[name].glance(shown.path) for name in FAMILIES["table"]]
        return [head for glance in glances if glance is not None for head in glance.heads(layout)]
