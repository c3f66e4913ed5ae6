"""HL7 v2 and FHIR taken in for real: what the outputs say of messages whose truth a person knows."""

from __future__ import annotations

import json

import polars as pl
import pytest

from tests.formats.golden import HERE
from tests.home import Home

HL7 = HERE / "hl7v2"
LAYOUT = """
name = "north-hl7"
extends = "hl7v2"
labs = ["north"]
# stand-ins: the messages count blood cells, which no metric is made of
[analytes]
"26478-8" = "phenylalanine"
"23761-0" = "tyrosine"
[units]
"%" = "umol/L"
[samples]
unique = "subject"
"""


def test_a_printed_ratio_is_recomputed_and_its_disagreement_published(home: Home) -> None:
    home.ingest("north", (HL7 / "newborn-screening" / "input.hl7").read_bytes())
    row = home.metric("phe_tyr").row(0, named=True)
    assert row["specimen"] == "dried_blood_spot"
    assert row["value"] == pytest.approx(77.5 / 425) == pytest.approx(0.182, abs=5e-4)
    assert row["reported_low"] == row["reported_high"] == 0.75
    assert row["reported_agrees"] is False


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_final_message_supersedes_the_preliminary_one_whichever_came_first(
    home: Home, order: tuple[int, int]
) -> None:
    (home.folder / "layouts").mkdir()
    (home.folder / "layouts" / "north-hl7.toml").write_text(LAYOUT)
    contents = {n: (HL7 / f"lab-oru-{n}" / "input.hl7").read_bytes() for n in (1, 2)}
    # the final message is made to say another value than the preliminary one
    contents[2] = contents[2].replace(
        b"LYMPHOCYTES/100 LEUKOCYTES^LN||20|", b"LYMPHOCYTES/100 LEUKOCYTES^LN||24|"
    )
    home.ingest("north", *(contents[n] for n in order))
    results = home.output("results").filter(pl.col("analyte") == "phenylalanine")
    assert results.select("value", "status").rows() == [(24.0, "final")]


def _observation(status: str, value: float, issued: str) -> bytes:
    return json.dumps({
        "resourceType": "Observation", "status": status, "subject": {"reference": "Patient/1"},
        "specimen": {"identifier": {"value": "S1"}}, "effectiveDateTime": "2025-02-28T08:00:00+01:00", "issued": issued,
        "code": {"coding": [{"system": "http://loinc.org", "code": "14635-7"}], "text": "cortisol"},
        "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": "nmol/L"},
    }).encode()  # fmt: skip


def test_an_observation_entered_in_error_takes_the_result_out(home: Home) -> None:
    code = b'"coding": [{"system": "http://loinc.org", "code": "14635-7"}], '
    kind = b'"specimen": {"identifier": {"value": "S1"}}'
    contained = b'"contained": [{"resourceType": "Specimen", "id": "s", "type": {"text": "serum"}}], '
    refers = b'"specimen": {"reference": "#s", "identifier": {"value": "S1"}}'

    def made(*args: object) -> bytes:
        content = _observation(*args).replace(code, b"").replace(kind, contained + refers)  # type: ignore[arg-type]
        assert content.count(b"#s") == 1
        return content

    home.ingest("north", made("final", 300.0, "2025-03-01T08:00:00Z"))
    assert home.values("cortisol") == [pytest.approx(0.3)]
    home.ingest("north", made("entered-in-error", 300.0, "2025-03-02T08:00:00Z"))
    assert home.values("cortisol") == []
