"""Tables of text, from whichever container: what shows that a file holds one, and what each column of it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from schemas.export import Unreadable
from schemas.layout import Layout
from schemas.names import folded
from tasks.readers.columns import Cell, Columns, IsAnalyte, analyte_columns, match
from tasks.readers.header_row import Head
from tasks.readers.headers import key

#: what stands under a header such as `Sample Type`, which some use for the role and some for the specimen
_ROLES = frozenset(
    """
    sample samples unknown unk analyte standard std cal calibrator calibration calibrant qc qualitycontrol
    control blank doubleblank matrixblank reagentblank solvent solventblank internalstandard istd is
    systemsuitability responsecheck pool probe unbekannt kalibrator leerwert kontrolle échantillon étalon
    blanc muestra patrón blanco
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Glance:
    """What the head of a file shows to detection."""

    text: str  # the first lines, where the container is text
    heads: Callable[[Layout], list[Head]]  # the tables that the file may hold, as the layout would cut them
    signature: bool = False  # the container is known for certain (magic bytes, a title that nothing else has)


@dataclass(frozen=True)
class Plan:
    """What each column of one table is."""

    header: int  # 1-based record
    names: list[str]  # the headers as sent, one for each field
    columns: Columns  # our column -> its 0-based field, or the two that are joined
    value_unit: str | None = None  # the unit that the header of a long table's value column states
    cells: list[Cell] = field(default_factory=list)  # wide tables only
    fallbacks: Columns = field(default_factory=dict)  # what is read where the cell in `columns` is empty

    @property
    def used(self) -> dict[str, str]:
        """Our column -> their header; the analyte columns of a wide table stand under `value`."""
        used = {ours: " + ".join(self.names[i] for i in indexes) for ours, indexes in self.columns.items()}
        for ours, indexes in self.fallbacks.items():
            used[ours] += ", else " + " + ".join(self.names[i] for i in indexes)
        if self.cells:
            used["value"] = " | ".join(self.names[cell.index] for cell in self.cells)
            beside = dict.fromkeys(cell.rel_sd for cell in self.cells if cell.rel_sd is not None)
            used |= {"rel_sd": " | ".join(self.names[index] for index in beside)} if beside else {}
        return used

    @property
    def unused(self) -> list[str]:
        """Headers of the columns that are not read, in order."""
        read = (*self.columns.values(), *self.fallbacks.values())
        taken = {
            *(i for indexes in read for i in indexes),
            *(c.index for c in self.cells),
            *(c.rel_sd for c in self.cells),
        }
        return [name for index, name in enumerate(self.names) if index not in taken and name.strip()]


def is_blank(record: Sequence[str]) -> bool:
    """Whether nothing stands in the record."""
    return not any(map(str.strip, record))


def _true_names(names: list[str], rest: list[list[str]]) -> list[str]:
    """The headers, one for each field of the records: many programs end the records, or only the header,
    with one delimiter too many."""
    if any(len(record) == len(names) and not is_blank(record) for record in rest):
        return names
    lengths = Counter(len(record) for record in rest if not is_blank(record))
    if not lengths:
        return names
    usual = lengths.most_common(1)[0][0]
    if usual == len(names) + 1 and not any(record[-1].strip() for record in rest if len(record) == usual):
        return [*names, ""]
    if usual == len(names) - 1 and not names[-1].strip():
        return names[:-1]
    return names


def _role_or_specimen(columns: Columns, rest: list[list[str]]) -> Columns:
    """Where one header is listed for both `role` and `specimen`, what stands under it decides."""
    at = columns.get("role")
    if at is None or at != columns.get("specimen"):
        return columns
    texts = {record[at[0]].strip() for record in rest if at[0] < len(record)} - {""}
    roles = all(
        text.casefold().replace(" ", "").replace("_", "").rstrip("0123456789") in _ROLES for text in texts
    )
    return {ours: where for ours, where in columns.items() if ours != ("specimen" if roles else "role")}


def make_plan(head: Head, header: int, layout: Layout, is_analyte: IsAnalyte) -> Plan:
    """The plan of the table whose headers are the record `header` of `head`.

    Raises Unreadable where a column that is read has its header twice.
    """
    names = _true_names(head.records[header - 1], head.records[header:])
    known = match(names, layout)
    cells = analyte_columns(names, known.taken, layout, is_analyte)
    twice = list(known.twice)
    # `GABA` and `GABA+` are two: what a key leaves out may tell two analytes apart
    headers = [(key(names[cell.index]), folded(cell.analyte or ""), cell.unit or "") for cell in cells]
    if len(set(headers)) < len(headers):
        twice.append("value")
    if twice:
        raise Unreadable(f"duplicate header for {', '.join(sorted(twice))}")
    columns = _role_or_specimen(known.columns, head.records[header:])
    if layout.wide is not None and layout.wide.unit_row:
        units = head.records[header] if len(head.records) > header else []
        told = dict(enumerate(unit.strip() for unit in units))
        cells = [replace(c, unit=c.unit or told.get(c.index) or None) for c in cells]
    return Plan(header, names, columns, known.value_unit, cells, known.fallbacks)
