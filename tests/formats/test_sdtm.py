"""SDTM LB as CSV, transport file and Dataset-JSON: against the files cut by hand, damaged, and end to end."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import polars as pl
import pyreadstat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.layout_files import load_layouts
from tasks.readers import read
from tests.formats.damaged import cut_everywhere, is_sound, mangled, reason_of, rows_of
from tests.formats.golden import HERE, run, source
from tests.home import Home, often

CASES = HERE / "sdtm"
METABOLIC, NEURO = (source(CASES / name) for name in ("metabolic-csv", "neuro-csv"))
NDJSON, XPT = (source(CASES / name) for name in ("dataset-ndjson", "xpt-version-5"))
#: our column -> the one of the domain
OURS = {
    "subject": "USUBJID", "visit": "VISIT", "collected_at": "LBDTC", "analyte": "LBTEST", "code": "LBTESTCD",
    "value": "LBORRES", "unit": "LBORRESU", "ref_low": "LBORNRLO", "ref_high": "LBORNRHI",
}  # fmt: skip
NUMBERS = ["LBSEQ", "LBSTRESN", "LBSTNRLO", "LBSTNRHI", "VISITNUM", "VISITDY", "LBDY"]


def _by_hand(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _as_xpt(records: list[dict[str, str]], path: Path, version: int) -> Path:
    """The records as a transport file: characters, but for the variables that are numbers."""
    frame = pl.DataFrame(records).with_columns(pl.all().replace("NA", ""))
    frame = frame.with_columns(pl.col(NUMBERS).cast(pl.Float64, strict=False))
    pyreadstat.write_xport(frame, path, table_name="LB", file_format_version=version)
    return path


@pytest.mark.parametrize("name", ["metabolic-csv", "neuro-csv"])
def test_every_original_result_is_the_one_of_the_file(name: str) -> None:
    rows = run(CASES / name).rows
    wanted = [tuple(record[theirs] for theirs in OURS.values()) for record in _by_hand(source(CASES / name))]
    assert rows.select(list(OURS)).rows() == wanted
    assert rows["sample"].to_list() == [
        f"{visit} {time}" for visit, time in rows.select("visit", "collected_at").rows()
    ]


def test_every_result_of_dataset_json_is_the_one_of_the_file() -> None:
    data = json.loads(source(CASES / "dataset-json").read_text("utf-8"))
    names = [column["name"] for column in data["columns"]]
    at = [names.index(theirs) for theirs in OURS.values()]
    rows = run(CASES / "dataset-json").rows
    assert rows.height == data["records"] == len(data["rows"])
    assert rows.select(list(OURS)).rows() == [tuple(record[i] or "" for i in at) for record in data["rows"]]


@pytest.mark.parametrize("version", [5, 8])
def test_a_transport_file_gives_what_its_csv_gives(tmp_path: Path, version: int) -> None:
    by_csv = run(CASES / "metabolic-csv").rows
    rows, _ = rows_of(_as_xpt(_by_hand(METABOLIC), tmp_path / "lb.xpt", version))
    assert rows is not None
    assert rows["row"].to_list() == list(range(1, 310))
    expected = by_csv.drop("row").with_columns(pl.col(pl.String).replace("NA", ""))
    assert rows.drop("row").equals(expected)


def test_a_transport_file_of_windows_is_read_in_its_code_page(tmp_path: Path) -> None:
    record = _by_hand(METABOLIC)[0] | {"LBORRESU": "µmol/L", "LBTEST": "Tryptophan"}
    path = _as_xpt([record], tmp_path / "lb.xpt", 5)
    content = path.read_bytes().replace("µmol/L".encode(), "µmol/L".encode("cp1252") + b" ")
    path.write_bytes(content)
    rows, notes = rows_of(path)
    assert rows is not None
    assert rows["unit"].to_list() == ["µmol/L"]
    assert "windows-1252" in notes


def test_several_datasets_in_one_transport_file_are_refused(tmp_path: Path) -> None:
    content = _as_xpt(_by_hand(METABOLIC)[:3], tmp_path / "lb.xpt", 5).read_bytes()
    (tmp_path / "two.xpt").write_bytes(content + content[240:])
    rows, reason = rows_of(tmp_path / "two.xpt")
    assert rows is None
    assert "several datasets" in reason


def test_dataset_json_1_0_is_read_too(tmp_path: Path) -> None:
    items = [
        {"OID": name, "name": name, "label": name, "type": "string"}
        for name in ("ITEMGROUPDATASEQ", "USUBJID", "LBTESTCD", "LBORRES")
    ]
    group = {"records": 1, "name": "LB", "label": "", "items": items, "itemData": [[1, "S1", "HVA", "12.50"]]}
    content = {
        "datasetJSONVersion": "1.0.0",
        "clinicalData": {"studyOID": "X", "itemGroupData": {"IG.LB": group}},
    }
    path = tmp_path / "lb.json"
    path.write_text(json.dumps(content), "utf-8")
    rows, _ = rows_of(path)
    assert rows is not None
    assert rows.select("subject", "analyte", "value").rows() == [("S1", "HVA", "12.50")]


def test_numbers_of_dataset_json_are_kept_as_they_are_written(tmp_path: Path) -> None:
    columns = [{"name": name} for name in ("USUBJID", "LBTESTCD", "LBORRES")]
    text = json.dumps({"datasetJSONVersion": "1.1.0", "records": 3, "columns": columns, "rows": "ROWS"})
    rows_text = '[["S1","HVA",12.500],["S1","VMA",1e-3],["S1","HVA",' + "9" * 5000 + "]]"
    path = tmp_path / "lb.json"
    path.write_text(text.replace('"ROWS"', rows_text), "utf-8")
    rows, _ = rows_of(path)
    assert rows is not None
    assert rows["value"].to_list() == ["12.500", "1e-3", "9" * 5000]


def test_fewer_records_than_announced_are_noted(tmp_path: Path) -> None:
    lines = NDJSON.read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "lb.ndjson").write_text("".join(lines[:10]), "utf-8")
    rows, notes = rows_of(tmp_path / "lb.ndjson")
    assert rows is not None
    assert rows.height == 9
    assert "another number of records" in notes


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"datasetJSONVersion": "1.1.0", "columns": [{"name": "USUBJID"}, {"name": "LBTESTCD"}, {"name": "LBORRES"}], "rows": 7}', "without its rows"),
        ('{"datasetJSONVersion": "1.1.0", "columns": [{"name": "USUBJID"}], "rows": []}', "no layout fits"),
        ('{"datasetJSONVersion": "1.1.0", "columns": ' + "[" * 50_000, "no layout fits"),
        ('{"datasetJSONVersion": "1.1.0", "columns": [{"name": "USUBJID"}, {"name": "LBTESTCD"}, {"name": "LBORRES"}], "rows": ['
         + '["\\ud800", "A", "1"]]}', "surrogate"),
    ],
)  # fmt: skip
def test_hostile_datasets_have_a_reason(tmp_path: Path, content: str, reason: str) -> None:
    assert reason in reason_of(tmp_path, content.encode())


def test_records_of_another_length_are_kept_with_their_text(tmp_path: Path) -> None:
    columns = [{"name": name} for name in ("USUBJID", "LBTESTCD", "LBORRES")]
    content = {
        "datasetJSONVersion": "1.1.0",
        "columns": columns,
        "rows": [["S1", "HVA"], {"a": 1}, ["S1", "HVA", None]],
    }
    path = tmp_path / "lb.json"
    path.write_text(json.dumps(content), "utf-8")
    rows, _ = rows_of(path)
    assert rows is not None
    assert rows["defect"].to_list() == ["wrong number of fields", "wrong number of fields", None]
    assert rows["raw"].to_list()[:2] == ['["S1", "HVA"]', '{"a": "1"}']


@pytest.mark.parametrize("path", [XPT, NDJSON], ids=["xpt", "ndjson"])
def test_a_dataset_that_is_cut_off_gives_right_rows_or_a_reason(tmp_path: Path, path: Path) -> None:
    content = path.read_bytes() if path is XPT else path.read_bytes().rsplit(b"\n", 1)[0] + b"\n"
    seen = cut_everywhere(tmp_path, content)
    assert seen["empty file"] == 1
    if path is XPT:  # its columns are told apart by their places alone, so a part of it is nothing
        assert set(seen) == {"empty file", "the transport file is cut off or damaged"}
    else:
        assert seen["rows"] > 30


def test_a_csv_that_is_cut_off_gives_right_rows_or_a_reason(tmp_path: Path) -> None:
    head = b"".join(METABOLIC.read_bytes().splitlines(keepends=True)[:25])
    assert cut_everywhere(tmp_path, head)["rows"] > 60


def test_dataset_json_that_is_cut_off_has_a_reason(tmp_path: Path) -> None:
    data = json.loads(source(CASES / "dataset-json").read_text("utf-8"))
    content = json.dumps(data | {"rows": data["rows"][:15], "records": 15}).encode()
    assert set(cut_everywhere(tmp_path, content)) <= {
        "empty file",
        "no layout fits",
        "not valid JSON: cut off or damaged",
    }


PIECES = [
    b"\x00",
    b"\xff",
    b" ",
    b"0",
    b'"',
    b"[",
    b"]",
    b",",
    b"\n",
    b"HEADER RECORD*******",
    b"\\u0000",
    b"9" * 30,
]


@settings(
    max_examples=often(80, 3000), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from([XPT, NDJSON]),
    st.lists(st.tuples(st.integers(0, 12_000), st.integers(0, 90), st.sampled_from(PIECES)), max_size=6),
)
def test_a_mangled_dataset_is_read_or_has_a_reason(tmp_path: Path, path: Path, edits: list) -> None:
    (tmp_path / "export").write_bytes(mangled(path.read_bytes(), edits))
    is_sound(tmp_path / "export")


def _home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", labs='[sponsor]\ntimezone = "America/New_York"\n')


def test_original_results_and_dates_are_judged_as_the_standard_means_them(tmp_path: Path) -> None:
    home = _home(tmp_path)
    home.ingest("sponsor", source(CASES / "partial-dates").read_bytes())
    rows = home.ledger.open().rows("sponsor").sort("row").collect()
    assert rows["reasons"].to_list() == [
        [],
        [],
        ["unreadable time"],  # 2014-01: no day is made up
        ["unreadable time"],
        ["no value", "no unit"],  # not done
        ["no value", "no unit", "no collection time"],
        [],
    ]
    assert rows["comment"].to_list()[4] == "NOT DONE SAMPLE LOST"
    # 12.5 ug/mL of LBORRES is what counts, not 61.2 umol/L of LBSTRESC
    assert rows["low"].to_list()[0] == pytest.approx(12_500 / 204.229, rel=1e-6)
    assert rows.select("low", "high").row(6) == (0.0, 0.3)
    assert rows["timepoint"].to_list() == ["PRE-DOSE", "PRE-DOSE", *[None] * 5]
    assert str(rows["collected_at"][0]) == "2014-01-02 13:30:00+00:00"
    ratio = home.metric("kyn_trp").filter(pl.col("status") == "uncensored")
    assert ratio["value"].to_list() == [pytest.approx(1000 * 1.9 / (12_500 / 204.229), rel=1e-6)]


def test_a_study_without_specimens_is_quarantined_by_its_reason(tmp_path: Path) -> None:
    home = _home(tmp_path)
    home.ingest("sponsor", NEURO.read_bytes())
    reasons = home.reasons()
    assert reasons["no specimen"] == 151
    assert "no sample id" not in reasons
    assert "unreadable time" not in reasons


def test_a_study_with_its_specimen_named_by_the_layout_goes_through(tmp_path: Path) -> None:
    home = _home(tmp_path)
    (home.folder / "layouts").mkdir()
    (home.folder / "layouts" / "study.toml").write_text(
        'name = "study"\nextends = "sdtm-lb"\nlabs = ["sponsor"]\n[constants]\nspecimen = "serum"\n', "utf-8"
    )
    home.ingest("sponsor", source(CASES / "dataset-json").read_bytes())
    data = json.loads(source(CASES / "dataset-json").read_text("utf-8"))
    at = {column["name"]: i for i, column in enumerate(data["columns"])}
    creatinine = [
        r for r in data["rows"] if r[at["LBTESTCD"]] == "CREAT" and r[at["LBORRES"]] and r[at["LBDTC"]]
    ]
    rows = (
        home.ledger.open()
        .rows("sponsor")
        .filter(pl.col("analyte") == "creatinine", pl.col("accepted"))
        .sort("row")
        .collect()
    )
    assert rows.height == len(creatinine) > 50
    # the sponsor's own conversion to umol/L agrees with ours
    ours, theirs = rows["low"].to_list(), [float(record[at["LBSTRESN"]]) for record in creatinine]
    assert ours == [pytest.approx(value, rel=5e-3) for value in theirs]


@pytest.mark.parametrize(
    ("sent", "standard", "unit", "differs"),
    [
        ("10.2", "10.2", "nmol/L", False),
        ("10.2", "10.24", "nmol/L", False),  # rounded by the lab
        ("10.24", "10", "nmol/L", False),  # rounded by the sponsor
        ("10.2", "10.3", "nmol/L", True),
        ("10.2", "102", "nmol/L", True),
        ("10.2", "0.0102", "umol/L", False),  # another unit is not compared
        ("<5", "5", "nmol/L", False),
        ("10.2", "", "nmol/L", False),
    ],
)
def test_a_standard_result_that_differs_in_the_same_unit_is_noted_and_changes_nothing(
    sent: str, standard: str, unit: str, differs: bool, tmp_path: Path
) -> None:
    path = tmp_path / "lb.csv"
    path.write_text(
        "USUBJID,LBTESTCD,LBORRES,LBORRESU,LBSTRESN,LBSTRESU,LBDTC\n"
        f"U1,CORTISOL,{sent},nmol/L,{standard},{unit},2024-03-04\n"
    )
    reading = read(path, load_layouts()["sdtm-lb"], lambda text: False)
    assert pl.concat(reading.batches)["value"].to_list() == [sent]
    assert ("1 values differ from LBSTRESN in the same unit" in reading.notes) == differs
