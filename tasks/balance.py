"""Balance metrics as intervals, with a reason for every one that is absent. Pure Polars.

A ratio of intervals is `num.low / den.high .. num.high / den.low`; nothing is substituted for
censored results. Left-censored arithmetic: Helsel 2006, Chemosphere 65:2434. Log-ratio
balances: Egozcue and Pawlowsky-Glahn's isometric log-ratio, sqrt(rs/(r+s)) ln(g(x+)/g(x-)).
"""

from __future__ import annotations

import math
from functools import reduce

import polars as pl

from schemas.catalogue import Catalogue, Metric
from schemas.formula import Formula
from tasks.current import Current

UNCENSORED, BELOW, ABOVE, BOUNDED = "uncensored", "below", "above", "bounded"
UNDETERMINED, ABSENT = "undetermined", "absent"

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
_URINE = ("urine", "urine_24h", "urine_timed", "dried_urine")
_CREATININE_G_PER_L = (0.3, 3.0)  # WHO limits, as quoted by Biomed Environ Sci 2022;35:899
_CREATININE_MOLAR_MASS = 113.12  # g/mol
_SHORTEST_24H, _LONGEST_24H, _SMALLEST_24H = 20.0, 28.0, 0.4  # hours, hours, litres

#: What `compute` gives: one row per sample and metric. Sides are in `component_unit`.
COMPUTED_SCHEMA: dict[str, type[pl.DataType]] = {
    "sample_key": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "status": pl.String,
    "reason": pl.String,
    "basis": pl.String,
    "numerator_low": pl.Float64,
    "numerator_high": pl.Float64,
    "denominator_low": pl.Float64,
    "denominator_high": pl.Float64,
    "component_unit": pl.String,
    "reported_low": pl.Float64,
    "reported_high": pl.Float64,
    "reported_agrees": pl.Boolean,
}

Interval = tuple[pl.Expr, pl.Expr]


def slot(analyte: str, unit: str, end: str) -> str:
    """The column of one end of one analyte in one unit, in a frame of one row per sample."""
    return f"{analyte}|{unit}|{end}"


def wide(results: pl.DataFrame, analytes: set[str]) -> pl.DataFrame:
    """One row per sample, one column per analyte, unit and end (`low`, `high`, `rounding`)."""
    used = results.filter(pl.col("analyte").is_in(sorted(analytes)) & ~pl.col("is_ratio"))
    pairs = used.select("analyte", "unit").unique().sort("analyte", "unit").rows()
    columns = [
        pl.when((pl.col("analyte") == a) & (pl.col("unit") == u)).then(pl.col(end)).alias(slot(a, u, end))
        for a, u in pairs for end in ("low", "high", "rounding")
    ]  # fmt: skip
    # one row per sample and slot, so any aggregate that ignores nulls picks it; max is the fastest
    frame = used.select("sample_key", *columns).group_by("sample_key").agg(pl.all().max())
    return _with_total_creatine(frame) if "tcr" in analytes else frame


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


def _sum(parts: list[pl.Expr]) -> pl.Expr:
    return reduce(lambda a, b: a + b, parts)


def divide(numerator: Interval, denominator: Interval) -> Interval:
    """The interval of all ratios of two non-negative intervals; 0/0 and inf/inf give 0..infinity.

    A true zero numerator over anything that can be more than zero is exactly zero.
    """
    (a, b), (c, d) = numerator, denominator
    low = pl.when((a == 0) | d.is_infinite()).then(0.0).otherwise(a / d)
    high = (
        pl.when(b == 0)
        .then(pl.when(d == 0).then(math.inf).otherwise(0.0))
        .when((c == 0) | b.is_infinite())
        .then(math.inf)
        .otherwise(b / c)
    )
    return low, high


