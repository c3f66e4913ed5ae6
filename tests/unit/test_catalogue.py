"""The catalogue: every row of every file."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from schemas.catalogue import (
    BUILT_IN,
    METRIC_FILES,
    READING_FILES,
    read_rows,
)
from schemas.catalogue_rows import CLOCKED
from schemas.contracts import CONTRACTS, columns_of
from schemas.formula import FormulaError, parse_formula
from schemas.own_rows import check_rows
from tests.unit.catalogue import CATALOGUE, rows

FILES = (*READING_FILES, *METRIC_FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_file_keeps_its_contract(name: str) -> None:
    content = read_rows(name, (BUILT_IN / name).read_bytes())
    assert content
    assert list(content[0].values) == columns_of(name)
    check_rows(name, content)


@pytest.mark.parametrize("name", FILES)
def test_no_row_of_a_file_comes_twice(name: str) -> None:
    counted = Counter(tuple(row.values()) for row in rows(name))
    assert [row for row, count in counted.items() if count > 1] == []


@pytest.mark.parametrize("name", FILES)
def test_every_column_is_described(name: str) -> None:
    columns = CONTRACTS[name][0].to_schema().columns
    assert [column for column, found in columns.items() if not found.description] == []
    assert CONTRACTS[name][0].__doc__


def test_every_file_of_the_folder_is_read() -> None:
    assert {path.name for path in BUILT_IN.glob("*.csv")} == set(FILES) == set(CONTRACTS)


def test_there_are_all_analytes_and_metrics() -> None:
    assert (len(CATALOGUE.analytes), len(CATALOGUE.metrics)) == (126, 66)


#: IUPAC abridged standard atomic weights of the elements that occur
WEIGHTS = {"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999, "P": 30.973762, "S": 32.06, "Fe": 55.845}
WEIGHTS |= {"Mg": 24.305, "Zn": 65.38, "Cu": 63.546, "I": 126.90447, "Co": 58.933194}


@pytest.mark.parametrize("analyte", [a for a in CATALOGUE.analytes.values() if a.formula], ids=lambda a: a.id)
def test_the_molar_mass_is_that_of_the_formula(analyte) -> None:  # type: ignore[no-untyped-def]
    mass = sum(WEIGHTS[e] * int(n or 1) for e, n in re.findall(r"([A-Z][a-z]?)(\d*)", analyte.formula))
    assert analyte.molar_mass == pytest.approx(mass, rel=1e-4)


def test_an_analyte_without_formula_has_no_molar_mass() -> None:
    assert [a.id for a in CATALOGUE.analytes.values() if not a.formula and a.molar_mass] == []


def test_a_form_has_the_molar_mass_of_what_it_is_a_form_of() -> None:
    forms = [a for a in CATALOGUE.analytes.values() if a.form_of]
    assert len(forms) == 10
    for analyte in forms:
        assert analyte.molar_mass == CATALOGUE.analytes[analyte.form_of].molar_mass


@pytest.mark.parametrize("column", ["hmdb", "chebi", "inchikey"])
def test_no_two_analytes_share_an_identifier(column: str) -> None:
    found = Counter(row[column] for row in rows("analytes.csv") if row[column])
    assert [identifier for identifier, count in found.items() if count > 1] == []


@pytest.mark.parametrize("code", list(CATALOGUE.loinc))
def test_the_check_digit_of_every_loinc_code_is_right(code: str) -> None:
    digits = code.replace("-", "")[::-1]
    total = sum(int(d) if i % 2 == 0 else sum(divmod(2 * int(d), 10)) for i, d in enumerate(digits))
    assert total % 10 == 0


def test_the_loinc_notice_is_shipped_beside_the_table() -> None:
    notice = (BUILT_IN / "NOTICE.md").read_text("utf-8")
    assert "Regenstrief Institute" in notice
    assert "loinc.org/license" in notice


@pytest.mark.parametrize(
    "row", [r for r in rows("loinc.csv") if r["ucum_example"]], ids=lambda r: r["loinc_code"]
)
def test_the_example_unit_of_every_loinc_code_is_a_unit_we_can_convert(row: dict[str, str]) -> None:
    for text in row["ucum_example"].split(";"):
        if row["metric_id"]:
            assert CATALOGUE.reported_factor(row["metric_id"], text) == 1.0
        else:
            unit, problem = CATALOGUE.resolve_unit(text)
            assert problem is None
            assert unit is not None
            assert unit.basis in CATALOGUE.specimens[row["specimen"]].bases
            assert CATALOGUE.conversion(row["analyte_id"], unit) is not None


@pytest.mark.parametrize("metric", list(CATALOGUE.metrics.values()), ids=lambda m: m.id)
def test_every_metric_is_computed_or_says_why_not(metric) -> None:  # type: ignore[no-untyped-def]
    assert metric.computed == (metric.formula is not None) == (metric.not_computed_because == "")
    if metric.formula is not None:
        assert metric.kind == metric.formula.kind
        assert set(metric.formula.analytes) <= set(CATALOGUE.analytes)
        assert (metric.formula.scale == 1.0) == (metric.unit == "1")
        factor = CATALOGUE.reported_factor(metric.id, "mol/mol")
        assert factor == pytest.approx(metric.formula.scale)  # unit and scale say the same
    else:
        with pytest.raises(FormulaError):
            parse_formula(metric.formula_text)
    assert set(metric.specimens) <= set(CATALOGUE.specimens)
    assert metric.id not in CATALOGUE.analytes


def test_the_only_metric_not_computed_needs_two_specimens() -> None:
    assert [m.id for m in CATALOGUE.metrics.values() if not m.computed] == ["gly_csf_plasma"]
    assert "two specimens" in CATALOGUE.metrics["gly_csf_plasma"].not_computed_because


def test_metrics_of_what_follows_the_clock_need_the_time() -> None:
    for metric in CATALOGUE.metrics.values():
        clocked = metric.formula is not None and bool(CLOCKED & set(metric.formula.analytes))
        in_urine = all(CATALOGUE.specimens[s].matrix == "urine" for s in metric.specimens)
        assert metric.time_needed == ("" if not clocked else "collected" if in_urine else "clock")
    assert {m.id for m in CATALOGUE.metrics.values() if m.time_needed} >= {
        "cortisol_dheas",
        "f_e_urine",
        "t_c_saliva",
    }


def test_no_metric_mixes_compartments_within_one_specimen_list_unless_it_is_the_same_ratio_in_each() -> None:
    urine = {s.id for s in CATALOGUE.specimens.values() if s.matrix == "urine"}
    for metric in CATALOGUE.metrics.values():
        in_urine = urine & set(metric.specimens)
        brain = {s for s in metric.specimens if CATALOGUE.specimens[s].compartment == "central"}
        assert not (in_urine and brain), metric.id


def test_metrics_without_a_molar_mass_are_those_of_spectroscopy_only() -> None:
    for metric in CATALOGUE.metrics.values():
        if metric.molar_required and metric.formula is not None:
            assert all(CATALOGUE.analytes[a].molar_mass for a in metric.formula.analytes), metric.id
        elif metric.formula is not None:
            assert metric.specimens == ("mrs",)


ADVICE = (
    r"\b(indicates?|you|your|patient should|should take|supplement\w*|treat\w*|therap\w*|"
    r"recommend\w*|diagnos\w+ of)\b"
)


@pytest.mark.parametrize("metric", list(CATALOGUE.metrics.values()), ids=lambda m: m.id)
def test_no_metric_says_what_a_value_means_for_a_person(metric) -> None:  # type: ignore[no-untyped-def]
    said = " ".join(
        (metric.name, *metric.studied_in, metric.caveats, metric.published_values, metric.pathway_note)
    )
    assert re.search(ADVICE, said, re.IGNORECASE) is None
    assert re.match(r"(low|lower|high|higher)\b.*:", metric.published_values) is None


def test_enzyme_names_stay_in_the_notes() -> None:
    enzymes = r"\b(MAO|COMT|PNMT|DBH|IDO|TDO|KMO|KAT|TPH|AADC|HNMT|11beta-HSD2)\b"
    assert [m.name for m in CATALOGUE.metrics.values() if re.search(enzymes, m.name)] == []


def test_a_commercial_metric_is_never_defined_in_the_brain() -> None:
    commercial = [m for m in CATALOGUE.metrics.values() if m.evidence_grade == "commercial_only"]
    assert len(commercial) == 8
    for metric in commercial:
        assert {CATALOGUE.specimens[s].compartment for s in metric.specimens} == {"peripheral"}


def test_metrics_graded_as_established_have_a_citation() -> None:
    graded = [m for m in CATALOGUE.metrics.values() if m.evidence_grade.startswith("established")]
    assert graded
    assert [m.id for m in graded if not m.citation] == []


def test_serotonin_in_plasma_is_refused_and_gaba_in_urine_labelled() -> None:
    refused = CATALOGUE.guard("serotonin", "platelet_poor_plasma")
    assert refused is not None
    assert refused.action == "refuse"
    assert refused.reason.startswith("not valid in platelet-poor plasma")
    labelled = CATALOGUE.guard("gaba", "dried_urine")
    assert labelled is not None
    assert labelled.action == "label"
    assert CATALOGUE.guard("serotonin", "brain_tissue") is None
