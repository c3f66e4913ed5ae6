"""How specimens, units, statuses and roles are resolved against the catalogue."""

from __future__ import annotations

import pytest

from tests.unit.catalogue import CATALOGUE, layout, rows


@pytest.mark.parametrize("row", rows("specimen_synonyms.csv"), ids=lambda row: row["text"])
def test_every_specimen_text_leads_to_its_specimen(row: dict[str, str]) -> None:
    assert CATALOGUE.resolve_specimen(row["text"].upper()) == row["specimen_id"]


def test_specimens_are_known_by_id_name_and_layout() -> None:
    for specimen in CATALOGUE.specimens.values():
        assert (
            CATALOGUE.resolve_specimen(specimen.id)
            == CATALOGUE.resolve_specimen(specimen.name)
            == specimen.id
        )
    assert CATALOGUE.resolve_specimen("tube 3", layout(specimens={"Tube 3": "csf"})) == "csf"
    assert CATALOGUE.resolve_specimen("x", layout(specimens={"x": "lung"})) is None
    assert CATALOGUE.resolve_specimen("lung") is None
    assert CATALOGUE.resolve_specimen(None) is None


def test_only_the_brain_and_its_fluid_are_central() -> None:
    central = {s.id for s in CATALOGUE.specimens.values() if s.compartment == "central"}
    assert central == {"csf", "brain_tissue", "microdialysate", "mrs"}


def test_specimens_agree_where_one_is_a_kind_of_the_other() -> None:
    for one, other in [
        ("serum", "serum_or_plasma"),
        ("urine_24h", "urine"),
        ("platelet_poor_plasma", "serum_or_plasma"),
    ]:
        assert CATALOGUE.specimens_agree(one, other)
        assert CATALOGUE.specimens_agree(other, one)
    for one, other in [
        ("serum", "plasma"),
        ("urine_24h", "urine_timed"),
        ("csf", "plasma"),
        ("saliva", "serum"),
    ]:
        assert not CATALOGUE.specimens_agree(one, other)


def test_a_unit_is_what_the_layout_says_it_is() -> None:
    mine = layout(units={"nmol/g": "nmol/g{wet}", "ug/g": "ug/g{creat}"})
    assert CATALOGUE.resolve_unit("nmol/g", mine)[0].basis == "per_wet_mass"  # type: ignore[union-attr]
    assert CATALOGUE.resolve_unit("ug/g", mine)[0].basis == "per_creatinine"  # type: ignore[union-attr]
    assert CATALOGUE.resolve_unit("nmol/g") == (None, "unit without its basis")


@pytest.mark.parametrize(
    ("analyte", "text", "converted"),
    [
        ("urine_volume", "mL", (0.001, "L")),
        ("urine_volume", "mL/24h", (0.001, "L/(24.h)")),
        ("urine_volume", "umol/L", None),
        ("collection_duration", "min", (1 / 60, "h")),
        ("specific_gravity", "1", (1.0, "1")),
        ("dopamine", "L", None),
        ("dopamine", "h", None),
        ("dopamine", "%", None),
        ("gaba", "/tCr", (1.0, "1/{tCr}")),
        ("glutamate", "i.u.", (1.0, "{i.u.}")),
        ("tsh", "uIU/mL", (1.0, "m[IU]/L")),
        ("ferritin", "ng/mL", (1.0, "ug/L")),
        ("insulin", "uIU/mL", (1.0, "m[IU]/L")),
    ],
)
def test_an_analyte_is_converted_only_from_units_it_can_have(
    analyte: str, text: str, converted: tuple | None
) -> None:
    unit = CATALOGUE.resolve_unit(text)[0]
    assert unit is not None
    assert CATALOGUE.conversion(analyte, unit) == converted


@pytest.mark.parametrize("row", rows("statuses.csv"), ids=lambda row: row["text"])
def test_every_status_text_has_its_status(row: dict[str, str]) -> None:
    assert CATALOGUE.status(row["text"].upper()) == row["status"]


@pytest.mark.parametrize("row", rows("roles.csv"), ids=lambda row: row["text"])
def test_every_role_text_has_its_role(row: dict[str, str]) -> None:
    assert CATALOGUE.role(row["text"].upper()) == row["role"]


def test_other_texts_have_no_status_and_no_role() -> None:
    for text in (None, "", "perhaps", "Cal 8", "LTR_SER"):
        assert CATALOGUE.status(text) is None
        assert CATALOGUE.role(text) is None


def test_a_layout_that_names_what_does_not_exist_is_told_so() -> None:
    broken = layout(analytes={"a": "foo"}, specimens={"b": "lung"}, units={"c": "ug/g"}, vocabulary=["birds"])
    assert [key for key, _ in CATALOGUE.problems_of(broken)] == [
        ("analytes", "a"),
        ("specimens", "b"),
        ("units", "c"),
        ("vocabulary", 0),
    ]
    good = layout(analytes={"a": "gaba", "b": "phe_tyr"}, units={"c": "ug/g{creat}"}, vocabulary=["mrs"])
    assert CATALOGUE.problems_of(good) == []