def ratio(numerator: dict[str, Interval], denominator: dict[str, Interval]) -> Interval:
    """Sum over sum. An analyte on both sides is rewritten, `d/(d+l) = 1/(1+l/d)`, so bounds stay sharp."""
    shared = set(numerator) & set(denominator)

    def total(side: dict[str, Interval], names: set[str]) -> Interval:
        ends = [side[name] for name in side if name in names]
        return _sum([low for low, _ in ends]), _sum([high for _, high in ends])

    if not shared:
        return divide(total(numerator, set(numerator)), total(denominator, set(denominator)))
    if set(numerator) == set(denominator):
        raise ValueError("a side divided by itself is no metric")
    whole, part = (denominator, numerator) if shared == set(numerator) else (numerator, denominator)
    low, high = divide(total(whole, set(whole) - shared), total(part, shared))
    if whole is denominator:
        return 1 / (1 + high), 1 / (1 + low)
    return 1 + low, 1 + high


def balance(numerator: dict[str, Interval], denominator: dict[str, Interval]) -> Interval:
    """sqrt(rs/(r+s)) ln(g(numerator)/g(denominator)); an end where an amount may be zero is infinite."""
    r, s = len(numerator), len(denominator)
    factor = math.sqrt(r * s / (r + s))

    def mean_log(side: dict[str, Interval], end: int) -> pl.Expr:
        return _sum([interval[end].log() for interval in side.values()]) / len(side)

    low = factor * (mean_log(numerator, 0) - mean_log(denominator, 1))
    high = factor * (mean_log(numerator, 1) - mean_log(denominator, 0))
    # -inf - -inf and inf - inf say nothing
    return pl.when(low.is_nan()).then(-math.inf).otherwise(low), pl.when(high.is_nan()).then(
        math.inf
    ).otherwise(high)


def natural_range(formula: Formula) -> tuple[float, float]:
    """What a metric can be at all: a part of a whole is at most 1, a whole over its part at least 1."""
    if formula.kind == "balance":
        return -math.inf, math.inf
    if not formula.shared:
        return 0.0, math.inf
    is_part = set(formula.numerator) == formula.shared
    return (0.0, formula.scale) if is_part else (formula.scale, math.inf)


def status_of(low: pl.Expr, high: pl.Expr, lowest: float = 0.0, highest: float = math.inf) -> pl.Expr:
    """What is known of an interval whose values lie from `lowest` to `highest` in any case."""
    open_below, open_above = low <= lowest, high >= highest
    return (
        pl.when(low == high).then(pl.lit(UNCENSORED))
        .when(open_below & open_above).then(pl.lit(UNDETERMINED))
        .when(open_below).then(pl.lit(BELOW)).when(open_above).then(pl.lit(ABOVE)).otherwise(pl.lit(BOUNDED))
    )  # fmt: skip


def formula_of(metric: Metric) -> Formula:
    """The formula of a metric that is computed."""
    if metric.formula is None:
        raise ValueError(f"{metric.id} is not computed: {metric.not_computed_because}")
    return metric.formula


class _Sides:
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

    def units(self) -> list[str]:
        """Units in which any component is there, best first; mass only where the metric needs no moles."""
        known = {
            name.split("|")[1]
            for name in self.have
            if name.split("|")[0] in self.components and name.endswith("|low")
        }
        others = sorted(
            (unit for unit in known - set(UNITS) if not self.metric.molar_required or unit in _MRS_UNITS),
            # concentrations have more digits than the ratios that a fit prints of them
            key=lambda unit: (_MRS_UNITS.index(unit) if unit in _MRS_UNITS else len(_MRS_UNITS), unit),
        )
        return [unit for unit in UNITS if unit in known] + others


def _interval(sides: _Sides, analyte: str, unit: str, widen: bool = False) -> Interval:
    """The interval of an amount; `widen`: with the rounding of the printed value added to both ends."""
    low, high = sides.end(analyte, unit, "low"), sides.end(analyte, unit, "high")
    if not widen:
        return low, high
    half = sides.end(analyte, unit, "rounding").fill_null(0.0)
    lowest = pl.when(low.is_not_null()).then(pl.max_horizontal(low - half, pl.lit(0.0)))
    return lowest, high + half


