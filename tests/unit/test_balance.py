"""Ratios and balances of intervals, and oracles for their values."""

import math
import random
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.balance import compute
from tasks.current import current
from tests.unit.balances import (
    AMOUNT,
    BUILT_IN,
    INF,
    amount,
    built_in,
    catalogue_of,
    censored,
    computed,
    holds,
)
from tests.unit.rows import ledger_rows, standardised


@pytest.mark.parametrize(
    ("a", "b", "low", "high", "status"),
    [
        ((6, 6), (3, 3), 2, 2, "uncensored"),
        ((0, 6), (3, 3), 0, 2, "below"),
        ((6, 6), (0, 3), 2, INF, "above"),
        ((6, INF), (3, 3), 2, INF, "above"),
        ((6, 6), (3, INF), 0, 2, "below"),
        ((0, 6), (0, 3), 0, INF, "undetermined"),
        ((6, INF), (3, INF), 0, INF, "undetermined"),
        ((2, 6), (1, 4), 0.5, 6, "bounded"),
        ((0, 0), (3, 3), 0, 0, "uncensored"),
        ((0, 0), (0, 0), 0, INF, "undetermined"),
        ((0, 5), (0, 0), 0, INF, "undetermined"),
        ((0, INF), (0, INF), 0, INF, "undetermined"),
    ],
)
def test_a_ratio_of_intervals_is_an_interval_with_a_status(a, b, low, high, status):
    got = computed("hva/vma", amount("hva", *a), amount("vma", *b))
    assert (got["low"], got["high"], got["status"], got["reason"]) == (low, high, status, None)
    assert got["value"] == (low if low == high else None)
    assert (got["numerator_low"], got["numerator_high"]) == a
    assert (got["denominator_low"], got["denominator_high"]) == b


def test_something_over_a_true_zero_is_absent_with_its_reason():
    got = computed("hva/vma", amount("hva", 6), amount("vma", 0))
    assert (got["status"], got["reason"], got["low"], got["high"]) == (
        "absent",
        "zero denominator",
        None,
        None,
    )


def test_a_denominator_so_small_that_the_ratio_overflows_is_as_good_as_zero():
    got = computed("hva/vma", amount("hva", 6), amount("vma", 5e-324))
    assert (got["status"], got["reason"], got["value"]) == ("absent", "zero denominator", None)


def test_a_fraction_has_sharp_bounds_and_its_natural_range():
    part = computed("hva/(hva+vma)", amount("hva", 1, 4), amount("vma", 2, 3))
    assert (part["low"], part["high"]) == (pytest.approx(1 / 4), pytest.approx(4 / 6))
    whole = computed("(hva+vma)/hva", amount("hva", 1, 4), amount("vma", 2, 3))
    assert (whole["low"], whole["high"]) == (pytest.approx(6 / 4), pytest.approx(4 / 1))
    for formula in ("hva/(hva+vma)", "(hva+vma)/hva", "100*hva/(hva+vma)"):
        nothing = computed(formula, amount("hva", 0), amount("vma", 0))
        assert (nothing["status"], nothing["reason"]) == ("undetermined", None)
        assert nothing["value"] is None
        assert computed(formula, amount("hva", 0, INF), amount("vma", 0, INF))["status"] == "undetermined"
    assert computed("hva/(hva+vma)", amount("hva", 0, 4), amount("vma", 2))["status"] == "below"
    assert computed("(hva+vma)/hva", amount("hva", 0), amount("vma", 2))["reason"] == "zero denominator"


