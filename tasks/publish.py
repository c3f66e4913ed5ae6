"""The outputs: one Parquet file per dataset, lab and month, rebuilt whole from the ledger.

Each file says in its metadata which editions it was built from and with what. A file that says
anything else than the ledger says now is stale, so a run that was killed, or overtaken by another,
is healed by the next one: there is nothing to remember and nothing to lock. A month that has been
emptied keeps a file without rows, because a missing file could not say that it is up to date.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from schemas import outputs
from schemas.catalogue import Catalogue
from schemas.result import UNDATED
from schemas.settings import Settings
from tasks.balance import compute, incomplete_24h, unusual_creatinine, wide
from tasks.current import Current, current
from tasks.files import folder_name, replace_whole
from tasks.ledger import Ledger, Snapshot
from tasks.validate import RULES

BY_MONTH = ("results", "metrics", "panels", "quarantine")
_SORT = {
    "results": [
        "analyte",
        "specimen",
        "collected_local",
        "subject",
        "sample",
        "site",
        "visit",
        "timepoint",
        "unit",
    ],
    "metrics": ["metric", "specimen", "collected_local", "subject", "sample", "site", "visit", "timepoint"],
    "panels": ["specimen", "collected_local", "subject", "sample", "site", "visit", "timepoint"],
    "quarantine": ["reason", "export", "row", "item"],
    "exports": ["received_at", "export"],
    "catalogue": ["metric"],
}
_ROW_GROUP = 50_000
_UNUSUAL = "creatinine outside 0.3 to 3.0 g/L"
_INCOMPLETE = "incomplete 24 h collection"


class Unpublishable(Exception):
    """What was computed does not pass the schema of its dataset; the published file stays as it was."""


@dataclass
class Publisher:
    """Publishes one home's outputs."""

    settings: Settings
    catalogue: Catalogue
    written: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._key = self.settings.pseudonym_key()
        self._datasets = outputs.datasets(self.catalogue)
        self._labs = self.settings.labs()

    def path(self, dataset: str, lab: str, month: str) -> Path:
        """Where a file of a dataset stands."""
        return self.settings.outputs / dataset / folder_name(lab) / f"{month}.parquet"

    def publish(self, labs: list[str] | None = None) -> dict[str, list[str]]:
        """Rebuild what is stale until nothing is; lab -> the months that were rebuilt."""
        ledger = Ledger(self.settings.ledger)
        rebuilt: dict[str, set[str]] = defaultdict(set)
        for lab in labs if labs is not None else ledger.open().labs():
            while True:
                # what others committed meanwhile is looked for again after every round
                snapshot = ledger.open()
                receipts = snapshot.all_receipts(lab)
                stale = self._stale_months(lab, receipts)
                stale_exports = self._stale_exports(lab, receipts)
                if not stale and not stale_exports:
                    break
                for months in self._portions(snapshot, lab, stale):
                    self._rebuild(snapshot, lab, months)
                self._rebuild_exports(snapshot, lab, receipts, stale_exports)
                rebuilt[lab] |= stale.keys()
        self._publish_catalogue()
        return {lab: sorted(months) for lab, months in rebuilt.items()}

    # what is stale

    def _built_with(self, lab: str) -> str:
        """Everything but the ledger that decides what a file of this lab holds."""
        key = hmac.digest(self._key, b"which key", "sha256").hex()[:8]
        codes = self.settings.lab(lab).ids_are_study_codes
        return f"{outputs.VERSION}/{self.catalogue.metric_hash[:16]}/{key}/{codes}"

    def _fresh(self, paths: list[Path], editions: str, built_with: str) -> bool:
        for path in paths:
            try:
                said = pq.read_schema(path).metadata or {}
            except FileNotFoundError:
                return False
            if said.get(b"neurobalance.editions") != editions.encode():
                return False
            if said.get(b"neurobalance.built_with") != built_with.encode():
                return False
        return True

    def _stale_months(self, lab: str, receipts: pl.DataFrame) -> dict[str, str]:
        """Month -> the editions it must be built from, for the months that are not."""
        newest = receipts.group_by("export").agg(pl.col("edition").max())
        touched = receipts.select("export", pl.col("months").alias("month")).explode(
            "month", empty_as_null=True
        )
        wanted = editions_by_month(touched.drop_nulls().unique().join(newest, on="export"))
        built_with = self._built_with(lab)
        return {
            month: editions
            for month, editions in wanted.items()
            if not self._fresh([self.path(dataset, lab, month) for dataset in BY_MONTH], editions, built_with)
        }

    def _stale_exports(self, lab: str, receipts: pl.DataFrame) -> dict[str, str]:
        newest = receipts.filter(pl.col("edition") == pl.col("edition").max().over("export"))
        wanted = editions_by_month(
            newest.select("export", "edition", pl.col("received_at").dt.strftime("%Y-%m").alias("month"))
        )
        built_with = self._built_with(lab)
        return {
            month: editions
            for month, editions in wanted.items()
            if not self._fresh([self.path("exports", lab, month)], editions, built_with)
        }

    def _portions(self, snapshot: Snapshot, lab: str, stale: dict[str, str]) -> list[dict[str, str]]:
        """Stale months in portions of about `rows_per_batch` rows, so that memory stays flat."""
        if not stale:
            return []
        counts = dict(snapshot.all_rows(lab).group_by("month").len().collect().iter_rows())
        portions: list[dict[str, str]] = [{}]
        size = 0
        for month in sorted(stale):
            rows = counts.get(None if month == UNDATED else month, 0)
            if portions[-1] and size + rows > self.settings.rows_per_batch:
                portions.append({})
                size = 0
            portions[-1][month] = stale[month]
            size += rows
        return portions

    # building

    def _rebuild(self, snapshot: Snapshot, lab: str, months: dict[str, str]) -> None:
        rows = snapshot.rows(lab)
        here = rows.filter(pl.col("month").is_in([m for m in months if m != UNDATED]))
        keys = here.filter(pl.col("role") == "sample").select("sample_key").drop_nulls().unique()
        # a sample's rows of all months: a correction may have moved it
        samples = rows.join(keys, on="sample_key", how="semi").collect()
        in_month = pl.col("month").fill_null(UNDATED).is_in(list(months))
        refused = rows.filter(~pl.col("accepted") & in_month).select(
            "month", "export", "edition", "row", "item", "layout", "role", "reasons"
        ).collect()  # fmt: skip
        now = current(samples)
        frames = self._frames(lab, now)
        frames["quarantine"] = _quarantine(lab, refused)
        for month, editions in months.items():
            for dataset in BY_MONTH:
                part = frames[dataset].filter(pl.col("month") == month)
                self._write(dataset, lab, month, part, editions, snapshot.version)

    def _frames(self, lab: str, now: Current) -> dict[str, pl.DataFrame]:
        """results, metrics and panels of the samples in `now`, with every published column."""
        samples = self._published_samples(lab, now.samples)
        flags = self._flags(now)
        results = (
            now.results.drop("subject", "sample", "specimen", "site", "visit", "timepoint", "collected_at",
                             "collected_local", "time_precision", "time_source", "month")
            .with_columns(pl.when(pl.col("low") == pl.col("high")).then("low").alias("value"))
            .join(samples, on="sample_key").join(flags, on="sample_key", how="left")
        )  # fmt: skip
        metrics = (
            compute(now, self.catalogue)
            .join(samples, on="sample_key")
            .join(flags, on="sample_key", how="left")
        )
        about = self._about_metrics()
        metrics = metrics.join(about, on="metric")
        label = pl.when(pl.col("evidence_grade") == "commercial_only").then(
            pl.col("compartment") + ", commercial only"
        )
        metrics = metrics.with_columns(label.otherwise("compartment").alias("label"))
        names = [column.name for column in self._datasets["panels"] if column.name in set(about["metric"])]
        values = metrics.drop_nulls("value").select("sample_key", "metric", "value")
        columns = [pl.when(pl.col("metric") == name).then("value").alias(name) for name in names]
        panels = samples.join(
            values.select("sample_key", *columns).group_by("sample_key").agg(pl.all().max()),
            on="sample_key",
            how="left",
        )
        return {"results": results, "metrics": metrics, "panels": panels}

    def _published_samples(self, lab: str, samples: pl.DataFrame) -> pl.DataFrame:
        compartments = {name: specimen.compartment for name, specimen in self.catalogue.specimens.items()}
        clock = pl.when(pl.col("time_precision") == "clock").then(pl.col("collected_local").dt.time())
        return samples.with_columns(
            pl.lit(lab).alias("lab"),
            self._pseudonyms(lab, "subject", samples["subject"]).alias("subject"),
            self._pseudonyms(lab, "sample", samples["sample"]).alias("sample"),
            pl.col("specimen").replace_strict(compartments, return_dtype=pl.String).alias("compartment"),
            clock.alias("local_clock_time"),
        )

    def _pseudonyms(self, lab: str, kind: str, ids: pl.Series) -> pl.Series:
        """HMAC-SHA256 over lab, kind and id, 32 hexadecimal characters; ids that are study codes stay."""
        if self.settings.lab(lab).ids_are_study_codes:
            return ids
        distinct = ids.unique().drop_nulls()
        named = {
            text: hmac.digest(self._key, json.dumps([lab, kind, text]).encode(), "sha256").hex()[:32]
            for text in distinct
        }
        return ids.replace_strict(named, default=None, return_dtype=pl.String)

    def _flags(self, now: Current) -> pl.DataFrame:
        slots = wide(now.results, {"urine_volume", "collection_duration"})
        incomplete = incomplete_24h(slots).filter("_incomplete_24h").select("sample_key")
        both = pl.concat([
            unusual_creatinine(now.results).with_columns(pl.lit(_UNUSUAL).alias("flag")),
            incomplete.with_columns(pl.lit(_INCOMPLETE).alias("flag")),
        ])  # fmt: skip
        return both.group_by("sample_key").agg(pl.col("flag").sort().str.join("; "))

    def _about_metrics(self) -> pl.DataFrame:
        names = ("name", "unit", "evidence_grade", "citation")
        rows = [
            {"metric": m.id, "studied_in": "|".join(m.studied_in)}
            | {name: getattr(m, name) for name in names}
            for m in self.catalogue.metrics.values()
            if m.computed
        ]
        return pl.DataFrame(rows, schema=dict.fromkeys(("metric", "studied_in", *names), pl.String))

    # writing

    def _rebuild_exports(
        self, snapshot: Snapshot, lab: str, receipts: pl.DataFrame, stale: dict[str, str]
    ) -> None:
        newest = receipts.filter(pl.col("edition") == pl.col("edition").max().over("export"))
        frame = newest.with_columns(
            pl.col("received_at").dt.strftime("%Y-%m").alias("month"),
            pl.col("accepted_rows").alias("accepted"),
            pl.col("quarantined_rows").alias("quarantined"),
            _counted("skipped", "name"),
            _counted("reason_counts", "reason").alias("reasons"),
        )
        for month, editions in stale.items():
            self._write(
                "exports", lab, month, frame.filter(pl.col("month") == month), editions, snapshot.version
            )

    def _publish_catalogue(self) -> None:
        path = self.settings.outputs / "catalogue" / "catalogue.parquet"
        built_with = f"{outputs.VERSION}/{self.catalogue.metric_hash[:16]}"
        package = self.settings.outputs / "datapackage.json"
        if package.exists() and self._fresh([path], "", built_with):
            return
        rows = [
            {
                "metric": m.id, "name": m.name, "formula": m.formula_text, "unit": m.unit,
                "specimens": "|".join(m.specimens), "computed": m.computed,
                "not_computed_because": m.not_computed_because, "studied_in": "|".join(m.studied_in),
                "evidence_grade": m.evidence_grade, "caveats": m.caveats, "citation": m.citation,
                "published_values": m.published_values,
            }
            for m in self.catalogue.metrics.values()
        ]  # fmt: skip
        schema = outputs.polars_schema(self._datasets["catalogue"])
        self._put(
            "catalogue", path, pl.DataFrame(rows, schema=schema), {"editions": "", "built_with": built_with}
        )
        text = json.dumps(datapackage(self._datasets), indent=2, ensure_ascii=False)
        replace_whole(package, lambda fresh: fresh.write_text(text + "\n", "utf-8"))

    def _write(
        self, dataset: str, lab: str, month: str, frame: pl.DataFrame, editions: str, version: int
    ) -> None:
        about = {"editions": editions, "built_with": self._built_with(lab), "ledger_version": str(version)}
        self._put(dataset, self.path(dataset, lab, month), frame, about)

    def _put(self, dataset: str, path: Path, frame: pl.DataFrame, about: dict[str, str]) -> None:
        columns = self._datasets[dataset]
        ready = frame.select(
            pl.col(c.name).cast(c.dtype) if c.name in frame.columns else pl.lit(None, c.dtype).alias(c.name)
            for c in columns
        ).sort(_SORT[dataset], nulls_last=True, maintain_order=True)
        _check(dataset, columns, ready)
        schema = outputs.arrow_schema(columns, {"dataset": dataset} | about)
        table = ready.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema)
        replace_whole(path, lambda fresh: pq.write_table(
            table, fresh, compression="zstd", row_group_size=_ROW_GROUP, write_statistics=True,
        ))  # fmt: skip
        self.written[dataset] = self.written.get(dataset, 0) + 1


