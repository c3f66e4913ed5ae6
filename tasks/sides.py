"""The components of a metric in a frame of one row per sample: which are there, in which units. Pure Polars."""

from __future__ import annotations

import math

import polars as pl

from schemas.catalogue import Metric
from schemas.formula import Formula
from tasks.intervals import Interval

#: Basis of a metric of peak areas: no amount, so it stands in no panel beside ratios of amounts.
RESPONSE = "response"

#: Units that both sides may be in, in the order of preference (molar, then MRS and what has no molar mass).
UNITS = {
    "umol/L": "per_volume",
    "umol/mmol{creat}": "per_creatinine",
    "umol/(24.h)": "per_24h",
    "umol/h": "per_hour",
    "nmol/g{wet}": "per_wet_mass",
    "nmol/mg{prot}": "per_protein",
    "nmol/10*9{plt}": "per_platelets",
}
#: Units of brain MRS: all metabolites of one fit share them, so a ratio needs no moles.
_MRS_UNITS = ("{i.u.}", "1/{tCr}")
#: Units of peak areas. Only what a layout calls comparable is ever ratioed, and only with its like.
_COMPARABLE = ("{area,comparable}", "{area_ratio,comparable}")
RESPONSES = ("{area}", "{area_ratio}", *_COMPARABLE)
URINE = ("urine", "urine_24h", "urine_timed", "dried_urine")
ENDS = ("low", "high", "rounding")
#: end -> what stands after a metric's id in the name of the column of a ratio that a lab prints.
PRINTED = {end: f" printed {end}" for end in ENDS}


def slot(analyte: str, unit: str, end: str) -> str:
    """The column of one end of one analyte in one unit, in a frame of one row per sample."""
    return f"{analyte}|{unit}|{end}"


def wide(results: pl.DataFrame, analytes: set[str]) -> pl.DataFrame:
    """One row per sample, one column per analyte, unit and end (`low`, `high`, `rounding`).

    results: one row per sample, analyte and unit."""
    wanted = results.lazy().filter(pl.col("analyte").is_in(sorted(analytes)) & ~pl.col("is_ratio"))
    used = wanted.select("sample_key", "analyte", "unit", *ENDS).collect()
    frame = spread(used, ["analyte", "unit"], {end: f"|{end}" for end in ENDS})
    return _with_total_creatine(frame) if "tcr" in analytes else frame


def spread(rows: pl.DataFrame, by: list[str], values: dict[str, str]) -> pl.DataFrame:
    """One row per sample_key, and for each combination of `by` the columns `values`, named by the texts of
    `by` joined with | and by what `values` appends.

    rows: at most one per sample_key and combination. Many times faster than a pivot.
    """
    samples = rows.select("sample_key").unique(maintain_order=True).with_row_index("_at")
    placed = rows.join(samples, on="sample_key", how="left", maintain_order="left").drop("sample_key")
    columns = [samples["sample_key"]]
    nowhere = pl.Series([None], dtype=pl.UInt32).new_from_index(0, samples.height)
    slots = placed.partition_by(by, as_dict=True, include_key=False)
    for key, mine in sorted(slots.items()):
        # which row of `mine` is the one of each sample
        at = nowhere.clone().scatter(mine["_at"], pl.int_range(mine.height, dtype=pl.UInt32, eager=True))
        columns += [mine[name].gather(at).alias("|".join(key) + end) for name, end in values.items()]
    return pl.DataFrame(columns)


def _with_total_creatine(frame: pl.DataFrame) -> pl.DataFrame:
    """Per total creatine, total creatine itself is 1: tables of ratios do not print it, and a ratio to it that is
    printed needs no division."""
    unit = _MRS_UNITS[1]
    printed = [name for name in frame.columns if name.endswith(f"|{unit}|low")]
    if not printed:
        return frame
    any_of = pl.any_horizontal(pl.col(name).is_not_null() for name in printed)
    ends = {
        slot("tcr", unit, end): number for end, number in (("low", 1.0), ("high", 1.0), ("rounding", 0.0))
    }
    return frame.with_columns(
        pl.when(any_of)
        .then(pl.col(name).fill_null(number) if name in frame.columns else pl.lit(number))
        .alias(name)
        for name, number in ends.items()
    )


def formula_of(metric: Metric) -> Formula:
    """The formula of a metric that is computed."""
    if metric.formula is None:
        raise ValueError(f"{metric.id} is not computed: {metric.not_computed_because}")
    return metric.formula


class Sides:
    """The components of one metric in a frame of one row per sample."""

    def __init__(self, metric: Metric, frame: pl.DataFrame) -> None:
        self.metric, self.have, self.formula = metric, set(frame.columns), formula_of(metric)
        self.numerator, self.denominator = self.formula.numerator, self.formula.denominator
        self.components = list(dict.fromkeys((*self.numerator, *self.denominator)))

    def end(self, analyte: str, unit: str, end: str) -> pl.Expr:
        name = slot(analyte, unit, end)
        return pl.col(name) if name in self.have else pl.lit(None, pl.Float64)

    def present(self, analyte: str, unit: str) -> pl.Expr:
        return self.end(analyte, unit, "low").is_not_null()

    def anywhere(self, analyte: str) -> pl.Expr:
        mine = [
            pl.col(name).is_not_null()
            for name in sorted(self.have)
            if name.startswith(f"{analyte}|") and name.endswith("|low")
        ]
        return pl.any_horizontal(mine) if mine else pl.lit(False)

    def printed(self, end: str) -> pl.Expr:
        """One end of the ratio as a lab prints it, in the metric's unit."""
        name = self.metric.id + PRINTED[end]
        return pl.col(name) if name in self.have else pl.lit(None, pl.Float64)

    def units(self) -> list[str]:
        """Units in which any component is there, best first; mass only where the metric needs no moles."""
        known = {
            name.split("|")[1]
            for name in self.have
            if name.split("|")[0] in self.components and name.endswith("|low")
        }
        no_moles = _MRS_UNITS if self.metric.molar_required else known
        others = {u for u in known - set(UNITS) if u in _COMPARABLE or (u in no_moles and u not in RESPONSES)}
        # concentrations have more digits than the ratios that a fit prints of them, so they come first
        ordered = sorted(others, key=lambda u: (u not in _MRS_UNITS, u != _MRS_UNITS[0], u))
        return [unit for unit in UNITS if unit in known] + ordered


def interval(sides: Sides, analyte: str, unit: str, widen: bool = False) -> Interval:
    """The interval of an amount; `widen`: with the rounding of the printed value added to both ends."""
    low, high = sides.end(analyte, unit, "low"), sides.end(analyte, unit, "high")
    if not widen:
        return low, high
    half = sides.end(analyte, unit, "rounding").fill_null(0.0)
    lowest = pl.when(low.is_not_null()).then(pl.max_horizontal(low - half, pl.lit(0.0)))
    return lowest, high + half


def per_volume(sides: Sides, analyte: str, widen: bool = False) -> Interval:
    """An amount per volume, converted with the same sample's creatinine where it was sent per creatinine."""
    creatinine = [end / 1000 for end in interval(sides, "creatinine", "umol/L", widen)]  # mmol/L
    sent = interval(sides, analyte, "umol/mmol{creat}", widen)
    converted = [end * c for end, c in zip(sent, creatinine, strict=True)]
    direct = interval(sides, analyte, "umol/L", widen)
    low, high = (pl.coalesce(d, c) for d, c in zip(direct, converted, strict=True))
    return low, pl.when(high.is_nan()).then(math.inf).otherwise(high)
