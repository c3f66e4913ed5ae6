"""TRY.TXT (35 compounds in 119 injections) against the file's own lines, cut here by hand."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.formats.golden import HERE, run, source
from tests.formats.instruments import LAYOUTS, read_bytes, seen_by

CASE = HERE / "targetlynx" / "try"


def _by_hand() -> tuple[list[tuple[int, str, list[str]]], Counter[str]]:
    """(line number, compound, fields) of each injection, and the other lines by kind."""
    lines = (CASE / "input.txt").read_bytes().decode("ascii").split("\r\n")
    assert lines.pop() == ""
    rows: list[tuple[int, str, list[str]]] = []
    others: Counter[str] = Counter()
    compound = ""
    for number, line in enumerate(lines, start=1):
        if re.match(r"\d+\t", line):
            rows.append((number, compound, line.split("\t")))
        elif line.startswith("Compound"):
            compound = line.split(":", 1)[1].strip()
            others["compound title"] += 1
        elif line.startswith("\t#\tName\tSample Text\tType"):
            others["column header"] += 1
        else:
            others[
                "blank line" if not line else "printed line" if line.startswith("Printed") else "report title"
            ] += 1
    return rows, others


def test_every_line_is_a_result_or_a_named_skip() -> None:
    rows, others = _by_hand()
    result = run(CASE)
    assert len(rows) == 35 * 119 == result.rows.height
    assert result.facts["skipped"] == dict(others)
    assert result.rows["defect"].null_count() == result.rows.height


def test_every_text_is_the_one_of_the_file() -> None:
    rows, _ = _by_hand()
    columns = ["row", "analyte", "replicate", "sample", "role", "comment", "value"]
    wanted = [(number, compound, f[2], f[3], f[4], f[6], f[7]) for number, compound, f in rows]
    assert run(CASE).rows.select(columns).rows() == wanted


def test_values_that_a_person_read() -> None:
    rows = run(CASE).rows
    spots = {
        9: ("tryptophan", "COE00001_01-GEMM-001-12", "94980.258"),
        8: ("tryptophan", "Blank Shutdown", ""),
    }
    for number, (analyte, sample, value) in spots.items():
        assert rows.filter(row=number).select("analyte", "sample", "value").row(0) == (analyte, sample, value)
    assert set(rows["reported_at"]) == {"Wed Jul 14 12:17:34 2021"}
    assert (
        rows["unit"].null_count() == rows["specimen"].null_count() == rows.height
    )  # the report says neither
    assert rows.filter(sample="LTR_SER")["replicate"].n_unique() == 8  # re-injections are told apart


def test_a_sample_report_names_the_sample_above_its_table() -> None:
    rows = run(HERE / "targetlynx/sample-report").rows
    whole = rows.filter(rows["defect"].is_null())
    assert whole.select("sample", "analyte", "value").rows() == [
        ("070120_S_22,18µgmL", "serotonin", "1.25"),
        ("070120_S_22,18µgmL", "dopamine", ""),
        ("070120_S_250µgmL", "serotonin", "2.5"),
    ]


def test_every_peak_of_the_xml_is_a_result_and_none_calculated_is_an_area() -> None:
    case = HERE / "targetlynx/quandata"
    text = source(case).read_text("ascii")
    wanted = re.findall(r'<COMPOUND [^>]*?name="([^"]*)".*?<PEAK [^>]*?area="([^"]*)"', text, re.DOTALL)
    rows = run(case).rows
    assert rows.select("analyte", "value").rows() == wanted
    assert len(wanted) == text.count("<COMPOUND ") == 6
    assert set(rows["unit"]) == {"{area}"}


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE QUANDATASET [<!ENTITY a "aaaaaaaaaa">%s]><QUANDATASET>&j;</QUANDATASET>'
    % b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
)
EXTERNAL = (
    b'<?xml version="1.0"?><!DOCTYPE QUANDATASET [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b'<QUANDATASET><SAMPLE name="&x;"><COMPOUND name="GABA"><PEAK analconc="1"/></COMPOUND></SAMPLE></QUANDATASET>'
)


@pytest.mark.parametrize("content", [BOMB, EXTERNAL], ids=["entity bomb", "external entity"])
def test_entities_are_refused_with_a_reason(content: bytes) -> None:
    assert seen_by(content) == ["quandata"]
    rows, _, reason = read_bytes(content, LAYOUTS["targetlynx-xml"])
    assert rows.is_empty()
    assert reason == "the document declares entities or a document type, which are refused"


def test_a_document_that_is_cut_off_or_nested_without_end_is_refused_as_a_whole() -> None:
    whole = source(HERE / "targetlynx/quandata").read_bytes()
    assert (
        read_bytes(whole[:-20], LAYOUTS["targetlynx-xml"])[2] == "not well-formed XML (is the file cut off?)"
    )
    deep = b"<QUANDATASET>" + b"<SAMPLE>" * 100_000
    assert (
        read_bytes(deep, LAYOUTS["targetlynx-xml"])[2] == "elements are nested too deep for such a document"
    )
