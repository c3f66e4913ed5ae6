"""Whether contestants gave the same: no figure is worth printing before that."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from schemas import outputs
from schemas.catalogue import load_catalogue
from schemas.result import LEDGER_SCHEMA

_KEYS = ["sample_key", "metric"]
_TOLERANCE = 1e-9
#: columns of the ledger in which the made exports leave nothing, so that all contestants may leave them out
EMPTY = frozenset(
    """comment defect dilution hint method method_rank raw ref_high ref_low rel_sd replicate run sent_acquired_at
    sent_code sent_collected_until sent_dilution sent_lloq sent_ref_high sent_ref_low sent_rel_sd sent_role
    sent_uloq site timepoint visit""".split()  # noqa: SIM905
)
DATASETS = ("results", "metrics", "panels", "quarantine", "exports")


class Different(Exception):
    """Two contestants gave different outputs. The message says which, where and how many."""


def _output(out: Path, dataset: str) -> pl.LazyFrame:
    files = sorted((out / "outputs" / dataset).rglob("*.parquet"))
    if not files:
        raise Different(f"{out.name}: there is no {dataset}")
    return pl.scan_parquet(files, hive_partitioning=False, missing_columns="insert")


def _columns(out: Path) -> None:
    """The outputs have the columns of the schemas, in whatever order; so has the ledger."""
    wanted = outputs.datasets(load_catalogue())
    for dataset in DATASETS:
        names = set(_output(out, dataset).collect_schema().names())
        expected = {column.name for column in wanted[dataset]}
        if names != expected:
            raise Different(f"{out.name}: {dataset}: columns {sorted(names ^ expected)} are not in both")
    names = set()
    for file in sorted((out / "ledger").rglob("*.parquet")):
        names |= set(pl.read_parquet_schema(file))
    # in a Delta table the partition columns stand in the log
    in_log = {"lab", "kind", "edition"} if (out / "ledger" / "_delta_log").is_dir() else set()
    lacking = set(LEDGER_SCHEMA) - names - in_log - EMPTY
    if lacking:
        raise Different(f"{out.name}: the ledger lacks {sorted(lacking)}")


def _counts(out: Path) -> dict[str, int]:
    said = (
        _output(out, "exports")
        .select(pl.col("rows", "accepted", "quarantined").sum())
        .collect()
        .row(0, named=True)
    )
    for dataset in ("results", "panels"):
        said[dataset] = _output(out, dataset).select(pl.len()).collect().item()
    reasons = (
        _output(out, "quarantine").group_by(pl.col("reason").cast(pl.String)).len().sort("reason").collect()
    )
    return said | {f"reason {name}": count for name, count in reasons.iter_rows()}


def _close(end: str) -> pl.Expr:
    one, other = pl.col(end), pl.col(f"{end}_other")
    near = (one - other).abs() <= _TOLERANCE * pl.max_horizontal(one.abs(), other.abs(), pl.lit(1e-300))
    return one.eq_missing(other) | near.fill_null(False)


def same(out: Path, other: Path) -> int:
    """Raise Different unless both outputs hold the same counts and metrics; the number of metrics compared."""
    for folder in (out, other):
        _columns(folder)
    mine, theirs = _counts(out), _counts(other)
    for name in sorted(mine | theirs):
        if mine.get(name) != theirs.get(name):
            raise Different(f"{name}: {out.name} has {mine.get(name)}, {other.name} has {theirs.get(name)}")
    names = [*_KEYS, "low", "high", "status", "reason", "basis", "month", "flag"]
    # what is a dictionary to Arrow is text all the same
    texts = pl.col([name for name in names if name not in ("low", "high")]).cast(pl.String)
    one, two = (_output(folder, "metrics").select(texts, "low", "high").collect() for folder in (out, other))
    both = one.join(two, on=_KEYS, how="full", suffix="_other")
    exact = [
        pl.col(name).eq_missing(pl.col(f"{name}_other"))
        for name in (*_KEYS, "status", "reason", "basis", "month", "flag")
    ]
    wrong = both.filter(~pl.all_horizontal(_close("low"), _close("high"), *exact))
    if len(wrong) or len(one) != len(two):
        by = (
            wrong.group_by(pl.coalesce("metric", "metric_other").alias("metric"))
            .len()
            .sort("len", descending=True)
        )
        first = wrong.head(1).to_dicts()[:1]
        raise Different(
            f"metrics of {out.name} ({len(one)}) and {other.name} ({len(two)}): {len(wrong)} differ, "
            f"in {dict(by.head(5).iter_rows())}; the first: {first}"
        )
    return len(one)
