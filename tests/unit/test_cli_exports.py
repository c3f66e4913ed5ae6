"""Exports are named by their hash, and by their lab where two labs sent the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from tests.home import Home, table

BAD = {"specimen": "serum", "unit": "umol/L", "analyte": "kynurenine", "value": "x"}
runner = CliRunner()


def call(home: Home, *arguments: str) -> tuple[int, str]:
    done = runner.invoke(app, [*arguments, "--home", str(home.folder)])
    return done.exit_code, done.output


def test_the_same_bytes_of_two_labs_are_told_apart_by_the_lab(home: Home) -> None:
    content = table(BAD, BAD | {"sample": "S2"}, BAD | {"sample": "S3", "value": "2"})
    (export,) = home.ingest("north/west", content)
    home.ingest("south", content)
    assert call(home, "show", export.sha256)[0] == 2
    assert call(home, "withdraw", export.sha256, "--reason", "for another lab")[0] == 2
    for lab in ("north/west", "south"):
        code, said = call(home, "show", f"{lab}/{export.sha256[:12].upper()}")
        assert code == 0
        assert f"of lab {lab}" in said
    assert call(home, "show", f"east/{export.sha256}")[0] == 2
    code, said = call(home, "withdraw", f"south/{export.sha256[:8]}", "--reason", "for another lab")
    assert code == 0, said
    assert f"neurobalance withdraw south/{export.sha256[:12]} --undo" in said
    receipts = home.ledger.open().receipts()
    assert dict(receipts.select("lab", "action").iter_rows()) == {"north/west": "read", "south": "withdrawn"}
    code, said = call(home, "withdraw", f"south/{export.sha256[:12]}", "--undo")
    assert f"south/{export.sha256[:12]} counts again" in said


@pytest.mark.parametrize(("rows", "shown"), [("0", 0), ("1", 1)])
def test_no_more_quarantined_rows_are_shown_than_asked_for(home: Home, rows: str, shown: int) -> None:
    (export,) = home.ingest("north", table(BAD, BAD | {"sample": "S2"}))
    assert f"Quarantined rows ({shown} of 2)" in call(home, "show", export.sha256, "--rows", rows)[1]
    assert call(home, "show", export.sha256, "--rows", "-1")[0] == 2


def test_a_draft_starts_from_no_layout_of_its_own_name(home: Home, tmp_path: Path) -> None:
    file, output = tmp_path / "export.csv", tmp_path / "other.toml"
    file.write_bytes(table(BAD))
    code, said = call(home, "layout", "new", str(file), "--lab", "gen")
    assert code == 0, said
    text = (home.folder / "layouts" / "gen-generic.toml").read_text()
    assert 'name = "gen-generic"' in text
    assert 'extends = "generic"' in text
    assert call(home, "check", str(file), "--lab", "gen")[0] == 0
    # once the lab's own layout reads the file, the draft tells what that one lacks
    assert call(home, "layout", "new", str(file), "--lab", "gen", "--output", str(output))[0] == 0
    assert "# gen-generic reads this file already" in output.read_text()
    assert "extends" not in output.read_text()
