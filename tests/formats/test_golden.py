"""Every golden case reads as expected, and every record of its source is a row or a named skip."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.formats.golden import HERE, RECORDS, cases, counted, facts, run

CASES = [pytest.param(case, id=str(case.relative_to(HERE))) for case in cases()]


def test_there_are_cases() -> None:
    assert len(CASES) > 25


@pytest.mark.parametrize("case", CASES)
def test_reads_as_expected(case: Path) -> None:
    expected = facts(case)
    result = run(case)
    wanted = {key: value for key, value in expected.items() if key not in ("source", "rows_checked_by")}
    assert result.facts == wanted
    if result.csv is None or "rows_checked_by" in expected:  # a test of its own checks a long one
        return
    path = case / "expected.csv"
    assert path.exists(), f"{path} is missing: see tests/formats/write_goldens.py"
    assert result.csv == path.read_bytes().decode("utf-8")


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_lost(case: Path) -> None:
    """Rows and skips add up to a count of records that the reader did not make."""
    expected = facts(case)
    if "skipped" not in expected:
        return
    result = run(case)
    assert not result.rows.select("row", "item").is_duplicated().any()
    assert result.rows["row"].is_sorted() or "!" in result.rows["item"][0]  # sheets begin anew
    how = expected["source"]
    records = counted(case, how)
    skipped = result.facts["skipped"]
    if "cells" not in how:
        assert result.rows.height + sum(skipped.values()) == records
        return
    # a wide table: what is left of the records has so many analyte cells each
    whole = sum(count for name, count in skipped.items() if name in RECORDS)
    broken = result.rows["defect"].count()
    cells = (records - whole - broken) * how["cells"]
    assert result.rows.height - broken + skipped.get("empty cell", 0) == cells
