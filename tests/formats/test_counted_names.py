"""What is set aside is counted under names of ours: those that a file makes up may be anything, and are seen by
whoever sees the account of an export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.export import ROWS_SCHEMA
from tasks.readers import read
from tests.formats.damaged import LAYOUTS, knows
from tests.formats.golden import HERE, source

NAME = "Quentin"
LCMODEL = source(HERE / "mrs/lcmodel-table").read_text("utf-8")
RESOURCES = [
    {"resourceType": NAME},
    {"resourceType": "Patient", "contained": [{"resourceType": NAME}]},
    {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": NAME}}]},
]


@pytest.mark.parametrize(
    ("layout", "content", "counted"),
    [
        ("mwtab", f"#METABOLOMICS WORKBENCH\n{NAME}_START\nx\ty\n{NAME}_END\n"
         "MS_METABOLITE_DATA_START\nSamples\tS1\nHVA\t1\nMS_METABOLITE_DATA_END\n", {"line of another table": 1}),
        ("lcmodel", f"{LCMODEL}\n 1 lines in following {NAME.lower()}\nx\n", {"line of another block": 1}),
        ("fhir", "\n".join(map(json.dumps, RESOURCES)) + "\n",
         {"other resource": 2, "contained other resource": 1, "Patient resource": 1, "Bundle resource": 1}),
        ("hl7v2", f"{NAME}|x\rMSH|^~\\&|a\r", {"no segment": 1, "MSH segment": 1}),
    ],
    ids=["mwtab", "lcmodel", "fhir", "hl7v2"],
)  # fmt: skip
def test_no_name_that_a_file_makes_up_is_counted(
    tmp_path: Path, layout: str, content: str, counted: dict[str, int]
) -> None:
    path = tmp_path / "export"
    path.write_text(content, "utf-8", newline="")
    reading = read(path, LAYOUTS[layout], knows)
    for batch in reading.batches:
        assert batch.schema == ROWS_SCHEMA
    assert counted.items() <= reading.skipped.items()
    said = " ".join([*reading.skipped, *reading.notes, *reading.columns_used, *reading.columns_unused])
    assert NAME[:3].casefold() not in said.casefold()
