"""Workbooks that are hostile, encrypted or damaged get a reason."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import xlsxwriter

from schemas.layout_files import load_layouts
from tasks.readers import choose, workbook
from tests.unit.exports import write

LAYOUTS = load_layouts()


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_workbook_that_inflates_beyond_measure_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "MAX_BYTES", 1_000_000)
    members = {"xl/workbook.xml": b"<x/>", "xl/worksheets/sheet1.xml": b" " * 5_000_000}
    path = zipped(tmp_path / "bomb", members)
    assert choose(path, LAYOUTS, "lab").reason == "the workbook inflates to more than 0 MiB"
    # a directory that lies about the size
    data = path.read_bytes().replace((5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    liar = write(tmp_path, data, "liar")
    assert choose(liar, LAYOUTS, "lab").reason in (
        "the workbook inflates to more than 0 MiB",
        "the workbook is damaged",
    )


def test_a_sheet_of_two_far_cells_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "far"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "Sample ID")
        sheet.write(1_048_575, 16_383, "x")
    assert choose(path, LAYOUTS, "lab").reason == "the sheets span far more cells than they fill"


def test_workbooks_that_cannot_be_opened_get_a_reason(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    with xlsxwriter.Workbook(whole) as book:
        book.add_worksheet().write_row(0, 0, ["Sample ID", "Test", "Result"])
    data = whole.read_bytes()
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 2000
    cases = {
        data[: len(data) // 2]: "the workbook is damaged",
        ole: "the workbook is encrypted or damaged",
        ole + "EncryptedPackage".encode("utf-16-le"): "the workbook is encrypted",
    }
    for number, (content, reason) in enumerate(cases.items()):
        assert choose(write(tmp_path, content, f"w{number}"), LAYOUTS, "lab").reason == reason


def test_every_truncation_of_a_workbook_gets_a_reason(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    with xlsxwriter.Workbook(whole) as book:
        book.add_worksheet().write_row(0, 0, ["Sample ID", "Test", "Result"])
    data = whole.read_bytes()
    for end in range(8, len(data), 64):
        choice = choose(write(tmp_path, data[:end], "cut"), LAYOUTS, "lab")
        assert choice.layout is None
        assert choice.reason
