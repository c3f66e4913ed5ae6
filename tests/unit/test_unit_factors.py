"""Units: every pair of the tables against an independent UCUM library, and published factors."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import unit_text, units
from schemas.catalogue import load_catalogue
from schemas.unit_text import ratio_factor, read_unit
from schemas.units import canonical

CATALOGUE = load_catalogue()
TABLES = CATALOGUE.units
PAIRS = [
    (amount, denominator)
    for amount in TABLES.amounts.values()
    for denominator in TABLES.denominators.values()
    if amount.kind in denominator.kinds
]


BASE_OF_KIND = {"substance": "umol", "mass": "ug", "arbitrary": "m[IU]", "volume": "L", "number": "1"}
#: basis -> the UCUM unit, without annotation, that a factor refers to
BASE_OF_BASIS = {
    "per_volume": "L",
    "per_creatinine": "g",
    "per_wet_mass": "g",
    "per_protein": "mg",
    "per_platelets": "10*9",
    "per_hour": "h",
    "per_24h": "(24.h)",
    "mrs_per_tcr": "1",
}


@pytest.fixture(scope="module")
def registry():  # type: ignore[no-untyped-def]
    return unit_text._ucum_registry()


@pytest.mark.parametrize(("amount", "denominator"), PAIRS, ids=lambda part: part.ucum)
def test_every_pair_of_the_tables_agrees_with_ucum(registry, amount, denominator) -> None:  # type: ignore[no-untyped-def]
    text = f"{amount.ucum}/{denominator.ucum}"
    unit, problem = read_unit(text, TABLES)
    assert problem is None
    assert unit is not None
    assert (unit.ucum, unit.kind, unit.basis) == (text, amount.kind, denominator.basis)
    over = registry.from_ucum(amount.ucum)
    under = registry.from_ucum(re.sub(r"\{.*\}", "", denominator.ucum) or "1")
    if denominator.ucum.endswith("mol{creat}"):  # to grams of creatinine, by its molar mass
        under = under * (113.12 * registry.from_ucum("g/mol"))
    base = registry.from_ucum(BASE_OF_KIND[amount.kind]) / registry.from_ucum(
        BASE_OF_BASIS[denominator.basis]
    )
    ratio = (over / under / base).to_base_units()
    assert ratio.dimensionless
    assert ratio.magnitude == pytest.approx(float(unit.factor), rel=1e-12)


@pytest.mark.parametrize("amount", list(TABLES.amounts.values()), ids=lambda amount: amount.ucum)
def test_every_amount_agrees_with_ucum(registry, amount) -> None:  # type: ignore[no-untyped-def]
    if amount.kind == "institutional" or "area" in amount.kind:
        assert (
            amount.factor == 1
        )  # no library knows institutional units or areas; they are only ever themselves
        return
    base = {"time": "h"} | BASE_OF_KIND
    ratio = (registry.from_ucum(amount.ucum) / registry.from_ucum(base[amount.kind])).to_base_units()
    assert ratio.dimensionless
    assert ratio.magnitude == pytest.approx(float(amount.factor), rel=1e-12)


@pytest.mark.parametrize(("basis", "kind"), list(units.CANONICAL))
def test_every_canonical_unit_is_its_own_canonical_unit(basis: str, kind: str) -> None:
    ucum = units.CANONICAL[basis, kind][0]
    unit, problem = read_unit(ucum, TABLES)
    assert problem is None
    assert unit is not None
    assert (unit.basis, unit.kind) == (basis, kind)
    assert canonical(unit, None) == (1.0, ucum)


def test_the_canonical_unit_alone_tells_basis_and_kind() -> None:
    names = [ucum for ucum, _ in units.CANONICAL.values()]
    assert len(names) == len(set(names))


def test_every_pair_of_the_tables_has_a_canonical_unit() -> None:
    for amount, denominator in PAIRS:
        unit = read_unit(f"{amount.ucum}/{denominator.ucum}", TABLES)[0]
        assert unit is not None
        assert canonical(unit, None) is not None
        assert canonical(unit, 100.0) is not None


def test_creatinine_has_one_molar_mass_everywhere() -> None:
    mass = CATALOGUE.analytes["creatinine"].molar_mass
    assert float(units.CREATININE_MOLAR_MASS) == mass
    for unit, grams in (("mol", 1), ("mmol", Fraction(1, 1000)), ("umol", Fraction(1, 10**6))):
        assert TABLES.denominators[unit, "creat"].factor == units.CREATININE_MOLAR_MASS * grams


# ---- published factors


def converted(value: float, text: str, analyte: str) -> tuple[float, str]:
    unit = read_unit(text, TABLES)[0]
    assert unit is not None
    found = canonical(unit, CATALOGUE.analytes[analyte].molar_mass)
    assert found is not None
    return value * found[0], found[1]


@pytest.mark.parametrize(("analyte", "nmol_per_ug"), [("cortisol", 2.76), ("cortisone", 2.78)])
def test_mayo_factors_for_24_hour_urine_hold(analyte: str, nmol_per_ug: float) -> None:
    value, unit = converted(1.0, "mcg/24h", analyte)
    assert unit == "umol/(24.h)"
    assert value * 1000 == pytest.approx(nmol_per_ug, rel=0.003)


@pytest.mark.parametrize(
    ("analyte", "umol_per_l"),
    [
        ("glutamine", 68.42),
        ("glycine", 133.3),
        ("tryptophan", 48.97),
        ("tyrosine", 55.19),
        ("phenylalanine", 60.5),
        ("taurine", 80.0),
        ("valine", 85.5),
        ("creatinine", 88.4),
    ],
)
def test_published_factors_from_mg_per_dl_hold(analyte: str, umol_per_l: float) -> None:
    value, unit = converted(1.0, "mg/dL", analyte)
    assert unit == "umol/L"
    assert value == pytest.approx(umol_per_l, rel=0.002)


@pytest.mark.parametrize(("analyte", "pmol_per_l"), [("epinephrine", 5.46), ("norepinephrine", 5.91)])
def test_published_factors_from_pg_per_ml_hold(analyte: str, pmol_per_l: float) -> None:
    assert converted(1.0, "pg/mL", analyte)[0] * 1e6 == pytest.approx(pmol_per_l, rel=0.002)


def test_a_reference_that_is_wrong_by_a_thousand_is_not_followed() -> None:
    # labunits 0.2.1 lists norepinephrine 2666-6 as pg/mL x 5.91 = nmol/L; it is pmol/L
    in_nmol_per_l = converted(1.0, "pg/mL", "norepinephrine")[0] * 1e3
    assert in_nmol_per_l == pytest.approx(0.00591, rel=0.002)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1.0, "ug/g{creat}"), (1.0, "ng/mg Cr")),
        ((1000.0, "umol/mol{creat}"), (1.0, "mmol/mol creatinine")),
        ((1.0, "umol/mmol{creat}"), (1.0, "mmol/mol creatinine")),
        ((113.12, "umol/mol{creat}"), (1.0, "nmol/mg creatinine")),
        ((153.181, "ug/L"), (1.0, "umol/L")),
        ((153.181, "ug/g Cr"), (1.0, "umol/g creatinine")),
        ((153.181, "ng/mg prot"), (1.0, "nmol/mg protein")),
        ((24.0, "ug/(12.h)"), (2.0, "ug/h")),
    ],
)
def test_one_amount_of_dopamine_is_one_number_however_written(one: tuple, other: tuple) -> None:
    first, second = converted(*one, "dopamine"), converted(*other, "dopamine")
    assert first[1] == second[1]
    assert first[0] == pytest.approx(second[0], rel=1e-12)


def test_mass_and_molar_never_meet_without_a_molar_mass() -> None:
    mass, molar = read_unit("ug/L", TABLES)[0], read_unit("umol/L", TABLES)[0]
    assert mass is not None
    assert molar is not None
    assert canonical(mass, None) == (1.0, "ug/L")
    assert canonical(molar, None) == (1.0, "umol/L")


def test_a_rate_is_never_an_excretion_in_24_hours() -> None:
    hourly, daily = converted(1.0, "ug/(12.h)", "dopamine"), converted(1.0, "ug/(24.h)", "dopamine")
    assert hourly[1] == "umol/h"
    assert daily[1] == "umol/(24.h)"


@pytest.mark.parametrize(
    ("text", "wanted", "factor"),
    [
        ("", "1", 1),
        ("ratio", "1", 1),
        ("{Ratio}", "1", 1),
        ("mol/mol", "1", 1),
        ("%", "1", Fraction(1, 100)),
        ("nmol/nmol", "1", 1),
        ("umol/mmol", "umol/mmol", 1),
        ("nmol/umol", "umol/mmol", 1),
        ("mol/mol", "umol/mmol", 1000),
        ("", "umol/mmol", None),
        ("mg/mg", "1", None),
        ("umol/L", "1", None),
        ("ug/g Cr", "1", None),
        ("foo", "1", None),
    ],
)
def test_a_printed_ratio_is_brought_to_the_unit_of_its_metric(
    text: str, wanted: str, factor: float | None
) -> None:
    assert ratio_factor(text, wanted, TABLES) == factor


@given(
    st.sampled_from([pair for pair in PAIRS if pair[0].kind == "mass"]),
    st.floats(1.0, 1e4),
    st.floats(1e-6, 1e6),
)
def test_molar_and_mass_units_lead_to_one_value(pair: tuple, molar_mass: float, value: float) -> None:
    amount, denominator = pair
    mass = read_unit(f"{amount.ucum}/{denominator.ucum}", TABLES)[0]
    substance = read_unit(f"umol/{denominator.ucum}", TABLES)[0]
    assert mass is not None
    assert substance is not None
    first, second = canonical(mass, molar_mass), canonical(substance, molar_mass)
    assert first is not None
    assert second is not None
    umol = value * float(amount.factor) / molar_mass
    assert first[1] == second[1]
    assert first[0] * value == pytest.approx(second[0] * umol, rel=1e-12)
