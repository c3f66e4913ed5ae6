"""HL7 v2: the samples against the hl7 library and their own lines; cut files; any bytes; speed in proportion."""

from __future__ import annotations

import re
from pathlib import Path

import hl7
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.export import ROWS_SCHEMA, Unreadable
from schemas.layout_files import load_layouts
from tasks.readers import choose, hl7v2, read
from tasks.readers.hl7v2_fields import Marks, marks_of, unescaped
from tasks.times import read_times
from tests.formats.golden import HERE, run

LAYOUTS = load_layouts()
LAYOUT = LAYOUTS["hl7v2"]
USUAL = Marks("|", "^", "~", "\\", "&")
REAL = ["newborn-screening", "elims", "lab-oru-1", "lab-oru-2", "oru-r01-01", "crlf-adt"]
SAMPLES = [*REAL, "sn-as-quantity-value", "sn-as-range-value", "types", "batch", "own-separators"]
#: what a cut file must not change; what comes from a SPM that was cut away may be missing
SAID = ["analyte", "code", "value", "unit", "ref_low", "status", "subject"]


def _input(case: str) -> Path:
    (path,) = (HERE / "hl7v2" / case).glob("input.*")
    return path


def _rows(path: Path) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=ROWS_SCHEMA), *read(path, LAYOUT, lambda text: False).batches])


def _message(*segments: str, end: str = "\r") -> bytes:
    head = "MSH|^~\\&|LIS|LAB|||20250301120000+0100||ORU^R01|1|P|2.5.1"
    return (end.join([head, "PID|1||7", *segments]) + end).encode()


def _written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "export"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("case", REAL)
def test_the_library_finds_the_same_observations(case: str) -> None:
    text = re.sub(r"\r\n|\n", "\r", _input(case).read_text("utf-8-sig"))
    kept = "\r".join(line for line in text.split("\r") if line.strip())
    observations = [s for s in hl7.parse(kept).segments("OBX") if str(s[2]) not in ("ED", "RP")]
    rows = run(HERE / "hl7v2" / case).rows
    assert rows["row"].n_unique() == len({*rows["row"]}) > 0
    first = rows.filter(item="1")
    not_results = [s for s in observations if len(s) > 11 and str(s[11]) in ("O", "N")]
    assert first.height == len(observations) - len(not_results)
    for row, segment in zip(first.iter_rows(named=True), observations, strict=True):
        assert (row["code"] or "") in str(segment[3])
        if str(segment[2]) == "NM":
            assert row["value"] == str(segment[5]).split("~")[0]
            assert row["ref_low"] == (str(segment[7]) or None)
            assert (row["unit"] or "") == str(segment[6]).split("^")[0]


def test_the_newborn_screening_holds_what_a_person_read() -> None:
    rows = run(HERE / "hl7v2" / "newborn-screening").rows
    columns = ["value", "unit", "ref_low", "status", "sample", "subject", "collected_at", "specimen"]
    spots = {
        "29573-3": ("77.5", "µmol/L", "<175"),
        "35571-9": ("425", "µmol/L", "<680"),
        "35572-7": ("0.75", "{Ratio}", "<2.6"),
        "53151-7": ("0.00645", "{Ratio}", "<4.3"),
    }
    for code, (value, unit, limit) in spots.items():
        found = rows.filter(code=code).select(columns).row(0)
        assert found == (value, unit, limit, "F", "55555555", "12345678", "202410150335", None)
    assert rows.height == 149


@pytest.mark.parametrize("case", SAMPLES)
def test_a_file_cut_anywhere_says_nothing_that_the_whole_does_not_say(case: str, tmp_path: Path) -> None:
    content = _input(case).read_bytes()
    # rows that lack a line end in the whole file are marked there too; what counts is what they say
    whole = {(row["row"], row["item"]): row for row in _rows(_input(case)).iter_rows(named=True)}
    step = 64 if len(content) < 8_000 else 320  # the newborn screening and elims at every fifth place
    good = 0
    for end in range(8, len(content), step):
        path = _written(tmp_path, content[:end])
        choice = choose(path, LAYOUTS, "lab")
        if choice.layout is None:
            assert choice.reason
            continue
        for row in _rows(path).filter(pl.col("defect").is_null()).iter_rows(named=True):
            full = whole[row["row"], row["item"]]
            assert [row[name] for name in SAID] == [full[name] for name in SAID]
            assert row["collected_at"] == full["collected_at"] or full["specimen"] is not None
            good += 1
    assert (good > 0) == (not case.startswith("sn-as-"))  # files of one OBX, which is the last segment


