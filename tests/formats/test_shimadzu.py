"""Shimadzu texts against the files' own lines, cut here by hand."""

from __future__ import annotations

import polars as pl

from tests.formats.golden import HERE, run, source
from tests.formats.instruments import judged


def test_every_compound_of_gcmssolution_has_its_concentration_and_unit() -> None:
    case = HERE / "shimadzu/gcms"
    lines = source(case).read_text("ascii").split("\n")
    start = next(n for n, line in enumerate(lines) if line.startswith("ID#\t"))
    names = lines[start].split("\t")
    wanted = []
    for number, line in enumerate(lines[start + 1 :], start=start + 2):
        if not line:
            break
        record = dict(zip(names, line.split("\t"), strict=True))
        missing = record["Ret.Time"] == "Not Identified"
        wanted.append(
            (number, record["Name"], "Not Identified" if missing else record["Conc."], record["Unit"])
        )
    rows = run(case).rows
    assert rows.select("row", "analyte", "value", "unit").rows() == wanted
    assert len(wanted) == 259
    assert set(rows["sample"].str.ends_with("13CPROT1.qgd")) == {True}
    assert run(case).facts["notes"][-1] == "a section says 262 compounds and lists 259"


def test_each_data_file_of_a_text_has_its_own_sample() -> None:
    rows = judged(
        HERE / "shimadzu/labsolutions", constants={"specimen": "csf"}, times={"source": ["acquired"]}
    )
    assert rows.select("analyte", "role", "method", pl.col("low", "high").round(6), "censoring").rows() == [
        ("dopac", "sample", "Detector A", 0.008793, 0.008793, "none"),
        ("hva", "sample", "Detector A", 0.0, float("inf"), "not detected"),
        ("hiaa_5", "sample", "AD2", 0.00121, 0.00121, "none"),
        ("dopac", "calibrator", "Detector A", 0.010012, 0.010012, "none"),
        ("hva", "calibrator", "Detector A", 0.009987, 0.009987, "none"),
    ]
    assert {str(t) for t in rows["collected_local"]} == {"2024-03-04 10:16:57"}


def test_summaries_below_a_table_are_no_results() -> None:
    result = run(HERE / "shimadzu/quant-browser")
    assert result.facts["skipped"]["summary row"] == 10
    assert result.rows["value"].to_list() == ["1.0", "2.0", "1.5", "61.0", "-----"]
