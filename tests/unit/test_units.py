"""Units: every spelling that labs write, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import unit_text
from schemas.catalogue import load_catalogue
from schemas.unit_text import NO_UNIT, UNIT_WITHOUT_BASIS, UNKNOWN_UNIT, read_unit

CATALOGUE = load_catalogue()
TABLES = CATALOGUE.units

SPELLINGS = {
    "umol/L": [
        "µmol/l",
        "μmol/L",
        "umol/L",
        "UMOL/L",
        "Umol/L",
        "uM",
        "µM",
        "μM",
        "umol L-1",
        "µmol·L⁻¹",
        "µmol L^-1",
        "[umol/L]",
        "(µmol/L)",
        "umol / l",
        "micromol/L",
        "umol per L",
        "µmol/Liter",
    ],
    "nmol/L": ["nM", "nmol/l", "NMOL/L", "nmol.L-1", "nmoles/L"],
    "mmol/L": ["mM", "mmol/l", "MMOL/L"],
    "pmol/L": ["pM", "PMOL/L"],
    "pmol/mL": ["pmol/ml"],
    "pg/mL": ["pg/ml", "PG/ML", "pg / mL"],
    "ug/L": ["mcg/L", "µg/l"],
    "mg/dL": ["mg/dl", "MG/DL", "mg/100mL", "mg/100 ml"],
    "ng/dL": ["ng/dl"],
    "ug/dL": ["mcg/dL"],
    "ug/g{creat}": [
        "ug/g Cr",
        "mcg/gCr",
        "µg/g creatinine",
        "ug/g crt",
        "µg/g Kreatinin",
        "ug/g creat.",
        "ug/g CREAT",
        "ug/g{creatinine}",
        "µg per g creatinine",
        "μg/g créatinine",
        "ug/gCreatinine",
        "ug/g (creatinine)",
    ],
    "nmol/mg{creat}": ["nmol/mg creatinine", "nmol/mgCr"],
    "mg/g{creat}": ["mg/g{creat}", "mg/g Cr"],
    "umol/mol{creat}": ["umol/mol{creat}", "µmol/mol Crea"],
    "mmol/mol{creat}": ["mmol/mol creatinine", "mmol/mol Krea"],
    "ug/(24.h)": [
        "ug/24h",
        "ug/(24.h)",
        "µg/24 h",
        "mcg/24 hr",
        "ug/24hrs",
        "ug/24 Stunden",
        "ug/day",
        "µg/Tag",
    ],
    "ug/d": ["µg/d"],
    "ug/h": ["ug/h", "µg/hr", "ug/hour"],
    "ug/(12.h)": ["ug/12h", "µg/(12.h)"],
    "nmol/g{wet}": ["nmol/g tissue", "nmol/g wet weight", "nmol/g ww", "nmol/g wet wt", "nmol/g{wet}"],
    "nmol/mg{prot}": [
        "nmol/mg prot",
        "nmol/mg protein",
        "nmol/mg Protein",
        "nmol/mg{prot}",
        "nmol/mg Eiweiß",
    ],
    "ng/10*9{plt}": ["ng/10*9{platelets}", "ng/10^9 platelets", "ng/10⁹ plt", "ng/1e9 platelets"],
    "m[IU]/L": ["mIU/L", "m[IU]/L", "mU/L", "MIU/L", "mIE/L"],
    "u[IU]/mL": ["uIU/mL", "µIU/ml", "u[IU]/mL", "µU/mL", "UIU/ML"],
    "{i.u.}": ["i.u.", "institutional units", "Institutional Units", "{i.u.}"],
    "1/{tCr}": ["/tCr", "1/{tCr}", "/Cr+PCr"],
    "L": ["l", "L", "liter"],
    "mL": ["ml", "mL", "cc"],
    "h": ["h", "hours", "hr", "Std."],
    "1": ["1", "ratio", "{ratio}", "mol/mol"],
}


@pytest.mark.parametrize(
    ("ucum", "text"), [(ucum, text) for ucum, texts in SPELLINGS.items() for text in texts]
)
def test_a_unit_is_known_however_labs_write_it(ucum: str, text: str) -> None:
    unit, problem = read_unit(text, TABLES)
    assert problem is None
    assert unit is not None
    assert unit.ucum == ucum


@pytest.mark.parametrize(
    "text", ["ug/g", "nmol/g", "mmol/mol", "nmol/mg", "umol/kg", "mg/mmol", "ug", "nmol", "ng/10*9"]
)
def test_a_unit_without_its_basis_is_left_to_the_layout(text: str) -> None:
    assert read_unit(text, TABLES) == (None, UNIT_WITHOUT_BASIS)


@pytest.mark.parametrize("text", [None, "", "   "])
def test_no_unit_is_said_to_be_none(text: str | None) -> None:
    assert read_unit(text, TABLES) == (None, NO_UNIT)


@pytest.mark.parametrize(
    "text",
    [
        "foo",
        "ng/mL/h",
        "nmol/L{free}",
        "10*9/L",
        "U/L",
        "umol/L/h",
        "L/L",
        "h/L",
        "i.u./L",
        "{creat}",
        "/",
        "//",
    ],
)
def test_a_unit_that_nobody_knows_is_refused(text: str) -> None:
    assert read_unit(text, TABLES) == (None, UNKNOWN_UNIT)


@pytest.mark.parametrize(
    "text", ["Mg/dL", "Pmol/L", "Mmol/L", "Pg/mL", "ng/ML", "PM", "MM", "NM", "UM", "m/L", "MIu/L"]
)
def test_case_is_never_guessed_where_it_would_change_the_number(text: str) -> None:
    assert read_unit(text, TABLES) == (None, UNKNOWN_UNIT)


@pytest.mark.parametrize(
    ("text", "same"), [("mol/m3", "mmol/L"), ("10*-6.mol/L", "umol/L"), ("kg/m3", "g/L"), ("g.L-1", "g/L")]
)
def test_other_ucum_is_understood_where_its_basis_is_plain(text: str, same: str) -> None:
    unit, known = read_unit(text, TABLES)[0], read_unit(same, TABLES)[0]
    assert unit is not None
    assert known is not None
    assert (unit.basis, unit.kind, unit.factor) == (known.basis, known.kind, known.factor)


def test_the_ucum_library_is_loaded_only_for_units_the_tables_do_not_know(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def not_here() -> None:
        raise AssertionError("the library was asked")

    monkeypatch.setattr(unit_text, "_ucum_registry", not_here)
    for texts in SPELLINGS.values():
        for text in texts:
            assert read_unit(text, TABLES)[1] is None
    with pytest.raises(AssertionError, match="the library was asked"):
        read_unit("mol/m3", TABLES)


@given(st.text(max_size=12))
def test_any_text_is_a_unit_or_has_a_problem(text: str) -> None:
    unit, problem = read_unit(text.replace("{", ""), TABLES)
    assert (unit is None) == (problem is not None)
