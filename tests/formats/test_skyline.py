"""Skyline reports against the files' own fields, cut here by hand."""

from __future__ import annotations

import csv
import io

import polars as pl

from tests.formats.golden import HERE, run, source
from tests.formats.instruments import judged


def test_every_transition_is_a_result_with_its_two_masses_as_method() -> None:
    case = HERE / "skyline/transitions"
    records = list(csv.DictReader(io.StringIO(source(case).read_text("utf-8"))))
    wanted = [
        (
            n,
            r["Molecule Name"],
            r["Replicate Name"],
            f"{r['Precursor Mz']} {r['Product Mz']}",
            r["Area"],
            "{area}",
        )
        for n, r in enumerate(records, start=2)
    ]
    assert len(wanted) == 109
    assert run(case).rows.select("row", "analyte", "sample", "method", "value", "unit").rows() == wanted


def test_a_quantification_is_a_value_with_its_unit_or_a_normalised_area() -> None:
    rows = judged(
        HERE / "skyline/molecules", constants={"specimen": "plasma"}, times={"source": ["acquired"]}
    )
    assert rows.select("sample", pl.col("low").round(9), "unit", "basis", "role", "reasons").rows() == [
        ("P1", 0.0123, "umol/L", "per_volume", "sample", []),
        ("P2", None, None, None, "sample", ["no value", "no unit"]),
        ("Std1", 0.00986, "umol/L", "per_volume", "calibrator", []),
        ("QC1", 0.0194, "umol/L", "per_volume", "qc", []),
        ("P1", 0.5, "{area_ratio}", "response", "sample", []),
        ("P2", None, None, None, "sample", ["unreadable value", "no unit"]),
        ("B1", 0.0, "{area_ratio}", "response", "blank", []),
    ]


def test_local_numbers_are_read_as_the_file_writes_them() -> None:
    rows = judged(
        HERE / "skyline/molecules-comma", constants={"specimen": "plasma"}, times={"source": ["acquired"]}
    )
    assert rows["low"].to_list() == [1.87, 0.912, None]
    assert rows["reasons"].to_list()[2] == ["no value", "no unit"]
