"""What the columns of a record are, as headers: each of our columns, and the analytes of a wide table."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from schemas.layout import Layout, Wide
from schemas.names import folded
from tasks.readers.headers import LONGEST, is_plain_unit, key, split_unit

IsAnalyte = Callable[[str], bool]
#: our column -> its 0-based field, or the two fields that are joined
Columns = Mapping[str, tuple[int, ...]]

#: the unit of a peak area
RESPONSE = "{area}"


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


@dataclass(frozen=True)
class Cell:
    """One analyte column of a wide table."""

    index: int  # 0-based field
    analyte: str | None  # None: the row says it
    unit: str | None
    rel_sd: int | None = None  # 0-based field of its uncertainty


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
def key_parts(columns: tuple[tuple[str, ...], ...]) -> frozenset[str]:
    """Every key that can be part of a header of these columns."""
    return frozenset(part for aliases in columns for keys in _keys(aliases) for part in keys)


def match(names: list[str], layout: Layout) -> Matched:
    """Each of our columns with the first of its aliases that occurs. The alias `Date + Time` stands for two
    headers whose texts are joined."""
    return _match(tuple(names), layout)


@functools.lru_cache(
    maxsize=200
)  # of one export it is asked several times, and thousands have the same headers
def _match(names: tuple[str, ...], layout: Layout) -> Matched:
    places: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        places.setdefault(key(name), []).append(index)
    places.pop("", None)
    columns: dict[str, tuple[int, ...]] = {}
    twice: list[str] = []
    value_unit = None
    fallbacks: dict[str, tuple[int, ...]] = {}

    def as_listed(hit: list[int], aliases: tuple[str, ...]) -> list[int]:
        """Of headers that differ in punctuation only (`CRLB` and `%CRLB`), those that the layout lists so."""
        return (len(hit) > 1 and [index for index in hit if names[index].strip() in aliases]) or hit

    def find(
        ours: str, among: dict[str, list[int]], aliases: tuple[str, ...], found: dict[str, tuple[int, ...]]
    ) -> bool:
        if key_parts((aliases,)).isdisjoint(among):
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
        layout.columns.items() if places.keys() & key_parts(tuple(layout.columns.values())) else ()
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
    # the next to ask is given the same, so nobody may change it
    return Matched(MappingProxyType(columns), tuple(twice), value_unit, MappingProxyType(fallbacks))


def analyte_columns(names: list[str], taken: set[int], layout: Layout, is_analyte: IsAnalyte) -> list[Cell]:
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