def _per_volume(sides: _Sides, analyte: str, widen: bool = False) -> Interval:
    """An amount per volume, converted with the same sample's creatinine where it was sent per creatinine."""
    creatinine = [end / 1000 for end in _interval(sides, "creatinine", "umol/L", widen)]  # mmol/L
    sent = _interval(sides, analyte, "umol/mmol{creat}", widen)
    converted = [end * c for end, c in zip(sent, creatinine, strict=True)]
    direct = _interval(sides, analyte, "umol/L", widen)
    low, high = (pl.coalesce(d, c) for d, c in zip(direct, converted, strict=True))
    return low, pl.when(high.is_nan()).then(math.inf).otherwise(high)


def _figures(metric: Metric, sides: _Sides, unit: str, converted: bool = False) -> pl.Expr:
    """One struct of figures with both sides in `unit`."""

    def side(names: tuple[str, ...], widen: bool) -> dict[str, Interval]:
        if converted:
            return {name: _per_volume(sides, name, widen) for name in names}
        return {name: _interval(sides, name, unit, widen) for name in names}

    calculate = ratio if sides.formula.kind == "ratio" else balance
    scale = sides.formula.scale
    low, high = calculate(side(sides.numerator, False), side(sides.denominator, False))
    wide_low, wide_high = calculate(side(sides.numerator, True), side(sides.denominator, True))
    ends = {}
    for name, names in (("numerator", sides.numerator), ("denominator", sides.denominator)):
        intervals = list(side(names, False).values())
        for index, end in enumerate(("low", "high")):
            parts = [interval[index] for interval in intervals]
            mean = (_sum([part.log() for part in parts]) / len(parts)).exp()
            ends[f"{name}_{end}"] = _sum(parts) if sides.formula.kind == "ratio" else mean
    all_in = [_per_volume(sides, n) if converted else _interval(sides, n, unit) for n in sides.components]
    zero = pl.any_horizontal((high == 0) for _, high in all_in)
    basis = UNITS.get(unit, unit) + (", converted with the sample's creatinine" if converted else "")
    return pl.struct(
        (low * scale).alias("low"), (high * scale).alias("high"),
        (wide_low * scale).alias("wide_low"), (wide_high * scale).alias("wide_high"),
        pl.lit(basis).alias("basis"), pl.lit(unit).alias("component_unit"),
        zero.alias("zero"), *(expression.alias(name) for name, expression in ends.items()),
    )  # fmt: skip


def _choose_basis(metric: Metric, sides: _Sides, specimens: set[str]) -> pl.Expr:
    """The figures in the first basis in which every component is there; never one side converted alone."""
    complete = {
        unit: pl.all_horizontal(sides.present(c, unit) for c in sides.components) for unit in sides.units()
    }
    choice: pl.Expr | None = None
    for unit, whole in complete.items():
        usable = whole & ~pl.col("_incomplete_24h") if unit == "umol/(24.h)" else whole
        figures = _figures(metric, sides, unit)
        choice = pl.when(usable).then(figures) if choice is None else choice.when(usable).then(figures)  # type: ignore[attr-defined]
    if specimens & set(_URINE) and slot("creatinine", "umol/L", "low") in sides.have:
        whole = pl.all_horizontal(
            sides.present(c, "umol/L")
            | (sides.present(c, "umol/mmol{creat}") & sides.present("creatinine", "umol/L"))
            for c in sides.components
        )
        figures = _figures(metric, sides, "umol/L", converted=True)
        choice = pl.when(whole).then(figures) if choice is None else choice.when(whole).then(figures)  # type: ignore[attr-defined]
    return choice if choice is not None else pl.lit(None)


