"""FHIR R4 and R5 in JSON: Observations alone, in Bundles, contained in reports, and in NDJSON bulk exports.

NDJSON is read line by line; a Bundle is one document and is loaded. Every resource is a result (one for its
value, one for each component) or skipped under the name of its type. `row` is the line of NDJSON or the entry
of a Bundle; `item` is `value` or the number of the component, behind `contained.2.` or `entry.3.` where the
Observation stands within the resource of that row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from schemas.export import Reading, Unreadable
from schemas.layout import Layout
from tasks.readers.columns import IsAnalyte
from tasks.readers.fhir_observations import Observations
from tasks.readers.fhir_references import Resources
from tasks.readers.fhir_values import many, raw_of
from tasks.readers.table import Glance
from tasks.readers.text import shown

#: rows of one frame
_BATCH = 20_000
#: bytes of one line of NDJSON, and of one document, which takes about ten times that in memory
_LONGEST_LINE = 1 << 26
_LARGEST_DOCUMENT = 1 << 27
#: specimens of an NDJSON export that are remembered
_SPECIMENS = 1_000_000
NOT_JSON = "not JSON (the record may be cut off)"
NOT_A_RESOURCE = "not a FHIR resource"
_TYPE = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\]]')
_NAMED = re.compile(r'\s*:\s*"[A-Z][A-Za-z]{2,50}"')
#: a number whose text is not the one that Python prints for it: 1.50, 1e3, 0.00001, or more than 15 digits
_SENT_OTHERWISE = re.compile(
    rb'value(?:Integer|Decimal)?"\s*:\s*-?(?:[0-9]+\.[0-9]*0(?![0-9])|[0-9.]+[eE]|0\.000|0(?![0-9.])|[0-9.]{16})'
)
_EXACT = json.JSONDecoder(parse_float=str, parse_int=str)


def _has_type(text: str) -> bool:
    """Whether the first object of a JSON text says its `resourceType`, as far as the text goes."""
    depth = 0
    for found in _TYPE.finditer(text):
        token = found[0]
        if token in "{[":
            depth += 1
        elif token in "}]":
            depth -= 1
            if depth <= 0:
                return False
        elif depth == 1 and token == '"resourceType"' and _NAMED.match(text, found.end()):
            return True
    return False


def glance(path: Path) -> Glance | None:
    """The head of a JSON text whose first object has a resourceType; None for any other file."""
    text = shown(path)
    if text is None:
        return None
    text = text.lstrip("\ufeff \t\r\n")
    text = text[1:].lstrip() if text.startswith("[") else text
    if not text.startswith("{") or not _has_type(text):
        return None
    return Glance(text, lambda layout: [], signature=True)


def _decoded(text: bytes) -> Any:
    """A JSON text, with the texts of the numbers that are values: 1.50 is not 1.5. orjson, which loses them, is
    twice as fast; where it would lose one, Python's own parser reads the text again.

    Raises ValueError where it is no JSON in UTF-8."""
    value = orjson.loads(text)
    if not _SENT_OTHERWISE.search(text):
        return value
    del value  # a document is large; not twice
    try:
        return _EXACT.decode(text.decode("utf-8").strip())
    except RecursionError:
        pass
    raise ValueError("nested too deeply")


def _is_ndjson(path: Path) -> bool:
    """Whether the first line is a whole object and something follows it."""
    with open(path, "rb") as file:
        first = b""
        while not first.strip(b"\xef\xbb\xbf \t\r\n"):
            first = file.readline(_LONGEST_LINE)
            if not first:
                return False
        first = first.removeprefix(b"\xef\xbb\xbf").strip()
        if not (first.startswith(b"{") and first.endswith(b"}")):
            return False
        while rest := file.readline(_LONGEST_LINE):
            if rest.strip():
                return rest.lstrip().startswith(b"{")
    return False


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with open(path, "rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), start=1):
            if len(line) >= _LONGEST_LINE:
                raise Unreadable(f"a line longer than {_LONGEST_LINE} bytes")
            yield number, (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()


def _specimens(path: Path) -> Resources:
    """The specimens of an NDJSON export that holds several types, wherever they stand in it."""
    out = Resources()
    for _, line in _lines(path):
        if b'"Specimen"' not in line:
            continue
        try:
            resource = _decoded(line)
        except ValueError:
            continue
        if isinstance(resource, dict) and resource.get("resourceType") == "Specimen":
            if len(out) >= _SPECIMENS:
                raise Unreadable(f"more than {_SPECIMENS} specimens in one file")
            kept = ("resourceType", "id", "identifier", "accessionIdentifier", "type", "collection")
            out.add({key: resource[key] for key in kept if key in resource})
    return out


def _from_lines(path: Path, found: Observations, reading: Reading) -> Iterator[pl.DataFrame]:
    found.resources = _specimens(path)
    for number, line in _lines(path):
        if not line:
            reading.skip("blank line")
            continue
        try:
            resource = _decoded(line)
        except ValueError:
            found.broken(number, "1", line.decode("utf-8", "backslashreplace"), NOT_JSON)
        else:
            found.top(number, resource, NOT_A_RESOURCE)
            found.resources.forget()
        if len(found.rows) >= _BATCH:
            yield found.frame()


def _document(path: Path) -> Any:
    if path.stat().st_size > _LARGEST_DOCUMENT:
        raise Unreadable(
            f"a document of more than {_LARGEST_DOCUMENT >> 20} MiB; export it as NDJSON, a resource a line"
        )
    try:
        return _decoded(path.read_bytes().removeprefix(b"\xef\xbb\xbf").strip())
    except ValueError:
        pass
    raise Unreadable("not JSON in UTF-8 (the file may be cut off)")  # outside the handler: its message quotes


def _from_document(path: Path, found: Observations, reading: Reading) -> Iterator[pl.DataFrame]:
    document = _document(path)
    if isinstance(document, list):
        entries: list = document
        for resource in many(document):
            found.resources.add(resource)
    elif isinstance(document, dict) and document.get("resourceType") == "Bundle":
        reading.skip("Bundle resource")
        listed = document.get("entry")
        entries = []
        for entry in listed if isinstance(listed, list) else []:
            entries.append(entry.get("resource") if isinstance(entry, dict) else entry)
            if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
                found.resources.add(entry["resource"], entry.get("fullUrl"))
    else:
        entries = [document]
    found.resources.link()
    for number, resource in enumerate(entries, start=1):
        if resource is None:
            reading.skip("entry without a resource")
        elif not isinstance(resource, dict):
            found.broken(number, "1", raw_of(resource), NOT_A_RESOURCE)
        else:
            found.top(number, resource, NOT_A_RESOURCE)
        if len(found.rows) >= _BATCH:
            yield found.frame()


def read(path: Path, layout: Layout, is_analyte: IsAnalyte) -> Reading:
    """The results of all Observations. Raises Unreadable, also while `batches` is used up, where a document is
    not whole JSON, larger than 128 MiB, or the layout names elements in another way than `Observation.issued`."""
    ndjson = _is_ndjson(path)
    used = {ours: ", ".join(elements) for ours, elements in layout.columns.items()}
    used |= {"analyte": "code", "code": "code", "value": "value[x]", "unit": "value[x]", "comment": "note"}
    used |= {"ref_low": "referenceRange", "ref_high": "referenceRange"}
    reading = Reading(iter(()), {}, used, [], ["NDJSON" if ndjson else "one document"])
    found = Observations(layout, reading)

    def batches() -> Iterator[pl.DataFrame]:
        yield from (_from_lines if ndjson else _from_document)(path, found, reading)
        if found.rows:
            yield found.frame()

    reading.batches = batches()
    return reading