def test_balances_with_a_true_zero_are_absent_and_with_a_censored_one_open():
    zero = computed("balance(hva/vma)", amount("hva", 0), amount("vma", 2), kind="balance")
    assert (zero["status"], zero["reason"]) == ("absent", "zero in a log-ratio balance")
    below = computed("balance(hva/vma)", amount("hva", 0, 4), amount("vma", 2), kind="balance")
    assert (below["status"], below["low"]) == ("below", -INF)
    assert below["high"] == pytest.approx(math.sqrt(0.5) * math.log(2))
    open_ends = computed("balance(hva/vma)", amount("hva", 0, 4), amount("vma", 0, 2), kind="balance")
    assert (open_ends["status"], open_ends["low"], open_ends["high"]) == ("undetermined", -INF, INF)


@given(censored(), censored(), censored(), censored())
def test_an_interval_contains_every_true_value_that_the_inputs_allow(a, b, c, d):
    names = ("hva", "vma", "dopac", "mhpg")
    rows = [amount(name, low, high) for name, (_, low, high) in zip(names, (a, b, c, d), strict=True)]
    a, b, c, d = (x[0] for x in (a, b, c, d))
    true_values = {
        "hva/vma": (a, b),
        "1000*hva/vma": (1000 * a, b),
        "(hva+vma)/(dopac+mhpg)": (a + b, c + d),
        "hva/(hva+vma+dopac)": (a, a + b + c),
        "(hva+vma+dopac)/(hva+vma)": (a + b + c, a + b),
    }
    metrics = {f: replace(catalogue_of(f).metrics["m"], id=f) for f in true_values}
    frame = compute(current(ledger_rows(*rows)), replace(BUILT_IN, metrics=metrics))
    for formula, (over, under) in true_values.items():
        got = frame.row(by_predicate=pl.col("metric") == formula, named=True)
        assert not any(math.isnan(got[end]) for end in ("low", "high") if got[end] is not None)
        if under > 0:
            assert got["reason"] is None
            assert holds(got, over / under), (formula, got, over / under)
    got = computed("balance(hva, vma/dopac, mhpg)", *rows, kind="balance")
    if min(a, b, c, d) > 0:
        assert holds(got, math.log((a * b) / (c * d)) / 2)


@given(
    st.lists(st.tuples(AMOUNT, AMOUNT).map(sorted), min_size=2, max_size=2),
    st.lists(st.floats(0, 1), min_size=2, max_size=2),
)
def test_the_bounds_of_a_fraction_are_reached(ends, at):
    (a, b), (c, d) = ends
    got = computed("hva/(hva+vma)", amount("hva", a, b), amount("vma", c, d))
    assert got["low"] == pytest.approx(a / (a + d))
    assert got["high"] == pytest.approx(b / (b + c))
    inside, beside = a + at[0] * (b - a), c + at[1] * (d - c)
    assert holds(got, inside / (inside + beside))


@given(
    censored(),
    censored(),
    st.floats(1e-3, 1e3),
    st.sampled_from(["hva/vma", "hva/(hva+vma)", "(hva+vma)/hva", "balance(hva/vma)"]),
)
def test_scaling_both_sides_changes_nothing(a, b, factor, formula):
    kind = "balance" if formula.startswith("balance") else "ratio"
    rows = [amount("hva", *a[1:]), amount("vma", *b[1:])]
    scaled = [row | {"low": row["low"] * factor, "high": row["high"] * factor} for row in rows]
    one, other = computed(formula, *rows, kind=kind), computed(formula, *scaled, kind=kind)
    assert (one["status"], one["reason"]) == (other["status"], other["reason"])
    for end in ("low", "high"):
        assert one[end] == (None if one[end] is None else pytest.approx(other[end], rel=1e-9, abs=1e-12))


