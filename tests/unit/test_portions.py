"""Where the samples of some months stand, asked of rows in any order."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from schemas.result import UNDATED
from tasks.portions import extents

MONTHS = ["2024-01", "2024-02", "2024-03", None]
SCHEMA = {"sample_key": pl.String, "month": pl.String, "role": pl.String}
ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "d", None]), st.sampled_from(MONTHS), st.sampled_from(["sample", "qc"])),
    max_size=30,
)  # fmt: skip


@given(ROWS, st.sets(st.sampled_from([month or UNDATED for month in MONTHS]), min_size=1))
def test_the_samples_of_some_months_are_counted_in_all_months(rows, months):
    counts: dict[tuple[str, str], int] = {}
    for key, month, role in rows:
        if key is not None and role == "sample":
            counts[key, month or UNDATED] = counts.get((key, month or UNDATED), 0) + 1
    there = {key for key, month in counts if month in months}
    keys = pl.DataFrame({"key": ["a", "b", "c", "d"]}).with_columns(pl.col("key").hash().alias("sample"))
    found = extents(pl.LazyFrame(rows, SCHEMA, orient="row"), months).join(keys, on="sample", how="left")
    assert {(key, month): n for key, month, n in found.select("key", "month", "rows").iter_rows()} == {
        place: n for place, n in counts.items() if place[0] in there
    }
    assert found.height == len({place for place in counts if place[0] in there})
