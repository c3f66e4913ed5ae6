"""What the readers do with delimited text that is large, cut off or in any encoding, and with any bytes at all."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.export import ROWS_SCHEMA, Unreadable
from schemas.layout_files import load_layouts
from tasks.readers import choose, delimited, read
from tasks.readers.headers import split_unit
from tests.formats.golden import is_analyte
from tests.unit.exports import LONG, rows_of, write

LAYOUTS = load_layouts()


def test_numbers_of_records_hold_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short rows, blank lines and quoted line ends, cut into blocks of every small size."""
    records = ["Sample ID,Test,Result,Comment"]
    for n in range(2, 200):
        odd = {0: "", 1: f"{n},short", 2: f'{n},"two\r\nlines",1,"x\ny"', 3: f"{n},a,b,c,d,e"}
        records.append(odd.get(n % 7, f"{n},Dopamine,{n}.5,fine"))
    path = write(tmp_path, "\r\n".join(records) + "\r\n")
    for size in (64, 100, 257, 1000, 1 << 20):
        monkeypatch.setattr(delimited, "_BLOCKS", (size,))
        reading = read(path, LAYOUTS["generic"], is_analyte)
        rows = pl.concat(reading.batches)
        blank = sum(not record for record in records)
        assert reading.skipped == {"header": 1, "blank line": blank}
        assert rows["row"].to_list() == [n for n, record in enumerate(records, 1) if n > 1 and record]
        whole = rows.filter(pl.col("defect").is_null())
        assert whole["row"].cast(pl.String).to_list() == whole["sample"].to_list()
        broken = rows.filter(pl.col("defect").is_not_null())
        assert broken["raw"].to_list() == [r for n, r in enumerate(records, 1) if n > 1 and n % 7 in (1, 3)]


def test_a_field_of_20_mb_passes_through(tmp_path: Path) -> None:
    big = "x" * 20_000_000
    content = f"Sample ID,Test,Result,Comment\nS0,Dopamine,0.5,a\nS1,Dopamine,1.5,{big}\nS2,Dopamine,2.5,b\n"
    rows = rows_of(write(tmp_path, content), LAYOUTS["generic"])
    assert rows["sample"].to_list() == ["S0", "S1", "S2"]
    assert rows["row"].to_list() == [2, 3, 4]
    assert rows["comment"].to_list() == ["a", big, "b"]


def test_a_record_beyond_all_measure_is_refused_without_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "_BLOCKS", (1000, 2000))
    path = write(tmp_path, LONG + b'secret,"' + b"x\n" * 5000)
    with pytest.raises(Unreadable, match="a record longer than") as error:
        rows_of(path, LAYOUTS["generic"])
    assert "secret" not in str(error.value)
    assert error.value.__context__ is None


@pytest.mark.parametrize(
    ("content", "encoding", "reason"),
    [
        (LONG.decode().encode("utf-16")[:-1], None, "not valid utf-16"),
        (LONG + b"S\xff,Dopamine,1,x\n", "utf-8", "not valid utf-8"),
        (LONG + b"S\x81,Dopamine,1,x\n", "cp1252", "not valid cp1252"),
        (LONG, "no-such-codec", "an encoding that Python does not know"),
        (LONG, "hex", "an encoding that Python does not know"),
    ],
)
def test_bytes_that_are_not_what_they_claim(
    tmp_path: Path, content: bytes, encoding: str | None, reason: str
) -> None:
    layout = LAYOUTS["generic"].model_copy(update={"encoding": encoding})
    with pytest.raises(Unreadable, match=reason) as error:
        rows_of(write(tmp_path, content), layout)
    assert error.value.__context__ is None or error.value.__suppress_context__


def test_one_late_byte_decides_the_encoding_of_the_whole_file(tmp_path: Path) -> None:
    many = b"S1,Dopamine,1.5,nmol/L\n" * 300_000
    path = write(tmp_path, LONG + many + "S2,Dopamine,2.5,µmol/L\n".encode("latin-1"))
    reading = read(path, LAYOUTS["generic"], is_analyte)
    rows = pl.concat(reading.batches)
    assert rows.height == 300_002
    assert rows["unit"][-1] == "µmol/L"
    assert reading.notes[0] == "encoding cp1252 (not valid UTF-8)"


def test_a_file_that_was_cut_off_is_noted(tmp_path: Path) -> None:
    assert (
        "the last line has no line end"
        in read(write(tmp_path, LONG[:-5]), LAYOUTS["generic"], is_analyte).notes
    )
    assert (
        "the last line has no line end"
        not in read(write(tmp_path, LONG), LAYOUTS["generic"], is_analyte).notes
    )


