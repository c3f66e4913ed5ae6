"""Every golden input, taken in for real: recognised or told why not, and every row accounted for."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from schemas.layout_files import BUILT_IN
from tasks.ledger import Ledger
from tests.home import Home

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
INPUTS = sorted(path for path in HERE.glob("*/*/input*") if path.is_file())


@pytest.fixture(scope="module")
def taken_in(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home into which every input was taken as an export of one lab, by the built-in layouts."""
    home = Home(tmp_path_factory.mktemp("formats"))
    exports = {home.archive("lab", path.read_bytes()) for path in INPUTS}
    home.commit(*sorted(exports))
    home.publish()
    return home


def test_every_golden_input_is_conserved(taken_in: Home) -> None:
    snapshot = Ledger(taken_in.settings.store).open()
    receipts = snapshot.receipts("lab")
    assert len(receipts) > 60
    rows = snapshot.rows("lab").select("export", "row", "item", "accepted", "reasons").collect()
    counted = rows.group_by("export").agg(
        pl.len().alias("in_ledger"), pl.col("accepted").sum().alias("in_results")
    )
    both = receipts.join(counted, on="export", how="left").with_columns(
        pl.col("in_ledger", "in_results").fill_null(0)
    )
    assert both.filter(
        (pl.col("rows") != pl.col("in_ledger"))
        | (pl.col("accepted_rows") != pl.col("in_results"))
        | (pl.col("rows") != pl.col("accepted_rows") + pl.col("quarantined_rows"))
    ).is_empty()
    assert not rows.select("export", "row", "item").is_duplicated().any()
    assert (rows["accepted"] == (rows["reasons"].list.len() == 0)).all()
    assert receipts.filter(pl.col("reason").str.starts_with("could not be read:"))["reason"].to_list() == []


def test_every_built_in_layout_is_described_and_reads_a_golden_input(taken_in: Home) -> None:
    names = {path.stem for path in BUILT_IN.glob("*.toml")}
    described = set(
        re.findall(r"^\| `([a-z0-9-]+)` \|", (ROOT / "docs" / "formats.md").read_text("utf-8"), re.MULTILINE)
    )
    assert described == names
    receipts = Ledger(taken_in.settings.store).open().receipts("lab")
    assert names - set(receipts["layout"].drop_nulls()) == set()
