import math
import random
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.catalogue import load_catalogue
from schemas.formula import parse_formula
from tasks.balance import compute, unusual_creatinine
from tasks.current import current
from tests.unit.rows import ledger_rows, standardised

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
    return {"analyte": analyte, "low": float(low), "high": float(low if high is None else high)} | said


def built_in(metric: str, *rows: dict) -> dict:
    frame = compute(current(ledger_rows(*rows)), BUILT_IN).filter(pl.col("metric") == metric)
    return frame.row(0, named=True)


# ---- ratios of intervals


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
    slack = 1e-9 * max(abs(true), 1e-300)
    return got["low"] - slack <= true <= got["high"] + slack


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


# ---- bases


@given(st.lists(st.booleans(), min_size=2, max_size=2), censored(), censored(), st.floats(0.5, 30))
def test_urine_in_any_mix_of_bases_contains_the_true_ratio(per_creatinine, a, b, creatinine):
    assume(b[0] > 0)
    rows = [amount("creatinine", creatinine * 1000)]
    for name, (_, low, high), divided in zip(("hva", "vma"), (a, b), per_creatinine, strict=True):
        rows.append(
            amount(name, low / creatinine, high / creatinine, **CREAT) if divided else amount(name, low, high)
        )
    got = built_in("hva_vma", *rows)
    assert got["reason"] is None
    assert holds(got, a[0] / b[0])


def test_urine_in_any_mix_of_bases_gives_the_same_ratio_and_never_one_side_only():
    creatinine = amount("creatinine", 8000)
    per_volume = [amount("hva", 24), amount("vma", 16)]
    per_creatinine = [amount("hva", 3, **CREAT), amount("vma", 2, **CREAT)]
    mixes = [
        per_volume,
        per_creatinine,
        [per_volume[0], per_creatinine[1]],
        [per_creatinine[0], per_volume[1]],
        per_volume + per_creatinine,
    ]
    bases = [built_in("hva_vma", creatinine, *mix)["basis"] for mix in mixes]
    assert [built_in("hva_vma", creatinine, *mix)["value"] for mix in mixes] == [pytest.approx(1.5)] * 5
    converted = "per_volume, converted with the sample's creatinine"
    assert bases == ["per_volume", "per_creatinine", converted, converted, "per_volume"]
    # without creatinine the two bases never meet
    for mix in mixes[2:4]:
        got = built_in("hva_vma", *mix)
        assert (got["status"], got["reason"]) == ("absent", "different basis")
    for mix in mixes[:2]:
        assert built_in("hva_vma", *mix)["value"] == pytest.approx(1.5)


def test_censored_creatinine_widens_a_converted_ratio():
    rows = [amount("hva", 3, **CREAT), amount("vma", 16), amount("creatinine", 0, 8000)]
    got = built_in("hva_vma", *rows)
    assert (got["status"], got["low"], got["high"]) == ("below", 0, pytest.approx(1.5))


@pytest.mark.parametrize("basis", [DAY, CREAT | {"specimen": "urine_24h"}])
def test_other_bases_never_meet(basis):
    rows = [amount("hva", 3, **basis), amount("vma", 16, specimen="urine_24h")]
    assert built_in("hva_vma", *rows)["reason"] == "different basis"


def test_mass_without_a_molar_mass_never_meets_moles():
    rows = [amount("hva", 3, unit="ug/L", basis="per_volume"), amount("vma", 16)]
    assert built_in("hva_vma", *rows)["reason"] == "different basis"
    both = [
        amount("hva", 3, unit="ug/L", basis="per_volume"),
        amount("vma", 16, unit="ug/L", basis="per_volume"),
    ]
    assert built_in("hva_vma", *both)["reason"] == "different basis"


