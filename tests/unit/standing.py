"""What stands of rows of the ledger, as the tests of the latest results ask for it."""

from __future__ import annotations

import polars as pl

from tasks.current import current
from tests.unit.rows import day, ledger_rows


def stands(*rows: dict) -> dict[tuple[str, str], tuple[float, float]]:
    """(sample, analyte) -> the interval that stands."""
    results = current(ledger_rows(*rows)).results
    assert not results.select("sample_key", "analyte", "unit").is_duplicated().any()
    return {(r["sample_key"], r["analyte"]): (r["low"], r["high"]) for r in results.to_dicts()}


def value(*rows: dict) -> float | None:
    """The one value that stands for dopamine in sample `s`."""
    return stands(*rows).get(("s", "dopamine"), (None,))[0]


def problem(*rows: dict) -> str | None:
    """Why no dopamine stands, if it is said."""
    found = current(ledger_rows(*rows))
    assert found.results.filter(pl.col("analyte") == "dopamine").is_empty()
    named = found.problems.filter(pl.col("analyte") == "dopamine")["problem"].to_list()
    return named[0] if named else None


def reported(number: float) -> dict:
    """What a row says that was reported on that day."""
    return {"reported_at": day(number)}


def arrived(number: float, export: str) -> dict:
    """What a row says that came with `export` on that day."""
    return {"received_at": day(number), "export": export}
