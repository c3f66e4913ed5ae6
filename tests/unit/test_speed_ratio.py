"""The benchmark on a small export: contestants agree, and a tenfold slowdown cannot land unseen.

Only CPU times are compared, of runs beside each other: other work on the machine lengthens the wall time of one run
and not of the next. The limits leave several times what is usual.
"""

from __future__ import annotations

import shutil

import polars as pl
import pytest

from benchmarks.compare import Different, same
from benchmarks.contestants import LAB
from benchmarks.make_long_csv import long_csv, small_csvs
from benchmarks.measure import contestant
from benchmarks.peer_tables import write_tables

ROWS = 100_000
#: CPU time of this project / of the other, at most
MOST = {"floor": 100.0, "duckdb_sql": 8.0, "pandas_pandera": 8.0}


@pytest.fixture(scope="module")
def inbox(tmp_path_factory):
    """A lab's long export and the tables of the peers."""
    inbox = tmp_path_factory.mktemp("inbox")
    (inbox / LAB).mkdir()
    long_csv(ROWS, inbox / LAB / "long.csv")
    write_tables(inbox)
    return inbox


@pytest.fixture(scope="module")
def runs(inbox, tmp_path_factory):
    """Contestant -> its folder of outputs and what was measured."""
    out = tmp_path_factory.mktemp("out")
    return {name: (out / name, contestant(name, inbox, out / name)) for name in ("neurobalance", *MOST)}


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["duckdb_sql", "pandas_pandera"])
def test_the_peers_give_the_same_metrics_and_counts(runs, peer):
    assert same(runs["neurobalance"][0], runs[peer][0]) > ROWS / 2


@pytest.mark.slow
@pytest.mark.parametrize("other", MOST)
def test_no_tenfold_slowdown_against(runs, other):
    ratio = runs["neurobalance"][1].cpu / runs[other][1].cpu
    assert ratio <= MOST[other], f"{ratio:.1f} times the CPU time of {other}; see docs/performance.md"


@pytest.mark.slow
def test_a_metric_that_differs_is_told_before_any_figure(runs, tmp_path):
    ours, theirs = runs["neurobalance"][0], tmp_path / "changed"
    shutil.copytree(ours / "outputs", theirs / "outputs")
    shutil.copytree(ours / "ledger", theirs / "ledger")
    file = next(path for path in sorted((theirs / "outputs" / "metrics").rglob("*.parquet")))
    frame = pl.read_parquet(file)
    third = frame.with_row_index().filter(pl.col("low").is_not_null())["index"][3]
    frame.with_columns(
        pl.when(pl.int_range(pl.len()) == third)
        .then(pl.col("low") * (1 + 1e-8))
        .otherwise("low")
        .alias("low")
    ).write_parquet(file)
    with pytest.raises(Different, match="1 differ"):
        same(ours, theirs)


def test_the_exports_are_seeded(tmp_path):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        long_csv(5_000, tmp_path / name, seed)
    one, again, other = ((tmp_path / name).read_bytes() for name in ("one", "again", "other"))
    assert one == again
    assert one != other
    assert one.count(b"\n") == 5_001


def test_small_exports_hold_all_rows(tmp_path):
    small_csvs(2_000, tmp_path, 10)
    files = sorted(tmp_path.iterdir())
    assert [path.read_bytes().count(b"\n") for path in files] == [201] * 10


def test_an_export_has_the_shares_that_it_should(inbox):
    frame = pl.read_csv(inbox / LAB / "long.csv", infer_schema=False)
    result = frame["Result"]
    assert 0.04 < (result.str.contains("^[<>]") | (result == "n.d.")).mean() < 0.06
    assert 0.005 < (frame["Status"] == "corrected").mean() < 0.007
    assert {"Urine", "Plasma", "CSF"} < set(frame["Specimen"])
