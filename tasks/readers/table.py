"""Tables of text, from whichever container: which row holds the headers, and what each column is."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from schemas.export import Unreadable
from schemas.layout import Layout, Wide
from schemas.names import folded
from tasks.readers.headers import LONGEST, is_plain_unit, key, split_unit

#: the header row is looked for in so many records
HEADER_WITHIN = 30
IsAnalyte = Callable[[str], bool]
#: our column -> its 0-based field, or the two fields that are joined
Columns = dict[str, tuple[int, ...]]

#: the unit of a peak area
RESPONSE = "{area}"

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
class Head:
    """The first records of one table: of a delimited file cut at `name`, or of the sheet `name`."""

    name: str
    records: list[list[str]]

    @cached_property
    def keys(self) -> list[frozenset[str]]:
        """Of each record among which the headers are looked for, what its fields may be as headers."""
        return [_may_be(record) for record in self.records[:HEADER_WITHIN]]

    @cached_property
    def all_keys(self) -> frozenset[str]:
        """The keys of all these records."""
        return frozenset[str]().union(*self.keys)


@dataclass(frozen=True)
class Glance:
    """What the head of a file shows to detection."""

    text: str  # the first lines, where the container is text
    heads: Callable[[Layout], list[Head]]  # the tables that the file may hold, as the layout would cut them
    signature: bool = False  # the container is known for certain (magic bytes, a title that nothing else has)


@dataclass(frozen=True)
class Cell:
    """One analyte column of a wide table."""

    index: int  # 0-based field
    analyte: str | None  # None: the row says it
    unit: str | None
    rel_sd: int | None = None  # 0-based field of its uncertainty


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
    return not any(field.strip() for field in record)


@dataclass(frozen=True)
class Matched:
    """The headers of a layout in one record."""

    columns: Columns  # our column -> its field, or the two that are joined
    twice: tuple[str, ...]  # our columns whose header stands more than once
    value_unit: str | None = None  # the unit that the value's header states
    fallbacks: Columns = field(default_factory=dict)  # our column -> what is read where its cell is empty

    @property
    def taken(self) -> set[int]:
        """All fields that are ours."""
        read = (*self.columns.values(), *self.fallbacks.values())
        return {index for indexes in read for index in indexes}


@functools.lru_cache(maxsize=1_000)
def _keys(aliases: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """What a header may be, in order: the key of an alias, or the keys of two headers that are joined."""
    out: dict[tuple[str, ...], None] = {}
    for alias in aliases:
        out[(key(alias),)] = None
        if " + " in alias:
            out[tuple(key(part) for part in alias.split(" + "))] = None
    return tuple(out)


@functools.lru_cache(maxsize=1_000)
def _parts(columns: tuple[tuple[str, ...], ...]) -> frozenset[str]:
    """Every key that can be part of a header of these columns."""
    return frozenset(part for aliases in columns for keys in _keys(aliases) for part in keys)


def _may_be(names: list[str]) -> frozenset[str]:
    """The keys of the names, with and without a unit."""
    without_unit = (part[0] for name in names if (part := split_unit(name)))
    return frozenset(map(key, names)).union(map(key, without_unit))


@dataclass(frozen=True)
class Sought:
    """What the headers of a layout may be: of each set in `needed` one key must occur."""

    needed: list[frozenset[str]]
    known: frozenset[str]

    @classmethod
    def of(cls, layout: Layout) -> Sought:
        """As `lacking` asks for them."""

        def parts(*ours: str) -> frozenset[str]:
            aliases = (named.get(name) for named in (layout.columns, layout.fallbacks) for name in ours)
            return _parts(tuple(alias for alias in aliases if alias))

        needed = [frozenset(map(key, header.split(" | "))) for header in layout.detect.headers]
        bare = frozenset(map(key, (*layout.unit_headers, *layout.response)))
        constant = {*layout.constants, layout.sheet}
        known = parts(*layout.columns, *layout.fallbacks).union(bare, *needed)
        if not layout.detect.headers and "sample" not in constant:
            needed.append(parts("sample"))
        if layout.wide is None:
            needed.append(parts("value") | bare)
            if not constant & {"analyte", "code"}:
                needed.append(parts("analyte", "code"))
        return cls(needed, known)


def match(names: list[str], layout: Layout) -> Matched:
    """Each of our columns with the first of its aliases that occurs. The alias `Date + Time` stands for two
    headers whose texts are joined."""
    places: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        places.setdefault(key(name), []).append(index)
    places.pop("", None)
    columns: Columns = {}
    twice: list[str] = []
    value_unit = None

    fallbacks: Columns = {}

    def as_listed(hit: list[int], aliases: tuple[str, ...]) -> list[int]:
        """Of headers that differ in punctuation only (`CRLB` and `%CRLB`), those that the layout lists so."""
        return (len(hit) > 1 and [index for index in hit if names[index].strip() in aliases]) or hit

    def find(ours: str, among: dict[str, list[int]], aliases: tuple[str, ...], found: Columns) -> bool:
        if _parts((aliases,)).isdisjoint(among):
            return False
        for keys in _keys(aliases):
            hits = [as_listed(among[part], aliases) for part in keys if part in among]
            if len(hits) == len(keys):
                found[ours] = tuple(hit[0] for hit in hits)
                if any(len(hit) > 1 for hit in hits):
                    twice.append(ours)
                return True
        return False

    # most records that are looked at are no headers at all
    for ours, aliases in (
        layout.columns.items() if places.keys() & _parts(tuple(layout.columns.values())) else ()
    ):
        find(ours, places, aliases, columns)
    for ours, aliases in layout.fallbacks.items():
        find(ours, places, aliases, fallbacks if ours in columns else columns)
        if fallbacks.get(ours) == columns.get(ours):
            fallbacks.pop(ours, None)
    if "value" not in columns and layout.wide is None:
        units = {index: part for index, name in enumerate(names) if (part := split_unit(name))}
        with_unit: dict[str, list[int]] = {}
        for index, part in units.items():
            with_unit.setdefault(key(part[0]), []).append(index)
        if find("value", with_unit, layout.columns.get("value", ()), columns):
            value_unit = units[columns["value"][0]][1]
    for header in layout.unit_headers if "value" not in columns else ():
        if at := places.get(key(header)):
            columns["value"], value_unit = (at[0],), names[at[0]].strip()
            twice += ["value"] if len(at) > 1 else []
            break
    for header in layout.response if "value" not in columns else ():
        if at := places.get(key(header)):
            # the unit column, if any, is the one of concentrations
            columns = {ours: where for ours, where in columns.items() if ours != "unit"} | {"value": (at[0],)}
            value_unit = RESPONSE
            twice += ["value"] if len(at) > 1 else []
            break
    return Matched(columns, tuple(twice), value_unit, fallbacks)


def _cells(names: list[str], taken: set[int], layout: Layout, is_analyte: IsAnalyte) -> list[Cell]:
    """The analyte columns of a wide table: those the layout lists, those that its pattern says, and those whose
    header is an analyte."""
    wide = layout.wide
    if wide is None:
        return []
    listed = {key(header): analyte for header, analyte in wide.columns.items()}
    known = {key(text) for text in layout.analytes}
    units = {key(header): unit for header, unit in wide.units.items()}
    uncertain = _uncertainties(names, wide)
    cells = []
    for index, name in enumerate(names):
        if index in taken or index in uncertain.values() or not key(name):
            continue
        if key(name) in units:
            cells.append(Cell(index, None, units[key(name)]))
            continue
        part = split_unit(name, wide.header)
        if part and wide.header and wide.every:  # the pattern says it, whatever else the header may be
            cells.append(Cell(index, *part, uncertain.get(folded(part[0]))))
            continue
        for text, unit in ((name.strip(), None), *((part,) if part else ())):
            sd = uncertain.get(folded(text))
            if key(text) in listed:
                cells.append(Cell(index, listed[key(text)], unit or (part[1] if part else None), sd))
            elif key(text) in known or is_analyte(text):
                # the brackets of `Noradrenaline (norepinephrine)` hold another name, no unit
                name_too = unit is not None and is_analyte(unit) and not is_plain_unit(unit)
                cells.append(Cell(index, text, None if name_too else unit, sd))
            else:
                continue
            break
    return cells


def _uncertainties(names: list[str], wide: Wide) -> dict[str, int]:
    """The folded name of an analyte (`GABA+` is not `GABA`) -> the field of its uncertainty."""
    if wide.rel_sd is None:
        return {}
    found = ((index, re.search(wide.rel_sd, name.strip()[:LONGEST])) for index, name in enumerate(names))
    return {folded(match["analyte"]): index for index, match in found if match is not None}


def lacking(names: list[str], layout: Layout, is_analyte: IsAnalyte) -> list[str]:
    """What a record lacks to be the header row of this layout; empty: it is the header row.

    A layout asks for its `detect.headers`, and always for a value and for what was measured. Where it has
    no `detect.headers`, a sample must be told as well: that much keeps prose from being a table.
    """
    keys = {key(name) for name in names}
    wanted = {header: {key(either) for either in header.split(" | ")} for header in layout.detect.headers}
    lack = [f"header {header!r}" for header, either in wanted.items() if not either & keys]
    found = match(names, layout)
    there = {*found.columns, *layout.constants, layout.sheet}
    if "sample" not in there and not layout.detect.headers:
        lack.append("sample")
    if layout.wide is not None:
        if lack or not _cells(names, found.taken, layout, is_analyte):
            lack.append("an analyte column")
    else:
        if "value" not in found.columns:
            lack.append("value")
        if not there & {"analyte", "code"}:
            lack.append("analyte or code")
    return lack


def find_header(head: Head, layout: Layout, sought: Sought, is_analyte: IsAnalyte) -> int | None:
    """The 1-based record that holds the headers, None where there is none within `HEADER_WITHIN`."""
    if (only := layout.header_row) is not None:
        there = only <= len(head.records) and not lacking(head.records[only - 1], layout, is_analyte)
        return only if there else None
    # nearly all records hold data, or are cut at another delimiter: what they lack need not be told
    if any(head.all_keys.isdisjoint(either) for either in sought.needed):
        return None
    for number, keys in enumerate(head.keys, start=1):
        if any(keys.isdisjoint(either) for either in sought.needed):
            continue
        if not lacking(head.records[number - 1], layout, is_analyte):
            return number
    return None


def nearest(heads: list[Head], layout: Layout, is_analyte: IsAnalyte) -> list[str] | None:
    """What the record lacks that comes nearest to the headers of the layout; None where there are no records."""
    sought = Sought.of(layout)
    nothing = lacking([], layout, is_analyte)  # also of a record that has nothing which the layout knows
    lacks = [
        nothing if sought.needed and keys.isdisjoint(sought.known) else lacking(record, layout, is_analyte)
        for head in heads
        for record, keys in zip(head.records, head.keys, strict=False)
    ]
    return min(lacks, key=len, default=None)


def best(heads: list[Head], layout: Layout, is_analyte: IsAnalyte) -> tuple[Head, int] | None:
    """The head in which most columns are recognised (then: whose records agree most in their length),
    with the record of its headers; None where there are headers in none."""
    found: list[tuple[tuple[int, float], int, int]] = []
    sought = Sought.of(layout)
    for position, head in enumerate(heads):
        number = find_header(head, layout, sought, is_analyte)
        if number is None:
            continue
        names, rest = head.records[number - 1], head.records[number:]
        known = match(names, layout)
        cells = _cells(names, known.taken, layout, is_analyte)
        agree = sum(abs(len(record) - len(names)) <= 1 for record in rest) / max(1, len(rest))
        found.append(((len(known.columns) + len(cells), agree), -position, number))
    if not found:
        return None
    _, position, number = max(found)
    return heads[-position], number


def _true_names(names: list[str], rest: list[list[str]]) -> list[str]:
    """The headers, one for each field of the records: many programs end the records, or only the header,
    with one delimiter too many."""
    lengths = Counter(len(record) for record in rest if not is_blank(record))
    if not lengths or len(names) in lengths:
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
    cells = _cells(names, known.taken, layout, is_analyte)
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