def _reason(metric: Metric, sides: _Sides, refusals: dict[str, str]) -> pl.Expr:
    """Why there is no value; null where there is one."""
    missing = pl.concat_list(
        pl.when(~sides.anywhere(c)).then(pl.concat_str(
            pl.col(f"_problem_{c}").fill_null("missing component") if f"_problem_{c}" in sides.have else pl.lit("missing component"),
            pl.lit(f": {c}"),
        )) for c in sides.components
    ).list.drop_nulls().list.join("; ")  # fmt: skip
    figures = pl.col("_figures")
    refused = (
        pl.col("specimen").replace_strict(refusals, default=None, return_dtype=pl.String)
        if refusals
        else pl.lit(None, pl.String)
    )
    clock = pl.lit(None, pl.String)
    if metric.time_needed:
        lacks = (pl.col("time_source") != "collected").fill_null(True)
        if metric.time_needed == "clock":
            lacks |= (pl.col("time_precision") != "clock").fill_null(True)
        clock = pl.when(lacks).then(
            pl.lit(
                "needs the clock time of collection"
                if metric.time_needed == "clock"
                else "needs the time of collection"
            )
        )
    nothing = figures.struct.field("low").is_null()
    # a denominator so small that the ratio overflows is as good as zero
    zero_denominator = figures.struct.field("low") == math.inf
    balance_zero = figures.struct.field("zero") & pl.lit(sides.formula.kind == "balance")
    incomplete = pl.col("_incomplete_24h") & pl.all_horizontal(
        sides.present(c, "umol/(24.h)") for c in sides.components
    )
    return pl.coalesce(
        refused, pl.when(missing != "").then(missing), clock,
        pl.when(nothing & incomplete).then(pl.lit("incomplete 24 h collection")),
        pl.when(nothing).then(pl.lit("different basis")),
        pl.when(balance_zero).then(pl.lit("zero in a log-ratio balance")),
        pl.when(zero_denominator).then(pl.lit("zero denominator")),
    )  # fmt: skip


def refusals_of(metric: Metric, catalogue: Catalogue) -> dict[str, str]:
    """Specimen -> why the metric is refused there, for the analytes that a guard refuses."""
    components = set(formula_of(metric).analytes)
    return {
        specimen: guard.reason.partition(":")[0]
        for guard in catalogue.guards
        if guard.action == "refuse" and guard.analyte in components
        for specimen in guard.specimens
    }


def _nothing() -> pl.Expr:
    names = (
        "low",
        "high",
        "wide_low",
        "wide_high",
        "numerator_low",
        "numerator_high",
        "denominator_low",
        "denominator_high",
    )
    return pl.struct(*(pl.lit(None, pl.Float64).alias(name) for name in names), pl.lit(None, pl.String).alias("basis"),
                     pl.lit(None, pl.String).alias("component_unit"), pl.lit(None, pl.Boolean).alias("zero"))  # fmt: skip


def one_metric(metric: Metric, frame: pl.DataFrame, refusals: dict[str, str]) -> pl.DataFrame:
    """One row per sample of `frame`: the metric's interval, status, reason, sides and printed ratio.

    frame: one row per sample with slots (`wide`), `specimen`, `time_source`, `time_precision`,
    `_incomplete_24h`, `_problem_<analyte>` and, where the lab prints the ratio, `reported_low`, `reported_high`,
    `reported_rounding`. refusals: specimen -> why the metric is refused there.
    """
    sides = _Sides(metric, frame)
    chosen = _choose_basis(metric, sides, set(frame["specimen"].unique()))
    frame = frame.with_columns((chosen if sides.units() else _nothing()).alias("_figures"))
    if not isinstance(frame.schema["_figures"], pl.Struct):
        frame = frame.with_columns(_nothing().alias("_figures"))
    frame = frame.with_columns(_reason(metric, sides, refusals).alias("reason")).unnest("_figures")
    lowest, highest = natural_range(sides.formula)
    there = pl.col("reason").is_null()
    printed_low = pl.col("reported_low") - pl.col("reported_rounding").fill_null(0.0)
    printed_high = pl.col("reported_high") + pl.col("reported_rounding").fill_null(0.0)
    slack = 1e-9 * printed_high.abs().fill_nan(0.0)  # binary rounding of decimal texts, nothing else
    slack = pl.when(slack.is_finite()).then(slack).otherwise(0.0)
    agrees = (printed_low <= pl.col("wide_high") + slack) & (printed_high + slack >= pl.col("wide_low"))
    figures = {
        "metric": pl.lit(metric.id),
        "value": pl.when(there & (pl.col("low") == pl.col("high"))).then("low"),
        "low": pl.when(there).then("low"),
        "high": pl.when(there).then("high"),
        "status": pl.when(there)
        .then(status_of(pl.col("low"), pl.col("high"), lowest, highest))
        .otherwise(pl.lit(ABSENT)),
        "reported_agrees": pl.when(there & pl.col("reported_low").is_not_null()).then(agrees),
    }
    return frame.select(
        figures.get(name, pl.col(name)).cast(t).alias(name) for name, t in COMPUTED_SCHEMA.items()
    )


