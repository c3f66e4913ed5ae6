"""What changed in the published metrics since a time, and why.

Editions, the time each was recorded and the kept catalogues answer it: the state at a time is what the
receipts recorded by then say, computed anew. Only samples that a later edition touches are computed,
or all where the metric catalogue has changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from schemas.catalogue import Catalogue
from schemas.result import ERASED, WITHDRAWN
from schemas.settings import Lab, Settings
from tasks import catalogues, frames
from tasks.codes import decoded
from tasks.current import current
from tasks.ledger import Ledger
from tasks.snapshot import Snapshot, counting_of, newest_of

NEW, CORRECTION, WITHDRAWAL, ERASURE = "new export", "correction", "withdrawal", "erasure"
READING, DEFINITION = "unit or synonym", "metric definition"
PROGRAM = "reader or settings of the lab"

#: one changed value: published pseudonyms, the metric before and after, and the causes separated by `; `
CHANGE_SCHEMA = {
    "lab": pl.String, "sample": pl.String, "sample_key": pl.String, "specimen": pl.String, "month": pl.String,
    "metric": pl.String, "unit": pl.String, "value_before": pl.Float64, "value_after": pl.Float64,
    "low_before": pl.Float64, "low_after": pl.Float64, "high_before": pl.Float64, "high_after": pl.Float64,
    "status_before": pl.String, "status_after": pl.String, "reason_before": pl.String, "reason_after": pl.String,
    "causes": pl.String, "exports": pl.String,
}  # fmt: skip
_ABOUT = ("lab", "sample", "specimen", "month", "unit")
_VALUES = ("value", "low", "high", "status", "reason")


class UnknownTime(ValueError):
    """A time or version that this ledger cannot say anything about."""


@dataclass(frozen=True)
class Changes:
    """The changed values (`CHANGE_SCHEMA`), and whether the catalogue of that time was kept."""

    frame: pl.DataFrame
    catalogue_known: bool


def time_of(settings: Settings, since: str) -> datetime:
    """A time in UTC from an ISO time (without an offset: UTC) or a ledger version. Raises UnknownTime."""
    if since.isascii() and since.isdigit():
        recorded = Ledger(settings.store).open().recorded(int(since))
        if recorded is None:
            raise UnknownTime("the ledger's log has no such version any more; give a time instead")
        return recorded
    try:
        said = datetime.fromisoformat(since)
    except ValueError:
        raise UnknownTime("neither a time such as 2024-03-01T08:30 nor a version of the ledger") from None
    return said.astimezone(UTC) if said.tzinfo else said.replace(tzinfo=UTC)


def changes(settings: Settings, catalogue: Catalogue, since: datetime, lab: str | None = None,
            metric: str | None = None) -> Changes:  # fmt: skip
    """The metric values that are published now and were not, or not so, at `since` (UTC)."""
    snapshot = Ledger(settings.store).open()
    before = catalogues.at(settings, since)
    key, labs = settings.pseudonym_key(), settings.labs()
    found = [pl.DataFrame(schema=CHANGE_SCHEMA)]
    for name in [lab] if lab is not None else snapshot.labs():
        pseudonyms = frames.Pseudonyms(name, key, labs.get(name, Lab()).ids_are_study_codes)
        found.append(_of_lab(snapshot, pseudonyms, before or catalogue, catalogue, since))
    frame = pl.concat(found)
    if metric is not None:
        frame = frame.filter(pl.col("metric") == metric)
    return Changes(frame.sort("lab", "sample", "metric", "sample_key"), before is not None)


def _of_lab(snapshot: Snapshot, pseudonyms: frames.Pseudonyms, then: Catalogue, now: Catalogue,
            since: datetime) -> pl.DataFrame:  # fmt: skip
    receipts = snapshot.all_receipts(pseudonyms.lab)
    old = receipts.filter(pl.col("recorded_at") <= since)
    events = _events(old, receipts)
    redefined = then.metric_hash != now.metric_hash
    rows = snapshot.all_rows(pseudonyms.lab)
    touched = rows.join(events.lazy().select("export").unique(), on="export", how="semi")
    keys = (rows if redefined else touched).select("sample_key").drop_nulls().unique()
    needed = rows.select(frames.NEEDED).join(keys, on="sample_key", how="semi").collect()

    def counting(of: pl.DataFrame) -> pl.DataFrame:
        return needed.join(counting_of(of).select("export", "edition"), on=["export", "edition"], how="semi")

    first, last = counting(old), counting(receipts)
    was = _metrics(first, then, pseudonyms)
    between = _metrics(last, then, pseudonyms) if redefined else None
    values = _differing(was, now_is := _metrics(last, now, pseudonyms))
    if values.is_empty():
        return pl.DataFrame(schema=CHANGE_SCHEMA)
    causes = _of_exports(needed, events, pseudonyms, now, then)
    pairs = ["sample_key", "metric"]
    if between is not None:
        defined = _differing(between, now_is).select(*pairs, pl.lit(DEFINITION).alias("cause"))
        by_rows = _differing(was, between).select(pairs)
        causes = causes.join(by_rows, on=pairs, how="semi")
        causes = pl.concat([causes, defined.with_columns(pl.lit(None, pl.String).alias("export"))])
    told = causes.group_by(pairs).agg(
        pl.col("cause").unique().sort().str.join("; ").alias("causes"),
        pl.col("export").drop_nulls().str.slice(0, 12).unique().sort().str.join("; ").alias("exports"),
    )
    return (
        values.join(told, on=pairs, how="left")
        .with_columns(pl.col("causes").fill_null(PROGRAM))
        .select(pl.col(name).cast(dtype) for name, dtype in CHANGE_SCHEMA.items())
    )


def _metrics(rows: pl.DataFrame, catalogue: Catalogue, pseudonyms: frames.Pseudonyms) -> pl.DataFrame:
    metrics = frames.of_samples(current(rows), catalogue, pseudonyms)["metrics"]
    return decoded(metrics).with_columns(pl.lit(pseudonyms.lab).alias("lab"))


def _differing(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """One row per sample and metric whose value, ends, status or reason differ: `..._before`, `..._after`."""
    pairs = ["sample_key", "metric"]
    sides = [
        side.select(
            *pairs,
            *(pl.col(n).alias(f"{n}_{when}") for n in _VALUES),
            *(pl.col(n).alias(f"{n}_is_{when}") for n in _ABOUT),
        )
        for when, side in (("before", before), ("after", after))
    ]
    both = sides[0].join(sides[1], on=pairs, how="full", coalesce=True)
    differs = pl.any_horizontal(pl.col(f"{n}_before").ne_missing(pl.col(f"{n}_after")) for n in _VALUES)
    return both.filter(differs).with_columns(
        pl.coalesce(f"{n}_is_after", f"{n}_is_before").alias(n) for n in _ABOUT
    )


def _events(old: pl.DataFrame, receipts: pl.DataFrame) -> pl.DataFrame:
    """export, cause, by: which exports count otherwise than before, and why.

    `by` is the export that did it: of a series, a newer export changes what the older ones say.
    """
    known = {r["export"]: r for r in newest_of(old).to_dicts()}
    events = []
    for new in newest_of(receipts).to_dicts():
        was = known.get(new["export"])
        if was is None and new["action"] == WITHDRAWN:
            continue  # came and went meanwhile
        if was is None:
            cause = NEW
        elif was["edition"] == new["edition"]:
            continue
        elif new["action"] in (WITHDRAWN, ERASED):
            cause = WITHDRAWAL if new["action"] == WITHDRAWN else ERASURE
        elif was["action"] != new["action"]:
            cause = NEW  # taken in again after it was withdrawn
        else:
            same = all(was[name] == new[name] for name in ("reading_catalogue", "layout_digest"))
            cause = PROGRAM if same else READING
        series = {s for s in (new["series"], was and was["series"]) if s}
        others = receipts.filter(pl.col("series").is_in(list(series)))["export"].unique().to_list()
        for export in {new["export"], *others}:
            events.append((export, cause, new["export"]))
    return pl.DataFrame(
        events, schema={"export": pl.String, "cause": pl.String, "by": pl.String}, orient="row"
    )


def _of_exports(rows: pl.DataFrame, events: pl.DataFrame, pseudonyms: frames.Pseudonyms, now: Catalogue,
                then: Catalogue) -> pl.DataFrame:  # fmt: skip
    """sample_key (published), metric, cause, export: the events that bear on each metric of each sample.

    A row bears on the metrics that its analyte stands in, and on those that the lab prints itself; one
    whose analyte is not known, or that others are converted with, bears on all.
    """
    parts = [
        (a, m.id) for c in (then, now) for m in c.metrics.values() if m.formula for a in m.formula.analytes
    ]
    own = [(m, m) for c in (then, now) for m in c.metrics]
    named = pl.DataFrame(sorted({*parts, *own}), schema=["analyte", "metric"], orient="row")
    everything = named.select("metric").unique()
    wide = pl.col("analyte").is_null() | ~pl.col("analyte").is_in(named["analyte"].implode())
    wide |= pl.col("analyte").is_in(["creatinine", "urine_volume", "collection_duration"])
    seen = rows.drop_nulls("sample_key").select("export", "sample_key", "analyte", "status").unique()
    bearing = pl.concat([
        seen.filter(~wide).join(named, on="analyte").select("export", "sample_key", "status", "metric"),
        seen.filter(wide).join(everything, how="cross").select("export", "sample_key", "status", "metric"),
    ])  # fmt: skip
    cause = (
        pl.when(
            (pl.col("cause") == NEW) & (pl.col("export") == pl.col("by")) & (pl.col("status") == "corrected")
        )
        .then(pl.lit(CORRECTION))
        .when(
            (pl.col("cause") == NEW) & (pl.col("export") == pl.col("by")) & (pl.col("status") == "withdrawn")
        )
        .then(pl.lit(WITHDRAWAL))
        .otherwise("cause")
    )
    told = bearing.join(events, on="export").select(
        "sample_key", "metric", cause.alias("cause"), pl.col("by").alias("export")
    )
    told = told.unique(maintain_order=True)
    return told.with_columns(pseudonyms.of("sample_key", told["sample_key"]).cast(pl.String))
