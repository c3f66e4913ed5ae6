"""A month that is too large to be computed at once is computed in parts: its outputs hold the same rows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tasks import build
from tests.home import Home, same, table

SERUM = {"specimen": "serum", "unit": "umol/L"}
#: rows of outputs at a time; each of the two months has several times as many
FEW = 10
KEY = "the same for all homes"


@pytest.fixture
def spool(tmp_path, monkeypatch) -> Path:
    """Where temporary files stand."""
    place = tmp_path / "spool"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def exports() -> Iterator[bytes]:
    """Two months of samples; then corrections, of which one moves a sample to the other month, and a bad one."""
    rows = [
        SERUM | {"subject": f"P{n % 7}", "sample": f"S{n}", "analyte": analyte, "value": f"{value + n}",
                 "collected_at": f"2024-0{3 + n % 2}-0{1 + n % 9} 08:30"}
        for n in range(40) for analyte, value in (("kynurenine", 2), ("tryptophan", 50))
    ]  # fmt: skip
    yield table(*rows, rows[0] | {"sample": "S99", "value": "much"})
    later = {"status": "corrected", "reported_at": "2024-05-01 08:00"}
    yield table(
        rows[0] | later | {"collected_at": "2024-04-20 08:30"},
        rows[1] | later | {"collected_at": "2024-04-20 08:30", "value": "77"},
        rows[4] | later | {"value": "a lot"},
    )


def test_a_month_in_parts_holds_the_same_rows_as_at_once(tmp_path, spool):
    at_once, in_parts = (
        Home(tmp_path / name, options={"id_key": KEY} | options)
        for name, options in (("one", {}), ("other", {"rows_per_batch": FEW}))
    )
    for content in exports():
        for home in (at_once, in_parts):
            home.ingest("north", content)
    assert list(same(at_once.comparable(), in_parts.comparable())) == []
    assert in_parts.output("panels")["month"].value_counts().sort("month").rows() == [
        ("2024-03", 19),
        ("2024-04", 21),
    ]
    assert len(in_parts.output("quarantine")) == 2
    assert list(spool.iterdir()) == []


def test_the_parts_of_a_month_stand_in_an_order_that_arrival_does_not_change(tmp_path, spool):
    one, other = (Home(tmp_path / name, options={"rows_per_batch": FEW, "id_key": KEY}) for name in "ab")
    contents = list(exports())
    for home, order in ((one, contents), (other, contents[::-1])):
        for content in order:
            home.ingest("north", content)
    for dataset in ("metrics", "panels"):
        assert one.output(dataset).equals(other.output(dataset)), dataset


def test_a_part_that_fails_leaves_no_temporary_files_and_the_next_run_publishes(tmp_path, spool, monkeypatch):
    home = Home(tmp_path / "home", options={"rows_per_batch": FEW})
    usual, calls = build.current, []

    def failing(rows: pl.DataFrame) -> build.current:
        calls.append(len(rows))
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return usual(rows)

    content = next(exports())
    with monkeypatch.context() as broken:
        broken.setattr(build, "current", failing)
        with pytest.raises(OSError, match="No space left"):
            home.ingest("north", content)
    assert len(calls) >= 3
    assert list(spool.iterdir()) == []
    home.ingest("north", content)
    assert len(home.output("panels")) == 40
