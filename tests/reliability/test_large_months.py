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


#: rows that make a month so large that it is divided, and give no metric: {} is the number of the sample that does
WITHOUT_METRICS = {
    "of the same sample": [
        {"sample": "S{}", "analyte": "serotonin", "replicate": str(n)} for n in range(3 * FEW)
    ],
    "all quarantined": [{"sample": f"Q{n}", "analyte": "unobtainium"} for n in range(3 * FEW)],
    "a specimen that no metric is defined in": [
        {"sample": f"P{n}", "specimen": "platelets", "analyte": "serotonin"} for n in range(3 * FEW)
    ],
}


@pytest.mark.parametrize("others", WITHOUT_METRICS)
def test_a_month_is_published_whichever_of_its_parts_have_no_metric(tmp_path, spool, others):
    # a sample's part is chosen by its id: of several, some stand in the first part and some in another
    for number in range(8):
        mine = [
            {"sample": f"S{number}", "analyte": name, "value": "5"} for name in ("kynurenine", "tryptophan")
        ]
        rows = [
            SERUM | {"collected_at": "2024-03-01 08:30"} | row for row in (*mine, *WITHOUT_METRICS[others])
        ]
        at_once, in_parts = (
            Home(tmp_path / f"{name}-{number}", options={"id_key": KEY} | options)
            for name, options in (("one", {}), ("other", {"rows_per_batch": FEW}))
        )
        for home in (at_once, in_parts):
            home.ingest("north", table(*rows))
        assert list(same(at_once.comparable(), in_parts.comparable())) == []
        assert in_parts.output("metrics").filter(metric="kyn_trp")["value"].drop_nulls().to_list() == [1000.0]


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
