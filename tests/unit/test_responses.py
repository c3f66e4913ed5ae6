"""Peak areas without concentrations: kept, labelled, and ratioed only where a layout calls them comparable."""

from __future__ import annotations

import pytest

from tests.home import Home
from tests.unit.rows import standardised

TABLE = b"""Sample,,,Kynurenine Results,,Tryptophan Results,
Name,Type,Acq. Date-Time,RT,Area,RT,Area
S1,Sample,2024-03-04 10:15,2.1,500,5.0,20000
QC,QC,2024-03-04 10:22,2.1,600,5.0,21000
"""
LAYOUT = """
name = "north-areas"
extends = "masshunter"
labs = ["north"]
comparable_response = {comparable}
constants = {{ specimen = "plasma" }}
times = {{ source = ["acquired"] }}
samples = {{ unique = "lab" }}
"""


def _ingested(home: Home, comparable: str) -> Home:
    folder = home.folder / "layouts"
    folder.mkdir()
    (folder / "north.toml").write_text(LAYOUT.format(comparable=comparable))
    home.ingest("north", TABLE)
    return home


def test_areas_are_published_as_responses_and_make_no_metric(home: Home) -> None:
    results = _ingested(home, "false").output("results")
    assert sorted(results.select("analyte", "value", "unit", "basis").rows()) == [
        ("kynurenine", 500.0, "{area}", "response"),
        ("tryptophan", 20000.0, "{area}", "response"),
    ]
    metric = home.metric("kyn_trp")
    assert metric.select("status", "reason").row(0) == (
        "absent",
        "peak areas that no layout calls comparable",
    )
    assert metric["value"].item() is None


def test_comparable_areas_make_a_metric_that_says_so_and_stands_in_no_panel(home: Home) -> None:
    metric = _ingested(home, "true").metric("kyn_trp").row(0, named=True)
    assert metric["value"] == pytest.approx(1000 * 500 / 20000)
    assert (metric["basis"], metric["unit"], metric["component_unit"]) == (
        "response",
        "10*-3",
        "{area,comparable}",
    )
    assert home.output("panels")["kyn_trp"].to_list() == [None]


def test_areas_and_amounts_never_meet() -> None:
    rows = standardised({"analyte": "kynurenine", "unit": "{area}"}, {"analyte": "tryptophan", "unit": "nmol/L"},
                        layout={"comparable_response": True})  # fmt: skip
    assert rows.select("unit", "basis").rows() == [
        ("{area,comparable}", "response"),
        ("umol/L", "per_volume"),
    ]


@pytest.mark.parametrize("text", ["area", "Peak Area", "counts", "{area}"])
def test_words_for_an_area_are_one_unit(text: str) -> None:
    assert standardised({"unit": text}).select("unit", "basis").row(0) == ("{area}", "response")
