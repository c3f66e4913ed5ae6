"""Small exports are judged together: what becomes of each is what becomes of it alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from schemas.export import Reading, Unreadable
from tasks import judged, readers
from tasks.bench import Bench
from tasks.prepare import prepare
from tests.home import Home, table

POINT = table({"value": "1,234.5"}, {"sample": "S2", "value": "12.5"}, {"sample": "S3", "value": "1,234"})
COMMA = table({"value": "0,5"}, {"sample": "S5", "value": "1,234"}, {"sample": "S6", "analyte": "phlogiston"})
BARE = table({"sample": "S7", "value": "1,234"}, {"sample": "S8", "value": "<5", "unit": "parsec"})
WIDE = (
    b"Sample ID;Specimen;Collected;Dopamine (nmol/L);Serotonin (nmol/L)\nW1;urine;2024-03-01 08:00;150;70\n"
)
EMPTY = b"Sample ID,Test,Result,Units,Specimen,Collected\n"
PROSE = b"Dear laboratory,\nplease find the results enclosed.\n"
ALL = (POINT, COMMA, PROSE, BARE, WIDE, EMPTY)


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path)


def taken_in(home: Home, *together: list[bytes]) -> tuple[pl.DataFrame, list[dict]]:
    """The rows, and what the receipts say, of contents that are prepared together."""
    bench = Bench.of(home.settings)
    rows, said = [], []
    for contents in together:
        exports = [home.archive("north", content) for content in contents]
        prepared, staged = prepare(bench, exports, {})
        assert [p.export for p in prepared] == exports
        rows += [home.ledger.staged_rows(file) for file in staged]
        said += [p.receipt | {"hash": p.reading_hash} for p in prepared]
        home.ledger.discard(staged)
    return pl.concat(rows).sort("export", "row", "item"), said


@pytest.mark.parametrize("at_a_time", [1, 3, 50_000])
def test_exports_that_are_prepared_together_become_what_they_become_alone(home, monkeypatch, at_a_time):
    alone, said_alone = taken_in(home, *([content] for content in ALL))
    monkeypatch.setattr(judged, "ROWS_TOGETHER", at_a_time)
    rows, said = taken_in(home, list(ALL))
    assert said == said_alone
    assert rows.equals(alone)
    assert len({said["layout"] for said in said}) == 3, "long, wide, and none"
    low = dict(rows.filter(pl.col("accepted")).select("sample", "low").iter_rows())
    assert (low["S3"], low["S5"]) == (pytest.approx(1.234), pytest.approx(1.234e-3)), "each by its own marks"
    assert "S7" not in low, "what nothing in its own export proves stays ambiguous"


@pytest.mark.parametrize("at_a_time", [1, 50_000])
def test_an_export_that_turns_out_to_be_unreadable_takes_no_rows_of_others_with_it(
    home, monkeypatch, at_a_time
):
    expected, said_before = taken_in(home, [POINT, BARE])
    whole = readers.read

    def half(path, layout, is_analyte) -> Reading:
        reading = whole(path, layout, is_analyte)
        if path.read_bytes() == COMMA:
            batches = reading.batches

            def cut() -> Iterator[pl.DataFrame]:
                yield from batches
                raise Unreadable("it ends in the middle")

            reading.batches = cut()
        return reading

    monkeypatch.setattr(readers, "read", half)
    monkeypatch.setattr(judged, "ROWS_TOGETHER", at_a_time)
    rows, (first, failed, last) = taken_in(home, [POINT, COMMA, BARE])
    assert rows.equals(expected)
    assert [first, last] == said_before
    assert (failed["reason"], failed["rows"], failed["skipped"]) == ("it ends in the middle", 0, [])


def test_an_export_that_no_one_foresaw_stops_none_of_those_judged_with_it(home, monkeypatch):
    plain = [table({"sample": sample}) for sample in ("S1", "S2", "S3")]
    expected, said_before = taken_in(home, [plain[0], plain[2]])
    usual = judged.standardise

    def fragile(rows: pl.DataFrame, context: judged.Context) -> pl.DataFrame:
        if "S2" in rows["sample"]:
            raise ZeroDivisionError
        return usual(rows, context)

    monkeypatch.setattr(judged, "standardise", fragile)
    rows, (first, failed, last) = taken_in(home, plain)
    assert rows.equals(expected)
    assert [first, last] == said_before
    assert (failed["reason"], failed["rows"]) == ("could not be read: ZeroDivisionError", 0)


def test_an_export_whose_head_no_one_foresaw_stops_none_of_those_beside_it(home, monkeypatch):
    plain = [table({"sample": sample}) for sample in ("S1", "S2", "S3")]
    expected, said_before = taken_in(home, [plain[0], plain[2]])
    usual = readers.delimited.glance

    def fragile(path: Path) -> readers.Glance | None:
        if b"S2" in path.read_bytes():
            raise ZeroDivisionError
        return usual(path)

    monkeypatch.setattr(readers.delimited, "glance", fragile)
    rows, (first, failed, last) = taken_in(home, plain)
    assert rows.equals(expected)
    assert [first, last] == said_before
    assert (failed["layout"], failed["reason"]) == (None, "could not be read: ZeroDivisionError")