@pytest.mark.parametrize(
    ("hours", "litres", "reason"),
    [(24, 1.5, None), (19, 1.5, "incomplete 24 h collection"), (29, 1.5, "incomplete 24 h collection"),
     (24, 0.3, "incomplete 24 h collection"), (20, 0.4, None), (28, 2, None), (None, 1.5, None), (None, None, None)],
)  # fmt: skip
def test_an_incomplete_24_h_collection_refuses_the_basis_and_not_the_result(hours, litres, reason):
    day = [amount("hva", 30, **DAY), amount("vma", 20, **DAY)]
    measured = (
        [amount("collection_duration", hours, unit="h", basis="amount", specimen="urine_24h")]
        if hours
        else []
    )
    measured += (
        [amount("urine_volume", litres, unit="L", basis="amount", specimen="urine_24h")] if litres else []
    )
    got = built_in("hva_vma", *day, *measured)
    assert got["reason"] == reason
    assert got["value"] == (None if reason else pytest.approx(1.5))
    # per volume it is still valid
    per_volume = [amount(name, x, specimen="urine_24h") for name, x in (("hva", 3), ("vma", 2))]
    assert built_in("hva_vma", *day, *per_volume, *measured)["value"] == pytest.approx(1.5)


def test_unusual_creatinine_is_flagged_and_never_dropped():
    for grams, unusual in ((0.2, True), (1.0, False), (3.5, True)):
        now = current(
            ledger_rows(amount("creatinine", grams / 113.12 * 1e6), amount("hva", 3), amount("vma", 2))
        )
        assert (len(unusual_creatinine(now.results)) == 1) == unusual
        assert compute(now, catalogue_of("hva/vma"))["value"].to_list() == [1.5]


# ---- absent, and why


def test_serotonin_in_platelet_poor_plasma_is_absent_with_its_reason():
    for specimen in ("platelet_poor_plasma", "plasma"):
        rows = [amount("serotonin", 0.5, specimen=specimen), amount("tryptophan", 50, specimen=specimen)]
        got = built_in("serotonin_trp", *rows)
        assert (got["status"], got["reason"]) == ("absent", "not valid in platelet-poor plasma")
    brain = {"specimen": "brain_tissue", "unit": "nmol/g{wet}", "basis": "per_wet_mass"}
    tissue = [amount("serotonin", 0.5, **brain), amount("tryptophan", 50, **brain)]
    assert built_in("serotonin_trp", *tissue)["value"] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("metric", "specimen", "time", "reason"),
    [
        ("f_e_saliva", "saliva", {}, None),
        ("f_e_saliva", "saliva", {"time_precision": "day"}, "needs the clock time of collection"),
        ("f_e_saliva", "saliva", {"time_source": "reported"}, "needs the clock time of collection"),
        ("f_e_urine", "urine", {"time_precision": "day"}, None),
        ("f_e_urine", "urine", {"time_source": "acquired"}, "needs the time of collection"),
    ],
)
def test_metrics_that_need_a_collection_time_say_so(metric, specimen, time, reason):
    rows = [amount(name, 5, specimen=specimen, **time) for name in ("cortisol", "cortisone")]
    got = built_in(metric, *rows)
    assert got["reason"] == reason
    assert (got["value"] is None) == (reason is not None)


def test_a_missing_component_is_named_with_what_became_of_it():
    assert built_in("hva_vma", amount("hva", 3))["reason"] == "missing component: vma"
    conflict = [amount("hva", 3), amount("vma", 1), amount("vma", 2)]
    assert built_in("hva_vma", *conflict)["reason"] == "conflicting results: vma"
    refused = [amount("hva", 3), {"analyte": "vma", "refused": "unreadable value"}]
    assert built_in("hva_vma", *refused)["reason"] == "quarantined component: vma"
    gone = [amount("hva", 3), amount("vma", 1), amount("vma", 1, status="withdrawn")]
    assert built_in("hva_vma", *gone)["reason"] == "withdrawn: vma"
    nothing = [amount("hva", 3), amount("hva", 4)]
    assert built_in("hva_vma", *nothing)["reason"] == "conflicting results: hva; missing component: vma"


SPECIMENS = st.sampled_from(
    ["urine", "urine_24h", "plasma", "serum", "csf", "saliva", "brain_tissue", "mrs", "platelet_poor_plasma"]
)
UNITS = st.sampled_from(
    ["umol/L", "umol/mmol{creat}", "umol/(24.h)", "nmol/g{wet}", "{i.u.}", "1/{tCr}", "ug/L"]
)


