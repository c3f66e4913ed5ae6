"""Tables that are cut off anywhere: right rows or a reason, never half a value for a whole one."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tasks.readers import choose
from tasks.readers.last_record import CUT, shown_whole
from tests.formats.damaged import LAYOUTS, knows, rows_of
from tests.formats.golden import HERE, source

LONG = "Sample ID;Test;Unit;Specimen;Result\n" + "".join(
    f"S{n};Dopamine;nmol/L;Plasma;{n * 37 % 91}.{n * 7 % 97}\n" for n in range(1, 60)
)
LAST_UNIT = "Sample ID,Test,Specimen,Result,Unit\n" + "".join(
    f"S{n},Dopamine,Plasma,{n}.5,{('umol/L', 'umol/mmol', 'nmol/L')[n % 3]}\n" for n in range(1, 30)
)
LAST_TIME = "Sample ID\tTest\tResult\tUnit\tCollected\n" + "".join(
    f"S{n}\tDopamine\t{n}.5\tnmol/L\t2025-03-{n:02} 08:{n + 10}\n" for n in range(1, 29)
)
WIDE = "Sample ID;Material;Dopamine (nmol/L);Serotonin (nmol/L)\n" + "".join(
    f"S{n};Plasma;{n}.25;{n * 13 % 700}\n" for n in range(1, 40)
)
QUOTED = '"Sample ID","Test","Unit","Result"\n' + "".join(
    f'"S{n}","Dopamine","nmol/L","{n}.{n % 7}"\n' for n in range(1, 40)
)
TABLES = {"long": LONG, "unit": LAST_UNIT, "time": LAST_TIME, "wide": WIDE, "quoted": QUOTED}


def _rows(path: Path, content: bytes) -> pl.DataFrame | None:
    path.write_bytes(content)
    return rows_of(path)[0]


def _never_wrong(path: Path, content: bytes, step: int) -> tuple[int, int]:
    """Rows read in all, and those that may be cut off."""
    path.write_bytes(content)
    layout = choose(path, LAYOUTS, "lab", is_analyte=knows).layout
    whole, _ = rows_of(path, layout)
    assert whole is not None
    right = set(whole.rows())
    read = doubtful = 0
    for size in range(0, len(content), step):
        path.write_bytes(content[:size])
        rows, _ = rows_of(path, layout)
        if rows is None:
            continue
        sound = rows.filter(pl.col("defect").is_null())
        wrong = [row for row in sound.rows() if row not in right]
        assert not wrong, f"cut at byte {size}: {wrong[0]}"
        read += sound.height
        doubtful += rows.filter(pl.col("defect") == CUT).height
    return read, doubtful


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_cut_off_anywhere_has_no_wrong_value(tmp_path: Path, name: str) -> None:
    read, doubtful = _never_wrong(tmp_path / "cut", TABLES[name].encode(), 7)
    assert read > 500
    assert doubtful > 5


@pytest.mark.parametrize(
    "case",
    ["sdtm/neuro-csv", "sdtm/metabolic-csv", "skyline/molecules", "sciex/multiquant", "wide/corticosteroids"],
)
def test_a_real_table_cut_at_every_64th_byte_has_no_wrong_value(tmp_path: Path, case: str) -> None:
    content = source(HERE / case).read_bytes()
    step = max(64, len(content) // 60 // 64 * 64)
    assert _never_wrong(tmp_path / "cut", content, step)[0] > 0


@pytest.mark.parametrize("name", ["unit", "time", "quoted"])
def test_a_table_without_a_last_line_end_is_read_whole_where_its_column_shows_that_it_is(
    tmp_path: Path, name: str
) -> None:
    rows = _rows(tmp_path / "export", TABLES[name].rstrip("\n").encode())
    assert rows is not None
    assert rows["defect"].null_count() == rows.height


def test_only_the_last_cell_of_a_wide_table_is_in_doubt(tmp_path: Path) -> None:
    rows = _rows(tmp_path / "export", WIDE.rstrip("\n").encode())
    assert rows is not None
    assert rows.height == 78
    (last,) = rows.filter(pl.col("defect").is_not_null()).rows(named=True)
    assert (last["row"], last["item"], last["value"], last["raw"]) == (40, "4", None, "507")


def test_a_last_column_that_is_not_read_leaves_no_doubt(tmp_path: Path) -> None:
    text = "Sample ID;Test;Result;Unit;Vial;Comment\n" + "S1;Dopamine;1.5;nmol/L;7;good\n" * 3
    rows = _rows(tmp_path / "export", text.rstrip("\n")[:-2].encode())
    assert rows is not None
    assert rows["defect"].null_count() == 3


REPORT = (
    "Compound 1:  Dopamine\n\n\t#\tName\tType\tConc.\n1\t1\tinj1\tAnalyte\t12.5\n2\t2\tinj2\tAnalyte\t2.75\n"
)
BATCH = "Sample,,Dopamine Results,\nName,Type,RT,Final Conc.\nP1,Sample,1.1,12.5\nP2,Sample,1.1,2.75\n"


@pytest.mark.parametrize("text", [LONG, WIDE, REPORT, BATCH], ids=["long", "wide", "report", "two headers"])
def test_a_lab_says_that_its_tables_are_whole_without_a_last_line_end(tmp_path: Path, text: str) -> None:
    path = tmp_path / "export"
    path.write_text(text)
    layout = choose(path, LAYOUTS, "lab", is_analyte=knows).layout
    assert layout is not None
    ended, _ = rows_of(path, layout)
    path.write_text(text.rstrip("\n"))
    doubted, _ = rows_of(path, layout)
    whole, _ = rows_of(path, layout.model_copy(update={"whole_last_line": True}))
    assert ended is not None
    assert doubted is not None
    assert whole is not None
    assert doubted.filter(pl.col("defect") == CUT).height == 1
    assert whole.equals(ended)


def test_what_shows_that_a_cell_is_whole() -> None:
    decimals = [f"{n}.25" for n in range(25)]
    assert shown_whole("103.75", decimals)
    assert not shown_whole("103.7", decimals)
    assert not shown_whole("103", decimals)
    assert not shown_whole("3.75", decimals[:5])
    assert not shown_whole("503", [str(n) for n in range(100, 140)])
    assert shown_whole("nmol/L", ["umol/L", "nmol/L"])
    assert not shown_whole("umol", ["umol/L", "umol"])
    assert not shown_whole("S1", ["S1", "S1"])
    assert shown_whole("", [""] * 30)
    assert not shown_whole("", ["", "nmol/L"])