def test_every_byte_of_the_last_observation_may_be_missing(tmp_path: Path) -> None:
    obx = "OBX|1|NM|2216-0^Dopamine^LN||12.5|nmol/L^nanomole^UCUM|<60|N|||F|||202502280815+0100"
    content = _message("OBR|1||F1|P", obx)
    start = content.index(b"OBX")
    wanted = _rows(_written(tmp_path, content)).select(*SAID, "collected_at").row(0)
    accepted = set()
    for end in range(start + 4, len(content)):
        rows = _rows(_written(tmp_path, content[:end])).filter(pl.col("defect").is_null())
        for row in rows.select(*SAID, "collected_at").iter_rows():
            assert row == (*wanted[:-1], row[-1])
            assert row[-1] in (None, wanted[-1])
            accepted.add(end)
    # whole without its line end, and where the time has not begun: everything read from it is there
    assert len(content) - 1 in accepted
    assert min(accepted) == start + obx.index("|F|") + 2


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_any_line_end_and_encoding_gives_the_same_rows(tmp_path: Path, end: str, codec: str) -> None:
    content = _message("OBR|1||F1|P", "OBX|1|NM|DA^Dopamine||5|µmol/L|||||F", end=end).decode().encode(codec)
    path = _written(tmp_path, content)
    assert choose(path, LAYOUTS, "lab").layout is LAYOUT
    assert _rows(path).select("row", "value", "unit", "sample").rows() == [(4, "5", "µmol/L", "F1")]


@pytest.mark.parametrize(
    ("content", "fits"),
    [
        ("MSH,ACTH,Cortisol\n1,2,3\n", False),
        ("MSH|^~\\&|x\rPID|1\r", True),
        ("\x0bMSH|^~\\&|x\r\x1c\r", True),
        ("BHS|^~\\&#|x\rMSH|^~\\&|x\r", True),
        ("MSH|name|value\nOBX|x|1\n", False),
        ("OBX|1|NM|x||5\r", False),
        ("MSH", False),
    ],
)
def test_a_message_is_recognised_by_its_separators(tmp_path: Path, content: str, fits: bool) -> None:
    assert (hl7v2.glance(_written(tmp_path, content.encode())) is not None) is fits


def test_separators_that_are_doubled_missing_or_alike_are_not_confused() -> None:
    assert marks_of("MSH|^~\\&|") == marks_of("MSH|^~\\&#|") == marks_of("MSH|^~\\\\&|") == USUAL
    assert marks_of("MSH|^~|") == Marks("|", "^", "~", "", "")
    assert marks_of("MSH||") == Marks("|", "", "", "", "")
    assert marks_of("MSH|^^^^|") == Marks("|", "^", "", "", "")
    assert marks_of("MSHA^~\\&A") is None


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (r"x10\S\9/L", "x10^9/L"),
        (r"\F\\S\\T\\R\\E\\P\ ", "|^&~\\# "),
        (r"a\.br\b\.sp2\c\.in+4\d", "a\nb\n\ncd"),
        (r"\XC3B6\ \X0D0A\!", "ö \r\n!"),
        (r"\XZZ\ \C2842\ \Zown\ c:\temp \H", r"\XZZ\ \C2842\ \Zown\ c:\temp \H"),
        (r"\XFF\ ", r"\XFF\ "),
    ],
)
def test_escapes_of_the_standard_are_undone_and_others_stay(sent: str, text: str) -> None:
    assert unescaped(sent, USUAL, "utf-8") == text


@pytest.mark.parametrize(
    ("text", "local", "problem"),
    [
        ("20241015", "2024-10-15 00:00:00", None),
        ("202410151230-0500", "2024-10-15 12:30:00", None),
        ("20241015123059+0200", "2024-10-15 12:30:59", None),
        ("20241015123059.1234-0500", "2024-10-15 12:30:59.123400", None),
        ("202410151230", "2024-10-15 12:30:00", "no time zone"),
        ("2024", None, "unreadable time"),
        ("202410", None, "unreadable time"),
        ("2024101", None, "unreadable time"),
        ("2024101512", None, "unreadable time"),
        ("20241015123", None, "unreadable time"),
        ("2024101512305", None, "unreadable time"),
        ("202410151230-05", None, "unreadable time"),
        ("20241315", None, "unreadable time"),
    ],
)
def test_times_of_hl7_are_read_in_full_or_not_at_all(
    text: str, local: str | None, problem: str | None
) -> None:
    none = pl.lit(None, pl.String)
    frame = pl.DataFrame({"collected_at": [text]}).with_columns(
        acquired_at=none, reported_at=none, collected_until=none
    )
    row = read_times(frame, LAYOUT, None).row(0, named=True)
    assert row["time_problem"] == problem
    assert (None if row["collected_local"] is None else str(row["collected_local"])) == local


def test_specimen_and_role_belong_to_their_order_only(tmp_path: Path) -> None:
    order = "OBX|1|NM|DA||5|nmol/L|||||F"
    spm = "SPM|1|^S1||UR^Urine^HL70487|||||||Q||||||20250228"
    rows = _rows(_written(tmp_path, _message("OBR|1||F1|P", order, spm, "OBR|2||F2|P", order)))
    columns = ["sample", "specimen", "role", "collected_at"]
    assert rows.select(columns).rows() == [("S1", "UR", "Q", "20250228"), ("F2", None, None, None)]