def test_batches_are_small_and_in_order(tmp_path: Path) -> None:
    body = "".join(f"S{n},Dopamine,{n},nmol/L\n" for n in range(450_000))
    reading = read(write(tmp_path, "Sample ID,Test,Result,Units\n" + body), LAYOUTS["generic"], is_analyte)
    heights, last = [], 1
    for batch in reading.batches:
        assert dict(batch.schema) == {name: dtype() for name, dtype in ROWS_SCHEMA.items()}
        assert batch["row"][0] == last + 1
        last = batch["row"][-1]
        heights.append(batch.height)
    assert sum(heights) == 450_000
    assert max(heights) <= 200_000


def test_units_in_headers() -> None:
    assert split_unit("Dopamine (nmol/L)") == ("Dopamine", "nmol/L")
    assert split_unit("Dopamine [ng/mL]") == ("Dopamine", "ng/mL")
    assert split_unit("Dopamine_ng/mL") == ("Dopamine", "ng/mL")
    assert split_unit("Dopamine nM") == ("Dopamine", "nM")
    assert split_unit("5-HIAA, µmol/mmol creatinine") == ("5-HIAA", "µmol/mmol creatinine")
    assert split_unit("Calculated Concentration µg/L") == ("Calculated Concentration", "µg/L")
    assert split_unit("DOPA (free) (pg/mL)") == ("DOPA (free)", "pg/mL")
    for header in ("Dopamine", "Dopamine_flag", "GABA+", "Dopamine (", "()", "", "GSM", "Phe/Tyr"):
        assert split_unit(header) is None


def test_a_unit_in_a_header_is_no_other_name_of_the_analyte(tmp_path: Path) -> None:
    """`nM` is a unit, though NM in other letters is normetanephrine; `norepinephrine` is no unit."""
    content = "Sample ID;Dopamine (nM);Serotonin [mg];Noradrenaline (norepinephrine)\nA;1.5;2;3\n"
    path = write(tmp_path, content)
    names = {"dopamine", "serotonin", "noradrenaline", "norepinephrine", "nm", "mg"}
    rows = pl.concat(read(path, LAYOUTS["generic-wide"], lambda text: text.casefold() in names).batches)
    assert rows["unit"].to_list() == ["nM", "mg", None]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00\ufeff"), max_size=12)
DELIMITERS = st.sampled_from([",", ";", "\t", "|"])
CODECS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])


@settings(max_examples=150, deadline=None)
@given(
    table=st.lists(st.tuples(TEXTS, TEXTS, TEXTS, TEXTS), min_size=1, max_size=12),
    delimiter=DELIMITERS,
    codec=CODECS,
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_any_table_reads_back_to_the_same_texts(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[tuple[str, ...]],
    delimiter: str,
    codec: str,
    quoting: Literal[0, 1],
    line_end: str,
) -> None:
    if any(mark in field for record in table for field in record for mark in "\r\n"):
        quoting = csv.QUOTE_ALL  # Python's writer leaves line ends bare that are not its own
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=line_end)
    writer.writerow(["Sample ID", "Test", "Result", "Comment"])
    writer.writerows(table)
    path = tmp_path_factory.mktemp("table") / "export"
    path.write_bytes(text.getvalue().encode(codec))
    layout = LAYOUTS["generic"].model_copy(update={"encoding": codec, "delimiter": delimiter})
    reading = read(path, layout, is_analyte)
    rows = pl.concat([pl.DataFrame(schema=ROWS_SCHEMA), *reading.batches])
    # a record without any text is a blank line; text that looks like whole records is set apart, not lost
    wanted = [(n, *record) for n, record in enumerate(table, 2) if any(field.strip() for field in record)]
    assert rows["row"].to_list() == [record[0] for record in wanted]
    skipped = Counter(reading.skipped)
    assert skipped["blank line"] == len(table) - len(wanted)
    for row, record in zip(rows.iter_rows(named=True), wanted, strict=True):
        if row["defect"] is None:
            assert (row["sample"], row["analyte"], row["value"], row["comment"]) == record[1:]
        else:
            assert all(field in row["raw"] for field in record[1:])


@settings(max_examples=100, deadline=None)
@given(
    content=st.binary(max_size=400),
    start=st.sampled_from([b"", LONG, b"\xff\xfe", b"Compound 1: x\n\n\tName\n", b"PK\x03\x04"]),
)
def test_any_bytes_give_rows_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bytes
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "export"
    path.write_bytes(start + content)
    choice = choose(path, LAYOUTS, "lab", is_analyte=is_analyte)
    assert (choice.layout is None) == (choice.reason is not None)
    if choice.layout is not None:
        try:
            rows = rows_of(path, choice.layout)
        except Unreadable:
            return
        assert not rows.select("row", "item").is_duplicated().any()