def editions_by_month(frame: pl.DataFrame) -> dict[str, str]:
    """month, export, edition -> month -> a hash of the editions that the month is built from."""
    ordered = frame.sort("month", "export").select(
        "month", pl.concat_str("export", pl.lit(":"), "edition").alias("text")
    )
    return {
        month: hashlib.sha256("\n".join(texts).encode()).hexdigest()[:32]
        for month, texts in ordered.group_by("month", maintain_order=True).agg("text").iter_rows()
    }


def _counted(column: str, name: str) -> pl.Expr:
    """A list of names and counts as text: `blank line: 2; trailer: 1`."""
    said = pl.element().struct.field(name) + ": " + pl.element().struct.field("count").cast(pl.String)
    return pl.col(column).list.eval(said).list.join("; ").replace("", None).alias(column)


def _quarantine(lab: str, refused: pl.DataFrame) -> pl.DataFrame:
    """One row per quarantined row and reason, with how to mend it, and no text of the row."""
    mends = {name: rule.mend for name, rule in RULES.items()}
    return refused.with_columns(pl.col("month").fill_null(UNDATED)).explode("reasons", empty_as_null=True).select(
        pl.lit(lab).alias("lab"), "month", "export", "edition", "row", "item", "layout", "role",
        pl.col("reasons").alias("reason"),
        pl.col("reasons").replace_strict(mends, default="", return_dtype=pl.String).alias("mend"),
    )  # fmt: skip