def test_a_batch_of_messages_with_different_separators_is_not_merged() -> None:
    rows = run(HERE / "hl7v2" / "batch").rows
    assert rows.select("subject", "sample", "analyte", "value").rows() == [
        ("7", "F1", "Dopamine", "5"),
        ("8", "F2", "Serotonin", "6"),
    ]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"sample": ("order number",)}, "no place in a message"),
        ({"value": ("OBX-5",)}, "cannot be taken from elsewhere"),
    ],
)
def test_a_layout_that_names_no_place_is_refused(tmp_path: Path, columns: dict, reason: str) -> None:
    layout = LAYOUT.model_copy(update={"columns": columns})
    with pytest.raises(Unreadable, match=reason):
        read(_written(tmp_path, _message()), layout, lambda text: False)


def test_an_order_of_endless_repetitions_is_refused(tmp_path: Path) -> None:
    path = _written(tmp_path, _message("OBR|1||F1|P", "OBX|1|NM|DA||" + "~" * 300_000))
    with pytest.raises(Unreadable, match="more than 200000 values"):
        _rows(path)


def test_a_segment_of_endless_fields_and_lines_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _rows(
        _written(tmp_path, _message("OBR|1||F1|P", "OBX|1|NM|DA||5|nmol/L|||||F" + "|^&~" * 500_000))
    )
    assert rows.select("value", "unit", "status").rows() == [("5", "nmol/L", "F")]
    monkeypatch.setattr(hl7v2, "_LONGEST", 10_000)
    with pytest.raises(Unreadable, match="a segment longer"):
        _rows(_written(tmp_path, _message("OBX|1|TX|N||" + "line without end " * 1000)))
    with pytest.raises(Unreadable, match="a segment longer"):
        _rows(_written(tmp_path, _message("OBX|1|TX|N||", *["continued here"] * 1000)))


@pytest.mark.parametrize("said", ["HEX", "ZIP", "undefined", "x\x00y", "no such", ""])
def test_a_character_set_that_is_none_is_passed_over(tmp_path: Path, said: str) -> None:
    header = f"MSH|^~\\&|L||||2024||ORU^R01|1|P|2.5||||||{said}".encode()
    path = _written(tmp_path, header + "\rOBX|1|NM|HVA||5|µmol/L\r".encode("latin-1"))
    reading = read(path, LAYOUT, lambda text: False)
    assert pl.concat(reading.batches)["unit"].to_list() == ["µmol/L"]
    assert reading.notes[0] == "encoding cp1252 (not valid UTF-8)"


def test_bytes_that_are_not_the_layouts_encoding_are_a_reason(tmp_path: Path) -> None:
    path = _written(tmp_path, _message("OBX|1|TX|N||x") + b"OBX|2|TX|N||\xff\r")
    with pytest.raises(Unreadable, match="not valid utf-8"):
        list(read(path, LAYOUT.model_copy(update={"encoding": "utf-8"}), lambda text: False).batches)


PIECES = st.sampled_from(
    ["MSH|^~\\&|a|b|||20250301||ORU^R01|1|P|2.5", "MSH$%*!@$", "PID|1||7^^^L^MR", "OBR|1||F1|P|||20250228", "ORC|RE",
     "OBX|1|NM|DA^Dopamine||5|nmol/L|||||F", "OBX|2|SN|B||^1^:^2~<^7|x|1-2||||C", "OBX", "OBX|", "SPM|1|^S||SER",
     "NTE|1||said", "FHS|^~\\&", "BTS|x", "BTS|99999999999999999999", "\x0b", "\\", "~^&|", "free text"]
)  # fmt: skip


@settings(max_examples=150)
@given(
    pieces=st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=12),
    end=st.sampled_from(["\r", "\n", "\r\n"]),
    tail=st.binary(max_size=20),
)
def test_any_text_gives_rows_and_skips_for_all_of_its_lines(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str], end: str, tail: bytes
) -> None:
    text = "MSH|^~\\&|a" + end + end.join(pieces)
    path = tmp_path_factory.mktemp("hl7") / "export"
    path.write_bytes(text.encode("utf-8", "replace") + tail)
    if choose(path, LAYOUTS, "lab").layout is not LAYOUT:
        return
    reading = read(path, LAYOUT, lambda text: False)
    try:
        rows = pl.concat([pl.DataFrame(schema=ROWS_SCHEMA), *reading.batches])
    except Unreadable:
        return
    assert not rows.select("row", "item").is_duplicated().any()
    encoding = reading.notes[0].split()[1]
    lines = re.findall(
        r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", path.read_bytes().decode(encoding).removeprefix("\ufeff")
    )
    assert rows["row"].n_unique() + sum(reading.skipped.values()) == len(lines)
