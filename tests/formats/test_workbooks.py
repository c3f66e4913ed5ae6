"""Results of instruments in workbooks."""

from __future__ import annotations

from pathlib import Path

from tests.formats.damaged import rows_of
from tests.formats.golden import HERE, run, source
from tests.formats.instruments import judged


def test_the_name_of_a_sheet_is_the_analyte_where_the_layout_says_so() -> None:
    rows = run(HERE / "workbooks/sheet-per-compound").rows
    assert rows.select("item", "analyte", "value").rows() == [
        ("Dopamine!1", "Dopamine", "0.42"), ("Dopamine!1", "Dopamine", "nd"), ("Dopamine!1", "Dopamine", "1.5"),
        ("Serotonin!1", "Serotonin", "2.1"), ("Serotonin!1", "Serotonin", "3.3"), ("Serotonin!1", "Serotonin", "N/A"),
    ]  # fmt: skip


def test_traces_are_below_a_limit_that_nobody_states() -> None:
    rows = judged(
        HERE / "workbooks/traces", constants={"specimen": "brain_tissue", "collected_at": "2024-03-04"}
    )
    assert rows.select("analyte", "censoring", "low", "high").rows()[1:3] == [
        ("dopamine", "below", 0.0, float("inf")),
        ("serotonin", "not detected", 0.0, float("inf")),
    ]
    limited = judged(
        HERE / "workbooks/traces",
        constants={"specimen": "brain_tissue", "collected_at": "2024-03-04"},
        values={"lloq": {"dopamine": 0.1}},
    )
    assert abs(limited["high"][1] - 0.1 * 1.05 / 153.18) < 1e-6  # ug/L, diluted, to umol/L


def test_a_workbook_with_a_flipped_byte_is_read_or_has_a_reason(tmp_path: Path) -> None:
    content = source(HERE / "workbooks/traces").read_bytes()
    seen = {"rows": 0}
    for at in range(0, len(content), 11):
        path = tmp_path / "flipped"
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        rows, reason = rows_of(path)
        name = "rows" if rows is not None else reason
        seen[name] = seen.get(name, 0) + 1
    assert seen["rows"] > 0
    assert seen["the workbook is damaged"] > 0
