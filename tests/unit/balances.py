"""Metrics of one sample, computed from amounts that the tests state."""

from __future__ import annotations

import math
from dataclasses import replace

import polars as pl
from hypothesis import strategies as st

from schemas.catalogue import load_catalogue
from schemas.formula import parse_formula
from tasks.balance import compute
from tasks.current import current
from tests.unit.rows import ledger_rows

INF = math.inf
BUILT_IN = load_catalogue()
CREAT = {"unit": "umol/mmol{creat}", "basis": "per_creatinine"}
DAY = {"unit": "umol/(24.h)", "basis": "per_24h", "specimen": "urine_24h"}


def catalogue_of(formula: str, kind: str = "ratio", **said):
    """The built-in catalogue with one metric, `m`, of this formula in every specimen."""
    plain = replace(
        BUILT_IN.metrics["hva_vma"], id="m", formula=parse_formula(formula), formula_text=formula, kind=kind,
        specimens=tuple(BUILT_IN.specimens), time_needed="", **said,
    )  # fmt: skip
    return replace(BUILT_IN, metrics={"m": plain})


def computed(formula: str, *rows: dict, **said) -> dict:
    """What metric `m` is for the one sample of these rows."""
    frame = compute(current(ledger_rows(*rows)), catalogue_of(formula, **said))
    assert len(frame) == 1
    return frame.row(0, named=True)


def amount(analyte: str, low: float, high: float | None = None, **said) -> dict:
    """A row of the ledger: `low` alone is an amount that is not censored."""
    return {"analyte": analyte, "low": float(low), "high": float(low if high is None else high)} | said


def built_in(metric: str, *rows: dict) -> dict:
    """What a metric of the built-in catalogue is for the one sample of these rows."""
    frame = compute(current(ledger_rows(*rows)), BUILT_IN).filter(pl.col("metric") == metric)
    return frame.row(0, named=True)


AMOUNT = st.floats(1e-6, 1e6)


@st.composite
def censored(draw) -> tuple[float, float, float]:
    """A true amount, and an interval that a laboratory may state for it."""
    true = draw(AMOUNT | st.just(0.0))
    kind = draw(st.sampled_from(["exact", "below", "above", "between", "nothing"]))
    up, down = draw(st.floats(1, 1e3)), draw(st.floats(0, 1))
    interval = {
        "exact": (true, true),
        "below": (0.0, true * up + 1e-9),
        "above": (true * down, INF),
        "between": (true * down, true * up),
        "nothing": (0.0, INF),
    }[kind]
    return true, *interval


def holds(got: dict, true: float) -> bool:
    """Whether the interval holds the true value, but for rounding."""
    slack = 1e-9 * max(abs(true), 1e-300)
    return got["low"] - slack <= true <= got["high"] + slack
