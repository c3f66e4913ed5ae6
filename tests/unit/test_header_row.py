"""The row of headers is found without a look at each record: the same one as with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.layout import Layout, Wide
from schemas.layout_files import load_layouts
from tasks.readers.columns import match
from tasks.readers.header_row import HEADER_WITHIN, Head, Sought, find_header, lacking, nearest

SHIPPED = load_layouts()
OWN = [
    Layout(name="joined", columns={"sample": ["Date + No"], "value": ["Value"], "analyte": ["Test"]}),
    Layout(name="constant", columns={"value": ["Value"]}, constants={"sample": "S1", "analyte": "dopamine"}),
    Layout(name="wide", columns={}, constants={"sample": "S1"}, wide=Wide()),
]
LAYOUTS = [*SHIPPED.values(), *OWN]
HEADERS = sorted(
    {
        text
        for layout in LAYOUTS
        for aliases in (*layout.columns.values(), *layout.fallbacks.values(), layout.detect.headers, layout.response, layout.unit_headers)
        for alias in aliases
        for text in (*alias.replace(" | ", " + ").split(" + "), f"{alias} (nmol/L)")
    }
)  # fmt: skip
CELLS = st.sampled_from([*HEADERS, "Dopamine", "Serotonin (nmol/L)", "GABA", "Value"]) | st.sampled_from(
    ["", " ", "S1", "12,5", "nmol/L", "urine", "x" * 300]
)
RECORDS = st.lists(st.lists(CELLS, max_size=7), max_size=HEADER_WITHIN + 3)


def is_analyte(text: str) -> bool:
    return text.casefold() in ("dopamine", "serotonin", "gaba")


def as_header_row(layout: Layout, draw) -> list[str]:
    return [draw(st.sampled_from(list(aliases))) for aliases in layout.columns.values() if aliases]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@given(records=RECORDS, data=st.data())
def test_the_record_of_the_headers_is_the_first_that_lacks_nothing(layout, records, data):
    if data.draw(st.booleans()):
        records.insert(data.draw(st.integers(0, len(records))), as_header_row(layout, data.draw))
    looked_at = records[:HEADER_WITHIN]
    if layout.header_row is not None:
        looked_at = [[]] * (layout.header_row - 1) + records[layout.header_row - 1 : layout.header_row]
    complete = (
        n for n, record in enumerate(looked_at, 1) if record and not lacking(record, layout, is_analyte)
    )
    assert find_header(Head(",", records), layout, Sought.of(layout), is_analyte) == next(complete, None)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@given(tables=st.lists(RECORDS, max_size=2))
def test_of_records_that_all_lack_something_the_one_that_lacks_least_is_told(layout, tables):
    lacks = [lacking(record, layout, is_analyte) for records in tables for record in records[:HEADER_WITHIN]]
    heads = [Head(",", records) for records in tables]
    assert nearest(heads, layout, is_analyte) == (sorted(lacks, key=len)[0] if lacks else None)


def test_what_headers_are_is_found_once_and_can_be_changed_by_nobody() -> None:
    names = ["Sample ID", "Analyte", "Result"]
    found = match(names, SHIPPED["generic"])
    assert match(list(names), SHIPPED["generic"]) is found
    with pytest.raises(TypeError):
        found.columns["analyte"] = (0,)  # type: ignore[index]