@given(
    st.lists(st.tuples(st.sampled_from(sorted(BUILT_IN.analytes)), UNITS, censored()), max_size=10), SPECIMENS
)
def test_every_absent_metric_has_a_reason_and_every_present_one_has_none(amounts, specimen):
    rows = [amount(name, low, high, unit=unit, specimen=specimen) for name, unit, (_, low, high) in amounts]
    frame = compute(current(ledger_rows(*rows)), BUILT_IN)
    absent = frame["status"] == "absent"
    assert (absent == frame["reason"].is_not_null()).all()
    assert (frame["reason"].fill_null("x").str.len_chars() > 0).all()
    assert (absent == frame["low"].is_null()).all()
    assert (absent == frame["high"].is_null()).all()
    assert ((frame["status"] == "uncensored") == frame["value"].is_not_null()).all()
    assert not frame.select(pl.col(pl.Float64).is_nan().any()).row(0).count(True)
    assert not frame.select("sample_key", "metric").is_duplicated().any()
    if rows:
        here = {m.id for m in BUILT_IN.metrics.values() if m.computed and specimen in m.specimens}
        assert here <= set(frame["metric"])


def test_every_metric_that_names_a_specimen_has_a_row_and_no_other_but_refused_ones():
    for specimen in BUILT_IN.specimens:
        frame = compute(current(ledger_rows(amount("histamine", 1, specimen=specimen))), BUILT_IN)
        named = {m.id for m in BUILT_IN.metrics.values() if m.computed and specimen in m.specimens}
        refused = set(frame.filter(~pl.col("metric").is_in(sorted(named)))["reason"].to_list())
        assert named <= set(frame["metric"])
        assert refused <= {"not valid in platelet-poor plasma"}


# ---- ratios that the lab prints itself


def printed(low: float, rounding: float | None, high: float | None = None) -> dict:
    end = {"analyte": "hva_vma", "is_ratio": True, "unit": "1", "basis": "ratio", "rounding": rounding}
    return amount("hva_vma", low, high) | end


@pytest.mark.parametrize(
    ("ratio", "rounding", "agrees"),
    [(1.5, 0.05, True), (1.46, 0.005, True), (1.54, 0.005, True), (1.4, 0.05, True), (1.7, 0.05, False), (1.3, 0.05, False),
     (15.0, 0.5, False), (1.5, None, True)],
)  # fmt: skip
def test_a_printed_ratio_agrees_within_the_rounding_of_all_numbers(ratio, rounding, agrees):
    rows = [amount("hva", 3.0, rounding=0.05), amount("vma", 2.0, rounding=0.05), printed(ratio, rounding)]
    got = built_in("hva_vma", *rows)
    assert got["reported_agrees"] is agrees
    assert (got["reported_low"], got["reported_high"]) == (ratio, ratio)
    assert got["value"] == pytest.approx(1.5)


def test_the_rounding_counts_as_well_where_creatinine_converts_one_side():
    rows = [
        amount("hva", 3.0, rounding=0.5, **CREAT),
        amount("vma", 16, rounding=0.5),
        amount("creatinine", 8000, rounding=50),
    ]
    assert built_in("hva_vma", *rows, printed(1.7, 0.05))["reported_agrees"] is True
    assert built_in("hva_vma", *rows, printed(2.2, 0.05))["reported_agrees"] is False


def test_a_printed_ratio_is_compared_as_an_interval_and_not_at_all_where_the_metric_is_absent():
    rows = [amount("hva", 3.0), amount("vma", 0, 2.0)]
    assert built_in("hva_vma", *rows, printed(1.0, 0.05))["reported_agrees"] is False
    assert built_in("hva_vma", *rows, printed(40.0, 0.05))["reported_agrees"] is True
    assert built_in("hva_vma", *rows, printed(0, None, 1.0))["reported_agrees"] is False
    alone = built_in("hva_vma", rows[0], printed(1.5, 0.05))
    assert (alone["reported_agrees"], alone["reported_low"], alone["status"]) == (None, 1.5, "absent")
