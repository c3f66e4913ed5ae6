"""Where the samples of some months stand, asked of rows in any order."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from schemas.result import UNDATED
from tasks.portions import extents, in_several_months, moved, portions, rows_of

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


@given(
    st.dictionaries(st.sampled_from([f"2024-{month:02}" for month in range(1, 13)]), st.integers(0, 100)),
    st.integers(1, 60),
)
def test_each_month_is_in_one_portion_and_portions_are_small(counts, size):
    found = pl.DataFrame(
        [(0, month, rows) for month, rows in counts.items() if rows],
        schema={"sample": pl.UInt64, "month": pl.String, "rows": pl.UInt32},
        orient="row",
    )
    parts = portions(dict.fromkeys(counts, "editions"), found, size)
    assert [month for portion in parts for month in portion.months] == sorted(counts)
    for portion in parts:
        rows = sum(counts[month] for month in portion.months)
        assert rows <= size or len(portion.months) == 1 or portion.parts == 1
        assert sum(counts[month] > 0 for month in portion.months) == 1 or rows <= size
        assert rows / portion.parts <= 2 * size
        assert portion.parts == 1 or rows / (portion.parts - 1) > size, "no more parts than needed"


def test_what_has_no_month_fills_no_portion():
    found = pl.DataFrame({"sample": [1, 1], "month": ["2024-01", UNDATED], "rows": [5, 1000]})
    (portion,) = portions(dict.fromkeys(["2024-01", UNDATED], "editions"), found, 10)
    assert (portion.months, portion.parts) == (["2024-01", UNDATED], 1)


@given(ROWS, st.lists(st.sampled_from([month for month in MONTHS if month]), min_size=1, unique=True))
def test_with_the_samples_of_some_months_come_their_rows_from_all_months(rows, months):
    frame = pl.LazyFrame(rows, SCHEMA, orient="row").with_row_index("n")
    found = extents(frame, [*MONTHS[:3], UNDATED])
    few = moved(frame, in_several_months(found))
    there = {key for key, month, role in rows if role == "sample" and key is not None and month in months}
    expected = [n for n, (key, _, role) in enumerate(rows) if role == "sample" and key in there]
    for rows_of_the_moved in (few, few.collect().lazy()):
        taken = rows_of(frame, rows_of_the_moved, months, found).collect()
        assert sorted(taken["n"]) == expected
