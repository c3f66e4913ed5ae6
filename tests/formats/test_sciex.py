"""Sciex results tables: roles from two columns, and the texts that stand for no number."""

from __future__ import annotations

from tests.formats.golden import HERE
from tests.formats.instruments import judged

SAID = {
    "constants": {"specimen": "csf"},
    "times": {"formats": ["%m/%d/%Y %I:%M:%S %p"], "source": ["acquired"]},
}


def test_multiquant_texts_are_no_numbers_and_each_says_what_it_is() -> None:
    rows = judged(HERE / "sciex/multiquant", **SAID)
    samples = rows.filter(role="sample").select("sample", "low", "high", "reasons").rows()
    assert samples == [
        ("CSF-17", 0.0, 0.0, ["impossible value"]),
        ("CSF-18", 0.00214, 0.00214, []),
        ("CSF-19", 0.0, 0.0, ["impossible value"]),
        ("CSF-20", None, None, ["no value"]),
    ]
    blank = rows.filter(role="blank")
    assert (blank["censoring"].item(), blank["low"].item(), blank["high"].item()) == (
        "not detected",
        0.0,
        float("inf"),
    )
    assert rows["role"].value_counts().sort("role").rows() == [
        ("blank", 1), ("calibrator", 1), ("internal standard", 3), ("qc", 1), ("sample", 4),
    ]  # fmt: skip


def test_sciex_os_tells_qualifiers_and_internal_standards_by_their_component_type() -> None:
    rows = judged(HERE / "sciex/sciex-os", **SAID)
    assert rows["role"].to_list() == [
        "sample", "qualifier", "internal standard", "sample", "qc", "blank", "blank",
    ]  # fmt: skip
    assert rows.filter(role="qualifier")["accepted"].all()  # `GABA 2` is no analyte, and need not be one
    first = rows.row(0, named=True)
    assert (first["analyte"], first["unit"], first["accepted"]) == ("gaba", "umol/L", True)
    assert abs(first["low"] - 12.31 / 103.12) < 1e-4


def test_analyst_internal_standards_are_said_by_the_lines_above_their_table() -> None:
    rows = judged(HERE / "sciex/analyst-blocks", **SAID)
    whole = rows.filter(rows["defect"].is_null())
    assert whole.select("sent_analyte", "role").rows() == [
        ("Cortisol", "calibrator"), ("Cortisol", "sample"), ("Cortisol", "sample"), ("Cortisol", "sample"),
        ("Cortisol-d4", "internal standard"), ("Cortisol-d4", "internal standard"), ("Cortisone", "sample"),
    ]  # fmt: skip


def test_areas_without_concentrations_are_of_basis_response() -> None:
    rows = judged(HERE / "sciex/areas-only", **SAID)
    first = rows.row(0, named=True)
    assert (first["basis"], first["unit"], first["low"]) == ("response", "{area}", 10223.0)
    assert "no collection time" in first["reasons"]


def test_decimal_commas_of_utf_16_are_read_as_such() -> None:
    rows = judged(HERE / "sciex/german-comma", constants={"specimen": "csf"}, times={"source": ["acquired"]})
    assert rows.select("low", "dilution", "accepted").rows() == [(61.52, 1.0, True), (5.912, 10.0, True)]
