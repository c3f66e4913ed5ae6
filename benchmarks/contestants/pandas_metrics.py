"""The metrics as NumPy over one table of samples by slots."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.metric_plan import CREATININE, PER_CREATININE, Plan, natural_range

Interval = tuple[np.ndarray, np.ndarray]
#: what an analyte without a result is said to be, by code
PROBLEMS = (
    "missing component",
    "conflicting results",
    "superseded by a quarantined correction",
    "quarantined component",
)


class Wide:
    """The winners of one specimen: a row per sample, a column per analyte and unit. NaN: not there."""

    def __init__(self, samples: int, winners: pd.DataFrame, problems: pd.DataFrame) -> None:
        keys = winners.groupby(["analyte", "unit"], observed=True).ngroup().to_numpy()
        first = pd.Series(np.arange(len(keys))).groupby(keys).first().to_numpy()
        self.slots = {
            (a, u): n
            for n, (a, u) in enumerate(
                zip(winners["analyte"].iloc[first], winners["unit"].iloc[first], strict=True)
            )
        }
        self.ends = np.full((2, len(self.slots), samples), np.nan)
        at = winners["local"].to_numpy()
        self.ends[0, keys, at], self.ends[1, keys, at] = winners["low"], winners["high"]
        self.none = np.full(samples, np.nan)
        self.problems = {
            analyte: (group["local"].to_numpy(), group["problem"].to_numpy())
            for analyte, group in problems.groupby("analyte", observed=True)
        }

    @property
    def have(self) -> dict[str, set[str]]:
        """analyte -> units"""
        out: dict[str, set[str]] = {}
        for analyte, unit in self.slots:
            out.setdefault(analyte, set()).add(unit)
        return out

    def interval(self, analyte: str, unit: str) -> Interval:
        n = self.slots.get((analyte, unit))
        return (self.none, self.none) if n is None else (self.ends[0, n], self.ends[1, n])

    @np.errstate(invalid="ignore")
    def per_volume(self, analyte: str) -> Interval:
        direct, sent, creatinine = (
            self.interval(*slot) for slot in ((analyte, "umol/L"), (analyte, PER_CREATININE), CREATININE)
        )
        out = [
            np.where(np.isnan(d), s * (c / 1000), d) for d, s, c in zip(direct, sent, creatinine, strict=True)
        ]
        unknown = ~np.isnan(out[0]) & np.isnan(out[1])  # 0 times infinity
        return out[0], np.where(unknown, np.inf, out[1])

    def missing(self, analyte: str) -> np.ndarray:
        """0 where it is there in any unit, else 1 + the code of the problem."""
        out = np.ones(len(self.none), np.int64)
        if analyte in self.problems:
            at, code = self.problems[analyte]
            out[at] = code + 1
        for (name, _), n in self.slots.items():
            if name == analyte:
                out[~np.isnan(self.ends[0, n])] = 0
        return out


@np.errstate(divide="ignore", invalid="ignore")
def _divide(n: Interval, d: Interval) -> Interval:
    low = np.where((n[0] == 0) | np.isinf(d[1]), 0.0, n[0] / d[1])
    high = np.where(
        n[1] == 0,
        np.where(d[1] == 0, np.inf, 0.0),
        np.where((d[0] == 0) | np.isinf(n[1]), np.inf, n[1] / d[0]),
    )
    return low, high


@np.errstate(divide="ignore", invalid="ignore")
def _ratio(numerator: list[str], denominator: list[str], ends: dict[str, Interval]) -> Interval:
    def total(names: list[str]) -> Interval:
        return sum(ends[n][0] for n in names), sum(ends[n][1] for n in names)  # type: ignore[return-value]

    shared = set(numerator) & set(denominator)
    if not shared:
        return _divide(total(numerator), total(denominator))
    whole, part = (denominator, numerator) if shared == set(numerator) else (numerator, denominator)
    low, high = _divide(total([n for n in whole if n not in shared]), total(part))
    return (1 / (1 + high), 1 / (1 + low)) if whole is denominator else (1 + low, 1 + high)


def _reasons(plan: Plan, wide: Wide) -> np.ndarray:
    """Codes of what is missing, as text; None where nothing is. Few patterns, so each text is made once."""
    missing = [wide.missing(component) for component in plan.components]
    base = len(PROBLEMS) + 1
    pattern = sum(codes * base**n for n, codes in enumerate(missing))
    inverse, distinct = pd.factorize(pattern)  # type: ignore[arg-type]
    texts = np.empty(len(distinct), object)
    for at, code in enumerate(distinct):
        said = [(c, int(code) // base**n % base) for n, c in enumerate(plan.components)]
        texts[at] = "; ".join(f"{PROBLEMS[kind - 1]}: {c}" for c, kind in said if kind) or None
    return texts[inverse]


def one_metric(plan: Plan, wide: Wide) -> dict[str, np.ndarray]:
    """The figures of one metric of all samples of a specimen."""
    about, samples = plan.about, len(wide.none)
    numerator, denominator = list(about["numerator"]), list(about["denominator"])
    out = {
        n: np.full(samples, np.nan)
        for n in ("low", "high", "numerator_low", "numerator_high", "denominator_low", "denominator_high")
    }
    basis, unit_of = np.full(samples, None, object), np.full(samples, None, object)
    open_ = np.ones(samples, bool)
    for unit, said, converted in plan.choices:
        ends = {c: wide.per_volume(c) if converted else wide.interval(c, unit) for c in plan.components}
        here = open_ & np.all([~np.isnan(ends[c][0]) for c in plan.components], axis=0)
        low, high = _ratio(numerator, denominator, ends)
        figures = {"low": low * about["scale"], "high": high * about["scale"]}
        for name, side in (("numerator", numerator), ("denominator", denominator)):
            for index, end in enumerate(("low", "high")):
                figures[f"{name}_{end}"] = sum(ends[c][index] for c in side)  # type: ignore[assignment]
        for name, values in figures.items():
            out[name][here] = values[here]
        basis[here], unit_of[here] = said, unit
        open_ &= ~here
    reason = _reasons(plan, wide)
    nothing = pd.isna(reason)
    reason[nothing & np.isnan(out["low"])] = "different basis"
    reason[nothing & np.isinf(out["low"])] = "zero denominator"
    if plan.refused:
        reason[:] = plan.refused
    absent = ~pd.isna(reason)
    low, high = np.where(absent, np.nan, out["low"]), np.where(absent, np.nan, out["high"])
    lowest, highest = natural_range(about)
    status = np.select(
        [absent, low == high, (low <= lowest) & (high >= highest), low <= lowest, high >= highest],
        ["absent", "uncensored", "undetermined", "below", "above"], "bounded",
    )  # fmt: skip
    value = np.where(low == high, low, np.nan)
    return out | {
        "value": value,
        "low": low,
        "high": high,
        "status": status,
        "reason": reason,
        "basis": basis,
        "component_unit": unit_of,
    }
