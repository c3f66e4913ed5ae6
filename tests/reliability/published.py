"""What the tests of publishing send in, and what holds of the outputs whatever was sent."""

from __future__ import annotations

import polars as pl
import pyarrow.parquet as pq

from tests.home import Home, table

SERUM = {"specimen": "serum", "unit": "umol/L"}
KYN, TRP = SERUM | {"analyte": "kynurenine", "value": "2"}, SERUM | {"analyte": "tryptophan", "value": "50"}


def sent() -> list[bytes]:
    """Originals and corrections of one lab: moved samples, withdrawals, quarantined ones, a preliminary one."""

    def at(day: int, **row) -> dict:
        return {"reported_at": f"2024-06-{day:02} 12:00"} | row

    return [
        table(*(at(1, **row, sample=f"S{n}") for n in range(6) for row in (KYN, TRP))),
        table(at(2, **KYN | {"value": "3"}, sample="S0", status="corrected"), at(2, **KYN | {"value": "9"}, sample="S1", status="preliminary")),
        table(at(3, **KYN, sample="S1", status="corrected", collected_at="2024-05-01 09:00")),
        table(at(4, **KYN | {"value": "broken"}, sample="S2", status="corrected")),
        table(at(4, **KYN | {"value": ""}, sample="S3", status="withdrawn"), at(4, **TRP, sample="S9", collected_at="")),
        table(at(5, **KYN | {"value": "7"}, sample="S2", status="corrected"), at(5, **KYN | {"analyte": "unobtainium"}, sample="S5")),
        table(at(6, **TRP | {"value": "60"}, sample="S4", status="corrected", collected_at="2024-04-01 09:00")),
        table(at(7, **TRP | {"value": "70"}, sample="S4", status="corrected")),
    ]  # fmt: skip


def assert_accounted(home: Home) -> None:
    """Rows = accepted + quarantined for every receipt, and the outputs hold just those quarantined rows."""
    receipts, refused = home.output("exports"), home.output("quarantine")
    assert (receipts["rows"] == receipts["accepted"] + receipts["quarantined"]).all()
    counted = refused.select("export", "row", "item").unique().group_by("export").len("found")
    both = receipts.join(counted, on="export", how="left").fill_null(0)
    assert both["quarantined"].to_list() == both["found"].to_list()
    for dataset in ("results", "metrics", "panels"):
        assert_sample_in_one_month(home, dataset)


def assert_sample_in_one_month(home: Home, dataset: str) -> None:
    months = (
        home.output(dataset).group_by("lab", "subject", "sample", "specimen").agg(pl.col("month").n_unique())
    )
    assert months["month"].to_list() == [1] * len(months)


def assert_readable(home: Home) -> int:
    """Whatever happened: each published file is whole; how many there are."""
    published = [path for path in home.outputs.rglob("*.parquet") if not path.name.startswith(".")]
    for path in published:
        pq.read_table(path)
    return len(published)
