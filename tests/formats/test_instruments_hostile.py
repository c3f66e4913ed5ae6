"""Instruments' exports cut off, mangled and made up: right rows or a reason, never a wrong value."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.layout_files import load_layouts
from tests.formats.golden import HERE, run, source
from tests.formats.instruments import LAYOUTS, read_bytes, seen_by

#: case -> every how many bytes it is cut; a long one less often
CASES = {
    "masshunter/areas": 64,
    "masshunter/final-conc": 64,
    "masshunter/german-system": 256,
    "masshunter/compound-table": 1,
    "masshunter/units-and-flags": 7,
    "masshunter/semicolon-comma": 1,
    "sciex/analyst-blocks": 7,
    "shimadzu/gcms": 256,
    "shimadzu/labsolutions": 13,
    "shimadzu/quant-browser": 7,
    "targetlynx/sample-report": 5,
    "targetlynx/bare-names": 3,
    "targetlynx/all-columns": 64,
    "targetlynx/try": 8192,
    "targetlynx/quandata": 64,
    "targetlynx/quandata-calibrated": 16,
    "skyline/transitions": 64,
}
#: containers whose lines are counted here; the others count records of CSV or elements
LINES = [
    *("sciex/analyst-blocks", "shimadzu/labsolutions", "shimadzu/quant-browser"),
    *("targetlynx/sample-report", "targetlynx/bare-names"),
]


def _case(name: str) -> tuple[Path, bytes]:
    case = HERE / name
    return case, source(case).read_bytes()


def _layout(case: Path):  # type: ignore[no-untyped-def]
    return load_layouts(case)[run(case).facts["layout"]]


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_is_cut_off_gives_right_rows_or_a_reason(name: str) -> None:
    case, content = _case(name)
    layout = _layout(case)
    # the whole file, ending as it should: what stands in its last line is then certain
    whole, _, _ = read_bytes(content if content.endswith(b"\n") else content + b"\r\n", layout)
    truth = {(row, item): rest for row, item, *rest in whole.iter_rows()}
    found = 0
    for end in range(0, len(content), CASES[name]):
        rows, _, reason = read_bytes(content[:end], layout)
        assert reason is None or rows.is_empty()
        for row, item, *rest in rows.filter(pl.col("defect").is_null()).iter_rows():
            assert rest == truth[row, item], (end, row, item)
            found += 1
    assert (found > 0) == ("quandata" not in name)  # XML that is cut off is refused as a whole


@pytest.mark.parametrize("name", CASES)
def test_its_container_alone_knows_the_file(name: str) -> None:
    case, content = _case(name)
    reader = _layout(case).reader
    assert seen_by(content) == ([] if reader == "table" else [reader])


@pytest.mark.parametrize("name", LINES)
@given(data=st.data())
def test_every_line_of_a_mangled_report_is_a_row_or_a_named_skip(name: str, data: st.DataObject) -> None:
    case, content = _case(name)
    lines = content[:20_000].decode("latin-1").split("\r\n" if b"\r\n" in content else "\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        edit = data.draw(st.sampled_from(["drop", "twice", "cut", "junk", "swap"]))
        if edit == "drop" and len(lines) > 1:
            lines.pop(at)
        elif edit == "twice":
            lines.insert(at, lines[at])
        elif edit == "cut":
            lines[at] = lines[at][: data.draw(st.integers(0, 40))]
        elif edit == "junk":
            lines.insert(
                at, data.draw(st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=30))
            )
        else:
            other = data.draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
    text = "\n".join(lines)
    rows, skipped, reason = read_bytes(text.encode("latin-1"), _layout(case))
    if reason is None:
        assert rows.height + sum(skipped.values()) == len(re.findall(r"[^\n]*\n|[^\n]+$", text))
        assert not rows.select("row", "item").is_duplicated().any()
    else:
        assert not any(word in reason for word in ("P-1", "PAT01", "GEMM"))


@pytest.mark.parametrize(
    "name", ["masshunter/final-conc", "masshunter/units-and-flags", "targetlynx/quandata-calibrated"]
)
@given(data=st.data())
def test_bytes_that_were_changed_never_crash_a_reader(name: str, data: st.DataObject) -> None:
    case, content = _case(name)
    broken = bytearray(content)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    rows, _, reason = read_bytes(bytes(broken), _layout(case))
    assert reason is None or rows.is_empty()
    assert not rows.select("row", "item").is_duplicated().any()


@pytest.mark.parametrize(
    "name", ["masshunter", "sciex-analyst", "shimadzu", "targetlynx-compound", "targetlynx-xml"]
)
@given(
    text=st.lists(
        st.sampled_from(
            ["Compound 1: ", "Sample Name: ", "Quantify Compound Summary Report", "Peak Name: a", "Sample Name\t", "#\tName\t",
             "Conc.", "Area", "[Header]", "[Compound Results(Ch1)]", "Data File Name", "ID#", "Name", "# of IDs", "Average",
             "\n", "\t", ",", ";", '"', "\x00", "x Results", "x Method", "Data File", "RT", "Final Conc.", "1.5", "é", "\u2028",
             "<QUANDATASET>", "<SAMPLE>", "<COMPOUND>", '<PEAK analconc="1"/>', "</", "]]>", "&lt;", "<!--"]
        ),
        max_size=40,
    )
)  # fmt: skip
def test_made_up_text_never_crashes_a_reader(name: str, text: list[str]) -> None:
    content = "".join(text).encode()
    assert len(seen_by(content)) <= 1
    rows, skipped, reason = read_bytes(content, LAYOUTS[name])
    assert reason is None or not (rows.height or skipped)


def test_a_quote_that_is_never_closed_swallows_no_sample() -> None:
    content = source(HERE / "masshunter/final-conc").read_bytes()
    lines = content.splitlines(keepends=True)
    lines[4] = b'"' + lines[4]
    rows, skipped, reason = read_bytes(b"".join(lines), LAYOUTS["masshunter"])
    assert (reason, skipped["header"]) == (None, 2)
    bad = rows.filter(pl.col("defect").is_not_null())
    assert bad["row"].to_list() == [5]
    assert bad["raw"].item().count("\n") >= 20  # all that the quote took is there to be seen
    assert rows.filter(pl.col("row") > 5).is_empty()
