"""FHIR: the samples against their own JSON; numbers as sent; references; cut files; any JSON."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.export import ROWS_SCHEMA, Unreadable
from schemas.layout_files import load_layouts
from tasks.readers import choose, fhir, read
from tasks.readers.fhir_values import text_of
from tests.formats import counts
from tests.formats.golden import HERE, run

LAYOUTS = load_layouts()
LAYOUT = LAYOUTS["fhir"]
DOCUMENTS = [
    "bundle-101",
    "bundle-ghp",
    "f202",
    "f205",
    "mii-laborwert",
    "mii-laborwert-ratio",
    "report-contained",
]


def _input(case: str) -> Path:
    (path,) = (HERE / "fhir" / case).glob("input.*")
    return path


def _rows(path: Path) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=ROWS_SCHEMA), *read(path, LAYOUT, lambda text: False).batches])


def _written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "export"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _observation(value: str = "1.5", **more: object) -> str:
    said = {"resourceType": "Observation", "status": "final", "code": {"text": "Dopamine"}, **more}
    return json.dumps(said)[:-1] + f', "valueQuantity": {{"value": {value}, "unit": "nmol/L"}}}}'


@pytest.mark.parametrize("case", ["bundle-101", "bundle-ghp"])
def test_every_quantity_of_a_bundle_is_the_one_of_the_file(case: str) -> None:
    document = json.loads(_input(case).read_text("utf-8"), parse_float=str, parse_int=str)
    wanted = []
    for number, entry in enumerate(document["entry"], start=1):
        quantity = entry["resource"].get("valueQuantity")
        if quantity is not None:
            unit = quantity.get("code") or quantity.get("unit")
            code = entry["resource"]["code"]["coding"][0]["code"]
            wanted.append((number, quantity.get("comparator", "") + quantity["value"], unit, code))
    rows = run(HERE / "fhir" / case).rows.filter(pl.col("row").is_in([w[0] for w in wanted]))
    assert rows.select("row", "value", "unit", "code").rows() == wanted
    assert len(wanted) >= 17


def test_members_of_a_panel_have_its_specimen_and_time() -> None:
    rows = run(HERE / "fhir" / "bundle-ghp").rows
    haemoglobin = rows.filter(code="718-7").row(0, named=True)  # says neither itself
    assert (haemoglobin["specimen"], haemoglobin["sample"]) == ("445295009", "20150816-00124")
    assert haemoglobin["collected_at"] == "2015-08-16T06:40:17Z"
    assert set(rows["specimen"]) == {"445295009", "119364003", "122575003"}


@pytest.mark.parametrize(
    "number",
    [
        "1.50",
        "1.5",
        "0.00001",
        "1e3",
        "1E-05",
        "12345678901234567890",
        "0.1234567890123456789",
        "-0",
        "100",
        "0.0",
        "2.0",
    ],
)
@pytest.mark.parametrize("lines", [1, 2])
def test_a_number_keeps_its_text(tmp_path: Path, number: str, lines: int) -> None:
    path = _written(tmp_path, "\n".join([_observation(number, note=[{"text": 'a "value": 7.0, b'}])] * lines))
    assert _rows(path)["value"].to_list() == [number] * lines


@settings(max_examples=200)
@given(number=st.floats(-1e300, 1e300), digits=st.integers(0, 17), kind=st.sampled_from("efg"))
def test_any_number_keeps_its_text(number: float, digits: int, kind: str) -> None:
    text = format(number, f".{digits}{kind}")
    element = fhir._decoded(f'{{"valueQuantity": {{"value" : {text} }}}}'.encode())["valueQuantity"]
    assert text_of(element["value"]) == text


@pytest.mark.parametrize("case", DOCUMENTS)
def test_a_document_cut_anywhere_is_a_reason(case: str, tmp_path: Path) -> None:
    content = _input(case).read_bytes().rstrip()
    refused = 0
    for end in range(8, len(content), 64 if len(content) < 20_000 else 1024):
        path = _written(tmp_path, content[:end])
        choice = choose(path, LAYOUTS, "lab")
        if choice.layout is None:
            assert choice.reason
            continue
        with pytest.raises(Unreadable, match="not JSON"):
            _rows(path)
        refused += 1
    assert refused > 0


def test_lines_cut_anywhere_lose_the_last_one_only(tmp_path: Path) -> None:
    content = _input("labs").read_bytes()
    whole = _rows(_input("labs"))
    read_rows = 0
    for end in range(8, len(content), 64):
        path = _written(tmp_path, content[:end])
        if choose(path, LAYOUTS, "lab").layout is None:
            continue
        full = content[:end].count(b"\n")
        try:
            rows = _rows(path)
        except Unreadable:
            assert full == 0
            continue
        good = rows.filter(pl.col("defect").is_null())
        assert good.equals(whole.head(good.height))
        assert good.height >= full
        read_rows += good.height
        assert rows.height == full + (not content[:end].endswith(b"\n"))
    assert read_rows > 0


@pytest.mark.parametrize(
    ("content", "fits"),
    [
        ('{"resourceType": "Observation"}', True),
        ('{"id": "x", "meta": {"resourceType": 1}, "text": "\\"{", "resourceType" : "Bundle"}', True),
        ('[{"resourceType": "Observation"}]', True),
        ('\n\n{"resourceType": "Patient"}\n', True),
        ('{"datasetJSONVersion": "1.1.0", "x": {"resourceType": "Observation"}}', False),
        ('{"METABOLOMICS WORKBENCH": {}}', False),
        ('"resourceType": "Observation"', False),
        ('{"resourceType": 5}', False),
        ("<Observation xmlns='http://hl7.org/fhir'/>", False),
        ("{", False),
    ],
)
def test_fhir_is_recognised_by_the_type_of_its_first_resource(
    tmp_path: Path, content: str, fits: bool
) -> None:
    assert (fhir.glance(_written(tmp_path, content)) is not None) is fits


@pytest.mark.parametrize(
    "content",
    [
        b'{"resourceType": "Observation", "valueQuantity": {"value": NaN}}',
        b'{"resourceType": "Observation", "valueString": "\\ud800"}',
        b'{"resourceType": "Observation", "valueString": "\xff"}',
        b'{"resourceType": "Observation", "x": ' + b"[" * 100_000,
        b'{"resourceType": "Observation", "x": '
        + b"[" * 1000
        + b"]" * 1000
        + b', "valueQuantity": {"value": 1.0}} x',
        '{"resourceType": "Observation"}'.encode("utf-16"),
    ],
)
def test_what_is_no_json_in_utf_8_is_a_reason_that_quotes_nothing(tmp_path: Path, content: bytes) -> None:
    path = _written(tmp_path, content)
    assert choose(path, LAYOUTS, "lab").layout is LAYOUT
    with pytest.raises(Unreadable, match="not JSON in UTF-8") as error:
        _rows(path)
    assert error.value.__context__ is None


def test_a_document_or_line_that_is_too_large_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fhir, "_LARGEST_DOCUMENT", 100)
    with pytest.raises(Unreadable, match="export it as NDJSON"):
        _rows(_written(tmp_path, _observation(note=[{"text": "x" * 100}])))
    monkeypatch.setattr(fhir, "_LONGEST_LINE", 500)
    with pytest.raises(Unreadable, match="a line longer than"):
        _rows(_written(tmp_path, _observation() + "\n" + _observation(note=[{"text": "x" * 1000}])))


def test_a_reference_that_means_two_panels_or_a_ring_gives_nothing(tmp_path: Path) -> None:
    one = json.loads(_observation(id="1", hasMember=[{"reference": "Observation/2"}], issued="2025-01-01"))
    two = json.loads(_observation(id="2", hasMember=[{"reference": "Observation/1"}]))
    three = json.loads(_observation(id="3", hasMember=[{"reference": "Observation/2"}], issued="2025-01-02"))
    entries = [{"resource": one}, {"resource": two}, {"resource": three}]
    rows = _rows(_written(tmp_path, json.dumps({"resourceType": "Bundle", "entry": entries})))
    assert rows["reported_at"].to_list() == ["2025-01-01", None, "2025-01-02"]
    ring = json.dumps({"resourceType": "Bundle", "entry": entries[:2]})
    assert _rows(_written(tmp_path, ring))["reported_at"].to_list() == ["2025-01-01"] * 2


def test_the_report_of_one_line_says_nothing_about_another(tmp_path: Path) -> None:
    inside = json.loads(_observation(id="a"))
    report = {
        "resourceType": "DiagnosticReport",
        "issued": "2025-01-01",
        "result": [{"reference": "#a"}],
        "contained": [inside],
    }
    lines = [json.dumps(report), _observation()] * 200
    rows = _rows(_written(tmp_path, "\n".join(lines)))
    assert rows["reported_at"].to_list() == ["2025-01-01", None] * 200


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"sample": ("order",)}, "names no element"),
        ({"unit": ("Observation.x",)}, "cannot be taken from elsewhere"),
    ],
)
def test_a_layout_that_names_no_element_is_refused(tmp_path: Path, columns: dict, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read(
            _written(tmp_path, _observation()),
            LAYOUT.model_copy(update={"columns": columns}),
            lambda text: False,
        )


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
                   st.sampled_from(["Observation", "Bundle", "#a", "Observation/1", "<", "final", "5", ""]))  # fmt: skip
NAMES = st.sampled_from(
    ["resourceType", "id", "valueQuantity", "value", "comparator", "unit", "code", "coding", "system", "text", "component",
     "valueRange", "valueRatio", "low", "high", "numerator", "denominator", "contained", "entry", "resource", "hasMember",
     "result", "reference", "subject", "specimen", "referenceRange", "interpretation", "note", "effectivePeriod", "start",
     "issued", "type", "collection", "modifierExtension", "valueCodeableConcept", "dataAbsentReason", "fullUrl"]
)  # fmt: skip
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=25,
)


@settings(max_examples=200)
@given(
    bodies=st.lists(st.dictionaries(NAMES, JSON, max_size=8), min_size=1, max_size=3), as_lines=st.booleans()
)
def test_any_shape_of_resource_gives_rows_or_named_skips(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[dict], as_lines: bool
) -> None:
    resources = [{"resourceType": "Observation", "id": "a"} | body for body in bodies]
    resources[0]["resourceType"] = "Observation"
    text = "\n".join(map(json.dumps, resources)) if as_lines else json.dumps(resources)
    path = tmp_path_factory.mktemp("fhir") / "export"
    path.write_text(text)
    assert choose(path, LAYOUTS, "lab").layout is LAYOUT
    reading = read(path, LAYOUT, lambda text: False)
    rows = pl.concat([pl.DataFrame(schema=ROWS_SCHEMA), *reading.batches])
    assert not rows.select("row", "item").is_duplicated().any()
    assert rows.height + sum(reading.skipped.values()) >= len(resources)


def test_the_count_of_the_goldens_is_not_the_readers() -> None:
    """The count that conservation is held against, on a file counted by hand."""
    assert counts.fhir(_input("bundle-ghp").read_text("utf-8")) == 1 + 1 + 3 + 51
