"""The page on reliability names tests that there are, with the counts that stand in them."""

from __future__ import annotations

from tests.docs.runner import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if "| `tests/" in line
]


def test_every_line_names_a_test_and_the_command_that_runs_it_in_full() -> None:
    assert len(ROWS) > 10
    for _, _, test, _, _, command, _ in ROWS:
        path, name = test.strip("`").split("::")
        assert f"def {name}(" in (ROOT / path).read_text("utf-8"), name
        assert command == f"`make soak TEST={path}`"


def test_counts_that_differ_stand_in_the_test() -> None:
    checked = 0
    for _, _, test, short, full, _, _ in ROWS:
        if short.isdigit() and full.isdigit() and short != full:
            text = (ROOT / test.strip("`").split("::")[0]).read_text("utf-8")
            assert f"often({short}, {full})" in text, test
            checked += 1
    assert checked > 10
