"""Both sides of a metric of each sample, in the first basis in which every component is there. Pure Polars."""

from __future__ import annotations

import math
from typing import NamedTuple

import polars as pl

from schemas.catalogue import Metric
from schemas.formula import Formula
from tasks.intervals import (
    BALANCE,
    SHAPE,
    Interval,
    factor_of,
    mean_log,
    natural_range,
    opposed,
    shape_of,
    total,
)
from tasks.slots import ENDS, MRS_UNITS, slot, units_in

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
_PER_DAY = "umol/(24.h)"
#: Units of peak areas. Only what a layout calls comparable is ever ratioed, and only with its like.
_COMPARABLE = ("{area,comparable}", "{area_ratio,comparable}")
RESPONSES = ("{area}", "{area_ratio}", *_COMPARABLE)
URINE = ("urine", "urine_24h", "urine_timed", "dried_urine")
#: end -> what stands after a metric's id in the name of the column of a ratio that a lab prints.
PRINTED = {end: f" printed {end}" for end in ENDS}
#: What stands after an analyte in the name of the column that says why it is in no slot.
MISSING = " missing"


def formula_of(metric: Metric) -> Formula:
    """The formula of a metric that is computed."""
    if metric.formula is None:
        raise ValueError(f"{metric.id} is not computed: {metric.not_computed_because}")
    return metric.formula


class Way(NamedTuple):
    """One basis that a metric can be computed in, and whether every component of a sample is there."""

    whole: pl.Expr
    unit: str
    #: what was sent per creatinine is converted with the sample's creatinine
    converted: bool = False

    @property
    def basis(self) -> str:
        """What is published as the basis of the metric."""
        basis = RESPONSE if self.unit in RESPONSES else UNITS.get(self.unit, self.unit)
        return basis + (", converted with the sample's creatinine" if self.converted else "")


