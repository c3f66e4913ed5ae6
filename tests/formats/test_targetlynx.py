"""TRY.TXT (35 compounds in 119 injections) against the file's own lines, cut here by hand."""

from __future__ import annotations

import re
from collections import Counter

from tests.formats.golden import HERE, run

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
