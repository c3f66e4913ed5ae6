"""Hostile small files, taken in for real: each gets a reason, and nothing is lost or wrongly read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from schemas.settings import Settings
from tasks.archive import archive
from tasks.bench import Bench
from tasks.ledger import Ledger
from tasks.prepare import prepare
from tasks.publish import Publisher

HEAD = "Patient ID,Sample ID,Specimen,Test,Result,Units,Collected\n"
GOOD = "P1,S1,Serum,Tryptophan,60.5,umol/L,2024-03-01\n"
LAYOUT = """
name = "north-times"
extends = "generic"
labs = ["north"]
[times]
formats = ["%d.%m.%Y", "%d-%b-%y"]
"""

Take = Callable[[bytes], tuple[dict, pl.DataFrame]]


@pytest.fixture
def take(tmp_path: Path) -> Take:
    """Take in one file; gives its receipt and all its rows."""
    settings = Settings(home=tmp_path / "home")
    (Path(settings.home) / "layouts").mkdir(parents=True)
    (Path(settings.home) / "layouts" / "north-times.toml").write_text(LAYOUT)
    bench = Bench.of(settings)

    def taken(content: bytes) -> tuple[dict, pl.DataFrame]:
        path = tmp_path / "export"
        path.write_bytes(content)
        with path.open("rb") as source:
            export = archive(settings, "north", source, path.name)
        ledger = Ledger(settings.store)
        ledger.commit("north", *prepare(bench, [export], {}))
        Publisher(settings, bench.catalogue).publish()
        snapshot = ledger.open()
        receipt = snapshot.receipts("north").filter(pl.col("export") == export.sha256).to_dicts()[0]
        rows = snapshot.rows("north").filter(pl.col("export") == export.sha256).sort("row", "item").collect()
        assert len(rows) == receipt["rows"] == receipt["accepted_rows"] + receipt["quarantined_rows"]
        assert ((rows["reasons"].list.len() > 0) == ~rows["accepted"]).all()
        return receipt, rows

    return taken


def reasons(rows: pl.DataFrame) -> list[list[str]]:
    return rows["reasons"].to_list()


def test_an_empty_file_has_a_receipt_with_its_reason(take: Take) -> None:
    receipt, rows = take(b"")
    assert receipt["reason"] == "empty file"
    assert rows.is_empty()


def test_a_header_without_rows_is_no_error(take: Take) -> None:
    receipt, rows = take(HEAD.encode())
    assert (receipt["reason"], receipt["rows"]) == (None, 0)
    assert rows.is_empty()


def test_short_and_long_rows_are_quarantined_with_their_whole_text(take: Take) -> None:
    _, rows = take(
        (HEAD + GOOD + "P1,S1,Serum\n" + "P1,S1,Serum,Tyrosine,1,2,3,umol/L,2024-03-01\n" + GOOD).encode()
    )
    assert reasons(rows) == [[], ["wrong number of fields"], ["wrong number of fields"], []]
    assert rows["row"].to_list() == [2, 3, 4, 5]
    assert rows["raw"].to_list()[1:3] == ["P1,S1,Serum", "P1,S1,Serum,Tyrosine,1,2,3,umol/L,2024-03-01"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "latin-1", "cp1252"])
def test_any_encoding_gives_the_same_result(take: Take, encoding: str) -> None:
    text = HEAD + "Ä1,S1,Serum,Tryptophan,60.5,µmol/L,2024-03-01\n"
    _, rows = take(text.encode(encoding))
    assert reasons(rows) == [[]]
    assert rows.select("subject", "low", "unit").row(0) == ("Ä1", 60.5, "umol/L")


def test_a_nul_in_an_id_is_refused_and_kept(take: Take) -> None:
    _, rows = take((HEAD + GOOD + GOOD.replace("S1", "S\x002")).encode())
    assert reasons(rows) == [[], ["control character"]]
    assert rows["sample"].to_list() == ["S1", "S\x002"]


def test_007_stays_007(take: Take) -> None:
    _, rows = take((HEAD + GOOD.replace("S1", "007").replace("P1", "0010")).encode())
    assert rows.select("subject", "sample").row(0) == ("0010", "007")


def test_a_duplicate_header_that_matters_is_a_reason_for_the_whole_file(take: Take) -> None:
    receipt, rows = take(
        b"Sample ID,Specimen,Test,Result,Result,Units,Collected\nS1,Serum,Tryptophan,1,2,umol/L,2024-03-01\n"
    )
    assert "duplicate header" in receipt["reason"]
    assert rows.is_empty()


def test_a_field_of_ten_megabytes_is_refused_and_the_rows_beside_it_are_not(take: Take) -> None:
    _, rows = take((HEAD + GOOD + GOOD.replace("S1", "x" * 10_000_000) + GOOD.replace("S1", "S3")).encode())
    assert reasons(rows) == [[], ["text too long"], []]
    assert rows["sample"].str.len_bytes().to_list() == [2, 10_000_000, 2]


@pytest.mark.parametrize(
    ("value", "amount", "reason"),
    [
        ("-3", None, "impossible value"), ("<0", None, "impossible value"), ("NaN", None, "unreadable value"),
        ("inf", None, "unreadable value"), ("", None, "no value"), ("see note", None, "unreadable value"),
        ('"1,234.5"', 1234.5, None), ('"1.234,5"', 1234.5, None), ('"1,234"', None, "ambiguous number"),
        ("1e3", 1000.0, None), ("١٢", None, "unreadable value"), ("1_000", None, "unreadable value"),
        ("0x10", None, "unreadable value"), ("1e400", None, "unreadable value"), ("9e9", None, "impossible value"),
    ],
)  # fmt: skip
def test_a_value_is_read_or_has_its_reason(
    take: Take, value: str, amount: float | None, reason: str | None
) -> None:
    _, rows = take((HEAD + GOOD.replace("60.5", value)).encode())
    assert reasons(rows) == [[reason] if reason else []]
    if amount is not None:
        assert rows.select("low", "high").row(0) == (amount, amount)


@pytest.mark.parametrize(
    ("written", "month", "reason"),
    [
        ("01.03.2024", "2024-03", None), ("17-sept-19", "2019-09", None), ("17-Sep-19", "2019-09", None),
        ("03/04/2024", None, "unreadable time"), ("2999-01-01", "2999-01", "collected in the future"),
        ("2024-02-30", None, "unreadable time"), ("", None, "no collection time"),
        ("2024-03-01 08:00", "2024-03", "no time zone"), ("2024-03-01T08:00Z", "2024-03", None),
    ],
)  # fmt: skip
def test_a_time_is_read_by_iso_or_the_layout_or_has_its_reason(
    take: Take, written: str, month: str | None, reason: str | None
) -> None:
    _, rows = take((HEAD + GOOD.replace("2024-03-01", written)).encode())
    assert reasons(rows) == [[reason] if reason else []]
    assert rows["month"].to_list() == [month]


def test_an_analyte_that_nobody_knows_is_named_by_its_text(take: Take) -> None:
    _, rows = take((HEAD + GOOD.replace("Tryptophan", "Unobtainium")).encode())
    assert reasons(rows) == [["unknown analyte"]]
    assert rows["sent_analyte"].to_list() == ["Unobtainium"]


def test_an_ambiguous_analyte_names_its_candidates(take: Take) -> None:
    _, rows = take((HEAD + GOOD.replace("Tryptophan", "SER")).encode())
    assert reasons(rows) == [["ambiguous analyte"]]
    assert rows["hint"].to_list() == ["could be serotonin or serine"]


def test_a_row_has_all_its_reasons(take: Take) -> None:
    _, rows = take((HEAD + "P1,,Moonstone,Unobtainium,much,furlong,yesterday\n").encode())
    assert reasons(rows) == [
        ["unknown analyte", "unreadable value", "unknown specimen", "no sample id", "unreadable time"]
    ]


def test_the_same_sample_in_ng_per_ml_and_in_nmol_per_l_gives_the_same_metrics(
    take: Take, tmp_path: Path
) -> None:
    molar_masses = {"Kynurenine": 208.217, "Tryptophan": 204.229}
    amounts = {"Kynurenine": 2400.0, "Tryptophan": 60000.0}
    lines = [HEAD]
    for test, molar in amounts.items():
        lines.append(f"P1,molar,Serum,{test},{molar!r},nmol/L,2024-03-01\n")
        lines.append(f"P1,mass,Serum,{test},{molar * molar_masses[test] / 1000!r},ng/mL,2024-03-01\n")
    take("".join(lines).encode())
    metrics = pl.read_parquet(tmp_path / "home" / "outputs" / "metrics" / "**" / "*.parquet")
    values = metrics.filter(pl.col("metric") == "kyn_trp")["value"].to_list()
    # the oracle of the HealthMarkers package: 2400 nmol/L over 60 umol/L is 40 umol/mmol
    assert values == [pytest.approx(40, rel=1e-9), pytest.approx(40, rel=1e-9)]
