"""Which layout is chosen for a file, told from the head of its bytes; and that what is no table gets none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemas.layout import Layout
from schemas.layout_files import load_layouts
from tasks.readers import choose
from tests.formats.golden import is_analyte
from tests.unit.exports import LONG, rows_of, write

LAYOUTS = load_layouts()


def own(name: str, **keys: object) -> dict[str, Layout]:
    """The built-in layouts and one more, which is `generic` with other keys."""
    base = LAYOUTS["generic"].model_dump() | {"extends": "generic"}
    return LAYOUTS | {name: Layout.model_validate(base | {"name": name} | keys)}


@pytest.mark.parametrize(
    "content",
    [
        "MSH|^~\\&|LAB|H|||20240301||ORU^R01|1|P|2.5\rPID|1||007\rOBX|1|NM|Sample ID^Test^Result||1\r",
        "<?xml version='1.0'?>\n<a>\nSample ID,Test,Result\n</a>\n",
        '{"resourceType": "Bundle",\n"x": [\nSample ID,Test,Result\n]}\n',
        '[{"Sample ID": 1, "Test": 2, "Result": 3}]\n',
        "#METABOLOMICS WORKBENCH\nSample ID\tTest\tResult\n",
        "Dear colleagues,\n\nplease find the sample, the test, and the result enclosed.\nYours,\nthe lab\n",
        "The sample ID, the test and the result:\nunits, patients, comments\n",
        "a,b,c\n1,2,3\n",
        b"%PDF-1.7\nSample ID,Test,Result\n",
        b"PAR1Sample ID,Test,Result\n",
        bytes(range(256)) * 20,
        b"\x00" * 5000,
    ],
)
def test_what_is_no_table_is_not_taken_for_one(tmp_path: Path, content: bytes | str) -> None:
    choice = choose(write(tmp_path, content), LAYOUTS, "lab", is_analyte=is_analyte)
    if choice.layout is not None:  # messages have readers of their own
        assert choice.layout.reader in ("hl7v2", "fhir")
        return
    assert choice.reason == "no layout fits"
    assert {name for name, _, _ in choice.considered} == set(LAYOUTS)


def test_the_name_of_a_file_means_nothing(tmp_path: Path) -> None:
    for name in ("x.csv", "x.hl7", "x.xlsx", "x.csv.gz", "report", "new\nline.csv"):
        assert choose(write(tmp_path, LONG, name), LAYOUTS, "lab").layout == LAYOUTS["generic"]
        assert rows_of(tmp_path / name, LAYOUTS["generic"])["value"].to_list() == ["1.5"]
    raw = os.fsencode(tmp_path) + b"/\xff.csv"
    with open(raw, "wb") as file:
        file.write(LONG)
    assert rows_of(Path(os.fsdecode(raw)), LAYOUTS["generic"]).height == 1


def test_a_labs_own_layout_beats_the_one_it_extends(tmp_path: Path) -> None:
    path = write(tmp_path, LONG)
    layouts = own("ours", labs=("north",))
    assert choose(path, layouts, "north").layout == layouts["ours"]
    assert choose(path, layouts, "south").layout == layouts["generic"]
    assert choose(path, layouts, "north", pinned=("generic",)).layout == layouts["generic"]
    assert choose(path, layouts, "north", pinned=("nobody",)).reason == "no such layout: nobody"


def test_a_specific_layout_beats_a_generic_one(tmp_path: Path) -> None:
    path = write(tmp_path, LONG)
    layouts = own("units", extends=None, detect={"headers": ["units"]})
    assert choose(path, layouts, "north").layout == layouts["units"]
    layouts = own("anything", extends=None, detect={"always": True})
    assert choose(path, layouts, "north").layout == layouts["generic"]


def test_two_that_fit_equally_are_a_question(tmp_path: Path) -> None:
    path = write(tmp_path, LONG)
    layouts = own("b", labs=("north",)) | own("a", labs=("north",))
    choice = choose(path, layouts, "north")
    assert choice.layout is None
    assert choice.reason == "two layouts fit equally: a, b (pin one for the lab)"
    assert choose(path, layouts, "north", pinned=("b",)).layout == layouts["b"]


def test_a_layout_that_does_not_fit_says_what_lacks(tmp_path: Path) -> None:
    path = write(tmp_path, "Sample ID,Result\nS1,2\n")
    choice = choose(path, LAYOUTS, "lab", is_analyte=is_analyte, explain=True)
    why = {name: text for name, _, text in choice.considered}
    assert why["generic"] == "no headers for analyte or code"


def test_detection_reads_only_the_head(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.write(LONG)
        file.truncate(20 * 1024**3)  # sparse: reading it all would take minutes
    assert choose(path, LAYOUTS, "lab").layout == LAYOUTS["generic"]
