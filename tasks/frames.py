"""The published datasets as frames, made from what stands and from the receipts. Pure Polars.

Texts of few values are coded (`pl.Enum`) where they are few: in the tables of samples and metrics that are joined
to many rows. Codes are joined, sorted and written several times faster than texts; the files say texts.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii

import polars as pl

from schemas.catalogue import Catalogue
from schemas.result import UNDATED
from tasks.balance import compute, unusual_creatinine
from tasks.codes import by_text, coded, coded_frame, decoded, places, sorted_by, taken
from tasks.current import Current
from tasks.sides import RESPONSE, formula_of
from tasks.slots import incomplete_24h, spread, wide
from tasks.validate import RULES

_UNUSUAL = "creatinine outside 0.3 to 3.0 g/L"
#: scale of a metric -> the UCUM unit of a ratio of equal units times that scale
_OF_NUMBERS = {1.0: "1", 100.0: "%", 1000.0: "10*-3", 1_000_000.0: "10*-6"}
_INCOMPLETE = "incomplete 24 h collection"

#: What `current` and the published results need of a ledger row.
NEEDED = (
    "export", "edition", "row", "item", "received_at", "sample_key", "subject", "sample", "specimen", "site", "visit",
    "timepoint", "replicate", "method", "method_rank", "analyte", "is_ratio", "low", "high", "rounding", "unit", "basis",
    "censoring", "rel_sd", "dilution", "ref_low", "ref_high", "status", "role", "replicates", "collected_at", "collected_local",
    "time_precision", "time_source", "reported_at", "month", "accepted", "reasons",
)  # fmt: skip

#: What `quarantine` needs of one.
OF_REFUSED = ("month", "export", "edition", "row", "item", "layout", "role", "reasons")

#: Texts of few values that all rows of a sample, and of a metric, share.
_FEW_BY_SAMPLE = ("lab", "month", "specimen", "site", "visit", "timepoint", "time_precision", "time_source",
                  "flag")  # fmt: skip
_FEW_BY_METRIC = ("name", "evidence_grade", "citation", "studied_in")

#: In what order samples stand in a file; `_public_key` comes last, so it is the same in every run.
_ORDER = [
    "month",
    "specimen",
    "collected_local",
    "subject",
    "sample",
    "site",
    "visit",
    "timepoint",
    "_public_key",
]


@dataclass(frozen=True)
class Pseudonyms:
    """How the ids of one lab are published: HMAC-SHA256 over lab, kind and id, or as study codes."""

    lab: str
    key: bytes
    ids_are_study_codes: bool

    def of(self, kind: str, ids: pl.Series) -> pl.Series:
        """Pseudonyms (32 hexadecimal characters) of `ids`, coded; `kind` keeps a subject apart from a sample."""
        if self.ids_are_study_codes and kind != "sample_key":
            return coded(ids)
        # the digest of JSON's ["lab", "kind", "id"]; what all ids have in common goes in once
        begun = hmac.new(self.key, json.dumps([self.lab, kind])[:-1].encode(), "sha256")

        def digest(text: str) -> str:
            whole = begun.copy()
            whole.update(f", {encode_basestring_ascii(text)}]".encode())
            return whole.hexdigest()[:32]

        return by_text(ids, lambda texts: pl.Series(map(digest, texts), dtype=pl.String))


def of_samples(now: Current, catalogue: Catalogue, pseudonyms: Pseudonyms) -> dict[str, pl.DataFrame]:
    """results, metrics and panels of the samples in `now`, in the order in which they are published; columns as
    in `schemas.outputs`, and some more."""
    samples = _samples(now, catalogue, pseudonyms)
    at = places(now.results["sample_key"], samples["sample_key"]).alias("_at")
    # codes are in the order of the texts they stand for, and are sorted many times faster
    results = sorted_by(now.results.with_columns(at), "analyte", "unit", "_at", "method")
    now = Current(results, now.problems, samples)
    built = {"results": _results(results, samples), "metrics": _metrics(now, catalogue)}
    built["panels"] = _panels(built["metrics"], samples)
    return {
        name: frame.with_columns(pl.col("_public_key").alias("sample_key")) for name, frame in built.items()
    }


def _samples(now: Current, catalogue: Catalogue, pseudonyms: Pseudonyms) -> pl.DataFrame:
    """What is published of each sample in every dataset, and `_at`: its place in their order."""
    samples = now.samples
    compartments = {name: specimen.compartment for name, specimen in catalogue.specimens.items()}
    commercial = {name: f"{compartment}, commercial only" for name, compartment in compartments.items()}
    labels = pl.Enum(sorted({*compartments.values(), *commercial.values()}))
    clock = pl.when(pl.col("time_precision") == "clock").then(pl.col("collected_local").dt.time())
    public = samples.with_columns(
        pl.lit(pseudonyms.lab).alias("lab"),
        pseudonyms.of("subject", samples["subject"]).alias("subject"),
        pseudonyms.of("sample", samples["sample"]).alias("sample"),
        pseudonyms.of("sample_key", samples["sample_key"]).alias("_public_key"),
        *(
            pl.col("specimen").replace_strict(told, default=None, return_dtype=labels).alias(name)
            for name, told in (("compartment", compartments), ("_commercial", commercial))
        ),
        clock.alias("local_clock_time"),
    )
    flagged = public.join(_flags(now), on="sample_key", how="left")
    return flagged.sort(_ORDER, nulls_last=True).pipe(coded_frame, *_FEW_BY_SAMPLE).with_row_index("_at")


def _results(results: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    value = pl.when(pl.col("low") == pl.col("high")).then("low").alias("value")
    own = results.drop("sample_key", "specimen").with_columns(value)
    return own.hstack(taken(samples.drop("_at"), results["_at"]))


def _metrics(now: Current, catalogue: Catalogue) -> pl.DataFrame:
    label = pl.when(pl.col("evidence_grade") == "commercial_only").then("_commercial")
    computed, about = compute(now, catalogue), _about_metrics(catalogue)
    return (
        computed.drop("sample_key")
        .pipe(coded_frame, "metric", "reason", "basis", "component_unit")
        .hstack(taken(now.samples.drop("_at"), computed["_at"]))
        .hstack(taken(about.drop("metric"), places(computed["metric"], about["metric"])))
        .with_columns(
            pl.when(pl.col("basis") == RESPONSE).then("response_unit").otherwise("unit").alias("unit")
        )
        .with_columns(label.otherwise("compartment").alias("label"))
    )


def _panels(metrics: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    # a panel has no column for the basis, so a ratio of peak areas must not stand among ratios of amounts
    values = metrics.select("_at", "metric", "value", "basis").drop_nulls("value")
    of_amounts = values.filter(pl.col("basis").ne_missing(RESPONSE))
    return samples.hstack(spread(of_amounts, ["metric"], {"value": ""}, samples.height))


def _flags(now: Current) -> pl.DataFrame:
    keys = now.samples.select("sample_key")
    whole_day = now.results.filter(pl.col("specimen") == "urine_24h")
    whole_day = whole_day.with_columns(places(whole_day["sample_key"], keys["sample_key"]).alias("_at"))
    slots = keys.hstack(wide(whole_day, {"urine_volume", "collection_duration"}, keys.height))
    incomplete = incomplete_24h(slots).filter("_incomplete_24h").select("sample_key")
    both = pl.concat(
        [
            decoded(unusual_creatinine(now.results)).with_columns(pl.lit(_UNUSUAL).alias("flag")),
            incomplete.with_columns(pl.lit(_INCOMPLETE).alias("flag")),
        ]
    )
    return both.group_by("sample_key").agg(pl.col("flag").sort().str.join("; "))


def _about_metrics(catalogue: Catalogue) -> pl.DataFrame:
    names = ("name", "unit", "evidence_grade", "citation")
    rows = [
        {
            "metric": m.id,
            "studied_in": "|".join(m.studied_in),
            # what the scale makes of areas over areas: `umol/mmol` would speak of amounts
            "response_unit": _OF_NUMBERS.get(formula_of(m).scale, "1"),
        }
        | {name: getattr(m, name) for name in names}
        for m in catalogue.metrics.values()
        if m.computed
    ]
    about = pl.DataFrame(
        rows, schema=dict.fromkeys(("metric", "studied_in", "response_unit", *names), pl.String)
    )
    units = pl.Enum(pl.concat([about["unit"], about["response_unit"]]).unique().sort())
    return about.pipe(coded_frame, *_FEW_BY_METRIC).with_columns(pl.col("unit", "response_unit").cast(units))


def quarantine(lab: str, refused: pl.DataFrame) -> pl.DataFrame:
    """One row per quarantined row and reason, with how to mend it, and no text of the row."""
    mends = {name: rule.mend for name, rule in RULES.items()}
    dated = refused.with_columns(pl.col("month").fill_null(UNDATED)).explode("reasons", empty_as_null=True)
    return dated.select(
        pl.lit(lab).alias("lab"),
        *("month", "export", "edition", "row", "item", "layout", "role"),
        pl.col("reasons").alias("reason"),
        pl.col("reasons").replace_strict(mends, default="", return_dtype=pl.String).alias("mend"),
    )


def _counted(column: str, name: str) -> pl.Expr:
    """A list of names and counts as text: `blank line: 2; trailer: 1`."""
    said = pl.element().struct.field(name) + ": " + pl.element().struct.field("count").cast(pl.String)
    return pl.col(column).list.eval(said).list.join("; ").replace("", None)


def exports(receipts: pl.DataFrame) -> pl.DataFrame:
    """The newest receipts as the dataset `exports`: counts and reasons, without names."""
    return receipts.with_columns(
        pl.col("received_at").dt.strftime("%Y-%m").alias("month"),
        pl.col("accepted_rows").alias("accepted"),
        pl.col("quarantined_rows").alias("quarantined"),
        _counted("skipped", "name").alias("skipped"),
        _counted("reason_counts", "reason").alias("reasons"),
    )


def metric_catalogue(catalogue: Catalogue) -> pl.DataFrame:
    """Every metric, computed or not, as the dataset `catalogue`."""
    return pl.DataFrame(
        [
            {
                "metric": m.id,
                "name": m.name,
                "formula": m.formula_text,
                "unit": m.unit,
                "specimens": "|".join(m.specimens),
                "computed": m.computed,
                "not_computed_because": m.not_computed_because or None,
                "studied_in": "|".join(m.studied_in),
                "evidence_grade": m.evidence_grade,
                "caveats": m.caveats or None,
                "citation": m.citation or None,
                "published_values": m.published_values or None,
            }
            for m in catalogue.metrics.values()
        ],
        infer_schema_length=None,
    )