@given(
    st.lists(
        st.tuples(st.sampled_from(["hva", "vma", "dopamine", "creatinine"]), st.sampled_from("stu"), AMOUNT),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_rows_changes_nothing(amounts, shuffler: random.Random):
    rows = [amount(name, value, sample_key=key) for name, key, value in amounts]
    shuffled = shuffler.sample(rows, len(rows))
    catalogue = catalogue_of("hva/(hva+vma+dopamine)")
    one, other = (compute(current(ledger_rows(*r)), catalogue).sort("sample_key") for r in (rows, shuffled))
    assert one.equals(other)


# ---- oracles


def test_kynurenine_to_tryptophan_matches_the_published_examples():
    kyn = [
        standardised({"analyte": "kynurenine", "value": v, "unit": "nmol/L", "specimen": "serum"})
        for v in ("2400", "8000")
    ]
    for frame, trp, expected in zip(kyn, (60, 50), (40, 160), strict=True):
        rows = [
            amount("kynurenine", frame["low"][0], specimen="serum"),
            amount("tryptophan", trp, specimen="serum"),
        ]
        assert built_in("kyn_trp", *rows)["value"] == pytest.approx(expected, rel=1e-12)
    donors = built_in(
        "kyn_trp", amount("kynurenine", 1.78, specimen="serum"), amount("tryptophan", 67.4, specimen="serum")
    )
    assert donors["value"] == pytest.approx(26.41, abs=0.005)


def test_dopac_over_dhpg_is_molar_and_not_the_ratio_of_masses():
    frame = standardised(
        {"analyte": "DOPAC", "value": "3218", "unit": "pg/mL", "specimen": "plasma"},
        {"analyte": "DHPG", "value": "1892", "unit": "pg/mL", "specimen": "plasma"},
    )
    rows = [amount(name, low, specimen="plasma") for name, low in frame.select("analyte", "low").iter_rows()]
    assert built_in("dopac_dhpg", *rows)["value"] == pytest.approx(1.72, abs=0.005)
    assert pytest.approx(1.70, abs=0.005) == 3218 / 1892


def test_balances_are_isometric_and_additive_log_ratios():
    # x = [.1, .3, .4, .2] of scikit-bio's docstrings; its ilr basis has the opposite sign
    rows = [amount(n, x) for n, x in zip(("hva", "vma", "dopac", "mhpg"), (0.1, 0.3, 0.4, 0.2), strict=True)]
    formulas = {
        "balance(vma/hva)": 0.7768362,
        "balance(dopac/hva, vma)": 0.68339802,
        "balance(mhpg/hva, vma, dopac)": -0.11704769,
    }
    for formula, expected in formulas.items():
        assert computed(formula, *rows, kind="balance")["value"] == pytest.approx(expected, abs=1e-7)
    for name, expected in (("vma", 1.09861229), ("dopac", 1.38629436), ("mhpg", 0.69314718)):
        got = computed(f"balance({name}/hva)", *rows, kind="balance")
        assert got["value"] * math.sqrt(2) == pytest.approx(expected, abs=1e-7)
        assert got["numerator_low"] == pytest.approx({"vma": 0.3, "dopac": 0.4, "mhpg": 0.2}[name])


@pytest.mark.parametrize("metric", ["phe_tyr", "fischer", "trp_lnaa", "tyr_lnaa"])
def test_mass_and_molar_units_give_the_same_metrics(metric):
    formula = BUILT_IN.metrics[metric].formula
    grams = {name: 10.0 + 7 * n for n, name in enumerate(formula.analytes)}
    masses = {name: BUILT_IN.analytes[name].molar_mass for name in grams}
    in_mass = [
        {"analyte": n, "value": repr(g), "unit": "mg/L", "specimen": "serum"} for n, g in grams.items()
    ]
    in_moles = [
        {"analyte": n, "value": repr(g / masses[n] * 1e6), "unit": "nmol/L", "specimen": "serum"}
        for n, g in grams.items()
    ]
    values = []
    for sent in (in_mass, in_moles, in_mass[:1] + in_moles[1:]):
        frame = standardised(*sent)
        rows = [
            amount(name, low, specimen="serum") for name, low in frame.select("analyte", "low").iter_rows()
        ]
        values.append(built_in(metric, *rows)["value"])
    assert values[1:] == [pytest.approx(values[0], rel=1e-9)] * 2
