"""mwTab against the tables that the `mwtab` package makes of the same files, and end to end."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.readers import choose
from tests.formats.damaged import LAYOUTS, cut_everywhere, is_sound, knows, mangled, reason_of, rows_of
from tests.formats.golden import HERE, run, source
from tests.home import Home, often

TEXT, JSON, TWICE = (
    HERE / "mwtab" / name for name in ("serum-steroids-text", "serum-steroids-json", "duplicate-keys")
)
PIECES = [
    "\t",
    "\n",
    "\r",
    '"',
    "|",
    ":",
    "Samples",
    "Factors",
    "MS_METABOLITE_DATA_START\n",
    "_END\n",
    "#",
    "{",
    "]",
    "\\ud800",
    "\x00",
]


def _by_package(path: Path) -> list[tuple[str, str, str]]:
    """(metabolite, sample, value) of a file, as the mwtab package reads it."""
    import mwtab

    (file,) = mwtab.read_files(str(path))
    return [
        (record["Metabolite"], sample, value)
        for record in file["MS_METABOLITE_DATA"]["Data"]
        for sample, value in record.items()
        if sample != "Metabolite"
    ]


@pytest.mark.parametrize("case", [TEXT, JSON, TWICE], ids=lambda case: case.name)
def test_every_cell_is_the_one_that_the_mwtab_package_reads(case: Path) -> None:
    rows = run(case).rows
    assert rows.height == 14 * 42
    assert rows.select("analyte", "sample", "value").rows() == _by_package(source(case))
    assert set(rows["unit"]) == {"pg/ml"}
    assert set(rows["specimen"]) == {"Serum"}
    assert rows["collected_at"].null_count() == rows.height  # the format has no time of collection


def test_text_and_json_of_one_study_give_the_same_rows() -> None:
    assert run(TEXT).rows.drop("row").equals(run(JSON).rows.drop("row"))


def test_what_a_key_says_twice_is_kept_as_text_and_read_as_nothing() -> None:
    comments = run(TWICE).rows.filter(pl.col("sample") == "CER030_294717_ML_1")["comment"].unique().to_list()
    assert comments == ["Tissue/Fluid:Serum | key_1=value_1; key_1=value_3; key_2=value_2"]


@pytest.mark.parametrize("case", [TEXT, JSON], ids=lambda case: case.name)
def test_a_file_that_is_cut_off_gives_right_rows_or_a_reason(tmp_path: Path, case: Path) -> None:
    seen = cut_everywhere(tmp_path, source(case).read_bytes())
    assert seen["empty file"] == 1
    if case is JSON:  # half an object is no object
        assert set(seen) <= {"empty file", "no layout fits", "not valid JSON: cut off or damaged"}
    else:
        assert seen["rows"] > 80


@settings(
    max_examples=often(60, 3000), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from([TEXT, JSON]),
    st.lists(
        st.tuples(st.integers(0, 40_000), st.integers(0, 60), st.sampled_from(PIECES).map(str.encode)),
        max_size=6,
    ),
)
def test_a_mangled_file_is_read_or_has_a_reason(tmp_path: Path, case: Path, edits: list) -> None:
    path = tmp_path / "export"
    path.write_bytes(mangled(source(case).read_bytes(), edits))
    is_sound(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"METABOLOMICS WORKBENCH": {"A": ' + "[" * 100_000, "JSON nested too deeply"),
        ('{"METABOLOMICS WORKBENCH": {}, "MS_METABOLITE_DATA": {"Data": [{"Metabolite": "x", "S": "\\ud800"}]}}', "surrogate"),
        ('{"METABOLOMICS WORKBENCH": {}, "MS_METABOLITE_DATA": {"Data": 7}}', "no table of metabolites"),
        ('{"METABOLOMICS WORKBENCH": {}, "MS_METABOLITE_DATA": [1, 2]}', "no table of metabolites"),
        ("#METABOLOMICS WORKBENCH\nVERSION\t1\n", "no table of metabolites"),
    ],
)  # fmt: skip
def test_hostile_files_have_a_reason(tmp_path: Path, content: str, reason: str) -> None:
    assert reason in reason_of(tmp_path, content.encode())


def test_several_analyses_in_one_json_are_all_read(tmp_path: Path) -> None:
    one = {
        "METABOLOMICS WORKBENCH": {"ANALYSIS_ID": "AN1"},
        "MS_METABOLITE_DATA": {"Units": "nM", "Data": [{"Metabolite": "HVA", "S1": "1"}]},
    }
    two = one | {"METABOLOMICS WORKBENCH": {"ANALYSIS_ID": "AN2"}}
    for name, content in (("list", [one, two]), ("names", {"1": one, "2": two})):
        path = tmp_path / name
        path.write_text(json.dumps(content), "utf-8")
        assert choose(path, LAYOUTS, "lab", is_analyte=knows).layout is LAYOUTS["mwtab"]
        rows, _ = rows_of(path)
        assert rows is not None
        assert rows.select("row", "run", "value").rows() == [(1, "AN1", "1"), (2, "AN2", "1")]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    (home.folder / "layouts").mkdir()
    (home.folder / "layouts" / "serum-study.toml").write_text(
        'name = "serum-study"\nextends = "mwtab"\nlabs = ["workbench"]\n[constants]\ncollected_at = "2013-06-01"\n',
        "utf-8",
    )
    return home


def test_the_built_in_layout_leaves_all_without_a_time(home: Home) -> None:
    home.ingest("elsewhere", source(TEXT).read_bytes())
    assert home.reasons()["no collection time"] == 588


def test_a_study_goes_through_with_its_units_and_its_zeros(home: Home) -> None:
    home.ingest("workbench", source(TEXT).read_bytes())
    results = home.output("results")
    cortisol = results.filter(pl.col("analyte") == "cortisol")
    assert cortisol.height == 42
    # 7643 pg/mL over 362.46 g/mol; the second sample prints 39245.75
    assert sorted(cortisol["value"].to_list())[-1] == pytest.approx(39245.75e-3 / 362.46, rel=1e-4)
    progesterone = results.filter(pl.col("analyte") == "progesterone")
    zeros = progesterone.filter(pl.col("censoring") == "not detected")
    assert zeros.height == 3  # CER165, CER188 and CER220 print 0.0000
    assert set(zeros["low"]) == {0.0}
    assert set(zeros["high"]) == {float("inf")}


def test_a_metabolite_that_stands_twice_is_a_conflict_and_not_published(home: Home) -> None:
    text = source(TEXT).read_bytes()
    line = next(line for line in text.splitlines(keepends=True) if line.startswith(b"Cortisol\t"))
    home.ingest("workbench", text.replace(line, line + line.replace(b"7643.0000", b"7644.0000")))
    # 41 samples have the same value twice; the first has two
    assert home.output("results").filter(pl.col("analyte") == "cortisol").height == 41
    metrics = home.output("metrics")
    conflicts = metrics.filter(pl.col("reason").fill_null("").str.contains("conflicting results"))
    assert conflicts["sample"].n_unique() == 1
