"""Elements of FHIR resources as text: codes, quantities and the other value[x], reference ranges, any element.

Everything may be of another shape than the standard says; what is not there gives None. Numbers come as text
(as sent) or as Python numbers whose text is the one sent. Source: HL7 FHIR R4 and R5, datatypes.
"""

from __future__ import annotations

import json
from typing import Any

LOINC = frozenset({"http://loinc.org", "urn:oid:2.16.840.1.113883.6.1", "https://loinc.org"})
UCUM = frozenset({"http://unitsofmeasure.org", "urn:oid:2.16.840.1.113883.6.8"})
#: systems whose codes of specimens the catalogue lists
SPECIMEN_CODES = frozenset({
    "http://snomed.info/sct", "urn:oid:2.16.840.1.113883.6.96", "http://terminology.hl7.org/CodeSystem/v2-0487",
    "http://hl7.org/fhir/v2/0487", "http://terminology.hl7.org/CodeSystem/v2-0070",
})  # fmt: skip
_NONE: frozenset[str] = frozenset()
#: value[x] that is a document, points at something, or is a curve
_NO_RESULT = {
    "valueAttachment": "attached document",
    "valueReference": "reference",
    "valueSampledData": "curve",
}
_TEXTS = frozenset({"valueString", "valueInteger", "valueInteger64", "valueBoolean", "valueDecimal", "valueDateTime",
                    "valueTime", "valueInstant", "valueDate", "valueCode"})  # fmt: skip
_VALUES = (
    _TEXTS
    | _NO_RESULT.keys()
    | {"valueQuantity", "valueCodeableConcept", "valueRange", "valueRatio", "valuePeriod"}
)
SEVERAL = "several values in one"


def some(value: Any) -> dict:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def many(value: Any) -> list[dict]:
    """The objects of a list; an object alone is a list of one."""
    if isinstance(value, list):
        return [item for item in value if isinstance(item, dict)]
    return [value] if isinstance(value, dict) else []


def text_of(value: Any) -> str | None:
    """A string or a number as text; None for anything else and for nothing."""
    if value.__class__ is str:
        return value or None
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, (int, float)) else None


def concept(value: Any, systems: frozenset[str] = _NONE) -> str | None:
    """What a CodeableConcept says: a code of `systems`, else its text, a display, or its code; a code of digits
    as `system|code`, because alone it could be taken for a number."""
    value = some(value)
    codings = many(value.get("coding"))
    for coding in codings:
        if text_of(coding.get("system")) in systems and (code := text_of(coding.get("code"))):
            return code
    if said := text_of(value.get("text")) or next(
        filter(None, (text_of(c.get("display")) for c in codings)), None
    ):
        return said
    for coding in codings:
        if code := text_of(coding.get("code")):
            return f"{text_of(coding.get('system')) or ''}|{code}" if code.isdecimal() else code
    return None


def named(value: Any) -> tuple[str | None, str | None]:
    """(name, code) of what was measured: the text, else the display; the LOINC code, else the first code."""
    value = some(value)
    first = loinc = display = None
    for coding in many(value.get("coding")):
        code = text_of(coding.get("code"))
        first = first or code
        display = display or text_of(coding.get("display"))
        if loinc is None and text_of(coding.get("system")) in LOINC:
            loinc = code
    return text_of(value.get("text")) or display, loinc or first


def unit_of(quantity: dict) -> str | None:
    """The UCUM code where it is said to be one, else the unit as printed, else the code."""
    code, printed = text_of(quantity.get("code")), text_of(quantity.get("unit"))
    return code if code and text_of(quantity.get("system")) in UCUM else printed or code


def _quantity(value: dict) -> tuple[str | None, str | None]:
    number = text_of(value.get("value"))
    if number is None or "comparator" not in value:
        return number, unit_of(value)
    comparator = text_of(value["comparator"]) or ""
    return (comparator if comparator in ("", "<", "<=", ">", ">=") else f"{comparator} ") + number, unit_of(
        value
    )


def _range(value: dict) -> tuple[str | None, str | None]:
    """`1-5`; a range that is open on one side is a limit."""
    low, high = some(value.get("low")), some(value.get("high"))
    from_, to = text_of(low.get("value")), text_of(high.get("value"))
    units = {unit for end, unit in ((from_, unit_of(low)), (to, unit_of(high))) if end and unit}
    if len(units) > 1:
        return f"{from_} {unit_of(low)} - {to} {unit_of(high)}", None
    unit = next(iter(units), None)
    if from_ and to:
        return f"{from_}-{to}", unit
    return (f">={from_}" if from_ else f"<={to}" if to else None), unit


