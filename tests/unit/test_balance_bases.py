"""Amounts per volume, per creatinine and per 24 hours: which meet, and how."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks.balance import compute, unusual_creatinine
from tasks.current import current
from tests.unit.balances import CREAT, DAY, amount, built_in, catalogue_of, censored, holds
from tests.unit.rows import ledger_rows


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


def test_creatinine_is_flagged_only_where_its_whole_interval_is_unusual():
    for grams, bound, unusual in (
        (0.2, "high", True),
        (0.5, "high", False),
        (2.0, "low", False),
        (3.5, "low", True),
    ):
        ends = {"low": 0.0, "high": math.inf} | {bound: grams / 113.12 * 1e6}
        now = current(
            ledger_rows(
                amount("creatinine", 1) | ends | {"censoring": "below" if bound == "high" else "above"}
            )
        )
        assert (len(unusual_creatinine(now.results)) == 1) == unusual, (grams, bound)
