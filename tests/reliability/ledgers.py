"""What holds of the ledger of a home, whatever was committed to it."""

from __future__ import annotations

import polars as pl

from tests.home import Home


def rows_of(home: Home, lab: str = "north") -> pl.DataFrame:
    """All rows of a lab, of every edition."""
    return home.ledger.open().all_rows(lab).collect()


def staged_files(home: Home) -> set[str]:
    """The files of the ledger that are there, whether a version names them or not."""
    return {item.name.removeprefix("ledger/") for item in home.settings.store.items("ledger/files")}


def assert_once(home: Home, lab: str = "north") -> None:
    """Every (export, edition, row, item) once, one receipt per edition, counts that agree, and no stray file."""
    snapshot = home.ledger.open()
    rows, receipts = snapshot.all_rows(lab).collect(), snapshot.all_receipts(lab)
    assert not rows.select("export", "edition", "row", "item").is_duplicated().any()
    assert not receipts.select("export", "edition").is_duplicated().any()
    assert (receipts["rows"] == receipts["accepted_rows"] + receipts["quarantined_rows"]).all()
    counted = rows.group_by("export", "edition").agg(pl.len(), pl.col("accepted").sum())
    both = receipts.join(counted, on=["export", "edition"], how="left").fill_null(0)
    assert both["rows"].to_list() == both["len"].to_list()
    assert both["accepted_rows"].to_list() == both["accepted"].to_list()
    assert staged_files(home) == snapshot.paths