def _ratio(value: dict) -> tuple[str | None, str | None]:
    """15 mg to 24 h -> (`15`, `mg/(24.h)`), 1 to 128 -> `1:128`."""
    over, under = some(value.get("numerator")), some(value.get("denominator"))
    number, unit = _quantity(over)
    per, per_unit = _quantity(under)
    if number is None:
        return None, None
    if not per_unit or not unit or (per is not None and not per.isdigit()):
        return f"{' '.join(filter(None, (number, unit)))}:{' '.join(filter(None, (per, per_unit)))}", None
    if per not in (None, "1"):
        return number, f"{unit}/({per}.{per_unit})"
    return number, f"{unit}/({per_unit})" if "/" in per_unit or "." in per_unit else f"{unit}/{per_unit}"


def value_of(element: dict) -> tuple[str | None, str | None, str | None]:
    """(value, unit, what is wrong) of an Observation or a component; all None where it has no value."""
    keys = element.keys() & _VALUES
    if not keys:
        return None, None, None
    if len(keys) > 1:
        return None, None, SEVERAL
    key = keys.pop()
    value = element[key]
    if key == "valueQuantity":
        return (*_quantity(some(value)), None)
    if key == "valueCodeableConcept":
        return concept(value), None, None
    if key in _TEXTS:
        return text_of(value), None, None
    if key == "valueRange":
        return (*_range(some(value)), None)
    if key == "valueRatio":
        return (*_ratio(some(value)), None)
    if key == "valuePeriod":
        return (
            " - ".join(filter(None, (text_of(some(value).get(end)) for end in ("start", "end")))),
            None,
            None,
        )
    return None, None, f"no result but a {_NO_RESULT[key]}"


def no_result(element: dict) -> str | None:
    """The name of a value that is none that could be measured: a document, a reference, a curve."""
    return next((name for key, name in _NO_RESULT.items() if key in element), None)


def flagged(element: dict, value: str | None) -> str | None:
    """`value` with the comparator that its interpretation states: off the scale, below (`<`) or above (`>`)."""
    if value is None or not value[:1].isdigit() or "interpretation" not in element:
        return value
    codes = {text_of(c.get("code")) for i in many(element["interpretation"]) for c in many(i.get("coding"))}
    beyond = [code for code in ("<", ">") if code in codes]
    return beyond[0] + value if len(beyond) == 1 else value


def limits(element: dict, unit: str | None) -> tuple[str | None, str | None]:
    """The reference limits, in the unit of the value; none where several ranges could be meant (by age, by sex)."""
    ranges = many(element["referenceRange"])
    if len(ranges) > 1:
        normal = [
            r for r in ranges if "normal" in [c.get("code") for c in many(some(r.get("type")).get("coding"))]
        ]
        ranges = normal if len(normal) == 1 else []
    if not ranges:
        return None, None
    low, high = some(ranges[0].get("low")), some(ranges[0].get("high"))
    ends = [
        text_of(end.get("value")) if end and unit_of(end) in (None, unit) else None for end in (low, high)
    ]
    if ends == [None, None]:
        return (None, None) if low or high else (text_of(ranges[0].get("text")), None)
    return ends[0], ends[1]


def comment_of(element: dict) -> str | None:
    """Notes, why there is no value, and what modifies the meaning of the whole (a haemolysed specimen)."""
    if "note" not in element and "dataAbsentReason" not in element and "modifierExtension" not in element:
        return None
    said = [text_of(note.get("text")) for note in many(element.get("note"))]
    if "dataAbsentReason" in element and (why := concept(element["dataAbsentReason"])):
        said.append(f"no value: {why}")
    for extension in many(element.get("modifierExtension")):
        for key, value in extension.items():
            if key.startswith("value"):
                coding = some(value)
                said.append(text_of(coding.get("display")) or concept(value) or text_of(value)
                            or text_of(coding.get("code")))  # fmt: skip
    return "\n".join(part for part in said if part) or None


def element_text(value: Any, systems: frozenset[str] = _NONE) -> str | None:
    """Any element as text: a reference, an identifier, a coded text, the start of a period, a plain value."""
    if isinstance(value, list):
        parts = [item for item in value if not isinstance(item, list)]
        return next(filter(None, (element_text(item, systems) for item in parts)), None)
    if not isinstance(value, dict):
        return text_of(value)
    if reference := text_of(value.get("reference")):
        return reference
    if "coding" in value or "text" in value:
        return concept(value, systems)
    return (
        text_of(value.get("value"))
        or text_of(value.get("start"))
        or text_of(some(value.get("identifier")).get("value"))
    )


def raw_of(element: Any) -> str:
    """A record as text, where it could not be read."""
    try:
        return json.dumps(element, ensure_ascii=False)
    except RecursionError:
        return ""