def _check(dataset: str, columns: tuple[outputs.Column, ...], frame: pl.DataFrame) -> None:
    """Validate before anything is replaced. Pandera's own error would quote cells, so it is not shown."""
    from pandera.errors import SchemaError, SchemaErrors

    failed = None
    try:
        outputs.pandera_schema(columns).validate(frame, lazy=True)
    except (SchemaErrors, SchemaError) as error:
        failed = type(error).__name__
    if failed:
        wrong = [c.name for c in columns if c.required and frame[c.name].null_count()]
        raise Unpublishable(
            f"{dataset}: the schema of the dataset refuses what was computed (nulls in: {', '.join(wrong) or 'none'}); "
            "the published file stays as it was; this is a fault of the program"
        )


def datapackage(datasets: dict[str, tuple[outputs.Column, ...]]) -> dict:
    """The Frictionless data package of the outputs: every dataset, column, type, unit and PHI mark."""
    kinds = {pl.String: "string", pl.Boolean: "boolean", pl.Float64: "number", pl.Int64: "integer", pl.Int32: "integer",
             pl.Time: "time"}  # fmt: skip
    return {
        "name": "neurobalance-outputs",
        "profile": "data-package",
        "resources": [
            {
                "name": name,
                "path": "catalogue/catalogue.parquet" if name == "catalogue" else f"{name}/**/*.parquet",
                "format": "parquet",
                "mediatype": "application/vnd.apache.parquet",
                "schema": {
                    "fields": [
                        {
                            "name": c.name,
                            "type": kinds.get(c.dtype, "datetime"),
                            "description": c.description,
                            "unit": c.unit,
                            "phi": c.phi,
                            "lineage": c.lineage,
                            "constraints": {"required": c.required},
                        }
                        for c in columns
                    ]
                },
            }
            for name, columns in datasets.items()
        ],
    }