def compute(now: Current, catalogue: Catalogue) -> pl.DataFrame:
    """Every metric of every sample that it is defined for, or refused in: one row each.

    Returns a frame of `COMPUTED_SCHEMA`.
    """
    metrics = [metric for metric in catalogue.metrics.values() if metric.computed]
    analytes = {analyte for metric in metrics for analyte in formula_of(metric).analytes}
    slots = wide(now.results, analytes | {"creatinine", "urine_volume", "collection_duration"})
    base = now.samples.select("sample_key", "specimen", "time_source", "time_precision")
    frame = incomplete_24h(base.join(slots, on="sample_key", how="left"))
    for analyte, group in now.problems.filter(pl.col("analyte").is_in(sorted(analytes))).group_by("analyte"):
        named = group.select("sample_key", pl.col("problem").alias(f"_problem_{analyte[0]}"))
        frame = frame.join(named, on="sample_key", how="left")
    printed = now.results.filter("is_ratio")
    parts = []
    for metric in metrics:
        refusals = refusals_of(metric, catalogue)
        mine = frame.filter(pl.col("specimen").is_in([*metric.specimens, *refusals]))
        if mine.is_empty():
            continue
        own = printed.filter(pl.col("analyte") == metric.id).select(
            "sample_key", pl.col("low").alias("reported_low"), pl.col("high").alias("reported_high"),
            pl.col("rounding").alias("reported_rounding"),
        )  # fmt: skip
        parts.append(one_metric(metric, mine.join(own, on="sample_key", how="left"), refusals))
    return pl.concat(parts) if parts else pl.DataFrame(schema=COMPUTED_SCHEMA)


def incomplete_24h(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with `_incomplete_24h`: the collection took under 20 h, over 28 h, or gave under 0.4 L.

    Source of the limits: ARUP's acceptance rule, as quoted by the University of Iowa's test directory, test 2965.
    """
    none = pl.lit(None, pl.Float64)
    hours = (
        pl.col(slot("collection_duration", "h", "low"))
        if slot("collection_duration", "h", "low") in frame.columns
        else none
    )
    litres = (
        pl.col(slot("urine_volume", "L", "high"))
        if slot("urine_volume", "L", "high") in frame.columns
        else none
    )
    bad = (hours < _SHORTEST_24H) | (hours > _LONGEST_24H) | (litres < _SMALLEST_24H)
    return frame.with_columns(bad.fill_null(False).alias("_incomplete_24h"))


def unusual_creatinine(results: pl.DataFrame) -> pl.DataFrame:
    """sample_key of urine whose creatinine lies outside 0.3 to 3.0 g/L: flagged, never dropped."""
    grams = pl.col("low") * _CREATININE_MOLAR_MASS / 1e6
    urine = (
        pl.col("specimen").is_in(_URINE) & (pl.col("analyte") == "creatinine") & (pl.col("unit") == "umol/L")
    )
    return results.filter(urine & ~grams.is_between(*_CREATININE_G_PER_L)).select("sample_key").unique()
