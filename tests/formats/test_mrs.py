"""Brain MRS: LCModel's tables against themselves, damaged, and end to end to the metrics."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.readers.lcmodel import UNPROVEN
from tests.formats.damaged import cut_everywhere, is_sound, mangled, rows_of
from tests.formats.golden import HERE, run, source
from tests.home import Home, often

CASES = HERE / "mrs"
TABLE, CSV, MARKS, COORD = (
    source(CASES / name) for name in ("lcmodel-table", "lcmodel-csv", "lcmodel-marks", "lcmodel-coord")
)


def _by_columns() -> dict[str, tuple[str, str, str]]:
    """Metabolite -> concentration, %SD, ratio of svs_97.TABLE, by the columns in which LCModel prints them."""
    out = {}
    for line in TABLE.read_text("utf-8").splitlines():
        if line[13:14] == "%":
            out[line[23:].strip()] = (line[1:9].strip(), line[9:13].strip(), line[14:22].strip())
    return out


def test_every_number_of_the_table_is_read() -> None:
    wanted = _by_columns()
    assert len(wanted) == 37
    rows = run(CASES / "lcmodel-table").rows
    read = {
        name: (conc, sd, ratio)
        for (name, conc, sd), ratio in zip(
            rows.filter(item="1").select("analyte", "value", "rel_sd").rows(),
            rows.filter(item="2")["value"],
            strict=True,
        )
    }
    assert read == wanted
    assert set(rows.filter(item="1")["unit"]) == {"i.u."}
    assert set(rows.filter(item="2")["unit"]) == {"/Cr+PCr"}


def test_table_and_csv_of_one_fit_say_the_same() -> None:
    """Only the names differ: LCModel cuts them to 13 characters in the CSV."""
    table, csv = (run(CASES / name).rows for name in ("lcmodel-table", "lcmodel-csv"))
    assert csv.select("value", "unit", "rel_sd").equals(table.select("value", "unit", "rel_sd"))
    assert csv["analyte"].to_list() == [name[:13].strip() for name in table["analyte"]]


def test_the_mark_before_a_name_is_no_part_of_it() -> None:
    rows = run(CASES / "lcmodel-marks").rows
    assert rows.filter(row=9)["analyte"].to_list() == ["GABA", "GABA"]
    assert rows.filter(row=10)["analyte"].to_list() == ["-CrCH2", "-CrCH2"]
    assert "-CrCH2" in run(CASES / "lcmodel-table").rows["analyte"].to_list()  # no mark there


def test_a_name_that_the_end_of_the_file_cuts_is_not_taken_for_another(tmp_path: Path) -> None:
    content = TABLE.read_bytes()
    at = content.index(b"NAA+NAAG")
    (tmp_path / "cut").write_bytes(content[: at + 3])
    rows, _ = rows_of(tmp_path / "cut")
    assert rows is not None
    assert rows["defect"].to_list()[-1] == "the file ends within the record"
    assert rows["analyte"].to_list()[-1] is None


@pytest.mark.parametrize("path", [TABLE, CSV, MARKS, COORD], ids=lambda path: path.parent.name)
def test_a_fit_that_is_cut_off_gives_right_rows_or_a_reason(tmp_path: Path, path: Path) -> None:
    # without the reference's own line nobody can know whether the ratios are scaled: they are refused
    seen = cut_everywhere(tmp_path, path.read_bytes(), step=16, refused=UNPROVEN)
    assert seen["empty file"] == 1
    assert seen["rows"] > 10


PIECES = [
    b"\n",
    b"\r",
    b" ",
    b"%",
    b"$$CONC 3 lines in following concentration table\n",
    b", ",
    b"+",
    b"-",
    b"\x00",
    b"\xe9",
    b"9" * 40,
]


@settings(
    max_examples=often(80, 3000), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from([TABLE, CSV, MARKS, COORD]),
    st.lists(st.tuples(st.integers(0, 6_000), st.integers(0, 60), st.sampled_from(PIECES)), max_size=6),
)
def test_a_mangled_fit_is_read_or_has_a_reason(tmp_path: Path, path: Path, edits: list) -> None:
    (tmp_path / "export").write_bytes(mangled(path.read_bytes(), edits))
    is_sound(tmp_path / "export")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "line",
    [" " * 300_000 + "x", "1 lines in following" + " " * 300_000 + "!", "9" * 300_000 + "%", "a," * 150_000],
)
def test_a_long_line_takes_no_long_time(tmp_path: Path, line: str) -> None:
    content = TABLE.read_text("utf-8").replace(" 1.38E-02", line + "\n 1.38E-02")
    (tmp_path / "export").write_text(content, "utf-8")
    is_sound(tmp_path / "export")


def _home(tmp_path: Path, layout: str) -> Home:
    home = Home(tmp_path / "home", labs='[scanner]\ntimezone = "Europe/Berlin"\n')
    (home.folder / "layouts").mkdir()
    (home.folder / "layouts" / "ours.toml").write_text(
        'name = "ours"\nlabs = ["scanner"]\n' + layout, "utf-8"
    )
    return home


LCMODEL = """
extends = "lcmodel"
[columns]
sample = ["Title"]
collected_at = ["Analysed"]
[constants]
subject = "volunteer"
"""


@pytest.mark.parametrize("name", ["lcmodel-table", "lcmodel-csv"])
def test_the_metrics_of_a_fit_are_those_of_its_own_concentrations(tmp_path: Path, name: str) -> None:
    layout = LCMODEL
    if name == "lcmodel-csv":  # no title, no time
        layout = 'extends = "lcmodel"\n[constants]\nsubject = "volunteer"\nsample = "SVS_97"\ncollected_at = "2015-05-28"\n'
    home = _home(tmp_path, layout)
    home.ingest("scanner", source(CASES / name).read_bytes())
    conc = {name: float(numbers[0]) for name, numbers in _by_columns().items()}
    printed = {name: float(numbers[2]) for name, numbers in _by_columns().items()}
    total = conc["Cr+PCr"]
    wanted = {
        "glx_tcr": "Glu+Gln", "glu_tcr": "Glu", "naa_tcr": "NAA+NAAG", "cho_tcr": "GPC+PCh", "mi_tcr": "Ins",
        "gaba_tcr": "GABA", "gsh_tcr": "Glth",
    }  # fmt: skip
    for metric, text in wanted.items():
        (row,) = home.metric(metric).to_dicts()
        assert row["status"] == "uncensored"
        assert row["value"] == pytest.approx(conc[text] / total, rel=1e-9), metric
        # and LCModel prints the same, as far as three digits go
        assert row["value"] == pytest.approx(printed[text], abs=0.0055), metric
        assert row["basis"] == "{i.u.}"
    assert home.metric("gln_glu")["value"].to_list() == [pytest.approx(conc["Gln"] / conc["Glu"], rel=1e-9)]
    assert home.metric("naa_mi")["value"].to_list() == [
        pytest.approx(conc["NAA+NAAG"] / conc["Ins"], rel=1e-9)
    ]
    assert home.metric("gabap_tcr")["reason"].to_list() == ["missing component: gaba_plus"]


def test_what_was_not_fitted_is_not_known_and_never_zero(tmp_path: Path) -> None:
    home = _home(tmp_path, LCMODEL)
    home.ingest("scanner", TABLE.read_bytes())
    results = home.output("results")
    for analyte in ("creatine", "pch", "taurine"):  # 0.000 with 999 %
        rows = results.filter(pl.col("analyte") == analyte)
        assert rows.height == 2
        assert set(rows["low"]) == {0.0}
        assert set(rows["high"]) == {float("inf")}
    gaba = results.filter((pl.col("analyte") == "gaba") & (pl.col("basis") == "mrs_water")).to_dicts()[0]
    assert (gaba["low"], gaba["rel_sd"]) == (0.0405, 0.32)
    assert home.reasons() == {
        "unknown analyte": 2 * 19
    }  # macromolecules, lipids and what the catalogue has not


def test_scaled_ratios_are_refused_and_their_concentrations_are_not(tmp_path: Path) -> None:
    home = _home(tmp_path, LCMODEL)
    home.ingest("scanner", MARKS.read_bytes())
    rows = home.ledger.open().rows("scanner").filter(pl.col("row") > 20).sort("row", "item").collect()
    by_unit = dict(rows.filter(row=29).select("sent_unit", "reasons").rows())
    assert by_unit == {"i.u.": [], "/Cr+PCr scaled by CONREL": ["unknown unit"]}


def test_without_a_layout_of_the_lab_nothing_is_made_up(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.ingest("north", TABLE.read_bytes())
    reasons = home.reasons()
    assert reasons["no sample id"] == reasons["no collection time"] == 74


def test_a_ratio_to_creatine_is_never_divided_by_it_again(tmp_path: Path) -> None:
    home = _home(tmp_path, 'extends = "mrs-wide"\n')
    home.ingest("scanner", source(CASES / "ratios-wide").read_bytes())

    def values(metric: str) -> list[float]:
        return (
            home.metric(metric)
            .filter(pl.col("status") == "uncensored")
            .sort("collected_local")["value"]
            .to_list()
        )

    assert values("naa_tcr") == [1.31, 1.21]
    assert values("glx_tcr") == [1.02, 1.10]
    assert values("mi_tcr") == [0.88, 0.80]
    assert values("gabap_tcr") == [0.21]  # the second scan has an empty cell
    assert values("glx_gabap") == [pytest.approx(1.02 / 0.21)]
    assert home.metric("gaba_tcr")["reason"].unique().to_list() == [
        "missing component: gaba"
    ]  # GABA+ is not GABA
    tnaa = home.output("results").filter((pl.col("analyte") == "tnaa") & (pl.col("basis") == "mrs_water"))
    assert sorted(tnaa["low"].to_list()) == [9.8, 10.2]
    assert set(tnaa["rel_sd"]) == {0.03, 0.04}


def test_gaba_and_gaba_plus_have_each_their_own_uncertainty(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("Session,GABA/tCr,GABA+/tCr,GABA %SD,GABA+ %SD\ns1,0.1,0.2,11,22\n", "utf-8")
    rows, _ = rows_of(path)
    assert rows is not None
    assert rows.select("analyte", "value", "rel_sd").rows() == [("GABA", "0.1", "11"), ("GABA+", "0.2", "22")]


def test_a_table_of_urine_per_creatinine_is_not_taken_for_mrs(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("Sample ID,Specimen,Glu/Cr,GABA/Cr,Dopamine ug/g Cr\nu1,urine,1,2,3\n", "utf-8")
    rows, reason = rows_of(path)
    assert rows is not None, reason
    assert set(rows["specimen"]) == {"urine"}


def test_every_line_of_a_table_is_a_result_or_a_named_skip() -> None:
    for name in ("lcmodel-table", "lcmodel-marks", "lcmodel-coord"):
        result = run(CASES / name)
        lines = len(re.findall(r"[^\n]*\n|[^\n]+$", source(CASES / name).read_text("utf-8")))
        fitted = result.rows.filter(pl.col("defect").is_null())["row"].n_unique()
        broken = result.rows["defect"].count()
        assert fitted + broken + sum(result.facts["skipped"].values()) == lines


def test_a_scan_without_a_name_is_told_by_its_subject(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_text("subject;voxel;GABA+/tCr;GABA+ %SD;Glx/tCr\ns01;ACC;0,12;7;1,9\ns02;ACC;0,10;999;1,7\n")
    rows, _ = rows_of(path)
    assert rows is not None
    assert rows["sample"].to_list() == rows["subject"].to_list() == ["s01", "s01", "s02", "s02"]
    assert rows["unit"].to_list() == ["/tCr"] * 4
