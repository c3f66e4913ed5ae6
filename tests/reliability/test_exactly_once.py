"""Every row of every export, once: in the ledger, in the outputs, whatever the bytes are and however often they come."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.bench import Bench
from tasks.judged import Account, judged
from tasks.prepare import prepare
from tests.home import HEADERS, PLAIN, Home, same, table
from tests.reliability.forks import FORKS, begun, ended

#: the tests run on both kinds of home
HOMES = ("folder", "bucket")


def assert_conserved(home: Home) -> None:
    """Ledger, receipts and outputs agree about every row."""
    labs = home.ledger.open().labs()
    assert labs
    for lab in labs:
        rows = home.ledger.open().rows(lab).collect()
        assert not rows.select("export", "row", "item").is_duplicated().any()
        receipts = home.ledger.open().receipts(lab)
        assert receipts["rows"].sum() == len(rows)
        assert receipts["accepted_rows"].sum() == rows["accepted"].sum()
        refused = rows.filter(~pl.col("accepted"))
        assert (refused["reasons"].list.len() > 0).all()
        published = (
            home.output("quarantine").filter(pl.col("lab") == lab).select("export", "row", "item").unique()
        )
        assert len(published) == len(refused)
    results = home.output("results")
    assert not results.select("lab", "export", "edition", "row", "item").is_duplicated().any()


def ingest_from_elsewhere(folder: str, name: str, content: bytes, barrier) -> None:
    home = Home(Path(folder))
    export = home.archive("north", content, name)
    barrier.wait(60)
    home.commit(export)
    home.publish()


def test_the_same_file_twice_renamed_and_in_two_processes_at_once_changes_nothing(tmp_path):
    content = table(
        {},
        {"analyte": "norepinephrine", "value": "60"},
        {"analyte": "unobtainium"},
        {"sample": "S2", "value": "<3"},
    )
    once = Home(tmp_path / "once")
    once.ingest("north", content)
    often = Home(tmp_path / "often")
    shutil.copytree(once.folder / "secrets", often.folder / "secrets")
    barrier = FORKS.Barrier(2)
    processes = [
        begun(ingest_from_elsewhere, str(often.folder), f"{n}.csv", content, barrier) for n in range(2)
    ]
    assert ended(processes) == [0, 0]
    often.ingest("north", content, content)
    assert same(once.comparable(), often.comparable()) == []
    assert often.output("exports")["edition"].to_list() == [1]
    assert often.publish() == {}
    assert_conserved(often)


def test_an_export_named_twice_in_one_batch_never_stands_twice(home):
    export = home.archive("north", table({}))
    prepared, staged = prepare(Bench.of(home.settings), [export, export], {})
    assert home.ledger.commit("north", prepared, staged).editions == {export: 1}
    home.ingest("north", table({}))
    assert len(home.ledger.open().rows("north").collect()) == 1
    assert_conserved(home)


def csv_of(columns: list[str], rows: list[list[str]]) -> bytes:
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    return "\n".join([",".join(columns), *quoted, ""]).encode()


USUAL = [HEADERS[name] for name in PLAIN]
HOSTILE = {
    "empty": b"",
    "one byte": b"\x00",
    "header only": csv_of(USUAL, []),
    "every cell empty": csv_of(USUAL, [[""] * len(USUAL)] * 5),
    "one column says nothing": table(*({"reported_at": "", "sample": str(n)} for n in range(5))),
    "no methods": table(*({"method": "", "sample": str(n)} for n in range(5))),
    "huge integers": table({"value": "9" * 30, "sample": "9" * 40}, {"value": "9" * 400, "sample": "S2"}, {"value": str(2**64), "sample": "S3"}),
    "huge values": table({"value": "1e308"}, {"analyte": "norepinephrine", "value": "1.7e308"}, {"analyte": "creatinine", "value": "1e308", "unit": "g/L"}),
    "tiny values": table({"value": "1e-308"}, {"analyte": "norepinephrine", "value": "5e-324"}),
    "huge in other units": table(*({"analyte": a, "value": "1e300", "unit": "ug/g Cr"} for a in ("HVA", "VMA"))),
    "one row a thousand times": table(*[{}] * 1000),
    "duplicates that differ": table(*({"value": str(n % 3)} for n in range(1000))),
    "thousands of distinct texts": table(*({"analyte": f"a{n}", "unit": f"u{n}", "specimen": f"s{n}", "status": f"t{n}", "sample": f"S{n}", "collected_at": f"{n}"} for n in range(2000))),
    "thousands of samples": table(*({"sample": f"S{n}", "subject": f"P{n}"} for n in range(5000))),
    "control characters": table({"sample": "S\x01"}, {"subject": "a\x00b"}, {"sample": "ok"}),
    "long ids": table({"sample": "x" * 40_000}, {"subject": "y" * 2_000_000, "sample": "S2"}, {"sample": "S3"}),
    "right to left and combining": table({"sample": "\u202eabc", "subject": "e\u0301"}, {"sample": "👩‍🔬"}),
    "separators of our own": table({"sample": "a|b", "subject": "low"}, {"sample": "dopamine|umol/L|low"}, {"sample": "a\x1fb"}),
    "names of our columns as ids": table({"sample": "sample_key", "subject": "null"}, {"sample": "None"}, {"sample": "NaN"}),
    "dates of other worlds": table({"collected_at": "0000-00-00"}, {"collected_at": "0001-01-01"}, {"collected_at": "9999-12-31", "sample": "S2"}, {"collected_at": "1582-10-10 12:00", "sample": "S3"}),
    "reports of other worlds": table({"reported_at": "0001-01-01"}, {"reported_at": "9999-12-31 23:59", "value": "1"}),
    "limits of all kinds": table(*({"value": v, "lloq": limit, "sample": f"S{n}"} for n, (v, limit) in enumerate([("<LLOQ", "x"), ("nd", "0"), ("BLQ", "-1"), ("BLQ", "1e400")]))),
    "ratios of all kinds": table(*({"analyte": "HVA/VMA", "value": v, "unit": "", "sample": f"S{n}"} for n, v in enumerate(["1.5", "-1", "nd", "1e308", "NaN", "<0"]))),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_the_bytes_are_every_row_is_accounted_for_and_the_good_file_beside_it_counts(home, name):
    exports = [
        home.archive("north", content)
        for content in (table({"sample": "good", "subject": "good"}), HOSTILE[name])
    ]
    home.commit(*exports)
    home.publish()
    assert_conserved(home)
    assert len(home.output("exports")) == 2
    reasons = home.output("exports")["reason"].drop_nulls().to_list()
    assert not any(reason.startswith("could not be read: ") for reason in reasons)
    results, metrics = home.output("results"), home.output("metrics")
    assert len(results) >= 1
    for frame in (results, metrics):
        assert not frame.select(pl.col(pl.Float64).is_nan().any()).row(0).count(True)
        assert frame["value"].is_infinite().sum() == 0
    assert home.publish() == {}


CELLS = st.text(max_size=20) | st.sampled_from(
    ["dopamine", "150", "nmol/L", "urine", "2024-03-01", "S1", "<5", "1,5", "final", "", "QC"]
)


@given(st.lists(st.lists(CELLS, min_size=len(USUAL), max_size=len(USUAL)), max_size=8))
def test_any_table_is_conserved(tmp_path_factory, rows):
    home = Home(tmp_path_factory.getbasetemp() / "any")
    export = home.archive("north", csv_of(USUAL, rows))
    bench = Bench.of(home.settings)
    account = Account()
    with bench.source(export) as source:
        frames = list(judged(bench, source, bench.reading_of(source), account))
    assert account.rows == sum(map(len, frames)) == account.accepted + account.quarantined
    assert account.quarantined == sum(int((frame["reasons"].list.len() > 0).sum()) for frame in frames)
    if account.reason is None:
        blank = account.skipped.get("blank line", 0)
        assert account.rows + blank + account.skipped.get("header", 0) >= len(rows)