class Sides:
    """One metric in a frame of one row per sample.

    refusals: specimen -> why the metric is refused there. columns: those of the frame.
    """

    def __init__(self, metric: Metric, refusals: dict[str, str], columns: frozenset[str]) -> None:
        self.metric, self.refusals = metric, refusals
        self._units, self._printed_by_lab = units_in(columns), metric.id + PRINTED["low"] in columns
        self.formula = formula_of(metric)
        self.components = self.formula.analytes
        self.specimens = [*metric.specimens, *refusals]
        self.mine = pl.col("specimen").is_in(self.specimens)
        #: the column that says which of `ways` a sample takes: its number
        self.way = f"{metric.id} way"
        self.ways = self._ways()

    def _ways(self) -> list[Way]:
        """The bases in which any component is there, best first; never one side converted alone."""
        ways = []
        for unit in self._in_order():
            whole = self._all_in(unit)
            ways.append(Way(whole & ~pl.col("_incomplete_24h") if unit == _PER_DAY else whole, unit))
        if set(self.specimens) & set(URINE) and "umol/L" in self._units.get("creatinine", ()):
            whole = pl.all_horizontal(
                self._present(c, "umol/L")
                | (self._present(c, "umol/mmol{creat}") & self._present("creatinine", "umol/L"))
                for c in self.components
            )
            ways.append(Way(whole, "umol/L", converted=True))
        return ways

    def _in_order(self) -> list[str]:
        """Units in which any component is there, best first; mass only where the metric needs no moles."""
        known = {unit for c in self.components for unit in self._units.get(c, ())}
        no_moles = MRS_UNITS if self.metric.molar_required else known
        others = {u for u in known - set(UNITS) if u in _COMPARABLE or (u in no_moles and u not in RESPONSES)}
        # concentrations have more digits than the ratios that a fit prints of them, so they come first
        ordered = sorted(others, key=lambda u: (u not in MRS_UNITS, u != MRS_UNITS[0], u))
        return [unit for unit in UNITS if unit in known] + ordered

    def first_way(self) -> pl.Expr:
        """The column `way`: the number of the first of `ways` in which every component is there."""
        taken = [
            pl.when(self.mine & way.whole).then(pl.lit(at, pl.UInt8)) for at, way in enumerate(self.ways)
        ]
        return (pl.coalesce(taken) if taken else pl.lit(None, pl.UInt8)).alias(self.way)

    def weighed(self, frame: pl.LazyFrame, taken: list[int], texts: pl.Enum) -> pl.LazyFrame:
        """One row per sample in a specimen that the metric is defined for, or refused in.

        frame: slots (`slots.wide`), `_at` (the place of the sample), `specimen`, `time_source`, `time_precision`, `_incomplete_24h`,
        `way`, of each component what `MISSING` names, and, where the lab prints the ratio, what `PRINTED` names.
        taken: the ways that any sample takes; the others are not worked out. texts: the codes of bases and units.

        Returns _at, metric; shape, factor, scale, lowest, highest (of the formula); top, bottom (what is
        weighed, as `intervals.opposed`), wide_top, wide_bottom (with the rounding of the printed amounts),
        numerator, denominator, each `_low` and `_high` in component_unit; basis; zero (a component is zero);
        refused (why there is no value, as far as it does not depend on the basis), incomplete, areas (whether
        every component is there per 24 h of an incomplete collection, or as an area); reported_low, _high,
        _rounding.
        """
        formula = self.formula
        lowest, highest = natural_range(formula)
        said = {"factor": factor_of(formula), "scale": formula.scale, "lowest": lowest, "highest": highest}
        areas = (pl.any_horizontal(self._present(c, unit) for unit in RESPONSES) for c in self.components)
        return frame.filter(self.mine).select(
            "_at",
            pl.lit(self.metric.id).alias("metric"),
            pl.lit(shape_of(formula), SHAPE).alias("shape"),
            *(pl.lit(number).alias(name) for name, number in said.items()),
            *self._in_their_way(taken, texts),
            self._refused().alias("refused"),
            (pl.col("_incomplete_24h") & self._all_in(_PER_DAY)).alias("incomplete"),
            pl.all_horizontal(areas).alias("areas"),
            *(self._printed(end).alias(f"reported_{end}") for end in ENDS),
        )

    def _in_their_way(self, taken: list[int], texts: pl.Enum) -> list[pl.Expr]:
        """What depends on the way that a sample takes."""
        figures = {at: self._figures(self.ways[at], texts) for at in taken}
        nothing = dict.fromkeys(_FIGURES, pl.lit(None, pl.Float64)) | {
            "basis": pl.lit(None, texts), "component_unit": pl.lit(None, texts),
            "zero": pl.lit(None, pl.Boolean),
        }  # fmt: skip
        return [
            (pl.coalesce(pl.when(pl.col(self.way) == at).then(of[name]) for at, of in figures.items())
             if figures else none).alias(name)
            for name, none in nothing.items()
        ]  # fmt: skip

    def _figures(self, way: Way, texts: pl.Enum) -> dict[str, pl.Expr]:
        formula = self.formula
        amounts = self._amounts(way, widen=False)
        sides = dict(zip(("top", "bottom"), opposed(formula, amounts), strict=True))
        if self._printed_by_lab:
            wide = opposed(formula, self._amounts(way, widen=True))
            sides |= zip(("wide_top", "wide_bottom"), wide, strict=True)
        else:  # what nothing is compared with
            nothing = pl.lit(None, pl.Float64)
            sides |= dict.fromkeys(("wide_top", "wide_bottom"), (nothing, nothing))
        for name, side in (("numerator", formula.numerator), ("denominator", formula.denominator)):
            low, high = ([amounts[c][end] for c in dict.fromkeys(side)] for end in (0, 1))
            balance = shape_of(formula) == BALANCE
            sides[name] = (
                (mean_log(low).exp(), mean_log(high).exp()) if balance else (total(low), total(high))
            )
        ends = {
            f"{name}_{end}": side[at]
            for name, side in sides.items()
            for at, end in enumerate(("low", "high"))
        }
        return ends | {
            "zero": pl.any_horizontal(high == 0 for _, high in amounts.values()),
            "basis": pl.lit(way.basis, texts),
            "component_unit": pl.lit(way.unit, texts),
        }

    def _refused(self) -> pl.Expr:
        missing = pl.concat_str(
            [pl.col(c + MISSING) for c in self.components], separator="; ", ignore_nulls=True
        )
        why: list[pl.Expr] = [pl.when(missing != "").then(missing)]
        if self.refusals:
            of_specimen = pl.col("specimen").replace_strict(
                self.refusals, default=None, return_dtype=pl.String
            )
            why.insert(0, of_specimen)
        if self.metric.time_needed:
            lacks = (pl.col("time_source") != "collected").fill_null(True)
            if self.metric.time_needed == "clock":
                lacks |= (pl.col("time_precision") != "clock").fill_null(True)
            clock = "clock time" if self.metric.time_needed == "clock" else "time"
            why.append(pl.when(lacks).then(pl.lit(f"needs the {clock} of collection")))
        return pl.coalesce(why)

    # amounts

    def _end(self, analyte: str, unit: str, end: str) -> pl.Expr:
        there = unit in self._units.get(analyte, ())
        return pl.col(slot(analyte, unit, end)) if there else pl.lit(None, pl.Float64)

    def _present(self, analyte: str, unit: str) -> pl.Expr:
        return self._end(analyte, unit, "low").is_not_null()

    def _all_in(self, unit: str) -> pl.Expr:
        return pl.all_horizontal(self._present(c, unit) for c in self.components)

    def _printed(self, end: str) -> pl.Expr:
        """One end of the ratio as a lab prints it, in the metric's unit."""
        return pl.col(self.metric.id + PRINTED[end]) if self._printed_by_lab else pl.lit(None, pl.Float64)

    def _amounts(self, way: Way, widen: bool) -> dict[str, Interval]:
        if way.converted:
            return {c: self._per_volume(c, widen) for c in self.components}
        return {c: self._interval(c, way.unit, widen) for c in self.components}

    def _interval(self, analyte: str, unit: str, widen: bool) -> Interval:
        """The interval of an amount; `widen`: with the rounding of the printed value added to both ends."""
        low, high = self._end(analyte, unit, "low"), self._end(analyte, unit, "high")
        if not widen:
            return low, high
        half = self._end(analyte, unit, "rounding").fill_null(0.0)
        lowest = pl.when(low.is_not_null()).then(pl.max_horizontal(low - half, pl.lit(0.0)))
        return lowest, high + half

    def _per_volume(self, analyte: str, widen: bool) -> Interval:
        """An amount per volume, converted with the same sample's creatinine where it was sent per creatinine."""
        creatinine = [end / 1000 for end in self._interval("creatinine", "umol/L", widen)]  # mmol/L
        sent = self._interval(analyte, "umol/mmol{creat}", widen)
        converted = [end * c for end, c in zip(sent, creatinine, strict=True)]
        direct = self._interval(analyte, "umol/L", widen)
        low, high = (pl.coalesce(d, c) for d, c in zip(direct, converted, strict=True))
        return low, pl.when(high.is_nan()).then(math.inf).otherwise(high)


#: The columns of numbers that a way gives.
_FIGURES = [
    f"{side}_{end}"
    for side in ("top", "bottom", "wide_top", "wide_bottom", "numerator", "denominator")
    for end in ("low", "high")
]
