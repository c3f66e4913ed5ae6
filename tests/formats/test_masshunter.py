"""MassHunter tables against the files' own cells, cut here by hand."""

from __future__ import annotations

import csv
import io

import pytest

from tests.formats.golden import HERE, run
from tests.formats.instruments import LAYOUTS, judged, read_bytes, seen_by


def _by_hand(name: str, wanted: str) -> dict[tuple[int, str], tuple[str, str]]:
    """(record, column) -> compound and text of every filled cell under `wanted` of a compound's results."""
    text = (HERE / "masshunter" / name / "input.csv").read_bytes().decode("utf-8")
    upper, lower, *records = csv.reader(io.StringIO(text, newline=""))
    label, compounds = "", {}
    for index, above in enumerate(upper):
        label = above or label
        if label.endswith(" Results") and not label.startswith("Qualifier") and lower[index] == wanted:
            compounds[index] = label.removesuffix(" Results")
    return {
        (number, str(index + 1)): (compound, record[index])
        for number, record in enumerate(records, start=3)
        for index, compound in compounds.items()
        if record[index]
    }


@pytest.mark.parametrize(
    ("name", "header", "count"),
    [("areas", "Area", 193), ("final-conc", "Final Conc.", 74), ("german-system", "Area", 2914)],
)
def test_every_value_is_the_one_of_its_compound_and_cell(name: str, header: str, count: int) -> None:
    wanted = _by_hand(name, header)
    rows = run(HERE / "masshunter" / name).rows
    assert len(wanted) == count
    assert {
        (r, i): (a, v) for r, i, a, v in rows.select("row", "item", "analyte", "value").iter_rows()
    } == wanted


def test_areas_say_that_they_are_areas_and_concentrations_have_no_unit_of_their_own() -> None:
    assert set(run(HERE / "masshunter/areas").rows["unit"]) == {"{area}"}
    assert run(HERE / "masshunter/final-conc").rows["unit"].null_count() == 74


def test_a_lab_makes_results_of_a_table_with_its_unit_specimen_and_dates() -> None:
    rows = judged(
        HERE / "masshunter/final-conc",
        constants={"unit": "ng/mL", "specimen": "plasma"},
        times={"formats": ["%m/%d/%y %H:%M"], "source": ["acquired"]},
        samples={"unique": "lab"},
    )
    assert rows["role"].value_counts().sort("role").rows() == [("blank", 14), ("calibrator", 18), ("qc", 42)]
    cal = rows.filter(sample="Cal D.d", analyte="cortisol")
    assert cal["low"].item() == pytest.approx(107.563 / 362.46, rel=1e-3)  # g/mol, to umol/L
    assert str(cal["collected_local"].item()) == "2025-01-20 19:41:00"


def test_decimal_commas_are_read_as_such() -> None:
    rows = judged(HERE / "masshunter/semicolon-comma", constants={"unit": "umol/L", "specimen": "serum"},
                  times={"source": ["acquired"]})  # fmt: skip
    assert rows.select("sample", "analyte", "low", "role").rows() == [
        ("Größe-1", "tryptophan", 61.5, "sample"),
        ("Größe-1", "kynurenine", 1.87, "sample"),
        ("Größe-2", "tryptophan", 0.2, "blank"),
    ]


def test_internal_standards_are_told_from_what_is_measured() -> None:
    rows = judged(HERE / "masshunter/areas", constants={"specimen": "plasma"})
    roles = dict(rows.group_by("role").len().iter_rows())
    assert rows.filter(role="internal standard")["sent_analyte"].str.contains("(ISTD)", literal=True).all()
    assert roles["internal standard"] + sum(v for k, v in roles.items() if k != "internal standard") == 193
    assert set(roles) == {"sample", "qc", "calibrator", "internal standard"}


def test_a_table_without_a_value_says_so() -> None:
    content = b"Sample,,GABA Results,\r\nName,Type,RT,FWHM\r\nS1,Sample,2.2,0.1\r\n"
    rows, _, reason = read_bytes(content, LAYOUTS["masshunter"])
    assert rows.is_empty()
    assert reason == "no compound has a column with a value that layout masshunter knows"


@pytest.mark.parametrize("compounds", [1200, 3000])
def test_headers_longer_than_the_head_of_a_file_are_known(compounds: int) -> None:
    upper = ",," + ",".join(f"A compound number {n} Results,," for n in range(compounds))
    lower = "Name,Type," + ",".join(["RT,Area,FWHM"] * compounds)
    record = "S1,Sample," + ",".join(["1.0,2,3"] * compounds)
    content = "\r\n".join([upper, lower, record, ""]).encode()
    assert (len(upper) + len(lower) + 4 > 65_536) == (compounds == 3000)
    assert seen_by(content) == ["masshunter"]
    rows, _, reason = read_bytes(content, LAYOUTS["masshunter"])
    assert (reason, rows.height, set(rows["value"])) == (None, compounds, {"2"})


def test_method_and_results_of_one_compound_belong_together_and_equal_names_stay_apart() -> None:
    content = b"""Sample,GABA Method,,GABA Results,,GABA Results,
Name,RT,Units,RT,Final Conc.,RT,Final Conc.
S1,2.2,nmol/L,2.3,1.5,2.9,7.5
"""
    rows, _, _ = read_bytes(content, LAYOUTS["masshunter"])
    assert rows.select("item", "analyte", "value", "unit").rows() == [
        ("5", "GABA", "1.5", "nmol/L"),
        ("7", "GABA", "7.5", None),
    ]
