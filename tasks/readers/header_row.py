"""Which record of a table holds the headers, and what a record lacks to be it."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from schemas.layout import Layout
from tasks.readers.columns import IsAnalyte, analyte_columns, key_parts, match
from tasks.readers.headers import key, split_unit

#: the header row is looked for in so many records
HEADER_WITHIN = 30


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


@functools.lru_cache(maxsize=50_000)
def _keys(name: str) -> tuple[str, ...]:
    """The keys of a field, with and without a unit."""
    part = split_unit(name)
    return (key(name), key(part[0])) if part else (key(name),)


def _may_be(names: list[str]) -> frozenset[str]:
    """The keys of the fields of a record."""
    return frozenset(chain.from_iterable(map(_keys, names)))


@dataclass(frozen=True)
class Sought:
    """What the headers of a layout may be: of each set in `needed` one key must occur."""

    needed: list[frozenset[str]]
    known: frozenset[str]

    @classmethod
    @functools.lru_cache(maxsize=1_000)  # every export asks for all layouts
    def of(cls, layout: Layout) -> Sought:
        """As `lacking` asks for them."""

        def parts(*ours: str) -> frozenset[str]:
            aliases = (named.get(name) for named in (layout.columns, layout.fallbacks) for name in ours)
            return key_parts(tuple(alias for alias in aliases if alias))

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
        if lack or not analyte_columns(names, found.taken, layout, is_analyte):
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
        cells = analyte_columns(names, known.taken, layout, is_analyte)
        lengths = Counter(map(len, rest))
        agree = sum(lengths[len(names) + more] for more in (-1, 0, 1)) / max(1, len(rest))
        found.append(((len(known.columns) + len(cells), agree), -position, number))
    if not found:
        return None
    _, position, number = max(found)
    return heads[-position], number
