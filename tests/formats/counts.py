"""Counts of messages and resources that the readers did not make."""

from __future__ import annotations

import json
import re


def hl7(text: str) -> int:
    """Lines of HL7 v2, and one more for each further repetition of an OBX-5 that is no document."""
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", text.removeprefix("\ufeff"))
    total, field, repetition = len(lines), "|", "~"
    for line in lines:
        if line.startswith("MSH"):
            field, repetition = line[3], line[5]
        parts = line.rstrip("\r\n").split(field)
        if parts[0] == "OBX" and len(parts) > 5 and parts[2] not in ("ED", "RP"):
            total += parts[5].count(repetition)
    return total


def _resource(resource: dict) -> int:
    """1 for a resource without values, else one for each value; and what it contains."""
    inner = sum(_resource(r) for r in resource.get("contained", []))
    if resource.get("resourceType") == "Bundle":
        inner += sum(_resource(e["resource"]) if "resource" in e else 1 for e in resource.get("entry", []))
    if resource.get("resourceType") != "Observation":
        return 1 + inner
    own = any(key.startswith("value") for key in resource)
    return max(1, own + len(resource.get("component", []))) + inner


def fhir(text: str) -> int:
    """Values and other resources of a document, or of the lines of NDJSON (blank and broken ones count 1)."""
    try:
        document = json.loads(text.removeprefix("\ufeff"))
        return sum(map(_resource, document)) if isinstance(document, list) else _resource(document)
    except json.JSONDecodeError:
        pass
    total = 0
    for line in text.removeprefix("\ufeff").splitlines():
        try:
            total += _resource(json.loads(line))
        except (json.JSONDecodeError, AttributeError):
            total += 1
    return total
