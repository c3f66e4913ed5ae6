"""Metrics that are absent, each with its reason, and ratios that the lab prints itself."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.balance import compute
from tasks.current import current
from tests.unit.balances import BUILT_IN, CREAT, amount, built_in, censored
from tests.unit.rows import ledger_rows


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
